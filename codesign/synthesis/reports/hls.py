"""Reports of Vivado HLS and Vitis HLS: ``csynth.xml`` and ``<top>_csynth.rpt``.

BRAM_18K, DSP48E or DSP, FF, LUT and URAM are fields of the same meaning; LUT and FF are the tool's own
estimate, often two or more times what synthesis finds. Estimated clock -> ``critical_path_ns``; target less
uncertainty less estimated -> ``slack_ns``; worst-case latency -> ``latency_cycles``; largest interval ->
``initiation_interval`` (both None where the tool says ``undef`` or ``?``). Modules or instances with their
worst-case cycles go into ``by_layer``. The summary ``csynth.rpt`` of Vitis HLS states no clock and is
refused.
"""

import re
from typing import Final

from codesign.hardware import Resources, SynthesisReport, Target
from codesign.synthesis.reports.reading import Node, Table, Text, frequency_mhz
from codesign.synthesis.reports.xilinx import part_name

__all__ = ["csynth_rpt", "csynth_xml"]

_COLUMNS: Final = (
    ("lut", r"LUT"),
    ("ff", r"FF"),
    ("dsp", r"DSP(48E)?"),
    ("bram_18k", r"BRAM_18K"),
    ("uram", r"URAM"),
)
_NANOSECONDS: Final = {"ps": 1e-3, "ns": 1.0, "us": 1e3}
_VITIS_SINCE: Final = (2020, 2)


def csynth_xml(text: Text) -> SynthesisReport:
    """Read ``csynth.xml``, or ``<module>_csynth.xml`` of one module."""
    root = text.xml()
    asked = text.element(root, "UserAssignments")
    timing = text.element(root, "PerformanceEstimates/SummaryOfTimingAnalysis")
    for owner in (asked, timing):
        if text.element(owner, "unit").text != "ns":
            text.refuse(owner.line, "times in ns")
    version = text.element(root, "ReportVersion/Version")
    period = _value(text, text.element(asked, "TargetClockPeriod"))
    uncertainty = _value(text, text.element(asked, "ClockUncertainty"))
    estimated = _value(text, text.element(timing, "EstimatedClockPeriod"))
    latency = text.element(root, "PerformanceEstimates/SummaryOfOverallLatency")
    modules = root.find("ModuleInformation")
    return SynthesisReport(
        design=text.element(asked, "TopModelName").text or text.refuse(asked.line, "a name of the top"),
        target=Target(
            part=part_name(text.element(asked, "Part").text) or None,
            clock_mhz=frequency_mhz(period),
            tool=_tool(text, version),
            version=version.text,
        ),
        stage="hls",
        resources=Resources(**_areas(text, text.element(root, "AreaEstimates/Resources"))),
        critical_path_ns=estimated,
        slack_ns=period - uncertainty - estimated,
        latency_cycles=_cycles(text, text.element(latency, "Worst-caseLatency")),
        initiation_interval=_cycles(text, text.element(latency, "Interval-max")),
        by_layer={} if modules is None else _modules(text, root, modules),
        source=text.source,
    )


def _tool(text: Text, version: Node) -> str:
    found = re.match(r"(\d{4})\.(\d+)", version.text)
    if found is None:
        text.refuse(version.line, "a version such as 2020.1")
    return "Vitis HLS" if (int(found[1]), int(found[2])) >= _VITIS_SINCE else "Vivado HLS"


def _value(text: Text, node: Node) -> float:
    return text.count(node.line, node.text, node.tag)


def _cycles(text: Text, node: Node) -> int | None:
    return text.whole(node.line, node.text, node.tag)


def _areas(text: Text, owner: Node, needed: frozenset[str] = frozenset({"lut", "ff"})) -> dict[str, float]:
    found = {}
    for node in owner.children:
        field = next((field for field, pattern in _COLUMNS if re.fullmatch(pattern, node.tag)), None)
        if field:
            found[field] = _value(text, node)
    if not needed <= set(found):
        text.refuse(owner.line, "LUT and FF of the resources")
    return found


def _modules(text: Text, root: Node, owner: Node) -> dict[str, dict[str, float | None]]:
    """Modules below the top."""
    top = text.element(root, "UserAssignments/TopModelName").text
    found = dict(_module(text, node) for node in owner.children if node.tag == "Module")
    return {name: counts for name, counts in found.items() if name != top}


def _module(text: Text, node: Node) -> tuple[str, dict[str, float | None]]:
    cycles = text.element(node, "PerformanceEstimates/SummaryOfOverallLatency/Worst-caseLatency")
    areas = _areas(text, text.element(node, "AreaEstimates/Resources"), frozenset())
    return text.element(node, "Name").text, {**areas, "cycles": _cycles(text, cycles)}


def csynth_rpt(text: Text) -> SynthesisReport:
    """Read ``<top>_csynth.rpt``."""
    title = re.compile(r"== (Vivado|Vitis) HLS Report for '(.+)'\s*$")
    first = text.find(title.pattern, "the title '== Vitis HLS Report for ...'")
    found = title.match(text.lines[first])
    assert found is not None
    performance = text.find(r"== Performance Estimates\s*$", "== Performance Estimates")
    utilisation = text.find(r"== Utilization Estimates\s*$", "== Utilization Estimates", performance)
    end = text.find(r"== Interface\s*$", "== Interface", utilisation)
    period, estimated, uncertainty = _clock(text, performance)
    latency, interval = _overall(text, performance)
    return SynthesisReport(
        design=found[2],
        target=Target(
            part=part_name(text.word(r"\* Target device:\s+(\S+)", "'* Target device:'")),
            clock_mhz=frequency_mhz(period),
            tool=f"{found[1]} HLS",
            version=text.word(r"\* Version:\s+(\S+)", "'* Version:'"),
        ),
        stage="hls",
        resources=Resources(**_total(text, utilisation)),
        critical_path_ns=estimated,
        slack_ns=period - uncertainty - estimated,
        latency_cycles=latency,
        initiation_interval=interval,
        by_layer=_instances(text, performance, utilisation, end),
        source=text.source,
    )


def _clock(text: Text, start: int) -> tuple[float, float, float]:
    """Target, estimated and uncertainty, in ns."""
    table = text.table(text.find(r"\+ Timing", "+ Timing", start), "the clock", groups=2)
    places = [table.column(name) for name in ("Target", "Estimated", "Uncertainty")]
    line, cells = table.groups[1][0]
    found = []
    for place in places:
        time = re.fullmatch(r"\s*([\d.]+)\s*(ps|ns|us)\s*", cells[place]) if place is not None else None
        if time is None:
            text.refuse(line, "times of the clock as '5.00 ns'")
        found.append(text.count(line, time[1], "a time") * _NANOSECONDS[time[2]])
    return found[0], found[1], found[2]


def _overall(text: Text, start: int) -> tuple[int | None, int | None]:
    """Largest latency and interval, in cycles: columns are min, max, min, max, min, max, type."""
    table = text.table(text.find(r"\+ Latency", "+ Latency", start), "the latency", groups=2)
    line, cells = table.groups[1][0]
    if len(cells) != 7:
        text.refuse(line, "7 cells of latency and interval")
    return text.whole(line, cells[1], "a latency"), text.whole(line, cells[5], "an interval")


def _places(table: Table) -> dict[str, int]:
    found = {field: table.column(pattern) for field, pattern in _COLUMNS}
    return {field: place for field, place in found.items() if place is not None}


def _total(text: Text, start: int) -> dict[str, float]:
    table = text.table(start, "the resources", groups=3)
    places = _places(table)
    total = next((row for group in table.groups for row in group if row[1][0].strip() == "Total"), None)
    if total is None or not {"lut", "ff"} <= set(places):
        text.refuse(table.line, "a row Total with LUT and FF")
    line, cells = total
    found = {field: text.maybe(line, cells[place], field) for field, place in places.items()}
    return {field: value for field, value in found.items() if value is not None}


def _instances(
    text: Text, performance: int, utilisation: int, end: int
) -> dict[str, dict[str, float | None]]:
    """Resources and worst-case cycles of instances, where the report has tables of them."""
    found: dict[str, dict[str, float | None]] = {}
    for start, stop in ((performance, utilisation), (utilisation, end)):
        head = text.seek(r"\s*\* Instance", start)
        if head is None or head >= stop or text.lines[head + 1].strip() == "N/A":
            continue
        table = text.table(head, "the instances", groups=2)
        places = _places(table) if start == utilisation else {"cycles": 3}
        for line, cells in table.groups[1]:
            counts = found.setdefault(cells[0].strip(), {})
            counts |= {name: text.maybe(line, cells[place], name) for name, place in places.items()}
    return found
