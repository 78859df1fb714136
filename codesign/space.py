"""Search spaces: parameters that exist only where their layer does, and the candidates among them.

A space is a list of parameters and of repeated groups. Inside, candidates are rows of *codes*: one column a
parameter, the index of its value, or -1 where the parameter does not exist. Sampling, pricing and the
optimisers work on whole arrays of codes; a ``Candidate`` is made only for designs that are looked at.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from math import prod
from types import MappingProxyType
from typing import Any, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from codesign.errors import SpaceError
from codesign.network import Network

__all__ = [
    "Candidate",
    "Definition",
    "Limit",
    "Parameter",
    "Repeat",
    "SearchSpace",
    "SpaceDefinition",
    "Value",
    "categorical",
    "integer",
    "ordinal",
    "real",
]

Value = int | float | bool | str
Codes = NDArray[np.int16]
INACTIVE = -1


@dataclass(frozen=True, slots=True)
class Parameter:
    """A name and the values it takes; made by ``integer``, ``ordinal``, ``categorical`` or ``real``."""

    name: str
    kind: Literal["integer", "ordinal", "categorical", "float"]
    values: tuple[Value, ...]
    default: Value

    def __post_init__(self) -> None:
        """Reject no values, repeated values, and a default that is none of them."""
        if not self.values:
            raise SpaceError(f"parameter {self.name!r} has no values; give at least one")
        if len(set(map(_key, self.values))) != len(self.values):
            raise SpaceError(f"parameter {self.name!r} repeats a value: {list(self.values)}")
        if _key(self.default) not in map(_key, self.values):
            raise SpaceError(
                f"parameter {self.name!r}: default {self.default!r} is none of {list(self.values)}"
            )

    def code(self, value: Any, name: str | None = None) -> int:
        """Index of a value; raise ``SpaceError`` naming the parameter (as ``name``) and what it takes."""
        for index, own in enumerate(self.values):
            if _key(own) == _key(value):
                return index
        raise SpaceError(f"{name or self.name!s} takes {_listed(self.values)}, got {value!r}")


def integer(name: str, low: int, high: int, *, step: int = 1, default: int | None = None) -> Parameter:
    """Every ``step``-th integer from ``low`` to ``high``, both included."""
    if step < 1:
        raise SpaceError(f"parameter {name!r} needs a step of 1 or more, got {step}")
    values = tuple(range(low, high + 1, step))
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
class Limit:
    """A bound on the sum, over the layers of a group, of a whole number each layer contributes.

    Parameters
    ----------
    reason
        What would be wrong beyond the bound; shown to whoever asks for such a candidate.
    contribution
        Maps the values of one layer (names without their number) to a non-negative integer.
    at_most
        The bound.
    """

    reason: str
    contribution: Callable[[Mapping[str, Value]], int] = field(compare=False, repr=False)
    at_most: int


@dataclass(frozen=True, slots=True)
class Repeat:
    """A group of parameters that exists ``minimum`` to ``maximum`` times, numbered from 1.

    ``Repeat("convolutions", (ordinal("filters", ...), ...), 0, 3)`` makes ``convolutions`` (the count) and
    ``filters_1``, ``filters_2``, ``filters_3``, of which only the first ``convolutions`` exist.
    A ``{i}`` in a name stands for the number: ``conv_{i}_bits``; without one ``_{i}`` is appended.
    A last layer whose first parameter is spelt ``absent`` (the study writes ``filters_3 = 0``) is not there.
    """

    name: str
    parameters: tuple[Parameter, ...]
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

    def instance(self, parameter: Parameter, number: int) -> str:
        """Name of a parameter in the layer of this number, counted from 1."""
        return parameter.name.format(i=number) if "{i}" in parameter.name else f"{parameter.name}_{number}"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One point of a space: the parameters that exist, by name, in the order of the space."""

    values: Mapping[str, Value]

    def __post_init__(self) -> None:
        """Freeze the mapping."""
        object.__setattr__(self, "values", MappingProxyType(dict(self.values)))

    @property
    def digest(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the canonical JSON."""
        text = json.dumps(dict(self.values), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def __getitem__(self, name: str) -> Value:
        return self.values[name]

    def get(self, name: str, default: Value) -> Value:
        """Value of a parameter, or ``default`` where it does not exist."""
        return self.values.get(name, default)

    def __eq__(self, other: object) -> bool:
        return dict(self.values) == dict(other.values) if isinstance(other, Candidate) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the plain values: a mapping proxy cannot be pickled."""
        return (Candidate, (dict(self.values),))

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.values.items())


class SpaceDefinition(Protocol):
    """What a module of ``search_spaces`` offers, or any object like one.

    Optional beside: ``BASELINE`` (a mapping of parameter values to compare with) and
    ``workload(codes) -> Workload`` (the arrays that price many candidates at once).
    """

    @property
    def SPACE(self) -> "SearchSpace":  # noqa: N802
        """The space."""

    def build(self, candidate: Candidate) -> Network:
        """The network of a candidate, without weights."""


@dataclass(frozen=True)
class Definition:
    """A ``SpaceDefinition`` made in a notebook or a function, where there is no module to be one.

    Parameters
    ----------
    SPACE, build
        As of a module.
    BASELINE, workload
        As of a module; None where there is none.
    """

    SPACE: "SearchSpace"
    build: Callable[[Candidate], Network]
    BASELINE: Mapping[str, Value] | None = None
    workload: Callable[[Codes], Any] | None = None


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    parameter: Parameter
    group: Repeat | None
    number: int


@dataclass(frozen=True)
class SearchSpace:
    """Parameters and repeated groups, and everything that can be asked of them.

    Parameters
    ----------
    name
        Name of the space.
    items
        ``Parameter`` and ``Repeat``, in the order in which candidates show them.

    Raises
    ------
    SpaceError
        For two parameters of one name, or limits that leave no valid point.

    Examples
    --------
    >>> layer = Repeat("layers", (ordinal("units", (16, 32)),), 0, 2)
    >>> space = SearchSpace("tiny", (layer, integer("bits", 2, 4)))
    >>> space.count()
    21
    >>> print(space.candidate({"units_1": 32}))
    layers=1, units_1=32, bits=2
    """

    name: str
    items: tuple[Parameter | Repeat, ...]

    def __post_init__(self) -> None:
        """Reject names that collide and a space without a point."""
        names = [column.name for column in self.columns]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SpaceError(f"space {self.name!r} has two parameters named {', '.join(twice)}; rename one")
        for item in self.items:
            if isinstance(item, Repeat) and not self._groups[item.name].total:
                reasons = "; ".join(limit.reason for limit in item.limits)
                raise SpaceError(f"space {self.name!r} has no valid point: no {item.name} satisfy: {reasons}")

    @cached_property
    def columns(self) -> tuple[_Column, ...]:
        """The parameters of a row of codes, counts of groups included."""
        columns: list[_Column] = []
        for item in self.items:
            if isinstance(item, Parameter):
                columns.append(_Column(item.name, item, None, 0))
                continue
            counts = integer(item.name, item.minimum, item.maximum, default=item.default)
            columns.append(_Column(item.name, counts, None, 0))
            columns += [
                _Column(item.instance(parameter, number), parameter, item, number)
                for number in range(1, item.maximum + 1)
                for parameter in item.parameters
            ]
        return tuple(columns)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.names)}

    @cached_property
    def _groups(self) -> dict[str, "_Group"]:
        return {item.name: _Group(item) for item in self.items if isinstance(item, Repeat)}

    @property
    def fingerprint(self) -> str:
        """Digest of names, values and limits: two spaces of one fingerprint have the same candidates."""
        limits = [group.contributions.tolist() for group in self._groups.values()]
        text = repr([(type(item).__name__, item) for item in self.items] + [limits])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def restricted(self, **choices: Sequence[Value]) -> "SearchSpace":
        """The same space with fewer values, named ``<name>-restricted``.

        Parameters
        ----------
        choices
            The values that are left, by the name of a parameter (of a layer: without its number) or of a
            group, where the lowest and highest of them bound the number of layers.

        Raises
        ------
        SpaceError
            For a name that is not there, or a value that is none of its parameter's.

        Examples
        --------
        >>> layer = Repeat("layers", (ordinal("units", (16, 32, 64)),), 0, 2)
        >>> SearchSpace("tiny", (layer,)).restricted(layers=(0, 1), units=(16, 64)).count()
        3
        """
        items = tuple(_restricted(item, choices) for item in self.items)
        spare = sorted(set(choices) - {own for item in self.items for own in _own_names(item)})
        if spare:
            known = ", ".join(own for item in self.items for own in _own_names(item))
            raise SpaceError(f"space {self.name!r} has no {', '.join(spare)}; it has {known}")
        return SearchSpace(f"{self.name}-restricted", items)

    def count(self) -> int:
        """Number of valid candidates, exactly, without enumerating them."""
        return prod(
            len(item.values) if isinstance(item, Parameter) else self._groups[item.name].total
            for item in self.items
        )

    def candidate(self, values: Mapping[str, Any]) -> Candidate:
        """The canonical candidate of some values: defaults filled in, numbers of layers counted.

        Parameters
        ----------
        values
            Any spelling: what has a default may be left out, and so may the number of layers.

        Raises
        ------
        SpaceError
            For an unknown name, a value outside its parameter, a parameter of a layer that is not there,
            or a limit that is broken.
        """
        if not isinstance(values, Mapping):
            raise SpaceError(f"a candidate maps parameter names to values, got {type(values).__name__}")
        self._require_known(values)
        row = np.full(len(self.columns), INACTIVE, dtype=np.int16)
        for item in self.items:
            if isinstance(item, Parameter):
                row[self._index[item.name]] = item.code(values.get(item.name, item.default))
            else:
                self._fill_group(item, values, row)
        return self.decode(row[None])[0]

    def _require_known(self, names: Iterable[Any]) -> None:
        unknown = sorted(set(map(str, names)) - set(self.names))
        if unknown:
            raise SpaceError(
                f"space {self.name!r} has no parameter {', '.join(unknown)}; it has {', '.join(self.names)}"
            )

    def _fill_group(self, group: Repeat, values: Mapping[str, Any], row: Codes) -> None:
        """Write the codes of one group's count and layers into ``row``, in place."""
        values, most = self._without_absent(group, values)
        size = self._size(group, values, most)
        row[self._index[group.name]] = size - group.minimum
        layers = []
        for number in range(1, size + 1):
            layer = {
                parameter.name: values.get(group.instance(parameter, number), parameter.default)
                for parameter in group.parameters
            }
            for parameter in group.parameters:
                name = group.instance(parameter, number)
                row[self._index[name]] = parameter.code(layer[parameter.name], name)
            layers.append(layer)
        for limit in group.limits:
            total = sum(limit.contribution(layer) for layer in layers)
            if total > limit.at_most:
                raise SpaceError(f"{limit.reason} ({group.name}: {total}, at most {limit.at_most})")

    def _without_absent(self, group: Repeat, values: Mapping[str, Any]) -> tuple[Mapping[str, Any], int]:
        """Drop the last layers that are spelt as not there, and say how many there can be."""
        kept, most = dict(values), group.maximum
        if group.absent is None:
            return kept, most
        for number in range(group.maximum, 0, -1):
            names = [group.instance(parameter, number) for parameter in group.parameters]
            if names[0] in kept and _key(kept[names[0]]) == _key(group.absent):
                most = number - 1
                for name in names:
                    kept.pop(name, None)
            elif any(name in kept for name in names):
                break
        return kept, most

    def _size(self, group: Repeat, values: Mapping[str, Any], most: int) -> int:
        """How many layers the values say or imply."""
        given = {column.name: column.number for column in self.columns if column.group is group}
        spoken = {name: number for name, number in given.items() if name in values}
        count = self.columns[self._index[group.name]].parameter
        implied = max(spoken.values(), default=min(int(count.default), most))
        size = int(count.values[count.code(values.get(group.name, max(implied, group.minimum)))])
        extra = [name for name, number in spoken.items() if number > size]
        if extra:
            raise SpaceError(
                f"{', '.join(extra)} given, but {group.name} is {size}; raise it or leave them out"
            )
        if size > most:
            name = group.instance(group.parameters[0], most + 1)
            raise SpaceError(
                f"{name}={group.absent} says that the layer is not there, but {group.name} is {size}; "
                f"give {name} one of its values or make {group.name} at most {most}"
            )
        return size

    def encode(self, candidates: Sequence[Candidate]) -> Codes:
        """Codes of candidates, shape ``(n, d)``; inverse of ``decode``."""
        codes = np.full((len(candidates), len(self.columns)), INACTIVE, dtype=np.int16)
        for row, candidate in zip(codes, candidates, strict=True):
            self._require_known(candidate.values)
            for name, value in candidate.values.items():
                row[self._index[name]] = self.columns[self._index[name]].parameter.code(value, name)
        return codes

    def decode(self, codes: Codes) -> list[Candidate]:
        """Candidates of codes, shape ``(n, d)``."""
        return [
            Candidate(
                {
                    column.name: column.parameter.values[code]
                    for column, code in zip(self.columns, row, strict=True)
                    if code != INACTIVE
                }
            )
            for row in codes.tolist()
        ]

    def values(self, codes: Codes, name: str, absent: float = 0) -> NDArray[Any]:
        """Values of one parameter, shape ``(n,)``; ``absent`` where it does not exist."""
        self._require_known([name])
        index = self._index[name]
        table = np.array([*self.columns[index].parameter.values, absent])
        return table[codes[:, index]]

    def sample(self, count: int, rng: np.random.Generator) -> list[Candidate]:
        """Candidates drawn uniformly among all valid ones, with replacement."""
        return self.decode(self.sample_codes(count, rng))

    def sample_codes(self, count: int, rng: np.random.Generator, *, balanced: bool = False) -> Codes:
        """Codes drawn at random, shape ``(count, d)``.

        Parameters
        ----------
        count
            How many rows, drawn with replacement.
        rng
            Source of randomness.
        balanced
            False: uniform over valid candidates, nearly all of which have the largest number of layers.
            True: the number of layers of each group is drawn first, each as likely as another.
        """
        codes = np.full((count, len(self.columns)), INACTIVE, dtype=np.int16)
        for item in self.items:
            if isinstance(item, Parameter):
                codes[:, self._index[item.name]] = rng.integers(len(item.values), size=count)
            else:
                start = self._index[item.name]
                block = self._groups[item.name].sample(count, rng, balanced)
                codes[:, start : start + block.shape[1]] = block
        return codes

    def valid(self, codes: Codes) -> NDArray[np.bool_]:
        """Which rows are canonical and keep every limit, shape ``(n,)``."""
        levels = np.array([len(column.parameter.values) for column in self.columns], dtype=np.int16)
        unknown = (codes < INACTIVE) | (codes >= levels)
        ok: NDArray[np.bool_] = np.logical_not(unknown.any(axis=1))
        codes = np.clip(codes, INACTIVE, levels - 1)
        for item in self.items:
            start = self._index[item.name]
            if isinstance(item, Parameter):
                ok &= codes[:, start] != INACTIVE
            else:
                group = self._groups[item.name]
                ok &= group.valid(codes[:, start : start + group.width])
        return ok

    def neighbours(self, candidate: Candidate) -> list[Candidate]:
        """Valid candidates one edit away: a value changed, a layer inserted or deleted."""
        return self.decode(self.neighbour_codes(self.encode([candidate])[0]))

    def neighbour_codes(self, row: Codes) -> Codes:
        """Codes of the valid rows one edit away from ``row``, shape ``(n, d)``."""
        counts = {self._index[name] for name in self._groups}
        edits = []
        for index, column in enumerate(self.columns):
            if row[index] == INACTIVE or index in counts:
                continue
            others = [code for code in range(len(column.parameter.values)) if code != row[index]]
            changed = np.repeat(row[None], len(others), axis=0)
            changed[:, index] = others
            edits.append(changed)
        for name, group in self._groups.items():
            start = self._index[name]
            blocks = group.resized(row[start : start + group.width])
            changed = np.repeat(row[None], len(blocks), axis=0)
            changed[:, start : start + group.width] = blocks
            edits.append(changed)
        rows = np.unique(np.concatenate(edits), axis=0) if edits else row[None][:0]
        return rows[self.valid(rows)]

    def enumerate(self) -> Iterator[Candidate]:
        """Every valid candidate, in a fixed order."""
        for row in self._rows():
            yield self.decode(row[None])[0]

    def enumerate_codes(self) -> Codes:
        """Codes of every valid candidate, shape ``(count(), d)``; for spaces that fit in memory."""
        return np.array(list(self._rows()), dtype=np.int16).reshape(-1, len(self.columns))

    def _rows(self) -> Iterator[Codes]:
        parts = [
            [np.array([code], dtype=np.int16) for code in range(len(item.values))]
            if isinstance(item, Parameter)
            else self._groups[item.name].blocks()
            for item in self.items
        ]
        for choice in product(*parts):
            yield np.concatenate(choice)

    def features(self, codes: Codes) -> NDArray[np.float64]:
        """Coordinates in the unit cube for a surrogate, shape ``(n, f)``.

        Ordered parameters by rank, categorical ones of more than two values one-hot. Where a parameter
        does not exist its default stands in; the number of layers, a coordinate too, says that it does not.
        """
        parts = []
        for index, column in enumerate(self.columns):
            parameter = column.parameter
            levels = len(parameter.values)
            default = parameter.code(parameter.default)
            code = np.where(codes[:, index] == INACTIVE, default, codes[:, index])
            if levels == 1:
                continue
            if parameter.kind == "categorical" and levels > 2:
                parts.append(np.eye(levels)[code])
            else:
                parts.append(code[:, None] / (levels - 1))
        return np.concatenate(parts, axis=1) if parts else np.zeros((len(codes), 1))


class _Group:
    """Counting and drawing the layers of one ``Repeat`` under its limits.

    Layers fall into classes by what they contribute to the limits; a sequence of classes that keeps the
    limits stands for as many rows as the product of its classes' sizes.
    """

    def __init__(self, repeat: Repeat) -> None:
        self.repeat = repeat
        sizes = [len(parameter.values) for parameter in repeat.parameters]
        self.layers = np.array(list(product(*map(range, sizes))), dtype=np.int16).reshape(-1, len(sizes))
        self.strides = np.array([prod(sizes[i + 1 :]) for i in range(len(sizes))], dtype=np.int64)
        self.contributions = np.array(
            [[limit.contribution(self._values(layer)) for limit in repeat.limits] for layer in self.layers],
            dtype=np.int64,
        ).reshape(len(self.layers), len(repeat.limits))
        self.bounds = np.array([limit.at_most for limit in repeat.limits], dtype=np.int64)
        classes, self.class_of = np.unique(self.contributions, axis=0, return_inverse=True)
        self.members = [np.flatnonzero(self.class_of.ravel() == index) for index in range(len(classes))]
        self.sequences = [
            sequence
            for length in range(repeat.minimum, repeat.maximum + 1)
            for sequence in product(range(len(classes)), repeat=length)
            if (classes[list(sequence)].sum(axis=0) <= self.bounds).all()
        ]
        self.multiplicity = [
            prod(len(self.members[index]) for index in sequence) for sequence in self.sequences
        ]
        self.total = sum(self.multiplicity)
        self.width = 1 + repeat.maximum * len(sizes)

    def _values(self, layer: Codes) -> dict[str, Value]:
        return {
            parameter.name: parameter.values[code]
            for parameter, code in zip(self.repeat.parameters, layer, strict=True)
        }

    def _block(self, layers: Sequence[int]) -> Codes:
        """Codes of the count and the layers of these indices."""
        block = np.full(self.width, INACTIVE, dtype=np.int16)
        block[0] = len(layers) - self.repeat.minimum
        chosen = self.layers[list(layers)].ravel()
        block[1 : 1 + len(chosen)] = chosen
        return block

    def blocks(self) -> list[Codes]:
        return [
            self._block(layers)
            for sequence in self.sequences
            for layers in product(*(self.members[index].tolist() for index in sequence))
        ]

    def sample(self, count: int, rng: np.random.Generator, balanced: bool) -> Codes:
        weight = np.array(self.multiplicity, dtype=np.float64)
        lengths = np.array([len(sequence) for sequence in self.sequences])
        if balanced:
            for length in np.unique(lengths):
                weight[lengths == length] /= weight[lengths == length].sum()
        drawn = rng.choice(len(self.sequences), size=count, p=weight / weight.sum())
        block = np.full((count, self.width), INACTIVE, dtype=np.int16)
        per_layer = len(self.repeat.parameters)
        uniform = rng.random((count, self.repeat.maximum))
        for index in np.unique(drawn):
            rows = np.flatnonzero(drawn == index)
            block[rows, 0] = lengths[index] - self.repeat.minimum
            for position, class_index in enumerate(self.sequences[index]):
                members = self.members[class_index]
                pick = members[(uniform[rows, position] * len(members)).astype(np.int64)]
                start = 1 + position * per_layer
                block[rows, start : start + per_layer] = self.layers[pick]
        return block

    def valid(self, block: Codes) -> NDArray[np.bool_]:
        layers = block[:, 1:].reshape(len(block), self.repeat.maximum, len(self.repeat.parameters))
        size = block[:, 0] + self.repeat.minimum
        expected = np.arange(self.repeat.maximum) < size[:, None]
        ok = (block[:, 0] >= 0) & ((layers != INACTIVE).all(axis=2) == expected).all(axis=1)
        ok &= ((layers != INACTIVE).any(axis=2) == expected).all(axis=1)
        flat = (np.maximum(layers, 0) * self.strides).sum(axis=2)
        total = (self.contributions[flat] * expected[:, :, None]).sum(axis=1)
        keeps: NDArray[np.bool_] = ok & (total <= self.bounds).all(axis=1)
        return keeps

    def resized(self, block: Codes) -> Codes:
        """Blocks with one layer deleted or a default one or a copy inserted."""
        per_layer, size = len(self.repeat.parameters), int(block[0]) + self.repeat.minimum
        codes = block[1 : 1 + size * per_layer].reshape(size, per_layer).astype(np.int64)
        layers = [int(index) for index in codes @ self.strides]
        defaults = [parameter.code(parameter.default) for parameter in self.repeat.parameters]
        default = int(np.array(defaults, dtype=np.int64) @ self.strides)
        options = []
        if size > self.repeat.minimum:
            options += [layers[:at] + layers[at + 1 :] for at in range(size)]
        if size < self.repeat.maximum:
            options += [
                [*layers[:at], new, *layers[at:]]
                for at in range(size + 1)
                for new in {default, *layers[max(at - 1, 0) : at + 1]}
            ]
        blocks = [self._block(option) for option in options]
        return np.array(blocks, dtype=np.int16).reshape(-1, self.width)


def _key(value: Any) -> tuple[bool, Any]:
    """True is not 1, but 8.0 is 8, and so is a scalar of numpy."""
    if isinstance(value, np.generic):
        value = value.item()
    return (isinstance(value, bool), value if isinstance(value, str | bool | int | float) else repr(value))


def _listed(values: Sequence[Value]) -> str:
    if len(values) > 12:
        return f"{values[0]} to {values[-1]} in {len(values)} steps"
    return ", ".join(map(str, values))


def _own_names(item: Parameter | Repeat) -> list[str]:
    """Names that can be restricted: of a group its own and its parameters'."""
    return [item.name] if isinstance(item, Parameter) else [item.name, *(p.name for p in item.parameters)]


def _restricted(item: Parameter | Repeat, choices: Mapping[str, Sequence[Value]]) -> Parameter | Repeat:
    if isinstance(item, Parameter):
        if item.name not in choices:
            return item
        codes = sorted({item.code(value) for value in choices[item.name]})
        values = tuple(item.values[code] for code in codes)
        if not values:
            raise SpaceError(f"parameter {item.name!r} is left without values; give at least one")
        return replace(item, values=values, default=item.default if item.default in values else values[0])
    parameters = tuple(cast(Parameter, _restricted(parameter, choices)) for parameter in item.parameters)
    counts = integer(item.name, item.minimum, item.maximum)
    sizes = [int(counts.values[counts.code(size)]) for size in choices.get(item.name, counts.values)]
    if not sizes:
        raise SpaceError(f"group {item.name!r} is left without a number of layers; give at least one")
    default = item.default if item.default is not None and min(sizes) <= item.default <= max(sizes) else None
    return replace(item, parameters=parameters, minimum=min(sizes), maximum=max(sizes), default=default)
