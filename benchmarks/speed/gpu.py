"""Fits per second of a CUDA card: many at once against one at a time, and one core's compiled engine.

The study's baseline at 6 bits, telescoping loss; a fit is ``STEPS`` steps with one small validation. Rates
are on the clock, ends of fits and copies included; the first turn warms up. Writes
``benchmarks/results/gpu.json`` with the card's name. Run where a card is:
``python benchmarks/speed/gpu.py``.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from autoencoder import baseline, samples
from comparison import compared
from record import commit, processor

from codesign import native
from codesign.files import write_file
from codesign.training import Recipe
from codesign.training.fit import fit
from codesign.training.many import fit_many

RESULTS = Path(__file__).parents[1] / "results" / "gpu.json"
BATCH, STEPS, ROUNDS = 250, 400, 3
AT_ONCE = (1, 8, 32, 64)


def rate(fits: int, work: Callable[[], object]) -> float:
    """Fits per second on the clock."""
    start = time.perf_counter()
    work()
    return fits / (time.perf_counter() - start)


def main() -> int:
    """Measure, print and write."""
    if not torch.cuda.is_available():
        print("no CUDA card; this benchmark needs one")
        return 1
    data, network = samples(np.random.default_rng(0)), baseline(quantised=True)
    recipe = Recipe(steps=STEPS, batch=BATCH, validate_every=STEPS, validation_samples=BATCH)

    def many(count: int) -> Callable[[], object]:
        return lambda: fit_many(
            [network] * count, data, data, recipe, loss="telescoping", seed=1, at_once=count
        )

    turns = []
    for _ in range(ROUNDS + 1):
        turn = {f"{count} at once": rate(count, many(count)) for count in AT_ONCE}
        turn["core"] = rate(1, lambda: fit(network, data, data, recipe, loss="telescoping", seed=1))
        turns.append(turn)
    card = torch.cuda.get_device_name()
    best = f"{AT_ONCE[-1]} at once"
    references = {"1 at once": f"{card}, one at a time", "core": "one core, compiled engine"}
    rows = [
        compared(
            f"fits of c8 k3 S2, 6 bit, {STEPS} steps",
            f"{card}, {best}",
            words,
            [(turn[name], turn[best]) for turn in turns[1:]],
            "fits per second on the clock",
            0.0,
        )
        for name, words in references.items()
    ]
    results = {
        "card": card,
        "processor": processor(),
        "instruction_set": native.instruction_set() if native.available() else "none: PyTorch on one core",
        "torch": torch.__version__,
        "commit": commit(),
        "turns": turns[1:],
        "rows": rows,
    }
    write_file(RESULTS, json.dumps(results, indent=1) + "\n")
    for row in rows:
        print(
            f"{row['ours']}: {row['our_rate']:.2f} a second; {row['reference']}: {row['reference_rate']:.2f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
