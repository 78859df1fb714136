"""Speed of `codesign.metrics.emd` against the reference's loop over `ot.emd2`, in CPU seconds.

Both score the same wafers in the same process, in turn, on one thread; the compiled kernel must be there.
Fails where the ratio falls below the floor or where the two disagree. Run:
``python benchmarks/speed/emd.py``.
"""

import sys
from collections.abc import Callable
from time import process_time

import numpy as np
from comparison import Row, compared, report
from numpy.typing import NDArray

from codesign.metrics import earth_mover, emd
from codesign.metrics.trigger_cells import CELLS, DISTANCES

Wafers = NDArray[np.float64]  # (n, 48), charges in units of a transverse MIP

EVENTS = 2_000
ROUNDS = 7
RATIO_FLOOR = 15
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


def compare(work: str, x: Wafers, y: Wafers) -> Row:
    """Rates and ratio as plain data; the largest relative error is checked here."""
    scores = emd(x, y)
    earth_mover._network_simplex()  # imports POT without torch, which is to the reference's gain
    expected = reference_emd(x, y)
    moved = expected > 1e-12  # equal wafers differ by rounding errors only
    error = float(np.abs(scores[moved] / expected[moved] - 1).max())
    if error > RELATIVE_TOLERANCE:
        raise SystemExit(f"{work}: the two disagree by {error:.0e}")
    rates = [
        (len(x) / cpu_seconds(reference_emd, x, y), len(x) / cpu_seconds(emd, x, y)) for _ in range(ROUNDS)
    ]
    ours, reference = "codesign.metrics.emd", "loop over ot.emd2"
    return compared(work, ours, reference, rates, "wafers per CPU second", RATIO_FLOOR)


def measure() -> list[Row]:
    """Compare on three kinds of output."""
    rng = np.random.default_rng(7)
    x = wafers(rng)
    outputs = {
        "decoder": decoded(x, rng),
        "best choice": largest_only(x),
        "another wafer": np.roll(x, 1, axis=0),
    }
    return [compare(f"EMD, {name}", x, y) for name, y in outputs.items()]


if __name__ == "__main__":
    sys.exit(report(measure))
