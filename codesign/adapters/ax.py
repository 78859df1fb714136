"""Ax: the parameter dictionaries of ``AxClient.create_experiment``, as plain data; Ax is not needed."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from codesign.adapters.nesting import Condition, Conditional, flat, needs, nested
from codesign.errors import SpaceError
from codesign.space import (
    Candidate,
    Constraint,
    Parameter,
    SearchSpace,
    Value,
    categorical,
    integer,
    ordinal,
    real,
)
from codesign.space.parameters import key, listed

__all__ = ["LinearConstraint", "from_ax", "to_ax"]

KEYS = {
    "range": {"bounds", "log_scale", "digits"},
    "choice": {"values", "is_ordered", "sort_values", "dependents"},
    "fixed": {"value", "dependents"},
}
COMMON = {"name", "type", "value_type", "is_fidelity", "is_task", "target_value"}
TYPES = {"int": int, "float": float, "bool": bool, "str": str}
MOST_VALUES = 32_767
TOLERANCE = 1e-8
TOLD = 4

NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
RELATION = re.compile("(<=|>=|==)")
TERM = re.compile(rf"\s*([+-]?)\s*(?:({NUMBER})\s*\*\s*)?(?:({NUMBER})(?![\w.])|([A-Za-z_][\w.]*))\s*")


@dataclass(frozen=True, slots=True)
class LinearConstraint:
    """A weighted sum of parameters against a bound, as Ax writes it; asked of a candidate.

    Where one of the parameters does not exist it holds. ``TOLERANCE`` is Ax's own.

    Examples
    --------
    >>> LinearConstraint.parsed("2*a + b <= 5")(Candidate({"a": 2, "b": 1}))
    True
    """

    text: str
    weights: tuple[tuple[str, float], ...]
    relation: str
    bound: float

    @classmethod
    def parsed(cls, text: str) -> "LinearConstraint":
        """Read ``x1 <= x2``, ``x1 + x2 <= 2.0``, ``2*x1 - x2 >= 1`` and the like, and ``==``."""
        left, relation, right = RELATION.split(text) if len(RELATION.findall(text)) == 1 else ("", "", "")
        weights: dict[str, float] = {}
        bound = 0.0
        for side, sign in ((left, 1.0), (right, -1.0)):
            for name, weight in _terms(side, text):
                if name:
                    weights[name] = weights.get(name, 0.0) + sign * weight
                else:
                    bound -= sign * weight
        return cls(text, tuple(weights.items()), relation, bound)

    def __call__(self, candidate: Candidate) -> bool:
        """Whether a candidate keeps it."""
        if any(name not in candidate for name, _ in self.weights):
            return True
        over = sum(weight * float(candidate[name]) for name, weight in self.weights) - self.bound
        return (self.relation == ">=" or over <= TOLERANCE) and (self.relation == "<=" or over >= -TOLERANCE)


def _terms(side: str, text: str) -> list[tuple[str, float]]:
    """Names (empty for a number) and weights of one side."""
    found: list[tuple[str, float]] = []
    place = 0
    while place < len(side) or not found:
        term = TERM.match(side, place)
        if term is None or (found and not term[1]):
            raise SpaceError(
                f"cannot read the constraint {text!r}; write 'x1 <= x2', 'x1 + x2 <= 2.0' or '2*x1 - x2 >= 1'"
            )
        sign = -1.0 if term[1] == "-" else 1.0
        number = float(term[3]) if term[3] else 1.0
        found.append((term[4] or "", sign * number * float(term[2] or 1.0)))
        place = term.end()
    return found


def from_ax(
    parameters: Sequence[Mapping[str, Any]],
    parameter_constraints: Sequence[str] = (),
    *,
    name: str = "ax",
    levels: int = 33,
    layers: Sequence[Sequence[str]] = (),
    absent: Value = 0,
) -> SearchSpace:
    """The space of a list of Ax parameters.

    Parameters
    ----------
    parameters
        Dictionaries with ``name``, ``type`` (``range``, ``choice`` or ``fixed``) and what belongs to it. A
        range of floats becomes a grid, rounded to ``digits`` where they are given; one of whole numbers keeps
        them all. A choice of numbers is ordered unless ``is_ordered`` is False, as in Ax. ``dependents``
        become ``When``; their keys may be the texts that JSON makes of values.
    parameter_constraints
        ``"x1 <= x2"``, ``"x1 + x2 <= 2.0"`` and the like. Where one of their parameters does not exist they
        hold.
    name
        Name of the space.
    levels
        Values of a range of floats.
    layers
        For a list that spells a network without conditions: the names that belong to one layer, with ``{i}``
        for its number, the deciding one first. Where that is ``absent``, neither the rest of the layer nor
        any later layer exists, so that a network has one spelling.
    absent
        The value that says so.

    Raises
    ------
    SpaceError
        For what cannot be said or is no Ax parameter: a derived parameter, a fidelity, an unknown key, a
        parameter that depends on two others, a constraint that cannot be read.

    Examples
    --------
    >>> choice = {"type": "choice", "is_ordered": True}
    >>> parameters = []
    >>> for i in (1, 2):
    ...     parameters.append({"name": f"filters_{i}", "values": [0, 8, 16], **choice})
    ...     parameters.append({"name": f"kernel_{i}", "values": [1, 3, 5], **choice})
    >>> from_ax(parameters).count()
    81
    >>> from_ax(parameters, layers=[("filters_{i}", "kernel_{i}")]).count()  # 1 + 6 * (1 + 6)
    43
    """
    if not parameters:
        raise SpaceError("the list of Ax parameters is empty; give at least one")
    made = [_parameter(each, levels) for each in parameters]
    by_name = {parameter.name: parameter for parameter in made}
    conditions: dict[str, list[Condition]] = {parameter.name: [] for parameter in made}
    for each in parameters:
        for child, values in _children(each, by_name).items():
            if child not in conditions:
                raise SpaceError(
                    f"{each['name']!r} has the dependent {child!r}, which is no parameter; add it"
                )
            if conditions[child]:
                raise SpaceError(
                    f"{child!r} depends on {conditions[child][0][0]!r} or on {each['name']!r}; "
                    "a parameter may depend on one: give it two names"
                )
            conditions[child].append((str(each["name"]), values))
    for layer in layers:
        _chain(layer, absent, by_name, conditions)
    items = nested([Conditional(parameter, tuple(conditions[parameter.name])) for parameter in made])
    return SearchSpace(name, items, tuple(_constraint(text, by_name) for text in parameter_constraints))


def _constraint(text: str, by_name: Mapping[str, Parameter]) -> Constraint:
    linear = LinearConstraint.parsed(text)
    names = tuple(name for name, _ in linear.weights)
    for name in names:
        if name not in by_name:
            raise SpaceError(f"the constraint {text!r} names {name!r}, which is no parameter")
        if any(isinstance(value, str) for value in by_name[name].values):
            raise SpaceError(f"the constraint {text!r} adds {name!r}, whose values are no numbers")
    return Constraint(text, linear, names)


def _parameter(given: Mapping[str, Any], levels: int) -> Parameter:
    name, kind = str(given.get("name", "")), str(given.get("type", ""))
    if not name or kind not in KEYS:
        raise SpaceError(
            f"an Ax parameter has a name and the type range, choice or fixed, got {dict(given)}"
            + ("; leave a derived one out and compute it from the candidate" if kind == "derived" else "")
        )
    unknown = sorted(set(given) - KEYS[kind] - COMMON)
    if unknown:
        raise SpaceError(
            f"{name!r} is a {kind} with {', '.join(unknown)}; it has {', '.join(sorted(KEYS[kind]))}"
        )
    if given.get("is_fidelity") or given.get("is_task"):
        raise SpaceError(f"{name!r} is a fidelity or a task, no part of a design; leave it out")
    if kind == "range":
        return _range(name, given, levels)
    values = [given["value"]] if kind == "fixed" and "value" in given else list(given.get("values", ()))
    for value in values:
        if not isinstance(value, bool | int | float | str):
            raise SpaceError(f"{name!r} has the value {value!r}; give numbers, texts or booleans")
    cast = TYPES.get(str(given.get("value_type")))
    if cast in (int, float):
        values = [cast(value) for value in values]
    numbers = not any(isinstance(value, bool | str) for value in values)
    if numbers and given.get("is_ordered") is not False:
        return ordinal(name, sorted(values))
    return categorical(name, values)


def _range(name: str, given: Mapping[str, Any], levels: int) -> Parameter:
    bounds = given.get("bounds")
    numbers = isinstance(bounds, Sequence) and [isinstance(b, int | float) for b in bounds] == [True, True]
    if not numbers:
        raise SpaceError(f"{name!r} is a range with the bounds {bounds!r}; give two numbers")
    assert bounds is not None
    low, high = bounds
    if given.get("value_type", "int" if isinstance(low, int) else "float") == "int":
        if high - low >= MOST_VALUES:
            raise SpaceError(
                f"{name!r} takes more than {MOST_VALUES} whole numbers; give a choice of fewer values"
            )
        return integer(name, int(low), int(high))
    grid = real(name, float(low), float(high), levels=levels, log=bool(given.get("log_scale", False)))
    if given.get("digits") is None:
        return grid
    rounded = dict.fromkeys(round(float(value), int(given["digits"])) for value in grid.values)
    return ordinal(name, [value for value in rounded if low <= value <= high])


def _children(given: Mapping[str, Any], by_name: Mapping[str, Parameter]) -> dict[str, tuple[Value, ...]]:
    """By child, the values of this parameter for which it exists."""
    parameter = by_name[str(given["name"])]
    found: dict[str, tuple[Value, ...]] = {}
    for spelt, names in (given.get("dependents") or {}).items():
        values = [value for value in parameter.values if key(value) == key(spelt)] or [
            value
            for value in parameter.values
            if isinstance(spelt, str) and str(value).lower() == spelt.lower()
        ]
        if not values:
            raise SpaceError(
                f"{parameter.name!r} has dependents for {spelt!r}, but takes {listed(parameter.values)}"
            )
        for child in names:
            found[str(child)] = (*found.get(str(child), ()), values[0])
    return found


def _chain(
    layer: Sequence[str],
    absent: Value,
    by_name: Mapping[str, Parameter],
    conditions: Mapping[str, list[Condition]],
) -> None:
    """Let the parameters of a layer, and the layers behind it, exist where its first is not ``absent``."""
    if not layer or not all("{i}" in name for name in layer):
        raise SpaceError(f"a layer is a list of names with {{i}} for its number, got {list(layer)}")
    pattern = re.compile(re.escape(layer[0]).replace(re.escape("{i}"), r"(\d+)"))
    numbers = sorted(int(match[1]) for name in by_name if (match := pattern.fullmatch(name)))
    if not numbers:
        raise SpaceError(f"no parameter is named {layer[0]!r}; the names are {', '.join(by_name)}")
    behind: list[Condition] = []
    for number in numbers:
        first, *others = (name.format(i=number) for name in layer)
        conditions[first].extend(behind)
        there = tuple(value for value in by_name[first].values if key(value) != key(absent))
        if len(there) < len(by_name[first].values):
            behind.append((first, there))
        for name in others:
            if name not in conditions:
                raise SpaceError(f"layer {number} has no parameter {name!r}; name what every layer has")
            conditions[name].extend(behind)


def to_ax(space: SearchSpace, *, relaxed: bool = False) -> tuple[list[dict[str, Any]], list[str]]:
    """Parameters and constraints for ``AxClient.create_experiment``.

    Whole numbers in steps of one are a range; all other numbers, floats too, a choice in their order, so
    that what Ax draws is in the space. ``When`` becomes ``dependents``. In Ax a parameter can depend on one
    value of one other parameter.

    Parameters
    ----------
    space
        The space.
    relaxed
        What Ax cannot say: False refuses it. True leaves it out: parameters under other conditions always
        exist, and limits, constraints that did not come from Ax, and the list of designs are dropped. Then
        what Ax draws is read by ``candidate_of(space, values)``, which drops what does not exist and refuses
        what is not allowed.

    Returns
    -------
    parameters, parameter_constraints
        Plain data.

    Raises
    ------
    SpaceError
        For what Ax cannot say.

    Examples
    --------
    >>> from codesign.space import When
    >>> pooled = When("pooling", (True,), (ordinal("size", (2, 3)),))
    >>> parameters, _ = to_ax(SearchSpace("pools", (categorical("pooling", (False, True)), pooled)))
    >>> parameters[0]["dependents"]
    {True: ['size']}
    """
    parts = flat(space)
    closures, unsaid = _without_trivial(parts), []
    parent_of: dict[str, Condition] = {}
    for part in parts:
        parent = _only_parent(part, closures)
        if parent:
            parent_of[part.name] = parent
        elif closures[part.name]:
            spelt = " and ".join(
                f"{name} is {listed(values)}" for name, values in closures[part.name].items()
            )
            unsaid.append(f"{part.name} exists where {spelt}")
    unsaid += [limit.reason for column in space.columns if column.group for limit in column.group.limits]
    unsaid += [each.reason for each in space.constraints if not isinstance(each.predicate, LinearConstraint)]
    unsaid += ["the space lists its designs"] if space.only is not None else []
    if unsaid and not relaxed:
        told = list(dict.fromkeys(unsaid))
        more = f"; and {len(told) - TOLD} more" if len(told) > TOLD else ""
        raise SpaceError(
            f"Ax cannot say of space {space.name!r}: {'; '.join(told[:TOLD])}{more}; "
            "relaxed=True leaves it out"
        )
    dependents: dict[str, dict[Value, list[str]]] = {}
    for child, (name, (value,)) in parent_of.items():
        dependents.setdefault(name, {}).setdefault(value, []).append(child)
    written = [_written(part.parameter, dependents.get(part.name)) for part in parts]
    linear = [each.predicate for each in space.constraints if isinstance(each.predicate, LinearConstraint)]
    return written, [each.text for each in linear]


def _without_trivial(parts: Sequence[Conditional]) -> dict[str, dict[str, tuple[Value, ...]]]:
    """As ``needs``, without conditions that every value of a parent keeps."""
    levels = {part.name: len(part.parameter.values) for part in parts}
    return {
        child: {name: values for name, values in closure.items() if len(values) < levels[name]}
        for child, closure in needs(parts).items()
    }


def _only_parent(
    part: Conditional, closures: Mapping[str, Mapping[str, tuple[Value, ...]]]
) -> Condition | None:
    """The one parent on whose one value a parameter depends, beside what that parent depends on itself."""
    mine = closures[part.name]
    for name, values in mine.items():
        others = {other: set(map(key, each)) for other, each in mine.items() if other != name}
        theirs = {other: set(map(key, each)) for other, each in closures[name].items()}
        if len(values) == 1 and others == theirs:
            return name, values
    return None


def _written(parameter: Parameter, dependents: Mapping[Value, list[str]] | None) -> dict[str, Any]:
    values = [value.item() if isinstance(value, np.generic) else value for value in parameter.values]
    types = {type(value) for value in values}
    if types == {int, float}:
        values, types = [float(value) for value in values], {float}
    if len(types) > 1:
        raise SpaceError(
            f"{parameter.name!r} takes values of different types, {listed(values)}; Ax wants one: write texts"
        )
    value_type = next(name for name, kind in TYPES.items() if types == {kind})
    written: dict[str, Any] = {"name": parameter.name, "value_type": value_type}
    if len(values) == 1:
        written |= {"type": "fixed", "value": values[0]}
    elif parameter.kind == "integer" and not dependents and (np.diff(np.array(values)) == 1).all():
        written |= {"type": "range", "bounds": [values[0], values[-1]]}
    else:
        ordered = parameter.kind != "categorical"
        written |= {"type": "choice", "values": values, "is_ordered": ordered, "sort_values": ordered}
    if dependents:
        written["dependents"] = {value: list(names) for value, names in dependents.items()}
    return written
