import json
import random
from pathlib import Path
from typing import Any

import pytest

from codesign.errors import ReportError
from codesign.synthesis.reports import FORMS, UnknownFormError, parse, read

GOLDEN = Path(__file__).parent / "golden"
NAMES = sorted(path.name for path in GOLDEN.iterdir())

EXPECTED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bambu_results_0.xml": (
        "Bambu 2024.10",
        "synthesis",
        {"lut": 640, "ff": 512, "dsp": 9, "critical_path_ns": 4.25, "slack_ns": 0.75, "latency_cycles": 61},
    ),
    "catapult_rtl.rpt": (
        "Catapult 2024.2",
        "hls",
        {"critical_path_ns": 7.4126, "slack_ns": 2.0874, "latency_cycles": 14, "initiation_interval": 8},
    ),
    "codesign_report.json": (
        "Yosys 0.70",
        "synthesis",
        {"area_um2": 71234.5, "cells": 6100, "critical_path_ns": 11.5, "power_mw": 1.75},
    ),
    "finn_estimate_layer_cycles.json": ("FINN unstated", "FINN estimate", {}),
    "finn_estimate_layer_resources.json": (
        "FINN unstated",
        "FINN estimate",
        {"lut": 960.5, "dsp": 16, "bram_18k": 2, "uram": 0},
    ),
    "finn_estimate_network_performance.json": (
        "FINN unstated",
        "FINN estimate",
        {"latency_cycles": 60, "initiation_interval": 48},
    ),
    "finn_post_synth_resources.json": (
        "FINN unstated",
        "routed",
        {"lut": 7100, "ff": 9900, "dsp": 18, "bram_18k": 11},
    ),
    "nextpnr_ecp5.json": (
        "nextpnr unstated",
        "routed",
        {"lut": 1900, "ff": 777, "dsp": 6, "bram_18k": 3, "critical_path_ns": 16, "slack_ns": -3.5},
    ),
    "oneapi_quartus.ndjson": (
        "oneAPI unstated",
        "routed",
        {"lut": 5200, "ff": 8100, "dsp": 24, "critical_path_ns": 2.5},
    ),
    "oneapi_summary.ndjson": ("oneAPI unstated", "hls", {"lut": 5544, "ff": 8560, "dsp": 24}),
    "opensta.rpt": (
        "OpenSTA 2.0.17",
        "synthesis",
        {
            "critical_path_ns": 9.82,
            "slack_ns": 15.18,
            "power_mw": 0.52,
            "dynamic_mw": 0.52,
            "leakage_mw": 1e-6,
        },
    ),
    "opensta_power.rpt": (
        "OpenSTA unstated",
        "synthesis",
        {"power_mw": 0.52, "dynamic_mw": 0.52, "leakage_mw": 1e-6},
    ),
    "opensta_combinational.rpt": ("OpenSTA unstated", "synthesis", {"critical_path_ns": 0.8125}),
    "quartus_fit.rpt": ("Quartus 22.4.0", "routed", {"lut": 8844, "ff": 9021, "dsp": 33}),
    "quartus_sta.rpt": ("Quartus 22.4.0", "routed", {"critical_path_ns": 3.69, "slack_ns": 0.31}),
    "vitis_csynth.xml": (
        "Vitis HLS 2023.2",
        "hls",
        {
            "lut": 31877,
            "ff": 9120,
            "dsp": 41,
            "bram_18k": 3,
            "uram": 0,
            "critical_path_ns": 2.871,
            "slack_ns": 0.049,
            "latency_cycles": 23,
            "initiation_interval": 6,
        },
    ),
    "vivado_hls_csynth.rpt": (
        "Vivado HLS 2019.2",
        "hls",
        {
            "lut": 4944,
            "ff": 2241,
            "dsp": 17,
            "bram_18k": 5,
            "uram": 0,
            "critical_path_ns": 6.513,
            "slack_ns": 0.487,
            "latency_cycles": 34,
            "initiation_interval": 13,
        },
    ),
    "vivado_power_routed.rpt": (
        "Vivado 2023.2",
        "routed",
        {"power_mw": 913, "dynamic_mw": 618, "leakage_mw": 295},
    ),
    "vivado_timing_summary.rpt": (
        "Vivado 2023.2",
        "routed",
        {"critical_path_ns": 4.217, "slack_ns": -0.217},
    ),
    "vivado_utilization_hierarchical.rpt": (
        "Vivado 2023.2",
        "routed",
        {"lut": 28411, "ff": 19054, "dsp": 96, "bram_18k": 14, "uram": 3},
    ),
    "vivado_utilization_placed.rpt": (
        "Vivado 2023.2",
        "placed",
        {"lut": 28411, "ff": 19054, "dsp": 96, "bram_18k": 14, "uram": 3},
    ),
    "vivado_utilization_synth.rpt": (
        "Vivado 2023.2",
        "synthesis",
        {"lut": 3207, "ff": 1764, "dsp": 14, "bram_18k": 5},
    ),
    "yosys_ecp5.json": ("Yosys 0.70", "synthesis", {"lut": 592, "ff": 333, "dsp": 5, "bram_18k": 2}),
    "yosys_liberty.json": ("Yosys 0.70", "synthesis", {"area_um2": 4100.25, "cells": 448}),
    "yosys_xilinx.json": (
        "Yosys 0.70",
        "synthesis",
        {"lut": 175, "ff": 216, "dsp": 7, "bram_18k": 5, "uram": 0},
    ),
}
"""Tool and version, stage, and every figure that is stated."""

LAYERS: dict[str, dict[str, dict[str, float | None]]] = {
    "finn_estimate_layer_cycles.json": {"MVAU_rtl_0": {"cycles": 48}},
    "finn_post_synth_resources.json": {"MVAU_rtl_0": {"lut": 1200, "ff": 1500, "dsp": 16, "bram_18k": 3}},
    "oneapi_summary.ndjson": {
        "(device)": {"ram_blocks": 22, "mlab": 20},
        "relu>() #2": {"lut": 90, "ff": 80, "dsp": 0, "ram_blocks": 1, "mlab": 2},
    },
    "catapult_rtl.rpt": {"(design)": {"area_score": 8123.4}},
    "quartus_fit.rpt": {
        "(device)": {"alm": 6310, "ram_blocks": 12},
        "conv0/mac": {"lut": 150, "ff": 90, "dsp": 32},
    },
    "vitis_csynth.xml": {"conv_2d_s": {"lut": 25000, "ff": 7000, "dsp": 41, "bram_18k": 3, "cycles": None}},
    "vivado_hls_csynth.rpt": {
        "conv_U0": {"lut": 4100, "ff": 2000, "dsp": 16, "bram_18k": 4, "uram": 0, "cycles": 28},
        "dense_U0": {"lut": 800, "ff": 200, "dsp": 1, "bram_18k": 1, "uram": 0, "cycles": None},
    },
    "vivado_utilization_hierarchical.rpt": {
        "conv0/mac": {"lut": 15000, "ff": 9000, "dsp": 64, "bram_18k": 0, "uram": 0},
        "dense1": {"lut": 9000, "ff": 6990, "dsp": 32, "bram_18k": 2, "uram": 0},
    },
    "yosys_liberty.json": {"act": {"area_um2": 869.75}},
}

TARGETS: dict[str, tuple[str | None, float | None]] = {
    "bambu_results_0.xml": (None, 200.0),
    "catapult_rtl.rpt": (None, 100.0),
    "finn_estimate_network_performance.json": (None, 120.0),
    "nextpnr_ecp5.json": (None, 80.0),
    "opensta.rpt": (None, 40.0),
    "quartus_sta.rpt": ("10AX115S2F45I1SG", 250.0),
    "vitis_csynth.xml": ("xczu7ev-ffvc1156-2-e", 250.0),
    "vivado_hls_csynth.rpt": ("xc7z020clg400-1", 125.0),
    "vivado_power_routed.rpt": ("xczu7ev-ffvc1156-2-e", 250.0),
    "vivado_timing_summary.rpt": ("xczu7ev-ffvc1156-2-e", 250.0),
    "vivado_utilization_synth.rpt": ("xc7z020clg400-1", None),
}


def text_of(name: str) -> str:
    return (GOLDEN / name).read_text(encoding="utf-8")


def test_every_golden_file_has_its_figures_and_every_form_a_file() -> None:
    assert set(EXPECTED) == set(NAMES)
    assert len(NAMES) >= len(FORMS)


@pytest.mark.parametrize("name", NAMES)
def test_a_report_gives_its_figures_and_no_others(name: str) -> None:
    report = read(GOLDEN / name)
    tool, stage, figures = EXPECTED[name]
    assert f"{report.target.tool} {report.target.version}" == tool
    assert report.stage == stage
    stated = report.stated() | ({} if report.slack_ns is None else {"slack_ns": report.slack_ns})
    assert stated == pytest.approx(figures)


@pytest.mark.parametrize("name", LAYERS)
def test_parts_of_a_design_have_their_own_figures(name: str) -> None:
    by_layer = read(GOLDEN / name).by_layer
    for layer, counts in LAYERS[name].items():
        assert by_layer[layer] == counts


@pytest.mark.parametrize("name", TARGETS)
def test_part_and_clock_are_those_of_the_report(name: str) -> None:
    target = read(GOLDEN / name).target
    part, clock_mhz = TARGETS[name]
    assert target.part == part
    assert target.clock_mhz == (None if clock_mhz is None else pytest.approx(clock_mhz))
    assert target.weights is target.pipelined is None or name == "codesign_report.json"


def same_or_refused(text: str, whole: dict[str, Any], name: str) -> bool:
    """Whether a cut text is refused; if not, its figures are those of the whole."""
    try:
        found = parse(text, name).to_dict()
    except ReportError as error:
        return str(error).startswith(f"{name}, line ") or pytest.fail(f"no line in {error}")
    assert found == whole
    return False


@pytest.mark.parametrize("name", NAMES)
def test_a_report_cut_at_any_line_is_refused_or_the_same(name: str) -> None:
    text = text_of(name)
    whole = parse(text, name).to_dict()
    lines = text.splitlines(keepends=True)
    refused = [same_or_refused("".join(lines[:count]), whole, name) for count in range(len(lines))]
    assert refused[len(lines) // 2]


@pytest.mark.parametrize("name", NAMES)
def test_a_report_cut_at_any_character_is_refused_or_the_same(name: str) -> None:
    text = text_of(name)
    whole = parse(text, name).to_dict()
    rng = random.Random(f"cut {name}")
    for place in rng.sample(range(len(text)), min(300, len(text))):
        same_or_refused(text[:place], whole, name)


def damaged(text: str, rng: random.Random) -> str:
    """Change, drop, double or swap some of a text."""
    places = sorted(rng.sample(range(len(text)), 4))
    kind = rng.randrange(6)
    if kind == 0:
        return "".join(rng.choice('0-9"{<|+;\u00e9\udc80') if k in places else c for k, c in enumerate(text))
    if kind == 1:
        return text[: places[0]] + text[places[1] :]
    if kind == 2:
        return text[: places[3]] + text[places[0] :]
    lines = text.splitlines(keepends=True)
    if kind == 3:
        return "".join(line for line in lines if rng.random() > 0.1)
    if kind == 4:
        rng.shuffle(lines)
        return "".join(lines)
    return "".join(rng.choice(["9" * 400, "-1", "nan", "1e999", c]) if c.isdigit() else c for c in text)


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_report_is_a_report_or_a_report_error(name: str) -> None:
    text = text_of(name)
    rng = random.Random(f"damage {name}")
    for _ in range(150):
        try:
            parse(damaged(text, rng), name)
        except ReportError:
            continue


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("json")])
def test_json_with_values_of_another_kind_is_refused(name: str) -> None:
    text = text_of(name)
    rng = random.Random(f"kind {name}")
    for _ in range(200):
        places = [k for k, c in enumerate(text) if c.isdigit() and not text[k - 1].isalnum()]
        place = rng.choice(places)
        value = rng.choice(["null", '"x"', "[]", "{}", "true", "-5", "1e400", "1" * 5000])
        try:
            parse(text[:place] + value + text[place + 1 :], name)
        except ReportError:
            continue


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "a" * 10_000_000,
        "[1, 2]",
        "{}",
        '{"a": 1}',
        "{" * 100_000,
        '{"a":' * 100_000,
        "<html><body/></html>",
        "module top(input clk); endmodule",
        "design,file\n",
        "\ufeff",
    ],
    ids=lambda text: repr(text[:20]),
)
def test_what_is_no_report_is_refused_by_name(text: str) -> None:
    with pytest.raises(ReportError, match=r"^x\.rpt, line \d+: expected "):
        parse(text, "x.rpt")


def test_too_long_a_text_is_refused() -> None:
    with pytest.raises(UnknownFormError, match=r"no report is longer than 64 Mi"):
        parse("a" * 100_000_000, "x.rpt")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.rpt"
    for content in (bytes(range(256)), text_of("quartus_fit.rpt").encode("utf-16")):
        path.write_bytes(content)
        with pytest.raises(UnknownFormError, match="binary or UTF-16"):
            read(path)
    with pytest.raises(ReportError, match="can be read; No such file"):
        read(tmp_path / "absent.rpt")


@pytest.mark.parametrize("name", ["quartus_fit.rpt", "vivado_utilization_synth.rpt", "vitis_csynth.xml"])
def test_line_ends_and_accents_of_other_systems_do_not_matter(name: str, tmp_path: Path) -> None:
    text = text_of(name)
    path = tmp_path / name
    path.write_bytes(text.replace("\n", "\r\n").encode("latin-1"))
    assert read(path).stated() == parse(text, name).stated()
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read(path).stated() == parse(text, name).stated()


def test_xml_that_declares_entities_is_refused() -> None:
    bomb = '<!DOCTYPE profile [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><profile>&b;</profile>'
    outside = '<!DOCTYPE profile SYSTEM "file:///etc/hostname"><profile></profile>'
    for text in (bomb, outside):
        with pytest.raises(ReportError, match="without declarations of a document type"):
            parse(text, "csynth.xml")


def test_our_own_report_comes_back_whole() -> None:
    text = text_of("codesign_report.json")
    assert parse(text, "r.json").to_dict() == json.loads(text)
    with pytest.raises(ReportError, match="a SynthesisReport"):
        parse(text.replace('"synthesis"', '"guessed"'), "r.json")
