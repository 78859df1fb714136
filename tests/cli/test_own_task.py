"""Studies made from Python objects: the command line does not have the inputs of their task."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from codesign.config import run

Call = Callable[..., Any]


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
        "note: this study was made from Python objects: the inputs of its task are not known here; "
        f"{count} random codes are used instead\n"
    )


@pytest.mark.parametrize(("asked", "taken"), [(1500, 1500), (512, 512), (5, 256)])
def test_an_export_is_verified_on_as_many_random_codes_and_says_so(
    tmp_path: Path, own: SimpleNamespace, codesign: Call, asked: int, taken: int
) -> None:
    place = tmp_path / "onnx"
    words = ("export", own.folder, own.digest, "--to", "onnx", "--out", place, "--vectors", asked, "--json")
    result = codesign(*words)
    assert (result.code, result.err) == (0, note(f"{taken:,}"))
    (row,) = json.loads(result.out)
    assert row["checks"][0]["vectors"] == taken
    inputs = np.load(place / "vectors" / "inputs.npy")
    assert len(inputs) == taken
    assert len(np.unique(inputs.reshape(taken, -1), axis=0)) > 0.7 * taken
    again = codesign(*words)
    assert json.loads(again.out)[0]["written"] is False


def test_verify_compares_on_as_many_random_codes_and_says_so(own: SimpleNamespace, codesign: Call) -> None:
    forms = [word for form in ("float", "module", "onnx") for word in ("--form", form)]
    result = codesign("verify", own.folder, own.digest, *forms, "--vectors", 400, "--json")
    assert (result.code, result.err) == (0, note("400"))
    assert [hop["vectors"] for hop in json.loads(result.out)][1:] == [400, 400]


def test_a_study_whose_data_is_known_has_no_note(made: Any, digest: str, codesign: Call) -> None:
    result = codesign("verify", made.folder, digest, "--form", "module", "--vectors", 5, "--json")
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out)[0]["vectors"] == 5 + 256
