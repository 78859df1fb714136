"""Energies and areas of arithmetic units and registers: one TOML table a technology.

Every number stands in the table with its unit, source and date. A technology without units of its own
scales those of another, its ``base``.
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from codesign.errors import ConfigError

__all__ = ["Technology", "available", "load"]

UNITS: Mapping[str, str] = MappingProxyType(
    {
        "multiplier_energy": "pJ/bit2",
        "multiplier_area": "um2/bit2",
        "adder_energy": "pJ/bit",
        "adder_area": "um2/bit",
        "register_energy": "pJ/bit",
        "register_area": "um2/bit",
        "register_leakage": "mW/bit",
        "float_multiplier_energy": "pJ",
        "float_multiplier_area": "um2",
        "float_adder_energy": "pJ",
        "float_adder_area": "um2",
        "energy_spread": "factor",
        "area_spread": "factor",
    }
)
SCALES: Mapping[str, str] = MappingProxyType(
    {"area_scale": "factor", "energy_scale": "factor", "leakage_scale": "factor"}
)
TEXTS = ("unit", "source", "date")
GENERAL = ("node_nm", "supply_v")


@dataclass(frozen=True, slots=True)
class Technology:
    """What one unit costs.

    Parameters
    ----------
    name, node_nm, supply_v
        The table; its node, in nm; its supply, in V.
    multiplier_energy, multiplier_area
        Per product of the two widths: pJ/bit2, um2/bit2.
    adder_energy, adder_area
        Per bit of width: pJ/bit, um2/bit.
    register_energy, register_area, register_leakage
        Per bit: pJ a clock, um2, mW.
    float_multiplier_energy, float_multiplier_area, float_adder_energy, float_adder_area
        FP32 units: pJ, um2.
    energy_spread, area_spread
        Factors by which sources differ for one and the same unit.
    sources
        Where the numbers are from.
    """

    name: str
    node_nm: float
    supply_v: float
    multiplier_energy: float
    multiplier_area: float
    adder_energy: float
    adder_area: float
    register_energy: float
    register_area: float
    register_leakage: float
    float_multiplier_energy: float
    float_multiplier_area: float
    float_adder_energy: float
    float_adder_area: float
    energy_spread: float
    area_spread: float
    sources: tuple[str, ...]


def available() -> tuple[str, ...]:
    """Names of the technologies there are."""
    names = (entry.name for entry in files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


@cache
def load(name: str) -> Technology:
    """Technology of this name.

    Raises
    ------
    ConfigError
        For a name without a table, or a table with a missing or unknown key, a wrong unit, or a value that
        is not above 0.
    """
    if name not in available():
        raise ConfigError(f"no technology {name!r}; there are {', '.join(available())}")
    return parse(name, files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8"))


def parse(name: str, text: str) -> Technology:
    """Technology of a table's text; raise ``ConfigError`` as ``load`` does."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"technology {name!r} is not TOML: {error}; mend the table") from error
    units = SCALES if "base" in table else UNITS
    _require_keys(name, table, (*GENERAL, *units, *(("base",) if "base" in table else ())))
    numbers = {key: _number(name, key, table[key], unit) for key, unit in units.items()}
    general = {key: _positive(name, key, table[key]) for key in GENERAL}
    sources = tuple(dict.fromkeys(str(table[key]["source"]) for key in units))
    if "base" not in table:
        return Technology(name=name, **general, **numbers, sources=sources)
    base = load(table["base"])
    return replace(base, name=name, **general, **_scaled(base, numbers), sources=(*base.sources, *sources))


def _scaled(base: Technology, scales: Mapping[str, float]) -> dict[str, float]:
    """Units of a technology times the factor of what they measure."""
    kinds = {key: key.rpartition("_")[2] for key in UNITS}
    return {
        key: getattr(base, key) * scales[f"{kind}_scale"] for key, kind in kinds.items() if kind != "spread"
    }


def _require_keys(name: str, table: Mapping[str, Any], allowed: tuple[str, ...]) -> None:
    missing = sorted(set(allowed) - set(table))
    unknown = sorted(set(table) - set(allowed))
    if missing or unknown:
        said = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"has {', '.join(unknown)}"] * bool(unknown)
        raise ConfigError(f"technology {name!r} {' and '.join(said)}; it takes {', '.join(allowed)}")


def _number(name: str, key: str, entry: Any, unit: str) -> float:
    """Value of an entry, whose unit must be this one."""
    given = entry if isinstance(entry, dict) else {}
    absent = [item for item in ("value", *TEXTS) if given.get(item) in (None, "")]
    if absent:
        raise ConfigError(
            f"technology {name!r}: {key} has no {', '.join(absent)}; give value, unit, source, date"
        )
    if entry["unit"] != unit:
        raise ConfigError(
            f"technology {name!r}: {key} is in {unit}, got {entry['unit']!r}; convert the value"
        )
    return _positive(name, key, entry["value"])


def _positive(name: str, key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ConfigError(f"technology {name!r}: {key} is a number above 0, got {value!r}")
    return float(value)
