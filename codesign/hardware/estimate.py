"""Predicted cost of a network, and the protocol of the models that predict it."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError
from codesign.hardware.workload import Workload
from codesign.network import Network

__all__ = [
    "COST_UNITS",
    "Costs",
    "Device",
    "HardwareEstimate",
    "HardwareModel",
    "Redundancy",
    "Resources",
    "WeightStorage",
]

WeightStorage = Literal["reloadable", "constant"]
Redundancy = Literal["none", "weights", "all"]
PART = r"^[A-Za-z0-9][A-Za-z0-9_.-]*\Z"
"""Names of parts: they stand in paths and scripts of vendor tools."""
Costs = Mapping[str, NDArray[np.float64]]

COST_UNITS: Mapping[str, str] = {
    "operations": "",
    "macs": "",
    "parameters": "",
    "weight_bits": "bit",
    "bops": "",
    "area_um2": "um2",
    "power_mw": "mW",
    "energy_nj": "nJ",
    "latency_cycles": "cycles",
    "latency_ns": "ns",
    "initiation_interval": "cycles",
}
"""What every hardware model predicts, with units; these names may be objectives."""


@dataclass(frozen=True, slots=True)
class Device:
    """What a design runs on.

    Parameters
    ----------
    technology
        Name of a table in ``hardware_models/technology`` (``asic-65nm``).
    clock_mhz
        Clock, in MHz. The default is the bunch-crossing rate of the LHC, one inference each 25 ns.
    part
        FPGA part that exported projects name.
    weights
        ``reloadable`` (in registers, multiplied by real multipliers) or ``constant`` (part of the logic).
    redundancy
        What is triplicated and voted against single-event upsets: ``none``, ``weights`` (their registers) or
        ``all`` (every register).
    pipelined
        Whether registers stand between the layers; otherwise the logic is combinational from input to output.
    """

    technology: str = "asic-65nm"
    clock_mhz: float = 40.0
    part: str = "xczu7ev-ffvc1156-2-e"
    weights: WeightStorage = "reloadable"
    redundancy: Redundancy = "none"
    pipelined: bool = True

    def __post_init__(self) -> None:
        """Reject a clock that does not tick, and words that mean nothing."""
        if not (np.isfinite(self.clock_mhz) and self.clock_mhz > 0):
            raise ConfigError(f"clock_mhz must be above 0, got {self.clock_mhz}")
        for name, allowed in (("weights", get_args(WeightStorage)), ("redundancy", get_args(Redundancy))):
            if getattr(self, name) not in allowed:
                raise ConfigError(f"{name} is one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        if not re.match(PART, self.part):
            raise ConfigError(f"part is a name such as xczu7ev-ffvc1156-2-e, got {self.part!r}")

    def to_dict(self) -> dict[str, Any]:
        """Plain data: technology, clock, and what else is not the default."""
        plain, default = asdict(self), asdict(Device())
        always = ("technology", "clock_mhz")
        return {name: value for name, value in plain.items() if name in always or value != default[name]}

    @property
    def period_ns(self) -> float:
        """Clock period, in ns."""
        return 1e3 / self.clock_mhz


@dataclass(frozen=True, slots=True)
class Resources:
    """What a design occupies and computes, the same fields predicted and measured.

    ``operations`` by the study's rule, ``macs`` multiply-accumulates, ``parameters`` weights and biases,
    ``weight_bits`` their bits (bit), ``bops`` bit operations, ``area_um2`` area (um2).
    """

    operations: int
    macs: int
    parameters: int
    weight_bits: int
    bops: int
    area_um2: float


@dataclass(frozen=True, slots=True)
class HardwareEstimate:
    """Predicted cost of one inference of a network's chip part.

    ``power_mw`` at ``clock_mhz`` with an inference each ``initiation_interval`` cycles; ``energy_nj`` of one
    inference; ``latency_cycles`` and ``latency_ns`` from input to output.
    """

    resources: Resources
    power_mw: float
    energy_nj: float
    latency_cycles: int
    latency_ns: float
    initiation_interval: int
    clock_mhz: float
    technology: str
    model: str
    by_layer: Mapping[str, Mapping[str, float]]
    covers: str

    def costs(self) -> dict[str, float]:
        """The values that may be objectives, by the names of ``COST_UNITS``."""
        flat = self.to_dict()
        return {name: float(flat[name]) for name in COST_UNITS}

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; ``resources`` are flattened."""
        plain = {name: getattr(self, name) for name in self.__slots__ if name != "resources"}
        layers = {name: dict(costs) for name, costs in self.by_layer.items()}
        return {**asdict(self.resources), **plain, "by_layer": layers}


class HardwareModel(Protocol):
    """Predicts what networks cost on a device."""

    @property
    def name(self) -> str:
        """Name by which estimates cite the model."""

    def price(self, workload: Workload, device: Device) -> Costs:
        """Costs of many networks at once: the names of ``COST_UNITS`` to arrays of shape ``(n,)``."""

    def estimate(self, network: Network, device: Device) -> HardwareEstimate:
        """Cost of one network; raise ``UnsupportedLayerError`` for a layer it cannot price."""
