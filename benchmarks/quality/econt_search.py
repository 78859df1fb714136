"""Search strategies on the ECON-T space with an emulated EMD.

    python benchmarks/quality/econt_search.py [SEEDS]    # benchmarks/results/econt-search.json

The EMD of a design is the posterior mean of a Gaussian process that was fitted once to designs really trained
(`benchmarks/results/econt-designs.json.gz`: random designs of the study of `examples/demo.toml`, 2,000 steps
each); the area is the hardware model's, known exactly, as in a study. So strategies are compared on the shape
of the real problem, not on the problem. Hypervolumes are of the logarithms of both, up to the budgets.

    codesign run random.toml --out DIR          # as examples/demo.toml, optimiser random, seed 20261127
    python benchmarks/quality/econt_search.py --from DIR    # writes the designs anew
"""

import gzip
import json
import sys
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.config import load_study_file
from codesign.evaluation import Evaluation
from codesign.insight import surrogate_errors
from codesign.metrics import Summary
from codesign.objectives import Objective
from codesign.optimisers import Optimiser, Problem, load_optimiser
from codesign.optimisers.gaussian import GaussianProcess
from codesign.optimisers.proposing import coordinates
from codesign.pareto import hypervolume
from codesign.study import Study
from search_spaces import econt

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
DESIGNS, FILE = RESULTS / "econt-designs.json.gz", RESULTS / "econt-search.json"
STRATEGIES = ("ehvi", "qnehvi", "nsga2", "sherlock", "random")
TRIALS, RANDOM_TRIALS = 60, 200


def store(folder: str) -> None:
    """Write the designs of a study."""
    study = Study.read(folder)
    with study.store:
        rows = [
            {"candidate": dict(e.candidate.values), "emd": e.value("emd"), "steps": e.steps}
            for e in study.evaluations
            if e.ok
        ]
    DESIGNS.write_bytes(gzip.compress(json.dumps(rows, separators=(",", ":")).encode(), mtime=0))
    print(f"{DESIGNS}: {len(rows)} designs")


def problem() -> Problem:
    """The demo's, without its data."""
    config = load_study_file(ROOT / "examples" / "demo.toml")
    config = config.model_copy(update={"data": {"wafers": 500}})
    return config.setup().problem


class Emulator:
    """EMD of any candidate."""

    def __init__(self, search: Problem) -> None:
        rows = json.loads(gzip.decompress(DESIGNS.read_bytes()))
        self.problem, self.emd = search, np.array([row["emd"] for row in rows])
        candidates = [econt.SPACE.candidate(row["candidate"]) for row in rows]
        inputs = coordinates(search, econt.SPACE.encode(candidates))
        self.process = GaussianProcess.fit(inputs, np.log(self.emd))
        trained = [
            Evaluation(index, candidate, "random", "ok", metrics={"emd": Summary.of([value])})
            for index, (candidate, value) in enumerate(zip(candidates, self.emd, strict=True))
        ]
        self.error = surrogate_errors(econt.SPACE, trained, [Objective("emd")])["emd"]

    def __call__(self, codes: NDArray[np.int16]) -> NDArray[np.float64]:
        """EMD of each row, ``(n,)``."""
        found: NDArray[np.float64] = np.exp(self.process.predict(coordinates(self.problem, codes))[0])
        return found


def searched(optimiser: Optimiser, search: Problem, emulator: Emulator, trials: int, seed: int) -> Any:
    """Hypervolume after each trial, and CPU seconds of the proposals."""
    history: list[Evaluation] = []
    points, volumes, seconds = [], [], 0.0
    corner = np.log([goal.budget for goal in search.objectives if goal.budget is not None])
    for number in range(trials):
        started = process_time()
        if number == 0 and search.baseline is not None:
            candidate, origin = search.baseline, "baseline"
        else:
            proposal = optimiser.propose(search, history, [], np.random.default_rng([seed, number]))
            assert proposal is not None
            candidate, origin = proposal.candidate, proposal.origin
        seconds += process_time() - started
        codes = search.space.encode([candidate])
        emd, costs = float(emulator(codes)[0]), search.price(codes)
        history.append(
            Evaluation(
                number,
                candidate,
                origin,
                "ok",
                metrics={"emd": Summary.of([emd])},
                costs={name: float(values[0]) for name, values in costs.items()},
            )
        )
        points.append(np.log(history[-1].minimised(search.objectives)))
        volumes.append(hypervolume(np.array(points), corner))
    return volumes, seconds / trials


if __name__ == "__main__":
    if "--from" in sys.argv:
        store(sys.argv[2])
        sys.exit()
    seeds = range(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
    search = problem()
    emulator = Emulator(search)
    rows = []
    for seed in seeds:
        for name in STRATEGIES:
            trials = RANDOM_TRIALS if name == "random" else TRIALS
            volumes, seconds = searched(load_optimiser(name), search, emulator, trials, seed)
            rows.append({"strategy": name, "seed": seed, "volumes": volumes, "seconds_a_proposal": seconds})
            print(name, seed, f"{volumes[TRIALS - 1]:.3f}", f"{seconds:.3f} s a proposal", flush=True)
    bar = float(np.median([row["volumes"][-1] for row in rows if row["strategy"] == "random"]))
    result: dict[str, Any] = {"designs": len(emulator.emd), "emulator_error": emulator.error, "bar": bar}
    for name in STRATEGIES:
        own = [row for row in rows if row["strategy"] == name]
        reached = [next((i + 1 for i, v in enumerate(row["volumes"]) if v >= bar), None) for row in own]
        result[name] = {
            "hypervolume_at_60": [row["volumes"][TRIALS - 1] for row in own],
            "trials_to_the_bar": reached,
            "seconds_a_proposal": float(np.median([row["seconds_a_proposal"] for row in own])),
        }
    FILE.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({name: result[name]["trials_to_the_bar"] for name in STRATEGIES}))
