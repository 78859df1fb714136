"""Fronts of the ECON-T study: EMD against operations in float, against area and power with 6-bit weights.

    python benchmarks/quality/econt_fronts.py [float|fixed] [--trials 96]

Networks are fitted to the exact Earth Mover's Distance, in rungs: one in three is trained on. Operations are
at most a tenth of those of c64 S1. Studies stay in ``runs/econt-front-*`` and go on after an interruption.
Writes ``benchmarks/results/econt-fronts.json`` and the table of 6-bit weights in ``docs/econt-study.md``.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from guide import with_section

import codesign
from codesign.files import write_file
from codesign.space import Definition
from codesign.training import Recipe
from search_spaces import econt, econt_float

ROOT = Path(__file__).parents[2]
FILE = ROOT / "benchmarks" / "results" / "econt-fronts.json"
GUIDE = ROOT / "docs" / "econt-study.md"
STEPS, WAFERS = 12_000, 100_000
TENTH = 208_912 // 10


def float_space() -> Definition:
    """Float networks with few operations."""
    return Definition(econt_float.SPACE, econt_float.build, econt_float.BASELINE, econt_float.workload)


def fixed_space() -> Definition:
    """6-bit weights, 9-bit latent codes, 8-bit activations and inputs: the flight format."""
    return econt.restricted(
        conv_weight_bits=(6,),
        dense_weight_bits=(6,),
        latent_weight_bits=(6,),
        conv_activation_bits=(8,),
        dense_activation_bits=(8,),
        input_bits=(8,),
        latent_bits=(9,),
    )


SPACES: dict[str, Any] = {
    "float": (float_space, ["emd<=1.2", f"operations<={TENTH}"]),
    "fixed": (fixed_space, ["emd<=1.2", "area_um2<=4e6", "power_mw<=100"]),
}


def search(kind: str, trials: int) -> dict[str, Any]:
    space, objectives = SPACES[kind]
    study = codesign.run(
        space=space(),
        objectives=objectives,
        limits=[f"operations<={TENTH}"] if kind == "fixed" else [],
        data={"wafers": WAFERS, "loss": "emd"},
        recipe=Recipe.quick(STEPS, batch=64, learning_rate=3e-3, validation_samples=8192, initial="glorot"),
        optimiser="ehvi+asha",
        trials=trials,
        workers=1,
        out=f"runs/econt-front-{kind}",
    )
    rows = study.front().rows(study.baseline)
    designs = [
        {**row, "candidate": dict(e.candidate.values)} for row, e in zip(rows, study.front(), strict=True)
    ]
    return {
        "trials": trials,
        "steps": STEPS,
        "wafers": WAFERS,
        "references": [each.to_dict() for each in study.references],
        "baseline": study.baseline.to_dict() if study.baseline else None,
        "front": designs,
    }


def table(found: dict[str, Any]) -> list[str]:
    """The front of 6-bit weights, as lines of Markdown."""
    lines = [
        f"{found['trials']} designs, trained rung by rung to at most {found['steps']:,} steps of 64 of "
        f"{found['wafers']:,} wafers;",
        "6-bit weights, 9-bit codes. Area and power are estimates for 65 nm, not synthesised.",
        "",
        "| network | operations | EMD | area, mm2 | power, mW |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for row in found["front"]:
        lines.append(
            f"| {named(row['candidate'])} | {row['operations']:,.0f} | {row['emd']:.3f} "
            f"| {row['area_um2'] / 1e6:.2f} | {row['power_mw']:.1f} |"
        )
    return lines


def named(candidate: dict[str, Any]) -> str:
    """A design as the study writes it: ``c8 k3 S2, D32``."""
    layers = [
        f"c{candidate[f'filters_{i}']} k{candidate[f'kernel_{i}']} S{candidate[f'stride_{i}']}"
        + (" pool" if candidate[f"pooling_{i}"] else "")
        for i in range(1, candidate["convolutions"] + 1)
    ]
    layers += [f"D{candidate[f'units_{i}']}" for i in range(1, candidate["dense_layers"] + 1)]
    return ", ".join(layers) or "latent layer alone"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", nargs="?", choices=list(SPACES))
    parser.add_argument("--trials", type=int, default=60)
    options = parser.parse_args()
    for kind in [options.kind] if options.kind else SPACES:
        found = search(kind, options.trials)
        results = json.loads(FILE.read_text()) if FILE.is_file() else {}
        write_file(FILE, json.dumps(results | {kind: found}, indent=1, default=float) + "\n")
        for row in found["front"]:
            print(kind, f"{row['emd']:.4f}", f"{row['operations']:,}", named(row["candidate"]))
        if kind == "fixed":
            write_file(GUIDE, with_section(GUIDE.read_text(), "front", table(found)))


if __name__ == "__main__":
    main()
