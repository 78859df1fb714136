"""A light Gaussian process for some thousand observations: NumPy and SciPy, no torch.

Matern 5/2 with a length scale for each coordinate, a constant mean and noise (Rasmussen and Williams,
*Gaussian processes for machine learning*, 2006, chapters 2, 4 and 5). Mean and signal variance follow in
closed form from the other parameters, so that the search is over length scales and noise alone; these have
log-normal priors, the length scales' growing with the square root of the dimension (Hvarfner, Hellsten,
Nardi, *Vanilla Bayesian optimization performs great in high dimensions*, ICML 2024). Everything is a function
of the data.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cholesky, solve_triangular
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize

__all__ = ["GaussianProcess", "Hyperparameters", "varied"]

FloatArray = NDArray[np.float64]

LENGTH_MEDIAN, LENGTH_SPREAD = 1.4, 0.6
NOISE_MEDIAN, NOISE_SPREAD = 1e-4, 2.0
BOUNDS_OF_LENGTH = (0.02, 100.0)
BOUNDS_OF_NOISE = (1e-7, 10.0)
PSEUDO_OBSERVATIONS = 1.0
ITERATIONS = 40
MOST = 600
ROOT5 = 5.0**0.5


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """What is fitted.

    Parameters
    ----------
    lengths
        Length scale of each coordinate, shape ``(d,)``.
    noise
        Variance of the noise, in units of the signal's.
    """

    lengths: FloatArray
    noise: float

    @classmethod
    def usual(cls, dimension: int) -> "Hyperparameters":
        """Medians of the priors."""
        return cls(np.full(dimension, LENGTH_MEDIAN * max(dimension, 1) ** 0.5), NOISE_MEDIAN)

    @property
    def logarithms(self) -> FloatArray:
        """As the search sees them, shape ``(d + 1,)``."""
        theta: FloatArray = np.log(np.append(self.lengths, self.noise))
        return theta

    @classmethod
    def of_logarithms(cls, theta: FloatArray) -> "Hyperparameters":
        """Inverse of ``logarithms``."""
        return cls(np.exp(theta[:-1]), float(np.exp(theta[-1])))


@dataclass(frozen=True, slots=True)
class GaussianProcess:
    """A Gaussian process conditioned on observations; made by ``fit`` or ``condition``.

    Parameters
    ----------
    inputs, outcomes
        Shapes ``(n, d)`` and ``(n,)``, finite.
    hyperparameters
        Length scales and noise.
    mean, variance
        Constant mean, and signal variance in squared units of the outcomes.
    factor, weights
        Lower Cholesky factor of the covariance over the signal variance, shape ``(n, n)``, and the solution
        for the outcomes less their mean, ``(n,)``.
    fitted
        How many of the observations the hyperparameters were fitted to; 0 if they were given.
    relative
        Variance of the noise of each observation over the process's, shape ``(n,)``; None where all are
        alike.
    """

    inputs: FloatArray
    outcomes: FloatArray
    hyperparameters: Hyperparameters
    mean: float
    variance: float
    factor: FloatArray
    weights: FloatArray
    fitted: int = 0
    relative: FloatArray | None = None

    @classmethod
    def fit(
        cls,
        inputs: FloatArray,
        outcomes: FloatArray,
        start: Hyperparameters | None = None,
        relative: FloatArray | None = None,
    ) -> "GaussianProcess":
        """The most probable process given the observations.

        Of more than ``MOST`` observations the hyperparameters are fitted to so many, evenly spaced in their
        order: a step of the search costs the cube of their number.

        Parameters
        ----------
        inputs
            Shape ``(n, d)``, about the unit cube, ``n >= 1``.
        outcomes
            Shape ``(n,)``.
        start
            Where the search starts beside the medians of the priors; say what fewer observations gave.
        relative
            Variance of the noise of each observation over the process's, shape ``(n,)``.
        """
        usual = Hyperparameters.usual(inputs.shape[1])
        if len(outcomes) < 2 or not varied(outcomes):
            return replace(cls.condition(inputs, outcomes, usual, relative), fitted=len(outcomes))
        scaled = (outcomes - outcomes.mean()) / outcomes.std()
        some = np.linspace(0, len(scaled) - 1, min(len(scaled), MOST)).round().astype(np.int64)
        objective = _Posterior(inputs[some], scaled[some], None if relative is None else relative[some])
        starts = [usual] if start is None else [start, usual]
        found = [objective.minimum(each.logarithms) for each in starts]
        best = min(found, key=lambda pair: pair[1])[0]
        process = cls.condition(inputs, outcomes, Hyperparameters.of_logarithms(best), relative)
        return replace(process, fitted=len(outcomes))

    @classmethod
    def condition(
        cls,
        inputs: FloatArray,
        outcomes: FloatArray,
        hyperparameters: Hyperparameters,
        relative: FloatArray | None = None,
    ) -> "GaussianProcess":
        """The process of some hyperparameters given the observations."""
        correlation = matern(inputs, inputs, hyperparameters.lengths)
        lower, noise = _factor(correlation, hyperparameters.noise, relative)
        process = cls._of_factor(inputs, outcomes, replace(hyperparameters, noise=noise), lower)
        return process if relative is None else replace(process, relative=relative)

    @classmethod
    def _of_factor(
        cls, inputs: FloatArray, outcomes: FloatArray, hyperparameters: Hyperparameters, lower: FloatArray
    ) -> "GaussianProcess":
        """Mean and signal variance in closed form."""
        scale = float(outcomes.std()) or 1.0
        whitened = _solve(lower, np.stack([np.ones(len(outcomes)), outcomes], axis=1))
        mean = float(whitened[:, 0] @ whitened[:, 1] / (whitened[:, 0] @ whitened[:, 0]))
        residual = whitened[:, 1] - mean * whitened[:, 0]
        total = residual @ residual + PSEUDO_OBSERVATIONS * scale**2
        variance = float(total / (len(outcomes) + PSEUDO_OBSERVATIONS))
        weights = _solve(lower, residual, transposed=True)
        return cls(inputs, outcomes, hyperparameters, mean, variance, lower, weights)

    def extended(self, inputs: FloatArray, outcomes: FloatArray) -> "GaussianProcess":
        """With further observations and the same hyperparameters: rows are added to the factor.

        Their noise is the process's.

        Parameters
        ----------
        inputs, outcomes
            Shapes ``(k, d)`` and ``(k,)``. Costs ``n^2 k`` operations instead of ``n^3``.
        """
        lengths, noise = self.hyperparameters.lengths, self.hyperparameters.noise
        across = _solve(self.factor, matern(self.inputs, inputs, lengths))
        corner = matern(inputs, inputs, lengths) - across.T @ across
        all_inputs = np.concatenate([self.inputs, inputs])
        all_outcomes = np.concatenate([self.outcomes, outcomes])
        relative = None if self.relative is None else np.append(self.relative, np.ones(len(inputs)))
        try:
            last = cholesky(corner + noise * np.eye(len(inputs)), lower=True, check_finite=False)
        except LinAlgError:
            whole = self.condition(all_inputs, all_outcomes, self.hyperparameters, relative)
            return replace(whole, fitted=self.fitted)
        n = len(self.inputs)
        lower = np.zeros((n + len(inputs), n + len(inputs)))
        lower[:n, :n], lower[n:, :n], lower[n:, n:] = self.factor, across.T, last
        longer = self._of_factor(all_inputs, all_outcomes, self.hyperparameters, lower)
        return replace(longer, fitted=self.fitted, relative=relative)

    def predict(self, inputs: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and variance of the noise-free outcome, each of shape ``(q,)``.

        The variance holds the uncertainty of the constant mean (Rasmussen and Williams, equation 2.42).
        """
        covariance = matern(self.inputs, inputs, self.hyperparameters.lengths)
        mean = self.mean + self.weights @ covariance
        ones = _solve(self.factor, np.ones(len(self.inputs)))
        whitened = _solve(self.factor, covariance)
        left = 1.0 - np.einsum("ij,ij->j", whitened, whitened)
        of_mean = (1.0 - ones @ whitened) ** 2 / (ones @ ones)
        return mean, self.variance * np.maximum(left + of_mean, 1e-12)

    def leave_one_out(self) -> tuple[FloatArray, FloatArray]:
        """Mean and variance that the others predict of each observation (equations 5.10 to 5.12).

        Length scales, noise, mean and signal variance are those of all observations.
        """
        precision = np.diag(_inverse(self.factor))
        return self.outcomes - self.weights / precision, self.variance / precision


def varied(outcomes: FloatArray) -> bool:
    """Whether outcomes differ, by more than vanishes when it is squared."""
    return bool(np.ptp(outcomes) > 0 and outcomes.std() > 0)


def matern(a: FloatArray, b: FloatArray, lengths: FloatArray) -> FloatArray:
    """Matern 5/2 correlation, shape ``(len(a), len(b))`` (Rasmussen and Williams, equation 4.17)."""
    scaled = ROOT5 * _distances(a / lengths, b / lengths)
    correlation: FloatArray = (1.0 + scaled + scaled**2 / 3.0) * np.exp(-scaled)
    return correlation


def _distances(a: FloatArray, b: FloatArray) -> FloatArray:
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2.0 * (a @ b.T)
    distances: FloatArray = np.sqrt(np.maximum(squares, 0.0))
    return distances


def _solve(lower: FloatArray, right: FloatArray, *, transposed: bool = False) -> FloatArray:
    solved: FloatArray = solve_triangular(lower, right, lower=True, trans=int(transposed), check_finite=False)
    return solved


def _inverse(lower: FloatArray) -> FloatArray:
    """Inverse of a matrix of this Cholesky factor."""
    triangle, _ = dpotri(lower, lower=1)
    inverse: FloatArray = np.tril(triangle) + np.tril(triangle, -1).T
    return inverse


def _factor(
    correlation: FloatArray, noise: float, relative: FloatArray | None = None
) -> tuple[FloatArray, float]:
    """Cholesky factor of a correlation with noise, and the noise it took: more where it is singular."""
    own = np.eye(len(correlation)) if relative is None else np.diag(relative)
    while True:
        try:
            lower = cholesky(correlation + noise * own, lower=True, check_finite=False)
        except LinAlgError:
            noise *= 10.0
        else:
            return lower, noise


class _Posterior:
    """Negative logarithm of the hyperparameters' posterior density, up to a constant, with its gradient."""

    def __init__(self, inputs: FloatArray, outcomes: FloatArray, relative: FloatArray | None = None) -> None:
        self.inputs, self.outcomes, self.relative = inputs, outcomes, relative
        self.centre = Hyperparameters.usual(inputs.shape[1]).logarithms
        self.spread = np.append(np.full(inputs.shape[1], LENGTH_SPREAD), NOISE_SPREAD)
        self.bounds = [*[tuple(np.log(BOUNDS_OF_LENGTH))] * inputs.shape[1], tuple(np.log(BOUNDS_OF_NOISE))]

    def minimum(self, start: FloatArray) -> tuple[FloatArray, float]:
        """Where a descent from ``start`` ends, and the value there."""
        low, high = np.array(self.bounds).T
        options = {"maxiter": ITERATIONS, "ftol": 1e-6, "gtol": 1e-4}
        found = minimize(
            self, np.clip(start, low, high), jac=True, method="L-BFGS-B", bounds=self.bounds, options=options
        )
        return found.x, float(found.fun)

    def __call__(self, theta: FloatArray) -> tuple[float, FloatArray]:
        lengths, noise = np.exp(theta[:-1]), float(np.exp(theta[-1]))
        scaled = self.inputs / lengths
        reach = ROOT5 * _distances(scaled, scaled)
        decay = np.exp(-reach)
        lower, _ = _factor((1.0 + reach + reach**2 / 3.0) * decay, noise, self.relative)
        fitted = GaussianProcess._of_factor(
            self.inputs, self.outcomes, Hyperparameters(lengths, noise), lower
        )
        degrees = len(self.outcomes) + PSEUDO_OBSERVATIONS
        value = 0.5 * degrees * np.log(fitted.variance) + np.log(np.diag(lower)).sum()
        influence = _inverse(lower) - np.outer(fitted.weights, fitted.weights) / fitted.variance
        slope = influence * ((1.0 + reach) * decay)
        # Sum over pairs of slope * squared difference, without an array (n, n, d).
        pairs = 2.0 * (slope.sum(axis=1) @ scaled**2 - np.einsum("ij,ij->j", scaled, slope @ scaled))
        own = np.trace(influence) if self.relative is None else np.diag(influence) @ self.relative
        gradient = np.append(5.0 / 6.0 * pairs, 0.5 * noise * own)
        away = (theta - self.centre) / self.spread
        return value + 0.5 * float(away @ away), gradient + away / self.spread
