from importlib.resources import files
from pathlib import Path

import pytest

from codesign.errors import ConfigError
from hardware_models.technology import available as asic_tables
from hardware_models.technology.finn import PARTS
from hardware_models.technology.finn import load as load_library
from hardware_models.technology.fpga import available, load, parse

TEXT = files("hardware_models.technology.fpga").joinpath("xc7.toml").read_text(encoding="utf-8")


def test_there_are_three_families_beside_the_asic_tables() -> None:
    assert available() == ("ecp5", "xc7", "xcup")
    assert [load(name).name for name in available()] == list(available())
    assert not set(available()) & set(asic_tables())


@pytest.mark.parametrize("name", available())
def test_each_family_says_where_its_numbers_are_from(name: str) -> None:
    assert any("Yosys" in source for source in load(name).sources)
    assert load(name).dsp_narrow_bits <= load(name).dsp_wide_bits


def test_a_table_of_ones_own_is_named_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(TEXT, encoding="utf-8")
    mine, theirs = load(str(path)), load("xc7")
    assert (mine.name, mine.product_lut) == ("mine", theirs.product_lut)
    with pytest.raises(ConfigError, match="cannot read the FPGA table"):
        load(str(tmp_path / "absent.toml"))


def test_an_unknown_family_lists_those_there_are() -> None:
    with pytest.raises(ConfigError, match="no FPGA family 'ice40'; there are ecp5, xc7, xcup"):
        load("ice40")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[adder_lut]", "[adder_size]", "lacks adder_lut and has adder_size; it takes vendor, lut_inputs"),
        ('vendor = "amd"\n', "", "lacks vendor"),
        ('vendor = "amd"', 'vendor = "acme"', "vendor is one of amd, lattice, got 'acme'"),
        ('"LUT/bit2"', '"LUT/bit"', "product_lut is in LUT/bit2, got 'LUT/bit'; convert the value"),
        ("value = 6", "value = -6", "lut_inputs is a number above 0, got -6"),
        ("value = 6", 'value = "6"', "lut_inputs is a number above 0, got '6'"),
        ("value = 6", "value = inf", "lut_inputs is a number above 0, got inf"),
        ("value = 6", "value = true", "lut_inputs is a number above 0, got True"),
        ("value = 6\n", "", "lut_inputs has no value; give value, unit, source, date"),
        ("[lut_inputs]", "lut_inputs", "is not TOML: "),
    ],
)
def test_a_damaged_table_is_refused(old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(ConfigError, match="FPGA table 'mine'") as raised:
        parse("mine", TEXT.replace(old, new, 1))
    assert message in str(raised.value)


@pytest.mark.parametrize("key", ["unit", "source", "date"])
def test_each_number_has_a_unit_a_source_and_a_date(key: str) -> None:
    without = "\n".join(line for line in TEXT.split("\n") if not line.startswith(key))
    with pytest.raises(ConfigError, match=f"lut_inputs has no {key}"):
        parse("mine", without)


def test_every_part_of_finns_nodes_has_its_number_and_a_source() -> None:
    library = load_library()
    assert set(library.lut) == set(PARTS["lut"])
    assert set(library.ff) == set(PARTS["ff"])
    assert any("finn-plus 1.6.1" in source for source in library.sources)
