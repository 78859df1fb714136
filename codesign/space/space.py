"""A search space: its candidates counted, drawn, listed, walked and told apart.

Inside, candidates are rows of *codes*: one column a parameter, the index of its value, or -1 where the
parameter does not exist. Sampling, pricing and the optimisers work on whole arrays of codes; a ``Candidate``
is made only for designs that are looked at.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from codesign.errors import SpaceError
from codesign.network import Network
from codesign.space.candidate import Candidate
from codesign.space.layout import INACTIVE, Codes, Column, Layout
from codesign.space.parameters import (
    Constraint,
    Item,
    Value,
    key,
    listed,
    own_names,
    restrict,
)
from codesign.space.plan import Group, Plan, crossed, plans_of

__all__ = ["Definition", "SearchSpace", "SpaceDefinition", "share_error"]

COUNTED = 1 << 20
LISTED_BYTES = 1 << 31
BATCH = 1 << 16
PROBES = 1 << 12


def share_error(share: float, draws: int) -> float:
    """Half of Wilson's interval, of one standard deviation, of a share of independent draws; never 0."""
    return float((share * (1 - share) / draws + 0.25 / draws**2) ** 0.5 / (1 + 1 / draws))


class SpaceDefinition(Protocol):
    """What a module of ``search_spaces`` offers, or any object like one.

    Optional beside: ``BASELINE`` (a mapping of parameter values to compare with),
    ``workload(codes) -> Workload`` (the arrays that price many candidates at once), and
    ``recipe(candidate) -> Mapping`` (fields of the recipe that a candidate is trained with in place of the
    study's: learning rate, batch, loss).
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
    BASELINE, workload, recipe
        As of a module; None where there is none.
    """

    SPACE: "SearchSpace"
    build: Callable[[Candidate], Network]
    BASELINE: Mapping[str, Value] | None = None
    workload: Callable[[Codes], Any] | None = None
    recipe: Callable[[Candidate], Mapping[str, Any]] | None = None


@dataclass(frozen=True)
class SearchSpace:
    """Parameters and repeated groups, and everything that can be asked of them.

    Parameters
    ----------
    name
        Name of the space.
    items
        ``Parameter``, ``Repeat`` and ``When``, in the order in which candidates show them.
    constraints
        What candidates must keep besides. They are asked row by row, so prefer a ``Limit`` or a ``When``
        where one says it: those are counted and drawn exactly without trying.
    only
        The candidates that there are, of all that the items allow: a table of designs. None: all of them.

    Raises
    ------
    SpaceError
        For two parameters of one name, a condition on no parameter, or limits that leave no valid point.

    Examples
    --------
    >>> from codesign.space import Repeat, When, categorical, integer, ordinal
    >>> layer = Repeat("layers", (ordinal("units", (16, 32)),), 0, 2)
    >>> space = SearchSpace("tiny", (layer, integer("bits", 2, 4)))
    >>> space.count()
    21
    >>> print(space.candidate({"units_1": 32}))
    layers=1, units_1=32, bits=2
    >>> pooling = categorical("pooling", ("none", "max", "mean"))
    >>> pooled = When("pooling", ("max", "mean"), (ordinal("pool_size", (2, 3)),))
    >>> [str(candidate) for candidate in SearchSpace("pools", (pooling, pooled)).enumerate()][:2]
    ['pooling=none', 'pooling=max, pool_size=2']
    """

    name: str
    items: tuple[Item, ...]
    constraints: tuple[Constraint, ...] = ()
    only: tuple[Candidate, ...] | None = None

    def __post_init__(self) -> None:
        """Reject names that collide, a space without a point, and what is no candidate of it."""
        names = [column.name for column in self.columns]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SpaceError(f"space {self.name!r} has two parameters named {', '.join(twice)}; rename one")
        for group in self._groups:
            if not group.total:
                reasons = "; ".join(limit.reason for limit in group.repeat.limits)
                raise SpaceError(
                    f"space {self.name!r} has no valid point: no {group.repeat.name} satisfy: {reasons}"
                )
        for constraint in self.constraints:
            self._require_known(constraint.names or ())
        if self.only is not None:
            self._check_listed(self.only)

    def _check_listed(self, only: Sequence[Candidate]) -> None:
        if not only:
            raise SpaceError(f"space {self.name!r} lists no candidate; give at least one")
        if len(set(only)) != len(only):
            raise SpaceError(f"space {self.name!r} lists a candidate twice; leave one out")
        wrong = np.flatnonzero(~self._within(self.encode(only)))
        if len(wrong):
            raise SpaceError(f"space {self.name!r} lists what is no candidate of it: {only[int(wrong[0])]}")

    @cached_property
    def _layout(self) -> Layout:
        return Layout(self.items)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The parameters of a row of codes, counts of groups included."""
        return self._layout.columns

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.names)}

    @cached_property
    def _code_of(self) -> tuple[dict[tuple[bool, Any], int], ...]:
        """By column, the code of each value."""
        return tuple(
            {key(value): code for code, value in enumerate(column.parameter.values)}
            for column in self.columns
        )

    @cached_property
    def _plans(self) -> tuple[Plan, ...]:
        return plans_of(self.columns)

    @cached_property
    def _groups(self) -> tuple[Group, ...]:
        found: dict[str, Group] = {}
        waiting = list(self._plans)
        while waiting:
            plan = waiting.pop(0)
            if isinstance(plan.node, Group):
                found.setdefault(plan.node.repeat.name, plan.node)
            waiting += [part for _, parts in plan.branches for part in parts]
        return tuple(sorted(found.values(), key=lambda group: group.start))

    @cached_property
    def _conditional(self) -> bool:
        """Whether a value decides what exists, and not only a number of layers."""
        counts = {group.start: group.repeat for group in self._groups}
        return any(
            condition.parent not in counts or column.group is not counts[condition.parent]
            for column in self.columns
            for condition in column.conditions
        )

    @property
    def fingerprint(self) -> str:
        """Digest of names, values and limits: two spaces of one fingerprint have the same candidates.

        Of constraints it holds the reasons and what they say of all rows of a small space, or of 4,096
        drawn ones.
        """
        limits = [group.contributions.tolist() for group in self._groups]
        text = repr([(type(item).__name__, item) for item in self.items] + [limits])
        if self.constraints:
            small = self.bound <= PROBES
            rows = self._list() if small else self._draw(PROBES, np.random.default_rng(0), False)
            says = np.packbits(self._allowed(rows)).tobytes().hex()
            text += repr([(constraint.reason, constraint.names) for constraint in self.constraints]) + says
        if self.only is not None:
            text += repr(sorted(candidate.digest for candidate in self.only))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def restricted(self, **choices: Sequence[Value]) -> "SearchSpace":
        """The same space with fewer values, named ``<name>-restricted``.

        Parameters
        ----------
        choices
            The values that are left, by the name of a parameter (of a layer: without its number) or of a
            group, where the lowest and highest of them bound the number of layers. What no value that is
            left lets exist is left out.

        Raises
        ------
        SpaceError
            For a name that is not there, or a value that is none of its parameter's.

        Examples
        --------
        >>> from codesign.space import Repeat, ordinal
        >>> layer = Repeat("layers", (ordinal("units", (16, 32, 64)),), 0, 2)
        >>> SearchSpace("tiny", (layer,)).restricted(layers=(0, 1), units=(16, 64)).count()
        3
        """
        spare = sorted(set(choices) - set(own_names(self.items)))
        if spare:
            known = ", ".join(own_names(self.items))
            raise SpaceError(f"space {self.name!r} has no {', '.join(spare)}; it has {known}")
        part = SearchSpace(f"{self.name}-restricted", restrict(self.items, choices))
        constraints = tuple(
            replace(constraint, names=tuple(name for name in constraint.names if name in part.names))
            if constraint.names is not None
            else constraint
            for constraint in self.constraints
        )
        only = self.only
        if only is not None:
            only = tuple(candidate for candidate in only if part._has(candidate))
        return replace(part, constraints=constraints, only=only)

    def _has(self, candidate: Candidate) -> bool:
        try:
            return bool(self.valid(self.encode([candidate]))[0])
        except SpaceError:
            return False

    @cached_property
    def bound(self) -> int:
        """No space of these items has more candidates; their exact number where there are no constraints."""
        return prod(plan.count() for plan in self._plans) if self.only is None else len(self.only)

    def count(self) -> int:
        """Number of valid candidates, exactly; nothing is enumerated unless there are constraints.

        Raises
        ------
        SpaceError
            If there are constraints and more than 2**20 rows to ask them of; then ``estimate_count``.
        """
        if not self.constraints:
            return self.bound
        if self.bound > COUNTED:
            raise SpaceError(
                f"space {self.name!r} has {self.bound} candidates before its constraints, more than the "
                f"{COUNTED} that are tried one by one to count; call estimate_count, or write the "
                "constraints as Limit or When"
            )
        return len(self._kept)

    def estimate_count(self, rng: np.random.Generator, draws: int = 10_000) -> tuple[float, float]:
        """Number of valid candidates, estimated from the share of draws that keep the constraints.

        Returns
        -------
        estimate, error
            The error is half of Wilson's interval of one standard deviation; (exact, 0) without constraints.
        """
        if not self.constraints:
            return float(self.bound), 0.0
        share = float(self._allowed(self._draw(draws, rng, False)).mean())
        return share * self.bound, share_error(share, draws) * self.bound

    def candidate(self, values: Mapping[str, Any]) -> Candidate:
        """The canonical candidate of some values: defaults filled in, numbers of layers counted.

        Parameters
        ----------
        values
            Any spelling: what has a default may be left out, and so may the number of layers. What does not
            exist is left out or None.

        Raises
        ------
        SpaceError
            For an unknown name, a value outside its parameter, a parameter that does not exist beside the
            others, a limit or a constraint that is broken.
        """
        if not isinstance(values, Mapping):
            raise SpaceError(f"a candidate maps parameter names to values, got {type(values).__name__}")
        self._require_known(values)
        row = np.full(len(self.columns), INACTIVE, dtype=np.int16)
        groups = {group.start: group for group in self._groups}
        for index, column in enumerate(self.columns):
            if index in groups and self._exists(column, row):
                group = groups[index]
                values, most = self._without_absent(group, values)
                row[index] = self._size(group, values, most) - group.repeat.minimum
            elif self._exists(column, row):
                value = values.get(column.name, column.parameter.default)
                row[index] = column.parameter.code(value, column.name)
            elif values.get(column.name) is not None:
                raise SpaceError(self._why_not(column, row))
        for group in self._groups:
            self._check_limits(group, row)
        (made,) = self.decode(row[None])
        for constraint in self.constraints:
            if not _asked(constraint, self._seen_by(constraint, made)):
                raise SpaceError(f"{constraint.reason} ({made})")
        if self.only is not None and row.tobytes() not in self._listed:
            raise SpaceError(f"{made} is none of the {len(self.only)} designs of space {self.name!r}")
        return made

    def _require_known(self, names: Iterable[Any]) -> None:
        unknown = sorted(set(map(str, names)) - set(self.names))
        if unknown:
            raise SpaceError(
                f"space {self.name!r} has no parameter {', '.join(unknown)}; it has {', '.join(self.names)}"
            )

    @staticmethod
    def _exists(column: Column, row: Codes) -> bool:
        return all(row[condition.parent] in condition.codes for condition in column.conditions)

    def _why_not(self, column: Column, row: Codes) -> str:
        """Which condition of a column that was given does not hold."""
        broken = next(c for c in column.conditions if row[c.parent] not in c.codes)
        parent, code = self.columns[broken.parent], int(row[broken.parent])
        needed = listed([parent.parameter.values[each] for each in broken.codes])
        found = "does not exist" if code == INACTIVE else f"is {parent.parameter.values[code]}"
        return (
            f"{column.name} given, but it exists only where {parent.name} is {needed}, and {parent.name} "
            f"{found}; change that or leave {column.name} out"
        )

    def _check_limits(self, group: Group, row: Codes) -> None:
        size = int(row[group.start]) + group.repeat.minimum
        if row[group.start] == INACTIVE or not group.repeat.limits:
            return
        block = row[group.start + 1 : group.start + 1 + size * group.per_layer]
        total = group.contributed(block.reshape(size, group.per_layer))
        for limit, sum_of in zip(group.repeat.limits, total, strict=True):
            if sum_of > limit.at_most:
                raise SpaceError(f"{limit.reason} ({group.repeat.name}: {sum_of}, at most {limit.at_most})")

    def _layer_names(self, group: Group, number: int) -> list[str]:
        first = group.start + 1 + (number - 1) * group.per_layer
        return list(self.names[first : first + group.per_layer])

    def _without_absent(self, group: Group, values: Mapping[str, Any]) -> tuple[Mapping[str, Any], int]:
        """Drop the last layers that are spelt as not there, and say how many there can be."""
        kept, most, absent = dict(values), group.repeat.maximum, group.repeat.absent
        if absent is None:
            return kept, most
        for number in range(group.repeat.maximum, 0, -1):
            names = self._layer_names(group, number)
            if names[0] in kept and key(kept[names[0]]) == key(absent):
                most = number - 1
                for name in names:
                    kept.pop(name, None)
            elif any(kept.get(name) is not None for name in names):
                break
        return kept, most

    def _size(self, group: Group, values: Mapping[str, Any], most: int) -> int:
        """How many layers the values say or imply."""
        repeat, count = group.repeat, group.repeat.count
        spoken = {
            name: number
            for number in range(1, repeat.maximum + 1)
            for name in self._layer_names(group, number)
            if values.get(name) is not None
        }
        implied = max(spoken.values(), default=min(int(count.default), most))
        size = int(count.values[count.code(values.get(repeat.name, max(implied, repeat.minimum)))])
        extra = [name for name, number in spoken.items() if number > size]
        if extra:
            raise SpaceError(
                f"{', '.join(extra)} given, but {repeat.name} is {size}; raise it or leave them out"
            )
        if size > most:
            name = self._layer_names(group, most + 1)[0]
            raise SpaceError(
                f"{name}={repeat.absent} says that the layer is not there, but {repeat.name} is {size}; "
                f"give {name} one of its values or make {repeat.name} at most {most}"
            )
        return size

    def encode(self, candidates: Sequence[Candidate]) -> Codes:
        """Codes of candidates, shape ``(n, d)``; inverse of ``decode``."""
        rows = [[INACTIVE] * len(self.columns) for _ in candidates]
        index, code_of = self._index, self._code_of
        for row, candidate in zip(rows, candidates, strict=True):
            for name, value in candidate.values.items():
                if name not in index:
                    self._require_known(candidate.values)
                place = index[name]
                code = code_of[place].get(key(value))
                row[place] = self.columns[place].parameter.code(value, name) if code is None else code
        return np.array(rows, dtype=np.int16).reshape(-1, len(self.columns))

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

    def activity(self, codes: Codes) -> NDArray[np.bool_]:
        """Which parameters exist in each row, shape ``(n, d)``: what a conditional kernel compares."""
        there: NDArray[np.bool_] = codes != INACTIVE
        return there

    def settled(self, codes: Codes) -> Codes:
        """Rows made canonical, shape ``(n, d)``: what cannot exist is dropped, what must has its default.

        From the first column on, so that any codes become a row of which at most limits, constraints and the
        list of designs are broken; ``valid`` tells.
        """
        rows = self._layout.settle(codes)
        for group in self._groups:
            new = (rows[:, group.start] != INACTIVE) & (codes[:, group.start] == INACTIVE)
            if new.any():
                rows[new, group.start : group.start + group.width] = group.default()
                rows = self._layout.settle(rows)
        return rows

    def sample(self, count: int, rng: np.random.Generator) -> list[Candidate]:
        """Candidates drawn uniformly among all valid ones, with replacement."""
        return self.decode(self.sample_codes(count, rng))

    def sample_codes(self, count: int, rng: np.random.Generator, *, balanced: bool = False) -> Codes:
        """Codes drawn at random, shape ``(count, d)``.

        Constraints are kept by drawing anew. Where after 2**20 draws too few are kept, and the items allow
        no more than 2**20 rows, the rest is drawn uniformly among those that keep them.

        Parameters
        ----------
        count
            How many rows, drawn with replacement.
        rng
            Source of randomness.
        balanced
            False: uniform over valid candidates, nearly all of which have the largest number of layers.
            True: what decides over the existence of others, the number of layers of each group and the
            parent of each ``When``, is drawn first, each value as likely as another. A space that lists its
            designs draws them uniformly.

        Raises
        ------
        SpaceError
            If hardly any row keeps the constraints.
        """
        if self.only is not None:
            rows = self._kept
            return rows[rng.integers(len(rows), size=count)]
        if not self.constraints:
            return self._draw(count, rng, balanced)
        kept = [np.zeros((0, len(self.columns)), dtype=np.int16)]
        missing, tried = count, 0
        while missing > 0 and tried < COUNTED:
            share = (count - missing + 1) / (tried + 2)
            size = int(min(max(64, 1.2 * missing / share), BATCH))
            rows = self._draw(size, rng, balanced)
            kept.append(rows[self._allowed(rows)][:missing])
            missing, tried = missing - len(kept[-1]), tried + size
        if missing > 0:
            kept.append(self._among_all(missing, count - missing, tried, rng))
        return np.concatenate(kept)

    def _among_all(self, missing: int, kept: int, tried: int, rng: np.random.Generator) -> Codes:
        """Uniform draws among the rows that keep the constraints, listed."""
        reasons = "; ".join(constraint.reason for constraint in self.constraints)
        if self.bound > COUNTED:
            raise SpaceError(
                f"space {self.name!r}: {kept} of {tried} draws keep its constraints, too few to search it; "
                f"write them as Limit or When, or list the designs. They are: {reasons}"
            )
        if not len(self._kept):
            raise SpaceError(f"space {self.name!r} has no valid point: none satisfies: {reasons}")
        return self._kept[rng.integers(len(self._kept), size=missing)]

    def _draw(self, count: int, rng: np.random.Generator, balanced: bool) -> Codes:
        """Rows drawn without regard to constraints."""
        codes = np.full((count, len(self.columns)), INACTIVE, dtype=np.int16)
        for plan in self._plans:
            plan.draw(codes, slice(None), count, rng, balanced)
        return codes

    def valid(self, codes: Codes) -> NDArray[np.bool_]:
        """Which rows are canonical and keep every limit and constraint, shape ``(n,)``."""
        ok = self._within(codes)
        if self.only is not None:
            ok &= np.fromiter((row.tobytes() in self._listed for row in codes), np.bool_, len(codes))
        if self.constraints:
            ok[ok] = self._allowed(codes[ok])
        return ok

    def _within(self, codes: Codes) -> NDArray[np.bool_]:
        """Which rows the items allow, shape ``(n,)``."""
        unknown = (codes < INACTIVE) | (codes >= self._layout.levels)
        ok: NDArray[np.bool_] = np.logical_not(unknown.any(axis=1))
        codes = np.clip(codes, INACTIVE, self._layout.levels - 1)
        ok &= ((codes != INACTIVE) == self._layout.existing(codes)).all(axis=1)
        for group in self._groups:
            ok &= group.keeps_limits(codes[:, group.start : group.start + group.width])
        return ok

    def _allowed(self, codes: Codes) -> NDArray[np.bool_]:
        """Which rows keep every constraint, shape ``(n,)``; each is asked once for what it sees alike."""
        ok = np.ones(len(codes), dtype=np.bool_)
        for constraint in self.constraints:
            names = self.names if constraint.names is None else constraint.names
            places = [self._index[name] for name in names]
            asked = np.flatnonzero(ok)
            seen, inverse = np.unique(codes[asked][:, places], axis=0, return_inverse=True)
            columns = [self.columns[place] for place in places]
            says = [_asked(constraint, _candidate_of(columns, row)) for row in seen.tolist()]
            ok[asked] = np.array(says, dtype=np.bool_)[inverse.ravel()]
        return ok

    def _seen_by(self, constraint: Constraint, candidate: Candidate) -> Candidate:
        if constraint.names is None:
            return candidate
        return Candidate({name: candidate[name] for name in constraint.names if name in candidate})

    @cached_property
    def _kept(self) -> Codes:
        """All valid rows, of a space that lists them or is small enough to try them."""
        rows = self._list() if self.only is None else self.encode(self.only)
        return rows[self._allowed(rows)]

    @cached_property
    def _listed(self) -> frozenset[bytes]:
        return frozenset(row.tobytes() for row in self.encode(self.only or ()))

    def neighbours(self, candidate: Candidate) -> list[Candidate]:
        """Valid candidates one edit away: a value changed, a layer inserted or deleted."""
        return self.decode(self.neighbour_codes(self.encode([candidate])[0]))

    def neighbour_codes(self, row: Codes) -> Codes:
        """Codes of the valid rows one edit away from ``row``, shape ``(n, d)``.

        With a changed value goes what it lets exist no longer; what it lets exist has its default.
        """
        counts = {group.start for group in self._groups}
        edits = []
        for index, column in enumerate(self.columns):
            if row[index] == INACTIVE or index in counts:
                continue
            others = [code for code in range(len(column.parameter.values)) if code != row[index]]
            changed = np.repeat(row[None], len(others), axis=0)
            changed[:, index] = others
            edits.append(changed)
        for group in self._groups:
            if row[group.start] == INACTIVE:
                continue
            blocks = group.resized(row[group.start : group.start + group.width])
            changed = np.repeat(row[None], len(blocks), axis=0)
            changed[:, group.start : group.start + group.width] = blocks
            edits.append(changed)
        rows = np.concatenate(edits) if edits else row[None][:0]
        rows = np.unique(self.settled(rows) if self._conditional else rows, axis=0)
        return rows[self.valid(rows)]

    def enumerate(self) -> Iterator[Candidate]:
        """Every valid candidate, in a fixed order."""
        for row in self.enumerate_codes():
            yield self.decode(row[None])[0]

    def enumerate_codes(self) -> Codes:
        """Codes of every valid candidate, shape ``(count(), d)``; for spaces that fit in memory."""
        return self._kept.copy() if self.constraints or self.only is not None else self._list()

    def _list(self) -> Codes:
        """Every row that the items allow."""
        if 2 * self.bound * len(self.columns) > LISTED_BYTES:
            raise SpaceError(
                f"space {self.name!r} has {self.bound} candidates, too many to list; sample them"
            )
        return crossed([plan.rows(len(self.columns)) for plan in self._plans], len(self.columns))

    def features(self, codes: Codes) -> NDArray[np.float64]:
        """Coordinates in the unit cube for a surrogate, shape ``(n, f)``.

        Ordered parameters by rank, categorical ones of more than two values one-hot. Where a parameter
        does not exist its default stands in; what it depends on, a coordinate too, says that it does not.
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


def _candidate_of(columns: Sequence[Column], row: Sequence[int]) -> Candidate:
    pairs = zip(columns, row, strict=True)
    return Candidate(
        {column.name: column.parameter.values[code] for column, code in pairs if code != INACTIVE}
    )


def _asked(constraint: Constraint, candidate: Candidate) -> bool:
    """What a predicate says; what it raises is told with the candidate."""
    try:
        return bool(constraint.predicate(candidate))
    except Exception as error:
        raise SpaceError(
            f"constraint {constraint.reason!r} raised {type(error).__name__}: {error} for {candidate}; "
            "a parameter that may not exist is read with candidate.get(name, default)"
        ) from error
