"""Power of what inputs change."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.calibration.fitting import _made_of
from codesign.errors import ConfigError
from codesign.fixedpoint import FixedPoint
from codesign.hardware import Device
from codesign.hardware.estimate import SWITCHED
from codesign.network import Dense, Network
from hardware_models.adders import adders, changes, toggles
from hardware_models.asic import AsicModel, activity_of
from hardware_models.constant import ConstantModel
from hardware_models.counting import count
from hardware_models.technology import load
from tests.export.designs import DESIGNS

BASELINE = DESIGNS["baseline"].chip
MODELS = {"constant": ConstantModel, "reloadable": AsicModel}


def random_inputs(chip: Network, frames: int = 100) -> np.ndarray:
    given = chip.input_format
    assert given is not None
    rng = np.random.default_rng(0)
    return given.dequantise(rng.integers(given.minimum, given.maximum + 1, (frames, *chip.input_shape)))


@given(st.lists(st.integers(-128, 127), min_size=2, max_size=20))
@settings(deadline=None)
def test_toggles_are_the_bits_that_differ(values: list[int]) -> None:
    differ = [bin((one ^ other) & 0xFF).count("1") for one, other in itertools.pairwise(values)]
    assert toggles(np.array(values), 0xFF) == pytest.approx(np.mean(differ))


def test_changes_of_a_sum_worked_by_hand() -> None:
    """1 + 1, then 3 + 1: the sum goes from 010 to 100, two bits; its carries from 010 to 110, one."""
    graph = adders(np.ones((2, 1), np.int64), np.zeros(2, np.int64), np.full(2, 3))
    assert changes(graph, np.array([[1, 1], [3, 1]])) == 2 + 1
    assert changes(graph, np.array([[2, 2], [2, 2]])) == 0


@pytest.mark.parametrize("style", MODELS)
def test_inputs_that_hold_still_leave_the_clock(style: str) -> None:
    device = Device("sky130hd", weights=style)  # type: ignore[arg-type]
    still = np.repeat(random_inputs(BASELINE, 1), 5, axis=0)
    plain, held = (MODELS[style](inputs).estimate(BASELINE, device) for inputs in (None, still))
    bits = plain.features["register_bits"] + plain.features["stored_bits"]
    clock_mw = bits * load("sky130hd").register_clock_energy * 1e-3 * device.clock_mhz
    assert held.dynamic_mw == pytest.approx(clock_mw)
    assert held.features[f"{SWITCHED}clock_bits"] == bits
    assert all(
        held.features[name] == 0 for name in held.features if name.endswith("adder_bits") and SWITCHED in name
    )
    assert held.basis == "activity"
    assert held.resources == plain.resources
    assert (held.leakage_mw, held.critical_path_ns) == (plain.leakage_mw, plain.critical_path_ns)


@pytest.mark.parametrize("name", ["baseline", "pooling", "three dense"])
def test_changes_are_relative_to_random_words(name: str) -> None:
    """Words that change evenly change about half of the bits of the first layer's sums and carries."""
    chip = DESIGNS[name].chip
    first = count(chip, random_inputs(chip))[0]
    assert 0.6 < first.changes < 1.4
    assert count(chip)[0].changes == 1


def test_a_gate_changes_with_its_input_where_a_bit_of_its_weight_is_set() -> None:
    """Two inputs of two bits, of which the first changes all and the second none; weights 3 and 0.

    All inputs change half of their bits, which is what random words change; of six bits of weights two are
    set, where of a product of random words 3/4 as much changes as of its inputs.
    """
    wide = FixedPoint(0, 2)
    layer = Dense("d", 1, weight=wide, bias=wide)
    weights = {"d.weight": np.array([[3], [0]]), "d.bias": np.zeros(1)}
    chip = Network((2,), (layer,), FixedPoint(2, 0, signed=False), weights=weights)
    inputs = np.array([[0, 0], [3, 0], [0, 0]])
    assert activity_of(chip, inputs).gates.item() == pytest.approx((2 / 6) / 0.75)


@pytest.mark.parametrize("style", MODELS)
def test_without_weights_inputs_say_nothing(style: str) -> None:
    device = Device("sky130hd", weights=style)  # type: ignore[arg-type]
    network = replace(BASELINE, weights={})
    plain, given = (
        MODELS[style](inputs).estimate(network, device) for inputs in (None, random_inputs(BASELINE))
    )
    assert given == plain


@pytest.mark.parametrize("model", MODELS.values())
def test_a_single_input_follows_none(model: type[ConstantModel] | type[AsicModel]) -> None:
    with pytest.raises(ConfigError, match="give 2 inputs or more, got 1"):
        model(random_inputs(BASELINE, 1))


def test_dynamic_power_is_corrected_on_what_switches_and_nothing_else_is() -> None:
    amounts = {name: np.ones(2) for name in ("adder_bits", f"{SWITCHED}adder_bits")}
    assert set(_made_of("dynamic_mw", amounts)) == {f"{SWITCHED}adder_bits"}
    assert set(_made_of("area_um2", amounts)) == {"adder_bits"}
    assert set(_made_of("dynamic_mw", {"adder_bits": np.ones(2)})) == {"adder_bits"}
