"""Reports that tools really wrote: by hand, in the folder that CODESIGN_REPORTS names."""

import os
from pathlib import Path

import pytest

from codesign.errors import ReportError
from codesign.synthesis.reports import parse, read

FOLDER = Path(os.environ.get("CODESIGN_REPORTS", "absent"))
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="CODESIGN_REPORTS names no folder of reports")

FIGURES: dict[str, dict[str, float]] = {
    "edalize_quartus_cyclone10_fit.rpt": {"lut": 1137, "ff": 761, "dsp": 0},
    "edalize_quartus_cyclone10_sta.rpt": {"critical_path_ns": 7.6},
    "edalize_vivado_artix7_utilization_placed.rpt": {"lut": 1009, "ff": 920, "dsp": 0, "bram_18k": 0},
    "edalize_vivado_kintexusp_timing_summary_routed.rpt": {"critical_path_ns": 4.816},
    "edalize_vivado_kintexusp_utilization_placed.rpt": {
        "lut": 999,
        "ff": 920,
        "dsp": 0,
        "bram_18k": 0,
        "uram": 0,
    },
    "heterocl_canny_csynth.xml": {
        "lut": 6919,
        "ff": 3146,
        "dsp": 19,
        "bram_18k": 1536,
        "uram": 0,
        "critical_path_ns": 9.634,
        "latency_cycles": 176256955,
        "initiation_interval": 176256956,
    },
    "heterocl_digitrec_csynth.xml": {
        "lut": 34172,
        "ff": 7559,
        "dsp": 0,
        "bram_18k": 32,
        "uram": 0,
        "critical_path_ns": 2.744,
        "latency_cycles": 20080,
        "initiation_interval": 20081,
    },
    "hls4ml_bambu_results_0.xml": {
        "lut": 798,
        "ff": 808,
        "dsp": 27,
        "critical_path_ns": 10.072,
        "latency_cycles": 35,
    },
    "hls4ml_oneapi_quartus.ndjson": {"lut": 4182, "ff": 16419, "dsp": 40, "critical_path_ns": 1e3 / 597.73},
    "hls4ml_oneapi_summary.ndjson": {"lut": 2462, "ff": 7938, "dsp": 0},
    "hls4ml_vivado_2020.1_utilization_synth.rpt": {"lut": 1526, "ff": 2428, "dsp": 66, "bram_18k": 0},
    **{
        f"hls4ml_vivado_hls_2020.1_csynth.{suffix}": {
            "lut": 2532,
            "ff": 7969,
            "dsp": 73,
            "bram_18k": 0,
            "uram": 0,
            "critical_path_ns": 4.049,
            "latency_cycles": 10,
            "initiation_interval": 8,
        }
        for suffix in ("xml", "rpt")
    },
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_real_report_has_its_figures(name: str) -> None:
    if not (FOLDER / name).is_file():
        pytest.skip(f"{name} is not in the folder")
    assert read(FOLDER / name).stated() == pytest.approx(FIGURES[name])


def test_every_file_is_read_or_refused() -> None:
    for path in FOLDER.iterdir():
        try:
            read(path)
        except ReportError as error:
            assert path.name not in FIGURES, error  # noqa: PT017


@pytest.mark.parametrize("name", FIGURES)
def test_a_real_report_cut_is_refused_or_the_same(name: str) -> None:
    if not (FOLDER / name).is_file():
        pytest.skip(f"{name} is not in the folder")
    text = (FOLDER / name).read_text(encoding="latin-1")
    whole = parse(text, name).to_dict()
    lines = text.splitlines(keepends=True)
    for count in range(0, len(lines), max(len(lines) // 60, 1)):
        try:
            assert parse("".join(lines[:count]), name).to_dict() == whole
        except ReportError:
            continue
