"""Expected growth of the hypervolume, exactly, for independent Gaussians; any objective may be known.

The region that a front leaves is cut into boxes. What a point ``y`` gains in a box is the product over
objectives of ``(u - y)+ - (l - y)+``, so its expectation is a product of differences of

    psi(a) = E[(a - y)+] = s (z Phi(z) + phi(z)),  z = (a - mean) / s,

or ``(a - y)+`` itself where ``y`` is known (Emmerich, Deutz, Klinkenberg, *Hypervolume-based expected
improvement*, CEC 2011; in two objectives Yang et al., *Multi-objective Bayesian global optimization using
expected hypervolume improvement gradient*, Swarm and Evolutionary Computation 44, 2019, equation 17). All is
done in logarithms, because where the improvement underflows its logarithm still says where to go (Ament et
al., *Unexpected improvements to expected improvement*, NeurIPS 2023, section 4.1).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, log_ndtr, logsumexp

from codesign.pareto import non_dominated

__all__ = ["boxes", "log_expected_gain", "log_expected_shortfall"]

FloatArray = NDArray[np.float64]
LOG_ROOT_2PI = 0.5 * float(np.log(2.0 * np.pi))


def boxes(costs: FloatArray, reference: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Disjoint boxes that fill what no point dominates below a reference point.

    Parameters
    ----------
    costs
        Shape ``(n, m)``, every objective minimised; points that are not below the reference do not count.
    reference
        Shape ``(m,)``.

    Returns
    -------
    lower, upper
        Shapes ``(b, m)``. Some of ``lower`` is minus infinity.
    """
    inside = costs[(costs < reference).all(axis=1)].reshape(-1, len(reference))
    front = np.unique(inside[non_dominated(inside)], axis=0) if len(inside) else inside
    return _boxes(front, reference)


def _boxes(front: FloatArray, reference: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Slices along the last objective; in each, the boxes of the front of what is better there."""
    if len(reference) == 1:
        return np.full((1, 1), -np.inf), np.minimum(reference, front.min(initial=np.inf))[None]
    order = np.argsort(front[:, -1], kind="stable")
    front = front[order]
    levels = np.concatenate([[-np.inf], front[:, -1], reference[-1:]])
    lowers, uppers = [], []
    for index in np.flatnonzero(np.diff(levels) > 0):
        better = front[:index, :-1]
        if index and better.shape[1] > 1:  # of one objective the least is taken anyway
            better = better[non_dominated(better)]
        low, high = _boxes(better, reference[:-1])
        lowers.append(np.concatenate([low, np.full((len(low), 1), levels[index])], axis=1))
        uppers.append(np.concatenate([high, np.full((len(low), 1), levels[index + 1])], axis=1))
    return np.concatenate(lowers), np.concatenate(uppers)


def log_expected_shortfall(level: FloatArray, mean: FloatArray, deviation: FloatArray) -> FloatArray:
    """Logarithm of ``E[(level - y)+]`` for normal ``y``; of ``(level - y)+`` where the deviation is 0.

    Parameters
    ----------
    level, mean, deviation
        Arrays that broadcast; a level of minus infinity gives minus infinity.
    """
    level, mean, deviation = np.broadcast_arrays(level, mean, deviation)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        exact = np.log(np.maximum(level - mean, 0.0))
        z = np.maximum((level - mean) / np.where(deviation > 0, deviation, 1.0), -1e150)
        learnt = np.log(deviation) + _log_h(z)
    value: FloatArray = np.where(deviation > 0, learnt, exact)
    return np.where(np.isneginf(level), -np.inf, value)


def _log_h(z: FloatArray) -> FloatArray:
    """Logarithm of ``z Phi(z) + phi(z)``, without cancellation far below 0."""
    log_density = -0.5 * z**2 - LOG_ROOT_2PI
    near = np.maximum(z, -1.0)
    direct = np.log(np.exp(-0.5 * near**2 - LOG_ROOT_2PI) + near * np.exp(log_ndtr(near)))
    far = np.minimum(z, -1.0)
    # phi(z) (1 - |z| R(|z|)) with Mills' ratio R; beyond 1e3 its expansion 1 / z^2.
    mills = -far * (np.pi / 2) ** 0.5 * erfcx(-far / 2**0.5)
    tail = log_density + np.where(far > -1e3, np.log(np.maximum(1.0 - mills, 1e-300)), -2.0 * np.log(-far))
    value: FloatArray = np.where(z > -1.0, direct, tail)
    return value


def log_expected_gain(
    mean: FloatArray, deviation: FloatArray, lower: FloatArray, upper: FloatArray
) -> FloatArray:
    """Logarithm of the expected hypervolume improvement, shape ``(q,)``.

    Parameters
    ----------
    mean, deviation
        Shapes ``(q, m)``; a deviation of 0 says that the objective is known.
    lower, upper
        Boxes ``(b, m)`` that no point dominates, as ``boxes`` gives them.
    """
    total = np.zeros((len(mean), len(lower)))
    for column in range(mean.shape[1]):
        levels, place = np.unique(np.concatenate([lower[:, column], upper[:, column]]), return_inverse=True)
        logs = log_expected_shortfall(levels, mean[:, column, None], deviation[:, column, None])
        low, high = logs[:, place[: len(lower)]], logs[:, place[len(lower) :]]
        with np.errstate(divide="ignore", invalid="ignore"):
            shrink = np.log1p(-np.exp(np.minimum(low - high, 0.0)))
            total += np.where(np.isneginf(high), -np.inf, high + np.where(np.isneginf(low), 0.0, shrink))
    value: FloatArray = logsumexp(total, axis=1)
    return value
