"""The commands on good input: what they print, in words and as JSON, and what they write."""

import json
import os
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
import onnx
import pandas as pd
import pytest
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx

from codesign.cli.commands import cli
from codesign.config import stored_config
from codesign.fixedpoint import FixedPoint
from codesign.metrics import METRICS
from codesign.network import Dense, Folding, Network
from codesign.study import Study
from codesign.tasks.econt import generate
from codesign.tasks.layouts import LAYOUTS
from hardware_models.asic import AsicModel

Call = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[2]
PREDICTED = AsicModel().predicts
BASELINE = {"filters_1": 8, "kernel_1": 3, "pooling_1": False, "stride_1": 2}


def parsed(result: Any) -> Any:
    assert result.code == 0, result.err
    return json.loads(result.out)


def write(path: Path, data: Any) -> Path:
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def commands(
    group: click.Group, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


LEAVES = dict(commands(cli))


def test_models_of_fpgas_run_and_are_surveyed(tmp_path: Path, codesign: Call) -> None:
    given = shlex.split(
        "--space econt --objective emd --objective lut<=40000 --model fpga-unrolled --technology xc7 "
        "--weights constant --wafers 400"
    )
    survey = codesign("run", *given, "--dry-run")
    assert survey.code == 0, survey.err
    for cost in ("lut", "ff", "dsp", "latency_ns"):
        assert cost in survey.out
    run = codesign("run", *given, "--trials", 2, "--steps", 20, "--workers", 1, "--out", tmp_path / "out")
    assert run.code == 0, run.err
    assert re.search(r"emd [\d.]+  lut [\d,]+  operations 6,544  ff [\d,.]+", run.err)
    assert "/ baseline" in run.out
    assert codesign("status", tmp_path / "out").code == 0


def test_a_run_that_trains_nothing_to_the_end_fails_and_draws_nothing(tmp_path: Path, codesign: Call) -> None:
    file = tmp_path / "wild.toml"
    file.write_text(
        'trials = 2\nworkers = 1\noptimiser = "random"\nspace = "econt"\ndata = {wafers = 400}\n'
        'recipe = {kind = "quick", steps = 20, learning_rate = 1e30}\n'
    )
    found = codesign("run", file, "--out", tmp_path / "out")
    assert found.code == 2
    assert found.out.count("diverged: weights or validation loss") == 2
    assert "has no front: none of its designs was trained to the end" in found.err
    assert not list((tmp_path / "out").glob("front.*"))


# --- help


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_help_holds_an_example_that_parses(path: tuple[str, ...], codesign: Call) -> None:
    result = codesign(*path, "--help")
    assert result.code == 0
    example = (LEAVES[path].epilog or "").removeprefix("Example: ")
    assert example.split("--")[0].split()[0] in result.out
    words = shlex.split(example)
    assert tuple(words[1 : 1 + len(path)]) == path
    LEAVES[path].make_context(path[-1], words[1 + len(path) :])


def test_the_help_of_all_shows_a_way_through_that_parses(codesign: Call) -> None:
    result = codesign("--help")
    lines = [line.strip() for line in result.out.splitlines() if line.startswith("  codesign ")]
    assert [line.split()[1] for line in lines] == ["run", "front", "export", "verify"]
    for line in lines:
        name, *arguments = shlex.split(line)[1:]
        cli.commands[name].make_context(name, arguments)
    assert "\\b" not in result.out
    assert "..." not in result.out.partition("\n")[2]
    assert all(name in result.out for name in cli.commands)


def test_version(codesign: Call) -> None:
    assert codesign("--version").out.startswith("codesign, version ")


# --- run, resume


def test_run_ends_with_the_front_its_files_and_what_to_do_next(made: SimpleNamespace) -> None:
    out, folder = made.result.out, made.folder
    assert "Front of " in out
    assert out.count("baseline") >= 4
    for name in ("front.csv", "front.json", "front.html", "front.png"):
        assert (folder / name).stat().st_size > 0
        assert str(folder / name) in out
    for verb in ("front", "show", "resume"):
        assert f"codesign {verb} {folder}" in out
    assert not list(folder.glob(".front*"))


def test_run_says_a_line_a_design_where_there_is_no_terminal(made: SimpleNamespace) -> None:
    first, *lines = made.result.err.splitlines()
    assert first.startswith("4 designs, 20 steps")
    assert first.endswith("1 worker")
    assert [line.split()[0] for line in lines] == ["1/4", "2/4", "3/4", "4/4"]
    assert all("emd " in line and "left " in line and "front " in line for line in lines)


def test_without_a_terminal_nothing_holds_an_escape_code(made: SimpleNamespace, codesign: Call) -> None:
    texts = [made.result.out, made.result.err]
    texts += [codesign(verb, made.folder).out for verb in ("front", "status")]
    texts += [codesign("doctor").out, codesign("--help").out]
    assert not any("\x1b" in text for text in texts)


def test_dry_run_trains_nothing_and_makes_no_folder(tmp_path: Path, codesign: Call) -> None:
    options = ["--dry-run", "--limit", "operations<=20000", "--out", tmp_path / "new"]
    result = codesign("run", *options)
    assert result.code == 0
    assert "3,489,423,898,150,425,480 designs" in result.out
    assert "Nothing was trained" in result.out
    data = parsed(codesign("run", *options, "--json"))
    assert data["size"] == 3489423898150425480
    assert set(data["ranges"]) == {"area_um2", "operations", "power_mw", "latency_ns"}
    for low, high in data["ranges"].values():
        assert 0 < low < high
    assert 0 < data["share"] < 1
    assert data["share_error"] > 0
    assert data["baseline"]["operations"] == 6544
    assert data["budgets"] == [{"name": "operations", "sense": "min", "budget": 20000}]
    assert list(tmp_path.iterdir()) == []


def test_options_win_over_the_study_file(
    tmp_path: Path, codesign: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "study.toml"
    file.write_text(
        'space = "econt"\nobjectives = ["emd", "area_um2"]\nlimits = ["operations<=9000"]\ntrials = 1\n'
        'optimiser = "qnehvi"\nseed = 1\nworkers = 1\nout = "from-file"\n[data]\npath = "absent.csv"\n'
        '[recipe]\nkind = "study"\nsteps = 3\nbatch = 7\n[device]\nclock_mhz = 20.0\n'
    )
    monkeypatch.chdir(tmp_path)
    text = "--optimiser random --seed 2 --steps 2 --recipe quick --wafers 60 --technology asic-45nm"
    goals = ["--objective", "emd", "--objective", "power_mw", "--limit", "operations<=7000"]
    data = parsed(codesign("run", file, *shlex.split(text), *goals, "--json"))
    assert Path(data["folder"]) == tmp_path / "from-file"
    assert [goal["name"] for goal in data["objectives"]] == ["emd", "power_mw"]
    study = Study.read(tmp_path / "from-file")
    meta = study.meta
    study.close()
    assert meta["limits"] == [{"name": "operations", "sense": "min", "budget": 7000}]
    assert (meta["optimiser"], meta["seed"]) == ("random", 2)
    assert meta["device"] == {"technology": "asic-45nm", "clock_mhz": 20.0}
    assert (meta["recipe"]["steps"], meta["recipe"]["batch"], meta["recipe"]["schedule"]) == (2, 7, "cosine")
    assert "generated" in json.dumps(meta["task"])


@pytest.mark.slow
def test_resume_extends_a_study_as_one_run_would_have(
    copy: Path, tmp_path: Path, small: SimpleNamespace, codesign: Call
) -> None:
    before = parsed(codesign("status", copy, "--json"))
    result = codesign("resume", copy, "--trials", 6)
    assert result.code == 0, result.err
    assert [line.split()[0] for line in result.err.splitlines()[1:]] == ["5/6", "6/6"]
    whole = tmp_path / "whole"
    codesign("run", *small.options, *small.limit, "--trials", 6, "--out", whole, "--json")
    fronts = [parsed(codesign("front", folder, "--json")) for folder in (copy, whole)]
    assert fronts[0]["designs"] == fronts[1]["designs"]
    assert before["finished"] == 4
    assert parsed(codesign("status", copy, "--json"))["finished"] == 6


def test_resume_of_a_complete_study_draws_the_front_again(copy: Path, codesign: Call) -> None:
    assert "front.html" in codesign("resume", copy).out
    result = codesign("resume", copy, "--trials", 2)
    assert result.code == 0
    assert "has 4 designs already" in result.out


# --- status, front, show


def test_status(made: SimpleNamespace, digest: str, codesign: Call) -> None:
    data = parsed(codesign("status", made.folder, "--json"))
    assert (data["proposed"], data["finished"], data["planned"]) == (4, 4, 4)
    assert data["by_status"] == {"ok": 4}
    assert data["steps"] == 80
    assert data["cpu_seconds"] > 0
    assert (data["optimiser"], data["seed"]) == ("random", 0)
    text = codesign("status", made.folder).out
    assert digest in text
    assert "[s]" in text
    assert "4 of 4 designs, 80 steps" in text
    assert all(one in text for one in data["front"])


def test_front(made: SimpleNamespace, digest: str, codesign: Call) -> None:
    data = parsed(codesign("front", made.folder, "--json"))
    assert [goal["name"] for goal in data["objectives"]] == ["emd", "area_um2"]
    assert data["baseline"]["digest"] == digest
    emd = [design["emd"] for design in data["designs"]]
    assert emd == sorted(emd)
    for design in data["designs"]:
        assert set(PREDICTED) <= set(design)
        for name in ("emd", "operations", "area_um2", "power_mw"):
            assert design[f"{name}_ratio"] == pytest.approx(design[name] / data["baseline"][name])
    text = codesign("front", made.folder).out
    for unit in ("[um2]", "[mW]", "[ns]", "[sensor cells]"):
        assert unit in text
    assert text.count("/ baseline") == 4
    assert "reference point emd" in text
    assert "A constant answer scores" in text


@pytest.mark.parametrize("verb", ["front", "status", "show", "estimate"])
def test_tables_stay_readable_in_80_columns(
    verb: str, made: SimpleNamespace, digest: str, codesign: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = codesign(verb, made.folder, *([digest] if verb in ("show", "estimate") else [])).out
    rows = [line for line in text.splitlines() if not line.startswith("Network with")]
    assert max(map(len, rows)) <= 80
    assert "…" not in text
    study = Study.read(made.folder)
    with study.store:
        assert f"{study.evaluations[0].costs['area_um2']:,.0f}" in text


def test_a_front_without_designs_says_why(tmp_path: Path, small: SimpleNamespace, codesign: Call) -> None:
    goals = ["--objective", "emd<=0.01", "--objective", "area_um2"]
    result = codesign("run", *small.options, *small.limit, *goals, "--trials", 1, "--out", tmp_path / "new")
    assert result.code == 0
    assert "No design keeps every budget (emd<=0.01)" in result.out


def test_show(made: SimpleNamespace, digest: str, codesign: Call) -> None:
    data = parsed(codesign("show", made.folder, digest[:6], "--json"))
    assert data["digest"] == digest
    assert data["candidate"]["filters_1"] == 8
    assert set(data["metrics"]["emd"]) == {"mean", "std", "stderr", "n"}
    assert Path(data["network"]).is_file()
    text = codesign("show", made.folder, digest).out
    for word in ("filters_1", "telescoping_loss", "sensor cells", "area_um2", data["network"]):
        assert word in text


# --- estimate


def test_estimate_of_a_design(made: SimpleNamespace, digest: str, codesign: Call) -> None:
    data = parsed(codesign("estimate", made.folder, digest[:8], "--json"))
    assert (data["operations"], data["parameters"], data["weight_bits"]) == (6544, 2144, 12864)
    assert 0 < data["effective_bops"] <= data["bops"]
    assert set(PREDICTED) <= set(data)
    assert sum(layer["area_um2"] for layer in data["by_layer"].values()) == pytest.approx(data["area_um2"])
    text = codesign("estimate", made.folder, digest).out
    assert "total" in text
    assert "Sources differ by a factor" in " ".join(text.split())


@pytest.mark.parametrize(
    ("space", "candidate", "operations", "weight_bits"),
    [
        ("econt", BASELINE, 6544, 12864),
        ("econt-float", BASELINE, 6544, 2144 * 32),
        ("econt", {**BASELINE, "filters_1": 64, "stride_1": 1}, 208912, None),
        ("econt", {"candidate": BASELINE}, 6544, 12864),
    ],
)
def test_estimate_of_a_candidate(
    space: str, candidate: Any, operations: int, weight_bits: int | None, tmp_path: Path, codesign: Call
) -> None:
    file = write(tmp_path / "candidate.json", candidate)
    data = parsed(codesign("estimate", file, "--space", space, "--json"))
    assert data["operations"] == operations
    assert data["effective_bops"] is None
    if weight_bits:
        assert data["weight_bits"] == weight_bits
    assert "known once trained" in codesign("estimate", file, "--space", space).out


def test_estimate_of_a_network_file(made: SimpleNamespace, digest: str, codesign: Call) -> None:
    file = made.folder / "networks" / f"{digest}.json"
    data = parsed(codesign("estimate", file, "--json"))
    counted = parsed(codesign("estimate", made.folder, digest, "--json"))
    assert (data["basis"], counted["basis"]) == ("widths", "activity")
    assert {key for key in data if data[key] != counted[key]} == {
        *("basis", "covers", "features", "by_layer"),
        *("power_mw", "dynamic_mw", "energy_nj"),
    }


def test_estimate_of_a_network_file_with_inputs(made: SimpleNamespace, digest: str, codesign: Call) -> None:
    """With those that the study kept it is what the study's table shows."""
    file, inputs = made.folder / "networks" / f"{digest}.json", made.folder / "inputs.npy"
    data = parsed(codesign("estimate", file, "--inputs", inputs, "--json"))
    assert data == parsed(codesign("estimate", made.folder, digest, "--json"))


def test_what_costs_are_of_is_said(
    made: SimpleNamespace, digest: str, small: SimpleNamespace, tmp_path: Path, codesign: Call
) -> None:
    """Of trained weights or before training, and where the two stand in one ratio."""
    unlike = "their ratios compare unlike figures"
    assert "predicted, of its trained weights" in codesign("show", made.folder, digest).out
    assert parsed(codesign("show", made.folder, digest, "--json"))["costs_of"] == "trained weights"
    assert unlike not in codesign("front", made.folder).out
    folder = tmp_path / "study"
    bound = ("--limit", "operations<=6000", "--trials", 2, "--out", folder)
    assert codesign("run", *small.options, *bound).code == 0
    text = " ".join(codesign("front", folder).out.split())
    assert "Costs of the baseline are as before training" in text
    assert unlike in text
    found = parsed(codesign("front", folder, "--json"))
    assert found["baseline"]["costs_of"] == "before training"
    assert {row["costs_of"] for row in found["designs"]} == {"trained weights"}
    assert "costs_of" in (folder / "front.csv").read_text().splitlines()[0]
    shown = " ".join(codesign("show", folder, found["designs"][0]["digest"]).out.split())
    assert unlike in shown


def test_estimate_on_another_device(made: SimpleNamespace, digest: str, codesign: Call) -> None:
    slow = parsed(codesign("estimate", made.folder, digest, "--clock-mhz", 20, "--json"))
    assert (slow["target"]["clock_mhz"], slow["latency_ns"]) == (20, 100)
    other = parsed(codesign("estimate", made.folder, digest, "--technology", "asic-45nm", "--json"))
    assert other["target"]["technology"] == "asic-45nm"
    assert other["area_um2"] != slow["area_um2"]


def test_estimate_says_what_space_it_takes_a_candidate_for(tmp_path: Path, codesign: Call) -> None:
    candidate = write(tmp_path / "candidate.json", BASELINE)
    unsaid = codesign("estimate", candidate)
    assert "is read as a candidate of space 'econt'; --space names another" in unsaid.err
    said = codesign("estimate", candidate, "--space", "econt")
    assert (said.err, said.out) == ("", unsaid.out)


@pytest.mark.slow
def test_estimate_of_a_design_over_budget(tmp_path: Path, small: SimpleNamespace, codesign: Call) -> None:
    limit = ["--limit", "operations<=3000"]
    folder = tmp_path / "new"
    result = codesign("run", *small.options, *limit, "--trials", 1, "--out", folder)
    assert result.code == 2
    assert "infeasible: operations is" in result.err
    assert "none of its designs was trained to the end" in result.err
    (number,) = [line.split()[3] for line in result.err.splitlines()[1:-1]]
    data = parsed(codesign("estimate", folder, number, "--json"))
    assert (data["operations"], data["effective_bops"]) == (6544, None)


# --- export, score, data, doctor


def test_export_computes_the_same_integers_in_qonnx(
    made: SimpleNamespace, digest: str, tmp_path: Path, codesign: Call
) -> None:
    out = tmp_path / "onnx"
    (data,) = parsed(codesign("export", made.folder, digest, "--to", "qonnx", "--out", out, "--json"))
    assert {"autoencoder.onnx", "encoder.onnx", "README.md", "provenance.json"} <= set(data["files"])
    provenance = json.loads((out / "provenance.json").read_text())
    assert provenance["origin"]["candidate"] == digest
    assert provenance["origin"]["filters_1"] == 8
    assert [check["vectors"] for check in data["checks"]] == [656, 64]
    model = ModelWrapper(str(out / "encoder.onnx"))
    network = Network.load(made.folder / "networks" / f"{digest}.json")
    images = LAYOUTS["8x8"].images(generate(16, seed=3).normalised)
    last = network.chip.formats[-1]
    assert last is not None
    (given,), (taken,) = model.graph.input, model.graph.output
    batch = model.get_tensor_shape(given.name)
    expected = network.chip.codes(images)
    for image, codes in zip(images, expected, strict=True):
        value = image.astype(np.float32).reshape(batch)
        found = execute_onnx(model, {given.name: value})[taken.name]
        np.testing.assert_array_equal(np.ldexp(found.reshape(-1), last.fraction_bits), codes.reshape(-1))
    result = codesign("export", made.folder, digest, "--to", "onnx")
    assert f"onnx: {made.folder / 'export' / digest / 'onnx'}" in result.out
    assert "encoder.onnx in onnxruntime" in result.out


def test_export_of_the_whole_front(made: SimpleNamespace, codesign: Call) -> None:
    designs = [row["digest"] for row in parsed(codesign("front", made.folder, "--json"))["designs"]]
    rows = parsed(codesign("export", made.folder, "--all-front", "--to", "onnx", "--json"))
    assert [row["digest"] for row in rows] == designs
    for row in rows:
        assert Path(row["folder"]) == made.folder / "export" / row["digest"] / "onnx"
        assert [check.get("differ", 0) for check in row["checks"]] == [0, 0]


def test_options_of_the_target_reach_the_bundle(
    made: SimpleNamespace, digest: str, tmp_path: Path, codesign: Call
) -> None:
    out = tmp_path / "out"
    options = (
        "--clock-mhz",
        80,
        "--weights",
        "constant",
        "--combinational",
        "--interval",
        128,
        "--vectors",
        5,
    )
    assert codesign("export", made.folder, digest, "--to", "onnx", "--out", out, *options).code == 0
    provenance = json.loads((out / "provenance.json").read_text())
    assert provenance["device"]["clock_mhz"] == 80
    assert provenance["device"]["weights"] == "constant"
    assert provenance["device"]["pipelined"] is False
    assert provenance["checks"][0]["vectors"] == 5 + 256
    assert Network.load(out / "network.json").layers[0].folding == Folding(1, 9)


def test_an_export_with_other_options_is_not_replaced_unasked(
    copy: Path, digest: str, codesign: Call
) -> None:
    words = ("export", copy, digest, "--to", "onnx")
    (first,) = parsed(codesign(*words, "--json"))
    place = Path(first["folder"])
    written = (place / "provenance.json").read_bytes(), (place / "provenance.json").stat().st_ino
    again = codesign(*words)
    assert again.code == 0, again.err
    assert "It was there already, with the same options; --overwrite writes anew" in again.out
    other = codesign(*words, "--clock-mhz", 80, "--vectors", 5)
    assert other.code == 2
    assert f"{place} holds an earlier export, which differs" in other.err
    assert "clock_mhz 40.0 there, 80.0 now; other vectors there (656)" in other.err
    assert "--overwrite" in other.err
    assert written == ((place / "provenance.json").read_bytes(), (place / "provenance.json").stat().st_ino)
    (row,) = parsed(codesign(*words, "--clock-mhz", 80, "--overwrite", "--json"))
    assert (first["written"], row["written"]) == (True, True)
    assert json.loads((place / "provenance.json").read_text())["device"]["clock_mhz"] == 80
    front = codesign("export", copy, "--all-front", "--to", "onnx", "--weights", "constant")
    designs = [each["digest"] for each in parsed(codesign("front", copy, "--json"))["designs"]]
    assert front.code == (2 if digest in designs else 0)
    again = codesign("export", copy, "--all-front", "--to", "onnx", "--weights", "constant")
    assert f"of {len(designs)} were there already" in again.out or len(designs) < 2


def test_a_study_that_goes_on_leaves_an_export_of_ones_own(
    tmp_path: Path, small: SimpleNamespace, codesign: Call
) -> None:
    folder = tmp_path / "study"
    ran = codesign("run", *small.options, *small.limit, "--trials", 1, "--export", "onnx", "--out", folder)
    assert ran.code == 0, ran.err
    (place,) = folder.glob("export/*/onnx")
    before = (place / "provenance.json").stat().st_ino
    again = codesign("resume", folder)
    assert (again.code, "not exported" in again.err) == (0, False)
    assert (place / "provenance.json").stat().st_ino == before
    digest = place.parent.name
    assert codesign("export", folder, digest, "--to", "onnx", "--clock-mhz", 80, "--overwrite").code == 0
    again = codesign("resume", folder)
    assert again.code == 0, again.err
    assert f"note: not exported: {place} holds an earlier export, which differs (clock_mhz 80.0" in again.err
    assert json.loads((place / "provenance.json").read_text())["device"]["clock_mhz"] == 80


def test_a_network_on_other_inputs_is_priced_without_those_of_the_study(
    copy: Path, tmp_path: Path, codesign: Call
) -> None:
    fixed = FixedPoint(0, 3)
    weights = {"d.weight": np.ones((3, 2), np.int64), "d.bias": np.zeros(2, np.int64)}
    layers = (Dense("d", 2, weight=fixed, bias=fixed),)
    other = Network((3,), layers, FixedPoint(0, 4, signed=False), weights=weights)
    (tmp_path / "other.json").write_text(json.dumps(other.to_dict()))
    alone = parsed(codesign("estimate", tmp_path / "other.json", "--json"))
    result = codesign("reference", copy, tmp_path / "other.json", "--json")
    *_, added = parsed(result)
    assert added["values"]["power_mw"] == alone["power_mw"]
    assert "note: it takes inputs of shape (3,), those of the study are (8, 8, 1): its power" in result.err


def test_a_design_that_its_trained_weights_put_over_budget_is_estimated_by_them(
    copy: Path, digest: str, codesign: Call
) -> None:
    before = parsed(codesign("estimate", copy, digest, "--json"))
    study = Study.open(copy)
    with study.store:
        study.store.finish(replace(study.store.evaluation(digest), status="infeasible", reason="too much"))
    assert parsed(codesign("estimate", copy, digest, "--json")) == before


def test_an_estimate_says_that_a_design_misses_its_clock(copy: Path, digest: str, codesign: Call) -> None:
    assert "misses its clock" not in codesign("estimate", copy, digest).out
    fast = codesign("estimate", copy, digest, "--clock-mhz", 400).out
    assert re.search(r"The design misses its clock: the critical path takes [\d.]+ ns, a period 2.5 ns", fast)


def test_a_quantised_network_from_elsewhere_is_priced_and_stands_beside_the_front(
    copy: Path, digest: str, codesign: Call
) -> None:
    out = copy / "export" / digest / "qonnx"
    assert codesign("export", copy, digest, "--to", "qonnx").code == 0
    own = parsed(codesign("estimate", copy, digest, "--json"))
    there = parsed(codesign("estimate", out / "encoder.onnx", "--json"))
    for name in {*PREDICTED, "effective_bops"} - {"power_mw", "dynamic_mw", "energy_nj"}:
        assert there[name] == own[name]
    words = ("reference", copy, out / "encoder.onnx")
    *without_network, added = parsed(codesign(*words, "--json"))
    assert added == {
        "name": "encoder",
        "source": "encoder.onnx",
        "values": {name: own[name] for name in PREDICTED},
    }
    assert {"best choice 14", "super trigger cells 4"} < {each["name"] for each in without_network}
    result = codesign(*words, "--value", "emd=1.25", "--name", "theirs")
    assert result.code == 0
    assert "theirs" in result.out
    rows = parsed(codesign("front", copy, "--json"))["references"]
    assert [row["name"] for row in rows[-2:]] == ["encoder", "theirs"]
    assert rows[-1]["values"]["emd"] == 1.25
    assert "theirs" in (copy / "front.html").read_text()
    assert codesign(*words, "--value", "emd=1.5", "--name", "theirs").code == 0
    rows = parsed(codesign("front", copy, "--json"))["references"]
    assert [row["values"].get("emd") for row in rows[-2:]] == [None, 1.5]
    assert len(rows) == len(without_network) + 2
    left = parsed(codesign("reference", copy, "--remove", "theirs", "--json"))
    assert [each["name"] for each in left] == [row["name"] for row in rows[:-1]]
    assert parsed(codesign("front", copy, "--json"))["references"] == left
    assert "theirs" not in (copy / "front.html").read_text()
    again = codesign("reference", copy, "--remove", "theirs")
    assert again.code == 2
    assert "--remove theirs: the front is shown beside " in again.err
    assert "give the file of a network to show, or --remove" in codesign("reference", copy).err


def test_verify_compares_every_form(made: SimpleNamespace, digest: str, codesign: Call) -> None:
    forms = [word for form in ("float", "module", "onnx", "qonnx") for word in ("--form", form)]
    hops = parsed(codesign("verify", made.folder, digest, *forms, "--vectors", 50, "--json"))
    assert [hop["form"] for hop in hops] == ["float", "module", "onnx", "qonnx"]
    assert [hop["status"] for hop in hops] == ["distribution", "equal", "equal", "equal"]
    result = codesign("verify", made.folder, digest, "--form", "module")
    assert (result.code, result.err) == (0, "")
    assert "module" in result.out


def test_verify_exits_with_1_where_integers_differ(copy: Path, digest: str, codesign: Call) -> None:
    assert codesign("export", copy, digest, "--to", "qonnx").code == 0
    other = codesign("export", copy, digest, "--to", "onnx", "--out", copy / "other")
    assert other.code == 0
    place = copy / "export" / digest / "qonnx"
    model = onnx.load(place / "encoder.onnx")
    (bias,) = [item for item in model.graph.initializer if item.name == "latent_bias"]
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + 0.25, bias.name))
    onnx.save(model, place / "encoder.onnx")
    result = codesign("verify", copy, digest, "--form", "qonnx")
    assert result.code == 1
    assert "differs" in result.out
    assert "export it again" in result.out


def test_score(made: SimpleNamespace, digest: str, codesign: Call) -> None:
    file = made.folder / "networks" / f"{digest}.json"
    data = parsed(codesign("score", file, "--wafers", 200, "--json"))
    assert set(data) == {*METRICS, "telescoping_loss"}
    for summary in data.values():
        assert set(summary) == {"mean", "std", "stderr", "n"}
        assert summary["n"] == 200
        assert summary["stderr"] == pytest.approx(summary["std"] / 200**0.5)
    text = codesign("score", file, "--wafers", 200).out
    assert "telescoping_loss" in text
    assert "sensor cells" in text


def test_data_that_was_generated_is_read_back(
    tmp_path: Path, made: SimpleNamespace, digest: str, codesign: Call
) -> None:
    file = made.folder / "networks" / f"{digest}.json"
    generated = parsed(codesign("score", file, "--wafers", 300, "--seed", 5, "--json"))
    for name in ("wafers.csv", "wafers.csv.gz"):
        path = tmp_path / name
        result = codesign("data", "generate", "--wafers", 300, "--seed", 5, "--out", path)
        assert result.out == f"{path}: 300 wafers\n"
        frame = pd.read_csv(path)
        assert [f"CALQ_{i}" for i in range(48)] == list(frame.columns[:48])
        assert parsed(codesign("score", file, "--data", path, "--json")) == generated


def test_generated_data_overwrites_nothing(tmp_path: Path, codesign: Call) -> None:
    path = tmp_path / "new" / "wafers.csv"
    single = tmp_path / "one.csv"
    assert codesign("data", "generate", "--wafers", 1, "--out", single).out == f"{single}: 1 wafer\n"
    first = codesign("data", "generate", "--wafers", 10, "--out", path)
    assert (first.code, first.err) == (0, f"note: {path.parent} is no folder yet; it is made\n")
    text = path.read_text()
    again = codesign("data", "generate", "--wafers", 20, "--out", path)
    assert again.code == 2
    assert f"--out {path} is there already; name another file" in again.err
    assert path.read_text() == text
    assert codesign("data", "generate", "--wafers", 10, "--out", path.with_name("b.csv")).err == ""


def test_data_check(tmp_path: Path, codesign: Call) -> None:
    path = tmp_path / "wafers.csv"
    codesign("data", "generate", "--wafers", 1000, "--out", path)
    rows = parsed(codesign("data", "check", "--data", path, "--json"))
    keys = {"observable", "reference", "value", "difference", "ratio", "accepted", "ok", "source"}
    assert all(keys <= set(row) for row in rows)
    assert any(row["ok"] for row in rows)
    text = codesign("data", "check", "--data", path).out
    assert f"{path}: 1,000 wafers with charge" in text
    assert "figures with a tolerance are within it" in text
    assert "electron" in codesign("data", "check", "--wafers", 100, "--population", "electron").out


@pytest.mark.parametrize("verb", ["run", "score", "data check"])
def test_a_wrong_order_of_cells_is_one_warning(
    verb: str,
    tmp_path: Path,
    made: SimpleNamespace,
    digest: str,
    small: SimpleNamespace,
    codesign: Call,
) -> None:
    order = np.random.default_rng(0).permutation(48)
    rows = generate(1500, seed=1).calq[:, order]
    path = tmp_path / "shuffled.csv"
    pd.DataFrame(rows, columns=[f"CALQ_{i}" for i in range(48)]).to_csv(path, index=False)
    before = {
        "run": [*small.options, *small.limit, "--trials", 1, "--out", tmp_path / "new"],
        "score": [made.folder / "networks" / f"{digest}.json"],
        "data check": [],
    }[verb]
    before = [word for word in before if word not in ("--wafers", "400")]
    result = codesign(*verb.split(), *before, "--data", path)
    assert result.code == 0, result.err
    warned = [line for line in result.err.splitlines() if "warning" in line.lower()]
    assert len(warned) == 1
    assert warned[0].startswith(f"warning: {path}: the columns do not fit the places of the trigger cells")


# --- in a process of its own


def spawn(*arguments: object, **options: Any) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "codesign.cli", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_study_says_how_to_go_on_and_does(
    number: signal.Signals, tmp_path: Path, codesign: Call
) -> None:
    folder = tmp_path / "a study"
    options = (
        "--space econt --trials 6 --steps 150 --wafers 400 --recipe quick --optimiser random --workers 2"
    )
    limit = ["--limit", "operations<=8000"]
    process = spawn("run", *options.split(), *limit, "--out", folder, start_new_session=True)
    assert process.stderr is not None
    lines = [process.stderr.readline() for _ in range(2)]
    assert lines[1].split()[0] == "1/6"
    os.killpg(process.pid, number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    advice = err.splitlines()[-1]
    assert advice.endswith(f"Go on with: codesign resume '{folder}'")
    done = parsed(codesign("status", folder, "--json"))["finished"]
    assert 1 <= done < 6
    result = codesign(*shlex.split(advice.split("Go on with: codesign ")[1]), "--json")
    assert parsed(result)["folder"] == str(folder)
    assert parsed(codesign("status", folder, "--json"))["by_status"] == {"ok": 6}


@pytest.mark.slow
def test_workers_say_nothing(tmp_path: Path, small: SimpleNamespace) -> None:
    options = [*small.options[:-2], *small.limit, "--workers", 2, "--trials", 3, "--out", tmp_path / "new"]
    process = spawn("run", *options)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0
    assert len(err.splitlines()) == 4


def test_a_broken_pipe_is_silent(made: SimpleNamespace) -> None:
    process = spawn("status", made.folder)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    process.wait()
    process.stderr.close()


def test_debug_shows_the_traceback(codesign: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("codesign.cli.doctor.examine", lambda: 1 / 0)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    result = codesign("doctor")
    assert result.code == 1
    assert "Traceback" not in result.err
    assert result.err.startswith(
        "internal error: ZeroDivisionError: division by zero; please report it with "
    )
    report = Path(result.err.split()[-1])
    assert "Traceback" in report.read_text()
    monkeypatch.setenv("CODESIGN_DEBUG", "1")
    result = codesign("doctor")
    assert result.code == 1
    assert "Traceback" in result.err
    result = codesign("status", tmp_path)
    assert result.code == 2
    assert "Traceback" in result.err
    assert "error: " in result.err


def test_help_loads_neither_torch_nor_pictures() -> None:
    code = """if True:
        import sys
        sys.argv[1:] = ["--help"]
        from codesign.cli import main
        try:
            main()
        except SystemExit:
            heavy = {"torch", "matplotlib", "ot", "rich", "pandas", "pydantic"}
            print(*sorted(heavy & set(sys.modules)), file=sys.stderr)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stderr.strip() == ""


def test_ctrl_c_does_not_forget_an_extension(codesign: Call, made: Any, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    shutil.copytree(made.folder, folder)
    with closing(sqlite3.connect(folder / "study.sqlite")) as connection:
        connection.execute("UPDATE meta SET value = '9' WHERE key = 'trials'")
        connection.commit()
    assert parsed(codesign("status", folder, "--json"))["planned"] == 9
    assert stored_config(folder).trials == 9


def test_repeat_trains_the_front_with_further_seeds(copy: Path, digest: str, codesign: Call) -> None:
    first = codesign("repeat", copy, "--seeds", 2, "--json")
    assert first.code == 0, first.err
    rows = json.loads(first.out)
    assert {row["digest"] for row in rows} == {e.candidate.digest for e in Study.read(copy).front()}
    emd = rows[0]["metrics"]["emd"]
    assert rows[0]["seeds"] == [0, 1]
    assert len(set(emd["values"])) == 2
    assert emd["mean"] == pytest.approx(sum(emd["values"]) / 2)
    again = codesign("repeat", copy, rows[0]["digest"][:8], "--seeds", 2)
    assert again.code == 0, again.err
    assert again.err == "Nothing to train: these designs have 2 seeds already; more with --seeds\n"
    assert f"{emd['mean']:.4g}" in again.out
    shown = f"{emd['mean']:.4g} ± {emd['deviation']:.2g} (2)"
    assert shown in codesign("front", copy).out
    assert shown in codesign("show", copy, rows[0]["digest"]).out
    assert json.loads(codesign("front", copy, "--json").out)["repeated"] == [
        {name: value for name, value in row.items() if name != "on_front"} for row in rows
    ]
    assert json.loads(codesign("show", copy, rows[0]["digest"], "--json").out)["repeated"]["seeds"] == [0, 1]
    table = pd.read_csv(copy / "front.csv").set_index("digest").loc[rows[0]["digest"]]
    assert table[["seeds", "emd_over_seeds", "emd_deviation"]].tolist() == pytest.approx(
        [2, emd["mean"], emd["deviation"]]
    )
    more = codesign("repeat", copy, digest, "--seeds", 3)
    assert more.err == f"1/1 {digest} seed 2 ok\n"


def test_the_parameters_of_the_generator_are_a_choice(tmp_path: Path, codesign: Call) -> None:
    files = {name: tmp_path / f"{name}.csv" for name in ("T", "C")}
    for name, file in files.items():
        result = codesign("data", "generate", "--wafers", 50, "--parameters", name, "--out", file)
        assert result.code == 0, result.err
    assert files["T"].read_text() != files["C"].read_text()
    found = codesign("data", "check", "--wafers", 50, "--parameters", "C", "--json")
    plain = codesign("data", "check", "--data", files["C"], "--json")
    assert json.loads(found.out) == json.loads(plain.out)


def test_score_takes_the_parameters_of_the_generator(
    tmp_path: Path, made: SimpleNamespace, digest: str, codesign: Call
) -> None:
    network = made.folder / "networks" / f"{digest}.json"
    file = tmp_path / "C.csv"
    assert codesign("data", "generate", "--wafers", 50, "--parameters", "C", "--out", file).code == 0
    scored = parsed(codesign("score", network, "--wafers", 50, "--parameters", "C", "--json"))
    assert scored == parsed(codesign("score", network, "--data", file, "--json"))
    assert scored != parsed(codesign("score", network, "--wafers", 50, "--json"))
    assert "parameters C" in codesign("score", network, "--wafers", 50, "--parameters", "C").out


def test_a_study_is_trained_on_the_chosen_generator(
    tmp_path: Path, small: SimpleNamespace, codesign: Call
) -> None:
    folder = tmp_path / "study"
    result = codesign("run", *small.options, "--parameters", "C", "--trials", 1, "--out", folder)
    assert result.code == 0, result.err
    assert Study.read(folder).meta["task"]["source"] == "generated pileup, parameters C, seed 0"
