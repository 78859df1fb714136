"""An ONNX file that nothing is known about to a graph that can be walked.

Nothing named in the file is followed: qonnx imports the Python module that the domain of a node names, so a
node of an unknown kind is refused before qonnx sees it, and so are tensors kept in other files.
"""

import contextlib
import os
import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.fold_constants import FoldConstants
from qonnx.transformation.infer_shapes import InferShapes

from codesign.errors import CodesignError, NetworkError, UnsupportedLayerError

__all__ = ["DROPPED", "QUANTISERS", "Graph", "Node", "load"]

QUANTISERS: Final = ("Quant", "IntQuant", "BipolarQuant")
DROPPED: Final = ("Softmax", "LogSoftmax", "Sigmoid", "TopK", "ArgMax")
"""Taken at the end of a graph, and left out: the order of the outputs is the same without them."""
_COMPUTED: Final = (
    *("Conv", "MatMul", "Gemm", "Add", "Sub", "Mul", "Div", "BatchNormalization", "Relu", "Clip", "MaxPool"),
    *("Resize", "Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Cast"),
)
_FOLDED: Final = ("Constant", "Shape", "Gather", "Concat", "Slice", "Pow", "Sqrt", "Reciprocal", "Neg")
"""Computed ahead, where all they take is constant."""
_QONNX_DOMAIN: Final = "qonnx.custom_op.general"
_QONNX_DOMAINS: Final = ("", "qonnx", "onnx.brevitas", "finn", "finn.custom_op.general", _QONNX_DOMAIN)
_STANDARD_DOMAINS: Final = ("", "ai.onnx")
_MAX_INPUT: Final = 1 << 22

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A node: its name, or where it has none its kind and place; attributes as Python values."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def __str__(self) -> str:
        return f"node {self.name!r} ({self.kind})"


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """Nodes in order, constants by name, and the one input and output; the batch is 1."""

    model: ModelWrapper
    nodes: tuple[Node, ...]
    constants: Mapping[str, NDArray[Any]]
    input_name: str
    input_shape: tuple[int, ...]
    output_name: str

    def execute(self, inputs: NDArray[Any], names: Collection[str]) -> dict[str, NDArray[Any]]:
        """Some tensors as qonnx's executor computes them, for inputs ``(n, *input_shape)``."""
        fed = np.asarray(inputs, np.float32).reshape(-1, 1, *self.input_shape)
        kept: dict[str, list[NDArray[Any]]] = {name: [] for name in names}
        with _quiet():
            for one in fed:
                run = execute_onnx(self.model, {self.input_name: one}, True)
                for name, values in kept.items():
                    values.append(run[name])
        return {name: np.stack(values) for name, values in kept.items()}


def load(path: str | Path) -> Graph:
    """Read an ONNX file.

    Raises
    ------
    NetworkError
        If it cannot be read, is no ONNX, or is damaged.
    UnsupportedLayerError
        For a node of a kind that is not imported; it is named.
    """
    try:
        model = onnx.load_from_string(Path(path).read_bytes())
    except OSError as error:
        raise NetworkError(f"cannot read the network {path}: {error.strerror or error}") from error
    except Exception as error:
        raise NetworkError(f"{path} is not an ONNX file, or only a part of one") from error
    try:
        return _graph(model)
    except CodesignError as error:
        raise type(error)(f"{path}: {error}") from error
    except Exception as error:
        words = " ".join(str(error).split())[:200]
        raise NetworkError(f"{path} is damaged: {type(error).__name__}: {words}") from error


def _graph(model: onnx.ModelProto) -> Graph:
    if not model.graph.node:
        raise NetworkError("it holds no nodes; give an ONNX file with a network in it")
    _require_self_contained(model)
    for index, node in enumerate(model.graph.node):
        _require_known(node, index)
        if node.op_type in QUANTISERS:
            node.domain = _QONNX_DOMAIN
    if not any(node.op_type in QUANTISERS for node in model.graph.node):
        raise NetworkError(
            "it has no Quant or BipolarQuant node, so it is no quantised network in QONNX form; export it "
            "with brevitas.export.export_qonnx or qonnx's converter for QKeras"
        )
    constants = {item.name for item in model.graph.initializer}
    inputs = [item for item in model.graph.input if item.name not in constants]
    if len(inputs) != 1 or len(model.graph.output) < 1:
        raise NetworkError(f"it has {len(inputs)} inputs; a network here has one")
    shape = _input_shape(inputs[0])
    with _quiet():
        wrapped = ModelWrapper(model).transform(InferShapes())
        wrapped = wrapped.transform(FoldConstants(exclude_op_types=list(QUANTISERS)))
    folded = wrapped.model.graph
    return Graph(
        model=wrapped,
        nodes=tuple(_node(node, index) for index, node in enumerate(folded.node)),
        constants={item.name: numpy_helper.to_array(item) for item in folded.initializer},
        input_name=inputs[0].name,
        input_shape=shape,
        output_name=folded.output[0].name,
    )


def _require_self_contained(model: onnx.ModelProto) -> None:
    held = [item.t for node in model.graph.node for item in node.attribute if item.HasField("t")]
    if any(item.data_location == TensorProto.EXTERNAL for item in (*model.graph.initializer, *held)):
        raise NetworkError("it keeps weights in other files, which are not followed; save it as one file")
    if model.functions or model.graph.sparse_initializer:
        raise NetworkError("it has local functions or sparse weights; export it without them")


def _require_known(node: onnx.NodeProto, index: int) -> None:
    domains = _QONNX_DOMAINS if node.op_type in QUANTISERS else _STANDARD_DOMAINS
    known = (*_COMPUTED, *_FOLDED, *DROPPED, *QUANTISERS)
    if node.op_type not in known or node.domain not in domains:
        kind = f"{node.domain}.{node.op_type}" if node.domain not in _STANDARD_DOMAINS else node.op_type
        if kind == "QuantizeLinear":
            raise UnsupportedLayerError(
                f"node {_name(node, index)!r} is a QuantizeLinear: this is standard ONNX, and QONNX is read; "
                "of a design exported here take the file of --to qonnx"
            )
        raise UnsupportedLayerError(
            f"node {_name(node, index)!r} is a {kind}, which is not imported; taken are "
            f"{', '.join((*_COMPUTED, *QUANTISERS))}, and at the end {', '.join(DROPPED)}"
        )


def _name(node: onnx.NodeProto, index: int) -> str:
    return node.name or f"{node.op_type}_{index}"


def _node(node: onnx.NodeProto, index: int) -> Node:
    attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    plain = {key: held.decode() if isinstance(held, bytes) else held for key, held in attributes.items()}
    return Node(_name(node, index), node.op_type, tuple(node.input), tuple(node.output), plain)


def _input_shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    """Shape without the batch axis, which is set to 1 in ``value``."""
    axes = value.type.tensor_type.shape.dim
    if value.type.tensor_type.elem_type != TensorProto.FLOAT:
        raise NetworkError(f"its input {value.name!r} is not of type float")
    if len(axes) < 2 or any(axis.dim_value < 1 for axis in axes[1:]):
        raise NetworkError(
            f"its input {value.name!r} has no fixed shape (batch, ...); export it with an example input"
        )
    axes[0].dim_value = 1
    shape = tuple(int(axis.dim_value) for axis in axes[1:])
    if np.prod(shape, dtype=object) > _MAX_INPUT:
        raise NetworkError(f"its input {value.name!r} has the shape {shape}, which is too large")
    return shape


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what qonnx prints and warns away from the user."""
    with (
        open(os.devnull, "w") as void,  # noqa: PTH123
        contextlib.redirect_stdout(void),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield
