"""Random search: the reference that every other optimiser has to beat."""

from collections.abc import Sequence

import numpy as np

from codesign.evaluation import Evaluation
from codesign.optimisers.observed import seen
from codesign.optimisers.problem import Problem, Proposal
from codesign.space import Candidate

__all__ = ["RandomSearch"]


class RandomSearch:
    """Draws within budget, never the same design twice."""

    name = "random"

    def propose(
        self,
        problem: Problem,
        history: Sequence[Evaluation],
        pending: Sequence[Candidate],
        rng: np.random.Generator,
    ) -> Proposal | None:
        """A new random candidate within budget; None if none is left."""
        rows = problem.draw(1, rng, seen(problem, history, pending))
        return Proposal(problem.space.decode(rows)[0], self.name) if len(rows) else None
