"""The README of a FINN bundle: what lies there, what was estimated and measured, and how to go on."""

from typing import Final

from codesign.export.bundle import Bundle
from codesign.export.finn.build import VIVADO_STEPS
from codesign.export.finn.chain import Chain, Run
from codesign.export.finn.rules import Affine
from codesign.hardware import Device, SynthesisReport
from codesign.network import Network

__all__ = ["CORE", "COUNTED", "INSTALL", "QONNX", "REPORT", "STREAM_VECTORS", "readme"]

CORE: Final = "core.onnx"
QONNX: Final = "encoder.onnx"
REPORT: Final = "report.json"
COUNTED: Final = ("lut", "ff", "bram_18k", "uram", "dsp")
STREAM_VECTORS: Final = 16
INSTALL: Final = (
    "pip install 'codesign[finn]' && pip install --no-deps finn-plus==1.6.1 mip==1.17.0 onnx-passes==0.4.1"
)


def readme(made: Bundle, chip: Network, report: SynthesisReport, run: Run) -> str:
    """What the folder holds, the estimate beside the measurement, and the commands to go on."""
    chain = Chain.load(made.folder / "rtl")
    foldings = [layer for layer in chip.layers if isinstance(layer, Affine)]
    rows = [
        f"| `{_cell(layer.name)}` | {layer.folding.pe} | {layer.folding.simd} | "
        + " | ".join(_figure(report.by_layer[layer.name][name]) for name in ("cycles", *COUNTED))
        + " |"
        for layer in foldings
        if layer.folding is not None
    ]
    total = " | ".join(_figure(getattr(report.resources, name)) for name in COUNTED)
    depths = ", ".join(f"{node.depth} ({run.occupancy[node.name]})" for node in chain.nodes if node.depth)
    interval = "-" if run.initiation_interval is None else f"{run.initiation_interval:g}"
    frames = made.measured["frames"]
    words = min(STREAM_VECTORS, frames) * chain.sink.words
    return f"""# FINN: {made.device.fpga_part} at {made.device.clock_mhz:g} MHz

A folded dataflow graph, every node RTL. FINN+ {report.target.version} made it; after each of its steps
the graph gave the network's integers, and so did the stitched Verilog for {frames:,} frames in Verilator
(`provenance.json`).

| | FINN's estimate | measured in Verilator |
| --- | ---: | ---: |
| cycles between frames | {report.initiation_interval} | {interval} |
| cycles, first word in to last word out | {report.latency_cycles} | {run.latency_cycles} |

Measured: cycles of the Verilog, which are those of the hardware but for a few in FIFOs. At
{made.device.clock_mhz:g} MHz that is a frame each {_time(run.initiation_interval, made.device)}.
With both ends halting at random the outputs were the same.

FINN streams one pixel at a time, so a frame takes at least a cycle for each pixel of the padded image, about
100 for 8 x 8. A new frame each 25 ns (one or a few cycles) is for `--to hls4ml` and `--to rtl`.

## FINN's analytic estimate (no synthesis result)

| layer | pe | simd | cycles | LUT | FF | BRAM18 | URAM | DSP |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
{chr(10).join(rows)}
| all | | | {report.initiation_interval} | {total} |

It is crude: matrix products in RTL count no LUT, DSPs ignore the bits, padding, FIFOs, width converters and
flip-flops are left out. Take LUTs and DSPs from a synthesis. The same is in `{REPORT}`, FINN's own files in
`reports/`.
{_changed(made.network.chip, chip)}
## Files

- `{CORE}`: FINN's integer core, input of the steps in `build.yaml`. Codes in, codes out, images channels
  first.
- `{QONNX}`: the network as QONNX, before FINN.
- `build.yaml`, `fold.json` (PE, SIMD), `fifo.json` (depths), `specialize.json` (matrix products in RTL).
- `rtl/`: the generated Verilog and memories, FINN's library, `codesign_top.sv` that stitches them, `files.f`
  in the order of compilation. `fifo.sv` and `add_multi.sv` are stand-ins for simulation: Verilator cannot
  read FINN's. In Verilator FINN's library multiplies by a behavioural model of the DSP.
  The library's files carry their licences (BSD-3-Clause and MIT).
- `vectors/`: `inputs.npy`, `expected.npy` (codes, channels last); the first {STREAM_VECTORS} as FINN reads
  them (`finn_input.npy`, `finn_expected.npy`: float32, channels first) and as words of the streams
  (`stream_in.txt`, `stream_out.txt`: hexadecimal, first value lowest).
- Streams: in, {chain.source.words} words a frame, {chain.source.lanes} of {chain.source.bits} bits each, \
{"row, column, channel" if chain.image_in else "values in order, an image channel by channel"}; out,
  {chain.sink.words} words, {chain.sink.lanes} of {chain.sink.bits} bits.
- FIFO depths, in words, and the most that was in them: {depths}.

## Here: simulate again

```
verilator --binary --timing -MAKEFLAGS CFG_CXXFLAGS_PCH_I=-include -CFLAGS -std=c++20 -Wno-fatal \\
  -GIN_WIDTH={chain.source.width} -GOUT_WIDTH={chain.sink.width} --top-module testbench \\
  -f files.f testbench.sv      # in rtl/; Verilator 5.48
obj_dir/Vtestbench +in=../vectors/stream_in.txt +out=out.txt +words={words} +frame={chain.source.words}
```

`out.txt` then has the cycles (second column) and the words of `stream_out.txt` (third) in its lines `o`.

## On a machine with Vivado and Vitis 2022.2 or 2024.2 (not run here)

```
source /path/to/Vivado/settings64.sh
{INSTALL.replace(" && ", chr(10))}
pip install pybind11==3.0.1 "cmake~=4.0.3"
finn deps update
finn build build.yaml {CORE}
```

`out/` then holds the stitched IP and the reports of the out-of-context synthesis. Up to
`{VIVADO_STEPS[0]}` these are the steps that ran here.
"""


def _changed(asked: Network, built: Network) -> str:
    """A sentence for each layer that did not get the folding of the design."""
    pairs = [
        (before, after)
        for before, after in zip(asked.layers, built.layers, strict=True)
        if isinstance(before, Affine) and isinstance(after, Affine)
    ]
    lines = [
        f"`{_cell(before.name)}` was to have pe {before.folding.pe}, simd {before.folding.simd}. With these "
        "FINN's RTL\nloses sums when the next stage halts: its output queue is short of places where simd is "
        "the whole fan-in.\n"
        for before, after in pairs
        if before.folding is not None and before.folding != after.folding
    ]
    if any(before.folding is None for before, _ in pairs):
        lines.append(
            "A layer for which the design names no folding has the fewest multipliers that keep up with the\n"
            "stream of pixels.\n"
        )
    return "\n" + "".join(lines) if lines else ""


def _cell(name: str) -> str:
    """A layer's name in a table of Markdown."""
    return "".join(symbol if symbol.isalnum() or symbol in "_-. " else "?" for symbol in name)


def _figure(count: float | None) -> str:
    return "-" if count is None else f"{count:,.0f}"


def _time(cycles: float | None, device: Device) -> str:
    return "-" if cycles is None else f"{cycles * device.period_ns:,.0f} ns"
