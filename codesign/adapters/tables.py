"""Tables of designs that are listed already: a row a design, a column a knob; from and to data frames."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from codesign.adapters.nesting import Condition, Conditional, fewest_conditions, nested
from codesign.errors import DataError, SpaceError
from codesign.evaluation import Evaluation
from codesign.space import Candidate, Parameter, SearchSpace, Value, categorical, ordinal

if TYPE_CHECKING:
    from pandas import DataFrame, Series

__all__ = ["from_table", "to_table"]

MOST_VALUES = 32_767

Row = dict[str, Value]


def from_table(table: "DataFrame", knobs: Sequence[str] | None = None, *, name: str = "table") -> SearchSpace:
    """The space of the designs of a table: what its rows are, and nothing else.

    Parameters
    ----------
    table
        One row a design. A missing value (NaN) says that the knob does not exist in the design; which values
        of other knobs go with that is found out, and becomes a ``When``.
    knobs
        The columns that are knobs, in the order in which candidates show them; all of them if None. Numbers
        become ordinal, texts and booleans categorical.
    name
        Name of the space.

    Returns
    -------
    space
        ``only`` holds a candidate a row, in the order of the rows.

    Raises
    ------
    DataError
        For a column that is not there, an empty table, a value that is none, or two rows with the same knobs.
    SpaceError
        For a knob that is missing where no other knobs tell why.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"unroll": [1, 2, 4], "pipeline": [False, True, True], "time": [9.0, 5.0, 3.0]})
    >>> space = from_table(table, ["unroll", "pipeline"])
    >>> space.count()
    3
    >>> print(space.only[2])
    unroll=4, pipeline=True
    """
    chosen = list(map(str, table.columns)) if knobs is None else list(knobs)
    _check(table, chosen)
    values = {knob: _values(table[knob], knob) for knob in chosen}
    rows: list[Row] = [{} for _ in range(len(table))]
    for knob, column in values.items():
        for row, value in zip(rows, column, strict=True):
            if value is not None:
                row[knob] = value
    parameters = [_parameter(knob, [value for value in values[knob] if value is not None]) for knob in chosen]
    space = SearchSpace(name, nested(_conditionals(parameters, rows)))
    designs = space.decode(space.encode([Candidate(row) for row in rows]))
    first: dict[Candidate, int] = {}
    for at, design in enumerate(designs):
        if first.setdefault(design, at) != at:
            raise DataError(
                f"rows {first[design]} and {at} are the same design ({design}); keep one, or name more knobs"
            )
    return replace(space, only=tuple(designs))


def _check(table: "DataFrame", knobs: Sequence[str]) -> None:
    if not len(table) or not knobs:
        raise DataError(f"the table has {len(table)} rows and {len(knobs)} knobs; give at least one of each")
    for knob in knobs:
        found = int((table.columns == knob).sum())
        if found != 1 or knobs.count(knob) > 1:
            raise DataError(
                f"the knob {knob!r} is a column {found} times and asked for {knobs.count(knob)} times; "
                f"the columns are {', '.join(map(str, table.columns))}"
            )
        if table[knob].isna().all():
            raise DataError(f"the knob {knob!r} has no value in any row; leave it out")


def _values(column: "Series[Any]", knob: str) -> list[Value | None]:
    """Plain values, None where there is none; whole numbers that missing ones made floats are whole again."""
    missing = column.isna().to_numpy()
    found: list[Value | None] = []
    for value, gone in zip(column.tolist(), missing.tolist(), strict=True):
        plain = value.item() if isinstance(value, np.generic) else value
        if not gone and not isinstance(plain, bool | int | float | str):
            raise DataError(f"the knob {knob!r} has the value {plain!r}; give numbers, texts or booleans")
        if not gone and isinstance(plain, float) and not np.isfinite(plain):
            raise DataError(f"the knob {knob!r} has the value {plain}; give finite numbers, or none")
        found.append(None if gone else plain)
    floats = [value for value in found if isinstance(value, float)]
    if missing.any() and all(value.is_integer() for value in floats):
        return [int(value) if isinstance(value, float) else value for value in found]
    return found


def _parameter(knob: str, values: Sequence[Value]) -> Parameter:
    different = list(dict.fromkeys(values))
    if len(different) > MOST_VALUES:
        raise DataError(f"the knob {knob!r} has {len(different)} values, more than {MOST_VALUES}; round it")
    if any(isinstance(value, bool | str) for value in different):
        return categorical(knob, sorted(different, key=lambda value: (str(type(value)), value)))
    return ordinal(
        knob, sorted(float(value) if isinstance(value, float) else int(value) for value in different)
    )


def _conditionals(parameters: Sequence[Parameter], rows: Sequence[Row]) -> list[Conditional]:
    """Each knob with the values of others that go with its being there, those that are always there first."""
    found: dict[str, tuple[Condition, ...]] = {}
    while len(found) < len(parameters):
        more = {}
        for parameter in parameters:
            if parameter.name not in found:
                there = [row for row in rows if parameter.name in row]
                elsewhere = [row for row in rows if parameter.name not in row]
                conditions = fewest_conditions(there, elsewhere, list(found))
                if conditions is not None:
                    more[parameter.name] = conditions
        if not more:
            lost = [parameter.name for parameter in parameters if parameter.name not in found]
            raise SpaceError(
                f"the knobs {', '.join(lost)} are missing in some rows, and no values of other knobs tell in "
                "which; add the knob that decides, or fill them in"
            )
        found |= more
    return [Conditional(parameter, found[parameter.name]) for parameter in parameters]


def to_table(space: SearchSpace, designs: Iterable[Candidate | Evaluation]) -> "DataFrame":
    """A row a design: the knobs in the order of the space, then what is known of it.

    Parameters
    ----------
    space
        The space of the designs; a knob that none of them has is an empty column.
    designs
        Candidates, or evaluations, whose metrics (their means), costs and status follow as columns. All
        that a study knows is in its ``to_dataframe``.

    Returns
    -------
    table
        A knob that does not exist is missing. Whole numbers stay whole (``Int64``), so that what
        ``to_csv(index=False)`` writes and ``pandas.read_csv`` reads is the same designs; where a text may be
        ``NA``, ``None`` or the like, read it with ``keep_default_na=False, na_values=[""]``.

    Raises
    ------
    SpaceError
        For a design that is not of the space.
    DataError
        For a metric or cost that is named as a knob.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    candidates: list[Candidate] = []
    for design in designs:
        rows.append(_results(design) if isinstance(design, Evaluation) else {})
        candidates.append(design.candidate if isinstance(design, Evaluation) else design)
    wrong = np.flatnonzero(~space.valid(space.encode(candidates)))
    if len(wrong):
        raise SpaceError(f"row {wrong[0]} is no design of space {space.name!r}: {candidates[int(wrong[0])]}")
    columns = {
        knob: pd.array(
            [candidate.values.get(knob, pd.NA) for candidate in candidates],
            dtype=_dtype(parameter.values),
        )
        for knob, parameter in zip(space.names, (column.parameter for column in space.columns), strict=True)
    }
    results = pd.DataFrame(rows, index=range(len(rows)))
    same = sorted(set(space.names) & set(results.columns))
    if same:
        raise DataError(f"{', '.join(same)} is a knob and a result; rename one")
    return pd.concat([pd.DataFrame(columns), results], axis=1)


def _dtype(values: Sequence[Value]) -> Any:
    types = {type(value) for value in values}
    if types == {bool}:
        return "boolean"
    if types == {int}:
        return "Int64"
    return "Float64" if types <= {int, float} else "object"


def _results(evaluation: Evaluation) -> dict[str, Any]:
    metrics = {name: summary.mean for name, summary in evaluation.metrics.items()}
    return {**metrics, **evaluation.costs, "status": evaluation.status}
