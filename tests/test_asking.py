"""Ask and tell: the loop is somebody else's, the search and the folder are ours."""

import re
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import codesign
from codesign.config import parse_study
from codesign.errors import ConfigError, SpaceError, StoreError
from codesign.optimisers import OPTIMISERS
from codesign.space import Candidate, Constraint, SearchSpace, integer

SPACE = SearchSpace("own", (integer("width", 1, 40), integer("bits", 2, 8)))


def size(candidate: Candidate) -> float:
    return float(candidate["width"]) * float(candidate["bits"])


def error(candidate: Candidate) -> float:
    return 1 / float(candidate["width"]) + 2.0 ** -float(candidate["bits"])


def study(folder: Path, **changes: Any) -> codesign.Study:
    options: dict[str, Any] = {
        "space": SPACE,
        "objectives": ["error", "size<=200"],
        "known": {"size": size},
        "out": folder,
    }
    return codesign.create(**{**options, **changes})


def test_what_is_told_makes_the_front(tmp_path: Path) -> None:
    mine = study(tmp_path)
    for _ in range(6):
        for candidate in mine.ask(2):
            told = mine.tell(candidate, {"error": error(candidate)})
            assert (told.value("error"), told.value("size")) == (error(candidate), size(candidate))
    assert len(mine.evaluations) == 12
    assert len({e.candidate for e in mine.evaluations}) == 12
    assert all(size(e.candidate) <= 200 for e in mine.evaluations)
    assert {e.origin for e in mine.evaluations} == {"start", "ehvi"}
    best = mine.front().evaluations
    assert len(best) >= 3
    assert not mine.asked
    assert set(mine.units) >= {"error", "size"}
    assert len(mine.to_dataframe()) == 12
    mine.close()


def test_a_told_design_beyond_a_budget_is_infeasible_and_known_ones_need_no_values(tmp_path: Path) -> None:
    mine = study(tmp_path / "bounded")
    wide = mine.tell({"width": 40, "bits": 8}, {"error": 0.001})
    assert (wide.status, wide.reason) == ("infeasible", "size is 320, budget 200")
    assert not len(mine.front())
    mine.close()
    exact = study(tmp_path / "exact", known={"size": size, "error": error})
    (first,) = exact.ask()
    assert exact.tell(first, {}).status == "ok"
    exact.close()


def test_a_space_that_is_too_large_to_count_is_searched(tmp_path: Path) -> None:
    items = tuple(integer(f"k{index}", 0, 9) for index in range(8))
    even = Constraint("the sum is even", lambda c: sum(map(int, c.values.values())) % 2 == 0)
    vast = SearchSpace("vast", items, (even,))
    for optimiser in OPTIMISERS:
        goals = {"objectives": ["error", "size"], "known": {"size": lambda c: float(c["k0"])}}
        mine = study(tmp_path / optimiser, space=vast, optimiser=optimiser, **goals)
        for _ in range(12):
            (candidate,) = mine.ask()
            assert sum(map(int, candidate.values.values())) % 2 == 0
            mine.tell(candidate, {"error": 1 / (1 + float(candidate["k1"]))})
        mine.close()


def test_who_comes_back_gets_the_same_sequence(tmp_path: Path) -> None:
    """Also with candidates that were asked for and not told."""
    sequences = []
    for name, again in (("whole", False), ("parts", True)):
        mine = study(tmp_path / name, optimiser="random")
        waiting = mine.ask(3)
        for _ in range(5):
            if again:
                mine.close()
                mine = study(tmp_path / name, optimiser="random")
                assert mine.asked == waiting
            first = waiting.pop(0)
            mine.tell(first, {"error": error(first)})
            waiting += mine.ask()
        sequences.append([candidate for _, candidate, *_ in mine.store.proposals()])
        mine.close()
    assert sequences[0] == sequences[1]


def test_other_designs_and_failures_are_told_too(tmp_path: Path) -> None:
    mine = study(tmp_path)
    own = mine.tell({"width": 7, "bits": 3}, {"error": np.float32(0.5)})
    assert (own.origin, own.status, own.value("error")) == ("told", "ok", 0.5)
    (asked,) = mine.ask()
    broken = mine.tell(asked, None, reason="the tool stopped")
    assert (broken.status, broken.reason, broken.number) == ("failed", "the tool stopped", 1)
    assert [e.candidate for e in mine.front()] == [own.candidate]
    for candidate in (own.candidate, asked):
        with pytest.raises(StoreError, match="was told before"):
            mine.tell(candidate, {"error": 1.0})
    mine.close()


@pytest.mark.parametrize(
    ("values", "reason", "message"),
    [
        ({"eror": 1.0}, "", "tell the measured objectives error; got eror"),
        ({}, "", "tell the measured objectives error; got none"),
        ({"error": float("nan")}, "", r"error is nan, expected a finite number; if the evaluation failed"),
        ({"error": "small"}, "", "error is 'small', expected a finite number"),
        (None, "", "a failure has a reason"),
    ],
)
def test_what_cannot_be_told_is_refused_and_nothing_is_recorded(
    tmp_path: Path, values: Any, reason: str, message: str
) -> None:
    mine = study(tmp_path)
    (asked,) = mine.ask()
    with pytest.raises(ConfigError, match=message):
        mine.tell(asked, values, reason=reason)
    assert mine.asked == [asked]
    assert not mine.evaluations
    with pytest.raises(SpaceError, match="width takes 1 to 40"):
        mine.tell({"width": 99}, {"error": 1.0})
    with pytest.raises(ConfigError, match="ask for 1 candidate or more"):
        mine.ask(0)
    mine.close()


def test_an_exhausted_space_gives_fewer(tmp_path: Path) -> None:
    mine = study(tmp_path, space=SPACE.restricted(width=(1, 2), bits=(2,)), optimiser="random")
    assert len(mine.ask(5)) == 2
    assert mine.ask() == []
    mine.close()


def test_a_space_of_networks_has_the_costs_of_its_model(tmp_path: Path, tiny: ModuleType) -> None:
    mine = codesign.create(space=tiny, objectives=["error", "area_um2"], out=tmp_path)
    (first,) = mine.ask()
    assert first == tiny.SPACE.candidate(tiny.BASELINE)
    assert mine.tell(first, {"error": 0.3}).value("area_um2") > 0
    mine.close()
    with pytest.raises(ConfigError, match="belong to a bare SearchSpace"):
        codesign.create(space=tiny, objectives=["error", "size"], known={"size": size}, out=tmp_path)


def test_a_known_function_that_nothing_asks_for_is_a_slip(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="known gives size, which is no objective and no limit"):
        study(tmp_path, objectives=["error", "sise"])
    assert not list(tmp_path.iterdir())


def test_a_study_that_trains_is_not_told(tmp_path: Path) -> None:
    mine = study(tmp_path)
    mine.close()
    with codesign.Study.read(tmp_path).store as store, pytest.raises(ConfigError, match="is not open to ask"):
        codesign.Study(store).ask()
    with pytest.raises(StoreError, match="was made with another seed"):
        study(tmp_path, seed=5)


def test_the_page_on_searching_says_what_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[1] / "docs" / "howto" / "search.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(\w+)\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    for language, text in blocks:
        if language == "python":
            exec(text, {})
            assert "'ripple'" in capsys.readouterr().out
        if language == "toml":
            parse_study({"space": "econt", **tomllib.loads(text)}, "page").setup()
    assert [language for language, _ in blocks] == ["toml", "bash", "bash", "bash", "python", "bash"]
    for name in OPTIMISERS:
        assert f"`{name}`" in page


def test_a_design_that_is_told_again_counts_with_its_mean(tmp_path: Path) -> None:
    mine = study(tmp_path)
    (asked,) = mine.ask()
    with pytest.raises(StoreError, match="was not told before"):
        mine.tell(asked, {"error": 0.1}, again=True)
    mine.tell(asked, {"error": 0.1})
    with pytest.raises(StoreError, match="again=True\\) adds a further measurement"):
        mine.tell(asked, {"error": 0.1})
    for value in (0.2, 0.6):
        mine.tell(asked, {"error": value}, again=True)
    mine.tell(asked, None, reason="the rig was cold", again=True)
    with pytest.raises(ConfigError, match="trains nothing; tell"):
        codesign.repeat(mine)
    found = mine.repeated[asked.digest]
    assert found.values("error") == (0.1, 0.2, 0.6)
    assert found.mean("error") == pytest.approx(0.3)
    assert mine.front_over_seeds().evaluations[0].value("error") == pytest.approx(0.3)
    assert len(mine.evaluations) == 1
    assert mine.ask()[0] != asked
    mine.close()


def test_a_warm_start_takes_further_measurements_over(tmp_path: Path) -> None:
    earlier = study(tmp_path / "earlier")
    (asked,) = earlier.ask()
    earlier.tell(asked, {"error": 0.1})
    earlier.tell(asked, {"error": 0.3}, again=True)
    earlier.close()
    mine = study(tmp_path / "mine", warm_start=[tmp_path / "earlier"])
    assert mine.repeated[asked.digest].values("error") == (0.1, 0.3)
    assert mine.front_over_seeds().evaluations[0].value("error") == pytest.approx(0.2)
    mine.close()
