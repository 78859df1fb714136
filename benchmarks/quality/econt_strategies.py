"""The search strategies of the slides on one space, with networks really trained, at equal steps of training.

    python benchmarks/quality/econt_strategies.py [--seeds 3] [--cache FOLDER]

The space is the study's float class, EMD against operations up to those of c64 S1. Each strategy has the
steps of ``--trials`` full trainings; with successive halving it may start more designs and stops at the same
steps. Fits are short (the recipe stands in the file), so that EMDs compare with each other alone.
Hypervolume: of EMD below 3 and of the logarithm of operations below 208,912; 1 is all. What is done is kept
in ``benchmarks/results/econt-strategies.json``. With a cache no training of a seed is done twice: it is a
function of network, recipe and seed.
"""

import argparse
import json
import shutil
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
from fidelity import cached
from guide import with_section

import codesign
import codesign.study
from codesign.config import resume
from codesign.files import write_file
from codesign.pareto import hypervolume, non_dominated
from codesign.study import Study
from codesign.training import Recipe

FILE = Path(__file__).parents[1] / "results" / "econt-strategies.json"
GUIDE = Path(__file__).parents[2] / "docs" / "econt-study.md"
WORK = Path("runs/econt-strategies")
STRATEGIES = {
    "grid": "grid of the space",
    "grid-bo": "grid of layer counts, Bayesian search in each tile (Ax)",
    "random": "random",
    "random+asha": "random, asynchronous successive halving (Determined)",
    "sherlock": "active learning, surrogate chosen while running (Sherlock)",
    "ehvi": "ours",
    "ehvi+asha": "ours, rung by rung",
}
STEPS, WAFERS, MOST, WORST_EMD = 800, 40_000, 208_912, 3.0
BUDGETS = (6_544, 208_912)


def searched(strategy: str, seed: int, trials: int) -> dict[str, Any]:
    """One study, extended until its training has used its steps."""
    folder = WORK / f"{strategy.replace('+', '-')}-{seed}"
    started, budget = trials, trials * STEPS
    study = codesign.run(
        space="econt-float",
        objectives=[f"emd<={WORST_EMD:g}", f"operations<={MOST}"],
        data={"wafers": WAFERS},
        recipe=Recipe.quick(STEPS, batch=64, learning_rate=5e-3, validation_samples=4096, initial="glorot"),
        optimiser=strategy,
        trials=started,
        seed=seed,
        workers=1,
        out=folder,
        progress=False,
    )
    while strategy.endswith("+asha") and spent(study) < 0.95 * budget and started < 8 * trials:
        study.close()
        started += max(trials // 4, 1)
        study = resume(folder, started, progress=False)
    found = measured(study) | {"steps": spent(study)}
    study.close()
    shutil.rmtree(folder)
    return found


def spent(study: Study) -> int:
    """Steps of training in all: of each design the last rung it reached."""
    return sum(evaluation.steps for evaluation in study.evaluations)


def measured(study: Study) -> dict[str, Any]:
    """Hypervolume, best EMD within each budget, and how many designs were trained."""
    done = [each for each in study.evaluations if each.ok and each.steps == STEPS]
    points = np.array([[each.value("emd"), each.value("operations")] for each in done]).reshape(-1, 2)
    scaled = np.stack([points[:, 0] / WORST_EMD, np.log(points[:, 1]) / np.log(MOST)], axis=1)
    inside = scaled[(scaled <= 1).all(axis=1)]
    volume = hypervolume(inside[non_dominated(inside)], np.ones(2)) if len(inside) else 0.0
    best = {
        str(most): float(points[points[:, 1] <= most, 0].min()) if (points[:, 1] <= most).any() else None
        for most in BUDGETS
    }
    trained = sum(1 for each in study.evaluations if each.steps)
    return {"hypervolume": float(volume), "best": best, "designs": trained, "in_full": len(done)}


def table(results: dict[str, Any]) -> list[str]:
    """Strategies over seeds, as lines of Markdown."""
    shared = sorted(set.intersection(*(set(runs) for runs in results["strategies"].values())))
    trials, steps, wafers = (f"{results[name]:,}" for name in ("trials", "steps", "wafers"))
    lines = [
        f"Each: {trials} times {steps} steps of 64, {wafers} wafers; means over {len(shared)} seeds and",
        f"spread of the hypervolume: EMD below {WORST_EMD:g} by the logarithm of operations below",
        f"{MOST:,}, of designs trained in full.",
        "",
        "| strategy | hypervolume | EMD, 6,544 operations | EMD, 208,912 | designs trained | in full |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for strategy, runs in results["strategies"].items():
        rows = [runs[seed] for seed in shared]
        volumes = [row["hypervolume"] for row in rows]
        spread = f" ± {stdev(volumes):.3f}" if len(rows) > 1 else ""
        best = [[row["best"][str(most)] for row in rows if row["best"][str(most)]] for most in BUDGETS]
        small, large = (f"{mean(values):.2f}" if values else "-" for values in best)
        designs, whole = (mean(row[name] for row in rows) for name in ("designs", "in_full"))
        lines.append(
            f"| `{strategy}`: {STRATEGIES[strategy]} | {mean(volumes):.3f}{spread} | {small} | {large} "
            f"| {designs:.0f} | {whole:.0f} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--no-training", action="store_true", help="only write what is there")
    options = parser.parse_args()
    if options.cache:
        options.cache.mkdir(parents=True, exist_ok=True)
        codesign.study._evaluate = cached(codesign.study._evaluate, options.cache)
    results = json.loads(FILE.read_text()) if FILE.is_file() else {"strategies": {}}
    results |= {"steps": STEPS, "wafers": WAFERS, "trials": options.trials}
    for seed in range(0 if options.no_training else options.seeds):
        for strategy in STRATEGIES:
            runs = results["strategies"].setdefault(strategy, {})
            if str(seed) not in runs:
                runs[str(seed)] = searched(strategy, seed, options.trials)
                print(strategy, seed, runs[str(seed)], flush=True)
                write_file(FILE, json.dumps(results, indent=1) + "\n")
    lines = table(results)
    print(*lines, sep="\n")
    write_file(GUIDE, with_section(GUIDE.read_text(), "strategies", lines))


if __name__ == "__main__":
    main()
