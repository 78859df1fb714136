"""Columns of a row of codes, and which of them exist where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.errors import SpaceError
from codesign.space.parameters import Item, Parameter, Repeat

__all__ = ["INACTIVE", "Codes", "Column", "Condition", "Layout"]

Codes = NDArray[np.int16]
INACTIVE = -1


@dataclass(frozen=True, slots=True)
class Condition:
    """A column exists only where an earlier one, ``parent``, has one of some ``codes``."""

    parent: int
    codes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """One parameter of a space; of a group, one for the number of layers and one for each layer's.

    Parameters
    ----------
    name, parameter
        Name in a candidate, and the values.
    group
        The group in one of whose layers the parameter stands; None elsewhere, and for the number of layers.
    number
        Number of that layer, from 1; 0 where there is none.
    conditions
        All must hold for the parameter to exist.
    """

    name: str
    parameter: Parameter
    group: Repeat | None
    number: int
    conditions: tuple[Condition, ...] = ()


def _columns_of(items: Sequence[Item]) -> tuple[Column, ...]:
    """The columns of some items, parents before what depends on them."""
    columns: list[Column] = []
    _lay(items, columns, {}, (), None, 0)
    return tuple(columns)


def _lay(
    items: Sequence[Item],
    columns: list[Column],
    around: Mapping[str, int],
    conditions: tuple[Condition, ...],
    group: Repeat | None,
    number: int,
) -> None:
    """Append the columns of ``items``; ``around`` holds the places of the parents they may name."""
    known = dict(around)
    for item in items:
        if isinstance(item, Parameter):
            known[item.name] = len(columns)
            name = group.instance(item, number) if group else item.name
            columns.append(Column(name, item, group, number, conditions))
        elif isinstance(item, Repeat):
            count, place = item.count, len(columns)
            known[item.name] = place
            columns.append(Column(item.name, count, None, 0, conditions))
            for layer in range(1, item.maximum + 1):
                deep_enough = tuple(range(max(layer - item.minimum, 0), len(count.values)))
                inside = (*conditions, Condition(place, deep_enough))
                _lay(item.parameters, columns, {}, inside, item, layer)
        else:
            if item.parent not in known:
                raise SpaceError(
                    f"a part of the space exists when {item.parent!r} has a value, but that is no parameter "
                    f"before it; there are {', '.join(known) or 'none'}"
                )
            place = known[item.parent]
            parent = columns[place].parameter
            codes = tuple(sorted({parent.code(value) for value in item.values}))
            _lay(item.items, columns, known, (*conditions, Condition(place, codes)), group, number)


class Layout:
    """The columns of some items, parents before what depends on them, and which exist in a row."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.columns = _columns_of(items)
        self.levels = np.array([len(column.parameter.values) for column in self.columns], dtype=np.int16)
        self.defaults = [column.parameter.code(column.parameter.default) for column in self.columns]
        pairs = [(i, condition) for i, column in enumerate(self.columns) for condition in column.conditions]
        self._of = [
            [at for at, (owner, _) in enumerate(pairs) if owner == i] for i in range(len(self.columns))
        ]
        owners = np.array([owner for owner, _ in pairs], dtype=np.int64)
        self._owned, self._first = np.unique(owners, return_index=True)
        self._parents = np.array([condition.parent for _, condition in pairs], dtype=np.int64)
        # One row a condition: by the parent's code whether it holds; the last column is for no parent.
        self._holds = np.zeros((len(pairs), int(self.levels.max(initial=0)) + 1), dtype=np.bool_)
        for row, (_, condition) in zip(self._holds, pairs, strict=True):
            row[list(condition.codes)] = True

    def existing(self, codes: Codes) -> NDArray[np.bool_]:
        """Which parameters ought to exist beside the parents in ``codes``, shape ``(n, d)``."""
        here = np.ones(codes.shape, dtype=np.bool_)
        if len(self._owned):
            holds = self._holds[np.arange(len(self._parents)), codes[:, self._parents]]
            here[:, self._owned] = np.logical_and.reduceat(holds, self._first, axis=1)
        return here

    def settle(self, codes: Codes) -> Codes:
        """A copy in which what cannot exist does not, and what must and did not has its default."""
        settled = codes.copy()
        for index, default in enumerate(self.defaults):
            here = np.ones(len(codes), dtype=np.bool_)
            for at in self._of[index]:
                here &= self._holds[at][settled[:, self._parents[at]]]
            settled[here & (settled[:, index] == INACTIVE), index] = default
            settled[~here, index] = INACTIVE
        return settled
