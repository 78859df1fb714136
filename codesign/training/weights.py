"""Weights as real numbers, by the names and in the layout of ``Network.weights``."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.fixedpoint import FixedPoint
from codesign.network import Flatten, Network, ReLU, Reshape, Sigmoid

__all__ = ["ends_in_sigmoid", "fresh_weights", "real_weights", "rounded_weights", "scaled_weights"]

FloatArray = NDArray[np.float64]

SCALED_SHARE = 0.9
"""Quantile of a channel's sums that is scaled to half of what the activation behind it holds."""
SCALED_MOST = 20.0
"""Factor of one round at most."""
SCALED_ROUNDS = 3
"""Rounds a layer: formats of weights cut and round what the first asks for."""


def fresh_weights(
    network: Network, rng: np.random.Generator, output_bias: float = 0.0
) -> dict[str, NDArray[np.float64]]:
    """Glorot uniform weights and zero biases, in the layout of the network.

    Bound ``sqrt(6 / (fan in + fan out))`` (Glorot and Bengio, AISTATS 2010, equation 16), fans with the area
    of the kernel. The last biases are ``output_bias`` in a network that ends in a sigmoid.
    """
    weights: dict[str, NDArray[np.float64]] = {}
    for layer, shape in zip(network.layers, network.shapes, strict=False):
        for role, wanted in layer.weight_shapes(shape).items():
            fans = math.prod(wanted[:-2]) * sum(wanted[-2:])
            bound = math.sqrt(6 / fans) if role == "weight" else 0.0
            weights[f"{layer.name}.{role}"] = rng.uniform(-bound, bound, wanted)
    if ends_in_sigmoid(network):
        for last in [name for name in weights if name.endswith(".bias")][-1:]:
            weights[last] = np.full_like(weights[last], output_bias)
    return weights


def ends_in_sigmoid(network: Network) -> bool:
    """Whether the last layer is a sigmoid, but for those that only shape what it gives."""
    last = (layer for layer in reversed(network.layers) if not isinstance(layer, Flatten | Reshape))
    return isinstance(next(last, None), Sigmoid)


def scaled_weights(
    network: Network, weights: Mapping[str, NDArray[Any]], inputs: NDArray[Any]
) -> dict[str, FloatArray]:
    """Fresh weights of the chip's layers, scaled so that their sums on some inputs fill the activations.

    With weights as they are drawn, small inputs become smaller from layer to layer, until activations of few
    bits round all of them to 0 and nothing can be learnt. Layer by layer, as in LSUV (Mishkin and Matas, *All
    you need is a good init*, ICLR 2016) but with quantiles, and by output channel: the value that one input
    in ten exceeds becomes half of what the activation behind holds, or 1 if that has no format. A channel
    that is nowhere above 0 changes its sign. Weights stay within their format, and layers behind the chip as
    they are.

    Parameters
    ----------
    network
        Whose weights they are; it needs none itself.
    weights
        Real values, by the names and in the layout of ``Network.weights``.
    inputs
        Shape ``(n, *input_shape)``.
    """
    scaled = {name: np.array(values, np.float64) for name, values in weights.items()}
    count = len(network.layers) if network.chip_layers is None else network.chip_layers
    heavy = [at for at in range(count) if f"{network.layers[at].name}.weight" in scaled]
    values, done = np.asarray(inputs, np.float64), 0
    for at in heavy:
        values, done = _between(network, scaled, values, done, at), at
        name = f"{network.layers[at].name}.weight"
        aim = _half_range(network, at, count)
        for _ in range(SCALED_ROUNDS):
            sums = _between(network, scaled, values, at, at + 1)
            low, high = np.quantile(
                sums.reshape(-1, sums.shape[-1]), (1 - SCALED_SHARE, SCALED_SHARE), axis=0
            )
            scaled[name] = _within(network.layers[at], scaled[name] * _factors(low, high, aim))
    return scaled


def _between(
    network: Network, weights: Mapping[str, NDArray[Any]], values: FloatArray, first: int, last: int
) -> FloatArray:
    """Real values behind some layers of a network, from those before them."""
    layers = network.layers[first:last]
    if not layers:
        return values
    part = Network(network.shapes[first], layers, network.formats[first])
    names = {layer.name for layer in layers}
    own = {name: array for name, array in weights.items() if name.rsplit(".", 1)[0] in names}
    return part.with_weights(rounded_weights(part, own)).predict(values)


def _half_range(network: Network, at: int, count: int) -> float:
    """Half of what the next rectifier's format holds; 1 without one."""
    formats = (layer.output for layer in network.layers[at + 1 : count] if isinstance(layer, ReLU))
    output = next(formats, None)
    return 1.0 if output is None else 0.5 * 2.0**output.integer_bits


def _factors(low: FloatArray, high: FloatArray, aim: float) -> FloatArray:
    """What each channel is multiplied by, from its low and its high quantile."""
    turned = (high <= 0) & (low < 0)
    reach = np.where(turned, -low, high)
    growth = np.where(reach > 0, aim / np.where(reach > 0, reach, 1.0), SCALED_MOST)
    factors: FloatArray = np.where(turned, -1.0, 1.0) * np.clip(growth, 1 / SCALED_MOST, SCALED_MOST)
    return factors


def _within(layer: Any, weights: FloatArray) -> FloatArray:
    """As far as the format of a layer's weights goes."""
    fixed: FixedPoint | None = layer.weight
    if fixed is None:
        return weights
    return np.clip(weights, fixed.minimum * fixed.scale, fixed.maximum * fixed.scale)


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
