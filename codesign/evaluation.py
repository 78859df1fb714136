"""What became of a candidate: its values, its cost, and how it ended."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, Self, get_args

import numpy as np

from codesign.metrics import Summary
from codesign.objectives import Objective
from codesign.space import Candidate

__all__ = ["Evaluation", "Reference", "Repeated", "Status", "latest"]

Status = Literal["ok", "infeasible", "diverged", "failed", "lost"]
"""``infeasible``: over a budget; never trained, but where the cost depends on the trained weights.
``diverged``: the loss was not finite. ``failed``: an error. ``lost``: the worker died. None of them has
objective values; there are no penalty values."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One candidate with everything known about it.

    Parameters
    ----------
    number
        Position in the study, from 0.
    candidate
        The point of the space.
    origin
        Who proposed it: ``baseline``, ``start``, the name of an optimiser, or what it fell back to and why.
    status, reason
        How it ended; the reason is empty for ``ok``.
    metrics
        Scores of the trained network on the validation samples, by name.
    costs
        Known costs, by the names of ``codesign.hardware.COST_UNITS``, exact before training.
    steps, epochs
        Fidelity: optimiser steps taken, and what they are in passes over the training samples.
    seed
        Seed of the training.
    seconds
        CPU time of training and scoring, in seconds.
    curve
        Rows of (step, training loss, validation loss).
    engine
        What trained: ``native`` or ``torch``; empty if nothing did.
    """

    number: int
    candidate: Candidate
    origin: str
    status: Status
    reason: str = ""
    metrics: Mapping[str, Summary] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)
    steps: int = 0
    epochs: float = 0.0
    seed: int = 0
    seconds: float = 0.0
    curve: tuple[tuple[int, float, float], ...] = ()
    engine: str = ""

    def __post_init__(self) -> None:
        """Reject an unknown status; freeze the mappings."""
        if self.status not in get_args(Status):
            raise ValueError(f"status is one of {', '.join(get_args(Status))}, got {self.status!r}")
        object.__setattr__(self, "metrics", MappingProxyType(dict(self.metrics)))
        object.__setattr__(self, "costs", MappingProxyType(dict(self.costs)))

    @property
    def ok(self) -> bool:
        """Whether it was trained and scored."""
        return self.status == "ok"

    @property
    def costs_of(self) -> str:
        """What the predicted costs are of: ``trained weights``, or a design ``before training``.

        Empty without predicted costs.
        """
        if "effective_bops" in self.costs:  # counted of weights, with which the rest is priced anew
            return "trained weights"
        return "before training" if "bops" in self.costs else ""

    def value(self, name: str) -> float:
        """Mean of a metric, or a cost."""
        return self.metrics[name].mean if name in self.metrics else self.costs[name]

    def minimised(self, objectives: tuple[Objective, ...]) -> tuple[float, ...]:
        """Objective values, signed so that less is better."""
        return tuple(objective.sign * self.value(objective.name) for objective in objectives)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "number": self.number,
            "digest": self.candidate.digest,
            "candidate": dict(self.candidate.values),
            "origin": self.origin,
            "status": self.status,
            "reason": self.reason,
            "metrics": {name: summary.to_dict() for name, summary in self.metrics.items()},
            "costs": dict(self.costs),
            "steps": self.steps,
            "epochs": self.epochs,
            "seed": self.seed,
            "seconds": self.seconds,
            "curve": [list(row) for row in self.curve],
            "engine": self.engine,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of ``to_dict``."""
        values = {name: value for name, value in data.items() if name != "digest"}
        values.setdefault("engine", "torch" if values["steps"] else "")  # older than the compiled engine
        values["candidate"] = Candidate(values["candidate"])
        values["metrics"] = {name: Summary(**summary) for name, summary in values["metrics"].items()}
        values["curve"] = tuple(
            (int(step), float(train), float(check)) for step, train, check in values["curve"]
        )
        return cls(**values)


def latest(history: Iterable[Evaluation]) -> list[Evaluation]:
    """One evaluation a design, in the order of the designs: the last that went well, or the last.

    A design that is trained in parts, rung by rung, has an evaluation after each.
    """
    found: dict[Candidate, Evaluation] = {}
    for evaluation in history:
        if evaluation.ok or not found.get(evaluation.candidate, evaluation).ok:
            found[evaluation.candidate] = evaluation
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Repeated:
    """A design that was trained with more seeds than one.

    Parameters
    ----------
    evaluations
        One a seed, the study's own first; each went well.
    """

    evaluations: tuple[Evaluation, ...]

    def __post_init__(self) -> None:
        """Reject what repeats nothing."""
        seeds = {each.seed for each in self.evaluations}
        if len(seeds) < 2 or len(seeds) < len(self.evaluations):
            raise ValueError(f"a repeated design has two seeds or more, each once; got {sorted(seeds)}")

    @property
    def candidate(self) -> Candidate:
        """The design."""
        return self.evaluations[0].candidate

    def __len__(self) -> int:
        return len(self.evaluations)

    def values(self, name: str) -> tuple[float, ...]:
        """A metric or a cost, one a seed."""
        return tuple(each.value(name) for each in self.evaluations)

    def mean(self, name: str) -> float:
        """Mean over seeds."""
        return float(np.mean(self.values(name)))

    def deviation(self, name: str) -> float:
        """Standard deviation over seeds, of the sample: divided by ``n - 1``."""
        return float(np.std(self.values(name), ddof=1))

    def averaged(self) -> Evaluation:
        """The study's own evaluation with the mean over seeds of every metric, and of costs."""
        own = self.evaluations[0]
        metrics = {name: replace(each, mean=self.mean(name)) for name, each in own.metrics.items()}
        return replace(own, metrics=metrics, costs={name: self.mean(name) for name in own.costs})

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: seeds, and of each metric the values, mean and deviation over seeds."""
        return {
            "digest": self.candidate.digest,
            "number": self.evaluations[0].number,
            "seeds": [each.seed for each in self.evaluations],
            "metrics": {
                name: {
                    "values": list(self.values(name)),
                    "mean": self.mean(name),
                    "deviation": self.deviation(name),
                }
                for name in self.evaluations[0].metrics
            },
        }


@dataclass(frozen=True, slots=True)
class Reference:
    """A design from elsewhere that a front is looked at beside.

    Parameters
    ----------
    name
        What tables and pictures call it.
    source
        File it was read from.
    values
        Costs, and the metrics that are known, by name.
    """

    name: str
    source: str
    values: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"name": self.name, "source": self.source, "values": dict(self.values)}
