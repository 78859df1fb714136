"""Fixtures of all tests."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """Folder of reference data that may not be shipped; skips where it is absent."""
    folder = Path(os.environ.get("CODESIGN_REFERENCE_DATA", ROOT.parent / "shared"))
    if not (folder / "golden" / "reference_metrics.npz").exists():
        pytest.skip("reference data absent: set CODESIGN_REFERENCE_DATA to its folder")
    return folder
