"""What a correction is: numbers, and how they change a cost."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError
from codesign.hardware import MEASURED, Costs
from codesign.hardware.estimate import COST_UNITS

__all__ = ["AS_IT_IS", "Array", "Columns", "Correction", "Part", "Smooth", "columns_of", "whole"]

Array = NDArray[np.float64]
Columns = Mapping[str, Array]

PREDICTED, CONSTANT = "predicted", "constant"
"""Columns beside the features: the model's own prediction, and one."""
QUANTITIES: Final = tuple(name for name in MEASURED if name in COST_UNITS)
WHOLE: Final = ("latency_cycles", "initiation_interval")
"""Counts of cycles: never scaled, and whole numbers of 1 or more."""
PARTS_OF_POWER: Final = ("dynamic_mw", "leakage_mw")
AS_IT_IS, SHIFT, FACTOR, SUM = "as it is", "shift", "factor", "sum of parts"
FORMS: Final = (FACTOR, "linear", "factor, smooth", "linear, smooth")
"""What is chosen from, from the plainest to the richest."""


@dataclass(frozen=True, slots=True)
class Smooth:
    """A smooth function of some columns: what is left of the logarithm of measured over base.

    Kernel ridge regression with a Gaussian kernel: ``offset + sum_j weights_j exp(-d_j^2 / (2 length^2))``
    with ``d_j^2`` the mean, over the columns, of the squared differences to point ``j``. A column ``x``
    enters as ``log(1 + x / scale)``, kept to the range that it was fitted on, centred, and divided by its
    standard deviation. So beyond that range the function goes on as at its edge.

    Parameters
    ----------
    names
        Of the ``d`` columns.
    scales
        Smallest value above 0 of each, ``(d,)``.
    low, high, centre, deviation
        Of the logarithms, ``(d,)``.
    points
        The designs of the fit, ``(n, d)``.
    weights
        ``(n,)``.
    offset
        Mean of what it was fitted to.
    length
        Length scale, in standard deviations.
    """

    names: tuple[str, ...]
    scales: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    centre: tuple[float, ...]
    deviation: tuple[float, ...]
    points: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]
    offset: float
    length: float

    def __post_init__(self) -> None:
        """Reject lengths that do not go together and numbers that are none."""
        each = (self.scales, self.low, self.high, self.centre, self.deviation, *self.points)
        if any(len(values) != len(self.names) for values in each) or len(self.weights) != len(self.points):
            raise ConfigError("a smooth correction has one value a column, and one weight a point")
        _require_finite(*(number for values in (*each, self.weights) for number in values), self.offset)
        if not all(number > 0 for number in (*self.scales, *self.deviation, self.length)):
            raise ConfigError("scales, deviations and the length of a smooth correction are above 0")

    def __call__(self, columns: Columns) -> Array:
        """Logarithm of a factor, shape ``(n,)``; row by row the same however many rows there are."""
        rows = [
            (np.clip(np.log1p(columns[name] / scale), low, high) - centre) / deviation
            for name, scale, low, high, centre, deviation in zip(
                self.names, self.scales, self.low, self.high, self.centre, self.deviation, strict=True
            )
        ]
        total = np.full(len(rows[0]), self.offset)
        narrow = -0.5 / (self.length**2 * len(rows))
        for point, weight in zip(self.points, self.weights, strict=True):
            squared = np.zeros_like(total)
            for values, place in zip(rows, point, strict=True):
                squared += (values - place) ** 2
            total += weight * np.exp(narrow * squared)
        return total

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of ``dataclasses.asdict``, also after JSON."""
        made: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
        }
        return cls(**{**made, "points": tuple(tuple(point) for point in data["points"])})


@dataclass(frozen=True, slots=True)
class Correction:
    """How one quantity is corrected.

    Parameters
    ----------
    form
        One of ``FORMS``; ``shift``: a whole number added to a count of cycles; ``sum of parts``: dynamic and
        leakage power; or ``as it is``: none, for what the estimate says was closer than any correction.
    coefficients
        Column to coefficient of the base; columns that are not here have none.
    smooth
        Function that multiplies it, if any.
    spread
        Half the width of the interval, as the logarithm of a ratio; None where the pairs are too few for
        the coverage.
    pairs
        Pairs it was fitted on; those with nothing predicted and nothing measured are not counted.
    errors
        By cross-validation of the whole procedure, the choice included: ``median`` and ``p90`` of the
        absolute relative error. Empty for a single pair. Of ``as it is``, of the estimates themselves.
    tried
        Form to its cross-validated mean absolute logarithm of predicted over measured.
    """

    form: str
    coefficients: Mapping[str, float] = field(default_factory=dict)
    smooth: Smooth | None = None
    spread: float | None = None
    pairs: int = 0
    errors: Mapping[str, float] = field(default_factory=dict)
    tried: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Reject what no fit gives."""
        known = (AS_IT_IS, SHIFT, *FORMS, SUM)
        if self.form not in known:
            raise ConfigError(f"a correction is one of {', '.join(known)}, got {self.form!r}")
        if (self.form == SUM) == bool(self.coefficients):
            raise ConfigError(f"a correction of form {self.form!r} has {len(self.coefficients)} coefficients")
        figures = (*self.coefficients.values(), *self.errors.values(), *self.tried.values())
        _require_finite(*figures, self.spread or 0.0)
        if min((*figures, self.spread or 0.0)) < 0:
            raise ConfigError("coefficients, errors and spread of a correction are 0 or more")

    def __call__(self, columns: Columns) -> Array:
        """Corrected values, ``(n,)``; what is predicted as 0 stays 0."""
        base = np.zeros(len(columns[PREDICTED]))
        for name, coefficient in self.coefficients.items():
            base += coefficient * columns[name]
        if self.smooth is not None:
            base *= np.exp(self.smooth(columns))
        return np.where(columns[PREDICTED] == 0, 0.0, base)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of ``dataclasses.asdict``, also after JSON."""
        smooth = data["smooth"]
        return cls(**{**data, "smooth": None if smooth is None else Smooth.from_dict(smooth)})


@dataclass(frozen=True, slots=True)
class Part:
    """Corrections of estimates that know the same of the weights.

    Parameters
    ----------
    designs
        Designs it was fitted on, as the reports name them, sorted.
    ranges
        Feature, or ``predicted`` and a quantity, to the least and the greatest value of those designs.
    corrections
        Quantity to correction; to ``as it is`` where that has errors and an interval, and no more.
    uncorrected
        Quantity that was measured and is left as predicted, to the reason.
    """

    designs: tuple[str, ...]
    ranges: Mapping[str, tuple[float, float]]
    corrections: Mapping[str, Correction]
    uncorrected: Mapping[str, str]

    @property
    def corrected(self) -> list[str]:
        """Quantities that are not left as predicted."""
        return [name for name, each in self.corrections.items() if each.form != AS_IT_IS]

    @property
    def features(self) -> set[str]:
        """Features that the corrections are made of."""
        used = {name for each in self.corrections.values() for name in each.coefficients}
        smooth = {name for each in self.corrections.values() if each.smooth for name in each.smooth.names}
        return (used | smooth) - {PREDICTED, CONSTANT}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of ``dataclasses.asdict``, also after JSON."""
        ranges = {name: (float(low), float(high)) for name, (low, high) in data["ranges"].items()}
        _require_finite(*(number for bounds in ranges.values() for number in bounds))
        corrections = {name: Correction.from_dict(each) for name, each in data["corrections"].items()}
        if set(corrections) - set(QUANTITIES):
            raise ConfigError(f"corrections are of {', '.join(QUANTITIES)}; got {', '.join(corrections)}")
        return cls(tuple(data["designs"]), ranges, corrections, dict(data["uncorrected"]))


def columns_of(features: Costs, predicted: Array) -> dict[str, Array]:
    """What corrections are made of: the prediction, one, and the features in order of their names."""
    return {
        PREDICTED: predicted,
        CONSTANT: np.ones(len(predicted)),
        **{name: np.asarray(values, dtype=np.float64) for name, values in sorted(features.items())},
    }


def whole(name: str, values: Array) -> Array:
    """Counts of cycles as whole numbers, of 1 or more where there are any; other values as they are."""
    return np.where(values == 0, 0.0, np.maximum(np.rint(values), 1.0)) if name in WHOLE else values


def _require_finite(*numbers: float) -> None:
    if not all(math.isfinite(number) for number in numbers):
        raise ConfigError(f"a calibration is made of finite numbers, got {numbers}")
