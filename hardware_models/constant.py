"""Cost of an ASIC whose weights are constant: adders, and nothing that multiplies or stores a weight.

Of trained weights, or of weights as trained ones are to be expected (``constant_logic``). Equations, sources
and limits: ``docs/models/constant.md``.
"""

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self, final

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError, UnsupportedLayerError
from codesign.hardware import Costs, Device, HardwareEstimate, Workload
from codesign.network import Network
from hardware_models.constant_logic import ConstantLogic, evenly, exported_levels
from hardware_models.technology import load
from hardware_models.units import (
    PREDICTS,
    SWITCHES,
    costs,
    estimate,
    origin,
    require_frames,
    require_unfolded,
    settled,
    switched,
    totals,
)

__all__ = ["ConstantModel", "exported"]

FloatArray = NDArray[np.float64]


@final
@dataclass(frozen=True, slots=True)
class ConstantModel:
    """Area, power, critical path and latency of an ASIC with constant weights.

    Parameters
    ----------
    inputs
        Real inputs in the order in which they come, ``(frames, *input_shape)``, some hundreds: the power of a
        fitted network is then of what they change. Without them, and before a fit, of what trained networks
        change (``switching``).
    exported
        Whether adders, registers and cycles of a fitted network are those of the adder graph that the export
        writes: up to a second a network, and da4ml has to be there. Otherwise those of our own graph.
    """

    inputs: NDArray[Any] | None = field(default=None, repr=False, compare=False)
    exported: bool = False
    needs_weights: ClassVar[bool] = True
    predicts: ClassVar[tuple[str, ...]] = PREDICTS

    @property
    def name(self) -> str:
        """``constant``, or ``constant-exported``."""
        return f"constant{'-exported' * self.exported}"

    def with_inputs(self, inputs: NDArray[Any]) -> Self:
        """The same with inputs to count changes of."""
        return replace(self, inputs=inputs)

    def price(self, workload: Workload, device: Device) -> Costs:
        """Costs of many networks whose weights are not known: ``predicts`` to arrays of shape ``(n,)``.

        Raises
        ------
        ConfigError
            For reloadable weights, or a technology that is not there.
        UnsupportedLayerError
            For folded layers, and for layers in float.
        """
        _require_covered(workload, device)
        return _whole(ConstantLogic.expected(workload, device), device)

    def features(self, workload: Workload, device: Device) -> Costs:
        """Amounts of units by the names of ``units.AMOUNTS``, and the critical path, each ``(n,)``."""
        _require_covered(workload, device)
        return _features(ConstantLogic.expected(workload, device), device)

    def estimate(self, network: Network, device: Device) -> HardwareEstimate:
        """Cost of one network: of its weights where it is fitted, else of weights as trained ones are.

        Raises
        ------
        UnsupportedLayerError
            For a layer it cannot price: folded, in float, or none of convolution, dense, ReLU, pooling and
            flatten.
        """
        chip, workload = network.chip, Workload.of([network])
        _require_covered(workload, device)
        known = bool(chip.fitted)
        logic = (
            ConstantLogic.counted(workload, device, chip, self.inputs, exported=self.exported)
            if known
            else ConstantLogic.expected(workload, device)
        )
        return estimate(
            network,
            device,
            model=self.name,
            basis="prior" if not known else "weights" if self.inputs is None else "activity",
            names=workload.names,
            layers=_layers(logic, device),
            whole=_whole(logic, device),
            features=_features(logic, device),
            technology=load(device.technology),
            covers=_covers(device, self._weights(known), seen=known and self.inputs is not None),
        )

    def _weights(self, known: bool) -> str:
        if not known:
            return "weights as trained ones are to be expected (prior)"
        return f"the network's weights{' in the adder graph of the export' * self.exported}"

    def __post_init__(self) -> None:
        """Reject inputs of which none follows another."""
        require_frames(self.inputs)


def _require_covered(work: Workload, device: Device) -> None:
    if device.weights != "constant":
        raise ConfigError(
            f"the model 'constant' prices constant weights, the device has weights={device.weights!r}; take "
            "the model 'asic', or weights='constant'"
        )
    require_unfolded(work, "constant")
    if work.floating.any():
        raise UnsupportedLayerError(
            "the model 'constant' counts adders of integers, and a network has layers in float: quantise it"
        )


def _layers(logic: ConstantLogic, device: Device) -> Costs:
    return costs(logic.work, logic.amounts, load(device.technology), device, logic.activity)


def _whole(logic: ConstantLogic, device: Device) -> Costs:
    delay, path = (_path_ns(logic, device, pipelined) for pipelined in (False, device.pipelined))
    return settled(_layers(logic, device), logic.cycles(device), path, delay, device)


def _features(logic: ConstantLogic, device: Device) -> Costs:
    path = _path_ns(logic, device, device.pipelined)
    moved = totals(switched(logic.amounts, logic.activity))
    return {**totals(logic.amounts), **moved, "critical_path_ns": path}


def _path_ns(logic: ConstantLogic, device: Device, pipelined: bool) -> FloatArray:
    """The longest stage: a register, its additions, and in each layer it passes the carry of a sum.

    The sum's lowest bit is there long before its highest, but activation and saturation wait for that.
    """
    technology = load(device.technology)
    total = logic.levels.sum(axis=1)
    whole = exported_levels(total)
    limit = evenly(whole, device) * total / np.maximum(whole, 1) if pipelined else total
    limit = np.maximum(limit, 1)
    end = np.cumsum(logic.levels, axis=1)
    uncounted = np.maximum(logic.depth - logic.levels, 0)
    longest = np.zeros(len(total))
    for stage in range(int(np.ceil(total / limit).max(initial=0))):
        first = stage * limit[:, None]
        last = first + limit[:, None]
        inside = np.maximum(np.minimum(end, last) - np.maximum(end - logic.levels, first), 0)
        passed = inside + uncounted * ((first < end) & (end <= last))
        carries = ((inside > 0) * logic.widest).sum(axis=1) * technology.carry_delay
        longest = np.maximum(longest, passed.sum(axis=1) * technology.adder_delay + carries)
    voter = 2 * technology.gate_delay * (device.redundancy == "all")
    path: FloatArray = longest + (technology.register_delay + voter) * pipelined
    return path


def _covers(device: Device, weights: str, *, seen: bool) -> str:
    technology = load(device.technology)
    voters = " and their voters" if device.redundancy == "all" else ""
    vain = " (no register holds weights: nothing is tripled)" if device.redundancy == "weights" else ""
    return (
        f"constant weights in adders, {technology.name} at {technology.supply_v} V, redundancy "
        f"{device.redundancy}{vain}, from {weights}: shared adders, bias, activation, pooling, pipeline "
        f"registers{voters}, leakage. {SWITCHES[seen]} "
        "Not: layout, wires and their load, clock tree, pads, converter and "
        f"normaliser, glitches. {origin(technology)}"
    )


def exported() -> ConstantModel:
    """The model with the export's own adder graph."""
    return ConstantModel(exported=True)
