"""Our own reports as JSON: what ``SynthesisReport.to_dict`` gives."""

from typing import Any

from codesign.errors import ConfigError
from codesign.hardware import SynthesisReport
from codesign.synthesis.reports.reading import Text

__all__ = ["synthesis_report"]


def synthesis_report(text: Text) -> SynthesisReport:
    """Read a report; its figures and ``by_layer`` are numbers or absent."""
    root = text.json()
    for name in ("design", "stage"):
        text.field(root, name, str, "a report")
    text.field(root, "target", dict, "a report")
    layers = root.get("by_layer", {})
    _numbers(text, root.get("resources", {}), "resources")
    for name in layers if isinstance(layers, dict) else text.refuse(0, "by_layer as an object"):
        _numbers(text, layers[name], name)
    try:
        return SynthesisReport.from_dict(root)
    except (ConfigError, TypeError, ValueError, AttributeError, OverflowError) as error:
        text.refuse(0, f"a SynthesisReport ({str(error)[:120]})")


def _numbers(text: Text, owner: Any, name: str) -> None:
    if not isinstance(owner, dict):
        text.refuse(0, f"{name} as an object")
    for key, value in owner.items():
        if value is not None:
            text.field(owner, key, float, name)
