"""Analytic cost of fully parallel logic on an FPGA, and of layers whose multipliers are reused.

Two forms of one design: the RTL of ``codesign export --to rtl``, and hls4ml's projects with their reuse
factors. A layer that is not folded has a multiplier for every product. Equations, sources, limits and
measured errors: ``docs/models/fpga-unrolled.md``.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError
from codesign.hardware import Costs, Device, HardwareEstimate, Target, Workload
from codesign.hardware.estimate import Basis
from codesign.network import Network
from hardware_models import fpga
from hardware_models.constant_logic import ConstantLogic
from hardware_models.technology.fpga import Family, load

__all__ = ["UnrolledModel", "exported"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@final
@dataclass(frozen=True, slots=True)
class UnrolledModel:
    """LUTs, flip-flops, DSP blocks, block RAMs and cycles of parallel logic, from widths and reuse factors.

    Constant weights of a fitted network are counted where no layer is folded; others have a prior.

    Parameters
    ----------
    exported
        Whether adders, flip-flops and cycles of counted weights are those of the adder graph that the export
        writes: about a second a network, and da4ml has to be there. Otherwise those of our own graph.
    """

    exported: bool = False
    needs_weights: ClassVar[bool] = True
    predicts: ClassVar[tuple[str, ...]] = fpga.PREDICTS

    @property
    def name(self) -> str:
        """``fpga-unrolled``, or ``fpga-unrolled-exported``."""
        return f"fpga-unrolled{'-exported' * self.exported}"

    def price(self, workload: Workload, device: Device) -> Costs:
        """Costs of many networks at once: the names of ``predicts`` to arrays of shape ``(n,)``.

        Raises
        ------
        ConfigError
            For redundancy without registers, and for folded layers that are triplicated or combinational.
        UnsupportedLayerError
            For a layer in float.
        """
        return fpga.block_by_block(lambda work: _priced(_Design.of(work, device), device)[1], workload)

    def features(self, workload: Workload, device: Device) -> Costs:
        """Amounts of units, each of shape ``(n,)``."""
        return _Design.of(workload, device).features

    def estimate(self, network: Network, device: Device) -> HardwareEstimate:
        """Cost of one network; raise ``UnsupportedLayerError`` for a layer it cannot price.

        Constant weights are counted where the network is fitted and no layer is folded; ``exported`` raises
        ``MissingToolError`` there without da4ml.
        """
        work, constant = Workload.of([network]), device.weights == "constant"
        known = constant and network.chip.fitted and not work.folded.any()
        asked: Basis = "export" if self.exported else "weights"
        design = _Design.of(work, device, network.chip if known else None, exported=self.exported)
        layers, whole = _priced(design, device)
        return fpga.estimate(
            network,
            device,
            model=self.name,
            basis=asked if known else "prior" if constant else "widths",
            names=work.names,
            layers=layers,
            whole=whole,
            features=design.features,
            covers=_covers(load(device.technology), device, known=known),
            folding=Target.of(network, device).folding or {},
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Design:
    """Amounts of every layer, each ``(n, m)``, and cycles of each layer and of whole networks."""

    work: Workload
    amounts: dict[str, FloatArray]
    cycles: IntArray
    latency: FloatArray

    @classmethod
    def of(
        cls, work: Workload, device: Device, chip: Network | None = None, *, exported: bool = False
    ) -> "_Design":
        """What is built; the constant weights are those of ``chip``, or as trained ones are expected."""
        _require_covered(work, device)
        if device.weights == "constant" and not work.folded.any():
            if chip is None:
                return cls._of_adders(work, device, ConstantLogic.expected(work, device))
            return cls._of_adders(work, device, ConstantLogic.counted(work, device, chip, exported=exported))
        serial, cycles = _serial(work), _cycles(work)
        parts = {
            **_multipliers(work, serial, load(device.technology), constant=device.weights == "constant"),
            **_activations(work, serial),
            **_registers(work, serial, device),
            "weight_brams": np.where(serial, _weight_brams(work), 0),
        }
        if device.weights == "constant":
            parts |= _expected(work, serial, device)
        latency = (cycles + serial).sum(axis=1) * float(device.pipelined)
        return cls(work, _present(work, parts), cycles, latency)

    @classmethod
    def _of_adders(cls, work: Workload, device: Device, logic: ConstantLogic) -> "_Design":
        amounts = {name: np.zeros(work.sums.shape) for name in AMOUNTS}
        amounts |= {
            "constant_bits": logic.amounts["adder_bits"],
            "increment_bits": logic.amounts["increment_bits"],
            "gate_bits": logic.amounts["gate_bits"],
            "pooling_bits": logic.amounts["maximum_bits"],
            "register_bits": logic.amounts["register_bits"],
            "voter_bits": logic.amounts["voter_bits"],
        }
        return cls(work, amounts, work.present.astype(np.int64), logic.cycles(device))

    @property
    def features(self) -> Costs:
        """Amounts of whole networks, ``(n,)``."""
        return {name: fpga.sums(values) for name, values in self.amounts.items()}


def _present(work: Workload, parts: dict[str, NDArray[Any]]) -> dict[str, FloatArray]:
    return {name: np.where(work.present, parts[name], 0).astype(np.float64) for name in AMOUNTS}


def _serial(work: Workload) -> BoolArray:
    """Layers that share multipliers, ``(n, m)``."""
    shared: BoolArray = (work.pe < work.units) | (work.simd < work.fan_in)
    return shared


def _cycles(work: Workload) -> IntArray:
    """Cycles of a frame in each layer: a pixel takes the reuse factor where multipliers are shared."""
    reuse = work.units * work.fan_in // np.maximum(work.pe * work.simd, 1)
    cycles: IntArray = np.where(_serial(work), work.pixels * reuse, 1) * work.present
    return cycles


def _require_covered(work: Workload, device: Device) -> None:
    fpga.require_integer(work, "fpga-unrolled")
    if device.weights == "constant" and (
        device.redundancy == "weights" or (device.redundancy == "all" and not device.pipelined)
    ):
        raise ConfigError(
            f"redundancy {device.redundancy!r} triplicates registers, and these constant weights have none; "
            "choose none, a pipelined design with all, or reloadable weights"
        )
    if work.folded.any() and (device.redundancy != "none" or not device.pipelined):
        raise ConfigError(
            "the model 'fpga-unrolled' prices folded layers as hls4ml builds them: pipelined, without "
            f"redundancy; got pipelined={device.pipelined}, redundancy={device.redundancy!r}"
        )


def _expected(work: Workload, serial: BoolArray, device: Device) -> dict[str, NDArray[Any]]:
    """Constant layers beside folded ones: adders, and gates of rounding and saturation."""
    amounts = ConstantLogic.expected(work, device).amounts
    return {
        "constant_bits": np.where(serial, 0, amounts["adder_bits"]),
        "increment_bits": np.where(serial, 0, amounts["increment_bits"]),
        "gate_bits": np.where(serial, 0, amounts["gate_bits"]),
        "activation_bits": np.where(serial, _activations(work, serial)["activation_bits"], 0),
    }


def _multipliers(
    work: Workload, serial: BoolArray, family: Family, *, constant: bool
) -> dict[str, FloatArray]:
    """Multipliers by where they go: into LUTs, into DSP blocks with adders behind them, or into constants."""
    real = serial | (not constant)
    count = np.where(serial, work.pe * work.simd, work.products)
    sums = np.where(serial, work.pe, work.sums)
    narrow, wide = np.sort([work.weight_bits, work.input_bits], axis=0)
    blocks = real & (narrow >= family.dsp_least_bits)
    tiles = -(-wide // int(family.dsp_wide_bits)) * -(-narrow // int(family.dsp_narrow_bits))
    added = np.where(blocks, np.maximum(count - sums, 0) * work.accumulator_bits, 0)
    return {
        "dsp": np.where(blocks, count * tiles, 0),
        "multiplier_bits2": np.where(real & ~blocks, count * work.weight_bits * work.input_bits, 0),
        **{name: np.zeros(work.sums.shape) for name in ("constant_bits", "increment_bits", "gate_bits")},
        "adder_bits": added + sums * work.accumulator_bits * serial,
    }


def _activations(work: Workload, serial: BoolArray) -> dict[str, IntArray]:
    """Rounding and saturation of each sum at a time, and comparators of poolings."""
    at_once = np.where(serial, np.minimum(work.pe, work.activations), work.activations)
    return {
        "activation_bits": at_once * work.accumulator_bits,
        "pooling_bits": work.pooled * np.maximum(work.pool_size - 1, 0) * work.activation_bits,
    }


def _registers(work: Workload, serial: BoolArray, device: Device) -> dict[str, IntArray]:
    """Registers, their voters, and what loads weights into them."""
    staged = work.outputs * work.activation_bits if device.pipelined else np.zeros_like(work.outputs)
    reloadable = ~serial & (device.weights == "reloadable")
    stored = np.where(reloadable, work.parameter_bits, 0)
    voted = stored * (device.redundancy != "none")
    staged_voted = staged * (device.redundancy == "all")
    return {
        "register_bits": staged
        + 2 * staged_voted
        + stored
        + 2 * voted
        + serial * work.pe * work.accumulator_bits,
        "voter_bits": staged_voted + 2 * voted,
        "words": np.where(reloadable, work.weights + work.biases, 0),
    }


def _weight_brams(work: Workload) -> IntArray:
    """Block RAMs of weights, a word of all multipliers' a cycle."""
    at_once = np.maximum(work.pe * work.simd, 1)
    return fpga.memories(work.weights // at_once, at_once * work.weight_bits)


LUTS: Final = {
    "multiplier_bits2": "product_lut",
    "constant_bits": "constant_lut",
    "increment_bits": "increment_lut",
    "gate_bits": "gate_lut",
    "adder_bits": "adder_lut",
    "activation_bits": "activation_lut",
    "pooling_bits": "pooling_lut",
    "voter_bits": "voter_lut",
    "words": "decoder_lut",
}
"""Amounts that take LUTs, and the unit of the family that each is an amount of."""
AMOUNTS: Final = (*LUTS, "dsp", "register_bits", "weight_brams")


def _priced(design: _Design, device: Device) -> tuple[dict[str, FloatArray], Costs]:
    family, amounts = load(device.technology), design.amounts
    lut = np.zeros(design.work.sums.shape)
    for name, unit in LUTS.items():
        lut = lut + amounts[name] * getattr(family, unit)
    layers = {
        "lut": lut,
        "ff": amounts["register_bits"],
        "dsp": amounts["dsp"],
        "bram_18k": amounts["weight_brams"],
    }
    return fpga.priced(
        design.work,
        layers,
        device,
        latency_cycles=design.latency,
        initiation_interval=np.maximum(design.cycles.max(axis=1, initial=1), 1).astype(np.float64),
    )


def _covers(family: Family, device: Device, *, known: bool) -> str:
    weights = "the network's weights" if known else "weights as trained ones are to be expected (prior)"
    constants = f" Constant weights from {weights}." if device.weights == "constant" else ""
    return (
        f"parallel logic on {family.name}: multipliers or constants, adders, rounding, pooling, weight and "
        "pipeline registers with voters and load port, memories of folded layers. Not: layout, pads, "
        f"routing, control of an HLS tool.{constants} Sources: {'; '.join(family.sources)}."
    )


def exported() -> UnrolledModel:
    """The model with the export's own adder graph."""
    return UnrolledModel(exported=True)
