"""Errors that a user can act on.

::

    CodesignError            anything the user can mend; the command line prints it and exits with 2
    ├── ConfigError          a study file or an option: unknown key, wrong type, unknown name
    ├── SpaceError           a parameter, a candidate, or a space with no valid point
    ├── BudgetError          no design of the space meets the budgets
    ├── NetworkError         layers that do not fit together, weights that do not fit a format
    ├── UnsupportedLayerError   a layer that a model or a back end cannot take
    ├── DataError            a file or an array that is not what a task reads
    ├── ReportError          a tool's report: damaged, truncated, foreign, or of another form
    ├── TargetError          an estimate and a report of different targets
    ├── StoreError           a study folder: absent, unreadable, of another version or another space
    ├── OutputError          a file or folder that cannot be written
    │   ├── DifferenceError  an exported form that computes something else than the network
    │   └── ToolTimeoutError a tool that took longer than it was given
    └── MissingToolError     a library or program that is not installed
"""

import traceback
from collections.abc import Collection
from pathlib import Path
from typing import Any

__all__ = [
    "BudgetError",
    "CodesignError",
    "ConfigError",
    "DataError",
    "DifferenceError",
    "MissingToolError",
    "NetworkError",
    "OutputError",
    "ReportError",
    "SpaceError",
    "StoreError",
    "TargetError",
    "ToolTimeoutError",
    "UnsupportedLayerError",
    "counted",
    "raised_at",
]


def counted(count: int, noun: str, many: str | None = None) -> str:
    """A count with its noun, as messages say it; ``many`` where the plural is not the noun with an s.

    Examples
    --------
    >>> counted(1, "design"), counted(2000, "design"), counted(0, "index", "indices")
    ('1 design', '2,000 designs', '0 indices')
    """
    return f"{count:,} {noun if count == 1 else many or f'{noun}s'}"


class CodesignError(Exception):
    """Something the user can mend: what was given, what was expected, what to do."""


class ConfigError(CodesignError):
    """A study file or option with an unknown key, a wrong type or an unknown name."""


class SpaceError(CodesignError):
    """A parameter, candidate or space that admits no valid point."""


class BudgetError(CodesignError):
    """Budgets that no design of the space meets."""


class NetworkError(CodesignError):
    """Layers that do not fit together, or weights that do not fit their format."""


class UnsupportedLayerError(CodesignError):
    """A layer that a hardware model or an export back end cannot take."""


class DataError(CodesignError):
    """A file or array that is not what the task reads."""


class ReportError(CodesignError):
    """A report of a tool that cannot be read for what it is said to be."""


class TargetError(CodesignError):
    """An estimate and a report of different targets."""


class StoreError(CodesignError):
    """A study folder that is absent, unreadable, or of another version or space."""


class OutputError(CodesignError):
    """A file or folder that cannot be written."""


class DifferenceError(OutputError):
    """An exported form that computes something else than the network; ``computed`` holds its outputs."""

    def __init__(self, message: str, computed: Any) -> None:
        super().__init__(message)
        self.computed = computed


class ToolTimeoutError(OutputError):
    """A tool that took longer than it was given, and was stopped."""


class MissingToolError(CodesignError):
    """A library or program that is not installed."""


def raised_at(error: BaseException, modules: Collection[str]) -> str:
    """The last line in some modules that an error went through, as ``jets.py:72, in score``; else empty."""
    found = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        if frame.f_globals.get("__name__") in modules:
            found = f"{Path(frame.f_code.co_filename).name}:{line}, in {frame.f_code.co_name}"
    return found
