"""Analytic cost of a fully parallel ASIC with reloadable weights.

What is counted is what the exported Verilog holds: a multiplier for every product on the image, an addition
for each of them, bias, activation, pooling, a register in front of each layer but the first and behind the
last, and every weight in registers that an address selects. An inference starts each clock cycle. Equations,
sources and limits: ``docs/models/asic.md``.
"""

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final, Self, final

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError
from codesign.hardware import Costs, Device, HardwareEstimate, Workload
from codesign.network import Conv, Dense, Network
from hardware_models.adders import toggles
from hardware_models.needs import needed
from hardware_models.switching import expected
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

__all__ = ["AsicModel", "activity_of"]

FloatArray = NDArray[np.float64]
HALF: Final = 0.5
COMPRESSION: Final = 1.5
"""Rows that a level of full adders takes, over those that it gives."""
RANDOM_GATE: Final = 0.75
"""Changes of an AND of two random bits, over those of one of them: 3/8 over 1/2."""
NEAR_INPUTS: Final = 0.6
"""Weight of the inputs in the geometric mean of what changes at both ends of a sum: most adders are next to
the products. Of 0.3, 0.4, ..., 0.7 the best on the 23 syntheses in sky130hd that fits may see."""


@final
@dataclass(frozen=True, slots=True)
class AsicModel:
    """Area, power, critical path and latency of a fully parallel ASIC whose weights can be reloaded.

    Parameters
    ----------
    inputs
        Real inputs in the order in which they come, ``(frames, *input_shape)``, some hundreds: the power of a
        fitted network is then of what they change with its weights. Without them, and before a fit, of what
        trained networks change (``switching``).
    """

    inputs: NDArray[Any] | None = field(default=None, repr=False, compare=False)
    name: ClassVar[str] = "asic"
    predicts: ClassVar[tuple[str, ...]] = PREDICTS

    @property
    def needs_weights(self) -> bool:
        """Only with inputs: what these change is seen once the weights are known."""
        return self.inputs is not None

    def with_inputs(self, inputs: NDArray[Any]) -> Self:
        """The same with inputs to count changes of."""
        return replace(self, inputs=inputs)

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
        layers = costs(workload, _amounts(workload, device), technology, device, expected(workload, device))
        return _whole(layers, workload, device)

    def features(self, workload: Workload, device: Device) -> Costs:
        """Amounts of units, each of shape ``(n,)``, by the names of ``units.AMOUNTS``; the critical path."""
        _require_covered(workload, device)
        return _features(workload, device, expected(workload, device))

    def estimate(self, network: Network, device: Device) -> HardwareEstimate:
        """Cost of one network; raise ``UnsupportedLayerError`` for a layer it cannot price."""
        workload = Workload.of([network])
        _require_covered(workload, device)
        technology, inputs = load(device.technology), self.inputs if network.chip.fitted else None
        seen = inputs is not None
        activity = expected(workload, device) if inputs is None else activity_of(network.chip, inputs)
        layers = costs(workload, _amounts(workload, device), technology, device, activity)
        return estimate(
            network,
            device,
            model=self.name,
            basis="activity" if seen else "widths",
            names=workload.names,
            layers=layers,
            whole=_whole(layers, workload, device),
            features=_features(workload, device, activity),
            technology=technology,
            covers=_covers(technology, device, seen),
        )

    def __post_init__(self) -> None:
        """Reject inputs of which none follows another."""
        require_frames(self.inputs)


def _features(work: Workload, device: Device, activity: Activity) -> Costs:
    amounts = _amounts(work, device)
    return {
        **totals(amounts),
        **totals(switched(amounts, activity)),
        "critical_path_ns": _critical_path_ns(work, load(device.technology), device),
    }


def activity_of(chip: Network, inputs: NDArray[Any]) -> Activity:
    """How much changes in each layer with weights that hold still.

    A gate of a product changes with its input where the bit of its weight is set; a sum between its inputs
    and what it comes to; activation and pooling with the outputs.
    """
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
    given, come_to, given_out = (
        np.array([[edges[index] for index in which]]) for which in (at, [index + 1 for index in at], behind)
    )
    set_bits = np.array([[_set_bits(chip, index) for index in at]])
    work = needed(Workload.of([chip]))
    gates = _gates(work, given * set_bits / RANDOM_GATE, given_out)
    return Activity(given**NEAR_INPUTS * come_to ** (1 - NEAR_INPUTS), gates, given_out)


def _set_bits(chip: Network, index: int) -> float:
    """Share of the bits of a layer's weights that are set; of a layer in float, as of random words."""
    layer = chip.layers[index]
    assert isinstance(layer, Conv | Dense)
    if layer.weight is None:
        return RANDOM_GATE
    codes = chip.weights[f"{layer.name}.weight"].astype(np.int64)
    return float(np.mean([(codes >> place & 1).mean() for place in range(layer.weight.width)]))


def _gates(work: Workload, products: FloatArray, activations: FloatArray) -> FloatArray:
    """Shares of what gates change, ``(n, m)``, of those of products and of activations together."""
    bits = work.products * work.weight_bits * work.input_bits
    others = work.activations * _kept_bits(work)
    mean: FloatArray = (products * bits + activations * others) / np.maximum(bits + others, 1)
    return mean


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
        "increment_bits": products * np.minimum(work.weight_bits, work.input_bits),
        "constant_bits": np.zeros(work.sums.shape),
        "rounding_bits": activations * work.activation_bits,
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


def _covers(technology: Technology, device: Device, seen: bool) -> str:
    voters = (
        "load selectors and decoders"
        if device.redundancy == "none"
        else "load selectors, decoders and voters"
    )
    return (
        f"fully parallel datapath with weights in registers, {technology.name} at {technology.supply_v} V, "
        f"redundancy {device.redundancy}: products and their sums, bias, activation, pooling, pipeline and "
        f"weight registers, their {voters}, leakage. "
        f"{SWITCHES[seen]} Not: layout, wires and their load, clock tree, pads, the "
        "interface that loads (I2C), converter and normaliser, glitches. "
        f"{origin(technology)}"
    )
