"""Speed of the data of the ECON-T task: CPU seconds for 100,000 wafers, and of reading them from CSV.

The loader is held against a bare ``pandas.read_csv`` of the same file, in the same process, in turn. Fails
where either is slower than its limit. Run: ``python benchmarks/speed/generator.py``.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time

import pandas as pd

from codesign.tasks.generator import generate
from codesign.tasks.trigger_cell_csv import read_trigger_cells
from codesign.tasks.wafers import TRIGGER_CELLS, Wafers

WAFERS = 100_000
ROUNDS = 5
SECONDS_LIMIT = 10.0
RATIO_LIMIT = 4.0


def write(wafers: Wafers, path: Path) -> None:
    """Write charges with the header that the study's files have."""
    names = [f"CALQ_{i}" for i in range(TRIGGER_CELLS)]
    pd.DataFrame(wafers.calq, columns=names).to_csv(path, index=False)


def cpu_seconds(call: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    start = process_time()
    call()
    return process_time() - start


def main() -> int:
    """Measure, print, and return 1 where a limit is passed."""
    generate(1, seed=0)  # tables that are made once
    generating = median(cpu_seconds(lambda: generate(WAFERS, seed=1)) for _ in range(ROUNDS))
    print(f"generate: {generating:.2f} CPU s for {WAFERS:,} wafers (limit {SECONDS_LIMIT:g})")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "wafers.csv"
        write(generate(WAFERS, seed=1), path)
        times = [
            (cpu_seconds(lambda: read_trigger_cells(path)), cpu_seconds(lambda: pd.read_csv(path)))
            for _ in range(ROUNDS)
        ]
    ours, bare = (median(column) for column in zip(*times, strict=True))
    ratio = median(a / b for a, b in times)
    print(f"read_trigger_cells: {ours:.2f} CPU s, {WAFERS / ours:,.0f} wafers/s")
    print(f"pandas.read_csv:    {bare:.2f} CPU s; ratio {ratio:.2f} (limit {RATIO_LIMIT:g})")
    return int(generating > SECONDS_LIMIT or ratio > RATIO_LIMIT)


if __name__ == "__main__":
    sys.exit(main())
