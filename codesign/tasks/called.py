"""What a task's own code raises, said in one line."""

from collections.abc import Iterator
from contextlib import contextmanager

from codesign.errors import CodesignError, ConfigError, raised_at

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
        place = raised_at(error, _modules(owner))
        if not place:
            raise
        raise ConfigError(
            f"task {name!r} raised {type(error).__name__}: {error} at {place}; mend it there, see "
            "docs/howto/own-task.md"
        ) from error


def _modules(owner: type) -> set[str]:
    """Modules of a class and of those above it, without codesign's own."""
    return {each.__module__ for each in owner.__mro__ if each.__module__.split(".")[0] not in OURS}
