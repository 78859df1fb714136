"""What a detector sees of a reconstruction: centre, spread, correlation, charges, empty wafers.

Every function takes charges ``x`` (the input) and ``y`` (the output) of shape ``(n, 48)`` in CALQ
order and returns one number per wafer, shape ``(n,)``. As in the reference
(``sensor-data-compression/utils/metrics.py`` of ``fastmachinelearning/fastml-science``), the number is
-1 where the row of ``x`` sums to zero, else -0.5 where the row of ``y`` does; `zero_fraction` and
`energy_response` have no such values. All raise `codesign.errors.DataError` for shapes that do not fit and
for negative or non-finite charges.
"""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from codesign.metrics.pairs import score_filled_rows, score_rows, shares
from codesign.metrics.trigger_cells import POSITIONS

__all__ = [
    "absolute_rms_difference",
    "cross_correlation",
    "energy_response",
    "mean_shift",
    "rms_difference",
    "sum_of_squared_differences",
    "zero_fraction",
]

_STANDARDISED: Final = POSITIONS / POSITIONS.std(axis=0)


def mean_shift(x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """Distance between the centres of charge, in units of one sensor cell (published as dMean)."""

    def score(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.linalg.norm((shares(x) - shares(y)) @ POSITIONS, axis=1))

    return score_filled_rows(score, x, y)


def rms_difference(x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    r"""Spread of ``x`` less spread of ``y``, without unit (published as dRMS).

    The spread of shares p is :math:`\sqrt{\sum_i p_i^2 |h_i - \mu|^2}` with positions h in units of
    their standard deviation over the cells, per axis, and their p-weighted mean :math:`\mu`. The shares
    are squared in the reference, so this is no root mean square.
    """

    def score(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        return _spread(shares(x)) - _spread(shares(y))

    return score_filled_rows(score, x, y)


def absolute_rms_difference(x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """Modulus of `rms_difference`, the special values kept (published as abs dRMS)."""

    def score(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.abs(_spread(shares(x)) - _spread(shares(y)))

    return score_filled_rows(score, x, y)


def cross_correlation(x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """Pearson correlation over the cells, -1 to 1; 0 where all cells of ``x`` or of ``y`` are equal."""

    def score(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        a, b = _unit_deviations(x), _unit_deviations(y)
        return np.asarray((a * b).sum(axis=1))

    return score_filled_rows(score, x, y)


def sum_of_squared_differences(x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """Squared difference over the product of the norms, without unit (published as SSD).

    The only one here that depends on the scale: give ``x`` and ``y`` in the same unit.
    """

    def score(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
        return np.asarray(np.square(x - y).sum(axis=1) / norms)

    return score_filled_rows(score, x, y)


def zero_fraction(x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """1 where the output is empty, else 0: the mean is the fraction of empty outputs.

    ``x`` is checked and does not enter.
    """

    def score(_: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.logical_not(y.any(axis=1)).astype(np.float64)

    return score_rows(score, x, y)


def energy_response(x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """Charge that is gained or lost, over the charge of the input: -1 where all is lost, 0 where none is.

    Its standard deviation over wafers is the energy resolution. Of an empty input it is 0 where the output is
    empty too, else 1.
    """

    def score(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        before, after = x.sum(axis=1), y.sum(axis=1)
        filled = before > 0
        ratio = after / np.where(filled, before, 1.0)
        return np.asarray(np.where(filled, ratio - 1.0, after > 0), dtype=np.float64)

    return score_rows(score, x, y)


def _spread(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spread of shares of shape ``(n, 48)``, shape ``(n,)``; see `rms_difference`."""
    centre = p @ _STANDARDISED  # (n, 2)
    squared_radius = np.square(_STANDARDISED - centre[:, None]).sum(axis=-1)  # (n, 48)
    return np.asarray(np.sqrt((np.square(p) * squared_radius).sum(axis=1)))


def _unit_deviations(charges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Deviations from the mean of each row, scaled to norm 1; zero for a row of equal cells."""
    varied = np.ptp(charges, axis=1, keepdims=True) > 0
    deviations = np.where(varied, charges - charges.mean(axis=1, keepdims=True), 0.0)
    return deviations / np.where(varied, np.linalg.norm(deviations, axis=1, keepdims=True), 1.0)
