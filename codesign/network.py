"""A quantised network as data, and the integer interpreter that defines its answers.

Arrays are channels last: ``(n, height, width, channels)``. Kernels keep the layout of Keras, in which
the published networks are stored: convolution ``(k, k, in, out)``, transposed convolution
``(k, k, out, in)``, dense ``(in, out)``.

Every edge has a ``FixedPoint`` format or, in a float network and behind the chip, none. Inside the chip
nothing is rounded but where a format says so: a convolution or dense layer yields its exact accumulator,
and the activation that follows rounds it into its own format.
"""

import hashlib
import json
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import product
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from codesign.errors import NetworkError, UnsupportedLayerError
from codesign.fixedpoint import FixedPoint, IntArray

__all__ = [
    "LAYER_KINDS",
    "Conditions",
    "Conv",
    "ConvTranspose",
    "Dense",
    "Flatten",
    "Folding",
    "Layer",
    "MaxPool",
    "Network",
    "ReLU",
    "Reshape",
    "Shape",
    "Sigmoid",
    "Thresholds",
    "Upsample",
    "require_plain",
    "same_padding",
]

Shape = tuple[int, ...]
FloatArray = NDArray[np.float64]
Array = IntArray | FloatArray
FORMAT_VERSION = 1
EXACT_BITS = 53


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after an axis of a "same" convolution (the rule of TensorFlow).

    Examples
    --------
    >>> same_padding(8, 3, 2)
    (0, 1)
    """
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


@dataclass(frozen=True, slots=True)
class Layer:
    """One step of a network; its name is unique in the network."""

    name: str

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of one output, without the batch axis."""
        return shape

    def weight_shapes(self, shape: Shape) -> dict[str, Shape]:
        """Shapes of the arrays this layer is fitted with, by ``weight``, ``bias`` and so on."""
        return {}


@dataclass(frozen=True, slots=True)
class Folding:
    """How a layer shares its multipliers over time: ``pe * simd`` of them compute all its products.

    Terms and rules are FINN's (Blott et al., FINN-R, arXiv:1809.04570, section 4.3): ``pe`` outputs and
    ``simd`` products of each are computed in a cycle.

    Parameters
    ----------
    pe
        Processing elements; divides the layer's units.
    simd
        Products of a sum at a time; divides its fan-in.
    """

    pe: int
    simd: int


@dataclass(frozen=True, slots=True)
class _Affine(Layer):
    units: int
    weight: FixedPoint | None = field(default=None, kw_only=True)
    bias: FixedPoint | None = field(default=None, kw_only=True)
    folding: Folding | None = field(default=None, kw_only=True)

    def fan_in(self, shape: Shape) -> int:
        """Products in each sum, of an input of this shape."""
        return int(prod(self.weight_shapes(shape)["weight"])) // self.units

    def reuse_factor(self, shape: Shape) -> int:
        """How often each multiplier is used for one output vector; 1 without folding.

        hls4ml's reuse factor: ``fan_in * units / (pe * simd)``.
        """
        if self.folding is None:
            return 1
        return self.fan_in(shape) * self.units // (self.folding.pe * self.folding.simd)

    def _require_whole_folds(self, shape: Shape) -> None:
        fold, fan_in = self.folding, self.fan_in(shape)
        if fold is None:
            return
        for name, part, whole in (("pe", fold.pe, self.units), ("simd", fold.simd, fan_in)):
            if part < 1 or whole % part:
                raise NetworkError(
                    f"layer {self.name!r} has folding {name}={part}, which must divide {whole}"
                )

    def __post_init__(self) -> None:
        """Reject an empty layer and half a quantisation."""
        if self.units < 1:
            raise NetworkError(f"layer {self.name!r} needs at least 1 unit, got {self.units}")
        if (self.weight is None) != (self.bias is None):
            raise NetworkError(f"layer {self.name!r} has a format for only one of weight and bias; give both")

    def _require_image(self, shape: Shape) -> None:
        if len(shape) != 3:
            raise NetworkError(f"layer {self.name!r} needs an image (height, width, channels), got {shape}")


@dataclass(frozen=True, slots=True)
class Conv(_Affine):
    """2-D convolution, square kernel, with bias; ``units`` are the filters.

    ``padding`` are the zeros before and after: top, left, bottom, right; None is the rule of "same". With
    ``groups``, each group of filters sees its own part of the channels.
    """

    kernel: int = 3
    stride: int = 1
    padding: tuple[int, int, int, int] | None = None
    groups: int = 1

    @property
    def plain(self) -> bool:
        """Whether it is a "same" convolution over all channels, the form of the search spaces."""
        return self.padding is None and self.groups == 1

    def pads(self, shape: Shape) -> tuple[tuple[int, int], tuple[int, int]]:
        """Zeros before and after the rows, and before and after the columns."""
        if self.padding is None:
            rows, columns = (same_padding(size, self.kernel, self.stride) for size in shape[:2])
            return rows, columns
        top, left, bottom, right = self.padding
        return (top, bottom), (left, right)

    def output_shape(self, shape: Shape) -> Shape:
        """``(ceil(height / stride), ceil(width / stride), units)`` with "same" padding."""
        self._require_image(shape)
        self._require_form(shape)
        sizes = [
            (size + sum(pads) - self.kernel) // self.stride + 1
            for size, pads in zip(shape, self.pads(shape), strict=False)
        ]
        if min(sizes) < 1:
            raise NetworkError(
                f"layer {self.name!r} has a kernel of {self.kernel}, which does not fit its input {shape} "
                f"with the padding {self.padding}"
            )
        return (sizes[0], sizes[1], self.units)

    def weight_shapes(self, shape: Shape) -> dict[str, Shape]:
        """Kernel ``(k, k, in / groups, out)`` and bias ``(out,)``."""
        kernel = (self.kernel, self.kernel, shape[2] // self.groups, self.units)
        return {"weight": kernel, "bias": (self.units,)}

    def _require_form(self, shape: Shape) -> None:
        if self.padding is not None and min(self.padding) < 0:
            raise NetworkError(f"layer {self.name!r} has the padding {self.padding}; it cannot be negative")
        if self.groups < 1 or shape[2] % self.groups or self.units % self.groups:
            raise NetworkError(
                f"layer {self.name!r} has {self.groups} groups, which must divide its {shape[2]} channels "
                f"and its {self.units} filters"
            )


@dataclass(frozen=True, slots=True)
class ConvTranspose(_Affine):
    """2-D transposed convolution, "same" padding: the image grows by the stride."""

    kernel: int = 3
    stride: int = 1

    def output_shape(self, shape: Shape) -> Shape:
        """``(height * stride, width * stride, units)``."""
        self._require_image(shape)
        return (shape[0] * self.stride, shape[1] * self.stride, self.units)

    def weight_shapes(self, shape: Shape) -> dict[str, Shape]:
        """Kernel ``(k, k, out, in)`` and bias ``(out,)``."""
        return {"weight": (self.kernel, self.kernel, self.units, shape[2]), "bias": (self.units,)}


@dataclass(frozen=True, slots=True)
class Dense(_Affine):
    """Fully connected layer on a flat input."""

    def output_shape(self, shape: Shape) -> Shape:
        """``(units,)``."""
        if len(shape) != 1:
            raise NetworkError(
                f"layer {self.name!r} needs a flat input, got {shape}; put a Flatten before it"
            )
        return (self.units,)

    def weight_shapes(self, shape: Shape) -> dict[str, Shape]:
        """Matrix ``(in, out)`` and bias ``(out,)``."""
        return {"weight": (shape[0], self.units), "bias": (self.units,)}


@dataclass(frozen=True, slots=True)
class MaxPool(Layer):
    """Maximum over ``size`` x ``size`` windows; ``partial`` keeps those that reach over the edge."""

    size: int = 2
    partial: bool = True

    def output_shape(self, shape: Shape) -> Shape:
        """Height and width divided by ``size``, rounded up if partial windows are kept, else down."""
        over = self.size - 1 if self.partial else 0
        return ((shape[0] + over) // self.size, (shape[1] + over) // self.size, shape[2])


@dataclass(frozen=True, slots=True)
class Upsample(Layer):
    """Nearest-neighbour upsampling by ``size``."""

    size: int = 2

    def output_shape(self, shape: Shape) -> Shape:
        """Height and width times ``size``."""
        return (shape[0] * self.size, shape[1] * self.size, shape[2])


@dataclass(frozen=True, slots=True)
class Flatten(Layer):
    """Image to vector, channels last: row, column, channel."""

    def output_shape(self, shape: Shape) -> Shape:
        """``(product of the shape,)``."""
        return (int(prod(shape)),)


@dataclass(frozen=True, slots=True)
class Reshape(Layer):
    """Vector to image, channels last."""

    shape: Shape = ()

    def output_shape(self, shape: Shape) -> Shape:
        """The given shape, which must hold as many values."""
        if np.prod(shape) != np.prod(self.shape):
            raise NetworkError(f"layer {self.name!r} cannot shape {shape} into {self.shape}")
        return self.shape


@dataclass(frozen=True, slots=True)
class Conditions(Layer):
    """A second input: ``count`` values that are known of each sample, put behind the values of the vector.

    Behind the chip only, in float: what reads the chip out knows them, the chip does not.
    """

    count: int

    def output_shape(self, shape: Shape) -> Shape:
        """``(size + count,)``."""
        if len(shape) != 1 or self.count < 1:
            raise NetworkError(
                f"layer {self.name!r} puts {self.count} values behind an input of shape {shape}; it needs a "
                "flat input and at least 1 value"
            )
        return (shape[0] + self.count,)


@dataclass(frozen=True, slots=True)
class ReLU(Layer):
    """``max(x, 0)``, then rounding into ``output``; with ``output`` None the value stays as it is."""

    output: FixedPoint | None = None


@dataclass(frozen=True, slots=True)
class Thresholds(Layer):
    """An activation of any monotone form: ``first + step * (number of thresholds that are reached)``.

    A channel of value ``x`` reaches threshold ``t`` if ``sign * x >= t``, in integers; the channel's
    ``sign`` is 1, or -1 where the activation falls. Normalisation, bias, scales that are no power of two and
    rounding all go into the thresholds (Umuroglu et al., FINN, arXiv:1612.07119, section 4.2.2).

    Parameters
    ----------
    output
        Format of ``first + step * n``.
    thresholds
        Format of the thresholds; it has the fraction bits of the input.
    count
        Thresholds of each channel; they ascend.
    first, step
        Code below all thresholds, and between two of them (2 for the values -1 and 1).
    """

    output: FixedPoint
    thresholds: FixedPoint
    count: int
    first: int = 0
    step: int = 1

    def __post_init__(self) -> None:
        """Reject codes outside the format."""
        last = self.first + self.step * self.count
        low, high = min(self.first, last), max(self.first, last)
        if self.count < 1 or not (self.output.minimum <= low and high <= self.output.maximum):
            raise NetworkError(
                f"layer {self.name!r} has {self.count} thresholds and codes {low} to {high}; it needs at "
                f"least one threshold and codes in {self.output.minimum} to {self.output.maximum}"
            )

    @property
    def sign(self) -> FixedPoint:
        """Format of the signs."""
        return FixedPoint(1, 0)

    def weight_shapes(self, shape: Shape) -> dict[str, Shape]:
        """Thresholds ``(channels, count)`` and sign ``(channels,)``."""
        return {"thresholds": (shape[-1], self.count), "sign": (shape[-1],)}


@dataclass(frozen=True, slots=True)
class Sigmoid(Layer):
    """Logistic function; float only."""


LAYER_KINDS: Mapping[str, type[Layer]] = {
    "conv": Conv,
    "conv_transpose": ConvTranspose,
    "dense": Dense,
    "max_pool": MaxPool,
    "upsample": Upsample,
    "flatten": Flatten,
    "reshape": Reshape,
    "conditions": Conditions,
    "relu": ReLU,
    "thresholds": Thresholds,
    "sigmoid": Sigmoid,
}
_KIND_OF = {layer: kind for kind, layer in LAYER_KINDS.items()}
_LEFT_OUT = {"padding": None, "groups": 1, "partial": True}
"""Values that the JSON of a layer does not say: those of networks older than the fields."""


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A network as data: layers, a format at every edge, and the weights once fitted.

    Parameters
    ----------
    input_shape
        Shape of one input, without the batch axis; an image is ``(height, width, channels)``.
    layers
        In order of execution. Shapes and formats are checked at birth.
    input_format
        Format the input is rounded into; None for a float network.
    chip_layers
        How many leading layers run on the device. They are priced and exported; the others run elsewhere,
        in float. None means all.
    weights
        ``"<layer>.weight"`` and ``"<layer>.bias"`` to arrays: integer codes where the layer has formats,
        real values where it has none; for ``Thresholds``, ``"<layer>.thresholds"`` and ``"<layer>.sign"``.
        Empty until fitted.

    Raises
    ------
    NetworkError
        For layers that do not fit together, or weights of a wrong name, shape or range.
    """

    input_shape: Shape
    layers: tuple[Layer, ...]
    input_format: FixedPoint | None = None
    chip_layers: int | None = None
    weights: Mapping[str, Array] = field(default_factory=dict)
    _shapes: tuple[Shape, ...] = field(init=False, repr=False)
    _formats: tuple[FixedPoint | None, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Derive shapes and formats, and check that everything fits."""
        names = [layer.name for layer in self.layers]
        if len(set(names)) != len(names):
            raise NetworkError(f"layer names must be unique, got {names}")
        if self.chip_layers is not None and not 0 <= self.chip_layers <= len(names):
            raise NetworkError(f"chip_layers is 0 to {len(names)}, got {self.chip_layers}")
        self._require_conditions_behind_the_chip()
        shapes: list[Shape] = [tuple(self.input_shape)]
        formats: list[FixedPoint | None] = [self.input_format]
        for layer in self.layers:
            formats.append(_edge_format(layer, shapes[-1], formats[-1]))
            shapes.append(layer.output_shape(shapes[-1]))
            if isinstance(layer, _Affine):
                layer._require_whole_folds(shapes[-2])
        object.__setattr__(self, "input_shape", shapes[0])
        object.__setattr__(self, "_shapes", tuple(shapes))
        object.__setattr__(self, "_formats", tuple(formats))
        object.__setattr__(self, "weights", MappingProxyType(self._checked_weights()))

    def _require_conditions_behind_the_chip(self) -> None:
        places = [index for index, layer in enumerate(self.layers) if isinstance(layer, Conditions)]
        first = len(self.layers) if self.chip_layers is None else self.chip_layers
        if len(places) > 1 or any(place < first for place in places):
            names = ", ".join(repr(self.layers[place].name) for place in places)
            raise NetworkError(f"layer {names}: a network takes conditions once, behind its chip part")

    def _checked_weights(self) -> dict[str, Array]:
        if not self.weights:
            return {}
        expected = {
            f"{layer.name}.{role}": (shape, getattr(layer, role))
            for layer, before in zip(self.layers, self._shapes, strict=False)
            for role, shape in layer.weight_shapes(before).items()
        }
        if set(self.weights) != set(expected):
            raise NetworkError(f"weights are {sorted(self.weights)}, expected {sorted(expected)}")
        checked = {
            name: _checked_array(name, self.weights[name], shape, fixed)
            for name, (shape, fixed) in expected.items()
        }
        for layer in self.layers:
            if isinstance(layer, Thresholds):
                _require_steps(layer.name, checked)
        return checked

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Shape at every edge: the input's, then that behind each layer."""
        return self._shapes

    @property
    def formats(self) -> tuple[FixedPoint | None, ...]:
        """Format at every edge; that behind a convolution or dense layer is its exact accumulator."""
        return self._formats

    @property
    def output_shape(self) -> Shape:
        """Shape of one output."""
        return self._shapes[-1]

    @property
    def fitted(self) -> bool:
        """Whether the network has all the weights it needs."""
        return bool(self.weights) or self.parameter_count() == 0

    @property
    def conditions(self) -> int:
        """Values of the second input; 0 without one."""
        return sum(layer.count for layer in self.layers if isinstance(layer, Conditions))

    @property
    def chip(self) -> "Network":
        """The part that runs on the device, as a network of its own."""
        count = len(self.layers) if self.chip_layers is None else self.chip_layers
        kept = self.layers[:count]
        names = {layer.name for layer in kept}
        weights = {name: array for name, array in self.weights.items() if name.rsplit(".", 1)[0] in names}
        return Network(self.input_shape, kept, self.input_format, None, weights)

    def parameter_count(self) -> int:
        """Weights and biases of all layers."""
        return sum(
            int(np.prod(shape))
            for layer, before in zip(self.layers, self._shapes, strict=False)
            for shape in layer.weight_shapes(before).values()
        )

    def with_weights(self, weights: Mapping[str, NDArray[Any]]) -> "Network":
        """The same network with these weights."""
        return replace(self, weights=weights)

    def trace(
        self, inputs: NDArray[Any], conditions: NDArray[Any] | None = None
    ) -> Iterator[tuple[str, Array]]:
        """Values at every edge: ``("input", codes)``, then the name of each layer and its output.

        Codes (integers) where the edge has a format, real values elsewhere. This is the reference that
        every exported form is compared with.

        Parameters
        ----------
        inputs
            Shape ``(n, *input_shape)``, real values.
        conditions
            Shape ``(n, conditions)``, of a network that takes them.
        """
        if not self.fitted:
            raise NetworkError("the network has no weights yet; fit it or load weights first")
        inputs = np.asarray(inputs)
        if inputs.shape[1:] != self.input_shape:
            raise NetworkError(f"inputs have shape {inputs.shape}, expected (n, {self.input_shape})")
        known = np.zeros((len(inputs), 0)) if conditions is None else np.asarray(conditions, np.float64)
        if known.shape != (len(inputs), self.conditions):
            raise NetworkError(
                f"conditions have shape {known.shape}, expected {(len(inputs), self.conditions)}: the "
                f"network takes {self.conditions} beside each input"
            )
        value: Array = self.input_format.quantise(inputs) if self.input_format else inputs.astype(np.float64)
        yield "input", value
        for layer, before, after in zip(self.layers, self._formats, self._formats[1:], strict=False):
            value = self._step(layer, value, before, after, known)
            yield layer.name, value

    def _step(
        self,
        layer: Layer,
        value: Array,
        before: FixedPoint | None,
        after: FixedPoint | None,
        known: FloatArray,
    ) -> Array:
        if before is not None and after is None:
            value, before = before.dequantise(cast(IntArray, value)), None
        match layer:
            case Conv() | ConvTranspose() | Dense():
                return self._affine(layer, value, before)
            case ReLU():
                rectified = np.maximum(value, 0)
                if layer.output is None or before is None:
                    return rectified
                return layer.output.requantise(cast(IntArray, rectified), before.fraction_bits)
            case Thresholds():
                return self._thresholds(layer, cast(IntArray, value))
            case MaxPool():
                if not layer.partial:
                    value = value[:, : value.shape[1] // layer.size * layer.size]
                    value = value[:, :, : value.shape[2] // layer.size * layer.size]
                return _max_pool(value, layer.size)
            case Upsample():
                return value.repeat(layer.size, axis=1).repeat(layer.size, axis=2)
            case Flatten() | Reshape():
                shape = layer.output_shape(value.shape[1:])
                return value.reshape(len(value), *shape)
            case Conditions():
                return np.concatenate([value, known], axis=1)
            case Sigmoid():
                return 0.5 * (1.0 + np.tanh(0.5 * value))
            case _:
                raise NetworkError(f"layer {layer.name!r} is of an unknown kind {type(layer).__name__}")

    def _affine(self, layer: _Affine, value: Array, before: FixedPoint | None) -> Array:
        """Products in float64, exact for integers below 2**53, which the accumulator format ensures."""
        weight = self.weights[f"{layer.name}.weight"].astype(np.float64)
        bias = self.weights[f"{layer.name}.bias"]
        real = value.astype(np.float64)
        if isinstance(layer, Conv):
            total = _conv(real, weight, layer)
        elif isinstance(layer, ConvTranspose):
            total = _conv_transpose(real, weight, layer.stride)
        else:
            total = real @ weight
        if before is None or layer.weight is None:
            return total + bias
        return total.astype(np.int64) + (cast(IntArray, bias) << _bias_shift(layer, before))

    def _thresholds(self, layer: Thresholds, value: IntArray) -> IntArray:
        signed = value * self.weights[f"{layer.name}.sign"]
        reached = np.empty_like(signed)
        for channel, thresholds in enumerate(self.weights[f"{layer.name}.thresholds"]):
            reached[..., channel] = np.searchsorted(thresholds, signed[..., channel], side="right")
        return layer.first + layer.step * reached

    def codes(self, inputs: NDArray[Any]) -> Array:
        """Output of the chip part: integer codes of a quantised network, real values of a float one.

        Shape ``(n, *inputs)`` to ``(n, *output of the chip)``.
        """
        return _last(self.chip.trace(inputs))

    def predict(
        self, inputs: NDArray[Any], conditions: NDArray[Any] | None = None, *, chunk: int = 256
    ) -> FloatArray:
        """Real output of the whole network.

        Parameters
        ----------
        inputs
            Shape ``(n, *input_shape)``.
        conditions
            Shape ``(n, conditions)``, of a network that takes them.
        chunk
            Inputs computed at once; bounds the memory, does not change the result.

        Returns
        -------
        outputs
            Shape ``(n, *output_shape)``.
        """
        if conditions is not None and len(conditions) != len(inputs):
            raise NetworkError(f"there are {len(conditions)} rows of conditions for {len(inputs)} inputs")
        parts = [slice(start, start + chunk) for start in range(0, max(len(inputs), 1), chunk)]
        return np.concatenate(
            [self._predict(inputs[part], None if conditions is None else conditions[part]) for part in parts]
        )

    def _predict(self, inputs: NDArray[Any], conditions: NDArray[Any] | None) -> FloatArray:
        value = _last(self.trace(inputs, conditions))
        last = self._formats[-1]
        return last.dequantise(cast(IntArray, value)) if last else cast(FloatArray, value)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "codesign_network": FORMAT_VERSION,
            "input_shape": list(self.input_shape),
            "input_format": self.input_format.to_dict() if self.input_format else None,
            "chip_layers": self.chip_layers,
            "layers": [_layer_to_dict(layer) for layer in self.layers],
            "weights": {
                name: {"shape": list(array.shape), "values": array.ravel().tolist()}
                for name, array in self.weights.items()
            },
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of ``to_dict``; raise ``NetworkError`` for anything else."""
        if not isinstance(data, Mapping) or data.get("codesign_network") != FORMAT_VERSION:
            raise NetworkError(
                f"not a network of version {FORMAT_VERSION}: no 'codesign_network' key of that value"
            )
        try:
            given = data["input_format"]
            return cls(
                input_shape=tuple(data["input_shape"]),
                layers=tuple(_layer_from_dict(layer) for layer in data["layers"]),
                input_format=FixedPoint.from_dict(given) if given else None,
                chip_layers=data["chip_layers"],
                weights={
                    name: np.asarray(array["values"]).reshape(array["shape"])
                    for name, array in data["weights"].items()
                },
            )
        except (KeyError, TypeError, ValueError) as error:
            raise NetworkError(f"the network's data is damaged: {type(error).__name__}: {error}") from error

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read the JSON file ``path``."""
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise NetworkError(f"cannot read the network {path}: {error.strerror or error}") from error
        except ValueError as error:
            raise NetworkError(f"{path} is not JSON: {error}") from error
        try:
            return cls.from_dict(data)
        except NetworkError as error:
            raise NetworkError(f"{path}: {error}") from error

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, hexadecimal."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        """Same layers, formats and weights."""
        return self.to_dict() == other.to_dict() if isinstance(other, Network) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the public fields: a mapping proxy cannot be pickled."""
        args = (self.input_shape, self.layers, self.input_format, self.chip_layers, dict(self.weights))
        return (type(self), args)


def require_plain(network: Network, user: str) -> None:
    """Raise ``UnsupportedLayerError`` for a layer of a form that only imported networks have.

    These are thresholds, groups, padding other than "same" and pooling that crops: the interpreter and the
    hardware models take them, ``user`` does not.
    """
    for layer in network.layers:
        if isinstance(layer, Conv) and not layer.plain:
            form = f"padding {layer.padding}" if layer.groups == 1 else f"{layer.groups} groups"
        elif isinstance(layer, MaxPool) and not layer.partial:
            form = "windows cropped at the edge"
        elif isinstance(layer, Thresholds):
            form = "thresholds"
        else:
            continue
        raise UnsupportedLayerError(
            f"{user}: layer {layer.name!r} has {form}, as only imported networks have; {user} takes networks "
            "without"
        )


def _last(steps: Iterator[tuple[str, Array]]) -> Array:
    return deque(steps, maxlen=1)[0][1]


def _edge_format(layer: Layer, shape: Shape, before: FixedPoint | None) -> FixedPoint | None:
    """Format behind a layer whose input has the given shape and format."""
    if isinstance(layer, _Affine):
        if layer.weight is None:
            return None
        if before is None:
            raise NetworkError(
                f"layer {layer.name!r} has fixed-point weights but a float input; quantise its input"
            )
        return _accumulator(layer, shape, before)
    if isinstance(layer, ReLU) and layer.output is not None:
        if before is None:
            raise NetworkError(f"layer {layer.name!r} rounds to fixed point but its input is float")
        return layer.output
    if isinstance(layer, Thresholds):
        if before is None or before.fraction_bits != layer.thresholds.fraction_bits:
            raise NetworkError(
                f"layer {layer.name!r} has thresholds in {layer.thresholds}; its input, in {before}, must "
                "have as many fraction bits"
            )
        return layer.output
    return None if isinstance(layer, Sigmoid | Conditions) else before


def _bias_shift(layer: _Affine, before: FixedPoint) -> int:
    """Left shift that aligns a bias code with the accumulator."""
    assert layer.weight is not None
    assert layer.bias is not None
    return before.fraction_bits + layer.weight.fraction_bits - layer.bias.fraction_bits


def _accumulator(layer: _Affine, shape: Shape, before: FixedPoint) -> FixedPoint:
    """Narrowest signed format that holds every sum the layer can make, whatever its weights."""
    assert layer.weight is not None
    assert layer.bias is not None
    if _bias_shift(layer, before) < 0:
        raise NetworkError(
            f"the bias of layer {layer.name!r} is finer than its accumulator; give it fewer fraction bits"
        )
    value, weight, bias = (max(-f.minimum, f.maximum) for f in (before, layer.weight, layer.bias))
    bound = layer.fan_in(shape) * value * weight + (bias << _bias_shift(layer, before))
    width = bound.bit_length() + 1
    fraction = before.fraction_bits + layer.weight.fraction_bits
    if width > EXACT_BITS - 5:
        raise NetworkError(
            f"layer {layer.name!r} needs a {width}-bit accumulator, the largest is {EXACT_BITS - 5}"
        )
    return FixedPoint(width - 1 - fraction, fraction)


def _checked_array(name: str, array: NDArray[Any], shape: Shape, fixed: FixedPoint | None) -> Array:
    array = np.asarray(array)
    if array.shape != shape:
        raise NetworkError(f"{name} has shape {array.shape}, expected {shape}")
    if fixed is None:
        checked: Array = array.astype(np.float64)
        if not np.isfinite(checked).all():
            raise NetworkError(f"{name} holds values that are not finite")
    else:
        checked = array.astype(np.int64)
        if not np.array_equal(checked, array):
            raise NetworkError(f"{name} must hold integer codes of {fixed}")
        if checked.size and not (fixed.minimum <= checked.min() and checked.max() <= fixed.maximum):
            raise NetworkError(
                f"{name} holds codes from {checked.min()} to {checked.max()}, "
                f"its format allows {fixed.minimum} to {fixed.maximum}"
            )
    checked.setflags(write=False)
    return checked


def _require_steps(name: str, weights: Mapping[str, Array]) -> None:
    thresholds, sign = weights[f"{name}.thresholds"], weights[f"{name}.sign"]
    if (np.diff(thresholds, axis=1) < 0).any() or not np.isin(sign, (-1, 1)).all():
        raise NetworkError(
            f"layer {name!r} needs thresholds that ascend in each channel, and signs of 1 or -1"
        )


def _conv(value: FloatArray, weight: FloatArray, layer: Conv) -> FloatArray:
    stride, shape = layer.stride, value.shape[1:]
    padded = np.pad(value, [(0, 0), *layer.pads(shape), (0, 0)])
    height, width, _ = layer.output_shape(shape)
    total = np.zeros((len(value), height, width, layer.units))
    inner, outer = shape[2] // layer.groups, layer.units // layer.groups
    for group in range(layer.groups):
        seen = padded[..., group * inner : (group + 1) * inner]
        made = slice(group * outer, (group + 1) * outer)
        for row, column in product(range(layer.kernel), repeat=2):
            window = seen[:, row : row + stride * height : stride, column : column + stride * width : stride]
            total[..., made] += _products(window[:, :height, :width], weight[row, column, :, made])
    return total


def _products(value: FloatArray, weight: FloatArray) -> FloatArray:
    """``value @ weight`` as one product of two matrices: NumPy would make one for each row of each image."""
    rows: FloatArray = value.reshape(-1, value.shape[-1]) @ weight
    return rows.reshape(*value.shape[:-1], -1)


def _conv_transpose(value: FloatArray, weight: FloatArray, stride: int) -> FloatArray:
    kernel, (height, width) = weight.shape[0], value.shape[1:3]
    reach = max(kernel, stride) - stride
    full = np.zeros((len(value), height * stride + reach, width * stride + reach, weight.shape[2]))
    parts = _products(value, weight.transpose(3, 0, 1, 2).reshape(value.shape[3], -1))
    parts = parts.reshape(*value.shape[:3], *weight.shape[:3])
    for row, column in product(range(kernel), repeat=2):
        window = full[:, row : row + stride * height : stride, column : column + stride * width : stride]
        window += parts[:, :, :, row, column]
    crop = reach // 2
    return full[:, crop : crop + height * stride, crop : crop + width * stride]


def _max_pool(value: Array, size: int) -> Array:
    lowest = np.iinfo(np.int64).min if value.dtype == np.int64 else -np.inf
    pads = [(0, -length % size) for length in value.shape[1:3]]
    padded = np.pad(value, [(0, 0), *pads, (0, 0)], constant_values=lowest)
    count, height, width, channels = padded.shape
    windows = padded.reshape(count, height // size, size, width // size, size, channels)
    return cast(Array, windows.max(axis=(2, 4)))


def _layer_to_dict(layer: Layer) -> dict[str, Any]:
    values = {item.name: getattr(layer, item.name) for item in fields(layer)}
    if values.get("folding") is not None:
        values["folding"] = asdict(values["folding"])
    else:
        values.pop("folding", None)
    for name, usual in _LEFT_OUT.items():
        if name in values and values[name] == usual:
            del values[name]
    plain = {
        name: value.to_dict()
        if isinstance(value, FixedPoint)
        else list(value)
        if isinstance(value, tuple)
        else value
        for name, value in values.items()
    }
    return {"kind": _KIND_OF[type(layer)], **plain}


def _layer_from_dict(data: Mapping[str, Any]) -> Layer:
    values = dict(data)
    kind = values.pop("kind", None)
    if kind not in LAYER_KINDS:
        raise NetworkError(f"layer kind is one of {sorted(LAYER_KINDS)}, got {kind!r}")
    for name in ("weight", "bias", "output", "thresholds"):
        if values.get(name) is not None:
            values[name] = FixedPoint.from_dict(values[name])
    if "folding" in values:
        values["folding"] = Folding(**values["folding"])
    for name in ("shape", "padding"):
        if name in values:
            values[name] = tuple(values[name])
    return LAYER_KINDS[kind](**values)
