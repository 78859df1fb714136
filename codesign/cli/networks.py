"""The commands about a network in a file: ``codesign import`` makes one, ``codesign score`` judges one."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from codesign.cli.commands import _json_option, _parameters_option, _print_json, _read_json, cli
from codesign.errors import ConfigError, DataError, SpaceError, counted

if TYPE_CHECKING:
    from codesign.importing.keras import KerasWeights
    from codesign.metrics import Summary
    from codesign.network import Network
    from codesign.space import Candidate, SpaceDefinition
    from codesign.tasks import Task
    from codesign.tasks.wafers import Wafers

__all__ = ["import_weights", "score"]

WAFERS = "econt"
"""The task that is scored without loading it: all of a file, not the part that a study holds out."""


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
    epilog="Example: codesign score runs/jets/networks/143a5a8b658f7e54.json --task jets.py:JetTask "
    "--data test.npz"
)
@click.argument("network_file", metavar="NETWORK.json", type=click.Path())
@click.option(
    "--task",
    default=WAFERS,
    show_default=True,
    help="Task that scores: a name, package.module:Class, or file.py:Class.",
)
@click.option(
    "--data",
    type=click.Path(),
    help="File or folder of data, as of `codesign run`; without it the task generates them.",
)
@click.option(
    "--rows",
    type=click.Choice(["all", "validation"]),
    help="All rows, or those on which the study validates: of wafers the first fifth of those with charge. A "
    "task without held_out() has the latter alone.  [default: all, if the task has them]",
)
@click.option("--wafers", type=int, default=20_000, show_default=True, help="How many to generate.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the generator.")
@_parameters_option
@_json_option
def score(
    network_file: str, task: str, data: str | None, rows: str | None, as_json: bool, **made: Any
) -> None:
    """Mean and spread of every metric of a network on a data set.

    "std" is the spread over samples, which the study of wafers prints as EMD_err; "stderr" is the error of
    the mean. A task of one's own splits a file as it does in a study, and its validation samples are scored;
    all of them if it has the method held_out() (docs/howto/own-task.md).
    """
    from codesign.cli.view import print_scores, waiting
    from codesign.network import Network

    network = Network.load(network_file)
    if task == WAFERS:
        _require_of_wafers(network)
    else:
        _require_no_generator(task)
    with waiting("Scoring"):
        found = (
            _score_wafers(network, data, rows, **made)
            if task == WAFERS
            else _score_samples(network_file, network, task, data, rows)
        )
    if as_json:
        click.echo(f"note: {found.said}", err=True)
        _print_json({name: summary.to_dict() for name, summary in found.scores.items()})
    else:
        print_scores(found.scores, found.units, found.said, found.what)


@dataclass(frozen=True, slots=True)
class _Scored:
    """Scores with their units, in words what they are of, and what there are several of."""

    scores: Mapping[str, "Summary"]
    units: Mapping[str, str]
    said: str
    what: str


def _score_wafers(
    network: "Network", data: str | None, rows: str | None, *, wafers: int, seed: int, parameters: str
) -> _Scored:
    from codesign.tasks import econt
    from codesign.tasks.wafers import split

    given = econt.load(data) if data else econt.generate(wafers, seed=seed, parameters=parameters)
    chosen = split(given)[1] if rows == "validation" else given
    return _Scored(econt.score(network, chosen), econt.UNITS, _rows_said(given, chosen), "wafers")


def _require_of_wafers(network: "Network") -> None:
    from codesign.tasks.layouts import layout_of

    try:
        layout_of(network)
    except DataError as error:
        raise DataError(f"{error}; name the task that it is for: --task FILE.py:Class") from error


def _require_no_generator(task: str) -> None:
    """Raise ``ConfigError`` where options of the generator of wafers are given."""
    context = click.get_current_context()
    for name in ("wafers", "seed", "parameters"):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise ConfigError(f"--{name} is of generated wafers, and --task {task} is another; leave it out")


def _score_samples(
    network_file: str, network: "Network", name: str, data: str | None, rows: str | None
) -> _Scored:
    """Scores by a task of one's own."""
    from codesign.config import load_task
    from codesign.study import scored
    from codesign.tasks.called import called

    task = load_task(name, {"path": str(Path(data).resolve())} if data else {})
    whole = getattr(task, "held_out", None)
    if rows == "all" and whole is None:
        raise ConfigError(
            f"--rows all: task {name!r} has no held_out(), and scores its validation samples alone; leave it "
            "out, or give the task that method (docs/howto/own-task.md)"
        )
    source = data or f"what task {name!r} generates"
    with called(name, type(task)):
        chosen = task if whole is None or rows == "validation" else whole()
        count = len(chosen.validation)
        _require_inputs(network, chosen, name)
        scores = scored(chosen, network)
    if chosen is not task:
        _note_own_data(network_file, task)
    elif data and rows is None:
        click.echo("note: with a method held_out() of the task all samples of a file are scored", err=True)
    said = f"{source}: " + (f"all {counted(count, 'sample')}" if chosen is not task else _held_out(count))
    return _Scored(scores, task.metrics, said, "samples")


def _held_out(count: int) -> str:
    return f"the {counted(count, 'validation sample')} of the task"


def _require_inputs(network: "Network", task: "Task", name: str) -> None:
    shape = task.validation.inputs.shape[1:]
    if shape != network.input_shape:
        raise DataError(
            f"inputs of task {name!r} have the shape {shape}, and the network takes {network.input_shape}; "
            "name the task that the network is for"
        )


def _note_own_data(network_file: str, task: "Task") -> None:
    """Say where a network is scored on samples that it was fitted to."""
    from codesign.study import Study

    folder = Path(network_file).resolve().parent.parent
    if not (folder / "study.sqlite").is_file():
        return
    study = Study.read(folder)
    study.close()
    described = {"name": task.name, "metrics": dict(task.metrics), **task.describe()}
    if study.meta["task"] == json.loads(json.dumps(described)):
        click.echo(
            "note: the network was trained on most of these samples; --rows validation scores those that its "
            "study held out",
            err=True,
        )


def _rows_said(given: "Wafers", chosen: "Wafers") -> str:
    """Which rows are scored, in words."""
    empty = f" ({given.dropped_empty:,} without charge are left out)" if given.dropped_empty else ""
    if len(chosen) == len(given):
        return f"{given.source}: all {counted(len(given), 'wafer')}{empty}"
    return f"{given.source}: the first {len(chosen):,} of {counted(len(given), 'wafer')}{empty}"
