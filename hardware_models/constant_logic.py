"""What logic with constant weights is made of: adders, registers between them, and nothing that multiplies.

With the weights of a fitted network the adders are counted: canonical signed digits, shared terms, and the
width of each sum by the range that its inputs and weights allow. Without them a prior says what is to be
expected of trained weights. ASIC and FPGA models price the same amounts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from codesign.export.distributed import ADDER_LEVEL_NS
from codesign.hardware import Device, Workload
from codesign.network import Network
from hardware_models.counting import ADDITIONS_PER_MAXIMUM, count
from hardware_models.needs import needed
from hardware_models.prior import expected, load_prior
from hardware_models.units import AMOUNTS, copies

__all__ = ["ConstantLogic", "evenly"]

FloatArray = NDArray[np.float64]
CUT_WITHIN: Final = 2
"""Additions to both sides within which a register may lie: da4ml's levels are not counted to the last one."""


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
    widest
        Bits of its widest sum, ``(n, m)``.
    """

    work: Workload
    amounts: dict[str, FloatArray]
    depth: FloatArray
    widest: FloatArray

    @classmethod
    def counted(cls, work: Workload, device: Device, chip: Network) -> "ConstantLogic":
        """Of the known weights of one network, no layer of which is folded."""
        stages = count(chip)
        cuts = np.array([cut for stage in stages for cut in stage.live], np.float64)
        limit = int(evenly(np.array([float(len(cuts))]), device).item())
        kept = np.zeros(len(cuts))
        kept[limit::limit] = _around(cuts)[limit::limit]
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
            "increment_bits": work.pixels * found.half + work.sums * found.sum_bits * (1 - found.zero) + kept,
            "maximum_bits": work.pooled * np.maximum(work.pool_size - 1, 0) * work.activation_bits,
        }
        comparisons = np.maximum(work.pool_size - 1, 0)
        depth = (
            found.depth + 1 + 2 * (work.activations > 0) + ADDITIONS_PER_MAXIMUM * comparisons
        ) * work.present
        held = whole.height * whole.width * whole.channels * work.input_bits + work.sums * found.sum_bits
        clocked = _cuts(depth, evenly(depth.sum(axis=1), device)) * held
        last = work.present & (np.cumsum(work.present, axis=1) == work.present.sum(axis=1)[:, None])
        clocked = clocked + last * work.outputs * work.activation_bits
        return cls(whole, _with_registers(amounts, clocked, device), depth, found.sum_bits * work.present)

    def cycles(self, device: Device) -> FloatArray:
        """Register stages, ``(n,)``."""
        stages = np.ceil(self.depth.sum(axis=1) / _additions_per_stage(device))
        there = self.work.present.any(axis=1)
        cycles: FloatArray = np.maximum(stages, 1.0) * there * device.pipelined
        return cycles


def evenly(depth: FloatArray, device: Device) -> FloatArray:
    """Additions of each stage: as few stages as the clock allows, then cut evenly, as da4ml retimes them."""
    stages = np.maximum(np.ceil(depth / _additions_per_stage(device)), 1)
    limit: FloatArray = np.maximum(np.ceil(depth / stages), 1)
    return limit


def _around(cuts: FloatArray) -> FloatArray:
    """Mean of each value and ``CUT_WITHIN`` to both sides, as far as there are any."""
    if not len(cuts):
        return cuts
    padded = np.pad(cuts, CUT_WITHIN, constant_values=np.nan)
    return np.asarray(np.nanmean(sliding_window_view(padded, 2 * CUT_WITHIN + 1), axis=1))


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
