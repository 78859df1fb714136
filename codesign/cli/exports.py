"""What `codesign export` and `codesign verify` show people."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from codesign.chain import Hop
from codesign.cli.view import SHORT_DIGEST, make_console

__all__ = ["print_chain", "print_exports"]

COLOURS = {"equal": "green", "distribution": "cyan", "refused": "yellow", "absent": "yellow"}


def print_exports(rows: Sequence[Mapping[str, Any]], target: str) -> None:
    """Where each export lies, and every check of it; of several designs a line each."""
    screen = make_console()
    table = Table("design", "compared with the network", "vectors", "differ", box=None, pad_edge=False)
    table.columns[2].justify = table.columns[3].justify = "right"
    for row in rows:
        design, checks = row["digest"][:SHORT_DIGEST], row["checks"]
        if row["folder"] is None:
            table.add_row(design, f"[red]not written:[/] {escape(row['reason'])}", "-", "-")
        elif len(rows) > 1:
            table.add_row(design, *_summary(checks))
        else:
            for index, check in enumerate(checks):
                table.add_row("" if index else design, *_check(check))
    screen.print(table)
    written = [row["folder"] for row in rows if row["folder"] is not None]
    if written:
        place = written[0] if len(written) == 1 else str(Path(written[0]).parents[1] / "DIGEST" / target)
        screen.print(f"{target}: {escape(place)} (README.md says how to go on)", soft_wrap=True)


def _check(check: Mapping[str, Any]) -> tuple[str, str, str]:
    """A check's name, vectors, and how many integers or by how much real values differ."""
    differ = f"{check['differ']}" if "differ" in check else f"by {check['largest_difference']:.1g}"
    return escape(check["check"]), f"{check['vectors']:,}", differ


def _summary(checks: Sequence[Mapping[str, Any]]) -> tuple[str, str, str]:
    """The check with the most vectors, how many others there are, and how many integers differ in all."""
    largest = max(checks, key=lambda check: check["vectors"])
    others = f" and {len(checks) - 1} more" if len(checks) > 1 else ""
    differ = sum(check.get("differ", 0) for check in checks)
    return f"{escape(largest['check'])}{others}", f"{largest['vectors']:,}", f"{differ}"


def print_chain(hops: Sequence[Hop]) -> None:
    """The chain check: every form beside the interpreter, then what there is to say."""
    screen = make_console()
    title = "Each form against the integer interpreter"
    headings = ("form", "result", "vectors", "outputs", "differ", "largest, LSB", "first at", "s")
    table = Table(*headings, title=title, title_justify="left")
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
