"""The page of measured speed says what was recorded."""

import importlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_the_table_is_made_from_the_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks" / "speed")
    table = importlib.import_module("record").table
    results = json.loads((ROOT / "benchmarks" / "results" / "speed.json").read_text())
    page = (ROOT / "docs" / "performance.md").read_text()
    assert table(results) in page
    results["rows"][0]["our_rate"] *= 2
    assert table(results) not in page
