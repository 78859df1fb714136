"""The Gaussian process agrees with the formulas written out, and takes whatever it is given."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codesign.optimisers import gaussian
from codesign.optimisers.gaussian import GaussianProcess, Hyperparameters, _Posterior, matern

Points = NDArray[np.float64]


def data(count: int, dimension: int = 3, seed: int = 0) -> tuple[Points, Points]:
    inputs = np.random.default_rng(seed).random((count, dimension))
    return inputs, np.sin(4 * inputs[:, 0]) + inputs[:, 1] ** 2


def test_gradient_is_that_of_the_value() -> None:
    inputs, outcomes = data(20)
    posterior = _Posterior(inputs, (outcomes - outcomes.mean()) / outcomes.std())
    for theta in np.random.default_rng(1).normal([0.0, 0.0, 0.0, -6.0], 0.5, size=(4, 4)):
        _, gradient = posterior(theta)
        steps = 1e-5 * np.eye(4)
        differences = [(posterior(theta + step)[0] - posterior(theta - step)[0]) / 2e-5 for step in steps]
        np.testing.assert_allclose(gradient, differences, rtol=1e-4, atol=1e-5)


def test_predicts_as_the_formulas_say() -> None:
    inputs, outcomes = data(12)
    wanted = data(5, seed=1)[0]
    given_ = Hyperparameters(np.array([0.5, 0.7, 2.0]), 1e-3)
    process = GaussianProcess.condition(inputs, outcomes, given_)
    inverse = np.linalg.inv(matern(inputs, inputs, given_.lengths) + 1e-3 * np.eye(12))
    across = matern(inputs, wanted, given_.lengths)
    ones = np.ones(12)
    mean = ones @ inverse @ outcomes / (ones @ inverse @ ones)
    beside = 1.0 - ones @ inverse @ across
    variance = 1.0 - np.einsum("ij,ik,kj->j", across, inverse, across) + beside**2 / (ones @ inverse @ ones)
    found = process.predict(wanted)
    np.testing.assert_allclose(found[0], mean + (outcomes - mean) @ inverse @ across, rtol=1e-8)
    np.testing.assert_allclose(found[1], process.variance * variance, rtol=1e-6)


def test_learns_and_says_how_well() -> None:
    inputs, outcomes = data(40)
    process = GaussianProcess.fit(inputs, outcomes)
    wanted, truth = data(200, seed=1)
    mean, variance = process.predict(wanted)
    assert np.abs(mean - truth).mean() < 0.05 * truth.std()
    assert (np.abs(mean - truth) < 4 * np.sqrt(variance)).mean() > 0.95
    assert process.hyperparameters.lengths[2] > 3 * process.hyperparameters.lengths[0]


def test_leaves_one_out_as_if_it_were_not_there() -> None:
    inputs, outcomes = data(15)
    process = GaussianProcess.fit(inputs, outcomes)
    means, _ = process.leave_one_out()
    for index in range(15):
        others = np.arange(15) != index
        lower = GaussianProcess.condition(inputs[others], outcomes[others], process.hyperparameters)
        across = matern(inputs[others], inputs[[index]], process.hyperparameters.lengths)
        inverse = np.linalg.inv(lower.factor @ lower.factor.T)
        expected = process.mean + (outcomes[others] - process.mean) @ inverse @ across
        np.testing.assert_allclose(means[index], expected[0], rtol=1e-5)


def test_rows_added_give_what_all_at_once_gives() -> None:
    inputs, outcomes = data(30)
    process = GaussianProcess.fit(inputs[:20], outcomes[:20])
    whole = GaussianProcess.condition(inputs, outcomes, process.hyperparameters)
    longer = process.extended(inputs[20:25], outcomes[20:25]).extended(inputs[25:], outcomes[25:])
    wanted = data(50, seed=1)[0]
    for found, expected in zip(longer.predict(wanted), whole.predict(wanted), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)


def test_many_observations_are_all_known_and_some_of_them_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is fitted are every second's hyperparameters; what is predicted follows from all."""
    inputs, outcomes = data(41)
    monkeypatch.setattr(gaussian, "MOST", 21)
    process, some = GaussianProcess.fit(inputs, outcomes), GaussianProcess.fit(inputs[::2], outcomes[::2])
    np.testing.assert_allclose(process.hyperparameters.lengths, some.hyperparameters.lengths, rtol=0.1)
    assert process.fitted == len(process.inputs) == 41
    wanted, truth = data(100, seed=1)
    errors = [np.abs(each.predict(wanted)[0] - truth).mean() for each in (process, some)]
    assert errors[0] < 0.8 * errors[1]


def test_the_same_data_give_the_same_process() -> None:
    first, second = (GaussianProcess.fit(*data(25)).predict(data(9, seed=1)[0]) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 8), st.integers(0, 4), st.integers(0, 10_000), st.sampled_from([0.0, 1e-12, 1.0, 1e12]))
def test_takes_whatever_it_is_given(count: int, dimension: int, seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    inputs = rng.integers(0, 2, size=(count, dimension)).astype(np.float64)
    outcomes = 3.0 + scale * rng.normal(size=count)
    process = GaussianProcess.fit(inputs, outcomes)
    process = process.extended(inputs[:1], outcomes[:1])
    for array in (*process.predict(inputs), *process.leave_one_out()):
        assert np.isfinite(array).all()


@pytest.mark.parametrize("outcomes", [np.zeros(200), np.full(200, 1e-300), np.arange(200) % 2 * 1.0])
def test_two_hundred_times_the_same_point(outcomes: Points) -> None:
    mean, variance = GaussianProcess.fit(np.zeros((200, 3)), outcomes).predict(np.ones((4, 3)))
    assert np.isfinite(mean).all()
    assert (variance >= 0).all()


def test_gradient_and_prediction_with_noises_of_their_own() -> None:
    """An observation of noise ``v / k`` is ``k`` observations of noise ``v``."""
    inputs, outcomes = data(12)
    relative = np.where(np.arange(12) < 6, 1.0, 1 / 3)
    given_ = Hyperparameters(np.array([0.5, 0.7, 2.0]), 1e-2)
    process = GaussianProcess.condition(inputs, outcomes, given_, relative)
    repeats = np.repeat(np.arange(12), np.where(np.arange(12) < 6, 1, 3))
    repeated = GaussianProcess.condition(inputs[repeats], outcomes[repeats], given_)
    wanted = data(9, seed=1)[0]
    np.testing.assert_allclose(process.predict(wanted)[0], repeated.predict(wanted)[0], rtol=1e-6)
    longer = GaussianProcess.condition(inputs[:10], outcomes[:10], given_, relative[:10]).extended(
        inputs[10:], outcomes[10:]
    )
    whole = GaussianProcess.condition(inputs, outcomes, given_, np.append(relative[:10], [1.0, 1.0]))
    np.testing.assert_allclose(longer.predict(wanted), whole.predict(wanted), rtol=1e-6)
    np.testing.assert_array_equal(longer.relative, whole.relative)
    posterior = _Posterior(inputs, (outcomes - outcomes.mean()) / outcomes.std(), relative)
    theta = np.array([0.1, -0.2, 0.3, -3.0])
    steps = 1e-5 * np.eye(4)
    differences = [(posterior(theta + step)[0] - posterior(theta - step)[0]) / 2e-5 for step in steps]
    np.testing.assert_allclose(posterior(theta)[1], differences, rtol=1e-4, atol=1e-5)


def test_what_is_noisier_counts_less() -> None:
    inputs = np.zeros((2, 1))
    outcomes = np.array([0.0, 1.0])
    usual = Hyperparameters(np.ones(1), 1e-2)
    mean, _ = GaussianProcess.condition(inputs, outcomes, usual, np.array([1.0, 9.0])).predict(inputs[:1])
    assert mean[0] == pytest.approx(0.1, abs=0.01)


def test_outcomes_whose_differences_vanish_when_squared_are_alike() -> None:
    inputs = np.linspace(0, 1, 5)[:, None]
    process = GaussianProcess.fit(inputs, np.array([0.0, 0.0, 1e-200, 0.0, 0.0]))
    mean, variance = process.predict(inputs)
    assert np.isfinite(mean).all()
    assert np.isfinite(variance).all()
