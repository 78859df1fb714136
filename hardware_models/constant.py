"""Cost of an ASIC whose weights are constant: adders, and nothing that multiplies or stores a weight.

With the weights of a fitted network the adders are counted: canonical signed digits, shared terms, and the
width of each sum by the range that its inputs and weights allow. Without them a prior says what is to be
expected of trained weights. Equations, sources and limits: ``docs/models/constant.md``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError, UnsupportedLayerError
from codesign.export.distributed import ADDER_LEVEL_NS
from codesign.hardware import Costs, Device, HardwareEstimate, Workload
from codesign.hardware.estimate import Basis
from codesign.network import Network
from hardware_models.counting import ADDITIONS_PER_MAXIMUM, count
from hardware_models.needs import needed
from hardware_models.prior import expected, load_prior
from hardware_models.technology import Technology, load
from hardware_models.units import (
    AMOUNTS,
    PREDICTS,
    copies,
    costs,
    estimate,
    origin,
    require_unfolded,
    settled,
    totals,
)

__all__ = ["ConstantModel"]

FloatArray = NDArray[np.float64]


@final
@dataclass(frozen=True, slots=True)
class ConstantModel:
    """Area, power, critical path and latency of an ASIC with constant weights."""

    name: ClassVar[str] = "constant"
    needs_weights: ClassVar[bool] = True
    predicts: ClassVar[tuple[str, ...]] = PREDICTS

    def price(self, workload: Workload, device: Device) -> Costs:
        """Costs of many networks whose weights are not known: ``predicts`` to arrays of shape ``(n,)``.

        Raises
        ------
        ConfigError
            For reloadable weights, or a technology that is not there.
        UnsupportedLayerError
            For folded layers, and for layers in float.
        """
        _require_covered(device)
        return _Design.expected(workload, device).whole(device)

    def features(self, workload: Workload, device: Device) -> Costs:
        """Amounts of units by the names of ``units.AMOUNTS``, and the critical path, each ``(n,)``."""
        _require_covered(device)
        return _Design.expected(workload, device).features(device)

    def estimate(self, network: Network, device: Device) -> HardwareEstimate:
        """Cost of one network: of its weights where it is fitted, else of weights as trained ones are.

        Raises
        ------
        UnsupportedLayerError
            For a layer it cannot price: folded, in float, or none of convolution, dense, ReLU, pooling and
            flatten.
        """
        _require_covered(device)
        chip, workload = network.chip, Workload.of([network])
        known = bool(chip.fitted)
        design = (_Design.counted if known else _Design.expected)(
            workload, device, *([chip] if known else [])
        )
        basis: Basis = "weights" if known else "prior"
        return estimate(
            network,
            device,
            model=self.name,
            basis=basis,
            names=workload.names,
            layers=design.layers(device),
            whole=design.whole(device),
            features=design.features(device),
            technology=load(device.technology),
            covers=_covers(load(device.technology), device, known),
        )


def _require_covered(device: Device) -> None:
    if device.weights != "constant":
        raise ConfigError(
            f"the model 'constant' prices constant weights, the device has weights={device.weights!r}; take "
            "the model 'asic', or weights='constant'"
        )


def _additions_per_stage(device: Device) -> int:
    """Additions between two registers, as the export cuts them."""
    return max(int(device.period_ns / ADDER_LEVEL_NS), 1)


@dataclass(frozen=True, slots=True, eq=False)
class _Design:
    """Amounts, additions on the longest path and bits of the widest sum of every layer, each ``(n, m)``."""

    work: Workload
    amounts: dict[str, FloatArray]
    depth: FloatArray
    widest: FloatArray

    @classmethod
    def counted(cls, work: Workload, device: Device, chip: Network) -> "_Design":
        """Of known weights."""
        require_unfolded(work, ConstantModel.name)
        stages = count(chip)
        cuts = np.array([cut for stage in stages for cut in stage.live], np.float64)
        limit = int(_evenly(np.array([float(len(cuts))]), device).item())
        kept = np.zeros(len(cuts))
        kept[limit::limit] = cuts[limit::limit]
        starts = np.cumsum([0, *(stage.depth for stage in stages)])
        clocked = np.array([kept[a:b].sum() for a, b in pairwise(starts)])
        if stages:
            clocked[-1] += stages[-1].output_bits
        found = {
            "gate_bits": [stage.gate_bits for stage in stages],
            "adder_bits": [stage.adder_bits for stage in stages],
            "increment_bits": [stage.increment_bits for stage in stages],
            "maximum_bits": [stage.maximum_bits for stage in stages],
        }
        amounts = {name: np.array([values], np.float64) for name, values in found.items()}
        return cls(
            work,
            _with_registers(amounts, clocked[None, :], device),
            np.array([[stage.depth for stage in stages]], np.float64),
            np.array([[stage.widest for stage in stages]], np.float64),
        )

    @classmethod
    def expected(cls, work: Workload, device: Device) -> "_Design":
        """Of weights that are not known."""
        require_unfolded(work, ConstantModel.name)
        if work.floating.any():
            raise UnsupportedLayerError(
                "the model 'constant' counts adders of integers, and a network has layers in float: "
                "quantise it"
            )
        whole, work = work, needed(work)
        found = expected(
            load_prior(),
            work.products / np.maximum(work.sums, 1),
            work.fan_in.astype(np.float64),
            work.units.astype(np.float64),
            work.weight_bits,
            work.input_bits.astype(np.float64),
        )
        beyond = np.maximum(found.sum_bits - work.weight_bits - work.input_bits, 0)
        kept = work.activations * np.minimum(work.activation_bits + beyond + 1, found.sum_bits)
        amounts: dict[str, NDArray[Any]] = {
            "gate_bits": 2 * kept,
            "adder_bits": work.pixels * found.full,
            "increment_bits": work.pixels * found.half + work.sums * found.sum_bits * (1 - found.zero) + kept,
            "maximum_bits": work.pooled * np.maximum(work.pool_size - 1, 0) * work.activation_bits,
        }
        comparisons = np.maximum(work.pool_size - 1, 0)
        depth = (
            found.depth + 1 + 2 * (work.activations > 0) + ADDITIONS_PER_MAXIMUM * comparisons
        ) * work.present
        held = whole.height * whole.width * whole.channels * work.input_bits + work.sums * found.sum_bits
        clocked = _cuts(depth, _evenly(depth.sum(axis=1), device)) * held
        last = work.present & (np.cumsum(work.present, axis=1) == work.present.sum(axis=1)[:, None])
        clocked = clocked + last * work.outputs * work.activation_bits
        return cls(whole, _with_registers(amounts, clocked, device), depth, found.sum_bits * work.present)

    def layers(self, device: Device) -> Costs:
        return costs(self.work, self.amounts, load(device.technology), device)

    def whole(self, device: Device) -> Costs:
        delay, path = (self._path_ns(device, pipelined) for pipelined in (False, device.pipelined))
        return settled(self.layers(device), self._cycles(device), path, delay, device)

    def features(self, device: Device) -> Costs:
        path = self._path_ns(device, device.pipelined)
        return {**totals(self.amounts), "critical_path_ns": path}

    def _cycles(self, device: Device) -> FloatArray:
        stages = np.ceil(self.depth.sum(axis=1) / _additions_per_stage(device))
        there = self.work.present.any(axis=1)
        cycles: FloatArray = np.maximum(stages, 1.0) * there * device.pipelined
        return cycles

    def _path_ns(self, device: Device, pipelined: bool) -> FloatArray:
        """The longest stage: a register, its additions, and in each layer it passes the carry of a sum.

        The sum's lowest bit is there long before its highest, but activation and saturation wait for that.
        """
        technology = load(device.technology)
        total = self.depth.sum(axis=1)
        limit = _evenly(total, device) if pipelined else np.maximum(total, 1)
        end = np.cumsum(self.depth, axis=1)
        longest = np.zeros(len(total))
        for stage in range(int(np.ceil(total / limit).max(initial=0))):
            first = stage * limit[:, None]
            last = first + limit[:, None]
            inside = np.maximum(np.minimum(end, last) - np.maximum(end - self.depth, first), 0)
            carries = ((inside > 0) * self.widest).sum(axis=1) * technology.carry_delay
            longest = np.maximum(longest, inside.sum(axis=1) * technology.adder_delay + carries)
        voter = 2 * technology.gate_delay * (device.redundancy == "all")
        path: FloatArray = longest + (technology.register_delay + voter) * pipelined
        return path


def _evenly(depth: FloatArray, device: Device) -> FloatArray:
    """Additions of each stage: as few stages as the clock allows, then cut evenly, as da4ml retimes them."""
    stages = np.maximum(np.ceil(depth / _additions_per_stage(device)), 1)
    evenly: FloatArray = np.maximum(np.ceil(depth / stages), 1)
    return evenly


def _cuts(depth: FloatArray, limit: FloatArray) -> FloatArray:
    """Registers after every ``limit`` additions that fall into each layer, ``(n, m)``; none at the end."""
    end, limit = np.cumsum(depth, axis=1), limit[:, None]
    passed = np.where(end < end[:, -1:], np.floor(end / limit), np.ceil(end / limit) - 1)
    found: FloatArray = np.diff(np.maximum(passed, 0), axis=1, prepend=0.0)
    return found


def _with_registers(
    amounts: Mapping[str, NDArray[Any]], clocked: FloatArray, device: Device
) -> dict[str, FloatArray]:
    """All of ``units.AMOUNTS``: nothing is stored, and registers are there where the device is pipelined."""
    clocked = clocked * device.pipelined
    registers = {
        "register_bits": clocked * copies(device, "all"),
        "voter_bits": clocked * (device.redundancy == "all"),
    }
    nothing = np.zeros_like(clocked)
    found: dict[str, NDArray[Any]] = {**amounts, **registers}
    return {name: found.get(name, nothing).astype(np.float64) for name in AMOUNTS}


def _covers(technology: Technology, device: Device, known: bool) -> str:
    weights = "the network's weights" if known else "weights as trained ones are to be expected (prior)"
    return (
        f"constant weights in adders, {technology.name} at {technology.supply_v} V, redundancy "
        f"{device.redundancy}, from {weights}: shared adders, bias, activation, pooling, pipeline registers "
        "and their voters, leakage. Not: layout, wires and their load, clock tree, pads, converter and "
        f"normaliser, glitches. {origin(technology)}"
    )
