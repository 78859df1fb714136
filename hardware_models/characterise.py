"""Measure a standard-cell library's units: ``python -m hardware_models.characterise LIBRARY --out FILE``.

Each unit is synthesised at two sizes by the script that synthesises designs (``codesign.synthesis.asic``); a
number of the table is what the larger takes more, over the units that it has more, so that what both have at
their ends drops out. OpenSTA gives delay, leakage, and energy with the switching of random words. In a design
what drives a unit charges its input pins; so energies are of units behind registers, less such registers
alone. Units are the export's own modules where it has one. No design is fitted: that is what calibration is
for.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from codesign.errors import CodesignError, ConfigError
from codesign.export.verilog import TOP, module_source
from codesign.synthesis import asic
from codesign.synthesis.library import LIBRARIES, Library, find_library
from codesign.synthesis.netlist import read_blif
from codesign.synthesis.reports import read
from codesign.synthesis.switching import Frames, switching
from codesign.synthesis.timing import critical_path, power
from hardware_models.technology import UNITS, parse

__all__ = ["Measured", "characterise", "main", "measure"]

NODES_NM: Final[Mapping[str, float]] = {"sky130hd": 130, "sg13g2": 130, "asap7": 7}
CLOCK_MHZ: Final = 40.0
FRAMES: Final = 1024
SMALL, LARGE = 8, 24
FEW, MANY = 8, 64
WEIGHT_BITS, INPUT_BITS = 6, 8
WORDS: Final = ((16, 4), (16, 8), (48, 4))
"""Words and bits of the weight stores that are measured."""
TIMEOUT_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Measured:
    """A unit in cells.

    Parameters
    ----------
    area_um2
        Of all its cells.
    energy_pj
        Switched in a clock cycle, with random words at its inputs in each.
    leakage_mw
        Of all its cells.
    delay_ns
        Its longest path.
    """

    area_um2: float
    energy_pj: float
    leakage_mw: float
    delay_ns: float


def characterise(name: str | Path, node_nm: float | None = None) -> str:
    """The table of a library, as TOML.

    Parameters
    ----------
    name
        Library, as ``codesign.synthesis.library.find_library`` takes it.
    node_nm
        Its node, in nm; not needed for a library of ``NODES_NM``.

    Raises
    ------
    ConfigError
        For a library that is not there, or without a node.
    MissingToolError
        Without pyosys or OpenSTA.
    """
    library = find_library(name)
    node = node_nm or NODES_NM.get(library.name)
    if node is None:
        raise ConfigError(f"the node of {library.name} is not known here; give it in nm: --node 28")
    numbers, version = _numbers(library)
    command = f"python -m hardware_models.characterise {library.name}"
    source = f"measured by {command}: {version}, script {asic.SCRIPT} {asic.digest()}"
    text = _table(library, node, numbers, source)
    parse(library.name, text)
    return text


def measure(
    library: Library, body: str, work: Path, inputs: np.ndarray[tuple[int, int], np.dtype[np.uint8]]
) -> tuple[Measured, str]:
    """Synthesise the text of a module ``codesign_chip``; its figures, and the tool's version.

    Parameters
    ----------
    library
        Standard cells.
    body
        Verilog with ports ``inputs``, ``outputs``, and ``clock`` if it has registers.
    work
        Folder to work in.
    inputs
        Bits of ``inputs``, ``(frames, bits)``, one frame each clock cycle.
    """
    modules = [body, *(module_source(each) for each in MODULES if each in body), *_beneath(body)]
    (work / "unit.v").write_text("\n".join(modules), encoding="ascii")
    asic.elaborate([work / "unit.v"], work, timeout=TIMEOUT_S)
    mapped = asic.map_cells(work / f"{asic.FRONT}.il", work, library, CLOCK_MHZ, timeout=TIMEOUT_S)
    stated = read(mapped.area)
    assert stated.resources.area_um2 is not None
    netlist = read_blif(mapped.netlist, library)
    frames = Frames(inputs, np.zeros((len(inputs), 0), np.uint8), np.zeros(0, np.int64), latency=LATENCY)
    activity = switching(netlist, library, frames)
    watts = power(netlist, library, activity, work, TOP, CLOCK_MHZ, timeout=TIMEOUT_S)
    path = critical_path(netlist, library, work, TOP, CLOCK_MHZ, timeout=TIMEOUT_S).critical_path_ns
    energy_pj = watts.dynamic_mw / CLOCK_MHZ * 1e3
    made = Measured(stated.resources.area_um2, energy_pj, watts.leakage_mw, path or 0.0)
    return made, f"Yosys {stated.target.version}"


class _At(Protocol):
    """Measure the text of a unit with so many random bits at its inputs, the last of which may hold still."""

    def __call__(self, body: str, bits: int, still: int = 0) -> Measured: ...


LATENCY: Final = 2
"""Edges after which every register of a unit holds what belongs to a frame."""
MODULES: Final = ("codesign_products", "codesign_relu", "codesign_register", "codesign_words")


def _beneath(body: str) -> list[str]:
    """Modules that those of a body are made of."""
    return [module_source("codesign_register")] if "codesign_words" in body else []


def _numbers(library: Library) -> tuple[dict[str, float], str]:
    """The numbers of the table."""
    rng = np.random.default_rng(1)
    versions: set[str] = set()

    def at(body: str, bits: int, still: int = 0) -> Measured:
        """A unit with random inputs, the last ``still`` of which do not change."""
        inputs = rng.integers(0, 2, (FRAMES, bits), dtype=np.uint8)
        inputs[:, bits - still :] = inputs[:1, bits - still :]
        with tempfile.TemporaryDirectory(prefix="codesign-unit-") as folder:
            found, version = measure(library, body, Path(folder), inputs)
        versions.add(version)
        return found

    def per_bit(body: Callable[[int], str], operands: int, still: int = 0) -> Measured:
        small, large = (_charged(at, body(n), operands * n, still * n) for n in (SMALL, LARGE))
        return _slope(small, large, LARGE - SMALL)

    gate, adder, increment, maximum, voter, register = (
        per_bit(_gate, 2),
        per_bit(_adder, 2),
        per_bit(_increment, 1),
        per_bit(_maximum, 2),
        per_bit(_voter, 3),
        per_bit(_register, 1),
    )
    held = per_bit(_register, 1, 1)
    few, many = (
        at(_products(taps), taps * (INPUT_BITS + WEIGHT_BITS) + WEIGHT_BITS, (taps + 1) * WEIGHT_BITS)
        for taps in (FEW, MANY)
    )
    load, decoder = _stores(at, register.area_um2)
    levels = np.log(MANY / FEW) / np.log(1.5)
    wider = np.log2(MANY / FEW)
    numbers = {
        **_kinds("gate", gate),
        **_kinds("adder", adder),
        **_kinds("increment", increment),
        **_kinds("maximum", maximum),
        **_kinds("voter", voter),
        **_kinds("register", register),
        "load_area": load,
        "decoder_area": decoder,
        "register_clock_energy": held.energy_pj,
        "register_leakage": register.leakage_mw,
        "logic_leakage": many.leakage_mw / many.area_um2,
        "adder_delay": (many.delay_ns - few.delay_ns - wider * adder.delay_ns) / levels,
        "carry_delay": adder.delay_ns,
        "gate_delay": at(_gate(1), 2).delay_ns,
        "register_delay": at(_registers(1), 1).delay_ns,
        "float_multiplier_area": 0.0,
        "float_multiplier_energy": 0.0,
        "float_adder_area": 0.0,
        "float_adder_energy": 0.0,
        "area_spread": 1.0,
        "energy_spread": 1.0,
    }
    return numbers, ", ".join(sorted(versions))


def _charged(at: _At, body: str, bits: int, still: int = 0) -> Measured:
    """A unit, with the energy that charges its input pins: what registers in front take more with it."""
    driven, registers = (at(text, bits, still) for text in (_driven(body, bits), _register(bits)))
    return replace(at(body, bits, still), energy_pj=driven.energy_pj - registers.energy_pj)


def _kinds(name: str, unit: Measured) -> dict[str, float]:
    return {f"{name}_area": unit.area_um2, f"{name}_energy": unit.energy_pj}


def _slope(small: Measured, large: Measured, units: int) -> Measured:
    """What a unit more takes."""
    return Measured(
        *(
            (getattr(large, name) - getattr(small, name)) / units
            for name in ("area_um2", "energy_pj", "leakage_mw", "delay_ns")
        )
    )


def _stores(at: _At, register_um2: float) -> tuple[float, float]:
    """Area of the selector of a bit, and of the decoder of a word, in um2."""
    areas = [at(_store(count, width), STORE_PORTS + width).area_um2 for count, width in WORDS]
    amounts = np.array([[count * width, count] for count, width in WORDS], np.float64)
    more = np.array(areas) - register_um2 * amounts[:, 0]
    (load, decoder), *_ = np.linalg.lstsq(amounts, more, rcond=None)
    return float(load), max(float(decoder), 0.01)


ADDRESS_BITS: Final = 12
STORE_PORTS: Final = 1 + ADDRESS_BITS


def _module(inputs: int, outputs: int, body: str, clocked: bool = False) -> str:
    clock = "input wire clock, " if clocked else ""
    return (
        f"module {TOP} ({clock}input wire [{inputs - 1}:0] inputs, output wire [{outputs - 1}:0] outputs);\n"
        f"{body}\nendmodule\n"
    )


def _driven(body: str, bits: int) -> str:
    """A unit behind a register a bit of its inputs."""
    head, _, rest = body.partition(";\n")
    clocked = head if "clock" in head else head.replace("(", "(input wire clock, ", 1)
    ports = ".clock(clock), .next(inputs), .value(driven)"
    front = f"codesign_register #(.WIDTH({bits})) front ({ports});"
    behind = rest.replace("inputs", "driven")
    return f"{clocked};\nwire [{bits - 1}:0] driven;\n{front}\n{behind}"


def _gate(bits: int) -> str:
    return _module(2 * bits, bits, f"assign outputs = inputs[{bits - 1}:0] & inputs[{2 * bits - 1}:{bits}];")


def _adder(bits: int) -> str:
    return _module(
        2 * bits, bits + 1, f"assign outputs = inputs[{bits - 1}:0] + inputs[{2 * bits - 1}:{bits}];"
    )


def _increment(bits: int) -> str:
    """All but the lowest bit, and that as the carry."""
    return _module(bits, bits, f"assign outputs = inputs[{bits - 1}:1] + inputs[0];")


def _maximum(bits: int) -> str:
    low, high = f"inputs[{bits - 1}:0]", f"inputs[{2 * bits - 1}:{bits}]"
    return _module(2 * bits, bits, f"assign outputs = {low} > {high} ? {low} : {high};")


def _voter(bits: int) -> str:
    words = [f"inputs[{(k + 1) * bits - 1}:{k * bits}]" for k in range(3)]
    pairs = (f"({a} & {b})" for a, b in zip(words, (*words[1:], words[0]), strict=True))
    return _module(3 * bits, bits, f"assign outputs = {' | '.join(pairs)};")


def _register(bits: int) -> str:
    ports = ".clock(clock), .next(inputs), .value(outputs)"
    return _module(bits, bits, f"codesign_register #(.WIDTH({bits})) unit ({ports});", clocked=True)


def _registers(bits: int) -> str:
    first = f"codesign_register #(.WIDTH({bits})) first (.clock(clock), .next(inputs), .value(between));"
    second = f"codesign_register #(.WIDTH({bits})) second (.clock(clock), .next(between), .value(outputs));"
    return _module(bits, bits, f"wire [{bits - 1}:0] between;\n{first}\n{second}", clocked=True)


def _products(taps: int) -> str:
    """A sum of products: inputs in the low bits, weights and the bias above."""
    words, weights = taps * INPUT_BITS, taps * WEIGHT_BITS
    bits = words + weights + WEIGHT_BITS
    width = WEIGHT_BITS + INPUT_BITS + 1 + int(np.log2(taps))
    parameters = (
        f".UNITS(1), .TAPS({taps}), .X_WIDTH({INPUT_BITS}), .WEIGHT_WIDTH({WEIGHT_BITS}), "
        f".BIAS_WIDTH({WEIGHT_BITS}), .BIAS_SHIFT({INPUT_BITS - 1}), .Y_WIDTH({width})"
    )
    ports = (
        f".x(inputs[{words - 1}:0]), .weights(inputs[{words + weights - 1}:{words}]), "
        f".biases(inputs[{bits - 1}:{words + weights}]), .y(outputs)"
    )
    return _module(bits, width, f"codesign_products #({parameters}) unit ({ports});")


def _store(count: int, width: int) -> str:
    parameters = f".COUNT({count}), .WIDTH({width}), .ADDRESS_WIDTH({ADDRESS_BITS})"
    ports = (
        f".clock(clock), .load_enable(inputs[0]), .load_address(inputs[{ADDRESS_BITS}:1]), "
        f".load_data(inputs[{STORE_PORTS + width - 1}:{STORE_PORTS}]), .words(outputs)"
    )
    return _module(
        STORE_PORTS + width, count * width, f"codesign_words #({parameters}) unit ({ports});", clocked=True
    )


def _table(library: Library, node_nm: float, numbers: Mapping[str, float], source: str) -> str:
    date = datetime.now(UTC).date().isoformat()
    entries = [
        f"# Units of {library.title}. Read by technology/__init__.py.",
        f"node_nm = {node_nm:g}",
        f"supply_v = {library.voltage:g}",
        f'library = "{library.title}"',
    ]
    for name, unit in UNITS.items():
        value = numbers[name]
        entries += ["", f"[{name}]", f"value = {value:.4g}", f'unit = "{unit}"', f'source = "{source}"']
        entries.append(f'date = "{date}"')
        if name in NOTES:
            entries.append(f'note = "{NOTES[name]}"')
    return "\n".join(entries) + "\n"


NOTES: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("float_multiplier_area", "float_multiplier_energy", "float_adder_area", "float_adder_energy"),
        "not synthesised: float layers are not priced",
    ),
    **dict.fromkeys(("area_spread", "energy_spread"), "one library, one script: nothing to differ from"),
    "adder_delay": f"a sum of {MANY} products of {WEIGHT_BITS} and {INPUT_BITS} bits, less one of {FEW}",
    "register_clock_energy": "the data hold still",
}


def main(arguments: list[str] | None = None) -> None:
    """Measure the units of a library and write their table."""
    parser = argparse.ArgumentParser(
        prog="python -m hardware_models.characterise",
        description="Measure the units of a standard-cell library and write a technology table.",
    )
    parser.add_argument("library", help=f"{', '.join(LIBRARIES)}, or a Liberty file")
    parser.add_argument("--out", type=Path, required=True, help="table to write (.toml)")
    parser.add_argument("--node", type=float, help="node of the library, in nm")
    given = parser.parse_args(arguments)
    given.out.write_text(characterise(given.library, given.node), encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except CodesignError as error:
        sys.exit(f"error: {error}")
