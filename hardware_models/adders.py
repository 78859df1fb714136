"""Adders of a product with a constant matrix: signed digits, shared terms, trees.

A constant weight is a sum of powers of two with signs; written with the fewest of them, no two adjacent
(canonical signed digits: Avizienis, IRE Trans. Electronic Computers EC-10, 1961), each but the first costs an
adder. Two terms that several outputs need in the same distance are added once (common subexpressions: Hartley,
IEEE Trans. Circuits and Systems II 43, 1996). The most frequent pair is taken first, until none is left twice.
What remains of each output is one tree. Pairs of digits are counted sparsely, output by output: a matrix of
128 inputs and 16 outputs takes some tenths of a second.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Adders", "adders", "digits", "signed_width"]

IntArray = NDArray[np.int64]
Digits = NDArray[np.int8]
TERM_BITS, SHIFT_BITS = 20, 6
"""Fields of the code of a pair: two terms, the shift between them, and whether their signs are equal."""
CHUNK = 1 << 17


@dataclass(frozen=True, slots=True)
class Adders:
    """Adders of one product.

    Parameters
    ----------
    bits
        Full adders: for each addition the bits of its result, less those in which only one operand has any.
    count
        Additions and subtractions.
    depth
        Additions on the longest path.
    """

    bits: int
    count: int
    depth: int


def signed_width(low: IntArray, high: IntArray) -> IntArray:
    """Bits that hold all integers of ranges; a sign bit only where there is something below 0."""
    beyond = np.maximum(high, -(low + 1))
    width: IntArray = np.frexp(np.maximum(beyond, 0).astype(np.float64))[1].astype(np.int64) + (low < 0)
    return width


def digits(codes: IntArray) -> Digits:
    """Canonical signed digits, least significant first, in a new last axis: -1, 0 or 1.

    Examples
    --------
    >>> digits(np.array([7])).tolist()
    [[-1, 0, 0, 1]]
    """
    magnitude = np.abs(codes)
    half = magnitude >> 1
    three_halves = magnitude + half
    changed = half ^ three_halves
    place = np.arange(int(magnitude.max(initial=0)).bit_length() + 1)
    positive = ((three_halves & changed)[..., None] >> place) & 1
    negative = ((half & changed)[..., None] >> place) & 1
    found: Digits = ((positive - negative) * np.sign(codes)[..., None]).astype(np.int8)
    return found


def adders(matrix: IntArray, low: IntArray, high: IntArray) -> Adders:
    """Adders of ``x @ matrix``.

    Parameters
    ----------
    matrix
        Integer weights, shape ``(inputs, outputs)``.
    low, high
        Range of each input, shape ``(inputs,)``; a width follows from its range.
    """
    left, pairs = _share(digits(matrix).transpose(0, 1, 2))
    terms = [_Term(int(a), int(b), 0) for a, b in zip(low, high, strict=True)]
    bits = 0
    for first, second, shift, sign in pairs:
        made, cost = _sum(terms[first], terms[second].times(sign), shift)
        terms.append(made)
        bits += cost
    depth, additions = 0, len(pairs)
    for output in range(left.shape[1]):
        cost, count, levels = _tree(terms, left[:, output])
        bits, additions, depth = bits + cost, additions + count, max(depth, levels)
    return Adders(bits, additions, depth)


@dataclass(frozen=True, slots=True)
class _Term:
    """A value of the graph: its range, and additions on the way to it."""

    low: int
    high: int
    depth: int

    @property
    def width(self) -> int:
        beyond = max(self.high, -self.low - 1, 0)
        return beyond.bit_length() + (self.low < 0)

    def times(self, sign: int) -> "_Term":
        return self if sign > 0 else _Term(-self.high, -self.low, self.depth)


def _sum(first: _Term, second: _Term, shift: int) -> tuple[_Term, int]:
    """``first + second * 2**shift``, and its full adders: the low bits of ``first`` pass by."""
    made = _Term(
        first.low + (second.low << shift),
        first.high + (second.high << shift),
        max(first.depth, second.depth) + 1,
    )
    return made, max(made.width - shift, 0)


def _tree(terms: list[_Term], output: Digits) -> tuple[int, int, int]:
    """Adder bits, additions and depth of one output; the shallowest and narrowest terms are added first.

    A value that is subtracted passes no low bits by. An output all of whose terms are negative is negated in
    the end.
    """
    which, places = np.nonzero(output)
    heap = [
        (term.depth, term.width + place, number, place, sign > 0, term.times(sign))
        for number, (term, place, sign) in enumerate(
            (terms[index], place, int(output[index, place]))
            for index, place in zip(which.tolist(), places.tolist(), strict=True)
        )
    ]
    heapq.heapify(heap)
    bits = additions = 0
    while len(heap) > 1:
        one, other = heapq.heappop(heap), heapq.heappop(heap)
        if one[3] > other[3]:
            one, other = other, one
        shift = other[3] - one[3]
        made, cost = _sum(one[5], other[5], shift)
        bits += cost if one[4] else cost + shift
        additions += 1
        number = len(which) + additions
        heapq.heappush(
            heap, (made.depth, made.width + one[3], number, one[3], one[4] or other[4], made)
        )
    if heap and not heap[0][4]:
        bits += heap[0][5].width
    return bits, additions, heap[0][0] if heap else 0


Pair = tuple[int, int, int, int]


def _share(given: Digits) -> tuple[Digits, list[Pair]]:
    """Digits ``(terms, outputs, places)`` that remain once pairs are shared, and the pairs.

    A pair ``(first, second, shift, sign)`` is a new term, ``first + sign * second * 2**shift``.
    """
    state, size = given.copy(), len(given)
    buckets: dict[int, list[IntArray]] = {}
    _put(buckets, *_pairs(state, 0))
    pairs: list[Pair] = []
    while buckets:
        count = max(buckets)
        codes = np.concatenate(buckets.pop(count))
        now = _counted(state, codes)
        _put(buckets, codes[now < count], now[now < count])
        chosen, later = _disjoint(codes[now == count])
        if len(later):
            buckets.setdefault(count, []).append(later)
        if not chosen:
            continue
        start = size + len(pairs)
        state = _with_room(state, start + len(chosen))
        for number, pair in enumerate(chosen):
            _replace(state, start + number, pair)
        pairs += chosen
        _put(buckets, *_pairs(state[: start + len(chosen)], start))
    return state[: size + len(pairs)], pairs


def _with_room(state: Digits, size: int) -> Digits:
    if size <= len(state):
        return state
    grown = np.zeros((2 * size, *state.shape[1:]), np.int8)
    grown[: len(state)] = state
    return grown


def _put(buckets: dict[int, list[IntArray]], codes: IntArray, counts: IntArray) -> None:
    """Keep codes of pairs by how often they occur; what occurs once is not shared."""
    for count in np.unique(counts[counts > 1]).tolist():
        buckets.setdefault(count, []).append(codes[counts == count])


def _pairs(state: Digits, start: int) -> tuple[IntArray, IntArray]:
    """Codes of all pairs of digits of which one belongs to a term from ``start`` on, and their counts."""
    found = [
        _codes(term[one], place[one], sign[one], term[other], place[other], sign[other])
        for term, place, sign in _by_output(state)
        for one, other in (_combinations(term, start),)
    ]
    codes, counts = np.unique(np.concatenate(found), return_counts=True)
    return codes, counts.astype(np.int64)


def _by_output(state: Digits) -> Iterator[tuple[IntArray, IntArray, IntArray]]:
    """Term, place and sign of the digits of each output."""
    for output in range(state.shape[1]):
        term, place = np.nonzero(state[:, output])
        yield term, place, state[term, output, place].astype(np.int64)


def _combinations(term: IntArray, start: int) -> tuple[IntArray, IntArray]:
    """Positions of two digits each, every unordered pair once; terms ascend."""
    first = int(np.searchsorted(term, start))
    rows = [np.zeros(0, np.int64)]
    columns = [np.zeros(0, np.int64)]
    for position in range(max(first, 1), len(term)):
        rows.append(np.full(position, position))
        columns.append(np.arange(position))
    return np.concatenate(rows), np.concatenate(columns)


def _codes(
    term: IntArray, place: IntArray, sign: IntArray, term_2: IntArray, place_2: IntArray, sign_2: IntArray
) -> IntArray:
    """Codes of pairs: the digit of the lower place first, at equal places that of the earlier term."""
    swap = (place > place_2) | ((place == place_2) & (term > term_2))
    first, second = np.where(swap, term_2, term), np.where(swap, term, term_2)
    codes: IntArray = (first << TERM_BITS) | second
    return (((codes << SHIFT_BITS) | np.abs(place - place_2)) << 1) | (sign == sign_2)


def _decoded(codes: IntArray) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """First and second term, shift, and sign (1 or -1) of codes."""
    shift = (codes >> 1) & ((1 << SHIFT_BITS) - 1)
    second = (codes >> (1 + SHIFT_BITS)) & ((1 << TERM_BITS) - 1)
    return codes >> (1 + SHIFT_BITS + TERM_BITS), second, shift, 2 * (codes & 1) - 1


def _counted(state: Digits, codes: IntArray) -> IntArray:
    """How often pairs occur now."""
    first, second, shift, sign = _decoded(codes)
    counts = np.zeros(len(codes), np.int64)
    places = state.shape[2]
    for distance in np.unique(shift).tolist():
        (rows,) = np.nonzero(shift == distance)
        for part in np.array_split(rows, len(rows) * state[0].size // CHUNK + 1):
            low = state[first[part], :, : places - distance]
            high = state[second[part], :, distance:]
            counts[part] = (low * high == sign[part, None, None]).sum(axis=(1, 2))
    return counts


def _disjoint(codes: IntArray) -> tuple[list[Pair], IntArray]:
    """Pairs that have no term in common, in order, and the codes of the others."""
    used: set[int] = set()
    chosen: list[Pair] = []
    later = []
    columns = (part.tolist() for part in _decoded(codes))
    for code, *pair in zip(codes.tolist(), *columns, strict=True):
        first, second, shift, sign = pair
        if first in used or second in used:
            later.append(code)
        else:
            used |= {first, second}
            chosen.append((first, second, shift, sign))
    return chosen, np.array(later, np.int64)


def _replace(state: Digits, number: int, pair: Pair) -> None:
    """Put term ``number`` in place of every occurrence of a pair."""
    first, second, shift, sign = pair
    for place in range(state.shape[2] - shift):
        hit = state[first, :, place] * state[second, :, place + shift] == sign
        state[number, hit, place] = state[first, hit, place]
        state[first, hit, place] = 0
        state[second, hit, place + shift] = 0
