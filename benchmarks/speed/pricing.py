"""Candidates priced per CPU second on one thread: on arrays of codes, against one network at a time.

Each model prices candidates of the same draw both ways in the same process, in turn; constant weights by the
prior. Fails where the ratio or the rate of the call falls below its floor, or where the two disagree in one
bit. Writes ``benchmarks/results/pricing.json``. Run: ``python benchmarks/speed/pricing.py``.
"""

import json
import sys
from pathlib import Path
from statistics import median
from time import process_time
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from codesign.hardware import Costs, Device, HardwareModel
from hardware_models.asic import AsicModel
from hardware_models.constant import ConstantModel
from hardware_models.fpga_streaming import StreamingModel
from hardware_models.fpga_unrolled import UnrolledModel
from search_spaces import econt, econt_float

RESULTS = Path(__file__).parents[1] / "results" / "pricing.json"
ARRAY_CANDIDATES = 10_000
SINGLE_CANDIDATES = 200
ROUNDS = 9
RATE_FLOOR = 100_000  # candidates per CPU second, in the call of ``price``
RATIO_FLOOR = 50.0
CASES: tuple[tuple[ModuleType, HardwareModel, Device], ...] = (
    (econt, AsicModel(), Device()),
    (econt_float, AsicModel(), Device()),
    (econt, ConstantModel(), Device(weights="constant")),
    (econt, StreamingModel(), Device("xcup", 200.0)),
    (econt, UnrolledModel(), Device("xcup", 200.0)),
)


def one_at_a_time(space: ModuleType, model: HardwareModel, device: Device, codes: NDArray[np.int16]) -> Costs:
    """Build each network and estimate it."""
    networks = (space.build(candidate) for candidate in space.SPACE.decode(codes))
    costs = [model.estimate(network, device).costs() for network in networks]
    return {name: np.array([each[name] for each in costs]) for name in costs[0]}


def compare(space: ModuleType, model: HardwareModel, device: Device) -> dict[str, Any]:
    """Rates of one model on one space, medians over the rounds, and whether both ways agree."""
    codes = space.SPACE.sample_codes(ARRAY_CANDIDATES, np.random.default_rng(0))
    few = codes[:SINGLE_CANDIDATES]
    rounds = []
    for _ in range(ROUNDS):
        start = process_time()
        work = space.workload(codes)
        decoded = process_time()
        fast = model.price(work, device)
        middle = process_time()
        slow = one_at_a_time(space, model, device, few)
        end = process_time()
        priced, whole = (ARRAY_CANDIDATES / (middle - begun) for begun in (decoded, start))
        single = SINGLE_CANDIDATES / (end - middle)
        rounds.append((priced, whole, single, whole / single))
    names = ("price_per_s", "codes_to_costs_per_s", "one_by_one_per_s", "ratio")
    columns = zip(names, zip(*rounds, strict=True), strict=True)
    rates = {name: round(median(each), 1) for name, each in columns}
    same = all(np.array_equal(fast[name][:SINGLE_CANDIDATES], slow[name]) for name in slow)
    return {"model": model.name, "space": space.SPACE.name, "device": device.to_dict(), **rates, "same": same}


def main() -> int:
    """Compare all models; store what was measured."""
    print("candidates per CPU second on one thread, medians: the call of `price`, codes to costs, one by one")
    print(f"{'model':16} {'space':20} {'price':>10} {'codes':>10} {'one by one':>12} {'ratio':>7}   same")
    rows = []
    with threadpool_limits(1):
        for case in CASES:
            row = compare(*case)
            rows.append(row)
            rates = f"{row['price_per_s']:10,.0f} {row['codes_to_costs_per_s']:10,.0f}"
            others = (
                f"{row['one_by_one_per_s']:12,.0f} {row['ratio']:7.0f}   {'yes' if row['same'] else 'NO'}"
            )
            print(f"{row['model']:16} {row['space']:20} {rates} {others}")
    stored = {"candidates": ARRAY_CANDIDATES, "numpy": np.__version__, "rows": rows}
    RESULTS.write_text(json.dumps(stored, indent=1) + "\n")
    passed = [
        row["same"] and row["price_per_s"] >= RATE_FLOOR and row["ratio"] >= RATIO_FLOOR for row in rows
    ]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
