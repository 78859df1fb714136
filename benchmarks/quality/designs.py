"""The 120 designs that estimates are held against: 60 trained ones with constant weights, 60 reloadable.

Drawn by seed from the ECON-T space (filters, kernels, strides, pooling, dense widths, 3 to 8 bits), as many of
each size: the logarithm of the bit operations is even between bounds that one synthesis of some ten seconds
sets. Those with constant weights are trained, for their cost depends on the weights; 300 steps of the quick
recipe. Of each style 20 are drawn by seed for testing: no fit ever sees them.

    python benchmarks/quality/designs.py    # writes benchmarks/results/designs.json.gz, some ten minutes
"""

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from codesign.network import Network
from codesign.tasks.econt import EcontTask
from codesign.training import Recipe
from codesign.training.fit import fit
from search_spaces import econt

STYLES = ("constant", "reloadable")
COUNT, HELD_OUT, SEED, STEPS, WAFERS = 60, 20, 20261122, 300, 6000
BOPS = {"constant": (8e3, 8e4), "reloadable": (8e3, 2.5e5)}
FILE = Path(__file__).parents[1] / "results" / "designs.json.gz"
SPACE = econt.restricted(filters=(2, 4, 8, 16), units=(16, 32)).SPACE


@dataclass(frozen=True, slots=True)
class Design:
    """One of the designs: its digest, style, chip part with weights, and whether it is held out."""

    digest: str
    style: str
    chip: Network
    held_out: bool


def drawn(style: str) -> list[Any]:
    """Candidates of a style: the bit operations spread evenly on a logarithmic scale."""
    rng = np.random.default_rng([SEED, STYLES.index(style)])
    codes = np.unique(SPACE.sample_codes(60_000, rng, balanced=True), axis=0)
    bops = econt.encoder_workload(SPACE, codes, quantised=True).bops.sum(axis=1)
    low, high = BOPS[style]
    slots = np.floor(COUNT * np.log(bops / low) / np.log(high / low)).astype(int)
    chosen = [rng.choice(np.flatnonzero(slots == slot)) for slot in range(COUNT)]
    return SPACE.decode(codes[np.array(chosen)])


def made() -> list[dict[str, Any]]:
    task = EcontTask.from_options(wafers=WAFERS)
    rows = []
    for style in STYLES:
        held_out = set(np.random.default_rng([SEED, 9]).permutation(COUNT)[:HELD_OUT].tolist())
        for index, candidate in enumerate(track(drawn(style), f"{style}: training 300 steps each")):
            network, curve = econt.build(candidate), ()
            recipe = Recipe.quick(STEPS)
            fitted = fit(network, task.training, task.validation, recipe, loss=task.loss, seed=index)
            network, curve = fitted.network, fitted.curve
            rows.append(
                {
                    "digest": candidate.digest,
                    "style": style,
                    "held_out": index in held_out,
                    "candidate": dict(candidate.values),
                    "validation_loss": curve[-1][2] if curve else None,
                    "chip": network.chip.to_dict(),
                }
            )
    return rows


def load() -> list[Design]:
    """The designs of the file."""
    rows = json.loads(gzip.decompress(FILE.read_bytes()))
    return [
        Design(row["digest"], row["style"], Network.from_dict(row["chip"]), row["held_out"]) for row in rows
    ]


if __name__ == "__main__":
    text = json.dumps(made(), separators=(",", ":"))
    FILE.write_bytes(gzip.compress(text.encode(), mtime=0))
    print(f"{FILE}: {len(load())} designs, {FILE.stat().st_size / 1e3:.0f} kB")
