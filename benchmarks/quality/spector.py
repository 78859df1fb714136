"""Search over tables of real FPGA designs: how near to the front after 20, 50 and 100 evaluations.

The tables are the Spector suite's (Gautier, Althoff, Meng, Kastner, *Spector: an OpenCL FPGA benchmark
suite*, FPT 2016; https://github.com/KastnerRG/spector, BSD 3-Clause) and the SLAM space of Sherlock
(https://github.com/KastnerRG/sherlock, CC BY 4.0), as CSV files with columns ``knob_*``, ``time`` and
``logic`` (or ``error``), both minimised. The folder is an argument or ``CODESIGN_SPECTOR``.

ADRS and hypervolume ratio: see ``codesign.table.trace``. Over seeds the median (of the ratio the mean), over
spaces the geometric mean of the ADRS with a floor of 1e-4. Peers see the same rows. Optuna's samplers choose
ranks of knobs and are given the nearest row not yet evaluated. qLogNEHVI scores every row that is left, on
ranks of knobs and negated objectives, from ten random rows, with the reference point that BoTorch infers.

Run: ``python benchmarks/quality/spector.py FOLDER [--methods ours,known,random] [--spaces fir,mm]``. What was
measured before, of other methods and spaces, is kept in ``benchmarks/results/spector.json``, which is written
after every space. Peers that are not installed are left out; ``--methods ''`` shows what is there.
"""

import argparse
import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from peers import absent, dumped, optuna_sampler, provenance
from threadpoolctl import threadpool_limits

from codesign.files import write_file
from codesign.table import search_table, trace

RESULTS = Path(__file__).parents[1] / "results" / "spector.json"
BUDGETS = (20, 50, 100)
NEAR = 0.02
FLOOR = 1e-4
RANDOM_START = 10
METHODS = {
    "ours": "both learnt",
    "known": "second objective known",
    "random": "random search",
    "tpe": "Optuna TPE, multivariate",
    "nsga2": "Optuna NSGA-II",
    "qlognehvi": "BoTorch qLogNEHVI",
}
PACKAGES = {"tpe": "optuna", "nsga2": "optuna", "qlognehvi": "botorch"}
MOST_ADRS = {
    "ours": {"20": 0.009, "50": 0.0015, "100": 0.0003},
    "known": {"20": 0.0035, "50": 0.0004, "100": 0.0001},
}
OVER = {"ours": "all", "known": "fpga"}  # known is the logic, which the SLAM space has not
LEAST_RATIO = {"ours": {"20": 0.960, "50": 0.995}, "known": {"20": 0.994, "50": 0.999}}

Points = NDArray[np.float64]
Search = Callable[[pd.DataFrame, Points, list[str], int, int], list[int]]


def ours(knobs: pd.DataFrame, values: Points, names: list[str], evaluations: int, seed: int) -> list[int]:
    goals = dict.fromkeys(names, "min")
    return search_table(
        knobs, lambda row: dict(zip(names, values[row], strict=True)), goals, evaluations, seed=seed
    )


def known(knobs: pd.DataFrame, values: Points, names: list[str], evaluations: int, seed: int) -> list[int]:
    exact = pd.DataFrame({names[1]: values[:, 1]})
    goals = dict.fromkeys(names, "min")
    return search_table(
        knobs, lambda row: {names[0]: values[row, 0]}, goals, evaluations, known=exact, seed=seed
    )


def at_random(
    knobs: pd.DataFrame, values: Points, names: list[str], evaluations: int, seed: int
) -> list[int]:
    return np.random.default_rng(seed).permutation(len(knobs))[:evaluations].tolist()


def ranks(knobs: pd.DataFrame) -> tuple[NDArray[np.int64], list[int]]:
    """Rank of each value among its knob's, and the number of values, of knobs that vary."""
    columns = [np.unique(knobs[name], return_inverse=True) for name in knobs if knobs[name].nunique() > 1]
    return np.stack([rank for _, rank in columns], axis=1), [len(levels) for levels, _ in columns]


def optuna_search(sampler: str) -> Search:
    def search(
        knobs: pd.DataFrame, values: Points, names: list[str], evaluations: int, seed: int
    ) -> list[int]:
        import optuna

        study = optuna.create_study(directions=["minimize"] * 2, sampler=optuna_sampler(sampler, seed))
        places, levels = ranks(knobs)
        scaled = places / (np.array(levels) - 1)
        left, order = np.ones(len(knobs), dtype=bool), list[int]()
        for _ in range(min(evaluations, len(knobs))):
            trial = study.ask()
            wanted = [trial.suggest_int(f"k{index}", 0, count - 1) for index, count in enumerate(levels)]
            away = ((scaled - np.array(wanted) / (np.array(levels) - 1)) ** 2).sum(axis=1)
            row = int(np.where(left, away, np.inf).argmin())
            left[row] = False
            order.append(row)
            study.tell(trial, values[row].tolist())
        return order

    return search


def qlognehvi(
    knobs: pd.DataFrame, values: Points, names: list[str], evaluations: int, seed: int
) -> list[int]:
    import botorch.acquisition.multi_objective.logei as logei
    import torch
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import ModelListGP, SingleTaskGP
    from botorch.utils.multi_objective.hypervolume import infer_reference_point
    from botorch.utils.multi_objective.pareto import is_non_dominated
    from gpytorch.mlls import SumMarginalLogLikelihood

    logei._load_attempted = True  # no compilation
    warnings.simplefilter("ignore")
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    places, levels = ranks(knobs)
    inputs, merit = torch.tensor(places / (np.array(levels) - 1)), torch.tensor(-values)
    order = np.random.default_rng(seed).permutation(len(knobs))[:RANDOM_START].tolist()
    while len(order) < min(evaluations, len(knobs)):
        left = np.setdiff1d(np.arange(len(knobs)), order)
        seen = merit[order]
        models = ModelListGP(*(SingleTaskGP(inputs[order], seen[:, [index]]) for index in range(2)))
        fit_gpytorch_mll(SumMarginalLogLikelihood(models.likelihood, models))
        acquisition = logei.qLogNoisyExpectedHypervolumeImprovement(
            model=models,
            ref_point=infer_reference_point(seen[is_non_dominated(seen)]),
            X_baseline=inputs[order],
            prune_baseline=True,
        )
        with torch.no_grad():
            scores = torch.cat([acquisition(chunk[:, None]) for chunk in inputs[left].split(128)])
        order.append(int(left[scores.argmax()]))
    return order


SEARCHES: dict[str, Search] = {
    "ours": ours,
    "known": known,
    "random": at_random,
    "tpe": optuna_search("tpe"),
    "nsga2": optuna_search("nsga2"),
    "qlognehvi": qlognehvi,
}


def measure(method: str, path: Path, seeds: int, evaluations: int) -> dict[str, Any]:
    """Figures of a method on a space."""
    table = pd.read_csv(path)
    names = ["time", "error" if "error" in table else "logic"]
    knobs, values = table.filter(like="knob_"), table[names].to_numpy(dtype=np.float64)
    start = process_time()
    scores = []
    for seed in range(seeds):
        order = SEARCHES[method](knobs, values, names, evaluations, seed)
        scores.append(trace(values, ["min", "min"], order))
    adrs = np.array([score.adrs for score in scores])
    ratio = np.array([score.hypervolume_ratio for score in scores])
    near = [int((row <= NEAR).argmax()) + 1 if (row <= NEAR).any() else None for row in adrs]
    budgets = [budget for budget in BUDGETS if budget <= evaluations]
    return {
        "adrs": {str(budget): float(np.median(adrs[:, budget - 1])) for budget in budgets},
        "hypervolume_ratio": {str(budget): float(ratio[:, budget - 1].mean()) for budget in budgets},
        "evaluations_to_2_percent": near,
        "cpu_s_per_search": (process_time() - start) / seeds,
        "seeds": seeds,
    }


def summary(spaces: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """Over the named spaces: geometric mean of the ADRS, mean of the ratio, median of the evaluations."""
    chosen = [spaces[name] for name in names]
    budgets = [at for at in chosen[0]["adrs"] if all(at in each["adrs"] for each in chosen)]
    logs = {at: np.mean([np.log(max(each["adrs"][at], FLOOR)) for each in chosen]) for at in budgets}
    near = [
        median([n if n is not None else np.inf for n in each["evaluations_to_2_percent"]]) for each in chosen
    ]
    reached = float(np.median(near))
    return {
        "adrs": {at: float(np.exp(log)) for at, log in logs.items()},
        "hypervolume_ratio": {
            at: float(np.mean([each["hypervolume_ratio"][at] for each in chosen])) for at in budgets
        },
        "evaluations_to_2_percent": reached if np.isfinite(reached) else None,
        "spaces": len(names),
    }


def show(results: dict[str, Any]) -> None:
    for method, found in results["methods"].items():
        for label in ("all", "fpga"):
            if label in found:
                over = found[label]
                figures = " ".join(f"{value:.5f}" for value in over["adrs"].values())
                ratios = " ".join(f"{value:.3f}" for value in over["hypervolume_ratio"].values())
                near = over["evaluations_to_2_percent"]
                print(f"{METHODS[method]:26} {label:5} ADRS {figures:24}  HVR {ratios:18}  to 2 %: {near}")
    for each in short(results["methods"]):
        print("behind its goal:", each)
    worst = results.get("lost_to_random", [])
    print("spaces lost to random search:", ", ".join(worst) if worst else "none")


def lost(methods: dict[str, Any]) -> list[str]:
    """Spaces and budgets where we are behind random search."""
    if not {"ours", "random"} <= set(methods):
        return []
    pairs = methods["ours"]["spaces"], methods["random"]["spaces"]
    return sorted(
        f"{name} at {at}"
        for name in pairs[0].keys() & pairs[1].keys()
        for at, value in pairs[0][name]["adrs"].items()
        if at in pairs[1][name]["adrs"] and value > pairs[1][name]["adrs"][at]
    )


def short(methods: dict[str, Any]) -> list[str]:
    """What is behind its goal."""
    found = []
    for method in MOST_ADRS.keys() & methods.keys():
        over = methods[method][OVER[method]]
        for at, bound in MOST_ADRS[method].items():
            if over["adrs"].get(at, 0.0) > bound:
                found.append(f"{method}: ADRS at {at} is {over['adrs'][at]:.3g}, goal {bound:g}")
        for at, bound in LEAST_RATIO[method].items():
            if over["hypervolume_ratio"].get(at, 1.0) < bound:
                found.append(f"{method}: HVR at {at} is {over['hypervolume_ratio'][at]:.4f}, goal {bound:g}")
    return sorted(found)


def recorded(results: dict[str, Any], method: str, spaces: dict[str, Any]) -> None:
    """Write a method's figures, those of all spaces together too."""
    fpga = [name for name in spaces if not name.startswith("slambench")]
    results["methods"][method] = {
        "all": summary(spaces, list(spaces)),
        "fpga": summary(spaces, fpga or list(spaces)),
        "spaces": spaces,
        **provenance(),
    }
    results["lost_to_random"] = lost(results["methods"])
    write_file(RESULTS, dumped(results))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default=os.environ.get("CODESIGN_SPECTOR"), type=Path)
    parser.add_argument("--methods", default="ours,known,random,tpe,nsga2,qlognehvi")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--spaces", default="", help="some of the tables, by name; all by default")
    parser.add_argument("--evaluations", type=int, default=max(BUDGETS))
    options = parser.parse_args()
    if options.folder is None or not list(Path(options.folder).glob("*.csv")):
        parser.error("give the folder of the tables, or set CODESIGN_SPECTOR; see the top of this script")
    paths = sorted(Path(options.folder).glob("*.csv"))
    wanted = options.spaces.split(",") if options.spaces else [path.stem for path in paths]
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {"methods": {}}
    for method in filter(None, options.methods.split(",")):
        if absent(PACKAGES, method):
            continue
        before = results["methods"].get(method, {"spaces": {}})["spaces"]
        spaces = {name: found for name, found in before.items() if name not in wanted}
        for path in (path for path in paths if path.stem in wanted):
            with threadpool_limits(1):
                spaces[path.stem] = measure(method, path, options.seeds, options.evaluations)
            print(method, path.stem, spaces[path.stem]["adrs"], flush=True)
            recorded(results, method, dict(sorted(spaces.items())))
    show(results)


if __name__ == "__main__":
    main()
