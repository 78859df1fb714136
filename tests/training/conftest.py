"""Networks and samples of the tests of training."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

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
    Upsample,
)
from codesign.tasks import Samples
from codesign.tasks.econt import generate
from codesign.tasks.layouts import LAYOUTS

Stage = tuple[int, int, int, bool]
"""Filters, kernel, stride, pooling."""

Autoencoder = Callable[..., Network]


def _autoencoder(
    convolutions: Sequence[Stage] = ((8, 3, 2, False),),
    dense: Sequence[int] = (),
    *,
    quantised: bool = True,
    input_bits: int = 8,
    weight_bits: int = 6,
    activation_bits: int = 8,
    latent_bits: int = 9,
    size: int = 8,
) -> Network:
    signed = FixedPoint(0, weight_bits - 1)
    formats: dict[str, Any] = {"weight": signed, "bias": signed} if quantised else {}

    def activation(bits: int) -> FixedPoint | None:
        return FixedPoint(1, bits - 1, signed=False, rounding="half_up") if quantised else None

    layers: list[Layer] = []
    for i, (filters, kernel, stride, pool) in enumerate(convolutions):
        layers.append(Conv(f"conv_{i}", filters, kernel=kernel, stride=stride, **formats))
        layers.append(ReLU(f"conv_relu_{i}", activation(activation_bits)))
        layers += [MaxPool(f"pool_{i}")] if pool else []
    layers.append(Flatten("flatten"))
    for i, units in enumerate(dense):
        layers += [Dense(f"dense_{i}", units, **formats), ReLU(f"relu_{i}", activation(activation_bits))]
    layers += [Dense("latent", 16, **formats), ReLU("latent_relu", activation(latent_bits))]
    source = FixedPoint(1, input_bits - 1, signed=False) if quantised else None
    encoder = Network((size, size, 1), tuple(layers), source)
    image = encoder.shapes[[layer.name for layer in layers].index("flatten")]
    layers += [Dense("grow", int(np.prod(image))), ReLU("grow_relu"), Reshape("image", image)]
    for i, (filters, kernel, stride, pool) in enumerate(convolutions):
        layers += [Upsample(f"up_{i}")] if pool else []
        layers += [ConvTranspose(f"back_{i}", filters, kernel=kernel, stride=stride), ReLU(f"back_relu_{i}")]
    layers += [ConvTranspose("last", 1), Sigmoid("sigmoid")]
    return Network((size, size, 1), tuple(layers), source, len(encoder.layers))


def _wafers(count: int, size: int = 8, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    charge = rng.gamma(0.3, size=(count, size, size, 1)) * (rng.random((count, 1, 1, 1)) + 0.1)
    share = charge / charge.sum(axis=(1, 2), keepdims=True)
    return (share * rng.uniform(1, 2, size=(count, 1, 1, 1))).astype(np.float32)


def _with_random_codes(network: Network, seed: int = 0) -> Network:
    """Codes over the whole range of the formats, so that everything saturates somewhere."""
    rng = np.random.default_rng(seed)
    weights: dict[str, NDArray[Any]] = {}
    for layer, shape in zip(network.layers, network.shapes, strict=False):
        for role, size in layer.weight_shapes(shape).items():
            fixed: FixedPoint | None = getattr(layer, role)
            weights[f"{layer.name}.{role}"] = (
                rng.normal(0, 0.2, size).astype(np.float32)
                if fixed is None
                else rng.integers(fixed.minimum, fixed.maximum, size, endpoint=True)
            )
    return network.with_weights(weights)


@pytest.fixture(scope="session")
def autoencoder() -> Autoencoder:
    """Function that makes an unfitted autoencoder whose encoder is the chip."""
    return _autoencoder


@pytest.fixture(scope="session")
def wafers() -> Callable[..., NDArray[np.float32]]:
    """Function that makes charges of ``count`` wafers, shape ``(count, size, size, 1)``, sums 1 to 2."""
    return _wafers


@pytest.fixture(scope="session")
def with_random_codes() -> Callable[..., Network]:
    """Function that gives a network random weights."""
    return _with_random_codes


@pytest.fixture(scope="session")
def samples() -> Samples:
    """2,000 wafers to be reconstructed."""
    inputs = _wafers(2_000)
    index = np.random.default_rng(1).permutation(64)[:48]
    targets = inputs.reshape(-1, 64)[:, index]
    for array in (inputs, targets, index):
        array.setflags(write=False)  # as of data that is shared
    return Samples(inputs, targets, index)


@pytest.fixture(scope="session")
def generated() -> NDArray[np.float32]:
    """10,000 wafers of the generator, ``(n, 8, 8, 1)``."""
    return LAYOUTS["8x8"].images(generate(10_000, seed=2).normalised.astype(np.float32))
