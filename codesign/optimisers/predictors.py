"""Surrogates to choose from while a search runs: which one predicts best differs from problem to problem.

The light Gaussian process, a random forest (uncertainty: spread of its trees) and radial basis functions
(linear; uncertainty: spread of 32 fits to random 60 % of the designs), one an objective. They are those that
Sherlock chooses from (Gautier et al., ACM TODAES 27(4), 2022).
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator
from sklearn import config_context
from sklearn.tree import DecisionTreeRegressor

from codesign.optimisers.gaussian import GaussianProcess

__all__ = ["LEAST", "SURROGATES", "Predictor", "most_accurate"]

LEAST = 4
HELD_OUT = 4
TREES = 100
ROUNDS, SHARE = 32, 0.6
SMOOTHING = 1e-6

FloatArray = NDArray[np.float64]
Predictor = Callable[[FloatArray], tuple[FloatArray, FloatArray]]
"""Maps coordinates ``(q, f)`` to means and uncertainties, each ``(q, m)``."""


def most_accurate(inputs: FloatArray, outcomes: FloatArray, seed: int) -> str:
    """Which surrogate predicts the newest quarter best from the rest; the first while they are few.

    Parameters
    ----------
    inputs, outcomes
        Shapes ``(n, f)`` and ``(n, m)``, in the order in which they were evaluated.
    seed
        Of what is random in a surrogate.
    """
    newest = max(HELD_OUT, len(inputs) // 4)
    old = len(inputs) - newest
    if old < LEAST:
        return next(iter(SURROGATES))

    def error(name: str) -> float:
        means = SURROGATES[name](inputs[:old], outcomes[:old], seed)(inputs[old:])[0]
        return float(((means - outcomes[old:]) ** 2).sum())

    return min(SURROGATES, key=error)


def _gaussian_process(inputs: FloatArray, outcomes: FloatArray, seed: int) -> Predictor:
    processes = [GaussianProcess.fit(inputs, column) for column in outcomes.T]

    def predict(queries: FloatArray) -> tuple[FloatArray, FloatArray]:
        found = np.array([process.predict(queries) for process in processes])
        found = found.reshape(len(processes), 2, len(queries))
        return found[:, 0].T, np.sqrt(found[:, 1]).T

    return predict


def _random_forest(inputs: FloatArray, outcomes: FloatArray, seed: int) -> Predictor:
    """Trees one by one: scikit-learn's own forest spends more on checks and copies than on growing."""
    rng, count = np.random.default_rng(seed), len(inputs)
    rows = inputs.astype(np.float32)
    trees = []
    with config_context(skip_parameter_validation=True):
        for column in np.repeat(outcomes.T, TREES, axis=0):
            drawn = np.bincount(rng.integers(count, size=count), minlength=count).astype(np.float64)
            tree = DecisionTreeRegressor(random_state=int(rng.integers(2**31)))
            trees.append(tree.fit(rows, column[:, None], sample_weight=drawn, check_input=False).tree_)
    shape = (outcomes.shape[1], TREES)

    def predict(queries: FloatArray) -> tuple[FloatArray, FloatArray]:
        asked = queries.astype(np.float32)
        found = np.array([tree.predict(asked)[:, 0] for tree in trees]).reshape(*shape, len(queries))
        return found.mean(axis=1).T, found.std(axis=1).T

    return predict


def _radial_basis_functions(inputs: FloatArray, outcomes: FloatArray, seed: int) -> Predictor:
    rng, count = np.random.default_rng(seed), math.ceil(SHARE * len(inputs))
    fits = []
    for _ in range(ROUNDS if outcomes.shape[1] else 0):
        part = rng.permutation(len(inputs))[:count]
        fits.append(
            RBFInterpolator(inputs[part], outcomes[part], kernel="linear", smoothing=SMOOTHING, degree=0)
        )

    def predict(queries: FloatArray) -> tuple[FloatArray, FloatArray]:
        found = np.array([fit(queries) for fit in fits] or np.zeros((1, len(queries), 0)))
        return found.mean(axis=0), found.std(axis=0)

    return predict


SURROGATES: Mapping[str, Callable[[FloatArray, FloatArray, int], Predictor]] = MappingProxyType(
    {
        "Gaussian process": _gaussian_process,
        "random forest": _random_forest,
        "radial basis functions": _radial_basis_functions,
    }
)
"""What can be chosen: each is fitted to inputs ``(n, f)`` and outcomes ``(n, m)``, with a seed."""
