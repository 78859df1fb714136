"""Designs through synthesis: each ends as a status, nothing is done twice, nothing half written is kept."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codesign import campaign
from codesign.campaign import Goal, synthesise_designs
from codesign.errors import OutputError, ToolTimeoutError
from codesign.hardware import Device, Resources, SynthesisReport, Target
from codesign.network import Network
from codesign.store import Store
from tests.export.small import TINY

GOAL = Goal("xc7", Device(weights="reloadable", redundancy="all"))
NETWORKS = {"aaaa": TINY, "bbbb": TINY, "cccc": TINY}


class Tool:
    """Stands in for Yosys; fails as it is told to, design by design."""

    def __init__(self, *errors: Exception | None) -> None:
        self.errors, self.bundles = list(errors), []

    def __call__(self, bundle: Path, work: Path, **options: Any) -> SynthesisReport:
        self.bundles.append(bundle)
        (work / "yosys.log").write_text("what it said\n")
        error = self.errors[len(self.bundles) - 1] if self.errors else None
        if error is not None:
            raise error
        stated = json.loads((bundle / "provenance.json").read_text())["made_for"]
        target = Target.from_dict({**stated, "tool": "Yosys", "version": "0"})
        return SynthesisReport("top", target, "synthesis", Resources(lut=7), source="stat.json")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "study", {"name": "first"}) as store:
        yield store


def synthesised(store: Store, tool: Tool, monkeypatch: pytest.MonkeyPatch, **options: Any) -> dict[str, str]:
    monkeypatch.setattr(campaign, "synthesise", tool)
    networks: dict[str, Network] = options.pop("networks", NETWORKS)
    return {each.digest: each.status for each in synthesise_designs(store, networks, GOAL, **options)}


def test_every_design_ends_as_a_status_and_the_others_go_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = Tool(None, OutputError("no such cell"), ToolTimeoutError("took too long"))
    assert synthesised(store, tool, monkeypatch) == {"aaaa": "ok", "bbbb": "failed", "cccc": "timeout"}
    kept = {each.digest: each for each in store.syntheses()}
    report = kept["aaaa"].report
    assert report is not None
    assert (report.design, report.target.technology, report.resources.lut) == ("aaaa", "xc7", 7)
    assert (kept["bbbb"].report, kept["bbbb"].reason) == (None, "no such cell")
    assert kept["cccc"].reason == "took too long"


def test_the_logs_stay_and_nothing_half_written(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    synthesised(store, Tool(None, OutputError("no such cell"), None), monkeypatch)
    for digest, files in {"aaaa": {"yosys.log", "report.json", "rtl"}, "bbbb": {"yosys.log", "rtl"}}.items():
        (place,) = (store.folder / "synthesis" / digest).iterdir()
        assert place.name == GOAL.label == "xc7-reloadable-40MHz-redundancy-all"
        assert {path.name for path in place.iterdir()} == files
    report = json.loads((store.folder / "synthesis" / "aaaa" / GOAL.label / "report.json").read_text())
    assert report["design"] == "aaaa"


def test_what_ended_is_not_done_again_unless_asked(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    synthesised(store, Tool(None, OutputError("no such cell"), None), monkeypatch)
    again = Tool()
    assert synthesised(store, again, monkeypatch)["bbbb"] == "failed"
    assert again.bundles == []
    assert synthesised(store, again, monkeypatch, again=True) == dict.fromkeys(NETWORKS, "ok")
    assert len(again.bundles) == 1


def test_a_report_without_the_power_that_is_asked_for_is_made_anew(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Tool(), Tool()
    monkeypatch.setattr(campaign, "require_tools", lambda **needs: None)
    assert set(synthesised(store, first, monkeypatch).values()) == {"ok"}
    powered = replace(GOAL, power=True)
    monkeypatch.setattr(campaign, "synthesise", second)
    assert len(list(synthesise_designs(store, NETWORKS, powered))) == len(second.bundles) == len(NETWORKS)


def test_a_stopped_campaign_goes_on_where_it_was(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        synthesised(store, Tool(None, KeyboardInterrupt(), None), monkeypatch)  # type: ignore[arg-type]
    assert [each.digest for each in store.syntheses()] == ["aaaa"]
    assert not list((store.folder / "synthesis" / "bbbb").iterdir())
    rest = Tool()
    assert synthesised(store, rest, monkeypatch) == dict.fromkeys(NETWORKS, "ok")
    assert len(rest.bundles) == 2


def test_goals_that_differ_have_different_labels() -> None:
    goals = [
        Goal("sky130hd", Device()),
        Goal("sg13g2", Device()),
        Goal("sky130hd", Device(weights="constant")),
        Goal("sky130hd", Device(clock_mhz=100)),
        Goal("sky130hd", Device(redundancy="all")),
        Goal("sky130hd", Device(pipelined=False)),
        Goal("ecp5", Device()),
        Goal("ecp5", Device(), place=True),
        Goal("libraries/my_28nm.lib.gz", Device()),
    ]
    assert len({goal.label for goal in goals}) == len(goals)
    assert goals[-1].label == "my_28nm-reloadable-40MHz"
