"""Training rung by rung against training each design to the end: hypervolume for a quarter of the steps.

    python benchmarks/quality/fidelity.py [--seeds 3] [--strategies ehvi,ehvi+asha] [--cache FOLDER]

The study of `examples/demo.toml` without its exports and with weights that are not scaled, each strategy
with the seeds 0, 1, ...: one trains `FULL` designs to the end; the others start more, on rungs a factor of 3
apart from 30 or from 89 steps, and train one in three on, as many as a quarter of the steps pays for. A
network is worth what it scores as it is, however long it was trained. Hypervolumes are of EMD and the
logarithm of the area, to the budgets as reference point; `at_a_quarter` is that of the first designs that a
quarter of the steps pays for. With a cache no part of a training is done twice: a training is a function of
network, recipe and seed, and in parts it is the same as at once. A quarter of an hour of CPU a seed for all;
what was measured before is kept in `benchmarks/results/fidelity.json`.
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
from codesign.config import StudyConfig, load_study_file, start
from codesign.evaluation import Evaluation, latest
from codesign.pareto import hypervolume
from codesign.study import Study
from codesign.training import Recipe

ROOT = Path(__file__).parents[2]
FILE = ROOT / "benchmarks" / "results" / "fidelity.json"
FULL, PART = 48, 0.25
STRATEGIES: dict[str, tuple[str, int, dict[str, int]]] = {
    "ehvi": ("ehvi", FULL, {}),
    "ehvi+asha": ("ehvi+asha", 96, {}),
    "ehvi+asha from 89": ("ehvi+asha", 42, {"lowest": 89}),
    "qnehvi": ("qnehvi", FULL, {}),
    "qnehvi+asha": ("qnehvi+asha", 96, {}),
    "qnehvi+asha from 89": ("qnehvi+asha", 42, {"lowest": 89}),
    "random": ("random", FULL, {}),
}


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


def study(strategy: str, seed: int, folder: Path) -> Study:
    optimiser, trials, rungs = STRATEGIES[strategy]
    base = load_study_file(ROOT / "examples" / "demo.toml").model_dump(exclude_unset=True)
    base |= {
        "optimiser": optimiser,
        "trials": trials,
        "seed": seed,
        "export": [],
        "workers": 1,
        "in_flight": 4,
        "recipe": {**base["recipe"], "initial": "glorot"},
    }
    if rungs:
        base["rungs"] = rungs
    config = StudyConfig.model_validate(base)
    return start(config, config.setup(), folder, None)


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--strategies", default=",".join(STRATEGIES))
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()
    if arguments.cache:
        arguments.cache.mkdir(parents=True, exist_ok=True)
        codesign.study._evaluate = cached(codesign.study._evaluate, arguments.cache)
    results = json.loads(FILE.read_text()) if FILE.exists() else {}
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        for strategy in arguments.strategies.split(","):
            with tempfile.TemporaryDirectory() as folder:
                found = study(strategy, seed, Path(folder) / "study")
                results.setdefault(strategy, {})[str(seed)] = row = figures(found)
                found.close()
            print(strategy, seed, json.dumps(row), flush=True)
            FILE.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
