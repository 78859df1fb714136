"""Searches by one measure."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.assessment import Search, assess
from codesign.errors import StoreError
from codesign.evaluation import Evaluation
from codesign.metrics import Summary
from codesign.objectives import Objective
from codesign.pareto import hypervolume
from codesign.space import Candidate

GOALS = (Objective("accuracy", "max", 0.5), Objective("area_um2", budget=100.0))
FREE = tuple(replace(goal, budget=None) for goal in GOALS)


def evaluated(design: int, accuracy: float, area: float, steps: int = 10) -> Evaluation:
    return Evaluation(
        design,
        Candidate({"bits": design}),
        "test",
        "ok",
        metrics={"accuracy": Summary(accuracy, 0, 0, 1)},
        costs={"area_um2": area},
        steps=steps,
    )


def search(
    name: str, *points: tuple[float, float], goals: tuple[Objective, ...] = GOALS, first: int = 0
) -> Search:
    history = [evaluated(first + number, *point) for number, point in enumerate(points)]
    return Search(name, tuple(history), goals)


A = search("a", (0.6, 20.0), (0.9, 80.0))
B = search("b", (0.8, 60.0), (0.7, 90.0), (0.6, 10.0), first=10)


def test_volumes_are_of_one_reference_point_the_budgets() -> None:
    found = assess([A, B])
    assert found.reference == (0.5, 100.0)
    assert found.budgets == ("accuracy", "area_um2")
    a, b = found.standings
    assert a.hypervolume == pytest.approx(0.1 * 80 + 0.3 * 20)
    assert b.hypervolume == pytest.approx(0.1 * 90 + 0.2 * 40)
    assert found.hypervolume == pytest.approx(0.1 * 90 + 0.2 * 40 + 0.1 * 20)
    assert a.share == pytest.approx(a.hypervolume / found.hypervolume)


def test_the_front_of_all_names_who_found_what() -> None:
    found = assess([A, B])
    assert [(name, each.value("accuracy")) for name, each in found.union] == [
        ("a", 0.9),
        ("b", 0.8),
        ("b", 0.6),
    ]
    assert [each.on_union for each in found.standings] == [1, 2]
    assert [each.front for each in found.standings] == [2, 2]
    assert found.standings[0].best == {"accuracy": 0.9, "area_um2": 20.0}


def test_without_one_budget_the_reference_is_a_tenth_beyond_the_worst_of_the_fronts() -> None:
    other = replace(B, objectives=(GOALS[0], replace(GOALS[1], budget=200.0)))
    found = assess([A, other])
    assert found.budgets == ("accuracy",)
    assert found.reference == pytest.approx((0.5, 80.0 + 0.1 * (80.0 - 10.0)))
    free = assess([replace(A, objectives=FREE), replace(B, objectives=FREE)])
    assert free.budgets == ()
    assert free.reference == pytest.approx((0.6 - 0.1 * 0.3, 87.0))


def test_each_keeps_its_own_budgets() -> None:
    strict = replace(A, objectives=(GOALS[0], replace(GOALS[1], budget=50.0)))
    assert [each.front for each in assess([strict, B]).standings] == [1, 2]


def test_an_equal_budget_is_as_many_designs_as_the_shortest_has() -> None:
    found = assess([A, B])
    assert found.equal_designs == 2
    a, b = found.standings
    assert a.at_equal_designs == a.hypervolume
    assert b.at_equal_designs == pytest.approx(0.3 * 40)


def test_a_rung_is_no_further_design_and_its_steps_count_once() -> None:
    low = evaluated(0, 0.6, 20.0, steps=10)
    high, other = replace(low, number=2, steps=30), evaluated(1, 0.7, 30.0, steps=10)
    climbed = Search("climbed", (low, other, high), GOALS)
    assert (climbed.designs, climbed.steps) == (2, 40)
    assert [each.number for each in climbed.front(1)] == [0]
    assert {each.number for each in climbed.front(2)} == {1, 2}


def test_what_was_given_counts_from_the_start_and_is_no_design() -> None:
    warm = Search("warm", B.history[:1], GOALS, given=(evaluated(50, 0.95, 5.0, steps=1000),))
    assert (warm.designs, warm.steps) == (1, 10)
    assert len(warm.front(0)) == 1


def test_what_two_found_is_one_point_and_counts_for_both() -> None:
    found = assess([A, replace(A, name="again")])
    assert [each.on_union for each in found.standings] == [2, 2]
    assert (found.points, len(found.union)) == (2, 4)
    assert [each.share for each in found.standings] == [1.0, 1.0]


def test_objectives_may_stand_in_another_order() -> None:
    turned = replace(B, objectives=GOALS[::-1])
    assert assess([A, turned]) == assess([A, B])


def test_one_without_a_front_has_no_volume_and_none_with_a_front_is_an_error() -> None:
    nothing = search("nothing", (0.1, 20.0))
    found = assess([A, nothing]).standings[1]
    assert (found.front, found.hypervolume, found.share, found.best) == (0, 0.0, 0.0, {})
    with pytest.raises(StoreError, match="none of the studies has a front"):
        assess([nothing])


def test_shares_of_nothing_are_unknown() -> None:
    """Where all fronts are one point there is no volume between them and the worst of them."""
    one = search("one", (0.6, 20.0), goals=FREE)
    assert assess([one, replace(one, name="two")]).standings[0].share is None


values = st.lists(
    st.tuples(st.integers(0, 20).map(float), st.integers(0, 20).map(float)), min_size=1, max_size=8
)


@given(st.lists(values, min_size=1, max_size=4))
def test_the_union_is_at_least_each_and_all_of_it_is_somebodys(
    fronts: Sequence[list[tuple[float, float]]],
) -> None:
    searches = [search(str(index), *points, goals=FREE) for index, points in enumerate(fronts)]
    found = assess(searches)
    for each in found.standings:
        assert 0.0 <= each.at_equal_designs <= each.hypervolume <= found.hypervolume + 1e-9
        assert each.on_union <= each.front
    assert sum(each.on_union for each in found.standings) == len(found.union) >= found.points
    signed = np.array([each.minimised(FREE) for _, each in found.union])
    corner = np.array([goal.sign * value for goal, value in zip(FREE, found.reference, strict=True)])
    assert hypervolume(signed, corner) == pytest.approx(found.hypervolume)
