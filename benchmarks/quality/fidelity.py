"""Training rung by rung against training each design to the end: hypervolume for a quarter of the steps.

    python benchmarks/quality/fidelity.py [--seeds 3] [--strategies ehvi,ehvi+asha] [--cache FOLDER]

The study of `examples/demo.toml` without its exports, each strategy with the seeds 0, 1, ...: one trains
`FULL` designs to the end, the other starts `HALVED` and trains one in three on, three times. A network is
worth what it scores as it is, however long it was trained. Hypervolumes are of EMD and the logarithm of the
area, to the budgets as reference point; steps are those of all trainings. With a cache no part of a training
is done twice: a training is a function of network, recipe and seed, and in parts it is the same as at once.
Some minutes a seed; strategies that were measured before are kept in `benchmarks/results/fidelity.json`.
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
from codesign.pareto import hypervolume
from codesign.study import Study
from codesign.training import Recipe

ROOT = Path(__file__).parents[2]
FILE = ROOT / "benchmarks" / "results" / "fidelity.json"
FULL, HALVED = 48, 96
STRATEGIES = {"qnehvi": FULL, "qnehvi+asha": HALVED, "ehvi": FULL, "ehvi+asha": HALVED, "random": FULL}


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


def study(strategy: str, trials: int, seed: int, folder: Path) -> Study:
    base = load_study_file(ROOT / "examples" / "demo.toml").model_dump(exclude_unset=True)
    base |= {
        "optimiser": strategy,
        "trials": trials,
        "seed": seed,
        "export": [],
        "workers": 1,
        "in_flight": 4,
    }
    config = StudyConfig.model_validate(base)
    return start(config, config.setup(), folder, None)


def figures(found: Study) -> dict[str, Any]:
    emd, area = (goal.budget for goal in found.objectives)
    assert emd is not None
    assert area is not None
    points = np.array([e.minimised(found.objectives) for e in found.front()]).reshape(-1, 2)
    volume = hypervolume(np.column_stack([points[:, 0], np.log(points[:, 1])]), np.array([emd, np.log(area)]))
    trained = found.evaluations
    return {
        "hypervolume": volume,
        "steps": sum(evaluation.steps for evaluation in trained),
        "designs": len(trained),
        "trained_in_full": sum(evaluation.steps == found.meta["recipe"]["steps"] for evaluation in trained),
        "best_emd": float(points[:, 0].min()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--strategies", default=",".join(STRATEGIES))
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()
    if arguments.cache:
        arguments.cache.mkdir(parents=True, exist_ok=True)
        codesign.study._evaluate = cached(codesign.study._evaluate, arguments.cache)
    results = json.loads(FILE.read_text()) if FILE.exists() else {}
    for seed in range(arguments.seeds):
        for strategy in arguments.strategies.split(","):
            with tempfile.TemporaryDirectory() as folder:
                found = study(strategy, STRATEGIES[strategy], seed, Path(folder) / "study")
                results.setdefault(strategy, {})[str(seed)] = row = figures(found)
                found.close()
            print(strategy, seed, json.dumps(row), flush=True)
            FILE.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
