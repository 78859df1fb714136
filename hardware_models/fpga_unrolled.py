"""Analytic cost of fully parallel logic on an FPGA, and of layers whose multipliers are reused.

Two forms of one design: the RTL of ``codesign export --to rtl``, and hls4ml's projects with their reuse
factors. A layer that is not folded has a multiplier for every product. Equations, sources, limits and
measured errors: ``docs/models/fpga-unrolled.md``.
"""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError
from codesign.hardware import Costs, Device, HardwareEstimate, Target, Workload
from codesign.network import Network
from hardware_models import fpga
from hardware_models.needs import needed
from hardware_models.technology.fpga import Family, load

__all__ = ["UnrolledModel"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

SIGN_DIGITS = 1 / 9
"""Of ``w`` bits, ``w / 3 + 1 / 9`` canonical signed digits are not zero, in the mean over all integers."""


@final
@dataclass(frozen=True, slots=True)
class UnrolledModel:
    """LUTs, flip-flops, DSP blocks, block RAMs and cycles of parallel logic, from widths and reuse factors.

    Trained weights are not looked at: constant ones cost what weights of their width do in the mean.
    """

    name: ClassVar[str] = "fpga-unrolled"
    needs_weights: ClassVar[bool] = False
    predicts: ClassVar[tuple[str, ...]] = fpga.PREDICTS

    def price(self, workload: Workload, device: Device) -> Costs:
        """Costs of many networks at once: the names of ``predicts`` to arrays of shape ``(n,)``.

        Raises
        ------
        ConfigError
            For redundancy without registers, and for folded layers that are triplicated or combinational.
        UnsupportedLayerError
            For a layer in float.
        """
        return fpga.block_by_block(lambda work: _priced(work, _amounts(work, device), device)[1], workload)

    def features(self, workload: Workload, device: Device) -> Costs:
        """Amounts of units, each of shape ``(n,)``."""
        return {name: fpga.sums(values) for name, values in _amounts(workload, device).items()}

    def estimate(self, network: Network, device: Device) -> HardwareEstimate:
        """Cost of one network; raise ``UnsupportedLayerError`` for a layer it cannot price."""
        work = Workload.of([network])
        amounts = _amounts(work, device)
        layers, whole = _priced(work, amounts, device)
        return fpga.estimate(
            network,
            device,
            model=self.name,
            basis="prior" if amounts["constant_bits"].any() else "widths",
            names=work.names,
            layers=layers,
            whole=whole,
            features={name: fpga.sums(values) for name, values in amounts.items()},
            covers=_covers(load(device.technology)),
            folding=Target.of(network, device).folding or {},
        )


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
    fpga.require_integer(work, UnrolledModel.name)
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


def _amounts(work: Workload, device: Device) -> dict[str, FloatArray]:
    """What the design is made of, each ``(n, m)``."""
    _require_covered(work, device)
    if device.weights == "constant" and not work.folded.any():
        work = needed(work)  # flat logic: what nothing reads goes
    family, serial = load(device.technology), _serial(work)
    parts = {
        **_multipliers(work, serial, family, constant=device.weights == "constant"),
        **_activations(work, serial),
        **_registers(work, serial, device),
        "weight_brams": np.where(serial, _weight_brams(work), 0),
    }
    return {name: np.where(work.present, values, 0).astype(np.float64) for name, values in parts.items()}


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
    digits = work.weight_bits / 3 + SIGN_DIGITS
    added = np.where(blocks, np.maximum(count - sums, 0) * work.accumulator_bits, 0)
    return {
        "dsp": np.where(blocks, count * tiles, 0),
        "multiplier_bits2": np.where(real & ~blocks, count * work.weight_bits * work.input_bits, 0),
        "constant_bits": np.where(real, 0, count * digits * (work.input_bits + work.weight_bits / 2)),
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


LUTS = {
    "multiplier_bits2": "product_lut",
    "constant_bits": "constant_lut",
    "adder_bits": "adder_lut",
    "activation_bits": "activation_lut",
    "pooling_bits": "pooling_lut",
    "voter_bits": "voter_lut",
    "words": "decoder_lut",
}
"""Amounts that take LUTs, and the unit of the family that each is an amount of."""


def _priced(
    work: Workload, amounts: dict[str, FloatArray], device: Device
) -> tuple[dict[str, FloatArray], Costs]:
    family, cycles = load(device.technology), _cycles(work)
    lut = np.zeros(work.sums.shape)
    for name, unit in LUTS.items():
        lut = lut + amounts[name] * getattr(family, unit)
    layers = {
        "lut": lut,
        "ff": amounts["register_bits"],
        "dsp": amounts["dsp"],
        "bram_18k": amounts["weight_brams"],
    }
    stages = (cycles + _serial(work)).sum(axis=1) * device.pipelined
    return fpga.priced(
        work,
        layers,
        device,
        latency_cycles=stages.astype(np.float64),
        initiation_interval=np.maximum(cycles.max(axis=1, initial=1), 1).astype(np.float64),
    )


def _covers(family: Family) -> str:
    return (
        f"parallel logic on {family.name}: multipliers or constants, adders, rounding, pooling, weight and "
        "pipeline registers with voters and load port, memories of folded layers. Not: layout, pads, "
        "routing, control of an HLS tool. Constant weights by a prior for their width. "
        f"Sources: {'; '.join(family.sources)}."
    )
