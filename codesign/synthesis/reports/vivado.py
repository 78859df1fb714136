"""Vivado's text reports: utilisation (flat or by hierarchy), timing summary, power.

| report says | field |
| --- | --- |
| Slice LUTs, CLB LUTs | ``lut`` |
| Slice Registers, CLB Registers (flip-flops and latches) | ``ff`` |
| DSPs | ``dsp`` |
| Block RAM Tile, of 36 kbit | ``bram_18k``, twice the number |
| URAM; None on parts whose report has no such row | ``uram`` |
| WNS(ns) | ``slack_ns`` |
| period of the clock of that slack, less WNS | ``critical_path_ns`` |
| Total On-Chip Power, Dynamic, Device Static (W) | ``power_mw``, ``dynamic_mw``, ``leakage_mw`` |

A report by hierarchy gives ``by_layer`` besides, by the path of each instance. A figure such as ``<0.001``
is a bound, not a value, and is None. How far a timing summary went is read from its header or, where that
is silent, from its first net (``unplaced``, ``estimated``, ``routed``).
"""

import re
from typing import Final

from codesign.hardware import Resources, SynthesisReport, Target
from codesign.hardware.report import Stage
from codesign.synthesis.reports.reading import Table, Text, frequency_mhz
from codesign.synthesis.reports.xilinx import part_name

__all__ = ["power", "timing", "utilisation"]

_SITES: Final = (
    ("lut", r"(Slice|CLB) LUTs\*?", 1),
    ("ff", r"(Slice|CLB) Registers", 1),
    ("dsp", r"DSPs", 1),
    ("bram_18k", r"Block RAM Tile", 2),
    ("uram", r"URAM", 1),
)
_COLUMNS: Final = (
    ("lut", r"Total LUTs", 1),
    ("ff", r"FFs", 1),
    ("dsp", r"DSP(48)? (Blocks|Slices)|DSPs", 1),
    ("bram_18k", r"RAMB36", 2),
    ("bram_18k", r"RAMB18", 1),
    ("uram", r"URAM", 1),
)
_STAGES: Final[tuple[tuple[str, Stage], ...]] = (
    (r"fully routed|routed|physopt postroute", "routed"),
    (r"fully placed|placed|physopt postplace", "placed"),
    (r"synthesized|optimized", "synthesis"),
)
_NETS: Final[dict[str, Stage]] = {"unplaced": "synthesis", "estimated": "placed", "routed": "routed"}
_HIERARCHY: Final = "Utilization by Hierarchy"
_TIMES: Final = 12  # columns of the timing summaries


def utilisation(text: Text) -> SynthesisReport:
    """Read ``report_utilization``, with or without ``-hierarchical``."""
    sections = _sections(text)
    by_hierarchy = next((line for title, line in sections.items() if title.endswith(_HIERARCHY)), None)
    by_layer: dict[str, dict[str, float | None]] = {}
    if by_hierarchy is None:
        counts = _sites(text, list(sections.values()))
    else:
        counts, by_layer = _instances(text, by_hierarchy)
    return SynthesisReport(
        design=_header(text, "Design"),
        target=_target(text),
        stage=_stage(text),
        resources=Resources(**counts),
        by_layer=by_layer,
        source=text.source,
    )


def power(text: Text) -> SynthesisReport:
    """Read ``report_power``; the clock is stated where one constraint rules all clocks."""
    sections = _sections(text)
    summary = text.table(_section(text, sections, "Summary"), "the power summary", groups=1)
    rows = {cells[0].strip(): (line, cells[1]) for line, cells in summary.groups[0] if len(cells) == 2}
    watts: dict[str, float | None] = {}
    for field, label in (
        ("power_mw", "Total On-Chip Power"),
        ("dynamic_mw", "Dynamic"),
        ("leakage_mw", "Device Static"),
    ):
        line, cell = rows.get(f"{label} (W)") or text.refuse(summary.line, f"a row {label} (W)")
        value = None if cell.strip().startswith("<") else text.maybe(line, cell.split("(")[0], label)
        watts[field] = None if value is None else 1e3 * value
    return SynthesisReport(
        design=_header(text, "Design"),
        target=_target(text, clock_mhz=_constraint(text, sections)),
        stage=_stage(text),
        power_mw=watts["power_mw"],
        dynamic_mw=watts["dynamic_mw"],
        leakage_mw=watts["leakage_mw"],
        source=text.source,
    )


def timing(text: Text) -> SynthesisReport:
    """Read ``report_timing_summary``: the worst set-up slack, and the period of its clock."""
    slack = _worst_slack(text)
    period = _period(text, slack)
    return SynthesisReport(
        design=_header(text, "Design"),
        target=_target(text, clock_mhz=None if period is None else frequency_mhz(period)),
        stage=_stage(text),
        critical_path_ns=None if period is None else max(period - slack, 0.0),
        slack_ns=slack,
        source=text.source,
    )


def _header(text: Text, name: str) -> str:
    return text.word(rf"\| {name}\s*: (.*)$", f"a line '| {name} : ...' in the header")


def _maybe_header(text: Text, name: str) -> str | None:
    line = text.seek(rf"\| {name}\s*: ")
    return None if line is None else text.lines[line].split(":", 1)[1].strip()


def _target(text: Text, clock_mhz: float | None = None) -> Target:
    words = _header(text, "Tool Version")
    found = re.match(r"Vivado v\.(\S+)", words)
    if found is None:
        text.refuse(text.find(r"\| Tool Version", "a tool version"), "'Vivado v.' and a version")
    speed = (_maybe_header(text, "Speed File") or "").split(" ")[0]
    part = part_name(_header(text, "Device"), speed, _maybe_header(text, "Temperature Grade"))
    return Target(part=part, clock_mhz=clock_mhz, tool="Vivado", version=found[1])


def _stage(text: Text) -> Stage:
    state = _maybe_header(text, "Design State")
    if state is not None:
        for pattern, stage in _STAGES:
            if re.fullmatch(pattern, state.lower()):
                return stage
        text.refuse(
            text.find(r"\| Design State", "a state"), "a design that is synthesized, placed or routed"
        )
    net = r"\s+net \(fo=\d+, (unplaced|estimated|routed)\)"
    return _NETS[
        text.word(net, "the nets of a path, which say how far the design went (report the paths too)")
    ]


def _sections(text: Text) -> dict[str, int]:
    """Line of each section that the table of contents lists; refuse a report that lacks one."""
    line = text.find(r"Table of Contents\s*$", "a table of contents") + 2
    titles = []
    while line < len(text.lines) and re.match(r"\d+(\.\d+)*\.? \S", text.lines[line]):
        titles.append(text.lines[line].rstrip())
        line += 1
    found = {}
    for title in titles:
        line = text.find(re.escape(title) + r"\s*$", f"the section {title!r}", line)
        if not re.match(r"-{3,}\s*$", text.lines[line + 1] if line + 1 < len(text.lines) else ""):
            text.refuse(line + 1, f"a line under the heading {title!r}")
        found[title] = line
    if not found:
        text.refuse(line, "the sections that the report has")
    return found


def _section(text: Text, sections: dict[str, int], name: str) -> int:
    line = next((line for title, line in sections.items() if title.split(" ", 1)[1] == name), None)
    return text.refuse(len(text.lines), f"a section {name!r}") if line is None else line


def _sites(text: Text, sections: list[int]) -> dict[str, float]:
    """Used sites, from the tables of Site Type."""
    counts: dict[str, float] = {}
    for start in sections:
        head = text.seek(r"\|\s+Site Type\s+\|", start)
        following = min((line for line in sections if line > start), default=len(text.lines))
        if head is None or head > following:
            continue
        table = text.table(head - 1, "sites used", groups=2)
        used = table.column("Used")
        if used is None:
            text.refuse(head, "a column Used")
        for line, cells in table.groups[1]:
            for field, pattern, times in _SITES:
                if field not in counts and re.fullmatch(pattern, cells[0].strip()):
                    counts[field] = times * text.count(line, cells[used], cells[0].strip())
    for field, pattern, _ in _SITES[:4]:
        if field not in counts:
            text.refuse(len(text.lines), f"a row that matches {pattern!r}, for {field}")
    return counts


def _instances(text: Text, start: int) -> tuple[dict[str, float], dict[str, dict[str, float | None]]]:
    """Counts of the top, and of each instance by its path."""
    table = text.table(start, "instances", groups=2)
    columns = [(field, table.column(head), times) for field, head, times in _COLUMNS]
    if missing := {field for field, at, _ in columns if at is None} - {"uram"}:
        text.refuse(table.line + 1, f"columns for {', '.join(sorted(missing))}")
    path: list[tuple[int, str]] = []
    found: dict[str, dict[str, float | None]] = {}
    for line, cells in table.groups[1]:
        name, depth = cells[0].strip(), len(cells[0]) - len(cells[0].lstrip())
        if name.startswith("("):  # what an instance has itself, beside its parts
            continue
        path = [(above, word) for above, word in path if above < depth] + [(depth, name)]
        found["/".join(word for _, word in path[1:])] = _row(text, table, line, columns)
    top = found.pop("", None) or text.refuse(table.line, "a row of the top")
    return {field: value for field, value in top.items() if value is not None}, found


def _row(
    text: Text, table: Table, line: int, columns: list[tuple[str, int | None, int]]
) -> dict[str, float | None]:
    cells = next(cells for at, cells in table.groups[1] if at == line)
    counts: dict[str, float | None] = {}
    for field, at, times in columns:
        if at is not None:
            value = times * text.count(line, cells[at].split("(")[0], field)
            counts[field] = (counts.get(field) or 0) + value
    return counts


def _constraint(text: Text, sections: dict[str, int]) -> float | None:
    """Frequency that all clocks are constrained to, in MHz; None without one."""
    start = next((line for title, line in sections.items() if title.endswith("Clock Constraints")), None)
    if start is None or text.seek(r"\| Clock\s+\|", start) is None:
        return None
    table = text.table(start, "clock constraints", groups=1)
    at = table.column(r"Constraint \(ns\)")
    if at is None or len(table.groups) < 2:
        return None
    periods = {text.count(line, cells[at], "a period") for line, cells in table.groups[1]}
    return frequency_mhz(periods.pop()) if len(periods) == 1 else None


def _worst_slack(text: Text) -> float:
    banner = text.find(r"\| Design Timing Summary\s*$", "the banner '| Design Timing Summary'")
    head = text.find(r"\s*WNS\(ns\)\s+TNS\(ns\)", "the columns WNS(ns), TNS(ns)", banner)
    cells = text.lines[head + 2].split() if head + 2 < len(text.lines) else []
    if len(cells) != _TIMES:
        text.refuse(head + 2, f"{_TIMES} figures of the timing summary")
    if cells[0] in ("NA", "inf"):
        text.refuse(head + 2, "a slack; constrain the clock")
    return text.number(head + 2, cells[0], "WNS")


def _period(text: Text, slack: float) -> float | None:
    """Period of the clock whose own slack is the worst, in ns; None where that is between two clocks."""
    start = text.find(r"\| Clock Summary\s*$", "the banner '| Clock Summary'")
    middle = text.find(r"\| Intra Clock Table\s*$", "the banner '| Intra Clock Table'", start)
    end = text.find(r"\| Inter Clock Table\s*$", "the banner '| Inter Clock Table'", middle)
    periods = {}
    for line in range(start, middle):
        row = re.match(r"\s*(\S+)\s+\{[-\d. ]+\}\s+(\S+)\s+(\S+)\s*$", text.lines[line])
        if row:
            periods[row[1]] = text.count(line, row[2], "a period")
    for line in range(middle, end):
        cells = text.lines[line].split()
        if len(cells) == _TIMES + 1 and cells[0] in periods and cells[1] == f"{slack:.3f}":
            return periods[cells[0]]
    return None
