"""A report says what a tool said, and survives JSON."""

import json
from dataclasses import replace
from typing import Any

import pytest

from codesign.errors import ConfigError, ReportError
from codesign.hardware import Resources, SynthesisReport, Target

TARGET = Target(part="xczu7ev-ffvc1156-2-e", clock_mhz=200.0, tool="FINN+", version="1.6.1")
REPORT = SynthesisReport(
    design="1df17c3f",
    target=TARGET,
    stage="FINN estimate",
    resources=Resources(lut=3868, bram_18k=9, dsp=41),
    latency_cycles=372,
    initiation_interval=83,
    by_layer={"the design": {"lut": 1030, "ff": None, "cycles": 83}},
    source="reports/estimate_*.json",
)


def test_json_both_ways() -> None:
    assert SynthesisReport.from_dict(json.loads(json.dumps(REPORT.to_dict()))) == REPORT
    assert "ff" not in REPORT.to_dict()["resources"]


def test_what_is_not_stated_is_none() -> None:
    assert REPORT.stated() == {
        "lut": 3868,
        "dsp": 41,
        "bram_18k": 9,
        "latency_cycles": 372,
        "initiation_interval": 83,
    }
    assert REPORT.value("ff") is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stage": "guess"}, "stage is one of FINN estimate.*'guess'"),
        ({"design": ""}, "needs its design"),
        ({"source": ""}, "needs its source"),
        ({"target": Target(part="x")}, "names the tool and its version"),
        ({"critical_path_ns": -1.0}, "critical_path_ns is a number of 0 or more"),
        ({"power_mw": float("nan")}, "power_mw is a number of 0 or more"),
        ({"slack_ns": float("inf")}, "slack_ns is a finite number"),
        ({"seconds": -1.0}, "seconds is a number of 0 or more"),
    ],
)
def test_what_no_tool_says_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(REPORT, **change)


def test_a_slack_may_be_negative() -> None:
    assert replace(REPORT, slack_ns=-0.3).slack_ns == -0.3


@pytest.mark.parametrize(
    "data",
    [{"tool": "FINN+"}, {**REPORT.to_dict(), "colour": 1}, {**REPORT.to_dict(), "resources": {"luts": 1}}],
)
def test_other_data_is_no_report(data: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"a report has|resources are"):
        SynthesisReport.from_dict(data)


def test_two_files_of_one_run_are_one_report() -> None:
    timing = replace(
        REPORT, resources=Resources(), critical_path_ns=4.0, slack_ns=1.0, by_layer={}, source="timing.rpt"
    )
    both = REPORT.joined(timing)
    assert (both.resources, both.critical_path_ns, both.slack_ns) == (REPORT.resources, 4.0, 1.0)
    assert both.source == "reports/estimate_*.json, timing.rpt"


@pytest.mark.parametrize(
    "change",
    [
        {"design": "other"},
        {"stage": "routed"},
        {"target": replace(TARGET, part="xc7a35t")},
        {"target": replace(TARGET, version="2")},
        {"initiation_interval": 84},
        {"resources": Resources(lut=3869)},
    ],
)
def test_files_of_different_runs_are_not_joined(change: dict[str, Any]) -> None:
    with pytest.raises(ReportError, match=r"different|says"):
        REPORT.joined(replace(REPORT, **change))
