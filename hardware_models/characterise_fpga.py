"""Measure an FPGA family's units with Yosys: ``python -m hardware_models.characterise_fpga FAMILY``.

The hand-written modules of ``codesign export --to rtl``, and da4ml's adders of drawn constant matrices, go
through the script of ``codesign synth`` (``codesign.synthesis.fpga``), with multipliers too narrow for DSP
blocks. A unit's number is the ratio of all LUTs to all amounts. The three of constant matrices, which are
never there alone, are those of 0 or more with the least sum of absolute relative errors. Prints the LUTs of
each unit and the numbers of ``technology/fpga``; takes some minutes of one core.
"""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

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
CONSTANTS: Final = (
    *((16, 4, 3, 4, 0), (32, 2, 4, 6, 0), (32, 4, 6, 6, 0), (64, 2, 8, 8, 0)),
    *((16, 4, 3, 4, 3), (32, 4, 4, 6, 4), (32, 4, 6, 6, 6), (64, 4, 8, 8, 5)),
    *((9, 8, 4, 6, 4), (9, 8, 6, 8, 8), (16, 16, 4, 5, 3), (4, 16, 6, 6, 4)),
)
"""Inputs, units, bits of a weight, of an input, and of an output, 0 for one that is not rounded."""
ADDED: Final = {"constant_lut": "constant_bits", "increment_lut": "increment_bits", "gate_lut": "gate_bits"}
"""Numbers of constant matrices, and the amounts they are of."""
SPREAD: Final = 1.4
"""Standard deviation of weights times the root of their fan-in, as trained encoders of ECON-T have it."""
COUNT: Final = 4
SEED: Final = 20261122


@dataclass(frozen=True, slots=True)
class Unit:
    """A design: its Verilog, its top, and how many it holds of what each number is of."""

    name: str
    files: dict[str, str]
    top: str
    parameters: dict[str, int]
    amounts: dict[str, float]


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
    for shape in CONSTANTS:
        yield _constant(*shape, rng)


def _module(number: str, top: str, parameters: dict[str, int], amount: float) -> Unit:
    names = [top, "codesign_register", "codesign_copy"] if top == "codesign_words" else [top]
    files = {f"{name}.v": verilog.module_source(name) for name in names}
    return Unit(f"{top} {' '.join(map(str, parameters.values()))}", files, top, parameters, {number: amount})


def _constant(inputs: int, units: int, bits: int, width: int, rounded: int, rng: np.random.Generator) -> Unit:
    """A dense layer of constant weights as wide as trained ones, with the amounts that the model counts."""
    fixed = FixedPoint(0, bits - 1)
    output = FixedPoint(1, rounded - 1, signed=False) if rounded else None
    layers = (Dense("d", units, weight=fixed, bias=fixed), ReLU("r", output))
    network = Network((inputs,), layers, FixedPoint(1, width - 1, signed=False))
    weights = {
        "d.weight": fixed.quantise(rng.normal(0, SPREAD / np.sqrt(inputs), (inputs, units))),
        "d.bias": fixed.quantise(rng.normal(0, 0.1, units)),
    }
    device = Device("xc7", weights="constant", pipelined=False)
    network = network.with_weights(weights)
    (stage,) = distributed.logic(network, device).modules
    features = UnrolledModel(exported=True).estimate(network, device).features
    amounts = {number: features[amount] for number, amount in ADDED.items()}
    name = f"constants {inputs} {units} {bits} {width} {rounded}"
    return Unit(name, {"stage.v": stage}, "codesign_stage_1", {}, amounts)


def luts(unit: Unit, family: str, work: Path) -> float:
    """LUTs of a design."""
    counted = fpga.count_cells(unit.files, work, family, top=unit.top, parameters=unit.parameters)
    found = counted.resources.lut
    assert found is not None
    return found


def each_costs(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """LUTs of one of each amount: a ratio of sums for one, else the least absolute relative errors.

    Parameters
    ----------
    rows
        LUTs of a design, then its amounts, ``(n, 1 + m)``.
    """
    measured, amounts = rows[:, 0], rows[:, 1:]
    designs, kinds = amounts.shape
    if kinds == 1:
        return np.array([measured.sum() / amounts.sum()])
    relative, off = amounts / measured[:, None], np.eye(designs)
    solved = linprog(
        np.concatenate([np.zeros(kinds), np.ones(designs)]),
        A_ub=np.block([[relative, -off], [-relative, -off]]),
        b_ub=np.repeat([1.0, -1.0], designs),
    )
    return np.asarray(solved.x[:kinds], np.float64)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the family that is named; print its numbers."""
    (family,) = sys.argv[1:] if arguments is None else arguments
    if family not in fpga.FAMILIES:
        raise ConfigError(f"no script for the family {family!r}; there are {', '.join(fpga.FAMILIES)}")
    found: dict[tuple[str, ...], list[tuple[float, ...]]] = {}
    for unit in units():
        with tempfile.TemporaryDirectory(prefix="codesign-units-") as work:
            measured = luts(unit, family, Path(work))
        found.setdefault(tuple(unit.amounts), []).append((measured, *unit.amounts.values()))
        each = ", ".join(f"{amount:g}" for amount in unit.amounts.values())
        print(f"{unit.name}: {measured:g} LUTs of {each}", flush=True)  # noqa: T201
    for numbers, rows in found.items():
        for number, value in zip(numbers, each_costs(np.array(rows)), strict=True):
            print(f"{number} = {value:.3g}")  # noqa: T201
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CodesignError as error:
        sys.exit(f"error: {error}")
