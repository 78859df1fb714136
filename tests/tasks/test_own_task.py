"""The page on a task of one's own: its code runs, its commands are options that there are."""

import json
import re
import shlex
import signal
import sys
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest

import codesign
from codesign.cli import main
from codesign.errors import StoreError
from codesign.tasks import Samples, Task
from codesign.training.fit import fit
from codesign.training.recipe import LOSS_NAMES, Recipe

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "howto" / "own-task.md").read_text(encoding="utf-8")
MODULE, SEARCH, OWN_LOSS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
(COMMANDS,) = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the page's file lies."""
    (tmp_path / "jets.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_searches_and_goes_on_from_the_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, names = codesign.run, dict[str, Any]()
    fewer = {"trials": 4, "steps": 100, "workers": 1, "optimiser": "random", "progress": False}
    monkeypatch.setattr(codesign, "run", lambda **given: run(**{**given, **fewer}))
    exec(SEARCH, names)
    assert "accuracy" in capsys.readouterr().out
    study = names["study"]
    assert all(each.engine == "torch" for each in study.evaluations if each.ok)
    best = study.front().evaluations
    assert all(each.value("accuracy") >= 0.6 and each.value("lut") <= 20_000 for each in best)
    assert max(each.value("accuracy") for each in best) > 0.7
    assert study.units["accuracy"] == "1"
    assert best[0].metrics["accuracy"].n == 1000
    study.close()
    longer = codesign.resume("runs/jets", 5, progress=False)
    assert len(longer.evaluations) == 5
    again = codesign.repeat(longer, [best[0].candidate.digest], seeds=2, workers=1, progress=False)
    assert len(again.repeated) == 1
    longer.close()
    fewer["data"] = {"jets": 4000}
    with pytest.raises(StoreError, match="was made with another task"):
        exec(SEARCH, {})


def said(monkeypatch: pytest.MonkeyPatch, *line: str) -> int:
    """Exit status of a command line in this process."""
    monkeypatch.setattr(sys, "argv", list(line))
    before = signal.getsignal(signal.SIGTERM)
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def test_the_commands_of_the_page_are_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [shlex.split(line) for line in COMMANDS.splitlines()]
    verbs = ("run", "resume", "repeat", "export", "score")
    assert [line[:2] for line in lines] == [["codesign", verb] for verb in verbs]
    assert said(monkeypatch, *lines[0], "--dry-run") == 0
    assert "lut" in capsys.readouterr().out
    for line in lines[1:4]:
        assert said(monkeypatch, *line) == 2
        assert "runs/jets holds no study" in capsys.readouterr().err
    assert said(monkeypatch, *lines[4]) == 2
    assert "cannot read the network" in capsys.readouterr().err


def test_the_task_of_the_page_scores_a_file_of_its_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = {"__name__": __name__}
    exec(MODULE, names)
    made = names["JetTask"].from_options(jets=203)
    network = names["build"]({"bits": 6, "layers": 1, "units_1": 8})
    network = fit(network, made.training, made.validation, Recipe.quick(20), loss=made.loss, seed=0).network
    folder.joinpath("network.json").write_text(json.dumps(network.to_dict()))
    np.savez(folder / "test.npz", features=made.features, labels=made.labels)
    for rows, count in (("all", 203), ("validation", 40)):
        words = ("score", "network.json", "--task", "jets.py:JetTask", "--data", "test.npz", "--rows", rows)
        assert said(monkeypatch, "codesign", *words, "--json") == 0
        found = json.loads(capsys.readouterr().out)["accuracy"]
        answers = network.predict(made.features[:count].astype(np.float32)).argmax(axis=1)
        assert found["n"] == count
        assert found["mean"] == pytest.approx(float((answers == made.labels[:count]).mean()))


def test_the_loss_of_the_page_trains() -> None:
    names: dict[str, Any] = {"__name__": __name__}
    exec(MODULE + OWN_LOSS, names)
    task = names["Focal"].from_options(jets=500)
    network = names["build"]({"bits": 6, "layers": 1, "units_1": 8})
    found = fit(network, task.training, task.validation, Recipe.quick(80), loss=task.loss, seed=0)
    assert (found.status, found.engine) == ("ok", "torch")
    assert task.score(found.network)["accuracy"].mean > 0.6


def test_the_page_names_every_loss_and_every_part_of_a_task() -> None:
    parts = {name for name in vars(Task) if not name.startswith("_")} | set(get_type_hints(Task))
    table = PAGE.partition("## What a task has")[2].partition("## Losses")[0]
    assert all(re.search(rf"`{name}\b", table) for name in {*parts, "from_options"})
    assert all(f"`{name}`" in table for name in ("output_index", "weights"))
    losses = PAGE.partition("## Losses")[2]
    assert all(f"`{name}`" in losses for name in LOSS_NAMES)
    flat = np.zeros((3, 2), np.float32)
    assert len(Samples(flat, flat, np.arange(2))) == 3
