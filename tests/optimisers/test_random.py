from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.evaluation import Evaluation
from codesign.objectives import Objective
from codesign.optimisers.problem import Problem
from codesign.optimisers.random import RandomSearch
from codesign.space import Candidate, SearchSpace, integer

SPACE = SearchSpace("grid", (integer("a", 0, 4), integer("b", 0, 4)))


def price(codes: NDArray[np.int16]) -> dict[str, Any]:
    return {"sum": codes.sum(axis=1).astype(np.float64)}


PROBLEM = Problem(SPACE, (Objective("error"), Objective("sum", budget=3.0)), price, frozenset({"sum"}))
WITHIN = 1 + 2 + 3 + 4


def propose(history: list[Candidate], pending: list[Candidate], seed: int) -> Candidate | None:
    evaluations = [Evaluation(n, candidate, "test", "failed") for n, candidate in enumerate(history)]
    proposal = RandomSearch().propose(PROBLEM, evaluations, pending, np.random.default_rng(seed))
    assert proposal is None or proposal.origin == "random"
    return proposal.candidate if proposal else None


def test_every_design_within_budget_is_proposed_once_then_none() -> None:
    proposed: list[Candidate] = []
    for turn in range(WITHIN):
        half = len(proposed) // 2
        candidate = propose(proposed[:half], proposed[half:], turn)
        assert candidate is not None
        proposed.append(candidate)
    assert len(set(proposed)) == WITHIN
    assert PROBLEM.feasible(SPACE.encode(proposed)).all()
    assert propose(proposed, [], 99) is None
    assert propose([], proposed, 99) is None


def test_the_same_seed_proposes_the_same_and_others_others() -> None:
    assert propose([], [], 5) == propose([], [], 5)
    drawn = Counter(propose([], [], seed) for seed in range(60))
    assert len(drawn) > WITHIN / 2
