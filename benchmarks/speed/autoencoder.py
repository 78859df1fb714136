"""The study's baseline autoencoder and random samples for it, as data: without torch."""

import numpy as np

from codesign.fixedpoint import FixedPoint
from codesign.network import Conv, ConvTranspose, Dense, Flatten, Network, ReLU, Reshape, Sigmoid
from codesign.tasks import Samples

SAMPLES = 20_000


def samples(rng: np.random.Generator) -> Samples:
    """Random charges on the upper 48 of 64 pixels, sums near 1.5."""
    charge = rng.gamma(0.3, size=(SAMPLES, 8, 8, 1))
    inputs = (1.5 * charge / charge.sum(axis=(1, 2), keepdims=True)).astype(np.float32)
    index = np.arange(48)
    return Samples(inputs, inputs.reshape(SAMPLES, -1)[:, index], index)


def baseline(filters: int = 8, *, quantised: bool) -> Network:
    """The network as data."""
    weight = FixedPoint(0, 5)
    formats = {"weight": weight, "bias": weight} if quantised else {}

    def activation(bits: int) -> FixedPoint | None:
        return FixedPoint(1, bits - 1, signed=False, rounding="half_up") if quantised else None

    layers = (
        Conv("conv", filters, stride=2, **formats),
        ReLU("conv_relu", activation(8)),
        Flatten("flatten"),
        Dense("latent", 16, **formats),
        ReLU("latent_relu", activation(9)),
        Dense("grow", 16 * filters),
        ReLU("grow_relu"),
        Reshape("image", (4, 4, filters)),
        ConvTranspose("up", filters, stride=2),
        ReLU("up_relu"),
        ConvTranspose("last", 1),
        Sigmoid("sigmoid"),
    )
    return Network((8, 8, 1), layers, FixedPoint(1, 7, signed=False) if quantised else None, 5)
