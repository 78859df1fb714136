"""The network as data, and its interpreter against torch."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional

from codesign.errors import NetworkError, UnsupportedLayerError
from codesign.fixedpoint import FixedPoint
from codesign.network import (
    Conv,
    ConvTranspose,
    Dense,
    Flatten,
    Layer,
    MaxPool,
    Network,
    ReLU,
    Reshape,
    Sigmoid,
    Thresholds,
    Upsample,
    require_plain,
    same_padding,
)
from codesign.training.build import build

WEIGHT = FixedPoint(0, 5)
INPUT = FixedPoint(1, 7, signed=False)
LATENT = FixedPoint(1, 8, signed=False, rounding="half_up")


def baseline(*, quantised: bool = True) -> Network:
    formats = {"weight": WEIGHT, "bias": WEIGHT} if quantised else {}
    encoder: tuple[Layer, ...] = (
        Conv("conv", 8, stride=2, **formats),
        ReLU("conv_relu", LATENT if quantised else None),
        Flatten("flatten"),
        Dense("latent", 16, **formats),
        ReLU("latent_relu", LATENT if quantised else None),
    )
    decoder = (
        Dense("grow", 128),
        ReLU("grow_relu"),
        Reshape("image", (4, 4, 8)),
        ConvTranspose("up", 8, stride=2),
        ReLU("up_relu"),
        ConvTranspose("last", 1),
        Sigmoid("sigmoid"),
    )
    return Network((8, 8, 1), (*encoder, *decoder), INPUT if quantised else None, len(encoder))


def with_random_weights(network: Network, seed: int = 0) -> Network:
    rng = np.random.default_rng(seed)
    weights: dict[str, NDArray[Any]] = {}
    for layer, shape in zip(network.layers, network.shapes, strict=False):
        for role, size in layer.weight_shapes(shape).items():
            fixed: FixedPoint | None = getattr(layer, role)
            weights[f"{layer.name}.{role}"] = (
                rng.normal(0, 0.2, size)
                if fixed is None
                else rng.integers(fixed.minimum, fixed.maximum, size, endpoint=True)
            )
    return network.with_weights(weights)


def test_baseline_has_the_published_parameter_counts() -> None:
    network = baseline()
    assert network.chip.parameter_count() == 2_144
    assert network.parameter_count() - network.chip.parameter_count() == 2_833
    assert network.parameter_count() == 4_977
    assert network.shapes == (
        *((8, 8, 1), (4, 4, 8), (4, 4, 8), (128,), (16,), (16,)),
        *((128,), (128,), (4, 4, 8), (8, 8, 8), (8, 8, 8), (8, 8, 1), (8, 8, 1)),
    )


@pytest.mark.parametrize("quantised", [True, False])
def test_json_pickle_and_digest_keep_everything(tmp_path: Path, quantised: bool) -> None:
    network = with_random_weights(baseline(quantised=quantised))
    path = tmp_path / "network.json"
    path.write_text(json.dumps(network.to_dict()), encoding="utf-8")
    for copy in (Network.load(path), pickle.loads(pickle.dumps(network))):
        assert copy == network
        assert copy.digest == network.digest
        assert all(np.array_equal(copy.weights[name], network.weights[name]) for name in network.weights)
    assert with_random_weights(network, seed=1) != network


def test_arrays_of_weights_are_frozen() -> None:
    network = with_random_weights(baseline())
    with pytest.raises(ValueError, match="read-only"):
        network.weights["conv.weight"][0] = 1


def to_torch(array: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(np.asarray(array, np.float64).transpose(0, 3, 1, 2).copy())


def to_numpy(tensor: torch.Tensor) -> NDArray[Any]:
    return tensor.numpy().transpose(0, 2, 3, 1)


def torch_conv(image: torch.Tensor, weight: NDArray[Any], stride: int) -> torch.Tensor:
    """Keras' "same" convolution by its rule: pad, then convolve without padding."""
    kernel = weight.shape[0]
    pads: list[int] = []
    for size in (image.shape[3], image.shape[2]):
        total = max((int(np.ceil(size / stride)) - 1) * stride + kernel - size, 0)
        pads += [total // 2, total - total // 2]
    kernels = torch.from_numpy(np.asarray(weight, np.float64).transpose(3, 2, 0, 1).copy())
    return functional.conv2d(functional.pad(image, pads), kernels, stride=stride)


def torch_conv_transpose(image: torch.Tensor, weight: NDArray[Any], stride: int) -> torch.Tensor:
    """Keras' "same" transposed convolution: the full one, cropped."""
    kernel = weight.shape[0]
    kernels = torch.from_numpy(np.asarray(weight, np.float64).transpose(3, 2, 0, 1).copy())
    holes = max(stride - kernel, 0)
    full = functional.conv_transpose2d(image, kernels, stride=stride, output_padding=holes)
    crop = max(kernel - stride, 0) // 2
    height, width = (size * stride for size in image.shape[2:])
    return full[:, :, crop : crop + height, crop : crop + width]


GEOMETRIES = [
    (size, kernel, stride) for size in (1, 2, 5, 7, 8) for kernel in (1, 3, 5) for stride in (1, 2, 4)
]


@pytest.mark.parametrize(("size", "kernel", "stride"), GEOMETRIES)
def test_convolutions_equal_torch(size: int, kernel: int, stride: int) -> None:
    rng = np.random.default_rng(0)
    images = rng.normal(size=(3, size, size + 1, 2))
    for make, reference in ((Conv, torch_conv), (ConvTranspose, torch_conv_transpose)):
        network = with_random_weights(
            Network(images.shape[1:], (make("c", 4, kernel=kernel, stride=stride),))
        )
        weight, bias = network.weights["c.weight"], network.weights["c.bias"]
        expected = to_numpy(reference(to_torch(images), weight, stride)) + bias
        assert network.predict(images) == pytest.approx(expected, abs=1e-12)


def test_symmetric_padding_is_another_network() -> None:
    """The mutant the comparison above must catch: ``padding=1`` at kernel 3, stride 2, size 8."""
    network = with_random_weights(Network((8, 8, 1), (Conv("c", 4, stride=2),)))
    images = np.random.default_rng(0).normal(size=(3, 8, 8, 1))
    kernels = torch.from_numpy(network.weights["c.weight"].transpose(3, 2, 0, 1).copy())
    mutant = to_numpy(functional.conv2d(to_torch(images), kernels, stride=2, padding=1))
    expected = mutant + network.weights["c.bias"]
    assert expected.shape == network.predict(images).shape
    assert np.abs(network.predict(images) - expected).max() > 0.1
    assert same_padding(8, 3, 2) == (0, 1)


@pytest.mark.parametrize("size", [1, 4, 5, 7])
@pytest.mark.parametrize("window", [2, 3])
def test_pooling_equals_torch(size: int, window: int) -> None:
    images = np.random.default_rng(0).normal(size=(3, size, size, 2)) - 5.0
    after = -size % window
    padded = functional.pad(to_torch(images), (0, after, 0, after), value=-np.inf)
    expected = to_numpy(functional.max_pool2d(padded, window))
    assert np.array_equal(Network(images.shape[1:], (MaxPool("p", window),)).predict(images), expected)


def test_upsampling_repeats_pixels() -> None:
    images = np.arange(4.0).reshape(1, 2, 2, 1)
    grown = Network((2, 2, 1), (Upsample("u", 2),)).predict(images)
    assert grown[0, :, :, 0].tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]


def test_integers_are_the_floats_where_nothing_is_rounded() -> None:
    network = with_random_weights(baseline())
    images = np.random.default_rng(0).random((50, 8, 8, 1))
    steps = dict(network.trace(images))
    assert steps["conv"].dtype == steps["latent_relu"].dtype == np.int64
    codes = steps["input"].astype(float) / 2**7
    weight, bias = (network.weights[f"conv.{role}"] / 2**5 for role in ("weight", "bias"))
    real = to_numpy(torch_conv(to_torch(codes), weight, 2)) + bias
    assert np.array_equal(steps["conv"] / 2**12, real)
    assert np.array_equal(steps["conv_relu"], LATENT.quantise(np.maximum(real, 0)))


@pytest.mark.parametrize("signed", [True, False])
def test_no_weights_overflow_the_accumulator(signed: bool) -> None:
    fixed = FixedPoint(2, 2, signed)
    network = Network((64,), (Dense("d", 1, weight=fixed, bias=fixed),), INPUT)
    for extreme in (fixed.minimum, fixed.maximum):
        full = network.with_weights({"d.weight": np.full((64, 1), extreme), "d.bias": np.full(1, extreme)})
        (code,) = full.codes(np.full((1, 64), 9.0)).ravel()
        accumulator = network.formats[-1]
        assert accumulator is not None
        assert accumulator.minimum <= code <= accumulator.maximum


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Network((8, 8, 1), (ReLU("a"), ReLU("a"))), "names must be unique"),
        (lambda: Network((8, 8, 1), (Dense("d", 4),)), "'d' needs a flat input.*Flatten"),
        (lambda: Network((8,), (Conv("c", 4),)), "'c' needs an image"),
        (lambda: Network((8,), (Dense("d", 0),)), "'d' needs at least 1 unit, got 0"),
        (lambda: Network((8,), (Dense("d", 4, weight=WEIGHT),)), "'d' has a format for only one"),
        (lambda: Network((8,), (Dense("d", 4, weight=WEIGHT, bias=WEIGHT),)), "'d' has .*float input"),
        (lambda: Network((8,), (ReLU("r", LATENT),)), "'r' rounds to fixed point but its input is float"),
        (lambda: Network((8,), (Reshape("s", (3, 3, 1)),)), "'s' cannot shape"),
        (lambda: Network((8,), (), chip_layers=1), "chip_layers is 0 to 0, got 1"),
        (lambda: baseline().predict(np.zeros((1, 8, 8, 1))), "no weights yet"),
        (lambda: with_random_weights(baseline()).predict(np.zeros((1, 4, 4, 3))), "expected"),
        (lambda: baseline().with_weights({"x": np.zeros(1)}), "expected .*conv.bias"),
        (lambda: Network.from_dict({"codesign_network": 0}), "version 1"),
        (lambda: Network.from_dict({"codesign_network": 1}), "damaged: KeyError"),
        (lambda: Network.load("absent.json"), "cannot read the network absent.json"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        make()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.full((3, 3, 1, 8), 32), "codes from 32 to 32, its format allows -32 to 31"),
        (np.full((3, 3, 1, 8), 0.5), "integer codes"),
        (np.zeros((3, 3, 8, 1)), "shape .* expected"),
    ],
)
def test_weights_out_of_format_are_refused(value: NDArray[Any], message: str) -> None:
    network = with_random_weights(baseline())
    with pytest.raises(NetworkError, match=message):
        network.with_weights({**network.weights, "conv.weight": value})


def test_networks_of_before_keep_their_digests() -> None:
    """Written by the version that knew neither padding nor groups nor cropped pooling."""
    layers: tuple[Layer, ...] = (
        Conv("conv", 8, stride=2, weight=WEIGHT, bias=WEIGHT),
        ReLU("relu", LATENT),
        MaxPool("pool"),
        Flatten("flat"),
        Dense("latent", 16, weight=WEIGHT, bias=WEIGHT),
    )
    digest = Network((8, 8, 1), layers, INPUT).digest
    assert digest == "8f4e7b89e06dab3b638b2b42048ea5a15bdd058055fef8e2ad93b19e2d4528d7"


@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 1, 1, 1), (2, 0, 1, 3)])
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("stride", [1, 2])
def test_padded_and_grouped_convolutions_equal_torch(
    padding: tuple[int, int, int, int], groups: int, stride: int
) -> None:
    images = np.random.default_rng(0).normal(size=(3, 6, 7, 4))
    layer = Conv("c", 8, kernel=3, stride=stride, padding=padding, groups=groups)
    network = with_random_weights(Network((6, 7, 4), (layer,)))
    top, left, bottom, right = padding
    kernels = torch.from_numpy(network.weights["c.weight"].transpose(3, 2, 0, 1).copy())
    padded = functional.pad(to_torch(images), (left, right, top, bottom))
    expected = to_numpy(functional.conv2d(padded, kernels, stride=stride, groups=groups))
    assert network.output_shape == expected.shape[1:]
    assert network.predict(images) == pytest.approx(expected + network.weights["c.bias"], abs=1e-12)
    assert Network.from_dict(json.loads(json.dumps(network.to_dict()))) == network


@pytest.mark.parametrize("size", [2, 5, 7])
def test_cropped_pooling_equals_torch(size: int) -> None:
    images = np.random.default_rng(0).normal(size=(3, size, size + 1, 2))
    network = Network(images.shape[1:], (MaxPool("p", 2, partial=False),))
    assert np.array_equal(network.predict(images), to_numpy(functional.max_pool2d(to_torch(images), 2)))
    assert Network.from_dict(network.to_dict()) == network


def staircase(first: int = -1, step: int = 1) -> Network:
    layer = Thresholds("t", FixedPoint(3, 0), FixedPoint(4, 1), 3, first, step)
    weights = {"t.thresholds": np.array([[-6, 0, 5], [2, 2, 9]]), "t.sign": np.array([1, -1])}
    return Network((2,), (layer,), FixedPoint(3, 1)).with_weights(weights)


@pytest.mark.parametrize(("first", "step"), [(-1, 1), (-3, 2), (4, -1)])
def test_thresholds_count_what_is_reached(first: int, step: int) -> None:
    network = staircase(first, step)
    for code in range(-16, 16):
        counted = [sum(code >= t for t in (-6, 0, 5)), sum(-code >= t for t in (2, 2, 9))]
        assert network.codes(np.full((1, 2), code / 2)).tolist() == [[first + step * n for n in counted]]


def test_thresholds_are_kept_in_json_and_pickles() -> None:
    network = staircase()
    for copy in (
        Network.from_dict(json.loads(json.dumps(network.to_dict()))),
        pickle.loads(pickle.dumps(network)),
    ):
        assert copy == network
        assert copy.digest == network.digest
    assert staircase(-2) != network


IMPORTED_FORMS = {
    "padding": Network((8, 8, 1), (Conv("c", 4, padding=(0, 0, 0, 0)),)),
    "groups": Network((8, 8, 2), (Conv("c", 4, groups=2),)),
    "cropped": Network((5, 5, 1), (MaxPool("c", 2, partial=False),)),
    "thresholds": Network((2,), (Thresholds("c", FixedPoint(3, 0), FixedPoint(4, 1), 3),), FixedPoint(3, 1)),
}


@pytest.mark.parametrize("form", IMPORTED_FORMS)
def test_forms_of_imported_networks_are_not_trained(form: str) -> None:
    with pytest.raises(UnsupportedLayerError, match=f"the user: layer 'c' has .*{form}"):
        require_plain(IMPORTED_FORMS[form], "the user")
    with pytest.raises(UnsupportedLayerError, match="training: layer 'c'"):
        build(IMPORTED_FORMS[form])
    require_plain(baseline(), "the user")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Network((8, 8, 3), (Conv("c", 4, groups=2),)), "'c' has 2 groups.* 3 channels"),
        (lambda: Network((2, 2, 1), (Conv("c", 4, padding=(0, 0, 0, 0)),)), "'c' has a kernel of 3.*not fit"),
        (lambda: Network((8, 8, 1), (Conv("c", 4, padding=(0, -1, 0, 0)),)), "cannot be negative"),
        (lambda: staircase(6), "'t' has 3 thresholds and codes 6 to 9"),
        (
            lambda: Network(
                (2,), (Thresholds("t", FixedPoint(3, 0), FixedPoint(4, 2), 3),), FixedPoint(3, 1)
            ),
            "'t' has thresholds in .*as many fraction bits",
        ),
        (
            lambda: staircase().with_weights(
                {"t.thresholds": np.array([[1, 0, 5], [2, 2, 9]]), "t.sign": np.array([1, -1])}
            ),
            "'t' needs thresholds that ascend",
        ),
        (
            lambda: staircase().with_weights(
                {"t.thresholds": np.array([[-1, 0, 5], [2, 2, 9]]), "t.sign": np.array([1, 0])}
            ),
            "signs of 1 or -1",
        ),
    ],
)
def test_forms_that_do_not_fit_are_refused(make: Any, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        make()
