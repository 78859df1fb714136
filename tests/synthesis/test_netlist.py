"""A netlist comes out of BLIF, and out of the Verilog that is written of it, as it was."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.errors import OutputError
from codesign.synthesis import Library
from codesign.synthesis.asic import _black_boxes
from codesign.synthesis.netlist import FALSE, TRUE, Netlist, read_blif, verilog
from codesign.synthesis.yosys import run_yosys
from tests.synthesis.tiny import TEXT, library_of, netlist_of, require

NETS = ["$false", "$true", *(f"a[{k}]" for k in range(3)), *(f"$abc$1$n{k}" for k in range(5))]
gates = st.lists(st.tuples(*[st.sampled_from(NETS)] * 3), max_size=8)


def blif(netlist: Netlist) -> str:
    """As Yosys writes it."""
    names = {FALSE: "$false", TRUE: "$true"} | {net: f"n{net}" for net in range(2, netlist.nets)}
    names |= {net: name for name, net in netlist.inputs.items()}
    lines = [".model chip", f".inputs {' '.join(netlist.inputs)}", f".outputs {' '.join(netlist.outputs)}"]
    lines += [".names $false", ".names $true", "1", ".names $undef"]
    for each in netlist.instances:
        pins = (f"{pin}={names[net]}" for pin, net in each.pins.items())
        lines.append(f".gate {each.cell} {' '.join(pins)}")
    for name, net in netlist.outputs.items():
        lines += [f".names {names[net]} {name}", "1 1"]
    return "\n".join([*lines, ".end", ""])


@given(gates, st.sampled_from(NETS))
def test_blif_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[str, str, str]], output: str
) -> None:
    library = library_of(tmp_path_factory.getbasetemp(), TEXT, "tiny")
    rename = {"$false": "0", "$true": "1"}
    made = netlist_of(
        NETS[2:5],
        {"y": rename.get(output, output)},
        [
            ("nand2_1", {pin: rename.get(net, net) for pin, net in zip("ABY", pins, strict=True)})
            for pins in cells
        ],
    )
    path = tmp_path_factory.mktemp("blif") / "netlist.blif"
    path.write_text(blif(made), encoding="ascii")
    found = read_blif(path, library)
    pairs = [(made.outputs["y"], found.outputs["y"])]
    pairs += [(net, found.inputs[name]) for name, net in made.inputs.items()]
    for old, new in zip(made.instances, found.instances, strict=True):
        assert (old.cell, list(old.pins)) == (new.cell, list(new.pins))
        pairs += [(net, new.pins[pin]) for pin, net in old.pins.items()]
    assert len(set(pairs)) == len({old for old, _ in pairs}) == len({new for _, new in pairs})
    assert all(old == new for old, new in pairs if old in (FALSE, TRUE) or new in (FALSE, TRUE))


def test_lines_go_on_and_names_are_followed(library: Library, tmp_path: Path) -> None:
    path = tmp_path / "netlist.blif"
    path.write_text(
        ".model chip\n.inputs a \\\n b\n.outputs x y z\n.names $undef\n.gate nand2_1 A=p \\\n  B=b Y=q\n"
        ".names a o\n1 1\n.names o p\n1 1\n.names q x\n1 1\n.names $true y\n1 1\n"
        ".names $undef z\n1 1\n.end\n",
        encoding="ascii",
    )
    found = read_blif(path, library)
    (gate,) = found.instances
    assert dict(gate.pins) == {"A": found.inputs["a"], "B": found.inputs["b"], "Y": found.outputs["x"]}
    assert (found.outputs["y"], found.outputs["z"]) == (TRUE, FALSE)


@pytest.mark.parametrize(
    ("line", "match"),
    [
        (".gate nand9 A=a Y=y", "the netlist has a cell 'nand9', which tiny has not"),
        (".subckt sum A=a Y=y", r"the netlist has '.subckt sum', which is no cell of a library"),
        (".latch a y re clock 2", r"the netlist has '.latch a', which is no cell of a library"),
    ],
)
def test_what_is_no_cell_is_refused(line: str, match: str, library: Library, tmp_path: Path) -> None:
    path = tmp_path / "netlist.blif"
    path.write_text(f".model chip\n.inputs a\n.outputs y\n{line}\n.end\n", encoding="ascii")
    with pytest.raises(OutputError, match=match):
        read_blif(path, library)


@pytest.mark.netlist
def test_verilog_is_the_netlist(library: Library, tmp_path: Path) -> None:
    require("pyosys")
    rng = np.random.default_rng(0)
    nets = ["0", "1", "clock", *(f"a[{k}]" for k in range(4))]
    cells = []
    for name in rng.choice([name for name in library.cells if name != "dffr_1"], 60):
        cell = library.cells[name]
        pins = {pin: str(rng.choice(nets[:7] + nets[-9:])) for pin in cell.inputs}
        pins |= {pin: f"n{len(nets) + place}" for place, pin in enumerate(cell.functions)}
        nets += [pins[pin] for pin in cell.functions]
        cells.append((str(name), pins))
    made = netlist_of(nets[2:7], {f"y[{k}]": nets[-1 - k] for k in range(3)} | {"y[3]": nets[4]}, cells)
    commands = ["read_verilog -lib cells.v", "read_verilog chip.v", "hierarchy -check -top chip"]
    texts = {"cells.v": _black_boxes(library), "chip.v": verilog(made, "chip")}
    run_yosys(tmp_path, "round", [*commands, "write_blif -gates netlist.blif"], texts, timeout=100)
    found = read_blif(tmp_path / "netlist.blif", library)
    assert fingerprint(found) == fingerprint(made)
    assert len(found.outputs) == len(made.outputs) - 1  # an input that is an output is no port


def fingerprint(netlist: Netlist) -> Counter[tuple[object, ...]]:
    """Each cell by what it is made of, down to the inputs: the same whatever nets are called."""
    known: dict[int, object] = {FALSE: 0, TRUE: 1}
    known |= {net: place for place, net in enumerate(netlist.inputs.values(), 2)}
    waiting = list(netlist.instances)
    found: Counter[tuple[object, ...]] = Counter()
    outputs = {pin for each in waiting for pin in each.pins} & {"Y", "X", "CO", "S", "Q"}
    while waiting:
        ready = [
            each
            for each in waiting
            if all(net in known for pin, net in each.pins.items() if pin not in outputs)
        ]
        assert ready
        for each in ready:
            read = sorted((pin, known[net]) for pin, net in each.pins.items() if pin not in outputs)
            made = hash((each.cell, tuple(read)))
            known |= {net: hash((pin, made)) for pin, net in each.pins.items() if pin in outputs}
            found[each.cell, made] += 1
            waiting.remove(each)
    driven = set(netlist.outputs.values()) - set(netlist.inputs.values())
    return found + Counter({("output", known[net]): 1 for net in driven})
