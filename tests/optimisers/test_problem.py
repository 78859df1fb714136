import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codesign.errors import BudgetError
from codesign.hardware import COST_UNITS, Device
from codesign.objectives import Objective
from codesign.optimisers.problem import CHUNK, Problem
from codesign.space import Repeat, SearchSpace, categorical, integer, ordinal
from hardware_models.asic import AsicModel
from search_spaces import econt

Codes = NDArray[np.int16]
Prices = Mapping[str, NDArray[np.float64]]

SMALL = SearchSpace(
    "small",
    (
        Repeat("layers", (ordinal("units", (1, 2, 4)), categorical("kind", ("a", "b"))), 0, 2),
        integer("bits", 1, 3),
    ),
)
LONE = SearchSpace("lone", (integer("bits", 4, 4),))
LARGE = SearchSpace("large", tuple(integer(name, 0, 9) for name in "abcdefghijkl"))

EVERYTHING = SMALL.enumerate_codes()
seeds = st.integers(0, 2**32 - 1)
examples = settings(deadline=None, max_examples=25)


def price(codes: Codes) -> Prices:
    """Costs by a formula that has no pattern a descent could follow."""
    assert len(codes)
    numbers = codes.astype(np.int64) @ (7 ** np.arange(codes.shape[1]) % 1009)
    return {"size": (codes + 1.0).sum(axis=1), "noise": (numbers * 7919 % 1013).astype(np.float64)}


def problem(space: SearchSpace, *goals: str, limits: tuple[str, ...] = ()) -> Problem:
    return Problem(
        space,
        tuple(Objective.parse(goal) for goal in ("error", *goals)),
        price,
        frozenset({"size", "noise"}),
        tuple(Objective.parse(limit) for limit in limits),
    )


def asic(*budgets: str) -> Problem:
    def of(codes: Codes) -> Prices:
        return AsicModel().price(econt.workload(codes), Device())

    return Problem(
        econt.SPACE,
        (Objective("emd"), *(Objective.parse(text) for text in budgets)),
        of,
        frozenset(COST_UNITS),
    )


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def keys(codes: Codes) -> list[bytes]:
    return [row.tobytes() for row in codes]


def test_objectives_are_known_or_measured() -> None:
    both = problem(SMALL, "size<=4", "max noise", limits=("noise<=9",))
    assert [goal.name for goal in both.measured_objectives] == ["error"]
    assert [goal.name for goal in both.known_objectives] == ["size", "noise"]
    assert [goal.spelling for goal in both.bounded] == ["size<=4.0", "noise<=9.0"]
    values, costs = both.known_values(EVERYTHING), price(EVERYTHING)
    np.testing.assert_array_equal(values, np.stack([costs["size"], -costs["noise"]], axis=1))
    assert problem(SMALL).known_values(EVERYTHING).shape == (len(EVERYTHING), 0)


@given(st.floats(-3, 20), st.floats(-3, 1100), st.sampled_from(("<=", ">=")))
@examples
def test_a_row_is_feasible_if_every_budget_admits_it(size: float, noise: float, relation: str) -> None:
    limit = f"{'max ' if relation == '>=' else ''}noise{relation}{noise!r}"
    bounded = problem(SMALL, f"size<={size!r}", limits=(limit,))
    costs = price(EVERYTHING)
    expected = [
        all(goal.admits(float(costs[goal.name][row])) for goal in bounded.bounded)
        for row in range(len(EVERYTHING))
    ]
    np.testing.assert_array_equal(bounded.feasible(EVERYTHING), expected)
    broken = [bounded.over_budget(candidate) for candidate in SMALL.decode(EVERYTHING)]
    assert [text == "" for text in broken] == expected


def test_excess_is_relative_and_the_largest_counts() -> None:
    bounded = problem(SMALL, "size<=4", limits=("max noise>=100",))
    costs = price(EVERYTHING)
    expected = np.maximum(costs["size"] / 4 - 1, 1 - costs["noise"] / 100)
    np.testing.assert_allclose(bounded.excess(EVERYTHING), expected)
    assert (problem(SMALL).excess(EVERYTHING) == -np.inf).all()


def test_over_budget_names_every_budget_that_is_broken() -> None:
    candidate = SMALL.candidate({"bits": 3})
    (noise,) = price(SMALL.encode([candidate]))["noise"]
    text = problem(SMALL, "size<=1", limits=("noise<=-1", "size<=100")).over_budget(candidate)
    assert text == f"size is 4, budget 1; noise is {noise:g}, budget -1"


@given(seeds, st.integers(0, 60), st.floats(3, 20), st.integers(0, 60))
@examples
def test_a_draw_is_distinct_new_within_budget_and_complete(
    seed: int, count: int, budget: float, excluded: int
) -> None:
    bounded = problem(SMALL, f"size<={budget!r}")
    exclude = set(keys(rng(seed).permutation(EVERYTHING)[:excluded]))
    drawn = bounded.draw(count, rng(seed), exclude)
    there_are = set(keys(EVERYTHING[bounded.feasible(EVERYTHING)])) - exclude
    assert drawn.shape == (min(count, len(there_are)), len(SMALL.columns))
    assert drawn.dtype == np.int16
    assert len(set(keys(drawn))) == len(drawn)
    assert set(keys(drawn)) <= there_are


def test_the_same_seed_draws_the_same() -> None:
    for bounded in (problem(LARGE), problem(LARGE, "size<=16")):
        one, same, other = (bounded.draw(9, rng(seed)) for seed in (1, 1, 2))
        np.testing.assert_array_equal(one, same)
        assert set(keys(one)) != set(keys(other))


def test_numbers_of_layers_are_drawn_evenly() -> None:
    depths = Counter(int(problem(SMALL).draw(1, rng(seed))[0, 0]) for seed in range(300))
    assert all(70 < depths[depth] < 130 for depth in range(3))


def test_no_row_is_priced_twice_where_hardly_any_are_left() -> None:
    priced: Counter[bytes] = Counter()

    def counting(codes: Codes) -> Prices:
        priced.update(keys(codes))
        return price(codes)

    bounded = replace(problem(SMALL, "size<=3"), price=counting)
    assert len(bounded.draw(50, rng())) < 50
    assert set(priced.values()) == {1}
    assert len(priced) == len(EVERYTHING)


@pytest.mark.parametrize("goals", [(), ("size<=5",)])
def test_a_space_of_one_design(goals: tuple[str, ...]) -> None:
    lone = problem(LONE, *goals)
    (row,) = lone.draw(3, rng())
    assert len(lone.draw(3, rng(), keys(row[None]))) == 0
    assert lone.least(lambda codes: price(codes)["size"], rng())[1] == 1
    lone.check_budgets(rng())
    assert lone.survey(["size"], rng(), draws=100).ranges == {"size": (1, 1)}


def test_a_space_that_is_used_up_gives_nothing() -> None:
    assert len(problem(SMALL).draw(5, rng(), keys(EVERYTHING))) == 0
    assert len(problem(SMALL, "size<=0").draw(5, rng())) == 0


def test_few_designs_within_budget_among_very_many_are_all_found() -> None:
    """Sizes 12 and 13 of twelve parameters: the least of each, or one of them raised by one."""
    bounded = problem(LARGE, "size<=13")
    assert LARGE.count() == 10**12
    drawn = bounded.draw(50, rng())
    assert {tuple(row) for row in drawn.tolist()} == {
        (0,) * 12,
        *(tuple(int(place == raised) for place in range(12)) for raised in range(12)),
    }
    assert len(bounded.draw(50, rng(), keys(drawn[:9]))) == 4
    assert len(bounded.draw(50, rng(), keys(drawn))) == 0


def test_where_chance_finds_none_the_first_is_not_always_the_same() -> None:
    bounded = problem(LARGE, "size<=14")
    assert len({keys(bounded.draw(1, rng(seed)))[0] for seed in range(6)}) > 3


def test_one_design_within_budget_among_1e18() -> None:
    free = asic("area_um2")
    row, least = free.least(lambda codes: free.price(codes)["area_um2"], rng())
    assert econt.SPACE.count() > 10**18
    only = asic(f"area_um2<={least!r}")
    only.check_budgets(rng())
    drawn = only.draw(5, rng(1))
    np.testing.assert_array_equal(drawn, row[None])
    assert len(only.draw(5, rng(1), keys(drawn))) == 0


@pytest.mark.parametrize("name", ["size", "noise"])
@pytest.mark.parametrize("sign", [1, -1])
def test_least_is_the_minimum_of_a_space_that_can_be_listed(name: str, sign: int) -> None:
    row, value = problem(SMALL).least(lambda codes: sign * price(codes)[name], rng())
    assert value == (sign * price(EVERYTHING)[name]).min()
    assert sign * price(row[None])[name][0] == value


def test_least_is_exact_up_to_the_size_of_a_sample_whatever_the_score() -> None:
    """One row of ``CHUNK`` is good, and nothing leads to it."""
    wide = SearchSpace("wide", tuple(integer(name, 0, 15) for name in "abc"))
    rows = wide.enumerate_codes()
    assert len(rows) == CHUNK
    hidden = rows[1234].tobytes()
    for seed in range(12):
        _, value = problem(wide).least(
            lambda codes: np.array([-float(key == hidden) for key in keys(codes)]), rng(seed)
        )
        assert value == -1


def test_least_descends_where_the_space_cannot_be_listed() -> None:
    assert problem(LARGE).least(lambda codes: price(codes)["size"], rng())[1] == 12
    assert problem(LARGE).least(lambda codes: -price(codes)["size"], rng())[1] == -120


def test_least_of_a_score_that_is_not_a_number_ends() -> None:
    row, _ = problem(LARGE).least(lambda codes: np.full(len(codes), np.nan), rng())
    assert row.shape == (12,)


def test_budgets_that_can_be_kept_pass() -> None:
    problem(SMALL).check_budgets(rng())
    problem(SMALL, "size<=4", limits=("max noise>=1",)).check_budgets(rng())
    best = price(EVERYTHING)["noise"].min()
    problem(SMALL, f"noise<={best}").check_budgets(rng())


def message(bounded: Problem) -> str:
    with pytest.raises(BudgetError) as raised:
        bounded.check_budgets(rng())
    return str(raised.value)


def test_a_budget_that_none_keeps_is_answered_with_the_cheapest_design() -> None:
    costs = price(EVERYTHING)["noise"]
    (cheapest,) = SMALL.decode(EVERYTHING[[costs.argmin()]])
    assert message(problem(SMALL, f"noise<={costs.min() - 1}")) == (
        f"no design keeps the budgets. noise: budget {costs.min() - 1:g}, best possible {costs.min():g} "
        f"({cheapest}). The nearest to all of them: noise is {costs.min():g}, budget {costs.min() - 1:g}. "
        "Raise a budget or widen the space"
    )


def test_budgets_that_only_together_cannot_be_kept_are_both_named() -> None:
    text = message(problem(SMALL, "size<=4", limits=("max size>=12",)))
    assert "size: budget 4, best possible 2 (layers=0, bits=1). size: budget 12, best possible 16 (" in text


def test_the_cheapest_chip_is_named_where_the_budget_is_too_small() -> None:
    text = message(asic("area_um2<=1000"))
    assert re.search(r"area_um2: budget 1000, best possible \d{4}\.?\d* \(input_bits=4, ", text)


def test_a_survey_of_a_space_that_can_be_listed() -> None:
    bounded = problem(SMALL, "size<=8")
    survey = bounded.survey(["size", "noise"], rng(), draws=4000)
    costs = price(EVERYTHING)
    share = bounded.feasible(EVERYTHING).mean()
    assert survey.size == len(EVERYTHING)
    assert survey.ranges == {name: (costs[name].min(), costs[name].max()) for name in ("size", "noise")}
    assert 0.05 < share < 0.95
    assert survey.share_error == pytest.approx(np.sqrt(share * (1 - share) / 4000), rel=0.1)
    assert abs(survey.share - share) < 4 * survey.share_error
    assert survey.drawn == 4000


@pytest.mark.parametrize(("goal", "share"), [("size<=100", 1.0), ("size<=0", 0.0)])
def test_a_share_of_none_or_all_that_were_drawn_is_not_certain(goal: str, share: float) -> None:
    survey = problem(SMALL, goal).survey([], rng(), draws=100)
    assert survey.share == share
    assert survey.share_error == pytest.approx(0.005, rel=0.02)
