"""What OpenSTA prints for ``report_checks`` and ``report_power``.

OpenSTA states neither its version (but in its banner), nor the design, nor, in 2.0, the unit of time, which
is the library's (ns of sky130, ps of asap7). So a script prints beside its reports what cannot be guessed::

    puts "begin of report"            ;# with its end, where one file holds both: a cut file is known by it
    puts "OpenSTA [sta::version]"     ;# or run sta without -no_splash; else the version is "unstated"
    puts "design top"                 ;# else the name of the file
    puts " time 1ns"                  ;# or report_units of newer ones; timing without it is refused
    report_checks
    report_power
    puts "end of report"

The first path of type ``max`` counts, OpenSTA's worst; a later one that is worse (of another clock) is
refused. ``slack`` -> ``slack_ns``; period (between two equal edges of one clock) less slack ->
``critical_path_ns``; an unconstrained path gives its arrival time. Power is in W whatever the units:
Internal + Switching -> ``dynamic_mw``, Leakage -> ``leakage_mw``, Total -> ``power_mw``. The stage is
``synthesis`` where clocks are ideal or not said, ``placed`` where the clock network is propagated.
"""

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from codesign.hardware import SynthesisReport, Target
from codesign.hardware.report import Stage
from codesign.synthesis.reports.reading import UNSTATED, Text, frequency_mhz

__all__ = ["POWER", "checks_and_power"]

_NANOSECONDS: Final = {"fs": 1e-6, "ps": 1e-3, "ns": 1.0, "us": 1e3}
POWER: Final = r"Group\s+Internal\s+Switching\s+Leakage\s+Total"
"""Heading of the table of power, as a pattern."""
_PATH: Final = r"Startpoint: "
_EDGE: Final = re.compile(r"\s*(-?[\d.]+)\s+(-?[\d.]+)\s+clock (\S+) \((rise|fall) edge\)")
_BEGIN: Final = "begin of report"
_END: Final = "end of report"


@dataclass(frozen=True, slots=True)
class _Path:
    """A path, in the unit of the text: slack or None, arrival, period or None."""

    slack: float | None
    arrival: float
    period: float | None


def checks_and_power(text: Text) -> SynthesisReport:
    """Read one of the two, or both."""
    starts = [k for k, line in enumerate(text.lines) if re.match(_PATH, line)]
    head = text.seek(POWER)
    begun = text.seek(rf"{_BEGIN}\s*$")
    if begun is not None:
        text.find(rf"{_END}\s*$", f"the line {_END!r}", begun)
    elif starts and head is not None:
        text.refuse(0, f"a line {_BEGIN!r}, in a file with timing and power; or a file for each")
    path = _worst(text, starts)
    scale = 1.0 if path is None else _scale(text)
    slack = None if path is None or path.slack is None else scale * path.slack
    period = None if path is None or path.period is None else scale * path.period
    watts = (None, None, None) if head is None else _power(text, head)
    return SynthesisReport(
        design=text.word(r"design (\S+)\s*$", "a design")
        if text.seek(r"design \S+\s*$") is not None
        else text.stem,
        target=Target(
            clock_mhz=None if period is None else frequency_mhz(period),
            tool="OpenSTA",
            version=_version(text),
        ),
        stage=_stage(text),
        critical_path_ns=_critical(path, scale, slack, period),
        slack_ns=slack,
        power_mw=watts[0],
        dynamic_mw=watts[1],
        leakage_mw=watts[2],
        source=text.source,
    )


def _version(text: Text) -> str:
    return text.word(r"OpenSTA (\d\S*)", "a version") if text.seek(r"OpenSTA \d") is not None else UNSTATED


def _stage(text: Text) -> Stage:
    return "synthesis" if text.seek(r".*clock network delay \(propagated\)") is None else "placed"


def _critical(path: _Path | None, scale: float, slack: float | None, period: float | None) -> float | None:
    if path is not None and path.slack is None:
        return scale * path.arrival
    return None if period is None or slack is None else max(period - slack, 0.0)


def _scale(text: Text) -> float:
    unit = text.word(r"\s*time\s+1([fpnu]s)\s*$", "a line ' time 1ns' (report_units, or puts \" time 1ns\")")
    return _NANOSECONDS[unit]


def _worst(text: Text, starts: list[int]) -> _Path | None:
    """The first path of type max."""
    first: _Path | None = None
    for begin, end in pairwise([*starts, len(text.lines)]):
        line = text.find(r"Path Type: (max|min)\s*$", "'Path Type: max'", begin)
        path = _path(text, begin, end)
        if text.lines[line].split()[-1] == "min":
            continue
        first = first or path
        if path.slack is not None and first.slack is not None and path.slack < first.slack:
            text.refuse(begin, "paths in order of slack; report the clocks apart")
    if starts and first is None:
        text.refuse(starts[0], "a path of type max")
    return first


def _path(text: Text, begin: int, end: int) -> _Path:
    slack = text.seek(r"\s*-?[\d.]+\s+slack \((MET|VIOLATED)\)\s*$", begin)
    free = text.seek(r"\(Path is unconstrained\)\s*$", begin)
    arrival = text.find(r"\s*-?[\d.]+\s+data arrival time\s*$", "'data arrival time'", begin)
    if arrival >= end or not any(line is not None and line < end for line in (slack, free)):
        text.refuse(end, "the slack of the path")
    time = text.number(arrival, text.lines[arrival].split()[0], "an arrival")
    if slack is None or slack >= end:
        return _Path(None, time, None)
    edges = [found for line in text.lines[begin:slack] if (found := _EDGE.match(line))]
    period = None
    if len(edges) == 2 and edges[0].groups()[2:] == edges[1].groups()[2:]:
        times = [text.number(begin, edge[2], "an edge") for edge in edges]
        period = times[1] - times[0]
    margin = text.number(slack, text.lines[slack].split()[0], "a slack")
    return _Path(margin, time, period if period is not None and period > 0 else None)


def _power(text: Text, head: int) -> tuple[float, float, float]:
    """Total, dynamic and leakage power, in mW."""
    line = text.find(r"Total\s", "the row Total of power", head)
    cells = text.lines[line].split()
    if len(cells) != 6 or not re.fullmatch(r"\d+\.\d%", cells[5]):
        text.refuse(line, "internal, switching, leakage and total power, and 100.0%")
    internal, switching, leakage, total = (1e3 * text.count(line, cell, "a power") for cell in cells[1:5])
    return total, internal + switching, leakage
