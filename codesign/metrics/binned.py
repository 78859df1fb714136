"""How a score depends on what a wafer is like: medians in bins of occupancy, charge or pseudorapidity."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from codesign.errors import DataError

__all__ = ["Bin", "binned"]


@dataclass(frozen=True, slots=True)
class Bin:
    """A score over the wafers of one bin, as the study's plots show it.

    Parameters
    ----------
    low, high
        Edges; ``low`` belongs to the bin, ``high`` to the next one.
    n
        Wafers.
    median, low_16, high_84, mean
        Of their scores; 16 and 84 are the percentages below.
    """

    low: float
    high: float
    n: int
    median: float
    low_16: float
    high_84: float
    mean: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def binned(scores: ArrayLike, by: ArrayLike, edges: Sequence[float]) -> list[Bin]:
    """Summarise scores in bins of something else.

    Parameters
    ----------
    scores
        One a wafer, shape ``(n,)``, finite.
    by
        What the bins are of, shape ``(n,)``: occupancy, logarithm of the charge, pseudorapidity.
    edges
        Ascending, at least two; the last may be infinite.

    Returns
    -------
    bins
        Those that hold a wafer, in order; what lies outside the edges is in none.

    Raises
    ------
    DataError
        For shapes that do not fit, scores that are not finite, or edges that do not ascend.

    Examples
    --------
    >>> [(bin.n, bin.median) for bin in binned([1.0, 3.0, 5.0], [0, 1, 4], [0, 2, 4, 8])]
    [(2, 2.0), (1, 5.0)]
    """
    values, place = np.asarray(scores, dtype=np.float64), np.asarray(by, dtype=np.float64)
    if values.ndim != 1 or values.shape != place.shape:
        raise DataError(f"scores and bins are of shape (n,) both, got {values.shape} and {place.shape}")
    if not np.isfinite(values).all():
        raise DataError("scores are finite numbers; drop the wafers whose are not")
    if len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise DataError(f"edges of bins ascend and are two or more, got {list(edges)}")
    found = []
    for low, high in pairwise(edges):
        inside = values[(place >= low) & (place < high)]
        if len(inside):
            at_16, median, at_84 = np.percentile(inside, (16, 50, 84)).tolist()
            found.append(Bin(low, high, len(inside), median, at_16, at_84, float(inside.mean())))
    return found
