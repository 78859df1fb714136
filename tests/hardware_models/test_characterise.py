import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codesign.errors import ConfigError
from codesign.synthesis import LIBRARIES, Library
from codesign.synthesis.netlist import read_blif
from hardware_models import characterise
from hardware_models.characterise import NODES_NM, NOTES, Measured, _slope, _table, main, measure
from hardware_models.technology import MAY_BE_ZERO, UNITS, available, load, parse
from tests.synthesis.tiny import TEXT, library_of, opensta, require

NUMBERS = {name: 1.5 + number / 64 for number, name in enumerate(UNITS)}
SMALL, LARGE = 2, 5


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return library_of(tmp_path, TEXT, "tiny")


@pytest.fixture
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is unpacked into the user's own cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_table_of_made_up_numbers_is_read_as_it_was_written(library: Library) -> None:
    numbers = {**NUMBERS, "gate_energy": 1.23456e-5, "logic_leakage": 0.0}
    found = parse("mine", _table(library, 28, numbers, "measured by hand"))
    assert (found.name, found.library, found.node_nm, found.supply_v) == ("mine", "tiny typical", 28, 1.25)
    assert found.sources == ("measured by hand",)
    for name, value in numbers.items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-3), name


def test_a_table_says_when_and_how_each_number_was_measured(library: Library) -> None:
    text = _table(library, 28, NUMBERS, "measured by hand")
    assert text.startswith("# Units of tiny typical.")
    for name, entry in ((key, each) for key, each in tomllib.loads(text).items() if isinstance(each, dict)):
        assert entry["unit"] == UNITS[name]
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", entry["date"])
        assert entry.get("note") == NOTES.get(name)


def test_numbers_that_no_library_can_have_are_refused(library: Library) -> None:
    for name in sorted(set(UNITS) - MAY_BE_ZERO):
        with pytest.raises(ConfigError, match=f"{name} is a number above 0"):
            parse("mine", _table(library, 28, {**NUMBERS, name: 0.0}, "measured by hand"))


def test_the_libraries_that_have_a_name_have_a_node_and_a_table() -> None:
    assert set(NODES_NM) == set(LIBRARIES)
    assert {name: load(name).node_nm for name in available() if load(name).library} == dict(NODES_NM)


def test_main_writes_a_table_that_loads(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def numbers(given: Library) -> tuple[Mapping[str, float], str]:
        assert given is library
        return NUMBERS, "Yosys 0.1"

    monkeypatch.setattr(characterise, "_numbers", numbers)
    path = tmp_path / "mine.toml"
    main([str(library.files[0]), "--out", str(path), "--node", "28"])
    found = load(str(path))
    assert (found.library, found.node_nm, found.adder_area) == ("tiny typical", 28, NUMBERS["adder_area"])
    (source,) = found.sources
    said = (
        r"measured by python -m hardware_models\.characterise tiny: Yosys 0\.1, script asic-\S+ [0-9a-f]{12}"
    )
    assert re.fullmatch(said, source)


def test_a_library_without_a_node_is_refused_before_anything_is_measured(library: Library) -> None:
    with pytest.raises(ConfigError, match=r"the node of tiny is not known here; give it in nm: --node 28"):
        characterise.characterise(library.files[0])


def test_an_unknown_library_lists_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"libraries are sky130hd, .*or Liberty files .*; got 'sky90'"):
        characterise.characterise("sky90")


def test_the_command_says_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    for part in ("python -m hardware_models.characterise", "--out", "--node", "in nm", *LIBRARIES):
        assert part in said


def test_the_command_ends_with_a_message_and_no_traceback(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "hardware_models.characterise",
        "sky90",
        "--out",
        str(tmp_path / "a.toml"),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: libraries are sky130hd")
    assert "Traceback" not in ended.stderr


def test_a_slope_is_what_a_unit_more_takes() -> None:
    small, large = Measured(7.0, 1.0, 0.5, 2.0), Measured(19.0, 2.5, 0.5, 3.5)
    assert _slope(small, large, 3) == Measured(4.0, 0.5, 0.0, 0.5)


CELLS = {"_gate": ("and2_1", 2), "_adder": ("fa_1", 2), "_register": ("dff_1", 1)}
"""Units to the cell that a bit more takes, and their operands."""
PIN_PF = {"and2_1": 0.002, "fa_1": 0.005, "dff_1": 0.002}
"""Capacitance of an input pin, of the file of the library."""


@pytest.mark.netlist
@opensta
@pytest.mark.usefixtures("_cache")
def test_a_bit_more_of_a_unit_is_a_cell_of_the_library(library: Library, tmp_path: Path) -> None:
    require("pyosys")
    rng = np.random.default_rng(1)

    def per_bit(unit: str, operands: int, *, still: bool = False) -> Measured:
        found = []
        for bits in (SMALL, LARGE):
            inputs = rng.integers(0, 2, (64, operands * bits), dtype=np.uint8) * np.uint8(not still)
            one, version = measure(library, getattr(characterise, unit)(bits), tmp_path, inputs)
            assert re.fullmatch(r"Yosys [\d.]+\S*", version)
            found.append(one)
        return _slope(*found, LARGE - SMALL)

    units = {unit: per_bit(unit, operands) for unit, (_, operands) in CELLS.items()}
    leakage_nw = {"and2_1": 3.5, "fa_1": 14.0, "dff_1": 9.5}
    for unit, (cell, _) in CELLS.items():
        assert units[unit].area_um2 == pytest.approx(library.cells[cell].area), unit
        assert units[unit].leakage_mw == pytest.approx(leakage_nw[cell] * 1e-6, rel=1e-5), unit
    gate, adder, register = units.values()
    assert (gate.delay_ns, register.delay_ns) == pytest.approx((0, 0))
    assert 0.18 < adder.delay_ns < 0.23  # a carry through a full adder
    clock = per_bit("_register", 1, still=True)
    assert clock.energy_pj == pytest.approx(0.0020 + 0.0010, rel=1e-5)  # both edges at the pin CK
    assert clock.energy_pj < register.energy_pj < adder.energy_pj
    assert clock.area_um2 == register.area_um2


@pytest.mark.netlist
@opensta
@pytest.mark.usefixtures("_cache")
@pytest.mark.parametrize("unit", CELLS)
def test_the_energy_of_a_unit_charges_its_input_pins(library: Library, tmp_path: Path, unit: str) -> None:
    """``C V^2 / 2`` for each change of a pin, here one a cycle; nothing else becomes more."""
    require("pyosys")
    cell, operands = CELLS[unit]

    def at(body: str, bits: int, still: int = 0) -> Measured:
        every_cycle = np.repeat(np.arange(64, dtype=np.uint8)[:, None] % 2, bits, axis=1)
        return measure(library, body, tmp_path, every_cycle)[0]

    bodies = {operands * bits: getattr(characterise, unit)(bits) for bits in (SMALL, LARGE)}
    alone = _slope(*(at(body, bits) for bits, body in bodies.items()), LARGE - SMALL)
    found = [characterise._charged(at, body, bits) for bits, body in bodies.items()]
    charged = _slope(*found, LARGE - SMALL)
    pins_pj = operands * PIN_PF[cell] * library.voltage**2 / 2
    assert charged.energy_pj - alone.energy_pj == pytest.approx(pins_pj, rel=1e-3)
    assert replace(charged, energy_pj=alone.energy_pj) == alone


@pytest.mark.netlist
@opensta
@pytest.mark.usefixtures("_cache")
def test_a_sum_of_products_takes_the_full_adders_that_the_model_counts(
    library: Library, tmp_path: Path
) -> None:
    """But for some at the ends of its rows, where a bit is constant."""
    require("pyosys")
    taps, bits = 3, characterise.WEIGHT_BITS * characterise.INPUT_BITS
    inputs = np.zeros((64, taps * (characterise.WEIGHT_BITS + characterise.INPUT_BITS) + 6), np.uint8)
    measure(library, characterise._products(taps), tmp_path, inputs)
    cells = [instance.cell for instance in read_blif(tmp_path / "netlist.blif", library).instances]
    counted = taps * bits - (characterise.INPUT_BITS - 1)
    assert 0.96 * counted < cells.count("fa_1") <= counted
