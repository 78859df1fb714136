"""Compiled kernels: training of small networks with samples in the vector lanes, and exact optimal transport.

One library, built by ``pip install`` where a C compiler is, holds every kernel for several instruction
sets; the best one that this processor has is taken. Where the library is absent, callers do the same work
with PyTorch and POT, and say so: ``absence`` is the reason.
"""

import ctypes
import os
from collections.abc import Sequence
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any, Final

from codesign.errors import ConfigError, MissingToolError

__all__ = ["ISAS", "VARIABLE", "absence", "available", "function", "instruction_set", "supported"]

ISAS: Final = ("avx512", "avx2", "plain")
"""Instruction sets, best first."""

VARIABLE: Final = "CODESIGN_NATIVE"
"""Environment variable: one of ``ISAS``, or ``off``; for tests, comparisons and processors that lie."""

_REBUILD: Final = "with a C compiler, `pip install --force-reinstall --no-deps codesign` builds it"


def available() -> bool:
    """Whether the kernels can be called."""
    return not absence()


@cache
def absence() -> str:
    """Why the kernels cannot be called; empty if they can."""
    if os.environ.get(VARIABLE) == "off":
        return f"{VARIABLE} is off"
    path = _path()
    if path is None:
        return f"the compiled kernels are not installed; {_REBUILD}"
    try:
        ctypes.CDLL(str(path))
    except OSError as error:
        return f"the compiled kernels cannot be loaded ({error}); {_REBUILD}"
    return ""


@cache
def instruction_set() -> str:
    """Instruction set of the kernels that are called: ``avx512``, ``avx2`` or ``plain``."""
    asked = os.environ.get(VARIABLE)
    if asked is None:
        return supported()[0]
    if asked not in supported():
        raise ConfigError(
            f"{VARIABLE} is off or, on this processor, {' or '.join(supported())}; got {asked!r}"
        )
    return asked


@cache
def supported() -> tuple[str, ...]:
    """Instruction sets of this processor that the library has, best first."""
    tests = ((isa, getattr(_library(), f"supported_{isa}", None)) for isa in ISAS)
    return tuple(isa for isa, test in tests if test is not None and test())


@cache
def function(name: str, arguments: Sequence[Any], result: Any = None, isa: str | None = None) -> Any:
    """Kernel ``name``, ready to be called; the interpreter's lock is released while it runs.

    Parameters
    ----------
    name
        Without the ending that names the instruction set.
    arguments, result
        Types of ``ctypes``, as a tuple.
    isa
        Of ``supported()``; None: ``instruction_set()``.

    Raises
    ------
    MissingToolError
        If the library is absent or older than this source.
    """
    found = getattr(_library(), f"{name}_{isa or instruction_set()}", None)
    if found is None:
        raise MissingToolError(f"the compiled kernels lack {name!r}: they are of another version; {_REBUILD}")
    found.argtypes, found.restype = list(arguments), result
    return found


@cache
def _library() -> ctypes.CDLL:
    reason = absence()
    if reason:
        raise MissingToolError(reason)
    return ctypes.CDLL(str(_path()))


def _path() -> Path | None:
    places = (Path(__file__).with_name(f"_kernels{suffix}") for suffix in EXTENSION_SUFFIXES)
    return next((place for place in places if place.is_file()), None)
