"""Adders of a network with constant weights: what each value can be, who needs it, and what it costs.

Three passes over the chip: ranges forward, from the input's format through weights, biases and activations;
needs backward, from the outputs; then each convolution's windows and each dense layer become an adder graph.
Windows that see the same ranges have the same graph. What does not vary, or reaches no output, costs nothing.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from codesign.errors import UnsupportedLayerError
from codesign.fixedpoint import MAX_WIDTH, FixedPoint
from codesign.network import Conv, Dense, Flatten, Layer, MaxPool, Network, ReLU
from hardware_models.adders import Adders, adders, changes, digits, signed_width, toggles

__all__ = ["ADDITIONS_PER_MAXIMUM", "Stage", "count"]

IntArray = NDArray[np.int64]
Mask = NDArray[np.bool_]
ADDITIONS_PER_MAXIMUM: Final = 2
"""A comparison and a selection, one after another for each value of a window."""
SATURATION_LEVELS: Final = 2
"""A look at the bits above those that are kept, and a selection."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """What the values of an edge can be: integer codes, and whether anything behind depends on them."""

    low: IntArray
    high: IntArray

    @property
    def varies(self) -> Mask:
        """Which values are no constants."""
        return np.asarray(self.low < self.high)

    @property
    def widths(self) -> IntArray:
        """Bits of each value; 0 of a constant."""
        return signed_width(self.low, self.high) * self.varies


@dataclass(slots=True)
class Stage:
    """A convolution or dense layer with what follows it: amounts of units, and where registers would cut it.

    Half adders are counted by what they do: in sums of products (``increment_bits``), where a constant is
    added (``constant_bits``), where an activation rounds (``rounding_bits``).

    ``depth`` are additions on its longest path. Registers are placed by levels from the chip's input on, of
    which a constant that is added takes none: ``levels`` until all its outputs are there, and ``live[d]``,
    the bits of its inputs and inside of it that a register after ``d`` of them holds. Where inputs are known,
    ``changes`` are those of sums and carries in its products from inference to inference, over what they
    would be of random words, and ``output_changes`` those of its outputs; else 1.
    """

    adder_bits: int = 0
    increment_bits: int = 0
    constant_bits: int = 0
    rounding_bits: int = 0
    gate_bits: int = 0
    maximum_bits: int = 0
    widest: int = 0
    output_bits: int = 0
    depth: int = 0
    levels: int = 0
    live: list[int] = field(default_factory=list)
    changes: float = 1.0
    output_changes: float = 1.0

    def hold(self, made: IntArray, until: IntArray, bits: IntArray) -> None:
        """Values of so many bits that are there after ``made`` levels and last read at level ``until``."""
        until = np.maximum(made, until)
        size = int(until.max(initial=0)) + 1
        born, gone = (np.bincount(at.ravel(), bits.ravel(), size) for at in (made, until))
        self.add(np.cumsum(born - gone).astype(np.int64))

    def add(self, live: IntArray) -> None:
        """More bits after each level."""
        size = max(len(live), len(self.live))
        both = (np.pad(each, (0, size - len(each))) for each in (np.array(self.live, np.int64), live))
        self.live = np.trim_zeros(sum(both, np.zeros(size, np.int64)), "b").tolist()


def count(chip: Network, inputs: NDArray[Any] | None = None) -> list[Stage]:
    """Amounts of each convolution and dense layer of a fitted chip.

    Parameters
    ----------
    chip
        With weights.
    inputs
        Real inputs in the order in which they come, ``(frames, *input_shape)``, to tell what changes.

    Raises
    ------
    UnsupportedLayerError
        For a layer in float, or one that is no convolution, dense, ReLU, pooling or flatten; and for ReLU or
        pooling in front of all convolutions and dense layers.
    """
    edges = _ranges(chip)
    needed = _needed(chip, edges)
    stages: list[Stage] = []
    there: IntArray = np.zeros(edges[0].low.shape, np.int64)  # levels until each value of the edge is there
    values = None if inputs is None else [codes.astype(np.int64) for _, codes in chip.trace(inputs)]
    for index, layer in enumerate(chip.layers):
        before, after, wanted = edges[index], edges[index + 1], needed[index + 1]
        match layer:
            case Conv() | Dense():
                stages.append(Stage())
                seen = None if values is None else values[index]
                there = _products(stages[-1], chip, index, before, wanted, there, seen)
                _offset(stages[-1], chip, index, before, after, wanted)
            case ReLU() | MaxPool() if not stages:
                raise UnsupportedLayerError(
                    f"layer {layer.name!r} is counted with the convolution or dense layer before it, and "
                    "there is none; move it behind one"
                )
            case ReLU():
                there = _rectified(stages[-1], chip, index, before, wanted, there)
            case MaxPool():
                there = _pooled(stages[-1], layer, before, after, wanted, there)
            case Flatten():
                there = there.ravel()
        if stages:
            stages[-1].levels = int(there[wanted].max(initial=0))
            if values is not None:
                stages[-1].output_changes = _edge_changes(values[index + 1], after.widths * wanted)
    if stages:
        bits = after.widths * wanted
        stages[-1].output_bits = int(bits.sum())
        stages[-1].hold(there, np.full_like(there, stages[-1].levels), bits)
    return stages


def _ranges(chip: Network) -> list[Ranges]:
    fixed = chip.formats[0]
    if fixed is None:
        raise UnsupportedLayerError(
            "the model 'constant' counts adders of integers, the network's input is a float; quantise it"
        )
    shape = chip.shapes[0]
    edges = [Ranges(np.full(shape, fixed.minimum, np.int64), np.full(shape, fixed.maximum, np.int64))]
    for index, layer in enumerate(chip.layers):
        edges.append(_layer_ranges(chip, index, layer, edges[-1]))
    return edges


def _layer_ranges(chip: Network, index: int, layer: Layer, given: Ranges) -> Ranges:
    match layer:
        case Conv() | Dense():
            low, high = _sum_ranges(chip, index, given)
            bias = _bias(chip, index)
            return Ranges(low + bias, high + bias)
        case ReLU():
            return _activated(given, _format(chip, index), layer.output)
        case MaxPool():
            return Ranges(_largest(given.low, layer), _largest(given.high, layer))
        case Flatten():
            return Ranges(given.low.ravel(), given.high.ravel())
    raise UnsupportedLayerError(
        f"layer {layer.name!r} ({type(layer).__name__}) cannot be priced here: the chip takes convolutions "
        "and dense layers, ReLU, pooling and flatten; move it behind chip_layers"
    )


def _format(chip: Network, edge: int) -> FixedPoint:
    fixed = chip.formats[edge]
    assert fixed is not None
    return fixed


def _matrix(chip: Network, index: int) -> IntArray:
    """Weights ``(products of a sum, units)``; those between groups are 0."""
    layer = chip.layers[index]
    assert isinstance(layer, Conv | Dense)
    if layer.weight is None:
        raise UnsupportedLayerError(
            f"layer {layer.name!r} computes in float; the model 'constant' counts adders of integers"
        )
    weight = chip.weights[f"{layer.name}.weight"].astype(np.int64)
    if isinstance(layer, Conv) and layer.groups > 1:
        part = weight.shape[2]
        whole = np.zeros((*weight.shape[:2], part * layer.groups, layer.units), np.int64)
        for group, units in enumerate(np.split(np.arange(layer.units), layer.groups)):
            whole[:, :, group * part : (group + 1) * part, units] = weight[..., units]
        weight = whole
    return weight.reshape(-1, layer.units)


def _bias(chip: Network, index: int) -> IntArray:
    """Biases in the steps of the sums."""
    layer = chip.layers[index]
    assert isinstance(layer, Conv | Dense)
    assert layer.bias is not None
    shift = _format(chip, index + 1).fraction_bits - layer.bias.fraction_bits
    return np.asarray(chip.weights[f"{layer.name}.bias"].astype(np.int64) << shift)


def _windows(layer: Layer, values: NDArray[Any]) -> NDArray[Any]:
    """What each output pixel sees, ``(*pixels, products)``; 0 on the padding."""
    if not isinstance(layer, Conv):
        return values
    padded = np.pad(values, (*layer.pads(values.shape), (0, 0)))
    size = (layer.kernel, layer.kernel)
    seen = sliding_window_view(padded, size, axis=(0, 1))[:: layer.stride, :: layer.stride]
    return np.asarray(np.moveaxis(seen, 2, -1).reshape(*seen.shape[:2], -1))


def _sum_ranges(chip: Network, index: int, given: Ranges) -> tuple[IntArray, IntArray]:
    """Ranges as the adders know them: a digit at a time, so that 7 x = 8 x - x reaches from -x to 8 x."""
    layer, places = chip.layers[index], digits(_matrix(chip, index))
    weights = 1 << np.arange(places.shape[-1])
    positive, negative = (np.maximum(side, 0) @ weights for side in (places, -places))
    low, high = _windows(layer, given.low), _windows(layer, given.high)
    return low @ positive - high @ negative, high @ positive - low @ negative


def _activated(given: Ranges, before: FixedPoint, output: FixedPoint | None) -> Ranges:
    """``max(x, 0)`` in the output format, as the interpreter has it; order is kept unless it wraps."""
    low, high = (_rounded(codes, before, output) for codes in (given.low, given.high))
    if output is None:
        return Ranges(low, high)
    if output.overflow == "saturate":
        return Ranges(np.minimum(low, output.maximum), np.minimum(high, output.maximum))
    wraps = high > output.maximum
    return Ranges(np.where(wraps, output.minimum, low), np.where(wraps, output.maximum, high))


def _rounded(codes: IntArray, before: FixedPoint, output: FixedPoint | None) -> IntArray:
    """``max(x, 0)`` with the output's fraction bits, before it saturates or wraps."""
    rectified = np.maximum(codes, 0)
    if output is None:
        return rectified
    wide = replace(output, signed=True, integer_bits=MAX_WIDTH - 1 - output.fraction_bits)
    return wide.requantise(rectified, before.fraction_bits)


def _largest(values: NDArray[Any], layer: MaxPool) -> NDArray[Any]:
    """Maximum over the windows of a pooling."""
    return np.asarray(_cut(values, layer).max(axis=0))


def _cut(values: NDArray[Any], layer: MaxPool) -> NDArray[Any]:
    """Windows of a pooling, ``(values of a window, rows, columns, channels)``."""
    size, shape = layer.size, layer.output_shape(values.shape)
    short = [max(at * size - had, 0) for at, had in zip(shape[:2], values.shape[:2], strict=True)]
    padded = np.pad(values, ((0, short[0]), (0, short[1]), (0, 0)), mode="edge")
    cut = padded[: shape[0] * size, : shape[1] * size]
    parts = cut.reshape(shape[0], size, shape[1], size, shape[2])
    return np.asarray(parts.transpose(1, 3, 0, 2, 4).reshape(size**2, *shape))


def _needed(chip: Network, edges: list[Ranges]) -> list[Mask]:
    """Which values of each edge vary and reach an output: the others cost nothing."""
    wanted = [edges[-1].varies]
    for index in reversed(range(len(chip.layers))):
        layer, given = chip.layers[index], edges[index]
        match layer:
            case Conv() | Dense():
                found = _inputs_of(layer, _matrix(chip, index) != 0, wanted[-1], given.low.shape)
            case MaxPool():
                found = _spread(wanted[-1], layer, given.low.shape)
            case _:
                found = wanted[-1].reshape(given.low.shape)
        wanted.append(found & given.varies)
    return wanted[::-1]


def _inputs_of(layer: Conv | Dense, used: Mask, wanted: Mask, shape: tuple[int, ...]) -> Mask:
    """Inputs that a wanted sum has a weight for."""
    if isinstance(layer, Dense):
        return np.asarray((used & wanted).any(axis=1))
    reached = np.asarray((wanted[..., None, :] & used).any(axis=-1))  # (rows, columns, products)
    (top, bottom), (left, right) = layer.pads(shape)
    found = np.zeros((shape[0] + top + bottom, shape[1] + left + right, shape[2]), bool)
    for tap in range(layer.kernel**2):
        i, j = divmod(tap, layer.kernel)
        rows = slice(i, i + (wanted.shape[0] - 1) * layer.stride + 1, layer.stride)
        columns = slice(j, j + (wanted.shape[1] - 1) * layer.stride + 1, layer.stride)
        found[rows, columns] |= reached[..., tap * shape[2] : (tap + 1) * shape[2]]
    return found[top : top + shape[0], left : left + shape[1]]


def _spread(wanted: Mask, layer: MaxPool, shape: tuple[int, ...]) -> Mask:
    found = np.zeros(shape, bool)
    grown = wanted.repeat(layer.size, axis=0).repeat(layer.size, axis=1)[: shape[0], : shape[1]]
    found[: grown.shape[0], : grown.shape[1]] = grown
    return np.asarray(found)


def _edge_changes(codes: IntArray, widths: IntArray) -> float:
    """Changes of the bits of an edge over those of random words."""
    return float(2 * toggles(codes, (1 << widths) - 1).sum() / max(widths.sum(), 1))


def _products(
    stage: Stage,
    chip: Network,
    index: int,
    given: Ranges,
    wanted: Mask,
    there: IntArray,
    values: IntArray | None,
) -> IntArray:
    """Adders of a layer, the graph of each window once, times how often it occurs; levels of its sums."""
    layer, matrix = chip.layers[index], _matrix(chip, index)
    seen = [_windows(layer, each).reshape(-1, len(matrix)) for each in (given.low, given.high, there)]
    seen[2] = seen[2] * (seen[0] < seen[1])
    units = wanted.reshape(len(seen[0]), -1)
    kinds, numbers = np.unique(np.hstack([*seen, units]), axis=0, return_inverse=True)
    graphs = [_graph(matrix, *np.split(kind, np.arange(1, 4) * len(matrix))) for kind in kinds]
    for graph, times in zip(graphs, np.bincount(numbers.ravel(), minlength=len(graphs)), strict=True):
        stage.adder_bits += int(times) * graph.bits
        stage.increment_bits += int(times) * graph.carries
        stage.add(int(times) * graph.live)
    if values is not None:
        frames = np.stack([_windows(layer, codes).reshape(-1, len(matrix)) for codes in values])
        changed = [changes(each, frames[:, numbers.ravel() == kind]) for kind, each in enumerate(graphs)]
        stage.changes = sum(changed) / max(stage.adder_bits + stage.increment_bits, 1)
    start = int(there[given.varies].max(initial=0))
    stage.depth += max(max((graph.depth for graph in graphs), default=0) - start, 0)
    stage.hold(there, _reach(layer, graphs, numbers.ravel(), there.shape), given.widths)
    arrival = np.array([graph.arrival for graph in graphs], np.int64).reshape(len(graphs), -1)
    return np.asarray(arrival[numbers.ravel()].reshape(wanted.shape))


def _graph(matrix: IntArray, low: IntArray, high: IntArray, there: IntArray, units: IntArray) -> Adders:
    """Adders of one window; inputs that do not vary and sums that nobody needs are left out."""
    rows, columns = (low < high) & matrix[:, units > 0].any(axis=1), units > 0
    found = adders(matrix[rows][:, columns], low[rows], high[rows], there[rows])
    reach, arrival = np.zeros(len(matrix), np.int64), np.zeros(len(units), np.int64)
    reach[rows], arrival[columns] = found.reach, found.arrival
    number = np.concatenate([np.flatnonzero(rows), len(matrix) + np.arange(found.count)])
    sums = found.sums.copy()
    sums[:, :2] = number[sums[:, :2]]
    return replace(found, reach=reach, arrival=arrival, sums=sums)


def _reach(layer: Layer, graphs: list[Adders], numbers: IntArray, shape: tuple[int, ...]) -> IntArray:
    """Levels until each input is added for the last time."""
    size = int(np.prod(shape))
    index = np.arange(size).reshape(shape) + 1
    seen = _windows(layer, index).reshape(len(numbers), -1)  # number of each input, 0 on the padding
    reach = np.zeros(size + 1, np.int64)
    for number, graph in enumerate(graphs):
        for window in seen[numbers == number]:
            np.maximum.at(reach, window, graph.reach)
    return reach[1:].reshape(shape)


def _offset(stage: Stage, chip: Network, index: int, given: Ranges, sums: Ranges, wanted: Mask) -> None:
    """The bias and the products of inputs that do not vary: a constant is added above its lowest set bit."""
    known = _windows(chip.layers[index], np.where(given.varies, 0, given.low))
    bias = known @ _matrix(chip, index) + _bias(chip, index)
    places = np.log2(np.maximum(bias & -bias, 1)).astype(np.int64)
    added = wanted & (bias != 0)
    stage.constant_bits += int(np.maximum(sums.widths - places, 0)[added].sum())
    stage.widest = int(sums.widths[wanted].max(initial=0))
    stage.depth += int(added.any())


def _rectified(
    stage: Stage, chip: Network, index: int, sums: Ranges, wanted: Mask, there: IntArray
) -> IntArray:
    """ReLU: a mask where the sum can be negative, rounding, and saturation where it can be too large.

    Rounding half up adds a constant and takes no level, half to even adds a bit of the sum. Saturation takes
    two: whether a bit is set above those that are kept, and a selector.
    """
    layer, before = chip.layers[index], _format(chip, index)
    assert isinstance(layer, ReLU)
    positive = Ranges(np.maximum(sums.low, 0), np.maximum(sums.high, 0))
    masked = wanted & (sums.low < 0)
    output = layer.output
    shift = max(before.fraction_bits - output.fraction_bits, 0) if output else 0
    rounds = bool(shift) and output is not None and output.rounding != "truncate"
    kept = np.maximum(positive.widths - max(shift - rounds, 0), 0)
    stage.gate_bits += int(kept[masked].sum())
    stage.rounding_bits += int(kept[wanted].sum()) * rounds
    stage.depth += int(rounds)
    if rounds and output is not None and output.rounding == "half_even":
        stage.hold(there, there + 1, kept * wanted)
        there = there + 1
    if output is None or output.overflow == "wrap":
        return there
    whole = Ranges(*(_rounded(codes, before, output) for codes in (sums.low, sums.high)))
    over = wanted & (whole.high > output.maximum)
    stage.gate_bits += int(whole.widths[over].sum())
    stage.depth += int(over.any())
    stage.hold(there, there + 1, whole.widths * over)
    stage.hold(there + 1, there + SATURATION_LEVELS, (output.width - output.signed + 1) * over)
    return there + SATURATION_LEVELS * over


def _pooled(
    stage: Stage, layer: MaxPool, before: Ranges, after: Ranges, wanted: Mask, there: IntArray
) -> IntArray:
    """A value after another is compared with the largest before it, and one of the two selected."""
    stage.maximum_bits += (layer.size**2 - 1) * int(after.widths[wanted].sum())
    stage.depth += ADDITIONS_PER_MAXIMUM * (layer.size**2 - 1)
    values, bits = (_cut(each, layer) for each in (there, before.widths))
    found, largest = values[0], bits[0]
    for at, width in zip(values[1:], bits[1:], strict=True):
        later = np.maximum(found, at) + ADDITIONS_PER_MAXIMUM
        stage.hold(found, later, largest * wanted)
        stage.hold(at, later, width * wanted)
        found, largest = later, np.maximum(largest, width)
    return np.asarray(found)
