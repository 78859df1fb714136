"""How well surrogates predict designs that they have not seen, on networks of a conditional space.

    python benchmarks/quality/kernels.py [SURROGATE ...]    # some minutes; benchmarks/results/kernels.json

The data are the 304 trained designs of the ECON-T space in `benchmarks/results/econt-designs.json.gz`
(drawn at random, each trained for 2,000 steps); the outcome is the logarithm of the EMD. A surrogate learns
from 40 or 100 of them, drawn by seed, and predicts the others; and from four fifths of all, and predicts
the rest. Told are the root of the mean square error over the standard deviation of what was predicted, and
the mean logarithm of the predictive density (higher is better; in units of the standard deviation of all
outcomes). Every Gaussian process has the priors and the closed-form mean and signal variance of
`codesign/optimisers/gaussian.py`.

* `imputed`: the surrogate of `ehvi`. Matern 5/2; where a parameter does not exist its default stands in.
* `imputed without costs`: the same without the logarithms of costs as coordinates.
* `imputed and activity`: the same with a coordinate a layer, 1 where it exists.
* `arc`: a parameter that may not exist is a point on an arc, the centre if it does not (Hutter and Osborne,
  *A kernel for hierarchical parameter spaces*, arXiv:1310.5738, 2013): angle and radius are fitted.
* `additive`: a kernel for all coordinates that always exist and one for each layer, which is 0 where the
  layer does not exist; the parts of the sum are fitted.
* `imputed plus additive`: the first with a share of the second, fitted.
* `forest`: 300 trees (scikit-learn); the variance is that between trees and within their leaves.

Then parts of trainings. `benchmarks/results/econt-parts.json.gz` holds two studies of
`examples/demo.toml`: one with `optimiser = "ehvi+asha"`, 96 trials and rungs of 30, 89, 267 and 800
steps, and one of `ehvi` with 48, all trained for 800, both with the surrogate before this one. From the
first 60, 100 and all 137 evaluations of the one the EMD of those designs of the other is predicted that
the one never saw, trained in full. `as it is`: a design is worth its last training. `log steps as a
coordinate`: as costs are. `lifted`: `codesign/optimisers/fidelity.py`, with equal noises and (as `ehvi`
does) with the noises that the lines make. Here the logarithmic density is in units of log EMD.
"""

import gzip
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import KFold

from codesign.config import load_study_file
from codesign.files import write_file
from codesign.optimisers import Problem
from codesign.optimisers.fidelity import lifted
from codesign.optimisers.gaussian import (
    ITERATIONS,
    LENGTH_SPREAD,
    NOISE_SPREAD,
    PSEUDO_OBSERVATIONS,
    GaussianProcess,
    Hyperparameters,
)
from codesign.optimisers.proposing import LOG_RANGE, coordinates
from codesign.space import INACTIVE
from search_spaces import econt

ROOT = Path(__file__).parents[2]
DATA = ROOT / "benchmarks" / "results" / "econt-designs.json.gz"
PARTS = ROOT / "benchmarks" / "results" / "econt-parts.json.gz"
FILE = ROOT / "benchmarks" / "results" / "kernels.json"
SIZES, REPEATS, FOLDS = (40, 100), 4, 5

Points = NDArray[np.float64]
Prediction = tuple[Points, Points]


@dataclass(frozen=True, slots=True)
class Data:
    """Designs as arrays: coordinates, which layer each belongs to (-1: always there), which layers exist."""

    always: Points
    costs: Points
    inside: Points
    layer_of: NDArray[np.int64]
    there: NDArray[np.bool_]
    outcomes: Points

    @property
    def imputed(self) -> Points:
        """As `ehvi` sees them."""
        return np.concatenate([self.always, self.inside, self.costs], axis=1)


def search() -> Problem:
    """The demo's, without its data."""
    config = load_study_file(ROOT / "examples" / "demo.toml").model_copy(update={"data": {"wafers": 500}})
    return config.setup().problem


def load(problem: Problem) -> Data:
    """Columns of the space one by one, so that each coordinate has a layer."""
    rows = json.loads(gzip.decompress(DATA.read_bytes()))
    space = econt.SPACE
    codes = space.encode([space.candidate(row["candidate"]) for row in rows])
    everything = coordinates(problem, codes)
    features = space.features(codes)
    layers = sorted({_layer(column.name) for column in space.columns} - {""})
    layer_of = np.array([layers.index(_layer(c.name)) if _layer(c.name) else -1 for c in space.columns])
    assert features.shape[1] == len(layer_of)
    there = np.stack(
        [(codes[:, layer_of == layer] != INACTIVE).any(axis=1) for layer in range(len(layers))], axis=1
    )
    outcomes = np.log([row["emd"] for row in rows])
    return Data(
        always=features[:, layer_of < 0],
        costs=everything[:, features.shape[1] :],
        inside=features[:, layer_of >= 0],
        layer_of=layer_of[layer_of >= 0],
        there=there,
        outcomes=(outcomes - outcomes.mean()) / outcomes.std(),
    )


def _layer(name: str) -> str:
    """``conv 2`` of ``filters_2``: parameters of one layer."""
    kind, _, number = name.rpartition("_")
    if not number.isdigit():
        return ""
    return f"{'dense' if kind.startswith(('dense', 'units')) else 'conv'} {number}"


Kernel = Callable[[torch.Tensor, NDArray[np.int64], NDArray[np.int64]], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Model:
    """A kernel over designs, with medians and spreads of the priors of the logarithms of its parameters."""

    kernel: Kernel
    centre: Points
    spread: Points

    def predict(self, outcomes: Points, known: NDArray[np.int64], asked: NDArray[np.int64]) -> Prediction:
        """Means and variances, noise included."""
        seen = torch.from_numpy((outcomes[known] - outcomes[known].mean()) / outcomes[known].std())

        def posterior(theta: Points) -> tuple[float, Points]:
            point = torch.tensor(theta, requires_grad=True)
            value = self._negative_log(point, seen, known)
            (gradient,) = torch.autograd.grad(value, point)
            return float(value.detach()), gradient.numpy()

        noise = np.log(1e-4)
        start = np.append(self.centre, noise)
        bounds = [*[(c - 4.5, c + 4.5) for c in self.centre], (np.log(1e-6), np.log(10.0))]
        found = minimize(
            posterior, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": ITERATIONS}
        )
        with torch.no_grad():
            theta = torch.from_numpy(found.x)
            factor, mean, variance, weights = self._fitted(theta, seen, known)
            across = self.kernel(theta[:-1], known, asked)
            own = torch.diagonal(self.kernel(theta[:-1], asked, asked))
            white = torch.linalg.solve_triangular(factor, across, upper=False)
            centre = mean + weights @ across
            spread = variance * (own - (white**2).sum(0) + torch.exp(theta[-1])).clamp_min(1e-9)
        scale = outcomes[known].std()
        return centre.numpy() * scale + outcomes[known].mean(), spread.numpy() * scale**2

    def _fitted(
        self, theta: torch.Tensor, seen: torch.Tensor, known: NDArray[np.int64]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        covariance = self.kernel(theta[:-1], known, known) + torch.exp(theta[-1]) * torch.eye(len(known))
        factor = torch.linalg.cholesky(covariance + 1e-8 * torch.eye(len(known)))
        ones = torch.linalg.solve_triangular(factor, torch.ones(len(known), 1).double(), upper=False)[:, 0]
        white = torch.linalg.solve_triangular(factor, seen[:, None], upper=False)[:, 0]
        mean = (ones @ white) / (ones @ ones)
        residual = white - mean * ones
        variance = (residual @ residual + PSEUDO_OBSERVATIONS) / (len(known) + PSEUDO_OBSERVATIONS)
        weights = torch.linalg.solve_triangular(factor.T, residual[:, None], upper=True)[:, 0]
        return factor, mean, variance, weights

    def _negative_log(
        self, theta: torch.Tensor, seen: torch.Tensor, known: NDArray[np.int64]
    ) -> torch.Tensor:
        factor, _, variance, _ = self._fitted(theta, seen, known)
        fit = 0.5 * (len(known) + PSEUDO_OBSERVATIONS) * torch.log(variance)
        centre, spread = np.append(self.centre, np.log(1e-4)), np.append(self.spread, NOISE_SPREAD)
        away = (theta - torch.from_numpy(centre)) / torch.from_numpy(spread)
        return fit + torch.log(torch.diagonal(factor)).sum() + 0.5 * (away**2).sum()


def _matern(squares: torch.Tensor) -> torch.Tensor:
    """Of squared scaled distances."""
    reach = torch.sqrt(5.0 * squares + 1e-12)
    return (1.0 + reach + reach**2 / 3.0) * torch.exp(-reach)


def _squares(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return ((a[:, None, :] - b[None, :, :]) ** 2).sum(-1)


def _prior(dimension: int, count: int) -> tuple[Points, Points]:
    centre = Hyperparameters.usual(dimension).logarithms[:1]
    return np.repeat(centre, count), np.full(count, LENGTH_SPREAD)


def matern(inputs: Points) -> Model:
    places = torch.from_numpy(inputs)

    def kernel(theta: torch.Tensor, a: NDArray[np.int64], b: NDArray[np.int64]) -> torch.Tensor:
        return _matern(_squares(places[a] / torch.exp(theta), places[b] / torch.exp(theta)))

    return Model(kernel, *_prior(inputs.shape[1], inputs.shape[1]))


def arc(data: Data) -> Model:
    """Radius: the inverse of a length; angle: pi times a share from 0 to 1 of the parameter's range."""
    flat = torch.from_numpy(np.concatenate([data.always, data.costs], axis=1))
    inside = torch.from_numpy(data.inside)
    there = torch.from_numpy(data.there[:, data.layer_of].astype(np.float64))
    dimension, curved = flat.shape[1] + inside.shape[1], inside.shape[1]

    def embedded(theta: torch.Tensor, rows: NDArray[np.int64]) -> torch.Tensor:
        lengths = torch.exp(theta[:dimension])
        angle = torch.pi * torch.sigmoid(theta[dimension:]) * inside[rows]
        radius = there[rows] / lengths[flat.shape[1] :]
        parts = [flat[rows] / lengths[: flat.shape[1]], radius * torch.sin(angle), radius * torch.cos(angle)]
        return torch.cat(parts, dim=1)

    def kernel(theta: torch.Tensor, a: NDArray[np.int64], b: NDArray[np.int64]) -> torch.Tensor:
        return _matern(_squares(embedded(theta, a), embedded(theta, b)))

    centre, spread = _prior(dimension, dimension)
    return Model(kernel, np.append(centre, np.zeros(curved)), np.append(spread, np.ones(curved)))


def additive(data: Data, *, whole: bool) -> Model:
    """Shares of the sum: a softmax; with ``whole``, a part of all together."""
    flat = torch.from_numpy(np.concatenate([data.always, data.costs], axis=1))
    inside, there = torch.from_numpy(data.inside), torch.from_numpy(data.there.astype(np.float64))
    everything = torch.from_numpy(data.imputed)
    layers = there.shape[1]
    groups = [torch.from_numpy(np.flatnonzero(data.layer_of == layer)) for layer in range(layers)]
    sizes = (flat.shape[1], inside.shape[1], everything.shape[1] if whole else 0)

    def kernel(theta: torch.Tensor, a: NDArray[np.int64], b: NDArray[np.int64]) -> torch.Tensor:
        of_flat, of_inside, of_all, parts = torch.split(theta, [*sizes, len(theta) - sum(sizes)])
        shares = torch.softmax(parts, dim=0)
        total = shares[0] * _matern(_squares(flat[a] / torch.exp(of_flat), flat[b] / torch.exp(of_flat)))
        for layer, group in enumerate(groups):
            lengths = torch.exp(of_inside[group])
            own = _matern(_squares(inside[a][:, group] / lengths, inside[b][:, group] / lengths))
            total = total + shares[1 + layer] * own * there[a, layer][:, None] * there[b, layer][None, :]
        if whole:
            lengths = torch.exp(of_all)
            squares = _squares(everything[a] / lengths, everything[b] / lengths)
            total = total + shares[-1] * _matern(squares)
        return total

    priors = [
        _prior(sizes[0], sizes[0]),
        _prior(inside.shape[1] // layers, sizes[1]),
        _prior(sizes[2], sizes[2]),
        (np.zeros(1 + layers + whole), np.ones(1 + layers + whole)),
    ]
    centres, spreads = zip(*priors, strict=True)
    return Model(kernel, np.concatenate(centres), np.concatenate(spreads))


Surrogate = Callable[[Points, NDArray[np.int64], NDArray[np.int64]], Prediction]


def light(inputs: Points) -> Surrogate:
    """The Gaussian process of the optimisers."""

    def predict(outcomes: Points, known: NDArray[np.int64], asked: NDArray[np.int64]) -> Prediction:
        process = GaussianProcess.fit(inputs[known], outcomes[known])
        mean, variance = process.predict(inputs[asked])
        return mean, variance + process.variance * process.hyperparameters.noise

    return predict


def forest(inputs: Points) -> Surrogate:
    def predict(outcomes: Points, known: NDArray[np.int64], asked: NDArray[np.int64]) -> Prediction:
        trees = RandomForestRegressor(300, min_samples_leaf=2, max_features=1 / 3, random_state=0)
        trees.fit(inputs[known], outcomes[known])
        each = np.stack([tree.predict(inputs[asked]) for tree in trees.estimators_])
        within = np.stack([tree.tree_.impurity[tree.apply(inputs[asked])] for tree in trees.estimators_])
        return each.mean(axis=0), each.var(axis=0) + within.mean(axis=0) + 1e-6

    return predict


def splits(count: int) -> Iterator[tuple[str, NDArray[np.int64], NDArray[np.int64]]]:
    """Label, rows that are known, and rows that are asked for."""
    for size in SIZES:
        for seed in range(REPEATS):
            order = np.random.default_rng([size, seed]).permutation(count)
            yield str(size), order[:size], order[size:]
    for known, asked in KFold(FOLDS, shuffle=True, random_state=0).split(np.zeros(count)):
        yield f"{FOLDS} folds", known, asked


def scores(mean: Points, variance: Points, truth: Points) -> tuple[float, float]:
    """Error over the standard deviation, and mean logarithm of the predictive density."""
    error = float(np.sqrt(np.mean((mean - truth) ** 2)) / truth.std())
    return error, float(np.mean(-0.5 * ((truth - mean) ** 2 / variance + np.log(2 * np.pi * variance))))


def of_parts(problem: Problem) -> dict[str, dict[str, dict[str, float]]]:
    """Scores of predictions of full trainings, by model and by number of evaluations."""
    rows = json.loads(gzip.decompress(PARTS.read_bytes()))
    space = econt.SPACE
    inputs = coordinates(problem, space.encode([space.candidate(row["candidate"]) for row in rows]))
    outcomes = np.log([row["emd"] for row in rows])
    fidelity = np.log([row["steps"] / rows[-1]["steps"] for row in rows])
    _, design = np.unique(inputs, axis=0, return_inverse=True)
    part = np.array([row["study"] == "parts" for row in rows])
    asked = np.flatnonzero(~part & ~np.isin(design, design[part]))
    found: dict[str, dict[str, dict[str, float]]] = {}
    for count in (60, 100, int(part.sum())):
        known = np.flatnonzero(part)[:count]
        last = np.array([at for at in known if not (design[known[known > at]] == design[at]).any()])
        steps = np.column_stack([inputs, fidelity / LOG_RANGE])
        full, relative = lifted(outcomes[known, None], fidelity[known], design[known])
        processes = {
            "as it is": (GaussianProcess.fit(inputs[last], outcomes[last]), inputs),
            "log steps as a coordinate": (GaussianProcess.fit(steps[known], outcomes[known]), steps),
            "lifted": (GaussianProcess.fit(inputs[known], full[:, 0]), inputs),
            "lifted, with noises": (
                GaussianProcess.fit(inputs[known], full[:, 0], relative=relative[:, 0]),
                inputs,
            ),
        }
        for name, (process, places) in processes.items():
            mean, variance = process.predict(places[asked])
            noisy = variance + process.variance * process.hyperparameters.noise
            error, density = scores(mean, noisy, outcomes[asked])
            bias = float((mean - outcomes[asked]).mean())
            found.setdefault(name, {})[str(count)] = {"error": error, "log_density": density, "bias": bias}
    return found


def measured(surrogate: Surrogate, outcomes: Points) -> dict[str, dict[str, float]]:
    found: dict[str, list[tuple[float, float]]] = {}
    for label, known, asked in splits(len(outcomes)):
        found.setdefault(label, []).append(scores(*surrogate(outcomes, known, asked), outcomes[asked]))
    return {
        label: {
            "error": float(np.mean(pairs, axis=0)[0]),
            "log_density": float(np.mean(pairs, axis=0)[1]),
            "error_of_each": [pair[0] for pair in pairs],
        }
        for label, pairs in found.items()
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    problem = search()
    parts = of_parts(problem)
    for name, at in parts.items():
        figures = (f"{n}: {v['error']:.3f} {v['log_density']:.2f} {v['bias']:+.3f}" for n, v in at.items())
        print(f"{name:26}", *figures, flush=True)
    data = load(problem)
    activity = np.concatenate([data.imputed, data.there.astype(np.float64)], axis=1)
    surrogates: dict[str, Surrogate] = {
        "imputed": light(data.imputed),
        "imputed without costs": light(np.concatenate([data.always, data.inside], axis=1)),
        "imputed and activity": light(activity),
        "arc": arc(data).predict,
        "additive": additive(data, whole=False).predict,
        "imputed plus additive": additive(data, whole=True).predict,
        "forest": forest(data.imputed),
    }
    results = json.loads(FILE.read_text())["surrogates"] if FILE.exists() else {}
    for name in sys.argv[1:] or surrogates:
        results[name] = measured(surrogates[name], data.outcomes)
        row = " ".join(f"{at}: {v['error']:.3f} {v['log_density']:.3f}" for at, v in results[name].items())
        print(f"{name:22} {row}", flush=True)
        write_file(
            FILE,
            json.dumps({"designs": len(data.outcomes), "surrogates": results, "parts": parts}, indent=1)
            + "\n",
        )
