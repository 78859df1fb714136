"""What a part of a training says of the whole of it.

How far a design is below the worst that was seen grows with training, by a factor that is alike for
designs that learn; those that do not stay where they are. So a value after some steps is lifted to a full
training's by a straight line, fitted to the designs that were trained further (an autoregression: Kennedy
and O'Hagan, *Predicting the output from a complex computer code when fast approximations are available*,
Biometrika 87, 2000, equation 1). Its noise is what the slope makes of a full training's.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["lifted"]

FloatArray = NDArray[np.float64]
PSEUDO_DEPTH = 0.05


def lifted(
    values: FloatArray, fidelity: FloatArray, design: NDArray[np.int64]
) -> tuple[FloatArray, FloatArray]:
    """What would have come of full trainings, and the variance of the noise over that of a full one.

    The lines are fitted by least squares, from the longest trainings down: each to the designs that were
    trained further, as they are lifted from there, and to two pseudo-designs: one that stays the worst,
    and one of slope 1 as if ``PSEUDO_DEPTH`` of the range below it. Where no design was trained further
    the line of the next longer trainings stands. None falls, so that the order within a length is kept.

    Parameters
    ----------
    values
        Shape ``(n, j)``, scaled, less is better.
    fidelity
        Logarithm of the part of a full training, ``(n,)``; 0 of a full one.
    design
        Number of the design of each row, ``(n,)``.

    Returns
    -------
    lifted, relative
        Each ``(n, j)``; of full trainings as given, and 1.
    """
    worst, width = values.max(axis=0), np.ptp(values, axis=0)
    width = np.where(width > 0, width, 1.0)
    depth = (values - worst) / width
    full, relative = depth.copy(), np.ones_like(depth)
    further = np.full((int(design.max()) + 1, values.shape[1]), np.nan)
    start, slope = np.zeros(values.shape[1]), np.ones(values.shape[1])
    for level in np.unique(fidelity)[::-1]:
        rows = np.flatnonzero(fidelity == level)
        known = np.isfinite(further[design[rows]]).all(axis=1)
        if level < 0:
            if known.any():
                start, slope = _line(depth[rows[known]], further[design[rows[known]]])
            full[rows] = start + slope * depth[rows]
            relative[rows] = np.maximum(slope, 1.0) ** 2
        further[design[rows[~known]]] = full[rows[~known]]
    return np.where(fidelity[:, None] < 0, worst + width * full, values), relative


def _line(before: FloatArray, after: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Value at 0 and slope, each ``(j,)``, of pairs ``(k, j)``, one of 0 and 0, and a prior of slope 1."""
    count, weight = len(before) + 1, PSEUDO_DEPTH**2
    x, y = before.sum(axis=0) / count, after.sum(axis=0) / count
    across = (before * after).sum(axis=0) - count * x * y + weight
    slope = np.maximum(across / ((before**2).sum(axis=0) - count * x**2 + weight), 0.0)
    return y - slope * x, slope
