"""What FINN takes, asked before training, and the folding of layers that have none."""

from dataclasses import replace
from typing import Final

from codesign.errors import ConfigError, UnsupportedLayerError
from codesign.export.bundle import fixed_edges, require_no_redundancy
from codesign.fixedpoint import FixedPoint
from codesign.hardware import Device
from codesign.hardware.folding import frame_cycles
from codesign.network import Conv, Dense, Flatten, Folding, Layer, Network, ReLU, Shape

__all__ = ["MOST_OUTPUT_BITS", "Affine", "check", "folded", "lossless", "whole_windows"]

MOST_OUTPUT_BITS: Final = 10
_PARTS: Final = ("xczu", "xcku", "xcvu", "xck2", "xcu")
_LEAST_INTERVAL: Final = 64
_MOST_PRODUCTS: Final = 1024

Affine = Conv | Dense


def check(network: Network, device: Device) -> None:
    """Raise ``UnsupportedLayerError`` for what FINN cannot do exactly, or not in RTL.

    It takes convolutions and dense layers with 2 products a sum or more, each followed by a ReLU with an
    unsigned output format, and flattening. Max pooling FINN has only in HLS, which needs Vitis.

    Raises
    ------
    ConfigError
        For a part that is no UltraScale or UltraScale+ (FINN's RTL multiplies in their DSP48E2).
    """
    from codesign.export.graph import check_exact

    fixed_edges(network, "finn")
    require_no_redundancy(device, "finn")
    check_exact(network, "finn")
    if not device.fpga_part.startswith(_PARTS):
        raise ConfigError(
            f"finn: part {device.fpga_part!r} is no UltraScale or UltraScale+ ({', '.join(_PARTS)}...), "
            "whose DSP48E2 FINN's RTL needs; choose such a part, of a family of FPGAs with technology xcup"
        )
    chip = folded(network.chip)
    pending: Layer | None = None
    for layer, shape, before in zip(chip.layers, chip.shapes, chip.formats, strict=False):
        if isinstance(layer, Affine):
            assert before is not None
            _require_products(layer, shape, before, pending)
            pending = layer
        elif isinstance(layer, ReLU):
            _require_thresholds(layer, pending, before)
            pending = None
        elif isinstance(layer, Flatten) and pending is not None:
            raise UnsupportedLayerError(
                f"finn: layer {layer.name!r} flattens the exact sums of {pending.name!r}; "
                "put it behind the ReLU"
            )
        elif not isinstance(layer, Flatten):
            raise UnsupportedLayerError(
                f"finn: layer {layer.name!r} is a {type(layer).__name__}, which FINN has not in RTL; leave "
                "it out (a stride shrinks an image too), or export to rtl or hls4ml"
            )
    if pending is not None:
        raise UnsupportedLayerError(
            f"finn: layer {pending.name!r} ends the chip with exact sums; put a ReLU with a format behind it"
        )
    if not any(isinstance(layer, Affine) for layer in chip.layers):
        raise UnsupportedLayerError("finn: the chip has no layer with weights; there is nothing to build")


def _require_products(layer: Affine, shape: Shape, before: FixedPoint, pending: Layer | None) -> None:
    if pending is not None:
        raise UnsupportedLayerError(
            f"finn: layer {layer.name!r} takes the exact sums of {pending.name!r}; put a ReLU with a format "
            "between them"
        )
    if isinstance(layer, Conv) and layer.kernel > 1 and min(shape[:2]) == 1:
        raise UnsupportedLayerError(
            f"finn: layer {layer.name!r} has a kernel of {layer.kernel} on an image of {shape[0]} x "
            f"{shape[1]}; FINN needs 2 pixels each way for that"
        )
    if isinstance(layer, Conv) and layer.groups != 1:
        raise UnsupportedLayerError(
            f"finn: layer {layer.name!r} has {layer.groups} groups, which FINN has not in RTL for this part"
        )
    assert layer.weight is not None
    for what, fixed in (("weights", layer.weight), ("inputs", before)):
        if fixed.width < 2:
            raise UnsupportedLayerError(
                f"finn: layer {layer.name!r} has {what} of 1 bit; FINN's RTL multiplies 2 or more"
            )
    if not layer.weight.signed:
        raise UnsupportedLayerError(
            f"finn: layer {layer.name!r} has unsigned weights; FINN's RTL multiplies signed ones"
        )
    assert layer.folding is not None
    if not lossless(layer, shape):
        raise UnsupportedLayerError(
            f"finn: layer {layer.name!r} has one product a sum, thus a sum each cycle, and FINN's RTL loses "
            "such sums when the next stage halts; give it a larger kernel or more inputs, or export to rtl"
        )
    products = layer.folding.pe * layer.folding.simd
    if products > _MOST_PRODUCTS:
        raise UnsupportedLayerError(
            f"finn: layer {layer.name!r} computes {products} products a cycle, more than {_MOST_PRODUCTS}, "
            f"of which FINN's stream of pixels makes no use; fold it (pe={layer.folding.pe}, "
            f"simd={layer.folding.simd}), or export to rtl or hls4ml"
        )


def _require_thresholds(layer: ReLU, pending: Layer | None, sums: FixedPoint | None) -> None:
    if pending is None:
        raise UnsupportedLayerError(
            f"finn: layer {layer.name!r} follows no layer with weights; FINN rounds sums only"
        )
    if layer.output is None:
        raise UnsupportedLayerError(
            f"finn: layer {layer.name!r} has no format; FINN compares sums with thresholds, give it one"
        )
    if layer.output.signed:
        raise UnsupportedLayerError(
            f"finn: layer {layer.name!r} has a signed format; FINN's thresholds give unsigned codes"
        )
    assert sums is not None
    if layer.output.rounding == "half_even" and layer.output.fraction_bits < sums.fraction_bits:
        raise UnsupportedLayerError(
            f"finn: layer {layer.name!r} rounds half to even; FINN's thresholds round half up, give it that"
        )
    if layer.output.width > MOST_OUTPUT_BITS:
        raise UnsupportedLayerError(
            f"finn: layer {layer.name!r} has {layer.output.width} bits, thus "
            f"{layer.output.maximum} thresholds a channel; give it {MOST_OUTPUT_BITS} at most"
        )


def folded(chip: Network) -> Network:
    """The chip with a folding in every layer that FINN's RTL computes without loss.

    A layer keeps its own, if that is ``lossless``; otherwise it gets the fewest multipliers that are at least
    as fast. A layer without a folding gets the fewest that keep up with the stream of pixels, which needs a
    cycle for each pixel of a padded image, and 64 cycles at least.
    """
    interval = stream_cycles(chip)
    layers: list[Layer] = []
    for layer, shape in zip(chip.layers, chip.shapes, strict=False):
        if isinstance(layer, Affine) and (layer.folding is None or not lossless(layer, shape)):
            cycles = interval if layer.folding is None else frame_cycles(layer, shape)
            layer = replace(layer, folding=_cheapest(layer, shape, cycles))
        layers.append(layer)
    return replace(chip, layers=tuple(layers), weights=dict(chip.weights))


def lossless(layer: Affine, shape: Shape) -> bool:
    """Whether FINN's RTL loses no sum of a layer when the next stage halts: there is not one each cycle.

    Of finn-plus 1.6.1: a matrix product (``mvu.sv``) has ``d = 4 + clog2(simd) + (simd == 1)`` stages and is
    stopped two cycles after its output was (``OLock`` of ``mvu_vvu_axi.sv``). With a sum in each cycle,
    ``d + 2`` more of them arrive at a queue of ``d + 1`` places, or ``d`` where ``simd`` is no power of two.
    With a sum each second cycle, half as many do.
    """
    assert layer.folding is not None
    return layer.folding.simd < layer.fan_in(shape)


def whole_windows(layer: Affine, shape: Shape) -> bool:
    """Whether a convolution needs its windows whole: pixel by pixel they would come slower than its sums.

    A generator of windows gives a pixel a cycle, and starts when it holds all but the last row of a window.
    """
    if not isinstance(layer, Conv):
        return False
    height, width, _ = layer.output_shape(shape)
    padded = shape[1] + sum(layer.pads(shape)[1])
    first = (layer.kernel - 1) * padded + layer.kernel
    return layer.kernel > 1 and height * width * layer.kernel**2 + first > frame_cycles(layer, shape)


def _cheapest(layer: Affine, shape: Shape, cycles: int) -> Folding:
    """The fewest multipliers of a lossless folding within ``cycles``; if there is none, of the fastest."""
    choices = [
        replace(layer, folding=Folding(pe, simd))
        for pe in _divisors(layer.units)
        for simd in _divisors(layer.fan_in(shape))
    ]
    safe = [choice for choice in choices if lossless(choice, shape)] or choices
    within = max(cycles, min(frame_cycles(choice, shape) for choice in safe))
    fast = [choice.folding for choice in safe if frame_cycles(choice, shape) <= within]
    return min((fold for fold in fast if fold), key=lambda fold: (fold.pe * fold.simd, -fold.simd))


def _divisors(number: int) -> list[int]:
    return [divisor for divisor in range(1, number + 1) if number % divisor == 0]


def stream_cycles(chip: Network) -> int:
    """Words of the longest stream of pixels, padding included."""
    longest = _LEAST_INTERVAL
    for layer, shape in zip(chip.layers, chip.shapes, strict=False):
        if isinstance(layer, Conv):
            (top, bottom), (left, right) = layer.pads(shape)
            height, width, _ = layer.output_shape(shape)
            longest = max(longest, (shape[0] + top + bottom) * (shape[1] + left + right), height * width)
    return longest
