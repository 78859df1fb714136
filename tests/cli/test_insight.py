"""``codesign insight``."""

import json
from pathlib import Path

from tests.cli.conftest import Call


def test_a_study_says_how_its_search_went(tmp_path: Path, codesign: Call) -> None:
    folder = str(tmp_path / "study")
    options = ["--trials", "9", "--steps", "5", "--recipe", "quick", "--wafers", "400", "--workers", "1"]
    ran = codesign("run", "--space", "econt", "--optimiser", "asha", *options, "--out", folder)
    assert ran.code == 0
    assert "networks on lower rungs say little of it" in ran.err
    shown = codesign("insight", folder)
    assert shown.code == 0
    assert "Progress of study" in shown.out
    assert "standard" in shown.out or "no better than the mean" in shown.out
    data = json.loads(codesign("insight", folder, "--json").out)
    assert data["designs"] == 9
    assert "from 9 designs: too few to trust, 20 tell more." in shown.out
    assert len(data["trace"]) == 11
    assert data["trace"] == sorted(data["trace"])
    assert set(data["surrogate_errors"]) == {"emd"}


def test_no_study_is_an_error_in_a_line(tmp_path: Path, codesign: Call) -> None:
    result = codesign("insight", str(tmp_path))
    assert result.code == 2
    assert "holds no study" in result.err
