"""``codesign studies``: several studies by one measure."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from codesign.pareto import hypervolume
from codesign.store import Store
from codesign.study import Study
from tests.cli.conftest import Call, run_main

Change = Callable[..., Path]


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory, small: SimpleNamespace) -> Path:
    """A second study that differs in seed and length alone."""
    folder = tmp_path_factory.mktemp("studies") / "other"
    options = [*small.options, *small.limit, "--trials", 3, "--seed", 1, "--out", folder]
    result = run_main("run", *options)
    assert result.code == 0, result.err
    return folder


@pytest.fixture
def changed(made: SimpleNamespace, tmp_path: Path) -> Change:
    """A copy of the first study in which something is another: ``changed("name", model="constant")``."""

    def change(name: str, **meta: Any) -> Path:
        ignored = shutil.ignore_patterns("front.*", "export", "networks")
        folder = Path(shutil.copytree(made.folder, tmp_path / name, ignore=ignored))
        with Store.open(folder) as store:
            for key, value in meta.items():
                old = store.meta().get(key)
                store.set_meta(key, {**old, **value} if isinstance(old, dict) else value)
        return folder

    return change


def refused(result: Any, *words: str) -> None:
    assert (result.code, result.out) == (2, "")
    assert result.err.count("\n") == 1
    assert result.err.startswith("error: ")
    for word in words:
        assert word in result.err


def test_every_study_is_measured_by_one_point(made: SimpleNamespace, other: Path, codesign: Call) -> None:
    found = json.loads(codesign("studies", made.folder, other, "--json").out)
    corner = np.array([found["reference"][name] for name in ("emd", "area_um2")])
    points = []
    for folder, row in zip((made.folder, other), found["studies"], strict=True):
        study = Study.read(folder)
        with study.store:
            front = np.array([each.minimised(study.objectives) for each in study.front()])
            assert row["designs"] == len(study.evaluations)
            assert row["steps"] == sum(each.steps for each in study.evaluations)
        points.append(front)
        assert row["hypervolume"] == pytest.approx(hypervolume(front, corner))
        assert row["best"] == pytest.approx(dict(zip(("emd", "area_um2"), front.min(axis=0), strict=True)))
        assert row["share"] == pytest.approx(row["hypervolume"] / found["union"]["hypervolume"])
    every = np.concatenate(points)
    np.testing.assert_allclose(corner, every.max(axis=0) + 0.1 * np.ptp(every, axis=0))
    assert found["reference_is"] == {"emd": "worst", "area_um2": "worst"}
    assert found["union"]["hypervolume"] == pytest.approx(hypervolume(every, corner))
    assert [(row["name"], row["optimiser"], row["seed"]) for row in found["studies"]] == [
        ("study", "random", 0),
        ("other", "random", 1),
    ]
    assert found["equal_designs"] == 3
    assert found["notes"] == []


def test_the_table_has_a_row_a_study_and_says_the_reference_point(
    made: SimpleNamespace, other: Path, codesign: Call
) -> None:
    result = codesign("studies", made.folder, other)
    assert (result.code, result.err) == (0, "")
    rows = [line.split("│")[1:-1] for line in result.out.splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in row[:5]] for row in rows] == [
        ["study", "random", "0", "4", "80"],
        ["other", "random", "1", "3", "60"],
    ]
    said = " ".join(result.out.split())
    assert "at 3 designs" in said
    assert "Reference point of every hypervolume: emd " in said
    assert " sensor cells (a tenth of the range beyond the worst on the fronts), area_um2 " in said
    assert "Union of the fronts: " in said
    assert "Note: " not in said


def test_what_several_found_is_said(made: SimpleNamespace, changed: Change, codesign: Call) -> None:
    result = codesign("studies", made.folder, changed("again"))
    assert "of them found by several studies, hypervolume " in " ".join(result.out.split())


def test_a_budget_that_all_have_is_the_reference(changed: Change, codesign: Call) -> None:
    goals = [{"name": "emd", "sense": "min", "budget": 30.0}, {"name": "area_um2", "sense": "min"}]
    folders = [changed(name, objectives=goals) for name in ("one", "two")]
    result = codesign("studies", *folders)
    assert "emd 30 sensor cells (the budget), area_um2 " in " ".join(result.out.split())


def test_a_picture_is_drawn_on_demand(
    made: SimpleNamespace, other: Path, codesign: Call, tmp_path: Path
) -> None:
    picture = tmp_path / "fronts.png"
    result = codesign("studies", made.folder, other, "--plot", picture)
    assert result.out.endswith(f"Picture: {picture}\n")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert json.loads(codesign("studies", made.folder, other, "--plot", picture, "--json").out)[
        "picture"
    ] == str(picture)
    refused(codesign("studies", made.folder, other, "--plot", "fronts.pdf"), "fronts.pdf", "ends in .png")


def test_studies_of_one_name_go_by_their_paths(made: SimpleNamespace, codesign: Call, tmp_path: Path) -> None:
    twin = shutil.copytree(made.folder, tmp_path / "elsewhere" / "study")
    found = json.loads(codesign("studies", made.folder, twin, "--json").out)
    assert [row["name"] for row in found["studies"]] == [str(made.folder), str(twin)]


def test_one_study_or_one_twice_is_an_error(made: SimpleNamespace, codesign: Call, tmp_path: Path) -> None:
    refused(codesign("studies", made.folder), "give two studies or more", "codesign front")
    refused(codesign("studies", made.folder, made.folder / "."), "more than once")
    refused(codesign("studies", made.folder, tmp_path), "holds no study")


def test_other_objectives_or_senses_are_an_error(
    made: SimpleNamespace, changed: Change, codesign: Call
) -> None:
    goals = [{"name": "emd", "sense": "min"}, {"name": "operations", "sense": "min"}]
    words = ("priced trades min emd, min operations", "study min emd, min area_um2", "the same objectives")
    refused(codesign("studies", made.folder, changed("priced", objectives=goals)), *words)
    goals = [{"name": "emd", "sense": "max"}, {"name": "area_um2", "sense": "min"}]
    turned = changed("turned", objectives=goals)
    refused(codesign("studies", made.folder, turned), "turned trades max emd", "study min emd")


def test_scores_on_other_data_are_an_error_that_names_what_differs(
    made: SimpleNamespace, changed: Change, codesign: Call
) -> None:
    words = (
        "elsewhere and study score emd",
        "other data: task source",
        "measured in elsewhere",
        "the same task",
    )
    other = changed("elsewhere", task={"source": "measured"})
    refused(codesign("studies", made.folder, other), *words)


def test_costs_alone_may_be_of_other_data_which_is_noted(changed: Change, codesign: Call) -> None:
    goals = [{"name": "operations", "sense": "min"}, {"name": "area_um2", "sense": "min"}]
    folders = [
        changed("one", objectives=goals),
        changed("two", objectives=goals, task={"source": "measured"}),
    ]
    result = codesign("studies", *folders, "--json")
    assert result.code == 0, result.err
    (note,) = json.loads(result.out)["notes"]
    assert "measured in two" in note


def test_costs_of_another_model_target_or_calibration_are_noted(
    made: SimpleNamespace, changed: Change, codesign: Call
) -> None:
    other = changed("other", model="constant", calibration="d0bd2887c535", device={"clock_mhz": 80.0})
    (note,) = json.loads(codesign("studies", made.folder, other, "--json").out)["notes"]
    assert note == (
        "costs are not of the same model: model asic in study, constant in other; calibration none in study, "
        "d0bd2887c535 in other; device clock_mhz 40.0 in study, 80.0 in other"
    )
    said = " ".join(codesign("studies", made.folder, other).out.split())
    assert f"Note: {note}." in said


def test_what_every_model_counts_alike_is_of_no_model(changed: Change, codesign: Call) -> None:
    goals = [{"name": "emd", "sense": "min"}, {"name": "operations", "sense": "min"}]
    folders = [
        changed("one", objectives=goals),
        changed("two", objectives=goals, model="constant"),
    ]
    assert json.loads(codesign("studies", *folders, "--json").out)["notes"] == []


def test_another_recipe_or_bound_is_noted(made: SimpleNamespace, changed: Change, codesign: Call) -> None:
    other = changed("other", recipe={"steps": 30}, limits=[])
    (note,) = json.loads(codesign("studies", made.folder, other, "--json").out)["notes"]
    assert "bounds operations<=8000.0 in study, none in other; recipe steps 20 in study, 30 in other" in note


def test_a_study_that_has_not_begun_is_an_error(
    made: SimpleNamespace, changed: Change, codesign: Call
) -> None:
    empty = changed("empty")
    with Store.open(empty) as store:
        store._connection.execute("DELETE FROM evaluations")
        store._connection.commit()
    refused(codesign("studies", made.folder, empty), "has no finished design yet", "leave it out")


def test_designs_of_earlier_studies_are_none_of_its_own(
    made: SimpleNamespace, changed: Change, codesign: Call
) -> None:
    warm = changed("warm")
    with Store.open(warm) as store:
        record = (
            "UPDATE evaluations SET record = json_set(record, '$.origin', 'warm start: x') WHERE number = 0"
        )
        store._connection.execute(record)
        store._connection.commit()
    found = json.loads(codesign("studies", made.folder, warm, "--json").out)
    assert [(row["designs"], row["steps"]) for row in found["studies"]] == [(4, 80), (3, 60)]
    assert found["notes"] == [
        "warm knew 1 design of earlier studies from the start, which count as none of its designs and steps"
    ]


def test_a_narrow_screen_cuts_no_number(
    made: SimpleNamespace, other: Path, codesign: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = codesign("studies", made.folder, other).out.splitlines()
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
