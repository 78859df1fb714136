"""The demo study on the clock against the same before there were compiled kernels.

The reference is this project at commit ``BEFORE``, from the history: qnehvi proposes there, PyTorch trains,
the EMD is POT's. Same study file, same trials and epochs; imports, data, proposals, exports and pictures
count. One turn each, since the reference takes minutes. Run: ``python benchmarks/speed/study.py``.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from comparison import Row, compared, report

ROOT = Path(__file__).parents[2]
BEFORE = "17eab85"
RATIO_FLOOR = 2.5
FINISHED = re.compile(r"^ *\d+/\d+ ")


def finished(tree: Path, out: Path, *options: str) -> list[float]:
    """Seconds on the clock from the start of the demo to the end of each design, and of everything."""
    command = [sys.executable, "-m", "codesign.cli", "run", str(ROOT / "examples" / "demo.toml")]
    environment = os.environ | {"PYTHONPATH": str(tree), "PYTHONUNBUFFERED": "1"}
    start = time.perf_counter()
    with subprocess.Popen(
        [*command, *options, "--out", str(out)],
        cwd=tree,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        times = [time.perf_counter() - start for line in process.stdout if FINISHED.match(line)]
    if process.returncode:
        raise SystemExit(f"the demo in {tree} ended with status {process.returncode}")
    return [*times, time.perf_counter() - start]


def measure() -> list[Row]:
    """The demo before and now; when each design ended is in ``finished``."""
    with tempfile.TemporaryDirectory() as folder:
        old = Path(folder, "before")
        old.mkdir()
        archive = ["git", "archive", "--format=tar", BEFORE]
        tar = subprocess.run(archive, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
        subprocess.run(["tar", "-x"], cwd=old, check=True, input=tar)
        now = finished(ROOT, Path(folder, "now"))
        before = finished(old, Path(folder, "then"), "--optimiser", "qnehvi")
    designs = len(now) - 1
    rates = [(3600 * designs / before[-1], 3600 * designs / now[-1])]
    work, unit = f"demo study, {designs} designs", "designs per hour on the clock"
    row = compared(work, "now, two workers", f"commit {BEFORE}, two workers", rates, unit, RATIO_FLOOR)
    return [row | {"finished": {"now": now, "before": before}}]


if __name__ == "__main__":
    sys.exit(report(measure))
