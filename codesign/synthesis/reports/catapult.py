"""Catapult's ``rtl.rpt``, as its public examples of 2023 and 2024 look.

Latency and throughput of ``Design Total`` -> ``latency_cycles`` and ``initiation_interval`` (None where
Catapult writes -1, marks a loop of open length with ?, or has no such row: a design of blocks); ``Max
Delay`` and ``Slack`` of the critical path -> ``critical_path_ns`` and ``slack_ns``. The area score is in
the units of whatever library was loaded (um2 of most cell libraries, look-up tables of an FPGA's), which
the report does not say: it stays ``by_layer["(design)"]["area_score"]``, after assignment, and ``area_um2``
is None. Vivado's reports that Catapult starts are Vivado's.
"""

import re

from codesign.hardware import SynthesisReport, Target
from codesign.synthesis.reports.reading import Text, frequency_mhz

__all__ = ["rtl_rpt"]


def rtl_rpt(text: Text) -> SynthesisReport:
    """Read ``rtl.rpt``."""
    last = max((k for k, line in enumerate(text.lines) if line.strip()), default=0)
    if text.lines[last].strip() != "End of Report":
        text.refuse(last + 1, "the line 'End of Report'")
    state = text.word(r"\s+Current state: (\S+)", "'Current state:'")
    if state != "extract":
        text.refuse(text.find(r"\s+Current state:", "a state"), "rtl.rpt, of the state extract")
    critical = text.find(r"  Critical Path\s*$", "'Critical Path'")
    latency, interval = _cycles(text)
    period = _period(text)
    return SynthesisReport(
        design=text.word(r"Solution Settings: (\S+?)(\.v\d+)?\s*$", "'Solution Settings:' and a name"),
        target=Target(
            clock_mhz=None if period is None else frequency_mhz(period),
            tool="Catapult",
            version=text.word(r"-- Version:\s+([^\s/]+)", "'-- Version:'"),
        ),
        stage="hls",
        critical_path_ns=text.count(*_word(text, r"\s+Max Delay:\s+(\S+)", critical), "Max Delay"),
        slack_ns=text.number(*_word(text, r"\s+Slack:\s+(\S+)", critical), "Slack"),
        latency_cycles=latency,
        initiation_interval=interval,
        by_layer={"(design)": {"area_score": _score(text)}},
        source=text.source,
    )


def _word(text: Text, pattern: str, start: int) -> tuple[int, str]:
    line = text.find(pattern, pattern, start)
    return line, text.word(pattern, pattern, line)


def _cycles(text: Text) -> tuple[int | None, int | None]:
    """Latency and throughput, in cycles; None where a loop of open length makes them the least values."""
    start = text.find(r"Processes/Blocks in Design\s*$", "'Processes/Blocks in Design'")
    line = start + 3
    while line < len(text.lines) and text.lines[line].strip():
        cells = text.lines[line].split()
        if cells[-1] == "?":
            return None, None
        if cells[0] == "Design":
            if len(cells) < 7:
                text.refuse(line, "operations, latency, throughput, reset length and II")
            latency, interval = ("?" if cell == "-1" else cell for cell in cells[3:5])
            return text.whole(line, latency, "a latency"), text.whole(line, interval, "a throughput")
        line += 1
    return None, None


def _period(text: Text) -> float | None:
    """Period of the only clock, in ns."""
    pattern = re.compile(r"\s+Clock period or pin-to-reg delay constraint \(.*\): (\S+)")
    lines = [(k, found) for k, line in enumerate(text.lines) if (found := pattern.match(line))]
    periods = {text.count(line, found[1], "a period") for line, found in lines}
    return periods.pop() if len(periods) == 1 else None


def _score(text: Text) -> float:
    """Total area score after assignment, the last of three."""
    line = text.find(r"\s+Total Area Score:", "'Total Area Score:'")
    scores = re.findall(r"\d+\.\d+(?= |$)", text.lines[line])
    if len(scores) != 3:
        text.refuse(line, "scores after scheduling, data path and assignment")
    return text.count(line, scores[2], "a score")
