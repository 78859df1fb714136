"""Synthesis of an exported design: the folder that ``codesign export --to rtl`` writes -> ``SynthesisReport``.

Standard cells: Yosys gives cells and area (``asic``); OpenSTA, where it is installed, the critical path and,
with the switching of the design's own vectors, power (``timing``). Without OpenSTA both are unknown (None).
Wires have no delay and no capacitance, the clock is ideal, and zero-delay switching has no glitches: a layout
is larger, slower and hungrier. FPGA families: Yosys' ``synth_*`` and, of ECP5, nextpnr (``fpga``).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from codesign.errors import ConfigError
from codesign.hardware import SynthesisReport, Target
from codesign.synthesis import asic
from codesign.synthesis.library import Library
from codesign.synthesis.reports import read

__all__ = ["synthesise", "synthesise_many"]

_BUNDLE: Final = "provenance.json"


@dataclass(frozen=True, slots=True)
class Bundle:
    """What of an exported folder synthesis takes: its Verilog, and what ``provenance.json`` states."""

    folder: Path
    sources: tuple[Path, ...]
    design: str
    device: Mapping[str, Any]
    measured: Mapping[str, Any]


def synthesise(
    bundle: Path,
    work: Path,
    *,
    library: Library | None = None,
    family: str | None = None,
    clock_mhz: float,
    timeout: float = 1800.0,
    power: bool = False,
    place: bool = False,
) -> SynthesisReport:
    """Synthesise an exported design to a library or to an FPGA family.

    Parameters
    ----------
    bundle
        What ``export --to rtl`` wrote.
    work
        Folder that keeps scripts, logs and the tools' own reports; made if it is not there.
    library, family
        One of the two.
    clock_mhz
        Clock in MHz.
    timeout
        Seconds after which each tool is stopped.
    power
        Whether to compute power from the switching of the bundle's vectors (library only; needs OpenSTA).
    place
        Whether to place and route (family ``ecp5`` only; needs nextpnr).

    Raises
    ------
    ConfigError
        For a folder that is no such export, both a library and a family, or neither.
    MissingToolError
        Without pyosys, or what power or placing needs.
    OutputError
        If a tool fails; as ``ToolTimeoutError`` if it takes too long.
    """
    if (library is None) == (family is None):
        raise ConfigError(
            f"synthesis is to a library or to a family; got {library and library.name}, {family}"
        )
    if library is not None:
        if place:
            raise ConfigError("only FPGA designs are placed; drop the placing, or name the family ecp5")
        found = synthesise_many(
            bundle, work, libraries=[library], clock_mhz=clock_mhz, timeout=timeout, power=power
        )
        return found[library.name]
    raise ConfigError(f"family {family!r} is not there yet")


def synthesise_many(
    bundle: Path,
    work: Path,
    *,
    libraries: Sequence[Library],
    clock_mhz: float,
    timeout: float = 1800.0,
    power: bool = False,
) -> dict[str, SynthesisReport]:
    """Synthesise a design to several libraries; the Verilog is read once.

    Parameters and errors as ``synthesise``. Each library but a single one has a folder of its name in
    ``work``; each report has the CPU seconds of the reading and of its own mapping.

    Returns
    -------
    reports
        Names of libraries to reports.
    """
    found = _open(bundle)
    work.mkdir(parents=True, exist_ok=True)
    weights = found.device["weights"]
    front_s = asic.elaborate(found.sources, work, weights, timeout=timeout)
    reports = {}
    for library in libraries:
        place = work if len(libraries) == 1 else work / library.name
        place.mkdir(exist_ok=True)
        mapped = asic.map_cells(work / f"{asic.FRONT}.il", place, library, clock_mhz, timeout=timeout)
        reports[library.name] = _report(found, library, clock_mhz, mapped, front_s)
    return reports


def _open(folder: Path) -> Bundle:
    try:
        stated = json.loads((folder / _BUNDLE).read_text(encoding="utf-8"))
        if stated["target"] != "rtl":
            raise ConfigError(f"{folder} is an export to {stated['target']}; synthesis takes one to rtl")
        device, measured, design = stated["device"], stated["measured"], stated["chip"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{folder} is no export: it has no {_BUNDLE} that names a design ({error}); make one by "
            "`codesign export --to rtl`"
        ) from error
    sources = tuple(sorted((folder / "rtl").glob("*.v")))
    if not sources:
        raise ConfigError(f"{folder} has no Verilog in rtl/; export it anew")
    return Bundle(folder, sources, str(design), device, measured)


def _report(
    found: Bundle, library: Library, clock_mhz: float, mapped: asic.Mapped, front_s: float
) -> SynthesisReport:
    stat = read(mapped.area)
    device = found.device
    return SynthesisReport(
        design=found.design,
        target=Target(
            technology=library.name,
            library=library.title,
            clock_mhz=clock_mhz,
            weights=device["weights"],
            redundancy=device["redundancy"],
            pipelined=device["pipelined"],
            tool="Yosys",
            version=stat.target.version,
        ),
        stage="synthesis",
        resources=stat.resources,
        latency_cycles=found.measured["latency_cycles"],
        initiation_interval=found.measured["initiation_interval"],
        by_layer=_by_layer(mapped, stat),
        seconds=round(front_s + mapped.seconds, 2),
        script=f"{asic.SCRIPT} {asic.digest()}, library {library.digest[:12]}",
        source=mapped.area.name,
    )


def _by_layer(mapped: asic.Mapped, stat: SynthesisReport) -> dict[str, dict[str, float | None]]:
    """Area of the instances in the top; of a flat design nothing."""
    return {
        name: dict(stat.by_layer[kind])
        for name, kind in sorted(mapped.layers.items())
        if kind in stat.by_layer
    }
