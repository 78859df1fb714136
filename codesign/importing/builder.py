"""An integer network while it is built, layer by layer, from what a graph does to real values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from codesign.errors import UnsupportedLayerError
from codesign.fixedpoint import FixedPoint, IntArray
from codesign.importing.monotone import (
    MAX_LEVELS,
    Affine,
    Chain,
    Clip,
    Exact,
    Quantiser,
    fractions,
    power_of_two,
)
from codesign.network import Conv, Dense, Flatten, Layer, MaxPool, Network, ReLU, Shape, Thresholds, Upsample

__all__ = ["Builder", "QuantisedArray", "code_format", "narrowest", "unit"]

_MAX_BIAS_BITS: Final = 32
_MAX_VALUES: Final = 1 << 24


@dataclass(frozen=True, eq=False)
class QuantisedArray:
    """A constant behind a ``Quant`` node: integer codes, and the scale of each, of the same shape."""

    codes: IntArray
    scale: NDArray[np.float64]
    quantiser: Quantiser

    def map(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> "QuantisedArray":
        """The same constant in another shape or order."""
        return QuantisedArray(change(self.codes), change(self.scale), self.quantiser)


@dataclass(eq=False)
class Builder:
    """Layers so far; behind the last, real values are ``chain`` of the code times its unit.

    Parameters
    ----------
    input_shape
        Of the network, channels last.
    input_format
        None until the input is quantised.
    """

    input_shape: Shape
    input_format: FixedPoint | None = None
    layers: list[Layer] = field(default_factory=list)
    weights: dict[str, NDArray[Any]] = field(default_factory=dict)
    chain: Chain = field(default_factory=Chain)
    exact: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    """Of each ``Thresholds`` layer, the thresholds before they were rounded up to integers."""

    def __post_init__(self) -> None:
        self.shape = self.input_shape
        self.fixed = self.input_format
        self.low = self.high = np.zeros(self.shape[-1], np.int64)
        self.open: int | None = None
        self.bias_quantiser: QuantisedArray | None = None
        if self.fixed is not None:
            self._reach(self.fixed.minimum, self.fixed.maximum)

    @property
    def channels(self) -> int:
        """Length of the last axis."""
        return self.shape[-1]

    @property
    def unit(self) -> Fraction:
        """Value of one step of the codes."""
        assert self.fixed is not None
        return unit(self.fixed)

    def network(self) -> Network:
        """What was built."""
        return Network(self.input_shape, tuple(self.layers), self.input_format, None, self.weights)

    def name(self, wanted: str) -> str:
        """A layer name like ``wanted`` that is still free."""
        taken = {layer.name for layer in self.layers}
        if wanted not in taken:
            return wanted
        return next(name for i in range(2, len(taken) + 3) if (name := f"{wanted}_{i}") not in taken)

    def start(self, fixed: FixedPoint, low: int, high: int, scale: Exact) -> None:
        """Take the input as codes of ``fixed``, of which those from ``low`` to ``high`` occur."""
        self.input_format = self.fixed = fixed
        self._reach(low, high)
        self.chain = Chain().affine(scale / unit(fixed))

    def flatten(self) -> None:
        """Make the edge a vector, and the chain one value for each of its places."""
        if len(self.shape) == 1:
            return
        pixels = int(np.prod(self.shape[:-1]))
        size = (int(np.prod(self.shape)),)
        if self.fixed is None:
            self.input_shape = size
        else:
            self.layers.append(Flatten(self.name("flatten")))
        self.shape = size
        self.chain = self.chain.tiled(pixels)
        self.low, self.high = np.tile(self.low, pixels), np.tile(self.high, pixels)

    def pool(self, layer: MaxPool) -> None:
        """Append a pooling; the chain keeps the order of the codes."""
        if not self.chain.increasing():
            raise UnsupportedLayerError(
                "pools values that a negative factor turns round; quantise them before it"
            )
        self._append(layer)

    def upsample(self, layer: Upsample) -> None:
        """Append an upsampling."""
        self._append(layer)

    def affine(self, layer: Conv | Dense, weight: QuantisedArray) -> None:
        """Append a convolution or dense layer without bias, its weights in the layout of ``Network``."""
        line = self._settled()
        before, codes = self.fixed, weight.codes
        assert before is not None
        scale = fractions(weight.scale.reshape(-1, layer.units)[0])
        if (weight.scale != weight.scale.reshape(-1, layer.units)[0]).any():
            raise UnsupportedLayerError("has weights whose scale differs within a filter")
        fraction = power_of_two(scale[0]) if (scale == scale[0]).all() else None
        held = code_format(weight.quantiser, fraction or 0)
        factor: Exact = np.asarray(Fraction(1), object) if fraction is not None else scale
        padded = isinstance(layer, Conv) and any(map(any, layer.pads(self.shape)))
        offset = self._carried(line.offset, layer, codes, scale, padded)
        self._reach_of_sums(layer, codes, padded)
        zero = FixedPoint(
            -before.fraction_bits - held.fraction_bits, before.fraction_bits + held.fraction_bits
        )
        fitted = type(layer)(**{**_fields(layer), "weight": held, "bias": zero})
        self._append(fitted)
        self.open, self.bias_quantiser = len(self.layers) - 1, None
        self.weights[f"{layer.name}.weight"] = codes
        self.weights[f"{layer.name}.bias"] = np.zeros(layer.units, np.int64)
        self.fixed = Network(self._before, (fitted,), before).formats[-1]
        self.chain = Chain().affine(line.factor.reshape(-1)[0] * factor, offset)

    def quantise(self, name: str, relu: str, quantiser: Quantiser) -> None:
        """Round the chain: not at all, by a ``ReLU``, or by ``Thresholds``, the first that is exact.

        ``relu`` is the name of a ``ReLU``, ``name`` that of ``Thresholds``.
        """
        if self._keeps(quantiser):
            return
        if not self._rectify(self.name(relu), quantiser):
            self._threshold(self.name(name), quantiser)

    def finish(self) -> None:
        """Take what can be taken of the last chain into the layers."""
        first = self.chain.parts[:1]
        rest = self.chain.parts[1:] if first and isinstance(first[0], Affine) else self.chain.parts
        line = first[0] if first and isinstance(first[0], Affine) else Chain().line
        assert line is not None
        if (line.factor == 1).all() and self._absorb(line.offset):
            self.chain = Chain(rest)
            if (
                len(rest) == 1
                and isinstance(limit := rest[0], Clip)
                and limit.low == 0
                and limit.high is None
            ):
                self._append(ReLU(self.name(f"{self.layers[-1].name}_relu")))
                self.low, self.high = np.maximum(self.low, 0), np.maximum(self.high, 0)
                self.chain = Chain()

    def _settled(self) -> Affine:
        """The chain as one map with the same factor for all channels."""
        if self.fixed is None:
            raise UnsupportedLayerError(
                "takes an input that is not quantised; the file has no Quant node there, so say the format "
                "of its input (input_format), such as 5.10: 5 integer and 10 fraction bits beside the sign"
            )
        self.finish()
        line = self.chain.line
        if line is None or not (line.factor == line.factor.reshape(-1)[0]).all():
            raise UnsupportedLayerError("takes values that are not quantised; put a Quant node before it")
        return line

    def _carried(
        self, offset: Exact, layer: Conv | Dense, codes: IntArray, scale: Exact, padded: bool
    ) -> Exact:
        """What a constant in the input adds to each sum."""
        if not (offset != 0).any():
            return np.asarray(Fraction(0), object)
        if padded:
            raise UnsupportedLayerError("pads with zeros an input whose zero is no code of its quantiser")
        inputs = codes.reshape(-1, codes.shape[-2], layer.units).sum(axis=0).astype(object)
        if isinstance(layer, Conv) and layer.groups > 1:
            if offset.ndim and not (offset == offset[0]).all():
                raise UnsupportedLayerError("takes groups of channels with different constants")
            offset = np.asarray(offset.reshape(-1)[0], object)
        along = np.broadcast_to(offset, inputs.shape[:1]) if offset.ndim else offset
        sums = (inputs * (along[:, None] if along.ndim else along)).sum(axis=0)
        return np.asarray(sums * scale, object)

    def _reach_of_sums(self, layer: Conv | Dense, codes: IntArray, padded: bool) -> None:
        low, high = (self.low, self.high)
        if padded:
            low, high = np.minimum(low, 0), np.maximum(high, 0)
        flat = codes.reshape(-1, codes.shape[-2], layer.units)
        positive, negative = np.maximum(flat, 0).sum(axis=0), np.minimum(flat, 0).sum(axis=0)
        if isinstance(layer, Conv) and layer.groups > 1:
            each = layer.units // layer.groups
            low, high = (np.repeat(ends.reshape(layer.groups, -1).T, each, axis=1) for ends in (low, high))
        else:
            low, high = low[:, None], high[:, None]
        self.low = (positive * low + negative * high).sum(axis=0)
        self.high = (positive * high + negative * low).sum(axis=0)

    def _keeps(self, quantiser: Quantiser) -> bool:
        """Whether rounding changes no value there is."""
        line = self.chain.line
        if line is None or quantiser.zero_point or quantiser.bipolar or (line.offset != 0).any():
            return False
        same = (line.factor * self.unit == quantiser.scale).all()
        return bool(same and self.low.min() >= quantiser.lowest and self.high.max() <= quantiser.highest)

    def _rectify(self, name: str, quantiser: Quantiser) -> bool:
        """Append a ``ReLU`` if one rounds as ``quantiser`` does; whether it was."""
        output = _rectifier_format(quantiser)
        parts = list(self.chain.parts)
        line = parts.pop(0) if parts and isinstance(parts[0], Affine) else Chain().line
        if output is None or not isinstance(line, Affine) or not (line.factor == 1).all():
            return False
        top = output.maximum * unit(output)
        if any(isinstance(part, Affine) or not _no_narrower(part, top) for part in parts):
            return False
        assert self.fixed is not None
        bias = np.asarray(line.offset / self.unit, object).reshape(-1)
        whole = np.array([value.denominator == 1 for value in bias])
        dropped = self.fixed.fraction_bits - output.fraction_bits
        if dropped < 0 and not whole.all():
            return False
        rounding = output.rounding
        if dropped <= 0:
            if not whole.all():
                return False
            rounding = "half_up"
        elif rounding == "half_even" and not whole.any():
            rounding = "half_up"
        elif rounding == "half_even" and not whole.all():
            return False
        floor = np.array([value.__floor__() for value in bias], object)
        if not self._absorb(floor.reshape(np.shape(line.offset)) * self.unit):
            return False
        self._append(
            ReLU(name, FixedPoint(output.integer_bits, output.fraction_bits, signed=False, rounding=rounding))
        )
        self.fixed = self.layers[-1].output  # type: ignore[attr-defined]
        self._reach(0, output.maximum)
        self.chain = Chain()
        return True

    def _threshold(self, name: str, quantiser: Quantiser) -> None:
        count = (quantiser.highest - quantiser.lowest) // quantiser.step
        if count >= MAX_LEVELS:
            raise UnsupportedLayerError(
                f"has {count + 1} codes, and a scale, normalisation or sign that needs thresholds, of which "
                f"{MAX_LEVELS - 1} are taken at most; use fewer bits"
            )
        assert self.fixed is not None
        steps = self.chain.steps(quantiser, self.unit, self.low.tolist(), self.high.tolist())
        first = quantiser.lowest - quantiser.zero_point
        last = quantiser.highest - quantiser.zero_point
        scale = quantiser.scale
        fraction = power_of_two(scale.item()) if not scale.ndim else None
        output = code_format(quantiser, fraction or 0)
        held = narrowest(steps.thresholds, self.fixed.fraction_bits)
        self._append(Thresholds(name, output, held, count, first, quantiser.step))
        self.weights[f"{name}.thresholds"], self.weights[f"{name}.sign"] = steps.thresholds, steps.sign
        self.exact[name] = steps.exact
        self.fixed = output
        self._reach(first, last)
        self.chain = Chain().affine(scale / unit(output))

    def _absorb(self, offset: Exact) -> bool:
        """Make a constant the bias of the last layer with weights, if it is a whole number of units."""
        codes = np.asarray(offset / self.unit, object).reshape(-1)
        if any(value.denominator != 1 for value in codes):
            return False
        if not (codes != 0).any():
            return True
        if self.open is None:
            return False
        layer = self.layers[self.open]
        assert isinstance(layer, Conv | Dense)
        whole = np.broadcast_to(codes, (self.channels,)) if codes.size == 1 else codes
        rows = whole.reshape(-1, layer.units)
        if (rows != rows[0]).any() or max(abs(int(value)) for value in rows[0]).bit_length() > _MAX_BIAS_BITS:
            return False
        assert self.fixed is not None
        bias = np.array([int(value) for value in rows[0]], np.int64)
        assert layer.weight is not None
        held, shifted = self._bias_format(bias, self.fixed.fraction_bits, layer.weight)
        fitted = type(layer)(**{**_fields(layer), "bias": held})
        before = self._formats_before(self.open)
        self.layers[self.open] = fitted
        self.weights[f"{layer.name}.bias"] = shifted
        self.fixed = Network(before[0], (fitted,), before[1]).formats[-1]
        repeated = np.tile(bias, self.channels // layer.units)
        self.low, self.high = self.low + repeated, self.high + repeated
        self.open = None
        return True

    def _bias_format(self, bias: IntArray, fraction: int, weight: FixedPoint) -> tuple[FixedPoint, IntArray]:
        """The first of these formats that holds the bias: the file's, the weights', the narrowest."""
        given = self.bias_quantiser
        if given is not None and (given.scale == given.scale.flat[0]).all():
            bits = power_of_two(Fraction(float(given.scale.flat[0])))
            codes = given.codes.ravel()
            if bits is not None and bits <= fraction and np.array_equal(codes << (fraction - bits), bias):
                return code_format(given.quantiser, bits), codes
        coarser = fraction - weight.fraction_bits
        if coarser >= 0 and np.array_equal(bias >> coarser << coarser, bias):
            codes = bias >> coarser
            if weight.minimum <= codes.min() and codes.max() <= weight.maximum:
                return weight, codes
        together = int(np.bitwise_or.reduce(np.abs(bias)))
        zeros = (together & -together).bit_length() - 1
        return narrowest(bias >> zeros, fraction - zeros), bias >> zeros

    def _formats_before(self, index: int) -> tuple[Shape, FixedPoint | None]:
        part = Network(self.input_shape, tuple(self.layers[:index]), self.input_format)
        return part.output_shape, part.formats[-1]

    def _append(self, layer: Layer) -> None:
        self._before = self.shape
        self.shape = layer.output_shape(self.shape)
        if np.prod(self.shape, dtype=object) > _MAX_VALUES:
            raise UnsupportedLayerError(f"makes {self.shape} values, which is too large")
        self.layers.append(layer)

    def _reach(self, low: int, high: int) -> None:
        self.low, self.high = np.full(self.channels, low, np.int64), np.full(self.channels, high, np.int64)


def unit(fixed: FixedPoint) -> Fraction:
    """Value of one least significant bit."""
    return Fraction(2) ** -fixed.fraction_bits


def narrowest(codes: IntArray, fraction_bits: int) -> FixedPoint:
    """The signed format with the fewest bits that holds these codes."""
    lowest, highest = int(codes.min(initial=0)), int(codes.max(initial=0))
    bits = 1 + max(highest.bit_length(), (-lowest - 1).bit_length() if lowest < 0 else 0)
    return FixedPoint(bits - 1 - fraction_bits, fraction_bits)


def code_format(quantiser: Quantiser, fraction_bits: int) -> FixedPoint:
    """Format of ``code - zero_point``: the declared one, or where that is none, the narrowest."""
    if quantiser.bipolar:
        return FixedPoint(1 - fraction_bits, fraction_bits)
    if quantiser.zero_point:
        ends = np.array([quantiser.lowest, quantiser.highest]) - quantiser.zero_point
        return narrowest(ends, fraction_bits)
    return FixedPoint(
        quantiser.width - quantiser.signed - fraction_bits, fraction_bits, signed=quantiser.signed
    )


def _rectifier_format(quantiser: Quantiser) -> FixedPoint | None:
    """Format, with its rounding, of the ``ReLU`` with the codes of ``quantiser``; None if there is none."""
    fraction = power_of_two(quantiser.scale.item()) if not quantiser.scale.ndim else None
    roundings: Mapping[str, Any] = {
        "ROUND": "half_even",
        "HALF_EVEN": "half_even",
        "HALF_UP": "half_up",
        "FLOOR": "truncate",
        "DOWN": "truncate",
    }
    full = (quantiser.lowest, quantiser.highest) == (0, (1 << quantiser.width) - 1)
    if fraction is None or quantiser.zero_point or not full or quantiser.rounding not in roundings:
        return None
    return FixedPoint(
        quantiser.width - fraction, fraction, signed=False, rounding=roundings[quantiser.rounding]
    )


def _no_narrower(limit: Clip, top: Fraction) -> bool:
    return (limit.low is None or limit.low <= 0) and (limit.high is None or limit.high >= top)


def _fields(layer: Conv | Dense) -> dict[str, Any]:
    return {name: getattr(layer, name) for name in type(layer).__dataclass_fields__}
