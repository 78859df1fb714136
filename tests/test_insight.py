"""What a study says of its search."""

import numpy as np
import pytest

from codesign.evaluation import Evaluation, Status
from codesign.insight import Insight, _health, hypervolume_trace, importance, surrogate_errors
from codesign.metrics import Summary
from codesign.objectives import Objective
from codesign.pareto import Front
from codesign.space import SearchSpace, categorical, integer

SPACE = SearchSpace("own", (integer("width", 1, 30), integer("idle", 1, 30), categorical("kind", ("a", "b"))))
GOALS = (Objective("error"), Objective("size"))


def history(count: int = 60, noise: float = 0.0) -> list[Evaluation]:
    """Error falls with the width; size is least of kind ``a``; ``idle`` does nothing."""
    rng = np.random.default_rng(1)
    made = []
    for number, candidate in enumerate(dict.fromkeys(SPACE.sample(count, rng))):
        width = float(candidate["width"])
        error = 1 / width if not noise else float(rng.uniform(1, 2))
        size = 10 + width + 40 * (candidate["kind"] == "b")
        status: Status = "failed" if number % 10 == 9 else "ok"
        made.append(
            Evaluation(
                number, candidate, "random", status,
                metrics={"error": Summary.of([error])} if status == "ok" else {},
                costs={"size": size},
            )
        )  # fmt: skip
    return made


def test_the_trace_ends_at_the_hypervolume_of_the_front_and_never_falls() -> None:
    trace = hypervolume_trace(history(), GOALS)
    assert len(trace) == len(history())
    assert (np.diff(trace) >= 0).all()
    assert trace[-1] == pytest.approx(Front.of(history(), GOALS).hypervolume)
    half = history()[:30]
    reference = Front.of(history(), GOALS).reference
    assert trace[29] == pytest.approx(Front.of(half, GOALS, reference).hypervolume)


def test_budgets_count_in_the_trace() -> None:
    tight = (Objective("error", budget=0.2), Objective("size"))
    trace = hypervolume_trace(history(), tight)
    assert trace[-1] == pytest.approx(Front.of(history(), tight).hypervolume)
    assert (hypervolume_trace(history(), (Objective("error", budget=0.0), Objective("size"))) == 0).all()


def test_what_decides_the_front_is_named_first_and_what_does_nothing_has_no_share() -> None:
    shares = importance(SPACE, history(), GOALS)
    assert next(iter(shares)) == "kind"
    assert shares["idle"] < 0.1
    assert sum(shares.values()) == pytest.approx(1)
    assert shares == importance(SPACE, history(), GOALS)


def test_a_surrogate_that_knows_nothing_is_said_to_be_no_better_than_the_mean() -> None:
    good = Insight.of(SPACE, history(), GOALS, ["error"])
    assert good.surrogate_errors["error"] < 0.3
    assert "leave-one-out error 0." in good.health
    blind = Insight.of(SPACE, history(noise=1.0), GOALS, ["error"])
    assert blind.surrogate_errors["error"] > 0.9
    assert "surrogate of error no better than the mean" in _health({"error": 1.0, "other": 0.4})


def test_of_few_designs_nothing_is_said() -> None:
    few = Insight.of(SPACE, history(5), GOALS, ["error"])
    assert (few.importance, few.surrogate_errors) == ({}, {})
    assert "before 8 designs" in few.health
    assert Insight.of(SPACE, [], GOALS, ["error"]).trace == ()


def test_an_objective_that_never_changes_has_no_error() -> None:
    same = [
        Evaluation(e.number, e.candidate, "random", "ok", metrics={"error": Summary.of([1.0])}, costs=e.costs)
        for e in history()
    ]
    assert surrogate_errors(SPACE, same, [GOALS[0]]) == {}
