from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from codesign.metrics import (
    METRICS,
    absolute_rms_difference,
    cross_correlation,
    energy_response,
    mean_shift,
    rms_difference,
    sum_of_squared_differences,
    zero_fraction,
)
from codesign.metrics.trigger_cells import CELLS, DISTANCES, POSITIONS

Wafer = NDArray[np.float64]

charge = st.just(0.0) | st.floats(1e-2, 1e3)
wafer = arrays(np.float64, (1, CELLS), elements=charge, fill=st.just(0.0)).filter(np.any)
examples = settings(deadline=None)
scored = [mean_shift, rms_difference, cross_correlation, sum_of_squared_differences]


@pytest.mark.parametrize("name", ["d_mean", "d_rms", "cross_correlation", "ssd"])
def test_golden(golden: Any, name: str) -> None:
    np.testing.assert_allclose(METRICS[name].function(golden.x, golden.y), golden.scores[name], rtol=1e-9)


@pytest.mark.parametrize("score", scored)
def test_special_values(score: Callable[[Any, Any], Wafer]) -> None:
    empty, full = np.zeros((1, CELLS)), np.arange(1.0, CELLS + 1)[None]
    x, y = np.concatenate([empty, empty, full]), np.concatenate([empty, full, empty])
    np.testing.assert_array_equal(score(x, y), [-1, -1, -0.5])


@examples
@given(wafer, st.floats(1e-3, 1e3))
def test_the_same_charges_at_another_scale_do_not_differ(x: Wafer, scale: float) -> None:
    assert mean_shift(x, scale * x) == pytest.approx(0, abs=1e-12)
    assert rms_difference(x, scale * x) == pytest.approx(0, abs=1e-12)
    assert sum_of_squared_differences(x, x) == 0
    assert sum_of_squared_differences(x, 2 * x) == pytest.approx(0.5)


def test_the_mean_shifts_by_the_distance_of_two_cells() -> None:
    for start, end in ((0, 1), (3, 40), (17, 17)):
        shift = mean_shift(5 * np.eye(CELLS)[[start]], np.eye(CELLS)[[end]])
        assert shift == pytest.approx(DISTANCES[start, end], abs=1e-12)


def test_one_cell_has_no_spread_and_two_have_half_their_distance() -> None:
    one, two = np.eye(CELLS)[[7]], np.eye(CELLS)[[0]] + np.eye(CELLS)[[44]]
    apart = (POSITIONS[0] - POSITIONS[44]) / POSITIONS.std(axis=0)
    assert rms_difference(two, one) == pytest.approx(np.hypot(*apart) / 2 * np.sqrt(1 / 2))
    assert rms_difference(one, two) == pytest.approx(-rms_difference(two, one))


@examples
@given(wafer, wafer)
def test_correlation_is_pearson_s(x: Wafer, y: Wafer) -> None:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert cross_correlation(x, y) == 0
    else:
        assert cross_correlation(x, y) == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-9)


def test_correlation_with_equal_cells_is_zero_whatever_their_mean_rounds_to() -> None:
    x = np.random.default_rng(0).random((1, CELLS))
    assert cross_correlation(x, np.full((1, CELLS), 0.1)) == 0


@examples
@given(wafer, wafer)
def test_squared_differences_of_disjoint_charges_reach_two(x: Wafer, y: Wafer) -> None:
    disjoint = np.where(x == 0, y, 0.0)
    if disjoint.any():
        assert sum_of_squared_differences(x, disjoint) >= 2 - 1e-9


def test_zero_fraction_is_the_mean_of_empty_outputs() -> None:
    y = np.eye(CELLS)[:4] * [[0], [1], [0], [1e-9]]
    np.testing.assert_array_equal(zero_fraction(np.ones((4, CELLS)), y), [1, 0, 1, 0])
    np.testing.assert_array_equal(zero_fraction(np.zeros((4, CELLS)), y), [1, 0, 1, 0])


def test_energy_response_is_the_share_gained_or_lost() -> None:
    x = np.random.default_rng(0).exponential(size=(4, 48))
    y = x * np.array([1.0, 0.5, 0.0, 2.0])[:, None]
    np.testing.assert_allclose(energy_response(x, y), [0.0, -0.5, -1.0, 1.0], atol=1e-12)
    one_of_two = np.eye(48)[[0, 1]] * [[0], [1]]
    np.testing.assert_array_equal(energy_response(np.zeros((2, 48)), one_of_two), [0, 1])


def test_the_absolute_difference_of_spreads_is_the_modulus() -> None:
    x, y = np.random.default_rng(1).exponential(size=(2, 20, 48))
    np.testing.assert_array_equal(absolute_rms_difference(x, y), np.abs(rms_difference(x, y)))
    y[0] = 0
    assert absolute_rms_difference(x, y)[0] == -0.5
