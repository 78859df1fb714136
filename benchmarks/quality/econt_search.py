"""Search strategies on the ECON-T space with an emulated EMD, Optuna and Ax beside ours.

    python benchmarks/quality/econt_search.py [--methods ehvi,random] [--seeds 10] [--first 0]

The EMD of a design is the posterior mean of a Gaussian process that was fitted once to designs really trained
(`benchmarks/results/econt-designs.json.gz`: random designs of the study of `examples/demo.toml`, 2,000 steps
each); the area is the hardware model's, known exactly, as in a study. So strategies are compared on the shape
of the real problem, not on the problem, and on one that suits Gaussian processes: kernel and coordinates are
those of our own surrogate. Hypervolumes are of the logarithms of both, up to the budgets.

All begin with the baseline. A trial is a design that a study would train. So peers are given for nothing: a
design that is over a budget (told with its values, which break the peer's constraints), one that was measured
before (told again), and one that the decoder cannot undo (pruned, or abandoned). Optuna's samplers are asked
with a define-by-run function, conditions and all, by `codesign.adapters`. Ax (its default strategy, `fast`)
has the parameters flattened, objectives and budgets in logarithms; what does not exist in a design is
dropped. For both the area is one more objective to learn: neither can be told that it is known. A seed whose
proposals have taken 15 CPU minutes ends there, and is compared at the trials that it came to.

What was measured before is kept in `benchmarks/results/econt-search.json`, which is written after every seed.

    codesign run random.toml --out DIR          # as examples/demo.toml, optimiser random, seed 20261127
    python benchmarks/quality/econt_search.py --from DIR    # writes the designs anew
"""

import argparse
import gzip
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from peers import absent, dumped, optuna_sampler, provenance

from codesign.adapters import candidate_of
from codesign.adapters.optuna import suggest
from codesign.config import load_study_file
from codesign.errors import SpaceError
from codesign.evaluation import Evaluation
from codesign.files import write_file
from codesign.insight import surrogate_errors
from codesign.metrics import Summary
from codesign.objectives import Objective
from codesign.optimisers import Problem, load_optimiser
from codesign.optimisers.gaussian import GaussianProcess
from codesign.optimisers.proposing import coordinates
from codesign.pareto import hypervolume
from codesign.space import Candidate
from codesign.study import Study
from search_spaces import econt

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
DESIGNS, FILE = RESULTS / "econt-designs.json.gz", RESULTS / "econt-search.json"
OURS = ("ehvi", "qnehvi", "nsga2", "sherlock", "random")
PEERS = {"optuna-tpe": "optuna", "optuna-nsga2": "optuna", "ax": "ax-platform"}
TRIALS, RANDOM_TRIALS = 60, 200
ASKED_MOST = 40
CPU_MOST_S = 900.0
"""What a seed may spend on proposals; compared is at as many trials as both came to."""

Measure = Callable[[Candidate], dict[str, float]]
Asked = Iterator[tuple[Candidate, float]]


def store(folder: str) -> None:
    """Write the designs of a study."""
    study = Study.read(folder)
    with study.store:
        rows = [
            {"candidate": dict(e.candidate.values), "emd": e.value("emd"), "steps": e.steps}
            for e in study.evaluations
            if e.ok
        ]
    DESIGNS.write_bytes(gzip.compress(json.dumps(rows, separators=(",", ":")).encode(), mtime=0))
    print(f"{DESIGNS}: {len(rows)} designs")


def problem() -> Problem:
    """The demo's, without its data."""
    config = load_study_file(ROOT / "examples" / "demo.toml")
    config = config.model_copy(update={"data": {"wafers": 500}})
    return config.setup().problem


class Emulator:
    """EMD of any candidate."""

    def __init__(self, search: Problem) -> None:
        rows = json.loads(gzip.decompress(DESIGNS.read_bytes()))
        self.problem, self.emd = search, np.array([row["emd"] for row in rows])
        candidates = [econt.SPACE.candidate(row["candidate"]) for row in rows]
        inputs = coordinates(search, econt.SPACE.encode(candidates))
        self.process = GaussianProcess.fit(inputs, np.log(self.emd))
        trained = [
            Evaluation(index, candidate, "random", "ok", metrics={"emd": Summary.of([value])})
            for index, (candidate, value) in enumerate(zip(candidates, self.emd, strict=True))
        ]
        self.error = surrogate_errors(econt.SPACE, trained, [Objective("emd")])["emd"]

    def __call__(self, codes: NDArray[np.int16]) -> NDArray[np.float64]:
        """EMD of each row, ``(n,)``."""
        found: NDArray[np.float64] = np.exp(self.process.predict(coordinates(self.problem, codes))[0])
        return found

    def measure(self, candidate: Candidate) -> dict[str, float]:
        """EMD and all known costs of a candidate."""
        codes = self.problem.space.encode([candidate])
        costs = {name: float(values[0]) for name, values in self.problem.price(codes).items()}
        return {"emd": float(self(codes)[0]), **costs}


def bounded(search: Problem) -> list[Objective]:
    """Whatever has a budget."""
    return [goal for goal in (*search.objectives, *search.limits) if goal.budget is not None]


def ours(name: str, search: Problem, measure: Measure, seed: int) -> Asked:
    """Candidates of one of our optimisers and the CPU seconds that each took."""
    optimiser, history = load_optimiser(name), list[Evaluation]()
    candidate, origin, seconds = search.baseline, "baseline", 0.0
    while candidate is not None:
        yield candidate, seconds
        values = measure(candidate)
        emd = {"emd": Summary.of([values.pop("emd")])}
        history.append(Evaluation(len(history), candidate, origin, "ok", metrics=emd, costs=values))
        started = process_time()
        proposal = optimiser.propose(search, history, [], np.random.default_rng([seed, len(history)]))
        assert proposal is not None
        candidate, origin, seconds = proposal.candidate, proposal.origin, process_time() - started


def optuna_asked(name: str, search: Problem, measure: Measure, seed: int) -> Asked:
    """Candidates of an Optuna sampler, over budgets and repeated ones too."""
    import optuna

    sampler = optuna_sampler(name.removeprefix("optuna-"), seed)
    study = optuna.create_study(directions=["minimize"] * len(search.objectives), sampler=sampler)
    assert search.baseline is not None
    study.enqueue_trial(dict(search.baseline.values))
    spent = 0.0
    while True:
        started = process_time()
        trial = study.ask()
        try:
            candidate = suggest(trial, search.space)
        except optuna.TrialPruned:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            spent += process_time() - started
            continue
        yield candidate, spent + process_time() - started
        values = measure(candidate)
        started = process_time()
        for goal in bounded(search):
            trial.set_constraint(goal.name, values[goal.name] / float(goal.budget or 1.0) - 1.0)
        study.tell(trial, [values[goal.name] for goal in search.objectives])
        spent = process_time() - started


def ax_asked(name: str, search: Problem, measure: Measure, seed: int) -> Asked:
    """Candidates of Ax's client, over budgets and repeated ones too."""
    client, spent = ax_client(search, seed), 0.0
    assert search.baseline is not None
    flat = {column.name: column.parameter.default for column in search.space.columns}
    waiting = {client.attach_trial(ax_values({**flat, **search.baseline.values})): search.baseline.values}
    while True:
        for number, values in waiting.items():
            try:
                candidate = candidate_of(search.space, values)
            except SpaceError:
                client.mark_trial_abandoned(number)
                continue
            yield candidate, spent
            measured, spent = measure(candidate), 0.0
            client.complete_trial(number, {g.name: float(np.log(measured[g.name])) for g in bounded(search)})
        started = process_time()
        waiting = client.get_next_trials(max_trials=1)
        spent += process_time() - started


def ax_values(values: Any) -> dict[str, Any]:
    return {name: value if isinstance(value, str | bool) else int(value) for name, value in values.items()}


def ax_client(search: Problem, seed: int) -> Any:
    """A client with the parameters of the space, all of them everywhere."""
    from ax.api.client import Client
    from ax.api.configs import ChoiceParameterConfig

    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    client = Client(random_seed=seed)
    parameters = []
    for column in search.space.columns:
        kind = "bool" if isinstance(column.parameter.values[0], bool) else "int"
        parameters.append(
            ChoiceParameterConfig(
                name=column.name,
                values=list(column.parameter.values),
                parameter_type=kind,
                is_ordered=column.parameter.kind != "categorical",
            )
        )
    client.configure_experiment(parameters=parameters)
    client.configure_optimization(
        objective=", ".join(f"-{goal.name}" for goal in search.objectives),
        outcome_constraints=[f"{goal.name} <= {np.log(goal.budget or 1.0)}" for goal in bounded(search)],
    )
    client.configure_generation_strategy(method="fast", initialization_random_seed=seed)
    return client


def asked(name: str, search: Problem, measure: Measure, seed: int) -> Asked:
    if name in OURS:
        return ours(name, search, measure, seed)
    return (ax_asked if name == "ax" else optuna_asked)(name, search, measure, seed)


def searched(name: str, search: Problem, emulator: Emulator, trials: int, seed: int) -> dict[str, Any]:
    """Hypervolume after each trial, how many designs were given for nothing, and CPU seconds a trial."""
    corner = np.log([goal.budget for goal in search.objectives if goal.budget is not None])
    points, volumes, taken = [], [], set[Candidate]()
    free, seconds = 0, 0.0
    for candidate, spent in asked(name, search, emulator.measure, seed):
        seconds += spent
        if seconds > CPU_MOST_S:
            break
        if candidate in taken or search.over_budget(candidate):
            free += 1
            if free > ASKED_MOST * trials:
                raise RuntimeError(f"{name} proposes hardly anything new within the budgets")
            continue
        taken.add(candidate)
        values = emulator.measure(candidate)
        points.append(np.log([values[goal.name] for goal in search.objectives]))
        volumes.append(round(hypervolume(np.array(points), corner), 5))
        if len(volumes) == trials:
            break
    return {"volumes": volumes, "free": free, "cpu_s_per_trial": seconds / max(len(volumes) - 1, 1)}


def summary(methods: dict[str, Any]) -> dict[str, Any]:
    """Trials to what random search reaches at its end, and seeds in which ``ehvi`` is ahead at the end."""

    def traces(name: str) -> dict[int, list[float]]:
        return {run["seed"]: run["volumes"][:TRIALS] for run in methods[name]["runs"]}

    found: dict[str, Any] = {"trials_to_random_200": {}, "ehvi_ahead": {}}
    runs = {name: method["runs"] for name, method in methods.items()}
    bars = {run["seed"]: run["volumes"][-1] for run in runs.get("random", [])}
    if bars:
        bar = found["random_200"] = float(np.median(list(bars.values())))
        for name, own in runs.items():
            found["trials_to_random_200"][name] = [
                next((i + 1 for i, v in enumerate(run["volumes"]) if v >= bar), None) for run in own
            ]
    if "ehvi" in runs:
        mine = traces("ehvi")
        for name in runs.keys() - {"ehvi"}:
            theirs = traces(name)
            both = sorted(mine.keys() & theirs.keys())
            ahead = sum(mine[s][len(theirs[s]) - 1] > theirs[s][-1] for s in both)
            found["ehvi_ahead"][name] = f"{ahead} of {len(both)}"
    return found


def show(results: dict[str, Any]) -> None:
    over = results["summary"]
    for name, method in results["methods"].items():
        ends = [run["volumes"][:TRIALS][-1] for run in method["runs"]]
        trials = min(len(run["volumes"][:TRIALS]) for run in method["runs"])
        reached = [np.inf if n is None else n for n in over["trials_to_random_200"].get(name, [])]
        print(
            f"{name:13} hypervolume at {trials}: median {np.median(ends):.3f}, least {min(ends):.3f}; trials "
            f"to random's {RANDOM_TRIALS}: median {np.median(reached) if reached else np.nan:g}, "
            f"most {max(reached, default=np.nan):g}; ehvi ahead: {over['ehvi_ahead'].get(name, '-')}; "
            f"{np.median([run['cpu_s_per_trial'] for run in method['runs']]):.3f} s a trial"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--from", dest="folder", help="write the designs of this study and end")
    parser.add_argument("--methods", default=",".join((*OURS, *PEERS)))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="first seed; those before are kept")
    options = parser.parse_args()
    if options.folder:
        store(options.folder)
        return
    search = problem()
    emulator = Emulator(search)
    results = json.loads(FILE.read_text()) if FILE.is_file() else {"methods": {}}
    results |= {"designs": len(emulator.emd), "emulator_error": emulator.error, "trials": TRIALS}
    for name in filter(None, options.methods.split(",")):
        if absent(PEERS, name):
            continue
        before = results["methods"].get(name, {"runs": []})["runs"]
        runs = [run for run in before if run["seed"] < options.first]
        for seed in range(options.first, options.seeds):
            trials = RANDOM_TRIALS if name == "random" else TRIALS
            runs.append({"seed": seed, **searched(name, search, emulator, trials, seed)})
            print(
                name,
                seed,
                *(len(runs[-1]["volumes"]), runs[-1]["volumes"][:TRIALS][-1]),
                f"{runs[-1]['cpu_s_per_trial']:.3f} s",
                flush=True,
            )
            results["methods"][name] = {"runs": runs, **provenance()}
            results["summary"] = summary(results["methods"])
            write_file(FILE, dumped(results))
    show(results)


if __name__ == "__main__":
    main()
