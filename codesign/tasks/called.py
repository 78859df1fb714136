"""What a task's own code raises, said in one line."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from codesign.errors import CodesignError, ConfigError

__all__ = ["called"]

OURS = ("builtins", "codesign", "typing", "abc")


@contextmanager
def called(name: str, owner: type) -> Iterator[None]:
    """Around a call into the code of a task.

    Parameters
    ----------
    name
        What messages call the task.
    owner
        Its class.

    Raises
    ------
    ConfigError
        For an error that went through a module of this class or of one above it, with file, line and
        function. An error of a task of codesign's own is left as it is.
    """
    try:
        yield
    except CodesignError:
        raise
    except Exception as error:
        place = _place(error, owner)
        if not place:
            raise
        raise ConfigError(
            f"task {name!r} raised {type(error).__name__}: {error} at {place}; mend it there, see "
            "docs/howto/own-task.md"
        ) from error


def _place(error: Exception, owner: type) -> str:
    """The last line of the task's own code that an error went through; empty if there is none."""
    modules = {each.__module__ for each in owner.__mro__ if each.__module__.split(".")[0] not in OURS}
    found = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        if frame.f_globals.get("__name__") in modules:
            found = f"{Path(frame.f_code.co_filename).name}:{line}, in {frame.f_code.co_name}"
    return found
