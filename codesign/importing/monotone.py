"""What a graph does to an integer before it is rounded again, exactly.

Between an accumulator and the next ``Quant`` node a graph adds, scales, normalises and clips: per channel, a
monotone function. It is kept as fractions, so that the integer at which a rounded code changes is found
exactly, whatever the scales (Umuroglu et al., FINN, arXiv:1612.07119, section 4.2.2).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from codesign.errors import UnsupportedLayerError
from codesign.fixedpoint import IntArray

__all__ = ["MAX_LEVELS", "Affine", "Chain", "Clip", "Quantiser", "Steps", "fractions", "power_of_two"]

MAX_LEVELS: Final = 1 << 12
"""Codes of a quantiser that becomes thresholds."""

Exact = NDArray[np.object_]
"""Fractions, shape ``(channels,)`` or ``()`` for the same in all channels."""
FloatArray = NDArray[np.float64]


def fractions(values: NDArray[Any] | float) -> Exact:
    """The exact values of floats; ``ValueError`` for one that is not finite."""
    array = np.asarray(values, np.float64)
    if not np.isfinite(array).all():
        raise ValueError("a constant is not finite")
    exact = np.empty(array.shape, object)
    for position in np.ndindex(array.shape):
        exact[position] = Fraction(float(array[position]))
    return exact


def power_of_two(scale: Fraction) -> int | None:
    """``f`` where ``scale`` is ``2**-f``; None where it is no power of two."""
    numerator, denominator = scale.numerator, scale.denominator
    if numerator < 1 or numerator & (numerator - 1) or denominator & (denominator - 1):
        return None
    return denominator.bit_length() - numerator.bit_length()


@dataclass(frozen=True, eq=False)
class Affine:
    """``factor * x + offset``."""

    factor: Exact
    offset: Exact


@dataclass(frozen=True, eq=False)
class Clip:
    """``min(max(x, low), high)``; None where there is no limit."""

    low: Fraction | None
    high: Fraction | None


@dataclass(frozen=True)
class Quantiser:
    """What a ``Quant`` or ``BipolarQuant`` node does: ``scale * (code - zero_point)``.

    ``code`` is ``x / scale + zero_point``, rounded by ``rounding`` and limited to ``lowest`` and ``highest``.
    A bipolar one has the codes -1 and 1, and 1 for all that is not negative.
    """

    scale: Exact
    zero_point: int
    lowest: int
    highest: int
    signed: bool
    width: int
    rounding: str
    bipolar: bool = False

    @property
    def step(self) -> int:
        """Distance of two codes."""
        return 2 if self.bipolar else 1

    def boundary(self, code: int) -> tuple[Fraction, bool]:
        """Where ``code``, not the one below, begins, in units of the scale, and whether that point is in it.

        The rounding modes are those of QONNX's ``Quant`` node.
        """
        if self.bipolar:
            return Fraction(0), True
        half = code - Fraction(1, 2)
        whole = Fraction(code)
        positive = code > 0
        match self.rounding:
            case "ROUND" | "HALF_EVEN":
                return half, code % 2 == 0
            case "FLOOR":
                return whole, True
            case "CEIL":
                return whole - 1, False
            case "UP":
                return (whole - 1, False) if positive else (whole, True)
            case "DOWN":
                return (whole, True) if positive else (whole - 1, False)
            case "HALF_UP":
                return half, positive
            case "HALF_DOWN":
                return half, not positive
        raise UnsupportedLayerError(f"has the rounding mode {self.rounding!r}, which is none of QONNX")


@dataclass(frozen=True, eq=False)
class Steps:
    """A quantised chain: ``sign * x`` reaches threshold ``k`` where it is at least ``thresholds[:, k]``.

    ``exact`` are the same thresholds before they were rounded up to integers; infinite where one is always or
    never reached.
    """

    thresholds: IntArray
    exact: FloatArray
    sign: IntArray


@dataclass(frozen=True, eq=False)
class Chain:
    """Affine maps and limits, one after another, of one value a channel."""

    parts: tuple[Affine | Clip, ...] = field(default=())

    def affine(self, factor: Exact | Fraction | int, offset: Exact | Fraction | int = 0) -> "Chain":
        """The chain, then ``factor * x + offset``."""
        by, add = np.asarray(factor, object), np.asarray(offset, object)
        if self.parts and isinstance(last := self.parts[-1], Affine):
            merged = Affine(np.asarray(last.factor * by, object), np.asarray(last.offset * by + add, object))
            return Chain((*self.parts[:-1], merged))
        return Chain((*self.parts, Affine(by, add)))

    def clip(self, low: Fraction | None, high: Fraction | None) -> "Chain":
        """The chain, then limits."""
        return Chain((*self.parts, Clip(low, high)))

    def tiled(self, pixels: int) -> "Chain":
        """The chain of a flattened image of so many pixels."""
        return Chain(
            tuple(
                Affine(_tiled(part.factor, pixels), _tiled(part.offset, pixels))
                if isinstance(part, Affine)
                else part
                for part in self.parts
            )
        )

    @property
    def line(self) -> Affine | None:
        """The one affine map that this is; None where there are limits too."""
        if not self.parts:
            return Affine(np.asarray(Fraction(1), object), np.asarray(Fraction(0), object))
        if len(self.parts) == 1 and isinstance(only := self.parts[0], Affine):
            return only
        return None

    def increasing(self) -> bool:
        """Whether no channel falls."""
        return all((part.factor >= 0).all() for part in self.parts if isinstance(part, Affine))

    def real(self, values: NDArray[Any]) -> FloatArray:
        """The chain of values of shape ``(..., channels)``, in float64."""
        out = np.asarray(values, np.float64)
        for part in self.parts:
            if isinstance(part, Affine):
                out = out * part.factor.astype(np.float64) + part.offset.astype(np.float64)
            else:
                out = np.clip(
                    out,
                    -np.inf if part.low is None else float(part.low),
                    np.inf if part.high is None else float(part.high),
                )
        return out

    def steps(self, quantiser: Quantiser, unit: Fraction, low: Sequence[int], high: Sequence[int]) -> Steps:
        """Thresholds of the quantised chain over the integers ``low`` to ``high`` times ``unit``.

        Parameters
        ----------
        quantiser
            What rounds the chain.
        unit
            Value of one step of the integers.
        low, high
            Reach of the integer, one a channel; a threshold outside it is put just outside.
        """
        bounds = self._bounds(quantiser, len(low))
        shape = (len(low), (quantiser.highest - quantiser.lowest) // quantiser.step)
        thresholds, exact, sign = np.empty(shape, np.int64), np.empty(shape), np.ones(shape[0], np.int64)
        for channel, (sign[channel], row) in enumerate(bounds):
            floor, ceiling = sorted((int(sign[channel] * low[channel]), int(sign[channel] * high[channel])))
            for position, bound in enumerate(row):
                exact[channel, position] = math.inf * bound.never if bound.at is None else bound.at / unit
                integer = bound.first_integer(unit, floor, ceiling + 1)
                thresholds[channel, position] = min(max(integer, floor), ceiling + 1)
        return Steps(thresholds, exact, sign)

    def float_steps(self, quantiser: Quantiser, channels: int) -> tuple[NDArray[np.float32], IntArray]:
        """Thresholds and signs as ``steps``, for values that are 32-bit floats.

        Returns
        -------
        thresholds
            Shape ``(channels, count)``, or ``(1, count)`` where all channels have the same.
        sign
            Shape ``(channels,)`` or ``(1,)``.
        """
        bounds = self._bounds(quantiser, channels)
        if all(row is bounds[0][1] for _, row in bounds):
            bounds = bounds[:1]
        rows = [[bound.first_float() for bound in row] for _, row in bounds]
        return np.array(rows, np.float32), np.array([sign for sign, _ in bounds], np.int64)

    def _bounds(self, quantiser: Quantiser, channels: int) -> list[tuple[int, list["_Bound"]]]:
        """For each channel its sign, and where each code but the lowest begins."""
        parts = self.affine(1 / quantiser.scale, Fraction(quantiser.zero_point)).parts
        raw = range(quantiser.lowest + quantiser.step, quantiser.highest + 1, quantiser.step)
        begins = [quantiser.boundary(code) for code in raw]
        found: list[tuple[int, list[_Bound]]] = []
        for channel in range(channels):
            here = [_at(part, channel) for part in parts]
            if channel and here == [_at(part, channel - 1) for part in parts]:
                found.append(found[-1])
            else:
                sign = -1 if _falls(here) else 1
                found.append((sign, [_pull_back(here, at, inside) for at, inside in begins]))
        return found


@dataclass(frozen=True, slots=True)
class _Bound:
    """The values, or negated values, from ``at`` on, itself too if ``inside``; where None, all or none."""

    at: Fraction | None
    inside: bool

    @property
    def never(self) -> int:
        """1 for none, -1 for all, where ``at`` is None."""
        return -1 if self.inside else 1

    def first_integer(self, unit: Fraction, lowest: int, highest: int) -> int:
        if self.at is None:
            return lowest if self.inside else highest
        at = self.at / unit
        return math.ceil(at) if self.inside else math.floor(at) + 1

    def first_float(self) -> np.float32:
        if self.at is None:
            return np.float32(self.never * np.inf)
        near = np.float32(float(self.at))
        while np.isfinite(near) and _reaches(Fraction(float(near)), self.at, True, self.inside):
            near = np.nextafter(near, np.float32(-np.inf))
        while np.isfinite(near) and not _reaches(Fraction(float(near)), self.at, True, self.inside):
            near = np.nextafter(near, np.float32(np.inf))
        return near


_Scalar = tuple[Fraction, Fraction] | Clip


def _tiled(values: Exact, pixels: int) -> Exact:
    return np.tile(values, pixels) if values.ndim else values


def _at(part: Affine | Clip, channel: int) -> _Scalar:
    if isinstance(part, Clip):
        return part
    factor, offset = part.factor, part.offset
    return (
        factor[channel] if factor.ndim else factor.item(),
        offset[channel] if offset.ndim else offset.item(),
    )


def _falls(parts: Sequence[_Scalar]) -> bool:
    return sum(not isinstance(part, Clip) and part[0] < 0 for part in parts) % 2 == 1


def _pull_back(parts: Sequence[_Scalar], at: Fraction, inside: bool) -> _Bound:
    """Which inputs of the chain bring it to ``at``; of a falling one, which negated inputs."""
    always, never = _Bound(None, True), _Bound(None, False)
    rising = True
    for part in reversed(parts):
        if isinstance(part, Clip):
            best, worst = (part.high, part.low) if rising else (part.low, part.high)
            if best is not None and not _reaches(best, at, rising, inside):
                return never
            if worst is not None and _reaches(worst, at, rising, inside):
                return always
        elif part[0] == 0:
            return always if _reaches(part[1], at, rising, inside) else never
        else:
            factor, offset = part
            at, rising = (at - offset) / factor, rising == (factor > 0)
    return _Bound(at if rising else -at, inside)


def _reaches(value: Fraction, at: Fraction, rising: bool, inside: bool) -> bool:
    return (value > at if rising else value < at) or (value == at and inside)
