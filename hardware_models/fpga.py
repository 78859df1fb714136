"""What the FPGA models share: names of the costs, sums over layers, and the estimate of one network."""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from codesign.errors import UnsupportedLayerError
from codesign.hardware import Costs, Device, HardwareEstimate, Resources, Target, Workload
from codesign.hardware.estimate import Basis
from codesign.network import Network

__all__ = ["PREDICTS", "block_by_block", "estimate", "memories", "priced", "require_integer", "sums"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

COUNTED: Final = ("operations", "macs", "parameters", "weight_bits", "bops", "output_bits")
OCCUPIED: Final = ("lut", "ff", "dsp", "bram_18k")
PREDICTS: Final = (*COUNTED, *OCCUPIED, "latency_cycles", "latency_ns", "initiation_interval")
"""What the FPGA models predict."""

BLOCK: Final = 4096
"""Networks that are priced at once."""
BLOCK_SHAPES: Final = ((1, 16384), (2, 8192), (4, 4096), (9, 2048), (18, 1024), (36, 512))
"""Widths and depths of a block RAM of 18 kbit, the same in AMD's 7-series (UG473) and UltraScale (UG573) and,
with a port for each direction, in Lattice's ECP5 (FPGA-TN-02204)."""


def require_integer(work: Workload, model: str) -> None:
    """Raise ``UnsupportedLayerError`` for a network that computes in float."""
    if work.floating.any():
        raise UnsupportedLayerError(
            f"the model {model!r} prices fixed point only; give every layer of the chip its formats"
        )


def block_by_block(costs: Callable[[Workload], Costs], work: Workload) -> Costs:
    """Costs of a workload, a block of its networks after another: what a block needs stays in the cache."""
    parts = [costs(_rows(work, slice(at, at + BLOCK))) for at in range(0, max(len(work), 1), BLOCK)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _rows(work: Workload, rows: slice) -> Workload:
    arrays = {item.name: getattr(work, item.name)[rows] for item in fields(work) if item.name != "names"}
    return replace(work, **arrays)


def memories(depth: IntArray, width: IntArray) -> IntArray:
    """Block RAMs of 18 kbit that hold ``depth`` words of ``width`` bits, in the shape that needs fewest."""
    counts = [-(-depth // deep) * -(-width // wide) for wide, deep in BLOCK_SHAPES]
    fewest: IntArray = np.min(counts, axis=0)
    return fewest


def priced(
    work: Workload,
    layers: Mapping[str, FloatArray],
    device: Device,
    *,
    latency_cycles: FloatArray,
    initiation_interval: FloatArray,
) -> tuple[dict[str, FloatArray], Costs]:
    """Costs of each layer, ``(n, m)``, and of whole networks, ``(n,)``.

    Parameters
    ----------
    work
        What is counted by the study's rule.
    layers
        ``OCCUPIED`` of each layer, ``(n, m)``.
    device
        Clock. Logic without registers has a latency of 0 cycles and settles within one period.
    latency_cycles, initiation_interval
        Of whole networks, ``(n,)``, in cycles.
    """
    counted = {
        "operations": work.operations,
        "macs": work.macs,
        "parameters": work.weights + work.biases,
        "weight_bits": work.parameter_bits,
        "bops": work.bops,
        "output_bits": work.output_bits,
    }
    each = {**{name: values.astype(np.float64) for name, values in counted.items()}, **layers}
    return each, {
        **{name: sums(values) for name, values in each.items()},
        "latency_cycles": latency_cycles,
        "latency_ns": np.maximum(latency_cycles, 1.0) * device.period_ns,
        "initiation_interval": initiation_interval,
    }


def sums(layers: FloatArray) -> FloatArray:
    """Sum over layers, one after another, so that a layer that is not there changes no bit of it."""
    return np.cumsum(layers, axis=1)[:, -1] if layers.shape[1] else np.zeros(len(layers))


def estimate(
    network: Network,
    device: Device,
    *,
    model: str,
    basis: Basis,
    names: tuple[str, ...],
    layers: Mapping[str, FloatArray],
    whole: Costs,
    features: Costs,
    covers: str,
    folding: Mapping[str, tuple[int, int]],
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
        resources=Resources(**{name: total[name] for name in OCCUPIED}),
        latency_cycles=int(total["latency_cycles"]),
        latency_ns=total["latency_ns"],
        initiation_interval=int(total["initiation_interval"]),
        target=replace(Target.of(network, device, part=device.fpga_part), folding=folding),
        model=model,
        basis=basis,
        features={name: values.item() for name, values in features.items()},
        by_layer={
            layer: {name: values[0, index].item() for name, values in layers.items()}
            for index, layer in enumerate(names)
        },
        covers=covers,
    )
