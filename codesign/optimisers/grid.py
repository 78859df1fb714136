"""A grid search that may stop anywhere: the space is walked evenly, in an order that is always the same.

A grid of all values in turn is of use only when it is done: after the first tenth it has seen a tenth of the
values of its first parameter. Here the points of a Sobol sequence are walked instead (Sobol, USSR Comp. Math.
and Math. Phys. 7(4), 1967), scrambled once and for all (Owen, *Scrambling Sobol' and Niederreiter-Xing
points*, J. Complexity 14(4), 1998). Each parameter and each number of layers is one coordinate, so after any
power of two of points each of its values was met about equally often. Points that are no valid design, over a
budget, or met before are left out.

So nothing has to be listed, whatever the size of the space. In a small space the walk comes back to designs
it has met; when ``MOST`` points bring nothing new, the rest is taken in a random order, which is always the
same too, and the proposal says so.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats.qmc import Sobol

from codesign.evaluation import Evaluation
from codesign.optimisers.observed import seen
from codesign.optimisers.problem import Codes, Problem, Proposal
from codesign.space import Candidate, SearchSpace

__all__ = ["Grid"]

LEAST = 1 << 8
MOST = 1 << 14


class Grid:
    """Walks the space evenly, in a fixed order; the random generator is not used."""

    name = "grid"

    def propose(
        self,
        problem: Problem,
        history: Sequence[Evaluation],
        pending: Sequence[Candidate],
        rng: np.random.Generator,
    ) -> Proposal | None:
        """The first point of the walk that is new and within budget; None if none is left."""
        known = seen(problem, history, pending)
        row = _next(problem, known)
        if row is not None:
            return Proposal(problem.space.decode(row[None])[0], self.name)
        rows = problem.draw(1, np.random.default_rng(0), known)
        origin = f"{self.name}: rest in random order"
        return Proposal(problem.space.decode(rows)[0], origin) if len(rows) else None


def _next(problem: Problem, known: set[bytes]) -> Codes | None:
    """The first row of the walk that is within budget and not known."""
    points, start = Sobol(len(problem.space.columns), scramble=True, rng=0), 0
    while start < MOST:
        end = max(2 * start, LEAST)
        rows = _rows(problem.space, points.random(end - start))
        new: list[Codes] = [row for row in rows[problem.space.valid(rows)] if row.tobytes() not in known]
        if new:
            within = np.flatnonzero(problem.feasible(np.array(new)))
            if len(within):
                return new[int(within[0])]
        start = end
    return None


def _rows(space: SearchSpace, points: NDArray[np.float64]) -> Codes:
    """Codes ``(n, d)`` of points of the unit cube; what does not exist beside the others is left out."""
    levels = np.array([len(column.parameter.values) for column in space.columns])
    rows: Codes = (points * levels).astype(np.int16)
    return space.settled(rows)
