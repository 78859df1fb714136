"""Predicted cost of a network, and the protocol of the models that predict it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from codesign.hardware.device import Device, Target
from codesign.hardware.report import Resources
from codesign.hardware.workload import Workload
from codesign.network import Network

__all__ = [
    "COST_UNITS",
    "FRAMES",
    "SWITCHED",
    "WORK",
    "Basis",
    "Costs",
    "HardwareEstimate",
    "HardwareModel",
    "SeesInputs",
    "with_inputs",
]

Costs = Mapping[str, NDArray[np.float64]]
Basis = Literal["widths", "prior", "weights", "activity", "export"]
"""What an estimate knows: widths only, and needs no more; a prior for weights that are not known yet; the
weights themselves; weights and inputs, and so what changes from one inference to the next; weights and the
adder graph that the export makes of them."""
SWITCHED: Final = "switched_"
"""Features of such names are amounts by how much of them changes: dynamic power is made of them, where an
estimate has them, and nothing else is."""

FRAMES: Final = 1024
"""Inputs, one after another, that the power of a trained design is counted on, and simulated on."""

WORK: Mapping[str, str] = {
    "operations": "",
    "macs": "",
    "parameters": "",
    "weight_bits": "",
    "bops": "",
    "output_bits": "",
}
"""What every model counts, with units; ``weight_bits`` and ``output_bits`` in bits."""

COST_UNITS: Mapping[str, str] = {
    **WORK,
    "weight_bits": "bit",
    "output_bits": "bit",
    "area_um2": "um2",
    "power_mw": "mW",
    "dynamic_mw": "mW",
    "leakage_mw": "mW",
    "energy_nj": "nJ",
    "critical_path_ns": "ns",
    "latency_cycles": "cycles",
    "latency_ns": "ns",
    "initiation_interval": "cycles",
    "lut": "",
    "ff": "",
    "dsp": "",
    "bram_18k": "",
    "uram": "",
}
"""Everything that a hardware model may predict, with units; these names may be objectives. A model's
``predicts`` says which of them it does."""


@dataclass(frozen=True, slots=True)
class HardwareEstimate:
    """Predicted cost of one inference of a network's chip part.

    Parameters
    ----------
    operations, macs, parameters, weight_bits, bops, output_bits
        By the study's rule; multiply-accumulates; weights and biases; their bits; bit operations; bits given
        out, which a link has to carry.
    resources
        What the design occupies; None where the model does not predict it.
    latency_cycles, latency_ns
        From input to output.
    initiation_interval
        Cycles between inferences.
    power_mw, dynamic_mw, leakage_mw
        At the target's clock with an inference each ``initiation_interval`` cycles, in mW.
    energy_nj
        Power over the rate of inferences, in nJ.
    critical_path_ns
        Longest path between registers, in ns.
    target
        What it is an estimate for.
    model
        Name of the model that predicts.
    basis
        What of the weights it knows.
    features
        Physical amounts the costs are made of, by name: what a calibration corrects on.
    by_layer
        Layers to names and values of what adds up.
    covers
        What is in the figures and what is not, in words.
    intervals
        Calibrated: cost to (low, high) that should hold the measured value with probability ``coverage``.
    coverage
        That probability; None where nothing is calibrated.
    outside
        Calibrated: features that lie outside the range the calibration was fitted on, with value and range.
    """

    operations: int
    macs: int
    parameters: int
    weight_bits: int
    bops: int
    output_bits: int
    resources: Resources
    latency_cycles: int
    latency_ns: float
    initiation_interval: int
    target: Target
    model: str
    basis: Basis
    covers: str
    power_mw: float | None = None
    dynamic_mw: float | None = None
    leakage_mw: float | None = None
    energy_nj: float | None = None
    critical_path_ns: float | None = None
    features: Mapping[str, float] = field(default_factory=dict)
    by_layer: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    coverage: float | None = None
    outside: tuple[str, ...] = ()

    def value(self, name: str) -> float | None:
        """One cost by the names of ``COST_UNITS``; None where the model does not predict it."""
        owner = self.resources if name in Resources.__slots__ else self
        value: float | None = getattr(owner, name)
        return value

    def costs(self) -> dict[str, float]:
        """The values that may be objectives, by the names of ``COST_UNITS``."""
        return {name: float(value) for name in COST_UNITS if (value := self.value(name)) is not None}

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; the costs are flat."""
        return {
            **self.costs(),
            **{name: getattr(self, name) for name in WORK},
            "latency_cycles": self.latency_cycles,
            "initiation_interval": self.initiation_interval,
            "target": self.target.to_dict(),
            "model": self.model,
            "basis": self.basis,
            "features": dict(self.features),
            "by_layer": {name: dict(costs) for name, costs in self.by_layer.items()},
            "intervals": {name: list(bounds) for name, bounds in self.intervals.items()},
            "coverage": self.coverage,
            "outside": list(self.outside),
            "covers": self.covers,
        }


class HardwareModel(Protocol):
    """Predicts what networks cost on a device."""

    @property
    def name(self) -> str:
        """Name by which estimates cite the model."""

    @property
    def predicts(self) -> tuple[str, ...]:
        """The names of ``COST_UNITS`` that it predicts, for every network."""

    @property
    def needs_weights(self) -> bool:
        """Whether it prices anew once the weights are known; until then it works with a prior."""

    def price(self, workload: Workload, device: Device) -> Costs:
        """Costs of many networks at once: the names of ``predicts`` to arrays of shape ``(n,)``."""

    def features(self, workload: Workload, device: Device) -> Costs:
        """Physical amounts the costs are made of, each of shape ``(n,)``: what a calibration corrects on."""

    def estimate(self, network: Network, device: Device) -> HardwareEstimate:
        """Cost of one network; raise ``UnsupportedLayerError`` for a layer it cannot price.

        Where ``needs_weights`` and the network is fitted, of these weights; else it equals ``price``.
        """


@runtime_checkable
class SeesInputs(Protocol):
    """A model whose power is of what changes from one input to the next, once it is given some."""

    def with_inputs(self, inputs: NDArray[Any]) -> HardwareModel:
        """The same with real inputs in the order in which they come, ``(frames, *input_shape)``."""


def with_inputs(model: HardwareModel, inputs: NDArray[Any]) -> HardwareModel:
    """The model with inputs to count changes of; as it is where it cannot."""
    return model.with_inputs(inputs) if isinstance(model, SeesInputs) else model
