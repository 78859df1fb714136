"""Analytic cost of a folded stream of layers on an FPGA, as FINN builds it.

A frame flows through the layers pixel by pixel; each layer has ``pe * simd`` multipliers that it shares over
time. The slowest node sets the initiation interval. Cycles are those of FINN's register-transfer library, DSP
blocks those that its matrix products instantiate. Equations, sources, limits and measured errors:
``docs/models/fpga-streaming.md``.
"""

from collections.abc import Mapping
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
FIELD = (1 << 21) - 1
"""Largest fan-in and reuse factor of a layer that fit beside each other in one integer."""
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
        return fpga.block_by_block(lambda work: _Stream.of(work, device).priced(device)[1], workload)

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
                'give it "same" padding and one group'
            )


def _require_covered(device: Device, family: Family) -> None:
    if family.vendor != "amd":
        raise ConfigError(
            "the model 'fpga-streaming' prices FINN's nodes, which need the DSP blocks of AMD; the "
            f"technology {family.name!r} is of {family.vendor}: choose xc7 or xcup"
        )
    if device.redundancy != "none":
        raise ConfigError(
            f"the model 'fpga-streaming' prices no redundancy, got {device.redundancy!r}: FINN triplicates "
            "nothing"
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Stream:
    """Nodes of the layers; arrays of shape ``(n, m)``, zero or one where a layer does not exist.

    ``pe``, ``simd`` as built, ``sums`` and ``groups`` how often each is used for a pixel, ``pixels`` of the
    output, ``pool_pixels`` of what is pooled; ``top``, ``left`` zeros in front of the image, ``high``,
    ``wide`` its size with zeros; ``windowed`` layers have a generator of windows, ``whole`` ones whose
    windows come in one word, the last with the pixel at ``last_row``, ``last_column``; ``source`` the first
    layer; ``lanes_in`` values a word of the stream brings.
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
    windowed: BoolArray
    whole: BoolArray
    source: BoolArray
    lanes_in: IntArray
    sums: IntArray
    groups: IntArray
    pixels: IntArray
    pool_pixels: IntArray
    last_row: IntArray
    last_column: IntArray

    @classmethod
    def of(cls, work: Workload, device: Device) -> "_Stream":
        family = load(device.technology)
        _require_covered(device, family)
        fpga.require_integer(work, StreamingModel.name)
        stride, here, pixels = np.maximum(work.stride, 1), work.present, work.pixels
        down, across = -(-work.height // stride), -(-work.width // stride)
        if (here & (down * across != pixels)).any():
            raise UnsupportedLayerError(
                "a convolution has other than \"same\" padding, which 'fpga-streaming' cannot price"
            )
        high, top = _padded(work.height, down, stride, work.kernel)
        wide, left = _padded(work.width, across, stride, work.kernel)
        windowed = here & ((work.kernel > 1) | (stride > 1))
        pe, simd = _folding(work, pixels, np.where(windowed, high * wide, 0))
        sums, groups = work.fan_in // simd, work.units // pe
        first = (work.kernel - 1) * (wide + 1)
        in_parts = pixels * work.kernel**2 + first + 1 <= pixels * sums * groups
        source = here & (np.cumsum(here, axis=1) == 1)
        return cls(
            work=work,
            family=family,
            library=load_library(),
            pe=pe,
            simd=simd,
            top=top,
            left=left,
            high=high,
            wide=wide,
            windowed=windowed,
            whole=windowed & (work.kernel > 1) & ~in_parts,
            source=source,
            lanes_in=np.where(source, np.where(windowed, work.channels, simd), _behind_previous(pe, here)),
            sums=sums,
            groups=groups,
            pixels=pixels,
            pool_pixels=work.pooled // np.maximum(work.units, 1),
            last_row=_last(work.kernel, stride, down),
            last_column=_last(work.kernel, stride, across),
        )

    @property
    def here(self) -> BoolArray:
        return self.work.present

    @property
    def padded(self) -> BoolArray:
        return self.windowed & (self.high * self.wide > self.work.height * self.work.width)

    @property
    def words(self) -> IntArray:
        """Pixels of the padded image."""
        return self.high * self.wide

    def cycles(self) -> IntArray:
        """Cycles of a frame in the slowest node of each layer, ``(n, m)``."""
        products = self.pixels * self.sums * self.groups
        window = self.words + (self.whole & (self.last_row * self.wide + self.last_column == self.words - 1))
        pooling = np.where(self.work.pooled > 0, self.pixels + self.pool_pixels, 0)
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
        here = self.here.astype(np.float64)
        return {name: values * here for name, values in parts.items()}

    def resources(self) -> dict[str, FloatArray]:
        """LUTs, flip-flops, DSP blocks and block RAMs of each layer, ``(n, m)``."""
        amounts, library = self.amounts(), self.library
        return {
            "lut": _weighted(amounts, library.lut),
            "ff": _weighted(amounts, library.ff),
            "dsp": amounts["dsp"],
            "bram_18k": amounts["weight_brams"] + amounts["fifo_brams"],
        }


def _weighted(amounts: Mapping[str, FloatArray], each: Mapping[str, float]) -> FloatArray:
    total = np.zeros_like(next(iter(amounts.values())))
    for name, cost in each.items():
        total = total + cost * amounts[name]
    return total


def _padded(size: IntArray, made: IntArray, stride: IntArray, kernel: IntArray) -> tuple[IntArray, IntArray]:
    """Size of an axis with its zeros, and those in front ("same" padding)."""
    zeros = np.maximum((made - 1) * stride + kernel - size, 0)
    return size + zeros, zeros // 2


def _last(kernel: IntArray, stride: IntArray, made: IntArray) -> IntArray:
    """Row or column of the padded image with which the last window ends."""
    last: IntArray = kernel - 1 + stride * (made - 1)
    return last


def _behind_previous(values: IntArray, here: BoolArray) -> IntArray:
    """Of each layer, what stands at the one before it; 1 before the first."""
    at = np.where(here, np.arange(1, here.shape[1] + 1), 0)
    last = np.maximum.accumulate(at, axis=1)
    before = np.concatenate([np.zeros((len(at), 1), np.int64), last[:, :-1]], axis=1)
    ahead = np.concatenate([np.ones((len(at), 1), np.int64), values], axis=1)
    found: IntArray = np.take_along_axis(ahead, before, axis=1)
    return found


def _folding(work: Workload, pixels: IntArray, words: IntArray) -> tuple[IntArray, IntArray]:
    """PE and SIMD of each layer as FINN's exporter builds it, ``(n, m)``.

    A layer's own, unless all products of a sum come at a time: its queue would overflow when the next stage
    halts. Then the fewest multipliers that are as fast, or, where no folding is given, that keep up with the
    stream: ``words`` of the longest padded image, and ``LEAST_INTERVAL`` cycles at least.
    """
    here, units, fan_in = work.present, work.units, work.fan_in
    stream = np.where(work.kernel * work.stride > 1, np.maximum(words, pixels), 0)
    longest = np.maximum(stream.max(axis=1, initial=0), LEAST_INTERVAL)[:, None]
    unfolded = work.pe == units
    cycles = np.where(unfolded, longest, pixels * (units // np.maximum(work.pe, 1)))
    kept = ~here | (work.simd < fan_in)
    pe, simd = np.where(here, work.pe, 1), np.where(here, work.simd, 1)
    most = (units * fan_in)[~kept]
    reuse = np.minimum((cycles // np.maximum(pixels, 1))[~kept], most)
    keys, back = np.unique(
        (units[~kept] << 42) | (fan_in[~kept] << 21) | np.minimum(reuse, FIELD), return_inverse=True
    )
    fields = zip(keys >> 42, keys >> 21 & FIELD, keys & FIELD, strict=True)
    chosen = np.array([_cheapest(*map(int, key)) for key in fields], np.int64).reshape(-1, 2)
    pe[~kept], simd[~kept] = chosen[back, 0], chosen[back, 1]
    return pe, simd


@lru_cache(maxsize=1 << 18)
def _cheapest(units: int, fan_in: int, reuse: int) -> tuple[int, int]:
    """The fewest multipliers used ``reuse`` times at most, or the fastest; of equals the largest SIMD."""
    choices = [
        (pe, simd) for pe in _divisors(units) for simd in _divisors(fan_in) if simd < fan_in or fan_in == 1
    ]
    least = min((units // pe) * (fan_in // simd) for pe, simd in choices)
    within = [pair for pair in choices if (units // pair[0]) * (fan_in // pair[1]) <= max(reuse, least)]
    return min(within, key=lambda pair: (pair[0] * pair[1], -pair[1]))


@lru_cache(maxsize=1 << 14)
def _divisors(number: int) -> tuple[int, ...]:
    return tuple(divisor for divisor in range(1, number + 1) if number % divisor == 0)


@dataclass(frozen=True, slots=True, eq=False)
class _Clock:
    """Cycles at which the first and the last word of a frame reach the next layer, ``(n,)``."""

    first: FloatArray
    last: FloatArray

    @classmethod
    def at_start(cls, count: int) -> "_Clock":
        return cls(np.ones(count), np.ones(count))

    def behind(self, stream: _Stream, layer: int) -> "_Clock":
        """Behind one more layer, where there is one."""
        here, work = stream.here[:, layer], stream.work
        sums, groups = stream.sums[:, layer], stream.groups[:, layer]
        pixels, windowed = stream.pixels[:, layer], stream.windowed[:, layer]
        of_image = work.height[:, layer] * work.width[:, layer]
        words = np.where(windowed, of_image, pixels * sums)
        came = np.where(stream.source[:, layer], self.first + words - 1, self.last)
        clock = _Clock(self.first, came)
        at = clock.through_windows(stream, layer)
        converted = stream.lanes_in[:, layer] != stream.simd[:, layer]
        spread = (came - self.first) * np.where(pixels > 1, (sums - 1) / np.maximum(pixels * sums - 1, 1), 1)
        whole = stream.whole[:, layer]
        first = np.where(
            windowed, np.where(whole, at.first + sums - 1, at.first), self.first + spread + converted
        )
        begin = np.where(windowed, at.first - np.where(whole, 0, at.lead), self.first + converted)
        end_word = np.where(windowed, at.last, came + converted)
        left_over = np.where(windowed & whole, sums * groups - 1, (groups - 1) * sums)
        last = np.maximum(begin + pixels * sums * groups - 1, end_word + left_over)
        parts = np.where(windowed & ~whole, at.first + pixels * sums * groups - sums, 0)
        depth = _depth(stream, layer)
        first, last = first + depth, np.maximum(last, parts) + depth
        pooled = work.pooled[:, layer] > 0
        last = last + np.where(pooled, np.sqrt(np.maximum(stream.pool_pixels[:, layer], 0)) + 1, 0)
        return _Clock(np.where(here, np.minimum(first, last), self.first), np.where(here, last, self.last))

    def through_windows(self, stream: _Stream, layer: int) -> "_Windows":
        """When the first and last window of a convolution are there."""
        work, wide = stream.work, stream.wide[:, layer]
        height, width = work.height[:, layer], work.width[:, layer]
        top, left = stream.top[:, layer], stream.left[:, layer]
        image = np.maximum(height * width, 1)
        begins = top * wide + left
        ends = (top + height - 1) * wide + left + width - 1
        early = np.where(stream.source[:, layer], 0, begins)

        def at(row: IntArray, column: IntArray) -> FloatArray:
            word = row * wide + column
            in_row = np.where((row >= top) & (row < top + height), np.clip(column - left + 1, 0, width), 0)
            pixel = np.minimum(np.clip(row - top, 0, height) * width + in_row, image)
            came = self.first + (self.last - self.first) * (pixel - 1) / np.maximum(image - 1, 1)
            begun = np.maximum(self.first + word - early, np.where(pixel > 0, came, 0))
            found: FloatArray = np.maximum(begun, np.where(word >= ends, self.last + word - ends, 0))
            return found

        kernel, channels = work.kernel[:, layer], work.channels[:, layer]
        whole = stream.whole[:, layer]
        lanes = channels * np.where(whole, kernel**2, 1)
        delay = 2 + 2 * stream.padded[:, layer] + (lanes != stream.simd[:, layer]) + ~whole
        first = at(kernel - 1, kernel - 1) + delay
        last = at(stream.last_row[:, layer], stream.last_column[:, layer]) + delay
        begun = at(top, left) + delay
        in_parts = np.maximum(first, begun + kernel**2 - 1)
        window_words = stream.pixels[:, layer] * kernel**2
        return _Windows(
            np.where(whole, first, in_parts),
            np.where(whole, last, np.maximum(last, begun + window_words - 1)),
            np.where(whole, 0, in_parts - begun),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Windows:
    """Cycles at which the first and the last window are complete, and what the first one took, ``(n,)``."""

    first: FloatArray
    last: FloatArray
    lead: FloatArray


def _depth(stream: _Stream, layer: int) -> IntArray:
    """Register stages of a layer's products, thresholds and the FIFOs behind both."""
    simd, groups = stream.simd[:, layer], stream.groups[:, layer]
    products = PRODUCT_PIPELINE + _log2(simd) + (simd == 1) + REPLAY * (groups > 1) + OUTPUT_QUEUE
    thresholds = THRESHOLD_PIPELINE + 2 * stream.work.activation_bits[:, layer]
    depth: IntArray = products + thresholds + 2
    return depth


def _log2(values: IntArray) -> IntArray:
    """Logarithm to base 2, rounded up."""
    return np.frexp(np.maximum(values - 1, 0).astype(np.float64))[1].astype(np.int64)


def _products(stream: _Stream) -> dict[str, FloatArray | IntArray]:
    """Matrix products: DSP blocks, adder trees behind them, results and their queue, replayed inputs.

    FINN packs ``lanes`` weights beside each other into the wide operand of a DSP block (``mvu.sv``), as far
    apart as products of one weight and one input need: ``1 + (wide - 1 - w) // (w + a - 1)``.
    """
    work = stream.work
    spread = np.maximum(work.weight_bits + work.input_bits - 1, 1)
    room = np.maximum(int(stream.family.dsp_wide_bits) - 1 - work.weight_bits, 0)
    lanes = 1 + room // spread
    pipes = -(-stream.pe // lanes)
    low_bits = (stream.pe - pipes) * (room / np.maximum(lanes - 1, 1))
    return {
        "dsp": pipes * stream.simd,
        "tree_bits": (stream.simd - 1) * (pipes * work.accumulator_bits + low_bits),
        "result_bits": stream.pe * work.accumulator_bits,
        "replay_luts": (stream.groups > 1)
        * stream.simd
        * work.input_bits
        * -(-stream.sums // int(stream.family.lutram_bits)),
    }


def _weights(stream: _Stream) -> dict[str, IntArray]:
    """Weight memories: a word of ``pe * simd`` weights each cycle (FINN-R, arXiv:1809.04570, section 4.3)."""
    width = stream.pe * stream.simd * stream.work.weight_bits
    return {"stream_bits": width, "weight_brams": _weight_brams(stream.sums * stream.groups, width)}


def _weight_brams(depth: IntArray, width: IntArray) -> IntArray:
    """Block RAMs of 18 kbit of a weight memory, as FINN counts them."""
    shapes = [(1, 16384), (2, 8192), (4, 4096), (9, 2048)]
    fits = [width <= wide for wide, _ in shapes]
    counts = [-(-depth // deep) * -(-width // wide) for wide, deep in shapes]
    large = np.where(
        (width <= 18) | (depth > 512), -(-depth // 1024) * -(-width // 18), -(-depth // 512) * -(-width // 36)
    )
    found: IntArray = np.select(fits, counts, default=large)
    return found


def _thresholds(stream: _Stream) -> dict[str, IntArray]:
    """Thresholds: a binary search with a stage for each bit, each stage with its own memory."""
    bits, width, per_lut = (
        stream.work.activation_bits,
        stream.work.accumulator_bits,
        stream.family.lutram_bits,
    )
    luts = np.zeros_like(bits)
    for step in range(int(bits.max(initial=0))):
        luts += (step < bits) * -(-(stream.groups << step) // int(per_lut))
    return {
        "compared_bits": stream.pe * bits * width,
        "threshold_luts": stream.pe * width * luts,
        "threshold_stage_bits": stream.pe * bits * (width + bits + _log2(stream.groups) + 2),
    }


def _windows(stream: _Stream) -> dict[str, IntArray]:
    """Padding, windows and converters of width; lines that wait for a window lie in LUT memory."""
    work, kernel = stream.work, stream.work.kernel
    value = work.channels * work.input_bits
    lines = np.maximum(kernel - 1, 0) * np.maximum(stream.wide - kernel, 0)
    parts = (kernel - 1) * stream.wide + kernel
    depth = np.where(stream.whole, -(-lines // np.maximum(kernel - 1, 1)), parts)
    rows = np.where(stream.whole, kernel - 1, 1)
    lane = work.channels * np.where(stream.whole, kernel**2, 1)
    before = stream.windowed & (stream.lanes_in != work.channels)
    given = np.where(stream.windowed, lane, stream.lanes_in)
    behind = given != stream.simd
    converted = before * np.maximum(stream.lanes_in, work.channels) + behind * np.maximum(given, stream.simd)
    return {
        "padding_nodes": stream.padded * 1,
        "window_nodes": stream.windowed * 1,
        "line_luts": stream.windowed * rows * value * -(-depth // int(stream.family.lutram_bits)),
        "window_bits": np.where(stream.whole, value * kernel**2, stream.windowed * value),
        "converter_bits": work.input_bits * converted,
    }


def _fifos(stream: _Stream) -> dict[str, IntArray]:
    """FIFOs between the nodes: each holds the words of a frame, ``DEEPEST_FIFO`` at most."""
    work, kernel = stream.work, stream.work.kernel
    pixel, image = work.channels * work.input_bits, work.height * work.width
    fed, made = stream.pixels * stream.sums, stream.pixels * stream.groups
    windows = stream.pixels * np.where(stream.whole, 1, kernel**2)
    window_bits = pixel * np.where(stream.whole, kernel**2, 1)
    vector = stream.simd * work.input_bits
    queues = (
        (stream.source, np.where(stream.windowed, image, fed), np.where(stream.windowed, pixel, vector)),
        (stream.windowed & ~stream.source & (stream.lanes_in != work.channels), image, pixel),
        (stream.padded, stream.words, pixel),
        (stream.windowed, windows, window_bits),
        (np.where(stream.windowed, window_bits, stream.lanes_in * work.input_bits) != vector, fed, vector),
        (stream.here, made, stream.pe * work.accumulator_bits),
        (stream.here, made, stream.pe * work.activation_bits),
    )
    found: dict[str, IntArray] = {}
    for there, words, width in queues:
        for name, values in _fifo(there, words, width, stream.family).items():
            found[name] = found[name] + values if name in found else values
    return found


def _fifo(there: BoolArray, words: IntArray, width: IntArray, family: Family) -> dict[str, IntArray]:
    """A FIFO of FINN's ``fifo.sv``: LUTs and block RAMs that hold its words, and bits of its registers.

    One that is not there has a depth of 1 and no width, which cost nothing.
    """
    depth = np.where(there, np.clip(words, SHALLOWEST_FIFO, DEEPEST_FIFO), 1)
    width = np.where(there, width, 0)
    least = depth <= SHIFT_DEPTH
    shifted = least | ((depth <= NARROW_SHIFT_DEPTH) & (width < NARROW_BITS))
    in_luts = (depth <= LUTRAM_DEPTH) | (width < THIN_BITS)
    lutram = -(-depth // int(family.lutram_bits)) * in_luts
    return {
        "fifo_luts": np.where(least, 1, np.where(shifted, 3, lutram)) * width,
        "fifo_bits": width + 4 * _log2(depth),
        "fifos": there * 1,
        "memory_fifos": ~shifted * 1,
        "fifo_brams": _where(~(shifted | in_luts), depth, width),
    }


def _where(needed: BoolArray, depth: IntArray, width: IntArray) -> IntArray:
    """Block RAMs, where they are needed."""
    found = np.zeros_like(depth)
    found[needed] = fpga.memories(depth[needed], width[needed])
    return found


def _covers(family: Family, library: Library) -> str:
    return (
        f"FINN's dataflow of {family.name}, every node in RTL: padding, windows, matrix products in DSP "
        "blocks, thresholds, weight memories, FIFOs of a frame, width converters. Cycles as FINN's Verilog "
        "takes them. Pooling, which FINN has in HLS only, is counted in cycles and not in LUTs. Not: layout, "
        f"DMA, control of a board. Sources: {'; '.join((*library.sources, *family.sources))}."
    )
