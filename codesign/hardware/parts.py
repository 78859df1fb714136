"""Names of FPGA parts: of which family one is, and which stands for a family where none is given."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from codesign.errors import ConfigError

__all__ = ["PART", "default_part", "fits", "require_family", "technology_of"]

PART: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]*\Z"
"""Names of parts: they stand in paths and scripts of vendor tools."""


@dataclass(frozen=True, slots=True)
class _Family:
    """Parts that one technology is a table of.

    Parameters
    ----------
    words
        What people call it.
    pattern
        How the names of its parts begin.
    part
        The one that stands for it.
    """

    words: str
    pattern: str
    part: str


_FAMILIES: Final[Mapping[str, _Family]] = MappingProxyType(
    {
        # The part of the AC701 board (AMD UG952).
        "xc7": _Family("7-series", r"x[acq]7", "xc7a200tfbg676-2"),
        # The part of the ZCU104 and ZCU106 boards (AMD UG1267, UG1244). UltraScale has the same logic and DSP
        # blocks (UG574 and UG579 are of both), so its parts count as of the family.
        "xcup": _Family(
            "UltraScale or UltraScale+",
            r"x(a|c|q|qr)(zu|ku|vu|au)\d|xck2[46]|xcux?\d",
            "xczu7ev-ffvc1156-2-e",
        ),
        # The largest ECP5, of the slowest grade (Lattice FPGA-DS-02012, ordering information).
        "ecp5": _Family("ECP5", r"l[af]e5u", "LFE5U-85F-6BG756C"),
    }
)
"""Technology to the family of its parts."""
_KNOWN: Final = r"x[acq]|l[af]e|lifcl|lfcpnx|lfd2nx|lfmxo|lcmxo|lav-|ice40"
"""How names of AMD and Lattice begin, which tell their family; names of others are taken as they are."""


def default_part(technology: str) -> str:
    """The part that stands for a technology: a real one of its family; UltraScale+ where it has none.

    Examples
    --------
    >>> default_part("xc7"), default_part("asic-65nm")
    ('xc7a200tfbg676-2', 'xczu7ev-ffvc1156-2-e')
    """
    return _FAMILIES.get(technology, _FAMILIES["xcup"]).part


def technology_of(part: str) -> str | None:
    """The technology whose family a part is of; None where there is none.

    Examples
    --------
    >>> technology_of("xc7a35tcpg236-1"), technology_of("LIFCL-40-9BG400C")
    ('xc7', None)
    """
    found = (name for name, each in _FAMILIES.items() if re.match(each.pattern, part.lower()))
    return next(found, None)


def fits(part: str, technology: str | None) -> bool:
    """Whether a part is of a technology's family, as far as its name tells."""
    known = technology in _FAMILIES and re.match(_KNOWN, part.lower())
    return not known or technology_of(part) == technology


def require_family(part: str, technology: str) -> None:
    """Raise ``ConfigError`` for a part that is recognisably not of a technology's family."""
    if fits(part, technology):
        return
    family, owner = _FAMILIES[technology], technology_of(part)
    other = f"its family is technology {owner!r}" if owner else "its family is no technology here"
    raise ConfigError(
        f"part {part!r} is not of technology {technology!r} ({family.words}): {other}; give --part "
        f"{family.part} or another of the family{f', or --technology {owner}' if owner else ''}"
    )
