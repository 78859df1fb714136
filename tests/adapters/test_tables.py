import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.adapters import from_table, to_table
from codesign.errors import DataError, SpaceError
from codesign.evaluation import Evaluation
from codesign.metrics import Summary
from codesign.space import Candidate, SearchSpace, When, categorical, integer, ordinal
from tests.adapters.spaces import spaces

examples = settings(deadline=None, max_examples=50)
LINES = """unroll,pipeline,ii,memory,time,area
1,False,,block,90.0,10
2,False,,block,50.0,14
2,True,1,block,20.0,30
4,True,2,block,25.0,35
4,True,1,registers,12.5,80
"""


@given(spaces(), st.integers(0, 2**32 - 1))
@examples
def test_a_table_of_a_space_is_the_space_of_the_table(space: SearchSpace, seed: int) -> None:
    designs = list(dict.fromkeys(space.sample(30, np.random.default_rng(seed))))
    table = to_table(space, designs)
    there = [name for name in space.names if table[name].notna().any()]
    text = io.StringIO(table.to_csv(index=False))
    for each in (table, pd.read_csv(text, keep_default_na=False, na_values=[""])):
        try:
            again = from_table(each, there)
        except SpaceError as error:
            assert "no values of other knobs tell" in str(error)  # noqa: PT017
            assert not all(set(design.values) == set(there) for design in designs)
        else:
            assert again.only is not None
            assert [dict(design.values) for design in again.only] == [
                dict(design.values) for design in designs
            ]
            assert again.count() == len(designs)


@given(spaces(rich=False))
@examples
def test_a_table_of_the_whole_of_a_tree_tells_what_exists_where(space: SearchSpace) -> None:
    designs = list(space.enumerate())
    table = to_table(space, designs)
    again = from_table(table, [name for name in space.names if table[name].notna().any()])
    assert list(again.only or ()) == designs


def test_a_csv_of_designs_and_results_is_a_space() -> None:
    table = pd.read_csv(io.StringIO(LINES))
    space = from_table(table, ["unroll", "pipeline", "ii", "memory"], name="kernel")
    assert space.items == (
        ordinal("unroll", (1, 2, 4)),
        categorical("pipeline", (False, True)),
        When("pipeline", (True,), (ordinal("ii", (1, 2)),)),
        categorical("memory", ("block", "registers")),
    )
    assert space.only is not None
    assert str(space.only[3]) == "unroll=4, pipeline=True, ii=2, memory=block"
    assert set(space.sample(100, np.random.default_rng(0))) == set(space.only)


def test_evaluations_are_rows_with_their_results() -> None:
    space = SearchSpace(
        "s", (categorical("pool", (False, True)), When("pool", (True,), (integer("size", 2, 3),)))
    )
    good = Evaluation(
        0,
        Candidate({"pool": True, "size": 3}),
        "random",
        "ok",
        metrics={"emd": Summary.of([1.0, 2.0])},
        costs={"area": 7.0},
    )
    bad = Evaluation(1, Candidate({"pool": False}), "random", "diverged", "loss is NaN", costs={"area": 5.0})
    table = to_table(space, [good, bad])
    assert list(table.columns) == ["pool", "size", "emd", "area", "status"]
    assert table.to_csv(index=False).splitlines() == [
        "pool,size,emd,area,status",
        "True,3,1.5,7.0,ok",
        "False,,,5.0,diverged",
    ]
    assert to_table(space, []).shape == (0, 2)


def frame(**columns: list[object]) -> pd.DataFrame:
    return pd.DataFrame(columns)


@pytest.mark.parametrize(
    ("table", "knobs", "error", "message"),
    [
        (frame(a=[]), None, DataError, "the table has 0 rows and 1 knobs"),
        (frame(a=[1]), [], DataError, "the table has 1 rows and 0 knobs"),
        (frame(a=[1]), ["b"], DataError, "the knob 'b' is a column 0 times .*the columns are a"),
        (frame(a=[1]), ["a", "a"], DataError, "the knob 'a' is a column 1 times and asked for 2 times"),
        (frame(a=[1, 2], b=[None, None]), None, DataError, "the knob 'b' has no value in any row"),
        (frame(a=[1.0, float("inf")]), None, DataError, "the knob 'a' has the value inf"),
        (frame(a=[[1], [2]]), None, DataError, r"the knob 'a' has the value \[1\]"),
        (frame(a=[1, 2, 1], b=[0, 0, 0]), None, DataError, "rows 0 and 2 are the same design"),
        (frame(a=[1, 1, 2], b=[1.0, None, 3.0]), None, SpaceError, "the knobs b are missing in some rows"),
    ],
)
def test_tables_that_are_no_designs_are_told(
    table: pd.DataFrame, knobs: list[str] | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        from_table(table, knobs)


def test_designs_of_other_spaces_and_results_named_as_knobs_are_told() -> None:
    space = SearchSpace("s", (integer("a", 0, 1), When("a", (1,), (integer("b", 0, 1),))))
    with pytest.raises(SpaceError, match="row 1 is no design of space 's': a=0, b=1"):
        to_table(space, [Candidate({"a": 0}), Candidate({"a": 0, "b": 1})])
    clash = Evaluation(0, Candidate({"a": 0}), "random", "ok", costs={"a": 1.0})
    with pytest.raises(DataError, match="a is a knob and a result"):
        to_table(space, [clash])
