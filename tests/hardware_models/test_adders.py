from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hardware_models.adders import Adders, _share, _Tally, adders, digits, signed_width

Matrix = NDArray[np.int64]
examples = settings(deadline=None, max_examples=60)
seeds = st.integers(0, 2**32 - 1)
weights = st.integers(-127, 127)
matrices = st.tuples(st.integers(1, 6), st.integers(1, 5)).flatmap(
    lambda shape: st.lists(weights, min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]).map(
        lambda values: np.array(values, np.int64).reshape(shape)
    )
)


def of(matrix: Matrix, low: int = 0, high: int = 7) -> Adders:
    return adders(matrix, np.full(len(matrix), low), np.full(len(matrix), high))


def fewest_terms(largest: int) -> dict[int, int]:
    """Of every integer up to ``largest``, the fewest powers of two with signs that sum to it."""
    powers = [1 << place for place in range(largest.bit_length() + 2)]
    found, reached = {0: 0}, {0}
    for count in range(1, largest.bit_length() + 1):
        reached = {value + sign * power for value in reached for power in powers for sign in (1, -1)}
        for value in reached:
            found.setdefault(value, count)
    return found


def test_canonical_digits_are_the_fewest_that_sum_to_the_value_and_no_two_are_adjacent() -> None:
    codes = np.arange(-130, 131)
    found = digits(codes).astype(np.int64)
    np.testing.assert_array_equal(found @ (1 << np.arange(found.shape[1])), codes)
    assert not (found[:, 1:] * found[:, :-1]).any()
    fewest = fewest_terms(130)
    assert (found != 0).sum(axis=1).tolist() == [fewest[code] for code in codes.tolist()]


@given(st.lists(st.integers(-(1 << 40), 1 << 40), min_size=1, max_size=20))
@examples
def test_digits_of_wide_integers_sum_to_them(values: list[int]) -> None:
    found = digits(np.array(values))
    places = range(found.shape[1])
    assert [sum(int(row[place]) << place for place in places) for row in found] == values


@given(st.lists(st.tuples(st.integers(-300, 300), st.integers(0, 300)), min_size=1))
@examples
def test_a_width_is_the_fewest_bits_that_hold_a_range(ranges: list[tuple[int, int]]) -> None:
    low = np.array([start for start, _ in ranges])
    high = low + np.array([size for _, size in ranges])
    for a, b, width in zip(low.tolist(), high.tolist(), signed_width(low, high).tolist(), strict=True):
        assert width == _Tally().born(a, b, 0).width
        held = [(-(1 << n >> 1) if a < 0 else 0, (1 << n >> (a < 0)) - 1) for n in range(12)]
        assert width == next(n for n, (least, most) in enumerate(held) if least <= a and b <= most)


@given(matrices, seeds)
@examples
def test_the_shared_graph_computes_the_product(matrix: Matrix, seed: int) -> None:
    inputs = np.random.default_rng(seed).integers(-100, 100, len(matrix))
    remaining, pairs = _share(digits(matrix))
    terms = inputs.tolist()
    for first, second, shift, sign in pairs:
        terms.append(terms[first] + sign * (terms[second] << shift))
    assert len(remaining) == len(terms)
    made = np.einsum("top,p,t", remaining.astype(np.int64), 1 << np.arange(remaining.shape[2]), terms)
    np.testing.assert_array_equal(made, inputs @ matrix)


@given(matrices)
@examples
def test_sharing_never_needs_more_additions(matrix: Matrix) -> None:
    plain = np.maximum((digits(matrix) != 0).sum(axis=(0, 2)) - 1, 0).sum()
    remaining, pairs = _share(digits(matrix))
    count = len(pairs) + np.maximum((remaining != 0).sum(axis=(0, 2)) - 1, 0).sum()
    assert of(matrix).count == count <= plain


def test_equal_outputs_are_added_once() -> None:
    matrix = np.array([[5], [3], [-2]])
    assert of(matrix).count == of(np.repeat(matrix, 3, axis=1)).count == 4


def rippled(operands: list[tuple[int, int]], shift: int, signs: tuple[int, int], width: int) -> list[int]:
    """Places at which 3 and at which 2 bits of a ripple chain vary, by adding everything there is."""
    ranges = [range(low, high + 1) for low, high in operands]
    carry = np.full(len(ranges[0]) * len(ranges[1]), int(min(signs) < 0))
    given = np.array(list(product(*ranges))) << [0, shift]
    varying = []
    for place in range(width):
        bits = [(column >> place & 1) ^ (sign < 0) for column, sign in zip(given.T, signs, strict=True)]
        varying.append(sum(bit.min() < bit.max() for bit in (*bits, carry)))
        carry = (sum(bits) + carry) >> 1
    return [varying.count(3), varying.count(2)]


WHOLE = [(0, (1 << bits) - 1) for bits in (1, 2, 3, 4)] + [
    (-(1 << bits), (1 << bits) - 1) for bits in (1, 2, 3)
]


@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1)])
@pytest.mark.parametrize("shift", range(6))
def test_adders_of_two_operands_are_the_places_where_bits_meet(shift: int, signs: tuple[int, int]) -> None:
    for operands in product(WHOLE, repeat=2):
        total = _Tally()
        first, second = (total.born(low, high, 0) for low, high in operands)
        made = total.sum(first, second, shift, signs)
        assert [total.full, total.half] == rippled(list(operands), shift, signs, made.width)


@pytest.mark.parametrize(
    ("column", "full", "half"),
    [
        ([0, 0], 0, 0),
        ([4, 0], 0, 0),  # a wire
        ([-1, 0], 0, 3),  # negated: three bits
        ([1, 8], 0, 0),  # beside each other
        ([1, 1], 2, 1),
        ([1, 4], 0, 3),  # one place in common, two that the carry runs through
        ([8, -1], 0, 5),  # borrowed through all but the first place
        ([3, 0], 1, 3),  # 4 - 1: of the six bits one place has all three, the first and the sign are free
    ],
)
def test_small_products_worked_by_hand(column: list[int], full: int, half: int) -> None:
    """Of two inputs of three bits each."""
    found = of(np.array(column)[:, None])
    assert (found.bits, found.carries) == (full, half)


def test_a_tree_worked_by_hand() -> None:
    """Three inputs of 2 bits: a sum of 3 bits after one addition, one of 4 after two."""
    found = of(np.array([[1], [1], [1]]), 0, 3)
    assert (found.count, found.depth) == (2, 2)
    assert found.live.tolist() == [0, 3, 0]
    assert found.reach.tolist() == [1, 1, 2]
    assert found.arrival.tolist() == [2]
    assert found.sums.tolist() == [[0, 1, 0, 1, 1, 3], [2, 3, 0, 1, 1, 4]]


def test_a_late_input_is_added_last_and_the_others_wait_for_it() -> None:
    """The first input comes after 5 additions: the sum of the others, of 3 bits, waits from 1 on."""
    found = adders(np.ones((3, 1), np.int64), np.zeros(3, np.int64), np.full(3, 3), np.array([5, 0, 0]))
    assert found.arrival.tolist() == [6]
    assert found.reach.tolist() == [6, 1, 1]
    assert found.live.tolist() == [0, 3, 3, 3, 3, 3, 0]


def test_an_input_that_is_an_output_is_there_at_once() -> None:
    found = of(np.array([[1, 0], [1, 4]]))
    assert found.depth == 1
    assert found.reach.tolist() == [1, 1]
    assert found.arrival.tolist() == [1, 0]
    assert found.live.tolist() == [0, 0]


@given(matrices, seeds)
@examples
def test_the_sums_compute_the_outputs(matrix: Matrix, seed: int) -> None:
    """Each output is an input or a sum, shifted, or its negative."""
    values = np.random.default_rng(seed).integers(0, 8, len(matrix)).tolist()
    found = of(matrix)
    for first, second, shift, sign, other, width in found.sums.tolist():
        values.append(sign * values[first] + other * (values[second] << shift))
        assert -(1 << width) < values[-1] < 1 << width
    assert len(values) == len(matrix) + found.count
    outputs = np.abs(values[: len(matrix)] @ matrix).tolist()
    made = {abs(value) << shift for value in (0, *values) for shift in range(9)}
    assert set(outputs) <= made


@given(matrices, st.sampled_from([(0, 7), (-4, 3), (0, 1), (-8, 5)]))
@examples
def test_depth_reach_and_what_lives_agree(matrix: Matrix, ends: tuple[int, int]) -> None:
    found = of(matrix, *ends)
    longest = int((digits(matrix) != 0).sum(axis=(0, 2)).max())
    assert max(longest - 1, 0).bit_length() <= found.depth <= found.count
    assert len(found.live) == found.depth + 1
    assert found.live[0] == found.live[-1] == 0
    assert (found.live >= 0).all()
    assert found.arrival.max() == found.depth
    assert not found.reach[~matrix.any(axis=1)].any()
    assert (found.reach <= found.depth).all()
    needed = found.live + [(found.reach > done).sum() for done in range(found.depth + 1)]
    assert (needed[:-1] > 0).all()


@pytest.mark.parametrize("shape", [(0, 3), (4, 0), (4, 3)])
def test_a_product_with_nothing_costs_nothing(shape: tuple[int, int]) -> None:
    found = of(np.zeros(shape, np.int64))
    assert (found.bits, found.carries, found.count, found.depth) == (0, 0, 0, 0)
    assert found.live.tolist() == [0]
    assert found.reach.tolist() == [0] * shape[0]


@given(matrices, seeds)
@examples
def test_the_order_of_outputs_changes_nothing(matrix: Matrix, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(matrix.shape[1])
    one, other = of(matrix), of(matrix[:, order])
    assert (one.bits, one.carries, one.count, one.depth) == (
        other.bits,
        other.carries,
        other.count,
        other.depth,
    )
    np.testing.assert_array_equal(one.live, other.live)
    np.testing.assert_array_equal(one.reach, other.reach)


@given(matrices)
@examples
def test_negating_outputs_changes_signs_and_no_additions(matrix: Matrix) -> None:
    one, other = of(matrix), of(-matrix)
    assert (one.count, one.depth) == (other.count, other.depth)
    np.testing.assert_array_equal(one.reach, other.reach)


@given(matrices, st.integers(1, 4))
@examples
def test_a_power_of_two_costs_nothing(matrix: Matrix, shift: int) -> None:
    one, other = of(matrix), of(matrix << shift)
    assert (one.bits, one.carries, one.count, one.depth) == (
        other.bits,
        other.carries,
        other.count,
        other.depth,
    )


@given(matrices, st.integers(1, 6))
@examples
def test_wider_inputs_never_cost_fewer_full_adders(matrix: Matrix, bits: int) -> None:
    narrow, wide = of(matrix, 0, (1 << bits) - 1), of(matrix, 0, (2 << bits) - 1)
    assert narrow.bits <= wide.bits
    assert narrow.bits + narrow.carries <= wide.bits + wide.carries
