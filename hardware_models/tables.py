"""Tables of numbers with unit, source and date."""

import tomllib
from collections.abc import Mapping

from codesign.errors import ConfigError

__all__ = ["numbers", "table"]


def numbers(text: str, units: Mapping[str, str], of: str) -> dict[str, float]:
    """The numbers of a table; raise ``ConfigError`` for one that lacks a number or has a wrong unit."""
    found = tomllib.loads(text)
    if set(found) != set(units):
        raise ConfigError(f"{of} has {', '.join(units)}; got {', '.join(found)}")
    for name, unit in units.items():
        if found[name].get("unit") != unit:
            raise ConfigError(f"{of}'s {name} is in {unit!r}, got {found[name].get('unit')!r}")
    return {name: float(found[name]["value"]) for name in units}


def table(
    heading: str, values: Mapping[str, float], units: Mapping[str, str], sources: Mapping[str, str], date: str
) -> str:
    """The text of a table that ``numbers`` reads."""
    entries = []
    for name, value in values.items():
        lines = (
            f"[{name}]",
            f"value = {value:.4g}",
            f'unit = "{units[name]}"',
            f'source = "{sources[name]}"',
        )
        entries.append("\n".join([*lines, f'date = "{date}"', ""]))
    return f"# {heading}\n\n" + "\n".join(entries)
