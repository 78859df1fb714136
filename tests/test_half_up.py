"""Half an LSB more makes rounding half to even the same as half up."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.errors import UnsupportedLayerError
from codesign.fixedpoint import FixedPoint
from codesign.half_up import accumulator_bits, half_lsb, require_even_ties
from codesign.network import Conv, Dense, Flatten, MaxPool, Network, ReLU

SIGNED = FixedPoint(0, 5)
INPUT = FixedPoint(1, 7, signed=False)
ROUNDED = FixedPoint(1, 7, signed=False, rounding="half_up")


@given(
    st.lists(st.integers(-(2**20), 2**20), min_size=1, max_size=50),
    st.integers(1, 12),
    st.integers(1, 9),
    st.booleans(),
)
def test_half_even_with_the_half_is_half_up_without(
    sums: list[int], dropped: int, width: int, signed: bool
) -> None:
    accumulators = np.array(sums, dtype=np.int64)
    up = FixedPoint(width - signed, 0, signed, rounding="half_up")
    even = FixedPoint(width - signed, 0, signed)
    expected = up.requantise(np.maximum(accumulators, 0), dropped)
    assert np.array_equal(even.quantise(np.ldexp(np.maximum(accumulators + 0.5, 0), -dropped)), expected)


def test_half_is_there_only_where_a_sum_is_rounded_later() -> None:
    fine = FixedPoint(2, 12, signed=False)
    layers = (
        Conv("conv", 2, weight=SIGNED, bias=SIGNED),
        MaxPool("pool"),
        ReLU("free"),
        ReLU("rounds", ROUNDED),
        Flatten("flatten"),
        Dense("kept", 4, weight=SIGNED, bias=SIGNED),
        ReLU("keeps", fine),
        Dense("fused", 4, weight=FixedPoint(0, 1), bias=FixedPoint(0, 1)),
        Dense("float", 4),
        ReLU("rectifies"),
    )
    network = Network((4, 4, 1), layers, INPUT)
    halves = {layer.name: half_lsb(network, index) for index, layer in enumerate(layers)}
    affine = {name: halves[name] for name in ("conv", "kept", "fused", "float")}
    assert affine == {"conv": 2.0**-13, "kept": 0.0, "fused": 0.0, "float": 0.0}


def test_sums_that_are_rounded_to_even_get_no_half() -> None:
    network = one_dense(FixedPoint(1, 7, False, "half_even"))
    require_even_ties(network)
    assert half_lsb(network, 0) == 0
    assert half_lsb(one_dense(FixedPoint(1, 7, False, "half_up")), 0) == 2.0**-13


def test_accumulator_bits_of_a_fitted_network_come_from_its_weights() -> None:
    fixed = FixedPoint(0, 3)
    network = Network((4,), (Dense("d", 1, weight=fixed, bias=fixed),), FixedPoint(0, 2, signed=False))
    assert accumulator_bits(network) == 9  # 4 * 3 * 8 + 8 * 4 = 128
    fitted = network.with_weights({"d.weight": np.ones((4, 1)), "d.bias": np.ones(1)})
    assert accumulator_bits(fitted) == 6  # 4 * 3 * 1 + 1 * 4 = 16


def one_dense(output: FixedPoint, *, weight: FixedPoint = SIGNED) -> Network:
    return Network((4,), (Dense("d", 2, weight=weight, bias=SIGNED), ReLU("act", output)), INPUT)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (one_dense(FixedPoint(1, 7, False, "truncate")), "'act' has rounding 'truncate'.*only 'half_up'"),
        (one_dense(FixedPoint(1, 7, False, "half_up", "wrap")), "'act' has .*overflow 'wrap'"),
        (
            one_dense(FixedPoint(1, 7, False, "half_up"), weight=FixedPoint(0, 5, rounding="truncate")),
            "weight of layer 'd' has rounding 'truncate'",
        ),
        (Network((4,), (), FixedPoint(1, 7, rounding="half_up")), "the input has rounding 'half_up'"),
        (
            Network((4,), (ReLU("act", FixedPoint(1, 3, False, "half_up")),), FixedPoint(1, 7)),
            "'act' has rounding 'half_up'.*only 'half_even'",
        ),
    ],
)
def test_what_cannot_be_computed_exactly_is_refused(network: Network, message: str) -> None:
    with pytest.raises(UnsupportedLayerError, match=message):
        require_even_ties(network)
