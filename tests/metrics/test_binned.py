import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.errors import DataError
from codesign.metrics import binned


@given(st.lists(st.tuples(st.floats(-10, 10), st.integers(0, 20)), min_size=1, max_size=60))
def test_each_wafer_inside_the_edges_is_in_one_bin(rows):
    scores, by = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    bins = binned(scores, by, [2, 5, 9, np.inf])
    assert sum(each.n for each in bins) == (by >= 2).sum()
    for each in bins:
        inside = scores[(by >= each.low) & (by < each.high)]
        assert each.median == pytest.approx(np.median(inside))
        assert each.low_16 <= each.median <= each.high_84
        assert inside.min() - 1e-9 <= each.mean <= inside.max() + 1e-9


def test_bad_input_is_refused():
    with pytest.raises(DataError, match="shape"):
        binned([1.0], [1.0, 2.0], [0, 1])
    with pytest.raises(DataError, match="ascend"):
        binned([1.0], [1.0], [1, 1])
    with pytest.raises(DataError, match="finite"):
        binned([np.nan], [1.0], [0, 2])
