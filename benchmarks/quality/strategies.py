"""Hypervolume over evaluations of every optimiser, on the ECON-T space with a stand-in for the trained loss.

    python benchmarks/quality/strategies.py [OPTIMISER ...]    # half an hour; writes results/strategies.json

The area is that of the hardware model, known exactly before an evaluation. **The loss is a formula and no
training**: it falls with operations and bits, with diminishing returns, and rises where the widths of layers
differ from the ones before. It ranks strategies on a space of this size and shape and says nothing of ECON-T.
The hypervolume is of the logarithms of both, below 1.5 times the baseline's loss and 4 times its area.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codesign.evaluation import Evaluation
from codesign.hardware import Device
from codesign.hardware.estimate import COST_UNITS
from codesign.metrics import Summary
from codesign.objectives import Objective
from codesign.optimisers import OPTIMISERS, Problem, load_optimiser
from codesign.pareto import hypervolume
from hardware_models.asic import AsicModel
from search_spaces import econt

TRIALS, SEEDS, AT = 40, (0, 1, 2), (10, 20, 30, 40)
FILE = Path(__file__).parents[1] / "results" / "strategies.json"
SPACE = econt.SPACE

Codes = NDArray[np.int16]
Points = NDArray[np.float64]


def price(codes: Codes) -> dict[str, Points]:
    return dict(AsicModel().price(econt.workload(codes), Device()))


def stand_in(codes: Codes) -> Points:
    """A loss without unit, shape ``(n,)``; not trained, see above."""
    work = price(codes)["operations"]
    loss = 0.3 + 4.0 / (1.0 + np.sqrt(work / 500.0)) + 2.0 ** (-SPACE.values(codes, "latent_bits") / 2.0)
    loss += 2.0 ** (2.0 - SPACE.values(codes, "latent_weight_bits")) + 2.0 ** (
        -SPACE.values(codes, "input_bits") / 2
    )
    before = np.zeros(len(codes))
    for kind, size, count in (("conv", "filters", 3), ("dense", "units", 3)):
        for number in range(1, count + 1):
            there = SPACE.values(codes, f"{size}_{number}") > 0
            bits = SPACE.values(codes, f"{kind}_weight_bits_{number}", absent=8)
            activation = SPACE.values(codes, f"{kind}_activation_bits_{number}", absent=8)
            loss += np.where(there, 2.0 ** (1.5 - bits) + 2.0 ** (1.0 - activation), 0.0)
            width = np.log2(np.maximum(SPACE.values(codes, f"{size}_{number}"), 1))
            loss += np.where(there & (before > 0), 0.03 * np.abs(width - before), 0.0)
            before = np.where(there, width, before)
    return loss


PROBLEM = Problem(
    SPACE,
    (Objective("loss"), Objective("area_um2")),
    price,
    frozenset(COST_UNITS),
    baseline=SPACE.candidate(econt.BASELINE),
)


def study(name: str, seed: int) -> tuple[Codes, float]:
    """Codes of a study of ``TRIALS`` designs, the baseline first, and the CPU seconds a proposal took."""
    optimiser, seconds = load_optimiser(name), 0.0
    history: list[Evaluation] = []
    for number in range(TRIALS):
        candidate, origin = PROBLEM.baseline, "baseline"
        if number:
            start = time.process_time()
            proposal = optimiser.propose(PROBLEM, history, [], np.random.default_rng([seed, number]))
            seconds += time.process_time() - start
            candidate, origin = proposal.candidate, proposal.origin
        codes = SPACE.encode([candidate])
        loss = Summary(float(stand_in(codes)[0]), 0.0, 0.0, 1)
        costs = {key: float(values[0]) for key, values in price(codes).items()}
        history.append(Evaluation(number, candidate, origin, "ok", metrics={"loss": loss}, costs=costs))
    return SPACE.encode([each.candidate for each in history]), seconds / (TRIALS - 1)


def trace(codes: Codes) -> list[float]:
    """Hypervolume after each number of ``AT``."""
    values = np.log(np.stack([stand_in(codes), price(codes)["area_um2"]], axis=1))
    corner = values[0] + np.log([1.5, 4.0])
    return [hypervolume(values[:count], corner) for count in AT]


if __name__ == "__main__":
    head = {"objective": "stand-in formula, no training", "evaluations": AT, "seeds": SEEDS}
    results = json.loads(FILE.read_text())["optimisers"] if FILE.exists() else {}
    for name in sys.argv[1:] or OPTIMISERS:
        studies = [study(name, seed) for seed in SEEDS]
        traces, seconds = (
            [trace(codes) for codes, _ in studies],
            float(np.mean([each for _, each in studies])),
        )
        results[name] = {"hypervolume": traces, "cpu_s_per_proposal": seconds}
        print(
            f"{name:9}",
            *(f"{value:.3f}" for value in np.mean(traces, axis=0)),
            f" {seconds:.3f} s",
            flush=True,
        )
        FILE.write_text(json.dumps({**head, "optimisers": results}, indent=1) + "\n")
