"""What a proposal costs: `ehvi` against `qnehvi`, after 50 to 2,000 observations.

Run: ``python benchmarks/speed/proposals.py``; writes ``results/proposals.json``. Eight parameters of
four values, of which 1,000 designs are left to choose from; one measured objective, one known. CPU seconds of
one proposal, the median of a sequence of ``TURNS`` with an observation added between them; ``ehvi`` keeps its
fit from one to the next, as in a study. ``qnehvi`` is asked up to 200 observations.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import process_time

import numpy as np
from comparison import Row, compared, report
from numpy.typing import NDArray

from codesign.evaluation import Evaluation
from codesign.metrics import Summary
from codesign.objectives import Objective
from codesign.optimisers import Problem, load_optimiser
from codesign.space import SearchSpace, integer

FILE = Path(__file__).parents[1] / "results" / "proposals.json"
OBSERVED, BOTH, TURNS, RATIO_FLOOR = (50, 200, 500, 1000, 2000), 200, 7, 10.0
LEFT = 1000
WHOLE = SearchSpace("flat", tuple(integer(f"k{index}", 0, 3) for index in range(8)))


def price(codes: NDArray[np.int16]) -> dict[str, NDArray[np.float64]]:
    return {"cost": 1.0 + ((codes + 1.0) ** 2) @ (1.0 + np.arange(codes.shape[1]) % 3)}


def problem(size: int) -> Problem:
    """A search among so many designs."""
    drawn = np.random.default_rng(1).permutation(WHOLE.count())[:size]
    space = replace(WHOLE, only=tuple(WHOLE.decode(WHOLE.enumerate_codes()[drawn])))
    return Problem(space, (Objective("error"), Objective("cost")), price, frozenset({"cost"}))


def history(search: Problem, count: int) -> list[Evaluation]:
    rng = np.random.default_rng(0)
    codes = search.draw(count, rng)
    errors = 3.0 - (1.0 - 0.8 ** (codes + 1.0)).mean(axis=1) + 0.01 * rng.normal(size=count)
    costs = price(codes)["cost"]
    return [
        Evaluation(
            n, each, "random", "ok", metrics={"error": Summary.of([float(e)])}, costs={"cost": float(c)}
        )
        for n, (each, e, c) in enumerate(zip(search.space.decode(codes), errors, costs, strict=True))
    ]


def seconds(name: str, count: int) -> float:
    """CPU seconds of a proposal after ``count`` observations."""
    search = problem(LEFT + count + TURNS)
    optimiser, known, times = load_optimiser(name), history(search, count + TURNS), []
    for turn in range(TURNS + 1):  # the first has nothing kept
        start = process_time()
        optimiser.propose(search, known[: count + max(turn - 1, 0)], [], np.random.default_rng(turn))
        times.append(process_time() - start)
    return median(times[1:])


def measure() -> list[Row]:
    """``ehvi`` at every number of observations, ``qnehvi`` beside it as far as it is asked."""
    ours = {count: seconds("ehvi", count) for count in OBSERVED}
    theirs = {count: seconds("qnehvi", count) for count in OBSERVED if count <= BOTH}
    FILE.write_text(json.dumps({"cpu_seconds": {"ehvi": ours, "qnehvi": theirs}}, indent=1) + "\n")
    for count, each in ours.items():
        print(f"{count:5} observations: ehvi {each:.3f} s, qnehvi {theirs.get(count, float('nan')):.3f} s")
    return [
        compared(
            f"a proposal after {count} observations",
            "ehvi",
            "qnehvi",
            [(3600 / theirs[count], 3600 / ours[count])],
            "proposals per CPU hour",
            RATIO_FLOOR,
        )
        for count in theirs
    ]


if __name__ == "__main__":
    sys.exit(report(measure))
