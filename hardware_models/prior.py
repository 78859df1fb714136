"""What constant multipliers cost before the weights are known: a law for weights drawn as trained ones are.

Trained weights of a layer are nearly Gaussian. Their deviation, relative to the largest weight of the format,
is that of their start (Glorot and Bengio, AISTATS 2010) and of what training adds. The digits of a Gaussian
that is rounded into the format follow exactly; how many additions remain once terms are shared, and how wide
they are, is a law whose coefficients stand in ``prior.toml``. ``python -m hardware_models.prior --out FILE``
draws matrices, counts their adders, and fits the law anew. No synthesised design enters.
"""

import argparse
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hardware_models.adders import adders, digits
from hardware_models.tables import numbers, table

__all__ = ["Expected", "Prior", "expected", "load_prior", "main", "spread"]

FloatArray = NDArray[np.float64]
WIDEST: Final = 16
SPREADS: Final = np.geomspace(0.01, 2.0, 80)
"""Deviations, relative to the largest weight, at which tables are kept."""

UNITS: Final[dict[str, str]] = {
    "trained_spread": "of full scale",
    "shared": "1",
    "shared_terms": "1",
    "shared_units": "1",
    "full_width": "bit",
    "full_terms": "bit",
    "full_weight": "1",
    "half_width": "bit",
    "half_terms": "bit",
    "half_weight": "1",
    "depth": "1",
    "depth_terms": "1",
}


@dataclass(frozen=True, slots=True)
class Prior:
    """Coefficients of the law.

    Parameters
    ----------
    trained_spread
        Deviation of weights that training adds, relative to full scale.
    shared, shared_terms, shared_units
        Additions that remain: ``exp(shared) * terms**shared_terms * units**shared_units`` of those without
        sharing, where ``terms`` are the digits in a sum.
    full_width, full_terms, full_weight
        Full adders of an addition: input bits and ``full_width + full_terms * log2(taps) + full_weight * w``.
    half_width, half_terms, half_weight
        Half adders of an addition, in the same way, without the input bits.
    depth, depth_terms
        Additions on the longest path: ``depth + depth_terms * log2(1 + terms)``.
    """

    trained_spread: float
    shared: float
    shared_terms: float
    shared_units: float
    full_width: float
    full_terms: float
    full_weight: float
    half_width: float
    half_terms: float
    half_weight: float
    depth: float
    depth_terms: float


@dataclass(frozen=True, slots=True)
class Expected:
    """Adders to be expected of products with constant matrices; arrays of one shape.

    ``full`` and ``half`` adders, ``depth`` additions on the longest path, ``sum_bits``, the width of a sum by
    the range that its weights allow, and ``zero``, the share of weights that are 0.
    """

    full: FloatArray
    half: FloatArray
    depth: FloatArray
    sum_bits: FloatArray
    zero: FloatArray


@cache
def load_prior() -> Prior:
    """The law of ``prior.toml``."""
    return parse_prior(files("hardware_models").joinpath("prior.toml").read_text(encoding="utf-8"))


def parse_prior(text: str) -> Prior:
    """The law of a table's text; raise ``ConfigError`` for one that lacks a number or has a wrong unit."""
    return Prior(**numbers(text, UNITS, "the prior"))


def spread(prior: Prior, fan_in: NDArray[Any], units: NDArray[Any]) -> FloatArray:
    """Deviation of trained weights, relative to full scale: start ``2 / (fan_in + units)``, and training."""
    variance: FloatArray = 2.0 / np.maximum(fan_in + units, 1) + prior.trained_spread**2
    return np.sqrt(variance)


def expected(
    prior: Prior,
    taps: FloatArray,
    fan_in: FloatArray,
    units: FloatArray,
    weight_bits: NDArray[np.int64],
    input_bits: FloatArray,
) -> Expected:
    """Adders of matrices ``(taps, units)`` whose weights are not known.

    Parameters
    ----------
    prior
        The law.
    taps, fan_in
        Products in a sum: on the image, on average, and in the kernel, which the weights are spread by.
    units
        Sums.
    weight_bits, input_bits
        Widths; all arrays have one shape.
    """
    per_weight, zero, size = _statistics(spread(prior, fan_in, units), weight_bits)
    terms = taps * per_weight
    plain = np.maximum(units * (terms - (1 - zero**taps)), 0)
    with np.errstate(divide="ignore"):
        share = (
            np.exp(prior.shared)
            * np.maximum(terms, 1) ** prior.shared_terms
            * np.maximum(units, 1) ** prior.shared_units
        )
    count = plain * np.minimum(share, 1)
    doublings = np.log2(np.maximum(taps, 1))
    full = input_bits + prior.full_width + prior.full_terms * doublings + prior.full_weight * weight_bits
    half = prior.half_width + prior.half_terms * doublings + prior.half_weight * weight_bits
    return Expected(
        full=count * np.maximum(full, 1),
        half=count * np.maximum(half, 0),
        depth=np.maximum(prior.depth + prior.depth_terms * np.log2(1 + terms), 0) * (taps > 0),
        sum_bits=np.where(taps > 0, input_bits + np.log2(np.maximum(taps * size / 2, 1)) + 1, 0),
        zero=zero,
    )


@cache
def _tables() -> tuple[FloatArray, FloatArray, FloatArray]:
    """Of a Gaussian rounded into ``w`` bits, by width and ``SPREADS``: digits, share of zeros, mean size."""
    tables = np.zeros((3, WIDEST + 1, len(SPREADS)))
    for width in range(1, WIDEST + 1):
        codes = np.arange(-(1 << (width - 1)), 1 << (width - 1))
        scaled = SPREADS[:, None] * (1 << (width - 1)) * math.sqrt(2)
        edges = np.vectorize(math.erf)((codes[1:] - 0.5) / scaled) / 2 + 0.5
        ends = np.ones((len(SPREADS), 1))
        shares = np.diff(np.hstack([0 * ends, edges, ends]), axis=1)
        tables[:, width] = (
            shares @ (digits(codes) != 0).sum(axis=-1),
            shares @ (codes == 0),
            shares @ np.abs(codes),
        )
    digit, zero, size = tables
    return digit, zero, size


def _statistics(
    deviation: FloatArray, weight_bits: NDArray[np.int64]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Digits of a weight, share of zeros and mean size: the tables, between their columns a straight line."""
    step = math.log(SPREADS[1] / SPREADS[0])
    place = np.clip(np.log(deviation / SPREADS[0]) / step, 0, len(SPREADS) - 1.001)
    column = place.astype(np.int64)
    rest = place - column
    width = np.clip(weight_bits, 0, WIDEST)
    found = [table[width, column] * (1 - rest) + table[width, column + 1] * rest for table in _tables()]
    return found[0], found[1], found[2]


@dataclass(frozen=True, slots=True)
class _Draw:
    taps: int
    units: int
    weight_bits: int
    input_bits: int
    full: int
    half: int
    count: int
    depth: int


def _draws(trained_spread: float, number: int, rng: np.random.Generator) -> Iterator[_Draw]:
    """Adders of random matrices of the sizes that small networks have."""
    made = 0
    while made < number:
        taps = round(2 ** rng.uniform(1, 8))
        units, width, bits = 2 ** int(rng.integers(1, 7)), int(rng.integers(3, 9)), int(rng.integers(3, 11))
        if taps * units * width > 20_000:
            continue
        full_scale = 1 << (width - 1)
        deviation = math.sqrt(2 / (taps + units) + trained_spread**2) * full_scale
        codes = np.clip(np.rint(rng.normal(0, deviation, (taps, units))), -full_scale, full_scale - 1)
        ends = np.zeros(taps, np.int64), np.full(taps, (1 << bits) - 1)
        found = adders(codes.astype(np.int64), *ends)
        if found.count > units:
            made += 1
            yield _Draw(taps, units, width, bits, found.bits, found.carries, found.count, found.depth)


def fit(trained_spread: float, number: int, rng: np.random.Generator) -> Prior:
    """The law that fits random matrices best: relative errors of counts, widths in bits."""
    drawn = list(_draws(trained_spread, number, rng))
    column = {item.name: np.array([getattr(each, item.name) for each in drawn]) for item in fields(_Draw)}
    taps, units, width = (column[name] for name in ("taps", "units", "weight_bits"))
    start = np.sqrt(2 / (taps + units) + trained_spread**2)
    per_weight, zero, _ = _statistics(start, width)
    terms = taps * per_weight
    plain = units * (terms - (1 - zero**taps))
    ones, count, weight = np.ones(len(drawn)), column["count"], np.sqrt(column["count"])
    sharing = _solved(np.log(count / plain), [ones, np.log(terms), np.log(units)], weight)
    sizes = [ones, np.log2(taps), width]
    full = _solved(column["full"] / count - column["input_bits"], sizes, weight)
    half = _solved(column["half"] / count, sizes, weight)
    depth = _solved(column["depth"], [ones, np.log2(1 + terms)], ones)
    return Prior(trained_spread, *sharing, *full, *half, *depth)


def _solved(values: NDArray[Any], columns: list[NDArray[Any]], weight: NDArray[Any]) -> list[float]:
    matrix = np.stack(columns, axis=1) * weight[:, None]
    solution = np.linalg.lstsq(matrix, values * weight, rcond=None)[0]
    return [float(f"{value:.4g}") for value in solution]


def main(arguments: list[str] | None = None) -> None:
    """Fit the law and write its table."""
    parser = argparse.ArgumentParser(prog="python -m hardware_models.prior", description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="table to write, such as prior.toml")
    parser.add_argument(
        "--spread", type=float, default=load_prior().trained_spread, help="what training adds"
    )
    parser.add_argument("--number", type=int, default=2000, help="matrices drawn")
    given = parser.parse_args(arguments)
    prior = fit(given.spread, given.number, np.random.default_rng(1))
    command = f"python -m hardware_models.prior --spread {given.spread:g} --number {given.number}"
    sources = {
        **dict.fromkeys(UNITS, command),
        "trained_spread": "weights of 39 trained networks of the space econt",
    }
    heading, date = "Adders of constant weights before training. Read by prior.py.", datetime.now(UTC).date()
    given.out.write_text(table(heading, asdict(prior), UNITS, sources, date.isoformat()), encoding="utf-8")


if __name__ == "__main__":
    main()
