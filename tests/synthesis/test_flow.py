"""An exported design becomes cells that compute the same, and a report that states what they cost."""

import json
import re
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from codesign.errors import ConfigError, MissingToolError, OutputError, ToolTimeoutError
from codesign.export import rtl
from codesign.fixedpoint import FixedPoint
from codesign.hardware import Device, SynthesisReport
from codesign.network import Conv, Network, ReLU
from codesign.synthesis import Library, asic, find_library, synthesise, synthesise_many
from codesign.synthesis.flow import _open
from codesign.synthesis.library import FOLDER, LIBRARIES
from codesign.synthesis.netlist import Netlist, read_blif
from codesign.synthesis.switching import Activity, switching
from tests.export.designs import fixed, randomised
from tests.export.small import CORNERS, TINY
from tests.synthesis.tiny import library_of, opensta, require

DEVICES = {
    "reloadable": Device(),
    "triplicated": Device(redundancy="all"),
    "straight": Device(pipelined=False),
    "constant": Device(weights="constant"),
    "constant-triplicated": Device(weights="constant", redundancy="all"),
    "constant-straight": Device(weights="constant", pipelined=False),
}
every_device = pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.da4ml) if "constant" in name else name for name in DEVICES],
)
netlisted = pytest.mark.netlist
CLOCK_MHZ = 125.0


def written(network: Network, folder: Path, device: Device, inputs: np.ndarray | None = None) -> Path:
    require("pyosys", *(["da4ml"] if device.weights == "constant" else []))
    return rtl.write(network, folder, device=device, inputs=inputs)


class Flow:
    """Designs, each synthesised once."""

    def __init__(self, library: Library, folder: Path) -> None:
        self.library, self._folder = library, folder
        self.report = cache(self._report)

    def work(self, name: str) -> Path:
        return self._folder / name / "work"

    def _report(self, name: str) -> SynthesisReport:
        bundle = written(TINY, self._folder / name / "rtl", DEVICES[name])
        power = shutil.which("sta") is not None
        return synthesise(bundle, self.work(name), library=self.library, clock_mhz=CLOCK_MHZ, power=power)

    def cells(self, name: str) -> Netlist:
        self.report(name)
        return read_blif(self.work(name) / "netlist.blif", self.library)

    def activity(self, name: str) -> Activity:
        return switching(self.cells(name), self.library, _open(self._folder / name / "rtl").frames())

    def registers(self, name: str) -> int:
        return sum(each.cell == "dff_1" for each in self.cells(name).instances)

    def measured(self, name: str) -> dict[str, int]:
        self.report(name)
        measured = json.loads((self._folder / name / "rtl" / "provenance.json").read_text())["measured"]
        assert isinstance(measured, dict)
        return measured


@pytest.fixture(scope="module")
def flow(library: Library, tmp_path_factory: pytest.TempPathFactory) -> Flow:
    return Flow(library, tmp_path_factory.mktemp("flow"))


@netlisted
@every_device
def test_cells_compute_what_the_network_does(name: str, flow: Flow) -> None:
    outputs = list(flow.cells(name).outputs.values())
    assert flow.activity(name).toggles[outputs].any()


@netlisted
@every_device
def test_area_is_that_of_the_cells(name: str, flow: Flow) -> None:
    resources, instances = flow.report(name).resources, flow.cells(name).instances
    assert resources.stated().keys() == {"area_um2", "cells"}
    area = sum(flow.library.cells[each.cell].area for each in instances)
    found = np.array([resources.area_um2, resources.cells], float) / (area, len(instances))
    if DEVICES[name].weights == "constant":
        assert (found == 1.0).all()
    else:  # a module that stands in many places has bits that not every place uses
        assert (found >= 1.0).all()
        assert (found < 1.01).all()


@netlisted
@every_device
def test_a_report_states_its_target(name: str, flow: Flow) -> None:
    report, device, library = flow.report(name), DEVICES[name], flow.library
    target = report.target
    assert (target.technology, target.library) == (library.name, library.title)
    assert (target.clock_mhz, target.tool) == (CLOCK_MHZ, "Yosys")
    assert (target.weights, target.redundancy, target.pipelined) == (
        device.weights,
        device.redundancy,
        device.pipelined,
    )
    assert re.fullmatch(r"0\.\d+\S*", target.version or "")
    assert report.script == f"{asic.SCRIPT} {asic.digest()}, library {library.digest[:12]}"
    assert (report.design, report.stage) == (_open(flow.work(name).parent / "rtl").design, "synthesis")
    assert report.latency_cycles == flow.measured(name)["latency_cycles"]
    assert report.seconds is not None
    assert report.seconds > 0
    assert all((flow.work(name) / source).is_file() for source in report.source.split(", "))
    assert not any("/" in source for source in report.source.split(", "))


@netlisted
@pytest.mark.parametrize("name", ["reloadable", "straight", "triplicated"])
def test_every_register_is_there(name: str, flow: Flow) -> None:
    assert flow.registers(name) == flow.measured(name)["register_bits"] > 0


@netlisted
@pytest.mark.da4ml
def test_every_copy_of_a_register_is_there(flow: Flow) -> None:
    assert flow.registers("constant-triplicated") == 3 * flow.registers("constant") > 0
    assert flow.registers("constant-straight") == 0


@netlisted
@pytest.mark.da4ml
def test_what_has_no_register_has_no_clock(flow: Flow) -> None:
    assert "clock" not in flow.cells("constant-straight").inputs
    assert "clock" in flow.cells("constant").inputs


@netlisted
@every_device
def test_no_full_adder_has_a_constant_operand(name: str, flow: Flow) -> None:
    adders = [each for each in flow.cells(name).instances if each.cell == "fa_1"]
    assert len(adders) > 10
    assert all(each.pins[pin] > 1 for each in adders for pin in ("A", "B", "CI"))


@opensta
@netlisted
@every_device
def test_path_and_power_are_stated(name: str, flow: Flow) -> None:
    report = flow.report(name)
    assert report.critical_path_ns is not None
    assert report.slack_ns is not None
    assert report.critical_path_ns + report.slack_ns == pytest.approx(1e3 / CLOCK_MHZ, abs=1e-3)
    assert report.dynamic_mw is not None
    assert report.dynamic_mw > 0
    assert report.leakage_mw is not None
    assert report.power_mw == pytest.approx(report.dynamic_mw + report.leakage_mw)
    text = Path(str(flow.library.files[0])).read_text(encoding="ascii")
    leaks = dict(re.findall(r'cell \("(\w+)"\) \{\s*area : [\d.]+;\s*cell_leakage_power : ([\d.]+);', text))
    leaked = sum(float(leaks[each.cell]) for each in flow.cells(name).instances)
    assert report.leakage_mw == pytest.approx(leaked * 1e-6, rel=1e-3)


@opensta
@netlisted
def test_registers_between_stages_shorten_the_path(flow: Flow) -> None:
    pipelined, straight = (flow.report(name).critical_path_ns for name in ("reloadable", "straight"))
    assert pipelined is not None
    assert straight is not None
    assert pipelined < straight


@opensta
@netlisted
def test_power_goes_with_activity(flow: Flow, tmp_path: Path) -> None:
    frame = TINY.formats[0].dequantise(np.array([[1, 2, 5, 7]]))  # type: ignore[union-attr]
    bundle = written(TINY, tmp_path / "rtl", DEVICES["reloadable"], np.repeat(frame, 1024, axis=0))
    still = synthesise(bundle, tmp_path / "work", library=flow.library, clock_mhz=CLOCK_MHZ, power=True)
    lively = flow.report("reloadable")
    assert still.resources == lively.resources
    assert still.leakage_mw == lively.leakage_mw
    assert still.dynamic_mw is not None
    assert lively.dynamic_mw is not None
    flops = flow.measured("reloadable")["register_bits"]
    clocked = flops * 0.003 * CLOCK_MHZ * 1e-3  # 0.003 pJ a period and flip-flop
    assert still.dynamic_mw == pytest.approx(clocked)
    assert lively.dynamic_mw > 3 * still.dynamic_mw


@netlisted
def test_the_same_run_gives_the_same_report(flow: Flow, tmp_path: Path) -> None:
    first = flow.report("reloadable")
    bundle = flow.work("reloadable").parent / "rtl"
    power = first.power_mw is not None
    again = synthesise(bundle, tmp_path, library=flow.library, clock_mhz=CLOCK_MHZ, power=power)
    assert replace(again, seconds=first.seconds) == first
    assert SynthesisReport.from_dict(again.to_dict()) == again


@netlisted
@pytest.mark.da4ml
def test_many_libraries_are_as_each_alone(flow: Flow, tmp_path: Path) -> None:
    alone = flow.report("constant")
    text = flow.library.files[0].read_text(encoding="ascii").replace("area : 11.5;", "area : 23.0;")
    other = library_of(tmp_path, text, "costly")
    bundle = flow.work("constant").parent / "rtl"
    work = tmp_path / "work"
    power = [] if alone.power_mw is None else [flow.library.name]
    found = synthesise_many(bundle, work, libraries=[flow.library, other], clock_mhz=CLOCK_MHZ, power=power)
    assert replace(found["tiny"], seconds=alone.seconds) == alone
    assert found["costly"].power_mw is None
    adders = sum(each.cell == "fa_1" for each in read_blif(work / "costly" / "netlist.blif", other).instances)
    area, dear = found["tiny"].resources.area_um2, found["costly"].resources.area_um2
    assert area is not None
    assert dear == area + 11.5 * adders


@netlisted
@pytest.mark.da4ml
def test_without_opensta_path_and_power_are_unknown(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = written(TINY, tmp_path / "rtl", DEVICES["constant"])
    monkeypatch.setattr(shutil, "which", lambda _: None)
    report = synthesise(bundle, tmp_path / "work", library=library, clock_mhz=CLOCK_MHZ)
    assert report.stated().keys() == {"area_um2", "cells", "latency_cycles", "initiation_interval"}
    assert (report.critical_path_ns, report.slack_ns, report.power_mw) == (None, None, None)
    with pytest.raises(MissingToolError, match=r"program sta is not on the PATH; .*apt install opensta"):
        synthesise(bundle, tmp_path / "work", library=library, clock_mhz=CLOCK_MHZ, power=True)


@netlisted
@pytest.mark.da4ml
def test_a_slow_tool_is_stopped(library: Library, tmp_path: Path) -> None:
    bundle = written(TINY, tmp_path / "rtl", DEVICES["constant"])
    with pytest.raises(ToolTimeoutError, match=r"synthesis \(front\): .* did not end within 0.01 s"):
        synthesise(bundle, tmp_path / "work", library=library, clock_mhz=CLOCK_MHZ, timeout=0.01)


@netlisted
@pytest.mark.da4ml
def test_what_yosys_cannot_read_is_refused(library: Library, tmp_path: Path) -> None:
    bundle = written(TINY, tmp_path / "rtl", DEVICES["constant"])
    (bundle / "rtl" / "codesign_chip.v").write_text("module codesign_chip (;\n", encoding="ascii")
    with pytest.raises(OutputError, match=r"(?s)synthesis \(front\): .* failed .*syntax error"):
        synthesise(bundle, tmp_path / "work", library=library, clock_mhz=CLOCK_MHZ)


@opensta
@netlisted
@pytest.mark.da4ml
def test_cells_that_compute_something_else_are_refused(library: Library, tmp_path: Path) -> None:
    bundle = written(TINY, tmp_path / "rtl", DEVICES["constant"])
    expected = np.load(bundle / "vectors" / "expected.npy")
    expected[0, 0] ^= 1
    np.save(bundle / "vectors" / "expected.npy", expected)
    with pytest.raises(OutputError, match=r"computes 1 of \d+ output bits otherwise than the network"):
        synthesise(bundle, tmp_path / "work", library=library, clock_mhz=CLOCK_MHZ, power=True)


@opensta
@netlisted
@pytest.mark.da4ml
@pytest.mark.parametrize("corner", ["nothing", "only outputs that are always 0"])
def test_wires_cost_nothing(corner: str, library: Library, tmp_path: Path) -> None:
    device = DEVICES["constant-straight"]
    bundle = written(CORNERS[corner], tmp_path / "rtl", device)
    report = synthesise(bundle, tmp_path / "work", library=library, clock_mhz=CLOCK_MHZ, power=True)
    costs = (report.resources.area_um2, report.resources.cells, report.critical_path_ns, report.power_mw)
    assert costs == (0.0, 0, 0.0, 0.0)
    assert report.slack_ns == 1e3 / CLOCK_MHZ


@netlisted
def test_a_layer_may_be_wires(library: Library, tmp_path: Path) -> None:
    bundle = written(CORNERS["more bits dropped than there are"], tmp_path / "rtl", DEVICES["reloadable"])
    report = synthesise(bundle, tmp_path / "work", library=library, clock_mhz=CLOCK_MHZ)
    assert report.resources.area_um2 == 0.0  # no bit is left


@netlisted
def test_windows_that_are_all_at_the_border(library: Library, tmp_path: Path) -> None:
    relu = ReLU("r", FixedPoint(1, 2, signed=False))
    network = randomised(Network((2, 2, 1), (Conv("c", 1, kernel=3, **fixed(3)), relu), FixedPoint(1, 2)))
    bundle = written(network, tmp_path / "rtl", DEVICES["reloadable"])
    report = synthesise(bundle, tmp_path / "work", library=library, clock_mhz=CLOCK_MHZ)
    switching(read_blif(tmp_path / "work" / "netlist.blif", library), library, _open(bundle).frames())
    assert report.resources.area_um2


def test_what_is_no_export_is_refused(library: Library, tmp_path: Path) -> None:
    require("pyosys")
    work = tmp_path / "work"
    with pytest.raises(ConfigError, match=r"has no provenance.json .*by `codesign export --to rtl`"):
        synthesise(tmp_path, work, library=library, clock_mhz=CLOCK_MHZ)
    stated = {"target": "finn", "device": {}, "measured": {}, "chip": "0"}
    (tmp_path / "provenance.json").write_text(json.dumps(stated), encoding="utf-8")
    with pytest.raises(ConfigError, match="is an export to finn; synthesis takes one to rtl"):
        synthesise(tmp_path, work, library=library, clock_mhz=CLOCK_MHZ)
    (tmp_path / "provenance.json").write_text(json.dumps(stated | {"target": "rtl"}), encoding="utf-8")
    with pytest.raises(ConfigError, match="has no Verilog in rtl/; export it anew"):
        synthesise(tmp_path, work, library=library, clock_mhz=CLOCK_MHZ)
    assert not work.exists()


def test_options_that_contradict_are_refused(library: Library, tmp_path: Path) -> None:
    for both in ({"library": library, "family": "ecp5"}, {}):
        with pytest.raises(ConfigError, match="synthesis is to a library or to a family; got"):
            synthesise(tmp_path, tmp_path, clock_mhz=CLOCK_MHZ, **both)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="only FPGA designs are placed"):
        synthesise(tmp_path, tmp_path, library=library, clock_mhz=CLOCK_MHZ, place=True)


@opensta
@netlisted
@pytest.mark.da4ml
@pytest.mark.liberty
@pytest.mark.parametrize("name", LIBRARIES)
def test_real_libraries_give_the_same_integers(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        found = find_library(name)
    except ConfigError as error:
        pytest.skip(f"{FOLDER}: {error}")
    bundle = written(TINY, tmp_path / "rtl", DEVICES["constant-triplicated"])
    report = synthesise(bundle, tmp_path / "work", library=found, clock_mhz=CLOCK_MHZ, power=True)
    figures = (report.resources.area_um2, report.critical_path_ns, report.dynamic_mw, report.leakage_mw)
    assert all(figure is not None and figure > 0 for figure in figures)


@netlisted
@pytest.mark.da4ml
def test_a_folder_may_have_a_space_in_its_name(library: Library, tmp_path: Path) -> None:
    bundle = written(TINY, tmp_path / "rtl", DEVICES["constant"])
    work = tmp_path / "a folder"
    assert synthesise(bundle, work, library=library, clock_mhz=CLOCK_MHZ).resources.area_um2
