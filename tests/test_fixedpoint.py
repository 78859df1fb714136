"""Laws of fixed-point formats, over all formats up to 20 bits."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.errors import NetworkError
from codesign.fixedpoint import FixedPoint


@st.composite
def formats(draw: st.DrawFn, rounding: str | None = None, overflow: str | None = None) -> FixedPoint:
    signed = draw(st.booleans())
    width = draw(st.integers(1, 20))
    fraction = draw(st.integers(-4, 20))
    return FixedPoint(
        width - signed - fraction,
        fraction,
        signed,
        rounding or draw(st.sampled_from(["half_even", "half_up", "truncate"])),  # type: ignore[arg-type]
        overflow or draw(st.sampled_from(["saturate", "wrap"])),  # type: ignore[arg-type]
    )


def exactly(value: Fraction, fixed: FixedPoint) -> int:
    """The code of a value by exact arithmetic: an implementation that shares nothing with the real one."""
    scaled = value * Fraction(2) ** fixed.fraction_bits
    floor = scaled.numerator // scaled.denominator
    rest = scaled - floor
    if fixed.rounding == "half_up":
        code = floor + (rest >= Fraction(1, 2))
    elif fixed.rounding == "half_even":
        code = round(scaled)
    else:
        code = floor
    low, high = fixed.minimum, fixed.maximum
    if fixed.overflow == "saturate":
        return min(max(code, low), high)
    return (code - low) % (high - low + 1) + low


@given(formats())
def test_every_code_survives_dequantise_and_quantise(fixed: FixedPoint) -> None:
    codes = np.unique(np.linspace(fixed.minimum, fixed.maximum, 99).astype(np.int64))
    assert np.array_equal(fixed.quantise(fixed.dequantise(codes)), codes)


@given(formats(), st.lists(st.integers(-(2**26), 2**26), min_size=1, max_size=20), st.integers(-2, 24))
def test_quantise_is_exact_arithmetic(fixed: FixedPoint, numerators: list[int], bits: int) -> None:
    values = [Fraction(n) / Fraction(2) ** bits for n in numerators]
    codes = fixed.quantise([float(v) for v in values])
    assert codes.tolist() == [exactly(v, fixed) for v in values]


@given(formats(), st.lists(st.integers(-(2**26), 2**26), min_size=1, max_size=20), st.integers(-2, 24))
def test_requantise_is_quantise_of_the_real_value(fixed: FixedPoint, codes: list[int], bits: int) -> None:
    array = np.array(codes, dtype=np.int64)
    assert np.array_equal(fixed.requantise(array, bits), fixed.quantise(np.ldexp(array.astype(float), -bits)))


@given(formats(rounding="half_up", overflow="saturate"))
def test_half_up_sends_ties_up(fixed: FixedPoint) -> None:
    codes = np.arange(max(fixed.minimum, -40), min(fixed.maximum, 40))
    assert np.array_equal(fixed.quantise(fixed.dequantise(codes) + fixed.scale / 2), codes + 1)


@given(formats(rounding="half_even", overflow="saturate"))
def test_half_even_sends_ties_to_even_codes(fixed: FixedPoint) -> None:
    codes = np.arange(max(fixed.minimum, -40), min(fixed.maximum, 40))
    assert not (fixed.quantise(fixed.dequantise(codes) + fixed.scale / 2) % 2).any()


@given(formats(overflow="saturate"), st.floats(-1e9, 1e9))
def test_saturation_stays_in_range_and_keeps_order(fixed: FixedPoint, value: float) -> None:
    low, middle, high = fixed.quantise([-1e12, value, 1e12])
    assert (low, high) == (fixed.minimum, fixed.maximum)
    assert low <= middle <= high


def test_wrapping_is_modular() -> None:
    fixed = FixedPoint(3, 0, overflow="wrap")
    assert fixed.quantise([7, 8, 9, -9]).tolist() == [7, -8, -7, 7]


@given(formats())
def test_dict_round_trip(fixed: FixedPoint) -> None:
    assert FixedPoint.from_dict(fixed.to_dict()) == fixed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"integer_bits": -1, "fraction_bits": 0}, "1 to 48 bits, got 0"),
        ({"integer_bits": 40, "fraction_bits": 8}, "1 to 48 bits, got 49"),
        ({"integer_bits": 1, "fraction_bits": 1, "rounding": "up"}, "rounding is one of .*'half_up'.*'up'"),
        ({"integer_bits": 1, "fraction_bits": 1, "overflow": "clip"}, "overflow is one of .*'wrap'.*'clip'"),
        ({"integer_bits": 1}, "not a fixed-point format"),
    ],
)
def test_what_is_no_format_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        FixedPoint.from_dict(arguments)
