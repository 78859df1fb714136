"""A correction recovers laws it is shown, means its intervals, and says where it knows nothing."""

import json
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codesign.calibration import CalibratedModel, Calibration, Correction
from codesign.calibration import fitting as fitting_module
from codesign.calibration.correction import columns_of
from codesign.comparison import Pair
from codesign.errors import ConfigError, OutputError, TargetError
from codesign.hardware import Costs, Device, HardwareEstimate, Resources, Target, Workload
from codesign.network import Network
from codesign.testing import check_hardware_model
from tests import tiny
from tests.pairs import AREA, MADE, TARGET, drawn, estimate, linear_pairs, report

DEVICE = Device("invented", clock_mhz=40.0, weights="constant")


def arrays(pairs: list[Pair]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Features and costs of the estimates."""
    features, costs = ([each.features for each, _ in pairs], [each.costs() for each, _ in pairs])
    return tuple(  # type: ignore[return-value]
        {name: np.array([row[name] for row in rows]) for name in rows[0]} for rows in (features, costs)
    )


def corrected(calibration: Calibration, pairs: list[Pair], name: str = "area_um2") -> Any:
    return calibration.apply(*arrays(pairs), "weights")[name]


def measured(pairs: list[Pair], name: str = "area_um2") -> Any:
    return np.array([made.value(name) for _, made in pairs])


def test_a_linear_law_is_recovered() -> None:
    calibration = Calibration.fit(linear_pairs(40))
    correction = calibration.parts["weights"].corrections["area_um2"]
    assert correction.form == "linear"
    assert correction.pairs == 40
    unseen = linear_pairs(200, noise=0.0, seed=1)
    np.testing.assert_allclose(corrected(calibration, unseen), measured(unseen), rtol=0.02)
    assert correction.errors["median"] == pytest.approx(0.02 * 0.6745, rel=0.4)


def test_the_choice_is_the_plainest_that_is_good_enough() -> None:
    tried = Calibration.fit(linear_pairs(40)).parts["weights"].corrections["area_um2"].tried
    assert set(tried) == {"factor", "linear", "factor, smooth", "linear, smooth"}
    assert tried["linear"] < 0.5 * tried["factor"]


def test_what_is_exact_is_left_as_it_is() -> None:
    pairs = [(each, report(str(number), area_um2=each.resources.area_um2, latency_cycles=2))
             for number, (each, _) in enumerate(linear_pairs(20))]  # fmt: skip
    calibration = Calibration.fit(pairs)
    for name in ("area_um2", "latency_cycles"):
        correction = calibration.parts["weights"].corrections[name]
        assert correction.coefficients == {"predicted": 1.0}
        assert correction.spread == 0
        assert (corrected(calibration, pairs, name) == arrays(pairs)[1][name]).all()


def bent(count: int, seed: int) -> list[Pair]:
    """Designs whose area per adder bit grows with their size, as no sum of features does."""
    rng = np.random.default_rng(seed)
    made = []
    for number, features in enumerate(drawn(count, rng)):
        area = features["adder_bits"] ** 1.25 * (features["register_bits"] / features["adder_bits"]) ** 0.3
        made.append((estimate(features), report(f"{number:04x}", area_um2=float(area))))
    return made


def test_a_smooth_law_is_learnt_where_a_sum_cannot_be() -> None:
    calibration = Calibration.fit(bent(40, 0))
    assert "smooth" in calibration.parts["weights"].corrections["area_um2"].form
    unseen = bent(100, 1)
    errors = np.abs(corrected(calibration, unseen) / measured(unseen) - 1)
    assert np.median(errors) < 0.01
    assert np.quantile(errors, 0.9) < 0.04


def test_a_constant_that_a_tool_adds_is_learnt_exactly() -> None:
    rng = np.random.default_rng(0)
    cycles = rng.integers(1, 40, 30)
    pairs = [
        (estimate(features, latency_cycles=n, latency_ns=25.0 * n), report(f"{n}.{i}", latency_cycles=n + 3))
        for i, (features, n) in enumerate(zip(drawn(30, rng), cycles.tolist(), strict=True))
    ]
    calibration = Calibration.fit(pairs)
    assert (corrected(calibration, pairs, "latency_cycles") == cycles + 3).all()
    assert corrected(calibration, pairs, "latency_ns") == pytest.approx(25.0 * (cycles + 3))


def clocked(latencies: dict[str, tuple[int, int]], **costs: Any) -> list[Pair]:
    """Designs with predicted and measured cycles, by name; everything else of the pairs as ``costs`` says."""
    rng = np.random.default_rng(0)
    return [
        (
            estimate(features, latency_cycles=predicted, latency_ns=25.0 * predicted),
            report(name, latency_cycles=cycles, initiation_interval=1, **costs),
        )
        for (name, (predicted, cycles)), features in zip(
            latencies.items(), drawn(len(latencies), rng), strict=True
        )
    ]


def test_cycles_are_never_scaled() -> None:
    """Of four designs two take 1 cycle more: a factor of 1.41 would make 2 of 1 cycle, and 14 of 10."""
    pairs = clocked({"a": (1, 2), "b": (1, 1), "c": (1, 1), "d": (1, 2)})
    calibration = Calibration.fit(pairs)
    part = calibration.parts["weights"]
    for name in ("latency_cycles", "latency_ns", "initiation_interval"):
        assert (corrected(calibration, pairs, name) == arrays(pairs)[1][name]).all()
    assert part.corrected == []
    assert part.corrections["latency_cycles"].errors == {"median": 0.25, "p90": 0.5}
    said = "cycles are never scaled; the estimate is off by 25.0% (median), 50.0% (90 %)"
    assert part.uncorrected == {"latency_cycles": said, "initiation_interval": "exact in 4 designs"}
    many = clocked({f"{number}": (number, 2 * number) for number in range(1, 31)})
    assert Calibration.fit(many).parts["weights"].corrections["latency_cycles"].form != "factor"


def test_intervals_of_what_is_left_as_it_is_are_of_the_estimates() -> None:
    """Latency in ns has the one of the cycles, and energy that of power as the interval is certain."""
    pairs = clocked({f"{number:02}": (2, 3 if number % 3 == 0 else 2) for number in range(20)})
    calibration = Calibration.fit(pairs)
    intervals = calibration.intervals(*arrays(pairs), "weights")
    low, high = intervals["latency_cycles"]
    np.testing.assert_allclose([low, high], np.broadcast_to([[4 / 3], [3.0]], (2, 20)))
    np.testing.assert_allclose(intervals["latency_ns"], [25 * low, 25 * high])
    low, high = intervals["initiation_interval"]
    assert (low == 1).all()
    assert (high == 1).all()


def crossed(count: int) -> list[Pair]:
    """Designs estimated 20 % too high or too low in turn, so that any factor errs more."""
    paths = [4.8, 3.2, 4.9, 3.1]
    return [
        (each, replace(made, critical_path_ns=paths[number % 4]))
        for number, (each, made) in enumerate(linear_pairs(count, seed=3))
    ]


def test_a_correction_that_errs_more_than_the_estimate_is_not_made() -> None:
    pairs = crossed(4)
    calibration = Calibration.fit(pairs)
    part = calibration.parts["weights"]
    left = part.corrections["critical_path_ns"]
    assert (left.form, left.spread) == ("as it is", None)
    assert left.errors["median"] == pytest.approx(
        np.median(np.abs(4.0 / measured(pairs, "critical_path_ns") - 1))
    )
    assert (corrected(calibration, pairs, "critical_path_ns") == 4.0).all()
    found = re.fullmatch(
        r"in cross-validation the correction is off by (.+)% and the estimate as it is by (.+)% \(median\)",
        part.uncorrected["critical_path_ns"],
    )
    assert found
    assert float(found[1]) > float(found[2]) == pytest.approx(100 * left.errors["median"], abs=0.05)
    assert not any("critical_path_ns (" in doubt for doubt in calibration.doubts)


def test_power_is_left_as_it_is_where_the_sum_of_corrected_parts_errs_more() -> None:
    """Errors of the two parts cancel; corrected one by one they no longer do."""
    pairs = [
        (
            estimate({"adder_bits": 10.0 + number}, dynamic_mw=1.2, leakage_mw=0.8),
            report(str(number), dynamic_mw=1 + shift, leakage_mw=1 - shift),
        )
        for number, shift in enumerate([0.0, 0.1, -0.1, 0.05, -0.07])
    ]
    calibration = Calibration.fit(pairs)
    part = calibration.parts["weights"]
    assert part.corrected == []
    assert part.uncorrected["dynamic_mw"] == "power_mw, the sum, is"
    assert part.uncorrected["power_mw"] == "exact in 5 designs"
    new, old = calibration.apply(*arrays(pairs), "weights"), arrays(pairs)[1]
    assert all((new[name] == values).all() for name, values in old.items())


def test_a_coefficient_is_never_negative() -> None:
    first, second = np.array([1.0, 2.0, 5.0, 9.0, 4.0]), np.array([4.0, 1.0, 2.0, 3.0, 8.0])
    found = fitting_module._linear({"first": first, "second": second}, 2 * first - 0.1 * second)
    assert set(found) == {"first"}
    assert np.median(found["first"] * first / (2 * first - 0.1 * second)) == pytest.approx(1.0)


def test_what_is_predicted_as_nothing_stays_nothing() -> None:
    correction = Correction("linear", {"predicted": 2.0, "constant": 3.0})
    assert correction(columns_of({}, np.array([0.0, 1.0]))).tolist() == [0.0, 5.0]


def test_a_smooth_correction_goes_on_as_at_the_edge_of_its_range() -> None:
    part = Calibration.fit(bent(20, 0)).parts["weights"]
    smooth = part.corrections["area_um2"].smooth
    assert smooth is not None
    edge = {
        name: np.array([part.ranges.get(name, part.ranges["predicted area_um2"])[1]]) for name in smooth.names
    }
    beyond = {name: 10 * values for name, values in edge.items()}
    np.testing.assert_allclose(smooth(beyond), smooth(edge), rtol=1e-9)


def test_an_interval_is_as_wide_in_ratio_on_both_sides() -> None:
    pairs = linear_pairs(12)
    calibration = Calibration.fit(pairs)
    spread = calibration.parts["weights"].corrections["area_um2"].spread
    assert spread is not None
    low, high = calibration.intervals(*arrays(pairs), "weights")["area_um2"]
    middle = corrected(calibration, pairs)
    np.testing.assert_allclose(np.log([middle / low, high / middle]), spread, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("make", [linear_pairs, bent], ids=["linear", "bent"])
@pytest.mark.parametrize("count", [12, 30])
def test_intervals_cover_what_they_say(make: Callable[..., list[Pair]], count: int) -> None:
    shares = []
    for seed in range(25):
        calibration = Calibration.fit(make(count, seed=seed), seed=seed)
        unseen = make(200, seed=1000 + seed)
        low, high = calibration.intervals(*arrays(unseen), "weights")["area_um2"]
        shares.append(((low <= measured(unseen)) & (measured(unseen) <= high)).mean())
    assert 0.88 <= np.mean(shares) <= 0.97


def test_intervals_of_noise_alone_cover_what_they_say() -> None:
    """Many fits of one factor, so that only the quantile is looked at."""
    shares = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        distances = np.abs(rng.standard_normal(29))
        spread = fitting_module._spread(distances, 29, 0.9)
        assert spread == np.sort(distances)[26]
        shares.append((np.abs(rng.standard_normal(2000)) <= spread).mean())
    assert np.mean(shares) == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize(("count", "coverage", "known"), [(8, 0.9, False), (9, 0.9, True), (9, 0.95, False)])
def test_too_few_pairs_have_no_interval(count: int, coverage: float, known: bool) -> None:
    calibration = Calibration.fit(linear_pairs(count), coverage=coverage)
    correction = calibration.parts["weights"].corrections["area_um2"]
    assert (correction.spread is not None) == known
    assert ("area_um2" in calibration.intervals(*arrays(linear_pairs(3)), "weights")) == known


@pytest.mark.parametrize("count", [1, 2, 7])
def test_few_pairs_give_a_factor(count: int) -> None:
    pairs = [
        (each, replace(made, resources=Resources(area_um2=2 * (made.resources.area_um2 or 0.0))))
        for each, made in linear_pairs(count)
    ]
    correction = Calibration.fit(pairs).parts["weights"].corrections["area_um2"]
    ratio = np.median(measured(pairs) / arrays(pairs)[1]["area_um2"])
    assert correction.form == "factor"
    assert correction.coefficients["predicted"] == pytest.approx(ratio, rel=0.01)
    assert correction.spread is None
    assert bool(correction.errors) == (count > 1)


def test_the_order_of_the_pairs_changes_no_bit() -> None:
    pairs = linear_pairs(24)
    shuffled = [pairs[index] for index in np.random.default_rng(1).permutation(len(pairs))]
    assert Calibration.fit(pairs) == Calibration.fit(shuffled)


def test_the_unit_of_a_feature_changes_nothing() -> None:
    for make in (linear_pairs, bent):
        pairs, unseen = make(24, seed=0), make(20, seed=5)

        def scaled(pairs: list[Pair]) -> list[Pair]:
            return [
                (
                    replace(
                        each, features={**each.features, "adder_bits": 1e-6 * each.features["adder_bits"]}
                    ),
                    m,
                )
                for each, m in pairs
            ]

        one = corrected(Calibration.fit(pairs), unseen)
        other = corrected(Calibration.fit(scaled(pairs)), scaled(unseen))
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_designs_that_look_the_same_are_never_tested_on_each_other() -> None:
    """Each design is there twice, as from another seed of training: its copy must not vouch for it."""
    rng = np.random.default_rng(0)
    pairs = []
    for number, features in enumerate(drawn(10, rng)):
        factor = float(np.exp(0.3 * rng.standard_normal()))
        area = factor * sum(AREA[name] * features[name] for name in AREA)
        pairs += [
            (estimate(features), report(f"{number}{copy}", area_um2=area * (1 + 1e-6 * copy)))
            for copy in range(2)
        ]
    correction = Calibration.fit(pairs).parts["weights"].corrections["area_um2"]
    assert correction.errors["median"] > 0.08


def test_what_lies_outside_is_said() -> None:
    calibration = Calibration.fit(linear_pairs(20))
    low, high = calibration.parts["weights"].ranges["adder_bits"]
    features = {
        "adder_bits": np.array([low, high, 0.9 * low, 1.1 * high]),
        "register_bits": np.full(4, 100.0),
    }
    flags = calibration.outside(features, {}, "weights")
    assert flags["adder_bits"].tolist() == [False, False, True, True]
    assert not flags["register_bits"].any()
    predicted = calibration.outside(features, {"area_um2": np.array([1.0, 1e9, 1e4, 1e4])}, "weights")
    assert predicted["predicted area_um2"].tolist() == [True, True, False, False]


@pytest.mark.parametrize(("count", "untested"), [(1, True), (2, False), (8, False)])
def test_what_few_designs_cannot_tell_is_said(count: int, untested: bool) -> None:
    found = Calibration.fit(linear_pairs(count)).doubts
    designs = "1 design" if count == 1 else f"{count} designs"
    tested = f"fitted on {designs}: the factor of area_um2 is what that shows, and was tested on no other"
    assert found == [
        *[tested] * untested,
        f"fitted on {designs}: area_um2 without intervals; those of 90% need 9 designs that differ",
    ]


def test_a_correction_that_cross_validation_does_not_bear_out_is_doubted() -> None:
    (found,) = Calibration.fit(linear_pairs(30, noise=2.0)).doubts
    assert re.match(
        r"fitted on 30 designs, the correction is off in cross-validation: area_um2 \(\w+\) by", found
    )


def test_from_as_many_designs_as_the_doubt_names_there_are_intervals() -> None:
    assert Calibration.fit(linear_pairs(9)).doubts == []
    few = Calibration.fit(linear_pairs(3), coverage=0.75).doubts
    assert not [each for each in few if "without intervals" in each]
    assert "those of 75% need 3 designs" in Calibration.fit(linear_pairs(2), coverage=0.75).doubts[0]


def test_where_nothing_can_be_corrected_there_is_no_calibration() -> None:
    pairs = [(estimate({"adder_bits": 10.0}), report("a", dsp=0.0))]
    pairs = [(replace(pairs[0][0], resources=Resources(dsp=3.0)), pairs[0][1])]
    with pytest.raises(ConfigError, match=r"nothing to correct: dsp: 1 of 1 pairs have 0 either predicted"):
        Calibration.fit(pairs)


def test_power_stays_the_sum_of_its_parts_and_energy_follows() -> None:
    rng = np.random.default_rng(0)
    pairs = []
    for number, features in enumerate(drawn(30, rng)):
        each = estimate(features)
        assert each.dynamic_mw is not None
        assert each.leakage_mw is not None
        dynamic, leakage = 2.0 * each.dynamic_mw, 3.0 * each.leakage_mw
        made = report(str(number), dynamic_mw=dynamic, power_mw=dynamic + leakage)  # leakage is the rest
        pairs.append((each, made))
    calibration = Calibration.fit(pairs)
    assert calibration.parts["weights"].corrections["power_mw"].form == "sum of parts"
    new, old = calibration.apply(*arrays(pairs), "weights"), arrays(pairs)[1]
    np.testing.assert_allclose(new["dynamic_mw"], 2 * old["dynamic_mw"], rtol=1e-9)
    np.testing.assert_allclose(new["leakage_mw"], 3 * old["leakage_mw"], rtol=1e-6)
    assert (new["power_mw"] == new["dynamic_mw"] + new["leakage_mw"]).all()
    np.testing.assert_allclose(new["energy_nj"], new["power_mw"] / 40.0, rtol=1e-12)
    intervals = calibration.intervals(*arrays(pairs), "weights")
    low, high = intervals["power_mw"]
    assert ((low <= new["power_mw"]) & (new["power_mw"] <= high)).all()
    np.testing.assert_allclose(intervals["energy_nj"], np.array([low, high]) / 40.0, rtol=1e-12)


def test_parts_of_power_follow_where_only_power_is_measured() -> None:
    pairs = [
        (each, report(made.design, power_mw=2 * (each.power_mw or 0.0))) for each, made in linear_pairs(12)
    ]
    calibration = Calibration.fit(pairs)
    new, old = calibration.apply(*arrays(pairs), "weights"), arrays(pairs)[1]
    for name in ("power_mw", "dynamic_mw", "leakage_mw", "energy_nj"):
        np.testing.assert_allclose(new[name], 2 * old[name], rtol=1e-9)
    assert set(calibration.intervals(*arrays(pairs), "weights")) == {"power_mw", "energy_nj"}


def test_a_power_that_more_reports_state_than_its_parts_leads() -> None:
    pairs = [
        (each, report(made.design, power_mw=2 * (each.power_mw or 0.0))) for each, made in linear_pairs(12)
    ]
    each, made = pairs[0]
    pairs[0] = each, replace(made, leakage_mw=1e-9)
    part = Calibration.fit(pairs).parts["weights"]
    assert set(part.corrections) == {"power_mw"}
    assert part.uncorrected == dict.fromkeys(("dynamic_mw", "leakage_mw"), "goes in proportion to power_mw")


def test_nothing_stays_nothing() -> None:
    pairs = linear_pairs(20)
    pairs = [
        (replace(each, resources=replace(each.resources, dsp=number % 3, bram_18k=0)), replace(
            made, resources=replace(made.resources, dsp=2 * (number % 3), bram_18k=0)))
        for number, (each, made) in enumerate(pairs)
    ]  # fmt: skip
    calibration = Calibration.fit(pairs)
    part = calibration.parts["weights"]
    assert part.corrections["dsp"].pairs == 13
    assert part.corrections["dsp"].coefficients == {"predicted": pytest.approx(2.0)}
    assert part.uncorrected == {"bram_18k": "0 is predicted and measured of every design"}
    assert (corrected(calibration, pairs, "dsp") == measured(pairs, "dsp")).all()


def test_a_quantity_that_no_factor_corrects_is_named() -> None:
    pairs = [
        (
            replace(each, resources=replace(each.resources, dsp=1)),
            replace(made, resources=replace(made.resources, dsp=int(number > 0))),
        )
        for number, (each, made) in enumerate(linear_pairs(10))
    ]
    part = Calibration.fit(pairs).parts["weights"]
    assert "dsp" not in part.corrections
    assert part.uncorrected["dsp"].startswith("1 of 10 pairs have 0 either predicted or measured")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": replace(MADE, library="inv45")}, "library: 'inv13' and 'inv45'"),
        ({"target": replace(MADE, version="0.71")}, "version: '0.70' and '0.71'"),
        ({"stage": "placed"}, "stage: 'synthesis' and 'placed'"),
        ({"script": "speed.ys"}, "script: 'area.ys 12ab' and 'speed.ys'"),
        (
            {"target": replace(MADE, weights="reloadable")},
            "estimate and report.*weights: 'constant' predicted",
        ),
        ({"target": replace(MADE, clock_mhz=80.0)}, "clock_mhz: 40.0 predicted, 80.0 reported"),
    ],
)
def test_pairs_of_different_targets_are_refused(change: dict[str, Any], message: str) -> None:
    pairs = linear_pairs(3)
    pairs[1] = pairs[1][0], replace(pairs[1][1], **change)
    with pytest.raises(TargetError, match=message):
        Calibration.fit(pairs)


def test_pairs_of_two_models_or_redundancies_are_refused() -> None:
    for change, message in (
        ({"model": "other"}, "model: 'invented' and 'other'"),
        ({"target": replace(TARGET, redundancy="all")}, "redundancy: 'none' and 'all'"),
    ):
        pairs = linear_pairs(3)
        pairs[1] = replace(pairs[1][0], **change), pairs[1][1]
        with pytest.raises(TargetError, match=message):
            Calibration.fit(pairs)


def test_pairs_that_say_nothing_are_refused() -> None:
    pairs = linear_pairs(3)
    with pytest.raises(ConfigError, match="no pair"):
        Calibration.fit([])
    with pytest.raises(ConfigError, match="00000000 is given twice"):
        Calibration.fit([*pairs, pairs[0]])
    with pytest.raises(ConfigError, match="nothing to fit"):
        Calibration.fit([(pairs[0][0], report("a", lut=5))])
    with pytest.raises(ConfigError, match="calibrated already"):
        Calibration.fit([(replace(pairs[0][0], coverage=0.9), pairs[0][1])])
    with pytest.raises(ConfigError, match="same features"):
        Calibration.fit([pairs[0], (replace(pairs[1][0], features={"x": 1.0}), pairs[1][1])])
    with pytest.raises(ConfigError, match="amounts of 0 or more"):
        Calibration.fit([(replace(pairs[0][0], features={"x": -1.0}), pairs[0][1])])
    with pytest.raises(ConfigError, match="coverage is above 0"):
        Calibration.fit(pairs, coverage=1.0)


def test_a_file_holds_it_to_the_last_bit(tmp_path: Path) -> None:
    path = tmp_path / "new" / "calibration.json"
    calibration = Calibration.fit(bent(20, 0), provenance={"date": "2026-11-22"})
    assert "smooth" in calibration.parts["weights"].corrections["area_um2"].form
    calibration.save(path)
    loaded = Calibration.load(path)
    assert loaded == calibration
    assert (corrected(loaded, bent(9, 3)) == corrected(calibration, bent(9, 3))).all()
    data = json.loads(path.read_text())
    assert data["provenance"]["date"] == "2026-11-22"
    assert data["provenance"]["codesign"]
    assert data["target"] | {"tool": "Yosys", "version": "0.70", "library": "inv13"} == data["target"]
    assert data["parts"]["weights"]["designs"] == [f"{number:04x}" for number in range(20)]
    assert [each.name for each in path.parent.iterdir()] == ["calibration.json"]
    assert pickle.loads(pickle.dumps(calibration)) == calibration


def test_a_file_of_before_cycles_were_left_alone_says_what_it_said() -> None:
    """A study that was made with it goes on with it: same digest, same costs."""
    pairs = clocked({"a": (1, 2), "b": (10, 14)})
    calibration = Calibration.fit(pairs)
    data = calibration.to_dict()
    data["parts"]["weights"]["corrections"]["latency_cycles"] |= {
        "form": "factor",
        "coefficients": {"predicted": 1.41},
    }
    loaded = Calibration.from_dict(json.loads(json.dumps(data)))
    assert loaded.to_dict() == data
    assert corrected(loaded, pairs, "latency_cycles").tolist() == [1, 14]


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        Calibration.fit(linear_pairs(2)).save(tmp_path / "file" / "calibration.json")


def damage(data: dict[str, Any], how: str) -> Any:
    part = data["parts"]["weights"]
    correction = part["corrections"]["area_um2"]
    if how == "foreign":
        return {"area": 1}
    if how == "version":
        data["version"] = 99
    elif how == "part":
        del part["ranges"]
    elif how == "coefficient":
        correction["coefficients"] = {"predicted": float("nan")}
    elif how == "sign":
        correction["spread"] = -0.1
    elif how == "point":
        correction["smooth"]["points"][0].pop()
    elif how == "quantity":
        part["corrections"]["smell"] = correction
    elif how == "form":
        correction["form"] = "neural"
    return data


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("foreign", "is no calibration of codesign"),
        ("version", "form 99, this codesign reads form 1"),
        ("part", "damaged calibration: KeyError: 'ranges'"),
        ("coefficient", "damaged calibration.*finite numbers"),
        ("sign", "damaged calibration.*0 or more"),
        ("point", "damaged calibration.*one value a column"),
        ("quantity", "damaged calibration.*corrections are of"),
        ("form", "damaged calibration.*a correction is one of"),
    ],
)
def test_a_damaged_or_foreign_file_is_refused(tmp_path: Path, how: str, message: str) -> None:
    path = tmp_path / "calibration.json"
    Calibration.fit(bent(20, 0)).save(path)
    path.write_text(json.dumps(damage(json.loads(path.read_text()), how)))
    with pytest.raises(ConfigError, match=message):
        Calibration.load(path)


def test_a_truncated_or_absent_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    with pytest.raises(ConfigError, match="cannot read the calibration"):
        Calibration.load(path)
    Calibration.fit(linear_pairs(3)).save(path)
    path.write_text(path.read_text()[:200])
    with pytest.raises(ConfigError, match="no calibration of codesign or is damaged"):
        Calibration.load(path)


@dataclass(frozen=True)
class Counting:
    """A model that counts: area and power from multiplier and register bits, with or without weights."""

    name: str = "invented"
    needs_weights: bool = True
    library: str = "inv13"
    predicts: tuple[str, ...] = (
        "operations", "macs", "parameters", "weight_bits", "bops", "output_bits", "area_um2", "power_mw",
        "dynamic_mw", "leakage_mw", "energy_nj", "latency_cycles", "latency_ns", "initiation_interval",
    )  # fmt: skip

    def features(self, workload: Workload, device: Device) -> Costs:
        multipliers = workload.bops.sum(axis=1).astype(float)
        return {"adder_bits": multipliers, "register_bits": workload.parameter_bits.sum(axis=1).astype(float)}

    def price(self, workload: Workload, device: Device) -> Costs:
        features = self.features(workload, device)
        area = 5.0 * features["adder_bits"] + 30.0 * features["register_bits"]
        ones = np.ones(len(workload))
        return {
            "operations": workload.operations.sum(axis=1),
            "macs": workload.macs.sum(axis=1),
            "parameters": (workload.weights + workload.biases).sum(axis=1),
            "weight_bits": workload.parameter_bits.sum(axis=1),
            "bops": workload.bops.sum(axis=1),
            "output_bits": workload.output_bits.sum(axis=1),
            "area_um2": area,
            "power_mw": 2e-4 * area,
            "dynamic_mw": 1e-4 * area,
            "leakage_mw": 1e-4 * area,
            "energy_nj": 2e-4 * area / device.clock_mhz,
            "latency_cycles": 2 * ones,
            "latency_ns": 2 * device.period_ns * ones,
            "initiation_interval": ones,
        }

    def estimate(self, network: Network, device: Device) -> HardwareEstimate:
        workload = Workload.of([network])
        costs = {name: float(values[0]) for name, values in self.price(workload, device).items()}
        counts = ("operations", "macs", "parameters", "weight_bits", "bops", "output_bits",
                  "latency_cycles", "initiation_interval")  # fmt: skip
        area = costs.pop("area_um2")
        unknown = self.needs_weights and device.weights == "constant"
        known = unknown and network.chip.fitted
        return HardwareEstimate(
            resources=Resources(area_um2=area),
            **{**costs, **{name: int(costs[name]) for name in counts}},  # type: ignore[arg-type]
            target=Target.of(network, device, library=self.library),
            model=self.name,
            basis="weights" if known else "prior" if unknown else "widths",
            covers="what is counted.",
            features={name: float(values[0]) for name, values in self.features(workload, device).items()},
            by_layer={"one": {"area_um2": 0.25 * area, "macs": 1.0}, "two": {"area_um2": 0.75 * area}},
        )


def network(bits: int = 6, units: tuple[int, ...] = (4,)) -> Network:
    choice = {"layers": len(units), "bits": bits} | {f"units_{i}": n for i, n in enumerate(units, 1)}
    return tiny.build(tiny.SPACE.candidate(choice))


NETWORKS = [network(bits, units) for bits in (3, 4, 6, 8) for units in ((), (2,), (4,), (8,), (4, 8), (8, 2))]


def counted(model: Counting = Counting(), noise: float = 0.01) -> list[Pair]:
    """Pairs of the small networks, with measured areas by ``AREA``."""
    rng = np.random.default_rng(0)
    pairs = []
    for number, each in enumerate(NETWORKS):
        predicted = model.estimate(each, DEVICE)
        area = sum(AREA[name] * value for name, value in predicted.features.items())
        noisy = float(area * np.exp(noise * rng.standard_normal()))
        pairs.append((predicted, report(f"{number:x}", area_um2=noisy)))
    return pairs


@pytest.fixture(scope="module")
def calibrated() -> CalibratedModel:
    return CalibratedModel(Counting(), Calibration.fit(counted()))


def test_a_calibrated_model_is_a_hardware_model(calibrated: CalibratedModel) -> None:
    check_hardware_model(calibrated, NETWORKS, DEVICE)
    assert calibrated.name == "invented+calibration"
    assert calibrated.predicts == Counting().predicts


def test_its_prices_are_corrected_and_the_rest_is_as_before(calibrated: CalibratedModel) -> None:
    workload = Workload.of(NETWORKS)
    new, old = calibrated.price(workload, DEVICE), Counting().price(workload, DEVICE)
    true = measured(counted(noise=0.0))
    np.testing.assert_allclose(new["area_um2"], true, rtol=0.02)
    for name in set(old) - {"area_um2"}:
        assert (new[name] == old[name]).all()


def test_its_estimates_have_intervals_and_layers_that_add_up(calibrated: CalibratedModel) -> None:
    found, plain = calibrated.estimate(network(), DEVICE), Counting().estimate(network(), DEVICE)
    area = found.resources.area_um2
    assert area is not None
    low, high = found.intervals["area_um2"]
    assert low < area < high < 1.1 * low
    assert found.coverage == 0.9
    assert found.outside == ()
    assert sum(each["area_um2"] for each in found.by_layer.values()) == pytest.approx(area)
    assert found.by_layer["one"]["macs"] == 1.0
    assert found.model == "invented+calibration"
    assert (found.latency_cycles, found.macs, found.target) == (2, plain.macs, plain.target)
    assert found.covers == ("what is counted. Corrected by 24 designs (synthesis, Yosys 0.70): area_um2.")


def test_an_estimate_says_what_lies_outside(calibrated: CalibratedModel) -> None:
    found = calibrated.estimate(network(8, (8, 8)), DEVICE)
    low, high = calibrated.calibration.parts["prior"].ranges["adder_bits"]
    assert f"adder_bits is 6656, the calibration was fitted on {low:.6g} to {high:.6g}" in found.outside


def test_an_estimate_on_another_basis_says_that_it_is_not_calibrated(calibrated: CalibratedModel) -> None:
    chip = network().chip
    weights = {
        f"{layer.name}.{kind}": np.zeros(shape, dtype=np.int64)
        for layer, before in zip(chip.layers, chip.shapes, strict=False)
        for kind, shape in getattr(layer, "weight_shapes", lambda _: {})(before).items()
    }
    fitted = replace(chip, weights=weights)
    found = calibrated.estimate(fitted, DEVICE)
    assert found.basis == "weights"
    assert found.costs() == Counting().estimate(fitted, DEVICE).costs()
    assert (found.coverage, found.intervals) == (None, {})
    assert found.covers.endswith("Not calibrated: the calibration is of estimates by prior, not by weights.")


def test_each_basis_has_its_own_correction() -> None:
    after = [(replace(each, basis="weights"), replace(made, resources=Resources(area_um2=2 * (
        made.resources.area_um2 or 0.0)))) for each, made in counted()]  # fmt: skip
    calibration = Calibration.fit([*counted(), *after])
    assert set(calibration.parts) == {"prior", "weights"}
    features, costs = arrays(counted())
    one, other = (calibration.apply(features, costs, basis)["area_um2"] for basis in ("prior", "weights"))
    np.testing.assert_allclose(other, 2 * one, rtol=0.03)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"technology": "asic-65nm"}, "technology 'invented', not 'asic-65nm'"),
        ({"clock_mhz": 80.0}, "clock_mhz 40.0, not 80.0"),
        ({"weights": "reloadable"}, "weights 'constant', not 'reloadable'"),
        ({"redundancy": "all"}, "redundancy 'none', not 'all'"),
        ({"pipelined": False}, "pipelined True, not False"),
    ],
)
def test_another_device_is_refused(calibrated: CalibratedModel, change: dict[str, Any], message: str) -> None:
    device = replace(DEVICE, **change)
    with pytest.raises(TargetError, match=f"not for this device: it was fitted for {message}"):
        calibrated.price(Workload.of(NETWORKS), device)
    with pytest.raises(TargetError, match=message):
        calibrated.estimate(network(), device)


def test_another_part_library_or_model_is_refused(calibrated: CalibratedModel) -> None:
    other = CalibratedModel(Counting(library="inv45"), calibrated.calibration)
    with pytest.raises(TargetError, match="library 'inv13', not 'inv45'"):
        other.estimate(network(), DEVICE)
    placed = [(each, replace(made, target=replace(MADE, part="xc7a35t"))) for each, made in counted()]
    with pytest.raises(TargetError, match="part 'xc7a35t', not 'xczu7ev"):
        CalibratedModel(Counting(), Calibration.fit(placed)).price(Workload.of(NETWORKS), DEVICE)
    with pytest.raises(ConfigError, match="fitted with the model 'invented', not 'other'"):
        CalibratedModel(Counting(name="other"), calibrated.calibration)


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        ({"clock_mhz": 80.0, "weights": "reloadable"}, "(--clock-mhz 40 --weights constant)"),
        ({"technology": "asic-65nm"}, "(--technology invented)"),
        ({"pipelined": False}, "(--pipelined)"),
    ],
)
def test_a_refusal_names_the_options_that_it_is_for(
    calibrated: CalibratedModel, change: dict[str, Any], advice: str
) -> None:
    with pytest.raises(TargetError) as raised:
        calibrated.price(Workload.of(NETWORKS), replace(DEVICE, **change))
    assert str(raised.value).endswith(f"; fit one to reports of that, or choose what it is for {advice}")


def test_a_model_without_the_features_is_refused(calibrated: CalibratedModel) -> None:
    with pytest.raises(ConfigError, match=r"corrects on .*which 'invented' does not give"):
        calibrated.calibration.apply({}, {"area_um2": np.ones(1)}, "prior")


def test_a_model_with_features_of_a_later_version_is_refused(calibrated: CalibratedModel) -> None:
    """What was not counted when a calibration was fitted is in its corrections of the rest."""
    features = {**calibrated.features(Workload.of(NETWORKS), DEVICE), "rounding_bits": np.ones(len(NETWORKS))}
    costs = {"area_um2": np.ones(len(NETWORKS))}
    with pytest.raises(ConfigError, match="'invented' counts rounding_bits, of which the calibration knows"):
        calibrated.calibration.apply(features, costs, "prior")
