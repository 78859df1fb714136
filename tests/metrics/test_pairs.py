from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from codesign.errors import DataError
from codesign.metrics import METRICS, pairs
from codesign.metrics.trigger_cells import CELLS

good = np.ones((3, CELLS))


def spoilt(value: float) -> NDArray[np.float64]:
    array = np.ones((3, CELLS))
    array[1, 7] = value
    return array


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (spoilt(-0.5), good, r"x\[1\] holds -0.5 at cell 7; charges must be finite and not negative"),
        (good, spoilt(np.nan), r"y\[1\] holds nan at cell 7"),
        (good, spoilt(np.inf), r"y\[1\] holds inf at cell 7"),
        (good, good[:2], "x has 3 rows and y has 2"),
        (good[0], good, r"x is an array of float64 of shape \(48,\); it must .* shape \(n, 48\)"),
        (good, good[:, :47], r"y is an array of float64 of shape \(3, 47\)"),
        (good > 0, good, "x is an array of bool"),
        (good, good.astype(str), "y is an array of <U"),
    ],
)
def test_every_metric_refuses_what_is_not_charges(name: str, x: Any, y: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        METRICS[name].function(x, y)


@pytest.mark.parametrize("rows_at_once", [1, 2, 3, 7, 8])
def test_blocks_of_rows_do_not_show(monkeypatch: pytest.MonkeyPatch, rows_at_once: int) -> None:
    monkeypatch.setattr(pairs, "_ROWS_AT_ONCE", rows_at_once)
    x, y = np.random.default_rng(0).random((2, 7, CELLS))
    x[2] = 0
    x[4, 1:] = 0
    y[4] = 0
    scores = pairs.score_filled_rows(lambda a, b: a.sum(axis=1) - b.sum(axis=1), x, y)
    expected = x.sum(axis=1) - y.sum(axis=1)
    expected[[2, 4]] = -1, -0.5
    np.testing.assert_array_equal(scores, expected)


def test_the_score_never_sees_an_empty_row() -> None:
    def score(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        assert x.any(axis=1).all()
        assert y.any(axis=1).all()
        return np.zeros(len(x))

    x = np.eye(CELLS)[:3] * [[1], [0], [1]]
    y = np.eye(CELLS)[:3] * [[1], [1], [0]]
    np.testing.assert_array_equal(pairs.score_filled_rows(score, x, y), [0, -1, -0.5])
