"""Read trigger-cell charges of wafers from CSV files, plain or gzipped, as CMS simulations write them.

A row is a wafer: columns ``CALQ_0`` to ``CALQ_47`` and any others, found by name. Files without a header are
read by position. A file that is not of this form is refused with its faults named by file and line. A file
whose columns are in another order than the geometry's draws a warning, since its header would not tell.
"""

import codecs
import csv
import gzip
import io
import itertools
import re
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from codesign.errors import DataError
from codesign.tasks.data_check import cell_order
from codesign.tasks.wafers import TRIGGER_CELLS, Wafers

__all__ = ["TriggerCellOrderWarning", "read_trigger_cells"]

_CALQ: Final = [f"CALQ_{i}" for i in range(TRIGGER_CELLS)]
_POSITIONS: Final = {
    55: "tc_eta",
    56: "tc_phi",
}  # of files without a header, after the study's ``--noHeader``
_LARGEST: Final = np.iinfo(np.int32).max
_SHOWN: Final = 10
_SMALL: Final = re.compile(r"[0-9]{1,9}")
_INDEX_ROWS: Final = 10


class TriggerCellOrderWarning(UserWarning):
    """Columns of charges that do not fit the places of the trigger cells."""


def read_trigger_cells(path: str | Path) -> Wafers:
    """Read wafers from a CSV file or from all ``*.csv`` and ``*.csv.gz`` of a folder, in order of name.

    Parameters
    ----------
    path
        Gzip is told by content, not by name. The first row is a header if it names a ``CALQ`` column or holds
        no number. Without one, columns 0 to 47 are the charges, 55 and 56 ``tc_eta`` and ``tc_phi`` of a file
        that has both, and column k of the others is named ``column_k``, as is a column with an empty name.

    Returns
    -------
    wafers
        Rows with charge, and those other columns that every file has.

    Raises
    ------
    DataError
        If there is no such file, or it is not readable text of this form. Faulty rows of all files are
        gathered into one error, which shows the first ten.

    Warns
    -----
    TriggerCellOrderWarning
        If neighbouring trigger cells do not see charge together as they do in CALQ order.
    """
    path = Path(path)
    faults = _Faults()
    tables = [_read(file, faults) for file in _files(path)]
    if faults.count:
        raise DataError(f"{path}: {faults}")
    calq = np.concatenate([table.calq for table in tables])
    common = [name for name in tables[0].columns if all(name in table.columns for table in tables)]
    columns = {name: np.concatenate([table.columns[name] for table in tables]) for name in common}
    wafers = Wafers.from_rows(calq, columns, str(path))
    if not len(wafers):
        raise DataError(
            f"{path}: none of its {len(calq)} rows has charge; a wafer needs at least one CALQ above 0"
        )
    _warn_of_order(wafers)
    return wafers


def _files(path: Path) -> list[Path]:
    try:
        if not path.is_dir():
            return [path]
        names = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    files = [entry for entry in names if entry.name.lower().endswith((".csv", ".csv.gz")) and entry.is_file()]
    if not files:
        raise DataError(f"{path}: the folder holds no *.csv or *.csv.gz; name a file or another folder")
    return files


@dataclass(frozen=True, slots=True)
class _Table:
    """Rows of a file: charges of shape (n, 48), other columns of shape (n,)."""

    calq: NDArray[np.int32]
    columns: Mapping[str, NDArray[Any]]


@dataclass(slots=True)
class _Faults:
    """Faulty rows met so far: how many, and the first ten in words."""

    count: int = 0
    shown: list[str] = field(default_factory=list)

    def add(self, fault: str) -> None:
        """Count a faulty row."""
        self.count += 1
        if len(self.shown) < _SHOWN:
            self.shown.append(fault)

    def __str__(self) -> str:
        more = f"\n  and {self.count - _SHOWN} more" if self.count > _SHOWN else ""
        rows = "1 faulty row" if self.count == 1 else f"{self.count} faulty rows"
        return f"{rows}; mend or delete them:\n  " + "\n  ".join(self.shown) + more


def _read(file: Path, faults: _Faults) -> _Table:
    """Rows of a file: parsed together and, should any be faulty, once more one by one."""
    text = _text(file)
    names, has_header = _names(file, text)
    table = _parse(text, names, has_header) or _parse_with_care(file, text, names, has_header, faults)
    if not len(table.calq) and not faults.count:
        raise DataError(f"{file}: a header and no rows; expected a row per wafer")
    if not has_header and _counts_rows(table.calq[:, 0]):
        raise DataError(
            f"{file}: no header, and the first column counts the rows; "
            "write the file without that column or with a header"
        )
    return table


def _counts_rows(values: NDArray[np.int32]) -> bool:
    """Whether a column is the row number that pandas writes unless told not to."""
    return len(values) >= _INDEX_ROWS and bool((values == np.arange(len(values))).all())


# --- bytes and header


def _text(file: Path) -> bytes:
    """Content of a file, unpacked: UTF-8 without a byte order mark."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from error
    if data.startswith(b"\x1f\x8b"):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{file}: a broken gzip file ({error}); copy it again") from error
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not a text file, byte {error.start} is not UTF-8; expected CSV") from error
    if b"\0" in data:
        raise DataError(f"{file}: not a text file, byte {data.index(0)} is zero; expected CSV")
    return data.removeprefix(codecs.BOM_UTF8)


def _names(file: Path, text: bytes) -> tuple[list[str], bool]:
    """Names of the columns, and whether the first row gives them."""
    _, first = next(_numbered_rows(file, text, has_header=False), (0, None))
    if first is None:
        raise DataError(f"{file}: the file is empty; expected rows of CALQ_0 to CALQ_47")
    cells = [cell.strip() for cell in first]
    has_header = any(cell.startswith("CALQ") for cell in cells) or not any(map(_is_number, cells))
    if not has_header:
        if len(cells) < TRIGGER_CELLS:
            raise DataError(
                f"{file}: {len(cells)} columns and no header; the charges alone are 48{_hint(first)}"
            )
        return _names_by_position(len(cells)), False
    names = [cell or f"column_{i}" for i, cell in enumerate(cells)]
    _check_names(file, names, _hint(first))
    return names, True


def _names_by_position(count: int) -> list[str]:
    extras = _POSITIONS if count > max(_POSITIONS) else {}
    return [*_CALQ, *(extras.get(i, f"column_{i}") for i in range(TRIGGER_CELLS, count))]


def _check_names(file: Path, names: Sequence[str], hint: str) -> None:
    missing = [name for name in _CALQ if name not in names]
    if missing:
        raise DataError(
            f"{file}: no column {_shorten(missing)} of CALQ_0 to CALQ_47 among its {len(names)}{hint}"
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{file}: more than one column {_shorten(twice)}; rename or drop the others")
    beyond = [name for name in names if re.fullmatch(r"CALQ_\d+", name) and name not in _CALQ]
    if beyond:
        raise DataError(f"{file}: a column {_shorten(beyond)}; a wafer has CALQ_0 to CALQ_47 only")


def _hint(cells: Sequence[str]) -> str:
    """What to do about a first row that another character than a comma divides."""
    for character, name in ((";", "semicolons"), ("\t", "tabs"), (" ", "spaces")):
        if len(cells) == 1 and character in cells[0].strip():
            return f"; it is divided by {name}, expected commas"
    return ""


def _shorten(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def _blank(row: Sequence[str]) -> bool:
    return not row or (len(row) == 1 and not row[0].strip())


# --- rows


def _parse(text: bytes, names: Sequence[str], has_header: bool) -> _Table | None:
    """Parse all rows together; ``None`` if any may be faulty."""
    import pandas as pd

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            warnings.simplefilter("error", pd.errors.DtypeWarning)
            frame = pd.read_csv(
                io.BytesIO(text),
                names=list(names),
                header=0 if has_header else None,
                index_col=False,
            )
    except (ValueError, pd.errors.ParserWarning, pd.errors.DtypeWarning):  # a ParserError is a ValueError
        return None
    fields_agree = text.count(b",") == (len(frame) + has_header) * (len(names) - 1)
    kinds = {dtype.kind for dtype in frame.dtypes[_CALQ]}
    if frame.empty or not fields_agree or not kinds <= {"i", "f"}:
        return None
    values = np.column_stack([frame[name].to_numpy() for name in _CALQ])
    if not ((values >= 0) & (values <= _LARGEST)).all() or (values != np.floor(values)).any():
        return None
    others = {name: frame[name].to_numpy() for name in names if name not in _CALQ}
    return _Table(
        values.astype(np.int32), {name: _without_objects(column) for name, column in others.items()}
    )


def _without_objects(column: NDArray[Any]) -> NDArray[Any]:
    return column.astype(str) if column.dtype == object else column


def _parse_with_care(
    file: Path, text: bytes, names: Sequence[str], has_header: bool, faults: _Faults
) -> _Table:
    """Parse rows one by one, keep those without fault and note the others."""
    at = [names.index(name) for name in _CALQ]
    kept = []
    for line, row in _numbered_rows(file, text, has_header):
        if len(row) != len(names):
            faults.add(f"{file.name}, line {line}: {len(row)} fields, expected {len(names)}")
        elif fault := _fault_of_cells([row[i] for i in at]):
            faults.add(f"{file.name}, line {line}: {fault}")
        else:
            kept.append(row)
    calq = np.array([[float(row[i]) for i in at] for row in kept]).reshape(-1, TRIGGER_CELLS)
    others = {name: _column([row[i] for row in kept]) for i, name in enumerate(names) if name not in _CALQ}
    return _Table(calq.astype(np.int32), others)


def _numbered_rows(file: Path, text: bytes, has_header: bool) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, below the header, with the number of the line on which each ends."""
    reader = csv.reader(io.TextIOWrapper(io.BytesIO(text), "utf-8", newline=""))
    try:
        rows = ((reader.line_num, row) for row in reader if not _blank(row))
        yield from itertools.islice(rows, int(has_header), None)
    except csv.Error as error:
        raise DataError(f"{file}, line {reader.line_num}: not CSV ({error})") from error


def _fault_of_cells(cells: Sequence[str]) -> str:
    """First fault among the 48 charges of a row, and how many more there are; empty if there is none."""
    if all(map(_SMALL.fullmatch, cells)):
        return ""
    faults = [f"{name} is {why}" for name, cell in zip(_CALQ, cells, strict=True) if (why := _fault_of(cell))]
    more = f" (and {len(faults) - 1} more in this row)" if len(faults) > 1 else ""
    return faults[0] + more if faults else ""


def _fault_of(cell: str) -> str:
    """Why a cell is not a charge; empty if it is one."""
    if not cell.strip():
        return "missing"
    if not _is_number(cell):
        return f"{cell!r}, not a number"
    value = float(cell)
    if not np.isfinite(value):
        return f"{cell!r}, not finite"
    if value < 0:
        return f"{cell!r}, negative"
    if value != np.floor(value):
        return f"{cell!r}, not a whole number of counts"
    return f"{cell!r}, above {_LARGEST}" if value > _LARGEST else ""


def _column(cells: Sequence[str]) -> NDArray[Any]:
    """Values of another column: integers, else floats with missing ones not a number, else text."""
    stripped = [cell.strip() for cell in cells]
    for kind, values in ((np.int64, stripped), (np.float64, [cell or "nan" for cell in stripped])):
        try:
            return np.array(values).astype(kind)
        except (ValueError, OverflowError):
            continue
    return np.array(stripped)


# --- order of the trigger cells


def _warn_of_order(wafers: Wafers) -> None:
    order = cell_order(wafers)
    if order.fits is not False:
        return
    if order.ae_block_score > order.score:
        found = (
            f"AE-block order (score {order.ae_block_score:.1f}) fits better than CALQ order; if so, rename "
            "column k to CALQ_{AE_BLOCK[k]}, with AE_BLOCK of codesign.tasks.data_check"
        )
    else:
        found = (
            "they are in neither CALQ nor AE-block order; ask who wrote the file for the order of its columns"
        )
    warnings.warn(
        f"{wafers.source}: the columns do not fit the places of the trigger cells, so that distances between "
        f"them mean nothing: in {order.wafers} wafers, neighbours see charge together with score "
        f"{order.score:.1f}, where a random order stays below 4 and 1,000 wafers in CALQ order reach 18; "
        f"P(hit) is {order.neighbour:.3f} beside a hit, {order.far:.3f} far from one. Perhaps {found}",
        TriggerCellOrderWarning,
        stacklevel=3,
    )
