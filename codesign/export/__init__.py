"""Export: a fitted network to files that other tools read, verified against the network itself.

Each module has ``export(network, folder)``. Importing this package loads none of them.
"""

from importlib import import_module
from pathlib import Path
from typing import Final, Protocol, cast

from codesign.errors import ConfigError
from codesign.network import Network

__all__ = ["TARGETS", "Exporter", "exporter"]

TARGETS: Final = {"onnx": "codesign.export.onnx"}
"""Module of each target."""


class Exporter(Protocol):
    """Write a network in another form."""

    def __call__(self, network: Network, folder: str | Path) -> Path:
        """Write into ``folder``, verify, and return it; nothing is left there if either fails."""


def exporter(target: str) -> Exporter:
    """Export function of a target; raise ``ConfigError`` where there is none."""
    if target not in TARGETS:
        raise ConfigError(f"a network is exported to one of {sorted(TARGETS)}, got {target!r}")
    return cast(Exporter, import_module(TARGETS[target]).export)
