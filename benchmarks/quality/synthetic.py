"""BoTorch's synthetic problems of two objectives, both learnt: hypervolume over evaluations, peers beside.

    python benchmarks/quality/synthetic.py [--methods ours,tpe] [--problems ZDT1] [--seeds 10] [--first 0]

Problems, bounds and reference points are those of `botorch.test_functions.multi_objective`; nothing is known
of either objective. Our optimisers (`ours` is `ehvi`) search a space of `real` parameters, each a grid of
`LEVELS` points from bound to bound, and are told the reference point as budgets (`linear f1<=18`). Peers
search the box: Optuna's samplers by `suggest_float`, BoTorch qLogNEHVI with the reference point as in its
tutorial (2 (d + 1) Sobol points, 10 restarts from 512 samples), and Sobol points.

The goals are medians over seeds. `grid` is what the grid can give where it can be listed, `foreseen` what a
search reaches there that knows both objectives from its ninth evaluation on. What was measured before is kept
in `benchmarks/results/synthetic.json`, which is written after every seed.
"""

import argparse
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from botorch.test_functions.multi_objective import DTLZ2, ZDT1, BraninCurrin
from numpy.typing import NDArray
from peers import absent, dumped, optuna_sampler, provenance

from codesign.evaluation import Evaluation
from codesign.files import write_file
from codesign.metrics import Summary
from codesign.objectives import Objective
from codesign.optimisers import Problem, load_optimiser
from codesign.optimisers.proposing import START
from codesign.pareto import hypervolume, non_dominated
from codesign.space import SearchSpace, real

FILE = Path(__file__).parents[1] / "results" / "synthetic.json"
PROBLEMS = {
    "BraninCurrin": BraninCurrin(),
    "ZDT1": ZDT1(dim=6, num_objectives=2),
    "DTLZ2": DTLZ2(dim=6, num_objectives=2),
}
GOALS = {"BraninCurrin": {30: 57.5, 50: 58.5}, "ZDT1": {50: 120.5}, "DTLZ2": {50: 0.36}}
LEVELS = {"BraninCurrin": 513, "ZDT1": 65, "DTLZ2": 65}
EVALUATIONS = 50
OURS = {"ours": "ehvi", "ours-qnehvi": "qnehvi"}
PEERS = {"tpe": "optuna", "nsga2": "optuna", "qlognehvi": "botorch", "sobol": "botorch"}

Values = NDArray[np.float64]
Asked = Iterator[tuple[Values, float]]


def values_at(test: Any, points: Values) -> Values:
    """Objectives ``(n, 2)``, minimised, at points ``(n, d)`` within the bounds."""
    found: Values = test.evaluate_true(torch.from_numpy(np.atleast_2d(points))).numpy()
    return found


def grid(name: str) -> SearchSpace:
    low, high = PROBLEMS[name].bounds.tolist()
    bounds = enumerate(zip(low, high, strict=True))
    return SearchSpace(name.lower(), tuple(real(f"x{i}", a, b, levels=LEVELS[name]) for i, (a, b) in bounds))


def ours(method: str, name: str, seed: int) -> Asked:
    """Points of one of our optimisers and the CPU seconds of each."""
    worst = enumerate(PROBLEMS[name].ref_point.tolist(), start=1)
    goals = tuple(Objective(f"f{i}", budget=value, scale="linear") for i, value in worst)
    search = Problem(grid(name), goals, lambda codes: {}, frozenset())
    optimiser, history = load_optimiser(OURS[method]), list[Evaluation]()
    while True:
        started = process_time()
        proposal = optimiser.propose(search, history, [], np.random.default_rng([seed, len(history)]))
        assert proposal is not None
        seconds = process_time() - started
        candidate = proposal.candidate
        point = np.array([candidate[each] for each in search.space.names], dtype=np.float64)
        yield point, seconds
        pair = values_at(PROBLEMS[name], point)[0]
        metrics = {f"f{i + 1}": Summary.of([float(value)]) for i, value in enumerate(pair)}
        history.append(Evaluation(len(history), candidate, proposal.origin, "ok", metrics=metrics))


def optuna_asked(method: str, name: str, seed: int) -> Asked:
    import optuna

    study = optuna.create_study(directions=["minimize"] * 2, sampler=optuna_sampler(method, seed))
    low, high = PROBLEMS[name].bounds.tolist()
    while True:
        started = process_time()
        trial = study.ask()
        bounds = enumerate(zip(low, high, strict=True))
        point = np.array([trial.suggest_float(f"x{i}", a, b) for i, (a, b) in bounds])
        seconds = process_time() - started
        yield point, seconds
        study.tell(trial, values_at(PROBLEMS[name], point)[0].tolist())


def sobol(method: str, name: str, seed: int) -> Asked:
    test = PROBLEMS[name]
    points = torch.quasirandom.SobolEngine(test.dim, scramble=True, seed=seed).draw(EVALUATIONS).double()
    for point in (test.bounds[0] + (test.bounds[1] - test.bounds[0]) * points).numpy():
        yield point, 0.0


def qlognehvi(method: str, name: str, seed: int) -> Asked:
    import botorch.acquisition.multi_objective.logei as logei
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import ModelListGP, SingleTaskGP
    from botorch.optim import optimize_acqf
    from gpytorch.mlls import SumMarginalLogLikelihood

    logei._load_attempted = True  # no compilation
    warnings.simplefilter("ignore")
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    test = PROBLEMS[name]
    width, unit = test.bounds[1] - test.bounds[0], torch.stack([torch.zeros(test.dim), torch.ones(test.dim)])
    inputs = (
        torch.quasirandom.SobolEngine(test.dim, scramble=True, seed=seed).draw(2 * (test.dim + 1)).double()
    )
    for point in (test.bounds[0] + width * inputs).numpy():
        yield point, 0.0
    while True:
        started = process_time()
        merit = -test.evaluate_true(test.bounds[0] + width * inputs)
        models = ModelListGP(*(SingleTaskGP(inputs, merit[:, [index]]) for index in range(2)))
        fit_gpytorch_mll(SumMarginalLogLikelihood(models.likelihood, models))
        acquisition = logei.qLogNoisyExpectedHypervolumeImprovement(
            model=models, ref_point=-test.ref_point, X_baseline=inputs, prune_baseline=True
        )
        best, _ = optimize_acqf(acquisition, unit.double(), q=1, num_restarts=10, raw_samples=512)
        inputs = torch.cat([inputs, best])
        yield (test.bounds[0] + width * best[0]).numpy(), process_time() - started


SEARCHES = {"tpe": optuna_asked, "nsga2": optuna_asked, "sobol": sobol, "qlognehvi": qlognehvi}


def searched(method: str, name: str, seed: int) -> dict[str, Any]:
    """Hypervolume after each evaluation, and CPU seconds a proposal."""
    asked = SEARCHES.get(method, ours)(method, name, seed)
    corner = PROBLEMS[name].ref_point.numpy()
    points, volumes, seconds = np.empty((0, 2)), [], 0.0
    for point, spent in asked:
        seconds += spent
        points = np.concatenate([points, values_at(PROBLEMS[name], point)])
        volumes.append(float(f"{hypervolume(points, corner):.6g}"))
        if len(volumes) == EVALUATIONS:
            break
    return {"seed": seed, "volumes": volumes, "cpu_s_per_proposal": seconds / EVALUATIONS}


def of_grid(name: str) -> float | None:
    """Hypervolume of all points of a grid of two parameters."""
    space = grid(name)
    if len(space.columns) > 2:
        return None
    axis = np.array(space.columns[0].parameter.values, dtype=np.float64)
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    return hypervolume(values_at(PROBLEMS[name], points), PROBLEMS[name].ref_point.numpy())


def foreseen(name: str) -> dict[int, float] | None:
    """Hypervolume of a search that knows both objectives and takes the largest gain, once it has started.

    The designs that it starts from are lost: the rest of the evaluations is what it has.
    """
    space = grid(name)
    if len(space.columns) > 2:
        return None
    axis = np.array(space.columns[0].parameter.values, dtype=np.float64)
    corner = PROBLEMS[name].ref_point.numpy()
    points = values_at(PROBLEMS[name], np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2))
    points = points[non_dominated(points) & (points < corner).all(axis=1)]
    chosen, found = points[:0], {}
    for evaluation in range(START + 1, EVALUATIONS + 1):
        front = chosen[chosen[:, 0].argsort()]
        left, right = np.append(-np.inf, front[:, 0]), np.append(front[:, 0], corner[0])
        below = np.append(corner[1], front[:, 1])
        widths = np.maximum(right - np.maximum(points[:, :1], left), 0)
        gains = (widths * np.maximum(below - points[:, 1:], 0)).sum(axis=1)
        chosen = np.concatenate([chosen, points[[gains.argmax()]]])
        if evaluation in (30, 50):
            found[evaluation] = float(f"{hypervolume(chosen, corner):.6g}")
    return found


def show(results: dict[str, Any]) -> None:
    for name, volumes in results["foreseen"].items():
        if volumes:
            told = ", ".join(f"{volume:.4g} at {at}" for at, volume in volumes.items())
            print(f"{name:13} {'with foresight':12} {told}")
    for name, methods in results["problems"].items():
        for method, found in methods.items():
            volumes = np.array([run["volumes"] for run in found["runs"]])
            told = [
                f"{np.median(volumes[:, at - 1]):.4g} (least {volumes[:, at - 1].min():.4g}"
                + (f", goal {GOALS[name][at]:g})" if at in GOALS[name] else ")")
                for at in (30, 50)
            ]
            seconds = np.median([run["cpu_s_per_proposal"] for run in found["runs"]])
            print(
                f"{name:13} {method:12} at 30 {told[0]}, at 50 {told[1]}; {len(volumes)} seeds, "
                f"{seconds:.3f} s"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", default=",".join((*OURS, *PEERS)))
    parser.add_argument("--problems", default=",".join(PROBLEMS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="first seed; those before are kept")
    options = parser.parse_args()
    results = json.loads(FILE.read_text()) if FILE.is_file() else {"problems": {}}
    results |= {
        "levels": LEVELS,
        "grid": {name: of_grid(name) for name in PROBLEMS},
        "reference": {name: test.ref_point.tolist() for name, test in PROBLEMS.items()},
        "goals": GOALS,
        "foreseen": {name: foreseen(name) for name in PROBLEMS},
    }
    for method in filter(None, options.methods.split(",")):
        if absent(PEERS, method):
            continue
        for name in options.problems.split(","):
            methods = results["problems"].setdefault(name, {})
            before = methods.get(method, {"runs": []})["runs"]
            runs = [run for run in before if run["seed"] < options.first]
            for seed in range(options.first, options.seeds):
                runs.append(searched(method, name, seed))
                print(name, method, seed, runs[-1]["volumes"][29], runs[-1]["volumes"][-1], flush=True)
                methods[method] = {"runs": runs, **provenance()}
                write_file(FILE, dumped(results))
    show(results)


if __name__ == "__main__":
    main()
