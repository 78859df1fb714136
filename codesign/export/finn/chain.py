"""FINN's generated Verilog as one chain of streams: stitched, compiled with Verilator, fed and timed.

FINN leaves the stitching of its nodes to Vivado. Here a small top module does it: each node's ``out0_V`` is
the next one's ``in0_V``, a node with weights is fed by its memory, and control ports are tied to zero.
"""

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from codesign import tools
from codesign.errors import OutputError
from codesign.fixedpoint import IntArray

__all__ = ["CHAIN", "TOP", "Chain", "Node", "Run", "Stream", "compiled", "feed"]

CHAIN: Final = "chain.json"
TOP: Final = "codesign_top"
_STAND_INS: Final = Path(__file__).with_name("rtl")
_REPLACED: Final = ("fifo.sv", "add_multi.sv")
_UNUSED: Final = ("fifo_gauge.sv",)
_PACKAGES: Final = ("mvu_pkg.sv", "swg_pkg.sv")
_AXILITE: Final = ("AWVALID", "AWADDR", "WVALID", "WDATA", "WSTRB", "BREADY", "ARVALID", "ARADDR", "RREADY")
_OCCUPANCY: Final = re.compile(r"^occupancy (\S+) (\d+)$", re.MULTILINE)
_SECONDS: Final = 1500.0


@dataclass(frozen=True, slots=True)
class Stream:
    """How values lie in the words of a stream: ``lanes`` of them, ``bits`` wide, the first one lowest.

    ``words`` are those of one frame.
    """

    bits: int
    signed: bool
    lanes: int
    words: int

    @property
    def width(self) -> int:
        """Bits of a word, whole bytes."""
        return -(-self.bits * self.lanes // 8) * 8

    def pack(self, codes: NDArray[Any]) -> list[str]:
        """Hexadecimal words of frames, in order.

        Examples
        --------
        >>> Stream(bits=4, signed=False, lanes=2, words=1).pack(np.array([[1, 15]]))
        ['f1']
        """
        mask = (1 << self.bits) - 1
        rows = np.asarray(codes).reshape(-1, self.lanes).tolist()
        return [
            f"{sum((int(value) & mask) << (lane * self.bits) for lane, value in enumerate(row)):x}"
            for row in rows
        ]

    def unpack(self, words: Sequence[str]) -> IntArray:
        """Codes of words, ``(frames, lanes * words)``; inverse of ``pack``."""
        mask, sign = (1 << self.bits) - 1, 1 << (self.bits - 1)
        values = [
            (int(word, 16) >> (lane * self.bits)) & mask for word in words for lane in range(self.lanes)
        ]
        codes = np.array(values, np.int64).reshape(-1, self.lanes * self.words)
        return np.where(codes & sign, codes - 2 * sign, codes) if self.signed else codes


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the chain.

    ``module`` its Verilog module, ``memory`` the one that streams its weights or None, widths in bits,
    ``files`` its sources, ``depth`` words that a FIFO holds.
    """

    name: str
    op: str
    module: str
    memory: str | None
    in_width: int
    out_width: int
    weight_width: int
    files: tuple[str, ...]
    depth: int | None


@dataclass(frozen=True, slots=True)
class Chain:
    """Nodes in the order of the data, and the two ends.

    ``image_in`` says that the input stream is an image, channels last; otherwise it is a vector, in which an
    image lies channels first.
    """

    nodes: tuple[Node, ...]
    source: Stream
    sink: Stream
    image_in: bool

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """From plain data."""
        nodes = tuple(Node(**{**node, "files": tuple(node["files"])}) for node in data["nodes"])
        return cls(nodes, Stream(**data["source"]), Stream(**data["sink"]), data["image_in"])

    def save(self, rtl: Path) -> None:
        """Write the chain, its top module, and the stand-ins beside the sources in ``rtl``."""
        (rtl / CHAIN).write_text(json.dumps(asdict(self), indent=1) + "\n")
        (rtl / f"{TOP}.sv").write_text(self.top())
        for name in (*_REPLACED, "testbench.sv"):
            shutil.copyfile(_STAND_INS / name, rtl / name)
        for name in _UNUSED:
            (rtl / name).unlink(missing_ok=True)
        (rtl / "files.f").write_text("\n".join(self.sources()) + "\n")

    @classmethod
    def load(cls, rtl: Path) -> Self:
        """Inverse of ``save``."""
        return cls.from_dict(json.loads((rtl / CHAIN).read_text()))

    def ordered(self, codes: NDArray[Any]) -> NDArray[Any]:
        """Codes, ``(frames, *input shape)`` channels last, in the order of the input stream."""
        return codes if self.image_in or codes.ndim != 4 else codes.transpose(0, 3, 1, 2)

    def sources(self) -> list[str]:
        """Sources in the order of compilation: packages first, each once."""
        names = dict.fromkeys(name for node in self.nodes for name in node.files if name not in _UNUSED)
        first = [name for name in _PACKAGES if name in names]
        return [*first, *(name for name in names if name not in first), f"{TOP}.sv"]

    def top(self) -> str:
        """The top module: clock, active-low reset, one stream in, one out."""
        parts = [self._instance(index, node) for index, node in enumerate(self.nodes)]
        edges = [self.source.width, *(node.out_width for node in self.nodes)]
        wires = "".join(
            f"    wire [{width - 1}:0] d{index}; wire v{index}, r{index};\n"
            for index, width in enumerate(edges)
        )
        last = len(self.nodes)
        return (
            "// Written by codesign: the nodes of FINN's graph as one chain of AXI streams. For simulation;\n"
            "// Vivado stitches its own in step_create_stitched_ip.\n\n"
            f"module {TOP} (\n    input clk, input rst_n,\n"
            f"    input [{edges[0] - 1}:0] in_data, input in_valid, output in_ready,\n"
            f"    output [{edges[-1] - 1}:0] out_data, output out_valid, input out_ready\n);\n"
            f"{wires}\n    assign d0 = in_data, v0 = in_valid, in_ready = r0;\n"
            f"    assign out_data = d{last}, out_valid = v{last}, r{last} = out_ready;\n\n"
            f"{''.join(parts)}\n{self._occupancies()}endmodule\n"
        )

    def _instance(self, index: int, node: Node) -> str:
        after = index + 1
        ports = [
            ".ap_clk(clk), .ap_rst_n(rst_n)",
            f".in0_V_TDATA(d{index}), .in0_V_TVALID(v{index}), .in0_V_TREADY(r{index})",
            f".out0_V_TDATA(d{after}), .out0_V_TVALID(v{after}), .out0_V_TREADY(r{after})",
        ]
        before = ""
        if node.memory is not None:
            before = (
                f"    wire [{node.weight_width - 1}:0] wd{index}; wire wv{index}, wr{index};\n"
                f"    {node.memory} memory_{index} (\n"
                "        .ap_clk(clk), .ap_clk2x(clk), .ap_rst_n(rst_n),\n"
                f"        {_tied('s_axilite', (*_AXILITE, 'AWPROT', 'ARPROT'))},\n"
                "        .s_axis_0_tvalid('0), .s_axis_0_tdata('0), .s_axis_0_tready(),\n"
                f"        .m_axis_0_tdata(wd{index}), .m_axis_0_tvalid(wv{index}), "
                f".m_axis_0_tready(wr{index})\n    );\n"
            )
            ports += [
                ".ap_clk2x(clk)",
                f".in1_V_TDATA(wd{index}), .in1_V_TVALID(wv{index}), .in1_V_TREADY(wr{index})",
            ]
        elif node.op.startswith("Thresholding"):
            ports += [_tied("s_axilite", _AXILITE), ".in1_V_TVALID('0), .in1_V_TDATA('0)"]
        elif node.op.startswith("FMPadding"):
            ports.append(_tied("s_axilite", _AXILITE))
        elif node.depth is not None:
            before = f"    wire [31:0] most{index};\n"
            ports.append(f".maxcount(most{index})")
        joined = ",\n        ".join(ports)
        return f"{before}    {node.module} node_{index} (\n        {joined}\n    );\n"

    def _occupancies(self) -> str:
        lines = [
            f'        $display("occupancy {node.name} %0d", most{index});\n'
            for index, node in enumerate(self.nodes)
            if node.depth is not None
        ]
        return f"`ifndef SYNTHESIS\n    final begin\n{''.join(lines)}    end\n`endif\n" if lines else ""


def _tied(bus: str, names: Sequence[str]) -> str:
    return ", ".join(f".{bus}_{name}('0)" for name in names)


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Codes of a simulation, and its clock cycles.

    Parameters
    ----------
    codes
        Shape ``(frames, values of a frame)``.
    latency_cycles
        From the first word taken to the last one given, of the first frame.
    initiation_interval
        Cycles between frames, mean over the second half of them; None of a single frame.
    occupancy
        Most words that each FIFO held.
    """

    codes: IntArray
    latency_cycles: int
    initiation_interval: float | None
    occupancy: Mapping[str, int]


def compiled(rtl: Path, into: Path) -> Path:
    """Compile the chain in ``rtl`` with its testbench; return the program.

    Raises
    ------
    MissingToolError
        Without Verilator or what it needs.
    OutputError
        If it does not compile.
    """
    verilator, chain = tools.verilator(), Chain.load(rtl)
    sources = [*chain.sources(), "testbench.sv"]
    tools.run(
        [
            verilator.program,
            *("--binary", "--timing", "-Wno-fatal", "-Wno-lint", "-Wno-style", "--build-jobs", "2"),
            *("--top-module", "testbench", "--Mdir", into, "-o", "simulation"),
            *(f"-GIN_WIDTH={chain.source.width}", f"-GOUT_WIDTH={chain.sink.width}"),
            *verilator.flags,
            *sources,
        ],
        cwd=rtl,
        log=into.parent / "verilator.log",
        what="compiling FINN's Verilog",
        env=verilator.env,
        timeout=_SECONDS,
    )
    return into / "simulation"


def feed(rtl: Path, program: Path, codes: NDArray[Any], scratch: Path, *, stall: int = 0) -> Run:
    """Run the compiled chain on codes, ``(frames, *input shape)``, channels last.

    With ``stall``, both ends halt at random, the output now and then for that many cycles: what comes out
    must not depend on it.
    """
    chain = Chain.load(rtl)
    source, sink = scratch / "in.txt", scratch / "out.txt"
    source.write_text("\n".join(chain.source.pack(chain.ordered(codes))) + "\n")
    words = len(codes) * chain.sink.words
    printed = tools.run(
        [
            program,
            *(f"+in={source}", f"+out={sink}", f"+words={words}", f"+frame={chain.source.words}"),
            *(f"+stall={stall}", "+verilator+seed+1"),
        ],
        cwd=rtl,
        log=scratch / "simulation.log",
        what="simulating FINN's Verilog",
        timeout=_SECONDS,
    )
    return _read(sink.read_text(), printed, chain.sink, len(codes))


def _read(written: str, printed: str, sink: Stream, frames: int) -> Run:
    taken: list[int] = []
    given: list[tuple[int, str]] = []
    for line in written.splitlines():
        kind, cycle, *word = line.split()
        if kind == "i":
            taken.append(int(cycle))
        else:
            given.append((int(cycle), word[0]))
    if len(given) != frames * sink.words:
        raise OutputError(
            f"FINN's Verilog gave {len(given)} words for {frames} frames, expected {frames * sink.words}"
        )
    ends = np.array([cycle for cycle, _ in given[sink.words - 1 :: sink.words]])
    later = np.diff(ends)[(frames - 1) // 2 :]
    return Run(
        sink.unpack([word for _, word in given]),
        int(ends[0] - taken[0] + 1),
        float(later.mean()) if later.size else None,
        {name: int(most) for name, most in _OCCUPANCY.findall(printed)},
    )
