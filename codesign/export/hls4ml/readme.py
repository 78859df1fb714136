"""What stands beside the projects of an hls4ml export: README.md, and a script that compares logs."""

import shlex
from collections.abc import Sequence
from typing import Final

import numpy as np

from codesign.export.bundle import Bundle
from codesign.export.hls4ml.build import precision, strategies
from codesign.export.hls4ml.driver import compile_command
from codesign.export.hls4ml.rules import BACKENDS, is_asic, options
from codesign.fixedpoint import FixedPoint
from codesign.hardware import Device
from codesign.network import Network

__all__ = ["TEST_BENCH_VECTORS", "compare_script", "readme"]

TEST_BENCH_VECTORS: Final = 256
_LOG_BITS: Final = 18


def compare_script(chip: Network) -> str:
    """Compare a log of a vendor's simulation with the expected integers; Python alone."""
    last = chip.formats[-1]
    assert last is not None
    return f'''\
"""Compare a results log of a vendor's simulation with the integers it should give.

    python3 compare.py vitis/tb_data/csim_results.log
"""

import sys
from pathlib import Path

fraction_bits = {last.fraction_bits}
rows = [line.split() for line in Path(sys.argv[1]).read_text().splitlines() if line.strip()]
codes = [[round(float(value) * 2.0**fraction_bits) for value in row] for row in rows]
text = Path(__file__).with_name("vectors").joinpath("expected.txt").read_text()
expected = [[int(value) for value in line.split()] for line in text.splitlines()][: {TEST_BENCH_VECTORS}]
if len(codes) != len(expected) or any(len(a) != len(b) for a, b in zip(codes, expected)):
    sys.exit(f"{{len(codes)}} vectors in the log, {{len(expected)}} expected, or of another length")
differ = sum(a != b for row, wanted in zip(codes, expected) for a, b in zip(row, wanted))
print(f"{{len(codes)}} vectors, {{sum(map(len, codes))}} values, {{differ}} differ")
sys.exit(differ > 0)
'''


def readme(made: Bundle, chip: Network, names: Sequence[str]) -> str:
    """What the folder holds, and the commands for someone who has the tools."""
    first, last = chip.input_format, chip.formats[-1]
    assert first is not None
    assert last is not None
    vectors = min(len(made.inputs), TEST_BENCH_VECTORS)
    head = f"""\
# Projects of hls4ml

The chip part of network {chip.digest[:16]} as C++ for high-level synthesis, written by hls4ml
{made.versions["hls4ml"]}: {", ".join(names)}.
A vector is {np.prod(chip.input_shape)} inputs of `{precision(first)}` and
{np.prod(chip.output_shape)} outputs of `{precision(last)}`.

Each project was compiled with g++ and run on {len(made.inputs)} vectors; all {made.expected.size} outputs
equal the reference interpreter's (`provenance.json`, checks). Nothing was synthesised: that needs the
vendor's tool. `layer_k` is the k-th layer of `network.json`.

{_table(chip)}

A layer without folding computes all its products at once; of a convolution, those of all pixels. With
folding, a convolution makes one pixel at a time, each in as many cycles as the reuse factor says. Intel's
back ends have one strategy for both.

`vectors/` holds all test vectors as integer codes, `tb_data/` of each project the first {vectors} as real
values. `compare.py` compares the log of a vendor's simulation of those with the expected integers; it needs
Python alone.{_digits(last)}

Weights are constants in the code: reloadable or triplicated ones are for `--to rtl`.

The headers in the projects are hls4ml's, AMD's (`ap_types`) and Siemens' (`ac_types`), all under Apache-2.0.
"""
    return head + "".join(_readme_of(name, made.device) for name in names)


def _digits(last: FixedPoint) -> str:
    if last.width <= _LOG_BITS:
        return ""
    return f" Logs have six digits, too few for {last.width} bits: there it finds differences that are none."


def _table(chip: Network) -> str:
    lines = [
        "| in the project | layer | strategy | reuse factor | pixels at once |",
        "| --- | --- | --- | --- | --- |",
    ]
    kinds = {f"layer_{index + 1}": type(layer).__name__ for index, layer in enumerate(chip.layers)}
    for name, chosen in strategies(chip).items():
        pixels = chosen.get("ParallelizationFactor", "-")
        lines.append(
            f"| {name} | {kinds[name]} | {chosen['Strategy']} | {chosen['ReuseFactor']} | {pixels} |"
        )
    return "\n".join(lines)


def _readme_of(name: str, device: Device) -> str:
    backend = BACKENDS[name]
    lines = [
        f"\n## {backend.name}\n",
        f"Clock period {options(name, device)['clock_period']} ns. {_about_part(name, device)}\n",
    ]
    lines += [f"With {backend.tool}, in `{name}/`:\n", "```sh", *backend.commands]
    lines += [f"python3 ../compare.py {backend.results}", "```\n"]
    lines += [f"With g++ alone, in `{name}/`, as it was checked here (no output: equal):\n", "```sh"]
    lines += [shlex.join(compile_command(name))]
    lines += ["./simulate ../vectors/inputs.txt | cmp - ../vectors/expected.txt", "```"]
    if name == "oneapi":
        lines.append(
            "\nThat compiles the kernel unchanged against stand-ins for SYCL's queue and pipes"
            "\n(`sycl_stand_in/`); Intel's own emulation is `fpga_emu`."
        )
    return "\n".join(lines) + "\n"


def _about_part(name: str, device: Device) -> str:
    if is_asic(name, device):
        return (
            "Written for an ASIC with the sample library that hls4ml names; put your own into\n"
            "`setup_asic_libs` in `build_prj.tcl`."
        )
    part = options(name, device)["part"]
    if part == device.fpga_part:
        return f"Part {part}."
    place = "`DEVICE` in `Makefile`" if name == "quartus" else "`-DFPGA_DEVICE=` of cmake"
    return f"Part {part}, as {device.fpga_part} is not Intel's; another by {place}."
