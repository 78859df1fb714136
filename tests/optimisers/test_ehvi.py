"""The light optimiser keeps the laws of the others and resumes as if never stopped."""

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
from codesign.optimisers import Problem, load_optimiser
from codesign.pareto import hypervolume
from codesign.space import Candidate, Repeat, SearchSpace, categorical, integer, ordinal
from codesign.testing import check_optimiser

Codes = NDArray[np.int16]
LAYER = (ordinal("units", (2, 4, 8, 16)), ordinal("bits", (2, 3, 4, 5, 6)))
SPACE = SearchSpace("emulated", (Repeat("layers", LAYER, 0, 2), ordinal("kernel", (1, 3, 5))))
VAST = SearchSpace(
    "vast", (Repeat("layers", LAYER, 0, 8), integer("a", 0, 9), categorical("b", ("x", "y", "z")))
)
POINT = SearchSpace("point", (integer("bits", 4, 4),))
SMALL = SearchSpace("small", (categorical("kind", ("a", "b", "c")), integer("bits", 1, 4)))
seeds = st.integers(0, 2**32 - 1)


def price(codes: Codes) -> dict[str, NDArray[np.float64]]:
    return {"cost": 1.0 + ((codes + 1.0) ** 2) @ (1.0 + np.arange(codes.shape[1]) % 3)}


def errors(codes: Codes) -> NDArray[np.float64]:
    gains = 1.0 - 0.8 ** (codes + 1.0)
    return 3.0 - gains.mean(axis=1) - 0.8 * gains[:, 0] * gains[:, -1] + 0.2 * np.cos(codes[:, -1] * 2.0)


def problem(space: SearchSpace = SPACE, *goals: str, **options: Any) -> Problem:
    names = ("error", *(goals or ("cost",)))
    return Problem(space, tuple(map(Objective.parse, names)), price, frozenset({"cost"}), **options)


def ended(number: int, given_: Problem, candidate: Candidate, **changes: Any) -> Evaluation:
    codes = given_.space.encode([candidate])
    metrics = {"error": Summary(float(errors(codes)[0]), 0.0, 0.0, 1)}
    costs = {name: float(values[0]) for name, values in price(codes).items()}
    evaluation = Evaluation(number, candidate, "test", "ok", metrics=metrics, costs=costs)
    return replace(evaluation, **changes)


def run(
    given_: Problem, trials: int, seed: int = 0, *, fresh: bool = False, in_flight: int = 1
) -> list[Evaluation]:
    """The proposals of a study; with ``fresh`` every one by a new optimiser, as after a kill."""
    optimiser, done = load_optimiser("ehvi"), list[Evaluation]()
    for number in range(trials):
        optimiser = load_optimiser("ehvi") if fresh else optimiser
        seen = max(number - in_flight + 1, 0)
        pending = [evaluation.candidate for evaluation in done[seen:]]
        proposal = optimiser.propose(given_, done[:seen], pending, np.random.default_rng([seed, number]))
        if proposal is None:
            break
        done.append(ended(number, given_, proposal.candidate))
    return done


@pytest.mark.parametrize("space", [SPACE, SMALL, VAST])
def test_keeps_the_laws_of_optimisers(space: SearchSpace) -> None:
    check_optimiser(load_optimiser("ehvi"), problem(space), trials=12)


@pytest.mark.parametrize("in_flight", [1, 3])
@pytest.mark.parametrize("space", [SPACE, VAST])
def test_resumes_to_the_same_sequence(space: SearchSpace, in_flight: int) -> None:
    whole, killed = (
        [each.candidate for each in run(problem(space), 22, fresh=fresh, in_flight=in_flight)]
        for fresh in (False, True)
    )
    assert whole == killed
    assert len(set(whole)) == 22


@pytest.mark.parametrize("space", [POINT, SMALL])
def test_ends_when_the_space_does(space: SearchSpace) -> None:
    done = run(problem(space), 40)
    assert len({each.candidate for each in done}) == len(done) == space.count()


def test_keeps_a_budget() -> None:
    bounded = problem(SPACE, "cost<=60")
    assert all(each.costs["cost"] <= 60 for each in run(bounded, 20))


def test_finds_more_than_random_search_in_half_the_trials() -> None:
    given_ = problem()
    rows = given_.space.enumerate_codes()
    corner = np.array([errors(rows).max(), price(rows)["cost"].max()])

    def volume(candidates: list[Candidate]) -> float:
        codes = given_.space.encode(candidates)
        return hypervolume(np.stack([errors(codes), price(codes)["cost"]], axis=1), corner)

    for seed in range(2):
        ours = volume([each.candidate for each in run(given_, 20, seed)])
        rng = np.random.default_rng(seed)
        assert ours > volume(given_.space.decode(given_.draw(40, rng)))


@settings(deadline=None, max_examples=20)
@given(seeds, st.sampled_from(["failed", "nan", "constant", "same", "lost"]), st.integers(1, 30))
def test_whatever_happened_the_next_proposal_is_valid(seed: int, what: str, count: int) -> None:
    given_, rng = problem(), np.random.default_rng(seed)
    history = []
    rows = given_.draw(count, rng)
    for number, candidate in enumerate(given_.space.decode(rows)):
        changes: dict[str, Any] = {}
        if what == "constant":
            changes = {"metrics": {"error": Summary(1.0, 0.0, 0.0, 1)}}
        elif rng.random() < 0.5 and what in ("failed", "lost"):
            changes = {"status": what, "metrics": {}, "reason": "test"}
        elif rng.random() < 0.5 and what == "nan":
            changes = {"metrics": {"error": Summary(float("nan"), 0.0, 0.0, 1)}}
        history.append(ended(number, given_, candidate, **changes))
        if what == "same":
            history.append(ended(number, given_, candidate))
    pending = given_.space.decode(given_.draw(2, rng, {row.tobytes() for row in rows}))
    proposal = load_optimiser("ehvi").propose(given_, history, pending, np.random.default_rng(seed))
    assert proposal is not None
    assert proposal.candidate not in {*(each.candidate for each in history), *pending}
    assert given_.space.valid(given_.space.encode([proposal.candidate])).all()
