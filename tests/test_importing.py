"""Networks made elsewhere: what is read computes what qonnx's executor computes, or is refused by name."""

import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import pytest
import qonnx
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from qonnx.custom_op.general.intquant import int_quant, max_int, min_int

from codesign.errors import ConfigError, NetworkError, UnsupportedLayerError
from codesign.export.bundle import probes
from codesign.export.graph import model as exported_model
from codesign.fixedpoint import FixedPoint
from codesign.hardware import Device, Workload
from codesign.importing import Imported, parse_format, read_qonnx
from codesign.importing.graph import load
from codesign.importing.monotone import Chain, Quantiser, fractions, power_of_two
from codesign.network import Conv, Dense, MaxPool, Network, ReLU, Thresholds, Upsample
from hardware_models.asic import AsicModel
from tests.export.designs import DESIGNS, design

MODES = ("ROUND", "HALF_EVEN", "FLOOR", "CEIL", "UP", "DOWN", "HALF_UP", "HALF_DOWN")
ESPCN = Path(qonnx.__file__).parent / "data/onnx/bsd300x3-espcn/nn_resize/quant_model.onnx"
Array = NDArray[Any]


class Drawn:
    """A QONNX graph, node by node; each method returns the name of the tensor it made."""

    def __init__(self, shape: tuple[int, ...], seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.shape, self.edge = shape, "input"
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: Any, kind: str = "f4") -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value, kind), name))
        return name

    def node(self, kind: str, *inputs: str, domain: str = "", name: str = "", **attributes: Any) -> str:
        made = f"{kind}_{len(self.nodes)}"
        given_inputs = list(inputs) or [self.edge]
        self.nodes.append(
            helper.make_node(kind, given_inputs, [made], name=name or made, domain=domain, **attributes)
        )
        self.edge = made
        return made

    def with_constant(self, kind: str, value: Any) -> str:
        return self.node(kind, self.edge, self.constant(value))

    def quant(
        self,
        bits: int,
        scale: Any,
        *,
        signed: int = 1,
        narrow: int = 0,
        mode: str = "ROUND",
        zero: float = 0.0,
    ) -> str:
        return self._quantise(self.edge, bits, scale, signed, narrow, mode, zero)

    def _quantise(
        self, tensor: str, bits: int, scale: Any, signed: int, narrow: int, mode: str, zero: float
    ) -> str:
        names = [self.constant(scale), self.constant(zero), self.constant(float(bits))]
        return self.node(
            "Quant", tensor, *names, domain="onnx.brevitas", signed=signed, narrow=narrow, rounding_mode=mode
        )

    def bipolar(self, scale: float = 1.0) -> str:
        return self.node("BipolarQuant", self.edge, self.constant(scale), domain="onnx.brevitas")

    def weight(self, shape: tuple[int, ...], bits: int, scale: Any, *, narrow: int = 1) -> str:
        """A quantised constant; 1 bit is bipolar."""
        before = self.edge
        value = self.constant(self.rng.normal(0, np.max(scale) * 2.0 ** max(bits - 2, 0), shape))
        if bits == 1:
            made = self.node("BipolarQuant", value, self.constant(scale), domain="onnx.brevitas")
        else:
            made = self._quantise(value, bits, scale, 1, narrow, "ROUND", 0.0)
        self.edge = before
        return made

    def normalise(self, channels: int, spread: float = 1.0) -> str:
        """A BatchNormalization; about a third of the channels fall."""
        sign = np.where(self.rng.random(channels) < 0.35, -1, 1)
        held = (
            sign * self.rng.uniform(0.3, 2.0, channels),
            self.rng.normal(0, 1, channels),
            self.rng.normal(0, spread, channels),
            self.rng.uniform(0.3, 2.0, channels) * spread**2,
        )
        return self.node("BatchNormalization", self.edge, *map(self.constant, held), epsilon=1e-5)

    def model(self) -> onnx.ModelProto:
        ends = (
            helper.make_tensor_value_info("input", TensorProto.FLOAT, (1, *self.shape)),
            helper.make_tensor_value_info(self.edge, TensorProto.FLOAT, None),
        )
        graph = helper.make_graph(self.nodes, "drawn", ends[:1], ends[1:], self.constants)
        opsets = [helper.make_opsetid("", 13), helper.make_opsetid("onnx.brevitas", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)

    def save(self, folder: Path) -> Path:
        path = folder / "drawn.onnx"
        path.write_bytes(self.model().SerializeToString())
        return path


def binary_perceptron() -> Drawn:
    """As TFC_1W1A of the zoo: an image without a quantised scale, normalised, all values -1 and 1."""
    drawn = Drawn((1, 6, 6))
    drawn.node("Reshape", "input", drawn.constant([1, -1], "i8"))
    drawn.with_constant("Mul", 2.0)
    drawn.with_constant("Sub", [1.0])
    drawn.bipolar()
    for inputs, units in ((36, 16), (16, 12)):
        weight = drawn.weight((units, inputs), 1, 1.0)
        edge = drawn.edge
        turned = drawn.node("Transpose", weight, perm=[1, 0])
        drawn.node("MatMul", edge, turned)
        drawn.normalise(units, 3.0)
        drawn.bipolar()
    drawn.node("MatMul", drawn.edge, drawn.weight((12, 5), 1, 1.0))
    drawn.with_constant("Sub", [0.4488643])
    drawn.with_constant("Div", [17.838])
    drawn.with_constant("Mul", [0.7341181])
    drawn.with_constant("Add", [-1.1436615])
    return drawn


def convolutional() -> Drawn:
    """As CNV of the zoo, and more: no padding, 2 bits, pooling that crops, groups, scales for each filter."""
    drawn = Drawn((3, 13, 13))
    drawn.quant(8, 0.03117828)
    drawn.node("Conv", drawn.edge, drawn.weight((6, 3, 3, 3), 2, 0.19197434), kernel_shape=[3, 3])
    drawn.normalise(6)
    drawn.quant(2, 0.73, narrow=1)
    drawn.node("MaxPool", drawn.edge, kernel_shape=[2, 2], strides=[2, 2])
    scales = drawn.rng.uniform(0.05, 0.2, (8, 1, 1, 1))
    drawn.node(
        *(
            "Conv",
            drawn.edge,
            drawn.weight((8, 3, 3, 3), 4, scales),
            drawn.constant(drawn.rng.normal(0, 0.2, 8)),
        ),
        group=2,
        pads=[1, 1, 1, 1],
        strides=[2, 2],
    )
    drawn.node("Relu")
    drawn.quant(3, 0.21, signed=0)
    drawn.node("Flatten", axis=1)
    drawn.node(
        *("Gemm", drawn.edge, drawn.weight((5, 72), 4, 0.03), drawn.constant(drawn.rng.normal(0, 0.2, 5))),
        transB=1,
    )
    drawn.node("Softmax", axis=1)
    return drawn


def keras() -> Drawn:
    """As qonnx makes of QKeras: channels last, transposed and back, powers of two, a quantised bias."""
    drawn = Drawn((8, 8, 3))
    drawn.quant(8, 2.0**-7)
    drawn.node("Transpose", drawn.edge, perm=[0, 3, 1, 2])
    drawn.node(
        *(
            "Conv",
            drawn.edge,
            drawn.weight((4, 3, 2, 2), 6, 2.0**-5, narrow=0),
            drawn.weight((4,), 6, 2.0**-5),
        ),
        strides=[2, 2],
    )
    drawn.node("Transpose", drawn.edge, perm=[0, 2, 3, 1])
    drawn.node("Reshape", drawn.edge, drawn.constant([-1, 64], "i8"))
    drawn.node("Relu")
    drawn.quant(6, 2.0**-6, signed=0)
    drawn.node("MatMul", drawn.edge, drawn.weight((64, 7), 6, 2.0**-5, narrow=0))
    drawn.node("Add", drawn.edge, drawn.weight((7,), 6, 2.0**-5))
    drawn.node("MatMul", drawn.edge, drawn.weight((7, 4), 6, 2.0**-5, narrow=0))
    drawn.node("Softmax", axis=1)
    return drawn


def offsets() -> Drawn:
    """Zero points, a limit at both ends, every bit of a chain: what asymmetric quantisers make."""
    drawn = Drawn((12,))
    drawn.quant(6, 0.05, signed=0, zero=19.0)
    drawn.node("MatMul", drawn.edge, drawn.weight((12, 10), 4, 0.11))
    drawn.node("Clip", drawn.edge, drawn.constant(-1.0), drawn.constant(1.0))
    drawn.with_constant("Mul", drawn.rng.normal(0, 1, (1, 10)))
    drawn.quant(5, 0.071, signed=0, zero=11.0, mode="CEIL")
    drawn.node("MatMul", drawn.edge, drawn.weight((10, 3), 4, 0.13))
    drawn.bipolar(0.5)
    return drawn


def shifted() -> Drawn:
    """A scale and a constant for each channel between a quantiser and what takes its codes."""
    drawn = Drawn((2, 5, 5))
    drawn.quant(5, 0.05)
    drawn.with_constant("Mul", 1.7)
    drawn.with_constant("Add", [[[[0.3]], [[-0.8]]]])
    drawn.node("Conv", drawn.edge, drawn.weight((4, 2, 2, 2), 4, 0.11))
    drawn.quant(4, 0.2)
    drawn.with_constant("Sub", drawn.rng.normal(0, 0.3, (1, 4, 4, 4)))
    drawn.node("Flatten")
    drawn.node("MatMul", drawn.edge, drawn.weight((64, 3), 4, 0.13))
    return drawn


FORMS: dict[str, tuple[Callable[[], Drawn], list[type]]] = {
    "binary perceptron": (binary_perceptron, [Dense, Thresholds, Dense, Thresholds, Dense]),
    "convolutional": (convolutional, [Conv, Thresholds, MaxPool, Conv, Thresholds, Dense]),
    "keras": (keras, [Conv, ReLU, Dense, Dense]),
    "shifted": (shifted, [Conv, Thresholds, Dense]),
    "offsets": (offsets, [Dense, Thresholds, Dense, Thresholds]),
}


@pytest.mark.parametrize("form", FORMS)
def test_what_is_read_computes_what_qonnx_computes(form: str, tmp_path: Path) -> None:
    make, kinds = FORMS[form]
    path = make().save(tmp_path)
    read = read_qonnx(path)
    assert [type(layer) for layer in read.network.layers if "flatten" not in layer.name] == kinds
    assert read.checked["activations"] > 0
    graph = load(path)
    inputs = np.random.default_rng(1).normal(0, 0.6, (40, *read.input_shape)).astype(np.float32)
    last = graph.nodes[-1].inputs[0] if graph.nodes[-1].kind == "Softmax" else graph.output_name
    computed = graph.execute(inputs, [last])[last].reshape(40, -1)
    assert read.predict(inputs).reshape(40, -1) == pytest.approx(computed, rel=1e-5, abs=1e-5)


def test_scales_that_are_powers_of_two_leave_plain_layers_with_the_formats_of_the_file(
    tmp_path: Path,
) -> None:
    network = read_qonnx(keras().save(tmp_path)).network
    conv, relu, _, dense, _ = network.layers
    assert isinstance(conv, Conv)
    assert isinstance(dense, Dense)
    assert isinstance(relu, ReLU)
    assert (conv.weight, conv.bias, conv.plain) == (FixedPoint(0, 5), FixedPoint(0, 5), True)
    assert relu.output == FixedPoint(0, 6, signed=False)
    assert network.input_format == FixedPoint(0, 7)


def exported(network: Network, folder: Path) -> Path:
    path = folder / "encoder.onnx"
    path.write_bytes(exported_model(network.chip, "qonnx").SerializeToString())
    return path


ROUND_TRIPS = ("baseline", "8 bit, kernel 5, stride 4", "three convolutions", "three dense")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in ROUND_TRIPS else [pytest.mark.slow]) for name in DESIGNS]
)
def test_what_was_exported_here_comes_back(name: str, tmp_path: Path) -> None:
    network = DESIGNS[name]
    read = read_qonnx(exported(network, tmp_path))
    inputs = probes(network, 500)
    assert np.array_equal(read.network.codes(inputs), network.codes(inputs))
    assert np.array_equal(read.codes(inputs.transpose(0, 3, 1, 2)), network.codes(inputs))
    assert [type(layer) for layer in read.network.layers] == [type(layer) for layer in network.layers]
    for key, array in network.weights.items():
        assert key.endswith("bias") or np.array_equal(read.network.weights[key], array)


@pytest.mark.parametrize("name", ["baseline", "pooling", "dense only"])
def test_what_comes_back_is_the_same_network_and_costs_the_same(name: str, tmp_path: Path) -> None:
    network = DESIGNS[name]
    read = read_qonnx(exported(network, tmp_path)).network
    assert read == network
    estimate = [AsicModel().estimate(each, Device()) for each in (read, network)]
    assert estimate[0] == estimate[1]


def test_it_comes_back_again(tmp_path: Path) -> None:
    once = read_qonnx(exported(DESIGNS["two convolutions"], tmp_path)).network
    assert read_qonnx(exported(once, tmp_path)).network == once


def quantiser(bits: int, scale: Fraction, *, signed: bool, narrow: bool, mode: str, zero: int) -> Quantiser:
    ends = [int(end(signed, narrow, bits)) for end in (min_int, max_int)]
    return Quantiser(np.asarray(scale, object), zero, *ends, signed, bits, mode)


dyadic = st.integers(-48, 48).map(lambda value: Fraction(value, 16))
powers = st.sampled_from([Fraction(2) ** power for power in (-3, -2, -1, 0, 1)])


@settings(max_examples=150, deadline=None)
@given(
    mode=st.sampled_from(MODES),
    bits=st.integers(2, 4),
    scale=powers,
    signed=st.booleans(),
    narrow=st.booleans(),
    zero=st.integers(-3, 3),
    factors=st.lists(dyadic, min_size=2, max_size=3),
    shift=dyadic,
    limits=st.tuples(dyadic, st.integers(0, 40).map(lambda value: Fraction(value, 8))),
)
def test_thresholds_round_as_qonnx_does_even_on_ties(
    mode: str,
    bits: int,
    scale: Fraction,
    signed: bool,
    narrow: bool,
    zero: int,
    factors: list[Fraction],
    shift: Fraction,
    limits: tuple[Fraction, Fraction],
) -> None:
    """All numbers are dyadic, so that float64 is exact and ties are common."""
    chain = Chain().affine(np.array(factors, object), shift).clip(limits[0], limits[0] + limits[1])
    chain = chain.affine(np.array(factors[::-1], object), -shift)
    form = quantiser(bits, scale, signed=signed, narrow=narrow, mode=mode, zero=zero)
    values = np.arange(-60, 61)
    channels = len(factors)
    steps = chain.steps(form, Fraction(1, 4), [-60] * channels, [60] * channels)
    fixed = FixedPoint(8, 0)
    layer = Thresholds("t", fixed, FixedPoint(8, 2), steps.thresholds.shape[1], form.lowest - zero)
    network = Network((channels,), (layer,), FixedPoint(6, 2)).with_weights(
        {"t.thresholds": steps.thresholds, "t.sign": steps.sign}
    )
    inputs = np.repeat(values[:, None], channels, axis=1) / 4.0
    real = chain.real(inputs)
    rounded = int_quant(real, float(scale), float(zero), np.float64(bits), signed, narrow, mode)
    assert np.array_equal(network.codes(inputs) * float(scale), rounded)


@settings(max_examples=60, deadline=None)
@given(
    scale=st.floats(0.0625, 2.0, width=32),
    factor=st.floats(-3.0, 3.0, width=32).filter(lambda value: abs(value) > 0.01),
    mode=st.sampled_from(MODES),
)
def test_thresholds_of_the_input_are_the_first_floats_that_reach_a_code(
    scale: float, factor: float, mode: str
) -> None:
    form = quantiser(3, Fraction(scale), signed=True, narrow=False, mode=mode, zero=0)
    thresholds, sign = Chain().affine(Fraction(factor)).float_steps(form, 1)
    for threshold, code in zip(thresholds[0], range(form.lowest + 1, form.highest + 1), strict=True):
        begin, inside = form.boundary(code)
        below = np.nextafter(threshold, np.float32(-np.inf))
        reached = [
            Fraction(factor) * int(sign[0]) * Fraction(float(x)) / Fraction(scale) for x in (below, threshold)
        ]
        assert [(at > begin) or (at == begin and inside) for at in reached] == [False, True]


@settings(max_examples=60, deadline=None)
@given(
    bias=st.lists(st.integers(-768, 768).map(lambda value: value / 256), min_size=4, max_size=4),
    drop=st.integers(0, 3),
)
def test_a_bias_of_any_value_behind_powers_of_two_is_exact(
    bias: list[float], drop: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    drawn = Drawn((6,))
    drawn.quant(4, 2.0**-2)
    weight = drawn.weight((6, 4), 4, 2.0**-3)
    drawn.node("Gemm", drawn.edge, weight, drawn.constant(bias))
    drawn.node("Relu")
    drawn.quant(5, 2.0 ** (drop - 5), signed=0)
    read = read_qonnx(drawn.save(tmp_path_factory.mktemp("bias")), inputs=np.zeros((1, 6)))
    codes = np.random.default_rng(0).integers(-8, 8, (50, 6))
    weights = read.network.weights[f"{read.network.layers[0].name}.weight"]
    real = (codes @ weights) / 32.0 + np.array(bias, np.float64)
    expected = np.clip(np.rint(real / 2.0 ** (drop - 5)), 0, 31)
    assert np.array_equal(read.network.codes(codes / 4.0), expected)


def test_the_half_lsb_of_our_exports_is_taken_back(tmp_path: Path) -> None:
    network = design(((4, 3, 2, False, (5, 6)),), (), (8, (5, 7)), 7, seed=4)
    read = read_qonnx(exported(network, tmp_path)).network
    for layer, original in zip(read.layers, network.layers, strict=True):
        if isinstance(layer, ReLU):
            assert layer.output is not None
            assert layer.output.rounding == "half_up"
        if isinstance(layer, Conv | Dense):
            assert isinstance(original, Conv | Dense)
            assert layer.bias is not None
            assert original.bias is not None
            real, wanted = (
                fixed.dequantise(cast(NDArray[np.int64], each.weights[f"{layer.name}.bias"]))
                for each, fixed in ((read, layer.bias), (network, original.bias))
            )
            assert np.array_equal(real, wanted)


def test_the_device_quantises_the_input_where_its_format_is_given(tmp_path: Path) -> None:
    path = binary_perceptron().save(tmp_path)
    given_format = FixedPoint(0, 8, signed=False)
    outside, inside = read_qonnx(path), read_qonnx(path, input_format=given_format)
    assert inside.network.input_format == given_format
    images = np.random.default_rng(0).integers(0, 256, (20, 1, 6, 6)) / 256
    assert np.array_equal(outside.predict(images), inside.predict(images))
    with pytest.raises(UnsupportedLayerError, match=r"Thresholds.*cannot be priced"):
        Workload.of([inside.network])


def unquantised_input() -> Drawn:
    drawn = Drawn((6,))
    drawn.node("MatMul", drawn.edge, drawn.weight((6, 4), 4, 0.25), name="first")
    return drawn


def test_an_input_that_the_file_does_not_quantise_needs_a_format(tmp_path: Path) -> None:
    path = unquantised_input().save(tmp_path)
    with pytest.raises(UnsupportedLayerError, match=r"drawn.onnx: node 'first' \(MatMul\) .*input_format"):
        read_qonnx(path)
    with pytest.raises(NetworkError, match=r"inputs have shape \(6, 1\), expected"):
        read_qonnx(path, input_format=FixedPoint(5, 10), inputs=np.zeros((6, 1)))
    read = read_qonnx(path, input_format=FixedPoint(5, 10))
    assert read.network.input_format == FixedPoint(5, 10)
    assert read.network.formats[-1] is not None


def test_thresholds_and_groups_are_priced(tmp_path: Path) -> None:
    read = read_qonnx(convolutional().save(tmp_path))
    work = Workload.of([read.network])
    assert work.fan_in.tolist() == [[27, 27, 72]]
    assert work.macs.tolist() == [[11 * 11 * 6 * 27, 3 * 3 * 8 * 27, 5 * 72]]
    assert work.weight_bits.tolist() == [[2, 4, 4]]
    assert work.input_bits.tolist() == [[8, 2, 3]]
    assert work.activation_bits.tolist()[0][:2] == [2, 3]
    assert work.biases.tolist() == [[6 * 2, 8 * 7, 5]]
    assert work.activations.tolist() == [[11 * 11 * 6, 3 * 3 * 8, 0]]
    assert work.pooled.tolist() == [[5 * 5 * 6, 0, 0]]
    assert AsicModel().estimate(read.network, Device()).costs()["area_um2"] > 0


def test_the_output_has_the_scale_of_the_file_and_what_was_left_out_is_said(tmp_path: Path) -> None:
    read = read_qonnx(convolutional().save(tmp_path))
    assert any("Softmax" in note for note in read.notes)
    assert any("thresholds" in note for note in read.notes)
    inputs = np.zeros((2, *read.input_shape))
    assert read.codes(inputs).dtype == np.int64
    assert read.predict(inputs).shape == (2, *read.output_shape) == (2, 5)
    with pytest.raises(NetworkError, match="expected"):
        read.predict(np.zeros((2, 5)))
    with pytest.raises(NetworkError, match="not finite"):
        read.predict(np.full((2, *read.input_shape), np.nan))


Change = Callable[[Network], Network]


def wrong(kind: str) -> Change:
    def change(network: Network) -> Network:
        name = next(key for key in network.weights if key.endswith(kind))
        array = np.array(network.weights[name])
        if kind == "weight":
            array.flat[0] = -array.flat[0]
        else:
            array = -array if kind == "sign" else array // 2
        return network.with_weights({**network.weights, name: array})

    return change


@pytest.mark.parametrize("kind", ["weight", "thresholds", "sign"])
def test_a_network_that_was_read_wrongly_is_not_returned(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from codesign.importing.builder import Builder

    right = Builder.network
    change = wrong(kind)
    monkeypatch.setattr(Builder, "network", lambda self: change(right(self)))
    with pytest.raises(NetworkError, match="read otherwise than qonnx's executor computes"):
        read_qonnx(binary_perceptron().save(tmp_path))


def test_a_tie_taken_wrongly_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Powers of two are exact in float32, so there a difference is never one of float rounding."""
    drawn = Drawn((8,))
    drawn.quant(3, 1.0)
    drawn.node("MatMul", drawn.edge, drawn.weight((8, 30), 3, 1.0))
    drawn.node("Relu")
    drawn.quant(4, 2.0, signed=0)
    path = drawn.save(tmp_path)
    assert read_qonnx(path).checked["activations_differ"] == 0
    from codesign.importing import builder

    original = builder.ReLU
    monkeypatch.setattr(
        builder,
        "ReLU",
        lambda name, output: original(name, replace(output, rounding="half_up")),
    )
    with pytest.raises(NetworkError, match="read otherwise"):
        read_qonnx(path)


def refused(build: Callable[[Drawn], object], shape: tuple[int, ...] = (4, 6, 6)) -> Callable[[], Drawn]:
    def make() -> Drawn:
        drawn = Drawn(shape)
        drawn.quant(4, 0.25)
        build(drawn)
        return drawn

    return make


def branch(drawn: Drawn) -> None:
    before = drawn.edge
    after = drawn.node("Relu", before)
    drawn.node("Add", before, after, name="residual")


def conv(drawn: Drawn, shape: tuple[int, ...] = (4, 4, 3, 3), **attributes: Any) -> None:
    drawn.node("Conv", drawn.edge, drawn.weight(shape, 4, 0.25), name="the conv", **attributes)


def float_conv(drawn: Drawn) -> None:
    drawn.node("Conv", drawn.edge, drawn.constant(np.zeros((4, 4, 3, 3))), name="the conv")


def relu_between(drawn: Drawn) -> None:
    conv(drawn)
    drawn.normalise(4)
    drawn.node("Relu")
    conv(drawn)


def falling_pool(drawn: Drawn) -> None:
    drawn.with_constant("Mul", -1.0)
    drawn.node("MaxPool", drawn.edge, name="pool", kernel_shape=[2, 2], strides=[2, 2])


def softmax_within(drawn: Drawn) -> None:
    drawn.node("Softmax", name="soft")
    drawn.node("Relu")


def wide(drawn: Drawn) -> None:
    conv(drawn)
    drawn.quant(16, 0.3)


def padded_offset(drawn: Drawn) -> None:
    drawn.with_constant("Add", 0.25)
    conv(drawn, pads=[1, 1, 1, 1])


REFUSED: dict[str, tuple[Callable[[], Drawn], str]] = {
    "an average": (
        refused(lambda drawn: drawn.node("GlobalAveragePool", name="the average")),
        "node 'the average' is a GlobalAveragePool, which is not imported",
    ),
    "a truncation": (
        refused(lambda drawn: drawn.node("Trunc", domain="onnx.brevitas", name="cut")),
        "node 'cut' is a onnx.brevitas.Trunc",
    ),
    "a branch": (refused(branch), r"node 'residual' \(Add\) joins branches"),
    "float weights": (refused(float_conv), r"node 'the conv' \(Conv\) has weights that are not quantised"),
    "float values": (refused(relu_between), "takes values that are not quantised; put a Quant node"),
    "a kernel that is not square": (
        refused(lambda drawn: conv(drawn, (4, 4, 3, 1))),
        r"'the conv' \(Conv\) has a kernel of \(3, 1\)",
    ),
    "dilations": (refused(lambda drawn: conv(drawn, dilations=[2, 2])), "has dilations, or strides"),
    "pooling that overlaps": (
        refused(lambda drawn: drawn.node("MaxPool", kernel_shape=[3, 3], strides=[2, 2])),
        r"has windows \[3, 3\] and strides \[2, 2\]",
    ),
    "pooling behind a negative factor": (refused(falling_pool), "node 'pool' .*negative factor"),
    "a Softmax within": (refused(softmax_within), "follows node 'soft' .*taken only at the end"),
    "too many thresholds": (refused(wide), "has 65536 codes.*4095 are taken at most"),
    "padding of an offset": (refused(padded_offset), "'the conv' .*whose zero is no code"),
    "half a bit": (refused(lambda drawn: drawn.quant(cast(int, 2.5), 0.25)), r"has width \[2.5\]"),
    "a negative scale": (refused(lambda drawn: drawn.quant(4, -0.25)), "scale that is not above 0"),
    "a rounding of its own": (
        refused(lambda drawn: drawn.quant(4, 0.25, mode="SOMEHOW")),
        "rounding mode 'SOMEHOW'",
    ),
    "a constant that is not finite": (
        refused(lambda drawn: drawn.with_constant("Add", np.inf)),
        r"Add_\d+' \(Add\) cannot be read: ValueError: a constant is not finite",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_imported_is_named(what: str, tmp_path: Path) -> None:
    make, message = REFUSED[what]
    with pytest.raises((NetworkError, UnsupportedLayerError), match=message):
        read_qonnx(make().save(tmp_path))


def float_network() -> onnx.ModelProto:
    drawn = Drawn((4,))
    drawn.node("MatMul", drawn.edge, drawn.constant(np.ones((4, 2))))
    return drawn.model()


def external() -> onnx.ModelProto:
    made = keras().model()
    made.graph.initializer[0].data_location = TensorProto.EXTERNAL
    return made


FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "text": (lambda: b"no network", "is not an ONNX file"),
    "nothing": (lambda: b"", "holds no nodes"),
    "a part": (lambda: keras().model().SerializeToString()[:-40], "is not an ONNX file, or only a part"),
    "a float network": (lambda: float_network().SerializeToString(), "no Quant or BipolarQuant node"),
    "weights elsewhere": (lambda: external().SerializeToString(), "weights in other files"),
}


@pytest.mark.parametrize("what", FILES)
def test_files_that_are_no_quantised_networks_are_refused_in_a_line(what: str, tmp_path: Path) -> None:
    content, message = FILES[what]
    path = tmp_path / "given.onnx"
    path.write_bytes(content())
    with pytest.raises(NetworkError, match=message) as caught:
        read_qonnx(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_absent_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match=r"cannot read the network .*No such file"):
        read_qonnx(tmp_path / "absent.onnx")


def test_no_module_that_a_file_names_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "named_by_a_file.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    drawn = Drawn((4,))
    drawn.quant(4, 0.25)
    drawn.node("Quant", drawn.edge, domain="named_by_a_file", name="evil")
    with pytest.raises(UnsupportedLayerError, match=r"node 'evil' is a named_by_a_file\.Quant"):
        read_qonnx(drawn.save(tmp_path))
    assert "named_by_a_file" not in sys.modules


def test_a_real_network_of_brevitas_is_read(tmp_path: Path) -> None:
    """Of qonnx's own data: a scale for each filter, BatchNormalization, Resize; cut to a smaller image."""
    if not ESPCN.is_file():
        pytest.skip("this qonnx has no data/onnx/bsd300x3-espcn")
    made = onnx.load(str(ESPCN))
    for axis in made.graph.input[0].type.tensor_type.shape.dim[2:]:
        axis.dim_value = 8
    del made.graph.value_info[:]
    path = tmp_path / "espcn.onnx"
    path.write_bytes(made.SerializeToString())
    read = read_qonnx(path)
    assert [type(layer) for layer in read.network.layers] == [Conv, Thresholds] * 3 + [
        Upsample,
        Conv,
        Thresholds,
    ]
    assert read.checked["activations"] > 80_000
    assert read.checked["activations_differ"] < 10
    assert read.output_shape == (3, 16, 16)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_what_brevitas_exports_computes_what_its_module_computes(tmp_path: Path) -> None:
    for package in ("onnxscript", "onnxoptimizer"):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed: brevitas exports with it; pip install 'codesign[finn]'")
    import brevitas.nn as qnn
    import torch
    from brevitas.export import export_qonnx
    from brevitas.quant.scaled_int import Int8WeightPerChannelFloat
    from torch import nn

    torch.manual_seed(0)
    module = nn.Sequential(
        qnn.QuantIdentity(bit_width=8),
        qnn.QuantConv2d(3, 6, 3, bias=False, weight_bit_width=2),
        nn.BatchNorm2d(6),
        qnn.QuantReLU(bit_width=4),
        nn.MaxPool2d(2),
        qnn.QuantConv2d(
            6, 8, 3, stride=2, padding=1, weight_bit_width=4, weight_quant=Int8WeightPerChannelFloat
        ),
        qnn.QuantReLU(bit_width=3),
        nn.Flatten(),
        qnn.QuantLinear(8 * 9, 10, bias=True, weight_bit_width=4),
    )
    inputs = torch.randn(32, 3, 14, 14)
    for _ in range(30):
        module(inputs)
    module.eval()
    path = tmp_path / "brevitas.onnx"
    export_qonnx(module, inputs[:1], export_path=str(path))
    read: Imported = read_qonnx(path)
    with torch.no_grad():
        expected = module(inputs).numpy()
    assert read.predict(inputs.numpy()) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("power", [-12, -1, 0, 1, 7])
def test_powers_of_two_are_known(power: int) -> None:
    assert power_of_two(Fraction(2) ** -power) == power
    assert power_of_two(3 * Fraction(2) ** -power) is None
    assert fractions(np.float32(0.1)).item() == Fraction(float(np.float32(0.1)))


def test_a_format_is_said_in_bits() -> None:
    assert parse_format("5.10") == FixedPoint(5, 10)
    assert parse_format(" u0.8") == FixedPoint(0, 8, signed=False)
    for text in ("16", "u", "5.10.2", "-1.4", "5,10"):
        with pytest.raises(ConfigError, match="a format is integer"):
            parse_format(text)
    with pytest.raises(NetworkError, match="1 to 48 bits"):
        parse_format("40.40")
