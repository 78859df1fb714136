"""What the nodes of FINN's register-transfer library occupy, per amount of what they are made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from hardware_models.technology.fpga import numbers

__all__ = ["Library", "load"]

NAME: Final = "finn-plus-1.6"
PARTS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "lut": (
            "dsp",
            "tree_bits",
            "result_bits",
            "stream_bits",
            "replay_luts",
            "compared_bits",
            "threshold_luts",
            "padding_nodes",
            "window_nodes",
            "line_luts",
            "converter_bits",
            "fifo_luts",
            "fifos",
            "memory_fifos",
        ),
        "ff": (
            "dsp",
            "tree_bits",
            "result_bits",
            "stream_bits",
            "threshold_stage_bits",
            "padding_nodes",
            "window_nodes",
            "window_bits",
            "converter_bits",
            "fifo_bits",
            "fifos",
        ),
    }
)
"""Amounts that take LUTs, and those that take flip-flops."""


@dataclass(frozen=True, slots=True)
class Library:
    """LUTs and flip-flops of one unit of each amount, by the names of ``PARTS``; and where they are from."""

    lut: Mapping[str, float]
    ff: Mapping[str, float]
    sources: tuple[str, ...]


@cache
def load() -> Library:
    """The library that ``codesign export --to finn`` builds with."""
    text = files(__name__).joinpath(f"{NAME}.toml").read_text(encoding="utf-8")
    units = {f"{part}_{kind}": f"{kind.upper()}" for kind, parts in PARTS.items() for part in parts}
    values, _, sources = numbers(NAME, text, units)
    found = {
        kind: MappingProxyType({part: values[f"{part}_{kind}"] for part in parts})
        for kind, parts in PARTS.items()
    }
    return Library(lut=found["lut"], ff=found["ff"], sources=sources)
