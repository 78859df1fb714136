"""What arithmetic costs on an FPGA: one TOML table a family, each number with unit, source and date.

``python -m hardware_models.characterise_fpga FAMILY`` measures those numbers that no document states.
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from codesign.errors import ConfigError
from hardware_models import technology

__all__ = ["UNITS", "Family", "available", "load", "numbers", "parse"]

UNITS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "lut_inputs": "bit",
        "product_lut": "LUT/bit2",
        "adder_lut": "LUT/bit",
        "constant_lut": "LUT/bit",
        "increment_lut": "LUT/bit",
        "gate_lut": "LUT/bit",
        "activation_lut": "LUT/bit",
        "pooling_lut": "LUT/bit",
        "voter_lut": "LUT/bit",
        "decoder_lut": "LUT/word",
        "dsp_wide_bits": "bit",
        "dsp_narrow_bits": "bit",
        "dsp_least_bits": "bit",
        "lutram_bits": "bit/LUT",
    }
)
VENDORS: Final = ("amd", "lattice")
TEXTS: Final = ("unit", "source", "date")


@dataclass(frozen=True, slots=True)
class Family:
    """What one unit costs in a family of FPGAs.

    Parameters
    ----------
    name, vendor
        The table, as Yosys names the family; ``amd`` or ``lattice``.
    lut_inputs
        Inputs of a look-up table.
    product_lut
        LUTs of sums of products with weights that can change, per product of the two widths: LUT/bit2.
        Partial products and their share of the adder tree.
    adder_lut
        LUTs of a ripple-carry adder: LUT/bit.
    constant_lut, increment_lut
        LUTs per full and per half adder of products with constants: LUT/bit.
    gate_lut
        LUTs per gate of rounding, saturation and ReLU behind these: LUT/bit.
    activation_lut
        LUTs of rounding, saturation and ReLU: LUT per bit of the accumulator.
    pooling_lut
        LUTs of a comparator with its selector: LUT/bit.
    voter_lut
        LUTs of a majority of three: LUT/bit.
    decoder_lut
        LUTs that load a word into its register: LUT/word.
    dsp_wide_bits, dsp_narrow_bits
        Signed operands of a DSP block's multiplier: bit.
    dsp_least_bits
        Width from which on, of both operands, a multiplication goes into a DSP block: bit.
    lutram_bits
        Bits of memory in a LUT: bit/LUT.
    sources
        Where the numbers are from.
    """

    name: str
    vendor: str
    lut_inputs: float
    product_lut: float
    adder_lut: float
    constant_lut: float
    increment_lut: float
    gate_lut: float
    activation_lut: float
    pooling_lut: float
    voter_lut: float
    decoder_lut: float
    dsp_wide_bits: float
    dsp_narrow_bits: float
    dsp_least_bits: float
    lutram_bits: float
    sources: tuple[str, ...]


def available() -> tuple[str, ...]:
    """Names of the families there are."""
    names = (entry.name for entry in files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


@cache
def load(name: str) -> Family:
    """Family of this name, or of a user's own table, by its path that ends in ``.toml``.

    Raises
    ------
    ConfigError
        For a name without a table, or a table with a missing or unknown key, a wrong unit, or a value that
        is not above 0.
    """
    if name.endswith(".toml"):
        try:
            return parse(Path(name).stem, Path(name).read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"cannot read the FPGA table {name}: {error.strerror}") from error
    if name not in available():
        raise ConfigError(
            f"no FPGA family {name!r}; there are {', '.join(available())}: choose one as the device's "
            "technology (--technology), or give the path of a table; the models asic and constant (--model) "
            f"have {', '.join(technology.available())}"
        )
    return parse(name, files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8"))


def parse(name: str, text: str) -> Family:
    """Family of a table's text; raise ``ConfigError`` as ``load`` does."""
    values, texts, sources = numbers(name, text, UNITS, ("vendor",))
    if texts["vendor"] not in VENDORS:
        raise ConfigError(
            f"FPGA table {name!r}: vendor is one of {', '.join(VENDORS)}, got {texts['vendor']!r}"
        )
    return Family(name=name, vendor=texts["vendor"], **values, sources=sources)


def numbers(
    name: str, text: str, units: Mapping[str, str], texts: tuple[str, ...] = ()
) -> tuple[dict[str, float], dict[str, str], tuple[str, ...]]:
    """Values, plain texts and sources of a table.

    Parameters
    ----------
    name
        Of the table, for errors.
    text
        TOML: under each key ``value``, ``unit``, ``source`` and ``date``; a ``note`` may stand beside them.
    units
        Each key with its unit.
    texts
        Keys whose value is a plain text.

    Raises
    ------
    ConfigError
        For a missing or unknown key, a wrong unit, or a value that is not above 0.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"FPGA table {name!r} is not TOML: {error}; mend the table") from error
    allowed = (*texts, *units)
    missing, unknown = sorted(set(allowed) - set(table)), sorted(set(table) - set(allowed))
    if missing or unknown:
        said = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"has {', '.join(unknown)}"] * bool(unknown)
        raise ConfigError(f"FPGA table {name!r} {' and '.join(said)}; it takes {', '.join(allowed)}")
    values = {key: _number(name, key, table[key], unit) for key, unit in units.items()}
    sources = tuple(dict.fromkeys(str(table[key]["source"]) for key in units))
    return values, {key: str(table[key]) for key in texts}, sources


def _number(name: str, key: str, entry: Any, unit: str) -> float:
    """Value of an entry, whose unit must be this one."""
    given = entry if isinstance(entry, dict) else {}
    absent = [item for item in ("value", *TEXTS) if given.get(item) in (None, "")]
    if absent:
        raise ConfigError(
            f"FPGA table {name!r}: {key} has no {', '.join(absent)}; give value, unit, source, date"
        )
    if given["unit"] != unit:
        raise ConfigError(
            f"FPGA table {name!r}: {key} is in {unit}, got {given['unit']!r}; convert the value"
        )
    value = given["value"]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ConfigError(f"FPGA table {name!r}: {key} is a number above 0, got {value!r}")
    return float(value)
