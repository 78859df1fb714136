import dataclasses
import json
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.errors import ConfigError, UnsupportedLayerError
from codesign.fixedpoint import FixedPoint
from codesign.hardware import COST_UNITS, Device, HardwareModel, Workload
from codesign.hardware.folding import fold
from codesign.network import Dense, MaxPool, Network, ReLU, Upsample
from hardware_models.asic import AsicModel
from hardware_models.technology import load
from search_spaces import econt, econt_float

MODEL = AsicModel()
CHIP = Device("asic-65nm", 40.0)
PHYSICAL = ("area_um2", "power_mw", "energy_nj")
ADDITIVE = ("operations", "macs", "parameters", "weight_bits", "bops", *PHYSICAL)
seeds = st.integers(0, 2**32 - 1)
examples = settings(deadline=None, max_examples=30)


def one_dense(weight_bits: int = 3, input_bits: int = 2) -> Network:
    fixed = FixedPoint(0, weight_bits - 1)
    layers = (Dense("code", 2, weight=fixed, bias=fixed), ReLU("relu", FixedPoint(1, 4, signed=False)))
    return Network((4,), layers, FixedPoint(1, input_bits - 1, signed=False))


def test_the_model_is_what_the_protocol_asks_for() -> None:
    model: HardwareModel = MODEL
    assert model.name == "asic"
    assert set(MODEL.price(Workload.of([one_dense()]), CHIP)) == set(MODEL.predicts) <= set(COST_UNITS)


def test_one_layer_worked_by_hand() -> None:
    """Two sums of four 5-bit products and a bias, into 8 bits; then 5 bits."""
    table = load("asic-45nm")
    assert Workload.of([one_dense()]).accumulator_bits.item() == 7  # 4 * 3 * 4 + 4 * 2 = 56, and a sign
    multipliers = 2 * 4 * (3 * 2)
    adders = 2 * (2 * 6 + 1 * 7 + 7) + 2 * 5
    clocked, stored = 4 * 2 + 2 * 5, (8 + 2) * 3
    area = (
        multipliers * table.multiplier_area
        + adders * table.adder_area
        + (clocked + stored) * table.register_area
    )
    switched_pj = (
        multipliers * table.multiplier_energy + adders * table.adder_energy + clocked * table.register_energy
    )
    power_mw = switched_pj * 1e-3 * 100 + (clocked + stored) * table.register_leakage
    estimate = MODEL.estimate(one_dense(), Device("asic-45nm", 100.0))
    assert estimate.resources.area_um2 == pytest.approx(area, rel=1e-12)
    assert estimate.power_mw == pytest.approx(power_mw, rel=1e-12)
    assert estimate.energy_nj == pytest.approx(power_mw / 100, rel=1e-12)
    assert (estimate.latency_cycles, estimate.latency_ns, estimate.initiation_interval) == (1, 10.0, 1)


def test_float_units_worked_by_hand() -> None:
    table = load("asic-45nm")
    estimate = MODEL.estimate(Network((4,), (Dense("code", 2),)), Device("asic-45nm", 100.0))
    clocked, stored = (4 + 2) * 32, (8 + 2) * 32
    area = 8 * (table.float_multiplier_area + table.float_adder_area)
    switched_pj = 8 * (table.float_multiplier_energy + table.float_adder_energy)
    switched_pj += clocked * table.register_energy
    leakage_mw = (clocked + stored) * table.register_leakage
    assert estimate.resources.area_um2 == pytest.approx(area + (clocked + stored) * table.register_area)
    assert estimate.energy_nj == pytest.approx(switched_pj * 1e-3 + leakage_mw / 100)


def test_pooling_costs_three_comparators_an_output() -> None:
    image = {"filters_1": 8, "kernel_1": 3, "stride_1": 1}
    plain, pooled = (
        MODEL.estimate(econt.build(econt.SPACE.candidate({**image, "pooling_1": pooling})), CHIP)
        for pooling in (False, True)
    )
    table = load("asic-65nm")
    comparators = 4 * 4 * 8 * 3 * 8 * table.adder_area
    registers = (8 * 8 - 4 * 4) * 8 * 8 * table.register_area
    areas = [estimate.by_layer["conv_1"]["area_um2"] for estimate in (plain, pooled)]
    assert areas[1] - areas[0] == pytest.approx(comparators - registers)


BITS = ("input_bits", "latent_weight_bits", "latent_bits")
PER_CONVOLUTION = ("filters", "kernel", "conv_weight_bits", "conv_activation_bits")
PER_DENSE = ("units", "dense_weight_bits", "dense_activation_bits")
SIZES = (*BITS, *(f"{name}_{i}" for name in PER_CONVOLUTION + PER_DENSE for i in (1, 2, 3)))


@pytest.mark.parametrize("name", SIZES)
def test_more_bits_filters_taps_or_units_cost_more(name: str) -> None:
    codes = econt.SPACE.sample_codes(500, np.random.default_rng(11), balanced=True)
    column = econt.SPACE.names.index(name)
    largest = len(econt.SPACE.columns[column].parameter.values) - 1
    grows = (codes[:, column] >= 0) & (codes[:, column] < largest)
    larger = codes.copy()
    larger[:, column] += grows
    before, after = (MODEL.price(econt.workload(rows), CHIP) for rows in (codes, larger))
    assert grows.any()
    for cost in PHYSICAL:
        assert (after[cost][grows] > before[cost][grows]).all()
        np.testing.assert_array_equal(after[cost][~grows], before[cost][~grows])


@given(seeds, st.floats(1.0, 500.0))
@examples
def test_twice_the_clock_is_twice_the_dynamic_power_and_half_the_latency(seed: int, clock_mhz: float) -> None:
    work = econt.workload(econt.SPACE.sample_codes(20, np.random.default_rng(seed), balanced=True))
    slow, fast, idle = (
        MODEL.price(work, Device("asic-65nm", clock)) for clock in (clock_mhz, 2 * clock_mhz, 1e-12)
    )
    leakage = idle["power_mw"]
    np.testing.assert_allclose(fast["power_mw"] - leakage, 2 * (slow["power_mw"] - leakage), rtol=1e-9)
    np.testing.assert_allclose(fast["latency_ns"], slow["latency_ns"] / 2, rtol=1e-12)
    np.testing.assert_allclose(slow["energy_nj"], slow["power_mw"] / clock_mhz, rtol=1e-12)
    np.testing.assert_array_equal(fast["area_um2"], slow["area_um2"])
    np.testing.assert_array_equal(fast["latency_cycles"], work.present.sum(axis=1))


@given(st.sampled_from((econt, econt_float)), seeds)
@examples
def test_an_estimate_is_the_price_of_its_network_to_the_last_bit(module: ModuleType, seed: int) -> None:
    codes = module.SPACE.sample_codes(4, np.random.default_rng(seed), balanced=True)
    prices = MODEL.price(module.workload(codes), CHIP)
    for row, candidate in enumerate(module.SPACE.decode(codes)):
        costs = MODEL.estimate(module.build(candidate), CHIP).costs()
        assert costs == {name: values[row] for name, values in prices.items()}


@given(seeds)
@examples
def test_the_whole_is_the_sum_of_the_input_and_the_layers(seed: int) -> None:
    (candidate,) = econt.SPACE.sample(1, np.random.default_rng(seed))
    network = econt.build(candidate)
    estimate = MODEL.estimate(network, CHIP)
    layers = [layer.name for layer in network.chip.layers if layer.weight_shapes((1, 1, 1))]
    assert list(estimate.by_layer) == ["input", *layers]
    for name in ADDITIVE:
        parts = [costs[name] for costs in estimate.by_layer.values()]
        assert sum(parts) == pytest.approx(estimate.costs()[name], rel=1e-12)


def test_nodes_differ_by_their_scale() -> None:
    work = Workload.of([econt.build(econt.SPACE.candidate(econt.BASELINE))])
    old, new = (MODEL.price(work, Device(name)) for name in ("asic-65nm", "asic-45nm"))
    np.testing.assert_allclose(old["area_um2"] / new["area_um2"], 1.5)
    assert 2.5 < (old["energy_nj"] / new["energy_nj"]).item() < 3.01


def test_the_baseline_takes_two_bunch_crossings() -> None:
    estimate = MODEL.estimate(econt.build(econt.SPACE.candidate(econt.BASELINE)), CHIP)
    assert (estimate.latency_cycles, estimate.latency_ns, estimate.initiation_interval) == (2, 50.0, 1)


def test_the_baseline_is_within_the_spread_of_the_sources_of_the_published_chip() -> None:
    """The chip: 2.4 nJ and 3.6 mm2 with triplication, converter and I2C (arXiv:2105.01683)."""
    estimate = MODEL.estimate(econt.build(econt.SPACE.candidate(econt.BASELINE)), CHIP)
    table = load("asic-65nm")
    assert 1 / table.energy_spread < estimate.energy_nj / 2.4 < table.energy_spread
    assert 1 / table.energy_spread < estimate.resources.area_um2 / 3.6e6 < 1


def test_quantising_saves_much_of_a_float_network() -> None:
    values: Mapping[str, object] = econt.BASELINE
    quantised = MODEL.estimate(econt.build(econt.SPACE.candidate(values)), CHIP)
    floating = MODEL.estimate(econt_float.build(econt_float.SPACE.candidate(values)), CHIP)
    assert floating.resources.area_um2 > 10 * quantised.resources.area_um2
    assert floating.energy_nj > 10 * quantised.energy_nj


def test_an_estimate_says_what_it_covers_and_from_where() -> None:
    estimate = MODEL.estimate(one_dense(), CHIP)
    for part in (
        "Not: triplication",
        "pads",
        "I2C",
        "clock tree",
        "factor of 3 in energy",
        *load("asic-65nm").sources,
    ):
        assert part in estimate.covers
    assert (estimate.model, estimate.target.technology, estimate.target.clock_mhz) == (
        "asic",
        "asic-65nm",
        40.0,
    )
    assert json.loads(json.dumps(estimate.to_dict())) == estimate.to_dict()


def test_pricing_no_networks_gives_no_prices() -> None:
    prices = MODEL.price(econt.workload(econt.SPACE.encode([])), CHIP)
    assert {values.shape for values in prices.values()} == {(0,)}


def test_a_layer_that_cannot_be_priced_is_named() -> None:
    network = Network((2, 2, 1), (Upsample("up"), MaxPool("down")))
    with pytest.raises(UnsupportedLayerError, match=r"layer 'up' \(Upsample\) cannot be priced here"):
        MODEL.estimate(network, CHIP)


def test_an_unknown_technology_lists_those_there_are() -> None:
    device = dataclasses.replace(CHIP, technology="asic-3nm")
    with pytest.raises(ConfigError, match="no technology 'asic-3nm'; there are asic-45nm, asic-65nm"):
        MODEL.estimate(one_dense(), device)


@pytest.mark.parametrize(
    "other", [{"weights": "constant"}, {"redundancy": "weights"}, {"redundancy": "all"}, {"pipelined": False}]
)
def test_a_device_the_model_does_not_cover_is_refused(other: dict[str, Any]) -> None:
    device = dataclasses.replace(CHIP, **other)
    with pytest.raises(ConfigError, match="the model 'asic' prices reloadable weights"):
        MODEL.price(Workload.of([one_dense()]), device)
    with pytest.raises(ConfigError, match=f"{next(iter(other))}="):
        MODEL.estimate(one_dense(), device)


def test_a_folded_network_is_not_priced_as_if_it_were_not() -> None:
    with pytest.raises(UnsupportedLayerError, match="'code' is folded"):
        MODEL.estimate(fold(one_dense(), 4), CHIP)
