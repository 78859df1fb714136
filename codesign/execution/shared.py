"""An object sent to processes that share the memory of its arrays."""

import mmap
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import cloudpickle

from codesign.errors import ConfigError, OutputError

__all__ = ["Parcel", "Shared"]

_ALIGNMENT: Final = 64


@dataclass(frozen=True, slots=True)
class Parcel:
    """What a process needs to make the object: small, whatever its arrays hold.

    Parameters
    ----------
    pickled
        The object without the contents of its arrays.
    path
        File of these contents, one after the other.
    places
        Start and size of each in the file, in bytes.
    """

    pickled: bytes
    path: Path
    places: tuple[tuple[int, int], ...]

    def open(self) -> Any:
        """The object; its arrays are views of the file, which all processes share, and cannot be written."""
        if not self.places:
            return pickle.loads(self.pickled)
        with self.path.open("rb") as file:
            contents = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        return pickle.loads(
            self.pickled, buffers=[contents[start : start + size] for start, size in self.places]
        )


class Shared:
    """An object in a temporary file, as long as this lives.

    Raises
    ------
    ConfigError
        If the object cannot be pickled.
    OutputError
        If the file cannot be written.
    """

    def __init__(self, value: Any) -> None:
        self._folder = TemporaryDirectory(prefix="codesign-")
        contents: list[pickle.PickleBuffer] = []
        try:
            pickled = cloudpickle.dumps(value, protocol=5, buffer_callback=contents.append)
        except Exception as error:
            self.close()
            raise ConfigError(
                "the task or the recipe cannot be sent to worker processes: "
                f"{type(error).__name__}: {error}; run with workers=1, or make it picklable (a class of a "
                "notebook or script must hold no lock and no open file; functools.cached_property of "
                "Python 3.11 holds a lock)"
            ) from error
        views = [content.raw() for content in contents]
        places = tuple(_places([view.nbytes for view in views]))
        self.parcel = Parcel(pickled, Path(self._folder.name, "arrays"), places)
        try:
            with self.parcel.path.open("wb") as file:
                for view, (start, _) in zip(views, places, strict=True):
                    file.seek(start)
                    file.write(view)
                file.write(b"\0")  # a file of empty arrays cannot be mapped
        except OSError as error:
            self.close()
            raise OutputError(
                f"cannot write {self.parcel.path} for the worker processes: {error.strerror or error}; "
                "free some space there, or set TMPDIR to another folder"
            ) from error

    def close(self) -> None:
        """Remove the file; who has opened it keeps what it has."""
        self._folder.cleanup()


def _places(sizes: list[int]) -> Iterator[tuple[int, int]]:
    start = 0
    for size in sizes:
        yield start, size
        start += -(-size // _ALIGNMENT) * _ALIGNMENT
