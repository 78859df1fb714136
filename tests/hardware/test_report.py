"""A report says what a tool said, and survives JSON."""

import json
from typing import Any

import pytest

from codesign.errors import ConfigError
from codesign.hardware.report import FINN_ESTIMATE, SynthesisReport

STATED: dict[str, Any] = {
    "tool": "FINN+",
    "version": "1.6.1",
    "part": "xczu7ev-ffvc1156-2-e",
    "stage": FINN_ESTIMATE,
    "clock_mhz": 200.0,
    "resources": {"lut": 3868, "ff": None, "bram_18k": 9, "dsp": 41},
    "latency_cycles": 372,
    "initiation_interval": 83,
    "by_layer": {"the design": {"lut": 1030, "ff": None, "cycles": 83}},
    "source": "reports/estimate_*.json",
}


def test_json_both_ways() -> None:
    report = SynthesisReport(**STATED)
    assert SynthesisReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clock_mhz": 0.0}, "clock_mhz must be above 0"),
        ({"stage": ""}, "needs its stage"),
        ({"resources": {"luts": 1}}, "resources are lut.*'luts'"),
        ({"resources": {"lut": -1}}, "lut of the design cannot be negative"),
        ({"by_layer": {"conv": {"dsp": -2}}}, "dsp of layer 'conv' cannot be negative"),
        ({"resources": {"cycles": 1}}, "'cycles'"),
    ],
)
def test_what_no_tool_says_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SynthesisReport(**{**STATED, **change})


def test_other_data_is_no_report() -> None:
    with pytest.raises(ConfigError, match="a report has"):
        SynthesisReport.from_dict({"tool": "FINN+"})
