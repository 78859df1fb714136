"""Rounding half up on tools that round half to even, without a difference.

The reference rounds an accumulator half up into the format of the activation that follows, as cheap
hardware does: add half, drop bits. Torch, ONNX and hls4ml round half to even. They agree where no value is
ever midway between two codes. So every tool is given half an accumulator LSB more in the bias of each
layer whose output is rounded later: an integer and a half is never midway, and both rules then give the
code that half up gives the integer. Pooling, flattening and ``max(x, 0)`` in between keep order and thus
disturb nothing. The half belongs to the tool's copy, never to the weights of the network.
"""

from typing import Final

import numpy as np

from codesign.errors import UnsupportedLayerError
from codesign.fixedpoint import FixedPoint
from codesign.network import Conv, ConvTranspose, Dense, Network, ReLU, Sigmoid, Thresholds

__all__ = ["FLOAT32_BITS", "accumulator_bits", "accumulators", "half_lsb", "require_even_ties"]

FLOAT32_BITS: Final = 24
"""Bits of the significand of float32, sign apart: it holds every integer of as many."""

_AFFINE = Conv | ConvTranspose | Dense


def half_lsb(network: Network, index: int) -> float:
    """Half an LSB of the accumulator of layer ``index``, a real value, if it is rounded half up; else 0."""
    accumulator = network.formats[index + 1]
    if accumulator is None:
        return 0.0
    for layer in network.layers[index + 1 :]:
        if isinstance(layer, ReLU) and layer.output is not None:
            rounded = layer.output.fraction_bits < accumulator.fraction_bits
            return accumulator.scale / 2 if rounded and layer.output.rounding == "half_up" else 0.0
        if isinstance(layer, _AFFINE | Sigmoid | Thresholds):
            break
    return 0.0


def accumulator_bits(network: Network) -> int:
    """Bits of the widest accumulator, sign and half LSB included; 0 without any.

    A float type whose significand has as many computes the network exactly, in whatever order it adds.
    Of a fitted network the weights decide, of another the worst that its formats allow.
    """
    return max(accumulators(network).values(), default=0)


def accumulators(network: Network) -> dict[str, int]:
    """Bits of the accumulator of each layer that has one in fixed point, by name; as ``accumulator_bits``."""
    widths = {}
    for index, layer in enumerate(network.layers):
        accumulator = network.formats[index + 1]
        if isinstance(layer, _AFFINE) and accumulator is not None:
            width = _width(network, index) if network.fitted else accumulator.width
            widths[layer.name] = width + (half_lsb(network, index) > 0)
    return widths


def _width(network: Network, index: int) -> int:
    """Bits, with sign, of the largest sum that these weights can make in layer ``index``."""
    layer, before, after = network.layers[index], network.formats[index], network.formats[index + 1]
    assert isinstance(layer, _AFFINE)
    assert before is not None
    assert after is not None
    assert layer.bias is not None
    weight = np.abs(network.weights[f"{layer.name}.weight"])
    bias = np.abs(network.weights[f"{layer.name}.bias"]).astype(np.int64)
    outputs = weight.ndim - (2 if isinstance(layer, ConvTranspose) else 1)
    sums = weight.sum(axis=tuple(axis for axis in range(weight.ndim) if axis != outputs))
    largest = sums * max(-before.minimum, before.maximum) + (
        bias << (after.fraction_bits - layer.bias.fraction_bits)
    )
    return int(largest.max()).bit_length() + 1


def require_even_ties(network: Network) -> None:
    """Raise ``UnsupportedLayerError`` for a format that a tool which rounds half to even gets wrong.

    Allowed: saturation everywhere; half to even for the input, weights and biases, and for an activation
    behind an edge that is rounded already; half up or half to even for an activation behind an accumulator.
    An activation that drops no bits may name any rounding.
    """
    if network.input_format is not None:
        _require("the input", network.input_format, ("half_even",))
    accumulated = False
    for layer, before in zip(network.layers, network.formats, strict=False):
        if isinstance(layer, _AFFINE):
            accumulated = layer.weight is not None
            for role, fixed in (("weight", layer.weight), ("bias", layer.bias)):
                if fixed is not None:
                    _require(f"the {role} of layer {layer.name!r}", fixed, ("half_even",))
        elif isinstance(layer, ReLU) and layer.output is not None:
            assert before is not None
            dropped = before.fraction_bits - layer.output.fraction_bits
            exact = ("half_up", "half_even") if accumulated else ("half_even",)
            _require(
                f"layer {layer.name!r}", layer.output, exact if dropped > 0 else (layer.output.rounding,)
            )
            accumulated = False


def _require(owner: str, fixed: FixedPoint, roundings: tuple[str, ...]) -> None:
    if fixed.rounding not in roundings or fixed.overflow != "saturate":
        raise UnsupportedLayerError(
            f"{owner} has rounding {fixed.rounding!r} and overflow {fixed.overflow!r}; training and ONNX "
            f"compute only {' or '.join(map(repr, roundings))} and 'saturate' exactly there"
        )
