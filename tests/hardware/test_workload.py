from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codesign.errors import NetworkError, UnsupportedLayerError
from codesign.fixedpoint import FixedPoint
from codesign.hardware import Workload, effective_bops
from codesign.network import Conv, Dense, Flatten, Layer, MaxPool, Network, ReLU, Upsample

INPUT = FixedPoint(1, 3, signed=False)  # 4 bits
WEIGHT = FixedPoint(0, 4)  # 5 bits
ACTIVATION = FixedPoint(1, 6, signed=False)  # 7 bits
FEATURES: tuple[Layer, ...] = (
    Conv("features", 3, weight=WEIGHT, bias=WEIGHT, kernel=3, stride=2),
    ReLU("features_relu", ACTIVATION),
    MaxPool("features_pool", 2),
    Flatten("flatten"),
)
CODE = Dense("code", 2, weight=WEIGHT, bias=WEIGHT)
SMALL = Network((6, 6, 2), (*FEATURES, CODE), INPUT)


def zeros(network: Network) -> dict[str, NDArray[np.int64]]:
    shapes = {
        f"{layer.name}.{role}": shape
        for layer, before in zip(network.layers, network.shapes, strict=False)
        for role, shape in layer.weight_shapes(before).items()
    }
    return {name: np.zeros(shape, dtype=np.int64) for name, shape in shapes.items()}


# Worked by hand: 6x6x2 -> 3x3x3 (2 * 9 products a sum) -> pooled 2x2x3 -> 12 -> 2.
# Largest sum of the convolution: 18 products of 15 * 16 and a bias of 16 * 8, 4,448: 13 bits and a sign.
# Largest sum behind it: 12 products of 127 * 16 and a bias of 16 * 64, 25,408: 15 bits and a sign.
BY_HAND = {
    "sums": [27, 2],
    "fan_in": [18, 12],
    "weights": [54, 24],
    "biases": [3, 2],
    "weight_bits": [5, 5],
    "bias_bits": [5, 5],
    "input_bits": [4, 7],
    "accumulator_bits": [14, 16],
    "activation_bits": [7, 16],
    "activations": [27, 0],
    "pooled": [12, 0],
    "pool_size": [4, 0],
    "outputs": [12, 2],
    "floating": [False, False],
    "present": [True, True],
    "macs": [486, 24],
    "operations": [2 * 486 + 27 + 4 * 12, 2 * 24 + 2],
    "bops": [486 * 5 * 4, 24 * 5 * 7],
    "output_bits": [0, 2 * 16],
    "parameter_bits": [57 * 5, 26 * 5],
}


@pytest.mark.parametrize("name", BY_HAND)
def test_a_small_network_worked_by_hand(name: str) -> None:
    np.testing.assert_array_equal(getattr(Workload.of([SMALL]), name), [BY_HAND[name]])


def test_the_input_and_the_names_of_a_small_network() -> None:
    work = Workload.of([SMALL])
    assert work.names == ("features", "code")
    assert (work.inputs.tolist(), work.network_input_bits.tolist()) == ([72], [4])


def test_a_network_of_two_strided_convolutions_counts_as_published() -> None:
    layers = (
        Conv("conv_1", 32, kernel=5, stride=4),
        Conv("conv_2", 16, kernel=3, stride=4),
        Flatten("flatten"),
        Dense("latent", 16),
    )
    network = Network((8, 8, 1), layers)
    work = Workload.of([network])
    assert network.parameter_count() == 5_728
    assert (work.operations.sum(), work.macs.sum()) == (16_288, 8_064)


def test_a_float_network_has_32_bits_everywhere() -> None:
    network = Network((6, 6, 2), (Conv("c", 3), ReLU("r"), Flatten("f"), Dense("d", 2)))
    work = Workload.of([network])
    for name in ("weight_bits", "bias_bits", "input_bits", "accumulator_bits", "activation_bits"):
        np.testing.assert_array_equal(getattr(work, name), [[32, 32]])
    assert work.floating.all()
    assert work.network_input_bits.tolist() == [32]


def test_floating_is_said_layer_by_layer() -> None:
    network = Network((6, 6, 2), (*FEATURES, Dense("code", 2)), INPUT)
    np.testing.assert_array_equal(Workload.of([network]).floating, [[False, True]])


def test_what_is_behind_the_chip_is_not_counted() -> None:
    network = replace(SMALL, layers=(*SMALL.layers, Dense("decoder", 99)), chip_layers=len(SMALL.layers))
    assert Workload.of([network]).macs.sum() == 486 + 24


def test_networks_of_different_depth_share_an_array_padded_with_zeros() -> None:
    shallow = Network((4,), (Dense("only", 1, weight=WEIGHT, bias=WEIGHT),), INPUT)
    together = Workload.of([shallow, SMALL])
    assert len(together) == 2
    assert together.names == ("features", "code")
    np.testing.assert_array_equal(together.present, [[True, False], [True, True]])
    for name in (item.name for item in fields(Workload) if item.name != "names"):
        alone = np.atleast_1d(np.squeeze(getattr(Workload.of([SMALL]), name)))
        np.testing.assert_array_equal(np.atleast_1d(getattr(together, name)[1]), alone)


def test_no_networks_make_an_empty_workload() -> None:
    work = Workload.of([])
    assert len(work) == 0
    assert work.macs.shape == (0, 0)


@pytest.mark.parametrize(
    ("layers", "named"),
    [
        ((*FEATURES[:3], Upsample("up")), r"'up' \(Upsample\)"),
        ((ReLU("early"), *FEATURES), r"'early' \(ReLU\)"),
        ((*FEATURES[:3], MaxPool("again")), r"'again' \(MaxPool\)"),
        ((*FEATURES[:2], ReLU("again", ACTIVATION)), r"'again' \(ReLU\)"),
    ],
)
def test_a_layer_without_a_price_is_named(layers: tuple[Layer, ...], named: str) -> None:
    with pytest.raises(
        UnsupportedLayerError, match=f"layer {named} cannot be priced here.*behind chip_layers"
    ):
        Workload.of([Network((6, 6, 2), layers, INPUT)])


def test_effective_bops_worked_by_hand() -> None:
    """Enclosed bits of 1, -16, 6, 5, 0, 15: 1, 1, 2, 3, 0, 4."""
    weights = zeros(SMALL)
    weights["features.weight"].flat[:6] = [1, -16, 6, 5, 0, 15]
    weights["code.weight"][3, 1] = 7
    bits_of_features, bits_of_code = 1 + 1 + 2 + 3 + 0 + 4, 3
    expected = 9 * 4 * bits_of_features + 1 * 7 * bits_of_code
    assert effective_bops(SMALL.with_weights(weights)) == expected


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=25)
def test_effective_bops_are_at_most_the_bops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = {
        name: rng.integers(WEIGHT.minimum, WEIGHT.maximum + 1, array.shape)
        for name, array in zeros(SMALL).items()
    }
    fitted = SMALL.with_weights(weights)
    assert 0 <= effective_bops(fitted) <= Workload.of([SMALL]).bops.sum()
    doubled = {name: array // 2 * 2 for name, array in weights.items()}
    halved = {name: array // 2 for name, array in weights.items()}
    assert effective_bops(SMALL.with_weights(doubled)) == effective_bops(SMALL.with_weights(halved))


def test_effective_bops_of_a_float_network_are_its_bops() -> None:
    network = Network((3,), (Dense("d", 2),))
    weights: dict[str, NDArray[Any]] = {"d.weight": np.ones((3, 2)), "d.bias": np.zeros(2)}
    assert effective_bops(network.with_weights(weights)) == Workload.of([network]).bops.sum() == 6 * 1024


def test_a_network_without_weights_has_no_effective_bops() -> None:
    with pytest.raises(NetworkError, match="depend on the weights; fit the network or load weights first"):
        effective_bops(SMALL)
