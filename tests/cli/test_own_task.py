"""Studies made from Python objects: the command line has those inputs of their task that they keep."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from codesign.config import run

Call = Callable[..., Any]
KEPT = 128
"""All that the task has."""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, tiny: ModuleType) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("own") / "study"
    study = run(
        space=tiny,
        task=tiny.TinyTask(),
        objectives=["error", "area_um2"],
        trials=1,
        steps=3,
        workers=1,
        out=folder,
        progress=False,
    )
    digest = study.evaluations[0].candidate.digest
    study.close()
    return SimpleNamespace(folder=folder, digest=digest)


def note(count: str) -> str:
    return (
        f"note: this study was made from Python objects and keeps {KEPT} inputs of its task; {count} random "
        "codes are used beside\n"
    )


@pytest.mark.parametrize(("asked", "made_up"), [(1500, 1500 - KEPT), (KEPT + 1, 1), (KEPT, 0), (5, 0)])
def test_an_export_is_verified_on_what_is_kept_and_on_random_codes_beside(
    tmp_path: Path, own: SimpleNamespace, codesign: Call, asked: int, made_up: int
) -> None:
    place = tmp_path / "onnx"
    words = ("export", own.folder, own.digest, "--to", "onnx", "--out", place, "--vectors", asked, "--json")
    result = codesign(*words)
    assert (result.code, result.err) == (0, note(f"{made_up:,}") if made_up else "")
    (row,) = json.loads(result.out)
    assert row["checks"][0]["vectors"] == asked + 256
    inputs = np.load(place / "vectors" / "inputs.npy")
    assert len(inputs) == asked + 256
    random = inputs[min(asked, KEPT) :].reshape(made_up + 256, -1)
    assert len(np.unique(random, axis=0)) > 0.7 * len(random)
    again = codesign(*words)
    assert json.loads(again.out)[0]["written"] is False


def test_verify_compares_on_random_codes_beside_and_says_so(own: SimpleNamespace, codesign: Call) -> None:
    forms = [word for form in ("float", "module", "onnx") for word in ("--form", form)]
    result = codesign("verify", own.folder, own.digest, *forms, "--vectors", 400, "--json")
    assert (result.code, result.err) == (0, note(f"{400 - KEPT}"))
    assert [hop["vectors"] for hop in json.loads(result.out)][1:] == [656, 656]


def test_without_what_it_keeps_all_are_random(tmp_path: Path, own: SimpleNamespace, codesign: Call) -> None:
    """A study from before inputs were kept."""
    folder = shutil.copytree(own.folder, tmp_path / "old")
    (folder / "inputs.npy").unlink()
    result = codesign("verify", folder, own.digest, "--form", "module", "--vectors", 9, "--json")
    assert "keeps 0 inputs of its task; 9 random codes" in result.err
    assert json.loads(result.out)[0]["vectors"] == 9 + 256


def test_a_study_whose_data_is_known_has_no_note(made: Any, digest: str, codesign: Call) -> None:
    result = codesign("verify", made.folder, digest, "--form", "module", "--vectors", 5, "--json")
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out)[0]["vectors"] == 5 + 256


def test_a_last_bias_is_told_of_networks_that_end_in_a_sigmoid(
    own: SimpleNamespace, made: Any, codesign: Call
) -> None:
    with_one, without = (codesign("front", folder).out for folder in (made.folder, own.folder))
    assert "last bias from -3.43 before the sigmoid" in " ".join(with_one.split())
    assert "Training: 3 steps" in without
    assert "last bias" not in without
