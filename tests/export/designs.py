"""A front's worth of designs: every layer type of the space, kernels 1 to 5, strides 1 to 4, 2 to 8 bits."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.fixedpoint import FixedPoint
from codesign.network import Conv, Dense, Flatten, Folding, Layer, MaxPool, Network, ReLU

__all__ = ["DESIGNS", "design", "randomised"]

Bits = tuple[int, int]
"""Of weights and of activations."""


def fixed(bits: int) -> dict[str, FixedPoint]:
    return {"weight": FixedPoint(0, bits - 1), "bias": FixedPoint(0, bits - 1)}


def rounded(bits: int) -> FixedPoint:
    return FixedPoint(1, bits - 1, signed=False, rounding="half_up")


def randomised(network: Network, seed: int = 0) -> Network:
    """Random codes, small enough that not everything saturates and not everything is zero."""
    rng = np.random.default_rng(seed)
    weights: dict[str, NDArray[Any]] = {}
    for layer, shape in zip(network.layers, network.shapes, strict=False):
        for role, size in layer.weight_shapes(shape).items():
            values = rng.normal(0, 1.4 / np.sqrt(layer.fan_in(shape)) if role == "weight" else 0.1, size)
            held: FixedPoint | None = getattr(layer, role)
            weights[f"{layer.name}.{role}"] = values if held is None else held.quantise(values)
    return network.with_weights(weights)


def design(
    convolutions: tuple[tuple[int, int, int, bool, Bits], ...] = (),
    dense: tuple[tuple[int, Bits], ...] = (),
    latent: tuple[int, Bits] = (16, (6, 9)),
    input_bits: int = 8,
    seed: int = 0,
    fold: dict[str, Folding] | None = None,
) -> Network:
    """An encoder: (filters, kernel, stride, pooling, bits) a convolution, (units, bits) a dense layer."""
    fold = fold or {}
    layers: list[Layer] = []
    for i, (filters, kernel, stride, pooling, bits) in enumerate(convolutions, 1):
        name = f"conv_{i}"
        conv = Conv(name, filters, kernel=kernel, stride=stride, folding=fold.get(name), **fixed(bits[0]))
        layers += [conv, ReLU(f"{name}_relu", rounded(bits[1]))]
        if pooling:
            layers.append(MaxPool(f"pool_{i}"))
    layers.append(Flatten("flatten"))
    for i, (units, bits) in enumerate((*dense, latent), 1):
        name = "latent" if i > len(dense) else f"dense_{i}"
        layers.append(Dense(name, units, folding=fold.get(name), **fixed(bits[0])))
        layers.append(ReLU(f"{name}_relu", rounded(bits[1])))
    network = Network((8, 8, 1), tuple(layers), FixedPoint(1, input_bits - 1, signed=False))
    return randomised(network, seed)


DESIGNS: dict[str, Network] = {
    "baseline": design(((8, 3, 2, False, (6, 8)),)),
    "3 bit everywhere": design(((8, 3, 2, False, (3, 3)),), (), (16, (3, 3)), 4, seed=1),
    "2 bit weights": design(((4, 3, 2, False, (2, 2)),), (), (8, (2, 3)), 5, seed=2),
    "8 bit, kernel 5, stride 4": design(((4, 5, 4, False, (8, 8)),), (), (16, (8, 9)), 10, seed=3),
    "kernel 1": design(((4, 1, 2, False, (5, 6)),), (), (8, (5, 7)), 7, seed=4),
    "pooling": design(((4, 3, 1, True, (4, 5)),), (), (16, (4, 5)), 6, seed=5),
    "pooling and stride": design(((6, 3, 2, True, (7, 4)),), (), (16, (6, 7)), 8, seed=6),
    "two convolutions": design(
        ((4, 3, 2, False, (5, 6)), (6, 3, 2, False, (4, 5))), (), (16, (6, 9)), 8, seed=7
    ),
    "three convolutions": design(
        ((2, 3, 1, False, (6, 6)), (4, 5, 2, False, (3, 4)), (4, 1, 1, True, (8, 7))),
        (),
        (16, (5, 5)),
        9,
        seed=8,
    ),
    "dense only": design((), ((16, (6, 8)),), (16, (6, 9)), 8, seed=9),
    "three dense": design((), ((16, (3, 5)), (32, (5, 4)), (16, (7, 6))), (16, (4, 3)), 5, seed=10),
    "latent alone": design((), (), (16, (6, 9)), 8, seed=11),
    "convolution and dense": design(((8, 3, 4, False, (4, 7)),), ((16, (7, 5)),), (16, (8, 7)), 8, seed=12),
    "folded": design(
        ((8, 3, 2, False, (6, 6)),),
        (),
        (16, (6, 8)),
        8,
        seed=13,
        fold={"conv_1": Folding(4, 3), "latent": Folding(4, 8)},
    ),
}
