"""Asynchronous successive halving on vectors of objectives: which design is worth more steps of training.

A *rung* is a number of optimiser steps. Every design starts on the lowest; one in ``eta`` of those that have
ended on a rung climbs to the next. It never waits for a rung to fill (ASHA: Li et al., *A system for
massively parallel hyperparameter tuning*, MLSys 2020, algorithm 2). Designs are compared within a rung, by
non-dominated rank, then by the hypervolume that one adds to those of its rank that have climbed (of the
logarithms of objectives that are positive). Their vectors hold the known objectives, exact on every rung.
Others order a rung by rank and an epsilon-net (MO-ASHA: Schmucker et al., arXiv:2106.12639, 2021).

A measured objective may have a budget, which a design that was hardly trained breaks and a full training
may keep. What counts as a budget on a rung is learnt from those that climbed (``_reach``): designs that
keep it climb before all others, and hypervolumes are below it. Else the cheap end of a front, which no
training mends, takes steps from the rest.

In one thing this differs from the published rule. There a design climbs if it is among the best ``1/eta`` at
that moment, so early luck can let more climb than ``1/eta``. Here the best that has not climbed does, as long
as fewer than ``1/eta`` have: it is then among the best ``1/eta`` too, and no rung holds more than that share.

Nothing is kept between calls: ``next_job`` is a function of the trials, and ``trials_of`` makes these from
the history of a study, in which a design has one evaluation a rung.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError
from codesign.evaluation import Evaluation
from codesign.objectives import Objective
from codesign.pareto import dominance_ranks, hypervolume
from codesign.space import Candidate

__all__ = ["Promote", "Rungs", "Trial", "next_job", "trials_of"]

Status = Literal["running", "finished", "failed"]
MARGIN = 0.1
TINY = 1e-300

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rungs:
    """How many steps the designs of each rung have been trained, and which part of them climbs.

    Parameters
    ----------
    steps
        Optimiser steps from the start of training, ascending; the last are those of a full training.
    eta
        Reduction factor: one design in ``eta`` climbs.

    Raises
    ------
    ConfigError
        For no rung, steps that do not ascend from 1, or a factor below 2.

    Examples
    --------
    >>> Rungs.of(2_000, eta=3, lowest=50)
    Rungs(steps=(74, 222, 667, 2000), eta=3)
    """

    steps: tuple[int, ...]
    eta: int = 3

    def __post_init__(self) -> None:
        """Reject what is no ladder."""
        if not self.steps or any(low >= high for low, high in pairwise((0, *self.steps))):
            raise ConfigError(f"rungs: steps ascend from 1 or more, got {list(self.steps)}")
        if self.eta < 2:
            raise ConfigError(f"rungs: eta is a whole number from 2, got {self.eta}")

    @classmethod
    def of(cls, steps: int, eta: int = 3, lowest: int = 1) -> Self:
        """Rungs ``eta`` apart, from the full number of steps down to no fewer than ``lowest``."""
        if not 1 <= lowest <= steps:
            raise ConfigError(f"rungs: lowest is from 1 to the {steps} steps of a training, got {lowest}")
        if eta < 2:
            raise ConfigError(f"rungs: eta is a whole number from 2, got {eta}")
        ladder = [steps]
        while (fewer := round(steps / eta ** len(ladder))) >= lowest:
            if fewer == ladder[-1]:
                break
            ladder.append(fewer)
        return cls(tuple(reversed(ladder)), eta)

    @property
    def top(self) -> int:
        """Number of the last rung, on which a training is full."""
        return len(self.steps) - 1

    def reached(self, steps: int) -> int:
        """The highest rung of no more than these steps; the lowest if there is none."""
        return max((rung for rung, needed in enumerate(self.steps) if needed <= steps), default=0)


@dataclass(frozen=True, slots=True)
class Trial:
    """One design on one rung.

    Parameters
    ----------
    candidate
        The design.
    rung
        Number of the rung, from 0.
    status
        ``running``, ``finished`` with values, or ``failed``: diverged, lost or broken, never to climb.
    values
        Objectives as measured on this rung, known ones included, signed so that less is better; empty
        unless finished.
    bounds
        Budget of each objective, signed alike, infinite where there is none; empty if none has one.
    """

    candidate: Candidate
    rung: int
    status: Status
    values: tuple[float, ...] = ()
    bounds: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Reject an unknown status, and values that are missing or not finite."""
        if self.status not in get_args(Status):
            raise ValueError(f"status is one of {', '.join(get_args(Status))}, got {self.status!r}")
        if self.status == "finished" and not (self.values and np.isfinite(self.values).all()):
            raise ValueError(f"a finished trial has finite values, got {self.values}")


@dataclass(frozen=True, slots=True)
class Promote:
    """Train a design on, from where its checkpoint stands, to a rung."""

    candidate: Candidate
    rung: int


def next_job(rungs: Rungs, trials: Iterable[Trial]) -> Promote | None:
    """The promotion that is due, from the highest rung that has one; None: start a new design on rung 0.

    Parameters
    ----------
    rungs
        The ladder.
    trials
        Every design on every rung it was sent to, in any order.
    """
    records = sorted(trials, key=lambda trial: (trial.rung, trial.candidate.digest))
    for rung in reversed(range(rungs.top)):
        here = [trial for trial in records if trial.rung == rung and trial.status != "running"]
        climbed = {trial.candidate for trial in records if trial.rung > rung}
        before = sum(trial.candidate in climbed for trial in here)
        if before < len(here) // rungs.eta:
            finished = [trial for trial in here if trial.status == "finished"]
            best = _best(finished, climbed, _reach(records, rung, rungs.top)) if finished else None
            if best is not None:
                return Promote(best, rung + 1)
    return None


def _best(finished: Sequence[Trial], climbed: set[Candidate], reach: FloatArray) -> Candidate | None:
    """Of the least rank that has not all climbed, the one that adds most hypervolume to its climbers.

    Of those within ``reach``, shape ``(m,)``, if there are any left.
    """
    left = np.array([trial.candidate not in climbed for trial in finished], dtype=bool)
    values = np.array([trial.values for trial in finished])
    if not left.any():
        return None
    within = (values <= reach).all(axis=1)
    if (within & left).any():
        left &= within
    ranks = dominance_ranks(values)
    layer = ranks == ranks[left].min()
    choice = np.flatnonzero(layer & left)
    scaled, corner = _scaled(values, reach)
    gains = _gains(scaled, corner, np.flatnonzero(layer & ~left), choice)
    return finished[int(choice[gains.argmax()])].candidate


def _reach(trials: Sequence[Trial], rung: int, top: int) -> FloatArray:
    """What each objective may be on a rung to be worth more training, shape ``(m,)``.

    On the last rung that is the budget. Below, it is half way from the worst that kept its bound on the next
    rung, or the budget if that is worse, to the best beyond it that did not, or the worst that was ever seen
    while all did: a bisection, which goes on as designs climb.
    """
    ended = [
        {trial.candidate: trial.values for trial in trials if trial.rung == at and trial.values}
        for at in range(rung, top + 1)
    ]
    finished = [trial for trial in trials if trial.values]
    worst = np.array([trial.values for trial in finished]).max(axis=0)
    budget = np.array(finished[0].bounds or np.full(len(worst), np.inf))
    reach = budget
    for here, above in reversed(list(pairwise(ended))):
        both = [each for each in here if each in above]
        before, after = (
            np.array([found[each] for each in both]).reshape(-1, len(budget)) for found in (here, above)
        )
        kept = after <= reach
        low = np.maximum(budget, np.where(kept, before, -np.inf).max(axis=0, initial=-np.inf))
        lost = np.where(~kept & (before > low), before, np.inf).min(axis=0, initial=np.inf)
        reach = 0.5 * (low + np.maximum(low, np.minimum(lost, worst)))
    return reach


def _scaled(values: FloatArray, reach: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Values in units of their ranges, from 0 to 1, and the corner; logarithms of positive objectives.

    The corner is what an objective may be; where nothing bounds it, or only beyond the worst value, that
    worst value and a tenth of the range.
    """
    positive = (values > 0).all(axis=0)
    both = np.concatenate([values, np.where(np.isfinite(reach), reach, values.max(axis=0))[None]])
    logs = np.where(positive, np.log(np.where(positive, np.maximum(both, TINY), 1.0)), both)
    low, width = logs[:-1].min(axis=0), np.ptp(logs[:-1], axis=0)
    scaled: FloatArray = (logs - low) / np.where(width > 0, width, 1.0)
    inside = np.isfinite(reach) & (scaled[-1] > 0) & (scaled[-1] < 1.0 + MARGIN)
    return scaled[:-1], np.where(inside, scaled[-1], 1.0 + MARGIN)


def _gains(
    values: FloatArray, corner: FloatArray, chosen: NDArray[np.int64], choice: NDArray[np.int64]
) -> FloatArray:
    """Hypervolume that each of ``choice`` adds to ``chosen``, up to a constant."""
    return np.array([hypervolume(values[[*chosen, index]], corner) for index in choice])


def trials_of(
    rungs: Rungs,
    history: Iterable[Evaluation],
    pending: Iterable[Candidate],
    objectives: tuple[Objective, ...],
) -> list[Trial]:
    """Trials of a study that was interrupted anywhere.

    The rung of an evaluation is how many of the same design come before it, or the one that its steps
    reach, if that is higher (a baseline that was trained in full at once). So a training that stopped early,
    diverged or was lost counts on the rung it was sent to. What was never trained, because it breaks a known
    budget, is on no rung.

    Parameters
    ----------
    rungs
        The ladder.
    history
        Evaluations in the order of their numbers.
    pending
        Designs that are being trained now, each as often as it is.
    objectives
        What is traded.
    """
    trials: list[Trial] = []
    bounds = _bounds(objectives)
    count: dict[Candidate, int] = {}
    for evaluation in history:
        if evaluation.status == "infeasible" and not evaluation.steps:
            continue
        rung = max(count.get(evaluation.candidate, 0), rungs.reached(evaluation.steps))
        count[evaluation.candidate] = rung + 1
        values = evaluation.minimised(objectives) if evaluation.ok else ()
        if values and np.isfinite(values).all():
            trials.append(Trial(evaluation.candidate, rung, "finished", values, bounds))
        else:
            trials.append(Trial(evaluation.candidate, rung, "failed"))
    for candidate in pending:
        rung = count.get(candidate, 0)
        count[candidate] = rung + 1
        trials.append(Trial(candidate, rung, "running"))
    return trials


def _bounds(objectives: tuple[Objective, ...]) -> tuple[float, ...]:
    """Budgets, signed so that less is better; empty if there are none."""
    if all(goal.budget is None for goal in objectives):
        return ()
    return tuple(float("inf") if goal.budget is None else goal.sign * goal.budget for goal in objectives)
