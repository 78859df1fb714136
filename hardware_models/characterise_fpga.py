"""Measure an FPGA family's units with Yosys: ``python -m hardware_models.characterise_fpga FAMILY``.

The hand-written modules of ``codesign export --to rtl``, and da4ml's adders of drawn constant matrices, go
through the script of ``codesign synth`` (``codesign.synthesis.fpga``), with multipliers too narrow for DSP
blocks. A unit's number is the ratio of all LUTs to all amounts. Prints the LUTs of each unit and the numbers
of ``technology/fpga``; takes some minutes of one core.
"""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from codesign.errors import CodesignError, ConfigError
from codesign.export import distributed, verilog
from codesign.fixedpoint import FixedPoint
from codesign.hardware import Device
from codesign.network import Dense, Network, ReLU
from codesign.synthesis import fpga
from hardware_models.fpga_unrolled import UnrolledModel

__all__ = ["main", "units"]

PRODUCTS: Final = ((1, 4, 4), (1, 6, 6), (1, 8, 8), (4, 4, 4), (4, 8, 4), (4, 4, 8), (9, 4, 4), (9, 6, 6))
"""Taps, bits of an input, bits of a weight."""
ROUNDINGS: Final = ((8, 3), (12, 5), (16, 8))
"""Bits of an accumulator and of its activation."""
POOLINGS: Final = (3, 6)
WORDS: Final = (8, 32)
CONSTANTS: Final = ((16, 4, 3, 4), (32, 2, 4, 6), (32, 4, 6, 6), (64, 2, 8, 8))
"""Inputs, units, bits of a weight, bits of an input."""
SPREAD: Final = 1.4
"""Standard deviation of weights times the root of their fan-in, as trained encoders of ECON-T have it."""
COUNT: Final = 4
SEED: Final = 20261122


@dataclass(frozen=True, slots=True)
class Unit:
    """A design of one kind of unit: its Verilog, its top, and how many of the unit it holds."""

    number: str
    name: str
    files: dict[str, str]
    top: str
    parameters: dict[str, int]
    amount: float


def units() -> Iterator[Unit]:
    """The designs, in the order in which they are measured."""
    for taps, inputs, weights in PRODUCTS:
        given = {"UNITS": 1, "TAPS": taps, "X_WIDTH": inputs, "WEIGHT_WIDTH": weights, "BIAS_WIDTH": weights}
        bound = (1 << (weights - 1)) * (taps * ((1 << inputs) - 1) + (1 << (inputs - 1)))
        given |= {"BIAS_SHIFT": inputs - 1, "Y_WIDTH": 1 + bound.bit_length()}
        yield _module("product_lut", "codesign_products", given, taps * inputs * weights)
    for wide, narrow in ROUNDINGS:
        given = {"COUNT": COUNT, "X_WIDTH": wide, "SHIFT": max(wide - narrow - 3, 1), "Y_WIDTH": narrow}
        yield _module("activation_lut", "codesign_relu", given, COUNT * wide)
    for width in POOLINGS:
        given = {"HEIGHT": 2, "WIDTH": 2, "CHANNELS": COUNT, "SIZE": 2, "X_WIDTH": width}
        yield _module("pooling_lut", "codesign_max_pool", given, 3 * COUNT * width)
    for words in WORDS:
        given = {"COUNT": words, "WIDTH": 6, "ADDRESS_WIDTH": words.bit_length()}
        yield _module("decoder_lut", "codesign_words", given, words)
    rng = np.random.default_rng(SEED)
    for inputs, outputs, weights, width in CONSTANTS:
        yield _constant(inputs, outputs, weights, width, rng)


def _module(number: str, top: str, parameters: dict[str, int], amount: float) -> Unit:
    names = [top, "codesign_register", "codesign_copy"] if top == "codesign_words" else [top]
    files = {f"{name}.v": verilog.module_source(name) for name in names}
    return Unit(number, f"{top} {' '.join(map(str, parameters.values()))}", files, top, parameters, amount)


def _constant(inputs: int, units: int, bits: int, width: int, rng: np.random.Generator) -> Unit:
    """A dense layer of constant weights as wide as trained ones; its amount is the model's prior for them."""
    fixed = FixedPoint(0, bits - 1)
    layers = (Dense("d", units, weight=fixed, bias=fixed), ReLU("r"))
    network = Network((inputs,), layers, FixedPoint(1, width - 1, signed=False))
    weights = {
        "d.weight": fixed.quantise(rng.normal(0, SPREAD / np.sqrt(inputs), (inputs, units))),
        "d.bias": fixed.quantise(rng.normal(0, 0.1, units)),
    }
    device = Device("xc7", weights="constant", pipelined=False)
    network = network.with_weights(weights)
    (stage,) = distributed.logic(network, device).modules
    amount = UnrolledModel().estimate(network, device).features["constant_bits"]
    name = f"constants {inputs} {units} {bits} {width}"
    return Unit("constant_lut", name, {"stage.v": stage}, "codesign_stage_1", {}, amount)


def luts(unit: Unit, family: str, work: Path) -> float:
    """LUTs of a design."""
    counted = fpga.count_cells(unit.files, work, family, top=unit.top, parameters=unit.parameters)
    found = counted.resources.lut
    assert found is not None
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the family that is named; print its numbers."""
    (family,) = sys.argv[1:] if arguments is None else arguments
    if family not in fpga.FAMILIES:
        raise ConfigError(f"no script for the family {family!r}; there are {', '.join(fpga.FAMILIES)}")
    found: dict[str, list[tuple[float, float]]] = {}
    for unit in units():
        with tempfile.TemporaryDirectory(prefix="codesign-units-") as work:
            measured = luts(unit, family, Path(work))
        found.setdefault(unit.number, []).append((measured, unit.amount))
        print(f"{unit.name}: {measured:g} LUTs, {measured / unit.amount:.3g} each", flush=True)  # noqa: T201
    for number, pairs in found.items():
        total, amount = np.sum(pairs, axis=0)
        print(f"{number} = {total / amount:.3g}")  # noqa: T201
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CodesignError as error:
        sys.exit(f"error: {error}")
