"""Search over a table of designs that are listed already: rows of knobs, evaluated one at a time.

The space is whatever the rows are, conditional or not: a design that is not in the table cannot be built. An
objective is *known* (a column that is exact for every row), *estimated* (a cheap column that is biased, seen
by the surrogate beside the knobs) or *measured* (only ``evaluate`` tells).
"""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from codesign.errors import CodesignError, ConfigError, DataError, counted
from codesign.optimisers.surrogates import Scale, Surrogates, corner_anchored, reference
from codesign.pareto import hypervolume, non_dominated

if TYPE_CHECKING:
    from pandas import DataFrame, Series

__all__ = ["SurrogateWarning", "Trace", "coordinates", "search_table", "trace"]

FloatArray = NDArray[np.float64]

START = 6
LEAST = 2
DECADE = 8.0
JUDGED = 12
CORNER = 1.1
NO_BETTER = 0.95


class SurrogateWarning(UserWarning):
    """A surrogate predicts hardly better than the mean: so the search was hardly better than a random one."""


def search_table(
    knobs: "DataFrame",
    evaluate: Callable[[int], Mapping[str, float]],
    objectives: Mapping[str, str],
    evaluations: int,
    *,
    known: "DataFrame | None" = None,
    seed: int = 0,
) -> list[int]:
    """Search the rows of a table for the best trades of some objectives.

    The first ``START`` rows are spread out from two opposite corners; then the row with the largest expected
    growth of the hypervolume follows, exactly computed from a Gaussian process for each measured objective
    and the values of each known one.

    Parameters
    ----------
    knobs
        One row a design, one column a knob: numbers, or names of categories; NaN where a knob does not exist
        in a design.
    evaluate
        Maps the number of a row to its measured objectives. Called once for each row chosen. An evaluation
        that raises ``CodesignError``, or whose values are missing or not finite, has failed: the row counts
        and is not proposed again, and the surrogates learn where evaluations fail.
    objectives
        ``min`` or ``max`` by the name of each objective.
    evaluations
        How many rows to evaluate; fewer if the table has fewer.
    known
        One row a design. A column named as an objective is exact, whatever ``evaluate`` says; any other is an
        estimate.
    seed
        Breaks ties. The same seed gives the same rows.

    Returns
    -------
    rows
        Numbers from 0 of the rows, in the order in which they were evaluated.

    Raises
    ------
    ConfigError
        For a sense that is neither ``min`` nor ``max``, no objective, or a negative number of evaluations.
    DataError
        For tables of different lengths, or a known objective that is not a finite number everywhere.

    Warns
    -----
    SurrogateWarning
        If, left out, evaluations are predicted hardly better than by the mean of the others: the error is at
        least ``NO_BETTER`` of the mean's.

    Examples
    --------
    >>> import pandas as pd
    >>> knobs = pd.DataFrame({"unroll": [1, 2, 4, 8, 16, 32, 64]})
    >>> area = pd.DataFrame({"area": [1.0, 2.1, 4.4, 9.0, 20.0, 41.0, 90.0]})
    >>> def compile_and_time(row):
    ...     return {"time": 100.0 / knobs["unroll"][row]}
    >>> goals = {"time": "min", "area": "min"}
    >>> sorted(search_table(knobs, compile_and_time, goals, 7, known=area))
    [0, 1, 2, 3, 4, 5, 6]
    """
    search = _Search.of(knobs, objectives, evaluations, known)
    rng = np.random.default_rng(seed)
    while len(search.order) < min(evaluations, len(knobs)):
        with threadpool_limits(1):  # threads of so small matrices wait for each other
            row = search.next(rng)
        search.tell(row, _outcome(evaluate, row, search.measured))
    search.warn()
    return search.order


class _Search:
    """What a search has seen so far; the surrogates are a function of it, kept to be added to."""

    def __init__(
        self, inputs: FloatArray, measured: Sequence[str], signs: FloatArray, known: FloatArray
    ) -> None:
        self.inputs, self.measured, self.signs, self.known = inputs, tuple(measured), signs, known
        self.order: list[int] = []
        self.values: list[FloatArray] = []
        self.surrogates: Surrogates | None = None

    @classmethod
    def of(
        cls,
        knobs: "DataFrame",
        objectives: Mapping[str, str],
        evaluations: int,
        known: "DataFrame | None",
    ) -> "_Search":
        """Check what was given, and see it as arrays."""
        _check(knobs, objectives, evaluations, known)
        exact = [name for name in objectives if known is not None and name in known.columns]
        estimates = [] if known is None else [name for name in known.columns if name not in objectives]
        parts = [coordinates(knobs)]
        columns = np.zeros((len(knobs), 0))
        if known is not None:
            parts.append(coordinates(known[estimates]))
            if exact:
                signs = [_sign(objectives[name]) for name in exact]
                columns = np.stack([_finite(known[name]) for name in exact], axis=1) * signs
        measured = [name for name in objectives if name not in exact]
        signs_of_measured = np.array([_sign(objectives[name]) for name in measured])
        return cls(np.concatenate(parts, axis=1), measured, signs_of_measured, columns)

    def tell(self, row: int, values: FloatArray) -> None:
        self.order.append(row)
        self.values.append(values * self.signs)

    def next(self, rng: np.random.Generator) -> int:
        """The row to evaluate next, one that has not been."""
        left = np.setdiff1d(np.arange(len(self.inputs)), self.order)
        measured = np.array(self.values).reshape(len(self.order), len(self.measured))
        ok = np.atleast_1d(np.isfinite(measured).all(axis=1))
        if len(self.order) < START or ok.sum() < LEAST:
            return int(left[corner_anchored(self.inputs[left], self.inputs[self.order], rng)])
        inputs, exact = self.inputs[self.order], self.known[self.order]
        values = np.concatenate([measured[ok], exact[ok]], axis=1)
        scale = Scale.of(values)
        self.surrogates = Surrogates.fit(inputs, measured[ok], ok, scale, self.surrogates)
        scaled = scale(values)
        corner = reference(scaled, len(self.order))
        gains = self.surrogates.log_gains(self.inputs[left], self.known[left], scaled, corner)
        return int(left[(gains + 1e-9 * rng.random(len(gains))).argmax()])

    def warn(self) -> None:
        """Say so if the surrogates were no use."""
        if self.surrogates is None or len(self.order) < JUDGED:
            return
        for name, error in zip(self.measured, self.surrogates.errors(), strict=True):
            if error >= NO_BETTER:
                warnings.warn(
                    f"{name}: left out, evaluations are predicted hardly better than by the mean of the "
                    f"others ({error:.2f} times its error); the rows were chosen hardly better than at "
                    "random. Give knobs or estimates that tell more, or look for noise in the evaluations",
                    SurrogateWarning,
                    stacklevel=3,
                )


def _outcome(evaluate: Callable[[int], Mapping[str, float]], row: int, measured: Sequence[str]) -> FloatArray:
    """Measured values of a row, shape ``(j,)``; NaN where there is none."""
    try:
        found = evaluate(row)
    except CodesignError:
        return np.full(len(measured), np.nan)
    if not isinstance(found, Mapping):
        raise ConfigError(f"evaluate returns a mapping of objectives to numbers, got {found!r} for row {row}")
    return np.array([_number(found.get(name), name, row) for name in measured], dtype=np.float64)


def _number(value: Any, name: str, row: int) -> float:
    try:
        return float("nan") if value is None else float(value)
    except (TypeError, ValueError):
        raise ConfigError(f"evaluate gives {name} of row {row} as {value!r}; give a number") from None


def _check(
    knobs: "DataFrame", objectives: Mapping[str, str], evaluations: int, known: "DataFrame | None"
) -> None:
    if not objectives:
        raise ConfigError("no objective; give at least one as {'name': 'min'} or {'name': 'max'}")
    for name, sense in objectives.items():
        if sense not in ("min", "max"):
            raise ConfigError(f"objective {name!r} is 'min' or 'max', got {sense!r}")
    if evaluations < 0:
        raise ConfigError(f"evaluations is a number from 0, got {evaluations}")
    if known is not None and len(known) != len(knobs):
        raise DataError(
            f"knobs has {len(knobs)} rows and known {len(known)}; give one of each for every design"
        )
    for table in (knobs,) if known is None else (knobs, known):
        twice = sorted({str(name) for name in table.columns[table.columns.duplicated()]})
        if twice:
            raise DataError(f"there are two columns named {', '.join(twice)}; rename one")


def _sign(sense: str) -> float:
    return 1.0 if sense == "min" else -1.0


def _finite(column: "Series[Any]") -> FloatArray:
    """Values of a known objective."""
    try:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise DataError(f"known objective {column.name!r} must be numbers, got {column.dtype}") from None
    missing = np.flatnonzero(~np.isfinite(values))
    if len(missing):
        raise DataError(
            f"known objective {column.name!r} is not finite in {counted(len(missing), 'row')}, the first row "
            f"{missing[0]}; leave these rows out, or let evaluate tell this objective"
        )
    return values


def coordinates(columns: "DataFrame") -> FloatArray:
    """Columns as a surrogate sees them, from 0 to 1, shape ``(n, d)``.

    Numbers in even steps, or in even ratios if they are positive and the largest is at least ``DECADE`` times
    the smallest (a column with zeros beside such numbers: by rank); names one-hot. Where a value is missing a
    flag says so and the median stands in. What is the same in every row tells nothing and is left out.
    """
    parts: list[FloatArray] = []
    flags: list[FloatArray] = []
    for name in columns.columns:
        column = columns[name]
        missing = column.isna().to_numpy()
        if missing.any():
            flags.append(missing.astype(np.float64))
        parts += _numeric(column, missing) if _is_number(column) else _categories(column)
    distinct = {flag.tobytes(): flag for flag in flags if np.ptp(flag) > 0}
    kept = [part for part in (*parts, *distinct.values()) if len(part) and np.ptp(part) > 0]
    return np.stack(kept, axis=1) if kept else np.zeros((len(columns), 0))


def _is_number(column: "Series[Any]") -> bool:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    return bool(is_numeric_dtype(column.dtype) or is_bool_dtype(column.dtype))


def _numeric(column: "Series[Any]", missing: NDArray[np.bool_]) -> list[FloatArray]:
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    there = np.isfinite(values)
    if not there.any():
        return []
    levels, rank = np.unique(values[there], return_inverse=True)
    positive = levels[levels > 0]
    wide = len(positive) > 1 and positive[-1] >= DECADE * positive[0]
    if wide and len(positive) == len(levels):
        seen = np.log(values[there])
    elif wide and levels[0] == 0:
        seen = rank.astype(np.float64)
    else:
        seen = values[there]
    low, width = seen.min(), np.ptp(seen)
    coordinate = np.full(len(values), np.median(seen))
    coordinate[there] = seen
    return [(coordinate - low) / (width if width > 0 else 1.0)]


def _categories(column: "Series[Any]") -> list[FloatArray]:
    """One-hot, so that two categories are as far apart as the ends of a number; of two, one column."""
    names = column.astype(str).to_numpy()
    levels = sorted(set(names[column.notna().to_numpy()]))
    if len(levels) == 2:
        levels = levels[1:]
        return [(names == levels[0]).astype(np.float64)]
    return [(names == level) / 2**0.5 for level in levels]


@dataclass(frozen=True, slots=True)
class Trace:
    """How near a search has come to the front of a table, after each evaluation.

    Parameters
    ----------
    adrs
        Average distance from the reference set, shape ``(n,)``, from 1 to 0; None if some value is not
        positive.
    hypervolume_ratio
        Hypervolume over that of the whole table, shape ``(n,)``, from 0 to 1.
    """

    adrs: FloatArray | None
    hypervolume_ratio: FloatArray


def trace(values: FloatArray, senses: Sequence[str], order: Iterable[int]) -> Trace:
    """Score an order of evaluation against a table of which everything is known.

    ADRS: the mean over the table's front of the least, over what is evaluated, of the largest relative
    shortfall ``max(0, max_j (r_j - y_j) / r_j)``, where ``y`` is the objective, or its inverse where it is
    minimised (Gautier et al., *Sherlock: a multi-objective design space exploration framework*, ACM TODAES
    27(4), 2022). Hypervolumes: of logarithms where all values are positive, scaled to 0 to 1 by the table,
    up to 1.1.

    Parameters
    ----------
    values
        Shape ``(n, m)``; a row with NaN is an evaluation that failed, which finds nothing.
    senses
        ``min`` or ``max`` of each column.
    order
        Rows in the order of evaluation.
    """
    rows = np.array(list(order), dtype=np.int64)
    signs = np.array([_sign(sense) for sense in senses])
    ok = np.atleast_1d(np.isfinite(values).all(axis=1))
    values = np.where(ok[:, None], values, np.nan)
    costs = values * signs
    positive = (values[ok] > 0).all(axis=0)
    seen = np.where(positive, signs * np.log(np.where(positive, values, 1.0)), costs)
    width = np.ptp(seen[ok], axis=0)
    seen = (seen - seen[ok].min(axis=0)) / np.where(width > 0, width, 1.0)
    corner = np.full(values.shape[1], CORNER)
    whole = hypervolume(seen, corner)
    ratios = np.array([hypervolume(seen[rows[: count + 1]], corner) for count in range(len(rows))]) / whole
    distance = None
    if positive.all():
        merit = values**-signs
        front = merit[ok][non_dominated(costs[ok])]
        short = (1.0 - merit[rows][None, :, :] / front[:, None, :]).max(axis=2)
        short = np.where(ok[rows], short, 1.0)
        distance = np.minimum.accumulate(np.maximum(short, 0.0), axis=1).mean(axis=0)
    return Trace(distance, ratios)
