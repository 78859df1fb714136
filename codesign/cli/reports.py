"""What `codesign synth`, `codesign compare`, `codesign calibrate` and `codesign repeat` show people."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from codesign.cli.view import SHORT_DIGEST, _score, make_console
from codesign.comparison import Comparison, FrontChanges, Quantity
from codesign.errors import counted
from codesign.hardware import MEASURED
from codesign.store import Synthesis
from codesign.study import Study

if TYPE_CHECKING:
    from codesign.calibration import Calibration

__all__ = ["print_calibration", "print_comparison", "print_repeats", "print_syntheses"]

COLOURS = {"ok": "green", "failed": "red", "timeout": "yellow"}


def print_syntheses(rows: Sequence[Synthesis], label: str) -> None:
    """A line a design: how it ended and what the tools stated."""
    reports = [row.report for row in rows if row.report is not None]
    names = [name for name in MEASURED if any(report.value(name) is not None for report in reports)]
    table = Table("design", "status", title=f"Synthesised: {escape(label)} (measured)", title_justify="left")
    for name in (*names, "seconds"):
        table.add_column(_heading(name), justify="right")
    for row in rows:
        status = f"[{COLOURS[row.status]}]{row.status}"
        values = [None if row.report is None else row.report.value(name) for name in names]
        seconds = None if row.report is None else row.report.seconds
        table.add_row(row.digest[:SHORT_DIGEST], status, *map(_number, values), _number(seconds))
    screen = make_console()
    screen.print(table)
    for target in dict.fromkeys(_who(report.target.tool, report.target.version) for report in reports):
        scripts = ", ".join(dict.fromkeys(report.script for report in reports if report.script))
        screen.print(f"{target}; script {scripts or '-'}", markup=False)
    for row in rows:
        if row.reason:
            screen.print(f"{row.digest[:SHORT_DIGEST]}: {row.reason}", markup=False, soft_wrap=True)
        if row.report is not None and (late := row.report.target.missed(row.report.critical_path_ns)):
            screen.print(f"{row.digest[:SHORT_DIGEST]} {late}", markup=False, soft_wrap=True)


def print_repeats(study: Study) -> None:
    """A line a design: its score in the study, mean and deviation over seeds, its place after."""
    score, screen = _score(study.objectives), make_console()
    unit = study.units.get(score, "")
    table = Table("design", "digest", title=f"Repeated with further seeds: {score} {escape(f'[{unit}]')}")
    table.title_justify = "left"
    for name in ("seeds", "in the study", "mean", "deviation"):
        table.add_column(name, justify="right")
    table.add_column("on the front")
    before = {each.candidate for each in study.front()}
    after = {each.candidate for each in study.front_over_seeds()}
    rows = sorted(study.repeated.values(), key=lambda each: each.mean(score))
    for each in rows:
        own, design = each.evaluations[0], each.candidate
        values = (own.value(score), each.mean(score), each.deviation(score))
        state = _STATES[design in before, design in after]
        cells = [str(own.number), design.digest[:SHORT_DIGEST], str(len(each))]
        table.add_row(*cells, *(f"{value:.4g}" for value in values), state)
    screen.print(table)
    pooled = (sum(each.deviation(score) ** 2 for each in rows) / len(rows)) ** 0.5
    screen.print(
        f"Over seeds {score} varies by {pooled:.3g} (pooled standard deviation). The best of many designs is "
        "partly the luckiest: its mean tends to be worse than its value in the study. The front over seeds "
        "takes means where there are several and the one value elsewhere.",
        markup=False,
        soft_wrap=True,
    )


_STATES = {
    (True, True): "stays",
    (True, False): "[red]leaves it",
    (False, True): "[green]enters it",
    (False, False): "-",
}


def _who(tool: str | None, version: str | None) -> str:
    return f"{tool} {version}"


def print_comparison(found: Comparison, changes: FrontChanges | None, ignored: Sequence[str]) -> None:
    """Predicted beside measured by resource, the errors, and what measured costs do to the front."""
    screen, common = make_console(), found.common
    target = common.target
    place = target.library or target.part or target.technology or "-"
    screen.print(
        f"Estimates of {common.model} against {target.tool} {target.version}, {common.stage}, {place}",
        markup=False,
    )
    for quantity in found.quantities:
        screen.print(_rows_table(quantity))
    screen.print(_errors_table(found))
    for design, features in found.outside.items():
        screen.print(f"{design[:SHORT_DIGEST]}: {'; '.join(features)}", markup=False, soft_wrap=True)
    if changes is not None:
        screen.print(_changes_words(changes), markup=False, soft_wrap=True)
    for reason in ignored:
        screen.print(f"not read: {reason}", markup=False, soft_wrap=True)


def _rows_table(quantity: Quantity) -> Table:
    table = Table("design", title=_heading(quantity.name).replace("\n", " "), title_justify="left")
    for name in ("predicted", "low", "high", "measured", "error"):
        table.add_column(name, justify="right")
    if all(row.interval is None for row in quantity.rows):
        table.columns = [column for column in table.columns if column.header not in ("low", "high")]
    for row in quantity.rows:
        bounds = ["-", "-"] if row.interval is None else [_number(bound) for bound in row.interval]
        error = "-" if row.error is None else f"{row.error:+.1%}"
        cells = [row.design[:SHORT_DIGEST], _number(row.predicted), *bounds, _number(row.measured), error]
        if len(table.columns) < len(cells):
            cells = [*cells[:2], *cells[4:]]
        table.add_row(*cells)
    return table


def _errors_table(found: Comparison) -> Table:
    title = "Errors of the estimates, relative to what was measured"
    table = Table("quantity", title=title, title_justify="left")
    headings = ("designs", "MAPE", "median", "90 %", "bias", "R2", "rank corr.", "in interval")
    for name in headings:
        table.add_column(name, justify="right")
    for quantity in found.quantities:
        errors = (quantity.mape, quantity.median_error, quantity.p90_error, quantity.bias)
        inside = "-" if quantity.interval_coverage is None else f"{quantity.interval_coverage:.0%}"
        table.add_row(
            _heading(quantity.name).replace("\n", " "),
            str(len(quantity.rows)),
            *("-" if value is None else f"{value:+.1%}" if value < 0 else f"{value:.1%}" for value in errors),
            *("-" if value is None else f"{value:.3f}" for value in (quantity.r2, quantity.rank_correlation)),
            f"{inside} of {found.coverage:.0%}" if found.coverage and inside != "-" else inside,
        )
    return table


def _changes_words(changes: FrontChanges) -> str:
    costs = ", ".join(changes.replaced)
    left, came = (
        ", ".join(digest[:SHORT_DIGEST] for digest in digests) or "none"
        for digests in (changes.leave, changes.enter)
    )
    verb = "has" if changes.lacking == 1 else "have"
    lacking = f"; {counted(changes.lacking, 'trained design')} {verb} no report" if changes.lacking else ""
    return (
        f"The front with measured {costs} in place of predicted, of {counted(changes.compared, 'design')}"
        f"{lacking}: {len(changes.predicted)} before, {len(changes.measured)} after; "
        f"leave: {left}; enter: {came}."
    )


def _heading(name: str) -> str:
    unit = MEASURED.get(name, "s" if name == "seconds" else "")
    words = name
    for suffix in ("_um2", "_mw", "_ns", "_cycles"):
        words = words.removesuffix(suffix)
    return f"{words.replace('_', ' ')}\n\\[{unit}]" if unit else words.replace("_", " ")


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.4g}"


def print_calibration(calibration: "Calibration", ignored: Sequence[str]) -> None:
    """What a calibration corrects, by which rule, and its error in cross-validation."""
    screen, common = make_console(), calibration.common
    target = common.target
    place = target.library or target.part or target.technology or "-"
    title = f"{common.model} corrected by {target.tool} {target.version}, {common.stage}, {place}"
    table = Table("quantity", "basis", "rule", title=escape(title), title_justify="left")
    for name in ("designs", "median", "90 %", f"{calibration.coverage:.0%} within"):
        table.add_column(name, justify="right")
    for basis, part in calibration.parts.items():
        for name, each in part.corrections.items():
            spread = "-" if each.spread is None else f"x or / {math.exp(each.spread):.3g}"
            errors = [each.errors.get(key) for key in ("median", "p90")]
            rule = f"{each.form}, smooth" if each.smooth else each.form
            said = ["-" if error is None else f"{error:.1%}" for error in errors]
            table.add_row(name, basis, rule, str(each.pairs), *said, spread)
    screen.print(table)
    screen.print("Errors are relative, in cross-validation: of designs that the fit had not seen.")
    left: dict[tuple[str, str], list[str]] = {}
    for basis, part in calibration.parts.items():
        for name, reason in part.uncorrected.items():
            left.setdefault((name, reason), []).append(basis)
    for (name, reason), bases in left.items():
        line = f"{name} ({', '.join(bases)}) is left as predicted: {reason}"
        screen.print(line, markup=False, soft_wrap=True)
    for reason in ignored:
        screen.print(f"not read: {reason}", markup=False, soft_wrap=True)
