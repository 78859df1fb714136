import dataclasses
import json
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.errors import ConfigError, UnsupportedLayerError
from codesign.export import distributed, verilog
from codesign.fixedpoint import FixedPoint
from codesign.hardware import Device, HardwareModel, Workload
from codesign.network import Conv, Dense, Flatten, Folding, MaxPool, Network, ReLU
from codesign.testing import check_hardware_model
from hardware_models.constant import ConstantModel
from hardware_models.constant_logic import ADDED, ConstantLogic
from hardware_models.counting import count
from hardware_models.fpga import BLOCK
from hardware_models.fpga_unrolled import UnrolledModel
from hardware_models.technology.fpga import available, load
from search_spaces import econt, econt_float
from tests.export.designs import randomised

MODEL, EXPORTED = UnrolledModel(), UnrolledModel(exported=True)
CHIP = Device("xc7", 40.0)
CONSTANT = Device("xc7", 40.0, weights="constant")
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


def one_dense(
    weight: int = 3, bits: int = 2, fold: tuple[int, int] | None = None, inputs: int = 4
) -> Network:
    fixed, folding = FixedPoint(0, weight - 1), Folding(*fold) if fold else None
    layers = (Dense("code", 2, weight=fixed, bias=fixed, folding=folding), ReLU("relu", unsigned(5)))
    return Network((inputs,), layers, unsigned(bits))


def image(pool: bool = True, fold: tuple[int, int] | None = None) -> Network:
    fixed, folding = FixedPoint(0, 4), Folding(*fold) if fold else None
    layers = (
        Conv("conv", 4, weight=fixed, bias=fixed, kernel=3, stride=1, folding=folding),
        ReLU("conv_relu", unsigned(6)),
        *([MaxPool("pool")] if pool else []),
        Flatten("flatten"),
        Dense("code", 3, weight=fixed, bias=fixed),
        ReLU("code_relu", unsigned(7)),
    )
    return Network((4, 4, 1), layers, unsigned(5))


def test_one_layer_worked_by_hand() -> None:
    """Two sums of four products of 3 x 2 bits, accumulators of 7 bits, codes of 5; 10 words of 3 bits."""
    family = load("xc7")
    found = MODEL.estimate(one_dense(), CHIP)
    assert found.features["multiplier_bits2"] == 2 * 4 * 3 * 2
    assert found.features["activation_bits"] == 2 * 7
    assert found.features["words"] == 10
    assert found.resources.lut == pytest.approx(
        48 * family.product_lut + 14 * family.activation_lut + 10 * family.decoder_lut
    )
    assert found.resources.ff == 10 * 3 + 2 * 5
    assert (found.resources.dsp, found.resources.bram_18k) == (0, 0)
    assert (found.latency_cycles, found.latency_ns, found.initiation_interval) == (1, 25.0, 1)


@pytest.mark.parametrize("redundancy", ["none", "weights", "all"])
@pytest.mark.parametrize("pipelined", [True, False])
def test_flip_flops_are_the_registers_of_the_rtl(
    redundancy: Literal["none", "weights", "all"], pipelined: bool
) -> None:
    chip = image()
    device = dataclasses.replace(CHIP, redundancy=redundancy, pipelined=pipelined)
    stored = sum(block.count * block.width for block in verilog.weight_blocks(chip))
    staged = verilog.pipeline_bits(chip) if pipelined else 0
    copies = (3 if redundancy != "none" else 1, 3 if redundancy == "all" else 1)
    found = MODEL.estimate(chip, device)
    assert found.resources.ff == copies[0] * stored + copies[1] * staged
    assert found.latency_cycles == (2 if pipelined else 0)


def test_products_with_padding_are_no_multipliers() -> None:
    chip = image(pool=False)
    bits2 = MODEL.estimate(chip, CHIP).features["multiplier_bits2"]
    assert bits2 == (verilog.multipliers(chip) - 64 * 3) * 5 * 5 + 64 * 3 * 5 * 6


def test_constant_weights_are_stored_nowhere_and_are_a_prior_until_they_are_known() -> None:
    found = MODEL.estimate(image(), CONSTANT)
    assert (found.features["multiplier_bits2"], found.features["words"]) == (0, 0)
    bases = [MODEL.estimate(each, CONSTANT).basis for each in (image(), randomised(image()))]
    assert bases == ["prior", "weights"]
    assert "expected (prior)" in found.covers
    assert MODEL.estimate(randomised(image()), CHIP).basis == "widths"
    combinational = dataclasses.replace(CONSTANT, pipelined=False)
    assert MODEL.estimate(image(), combinational).resources.ff == 0


def test_known_constants_cost_the_adders_that_the_asic_model_counts() -> None:
    chip, family = randomised(image()), load("xc7")
    found = MODEL.estimate(chip, CONSTANT)
    counted = ConstantModel().estimate(chip, dataclasses.replace(CONSTANT, technology="sky130hd")).features
    assert found.features["constant_bits"] == counted["adder_bits"] > 0
    assert found.resources.ff == counted["register_bits"]
    assert found.resources.lut == pytest.approx(
        counted["adder_bits"] * family.constant_lut
        + counted["increment_bits"] * family.increment_lut
        + counted["gate_bits"] * family.gate_lut
        + counted["maximum_bits"] * family.pooling_lut
    )
    nothing = chip.with_weights({name: np.zeros_like(each) for name, each in chip.weights.items()})
    assert MODEL.estimate(nothing, CONSTANT).resources.lut == 0


@pytest.mark.da4ml
@pytest.mark.parametrize("clock_mhz", [20.0, 100.0, 300.0])
def test_registers_of_the_export_are_the_bits_on_its_buses(clock_mhz: float) -> None:
    pytest.importorskip("da4ml", reason="the extra rtl (da4ml) is not installed")
    chip, device = randomised(image()), dataclasses.replace(CONSTANT, clock_mhz=clock_mhz)
    found, ours = (model.estimate(chip, device) for model in (EXPORTED, MODEL))
    _, *between, _ = distributed.logic(chip, device).widths
    assert found.resources.ff == pytest.approx(sum(between) + count(chip)[-1].output_bits)
    assert sum(layer["ff"] for layer in found.by_layer.values()) == pytest.approx(found.resources.ff)
    assert found.latency_cycles == len(between) + 1
    assert (found.basis, ours.basis) == ("export", "weights")
    assert (found.model, ours.model) == ("fpga-unrolled-exported", "fpga-unrolled")
    counted = ConstantLogic.counted(Workload.of([chip]), device, chip).amounts
    ratio = distributed.logic(chip, device).adder_bits / sum(counted[name].sum() for name in ADDED)
    assert found.features["constant_bits"] == pytest.approx(ratio * ours.features["constant_bits"])


def test_without_constant_weights_the_export_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "logic", None)
    for chip, device in ((image(), CONSTANT), (randomised(image()), CHIP)):
        assert EXPORTED.estimate(chip, device).costs() == MODEL.estimate(chip, device).costs()
    assert MODEL.estimate(randomised(image()), CONSTANT).resources.ff


def test_folded_layers_beside_constant_ones_have_a_prior_of_the_constants_alone() -> None:
    mixed = randomised(image(fold=(2, 3)))
    found = MODEL.estimate(mixed, CONSTANT)
    assert found.basis == "prior"
    plain = MODEL.estimate(image(), CONSTANT)
    for layer, shared in (("conv", True), ("code", False)):
        same = found.by_layer[layer]["lut"] == plain.by_layer[layer]["lut"]
        assert same != shared


def test_constants_cost_fewer_luts_than_multipliers() -> None:
    for name in available():
        constant, reloadable = (
            MODEL.estimate(image(), Device(name, weights=weights)).resources.lut
            for weights in ("constant", "reloadable")
        )
        assert constant is not None
        assert reloadable is not None
        assert constant < reloadable


@given(seeds, st.sampled_from(available()), st.sampled_from(["reloadable", "constant"]))
@examples
def test_more_bits_never_cost_fewer_luts(
    seed: int, technology: str, weights: Literal["reloadable", "constant"]
) -> None:
    rng = np.random.default_rng(seed)
    device = Device(technology, weights=weights)
    base = econt.SPACE.sample(1, rng)[0].values
    names = [name for name in base if name.endswith("bits") or "_bits_" in name]
    name = names[int(rng.integers(len(names)))]
    grown = {**base, name: {3: 4, 4: 5, 5: 6, 6: 7, 7: 8, 8: 8, 9: 9, 10: 10}[int(base[name])]}
    if name == "latent_bits":
        grown[name] = min(int(base[name]) + 2, 9)
    narrow, wide = (
        MODEL.estimate(econt.build(econt.SPACE.candidate(values)), device).resources
        for values in (base, grown)
    )
    assert narrow.lut is not None
    assert wide.lut is not None
    assert narrow.lut <= wide.lut
    if weights == "reloadable":  # deeper constant logic is cut where fewer bits may live
        assert narrow.ff is not None
        assert wide.ff is not None
        assert narrow.ff <= wide.ff


def test_wide_multipliers_go_into_dsp_blocks() -> None:
    narrow, wide = (MODEL.estimate(one_dense(bits, 12), CHIP).resources for bits in (9, 10))
    assert (narrow.dsp, wide.dsp) == (0, 8)
    assert narrow.lut is not None
    assert wide.lut is not None
    assert wide.lut < narrow.lut
    tiled = MODEL.estimate(one_dense(26, 19), CHIP).resources
    assert tiled.dsp == 8 * 2 * 2  # beyond 25 x 18 bits both ways
    assert MODEL.estimate(one_dense(26, 18), Device("xcup")).resources.dsp == 8


@given(st.sampled_from([(1, 8), (2, 4), (2, 2), (1, 4), (2, 1), (1, 1)]))
@examples
def test_a_folded_layer_shares_multipliers_over_its_reuse_factor(fold: tuple[int, int]) -> None:
    pe, simd = fold
    found = MODEL.estimate(one_dense(6, 6, fold, inputs=8), CHIP)
    assert found.features["multiplier_bits2"] == pe * simd * 36
    assert found.initiation_interval == 16 // (pe * simd)
    assert found.latency_cycles == found.initiation_interval + 1
    assert found.resources.bram_18k == -(-pe * simd * 6 // 36)
    assert found.target.folding == {"code": fold}


def test_a_folded_convolution_makes_one_pixel_at_a_time() -> None:
    found = MODEL.estimate(image(fold=(2, 3)), CHIP)
    assert found.initiation_interval == 16 * 6
    assert found.by_layer["conv"]["bram_18k"] == 1
    assert found.latency_cycles == 16 * 6 + 1 + 1


@given(seeds)
@examples
def test_more_folding_never_costs_more_multipliers_nor_a_shorter_interval(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pe, simd = 2, 2 ** int(rng.integers(1, 5))
    fewer = [(1, simd), (pe, simd // 2), (1, simd // 2)][int(rng.integers(3))]
    for bits in (6, 12):
        fast, slow = (
            MODEL.estimate(one_dense(bits, bits, fold, inputs=32), CHIP) for fold in ((pe, simd), fewer)
        )
        assert slow.features["multiplier_bits2"] <= fast.features["multiplier_bits2"]
        assert slow.costs()["dsp"] <= fast.costs()["dsp"]
        assert slow.initiation_interval >= fast.initiation_interval


@given(seeds, st.sampled_from([CHIP, CONSTANT, dataclasses.replace(CHIP, pipelined=False, redundancy="all")]))
@examples
def test_an_estimate_is_the_price_of_its_network_to_the_last_bit(seed: int, device: Device) -> None:
    codes = econt.SPACE.sample_codes(4, np.random.default_rng(seed), balanced=True)
    prices = MODEL.price(econt.workload(codes), device)
    for row, candidate in enumerate(econt.SPACE.decode(codes)):
        costs = MODEL.estimate(econt.build(candidate), device).costs()
        assert costs == {name: values[row] for name, values in prices.items()}


@pytest.mark.parametrize("device", [CHIP, CONSTANT, Device("ecp5", redundancy="weights")])
def test_the_model_keeps_the_laws_of_models(device: Device) -> None:
    model: HardwareModel = MODEL
    networks = [*map(econt.build, econt.SPACE.sample(6, np.random.default_rng(3))), image()]
    check_hardware_model(model, networks, device)


def test_folded_and_unfolded_networks_are_priced_together() -> None:
    check_hardware_model(MODEL, [image(), image(fold=(2, 3)), one_dense()], CHIP)


def test_blocks_of_networks_are_priced_as_one() -> None:
    codes = econt.SPACE.sample_codes(BLOCK + 3, np.random.default_rng(1), balanced=True)
    whole, last = (MODEL.price(econt.workload(part), CHIP) for part in (codes, codes[-5:]))
    for name, values in whole.items():
        assert np.isfinite(values).all()
        np.testing.assert_array_equal(values[-5:], last[name])


def test_the_whole_is_the_sum_of_its_layers() -> None:
    found = MODEL.estimate(image(), dataclasses.replace(CHIP, redundancy="all"))
    for name in ADDITIVE:
        assert sum(costs[name] for costs in found.by_layer.values()) == pytest.approx(found.costs()[name])


def test_an_estimate_says_what_it_covers_and_for_what() -> None:
    found = MODEL.estimate(image(), CHIP)
    assert (found.model, found.target.technology, found.target.part) == (
        "fpga-unrolled",
        "xc7",
        CHIP.fpga_part,
    )
    assert "Not: layout" in found.covers
    assert json.loads(json.dumps(found.to_dict())) == found.to_dict()


@pytest.mark.parametrize(
    ("chip", "other", "message"),
    [
        (image(), {"weights": "constant", "redundancy": "weights"}, "these constant weights have none"),
        (
            image(),
            {"weights": "constant", "redundancy": "all", "pipelined": False},
            "these constant weights have none",
        ),
        (image(fold=(2, 3)), {"redundancy": "all"}, "folded layers as hls4ml builds them"),
        (image(fold=(2, 3)), {"pipelined": False}, "got pipelined=False"),
        (image(), {"technology": "asic-65nm"}, "no FPGA family 'asic-65nm'; there are ecp5, xc7, xcup"),
    ],
)
def test_a_device_that_is_not_built_is_refused(chip: Network, other: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MODEL.price(Workload.of([chip]), dataclasses.replace(CHIP, **other))


def test_layers_in_float_are_refused() -> None:
    chip = econt_float.build(econt_float.SPACE.candidate(econt_float.BASELINE))
    with pytest.raises(UnsupportedLayerError, match="'fpga-unrolled' prices fixed point only"):
        MODEL.estimate(chip, CHIP)
