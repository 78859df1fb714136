"""Analytic cost of a folded stream of layers on an FPGA, as FINN builds it.

A frame flows through the layers pixel by pixel; each layer has ``pe * simd`` multipliers that it shares over
time. The slowest node sets the initiation interval. Cycles are those of FINN's register-transfer library, DSP
blocks those that its matrix products instantiate. Equations, sources, limits and measured errors:
``docs/models/fpga-streaming.md``.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError, UnsupportedLayerError
from codesign.hardware import Costs, Device, HardwareEstimate, Workload
from codesign.network import Conv, Network
from hardware_models import fpga
from hardware_models.technology.finn import Library
from hardware_models.technology.finn import load as load_library
from hardware_models.technology.fpga import Family, load

__all__ = ["StreamingModel"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

LEAST_INTERVAL = 64
DEEPEST_FIFO, SHALLOWEST_FIFO = 512, 2
SHIFT_DEPTH, NARROW_SHIFT_DEPTH, NARROW_BITS, LUTRAM_DEPTH, THIN_BITS = 33, 64, 12, 257, 5
"""Depths and widths at which FINN's ``fifo.sv`` changes from shift registers to LUT memory to block RAM."""
THRESHOLD_PIPELINE, PRODUCT_PIPELINE, OUTPUT_QUEUE, REPLAY = 3, 4, 2, 2


@final
@dataclass(frozen=True, slots=True)
class StreamingModel:
    """Interval, latency and resources of FINN's dataflow, from shapes, widths and folding.

    A layer that is not folded gets the folding with which ``codesign export --to finn`` builds it: the fewest
    multipliers that keep up with the stream.
    """

    name: ClassVar[str] = "fpga-streaming"
    needs_weights: ClassVar[bool] = False
    predicts: ClassVar[tuple[str, ...]] = fpga.PREDICTS

    def price(self, workload: Workload, device: Device) -> Costs:
        """Costs of many networks at once: the names of ``predicts`` to arrays of shape ``(n,)``.

        Raises
        ------
        ConfigError
            For a device that is not of AMD, or triplicates.
        UnsupportedLayerError
            For a layer in float, or a convolution without "same" padding.
        """
        return _Stream.of(workload, device).priced(device)[1]

    def features(self, workload: Workload, device: Device) -> Costs:
        """Amounts of what the nodes are made of, each of shape ``(n,)``."""
        stream = _Stream.of(workload, device)
        return {name: fpga.sums(values) for name, values in stream.amounts().items()}

    def estimate(self, network: Network, device: Device) -> HardwareEstimate:
        """Cost of one network, of the folding that FINN gets; ``by_layer`` has the cycles of each layer.

        Raises
        ------
        ConfigError, UnsupportedLayerError
            As ``price``; and for a layer that FINN cannot stream.
        """
        _require_same_padding(network)
        stream = _Stream.of(Workload.of([network]), device)
        layers, whole = stream.priced(device)
        work = stream.work
        return fpga.estimate(
            network,
            device,
            model=self.name,
            basis="widths",
            names=work.names,
            layers={**layers, "cycles": stream.cycles().astype(np.float64)},
            whole=whole,
            features={name: fpga.sums(values) for name, values in stream.amounts().items()},
            covers=_covers(stream.family, stream.library),
            folding={
                name: (int(stream.pe[0, index]), int(stream.simd[0, index]))
                for index, name in enumerate(work.names)
            },
        )


def _require_same_padding(network: Network) -> None:
    for layer in network.chip.layers:
        if isinstance(layer, Conv) and not layer.plain:
            raise UnsupportedLayerError(
                f"layer {layer.name!r} has its own padding or groups, which 'fpga-streaming' cannot price; "
                "give it \"same\" padding and one group"
            )


def _require_covered(device: Device, family: Family) -> None:
    if family.vendor != "amd":
        raise ConfigError(
            f"the model 'fpga-streaming' prices FINN's nodes, which need the DSP blocks of AMD; the technology "
            f"{family.name!r} is of {family.vendor}: choose xc7 or xcup"
        )
    if device.redundancy != "none":
        raise ConfigError(
            f"the model 'fpga-streaming' prices no redundancy, got {device.redundancy!r}: FINN triplicates "
            "nothing"
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Stream:
    """Nodes of the layers; arrays of shape ``(n, m)``, zero or one where a layer does not exist.

    ``pe``, ``simd`` as built; ``top``, ``left`` zeros in front of the image, ``high``, ``wide`` its size with
    zeros, ``across`` output columns; ``windowed`` layers have a generator of windows, ``whole`` ones whose
    windows come in one word; ``source`` the first layer; ``lanes_in`` values a word of the stream brings.
    """

    work: Workload
    family: Family
    library: Library
    pe: IntArray
    simd: IntArray
    top: IntArray
    left: IntArray
    high: IntArray
    wide: IntArray
    across: IntArray
    windowed: BoolArray
    whole: BoolArray
    source: BoolArray
    lanes_in: IntArray

    @classmethod
    def of(cls, work: Workload, device: Device) -> "_Stream":
        family = load(device.technology)
        _require_covered(device, family)
        fpga.require_integer(work, StreamingModel.name)
        stride, here = np.maximum(work.stride, 1), work.present
        down, across = -(-work.height // stride), -(-work.width // stride)
        if (here & (down * across != work.pixels)).any():
            raise UnsupportedLayerError(
                "a convolution has other than \"same\" padding, which 'fpga-streaming' cannot price"
            )
        high, top = _padded(work.height, down, stride, work.kernel)
        wide, left = _padded(work.width, across, stride, work.kernel)
        windowed = here & ((work.kernel > 1) | (stride > 1))
        pe, simd = _folding(work, np.where(windowed, high * wide, 0))
        products = work.pixels * (work.units // pe) * (work.fan_in // simd)
        first = (work.kernel - 1) * wide + work.kernel
        whole = windowed & (work.kernel > 1) & (work.pixels * work.kernel**2 + first > products)
        source = here & (np.cumsum(here, axis=1) == 1)
        return cls(
            work, family, load_library(), pe, simd, top, left, high, wide, across, windowed, whole, source,
            np.where(source, np.where(windowed, work.channels, simd), _behind_previous(pe, here)),
        )  # fmt: skip

    @property
    def here(self) -> BoolArray:
        return self.work.present

    @property
    def reuse(self) -> tuple[IntArray, IntArray]:
        """Words of a sum, and groups of units."""
        return self.work.fan_in // self.simd, self.work.units // self.pe

    @property
    def padded(self) -> BoolArray:
        return self.windowed & (self.high * self.wide > self.work.height * self.work.width)

    @property
    def words(self) -> IntArray:
        """Pixels of the padded image."""
        return self.high * self.wide

    @property
    def window_end(self) -> tuple[IntArray, IntArray]:
        """Words at which the first and the last window are complete, counted from 0."""
        kernel, stride = self.work.kernel, self.work.stride
        rows = self.work.pixels // np.maximum(self.across, 1)
        first = (kernel - 1) * self.wide + kernel - 1
        last = first + (rows - 1) * stride * self.wide + (self.across - 1) * stride
        return first, last

    @property
    def pool_pixels(self) -> IntArray:
        return self.work.pooled // np.maximum(self.work.units, 1)

    def cycles(self) -> IntArray:
        """Cycles of a frame in the slowest node of each layer, ``(n, m)``."""
        work, (sums, groups) = self.work, self.reuse
        products = work.pixels * sums * groups
        first, last = self.window_end
        whole = self.words + (last == self.words - 1)
        rows = work.pixels // np.maximum(self.across, 1)
        in_parts = first + 1 + rows * np.maximum(self.across * work.kernel**2, work.stride * self.wide)
        window = np.where(self.whole, whole, np.where(work.kernel > 1, in_parts, self.words))
        pooling = np.where(work.pooled > 0, work.pixels + self.pool_pixels, 0)
        slowest = np.maximum(products, np.where(self.windowed, window, 0))
        return np.where(self.here, np.maximum(slowest, pooling), 0)

    def latency(self) -> FloatArray:
        """Cycles from the first word taken to the last one given, of the first frame, ``(n,)``."""
        clock = _Clock.at_start(len(self.work))
        for layer in range(self.work.sums.shape[1]):
            clock = clock.behind(self, layer)
        return np.where(self.here.any(axis=1), np.rint(clock.last + 1), 0.0)

    def priced(self, device: Device) -> tuple[dict[str, FloatArray], Costs]:
        """Costs of layers and of whole networks."""
        interval = np.maximum(self.cycles().max(axis=1, initial=0), 1).astype(np.float64)
        return fpga.priced(
            self.work,
            self.resources(),
            device,
            latency_cycles=self.latency(),
            initiation_interval=interval,
        )

    def amounts(self) -> dict[str, FloatArray]:
        """What the nodes are made of, each ``(n, m)``."""
        parts = {**_products(self), **_weights(self), **_thresholds(self), **_windows(self), **_fifos(self)}
        return {name: np.where(self.here, values, 0).astype(np.float64) for name, values in parts.items()}

    def resources(self) -> dict[str, FloatArray]:
        """LUTs, flip-flops, DSP blocks and block RAMs of each layer, ``(n, m)``."""
        amounts, library = self.amounts(), self.library
        return {
            "lut": _weighted(amounts, library.lut),
            "ff": _weighted(amounts, library.ff),
            "dsp": amounts["dsp"],
            "bram_18k": amounts["weight_brams"] + amounts["fifo_brams"],
        }


def _weighted(amounts: dict[str, FloatArray], each: dict[str, float]) -> FloatArray:
    total = np.zeros_like(next(iter(amounts.values())))
    for name, cost in each.items():
        total = total + cost * amounts[name]
    return total
