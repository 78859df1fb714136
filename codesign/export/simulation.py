"""Verilog run against vectors: a test bench for any simulator, run here in Verilator.

The test bench that a bundle ships is the one that is run. It reads ``vectors/inputs.hex`` a frame a line,
writes ``outputs.hex``, and counts differences from ``vectors/expected.hex`` where that is there. A frame is
one hexadecimal number: value 0 in its low bits, channels last, two's complement.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from codesign.errors import OutputError
from codesign.fixedpoint import FixedPoint, IntArray
from codesign.tools import run, verilator

__all__ = [
    "BENCH",
    "COPIES_VISIBLE",
    "EXPECTED",
    "INPUTS",
    "LOADS",
    "OUTPUTS",
    "Interface",
    "Seconds",
    "Upsets",
    "from_hex",
    "inject",
    "loads_of",
    "simulate_verilog",
    "testbench",
    "to_hex",
]

INPUTS: Final = "vectors/inputs.hex"
EXPECTED: Final = "vectors/expected.hex"
OUTPUTS: Final = "outputs.hex"
LOADS: Final = "weights.hex"
BENCH: Final = "tb/codesign_tb.v"
_BUILD_SECONDS: Final = 3600.0
_LOOPS_STAY_LOOPS: Final = ("--unroll-count", "1", "--unroll-stmts", "1", "--expand-limit", "2")
"""The compiler takes most of the time: ten times the C++ comes of loops that are written out."""


@dataclass(frozen=True, slots=True)
class Interface:
    """Ports of the top module, and when its outputs are there.

    Parameters
    ----------
    input_bits, output_bits
        Widths of the buses ``inputs`` and ``outputs``.
    latency
        Clock edges from a frame to its outputs; 0 is combinational.
    words, address_width, data_width
        The port that weights are loaded through; all 0 where there is none.
    """

    input_bits: int
    output_bits: int
    latency: int
    words: int = 0
    address_width: int = 0
    data_width: int = 0

    @property
    def clocked(self) -> bool:
        """Whether the top has a clock."""
        return self.latency > 0 or self.words > 0


@dataclass(frozen=True, slots=True)
class Seconds:
    """How long Verilator and the compiler took, and the simulation itself."""

    build: float
    run: float


def to_hex(codes: NDArray[Any], fixed: FixedPoint) -> str:
    """Frames as text, ``(n, ...)`` codes to ``n`` lines."""
    flat = np.asarray(codes, np.int64).reshape(len(codes), -1)
    bits = (flat[:, :, None] >> np.arange(fixed.width)) & 1
    packed = np.packbits(bits.reshape(len(flat), -1).astype(np.uint8), axis=1, bitorder="little")
    return "".join(f"{row[::-1].tobytes().hex()}\n" for row in packed)


def from_hex(text: str, fixed: FixedPoint, shape: Sequence[int]) -> IntArray:
    """Inverse of ``to_hex``: codes ``(n, *shape)``.

    Raises
    ------
    OutputError
        For a line that is no number, as simulators write unknown bits.
    """
    size = int(np.prod(shape)) * fixed.width
    width = -(-size // 8)
    try:
        rows = [bytes.fromhex(line.zfill(2 * width)[-2 * width :])[::-1] for line in text.split()]
    except ValueError as error:
        raise OutputError(f"the simulation has unknown bits in its outputs ({error})") from error
    packed = np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), width)
    bits = np.unpackbits(packed, axis=1, bitorder="little")[:, :size].reshape(len(rows), -1, fixed.width)
    codes = bits.astype(np.int64) @ (1 << np.arange(fixed.width, dtype=np.int64))
    if fixed.signed:
        codes = np.where(codes > fixed.maximum, codes - (1 << fixed.width), codes)
    return codes.reshape(len(rows), *shape)


def testbench(interface: Interface, top: str, period_ns: float) -> str:
    """Test bench in Verilog-2001 for a top module with these ports."""
    ports = ["        .inputs(inputs),", "        .outputs(outputs)"]
    declarations, load = "", ""
    if interface.clocked:
        ports.insert(0, "        .clock(clock),")
    if interface.words:
        declarations = _LOAD_DECLARATIONS.format(
            words=interface.words, address=interface.address_width - 1, data=interface.data_width - 1
        )
        load = _LOAD
        ports[1:1] = [f"        .load_{name}(load_{name})," for name in ("enable", "address", "data")]
    return _TESTBENCH.format(
        top=top,
        input_bits=interface.input_bits,
        output_bits=interface.output_bits,
        lag=max(interface.latency, 1),
        half=f"{period_ns / 2:.3f}",
        declarations=declarations,
        ports="\n".join(ports),
        load=load,
    )


def loads_of(folder: Path) -> Path | None:
    """The words that an export's chip is loaded with; None where it has none."""
    return folder / LOADS if (folder / LOADS).is_file() else None


def simulate_verilog(
    sources: Sequence[Path],
    bench: Path,
    codes: IntArray,
    *,
    loads: Path | None,
    formats: tuple[FixedPoint, FixedPoint],
    shape: Sequence[int],
    kept: Path | None = None,
) -> tuple[IntArray, Seconds]:
    """Outputs of Verilog for input codes, by Verilator.

    Parameters
    ----------
    sources
        Files of the design.
    bench
        Test bench, module ``codesign_tb``.
    codes
        Input codes ``(n, ...)``.
    loads
        File of the words that are loaded first; None where there are none.
    formats
        Of the inputs and of the outputs.
    shape
        Of one output.
    kept
        Folder for the compiled simulation, which is used again for the same sources; None keeps it nowhere.

    Returns
    -------
    outputs
        Codes ``(n, *shape)``.
    seconds
        What it took.
    """
    if not len(codes):
        return np.zeros((0, *shape), np.int64), Seconds(0.0, 0.0)
    with tempfile.TemporaryDirectory(prefix="codesign-rtl-") as name:
        work = Path(name)
        (work / "vectors").mkdir()
        (work / INPUTS).write_text(to_hex(codes, formats[0]), encoding="ascii")
        if loads is not None:
            shutil.copyfile(loads, work / LOADS)
        started = perf_counter()
        program = _compiled([*sources, bench], work, kept)
        built = perf_counter()
        run([program], cwd=work, log=work / "run.log", what="simulating the Verilog", timeout=_BUILD_SECONDS)
        ended = perf_counter()
        outputs = from_hex((work / OUTPUTS).read_text(encoding="ascii"), formats[1], shape)
    if len(outputs) != len(codes):
        raise OutputError(f"the simulation gave {len(outputs)} outputs for {len(codes)} frames")
    return outputs, Seconds(built - started, ended - built)


def _compiled(sources: Sequence[Path], work: Path, kept: Path | None) -> Path:
    """The simulation of some sources: as an earlier call kept it, or built in ``work`` and then kept."""
    options = ["--binary", "--timing", "--top-module", "codesign_tb"]
    if kept is None:
        return _build(options, sources, work)
    said = [verilator().program, *(hashlib.sha256(source.read_bytes()).hexdigest() for source in sources)]
    place = kept.resolve() / f"simulation-{hashlib.sha256(repr(said).encode()).hexdigest()[:16]}"
    if place.is_file():
        return place
    program = _build(options, sources, work)
    with suppress(OSError):
        place.parent.mkdir(exist_ok=True)
        beside = place.with_name(f".{place.name}-{os.getpid()}")
        shutil.copy2(program, beside)
        beside.replace(place)
    return program


def _build(options: Sequence[str], sources: Sequence[Path], work: Path) -> Path:
    """Compile copies of the sources: the user's paths, which may hold anything, stay out of makefiles."""
    tool = verilator()
    copies = [work / f"source_{number}{source.suffix}" for number, source in enumerate(sources)]
    for source, copy in zip(sources, copies, strict=True):
        shutil.copyfile(source, copy)
    run(
        [
            tool.program,
            *options,
            "--Mdir",
            work / "build",
            "-o",
            "simulation",
            *_LOOPS_STAY_LOOPS,
            *("-Wno-fatal", "--output-split", "20000", "--output-split-cfuncs", "500", "--build-jobs", "2"),
            *("--x-initial", "fast", "--x-assign", "fast", "-MAKEFLAGS", "OPT_FAST=-O1"),
            *("-MAKEFLAGS", "OPT_SLOW=-O0", "-MAKEFLAGS", "OPT_GLOBAL=-O0"),
            *tool.flags,
            *copies,
        ],
        cwd=work,
        log=work / "build.log",
        what="building the simulation",
        env=tool.env,
        timeout=_BUILD_SECONDS,
    )
    return work / "build" / "simulation"


@dataclass(frozen=True, slots=True)
class Upsets:
    """What single flipped register bits did, each on every frame.

    Parameters
    ----------
    registers
        Register bits that were flipped, one at a time.
    flips
        Flips in all.
    changed
        Flips after which an output differed.
    kept
        Flips that were still there after the next clock edge.
    """

    registers: int
    flips: int
    changed: int
    kept: int


def inject(
    sources: Sequence[Path],
    injector: Path,
    codes: IntArray,
    *,
    loads: Path | None,
    fixed: FixedPoint,
    interface: Interface,
    top: str,
    protected: bool = False,
    stride: int = 1,
) -> Upsets:
    """Flip register bits of a design, one at a time, on each frame, in Verilator.

    Parameters
    ----------
    sources
        Files of the design. Registers are found by the simulator: every signal ``state`` of the modules
        ``codesign_register`` and ``codesign_copy``, where all registers of the generated Verilog are.
    injector
        C++ of the bench, ``upsets.cpp``.
    codes
        Input codes ``(n, ...)``.
    loads
        File of the words that are loaded first; None where there are none.
    fixed
        Format of the inputs.
    interface
        Ports of the top.
    top
        Name of the top module.
    protected
        Whether only the copies of triplicated registers are flipped.
    stride
        Every how many-th bit is flipped; 1 flips them all.
    """
    with tempfile.TemporaryDirectory(prefix="codesign-upsets-") as name:
        work = Path(name)
        (work / "vectors").mkdir()
        (work / INPUTS).write_text(to_hex(codes, fixed), encoding="ascii")
        if loads is not None:
            shutil.copyfile(loads, work / LOADS)
        visible = work / "registers.vlt"
        visible.write_text(COPIES_VISIBLE + ("" if protected else _SINGLE_VISIBLE), encoding="ascii")
        defines = [
            f"-DLATENCY={interface.latency}",
            f"-DWORDS={interface.words}",
            f"-DCLOCKED={int(interface.clocked)}",
        ]
        flags = [word for define in defines for word in ("-CFLAGS", define)]
        program = _build(
            ["--cc", "--exe", "--build", "--top-module", top, "--prefix", "Vchip", *flags],
            [visible, *sources, injector],
            work,
        )
        printed = run(
            [program, str(stride)],
            cwd=work,
            log=work / "run.log",
            what="flipping registers",
            timeout=_BUILD_SECONDS,
        )
    return Upsets(*(int(word) for word in printed.split()[:4]))


COPIES_VISIBLE: Final = """\
`verilator_config
public_flat_rw -module "codesign_copy" -var "state"
"""
"""Tells Verilator that the copies of triplicated registers may be written from outside."""

_SINGLE_VISIBLE: Final = """\
public_flat_rw -module "codesign_register*" -var "*state"
"""

_TESTBENCH: Final = """\
// Test bench for any Verilog simulator; run it in the folder of the bundle.
// Reads vectors/inputs.hex, a frame a line, and writes outputs.hex; compares with vectors/expected.hex where
// that file is there. Frames change at falling edges; the design's registers work at rising ones.
`timescale 1ns / 1ps
module codesign_tb;
  localparam INPUT_BITS = {input_bits};
  localparam OUTPUT_BITS = {output_bits};
  localparam LAG = {lag};    // clock periods from driving a frame to reading its outputs

  reg clock;
  reg [INPUT_BITS-1:0] inputs;
  reg [INPUT_BITS-1:0] frame;
  reg [OUTPUT_BITS-1:0] expected;
  wire [OUTPUT_BITS-1:0] outputs;
  integer given, wanted, written, status, more, period, driven, read, differing;
{declarations}
  {top} dut (
{ports}
  );

  initial clock = 0;
  always #{half} clock = ~clock;

  initial begin
    given = $fopen("vectors/inputs.hex", "r");
    wanted = $fopen("vectors/expected.hex", "r");
    written = $fopen("outputs.hex", "w");
    if (given == 0 || written == 0) begin
      $display("cannot read vectors/inputs.hex or write outputs.hex; run this in the folder of the bundle");
      $finish;
    end
    inputs = 0;
{load}    period = 0;
    driven = 0;
    read = 0;
    differing = 0;
    more = 1;
    while (more != 0 || read < driven) begin
      if (period >= LAG && read < driven) begin
        $fdisplay(written, "%h", outputs);
        if (wanted != 0) begin
          status = $fscanf(wanted, "%h", expected);
          if (status != 1 || outputs !== expected) differing = differing + 1;
        end
        read = read + 1;
      end
      if (more != 0) begin
        more = ($fscanf(given, "%h", frame) == 1) ? 1 : 0;
        if (more != 0) begin
          inputs = frame;
          driven = driven + 1;
        end
      end
      period = period + 1;
      @(negedge clock);
    end
    $fclose(written);
    if (wanted == 0) $display("%0d frames", read);
    else $display("%0d frames, %0d differ", read, differing);
    $finish;
  end
endmodule
"""

_LOAD_DECLARATIONS: Final = """
  localparam WORDS = {words};
  reg load_enable;
  reg [{address}:0] load_address;
  reg [{data}:0] load_data;
  reg [{data}:0] words [0:WORDS-1];
  integer word;
"""

_LOAD: Final = """\
    $readmemh("weights.hex", words);
    load_enable = 1;
    for (word = 0; word < WORDS; word = word + 1) begin
      load_address = word;
      load_data = words[word];
      @(negedge clock);
    end
    load_enable = 0;
"""
