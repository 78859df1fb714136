"""Forbidden clauses of ConfigSpace, and constraints and limits of a space written as such clauses."""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codesign.adapters.nesting import flat, needs, nested
from codesign.errors import SpaceError
from codesign.space import Candidate, Constraint, Limit, Repeat, SearchSpace, Value
from codesign.space.parameters import key, own_names

__all__ = ["COMPARED", "MOST_ROWS", "Forbidden", "clauses_of", "constraint_of", "limits_of"]

MOST_ROWS = 4_096
COMPARED: Mapping[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "LT": ("<", operator.lt),
    "LE": ("<=", operator.le),
    "EQ": ("==", operator.eq),
    "GE": (">=", operator.ge),
    "GT": (">", operator.gt),
}


@dataclass(frozen=True, slots=True)
class Forbidden:
    """What a clause leaves of a space: false for the candidates it forbids.

    As in ConfigSpace a clause on a parameter that does not exist forbids nothing; a clause compares ordinals
    by their place, a relation by their values.

    Parameters
    ----------
    clause
        The clause as in JSON.
    places
        By ordinal, the place of each value.
    """

    clause: Mapping[str, Any]
    places: Mapping[str, Mapping[Any, int]]

    def __call__(self, candidate: Candidate) -> bool:
        """Whether a candidate is not forbidden."""
        return not self._breaks(self.clause, candidate)

    def _breaks(self, clause: Mapping[str, Any], candidate: Candidate) -> bool:
        kind = clause["type"]
        if kind in ("AND", "OR"):
            found = [self._breaks(each, candidate) for each in clause["clauses"]]
            return all(found) if kind == "AND" else any(found)
        if any(name not in candidate for name in _names(clause)):
            return False
        if kind.startswith("RELATION"):
            compared = COMPARED[_relation(clause)][1]
            return bool(compared(candidate[clause["left"]], candidate[clause["right"]]))
        value = candidate[clause["name"]]
        if kind in ("EQUALS", "IN"):
            return key(value) in map(key, [clause["value"]] if kind == "EQUALS" else clause["values"])
        places = self.places.get(clause["name"])
        sides = (value, clause["value"])
        here, bound = (places[key(each)] for each in sides) if places else sides
        return bool(COMPARED[kind.removeprefix("CLAUSE_")][1](here, bound))


def _relation(clause: Mapping[str, Any]) -> str:
    return str(clause["lambda"] if clause["type"] == "RELATION" else clause["type"].removeprefix("RELATION_"))


def _names(clause: Mapping[str, Any]) -> list[str]:
    if "clauses" in clause:
        return [name for each in clause["clauses"] for name in _names(each)]
    return [clause[place] for place in ("name", "left", "right") if place in clause]


def _spelt(clause: Mapping[str, Any]) -> str:
    kind = clause["type"]
    if "clauses" in clause:
        return f" {kind.lower()} ".join(
            f"({_spelt(e)})" if "clauses" in e else _spelt(e) for e in clause["clauses"]
        )
    if kind.startswith("RELATION"):
        return f"{clause['left']} {COMPARED[_relation(clause)][0]} {clause['right']}"
    if kind == "IN":
        return f"{clause['name']} in {list(clause['values'])}"
    sign = "==" if kind == "EQUALS" else COMPARED[kind.removeprefix("CLAUSE_")][0]
    return f"{clause['name']} {sign} {clause['value']!r}"


def constraint_of(clause: Mapping[str, Any], places: Mapping[str, Mapping[Any, int]]) -> Constraint:
    """The constraint that a clause of ConfigSpace is.

    Raises
    ------
    SpaceError
        For a clause of an unknown type, or without what its type has.
    """
    try:
        names = tuple(dict.fromkeys(_names(clause)))
        return Constraint(f"forbidden: {_spelt(clause)}", Forbidden(clause, places), names)
    except (KeyError, TypeError, AttributeError) as error:
        raise SpaceError(
            f"cannot read the forbidden clause {clause!r} ({error}); it has a type EQUALS, IN, AND, OR, "
            "CLAUSE_LT ... or RELATION_LT ... and what belongs to it"
        ) from None


def clauses_of(space: SearchSpace, constraint: Constraint) -> list[dict[str, Any]] | None:
    """Clauses that forbid what breaks a constraint; None if too many rows would have to be asked.

    One clause for each combination of the parameters it reads, and of those that decide whether they exist.
    """
    if isinstance(constraint.predicate, Forbidden):
        return [dict(constraint.predicate.clause)]
    parts = flat(space)
    closures = needs(parts)
    read = set(closures if constraint.names is None else constraint.names) & set(closures)
    wanted = read | {parent for name in read for parent in closures[name]}
    part = SearchSpace("part", nested([each for each in parts if each.name in wanted])) if wanted else None
    if part is None or part.bound > MOST_ROWS:
        return None
    broken = [each for each in part.enumerate() if not constraint.predicate(_only(each, read))]
    return [_forbidding(each) for each in broken]


def _only(candidate: Candidate, names: set[str]) -> Candidate:
    return Candidate({name: value for name, value in candidate.values.items() if name in names})


def _forbidding(candidate: Candidate) -> dict[str, Any]:
    equal = [{"type": "EQUALS", "name": name, "value": value} for name, value in candidate.values.items()]
    return equal[0] if len(equal) == 1 else {"type": "AND", "clauses": equal}


def limits_of(space: SearchSpace) -> Iterator[Constraint]:
    """The limits of a space as constraints on the parameters of the layers that they read."""
    groups = {column.group.name: column.group for column in space.columns if column.group is not None}
    for group in groups.values():
        for limit in group.limits:
            yield _constraint_of_limit(space, group, limit)


def _constraint_of_limit(space: SearchSpace, group: Repeat, limit: Limit) -> Constraint:
    layers = SearchSpace("layer", group.parameters)
    few = layers.bound <= MOST_ROWS
    rows = [(each, int(limit.contribution(each.values))) for each in (layers.enumerate() if few else ())]
    own = own_names(group.parameters)
    read = tuple(_read_by(rows, own) if few else own)  # of more, clauses_of says that there are too many
    adds = {_seen(each.values, read): adds for each, adds in rows}
    named = [
        {
            column.parameter.name: column.name
            for column in space.columns
            if column.group is not None and column.group.name == group.name and column.number == number
        }
        for number in range(1, group.maximum + 1)
    ]

    def keeps(candidate: Candidate) -> bool:
        size = int(candidate.get(group.name, 0))
        spelt = [{name: candidate.values.get(layer[name]) for name in read} for layer in named[:size]]
        return sum(adds[_seen(layer, read)] for layer in spelt) <= limit.at_most

    names = (group.name, *(layer[name] for layer in named for name in read))
    return Constraint(limit.reason, keeps, names)


def _read_by(rows: Sequence[tuple[Candidate, int]], names: Sequence[str]) -> list[str]:
    """The parameters of a layer on which its contribution depends."""
    left = list(names)
    for name in names:
        fewer = [other for other in left if other != name]
        if len({(_seen(layer.values, fewer), adds) for layer, adds in rows}) == len(
            {_seen(layer.values, fewer) for layer, _ in rows}
        ):
            left = fewer
    return left


def _seen(layer: Mapping[str, Value | None], names: Sequence[str]) -> tuple[Any, ...]:
    return tuple(None if layer.get(name) is None else key(layer[name]) for name in names)
