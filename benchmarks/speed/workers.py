"""Two native workers against one: fits per second on the clock, and the memory of a worker.

The study's baseline at 6 bits. One worker fits, then two fit as much each at the same time, in turn. A worker
is a process of its own that imports what a fit needs and nothing else. Fails where the ratio falls below its
floor or a worker's memory goes above the bound. Linux only. Run: ``python benchmarks/speed/workers.py``.
"""

import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from autoencoder import baseline, samples
from comparison import Row, compared, report

from codesign.training import Recipe
from codesign.training.fit import fit

BATCH, STEPS, ROUNDS = 250, 3_000, 7
RATIO_FLOOR = 1.6
MOST_MEGABYTES = 120


def work(seed: int, steps: int) -> float:
    """One fit; the largest resident memory of this process so far, in MB of 1e6 bytes."""
    data = samples(np.random.default_rng(0))
    recipe = Recipe(steps=steps, batch=BATCH, validate_every=steps, validation_samples=BATCH, engine="native")
    fit(baseline(quantised=True), data, data, recipe, loss="telescoping", seed=seed)
    # Not getrusage: its maximum starts at that of the parent.
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    return int(line.split()[1]) * 1024 / 1e6


def measure() -> list[Row]:
    """Rates of one and of two workers, and the larger memory of the two."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(work, (0, 0), (STEPS // 10, STEPS // 10)))
        rounds, memory = [], 0.0
        for _ in range(ROUNDS):
            times = []
            for workers in (1, 2):
                start = time.perf_counter()
                memory = max(memory, *pool.map(work, range(workers), [STEPS] * workers))
                times.append(workers * STEPS * BATCH / (time.perf_counter() - start))
            rounds.append((times[0], times[1]))
    work_done, unit = "fits of c8 k3 S2, 6 bit", "samples per second on the clock"
    row = compared(work_done, "two native workers", "one native worker", rounds, unit, RATIO_FLOOR)
    return [row | {"resident_megabytes": memory, "most_megabytes": MOST_MEGABYTES}]


if __name__ == "__main__":
    sys.exit(report(measure))
