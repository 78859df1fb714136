"""Laws that every strategy keeps, on spaces of which everything is known."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codesign.evaluation import Evaluation
from codesign.metrics import Summary
from codesign.objectives import Objective
from codesign.optimisers import OPTIMISERS, Problem, load_optimiser
from codesign.pareto import hypervolume
from codesign.space import Candidate, Repeat, SearchSpace, categorical, integer, ordinal
from codesign.testing import check_optimiser

Codes = NDArray[np.int16]
Points = NDArray[np.float64]

NAMES = tuple(name for name in OPTIMISERS if name not in ("random", "qnehvi", "ehvi"))
SLOW = {"grid-bo": (30, 2), "sherlock": (16, 2)}
"""Trials and seeds of the comparison with random search, where 40 and 3 take too long."""
BETTER = [
    pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in NAMES if name != "grid"
]
LAYER = (ordinal("units", (2, 4, 8, 16)), ordinal("bits", (2, 3, 4, 5, 6)))
SPACE = SearchSpace("emulated", (Repeat("layers", LAYER, 0, 2), ordinal("kernel", (1, 3, 5))))
POINT = SearchSpace("point", (integer("bits", 4, 4),))
SMALL = SearchSpace(
    "small", (Repeat("layers", (categorical("kind", ("a", "b")),), 0, 2), integer("bits", 1, 2))
)
VAST = SearchSpace(
    "vast", (Repeat("layers", LAYER, 0, 8), integer("a", 0, 9), categorical("b", ("x", "y", "z")))
)
KNOWN = frozenset({"cost", "work"})

examples = settings(deadline=None, max_examples=12)
seeds = st.integers(0, 2**32 - 1)


def price(codes: Codes) -> dict[str, Points]:
    """A cost that rises with every code, and another that does in steps."""
    weights = 1.0 + np.arange(codes.shape[1]) % 3
    cost = 1.0 + ((codes + 1.0) ** 2) @ weights
    return {"cost": cost, "work": np.ceil(cost / 10)}


def errors(codes: Codes) -> Points:
    """An error that falls where the cost rises, with diminishing returns and a dependence between codes."""
    gains = 1.0 - 0.8 ** (codes + 1.0)
    return 3.0 - gains.mean(axis=1) - 0.8 * gains[:, 0] * gains[:, -1] + 0.2 * np.cos(codes[:, -1] * 2.0)


def problem(space: SearchSpace = SPACE, *goals: str, **options: Any) -> Problem:
    names = ("error", *(goals or ("cost",)))
    return Problem(space, tuple(map(Objective.parse, names)), price, KNOWN, **options)


def ended(
    number: int, given: Problem, candidate: Candidate, origin: str = "test", **changes: Any
) -> Evaluation:
    codes = given.space.encode([candidate])
    metrics = {"error": Summary(float(errors(codes)[0]), 0.0, 0.0, 1)}
    costs = {name: float(values[0]) for name, values in price(codes).items()}
    evaluation = Evaluation(number, candidate, origin, "ok", metrics=metrics, costs=costs)
    return replace(evaluation, **changes)


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def run(name: str, given: Problem, trials: int, seed: int = 0, in_flight: int = 1) -> list[Evaluation]:
    """The proposals of a study; each sees all but the last ``in_flight - 1`` as ended."""
    optimiser, done = load_optimiser(name), []
    for number in range(trials):
        seen = max(number - in_flight + 1, 0)
        pending = [evaluation.candidate for evaluation in done[seen:]]
        proposal = optimiser.propose(given, done[:seen], pending, rng(seed, number))
        if proposal is None:
            break
        done.append(ended(number, given, proposal.candidate, proposal.origin))
    return done


def volume(history: Sequence[Evaluation], given: Problem) -> float:
    """Hypervolume of error and logarithm of the cost, as a part of the whole front's."""
    everything = given.space.enumerate_codes()
    corner = np.array([3.3, np.log(price(everything)["cost"].max())])

    def of(codes: Codes) -> float:
        return hypervolume(np.stack([errors(codes), np.log(price(codes)["cost"])], axis=1), corner)

    return of(given.space.encode([each.candidate for each in history])) / of(everything)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("goals", [("cost",), ("cost<=60",), ("cost", "max work")])
def test_keeps_the_laws_of_optimisers(name: str, goals: tuple[str, ...]) -> None:
    check_optimiser(load_optimiser(name), problem(SPACE, *goals), trials=12)


@pytest.mark.parametrize("name", NAMES)
def test_proposes_valid_new_designs_within_budget_in_a_space_that_cannot_be_listed(name: str) -> None:
    assert VAST.count() > 10**11
    bounded = problem(VAST, "cost<=400")
    history = run(name, bounded, 16, in_flight=3)
    codes = VAST.encode([evaluation.candidate for evaluation in history])
    assert len({row.tobytes() for row in codes}) == len(codes) == 16
    assert VAST.valid(codes).all()
    assert bounded.feasible(codes).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("in_flight", [1, 4])
def test_proposes_every_design_within_budget_once_then_none(name: str, in_flight: int) -> None:
    bounded = problem(SMALL, "cost<=16")
    within = bounded.feasible(SMALL.enumerate_codes()).sum()
    assert 1 < within < SMALL.count()
    history = run(name, bounded, SMALL.count() + 1, in_flight=in_flight)
    assert len({evaluation.candidate for evaluation in history}) == len(history) == within
    candidates = [evaluation.candidate for evaluation in history]
    assert load_optimiser(name).propose(bounded, [], candidates, rng(0)) is None


@pytest.mark.parametrize("name", NAMES)
def test_a_space_of_one_point(name: str) -> None:
    (only,) = run(name, problem(POINT), 3)
    assert load_optimiser(name).propose(problem(POINT), [only], [], rng(0)) is None


HAZARDS = {
    "equal": {"metrics": {"error": Summary(1.0, 0.0, 0.0, 1)}},
    "zero": {"metrics": {"error": Summary(0.0, 0.0, 0.0, 1)}},
    "huge": {"metrics": {"error": Summary(1e200, 0.0, 0.0, 1)}},
    "negative": {"metrics": {"error": Summary(-1.0, 0.0, 0.0, 1)}},
    "nan": {"metrics": {"error": Summary(float("nan"), 0.0, 0.0, 1)}},
    "failed": {"status": "failed", "metrics": {}},
    "infeasible": {"status": "infeasible", "metrics": {}},
    "diverged": {"status": "diverged", "metrics": {}},
    "lost": {"status": "lost", "metrics": {}},
}


@pytest.mark.parametrize("name", NAMES)
@given(st.lists(st.sampled_from((*HAZARDS, "fine")), max_size=30), st.integers(0, 5), seeds)
@examples
def test_any_history_gives_a_new_valid_proposal(name: str, kinds: list[str], pending: int, seed: int) -> None:
    given = problem()
    candidates = given.space.decode(given.draw(len(kinds) + pending, rng(seed)))
    history = [
        ended(number, given, candidate, **HAZARDS.get(kind, {}))
        for number, (candidate, kind) in enumerate(zip(candidates, kinds, strict=False))
    ]
    waiting = candidates[len(kinds) :]
    proposal = load_optimiser(name).propose(given, history, waiting, rng(seed, 1))
    assert proposal is not None
    assert proposal.candidate not in candidates
    assert given.space.valid(given.space.encode([proposal.candidate])).all()
    assert load_optimiser(name).propose(given, history, waiting, rng(seed, 1)) == proposal


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", [*HAZARDS, "fine"])
def test_200_alike_give_a_new_proposal(name: str, kind: str) -> None:
    given = problem()
    candidates = given.space.decode(given.draw(200, rng(1)))
    history = [ended(n, given, each, **HAZARDS.get(kind, {})) for n, each in enumerate(candidates)]
    proposal = load_optimiser(name).propose(given, history, [], rng(2))
    assert proposal is not None
    assert proposal.candidate not in candidates


@pytest.mark.parametrize("name", BETTER)
def test_comes_nearer_the_front_than_random_search(name: str) -> None:
    given, (trials, seeds) = problem(), SLOW.get(name, (40, 3))
    ours = [volume(run(name, given, trials, seed), given) for seed in range(seeds)]
    random = [volume(run("random", given, trials, seed), given) for seed in range(seeds)]
    assert np.mean(ours) > np.mean(random)
    assert sum(a > b for a, b in zip(ours, random, strict=True)) >= 2
