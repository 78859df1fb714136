"""Activity is that of a simulation cycle by cycle; wrong outputs are refused; words land in their places."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from codesign.errors import OutputError
from codesign.synthesis import Library
from codesign.synthesis.functions import evaluated
from codesign.synthesis.netlist import Netlist
from codesign.synthesis.switching import Frames, switching
from tests.synthesis.tiny import (
    BITS,
    STAGES,
    TEXT,
    changed,
    every_frame,
    gate,
    library_of,
    netlist_of,
    pipeline,
)

NO_LOADS = np.zeros(0, np.int64)
INVERTING = changed(('next_state : "D"', 'next_state : "!D"'), ('function : "IQ"', 'function : "IQN"'))
"""Flip-flops that hold the inverse, as those of ASAP7."""


def cycle_by_cycle(
    netlist: Netlist, library: Library, inputs: NDArray[np.uint8], cycles: int
) -> NDArray[np.uint8]:
    """Values of all nets ``(cycles, nets)``; behind the last frame nothing changes."""
    held = dict.fromkeys(range(len(netlist.instances)), 0)
    rows = []
    for cycle in range(cycles):
        frame = inputs[min(cycle, len(inputs) - 1)]
        values = {0: 0, 1: 1, netlist.inputs["clock"]: 0}
        values |= {netlist.inputs[f"inputs[{k}]"]: int(bit) for k, bit in enumerate(frame)}
        waiting = list(enumerate(netlist.instances))
        while waiting:
            late = []
            for place, each in waiting:
                cell = library.cells[each.cell]
                if cell.next_state:
                    state = dict(zip(cell.state, (held[place], 1 - held[place]), strict=True))
                    values[each.pins["Q"]] = evaluated(cell.functions["Q"], state)
                elif all(each.pins[pin] in values for pin in cell.inputs):
                    row = {pin: values[each.pins[pin]] for pin in cell.inputs}
                    values |= {each.pins[pin]: evaluated(f, row) for pin, f in cell.functions.items()}
                else:
                    late.append((place, each))
            waiting = late
        for place, each in enumerate(netlist.instances):
            if library.cells[each.cell].next_state:
                row = {"D": values[each.pins["D"]]}
                held[place] = evaluated(library.cells[each.cell].next_state, row)
        rows.append([values[net] for net in range(netlist.nets)])
    return np.array(rows, np.uint8)


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 63, 64, 65, 130]), st.booleans())
def test_activity_is_that_of_a_simulation(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int, inverting: bool
) -> None:
    text, name = (INVERTING, "inverting") if inverting else (TEXT, "tiny")
    library = library_of(tmp_path_factory.getbasetemp(), text, name)
    netlist, stages = pipeline(library, seed)
    inputs = np.random.default_rng(seed).integers(0, 2, (count, BITS), dtype=np.uint8)
    values = cycle_by_cycle(netlist, library, inputs, count + STAGES)
    expected = values[STAGES:, [netlist.outputs[f"outputs[{k}]"] for k in range(2)]]
    found = switching(netlist, library, Frames(inputs, expected, NO_LOADS, STAGES))
    for net in set(range(netlist.nets)) - {netlist.inputs["clock"]}:
        bits = values[stages[net] : stages[net] + count, net].astype(int)
        assert found.duty[net] == pytest.approx(bits.mean())
        assert found.toggles[net] == pytest.approx(np.abs(np.diff(bits)).mean() if count > 1 else 0.0)


XOR = netlist_of(
    ["inputs[0]", "inputs[1]"], {"outputs": "y"}, [gate("xor2_1", A="inputs[0]", B="inputs[1]", X="y")]
)


def test_a_wrong_output_is_refused(library: Library) -> None:
    inputs = every_frame(2)
    expected = inputs.sum(axis=1, keepdims=True).astype(np.uint8) % 2
    found = switching(XOR, library, Frames(inputs, expected, NO_LOADS, 0))
    assert found.duty[XOR.outputs["outputs"]] == 0.5
    expected[2] ^= 1
    with pytest.raises(OutputError, match="computes 1 of 4 output bits otherwise than the network"):
        switching(XOR, library, Frames(inputs, expected, NO_LOADS, 0))


def test_a_loop_is_refused(library: Library) -> None:
    loop = netlist_of(["inputs"], {"outputs": "y"}, [gate("nand2_1", A="inputs", B="y", Y="y")])
    with pytest.raises(OutputError, match="the netlist has a loop of gates"):
        switching(loop, library, Frames(every_frame(1), every_frame(1), NO_LOADS, 0))


def words(count: int) -> Netlist:
    """Words of one bit, loaded by address, each of which lets an input through; and a register behind."""
    ports = ["clock", "load_enable", "load_data", "load_address[0]", "load_address[1]"]
    cells = [gate("inv_1", A=f"load_address[{bit}]", Y=f"not{bit}") for bit in range(2)]
    for k in range(count):
        low, high = (f"load_address[{bit}]" if k >> bit & 1 else f"not{bit}" for bit in range(2))
        cells += [
            gate("and2_1", A=low, B=high, X=f"here{k}"),
            gate("and2_1", A=f"here{k}", B="load_enable", X=f"take{k}"),
            gate("inv_1", A=f"take{k}", Y=f"keep{k}"),
            gate("and2_1", A=f"take{k}", B="load_data", X=f"new{k}"),
            gate("and2_1", A=f"keep{k}", B=f"word{k}", X=f"old{k}"),
            gate("or2_1", A=f"new{k}", B=f"old{k}", X=f"next{k}"),
            gate("dff_1", D=f"next{k}", CK="clock", Q=f"word{k}"),
            gate("and2_1", A=f"word{k}", B=f"inputs[{k}]", X=f"let{k}"),
            gate("dff_1", D=f"let{k}", CK="clock", Q=f"y{k}"),
        ]
    ports += [f"inputs[{k}]" for k in range(count)]
    return netlist_of(ports, {f"outputs[{k}]": f"y{k}" for k in range(count)}, cells)


@pytest.mark.parametrize("text", [TEXT, INVERTING])
def test_words_are_loaded(text: str, tmp_path: Path) -> None:
    library, netlist = library_of(tmp_path, text), words(4)
    inputs = every_frame(4)
    for word in range(16):
        loads = every_frame(4)[word].astype(np.int64)
        frames = Frames(inputs, inputs & loads.astype(np.uint8), loads, 1)
        duty = switching(netlist, library, frames).duty
        assert [duty[netlist.outputs[f"outputs[{k}]"]] for k in range(4)] == list(loads / 2)
        with pytest.raises(OutputError, match="otherwise than the network"):
            switching(netlist, library, replace(frames, loads=1 - loads))


def test_words_hold_what_was_loaded(library: Library) -> None:
    netlist, loads = words(4), np.array([1, 0, 1, 1])
    inputs = every_frame(4)
    found = switching(netlist, library, Frames(inputs, inputs & loads.astype(np.uint8), loads, 1))
    held = [each.pins["Q"] for each in netlist.instances if each.cell == "dff_1"][::2]
    assert list(found.duty[held]) == list(loads)
    assert not found.toggles[held].any()
