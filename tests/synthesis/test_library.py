"""A library is read for its cells, or refused with what is wrong."""

import gzip
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.errors import ConfigError, OutputError
from codesign.synthesis import LIBRARIES, Library, find_library
from codesign.synthesis.functions import evaluated
from codesign.synthesis.library import FOLDER
from tests.synthesis.tiny import TEXT, changed, library_of

CARRY = "(A B) | (A CI) | (B CI)"
TOTAL = "A ^ B ^ CI"
PLAIN_FLOP = TEXT[TEXT.index('  cell ("dff_1")') : TEXT.index('  cell ("dffr_1")')]


def test_cells_have_areas_pins_and_functions(library: Library) -> None:
    assert (library.name, library.title) == ("tiny", "tiny typical")
    assert (library.time_ns, library.capacitance_pf, library.voltage) == (1.0, 1.0, 1.25)
    assert library.leakage_mw == pytest.approx(1e-6)
    assert len(library.cells) == TEXT.count("  cell (")
    assert library.cells["aoi21_1"].area == 2.625
    assert library.cells["aoi21_1"].inputs == ("A1", "A2", "B")
    assert dict(library.cells["fa_1"].functions) == {"CO": CARRY, "S": TOTAL}


@pytest.mark.parametrize("carry_inverted", [False, True])
@pytest.mark.parametrize("total_inverted", [False, True])
def test_a_full_adder_is_known_by_its_function(
    carry_inverted: bool, total_inverted: bool, tmp_path: Path
) -> None:
    carry = "!(A B + CI (A^B))" if carry_inverted else CARRY
    total = "A^B^CI'" if total_inverted else TOTAL
    adder = library_of(tmp_path, changed((CARRY, carry), (TOTAL, total))).full_adder
    assert adder is not None
    assert (adder.cell, adder.inputs, adder.carry, adder.total) == ("fa_1", ("A", "B", "CI"), "CO", "S")
    assert (adder.carry_inverted, adder.total_inverted) == (carry_inverted, total_inverted)


@pytest.mark.parametrize(
    "pair",
    [
        (CARRY, "A & B & CI"),
        (TOTAL, CARRY),
        (TOTAL, "A ^ B"),
        ("    area : 11.5;", "    area : 11.5;\n    dont_use : true;"),
    ],
)
def test_another_cell_is_no_full_adder(pair: tuple[str, str], tmp_path: Path) -> None:
    assert library_of(tmp_path, changed(pair)).full_adder is None


@pytest.mark.parametrize(("role", "active"), [("clear", "!RN"), ("preset", "RN'"), ("clear", "RN")])
def test_a_flip_flop_says_which_bit_lets_it_be(role: str, active: str, tmp_path: Path) -> None:
    text = changed((PLAIN_FLOP, ""), ('clear : "!RN"', f'{role} : "{active}"'))
    cell = library_of(tmp_path, text).flip_flop
    assert cell.name == "dffr_1"
    assert [evaluated(active, {pin: bit}) for pin, bit in cell.idle.items()] == [0]


def test_the_smallest_flip_flop_of_the_rising_edge_is_taken(library: Library, tmp_path: Path) -> None:
    assert library.flip_flop.name == "dff_1"
    assert library_of(tmp_path, changed(("area : 9.0;", "area : 10.5;"))).flip_flop.name == "dffr_1"
    falling = library_of(tmp_path, changed(('clocked_on : "CK"', 'clocked_on : "!CK"')), "falling")
    with pytest.raises(ConfigError, match="library falling has no D flip-flop of the rising edge"):
        _ = falling.flip_flop


@given(st.integers(0, TEXT.rindex("}") - 1))
def test_a_cut_file_is_refused(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    with pytest.raises(ConfigError, match=r"is cut: \d+ groups are open|has no library"):
        library_of(tmp_path_factory.mktemp("cut"), TEXT[:cut])


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("module chip (input a, output b); endmodule\n", "is no Liberty file of cells: it has no library"),
        ("library (empty) {\n}\n", "is no Liberty file of cells: it has no cell"),
        (TEXT + "}\n", "a brace closes what was not opened"),
        (changed(("  nom_voltage : 1.25;\n", ""), ("    voltage : 1.25;\n", "")), "states no nom_voltage"),
        (changed(("capacitive_load_unit (1, pf);", "")), "states no capacitance"),
        (changed(('"1ns"', '"1 minute"')), "states a unit '1 minute', expected such as 1ns"),
        (changed(("area : 1.5;", "area : small;")), "the area of cell inv_1 is a number, got 'small'"),
        (
            changed(("voltage : 1.25", "voltage : VDD")),
            "nominal voltage of the library is a number, got 'VDD'",
        ),
        (changed(('"!RN"', '"!RN &"')), "'!RN &' is no function of a Liberty cell"),
    ],
)
def test_a_foreign_file_is_refused(text: str, match: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=match):
        library_of(tmp_path, text)


def test_a_packed_library_is_the_same(library: Library, tmp_path: Path) -> None:
    packed = tmp_path / "tiny.lib.gz"
    packed.write_bytes(gzip.compress(TEXT.encode()))
    found = find_library(str(packed))
    assert (found.name, found.digest, found.cells) == (library.name, library.digest, library.cells)


@pytest.mark.parametrize("damage", [lambda raw: raw[:-20], lambda raw: raw[:300] + bytes(300) + raw[600:]])
def test_a_damaged_packed_file_is_refused(damage: object, tmp_path: Path) -> None:
    assert callable(damage)
    packed = tmp_path / "tiny.lib.gz"
    packed.write_bytes(damage(gzip.compress(TEXT.encode())))
    with pytest.raises(ConfigError, match=r"cannot read the Liberty file .*; fetch it anew"):
        find_library(packed)


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    first = library_of(tmp_path, TEXT)
    path = first.files[0]
    path.write_text(changed(("area : 1.5;", "area : 2.5;")), encoding="ascii")
    os.utime(path, (1, 1))
    second = find_library(path)
    assert (first.cells["inv_1"].area, second.cells["inv_1"].area) == (1.5, 2.5)
    assert first.digest != second.digest


def test_files_are_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = tmp_path / "tiny.lib.gz"
    packed.write_bytes(gzip.compress(TEXT.encode()))
    found = find_library(packed)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (plain,) = found.unpacked()
    assert plain.read_text(encoding="ascii") == TEXT
    made = plain.stat()
    assert found.unpacked() == (plain,)
    assert (plain.stat().st_ino, plain.stat().st_mtime_ns) == (made.st_ino, made.st_mtime_ns)
    assert [path.name for path in plain.parent.iterdir()] == ["tiny.lib"]
    monkeypatch.setenv("XDG_CACHE_HOME", str(packed))
    with pytest.raises(OutputError, match=r"cannot unpack tiny.lib.gz .*set XDG_CACHE_HOME to a folder"):
        found.unpacked()


def test_a_library_is_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FOLDER, raising=False)
    with pytest.raises(ConfigError, match=f"library sky130hd: set {FOLDER} to the folder"):
        find_library("sky130hd")
    monkeypatch.setenv(FOLDER, str(tmp_path))
    with pytest.raises(ConfigError, match=r"library sky130hd: no sky130hd_tt.lib or .lib.gz in"):
        find_library("sky130hd")
    (tmp_path / "sky130hd_tt.lib.gz").write_bytes(gzip.compress(TEXT.encode()))
    assert find_library("sky130hd").name == "sky130hd"
    (tmp_path / "asap7sc7p5t_AO_RVT_TT_nldm_1.lib").write_text(TEXT, encoding="ascii")
    with pytest.raises(ConfigError, match=r"asap7 is 5 files \(AO, .*leave one version of each there"):
        find_library("asap7", tmp_path)


def test_files_of_one_library_are_read_together(library: Library, tmp_path: Path) -> None:
    rest = changed((PLAIN_FLOP, ""), ('"tiny typical"', '"tiny_rest"'))
    first = library_of(tmp_path, rest, "rest").files[0]
    head = TEXT[: TEXT.index("  cell (")].replace('"tiny typical"', '"tiny_flop"')
    second = library_of(tmp_path, head + PLAIN_FLOP + "}\n", "flop").files[0]
    both = find_library([first, second])
    assert (both.title, both.files) == ("tiny", (second, first))
    assert both.cells == library.cells
    assert both.digest == find_library([second, first]).digest


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("sky130", r"libraries are sky130hd, sg13g2, asap7, or Liberty files .*; got 'sky130'"),
        ("absent.lib", "there is no Liberty file absent.lib; check the path"),
        ([], "a library is one Liberty file or several, got none"),
    ],
)
def test_what_is_no_library_is_refused(name: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        find_library(name)


@pytest.mark.liberty
@pytest.mark.skipif(FOLDER not in os.environ, reason=f"{FOLDER} names no folder of libraries")
@pytest.mark.parametrize(
    ("name", "adder", "flop"),
    [
        ("sky130hd", "sky130_fd_sc_hd__fa_1", "sky130_fd_sc_hd__dfxtp_1"),
        ("sg13g2", None, "sg13g2_dfrbpq_1"),
        ("asap7", "FAx1_ASAP7_75t_R", "DFFHQNx1_ASAP7_75t_R"),
    ],
)
def test_real_libraries_are_read(name: str, adder: str | None, flop: str) -> None:
    assert name in LIBRARIES
    found = find_library(name)
    assert found.title
    assert (found.full_adder and found.full_adder.cell, found.flip_flop.name) == (adder, flop)
