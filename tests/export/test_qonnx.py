"""Written files compute what the network does, and a failed export leaves nothing behind."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.util.cleanup import cleanup_model

from codesign.errors import OutputError, UnsupportedLayerError
from codesign.export import graph
from codesign.export.bundle import probes
from codesign.export.qonnx import check, export, simulate
from codesign.fixedpoint import FixedPoint
from codesign.hardware import Device
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
    Sigmoid,
    Upsample,
)

INPUT = FixedPoint(1, 7, signed=False)


def fixed(bits: int) -> dict[str, FixedPoint]:
    return {"weight": FixedPoint(0, bits - 1), "bias": FixedPoint(0, bits - 1)}


def rounded(bits: int) -> FixedPoint:
    return FixedPoint(1, bits - 1, signed=False, rounding="half_up")


def randomised(network: Network, seed: int = 0) -> Network:
    """Random codes; small ones, so that not everything saturates."""
    rng = np.random.default_rng(seed)
    weights: dict[str, NDArray[Any]] = {}
    for layer, shape in zip(network.layers, network.shapes, strict=False):
        for role, size in layer.weight_shapes(shape).items():
            values = rng.normal(0, 0.3, size)
            held: FixedPoint | None = getattr(layer, role)
            weights[f"{layer.name}.{role}"] = values if held is None else held.quantise(values)
    return network.with_weights(weights)


def chip(*layers: Layer, size: int = 8, channels: int = 1) -> Network:
    return randomised(Network((size, size, channels), layers, INPUT))


DECODER = (
    Dense("grow", 48),
    ReLU("grow_relu"),
    Reshape("image", (2, 4, 6)),
    Upsample("upsample"),
    ConvTranspose("up", 5, kernel=3, stride=2),
    ReLU("up_relu"),
    ConvTranspose("holes", 1, kernel=1, stride=2),
    Sigmoid("sigmoid"),
)
CHIPS: dict[str, Network] = {
    "baseline": chip(
        Conv("conv", 8, stride=2, **fixed(6)),
        ReLU("conv_relu", rounded(8)),
        Flatten("flatten"),
        Dense("latent", 16, **fixed(6)),
        ReLU("latent_relu", rounded(9)),
    ),
    "pooled, two convs, two dense": chip(
        Conv("a", 4, kernel=5, **fixed(4)),
        ReLU("a_relu", rounded(5)),
        MaxPool("a_pool"),
        Conv("b", 6, kernel=1, stride=2, **fixed(3)),
        ReLU("b_relu", rounded(4)),
        Flatten("flatten"),
        Dense("dense", 12, **fixed(8)),
        ReLU("dense_relu", rounded(3)),
        Dense("latent", 16, **fixed(2)),
        ReLU("latent_relu", rounded(3)),
    ),
    "odd image, ends in an image": chip(
        Conv("conv", 3, stride=4, **fixed(6)), ReLU("relu", rounded(7)), MaxPool("pool"), size=7, channels=2
    ),
    "ends in an accumulator": chip(Flatten("flatten"), Dense("dense", 4, **fixed(6)), channels=3),
    "ends flat, no dense": chip(
        Conv("conv", 3, stride=2, **fixed(6)), ReLU("relu", rounded(7)), Flatten("flatten")
    ),
    "transposed": chip(ConvTranspose("up", 3, stride=2, **fixed(5)), ReLU("relu", rounded(7)), size=3),
    "nothing": Network((4,), (), INPUT),
    "sums rounded to even": chip(
        Flatten("flatten"),
        Dense("dense", 40, **fixed(5)),
        ReLU("relu", FixedPoint(1, 3, signed=False)),
        size=4,
    ),
    "as imported networks have": chip(
        Conv("valid", 4, stride=2, padding=(0, 0, 0, 0), **fixed(6)),
        ReLU("valid_relu", rounded(6)),
        Conv("grouped", 4, padding=(1, 0, 2, 1), groups=2, **fixed(5)),
        ReLU("grouped_relu", rounded(5)),
        MaxPool("cropped", 2, partial=False),
        size=9,
    ),
}


def executed(path: Path, inputs: NDArray[Any]) -> NDArray[Any]:
    """Outputs of a file run one input at a time, as it stands: no change of the batch."""
    model = ModelWrapper(str(path))
    fed = inputs.transpose(0, 3, 1, 2) if inputs.ndim == 4 else inputs
    return np.concatenate([execute_onnx(model, {"input": x[None].astype("f4")})["output"] for x in fed])


@pytest.mark.parametrize("name", CHIPS)
def test_file_gives_the_integers_of_the_network(name: str, tmp_path: Path) -> None:
    network = CHIPS[name]
    folder = export(network, tmp_path / "out")
    assert folder == tmp_path / "out"
    assert [path.name for path in folder.glob("*.onnx")] == ["encoder.onnx"]
    inputs = probes(network, 5)[::-1]
    outputs = executed(folder / "encoder.onnx", inputs)
    last = network.formats[-1]
    assert last is not None
    codes = np.ldexp(outputs.astype(float), last.fraction_bits)
    if codes.ndim == 4:
        codes = codes.transpose(0, 2, 3, 1)
    assert np.array_equal(codes, network.codes(inputs))
    assert len(np.unique(codes)) > 2


def test_graph_is_clean_and_named_like_the_layers(tmp_path: Path) -> None:
    network = CHIPS["baseline"]
    path = export(network, tmp_path / "out") / "encoder.onnx"
    model = onnx.load(path)
    onnx.checker.check_model(model)
    kinds = {node.name: node.op_type for node in model.graph.node}
    names = {layer.name for layer in network.layers}
    assert names < set(kinds)
    assert list(kinds.values()).count("Quant") == 5
    assert not {"Transpose", "Pad", "Gemm", "Constant"} & set(kinds.values())
    (conv,) = [node for node in model.graph.node if node.name == "conv"]
    (pads,) = [list(item.ints) for item in conv.attribute if item.name == "pads"]
    assert pads == [0, 0, 1, 1]
    assert {item.domain: item.version for item in model.opset_import}[""] == 13
    assert {item.key: item.value for item in model.metadata_props} == {"codesign_network": network.digest}
    wrapped = ModelWrapper(str(path))
    assert str(wrapped.get_tensor_datatype("conv_weight_quant_out")) == "SCALEDINT<6>"
    cleaned = cleanup_model(ModelWrapper(str(path)))
    assert sorted(node.op_type for node in cleaned.graph.node) == sorted(kinds.values())


@pytest.mark.parametrize("quantised", [True, False])
def test_whole_autoencoder_is_written_too(quantised: bool, tmp_path: Path) -> None:
    encoder = (
        Conv("conv", 4, stride=2, **(fixed(6) if quantised else {})),
        ReLU("conv_relu", rounded(8) if quantised else None),
        Flatten("flatten"),
        Dense("latent", 16, **(fixed(6) if quantised else {})),
        ReLU("latent_relu", rounded(9) if quantised else None),
    )
    layers: Sequence[Layer] = (*encoder, *DECODER)
    network = randomised(Network((8, 8, 1), tuple(layers), INPUT if quantised else None, len(encoder)))
    folder = export(network, tmp_path / "out")
    assert sorted(path.name for path in folder.glob("*.onnx")) == ["autoencoder.onnx", "encoder.onnx"]
    inputs = probes(network, 3)
    outputs = executed(folder / "autoencoder.onnx", inputs).transpose(0, 2, 3, 1)
    assert outputs == pytest.approx(network.predict(inputs), abs=1e-5)
    if not quantised:
        session = onnxruntime.InferenceSession(folder / "encoder.onnx", providers=["CPUExecutionProvider"])
        (code,) = session.run(None, {"input": inputs[:1].transpose(0, 3, 1, 2).astype("f4")})
        assert code == pytest.approx(network.codes(inputs[:1]), abs=1e-5)


def test_a_wrong_file_is_not_kept_and_an_older_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = CHIPS["baseline"]
    folder = export(network, tmp_path / "out")
    older = (folder / "encoder.onnx").read_bytes()
    monkeypatch.setattr(graph, "half_lsb", lambda network, index: 0.0)
    inputs = np.random.default_rng(0).integers(0, 256, (200, 8, 8, 1)) / 128
    with pytest.raises(OutputError, match=r"encoder.onnx in qonnx' executor computes \d+ of 3200 outputs"):
        export(network, folder, inputs=inputs)
    with pytest.raises(OutputError, match="otherwise"):
        export(network, tmp_path / "new", inputs=inputs)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (folder / "encoder.onnx").read_bytes() == older


def test_export_is_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    export(CHIPS["baseline"], tmp_path / "out")
    assert capfd.readouterr() == ("", "")


def test_what_cannot_be_exact_is_refused(tmp_path: Path) -> None:
    truncating = chip(
        Flatten("f"), Dense("d", 2, **fixed(6)), ReLU("cut", FixedPoint(1, 3, rounding="truncate"))
    )
    with pytest.raises(UnsupportedLayerError, match="'cut' has rounding 'truncate'"):
        export(truncating, tmp_path / "out")
    narrow = Network((64,), (Dense("d", 4, **fixed(8)), ReLU("r", rounded(8))), INPUT)
    check(narrow, Device())
    wide = Network((4096,), (Dense("narrow", 4, **fixed(2)), Dense("wide", 2, **fixed(8))), INPUT)
    with pytest.raises(UnsupportedLayerError, match="qonnx: layer 'wide' needs an accumulator of"):
        check(wide, Device())
    assert not list(tmp_path.iterdir())


def test_simulate_gives_codes(tmp_path: Path) -> None:
    network = CHIPS["pooled, two convs, two dense"]
    inputs = probes(network, 9)
    np.testing.assert_array_equal(simulate(export(network, tmp_path / "out"), inputs), network.codes(inputs))
