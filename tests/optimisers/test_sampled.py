"""Spaces whose designs are built to be priced: few of them are, and the seed still decides the search."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codesign.evaluation import Evaluation
from codesign.hardware import Costs
from codesign.hardware.remembered import Remembered
from codesign.metrics import Summary
from codesign.objectives import Objective
from codesign.optimisers import load_optimiser
from codesign.optimisers.problem import FRESH, POOLED, Problem
from codesign.space import Candidate, Repeat, SearchSpace, integer, ordinal

Codes = NDArray[np.int16]
LAYER = Repeat("layers", (ordinal("units", tuple(range(1, 12))), integer("bits", 3, 6)), 1, 3)
LISTABLE = SearchSpace("listable", (LAYER,))
LARGE = SearchSpace("large", tuple(integer(name, 0, 9) for name in "abcdefghijkl"))
SMALL = SearchSpace("small", (integer("a", 0, 9), integer("b", 0, 9)))


def price(codes: Codes) -> Costs:
    return {"size": (codes + 1.0).sum(axis=1)}


def problem(space: SearchSpace, goal: str = "size", *, one_by_one: bool = True) -> tuple[Problem, Remembered]:
    costs = Remembered(price)
    goals = (Objective("error"), Objective.parse(goal))
    return Problem(space, goals, costs, frozenset({"size"}), one_by_one=one_by_one), costs


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_only_a_large_space_that_is_priced_one_by_one_is_sampled() -> None:
    assert LISTABLE.bound == 44 + 44**2 + 44**3 > POOLED > SMALL.bound
    assert problem(LISTABLE)[0].sampled
    assert not problem(LISTABLE, one_by_one=False)[0].sampled
    assert not problem(SMALL)[0].sampled
    assert problem(LISTABLE, one_by_one=False)[0].lists(100_000)
    assert not problem(LISTABLE)[0].lists(100_000)
    assert not problem(LARGE, one_by_one=False)[0].lists(100_000)


@pytest.mark.parametrize("space", [LISTABLE, LARGE], ids=lambda space: space.name)
def test_draws_price_the_pool_once_and_some_fresh_rows_each(space: SearchSpace) -> None:
    given_, costs = problem(space, "size<=1000")  # all keep it, which has to be looked at
    for seed in range(20):
        assert len(given_.draw(1024, rng(seed))) == 1024
        assert POOLED / 2 < len(costs) <= POOLED + (seed + 1) * FRESH


@given(st.integers(0, 2**32 - 1), st.integers(1, 600), st.sampled_from((12, 13, 30, 70, 200)))
@settings(deadline=None, max_examples=15)
def test_a_draw_is_distinct_new_and_within_budget_and_depends_on_nothing_before(
    seed: int, count: int, budget: int
) -> None:
    given_, _ = problem(LARGE, f"size<={budget}")
    first = given_.draw(50, rng(seed + 1))
    known = {row.tobytes() for row in first}
    rows = given_.draw(count, rng(seed), known)
    assert len({row.tobytes() for row in rows} - known) == len(rows) <= count
    assert given_.feasible(rows).all()
    assert LARGE.valid(rows).all()
    again = problem(LARGE, f"size<={budget}")[0].draw(count, rng(seed), known)
    np.testing.assert_array_equal(rows, again)


def test_what_chance_does_not_find_is_found_around_the_best() -> None:
    given_, costs = problem(LARGE, "size<=13")  # 13 of 1e12 designs
    assert len(given_.draw(50, rng())) == 13
    assert len(costs) < 3 * POOLED


def test_the_last_design_of_a_space_that_can_be_listed_is_found() -> None:
    rows = rng().permutation(LISTABLE.enumerate_codes())
    given_, _ = problem(LISTABLE)
    (last,) = given_.draw(5, rng(), (row.tobytes() for row in rows[1:]))
    np.testing.assert_array_equal(last, rows[0])


def proposed(who: str, given_: Problem, count: int) -> list[Candidate]:
    optimiser, history = load_optimiser(who), list[Evaluation]()
    for number in range(count):
        proposal = optimiser.propose(given_, history, [], rng(number))
        assert proposal is not None
        codes = given_.space.encode([proposal.candidate])
        error = Summary.of([float(np.cos(given_.space.features(codes)).sum())])
        history.append(
            Evaluation(number, proposal.candidate, proposal.origin, "ok", metrics={"error": error}, seed=0)
        )
    return [each.candidate for each in history]


@pytest.mark.parametrize("who", ["ehvi", "sherlock", "nsga2", "grid", "random"])
def test_no_optimiser_builds_the_whole_space(who: str) -> None:
    given_, costs = problem(LISTABLE)
    found = proposed(who, given_, 12)
    assert len(set(found)) == 12
    assert len(costs) < 3 * POOLED < LISTABLE.bound / 10


def test_what_is_priced_at_once_is_searched_whole() -> None:
    given_, costs = problem(LISTABLE, one_by_one=False)
    proposed("ehvi", given_, 10)
    assert len(costs) == LISTABLE.bound


def of(space: SearchSpace, found: Sequence[Candidate]) -> list[bytes]:
    return [row.tobytes() for row in space.encode(found)]


@pytest.mark.parametrize("who", ["ehvi", "sherlock", "nsga2"])
def test_a_small_space_is_searched_alike_either_way(who: str) -> None:
    either = [proposed(who, problem(SMALL, one_by_one=one)[0], 12) for one in (False, True)]
    assert of(SMALL, either[0]) == of(SMALL, either[1])
