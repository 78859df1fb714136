"""Synthesise the nodes of an export to FINN: ``python -m hardware_models.characterise_finn BUNDLE``.

Prints the LUTs and flip-flops of each node, by Yosys for UltraScale+; ``technology/finn`` has what was read
off them. Thresholds are left out (Yosys takes hours for their memories), FIFOs are FINN's own, and what Yosys
cannot read of the other sources is mended in copies: a start-up check, a format string, ``default_nettype``.
Shift registers that are read at a changing place become registers here, where Vivado makes LUTs of them.
"""

import importlib.util
import json
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from codesign.errors import CodesignError, ConfigError, MissingToolError
from codesign.synthesis.yosys import run_yosys

__all__ = ["main"]

READ: Final = (
    "read_slang --threads 1 --allow-use-before-declare --ignore-assertions --keep-hierarchy -v {cells} "
    "--blackboxed-module DSP48E2 --blackboxed-module thresholding --top codesign_top {sources} lut6_2.sv"
)
SYNTHESISE: Final = (
    "delete */t:thresholding",
    "{kept}",
    "synth_xilinx -family xcup -flatten -noiopad -noclkbuf -top codesign_top",
    "tee -q -o stat.json stat -json -tech xilinx",
)
LUT6_2: Final = (
    "(* blackbox *) module LUT6_2 #(parameter [63:0] INIT = 0) "
    "(output O6, O5, input I0, I1, I2, I3, I4, I5); endmodule\n"
)
CELLS: Final = (
    (r"LUT\d|LUT6_2|INV|SRL16E|SRLC32E|RAM(32|64)X1S", "LUT", 1),
    (r"RAM(32|64)X1D", "LUT", 2),
    (r"RAM(32|64)M", "LUT", 4),
    (r"RAM32M16|RAM64M8", "LUT", 8),
    (r"FD[RSCP]E", "FF", 1),
    (r"DSP48E2", "DSP", 1),
)
SECONDS: Final = 3600.0


def sources(rtl: Path) -> dict[str, str]:
    """Sources of the bundle as Yosys reads them, in the order of compilation."""
    spec = importlib.util.find_spec("finn")
    if spec is None or spec.origin is None:
        raise MissingToolError("finn-plus is not installed; its own FIFO is needed: codesign doctor says how")
    texts = {name: (rtl / name).read_text(encoding="utf-8") for name in (rtl / "files.f").read_text().split()}
    fifo = Path(spec.origin).parent / "finn-rtllib" / "fifo" / "hdl" / "fifo.sv"
    texts["fifo.sv"] = fifo.read_text(encoding="utf-8")
    for name, text in texts.items():
        mended = re.sub(r"^\s*`default_nettype.*$", "", text, flags=re.MULTILINE)
        if name == "mvu.sv":
            mended = re.sub(
                r"if\(1\) begin : blkRecoveryWatch.*?end : blkRecoveryWatch", "", mended, flags=re.S
            )
        if name == "skid.sv":
            mended = mended.replace("%0d", "")
        texts[name] = mended
    return texts


def counted(cells: Mapping[str, int]) -> dict[str, int]:
    """LUTs, flip-flops and DSP blocks of a module."""
    found: dict[str, int] = {}
    for kind, number in cells.items():
        for pattern, name, times in CELLS:
            if re.fullmatch(pattern, kind):
                found[name] = found.get(name, 0) + times * number
    return found


def synthesised(rtl: Path, work: Path) -> dict[str, Any]:
    """Modules of the chain to their cells."""
    chain = json.loads((rtl / "chain.json").read_text(encoding="utf-8"))
    modules = [node[kind] for node in chain["nodes"] for kind in ("module", "memory") if node[kind]]
    texts = sources(rtl)
    given = {
        "cells": files("pyosys").joinpath("share", "xilinx", "cells_xtra.v"),
        "sources": " ".join(texts),
        "kept": "\n".join(f"setattr -mod -set keep_hierarchy 1 {name} {name}$*" for name in modules),
    }
    data = {path.name: path.read_text(encoding="utf-8") for path in rtl.glob("*.dat")}
    commands = [line.format(**given) for line in (READ, *SYNTHESISE)]
    run_yosys(work, "nodes", commands, {**texts, **data, "lut6_2.sv": LUT6_2}, timeout=SECONDS)
    found: dict[str, Any] = json.loads((work / "stat.json").read_text(encoding="utf-8"))["modules"]
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Synthesise the bundle that is named; print its nodes."""
    (bundle,) = sys.argv[1:] if arguments is None else arguments
    rtl = Path(bundle).resolve() / "rtl"
    if not (rtl / "chain.json").is_file():
        raise ConfigError(
            f"{bundle} is no export to FINN: it has no rtl/chain.json; make one by codesign export"
        )
    with tempfile.TemporaryDirectory(prefix="codesign-finn-nodes-") as work:
        for module, stated in synthesised(rtl, Path(work)).items():
            if counts := counted(stated["num_cells_by_type"]):
                said = ", ".join(f"{number} {name}" for name, number in counts.items())
                print(f"{module.strip(chr(92)).split('$')[0]}: {said}", flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CodesignError as error:
        sys.exit(f"error: {error}")
