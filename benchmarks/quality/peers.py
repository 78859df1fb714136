"""What the benchmarks of the search share: which peers are there, and what is recorded beside figures."""

import json
import os
import platform
import re
import subprocess
import warnings
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import codesign

PACKAGES = ("codesign", "numpy", "scipy", "optuna", "ax-platform", "botorch", "torch")


def versions() -> dict[str, str]:
    """Of Python and of those packages that are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def absent(packages: dict[str, str], method: str) -> bool:
    """Whether the package of a method is not installed; says so."""
    package = packages.get(method)
    if package is None or package in versions():
        return False
    print(f"{method}: not measured, {package} is not installed (pip install {package}; see the extra peers)")
    return True


def provenance() -> dict[str, Any]:
    """Versions, processor, commit of the ``codesign`` that ran (``+`` where files differ from it), day."""
    return {
        "versions": versions(),
        "machine": {"processor": _processor(), "cpus": os.cpu_count()},
        "commit": _commit(Path(codesign.__file__).parents[1]),
        "date": datetime.now(UTC).date().isoformat(),
    }


def _processor() -> str:
    table = Path("/proc/cpuinfo")
    lines = table.read_text().splitlines() if table.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _commit(folder: Path) -> str | None:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "-uno", "--", "codesign", "search_spaces", "hardware_models")
        return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def dumped(results: Any) -> str:
    """JSON with lists of numbers on one line."""
    text = json.dumps(results, indent=1)
    return re.sub(r"\[([-+.\deE,\snul]+)\]", _line, text) + "\n"


def _line(found: re.Match[str]) -> str:
    return "[" + " ".join(found[1].split()) + "]"


def optuna_sampler(name: str, seed: int) -> Any:
    """Optuna's multivariate TPE (of groups, for parameters that need not exist) or NSGA-II."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    if name == "nsga2":
        return optuna.samplers.NSGAIISampler(seed=seed)
    return optuna.samplers.TPESampler(multivariate=True, group=True, seed=seed)
