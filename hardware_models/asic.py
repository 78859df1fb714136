"""Analytic cost of a fully parallel ASIC with reloadable weights.

What is counted is what the exported Verilog holds: a multiplier for every product on the image, an addition
for each of them, bias, activation, pooling, a register in front of each layer but the first and behind the
last, and every weight in registers that an address selects. An inference starts each clock cycle. Equations,
sources and limits: ``docs/models/asic.md``.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError, UnsupportedLayerError
from codesign.hardware import Costs, Device, HardwareEstimate, Workload
from codesign.network import Network
from hardware_models.technology import Technology, load
from hardware_models.units import PREDICTS, copies, costs, estimate, settled, totals

__all__ = ["AsicModel"]

FloatArray = NDArray[np.float64]
HALF: Final = 0.5
SIGN_AND_ROUNDING: Final = 1
"""Bits that a rounded sum may have beyond the output's width and the carries of its additions."""


@final
@dataclass(frozen=True, slots=True)
class AsicModel:
    """Area, power, critical path and latency of a fully parallel ASIC whose weights can be reloaded."""

    name: ClassVar[str] = "asic"
    needs_weights: ClassVar[bool] = False
    predicts: ClassVar[tuple[str, ...]] = PREDICTS

    def price(self, workload: Workload, device: Device) -> Costs:
        """Costs of many networks at once: the names of ``predicts`` to arrays of shape ``(n,)``.

        Raises
        ------
        ConfigError
            For constant weights, or a technology that is not there.
        UnsupportedLayerError
            For folded layers.
        """
        _require_covered(workload, device)
        technology = load(device.technology)
        return _whole(costs(workload, _amounts(workload, device), technology, device), workload, device)

    def features(self, workload: Workload, device: Device) -> Costs:
        """Amounts of units, each of shape ``(n,)``, by the names of ``units.AMOUNTS``; and ``paths``."""
        _require_covered(workload, device)
        return {
            **totals(_amounts(workload, device)),
            "critical_path_ns": _critical_path_ns(workload, load(device.technology), device),
        }

    def estimate(self, network: Network, device: Device) -> HardwareEstimate:
        """Cost of one network; raise ``UnsupportedLayerError`` for a layer it cannot price."""
        workload = Workload.of([network])
        _require_covered(workload, device)
        technology = load(device.technology)
        layers = costs(workload, _amounts(workload, device), technology, device)
        return estimate(
            network,
            device,
            model=self.name,
            basis="widths",
            names=workload.names,
            layers=layers,
            whole=_whole(layers, workload, device),
            features=self.features(workload, device),
            technology=technology,
            covers=_covers(technology, device),
        )


def _require_covered(work: Workload, device: Device) -> None:
    if device.weights != "reloadable":
        raise ConfigError(
            f"the model 'asic' prices reloadable weights, the device has weights={device.weights!r}; take "
            "the model 'constant', or weights='reloadable'"
        )
    if work.folded.any():
        first = int(np.flatnonzero(work.folded)[0])
        shared = (work.pe < work.units) | (work.simd < work.fan_in)
        named = [name for name, is_shared in zip(work.names, shared[first], strict=True) if is_shared]
        raise UnsupportedLayerError(
            f"layer {named[0]!r} is folded; the model 'asic' has a multiplier for every product: price "
            "codesign.hardware.folding.unfolded(network)"
        )


def _amounts(work: Workload, device: Device) -> dict[str, FloatArray]:
    """Amounts of units, each ``(n, m)``; see ``units.AMOUNTS``."""
    integer = ~work.floating
    products = (work.products * integer).astype(np.float64)
    kept = _kept_bits(work)
    clocked = work.outputs * work.activation_bits if device.pipelined else np.zeros_like(work.outputs)
    full, half = _sum_bits(work)
    rectified = work.activations * integer
    floats = (work.products * work.floating).astype(np.float64)
    return {
        "multiplier_bits2": products * work.weight_bits * work.input_bits,
        "multiplier_border_bits": products * (work.weight_bits + work.input_bits),
        "adder_bits": full * integer,
        "increment_bits": half * integer + (rectified * kept),
        "gate_bits": (rectified * 2 * kept).astype(np.float64),
        "maximum_bits": (work.pooled * np.maximum(work.pool_size - 1, 0) * work.activation_bits).astype(
            np.float64
        ),
        "voter_bits": (clocked * (device.redundancy == "all")).astype(np.float64),
        "register_bits": (clocked * copies(device, "all")).astype(np.float64),
        "stored_bits": (work.parameter_bits * copies(device, "weights", "all")).astype(np.float64),
        "stored_voter_bits": (work.parameter_bits * (device.redundancy != "none")).astype(np.float64),
        "load_bits": work.parameter_bits.astype(np.float64),
        "words": (work.weights + work.biases).astype(np.float64),
        "float_multipliers": floats,
        "float_adders": floats,
    }


def _levels(products: NDArray[Any]) -> NDArray[np.int64]:
    """Bits by which a sum of so many products is wider than one of them: the logarithm, rounded up."""
    mantissa, exponent = np.frexp(np.maximum(products, 1.0))
    levels: NDArray[np.int64] = exponent.astype(np.int64) - (mantissa == HALF)
    return levels


def _sum_bits(work: Workload) -> tuple[FloatArray, FloatArray]:
    """Full and half adders of the sums, ``(n, m)``.

    Products are added one by one: the ``k``-th, of ``w + a`` bits, meets a sum of ``w + a + ceil(log2 k)``.
    Where both have bits there are full adders, above only the carry. ``t`` products make
    ``t ceil(log2 t) - 2**ceil(log2 t) + 1`` carry bits in all; at the border ``t`` is less than the fan-in,
    and here it is the mean. Bias, or thresholds: additions of the accumulator's width.
    """
    taps = work.products / np.maximum(work.sums, 1)
    levels = _levels(taps)
    constants = work.biases // np.maximum(work.units, 1)
    full = np.maximum(taps - 1, 0) * (work.weight_bits + work.input_bits) + constants * work.accumulator_bits
    half = np.maximum(taps * levels - 2.0**levels + 1, 0)
    return work.sums * full, work.sums * half


def _kept_bits(work: Workload) -> NDArray[np.int64]:
    """Bits of a sum that reach the activation's output: its own, and those by which the sum may exceed it."""
    beyond = work.activation_bits + _levels(work.fan_in) + SIGN_AND_ROUNDING
    kept: NDArray[np.int64] = np.minimum(beyond, work.accumulator_bits)
    return kept


def _layer_delay_ns(work: Workload, technology: Technology) -> FloatArray:
    """From a layer's input to its output, ``(n, m)``.

    The multiplier, a level of additions for each doubling of the taps, the carry through the sum, rounding
    and saturation, and a comparison for each doubling of the pooled values.
    """
    comparisons = np.frexp(np.maximum(work.pool_size - 1, 0).astype(np.float64))[1]
    delay: FloatArray = (
        (work.weight_bits + work.input_bits) * technology.multiplier_delay
        + (_levels(work.fan_in) + 1) * technology.adder_delay
        + (_kept_bits(work) * (work.activations > 0)) * technology.carry_delay
        + 3 * (work.activations > 0) * technology.gate_delay
        + comparisons * (work.activation_bits * technology.carry_delay + technology.gate_delay)
    )
    return np.where(work.present, delay, 0.0)


def _critical_path_ns(work: Workload, technology: Technology, device: Device) -> FloatArray:
    """Longest path between registers, ``(n,)``; without a pipeline from the weights' to the output."""
    delay = _layer_delay_ns(work, technology)
    voter = 2 * technology.gate_delay * (device.redundancy != "none")
    path = delay.max(axis=1, initial=0.0) if device.pipelined else delay.sum(axis=1)
    longest: FloatArray = path + technology.register_delay + voter
    return longest


def _whole(layers: Costs, work: Workload, device: Device) -> Costs:
    technology = load(device.technology)
    cycles = work.present.sum(axis=1).astype(np.float64) * device.pipelined
    path = _critical_path_ns(work, technology, device)
    return settled(layers, cycles, path, path, device)


def _covers(technology: Technology, device: Device) -> str:
    return (
        f"fully parallel datapath with weights in registers, {technology.name} at {technology.supply_v} V, "
        f"redundancy {device.redundancy}: multipliers, additions, bias, activation, pooling, pipeline and "
        "weight registers, their load selectors, decoders and voters, leakage. Not: layout, wires and their "
        "load, clock tree, pads, the interface that loads (I2C), converter and normaliser, glitches. Not "
        f"calibrated: sources differ by a factor of {technology.energy_spread:g} in energy and "
        f"{technology.area_spread:g} in area. Sources: {'; '.join(technology.sources)}."
    )
