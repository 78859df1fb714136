from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from codesign.errors import DataError
from codesign.tasks.wafers import FLAT_8X8, INDEX_8X8, MASK_8X8, Wafers, split

# The layout as the study's documents print it; right of the bar in the lower rows nothing is seen.
PRINTED = """
28 29 30 31  0  4  8 12
24 25 26 27  1  5  9 13
20 21 22 23  2  6 10 14
16 17 18 19  3  7 11 15
47 43 39 35 -1 -1 -1 -1
46 42 38 34 -1 -1 -1 -1
45 41 37 33 -1 -1 -1 -1
44 40 36 32 -1 -1 -1 -1
"""

rows = arrays(np.int64, st.tuples(st.integers(1, 5), st.just(48)), elements=st.integers(0, 2**31 - 1))
charged = rows.filter(lambda calq: bool(calq.any(axis=1).all()))


def some(count: int) -> Wafers:
    calq = np.ones((count, 48), dtype=np.int32)
    calq[:, 0] = np.arange(count)
    return Wafers(calq, {"number": np.arange(count)}, "some")


def test_layout_is_the_one_printed() -> None:
    printed = np.array([line.split() for line in PRINTED.strip().splitlines()], dtype=int)
    np.testing.assert_array_equal(INDEX_8X8, printed)
    np.testing.assert_array_equal(INDEX_8X8.ravel()[FLAT_8X8], np.arange(48))
    assert MASK_8X8.sum() == 48
    assert not MASK_8X8[4:, 4:].any()


@given(charged)
def test_normalised_rows_sum_to_one_up_to_two_and_give_the_charges_back(calq: NDArray[np.int64]) -> None:
    wafers = Wafers(calq)
    sums = wafers.normalised.sum(axis=1)
    assert ((sums >= 1) & (sums < 2)).all()
    np.testing.assert_array_equal(wafers.normalised * wafers.sum_pow2[:, None], calq)
    np.testing.assert_array_equal(wafers.sum_pow2, [1 << (int(s).bit_length() - 1) for s in calq.sum(axis=1)])


@pytest.mark.parametrize("power", range(1, 36))
def test_sums_next_to_a_power_of_two_are_rounded_down_exactly(power: int) -> None:
    sums = np.array([2**power - 1, 2**power, 2**power + 1])
    calq = np.zeros((3, 48), dtype=np.int64)
    calq[:, 5] = sums
    np.testing.assert_array_equal(Wafers(calq).sum_pow2, [2 ** (power - 1), 2**power, 2**power])


def test_golden_wafers_are_normalised_as_the_reference_does(reference_data: Path) -> None:
    with np.load(reference_data / "golden" / "reference_metrics.npz") as golden:
        wafers = Wafers(golden["calq"].astype(np.int64))
        np.testing.assert_array_equal(wafers.normalised, golden["normalised"])


def test_observables_of_a_wafer() -> None:
    calq = np.zeros((1, 48), dtype=np.int16)
    calq[0, :4] = 70, 36, 35, 1
    wafers = Wafers(calq)
    assert wafers.max_mip == pytest.approx([2.0])
    assert wafers.sums.tolist() == [142]
    assert wafers.sum_pow2_mip == pytest.approx([128 / 35])
    assert wafers.occupancy.tolist() == [4]
    assert wafers.occupancy_1mip.tolist() == [2]


def test_from_rows_drops_empty_rows_with_their_columns_and_counts_them() -> None:
    calq = np.zeros((4, 48), dtype=np.int32)
    calq[[1, 3], 7] = 5
    wafers = Wafers.from_rows(calq, {"eta": np.array([1.0, 2.0, 3.0, 4.0])}, "file")
    assert len(wafers) == 2
    assert wafers.dropped_empty == 2
    assert wafers.columns["eta"].tolist() == [2.0, 4.0]


@pytest.mark.parametrize("index", [np.array([3, 1]), slice(1, 3), np.arange(5) > 2])
def test_take_indexes_charges_and_columns_alike(index: NDArray[np.intp] | slice) -> None:
    taken = some(5).take(index)
    np.testing.assert_array_equal(taken.calq[:, 0], taken.columns["number"])
    np.testing.assert_array_equal(taken.columns["number"], np.arange(5)[index])
    assert taken.source == "some"


def test_split_validates_on_the_first_fifth() -> None:
    train, validation = split(some(10))
    assert validation.columns["number"].tolist() == [0, 1]
    assert train.columns["number"].tolist() == list(range(2, 10))


@given(st.integers(2, 60), st.floats(0.01, 0.99), st.none() | st.integers(0, 9))
def test_split_gives_every_wafer_once_and_each_side_some(
    count: int, validation: float, seed: int | None
) -> None:
    train, held = split(some(count), validation, seed)
    assert len(train) >= 1
    assert len(held) == max(int(validation * count), 1) or len(train) == 1
    numbers = np.concatenate([held.columns["number"], train.columns["number"]])
    np.testing.assert_array_equal(np.sort(numbers), np.arange(count))


def test_split_by_seed_shuffles_and_repeats() -> None:
    one, again, other = (split(some(50), seed=seed)[1].columns["number"].tolist() for seed in (1, 1, 2))
    assert one == again
    assert one != other
    assert one != list(range(10))


@pytest.mark.parametrize("validation", [0, 1, -0.1, 1.5])
def test_split_refuses_a_share_out_of_range(validation: float) -> None:
    with pytest.raises(DataError, match="above 0 and below 1, got"):
        split(some(5), validation)


def test_split_refuses_a_single_wafer() -> None:
    with pytest.raises(DataError, match="some: a split needs at least 2 wafers, got 1"):
        split(some(2).take([1]))


@pytest.mark.parametrize(
    ("calq", "message"),
    [
        (np.ones((2, 47), dtype=int), r"f: charges have shape \(n, 48\), got \(2, 47\)"),
        (np.ones(48, dtype=int), r"f: charges have shape \(n, 48\), got \(48,\)"),
        (np.ones((1, 48)), "f: charges are integer counts, got dtype float64; round"),
        (-np.ones((1, 48), dtype=int), "f: charges are not negative, row 0 has CALQ_0 = -1"),
        (np.eye(2, 48, k=-1, dtype=int), "f: row 0 has no charge; Wafers.from_rows drops"),
    ],
)
def test_charges_of_another_form_are_refused(calq: NDArray[np.int64], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Wafers(calq, source="f")


@pytest.mark.parametrize("make", [Wafers, Wafers.from_rows])
def test_columns_of_another_length_are_refused(make: type[Wafers]) -> None:
    with pytest.raises(
        DataError, match=r"column 'eta' has shape \(3,\), the charges \(2, 48\); a column has"
    ):
        make(np.ones((2, 48), dtype=int), {"eta": np.zeros(3)})
