"""Weights as real numbers, by the names and in the layout of ``Network.weights``."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.fixedpoint import FixedPoint
from codesign.network import Network

__all__ = ["fresh_weights", "real_weights", "rounded_weights"]


def fresh_weights(
    network: Network, rng: np.random.Generator, output_bias: float = 0.0
) -> dict[str, NDArray[np.float64]]:
    """Glorot uniform weights and zero biases, but for those of the last layer; layout of the network.

    Bound ``sqrt(6 / (fan in + fan out))`` (Glorot and Bengio, AISTATS 2010, equation 16), fans with the area
    of the kernel.
    """
    weights: dict[str, NDArray[np.float64]] = {}
    for layer, shape in zip(network.layers, network.shapes, strict=False):
        for role, wanted in layer.weight_shapes(shape).items():
            fans = math.prod(wanted[:-2]) * sum(wanted[-2:])
            bound = math.sqrt(6 / fans) if role == "weight" else 0.0
            weights[f"{layer.name}.{role}"] = rng.uniform(-bound, bound, wanted)
    for last in [name for name in weights if name.endswith(".bias")][-1:]:
        weights[last] = np.full_like(weights[last], output_bias)
    return weights


def real_weights(network: Network) -> dict[str, NDArray[np.float64]]:
    """Real values of a fitted network's weights."""
    return {
        name: np.asarray(array, np.float64)
        if fixed is None
        else fixed.dequantise(np.asarray(array, np.int64))
        for name, array, fixed in _with_formats(network, network.weights)
    }


def rounded_weights(network: Network, weights: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Codes of real weights where a layer has formats; the others as they are."""
    return {
        name: np.asarray(array, np.float64) if fixed is None else fixed.quantise(array)
        for name, array, fixed in _with_formats(network, weights)
    }


def _with_formats(
    network: Network, weights: Mapping[str, NDArray[Any]]
) -> Iterator[tuple[str, NDArray[Any], FixedPoint | None]]:
    formats = {
        f"{layer.name}.{role}": getattr(layer, role)
        for layer, shape in zip(network.layers, network.shapes, strict=False)
        for role in layer.weight_shapes(shape)
    }
    return ((name, array, formats[name]) for name, array in weights.items())
