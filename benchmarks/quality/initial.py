"""Fresh weights as they are drawn against weights scaled to the activations: how many designs learn.

    python benchmarks/quality/initial.py [--designs 12]

For some steps of the quick recipe, on the data of ``examples/demo.toml``: the baseline and designs drawn from
two spaces, each trained with either kind of weights and one seed. A design has learnt something if its EMD is
below 3.5; a constant answer scores 3.67. Some minutes of CPU; writes ``benchmarks/results/initial.json``.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from codesign import catalogue
from codesign.config import load_study_file
from codesign.files import write_file
from codesign.network import Network
from codesign.study import Setup
from codesign.training.fit import fit

ROOT = Path(__file__).parents[2]
FILE = ROOT / "benchmarks" / "results" / "initial.json"
CASES = (("econt", 800), ("econt", 4000), ("econt-float", 800))
LEARNT, MOST_PARAMETERS = 3.5, 12_000


def designs(setup: Setup, space: str, count: int) -> list[Network]:
    """The baseline and designs drawn, within the budgets where the space has formats, else small ones."""
    definition = setup.definition if space == "econt" else catalogue.search_space(space)
    drawn = definition.SPACE.sample(40 * count, np.random.default_rng(7))
    if space == "econt":
        drawn = [each for each in drawn if not setup.refusal(each)]
    networks = map(definition.build, [definition.SPACE.candidate(definition.BASELINE), *drawn])  # type: ignore[attr-defined]
    return [each for each in networks if each.parameter_count() <= MOST_PARAMETERS][:count]


def measured(setup: Setup, networks: list[Network], steps: int, initial: Any) -> dict[str, Any]:
    """EMD of each, and CPU seconds in all."""
    recipe, task, start = replace(setup.recipe, steps=steps, initial=initial), setup.task, process_time()
    fits = [fit(each, task.training, task.validation, recipe, loss=task.loss, seed=0) for each in networks]
    seconds = process_time() - start
    return {"emd": [task.score(each.network)["emd"].mean for each in fits], "cpu_seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--designs", type=int, default=12)
    count = parser.parse_args().designs
    setup = load_study_file(ROOT / "examples" / "demo.toml").setup()
    print("| space, steps | weights | learnt | mean EMD | baseline | best of the others | CPU s |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    results = {}
    for space, steps in CASES:
        networks = designs(setup, space, count)
        for initial in ("glorot", "scaled"):
            found = measured(setup, networks, steps, initial)
            results[f"{space} {steps} {initial}"] = found
            emd = np.array(found["emd"])
            print(
                f"| `{space}`, {steps} | {initial} | {(emd < LEARNT).sum()} of {len(emd)} | {emd.mean():.2f} "
                f"| {emd[0]:.2f} | {emd[1:].min():.2f} | {found['cpu_seconds']:.0f} |",
                flush=True,
            )
    write_file(FILE, json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
