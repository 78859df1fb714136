"""Synthesise the designs of `designs.py`, one fixed script a library; goes on where it was stopped.

    CODESIGN_LIBERTY=FOLDER python benchmarks/quality/synthesis.py sky130hd [sg13g2 asap7 xc7 ecp5]

Writes a line a design to benchmarks/results/synthesis-<library>.jsonl: the report, with tool, version, script
and CPU seconds. `estimates.py` holds the estimators against these; tests need not run this.
"""

import json
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

from designs import Design, load
from rich.progress import track

from codesign.errors import CodesignError
from codesign.export import rtl
from codesign.hardware import Device, SynthesisReport
from codesign.synthesis import FAMILIES, find_library, synthesise

RESULTS = Path(__file__).parents[1] / "results"
TIMEOUT = 1200.0


def reports(to: str) -> dict[tuple[str, str], SynthesisReport]:
    """What is known of a library or family: (style, digest) to report."""
    path = RESULTS / f"synthesis-{to}.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    found = [SynthesisReport.from_dict(json.loads(line)) for line in lines]
    return {(str(report.target.weights), report.design): report for report in found}


def measured(design: Design, to: str) -> SynthesisReport:
    library = None if to in FAMILIES else find_library(to)
    device = Device(to, weights=design.style)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory(prefix="codesign-bench-") as name:
        bundle = rtl.write(design.chip, Path(name) / "rtl", device=device)
        report = synthesise(
            bundle,
            Path(name),
            library=library,
            family=to if to in FAMILIES else None,
            clock_mhz=device.clock_mhz,
            timeout=TIMEOUT,
            power=library is not None,
            place=False,
        )
    return replace(report, design=design.digest, by_layer={})


def main(to: str) -> None:
    known, path = reports(to), RESULTS / f"synthesis-{to}.jsonl"
    waiting = [each for each in load() if (each.style, each.digest) not in known]
    workers = int(os.environ.get("WORKERS", len(os.sched_getaffinity(0))))
    with path.open("a") as stream, ThreadPoolExecutor(workers) as pool:
        started = {pool.submit(measured, design, to): design for design in waiting}
        for done in track(as_completed(started), to, total=len(started)):
            try:
                stream.write(json.dumps(done.result().to_dict()) + "\n")
            except CodesignError as error:
                print(f"{started[done].digest}: {error}", file=sys.stderr)
            stream.flush()


if __name__ == "__main__":
    for each in sys.argv[1:]:
        main(each)
