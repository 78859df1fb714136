"""NSGA-II, one child at a time: an evolutionary search over the codes of the space.

Deb, Pratap, Agarwal, Meyarivan, *A fast and elitist multiobjective genetic algorithm: NSGA-II*, IEEE TEC
6(2), 2002. Parents win a binary tournament of the crowded comparison (section III.B: less non-dominated rank,
section III.A; of one rank the larger crowding distance); what breaks a budget of a measured objective loses
to what keeps all, and to what breaks them less (constrained domination, section VI).

What differs from the paper. There is no generation: every child is made from the best ``POPULATION`` of all
that was evaluated, so that no worker waits. Children that are known, invalid or over a known budget are made
anew, never evaluated. The codes are no real numbers: two parents exchange parameters, and of a group all its
layers or one by one. Then the child is edited as the neighbours of the space are (a value changed, a layer
put in or taken out), once on average: as often as a mutation of each of ``d`` parameters with probability
``1/d`` would.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from codesign.evaluation import Evaluation
from codesign.optimisers.observed import observed, seen
from codesign.optimisers.problem import Codes, Problem, Proposal
from codesign.pareto import dominance_ranks
from codesign.space import INACTIVE, Candidate, SearchSpace

__all__ = ["NSGA2", "crowding_distances"]

START = 10
POPULATION = 20
TRIES = 64
CROSSOVER = 0.9

FloatArray = NDArray[np.float64]


class NSGA2:
    """Evolutionary search by non-dominated rank and crowding distance."""

    name = "nsga2"

    def propose(
        self,
        problem: Problem,
        history: Sequence[Evaluation],
        pending: Sequence[Candidate],
        rng: np.random.Generator,
    ) -> Proposal | None:
        """A new child of two of the best; a random candidate for the first ``START``."""
        known = seen(problem, history, pending)
        codes, values = observed(problem, history)
        origin = "start"
        if len(known) >= START and len(codes) >= 2:
            child = _child(problem, codes, _fitness(problem, values), known, rng)
            if child is not None:
                return Proposal(problem.space.decode(child[None])[0], self.name)
            origin = f"random: no new child in {TRIES}"
        rows = problem.draw(1, rng, known)
        return Proposal(problem.space.decode(rows)[0], origin) if len(rows) else None


def crowding_distances(values: FloatArray) -> FloatArray:
    """Crowding distance of the points of one rank, shape ``(n,)``; infinite at the ends of an objective.

    The sum over objectives of the distance between the neighbours on either side, in units of the range
    (Deb et al. 2002, section III.B, "crowding-distance-assignment").

    Parameters
    ----------
    values
        Shape ``(n, m)``.
    """
    distances = np.zeros(len(values))
    for column in values.T:
        order = np.argsort(column, kind="stable")
        ordered = column[order]
        width = ordered[-1] - ordered[0]
        distances[order[1:-1]] += (ordered[2:] - ordered[:-2]) / (width if width > 0 else 1.0)
        distances[order[[0, -1]]] = np.inf
    return distances


def _fitness(problem: Problem, values: FloatArray) -> NDArray[np.int64]:
    """Rows of ``values`` by the crowded comparison, the best first, shape ``(n,)``."""
    ranks = dominance_ranks(values)
    broken = _broken(problem, values)
    ranks[broken > 0] = ranks.max() + 1 + np.unique(broken[broken > 0], return_inverse=True)[1]
    crowding = np.zeros(len(values))
    for rank in np.unique(ranks):
        crowding[ranks == rank] = crowding_distances(values[ranks == rank])
    return np.lexsort((-crowding, ranks))


def _broken(problem: Problem, values: FloatArray) -> FloatArray:
    """Sum of the relative excesses over the budgets of measured objectives, shape ``(n,)``; 0 within them."""
    total = np.zeros(len(values))
    for column, goal in enumerate(problem.measured_objectives):
        if goal.budget is not None:
            excess = (values[:, column] - goal.sign * goal.budget) / max(abs(goal.budget), 1e-12)
            total += np.maximum(excess, 0.0)
    return total


def _child(
    problem: Problem, codes: Codes, order: NDArray[np.int64], known: set[bytes], rng: np.random.Generator
) -> Codes | None:
    """A valid, new row within budget made from the best rows; None if ``TRIES`` make none."""
    best = codes[order[:POPULATION]]
    for _ in range(TRIES):
        mother, father = (best[rng.integers(len(best), size=2).min()] for _ in range(2))
        child = _crossed(problem.space, mother, father, rng) if rng.random() < CROSSOVER else mother
        if not problem.space.valid(child[None])[0]:
            continue
        for _ in range(rng.poisson(1.0)):
            near = problem.space.neighbour_codes(child)
            child = near[rng.integers(len(near))] if len(near) else child
        if child.tobytes() not in known and problem.feasible(child[None])[0]:
            return child
    return None


def _crossed(space: SearchSpace, mother: Codes, father: Codes, rng: np.random.Generator) -> Codes:
    """Each parameter of either parent; of a group all, or its number from one and each layer from either.

    What one parent lacks comes from the other; what does not exist beside the rest goes. Limits and
    constraints may be broken.
    """
    from_father: dict[tuple[str, int], bool] = {}
    whole: dict[str, bool] = {}
    child = mother.copy()
    for index, column in enumerate(space.columns):
        if column.group is None:
            whole[column.name] = bool(rng.random() < 0.5)
        name = column.group.name if column.group else column.name
        key = (name, 0 if whole[name] else column.number)
        if key not in from_father:
            from_father[key] = bool(rng.random() < 0.5)
        first, second = (father, mother) if from_father[key] else (mother, father)
        child[index] = first[index] if first[index] != INACTIVE else second[index]
    made: Codes = space.settled(child[None])[0]
    return made
