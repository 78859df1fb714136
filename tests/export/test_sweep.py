"""Every design on every back end: exports keep what pre-flights promise. By hand: ``pytest -m sweep``."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from codesign.errors import UnsupportedLayerError
from codesign.export import exporter
from codesign.export.bundle import vectors
from codesign.hardware import Device
from codesign.tasks import econt
from codesign.tasks.layouts import LAYOUTS
from tests.export.designs import DESIGNS

pytestmark = pytest.mark.sweep
BACKENDS = ("vivado", "vitis", "catapult", "quartus", "oneapi")


@dataclass(frozen=True)
class Form:
    target: str
    device: Device = field(default_factory=Device)
    backend: str = ""

    @property
    def name(self) -> str:
        stored = f" {self.device.weights}" if self.target == "rtl" else ""
        shape = "" if self.target != "rtl" else " pipelined" if self.device.pipelined else " combinational"
        upsets = "" if self.device.redundancy == "none" else f" {self.device.redundancy} triplicated"
        return f"{self.target}{stored}{shape}{upsets}{self.backend and f' {self.backend}'}"


FORMS = (
    Form("onnx"),
    Form("qonnx"),
    *(Form("hls4ml", backend=name) for name in BACKENDS),
    Form("finn", Device(clock_mhz=200)),
    Form("rtl", Device(weights="constant")),
    Form("rtl", Device(weights="constant", pipelined=False)),
    Form("rtl"),
    Form("rtl", Device(pipelined=False)),
)
REFUSED = {
    "finn": ("pooling", "pooling and stride", "three convolutions", "kernel 1"),
    "rtl": ("folded",),
    "hls4ml quartus": ("folded",),
    "hls4ml oneapi": ("folded",),
}
"""Designs that a pre-flight refuses; it takes any other."""


@pytest.fixture(scope="module")
def wafers() -> Any:
    return LAYOUTS["8x8"].images(econt.generate(10_000, seed=0).normalised)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@pytest.mark.parametrize("name", DESIGNS)
def test_a_promise_is_kept(name: str, form: Form, wafers: Any, tmp_path: Path) -> None:
    network, target = DESIGNS[name], exporter(form.target)
    options: dict[str, Any] = {"backends": (form.backend,)} if form.backend else {}
    if name in REFUSED.get(f"{form.target} {form.backend}".strip(), ()):
        named = "|".join(repr(layer.name) for layer in network.layers)
        with pytest.raises(UnsupportedLayerError, match=named):
            target.check(network, form.device, **options)
        with pytest.raises(UnsupportedLayerError, match=named):
            target.export(network, tmp_path / "out", device=form.device, **options)
        assert not list(tmp_path.iterdir())
        return
    target.check(network, form.device, **options)
    inputs = vectors(network, wafers)
    folder = target.export(network, tmp_path / "out", device=form.device, inputs=inputs, **options)
    assert (folder / "README.md").is_file()
