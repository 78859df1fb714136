"""Synthesise the designs of `designs.py`, one fixed script a library or family; goes on where it was stopped.

    CODESIGN_LIBERTY=FOLDER python benchmarks/quality/synthesis.py sky130hd sg13g2 asap7
    python benchmarks/quality/synthesis.py xc7
    WORKERS=1 python benchmarks/quality/synthesis.py ecp5 --weights constant --drawn --most 12

Writes a line a design to benchmarks/results/synthesis-<library>.jsonl: the report, with tool, version,
script and CPU seconds. Power is of 512 generated wafers, one a clock cycle; of reloadable weights it is
computed for sky130hd and up to 50,000 BOPs only, for it takes as long as all the rest. `estimates.py` holds
the estimators against these; tests need not run this. Needs pyosys, and OpenSTA for timing and power.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

from designs import STYLES, Design, load, wafers
from rich.progress import track

from codesign.errors import CodesignError
from codesign.export import rtl
from codesign.hardware import Device, SynthesisReport, Workload
from codesign.synthesis import FAMILIES, find_library, synthesise, synthesise_many

RESULTS = Path(__file__).parents[1] / "results"
TIMEOUT = 1200.0
POWER_OF_RELOADABLE, MOST_BOPS = "sky130hd", 50_000


def reports(to: str) -> dict[tuple[str, str], SynthesisReport]:
    """What is known of a library or family: (style, digest) to report."""
    path = RESULTS / f"synthesis-{to}.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    found = [SynthesisReport.from_dict(json.loads(line)) for line in lines]
    return {(str(report.target.weights), report.design): report for report in found}


def measured(design: Design, to: Sequence[str]) -> dict[str, SynthesisReport]:
    device = Device(to[0], weights=design.style)  # type: ignore[arg-type]
    given: dict[str, Any] = {"clock_mhz": device.clock_mhz, "timeout": TIMEOUT}
    with tempfile.TemporaryDirectory(prefix="codesign-bench-") as name:
        bundle = rtl.write(design.chip, Path(name) / "rtl", device=device, inputs=wafers())
        if to[0] in FAMILIES:
            found = {to[0]: synthesise(bundle, Path(name), family=to[0], **given)}
        else:
            small = _bops(design) <= MOST_BOPS
            power = to if design.style == "constant" else (POWER_OF_RELOADABLE,) * small
            libraries = [find_library(each) for each in to]
            found = synthesise_many(bundle, Path(name), libraries=libraries, power=power, **given)
    return {to: replace(report, design=design.digest, by_layer={}) for to, report in found.items()}


def _bops(design: Design) -> int:
    return int(Workload.of([design.chip]).bops.sum())


def main(to: Sequence[str], styles: Sequence[str], *, trained: bool, most: int | None) -> None:
    known = {each: reports(each) for each in to}
    designs = [design for design in load() if design.style in styles and (trained or not design.trained)]
    designs.sort(key=lambda each: (each.trained, STYLES.index(each.style), _bops(each)))
    waiting = {
        design: [each for each in to if (design.style, design.digest) not in known[each]]
        for design in designs[:most]
    }
    chosen = [design for design in waiting if waiting[design]]
    workers = int(os.environ.get("WORKERS", len(os.sched_getaffinity(0))))
    wafers()
    with ThreadPoolExecutor(workers) as pool:
        started = {pool.submit(measured, design, waiting[design]): design for design in chosen}
        for done in track(as_completed(started), " ".join(to), total=len(started)):
            try:
                for name, report in done.result().items():
                    with (RESULTS / f"synthesis-{name}.jsonl").open("a") as stream:
                        stream.write(json.dumps(report.to_dict()) + "\n")
            except CodesignError as error:
                print(f"{started[done].style} {started[done].digest}: {error}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("to", nargs="+", help="libraries, or one family")
    parser.add_argument("--weights", choices=STYLES, nargs="+", default=STYLES)
    parser.add_argument("--drawn", action="store_true", help="leave out the trained designs")
    parser.add_argument("--most", type=int, help="only so many, those of the fewest bit operations")
    given = parser.parse_args()
    main(given.to, given.weights, trained=not given.drawn, most=given.most)
