"""Candidates priced per CPU second: on arrays of codes, against one network at a time.

Both price candidates of the same draw in the same process, in turn. Fails where the ratio or the rate
falls below its floor, or where the two disagree in one bit. Run: ``python benchmarks/speed/pricing.py``.
"""

import sys
from statistics import median
from time import process_time
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from codesign.hardware import Costs, Device
from hardware_models.asic import AsicModel
from search_spaces import econt, econt_float

ARRAY_CANDIDATES = 10_000
SINGLE_CANDIDATES = 200
ROUNDS = 9
RATE_FLOOR = 50_000  # candidates per CPU second
RATIO_FLOOR = 50.0
DEVICE = Device()


def on_arrays(space: ModuleType, codes: NDArray[np.int16]) -> Costs:
    """Price rows of codes, shape ``(n, d)``, without a network."""
    return AsicModel().price(space.workload(codes), DEVICE)


def one_at_a_time(space: ModuleType, codes: NDArray[np.int16]) -> Costs:
    """Build each network and estimate it."""
    networks = (space.build(candidate) for candidate in space.SPACE.decode(codes))
    costs = [AsicModel().estimate(network, DEVICE).costs() for network in networks]
    return {name: np.array([each[name] for each in costs]) for name in costs[0]}


def compare(space: ModuleType) -> bool:
    """Print one line; whether rate, ratio and agreement are good enough."""
    codes = space.SPACE.sample_codes(ARRAY_CANDIDATES, np.random.default_rng(0))
    few = codes[:SINGLE_CANDIDATES]
    rounds = []
    for _ in range(ROUNDS):
        start = process_time()
        fast = on_arrays(space, codes)
        middle = process_time()
        slow = one_at_a_time(space, few)
        end = process_time()
        rounds.append((ARRAY_CANDIDATES / (middle - start), SINGLE_CANDIDATES / (end - middle)))
    rate, single = (median(rates) for rates in zip(*rounds, strict=True))
    ratio = median(fast_rate / slow_rate for fast_rate, slow_rate in rounds)
    same = all(np.array_equal(fast[name][:SINGLE_CANDIDATES], slow[name]) for name in slow)
    print(f"{space.SPACE.name:20} {rate:10,.0f} {single:12,.0f} {ratio:7.0f}   {'yes' if same else 'NO'}")
    return same and rate >= RATE_FLOOR and ratio >= RATIO_FLOOR


def main() -> int:
    """Compare on both spaces of the ECON-T autoencoder."""
    print("candidates per CPU second: codes to costs, against networks one at a time; medians")
    print(f"{'space':20} {'arrays':>10} {'one by one':>12} {'ratio':>7}   same costs")
    passed = [compare(space) for space in (econt, econt_float)]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
