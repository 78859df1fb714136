import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codesign.errors import DataError
from codesign.tasks.data_check import AE_BLOCK
from codesign.tasks.generator import Population, generate
from codesign.tasks.trigger_cell_csv import TriggerCellOrderWarning, read_trigger_cells

CALQ = [f"CALQ_{i}" for i in range(48)]
Rows = list[list[Any]]


@pytest.fixture
def rows() -> Rows:
    """Five rows of 48 different charges."""
    calq: Rows = (np.arange(5 * 48).reshape(5, 48) + 1).tolist()
    return calq


def text(rows: Rows, header: list[str] | None = CALQ) -> str:
    lines = [] if header is None else [header]
    return "".join(",".join(map(str, line)) + "\n" for line in [*lines, *rows])


def refused(path: Path, match: str) -> None:
    with pytest.raises(DataError, match=match):
        read_trigger_cells(path)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("header", [CALQ, None])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_rows_are_read_plain_or_packed_with_or_without_header(
    tmp_path: Path, rows: Rows, newline: str, header: list[str] | None, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "wafers.data"  # a name that tells nothing
    path.write_bytes(pack(text(rows, header).replace("\n", newline).encode()))
    wafers = read_trigger_cells(str(path))
    np.testing.assert_array_equal(wafers.calq, rows)
    assert wafers.source == str(path)
    assert not wafers.columns


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(st.permutations(["eta", "type", "", *CALQ]), st.booleans())
def test_columns_are_found_by_name_in_any_order(tmp_path: Path, order: list[str], floats: bool) -> None:
    calq = np.random.default_rng(0).integers(0, 50, (7, 48)) + 1
    frame = pd.DataFrame(calq.astype(float) if floats else calq, columns=CALQ)
    frame["eta"], frame["type"], frame[""] = np.linspace(1.5, 3, 7), list("ABCDEFG"), np.arange(7)
    frame[order].to_csv(tmp_path / "a.csv", index=False)
    wafers = read_trigger_cells(tmp_path / "a.csv")
    np.testing.assert_array_equal(wafers.calq, calq)
    unnamed = f"column_{order.index('')}"
    assert set(wafers.columns) == {"eta", "type", unnamed}
    np.testing.assert_allclose(wafers.columns["eta"], np.linspace(1.5, 3, 7))
    assert wafers.columns["type"].dtype.kind == "U"
    assert wafers.columns["type"].tolist() == list("ABCDEFG")
    assert wafers.columns[unnamed].tolist() == list(range(7))


def test_the_index_that_pandas_writes_is_an_extra_column(tmp_path: Path, rows: Rows) -> None:
    pd.DataFrame(rows, columns=CALQ).to_csv(tmp_path / "a.csv")
    wafers = read_trigger_cells(tmp_path / "a.csv")
    np.testing.assert_array_equal(wafers.calq, rows)
    assert wafers.columns["column_0"].tolist() == [0, 1, 2, 3, 4]


def test_an_index_without_a_header_is_refused(tmp_path: Path) -> None:
    pd.DataFrame(np.ones((12, 48), dtype=int)).to_csv(tmp_path / "a.csv", header=False)
    refused(
        tmp_path / "a.csv", "a.csv: no header, and the first column counts the rows; write the file without"
    )


@pytest.mark.parametrize(("extras", "eta"), [(9, True), (8, False)])
def test_columns_without_header_are_named_by_position(
    tmp_path: Path, rows: Rows, extras: int, eta: bool
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text([[*row, *range(100, 100 + extras)] for row in rows], header=None))
    columns = read_trigger_cells(path).columns
    assert len(columns) == extras
    assert columns["column_48"].tolist() == 5 * [100]
    assert ("tc_eta" in columns) == ("tc_phi" in columns) == eta
    if eta:
        assert columns["tc_eta"].tolist() == 5 * [107]
        assert columns["tc_phi"].tolist() == 5 * [108]


def test_a_folder_is_read_in_order_of_name_and_keeps_common_columns(tmp_path: Path, rows: Rows) -> None:
    (tmp_path / "b.csv").write_text(text([[*row, 2] for row in rows], [*CALQ, "eta"]))
    (tmp_path / "a.csv.gz").write_bytes(
        gzip.compress(text([[1, 9, *row] for row in rows], ["eta", "phi", *CALQ]).encode())
    )
    (tmp_path / "notes.txt").write_text("not read")
    (tmp_path / ".a.csv").write_text("not read")
    (tmp_path / "c.csv").mkdir()
    wafers = read_trigger_cells(tmp_path)
    np.testing.assert_array_equal(wafers.calq, rows + rows)
    assert list(wafers.columns) == ["eta"]
    assert wafers.columns["eta"].tolist() == 5 * [1] + 5 * [2]


def test_empty_rows_are_dropped_and_counted(tmp_path: Path, rows: Rows) -> None:
    (tmp_path / "a.csv").write_text(text([[0] * 48, *rows, [0] * 48]))
    wafers = read_trigger_cells(tmp_path / "a.csv")
    assert len(wafers) == 5
    assert wafers.dropped_empty == 2


@pytest.mark.parametrize("blank", ["\n", "   \n", "\n\n"])
def test_blank_lines_and_a_byte_order_mark_are_no_rows(tmp_path: Path, rows: Rows, blank: str) -> None:
    lines = text(rows).splitlines(keepends=True)
    (tmp_path / "a.csv").write_text(
        "\ufeff" + lines[0] + blank + "".join(lines[1:]) + blank, encoding="utf-8"
    )
    np.testing.assert_array_equal(read_trigger_cells(tmp_path / "a.csv").calq, rows)


def test_commas_in_quotes_are_text(tmp_path: Path, rows: Rows) -> None:
    (tmp_path / "a.csv").write_text(text([[*row, '"a, b"', ""] for row in rows], [*CALQ, "note", "eta"]))
    wafers = read_trigger_cells(tmp_path / "a.csv")
    np.testing.assert_array_equal(wafers.calq, rows)
    assert wafers.columns["note"].tolist() == 5 * ["a, b"]
    assert np.isnan(wafers.columns["eta"]).all()


# --- faulty rows


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("abc", "CALQ_3 is 'abc', not a number"),
        ("", "CALQ_3 is missing"),
        ("1_0", "CALQ_3 is '1_0', not a number"),
        ("True", "CALQ_3 is 'True', not a number"),
        ("nan", "CALQ_3 is 'nan', not finite"),
        ("inf", "CALQ_3 is 'inf', not finite"),
        ("-2", "CALQ_3 is '-2', negative"),
        ("1.5", "CALQ_3 is '1.5', not a whole number of counts"),
        ("99999999999", "CALQ_3 is '99999999999', above 2147483647"),
        ("99999999999999999999", "CALQ_3 is '99999999999999999999', above 2147483647"),
    ],
)
@pytest.mark.parametrize(("header", "line"), [(CALQ, 4), (None, 3)])
def test_a_faulty_cell_is_named_by_file_line_and_column(
    tmp_path: Path, rows: Rows, cell: str, message: str, header: list[str] | None, line: int
) -> None:
    rows[2][3] = cell
    (tmp_path / "a.csv").write_text(text(rows, header))
    refused(
        tmp_path / "a.csv", f"a.csv: 1 faulty row; mend or delete them:\n  a.csv, line {line}: {message}$"
    )


def test_a_column_of_truth_values_is_refused(tmp_path: Path, rows: Rows) -> None:
    (tmp_path / "a.csv").write_text(text([[*row[:47], "True"] for row in rows]))
    refused(
        tmp_path / "a.csv", "5 faulty rows; mend or delete them:\n  a.csv, line 2: CALQ_47 is 'True', not a"
    )


def test_other_faults_of_a_row_are_counted(tmp_path: Path, rows: Rows) -> None:
    rows[0][3:6] = -1, "x", 2.5
    (tmp_path / "a.csv").write_text(text(rows))
    refused(tmp_path / "a.csv", r"line 2: CALQ_3 is '-1', negative \(and 2 more in this row\)$")


@pytest.mark.parametrize("extra", [[], ["eta"]])
@pytest.mark.parametrize("change", [-1, 1])
def test_a_row_of_another_length_is_named(tmp_path: Path, rows: Rows, extra: list[str], change: int) -> None:
    rows = [[*row, *(1 for _ in extra)] for row in rows]
    rows[4] = rows[4][:-1] if change < 0 else [*rows[4], 7]
    (tmp_path / "a.csv").write_text(text(rows, CALQ + extra))
    expected = 48 + len(extra)
    refused(tmp_path / "a.csv", f"line 6: {expected + change} fields, expected {expected}$")


def test_a_header_shorter_than_all_rows_is_not_shifted(tmp_path: Path, rows: Rows) -> None:
    (tmp_path / "a.csv").write_text(text([[0, *row] for row in rows]))
    refused(tmp_path / "a.csv", "5 faulty rows.*\n  a.csv, line 2: 49 fields, expected 48\n")


def test_rows_too_long_and_too_short_do_not_cancel(tmp_path: Path, rows: Rows) -> None:
    rows[1], rows[2] = [*rows[1], 1], rows[2][:-1]
    (tmp_path / "a.csv").write_text(text(rows))
    refused(tmp_path / "a.csv", "2 faulty rows.*\n  a.csv, line 3: 49 fields.*\n  a.csv, line 4: 47 fields")


def test_faults_of_all_files_come_in_one_error_that_shows_ten(tmp_path: Path, rows: Rows) -> None:
    (tmp_path / "a.csv").write_text(text([[*row[:47], "x"] for row in rows] * 2))
    (tmp_path / "b.csv").write_text(text([[*row[:47], -1] for row in rows]))
    refused(tmp_path, "15 faulty rows; mend or delete them:\n(  a.csv, line .*\n){10}  and 5 more$")


# --- files of another form


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty; expected rows of CALQ_0 to CALQ_47"),
        (b" \n\n", "the file is empty"),
        (b'""', "the file is empty"),
        (text([]).encode(), "a header and no rows; expected a row per wafer"),
        (b"\x00\x01\x02", "not a text file, byte 0 is zero; expected CSV"),
        (b"\x89PNG\r\n", "not a text file, byte 0 is not UTF-8; expected CSV"),
        (gzip.compress(b"x" * 999, mtime=0)[:-9], "a broken gzip file .*; copy it again"),
        (b"\x1f\x8bjunk", "a broken gzip file .*; copy it again"),
        (b"hello\nworld\n", "no column CALQ_0, CALQ_1, CALQ_2 and 45 more of CALQ_0 to CALQ_47 among its 1"),
        (b"1,2,3\n", "3 columns and no header; the charges alone are 48"),
        (";".join(CALQ).encode(), "no column .* among its 1; it is divided by semicolons, expected commas"),
        ("\t".join(48 * "1").encode(), "no column .* among its 1; it is divided by tabs, expected commas"),
        (b"CALQ_0," + b"x" * 200_000, "line 1: not CSV"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    refused(tmp_path / "a.csv", f"a.csv.*[:,] {message}")


def test_all_zero_data_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text([[0] * 48] * 3))
    refused(tmp_path / "a.csv", "none of its 3 rows has charge; a wafer needs at least one CALQ above 0")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ([*CALQ[:13], *CALQ[14:]], "no column CALQ_13 of CALQ_0 to CALQ_47 among its 47"),
        ([*CALQ, "CALQ_7"], "more than one column CALQ_7; rename or drop the others"),
        ([*CALQ, "eta", "eta"], "more than one column eta; rename or drop the others"),
        ([*CALQ, "CALQ_48"], "a column CALQ_48; a wafer has CALQ_0 to CALQ_47 only"),
    ],
)
def test_a_header_that_is_not_of_48_cells_is_refused(tmp_path: Path, header: list[str], message: str) -> None:
    (tmp_path / "a.csv").write_text(text([[1] * len(header)], header))
    refused(tmp_path / "a.csv", message)


def test_absent_files_and_folders_without_any_are_refused(tmp_path: Path) -> None:
    refused(tmp_path / "none.csv", r"none.csv: cannot be read: No such file or directory")
    (tmp_path / "readme.md").touch()
    refused(tmp_path, r"the folder holds no \*.csv or \*.csv.gz; name a file or another folder")


def test_unreadable_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.csv").touch()
    monkeypatch.setattr(Path, "read_bytes", deny)
    refused(tmp_path / "a.csv", "a.csv: cannot be read: Permission denied")


# --- order of the trigger cells


def write(path: Path, calq: NDArray[np.integer]) -> Path:
    buffer = io.StringIO()
    pd.DataFrame(calq, columns=CALQ).to_csv(buffer, index=False)
    path.write_text(buffer.getvalue())
    return path


@pytest.mark.parametrize("population", ["pileup", "electron", "jet", "ttbar"])
def test_order_of_generated_wafers_is_checked(tmp_path: Path, population: Population) -> None:
    calq = generate(1000, seed=5, population=population).calq
    read_trigger_cells(write(tmp_path / "right.csv", calq))
    shuffled = calq[:, np.random.default_rng(1).permutation(48)]
    with pytest.warns(TriggerCellOrderWarning, match="in neither CALQ nor AE-block order; ask who") as caught:
        read_trigger_cells(write(tmp_path / "shuffled.csv", shuffled))
    assert caught[0].filename == __file__
    with pytest.warns(
        TriggerCellOrderWarning, match=r"AE-block order \(score .*\) fits better.*rename column k"
    ):
        read_trigger_cells(write(tmp_path / "blocks.csv", calq[:, AE_BLOCK]))


def test_order_of_a_few_wafers_is_not_judged(tmp_path: Path) -> None:
    calq = generate(99, seed=5).calq[:, np.random.default_rng(1).permutation(48)]
    assert len(read_trigger_cells(write(tmp_path / "few.csv", calq))) == 99


@pytest.mark.parametrize(
    ("name", "count"),
    [("pileup_like", 3000), ("electron_pt20_eta15-30_0PU", 17382), ("ttbar_0PU", 38382)],
)
def test_simulated_samples_are_read_and_their_order_checked(
    reference_data: Path, name: str, count: int
) -> None:
    path = reference_data / "data" / "hgcal" / f"{name}.csv.gz"
    wafers = read_trigger_cells(path)
    assert len(wafers) + wafers.dropped_empty == count
    np.testing.assert_array_equal(wafers.calq, pd.read_csv(path).to_numpy()[: len(wafers)])
