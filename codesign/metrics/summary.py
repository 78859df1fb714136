"""A score over many wafers in four numbers."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike

from codesign.errors import DataError

__all__ = ["Summary"]


@dataclass(frozen=True, slots=True)
class Summary:
    """Mean and spread of one score.

    Parameters
    ----------
    mean
        Over all wafers, special values included, as published means are.
    std
        Spread over wafers: standard deviation of the population. What is published as "EMD_err".
    stderr
        Error of the mean: ``std / sqrt(n)``.
    n
        Number of wafers.

    Examples
    --------
    >>> Summary.of([1.0, 3.0, 1.0, 3.0])
    Summary(mean=2.0, std=1.0, stderr=0.5, n=4)
    """

    mean: float
    std: float
    stderr: float
    n: int

    def __post_init__(self) -> None:
        """Reject what summarises no wafer."""
        if self.n < 1:
            raise DataError(f"a summary needs at least 1 value, got {self.n}; score a wafer first")

    @classmethod
    def of(cls, values: ArrayLike) -> "Summary":
        """Summarise finite values of shape ``(n,)``, one per wafer."""
        scores = np.asarray(values, dtype=np.float64)
        if scores.ndim != 1 or not scores.size:
            raise DataError(f"values has shape {scores.shape}; it must be (n,) with n >= 1, one per wafer")
        if not np.isfinite(scores).all():
            row = int(np.flatnonzero(~np.isfinite(scores))[0])
            raise DataError(f"values[{row}] is {scores[row]}; a summary needs finite values: drop the wafer")
        std = float(scores.std())
        return cls(mean=float(scores.mean()), std=std, stderr=std / len(scores) ** 0.5, n=len(scores))

    def to_dict(self) -> dict[str, float]:
        """Return the four numbers by name, ready for JSON."""
        return asdict(self)
