"""Fixed-point number formats: a value is an integer and a known shift."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from codesign.errors import NetworkError

__all__ = ["FixedPoint", "IntArray"]

IntArray = NDArray[np.int64]
Rounding = Literal["half_even", "half_up", "truncate"]
Overflow = Literal["saturate", "wrap"]
MAX_WIDTH = 48


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """A fixed-point number format.

    Parameters
    ----------
    integer_bits
        Bits left of the binary point, without the sign bit. Negative where the range is below 1.
    fraction_bits
        Bits right of the binary point. Negative drops low integer bits.
    signed
        Whether one more bit holds the sign (two's complement).
    rounding
        What happens to values between two codes: ``half_even``, ``half_up`` (towards plus infinity)
        or ``truncate`` (towards minus infinity).
    overflow
        What happens outside the range: ``saturate`` or ``wrap`` (modulo ``2**width``).

    Raises
    ------
    NetworkError
        For less than 1 or more than 48 bits, or an unknown rounding or overflow.

    Examples
    --------
    >>> weight = FixedPoint(integer_bits=0, fraction_bits=5)
    >>> weight.width, weight.minimum, weight.maximum
    (6, -32, 31)
    >>> weight.quantise([0.5, 7.0])
    array([16, 31])
    """

    integer_bits: int
    fraction_bits: int
    signed: bool = True
    rounding: Rounding = "half_even"
    overflow: Overflow = "saturate"

    def __post_init__(self) -> None:
        """Reject a format with no bits, too many bits, or an unknown rule."""
        if not 1 <= self.width <= MAX_WIDTH:
            raise NetworkError(f"a format has 1 to {MAX_WIDTH} bits, got {self.width} from {self}")
        if self.rounding not in get_args(Rounding):
            raise NetworkError(f"rounding is one of {get_args(Rounding)}, got {self.rounding!r}")
        if self.overflow not in get_args(Overflow):
            raise NetworkError(f"overflow is one of {get_args(Overflow)}, got {self.overflow!r}")

    @property
    def width(self) -> int:
        """Total bits, sign included."""
        return self.signed + self.integer_bits + self.fraction_bits

    @property
    def scale(self) -> float:
        """Value of one least significant bit, a power of two."""
        return float(2.0**-self.fraction_bits)

    @property
    def minimum(self) -> int:
        """Smallest code."""
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def maximum(self) -> int:
        """Largest code."""
        return (1 << (self.width - self.signed)) - 1

    def quantise(self, values: ArrayLike) -> IntArray:
        """Codes of real values, any shape, by the rounding and overflow of this format."""
        scaled = np.ldexp(np.asarray(values, dtype=np.float64), self.fraction_bits)
        if self.rounding == "half_even":
            rounded = np.rint(scaled)
        elif self.rounding == "half_up":
            rounded = np.floor(scaled) + (scaled - np.floor(scaled) >= 0.5)
        else:
            rounded = np.floor(scaled)
        return self._fit(rounded)

    def requantise(self, codes: IntArray, fraction_bits: int) -> IntArray:
        """Codes in this format of codes that have ``fraction_bits``; integers throughout."""
        shift = fraction_bits - self.fraction_bits
        if shift <= 0:
            return self._fit(codes << -shift)
        floor = codes >> shift
        remainder = codes - (floor << shift)
        half = 1 << (shift - 1)
        if self.rounding == "half_up":
            floor = floor + (remainder >= half)
        elif self.rounding == "half_even":
            floor = floor + ((remainder > half) | ((remainder == half) & (floor & 1 == 1)))
        return self._fit(floor)

    def dequantise(self, codes: IntArray) -> NDArray[np.float64]:
        """Real values of codes."""
        return np.ldexp(codes.astype(np.float64), -self.fraction_bits)

    def _fit(self, codes: IntArray | NDArray[np.float64]) -> IntArray:
        """Saturate or wrap integers (of any dtype) into the range."""
        if self.overflow == "saturate":
            return np.clip(codes, self.minimum, self.maximum).astype(np.int64)
        mask = (1 << self.width) - 1
        wrapped = ((codes.astype(np.int64) - self.minimum) & mask) + self.minimum
        return wrapped.astype(np.int64)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of ``to_dict``."""
        try:
            return cls(**data)
        except TypeError as error:
            raise NetworkError(f"not a fixed-point format: {dict(data)} ({error})") from error
