"""Analytic cost of a fully parallel ASIC with reloadable weights.

What is counted is what the exported Verilog holds: a multiplier for every product on the image, an addition
for each of them, bias, activation, pooling, a register in front of each layer but the first and behind the
last, and every weight in registers that an address selects. An inference starts each clock cycle. Equations,
sources and limits: ``docs/models/asic.md``.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, final

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError
from codesign.hardware import Costs, Device, HardwareEstimate, Workload
from codesign.network import Network
from hardware_models.adders import toggles
from hardware_models.needs import needed
from hardware_models.technology import Technology, load
from hardware_models.units import (
    PREDICTS,
    SWITCHES,
    Activity,
    copies,
    costs,
    estimate,
    origin,
    require_frames,
    require_unfolded,
    settled,
    switched,
    totals,
)

__all__ = ["AsicModel"]

FloatArray = NDArray[np.float64]
HALF: Final = 0.5
COMPRESSION: Final = 1.5
"""Rows that a level of full adders takes, over those that it gives."""


@final
@dataclass(frozen=True, slots=True)
class AsicModel:
    """Area, power, critical path and latency of a fully parallel ASIC whose weights can be reloaded.

    Parameters
    ----------
    inputs
        Real inputs in the order in which they come, ``(frames, *input_shape)``, some hundreds: the power of a
        fitted network is then of what they change with its weights. Without them of random words everywhere.
    """

    inputs: NDArray[Any] | None = field(default=None, repr=False, compare=False)
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
        """Amounts of units, each of shape ``(n,)``, by the names of ``units.AMOUNTS``; the critical path."""
        _require_covered(workload, device)
        return {
            **totals(_amounts(workload, device)),
            "critical_path_ns": _critical_path_ns(workload, load(device.technology), device),
        }

    def estimate(self, network: Network, device: Device) -> HardwareEstimate:
        """Cost of one network; raise ``UnsupportedLayerError`` for a layer it cannot price."""
        workload = Workload.of([network])
        _require_covered(workload, device)
        technology, amounts = load(device.technology), _amounts(workload, device)
        activity = _activity(network.chip, self.inputs) if network.chip.fitted else None
        layers = costs(workload, amounts, technology, device, activity)
        moved = {} if activity is None else totals(switched(amounts, activity))
        return estimate(
            network,
            device,
            model=self.name,
            basis="widths" if activity is None else "activity",
            names=workload.names,
            layers=layers,
            whole=_whole(layers, workload, device),
            features={**self.features(workload, device), **moved},
            technology=technology,
            covers=_covers(technology, device, activity),
        )

    def __post_init__(self) -> None:
        """Reject inputs of which none follows another."""
        require_frames(self.inputs)


def _activity(chip: Network, inputs: NDArray[Any] | None) -> Activity | None:
    """How much changes in each layer: the geometric mean of its inputs' bits and its sums' bits.

    A product changes with its input, for the weight stands still; sums of many with their own bits.
    """
    if inputs is None:
        return None
    edges = [
        2 * float(toggles(codes.astype(np.int64), (1 << fixed.width) - 1).mean()) / fixed.width
        if fixed
        else 1.0
        for (_, codes), fixed in zip(chip.trace(inputs), chip.formats, strict=True)
    ]
    at = [
        index
        for index, layer in enumerate(chip.layers)
        if "weight" in layer.weight_shapes(chip.shapes[index])
    ]
    behind = [*at[1:], len(chip.layers)]
    sums = [np.sqrt(edges[index] * edges[index + 1]) for index in at]
    return Activity(np.array([sums]), np.array([[edges[index] for index in behind]]))


def _require_covered(work: Workload, device: Device) -> None:
    if device.weights != "reloadable":
        raise ConfigError(
            f"the model 'asic' prices reloadable weights, the device has weights={device.weights!r}; take "
            "the model 'constant', or weights='reloadable'"
        )
    require_unfolded(work, "asic")


def _amounts(work: Workload, device: Device) -> dict[str, FloatArray]:
    """Amounts of units, each ``(n, m)``; see ``units.AMOUNTS``."""
    work, integer, redundancy = needed(work), ~work.floating, device.redundancy
    products, activations = work.products * integer, work.activations * integer
    clocked = work.outputs * work.activation_bits * device.pipelined
    stored = work.parameter_bits
    floats = (work.products * work.floating).astype(np.float64)
    amounts = {
        "gate_bits": products * work.weight_bits * work.input_bits + activations * _kept_bits(work),
        "adder_bits": _full_adders(work) * integer,
        "increment_bits": products * np.minimum(work.weight_bits, work.input_bits)
        + activations * work.activation_bits,
        "maximum_bits": work.pooled * np.maximum(work.pool_size - 1, 0) * work.activation_bits,
        "voter_bits": clocked * (redundancy == "all"),
        "register_bits": clocked * copies(device, "all"),
        "stored_bits": stored * copies(device, "weights", "all"),
        "stored_voter_bits": stored * (redundancy != "none"),
        "load_bits": stored,
        "words": work.weights + work.biases,
        "float_multipliers": floats,
        "float_adders": floats,
    }
    return {name: values.astype(np.float64) for name, values in amounts.items()}


def _full_adders(work: Workload) -> NDArray[np.int64]:
    """Full adders of the sums, ``(n, m)``: each takes three bits and gives two.

    So a sum needs as many as the bits that enter it exceed its own. ``w a`` bits of each product enter, and
    the bias from its lowest place on, which is ``a - 1`` above that of the sum if it has the weights' step.
    Thresholds are compared one by one, in the width of the sum.
    """
    entering: NDArray[np.int64] = work.products * work.weight_bits * work.input_bits
    passing = work.sums * np.maximum(work.input_bits - 1, 0)
    constants = work.biases // np.maximum(work.units, 1)
    compared = work.sums * work.accumulator_bits * np.maximum(constants - 1, 0)
    adders: NDArray[np.int64] = np.maximum(entering - passing, 0) + compared
    return adders


def _kept_bits(work: Workload) -> NDArray[np.int64]:
    """Bits of a sum that decide the activation: the output's own, and those by which the sum may exceed it.

    A sum of ``t`` products is ``ceil(log2 t)`` bits wider than one; another is for the bias, and the sign.
    """
    beyond = work.activation_bits + _levels(work.fan_in) + 1
    kept: NDArray[np.int64] = np.minimum(beyond, work.accumulator_bits)
    return kept


def _levels(values: NDArray[Any]) -> NDArray[np.int64]:
    """Logarithm of base 2, rounded up; 0 for 0."""
    mantissa, exponent = np.frexp(np.maximum(values, 1.0))
    levels: NDArray[np.int64] = exponent.astype(np.int64) - (mantissa == HALF)
    return levels


def _layer_delay_ns(work: Workload, technology: Technology) -> FloatArray:
    """From a layer's input to its output, ``(n, m)``.

    A gate of the product; a tree that turns each three rows into two until two are left (Wallace, IEEE Trans.
    Electronic Computers EC-13, 1964), its rows those of all products of a sum; the carry through the sum and
    through rounding; three gates of the activation; and a comparison for each doubling of what is pooled.
    """
    rows = work.fan_in * np.minimum(work.weight_bits, work.input_bits) + 1
    levels = np.log(np.maximum(rows, 2) / 2) / np.log(COMPRESSION)
    comparisons = _levels(work.pool_size)
    activated = work.activations > 0
    delay: FloatArray = (
        (1 + 3 * activated + comparisons) * technology.gate_delay
        + levels * technology.adder_delay
        + (work.accumulator_bits + activated * work.activation_bits) * technology.carry_delay
        + comparisons * work.activation_bits * technology.carry_delay
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


def _covers(technology: Technology, device: Device, activity: Activity | None) -> str:
    return (
        f"fully parallel datapath with weights in registers, {technology.name} at {technology.supply_v} V, "
        f"redundancy {device.redundancy}: products and their sums, bias, activation, pooling, pipeline and "
        "weight registers, their load selectors, decoders and voters, leakage. "
        f"{SWITCHES[activity is not None]} Not: layout, wires and their load, clock tree, pads, the "
        "interface that loads (I2C), converter and normaliser, glitches. "
        f"{origin(technology)}"
    )
