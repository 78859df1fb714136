"""What every format says: parameters, and for each the values of others with which it exists.

A space says it by ``When`` around a parameter. Here the two forms are made of each other.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isclose
from typing import Any, Literal

import numpy as np

from codesign.errors import SpaceError
from codesign.space import Candidate, Item, Parameter, SearchSpace, Value, When
from codesign.space.parameters import key

__all__ = [
    "Condition",
    "Conditional",
    "candidate_of",
    "fewest_conditions",
    "flat",
    "needs",
    "nested",
    "spacing",
]

ROUNDING = 1e-9

Condition = tuple[str, tuple[Value, ...]]


@dataclass(frozen=True, slots=True)
class Conditional:
    """A parameter, and its conditions: each named parent exists and has one of some values."""

    parameter: Parameter
    conditions: tuple[Condition, ...] = ()

    @property
    def name(self) -> str:
        """Name of the parameter."""
        return self.parameter.name


def flat(space: SearchSpace) -> list[Conditional]:
    """The parameters of a space that can exist, numbers of layers included, with all their conditions."""
    columns = space.columns
    parts = []
    for column in columns:
        conditions = tuple(
            (
                columns[each.parent].name,
                tuple(columns[each.parent].parameter.values[code] for code in each.codes),
            )
            for each in column.conditions
        )
        parts.append(Conditional(replace(column.parameter, name=column.name), conditions))
    possible = _closures(parts)
    return [part for part in parts if all(possible[part.name].values())]


def needs(parts: Sequence[Conditional]) -> dict[str, dict[str, tuple[Value, ...]]]:
    """By parameter, the values that each other must have for it to exist, those of its parents included.

    Raises
    ------
    SpaceError
        For an unknown parent, parents in a circle, or a parameter that can never exist.
    """
    found = _closures(parts)
    for name, conditions in found.items():
        never = [parent for parent, values in conditions.items() if not values]
        if never:
            raise SpaceError(
                f"{name!r} can never exist: no value of {never[0]!r} keeps all its conditions; "
                "leave it out or mend them"
            )
    return found


def _closures(parts: Sequence[Conditional]) -> dict[str, dict[str, tuple[Value, ...]]]:
    found: dict[str, dict[str, tuple[Value, ...]]] = {}
    for part in _parents_first(parts):
        closure: dict[str, tuple[Value, ...]] = {}
        for parent, values in part.conditions:
            for name, allowed in (*found[parent].items(), (parent, values)):
                these = set(map(key, allowed))
                closure[name] = tuple(v for v in closure.get(name, allowed) if key(v) in these)
        found[part.name] = closure
    return found


def _parents_first(parts: Sequence[Conditional]) -> list[Conditional]:
    names = {part.name for part in parts}
    ordered: list[Conditional] = []
    placed: set[str] = set()
    waiting = list(parts)
    for part in parts:
        for parent, _ in part.conditions:
            if parent not in names:
                raise SpaceError(
                    f"{part.name!r} depends on {parent!r}, which is no parameter; name one that is"
                )
    while waiting:
        ready = next((p for p in waiting if all(parent in placed for parent, _ in p.conditions)), None)
        if ready is None:
            circle = ", ".join(part.name for part in waiting)
            raise SpaceError(f"these parameters depend on each other in a circle: {circle}; break it")
        waiting.remove(ready)
        ordered.append(ready)
        placed.add(ready.name)
    return ordered


@dataclass(slots=True, eq=False)
class _Block:
    """What stands in one list of items: at the top, or within one ``When``."""

    condition: Condition = ("", ())
    around: "_Block | None" = None
    items: "list[Parameter | _Block]" = field(default_factory=list)

    def path(self) -> list[Condition]:
        """Conditions from the top to here."""
        return [*self.around.path(), self.condition] if self.around else []

    def sees(self) -> set[str]:
        """Names that a ``When`` in this list may depend on."""
        own = {item.name for item in self.items if isinstance(item, Parameter)}
        return own | (self.around.sees() if self.around else set())

    def inside(self) -> "Iterator[_Block]":
        """The list and those within it."""
        yield self
        for item in self.items:
            if isinstance(item, _Block):
                yield from item.inside()

    def within(self, condition: Condition) -> "_Block":
        """The list of the ``When`` with this condition; a new one where there is none."""
        for item in self.items:
            if isinstance(item, _Block) and _same(item.condition, condition):
                return item
        made = _Block(condition, self)
        self.items.append(made)
        return made

    def uses(self) -> set[str]:
        """Names of the parents in the conditions of this list and of those within it."""
        return {block.condition[0] for block in self.inside()}

    def made(self) -> tuple[Item, ...]:
        """The items, each ``When`` behind all its parents; lists that nothing stands in are left out."""
        own = {item.name for item in self.items if isinstance(item, Parameter)}
        items: list[Item] = []
        waiting = list(self.items)
        while waiting:
            item = next(each for each in waiting if isinstance(each, Parameter) or not each.uses() & own)
            waiting.remove(item)
            if isinstance(item, Parameter):
                own.remove(item.name)
                items.append(item)
            elif inner := item.made():
                items.append(When(*item.condition, inner))
        return tuple(items)


def _same(one: Condition, other: Condition) -> bool:
    return one[0] == other[0] and set(map(key, one[1])) == set(map(key, other[1]))


def nested(parts: Sequence[Conditional]) -> tuple[Item, ...]:
    """Items of a space in which each parameter exists under its conditions.

    A ``When`` sees the parameters before it in its own list and in those around. A parameter stands where
    its conditions, in their order, lead; if they lead nowhere, in the deepest list that its conditions imply
    and that sees the rest of its parents.

    Raises
    ------
    SpaceError
        For parents that no list sees at once, and as ``needs``.
    """
    closures, top = needs(parts), _Block()
    for part in _parents_first(parts):
        block = _followed(top, part.conditions) or _implied(top, closures[part.name])
        if block is None:
            parents = ", ".join(dict.fromkeys(parent for parent, _ in part.conditions))
            raise SpaceError(
                f"{part.name!r} depends on {parents}, which exist in different parts of the space; a When "
                "sees only what is before it in its own list or around: let all but one always exist"
            )
        block.items.append(part.parameter)
    return top.made()


def _followed(top: _Block, conditions: Sequence[Condition]) -> _Block | None:
    block = top
    for condition in conditions:
        if condition[0] not in block.sees():
            return None
        block = block.within(condition)
    return block


def _implied(top: _Block, closure: Mapping[str, tuple[Value, ...]]) -> _Block | None:
    best: tuple[int, _Block, list[Condition]] | None = None
    for block in list(top.inside()):
        path = block.path()
        if not all(name in closure and _within(closure[name], values) for name, values in path):
            continue
        rest = [
            (name, values)
            for name, values in closure.items()
            if not any(name == parent and _within(bound, values) for parent, bound in path)
        ]
        if {name for name, _ in rest} <= block.sees() and (best is None or len(path) > best[0]):
            best = len(path), block, rest
    if best is None:
        return None
    _, block, rest = best
    for condition in rest:
        block = block.within(condition)
    return block


def _within(values: Sequence[Value], bound: Sequence[Value]) -> bool:
    return set(map(key, values)) <= set(map(key, bound))


def fewest_conditions(
    there: Sequence[Mapping[str, Value]], elsewhere: Sequence[Mapping[str, Value]], names: Sequence[str]
) -> tuple[Condition, ...] | None:
    """Conditions on some of ``names`` that all rows ``there`` keep and no row ``elsewhere``; None if none do.

    Conditions can only say a product of sets of values, so the tightest is the values seen ``there``; of
    these as few as tell the rows apart, one if one does.
    """
    if not elsewhere:
        return ()
    seen: dict[str, dict[Any, Value]] = {
        name: {key(row[name]): row[name] for row in there}
        for name in names
        if all(name in row for row in there)
    }
    outside = {
        name: frozenset(
            i for i, row in enumerate(elsewhere) if name not in row or key(row[name]) not in values
        )
        for name, values in seen.items()
    }
    everything = frozenset(range(len(elsewhere)))
    chosen = next(([name] for name in seen if outside[name] == everything), list(seen))
    if frozenset().union(*(outside[name] for name in chosen)) != everything:
        return None
    for name in chosen[:]:
        fewer = [other for other in chosen if other != name]
        if frozenset().union(*(outside[other] for other in fewer)) == everything:
            chosen = fewer
    return tuple((name, tuple(seen[name].values())) for name in chosen)


def spacing(parameter: Parameter) -> Literal["even", "log"] | None:
    """How the numbers of a parameter follow each other, if it has at least two; names and others: None."""
    values = parameter.values
    if len(values) < 2 or any(isinstance(v, bool | str) for v in values):
        return None
    numbers = np.array(values, dtype=np.float64)
    low, high = float(numbers[0]), float(numbers[-1])
    if np.allclose(numbers, np.linspace(low, high, len(values)), rtol=1e-5, atol=1e-12 * abs(high - low)):
        return "even"
    if low > 0 and np.allclose(numbers, np.geomspace(low, high, len(values)), rtol=1e-5, atol=0):
        return "log"
    return None


def nearest(parameter: Parameter, value: Any) -> Value:
    """Of a float within its range the next value of the grid, of other numbers the one equal up to rounding.

    Anything else comes back as it is.
    """
    given: Value = value
    own = [each for each in parameter.values if not isinstance(each, bool | str)]
    if not own or isinstance(value, bool) or not isinstance(value, int | float):
        return given
    grid = np.array(own, dtype=np.float64)
    geometric = parameter.kind == "float" and value > 0 and spacing(parameter) == "log"
    near = own[int(np.abs(np.log(grid / value) if geometric else grid - value).argmin())]
    inside = parameter.kind == "float" and own[0] <= value <= own[-1]
    return near if inside or isclose(near, value, rel_tol=ROUNDING, abs_tol=0) else given


def candidate_of(space: SearchSpace, values: Mapping[str, Any]) -> Candidate:
    """The candidate meant by values of which some may not exist: a row of a flat optimiser or table.

    Parameters
    ----------
    space
        The space.
    values
        Values by the names of the parameters. Those of parameters that do not exist beside the others are
        dropped; a number goes to the value that it is up to rounding, a float to the next of its grid; what
        is left out has its default.

    Raises
    ------
    SpaceError
        For an unknown name, a value outside its parameter, a limit or a constraint that is broken.

    Examples
    --------
    >>> from codesign.space import When, categorical, ordinal
    >>> pooled = When("pooling", ("max",), (ordinal("size", (2, 3)),))
    >>> space = SearchSpace("pools", (categorical("pooling", ("none", "max")), pooled))
    >>> print(candidate_of(space, {"pooling": "none", "size": 3}))
    pooling=none
    """
    spare = {name: value for name, value in values.items() if name not in space.names}
    codes: list[int] = []
    kept: dict[str, Any] = dict(spare)
    for column in space.columns:
        codes.append(-1)
        if all(codes[each.parent] in each.codes for each in column.conditions):
            value = nearest(column.parameter, values.get(column.name, column.parameter.default))
            codes[-1] = column.parameter.code(value, column.name)
            kept[column.name] = value
    return space.candidate(kept)
