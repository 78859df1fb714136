"""The library of these tests, changed at will, and netlists of its cells."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from codesign.synthesis import Library, find_library
from codesign.synthesis.netlist import FALSE, TRUE, Instance, Netlist

__all__ = [
    "BITS",
    "STAGES",
    "TEXT",
    "changed",
    "every_frame",
    "gate",
    "library_of",
    "netlist_of",
    "opensta",
    "pipeline",
    "require",
]

TEXT = (Path(__file__).parent / "golden" / "tiny.lib").read_text(encoding="ascii")

BITS, STAGES = 3, 2
"""Input bits and stages of registers of ``pipeline``."""
_GATES = ("inv_1", "nand2_1", "nor2_1", "and2_1", "xor2_1", "aoi21_1", "fa_1")


def opensta(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test that needs OpenSTA."""
    absent = shutil.which("sta") is None
    skip = pytest.mark.skipif(absent, reason="OpenSTA (the program sta) is not installed")
    return pytest.mark.sta(skip(test))


def require(*packages: str) -> None:
    """Skip where a package is not installed."""
    for package in packages:
        pytest.importorskip(package, reason=f"the extra rtl ({package}) is not installed")


def changed(*pairs: tuple[str, str]) -> str:
    """Text of the library with other words."""
    text = TEXT
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


def library_of(folder: Path, text: str, name: str = "changed") -> Library:
    """A library of its text."""
    path = folder / f"{name}.lib"
    path.write_text(text, encoding="ascii")
    return find_library(path)


def netlist_of(
    inputs: Sequence[str], outputs: Mapping[str, str], cells: Sequence[tuple[str, Mapping[str, str]]]
) -> Netlist:
    """A netlist by names of nets; ``0`` and ``1`` are the constants."""
    numbers = {"0": 0, "1": 1}

    def net(name: str) -> int:
        return numbers.setdefault(name, len(numbers))

    instances = tuple(Instance(cell, {pin: net(name) for pin, name in pins.items()}) for cell, pins in cells)
    ports = {name: net(name) for name in inputs}, {port: net(name) for port, name in outputs.items()}
    return Netlist(*ports, instances, len(numbers))


def every_frame(bits: int) -> NDArray[np.uint8]:
    """All frames of so many bits, ``(2**bits, bits)``."""
    return ((np.arange(2**bits)[:, None] >> np.arange(bits)) & 1).astype(np.uint8)


def gate(cell: str, **pins: str) -> tuple[str, Mapping[str, str]]:
    """A cell of ``netlist_of``."""
    return cell, pins


def pipeline(library: Library, seed: int) -> tuple[Netlist, NDArray[np.int64]]:
    """A random netlist of registered stages, and how many registers lie in front of each net."""
    rng = np.random.default_rng(seed)
    ready = [FALSE, TRUE, *range(2, 2 + BITS)]
    clock = 2 + BITS
    stages, instances = [0] * (clock + 1), []
    for stage in range(STAGES + 1):
        for name in rng.choice(_GATES, rng.integers(1, 6)):
            cell = library.cells[str(name)]
            pins = {pin: int(rng.choice(ready)) for pin in cell.inputs}
            for pin in cell.functions:
                pins[pin] = len(stages)
                ready.append(len(stages))
                stages.append(stage)
            instances.append(Instance(cell.name, pins))
        if stage < STAGES:
            kept = [int(net) for net in rng.choice(ready, 3)]
            ready = [FALSE, TRUE, *range(len(stages), len(stages) + len(kept))]
            instances += [
                Instance("dff_1", {"D": d, "CK": clock, "Q": q}) for d, q in zip(kept, ready[2:], strict=True)
            ]
            stages += [stage + 1] * len(kept)
    inputs = {"clock": clock} | {f"inputs[{k}]": 2 + k for k in range(BITS)}
    outputs = {f"outputs[{k}]": int(net) for k, net in enumerate(rng.choice(ready, 2))}
    mixed = tuple(instances[place] for place in rng.permutation(len(instances)))
    return Netlist(inputs, outputs, mixed, len(stages)), np.array(stages)
