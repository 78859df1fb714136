"""The expected gain of hypervolume is that of Monte Carlo, and is never lost to rounding."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.stats import norm

from codesign.optimisers.improvement import boxes, log_expected_gain, log_expected_shortfall
from codesign.pareto import hypervolume

Points = NDArray[np.float64]
seeds = st.integers(0, 10_000)


def front_of(seed: int, objectives: int, count: int = 6) -> tuple[Points, Points]:
    """Points, some alike and some beyond the reference point."""
    return np.random.default_rng(seed).integers(0, 8, size=(count, objectives)) / 6.0, np.ones(objectives)


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
@settings(deadline=None, max_examples=25)
@given(seeds)
def test_boxes_hold_what_the_front_leaves(objectives: int, seed: int) -> None:
    costs, reference = front_of(seed, objectives)
    lower, upper = boxes(costs, reference)
    volume = np.prod(upper - np.maximum(lower, -1.0), axis=1)
    assert (volume > 0).all()
    assert volume.sum() == pytest.approx(2.0**objectives - hypervolume(costs, reference))


@pytest.mark.parametrize("objectives", [1, 2, 3])
@settings(deadline=None, max_examples=25)
@given(seeds)
def test_gain_of_known_values_is_the_growth_of_the_hypervolume(objectives: int, seed: int) -> None:
    costs, reference = front_of(seed, objectives)
    values = np.random.default_rng(seed + 1).random((5, objectives)) * 1.2
    gains = np.exp(log_expected_gain(values, np.zeros_like(values), *boxes(costs, reference)))
    before = hypervolume(costs, reference)
    growth = [hypervolume(np.concatenate([costs, value[None]]), reference) - before for value in values]
    np.testing.assert_allclose(gains, growth, atol=1e-12)


@pytest.mark.parametrize(("objectives", "known"), [(2, ()), (2, (1,)), (3, ()), (3, (0, 2))])
def test_gain_is_that_of_monte_carlo(objectives: int, known: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    costs, reference = front_of(4, objectives)
    mean = rng.random((4, objectives)) * 0.8
    deviation = 0.05 + 0.3 * rng.random((4, objectives))
    deviation[:, known] = 0.0
    gains = np.exp(log_expected_gain(mean, deviation, *boxes(costs, reference)))
    before = hypervolume(costs, reference)
    for row in range(4):
        draws = mean[row] + deviation[row] * rng.normal(size=(4000, objectives))
        growth = [hypervolume(np.concatenate([costs, draw[None]]), reference) - before for draw in draws]
        assert gains[row] == pytest.approx(np.mean(growth), abs=5 * np.std(growth) / 4000**0.5)


@pytest.mark.parametrize("level", [-8.0, -1.001, -0.999, 0.0, 3.0, 30.0])
def test_shortfall_is_the_integral(level: float) -> None:
    integral, _ = quad(lambda y: (level - y) * norm.pdf(y), min(level, 0.0) - 12.0, min(level, 12.0))
    found = log_expected_shortfall(np.array(level), np.array(0.0), np.array(1.0))
    assert found == pytest.approx(np.log(integral), rel=1e-6)


def test_far_from_any_gain_nearer_is_still_better() -> None:
    levels = -np.logspace(0, 9, 200)
    logs = log_expected_shortfall(levels, np.zeros(200), np.ones(200))
    assert np.isfinite(logs).all()
    assert (np.diff(logs) < 0).all()
    gains = log_expected_gain(
        np.array([[60.0, 50.0], [55.0, 50.0]]), np.ones((2, 2)), *boxes(np.zeros((1, 2)), np.ones(2))
    )
    assert np.isfinite(gains).all()
    assert gains[1] > gains[0]


def test_no_point_below_the_reference_leaves_one_box() -> None:
    lower, upper = boxes(np.array([[2.0, 2.0]]), np.ones(2))
    assert lower.tolist() == [[-np.inf, -np.inf]]
    assert upper.tolist() == [[1.0, 1.0]]
