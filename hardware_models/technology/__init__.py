"""Energies, areas and delays of arithmetic units and registers: one TOML table a technology.

Every number stands in the table with its unit, source and date. A technology without units of its own
scales those of another, its ``base``. ``python -m hardware_models.characterise`` writes a table for a
standard-cell library.
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from codesign.errors import ConfigError

__all__ = ["UNITS", "Technology", "available", "load", "parse"]

UNITS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "adder_area": "um2/bit",
        "increment_area": "um2/bit",
        "gate_area": "um2/bit",
        "maximum_area": "um2/bit",
        "voter_area": "um2/bit",
        "load_area": "um2/bit",
        "decoder_area": "um2/word",
        "register_area": "um2/bit",
        "float_multiplier_area": "um2",
        "float_adder_area": "um2",
        "adder_energy": "pJ/bit",
        "increment_energy": "pJ/bit",
        "gate_energy": "pJ/bit",
        "maximum_energy": "pJ/bit",
        "voter_energy": "pJ/bit",
        "register_energy": "pJ/bit",
        "register_clock_energy": "pJ/bit",
        "float_multiplier_energy": "pJ",
        "float_adder_energy": "pJ",
        "logic_leakage": "mW/um2",
        "register_leakage": "mW/bit",
        "adder_delay": "ns",
        "carry_delay": "ns/bit",
        "gate_delay": "ns",
        "register_delay": "ns",
        "energy_spread": "factor",
        "area_spread": "factor",
    }
)
"""Every number of a table, with its unit."""

MAY_BE_ZERO: Final = frozenset(
    {
        "register_clock_energy",
        "logic_leakage",
        "register_leakage",
        "voter_energy",
        "float_multiplier_area",
        "float_adder_area",
        "float_multiplier_energy",
        "float_adder_energy",
    }
)
"""What a source may lump into another number, or not have; the note of the entry says which."""

SCALES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "area_scale": "factor",
        "energy_scale": "factor",
        "leakage_scale": "factor",
        "delay_scale": "factor",
    }
)
TEXTS: Final = ("unit", "source", "date")
GENERAL: Final = ("node_nm", "supply_v")


@dataclass(frozen=True, slots=True)
class Technology:
    """What one unit costs. The numbers are those of ``UNITS``, in its units.

    Parameters
    ----------
    name
        Of the table: its file, without the ending.
    library
        Standard-cell library, as its Liberty file calls itself; None where the numbers are published ones.
    node_nm, supply_v
        Node, in nm; supply, in V.
    adder_area, adder_energy
        Of a full adder: two operands and a carry.
    increment_area, increment_energy
        Of a half adder: one operand and a carry, as where a constant is added.
    gate_area, gate_energy
        Of a gate of two inputs: a bit of a product, masks of ReLU and saturation.
    maximum_area, maximum_energy
        Of the larger of two words: comparator and selector, per bit of a word.
    voter_area, voter_energy
        Majority of three, per bit; energy where the bit is written anew each cycle.
    load_area, decoder_area
        Selector in front of a weight register, per bit; comparison of its address, per word.
    register_area, register_leakage, register_energy, register_clock_energy
        Of a flip-flop: energy when its data are random, and of its clock alone when they hold still.
    float_multiplier_area, float_multiplier_energy, float_adder_area, float_adder_energy
        FP32 units. 0: the table has none, and float layers cannot be priced.
    logic_leakage
        Of all logic but registers, by its area.
    adder_delay, carry_delay
        Of a full adder in a tree of them, from its inputs to its sum; of the carry through a bit.
    gate_delay, register_delay
        Of a gate, with its load; of a flip-flop, from the edge to its output, and its set-up.
    energy_spread, area_spread
        Factors by which sources differ for one and the same unit; 1 where it was measured.
    sources
        Where the numbers are from.
    """

    name: str
    library: str | None
    node_nm: float
    supply_v: float
    adder_area: float
    increment_area: float
    gate_area: float
    maximum_area: float
    voter_area: float
    load_area: float
    decoder_area: float
    register_area: float
    float_multiplier_area: float
    float_adder_area: float
    adder_energy: float
    increment_energy: float
    gate_energy: float
    maximum_energy: float
    voter_energy: float
    register_energy: float
    register_clock_energy: float
    float_multiplier_energy: float
    float_adder_energy: float
    logic_leakage: float
    register_leakage: float
    adder_delay: float
    carry_delay: float
    gate_delay: float
    register_delay: float
    energy_spread: float
    area_spread: float
    sources: tuple[str, ...]

    @property
    def has_float(self) -> bool:
        """Whether the table has floating-point units."""
        return self.float_multiplier_area > 0


def available() -> tuple[str, ...]:
    """Names of the technologies there are."""
    names = (entry.name for entry in files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


@cache
def load(name: str) -> Technology:
    """Technology of this name, or of a table of the user's own by its path, which ends in ``.toml``.

    Raises
    ------
    ConfigError
        For a name without a table, or a table with a missing or unknown key, a wrong unit, or a value that
        is not above 0.
    """
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise ConfigError(
                f"no technology table {name}; write one with: python -m hardware_models.characterise LIBRARY "
                f"--out {path.name}"
            )
        return parse(path.stem, path.read_text(encoding="utf-8"))
    if name not in available():
        from hardware_models.technology import fpga

        raise ConfigError(
            f"no technology {name!r}; there are {', '.join(available())}, or give the path of a table "
            f"(.toml); the model fpga-unrolled (--model) has {', '.join(fpga.available())}, fpga-streaming "
            "those of AMD"
        )
    return parse(name, files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8"))


def parse(name: str, text: str) -> Technology:
    """Technology of a table's text; raise ``ConfigError`` as ``load`` does."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"technology {name!r} is not TOML: {error}; mend the table") from error
    scaled = "base" in table
    units = SCALES if scaled else UNITS
    library = table.pop("library", None)
    _require_keys(name, table, (*GENERAL, *units, *(("base",) if scaled else ())))
    if not (library is None or (isinstance(library, str) and library)):
        raise ConfigError(f"technology {name!r}: library is the name of a library, got {library!r}")
    numbers = {key: _number(name, key, table[key], unit) for key, unit in units.items()}
    general = {key: _positive(name, key, table[key]) for key in GENERAL}
    sources = tuple(dict.fromkeys(str(table[key]["source"]) for key in units))
    if not scaled:
        return Technology(name=name, library=library, **general, **numbers, sources=sources)
    base = load(table["base"])
    return replace(
        base,
        name=name,
        library=library,
        **general,
        **_scaled(base, numbers),
        sources=(*base.sources, *sources),
    )


def _scaled(base: Technology, scales: Mapping[str, float]) -> dict[str, Any]:
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
    if key in MAY_BE_ZERO and entry["value"] == 0 and not isinstance(entry["value"], bool):
        return 0.0
    return _positive(name, key, entry["value"])


def _positive(name: str, key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ConfigError(f"technology {name!r}: {key} is a number above 0, got {value!r}")
    return float(value)


assert set(UNITS) <= {item.name for item in fields(Technology)}
