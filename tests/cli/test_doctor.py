"""What is installed: a row a part, and advice where something is missing."""

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from codesign.cli import doctor

KEYS = {"part", "needs", "found", "works", "advice"}
OUTSIDE = {"timing and power", "standard cells"}
"""What no extra installs: a program, and files of the user's."""


def test_every_part_works_here(codesign: Callable[..., Any]) -> None:
    rows = json.loads(codesign("doctor", "--json").out)
    assert all(set(row) == KEYS for row in rows)
    assert [row["part"] for row in rows][:3] == ["Python", "training", "search"]
    ours = [row for row in rows if row["part"] not in OUTSIDE]
    assert all(row["works"] and not row["advice"] for row in ours)
    assert len(rows) == len(ours) + len(OUTSIDE)
    assert all(row["works"] != bool(row["advice"]) for row in rows)
    text = codesign("doctor").out
    assert all(row["part"] in text for row in rows)


def test_a_missing_package_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PARTS", (("magic", ("loky", "no-such-package"), "install it"),))
    row = doctor.examine()[1]
    assert not row["works"]
    assert row["advice"] == "install it (missing or broken: no-such-package)"
    assert "loky" in row["found"]


def test_a_broken_torch_does_not_stop_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    rows = {row["part"]: row for row in doctor.examine()}
    assert not rows["training"]["works"]
    assert "torch" in rows["training"]["advice"]
    assert rows["GPU"]["works"]
