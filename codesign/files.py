"""Files are written whole or not at all."""

import errno
import os
import tempfile
from pathlib import Path
from typing import Final

from codesign.errors import OutputError

__all__ = ["AFTER_FULL", "unwritable", "write_file"]

AFTER_FULL: Final = "free some space; what was finished before is safe, resume later"


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all: beside first, then renamed; raise ``OutputError`` if that fails.

    Whatever stops it, an interrupt from the keyboard included, nothing is left beside.
    """
    data = content.encode() if isinstance(content, str) else content
    beside = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(beside).chmod(0o644)
        Path(beside).replace(path)
    except BaseException as error:
        if beside is not None:
            Path(beside).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OutputError(unwritable(path, error)) from error
        raise


def unwritable(path: Path, error: Exception) -> str:
    """Why a file or folder cannot be written, and what to do."""
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        return f"no room to write {path}: {error}; {AFTER_FULL}"
    return f"cannot write {path}: {error}; choose a folder that can be written"
