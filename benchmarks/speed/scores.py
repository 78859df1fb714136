"""Speed of every metric of the ECON-T task at once, against loops over wafers, in CPU seconds.

20,000 generated wafers and an answer that a decoder might give, scored by everything in
``codesign.metrics.METRICS`` and the telescoping loss, with medians in bins; the loops score some of them one
by one, EMD by ``ot.emd2``, as the study's own code does. Same process, in turn, one thread. Fails below the
floor, or where all of it takes more than 5 CPU seconds. Run: ``python benchmarks/speed/scores.py``.
"""

import sys
from collections.abc import Callable
from time import process_time

import numpy as np
from comparison import Row, compared, report
from emd import decoded
from numpy.typing import NDArray

from codesign.metrics import METRICS, binned, telescoping_loss
from codesign.metrics.trigger_cells import DISTANCES, GROUP_WEIGHTS, GROUPS, POSITIONS
from codesign.tasks.generator import generate
from codesign.tasks.wafers import MIP_T, Wafers

WAFERS, LOOPED, ROUNDS = 20_000, 400, 5
SECONDS_LIMIT, RATIO_FLOOR = 5.0, 10.0
EDGES = (0, 1, 2, 4, 6, 8, 10, 12, 16, 20, 49)

Charges = NDArray[np.float64]


def ours(wafers: Wafers, outputs: Charges) -> dict[str, Charges]:
    charges = wafers.calq / MIP_T
    scores = {name: metric.function(charges, outputs) for name, metric in METRICS.items()}
    scores["telescoping_loss"] = telescoping_loss(wafers.normalised, outputs)
    for values in scores.values():
        binned(values, wafers.occupancy_1mip, EDGES)
        binned(values, np.log10(wafers.sum_pow2_mip), (-3, -1, 0, 1, 2, 6))
    return scores


def spread(p: Charges) -> float:
    standard = POSITIONS / POSITIONS.std(axis=0)
    return float(np.sqrt((p**2 * ((standard - p @ standard) ** 2).sum(axis=1)).sum()))


def one(x: Charges, y: Charges, normalised: Charges) -> tuple[float, ...]:
    """Every score of one wafer."""
    import ot

    p, r = x / x.sum(), y / y.sum()
    d_rms = spread(p) - spread(r)
    loss = 4 * np.mean((normalised - y) ** 2 * np.maximum(normalised, y))
    a, b = normalised[GROUPS].sum(axis=1), y[GROUPS].sum(axis=1)
    loss += 2 * np.mean((a - b) ** 2 * np.maximum(a, b) * GROUP_WEIGHTS)
    a, b = normalised.reshape(3, 16).sum(axis=1), y.reshape(3, 16).sum(axis=1)
    loss += np.mean((a - b) ** 2 * np.maximum(a, b))
    return (
        float(ot.emd2(p, r, DISTANCES)),
        float(np.linalg.norm((p - r) @ POSITIONS)),
        d_rms,
        abs(d_rms),
        float(np.corrcoef(x, y)[0, 1]) if np.ptp(x) and np.ptp(y) else 0.0,
        float(((x - y) ** 2).sum() / np.sqrt((x**2).sum() * (y**2).sum())),
        float(y.sum() / x.sum() - 1),
        float(not y.any()),
        float(loss),
    )


def looped(wafers: Wafers, outputs: Charges) -> NDArray[np.float64]:
    rows = zip(wafers.calq / MIP_T, outputs, wafers.normalised, strict=True)
    return np.array([one(x, y, normalised) for x, y, normalised in rows])


def cpu_seconds(call: Callable[[], object]) -> float:
    start = process_time()
    call()
    return process_time() - start


def measure() -> list[Row]:
    wafers = generate(WAFERS, seed=0)
    outputs = decoded(wafers.normalised, np.random.default_rng(0))
    some = wafers.take(slice(0, LOOPED))
    scores = np.stack(list(ours(some, outputs[:LOOPED]).values()), axis=1)
    np.testing.assert_allclose(scores, looped(some, outputs[:LOOPED]), rtol=1e-6, atol=1e-9)
    turns = []
    for _ in range(ROUNDS):
        slow = cpu_seconds(lambda: looped(some, outputs[:LOOPED]))
        fast = cpu_seconds(lambda: ours(wafers, outputs))
        if fast > SECONDS_LIMIT:
            raise SystemExit(
                f"all metrics of {WAFERS:,} wafers took {fast:.1f} CPU s, at most {SECONDS_LIMIT:g}"
            )
        turns.append((LOOPED / slow, WAFERS / fast))
    name = "every metric, with medians in bins"
    return [compared(name, "codesign.metrics", "loop over wafers, ot.emd2", turns, "wafers/s", RATIO_FLOOR)]


if __name__ == "__main__":
    sys.exit(report(measure))
