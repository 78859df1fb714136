"""FINN's JSON: its formulas (``estimate_*.json``) and what Vivado made (``post_synth_resources.json``).

``estimate_layer_resources.json``: LUT, BRAM_18K, URAM, DSP of the total, and of each node in ``by_layer``;
FINN estimates no flip-flops. ``estimate_layer_cycles.json``: cycles of each node.
``estimate_network_performance.json``: ``critical_path_cycles`` -> ``latency_cycles``, ``max_cycles`` ->
``initiation_interval``, and the clock out of cycles and frames a second. All three are of the stage ``FINN
estimate``. ``post_synth_resources.json``: LUT (Vivado's Total LUTs), FF, DSP, URAM, and BRAM_36K twice and
BRAM_18K -> ``bram_18k``; of ``(top)``, shell and DMA included, with nodes in ``by_layer``. FINN takes them
from the implemented design: stage ``routed``. No file states design, part or version.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from codesign.hardware import Resources, SynthesisReport, Target
from codesign.synthesis.reports.reading import UNSTATED, Text

__all__ = ["is_layer_cycles", "layer_cycles", "layer_resources", "network_performance", "post_synthesis"]

_ESTIMATED: Final = {"lut": "LUT", "bram_18k": "BRAM_18K", "uram": "URAM", "dsp": "DSP"}
_MEASURED: Final = {"lut": "LUT", "ff": "FF", "dsp": "DSP"}
_NODE: Final = re.compile(r"[A-Za-z]\w*_(rtl|hls)(_\d+)?")
_ESTIMATE: Final = "FINN estimate"


def is_layer_cycles(value: Any) -> bool:
    """Whether a JSON value maps FINN's nodes to whole numbers, and nothing else."""
    return (
        isinstance(value, dict)
        and bool(value)
        and all(_NODE.fullmatch(name) and type(cycles) is int for name, cycles in value.items())
    )


def layer_resources(text: Text) -> SynthesisReport:
    """Read ``estimate_layer_resources.json``."""
    return _resources(text, "total", _ESTIMATE, _estimated)


def post_synthesis(text: Text) -> SynthesisReport:
    """Read ``post_synth_resources.json``, or that of one device of several."""
    return _resources(text, "(top)", "routed", _measured)


def layer_cycles(text: Text) -> SynthesisReport:
    """Read ``estimate_layer_cycles.json``."""
    root = text.json()
    nodes = {name: {"cycles": text.field(root, name, int, "cycles")} for name in root}
    return SynthesisReport(text.stem, _target(), _ESTIMATE, by_layer=nodes, source=text.source)


def network_performance(text: Text) -> SynthesisReport:
    """Read ``estimate_network_performance.json``."""
    root = text.json()
    latency = text.field(root, "critical_path_cycles", int, "FINN's performance")
    interval = text.field(root, "max_cycles", int, "FINN's performance")
    frames = text.field(root, "estimated_throughput_fps", float, "FINN's performance")
    clock_mhz = frames * interval / 1e6
    return SynthesisReport(
        design=text.stem,
        target=_target(clock_mhz if clock_mhz > 0 else None),
        stage=_ESTIMATE,
        latency_cycles=latency,
        initiation_interval=interval,
        source=text.source,
    )


def _target(clock_mhz: float | None = None) -> Target:
    return Target(clock_mhz=clock_mhz, tool="FINN", version=UNSTATED)


def _resources(
    text: Text, top: str, stage: Any, counts: Callable[[Text, Mapping[str, Any], str], dict[str, float]]
) -> SynthesisReport:
    root = text.json()
    total = counts(text, text.field(root, top, dict, "FINN's resources"), top)
    nodes = {
        name: dict(counts(text, text.field(root, name, dict, "FINN's resources"), name))
        for name in root
        if name != top
    }
    return SynthesisReport(
        text.stem, _target(), stage, Resources(**total), by_layer=nodes, source=text.source
    )


def _estimated(text: Text, owner: Mapping[str, Any], name: str) -> dict[str, float]:
    return {ours: text.field(owner, theirs, float, name) for ours, theirs in _ESTIMATED.items()}


def _measured(text: Text, owner: Mapping[str, Any], name: str) -> dict[str, float]:
    found = {ours: text.field(owner, theirs, float, name) for ours, theirs in _MEASURED.items()}
    found["bram_18k"] = 2 * text.field(owner, "BRAM_36K", float, name) + text.field(
        owner, "BRAM_18K", float, name
    )
    return found | ({"uram": text.field(owner, "URAM", float, name)} if "URAM" in owner else {})
