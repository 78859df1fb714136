"""Standard-cell libraries: Liberty files, found, unpacked, and read as far as synthesis needs them.

A library is one Liberty file or several that make one together (ASAP7 has five). The form is that of the
Liberty Reference Manual (Synopsys, "Liberty User Guides and Reference Manual Suite", 2017.06).
"""

import gzip
import hashlib
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Final

from codesign.errors import ConfigError, OutputError
from codesign.synthesis.functions import evaluated, variables

__all__ = ["FOLDER", "LIBRARIES", "Cell", "FullAdder", "Library", "find_library"]

FOLDER: Final = "CODESIGN_LIBERTY"
"""Environment variable that names the folder of the libraries that have a name."""

LIBRARIES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "sky130hd": ("sky130hd_tt", "sky130_fd_sc_hd__tt_025C_1v80"),
        "sg13g2": ("sg13g2_stdcell_typ_1p20V_25C",),
        "asap7": ("asap7sc7p5t_*_RVT_TT_nldm_*",),
    }
)
"""Names of libraries to the files they are, without ``.lib`` or ``.lib.gz``: the first pattern that fits."""

_SUFFIXES: Final = (".lib", ".lib.gz")
_ASAP7_FILES: Final = 5
_TOKEN: Final = re.compile(
    r'"[^"]*"|(?P<open>\w+)\s*\(\s*(?P<name>[^()]*?)\s*\)\s*\{|(?P<close>\})'
    r"|(?P<key>\b(?:area|function|direction|clocked_on|next_state|clear|preset|dont_use"
    r'|time_unit|leakage_power_unit|nom_voltage|voltage)\b)\s*:\s*(?P<value>"[^"]*"|[^;"\n]*)'
    r'|capacitive_load_unit\s*\(\s*(?P<load>[\d.]+)\s*,\s*"?(?P<unit>\w+)"?',
    re.DOTALL,
)
_COMMENT: Final = re.compile(r"/\*.*?\*/", re.DOTALL)
_TELLING: Final = ("{", "}", ":", "capacitive_load_unit")
"""What a line of interest holds; the others, most of a file, are tables."""
_KEPT_GROUPS: Final = ("cell", "pin", "ff", "latch", "statetable")


@dataclass(frozen=True, slots=True)
class Cell:
    """What of a cell matters to whoever evaluates a netlist.

    Parameters
    ----------
    name
        As in the netlist.
    area
        Its ``area``, in um2 by custom: Liberty gives the figure no unit.
    inputs
        Input pins.
    functions
        Output pins to their functions; of a flip-flop, functions of its state.
    next_state, clocked_on, state
        Function of the next state, clock expression and names (state, its inverse) of a D flip-flop; empty
        for combinational cells.
    idle
        Pins that clear or preset the state to the bits at which they do not.
    usable
        Whether the library lets tools choose it, and it holds no latch.
    """

    name: str
    area: float
    inputs: tuple[str, ...]
    functions: Mapping[str, str]
    next_state: str = ""
    clocked_on: str = ""
    state: tuple[str, str] = ("", "")
    idle: Mapping[str, int] = field(default_factory=dict)
    usable: bool = True


@dataclass(frozen=True, slots=True)
class FullAdder:
    """A cell that adds three bits: its pins, and which outputs it inverts."""

    cell: str
    inputs: tuple[str, str, str]
    carry: str
    total: str
    carry_inverted: bool
    total_inverted: bool


@dataclass(frozen=True, slots=True)
class Library:
    """A standard-cell library.

    Parameters
    ----------
    name
        ``sky130hd``, ``sg13g2``, ``asap7``, or the stem of the user's file.
    title
        What the Liberty file calls itself; of several files what their names begin with.
    files
        Liberty files, as they were found.
    digest
        SHA-256 of the unpacked files, in order of their names.
    voltage
        Nominal supply, in V.
    time_ns, capacitance_pf, leakage_mw
        Units of time, capacitance and leakage power, in ns, pF and mW.
    cells
        Names to cells.
    """

    name: str
    title: str
    files: tuple[Path, ...]
    digest: str
    voltage: float
    time_ns: float
    capacitance_pf: float
    leakage_mw: float
    cells: Mapping[str, Cell]

    @property
    def full_adder(self) -> FullAdder | None:
        """The smallest cell that is a full adder; None where the library has none."""
        found = [(cell.area, adder) for cell in self.cells.values() if (adder := _full_adder(cell))]
        return min(found, key=lambda pair: (pair[0], pair[1].cell))[1] if found else None

    @property
    def flip_flop(self) -> Cell:
        """The smallest D flip-flop of the rising edge; raise ``ConfigError`` where the library has none."""
        found = [
            cell
            for cell in self.cells.values()
            if cell.usable
            and cell.next_state
            and len(cell.functions) == 1
            and len(variables(cell.next_state)) == 1
            and cell.clocked_on in cell.inputs
            and set(cell.inputs) == {cell.clocked_on, *variables(cell.next_state), *cell.idle}
        ]
        if not found:
            raise ConfigError(f"library {self.name} has no D flip-flop of the rising edge")
        return min(found, key=lambda cell: (cell.area, cell.name))

    def unpacked(self) -> tuple[Path, ...]:
        """Plain Liberty files for tools that read no gzip, made once in the user's cache folder.

        Raises
        ------
        OutputError
            If the cache cannot be written.
        """
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(base) / "codesign" / "liberty" / self.digest[:16]
        return tuple(_plain(path, folder) for path in self.files)


def find_library(name: str | Path | Sequence[str | Path], folder: str | Path | None = None) -> Library:
    """A library by name, or by the path of its Liberty file or files.

    Parameters
    ----------
    name
        A name of ``LIBRARIES``, or paths that end in ``.lib`` or ``.lib.gz``.
    folder
        Where named libraries lie; None: the environment variable ``CODESIGN_LIBERTY``.

    Raises
    ------
    ConfigError
        For an unknown name, a file that is not there, or one that is no Liberty file of cells.
    """
    if isinstance(name, str) and name in LIBRARIES:
        paths = _named(name, folder)
        return _read(name, tuple((path, path.stat().st_mtime_ns) for path in paths))
    paths = tuple(Path(each) for each in ([name] if isinstance(name, str | Path) else name))
    for path in paths:
        if not path.name.endswith(_SUFFIXES):
            raise ConfigError(
                f"libraries are {', '.join(LIBRARIES)}, or Liberty files that end in .lib or .lib.gz; "
                f"got {str(path)!r}"
            )
        if not path.is_file():
            raise ConfigError(f"there is no Liberty file {path}; check the path")
    if not paths:
        raise ConfigError("a library is one Liberty file or several, got none")
    stem = paths[0].name.removesuffix(".gz").removesuffix(".lib")
    return _read(stem, tuple((path.resolve(), path.stat().st_mtime_ns) for path in sorted(paths)))


def _named(name: str, folder: str | Path | None) -> tuple[Path, ...]:
    where = folder or os.environ.get(FOLDER)
    if not where:
        raise ConfigError(
            f"library {name}: set {FOLDER} to the folder that holds its Liberty files, or give their paths"
        )
    for pattern in LIBRARIES[name]:
        by_stem: dict[str, Path] = {}
        for suffix in _SUFFIXES:
            for path in sorted(Path(where).glob(pattern + suffix)):
                by_stem.setdefault(path.name.removesuffix(".gz"), path.resolve())
        if by_stem:
            if name == "asap7" and len(by_stem) != _ASAP7_FILES:
                raise ConfigError(
                    f"library asap7 is {_ASAP7_FILES} files (AO, INVBUF, OA, SEQ, SIMPLE), and {where} has "
                    f"{', '.join(by_stem)}; leave one version of each there"
                )
            return tuple(by_stem.values())
    raise ConfigError(
        f"library {name}: no {LIBRARIES[name][0]}.lib or .lib.gz in {where}; put it there, or set {FOLDER}"
    )


def _plain(path: Path, folder: Path) -> Path:
    place = folder / path.name.removesuffix(".gz")
    if place.exists():
        return place
    try:
        folder.mkdir(parents=True, exist_ok=True)
        opened = gzip.open if path.suffix == ".gz" else open
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as stream, opened(path, "rb") as source:
            shutil.copyfileobj(source, stream)
        Path(stream.name).replace(place)
    except OSError as error:
        raise OutputError(
            f"cannot unpack {path.name} into {folder}: {error.strerror or error}; set XDG_CACHE_HOME to a "
            "folder that can be written"
        ) from error
    return place


@lru_cache(maxsize=8)
def _read(name: str, stamped: tuple[tuple[Path, int], ...]) -> Library:
    """Read Liberty files; their times of change only keep the cache true."""
    hashed = hashlib.sha256()
    titles: list[str] = []
    cells: dict[str, Cell] = {}
    units: dict[str, str] = {}
    for path, _ in stamped:
        text = _text(path)
        hashed.update(text.encode("latin-1"))
        titles.append(_parse(path, text, cells, units))
    return Library(
        name,
        _title(titles),
        tuple(path for path, _ in stamped),
        hashed.hexdigest(),
        _number(units["nom_voltage"], "the nominal voltage of the library"),
        _unit(units["time_unit"], "s") * 1e9,
        _unit(units["capacitance"], "f") * 1e12,
        _unit(units["leakage_power_unit"], "W") * 1e3,
        MappingProxyType(cells),
    )


def _text(path: Path) -> str:
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigError(f"cannot read the Liberty file {path}: {error}; fetch it anew") from error
    return raw.decode("latin-1")


def _parse(path: Path, text: str, cells: dict[str, Cell], units: dict[str, str]) -> str:
    title = ""
    for kind, name, lines in _groups(path, text):
        if kind == "library":
            title = name
            units.update(lines)
        elif kind == "cell":
            cell = _cell(name, lines)
            cells[cell.name] = cell
    if not title or not cells:
        raise ConfigError(f"{path} is no Liberty file of cells: it has no {'cell' if title else 'library'}")
    missing = {"time_unit", "capacitance", "leakage_power_unit", "nom_voltage"} - set(units)
    if missing:
        raise ConfigError(f"{path}: the library states no {', '.join(sorted(missing))}")
    return title


_Line = tuple[str, str]


def _groups(path: Path, text: str) -> Iterator[tuple[str, str, list[_Line]]]:
    """Cells with their lines, then the library; lines of pins and states are headed by ``pin`` and such."""
    stack: list[str] = []
    header: list[_Line] = []
    lines: list[_Line] = []
    cell = title = ""
    telling = [line for line in _COMMENT.sub("", text).splitlines() if any(mark in line for mark in _TELLING)]
    for token in _TOKEN.finditer("\n".join(telling)):
        if token["open"]:
            stack.append(token["open"])
            named = token["name"].replace('"', "").strip()
            if stack == ["library"]:
                title = named
            elif stack[-1] == "cell":
                cell, lines = named, []
            elif stack[-1] in _KEPT_GROUPS:
                lines.append((stack[-1], named))
        elif token["close"]:
            if not stack:
                raise ConfigError(f"{path} is no Liberty file: a brace closes what was not opened")
            if stack.pop() == "cell":
                yield "cell", cell, lines
        elif token["load"]:
            header.append(("capacitance", f"{token['load']}{token['unit']}"))
        elif token["key"] and stack:
            value = token["value"].strip('" ')
            if len(stack) == 1:
                header.append((token["key"], value))
            elif stack[-1] in _KEPT_GROUPS:
                lines.append((f"{stack[-1]}.{token['key']}", value))
            elif stack[-1] == "operating_conditions" and token["key"] == "voltage":
                header.append(("nom_voltage", value))
    if stack:
        raise ConfigError(f"{path} is cut: {len(stack)} groups are open at its end ({', '.join(stack)})")
    if title:
        yield "library", title, header


def _cell(name: str, lines: Sequence[_Line]) -> Cell:
    pin, area = "", 0.0
    directions: dict[str, str] = {}
    functions: dict[str, str] = {}
    state: dict[str, str] = {}
    names = ("", "")
    usable = True
    for key, value in lines:
        match key:
            case "pin":
                pin = value
            case "ff":
                first, _, second = value.partition(",")
                names = (first.strip(), second.strip())
            case "latch" | "statetable":
                usable = False
            case "cell.area":
                area = _number(value, f"the area of cell {name}")
            case "cell.dont_use":
                usable = usable and value.lower() != "true"
            case "pin.direction":
                directions[pin] = value
            case "pin.function":
                functions[pin] = value
            case "ff.next_state" | "ff.clocked_on" | "ff.clear" | "ff.preset":
                state[key[3:]] = value
    return Cell(
        name,
        area,
        tuple(found for found, way in directions.items() if way == "input"),
        MappingProxyType({found: function for found, function in functions.items() if found in directions}),
        state.get("next_state", ""),
        state.get("clocked_on", ""),
        names,
        MappingProxyType(
            {
                pin: 1 - evaluated(state[role], {pin: 1})
                for role in ("clear", "preset")
                if role in state and len(variables(state[role])) == 1
                for pin in variables(state[role])
            }
        ),
        usable,
    )


def _full_adder(cell: Cell) -> FullAdder | None:
    """The cell as a full adder, by its truth table; None if it is another cell."""
    if len(cell.inputs) != 3 or len(cell.functions) != 2 or cell.next_state or not cell.usable:
        return None
    if any(set(variables(function)) != set(cell.inputs) for function in cell.functions.values()):
        return None
    rows = [dict(zip(cell.inputs, bits, strict=True)) for bits in product((0, 1), repeat=3)]
    tables = {
        pin: tuple(evaluated(function, row) for row in rows) for pin, function in cell.functions.items()
    }
    wanted = {
        "carry": tuple(int(sum(row.values()) > 1) for row in rows),
        "total": tuple(sum(row.values()) % 2 for row in rows),
    }
    pins: dict[str, tuple[str, bool]] = {}
    for role, table in wanted.items():
        for pin, found in tables.items():
            if found in (table, tuple(1 - bit for bit in table)):
                pins[role] = (pin, found != table)
    if len(pins) != len(wanted):
        return None
    a, b, c = cell.inputs
    (carry, carry_inverted), (total, total_inverted) = pins["carry"], pins["total"]
    return FullAdder(cell.name, (a, b, c), carry, total, carry_inverted, total_inverted)


def _title(titles: Sequence[str]) -> str:
    common = os.path.commonprefix(list(titles)).rstrip("_-")  # noqa: RUF071 -- of letters, not of folders
    return common or "+".join(titles)


def _number(words: str, what: str) -> float:
    try:
        return float(words)
    except ValueError:
        raise ConfigError(f"{what} is a number, got {words!r}") from None


_PREFIXES: Final = {"": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15, "a": 1e-18}


def _unit(words: str, base: str) -> float:
    """``1ps`` in seconds, ``1.0pf`` in farads, ``1nW`` in watts."""
    found = re.fullmatch(rf"([\d.]+)\s*([munpfa]?){base}", words.strip().strip('"'), re.IGNORECASE)
    if found is None:
        raise ConfigError(f"the library states a unit {words!r}, expected such as 1n{base}")
    return float(found[1]) * _PREFIXES[found[2].lower()]
