"""What a proposal costs: ours and peers, after 50 to 2,000 observations.

    python benchmarks/speed/proposals.py [--methods 'ehvi;Ax'] [--draw]

Eight parameters of four values, of which ours have 1,000 designs left to choose from; peers have the box of
all 65,536. One measured objective and one cost, which ours know and peers learn. CPU seconds of one proposal,
the median of a sequence with an observation added between them; ``ehvi`` keeps its fit from one to the next,
as in a study. ``qnehvi, 8 at once`` are eight proposals of which each knows those before it as pending, all
together. Optuna's sampler is the multivariate TPE, Ax has its default strategy (``fast``). Peers that are not
installed are left out. What was measured before of other methods is kept in ``results/proposals.json``, from
which ``docs/proposals.png`` is drawn.
"""

import argparse
import json
import logging
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import numpy as np
from comparison import Row, compared, report
from matplotlib.figure import Figure
from numpy.typing import NDArray
from record import commit, processor

from codesign.evaluation import Evaluation
from codesign.files import write_file
from codesign.metrics import Summary
from codesign.objectives import Objective
from codesign.optimisers import Problem, load_optimiser
from codesign.optimisers.hedge import UNTIL
from codesign.plotting import png
from codesign.space import Candidate, SearchSpace, integer

ROOT = Path(__file__).parents[2]
FILE = ROOT / "benchmarks" / "results" / "proposals.json"
PICTURE = ROOT / "docs" / "proposals.png"
RATIO_FLOOR, BATCH, MOST_BATCH_S = 3.0, 8, 8.0
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


def ours(name: str, count: int, turns: int, at_once: int = 1) -> float:
    """CPU seconds of ``at_once`` proposals of one of our optimisers after ``count`` observations."""
    search = problem(LEFT + count + turns + at_once)
    optimiser, known, times = load_optimiser(name), history(search, count + turns), []
    for turn in range(turns + 1):  # the first has nothing kept
        pending: list[Candidate] = []
        start = process_time()
        for _ in range(at_once):
            told = known[: count + max(turn - 1, 0)]
            proposal = optimiser.propose(search, told, pending, np.random.default_rng([turn, len(pending)]))
            assert proposal is not None
            pending.append(proposal.candidate)
        times.append(process_time() - start)
    return median(times[1:])


def told(count: int) -> list[tuple[dict[str, int], float, float]]:
    """The same observations as plain data: parameters, error, cost."""
    return [
        ({name: int(each.candidate[name]) for name in WHOLE.names}, each.value("error"), each.costs["cost"])
        for each in history(problem(LEFT + count), count)
    ]


def optuna_tpe(count: int, turns: int) -> float:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    sampler = optuna.samplers.TPESampler(multivariate=True, seed=0)
    study = optuna.create_study(directions=["minimize"] * 2, sampler=sampler)
    ranges = {name: optuna.distributions.IntDistribution(0, 3) for name in WHOLE.names}
    known, times = told(count + turns), []
    for values, error, cost in known[:count]:
        trial = optuna.trial.create_trial(params=values, distributions=ranges, values=[error, cost])
        study.add_trial(trial)
    for _, error, cost in known[count:]:
        start = process_time()
        trial = study.ask(ranges)
        times.append(process_time() - start)
        study.tell(trial, [error, cost])
    return median(times)


def ax(count: int, turns: int) -> float:
    from ax.api.client import Client
    from ax.api.configs import RangeParameterConfig

    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    client = Client(random_seed=0)
    client.configure_experiment(
        parameters=[
            RangeParameterConfig(name=name, bounds=(0, 3), parameter_type="int") for name in WHOLE.names
        ]
    )
    client.configure_optimization(objective="-error, -cost")
    known, times = told(count + turns + 1), list[float]()
    for values, error, cost in known[:count]:
        client.complete_trial(client.attach_trial(values), {"error": error, "cost": cost})
    for _, error, cost in known[count:]:
        start = process_time()
        (number,) = client.get_next_trials(max_trials=1)
        times.append(process_time() - start)
        client.complete_trial(number, {"error": error, "cost": cost})
    return median(times[1:])  # the first is of its start design


@dataclass(frozen=True)
class Method:
    """How a proposal is timed, after how many observations, in how many turns, and how it is drawn."""

    seconds: Callable[[int, int], float]
    observed: tuple[int, ...]
    turns: int
    colour: str
    package: str = "codesign"


METHODS = {
    "ehvi": Method(lambda n, turns: ours("ehvi", n, turns), (50, 100, 200, 500, 1000, 2000), 7, "#c1121f"),
    "qnehvi": Method(lambda n, turns: ours("qnehvi", n, turns), (50, 100, 200, 500, 1000), 3, "#780000"),
    "qnehvi, 8 at once": Method(
        lambda n, turns: ours("qnehvi", n, turns, BATCH), (50, 100, 200, 500), 1, "#e07a5f"
    ),
    "Optuna TPE": Method(optuna_tpe, (50, 100, 200, 500, 1000, 2000), 7, "#003049", "optuna"),
    "Ax": Method(ax, (50, 100, 200), 2, "#669bbc", "ax-platform"),
}


def installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def provenance() -> dict[str, Any]:
    packages = ("codesign", "numpy", "scipy", "torch", "botorch", "optuna", "ax-platform")
    return {
        "versions": {name: version(name) for name in packages if installed(name)},
        "processor": processor(),
        "commit": commit(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def timed(names: list[str]) -> dict[str, Any]:
    """Time these methods, and write what is known of all."""
    results: dict[str, Any] = json.loads(FILE.read_text()) if FILE.is_file() else {}
    known = results.setdefault("methods", {})
    results.pop("cpu_seconds", None)
    for name in names:
        method = METHODS[name]
        if not installed(method.package):
            print(f"{name}: not measured, {method.package} is not installed (pip install {method.package})")
            continue
        known[name] = {"cpu_s": {}, "turns": method.turns, **provenance()}
        for count in method.observed:
            seconds = method.seconds(count, method.turns)
            known[name]["cpu_s"][str(count)] = float(f"{seconds:.4g}")
            print(f"{name}: {seconds:.3f} CPU s after {count} observations", flush=True)
            write_file(FILE, json.dumps(results, indent=1) + "\n")
    draw(results)
    return results


def draw(results: dict[str, Any]) -> None:
    """CPU seconds over observations, a line for each method."""
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.subplots()
    for name, found in results["methods"].items():
        counts, seconds = [int(n) for n in found["cpu_s"]], list(found["cpu_s"].values())
        axes.plot(counts, seconds, marker="o", markersize=4, color=METHODS[name].colour)
        axes.annotate(
            name,
            (counts[-1], seconds[-1]),
            (7, 0),
            textcoords="offset points",
            va="center",
            color=METHODS[name].colour,
        )
    axes.set(xscale="log", yscale="log", xlabel="observations", ylabel="CPU seconds of a proposal")
    axes.set_xlim(40, 5000)
    ticks = [50, 100, 200, 500, 1000, 2000]
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    one = next(iter(results["methods"].values()))
    figure.suptitle(f"8 parameters, 2 objectives; one core of {one['processor']}", fontsize=10)
    write_file(PICTURE, png(figure))


def measure(names: list[str]) -> list[Row]:
    """``ehvi`` against ``qnehvi``, and a batch of ``qnehvi`` against its goal."""
    found = {name: each["cpu_s"] for name, each in timed(names)["methods"].items()}
    work = f"{BATCH} proposals at once after 200 observations"
    batch = found["qnehvi, 8 at once"]["200"]
    return [
        *(
            compared(
                f"a proposal after {count} observations",
                "ehvi",
                "qnehvi",
                [(3600 / seconds, 3600 / found["ehvi"][count])],
                "proposals per CPU hour",
                RATIO_FLOOR,
            )
            for count, seconds in found["qnehvi"].items()
            if int(count) > UNTIL  # below, ehvi compares surrogates
        ),
        compared(
            work,
            "qnehvi",
            f"{MOST_BATCH_S:g} s",
            [(3600 / MOST_BATCH_S, 3600 / batch)],
            "batches per CPU hour",
            1.0,
        ),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", default=None, help="some of: " + "; ".join(METHODS) + ", parted by ';'")
    parser.add_argument("--draw", action="store_true", help="only draw what was measured")
    options = parser.parse_args()
    if options.draw:
        draw(json.loads(FILE.read_text()))
    elif options.methods:
        timed(options.methods.split(";"))
    else:
        sys.exit(report(lambda: measure(list(METHODS))))
