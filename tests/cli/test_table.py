"""`codesign table`: a replay says what it found; what cannot be replayed is refused in one line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

Call = Callable[..., Any]


@pytest.fixture
def designs(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    unroll, units = 2 ** rng.integers(0, 6, 80), rng.integers(1, 9, 80)
    time = 1000.0 / unroll / units**0.5
    frame = pd.DataFrame(
        {
            "knob_unroll": unroll,
            "knob_units": units,
            "est_time": time * 1.1,
            "time": time,
            "logic": 500 + 30 * unroll + 70 * units,
            "part": "5SGXA7",
        }
    )
    frame.to_csv(tmp_path / "designs.csv", index=False)
    return tmp_path / "designs.csv"


def test_replays_a_search(designs: Path, codesign: Call) -> None:
    options = ("--knobs", "knob_*", "--minimise", "time,logic", "--evaluations", 25)
    result = codesign("table", designs, *options, "--json")
    assert result.code == 0, result.err
    data = json.loads(result.out)
    assert len(set(data["order"])) == len(data["adrs"]) == len(data["hypervolume_ratio"]) == 25
    assert data["adrs"][-1] < data["adrs"][5]
    rows = pd.read_csv(designs)
    for design in data["front"]:
        assert design["time"] == rows["time"][design["row"]]
        assert data["order"][design["evaluation"] - 1] == design["row"]
    assert json.loads(codesign("table", designs, *options, "--json").out) == data
    shown = codesign("table", designs, *options)
    assert shown.code == 0
    assert "hypervolume ratio" in shown.out
    assert str(data["order"][10]) in shown.out


def test_known_objectives_and_estimates(designs: Path, codesign: Call) -> None:
    result = codesign(
        *("table", designs, "--knobs", "knob_*", "--minimise", "time,logic", "--known", "logic"),
        *("--estimates", "est_*", "--evaluations", 20, "--seed", 2, "--json"),
    )
    assert result.code == 0, result.err
    data = json.loads(result.out)
    assert data["known"] == ["logic"]
    assert data["estimates"] == ["est_time"]
    assert data["adrs"][-1] < 0.05


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--knobs x_* --minimise time,logic", "--knobs x_*: no such column"),
        ("--knobs knob_* --minimise time,size", "has no column size; it has knob_unroll"),
        ("--knobs knob_* --minimise time", "at least two objectives"),
        ("--knobs knob_* --minimise time,part", "objective part of"),
        ("--knobs knob_* --minimise time --maximise time", "time is both"),
        ("--knobs knob_* --minimise time,logic --known est_time", "--known est_time is no objective"),
        ("--knobs * --minimise time,logic", "both an objective and a column"),
        ("--knobs , --minimise time,logic", "names no column"),
    ],
)
def test_refuses_what_it_cannot_replay(designs: Path, codesign: Call, options: str, message: str) -> None:
    result = codesign("table", designs, *options.split())
    assert result.code == 2
    assert message in result.err
    assert "Traceback" not in result.err


def test_refuses_files_that_are_none(designs: Path, codesign: Call) -> None:
    options = ("--knobs", "knob_*", "--minimise", "time,logic")
    assert "is no file" in codesign("table", designs.parent / "absent.csv", *options).err
    (designs.parent / "empty.csv").write_text("")
    assert "cannot be read as CSV" in codesign("table", designs.parent / "empty.csv", *options).err
    holes = pd.read_csv(designs)
    holes.loc[3, "time"] = np.nan
    holes.to_csv(designs, index=False)
    assert "not finite in 1 rows, the first in line 5" in codesign("table", designs, *options).err


def test_help_has_an_example(codesign: Call) -> None:
    assert "codesign table fir.csv --knobs 'knob_*'" in codesign("table", "--help").out.replace("\n  ", " ")
