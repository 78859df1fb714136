"""The ECON-T study, claim by claim: what was published, what is found here, and what is wrong with a claim.

    python benchmarks/quality/econt_study.py [--real FILE] [--only NAME ...] [--out FOLDER]

trains what is not yet in ``benchmarks/results/econt-study.json`` (hours in all; each training is kept when it
ends), then writes the report there, as ``report.html`` and ``report.json`` in ``--out``, and the pictures of
``docs/econt-study.md``. ``--no-training`` only writes. ``--real`` is a file of real wafers: every network is
scored on it too, none is fitted to it. Seeds: of the data 0, of the trainings 0 to 2.

Every network is trained on the same wafers for the same number of steps and samples, by the same recipe:
Adam, cosine from 3e-3, batch 64, outputs that start at 1/32. The published run took 640,000 steps of 500.
"""

import argparse
import json
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from econt_claims import claims
from econt_report import write_report

from codesign.files import write_file
from codesign.fixedpoint import FixedPoint
from codesign.hardware import Workload
from codesign.metrics import METRICS, binned, emd
from codesign.network import Network
from codesign.tasks.concentrator import ALGORITHMS, autoencoder_bits
from codesign.tasks.data_check import check
from codesign.tasks.econt import EcontTask, load, score
from codesign.tasks.layouts import layout_of
from codesign.tasks.wafers import Wafers
from codesign.training import Recipe
from codesign.training.fit import fit
from search_spaces import econt, econt_float, econt_layouts, econt_qkeras

ROOT = Path(__file__).parents[2]
FILE = ROOT / "benchmarks" / "results" / "econt-study.json"
WAFERS, STEPS, BATCH, RATE = 200_000, 40_000, 64, 3e-3
MARKS = (500, 1_000, 2_000, 5_000, 10_000, 20_000, STEPS)
OCCUPANCY = (0, 1, 2, 4, 6, 8, 10, 12, 16, 20, 49)
LOG_P = (-2, -1, -0.5, 0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 4)
FLIPPED, FLIPPED_WAFERS = (0, 1e-4, 1e-3, 2.5e-3, 5e-3, 7.5e-3, 1e-2, 1), 10_000
ETA = (1.4, 1.6, 1.8, 2.0, 2.2, 2.4, 2.6, 2.8, 3.2)


@dataclass(frozen=True)
class Training:
    """One network to train: a design of a space, a loss, and with how many seeds."""

    name: str
    design: Mapping[str, Any]
    kind: str = "float"
    loss: str = "telescoping"
    seeds: int = 1

    def network(self) -> Network:
        """The network without weights."""
        if self.kind in LAYOUTS:
            definition = LAYOUTS[self.kind]
            return definition.build(definition.SPACE.candidate(self.design))
        space = {"float": econt_float, "6 bit": econt, "5 bit": econt_qkeras}[self.kind]
        return space.build(space.SPACE.candidate(self.design))


LAYOUTS = {"float 4x4x3": econt_layouts.FLOAT_4X4X3, "float 6x6x3": econt_layouts.FLOAT_6X6X3}


def conv(filters: int, kernel: int, stride: int, pooling: bool = False, **more: Any) -> dict[str, Any]:
    return {"filters_1": filters, "kernel_1": kernel, "stride_1": stride, "pooling_1": pooling, **more}


def dense(*units: int) -> dict[str, Any]:
    return {f"units_{index}": count for index, count in enumerate(units, start=1)}


C8_S2, C64_S1 = conv(8, 3, 2), conv(64, 3, 1)
TRAININGS = (
    Training("c8 S2", C8_S2, seeds=3),
    Training("c8 S2", C8_S2, "6 bit", seeds=3),
    Training("c8 S2", C8_S2, "5 bit", seeds=3),
    Training("c8 S2", C8_S2, loss="emd", seeds=3),
    Training("c8 S2", C8_S2, "6 bit", loss="emd", seeds=3),
    Training("c8 S2", C8_S2, loss="telescoping_documented"),
    Training("c8 S2", C8_S2, loss="weighted_mse"),
    Training("c8 S2", C8_S2, loss="mse"),
    Training("c8 S1, 4x4x3", conv(8, 3, 1), "float 4x4x3"),
    Training("c8 S2, 6x6x3", C8_S2, "float 6x6x3"),
    Training("D32", dense(32), loss="emd", seeds=3),
    Training("D64", dense(64)),
    Training("D64", dense(64), loss="emd", seeds=3),
    Training("D64, D32", dense(64, 32), loss="emd"),
    Training("c32 k3 S4", conv(32, 3, 4), loss="emd", seeds=3),
    Training("c16 k5 S4", conv(16, 5, 4), loss="emd", seeds=3),
    Training("c32 k5 S4", conv(32, 5, 4), loss="emd", seeds=3),
    Training("c8 k5 S2", conv(8, 5, 2)),
    Training("c16 k5 S2", conv(16, 5, 2), loss="emd"),
    Training("c32 k3 S2", conv(32, 3, 2)),
    Training("c64 S1", C64_S1, seeds=3),
    Training("c64 S1", C64_S1, loss="emd", seeds=3),
)


class Data:
    """The wafers: generated ones to fit and to score on, and real ones to score on if there are."""

    def __init__(self, real: Path | None) -> None:
        self.real = None if real is None else load(real)

    @cached_property
    def task(self) -> EcontTask:
        """The task on images of 8x8."""
        return self.of("8x8")

    def of(self, layout: str) -> EcontTask:
        """The task on images of a layout; the same wafers."""
        return EcontTask.from_options(wafers=WAFERS, seed=0, layout=layout)

    @cached_property
    def held(self) -> Wafers:
        """The wafers that nothing was fitted to."""
        return self.task.wafers.take(slice(0, len(self.task.validation)))


def train(training: Training, seed: int, data: Data) -> Iterator[dict[str, Any]]:
    """One training in parts, scored at each mark; the record after each."""
    network = training.network()
    task = data.of(layout_of(network).name) if training.kind in LAYOUTS else data.task
    recipe = Recipe.quick(
        STEPS, batch=BATCH, learning_rate=RATE, validation_samples=8192, validate_every=500, initial="glorot"
    )
    work = Workload.of([network.chip])
    record: dict[str, Any] = {
        "operations": int(work.operations.sum()),
        "parameters": int((work.weights + work.biases).sum()),
        "curve": [],
        "cpu_s": 0.0,
    }
    checkpoint, start = None, process_time()
    for mark in MARKS:
        part = fit(
            network,
            task.training,
            task.validation,
            recipe,
            loss=training.loss,
            seed=seed,
            until=mark,
            go_on=checkpoint,
        )
        checkpoint = part.checkpoint
        scores = {name: each.to_dict() for name, each in task.score(part.network).items()}
        record["cpu_s"] = round(process_time() - start, 1)
        record["curve"].append([mark, scores["emd"]["mean"]])
        record["metrics"], record["steps"] = scores, mark
        yield record
    outputs = decoded(part.network, data.held)
    record["bins"] = in_bins(emd(data.held.calq, outputs), data.held)
    if data.real is not None:
        real = score(part.network, data.real)
        record["real"] = {name: each.to_dict() for name, each in real.items()}
        record["real_bins"] = in_bins(emd(data.real.calq, decoded(part.network, data.real)), data.real)
    yield record


def decoded(network: Network, wafers: Wafers) -> np.ndarray[Any, Any]:
    layout = layout_of(network)
    return layout.cells(network.predict(layout.images(wafers.normalised)).reshape(len(wafers), -1))


def in_bins(scores: Any, wafers: Wafers) -> dict[str, Any]:
    """Medians in bins of occupancy, of the charge and of pseudorapidity, as far as it is known."""
    found = {
        "occupancy": binned(scores, wafers.occupancy_1mip, OCCUPANCY),
        "log P": binned(scores, np.log10(wafers.sum_pow2_mip), LOG_P),
    }
    eta = next((wafers.columns[name] for name in ("eta", "tc_eta") if name in wafers.columns), None)
    if eta is not None:
        found["eta"] = binned(scores, np.abs(eta), ETA)
    return {name: [each.to_dict() for each in bins] for name, bins in found.items()}


def without_network(wafers: Wafers) -> dict[str, Any]:
    """Every algorithm of the chip on some wafers: every metric, bits and bins."""
    rows = {}
    for algorithm in ALGORITHMS:
        received = algorithm.send(wafers.calq)
        values = {name: metric.function(wafers.calq, received.calq) for name, metric in METRICS.items()}
        filled = received.calq.any(axis=1)
        rows[algorithm.name] = {
            "links": algorithm.links,
            "bits": float(received.bits.mean()),
            **{name: float(column.mean()) for name, column in values.items()},
            "empty": float(1 - filled.mean()),
            "emd_non_empty": float(values["emd"][filled].mean()),
            "resolution": float(values["energy_response"].std()),
            "bins": in_bins(values["emd"], wafers),
        }
    return rows


def bit_flips(data: Data) -> dict[str, list[float]]:
    """EMD of the 6-bit c8 S2 with some of the bits of its encoder's weights flipped: share to draws."""
    recipe = Recipe.quick(
        STEPS, batch=BATCH, learning_rate=RATE, validation_samples=8192, validate_every=500, initial="glorot"
    )
    samples = data.task.training, data.task.validation
    network = fit(
        Training("c8 S2", C8_S2, "6 bit").network(), *samples, recipe, loss="telescoping", seed=0
    ).network
    held = data.held.take(slice(0, FLIPPED_WAFERS))
    found = {}
    for share in FLIPPED:
        draws = range(9 if 0 < share < 1 else 1)
        damaged = [with_flips(network, share, np.random.default_rng(seed)) for seed in draws]
        found[f"{share:g}"] = [float(emd(held.calq, decoded(each, held)).mean()) for each in damaged]
        print("bits flipped", share, found[f"{share:g}"], flush=True)
    return found


def with_flips(network: Network, share: float, rng: np.random.Generator) -> Network:
    """The network with a share of the bits of its chip's weights and biases flipped, in two's complement."""
    weights = dict(network.weights)
    fixed = {
        f"{layer.name}.{role}": getattr(layer, role)
        for layer in network.chip.layers
        for role in ("weight", "bias")
        if getattr(layer, role, None) is not None
    }
    sizes = {name: weights[name].size * width(form) for name, form in fixed.items()}
    flipped = np.zeros(sum(sizes.values()), dtype=np.int64)
    flipped[rng.permutation(len(flipped))[: round(share * len(flipped))]] = 1
    start = 0
    for name, form in fixed.items():
        bits = flipped[start : start + sizes[name]].reshape(*weights[name].shape, width(form))
        start += sizes[name]
        mask = (bits << np.arange(width(form))).sum(axis=-1)
        code = (weights[name].astype(np.int64) & ((1 << width(form)) - 1)) ^ mask
        weights[name] = np.where(code >> (width(form) - 1), code - (1 << width(form)), code)
    return network.with_weights(weights)


def width(form: FixedPoint) -> int:
    """Bits of a signed weight."""
    return 1 + form.integer_bits + form.fraction_bits


def machine() -> dict[str, Any]:
    names = ("codesign", "numpy", "torch", "botorch")
    return {
        "processor": platform.processor() or platform.machine(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in names},
    }


def run(results: dict[str, Any], data: Data, only: list[str]) -> None:
    """Train what is missing, seed by seed; written after each part."""
    stored = results.setdefault("trainings", {})
    for seed in range(3):
        for training in TRAININGS:
            key = f"{training.name} | {training.kind} | {training.loss} | seed {seed}"
            wanted = seed < training.seeds and (not only or training.name in only)
            done = stored.get(key, {})
            complete = done.get("steps") == STEPS and "bins" in done and ("real" in done or data.real is None)
            if not wanted or complete:
                continue
            for record in train(training, seed, data):
                stored[key] = record
                print(
                    key,
                    record["steps"],
                    f"{record['curve'][-1][1]:.4f}",
                    f"{record['cpu_s']:.0f} s",
                    flush=True,
                )
            write_file(FILE, json.dumps(results, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path, default=os.environ.get("CODESIGN_HGCAL"))
    parser.add_argument("--only", nargs="*", default=[], help="names of trainings")
    parser.add_argument("--no-training", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("runs/econt-study"))
    options = parser.parse_args()
    data = Data(Path(options.real) if options.real else None)
    results = json.loads(FILE.read_text()) if FILE.is_file() else {}
    results |= {
        "machine": results["machine"] if options.no_training and results else machine(),
        "recipe": {"wafers": WAFERS, "steps": STEPS, "batch": BATCH, "learning_rate": RATE},
    }
    if not options.no_training:
        run(results, data, options.only)
    if "bit_flips" not in results and not options.no_training:
        results["bit_flips"] = bit_flips(data)
    results["data"] = [
        {"observable": r.observable, "reference": r.reference, "value": r.value, "ok": r.ok}
        for r in check(data.task.wafers, "pileup")
        if "study" in r.population
    ]
    before = results.get("without_network", {})  # what was scored on real wafers stays without them
    results["without_network"] = {**before, "generated": without_network(data.held)}
    if data.real is not None:
        results["without_network"]["real"] = without_network(data.real)
    results["bits"] = {str(links): autoencoder_bits(links) for links in (2, 3, 4, 5)}
    results["constant"] = data.task.constant()["emd"].mean
    results["claims"] = [each.to_dict() for each in claims(results)]
    write_file(FILE, json.dumps(results, indent=1) + "\n")
    for path in write_report(results, options.out, ROOT / "docs"):
        print(path)


if __name__ == "__main__":
    main()
