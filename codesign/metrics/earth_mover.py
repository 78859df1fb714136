"""Earth Mover's Distance: the least work that turns one wafer's charges into another's."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial, reduce
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from codesign.errors import DataError
from codesign.metrics.pairs import score_filled_rows, shares
from codesign.metrics.trigger_cells import DISTANCES

__all__ = ["emd"]

_MAX_PIVOTS: Final = 1_000_000
_THREADS: Final = 1
_OPTIMAL: Final = 1
_METRIC_TOLERANCE: Final = 1e-9  # of the largest distance; a table of rounded decimals passes

_POT_BACKENDS: Final = {
    "torch": "POT_BACKEND_DISABLE_PYTORCH",
    "jax": "POT_BACKEND_DISABLE_JAX",
    "cupy": "POT_BACKEND_DISABLE_CUPY",
    "tensorflow": "POT_BACKEND_DISABLE_TENSORFLOW",
}


def emd(x: ArrayLike, y: ArrayLike, *, distances: ArrayLike = DISTANCES) -> NDArray[np.float64]:
    """Exact Earth Mover's Distance of each pair of rows, in the unit of the distances.

    Both rows are normalised to sum 1, so the scale of either does not matter. Charge common to both
    stays where it is, which is optimal since the distances obey the triangle inequality; so only the
    difference of the rows is transported, with the network simplex of POT [1]_.

    Parameters
    ----------
    x, y
        Charges, any unit, shape ``(n, bins)``.
    distances
        Distance between bins, shape ``(bins, bins)``: a metric. Without it, the 48 trigger cells in
        CALQ order, in units of one sensor cell.

    Returns
    -------
    work
        Shape ``(n,)``. As in the reference, -1 where the row of ``x`` sums to zero, else -0.5 where the
        row of ``y`` does.

    Raises
    ------
    DataError
        Shapes that do not fit, a negative or non-finite charge, or distances that are not a metric.

    Notes
    -----
    The first call imports POT with NumPy as its only array library, unless another was loaded before:
    POT would import each one it finds, and torch costs seconds.

    References
    ----------
    .. [1] N. Bonneel et al., "Displacement interpolation using Lagrangian mass transport", ACM
       Transactions on Graphics 30 (2011) 158.

    Examples
    --------
    >>> line = [[0, 1, 2], [1, 0, 1], [2, 1, 0]]
    >>> emd([[4, 0, 0]], [[1, 0, 1]], distances=line)
    array([1.])
    """
    metric = _checked_metric(distances)
    return score_filled_rows(partial(_work, distances=metric), x, y, bins=len(metric))


def _work(
    x: NDArray[np.float64], y: NDArray[np.float64], distances: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Least work per row, shape ``(n,)``; every row sums to more than zero."""
    residual = shares(x) - shares(y)
    order = np.argsort(-residual, axis=1)  # sources first, sinks last
    ranked = np.take_along_axis(residual, order, axis=1)
    supply, demand = np.maximum(ranked, 0), np.maximum(-ranked, 0)
    moved = np.minimum(supply.sum(axis=1), demand.sum(axis=1))
    work = np.zeros(len(x))
    moving = moved > 0  # equal rows move nothing, or nothing but a rounding error
    if moving.any():
        least = _least_work(shares(supply[moving]), shares(demand[moving]), order[moving], distances)
        work[moving] = moved[moving] * least
    return work


def _least_work(
    supply: NDArray[np.float64],
    demand: NDArray[np.float64],
    order: NDArray[np.intp],
    distances: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Solve one transport problem per row.

    Parameters
    ----------
    supply, demand
        Shape ``(n, bins)``, rows of sum 1, in the order of ``order``: sources first, sinks last.
    order
        Shape ``(n, bins)``: the bin at each place.
    distances
        Shape ``(bins, bins)``.

    Returns
    -------
    work
        Shape ``(n,)``.
    """
    solve = _network_simplex()
    bins = len(distances)
    sources = np.count_nonzero(supply, axis=1).tolist()
    sinks = (bins - np.count_nonzero(demand, axis=1)).tolist()
    row_starts = order * bins
    solutions = np.array(
        [
            solve(s[:a], d[b:], distances.take(start[:a, None] + column[b:]), _MAX_PIVOTS, _THREADS)[1::3]
            for s, d, start, column, a, b in zip(
                supply, demand, row_starts, order, sources, sinks, strict=True
            )
        ]
    )
    work, codes = solutions[:, 0], solutions[:, 1]
    if (codes != _OPTIMAL).any():
        raise DataError(
            f"{np.count_nonzero(codes != _OPTIMAL)} of {len(codes)} transport problems over {bins} bins have "
            f"no optimum after {_MAX_PIVOTS} pivots; merge bins that lie close together"
        )
    return work


def _checked_metric(distances: ArrayLike) -> NDArray[np.float64]:
    """Return the distances as a contiguous array; if they were no metric, common charge might move."""
    metric = np.ascontiguousarray(distances, dtype=np.float64)
    if metric.ndim != 2 or metric.shape[0] != metric.shape[1] or not metric.size:
        raise DataError(f"distances has shape {metric.shape}; it must be square: (bins, bins)")
    if not np.isfinite(metric).all():
        raise DataError("distances holds NaN or infinity; every pair of bins needs a finite distance")
    slack = _METRIC_TOLERANCE * np.abs(metric).max()
    detours = (np.add.outer(to, onward) for to, onward in zip(metric.T, metric, strict=True))
    shortest = reduce(np.minimum, detours)  # one detour at a time: all of them would fill the memory
    if metric.diagonal().any() or (np.abs(metric - metric.T) > slack).any():
        raise DataError(
            "distances is not symmetric with a zero diagonal; give the distance of each pair of bins"
        )
    if (metric > shortest + slack).any():
        start, end = np.argwhere(metric > shortest + slack)[0]
        raise DataError(
            f"distances[{start}, {end}] is {metric[start, end]:g} but there is a detour of "
            f"{shortest[start, end]:g}; give shortest distances, which obey the triangle inequality"
        )
    return metric


@cache
def _network_simplex() -> Callable[..., Any]:
    """POT's solver: (supply, demand, distances, pivots, threads) to (plan, work, u, v, code)."""
    with _numpy_alone():
        from ot.lp.emd_wrap import emd_c
    solver: Callable[..., Any] = emd_c
    return solver


@contextmanager
def _numpy_alone() -> Iterator[None]:
    """Keep POT from importing array libraries that are not loaded yet."""
    absent = {
        variable
        for library, variable in _POT_BACKENDS.items()
        if library not in sys.modules and variable not in os.environ
    }
    os.environ.update(dict.fromkeys(absent, "1"))
    try:
        yield
    finally:
        for variable in absent:
            os.environ.pop(variable, None)
