"""The RTL of an export as a netlist of gates, by Yosys, and those gates evaluated.

The gates are Yosys' own (AND, OR, XOR, NOT, MUX, D flip-flop): no library and no technology mapping, which
come with a Liberty file. What this hop shows is that synthesis understands the Verilog as simulation does,
and that triplicated registers survive it.

Evaluation is levelised and bit-parallel: a net is a row of 64-bit words, a bit a frame, and all gates of a
kind and level are one array operation. A compiled simulation of 75,000 gates took 46 s to build; this takes
seconds for a million.
"""

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from codesign.errors import OutputError
from codesign.export import verilog
from codesign.export.bundle import fixed_edges, load_network
from codesign.fixedpoint import FixedPoint, IntArray
from codesign.tools import require_package, run

__all__ = ["Netlist", "netlist", "simulate_gates", "simulate_netlist"]

Lanes = NDArray[np.uint64]
Indices = NDArray[np.int64]

_ONES: Final = np.uint64(2**64 - 1)
_LANE_BYTES: Final = 256 * 2**20
_GATES: Final[Mapping[str, tuple[str, ...]]] = {
    "$_AND_": ("A", "B"),
    "$_OR_": ("A", "B"),
    "$_XOR_": ("A", "B"),
    "$_NOT_": ("A",),
    "$_MUX_": ("A", "B", "S"),
}
_FLIP_FLOP: Final = "$_DFF_P_"

_SCRIPT: Final = """\
from pyosys import libyosys

design = libyosys.Design()
with open("synthesis.ys") as script:
    for command in script.read().splitlines():
        libyosys.run_pass(command, design)
"""


@dataclass(frozen=True, slots=True)
class Netlist:
    """Gates of a design.

    Parameters
    ----------
    path
        BLIF file of the netlist, in Yosys' gates.
    gates
        Combinational gates.
    flip_flops
        D flip-flops, every copy counted.
    seconds
        Time Yosys took.
    """

    path: Path
    gates: int
    flip_flops: int
    seconds: float


def netlist(folder: Path, work: Path, *, timeout: float = 1800.0) -> Netlist:
    """Synthesise the Verilog of an export into gates.

    Parameters
    ----------
    folder
        What ``rtl.export`` wrote.
    work
        Folder for ``netlist.blif`` and logs; must exist.
    timeout
        Seconds after which Yosys is stopped.

    Raises
    ------
    MissingToolError
        Without pyosys.
    OutputError
        If Yosys fails or takes too long.
    """
    require_package("pyosys", "rtl")
    sources = sorted((folder / "rtl").glob("*.v"))
    for number, source in enumerate(sources):
        (work / f"source_{number}.v").write_bytes(source.read_bytes())
    commands = [
        "read_verilog " + " ".join(f"source_{number}.v" for number in range(len(sources))),
        f"hierarchy -check -top {verilog.TOP}",
        "synth -noabc -run begin:check",  # a module once: half the time of a flat design
        f"dfflegalize -cell {_FLIP_FLOP} x",
        "check -assert",
        "tee -q -o gates.json stat -json",
        # The copies of registers were kept apart by their modules until here; nothing merges them any more.
        "setattr -mod -unset keep_hierarchy *",
        "flatten",
        "write_blif -gates -icells netlist.blif",
    ]
    (work / "synthesis.ys").write_text("\n".join(commands) + "\n", encoding="ascii")
    program = work / "synthesise.py"
    program.write_text(_SCRIPT, encoding="ascii")
    started = perf_counter()
    run(
        [sys.executable, program],
        cwd=work,
        log=work / "yosys.log",
        what="synthesising the RTL",
        timeout=timeout,
    )
    seconds = perf_counter() - started
    kinds = json.loads((work / "gates.json").read_text())["design"]["num_cells_by_type"]
    gates = sum(kinds.get(kind, 0) for kind in _GATES)
    return Netlist(work / "netlist.blif", gates, kinds.get(_FLIP_FLOP, 0), seconds)


def simulate_netlist(folder: Path, inputs: NDArray[Any], *, timeout: float = 1800.0) -> IntArray:
    """Output codes of the chip as the gates compute them that synthesis makes of an export.

    Parameters
    ----------
    folder
        What ``rtl.export`` wrote.
    inputs
        Real values ``(n, *input_shape)``.
    timeout
        Seconds for Yosys.

    Returns
    -------
    codes
        ``(n, *output shape of the chip)``.
    """
    with tempfile.TemporaryDirectory(prefix="codesign-netlist-") as name:
        return simulate_gates(netlist(folder, Path(name), timeout=timeout), folder, inputs)


def simulate_gates(made: Netlist, folder: Path, inputs: NDArray[Any]) -> IntArray:
    """Output codes of the chip as the gates of a netlist compute them; see ``simulate_netlist``."""
    chip = load_network(folder)
    before, after = fixed_edges(chip, "rtl")
    codes = before.quantise(np.asarray(inputs)).reshape(len(inputs), int(np.prod(chip.input_shape)))
    latency = json.loads((folder / "provenance.json").read_text())["measured"]["latency_cycles"]
    circuit = _Circuit(made.path)
    port = verilog.load_port(chip) if circuit.has("load_enable") else None
    state = circuit.initial()
    if port is not None:
        state = circuit.loaded(state, verilog.load_sequence(chip).tolist(), port)
    lanes = max(_LANE_BYTES // (8 * circuit.nets), 1) * 64
    parts = [
        _frames(circuit, state, codes[start : start + lanes], (before, after), latency)
        for start in range(0, len(codes), lanes)
    ]
    found = np.concatenate(parts) if parts else np.zeros((0, 0), np.int64)
    return found.reshape(len(inputs), *chip.output_shape)


def _frames(
    circuit: "_Circuit",
    state: NDArray[np.bool_],
    codes: IntArray,
    formats: tuple[FixedPoint, FixedPoint],
    latency: int,
) -> IntArray:
    """Outputs ``(n, values)`` of frames, each in its own bit of the lanes."""
    before, after = formats
    bits = ((codes[:, :, None] >> np.arange(before.width)) & 1).reshape(len(codes), -1)
    values = circuit.blank(-(-len(codes) // 64))
    values[circuit.outputs_of_flip_flops] = np.where(state, _ONES, np.uint64(0))[:, None]
    for position, column in enumerate(bits.T.astype(np.uint8)):
        circuit.drive(values, f"inputs[{position}]", _to_lanes(column))
    for _ in range(latency):
        circuit.settle(values)
        circuit.clock(values)
    circuit.settle(values)
    width = circuit.width("outputs")
    read = [_from_lanes(circuit.read(values, f"outputs[{k}]"), len(codes)) for k in range(width)]
    words = np.stack(read, axis=1).reshape(len(codes), -1, after.width).astype(np.int64)
    found = words @ (1 << np.arange(after.width, dtype=np.int64))
    return np.where(found > after.maximum, found - (1 << after.width), found)


def _to_lanes(bits: NDArray[np.uint8]) -> Lanes:
    padded = np.pad(bits, (0, -len(bits) % 64))
    return np.packbits(padded, bitorder="little").view(np.uint64)


def _from_lanes(lanes: Lanes, count: int) -> NDArray[np.uint8]:
    return np.unpackbits(np.ascontiguousarray(lanes).view(np.uint8), bitorder="little")[:count]


@dataclass(frozen=True, slots=True)
class _Group:
    """Gates of one kind whose inputs are ready at the same time."""

    kind: str
    inputs: tuple[Indices, ...]
    output: Indices


class _Circuit:
    """A netlist as arrays of net indices. Net 0 is false, net 1 is true."""

    def __init__(self, path: Path) -> None:
        self._index: dict[str, int] = {"$false": 0, "$true": 1, "$undef": 0}
        pins: dict[str, list[list[int]]] = {kind: [] for kind in (*_GATES, _FLIP_FLOP, "alias")}
        for kind, nets in _cells(path):
            pins[kind].append([self._net(net) for net in nets])
        self.nets = len(self._index)
        names = [name.split("[")[0] for name in self._index]
        self._widths = {
            name: names.count(name) for name in ("inputs", "outputs", "load_address", "load_data")
        }
        alias = np.arange(self.nets)
        for source, copy in pins["alias"]:
            alias[copy] = source
        while not np.array_equal(alias, alias[alias]):
            alias = alias[alias]
        self._alias = alias
        flip_flops = np.array(pins[_FLIP_FLOP], np.int64).reshape(-1, 2)
        self._data, self.outputs_of_flip_flops = alias[flip_flops[:, 0]], flip_flops[:, 1]
        self._levels = self._levelled(
            {
                kind: alias[np.array(pins[kind], np.int64).reshape(-1, len(_GATES[kind]) + 1)]
                for kind in _GATES
            }
        )

    def _net(self, name: str) -> int:
        return self._index.setdefault(name, len(self._index))

    def has(self, name: str) -> bool:
        """Whether there is a net of this name."""
        return name in self._index

    def width(self, bus: str) -> int:
        """Bits of a port; a bus of one bit has no index."""
        return self._widths[bus]

    def _levelled(self, gates: Mapping[str, Indices]) -> list[_Group]:
        level = np.zeros(self.nets, np.int64)
        for _ in range(self.nets):
            before = level.copy()
            for pins in gates.values():
                if len(pins):
                    level[pins[:, -1]] = level[pins[:, :-1]].max(axis=1) + 1
            if np.array_equal(level, before):
                break
        groups: dict[int, list[_Group]] = {}
        for kind, pins in gates.items():
            depths = level[pins[:, -1]]
            order = np.argsort(depths, kind="stable")
            for chosen in np.split(pins[order], np.flatnonzero(np.diff(depths[order])) + 1):
                if len(chosen):
                    group = _Group(kind, tuple(chosen.T[:-1]), chosen.T[-1])
                    groups.setdefault(int(level[chosen[0, -1]]), []).append(group)
        return [group for depth in sorted(groups) for group in groups[depth]]

    def blank(self, words: int) -> Lanes:
        """Values of all nets, false but for the constant."""
        values = np.zeros((self.nets, words), np.uint64)
        values[1] = _ONES
        return values

    def drive(self, values: Lanes, name: str, lanes: Any) -> None:
        """Set an input; one that no gate reads is not there."""
        index = self._index.get(name)
        if index is None and name.endswith("[0]"):
            index = self._index.get(name[:-3])
        if index is not None:
            values[index] = lanes

    def read(self, values: Lanes, name: str) -> Lanes:
        """Value of an output."""
        index = self._index[name] if name in self._index else self._index[name[:-3]]
        lanes: Lanes = values[self._alias[index]]
        return lanes

    def settle(self, values: Lanes, groups: Sequence[_Group] | None = None) -> None:
        """Compute the gates, or some of them, in order of their levels."""
        for group in self._levels if groups is None else groups:
            values[group.output] = _gate(group.kind, [values[pins] for pins in group.inputs])

    def clock(self, values: Lanes) -> None:
        """A rising edge."""
        values[self.outputs_of_flip_flops] = values[self._data]

    def initial(self) -> NDArray[np.bool_]:
        """State of the flip-flops before anything is loaded: all false."""
        return np.zeros(len(self._data), np.bool_)

    def loaded(
        self, state: NDArray[np.bool_], words: Sequence[int], port: verilog.LoadPort
    ) -> NDArray[np.bool_]:
        """State after words were loaded; only the gates in front of the weights' registers are computed."""
        kept, groups = self._load_cone()
        values = self.blank(1)
        values[self.outputs_of_flip_flops, 0] = np.where(state, _ONES, np.uint64(0))
        self.drive(values, "load_enable", _ONES)
        for address, word in enumerate(words):
            for name, number, width in (
                ("load_address", address, port.address_width),
                ("load_data", word, port.data_width),
            ):
                for bit in range(width):
                    self.drive(values, f"{name}[{bit}]", _ONES if (number >> bit) & 1 else np.uint64(0))
            self.settle(values, groups)
            values[self.outputs_of_flip_flops[kept]] = values[self._data[kept]]
        return np.asarray(values[self.outputs_of_flip_flops, 0] != 0)

    def _load_cone(self) -> tuple[NDArray[np.bool_], list[_Group]]:
        """Flip-flops that no frame reaches, and the gates in front of them."""
        reached = np.zeros(self.nets, np.bool_)
        for name, index in self._index.items():
            reached[index] = name.split("[")[0] == "inputs"
        for _ in range(len(self._data) + 1):
            before = reached.copy()
            for group in self._levels:
                reached[group.output] = np.any([reached[pins] for pins in group.inputs], axis=0)
            reached[self.outputs_of_flip_flops] |= reached[self._data]
            if np.array_equal(reached, before):
                break
        kept = np.logical_not(reached[self._data])
        needed = np.zeros(self.nets, np.bool_)
        needed[self._data[kept]] = True
        groups = []
        for group in reversed(self._levels):
            chosen = needed[group.output]
            if chosen.any():
                inputs = tuple(pins[chosen] for pins in group.inputs)
                for pins in inputs:
                    needed[pins] = True
                groups.append(_Group(group.kind, inputs, group.output[chosen]))
        return kept, groups[::-1]


def _gate(kind: str, values: Sequence[Lanes]) -> Lanes:
    if kind == "$_AND_":
        return values[0] & values[1]
    if kind == "$_OR_":
        return values[0] | values[1]
    if kind == "$_XOR_":
        return values[0] ^ values[1]
    if kind == "$_NOT_":
        return ~values[0]
    return (values[0] & ~values[2]) | (values[1] & values[2])


def _cells(path: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Kind and nets of each cell of a BLIF file, the output last; a connection is an ``alias``.

    Raises
    ------
    OutputError
        For a cell that is none of the gates.
    """
    with path.open(encoding="ascii", errors="replace") as stream:
        for line in stream:
            words = line.split()
            if line.startswith(".gate"):
                pins = dict(word.split("=", 1) for word in words[2:])
                if words[1] == _FLIP_FLOP:
                    yield _FLIP_FLOP, (pins["D"], pins["Q"])
                elif words[1] in _GATES:
                    yield words[1], (*(pins[pin] for pin in _GATES[words[1]]), pins["Y"])
                else:
                    raise OutputError(f"the netlist has a cell {words[1]!r}, which is no gate")
            elif line.startswith(".names") and len(words) == 3:
                yield "alias", (words[1], words[2])
            elif line.startswith((".inputs", ".outputs")):
                for name in words[1:]:
                    yield "alias", (name, name)
