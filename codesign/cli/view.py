"""What the commands show people: the live view of a run, and tables with units."""

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from codesign.config import stored_model
from codesign.errors import CodesignError, counted
from codesign.evaluation import Evaluation, Repeated
from codesign.hardware.estimate import COST_UNITS, HardwareEstimate, SeesInputs
from codesign.metrics import Summary
from codesign.network import Sigmoid
from codesign.objectives import Objective
from codesign.optimisers.problem import Survey
from codesign.pareto import COMPARED, Front
from codesign.space import Candidate
from codesign.study import KNOWN, WARM_START, Setup, Study

if TYPE_CHECKING:
    from codesign.tasks.data_check import CheckRow
    from codesign.tasks.wafers import Wafers

__all__ = [
    "View",
    "make_console",
    "print_check",
    "print_design",
    "print_doctor",
    "print_estimate",
    "print_front",
    "print_scores",
    "print_status",
    "print_survey",
    "status_data",
    "waiting",
]

DATA_WORDS = (
    "Charges in MIP_T (35 counts). occ_all, occ_1MT: trigger cells above 0 and above 1 MIP_T. P: the sum "
    "rounded down to a power of two. hit beside a hit: probability that a neighbour, or a cell more than 6 "
    "cells away, is hit too. lead k: share of the k-th largest cell, and radius (cells): charge-weighted "
    "r.m.s., both above 10 MIP_T."
)
SHOWN = 10
WIDTH = 150
SHORT_DIGEST = 8
NARROW = {"operations": "opera-\ntions", "parameters": "param-\neters", "weight_bits": "weight\nbits"}
SPREAD = ("mean", "spread over\nsamples", "error of\nthe mean")
COLUMNS = ("operations", "area_um2", "power_mw", "lut", "ff", "dsp", "latency_ns")
BRIEF = 3


def make_console(*, error: bool = False) -> Console:
    """As wide as the terminal; where there is none, as ``COLUMNS`` says, else wide enough for any table."""
    console = Console(stderr=error, highlight=False)
    wide = console.is_terminal or os.environ.get("COLUMNS", "").isdigit()
    return console if wide else Console(stderr=error, highlight=False, width=WIDTH)


def _fitting(console: Console, make: Callable[[bool], Table]) -> Table:
    """A table: framed, or where that is too wide for the console the one of ``make(True)``, unframed."""
    table = make(False)
    if console.measure(table, options=console.options.update(width=10 * WIDTH)).maximum <= console.width:
        return table
    table = make(True)
    table.box, table.padding, table.pad_edge = None, (0, 1, 0, 0), False
    return table


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """A spinner while something takes its time."""
    with make_console(error=True).status(text):
        yield


def _number(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "-"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"


def _heading(name: str, units: Mapping[str, str], *, narrow: bool = False) -> str:
    unit = units.get(name, "")
    words = {"emd": "EMD"}.get(name, name)
    for suffix in ("_um2", "_mw", "_ns", "_nj", "_cycles"):
        words = words.removesuffix(suffix)
    if narrow:
        words, unit = NARROW.get(words, words), unit.replace(" ", "\n")
    return f"{words}\n\\[{unit}]" if unit not in ("", "1") else words


def _score(objectives: Sequence[Objective]) -> str:
    """The objective that training tells, the first if there are several; else the first of all."""
    return next((goal.name for goal in objectives if goal.name not in COST_UNITS), objectives[0].name)


def _measured(objectives: Sequence[Objective]) -> list[str]:
    """The objectives that training tells; if there are none, the first of all."""
    return [goal.name for goal in objectives if goal.name not in COST_UNITS] or [objectives[0].name]


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class View:
    """Live progress of a run: what is training, what ended, the front so far, the time left.

    Where the output is no terminal, one line a design.
    """

    def __init__(self, trials: int, setup: Setup, *, quiet: bool = False) -> None:
        self._trials, self._setup, self._quiet = trials, setup, quiet
        self._console = make_console(error=True)
        self._running: dict[int, tuple[Candidate, Mapping[str, float]]] = {}
        self._since: dict[int, float] = {}
        self._ended: list[Evaluation] = []
        self._start = time.monotonic()
        self._before = 0
        self._live: Live | None = None

    def __enter__(self) -> "View":
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def resumed(self, evaluations: Sequence[Evaluation]) -> None:
        """The run begins, with these designs from before."""
        self._ended = list(evaluations)
        self._before = self._designs
        self._start = time.monotonic()
        if self._console.is_terminal and not self._quiet:
            drawing, console = self._drawing, self._console
            self._live = Live(get_renderable=drawing, console=console, refresh_per_second=4, transient=True)
            self._live.start()
        elif not self._quiet:
            recipe, workers = self._setup.recipe, min(self._setup.workers, self._setup.in_flight)
            self._console.print(
                f"{self._trials} designs, {recipe.steps} steps (batch {recipe.batch}, {recipe.schedule} "
                f"learning rate from {recipe.learning_rate:g}), {workers} worker{'s' if workers > 1 else ''}",
                soft_wrap=True,
            )

    def started(self, number: int, candidate: Candidate, costs: Mapping[str, float]) -> None:
        """A design was queued."""
        self._since.pop(number, None)
        self._running[number] = (candidate, costs)

    def finished(self, evaluation: Evaluation) -> None:
        """A design ended."""
        self._running.pop(evaluation.number, None)
        self._ended.append(evaluation)
        if self._live is None and not self._quiet:
            self._console.print(self._line(evaluation), soft_wrap=True, markup=False)

    def tick(self) -> None:
        """The live view draws itself."""

    @property
    def _front(self) -> Front:
        return Front.of(self._ended, self._setup.objectives)

    @property
    def _designs(self) -> int:
        """Designs that have ended at least once; what an earlier study gave is none of the trials."""
        return len({each.candidate for each in self._ended if not each.origin.startswith(WARM_START)})

    @property
    def _costs(self) -> list[str]:
        """Costs that are traded, and the first of the usual ones."""
        traded = [goal.name for goal in self._setup.objectives if goal.name in COST_UNITS]
        usual = [name for name in COLUMNS if name in self._setup.model.predicts]
        return _distinct(*traded, *usual[:BRIEF])

    def _left(self) -> str:
        done = self._designs - self._before
        if done < 2:
            return "?"
        rate = (time.monotonic() - self._start) / done
        return _duration(rate * max(self._trials - self._designs, 0))

    def _line(self, evaluation: Evaluation) -> str:
        values = [f"{self._designs:>3}/{self._trials}", f"design {evaluation.number:<3}"]
        values += [evaluation.candidate.digest[:8], f"{evaluation.steps} steps"]
        if evaluation.ok:
            scores = _measured(self._setup.objectives)
            values += [f"{score} {_number(evaluation.value(score))}" for score in scores]
        else:
            values.append(f"{evaluation.status}: {evaluation.reason}")
        for name in self._costs:
            unit = COST_UNITS[name]
            words = name.removesuffix("_um2").removesuffix("_mw").removesuffix("_ns")
            values.append(f"{words} {_number(evaluation.costs.get(name))} {unit}".rstrip())
        return "  ".join([*values, f"front {len(self._front)}", f"left {self._left()}"])

    def _drawing(self) -> Group:
        progress = Progress(
            TextColumn("[bold]designs"),
            BarColumn(min(40, max(self._console.width - 65, 5))),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
        )
        elapsed = _duration(time.monotonic() - self._start)
        progress.add_task(
            f"front {len(self._front)} designs, elapsed {elapsed}, left {self._left()}",
            total=self._trials,
            completed=self._designs,
        )
        return Group(progress, _fitting(self._console, self._table))

    def _table(self, narrow: bool) -> Table:
        scores = _measured(self._setup.objectives)
        table = Table(box=None, header_style="bold", pad_edge=False)
        units = {**COST_UNITS, **self._setup.task.metrics}
        for name in ("design", "digest", "steps", *_distinct(*scores, *self._costs), "state"):
            side: Literal["left", "right"] = "left" if name in ("digest", "state") else "right"
            table.add_column(_heading(name, units, narrow=narrow), justify=side)
        best = {evaluation.number for evaluation in self._front}
        for ended in self._ended[-SHOWN:]:
            state = "[red]on the front" if ended.number in best else str(ended.status)
            values = {**ended.costs, **({each: ended.value(each) for each in scores} if ended.ok else {})}
            table.add_row(*self._row(ended.number, ended.candidate, ended.steps, values), state)
        for place, (number, (candidate, costs)) in enumerate(sorted(self._running.items())):
            state = "queued"
            if place < self._setup.workers:
                since = self._since.setdefault(number, time.monotonic())
                state = f"[cyan]under way, {_duration(time.monotonic() - since)}"
            table.add_row(*self._row(number, candidate, self._setup.recipe.steps, costs), state)
        return table

    def _row(
        self, number: int, candidate: Candidate, steps: int, values: Mapping[str, float]
    ) -> tuple[str, ...]:
        names = _distinct(*_measured(self._setup.objectives), *self._costs)
        cells = (_number(values.get(name)) for name in names)
        return (str(number), candidate.digest[:SHORT_DIGEST], f"{steps:,}", *cells)


def _distinct(*names: str) -> list[str]:
    return list(dict.fromkeys(names))


def print_front(study: Study) -> None:
    """The front beside the baseline, one line a design, every column with its unit."""
    console, front, baseline = make_console(), study.front(), study.baseline
    console.print(_fitting(console, partial(_front_table, study)))
    if not len(front):
        bounds = [goal.spelling for goal in front.objectives if goal.budget is not None]
        kept = any(evaluation.ok for evaluation in study.evaluations)
        why = f"keeps every budget ({', '.join(bounds)})" if kept else "was trained to the end"
        console.print(f"No design {why}; `codesign status` says how each ended.", markup=False)
    else:
        pairs = zip(front.objectives, front.reference, strict=True)
        corner = ", ".join(_valued(goal.name, value, study.units) for goal, value in pairs)
        hypervolume = _number(front.hypervolume)
        console.print(
            f"Hypervolume {hypervolume} to the reference point {corner}, a tenth of the range beyond the "
            "worst design: it moves while a study grows, `codesign insight` traces the volume to one point.",
            markup=False,
        )
    if study.repeated:
        console.print(
            "Over seeds: mean ± standard deviation (number of trainings); `codesign repeat` says who stays "
            "on the front.",
            markup=False,
        )
    if partly := study.in_part:
        console.print(
            f"Trained in part: {len(partly)} of {counted(len(front), 'design')} on the front; "
            f"`codesign resume {study.folder} --finish` trains the front to the end.",
            markup=False,
        )
    _print_constant(console, study)
    _print_without_network(console, study)
    console.print(f"{_priced(study)} {_trained(study)}", markup=False)
    if baseline is not None and not baseline.ok:
        console.print(
            f"The baseline was not trained ({baseline.status}: {baseline.reason}): no EMD ratio.",
            markup=False,
        )
        _print_unlike(console, study, baseline, front)


def _print_unlike(
    console: Console, study: Study, baseline: Evaluation | None, designs: Iterable[Evaluation]
) -> None:
    """Say where ratios to the baseline compare costs of trained weights with others."""
    if baseline is None or not {each.costs_of for each in designs} - {baseline.costs_of}:
        return
    if _weights_cost(study):
        console.print(
            f"Costs of the baseline are {_costs_of(baseline)}, those beside it are not: their ratios compare "
            "unlike figures.",
            markup=False,
        )


def _weights_cost(study: Study) -> bool:
    """Whether costs may change once weights are known: of weights, or of what the study's inputs change."""
    if study.meta["model"] == KNOWN:
        return False
    try:
        model = stored_model(study, calibrated=False)
    except CodesignError:
        return True
    return model.needs_weights or isinstance(model, SeesInputs)


def _costs_of(evaluation: Evaluation) -> str:
    return "as before training" if evaluation.costs_of == "before training" else "of its trained weights"


def _valued(name: str, value: float, units: Mapping[str, str]) -> str:
    unit = units.get(name, "")
    return f"{name} {_number(value)}{f' {unit}' if unit not in ('', '1') else ''}"


def _print_constant(console: Console, study: Study) -> None:
    """Say what a constant answer scores, for designs that score no better have not learnt anything."""
    found = study.near_constant()
    if found is None:
        return
    bound, designs = found
    trained = sum(evaluation.ok for evaluation in study.evaluations)
    text = f"A constant answer scores {_number(bound)}; "
    text += (
        f"{len(designs)} of {trained} trained designs are within 5 % of that or worse, and learnt little else"
    )
    baseline = study.baseline
    if baseline is not None and any(design.number == baseline.number for design in designs):
        quick = ", or with --recipe quick" if study.meta["recipe"]["output_bias"] == 0 else ""
        text += f", the baseline among them: train longer{quick}"
    console.print(f"{text}.", markup=False)


def _print_without_network(console: Console, study: Study) -> None:
    """What scores without a network, and what that costs is not known: best first."""
    goal = study.objectives[0]
    found = [
        (each.values[goal.name], each.name)
        for each in study.references
        if goal.name in each.values and not COST_UNITS.keys() & each.values.keys()
    ]
    if found:
        listed = "; ".join(
            f"{name} {_number(value)}" for value, name in sorted(found, reverse=goal.sense == "max")
        )
        console.print(f"Without a network, {goal.name}: {listed}.", markup=False)


def _costs(study: Study) -> list[str]:
    """Those of the usual columns that the study knows."""
    known = {name for evaluation in study.evaluations for name in evaluation.costs}
    return [name for name in COLUMNS if name in known]


def _front_table(study: Study, narrow: bool) -> Table:
    front, baseline, units = study.front(), study.baseline, study.units
    goals = [goal.name for goal in front.objectives]
    names = _distinct(*(name for name in goals if name not in COST_UNITS), *goals, *_costs(study))
    names = [*(["steps"] if study.in_part else []), *names]
    if narrow:
        names = [name for name in names if name in goals or name != "latency_ns"]
    compared = [name for name in names if name in COMPARED]
    table = Table(title=f"Front of {escape(str(study.folder))}: {_counts(study)}", title_justify="left")
    for name in ("design", "digest"):
        table.add_column(name, justify="right" if name == "design" else "left")
    for name in names:
        table.add_column(_heading(name, units, narrow=narrow), justify="right")
    for name in compared:
        heading = f"{_heading(name, {}, narrow=narrow)}\n/ {'base' if narrow else 'baseline'}"
        table.add_column(heading, justify="right", style="cyan")
    score, repeated = _score(front.objectives), study.repeated
    seeds = {digest: _over_seeds(each, score) for digest, each in repeated.items()}
    if seeds:
        table.add_column(f"{_heading(score, {}, narrow=narrow)}\nover seeds", justify="right")
    rows = front.rows(baseline)
    for row in rows:
        table.add_row(
            *_cells(row, names, compared, narrow), *([seeds.get(row["digest"], "")] if seeds else [])
        )
    if baseline is not None and baseline.candidate.digest not in {row["digest"] for row in rows}:
        table.add_section()
        measured = {name: item.mean for name, item in baseline.metrics.items()}
        values = {"steps": baseline.steps, **baseline.costs, **measured}
        number = "base" if narrow else "baseline"
        row = {"number": number, "digest": baseline.candidate.digest, **values}
        blank = ["" for _ in compared]
        table.add_row(
            *_cells(row, names, [], narrow), *blank, *([seeds.get(row["digest"], "")] if seeds else [])
        )
    for reference in study.references:
        if not COST_UNITS.keys() & reference.values.keys():
            continue
        row = {"number": "ref", "digest": reference.name, **reference.values}
        table.add_row(*map(escape, _cells(row, names, [], narrow)), *["" for _ in compared])
    return table


def _over_seeds(design: Repeated, name: str) -> str:
    return f"{design.mean(name):.4g} ± {design.deviation(name):.2g} ({len(design)})"


def _cells(row: Mapping[str, Any], names: Sequence[str], compared: Sequence[str], narrow: bool) -> list[str]:
    digest = str(row["digest"])
    cells = [str(row["number"]), digest[:SHORT_DIGEST] if narrow else digest]
    cells += [
        f"{row[name]:.4f}" if name == "emd" and name in row else _number(row.get(name)) for name in names
    ]
    return cells + [f"{row[f'{name}_ratio']:.3f}" if f"{name}_ratio" in row else "-" for name in compared]


def _priced(study: Study) -> str:
    model, device = study.meta["model"], study.meta["device"]
    if model == KNOWN:
        return "Costs: exact functions of a design."
    return f"Costs: {model} on {device['technology']} at {device['clock_mhz']:g} MHz, predicted."


def _trained(study: Study) -> str:
    if study.told:
        return "Measured elsewhere, and told."
    recipe = study.meta["recipe"]
    return (
        f"Training: {recipe['steps']} steps, batch {recipe['batch']}, {recipe['schedule']} learning rate "
        f"from {recipe['learning_rate']:g}{_last_bias(study)}, engine {recipe['engine']}."
    )


def _last_bias(study: Study) -> str:
    """From where the last biases start, of networks that end in a sigmoid."""
    trained = next((each for each in study.evaluations if each.ok), None)
    if trained is None or not isinstance(study.network(trained.candidate.digest).layers[-1], Sigmoid):
        return ""
    return f", last bias from {study.meta['recipe']['output_bias']:.3g} before the sigmoid"


def _counts(study: Study) -> str:
    evaluations = study.evaluations
    kinds = dict.fromkeys(evaluation.status for evaluation in evaluations)
    parts = [f"{sum(e.status == kind for e in evaluations)} {kind}" for kind in kinds]
    return f"{len(study.front())} on the front of {len(evaluations)} designs ({', '.join(parts)})"


def status_data(study: Study) -> dict[str, Any]:
    """How far a study is, as plain data."""
    proposals = study.store.proposals()
    evaluations = [evaluation for *_, evaluation in proposals if evaluation is not None]
    front = study.front()
    planned = study.meta.get("trials")
    return {
        "folder": str(study.folder),
        "proposed": len({candidate for _, candidate, *_ in proposals}),
        "finished": len(study.evaluations),
        "trainings": len(evaluations),
        "planned": planned,
        "by_status": {
            kind: sum(e.status == kind for e in study.evaluations)
            for kind in sorted({e.status for e in study.evaluations})
        },
        "front": [evaluation.candidate.digest for evaluation in front],
        "hypervolume": front.hypervolume,
        "reference": list(front.reference),
        "objectives": [goal.to_dict() for goal in study.objectives],
        "cpu_seconds": sum(evaluation.seconds for evaluation in evaluations),
        "steps": sum(evaluation.steps for evaluation in study.evaluations),
        "version": study.meta["version"],
        "seed": study.meta["seed"],
        "optimiser": study.optimiser,
        "engines": sorted({evaluation.engine for evaluation in evaluations if evaluation.engine}),
        "designs": [
            {key: value for key, value in evaluation.to_dict().items() if key != "curve"}
            for evaluation in evaluations
        ],
    }


def print_status(study: Study, data: Mapping[str, Any]) -> None:
    """How far a study is, and every design in a line."""
    console = make_console()
    console.print(_fitting(console, partial(_status_table, study, set(data["front"]))))
    for evaluation in study.evaluations:
        if not evaluation.ok:
            console.print(
                f"{evaluation.number} {evaluation.candidate.digest} {evaluation.status}: {evaluation.reason}",
                markup=False,
            )
    done = f"{data['finished']} of {data['planned'] or data['proposed']} designs"
    if not study.told:
        done += (
            f", {data['steps']:,} steps, {_duration(data['cpu_seconds'])} CPU time in training and scoring"
            f"{' (' + ', '.join(data['engines']) + ')' if data['engines'] else ''}"
        )
    console.print(f"{done}; {data['optimiser']}, seed {data['seed']}.")


def _status_table(study: Study, best: set[str], narrow: bool) -> Table:
    goals = [goal.name for goal in study.objectives]
    names = _distinct(*_measured(study.objectives), *goals, *_costs(study)[:BRIEF])
    units = {**study.units, "CPU": "s"}
    table = Table(title=f"{escape(str(study.folder))}: {_counts(study)}", title_justify="left")
    origins = [] if narrow else ["from"]
    before, behind = ([], []) if study.told else (["steps"], ["CPU"])
    for name in ("design", "digest", *origins, "state", *before, *names, *behind):
        side: Literal["left", "right"] = "left" if name in ("digest", "from", "state") else "right"
        table.add_column(_heading(name, units, narrow=narrow), justify=side)
    for number, candidate, origin, evaluation in study.store.proposals():
        digest = candidate.digest[:SHORT_DIGEST] if narrow else candidate.digest
        start = [str(number), digest, *([] if narrow else [origin])]
        if evaluation is None:
            table.add_row(*start, "unfinished")
            continue
        measured = {name: summary.mean for name, summary in evaluation.metrics.items()}
        values = {**evaluation.costs, **(measured if evaluation.ok else {})}
        table.add_row(
            *start,
            "on the front" if candidate.digest in best else evaluation.status,
            *([] if study.told else [f"{evaluation.steps:,}"]),
            *(_number(values.get(name)) for name in names),
            *([] if study.told else [f"{evaluation.seconds:.1f}"]),
        )
    return table


def print_design(study: Study, evaluation: Evaluation, network: Path | None) -> None:
    """Everything known of one design."""
    console = make_console()
    title = f"[bold]Design {evaluation.number}, {evaluation.candidate.digest}[/]"
    console.print(f"{title}: {evaluation.status} {escape(evaluation.reason)}")
    console.print(
        f"proposed by {evaluation.origin}; {'told' if study.told else _training(evaluation)}", markup=False
    )
    table = Table("parameter", "value", title="Candidate", title_justify="left")
    for name, value in evaluation.candidate.values.items():
        table.add_row(escape(name), escape(str(value)))
    console.print(table)
    console.print(_fitting(console, partial(_values_table, study, evaluation)))
    if evaluation.costs_of and _weights_cost(study):
        console.print(f"Costs: {study.meta['model']}, predicted, {_costs_of(evaluation)}.", markup=False)
    _print_unlike(console, study, study.baseline, [evaluation])
    repeated = study.repeated.get(evaluation.candidate.digest)
    if repeated is not None:
        listed = ", ".join(f"{name} {_over_seeds(repeated, name)}" for name in evaluation.metrics)
        console.print(f"Mean ± standard deviation over seeds: {listed}.", markup=False)
    if network:
        console.print(f"Network with weights: {network}", markup=False, soft_wrap=True)


def _training(evaluation: Evaluation) -> str:
    return (
        f"{evaluation.steps} steps ({evaluation.epochs:.1f} epochs), seed {evaluation.seed}, "
        f"{evaluation.seconds:.1f} s CPU{f', engine {evaluation.engine}' if evaluation.engine else ''}"
    )


def _values_table(study: Study, evaluation: Evaluation, narrow: bool) -> Table:
    baseline = study.baseline
    table = Table("value", "unit", title="Values", title_justify="left")
    for heading in (*SPREAD, "/ base" if narrow else "/ baseline"):
        table.add_column(heading, justify="right")
    for name, summary in evaluation.metrics.items():
        cells = [f"{value:.5g}" for value in (summary.mean, summary.std, summary.stderr)]
        table.add_row(name, study.units.get(name, ""), *cells, _ratio(evaluation, baseline, name))
    table.add_section()
    for name, value in evaluation.costs.items():
        table.add_row(
            name, study.units.get(name, ""), _number(value), "", "", _ratio(evaluation, baseline, name)
        )
    return table


def _ratio(evaluation: Evaluation, baseline: Evaluation | None, name: str) -> str:
    if baseline is None or not (name in baseline.metrics or name in baseline.costs):
        return "-"
    reference = baseline.value(name)
    return f"{evaluation.value(name) / reference:.3f}" if reference else "-"


SPLIT = ("dynamic_mw", "leakage_mw")


def print_estimate(found: HardwareEstimate, effective: int | None) -> None:
    """Predicted cost in total and by layer."""
    console = make_console()
    console.print(_fitting(console, partial(_estimate_table, found)))
    console.print(
        f"latency {counted(found.latency_cycles, 'cycle')} = {found.latency_ns:g} ns, initiation interval "
        f"{counted(found.initiation_interval, 'cycle')}; effective BOPs: {_number(effective)}"
        f"{'' if effective is not None else ' (known once trained)'}"
    )
    split = [
        f"{name.removesuffix('_mw')} {value:.4g} mW"
        for name in SPLIT
        if (value := found.value(name)) is not None
    ]
    path = [f"critical path {found.critical_path_ns:.3g} ns"] if found.critical_path_ns is not None else []
    if split or path:
        console.print("; ".join([*([" + ".join(split)] if split else []), *path]))
    if late := found.target.missed(found.critical_path_ns):
        console.print(f"The design {late}.", markup=False)
    if found.basis == "prior":
        console.print("The weights are not known: priced with a prior for them.")
    for name, (low, high) in found.intervals.items():
        bounds = f"between {_number(low)} and {_number(high)}"
        console.print(f"{name} {_number(found.value(name))}: {found.coverage:.0%} {bounds}")
    for feature in found.outside:
        console.print(f"outside what was calibrated: {feature}", markup=False)
    console.print(found.covers, markup=False)


def _estimate_table(found: HardwareEstimate, narrow: bool) -> Table:
    target = found.target
    title = f"Estimate by {found.model} on {target.technology} at {target.clock_mhz:g} MHz (predicted)"
    layers = {name: dict(costs) for name, costs in found.by_layer.items()}
    given = dict.fromkeys(name for costs in layers.values() for name in costs)
    columns = [name for name in given if name in COST_UNITS and name not in SPLIT]
    table = Table("layer", title=title, title_justify="left")
    for name in columns:
        table.add_column(_heading(name, COST_UNITS, narrow=narrow), justify="right")
    for layer, costs in layers.items():
        table.add_row(layer, *[_number(costs.get(name)) for name in columns])
    table.add_section()
    total = found.costs()
    table.add_row("total", *[_number(total.get(name)) for name in columns], style="bold")
    return table


def print_scores(
    scores: Mapping[str, Summary], units: Mapping[str, str], source: str, what: str = "wafers"
) -> None:
    """Every metric with its spread, and of how many of ``what``."""
    console = make_console()
    console.print(_fitting(console, partial(_scores_table, scores, units, source, what)))


def _scores_table(
    scores: Mapping[str, Summary], units: Mapping[str, str], source: str, what: str, _narrow: bool
) -> Table:
    table = Table("metric", "unit", title=f"Scores on {escape(source)}", title_justify="left")
    for heading in (*SPREAD, what):
        table.add_column(heading, justify="right")
    for name, item in scores.items():
        table.add_row(
            name,
            units.get(name, ""),
            f"{item.mean:.6g}",
            f"{item.std:.6g}",
            f"{item.stderr:.2g}",
            f"{item.n:,}",
        )
    return table


def print_check(wafers: "Wafers", rows: Sequence["CheckRow"]) -> None:
    """Published or measured figures beside those of the data at hand."""
    console = make_console()
    console.print(
        f"{wafers.source}: {len(wafers):,} wafers with charge, {wafers.dropped_empty:,} empty ones dropped",
        markup=False,
    )
    for population in dict.fromkeys(row.population for row in rows):
        group = [row for row in rows if row.population == population]
        console.print(_fitting(console, partial(_check_table, group)))
    judged = [row for row in rows if row.ok is not None]
    console.print(
        f"{sum(bool(row.ok) for row in judged)} of {len(judged)} figures with a tolerance are within it."
        if judged
        else "These populations are shown for comparison; none of their figures has a tolerance."
    )
    console.print(DATA_WORDS)


def _check_table(rows: Sequence["CheckRow"], narrow: bool) -> Table:
    title = f"{rows[0].population} ({rows[0].source})"
    table = Table("observable", title=escape(title), title_justify="left")
    for heading in ("reference", "here", *([] if narrow else ["difference"]), "ratio", "accepted"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for row in rows:
        band = f"{row.accepted[0]:.4g} to {row.accepted[1]:.4g}" if row.accepted else ""
        verdict = {True: "[green]ok", False: "[red]outside", None: ""}[row.ok]
        values = (row.reference, row.value, *([] if narrow else [row.difference]), row.ratio)
        table.add_row(row.observable, *(_figure(value) for value in values), band, verdict)
    return table


def _figure(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "-"


def print_survey(setup: Setup, survey: Survey, baseline: Mapping[str, float]) -> None:
    """What is known of a search before any training."""
    console, bounds = make_console(), {goal.name: goal.budget for goal in setup.problem.bounded}
    size = f"about {survey.size:,} (+- {survey.size_error:,.2g})" if survey.size_error else f"{survey.size:,}"
    title = f"Space {setup.definition.SPACE.name}: {size} designs"
    table = Table("cost", title=title, title_justify="left")
    for heading in ("unit", "lowest", "highest", "baseline", "budget"):
        table.add_column(heading, justify="right")
    for name, (low, high) in survey.ranges.items():
        table.add_row(
            name,
            COST_UNITS[name],
            _number(low),
            _number(high),
            _number(baseline.get(name)),
            _number(bounds.get(name)),
        )
    console.print(table)
    console.print(
        f"Within the budgets: {100 * survey.share:.3g} % of all designs "
        f"(+- {100 * survey.share_error:.2g} %, from {survey.drawn:,} uniform draws). Nothing was trained."
    )


def print_doctor(checks: Sequence[Mapping[str, Any]]) -> None:
    """What works here."""
    table = Table("part", "needs", "found", "works", "what to do")
    for check in checks:
        works = "[green]yes" if check["works"] else "[red]no"
        table.add_row(check["part"], check["needs"], check["found"] or "-", works, escape(check["advice"]))
    make_console().print(table)
