"""The command line in this process, and one small study for all tests that look at one."""

import io
import shlex
import shutil
import signal
import sys
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest

from codesign.cli import main
from codesign.study import Study

OPTIONS = "--space econt --steps 20 --wafers 400 --recipe quick --optimiser random --workers 1"
SMALL = shlex.split(OPTIONS)
LIMIT = ["--limit", "operations<=8000"]


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


Call = Callable[..., Result]


def run_main(*arguments: object) -> Result:
    """What a command line says; whatever it sets for the process is set back."""
    out, err, handler = io.StringIO(), io.StringIO(), signal.getsignal(signal.SIGTERM)
    code: Any = 0
    try:
        with (
            warnings.catch_warnings(),
            patch.object(sys, "argv", ["codesign", *map(str, arguments)]),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            main()
    except SystemExit as end:
        code = end.code or 0
    finally:
        signal.signal(signal.SIGTERM, handler)
    return Result(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def codesign() -> Call:
    """Call the command line: ``codesign("front", folder, "--json")``."""
    return run_main


@pytest.fixture(scope="session")
def small() -> SimpleNamespace:
    """Options of a study that takes some seconds."""
    return SimpleNamespace(options=SMALL, limit=LIMIT)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A complete study of four designs: its folder, and what the run printed."""
    folder = tmp_path_factory.mktemp("cli") / "study"
    result = run_main("run", *SMALL, *LIMIT, "--trials", 4, "--out", folder)
    assert result.code == 0, result.err
    return SimpleNamespace(folder=folder, result=result)


@pytest.fixture
def digest(made: SimpleNamespace) -> str:
    """Digest of the baseline, design 0."""
    study = Study.read(made.folder)
    try:
        return study.evaluations[0].candidate.digest
    finally:
        study.close()


@pytest.fixture
def copy(made: SimpleNamespace, tmp_path: Path) -> Path:
    """A study folder of one's own, without pictures."""
    return Path(
        shutil.copytree(made.folder, tmp_path / "copy", ignore=shutil.ignore_patterns("front.*", "export"))
    )
