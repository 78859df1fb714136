"""The designs that estimates are held against: 60 with constant weights, 60 with reloadable, some trained.

Drawn by seed from the ECON-T space (filters, kernels, strides, pooling, dense widths, 3 to 8 bits), as many
of each size: the logarithm of the bit operations is even between two bounds. Weights are drawn as wide as
those of trained networks are: normal, a layer's spread times the root of its fan-in log-normal about 1.4
with a factor of 1.4 (the designs of `codesign run examples/demo.toml` that learnt something have 0.5 to
3.4). At least half of the outputs change over 512 generated wafers, as of all trained designs here, else
weights are drawn again: a network that answers with constants is none that anybody synthesises. Of each
style 20 are held out by seed: no fit ever sees them. The trained designs are those of a study, all held
out.

    codesign run examples/demo.toml --out runs/demo
    python benchmarks/quality/designs.py runs/demo    # writes benchmarks/results/designs.json.gz
"""

import gzip
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.network import Network
from codesign.study import Study
from codesign.tasks.econt import EcontTask
from search_spaces import econt

STYLES = ("constant", "reloadable")
COUNT, HELD_OUT, SEED = 60, 20, 20261122
SPREAD, SPREAD_FACTOR = 1.4, 1.4
BOPS = {"constant": (8e3, 8e4), "reloadable": (8e3, 2.5e5)}
FRAMES, LIVE = 512, 0.5
FILE = Path(__file__).parents[1] / "results" / "designs.json.gz"
SPACE = econt.restricted(filters=(2, 4, 8, 16), units=(16, 32)).SPACE


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """One of the designs: its digest, style, chip part with weights, whether it is held out, or trained."""

    digest: str
    style: str
    chip: Network
    held_out: bool
    trained: bool


def drawn(style: str) -> list[Any]:
    """Candidates of a style: the bit operations spread evenly on a logarithmic scale."""
    rng = np.random.default_rng([SEED, STYLES.index(style)])
    codes = np.unique(SPACE.sample_codes(60_000, rng, balanced=True), axis=0)
    bops = econt.encoder_workload(SPACE, codes, quantised=True).bops.sum(axis=1)
    low, high = BOPS[style]
    slots = np.floor(COUNT * np.log(bops / low) / np.log(high / low)).astype(int)
    chosen = [rng.choice(np.flatnonzero(slots == slot)) for slot in range(COUNT)]
    return SPACE.decode(codes[np.array(chosen)])


def weighted(chip: Network, rng: np.random.Generator) -> Network:
    """The network with drawn weights, and biases of a tenth of the largest weight."""
    weights = {}
    for layer, shape in zip(chip.layers, chip.shapes, strict=False):
        for role, size in layer.weight_shapes(shape).items():
            spread = SPREAD * SPREAD_FACTOR ** rng.normal() / np.sqrt(layer.fan_in(shape))
            values = rng.normal(0, spread if role == "weight" else 0.1, size)
            weights[f"{layer.name}.{role}"] = getattr(layer, role).quantise(values)
    return chip.with_weights(weights)


@cache
def wafers() -> NDArray[np.float32]:
    """Generated images, ``(512, 8, 8, 1)``."""
    return np.asarray(EcontTask.from_options(wafers=5 * FRAMES).validation.inputs[:FRAMES])


def alive(chip: Network) -> bool:
    """Whether half of the outputs, or more, change from wafer to wafer."""
    outputs = chip.codes(wafers()).reshape(FRAMES, -1)
    return bool((outputs != outputs[:1]).any(axis=0).mean() >= LIVE)


def rows(study: Study) -> Iterator[dict[str, Any]]:
    """One a design: those that are drawn, and those of a study that answer better than a constant."""
    known: set[tuple[str, str]] = set()
    held_out = set(np.random.default_rng([SEED, 9]).permutation(COUNT)[:HELD_OUT].tolist())
    for style in STYLES:
        for index, candidate in enumerate(drawn(style)):
            rng = np.random.default_rng([SEED, STYLES.index(style), index])
            chip = weighted(econt.build(candidate).chip, rng)
            while not alive(chip):
                chip = weighted(chip, rng)
            known.add((style, candidate.digest))
            yield _row(candidate.digest, style, chip, held_out=index in held_out)
    constant = study.near_constant()
    dull = {e.number for e in constant[1]} if constant else set()
    for evaluation in study.evaluations:
        digest = evaluation.candidate.digest
        if evaluation.ok and evaluation.number not in dull and ("constant", digest) not in known:
            yield _row(digest, "constant", study.network(digest).chip, held_out=True, trained=True)


def _row(digest: str, style: str, chip: Network, *, held_out: bool, trained: bool = False) -> dict[str, Any]:
    known = {"digest": digest, "style": style, "held_out": held_out, "trained": trained}
    return {**known, "chip": chip.to_dict()}


def load() -> list[Design]:
    """The designs of the file."""
    found = json.loads(gzip.decompress(FILE.read_bytes()))
    return [Design(**{**row, "chip": Network.from_dict(row["chip"])}) for row in found]


if __name__ == "__main__":
    study = Study.read(sys.argv[1])
    with study.store:
        text = json.dumps(list(rows(study)), separators=(",", ":"))
    FILE.write_bytes(gzip.compress(text.encode(), mtime=0))
    print(f"{FILE}: {len(load())} designs, {FILE.stat().st_size / 1e3:.0f} kB")
