"""synth, compare, calibrate: from reports to tables, errors and a corrected model."""

import json
import shlex
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from codesign.config import stored_model
from codesign.hardware import Resources, SynthesisReport, Target
from codesign.store import Synthesis
from codesign.study import Study

Call = Callable[..., Any]
RUN = "asic-65nm-reloadable-40MHz"


def parsed(result: Any) -> Any:
    assert result.code == 0, result.err
    return json.loads(result.out)


@pytest.fixture
def measured(copy: Path) -> Path:
    """The study with a synthesis of every design: 1.5 times the area that is predicted."""
    study = Study.open(copy)
    with study.store:
        model = stored_model(study)
        for evaluation in study.evaluations:
            if evaluation.ok:
                estimate = model.estimate(study.network(evaluation.candidate.digest), study.device)
                area = estimate.resources.area_um2
                assert area is not None
                study.store.record_synthesis(
                    Synthesis(evaluation.candidate.digest, RUN, "ok", "", report(estimate.target, 1.5 * area))
                )
    return copy


def report(target: Target, area: float) -> SynthesisReport:
    made = replace(target, tool="Yosys", version="0.70")
    return SynthesisReport(
        "chip", made, "synthesis", Resources(area_um2=area), critical_path_ns=20.0, source="area.json"
    )


def test_compare_shows_predicted_beside_measured(measured: Path, codesign: Call) -> None:
    data = parsed(codesign("compare", measured, "--synth", RUN, "--json"))
    quantities = {each["name"]: each for each in data["quantities"]}
    area = quantities["area_um2"]
    assert area["mape"] == pytest.approx(1 / 3)
    assert area["bias"] == pytest.approx(-1 / 3)
    assert (area["designs"], area["unit"]) == (len(area["rows"]), "um2")
    assert data["front"]["leave"] == data["front"]["enter"] == []
    assert Path(data["picture"]).read_bytes().startswith(b"\x89PNG")
    text = codesign("compare", measured, "--synth", RUN).out
    for word in ("predicted", "measured", "-33.3%", "MAPE", "rank corr.", "Parity plot", "[um2]"):
        assert word in text, word


def test_a_design_over_its_budget_by_the_estimate_alone_enters(measured: Path, codesign: Call) -> None:
    before = parsed(codesign("compare", measured, "--synth", RUN, "--json"))["front"]
    with closing(sqlite3.connect(measured / "study.sqlite")) as base, base:
        rows = base.execute("SELECT number, digest, record FROM evaluations").fetchall()
        best = min(rows, key=lambda row: json.loads(row[2])["metrics"]["emd"]["mean"])
        over = {**json.loads(best[2]), "status": "infeasible", "reason": "area_um2 is 9, budget 8"}
        base.execute("UPDATE evaluations SET record = ? WHERE number = ?", (json.dumps(over), best[0]))
    after = parsed(codesign("compare", measured, "--synth", RUN, "--json"))["front"]
    assert after["compared"] == before["compared"]
    assert best[1] in after["measured"]


def test_a_comparison_names_what_the_reports_are_of(copy: Path, digest: str, codesign: Call) -> None:
    made = Target(technology="xc7", clock_mhz=40.0, weights="constant", tool="Yosys", version="0.70")
    study = Study.open(copy)
    with study.store:
        luts = SynthesisReport(digest, made, "synthesis", Resources(lut=9000), source="cells.log")
        study.store.record_synthesis(Synthesis(digest, "xc7-constant-40MHz", "ok", "", luts))
    words = ("compare", copy, "--synth", "xc7-constant-40MHz", "--model", "fpga-unrolled")
    assert "fpga-unrolled against Yosys 0.70, synthesis, xc7\n" in codesign(*words).out
    assert "part" not in parsed(codesign(*words, "--json"))["target"]


def test_calibrate_corrects_and_the_next_study_takes_it(
    measured: Path, tmp_path: Path, small: SimpleNamespace, codesign: Call
) -> None:
    file = tmp_path / "cal.json"
    text = codesign("calibrate", measured, "--synth", RUN, "--out", file)
    assert text.code == 0, text.err
    assert "area_um2" in text.out
    assert "fitted on 4 designs: area_um2, critical_path_ns without intervals; those of 90%" in text.err
    data = parsed(codesign("compare", measured, "--synth", RUN, "--calibration", file, "--json"))
    area = next(each for each in data["quantities"] if each["name"] == "area_um2")
    assert area["mape"] == pytest.approx(0, abs=1e-6)
    folder = tmp_path / "next"
    ran = codesign("run", *small.options, "--trials", 1, "--calibration", file, "--out", folder)
    assert ran.code == 0, ran.err
    study = Study.read(folder)
    with study.store:
        evaluation = study.evaluations[0]
        plain = stored_model(study, calibrated=False)
        before = plain.estimate(study.network(evaluation.candidate.digest), study.device)
        assert evaluation.costs["area_um2"] == pytest.approx(1.5 * (before.resources.area_um2 or 0))
    shown = codesign("estimate", folder, evaluation.candidate.digest)
    assert shown.code == 0, shown.err
    assert "asic+calibration" in shown.out


@pytest.fixture
def placed(copy: Path) -> Path:
    """The study with reports of an FPGA part, and another redundancy, of every design."""
    made = Target("xcup", part="xczu9eg-ffvb1156-2-e", clock_mhz=40.0, weights="reloadable", redundancy="all",
                  pipelined=False, tool="Vivado", version="2024.1")  # fmt: skip
    study = Study.open(copy)
    with study.store:
        for each in study.evaluations:
            if each.ok:
                luts = SynthesisReport("chip", made, "placed", Resources(lut=9000), source="chip.rpt")
                study.store.record_synthesis(Synthesis(each.candidate.digest, "placed", "ok", "", luts))
    return copy


def test_the_command_that_uses_a_calibration_names_all_of_its_target(
    placed: Path, tmp_path: Path, small: SimpleNamespace, codesign: Call
) -> None:
    file = tmp_path / "my cal.json"
    made = codesign("calibrate", placed, "--synth", "placed", "--model", "fpga-unrolled", "--out", file)
    assert made.code == 0, made.err
    line = made.out.splitlines()[-1]
    assert line.startswith("Use it: codesign run ")
    options = shlex.split(line.removeprefix("Use it: codesign run "))
    for words in (("--part", "xczu9eg-ffvb1156-2-e"), ("--redundancy", "all"), ("--calibration", str(file))):
        assert words in set(pairwise(options))
    assert "--combinational" in options
    own = [*small.options, "--objective", "emd", "--objective", "lut", "--dry-run"]
    ran = codesign("run", *own, *options)
    assert ran.code == 0, ran.err
    part = options.index("--part")
    refused = codesign("run", *own, *options[:part], *options[part + 2 :])
    assert refused.code == 2
    assert "or choose what it is for (--part xczu9eg-ffvb1156-2-e)" in refused.err


def test_what_calibrate_leaves_as_predicted_it_says(measured: Path, tmp_path: Path, codesign: Call) -> None:
    """Cycles of two designs of four are one more than predicted."""
    study = Study.open(measured)
    with study.store:
        for number, each in enumerate(study.store.syntheses()):
            assert each.report is not None
            model = stored_model(study)
            cycles = model.estimate(study.network(each.digest), study.device).latency_cycles + number % 2
            study.store.record_synthesis(replace(each, report=replace(each.report, latency_cycles=cycles)))
    made = codesign("calibrate", measured, "--synth", RUN, "--out", tmp_path / "cal.json")
    assert made.code == 0, made.err
    assert "latency_cycles (widths) is left as predicted: cycles are never scaled" in made.out
    part = json.loads((tmp_path / "cal.json").read_text())["parts"]["widths"]
    assert part["corrections"]["latency_cycles"]["form"] == "as it is"
    assert part["uncorrected"]["latency_cycles"].startswith("cycles are never scaled")


def test_a_part_of_another_family_is_refused_in_a_line(copy: Path, digest: str, codesign: Call) -> None:
    words = ("estimate", copy, digest, "--model", "fpga-unrolled", "--technology")
    assert parsed(codesign(*words, "xc7", "--json"))["target"]["part"] == "xc7a200tfbg676-2"
    refused = codesign(*words, "xcup", "--part", "xc7a200tffv1156-2")
    assert refused.code == 2
    assert "is not of technology 'xcup' (UltraScale or UltraScale+)" in refused.err
    assert refused.err.count("\n") == 1


def test_power_is_compared_and_calibrated_by_what_inputs_change(
    measured: Path, tmp_path: Path, codesign: Call
) -> None:
    """Reports that state power: estimates count changes, and a calibration has both kinds of them."""
    study = Study.open(measured)
    with study.store:
        for each in study.store.syntheses():
            assert each.report is not None
            study.store.record_synthesis(replace(each, report=replace(each.report, power_mw=1.0)))
        digest = study.evaluations[0].candidate.digest
    data = parsed(codesign("compare", measured, "--synth", RUN, "--json"))
    assert data["basis"] == ["activity"]
    power = next(each for each in data["quantities"] if each["name"] == "power_mw")
    counted = parsed(codesign("estimate", measured, digest, "--json"))
    assert counted["basis"] == "activity"
    row = next(each for each in power["rows"] if each["design"] == digest)
    assert row["predicted"] == pytest.approx(counted["power_mw"])
    file = tmp_path / "cal.json"
    assert codesign("calibrate", measured, "--synth", RUN, "--out", file).code == 0
    assert json.loads(file.read_text())["parts"].keys() == {"activity", "widths"}
    corrected = parsed(codesign("estimate", measured, digest, "--calibration", file, "--json"))
    assert (corrected["basis"], corrected["model"]) == ("activity", "asic+calibration")
    assert "Not calibrated" not in corrected["covers"]


def test_trained_designs_are_priced_with_inputs_of_the_study(copy: Path, digest: str, codesign: Call) -> None:
    """In the study's tables as by `estimate`; a model that counts no changes prices as ever."""
    counted = parsed(codesign("estimate", copy, digest, "--json"))
    assert counted["basis"] == "activity"
    assert "Power of what the given inputs change." in counted["covers"]
    study = Study.read(copy)
    with study.store:
        assert study.store.evaluation(digest).costs["power_mw"] == counted["power_mw"]
    other = parsed(
        codesign("estimate", copy, digest, "--model", "fpga-unrolled", "--technology", "xc7", "--json")
    )
    assert other["basis"] == "widths"


def test_a_study_goes_on_only_with_its_calibration(
    measured: Path, tmp_path: Path, small: SimpleNamespace, codesign: Call
) -> None:
    file, folder = tmp_path / "cal.json", tmp_path / "next"
    assert codesign("calibrate", measured, "--synth", RUN, "--out", file).code == 0
    assert codesign("run", *small.options, "--trials", 1, "--calibration", file, "--out", folder).code == 0
    assert codesign("calibrate", measured, "--synth", RUN, "--coverage", 0.8, "--out", file).code == 0
    result = codesign("resume", folder, "--trials", 2)
    assert result.code == 2
    assert "was made with another calibration" in result.err


def test_an_estimate_of_another_target_is_not_compared(measured: Path, codesign: Call) -> None:
    result = codesign("compare", measured, "--synth", RUN, "--clock-mhz", 80, "--technology", "asic-45nm")
    assert result.code == 2
    assert "different targets" in result.err
    for said in ("technology: 'asic-45nm' predicted, 'asic-65nm' reported", "clock_mhz: 80.0 predicted"):
        assert said in result.err


def test_reports_from_a_folder_are_tied_by_digest(
    copy: Path, digest: str, tmp_path: Path, codesign: Call
) -> None:
    folder = tmp_path / "reports"
    (folder / digest[:8]).mkdir(parents=True)
    made = Target(technology="asic-65nm", clock_mhz=40.0, tool="Yosys", version="0.70")
    text = json.dumps(report(made, 2e6).to_dict())
    (folder / digest[:8] / "chip.json").write_text(text)
    (folder / "notes.txt").write_text("lunch at noon\n")
    (folder / "0badc0de.json").write_text(text[: len(text) // 2])
    data = parsed(codesign("compare", copy, "--reports", folder, "--json"))
    (area,) = (each for each in data["quantities"] if each["name"] == "area_um2")
    assert [row["design"] for row in area["rows"]] == [digest]
    assert any("notes.txt" in reason for reason in data["ignored"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("compare",), "say where reports come from"),
        (("compare", "--synth", "a", "--reports", "b"), "say where reports come from"),
        (("compare", "--synth", "nowhere"), "has no synthesis 'nowhere'"),
        (("compare", "--reports", "nowhere"), "nowhere"),
        (("synth",), "say which designs"),
        (("synth", "--front", "--all"), "say which designs"),
        (("synth", "--front"), "'asic-65nm' is nothing to synthesise to; give --to"),
        (("synth", "--front", "--to", "xc7", "--place"), "--place is for --to ecp5"),
        (("synth", "--front", "--to", "xc7", "--power"), "--power needs a standard-cell library"),
        (("synth", "--front", "--to", "nowhere.lib"), "nowhere.lib"),
        (("synth", "--front", "--to", "nowhere"), "an FPGA family (xc7, xcup, ecp5); got 'nowhere'"),
        (("calibrate", "--synth", "nowhere", "--out", "c.json"), "has no synthesis 'nowhere'"),
    ],
)
def test_what_makes_no_sense_is_said(
    copy: Path, arguments: tuple[str, ...], message: str, codesign: Call
) -> None:
    result = codesign(arguments[0], copy, *arguments[1:])
    assert result.code == 2
    assert message in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"form": "codesign calibration"}'])
def test_a_file_that_is_no_calibration_is_refused(copy: Path, digest: str, text: str, codesign: Call) -> None:
    (copy / "bad.json").write_text(text)
    result = codesign("estimate", copy, digest, "--calibration", copy / "bad.json")
    assert result.code == 2
    assert "calibration" in result.err
