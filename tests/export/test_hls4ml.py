"""Projects of hls4ml compute the network's integers, tell how to run them, name nothing of this machine."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from codesign import tools
from codesign.errors import (
    ConfigError,
    DifferenceError,
    MissingToolError,
    NetworkError,
    OutputError,
    UnsupportedLayerError,
)
from codesign.export import exporter, hls4ml
from codesign.export.bundle import probes
from codesign.export.hls4ml import check, driver, export, simulate
from codesign.export.hls4ml.build import layer_list, legal_reuse_factors, precision, strategies
from codesign.export.hls4ml.rules import BACKENDS
from codesign.fixedpoint import FixedPoint
from codesign.hardware import Device
from codesign.network import (
    Conv,
    ConvTranspose,
    Dense,
    Flatten,
    Folding,
    Layer,
    MaxPool,
    Network,
    ReLU,
    Reshape,
    Sigmoid,
    Upsample,
)
from tests.export.designs import DESIGNS, fixed, randomised, rounded

T = TypeVar("T")
INPUT = FixedPoint(1, 5, signed=False)
XILINX = Device(technology="fpga")
AMD = ("vivado", "vitis")
OTHERS = ("catapult", "quartus", "oneapi")


def chip(*layers: Layer, shape: tuple[int, ...] = (4, 4, 1), first: FixedPoint = INPUT) -> Network:
    return randomised(Network(shape, layers, first))


def conv(units: int = 2, **options: Any) -> Conv:
    return Conv(**{"name": "conv", "units": units, **fixed(4), "stride": 2, **options})


def dense(units: int = 3, **options: Any) -> Dense:
    return Dense("dense", units, **{**fixed(4), **options})


def relu(bits: int = 5, name: str = "relu") -> ReLU:
    return ReLU(name, rounded(bits))


SMALL = chip(conv(), relu(), Flatten("flat"), dense(), relu(name="out"))
CHIPS: dict[str, Network] = {
    "ends in an accumulator": chip(conv(kernel=5, stride=1), shape=(3, 5, 2)),
    "ends in an image": chip(conv(stride=1), relu(), MaxPool("pool"), shape=(5, 3, 2)),
    "ends flat": chip(conv(kernel=1, stride=4), relu(), Flatten("flat")),
    "own padding, cropped pooling": chip(
        conv(padding=(2, 0, 1, 3)), relu(), MaxPool("pool", partial=False), shape=(8, 7, 1)
    ),
    "no padding": chip(conv(padding=(0, 0, 0, 0)), relu(), shape=(6, 5, 2)),
    "pools sums, padded": chip(conv(stride=1), MaxPool("pool", size=3), relu(), shape=(5, 4, 1)),
    "shapes and grows": chip(
        dense(8), relu(), Reshape("image", (2, 4, 1)), Upsample("up"), conv(), relu(name="out"), shape=(6,)
    ),
    "other modes": chip(
        conv(weight=FixedPoint(-2, 7), bias=FixedPoint(-3, 9)),
        ReLU("cut", FixedPoint(-2, 6, signed=False, rounding="truncate", overflow="wrap")),
        Flatten("flat"),
        dense(weight=FixedPoint(1, 0), bias=FixedPoint(0, 0)),
        ReLU("out", FixedPoint(0, 3, rounding="half_even")),
        first=FixedPoint(2, 3),
    ),
    "folded": chip(
        conv(4, folding=Folding(4, 3)),
        relu(),
        Flatten("flat"),
        dense(4, folding=Folding(2, 1)),
        relu(name="out"),
    ),
}


def inputs_of(network: Network, count: int = 40) -> NDArray[np.float64]:
    return probes(network, count)[::-1]


needs_tool = pytest.mark.skipif(
    find_spec("hls4ml") is None or shutil.which("g++") is None, reason="needs the extra hls4ml and g++"
)


def tool(test: T) -> T:
    """Marks a test that needs hls4ml and g++."""
    return cast(T, pytest.mark.hls4ml(needs_tool(test)))


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small network for every back end."""
    folder = tmp_path_factory.mktemp("hls4ml") / "every"
    return export(SMALL, folder, inputs=inputs_of(SMALL, 300), backends=tuple(BACKENDS))


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


# What hls4ml cannot take, named before training


@pytest.mark.parametrize(
    ("layers", "backends", "words"),
    [
        ((ConvTranspose("grow it", 2, **fixed(4)),), AMD, "vivado: layer 'grow it' is a ConvTranspose"),
        ((conv(), relu(), Sigmoid("s")), OTHERS, "layer 's' has no fixed-point format"),
        ((conv(2), conv(2, name="b", groups=2)), ("vitis",), "vitis: layer 'b' has 2 groups"),
        ((Flatten("flat"),), ("vitis",), "vitis: the chip computes nothing"),
        (
            (conv(8, folding=Folding(4, 3)),),
            ("quartus",),
            r"quartus: layer 'conv' has reuse factor 6.* nearest are 3 \(folding pe=8, simd=3\) and 9",
        ),
        ((Flatten("flat"), dense(257)), ("vivado",), r"unrolls 4112 products.* fold it by 2 \(folding"),
        ((Flatten("flat"), dense(771, folding=Folding(3, 16))), ("vivado",), "unrolls 12336 products"),
        (
            (Flatten("flat"), dense(144, folding=Folding(48, 1))),
            ("oneapi",),
            r"layer 'dense' has more than 2048 weights and reuse factor 48",
        ),
        (
            (conv(), ReLU("r", FixedPoint(1, 2, signed=False, overflow="wrap")), MaxPool("pool", 3)),
            ("quartus",),
            "layer 'pool' pads an unsigned image that wraps",
        ),
    ],
)
def test_preflight_names_layer_and_back_end(
    layers: Sequence[Layer], backends: Sequence[str], words: str
) -> None:
    network = Network((4, 4, 1), tuple(layers), INPUT)
    with pytest.raises(UnsupportedLayerError, match=words):
        check(network, XILINX, backends=backends)


def test_preflight_knows_what_others_can() -> None:
    check(Network((4, 4, 1), (conv(8, folding=Folding(4, 3)),), INPUT), XILINX, backends=(*AMD, "catapult"))
    check(Network((4, 4, 1), (Flatten("flat"), dense(257)), INPUT), XILINX, backends=("vitis", *OTHERS))


def test_preflight_wants_a_part_of_the_vendor() -> None:
    intel = Device(technology="fpga", part="Agilex7")
    check(SMALL, intel, backends=("quartus", "oneapi"))
    check(SMALL, Device(part="Agilex7"), backends=("catapult",))
    for backend in ("vivado", "vitis", "catapult"):
        with pytest.raises(UnsupportedLayerError, match=f"{backend}: part 'Agilex7' is not one of AMD"):
            check(SMALL, intel, backends=(backend,))


@pytest.mark.parametrize("given", [("vitis", "xilinx"), ()])
def test_back_ends_are_known_ones(given: tuple[str, ...], tmp_path: Path) -> None:
    for call in (
        lambda: check(SMALL, XILINX, backends=given),
        lambda: export(SMALL, tmp_path / "out", backends=given),
    ):
        with pytest.raises(ConfigError, match="back ends of hls4ml are vivado, vitis"):
            call()
    assert list(tmp_path.iterdir()) == []


def test_refusals_come_before_the_tool_and_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = chip(ConvTranspose("up", 2, **fixed(4)))
    monkeypatch.setattr(tools.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UnsupportedLayerError):
        export(refused, tmp_path / "out")
    with pytest.raises(MissingToolError, match=r"hls4ml is not installed; pip install 'codesign\[hls4ml\]'"):
        export(SMALL, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_every_design_is_promised_but_for_intel_a_folding() -> None:
    for name, network in DESIGNS.items():
        for backend in BACKENDS:
            if name == "folded" and backend in ("quartus", "oneapi"):
                with pytest.raises(UnsupportedLayerError, match="'conv_1' has reuse factor 6"):
                    check(network, XILINX, backends=(backend,))
            else:
                check(network, XILINX, backends=(backend,))


def test_importing_the_target_does_not_load_the_tool() -> None:
    code = "import sys, codesign.export.hls4ml; sys.exit('hls4ml' in sys.modules or 'torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert exporter("hls4ml") is hls4ml


# What hls4ml is given


def test_precision_states_width_range_and_modes() -> None:
    assert precision(FixedPoint(0, 5)) == "fixed<6,1,RND_CONV,SAT>"
    assert precision(FixedPoint(3, -1, signed=False, rounding="truncate", overflow="wrap")) == (
        "ufixed<2,3,TRN,WRAP>"
    )


def test_precisions_and_reuse_factors_are_the_networks() -> None:
    layers, settings = layer_list(CHIPS["folded"])
    network = CHIPS["folded"]
    accumulator = network.formats[1]
    assert accumulator is not None
    assert settings["layer_1"]["Precision"] == {
        "weight": "fixed<4,1,RND_CONV,SAT>",
        "bias": "fixed<4,1,RND_CONV,SAT>",
        "accum": precision(accumulator),
        "result": precision(accumulator),
    }
    assert [settings[name]["ReuseFactor"] for name in ("layer_1", "layer_4")] == [3, 32]
    assert settings["layer_1"]["Strategy"] == "Resource"
    assert settings["layer_1"]["ParallelizationFactor"] == 1
    assert layer_list(SMALL)[1]["layer_1"]["ParallelizationFactor"] == 4
    weight = FixedPoint(0, 3).quantise(layers[1]["weight_data"])
    assert np.array_equal(weight, network.weights["conv.weight"])


@pytest.mark.parametrize(
    ("pe", "simd", "reuse", "strategy"),
    [
        (4, 9, 1, "Latency"),
        (4, 3, 3, "Resource"),
        (2, 9, 2, "Latency"),
        (4, 1, 9, "Resource"),
        (2, 1, 18, "Latency"),
    ],
)
def test_resource_where_it_can_and_latency_elsewhere(pe: int, simd: int, reuse: int, strategy: str) -> None:
    network = chip(conv(4, folding=Folding(pe, simd)))
    assert strategies(network)["layer_1"] == {
        "Strategy": strategy,
        "ReuseFactor": reuse,
        "ParallelizationFactor": 1,
    }


def test_names_of_layers_are_not_used() -> None:
    strange = "a b/../$(x);\n|"
    network = chip(Conv(strange, 2, **fixed(4)), ReLU("input", rounded(5)))
    assert [layer["name"] for layer in layer_list(network)[0]] == ["features", "layer_1", "layer_2"]


@tool
def test_legal_reuse_factors_are_those_of_hls4ml() -> None:
    backends = pytest.importorskip("hls4ml.backends")
    backend = backends.get_backend("Vitis")
    for fan_in, units in ((9, 4), (1, 6), (7, 1), (16, 12), (30, 8)):
        assert legal_reuse_factors(fan_in, units) == backend.get_valid_reuse_factors(fan_in, units)


# The written projects


@tool
def test_every_back_end_gives_the_integers_of_the_network(every: Path) -> None:
    provenance = json.loads((every / "provenance.json").read_text())
    assert [(each["check"], each["values"], each["differ"]) for each in provenance["checks"]] == [
        (f"C++ for {name}, g++", 900, 0) for name in BACKENDS
    ]
    assert provenance["versions"]["hls4ml"]
    assert list(provenance["measured"]) == list(BACKENDS)
    more = np.random.default_rng(5).uniform(-1, 3, (20, 4, 4, 1))
    assert np.array_equal(simulate(every, more, backend="Quartus"), SMALL.codes(more))
    assert np.array_equal(simulate(every, more), SMALL.codes(more))


@tool
def test_projects_hold_no_path_of_this_machine_and_nothing_compiled(every: Path) -> None:
    here = re.compile(rb"/tmp/|/home/|/root/|/work/|site-packages|" + re.escape(bytes(every.parent)))
    for path in files(every):
        assert path.suffix not in {".so", ".o", ".gz", ".pdf", ".log"}, path
        found = here.search(path.read_bytes())
        assert found is None, (path, found)


@tool
def test_same_network_same_project(every: Path, tmp_path: Path) -> None:
    again = export(SMALL, tmp_path / "again", inputs=inputs_of(SMALL, 300), backends=("vitis", "oneapi"))
    for backend in ("vitis", "oneapi"):
        for path in files(again / backend):
            assert path.read_bytes() == (every / path.relative_to(again)).read_bytes(), path


@tool
def test_test_bench_holds_the_first_vectors_as_real_values(every: Path) -> None:
    codes = np.load(every / "vectors" / "inputs.npy")[:256]
    expected = np.load(every / "vectors" / "expected.npy")[:256]
    for backend in BACKENDS:
        features = np.loadtxt(every / backend / "tb_data" / "tb_input_features.dat")
        outputs = np.loadtxt(every / backend / "tb_data" / "tb_output_predictions.dat")
        assert np.array_equal(np.ldexp(features, 5), codes.reshape(256, -1))
        assert np.array_equal(np.ldexp(outputs, 4), expected)


@tool
def test_projects_say_clock_part_and_technology(every: Path, tmp_path: Path) -> None:
    fast = Device(technology="fpga", clock_mhz=160.0, part="xcvu13p-flga2577-2-e")
    made = export(SMALL, tmp_path / "fast", device=fast, backends=OTHERS)
    for backend in AMD:
        project = (every / backend / "project.tcl").read_text()
        assert 'set part "xczu7ev-ffvc1156-2-e"\n' in project
        assert "set clock_period 25\n" in project
    assert "set hls_clock_period 6.25\n" in (made / "catapult" / "build_prj.tcl").read_text()
    assert "setup_xilinx_part {xcvu13p-flga2577-2-e}" in (made / "catapult" / "build_prj.tcl").read_text()
    assert "setup_asic_libs {" in (every / "catapult" / "build_prj.tcl").read_text()
    assert "Arria10" in (made / "quartus" / "Makefile").read_text()
    assert "-Xsclock=6.25ns" in (made / "oneapi" / "CMakeLists.txt").read_text()
    assert "Part Agilex7, as xcvu13p-flga2577-2-e is not Intel's" in (made / "README.md").read_text()


@tool
def test_commands_of_the_readme_run(every: Path, tmp_path: Path) -> None:
    readme = (every / "README.md").read_text()
    blocks = re.findall(r"alone, in `(\w+)/`.*?```sh\n(.*?)```", readme, flags=re.DOTALL)
    assert [backend for backend, _ in blocks] == list(BACKENDS)
    for backend, lines in blocks[1:4:2]:
        there = lines.replace("-o simulate", f"-o {tmp_path}/{backend}").replace(
            "./simulate", f"{tmp_path}/{backend}"
        )
        ran = subprocess.run(
            ["bash", "-o", "pipefail", "-ec", there], cwd=every / backend, capture_output=True, timeout=300
        )
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")


@tool
def test_log_of_the_test_bench_is_compared(every: Path, tmp_path: Path) -> None:
    command = ["g++", "-std=c++20", "-w", '-DWEIGHTS_DIR="firmware/weights"', "-Ifirmware/ap_types"]
    command += ["encoder_test.cpp", "firmware/encoder.cpp", "-o", str(tmp_path / "bench")]
    subprocess.run(command, cwd=every / "vitis", check=True, timeout=300)
    log = every / "vitis" / "tb_data" / "csim_results.log"
    try:
        subprocess.run([tmp_path / "bench"], cwd=every / "vitis", check=True, timeout=60, capture_output=True)
        text = log.read_text()
    finally:
        log.unlink(missing_ok=True)
    compare = [sys.executable, every / "compare.py", tmp_path / "results.log"]

    def judged(text: str) -> tuple[int, str]:
        (tmp_path / "results.log").write_text(text)
        ran = subprocess.run(compare, capture_output=True, text=True, timeout=60)
        return ran.returncode, ran.stdout + ran.stderr

    assert judged(text) == (0, "256 vectors, 768 values, 0 differ\n")
    wrong = "31.5 " + text.split(" ", 1)[1]
    assert judged(wrong) == (1, "256 vectors, 768 values, 1 differ\n")
    assert judged(text.split("\n", 1)[1])[1].startswith("255 vectors in the log, 256 expected")


@tool
@pytest.mark.parametrize("name", CHIPS)
def test_other_layers_and_ends_give_the_same_integers(name: str, tmp_path: Path) -> None:
    network = CHIPS[name]
    folder = export(network, tmp_path / "out", inputs=inputs_of(network), backends=("quartus",))
    assert json.loads((folder / "provenance.json").read_text())["checks"][0]["differ"] == 0


@tool
@pytest.mark.sweep
@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "quartus"])
@pytest.mark.parametrize("name", CHIPS)
def test_so_they_do_for_other_back_ends(name: str, backend: str, tmp_path: Path) -> None:
    network = CHIPS[name]
    try:
        check(network, XILINX, backends=(backend,))
    except UnsupportedLayerError:
        pytest.skip("refused before training")
    export(network, tmp_path / "out", inputs=inputs_of(network), backends=(backend,))


@tool
@pytest.mark.sweep
@pytest.mark.parametrize("name", DESIGNS)
def test_every_promised_design_is_exact(name: str, tmp_path: Path) -> None:
    backends = ("vitis", "catapult") if name == "folded" else ("vitis", "quartus")
    export(DESIGNS[name], tmp_path / "out", backends=backends)


# Failures leave nothing


@tool
def test_a_single_wrong_integer_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = driver._MAIN.replace("std::llround(", "(i == 1) + std::llround(")
    monkeypatch.setattr(driver, "_MAIN", wrong)
    with pytest.raises(DifferenceError, match="C\\+\\+ for quartus, g\\+\\+ computes 40 of 120 outputs"):
        export(SMALL, tmp_path / "out", inputs=inputs_of(SMALL), backends=("quartus",))
    assert list(tmp_path.iterdir()) == []


@tool
def test_code_that_does_not_compile_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "_MAIN", "no C++ {includes[0]}")
    with pytest.raises(OutputError, match=r"hls4ml project for quartus: g\+\+ failed"):
        export(SMALL, tmp_path / "out", inputs=inputs_of(SMALL), backends=("quartus",))
    assert list(tmp_path.iterdir()) == []


def test_unfitted_networks_and_foreign_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="no weights yet"):
        export(Network((4, 4, 1), SMALL.layers, INPUT), tmp_path / "out")
    (tmp_path / "network.json").write_text(json.dumps(SMALL.to_dict()))
    with pytest.raises(ConfigError, match="has projects for no back end"):
        simulate(tmp_path, inputs_of(SMALL))
