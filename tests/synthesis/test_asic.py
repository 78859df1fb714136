"""Products, adders and full adders of the script compute what they should, whatever is constant or signed."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from codesign.synthesis import Library, asic
from codesign.synthesis.netlist import Netlist, read_blif
from codesign.synthesis.switching import Frames, switching
from codesign.synthesis.yosys import run_yosys, techmap
from tests.synthesis.tiny import TEXT, changed, every_frame, library_of, require

pytestmark = pytest.mark.netlist
WIDTH = 3
NAMES = [f"{port}[{bit}]" for port in "ab" for bit in range(WIDTH)] + ["c", "d"]
FRAMES = every_frame(len(NAMES))
VALUES = {name: FRAMES[:, place].astype(np.int64) for place, name in enumerate(NAMES)}
INVERTED = changed(
    ('"(A B) | (A CI) | (B CI)"', '"!((A B) | (A CI) | (B CI))"'), ('"A ^ B ^ CI"', '"!(A ^ B ^ CI)"')
)
NO_ADDER = changed(('  cell ("fa_1") {', '  cell ("fa_1") {\n    dont_use : true;'))
NO_PLAIN_FLOP = TEXT[: TEXT.index('  cell ("dff_1")')] + TEXT[TEXT.index('  cell ("dffr_1")') :]
Bits = Sequence[str]
"""Names of inputs or ``0`` and ``1``, the lowest bit first."""


def valued(bits: Bits, signed: bool) -> np.ndarray:
    """The operand on all frames."""
    columns = [VALUES.get(bit, np.full(len(FRAMES), int(bit == "1"))) for bit in bits]
    weights = [1 << place for place in range(len(bits))]
    weights[-1] *= -1 if signed else 1
    return sum((weight * column for weight, column in zip(weights, columns, strict=True)), np.int64(0))


def concatenated(bits: Bits) -> str:
    return "{" + ", ".join(f"1'b{bit}" if bit in "01" else bit for bit in reversed(bits)) + "}"


def operands(port: str, width: int) -> list[Bits]:
    """An operand of variables, and with a constant at either end, and constant altogether."""
    free = [f"{port}[{bit}]" for bit in range(width)]
    found: list[Bits] = [free, [*free[:-1], "0"], [*free[:-1], "1"], ["1", *free[1:]], ["0", *free[1:]]]
    return [*found, *(list(bits) for bits in product("01", repeat=width))]


class Cells:
    """Yosys' cells of one kind over the same inputs, and the bits that they have to give."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.expected: list[np.ndarray] = []

    def add(self, text: str, **outputs: tuple[int, np.ndarray]) -> None:
        """A cell by its text, and its outputs by name: their width and values."""
        ports = []
        for name, (width, value) in outputs.items():
            first = len(self.expected)
            ports.append(f".{name}(outputs[{first + width - 1}:{first}])")
            self.expected += [(value >> bit) & 1 for bit in range(width)]
        self.lines.append(f"{text}, {', '.join(ports)});")

    def check(self, maps: Sequence[str], library: Library, work: Path) -> Netlist:
        """Map all of them to the library, and evaluate them on every frame."""
        ports = f"inputs, outputs); input [{len(NAMES) - 1}:0] inputs; output [{len(self.expected) - 1}:0]"
        bits = f"wire [{WIDTH - 1}:0] a, b; wire c, d; assign {{d, c, b, a}} = inputs;"
        text = "\n".join([f"module codesign_chip ({ports} outputs; {bits}", *self.lines, "endmodule\n"])
        commands = ["read_verilog -icells chip.v", "hierarchy -top codesign_chip"]
        commands += [*(f"techmap -map {name}" for name in maps), "opt -fast", "write_rtlil front.il"]
        texts = {"chip.v": text} | {name: techmap(name) for name in asic.TECHMAPS}
        run_yosys(work, "front", commands, texts, timeout=100)
        mapped = asic.map_cells(work / "front.il", work, library, 100.0, timeout=100)
        netlist = read_blif(mapped.netlist, library)
        outputs = np.stack(self.expected, axis=1).astype(np.uint8)
        switching(netlist, library, Frames(FRAMES, outputs, np.zeros(0, np.int64), 0))
        return netlist


def test_products(library: Library, tmp_path: Path) -> None:
    require("pyosys")
    cells = Cells()
    for wide, narrow in product(range(1, WIDTH + 1), repeat=2):
        pairs = [(a, b) for a in operands("a", wide) for b in operands("b", narrow)]
        rng = np.random.default_rng([wide, narrow])
        chosen = [pairs[0], *(pairs[place] for place in rng.choice(len(pairs), 4))]
        for (a, b), signed_a, signed_b in product(chosen, (0, 1), (0, 1)):
            width = int(rng.choice([1, wide, wide + narrow, wide + narrow + 2]))
            cells.add(
                f"\\$mul #(.A_SIGNED({signed_a}), .B_SIGNED({signed_b}), .A_WIDTH({wide}), "
                f".B_WIDTH({narrow}), .Y_WIDTH({width})) m{len(cells.lines)} "
                f"(.A({concatenated(a)}), .B({concatenated(b)})",
                Y=(width, valued(a, bool(signed_a)) * valued(b, bool(signed_b))),
            )
    cells.check(["products.v", "adders.v", "full_adders.v"], library, tmp_path)


def test_adders(library: Library, tmp_path: Path) -> None:
    require("pyosys")
    cells = Cells()
    rng = np.random.default_rng(0)
    for wide, narrow, signed_a, signed_b in product(range(1, WIDTH + 1), range(1, WIDTH + 1), (0, 1), (0, 1)):
        for _ in range(5):
            a, b = (
                operand[int(rng.integers(len(operand)))]
                for operand in (operands("a", wide), operands("b", narrow))
            )
            carry, invert = (str(rng.choice([name, "0", "1"])) for name in "cd")
            width = int(rng.choice([1, max(wide, narrow), max(wide, narrow) + 2]))
            mask = (1 << width) - 1
            first = valued(a, bool(signed_a)) & mask
            second = (valued(b, bool(signed_b)) ^ -valued([invert], False)) & mask
            total = first + second + valued([carry], False)
            carries = (total ^ first ^ second) >> 1
            cells.add(
                f"\\$alu #(.A_SIGNED({signed_a}), .B_SIGNED({signed_b}), .A_WIDTH({wide}), "
                f".B_WIDTH({narrow}), .Y_WIDTH({width})) m{len(cells.lines)} (.A({concatenated(a)}), "
                f".B({concatenated(b)}), .CI({concatenated([carry])}), .BI({concatenated([invert])})",
                X=(width, first ^ second),
                Y=(width, total),
                CO=(width, carries),
            )
    netlist = cells.check(["adders.v", "full_adders.v"], library, tmp_path)
    assert any(each.cell == "fa_1" for each in netlist.instances)


@pytest.mark.parametrize("text", [TEXT, INVERTED, NO_ADDER])
def test_full_adders(text: str, tmp_path: Path) -> None:
    require("pyosys")
    cells = Cells()
    for a, b, c in product(("a[0]", "0", "1"), ("b[0]", "0", "1"), ("c", "0", "1")):
        rows: list[Bits] = [[a, "a[1]"], [b, "b[1]"], [c, "d"]]
        first, second, third = (valued(bits, False) for bits in rows)
        cells.add(
            f"\\$fa #(.WIDTH(2)) m{len(cells.lines)} (.A({concatenated(rows[0])}), "
            f".B({concatenated(rows[1])}), .C({concatenated(rows[2])})",
            X=(2, first & second | first & third | second & third),
            Y=(2, first ^ second ^ third),
        )
    netlist = cells.check(["full_adders.v"], library_of(tmp_path, text), tmp_path)
    adders = [each for each in netlist.instances if each.cell == "fa_1"]
    assert bool(adders) == (text is not NO_ADDER)
    assert all(net > 1 for each in adders for net in each.pins.values())


def test_a_register_that_can_be_cleared_never_is(tmp_path: Path) -> None:
    require("pyosys")
    library = library_of(tmp_path, NO_PLAIN_FLOP)
    text = "module codesign_chip (input clock, inputs, output reg outputs);\n"
    text += "always @(posedge clock) outputs <= inputs;\nendmodule\n"
    (tmp_path / "chip.v").write_text(text, encoding="ascii")
    asic.elaborate([tmp_path / "chip.v"], tmp_path, timeout=100)
    mapped = asic.map_cells(tmp_path / "front.il", tmp_path, library, 100.0, timeout=100)
    (register,) = read_blif(mapped.netlist, library).instances
    assert (register.cell, register.pins["RN"]) == ("dffr_1", 1)


def test_the_digest_is_of_all_that_the_script_does(monkeypatch: pytest.MonkeyPatch) -> None:
    before = asic.digest()
    assert before == asic.digest()
    assert len(before) == 12
    for name in ("_ELABORATE", "_REDUCE", "_MAP", "_ABC"):
        with monkeypatch.context() as patch:
            patch.setattr(asic, name, getattr(asic, name) + "\n")
            assert asic.digest() != before
    monkeypatch.setattr(asic, "techmap", lambda name: techmap(name) + "\n")
    assert asic.digest() != before
