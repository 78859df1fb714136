"""OpenSTA's path and power follow the library's figures; what it cannot say is refused."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from codesign.errors import MissingToolError, OutputError, ToolTimeoutError
from codesign.synthesis import Library, timing
from codesign.synthesis.netlist import Netlist
from codesign.synthesis.switching import Activity
from codesign.synthesis.timing import Power, critical_path, power
from tests.synthesis.tiny import TEXT, changed, gate, library_of, netlist_of, opensta, pipeline

NO_ENERGY = re.sub(r" *internal_power \(\) \{.*?\n      \}\n", "", TEXT, flags=re.DOTALL)
"""The library whose cells take power for the nets they drive only."""
CAPACITANCE_PF = {"fa_1": 0.005, "xor2_1": 0.004, "dff_1": 0.002}
LEAKAGE_NW = dict(re.findall(r'cell \("(\w+)"\) \{\s*area : [\d.]+;\s*cell_leakage_power : ([\d.]+);', TEXT))


def chain(length: int, cell: str = "inv_1") -> Netlist:
    cells = [gate(cell, A=f"n{k}", Y=f"n{k + 1}") for k in range(length)]
    return netlist_of(["n0"], {"outputs": f"n{length}"}, cells)


def constant_activity(netlist: Netlist, toggles: float) -> Activity:
    return Activity(np.full(netlist.nets, toggles), np.full(netlist.nets, 0.5))


def watts(
    netlist: Netlist, library: Library, activity: Activity, work: Path, *, clock_mhz: float = 100.0
) -> Power:
    return power(netlist, library, activity, work, "design", clock_mhz, timeout=60)


@opensta
def test_a_longer_chain_is_slower(library: Library, tmp_path: Path) -> None:
    reports = [
        critical_path(chain(length), library, tmp_path, "design", 200.0, timeout=60) for length in range(1, 5)
    ]
    paths = np.array([report.critical_path_ns for report in reports], float)
    assert (np.diff(paths) > 0.01).all()
    assert paths + [report.slack_ns for report in reports] == pytest.approx(5.0)
    assert (reports[0].design, reports[0].target.tool) == ("design", "OpenSTA")


@opensta
def test_a_register_cuts_the_path(library: Library, tmp_path: Path) -> None:
    cells = [gate("inv_1", A=f"n{k}", Y=f"n{k + 1}") for k in range(24)]
    cells[12] = gate("dff_1", D="n12", CK="clock", Q="n13")
    cut = netlist_of(["clock", "n0"], {"outputs": "n24"}, cells)
    whole, parts = (
        critical_path(each, library, tmp_path, "design", 100.0, timeout=60).critical_path_ns
        for each in (chain(24), cut)
    )
    assert whole is not None
    assert parts is not None
    assert parts < whole


@opensta
def test_nets_take_half_c_v_squared_a_change(tmp_path: Path) -> None:
    library = library_of(tmp_path, NO_ENERGY)
    netlist, _ = pipeline(library, 3)
    rng = np.random.default_rng(0)
    toggles = rng.random(netlist.nets).round(3)
    loads = np.zeros(netlist.nets)
    driven = np.zeros(netlist.nets, np.bool_)
    for each in netlist.instances:
        for pin, net in each.pins.items():
            if pin in library.cells[each.cell].functions:
                driven[net] = True
            elif pin != "CK":
                loads[net] += CAPACITANCE_PF.get(each.cell, 0.002)
    found = watts(netlist, library, Activity(toggles, np.full(netlist.nets, 0.5)), tmp_path)
    pico_joules = 0.5 * (loads * toggles)[driven].sum() * library.voltage**2
    assert found.dynamic_mw == pytest.approx(pico_joules * 100.0 * 1e-3, rel=1e-4)
    leaked = sum(float(LEAKAGE_NW[each.cell]) for each in netlist.instances)
    assert found.leakage_mw == pytest.approx(leaked * 1e-6, rel=1e-4)


@opensta
def test_cells_take_their_energy_a_change(library: Library, tmp_path: Path) -> None:
    netlist = chain(1, "inv_4")
    found = watts(netlist, library, constant_activity(netlist, 0.4), tmp_path)
    assert found.dynamic_mw == pytest.approx(0.4 * (0.003 + 0.0015) / 2 * 100.0 * 1e-3, rel=1e-4)


@opensta
def test_dynamic_power_goes_with_clock_and_activity(library: Library, tmp_path: Path) -> None:
    netlist = chain(3)
    lively, slow, calm, still = (
        watts(netlist, library, constant_activity(netlist, toggles), tmp_path, clock_mhz=clock_mhz)
        for toggles, clock_mhz in ((0.5, 200.0), (0.5, 100.0), (0.25, 200.0), (0.0, 200.0))
    )
    assert lively.dynamic_mw == pytest.approx(2 * slow.dynamic_mw)
    assert lively.dynamic_mw == pytest.approx(2 * calm.dynamic_mw)
    assert still.dynamic_mw == 0.0
    assert lively.leakage_mw == still.leakage_mw > 0


@opensta
def test_a_flip_flop_takes_its_clocks_energy_when_nothing_changes(library: Library, tmp_path: Path) -> None:
    netlist = netlist_of(
        ["clock", "inputs"], {"outputs": "q"}, [gate("dff_1", D="inputs", CK="clock", Q="q")]
    )
    found = watts(netlist, library, constant_activity(netlist, 0.0), tmp_path)
    assert found.dynamic_mw == pytest.approx((0.002 + 0.001) * 100.0 * 1e-3, rel=1e-4)


@opensta
def test_constant_operands_of_a_full_adder_are_borne(library: Library, tmp_path: Path) -> None:
    netlist = netlist_of(["a"], {"outputs": "s"}, [gate("fa_1", A="a", B="0", CI="1", CO="c", S="s")])
    found = watts(netlist, library, constant_activity(netlist, 0.0), tmp_path)
    assert found.leakage_mw == pytest.approx(14e-6, rel=1e-4)


@opensta
def test_a_library_without_a_supply_is_refused(tmp_path: Path) -> None:
    library = library_of(tmp_path, changed(('  default_operating_conditions : "typical";\n', "")))
    netlist = chain(2)
    with pytest.raises(OutputError, match=r"finds no supply voltage in the library changed.*operating"):
        watts(netlist, library, constant_activity(netlist, 0.5), tmp_path)


@opensta
def test_another_version_is_refused(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "_KNOWN_VERSION", "1.9.")
    netlist = chain(1)
    with pytest.raises(OutputError, match=r"OpenSTA 2.0, and another is installed; .*install opensta"):
        watts(netlist, library, constant_activity(netlist, 0.5), tmp_path)


@pytest.mark.parametrize(
    ("script", "error", "match"),
    [
        (None, MissingToolError, r"program sta is not on the PATH; OpenSTA 2.0 .*apt install opensta"),
        ("echo no license; exit 0", OutputError, r"OpenSTA \(timing\) stopped; its last lines:\nno license"),
        ("echo no cell; exit 1", OutputError, r"OpenSTA \(timing\): .*sta failed \(1\).*\nno cell"),
        ("exec sleep 60", ToolTimeoutError, r"OpenSTA \(timing\): .*did not end within 0.2 s"),
    ],
)
def test_a_failing_opensta_is_refused(
    script: str | None,
    error: type[Exception],
    match: str,
    library: Library,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = tmp_path / "sta"
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
    program.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda _: str(program) if script else None)
    with pytest.raises(error, match=match):
        critical_path(
            chain(1), library, tmp_path, "design", 100.0, timeout=0.2 if error is ToolTimeoutError else 60
        )
