"""Folding: how many multipliers each layer gets so that a frame takes a given number of cycles."""

from dataclasses import replace
from itertools import product

from codesign.errors import ConfigError
from codesign.network import Conv, ConvTranspose, Dense, Folding, Network, Shape

__all__ = ["fold", "frame_cycles", "unfolded"]

_Affine = Conv | ConvTranspose | Dense


def frame_cycles(layer: _Affine, shape: Shape) -> int:
    """Cycles a layer needs for one frame: output pixels times its reuse factor.

    ``pixels * (fan_in / simd) * (units / pe)``: Blott et al., FINN-R, arXiv:1809.04570, section 4.3.
    """
    output = layer.output_shape(shape)
    pixels = output[0] * output[1] if len(output) == 3 else 1
    return pixels * layer.reuse_factor(shape)


def fold(network: Network, interval: int) -> Network:
    """The network with the fewest multipliers a layer that keep a frame each ``interval`` cycles.

    Of foldings with equally many, the one with the most products of a sum at a time. Layers behind the chip
    stay as they are.

    Parameters
    ----------
    network
        Fitted or not.
    interval
        Initiation interval to keep, in cycles.

    Raises
    ------
    ConfigError
        If a convolution has more output pixels than that: it computes a pixel a cycle at most.

    Examples
    --------
    >>> from codesign.network import Dense
    >>> fold(Network((128,), (Dense("latent", 16),)), 64).layers[0].folding
    Folding(pe=1, simd=32)
    """
    count = len(network.layers) if network.chip_layers is None else network.chip_layers
    layers = [
        _folded(layer, shape, interval) if index < count and isinstance(layer, _Affine) else layer
        for index, (layer, shape) in enumerate(zip(network.layers, network.shapes, strict=False))
    ]
    return replace(network, layers=tuple(layers), weights=dict(network.weights))


def unfolded(network: Network) -> Network:
    """The network without any folding: a multiplier for every product."""
    layers = [
        replace(layer, folding=None) if isinstance(layer, _Affine) else layer for layer in network.layers
    ]
    return replace(network, layers=tuple(layers), weights=dict(network.weights))


def _folded(layer: _Affine, shape: Shape, interval: int) -> _Affine:
    choices = [
        Folding(pe, simd)
        for pe, simd in product(_divisors(layer.units), _divisors(layer.fan_in(shape)))
        if frame_cycles(replace(layer, folding=Folding(pe, simd)), shape) <= interval
    ]
    if not choices:
        least = frame_cycles(replace(layer, folding=None), shape)
        raise ConfigError(
            f"layer {layer.name!r} needs {least} cycles a frame even with all its multipliers; "
            f"got an interval of {interval}"
        )
    return replace(layer, folding=min(choices, key=lambda fold: (fold.pe * fold.simd, -fold.simd)))


def _divisors(number: int) -> list[int]:
    return [divisor for divisor in range(1, number + 1) if number % divisor == 0]
