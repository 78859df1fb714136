from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from codesign.errors import ConfigError, UnsupportedLayerError
from codesign.fixedpoint import FixedPoint
from codesign.hardware import Device, Workload
from codesign.hardware.folding import fold
from codesign.network import Dense, Network, ReLU
from hardware_models.technology import UNITS, load
from hardware_models.units import (
    AMOUNTS,
    PREDICTS,
    STILL,
    Activity,
    copies,
    costs,
    estimate,
    require_unfolded,
    settled,
    totals,
)

FIXED = FixedPoint(0, 2)
NETWORK = Network(
    (4,),
    (Dense("a", 2, weight=FIXED, bias=FIXED), ReLU("r", FixedPoint(1, 3, signed=False))),
    FixedPoint(1, 1, signed=False),
)
WORK = Workload.of([NETWORK])
CHIP = Device("asic-45nm", 100.0)
NUMBERS = {name: 1.0 + number / 64 for number, name in enumerate(UNITS)} | {"register_energy": 3.0}
"""Of a technology that tells every number from every other; the clock is a part of a register's energy."""
INVENTED = replace(load("asic-45nm"), **NUMBERS)
RANDOM = Activity(*(np.ones(WORK.sums.shape),) * 3)


def amounts(**given: float) -> dict[str, NDArray[np.float64]]:
    return {name: np.full(WORK.sums.shape, given.get(name, 0.0)) for name in AMOUNTS}


@pytest.mark.parametrize("name", AMOUNTS)
def test_an_amount_costs_its_unit(name: str) -> None:
    """Area, what switches, and leakage; what is stored is clocked and keeps its data."""
    priced = costs(WORK, amounts(**{name: 3.0}), INVENTED, CHIP, RANDOM)
    found = {cost: values.item() for cost, values in priced.items()}
    area = 3 * NUMBERS[f"{AMOUNTS[name]}_area"]
    if name in ("register_bits", "stored_bits"):
        leakage = 3 * NUMBERS["register_leakage"]
    else:
        leakage = area * NUMBERS["logic_leakage"]
    energy = 0.0 if name in STILL else 3 * NUMBERS[f"{AMOUNTS[name]}_energy"]
    if name == "stored_bits":
        energy = 3 * NUMBERS["register_clock_energy"]
    assert found["area_um2"] == pytest.approx(area)
    assert found["leakage_mw"] == pytest.approx(leakage)
    assert found["dynamic_mw"] == pytest.approx(energy * 1e-3 * 100.0)
    assert found["power_mw"] == found["dynamic_mw"] + found["leakage_mw"]
    assert found["energy_nj"] == found["power_mw"] / 100.0


def test_energy_goes_by_what_changes_but_for_the_clock() -> None:
    """Sums change by a half, gates by a quarter, outputs by an eighth; registers keep their clock."""
    shares = (np.full(WORK.sums.shape, share) for share in (0.5, 0.25, 0.125))
    activity = Activity(*shares)
    table = replace(INVENTED, register_energy=2 * INVENTED.register_clock_energy)
    clock = table.register_clock_energy
    expected = {
        "adder_bits": 0.5 * table.adder_energy,
        "gate_bits": 0.25 * table.gate_energy,
        "maximum_bits": 0.125 * table.maximum_energy,
        "register_bits": clock + 0.5 * clock,
    }
    for name, energy in expected.items():
        found = costs(WORK, amounts(**{name: 1.0}), table, CHIP, activity)
        assert found["dynamic_mw"].item() == pytest.approx(energy * 1e-3 * 100.0)


def test_every_amount_is_of_a_unit_that_has_an_area_and_an_energy() -> None:
    for name, unit in AMOUNTS.items():
        assert f"{unit}_area" in UNITS
        assert name in STILL or f"{unit}_energy" in UNITS


def test_work_is_counted_by_the_rule_of_the_study() -> None:
    found = costs(WORK, amounts(), INVENTED, CHIP, RANDOM)
    counted = ("operations", "macs", "parameters", "weight_bits", "bops", "output_bits")
    assert {name: found[name].item() for name in counted} == {
        "operations": 2 * 8 + 2,
        "macs": 8,
        "parameters": 10,
        "weight_bits": 30,
        "bops": 8 * 3 * 2,
        "output_bits": WORK.output_bits.item(),
    }


def test_float_units_are_refused_where_a_technology_has_none() -> None:
    without = replace(INVENTED, float_multiplier_area=0.0)
    with pytest.raises(ConfigError, match="has no floating-point units; quantise the network"):
        costs(WORK, amounts(float_multipliers=1.0), without, CHIP, RANDOM)
    assert costs(WORK, amounts(), without, CHIP, RANDOM)["area_um2"] == 0


@pytest.mark.parametrize(
    ("redundancy", "stored", "clocked"), [("none", 1, 1), ("weights", 3, 1), ("all", 3, 3)]
)
def test_redundancy_makes_three_of_a_register(redundancy: str, stored: int, clocked: int) -> None:
    device = replace(CHIP, redundancy=redundancy)  # type: ignore[arg-type]
    assert (copies(device, "weights", "all"), copies(device, "all")) == (stored, clocked)


def test_a_pipeline_takes_clock_periods_and_other_logic_its_delay() -> None:
    layers = {"area_um2": np.array([[1.0, 2.0], [3.0, 4.0]])}
    found = settled(layers, np.array([2.0, 0.0]), np.array([4.0, 5.0]), np.array([6.0, 7.0]), CHIP)
    assert found["area_um2"].tolist() == [3.0, 7.0]
    assert found["latency_cycles"].tolist() == [2.0, 0.0]
    assert found["latency_ns"].tolist() == [20.0, 7.0]
    assert found["critical_path_ns"].tolist() == [4.0, 5.0]
    assert found["initiation_interval"].tolist() == [1.0, 1.0]


def test_layers_that_are_not_there_change_no_bit_of_a_sum() -> None:
    values = np.random.default_rng(0).random((50, 7))
    spaced = np.zeros((50, 20))
    spaced[:, ::3] = values
    np.testing.assert_array_equal(totals({"x": values})["x"], totals({"x": spaced})["x"])
    assert totals({"x": np.zeros((2, 0))})["x"].tolist() == [0.0, 0.0]


def test_a_folded_layer_is_named() -> None:
    require_unfolded(WORK, "asic")
    work = Workload.of([NETWORK, fold(NETWORK, 4)])
    with pytest.raises(UnsupportedLayerError, match="layer 'a' is folded; the model 'mine' has hardware for"):
        require_unfolded(work, "mine")


def test_an_estimate_holds_what_was_priced() -> None:
    layers = costs(WORK, amounts(adder_bits=5.0), INVENTED, CHIP, RANDOM)
    whole = settled(layers, np.array([1.0]), np.array([3.0]), np.array([4.0]), CHIP)
    assert set(whole) == set(PREDICTS)
    found = estimate(
        NETWORK,
        CHIP,
        model="mine",
        basis="widths",
        names=WORK.names,
        layers=layers,
        whole=whole,
        features={"adder_bits": np.array([5.0])},
        technology=replace(INVENTED, library="mine_tt"),
        covers="all",
    )
    assert found.costs() == {name: values.item() for name, values in whole.items()}
    assert found.by_layer == {"a": {name: values.item() for name, values in layers.items()}}
    assert (found.model, found.basis, found.target.library) == ("mine", "widths", "mine_tt")
    assert found.features == {"adder_bits": 5.0}
