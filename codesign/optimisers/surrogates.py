"""What an evaluation is expected to gain: surrogates of what is measured, exact values of what is known.

The one core of ``search_table`` and of the optimiser ``ehvi``. Values come in one array, the measured
objectives first, then the known ones, all signed so that less is better.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from codesign.objectives import Objective
from codesign.optimisers.fidelity import lifted
from codesign.optimisers.gaussian import GaussianProcess, varied
from codesign.optimisers.improvement import boxes, log_expected_gain
from codesign.pareto import non_dominated

__all__ = ["REFIT", "Scale", "Surrogates", "corner_anchored", "reference"]

FloatArray = NDArray[np.float64]

MARGIN = 0.1
WIDE = 1.2
WIDEST = 1e9
HUGEST = 1e100
OFTEN = 100
REFIT = 1.1
CHUNK = 8192


@dataclass(frozen=True, slots=True)
class Scale:
    """Which objectives are seen as logarithms: those that are positive, not all alike, and not absurdly wide.

    Hardware costs are products of choices and span decades; equal ratios are worth the same. What comes down
    to the rounding of a zero spans too many. An objective may say otherwise.
    """

    logarithm: NDArray[np.bool_]

    @classmethod
    def of(cls, values: FloatArray, goals: Sequence[Objective] = ()) -> "Scale":
        """By the values seen, shape ``(n, m)``, and by what the objectives say, if they are given."""
        if not len(values):
            return cls(np.zeros(values.shape[1], dtype=bool))
        low, high = values.min(axis=0), values.max(axis=0)
        own = (low > 0) & (high > WIDE * low) & (high < WIDEST * low)
        for column, goal in enumerate(goals):
            if goal.scale != "auto":
                own[column] = goal.scale == "log" and low[column] > 0
        return cls(own)

    def __call__(self, values: FloatArray) -> FloatArray:
        """Values ``(n, m)`` as they are modelled; what no square holds is cut to ``HUGEST``."""
        logs = np.log(np.where(self.logarithm, np.maximum(values, 1e-300), 1.0))
        scaled: FloatArray = np.where(self.logarithm, logs, np.clip(values, -HUGEST, HUGEST))
        return scaled


def reference(values: FloatArray, turn: int) -> FloatArray:
    """Reference point of the turn, shape ``(m,)``: the front's nadir or the worst seen, each a tenth further.

    The nadir alone is a trap: once a front has few points, nothing outside its box improves it. The worst
    alone spends evaluations far from the front.
    """
    width = np.ptp(values, axis=0)
    chosen = values if turn % 2 else values[non_dominated(values)]
    least = np.where(width > 0, 1e-3 * width, 1.0)
    corner: FloatArray = chosen.max(axis=0) + MARGIN * np.maximum(np.ptp(chosen, axis=0), least)
    return corner


def corner_anchored(inputs: FloatArray, before: FloatArray, rng: np.random.Generator) -> int:
    """The next row of a start design: all low, all high, then the farthest from all before; ties by chance.

    Parameters
    ----------
    inputs
        Rows to choose from, ``(q, d)``, in the unit cube.
    before
        Rows already chosen, ``(n, d)``.
    """
    tie = 1e-9 * rng.random(len(inputs))
    if len(before) < 2:
        sums = inputs.sum(axis=1)
        return int((tie + (sums if len(before) else -sums)).argmax())
    nearest = np.full(len(inputs), np.inf)
    for row in before:
        nearest = np.minimum(nearest, ((inputs - row) ** 2).sum(axis=1))
    return int((nearest + tie).argmax())


@dataclass(frozen=True, slots=True)
class Surrogates:
    """A Gaussian process for each measured objective, and for whether an evaluation succeeds if some did not.

    Parameters
    ----------
    objectives
        One process each, of the scaled values.
    success
        Of 1 and 0; None while nothing failed.
    scale
        How values are scaled.
    """

    objectives: tuple[GaussianProcess, ...]
    success: GaussianProcess | None
    scale: Scale

    @classmethod
    def fit(
        cls,
        inputs: FloatArray,
        measured: FloatArray,
        ok: NDArray[np.bool_],
        scale: Scale,
        before: "Surrogates | None" = None,
        often: int = OFTEN,
        parts: tuple[FloatArray, NDArray[np.int64]] | None = None,
    ) -> "Surrogates":
        """Surrogates of some evaluations.

        Parameters
        ----------
        inputs, ok
            Coordinates ``(n, d)`` of the evaluations, and which ended well ``(n,)``: at least one.
        measured
            Measured objectives of those that did, ``(k, j)``.
        scale
            Of all objectives, the measured ones first.
        before
            Surrogates of the first of these evaluations: searches start there, and above ``often``
            observations rows are added until a tenth is new.
        often
            Up to how many observations everything is fitted anew each time.
        parts
            Where these are parts of trainings: fidelity and number of the design of each that ended well,
            ``(k,)``, as ``lifted`` takes them.
        """
        scaled = Scale(scale.logarithm[: measured.shape[1]])(measured)
        noises: list[FloatArray | None] = [None] * measured.shape[1]
        if parts is not None:
            scaled, relative = lifted(scaled, *parts)
            noises = list(relative.T)
        old = before.objectives if before else (None,) * measured.shape[1]
        objectives = tuple(
            _updated(process, inputs[ok], column, often, noise)
            for process, column, noise in zip(old, scaled.T, noises, strict=True)
        )
        success = None
        if not ok.all():
            success = _updated(before.success if before else None, inputs, ok.astype(np.float64), often)
        return cls(objectives, success, scale)

    def supposing(self, pending: FloatArray) -> "Surrogates":
        """As if evaluations under way, shape ``(p, d)``, ended with what is predicted (posterior means)."""
        if not len(pending):
            return self
        supposed = tuple(each.extended(pending, each.predict(pending)[0]) for each in self.objectives)
        return Surrogates(supposed, self.success, self.scale)

    def predict(self, inputs: FloatArray, known: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Scaled means and deviations, each ``(q, m)``; ``known`` are values ``(q, k)``, of deviation 0."""
        columns = [each.predict(inputs) for each in self.objectives]
        measured = len(columns)
        exact = self.scale(np.concatenate([np.ones((len(inputs), measured)), known], axis=1))
        deviation = np.zeros_like(exact)
        for index, (mean, variance) in enumerate(columns):
            exact[:, index], deviation[:, index] = mean, np.sqrt(variance)
        return exact, deviation

    def log_gains(
        self, inputs: FloatArray, known: FloatArray, front: FloatArray, corner: FloatArray
    ) -> FloatArray:
        """Logarithm of the expected hypervolume that each candidate adds, shape ``(q,)``.

        Parameters
        ----------
        inputs, known
            Coordinates ``(q, d)`` and known objectives ``(q, k)`` of the candidates.
        front, corner
            Scaled values ``(n, m)`` to improve on, and the reference point ``(m,)``.
        """
        lower, upper = boxes(front, corner)
        parts = []
        for start in range(0, len(inputs), CHUNK):
            rows = slice(start, start + CHUNK)
            gains = log_expected_gain(*self.predict(inputs[rows], known[rows]), lower, upper)
            if self.success is not None:
                mean, variance = self.success.predict(inputs[rows])
                gains = gains + log_ndtr((mean - 0.5) / np.sqrt(variance))
            parts.append(gains)
        return np.concatenate(parts) if parts else np.zeros(0)

    def errors(self) -> FloatArray:
        """Leave-one-out error of each measured objective over that of the mean, shape ``(j,)``.

        From 1 on a surrogate tells no more than the mean of all observations does. NaN where all are alike.
        """
        ratios = []
        for each in self.objectives:
            n, spread = len(each.outcomes), float(each.outcomes.std())
            missed = float(np.sqrt(np.mean((each.leave_one_out()[0] - each.outcomes) ** 2)))
            told = n > 2 and varied(each.outcomes)
            ratios.append(missed / (spread * n / (n - 1)) if told else np.nan)
        return np.array(ratios)


def _updated(
    old: GaussianProcess | None,
    inputs: FloatArray,
    outcomes: FloatArray,
    often: int,
    relative: FloatArray | None = None,
) -> GaussianProcess:
    """Rows added to the old process where that will do, else a new fit that starts from it.

    With relative noises, which all change as more is known, the old process's hyperparameters.
    """
    if old is None:
        return GaussianProcess.fit(inputs, outcomes, relative=relative)
    n = len(old.inputs)
    few = often < len(inputs) < REFIT * old.fitted
    if relative is not None and few:
        process = GaussianProcess.condition(inputs, outcomes, old.hyperparameters, relative)
        return replace(process, fitted=old.fitted)
    same = np.array_equal(old.inputs, inputs[:n]) and np.array_equal(old.outcomes, outcomes[:n])
    if relative is None and same and len(inputs) == n:
        return old
    if relative is None and same and few:
        return old.extended(inputs[n:], outcomes[n:])
    return GaussianProcess.fit(inputs, outcomes, old.hyperparameters, relative)
