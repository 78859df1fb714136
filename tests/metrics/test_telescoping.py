from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from codesign.errors import DataError
from codesign.metrics import telescoping_loss
from codesign.metrics.trigger_cells import CELLS, GROUP_WEIGHTS, GROUPS

Wafer = NDArray[np.float64]

wafer = arrays(np.float64, (1, CELLS), elements=st.just(0.0) | st.floats(1e-3, 2), fill=st.just(0.0))
examples = settings(deadline=None)


def by_loops(y: Wafer, y_hat: Wafer) -> float:
    """One wafer, one term after another."""

    def d(a: float, b: float) -> float:
        return (a - b) ** 2 * max(a, b)

    cells = sum(d(a, b) for a, b in zip(y, y_hat, strict=True)) / 48
    groups = (
        sum(
            w * d(y[g].sum(), y_hat[g].sum())
            for g, w in zip(GROUPS.tolist(), GROUP_WEIGHTS.tolist(), strict=True)
        )
        / 36
    )
    blocks = sum(d(y[b : b + 16].sum(), y_hat[b : b + 16].sum()) for b in (0, 16, 32)) / 3
    return float(4 * cells + 2 * groups + blocks)


def test_golden(golden: Any) -> None:
    loss = telescoping_loss(golden.normalised, golden.rounded_y)
    np.testing.assert_allclose(loss, golden.telescoping_loss, rtol=1e-5)


@examples
@given(wafer, wafer)
def test_equals_the_formula_term_by_term(y: Wafer, y_hat: Wafer) -> None:
    assert telescoping_loss(y, y_hat) == pytest.approx(by_loops(y[0], y_hat[0]), rel=1e-9)


@examples
@given(wafer, wafer)
def test_zero_exactly_where_equal(y: Wafer, y_hat: Wafer) -> None:
    assert telescoping_loss(y, y) == 0
    assert (telescoping_loss(y, y_hat) == 0) == (y == y_hat).all()


@examples
@given(wafer, wafer, st.floats(0.1, 10))
def test_grows_with_the_cube_of_the_scale(y: Wafer, y_hat: Wafer, scale: float) -> None:
    assert telescoping_loss(scale * y, scale * y_hat) == pytest.approx(
        scale**3 * telescoping_loss(y, y_hat), rel=1e-9
    )


@pytest.mark.parametrize(
    ("cell", "weight"), [(0, 3 / 4), (3, 1 / 3 + 5 / 12 + 5 / 12), (5, 5 / 4), (12, 9 / 16)]
)
def test_one_lost_cell_costs_its_share_of_each_level(cell: int, weight: float) -> None:
    loss = telescoping_loss(np.eye(CELLS)[[cell]], np.zeros((1, CELLS)))
    assert loss == pytest.approx(4 / 48 + 2 / 36 * weight + 1 / 3)


def test_the_further_a_charge_is_moved_the_more_it_costs() -> None:
    y = np.eye(CELLS)[[0, 0, 0]]
    same_group, same_block, other_block = telescoping_loss(y, np.eye(CELLS)[[1, 15, 47]])
    assert same_group < same_block < other_block


def test_a_wafer_without_charge_has_a_loss() -> None:
    assert telescoping_loss(np.zeros((1, CELLS)), np.ones((1, CELLS))) > 0


@pytest.mark.parametrize(
    ("y_hat", "message"),
    [
        (np.ones((3, CELLS)), "x has 2 rows and y has 3"),
        (np.ones((2, 64)), r"y is an array of float64 of shape \(2, 64\)"),
        (np.full((2, CELLS), np.nan), r"y\[0\] holds nan at cell 0"),
    ],
)
def test_bad_outputs_are_refused(y_hat: Wafer, message: str) -> None:
    with pytest.raises(DataError, match=message):
        telescoping_loss(np.ones((2, CELLS)), y_hat)
