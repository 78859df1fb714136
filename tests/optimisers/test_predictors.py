"""Surrogates to choose from: means within what was seen, spread where trees differ, the same for a seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestRegressor

from codesign.optimisers.predictors import SURROGATES


@given(st.integers(0, 2**32 - 1), st.integers(4, 30), st.integers(1, 3))
def test_the_forest_stays_within_what_was_seen_and_repeats(seed: int, count: int, goals: int) -> None:
    rng = np.random.default_rng(seed)
    inputs, outcomes, asked = rng.random((count, 3)), rng.normal(size=(count, goals)), rng.random((7, 3))
    means, spreads = SURROGATES["random forest"](inputs, outcomes, seed)(asked)
    assert means.shape == spreads.shape == (7, goals)
    assert (means >= outcomes.min(axis=0) - 1e-9).all()
    assert (means <= outcomes.max(axis=0) + 1e-9).all()
    again = SURROGATES["random forest"](inputs, outcomes, seed)(asked)
    np.testing.assert_array_equal(means, again[0])
    np.testing.assert_array_equal(spreads, again[1])


@pytest.mark.parametrize("column", [0, 1])
def test_the_forest_is_that_of_scikit_learn_but_for_the_draws(column: int) -> None:
    rng = np.random.default_rng(0)
    inputs, asked = rng.random((60, 4)), rng.random((200, 4))
    outcomes = np.stack([(inputs[:, 0] > 0.5) + inputs[:, 1], inputs @ np.arange(4.0)], axis=1)
    means, spreads = SURROGATES["random forest"](inputs, outcomes, 1)(asked)
    theirs = RandomForestRegressor(400, random_state=0).fit(inputs, outcomes[:, column]).estimators_
    trees = np.array([tree.predict(asked) for tree in theirs])
    assert np.abs(means[:, column] - trees.mean(axis=0)).mean() < 0.25 * trees.std(axis=0).mean()
    assert abs(spreads[:, column].mean() / trees.std(axis=0).mean() - 1) < 0.1
