"""Verilog to standard cells, by one fixed script: it is part of what is measured.

Adders are ripple chains of the library's full adder (of gates, where it has none), kept whole through
optimisation, as a data-path compiler does; a sum of products is one compressor tree of the rows of all its
products, with a ripple adder behind it. Everything else is mapped by ABC for area. Where ABC finds that an
operand of a full adder is constant, gates take its place. Sums of products with reloadable weights stay
modules: each distinct one is mapped once, those at the border of an image, whose zeros are constants, apart.
All else is flat, so that what nothing reads goes. Copies of triplicated registers are never merged.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from codesign.synthesis import driver
from codesign.synthesis.library import FullAdder, Library
from codesign.synthesis.yosys import run_yosys, techmap

__all__ = ["SCRIPT", "Mapped", "digest", "elaborate", "map_cells"]

SCRIPT: Final = "asic-ripple-1"
"""Name and version of the script; change the number with what it does."""

FRONT: Final = "front"
CELLS: Final = "cells"
NETLIST: Final = "netlist.blif"
TECHMAPS: Final = ("products.v", "adders.v", "full_adders.v")

_AVOIDED: Final = (
    *("*lpflow*", "*probe*", "*dlygate*", "*dlymetal*", "*clkdly*", "*clkbuf*", "*clkinv*"),  # sky130
    *("*_dlygate*", "*_sighold*", "*_slgcp*", "*_lgcp*"),  # sg13g2
    *("*x1p*_ASAP7*", "*xp*_ASAP7*", "SDF*", "ICG*", "HB*_ASAP7*"),  # asap7
)
"""Cells that no logic is made of: isolation, delays, clock gates, probes, drives below the smallest that can
be routed. After the lists of OpenROAD-flow-scripts (``DONT_USE_CELLS`` of the platforms)."""

_ELABORATE: Final = """\
read_verilog -defer {sources}
hierarchy -check -top codesign_chip
proc
opt_expr
opt_clean
select -set sums t:$mul %m
setattr -mod -set keep_hierarchy 1 @sums
setattr -mod -set codesign_sum 1 @sums
select -set copies *codesign_copy
"""
_REDUCE: Final = """\
flatten
opt_clean
specialise
hierarchy -top codesign_chip
opt_hier * @copies %d
opt_expr
opt_clean
opt -nodffe -nosdff
hierarchy -top codesign_chip
select -set sums t:$mul %m
techmap -map products.v @sums
alumacc @sums
opt_expr
opt_clean
opt -fast -nodffe -nosdff
wreduce
peepopt
opt_clean
alumacc
opt -fast -nodffe -nosdff
maccmap
opt_expr
opt_clean
techmap -map adders.v
opt_expr
opt_clean
techmap -map full_adders.v
opt_expr
opt_clean
select -set others t:$fa %n
techmap @others
opt -fast -nodffe -nosdff
techmap -map full_adders.v
opt -fast -nodffe -nosdff
abc -g AND,XOR,MUX -script +strash;map
opt -fast -nodffe -nosdff
techmap -map full_adders.v
opt -fast -nodffe -nosdff
abc -g AND,XOR,MUX -script +strash;ifraig;map
opt -fast -nodffe -nosdff
techmap -map full_adders.v
opt -fast -nodffe -nosdff
write_rtlil front.il
"""
_MAP: Final = """\
read_rtlil {front}
read_verilog -lib cells.v
{full_adders}
techmap
opt -fast -nodffe -nosdff
dfflegalize -cell $_DFF_P_ x
dfflibmap {liberty} {avoided}
opt_clean
abc {liberty} {avoided} -script +{abc}
setundef -zero
opt_clean -purge
hierarchy -top codesign_chip
check -mapped -assert
tee -q -o area.json stat -json {liberty}
instances
"""
_FLATTEN: Final = """\
setattr -mod -unset keep_hierarchy *
flatten
splitnets
opt_clean -purge
write_blif -gates netlist.blif
"""
_ABC: Final = """\
strash
dc2
&get -n
&nf
&put
buffer -N 16 -S 1000
topo
upsize -D {period_ps}
dnsize -D {period_ps}
"""


@dataclass(frozen=True, slots=True)
class Mapped:
    """A design in standard cells.

    Parameters
    ----------
    area
        File of Yosys' ``stat -json``.
    netlist
        Flat netlist of cells, BLIF.
    seconds
        CPU time of the mapping.
    version
        Of Yosys.
    """

    area: Path
    netlist: Path
    seconds: float
    version: str


def digest() -> str:
    """Twelve digits of SHA-256 over everything that the script does."""
    texts = [_ELABORATE, _REDUCE, _MAP, _FLATTEN, _ABC, *_AVOIDED, _adder_map(_EXAMPLE)]
    texts += [techmap(name) for name in TECHMAPS]
    texts.append(Path(driver.__file__).read_text(encoding="utf-8"))
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]


def elaborate(sources: Sequence[Path], work: Path, *, timeout: float) -> float:
    """Read Verilog into adders, full adders and gates: ``front.il`` in ``work``, the same for all libraries.

    Returns
    -------
    seconds
        CPU time.

    Raises
    ------
    MissingToolError
        Without pyosys.
    OutputError
        If Yosys fails or takes too long.
    """
    copies = {f"source_{number}.v": path.read_text(encoding="utf-8") for number, path in enumerate(sources)}
    script = _ELABORATE.format(sources=" ".join(copies)) + _REDUCE
    texts = copies | {name: techmap(name) for name in TECHMAPS}
    return run_yosys(work, FRONT, script.splitlines(), texts, timeout=timeout).seconds


def map_cells(front: Path, work: Path, library: Library, clock_mhz: float, *, timeout: float) -> Mapped:
    """Map ``front.il`` to a library; ``area.json`` and ``netlist.blif`` in ``work``.

    Parameters
    ----------
    front
        What ``elaborate`` wrote.
    work
        Folder for scripts, logs and results; must exist.
    library
        Standard cells.
    clock_mhz
        Clock in MHz; what lies between two adders is sized for its period.
    timeout
        Seconds after which Yosys is stopped.

    Raises
    ------
    MissingToolError, OutputError
        As ``elaborate``.
    """
    links = [_linked(work, number, path) for number, path in enumerate(library.unpacked())]
    liberty = " ".join(f"-liberty {name}" for name in links)
    avoided = " ".join(f"-dont_use {pattern}" for pattern in _AVOIDED)
    adder = library.full_adder
    texts = {"cells.v": _black_boxes(library)}
    steps = _ABC.format(period_ps=f"{1e6 / clock_mhz:.0f}").splitlines()
    if adder is not None:
        texts["adder.v"] = _adder_map(adder)
    script = _MAP.format(
        front=os.path.relpath(front.resolve(), work.resolve()),
        full_adders="techmap -map adder.v" if adder else "# this library has no full adder",
        liberty=liberty,
        avoided=avoided,
        abc=";".join(steps).replace(" ", ","),  # as Yosys spells a script in one word
    )
    took = run_yosys(work, CELLS, (script + _FLATTEN).splitlines(), texts, timeout=timeout)
    return Mapped(work / "area.json", work / NETLIST, took.seconds, took.version)


def _linked(work: Path, number: int, path: Path) -> str:
    """Name of a link to a file, for scripts: a path may have spaces."""
    link = work / f"library_{number}.lib"
    link.unlink(missing_ok=True)
    link.symlink_to(path)
    return link.name


def _black_boxes(library: Library) -> str:
    """Ports of all cells: Yosys must know what drives what to check a netlist."""
    lines = []
    for cell in library.cells.values():
        ports = [f"input \\{pin} " for pin in cell.inputs] + [f"output \\{pin} " for pin in cell.functions]
        lines.append(f"module \\{cell.name} ({', '.join(ports)}); endmodule\n")
    return "".join(lines)


_EXAMPLE: Final = FullAdder("cell", ("A", "B", "C"), "X", "Y", carry_inverted=False, total_inverted=True)
_ADDER: Final = """\
(* techmap_celltype = "$fa" *)
module codesign_adder #(parameter WIDTH = 1) (
    input [WIDTH-1:0] A, B, C, output [WIDTH-1:0] X, Y
);
  wire carry, total;
  {cell} cell_of_library (.{a}(A), .{b}(B), .{c}(C), .{carry}(carry), .{total}(total));
  assign X = {not_carry}carry;
  assign Y = {not_total}total;
endmodule
"""


def _adder_map(adder: FullAdder) -> str:
    a, b, c = adder.inputs
    return _ADDER.format(
        cell=adder.cell,
        a=a,
        b=b,
        c=c,
        carry=adder.carry,
        total=adder.total,
        not_carry="~" if adder.carry_inverted else "",
        not_total="~" if adder.total_inverted else "",
    )
