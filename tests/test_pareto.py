import json
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from codesign.evaluation import Evaluation, Status
from codesign.metrics import Summary
from codesign.objectives import Objective
from codesign.pareto import Front, adrs, dominance_ranks, hypervolume, non_dominated
from codesign.space import Candidate

Points = NDArray[np.float64]

REFERENCE = 8.0
EMD, AREA = Objective("emd"), Objective("area_um2")
QUALITY = Objective("quality", "max")


def grids(most: int = 12) -> st.SearchStrategy[Points]:
    """Few whole numbers, so that ties and duplicates are common; some lie on or beyond the reference."""
    shapes = st.tuples(st.integers(1, most), st.integers(1, 4))
    return shapes.flatmap(lambda shape: npst.arrays(np.float64, shape, elements=st.integers(0, 9).map(float)))


def random_points(count: int, objectives: int, seed: int) -> Points:
    return np.random.default_rng(seed).random((count, objectives)) * 10


def corner(costs: Points) -> Points:
    return np.full(costs.shape[1], REFERENCE)


def inclusion_exclusion(costs: Points, reference: Points) -> float:
    """Volume of a union of boxes: the sum over subsets of the volumes of their intersections."""
    total = 0.0
    for size in range(1, len(costs) + 1):
        for subset in combinations(costs, size):
            sides = np.maximum(reference - np.max(subset, axis=0), 0)
            total -= (-1) ** size * float(sides.prod())
    return total


@given(grids())
def test_every_loser_is_dominated_by_a_survivor(costs: Points) -> None:
    mask = non_dominated(costs)
    assert mask.any()
    for loser in costs[~mask]:
        better = costs[mask]
        assert ((better <= loser).all(axis=1) & (better < loser).any(axis=1)).any()


@given(grids())
def test_no_survivor_is_dominated_and_duplicates_stay(costs: Points) -> None:
    kept = costs[non_dominated(costs)]
    for one in kept:
        assert not ((costs <= one).all(axis=1) & (costs < one).any(axis=1)).any()
    assert len(kept) == sum((costs == one).all(axis=1).sum() for one in np.unique(kept, axis=0))


def test_nothing_dominates_nothing() -> None:
    assert non_dominated(np.empty((0, 3))).shape == (0,)
    assert hypervolume(np.empty((0, 3)), np.ones(3)) == 0


@given(grids(most=7))
@settings(deadline=None)
def test_hypervolume_is_that_of_inclusion_and_exclusion(costs: Points) -> None:
    assert hypervolume(costs, corner(costs)) == pytest.approx(inclusion_exclusion(costs, corner(costs)))


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_hypervolume_is_the_share_of_random_points_that_are_dominated(objectives: int) -> None:
    costs = random_points(15, objectives, seed=objectives)
    draws = np.random.default_rng(9).random((100_000, objectives)) * REFERENCE
    hit = np.zeros(len(draws), dtype=bool)
    for point in costs:
        hit |= (point <= draws).all(axis=1)
    volume = hypervolume(costs, corner(costs)) / REFERENCE**objectives
    assert 0.01 < volume < 1
    assert abs(hit.mean() - volume) < 5 * np.sqrt(volume * (1 - volume) / len(draws))


@pytest.mark.parametrize("objectives", [2, 3, 4])
@pytest.mark.parametrize("seed", range(3))
def test_hypervolume_is_that_of_botorch(objectives: int, seed: int) -> None:
    import torch
    from botorch.utils.multi_objective.hypervolume import Hypervolume

    costs = random_points(25, objectives, seed)
    reference = corner(costs)
    theirs = Hypervolume(-torch.from_numpy(reference)).compute(
        -torch.from_numpy(costs[non_dominated(costs) & (costs < reference).all(axis=1)])
    )
    assert hypervolume(costs, reference) == pytest.approx(theirs, rel=1e-12)


@given(grids(), st.data())
def test_a_further_point_never_lowers_the_hypervolume_and_order_is_nothing(
    costs: Points, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(costs))))
    whole = hypervolume(costs, corner(costs))
    assert hypervolume(costs[:-1], corner(costs)) <= whole
    assert hypervolume(costs[list(order)], corner(costs)) == pytest.approx(whole)


@given(grids())
def test_dominated_points_and_those_beyond_the_reference_add_nothing(costs: Points) -> None:
    reference = corner(costs)
    whole = hypervolume(costs, reference)
    more = np.concatenate([costs, costs + 1, np.full((1, costs.shape[1]), REFERENCE)])
    edge = costs[:1].copy()
    edge[:, -1] = REFERENCE
    assert hypervolume(costs[non_dominated(costs)], reference) == pytest.approx(whole)
    assert hypervolume(np.concatenate([more, edge]), reference) == pytest.approx(whole)


def test_adrs_of_a_front_that_is_missed_by_half() -> None:
    front = np.array([[1.0, 4.0], [2.0, 2.0]])
    assert adrs(front, np.array([[1.5, 4.0], [2.0, 2.0]])) == pytest.approx(0.25)
    assert adrs(front, np.array([[3.0, 3.0]])) == pytest.approx((2.0 + 0.5) / 2)


@given(grids(), st.data())
def test_adrs_is_zero_if_and_only_if_the_whole_front_was_found(costs: Points, data: st.DataObject) -> None:
    costs = costs + 1
    chosen = data.draw(st.lists(st.sampled_from(range(len(costs))), min_size=1))
    front, found = np.unique(costs[non_dominated(costs)], axis=0), costs[chosen]
    complete = {tuple(row) for row in front} <= {tuple(row) for row in found}
    assert (adrs(front, found) == 0) == complete
    assert adrs(front, found) >= 0


def test_adrs_of_what_is_better_than_the_reference_set_is_zero() -> None:
    assert adrs(np.array([[2.0, 4.0], [4.0, 2.0]]), np.array([[1.0, 1.0]])) == 0


def test_adrs_of_nothing_found_is_infinite() -> None:
    assert adrs(np.ones((2, 2)), np.empty((0, 2))) == np.inf


def evaluated(
    number: int, emd: float, area: float, quality: float = 0.5, status: Status = "ok", **parameters: Any
) -> Evaluation:
    metrics = {"emd": Summary(emd, 0, 0, 1), "quality": Summary(quality, 0, 0, 1)} if status == "ok" else {}
    return Evaluation(
        number,
        Candidate(parameters or {"n": number}),
        "test",
        status,
        metrics=metrics,
        costs={"area_um2": area},
    )


def numbers(front: Front) -> list[int]:
    return [evaluation.number for evaluation in front]


def history(costs: Sequence[Sequence[float]]) -> list[Evaluation]:
    return [evaluated(index, *values) for index, values in enumerate(costs)]


@given(
    st.lists(st.tuples(*[st.integers(0, 4).map(float)] * 3), max_size=10),
    st.permutations(range(10)),
)
def test_a_front_holds_what_none_dominates_whatever_the_order(
    costs: list[tuple[float, float, float]], order: list[int]
) -> None:
    goals = (EMD, AREA, QUALITY)
    evaluations = history(costs)
    front = Front.of(evaluations, goals)
    signed = np.array([evaluation.minimised(goals) for evaluation in evaluations]).reshape(-1, 3)
    assert set(numbers(front)) == set(np.flatnonzero(non_dominated(signed)).tolist())
    assert [e.value("emd") for e in front] == sorted(e.value("emd") for e in front)
    shuffled = Front.of([evaluations[index] for index in order if index < len(costs)], goals)
    assert set(numbers(shuffled)) == set(numbers(front))
    assert shuffled.hypervolume == pytest.approx(front.hypervolume)
    assert shuffled.reference == front.reference


def test_a_maximised_objective_has_its_reference_below_and_its_best_first() -> None:
    evaluations = [evaluated(0, 1.0, 5.0, 0.9), evaluated(1, 1.0, 3.0, 0.4), evaluated(2, 1.0, 6.0, 0.5)]
    front = Front.of(evaluations, (QUALITY, AREA))
    assert numbers(front) == [0, 1]
    assert front.reference == pytest.approx((0.4 - 0.05, 6.0 + 0.3))
    assert front.hypervolume == pytest.approx(0.55 * 1.3 + 0.05 * 2.0)


def test_a_reference_is_in_the_units_of_the_objectives() -> None:
    front = Front.of([evaluated(0, 1.0, 5.0, 0.9)], (QUALITY, AREA), np.array([0.4, 7.0]))
    assert front.reference == (0.4, 7.0)
    assert front.hypervolume == pytest.approx(0.5 * 2.0)


def test_budgets_hold_for_measured_objectives_and_for_known_ones() -> None:
    evaluations = history([(3.0, 1.0), (2.0, 2.0), (1.0, 3.0)])
    goals = (Objective("emd", budget=2.0), Objective("area_um2", budget=2.5))
    assert numbers(Front.of(evaluations, goals)) == [1]
    assert numbers(Front.of(evaluations, (EMD, Objective("quality", "max", 0.6)))) == []


def test_only_what_ended_well_is_on_the_front() -> None:
    evaluations = [evaluated(0, 2.0, 2.0), evaluated(1, 0.0, 0.0, status="infeasible")]
    evaluations += [evaluated(2, 0.0, 0.0, status="failed")]
    assert numbers(Front.of(evaluations, (EMD, AREA))) == [0]


@pytest.mark.parametrize("reference", [None, (3.0, 4.0), np.array([3.0, 4.0])])
def test_a_front_of_nothing(reference: Any) -> None:
    front = Front.of([], (EMD, AREA), reference)
    assert (len(front), list(front), front.rows(), front.hypervolume) == (0, [], [], 0.0)
    assert front.reference == (() if reference is None else (3.0, 4.0))
    assert json.loads(json.dumps(front.to_dict()))["designs"] == []


@given(grids())
def test_ranks_are_the_fronts_of_what_is_left(costs: Points) -> None:
    ranks = dominance_ranks(costs)
    for rank in range(int(ranks.max()) + 1):
        left = ranks >= rank
        np.testing.assert_array_equal(non_dominated(costs[left]), ranks[left] == rank)


@given(grids(60))
def test_many_points_are_marked_as_few_are(costs: Points) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("codesign.pareto.CHUNK", 7)
        in_chunks = non_dominated(costs)
    np.testing.assert_array_equal(in_chunks, non_dominated(costs))


def test_no_points_have_no_ranks() -> None:
    assert dominance_ranks(np.zeros((0, 2))).shape == (0,)


def test_a_front_of_one_point_spans_nothing_by_itself() -> None:
    one = history([(1.0, 2.0)])
    assert numbers(Front.of(one, (EMD, AREA))) == [0]
    assert Front.of(one, (EMD, AREA)).hypervolume == 0
    assert Front.of(one, (EMD, AREA), (2.0, 4.0)).hypervolume == 2.0


def test_designs_that_tie_are_all_on_the_front() -> None:
    assert numbers(Front.of(history([(1.0, 1.0), (1.0, 1.0), (1.0, 2.0)]), (EMD, AREA))) == [0, 1]


def test_rows_hold_digest_values_ratios_and_parameters() -> None:
    best, baseline = evaluated(0, 1.0, 5.0, n=3), evaluated(1, 4.0, 10.0, n=4)
    (row,) = Front.of([best, baseline], (EMD, AREA)).rows(baseline)
    assert row == {
        "digest": best.candidate.digest,
        "number": 0,
        "emd": 1.0,
        "quality": 0.5,
        "area_um2": 5.0,
        "emd_ratio": 0.25,
        "area_um2_ratio": 0.5,
        "n": 3,
    }


def test_a_baseline_that_failed_gives_ratios_of_costs_alone() -> None:
    best, failed = evaluated(0, 1.0, 5.0), evaluated(1, 0.0, 10.0, status="diverged")
    zero = evaluated(2, 0.0, 0.0, status="failed")
    front = Front.of([best, failed], (EMD, AREA))
    assert {key for key in front.rows(failed)[0] if key.endswith("_ratio")} == {"area_um2_ratio"}
    assert not {key for key in front.rows(zero)[0] if key.endswith("_ratio")}
    plain = json.loads(json.dumps(front.to_dict(failed)))
    assert plain["baseline"]["area_um2"] == 10.0
    assert plain["objectives"][0] == {"name": "emd", "sense": "min", "budget": None}
    assert plain["designs"][0]["digest"] == best.candidate.digest
