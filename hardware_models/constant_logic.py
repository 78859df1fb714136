"""What logic with constant weights is made of: adders, registers between them, and nothing that multiplies.

With the weights of a fitted network the adders are counted: canonical signed digits, shared terms, and the
width of each sum by the range that its inputs and weights allow. Without them a prior says what is to be
expected of trained weights. ASIC and FPGA models price the same amounts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from codesign.export import distributed
from codesign.export.distributed import ADDER_LEVEL_NS
from codesign.hardware import Device, Workload
from codesign.network import Network
from hardware_models import switching
from hardware_models.counting import ADDITIONS_PER_MAXIMUM, SATURATION_LEVELS, Stage, count
from hardware_models.merging import merged
from hardware_models.needs import needed
from hardware_models.prior import expected, load_prior
from hardware_models.units import AMOUNTS, Activity, copies

__all__ = ["ConstantLogic", "evenly", "exported_levels"]

FloatArray = NDArray[np.float64]
DEEPER: Final = 1
"""Levels by which da4ml's longest path is longer than ours, in the median of the 40 designs with constant
weights that fits may see."""
ADDED: Final = ("adder_bits", "increment_bits", "constant_bits", "rounding_bits")
COUNTED: Final = (*ADDED, "gate_bits", "maximum_bits")
CUT_WITHIN: Final = 2
"""Levels from a cut at which what is alive no longer counts."""


def _additions_per_stage(device: Device) -> int:
    """Additions between two registers, as the export cuts them."""
    return max(int(device.period_ns / ADDER_LEVEL_NS), 1)


@dataclass(frozen=True, slots=True, eq=False)
class ConstantLogic:
    """Adders in place of multipliers.

    Parameters
    ----------
    work
        Of ``n`` networks with up to ``m`` layers.
    amounts
        ``units.AMOUNTS``, each ``(n, m)``.
    depth
        Additions on the longest path of each layer, ``(n, m)``.
    levels
        Those of them that the export counts when it places registers, ``(n, m)``: it takes a constant that is
        added, a bias, as none.
    widest
        Bits of its widest sum, ``(n, m)``.
    activity
        How much changes, on known inputs or to be expected.
    stages
        Register stages, ``(n,)``, where the export was asked.
    """

    work: Workload
    amounts: dict[str, FloatArray]
    depth: FloatArray
    levels: FloatArray
    widest: FloatArray
    activity: Activity
    stages: FloatArray | None = None

    @classmethod
    def counted(
        cls,
        work: Workload,
        device: Device,
        chip: Network,
        inputs: NDArray[Any] | None = None,
        *,
        exported: bool = False,
    ) -> "ConstantLogic":
        """Of the known weights of one network, no layer of which is folded, and perhaps of its inputs.

        Adders and registers between stages are those of our graph, or ``exported`` those of the export's:
        as many more or fewer adders as its search found, and the bits on its buses.
        """
        chip = merged(chip)
        stages = count(chip, inputs)
        levels = np.diff(np.maximum.accumulate([0, *(stage.levels for stage in stages)])).astype(np.float64)
        clocked = _held(stages, int(levels.sum()), device)
        searched = distributed.logic(chip, device) if exported and stages else None
        buses = searched.widths[1:] if searched is not None and device.pipelined else ()
        if buses:
            clocked = _shared(sum(buses[:-1]), clocked if clocked.any() else levels)
        if stages:
            clocked[-1] += stages[-1].output_bits
        amounts = {
            name: np.array([[getattr(stage, name) for stage in stages]], np.float64) for name in COUNTED
        }
        if searched is not None:
            ours = sum(float(amounts[name].sum()) for name in ADDED)
            for name in ("adder_bits", "increment_bits"):
                amounts[name] *= searched.adder_bits / max(ours, 1)
        return cls(
            work,
            _with_registers(amounts, clocked[None, :], device),
            np.array([[stage.depth for stage in stages]], np.float64),
            levels[None],
            np.array([[stage.widest for stage in stages]], np.float64),
            switching.expected(work, device) if inputs is None else _activity(stages),
            np.array([float(len(buses))]) if buses else None,
        )

    @classmethod
    def expected(cls, work: Workload, device: Device) -> "ConstantLogic":
        """Of weights that are not known, in layers of integers."""
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
            "increment_bits": work.pixels * found.half,
            "constant_bits": work.sums * found.sum_bits * (1 - found.zero),
            "rounding_bits": kept,
            "maximum_bits": work.pooled * np.maximum(work.pool_size - 1, 0) * work.activation_bits,
        }
        comparisons = np.maximum(work.pool_size - 1, 0)
        levels = (
            found.depth + SATURATION_LEVELS * (work.activations > 0) + ADDITIONS_PER_MAXIMUM * comparisons
        ) * work.present
        depth = levels + work.present
        held = whole.height * whole.width * whole.channels * work.input_bits + work.sums * found.sum_bits
        clocked = _cuts(levels, evenly(exported_levels(levels.sum(axis=1)), device)) * held
        last = work.present & (np.cumsum(work.present, axis=1) == work.present.sum(axis=1)[:, None])
        clocked = clocked + last * work.outputs * work.activation_bits
        amounts = _with_registers(amounts, clocked, device)
        widest, activity = found.sum_bits * work.present, switching.expected(whole, device)
        return cls(whole, amounts, depth, levels, widest, activity)

    def cycles(self, device: Device) -> FloatArray:
        """Register stages, ``(n,)``."""
        if self.stages is not None:
            return self.stages
        stages = np.ceil(exported_levels(self.levels.sum(axis=1)) / _additions_per_stage(device))
        there = self.work.present.any(axis=1)
        cycles: FloatArray = np.maximum(stages, 1.0) * there * device.pipelined
        return cycles


def _activity(stages: Sequence[Stage]) -> Activity:
    outputs = np.array([[stage.output_changes for stage in stages]], np.float64)
    return Activity(np.array([[stage.changes for stage in stages]], np.float64), outputs, outputs)


def _shared(bits: int, weights: FloatArray) -> FloatArray:
    """Bits by layer, in proportion to what is there; all in the first where nothing is."""
    weights = weights if weights.any() else np.eye(1, len(weights))[0]
    shared: FloatArray = bits * weights / weights.sum()
    return shared


def exported_levels(levels: FloatArray) -> FloatArray:
    """Levels of da4ml's graph where ours has so many."""
    return levels + DEEPER * (levels > 0)


def _held(stages: Sequence[Stage], levels: int, device: Device) -> FloatArray:
    """Bits of registers inside the logic, by layer.

    What is alive is known for each level of our graph, where da4ml cuts its own only to a level or so: it is
    the geometric mean around the cut, the level itself counted twice.
    """
    whole = exported_levels(np.array([float(levels)]))
    limit = evenly(whole, device).item()
    cuts = np.arange(limit, whole.item(), limit) * levels / np.maximum(whole, 1)
    if not len(cuts):
        return np.zeros(len(stages))
    alive = np.array([[*stage.live, *[0] * levels][:levels] for stage in stages], np.float64)
    place = np.arange(levels)
    near = np.maximum(CUT_WITHIN - np.abs(place - cuts[:, None]), 0) * (place > 0)  # (cuts, levels)
    near /= near.sum(axis=1, keepdims=True)
    bits = np.exp(near @ np.log(np.maximum(alive.sum(axis=0), 1)))
    shares = alive @ near.T / np.maximum((alive @ near.T).sum(axis=0), 1)  # (layers, cuts)
    held: FloatArray = shares @ bits
    return held


def evenly(levels: FloatArray, device: Device) -> FloatArray:
    """Levels of each stage: as few stages as the clock allows, then as even as da4ml's retiming makes them.

    It halves the span between what would be even and what the clock allows, as long as that is above 1.
    """
    most = float(_additions_per_stage(device))
    stages = np.maximum(np.ceil(levels / most), 1)
    low, limit = levels / stages, np.where(stages > 1, most, np.maximum(levels, 1))
    while (wide := limit - low > 1).any():
        middle = np.floor((limit + low) / 2)
        fits = np.ceil(levels / np.maximum(middle, 1)) <= stages
        low, limit = np.where(wide & ~fits, middle, low), np.where(wide & fits, middle, limit)
    return limit


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
