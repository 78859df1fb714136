"""Standard ONNX: the same integers in onnxruntime, whatever its optimiser does to the graph."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from codesign.errors import UnsupportedLayerError
from codesign.export import graph
from codesign.export.bundle import probes
from codesign.export.onnx import check, codes, export, simulate
from codesign.fixedpoint import FixedPoint
from codesign.hardware import Device
from codesign.network import Dense, Network, ReLU
from tests.export.designs import DESIGNS

LEVELS = ("ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL")


@pytest.mark.parametrize("name", DESIGNS)
def test_every_optimisation_level_gives_the_integers_of_the_network(name: str) -> None:
    network = DESIGNS[name]
    inputs = probes(network)
    fed = inputs.transpose(0, 3, 1, 2).astype("f4")
    content = graph.model(network, "qcdq").SerializeToString()
    for level in LEVELS:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        outputs = session.run(None, {"input": fed})[0]
        np.testing.assert_array_equal(codes(network, outputs), network.codes(inputs), level)


def test_only_standard_operators_and_integer_weights(tmp_path: Path) -> None:
    folder = export(DESIGNS["three convolutions"], tmp_path / "out")
    model = onnx.load(folder / "encoder.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [(item.domain, item.version) for item in model.opset_import] == [("", 21)]
    held = {item.name: item.data_type for item in model.graph.initializer}
    assert held["conv_1_weight"] == onnx.TensorProto.INT8
    shapes = {value.name for value in model.graph.value_info}
    assert {name for node in model.graph.node for name in node.output} <= {*shapes, "output"}


def test_any_batch(tmp_path: Path) -> None:
    network = DESIGNS["pooling"]
    folder = export(network, tmp_path / "out")
    for count in (1, 7):
        inputs = probes(network, count)
        np.testing.assert_array_equal(simulate(folder, inputs), network.codes(inputs))


def test_codes_of_more_than_16_bits_are_refused() -> None:
    weight = FixedPoint(0, 1)
    wide = FixedPoint(1, 16, signed=False, rounding="half_up")
    network = Network(
        (4,), (Dense("d", 2, weight=weight, bias=weight), ReLU("r", wide)), FixedPoint(0, 16, signed=False)
    )
    with pytest.raises(UnsupportedLayerError, match="layer 'r' has 17 bits"):
        check(network, Device())
