import dataclasses
import json
from collections.abc import Sequence
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from codesign.errors import ConfigError, UnsupportedLayerError
from codesign.export.finn.rules import Affine, folded
from codesign.fixedpoint import FixedPoint
from codesign.hardware import Device, HardwareModel, Workload
from codesign.network import Conv, Dense, Flatten, Folding, Layer, MaxPool, Network, ReLU
from codesign.testing import check_hardware_model
from hardware_models.fpga import BLOCK
from hardware_models.fpga_streaming import StreamingModel
from search_spaces import econt, econt_float

MODEL = StreamingModel()
CHIP = Device("xcup", 200.0)
ADDITIVE = (
    "operations",
    "macs",
    "parameters",
    "weight_bits",
    "bops",
    "output_bits",
    "lut",
    "ff",
    "dsp",
    "bram_18k",
)
seeds = st.integers(0, 2**32 - 1)
examples = settings(deadline=None, max_examples=30)
widths = st.integers(2, 9)


def unsigned(bits: int) -> FixedPoint:
    return FixedPoint(1, bits - 1, signed=False, rounding="half_up")


def conv(
    units: int, kernel: int, stride: int, weight: int, bits: int, folding: tuple[int, int]
) -> tuple[Layer, ...]:
    name, fixed = f"conv_{units}_{kernel}_{folding[0]}_{folding[1]}", FixedPoint(0, weight - 1)
    fold = Folding(*folding)
    layer = Conv(name, units, weight=fixed, bias=fixed, kernel=kernel, stride=stride, folding=fold)
    return layer, ReLU(f"{name}_relu", unsigned(bits))


def dense(units: int, weight: int, bits: int, folding: tuple[int, int]) -> tuple[Layer, ...]:
    name, fixed = f"dense_{units}_{folding[0]}_{folding[1]}", FixedPoint(0, weight - 1)
    layer = Dense(name, units, weight=fixed, bias=fixed, folding=Folding(*folding))
    return layer, ReLU(f"{name}_relu", unsigned(bits))


def network(shape: tuple[int, ...], bits: int, *parts: Sequence[Layer]) -> Network:
    """Parts one after another; an image is flattened in front of the first dense layer."""
    layers: list[Layer] = []
    for part in parts:
        if len(shape) == 3 and isinstance(part[0], Dense) and not any(isinstance(x, Flatten) for x in layers):
            layers.append(Flatten("flatten"))
        layers += part
    return Network(shape, tuple(layers), unsigned(bits))


SMALL = network((8, 8, 1), 8, conv(8, 3, 2, 6, 8, (4, 3)), dense(16, 6, 8, (4, 8)))
MEASURED = (
    (SMALL, 96, 234),
    (network((8, 8, 1), 8, conv(8, 3, 2, 6, 8, (1, 1)), dense(16, 6, 8, (1, 1))), 2048, 3148),
    (network((8, 8, 1), 6, conv(4, 3, 1, 4, 4, (4, 3)), dense(16, 4, 4, (4, 16))), 192, 313),
    (network((8, 8, 1), 6, conv(4, 3, 1, 4, 4, (1, 3)), dense(16, 4, 4, (4, 16))), 768, 890),
    (network((8, 8, 1), 4, conv(16, 5, 4, 4, 3, (4, 5)), dense(16, 5, 9, (1, 16))), 82, 244),
    (network((8, 8, 1), 4, conv(4, 5, 2, 3, 3, (4, 5)), dense(16, 3, 9, (1, 16))), 122, 254),
    (network((8, 8, 1), 6, conv(16, 3, 2, 6, 4, (16, 3)), dense(16, 7, 9, (1, 64))), 82, 211),
    (network((8, 8, 2), 4, conv(4, 2, 2, 4, 4, (2, 4)), dense(8, 4, 4, (2, 8))), 65, 149),
    (network((8, 8, 2), 6, conv(4, 1, 2, 4, 4, (4, 1)), dense(16, 4, 4, (4, 16))), 64, 118),
    (network((8, 8, 1), 6, conv(5, 3, 4, 4, 4, (1, 3)), dense(4, 4, 4, (4, 10))), 64, 130),
    (network((8, 8, 1), 6, conv(4, 3, 4, 4, 4, (4, 3)), dense(4, 4, 4, (4, 8))), 64, 105),
    (network((8, 8, 4), 4, conv(8, 1, 1, 4, 4, (8, 2)), dense(4, 4, 4, (2, 32))), 128, 194),
    (
        network((64,), 6, dense(32, 4, 4, (4, 8)), dense(16, 4, 4, (2, 8)), dense(16, 4, 6, (1, 4))),
        64,
        230,
    ),
    (network((64,), 8, dense(16, 6, 8, (2, 16))), 32, 66),
    (network((64,), 8, dense(16, 6, 8, (8, 32))), 4, 39),
    (
        network(
            (8, 8, 1),
            5,
            conv(4, 3, 1, 4, 4, (4, 3)),
            conv(8, 3, 2, 5, 4, (8, 6)),
            dense(16, 4, 6, (2, 16)),
        ),
        192,
        379,
    ),
    (
        network(
            (16, 16, 2),
            6,
            conv(4, 3, 2, 4, 4, (2, 6)),
            conv(8, 3, 2, 4, 4, (4, 9)),
            dense(16, 4, 4, (4, 8)),
        ),
        384,
        590,
    ),
)
"""Designs with the interval and the latency that ``codesign export --to finn`` measured in Verilator 5.48."""


@pytest.mark.parametrize(("chip", "interval", "latency"), MEASURED)
def test_cycles_are_those_of_finns_verilog(chip: Network, interval: int, latency: int) -> None:
    found = MODEL.estimate(chip, CHIP)
    assert found.initiation_interval == interval
    assert found.latency_cycles == pytest.approx(latency, rel=0.04)
    assert found.latency_ns == found.latency_cycles * 5.0


@given(seeds)
@examples
def test_layers_have_the_folding_that_finn_gets(seed: int) -> None:
    (candidate,) = econt.SPACE.sample(1, np.random.default_rng(seed))
    chip = econt.build(candidate).chip
    built = {
        layer.name: (layer.folding.pe, layer.folding.simd)
        for layer in folded(chip).layers
        if isinstance(layer, Affine) and layer.folding is not None
    }
    assert MODEL.estimate(chip, CHIP).target.folding == built


def test_all_products_of_a_sum_at_a_time_are_refolded_as_finn_gets_them() -> None:
    chip = network((64,), 8, dense(16, 6, 8, (2, 64)))
    (layer,) = (layer for layer in folded(chip).layers if isinstance(layer, Affine))
    assert layer.folding == Folding(4, 32)
    assert MODEL.estimate(chip, CHIP).target.folding == {layer.name: (4, 32)}


def test_dsp_blocks_worked_by_hand() -> None:
    """Products of 6 x 8 bits lie 13 bits apart: two in 27 bits. 4 units of 3, 4 of 8, in pairs: 6 + 16."""
    found = MODEL.estimate(SMALL, CHIP)
    assert [found.by_layer[name]["dsp"] for name in found.by_layer] == [6, 16]
    narrow = MODEL.estimate(network((64,), 4, dense(16, 4, 4, (8, 32))), CHIP)
    assert narrow.resources.dsp == 2 * 32  # 7 bits apart: four
    older = MODEL.estimate(network((64,), 4, dense(16, 4, 4, (8, 32))), Device("xc7", 200.0))
    assert older.resources.dsp == 3 * 32  # of 25 bits: three


def test_the_slowest_node_is_named_by_its_cycles() -> None:
    found = MODEL.estimate(SMALL, CHIP)
    assert [found.by_layer[name]["cycles"] for name in found.by_layer] == [96, 64]


@given(seeds, st.data())
@examples
def test_more_folding_never_costs_more_multipliers_nor_a_shorter_interval(
    seed: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    pe, simd = 2 ** int(rng.integers(1, 5)), 2 ** int(rng.integers(1, 6))
    fewer = data.draw(st.sampled_from([(pe // 2, simd), (pe, simd // 2), (pe // 2, simd // 2)]))
    fast, slow = (
        MODEL.estimate(network((64,), 8, dense(16, 5, 6, folding)), CHIP) for folding in ((pe, simd), fewer)
    )
    assert slow.resources.dsp is not None
    assert fast.resources.dsp is not None
    assert slow.resources.dsp <= fast.resources.dsp
    assert slow.initiation_interval >= fast.initiation_interval


@given(widths, widths, st.sampled_from(["weight", "input"]))
@examples
def test_more_bits_never_cost_fewer_luts_while_memories_stay_where_they_are(
    weight: int, bits: int, wider: str
) -> None:
    weights, inputs = weight + (wider == "weight"), bits + (wider == "input")
    narrow, wide = (
        MODEL.estimate(network((64,), b, dense(16, w, 6, (2, 8))), CHIP).resources
        for w, b in ((weight, bits), (weights, inputs))
    )
    for name in ("lut", "ff", "dsp", "bram_18k"):
        assert getattr(narrow, name) <= getattr(wide, name)


@given(seeds)
@examples
def test_an_estimate_is_the_price_of_its_network_to_the_last_bit(seed: int) -> None:
    codes = econt.SPACE.sample_codes(4, np.random.default_rng(seed), balanced=True)
    prices = MODEL.price(econt.workload(codes), CHIP)
    for row, candidate in enumerate(econt.SPACE.decode(codes)):
        costs = MODEL.estimate(econt.build(candidate), CHIP).costs()
        assert costs == {name: values[row] for name, values in prices.items()}


def test_the_model_keeps_the_laws_of_models() -> None:
    model: HardwareModel = MODEL
    candidates = econt.SPACE.sample(6, np.random.default_rng(3))
    check_hardware_model(model, [*map(econt.build, candidates), SMALL], CHIP)


def test_blocks_of_networks_are_priced_as_one() -> None:
    codes = econt.SPACE.sample_codes(BLOCK + 3, np.random.default_rng(1), balanced=True)
    whole, last = (MODEL.price(econt.workload(part), CHIP) for part in (codes, codes[-5:]))
    for name, values in whole.items():
        assert np.isfinite(values).all()
        np.testing.assert_array_equal(values[-5:], last[name])


def test_the_whole_is_the_sum_of_its_layers() -> None:
    found = MODEL.estimate(SMALL, CHIP)
    for name in ADDITIVE:
        assert sum(costs[name] for costs in found.by_layer.values()) == pytest.approx(found.costs()[name])


def test_pooling_takes_its_cycles() -> None:
    layers = (*conv(4, 3, 1, 4, 4, (4, 3)), MaxPool("pool"), Flatten("flatten"), *dense(4, 4, 4, (1, 8)))
    found = MODEL.estimate(Network((8, 8, 1), layers, unsigned(6)), CHIP)
    assert found.by_layer[layers[0].name]["cycles"] == 192
    fast = (*conv(4, 1, 1, 4, 4, (4, 1)), MaxPool("pool"), Flatten("flatten"), *dense(4, 4, 4, (1, 8)))
    found = MODEL.estimate(Network((8, 8, 2), fast, unsigned(6)), CHIP)
    assert found.by_layer[fast[0].name]["cycles"] == 128  # two products, one a cycle: 64 and 16 for the pool


def test_pricing_no_networks_gives_no_prices() -> None:
    prices = MODEL.price(econt.workload(econt.SPACE.encode([])), CHIP)
    assert {values.shape for values in prices.values()} == {(0,)}


def test_an_estimate_says_what_it_covers_and_for_what() -> None:
    found = MODEL.estimate(SMALL, CHIP)
    assert (found.model, found.basis, found.target.part) == ("fpga-streaming", "widths", CHIP.fpga_part)
    assert (found.target.technology, found.critical_path_ns) == ("xcup", None)
    assert "Not: layout" in found.covers
    assert json.loads(json.dumps(found.to_dict())) == found.to_dict()
    assert isinstance(found.target.folding, MappingProxyType)


@pytest.mark.parametrize(
    ("device", "message"),
    [
        (Device("ecp5", 200.0), "'ecp5' is of lattice: choose xc7 or xcup"),
        (Device("xcup", 200.0, redundancy="all"), "prices no redundancy, got 'all'"),
        (Device("xc9", 200.0), "no FPGA family 'xc9'; there are ecp5, xc7, xcup"),
    ],
)
def test_a_device_that_finn_has_not_is_refused(device: Device, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MODEL.price(Workload.of([SMALL]), device)


def test_layers_in_float_are_refused() -> None:
    chip = econt_float.build(econt_float.SPACE.candidate(econt_float.BASELINE))
    with pytest.raises(UnsupportedLayerError, match="'fpga-streaming' prices fixed point only"):
        MODEL.estimate(chip, CHIP)


def test_a_convolution_with_its_own_padding_is_refused() -> None:
    layer, activation = conv(4, 3, 2, 4, 4, (2, 3))
    assert isinstance(layer, Conv)
    for padding in ((1, 1, 1, 1), (0, 0, 0, 0)):
        chip = Network((8, 8, 1), (dataclasses.replace(layer, padding=padding), activation), unsigned(6))
        with pytest.raises(UnsupportedLayerError, match='give it "same" padding'):
            MODEL.estimate(chip, CHIP)
    with pytest.raises(UnsupportedLayerError, match='has other than "same" padding'):
        MODEL.price(Workload.of([chip]), CHIP)


@given(st.integers(1, 6))
@examples
def test_a_layer_that_is_not_there_costs_nothing(count: int) -> None:
    few = [SMALL] * count
    many = network((64,), 8, *(dense(16, 6, 8, (pe, 4)) for pe in (1, 2, 4, 8)))
    assume(len(few) > 0)
    together = MODEL.price(Workload.of([*few, many]), CHIP)
    alone = MODEL.price(Workload.of(few), CHIP)
    for name, values in alone.items():
        np.testing.assert_array_equal(together[name][:-1], values)
