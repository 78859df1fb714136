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
        ("--knobs knob_* --minimise time,part", "line 2, column part: expected a finite number"),
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
    for cell, given in ((None, "an empty cell"), ("nan", "'nan'")):
        holes.to_csv(designs, index=False, na_rep=cell or "")
        said = codesign("table", designs, *options, "--known", "time").err
        assert f"{designs}, line 5, column time: expected a finite number" in said
        assert f"got {given}; mend" in said
    holes["time"] = np.nan
    holes.to_csv(designs, index=False)
    assert "column time: every cell is empty or nan" in codesign("table", designs, *options).err
    holes["time"] = 1.0
    holes.to_csv(designs, index=False)
    text = designs.read_text().splitlines()
    words = [",".join([*line.split(",")[:3], "fast", *line.split(",")[4:]]) for line in text[5:7]]
    designs.write_text("\n".join([*text[:4], *words]))
    found = codesign("table", designs, *options)
    assert "line 5, column time: expected a finite number" in found.err
    assert "got 'fast' (and 1 more row); mend the cell" in found.err


@pytest.mark.parametrize("known", [(), ("--known", "logic")])
def test_rows_without_results_are_evaluations_that_fail(
    designs: Path, codesign: Call, known: tuple[str, ...]
) -> None:
    rows = pd.read_csv(designs)
    failed = rows.index[(rows["knob_unroll"] == 32) & (rows["knob_units"] > 4)]
    rows.loc[failed, "time"] = np.nan
    rows.to_csv(designs, index=False)
    options = ("--knobs", "knob_*", "--minimise", "time,logic", *known, "--evaluations")
    result = codesign("table", designs, *options, 80, "--json")
    assert result.code == 0, result.err
    assert result.err == (
        f"note: {len(failed)} rows of 80 without a value of an objective, the first in line "
        f"{failed[0] + 2} of {designs}: evaluations that fail\n"
    )
    data = json.loads(result.out)
    assert sorted(data["failed"]) == list(failed)
    assert not set(failed) & {design["row"] for design in data["front"]}
    assert data["table_front"]["found"] == data["table_front"]["points"]
    assert (data["adrs"][-1], data["hypervolume_ratio"][-1]) == (0.0, 1.0)
    whole = rows.drop(failed)
    whole.to_csv(designs, index=False)
    plain = json.loads(codesign("table", designs, *options, 80, "--json").out)
    assert plain["table_front"]["points"] == data["table_front"]["points"]
    rows.to_csv(designs, index=False)
    shown = codesign("table", designs, *options, 80).out
    assert f"Failed {len(failed)} of 80: " in shown


def test_equal_designs_with_other_results_are_told_of(designs: Path, codesign: Call) -> None:
    rows = pd.read_csv(designs).drop_duplicates(["knob_unroll", "knob_units"])
    rows["knob_part"] = np.where(rows["knob_units"] > 2, "a", None)
    more = pd.concat([rows, rows.iloc[[2, 5]], rows.iloc[[3]].assign(time=7.0)])
    more.to_csv(designs, index=False)
    options = ("--knobs", "knob_*", "--minimise", "time,logic", "--evaluations", 3)
    said = codesign("table", designs, *options).err
    assert said == (
        "note: 1 row with the knobs of an earlier row and other results, the first in line "
        f"{len(more) + 1} of {designs} (as line 5): each is a design of its own\n"
    )
    rows.to_csv(designs, index=False)
    assert codesign("table", designs, *options).err == ""


@pytest.mark.parametrize("evaluations", [4, 8, 80])
def test_how_soon_the_front_of_the_table_was_found(designs: Path, evaluations: int, codesign: Call) -> None:
    options = ("--knobs", "knob_*", "--minimise", "time,logic", "--evaluations", evaluations)
    data = json.loads(codesign("table", designs, *options, "--json").out)
    front, points = data["table_front"], pd.read_csv(designs)[["time", "logic"]].to_numpy()
    best = {tuple(row) for row in points if not ((points <= row).all(1) & (points < row).any(1)).any()}
    seen = [best & {tuple(points[row]) for row in data["order"][:count]} for count in range(evaluations + 1)]
    assert (front["points"], front["found"]) == (len(best), len(seen[-1]))
    last = front["last_found_at"] or 0
    assert len(seen[last]) == len(seen[-1])
    assert last == 0 or len(seen[last - 1]) < len(seen[-1])
    shown = codesign("table", designs, *options).out
    if evaluations == 80:
        assert (
            f"Of {len(best)} points on the table's front {len(best)} found, the last at evaluation {last} of"
            in shown
        )
        assert "the whole front was found then" in shown


def test_help_has_an_example(codesign: Call) -> None:
    assert "codesign table fir.csv --knobs 'knob_*'" in codesign("table", "--help").out.replace("\n  ", " ")
