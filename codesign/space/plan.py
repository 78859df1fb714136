"""Counting, drawing and listing rows of codes without trying any that is not valid.

The columns that decide over others (*switches*) are fixed one after another. With a switch fixed, what hangs
on it exists or not, and what is left falls into parts that know nothing of each other. So the number of rows
is a sum over the values of a switch of products over such parts: values that let the same things exist are
one branch, and no row is ever listed to be counted (a deterministic decomposable form: Darwiche, *On the
tractable counting of theory models*, J. Applied Non-Classical Logics 11, 2001).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, product
from math import prod
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from codesign.space.layout import INACTIVE, Codes, Column, Condition, Layout
from codesign.space.parameters import Repeat, Value

__all__ = ["Group", "Plan", "Single", "plans_of"]

Rows = NDArray[np.intp] | slice


class Node(Protocol):
    """Columns that are drawn together: a parameter, or the number of layers of a group and its layers."""

    @property
    def start(self) -> int:
        """Place of the first column."""

    @property
    def width(self) -> int:
        """Number of columns."""

    @property
    def levels(self) -> int:
        """Number of codes of the first column."""

    def weight(self, codes: Sequence[int]) -> int:
        """How many ways there are with the first column at one of ``codes``."""

    def draw(self, count: int, rng: np.random.Generator, balanced: bool, codes: Sequence[int]) -> Codes:
        """Codes ``(count, width)``, drawn with the first column at one of ``codes``."""

    def rows(self, codes: Sequence[int]) -> Codes:
        """All codes with the first column at one of ``codes``, shape ``(weight, width)``."""


@dataclass(frozen=True, slots=True)
class Single:
    """A parameter on its own."""

    start: int
    levels: int
    width: int = 1

    def weight(self, codes: Sequence[int]) -> int:
        """How many values there are."""
        return len(codes)

    def draw(self, count: int, rng: np.random.Generator, balanced: bool, codes: Sequence[int]) -> Codes:
        """Any of the codes, each as likely as another."""
        drawn = rng.integers(len(codes), size=count)
        return np.array(codes, dtype=np.int16)[drawn][:, None]

    def rows(self, codes: Sequence[int]) -> Codes:
        """The codes themselves."""
        return np.array(codes, dtype=np.int16)[:, None]


@dataclass(frozen=True, slots=True)
class Plan:
    """A node, and for each set of its codes the independent parts that exist with them."""

    node: Node
    branches: tuple[tuple[tuple[int, ...], tuple["Plan", ...]], ...]

    def counts(self) -> list[int]:
        """Number of rows of each branch."""
        return [
            self.node.weight(codes) * prod(part.count() for part in parts) for codes, parts in self.branches
        ]

    def count(self) -> int:
        """Number of rows."""
        return sum(self.counts())

    def draw(self, out: Codes, rows: Rows, count: int, rng: np.random.Generator, balanced: bool) -> None:
        """Write into ``rows`` of ``out`` one draw each: uniform, or the values of switches evenly."""
        if len(self.branches) == 1:
            self._draw_branch(0, out, rows, count, rng, balanced)
            return
        counts = self.counts()
        share = [
            (len(codes) if balanced and n else 0 if balanced else n)
            for (codes, _), n in zip(self.branches, counts, strict=True)
        ]
        chance = np.array([each / sum(share) for each in share])
        chosen = rng.choice(len(self.branches), size=count, p=chance / chance.sum())
        places = np.arange(len(out))[rows]
        for branch in range(len(self.branches)):
            those = places[chosen == branch]
            if len(those):
                self._draw_branch(branch, out, those, len(those), rng, balanced)

    def _draw_branch(
        self, branch: int, out: Codes, rows: Rows, count: int, rng: np.random.Generator, balanced: bool
    ) -> None:
        codes, parts = self.branches[branch]
        node = self.node
        out[rows, node.start : node.start + node.width] = node.draw(count, rng, balanced, codes)
        for part in parts:
            part.draw(out, rows, count, rng, balanced)

    def rows(self, width: int) -> Codes:
        """All rows, shape ``(count(), width)``, with nothing outside this plan's columns."""
        listed = []
        for codes, parts in self.branches:
            own = self.node.rows(codes)
            rows = np.full((len(own), width), INACTIVE, dtype=np.int16)
            rows[:, self.node.start : self.node.start + self.node.width] = own
            listed.append(crossed([rows, *(part.rows(width) for part in parts)], width))
        return np.concatenate(listed)


def crossed(parts: Sequence[Codes], width: int) -> Codes:
    """Every combination of rows of parts that share no column, the last part fastest."""
    rows = np.full((1, width), INACTIVE, dtype=np.int16)
    for part in parts:
        rows = np.maximum(rows[:, None], part[None]).reshape(-1, width)
    return rows


@dataclass(frozen=True, slots=True)
class _Open:
    """A node with the conditions on it that are not decided yet."""

    node: Node
    conditions: tuple[Condition, ...]


def plans_of(columns: Sequence[Column]) -> tuple[Plan, ...]:
    """Independent plans that together are all rows of these columns."""
    nodes = []
    index = 0
    while index < len(columns):
        column = columns[index]
        behind = columns[index + 1].group if index + 1 < len(columns) else None
        node: Node
        if column.group is None and behind is not None and behind.name == column.name:
            node = Group(index, behind)
        else:
            node = Single(index, len(column.parameter.values))
        nodes.append(_Open(node, column.conditions))
        index += node.width
    return _compile(nodes)


def _compile(nodes: Sequence[_Open]) -> tuple[Plan, ...]:
    return tuple(_plan(part) for part in _connected(nodes))


def _connected(nodes: Sequence[_Open]) -> list[list[_Open]]:
    """The nodes in parts that no condition joins, each part in the order of the columns."""
    parts: list[list[_Open]] = []
    for item in nodes:
        parents = {condition.parent for condition in item.conditions}
        joined = [part for part in parts if any(other.node.start in parents for other in part)]
        parts = [part for part in parts if part not in joined]
        together = [*chain.from_iterable(joined), item]
        parts.append(sorted(together, key=lambda other: other.node.start))
    return sorted(parts, key=lambda part: part[0].node.start)


def _plan(part: Sequence[_Open]) -> Plan:
    """The first node decides; each of its codes lets some of the others exist."""
    node = part[0].node
    alike: dict[tuple[bool, ...], list[int]] = {}
    mine = [c for item in part[1:] for c in item.conditions if c.parent == node.start]
    for code in range(node.levels):
        alike.setdefault(tuple(code in condition.codes for condition in mine), []).append(code)
    return Plan(
        node,
        tuple((tuple(codes), _compile(_left(part, codes[0]))) for codes in alike.values()),
    )


def _left(part: Sequence[_Open], code: int) -> list[_Open]:
    """What may still exist of a part when its first node has this code."""
    decided, gone, left = part[0].node.start, set[int](), []
    for item in part[1:]:
        broken = any(c.parent == decided and code not in c.codes for c in item.conditions)
        if broken or any(condition.parent in gone for condition in item.conditions):
            gone.add(item.node.start)
        else:
            still = tuple(condition for condition in item.conditions if condition.parent != decided)
            left.append(replace(item, conditions=still))
    return left


class Group:
    """The layers of one ``Repeat`` under its limits.

    Layers fall into classes by what they contribute to the limits; a sequence of classes that keeps the
    limits stands for as many rows as the product of its classes' sizes.
    """

    def __init__(self, start: int, repeat: Repeat) -> None:
        self.start, self.repeat = start, repeat
        self.layout = Layout(repeat.parameters)
        self.columns = self.layout.columns
        self.per_layer = len(self.columns)
        sizes = [len(column.parameter.values) for column in self.columns]
        self.strides = np.array([prod(sizes[i + 1 :]) for i in range(len(sizes))], dtype=np.int64)
        rows = crossed([plan.rows(len(sizes)) for plan in plans_of(self.columns)], len(sizes))
        keys = self._key(rows)
        order = np.argsort(keys, kind="stable")
        self.layers, self.keys = rows[order], keys[order]
        self.contributions = np.array(
            [[limit.contribution(self._values(layer)) for limit in repeat.limits] for layer in self.layers],
            dtype=np.int64,
        ).reshape(len(self.layers), len(repeat.limits))
        self.bounds = np.array([limit.at_most for limit in repeat.limits], dtype=np.int64)
        classes, class_of = np.unique(self.contributions, axis=0, return_inverse=True)
        self.members = [np.flatnonzero(class_of.ravel() == index) for index in range(len(classes))]
        self.sequences = [
            sequence
            for length in range(repeat.minimum, repeat.maximum + 1)
            for sequence in product(range(len(classes)), repeat=length)
            if (classes[list(sequence)].sum(axis=0) <= self.bounds).all()
        ]
        self.lengths = np.array([len(sequence) for sequence in self.sequences], dtype=np.int64)
        self.multiplicity = [
            prod(len(self.members[index]) for index in sequence) for sequence in self.sequences
        ]
        self.width = 1 + repeat.maximum * self.per_layer
        self.levels = repeat.maximum - repeat.minimum + 1
        self.total = self.weight(range(self.levels))

    def _key(self, layers: Codes) -> NDArray[np.int64]:
        """A number for each layer, shape of ``layers`` without the last axis; ascending with the codes.

        What does not exist counts as the first value: what exists is told by the rest.
        """
        key: NDArray[np.int64] = (np.maximum(layers, 0) * self.strides).sum(axis=-1)
        return key

    def _index(self, layers: Codes) -> NDArray[np.int64]:
        """Places in ``self.layers``."""
        key = self._key(layers)
        if len(self.layers) == self.strides[0] * len(self.columns[0].parameter.values):
            return key
        return np.minimum(np.searchsorted(self.keys, key), len(self.keys) - 1)

    def _values(self, layer: Codes) -> dict[str, Value]:
        return {
            column.parameter.name: column.parameter.values[code]
            for column, code in zip(self.columns, layer.tolist(), strict=True)
            if code != INACTIVE
        }

    def _blocks(self, layers: NDArray[np.int64]) -> Codes:
        """Codes of the count and the layers of these indices, ``(n, length)`` to ``(n, width)``."""
        count, length = layers.shape
        blocks = np.full((count, self.width), INACTIVE, dtype=np.int16)
        blocks[:, 0] = length - self.repeat.minimum
        blocks[:, 1 : 1 + length * self.per_layer] = self.layers[layers].reshape(count, -1)
        return blocks

    def _chosen(self, codes: Sequence[int]) -> NDArray[np.intp]:
        """Sequences with one of these numbers of layers."""
        return np.flatnonzero(np.isin(self.lengths - self.repeat.minimum, list(codes)))

    def weight(self, codes: Sequence[int]) -> int:
        """How many ways there are to fill so many layers."""
        return sum(self.multiplicity[index] for index in self._chosen(codes))

    def rows(self, codes: Sequence[int]) -> Codes:
        """All of them."""
        blocks = [np.zeros((0, self.width), dtype=np.int16)]
        for index in self._chosen(codes):
            members = [self.members[each] for each in self.sequences[index]]
            grid = np.meshgrid(*members, indexing="ij") if members else []
            layers = np.stack([axis.ravel() for axis in grid], axis=1) if grid else np.zeros((1, 0), np.int64)
            blocks.append(self._blocks(layers))
        return np.concatenate(blocks)

    def draw(self, count: int, rng: np.random.Generator, balanced: bool, codes: Sequence[int]) -> Codes:
        """Uniform over blocks; balanced: over numbers of layers first."""
        weight = np.array(self.multiplicity, dtype=np.float64)
        if len(codes) < self.levels:
            weight[np.isin(self.lengths - self.repeat.minimum, list(codes), invert=True)] = 0
        if balanced:
            for length in np.unique(self.lengths[weight > 0]):
                weight[self.lengths == length] /= weight[self.lengths == length].sum()
        drawn = rng.choice(len(self.sequences), size=count, p=weight / weight.sum())
        block = np.full((count, self.width), INACTIVE, dtype=np.int16)
        uniform = rng.random((count, self.repeat.maximum))
        for index in np.unique(drawn):
            rows = np.flatnonzero(drawn == index)
            block[rows, 0] = self.lengths[index] - self.repeat.minimum
            for position, class_index in enumerate(self.sequences[index]):
                members = self.members[class_index]
                pick = members[(uniform[rows, position] * len(members)).astype(np.int64)]
                start = 1 + position * self.per_layer
                block[rows, start : start + self.per_layer] = self.layers[pick]
        return block

    def keeps_limits(self, block: Codes) -> NDArray[np.bool_]:
        """Which blocks, in which only layers exist that should, keep the limits, shape ``(n,)``."""
        if not len(self.bounds):
            return np.ones(len(block), dtype=np.bool_)
        layers = block[:, 1:].reshape(len(block), self.repeat.maximum, self.per_layer)
        here = layers[:, :, 0] != INACTIVE
        total = (self.contributions[self._index(layers)] * here[:, :, None]).sum(axis=1)
        keeps: NDArray[np.bool_] = (total <= self.bounds).all(axis=1)
        return keeps

    def contributed(self, layers: Codes) -> list[int]:
        """What these layers, ``(n, per_layer)``, contribute to each limit."""
        return [int(total) for total in self.contributions[self._index(layers)].sum(axis=0)]

    def default(self) -> Codes:
        """The default number of default layers; the first of all blocks if limits forbid that."""
        size = int(self.repeat.count.default)
        block = self._blocks(np.full((1, size), self._default_layer))
        if not self.keeps_limits(block)[0]:
            first = [self.members[index][0] for index in self.sequences[0]]
            block = self._blocks(np.array([first], dtype=np.int64))
        return block.ravel()

    @cached_property
    def _default_layer(self) -> int:
        nothing = np.full((1, self.per_layer), INACTIVE, dtype=np.int16)
        return int(self._index(self.layout.settle(nothing))[0])

    def resized(self, block: Codes) -> Codes:
        """Blocks with one layer deleted or a default one or a copy inserted."""
        size = int(block[0]) + self.repeat.minimum
        codes = block[1 : 1 + size * self.per_layer].reshape(size, self.per_layer)
        layers = self._index(codes).tolist()
        options: list[list[int]] = []
        if size > self.repeat.minimum:
            options += [layers[:at] + layers[at + 1 :] for at in range(size)]
        if size < self.repeat.maximum:
            options += [
                [*layers[:at], new, *layers[at:]]
                for at in range(size + 1)
                for new in {self._default_layer, *layers[max(at - 1, 0) : at + 1]}
            ]
        lengths = (size - 1, size + 1)
        sized = [np.array([o for o in options if len(o) == n], dtype=np.int64) for n in lengths]
        blocks = [self._blocks(each) for each in sized if len(each)]
        return np.concatenate([np.zeros((0, self.width), dtype=np.int16), *blocks])
