"""Training rung by rung against training each design to the end: hypervolume for a quarter of the steps.

    python benchmarks/quality/fidelity.py [SEEDS]    # some minutes a seed; benchmarks/results/fidelity.json

The study of `examples/demo.toml` without its exports, each strategy with the seeds 0, 1, ...: one trains
`FULL` designs to the end, the other starts `HALVED` and trains one in three on, three times. A network is
worth what it scores as it is, however long it was trained. Hypervolumes are of EMD and the logarithm of the
area, to the budgets as reference point; steps are those of all trainings.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from codesign.config import StudyConfig, load_study_file, start
from codesign.pareto import hypervolume
from codesign.study import Study

ROOT = Path(__file__).parents[2]
FILE = ROOT / "benchmarks" / "results" / "fidelity.json"
FULL, HALVED = 48, 96
STRATEGIES = {"qnehvi": FULL, "qnehvi+asha": HALVED, "random": FULL}


def study(strategy: str, trials: int, seed: int, folder: Path) -> Study:
    base = load_study_file(ROOT / "examples" / "demo.toml").model_dump(exclude_unset=True)
    base |= {"optimiser": strategy, "trials": trials, "seed": seed, "export": []}
    config = StudyConfig.model_validate(base)
    return start(config, config.setup(), folder, None)


def figures(found: Study) -> dict[str, Any]:
    emd, area = (goal.budget for goal in found.objectives)
    assert emd is not None
    assert area is not None
    points = np.array([e.minimised(found.objectives) for e in found.front()]).reshape(-1, 2)
    volume = hypervolume(np.column_stack([points[:, 0], np.log(points[:, 1])]), np.array([emd, np.log(area)]))
    steps = sum(evaluation.steps for evaluation in found.evaluations)
    return {
        "hypervolume": volume,
        "steps": steps,
        "designs": len(found.evaluations),
        "best_emd": float(points[:, 0].min()),
    }


if __name__ == "__main__":
    rows = []
    for seed in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3):
        for strategy, trials in STRATEGIES.items():
            with tempfile.TemporaryDirectory() as folder:
                found = study(strategy, trials, seed, Path(folder) / "study")
                rows.append({"strategy": strategy, "seed": seed, **figures(found)})
                found.close()
            print(json.dumps(rows[-1]), flush=True)
    FILE.write_text(json.dumps(rows, indent=1) + "\n")
