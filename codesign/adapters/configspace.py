"""ConfigSpace: the JSON of ``to_json``, format 0.4, as plain data; the package is not needed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import prod
from typing import Any

import numpy as np

from codesign.adapters.forbidden import COMPARED, clauses_of, constraint_of, limits_of
from codesign.adapters.nesting import Condition, Conditional, fewest_conditions, flat, nearest, needs, nested
from codesign.errors import SpaceError
from codesign.space import (
    Candidate,
    Parameter,
    SearchSpace,
    Value,
    categorical,
    integer,
    ordinal,
    real,
)
from codesign.space.parameters import key

__all__ = ["FORMAT_VERSION", "from_configspace", "to_configspace"]

FORMAT_VERSION = 0.4
MOST_VALUES = 32_767
MOST_MIXTURES = 1 << 17

Places = Mapping[str, Mapping[Any, int]]


def from_configspace(data: Mapping[str, Any], *, name: str | None = None, levels: int = 33) -> SearchSpace:
    """The space of ConfigSpace's JSON, as ``json.loads`` or ``to_serialized_dict`` gives it.

    Conditions become ``When``, forbidden clauses constraints. Weights, normal and beta distributions and the
    ``log`` of whole numbers say how to draw and are no part of a space; an order of texts is not kept.

    Parameters
    ----------
    data
        ``hyperparameters``, and if there are any ``conditions`` and ``forbiddens``.
    name
        Name of the space; the one in ``data`` if None.
    levels
        Values of a float: it becomes a grid, see ``codesign.space.real``.

    Raises
    ------
    SpaceError
        For a hyperparameter, condition or clause that cannot be read, or conditions that no ``When`` says.

    Examples
    --------
    >>> pooling = {"type": "categorical", "name": "pooling", "choices": ["none", "max"]}
    >>> size = {"type": "uniform_int", "name": "size", "lower": 2, "upper": 4}
    >>> exists = {"type": "EQ", "child": "size", "parent": "pooling", "value": "max"}
    >>> from_configspace({"hyperparameters": [pooling, size], "conditions": [exists]}).count()
    4
    """
    given = data.get("hyperparameters") if isinstance(data, Mapping) else None
    if not given or isinstance(given, str) or not isinstance(given, Sequence):
        raise SpaceError(
            "a ConfigSpace is a mapping with a list 'hyperparameters'; write it by to_json, read it by "
            f"json.load; got {type(data).__name__}"
        )
    made = [_parameter(each, levels) for each in given]
    places: Places = {
        str(each["name"]): {key(value): place for place, value in enumerate(each["sequence"])}
        for each in given
        if each["type"] == "ordinal"
    }
    reader = _Conditions(
        {parameter.name: parameter for parameter in made}, places, data.get("conditions") or ()
    )
    parts = [Conditional(parameter, reader.of(parameter.name)) for parameter in made]
    constraints = tuple(constraint_of(clause, places) for clause in data.get("forbiddens") or ())
    return SearchSpace(name or str(data.get("name") or "configspace"), nested(parts), constraints)


def _parameter(given: Mapping[str, Any], levels: int) -> Parameter:
    try:
        name, kind = str(given["name"]), str(given["type"])
        default = given.get("default_value", given.get("default"))
        if kind == "constant":
            return _choice(name, [given["value"]], None)
        if kind == "categorical":
            return categorical(name, given["choices"], default=default)
        if kind == "ordinal":
            return _choice(name, given["sequence"], default)
        if kind in ("uniform_int", "normal_int", "beta_int"):
            return _whole(name, int(given["lower"]), int(given["upper"]), default)
        if kind in ("uniform_float", "normal_float", "beta_float"):
            low, high = float(given["lower"]), float(given["upper"])
            grid = real(name, low, high, levels=levels, log=bool(given.get("log", False)))
            return grid if default is None else replace(grid, default=nearest(grid, float(default)))
    except (KeyError, TypeError, ValueError) as error:
        raise SpaceError(
            f"cannot read the hyperparameter {given!r}: {type(error).__name__} {error}; it needs a name, "
            "a type and what belongs to it, a normal one its bounds"
        ) from None
    raise SpaceError(
        f"{name!r} is of the unknown type {kind!r}; known are constant, categorical, ordinal, and uniform_, "
        "normal_ and beta_ int and float"
    )


def _whole(name: str, low: int, high: int, default: Any) -> Parameter:
    if high - low >= MOST_VALUES:
        raise SpaceError(
            f"{name!r} takes more than {MOST_VALUES} whole numbers; make it ordinal with fewer values"
        )
    return integer(name, low, high, default=None if default is None else int(default))


def _choice(name: str, values: Sequence[Any], default: Any) -> Parameter:
    """Ordinal where numbers ascend; else in the order given, which nothing sees."""
    numbers = not any(isinstance(value, bool | str) for value in values)
    if numbers and list(values) == sorted(values):
        return ordinal(name, values, default=default)
    return categorical(name, values, default=default)


class _Conditions:
    """Reads the conditions of a file, each parameter's as a conjunction."""

    def __init__(
        self, parameters: Mapping[str, Parameter], places: Places, conditions: Sequence[Mapping[str, Any]]
    ) -> None:
        self.parameters, self.places = parameters, places
        self.by_child: dict[str, list[Mapping[str, Any]]] = {}
        for each in conditions:
            self.by_child.setdefault(self._child(each), []).append(each)

    def _child(self, condition: Mapping[str, Any]) -> str:
        inner = condition.get("conditions") or [{}]
        child = str(condition.get("child") or inner[0].get("child"))
        if child not in self.parameters:
            raise SpaceError(f"the condition {dict(condition)} is on {child!r}, which is no hyperparameter")
        return child

    def of(self, name: str) -> tuple[Condition, ...]:
        """All conditions on a parameter."""
        conditions = self.by_child.get(name, ())
        try:
            return tuple(each for condition in conditions for each in self._read(condition))
        except (KeyError, TypeError, AttributeError) as error:
            raise SpaceError(
                f"cannot read the conditions {list(conditions)}: {type(error).__name__} {error}; each is EQ, "
                "NEQ, LT or GT with a value of the parent, IN with values, or AND or OR with conditions"
            ) from None

    def _read(self, condition: Mapping[str, Any]) -> tuple[Condition, ...]:
        kind = condition.get("type")
        if kind == "AND":
            return tuple(each for inner in condition["conditions"] for each in self._read(inner))
        if kind == "OR":
            return self._alternatives(condition)
        parent = self._parent(condition)
        return (
            (
                parent.name,
                tuple(value for value in parent.values if self._holds(condition, {parent.name: value})),
            ),
        )

    def _parent(self, condition: Mapping[str, Any]) -> Parameter:
        parent = str(condition.get("parent"))
        if parent not in self.parameters:
            raise SpaceError(
                f"the condition {dict(condition)} depends on {parent!r}, which is no hyperparameter"
            )
        return self.parameters[parent]

    def _holds(self, condition: Mapping[str, Any], row: Mapping[str, Value]) -> bool:
        kind = condition.get("type")
        if kind in ("AND", "OR"):
            found = [self._holds(inner, row) for inner in condition["conditions"]]
            return all(found) if kind == "AND" else any(found)
        name = self._parent(condition).name
        if name not in row:
            return False
        here = row[name]
        if kind == "IN":
            return key(here) in map(key, condition["values"])
        if kind in ("EQ", "NEQ"):
            return bool(key(here) == key(condition["value"])) is (kind == "EQ")
        if kind not in ("LT", "GT"):
            raise KeyError(kind)
        places = self.places.get(name)
        sides = (here, condition["value"])
        one, other = (places[key(each)] for each in sides) if places else sides
        return bool(COMPARED[kind][1](one, other))

    def _parents(self, condition: Mapping[str, Any]) -> list[str]:
        inner = condition.get("conditions")
        if inner is None:
            return [self._parent(condition).name]
        return list(dict.fromkeys(name for each in inner for name in self._parents(each)))

    def _alternatives(self, condition: Mapping[str, Any]) -> tuple[Condition, ...]:
        """A condition with OR as a conjunction that holds for the same values of its parents."""
        names = self._parents(condition)
        states: list[list[Value | None]] = [
            [*self.parameters[name].values, *([None] if name in self.by_child else [])] for name in names
        ]
        if prod(map(len, states)) > MOST_MIXTURES:
            raise SpaceError(
                f"the parents {', '.join(names)} of an OR take too many values together to try them all"
            )
        there: list[dict[str, Value]] = []
        elsewhere: list[dict[str, Value]] = []
        for mixture in product(*states):
            row = {name: value for name, value in zip(names, mixture, strict=True) if value is not None}
            (there if self._holds(condition, row) else elsewhere).append(row)
        found = fewest_conditions(there, elsewhere, names) if there else None
        if found is None:
            raise SpaceError(
                f"{self._child(condition)!r} exists for one or the other of {', '.join(names)}; a When says "
                "a list of values of each parent: give it another name for each"
            )
        return found


def to_configspace(space: SearchSpace, *, relaxed: bool = False) -> dict[str, Any]:
    """ConfigSpace's JSON of a space, for ``ConfigurationSpace.from_serialized_dict`` or ``json.dumps``.

    Whole numbers in steps of one are ``uniform_int``; all other numbers, floats too, are ``ordinal``, so that
    what ConfigSpace draws is in the space. ``When`` becomes ``conditions``; constraints and limits become
    ``forbiddens``, one for each combination that they forbid of what they read. The default configuration is
    a candidate.

    Parameters
    ----------
    space
        The space.
    relaxed
        What cannot be said: a constraint that reads more than ``MOST_ROWS`` combinations (name what it reads:
        ``Constraint(..., names=...)``), or a list of designs. False refuses it, True leaves it out.

    Raises
    ------
    SpaceError
        For what cannot be said, all of it in one message.
    """
    parts = flat(space)
    needs(parts)
    unsaid = ["the space lists its designs"] if space.only is not None else []
    forbiddens: list[dict[str, Any]] = []
    for constraint in (*limits_of(space), *space.constraints):
        clauses = clauses_of(space, constraint)
        if clauses is None:
            unsaid.append(constraint.reason)
        forbiddens += clauses or []
    if unsaid and not relaxed:
        raise SpaceError(
            f"ConfigSpace cannot say of space {space.name!r}: {'; '.join(unsaid)}; name what a constraint "
            "reads, or relaxed=True leaves it out"
        )
    default = _some_candidate(space)
    return {
        "name": space.name,
        "hyperparameters": [_written(part.parameter, default) for part in parts],
        "conditions": [_condition(part) for part in parts if part.conditions],
        "forbiddens": forbiddens,
        "format_version": FORMAT_VERSION,
    }


def _some_candidate(space: SearchSpace) -> Candidate:
    """The default candidate, or another where it is not allowed."""
    try:
        return space.candidate({})
    except SpaceError:
        return space.sample(1, np.random.default_rng(0))[0]


def _written(parameter: Parameter, default: Candidate) -> dict[str, Any]:
    values = [_plain(value) for value in parameter.values]
    start = _plain(default.get(parameter.name, parameter.default))
    written: dict[str, Any] = {"name": parameter.name, "default_value": start, "meta": None}
    if len(values) == 1:
        return {"type": "constant", "name": parameter.name, "value": values[0], "meta": None}
    if parameter.kind == "categorical":
        return {"type": "categorical", **written, "choices": values, "weights": None}
    if parameter.kind == "integer" and (np.diff(np.array(values)) == 1).all():
        return {"type": "uniform_int", **written, "lower": values[0], "upper": values[-1], "log": False}
    return {"type": "ordinal", **written, "sequence": values}


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _condition(part: Conditional) -> dict[str, Any]:
    """All conditions on a parameter; ConfigSpace takes no two on the same parent in one AND."""
    merged: dict[str, tuple[Value, ...]] = {}
    for parent, values in part.conditions:
        these = set(map(key, values))
        merged[parent] = tuple(value for value in merged.get(parent, values) if key(value) in these)
    single = [_literal(part.name, parent, values) for parent, values in merged.items()]
    return single[0] if len(single) == 1 else {"type": "AND", "child": part.name, "conditions": single}


def _literal(child: str, parent: str, values: Sequence[Value]) -> dict[str, Any]:
    plain = [_plain(value) for value in values]
    about = {"child": child, "parent": parent}
    return (
        {"type": "EQ", **about, "value": plain[0]}
        if len(plain) == 1
        else {"type": "IN", **about, "values": plain}
    )
