import shutil
from pathlib import Path

import pytest

from codesign.errors import ReportError
from codesign.synthesis.reports import FolderReports, read_folder

GOLDEN = Path(__file__).parent / "golden"
ONE, TWO = "1df17c3fa74e5605", "2a49291fe3459034"


def put(folder: Path, **files: str) -> None:
    """Copy golden files: name of the copy (``__`` is ``/``, ``_rpt`` the suffix) to golden file."""
    for name, golden in files.items():
        path = folder / name.replace("__", "/").replace("_rpt", ".rpt").replace("_json", ".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(GOLDEN / golden, path)


def test_files_of_one_run_are_one_report(tmp_path: Path) -> None:
    put(
        tmp_path,
        d_1df17c3f__hier_rpt="vivado_utilization_hierarchical.rpt",
        d_1df17c3f__timing_rpt="vivado_timing_summary.rpt",
        d_1df17c3f__power_rpt="vivado_power_routed.rpt",
        d_1df17c3f__placed_rpt="vivado_utilization_placed.rpt",
    )
    found = read_folder(tmp_path)
    assert not found.ignored
    assert not found.refused
    reports = {report.stage: report for report in found.by_design["1df17c3f"]}
    assert set(reports) == {"placed", "routed"}
    routed = reports["routed"]
    assert (routed.design, routed.resources.lut, routed.slack_ns) == ("1df17c3f", 28411, -0.217)
    assert routed.power_mw == 913
    assert set(routed.source.split(", ")) == {
        f"d_1df17c3f/{name}.rpt" for name in ("hier", "timing", "power")
    }


def test_what_some_files_leave_out_others_state(tmp_path: Path) -> None:
    put(tmp_path, a1b2c3_p_rpt="vivado_power_routed.rpt", a1b2c3_t_rpt="vivado_timing_summary.rpt")
    path = tmp_path / "a1b2c3_p.rpt"
    path.write_text(path.read_text().replace("xczu7ev-ffvc1156-2-e", "xczu7ev-ffvc1156-2"))
    (report,) = read_folder(tmp_path).by_design["a1b2c3"]
    assert report.target.part == "xczu7ev-ffvc1156-2-e"


def test_finn_nodes_have_cycles_beside_resources(tmp_path: Path) -> None:
    put(
        tmp_path,
        **{
            f"{ONE}__estimate_{name}_json": f"finn_estimate_{name}.json"
            for name in ("layer_cycles", "layer_resources", "network_performance")
        },
    )
    (report,) = read_folder(tmp_path).by_design[ONE]
    assert report.by_layer["MVAU_rtl_0"] == {"cycles": 48, "lut": 900, "bram_18k": 2, "uram": 0, "dsp": 16}
    assert (report.latency_cycles, report.resources.dsp) == (60, 16)


def test_known_designs_are_found_by_prefix_and_nothing_else(tmp_path: Path) -> None:
    put(
        tmp_path,
        report_20240115_rpt="vivado_power_routed.rpt",
        **{
            "1df17c__vivado_rpt": "vivado_power_routed.rpt",
            f"{TWO}_util_rpt": "vivado_utilization_synth.rpt",
        },
    )
    found = read_folder(tmp_path, [ONE, TWO])
    assert set(found.by_design) == {ONE, TWO}
    assert found.by_design[TWO][0].design == TWO
    assert set(found.ignored) == {"report_20240115.rpt"}
    assert "of one of the 2 designs" in found.ignored["report_20240115.rpt"]
    assert set(read_folder(tmp_path).by_design) == {"20240115", "1df17c", TWO}


def test_the_nearest_part_of_the_path_ties(tmp_path: Path) -> None:
    put(tmp_path, **{f"{ONE}__{TWO}_p_rpt": "vivado_power_routed.rpt"})
    assert set(read_folder(tmp_path, [ONE, TWO]).by_design) == {TWO}


def test_a_name_with_two_designs_is_refused(tmp_path: Path) -> None:
    put(tmp_path, **{f"{ONE}_and_{TWO}_rpt": "vivado_power_routed.rpt"})
    (reason,) = read_folder(tmp_path, [ONE, TWO]).refused.values()
    assert "expected the digest of one design" in reason


def test_words_of_letters_are_no_digests(tmp_path: Path) -> None:
    put(tmp_path, facade__decade_rpt="vivado_power_routed.rpt")
    assert read_folder(tmp_path).by_design == {}


def test_a_table_ties_what_names_do_not(tmp_path: Path) -> None:
    put(tmp_path, run7__p_rpt="vivado_power_routed.rpt", **{f"{TWO}__p_rpt": "vivado_power_routed.rpt"})
    table = tmp_path / "reports.csv"
    table.write_text("design,file\n1df17c3f,run7/p.rpt\n", encoding="utf-8")
    assert set(read_folder(tmp_path, [ONE, TWO]).by_design) == {ONE, TWO}
    for rows, match in (
        ("design,file\nmine,run7/absent.rpt\n", "line 2: expected a design and a file"),
        ("file,name\nrun7/p.rpt,a\n", "columns design,file"),
        ("design,file\nffff00,run7/p.rpt\n", "one known design"),
    ):
        table.write_text(rows, encoding="utf-8")
        with pytest.raises(ReportError, match=match):
            read_folder(tmp_path, [ONE, TWO])


def test_our_own_reports_say_whose_they_are(tmp_path: Path) -> None:
    put(tmp_path, any_json="codesign_report.json")
    assert set(read_folder(tmp_path).by_design) == {"0a1b2c3d4e5f6071"}
    assert read_folder(tmp_path, [ONE]).by_design == {}


def test_no_file_is_left_out_in_silence(tmp_path: Path) -> None:
    put(
        tmp_path,
        power_rpt="vivado_power_routed.rpt",
        **{f"{ONE}_a_rpt": "vivado_power_routed.rpt", f"{TWO}_a_rpt": "vivado_power_routed.rpt"},
    )
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "image.png").write_bytes(b"\x89PNG\0")
    power = (GOLDEN / "vivado_power_routed.rpt").read_text()
    (tmp_path / f"{ONE}_b.rpt").write_text(power.replace("0.913", "0.999"))
    (tmp_path / f"{TWO}_b.rpt").write_text(power[: len(power) // 2])
    found = read_folder(tmp_path)
    assert isinstance(found, FolderReports)
    assert set(found.ignored) == {"power.rpt", "notes.txt", "image.png"}
    assert set(found.refused) == {f"{ONE}_a.rpt", f"{ONE}_b.rpt", f"{TWO}_b.rpt"}
    assert "says power_mw 913" in found.refused[f"{ONE}_b.rpt"]
    assert set(found.by_design) == {TWO}


def test_an_absent_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="expected a folder"):
        read_folder(tmp_path / "absent")
