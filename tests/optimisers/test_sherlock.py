"""The surrogate is chosen by how it predicts, and a proposal says which."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from codesign.evaluation import Evaluation
from codesign.metrics import Summary
from codesign.objectives import Objective
from codesign.optimisers import Problem, predictors
from codesign.optimisers import sherlock as module
from codesign.optimisers.predictors import SURROGATES, Predictor
from codesign.optimisers.sherlock import Sherlock
from codesign.space import SearchSpace, integer

Points = NDArray[np.float64]

SPACE = SearchSpace("plane", (integer("a", 0, 19), integer("b", 0, 19)))
PROBLEM = Problem(
    SPACE,
    (Objective("error"), Objective("cost")),
    lambda codes: {"cost": codes.sum(axis=1) + 1.0},
    frozenset({"cost"}),
)


def history(count: int, error: Callable[[Points], Points]) -> list[Evaluation]:
    codes = PROBLEM.draw(count, np.random.default_rng(0))
    errors = error(codes / 19.0)
    return [
        Evaluation(n, candidate, "test", "ok", metrics={"error": Summary(float(errors[n]), 0.0, 0.0, 1)})
        for n, candidate in enumerate(SPACE.decode(codes))
    ]


def smooth(points: Points) -> Points:
    return 3.0 - points[:, 0] - np.sin(2 * points[:, 1])


@pytest.mark.parametrize("name", SURROGATES)
def test_each_surrogate_predicts_a_smooth_function_and_is_less_certain_far_away(name: str) -> None:
    rng = np.random.default_rng(0)
    inputs = rng.random((60, 2)) * [0.6, 1.0]
    outcomes = np.stack([smooth(inputs), -smooth(inputs)], axis=1)
    predict = SURROGATES[name](inputs, outcomes, 0)
    means, uncertainty = predict(inputs)
    assert means.shape == uncertainty.shape == (60, 2)
    assert np.abs(means - outcomes).max() < 0.5 * np.ptp(outcomes)
    assert ((means - outcomes) ** 2).mean() < 0.05 * outcomes.var()
    assert (uncertainty >= 0).all()
    np.testing.assert_allclose(means[:, 0], -means[:, 1], atol=0.1)


def learnt_by_heart(inputs: Points, outcomes: Points, seed: int) -> Predictor:
    """Without error on what it was fitted to, and of no use elsewhere."""
    known = dict(zip(map(bytes, inputs), outcomes, strict=True))

    def predict(queries: Points) -> tuple[Points, Points]:
        means = np.array([known.get(bytes(row), outcomes.mean(axis=0) - 9.0) for row in queries])
        return means, np.ones_like(means)

    return predict


def test_the_surrogate_that_predicts_the_newest_designs_best_is_chosen_and_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forest = SURROGATES["random forest"]
    for place in (module, predictors):
        monkeypatch.setattr(place, "SURROGATES", {"by heart": learnt_by_heart, "forest": forest})
    for count, expected in ((predictors.LEAST + predictors.HELD_OUT, "forest"), (6, "by heart")):
        proposal = Sherlock().propose(PROBLEM, history(count, smooth), [], np.random.default_rng(1))
        assert proposal is not None
        assert proposal.origin == f"sherlock: {expected}"


def test_the_action_changes_each_time_the_front_does_not_grow() -> None:
    values = np.array([[2.0, 2.0], [1.0, 3.0], [3.0, 3.0], [2.0, 2.0], [0.0, 4.0]])
    assert [module._stalled(values[:n], 0) for n in range(1, 6)] == [False, False, True, False, False]
    assert module._stalled(values, 1)


def test_the_start_is_spread() -> None:
    """Five designs of a plane of twenty by twenty are farther apart than a fifth of its side."""
    done: list[Evaluation] = []
    for number in range(5):
        proposal = Sherlock().propose(PROBLEM, done, [], np.random.default_rng(number))
        assert proposal is not None
        assert proposal.origin == "start"
        done.append(Evaluation(number, proposal.candidate, "start", "failed"))
    points = SPACE.encode([each.candidate for each in done])
    apart = np.abs(points[:, None] - points[None]).sum(axis=2)[np.triu_indices(5, 1)]
    assert apart.min() > 4
