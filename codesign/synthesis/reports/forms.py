"""The forms of report that are known, and how each is told from the others."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from codesign.errors import ConfigError, ReportError
from codesign.hardware import SynthesisReport
from codesign.synthesis.reports import (
    bambu,
    catapult,
    finn,
    hls,
    nextpnr,
    oneapi,
    opensta,
    own,
    quartus,
    vivado,
    yosys,
)
from codesign.synthesis.reports.reading import Text

__all__ = ["FORMS", "Form", "UnknownFormError", "parse", "read"]

_HEAD: Final = 8192
_LONGEST: Final = 64 * 2**20


class UnknownFormError(ReportError):
    """A text that is of no form that is known here: perhaps no report at all."""


@dataclass(frozen=True, slots=True)
class Form:
    """A form of report.

    Parameters
    ----------
    name
        Tool and report.
    mark
        What a text of this form holds: a pattern in its first 8 KiB (JSON: names at its top), for people too.
    reader
        Text to report.
    names
        Names at the top of a JSON object; empty for text and XML.
    """

    name: str
    mark: str
    reader: Callable[[Text], SynthesisReport]
    names: frozenset[str] = frozenset()


def _json(name: str, reader: Callable[[Text], SynthesisReport], *names: str) -> Form:
    return Form(name, f"a JSON object with {', '.join(names)}", reader, frozenset(names))


_CYCLES: Final = Form(
    "FINN cycles", "a JSON object of nodes (..._rtl, ..._hls) and whole numbers", finn.layer_cycles
)
FORMS: Final[tuple[Form, ...]] = (
    Form("Vivado utilisation", r"^Utilization Design Information", vivado.utilisation),
    Form("Vivado timing summary", r"^Timing Summary Report", vivado.timing),
    Form("Vivado power", r"^Power Report", vivado.power),
    Form("Vivado HLS, Vitis HLS csynth.xml", r"<profile>", hls.csynth_xml),
    Form("Vivado HLS, Vitis HLS <top>_csynth.rpt", r"^== (Vivado|Vitis) HLS Report for", hls.csynth_rpt),
    Form("Catapult rtl.rpt", r"^-- Catapult .*: Report", catapult.rtl_rpt),
    Form("Quartus fit.rpt", r"\AFitter report for ", quartus.fit),
    Form("Quartus sta.rpt", r"\A(Timing|TimeQuest Timing) Analyzer report for ", quartus.sta),
    Form("oneAPI summary.ndjson", r'^\{.*"summary_type"', oneapi.summary_ndjson),
    Form("Bambu bambu_results.xml", r"<application\s", bambu.results_xml),
    Form(
        "OpenSTA report_checks, report_power",
        rf"^(Startpoint: |{opensta.POWER})",
        opensta.checks_and_power,
    ),
    _json(
        "oneAPI quartus.ndjson",
        oneapi.quartus_ndjson,
        "quartusFitClockSummary",
        "quartusFitResourceUsageSummary",
    ),
    _json("Yosys stat -json", yosys.stat_json, "creator", "modules", "design"),
    _json("nextpnr --report", nextpnr.report_json, "utilization", "fmax"),
    _json("FINN performance", finn.network_performance, "critical_path_cycles", "max_cycles"),
    _json("FINN resources", finn.layer_resources, "total"),
    _json("FINN post-synthesis", finn.post_synthesis, "(top)"),
    _json("codesign SynthesisReport", own.synthesis_report, "design", "target", "stage"),
    _CYCLES,
)
"""Every form, with what it is told by."""


def parse(text: str, source: str) -> SynthesisReport:
    """Read a report of any known form, told by its content.

    Parameters
    ----------
    text
        The report.
    source
        Its file name: for errors, for ``SynthesisReport.source``, and for ``design`` where the report
        names none (the name without folder and suffix).

    Raises
    ------
    UnknownFormError
        If it is of no known form (a ``ReportError``).
    ReportError
        If it is damaged or cut; the error names file, line and what was expected there.
    """
    if len(text) > _LONGEST:
        raise UnknownFormError(f"{source}: no report is longer than {_LONGEST >> 20} Mi characters")
    lines = Text.of(text, source)
    form = _form(text.lstrip("\ufeff"), lines)
    try:
        return form.reader(lines)
    except ConfigError as error:
        raise ReportError(
            f"{source}: expected a {form.name} report with figures that hold; {error}"
        ) from None


def read(path: str | Path) -> SynthesisReport:
    """As ``parse``, of a file: UTF-8, or Latin-1 where it is not.

    Raises
    ------
    ReportError
        As ``parse``, and if the file cannot be read or is no text.
    """
    return parse(text_of(Path(path)), Path(path).as_posix())


def text_of(path: Path) -> str:
    """Text of a file; raise ``UnknownFormError`` if it is too long or no text."""
    try:
        if path.stat().st_size > 4 * _LONGEST:
            raise UnknownFormError(f"{path}: no report is longer than {_LONGEST >> 20} Mi characters")
        content = path.read_bytes()
    except OSError as error:
        raise ReportError(f"{path}: expected a file that can be read; {error.strerror}") from None
    if b"\0" in content:
        raise UnknownFormError(f"{path}: expected a report in UTF-8 or Latin-1; this is binary or UTF-16")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _form(text: str, lines: Text) -> Form:
    head = text[:_HEAD]
    for form in FORMS:
        if not form.names and form is not _CYCLES and re.search(form.mark, head, re.MULTILINE):
            return form
    if head.lstrip().startswith("{"):
        return _json_form(lines.json(), lines)
    if "Synthesis Summary Report of" in head:
        lines.refuse(0, "<top>_csynth.rpt or csynth.xml; the summary of Vitis HLS states no clock")
    known = "; ".join(form.name for form in FORMS)
    raise UnknownFormError(f"{lines.source}, line 1: expected a report of a known form: {known}")


def _json_form(value: Any, lines: Text) -> Form:
    for form in FORMS:
        if form.names and isinstance(value, dict) and form.names <= set(value):
            return form
    if finn.is_layer_cycles(value):
        return _CYCLES
    known = "; ".join(form.mark.removeprefix("a JSON object ") for form in FORMS if form.names)
    said = json.dumps(sorted(value))[:80] if isinstance(value, dict) else "another value"
    raise UnknownFormError(
        f"{lines.source}, line 1: expected a JSON object of a known form ({known}); got {said}"
    )
