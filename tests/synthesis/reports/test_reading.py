import pytest

from codesign.errors import ReportError
from codesign.synthesis.reports.reading import Text

TABLE = """title
+------+------+
| Name | Used |
+------+------+
| a    |    1 |
| b    |    2 |
+------+------+

+---+
"""


def table(text: str, groups: int = 2) -> list[list[str]]:
    found = Text.of(text, "t.rpt").table(0, "things", groups=groups)
    return [[cell.strip() for cell in cells] for group in found.groups for _, cells in group]


def test_a_table_is_its_rows_between_borders() -> None:
    assert table(TABLE) == [["Name", "Used"], ["a", "1"], ["b", "2"]]


@pytest.mark.parametrize(
    ("old", "new", "line", "expected"),
    [
        ("| b    |    2 |\n+------+------+\n", "| b    |    2 |\n", 7, "the rest of the table of things"),
        ("| b    |    2 |\n", "| b    |    2\n", 6, "a whole row"),
        ("| b    |    2 |\n", "| b    | 2 | 3 |\n", 6, "2 cells in the table of things, got 3"),
        ("2 |\n+------+------+\n", "2 |\n+------+---\n", 7, "a border"),
        ("2 |\n+------+------+\n", "2 |\n+------+--+\n", 7, "a border"),
        ("| Name | Used |\n+------+------+\n", "", 6, "the rest of the table"),
    ],
)
def test_a_table_that_is_not_whole_is_refused_at_its_line(
    old: str, new: str, line: int, expected: str
) -> None:
    with pytest.raises(ReportError, match=rf"t\.rpt, line {line}: expected {expected}"):
        table(TABLE.replace(old, new, 1))


def test_a_text_without_a_table_is_refused_at_its_end() -> None:
    with pytest.raises(ReportError, match="the table of things; the file ends; is it cut"):
        table("title\n| Name | Used |\n")


@pytest.mark.parametrize("cell", ["", "1,2", "nan", "inf", "1e999", "0x10", "1_000", "9" * 400, "--1", "٣"])
def test_what_is_no_plain_number_is_refused(cell: str) -> None:
    with pytest.raises(ReportError, match="expected a count, a number"):
        Text.of("one\ntwo", "t.rpt").count(1, cell, "a count")


def test_a_tool_that_does_not_know_says_none() -> None:
    text = Text.of("", "t.rpt")
    assert [text.maybe(0, cell, "x") for cell in ("-", "?", "N/A", " undef ", "0", "1.5")] == [None] * 4 + [
        0,
        1.5,
    ]
    with pytest.raises(ReportError, match="of 0 or more"):
        text.maybe(0, "-1", "x")
    with pytest.raises(ReportError, match="a whole number"):
        text.whole(0, "1.5", "x")


def test_rows_behind_the_last_border_are_a_cut_table() -> None:
    with pytest.raises(ReportError, match="line 7: expected the rest of the table of things"):
        table(TABLE.replace("| b    |    2 |\n+------+------+\n", "| b    |    2 |\n"), groups=1)
