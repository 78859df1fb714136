"""``codesign studies``: several studies side by side, by one measure."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codesign.cli.commands import _json_option, _print_json, cli
from codesign.errors import ConfigError, StoreError, counted
from codesign.hardware.estimate import WORK

if TYPE_CHECKING:
    from rich.table import Table

    from codesign.assessment import Assessment, Search
    from codesign.study import Study

__all__ = ["studies"]


@cli.command(epilog="Example: codesign studies runs/ehvi runs/random --plot fronts.png")
@click.argument("folders", metavar="DIR DIR...", nargs=-1, required=True, type=click.Path())
@click.option("--plot", metavar="FILE.png", type=click.Path(), help="Draw the fronts, a colour a study.")
@_json_option
def studies(folders: tuple[str, ...], plot: str | None, as_json: bool) -> None:
    """Compare studies by one measure.

    Two seeds, two optimisers, with and without a calibration: the hypervolume of each front to one reference
    point, its share of that of the union of the fronts, also after as many designs as the shortest study has,
    and how much of the union's front each study found.

    Studies have the same objectives, and where a metric is traded the same task and data.
    """
    from codesign.assessment import assess
    from codesign.study import Study

    _require_several(folders)
    if plot is not None and Path(plot).suffix.lower() != ".png":
        raise ConfigError(f"--plot {plot}: the picture is a PNG; name a file that ends in .png")
    names = _names(folders)
    with ExitStack() as opened:
        found = {name: Study.read(folder) for name, folder in zip(names, folders, strict=True)}
        for study in found.values():
            opened.enter_context(study.store)
        _require_same(found)
        searches = [_search(name, study) for name, study in found.items()]
        assessed = assess(searches)
        units = next(iter(found.values())).units
        notes = _notes(found, searches)
    if plot is not None:
        _draw(plot, searches, units)
    if as_json:
        rows = [_row(found[each.name], asdict(each)) for each in assessed.standings]
        _print_json({"studies": rows, **assessed.to_dict(), "notes": notes, "picture": plot})
        return
    _show(found, assessed, units, notes)
    if plot is not None:
        click.echo(f"Picture: {plot}")


def _require_several(folders: Sequence[str]) -> None:
    if len(folders) < 2:
        raise ConfigError(f"give two studies or more, got {folders[0]}; `codesign front` shows a single one")
    counts = Counter(Path(folder).resolve() for folder in folders)
    for folder in folders:
        if counts[Path(folder).resolve()] > 1:
            raise ConfigError(f"{folder} is given more than once; give each study once")


def _names(folders: Sequence[str]) -> list[str]:
    """The last part of each path, or the path where that is not its own."""
    names = [Path(folder).resolve().name for folder in folders]
    counts = Counter(names)
    return [name if counts[name] == 1 else str(folder) for name, folder in zip(names, folders, strict=True)]


def _search(name: str, study: "Study") -> "Search":
    from codesign.assessment import Search
    from codesign.study import WARM_START

    history = study.history
    given = tuple(each for each in history if each.origin.startswith(WARM_START))
    own = tuple(each for each in history if not each.origin.startswith(WARM_START))
    if not own:
        raise StoreError(f"{study.folder} has no finished design yet; go on with it first, or leave it out")
    return Search(name, own, study.objectives, given)


def _require_same(found: Mapping[str, "Study"]) -> None:
    """Raise ``ConfigError`` where no measure is common to the studies, naming what differs."""
    (first, base), *others = found.items()
    for name, study in others:
        if _senses(study) != _senses(base):
            raise ConfigError(
                f"{name} trades {_spelt(study)}, and {first} {_spelt(base)}: one measure needs the same "
                "objectives; compare studies that have them"
            )
        differing = _differing({first: _task(base), name: _task(study)})
        if _metrics(base) and differing:
            raise ConfigError(
                f"{name} and {first} score {', '.join(_metrics(base))} by another task or on other data: "
                f"{'; '.join(differing)}; compare studies of the same task and data"
            )


def _senses(study: "Study") -> dict[str, str]:
    return {goal.name: goal.sense for goal in study.objectives}


def _spelt(study: "Study") -> str:
    return ", ".join(f"{goal.sense} {goal.name}" for goal in study.objectives)


def _metrics(study: "Study") -> list[str]:
    """Objectives that are scores of the task."""
    return [goal.name for goal in study.objectives if goal.name in study.meta["task"]["metrics"]]


def _task(study: "Study") -> dict[str, Any]:
    """What tells a task and its data from others."""
    return _flat("task", study.meta["task"])


def _flat(prefix: str, values: Any) -> dict[str, Any]:
    """One entry a field: ``recipe steps``."""
    if not isinstance(values, Mapping):
        return {prefix: values}
    return {f"{prefix} {name}": value for name, value in values.items()}


def _differing(fields: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What is not the same in all studies, with the value in each: ``seed: 0 in a, b; 1 in c``."""
    said = []
    for field in dict.fromkeys(name for values in fields.values() for name in values):
        studies_of: dict[str, list[str]] = {}
        for study, values in fields.items():
            value = values.get(field)
            text = (
                "none" if value in (None, [], "") else value if isinstance(value, str) else json.dumps(value)
            )
            studies_of.setdefault(text, []).append(study)
        if len(studies_of) > 1:
            listed = ", ".join(f"{text} in {' and '.join(who)}" for text, who in studies_of.items())
            said.append(f"{field} {listed}")
    return said


def _notes(found: Mapping[str, "Study"], searches: Sequence["Search"]) -> list[str]:
    """What a reader of the table has to know of how the studies differ."""
    notes = []
    costs = _differing({name: _target(study) for name, study in found.items()})
    if costs and any(_predicted(study) for study in found.values()):
        notes.append(f"costs are not of the same model: {'; '.join(costs)}")
    others = _differing({name: _setting(study) for name, study in found.items()})
    if others:
        notes.append(f"the studies differ in more than optimiser and seed: {'; '.join(others)}")
    notes += [
        f"{search.name} knew {counted(len(search.given), 'design')} of earlier studies from the start, which "
        "count as none of its designs and steps"
        for search in searches
        if search.given
    ]
    return notes


def _predicted(study: "Study") -> list[str]:
    """Objectives that a hardware model predicts, beside what every model counts alike."""
    return [goal.name for goal in study.objectives if goal.name not in (*_metrics(study), *WORK)]


def _target(study: "Study") -> dict[str, Any]:
    """What costs are of."""
    meta = study.meta
    device = _flat("device", meta["device"])
    return {"model": meta["model"], "calibration": meta.get("calibration"), **device}


def _setting(study: "Study") -> dict[str, Any]:
    """What else bears on a result; of a task that is not the same the scores are not traded."""
    meta = study.meta
    return {
        "version": meta["version"],
        "space": " ".join((meta["space"]["name"], meta["space"]["fingerprint"][:8])),
        **_task(study),
        "bounds": ", ".join(
            goal.spelling for goal in (*study.objectives, *study.limits) if goal.budget is not None
        ),
        **_flat("recipe", meta.get("recipe")),
        **_flat("rungs", meta.get("rungs") or {}),
    }


def _row(study: "Study", standing: Mapping[str, Any]) -> dict[str, Any]:
    """One study as plain data."""
    return {
        "name": standing["name"],
        "folder": str(study.folder),
        "optimiser": study.optimiser,
        "seed": study.meta["seed"],
        **{name: value for name, value in standing.items() if name != "name"},
    }


def _draw(path: str, searches: Sequence["Search"], units: Mapping[str, str]) -> None:
    from codesign.files import write_file
    from codesign.plotting import fronts_figure, png

    fronts = {search.name: search.front() for search in searches}
    write_file(Path(path), png(fronts_figure(fronts, searches[0].objectives, units)))


def _show(
    found: Mapping[str, "Study"], assessed: "Assessment", units: Mapping[str, str], notes: Sequence[str]
) -> None:
    from codesign.cli.view import _fitting, _number, _valued, make_console

    console = make_console()
    console.print(_fitting(console, partial(_table, found, assessed, units)))
    corner = ", ".join(
        f"{_valued(goal.name, value, units)} ({_what(goal.name, assessed)})"
        for goal, value in zip(assessed.objectives, assessed.reference, strict=True)
    )
    console.print(f"Reference point of every hypervolume: {corner}.", markup=False)
    console.print(
        f"Union of the fronts: {counted(assessed.points, 'design')}"
        f"{f', {assessed.shared} of them found by several studies' if assessed.shared else ''}, hypervolume "
        f"{_number(assessed.hypervolume)}.",
        markup=False,
    )
    for note in notes:
        console.print(f"Note: {note}.", markup=False)


def _what(name: str, assessed: "Assessment") -> str:
    return "the budget" if name in assessed.budgets else "a tenth of the range beyond the worst on the fronts"


def _table(
    found: Mapping[str, "Study"], assessed: "Assessment", units: Mapping[str, str], narrow: bool
) -> "Table":
    from rich.markup import escape
    from rich.table import Table

    from codesign.cli.view import _heading, _number

    told = all(study.told for study in found.values())
    volume, designs = ("hyper-\nvolume", "de-\nsigns") if narrow else ("hypervolume", "designs")
    table = Table(title="Studies by one measure", title_justify="left")
    for heading in ("study", "optimiser"):
        table.add_column("optimi-\nser" if narrow and heading == "optimiser" else heading, overflow="fold")
    for heading in (
        "seed",
        designs,
        *([] if told else ["steps"]),
        f"{volume}\nat {assessed.equal_designs:,}" + ("" if narrow else " designs"),
        volume,
        "share\nof the\nunion" if narrow else "share of\nthe union",
        *(["union's\nof own"] if narrow else ["on its\nfront", "on the\nunion's"]),
        *(f"best\n{_heading(goal.name, units, narrow=narrow)}" for goal in assessed.objectives),
    ):
        table.add_column(heading, justify="right")
    for each in assessed.standings:
        study, optimiser = found[each.name], found[each.name].optimiser
        table.add_row(
            escape(each.name),
            escape(optimiser.replace("+", "\n+") if narrow else optimiser),
            str(study.meta["seed"]),
            f"{each.designs:,}",
            *([] if told else [f"{each.steps:,}"]),
            _number(each.at_equal_designs),
            _number(each.hypervolume),
            "-" if each.share is None else f"{each.share:.1%}",
            *([f"{each.on_union}/{each.front}"] if narrow else [str(each.front), str(each.on_union)]),
            *(_number(each.best.get(goal.name)) for goal in assessed.objectives),
        )
    return table
