"""``codesign table``: a search replayed over a table of which everything is known."""

import fnmatch
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codesign.cli.commands import _json_option, _print_json, cli
from codesign.errors import ConfigError, DataError, counted

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["table"]

CHECKPOINTS = (10, 20, 50, 100, 200, 500, 1000)


@cli.command(
    epilog="Example: codesign table fir.csv --knobs 'knob_*' --minimise time,logic --known logic "
    "--evaluations 50"
)
@click.argument("path", metavar="FILE.csv", type=click.Path())
@click.option("--knobs", required=True, help="Columns to choose by: names or patterns, by commas.")
@click.option("--minimise", default="", help="Objectives, by commas: less is better.")
@click.option("--maximise", default="", help="Objectives, by commas: more is better.")
@click.option("--known", default="", help="Objectives that the search may read of every row.")
@click.option("--estimates", default="", help="Cheap columns that hint at objectives: names or patterns.")
@click.option("--evaluations", type=click.IntRange(min=1), default=50, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@_json_option
def table(path: str, as_json: bool, evaluations: int, seed: int, **columns: str) -> None:
    """Replay the search over a CSV of designs with their results.

    It says how soon the front would have been found had each evaluation been made one by one. A row without a
    value of an objective (empty or nan) is an evaluation that fails.
    """
    from codesign.table import search_table, trace

    rows = _read(path)
    senses = _senses(columns["minimise"], columns["maximise"])
    names = list(senses)
    known = _split(columns["known"])
    values = {name: _numbers(rows, name, path, known=name in known) for name in names}
    stray = [name for name in known if name not in senses]
    if stray:
        raise ConfigError(f"--known {', '.join(stray)} is no objective; it is one of {', '.join(names)}")
    knobs = _matching(rows, columns["knobs"], "--knobs", path)
    estimates = _matching(rows, columns["estimates"], "--estimates", path) if columns["estimates"] else []
    leaks = sorted((set(knobs) | set(estimates)) & set(names))
    if leaks:
        raise ConfigError(f"{', '.join(leaks)} is both an objective and a column to choose by; it is one")
    beside = rows[[*known, *estimates]] if known or estimates else None
    for note in _notes(rows, knobs, names, path):
        click.echo(f"note: {note}", err=True)
    order = search_table(
        rows[knobs],
        lambda row: {name: float(values[name][row]) for name in names},
        senses,
        evaluations,
        known=beside,
        seed=seed,
    )
    data = _result(rows, knobs, senses, order, trace)
    if as_json:
        _print_json({"file": str(path), "known": known, "estimates": estimates, "seed": seed, **data})
    else:
        _show(data, names, knobs)


def _read(path: str) -> "DataFrame":
    import pandas as pd

    if not Path(path).is_file():
        raise DataError(f"{path} is no file; give a CSV with one row a design")
    try:
        rows = pd.read_csv(path)
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as CSV: {error}") from error
    if not len(rows):
        raise DataError(f"{path} has no rows; give one a design")
    return rows


def _split(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _senses(minimise: str, maximise: str) -> dict[str, Any]:
    senses = {**dict.fromkeys(_split(minimise), "min"), **dict.fromkeys(_split(maximise), "max")}
    both = sorted(set(_split(minimise)) & set(_split(maximise)))
    if both:
        raise ConfigError(f"{', '.join(both)} is both minimised and maximised; it is one")
    if len(senses) < 2:
        raise ConfigError("give at least two objectives, such as --minimise time,logic")
    return senses


def _matching(rows: "DataFrame", patterns: str, option: str, path: str) -> list[str]:
    """Columns of names or patterns, in the order of the file."""
    names = [str(name) for name in rows.columns]
    found: set[str] = set()
    for pattern in _split(patterns):
        matches = fnmatch.filter(names, pattern)
        if not matches:
            raise ConfigError(f"{option} {pattern}: no such column in {path}; it has {', '.join(names)}")
        found |= set(matches)
    if not found:
        raise ConfigError(f"{option} names no column; {path} has {', '.join(names)}")
    return [name for name in names if name in found]


def _numbers(rows: "DataFrame", name: str, path: str, *, known: bool) -> Any:
    """Values of an objective; NaN where there is none, which one that is known must not have."""
    import numpy as np
    import pandas as pd

    if name not in rows.columns:
        raise ConfigError(f"{path} has no column {name}; it has {', '.join(map(str, rows.columns))}")
    values = pd.to_numeric(rows[name], errors="coerce").to_numpy(dtype=np.float64)
    gaps = rows[name].isna().to_numpy()
    bad = np.flatnonzero(~np.isfinite(values) & (~gaps | known))
    if len(bad):
        given = _cell(path, name, int(bad[0]))
        more = f" (and {counted(len(bad) - 1, 'more row')})" if len(bad) > 1 else ""
        what, instead = "an objective", "or empty it if the evaluation failed"
        if known:
            what, instead = (
                "an objective that is known of every row",
                "leave the row out, or take --known away",
            )
        raise DataError(
            f"{path}, line {bad[0] + 2}, column {name}: expected a finite number, for it is {what}, "
            f"got {given}{more}; mend the cell, {instead}"
        )
    if gaps.all():
        raise DataError(f"{path}, column {name}: every cell is empty or nan; an objective has values")
    return values


def _cell(path: str, name: str, row: int) -> str:
    """What stands in a cell, as it was written."""
    import pandas as pd

    written = str(pd.read_csv(path, dtype=str, keep_default_na=False)[name].iloc[row])
    return repr(written) if written else "an empty cell"


def _notes(rows: "DataFrame", knobs: Sequence[str], names: Sequence[str], path: str) -> list[str]:
    """What to know of a table: rows that fail, and equal designs with other results."""
    failed = rows[names].isna().any(axis=1).to_numpy()
    again = (rows.duplicated(knobs) & ~rows.duplicated([*knobs, *names])).to_numpy()
    notes = []
    if failed.any():
        notes.append(
            f"{counted(int(failed.sum()), 'row')} of {len(rows)} without a value of an objective, the first "
            f"in line {failed.argmax() + 2} of {path}: evaluations that fail"
        )
    if again.any():
        design = rows.groupby(list(knobs), dropna=False).ngroup().to_numpy()
        first = (design == design[again.argmax()]).argmax()
        notes.append(
            f"{counted(int(again.sum()), 'row')} with the knobs of an earlier row and other results, the "
            f"first in line {again.argmax() + 2} of {path} (as line {first + 2}): each is a design of its own"
        )
    return notes


def _result(
    rows: "DataFrame", knobs: Sequence[str], senses: Mapping[str, Any], order: list[int], trace: Any
) -> dict[str, Any]:
    """Plain data for JSON: the order, the front found, and how good it was after each evaluation."""
    import numpy as np

    from codesign.pareto import non_dominated

    names = list(senses)
    values = rows[names].to_numpy(dtype=np.float64)
    signs = np.array([1.0 if sense == "min" else -1.0 for sense in senses.values()])
    scores = trace(values, list(senses.values()), order)
    ok = np.isfinite(values).all(axis=1)
    went_well = [row for row in order if ok[row]]
    front = [
        row for row, kept in zip(went_well, non_dominated(values[went_well] * signs), strict=True) if kept
    ]
    best = sorted(front, key=lambda row: tuple(values[row] * signs))
    wanted = {tuple(each) for each in values[ok][non_dominated(values[ok] * signs)]}
    reached = {tuple(values[row]): count for count, row in reversed(list(enumerate(order, 1)))}
    found = [reached[each] for each in wanted if each in reached]
    return {
        "rows": len(rows),
        "objectives": dict(senses),
        "order": order,
        "failed": [row for row in order if not ok[row]],
        "front": [
            {"row": row, "evaluation": order.index(row) + 1, **_plain(rows, row, [*names, *knobs])}
            for row in best
        ],
        "table_front": {
            "points": len(wanted),
            "found": len(found),
            "last_found_at": max(found, default=None),
        },
        "adrs": None if scores.adrs is None else scores.adrs.tolist(),
        "hypervolume_ratio": scores.hypervolume_ratio.tolist(),
    }


def _plain(rows: "DataFrame", row: int, names: Sequence[str]) -> dict[str, Any]:
    values = {name: rows[name].iloc[row] for name in names}
    return {name: value.item() if hasattr(value, "item") else value for name, value in values.items()}


def _how_soon(front: Mapping[str, Any], evaluations: int) -> str:
    """When the last point of the table's front was found, and whether any is missing."""
    points, found, last = front["points"], front["found"], front["last_found_at"]
    said = f"Of {counted(points, 'point')} on the table's front {found} found"
    when = f", the last at evaluation {last} of {evaluations}" if found else ""
    left = "; the whole front was found then" if found == points else "; more --evaluations may find the rest"
    return f"{said}{when}{left}."


def _show(data: Mapping[str, Any], names: Sequence[str], knobs: Sequence[str]) -> None:
    from rich.table import Table

    from codesign.cli.view import make_console

    screen = make_console()
    order, adrs = data["order"], data["adrs"]
    screen.print(
        f"{len(order)} of {counted(data['rows'], 'design')}, in the order of evaluation (rows from 0):"
    )
    screen.print(" ".join(map(str, order)), soft_wrap=True)
    if data["failed"]:
        failed = " ".join(map(str, data["failed"]))
        screen.print(f"Failed {len(data['failed'])} of {len(order)}: {failed}", soft_wrap=True)
    found = Table("row", "evaluation", *names, *knobs, title="Front found", title_justify="left", box=None)
    for design in data["front"]:
        found.add_row(
            *(f"{value:.6g}" if isinstance(value, float) else str(value) for value in design.values())
        )
    screen.print(found)
    screen.print(_how_soon(data["table_front"], len(order)), soft_wrap=True)
    scores = Table("evaluations", "ADRS", "hypervolume ratio", title="Against the table's front", box=None)
    scores.title_justify = "left"
    for count in [*(each for each in CHECKPOINTS if each < len(order)), len(order)]:
        distance = "-" if adrs is None else f"{adrs[count - 1]:.4f}"
        scores.add_row(f"{count}", distance, f"{data['hypervolume_ratio'][count - 1]:.4f}")
    screen.print(scores)
    if adrs is None:
        screen.print("ADRS is of positive objectives only")
