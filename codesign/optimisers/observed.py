"""What a history says to an optimiser that keeps nothing between calls."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from codesign.evaluation import Evaluation, latest
from codesign.optimisers.problem import Codes, Problem
from codesign.space import Candidate

__all__ = ["observed", "scored", "seen", "valued"]

FloatArray = NDArray[np.float64]


def seen(problem: Problem, history: Iterable[Evaluation], pending: Iterable[Candidate]) -> set[bytes]:
    """Rows (``row.tobytes()``) that are evaluated or under way, however they ended."""
    known = [*(evaluation.candidate for evaluation in history), *pending]
    return {row.tobytes() for row in problem.space.encode(known)}


def scored(problem: Problem, history: Iterable[Evaluation]) -> list[Evaluation]:
    """Those that ended well, with finite measured objectives, in order."""
    goals = problem.measured_objectives
    return [each for each in history if each.ok and np.isfinite(each.minimised(goals)).all()]


def valued(problem: Problem, evaluations: Sequence[Evaluation]) -> tuple[Codes, FloatArray]:
    """Codes ``(n, d)`` and values ``(n, m)`` of evaluations that ended well.

    The columns are the measured objectives, as they were measured, then the known ones, exact; all are signed
    so that less is better.
    """
    goals = problem.measured_objectives
    codes = problem.space.encode([each.candidate for each in evaluations])
    rows = [each.minimised(goals) for each in evaluations]
    measured = np.array(rows, dtype=np.float64).reshape(len(rows), len(goals))
    exact = problem.known_values(codes) if len(rows) else np.zeros((0, len(problem.known_objectives)))
    return codes, np.concatenate([measured, exact], axis=1)


def observed(problem: Problem, history: Sequence[Evaluation]) -> tuple[Codes, FloatArray]:
    """``valued`` of the designs that are ``scored``; of a design with several evaluations the ``latest``."""
    return valued(problem, scored(problem, latest(history)))
