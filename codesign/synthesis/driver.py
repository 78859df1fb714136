"""Runs the commands of a step in Yosys. ``yosys.run_yosys`` starts it as a program of its own."""

import json
import resource
import sys
from pathlib import Path
from typing import Any

MARK = "\\codesign_sum"
"""Attribute of the modules that ``specialise`` may copy."""


def specialise(design: Any, yosys: Any) -> None:
    """Give instances of marked modules that have constant inputs a copy of the module, one for each pattern.

    These are the windows at the border of an image, whose zeros ``opt_hier`` then carries into the copy.
    """
    copies: dict[tuple[str, str], Any] = {}
    for parent in list(design.all_selected_modules()):
        for cell in list(parent.cells_.values()):
            module = design.module(cell.type)
            if module is None or not module.get_bool_attribute(yosys.IdString(MARK)):
                continue
            pattern = _constants(cell, yosys)
            if not pattern.strip("-;"):
                continue
            key = (cell.type.str(), pattern)
            if key not in copies:
                copies[key] = module.clone()
                copies[key].name = yosys.IdString(f"{key[0]}$constants_{len(copies)}")
                design.add(copies[key])
            cell.type = copies[key].name


def _constants(cell: Any, yosys: Any) -> str:
    """Bits of all ports of a cell: 0 or 1, and - for what is no constant."""
    ports = sorted((port.str(), signal) for port, signal in dict(cell.connections_).items())
    return ";".join("".join(_bit(bit, yosys) for bit in signal.bits()) for _, signal in ports)


def _bit(bit: Any, yosys: Any) -> str:
    if bit.is_wire():
        return "-"
    return "1" if bit.data == yosys.State.S1 else "0"


def instances(design: Any) -> dict[str, str]:
    """Instances in the top to the names of their modules."""
    cells = {cell.name.str(): design.module(cell.type) for cell in design.top_module().cells_.values()}
    return {
        name.lstrip("\\"): module.name.str()
        for name, module in cells.items()
        if module is not None and not module.get_blackbox_attribute()
    }


def main(name: str) -> None:
    """Run ``name.ys``; write what it took, and the instances in the top, to ``name.json``."""
    from pyosys import libyosys  # type: ignore[import-not-found, unused-ignore]

    design = libyosys.Design()
    found: dict[str, str] = {}
    for command in Path(f"{name}.ys").read_text(encoding="utf-8").splitlines():
        if command == "specialise":
            specialise(design, libyosys)
        elif command == "instances":
            found = instances(design)
        elif command:
            libyosys.run_pass(command, design)
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(each.ru_utime + each.ru_stime for each in used)
    told = {"seconds": round(seconds, 3), "version": libyosys.yosys_maybe_version(), "instances": found}
    Path(f"{name}.json").write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
