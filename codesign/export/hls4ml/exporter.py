"""hls4ml: C++ projects for the HLS tools of AMD, Siemens and Intel, simulated with g++ to the same integers.

One folder a back end beside the files of every export::

    README.md, provenance.json, network.json, vectors/
    compare.py             a results log of a vendor's tool against vectors/expected.txt
    vitis/                 a project of hls4ml
        firmware/          the C++, its weights and headers
        tb_data/           the first vectors as the test bench reads them
        simulate.cpp       a driver: integer codes in, integer codes out, through the same C++
        build_prj.tcl ...  what the vendor's tool runs

Everything is in parallel (``io_parallel``): without folding, all products at once. Precisions come from the
network, accumulators are exact, reuse factors are the folding's; see ``codesign.export.hls4ml.build``.
"""

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, cast

from numpy.typing import NDArray

from codesign.errors import ConfigError, OutputError
from codesign.export.bundle import Bundle, bundle, load_network
from codesign.export.hls4ml.build import INPUT_DATA, OUTPUT_DATA, strategies
from codesign.export.hls4ml.driver import DRIVER, simulate_project, write_driver
from codesign.export.hls4ml.readme import TEST_BENCH_VECTORS, compare_script, readme
from codesign.export.hls4ml.rules import BACKENDS, DEFAULT_BACKENDS, TARGET, check, known, options
from codesign.fixedpoint import IntArray
from codesign.hardware import Device
from codesign.network import Network
from codesign.tools import require_package, run

__all__ = ["check", "export", "simulate"]

_STAMP_DIGITS: Final = 8


def export(
    network: Network,
    folder: str | Path,
    *,
    device: Device | None = None,
    inputs: NDArray[Any] | None = None,
    origin: Mapping[str, Any] | None = None,
    backends: Sequence[str] = DEFAULT_BACKENDS,
) -> Path:
    """Write a project for each back end, each compiled and compared on all of ``inputs``.

    Parameters
    ----------
    network
        Fitted; its chip part is written.
    folder
        See ``bundle``.
    device
        Clock, part and technology.
    inputs
        Real values, ``(n, *input_shape)``; None: ``probes``.
    origin
        For the provenance.
    backends
        Names of ``BACKENDS``.

    Returns
    -------
    folder
        The folder.

    Raises
    ------
    UnsupportedLayerError, ConfigError
        As ``check``.
    MissingToolError
        Without hls4ml or g++.
    OutputError
        If a project does not compile or computes a single other integer, or the folder cannot be written.
    """
    device = Device() if device is None else device
    names = known(backends)
    check(network, device, backends=names)
    require_package("hls4ml", "hls4ml")
    with bundle(network, folder, TARGET, device, inputs, origin) as made:
        made.used("hls4ml")
        made.options["backends"] = names
        chip = network.chip
        assert chip.input_format is not None
        _write_projects(made, chip, names)
        codes = chip.input_format.quantise(made.inputs)
        for name in names:
            made.check(f"C++ for {name}, g++", simulate_project(made.folder / name, name, chip, codes))
            made.measured[name] = {
                "simulated": _simulated(name),
                "synthesised": "no: that needs the vendor's tool",
                **options(name, device),
                "layers": strategies(chip),
            }
        made.write("compare.py", compare_script(chip))
        made.write("README.md", readme(made, chip, names))
    return Path(folder)


def simulate(folder: Path, inputs: NDArray[Any], *, backend: str | None = None) -> IntArray:
    """Codes that the C++ of an exported project gives.

    Parameters
    ----------
    folder
        Of an export.
    inputs
        Real values, ``(n, *input_shape)``.
    backend
        A name of ``BACKENDS``; None: the first that the export has.

    Returns
    -------
    codes
        Shape ``(n, *output shape of the chip)``.
    """
    folder = Path(folder)
    chip = load_network(folder)
    assert chip.input_format is not None
    held = [name for name in BACKENDS if (folder / name / DRIVER).is_file()]
    names = held if backend is None else [name for name in known([backend]) if name in held]
    if not names:
        raise ConfigError(f"{folder} has projects for {', '.join(held) or 'no back end'}, not for {backend}")
    return simulate_project(folder / names[0], names[0], chip, chip.input_format.quantise(inputs))


def _simulated(name: str) -> str:
    if name == "oneapi":
        return "yes: the kernel compiled by g++, its SYCL queue and pipes replaced by stand-ins"
    return "yes: compiled by g++ with the headers in the project"


def _write_projects(made: Bundle, chip: Network, names: Sequence[str]) -> None:
    """Let hls4ml write the projects in a process of its own, then make them fit to leave this machine."""
    projects = []
    for name in names:
        (made.folder / name).mkdir()
        _write_test_bench(made, chip, made.folder / name)
        projects.append(
            {
                "folder": name,
                "backend": BACKENDS[name].name,
                "stamp": chip.digest[:_STAMP_DIGITS],
                "options": options(name, made.device),
            }
        )
    home = str(Path(__file__).parents[3])
    log = made.folder / "hls4ml.log"
    run(
        [sys.executable, "-m", "codesign.export.hls4ml.build", "network.json", json.dumps(projects)],
        cwd=made.folder,
        log=log,
        what="hls4ml",
        env={
            "PYTHONPATH": os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH")))),
            "PYTHONHASHSEED": "0",
        },
        timeout=600,
    )
    log.unlink()
    for name in names:
        _tidy(made.folder / name)
        write_driver(made.folder / name, name, chip, _templates() / "quartus" / "ac_types")


def _templates() -> Path:
    found = find_spec("hls4ml")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "templates"


def _write_test_bench(made: Bundle, chip: Network, project: Path) -> None:
    """The first vectors as real values, exact decimals, where hls4ml picks them up."""
    first, last = chip.input_format, chip.formats[-1]
    assert first is not None
    assert last is not None
    inputs = first.dequantise(first.quantise(made.inputs[:TEST_BENCH_VECTORS]))
    outputs = last.dequantise(cast(IntArray, made.expected[:TEST_BENCH_VECTORS]))
    for name, values in ((INPUT_DATA, inputs), (OUTPUT_DATA, outputs)):
        rows = values.reshape(len(values), -1).tolist()
        text = "".join(" ".join(map(str, row)) + "\n" for row in rows)
        (project / name).write_text(text, encoding="utf-8")


def _tidy(project: Path) -> None:
    """Of what hls4ml wrote, drop what no tool reads and the paths of this machine.

    Its simulations read weights from text, its synthesis from headers: these must agree.
    """
    for name in (INPUT_DATA, OUTPUT_DATA):
        (project / name).unlink()
    for library in ("ac_types", "ac_math"):
        for part in ("pdfdocs", "tests", "lutgen", "gdb"):
            shutil.rmtree(project / "firmware" / library / part, ignore_errors=True)
    for weights in project.rglob("firmware/weights/*.txt"):
        if f"{{{weights.read_text()}}}" not in weights.with_suffix(".h").read_text():
            raise OutputError(f"hls4ml wrote other weights to {weights.name} than to {weights.stem}.h")
    here = str(project.resolve())
    for path in project.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            if here.encode() in content:
                path.write_bytes(content.replace(f"{here}/".encode(), b"").replace(here.encode(), b"."))
