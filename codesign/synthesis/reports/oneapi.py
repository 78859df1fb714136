"""Intel oneAPI's ``summary.ndjson`` (its own estimate) and ``quartus.ndjson`` (what Quartus placed).

ALUTs -> ``lut``, FFs (``reg``) -> ``ff``, DSPs -> ``dsp``; as for Quartus, ALMs, memory blocks and MLABs
are no field: ``by_layer["(device)"]`` holds them as the tool calls them. Kernels go into ``by_layer``.
Neither file states design, part, version or the clock asked for. Other files of oneAPI's reports are not
read.
"""

from typing import Any, Final

from codesign.hardware import Resources, SynthesisReport, Target
from codesign.synthesis.reports.reading import UNSTATED, Text

__all__ = ["quartus_ndjson", "summary_ndjson"]

_COLUMNS: Final = {"ALUTs": "lut", "FFs": "ff", "DSPs": "dsp", "RAMs": "ram_blocks", "MLABs": "mlab"}
_FIELDS: Final = {"alut": "lut", "reg": "ff", "dsp": "dsp", "alm": "alm", "ram": "ram_blocks", "mlab": "mlab"}
_OURS: Final = ("lut", "ff", "dsp")
_SUBTOTALS: Final = ("Kernel Subtotal", "Available")


def summary_ndjson(text: Text) -> SynthesisReport:
    """Read the table ``Estimated Resource Usage``: one JSON object a line."""
    values = [(line, text.json_of(line, row)) for line, row in enumerate(text.lines) if row.strip()]
    columns: list[str] = []
    by_layer: dict[str, dict[str, float | None]] = {}
    total: dict[str, float | None] = {}
    for line, value in values:
        if not isinstance(value, dict):
            text.refuse(line, "a JSON object")
        if value.get("summary_type") == "estimatedResources":
            names = text.field(value, "columns", list, "the table of resources")
            columns = [str(name).strip() for name in names][1:]
        elif value.get("parent") == "estimatedResources":
            name = text.field(value, "name", str, "a row of resources")
            if name == "Total":
                total = _row(text, line, value, columns)
            elif name not in _SUBTOTALS:
                by_layer[_fresh(name, by_layer)] = _row(text, line, value, columns)
    if not total:
        text.refuse(len(text.lines), "a row Total of Estimated Resource Usage")
    return _report(text, "hls", total, by_layer)


def quartus_ndjson(text: Text) -> SynthesisReport:
    """Read the summaries of clock and resources after place and route."""
    root = text.json()
    clock = _nodes(text, root, "quartusFitClockSummary")[0]
    nodes = _nodes(text, root, "quartusFitResourceUsageSummary")
    top = next((node for node in nodes if node.get("type") == "system"), None)
    if top is None:
        text.refuse(0, "a node of type system")
    fastest = text.count(0, text.field(clock, "clock fmax", str, "the clock"), "a frequency in MHz")
    kernels = {str(node.get("name")): _node(text, node) for node in nodes if node is not top}
    path = 1e3 / fastest if fastest else None
    return _report(text, "routed", _node(text, top), kernels, critical_path_ns=path)


def _report(
    text: Text,
    stage: Any,
    total: dict[str, float | None],
    by_layer: dict[str, dict[str, float | None]],
    critical_path_ns: float | None = None,
) -> SynthesisReport:
    device = {name: value for name, value in total.items() if name not in _OURS}
    return SynthesisReport(
        design=text.stem,
        target=Target(tool="oneAPI", version=UNSTATED),
        stage=stage,
        resources=Resources(**{name: total[name] for name in _OURS}),
        critical_path_ns=critical_path_ns,
        by_layer={"(device)": device, **by_layer},
        source=text.source,
    )


def _fresh(name: str, taken: dict[str, Any]) -> str:
    """Name that no kernel has yet: kernels of a template share theirs."""
    number = sum(other == name or other.startswith(f"{name} #") for other in taken)
    return f"{name} #{number + 1}" if number else name


def _row(text: Text, line: int, value: dict[str, Any], columns: list[str]) -> dict[str, float | None]:
    data = text.field(value, "data", list, "a row of resources")
    if len(data) != len(columns) or not set(_COLUMNS) <= set(columns):
        text.refuse(line, f"counts of {', '.join(_COLUMNS)}")
    stated = dict(zip(columns, data, strict=True))
    return {ours: text.field(stated, theirs, float, "a row") for theirs, ours in _COLUMNS.items()}


def _nodes(text: Text, root: Any, name: str) -> list[dict[str, Any]]:
    nodes = text.field(text.field(root, name, dict, "the report"), "nodes", list, name)
    if not nodes or not all(isinstance(node, dict) for node in nodes):
        text.refuse(0, f"nodes of {name}")
    return list(nodes)


def _node(text: Text, node: dict[str, Any]) -> dict[str, float | None]:
    return {
        ours: text.maybe(0, text.field(node, theirs, str, "a node"), theirs)
        for theirs, ours in _FIELDS.items()
    }
