"""Adders of a product with a constant matrix: signed digits, shared terms, trees.

A constant weight is a sum of powers of two with signs; written with the fewest of them, no two adjacent
(canonical signed digits: Avizienis, IRE Trans. Electronic Computers EC-10, 1961), each but the first costs
an adder. Two terms that several outputs need in the same distance are added once (common subexpressions:
Hartley, IEEE Trans. Circuits and Systems II 43, 1996). The most frequent pair is taken first, until none is
left twice. What remains of each output is one tree. Pairs of digits are counted sparsely, output by output:
a matrix of 128 inputs and 16 outputs takes some tenths of a second.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["Adders", "adders", "changes", "digits", "signed_width", "toggles"]

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
        Full adders: places of an addition at which three bits meet.
    carries
        Half adders: places at which two bits meet, or a bit and a carry.
    count
        Additions and subtractions.
    depth
        Additions on the longest path, those before the inputs included.
    live
        Bits of sums that are made after at most ``d`` additions and added after more, for ``d`` from 0 to
        ``depth``: what a register there would hold of them. Outputs are held by what takes them.
    reach
        Additions until an input is added for the last time, 0 for one that never is, ``(inputs,)``.
    arrival
        Additions until an output is there, 0 for one without terms, ``(outputs,)``.
    sums
        A row an addition, in order: numbers of its two terms (inputs first, then sums), the shift of the
        second, both signs, and the width, ``(count, 6)``.
    """

    bits: int
    carries: int
    count: int
    depth: int
    live: IntArray
    reach: IntArray
    arrival: IntArray
    sums: IntArray


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


def adders(matrix: IntArray, low: IntArray, high: IntArray, arrival: IntArray | None = None) -> Adders:
    """Adders of ``x @ matrix``.

    Parameters
    ----------
    matrix
        Integer weights, shape ``(inputs, outputs)``.
    low, high
        Range of each input, shape ``(inputs,)``; a width follows from its range.
    arrival
        Additions until each input is there, shape ``(inputs,)``; 0 if not given.
    """
    left, pairs = _share(digits(matrix))
    total = _Tally()
    given = np.zeros(len(low), np.int64) if arrival is None else arrival
    terms = [total.born(*ends) for ends in zip(low.tolist(), high.tolist(), given.tolist(), strict=True)]
    for first, second, shift, sign in pairs:
        terms.append(total.sum(terms[first], terms[second], shift, (1, sign)))
    ends = [_tree(terms, left[:, output], total) for output in range(left.shape[1])]
    return total.adders(len(low), np.array([end.depth if end else 0 for end in ends], np.int64))


def changes(graph: Adders, inputs: IntArray) -> float:
    """Bits of sums and of their carries that change from one frame to the next, on average.

    Parameters
    ----------
    graph
        Of so many inputs.
    inputs
        Codes one after another, ``(frames, windows, inputs)``: the graph is there once a window.
    """
    values = [inputs[..., place] for place in range(inputs.shape[-1])]
    total = 0.0
    for first, second, shift, sign, other, width in graph.sums.tolist():
        one, two = values[first], values[second] << shift
        made = sign * one + other * two
        carries = (one if sign > 0 else ~one) ^ (two if other > 0 else ~two) ^ made
        added = (1 << width) - (1 << min(shift, width))  # below the shift there is nothing to add
        total += float(toggles(made, added).sum() + toggles(carries, added).sum())
        values.append(made)
    return total


def toggles(values: IntArray, mask: int | IntArray) -> NDArray[np.float64]:
    """Bits under a mask that change from one value to the next along the first axis, on average."""
    changed = ((values[1:] ^ values[:-1]) & mask).astype(np.uint64)
    return np.asarray(np.bitwise_count(changed).mean(axis=0, dtype=np.float64))


@dataclass(frozen=True, slots=True)
class _Term:
    """A value of the graph: its number, its range, the range's width, and additions on the way to it."""

    node: int
    low: int
    high: int
    width: int
    depth: int

    def times(self, sign: int) -> tuple[int, int]:
        """Range of the value with a sign."""
        return (self.low, self.high) if sign > 0 else (-self.high, -self.low)


@dataclass(slots=True)
class _Tally:
    """Counts what additions cost, and from when to when each value is needed."""

    full: int = 0
    half: int = 0
    widths: list[int] = field(default_factory=list)
    made_at: list[int] = field(default_factory=list)
    needed_until: list[int] = field(default_factory=list)
    sums: list[tuple[int, ...]] = field(default_factory=list)

    def born(self, low: int, high: int, depth: int) -> _Term:
        width = max(high, -low - 1, 0).bit_length() + (low < 0)
        made = _Term(len(self.widths), low, high, width, depth)
        self.widths.append(made.width)
        self.made_at.append(depth)
        self.needed_until.append(depth)
        return made

    def sum(self, first: _Term, second: _Term, shift: int, signs: tuple[int, int]) -> _Term:
        """``signs[0] * first + signs[1] * second * 2**shift``."""
        low, high = first.times(signs[0])
        low_2, high_2 = second.times(signs[1])
        made = self.born(low + (low_2 << shift), high + (high_2 << shift), max(first.depth, second.depth) + 1)
        for used in (first, second):
            self.needed_until[used.node] = max(self.needed_until[used.node], made.depth)
        self.sums.append((first.node, second.node, shift, *signs, made.width))
        self._count((first, second), (0, shift), signs, made.width)
        return made

    def _count(
        self, operands: tuple[_Term, _Term], shifts: tuple[int, int], signs: tuple[int, int], width: int
    ) -> None:
        """Full adders where three bits meet, half adders where two do, of a ripple chain.

        From place to place both operands and the carry vary or are known: below an operand is 0, above it
        its sign or 0, and one that is subtracted is inverted, with a carry of 1 into the first place. One bit
        that meets known ones costs nothing, and its carry is known where these are equal.
        """
        above = [shift + term.width for shift, term in zip(shifts, operands, strict=True)]
        carry: int | None = int(min(signs) < 0)  # None: it varies
        changes = sorted({0, *shifts, *above, width})
        for start, stop in pairwise(place for place in changes if place <= width):
            known = [
                int(sign < 0)
                for term, lowest, end, sign in zip(operands, shifts, above, signs, strict=True)
                if start < lowest or (start >= end and term.low >= 0)
            ]
            if not known:
                self.full += stop - start - (carry is not None)
                self.half += carry is not None
                carry = None
            elif len(known) == 1 and carry != known[0]:
                self.half += stop - start - (carry is not None)
                carry = None

    def adders(self, inputs: int, arrival: IntArray) -> Adders:
        """All counts; the first terms are the ``inputs``."""
        depth = int(arrival.max(initial=0))
        change = np.zeros(depth + 2, np.int64)
        np.add.at(change, self.made_at[inputs:], self.widths[inputs:])
        np.subtract.at(change, self.needed_until[inputs:], self.widths[inputs:])
        made, until = (
            np.array(self.made_at[:inputs], np.int64),
            np.array(self.needed_until[:inputs], np.int64),
        )
        return Adders(
            self.full,
            self.half,
            len(self.widths) - inputs,
            depth,
            np.cumsum(change)[: depth + 1],
            np.where(until > made, until, 0),
            arrival,
            np.array(self.sums, np.int64).reshape(-1, 6),
        )


def _tree(terms: list[_Term], output: Digits, total: _Tally) -> _Term | None:
    """Add the terms of an output, the shallowest and narrowest first; None for an output without any.

    An output all of whose terms are negative is negated in the end.
    """
    which, places = np.nonzero(output)
    heap = [
        (terms[index].depth, terms[index].width + place, number, place, sign, terms[index])
        for number, (index, place, sign) in enumerate(
            zip(which.tolist(), places.tolist(), output[which, places].tolist(), strict=True)
        )
    ]
    heapq.heapify(heap)
    number = len(heap)
    while len(heap) > 1:
        one, other = heapq.heappop(heap), heapq.heappop(heap)
        if one[3] > other[3]:
            one, other = other, one
        sign = max(one[4], other[4])  # the sum of two that are subtracted is subtracted itself
        made = total.sum(one[5], other[5], other[3] - one[3], (one[4] * sign, other[4] * sign))
        number += 1
        heapq.heappush(heap, (made.depth, made.width + one[3], number, one[3], sign, made))
    if not heap:
        return None
    if heap[0][4] < 0:
        total.half += heap[0][5].width
    return heap[0][5]


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
    codes, counts = np.unique(np.concatenate([np.zeros(0, np.int64), *found]), return_counts=True)
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
    terms = (first << TERM_BITS) | second
    codes: IntArray = (((terms << SHIFT_BITS) | np.abs(place - place_2)) << 1) | (sign == sign_2)
    return codes


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
