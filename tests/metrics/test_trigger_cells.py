import numpy as np
import pytest

from codesign.metrics.trigger_cells import (
    BLOCKS,
    CELLS,
    DISTANCES,
    GROUP_WEIGHTS,
    GROUPS,
    NEIGHBOURS,
    POSITIONS,
)

PITCH = 2.0  # of trigger cells, in sensor cells


def test_every_block_is_a_hexagonal_lattice_of_the_pitch() -> None:
    first = np.array([(0.0, 0.0), (-8.37204, -10.271393), (4.70927, -12.386101)])
    column_step = np.array([(0.0, -2.4168015), (2.09301, 1.2084), (-2.09301, 1.2084)])
    row_step = np.array([(2.09301, -1.2084), (0.0, 2.4168), (-2.09301, -1.2084)])
    row, column = np.divmod(np.arange(16), 4)
    expected = first[:, None] + row[:, None] * row_step[:, None] + column[:, None] * column_step[:, None]
    np.testing.assert_allclose(POSITIONS[BLOCKS] * 2.4168015 / PITCH, expected, atol=2.5e-5)


def test_distances_are_those_of_the_positions() -> None:
    for i, j in ((0, 1), (0, 31), (12, 44), (47, 3)):
        assert DISTANCES[i, j] == pytest.approx(np.hypot(*(POSITIONS[i] - POSITIONS[j])), rel=1e-15)
    assert DISTANCES.shape == (CELLS, CELLS)
    np.testing.assert_array_equal(DISTANCES, DISTANCES.T)
    assert DISTANCES.max() == pytest.approx(13.7568, abs=1e-4)
    assert DISTANCES[np.triu_indices(CELLS, 1)].min() == pytest.approx(1.8028, abs=1e-4)
    assert DISTANCES[np.triu_indices(CELLS, 1)].mean() == pytest.approx(6.670, abs=1e-3)


def test_neighbours_are_the_pairs_one_step_apart() -> None:
    assert NEIGHBOURS.shape == (120, 2)
    assert (NEIGHBOURS[:, 0] < NEIGHBOURS[:, 1]).all()
    near = DISTANCES[tuple(NEIGHBOURS.T)]
    assert near.max() < 2.3
    others = np.triu(np.ones((CELLS, CELLS), dtype=bool), 1)
    others[tuple(NEIGHBOURS.T)] = False
    assert DISTANCES[others].min() > 3.0


def test_groups_are_four_cells_around_a_point() -> None:
    assert GROUPS.shape == (36, 4)
    assert len({frozenset(group) for group in GROUPS.tolist()}) == 36
    widths = DISTANCES[GROUPS[:, :, None], GROUPS[:, None, :]].max(axis=(1, 2))
    assert widths.max() < 2 * PITCH


def test_groups_hold_each_cell_as_often_as_the_reference() -> None:
    inside = [[2, 4, 4, 3], [2, 4, 4, 4], [2, 4, 4, 4], [1, 2, 2, 2]]
    held = np.bincount(GROUPS.ravel(), minlength=CELLS).reshape(3, 4, 4)
    np.testing.assert_array_equal(held, [inside] * 3)


def test_group_weights_are_the_reference_s_and_not_its_rule() -> None:
    assert GROUP_WEIGHTS.sum() == pytest.approx(12.5625, rel=1e-15)
    held = np.bincount(GROUPS.ravel(), minlength=CELLS)
    rule = (1 / held[GROUPS]).sum(axis=1) / 4
    assert rule.sum() == pytest.approx(12)
    off = ~np.isclose(GROUP_WEIGHTS, rule)
    np.testing.assert_allclose(rule[off], [13 / 48] * 3 + [7 / 24] * 3)
    np.testing.assert_allclose(GROUP_WEIGHTS[off], [1 / 3] * 3 + [5 / 12] * 3)


def test_constants_cannot_be_changed() -> None:
    for constant in (POSITIONS, DISTANCES, NEIGHBOURS, BLOCKS, GROUPS, GROUP_WEIGHTS):
        with pytest.raises(ValueError, match="read-only"):
            constant[0] = 0
