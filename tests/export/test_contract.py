"""What every target promises: no tool is loaded early, an absent one is named, layers are refused by name."""

import importlib.util
import inspect
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codesign.errors import MissingToolError, UnsupportedLayerError
from codesign.export import TARGETS, exporter
from codesign.fixedpoint import FixedPoint
from codesign.hardware import Device
from codesign.hardware.device import Redundancy
from codesign.hardware.folding import fold
from codesign.network import Conv, Dense, Network, ReLU, Thresholds
from tests.export.designs import DESIGNS

HEAVY = (
    "hls4ml",
    "da4ml",
    "finn",
    "pyosys",
    "torch",
    "brevitas",
    "tensorflow",
    "keras",
    "onnxruntime",
    "qonnx",
)
TOOLS = {"finn": "verilator", "hls4ml": "hls4ml", "rtl": "verilator"}
LATENT = DESIGNS["latent alone"]
CODE = FixedPoint(1, 5, signed=False, rounding="half_up")
WEIGHT = FixedPoint(0, 4)


@pytest.mark.parametrize("target", TARGETS)
def test_importing_a_target_loads_no_tool(target: str) -> None:
    code = f"import sys, {TARGETS[target]}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("target", TARGETS)
def test_targets_have_the_same_three_functions(target: str) -> None:
    module = exporter(target)
    assert list(inspect.signature(module.check).parameters)[:2] == ["network", "device"]
    export = inspect.signature(module.export).parameters
    assert list(export)[:5] == ["network", "folder", "device", "inputs", "origin"]
    assert list(inspect.signature(module.simulate).parameters)[:2] == ["folder", "inputs"]


@pytest.mark.parametrize("target", TOOLS)
def test_an_absent_tool_is_one_line_that_says_what_to_install(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec

    def without(name: str, *rest: Any) -> Any:
        return None if name == TOOLS[target] else find(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    with pytest.raises(MissingToolError, match=r"pip install 'codesign\[") as caught:
        exporter(target).export(fold(LATENT, 64) if target == "finn" else LATENT, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("target", TARGETS)
def test_the_pre_flight_needs_no_weights_and_names_layer_and_target(target: str) -> None:
    exporter(target).check(replace(fold(LATENT, 64) if target == "finn" else LATENT, weights={}), Device())
    layers = (
        Conv("first", 2, weight=WEIGHT, bias=WEIGHT),
        ReLU("its relu", CODE),
        Conv("second", 2, weight=WEIGHT, bias=WEIGHT),
        Thresholds("odd one", CODE, FixedPoint(4, 9), 3),
    )
    with pytest.raises(UnsupportedLayerError, match=f"(?i){target}.*'odd one'"):
        exporter(target).check(Network((8, 8, 1), layers, FixedPoint(1, 7, signed=False)), Device())


@pytest.mark.parametrize("target", ["finn", "hls4ml", "rtl"])
def test_float_layers_on_the_chip_are_refused(target: str) -> None:
    layers = (Dense("whole", 4, weight=WEIGHT, bias=WEIGHT), Dense("real", 4), ReLU("r"))
    with pytest.raises(UnsupportedLayerError, match=f"(?i){target}.*'real'"):
        exporter(target).check(Network((8,), layers, FixedPoint(1, 7, signed=False)), Device())


@pytest.mark.parametrize("target", ["onnx", "qonnx"])
def test_the_same_network_gives_the_same_bundle(target: str, tmp_path: Path) -> None:
    made = [exporter(target).export(LATENT, tmp_path / name) for name in "ab"]
    first, second = ({p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()} for folder in made)
    dates = [json.loads(files.pop("provenance.json")).pop("written") for files in (first, second)]
    assert len(dates) == 2
    assert first == second


@pytest.mark.parametrize("target", ["finn", "hls4ml"])
@pytest.mark.parametrize("redundancy", ["weights", "all"])
def test_redundancy_that_a_target_would_not_write_is_refused(target: str, redundancy: Redundancy) -> None:
    with pytest.raises(UnsupportedLayerError, match=f"{target}: it triplicates nothing.*--to rtl"):
        exporter(target).check(fold(LATENT, 64), Device(redundancy=redundancy))
