"""Full trainings are as measured; parts are what their factors make of them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from codesign.optimisers.fidelity import lifted

LEVELS = np.log([1 / 9, 1 / 3, 1.0])
seeds = st.integers(0, 2**32 - 1)


def curves(seed: int, count: int = 12) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Designs on every level: half way, then the rest of the way, from 2 down; some learn nothing."""
    rng = np.random.default_rng(seed)
    depth = rng.random((count, 1)) * (rng.random((count, 1)) < 0.7)
    depth[:2] = [[0.0], [1.0]]
    values = np.concatenate([2.0 - share * depth for share in (0.25, 0.5, 1.0)])
    return values, np.repeat(LEVELS, count), np.tile(np.arange(count), 3)


@given(seeds, st.integers(3, 10))
def test_a_part_is_lifted_to_what_comes_of_it(seed: int, whole: int) -> None:
    """From those that were trained in full; what learns nothing stays."""
    values, fidelity, design = curves(seed)
    known = (fidelity < LEVELS[1]) | (design < whole)
    full, relative = lifted(values[known], fidelity[known], design[known])
    expected = values[-12:][design[known]]
    np.testing.assert_allclose(full, expected, atol=0.05)
    np.testing.assert_array_equal(full[fidelity[known] == 0], values[known][fidelity[known] == 0])
    assert (relative[fidelity[known] == 0] == 1).all()
    low = relative[fidelity[known] == LEVELS[0]]
    np.testing.assert_allclose(low, 16.0, rtol=0.1)


@given(seeds)
def test_without_any_that_was_trained_further_nothing_is_lifted(seed: int) -> None:
    values, fidelity, _ = curves(seed)
    full, relative = lifted(values, fidelity, np.arange(len(values)))
    np.testing.assert_allclose(full, values)
    assert (relative == 1).all()


@given(seeds)
def test_a_level_of_its_own_takes_the_factor_of_the_next_longer_training(seed: int) -> None:
    """A training that stopped early stands between two rungs."""
    values, fidelity, design = curves(seed)
    early = np.append(values, [[1.5]], axis=0), np.append(fidelity, np.log(0.2)), np.append(design, 99)
    full, relative = lifted(*early)
    beside = int(np.flatnonzero((fidelity == LEVELS[1]) & (values[:, 0] < 1.6))[0])
    assert relative[-1] == relative[beside] > 2
    np.testing.assert_allclose(full[-1] - full[beside], np.sqrt(relative[-1]) * (1.5 - values[beside]))


@given(seeds)
def test_what_all_gain_alike_is_lifted_from_them_all(seed: int) -> None:
    """Also the worst."""
    values, fidelity, design = curves(seed)
    gained = values - 0.5 * (1.0 + fidelity[:, None] / np.log(9.0))
    known = (fidelity < LEVELS[1]) | (design < 10)
    full, _ = lifted(gained[known], fidelity[known], design[known])
    np.testing.assert_allclose(full, gained[-12:][design[known]], atol=0.2)


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), st.floats(-1e6, 1e6)), min_size=1, max_size=30)
)
def test_whatever_is_given_a_better_part_is_lifted_to_no_worse(rows: list[tuple[int, int, float]]) -> None:
    values = np.array([[value, -value] for *_, value in rows])
    fidelity, design = LEVELS[[level for _, level, _ in rows]], np.array([which for which, *_ in rows])
    full, relative = lifted(values, fidelity, design)
    assert np.isfinite(full).all()
    assert (relative >= 1).all()
    for level in LEVELS:
        here = fidelity == level
        order = np.argsort(values[here, 0], kind="stable")
        assert (np.diff(full[here][order, 0]) >= -1e-6).all()
