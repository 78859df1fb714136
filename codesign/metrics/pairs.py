"""Score two arrays of wafers row by row: checks, special values, and a bound on memory."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from codesign.errors import DataError
from codesign.metrics.trigger_cells import CELLS

__all__ = ["EMPTY_INPUT", "EMPTY_OUTPUT", "RowScore", "charges", "score_filled_rows", "score_rows", "shares"]

RowScore = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
"""From two arrays of shape ``(n, bins)`` to one of shape ``(n,)``."""

EMPTY_INPUT: Final = -1.0
"""Score of a wafer whose input holds no charge."""

EMPTY_OUTPUT: Final = -0.5
"""Score of a wafer whose input holds charge and whose output holds none."""

_ROWS_AT_ONCE: Final = 16_384  # 6 MiB per float64 array of 48 cells


def score_rows(score: RowScore, x: ArrayLike, y: ArrayLike, *, bins: int = CELLS) -> NDArray[np.float64]:
    """Apply a score to every pair of rows, some thousand rows at a time, in float64.

    Parameters
    ----------
    score
        From two arrays ``(m, bins)`` to ``(m,)``; rows do not see each other. It gets float64 in C order,
        which may be the caller's own memory: it must not write there.
    x, y
        Charges, any unit, shape ``(n, bins)``.
    bins
        Number of cells in a row.

    Returns
    -------
    scores
        Shape ``(n,)``.

    Raises
    ------
    DataError
        The shapes differ or are not ``(n, bins)``, or a row holds a negative or non-finite number.
    """
    first, second = charges(x, y, bins=bins)
    scores = np.empty(len(first))
    for start in range(0, len(first), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        scores[rows] = score(
            np.ascontiguousarray(first[rows], np.float64), np.ascontiguousarray(second[rows], np.float64)
        )
    return scores


def charges(
    x: ArrayLike, y: ArrayLike, *, bins: int = CELLS
) -> tuple[NDArray[np.number], NDArray[np.number]]:
    """Two arrays of wafers, checked as `score_rows` says, of the type they have."""
    first, second = _charges("x", x, bins), _charges("y", y, bins)
    if len(first) != len(second):
        raise DataError(
            f"x has {len(first)} rows and y has {len(second)}; row i of y is scored against row i of x, "
            "so give as many of each"
        )
    return first, second


def score_filled_rows(
    score: RowScore, x: ArrayLike, y: ArrayLike, *, bins: int = CELLS
) -> NDArray[np.float64]:
    """Do as `score_rows`, but a row without charge gets a special value and is never scored.

    The values are those of the reference, where they enter the means: -1 if the row of ``x`` sums to
    zero, else -0.5 if the row of ``y`` does.
    """

    def with_special_values(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        has_input, has_output = x.any(axis=1), y.any(axis=1)
        filled = has_input & has_output
        if filled.all():
            return score(x, y)
        scores = np.where(has_input, EMPTY_OUTPUT, EMPTY_INPUT)
        scores[filled] = score(x[filled], y[filled])
        return scores

    return score_rows(with_special_values, x, y, bins=bins)


def shares(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide each row, shape ``(n, bins)``, by its sum, which must not be zero."""
    return np.asarray(rows / rows.sum(axis=1, keepdims=True))


def _charges(name: str, values: ArrayLike, bins: int) -> NDArray[np.number]:
    """Return the values as an array of shape ``(n, bins)`` without negative or non-finite numbers."""
    array = np.asarray(values)
    if array.ndim != 2 or array.shape[1] != bins or array.dtype.kind not in "iuf":
        raise DataError(
            f"{name} is an array of {array.dtype} of shape {array.shape}; it must hold numbers and have "
            f"shape (n, {bins}), one row per wafer"
        )
    if array.size and not (array.min() >= 0 and np.isfinite(array.max())):  # NaN passes through both
        row, cell = np.argwhere(~((array >= 0) & np.isfinite(array)))[0]
        raise DataError(
            f"{name}[{row}] holds {array[row, cell]} at cell {cell}; charges must be finite and not "
            "negative: drop the row or mend what wrote it"
        )
    return array
