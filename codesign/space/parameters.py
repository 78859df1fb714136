"""What a space is written with: parameters, groups that repeat, conditional parts, limits and constraints."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from codesign.errors import SpaceError

if TYPE_CHECKING:
    from codesign.space.candidate import Candidate

__all__ = [
    "Constraint",
    "Item",
    "Limit",
    "Parameter",
    "Repeat",
    "Value",
    "When",
    "categorical",
    "integer",
    "key",
    "listed",
    "ordinal",
    "own_names",
    "real",
    "restrict",
]

MOST_VALUES = 2**15 - 1
"""Of one parameter: codes are 16-bit integers."""

Value = int | float | bool | str


@dataclass(frozen=True, slots=True)
class Parameter:
    """A name and the values it takes; made by ``integer``, ``ordinal``, ``categorical`` or ``real``."""

    name: str
    kind: Literal["integer", "ordinal", "categorical", "float"]
    values: tuple[Value, ...]
    default: Value

    def __post_init__(self) -> None:
        """Reject no values, too many, repeated ones, and a default that is none of them."""
        if not self.values:
            raise SpaceError(f"parameter {self.name!r} has no values; give at least one")
        _require_few(self.name, len(self.values))
        if len(set(map(key, self.values))) != len(self.values):
            raise SpaceError(f"parameter {self.name!r} repeats a value: {list(self.values)}")
        if key(self.default) not in map(key, self.values):
            raise SpaceError(
                f"parameter {self.name!r}: default {self.default!r} is none of {list(self.values)}"
            )

    def code(self, value: Any, name: str | None = None) -> int:
        """Index of a value; raise ``SpaceError`` naming the parameter (as ``name``) and what it takes."""
        for index, own in enumerate(self.values):
            if key(own) == key(value):
                return index
        raise SpaceError(f"{name or self.name!s} takes {listed(self.values)}, got {value!r}")


def _require_few(name: str, count: int) -> None:
    """Reject more values than a code has room for."""
    if count > MOST_VALUES:
        raise SpaceError(
            f"parameter {name!r} has {count:,} values, and a parameter takes at most {MOST_VALUES:,}; give a "
            "larger step, or those that differ enough to matter as ordinal(name, values)"
        )


def integer(name: str, low: int, high: int, *, step: int = 1, default: int | None = None) -> Parameter:
    """Every ``step``-th integer from ``low`` to ``high``, both included."""
    if step < 1:
        raise SpaceError(f"parameter {name!r} needs a step of 1 or more, got {step}")
    every = range(low, high + 1, step)
    _require_few(name, len(every))
    values = tuple(every)
    return Parameter(
        name, "integer", values, default if default is not None else values[0] if values else low
    )


def ordinal(name: str, values: Sequence[int | float], *, default: Value | None = None) -> Parameter:
    """Numbers with an order but no even steps, ascending."""
    if list(values) != sorted(values):
        raise SpaceError(f"parameter {name!r}: ordinal values must ascend, got {list(values)}")
    return _listed_parameter(name, "ordinal", values, default)


def categorical(name: str, values: Sequence[Value], *, default: Value | None = None) -> Parameter:
    """Values without an order."""
    return _listed_parameter(name, "categorical", values, default)


def _listed_parameter(
    name: str, kind: Literal["ordinal", "categorical"], values: Sequence[Value], default: Value | None
) -> Parameter:
    if default is None:
        default = next(iter(values), 0)
    return Parameter(name, kind, tuple(values), default)


def real(name: str, low: float, high: float, *, levels: int = 33, log: bool = False) -> Parameter:
    """A float on a grid of ``levels`` points from ``low`` to ``high``, even or even in the logarithm.

    On a grid a design has one spelling, so that it is never trained twice for a difference in the last digit.
    """
    if not (low < high and levels >= 2 and (low > 0 or not log)):
        raise SpaceError(
            f"parameter {name!r} needs low < high (above 0 if log) and 2 levels, got {low} to {high}"
        )
    grid = np.geomspace(low, high, levels) if log else np.linspace(low, high, levels)
    values = tuple(float(f"{value:.6g}") for value in grid)
    return Parameter(name, "float", values, values[levels // 2])


@dataclass(frozen=True, slots=True)
class When:
    """Items that exist only where a parameter before them has one of some values.

    ``When("pooling", ("max", "mean"), (ordinal("pool_size", (2, 3)),))`` after the parameter ``pooling``.
    The items may hold further ``When``, so that conditions nest; several may stand side by side. The parent
    is a parameter or the number of layers of a ``Repeat`` that stands before it, in the same list of items
    or in one around it. Where several parents must agree, nest: ``When("a", (1,), (When("b", ...),))``.

    Parameters
    ----------
    parent
        Name of the deciding parameter; in the layer of a ``Repeat`` without the layer's number.
    values
        Values of the parent for which the items exist.
    items
        What exists then: ``Parameter``, ``Repeat`` and ``When``.
    """

    parent: str
    values: tuple[Value, ...]
    items: tuple["Item", ...]

    def __post_init__(self) -> None:
        """Reject a condition without values or items, and a text for a list of values."""
        if not self.values or not isinstance(self.values, tuple):
            raise SpaceError(
                f"When({self.parent!r}, ...) needs a tuple of the parent's values, got {self.values!r}"
            )
        if not self.items:
            raise SpaceError(f"When({self.parent!r}, {self.values!r}, ...) holds no items; give at least one")


@dataclass(frozen=True, slots=True)
class Limit:
    """A bound on the sum, over the layers of a group, of a whole number each layer contributes.

    Parameters
    ----------
    reason
        What would be wrong beyond the bound; shown to whoever asks for such a candidate.
    contribution
        Maps the values of one layer (names without their number, only those that exist) to a non-negative
        integer.
    at_most
        The bound.
    """

    reason: str
    contribution: Callable[[Mapping[str, Value]], int] = field(compare=False, repr=False)
    at_most: int


@dataclass(frozen=True, slots=True)
class Constraint:
    """A condition that candidates of a space must keep, beyond which parameters exist.

    Parameters
    ----------
    reason
        What is wrong with a candidate that breaks it; shown to whoever asks for such a candidate.
    predicate
        Maps a candidate to whether it is allowed. A parameter that does not exist is not in the candidate:
        read it with ``candidate.get(name, default)``. What only the network tells is asked of the network:
        ``lambda candidate: fits(build(candidate))``.
    names
        The parameters that the predicate reads; it is then given these alone and called once for each
        combination of them, not once for each candidate. None: all.
    """

    reason: str
    predicate: Callable[["Candidate"], bool] = field(compare=False, repr=False)
    names: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Repeat:
    """A group of parameters that exists ``minimum`` to ``maximum`` times, numbered from 1.

    ``Repeat("convolutions", (ordinal("filters", ...), ...), 0, 3)`` makes ``convolutions`` (the count) and
    ``filters_1``, ``filters_2``, ``filters_3``, of which only the first ``convolutions`` exist.
    A ``{i}`` in a name stands for the number: ``conv_{i}_bits``; without one ``_{i}`` is appended.
    A last layer whose first parameter is spelt ``absent`` (the study writes ``filters_3 = 0``) is not there.
    A layer may hold ``When`` whose parent is a parameter of the layer; it holds no further ``Repeat``.
    """

    name: str
    parameters: tuple["Parameter | When", ...]
    minimum: int
    maximum: int
    limits: tuple[Limit, ...] = ()
    default: int | None = None
    absent: Value | None = None

    def __post_init__(self) -> None:
        """Reject an impossible count and a layer without parameters."""
        if not 0 <= self.minimum <= self.maximum:
            raise SpaceError(
                f"{self.name!r} repeats {self.minimum} to {self.maximum} times; give 0 <= min <= max"
            )
        if not self.parameters:
            raise SpaceError(f"{self.name!r} repeats no parameters; give at least one, or an integer instead")
        if not isinstance(self.parameters[0], Parameter):
            raise SpaceError(f"{self.name!r} must repeat a parameter first, that a When can stand behind")
        inner = [item.name for item in _within(self.parameters) if isinstance(item, Repeat)]
        if inner:
            raise SpaceError(
                f"{self.name!r} repeats the group {inner[0]!r}; a group cannot hold another group"
            )

    @property
    def count(self) -> Parameter:
        """The number of layers, as a parameter."""
        return integer(self.name, self.minimum, self.maximum, default=self.default)

    def instance(self, parameter: Parameter, number: int) -> str:
        """Name of a parameter in the layer of this number, counted from 1."""
        return parameter.name.format(i=number) if "{i}" in parameter.name else f"{parameter.name}_{number}"


Item = Parameter | Repeat | When


def key(value: Any) -> tuple[bool, Any]:
    """What equal values have in common: True is not 1, but 8.0 is 8, and so is a scalar of numpy."""
    if isinstance(value, np.generic):
        value = value.item()
    return (isinstance(value, bool), value if isinstance(value, str | bool | int | float) else repr(value))


def listed(values: Sequence[Value]) -> str:
    """Values for a message."""
    if len(values) > 12:
        return f"{values[0]} to {values[-1]} in {len(values)} steps"
    return ", ".join(map(str, values))


def _within(items: Sequence[Item]) -> Iterator[Item]:
    """The items and those inside each ``When``, in order."""
    for item in items:
        yield item
        if isinstance(item, When):
            yield from _within(item.items)


def own_names(items: Sequence[Item]) -> list[str]:
    """Names that can be restricted: of a group its own and its parameters'."""
    names = []
    for item in _within(items):
        if not isinstance(item, When):
            names.append(item.name)
        if isinstance(item, Repeat):
            names += own_names(item.parameters)
    return names


def restrict(
    items: Sequence[Item],
    choices: Mapping[str, Sequence[Value]],
    around: Mapping[str, Sequence[Value]] | None = None,
) -> tuple[Item, ...]:
    """The items with fewer values; what can no longer exist is left out.

    ``around`` holds the values left to the parameters of the lists around.
    """
    left = dict(around or {})
    kept: list[Item] = []
    for item in items:
        if isinstance(item, Parameter):
            item = _restricted_parameter(item, choices)
            left[item.name] = item.values
        elif isinstance(item, Repeat):
            item = _restricted_group(item, choices)
            left[item.name] = item.count.values
        else:
            inner = restrict(item.items, choices, left)
            those = set(map(key, left[item.parent]))
            values = tuple(value for value in item.values if key(value) in those)
            if not (values and inner):
                continue
            item = replace(item, values=values, items=inner)
        kept.append(item)
    return tuple(kept)


def _restricted_parameter(item: Parameter, choices: Mapping[str, Sequence[Value]]) -> Parameter:
    if item.name not in choices:
        return item
    codes = sorted({item.code(value) for value in choices[item.name]})
    values = tuple(item.values[code] for code in codes)
    if not values:
        raise SpaceError(f"parameter {item.name!r} is left without values; give at least one")
    return replace(item, values=values, default=item.default if item.default in values else values[0])


def _restricted_group(item: Repeat, choices: Mapping[str, Sequence[Value]]) -> Repeat:
    parameters = cast(tuple[Parameter | When, ...], restrict(item.parameters, choices))
    counts = integer(item.name, item.minimum, item.maximum)
    sizes = [int(counts.values[counts.code(size)]) for size in choices.get(item.name, counts.values)]
    if not sizes:
        raise SpaceError(f"group {item.name!r} is left without a number of layers; give at least one")
    default = item.default if item.default is not None and min(sizes) <= item.default <= max(sizes) else None
    return replace(item, parameters=parameters, minimum=min(sizes), maximum=max(sizes), default=default)
