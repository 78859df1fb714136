"""Training rung by rung against training each design to the end: hypervolume for a quarter of the steps.

    python benchmarks/quality/fidelity.py [--seeds 5] [--strategies qnehvi,qnehvi+asha] [--recipe constant]
    python benchmarks/quality/fidelity.py --strategies qnehvi+asha+finish

The study of `examples/demo.toml` without its exports, each strategy with the seeds 0, 1, ...: one trains
`FULL` designs to the end; the other starts more, on rungs a factor of 3 apart from 89 steps, and trains one
in three on, as many as a quarter of the steps pays for. With `+finish` it starts seven ninths as many, and
in the end trains the front on until no design on it was trained in part. A network is worth what it scores
as it is, however long it was trained. Hypervolumes are of EMD and the logarithm of the area, to the budgets
as reference point; `at_a_quarter` is that of the first designs that a quarter of the steps pays for.

What the first rungs tell depends on the schedule. `constant`: 2,400 steps at one rate, as the published study
trains. `cosine`: 800 steps at a rate that falls to 0, from weights that are not scaled; a network that is
stopped early has seen high rates only.

With a cache no part of a training is done twice: a training is a function of network, recipe and seed, and in
parts it is the same as at once. Some six CPU minutes a seed and recipe for two strategies; what was measured
before is kept in `benchmarks/results/fidelity.json`.
"""

import argparse
import hashlib
import json
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import codesign.study
from codesign.config import StudyConfig, go_on, load_study_file, start
from codesign.evaluation import Evaluation, latest
from codesign.pareto import hypervolume
from codesign.study import Study
from codesign.training import Recipe

ROOT = Path(__file__).parents[2]
FILE = ROOT / "benchmarks" / "results" / "fidelity.json"
FULL, PART = 48, 0.25
LOWEST = 89
RECIPES: dict[str, tuple[int, dict[str, Any]]] = {
    "constant": (108, {"steps": 2400, "schedule": "constant", "learning_rate": 4e-3}),
    "cosine": (42, {"initial": "glorot"}),
}
"""How many designs a quarter of the steps pays for in rungs, and what differs from the recipe of the demo."""
FINISH = "+finish"
STRATEGIES = ("qnehvi", "qnehvi+asha", f"qnehvi+asha{FINISH}", "ehvi", "ehvi+asha")


def cached(train: Callable[..., Any], folder: Path) -> Callable[..., Any]:
    """A training that looks into a folder first."""

    def evaluate(context: Any, **job: Any) -> Any:
        parts = [*context, *(value for name, value in job.items() if name not in ("until", "go_on"))]
        described = [_plain(part) for part in parts] + [job.get("until") or _steps(parts)]
        path = folder / hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
        if not path.exists():
            path.write_bytes(pickle.dumps(train(context, **job)))
        return pickle.loads(path.read_bytes())

    return evaluate


def _plain(part: Any) -> Any:
    """What identifies a part of a job: a task, a recipe, a seed or a network."""
    if isinstance(part, int):
        return part
    return part.describe() if hasattr(part, "describe") else part.to_dict()


def _steps(parts: list[Any]) -> int:
    """Of a full training."""
    return next(part.steps for part in parts if isinstance(part, Recipe))


def study(strategy: str, recipe: str, seed: int, folder: Path) -> Study:
    many, changes = RECIPES[recipe]
    base = load_study_file(ROOT / "examples" / "demo.toml").model_dump(exclude_unset=True)
    finish = strategy.endswith(FINISH)
    base |= {
        "optimiser": strategy.removesuffix(FINISH),
        "trials": FULL,
        "seed": seed,
        "export": [],
        "workers": 1,
        "in_flight": 4,
        "recipe": {**base["recipe"], **changes},
    }
    if "+asha" in strategy:
        base |= {"trials": 7 * many // 9 if finish else many, "rungs": {"lowest": LOWEST}}
    config = StudyConfig.model_validate(base)
    setup = config.setup()
    found = start(config, setup, folder, None)
    if not finish:
        return found
    found.close()
    return go_on(folder, setup, config.trials, None, finish=True)


def volume(found: Study, evaluations: list[Evaluation]) -> float:
    emd, area = (goal.budget for goal in found.objectives)
    assert emd is not None
    assert area is not None
    ended = [each.minimised(found.objectives) for each in evaluations if each.ok]
    points = np.array(ended).reshape(-1, 2)
    return hypervolume(np.column_stack([points[:, 0], np.log(points[:, 1])]), np.array([emd, np.log(area)]))


def figures(found: Study) -> dict[str, Any]:
    trained, steps = found.evaluations, found.meta["recipe"]["steps"]
    before: dict[str, int] = {}
    spent = []
    for each in found.history:
        spent.append(each.steps - before.get(each.candidate.digest, 0))
        before[each.candidate.digest] = max(each.steps, before.get(each.candidate.digest, 0))
    paid = int((np.cumsum(spent) <= PART * FULL * steps).sum())
    return {
        "hypervolume": volume(found, trained),
        "at_a_quarter": volume(found, latest(found.history[:paid])),
        "steps": sum(spent),
        "designs": len(trained),
        "trained_in_full": sum(each.steps == steps for each in trained),
        "best_emd": min(each.value("emd") for each in trained if each.ok),
    }


def show(results: dict[str, Any]) -> None:
    """Of each recipe the hypervolumes, seed by seed: in the end, and what a quarter of the steps paid for."""
    for recipe, strategies in results.items():
        for strategy, seeds in strategies.items():
            for at in ("hypervolume", "at_a_quarter"):
                found = ", ".join(f"{row[at]:.2f}" for row in seeds.values())
                print(f"{recipe:9} {strategy:12} {at:12} {found}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--strategies", default="qnehvi,qnehvi+asha", help=f"some of {', '.join(STRATEGIES)}")
    parser.add_argument("--recipe", choices=RECIPES, default="constant")
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()
    if arguments.cache:
        arguments.cache.mkdir(parents=True, exist_ok=True)
        codesign.study._evaluate = cached(codesign.study._evaluate, arguments.cache)
    results = json.loads(FILE.read_text()) if FILE.exists() else {}
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        for strategy in filter(None, arguments.strategies.split(",")):
            with tempfile.TemporaryDirectory() as folder:
                found = study(strategy, arguments.recipe, seed, Path(folder) / "study")
                row = figures(found)
                results.setdefault(arguments.recipe, {}).setdefault(strategy, {})[str(seed)] = row
                found.close()
            print(strategy, seed, json.dumps(row), flush=True)
            FILE.write_text(json.dumps(results, indent=1) + "\n")
    show(results)


if __name__ == "__main__":
    main()
