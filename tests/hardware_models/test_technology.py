from importlib.resources import files

import pytest

from codesign.errors import ConfigError
from hardware_models.technology import available, load, parse

TEXT = files("hardware_models.technology").joinpath("asic-45nm.toml").read_text(encoding="utf-8")
SCALED = files("hardware_models.technology").joinpath("asic-65nm.toml").read_text(encoding="utf-8")


def test_there_are_two_technologies() -> None:
    assert available() == ("asic-45nm", "asic-65nm")
    assert [load(name).name for name in available()] == list(available())


@pytest.mark.parametrize("name", available())
def test_each_technology_says_where_its_numbers_are_from(name: str) -> None:
    assert any("Horowitz" in source for source in load(name).sources)


def test_units_are_near_the_published_ones_they_were_read_from() -> None:
    """M. Horowitz, ISSCC 2014: 8-bit and 32-bit units at 45 nm, in pJ and um2."""
    table = load("asic-45nm")
    assert 64 * table.multiplier_energy == pytest.approx(0.2, rel=0.01)
    assert 64 * table.multiplier_area == pytest.approx(282, rel=0.01)
    assert 1024 * table.multiplier_energy == pytest.approx(3.1, rel=0.03)
    assert 32 * table.adder_energy == pytest.approx(0.1, rel=0.1)
    assert 32 * table.adder_area == pytest.approx(137, rel=0.01)


def test_a_scaled_technology_is_its_base_times_the_scales() -> None:
    base, scaled = load("asic-45nm"), load("asic-65nm")
    for unit in ("multiplier", "adder", "register", "float_multiplier", "float_adder"):
        for kind, scale in (("area", 1.5), ("energy", 3.01)):
            name = f"{unit}_{kind}"
            assert getattr(scaled, name) == pytest.approx(scale * getattr(base, name)), name
    assert scaled.register_leakage == base.register_leakage
    assert (scaled.energy_spread, scaled.node_nm, scaled.supply_v) == (base.energy_spread, 65, 1.2)


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
            "lacks adder_area and has adder_size; it takes node_nm, supply_v, mult",
        ),
        ("node_nm = 45\n", "", "lacks node_nm; it takes"),
        ("node_nm = 45", "node_nm = 45\ncolour = 1", "has colour; it takes"),
        ('"um2/bit"', '"mm2/bit"', "adder_area is in um2/bit, got 'mm2/bit'; convert the value"),
        ("value = 4.3", "value = -4.3", "adder_area is a number above 0, got -4.3"),
        ("value = 4.3", 'value = "4.3"', "adder_area is a number above 0, got '4.3'"),
        ("value = 4.3", "value = inf", "adder_area is a number above 0, got inf"),
        ("value = 4.3", "value = true", "adder_area is a number above 0, got True"),
        ("value = 4.3", "value = 0", "adder_area is a number above 0, got 0"),
        ("value = 4.3\n", "", "adder_area has no value; give value, unit, source, date"),
        ("supply_v = 0.9", "supply_v = 0", "supply_v is a number above 0, got 0"),
        ("[adder_area]", "adder_area", "is not TOML: "),
    ],
)
def test_a_damaged_table_is_refused(old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(ConfigError, match="technology 'mine'") as raised:
        parse("mine", TEXT.replace(old, new, 1))
    assert message in str(raised.value)


@pytest.mark.parametrize("key", ["unit", "source", "date"])
def test_each_number_has_a_unit_a_source_and_a_date(key: str) -> None:
    without = "\n".join(line for line in TEXT.split("\n") if not line.startswith(key))
    with pytest.raises(ConfigError, match=f"multiplier_energy has no {key}"):
        parse("mine", without)


def test_a_scaled_table_is_checked_as_well() -> None:
    assert parse("mine", SCALED).adder_area == load("asic-65nm").adder_area
    with pytest.raises(ConfigError, match="no technology 'asic-1nm'; there are asic-45nm, asic-65nm"):
        parse("mine", SCALED.replace("asic-45nm", "asic-1nm"))
    with pytest.raises(ConfigError, match="lacks area_scale and has area_factor; it takes node_nm"):
        parse("mine", SCALED.replace("area_scale", "area_factor"))
