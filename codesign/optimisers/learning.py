"""The surrogates that a study's history gives, kept from one proposal to the next.

The hyperparameters follow from the history alone: they are fitted when a tenth of the observations is new,
from where the fit before ended, so that a study that was resumed goes on as if it had not stopped. What is
kept between calls only saves doing that again.
"""

from math import ceil

import numpy as np
from numpy.typing import NDArray

from codesign.optimisers.observed import Observations
from codesign.optimisers.problem import Problem
from codesign.optimisers.proposing import coordinates
from codesign.optimisers.surrogates import REFIT, Scale, Surrogates

__all__ = ["LEAST", "Learner", "in_full"]

LEAST = 2
"""Observations that surrogates need."""

FloatArray = NDArray[np.float64]


class Learner:
    """Surrogates of a problem's history."""

    def __init__(self) -> None:
        self._fitted: tuple[Problem, Observations, Surrogates] | None = None

    def surrogates(self, problem: Problem, told: Observations) -> Surrogates:
        """Fitted at each size a tenth above the last, then with the rows since.

        Parameters
        ----------
        problem
            The goals, the space and what is known.
        told
            Every observation, at least ``LEAST``.
        """
        before, done = None, 0
        if self._fitted is not None:
            of, old, surrogates = self._fitted
            if of is problem and old.begins(told):
                before, done = surrogates, len(old.codes)
        inputs = coordinates(problem, told.codes)
        for size in _sizes(len(inputs)):
            if size > done:
                before = _of_first(size, inputs, told, problem, before)
                self._fitted = problem, told.first(size), before
        return _of_first(len(inputs), inputs, told, problem, before)


def in_full(problem: Problem, surrogates: Surrogates, designs: Observations, scale: Scale) -> FloatArray:
    """Scaled values ``(n, m)`` of designs: as measured if trained in full, else what is predicted of that."""
    values = scale(designs.values)
    part = np.flatnonzero(designs.fidelity < 0)
    if len(part):
        codes = designs.codes[part]
        values[part], _ = surrogates.predict(coordinates(problem, codes), problem.known_values(codes))
    return values


def _sizes(count: int) -> list[int]:
    """Numbers of designs at which hyperparameters are fitted, up to ``count``."""
    sizes = [LEAST]
    while (larger := max(sizes[-1] + 1, ceil(REFIT * sizes[-1]))) <= count:
        sizes.append(larger)
    return sizes


def _of_first(
    size: int, inputs: FloatArray, told: Observations, problem: Problem, before: Surrogates | None
) -> Surrogates:
    values, measured = told.values[:size], len(problem.measured_objectives)
    parts = (told.fidelity[:size], told.design[:size]) if problem.steps else None
    every = np.ones(size, dtype=bool)
    scale = Scale.of(values, problem.goals)
    return Surrogates.fit(inputs[:size], values[:, :measured], every, scale, before, often=0, parts=parts)
