import json
from collections.abc import Sequence
from dataclasses import replace
from math import log
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codesign.errors import ConfigError, UnsupportedLayerError
from codesign.export import verilog
from codesign.fixedpoint import FixedPoint
from codesign.hardware import COST_UNITS, Costs, Device, HardwareModel, Workload
from codesign.hardware.estimate import SWITCHED
from codesign.hardware.folding import fold
from codesign.network import Conv, Dense, Layer, MaxPool, Network, ReLU, Thresholds, Upsample
from codesign.testing import check_hardware_model
from hardware_models.asic import AsicModel
from hardware_models.switching import load_switching
from hardware_models.technology import available, load
from hardware_models.units import ADDITIVE, AMOUNTS, SWITCHING
from search_spaces import econt, econt_float
from tests.export.designs import DESIGNS

MODEL = AsicModel()
CHIP = Device("asic-65nm", 40.0)
MEASURED = tuple(name for name in available() if load(name).library)
PHYSICAL = ("area_um2", "power_mw", "energy_nj", "critical_path_ns")
COUNTED = {name: chip for name, chip in DESIGNS.items() if name != "folded"}
seeds = st.integers(0, 2**32 - 1)
examples = settings(deadline=None, max_examples=30)
devices = st.builds(
    Device,
    technology=st.sampled_from(available()),
    clock_mhz=st.floats(1.0, 500.0),
    redundancy=st.sampled_from(("none", "weights", "all")),
    pipelined=st.booleans(),
)

FIXED = FixedPoint(0, 2)
"""Three bits."""
PIXEL = FixedPoint(1, 1, signed=False)
"""Two bits."""


def unsigned(bits: int) -> FixedPoint:
    return FixedPoint(1, bits - 1, signed=False)


def network_of(shape: tuple[int, ...], *layers: Layer, pixel: FixedPoint | None = PIXEL) -> Network:
    return Network(shape, layers, pixel)


def dense(name: str, units: int) -> Dense:
    return Dense(name, units, weight=FIXED, bias=FIXED)


ONE = network_of((4,), dense("code", 2), ReLU("relu", unsigned(5)))
TWO = network_of((4,), dense("a", 3), ReLU("r", unsigned(2)), dense("code", 2), ReLU("relu", unsigned(5)))
FLOAT = network_of((4,), Dense("code", 2), pixel=None)
POOLED = network_of(
    (4, 4, 1), Conv("conv", 2, kernel=3, weight=FIXED, bias=FIXED), ReLU("relu", unsigned(2)), MaxPool("pool")
)


def random_work(seed: int, count: int = 20) -> Workload:
    return econt.workload(econt.SPACE.sample_codes(count, np.random.default_rng(seed), balanced=True))


def amounts(network: Network, **choices: Any) -> dict[str, float]:
    """Amounts that are not 0."""
    found = MODEL.features(Workload.of([network]), replace(CHIP, **choices))
    return {name: found[name].item() for name in AMOUNTS if found[name].item()}


def path_ns(network: Network, **choices: Any) -> float:
    return MODEL.features(Workload.of([network]), replace(CHIP, **choices))["critical_path_ns"].item()


def test_the_model_is_what_the_protocol_asks_for() -> None:
    model: HardwareModel = MODEL
    assert (model.name, model.needs_weights) == ("asic", False)
    assert set(MODEL.price(Workload.of([ONE]), CHIP)) == set(MODEL.predicts) <= set(COST_UNITS)
    switched = {f"{SWITCHED}{name}" for name in (*SWITCHING, "clock_bits")}
    assert set(MODEL.features(Workload.of([ONE]), CHIP)) == {*AMOUNTS, *switched, "critical_path_ns"}


@pytest.mark.parametrize(
    "device",
    [
        CHIP,
        replace(CHIP, redundancy="all", pipelined=False),
        Device("sky130hd", 640.0),
        Device("asap7", redundancy="weights"),
    ],
)
def test_the_model_keeps_the_laws_of_models(device: Device) -> None:
    networks = [*map(econt.build, econt.SPACE.sample(6, np.random.default_rng(3))), ONE, POOLED]
    check_hardware_model(MODEL, networks, device)


# One layer by hand.

ONE_AMOUNTS = {
    "gate_bits": 2 * 4 * (3 * 2) + 2 * 7,  # 5 + log2 4 + 1 bits decide, of the sum's 7
    "adder_bits": 2 * (4 * 6 - 1),  # 24 bits and a bias from place 1 on, into 7 bits
    "increment_bits": 2 * 4 * 2,
    "rounding_bits": 2 * 5,
    "register_bits": 2 * 5,
    "stored_bits": (8 + 2) * 3,
    "load_bits": (8 + 2) * 3,
    "words": 8 + 2,
}


def test_the_sum_of_the_layer_by_hand_has_seven_bits() -> None:
    assert Workload.of([ONE]).accumulator_bits.item() == 7  # 4 * 3 * 4 + 2 * 4 = 56, and a sign


@pytest.mark.parametrize(
    ("redundancy", "more"),
    [
        ("none", {}),
        ("weights", {"stored_bits": 3 * 30, "stored_voter_bits": 30}),
        (
            "all",
            {"stored_bits": 3 * 30, "stored_voter_bits": 30, "register_bits": 3 * 10, "voter_bits": 10},
        ),
    ],
)
def test_one_layer_worked_by_hand(redundancy: str, more: dict[str, float]) -> None:
    assert amounts(ONE, redundancy=redundancy) == {**ONE_AMOUNTS, **more}


def test_one_layer_without_a_pipeline_has_no_registers_but_those_of_its_weights() -> None:
    without = {name: amount for name, amount in ONE_AMOUNTS.items() if name != "register_bits"}
    assert amounts(ONE, pipelined=False) == without


def test_costs_of_one_layer_worked_by_hand() -> None:
    table = load("sky130hd")
    area = {name: amount * getattr(table, f"{AMOUNTS[name]}_area") for name, amount in ONE_AMOUNTS.items()}
    registers = ONE_AMOUNTS["register_bits"] + ONE_AMOUNTS["stored_bits"]
    logic_um2 = sum(area.values()) - area["register_bits"] - area["stored_bits"]
    known = load_switching()
    clocked_pj = registers * table.register_clock_energy
    sums_pj = (
        ONE_AMOUNTS["adder_bits"] * table.adder_energy
        + (ONE_AMOUNTS["increment_bits"] + ONE_AMOUNTS["rounding_bits"]) * table.increment_energy
        + ONE_AMOUNTS["register_bits"] * (table.register_energy - table.register_clock_energy)
    )
    gates_pj = ONE_AMOUNTS["gate_bits"] * table.gate_energy
    switched_pj = clocked_pj + known.reloadable_first * sums_pj + known.gates_first * gates_pj
    leakage_mw = registers * table.register_leakage + logic_um2 * table.logic_leakage
    found = MODEL.estimate(ONE, Device("sky130hd", 100.0))
    assert found.resources.area_um2 == pytest.approx(sum(area.values()), rel=1e-12)
    assert found.dynamic_mw == pytest.approx(switched_pj * 1e-3 * 100, rel=1e-12)
    assert found.leakage_mw == pytest.approx(leakage_mw, rel=1e-12)
    assert found.energy_nj == pytest.approx(switched_pj * 1e-3 + leakage_mw / 100, rel=1e-12)
    assert (found.latency_cycles, found.latency_ns, found.initiation_interval) == (1, 10.0, 1)


def test_a_convolution_that_is_pooled_worked_by_hand() -> None:
    """Along an axis of 4 pixels the windows have 2, 3, 3 and 2 taps on the image."""
    products, sums, pooled = 10 * 10 * 2, 4 * 4 * 2, 2 * 2 * 2
    assert Workload.of([POOLED]).accumulator_bits.item() == 8  # 9 * 3 * 4 + 2 * 4 = 116, and a sign
    assert amounts(POOLED) == {
        "gate_bits": products * 6 + sums * (2 + 4 + 1),
        "adder_bits": products * 6 - sums,
        "increment_bits": products * 2,
        "rounding_bits": sums * 2,
        "maximum_bits": pooled * 3 * 2,
        "register_bits": pooled * 2,
        "stored_bits": (18 + 2) * 3,
        "load_bits": (18 + 2) * 3,
        "words": 18 + 2,
    }


def test_thresholds_are_compared_one_by_one() -> None:
    """Three of them: two in the width of the sum, and the first in place of the bias."""
    steps = Thresholds("steps", unsigned(2), FixedPoint(4, 3), count=3)
    found = amounts(network_of((4,), dense("code", 2), steps))
    assert found["adder_bits"] == ONE_AMOUNTS["adder_bits"] + 2 * 7 * 2
    assert found["stored_bits"] == 8 * 3 + 6 * 8
    assert found["words"] == 8 + 6


def test_a_layer_that_nothing_rounds_hands_on_its_sum() -> None:
    found = amounts(network_of((4,), dense("code", 2)))
    assert found["gate_bits"] == 8 * 6
    assert found["increment_bits"] == 8 * 2
    assert found["register_bits"] == 2 * 7


def test_float_units_worked_by_hand() -> None:
    assert amounts(FLOAT) == {
        "register_bits": 2 * 32,
        "stored_bits": 10 * 32,
        "load_bits": 10 * 32,
        "words": 10,
        "float_multipliers": 8,
        "float_adders": 8,
    }


# Full adders, counted by adding.


def added(columns: Sequence[Sequence[NDArray[np.int64]]]) -> tuple[int, NDArray[np.int64]]:
    """Full adders that add columns of bits, the lowest first, and the sum, modulo two to their number.

    Three rows to two until two are left, and a ripple of carries behind (Wallace).
    """
    full = 0

    def add(place: int, bits: list[NDArray[np.int64]], made: list[list[NDArray[np.int64]]]) -> None:
        nonlocal full
        full += len(bits) == 3
        total = sum(bits, np.int64(0))
        made[place].append(total & 1)
        if place + 1 < len(made):
            made[place + 1].append(total >> 1)

    rows = [list(column) for column in columns]
    while max(map(len, rows)) > 2:
        made: list[list[NDArray[np.int64]]] = [[] for _ in rows]
        for place, bits in enumerate(rows):
            for first in range(0, len(bits), 3):
                if len(part := bits[first : first + 3]) == 3:
                    add(place, part, made)
                else:
                    made[place] += part
        rows = made
    for place, bits in enumerate(rows):
        if len(bits) > 1:
            rows[place] = []
            add(place, bits, rows)
    return full, sum((column[0] << place for place, column in enumerate(rows)), np.int64(0))


@given(st.integers(1, 20), st.integers(2, 8), st.integers(1, 8), seeds)
@settings(deadline=None, max_examples=60)
def test_full_adders_are_those_of_a_tree_that_adds_the_bits(
    taps: int, weight_bits: int, input_bits: int, seed: int
) -> None:
    """The top column has one adder without a carry; the model takes it for a full one."""
    weight, pixel = FixedPoint(0, weight_bits - 1), unsigned(input_bits)
    network = network_of((taps,), Dense("d", 1, weight=weight, bias=weight), pixel=pixel)
    width = Workload.of([network]).accumulator_bits.item()
    rng = np.random.default_rng(seed)
    inputs = rng.integers(0, pixel.maximum + 1, (taps, 30))
    weights = rng.integers(weight.minimum, weight.maximum + 1, (taps, 30))
    bias = rng.integers(weight.minimum, weight.maximum + 1, 30)
    columns: list[list[NDArray[np.int64]]] = [[] for _ in range(width)]
    constant = 0
    for each_weight, each_input in zip(weights, inputs, strict=True):
        for i in range(weight_bits):
            for j in range(input_bits):
                bit = (each_weight >> i) & (each_input >> j) & 1
                if i == weight_bits - 1:  # -b is (1 - b) - 1: its sign is a constant
                    bit, constant = 1 - bit, constant - (1 << (i + j))
                columns[i + j].append(bit)
    for place in range(input_bits - 1, width):
        columns[place].append((bias >> (place - input_bits + 1)) & 1)
    full, total = added(columns)
    expected = (weights * inputs).sum(axis=0) + (bias << (input_bits - 1))
    np.testing.assert_array_equal((total + constant - expected) % (1 << width), 0)
    assert amounts(network)["adder_bits"] == full + 1


# The critical path.


@pytest.mark.parametrize("technology", ["asic-65nm", "sky130hd"])
def test_a_path_worked_by_hand(technology: str) -> None:
    """Four products of two rows and a bias: nine rows; 7 bits of the sum, 5 behind the activation."""
    table = load(technology)
    layer_ns = (
        (1 + 3) * table.gate_delay + log(9 / 2) / log(1.5) * table.adder_delay + (7 + 5) * table.carry_delay
    )
    assert path_ns(ONE, technology=technology) == pytest.approx(layer_ns + table.register_delay)
    voted = layer_ns + table.register_delay + 2 * table.gate_delay
    for redundancy in ("weights", "all"):
        assert path_ns(ONE, technology=technology, redundancy=redundancy) == pytest.approx(voted)


def test_a_path_through_pooling_worked_by_hand() -> None:
    """Nine products of two rows and a bias; the largest of four is two comparisons of 2 bits."""
    table = load("asic-65nm")
    layer_ns = (
        (1 + 3 + 2) * table.gate_delay
        + log(19 / 2) / log(1.5) * table.adder_delay
        + (8 + 2 + 2 * 2) * table.carry_delay
    )
    assert path_ns(POOLED) == pytest.approx(layer_ns + table.register_delay)


def test_a_pipeline_is_as_slow_as_its_slowest_layer_and_other_logic_as_all_of_them() -> None:
    register_ns = load("asic-65nm").register_delay
    first, second = (
        path_ns(network_of((inputs,), dense("d", units), ReLU("r", unsigned(bits)))) - register_ns
        for inputs, units, bits in ((4, 3, 2), (3, 2, 5))
    )
    assert path_ns(TWO) == pytest.approx(max(first, second) + register_ns)
    assert path_ns(TWO, pipelined=False) == pytest.approx(first + second + register_ns)


@given(seeds, devices)
@examples
def test_combinational_logic_has_no_pipeline_registers_and_a_longer_path(seed: int, device: Device) -> None:
    work = random_work(seed)
    deep = work.present.sum(axis=1) > 1
    piped, straight = (replace(device, pipelined=pipelined) for pipelined in (True, False))
    before, after = (MODEL.price(work, each) for each in (piped, straight))
    features = MODEL.features(work, straight)
    assert not features["register_bits"].any()
    assert not features["voter_bits"].any()
    assert not after["latency_cycles"].any()
    np.testing.assert_array_equal(after["latency_ns"], after["critical_path_ns"])
    np.testing.assert_array_equal(before["latency_cycles"], work.present.sum(axis=1))
    np.testing.assert_allclose(before["latency_ns"], before["latency_cycles"] * device.period_ns)
    np.testing.assert_array_equal(after["critical_path_ns"] > before["critical_path_ns"], deep)
    assert (after["area_um2"] < before["area_um2"]).all()


# Laws of size and of redundancy.

BITS = ("input_bits", "latent_weight_bits", "latent_bits")
PER_CONVOLUTION = ("filters", "kernel", "conv_weight_bits", "conv_activation_bits")
PER_DENSE = ("units", "dense_weight_bits", "dense_activation_bits")
SIZES = (*BITS, *(f"{name}_{i}" for name in PER_CONVOLUTION + PER_DENSE for i in (1, 2, 3)))


@pytest.mark.parametrize("name", SIZES)
def test_more_bits_filters_taps_or_units_never_cost_less(name: str) -> None:
    codes = econt.SPACE.sample_codes(500, np.random.default_rng(11), balanced=True)
    column = econt.SPACE.names.index(name)
    largest = len(econt.SPACE.columns[column].parameter.values) - 1
    grows = (codes[:, column] >= 0) & (codes[:, column] < largest)
    larger = codes.copy()
    larger[:, column] += grows
    assert grows.any()
    for technology in available():
        device = replace(CHIP, technology=technology, pipelined=False)
        before, after = (MODEL.price(econt.workload(rows), device) for rows in (codes, larger))
        for cost in PHYSICAL:
            assert (after[cost][grows] >= before[cost][grows]).all(), (technology, cost)
            np.testing.assert_array_equal(after[cost][~grows], before[cost][~grows])
        assert (after["area_um2"][grows] > before["area_um2"][grows]).all(), technology
        assert (after["energy_nj"][grows] > before["energy_nj"][grows]).all(), technology


@given(seeds, devices)
@examples
def test_redundancy_costs_area_and_energy(seed: int, device: Device) -> None:
    device = replace(device, pipelined=True)
    work = random_work(seed)
    kinds: tuple[Any, ...] = ("none", "weights", "all")
    none, weights, both = (MODEL.price(work, replace(device, redundancy=kind)) for kind in kinds)
    assert (none["area_um2"] < weights["area_um2"]).all()
    assert (weights["area_um2"] < both["area_um2"]).all()
    assert (none["energy_nj"] < weights["energy_nj"]).all()
    assert (weights["energy_nj"] < both["energy_nj"]).all()
    assert (none["critical_path_ns"] < weights["critical_path_ns"]).all()


@pytest.mark.parametrize("pipelined", [True, False])
def test_redundancy_triples_the_registers_that_it_names(pipelined: bool) -> None:
    work = random_work(7)
    kinds: tuple[Any, ...] = ("none", "weights", "all")
    none, weights, both = (
        MODEL.features(work, replace(CHIP, redundancy=kind, pipelined=pipelined)) for kind in kinds
    )
    for voted in (weights, both):
        np.testing.assert_array_equal(voted["stored_bits"], 3 * none["stored_bits"])
        np.testing.assert_array_equal(voted["stored_voter_bits"], none["stored_bits"])
    np.testing.assert_array_equal(weights["register_bits"], none["register_bits"])
    np.testing.assert_array_equal(both["register_bits"], 3 * none["register_bits"])
    np.testing.assert_array_equal(both["voter_bits"], none["register_bits"])
    for unchanged in ("gate_bits", "adder_bits", "increment_bits", "maximum_bits", "load_bits", "words"):
        np.testing.assert_array_equal(both[unchanged], none[unchanged])


# Power, energy and sums.


@given(seeds, devices)
@examples
def test_power_is_dynamic_and_leakage_and_energy_is_power_over_rate(seed: int, device: Device) -> None:
    found = MODEL.price(random_work(seed), device)
    np.testing.assert_allclose(found["power_mw"], found["dynamic_mw"] + found["leakage_mw"], rtol=1e-12)
    np.testing.assert_allclose(found["energy_nj"], found["power_mw"] / device.clock_mhz, rtol=1e-12)
    assert (found["initiation_interval"] == 1).all()


@given(seeds, devices)
@examples
def test_twice_the_clock_is_twice_the_dynamic_power(seed: int, device: Device) -> None:
    work = random_work(seed)
    slow, fast = (MODEL.price(work, replace(device, clock_mhz=k * device.clock_mhz)) for k in (1, 2))
    assert (slow["dynamic_mw"] > 0).all()
    np.testing.assert_allclose(fast["dynamic_mw"], 2 * slow["dynamic_mw"], rtol=1e-12)
    for cost in ("leakage_mw", "area_um2", "critical_path_ns", "latency_cycles"):
        np.testing.assert_array_equal(fast[cost], slow[cost])
    if device.pipelined:
        np.testing.assert_allclose(fast["latency_ns"], slow["latency_ns"] / 2, rtol=1e-12)


@given(st.sampled_from((econt, econt_float)), seeds, devices)
@examples
def test_an_estimate_is_the_price_of_its_network_to_the_last_bit(
    module: ModuleType, seed: int, device: Device
) -> None:
    if module is econt_float:
        device = replace(device, technology="asic-45nm")
    codes = module.SPACE.sample_codes(4, np.random.default_rng(seed), balanced=True)
    prices, features = (call(module.workload(codes), device) for call in (MODEL.price, MODEL.features))
    for row, candidate in enumerate(module.SPACE.decode(codes)):
        found = MODEL.estimate(module.build(candidate), device)
        assert found.costs() == {name: values[row] for name, values in prices.items()}
        assert found.features == {name: values[row] for name, values in features.items()}


@given(seeds, devices)
@examples
def test_the_whole_is_the_sum_of_its_layers(seed: int, device: Device) -> None:
    (candidate,) = econt.SPACE.sample(1, np.random.default_rng(seed))
    network = econt.build(candidate)
    found = MODEL.estimate(network, device)
    assert list(found.by_layer) == [
        layer.name for layer in network.chip.layers if isinstance(layer, Conv | Dense)
    ]
    for name in ADDITIVE:
        parts = [costs[name] for costs in found.by_layer.values()]
        assert sum(parts) == pytest.approx(found.costs()[name], rel=1e-12)


@pytest.mark.parametrize("name", COUNTED)
def test_registers_and_words_are_those_of_the_export(name: str) -> None:
    chip = COUNTED[name].chip
    port = verilog.load_port(chip)
    assert port is not None
    stored = sum(block.count * block.width for block in verilog.weight_blocks(chip))
    found = amounts(chip)
    assert found["register_bits"] == verilog.pipeline_bits(chip)
    assert (found["words"], found["stored_bits"], found["load_bits"]) == (port.words, stored, stored)
    assert Workload.of([chip]).products.sum() == verilog.multipliers(chip)


# Technologies.


def test_nodes_differ_by_their_scale() -> None:
    work = Workload.of([econt.build(econt.SPACE.candidate(econt.BASELINE))])
    old, new = (MODEL.price(work, Device(name)) for name in ("asic-65nm", "asic-45nm"))
    np.testing.assert_allclose(old["area_um2"] / new["area_um2"], 1.5)
    np.testing.assert_allclose(old["dynamic_mw"] / new["dynamic_mw"], 3.01)
    np.testing.assert_allclose(old["leakage_mw"], new["leakage_mw"])
    np.testing.assert_allclose(old["critical_path_ns"] / new["critical_path_ns"], 1.44)


def test_the_baseline_is_within_the_spread_of_the_sources_of_the_published_chip() -> None:
    """The chip: 2.4 nJ and 3.6 mm2 with triplication, converter and I2C, 50 ns (arXiv:2105.01683)."""
    baseline = econt.build(econt.SPACE.candidate(econt.BASELINE))
    found = MODEL.estimate(baseline, replace(CHIP, redundancy="all"))
    spread = load("asic-65nm").energy_spread
    assert 1 / spread < found.energy_nj / 2.4 < spread
    assert 1 / spread < found.resources.area_um2 / 3.6e6 < 1
    assert (found.latency_cycles, found.latency_ns) == (2, 50.0)


@pytest.mark.parametrize("technology", ["asic-45nm", "asic-65nm"])
def test_a_float_network_costs_many_times_a_quantised_one(technology: str) -> None:
    device = replace(CHIP, technology=technology)
    quantised, floating = (
        MODEL.estimate(module.build(module.SPACE.candidate(econt.BASELINE)), device).costs()
        for module in (econt, econt_float)
    )
    assert floating["area_um2"] > 10 * quantised["area_um2"]
    assert floating["energy_nj"] > 10 * quantised["energy_nj"]


@pytest.mark.parametrize("technology", MEASURED)
def test_a_measured_library_has_no_float_units(technology: str) -> None:
    device = replace(CHIP, technology=technology)
    message = f"'{technology}' has no floating-point units; quantise the network, or take .*asic-45nm"
    with pytest.raises(ConfigError, match=message):
        MODEL.estimate(FLOAT, device)
    with pytest.raises(ConfigError, match=message):
        MODEL.price(Workload.of([ONE, FLOAT]), device)


def test_an_estimate_says_what_it_covers_and_from_where() -> None:
    found = MODEL.estimate(ONE, replace(CHIP, redundancy="weights"))
    covered, _, rest = found.covers.partition("Not: ")
    left_out, _, sources = rest.partition(" Sources: ")
    for part in ("asic-65nm at 1.2 V", "redundancy weights", "leakage"):
        assert part in covered
    for part in (
        "layout",
        "wires",
        "clock tree",
        "pads",
        "I2C",
        "glitches",
        "factor of 3 in energy and 2 in",
    ):
        assert part in left_out
    assert sources == "; ".join(load("asic-65nm").sources) + "."
    assert (found.model, found.basis, found.target.technology) == ("asic", "widths", "asic-65nm")
    assert (found.target.weights, found.target.redundancy) == ("reloadable", "weights")
    assert json.loads(json.dumps(found.to_dict())) == found.to_dict()


def test_an_estimate_for_a_library_names_it() -> None:
    found = MODEL.estimate(ONE, replace(CHIP, technology="sky130hd"))
    assert found.target.library == "sky130_fd_sc_hd__tt_025C_1v80"
    assert "hardware_models.characterise sky130hd" in found.covers


def test_pricing_no_networks_gives_no_prices() -> None:
    prices: Costs = MODEL.price(econt.workload(econt.SPACE.encode([])), CHIP)
    assert {values.shape for values in prices.values()} == {(0,)}


# What is refused.


@pytest.mark.parametrize("call", [MODEL.price, MODEL.features])
def test_what_the_model_does_not_cover_is_refused(call: Any) -> None:
    with pytest.raises(ConfigError, match=r"the device has weights='constant'; take the model 'constant'"):
        call(Workload.of([ONE]), replace(CHIP, weights="constant"))
    with pytest.raises(
        UnsupportedLayerError, match=r"'code' is folded; the model 'asic' .*unfolded\(network\)"
    ):
        call(Workload.of([fold(ONE, 4)]), CHIP)


def test_an_estimate_refuses_the_same() -> None:
    with pytest.raises(ConfigError, match="prices reloadable weights, the device has weights='constant'"):
        MODEL.estimate(ONE, replace(CHIP, weights="constant"))
    with pytest.raises(UnsupportedLayerError, match="layer 'code' is folded"):
        MODEL.estimate(fold(ONE, 4), CHIP)


def test_a_layer_that_cannot_be_priced_is_named() -> None:
    network = network_of((2, 2, 1), Upsample("up"), MaxPool("down"), pixel=None)
    with pytest.raises(UnsupportedLayerError, match=r"layer 'up' \(Upsample\) cannot be priced here"):
        MODEL.estimate(network, CHIP)


def test_an_unknown_technology_lists_those_there_are() -> None:
    with pytest.raises(ConfigError, match="no technology 'asic-3nm'; there are asap7, asic-45nm, asic-65nm"):
        MODEL.estimate(ONE, replace(CHIP, technology="asic-3nm"))
