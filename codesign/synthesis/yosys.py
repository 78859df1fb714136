"""Yosys, in a process of its own: the wheel ``pyosys`` has no program, and a run must be stoppable."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from codesign.synthesis import driver
from codesign.tools import require_package, run

__all__ = ["Run", "run_yosys", "techmap"]


@dataclass(frozen=True, slots=True)
class Run:
    """What a run of Yosys took: CPU seconds with all it started, and which version it was."""

    seconds: float
    version: str


def techmap(name: str) -> str:
    """Text of a file of ``techmaps``."""
    return files("codesign.synthesis").joinpath("techmaps", name).read_text(encoding="utf-8")


def run_yosys(
    work: Path, name: str, commands: Sequence[str], texts: Mapping[str, str], *, timeout: float
) -> Run:
    """Run commands in ``work``; keep script and log there as ``name.ys`` and ``name.log``.

    Parameters
    ----------
    work
        Folder that relative paths in the commands start from; must exist.
    name
        Of the step.
    commands
        Yosys' commands, and ``specialise``, which is ours: see ``driver``.
    texts
        Files to write into ``work`` before.
    timeout
        Seconds after which it is stopped.

    Raises
    ------
    MissingToolError
        Without pyosys.
    OutputError
        If Yosys fails, with its last lines; as ``ToolTimeoutError`` if it takes too long.
    """
    require_package("pyosys", "rtl")
    for file, text in {f"{name}.ys": "\n".join(commands) + "\n", **texts}.items():
        (work / file).write_text(text, encoding="utf-8")
    run(
        [sys.executable, "-P", Path(driver.__file__), name],
        cwd=work,
        log=work / f"{name}.log",
        what=f"synthesis ({name})",
        timeout=timeout,
    )
    took = json.loads((work / f"{name}.json").read_text())
    return Run(float(took["seconds"]), str(took["version"]))
