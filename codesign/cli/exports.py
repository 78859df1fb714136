"""What `codesign export` and `codesign verify` show people."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from rich.markup import escape
from rich.table import Table

from codesign.chain import Hop
from codesign.cli.view import SHORT_DIGEST, make_console
from codesign.errors import OutputError
from codesign.export.bundle import PROVENANCE, other_options, vectors
from codesign.export.hls4ml.rules import DEFAULT_BACKENDS
from codesign.hardware import Device
from codesign.hardware.folding import fold
from codesign.study import Study

__all__ = ["export_one", "export_row", "print_chain", "print_exports"]

COLOURS = {"equal": "green", "distribution": "cyan", "refused": "yellow", "absent": "yellow"}


def export_one(
    study: Study,
    digest: str,
    target: str,
    device: Device,
    inputs: NDArray[Any] | None,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """Export a design unless it lies there already.

    Where another export lies, ``OutputError`` is raised, or with the option ``keep`` that one is left.
    """
    place = Path(options.get("out") or study.export_folder(digest, target))
    more: dict[str, Any] = {}
    if target == "hls4ml":
        more["backends"] = list(options.get("backend") or DEFAULT_BACKENDS)
    interval, differing = options.get("interval"), None
    if not options.get("overwrite"):
        network = study.network(digest)
        wanted = network if interval is None else fold(network, interval)
        differing = other_options(place, target, wanted, device, vectors(wanted, inputs), more)
    if differing:
        said = (
            f"{place} holds an earlier export, which differs ({'; '.join(differing)}); `codesign export` "
            "writes it to another --out, or replaces it with --overwrite"
        )
        if not options.get("keep"):
            raise OutputError(said)
        return export_row(digest, place, reason=said)
    if differing is None:
        study.export(digest, target, place, device=device, inputs=inputs, interval=interval, **more)
    return export_row(digest, place, written=differing is None)


def export_row(digest: str, place: Path | None, *, reason: str = "", written: bool = False) -> dict[str, Any]:
    """What became of the export of one design, as plain data; ``place`` is None where there is none."""
    row: dict[str, Any] = {"digest": digest, "folder": place and str(place), "reason": reason}
    row |= {"written": written, "checks": []}
    if place is None:
        return row
    provenance = json.loads((place / PROVENANCE).read_text(encoding="utf-8"))
    files = sorted(str(file.relative_to(place)) for file in place.rglob("*") if file.is_file())
    return {**row, "checks": provenance["checks"], "measured": provenance["measured"], "files": files}


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
    kept = sum(row["folder"] is not None and not row["written"] for row in rows)
    if kept:
        which = "It was" if len(rows) == 1 else f"{kept} of {len(rows)} were"
        screen.print(f"{which} there already, with the same options; --overwrite writes anew.")


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
