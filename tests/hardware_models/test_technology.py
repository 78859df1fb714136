import re
import tomllib
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from codesign.errors import ConfigError
from hardware_models.technology import MAY_BE_ZERO, SCALES, UNITS, available, load, parse
from hardware_models.technology.fpga import load as load_family

TEXTS = {
    name: files("hardware_models.technology").joinpath(f"{name}.toml").read_text(encoding="utf-8")
    for name in available()
}
TABLES: dict[str, dict[str, Any]] = {name: tomllib.loads(text) for name, text in TEXTS.items()}
MEASURED = tuple(name for name, table in TABLES.items() if "library" in table)
PUBLISHED = TEXTS["asic-45nm"]
SCALED = TEXTS["asic-65nm"]
NODE = "node_nm = 45\n"


def entries(name: str) -> dict[str, dict[str, Any]]:
    return {key: entry for key, entry in TABLES[name].items() if isinstance(entry, dict)}


def test_there_are_two_published_technologies_and_three_measured_libraries() -> None:
    assert available() == ("asap7", "asic-45nm", "asic-65nm", "sg13g2", "sky130hd")
    assert MEASURED == ("asap7", "sg13g2", "sky130hd")


@pytest.mark.parametrize("name", available())
def test_every_technology_loads(name: str) -> None:
    table = load(name)
    assert table is load(name)
    assert (table.name, table.library) == (name, TABLES[name].get("library"))
    assert (table.node_nm, table.supply_v) == (TABLES[name]["node_nm"], TABLES[name]["supply_v"])
    assert table.has_float == (name not in MEASURED)


@pytest.mark.parametrize("name", available())
def test_every_number_has_a_unit_a_source_and_a_date(name: str) -> None:
    found = entries(name)
    units = SCALES if "base" in TABLES[name] else UNITS
    assert {key: entry["unit"] for key, entry in found.items()} == dict(units)
    for key, entry in found.items():
        assert len(entry["source"]) > 10, key
        assert re.fullmatch(r"20\d\d(-\d\d(-\d\d)?)?", entry["date"]), key
        assert entry["source"] in load(name).sources
        if units is UNITS:
            assert getattr(load(name), key) == entry["value"], key
            assert entry["value"] > 0 or entry["note"], f"{key} is 0 and does not say why"


@pytest.mark.parametrize("name", MEASURED)
def test_a_measured_table_names_its_library_and_the_command(name: str) -> None:
    command = re.escape(f"measured by python -m hardware_models.characterise {name}: Yosys ")
    (source,) = load(name).sources
    assert re.fullmatch(command + r"[\d.]+, script asic-\w+-\d+ [0-9a-f]{12}", source)
    assert TEXTS[name].startswith(f"# Units of {load(name).library}.")
    assert (load(name).area_spread, load(name).energy_spread) == (1, 1)
    assert {entry["date"] for entry in entries(name).values()} == {TABLES[name]["adder_area"]["date"]}


@pytest.mark.parametrize("name", available())
def test_units_stand_in_the_order_of_what_they_are_made_of(name: str) -> None:
    table = load(name)
    assert table.gate_area < table.increment_area < table.adder_area <= table.maximum_area
    assert table.gate_area < table.voter_area < table.adder_area
    assert table.gate_energy < table.increment_energy < table.adder_energy <= table.maximum_energy
    assert max(table.gate_energy, table.register_clock_energy) < table.register_energy
    assert table.gate_delay < table.register_delay


def test_a_finer_node_is_smaller_and_takes_less_energy() -> None:
    tables = [load(name) for name in ("asap7", "asic-45nm", "asic-65nm", "sky130hd")]
    for finer, coarser in pairwise(tables):
        assert finer.node_nm < coarser.node_nm
        for unit in ("gate_area", "adder_area", "register_area", "gate_energy", "adder_energy"):
            assert getattr(finer, unit) < getattr(coarser, unit), (unit, finer.name)


def test_units_make_the_published_multiplier_that_they_were_read_from() -> None:
    """M. Horowitz, ISSCC 2014, at 45 nm: 8 bits, 64 gates and the adders of 64 bits less 16 outputs."""
    table = load("asic-45nm")
    assert 64 * table.gate_area + 48 * table.adder_area == pytest.approx(282, rel=0.01)
    assert 64 * table.gate_energy + 48 * table.adder_energy == pytest.approx(0.2, rel=0.01)
    assert 32 * table.adder_area == pytest.approx(137, rel=0.01)
    assert 32 * table.adder_energy == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize("key", UNITS)
def test_a_scaled_technology_is_its_base_times_the_scales(key: str) -> None:
    scales = {"area": 1.5, "energy": 3.01, "leakage": 1.0, "delay": 1.44, "spread": 1.0}
    base, scaled = (getattr(load(name), key) for name in ("asic-45nm", "asic-65nm"))
    assert scaled == pytest.approx(scales[key.rpartition("_")[2]] * base, rel=1e-12)


def test_a_scaled_technology_has_the_sources_of_both() -> None:
    base, scaled = load("asic-45nm"), load("asic-65nm")
    own = tuple(dict.fromkeys(entry["source"] for entry in entries("asic-65nm").values()))
    assert scaled.sources == (*base.sources, *own)
    assert (scaled.node_nm, scaled.supply_v) == (65, 1.2)


def test_the_energy_scale_is_that_of_the_published_polynomials() -> None:
    def energy(a: float, b: float, c: float, supply_v: float) -> float:
        return a * supply_v**2 + b * supply_v + c

    factor = energy(3.755, -4.398, 1.975, 1.2) / energy(1.018, -0.3107, 0.1539, 0.9)
    assert load("asic-65nm").adder_energy / load("asic-45nm").adder_energy == pytest.approx(factor, rel=1e-3)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "[adder_area]",
            "[adder_size]",
            "lacks adder_area and has adder_size; it takes node_nm, supply_v, a",
        ),
        (NODE, "", "lacks node_nm; it takes"),
        (NODE, f"{NODE}colour = 1\n", "has colour; it takes"),
        (NODE, f"{NODE}library = 3\n", "library is the name of a library, got 3"),
        (NODE, f'{NODE}library = ""\n', "library is the name of a library, got ''"),
        ('"um2/bit"', '"mm2/bit"', "adder_area is in um2/bit, got 'mm2/bit'; convert the value"),
        ("value = 4.3", "value = -4.3", "adder_area is a number above 0, got -4.3"),
        ("value = 4.3", 'value = "4.3"', "adder_area is a number above 0, got '4.3'"),
        ("value = 4.3", "value = inf", "adder_area is a number above 0, got inf"),
        ("value = 4.3", "value = nan", "adder_area is a number above 0, got nan"),
        ("value = 4.3", "value = true", "adder_area is a number above 0, got True"),
        ("value = 4.3", "value = 0", "adder_area is a number above 0, got 0"),
        ("value = 4.3\n", "", "adder_area has no value; give value, unit, source, date"),
        ("supply_v = 0.9", "supply_v = 0", "supply_v is a number above 0, got 0"),
        ("[adder_area]", "adder_area", "is not TOML: "),
    ],
)
def test_a_damaged_table_is_refused(old: str, new: str, message: str) -> None:
    assert old in PUBLISHED
    with pytest.raises(ConfigError, match="technology 'mine'") as raised:
        parse("mine", PUBLISHED.replace(old, new, 1))
    assert message in str(raised.value)


@pytest.mark.parametrize("key", ["unit", "source", "date"])
def test_a_number_without_its_unit_source_or_date_is_refused(key: str) -> None:
    without = "\n".join(line for line in PUBLISHED.split("\n") if not line.startswith(key))
    empty = re.sub(rf'^{key} = ".*"$', f'{key} = ""', PUBLISHED, flags=re.MULTILINE)
    for text in (without, empty):
        with pytest.raises(ConfigError, match=f"adder_area has no {key}; give value, unit, source, date"):
            parse("mine", text)


@pytest.mark.parametrize("key", UNITS)
def test_only_what_a_source_may_lack_may_be_zero(key: str) -> None:
    zero = re.sub(rf"(\[{key}\]\nvalue = )\S+", r"\g<1>0", PUBLISHED)
    assert tomllib.loads(zero)[key]["value"] == 0
    if key in MAY_BE_ZERO:
        assert getattr(parse("mine", zero), key) == 0
    else:
        with pytest.raises(ConfigError, match=f"{key} is a number above 0, got 0"):
            parse("mine", zero)


def test_a_scaled_table_is_checked_as_well() -> None:
    assert parse("mine", SCALED).adder_area == load("asic-65nm").adder_area
    with pytest.raises(ConfigError, match="no technology 'asic-1nm'; there are asap7, asic-45nm, asic-65nm"):
        parse("mine", SCALED.replace("asic-45nm", "asic-1nm"))
    with pytest.raises(ConfigError, match="lacks area_scale and has area_factor; it takes node_nm"):
        parse("mine", SCALED.replace("area_scale", "area_factor"))
    with pytest.raises(ConfigError, match="delay_scale is a number above 0, got 0"):
        parse("mine", SCALED.replace("value = 1.44", "value = 0"))


def test_a_technology_of_another_model_names_the_model() -> None:
    with pytest.raises(
        ConfigError, match=r"no technology 'xc7'.* fpga-unrolled \(--model\) has ecp5, xc7, xcup"
    ):
        load("xc7")
    with pytest.raises(
        ConfigError, match=r"no FPGA family 'sky130hd'.* asic and constant \(--model\) have asap7"
    ):
        load_family("sky130hd")


def test_a_table_of_ones_own_is_loaded_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    with pytest.raises(ConfigError, match=r"no technology table .*; write one with: .*characterise .*mine"):
        load(str(path))
    path.write_text(TEXTS["sky130hd"].replace("value = 20.02", "value = 21.5", 1), encoding="utf-8")
    assert (load(str(path)).name, load(str(path)).adder_area) == ("mine", 21.5)
    assert load(str(path)).library == load("sky130hd").library
