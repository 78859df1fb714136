"""Yosys' ``stat -json``: cells of a Liberty library, of an FPGA family, or plain gates.

With ``-liberty``: ``area`` -> ``area_um2`` (Liberty states no unit of area; um2 is its custom),
``num_cells`` -> ``cells``, the area of each module with its parts -> ``by_layer``. A netlist with cells
that have no area (Yosys' own ``$...``) is refused. Without areas, the cells of Xilinx 7-series, UltraScale
and UltraScale+ or of Lattice ECP5 are counted into ``lut``, ``ff``, ``dsp``, ``bram_18k``, ``uram`` by the
tables below; a cell that no table knows is refused. Yosys counts each LUT6, LUT5, ... as one, where Vivado
puts pairs into one site. Yosys' own gates count as ``cells``. The file states no part, clock or library.

Sizes of memories built of LUTs: UG474 table 2-3 and UG574 table 2-3; ECP5: nextpnr's packer.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from codesign.hardware import Resources, SynthesisReport, Target
from codesign.synthesis.reports.reading import Text

__all__ = ["stat_json"]

_Weights = tuple[tuple[str, str, int], ...]
_XILINX: Final[_Weights] = (
    (r"LUT[1-6]|INV|SRL16E?|SRLC16E|SRLC32E|RAM(32|64)X1S", "lut", 1),
    (r"RAM(32|64)X1D|RAM128X1S", "lut", 2),
    (r"RAM(32|64)M|RAM128X1D|RAM256X1S", "lut", 4),
    (r"RAM32M16|RAM64M8|RAM256X1D|RAM512X1S", "lut", 8),
    (r"FD[RSCP]E(_1)?|LD[CP]E", "ff", 1),
    (r"DSP48E[12]", "dsp", 1),
    (r"RAMB18E[12]", "bram_18k", 1),
    (r"RAMB36E[12]", "bram_18k", 2),
    (r"URAM288(_BASE)?", "uram", 1),
    (r"CARRY[48]|MUXF[789]|[IO]BUF|IOBUF|OBUFT|BUFG(CE|_CE)?|BUFGCTRL|VCC|GND", "", 0),
)
_ECP5: Final[_Weights] = (
    (r"LUT4", "lut", 1),
    (r"CCU2C", "lut", 2),
    (r"TRELLIS_DPR16X4", "lut", 4),
    (r"TRELLIS_FF", "ff", 1),
    (r"MULT18X18D", "dsp", 1),
    (r"DP16KD|PDPW16KD", "bram_18k", 1),
    (r"PFUMX|L6MUX21|ALU54B|TRELLIS_IO|IB|OB|BB|OBZ|DCCA|GSR", "", 0),
)
_FAMILIES: Final = (
    (_XILINX, ("lut", "ff", "dsp", "bram_18k", "uram")),
    (_ECP5, ("lut", "ff", "dsp", "bram_18k")),
)


def stat_json(text: Text) -> SynthesisReport:
    """Read ``tee -o FILE stat -json [-liberty LIB]``, of one design with one top; not ``-hierarchy``."""
    root = text.json()
    version = re.match(r"Yosys (\S+)", text.field(root, "creator", str, "Yosys' stat"))
    if version is None:
        text.refuse(0, "creator 'Yosys' and a version")
    modules = text.field(root, "modules", dict, "Yosys' stat")
    design = text.field(root, "design", dict, "Yosys' stat")
    stated = text.field(design, "num_cells_by_type", dict, "the design")
    kinds = {
        kind: text.field(stated, kind, float, "cells of a type")
        for kind in stated
        if not {kind, f"\\{kind}"} & set(modules)
    }
    return SynthesisReport(
        design=_top(text, modules),
        target=Target(tool="Yosys", version=version[1]),
        stage="synthesis",
        resources=_resources(text, design, kinds),
        by_layer=_areas(text, modules) if "area" in design else {},
        source=text.source,
    )


def _top(text: Text, modules: Mapping[str, Any]) -> str:
    """The only module that no other one holds."""
    held = {
        kind
        for name in modules
        for kind in text.field(text.field(modules, name, dict, "a module"), "num_cells_by_type", dict, name)
    }
    tops = [name for name in modules if not {name, name.removeprefix("\\")} & held]
    if len(tops) != 1:
        text.refuse(0, f"one top module, got {', '.join(tops)[:80] or 'none'}")
    return tops[0].removeprefix("\\") or text.refuse(0, "a name of the top")


def _areas(text: Text, modules: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    if len(modules) == 1:
        return {}
    return {name.removeprefix("\\"): {"area_um2": _area(text, name, modules[name])} for name in modules}


def _area(text: Text, name: str, module: dict[str, Any]) -> float:
    """Area of a module; Yosys states none of one that holds nothing."""
    if "area" not in module and not text.field(module, "num_cells", float, name):
        return 0.0
    area: float = text.field(module, "area", float, f"module {name}")
    return area


def _resources(text: Text, design: Mapping[str, Any], kinds: Mapping[str, float]) -> Resources:
    own = sorted(kind for kind in kinds if kind.startswith("$"))
    if "area" in design:
        if own:
            text.refuse(0, f"cells that have an area, not {', '.join(own)[:80]}; map them first")
        area = text.field(design, "area", float, "the design")
        return Resources(area_um2=area, cells=text.field(design, "num_cells", float, "the design"))
    if own or not kinds:
        return Resources(cells=text.field(design, "num_cells", float, "the design"))
    for weights, fields in _FAMILIES:
        if all(_weight(kind, weights) for kind in kinds):
            return _counts(kinds, weights, fields)
    strange = [kind for kind in kinds if not any(_weight(kind, weights) for weights, _ in _FAMILIES)]
    said = ", ".join(strange or kinds)[:80]
    return text.refuse(0, f"cells of Xilinx or of ECP5, or areas (stat -liberty), not {said}")


def _weight(kind: str, weights: _Weights) -> tuple[str, int] | None:
    """Field that a cell counts in and how many times; None of a cell that is not known."""
    return next(((field, times) for pattern, field, times in weights if re.fullmatch(pattern, kind)), None)


def _counts(kinds: Mapping[str, float], weights: _Weights, fields: tuple[str, ...]) -> Resources:
    counts = dict.fromkeys(fields, 0.0)
    for kind, number in kinds.items():
        field, times = _weight(kind, weights) or ("", 0)
        if field:
            counts[field] += times * number
    return Resources(**counts)
