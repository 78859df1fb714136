"""The live view, and how numbers and headings are written."""

from collections.abc import Callable
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from rich.console import Console

from codesign.asking import create
from codesign.cli import view
from codesign.cli.view import View, status_data
from codesign.errors import StoreError
from codesign.evaluation import Evaluation
from codesign.hardware import Device
from codesign.metrics import Summary
from codesign.objectives import Objective
from codesign.optimisers import load_optimiser
from codesign.space import SearchSpace, integer
from codesign.study import Setup, Study
from codesign.training import Recipe
from hardware_models.asic import AsicModel

Call = Callable[..., Any]


@pytest.fixture
def setup(tiny: ModuleType) -> Setup:
    return Setup(
        definition=tiny,
        task=tiny.TinyTask(),
        objectives=(Objective("area_um2"), Objective("error")),
        model=AsicModel(),
        device=Device(),
        recipe=Recipe.quick(4),
        optimiser=load_optimiser("random"),
        workers=1,
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (float("nan"), "-"),
        (float("inf"), "-"),
        (0, "0"),
        (1480239.0, "1,480,239"),
        (1480238.88, "1,480,239"),
        (81.494, "81.49"),
        (0.0147661, "0.01477"),
    ],
)
def test_numbers(value: float | None, text: str) -> None:
    assert view._number(value) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (61, "1:01"), (3723, "1:02:03")])
def test_durations(seconds: float, text: str) -> None:
    assert view._duration(seconds) == text


def ended(setup: Setup, number: int, error: float | None) -> Evaluation:
    candidate = setup.definition.SPACE.candidate({"bits": (3, 4, 6, 8)[number]})
    metrics = {} if error is None else {"error": Summary(error, 0.0, 0.0, 4)}
    return Evaluation(
        number=number,
        candidate=candidate,
        origin="random",
        status="failed" if error is None else "ok",
        reason="ValueError: [bold] is no number" if error is None else "",
        metrics=metrics,
        costs=setup.costs(candidate),
        steps=4,
    )


@pytest.mark.parametrize("width", [80, 150])
def test_the_live_view_shows_what_trains_what_ended_and_the_front(setup: Setup, width: int) -> None:
    watcher = View(5, setup)
    stream = StringIO()
    watcher._console = Console(file=stream, force_terminal=True, width=width, color_system=None)
    with watcher:
        watcher.resumed([ended(setup, 0, 0.5)])
        for number in (1, 2, 3):
            candidate = setup.definition.SPACE.candidate({"bits": (3, 4, 6, 8)[number]})
            watcher.started(number, candidate, setup.costs(candidate))
        watcher.finished(ended(setup, 1, None))
        watcher.tick()
    stream.seek(0)
    stream.truncate()
    watcher._console.print(watcher._drawing())
    text = stream.getvalue()
    lines = [line.rstrip() for line in text.splitlines()]
    assert "2/5" in text
    assert "front 1 designs" in text
    for end in ("on the front", "failed", "under way, 0:00", "queued"):
        assert sum(line.endswith(end) for line in lines) == 1
    assert "error" in text
    assert "…" not in text
    assert max(map(len, lines)) <= width


def test_a_line_a_design_keeps_reasons_as_they_are(setup: Setup, capsys: pytest.CaptureFixture[str]) -> None:
    with View(2, setup) as watcher:
        watcher.resumed([])
        watcher.finished(ended(setup, 0, None))
        watcher.finished(ended(setup, 1, 0.25))
    first, second, third = capsys.readouterr().err.splitlines()
    assert first.startswith("2 designs, 4 steps")
    assert "failed: ValueError: [bold] is no number" in second
    assert "error 0.25" in third
    assert third.endswith("left 0:00")


def test_a_quiet_view_says_nothing(setup: Setup, capsys: pytest.CaptureFixture[str]) -> None:
    with View(1, setup, quiet=True) as watcher:
        watcher.resumed([])
        watcher.finished(ended(setup, 0, 0.5))
    assert capsys.readouterr() == ("", "")


def test_a_study_whose_values_are_told_shows_what_it_has(tmp_path: Path, codesign: Call) -> None:
    space = SearchSpace("own", (integer("width", 1, 9),))
    goals = ["error", "size"]
    study = create(space=space, objectives=goals, known={"size": lambda c: float(c["width"])}, out=tmp_path)
    for candidate in study.ask(3):
        study.tell(candidate, {"error": 1 / float(candidate["width"])})
    digest = study.front().evaluations[0].candidate.digest
    study.close()
    for command in (["front"], ["status"], ["show", digest]):
        found = codesign(command[0], tmp_path, *command[1:])
        assert found.code == 0, found.err
        assert "error" in found.out
        assert "size" in found.out
        for absent in ("area", "power", "latency", "steps", "CPU", "batch", "MHz"):
            assert absent not in found.out
    with pytest.raises(StoreError, match=r"was closed; Study\.read"):
        study.front()


def test_the_status_of_a_study_that_was_interrupted(
    setup: Setup, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = Study.create(tmp_path, setup)
    with study.store:
        candidate = setup.definition.SPACE.candidate({"bits": 3})
        study.store.propose(0, candidate, "random")
        data = status_data(study)
        view.print_status(study, data)
        view.print_front(study)
    assert (data["proposed"], data["finished"], data["front"]) == (1, 0, [])
    text = capsys.readouterr().out
    assert "unfinished" in text
    assert "No design was trained to the end" in text


def test_who_trains_quickly_is_told_to_train_longer_and_no_more(copy: Path, codesign: Call) -> None:
    def said(**changes: Any) -> str:
        with Study.open(copy).store as store:
            store.set_meta("constant", {"emd": 0.1})
            store.set_meta("recipe", {**store.meta()["recipe"], **changes})
        return " ".join(codesign("front", copy).out.split())

    assert "the baseline among them: train longer." in said()
    assert "train longer, or with --recipe quick." in said(output_bias=0.0)
