"""Each row is priced once, whatever it is asked for with."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from codesign.hardware import Costs
from codesign.hardware.remembered import Remembered

batches = st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 2)), max_size=6), max_size=6)


def price(rows: NDArray[np.int16]) -> Costs:
    return {"sum": rows.sum(axis=1).astype(float), "first": rows[:, 0] / 7}


@given(batches)
def test_costs_are_the_function_s_and_no_row_is_asked_for_twice(
    wanted: list[list[tuple[int, int]]],
) -> None:
    asked: list[tuple[int, ...]] = []

    def noted(rows: NDArray[np.int16]) -> Costs:
        asked.extend(map(tuple, rows.tolist()))
        return price(rows)

    remembered = Remembered(noted)
    for batch in wanted:
        rows = np.array(batch, dtype=np.int16).reshape(-1, 2)
        costs, expected = remembered(rows), price(rows)
        assert set(costs) == {"sum", "first"}
        for name, values in expected.items():
            np.testing.assert_array_equal(costs[name], values)
    distinct = {row for batch in wanted for row in batch}
    assert sorted(asked) == sorted(distinct)
    assert len(remembered) == len(distinct)
