"""What every parser reads with: lines, numbers, bordered tables, JSON and XML, each with its error."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any, Final, NoReturn
from xml.parsers import expat

from codesign.errors import ReportError

__all__ = ["UNSTATED", "Node", "Table", "Text", "frequency_mhz"]

UNSTATED: Final = "unstated"
"""Version of a tool whose report does not name it."""
_NUMBER: Final = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,25})?(?:[eE][-+]?[0-9]{1,2})?")
_ABSENT: Final = frozenset({"", "-", "--", "?", "NA", "N/A", "undef", "inf", "Unspecified"})
_DEEPEST: Final = 100
_LARGEST: Final = 1e15


@dataclass(frozen=True, slots=True)
class Node:
    """An element of XML: its text, attributes, children and line."""

    tag: str
    line: int
    attributes: Mapping[str, str]
    children: tuple["Node", ...]
    text: str

    def find(self, path: str) -> "Node | None":
        """First element under this one by its tags, as ``AreaEstimates/Resources``."""
        found: Node | None = self
        for tag in path.split("/"):
            found = next((child for child in found.children if child.tag == tag), None) if found else None
        return found


@dataclass(frozen=True, slots=True)
class Table:
    """Rows between borders, in groups; every row is its line number (from 0) and its cells as they stand."""

    line: int
    groups: tuple[tuple[tuple[int, tuple[str, ...]], ...], ...]

    def column(self, name: str, group: int = 0) -> int | None:
        """Place of the column whose heading, in the last row of a group, matches a pattern whole."""
        heads = self.groups[group][-1][1]
        return next((k for k, head in enumerate(heads) if re.fullmatch(name, head.strip())), None)


@dataclass(frozen=True, slots=True)
class Text:
    """A report: where it came from, and its lines."""

    source: str
    lines: tuple[str, ...]

    @classmethod
    def of(cls, text: str, source: str) -> "Text":
        """Cut into lines; those of other systems too."""
        return cls(source, tuple(text.replace("\r\n", "\n").replace("\r", "\n").split("\n")))

    @property
    def stem(self) -> str:
        """Name of the file without folder and suffix: what a report is of that does not name its design."""
        return PurePosixPath(self.source.replace("\\", "/")).stem or self.source

    def refuse(self, line: int, expected: str) -> NoReturn:
        """Raise ``ReportError`` that names file, line (given from 0) and what was expected there."""
        if line < len(self.lines):
            found = self.lines[line].strip()
            got = f"found {found[:77] + '...' if len(found) > 80 else found!r}"
        else:
            got = "the file ends; is it cut?"
        raise ReportError(f"{self.source}, line {line + 1}: expected {expected}; {got}")

    def find(self, pattern: str, what: str, start: int = 0) -> int:
        """Line that matches a pattern from its beginning, from ``start`` on; refuse where there is none."""
        seen = self.seek(pattern, start)
        return self.refuse(len(self.lines), what) if seen is None else seen

    def seek(self, pattern: str, start: int = 0) -> int | None:
        """As ``find``, None where there is none."""
        compiled = re.compile(pattern)
        return next((k for k in range(start, len(self.lines)) if compiled.match(self.lines[k])), None)

    def word(self, pattern: str, what: str, start: int = 0) -> str:
        """First group of the first line that matches a pattern."""
        line = self.find(pattern, what, start)
        found = re.match(pattern, self.lines[line])
        word = found.group(1).strip() if found else ""
        return word or self.refuse(line, what)

    def number(self, line: int, cell: str, what: str) -> float:
        """A number of ``line``, as 12, 3.5 or 1.2e-04; refuse anything else."""
        if _NUMBER.fullmatch(cell.strip()) is None:
            self.refuse(line, f"{what}, a number, not {cell.strip()[:40]!r}")
        value = float(cell)
        return int(value) if value.is_integer() else value

    def count(self, line: int, cell: str, what: str) -> float:
        """A number of 0 or more."""
        value = self.number(line, cell, what)
        return value if value >= 0 else self.refuse(line, f"{what} of 0 or more")

    def maybe(self, line: int, cell: str, what: str) -> float | None:
        """A number of 0 or more, or None where the tool says that it does not know."""
        return None if cell.strip() in _ABSENT else self.count(line, cell, what)

    def whole(self, line: int, cell: str, what: str) -> int | None:
        """As ``maybe``, of whole cycles."""
        value = self.maybe(line, cell, what)
        if value is not None and not float(value).is_integer():
            self.refuse(line, f"{what}, a whole number")
        return None if value is None else int(value)

    def table(self, start: int, what: str, *, groups: int, separator: str = "|") -> Table:
        """The bordered table at or below a line; refuse one that is not whole.

        Parameters
        ----------
        start
            Line to look from.
        what
            What the table holds, for the error.
        groups
            Groups of rows that it has at least; each group stands between two borders.
        separator
            Character between cells.
        """
        first = self.find(r"\s*\+[-+]+\+\s*$", f"the table of {what}", start)
        width = len(self.lines[first].strip())
        found: list[tuple[tuple[int, tuple[str, ...]], ...]] = []
        rows: list[tuple[int, tuple[str, ...]]] = []
        line = first + 1
        while line < len(self.lines) and (row := self.lines[line].strip()):
            if row.startswith("+"):
                if re.fullmatch(r"\+[-+]+\+", row) is None or len(row) != width:
                    self.refuse(line, f"a border of the table of {what}")
                found += [tuple(rows)] if rows else []
                rows = []
            elif row.startswith(separator):
                rows.append((line, self._cells(line, row, separator, what)))
            else:
                break
            line += 1
        if rows or len(found) < groups:
            self.refuse(line, f"the rest of the table of {what}")
        self._check_widths(found, what)
        return Table(first, tuple(found))

    def _cells(self, line: int, row: str, separator: str, what: str) -> tuple[str, ...]:
        if len(row) < 2 or not row.endswith(separator):
            self.refuse(line, f"a whole row of the table of {what}")
        return tuple(row[1:-1].split(separator))

    def _check_widths(self, found: list[tuple[tuple[int, tuple[str, ...]], ...]], what: str) -> None:
        """Rows of a group of values are as wide as the last row above them."""
        for above, group in pairwise(found):
            if len(above[-1][1]) == 1:  # a title
                continue
            for line, cells in group:
                if len(cells) != len(above[-1][1]):
                    self.refuse(line, f"{len(above[-1][1])} cells in the table of {what}, got {len(cells)}")

    def json(self) -> Any:
        """The value that the text is; refuse a broken one, a name said twice, and what is no number."""
        return self.json_of(0, "\n".join(self.lines))

    def json_of(self, line: int, text: str) -> Any:
        """The value of a JSON text that begins at a line."""
        try:
            return json.loads(text, object_pairs_hook=self._object, parse_constant=self._constant)
        except json.JSONDecodeError as error:
            self.refuse(line + error.lineno - 1, f"JSON ({error.msg})")
        except (RecursionError, ValueError):
            self.refuse(line, "JSON of a report")

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            self.refuse(0, f"JSON that says {twice[:40]!r} once")
        return made

    def _constant(self, name: str) -> NoReturn:
        self.refuse(0, f"JSON without {name}")

    def field(self, owner: Any, name: str, kind: type, what: str) -> Any:
        """A field of a JSON object, of the kind expected; numbers from 0, ``float`` takes whole ones."""
        value = owner.get(name) if isinstance(owner, dict) else None
        if kind in (int, float):
            if type(value) in (int, kind) and value is not None and 0 <= value < _LARGEST:
                return value
            self.refuse(0, f"{what}: a number {name!r}")
        return value if isinstance(value, kind) else self.refuse(0, f"{what}: {kind.__name__} {name!r}")

    def xml(self) -> Node:
        """The root of an XML text; refuse a broken one, and one that declares a document type or entities."""
        open_nodes: list[tuple[Node, list[Node], list[str]]] = []
        roots: list[Node] = []
        parser = expat.ParserCreate("utf-8")

        def declared(*_: Any) -> None:
            self.refuse(
                parser.CurrentLineNumber - 1, "XML without declarations of a document type or entities"
            )

        def begin(tag: str, attributes: dict[str, str]) -> None:
            if len(open_nodes) >= _DEEPEST:
                self.refuse(parser.CurrentLineNumber - 1, f"elements at most {_DEEPEST} deep")
            node = Node(tag, parser.CurrentLineNumber - 1, attributes, (), "")
            open_nodes.append((node, [], []))

        def end(_: str) -> None:
            node, children, words = open_nodes.pop()
            made = replace(node, children=tuple(children), text="".join(words).strip())
            (open_nodes[-1][1] if open_nodes else roots).append(made)

        def data(words: str) -> None:
            open_nodes[-1][2].append(words)

        parser.StartDoctypeDeclHandler = declared
        parser.EntityDeclHandler = declared
        parser.StartElementHandler = begin
        parser.EndElementHandler = end
        parser.CharacterDataHandler = data
        try:
            parser.Parse("\n".join(self.lines).encode("utf-8", "replace"), True)
        except expat.ExpatError as error:
            self.refuse(error.lineno - 1, f"XML ({expat.ErrorString(error.code)})")
        return roots[0]

    def element(self, root: Node, path: str) -> Node:
        """Element by its path; refuse where there is none."""
        found = root.find(path)
        return self.refuse(root.line, f"an element {path} in {root.tag}") if found is None else found


def frequency_mhz(period_ns: float) -> float | None:
    """Frequency of a period, in MHz; None of a period of 0."""
    return 1e3 / period_ns if period_ns > 0 else None
