"""Units that compute the same."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.fixedpoint import FixedPoint
from codesign.hardware import Device
from codesign.network import Conv, Dense, Flatten, MaxPool, Network, ReLU
from hardware_models.constant import ConstantModel
from hardware_models.merging import merged
from tests.export.designs import DESIGNS

FIXED = FixedPoint(0, 2)
OUTPUT = FixedPoint(3, 1, signed=False)
DEVICE = Device("sky130hd", weights="constant")


def image(seed: int, *, units: int = 6) -> Network:
    """Of few different weights, so that units are alike."""
    layers = (
        Conv("a", units, kernel=1, weight=FIXED, bias=FIXED),
        ReLU("ra", OUTPUT),
        MaxPool("p", 2),
        Conv("b", units, kernel=3, weight=FIXED, bias=FIXED),
        ReLU("rb", OUTPUT),
        Flatten("f"),
        Dense("c", 5, weight=FIXED, bias=FIXED),
        ReLU("rc", OUTPUT),
        Dense("d", 4, weight=FIXED, bias=FIXED),
        ReLU("rd", OUTPUT),
    )
    chip = Network((4, 4, 1), layers, FixedPoint(1, 2, signed=False))
    rng = np.random.default_rng(seed)
    weights: dict[str, Any] = {}
    for layer, shape in zip(chip.layers, chip.shapes, strict=False):
        for role, size in layer.weight_shapes(shape).items():
            alike = rng.integers(-4, 4, (*size[:-1], 2))[..., rng.integers(0, 2, size[-1])]
            weights[f"{layer.name}.{role}"] = alike if role == "weight" else np.zeros(size, np.int64)
    return chip.with_weights(weights)


@given(st.integers(0, 10_000))
@settings(deadline=None)
def test_the_merged_chip_computes_the_same(seed: int) -> None:
    """Each output of the chip is one of the merged chip, which has at most two different ones."""
    chip = image(seed)
    found = merged(chip)
    inputs = np.random.default_rng(seed).random((20, 4, 4, 1)) * 2
    before, after = (each.codes(inputs).reshape(20, -1) for each in (chip, found))
    assert after.shape[1] <= 2 < before.shape[1]
    assert {column.tobytes() for column in before.T} == {column.tobytes() for column in after.T}
    assert found.weights["a.weight"].shape[-1] <= 2


def test_what_reads_merged_units_has_the_sum_of_its_weights_worked_by_hand() -> None:
    layers = (
        Dense("a", 3, weight=FIXED, bias=FIXED),
        ReLU("r", OUTPUT),
        Dense("b", 1, weight=FIXED, bias=FIXED),
    )
    weights = {
        "a.weight": np.array([[1, 3, 1]]),
        "a.bias": np.array([2, 0, 2]),
        "b.weight": np.array([[3], [-4], [3]]),
        "b.bias": np.zeros(1),
    }
    found = merged(Network((1,), layers, FIXED, weights=weights))
    assert found.weights["a.weight"].tolist() == [[1, 3]]
    assert found.weights["b.weight"].tolist() == [[6], [-4]]
    dense = found.layers[2]
    assert isinstance(dense, Dense)
    assert dense.weight == replace(FIXED, integer_bits=1)


@pytest.mark.parametrize("name", ["baseline", "pooling", "three dense"])
def test_a_chip_whose_units_differ_is_as_it_is(name: str) -> None:
    chip = DESIGNS[name].chip
    assert merged(chip) is chip


def test_units_that_are_alike_cost_as_one() -> None:
    """Twice the units, each there twice: nothing more is built but what reads them alike."""
    chip = image(1)
    found = ConstantModel().estimate(chip, DEVICE)
    alone = ConstantModel().estimate(merged(chip), DEVICE)
    assert found.resources.area_um2 == alone.resources.area_um2
    assert found.operations > alone.operations
