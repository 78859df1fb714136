"""The commands about measured cost: synthesise designs, compare estimates with reports, correct estimates."""

import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codesign.cli.commands import (
    _DEVICE_FIELDS,
    _DEVICE_OPTIONS,
    _command,
    _device,
    _device_options,
    _json_option,
    _print_json,
    _stoppable,
    cli,
)
from codesign.errors import ConfigError

if TYPE_CHECKING:
    from codesign.calibration import Calibration
    from codesign.campaign import Goal
    from codesign.comparison import FrontChanges, Pair
    from codesign.evaluation import Evaluation, Status
    from codesign.hardware import Device, HardwareModel, SynthesisReport
    from codesign.network import Network
    from codesign.store import Synthesis
    from codesign.study import Study

__all__ = ["calibrate", "compare", "synth"]

_GOALS = "sky130hd, sg13g2, asap7, the path of a Liberty file, xc7, xcup or ecp5"


def _options(*given: Any) -> Callable[[Any], Any]:
    def add(command: Any) -> Any:
        for option in reversed(given):
            command = option(command)
        return command

    return add


_device_choice = _options(*_DEVICE_OPTIONS[2:])


@cli.command(epilog="Example: codesign synth runs/demo --front --to sky130hd --weights constant")
@click.argument("folder", type=click.Path())
@click.argument("digests", nargs=-1, metavar="[DIGEST]...")
@click.option("--front", "whole_front", is_flag=True, help="Every design on the front.")
@click.option("--all", "everything", is_flag=True, help="Every trained design.")
@click.option("--to", help=f"What to synthesise to: {_GOALS}.  [default: the study's technology]")
@_device_choice
@click.option("--power", is_flag=True, help="Power by OpenSTA, from the switching of the design's vectors.")
@click.option("--place", is_flag=True, help="Place and route by nextpnr (ecp5).")
@click.option(
    "--timeout", type=click.FloatRange(min=1), default=1800, show_default=True, help="Seconds a tool."
)
@click.option("--workers", type=click.IntRange(min=1), help="Designs at a time.  [default: one a core]")
@click.option("--again", is_flag=True, help="Try those again that failed or took too long.")
@_json_option
def synth(
    folder: str,
    digests: tuple[str, ...],
    whole_front: bool,
    everything: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Synthesise trained designs with open tools.

    The Verilog of each design (as `codesign export --to rtl` writes it) goes through Yosys to a standard-cell
    library or an FPGA family. What was synthesised before is not repeated; stopped, the same command goes on.
    Logs, the script and the report of a design are in FOLDER/synthesis/DIGEST.
    """
    from codesign.campaign import synthesise_designs
    from codesign.cli.inputs import kept_inputs
    from codesign.cli.reports import print_syntheses
    from codesign.config import default_workers
    from codesign.hardware.estimate import FRAMES
    from codesign.study import Study

    study = Study.open(folder)
    with study.store:
        networks = _networks(study, digests, whole_front=whole_front, everything=everything)
        goal = _goal(study, options)
        running = synthesise_designs(
            study.store,
            networks,
            goal,
            inputs=kept_inputs(study, FRAMES) if goal.power else None,
            workers=options["workers"] or default_workers(),
            again=options["again"],
        )
        with (
            _stoppable(Path(folder), ""),
            _progress(len(networks), f"{goal.label}", quiet=as_json) as shown,
        ):
            found = list(shown(running))
    rows = sorted(found, key=lambda each: list(networks).index(each.digest))
    if as_json:
        _print_json([_synthesis_row(each) for each in rows])
    else:
        print_syntheses(rows, goal.label)
        model = _model_for(goal)
        choice = () if study.meta["model"].startswith(model) else ("--model", model)
        click.echo(f"Compare: {_command('compare', Path(folder), '--synth', goal.label, *choice)}")
    if any(each.status != "ok" for each in rows):
        sys.exit(2)


def _model_for(goal: "Goal") -> str:
    """The hardware model that prices what was synthesised."""
    if goal.family:
        return "fpga-unrolled"
    return "constant" if goal.device.weights == "constant" else "asic"


def _synthesis_row(synthesis: "Synthesis") -> dict[str, Any]:
    report = synthesis.report.to_dict() if synthesis.report else None
    return {
        "digest": synthesis.digest,
        "run": synthesis.run,
        "status": synthesis.status,
        "reason": synthesis.reason,
        "report": report,
    }


def _goal(study: "Study", options: Mapping[str, Any]) -> "Goal":
    from codesign.campaign import Goal
    from codesign.synthesis import FAMILIES, LIBRARIES

    device = _device(study.device, options)
    to = options["to"] or device.technology
    if options["to"] is None and to not in (*FAMILIES, *LIBRARIES):
        raise ConfigError(f"the study's technology {to!r} is nothing to synthesise to; give --to {_GOALS}")
    if options["place"] and to != "ecp5":
        raise ConfigError(f"--place is for --to ecp5, the family that nextpnr routes here; got --to {to}")
    if options["power"] and to in FAMILIES:
        raise ConfigError(f"--power needs a standard-cell library; {to} is an FPGA family, leave it out")
    return Goal(to, device, power=options["power"], place=options["place"], timeout=options["timeout"])


def _networks(
    study: "Study", digests: Sequence[str], *, whole_front: bool, everything: bool
) -> "dict[str, Network]":
    """Whole digests to trained networks of the designs that were named, one way or another."""
    if bool(digests) + whole_front + everything != 1:
        raise ConfigError("say which designs: one or more DIGEST, or --front, or --all")
    if everything:
        chosen = [each for each in study.evaluations if each.metrics]
    else:
        chosen = list(study.front()) if whole_front else [study.store.evaluation(one) for one in digests]
    if not chosen:
        raise ConfigError(f"{study.folder} has no trained design yet; `codesign resume` goes on with it")
    return {each.candidate.digest: study.store.network(each.candidate.digest) for each in chosen}


@contextmanager
def _progress(total: int, what: str, *, quiet: bool) -> Iterator[Any]:
    """A function that shows how far an iteration is."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from codesign.cli.view import make_console

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = make_console(error=True)
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)

        def shown(items: Any) -> Iterator[Any]:
            for item in items:
                bar.advance(task)
                yield item

        yield shown


_pair_options = _options(
    click.option(
        "--reports",
        type=click.Path(),
        help="Folder of tool reports; a design's stand in a folder or file that is named by its digest.",
    ),
    click.option("--synth", "run", help="Label of a `codesign synth`, such as sky130hd-constant-40MHz."),
    click.option("--stage", help="Which stage of a design's reports, such as synthesis or routed."),
    click.option("--model", help="Hardware model.  [default: the study's]"),
    _device_options,
    click.option("--interval", type=click.IntRange(min=1), help="Cycles a frame that layers are folded to."),
)


@cli.command(epilog="Example: codesign compare runs/demo --synth sky130hd-constant-40MHz --model constant")
@click.argument("folder", type=click.Path())
@_pair_options
@click.option("--calibration", type=click.Path(), help="File of `codesign calibrate` to estimate with.")
@click.option("--out", type=click.Path(), help="Parity plot.  [default: FOLDER/parity.png]")
@_json_option
def compare(folder: str, out: str | None, as_json: bool, **options: Any) -> None:
    """Compare estimates with reports of tools.

    Predicted beside measured by resource, with the errors and the rank correlation, and what measured costs
    do to the front.

    Reports come from a folder of the tools' own files (--reports) or from `codesign synth` (--synth). An
    estimate and a report of different targets are not compared; the error names what differs.
    """
    from codesign.cli.reports import print_comparison
    from codesign.comparison import compare as compared
    from codesign.files import write_file
    from codesign.plotting import parity_figure, png
    from codesign.study import Study

    study = Study.read(folder)
    with study.store:
        pairs, ignored = _pairs(study, options)
        found = compared(pairs)
        changes = _front_changes(study, pairs)
    picture = Path(out) if out else Path(folder) / "parity.png"
    write_file(picture, png(parity_figure(found)))
    if as_json:
        front = None if changes is None else changes.to_dict()
        _print_json({**found.to_dict(), "front": front, "ignored": ignored, "picture": str(picture)})
        return
    print_comparison(found, changes, ignored)
    click.echo(f"Parity plot: {picture}")


def _front_changes(study: "Study", pairs: "Sequence[Pair]") -> "FrontChanges | None":
    """The front of the estimates, against that of their reports; None if these state no objective.

    A design whose trained weights put its estimate over a budget may be within it as it was measured.
    """
    from dataclasses import replace

    from codesign.comparison import front_changes

    known = {report.design: (estimate.costs(), report.stated()) for estimate, report in pairs}
    if not any(goal.name in stated for _, stated in known.values() for goal in study.objectives):
        return None

    def kept(each: "Evaluation", costs: Mapping[str, float]) -> bool:
        return each.ok or (bool(each.metrics) and all(goal.admits(costs[goal.name]) for goal in study.limits))

    estimated = []
    for each in study.evaluations:
        costs, stated = known.get(each.candidate.digest, ({}, {}))
        costs = {**each.costs, **costs}
        judged: Status = "ok" if stated and kept(each, {**costs, **stated}) else each.status
        estimated.append(replace(each, costs=costs, status=judged))
    measured = {digest: stated for digest, (_, stated) in known.items()}
    return front_changes(estimated, study.objectives, measured)


@cli.command(epilog="Example: codesign calibrate runs/demo --synth sky130hd-constant-40MHz --out sky130.json")
@click.argument("folder", type=click.Path())
@_pair_options
@click.option("--coverage", type=click.FloatRange(0.5, 0.99), default=0.9, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the splits of the cross-validation.")
@click.option("--out", type=click.Path(), required=True, help="File to write.")
@_json_option
def calibrate(folder: str, out: str, coverage: float, seed: int, as_json: bool, **options: Any) -> None:
    """Correct a hardware model by reports of tools.

    The next study takes the file: `codesign run --calibration FILE`. Estimates then come with intervals, and
    say where a design lies outside what was fitted.
    """
    from datetime import date

    from codesign.calibration import Calibration
    from codesign.cli.reports import print_calibration
    from codesign.study import Study

    study = Study.read(folder)
    with study.store:
        pairs, ignored = _pairs(study, options, before_training=True)
    said = {"date": date.today().isoformat(), "study": study.folder.name, "from": _where_from(options)}
    calibration = Calibration.fit(pairs, coverage=coverage, seed=seed, provenance=said)
    calibration.save(out)
    for doubt in calibration.doubts:
        click.echo(f"warning: {doubt}", err=True)
    if as_json:
        _print_json({**calibration.to_dict(), "file": str(out), "ignored": ignored})
        return
    print_calibration(calibration, ignored)
    choice = _choice(calibration, options["technology"] or study.device.technology)
    click.echo(f"Use it: codesign run {shlex.join([*choice, '--calibration', out])}")


def _choice(calibration: "Calibration", technology: str) -> list[str]:
    """Options of the model and the device that a calibration is for; a table of one's own by its path."""
    from dataclasses import replace

    from codesign.hardware import Device

    common, usual = calibration.common, Device(technology)
    names = [
        name
        for name in _DEVICE_FIELDS
        if name not in ("redundancy", "pipelined") or getattr(common.target, name) != getattr(usual, name)
    ]
    by_path = usual.technology_name == common.target.technology
    target = replace(common.target, technology=technology) if by_path else common.target
    return ["--model", common.model, *target.options(names)]


def _pairs(
    study: "Study", options: Mapping[str, Any], *, before_training: bool = False
) -> "tuple[list[Pair], list[str]]":
    """Estimates with the reports of the same designs; what was not read of the folder, and why.

    Where reports state power, it is estimated from what the study's inputs change, if the model can. On
    demand also what a model estimates without them, and before weights are known.
    """
    from dataclasses import replace

    from codesign.cli.inputs import seeing
    from codesign.hardware.folding import fold

    reports, ignored = _reports(study, options)
    model = _model(study, options)
    stated = any(report.power_mw is not None for report in reports.values())
    networks = {digest: study.network(digest) for digest in reports}
    counting = seeing(study, model, next(iter(networks.values()))) if stated else model
    pairs: list[Pair] = []
    for digest, report in reports.items():
        device = _device(_device_of(study.device, report) if options["run"] else study.device, options)
        network = networks[digest]
        if options["interval"] is not None:
            network = fold(network, options["interval"])
        report = replace(report, design=digest)
        pairs.append((counting.estimate(network, device), report))
        if before_training and counting is not model:
            pairs.append((model.estimate(network, device), report))
        if before_training and model.needs_weights and device.weights == "constant":
            pairs.append((model.estimate(replace(network, weights={}), device), report))
    return pairs, ignored


def _model(study: "Study", options: Mapping[str, Any]) -> "HardwareModel":
    """The model that was asked for, or the study's; calibrated only where estimates are looked at."""
    from codesign import catalogue
    from codesign.config import stored_model

    calibration, looked_at = options.get("calibration"), "calibration" in options
    if options["model"] is None and calibration is None:
        return stored_model(study, calibrated=looked_at)
    return catalogue.hardware_model(options["model"] or stored_model(study, calibrated=False), calibration)


def _device_of(base: "Device", report: "SynthesisReport") -> "Device":
    """The device that a synthesis of ours was for: its report states it."""
    from dataclasses import replace

    stated = {name: getattr(report.target, name) for name in _DEVICE_FIELDS}
    chosen = {name: value for name, value in stated.items() if value is not None}
    same = report.target.technology in (None, base.technology_name)
    return replace(base, **{"part": base.part if same else None, **chosen})


def _where_from(options: Mapping[str, Any]) -> str:
    return f"--synth {options['run']}" if options["run"] else f"--reports {options['reports']}"


def _reports(study: "Study", options: Mapping[str, Any]) -> "tuple[dict[str, SynthesisReport], list[str]]":
    """One report a design, by its whole digest."""
    from codesign.synthesis.reports import read_folder

    if bool(options["reports"]) == bool(options["run"]):
        raise ConfigError("say where reports come from: --reports FOLDER, or --synth LABEL")
    if options["run"]:
        return _synthesised(study, options["run"]), []
    trained = [each.candidate.digest for each in study.evaluations if each.ok]
    found = read_folder(Path(options["reports"]), trained)
    chosen: dict[str, SynthesisReport] = {}
    for digest, reports in found.by_design.items():
        at_stage = [each for each in reports if options["stage"] in (None, each.stage)]
        if len(at_stage) > 1:
            stages = ", ".join(f"{each.stage} ({each.source})" for each in at_stage)
            raise ConfigError(f"design {digest} has reports of several runs: {stages}; choose with --stage")
        if at_stage:
            chosen[digest] = at_stage[0]
    unread = [f"{path}: {reason}" for path, reason in {**found.refused, **found.ignored}.items()]
    if not chosen:
        said = "; ".join(unread[:5]) or "it holds no file"
        raise ConfigError(f"{options['reports']} has no report of a trained design of {study.folder}: {said}")
    return chosen, unread


def _synthesised(study: "Study", run: str) -> "dict[str, SynthesisReport]":
    known = study.store.syntheses()
    reports = {each.digest: each.report for each in known if each.run == run and each.report is not None}
    if not reports:
        labels = ", ".join(sorted({each.run for each in known})) or "none"
        raise ConfigError(
            f"{study.folder} has no synthesis {run!r} that ended well; there are: {labels}; "
            f"{_command('synth', study.folder, '--front', '--to', run.partition('-')[0])} makes one"
        )
    return reports
