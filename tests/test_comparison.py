"""Errors are what they are called, fronts are of the same designs, and targets are never mixed."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from codesign.comparison import Common, Comparison, Quantity, Row, compare, front_changes
from codesign.errors import ConfigError, TargetError
from codesign.evaluation import Evaluation, Status
from codesign.hardware import Target
from codesign.metrics import Summary
from codesign.objectives import Objective
from codesign.space import Candidate
from tests.pairs import MADE, TARGET, estimate, linear_pairs, report


def quantity(predicted: list[float], measured: list[float], **changes: Any) -> Quantity:
    rows = [Row(str(i), *values, **changes) for i, values in enumerate(zip(predicted, measured, strict=True))]
    return Quantity("area_um2", tuple(rows))


def test_figures_of_a_table_by_hand() -> None:
    found = quantity([110.0, 190.0, 300.0], [100.0, 200.0, 400.0])
    assert found.errors == pytest.approx([0.1, -0.05, -0.25])
    assert found.mape == pytest.approx(0.4 / 3)
    assert found.median_error == pytest.approx(0.1)
    assert found.p90_error == pytest.approx(0.1 + 0.8 * 0.15)
    assert found.bias == pytest.approx(-0.2 / 3)
    assert found.r2 == pytest.approx(1 - 10200 / (140000 / 3))
    assert found.rank_correlation == 1.0
    assert found.interval_coverage is None
    assert found.unit == "um2"


def test_perfect_predictions_have_no_error() -> None:
    found = quantity([1.0, 2.0, 5.0], [1.0, 2.0, 5.0])
    assert (found.mape, found.p90_error, found.bias, found.r2, found.rank_correlation) == (0, 0, 0, 1, 1)


def test_ranks_are_spearmans() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.random(20).round(1), rng.random(20).round(1)
    assert quantity(one.tolist(), other.tolist()).rank_correlation == pytest.approx(
        stats.spearmanr(one, other).statistic
    )


def test_a_factor_changes_errors_and_no_ranks() -> None:
    one, other = quantity([1.0, 4.0, 2.0], [2.0, 3.0, 9.0]), quantity([3.0, 12.0, 6.0], [2.0, 3.0, 9.0])
    assert one.rank_correlation == other.rank_correlation
    assert (1 + other.errors) == pytest.approx(3 * (1 + one.errors))


def test_what_means_nothing_is_none() -> None:
    assert quantity([2.0, 2.0, 2.0], [1.0, 2.0, 3.0]).rank_correlation is None
    assert quantity([1.0, 2.0], [1.0, 3.0]).rank_correlation is None
    assert quantity([1.0, 2.0], [3.0, 3.0]).r2 is None
    nothing = quantity([1.0], [0.0])
    assert (nothing.mape, nothing.median_error, nothing.p90_error, nothing.bias) == (None,) * 4
    assert quantity([0.0, 1.0, 2.0], [0.0, 0.0, 1.0]).errors.tolist() == [0.0, 1.0]


def test_coverage_is_the_share_of_measured_values_in_their_intervals() -> None:
    assert quantity([1.0] * 4, [0.8, 1.0, 1.1, 1.3], interval=(0.9, 1.1)).interval_coverage == 0.5
    mixed = Quantity("area_um2", (Row("a", 1.0, 1.0, (0.9, 1.1)), Row("b", 1.0, 9.0)))
    assert mixed.interval_coverage == 1.0


def test_pairs_become_a_table_of_what_both_state() -> None:
    features = {"adder_bits": 100.0, "register_bits": 10.0}
    calibrated = replace(
        estimate(features),
        intervals={"area_um2": (700.0, 900.0)},
        coverage=0.9,
        outside=("adder_bits is 100",),
    )
    pairs = [
        (calibrated, report("a", area_um2=1000.0, cells=40)),
        (estimate(features), report("b", area_um2=640.0, power_mw=0.1)),
    ]
    found = compare(pairs)
    assert [each.name for each in found.quantities] == ["area_um2", "power_mw"]
    assert found["area_um2"].rows == (
        Row("a", 800.0, 1000.0, (700.0, 900.0)),
        Row("b", 800.0, 640.0),
    )
    assert found["area_um2"].interval_coverage == 0.0
    assert (found.coverage, found.outside, found.basis) == (0.9, {"a": ("adder_bits is 100",)}, ("weights",))
    assert found.common == Common(
        replace(TARGET, folding=None, library="inv13", tool="Yosys", version="0.70"),
        "invented", "synthesis", "area.ys 12ab",
    )  # fmt: skip
    with pytest.raises(KeyError):
        found["lut"]


def test_a_comparison_is_plain_data() -> None:
    data = compare(linear_pairs(5)).to_dict()
    assert json.loads(json.dumps(data)) == data
    (area,) = data["quantities"]
    assert (area["name"], area["unit"], area["designs"], len(area["rows"])) == ("area_um2", "um2", 5, 5)
    assert Common.from_dict(data) == compare(linear_pairs(5)).common


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (replace(MADE, clock_mhz=80.0), "clock_mhz: 40.0 predicted, 80.0 reported"),
        (replace(MADE, weights="reloadable"), "weights: 'constant' predicted, 'reloadable' reported"),
        (replace(MADE, folding={"dense": (1, 2)}), "folding"),
        (replace(MADE, library="inv45"), "library: 'inv13' and 'inv45'"),
        (replace(MADE, tool="Genus"), "tool: 'Yosys' and 'Genus'"),
    ],
)
def test_different_targets_are_an_error_that_names_the_fields(target: Target, message: str) -> None:
    pairs = linear_pairs(3)
    pairs[2] = pairs[2][0], replace(pairs[2][1], target=target)
    with pytest.raises(TargetError, match=message):
        compare(pairs)


def test_a_part_is_that_of_the_reports_or_none() -> None:
    pairs = [
        (replace(each, target=replace(TARGET, part="xczu7ev-2-e")), made) for each, made in linear_pairs(2)
    ]
    assert compare(pairs).common.target.part is None
    same = [(each, replace(made, target=replace(MADE, part="xczu7ev-2"))) for each, made in pairs]
    assert compare(same).common.target.part == "xczu7ev-2-e"
    other = [(each, replace(made, target=replace(MADE, part="xc7a100t"))) for each, made in pairs]
    with pytest.raises(
        TargetError, match=r"part: 'xczu7ev-2-e' predicted, 'xc7a100t' reported.*--part xc7a100t\)"
    ):
        compare(other)


def test_what_one_report_does_not_say_another_may() -> None:
    pairs = linear_pairs(3)
    pairs[0] = pairs[0][0], replace(pairs[0][1], target=replace(MADE, library=None))
    assert compare(pairs).common.target.library == "inv13"


def test_nothing_to_compare_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no pair"):
        compare([])
    with pytest.raises(ConfigError, match="the reports state lut, and 'invented' predicts none"):
        compare([(linear_pairs(1)[0][0], report("a", lut=3))])
    pairs = [
        (replace(each, coverage=coverage), made)
        for (each, made), coverage in zip(linear_pairs(2), (0.9, 0.8), strict=True)
    ]
    with pytest.raises(ConfigError, match=r"different coverages: 0.8, 0.9"):
        compare(pairs)


EMD, AREA, POWER = Objective("emd"), Objective("area_um2"), Objective("power_mw")


def evaluated(number: int, emd: float, area: float, status: Status = "ok") -> Evaluation:
    metrics = {"emd": Summary(emd, 0, 0, 1)} if status == "ok" else {}
    costs = {"area_um2": area, "power_mw": area / 100}
    return Evaluation(number, Candidate({"bits": number}), "test", status, metrics=metrics, costs=costs)


HISTORY = [
    evaluated(0, 3.0, 100.0),
    evaluated(1, 2.0, 200.0),
    evaluated(2, 1.0, 300.0),
    evaluated(3, 2.5, 210.0),
    evaluated(4, 0.5, 400.0),
    evaluated(5, 9.0, 50.0, "failed"),
]
DIGESTS = [each.candidate.digest for each in HISTORY]


def test_the_front_changes_where_measured_costs_are_others() -> None:
    measured = {DIGESTS[n]: {"area_um2": area} for n, area in enumerate((100.0, 400.0, 300.0, 180.0))}
    found = front_changes(HISTORY, (EMD, AREA), measured)
    assert found.leave == (DIGESTS[1],)
    assert found.enter == (DIGESTS[3],)
    assert (found.replaced, found.compared, found.lacking) == (("area_um2",), 4, 1)
    assert found.to_dict() == {
        "replaced": ["area_um2"],
        "compared": 4,
        "lacking": 1,
        "predicted": [DIGESTS[n] for n in (2, 1, 0)],
        "measured": [DIGESTS[n] for n in (2, 3, 0)],
        "leave": [DIGESTS[1]],
        "enter": [DIGESTS[3]],
    }


def test_predicted_costs_that_are_right_change_nothing() -> None:
    measured = {digest: dict(each.costs) for digest, each in zip(DIGESTS, HISTORY, strict=True)}
    found = front_changes(HISTORY, (EMD, AREA, POWER), measured)
    assert (found.leave, found.enter, found.lacking) == ((), (), 0)
    assert found.replaced == ("area_um2", "power_mw")
    assert found.predicted == found.measured


def test_a_measured_cost_may_break_a_budget() -> None:
    measured = {DIGESTS[0]: {"area_um2": 260.0}, DIGESTS[1]: {"area_um2": 200.0}}
    found = front_changes(HISTORY, (EMD, Objective("area_um2", budget=250.0)), measured)
    assert found.leave == (DIGESTS[0],)


def test_a_design_without_every_measured_objective_is_left_out() -> None:
    measured = {DIGESTS[0]: {"area_um2": 1.0}, DIGESTS[1]: {"area_um2": 2.0, "power_mw": 1.0}}
    found = front_changes(HISTORY, (EMD, AREA, POWER), measured)
    assert (found.compared, found.lacking) == (1, 4)


def test_a_front_without_measured_objectives_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"states an objective \(emd, area_um2\); they state lut"):
        front_changes(HISTORY, (EMD, AREA), {DIGESTS[0]: {"lut": 5.0}})
    with pytest.raises(ConfigError, match="no finite number"):
        front_changes(HISTORY, (EMD, AREA), {DIGESTS[0]: {"area_um2": float("nan")}})


def test_a_comparison_is_frozen() -> None:
    found = compare(linear_pairs(2))
    assert isinstance(found, Comparison)
    with pytest.raises(AttributeError):
        found.coverage = 0.5  # type: ignore[misc]
