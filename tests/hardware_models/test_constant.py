import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from codesign.errors import ConfigError, UnsupportedLayerError
from codesign.export import distributed
from codesign.fixedpoint import FixedPoint
from codesign.hardware import COST_UNITS, Device, HardwareModel, Workload
from codesign.hardware.estimate import SWITCHED
from codesign.hardware.folding import fold
from codesign.network import Dense, Network, ReLU
from codesign.testing import check_hardware_model
from hardware_models.constant import ConstantModel, exported
from hardware_models.constant_logic import ADDED, DEEPER, _cuts, evenly
from hardware_models.counting import count
from hardware_models.technology import load
from search_spaces import econt, econt_float
from tests.export.designs import DESIGNS, design, fixed, randomised, rounded
from tests.export.small import CORNERS, EVERYTHING, TINY

MODEL = ConstantModel()
CHIP = Device("asic-65nm", 40.0, weights="constant")
PHYSICAL = ("area_um2", "power_mw", "energy_nj")
seeds = st.integers(0, 2**32 - 1)
examples = settings(deadline=None, max_examples=30)
COUNTED = {name: chip for name, chip in DESIGNS.items() if name != "folded"}


def one_dense() -> Network:
    layers = (Dense("code", 2, **fixed(3)), ReLU("relu", rounded(4)))
    return Network((4,), layers, FixedPoint(1, 2, signed=False))


def test_the_model_is_what_the_protocol_asks_for() -> None:
    model: HardwareModel = MODEL
    assert model.name == "constant"
    assert model.needs_weights
    assert set(MODEL.price(Workload.of([one_dense()]), CHIP)) == set(MODEL.predicts) <= set(COST_UNITS)


@pytest.mark.parametrize(
    "device",
    [
        CHIP,
        replace(CHIP, redundancy="all"),
        Device("asic-45nm", 640.0, weights="constant"),
        replace(CHIP, pipelined=False),
    ],
)
def test_the_model_keeps_the_laws_of_models(device: Device) -> None:
    networks = [*map(econt.build, econt.SPACE.sample(6, np.random.default_rng(3))), one_dense()]
    check_hardware_model(MODEL, networks, device)


def test_the_basis_says_whether_the_weights_are_known() -> None:
    network = econt.build(econt.SPACE.candidate(econt.BASELINE))
    prior, known = (MODEL.estimate(each, CHIP) for each in (network, randomised(network)))
    assert (prior.basis, known.basis) == ("prior", "weights")
    assert "(prior)" in prior.covers
    assert "from the network's weights" in known.covers
    assert set(prior.features) == set(known.features)
    assert prior.target == known.target


def test_one_layer_worked_by_hand() -> None:
    """Two inputs of 3 bits: a sum and the first input; a constant of 1; nothing is negative."""
    whole = FixedPoint(3, 0)
    layers = (Dense("d", 2, weight=whole, bias=whole), ReLU("r", FixedPoint(5, 0, signed=False)))
    weights = {"d.weight": np.array([[1, 4], [1, 0]]), "d.bias": np.array([1, 0])}
    chip = Network((2,), layers, FixedPoint(3, 0, signed=False), weights=weights)
    table = load("asic-45nm")
    found = MODEL.estimate(chip, Device("asic-45nm", 100.0, weights="constant"))
    adders, increments, constants = 2, 1, 4  # x + y: half, full, full; a 1 is added to its 4 bits
    registers = 4 + 5  # up to 15, and 4 times 7
    assert found.features["adder_bits"] == adders
    assert found.features["increment_bits"] == increments
    assert found.features["constant_bits"] == constants
    assert found.features["register_bits"] == registers
    assert found.resources.area_um2 == pytest.approx(
        adders * table.adder_area
        + (increments + constants) * table.increment_area
        + registers * table.register_area
    )
    assert found.critical_path_ns == pytest.approx(
        2 * table.adder_delay + 5 * table.carry_delay + table.register_delay
    )
    assert (found.latency_cycles, found.latency_ns, found.initiation_interval) == (1, 10.0, 1)


@given(seeds)
@examples
def test_an_estimate_without_weights_is_the_price_to_the_last_bit(seed: int) -> None:
    codes = econt.SPACE.sample_codes(4, np.random.default_rng(seed), balanced=True)
    prices = MODEL.price(econt.workload(codes), CHIP)
    features = MODEL.features(econt.workload(codes), CHIP)
    for row, candidate in enumerate(econt.SPACE.decode(codes)):
        found = MODEL.estimate(econt.build(candidate), CHIP)
        assert found.costs() == {name: values[row] for name, values in prices.items()}
        assert found.features == {name: values[row] for name, values in features.items()}


WEIGHT_BITS = (
    "latent_weight_bits",
    *(f"{kind}_weight_bits_{i}" for kind in ("conv", "dense") for i in (1, 2, 3)),
)


@pytest.mark.parametrize("name", WEIGHT_BITS)
def test_more_weight_bits_are_never_expected_to_cost_less(name: str) -> None:
    codes = econt.SPACE.sample_codes(500, np.random.default_rng(11), balanced=True)
    column = econt.SPACE.names.index(name)
    largest = len(econt.SPACE.columns[column].parameter.values) - 1
    grows = (codes[:, column] >= 0) & (codes[:, column] < largest)
    larger = codes.copy()
    larger[:, column] += grows
    assert grows.any()
    without = replace(CHIP, pipelined=False)  # a pipeline may be cut elsewhere, at fewer bits
    before, after = (MODEL.price(econt.workload(rows), without) for rows in (codes, larger))
    for cost in PHYSICAL:
        assert (after[cost][grows] > before[cost][grows]).all()
        np.testing.assert_array_equal(after[cost][~grows], before[cost][~grows])


@pytest.mark.parametrize("name", COUNTED)
def test_the_whole_is_the_sum_of_the_layers(name: str) -> None:
    for network in (COUNTED[name], replace(COUNTED[name], weights={})):
        found = MODEL.estimate(network, CHIP)
        for cost in ("macs", "weight_bits", *PHYSICAL):
            parts = [costs[cost] for costs in found.by_layer.values()]
            assert sum(parts) == pytest.approx(found.costs()[cost], rel=1e-12)


def test_known_weights_of_zero_cost_the_outputs_that_bias_and_nothing_else_gives() -> None:
    """Not even registers: what never changes needs none."""
    network = econt.build(econt.SPACE.candidate(econt.BASELINE))
    zeros = {name: np.zeros_like(values) for name, values in randomised(network).weights.items()}
    found = MODEL.estimate(network.with_weights(zeros), CHIP)
    assert found.resources.area_um2 == 0
    assert {name for name, amount in found.features.items() if amount} == {"critical_path_ns"}
    assert found.latency_cycles == 1


def test_weights_that_are_wires_cost_registers_only() -> None:
    layers = (Dense("d", 2, weight=FixedPoint(2, 0), bias=FixedPoint(2, 0)),)
    weights = {"d.weight": np.array([[0, 2], [1, 0]]), "d.bias": np.zeros(2)}
    found = MODEL.estimate(Network((2,), layers, FixedPoint(3, 0, signed=False), weights=weights), CHIP)
    assert {name for name, amount in found.features.items() if amount} == {
        "register_bits",
        f"{SWITCHED}register_bits",
        f"{SWITCHED}clock_bits",
        "critical_path_ns",
    }
    assert found.features["register_bits"] == 3 + 4
    assert found.resources.area_um2 == pytest.approx(7 * load("asic-65nm").register_area)


@pytest.mark.parametrize("name", [*COUNTED, "tiny"])
def test_triplication_costs_more(name: str) -> None:
    network = {**COUNTED, "tiny": TINY}[name]
    for chip in (network, replace(network, weights={})):
        one, three = (MODEL.estimate(chip, replace(CHIP, redundancy=kind)) for kind in ("none", "all"))
        assert three.features["register_bits"] == pytest.approx(3 * one.features["register_bits"])
        assert three.features["voter_bits"] == one.features["register_bits"]
        assert one.features["voter_bits"] == 0
        for cost in ("area_um2", "power_mw", "critical_path_ns"):
            assert three.costs()[cost] > one.costs()[cost]
        assert MODEL.estimate(chip, replace(CHIP, redundancy="weights")).costs() == one.costs()


@given(st.integers(1, 400), st.integers(1, 30))
@examples
def test_a_pipeline_has_as_many_stages_as_it_needs_and_they_are_even(depth: int, most: int) -> None:
    device = Device(clock_mhz=1e3 / (distributed.ADDER_LEVEL_NS * (most + 0.5)), weights="constant")
    limit = evenly(np.array([float(depth)]), device)
    assert 1 <= limit <= most
    cuts = _cuts(np.array([[float(depth)]]), limit).item()
    assert cuts + 1 == -(-depth // most)  # and a register at the end


@given(st.lists(st.integers(0, 30), min_size=1, max_size=6), st.integers(1, 20))
@examples
def test_cuts_of_layers_are_those_of_one_long_path(depths: list[int], limit: int) -> None:
    together = _cuts(np.array([[float(sum(depths))]]), np.array([float(limit)]))
    apart = _cuts(np.array([depths], float), np.array([float(limit)]))
    assert apart.shape == (1, len(depths))
    assert (apart >= 0).all()
    assert apart.sum() == together.sum()


@pytest.mark.parametrize("name", COUNTED)
@pytest.mark.parametrize("clock_mhz", [10.0, 40.0, 200.0])
def test_a_faster_clock_takes_more_stages_of_fewer_additions(name: str, clock_mhz: float) -> None:
    device, faster = (replace(CHIP, clock_mhz=clock) for clock in (clock_mhz, 2 * clock_mhz))
    slow, fast = (MODEL.estimate(COUNTED[name], each) for each in (device, faster))
    depth = max(stage.levels for stage in count(COUNTED[name].chip)) + DEEPER
    levels = max(int(device.period_ns / distributed.ADDER_LEVEL_NS), 1)
    assert slow.latency_cycles == -(-depth // levels) <= fast.latency_cycles
    widest = max(stage.widest for stage in count(COUNTED[name].chip))
    carry = widest * load(CHIP.technology).carry_delay  # a shorter stage may lie across one layer more
    assert fast.costs()["critical_path_ns"] <= slow.costs()["critical_path_ns"] + carry


def test_logic_without_registers_has_none_and_takes_its_delay() -> None:
    found = MODEL.estimate(DESIGNS["baseline"], replace(CHIP, pipelined=False))
    assert found.features["register_bits"] == 0
    assert found.latency_cycles == 0
    assert found.latency_ns == found.critical_path_ns


def test_known_weights_cost_what_weights_like_them_are_expected_to() -> None:
    """Trained weights are Gaussian; the prior is of their spread."""
    rng, ratios = np.random.default_rng(2), []
    for filters, weight_bits in ((8, 6), (4, 4), (16, 3)):
        values = {**econt.BASELINE, "filters_1": filters, "conv_weight_bits_1": weight_bits}
        network = econt.build(econt.SPACE.candidate(values))
        prior, known = (MODEL.estimate(each, CHIP) for each in (network, trained(network, rng)))
        assert known.features["adder_bits"] == pytest.approx(prior.features["adder_bits"], rel=0.3)
        ratios.append(known.costs()["area_um2"] / prior.costs()["area_um2"])
    assert 0.75 < np.mean(ratios) < 1.3


def trained(network: Network, rng: np.random.Generator) -> Network:
    """With weights of the spread that the prior takes trained ones to have."""
    weights = {}
    for layer, shape in zip(network.layers, network.shapes, strict=False):
        for role, size in layer.weight_shapes(shape).items():
            spread = np.sqrt(2 / (layer.fan_in(shape) + layer.units) + 0.17**2)  # type: ignore[attr-defined]
            values = rng.normal(0, spread if role == "weight" else 0.1, size)
            held = getattr(layer, role)
            weights[f"{layer.name}.{role}"] = values if held is None else held.quantise(values)
    return network.with_weights(weights)


def small(rng: np.random.Generator, seed: int) -> Network:
    """At most a convolution and a dense layer in front of the latent units, 3 to 7 bits."""

    def bits() -> tuple[int, int]:
        return int(rng.integers(3, 8)), int(rng.integers(3, 8))

    kernel, stride = int(rng.choice([1, 3])), int(rng.choice([2, 4]))
    convolution = (int(rng.integers(1, 6)), kernel, stride, False, bits())
    dense = (int(rng.integers(2, 17)), bits())
    return design(
        (convolution,) * int(rng.integers(2)),
        (dense,) * int(rng.integers(2)),
        (int(rng.integers(1, 9)), bits()),
        seed=seed,
    )


@pytest.mark.da4ml
def test_designs_are_ranked_as_by_the_search_for_adders_itself() -> None:
    """da4ml counts a bit of an addition as one, whether two bits meet there or three."""
    pytest.importorskip("da4ml", reason="the extra rtl (da4ml) is not installed")
    rng = np.random.default_rng(0)
    networks = [small(rng, seed) for seed in range(16)]
    searched = [distributed.logic(network.chip, CHIP).adder_bits for network in networks]
    estimates = [MODEL.estimate(network, CHIP) for network in networks]
    bits = [sum(each.features[name] for name in ADDED) for each in estimates]
    assert spearmanr(searched, bits).statistic > 0.97
    assert spearmanr(searched, [each.costs()["area_um2"] for each in estimates]).statistic > 0.97


def test_an_estimate_says_what_it_covers_and_for_what() -> None:
    found = MODEL.estimate(TINY, CHIP)
    for part in ("Not: layout", "redundancy none", "pipeline registers", *load("asic-65nm").sources):
        assert part in found.covers
    assert (found.model, found.target.technology, found.target.weights) == (
        "constant",
        "asic-65nm",
        "constant",
    )
    assert json.loads(json.dumps(found.to_dict())) == found.to_dict()


def test_a_chip_without_layers_and_no_networks_at_all_cost_nothing() -> None:
    assert MODEL.estimate(CORNERS["nothing"], CHIP).resources.area_um2 == 0
    prices = MODEL.price(econt.workload(econt.SPACE.encode([])), CHIP)
    assert {values.shape for values in prices.values()} == {(0,)}


def test_reloadable_weights_are_refused() -> None:
    device: Any = replace(CHIP, weights="reloadable")
    for call in (
        lambda: MODEL.price(Workload.of([TINY]), device),
        lambda: MODEL.features(Workload.of([TINY]), device),
        lambda: MODEL.estimate(TINY, device),
    ):
        with pytest.raises(ConfigError, match="the device has weights='reloadable'; take the model 'asic'"):
            call()


@pytest.mark.parametrize("network", [DESIGNS["folded"], fold(one_dense(), 4)])
def test_a_folded_network_is_refused(network: Network) -> None:
    with pytest.raises(UnsupportedLayerError, match="is folded; the model 'constant' has hardware for every"):
        MODEL.estimate(network, CHIP)
    with pytest.raises(UnsupportedLayerError, match="is folded"):
        MODEL.price(Workload.of([network]), CHIP)


def test_layers_in_float_are_refused() -> None:
    network = econt_float.build(econt_float.SPACE.candidate(econt_float.BASELINE))
    for each in (network, randomised(network)):
        with pytest.raises(UnsupportedLayerError, match=r"'constant' counts adders of integers.*quantise it"):
            MODEL.estimate(each, CHIP)


def test_a_layer_that_cannot_be_priced_is_named() -> None:
    with pytest.raises(UnsupportedLayerError, match=r"layer 'up' \(ConvTranspose\) cannot be priced here"):
        MODEL.estimate(EVERYTHING, CHIP)


def test_an_unknown_technology_lists_those_there_are() -> None:
    with pytest.raises(ConfigError, match="no technology 'asic-3nm'; there are"):
        MODEL.estimate(TINY, replace(CHIP, technology="asic-3nm"))


@pytest.mark.da4ml
@pytest.mark.parametrize("pipelined", [True, False])
def test_the_export_has_as_many_adders_and_registers_as_its_graph(pipelined: bool) -> None:
    """Ours in the proportion of the two searches; what is added to or rounds a sum stays."""
    pytest.importorskip("da4ml", reason="the extra rtl (da4ml) is not installed")
    device = replace(CHIP, pipelined=pipelined)
    chip = COUNTED["baseline"].chip
    ours, found = (model.estimate(chip, device) for model in (MODEL, exported()))
    logic = distributed.logic(chip, device)
    ratio = logic.adder_bits / sum(ours.features[name] for name in ADDED)
    assert ratio != pytest.approx(1, abs=1e-3)
    for name in ("adder_bits", "increment_bits"):
        assert found.features[name] == pytest.approx(ratio * ours.features[name])
    for name in ("constant_bits", "rounding_bits", "gate_bits", "maximum_bits"):
        assert found.features[name] == ours.features[name]
    assert (found.features["register_bits"] > 0) == pipelined
    assert (found.model, found.basis) == ("constant-exported", "weights")
    assert exported().estimate(replace(chip, weights={}), device).costs() == (
        MODEL.estimate(replace(chip, weights={}), device).costs()
    )
