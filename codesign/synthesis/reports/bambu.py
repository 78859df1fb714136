"""Bambu's ``bambu_results_<n>.xml``.

LUTS, REGISTERS, DSPS -> ``lut``, ``ff``, ``dsp``; DELAY (ns) -> ``critical_path_ns``; SLACK (ns) ->
``slack_ns``; their sum is the period asked for; CYCLES, as simulated, -> ``latency_cycles``. BRAMS and
DRAMS are blocks of the target, whose size the file does not say: ``by_layer["(device)"]``. POWER has no
stated unit and is not read. The file does not say how far the back end went: the stage is ``synthesis``,
the least it can be.
"""

import re

from codesign.hardware import Resources, SynthesisReport, Target
from codesign.synthesis.reports.reading import Node, Text, frequency_mhz

__all__ = ["results_xml"]


def results_xml(text: Text) -> SynthesisReport:
    """Read a file of results with its evaluation."""
    root = text.xml()
    resources, run = text.element(root, "resources"), text.element(root, "evaluation")
    version = re.search(r"PandA (\S+)", root.attributes.get("version", ""))
    if version is None:
        text.refuse(root.line, "version='Version: PandA ...'")
    delay, slack = _value(text, resources, "DELAY"), _value(text, resources, "SLACK")
    device = {name: _value(text, resources, name.upper()) for name in ("brams", "drams")}
    return SynthesisReport(
        design=root.attributes.get("benchmark") or text.refuse(root.line, "benchmark='...'"),
        target=Target(clock_mhz=frequency_mhz(delay + slack), tool="Bambu", version=version[1]),
        stage="synthesis",
        resources=Resources(
            lut=_value(text, resources, "LUTS"),
            ff=_value(text, resources, "REGISTERS"),
            dsp=_value(text, resources, "DSPS"),
        ),
        critical_path_ns=delay,
        slack_ns=slack,
        latency_cycles=text.whole(run.line, run.attributes.get("CYCLES", "none"), "CYCLES"),
        by_layer={"(device)": dict(device)},
        source=text.source,
    )


def _value(text: Text, node: Node, name: str) -> float:
    return text.number(node.line, node.attributes.get(name, "none"), name)
