"""Successive halving: who climbs, and that nothing but the state decides it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.errors import ConfigError
from codesign.evaluation import Evaluation, Status
from codesign.metrics import Summary
from codesign.objectives import Objective
from codesign.optimisers.asha import Promote, Rungs, Trial, _reach, next_job, trials_of
from codesign.space import Candidate

Vector = tuple[float, ...]
Score = Callable[[int, int], Vector | None]

GOALS = (Objective("error"), Objective("area"))
examples = settings(deadline=None, max_examples=60)
ladders = st.builds(
    lambda count, eta: Rungs(tuple(10 * eta**rung for rung in range(count)), eta),
    st.integers(1, 4),
    st.integers(2, 4),
)
seeds = st.integers(0, 2**32 - 1)


def design(number: int) -> Candidate:
    return Candidate({"n": number})


def scores(
    seed: int, objectives: int = 2, noise: float = 0.3, failing: float = 0.0, digits: int = 9
) -> Score:
    """Values of a design on a rung: its own, and noise that falls with the rung; None where it fails."""

    def of(number: int, rung: int) -> Vector | None:
        own, here = np.random.default_rng([seed, number]), np.random.default_rng([seed, number, rung + 1])
        values = own.random(objectives) + noise * here.normal(size=objectives) / (1 + rung)
        return None if here.random() < failing else tuple(values.round(digits).tolist())

    return of


def ended(number: int, rung: int, score: Score) -> Trial:
    values = score(number, rung)
    return Trial(design(number), rung, "failed" if values is None else "finished", values or ())


def run(rungs: Rungs, score: Score, jobs: int, workers: int = 1, seed: int = 0) -> list[Trial]:
    """Workers that end in random order; each then takes the next job."""
    rng, trials, started = np.random.default_rng(seed), [], 0
    for _ in range(jobs):
        running = [index for index, trial in enumerate(trials) if trial.status == "running"]
        if len(running) == workers:
            index = running[rng.integers(workers)]
            trials[index] = ended(int(trials[index].candidate["n"]), trials[index].rung, score)
        job = next_job(rungs, trials)
        if job is None:
            job, started = Promote(design(started), 0), started + 1
        trials.append(Trial(job.candidate, job.rung, "running"))
    return [ended(int(trial.candidate["n"]), trial.rung, score) for trial in trials]


def dominates(a: Vector, b: Vector) -> bool:
    return all(x <= y for x, y in zip(a, b, strict=True)) and a != b


def synchronous(rungs: Rungs, score: Score, width: int) -> list[set[Candidate]]:
    """Each rung is filled before any climbs from it."""
    members, climbers = [], [design(number) for number in range(width)]
    for rung in range(len(rungs.steps)):
        members.append(set(climbers))
        full = [ended(int(each["n"]), rung, score) for each in climbers]
        climbers = []
        while (
            job := next_job(rungs, [*full, *(Trial(c, rung + 1, "running") for c in climbers)])
        ) is not None:
            climbers.append(job.candidate)
    return members


@given(st.integers(1, 10_000), st.integers(2, 5), st.data())
@examples
def test_rungs_are_eta_apart(steps: int, eta: int, data: st.DataObject) -> None:
    lowest = data.draw(st.integers(1, steps))
    rungs = Rungs.of(steps, eta, lowest)
    assert rungs.steps[-1] == steps
    assert rungs.steps[0] >= lowest
    assert rungs.steps[0] / eta < lowest + 0.5
    assert all(abs(high / eta - low) <= 1 for low, high in zip(rungs.steps, rungs.steps[1:], strict=False))
    assert [rungs.reached(each) for each in rungs.steps] == list(range(rungs.top + 1))
    assert rungs.reached(0) == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rungs(()), "ascend from 1 or more, got"),
        (lambda: Rungs((0, 5)), "ascend"),
        (lambda: Rungs((5, 5)), "ascend"),
        (lambda: Rungs((1, 5), 1), "eta is a whole number from 2, got 1"),
        (lambda: Rungs.of(10, 1), "eta is a whole number from 2, got 1"),
        (lambda: Rungs.of(10, 3, 11), "lowest is from 1 to the 10 steps of a training, got 11"),
    ],
)
def test_what_is_no_ladder_is_refused(make: Callable[[], Rungs], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_a_finished_trial_needs_finite_values() -> None:
    for values in ((), (float("nan"), 1.0)):
        with pytest.raises(ValueError, match="finite values"):
            Trial(design(0), 0, "finished", values)
    with pytest.raises(ValueError, match="status is one of running, finished, failed"):
        Trial(design(0), 0, "ok")  # type: ignore[arg-type]


@given(
    ladders, seeds, st.integers(0, 60), st.integers(1, 6), st.sampled_from((0.0, 0.4, 1.0)), st.integers(1, 3)
)
@examples
def test_no_rung_holds_more_than_its_share_and_none_climbs_twice(
    rungs: Rungs, seed: int, jobs: int, workers: int, failing: float, objectives: int
) -> None:
    trials = run(rungs, scores(seed, objectives, failing=failing), jobs, workers, seed)
    count = Counter(trial.rung for trial in trials)
    assert all(count[rung + 1] <= count[rung] / rungs.eta for rung in range(rungs.top))
    assert max(count, default=0) <= rungs.top
    assert max(Counter((trial.candidate, trial.rung) for trial in trials).values(), default=1) == 1
    failed = {(trial.candidate, trial.rung + 1) for trial in trials if trial.status == "failed"}
    assert not failed & {(trial.candidate, trial.rung) for trial in trials}


@given(ladders, seeds, st.integers(1, 40), st.integers(1, 4))
@examples
def test_nothing_climbs_before_a_design_of_its_rung_that_dominates_it(
    rungs: Rungs, seed: int, jobs: int, workers: int
) -> None:
    score = scores(seed)
    trials = [
        trial if number % 5 else Trial(trial.candidate, trial.rung, "running")
        for number, trial in enumerate(run(rungs, score, jobs, workers, seed))
    ]
    job = next_job(rungs, trials)
    if job is None:
        return
    here = {trial.candidate: trial.values for trial in trials if trial.rung == job.rung - 1 and trial.values}
    above = {trial.candidate for trial in trials if trial.rung >= job.rung}
    better = {each for each, values in here.items() if dominates(values, here[job.candidate])}
    assert better <= above
    assert job.candidate not in above


@given(ladders, seeds, st.integers(0, 40), st.integers(1, 4), st.randoms(use_true_random=False))
@examples
def test_the_order_of_the_records_does_not_matter(
    rungs: Rungs, seed: int, jobs: int, workers: int, shuffler: "np.random.Generator"
) -> None:
    trials = run(rungs, scores(seed, failing=0.1, digits=0), jobs, workers, seed)
    shuffled = list(trials)
    shuffler.shuffle(shuffled)  # type: ignore[arg-type]
    assert next_job(rungs, shuffled) == next_job(rungs, trials)


@given(ladders, seeds, st.integers(1, 30))
@examples
def test_with_a_worker_for_each_design_it_is_synchronous_halving(rungs: Rungs, seed: int, width: int) -> None:
    """All of a rung end before the next job is asked for: then a rung is full when the first climbs."""
    score, trials = scores(seed), []
    waiting = [(number, 0) for number in range(width)]
    while waiting:
        trials += [ended(number, rung, score) for number, rung in waiting]
        waiting = []
        while (
            job := next_job(rungs, [*trials, *(Trial(design(n), r, "running") for n, r in waiting)])
        ) is not None:
            waiting.append((int(job.candidate["n"]), job.rung))
    members = [
        {trial.candidate for trial in trials if trial.rung == rung} for rung in range(len(rungs.steps))
    ]
    assert members == synchronous(rungs, score, width)


@given(seeds, st.integers(2, 4))
@examples
def test_one_worker_promotes_wrongly_only_what_was_among_the_best_when_it_climbed(
    seed: int, eta: int
) -> None:
    """With one objective: as many climb as in synchronous halving, and the best of those that are there."""
    rungs, score = Rungs((1, eta), eta), scores(seed, objectives=1)
    trials = run(rungs, score, 60)
    done: list[Trial] = []
    for trial in trials:
        if trial.rung == 1:
            values = sorted(each.values for each in done if each.rung == 0)
            own = next(each.values for each in done if each.candidate == trial.candidate)
            assert values.index(own) < len(values) // eta
        done.append(trial)
    lowest = [trial for trial in trials if trial.rung == 0]
    climbed = {trial.candidate for trial in trials if trial.rung == 1}
    assert len(lowest) // eta - len(climbed) in (0, 1)
    best = min(lowest[:-eta], key=lambda trial: trial.values)
    assert best.candidate in climbed or best.values > min(lowest, key=lambda trial: trial.values).values


def test_of_one_rank_the_one_that_adds_most_hypervolume_climbs() -> None:
    vectors = [(0.0, 1.0), (0.05, 0.95), (0.5, 0.1), (1.0, 0.0), (2.0, 2.0), (3.0, 3.0)]
    trials = [Trial(design(number), 0, "finished", values) for number, values in enumerate(vectors)]
    rungs = Rungs((1, 2), 2)
    order = []
    while (job := next_job(rungs, trials)) is not None:
        order.append(int(job.candidate["n"]))
        trials.append(Trial(job.candidate, job.rung, "running"))
    assert order[0] == 2
    assert len(order) == 3
    assert not {0, 1} <= set(order[:2])


def test_positive_objectives_are_compared_by_their_ratios() -> None:
    """The middle one is far from either end by its values, and hardly better than both by its ratios."""
    vectors = [(1.0, 1e3), (6e2, 6e2), (1e3, 1.0)]
    for offset, expected in ((0.0, {0, 2}), (-2e3, {1})):
        values = [(a + offset, b + offset) for a, b in vectors]
        job = next_job(
            Rungs((1, 3), 3), [Trial(design(n), 0, "finished", each) for n, each in enumerate(values)]
        )
        assert job is not None
        assert job.candidate["n"] in expected


def test_equal_values_and_one_objective_that_is_constant_are_no_trouble() -> None:
    rungs = Rungs((1, 3), 3)
    for vectors in ([(1.0, 1.0)] * 200, [(float(n), 5.0) for n in range(9)]):
        trials = [Trial(design(number), 0, "finished", values) for number, values in enumerate(vectors)]
        assert next_job(rungs, trials) is not None


def test_a_ladder_of_one_rung_promotes_nothing() -> None:
    trials = [Trial(design(number), 0, "finished", (1.0, float(number))) for number in range(9)]
    assert next_job(Rungs((100,)), trials) is None


def evaluation(number: int, name: int, steps: int, status: Status = "ok", error: float = 1.0) -> Evaluation:
    metrics = {"error": Summary(error, 0.0, 0.0, 1)} if status == "ok" else {}
    return Evaluation(
        number, design(name), "test", status, metrics=metrics, costs={"area": 2.0 + name}, steps=steps
    )


def test_a_history_tells_every_trial() -> None:
    rungs = Rungs((10, 30, 90))
    history = [
        evaluation(0, 0, 90),  # the baseline, trained in full at once
        evaluation(1, 1, 10),
        evaluation(2, 2, 7, "diverged"),
        evaluation(3, 3, 0, "infeasible"),
        evaluation(4, 4, 10, "infeasible"),
        evaluation(5, 1, 18),  # stopped early on rung 1
        evaluation(6, 5, 10, error=float("nan")),
        evaluation(7, 6, 0, "lost"),
        evaluation(8, 7, 10),
    ]
    found = trials_of(rungs, history, [design(1), design(8), design(7)], GOALS)
    assert [(int(trial.candidate["n"]), trial.rung, trial.status) for trial in found] == [
        (0, 2, "finished"),
        (1, 0, "finished"),
        (2, 0, "failed"),
        (4, 0, "failed"),
        (1, 1, "finished"),
        (5, 0, "failed"),
        (6, 0, "failed"),
        (7, 0, "finished"),
        (1, 2, "running"),
        (8, 0, "running"),
        (7, 1, "running"),
    ]
    assert found[1].values == (1.0, 3.0)


@given(ladders, seeds, st.integers(0, 40))
@examples
def test_a_study_goes_on_from_its_history_as_if_it_had_not_stopped(
    rungs: Rungs, seed: int, jobs: int
) -> None:
    trials = run(rungs, scores(seed, failing=0.2), jobs)
    history = [
        Evaluation(
            number,
            trial.candidate,
            "test",
            "ok" if trial.values else "failed",
            metrics={"error": Summary.of(trial.values[:1])} if trial.values else {},
            costs={"area": trial.values[1]} if trial.values else {},
            steps=rungs.steps[trial.rung] if trial.values else 0,
        )
        for number, trial in enumerate(trials)
    ]
    assert trials_of(rungs, history, [], GOALS) == trials


FREE = float("inf")


def on_rungs(*rungs: list[Vector], bounds: Vector = (3.0, FREE)) -> list[Trial]:
    """The first designs of each rung are those of the rung above, in order."""
    return [
        Trial(design(number), rung, "finished", values, bounds)
        for rung, all_values in enumerate(rungs)
        for number, values in enumerate(all_values)
    ]


def climbers(rungs: Rungs, trials: list[Trial]) -> list[int]:
    """Everything that may climb from the lowest rung now, in order."""
    trials, found = list(trials), []
    while (job := next_job(rungs, trials)) is not None:
        trials.append(Trial(job.candidate, job.rung, "running"))
        found.append(int(job.candidate["n"]))
    return found


def test_what_no_training_mends_does_not_climb() -> None:
    """Cheap designs that answer with a constant are on the front, and worth nothing."""
    dull = [(3.67, 1.0), (3.66, 2.0), (3.65, 3.0)]
    fair = [(3.2, 10.0), (2.5, 20.0), (3.1, 30.0)]
    assert set(climbers(Rungs((1, 2), 2), on_rungs([*dull, *fair]))) == {3, 4, 5}
    assert set(climbers(Rungs((1, 2), 2), on_rungs([*dull, *fair], bounds=()))) & {0, 1, 2}


def test_what_a_design_adds_is_measured_from_its_bound() -> None:
    """The cheap one hardly keeps it; from the worst one seen it would add more than the good one."""
    values = [(3.3, 1.0), (2.0, 50.0), (3.7, 50.0)]
    assert climbers(Rungs((1, 3), 3), on_rungs(values)) == [1]
    assert climbers(Rungs((1, 3), 3), on_rungs(values, bounds=())) == [0]


def test_how_bad_a_design_may_be_follows_those_that_climbed() -> None:
    """Half way from the budget, or the worst that came to keep it, to the best that did not, or the worst."""
    worst = [(3.7, 2.0)] * 2
    fair, mended, lost = (2.9, 100.0), (3.3, 50.0), (3.4, 40.0)

    def reach(*rungs: list[Vector]) -> float:
        return float(_reach(on_rungs(*rungs), 0, 1)[0])

    assert reach([fair, *worst]) == pytest.approx((3.0 + 3.7) / 2)
    assert reach([fair, *worst], [(2.8, 100.0)]) == pytest.approx((3.0 + 3.7) / 2)
    assert reach([mended, *worst], [(2.8, 50.0)]) == pytest.approx((3.3 + 3.7) / 2)
    assert reach([mended, lost, *worst], [(2.8, 50.0), (3.1, 40.0)]) == pytest.approx((3.3 + 3.4) / 2)
    assert reach([lost, *worst], [(3.1, 40.0)]) == pytest.approx((3.0 + 3.4) / 2)


def test_the_bound_is_learnt_down_the_ladder() -> None:
    """A design on the middle rung that is still beyond the budget is one that may keep it."""
    rungs = Rungs((1, 2, 4), 2)
    low = [(3.3, 50.0), (3.5, 40.0), (3.55, 1.0), *[(3.7, 9.0)] * 5, (3.0, 99.0)]
    middle = [(3.2, 50.0), (3.3, 40.0)]
    assert climbers(rungs, on_rungs(low, middle, [(2.9, 50.0)])) == [2, 8]
    assert climbers(rungs, on_rungs(low, middle, [(3.19, 50.0)])) == [8, 2]


def test_if_none_keeps_the_bound_the_best_climbs_as_without() -> None:
    trials = on_rungs([(3.6, 3.0), (3.6, 2.0), (3.6, 1.0)])
    assert climbers(Rungs((1, 3), 3), trials) == [2]


@given(ladders, seeds, st.integers(0, 40), st.sampled_from(((), (FREE, FREE), (10.0, 10.0))))
@examples
def test_bounds_that_all_keep_change_nothing(rungs: Rungs, seed: int, jobs: int, bounds: Vector) -> None:
    trials = run(rungs, scores(seed), jobs)
    assert next_job(rungs, [replace(trial, bounds=bounds) for trial in trials]) == next_job(rungs, trials)


@given(ladders, seeds, st.integers(1, 40), st.floats(-0.5, 1.5))
@examples
def test_a_design_within_the_budget_is_never_left_for_one_beyond_it(
    rungs: Rungs, seed: int, jobs: int, budget: float
) -> None:
    """Unless it is dominated, or has climbed."""
    trials = [replace(trial, bounds=(budget, FREE)) for trial in run(rungs, scores(seed), jobs)]
    job = next_job(rungs, trials)
    if job is None:
        return
    here = {trial.candidate: trial.values for trial in trials if trial.rung == job.rung - 1 and trial.values}
    if here[job.candidate][0] <= budget:
        return
    reach = _reach(trials, job.rung - 1, rungs.top)
    assert (reach >= (budget, FREE)).all()
    above = {trial.candidate for trial in trials if trial.rung >= job.rung}
    kept = [each for each, values in here.items() if values[0] <= reach[0] and each not in above]
    assert here[job.candidate][0] <= reach[0] or not kept


def test_budgets_of_objectives_are_the_bounds() -> None:
    goals = (Objective.parse("error<=3"), Objective("area"))
    (found,) = trials_of(Rungs((10, 30)), [evaluation(0, 0, 10)], [], goals)
    assert found.bounds == (3.0, FREE)
    (free,) = trials_of(Rungs((10, 30)), [evaluation(0, 0, 10)], [], GOALS)
    assert free.bounds == ()
