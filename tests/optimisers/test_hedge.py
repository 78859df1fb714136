"""Whatever predicts the newest designs best proposes in every second turn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from codesign.optimisers.hedge import FROM, UNTIL, hedged
from codesign.optimisers.surrogates import Scale, Surrogates

Points = NDArray[np.float64]


def step(inputs: Points) -> Points:
    """Half of the designs learn nothing and stand at 3."""
    return np.where(inputs[:, 0] > 0.5, 3.0, inputs[:, 1])


def fitted(inputs: Points, outcomes: Points) -> Surrogates:
    ok = np.ones(len(inputs), dtype=bool)
    return Surrogates.fit(inputs, outcomes[:, None], ok, Scale(np.array([False])))


def test_a_step_is_predicted_by_another_than_the_process() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.random((60, 6))
    plain = fitted(inputs, step(inputs))
    chosen, names = hedged(plain)
    assert names == "random forest"
    asked = rng.random((200, 6))
    truth, none = step(asked), np.zeros((200, 0))
    better, worse = (np.abs(each.predict(asked, none)[0][:, 0] - truth).mean() for each in (chosen, plain))
    assert better < 0.8 * worse
    assert (chosen.predict(asked, none)[1] > 0).all()
    assert chosen.supposing(asked[:3]) is chosen


def test_what_is_smooth_stays_with_the_process() -> None:
    inputs = np.random.default_rng(0).random((40, 2))
    plain = fitted(inputs, np.sin(3 * inputs).sum(axis=1))
    assert hedged(plain) == (plain, "")


@pytest.mark.parametrize("count", [FROM - 2, FROM + 1, UNTIL + 2])
def test_few_or_many_observations_and_odd_turns_stay_with_the_process(count: int) -> None:
    inputs = np.random.default_rng(0).random((count, 6))
    plain = fitted(inputs, step(inputs))
    assert hedged(plain) == (plain, "")


@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.sampled_from(["equal", "repeated", "random"]))
def test_predictions_are_finite_whatever_was_observed(seed: int, width: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    inputs = rng.integers(0, 3, (20, width)) / 2 if kind == "repeated" else rng.random((20, width))
    outcomes = np.ones(20) if kind == "equal" else rng.normal(size=20)
    chosen, _ = hedged(fitted(inputs, outcomes))
    means, deviations = chosen.predict(rng.random((5, width)), np.zeros((5, 0)))
    assert np.isfinite(means).all()
    assert (np.abs(means) < 100).all()
    assert (deviations > 0).all()
