"""Which rows of a space a Bayesian optimiser looks at, and what is worth having."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from codesign.evaluation import Evaluation
from codesign.objectives import Objective
from codesign.optimisers.problem import Codes, Problem, unseen
from codesign.pareto import non_dominated
from codesign.space import Candidate

__all__ = ["START", "best_row", "coordinates", "reference_of", "start_row"]

START = 8
EDITS_FROM_BASELINE = 4
SEEDS_OF_LOCAL_SEARCH = 4
ROUNDS_OF_LOCAL_SEARCH = 4
LOG_RANGE = 10.0
HINTS = frozenset({"operations", "weight_bits", "bops", "latency_cycles"})
WORTH = 1.5

FloatArray = NDArray[np.float64]


def start_row(
    problem: Problem, pool: Codes, known: Sequence[Candidate], seen: set[bytes], rng: np.random.Generator
) -> Codes:
    """In turns the farthest from all before and, if there is a baseline, a walk of some edits from it."""
    if problem.baseline is not None and len(known) % 2 == 0:
        row: Codes = problem.space.encode([problem.baseline])[0]
        for _ in range(EDITS_FROM_BASELINE):
            near = problem.space.neighbour_codes(row)
            near = near[problem.feasible(near)]
            row = near[rng.integers(len(near))] if len(near) else row
        if problem.feasible(row[None])[0] and row.tobytes() not in seen:
            return row
    farthest: Codes = pool[_farthest(problem, pool, known)]
    return farthest


def _farthest(problem: Problem, pool: Codes, known: Sequence[Candidate]) -> int:
    """Corner-anchored maximin: the cheapest, the dearest, then the farthest from all before."""
    place = coordinates(problem, pool)
    if len(known) < 3 and problem.known_objectives:
        ranks = problem.known_values(pool).argsort(axis=0).argsort(axis=0).sum(axis=1)
        return int(ranks.argmin() if len(known) % 2 else ranks.argmax())
    if not known:
        return 0
    before = coordinates(problem, problem.space.encode(known))
    distance = ((place[:, None, :] - before[None, :, :]) ** 2).sum(axis=2)
    return int(distance.min(axis=1).argmax())


def coordinates(problem: Problem, codes: Codes) -> FloatArray:
    """Features and the logarithm of costs that hint at quality: what the surrogate sees of a candidate."""
    features = problem.space.features(codes)
    goals = {goal.name for goal in (*problem.known_objectives, *problem.limits)}
    names = sorted(goals | (HINTS & problem.known))
    if not names:
        return features
    costs = problem.costs(codes)
    logs = np.stack([np.log1p(np.abs(costs[name])) for name in names], axis=1)
    return np.concatenate([features, logs / LOG_RANGE], axis=1)


def reference_of(
    problem: Problem,
    learnt: Sequence[Evaluation],
    values: FloatArray,
    scale: Callable[[FloatArray], FloatArray],
) -> FloatArray:
    """Reference point in scaled objectives: measured ones first, then known ones.

    A budget bounds an objective, and ``WORTH`` times the baseline's value a measured one: what is worse than
    that is no trade, however cheap. The tighter counts. What nothing bounds takes the worst of the front and
    the worst seen in turns, each with a tenth of its range; the front's nadir alone is a trap, for once a
    front has few points, nothing outside its box improves it.
    """
    chosen = values[non_dominated(values)] if len(learnt) % 2 else values
    corner: FloatArray = chosen.max(axis=0) + 0.1 * np.maximum(np.ptp(chosen, axis=0), 0.1)
    goals = (*problem.measured_objectives, *problem.known_objectives)
    baseline = next((evaluation for evaluation in learnt if evaluation.candidate == problem.baseline), None)
    bounds = np.array([_bound(goal, baseline, goal.name not in problem.known) for goal in goals])
    given = np.isfinite(bounds)
    bounded = np.where(given, scale(np.where(given, bounds, 1.0)), np.inf)
    reachable = given & (values.min(axis=0) < bounded)
    return np.where(reachable, bounded, corner)


def _bound(goal: Objective, baseline: Evaluation | None, measured: bool) -> float:
    """Worst value worth having, signed so that less is better; infinite if nothing says."""
    bound = float("inf") if goal.budget is None else goal.sign * goal.budget
    if measured and baseline is not None and goal.sign * baseline.value(goal.name) > 0:
        bound = min(bound, WORTH * goal.sign * baseline.value(goal.name))
    return bound


def best_row(problem: Problem, score: Callable[[Codes], FloatArray], codes: Codes, seen: set[bytes]) -> Codes:
    """Best row of a pool, improved by rounds over the neighbours of the best few."""
    tried = set(seen)
    rows, scores = np.empty((0, codes.shape[1]), dtype=np.int16), np.empty(0)
    for _ in range(1 + ROUNDS_OF_LOCAL_SEARCH):
        fresh = _fresh(problem, codes, tried)
        if not len(fresh):
            break
        best_before = scores[0] if len(scores) else -np.inf
        rows, scores = np.concatenate([rows, fresh]), np.concatenate([scores, score(fresh)])
        order = np.argsort(-scores, kind="stable")[:SEEDS_OF_LOCAL_SEARCH]
        rows, scores = rows[order], scores[order]
        if scores[0] <= best_before:
            break
        codes = np.concatenate([problem.space.neighbour_codes(row) for row in rows])
    found: Codes = rows[0]
    return found


def _fresh(problem: Problem, codes: Codes, tried: set[bytes]) -> Codes:
    """Distinct rows within budget that were not tried; they are marked as tried."""
    rows = np.array(unseen(codes, tried), dtype=np.int16).reshape(-1, codes.shape[1])
    return rows[problem.feasible(rows)] if len(rows) else rows
