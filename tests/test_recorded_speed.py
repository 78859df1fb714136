"""The page of measured speed says what was recorded."""

import json
from pathlib import Path
from runpy import run_path

ROOT = Path(__file__).parents[1]


def test_the_table_is_made_from_the_json() -> None:
    record = run_path(str(ROOT / "benchmarks" / "record.py"))
    results = json.loads((ROOT / "benchmarks" / "results" / "speed.json").read_text())
    page = (ROOT / "docs" / "performance.md").read_text()
    assert record["table"](results) in page
    results["rows"][0]["our_rate"] *= 2
    assert record["table"](results) not in page
