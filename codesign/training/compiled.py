"""The compiled training engine: gradients, losses and values of a network, without torch.

Parameters lie in one float32 vector: of each layer with weights first the kernel as ``(tap, in, out)``, then
the bias. Oracle: the torch module of the same network.
"""

import ctypes
import math
import weakref
from collections.abc import Mapping
from ctypes import POINTER, Structure, c_double, c_float, c_int32, c_int64, c_void_p
from itertools import pairwise, product
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from codesign import native
from codesign.errors import ConfigError, UnsupportedLayerError
from codesign.fixedpoint import FixedPoint
from codesign.half_up import half_lsb, require_even_ties
from codesign.metrics.earth_mover import ground_metric
from codesign.metrics.trigger_cells import (
    BLOCKS,
    CELLS,
    DISTANCES,
    DOCUMENTED_GROUP_WEIGHTS,
    GROUP_WEIGHTS,
    GROUPS,
)
from codesign.network import (
    Conv,
    ConvTranspose,
    Dense,
    Flatten,
    Layer,
    MaxPool,
    Network,
    ReLU,
    Reshape,
    Shape,
    Sigmoid,
    Upsample,
    require_plain,
    same_padding,
)
from codesign.tasks import Samples
from codesign.training.recipe import ADAM_BETAS, ADAM_EPSILON, COMPILED_LOSSES

__all__ = ["CompiledNetwork"]

Floats = NDArray[np.float32]
Integers = NDArray[np.int32]
_INT32: Final = POINTER(c_int32)
_AFFINE, _RELU, _SIGMOID, _POOL, _UPSAMPLE = range(5)
_SQUARES, _LARGER_SQUARES, _TRANSPORT = range(3)


class _Format(Structure):
    _fields_ = [("scale", c_float), ("minimum", c_float), ("maximum", c_float)]


class _Links(Structure):
    _fields_ = [(name, _INT32) for name in ("start", "pixel", "tap", "place", "alike")]


class _Layer(Structure):
    _fields_ = [
        *(
            (name, c_int32)
            for name in ("kind", "pixels_in", "pixels_out", "channels_in", "channels_out", "taps")
        ),
        ("weight", c_int64),
        ("bias", c_int64),
        ("weight_format", _Format),
        ("bias_format", _Format),
        ("bias_offset", c_float),
        ("output", _Format),
        ("links", _Links),
        ("back", _Links),
        ("pairs", _Links),
    ]


class _Loss(Structure):
    _fields_ = [
        *((name, c_int32) for name in ("kind", "outputs", "sums")),
        ("index", _INT32),
        ("start", _INT32),
        ("member", _INT32),
        ("weight", POINTER(c_float)),
        ("distances", POINTER(c_double)),
        ("order", _INT32),
    ]


class _Plan(Structure):
    _fields_ = [
        *((name, c_int32) for name in ("layers", "inputs", "outputs")),
        ("parameters", c_int64),
        ("input_format", _Format),
        ("layer", POINTER(_Layer)),
        ("loss", _Loss),
    ]


class CompiledNetwork:
    """A network that the compiled engine trains.

    Parameters
    ----------
    network
        Plain layers; formats as the torch path takes them.
    loss
        One of ``COMPILED_LOSSES``.
    output_index
        Shape ``(k,)``: which flattened outputs the loss compares with the targets.
    isa
        Instruction set; None: the best.

    Raises
    ------
    MissingToolError
        If the kernels were not compiled; ``codesign.native.absence`` says why.
    UnsupportedLayerError
        For a network that cannot be computed exactly while training.
    ConfigError
        For a loss that the engine lacks.
    """

    def __init__(
        self, network: Network, *, loss: str, output_index: NDArray[np.intp], isa: str | None = None
    ) -> None:
        require_plain(network, "training")
        require_even_ties(network)
        if loss not in COMPILED_LOSSES:
            raise ConfigError(
                f"the compiled engine has the losses {', '.join(COMPILED_LOSSES)}; got {loss!r}"
            )
        self.network, self.isa = network, isa
        self._kept: list[Any] = []
        self._edges = [0]
        layers = self._layers()
        plan = _Plan(
            layers=len(layers),
            inputs=math.prod(network.input_shape),
            outputs=math.prod(network.output_shape),
            parameters=network.parameter_count(),
            input_format=_format(network.input_format),
            layer=(_Layer * len(layers))(*layers),
            loss=self._loss(loss, np.asarray(output_index)),
        )
        self._kept.append(plan)
        self._engine = self._call("engine_new", (c_void_p,), c_void_p)(ctypes.addressof(plan))
        if not self._engine:
            raise MemoryError(f"no memory for the compiled engine of {len(layers)} layers")
        weakref.finalize(self, self._call("engine_free", (c_void_p,)), self._engine)

    def parameters(self, weights: Mapping[str, NDArray[Any]]) -> Floats:
        """One vector of real weights in the layout of ``Network.weights``."""
        parts = []
        for layer in self.network.layers:
            if isinstance(layer, Conv | ConvTranspose | Dense):
                kernel = np.asarray(weights[f"{layer.name}.weight"], np.float32)
                parts += [kernel.swapaxes(-1, -2) if isinstance(layer, ConvTranspose) else kernel]
                parts += [np.asarray(weights[f"{layer.name}.bias"], np.float32)]
        return np.concatenate([part.reshape(-1) for part in parts] or [np.zeros(0, np.float32)])

    def weights(self, parameters: Floats) -> dict[str, NDArray[np.float32]]:
        """Inverse of ``parameters``; also for gradients."""
        found, start = {}, 0
        for layer, shape in zip(self.network.layers, self.network.shapes, strict=False):
            for role, wanted in layer.weight_shapes(shape).items():
                turned = role == "weight" and isinstance(layer, ConvTranspose)
                lying = (*wanted[:-2], wanted[-1], wanted[-2]) if turned else wanted
                part = parameters[start : start + math.prod(wanted)].reshape(lying)
                found[f"{layer.name}.{role}"] = part.swapaxes(-1, -2) if turned else part
                start += math.prod(wanted)
        return found

    def loss(
        self, parameters: Floats, samples: Samples, rows: NDArray[np.int64], gradient: Floats | None = None
    ) -> float:
        """Mean over rows of loss times weight; ``gradient``, shape of the parameters, is filled if given."""
        arrays = [np.ascontiguousarray(array, np.float32) for array in (samples.inputs, samples.targets)]
        weights = None if samples.weights is None else np.ascontiguousarray(samples.weights, np.float32)
        rows = np.ascontiguousarray(rows, np.int64)
        call = self._call("engine_loss", (*[c_void_p] * 6, c_int64, c_void_p), c_double)
        return float(
            call(
                self._engine,
                parameters.ctypes.data,
                *(array.ctypes.data for array in arrays),
                None if weights is None else weights.ctypes.data,
                rows.ctypes.data,
                len(rows),
                None if gradient is None else gradient.ctypes.data,
            )
        )

    def values(self, parameters: Floats, inputs: NDArray[Any], layers: int | None = None) -> Floats:
        """Real values behind the first ``layers`` layers (None: all), shape ``(n, size of the edge)``."""
        count = len(self.network.layers) if layers is None else layers
        given = np.ascontiguousarray(inputs, np.float32)
        found = np.empty((len(given), math.prod(self.network.shapes[count])), np.float32)
        call = self._call("engine_values", (*[c_void_p] * 3, c_int64, c_int32, c_void_p))
        places = (self._engine, parameters.ctypes.data, given.ctypes.data)
        call(*places, len(given), self._edges[count], found.ctypes.data)
        return found

    def adam(self, state: tuple[Floats, Floats, Floats], gradient: Floats, rate: float, step: int) -> None:
        """One step of Adam on ``state``: parameters, first and second moment; ``step`` counts from 1."""
        call = self._call("adam", (*[c_void_p] * 4, c_int64, *[c_double] * 4, c_int64))
        parameters, first, second = (array.ctypes.data for array in state)
        size = len(gradient)
        call(parameters, gradient.ctypes.data, first, second, size, rate, *ADAM_BETAS, ADAM_EPSILON, step)

    def _call(self, name: str, arguments: tuple[Any, ...], result: Any = None) -> Any:
        return native.function(name, arguments, result, self.isa)

    def _hold(self, array: ArrayLike, kind: Any = c_int32) -> Any:
        """Pointer to an array that lives as long as this object."""
        held = np.ascontiguousarray(array, kind)
        self._kept.append(held)
        return held.ctypes.data_as(POINTER(kind))

    def _links(self, by: Integers, pixel: Integers, tap: Integers, places: int) -> _Links:
        """Lists of (pixel, tap) sorted by place."""
        order = np.argsort(by, kind="stable")
        start = np.concatenate([[0], np.cumsum(np.bincount(by, minlength=places))])
        lists = (start, pixel[order], tap[order], *_alike(start, tap[order]))
        return _Links(*(self._hold(each) for each in lists))

    def _layers(self) -> list[_Layer]:
        layers: list[_Layer] = []
        start = 0
        for index, (layer, shape) in enumerate(zip(self.network.layers, self.network.shapes, strict=False)):
            if not isinstance(layer, Flatten | Reshape):
                layers.append(self._layer(index, layer, shape, start))
            self._edges.append(len(layers))
            start += sum(math.prod(part) for part in layer.weight_shapes(shape).values())
        return layers

    def _layer(self, index: int, layer: Layer, before: Shape, start: int) -> _Layer:
        after = layer.output_shape(before)
        sizes = (math.prod(before[:-1]), math.prod(after[:-1]), before[-1], after[-1])
        names = ("pixels_in", "pixels_out", "channels_in", "channels_out")
        form = _Layer(**dict(zip(names, sizes, strict=True)))
        match layer:
            case ReLU():
                form.kind, form.output = _RELU, _format(layer.output)
                form.output.minimum = 0.0
                return form
            case Sigmoid():
                form.kind = _SIGMOID
                return form
            case MaxPool() | Upsample():
                form.kind = _POOL if isinstance(layer, MaxPool) else _UPSAMPLE
            case Conv() | ConvTranspose() | Dense():
                form.kind = _AFFINE
                form.weight, form.bias = start, start + math.prod(layer.weight_shapes(before)["weight"])
                form.weight_format, form.bias_format = _format(layer.weight), _format(layer.bias)
                form.bias_offset = half_lsb(self.network, index)
            case _:
                raise UnsupportedLayerError(f"layer {layer.name!r}: training has no {type(layer).__name__}")
        if isinstance(layer, ConvTranspose) and layer.weight is not None:
            raise UnsupportedLayerError(
                f"layer {layer.name!r}: training has no transposed convolution with formats; "
                "leave it in float"
            )
        pixel, out, tap, form.taps = _touches(layer, before, after)
        form.links = self._links(out, pixel, tap, sizes[1])
        form.back = self._links(pixel, out, tap, sizes[0])
        form.pairs = self._links(tap, pixel, out, form.taps)
        return form

    def _loss(self, name: str, index: NDArray[np.intp]) -> _Loss:
        outputs = len(index)
        if name == "emd":
            return self._transport(index)
        members: list[NDArray[np.intp]] = [np.array([cell]) for cell in range(outputs)]
        weight = np.full(outputs, 1 / outputs)
        if name.startswith("telescoping"):
            if outputs != CELLS:
                raise ConfigError(f"the telescoping loss compares {CELLS} cells, got {outputs} outputs")
            members += [*GROUPS, *BLOCKS]
            blocks = np.full(len(BLOCKS), 1 / len(BLOCKS))
            groups = GROUP_WEIGHTS if name == "telescoping" else DOCUMENTED_GROUP_WEIGHTS
            weight = np.concatenate([4 * weight, 2 / len(GROUPS) * groups, blocks])
        return _Loss(
            kind=_SQUARES if name == "mse" else _LARGER_SQUARES,
            outputs=outputs,
            sums=len(members),
            index=self._hold(index),
            start=self._hold(np.cumsum([0, *map(len, members)])),
            member=self._hold(np.concatenate(members)),
            weight=self._hold(weight, c_float),
        )

    def _transport(self, index: NDArray[np.intp]) -> _Loss:
        metric = ground_metric(DISTANCES)
        if metric.bins != len(index):
            raise ConfigError(f"the EMD loss compares {metric.bins} cells, got {len(index)} outputs")
        return _Loss(
            kind=_TRANSPORT,
            outputs=metric.bins,
            index=self._hold(index),
            distances=self._hold(metric.distances, c_double),
            order=self._hold(metric.order),
        )


def _format(fixed: FixedPoint | None) -> _Format:
    return _Format() if fixed is None else _Format(fixed.scale, fixed.minimum, fixed.maximum)


def _alike(start: Integers, tap: Integers) -> tuple[list[int], list[int]]:
    """All places, those with the same taps in a row, and how many of these there are from each on."""
    groups: dict[bytes, list[int]] = {}
    for place, (first, end) in enumerate(pairwise(start)):
        groups.setdefault(tap[first:end].tobytes(), []).append(place)
    places = [place for group in groups.values() for place in group]
    return places, [left for group in groups.values() for left in range(len(group), 0, -1)]


def _touches(layer: Layer, before: Shape, after: Shape) -> tuple[Integers, Integers, Integers, int]:
    """Input pixel, output pixel and tap of every product, and the number of taps."""
    if isinstance(layer, Dense):
        zero = np.zeros(1, np.int32)
        return zero, zero, zero, 1
    rows, columns = (_axis(layer, before[axis], after[axis], axis) for axis in (0, 1))
    kernel = layer.kernel if isinstance(layer, Conv | ConvTranspose) else 1
    touches = np.array(
        [
            (i * before[1] + j, p * after[1] + q, (k * kernel + m) if kernel > 1 else 0)
            for (i, p, k), (j, q, m) in product(rows, columns)
        ],
        np.int32,
    ).reshape(-1, 3)
    return touches[:, 0], touches[:, 1], touches[:, 2], kernel * kernel


def _axis(layer: Layer, size: int, grown: int, axis: int) -> list[tuple[int, int, int]]:
    """Input, output and tap along one axis, in the order of the input within each output."""
    match layer:
        case Conv():
            lead = same_padding(size, layer.kernel, layer.stride)[0]
            found = ((p * layer.stride + k - lead, p, k) for p in range(grown) for k in range(layer.kernel))
        case ConvTranspose():
            crop = max(layer.kernel - layer.stride, 0) // 2
            found = ((i, i * layer.stride + k - crop, k) for i in range(size) for k in range(layer.kernel))
        case MaxPool():
            found = ((i, i // layer.size, 0) for i in range(size))
        case Upsample():
            found = ((p // layer.size, p, 0) for p in range(grown))
        case _:
            raise UnsupportedLayerError(f"layer {layer.name!r}: training has no {type(layer).__name__}")
    return [(i, p, k) for i, p, k in found if 0 <= i < size and 0 <= p < grown]
