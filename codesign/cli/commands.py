"""The commands. What they need is imported when they run, so that ``--help`` answers at once."""

import json
import os
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codesign.errors import CodesignError, ConfigError

if TYPE_CHECKING:
    from codesign.config import StudyConfig
    from codesign.study import Study

__all__ = ["main"]

INTERRUPTED = 130


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
        sys.exit(cli(standalone_mode=False))
    except click.exceptions.Abort:
        sys.exit(INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except CodesignError as error:
        sys.exit(_say_error(str(error)))
    except KeyboardInterrupt:
        click.echo("stopped", err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        sys.exit(_say_defect(error))


def _say_warning(message: Warning, category: type[Warning], *_: Any, **__: Any) -> None:
    """Warnings of our own; those of libraries are not the user's business."""
    if category.__module__.startswith("codesign"):
        click.echo(f"warning: {message}", err=True)


def _say_error(text: str) -> int:
    click.echo(f"error: {text}", err=True)
    return 2


def _say_defect(error: Exception) -> int:
    """A defect of ours: one line for the user, the traceback in a file for the report."""
    if os.environ.get("CODESIGN_DEBUG"):
        traceback.print_exception(error)
    else:
        with tempfile.NamedTemporaryFile("w", suffix=".txt", prefix="codesign-", delete=False) as stream:
            traceback.print_exception(error, file=stream)
        text = f"internal error: {type(error).__name__}: {error}; please report it with {stream.name}"
        click.echo(text, err=True)
    return 1


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="codesign")
def cli() -> None:
    """Search small quantised neural networks for the best trade of quality against hardware cost.

    \b
    codesign run --space econt --trials 20 --steps 500 --recipe quick --out runs/first
    codesign front runs/first
    codesign export runs/first DIGEST --to onnx
    """


def _json_option(command: Any) -> Any:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def _print_json(data: Any) -> None:
    click.echo(json.dumps(data, indent=1))


_DEVICE_OPTIONS = (
    click.option("--technology", help="Table of the hardware model, such as asic-65nm or asic-45nm."),
    click.option("--clock-mhz", type=float, help="Clock in MHz."),
)


def _device_options(command: Any) -> Any:
    for option in reversed(_DEVICE_OPTIONS):
        command = option(command)
    return command


@cli.command(epilog="Example: codesign run examples/demo.toml --out runs/demo")
@click.argument("study_file", required=False, type=click.Path())
@click.option("--space", help="Search space: a name, package.module, or file.py.  [default: econt]")
@click.option("--task", help="Task.  [default: econt]")
@click.option("--trials", type=int, help="Designs to evaluate, the baseline among them.  [default: 60]")
@click.option("--steps", type=int, help="Optimiser steps of each training.  [default: 2000]")
@click.option("--recipe", type=click.Choice(["study", "quick"]), help="Training recipe.  [default: study]")
@click.option("--seed", type=int, help="Seed of proposals and trainings.  [default: 0]")
@click.option("--out", type=click.Path(), help="Folder of the study.  [default: runs/SPACE-SEED]")
@click.option(
    "--objective",
    "objectives",
    multiple=True,
    help="What is traded, such as emd, area_um2 or 'area_um2<=2e6'; give two or more.",
)
@click.option(
    "--limit", "limits", multiple=True, help="A bound on a cost that is not traded: 'operations<=40000'."
)
@click.option("--optimiser", help="qnehvi or random.  [default: qnehvi]")
@click.option("--data", type=click.Path(), help="File or folder of data; without it wafers are generated.")
@click.option("--wafers", type=int, help="How many wafers to generate.  [default: 100000]")
@click.option("--workers", type=int, help="Worker processes.  [default: one a core]")
@_device_options
@click.option("--dry-run", is_flag=True, help="Print the size of the space and its costs; train nothing.")
@_json_option
def run(study_file: str | None, dry_run: bool, as_json: bool, **options: Any) -> None:
    """Search a space: from STUDY.toml, from options, or from both (options win).

    Ends with the table of the front and writes front.csv, front.json, front.html and front.png into the
    folder of the study. Ctrl-C stops it; `codesign resume` goes on.
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
            f"{out} already holds a study; `codesign resume {out}` goes on with it, or choose another --out"
        )
    _run(config, out, as_json)


def _merged(base: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a study file with the options of the command line put over them."""
    merged = {**base}
    for name in ("space", "task", "trials", "seed", "optimiser", "workers"):
        if options[name] is not None:
            merged[name] = options[name]
    for name in ("objectives", "limits"):
        if options[name]:
            merged[name] = list(options[name])
    tables = {
        "recipe": {"steps": options["steps"], "kind": options["recipe"]},
        "device": {"technology": options["technology"], "clock_mhz": options["clock_mhz"]},
        "data": {
            "path": str(Path(options["data"]).resolve()) if options["data"] else None,
            "wafers": options["wafers"],
        },
    }
    for table, values in tables.items():
        given = {name: value for name, value in values.items() if value is not None}
        if given:
            merged[table] = {**base.get(table, {}), **given}
    return merged


def _run(config: "StudyConfig", out: Path, as_json: bool) -> None:
    from codesign.cli.view import View, waiting
    from codesign.config import start

    with waiting("Loading data and checking the budgets"):
        setup = config.setup()
    with View(config.trials, setup, quiet=as_json) as view, _stoppable(out):
        study = start(config, setup, out, view)
    _close(study, config.export, as_json)


class _stoppable:  # noqa: N801
    """Say how to go on when a study is stopped from the keyboard."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, KeyboardInterrupt):
            click.echo(
                f"\nStopped; nothing that was finished is lost. Go on with: codesign resume {self.folder}",
                err=True,
            )


def _close(study: "Study", export: list[Any], as_json: bool) -> None:
    """Write the front and the exports, print the table and what one can do next."""
    from codesign.cli.view import print_front, waiting

    with study.store:
        with waiting("Drawing the front"):
            files = study.save_front()
        exported = []
        for target in export:
            for evaluation in study.front():
                with waiting(f"Exporting {evaluation.candidate.digest} to {target}"):
                    exported.append(study.export(evaluation.candidate.digest, target))
        if as_json:
            _print_json({"folder": str(study.folder), **study.front().to_dict(study.baseline)})
            return
        print_front(study)
        if study.note:
            click.echo(f"Note: {study.note}.")
        click.echo(f"\nFront: {', '.join(str(path) for path in files)}")
        if exported:
            click.echo(
                f"Exported: {len(exported)} designs, {exported[0].parent.parent}/DIGEST/{exported[0].name}"
            )
        folder, trials = study.folder, len(study.evaluations)
        click.echo(f"Look again: codesign front {folder}    One design: codesign show {folder} DIGEST")
        click.echo(f"Extend:     codesign resume {folder} --trials {trials + 20}")


def _dry_run(config: "StudyConfig", as_json: bool) -> None:
    from dataclasses import asdict

    import numpy as np

    from codesign import catalogue
    from codesign.cli.view import print_survey

    setup = config.setup(task=catalogue.load("tasks", config.task))
    problem, rng = setup.problem, np.random.default_rng(config.seed)
    problem.check_budgets(rng)
    names = dict.fromkeys([goal.name for goal in (*problem.known_objectives, *problem.limits)])
    survey = problem.survey(
        [*names, *(n for n in ("operations", "area_um2", "power_mw") if n not in names)], rng
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
@click.option("--trials", type=int, help="Designs in all; more than before extends the study.")
@_json_option
def resume(folder: str, trials: int | None, as_json: bool) -> None:
    """Go on with a study that was stopped, or extend one that is complete."""
    from codesign.cli.view import View, waiting
    from codesign.config import go_on, stored_config

    config = stored_config(folder)
    with waiting("Loading data"):
        setup = config.setup()
    total = trials or config.trials
    with View(total, setup, quiet=as_json) as view, _stoppable(Path(folder)):
        study = go_on(folder, setup, total, view)
    _close(study, config.export, as_json)


@cli.command(epilog="Example: codesign status runs/demo --json")
@click.argument("folder", type=click.Path())
@_json_option
def status(folder: str, as_json: bool) -> None:
    """How far a study is: designs by how they ended, the front, the time."""
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
            _print_json({"folder": str(study.folder), **study.front().to_dict(study.baseline)})
        else:
            print_front(study)


@cli.command(epilog="Example: codesign show runs/demo 143a5a8b")
@click.argument("folder", type=click.Path())
@click.argument("digest")
@_json_option
def show(folder: str, digest: str, as_json: bool) -> None:
    """Everything known of one design, by the first digits of its digest."""
    from codesign.cli.view import print_design
    from codesign.study import Study

    study = Study.read(folder)
    with study.store:
        evaluation = study.store.evaluation(digest)
        path = study.store.network_path(evaluation.candidate.digest)
        if as_json:
            _print_json({**evaluation.to_dict(), "network": str(path) if path.is_file() else None})
        else:
            print_design(study, evaluation, path if path.is_file() else None)


@cli.command(epilog="Example: codesign estimate candidate.json --space econt --json")
@click.argument("source", type=click.Path())
@click.argument("digest", required=False)
@click.option("--space", default="econt", show_default=True, help="Space that SOURCE is a candidate of.")
@click.option("--model", default="asic", show_default=True, help="Hardware model.")
@_device_options
@_json_option
def estimate(
    source: str,
    digest: str | None,
    space: str,
    model: str,
    technology: str | None,
    clock_mhz: float | None,
    as_json: bool,
) -> None:
    """Predicted cost of a design.

    SOURCE is the folder of a study (then DIGEST says which design), or a JSON file with a candidate of
    --space or with a network.
    """
    from codesign import catalogue
    from codesign.cli.view import print_estimate
    from codesign.hardware import Device, effective_bops

    network, device = _priced(source, digest, space)
    chosen = Device(technology or device.technology, clock_mhz or device.clock_mhz)
    found = catalogue.hardware_model(model).estimate(network, chosen)
    data = {**found.to_dict(), "effective_bops": effective_bops(network) if network.fitted else None}
    if as_json:
        _print_json(data)
    else:
        print_estimate(found, data["effective_bops"])


def _priced(source: str, digest: str | None, space: str) -> Any:
    """Network and device of whatever `estimate` is given."""
    from codesign import catalogue
    from codesign.hardware import Device
    from codesign.network import Network
    from codesign.study import Study

    if Path(source).is_dir():
        if not digest:
            raise ConfigError(f"{source} is a study; say which design: codesign estimate {source} DIGEST")
        study = Study.read(source)
        with study.store:
            return study.network(digest), Device(**study.meta["device"])
    data = _read_json(source)
    if isinstance(data, dict) and "codesign_network" in data:
        return Network.from_dict(data), Device()
    values = data.get("candidate", data) if isinstance(data, dict) else data
    definition = catalogue.search_space(space)
    return definition.build(definition.SPACE.candidate(values)), Device()


def _read_json(path: str) -> Any:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}") from error


@cli.command(epilog="Example: codesign export runs/demo 143a5a8b --to onnx")
@click.argument("folder", type=click.Path())
@click.argument("digest")
@click.option("--to", "target", type=click.Choice(["onnx"]), required=True, help="Form to write.")
@click.option("--out", type=click.Path(), help="Folder to write.  [default: FOLDER/export/DIGEST/TARGET]")
@_json_option
def export(folder: str, digest: str, target: str, out: str | None, as_json: bool) -> None:
    """Write a trained design in another form, checked to give the same integers."""
    from codesign.cli.view import waiting
    from codesign.study import Study

    study = Study.read(folder)
    with study.store, waiting(f"Exporting to {target}"):
        path = study.export(digest, target, out)
    if as_json:
        _print_json({"folder": str(path), "files": sorted(str(file) for file in path.iterdir())})
    else:
        click.echo(f"{path}: {', '.join(sorted(file.name for file in path.iterdir()))}")


@cli.command(
    epilog="Example: codesign score runs/demo/networks/143a5a8b658f7e54.json --data wafers.csv --json"
)
@click.argument("network_file", metavar="NETWORK.json", type=click.Path())
@click.option("--data", type=click.Path(), help="File or folder of wafers; without it they are generated.")
@click.option("--wafers", type=int, default=20_000, show_default=True, help="How many to generate.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the generator.")
@_json_option
def score(network_file: str, data: str | None, wafers: int, seed: int, as_json: bool) -> None:
    """Mean and spread of every metric of a network on a data set."""
    from codesign.cli.view import print_scores, waiting
    from codesign.network import Network
    from codesign.tasks import econt

    network = Network.load(network_file)
    with waiting("Scoring"):
        rows = econt.load(data) if data else econt.generate(wafers, seed=seed)
        scores = econt.score(network, rows)
    if as_json:
        _print_json({name: summary.to_dict() for name, summary in scores.items()})
    else:
        print_scores(scores, econt.EcontTask.metrics, rows.source)


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
@_json_option
def data_check(path: str | None, wafers: int, seed: int, population: Any, as_json: bool) -> None:
    """Print each published or measured figure beside that of the data at hand."""
    from dataclasses import asdict

    from codesign.cli.view import print_check, waiting
    from codesign.tasks import econt
    from codesign.tasks.data_check import check

    with waiting("Reading wafers"):
        found = econt.load(path) if path else econt.generate(wafers, seed=seed, population=population)
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
)
def data_generate(out: str, wafers: int, seed: int, population: Any) -> None:
    """Write generated wafers as a trigger-cell CSV."""
    import gzip

    import pandas as pd

    from codesign.cli.view import waiting
    from codesign.store import write_file
    from codesign.tasks import econt

    with waiting(f"Generating {wafers:,} wafers"):
        made = econt.generate(wafers, seed=seed, population=population)
        frame = pd.DataFrame(made.calq, columns=[f"CALQ_{index}" for index in range(made.calq.shape[1])])
        text = pd.concat([frame, pd.DataFrame(dict(made.columns))], axis=1).to_csv(index=False).encode()
        write_file(Path(out), gzip.compress(text, mtime=0) if out.endswith(".gz") else text)
    click.echo(f"{out}: {len(made):,} wafers")


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
