"""From amounts of units to area, energy, power: what the ASIC models share."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError, UnsupportedLayerError
from codesign.hardware import Costs, Device, HardwareEstimate, Resources, Target, Workload
from codesign.hardware.estimate import SWITCHED, Basis
from codesign.network import Network
from hardware_models.technology import Technology

__all__ = [
    "AMOUNTS",
    "PREDICTS",
    "SWITCHES",
    "Activity",
    "copies",
    "costs",
    "estimate",
    "origin",
    "require_frames",
    "require_unfolded",
    "settled",
    "switched",
    "totals",
]

FloatArray = NDArray[np.float64]
Amounts = Mapping[str, FloatArray]

AMOUNTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "gate_bits": "gate",
        "adder_bits": "adder",
        "increment_bits": "increment",
        "constant_bits": "increment",
        "rounding_bits": "increment",
        "maximum_bits": "maximum",
        "voter_bits": "voter",
        "register_bits": "register",
        "stored_bits": "register",
        "stored_voter_bits": "voter",
        "load_bits": "load",
        "words": "decoder",
        "float_multipliers": "float_multiplier",
        "float_adders": "float_adder",
    }
)
"""What designs are made of, and the unit of the technology that each is an amount of. What is stored holds
still: ``stored_bits`` are clocked but keep their data, their voters, selectors and decoders do not switch."""

STILL: Final = frozenset({"stored_bits", "stored_voter_bits", "load_bits", "words"})
SWITCHING: Final = (
    *("adder_bits", "increment_bits", "constant_bits", "rounding_bits"),
    *("gate_bits", "maximum_bits", "register_bits"),
)

SWITCHES: Final = (
    "Power of what trained networks of the ECON-T study change on its inputs (prior).",
    "Power of what the given inputs change.",
)
"""What an estimate says of its activity: not known, known."""

COUNTED: Final = ("operations", "macs", "parameters", "weight_bits", "bops", "output_bits")
ADDITIVE: Final = (*COUNTED, "area_um2", "power_mw", "dynamic_mw", "leakage_mw", "energy_nj")
PREDICTS: Final = (
    *ADDITIVE,
    "critical_path_ns",
    "latency_cycles",
    "latency_ns",
    "initiation_interval",
)
"""What the ASIC models predict."""


def require_unfolded(work: Workload, model: str) -> None:
    """Raise ``UnsupportedLayerError`` that names a folded layer."""
    shared = (work.pe < work.units) | (work.simd < work.fan_in)
    for row in np.flatnonzero(work.folded)[:1]:
        name = next(name for name, is_shared in zip(work.names, shared[row], strict=True) if is_shared)
        raise UnsupportedLayerError(
            f"layer {name!r} is folded; the model {model!r} has hardware for every product: price "
            "codesign.hardware.folding.unfolded(network)"
        )


def origin(technology: Technology) -> str:
    """Where the numbers are from, and by how much sources differ for the same unit, in words."""
    differ = (
        f"Sources differ by a factor of {technology.energy_spread:g} in energy and "
        f"{technology.area_spread:g} in area. "
        if max(technology.energy_spread, technology.area_spread) > 1
        else ""
    )
    return f"{differ}Sources: {'; '.join(technology.sources)}."


def copies(device: Device, *redundancies: str) -> int:
    """Copies of a register that these redundancies triplicate: 3 or 1."""
    return 3 if device.redundancy in redundancies else 1


@dataclass(frozen=True, slots=True, eq=False)
class Activity:
    """How much changes from inference to inference, over what changes of random words.

    Parameters
    ----------
    sums
        Bits of the sums of each layer, ``(n, m)``.
    gates
        Bits that gates give out, ``(n, m)``.
    outputs
        Bits of its outputs, ``(n, m)``.
    """

    sums: FloatArray
    gates: FloatArray
    outputs: FloatArray

    def of(self, name: str) -> FloatArray:
        """Of an amount, ``(n, m)``."""
        return {"gate_bits": self.gates, "maximum_bits": self.outputs}.get(name, self.sums)


def switched(amounts: Amounts, activity: Activity) -> dict[str, FloatArray]:
    """Features of dynamic power: amounts by how much of them changes, and what the clock moves."""
    found = {f"{SWITCHED}{name}": amounts[name] * activity.of(name) for name in SWITCHING}
    return {**found, f"{SWITCHED}clock_bits": amounts["register_bits"] + amounts["stored_bits"]}


def require_frames(inputs: NDArray[Any] | None) -> None:
    """Raise ``ConfigError`` for inputs of which none follows another."""
    if inputs is not None and len(inputs) < 2:
        raise ConfigError(
            f"what changes is seen from one input to the next: give 2 inputs or more, got {len(inputs)}"
        )


def costs(
    work: Workload,
    amounts: Amounts,
    technology: Technology,
    device: Device,
    activity: Activity,
) -> Costs:
    """Costs that add up, each ``(n, m)``: those of every layer.

    Parameters
    ----------
    work
        Of ``n`` networks with up to ``m`` layers.
    amounts
        ``AMOUNTS`` of each layer, ``(n, m)``.
    technology, device
        What a unit costs, and the clock: each network has an inference every cycle.
    activity
        How much changes.
    """
    _require_priced(amounts, technology)
    area = {name: values * getattr(technology, f"{AMOUNTS[name]}_area") for name, values in amounts.items()}
    area_um2 = sum(area.values(), np.zeros(work.sums.shape))
    registers = amounts["register_bits"] + amounts["stored_bits"]
    logic_um2 = area_um2 - registers * technology.register_area
    switched_pj = sum(
        (
            values * _energy(name, technology, activity)
            for name, values in amounts.items()
            if name not in STILL
        ),
        amounts["stored_bits"] * technology.register_clock_energy,
    )
    leakage_mw = registers * technology.register_leakage + logic_um2 * technology.logic_leakage
    dynamic_mw = switched_pj * 1e-3 * device.clock_mhz
    power_mw = dynamic_mw + leakage_mw
    return {
        "operations": work.operations.astype(np.float64),
        "macs": work.macs.astype(np.float64),
        "parameters": (work.weights + work.biases).astype(np.float64),
        "weight_bits": work.parameter_bits.astype(np.float64),
        "bops": work.bops.astype(np.float64),
        "output_bits": work.output_bits.astype(np.float64),
        "area_um2": area_um2,
        "power_mw": power_mw,
        "dynamic_mw": dynamic_mw,
        "leakage_mw": leakage_mw,
        "energy_nj": power_mw / device.clock_mhz,
    }


def _energy(name: str, technology: Technology, activity: Activity) -> FloatArray:
    """Of a unit an inference, in pJ: a register takes the part of its clock whatever changes."""
    energy: float = getattr(technology, f"{AMOUNTS[name]}_energy")
    still = technology.register_clock_energy if name == "register_bits" else 0.0
    return still + activity.of(name) * max(energy - still, 0.0)


def _require_priced(amounts: Amounts, technology: Technology) -> None:
    if not technology.has_float and (amounts["float_multipliers"] > 0).any():
        raise ConfigError(
            f"the technology {technology.name!r} has no floating-point units; quantise the network, or take "
            "a technology that has them (asic-45nm, asic-65nm)"
        )


def settled(
    layers: Costs, cycles: FloatArray, critical_path_ns: FloatArray, delay_ns: FloatArray, device: Device
) -> Costs:
    """Costs of whole networks, ``(n,)``.

    Parameters
    ----------
    layers
        As ``costs`` gives them.
    cycles
        Register stages, ``(n,)``.
    critical_path_ns
        Longest path between registers, or from input to output, ``(n,)``.
    delay_ns
        From input to output without registers, ``(n,)``: the latency of a combinational design.
    device
        Clock.
    """
    clocked = cycles * device.period_ns
    return {
        **totals(layers),
        "critical_path_ns": critical_path_ns,
        "latency_cycles": cycles,
        "latency_ns": np.where(cycles > 0, clocked, delay_ns),
        "initiation_interval": np.ones(len(cycles)),
    }


def totals(layers: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Sums over layers, one after another, so that a layer that is not there changes no bit of them."""
    return {
        name: np.cumsum(values, axis=1)[:, -1] if values.shape[1] else np.zeros(len(values))
        for name, values in layers.items()
    }


def estimate(
    network: Network,
    device: Device,
    *,
    model: str,
    basis: Basis,
    names: tuple[str, ...],
    layers: Costs,
    whole: Costs,
    features: Costs,
    technology: Technology,
    covers: str,
) -> HardwareEstimate:
    """The estimate of one network from the costs of its layers ``(1, m)`` and of the whole ``(1,)``."""
    total = {name: values.item() for name, values in whole.items()}
    return HardwareEstimate(
        operations=int(total["operations"]),
        macs=int(total["macs"]),
        parameters=int(total["parameters"]),
        weight_bits=int(total["weight_bits"]),
        bops=int(total["bops"]),
        output_bits=int(total["output_bits"]),
        resources=Resources(area_um2=total["area_um2"]),
        power_mw=total["power_mw"],
        dynamic_mw=total["dynamic_mw"],
        leakage_mw=total["leakage_mw"],
        energy_nj=total["energy_nj"],
        critical_path_ns=total["critical_path_ns"],
        latency_cycles=int(total["latency_cycles"]),
        latency_ns=total["latency_ns"],
        initiation_interval=int(total["initiation_interval"]),
        target=Target.of(network, device, library=technology.library),
        model=model,
        basis=basis,
        features={name: values.item() for name, values in features.items()},
        by_layer={
            layer: {name: values[0, index].item() for name, values in layers.items()}
            for index, layer in enumerate(names)
        },
        covers=covers,
    )
