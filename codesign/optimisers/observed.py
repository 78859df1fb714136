"""What a history says to an optimiser that keeps nothing between calls."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from codesign.evaluation import Evaluation, latest
from codesign.optimisers.problem import Codes, Problem
from codesign.space import Candidate

__all__ = ["observed", "seen"]

FloatArray = NDArray[np.float64]


def seen(problem: Problem, history: Iterable[Evaluation], pending: Iterable[Candidate]) -> set[bytes]:
    """Rows (``row.tobytes()``) that are evaluated or under way, however they ended."""
    known = [*(evaluation.candidate for evaluation in history), *pending]
    return {row.tobytes() for row in problem.space.encode(known)}


def observed(problem: Problem, history: Sequence[Evaluation]) -> tuple[Codes, FloatArray]:
    """Codes ``(n, d)`` and values ``(n, m)`` of the designs that ended with finite values, in order.

    Of a design that was evaluated several times, the ``latest`` counts. The columns are the measured
    objectives, as they were measured, then the known ones, exact; all are signed so that less is better.
    """
    goals = problem.measured_objectives
    scored = [(each, each.minimised(goals)) for each in latest(history) if each.ok]
    kept = [(each.candidate, values) for each, values in scored if np.isfinite(values).all()]
    codes = problem.space.encode([candidate for candidate, _ in kept])
    measured = np.array([values for _, values in kept], dtype=np.float64).reshape(len(kept), len(goals))
    exact = problem.known_values(codes) if len(kept) else np.zeros((0, len(problem.known_objectives)))
    return codes, np.concatenate([measured, exact], axis=1)
