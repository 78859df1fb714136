"""Units that compute the same are one: synthesis merges equal logic, and so does what is counted here."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.fixedpoint import FixedPoint
from codesign.network import Conv, Dense, Flatten, Network

__all__ = ["merged"]

IntArray = NDArray[np.int64]


def merged(chip: Network) -> Network:
    """A fitted chip with one unit in place of those of a layer that have equal weights and biases.

    What reads the merged units has the sum of its weights for them, in a wider format where it takes one. A
    chip with layers in float, or convolutions in groups, comes back as it is; so does one without such units.
    """
    layers, weights = list(chip.layers), dict(chip.weights)
    place = np.arange(chip.shapes[0][-1])  # number of what stands for each channel of the edge
    for index, layer in enumerate(chip.layers):
        match layer:
            case Flatten():
                pixels = int(np.prod(chip.shapes[index][:-1]))
                place = (np.arange(pixels)[:, None] * (place.max() + 1) + place).ravel()
            case Conv() | Dense():
                if layer.weight is None or getattr(layer, "groups", 1) > 1:
                    return chip
                names = f"{layer.name}.weight", f"{layer.name}.bias"
                weight, bias = (weights[name].astype(np.int64) for name in names)
                weight = _summed(weight, place)
                kept, place = _units(weight, bias)
                weight, bias = weight[..., kept], bias[kept]
                weights |= dict(zip(names, (weight, bias), strict=True))
                layers[index] = replace(layer, units=len(kept), weight=_holding(layer.weight, weight))
    same = tuple(layers) == chip.layers
    return chip if same else replace(chip, layers=tuple(layers), weights=weights)


def _summed(weight: IntArray, place: IntArray) -> IntArray:
    """Weights ``(..., channels, units)`` of what stands for the channels."""
    stands = (place == np.arange(place.max() + 1)[:, None]).astype(np.int64)
    summed: IntArray = stands @ weight
    return summed


def _units(weight: IntArray, bias: IntArray) -> tuple[IntArray, IntArray]:
    """Numbers of the units that stay, in order, and which of these stands for each unit."""
    columns = np.vstack([weight.reshape(-1, weight.shape[-1]), bias])
    _, first, group = np.unique(columns, axis=1, return_index=True, return_inverse=True)
    order = first.argsort()
    rank = np.empty(len(first), np.int64)
    rank[order] = np.arange(len(first))
    return first[order], rank[group.ravel()]


def _holding(fixed: FixedPoint, codes: NDArray[Any]) -> FixedPoint:
    """The format, or one with as many more bits before the point as the codes take."""
    while codes.size and (codes.min() < fixed.minimum or codes.max() > fixed.maximum):
        fixed = replace(fixed, integer_bits=fixed.integer_bits + 1)
    return fixed
