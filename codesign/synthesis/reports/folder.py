"""A folder of reports, each tied to its design."""

import csv
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path, PurePosixPath
from typing import Final

from codesign.errors import ReportError
from codesign.hardware import SynthesisReport
from codesign.synthesis.reports.forms import UnknownFormError, parse, text_of
from codesign.synthesis.reports.reading import UNSTATED

__all__ = ["MAPPING", "FolderReports", "read_folder"]

MAPPING: Final = "reports.csv"
"""Table in the folder that ties files to designs: columns ``design`` and ``file``."""
_DIGEST: Final = re.compile(r"(?<![0-9a-z])(?=[a-f]*\d)[0-9a-f]{6,64}(?![0-9a-z])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FolderReports:
    """What a folder holds.

    Parameters
    ----------
    by_design
        Digest (or prefix, or the name that ``reports.csv`` gives) to its reports: one of each stage and tool.
    refused
        Files of a known form that are damaged, or state what another file of that run states otherwise, to
        the reason.
    ignored
        Files of no known form, or tied to no design, to the reason.
    """

    by_design: Mapping[str, tuple[SynthesisReport, ...]]
    refused: Mapping[str, str]
    ignored: Mapping[str, str]


def read_folder(folder: Path, designs: Collection[str] | None = None) -> FolderReports:
    """Read every report under a folder, and tie it to a design.

    A file belongs to the design

    1. that ``reports.csv`` in the folder says, if it is there: columns ``design`` and ``file`` (its path in
       the folder, with ``/``);
    2. or whose digest, or 6 digits or more from its beginning, stands in the file's name or else in the
       nearest folder above it: between other characters than letters and digits, and with a decimal digit in
       it (``runs/1df17c3f/post_route.rpt``, ``1df17c3fa74e5605_utilization.rpt``);
    3. or that the report itself names, if it is one of ours.

    Files of one design, tool and stage are one run: they become one report. What several files state must
    agree. A version, or a temperature grade of a part, that only some of them state holds for all.

    Parameters
    ----------
    folder
        Searched with the folders in it.
    designs
        Digests that are known. With them only their own prefixes tie, and the result is by whole digest;
        without them every hexadecimal word of 6 digits and more does, a date too.

    Raises
    ------
    ReportError
        If the folder does not exist or ``reports.csv`` is damaged. Damaged reports do not raise.
    """
    if not folder.is_dir():
        raise ReportError(f"{folder}: expected a folder of reports")
    mapping = _mapping(folder, designs)
    runs: dict[tuple[str, str, str], dict[str, SynthesisReport]] = {}
    refused: dict[str, str] = {}
    ignored: dict[str, str] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if name == MAPPING:
            continue
        try:
            report = parse(text_of(path), name)
            design = mapping.get(name) or _design(name, report, designs)
        except UnknownFormError as error:
            ignored[name] = str(error)
        except ReportError as error:
            refused[name] = str(error)
        else:
            if design is None:
                ignored[name] = _untied(designs)
            else:
                run = runs.setdefault((design, str(report.target.tool), report.stage), {})
                run[name] = replace(report, design=design)
    by_design: dict[str, list[SynthesisReport]] = {}
    for (design, _, _), run in runs.items():
        try:
            joined = reduce(_joined, _agreed(run.values()))
        except ReportError as error:
            refused |= dict.fromkeys(run, str(error))
        else:
            by_design.setdefault(design, []).append(joined)
    return FolderReports({design: tuple(found) for design, found in by_design.items()}, refused, ignored)


def _untied(designs: Collection[str] | None) -> str:
    whose = "of a design" if designs is None else f"of one of the {len(designs)} designs"
    return f"tied to no design: expected 6 digits or more of a digest {whose} in its path, or in {MAPPING}"


def _design(name: str, report: SynthesisReport, designs: Collection[str] | None) -> str | None:
    """Design of a file by the parts of its path, the last first, else by what one of our reports says."""
    for part in reversed(PurePosixPath(name).parts):
        found = {known for word in _DIGEST.findall(part) for known in _known(word.lower(), designs)}
        if len(found) > 1:
            raise ReportError(
                f"{name}: expected the digest of one design in {part!r}, got {', '.join(sorted(found))}"
            )
        if found:
            return found.pop()
    return next(iter(_known(report.design, designs)), None) if _DIGEST.fullmatch(report.design) else None


def _known(word: str, designs: Collection[str] | None) -> list[str]:
    return [word] if designs is None else [digest for digest in designs if digest.startswith(word)]


def _mapping(folder: Path, designs: Collection[str] | None) -> dict[str, str]:
    """File to design by ``reports.csv``; empty without it."""
    path = folder / MAPPING
    if not path.is_file():
        return {}
    found: dict[str, str] = {}
    rows = csv.DictReader(text_of(path).lstrip("\ufeff").splitlines())
    try:
        for row in rows:
            design, name = (row.get("design") or "").strip(), (row.get("file") or "").strip()
            if not design or not name or not (folder / name).is_file() or name in found:
                raise ReportError(
                    f"{path}, line {rows.line_num}: expected a design and a file of this folder, once "
                    f"each in the columns design,file; got design {design!r}, file {name!r}"
                )
            known = _known(design, designs)
            if len(known) != 1:
                raise ReportError(f"{path}, line {rows.line_num}: expected one known design, got {design!r}")
            found[name] = known[0]
    except csv.Error as error:
        raise ReportError(f"{path}, line {rows.line_num}: expected columns design,file; {error}") from None
    return found


def _agreed(reports: Collection[SynthesisReport]) -> Iterable[SynthesisReport]:
    """Reports of one run, with the version and the whole name of the part that some of them state."""
    versions = {report.target.version for report in reports} - {UNSTATED}
    parts = sorted({report.target.part for report in reports if report.target.part}, key=len)
    whole = parts[-1] if parts and all(_same_part(part, parts[-1]) for part in parts) else None
    for report in reports:
        target = report.target
        if target.version == UNSTATED and len(versions) == 1:
            target = replace(target, version=next(iter(versions)))
        if target.part and whole:
            target = replace(target, part=whole)
        yield replace(report, target=target)


def _same_part(short: str, whole: str) -> bool:
    return whole == short or whole.startswith(f"{short}-")


def _joined(ours: SynthesisReport, theirs: SynthesisReport) -> SynthesisReport:
    """As ``SynthesisReport.joined``; what both say of one layer stands side by side."""
    joined = ours.joined(theirs)
    names = {**ours.by_layer, **theirs.by_layer}
    layers = {name: {**theirs.by_layer.get(name, {}), **ours.by_layer.get(name, {})} for name in names}
    return replace(joined, by_layer=layers)
