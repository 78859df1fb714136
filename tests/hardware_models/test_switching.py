"""What is expected to change before inputs are known."""

from dataclasses import replace

import numpy as np
import pytest

from codesign.fixedpoint import FixedPoint
from codesign.hardware import Device, Workload
from codesign.network import Dense, Network, ReLU
from hardware_models.asic import AsicModel
from hardware_models.constant import ConstantModel
from hardware_models.switching import UNITS, expected, load_switching
from tests.export.designs import DESIGNS

FIXED = FixedPoint(0, 2)
KNOWN = load_switching()


def chain(layers: int) -> Network:
    steps = [(Dense(f"d{i}", 3, weight=FIXED, bias=FIXED), ReLU(f"r{i}", FIXED)) for i in range(layers)]
    return Network((4,), tuple(layer for step in steps for layer in step), FixedPoint(1, 1, signed=False))


@pytest.mark.parametrize("style", ["constant", "reloadable"])
def test_layers_change_by_their_place(style: str) -> None:
    """The first sees the inputs, the last gives out; networks of other depths beside change nothing."""
    work = Workload.of([chain(1), chain(3)])
    found = expected(work, Device("sky130hd", weights=style))  # type: ignore[arg-type]
    first, later = (getattr(KNOWN, f"{style}_{place}") for place in ("first", "later"))
    assert found.sums[work.present].tolist() == [first, first, later, later]
    inner, last = KNOWN.outputs_inner, KNOWN.outputs_last
    assert found.outputs[work.present].tolist() == [last, inner, inner, last]
    first, later = KNOWN.gates_first, KNOWN.gates_later
    gates = [first, first, later, later] if style == "reloadable" else [last, inner, inner, last]
    assert found.gates[work.present].tolist() == gates


def test_every_number_is_a_share_of_what_random_words_change() -> None:
    assert all(0 < getattr(KNOWN, name) < 1 for name in UNITS)


@pytest.mark.parametrize("model", [AsicModel(), ConstantModel()])
def test_power_before_inputs_are_known_is_below_that_of_random_words(
    model: AsicModel | ConstantModel,
) -> None:
    """Area and delay do not depend on it; the estimate says where its power is from."""
    chip = DESIGNS["baseline"].chip
    device = Device("sky130hd", weights="constant" if isinstance(model, ConstantModel) else "reloadable")
    fixed = chip.input_format
    assert fixed is not None
    codes = np.random.default_rng(0).integers(0, fixed.maximum + 1, (100, *chip.input_shape))
    seeing = model.with_inputs(fixed.dequantise(codes))
    plain, random = model.estimate(chip, device), seeing.estimate(chip, device)
    assert plain.dynamic_mw is not None
    assert random.dynamic_mw is not None
    assert 0.3 < plain.dynamic_mw / random.dynamic_mw < 1
    assert (plain.resources, plain.critical_path_ns) == (random.resources, random.critical_path_ns)
    assert "trained networks of the ECON-T study" in plain.covers
    assert "the given inputs" in random.covers
    unknown = seeing.estimate(replace(chip, weights={}), device)
    assert "trained networks of the ECON-T study" in unknown.covers
