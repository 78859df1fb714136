"""The RTL of an export as a netlist of gates, by Yosys, and that netlist run in Verilator.

The gates are Yosys' own (AND, OR, XOR, NOT, MUX, D flip-flop): no library and no technology mapping, which
come with a Liberty file. What this hop shows is that synthesis understands the Verilog as simulation does,
and that triplicated registers survive it.
"""

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from codesign.errors import OutputError
from codesign.export import verilog
from codesign.export.bundle import fixed_edges, load_network
from codesign.export.simulation import BENCH, Seconds, loads_of, simulate_verilog
from codesign.export.tools import require_package, run
from codesign.fixedpoint import IntArray

__all__ = ["MAX_GATES", "Netlist", "netlist", "simulate_netlist"]

MAX_GATES: Final = 400_000
"""Largest netlist that is simulated here."""

_SCRIPT: Final = """\
import sys
from pyosys import libyosys

design = libyosys.Design()
for command in sys.stdin.read().splitlines():
    libyosys.run_pass(command, design)
"""


@dataclass(frozen=True, slots=True)
class Netlist:
    """Gates of a design.

    Parameters
    ----------
    path
        Verilog of the netlist, the same top module as the RTL.
    gates
        Combinational gates.
    flip_flops
        D flip-flops, every copy counted.
    seconds
        Time Yosys took.
    """

    path: Path
    gates: int
    flip_flops: int
    seconds: float


def netlist(folder: Path, work: Path, *, timeout: float = 1800.0) -> Netlist:
    """Synthesise the Verilog of an export into gates.

    Parameters
    ----------
    folder
        What ``rtl.export`` wrote.
    work
        Folder for ``netlist.v`` and logs; must exist.
    timeout
        Seconds after which Yosys is stopped.

    Raises
    ------
    MissingToolError
        Without pyosys.
    OutputError
        If Yosys fails or takes too long.
    """
    require_package("pyosys", "rtl")
    sources = sorted((folder / "rtl").glob("*.v"))
    for number, source in enumerate(sources):
        (work / f"source_{number}.v").write_bytes(source.read_bytes())
    script = [
        "read_verilog " + " ".join(f"source_{number}.v" for number in range(len(sources))),
        f"hierarchy -check -top {verilog.TOP}",
        "synth -flatten -noabc -run begin:check",
        "delete */t:$scopeinfo",
        "check -assert",
        "tee -q -o gates.json stat -json",
        "write_verilog -noattr netlist.v",
    ]
    (work / "synthesis.ys").write_text("\n".join(script) + "\n", encoding="ascii")
    program = work / "synthesise.py"
    program.write_text(_SCRIPT.replace("sys.stdin.read()", "open('synthesis.ys').read()"), encoding="ascii")
    started = perf_counter()
    run(
        [sys.executable, program],
        cwd=work,
        log=work / "yosys.log",
        what="synthesising the RTL",
        timeout=timeout,
    )
    seconds = perf_counter() - started
    cells: dict[str, int] = json.loads((work / "gates.json").read_text())["design"]["num_cells_by_type"]
    flip_flops = sum(count for kind, count in cells.items() if "DFF" in kind)
    gates = sum(count for kind, count in cells.items() if kind.startswith("$_")) - flip_flops
    return Netlist(work / "netlist.v", gates, flip_flops, seconds)


def simulate_netlist(
    folder: Path, inputs: NDArray[Any], *, max_gates: int = MAX_GATES, timeout: float = 1800.0
) -> tuple[IntArray, Netlist, Seconds]:
    """Output codes of the chip as the synthesised gates compute them.

    Parameters
    ----------
    folder
        What ``rtl.export`` wrote.
    inputs
        Real values ``(n, *input_shape)``.
    max_gates
        Netlists above are refused: building their simulation takes too long.
    timeout
        Seconds for Yosys.

    Returns
    -------
    codes
        ``(n, *output shape of the chip)``.
    netlist
        Gates and flip-flops; its file is gone.
    seconds
        Of the simulation.

    Raises
    ------
    OutputError
        If the netlist is too large, or a tool fails.
    """
    chip = load_network(folder)
    formats = fixed_edges(chip, "rtl")
    with tempfile.TemporaryDirectory(prefix="codesign-netlist-") as name:
        made = netlist(folder, Path(name), timeout=timeout)
        if made.gates > max_gates:
            raise OutputError(
                f"the netlist has {made.gates} gates, and up to {max_gates} are simulated here; "
                "check a smaller design, or the RTL"
            )
        codes, seconds = simulate_verilog(
            [made.path],
            folder / BENCH,
            formats[0].quantise(np.asarray(inputs)),
            loads=loads_of(folder),
            formats=formats,
            shape=chip.output_shape,
        )
    return codes, made, seconds
