"""The commands. What they need is imported when they run, so that ``--help`` answers at once."""

import json
import math
import os
import shlex
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codesign.errors import CodesignError, ConfigError, SpaceError, StoreError, counted

if TYPE_CHECKING:
    from codesign.config import StudyConfig
    from codesign.hardware import Device, HardwareModel
    from codesign.network import Network
    from codesign.study import Study
    from codesign.tasks import Task

__all__ = ["main"]

INTERRUPTED = 130
_TARGETS = ("onnx", "qonnx", "finn", "hls4ml", "rtl")
_GENERATORS = ("T", "C", "P")
_BACKENDS = ("vivado", "vitis", "catapult", "quartus", "oneapi")
SLOW_START_STEPS = 6_000
VECTORS = 10_000
SLOW_FORMS = {
    "finn": ": FINN and Verilator, about a minute",
    "rtl": ": Verilator, up to a minute",
    "netlist": ": Yosys, a minute with constant weights, several with reloadable ones",
}


class _Group(click.Group):
    """Commands in the order they are defined; examples keep their lines."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


def main() -> None:
    """Entry point: errors a user can mend in one line and exit code 2, no traceback."""
    warnings.simplefilter("always")
    warnings.showwarning = _say_warning  # type: ignore[assignment]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(cli(prog_name="codesign", standalone_mode=False))
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(INTERRUPTED)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        sys.exit(_say_error(_usage(error), error))
    except CodesignError as error:
        sys.exit(_say_error(str(error), error))
    except FileNotFoundError as error:
        missing = error.filename or error
        sys.exit(_say_error(f"there is no file or folder {missing}; see that its name is right", error))
    except OSError as error:
        sys.exit(_say_error(f"cannot read or write: {error}; see that there is room and permission", error))
    except Exception as error:
        sys.exit(_say_defect(error))


def _say_warning(message: Warning, category: type[Warning], *_: Any, **__: Any) -> None:
    """Warnings of our own; those of libraries are not the user's business."""
    if category.__module__.startswith("codesign"):
        click.echo(f"warning: {message}", err=True)


def _usage(error: click.ClickException) -> str:
    """What was wrong with a command line, in one line."""
    text = " ".join(error.format_message().split()).rstrip(".")
    command = getattr(error, "ctx", None)
    return text if command is None else f"{text}; see `{command.command_path} --help`"


def _say_error(text: str, error: Exception) -> int:
    if os.environ.get("CODESIGN_DEBUG"):
        traceback.print_exception(error)
    click.echo(f"error: {text}", err=True)
    return 2


def _say_defect(error: Exception) -> int:
    """A defect of ours: one line for the user, the traceback in a file for the report."""
    if os.environ.get("CODESIGN_DEBUG"):
        traceback.print_exception(error)
        return 1
    try:
        with tempfile.NamedTemporaryFile("w", suffix=".txt", prefix="codesign-", delete=False) as stream:
            traceback.print_exception(error, file=stream)
        report = stream.name
    except OSError:
        report = "the output of the same command with CODESIGN_DEBUG=1"
    click.echo(f"internal error: {type(error).__name__}: {error}; please report it with {report}", err=True)
    return 1


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="codesign")
def cli() -> None:
    """Search small quantised neural networks for the best trade of quality against hardware cost.

    \b
    codesign run --space econt --trials 20 --steps 500 --recipe quick --out runs/first
    codesign front runs/first
    codesign export runs/first DIGEST --to onnx
    codesign verify runs/first DIGEST
    """


def _json_option(command: Any) -> Any:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def _print_json(data: Any) -> None:
    click.echo(json.dumps(_finite(data), indent=1, allow_nan=False))


def _finite(data: Any) -> Any:
    """The same with None for what JSON has no number for."""
    if isinstance(data, Mapping):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


_input_format_option = click.option(
    "--input-format",
    metavar="FORMAT",
    help="Of a QONNX file that does not quantise its input: bits before and behind the point, as 5.10, or "
    "unsigned as u0.8.",
)
_DEVICE_OPTIONS = (
    click.option(
        "--technology", help="Table of the hardware model, such as asic-65nm or sky130hd, or a file.toml."
    ),
    click.option("--part", help="FPGA part, of the family of the technology, such as xczu7ev-ffvc1156-2-e."),
    click.option("--clock-mhz", type=float, help="Clock in MHz."),
    click.option("--weights", type=click.Choice(["reloadable", "constant"]), help="How weights are stored."),
    click.option("--redundancy", type=click.Choice(["none", "weights", "all"]), help="What is triplicated."),
    click.option("--pipelined/--combinational", default=None, help="Whether registers split the logic."),
)


_DEVICE_FIELDS = ("technology", "part", "clock_mhz", "weights", "redundancy", "pipelined")


def _device_options(command: Any) -> Any:
    for option in reversed(_DEVICE_OPTIONS):
        command = option(command)
    return command


@cli.command(epilog="Example: codesign run examples/demo.toml --out runs/demo")
@click.argument("study_file", required=False, type=click.Path())
@click.option("--space", help="Search space: a name, package.module, or file.py.  [default: econt]")
@click.option("--task", help="Task: a name, package.module:Class, or file.py:Class.  [default: econt]")
@click.option("--trials", type=int, help="Designs to evaluate, the baseline among them.  [default: 60]")
@click.option("--steps", type=int, help="Optimiser steps of each training.  [default: 2000]")
@click.option(
    "--recipe",
    type=click.Choice(["quick", "study"]),
    help="Training recipe: for few steps, or the published one.  [default: quick]",
)
@click.option(
    "--engine",
    type=click.Choice(["torch", "native"]),
    help="What trains: the compiled engine, 8 times as fast on the baseline, or PyTorch.  [default: native "
    "where it was built]",
)
@click.option("--seed", type=int, help="Seed of proposals and trainings.  [default: 0]")
@click.option("--out", type=click.Path(), help="Folder of the study.  [default: runs/SPACE-SEED]")
@click.option(
    "--objective",
    "objectives",
    multiple=True,
    help="What is traded, such as emd, 'area_um2<=2e6' or 'max accuracy'; give two or more. Known costs: "
    "operations, macs, parameters, weight_bits, bops, output_bits (of a link), and what the model predicts: "
    "area_um2, power_mw, energy_nj, latency_ns, initiation_interval; lut, ff, dsp, bram_18k.",
)
@click.option(
    "--limit", "limits", multiple=True, help="A bound on a cost that is not traded: 'operations<=40000'."
)
@click.option(
    "--export",
    type=click.Choice(_TARGETS),
    multiple=True,
    help="Write the front in this form; what the form cannot take is not trained.",
)
@click.option(
    "--optimiser",
    help="ehvi, qnehvi, nsga2, sherlock, grid, grid-bo or random; with +asha behind it designs are trained "
    "rung by rung.  [default: ehvi]",
)
@click.option(
    "--warm-start",
    type=click.Path(),
    multiple=True,
    help="Folder of an earlier study of the same task and recipe, whose designs are known from the start.",
)
@click.option("--data", type=click.Path(), help="File or folder of data; without it wafers are generated.")
@click.option("--wafers", type=int, help="How many wafers to generate.  [default: 100000]")
@click.option(
    "--parameters", type=click.Choice(_GENERATORS), help="Parameters of the generator.  [default: T]"
)
@click.option("--workers", type=int, help="Worker processes.  [default: one a core]")
@click.option(
    "--model",
    help="Hardware model: asic, constant, constant-exported, fpga-streaming, fpga-unrolled, "
    "fpga-unrolled-exported.  [default: asic]",
)
@click.option(
    "--calibration", type=click.Path(), help="File of `codesign calibrate` that corrects the model."
)
@_device_options
@click.option("--dry-run", is_flag=True, help="Print the size of the space and its costs; train nothing.")
@_json_option
def run(study_file: str | None, dry_run: bool, as_json: bool, **options: Any) -> None:
    """Search a space: by a study file, by options, or both.

    Options win over STUDY_FILE. Ends with the table of the front and writes front.csv, front.json,
    front.html and front.png into the folder of the study. Ctrl-C stops it; `codesign resume` goes on.
    """
    from codesign.config import load_study_file, parse_study

    base = load_study_file(study_file).model_dump(exclude_unset=True) if study_file else {"space": "econt"}
    config = parse_study(_merged(base, options), study_file or "options")
    if dry_run:
        _dry_run(config, as_json)
        return
    out = Path(options["out"] or config.out or f"runs/{Path(config.space).stem}-{config.seed}")
    if (out / "study.sqlite").exists():
        raise ConfigError(
            f"{out} already holds a study; `{_command('resume', out)}` goes on with it, "
            "or choose another --out"
        )
    _run(config, out, as_json)


def _merged(base: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a study file with the options of the command line put over them."""
    for name in ("wafers", "parameters"):
        if options["data"] and options[name] is not None:
            raise ConfigError(f"--data reads wafers and --{name} generates them; give one of the two")
    merged = {**base}
    for name in ("space", "task", "trials", "seed", "optimiser", "workers"):
        if options[name] is not None:
            merged[name] = options[name]
    for name in ("objectives", "limits", "export", "warm_start"):
        if options[name]:
            merged[name] = list(options[name])
    tables = {
        "recipe": {"steps": options["steps"], "kind": options["recipe"], "engine": options["engine"]},
        "device": {name: options[name] for name in ("model", "calibration", *_DEVICE_FIELDS)},
        "data": {
            "path": str(Path(options["data"]).resolve()) if options["data"] else None,
            "wafers": options["wafers"],
            "parameters": options["parameters"],
        },
    }
    for table, values in tables.items():
        given = {name: value for name, value in values.items() if value is not None}
        if given:
            merged[table] = {**base.get(table, {}), **given}
    if options["wafers"] is not None or options["parameters"] is not None:
        merged["data"].pop("path", None)
    return merged


def _command(verb: str, folder: Path, *arguments: str) -> str:
    """A command to type, ready for a shell."""
    return f"codesign {verb} {shlex.join([str(folder), *arguments])}"


def _run(config: "StudyConfig", out: Path, as_json: bool) -> None:
    from codesign.cli.view import View, waiting
    from codesign.config import start

    with waiting("Loading data and checking the budgets"):
        setup = config.setup()
    if not as_json and setup.recipe.output_bias == 0 and setup.recipe.steps < SLOW_START_STEPS:
        click.echo(
            f"note: from zero biases a network needs some {SLOW_START_STEPS:,} steps to learn anything but a "
            "constant; --recipe quick needs some hundred",
            err=True,
        )
    if not as_json and setup.rungs and setup.recipe.schedule == "cosine":
        click.echo(
            "note: the learning rate of this recipe falls to 0 at the last step, so that networks on lower "
            'rungs say little of it; schedule = "constant" and learning_rate = 0.004 in [recipe] say more',
            err=True,
        )
    if not as_json and setup.why_torch:
        click.echo(f"note: PyTorch trains: {setup.why_torch}", err=True)
    for doubt in [] if as_json else setup.doubts():
        click.echo(f"note: {doubt}", err=True)
    with _stoppable(out):
        with View(config.trials, setup, quiet=as_json) as view:
            study = start(config, setup, out, view)
        _close(study, config.export, setup.task, as_json)


@contextmanager
def _stoppable(folder: Path, verb: str = "resume", *arguments: str) -> Iterator[None]:
    """Say how to go on when work on a study is stopped from the keyboard; without a verb as it began."""
    try:
        yield
    except KeyboardInterrupt:
        if not (folder / "study.sqlite").exists():
            raise
        go_on = f"Go on with: {_command(verb, folder, *arguments)}" if verb else "The same command goes on."
        text = f"Stopped; nothing that was finished is lost. {go_on}"
        click.echo(f"\n{text}", err=True)
        sys.exit(INTERRUPTED)


def _close(study: "Study", export: list[Any], task: "Task", as_json: bool) -> None:
    """Write the front and the exports, print the table and what one can do next."""
    from codesign.cli.exports import export_one
    from codesign.cli.view import print_front, print_status, status_data, waiting
    from codesign.tasks import inputs_of

    with study.store:
        if not any(evaluation.ok for evaluation in study.evaluations):
            if not as_json:
                print_status(study, status_data(study))
            raise StoreError(
                f"{study.folder} has no front: none of its designs was trained to the end{_why_none(study)}"
            )
        with waiting("Drawing the front"):
            files = study.save_front()
        exported = []
        inputs = inputs_of(task, VECTORS)
        for target in export:
            for evaluation in study.front():
                digest = evaluation.candidate.digest
                with waiting(f"Exporting {digest} to {target}"):
                    exported.append(export_one(study, digest, target, study.device, inputs, {"keep": True}))
        for kept in filter(None, (row["reason"] for row in exported)):
            click.echo(f"note: not exported: {kept}", err=True)
        if as_json:
            _print_json({"folder": str(study.folder), **study.front_dict()})
            return
        print_front(study)
        if study.note:
            click.echo(f"Note: {study.note}.")
        click.echo(f"\nFront: {', '.join(str(path) for path in files)}")
        if exported:
            click.echo(
                f"Exported: {counted(len(study.front()), 'design')} to {', '.join(export)}, in "
                f"{Path(exported[0]['folder']).parent.parent}/DIGEST"
            )
        folder, trials = study.folder, str(len(study.evaluations) + 20)
        click.echo(f"Look again: {_command('front', folder)}")
        click.echo(f"One design: {_command('show', folder, 'DIGEST')}")
        if not study.exhausted:
            click.echo(f"Extend:     {_command('resume', folder, '--trials', trials)}")


def _why_none(study: "Study") -> str:
    """Why the last design failed, if one did, and how to go on."""
    failed = [evaluation for evaluation in study.evaluations if evaluation.status == "failed"]
    if not failed:
        return ""
    return (
        f"; the last that failed: {failed[-1].reason}; once that is mended, "
        f"`{_command('resume', study.folder)}` trains again"
    )


def _dry_run(config: "StudyConfig", as_json: bool) -> None:
    from dataclasses import asdict

    import numpy as np

    from codesign.cli.view import COLUMNS, print_survey, waiting
    from codesign.study import require_data

    with waiting("Loading data"):
        setup = config.setup()
    require_data(setup)
    for doubt in [] if as_json else setup.doubts():
        click.echo(f"note: {doubt}", err=True)
    problem, rng = setup.problem, np.random.default_rng(config.seed)
    problem.check_budgets(rng)
    names = dict.fromkeys([goal.name for goal in (*problem.known_objectives, *problem.limits)])
    survey = problem.survey(
        dict.fromkeys([*names, *(name for name in COLUMNS if name in setup.model.predicts)]), rng
    )
    baseline = setup.costs(setup.baseline) if setup.baseline else {}
    if as_json:
        _print_json(
            {**asdict(survey), "baseline": baseline, "budgets": [g.to_dict() for g in problem.bounded]}
        )
    else:
        print_survey(setup, survey, baseline)


@cli.command(epilog="Example: codesign resume runs/demo --trials 80")
@click.argument("folder", type=click.Path())
@click.option(
    "--trials", type=click.IntRange(min=1), help="Designs in all; more than before extends the study."
)
@click.option(
    "--finish",
    is_flag=True,
    help="Of a study in rungs: train the front to the end, until no design on it was trained in part.",
)
@_json_option
def resume(folder: str, trials: int | None, finish: bool, as_json: bool) -> None:
    """Go on with a stopped study, or extend a complete one."""
    from codesign.cli.view import View, waiting
    from codesign.config import go_on, stored_config

    config = stored_config(folder)
    total = config.trials if trials is None else trials
    with waiting("Loading data"):
        setup = config.setup()
    with _stoppable(Path(folder)):
        with View(total, setup, quiet=as_json) as view:
            study = go_on(folder, setup, total, view, finish=finish)
        _close(study, config.export, setup.task, as_json)


@cli.command(epilog="Example: codesign status runs/demo --json")
@click.argument("folder", type=click.Path())
@_json_option
def status(folder: str, as_json: bool) -> None:
    """How far a study is: every design, the front, the time."""
    from codesign.cli.view import print_status, status_data
    from codesign.study import Study

    study = Study.read(folder)
    with study.store:
        data = status_data(study)
        if as_json:
            _print_json(data)
        else:
            print_status(study, data)


@cli.command(epilog="Example: codesign front runs/demo --json")
@click.argument("folder", type=click.Path())
@_json_option
def front(folder: str, as_json: bool) -> None:
    """The designs that none dominates, beside the baseline."""
    from codesign.cli.view import print_front
    from codesign.study import Study

    study = Study.read(folder)
    with study.store:
        if as_json:
            _print_json({"folder": str(study.folder), **study.front_dict()})
        else:
            print_front(study)


@cli.command(epilog="Example: codesign reference runs/demo jets.onnx --value emd=1.9 --name 'jet tagger'")
@click.argument("folder", type=click.Path())
@click.argument("source", type=click.Path(), required=False)
@_input_format_option
@click.option("--name", help="What tables and pictures call it.  [default: name of the file]")
@click.option("--value", "values", multiple=True, help="A metric that is known, such as emd=1.9; may repeat.")
@click.option("--remove", metavar="NAME", help="Show the network of this name no longer.")
@_json_option
def reference(
    folder: str,
    source: str | None,
    input_format: str | None,
    name: str | None,
    values: tuple[str, ...],
    remove: str | None,
    as_json: bool,
) -> None:
    """Show the front beside a network from elsewhere.

    SOURCE is a QONNX file or a JSON file with a network. It is priced as the study's designs are; metrics
    that the study trades have to be given, for its data are not known here. One of the same name is replaced;
    --remove takes one away.
    """
    from codesign.cli.inputs import seeing
    from codesign.cli.view import print_front
    from codesign.config import stored_model
    from codesign.evaluation import Reference
    from codesign.study import Study

    if (source is None) == (remove is None):
        raise ConfigError("give the file of a network to show, or --remove NAME of one that is shown")
    study = Study.open(folder)
    with study.store:
        missing = []
        if source is None:
            _remove_reference(study, str(remove))
        else:
            network, _, _ = _priced(source, None, "econt", input_format)
            model = seeing(study, stored_model(study), network)
            _note_other_inputs(study, network)
            known = {**model.estimate(network, study.device).costs(), **_metrics(study, values)}
            study.add_reference(Reference(name or Path(source).stem, Path(source).name, known))
            missing = [goal.name for goal in study.objectives if goal.name not in known]
        if missing:
            gaps = ", ".join(f"--value {goal}=..." for goal in missing)
            click.echo(f"note: without {gaps} it stands in the table and not in the picture", err=True)
        study.save_front()
        if as_json:
            _print_json([each.to_dict() for each in study.references])
        else:
            print_front(study)


def _note_other_inputs(study: "Study", network: "Network") -> None:
    """Say that a network beside the front does not see what its designs see."""
    inputs = study.store.inputs()
    if inputs is not None and inputs.shape[1:] != network.input_shape:
        click.echo(
            f"note: it takes inputs of shape {network.input_shape}, those of the study are "
            f"{inputs.shape[1:]}: its power is not of what they change",
            err=True,
        )


def _remove_reference(study: "Study", name: str) -> None:
    """Show the front beside this one no longer."""
    known = study.references
    if name not in [each.name for each in known]:
        names = ", ".join(each.name for each in known) or "nothing"
        raise ConfigError(f"--remove {name}: the front is shown beside {names}")
    study.store.set_meta("references", [each.to_dict() for each in known if each.name != name])
    study.meta = study.store.meta()


def _metrics(study: "Study", given: tuple[str, ...]) -> dict[str, float]:
    """Metrics of the study's task from ``name=value``."""
    metrics = study.meta["task"]["metrics"]
    found = {}
    for text in given:
        name, _, value = text.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            raise ConfigError(f"--value is name=number, such as emd=1.9; got {text!r}") from None
        if name not in metrics or not math.isfinite(found[name]):
            raise ConfigError(f"--value gives one of {', '.join(metrics)} a finite value; got {text!r}")
    return found


@cli.command(epilog="Example: codesign show runs/demo 143a5a8b")
@click.argument("folder", type=click.Path())
@click.argument("digest")
@_json_option
def show(folder: str, digest: str, as_json: bool) -> None:
    """Everything known of one design; DIGEST: its first digits."""
    from codesign.cli.view import print_design
    from codesign.study import Study

    study = Study.read(folder)
    with study.store:
        evaluation = study.store.evaluation(digest)
        path = study.store.network_path(evaluation.candidate.digest)
        if as_json:
            repeated = study.repeated.get(evaluation.candidate.digest)
            more: dict[str, Any] = {} if repeated is None else {"repeated": repeated.to_dict()}
            more["costs_of"] = evaluation.costs_of
            _print_json({**evaluation.to_dict(), "network": str(path) if path.is_file() else None, **more})
        else:
            print_design(study, evaluation, path if path.is_file() else None)


@cli.command(epilog="Example: codesign estimate candidate.json --space econt --json")
@click.argument("source", type=click.Path())
@click.argument("digest", required=False)
@click.option("--space", help="Space that SOURCE is a candidate of.  [default: econt]")
@_input_format_option
@click.option("--model", help="Hardware model.  [default: the study's, or asic]")
@click.option(
    "--calibration", type=click.Path(), help="File of `codesign calibrate`.  [default: the study's]"
)
@click.option(
    "--inputs",
    type=click.Path(),
    help="NumPy file (.npy) of some hundred inputs in the order in which they come, (n, *input_shape), "
    "channels last: the power of trained weights is of what they change.  [default: the study's]",
)
@_device_options
@_json_option
def estimate(
    source: str,
    digest: str | None,
    space: str | None,
    input_format: str | None,
    model: str | None,
    calibration: str | None,
    inputs: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Predicted cost of a design.

    SOURCE is the folder of a study (then DIGEST says which design), a QONNX file (.onnx), or a JSON file with
    a candidate of --space or with a network. Power of a trained design of a study is of what its inputs
    change.
    """
    from codesign import catalogue
    from codesign.cli.inputs import seeing, with_given_inputs
    from codesign.cli.view import print_estimate
    from codesign.hardware import effective_bops
    from codesign.study import Study

    network, device, own_model = _priced(source, digest, space, input_format)
    if model is not None or calibration is not None:
        own_model = catalogue.hardware_model(model or own_model, calibration)
    if inputs is not None:
        own_model = with_given_inputs(own_model, network, inputs)
    elif Path(source).is_dir() and network.chip.fitted:
        study = Study.read(source)
        with study.store:
            own_model = seeing(study, own_model, network)
    found = own_model.estimate(network, _device(device, options))
    if options["part"] is not None and found.target.part is None:
        raise ConfigError(f"--part names an FPGA, and {found.target.technology} is none: leave it out")
    data = {**found.to_dict(), "effective_bops": effective_bops(network) if network.fitted else None}
    if as_json:
        _print_json(data)
    else:
        print_estimate(found, data["effective_bops"])


def _priced(
    source: str, digest: str | None, space: str | None, input_format: str | None
) -> "tuple[Network, Device, HardwareModel]":
    """Network, device and hardware model of whatever `estimate` is given."""
    from codesign import catalogue
    from codesign.hardware import Device
    from codesign.network import Network

    if input_format is not None and not source.endswith(".onnx"):
        raise ConfigError(f"--input-format is for QONNX files (.onnx); leave it out for {source}")
    if Path(source).is_dir():
        return _priced_design(source, digest)
    if digest is not None:
        raise ConfigError(f"{source} is no folder of a study, so it has no design {digest!r}; leave that out")
    if source.endswith(".onnx"):
        return _imported(source, input_format), Device(), catalogue.hardware_model("asic")
    data = _read_json(source)
    if isinstance(data, dict) and "codesign_network" in data:
        return Network.load(source), Device(), catalogue.hardware_model("asic")
    values = data.get("candidate", data) if isinstance(data, dict) else data
    definition = catalogue.search_space(space or "econt")
    if space is None:
        click.echo(f"note: {source} is read as a candidate of space 'econt'; --space names another", err=True)
    try:
        network = definition.build(definition.SPACE.candidate(values))
        return network, Device(), catalogue.hardware_model("asic")
    except SpaceError as error:
        raise SpaceError(f"{source}: {error}") from error


def _imported(source: str, input_format: str | None) -> "Network":
    """Network of a QONNX file; what is worth knowing of it is said on the side."""
    from codesign.importing import parse_format, read_qonnx

    found = read_qonnx(source, input_format=None if input_format is None else parse_format(input_format))
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    return found.network


def _priced_design(folder: str, digest: str | None) -> "tuple[Network, Device, HardwareModel]":
    """The same for a design of a study, trained or not."""
    from codesign import catalogue
    from codesign.config import stored_config, stored_model
    from codesign.study import Study

    study = Study.read(folder)
    with study.store:
        if not digest:
            raise ConfigError(
                f"{folder} is a study; say which design: {_command('estimate', Path(folder), 'DIGEST')}"
            )
        evaluation = study.store.evaluation(digest)
        if study.store.network_path(evaluation.candidate.digest).exists():
            network = study.network(digest)
        else:
            definition = catalogue.search_space(stored_config(folder).space)
            network = definition.build(definition.SPACE.candidate(evaluation.candidate.values))
        return network, study.device, stored_model(study)


def _read_json(path: str) -> Any:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}") from error


_TARGET_OPTIONS = (
    *_DEVICE_OPTIONS[1:],
    click.option("--interval", type=click.IntRange(min=1), help="Cycles a frame that layers are folded to."),
    click.option(
        "--vectors",
        type=click.IntRange(min=1),
        default=VECTORS,
        show_default=True,
        help="Inputs to compare on.",
    ),
)


def _target_options(command: Any) -> Any:
    for option in reversed(_TARGET_OPTIONS):
        command = option(command)
    return command


def _device(base: "Device", options: Mapping[str, Any]) -> "Device":
    """The study's device with the options of the command line put over it."""
    from dataclasses import replace

    given = {name: options[name] for name in _DEVICE_FIELDS if options.get(name) is not None}
    return replace(base, **given)


@cli.command(epilog="Example: codesign export runs/demo 143a5a8b --to rtl --weights constant")
@click.argument("folder", type=click.Path())
@click.argument("digest", required=False)
@click.option("--to", "target", type=click.Choice(_TARGETS), required=True, help="Form to write.")
@click.option("--all-front", is_flag=True, help="Every design on the front, instead of DIGEST.")
@click.option("--out", type=click.Path(), help="Folder to write.  [default: FOLDER/export/DIGEST/TARGET]")
@click.option(
    "--backend", type=click.Choice(_BACKENDS), multiple=True, help="Tool of an hls4ml project; may repeat."
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier export, of whatever options.")
@_target_options
@_json_option
def export(
    folder: str, digest: str | None, target: str, all_front: bool, as_json: bool, **options: Any
) -> None:
    """Write trained designs in another form, checked bit for bit.

    \b
    onnx     standard ONNX with integer codes, for onnxruntime
    qonnx    QONNX, for hls4ml and FINN
    finn     FINN's graph, folded, as RTL; stitched and run in Verilator
    hls4ml   C++ projects; their simulation compiled and run here
    rtl      Verilog: constant weights by distributed arithmetic, or reloadable ones

    An earlier export with the same options is left as it is; one with other options only goes by --overwrite.
    """
    from codesign.cli.exports import print_exports
    from codesign.study import Study

    if options["backend"] and target != "hls4ml":
        raise ConfigError(f"--backend is a choice of --to hls4ml; leave it out for {target}")
    if all_front == (digest is not None) or (all_front and options["out"]):
        raise ConfigError("say which design: DIGEST with or without --out, or --all-front alone")
    study = Study.read(folder)
    with study.store:
        chosen = list(study.front()) if all_front else [study.store.evaluation(str(digest))]
        designs = [each.candidate.digest for each in chosen]
        rows = _exports(study, designs, target, options)
    if as_json:
        _print_json(rows)
    else:
        print_exports(rows, target)
    if any(row["folder"] is None for row in rows):
        sys.exit(2)


def _exports(
    study: "Study", designs: list[str], target: str, options: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """One row a design; a front goes on past a design that the target refuses."""
    from codesign.cli.exports import export_one, export_row
    from codesign.cli.inputs import inputs_or_random
    from codesign.cli.view import waiting
    from codesign.errors import OutputError, UnsupportedLayerError

    inputs = inputs_or_random(study, options["vectors"])
    device = _device(study.device, options)
    rows: list[dict[str, Any]] = []
    for digest in designs:
        with waiting(f"Exporting {digest} to {target}"):
            try:
                given = inputs(study.network(digest))
                rows.append(export_one(study, digest, target, device, given, options))
            except (UnsupportedLayerError, OutputError) as error:
                if len(designs) == 1:
                    raise
                rows.append(export_row(digest, None, reason=str(error)))
    return rows


@cli.command(epilog="Example: codesign verify runs/demo 143a5a8b --form onnx --form rtl")
@click.argument("folder", type=click.Path())
@click.argument("digest")
@click.option("--form", "forms", multiple=True, help="Forms to compare.  [default: all but finn]")
@_target_options
@_json_option
def verify(folder: str, digest: str, forms: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """The chain check: a design in every form, integer by integer.

    Forms: float, module, onnx, qonnx, finn, hls4ml, rtl, netlist. Exits with 1 if integers differ. An earlier
    export of the study is run as it lies there.
    """
    from codesign.chain import DEFAULT_FORMS, Hop
    from codesign.chain import verify as compare
    from codesign.cli.exports import print_chain
    from codesign.cli.inputs import inputs_or_random
    from codesign.cli.view import waiting
    from codesign.hardware.folding import fold
    from codesign.study import Study

    study = Study.read(folder)
    with study.store:
        network = study.network(digest)
        if options["interval"] is not None:
            network = fold(network, options["interval"])
        inputs = inputs_or_random(study, options["vectors"])(network)
        hops: list[Hop] = []
        todo = compare(
            network,
            inputs,
            device=_device(study.device, options),
            forms=forms or DEFAULT_FORMS,
            exported=lambda target: study.export_folder(digest, target),
        )
        for form in forms or DEFAULT_FORMS:
            with waiting(f"Comparing {form}{SLOW_FORMS.get(form, '')}"):
                hops.append(next(todo))
    if as_json:
        _print_json([hop.to_dict() for hop in hops])
    else:
        print_chain(hops)
    if not all(hop.ok for hop in hops):
        sys.exit(1)


_parameters_option = click.option(
    "--parameters",
    type=click.Choice(_GENERATORS),
    default="T",
    show_default=True,
    help="Of the generator: T tuned, C closer to the published rows, P first principles.",
)


@cli.group()
def data() -> None:
    """Look at data, or generate it."""


@data.command("check", epilog="Example: codesign data check --data wafers.csv.gz")
@click.option(
    "--data", "path", type=click.Path(), help="File or folder of wafers; without it they are generated."
)
@click.option("--wafers", type=int, default=100_000, show_default=True, help="How many to generate.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the generator.")
@click.option(
    "--population",
    type=click.Choice(["pileup", "electron", "jet", "ttbar"]),
    default="pileup",
    show_default=True,
    help="What the generator makes.",
)
@_parameters_option
@_json_option
def data_check(
    path: str | None, wafers: int, seed: int, population: Any, parameters: str, as_json: bool
) -> None:
    """Published or measured figures beside those of the data at hand."""
    from dataclasses import asdict

    from codesign.cli.view import print_check, waiting
    from codesign.tasks import econt
    from codesign.tasks.data_check import check

    with waiting("Reading wafers"):
        found = (
            econt.load(path)
            if path
            else econt.generate(wafers, seed=seed, population=population, parameters=parameters)
        )
        rows = check(found)
    if as_json:
        _print_json(
            [{**asdict(row), "ratio": row.ratio, "difference": row.difference, "ok": row.ok} for row in rows]
        )
    else:
        print_check(found, rows)


@data.command("generate", epilog="Example: codesign data generate --wafers 5000 --out wafers.csv.gz")
@click.option("--out", required=True, type=click.Path(), help="CSV file to write; gzipped if it ends in .gz.")
@click.option("--wafers", type=int, default=100_000, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--population",
    type=click.Choice(["pileup", "electron", "jet", "ttbar"]),
    default="pileup",
    show_default=True,
    help="What the generator makes.",
)
@_parameters_option
def data_generate(out: str, wafers: int, seed: int, population: Any, parameters: str) -> None:
    """Write generated wafers as a trigger-cell CSV; a file that is there is not overwritten."""
    import gzip

    import pandas as pd

    from codesign.cli.view import waiting
    from codesign.files import write_file
    from codesign.tasks import econt

    if Path(out).is_file():
        raise ConfigError(f"--out {out} is there already; name another file, or remove it first")
    if not Path(out).parent.exists():
        click.echo(f"note: {Path(out).parent} is no folder yet; it is made", err=True)
    with waiting(f"Generating {wafers:,} wafers"):
        made = econt.generate(wafers, seed=seed, population=population, parameters=parameters)
        frame = pd.DataFrame(made.calq, columns=[f"CALQ_{index}" for index in range(made.calq.shape[1])])
        text = pd.concat([frame, pd.DataFrame(dict(made.columns))], axis=1).to_csv(index=False).encode()
        write_file(Path(out), gzip.compress(text, mtime=0) if out.endswith(".gz") else text)
    click.echo(f"{out}: {counted(len(made), 'wafer')}")


@cli.command(epilog="Example: codesign doctor --json")
@_json_option
def doctor(as_json: bool) -> None:
    """What is installed, and which parts of codesign work here."""
    from codesign.cli.doctor import examine
    from codesign.cli.view import print_doctor

    checks = examine()
    if as_json:
        _print_json(checks)
    else:
        print_doctor(checks)
