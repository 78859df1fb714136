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
from codesign.optimisers.ehvi import EHVI, NO_GAIN
from codesign.optimisers.learning import in_full
from codesign.optimisers.observed import Observations
from codesign.optimisers.surrogates import Scale
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


STEPS = (10, 30, 90)


def in_parts(
    rows: Codes, reached: list[int], rng: np.random.Generator, noise: float = 0.0
) -> list[Evaluation]:
    """Each design on every rung up to the one it reached: it falls from 4 as a power of the steps."""
    history = []
    candidates = SPACE.decode(rows)
    for rung, steps in enumerate(STEPS):
        for row, candidate, top in zip(rows, candidates, reached, strict=True):
            if rung > top:
                continue
            error = 4.0 - (4.0 - float(errors(row[None])[0])) * (steps / STEPS[-1]) ** 0.5
            metrics = {"error": Summary(error + noise * rng.normal(), 0.0, 0.0, 1)}
            history.append(ended(len(history), problem(), candidate, metrics=metrics, steps=steps))
    return history


def told(history: list[Evaluation], given_: Problem) -> tuple[EHVI, Observations, Any]:
    """An optimiser that has learnt a history, what it saw, and its surrogates."""
    optimiser = EHVI()
    assert optimiser.propose(given_, history, [], np.random.default_rng(0)) is not None
    assert optimiser._learner._fitted is not None
    return optimiser, Observations.of(given_, history), optimiser._learner._fitted[2]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_predicts_full_trainings_from_parts(seed: int) -> None:
    """Of designs that were hardly trained, with a quarter of the error of what they score."""
    given_, rng = problem(steps=STEPS[-1]), np.random.default_rng(seed)
    rows = given_.draw(36, rng)
    reached = [2] * 8 + [0] * 28
    history = in_parts(rows, reached, rng, noise=0.001)
    _, seen, surrogates = told(history, given_)
    designs, scale = seen.designs(), Scale.of(seen.values)
    part = designs.fidelity < 0
    assert part.sum() == 28
    truth = errors(designs.codes[part])
    predicted = _measured(in_full(given_, surrogates, designs, scale)[part], scale)
    missed = np.abs(predicted - truth).mean()
    assert missed < 0.25 * np.abs(designs.values[part, 0] - truth).mean()


def _measured(scaled: NDArray[np.float64], scale: Scale) -> NDArray[np.float64]:
    return np.exp(scaled[:, 0]) if scale.logarithm[0] else scaled[:, 0]


def test_what_was_trained_in_full_counts_as_measured() -> None:
    given_, rng = problem(steps=STEPS[-1]), np.random.default_rng(0)
    history = in_parts(given_.draw(20, rng), [2] * 10 + [1] * 10, rng)
    _, seen, surrogates = told(history, given_)
    designs, scale = seen.designs(), Scale.of(seen.values)
    whole = designs.fidelity == 0
    found = in_full(given_, surrogates, designs, scale)
    np.testing.assert_array_equal(found[whole], scale(designs.values)[whole])
    np.testing.assert_allclose(found[:, 1], scale(designs.values)[:, 1])
    assert (found[~whole, 0] < scale(designs.values)[~whole, 0]).all()


def test_resumes_to_the_same_sequence_in_parts() -> None:
    given_ = problem(steps=STEPS[-1])

    def sequence(fresh: bool) -> list[Candidate]:
        optimiser, history, found = load_optimiser("ehvi"), list[Evaluation](), list[Candidate]()
        for number in range(24):
            optimiser = load_optimiser("ehvi") if fresh else optimiser
            proposal = optimiser.propose(given_, history, [], np.random.default_rng([3, number]))
            assert proposal is not None
            found.append(proposal.candidate)
            rows = SPACE.encode([proposal.candidate])
            history += in_parts(rows, [number % 3], np.random.default_rng(number), noise=0.3)
        return found

    assert sequence(False) == sequence(True)


@settings(deadline=None, max_examples=8)
@given(seeds, st.sampled_from([0.02, 0.1]))
def test_learns_the_noise_from_repeated_seeds(seed: int, noise: float) -> None:
    """Of ten designs evaluated five times each: within a factor of 2 of the noise's deviation."""
    given_, rng = problem(), np.random.default_rng(seed)
    history = []
    for candidate in SPACE.decode(given_.draw(10, rng)):
        own = float(errors(SPACE.encode([candidate]))[0])
        for repeat in range(5):
            metrics = {"error": Summary(own * np.exp(noise * rng.normal()), 0.0, 0.0, 1)}
            history.append(ended(len(history), given_, candidate, metrics=metrics, seed=repeat))
    _, seen, surrogates = told(history, given_)
    (process,) = surrogates.objectives
    learnt = (process.hyperparameters.noise * process.variance) ** 0.5
    assert seen.count == 10
    assert len(process.outcomes) > 40
    assert noise / 2 < learnt < noise * 2


def test_says_so_where_nothing_is_expected_to_gain() -> None:
    """The cheapest is the best too, and by its turn the reference point is the front's."""
    space = SearchSpace("line", (integer("a", 0, 20),))
    given_ = Problem(
        space,
        (Objective("error"), Objective("cost")),
        lambda codes: {"cost": 1.0 + codes[:, 0].astype(np.float64)},
        frozenset({"cost"}),
    )
    history = []
    for number in range(11):
        metrics = {"error": Summary(1.0 + number, 0.0, 0.0, 1)}
        candidate = space.candidate({"a": number})
        history.append(
            Evaluation(number, candidate, "test", "ok", metrics=metrics, costs={"cost": 1.0 + number})
        )
    proposal = load_optimiser("ehvi").propose(given_, history, [], np.random.default_rng(0))
    assert proposal is not None
    assert proposal.origin == NO_GAIN
    assert proposal.candidate not in {each.candidate for each in history}


def test_says_so_where_there_is_nothing_to_learn_from() -> None:
    given_ = problem()
    candidates = SPACE.decode(given_.draw(12, np.random.default_rng(0)))
    history = [ended(n, given_, each, status="failed", metrics={}) for n, each in enumerate(candidates)]
    few, many = (
        load_optimiser("ehvi").propose(given_, history[:count], [], np.random.default_rng(0))
        for count in (7, 12)
    )
    assert few is not None
    assert many is not None
    assert few.origin == "start"
    assert many.origin == "start: fewer than 2 designs have values"


def test_equal_ratios_are_worth_the_same_unless_values_or_objectives_say_otherwise() -> None:
    values = np.array([[1.0, 1e-17, 2.0, -1.0], [30.0, 2.0, 30.0, 5.0]])
    assert Scale.of(values).logarithm.tolist() == [True, False, True, False]
    goals = [Objective("a", scale="linear"), Objective("b", scale="log"), Objective("c"), Objective("d")]
    assert Scale.of(values, goals).logarithm.tolist() == [False, True, True, False]
    assert not Scale.of(values, 4 * [Objective("a", scale="log")]).logarithm[3]
