"""The walk is even, always the same, and ends when the space does."""

from collections import Counter

import numpy as np
import pytest

from codesign.evaluation import Evaluation
from codesign.objectives import Objective
from codesign.optimisers import Problem
from codesign.optimisers.grid import Grid
from codesign.space import Candidate, Repeat, SearchSpace, integer

LAYER = (integer("a", 0, 7), integer("b", 0, 3))
SPACE = SearchSpace("layers", (Repeat("layers", LAYER, 1, 4), integer("c", 0, 15)))


def problem(space: SearchSpace, goal: str = "cost") -> Problem:
    return Problem(
        space,
        (Objective("error"), Objective.parse(goal)),
        lambda codes: {"cost": codes.sum(axis=1) + 100.0},
        frozenset({"cost"}),
    )


def walk(given: Problem, count: int, seed: int = 0) -> list[tuple[Candidate, str]]:
    found: list[tuple[Candidate, str]] = []
    rng = np.random.default_rng(seed)
    for _ in range(count):
        history = [Evaluation(n, each, origin, "failed") for n, (each, origin) in enumerate(found)]
        proposal = Grid().propose(given, history, [], rng)
        if proposal is None:
            break
        found.append((proposal.candidate, proposal.origin))
    return found


@pytest.mark.parametrize("count", [16, 32, 64])
def test_a_prefix_meets_every_value_about_as_often_as_another(count: int) -> None:
    """Within a half of evenly for what exists in every design, where chance alone is beyond that."""
    designs = [candidate for candidate, _ in walk(problem(SPACE), count)]
    for name, levels in (("layers", 4), ("a_1", 8), ("b_1", 4), ("c", 16)):
        met = Counter(design[name] for design in designs)
        assert len(met) == levels
        assert max(met.values()) <= 1.5 * count / levels + 1


def test_the_walk_is_the_same_whatever_the_seed_and_a_budget_leaves_designs_out_of_it() -> None:
    free = walk(problem(SPACE), 40, seed=1)
    assert free == walk(problem(SPACE), 40, seed=2)
    bounded = problem(SPACE, "cost<=115")
    within = [each for each in free if bounded.feasible(SPACE.encode([each[0]]))[0]]
    assert 5 < len(within) < 40
    assert walk(bounded, len(within)) == within


def test_the_rest_of_a_space_that_chance_hardly_meets_is_taken_too_and_says_so() -> None:
    """One design in a hundred thousand is within budget, and it is no point of the walk."""
    space = SearchSpace("wide", tuple(integer(name, 0, 9) for name in "abcde"))
    ((only, origin),) = walk(problem(space, "cost<=100"), 3)
    assert set(only.values.values()) == {0}
    assert origin in ("grid", "grid: rest in random order")
    small = SearchSpace("small", (integer("a", 0, 1), integer("b", 0, 1)))
    assert len(walk(problem(small), 9)) == 4
