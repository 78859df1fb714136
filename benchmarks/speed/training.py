"""Speed of `codesign.training.fit` against plain loops of PyTorch and Brevitas, in samples per CPU second.

The study's baseline autoencoder with 8 and with 32 filters, batch 250, telescoping loss, Adam. The plain
loops are what one writes first: ``nn.Sequential``, ``DataLoader``, default Adam; the quantised one with
Brevitas' own fixed-point quantisers. All take turns in one process on one thread; ratios are medians over the
turns. Fails where a ratio falls below its floor. Run: ``python benchmarks/speed/training.py``.
"""

import sys
from typing import Final

import numpy as np
import torch
from autoencoder import baseline, samples
from comparison import Row, compared, report
from plain import BATCH, plain_speed

from codesign.tasks import Samples
from codesign.training import Recipe
from codesign.training.fit import fit
from codesign.training.recipe import Engine

ROUNDS = 7
STEPS: Final = {8: 60, 32: 20}
"""Steps of torch by number of filters; the native engine takes more, to be timed as long."""
NATIVE_TIMES: Final = {8: 8, 32: 4}
PLAIN, PLAIN_BREVITAS = "plain PyTorch loop, float", "plain Brevitas loop, 6 bit"
COMPARED: Final = (
    (8, "torch float", PLAIN, 1.3),
    (8, "torch 6 bit", PLAIN_BREVITAS, 1.5),
    (8, "native float", PLAIN, 10),
    (8, "native 6 bit", PLAIN, 9),
    (8, "native 6 bit", PLAIN_BREVITAS, 15),
    (8, "native 6 bit", "torch 6 bit", 7),
    (32, "native float", PLAIN, 3),
    (32, "native 6 bit", PLAIN, 3),
    (32, "native 6 bit", PLAIN_BREVITAS, 4),
    (32, "native 6 bit", "torch 6 bit", 3.5),
)
"""Filters, ours, reference, and the ratio below which the script fails: as seen, with room for noise."""


def our_speed(data: Samples, filters: int, *, quantised: bool, engine: Engine) -> float:
    """Samples per CPU second of a whole fit: building, training, one small validation, extraction."""
    steps = STEPS[filters] * (NATIVE_TIMES[filters] if engine == "native" else 1)
    recipe = Recipe(steps=steps, batch=BATCH, validate_every=steps, validation_samples=BATCH, engine=engine)
    result = fit(baseline(filters, quantised=quantised), data, data, recipe, loss="telescoping", seed=1)
    return result.steps * BATCH / result.cpu_seconds


def turn(data: Samples, filters: int) -> dict[str, float]:
    """Samples per CPU second of all six, one after the other."""
    return {
        PLAIN: plain_speed(data, baseline(filters, quantised=False), STEPS[filters]),
        "native float": our_speed(data, filters, quantised=False, engine="native"),
        "torch float": our_speed(data, filters, quantised=False, engine="torch"),
        PLAIN_BREVITAS: plain_speed(data, baseline(filters, quantised=True), STEPS[filters]),
        "native 6 bit": our_speed(data, filters, quantised=True, engine="native"),
        "torch 6 bit": our_speed(data, filters, quantised=True, engine="torch"),
    }


def measure() -> list[Row]:
    """All comparisons."""
    torch.set_num_threads(1)
    data = samples(np.random.default_rng(0))
    # The first turn warms up.
    rounds = {filters: [turn(data, filters) for _ in range(ROUNDS + 1)][1:] for filters in STEPS}
    return [
        compared(
            f"training, c{filters} k3 S2, batch {BATCH}",
            ours,
            reference,
            [(each[reference], each[ours]) for each in rounds[filters]],
            "samples per CPU second",
            floor,
        )
        for filters, ours, reference, floor in COMPARED
    ]


if __name__ == "__main__":
    sys.exit(report(measure))
