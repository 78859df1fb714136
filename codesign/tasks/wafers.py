"""Wafers of 48 trigger cells: their charges, how the study normalises them, and the 8x8 image of them.

CALQ order numbers the trigger cells of a wafer 0 to 47 in three rhombic blocks of 4x4: ``16 b + 4 r + c``.
The 8x8 image places the blocks so that most of its neighbouring pixels are neighbouring trigger cells::

    28 29 30 31 |  0  4  8 12
    24 25 26 27 |  1  5  9 13       block 1 | block 0
    20 21 22 23 |  2  6 10 14       --------+--------
    16 17 18 19 |  3  7 11 15       block 2 | masked
    ------------+------------
    47 43 39 35 |
    46 42 38 34 |   masked
    45 41 37 33 |    (zero)
    44 40 36 32 |

Source: ``networks.py`` and ``train.py`` of `fastmachinelearning/fastml-science`, folder
``sensor-data-compression`` (Apache-2.0).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from codesign.errors import DataError

__all__ = [
    "FLAT_8X8",
    "INDEX_8X8",
    "MASK_8X8",
    "MIP_T",
    "TRIGGER_CELLS",
    "Wafers",
    "split",
]

T = TypeVar("T", bound=np.generic)

TRIGGER_CELLS = 48
MIP_T = 35
"""CALQ counts of one transverse minimum-ionising particle."""


def _flat_8x8() -> NDArray[np.intp]:
    r, c = np.divmod(np.arange(16), 4)
    rows = np.concatenate([c, 3 - r, 7 - c])
    columns = np.concatenate([4 + r, c, 3 - r])
    return np.asarray(8 * rows + columns, dtype=np.intp)


def _index_8x8() -> NDArray[np.intp]:
    index = np.full(64, -1, dtype=np.intp)
    index[FLAT_8X8] = np.arange(TRIGGER_CELLS)
    return index.reshape(8, 8)


FLAT_8X8 = _flat_8x8()
"""Flat pixel ``8 row + column`` of CALQ ``i`` in the 8x8 image; shape (48,)."""

INDEX_8X8 = _index_8x8()
"""CALQ that each pixel of the 8x8 image shows, -1 where masked; shape (8, 8)."""

MASK_8X8 = INDEX_8X8 >= 0
"""Pixels of the 8x8 image that show a trigger cell; shape (8, 8)."""


@dataclass(frozen=True, slots=True, eq=False)
class Wafers:
    """Charges of wafers that saw any, one row per wafer and bunch crossing.

    Parameters
    ----------
    calq
        Shape ``(n, 48)``, integers, none negative, no row of zeros: transverse charges in counts,
        35 counts = 1 MIP_T, CALQ order.
    columns
        What else is known of each wafer, each of shape ``(n,)``: ``eta``, ``waferu``, ``simenergy``, ...
    source
        Where the wafers come from: a file name, or the generator with its seed.
    dropped_empty
        Rows without charge that were met and left out on the way here.

    Raises
    ------
    DataError
        If ``calq`` or a column is not of that form. :meth:`from_rows` drops the rows of zeros.

    Examples
    --------
    >>> rows = np.zeros((2, 48), dtype=np.int64)
    >>> rows[1, :2] = 70, 35
    >>> wafers = Wafers.from_rows(rows, source="example")
    >>> len(wafers), wafers.dropped_empty
    (1, 1)
    >>> wafers.normalised[0, :2]
    array([1.09375 , 0.546875])
    """

    calq: NDArray[np.integer[Any]]
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    source: str = ""
    dropped_empty: int = 0

    def __post_init__(self) -> None:
        """Reject charges and columns of another form."""
        _check_charges(self.calq, self.source)
        if not self.calq.any(axis=1).all():
            empty = int(np.flatnonzero(~self.calq.any(axis=1))[0])
            raise DataError(
                f"{self.source or 'wafers'}: row {empty} has no charge; Wafers.from_rows drops such rows"
            )
        _check_columns(self.columns, self.calq, self.source)

    @classmethod
    def from_rows(
        cls,
        calq: NDArray[np.integer[Any]],
        columns: Mapping[str, NDArray[Any]] | None = None,
        source: str = "",
    ) -> "Wafers":
        """Make wafers of rows of which some may be empty; ``dropped_empty`` says how many were.

        Parameters
        ----------
        calq
            Shape ``(n, 48)``, integers, none negative.
        columns
            Each of shape ``(n,)``.
        source
            Where the rows come from.

        Raises
        ------
        DataError
            If the rows are not of that form.
        """
        _check_charges(calq, source)
        hit = calq.any(axis=1)
        _check_columns(columns or {}, calq, source)
        kept = {name: values[hit] for name, values in (columns or {}).items()}
        return cls(calq[hit], kept, source, dropped_empty=int(np.count_nonzero(~hit)))

    def __len__(self) -> int:
        """Count of wafers."""
        return len(self.calq)

    def take(self, index: ArrayLike | slice) -> "Wafers":
        """Wafers at an index array, a mask or a slice, in its order; they count no dropped rows."""
        at = index if isinstance(index, slice) else np.asarray(index)
        return Wafers(self.calq[at], {name: values[at] for name, values in self.columns.items()}, self.source)

    @property
    def sums(self) -> NDArray[np.int64]:
        """Total charge of each wafer, in counts; shape (n,)."""
        return np.asarray(self.calq.sum(axis=1, dtype=np.int64))

    @property
    def sum_pow2(self) -> NDArray[np.int64]:
        """Largest power of two not above the total charge, in counts; shape (n,)."""
        return np.left_shift(np.int64(1), self._sum_exponent)

    @property
    def _sum_exponent(self) -> NDArray[np.int64]:
        """Floor of log2 of the total charge, by the exponent of its binary form: no logarithm is rounded."""
        return np.frexp(self.sums.astype(np.float64))[1].astype(np.int64) - 1

    @property
    def normalised(self) -> NDArray[np.float64]:
        """Charges over :attr:`sum_pow2`, so that each row sums to [1, 2); shape (n, 48).

        Exact: the divisor is a power of two. The study's ``sumlog2`` normalisation.
        """
        return np.ldexp(self.calq.astype(np.float64), -self._sum_exponent[:, None])

    @property
    def max_mip(self) -> NDArray[np.float64]:
        """Largest charge of each wafer, in MIP_T; shape (n,)."""
        return np.asarray(self.calq.max(axis=1) / MIP_T)

    @property
    def sum_pow2_mip(self) -> NDArray[np.float64]:
        """:attr:`sum_pow2` in MIP_T; shape (n,)."""
        return self.sum_pow2 / MIP_T

    @property
    def occupancy(self) -> NDArray[np.int64]:
        """Trigger cells with any charge (``occ_all`` of the study); shape (n,)."""
        return np.asarray(np.count_nonzero(self.calq, axis=1), dtype=np.int64)

    @property
    def occupancy_1mip(self) -> NDArray[np.int64]:
        """Trigger cells above 1 MIP_T (``occ_1MT`` of the study); shape (n,)."""
        return np.asarray(np.count_nonzero(self.calq > MIP_T, axis=1), dtype=np.int64)


def split(wafers: Wafers, validation: float = 0.2, seed: int | None = None) -> tuple[Wafers, Wafers]:
    """Divide wafers into those to train on and those to validate on.

    Parameters
    ----------
    wafers
        At least two.
    validation
        Share of the wafers to validate on, above 0 and below 1. The count is rounded down, but each side gets
        at least one wafer.
    seed
        Of the permutation before the cut. ``None`` keeps the order, and then the *first* rows validate, as in
        the study.

    Returns
    -------
    train, validation
        Together every wafer once.

    Raises
    ------
    DataError
        If the share is out of range or there is only one wafer.
    """
    if not 0 < validation < 1:
        raise DataError(f"the validation share lies above 0 and below 1, got {validation}")
    count = len(wafers)
    if count < 2:
        raise DataError(f"{wafers.source or 'wafers'}: a split needs at least 2 wafers, got {count}")
    order = np.arange(count) if seed is None else np.random.default_rng(seed).permutation(count)
    cut = min(max(int(validation * count), 1), count - 1)
    return wafers.take(order[cut:]), wafers.take(order[:cut])


def _check_charges(calq: NDArray[np.integer[Any]], source: str) -> None:
    label = source or "wafers"
    if calq.ndim != 2 or calq.shape[1] != TRIGGER_CELLS:
        raise DataError(f"{label}: charges have shape (n, 48), got {calq.shape}")
    if not np.issubdtype(calq.dtype, np.integer):
        raise DataError(f"{label}: charges are integer counts, got dtype {calq.dtype}; round them first")
    if calq.size and calq.min() < 0:
        row, cell = np.argwhere(calq < 0)[0]
        raise DataError(f"{label}: charges are not negative, row {row} has CALQ_{cell} = {calq[row, cell]}")


def _check_columns(columns: Mapping[str, NDArray[Any]], calq: NDArray[np.integer[Any]], source: str) -> None:
    for name, values in columns.items():
        if values.shape != calq.shape[:1]:
            raise DataError(
                f"{source or 'wafers'}: column {name!r} has shape {values.shape}, the charges {calq.shape}; "
                "a column has one value per wafer"
            )
