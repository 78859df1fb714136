"""Speed of `codesign.metrics.emd` against the reference's loop over `ot.emd2`, in CPU seconds.

Both score the same wafers in the same process, in turn, on one thread; the compiled kernel must be there.
Fails where the ratio falls below the floor or where the two disagree. Run:
``python benchmarks/speed/emd.py``.
"""

import sys
from collections.abc import Callable
from statistics import median
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign import native
from codesign.metrics import earth_mover, emd
from codesign.metrics.trigger_cells import CELLS, DISTANCES

Wafers = NDArray[np.float64]  # (n, 48), charges in units of a transverse MIP

EVENTS = 2_000
ROUNDS = 7
RATIO_FLOOR = 25.0
RELATIVE_TOLERANCE = 1e-9
SHOWER_WIDTH = 1.5  # sensor cells
DECODER_WIDTH = 1.2  # sensor cells
MIP = 35.0  # counts


def wafers(rng: np.random.Generator) -> Wafers:
    """Up to four showers over pile-up that fills anything between one cell and all."""
    centres = rng.integers(CELLS, size=(EVENTS, 4))
    heights = rng.lognormal(3, 1.5, (EVENTS, 4)) * (np.arange(4) < rng.integers(1, 5, (EVENTS, 1)))
    showers = np.einsum("ns,nsc->nc", heights, np.exp(-DISTANCES[centres] / SHOWER_WIDTH))
    occupied = rng.random((EVENTS, CELLS)) < rng.beta(0.7, 1.4, (EVENTS, 1))
    counts = np.floor((showers + rng.exponential(20, (EVENTS, CELLS))) * occupied)
    counts[np.arange(EVENTS), centres[:, 0]] += 2
    return np.asarray(counts / MIP)


def decoded(x: Wafers, rng: np.random.Generator) -> Wafers:
    """Smear the charges and fill every cell, as a decoder that ends in a sigmoid does."""
    kernel = np.exp(-np.square(DISTANCES / DECODER_WIDTH) / 2)
    smeared = x @ (kernel / kernel.sum(axis=1, keepdims=True)) * rng.lognormal(0, 0.3, x.shape)
    return np.asarray(smeared + 1e-3 * x.sum(axis=1, keepdims=True) * rng.random(x.shape))


def largest_only(x: Wafers, keep: int = 14) -> Wafers:
    """Keep the largest charges: the best-choice algorithm."""
    threshold = np.sort(x, axis=1)[:, [-keep]]
    return np.where(x >= threshold, x, 0.0)


def reference_emd(x: Wafers, y: Wafers) -> NDArray[np.float64]:
    """Normalise and solve one wafer after another."""
    import ot

    return np.array([ot.emd2(a / a.sum(), b / b.sum(), DISTANCES) for a, b in zip(x, y, strict=True)])


def cpu_seconds(function: Callable[[Wafers, Wafers], NDArray[np.float64]], x: Wafers, y: Wafers) -> float:
    """CPU seconds of one call."""
    start = process_time()
    function(x, y)
    return process_time() - start


def compare(work: str, x: Wafers, y: Wafers) -> dict[str, Any]:
    """Rates and ratio as plain data; the largest relative error is checked here."""
    scores = emd(x, y)
    earth_mover._network_simplex()  # imports POT without torch, which is to the reference's gain
    expected = reference_emd(x, y)
    moved = expected > 1e-12  # equal wafers differ by rounding errors only
    error = float(np.abs(scores[moved] / expected[moved] - 1).max())
    if error > RELATIVE_TOLERANCE:
        raise SystemExit(f"{work}: the two disagree by {error:.0e}")
    rounds = [(cpu_seconds(reference_emd, x, y), cpu_seconds(emd, x, y)) for _ in range(ROUNDS)]
    reference_rate, our_rate = (len(x) / median(seconds) for seconds in zip(*rounds, strict=True))
    return {
        "work": work,
        "reference": "loop over ot.emd2",
        "ours": "codesign.metrics.emd",
        "reference_rate": reference_rate,
        "our_rate": our_rate,
        "unit": "wafers per CPU second",
        "ratio": median(slow / fast for slow, fast in rounds),
        "floor": RATIO_FLOOR,
    }


def measure() -> list[dict[str, Any]]:
    """Compare on three kinds of output."""
    rng = np.random.default_rng(7)
    x = wafers(rng)
    outputs = {
        "decoder": decoded(x, rng),
        "best choice": largest_only(x),
        "another wafer": np.roll(x, 1, axis=0),
    }
    return [compare(f"EMD, {name}", x, y) for name, y in outputs.items()]


def main() -> int:
    """Print a table; 1 if a ratio is below its floor."""
    if not native.available():
        print(native.absence())
        return 1
    print(f"{EVENTS} wafers, {ROUNDS} rounds, medians; {native.instruction_set()}")
    print(f"{'work':20} {'reference':>10} {'ours':>10} {'ratio':>6} {'floor':>6}")
    results = measure()
    for r in results:
        rates = f"{r['reference_rate']:10,.0f} {r['our_rate']:10,.0f}"
        print(f"{r['work']:20} {rates} {r['ratio']:6.1f} {r['floor']:6.1f}")
    return int(any(r["ratio"] < r["floor"] for r in results))


if __name__ == "__main__":
    sys.exit(main())
