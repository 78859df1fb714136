"""Earth Mover's Distance: the least work that turns one wafer's charges into another's."""

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache, partial, reduce
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from codesign import native
from codesign.errors import DataError
from codesign.metrics.pairs import charges, score_filled_rows, shares
from codesign.metrics.trigger_cells import DISTANCES

__all__ = ["Metric", "emd", "emd_gradient", "ground_metric"]

_MAX_PIVOTS: Final = 1_000_000
_KERNEL_BINS: Final = 256
_POT_THREADS: Final = 1
_OPTIMAL: Final = 1
_METRIC_TOLERANCE: Final = 1e-9  # of the largest distance; a table of rounded decimals passes

_POT_BACKENDS: Final = {
    "torch": "POT_BACKEND_DISABLE_PYTORCH",
    "jax": "POT_BACKEND_DISABLE_JAX",
    "cupy": "POT_BACKEND_DISABLE_CUPY",
    "tensorflow": "POT_BACKEND_DISABLE_TENSORFLOW",
}


def emd(
    x: ArrayLike, y: ArrayLike, *, distances: ArrayLike = DISTANCES, threads: int = 1
) -> NDArray[np.float64]:
    """Exact Earth Mover's Distance of each pair of rows, in the unit of the distances.

    Both rows are normalised to sum 1, so the scale of either does not matter. Charge common to both
    stays where it is, which is optimal since the distances obey the triangle inequality; so only the
    difference of the rows is transported, with a compiled network simplex, or with that of POT [1]_ where
    the kernels are absent (`codesign.native`) or there are more than 256 bins.

    Parameters
    ----------
    x, y
        Charges, any unit, shape ``(n, bins)``.
    distances
        Distance between bins, shape ``(bins, bins)``: a metric. Without it, the 48 trigger cells in
        CALQ order, in units of one sensor cell.
    threads
        Threads of the compiled kernel; the result does not depend on it.

    Returns
    -------
    work
        Shape ``(n,)``. As in the reference, -1 where the row of ``x`` sums to zero, else -0.5 where the
        row of ``y`` does.

    Raises
    ------
    DataError
        Shapes that do not fit, a negative or non-finite charge, distances that are not a metric, or fewer
        than one thread.

    Notes
    -----
    The first call that needs POT imports it with NumPy as its only array library, unless another was
    loaded before: POT would import each one it finds, and torch costs seconds.

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
    if threads < 1:
        raise DataError(f"threads is 1 or more, got {threads}")
    metric = ground_metric(distances)
    if _compiled(metric):
        work = partial(_work_by_kernel, metric=metric, threads=threads)
    else:
        work = partial(_work_by_pot, distances=metric.distances)
    return score_filled_rows(work, x, y, bins=metric.bins)


def emd_gradient(
    x: ArrayLike, y: ArrayLike, *, distances: ArrayLike = DISTANCES
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Earth Mover's Distance of each pair of rows and its gradient with respect to the rows of ``y``.

    With :math:`S = \sum_i y_i` and the potential :math:`u` of an optimal dual solution, on which the
    distance is :math:`\sum_i u_i (y_i / S - x_i / \sum_j x_j)`, the gradient is

    .. math:: \partial\,\mathrm{EMD} / \partial y_i = \bigl(u_i - \sum_j u_j y_j / S\bigr) / S ,

    with respect to ``y`` as given, not normalised. The potential is extended to every cell by the
    c-transform, :math:`u_b = \min_s (u_s + d_{bs})` over the cells :math:`s` where ``y`` has less than ``x``
    (F. Santambrogio, "Optimal Transport for Applied Mathematicians", 2015, section 1.2), so it rises nowhere
    faster than the distance. Where the distance has a kink, this is one of its subgradients.

    Parameters
    ----------
    x, y, distances
        As for `emd`.

    Returns
    -------
    work
        Shape ``(n,)``. Unlike that of `emd`, it is 0 where a row has no charge: this is a loss.
    gradient
        Shape ``(n, bins)``, unit of the distances over that of ``y``. 0 where a row has no charge.

    Raises
    ------
    DataError
        As for `emd`.

    Examples
    --------
    >>> line = [[0, 1, 2], [1, 0, 1], [2, 1, 0]]
    >>> work, gradient = emd_gradient([[1, 0, 0]], [[1, 0, 1]], distances=line)
    >>> work, gradient
    (array([1.]), array([[-0.5,  0. ,  0.5]]))
    """
    metric = ground_metric(distances)
    target, prediction = (np.ascontiguousarray(rows, np.float64) for rows in charges(x, y, bins=metric.bins))
    if not _compiled(metric):
        return _gradient_by_pot(prediction, target, metric.distances)
    gradient = np.empty_like(prediction)
    return _call_kernel(prediction, target, metric, gradient), gradient


@dataclass(frozen=True, slots=True)
class Metric:
    """Distances that were checked, ``(bins, bins)``, and what the kernel wants of them."""

    distances: NDArray[np.float64]
    order: NDArray[np.int32]  # pairs a < b by distance, a << 8 | b; empty above 256 bins

    @property
    def bins(self) -> int:
        """How many there are."""
        return len(self.distances)


def ground_metric(distances: ArrayLike) -> Metric:
    """Check and sort the distances; the last few are remembered by value."""
    metric = np.ascontiguousarray(distances, dtype=np.float64)
    if metric.ndim != 2 or metric.shape[0] != metric.shape[1] or not metric.size:
        raise DataError(f"distances has shape {metric.shape}; it must be square: (bins, bins)")
    return _prepared(metric.tobytes(), len(metric))


@lru_cache(maxsize=8)
def _prepared(distances: bytes, bins: int) -> Metric:
    metric = np.frombuffer(distances).reshape(bins, bins)
    _check_metric(metric)
    first, second = np.triu_indices(bins if bins <= _KERNEL_BINS else 0, k=1)
    order = np.argsort(metric[first, second], kind="stable")
    return Metric(metric, (first << 8 | second)[order].astype(np.int32))


def _compiled(metric: Metric) -> bool:
    return metric.bins <= _KERNEL_BINS and native.available()


def _work_by_kernel(
    x: NDArray[np.float64], y: NDArray[np.float64], metric: Metric, threads: int
) -> NDArray[np.float64]:
    """Least work per row, shape ``(n,)``; each thread takes a slice of the rows."""
    if threads == 1 or len(x) < 2:
        return _call_kernel(x, y, metric)
    pairs = zip(np.array_split(x, threads), np.array_split(y, threads), strict=True)
    with ThreadPoolExecutor(threads) as pool:
        return np.concatenate(list(pool.map(lambda pair: _call_kernel(pair[0], pair[1], metric), pairs)))


def _call_kernel(
    prediction: NDArray[np.float64],
    target: NDArray[np.float64],
    metric: Metric,
    gradient: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Work per row, shape ``(n,)``; its gradient with respect to the prediction goes to ``gradient``."""
    address, count = ctypes.c_void_p, ctypes.c_int64
    arguments = (address, address, count, ctypes.c_int32, address, address, count, address, address)
    transport = native.function("transport", arguments, count)
    work = np.empty(len(prediction))
    failed = transport(
        prediction.ctypes.data,
        target.ctypes.data,
        len(prediction),
        metric.bins,
        metric.distances.ctypes.data,
        metric.order.ctypes.data,
        _MAX_PIVOTS,
        work.ctypes.data,
        None if gradient is None else gradient.ctypes.data,
    )
    if failed < 0:
        raise MemoryError("no memory for the workspace of optimal transport")
    _raise_without_optimum(failed, work, metric.bins)
    return work


def _raise_without_optimum(failed: int, rows: NDArray[np.float64], bins: int) -> None:
    if failed:
        raise DataError(
            f"{failed} of {len(rows)} transport problems over {bins} bins have no optimum after "
            f"{_MAX_PIVOTS} pivots; merge bins that lie close together"
        )


def _work_by_pot(
    x: NDArray[np.float64], y: NDArray[np.float64], distances: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Least work per row, shape ``(n,)``; every row sums to more than zero."""
    supply, demand, order = _differences(x, y)
    moved = np.minimum(supply.sum(axis=1), demand.sum(axis=1))
    work = np.zeros(len(x))
    moving = moved > 0  # equal rows move nothing, or nothing but a rounding error
    if moving.any():
        least, _ = _least_work(shares(supply[moving]), shares(demand[moving]), order[moving], distances)
        work[moving] = moved[moving] * least
    return work


def _gradient_by_pot(
    prediction: NDArray[np.float64], target: NDArray[np.float64], distances: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Work, shape ``(n,)``, and its gradient with respect to the prediction, shape ``(n, bins)``."""
    work, gradient = np.zeros(len(prediction)), np.zeros(prediction.shape)
    filled = np.flatnonzero(prediction.any(axis=1) & target.any(axis=1))
    supply, demand, order = _differences(prediction[filled], target[filled])
    moved = np.minimum(supply.sum(axis=1), demand.sum(axis=1))
    supply, demand, order, moved, rows = (a[moved > 0] for a in (supply, demand, order, moved, filled))
    if not len(rows):
        return work, gradient
    least, duals = _least_work(shares(supply), shares(demand), order, distances)
    work[rows] = moved * least
    sinks = (places[len(places) - len(dual) :] for places, dual in zip(order, duals, strict=True))
    potential = np.array([(distances[s] - v[:, None]).min(axis=0) for s, v in zip(sinks, duals, strict=True)])
    total = prediction[rows].sum(axis=1, keepdims=True)
    mean = (potential * prediction[rows] / total).sum(axis=1, keepdims=True)
    gradient[rows] = (potential - mean) / total
    return work, gradient


def _differences(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]:
    """Supply and demand of each bin, sources first and sinks last, and the bin at each place."""
    residual = shares(x) - shares(y)
    order = np.argsort(-residual, axis=1)
    ranked = np.take_along_axis(residual, order, axis=1)
    return np.maximum(ranked, 0), np.maximum(-ranked, 0), order


def _least_work(
    supply: NDArray[np.float64],
    demand: NDArray[np.float64],
    order: NDArray[np.intp],
    distances: NDArray[np.float64],
) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
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
    duals
        Of the sinks of each row.
    """
    solve = _network_simplex()
    bins = len(distances)
    sources = np.count_nonzero(supply, axis=1).tolist()
    sinks = (bins - np.count_nonzero(demand, axis=1)).tolist()
    row_starts = order * bins
    solutions = [
        solve(s[:a], d[b:], distances.take(start[:a, None] + column[b:]), _MAX_PIVOTS, _POT_THREADS)[1:]
        for s, d, start, column, a, b in zip(supply, demand, row_starts, order, sources, sinks, strict=True)
    ]
    work, _, duals, codes = zip(*solutions, strict=True)
    _raise_without_optimum(int(np.count_nonzero(np.array(codes) != _OPTIMAL)), supply, bins)
    return np.array(work), list(duals)


def _check_metric(metric: NDArray[np.float64]) -> None:
    """Raise if the distances, ``(bins, bins)``, are no metric: then common charge might move."""
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
