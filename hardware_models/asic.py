"""Analytic cost of a fully parallel ASIC with reloadable weights.

Every multiplication of an inference has its own multiplier and every weight its own register, so an
inference starts each clock cycle. One register stage follows each convolution or dense layer: the latency,
in cycles, is the number of layers. Equations, sources and limits: ``docs/hardware-models.md``.
"""

from dataclasses import dataclass, fields, replace
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError
from codesign.hardware import Costs, Device, HardwareEstimate, Resources, Target, Workload
from codesign.network import Network
from hardware_models.technology import Technology, load

__all__ = ["AsicModel"]

INITIATION_INTERVAL = 1
FloatArray = NDArray[np.float64]


@final
@dataclass(frozen=True, slots=True)
class AsicModel:
    """Area, power, energy and latency of a fully parallel ASIC, from energies and areas of its units."""

    name: ClassVar[str] = "asic"
    needs_weights: ClassVar[bool] = False
    predicts: ClassVar[tuple[str, ...]] = (
        "operations",
        "macs",
        "parameters",
        "weight_bits",
        "bops",
        "area_um2",
        "power_mw",
        "dynamic_mw",
        "leakage_mw",
        "energy_nj",
        "latency_cycles",
        "latency_ns",
        "initiation_interval",
    )

    def features(self, workload: Workload, device: Device) -> Costs:
        """Amounts of units, each of shape ``(n,)``: bits2 of multipliers, bits of adders and registers."""
        _require_covered(device)
        units = _Units.of(workload)
        return {item.name: _sum_in_order(getattr(units, item.name)) for item in fields(units)}

    def price(self, workload: Workload, device: Device) -> Costs:
        """Costs of many networks at once: the names of ``predicts`` to arrays of shape ``(n,)``.

        Raises
        ------
        ConfigError
            For a device other than a pipelined one with reloadable weights and nothing triplicated.
        """
        _require_covered(device)
        return _totals(_stages(workload, load(device.technology), device.clock_mhz), workload, device)

    def estimate(self, network: Network, device: Device) -> HardwareEstimate:
        """Cost of one network; raise ``UnsupportedLayerError`` for a layer it cannot price."""
        _require_covered(device)
        workload, technology = Workload.of([network]), load(device.technology)
        stages = _stages(workload, technology, device.clock_mhz)
        total = {name: values.item() for name, values in _totals(stages, workload, device).items()}
        return HardwareEstimate(
            operations=int(total["operations"]),
            macs=int(total["macs"]),
            parameters=int(total["parameters"]),
            weight_bits=int(total["weight_bits"]),
            bops=int(total["bops"]),
            resources=Resources(area_um2=total["area_um2"]),
            power_mw=total["power_mw"],
            dynamic_mw=total["dynamic_mw"],
            leakage_mw=total["leakage_mw"],
            energy_nj=total["energy_nj"],
            latency_cycles=int(total["latency_cycles"]),
            latency_ns=total["latency_ns"],
            initiation_interval=INITIATION_INTERVAL,
            target=Target.of(network, device),
            model=self.name,
            basis="widths",
            features={name: values.item() for name, values in self.features(workload, device).items()},
            by_layer={
                layer: {name: values[0, index].item() for name, values in stages.items()}
                for index, layer in enumerate(("input", *workload.names))
            },
            covers=_covers(technology),
        )


def _require_covered(device: Device) -> None:
    priced = replace(device, weights="reloadable", redundancy="none", pipelined=True)
    if device != priced:
        raise ConfigError(
            "the model 'asic' prices reloadable weights, no redundancy and registers between layers; the "
            f"device has weights={device.weights!r}, redundancy={device.redundancy!r}, "
            f"pipelined={device.pipelined}"
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Units:
    """What a design is made of; all of shape ``(n, 1 + m)``, the input's registers first, then the layers.

    ``multiplier_bits2`` products of the two widths; ``adder_bits`` and the registers in bits: ``clocked``
    ones are written each cycle, ``stored`` ones hold weights.
    """

    multiplier_bits2: FloatArray
    adder_bits: FloatArray
    float_multipliers: FloatArray
    float_adders: FloatArray
    clocked_bits: FloatArray
    stored_bits: FloatArray

    @classmethod
    def of(cls, work: Workload) -> "_Units":
        integer = ~work.floating
        small = work.activation_bits * (work.activations + work.pooled * np.maximum(work.pool_size - 1, 0))
        return cls(
            multiplier_bits2=_behind_input(0, work.bops * integer),
            adder_bits=_behind_input(0, _sum_bits(work) * integer + small),
            float_multipliers=_behind_input(0, work.macs * work.floating),
            float_adders=_behind_input(0, work.macs * work.floating),
            clocked_bits=_behind_input(
                work.inputs * work.network_input_bits, work.outputs * work.activation_bits
            ),
            stored_bits=_behind_input(0, work.parameter_bits),
        )


def _sum_bits(work: Workload) -> NDArray[np.int64]:
    """Adder bits of the sums, ``(n, m)``: balanced trees that grow one bit a level, and the bias.

    A tree of ``f`` products of ``p`` bits has ``f / 2**l`` adders of ``p + l`` bits at level ``l``, together
    ``(f - 1) (p + 2) - log2 f`` bits; a logarithm that is not whole is rounded up. The bias is added at the
    width of the accumulator.
    """
    additions = np.maximum(work.fan_in - 1, 0)
    levels = np.frexp(additions)[1]
    tree = additions * (work.weight_bits + work.input_bits + 2) - levels
    bits: NDArray[np.int64] = work.sums * (tree + work.accumulator_bits)
    return bits


def _stages(work: Workload, technology: Technology, clock_mhz: float) -> dict[str, FloatArray]:
    """Costs that add up, each ``(n, 1 + m)``: of the input's registers, then of each layer."""
    units = _Units.of(work)
    area_um2 = _area_um2(units, technology)
    switched_nj = _switched_pj(units, technology) * 1e-3
    leakage_mw = (units.clocked_bits + units.stored_bits) * technology.register_leakage
    inferences_mhz = clock_mhz / INITIATION_INTERVAL
    power_mw = switched_nj * inferences_mhz + leakage_mw
    return {
        "operations": _behind_input(0, work.operations),
        "macs": _behind_input(0, work.macs),
        "parameters": _behind_input(0, work.weights + work.biases),
        "weight_bits": _behind_input(0, work.parameter_bits),
        "bops": _behind_input(0, work.bops),
        "area_um2": area_um2,
        "power_mw": power_mw,
        "dynamic_mw": switched_nj * inferences_mhz,
        "leakage_mw": leakage_mw,
        "energy_nj": power_mw / inferences_mhz,
    }


def _totals(stages: Costs, work: Workload, device: Device) -> Costs:
    """Costs of whole networks, ``(n,)``, from those of their stages."""
    cycles = work.present.sum(axis=1).astype(np.float64)
    return {
        **{name: _sum_in_order(values) for name, values in stages.items()},
        "latency_cycles": cycles,
        "latency_ns": cycles * 1e3 / device.clock_mhz,
        "initiation_interval": np.full(len(work), float(INITIATION_INTERVAL)),
    }


def _area_um2(units: _Units, technology: Technology) -> FloatArray:
    return (
        units.multiplier_bits2 * technology.multiplier_area
        + units.adder_bits * technology.adder_area
        + units.float_multipliers * technology.float_multiplier_area
        + units.float_adders * technology.float_adder_area
        + (units.clocked_bits + units.stored_bits) * technology.register_area
    )


def _switched_pj(units: _Units, technology: Technology) -> FloatArray:
    """Energy of one inference; weight registers do not switch."""
    return (
        units.multiplier_bits2 * technology.multiplier_energy
        + units.adder_bits * technology.adder_energy
        + units.float_multipliers * technology.float_multiplier_energy
        + units.float_adders * technology.float_adder_energy
        + units.clocked_bits * technology.register_energy
    )


def _sum_in_order(stages: FloatArray) -> FloatArray:
    """Sum over stages, one after another, so that a layer that is not there changes no bit of it."""
    return np.cumsum(stages, axis=1)[:, -1]


def _behind_input(of_input: int | NDArray[np.int64], of_layers: NDArray[np.int64] | FloatArray) -> FloatArray:
    """Column of the input, then those of the layers: ``(n, m)`` to ``(n, 1 + m)``."""
    columns = np.empty((of_layers.shape[0], 1 + of_layers.shape[1]))
    columns[:, 0], columns[:, 1:] = of_input, of_layers
    return columns


def _covers(technology: Technology) -> str:
    return (
        f"fully parallel datapath with weights in registers, {technology.name} at {technology.supply_v} V: "
        "multipliers, adder trees, bias, activation, pooling, pipeline and weight registers, leakage of "
        "registers. Not: triplication, layout, pads, weight loading (I2C), converter and normaliser, clock "
        "tree, glitches, leakage of logic. Not calibrated: sources differ by a factor of "
        f"{technology.energy_spread:g} in energy and {technology.area_spread:g} in area. "
        f"Sources: {'; '.join(technology.sources)}."
    )
