"""What a family's report says of a design, what it counts, and what is refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from codesign.errors import ConfigError
from codesign.export import rtl
from codesign.fixedpoint import FixedPoint
from codesign.hardware import Device, SynthesisReport
from codesign.network import Dense, Network, ReLU
from codesign.synthesis import FAMILIES, fpga, synthesise
from tests.export.designs import fixed, randomised, rounded
from tests.synthesis.tiny import require

CLOCK_MHZ = 40.0
LEAST = fpga.DSP_LEAST_BITS
WIDE = randomised(
    Network(
        (1,),
        (
            *(Dense("narrow", 1, **fixed(LEAST)), ReLU("r", rounded(LEAST))),
            *(Dense("wide", 1, **fixed(LEAST)), ReLU("s", rounded(2))),
        ),
        FixedPoint(1, LEAST - 2, signed=False),
    )
)
"""One multiplier with an operand that is a bit too narrow for a block, and one that is wide enough."""
SMALL = randomised(
    Network((3,), (Dense("d", 2, **fixed(3)), ReLU("r", rounded(3))), FixedPoint(1, 2, signed=False)), seed=1
)
TRIPLICATED = Device(redundancy="all")
CONSTANT = Device(weights="constant", redundancy="all")

Wide = Callable[[str], SynthesisReport]


def bundle_of(network: Network, folder: Path, device: Device) -> tuple[Path, dict[str, Any]]:
    """A bundle and what its provenance states as measured."""
    require("pyosys", *(["da4ml"] if device.weights == "constant" else []))
    bundle = rtl.write(network, folder / "out", device=device)
    return bundle, json.loads((bundle / "provenance.json").read_text(encoding="utf-8"))["measured"]


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> tuple[Wide, dict[str, Any]]:
    """Report of the triplicated ``WIDE`` by family, each made once, and what the export measured."""
    bundle, measured = bundle_of(WIDE, tmp_path_factory.mktemp("wide"), TRIPLICATED)

    @cache
    def report(family: str) -> SynthesisReport:
        return synthesise(bundle, tmp_path_factory.mktemp(family), family=family, clock_mhz=CLOCK_MHZ)

    return report, measured


@pytest.mark.netlist
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_states_luts_and_flip_flops(family: str, wide: tuple[Wide, dict[str, Any]]) -> None:
    report, measured = wide
    found = report(family)
    assert {"lut", "ff", "dsp", "bram_18k"} <= set(found.resources.stated())
    assert found.resources.lut is not None
    assert found.resources.lut > 0
    assert (found.stage, found.critical_path_ns) == ("synthesis", None)
    assert (found.target.technology, found.target.clock_mhz) == (family, CLOCK_MHZ)
    assert (found.target.weights, found.target.redundancy) == ("reloadable", "all")
    assert (found.latency_cycles, found.initiation_interval) == (measured["latency_cycles"], 1)
    assert found.script == f"{fpga.SCRIPT} {fpga.digest(family)}"


@pytest.mark.netlist
@pytest.mark.parametrize("family", FAMILIES)
def test_no_copy_of_a_register_is_merged(family: str, wide: tuple[Wide, dict[str, Any]]) -> None:
    report, measured = wide
    assert report(family).resources.ff == measured["register_bits"]


@pytest.mark.netlist
@pytest.mark.parametrize("family", FAMILIES)
def test_a_multiplier_goes_into_a_block_if_both_its_words_are_wide(
    family: str, wide: tuple[Wide, dict[str, Any]]
) -> None:
    """The 0 in front of an unsigned word is no bit of it: 9 bits stay 9."""
    assert wide[0](family).resources.dsp == 1


@pytest.mark.netlist
def test_the_same_design_has_the_same_report(tmp_path: Path) -> None:
    bundle, _ = bundle_of(SMALL, tmp_path, Device())
    first, second = (
        synthesise(bundle, tmp_path / name, family="ecp5", clock_mhz=CLOCK_MHZ) for name in ("a", "b")
    )
    assert first.seconds is not None
    assert replace(first, seconds=None) == replace(second, seconds=None)


@pytest.mark.netlist
@pytest.mark.nextpnr
@pytest.mark.da4ml
@pytest.mark.parametrize("pipelined", [True, False])
def test_what_is_routed_states_the_path_of_a_design_without_inner_paths(
    pipelined: bool, tmp_path: Path
) -> None:
    """One stage of constants has its registers at one end, or at none; those at its ports are not counted."""
    pytest.importorskip(fpga.PLACER, reason="the extra place (nextpnr) is not installed")
    device = replace(CONSTANT, pipelined=pipelined, redundancy="all" if pipelined else "none")
    bundle, measured = bundle_of(SMALL, tmp_path, device)
    found = synthesise(bundle, tmp_path / "work", family="ecp5", clock_mhz=CLOCK_MHZ, place=True)
    assert found.stage == "routed"
    assert found.resources.ff == measured["register_bits"]
    assert found.critical_path_ns is not None
    assert found.slack_ns is not None
    assert 1 < found.critical_path_ns < 1e3 / CLOCK_MHZ
    assert found.critical_path_ns + found.slack_ns == pytest.approx(1e3 / CLOCK_MHZ, rel=1e-3)
    assert (found.target.tool, found.target.part) == ("Yosys, nextpnr", fpga.PART)
    assert len(str(found.target.version).split(", ")) == 2


def test_each_family_has_a_script_of_its_own() -> None:
    assert len({fpga.digest(family) for family in FAMILIES}) == len(FAMILIES)


@pytest.mark.parametrize(
    ("family", "place", "message"),
    [
        ("ice40", False, "families are xc7, xcup, ecp5; got 'ice40'"),
        ("xc7", True, "only ecp5 is placed and routed here; got 'xc7'"),
    ],
)
def test_what_cannot_be_synthesised_is_refused(
    family: str, place: bool, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        fpga.synthesise([], tmp_path, family, CLOCK_MHZ, timeout=1.0, place=place)
