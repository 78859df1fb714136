"""From the nodes of a graph to an integer network, one after another.

Where the values of an ONNX tensor lie in the network's channels-last edge is kept as an array of positions
with the tensor's shape; transposing, flattening and reshaping change that array and nothing else.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from qonnx.custom_op.general.intquant import int_quant, max_int, min_int

from codesign.errors import CodesignError, NetworkError, UnsupportedLayerError
from codesign.fixedpoint import FixedPoint, IntArray, Rounding
from codesign.importing.builder import Builder, QuantisedArray, code_format
from codesign.importing.graph import DROPPED, QUANTISERS, Graph, Node
from codesign.importing.monotone import Chain, Exact, Quantiser, fractions, power_of_two
from codesign.network import Conv, Dense, MaxPool, Shape, Upsample, same_padding

__all__ = ["Checkpoint", "InputSteps", "Sum", "Walk"]

_INPUT_LEVELS: Final = 1 << 16
_MOVES: Final = ("Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Cast")

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class InputSteps:
    """The file's own quantiser of its input: what runs before the network.

    ``first + step * n`` where ``sign * x`` reaches ``n`` thresholds; ``thresholds`` are 32-bit floats of
    shape ``(channels, n)``, or ``(1, n)`` for all channels.
    """

    thresholds: NDArray[np.float32]
    sign: IntArray
    first: int
    step: int

    def codes(self, values: Array) -> IntArray:
        """Codes of real values ``(..., channels)``."""
        signed = np.asarray(values, np.float32) * self.sign.astype(np.float32)
        if len(self.thresholds) == 1:
            return self.first + self.step * np.searchsorted(self.thresholds[0], signed, side="right")
        reached = [
            np.searchsorted(row, signed[..., channel], side="right")
            for channel, row in enumerate(self.thresholds)
        ]
        return self.first + self.step * np.stack(reached, axis=-1)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A quantised tensor of the graph, and the edge of the network that holds its codes.

    The codes behind the first ``layers`` layers, at the flat ``positions``, are the tensor over ``scale``.
    """

    layers: int
    tensor: str
    scale: NDArray[np.float64]
    positions: NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Sum:
    """A tensor of sums: ``chain`` of what layer ``layer`` adds up, but for the bias it may get later."""

    layer: int
    tensor: str
    chain: Chain
    positions: NDArray[np.intp]


@dataclass(eq=False)
class Walk:
    """A graph, taken node by node.

    Parameters
    ----------
    graph
        What is imported.
    input_format
        Format of the input where the file does not quantise it, or where the device is to do it.
    """

    graph: Graph
    input_format: FixedPoint | None
    checkpoints: list[Checkpoint] = field(default_factory=list)
    sums: list[Sum] = field(default_factory=list)
    dropped: list[Node] = field(default_factory=list)
    input_steps: InputSteps | None = None
    bipolar: bool = False

    def __post_init__(self) -> None:
        self.constants: dict[str, Array] = dict(self.graph.constants)
        self.quantised: dict[str, QuantisedArray] = {}
        self.tensor = self.graph.input_name
        self.index = np.arange(np.prod(self.graph.input_shape)).reshape(1, *self.graph.input_shape)
        shape = _channels_last(self.graph, self.index)
        if shape is None and len(self.graph.input_shape) == 3:
            channels, height, width = self.graph.input_shape
            shape = (height, width, channels)
            self.index = np.arange(np.prod(shape)).reshape(shape).transpose(2, 0, 1)[None]
        elif shape is None:
            shape = (self.index.size,)
        self.input_positions = self.index.ravel()
        self.builder = Builder(shape, self.input_format)
        self.relu: str | None = None
        for node in self.graph.nodes:
            with _named(node):
                self._take(node)
        if self.builder.fixed is None:
            raise NetworkError("nothing in it is quantised but constants; say the format of its input")
        if self.tensor != self.graph.output_name:
            raise UnsupportedLayerError("it ends before its output; a network here is one chain of layers")
        if not self.dropped:
            self.output, self.output_index = self.tensor, self.index
        self.builder.finish()

    def _take(self, node: Node) -> None:
        if not node.inputs or not node.outputs:
            raise NetworkError("has no input or no output")
        if all(name in self.constants for name in node.inputs if name):
            self._constant(node)
            return
        if node.kind in DROPPED:
            if not self.dropped:
                self.output, self.output_index = self.tensor, self.index
            self.dropped.append(node)
            self.tensor = self.graph.output_name
            return
        if self.dropped:
            if node.kind not in _MOVES:
                raise UnsupportedLayerError(f"follows {self.dropped[-1]}, which is taken only at the end")
            return
        dynamic = [name for name in node.inputs if name and name not in self.constants]
        if dynamic != [self.tensor]:
            raise UnsupportedLayerError(
                "joins branches, or reads a value that others read too; a network here is one chain of layers"
            )
        takers: Mapping[str, Callable[[Node], None]] = {
            **dict.fromkeys(_MOVES, self._move),
            **dict.fromkeys(QUANTISERS, self._quantise),
            **dict.fromkeys(("Add", "Sub", "Mul", "Div"), self._arithmetic),
            "BatchNormalization": self._normalise,
            "Relu": self._limit,
            "Clip": self._limit,
            "Conv": self._convolution,
            "MatMul": self._dense,
            "Gemm": self._dense,
            "MaxPool": self._pool,
            "Resize": self._resize,
        }
        if node.kind not in takers:
            raise UnsupportedLayerError("computes on values that are no constants, which is not imported")
        takers[node.kind](node)
        if node.kind in ("Conv", "MatMul", "Gemm"):
            place = len(self.builder.layers) - 1
            self.sums.append(Sum(place, node.outputs[0], self.builder.chain, self.index))
        self.tensor = node.outputs[0]

    def _constant(self, node: Node) -> None:
        if node.kind in QUANTISERS:
            value = np.asarray(self.constants[node.inputs[0]])
            held = self._quantised_constant(node, value)
        elif node.kind in _MOVES and node.inputs[0] in self.quantised:
            parameters = [self.constants[name] for name in node.inputs[1:] if name]
            held = self.quantised[node.inputs[0]].map(lambda array: _moved(node, array, parameters))
        else:
            raise UnsupportedLayerError("computes on quantised constants; fold it into them")
        self.quantised[node.outputs[0]] = held
        self.constants[node.outputs[0]] = held.codes * held.scale

    def _quantised_constant(self, node: Node, value: Array) -> QuantisedArray:
        quantiser = self._quantiser(node)
        if quantiser.bipolar:
            self.bipolar = True
            codes = np.where(value >= 0, 1, -1)
            scale = np.broadcast_to(self.constants[node.inputs[1]], value.shape)
            return QuantisedArray(codes.astype(np.int64), np.array(scale, np.float64), quantiser)
        parameters = [np.asarray(self.constants[name]) for name in node.inputs[1:]]
        scale = np.array(np.broadcast_to(parameters[0], value.shape), np.float64)
        signed, narrow = bool(node.attributes.get("signed", 1)), bool(node.attributes.get("narrow", 0))
        with np.errstate(over="ignore"):
            rounded = int_quant(value, *parameters, signed, narrow, quantiser.rounding)
        return QuantisedArray(np.rint(rounded / scale).astype(np.int64), scale, quantiser)

    def _quantiser(self, node: Node) -> Quantiser:
        if any(name not in self.constants for name in node.inputs[1:]):
            raise UnsupportedLayerError("has a scale, zero point or width that is no constant")
        scale = np.asarray(self.constants[node.inputs[1]], np.float64)
        if not (np.isfinite(scale).all() and (scale > 0).all()):
            raise NetworkError(f"has a scale that is not above 0: {scale.ravel()[:3].tolist()}")
        exact = fractions(scale.ravel()[0] if (scale == scale.flat[0]).all() else scale)
        if node.kind == "BipolarQuant":
            return Quantiser(exact, 0, -1, 1, True, 1, "ROUND", bipolar=True)
        zero, width = (np.asarray(self.constants[name], np.float64).ravel() for name in node.inputs[2:4])
        if not (
            len(width)
            and len(zero)
            and (width == width[0]).all()
            and width[0] % 1 == 0
            and 1 <= width[0] <= 32
            and (zero == zero[0]).all()
            and zero[0] % 1 == 0
            and abs(zero[0]) < 2**31
        ):
            raise UnsupportedLayerError(
                f"has width {width[:3].tolist()} and zero point {zero[:3].tolist()}; both must be one whole "
                "number, the width 1 to 32"
            )
        bits, signed, narrow = (
            int(width[0]),
            bool(node.attributes.get("signed", 1)),
            bool(node.attributes.get("narrow", 0)),
        )
        rounding = str(node.attributes.get("rounding_mode", "ROUND")).upper()
        if bits == 1 and signed:
            return Quantiser(exact, int(zero[0]), -1, 1, True, 1, rounding, bipolar=True)
        lowest, highest = (int(end(signed, narrow, bits)) for end in (min_int, max_int))
        quantiser = Quantiser(exact, int(zero[0]), lowest, highest, signed, bits, rounding)
        quantiser.boundary(0)
        return quantiser

    def _quantise(self, node: Node) -> None:
        quantiser = self._quantiser(node)
        self.bipolar |= quantiser.bipolar
        if quantiser.bipolar and quantiser.zero_point:
            raise UnsupportedLayerError("is bipolar and has a zero point")
        if quantiser.scale.ndim:
            given = np.asarray(self.constants[node.inputs[1]], np.float64)
            scale = self._per_channel(given)
            quantiser = Quantiser(
                scale,
                quantiser.zero_point,
                quantiser.lowest,
                quantiser.highest,
                quantiser.signed,
                quantiser.width,
                quantiser.rounding,
                quantiser.bipolar,
            )
        if self.builder.fixed is None:
            self._quantise_input(quantiser)
        else:
            self.builder.quantise(node.name, self.relu or node.name, quantiser)
        self.relu = None
        scale = quantiser.scale.astype(np.float64)
        along = np.broadcast_to(scale, self.builder.shape).ravel()[self.index].astype(np.float64)
        self.checkpoints.append(Checkpoint(len(self.builder.layers), node.outputs[0], along, self.index))

    def _quantise_input(self, quantiser: Quantiser) -> None:
        builder = self.builder
        plain = not builder.chain.parts and not quantiser.scale.ndim
        roundings: Mapping[str, Rounding] = {
            "ROUND": "half_even",
            "HALF_EVEN": "half_even",
            "FLOOR": "truncate",
        }
        rounding = roundings.get(quantiser.rounding)
        if plain and rounding and not quantiser.zero_point and not quantiser.bipolar:
            fraction = power_of_two(quantiser.scale.item())
            fixed = code_format(quantiser, fraction or 0)
            if fraction is not None and (fixed.minimum, fixed.maximum) == (
                quantiser.lowest,
                quantiser.highest,
            ):
                fixed = FixedPoint(fixed.integer_bits, fraction, signed=fixed.signed, rounding=rounding)
                builder.start(fixed, fixed.minimum, fixed.maximum, quantiser.scale)
                return
        if (quantiser.highest - quantiser.lowest) >= _INPUT_LEVELS:
            raise UnsupportedLayerError("quantises the input to more than 16 bits by a scale of its own")
        thresholds, sign = builder.chain.float_steps(quantiser, builder.channels)
        first, last = (end - quantiser.zero_point for end in (quantiser.lowest, quantiser.highest))
        self.input_steps = InputSteps(thresholds, sign, first, quantiser.step)
        fraction = power_of_two(quantiser.scale.item()) if not quantiser.scale.ndim else None
        builder.start(code_format(quantiser, fraction or 0), first, last, quantiser.scale)

    def _move(self, node: Node) -> None:
        if node.kind == "Cast" and node.attributes.get("to") != 1:
            raise UnsupportedLayerError("casts to another type than float")
        parameters = [self.constants[name] for name in node.inputs[1:] if name]
        self.index = _moved(node, self.index, parameters)

    def _arithmetic(self, node: Node) -> None:
        position = 0 if node.inputs[0] == self.tensor else 1
        name = node.inputs[1 - position]
        value = np.asarray(self.constants[name], np.float64)
        if node.kind == "Div" and position == 1:
            raise UnsupportedLayerError("divides a constant by a value")
        exact = self._per_channel(value)
        chain = self.builder.chain
        match node.kind:
            case "Add":
                self.builder.bias_quantiser = self.quantised.get(name)
                self.builder.chain = chain.affine(1, exact)
            case "Sub":
                self.builder.chain = chain.affine(1, -exact) if position == 0 else chain.affine(-1, exact)
            case "Mul":
                self.builder.chain = chain.affine(exact)
            case _:
                if (exact == 0).any():
                    raise NetworkError("divides by 0")
                self.builder.chain = chain.affine(1 / exact)

    def _normalise(self, node: Node) -> None:
        if len(node.outputs) > 1 or node.attributes.get("training_mode", 0):
            raise UnsupportedLayerError("is in training mode; export the network in evaluation mode")
        if any(name not in self.constants for name in node.inputs[1:]):
            raise UnsupportedLayerError("has parameters that are no constants")
        gamma, beta, mean, variance = (
            np.asarray(self.constants[name], np.float64) for name in node.inputs[1:5]
        )
        factor = gamma / np.sqrt(variance + np.float64(node.attributes.get("epsilon", 1e-5)))
        shape = (1, -1, *(1,) * (self.index.ndim - 2))
        by = self._per_channel(factor.reshape(shape))
        self.builder.chain = self.builder.chain.affine(1, -self._per_channel(mean.reshape(shape)))
        self.builder.chain = self.builder.chain.affine(by, self._per_channel(beta.reshape(shape)))

    def _limit(self, node: Node) -> None:
        if node.kind == "Relu":
            low, high = 0.0, np.inf
            self.relu = node.name
        else:
            ends = [self.constants[name] if name else None for name in (*node.inputs[1:], "", "")][:2]
            low, high = (
                float(node.attributes.get(key, usual)) if end is None else float(np.asarray(end).item())
                for key, end, usual in zip(("min", "max"), ends, (-np.inf, np.inf), strict=True)
            )
        self.builder.chain = self.builder.chain.clip(
            Fraction(low) if np.isfinite(low) else None, Fraction(high) if np.isfinite(high) else None
        )

    def _convolution(self, node: Node) -> None:
        weight = self._weight(node)
        if weight.codes.ndim != 4 or weight.codes.shape[2] != weight.codes.shape[3]:
            raise UnsupportedLayerError(
                f"has a kernel of {weight.codes.shape[2:]}; taken are square 2-D ones"
            )
        units, _, kernel, _ = weight.codes.shape
        strides = _pair(node, "strides")
        if _pair(node, "dilations") != [1, 1] or strides[0] != strides[1]:
            raise UnsupportedLayerError("has dilations, or strides that differ")
        shape = self._image()
        padding = _padding(node, shape, kernel, strides[0])
        layer = Conv(
            self.builder.name(node.name),
            units,
            kernel=kernel,
            stride=strides[0],
            padding=padding,
            groups=int(node.attributes.get("group", 1)),
        )
        layer.output_shape(shape)
        if weight.codes.shape[1] * layer.groups != shape[2]:
            raise NetworkError(f"has weights {weight.codes.shape} that do not fit its input {shape}")
        self.builder.affine(layer, weight.map(lambda array: array.transpose(2, 3, 1, 0)))
        self._image_made()
        if len(node.inputs) > 2 and node.inputs[2]:
            self._bias(node.inputs[2], (1, -1, 1, 1))

    def _dense(self, node: Node) -> None:
        if node.inputs[0] != self.tensor or node.attributes.get("transA", 0):
            raise UnsupportedLayerError("multiplies by the value from the right, or transposes it")
        weight = self._weight(node)
        if node.attributes.get("transB", 0):
            weight = weight.map(np.transpose)
        if weight.codes.ndim != 2 or self.index.shape[-1] != self.index.size:
            raise UnsupportedLayerError(
                f"multiplies values {self.index.shape} by weights {weight.codes.shape}; taken are flat ones"
            )
        if len(weight.codes) != self.index.size:
            raise NetworkError(
                f"has weights {weight.codes.shape} that do not fit its {self.index.size} inputs"
            )
        self.builder.flatten()
        rows = np.argsort(self.index.ravel())
        units = weight.codes.shape[1]
        layer = Dense(self.builder.name(node.name), units)
        self.builder.affine(layer, weight.map(lambda array: array[rows]))
        self.index = np.arange(units).reshape(*self.index.shape[:-1], units)
        alpha = float(node.attributes.get("alpha", 1.0))
        if alpha != 1.0:
            self.builder.chain = self.builder.chain.affine(Fraction(alpha))
        if node.kind == "Gemm" and len(node.inputs) > 2 and node.inputs[2]:
            self._bias(node.inputs[2], None, float(node.attributes.get("beta", 1.0)))

    def _weight(self, node: Node) -> QuantisedArray:
        name = node.inputs[1]
        if name not in self.quantised:
            raise UnsupportedLayerError("has weights that are not quantised; they need a Quant node")
        return self.quantised[name]

    def _bias(self, name: str, shape: Sequence[int] | None, factor: float = 1.0) -> None:
        value = np.asarray(self.constants[name], np.float64) * factor
        exact = self._per_channel(value if shape is None else value.reshape(shape))
        self.builder.bias_quantiser = self.quantised.get(name)
        self.builder.chain = self.builder.chain.affine(1, exact)

    def _pool(self, node: Node) -> None:
        kernel = list(node.attributes["kernel_shape"])
        if len(kernel) != 2 or len(node.outputs) > 1 or _pair(node, "dilations") != [1, 1]:
            raise UnsupportedLayerError("is no plain 2-D pooling")
        if kernel[0] != kernel[1] or _pair(node, "strides") != kernel:
            raise UnsupportedLayerError(
                f"has windows {kernel} and strides {_pair(node, 'strides')}; taken are square windows side "
                "by side"
            )
        size, shape = int(kernel[0]), self._image()
        pads = _pads(node, shape, size, size)
        over = tuple(-length % size for length in shape[:2])
        if self.builder.fixed is None:
            raise UnsupportedLayerError(
                "takes an input that is not quantised; say the format of its input (input_format)"
            )
        if pads == (0, 0, *over):
            partial = True
        elif pads == (0, 0, 0, 0):
            partial = bool(node.attributes.get("ceil_mode", 0))
        else:
            raise UnsupportedLayerError(f"has the padding {pads}; taken is none, or {(0, 0, *over)}")
        name = self.builder.name(node.name)
        self.builder.pool(MaxPool(name, size, partial if any(over) else True))
        self._image_made()

    def _resize(self, node: Node) -> None:
        names = dict(zip(("x", "roi", "scales", "sizes"), node.inputs, strict=False))
        scales = self.constants.get(names.get("scales", ""), np.zeros(0)).ravel().tolist()
        form = tuple(
            node.attributes.get(key) for key in ("mode", "coordinate_transformation_mode", "nearest_mode")
        )
        if (
            form != ("nearest", "asymmetric", "floor")
            or len(scales) != 4
            or scales[:2] != [1, 1]
            or scales[2] != scales[3]
            or scales[2] % 1
        ):
            raise UnsupportedLayerError("is no nearest-neighbour upsampling by one whole factor")
        self._image()
        if self.builder.fixed is None:
            raise UnsupportedLayerError("takes an input that is not quantised (input_format says its format)")
        self.builder.upsample(Upsample(self.builder.name(node.name), int(scales[2])))
        self._image_made()

    def _image(self) -> tuple[int, ...]:
        """Shape, channels last, of the current value, which lies in the network as it has to for an image."""
        shape = self.builder.shape
        if self.index.ndim != 4 or len(shape) != 3 or not _lies(self.index, shape):
            raise UnsupportedLayerError(
                f"needs an image (batch, channels, height, width), got {self.index.shape} made of {shape}"
            )
        return shape

    def _image_made(self) -> None:
        shape = self.builder.shape
        self.index = np.arange(np.prod(shape)).reshape(shape).transpose(2, 0, 1)[None]

    def _per_channel(self, value: Array) -> Exact:
        """Exact values for the channels of the edge; the edge is flattened where they differ within one."""
        if value.size == 1:
            return fractions(value.reshape(()))
        if np.broadcast_shapes(value.shape, self.index.shape) != self.index.shape:
            raise UnsupportedLayerError(
                f"broadcasts {self.index.shape} to the shape {value.shape} of a constant"
            )
        flat = np.empty(self.index.size)
        flat[self.index.ravel()] = np.broadcast_to(value, self.index.shape).ravel()
        rows = flat.reshape(-1, self.builder.channels)
        if (rows == rows[0]).all():
            return fractions(rows[0])
        self.builder.flatten()
        return fractions(flat)


@contextmanager
def _named(node: Node) -> Iterator[None]:
    """Errors inside begin with the node."""
    try:
        yield
    except CodesignError as error:
        raise type(error)(f"{node} {error}") from error
    except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        words = " ".join(str(error).split())[:160]
        raise NetworkError(f"{node} cannot be read: {type(error).__name__}: {words}") from error


def _moved(node: Node, array: Array, parameters: Sequence[Array]) -> Array:
    """An array as ``Transpose``, ``Reshape`` and their like leave it."""
    axes = parameters[0].ravel().tolist() if parameters else node.attributes.get("axes")
    match node.kind:
        case "Transpose":
            return array.transpose(node.attributes.get("perm"))
        case "Reshape":
            wanted = [array.shape[i] if size == 0 else size for i, size in enumerate(axes or ())]
            return array.reshape(wanted)
        case "Flatten":
            axis = int(node.attributes.get("axis", 1))
            return array.reshape(int(np.prod(array.shape[:axis])), -1)
        case "Squeeze":
            return array.squeeze(None if axes is None else tuple(axes))
        case "Unsqueeze":
            return np.expand_dims(array, tuple(axes or ()))
        case _:
            return array


def _channels_last(graph: Graph, index: Array) -> Shape | None:
    """Shape, channels last, of the image that the first convolution or pooling sees in the input as it is.

    None where there is none, or where the channels come first in the input.
    """
    tensor = graph.input_name
    for node in graph.nodes:
        if tensor not in node.inputs:
            continue
        if node.kind in _MOVES:
            parameters = [graph.constants[name] for name in node.inputs[1:] if name in graph.constants]
            index = _moved(node, index, parameters)
        elif node.kind in ("Conv", "MaxPool", "Resize") and index.ndim == 4:
            image = index[0].transpose(1, 2, 0)
            return image.shape if np.array_equal(image.ravel(), np.arange(index.size)) else None
        elif node.kind in ("Conv", "MaxPool", "Resize", "MatMul", "Gemm"):
            return None
        tensor = node.outputs[0]
    return None


def _lies(index: Array, shape: Sequence[int]) -> bool:
    channels_last = index[0].transpose(1, 2, 0)
    return channels_last.shape == tuple(shape) and np.array_equal(
        channels_last.ravel(), np.arange(index.size)
    )


def _pair(node: Node, key: str) -> list[int]:
    return [int(value) for value in node.attributes.get(key, (1, 1))]


def _padding(node: Node, shape: Sequence[int], kernel: int, stride: int) -> tuple[int, int, int, int] | None:
    """Zeros at the top, left, bottom and right; None where they are those of "same"."""
    pads = _pads(node, shape, kernel, stride)
    return None if pads == _same(shape, kernel, stride) else pads


def _pads(node: Node, shape: Sequence[int], kernel: int, stride: int) -> tuple[int, int, int, int]:
    same = _same(shape, kernel, stride)
    automatic = node.attributes.get("auto_pad", "NOTSET")
    if automatic == "SAME_UPPER":
        return same
    if automatic == "SAME_LOWER":
        return (same[2], same[3], same[0], same[1])
    given = node.attributes.get("pads") if automatic == "NOTSET" else None
    pads = tuple(int(pad) for pad in given or (0, 0, 0, 0))
    if len(pads) != 4:
        raise UnsupportedLayerError(f"has the padding {pads}; taken are images")
    return pads


def _same(shape: Sequence[int], kernel: int, stride: int) -> tuple[int, int, int, int]:
    rows, columns = (same_padding(size, kernel, stride) for size in shape[:2])
    return (rows[0], columns[0], rows[1], columns[1])
