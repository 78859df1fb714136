"""Synthesis of an exported design: the folder of ``codesign export --to rtl`` -> ``SynthesisReport``.

Standard cells: Yosys gives cells and area (``asic``); OpenSTA, where it is installed, the critical path and,
with the switching of the design's own vectors, power (``timing``). Without OpenSTA both are unknown (None).
Wires have no delay and no capacitance, the clock is ideal, and zero-delay switching has no glitches: a layout
is larger, slower and hungrier. FPGA families: Yosys' ``synth_*`` and, of ECP5, nextpnr (``fpga``).
"""

import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError
from codesign.fixedpoint import FixedPoint
from codesign.hardware import SynthesisReport, Target
from codesign.hardware.estimate import FRAMES
from codesign.network import Network
from codesign.synthesis import asic, fpga
from codesign.synthesis.library import Library
from codesign.synthesis.netlist import read_blif
from codesign.synthesis.reports import read
from codesign.synthesis.switching import Frames, switching
from codesign.synthesis.timing import INSTALL, PROGRAM, critical_path, power
from codesign.tools import require_package, require_program

__all__ = ["require_tools", "synthesise", "synthesise_many"]

_BUNDLE: Final = "provenance.json"


@dataclass(frozen=True, slots=True)
class Bundle:
    """What of an exported folder synthesis takes: its Verilog, and what ``provenance.json`` states."""

    folder: Path
    sources: tuple[Path, ...]
    design: str
    device: Mapping[str, Any]
    measured: Mapping[str, Any]

    def frames(self) -> Frames:
        """The vectors as bits of the ports, and the words that are loaded."""
        chip = Network.load(self.folder / "network.json")
        inputs, outputs = (
            _bits(np.load(self.folder / "vectors" / f"{name}.npy")[:FRAMES], fixed)
            for name, fixed in (("inputs", chip.formats[0]), ("expected", chip.formats[-1]))
        )
        loads = self.folder / "weights.hex"
        words = [int(line, 16) for line in loads.read_text().split()] if loads.is_file() else []
        return Frames(inputs, outputs, np.array(words, np.int64), int(self.measured["latency_cycles"]))


def _bits(codes: NDArray[Any], fixed: FixedPoint | None) -> NDArray[np.uint8]:
    """Codes ``(frames, ...)`` as bits ``(frames, bits)``, the first value's lowest bit first."""
    assert fixed is not None
    flat = codes.astype(np.int64).reshape(len(codes), -1, 1)
    bits: NDArray[np.uint8] = ((flat >> np.arange(fixed.width)) & 1).astype(np.uint8)
    return bits.reshape(len(codes), -1)


def require_tools(*, library: bool, power: bool = False, place: bool = False) -> None:
    """Raise ``MissingToolError`` that says how to install what a synthesis needs and is not there."""
    require_package("pyosys", "rtl")
    if library and power:
        require_program(PROGRAM, INSTALL)
    if place:
        require_package(fpga.PLACER, "place")


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
            bundle,
            work,
            libraries=[library],
            clock_mhz=clock_mhz,
            timeout=timeout,
            power=[library.name] if power else [],
        )
        return found[library.name]
    assert family is not None
    return _on_fpga(_open(bundle), work, family, clock_mhz, timeout=timeout, place=place)


def synthesise_many(
    bundle: Path,
    work: Path,
    *,
    libraries: Sequence[Library],
    clock_mhz: float,
    timeout: float = 1800.0,
    power: Collection[str] = (),
) -> dict[str, SynthesisReport]:
    """Synthesise a design to several libraries; the Verilog is read once.

    Parameters and errors as ``synthesise``; ``power`` are the names of the libraries with power. Each library
    but a single one has a folder of its name in ``work``; each report has the CPU seconds of the reading and
    of its own mapping.

    Returns
    -------
    reports
        Names of libraries to reports.
    """
    require_tools(library=True, power=bool(power))
    found = _open(bundle)
    work.mkdir(parents=True, exist_ok=True)
    front_s = asic.elaborate(found.sources, work, timeout=timeout)
    reports = {}
    for library in libraries:
        place = work if len(libraries) == 1 else work / library.name
        place.mkdir(exist_ok=True)
        mapped = asic.map_cells(work / f"{asic.FRONT}.il", place, library, clock_mhz, timeout=timeout)
        report = _report(found, library, clock_mhz, mapped, front_s)
        if shutil.which(PROGRAM):
            report = _timed(
                report, found, library, mapped, place, timeout=timeout, with_power=library.name in power
            )
        reports[library.name] = report
    return reports


def _timed(
    report: SynthesisReport,
    found: Bundle,
    library: Library,
    mapped: asic.Mapped,
    work: Path,
    *,
    timeout: float,
    with_power: bool,
) -> SynthesisReport:
    """The report with the critical path and, if asked, power."""
    netlist, clock_mhz = read_blif(mapped.netlist, library), report.target.clock_mhz
    assert clock_mhz is not None
    activity = switching(netlist, library, found.frames()) if with_power else None
    if not netlist.instances:  # nothing but wires: OpenSTA finds no path
        nothing = dict.fromkeys(("power_mw", "dynamic_mw", "leakage_mw"), 0.0 if with_power else None)
        return replace(report, critical_path_ns=0.0, slack_ns=1e3 / clock_mhz, **nothing)
    path = critical_path(netlist, library, work, report.design, clock_mhz, timeout=timeout)
    known = {"critical_path_ns": path.critical_path_ns, "slack_ns": path.slack_ns}
    sources = [report.source, Path(path.source).name]
    if activity is not None:
        watts = power(netlist, library, activity, work, report.design, clock_mhz, timeout=timeout)
        known |= {"dynamic_mw": watts.dynamic_mw, "leakage_mw": watts.leakage_mw}
        known["power_mw"] = watts.dynamic_mw + watts.leakage_mw
        sources.append("power.log")
    return replace(report, **known, source=", ".join(sources))  # type: ignore[arg-type]


def _on_fpga(
    found: Bundle, work: Path, family: str, clock_mhz: float, *, timeout: float, place: bool
) -> SynthesisReport:
    require_tools(library=False, place=place)
    work.mkdir(parents=True, exist_ok=True)
    report = fpga.synthesise(found.sources, work, family, clock_mhz, timeout=timeout, place=place)
    device, measured = found.device, found.measured
    stated = replace(
        report.target,
        technology=family,
        clock_mhz=clock_mhz,
        **{name: device[name] for name in ("weights", "redundancy", "pipelined")},
    )
    cycles = {name: measured[name] for name in ("latency_cycles", "initiation_interval")}
    return replace(report, design=found.design, target=stated, **cycles)


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
    resources = stat.resources if stat.resources.cells else replace(stat.resources, area_um2=0.0)
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
        resources=resources,
        latency_cycles=found.measured["latency_cycles"],
        initiation_interval=found.measured["initiation_interval"],
        seconds=round(front_s + mapped.seconds, 2),
        script=f"{asic.SCRIPT} {asic.digest()}, library {library.digest[:12]}",
        source=mapped.area.name,
    )
