"""Export: a fitted network to files that other tools read, verified against the network itself.

A target is a module with the three functions of ``Exporter``. Importing this package loads none of them, and
importing a target does not load its tool.
"""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol, cast

from numpy.typing import NDArray

from codesign.errors import ConfigError
from codesign.fixedpoint import IntArray
from codesign.hardware import Device
from codesign.network import Network

__all__ = ["TARGETS", "Exporter", "exporter"]

TARGETS: Final = {
    "onnx": "codesign.export.onnx",
    "qonnx": "codesign.export.qonnx",
    "finn": "codesign.export.finn",
    "hls4ml": "codesign.export.hls4ml",
    "rtl": "codesign.export.rtl",
}
"""Module of each target."""


class Exporter(Protocol):
    """Writes a network in another form, and runs that form."""

    @staticmethod
    def check(network: Network, device: Device) -> None:
        """Raise ``UnsupportedLayerError`` that names layer and back end if the form cannot be exact.

        Needs neither weights nor the tool: it is asked before training. What it lets pass, ``export`` keeps.
        """

    @staticmethod
    def export(
        network: Network,
        folder: str | Path,
        *,
        device: Device = ...,
        inputs: NDArray[Any] | None = None,
        origin: Mapping[str, Any] | None = None,
    ) -> Path:
        """Write ``folder``, verified on ``inputs``; nothing is left there if either fails."""

    @staticmethod
    def simulate(folder: Path, inputs: NDArray[Any]) -> IntArray:
        """Output codes of the chip, ``(n, *output shape)``, as the exported form computes them."""


def exporter(target: str) -> Exporter:
    """The module of a target; raise ``ConfigError`` where there is none."""
    if target not in TARGETS:
        raise ConfigError(f"a network is exported to one of {', '.join(TARGETS)}; got {target!r}")
    return cast(Exporter, import_module(TARGETS[target]))
