"""A network as an ONNX graph, in one of two dialects.

The graph is written from the network's integer weights, one node or two per layer, without a tracer in
between: a node is named like its layer, and nothing has to be cleaned up afterwards.

``qonnx``
    A ``Quant`` node at every edge that has a format, opset 13, batch 1: what hls4ml and FINN read.
``qcdq``
    ``QuantizeLinear``, ``Clip``, ``DequantizeLinear``: standard ONNX, which onnxruntime runs, opset 21 (the
    first with 16-bit codes), any batch. Weights are stored as integers. Above 8 bits ``Clip`` stands first,
    on real values, because onnxruntime clips no 16-bit integers.

In both:

- Images are channels first, as ONNX wants them.
- Padding is the ``pads`` attribute, asymmetric where "same" is. Zero is a code of every format here, so
  padding behind the quantiser is padding before it.
- Behind a ``Flatten`` the values are channels first too; the rows of the next dense layer are put in
  that order, so there is no ``Transpose``. Where no dense layer follows, there is one.
- Rounding is half to even, so half an accumulator LSB is added before it: see ``codesign.half_up``. In
  ``qonnx`` the bias holds it. In ``qcdq`` it is added behind the ``Relu``: onnxruntime fuses a convolution
  between codes into integer arithmetic, where the bias is rounded to a whole LSB and the half is lost.
"""

import contextlib
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.infer_datatypes import InferDataTypes
from qonnx.transformation.infer_shapes import InferShapes

from codesign.errors import UnsupportedLayerError
from codesign.fixedpoint import FixedPoint
from codesign.half_up import accumulators, half_lsb, require_even_ties
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
    Thresholds,
    Upsample,
)

__all__ = ["DIALECTS", "channels_first", "channels_last", "check_exact", "model", "quiet"]

Dialect = Literal["qonnx", "qcdq"]
_QONNX_DOMAIN: Final = "qonnx.custom_op.general"
_QONNX_VERSION: Final = 1
_FLOAT32_BITS: Final = 24
_LARGEST_QCDQ: Final = 16

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Versions:
    opset: int
    ir: int


DIALECTS: Final = {"qonnx": _Versions(opset=13, ir=8), "qcdq": _Versions(opset=21, ir=10)}
"""Pinned versions of each dialect."""


def check_exact(network: Network, target: str) -> None:
    """Raise ``UnsupportedLayerError`` where float32, in which ONNX is run, cannot be exact.

    Of an unfitted network the worst that its formats allow decides.
    """
    require_even_ties(network)
    for layer in network.layers:
        if isinstance(layer, Thresholds):
            raise UnsupportedLayerError(
                f"{target}: layer {layer.name!r} has thresholds, as only imported networks have; ONNX has no "
                "node for them, take the file it came from"
            )
    for name, bits in accumulators(network.chip).items():
        if bits > _FLOAT32_BITS:
            raise UnsupportedLayerError(
                f"{target}: layer {name!r} needs an accumulator of {bits} bits; ONNX runs in float32, which "
                f"holds {_FLOAT32_BITS}: give it fewer inputs or bits"
            )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what qonnx and its transformations print and warn away from the user."""
    with (
        open(os.devnull, "w") as void,  # noqa: PTH123
        contextlib.redirect_stdout(void),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


def channels_first(array: NDArray[Any]) -> NDArray[Any]:
    """Images of the network's layout in ONNX'; anything else as it is."""
    return array.transpose(0, 3, 1, 2) if array.ndim == 4 else array


def channels_last(array: NDArray[Any]) -> NDArray[Any]:
    """Inverse of ``channels_first``."""
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array


def model(network: Network, dialect: Dialect) -> onnx.ModelProto:
    """A fitted network as a model; in ``qonnx``, shapes and data types of all edges are annotated."""
    graph = _Graph(dialect)
    graph.network(network)
    batch = 1 if dialect == "qonnx" else "batch"
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *_onnx_shape(shape)])
        for name, shape in (("input", network.input_shape), ("output", network.output_shape))
    ]
    versions = DIALECTS[dialect]
    domains = [helper.make_opsetid("", versions.opset)]
    if dialect == "qonnx":
        domains.append(helper.make_opsetid(_QONNX_DOMAIN, _QONNX_VERSION))
    made = helper.make_model(
        helper.make_graph(graph.nodes, "network", ends[:1], ends[1:], graph.constants),
        opset_imports=domains,
        ir_version=versions.ir,
        producer_name="codesign",
        doc_string="Half an accumulator LSB is added to sums that are rounded later: half to even then gives "
        "what half up gives without it.",
    )
    helper.set_model_props(made, {"codesign_network": network.digest})
    if dialect == "qcdq":
        onnx.checker.check_model(made)
        return onnx.shape_inference.infer_shapes(made, check_type=True, strict_mode=True)
    with quiet():
        wrapped = (
            ModelWrapper(made).transform(InferShapes()).transform(InferDataTypes(allow_scaledint_dtypes=True))
        )
    return cast(onnx.ModelProto, wrapped.model)


def _onnx_shape(shape: Shape) -> Shape:
    return (shape[2], shape[0], shape[1]) if len(shape) == 3 else shape


class _Graph:
    """Nodes and constants in order of execution; ``edge`` is the name of the value computed last."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.edge = "input"
        self.rows: NDArray[np.intp] | None = None
        self.half = 0.0

    def network(self, network: Network) -> None:
        """Append a whole network."""
        if network.input_format is not None:
            self.quant("input_quant", self.edge, network.input_format)
        for index, layer in enumerate(network.layers):
            self.layer(network, index, layer)
        if not self.nodes:
            self.node("Identity", "output", [self.edge])
        self.nodes[-1].output[0] = "output"

    def layer(self, network: Network, index: int, layer: Layer) -> None:
        """Append one layer."""
        shape = network.shapes[index]
        match layer:
            case Conv() | ConvTranspose() | Dense():
                self.affine(network, index, layer)
            case ReLU():
                self.node("Relu", layer.name, [self.edge])
                if layer.output is not None:
                    if self.half and self.dialect == "qcdq":
                        half = self.constant(f"{layer.name}_half", np.array(self.half, "f4"))
                        self.node("Add", f"{layer.name}_half_up", [self.edge, half])
                    self.quant(f"{layer.name}_quant", self.edge, layer.output)
                self.half = 0.0
            case MaxPool():
                pads = [-size % layer.size * layer.partial for size in shape[:2]]
                window = [layer.size] * 2
                self.node(
                    "MaxPool",
                    layer.name,
                    [self.edge],
                    kernel_shape=window,
                    strides=window,
                    pads=[0, 0, *pads],
                )
            case Upsample():
                scales = self.constant(f"{layer.name}_scales", np.array([1, 1, layer.size, layer.size], "f4"))
                self.node(
                    "Resize",
                    layer.name,
                    [self.edge, "", scales],
                    mode="nearest",
                    nearest_mode="floor",
                    coordinate_transformation_mode="asymmetric",
                )
            case Flatten():
                self.flatten(layer, shape, network.layers[index + 1 :])
            case Reshape():
                self.reshape(layer)
            case Sigmoid():
                self.node("Sigmoid", layer.name, [self.edge])
            case _:
                raise UnsupportedLayerError(f"onnx: layer {layer.name!r} is a {type(layer).__name__}")

    def node(self, kind: str, name: str, inputs: list[str], **attributes: Any) -> str:
        """Append a node whose only output is named like it; return that name."""
        self.nodes.append(helper.make_node(kind, inputs, [f"{name}_out"], name=name, **attributes))
        self.edge = f"{name}_out"
        return self.edge

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """Add a constant; return its name."""
        self.constants.append(numpy_helper.from_array(np.array(value, order="C"), name))
        return name

    def quant(self, name: str, value: str, fixed: FixedPoint) -> str:
        """Round ``value`` into a format, in the words of the dialect."""
        if self.dialect == "qonnx":
            return self.quant_node(name, value, fixed)
        scale, zero = self.codes(name, fixed)
        narrow = fixed.width not in (8, _LARGEST_QCDQ)
        if narrow and fixed.width > 8:
            value = self.clip(name, value, *(np.array(bound * fixed.scale, "f4") for bound in _bounds(fixed)))
        value = self.node("QuantizeLinear", f"{name}_quantize", [value, scale, zero])
        if narrow and fixed.width < 8:
            value = self.clip(name, value, *(np.array(bound, _code_type(fixed)) for bound in _bounds(fixed)))
        return self.node("DequantizeLinear", f"{name}_dequantize", [value, scale, zero])

    def clip(self, name: str, value: str, low: NDArray[Any], high: NDArray[Any]) -> str:
        """Append a ``Clip`` node."""
        bounds = [self.constant(f"{name}_min", low), self.constant(f"{name}_max", high)]
        return self.node("Clip", f"{name}_clip", [value, *bounds])

    def codes(self, name: str, fixed: FixedPoint) -> tuple[str, str]:
        """Add scale and zero point of a format as constants; the type of the latter is that of codes."""
        zero = np.array(0, _code_type(fixed))
        scale = np.array(fixed.scale, "f4")
        return self.constant(f"{name}_scale", scale), self.constant(f"{name}_zero", zero)

    def quant_node(self, name: str, value: str, fixed: FixedPoint) -> str:
        """Append a ``Quant`` node."""
        constants = {"scale": fixed.scale, "zero_point": 0.0, "bit_width": fixed.width}
        return self.node(
            "Quant",
            name,
            [
                value,
                *(self.constant(f"{name}_{key}", np.array(held, "f4")) for key, held in constants.items()),
            ],
            domain=_QONNX_DOMAIN,
            signed=int(fixed.signed),
            narrow=0,
            rounding_mode="ROUND",
        )

    def affine(self, network: Network, index: int, layer: Conv | ConvTranspose | Dense) -> None:
        """Append a layer with weights."""
        before, shape = self.edge, network.shapes[index]
        weight = self.weight(layer, _real(network, layer, "weight"))
        self.half = half_lsb(network, index)
        offset = self.half if self.dialect == "qonnx" else 0.0
        bias = self.constant(
            f"{layer.name}_bias", (_real(network, layer, "bias") + offset).astype(np.float32)
        )
        if isinstance(layer, Dense):
            product = self.node("MatMul", layer.name, [before, weight])
            self.node("Add", f"{layer.name}_add", [product, bias])
            return
        attributes: dict[str, Any] = {
            "kernel_shape": [layer.kernel] * 2,
            "strides": [layer.stride] * 2,
            "pads": _pads(layer, shape),
            "dilations": [1, 1],
            "group": layer.groups if isinstance(layer, Conv) else 1,
        }
        if isinstance(layer, ConvTranspose):
            attributes["output_padding"] = [max(layer.stride - layer.kernel, 0)] * 2
        kind = "Conv" if isinstance(layer, Conv) else "ConvTranspose"
        self.node(kind, layer.name, [before, weight, bias], **attributes)

    def weight(self, layer: Conv | ConvTranspose | Dense, value: FloatArray) -> str:
        """Add the weights in ONNX' layout, behind a ``Quant`` node where they have a format."""
        if isinstance(layer, Dense):
            value = value if self.rows is None else value[self.rows]
            self.rows = None
        else:
            value = value.transpose(3, 2, 0, 1)
        name = f"{layer.name}_weight"
        if layer.weight is None or self.dialect == "qonnx":
            held = self.constant(name, value.astype(np.float32))
            return held if layer.weight is None else self.quant_node(f"{name}_quant", held, layer.weight)
        integers = self.constant(name, layer.weight.quantise(value).astype(_code_type(layer.weight)))
        return self.node(
            "DequantizeLinear", f"{name}_dequantize", [integers, *self.codes(name, layer.weight)]
        )

    def flatten(self, layer: Flatten, shape: Shape, following: Sequence[Layer]) -> None:
        """Append a flattening; channels first where a dense layer behind it can take it up."""
        if len(shape) == 3 and shape[2] > 1 and np.prod(shape[:2]) > 1:
            if _dense_comes_first(following):
                order = np.arange(np.prod(shape)).reshape(shape)
                self.rows = order.transpose(2, 0, 1).ravel()
            else:
                self.node("Transpose", f"{layer.name}_transpose", [self.edge], perm=[0, 2, 3, 1])
        self.node("Flatten", layer.name, [self.edge], axis=1)

    def reshape(self, layer: Reshape) -> None:
        """Append a shaping of a channels-last vector."""
        target = self.constant(f"{layer.name}_shape", np.array([-1, *layer.shape], np.int64))
        self.node("Reshape", layer.name, [self.edge, target])
        if len(layer.shape) == 3:
            self.node("Transpose", f"{layer.name}_transpose", [self.edge], perm=[0, 3, 1, 2])


def _bounds(fixed: FixedPoint) -> tuple[int, int]:
    return fixed.minimum, fixed.maximum


def _code_type(fixed: FixedPoint) -> str:
    """Name of the narrowest integer type that ONNX has for the codes of a format."""
    return f"{'i' if fixed.signed else 'u'}{1 if fixed.width <= 8 else 2}"


def _dense_comes_first(layers: Sequence[Layer]) -> bool:
    for layer in layers:
        if not isinstance(layer, ReLU | Sigmoid):
            return isinstance(layer, Dense)
    return False


def _pads(layer: Conv | ConvTranspose, shape: Shape) -> list[int]:
    """Top, left, bottom, right."""
    if isinstance(layer, Conv):
        pads = list(layer.pads(shape))
    else:
        reach = max(layer.kernel - layer.stride, 0)
        pads = [(reach // 2, reach - reach // 2)] * 2
    return [pads[0][0], pads[1][0], pads[0][1], pads[1][1]]


def _real(network: Network, layer: Layer, role: str) -> FloatArray:
    array = network.weights[f"{layer.name}.{role}"]
    fixed: FixedPoint | None = getattr(layer, role)
    return np.asarray(array, np.float64) if fixed is None else fixed.dequantise(np.asarray(array, np.int64))
