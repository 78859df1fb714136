"""How often each net of a netlist changes: the cells evaluated on the frames of a bundle, all at once.

A net is a row of 64-bit words, a bit a frame; all cells of a kind whose inputs are ready are one array
operation. A frame passes the pipeline in its own bit: the registers take what stands at their inputs for the
same frame, as often as the design has stages, which gives every net the value that it has when this frame is
there. The frames follow each other in the clock cycles, so two neighbouring bits that differ are a change.
Nothing has a delay: glitches are not counted. The outputs are compared with the expected ones on the way:
a netlist that computes something else is refused.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from codesign.errors import OutputError
from codesign.fixedpoint import IntArray
from codesign.synthesis.functions import Node, compiled
from codesign.synthesis.library import Cell, Library
from codesign.synthesis.netlist import TRUE, Netlist

__all__ = ["Activity", "Frames", "switching"]

Lanes = NDArray[np.uint64]
Indices = NDArray[np.int64]

_ONES: Final = np.uint64(2**64 - 1)
_NONE: Final = np.uint64(0)


@dataclass(frozen=True, slots=True)
class Frames:
    """What a design is driven with.

    Parameters
    ----------
    inputs, outputs
        Bits ``(frames, bits)`` of the ports ``inputs`` and ``outputs``.
    loads
        Words in the order of their addresses; empty where weights are constant.
    latency
        Clock edges from input to output.
    """

    inputs: NDArray[np.uint8]
    outputs: NDArray[np.uint8]
    loads: IntArray
    latency: int


@dataclass(frozen=True, slots=True)
class Activity:
    """By net: ``toggles`` (changes per clock cycle) and ``duty`` (share of the cycles in which it is 1)."""

    toggles: NDArray[np.float64]
    duty: NDArray[np.float64]


def switching(netlist: Netlist, library: Library, frames: Frames) -> Activity:
    """Evaluate a netlist on frames.

    Raises
    ------
    OutputError
        If an output differs from the expected one, or a cell cannot be evaluated.
    """
    circuit = _Circuit(netlist, library)
    state = circuit.loaded(frames.loads) if len(frames.loads) else np.zeros(circuit.registers, np.bool_)
    count = len(frames.inputs)
    values = circuit.blank(-(-count // 64))
    circuit.set_state(values, np.where(state, _ONES, _NONE)[:, None])
    circuit.drive(values, "inputs", frames.inputs)
    circuit.settle(values)
    for _ in range(frames.latency):
        circuit.clock(values)
        circuit.settle(values)
    _require_outputs(netlist, values, frames.outputs)
    return _counted(values, count)


def _require_outputs(netlist: Netlist, values: Lanes, expected: NDArray[np.uint8]) -> None:
    wrong = 0
    for position, column in enumerate(expected.T):
        name = f"outputs[{position}]" if f"outputs[{position}]" in netlist.outputs else "outputs"
        found = _bits(values[netlist.outputs[name]], len(expected))
        wrong += int((found != column).sum())
    if wrong:
        raise OutputError(
            f"the netlist of cells computes {wrong} of {expected.size} output bits otherwise than the "
            "network; please report this with the bundle"
        )


def _counted(values: Lanes, count: int) -> Activity:
    toggles = np.zeros(len(values))
    duty = np.zeros(len(values))
    step = max(2**24 // max(count, 1), 1)
    for start in range(0, len(values), step):
        rows = values[start : start + step]
        bits = np.unpackbits(np.ascontiguousarray(rows).view(np.uint8), axis=1, bitorder="little")[:, :count]
        duty[start : start + step] = bits.mean(axis=1)
        toggles[start : start + step] = (bits[:, 1:] != bits[:, :-1]).mean(axis=1) if count > 1 else 0.0
    return Activity(toggles, duty)


def _bits(lanes: Lanes, count: int) -> NDArray[np.uint8]:
    return np.unpackbits(np.ascontiguousarray(lanes).view(np.uint8), bitorder="little")[:count]


def _lanes(bits: NDArray[np.uint8]) -> Lanes:
    return np.packbits(np.pad(bits, (0, -len(bits) % 64)), bitorder="little").view(np.uint64)


@dataclass(frozen=True, slots=True)
class _Group:
    """Outputs of one kind whose inputs are ready at the same time: a function, and nets of its pins."""

    function: Node
    pins: Mapping[str, Indices]
    output: Indices


class _Circuit:
    """A netlist as arrays of nets."""

    def __init__(self, netlist: Netlist, library: Library) -> None:
        self._netlist = netlist
        self.nets = netlist.nets
        kinds: dict[str, list[Mapping[str, int]]] = {}
        for each in netlist.instances:
            kinds.setdefault(each.cell, []).append(each.pins)
        gates: list[_Group] = []
        self._next: list[_Group] = []
        self._reads: list[tuple[_Group, slice, tuple[str, str]]] = []
        self.registers = 0
        for name, instances in kinds.items():
            cell = library.cells[name]
            groups = _groups(cell, instances)
            if not cell.next_state:
                gates += groups
                continue
            span = slice(self.registers, self.registers + len(instances))
            self.registers = span.stop
            self._reads += [(group, span, cell.state) for group in groups]
            places = np.arange(span.start, span.stop)
            self._next.append(_Group(compiled(cell.next_state), _pins(instances), places))
        self._levels = _levelled(gates, self.nets)

    def blank(self, words: int) -> Lanes:
        """Values of all nets, false but for the constant."""
        values = np.zeros((self.nets, words), np.uint64)
        values[TRUE] = _ONES
        return values

    def drive(self, values: Lanes, port: str, bits: NDArray[np.uint8]) -> None:
        """Set the bits ``(lanes, width)`` of an input; bits that reach no cell are not there."""
        for position, column in enumerate(bits.T):
            name = f"{port}[{position}]" if f"{port}[{position}]" in self._netlist.inputs else port
            if name in self._netlist.inputs:
                values[self._netlist.inputs[name]] = _lanes(column)

    def set_state(self, values: Lanes, state: Lanes) -> None:
        """Put states ``(registers, words)`` or ``(registers, 1)`` onto the outputs of the registers."""
        for group, span, (plain, inverse) in self._reads:
            known = {plain: state[span], inverse: ~state[span]}
            values[group.output] = _computed(group.function, known.__getitem__)

    def settle(self, values: Lanes) -> None:
        """Compute the gates in order of their levels."""
        for group in self._levels:
            values[group.output] = _computed(group.function, _read(values, group))

    def following(self, values: Lanes) -> Lanes:
        """The states after a clock edge."""
        state = np.zeros((self.registers, values.shape[1]), np.uint64)
        for group in self._next:
            state[group.output] = _computed(group.function, _read(values, group))
        return state

    def clock(self, values: Lanes) -> None:
        """A rising edge."""
        self.set_state(values, self.following(values))

    def loaded(self, loads: IntArray) -> NDArray[np.bool_]:
        """State after all words were loaded.

        Every word is loaded in a lane of its own, from registers that hold 0 and from such that hold 1: what
        a register then takes in both cases is what the word put there.
        """
        count = len(loads)
        address, data = (
            sum(name.split("[")[0] == port for name in self._netlist.inputs)
            for port in ("load_address", "load_data")
        )
        taken = []
        for held in (_NONE, _ONES):
            values = self.blank(-(-count // 64))
            self.set_state(values, np.full((self.registers, 1), held))
            self.drive(values, "load_enable", np.ones((count, 1), np.uint8))
            self.drive(values, "load_address", _binary(np.arange(count), address))
            self.drive(values, "load_data", _binary(loads, data))
            self.settle(values)
            taken.append(self.following(values))
        valid = _lanes(np.ones(count, np.uint8))
        written = taken[0] & taken[1] & valid
        return np.asarray(written.any(axis=1))


def _binary(words: IntArray, width: int) -> NDArray[np.uint8]:
    return ((words[:, None] >> np.arange(width)) & 1).astype(np.uint8)


def _pins(instances: Sequence[Mapping[str, int]]) -> dict[str, Indices]:
    """Pins to the nets of all instances; one that an instance leaves open is false there."""
    names = {name for pins in instances for name in pins}
    return {name: np.array([pins.get(name, 0) for pins in instances], np.int64) for name in names}


def _groups(cell: Cell, instances: Sequence[Mapping[str, int]]) -> list[_Group]:
    groups = []
    for pin, function in cell.functions.items():
        used = [pins for pins in instances if pin in pins]
        if used:
            pins = _pins(used)
            groups.append(_Group(compiled(function), pins, pins[pin]))
    return groups


def _read(values: Lanes, group: _Group) -> Callable[[str], Lanes]:
    return lambda pin: values[group.pins[pin]]


def _levelled(groups: Sequence[_Group], nets: int) -> list[_Group]:
    """Groups cut by level, in order of the levels."""
    level = np.zeros(nets, np.int64)
    reads = [
        np.stack([group.pins[name] for name in _names(group.function)] or [np.zeros_like(group.output)])
        for group in groups
    ]
    for _ in range(nets):
        before = level.copy()
        for group, read in zip(groups, reads, strict=True):
            level[group.output] = level[read].max(axis=0) + 1
        if np.array_equal(level, before):
            break
    else:
        raise OutputError("the netlist has a loop of gates")
    cut: dict[int, list[_Group]] = {}
    for group in groups:
        depths = level[group.output]
        order = np.argsort(depths, kind="stable")
        for chosen in np.split(order, np.flatnonzero(np.diff(depths[order])) + 1):
            pins = {name: nets_of[chosen] for name, nets_of in group.pins.items()}
            depth = int(depths[chosen[0]])
            cut.setdefault(depth, []).append(_Group(group.function, pins, group.output[chosen]))
    return [group for depth in sorted(cut) for group in cut[depth]]


def _names(function: Node) -> set[str]:
    if function[0] == "var":
        return {str(function[1])}
    return {name for part in function[1:] if isinstance(part, tuple) for name in _names(part)}


def _computed(function: Node, value: Callable[[str], Lanes]) -> Lanes:
    match function:
        case ("var", name):
            return value(name)
        case ("const", bit):
            return np.full(1, _ONES if bit else _NONE)
        case ("!", part):
            return ~_computed(part, value)
        case ("&", first, second):
            return _computed(first, value) & _computed(second, value)
        case ("|", first, second):
            return _computed(first, value) | _computed(second, value)
    return _computed(function[1], value) ^ _computed(function[2], value)
