"""What a history says to an optimiser that keeps nothing between calls."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.evaluation import Evaluation
from codesign.optimisers.problem import Codes, Problem
from codesign.space import Candidate

__all__ = ["Observations", "observed", "scored", "seen", "valued"]

FloatArray = NDArray[np.float64]


def seen(problem: Problem, history: Iterable[Evaluation], pending: Iterable[Candidate]) -> set[bytes]:
    """Rows (``row.tobytes()``) that are evaluated or under way, however they ended."""
    known = [*(evaluation.candidate for evaluation in history), *pending]
    return {row.tobytes() for row in problem.space.encode(known)}


def scored(problem: Problem, history: Iterable[Evaluation]) -> list[Evaluation]:
    """Those that ended well, with finite measured objectives, in order."""
    goals = problem.measured_objectives
    return [each for each in history if each.ok and np.isfinite(each.minimised(goals)).all()]


def valued(
    problem: Problem, evaluations: Sequence[Evaluation], codes: Codes | None = None
) -> tuple[Codes, FloatArray]:
    """Codes ``(n, d)``, encoded if they are not given, and values ``(n, m)`` of evaluations that ended well.

    The columns are the measured objectives, as they were measured, then the known ones, exact; all are signed
    so that less is better.
    """
    goals = problem.measured_objectives
    if codes is None:
        codes = problem.space.encode([each.candidate for each in evaluations])
    rows = [each.minimised(goals) for each in evaluations]
    measured = np.array(rows, dtype=np.float64).reshape(len(rows), len(goals))
    exact = problem.known_values(codes) if len(rows) else np.zeros((0, len(problem.known_objectives)))
    return codes, np.concatenate([measured, exact], axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class Observations:
    """Every evaluation that ended well, one a row: parts of trainings and repeated ones each count.

    Parameters
    ----------
    codes, values
        Shapes ``(n, d)`` and ``(n, m)``, as of ``valued``.
    fidelity
        Logarithm of the part of a full training, ``(n,)``; 0 of a full one.
    design
        Which rows are of one design, ``(n,)``: numbers from 0 by first appearance.
    """

    codes: Codes
    values: FloatArray
    fidelity: FloatArray
    design: NDArray[np.int64]

    @classmethod
    def of(cls, problem: Problem, history: Sequence[Evaluation], rows: Codes | None = None) -> "Observations":
        """Those of a history, in its order; ``rows`` are its codes, if they are there already."""
        told = scored(problem, history)
        if rows is not None:
            kept = {id(each) for each in told}
            rows = rows[[id(each) in kept for each in history]]
        codes, values = valued(problem, told, rows)
        numbers: dict[bytes, int] = {}
        design = [numbers.setdefault(row.tobytes(), len(numbers)) for row in codes]
        fidelity = np.array([problem.fidelity(each) for each in told], dtype=np.float64)
        return cls(codes, values, fidelity, np.array(design, dtype=np.int64))

    @property
    def count(self) -> int:
        """Number of designs."""
        return int(self.design.max(initial=-1)) + 1

    def first(self, size: int) -> "Observations":
        """The first rows."""
        return Observations(self.codes[:size], self.values[:size], self.fidelity[:size], self.design[:size])

    def begins(self, other: "Observations") -> bool:
        """Whether the other's first rows are these."""
        start = other.first(len(self.codes))
        return (
            np.array_equal(self.codes, start.codes)
            and np.array_equal(self.values, start.values)
            and np.array_equal(self.fidelity, start.fidelity)
        )

    def designs(self) -> "Observations":
        """One row a design: the mean of those that were trained longest."""
        longest = np.full(self.count, -np.inf)
        np.maximum.at(longest, self.design, self.fidelity)
        kept = self.fidelity == longest[self.design]
        design, values = self.design[kept], self.values[kept]
        _, first, repeats = np.unique(design, return_index=True, return_counts=True)
        means = np.zeros((self.count, values.shape[1]))
        np.add.at(means, design, values / repeats[design, None])
        return Observations(self.codes[kept][first], means, longest, np.arange(self.count))


def observed(problem: Problem, history: Sequence[Evaluation]) -> tuple[Codes, FloatArray]:
    """Codes and values of the designs that are ``scored``: of each the mean of what was trained longest."""
    found = Observations.of(problem, history).designs()
    return found.codes, found.values
