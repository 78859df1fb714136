"""Optuna: a define-by-run function as a space, and an Optuna study that drives a space.

``from_optuna`` needs no Optuna: it hands the function a trial of its own and watches what it asks for.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import numpy as np

from codesign.adapters.nesting import Conditional, fewest_conditions, nearest, nested, spacing
from codesign.errors import SpaceError
from codesign.space import (
    INACTIVE,
    Candidate,
    Parameter,
    SearchSpace,
    Value,
    categorical,
    integer,
    ordinal,
    real,
)
from codesign.space.parameters import key, listed
from codesign.tools import require_package

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

__all__ = ["MOST_VALUES", "Trial", "from_optuna", "suggest", "to_optuna"]

MOST_VALUES = 32_767
EXHAUSTED = 4_096
TRIED = 16
DRAWN = 2_000

Row = dict[str, Value]


class Trial(Protocol):
    """What is asked of a trial: of Optuna's, or of one of your own."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """A whole number."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A number."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of some values."""


class _Recorder:
    """A trial that gives the values it was told to give, and keeps what it was asked for."""

    def __init__(
        self, explorer: "_Explorer", wanted: Mapping[str, Value], rng: np.random.Generator | None = None
    ) -> None:
        self._explorer, self._wanted, self._rng = explorer, wanted, rng
        self.params: Row = {}
        self.number = 0

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self._value(name, _whole, low, high, step))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        if step is not None or low == high:
            return float(self._value(name, _stepped, low, high, step or 1.0))
        return float(self._value(name, _grid, low, high, self._explorer.levels, log))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._value(name, _named, *choices)

    def report(self, value: float, step: int) -> None:
        """Nothing: nothing is trained here."""

    def should_prune(self) -> bool:
        return False

    def set_user_attr(self, key: str, value: Any) -> None:
        """Nothing: nothing is kept."""

    def __getattr__(self, name: str) -> NoReturn:
        raise SpaceError(
            f"the function asks its trial for {name!r}; a space is made of suggest_int, suggest_float and "
            "suggest_categorical"
        )

    def _value(self, name: str, make: Callable[..., Parameter], *given: Any) -> Value:
        parameter = self._explorer.parameter(name, make, given)
        if name not in self.params:
            drawn = parameter.values[0]
            if self._rng is not None:
                drawn = parameter.values[int(self._rng.integers(len(parameter.values)))]
            self.params[name] = self._wanted.get(name, drawn)
        return self.params[name]


def _whole(name: str, low: int, high: int, step: int) -> Parameter:
    if (high - low) // max(step, 1) >= MOST_VALUES:
        raise SpaceError(
            f"{name!r} takes more than {MOST_VALUES} whole numbers from {low} to {high}; "
            "give a larger step, or suggest_float and round"
        )
    return integer(name, low, high, step=step)


def _grid(name: str, low: float, high: float, levels: int, log: bool) -> Parameter:
    return real(name, low, high, levels=levels, log=log)


def _named(name: str, *choices: Any) -> Parameter:
    plain = [choice.item() if isinstance(choice, np.generic) else choice for choice in choices]
    for choice in plain:
        if not isinstance(choice, bool | int | float | str):
            raise SpaceError(
                f"{name!r} has the choice {choice!r}; a value is a number, a text, True or False: "
                "give a text that stands for it"
            )
    return categorical(name, plain)


def _stepped(name: str, low: float, high: float, step: float) -> Parameter:
    if step <= 0 or high < low:
        raise SpaceError(f"{name!r} needs low <= high and a step above 0, got {low}, {high} and {step}")
    count = int((high - low) / step * (1 + 1e-12) + 1e-9) + 1
    if count > MOST_VALUES:
        raise SpaceError(f"{name!r} takes {count} values from {low} to {high}; give a larger step")
    return ordinal(name, tuple(float(f"{low + step * index:.12g}") for index in range(count)))


class _Explorer:
    """Runs of a function, by the values it was given; parameters it asked for, by name."""

    def __init__(self, function: Callable[[Any], object], levels: int, budget: int) -> None:
        self.function, self.levels, self.budget = function, levels, budget
        self.parameters: dict[str, Parameter] = {}
        self._asked: dict[tuple[Any, ...], Parameter] = {}
        self.runs = 0

    def parameter(self, name: str, make: Callable[..., Parameter], given: tuple[Any, ...]) -> Parameter:
        """The parameter that is asked for; one that has other values than in another branch is refused."""
        asked = (name, make, repr(given))
        if asked not in self._asked:
            parameter = make(name, *given)
            known = self.parameters.setdefault(name, parameter)
            if known != parameter:
                raise SpaceError(
                    f"{name!r} takes {listed(parameter.values)} in one branch and {listed(known.values)} in "
                    "another; a parameter has one list of values: give it another name in each branch, or "
                    "its widest range and a Constraint"
                )
            self._asked[asked] = parameter
        return self._asked[asked]

    def run(self, wanted: Mapping[str, Value], rng: np.random.Generator | None = None) -> Row:
        """What the function asked for, in its order, and the values it got."""
        self.runs += 1
        if self.runs > self.budget:
            raise SpaceError(
                f"{self.budget} runs of the function did not show all its branches; raise budget, "
                "or make fewer parameters decide over others"
            )
        trial = _Recorder(self, wanted, rng)
        try:
            self.function(trial)
        except SpaceError:
            raise
        except Exception as error:
            given = _said(trial.params) or "its first line"
            raise SpaceError(
                f"the function raised {type(error).__name__}: {error} for {given}; it is called with any "
                "values and only suggests: say what is not allowed as a Constraint of the space"
            ) from error
        return trial.params

    def leaves(self, switches: set[str] | None, limit: int) -> list[Row] | None:
        """Runs with every combination of values of the switches, others at their first; None: too many.

        Without ``switches`` all parameters are switches; too many are more than ``limit``.
        """
        found: list[Row] = []
        wanted: Row = {}
        while True:
            row = self.run(wanted)
            found.append(row)
            if len(found) > limit:
                return None
            names = [name for name in row if switches is None or name in switches]
            while names and key(row[names[-1]]) == key(self.parameters[names[-1]].values[-1]):
                names.pop()
            if not names:
                return found
            wanted = {name: row[name] for name in names}
            values = self.parameters[names[-1]].values
            wanted[names[-1]] = values[self.parameters[names[-1]].code(row[names[-1]]) + 1]

    def all_leaves(self) -> tuple[list[Row], set[str]]:
        """A run for each branch, and the names of the parameters that decide over branches."""
        listed_all = self.leaves(None, EXHAUSTED)
        if listed_all is not None:
            self._require_the_same(listed_all[-1])
            return listed_all, set(self.parameters)
        switches: set[str] = set()
        while True:
            leaves = self.leaves(switches, self.budget)
            assert leaves is not None
            more = self._found_alone(leaves, switches) or self._found_at_random(leaves, switches)
            if not more:
                return leaves, switches
            switches |= more

    def _found_alone(self, leaves: Sequence[Row], switches: set[str]) -> set[str]:
        """Parameters of which one changed value, beside a leaf's, changes what is asked for."""
        alike: dict[tuple[str, ...], list[Row]] = {}
        for leaf in leaves:
            alike.setdefault(tuple(leaf), []).append(leaf)
        few = [group[at] for group in alike.values() for at in _spread(len(group))]
        return {
            name
            for leaf in few
            for name in leaf
            if name not in switches
            and any(list(self.run({**leaf, name: value})) != list(leaf) for value in self._tried(name))
        }

    def _tried(self, name: str) -> list[Value]:
        parameter = self.parameters[name]
        if parameter.kind == "categorical":
            return list(parameter.values)
        return [parameter.values[at] for at in _spread(len(parameter.values))]

    def _found_at_random(self, leaves: Sequence[Row], switches: set[str]) -> set[str]:
        """A parameter that, together with others, changes what is asked for in one of many random runs."""
        by_switches = {_decided(leaf, switches): list(leaf) for leaf in leaves}
        rng = np.random.default_rng(0)
        for _ in range(DRAWN):
            drawn = self.run({}, rng)
            if by_switches.get(_decided(drawn, switches)) != list(drawn):
                return {self._first_that_matters(drawn, switches)}
        return set()

    def _first_that_matters(self, drawn: Row, switches: set[str]) -> str:
        """The first value of a run that, beside its switches and the values before, changes what is asked."""
        self._require_the_same(drawn)
        wanted = {name: value for name, value in drawn.items() if name in switches}
        asked = list(self.run(wanted))
        for name in drawn:
            wanted[name] = drawn[name]
            if list(self.run(wanted)) != asked:
                return name
        raise AssertionError("the last of these runs is the first again")

    def _require_the_same(self, row: Row) -> None:
        """Refuse a function that does not ask for the same when it is given the same."""
        if list(self.run(row)) != list(row):
            raise SpaceError(
                f"the function asks for other parameters when it is given the same values: {_said(row)}; "
                "what it suggests may depend on nothing else"
            )


def _spread(count: int) -> list[int]:
    """At most ``TRIED`` of so many places, both ends among them."""
    places: list[int] = np.unique(np.linspace(0, count - 1, TRIED).astype(np.int64)).tolist()
    return places


def _decided(row: Row, switches: set[str]) -> frozenset[tuple[str, Any]]:
    return frozenset((name, key(value)) for name, value in row.items() if name in switches)


def from_optuna(
    function: Callable[[Any], object], *, name: str | None = None, levels: int = 33, budget: int = 50_000
) -> SearchSpace:
    """The space of a define-by-run function: what it suggests, and under which values of what it suggested.

    The function is run with a trial that records. If all its combinations of values are at most ``EXHAUSTED``
    they are all run, and the space is exact. If there are more, the parameters that decide over others are
    looked for by changing one value at a time (of long ranges ``TRIED`` of them), and by ``DRAWN`` random
    runs, so that only a part that exists in less than about one of a thousand random designs can be missed.

    Parameters
    ----------
    function
        Takes a trial and suggests: ``suggest_int``, ``suggest_float``, ``suggest_categorical``, in ``if`` and
        ``for`` as it likes. What it returns does not matter. It must ask for the same with the same values.
    name
        Name of the space; the function's if None.
    levels
        Values of a float without a step: it becomes a grid, see ``codesign.space.real``.
    budget
        Most runs of the function.

    Returns
    -------
    space
        A parameter exists where the function suggests it. Whole numbers keep all their values; ``log`` is
        only seen in the grid of a float.

    Raises
    ------
    SpaceError
        For a name with other values in another branch, a part that exists under conditions no ``When`` says
        or by the value of a float without a step, a function that raises, or too many branches.

    Examples
    --------
    >>> def define(trial):
    ...     for i in range(trial.suggest_int("layers", 1, 2)):
    ...         if trial.suggest_categorical(f"kind_{i}", ["conv", "dense"]) == "conv":
    ...             trial.suggest_int(f"kernel_{i}", 1, 5, step=2)
    >>> from_optuna(define).count()
    20
    """
    explorer = _Explorer(function, levels, budget)
    rows, deciding = explorer.all_leaves()
    if not explorer.parameters:
        raise SpaceError(
            "the function suggests nothing; call trial.suggest_int, suggest_float or suggest_categorical"
        )
    parts = []
    for one, parameter in explorer.parameters.items():
        known = {other: each for other, each in explorer.parameters.items() if other in deciding}
        parts.append(_placed({**known, one: parameter}, one, rows))
    for part in parts:
        for parent, _ in part.conditions:
            if explorer.parameters[parent].kind == "float":
                raise SpaceError(
                    f"whether {part.name!r} exists depends on {parent!r}, a float without a step; "
                    "give it one, or decide by a suggest_categorical"
                )
    own_name = str(getattr(function, "__name__", "optuna"))
    return SearchSpace(name or own_name, nested(parts))


def _placed(parameters: Mapping[str, Parameter], name: str, rows: Sequence[Row]) -> Conditional:
    """A parameter with the conditions that tell the rows that have it from the others.

    ``parameters`` are those that decide over branches, and it.
    """
    there = [row for row in rows if name in row]
    elsewhere = [row for row in rows if name not in row]
    if not elsewhere:
        return Conditional(parameters[name])
    before = set.intersection(*(set(list(row)[: list(row).index(name)]) for row in there))
    restricting = [
        other
        for other in there[0]
        if other in before
        and other in parameters
        and len({key(row[other]) for row in there}) < len(parameters[other].values)
    ]
    conditions = fewest_conditions(there, elsewhere, restricting)
    if conditions is None:
        one, other = (
            {n: row[n] for n in row if n in parameters and n in before} for row in (there[0], there[-1])
        )
        raise SpaceError(
            f"{name!r} exists both for {_said(one)} and for {_said(other)}, but not for every mixture of "
            f"them; a When says a list of values of each parent: give {name!r} another name in each branch"
        )
    return Conditional(parameters[name], conditions)


def _said(row: Row) -> str:
    return ", ".join(f"{name}={value}" for name, value in row.items())


def suggest(trial: Trial, space: SearchSpace) -> Candidate:
    """A candidate of the space, its values asked of a trial one by one; only what exists is asked for.

    Even whole numbers are asked as ``suggest_int``, floats as ``suggest_float`` over their range (the
    candidate has the next value of the grid), all else as ``suggest_categorical``.

    Parameters
    ----------
    trial
        Optuna's, within an objective or of ``study.ask()``.
    space
        The space.

    Raises
    ------
    optuna.TrialPruned
        If what was drawn breaks a limit or a constraint, or is none of the designs the space lists; it gives
        the reason. ``study.optimize`` records such a trial as pruned and goes on, and its sampler learns from
        it. After ``study.ask()`` say it yourself: ``study.tell(trial, state=TrialState.PRUNED)``.
    """
    row = np.full(len(space.columns), INACTIVE, dtype=np.int16)
    for index, column in enumerate(space.columns):
        if all(row[each.parent] in each.codes for each in column.conditions):
            value = nearest(column.parameter, _asked(trial, column.name, column.parameter))
            row[index] = column.parameter.code(value, column.name)
    (candidate,) = space.decode(row[None])
    if space.valid(row[None])[0]:
        return candidate
    try:
        space.candidate(candidate.values)
    except SpaceError as error:
        reason = str(error)
    require_package("optuna", "peers")
    from optuna import TrialPruned

    raise TrialPruned(reason)


def _asked(trial: Trial, name: str, parameter: Parameter) -> Any:
    values, spaced = parameter.values, spacing(parameter)
    if parameter.kind == "float" and spaced:
        low, high = float(values[0]), float(values[-1])
        return trial.suggest_float(name, low, high, log=spaced == "log")
    if parameter.kind != "categorical" and spaced == "even" and all(isinstance(v, int) for v in values):
        first, second, last = int(values[0]), int(values[1]), int(values[-1])
        return trial.suggest_int(name, first, last, step=second - first)
    return trial.suggest_categorical(name, values)


def to_optuna(space: SearchSpace) -> "dict[str, BaseDistribution]":
    """Distributions of all parameters, as ``suggest`` asks for them, by name.

    For ``optuna.create_trial(params=..., distributions=...)``: evaluations that are there already, told to an
    Optuna study. Give it those of the parameters that exist in the candidate.

    Raises
    ------
    MissingToolError
        Without Optuna.
    """
    require_package("optuna", "peers")
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    class Distributions:
        def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> Any:
            return IntDistribution(low, high, log=log, step=step)

        def suggest_float(
            self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
        ) -> Any:
            return FloatDistribution(low, high, log=log, step=step)

        def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
            return CategoricalDistribution(choices)

    asks = Distributions()
    return {column.name: _asked(asks, column.name, column.parameter) for column in space.columns}
