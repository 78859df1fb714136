"""A flat netlist of library cells: read from Yosys' BLIF, written as Verilog with plain names."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from codesign.errors import OutputError
from codesign.synthesis.library import Library

__all__ = ["FALSE", "TRUE", "Instance", "Netlist", "read_blif", "verilog"]

FALSE, TRUE = 0, 1
"""The nets that are constant."""


@dataclass(frozen=True, slots=True)
class Instance:
    """A cell of the library: its name there, and its pins to nets."""

    cell: str
    pins: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Netlist:
    """Cells between nets; a net is a number, 0 is false and 1 is true.

    Parameters
    ----------
    inputs, outputs
        Ports, a bit each (``inputs[7]``), to nets.
    instances
        Cells.
    nets
        How many nets there are.
    """

    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    instances: tuple[Instance, ...]
    nets: int


def read_blif(path: Path, library: Library) -> Netlist:
    """Read what Yosys' ``write_blif -gates`` wrote.

    Raises
    ------
    OutputError
        For a cell that the library has not, and what is no cell of a library.
    """
    index = {"$false": FALSE, "$true": TRUE, "$undef": FALSE}
    found: list[Instance] = []
    aliases: dict[int, int] = {}
    ports: dict[str, list[str]] = {".inputs": [], ".outputs": []}

    def net(name: str) -> int:
        return index.setdefault(name, len(index) - 1)

    for words in _lines(path):
        match words[0]:
            case ".gate":
                if words[1] not in library.cells:
                    raise OutputError(f"the netlist has a cell {words[1]!r}, which {library.name} has not")
                pairs = (word.split("=", 1) for word in words[2:])
                found.append(Instance(words[1], {pin: net(name) for pin, name in pairs}))
            case ".subckt" | ".latch":
                raise OutputError(f"the netlist has {' '.join(words[:2])!r}, which is no cell of a library")
            case ".names" if len(words) == 3:
                aliases[net(words[2])] = net(words[1])
            case ".inputs" | ".outputs":
                ports[words[0]] += words[1:]

    def source(number: int) -> int:
        while number in aliases:
            number = aliases[number]
        return number

    return Netlist(
        {name: source(net(name)) for name in ports[".inputs"]},
        {name: source(net(name)) for name in ports[".outputs"]},
        tuple(
            Instance(each.cell, {pin: source(number) for pin, number in each.pins.items()}) for each in found
        ),
        len(index),
    )


def _lines(path: Path) -> Iterator[list[str]]:
    """Words of each line; a line that ends in a backslash goes on."""
    held: list[str] = []
    with path.open(encoding="ascii", errors="replace") as stream:
        for line in stream:
            words = line.split()
            if words and words[-1] == "\\":
                held += words[:-1]
                continue
            if held or words:
                yield held + words
            held = []


def verilog(netlist: Netlist, top: str, *, extra: Iterable[str] = ()) -> str:
    """Structural Verilog: ports ``i<n>`` and ``o<n>``, instances ``u<n>``, nets ``n<n>`` by their numbers.

    An output port for each net that is an output, an input port for each input. ``clock`` keeps its name.

    Parameters
    ----------
    netlist
        What to write.
    top
        Name of the module.
    extra
        Lines to add to its body.
    """
    driven = set(netlist.outputs.values()) - set(netlist.inputs.values()) - {FALSE, TRUE}
    inputs = [port_of(name, number) for name, number in netlist.inputs.items()]
    names = {number: port_of(name, number) for name, number in netlist.inputs.items()}
    names |= {number: f"o{number}" for number in driven} | {FALSE: "1'b0", TRUE: "1'b1"}
    ports = [*inputs, *(f"o{number}" for number in sorted(driven))]
    lines = [f"module {top} ({', '.join(ports)});"]
    lines += [f"input {port};" for port in inputs] + [f"output o{number};" for number in sorted(driven)]
    wires = {number for each in netlist.instances for number in each.pins.values()} - set(names)
    lines += [f"wire n{number};" for number in sorted(wires)]
    for place, each in enumerate(netlist.instances):
        pins = ", ".join(f".{pin}({names.get(number, f'n{number}')})" for pin, number in each.pins.items())
        lines.append(f"{each.cell} u{place} ({pins});")
    return "\n".join([*lines, *extra, "endmodule", ""])


def port_of(name: str, number: int) -> str:
    """Name of an input port in the Verilog."""
    return name if name == "clock" else f"i{number}"
