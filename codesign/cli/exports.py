"""What `codesign export` and `codesign verify` show people."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from codesign.chain import Hop
from codesign.cli.view import SHORT_DIGEST, make_console

__all__ = ["print_chain", "print_exports"]

COLOURS = {"equal": "green", "distribution": "cyan", "refused": "yellow", "absent": "yellow"}


def print_exports(rows: Sequence[Mapping[str, Any]], target: str) -> None:
    """Where each export lies, and what it was compared on."""
    screen = make_console()
    table = Table("design", "compared with the network", "vectors", "differ", box=None, pad_edge=False)
    table.columns[2].justify = table.columns[3].justify = "right"
    for row in rows:
        design = row["digest"][:SHORT_DIGEST]
        if row["folder"] is None:
            table.add_row(design, f"[red]not written:[/] {escape(row['reason'])}", "-", "-")
        for check in row["checks"]:
            differ = f"{check['differ']}" if "differ" in check else f"by {check['largest_difference']:.1g}"
            table.add_row(design, escape(check["check"]), f"{check['vectors']:,}", differ)
            design = ""
    screen.print(table)
    for row in rows:
        if row["folder"] is not None:
            screen.print(f"{target}: {escape(row['folder'])} (README.md says how to go on)", soft_wrap=True)


def print_chain(hops: Sequence[Hop]) -> None:
    """The chain check: every form beside the interpreter, then what there is to say."""
    screen = make_console()
    table = Table("form", "result", "vectors", "outputs", "differ", "largest, LSB", "first at", "s")
    for column in (*table.columns[2:6], table.columns[7]):
        column.justify = "right"
    for hop in hops:
        compared = hop.status in ("equal", "differs", "distribution")
        counts = (f"{hop.vectors:,}", f"{hop.values:,}", f"{hop.differ:,}", f"{hop.largest:.3g}")
        where = (
            "-" if hop.vector is None else f"{hop.layer or 'no layer of a fresh export'}, vector {hop.vector}"
        )
        table.add_row(
            hop.form,
            f"[{COLOURS.get(hop.status, 'red')}]{hop.status}",
            *(counts if compared else "----"),
            escape(where),
            f"{hop.seconds:.1f}",
        )
    screen.print(table)
    for hop in hops:
        if hop.note:
            screen.print(f"{hop.form}: {escape(hop.note)}", soft_wrap=True)
