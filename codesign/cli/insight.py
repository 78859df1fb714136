"""``codesign insight``: how a search went, and what it was that mattered."""

from typing import TYPE_CHECKING

import click

from codesign.cli.commands import _json_option, _print_json, cli
from codesign.errors import ConfigError, counted

if TYPE_CHECKING:
    from codesign.insight import Insight

__all__ = ["insight"]

SHOWN, POINTS = 10, 12


@cli.command(epilog="Example: codesign insight runs/demo --json")
@click.argument("folder", type=click.Path())
@_json_option
def insight(folder: str, as_json: bool) -> None:
    """How a search went, and which parameters matter.

    Hypervolume over evaluations, shares of the parameters in what decides the front, errors of surrogates.
    """
    from codesign import catalogue
    from codesign.config import stored_config
    from codesign.insight import Insight
    from codesign.study import Study

    study = Study.read(folder)
    if not study.meta.get("config"):
        study.close()
        raise ConfigError(
            f"{folder} was made from Python objects, its space is not in it; call "
            "codesign.insight.Insight.of(space, study.history, study.objectives, measured)"
        )
    space = catalogue.search_space(stored_config(folder).space).SPACE
    with study.store:
        metrics = tuple(study.meta["task"]["metrics"])
        found = Insight.of(space, study.history, study.objectives, metrics)
        if as_json:
            _print_json({"folder": str(study.folder), **found.to_dict()})
        else:
            _show(found, study.folder.name)


def _show(found: "Insight", name: str) -> None:
    from rich.console import Console
    from rich.table import Table

    from codesign.insight import ENOUGH

    console, most = Console(), max(found.trace, default=0.0)
    trace = Table(
        "evaluations", "hypervolume, of the last", title=f"Progress of {name}", title_justify="left"
    )
    count = len(found.trace)
    for number in sorted({-(-count * part // POINTS) for part in range(1, POINTS + 1)} - {0}):
        share = found.trace[number - 1] / most if most else 0.0
        trace.add_row(str(number), f"{share:6.1%}")
    console.print(trace)
    if found.importance:
        title = "What decides how near a design is to the front"
        table = Table("parameter", "share", title=title, title_justify="left")
        for parameter, share in list(found.importance.items())[:SHOWN]:
            table.add_row(parameter, f"{share:6.1%}")
        console.print(table)
    else:
        console.print("No parameter stands out: too few designs, or none of them tells.", highlight=False)
    console.print(found.health[0].upper() + found.health[1:] + ".", highlight=False)
    few = f": too few to trust, {ENOUGH} tell more" if found.designs < ENOUGH else ""
    console.print(
        f"Parameters and surrogates: from {counted(found.designs, 'design')}{few}.", highlight=False
    )
