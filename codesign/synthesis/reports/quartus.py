"""Quartus' text reports of the Fitter (``.fit.rpt``) and the Timing Analyzer (``.sta.rpt``).

| report says | field |
| --- | --- |
| Combinational ALUT usage for logic; on older families Total combinational functions | ``lut`` |
| Dedicated logic registers (Total registers) | ``ff`` |
| Total DSP Blocks | ``dsp`` |
| worst-case set-up slack over all corners | ``slack_ns`` |
| period of the clock of that slack, less it | ``critical_path_ns`` |

An ALUT is half of an adaptive logic module (ALM) and one function of up to 7 inputs: a look-up table,
though no Xilinx LUT. ALMs and memory blocks (M20K, M10K, M9K: of other sizes than 18 kbit) are no field;
they stand in ``by_layer["(device)"]`` as ``alm`` and ``ram_blocks``, and ``bram_18k`` is None. 9-bit
multiplier elements are no DSP blocks: None.
"""

import re
from typing import Final

from codesign.hardware import Resources, SynthesisReport, Target
from codesign.hardware.report import Stage
from codesign.synthesis.reports.reading import Table, Text, frequency_mhz

__all__ = ["fit", "sta"]

_Rows = dict[str, tuple[int, str]]
_LUTS: Final = ("Combinational ALUT usage for logic", "Total combinational functions")
_ENTITY: Final = "Fitter Resource Utilization by Entity"
_COLUMNS: Final = (
    ("lut", r"Combinational ALUTs"),
    ("ff", r"Dedicated Logic Registers"),
    ("dsp", r"DSP Blocks"),
)
_SNAPSHOTS: Final[dict[str, Stage]] = {
    "final": "routed",
    "routed": "routed",
    "retimed": "routed",
    "placed": "placed",
    "synthesized": "synthesis",
}


def fit(text: Text) -> SynthesisReport:
    """Read the Fitter's report, of a fitter that succeeded."""
    summary = _rows(text, "Fitter Summary", groups=2)
    line, status = _cell(text, summary, "Fitter Status")
    if not status.startswith("Successful"):
        text.refuse(line, "a fitter that was successful")
    usage = _rows(text, "Fitter Resource Usage Summary", groups=3)
    luts = next((usage[name] for name in _LUTS if name in usage), None)
    if luts is None:
        text.refuse(len(text.lines), f"a row {' or '.join(_LUTS)}")
    device = {
        "alm": _optional(text, summary, r"Logic utilization \(in ALMs\)"),
        "ram_blocks": _optional(text, summary, r"Total RAM Blocks"),
    }
    return SynthesisReport(
        design=_cell(text, summary, "Revision Name")[1],
        target=_target(text, _cell(text, summary, "Device")[1]),
        stage="routed",
        resources=Resources(
            lut=_used(text, *luts),
            ff=_used(text, *_cell(text, summary, "Total registers")),
            dsp=_optional(text, summary, r"Total DSP Blocks"),
        ),
        by_layer={"(device)": device, **_entities(text)},
        source=text.source,
    )


def sta(text: Text) -> SynthesisReport:
    """Read the Timing Analyzer's report."""
    summary = _rows(text, r"(Timing|TimeQuest Timing) Analyzer Summary", groups=2)
    stage: Stage = "routed"
    if "Snapshot" in summary:
        line, word = summary["Snapshot"]
        stage = _SNAPSHOTS.get(word) or text.refuse(line, f"a snapshot: {', '.join(_SNAPSHOTS)}")
    slack, clock = _worst(text)
    period = _period(text, clock)
    device = "Device Name" if "Device Name" in summary else "Device"
    return SynthesisReport(
        design=_cell(text, summary, "Revision Name")[1],
        target=_target(text, _cell(text, summary, device)[1], frequency_mhz(period)),
        stage=stage,
        critical_path_ns=max(period - slack, 0.0),
        slack_ns=slack,
        source=text.source,
    )


def _target(text: Text, part: str, clock_mhz: float | None = None) -> Target:
    words = r"Quartus (?:Prime|II) .*Version (\d\S*)"
    version = text.word(words, "'Quartus Prime Version' in the header")
    return Target(part=part, clock_mhz=clock_mhz, tool="Quartus", version=version)


def _table(text: Text, title: str, groups: int) -> Table:
    line = text.find(rf"; {title}\s+;\s*$", f"the table {title!r}")
    return text.table(line - 1, title, groups=groups, separator=";")


def _rows(text: Text, title: str, groups: int) -> _Rows:
    """Rows of two columns or more: first cell to line and second cell."""
    rows = _table(text, title, groups).groups[-1]
    return {cells[0].strip(): (line, cells[1].strip()) for line, cells in rows if len(cells) > 1}


def _cell(text: Text, rows: _Rows, name: str) -> tuple[int, str]:
    found = rows.get(name)
    return found if found and found[1] else text.refuse(len(text.lines), f"a row {name!r} with a value")


def _used(text: Text, line: int, cell: str) -> float:
    """Used of ``930 / 80,330 ( 1 % )``, or the only number."""
    return text.count(line, cell.split("/")[0].strip().replace(",", ""), "a count")


def _optional(text: Text, rows: _Rows, name: str) -> float | None:
    found = next((row for label, row in rows.items() if re.fullmatch(name, label)), None)
    return None if found is None else _used(text, *found)


def _entities(text: Text) -> dict[str, dict[str, float | None]]:
    """Counts of each entity below the top by its path, if the table of contents lists them."""
    if text.seek(rf"\s*\d+\. {_ENTITY}\s*$") is None:
        return {}
    table = _table(text, _ENTITY, groups=3)
    columns = {field: table.column(head, 1) for field, head in _COLUMNS}
    path: list[tuple[int, str]] = []
    found: dict[str, dict[str, float | None]] = {}
    for line, cells in table.groups[2]:
        name, depth = cells[0].strip().strip("|"), len(cells[0]) - len(cells[0].lstrip())
        path = [(above, word) for above, word in path if above < depth] + [(depth, name)]
        counts = {
            field: text.count(line, cells[at].split("(")[0].strip().replace(",", ""), field)
            for field, at in columns.items()
            if at is not None
        }
        if len(path) > 1:
            found["/".join(word for _, word in path[1:])] = dict(counts)
    return found


def _worst(text: Text) -> tuple[float, str]:
    """Worst set-up slack over the corners, in ns, and its clock."""
    table = _table(text, "Multicorner Timing Analysis Summary", groups=3)
    at = table.column("Setup", 1)
    if at is None:
        text.refuse(table.line + 3, "a column Setup")
    rows = table.groups[2]
    line, cells = rows[0]
    if cells[0].strip() != "Worst-case Slack":
        text.refuse(line, "a row Worst-case Slack")
    slack = text.number(line, cells[at].strip(), "a slack")
    for _, row in rows[1:]:
        if row[0].startswith("  ") and row[at].strip() == cells[at].strip():
            return slack, row[0].strip()
    return text.refuse(line + 1, f"the clock whose slack is {slack}")


def _period(text: Text, clock: str) -> float:
    table = _table(text, "Clocks", groups=3)
    at = table.column("Period", 1)
    for line, cells in table.groups[2]:
        if cells[0].strip() == clock and at is not None:
            return text.count(line, cells[at], "a period")
    return text.refuse(table.line, f"the period of the clock {clock!r}")
