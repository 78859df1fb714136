"""QONNX: ONNX with a ``Quant`` node at every edge that has a format. Float networks: plain ONNX.

The graph is written from the network's integer weights, one node or two per layer, without a tracer in
between: a node is named like its layer, and nothing has to be cleaned up afterwards.

- Images are channels first, as ONNX wants them; batch 1.
- Padding is the ``pads`` attribute, asymmetric where "same" is. Zero is a code of every format here, so
  padding behind the quantiser is padding before it.
- Behind a ``Flatten`` the values are channels first too; the rows of the next dense layer are put in
  that order, so there is no ``Transpose``. Where no dense layer follows, there is one.
- ``Quant`` rounds half to even; biases carry half an accumulator LSB: see ``codesign.half_up``.
"""

import contextlib
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.change_batchsize import ChangeBatchSize
from qonnx.transformation.infer_datatypes import InferDataTypes
from qonnx.transformation.infer_shapes import InferShapes

from codesign.errors import NetworkError, OutputError, UnsupportedLayerError
from codesign.fixedpoint import FixedPoint
from codesign.half_up import accumulator_bits, half_lsb, require_even_ties
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
    same_padding,
)

__all__ = ["AUTOENCODER", "ENCODER", "OPSET", "export", "probes"]

ENCODER: Final = "encoder.onnx"
AUTOENCODER: Final = "autoencoder.onnx"
OPSET: Final = 13
_IR_VERSION: Final = 8
_QONNX_DOMAIN: Final = "qonnx.custom_op.general"
_QONNX_VERSION: Final = 1
_FLOAT_TOLERANCE: Final = 1e-5
_PROBES: Final = 16

FloatArray = NDArray[np.float64]


def export(network: Network, folder: str | Path, *, inputs: NDArray[Any] | None = None) -> Path:
    """Write the chip part as ``encoder.onnx`` and, if there is more, the whole as ``autoencoder.onnx``.

    Files are written and verified beside ``folder`` and moved in at the end: a file under its final name
    has been run and gives what the network gives; integers exactly, floats within 1e-5.

    Parameters
    ----------
    network
        Fitted.
    folder
        Made where absent; files of these two names in it are replaced.
    inputs
        Shape ``(n, *input_shape)``, what to verify on; None: 16 made-up ones, see ``probes``.

    Returns
    -------
    folder
        The folder.

    Raises
    ------
    NetworkError
        For a network without weights.
    UnsupportedLayerError
        For a layer or a format that ONNX cannot compute exactly.
    OutputError
        If the folder cannot be written, or a written file computes something else than the network.
    """
    if not network.fitted:
        raise NetworkError("the network has no weights yet; fit it or load weights before exporting it")
    require_even_ties(network)
    samples = np.asarray(probes(network) if inputs is None else inputs, np.float64)
    chip = network.chip
    parts = {ENCODER: chip}
    if len(chip.layers) < len(network.layers):
        parts[AUTOENCODER] = network
    models = {name: _model(part) for name, part in parts.items()}
    try:
        return _write(models, parts, samples, Path(folder))
    except OSError as error:
        raise OutputError(
            f"cannot write the network to {folder}: {error.strerror or error}; "
            "choose a folder that can be written"
        ) from error


def probes(network: Network, count: int = _PROBES) -> FloatArray:
    """Inputs that fill the range of the input format, from all but empty to full ones.

    Returns
    -------
    inputs
        Shape ``(count, *input_shape)``; of a float network, real values from 0 to 1.
    """
    rng = np.random.default_rng(0)
    shape = (count, *network.input_shape)
    filled = rng.random(shape) < np.linspace(0.1, 1.0, count).reshape(-1, *(1,) * len(network.input_shape))
    fixed = network.input_format
    if fixed is None:
        return rng.random(shape) * filled
    return fixed.dequantise(rng.integers(fixed.minimum, fixed.maximum, shape, endpoint=True) * filled)


def _write(
    models: dict[str, onnx.ModelProto], parts: dict[str, Network], inputs: FloatArray, folder: Path
) -> Path:
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name, model in models.items():
            (beside / name).write_bytes(model.SerializeToString())
            _verify(beside / name, parts[name], inputs)
        folder.mkdir(exist_ok=True)
        (folder / AUTOENCODER).unlink(missing_ok=True)
        for name in reversed(models):
            (beside / name).replace(folder / name)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder


def _verify(path: Path, network: Network, inputs: FloatArray) -> None:
    """Run a written file and raise ``OutputError`` unless it computes what the network does."""
    last = network.formats[-1]
    expected = network.predict(inputs)
    computed = _run(path, network, inputs)
    if last is None:
        wrong = np.abs(computed - expected) > _FLOAT_TOLERANCE
    else:
        wrong = np.ldexp(computed, last.fraction_bits) != network.codes(inputs)
    if wrong.any():
        raise OutputError(
            f"{path.name} computes {int(wrong.sum())} of {wrong.size} outputs otherwise than the network, "
            f"by up to {np.abs(computed - expected).max():g}; it was not kept. One cause are accumulators "
            f"wider than 24 bits, which float32 rounds (here {accumulator_bits(network)} bits): "
            "give the layers fewer bits"
        )


def _run(path: Path, network: Network, inputs: FloatArray) -> FloatArray:
    """Outputs of a written file, laid out as the network's."""
    fed = _channels_first(inputs).astype(np.float32)
    with _quiet():
        if any(fixed is not None for fixed in network.formats):
            model = ModelWrapper(str(path)).transform(ChangeBatchSize(len(fed)))
            model = model.transform(InferShapes())
            outputs = execute_onnx(model, {"input": fed})["output"]
        else:
            session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
            outputs = np.concatenate([session.run(None, {"input": one[None]})[0] for one in fed])
    return _channels_last(np.asarray(outputs, np.float64))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what qonnx and its transformations print and warn away from the user."""
    with (
        open(os.devnull, "w") as void,  # noqa: PTH123
        contextlib.redirect_stdout(void),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


def _channels_first(array: NDArray[Any]) -> NDArray[Any]:
    return array.transpose(0, 3, 1, 2) if array.ndim == 4 else array


def _channels_last(array: NDArray[Any]) -> NDArray[Any]:
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array


def _model(network: Network) -> onnx.ModelProto:
    """The network as a checked model, shapes and data types of all edges annotated."""
    graph = _Graph()
    graph.network(network)
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, _onnx_shape(shape))
        for name, shape in (("input", network.input_shape), ("output", network.output_shape))
    ]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "network", ends[:1], ends[1:], graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(_QONNX_DOMAIN, _QONNX_VERSION)],
        ir_version=_IR_VERSION,
        producer_name="codesign",
        doc_string="Biases hold half an accumulator LSB where the sum is rounded later: half to even then "
        "gives what half up gives without it.",
    )
    helper.set_model_props(model, {"codesign_network": network.digest})
    with _quiet():
        wrapped = (
            ModelWrapper(model)
            .transform(InferShapes())
            .transform(InferDataTypes(allow_scaledint_dtypes=True))
        )
    return cast(onnx.ModelProto, wrapped.model)


def _onnx_shape(shape: Shape) -> Shape:
    return (1, shape[2], shape[0], shape[1]) if len(shape) == 3 else (1, *shape)


class _Graph:
    """Nodes and constants in order of execution; ``edge`` is the name of the value computed last."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.edge = "input"
        self.rows: NDArray[np.intp] | None = None

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
                    self.quant(f"{layer.name}_quant", self.edge, layer.output)
            case MaxPool():
                pads = [-size % layer.size for size in shape[:2]]
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
                raise UnsupportedLayerError(
                    f"layer {layer.name!r}: ONNX export has no {type(layer).__name__}"
                )

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
        """Append a ``Quant`` node that rounds ``value`` into a format."""
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
        offset = half_lsb(network, index)
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
        name = self.constant(f"{layer.name}_weight", value.astype(np.float32))
        return name if layer.weight is None else self.quant(f"{layer.name}_weight_quant", name, layer.weight)

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


def _dense_comes_first(layers: Sequence[Layer]) -> bool:
    for layer in layers:
        if not isinstance(layer, ReLU | Sigmoid):
            return isinstance(layer, Dense)
    return False


def _pads(layer: Conv | ConvTranspose, shape: Shape) -> list[int]:
    """Top, left, bottom, right."""
    if isinstance(layer, Conv):
        pads = [same_padding(size, layer.kernel, layer.stride) for size in shape[:2]]
    else:
        reach = max(layer.kernel - layer.stride, 0)
        pads = [(reach // 2, reach - reach // 2)] * 2
    return [pads[0][0], pads[1][0], pads[0][1], pads[1][1]]


def _real(network: Network, layer: Layer, role: str) -> FloatArray:
    array = network.weights[f"{layer.name}.{role}"]
    fixed: FixedPoint | None = getattr(layer, role)
    return np.asarray(array, np.float64) if fixed is None else fixed.dequantise(np.asarray(array, np.int64))
