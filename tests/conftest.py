"""Fixtures of all tests."""

import importlib.util
import os
import signal
import sys
from pathlib import Path
from types import ModuleType

# Threads of so small matrices wait for each other, and the workers of pytest-xdist have the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import cloudpickle
import hypothesis
import pytest

ROOT = Path(__file__).resolve().parents[1]

# Output is as wide as its table where no terminal says otherwise; workers of pytest-xdist are given a width.
os.environ.pop("COLUMNS", None)

# How long an example takes depends on what else the machine does, and the first one pays for imports.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """A test run started in the background inherits an ignored SIGINT; the tests of Ctrl-C need it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """Folder of reference data that may not be shipped; skips where it is absent."""
    folder = Path(os.environ.get("CODESIGN_REFERENCE_DATA", ROOT.parent / "shared"))
    if not (folder / "golden" / "reference_metrics.npz").exists():
        pytest.skip("reference data absent: set CODESIGN_REFERENCE_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    """The smallest space and task: ``tests/tiny.py``."""
    specification = importlib.util.spec_from_file_location("tiny", ROOT / "tests" / "tiny.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["tiny"] = module
    specification.loader.exec_module(module)
    cloudpickle.register_pickle_by_value(module)
    return module
