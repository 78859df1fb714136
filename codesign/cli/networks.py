"""The commands about a network in a file: ``codesign import`` makes one, ``codesign score`` judges one."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codesign.cli.commands import _json_option, _parameters_option, _print_json, _read_json, cli
from codesign.errors import ConfigError, SpaceError, counted

if TYPE_CHECKING:
    from codesign.importing.keras import KerasWeights
    from codesign.space import Candidate, SpaceDefinition
    from codesign.tasks.wafers import Wafers

__all__ = ["import_weights", "score"]


@cli.command(
    "import",
    epilog="Example: codesign import weights.hdf5 --as econt-float --candidate candidate.json --out net.json",
)
@click.argument("weights", metavar="WEIGHTS.hdf5...", nargs=-1, required=True, type=click.Path())
@click.option("--as", "space", required=True, help="Search space of the architecture, such as econt-float.")
@click.option(
    "--candidate",
    help="JSON file with the architecture's parameters, or the name of a design of the space.  [default: the "
    "space's baseline]",
)
@click.option("--out", required=True, type=click.Path(), help="JSON file to write: the network with weights.")
@click.option("--channels-first", is_flag=True, help="Keras had its images as (channels, height, width).")
@_json_option
def import_weights(
    weights: tuple[str, ...], space: str, candidate: str | None, out: str, channels_first: bool, as_json: bool
) -> None:
    """Weights that Keras wrote, as a network.

    WEIGHTS.hdf5 is the file of an autoencoder (save_weights, or save with a name that ends in .h5), or the
    files of its encoder and decoder, in this order. A space with formats takes the weights rounded.
    """
    from codesign import catalogue
    from codesign.files import write_file
    from codesign.importing.keras import load_keras

    if any(Path(out).resolve() == Path(path).resolve() for path in weights):
        raise ConfigError(f"--out {out} would replace the weights; name another file")
    definition = catalogue.search_space(space)
    chosen = _candidate(definition, space, candidate)
    network = definition.build(chosen)
    found = load_keras(
        network, *weights, channels_first=channels_first, what=f"the network of {space} ({chosen})"
    )
    origin = {
        "space": space,
        "candidate": dict(chosen.values),
        "weights": {str(path): hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in weights},
        "layers": dict(found.sources),
        "notes": list(found.notes),
    }
    write_file(Path(out), json.dumps({**found.network.to_dict(), "imported": origin}))
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    if as_json:
        _print_json({"network": out, "parameters": found.network.parameter_count(), **origin})
    else:
        _show(found, out, space, chosen)


def _show(found: "KerasWeights", out: str, space: str, chosen: "Candidate") -> None:
    click.echo(f"{out}: {space}, {chosen}; {found.network.parameter_count():,} parameters")
    width = max(map(len, found.sources), default=0)
    for name, source in found.sources.items():
        click.echo(f"  {name:{width}}  from {source}")
    click.echo(f"Score it: codesign score {out} --data WAFERS.csv")


def _candidate(definition: "SpaceDefinition", space: str, given: str | None) -> "Candidate":
    """The candidate of a file or of a name; the baseline if none is given."""
    designs: Mapping[str, Any] = getattr(definition, "DESIGNS", {})
    if given is None:
        values = getattr(definition, "BASELINE", None)
        if values is None:
            raise ConfigError(f"space {space} has no baseline; give --candidate, a JSON file with parameters")
    elif given in designs:
        values = designs[given]
    elif not Path(given).exists():
        known = f", and {space} has the designs {', '.join(designs)}" if designs else ""
        raise ConfigError(f"--candidate {given}: there is no such file{known}")
    else:
        data = _read_json(given)
        values = data.get("candidate", data) if isinstance(data, dict) else data
    try:
        return definition.SPACE.candidate(values)
    except SpaceError as error:
        raise SpaceError(f"{given or 'baseline'}: {error}") from error


@cli.command(
    epilog="Example: codesign score runs/demo/networks/143a5a8b658f7e54.json --data wafers.csv --json"
)
@click.argument("network_file", metavar="NETWORK.json", type=click.Path())
@click.option("--data", type=click.Path(), help="File or folder of wafers; without it they are generated.")
@click.option(
    "--rows",
    type=click.Choice(["all", "validation"]),
    default="all",
    show_default=True,
    help="All rows, or the first fifth of those with charge, on which the study validates.",
)
@click.option("--wafers", type=int, default=20_000, show_default=True, help="How many to generate.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the generator.")
@_parameters_option
@_json_option
def score(
    network_file: str,
    data: str | None,
    rows: str,
    wafers: int,
    seed: int,
    parameters: str,
    as_json: bool,
) -> None:
    """Mean and spread of every metric of a network on a data set.

    "std" is the spread over wafers, which the study prints as EMD_err; "stderr" is the error of the mean.
    """
    from codesign.cli.view import print_scores, waiting
    from codesign.network import Network
    from codesign.tasks import econt
    from codesign.tasks.wafers import split

    network = Network.load(network_file)
    with waiting("Scoring"):
        given = econt.load(data) if data else econt.generate(wafers, seed=seed, parameters=parameters)
        chosen = given if rows == "all" else split(given)[1]
        scores = econt.score(network, chosen)
    said = _rows_said(given, chosen)
    if as_json:
        click.echo(f"note: {said}", err=True)
        _print_json({name: summary.to_dict() for name, summary in scores.items()})
    else:
        print_scores(scores, econt.UNITS, said)


def _rows_said(given: "Wafers", chosen: "Wafers") -> str:
    """Which rows are scored, in words."""
    empty = f" ({given.dropped_empty:,} without charge are left out)" if given.dropped_empty else ""
    if len(chosen) == len(given):
        return f"{given.source}: all {counted(len(given), 'wafer')}{empty}"
    return f"{given.source}: the first {len(chosen):,} of {counted(len(given), 'wafer')}{empty}"
