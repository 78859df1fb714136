"""What each tool's parser refuses, or leaves unknown."""

from pathlib import Path

import pytest

from codesign.errors import ReportError
from codesign.synthesis.reports import parse
from codesign.synthesis.reports.xilinx import part_name

GOLDEN = Path(__file__).parent / "golden"


def changed(name: str, *pairs: tuple[str, str]) -> str:
    text = (GOLDEN / name).read_text(encoding="utf-8")
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize(
    ("stated", "speed", "grade", "name"),
    [
        ("7z020clg400-1", None, None, "xc7z020clg400-1"),
        ("xc7z020-clg400-1", None, None, "xc7z020clg400-1"),
        ("7a200tffv1156-2", None, None, "xc7a200tffv1156-2"),
        ("xc7k325tffg676-2", None, None, "xc7k325tffg676-2"),
        ("xcku3pffva676-2", None, None, "xcku3p-ffva676-2"),
        ("xcku3p-ffva676", "-2", "E", "xcku3p-ffva676-2-e"),
        ("xcu280-fsvh2892-2L-e", None, None, "xcu280-fsvh2892-2L-e"),
        ("xczu7ev-ffvc1156-2-e", None, None, "xczu7ev-ffvc1156-2-e"),
        ("a part of mine", "-1", None, "a part of mine"),
    ],
)
def test_a_part_has_one_name(stated: str, speed: str | None, grade: str | None, name: str) -> None:
    assert part_name(stated, speed, grade) == name


@pytest.mark.parametrize(
    ("name", "pairs", "match"),
    [
        ("vivado_utilization_synth.rpt", [("| DSPs  ", "| DSQs  ")], "row that matches 'DSPs', for dsp"),
        ("vivado_utilization_synth.rpt", [(" 3207 ", " 32O7 ")], "line 29: expected Slice LUTs., a number"),
        (
            "vivado_utilization_synth.rpt",
            [("5. Black Boxes\n---", "5. Black\n---")],
            "section '5. Black Boxes'",
        ),
        (
            "vivado_utilization_synth.rpt",
            [("Synthesized", "Partially Placed")],
            "synthesized, placed or routed",
        ),
        ("vivado_timing_summary.rpt", [(", routed)", ")")], "say how far the design went"),
        (
            "vivado_timing_summary.rpt",
            [("     -0.217       -3.512", "         NA       -3.512")],
            "constrain the clock",
        ),
        ("vivado_timing_summary.rpt", [("-3.512 ", "       ")], "12 figures of the timing summary"),
        ("vivado_power_routed.rpt", [("| Dynamic (W) ", "| Dynamic (mW)")], r"a row Dynamic \(W\)"),
        ("vitis_csynth.xml", [("<unit>ns</unit>", "<unit>ps</unit>")], "times in ns"),
        ("vitis_csynth.xml", [("<LUT>31877</LUT>", "")], "LUT and FF"),
        ("vitis_csynth.xml", [("<LUT>31877</LUT>", "<LUT>none</LUT>")], "expected LUT, a number"),
        (
            "vivado_hls_csynth.rpt",
            [("== Vivado HLS Report for", "== Synthesis Summary Report of")],
            "states no clock",
        ),
        ("catapult_rtl.rpt", [("state: extract", "state: schedule")], "rtl.rpt, of the state extract"),
        ("quartus_fit.rpt", [("Successful - T", "Failed - Tues")], "a fitter that was successful"),
        ("quartus_sta.rpt", [("; final  ", "; planned")], "a snapshot"),
        ("yosys_liberty.json", [("sky130_fd_sc_hd__dfxtp_1", "$_DFF_P_")], "map them first"),
        ("yosys_xilinx.json", [("CARRY4", "BLACKBOX")], "not BLACKBOX"),
        (
            "yosys_ecp5.json",
            [('"\\\\top": {', '"\\\\other": {"num_cells_by_type": {}},\n"\\\\top": {')],
            "one top module",
        ),
        ("nextpnr_ecp5.json", [('"achieved": 62.5', '"achieved": 0')], "frequencies above 0"),
        ("opensta.rpt", [(" time 1ns\n", "")], 'puts " time 1ns"'),
        ("opensta.rpt", [("end of report", "")], "the line 'end of report'"),
        ("opensta.rpt", [("begin of report", "")], "a line 'begin of report'"),
        ("finn_estimate_layer_resources.json", [('"DSP": 16.0', '"DSP": null')], "total: a number 'DSP'"),
        ("codesign_report.json", [('"cells": 6100', '"cells": -1')], "resources: a number 'cells'"),
        ("codesign_report.json", [('"seconds"', '"design"')], "says 'design' once"),
    ],
)
def test_a_report_that_does_not_say_is_refused(name: str, pairs: list[tuple[str, str]], match: str) -> None:
    with pytest.raises(ReportError, match=match):
        parse(changed(name, *pairs), name)


def test_vivado_states_no_bound_as_a_value() -> None:
    report = parse(changed("vivado_power_routed.rpt", ("| 0.618        |", "| <0.001       |")), "p.rpt")
    assert (report.power_mw, report.dynamic_mw) == (913, None)


@pytest.mark.parametrize(("net", "stage"), [("unplaced", "synthesis"), ("estimated", "placed")])
def test_nets_say_how_far_vivado_went(net: str, stage: str) -> None:
    assert parse(changed("vivado_timing_summary.rpt", (", routed)", f", {net})")), "t.rpt").stage == stage


def test_a_slack_between_two_clocks_has_no_period() -> None:
    row = "  fast      -0.217 "
    report = parse(changed("vivado_timing_summary.rpt", (row, row.replace("-0.217", " 0.100"))), "t.rpt")
    assert (report.slack_ns, report.critical_path_ns, report.target.clock_mhz) == (-0.217, None, None)


def test_seven_series_says_nothing_of_uram() -> None:
    assert parse(changed("vivado_utilization_synth.rpt"), "u.rpt").resources.uram is None


def test_hls_that_does_not_know_its_latency_has_none() -> None:
    text = changed("vitis_csynth.xml", (">23<", ">undef<"), (">6<", ">undef<"))
    assert parse(text, "c.xml").latency_cycles is parse(text, "c.xml").initiation_interval is None


@pytest.mark.parametrize(
    ("old", "new"), [("420      14 ", "420      -1 "), ("0  0          \n  D", "0  0        ? \n  D")]
)
def test_catapult_that_does_not_know_its_latency_has_none(old: str, new: str) -> None:
    assert parse(changed("catapult_rtl.rpt", (old, new)), "r.rpt").latency_cycles is None


def test_plain_gates_of_yosys_are_cells() -> None:
    text = changed("yosys_ecp5.json", ("LUT4", "$_AND_"), ("TRELLIS_FF", "$_DFF_P_"))
    report = parse(text, "s.json")
    assert report.stated() == {"cells": 953}


def test_another_family_of_nextpnr_has_its_sites_only() -> None:
    report = parse(changed("nextpnr_ecp5.json", ("TRELLIS_COMB", "ICESTORM_LC")), "n.json")
    assert report.resources.stated() == {}
    assert report.by_layer["(device)"]["ICESTORM_LC"] == 1900


def test_opensta_in_picoseconds_and_with_a_laid_out_clock() -> None:
    text = changed("opensta.rpt", (" time 1ns", " time 1ps"), ("(ideal)", "(propagated)"))
    report = parse(text, "s.rpt")
    assert report.stage == "placed"
    assert report.slack_ns == pytest.approx(0.01518)
    assert report.target.clock_mhz == pytest.approx(40e3)


def test_opensta_of_half_a_period_states_no_critical_path() -> None:
    report = parse(
        changed("opensta.rpt", ("25.0000   clock clk (rise", "25.0000   clock clk (fall")), "s.rpt"
    )
    assert (report.slack_ns, report.critical_path_ns) == (15.18, None)


def test_opensta_takes_the_first_path_and_refuses_a_worse_one_behind() -> None:
    text = changed("opensta.rpt")
    begin, end = text.index("Startpoint"), text.index("Group     ")
    path = text[begin:end]
    later = text[:end] + path.replace("15.1800   slack", "16.0000   slack") + text[end:]
    assert parse(later, "s.rpt").slack_ns == 15.18
    worse = text[:end] + path.replace("15.1800   slack", "-2.0000   slack") + text[end:]
    with pytest.raises(ReportError, match="report the clocks apart"):
        parse(worse, "s.rpt")
