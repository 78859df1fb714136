"""A user's own library, whole: synthesise trained designs to it, compare, calibrate."""

import json
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from codesign.study import Study

LIBRARY = Path(__file__).parents[1] / "synthesis" / "golden" / "tiny.lib"
RUN = "tiny-constant-40MHz"


def parsed(result: Any) -> Any:
    assert result.code == 0, result.err
    return json.loads(result.out)


@pytest.mark.slow
@pytest.mark.netlist
@pytest.mark.da4ml
def test_a_library_of_ones_own_from_synthesis_to_a_calibrated_estimate(
    copy: Path, tmp_path: Path, codesign: Callable[..., Any]
) -> None:
    for package in ("pyosys", "da4ml"):
        pytest.importorskip(package, reason=f"the extra rtl ({package}) is not installed")
    with Study.read(copy).store as store:
        trained = [each for each in store.evaluations() if each.ok]
    trained.sort(key=lambda each: each.costs["bops"])
    chosen = [each.candidate.digest for each in trained[:2]]
    command = ("synth", copy, *chosen, "--to", LIBRARY, "--weights", "constant", "--workers", 1)

    rows = parsed(codesign(*command, "--json"))
    assert [(row["digest"], row["run"], row["status"]) for row in rows] == [(d, RUN, "ok") for d in chosen]
    areas = {row["digest"]: row["report"]["resources"]["area_um2"] for row in rows}
    assert all(row["report"]["script"].startswith("asic-") for row in rows)
    assert (copy / "synthesis" / chosen[0] / RUN / "cells.log").is_file()
    again = parsed(codesign(*command, "--json"))
    assert [row["report"]["seconds"] for row in again] == [row["report"]["seconds"] for row in rows]

    text = files("hardware_models.technology").joinpath("sky130hd.toml").read_text(encoding="utf-8")
    title = rows[0]["report"]["target"]["library"]
    table = tmp_path / "tiny.toml"
    table.write_text(re.sub(r"^library = .*$", f'library = "{title}"', text, flags=re.MULTILINE))
    pair = ("--synth", RUN, "--model", "constant", "--technology", table)
    compared = parsed(codesign("compare", copy, *pair, "--json"))
    (area,) = (each for each in compared["quantities"] if each["name"] == "area_um2")
    assert {row["design"]: row["measured"] for row in area["rows"]} == areas
    assert compared["basis"] == ["weights"]

    out = tmp_path / "tiny.json"
    fitted = parsed(codesign("calibrate", copy, *pair, "--out", out, "--json"))
    assert set(fitted["parts"]) == {"weights", "prior"}
    better = parsed(codesign("compare", copy, *pair, "--calibration", out, "--json"))
    (after,) = (each for each in better["quantities"] if each["name"] == "area_um2")
    assert after["mape"] < area["mape"]

    other = codesign("compare", copy, "--synth", RUN, "--model", "constant", "--technology", "sky130hd")
    assert other.code == 2
    assert "library" in other.err
