"""A search over a listed table: what it must find, what it must survive, and what it must refuse."""

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import codesign
from codesign.errors import ConfigError, DataError, NetworkError
from codesign.pareto import non_dominated
from codesign.table import SurrogateWarning, coordinates, search_table, trace

GOALS = {"time": "min", "logic": "min"}
seeds = st.integers(0, 1000)


def table(count: int = 120, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Knobs of an accelerator, and costs that they explain."""
    rng = np.random.default_rng(seed)
    knobs = pd.DataFrame(
        {
            "unroll": 2 ** rng.integers(0, 6, count),
            "units": rng.integers(1, 9, count),
            "memory": rng.choice(["block", "distributed", "ultra"], count),
            "fixed": 1,
        }
    )
    penalty = knobs["memory"].map({"block": 1.0, "distributed": 1.3, "ultra": 2.0})
    time = penalty * 1000 / (knobs["unroll"] ** 0.9 * knobs["units"] ** 0.5)
    logic = 5000 + 300 * knobs["unroll"] + 700 * knobs["units"] / penalty
    return knobs, pd.DataFrame({"time": time, "logic": logic})


class Board:
    """Evaluates rows and remembers which."""

    def __init__(self, values: pd.DataFrame) -> None:
        self.values, self.asked = values, list[int]()

    def __call__(self, row: int) -> Mapping[str, float]:
        assert type(row) is int
        self.asked.append(row)
        return dict(self.values.iloc[row])


@pytest.mark.parametrize("known", [[], ["logic"], ["time", "logic"]])
def test_finds_the_front_sooner_than_chance(known: list[str]) -> None:
    knobs, values = table()
    board = Board(values.drop(columns=known))
    order = search_table(knobs, board, GOALS, 30, known=values[known] if known else None)
    assert order == board.asked
    assert len(set(order)) == 30
    found = trace(values.to_numpy(), ["min", "min"], order)
    chance = [
        trace(values.to_numpy(), ["min", "min"], np.random.default_rng(seed).permutation(120)[:30])
        for seed in range(10)
    ]
    assert found.adrs is not None
    assert found.adrs[-1] < 0.02
    assert found.hypervolume_ratio[-1] > max(each.hypervolume_ratio[-1] for each in chance)


def test_the_same_seed_gives_the_same_rows_and_more_only_add() -> None:
    knobs, values = table()
    first, second = (search_table(knobs, Board(values), GOALS, 14, seed=3) for _ in range(2))
    assert first == second
    assert search_table(knobs, Board(values), GOALS, 10, seed=3) == first[:10]


def test_maximising_is_minimising_the_opposite() -> None:
    knobs, values = table(60)
    flipped = values.assign(time=-values["time"])
    plain = values.assign(time=values["time"] - 1e4)  # neither is positive, so neither is a logarithm
    rows = search_table(knobs, Board(plain), GOALS, 14)
    assert rows == search_table(
        knobs, Board(flipped.assign(time=flipped["time"] + 1e4)), {"time": "max", "logic": "min"}, 14
    )


def test_rows_are_positions_whatever_the_index() -> None:
    knobs, values = table(40)
    renamed = knobs.set_axis([f"design {number}" for number in range(40)])
    assert search_table(renamed, Board(values), GOALS, 12) == search_table(knobs, Board(values), GOALS, 12)


def test_an_exhausted_table_ends_the_search() -> None:
    knobs, values = table(9)
    assert sorted(search_table(knobs, Board(values), GOALS, 100)) == list(range(9))
    assert search_table(knobs[:1], Board(values), GOALS, 5) == [0]
    assert search_table(knobs[:0], Board(values), GOALS, 5) == []
    assert search_table(knobs, Board(values), GOALS, 0) == []


def test_estimates_are_seen_and_are_no_objective() -> None:
    knobs, values = table()
    blind = pd.DataFrame({"fixed": np.ones(len(knobs))})
    estimates = pd.DataFrame({"est_time": values["time"] * 1.2, "est_logic": values["logic"] - 900})
    order = search_table(blind, Board(values), GOALS, 25, known=estimates)
    found = trace(values.to_numpy(), ["min", "min"], order)
    assert found.adrs is not None
    assert found.adrs[-1] < 0.02


@settings(deadline=None, max_examples=6)
@given(seeds, st.sampled_from(["error", "nan", "infinite", "missing", "none"]))
def test_failures_are_not_proposed_again_and_teach_where(seed: int, how: str) -> None:
    knobs, values = table(60, seed)
    asked: list[int] = []

    def evaluate(row: int) -> Mapping[str, Any]:
        asked.append(row)
        result: dict[str, Any] = dict(values.iloc[row])
        if knobs["unroll"][row] < 16:
            return result
        if how == "error":
            raise NetworkError("does not fit the device")
        bad = {"nan": {"time": np.nan}, "infinite": {"time": np.inf}, "missing": {}, "none": {"time": None}}
        return {"logic": 1.0, **bad[how]}

    order = search_table(knobs, evaluate, GOALS, 30, seed=seed)
    assert order == asked
    assert len(set(order)) == 30
    later = knobs["unroll"].to_numpy()[order[10:]]
    assert (later >= 16).mean() < (knobs["unroll"] >= 16).mean()


def test_nothing_works() -> None:
    knobs, _ = table(20)
    assert len(set(search_table(knobs, lambda _: {}, GOALS, 15))) == 15


def test_an_error_that_is_not_the_users_comes_through() -> None:
    def evaluate(_: int) -> Mapping[str, float]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        search_table(table(9)[0], evaluate, GOALS, 3)


@settings(deadline=None, max_examples=10)
@given(
    seeds,
    st.sampled_from(["same rows", "constant knobs", "constant objective", "constant objectives", "zeros"]),
)
def test_degenerate_tables(seed: int, what: str) -> None:
    knobs, values = table(24, seed)
    if what == "same rows":
        knobs, values = knobs.iloc[np.zeros(24, dtype=int)], values.iloc[np.zeros(24, dtype=int)]
    elif what == "constant knobs":
        knobs = knobs[["fixed"]]
    elif what == "zeros":
        values = values * np.array([1.0, 0.0])
    else:
        values = values.assign(logic=7.0, **({"time": 3.0} if what == "constant objectives" else {}))
    with pytest.warns(SurrogateWarning) if what == "constant knobs" else nullcontext():
        order = search_table(knobs, Board(values), GOALS, 20, seed=seed)
    assert len(set(order)) == 20


def test_a_conditional_table_flags_what_is_not_there() -> None:
    knobs = pd.DataFrame({"k": [1.0, 2.0, np.nan, 4.0, np.nan], "name": ["a", None, "b", "c", None]})
    found = coordinates(knobs)
    assert np.isfinite(found).all()
    flags = knobs.isna().to_numpy(dtype=float)
    assert any((found == flags[:, [0]]).all(axis=0))
    assert found.shape == (5, 6)


def test_powers_of_two_are_even_steps() -> None:
    found = coordinates(pd.DataFrame({"a": [1, 2, 4, 8, 16], "b": [0, 1, 4, 8, 64], "c": [1, 2, 3, 4, 5]}))
    np.testing.assert_allclose(found, np.linspace(0, 1, 5)[:, None] * np.ones(3))


def test_says_when_the_knobs_tell_nothing() -> None:
    rng = np.random.default_rng(1)
    knobs = pd.DataFrame({"noise": rng.random(60)})
    values = pd.DataFrame({"time": rng.random(60), "logic": np.arange(60.0)})
    with pytest.warns(SurrogateWarning, match="time: left out"):
        search_table(knobs, Board(values), GOALS, 40, known=values[["logic"]])


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"objectives": {"time": "least"}}, ConfigError, "'time' is 'min' or 'max', got 'least'"),
        ({"objectives": {}}, ConfigError, "no objective"),
        ({"evaluations": -1}, ConfigError, "from 0, got -1"),
        ({"known": pd.DataFrame({"logic": [1.0]})}, DataError, "9 rows and known 1"),
        ({"known": pd.DataFrame({"logic": [np.nan] * 9})}, DataError, "'logic' is not finite in 9 rows"),
        ({"known": pd.DataFrame({"logic": ["x"] * 9})}, DataError, "'logic' must be numbers"),
        ({"knobs": pd.DataFrame(np.ones((9, 2)), columns=["a", "a"])}, DataError, "two columns named a"),
        ({"evaluate": lambda _: 3.0}, ConfigError, "returns a mapping"),
        ({"evaluate": lambda _: {"time": "fast", "logic": 1}}, ConfigError, "time of row .* as 'fast'"),
    ],
)
def test_refuses_what_makes_no_sense(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    knobs, values = table(9)
    arguments = {"knobs": knobs, "evaluate": Board(values), "objectives": GOALS, "evaluations": 3, **changes}
    with pytest.raises(error, match=message):
        search_table(**arguments)


def test_is_a_name_of_the_package() -> None:
    assert codesign.search_table is search_table


@settings(deadline=None, max_examples=20)
@given(seeds)
def test_a_trace_ends_perfect_when_all_is_evaluated(seed: int) -> None:
    values: NDArray[np.float64] = np.random.default_rng(seed).integers(1, 9, (20, 2)) / 3.0
    scores = trace(values, ["min", "max"], range(20))
    assert scores.adrs is not None
    assert scores.adrs[-1] == 0
    assert scores.hypervolume_ratio[-1] == pytest.approx(1)
    assert (np.diff(scores.adrs) <= 0).all()
    assert (np.diff(scores.hypervolume_ratio) >= -1e-12).all()
    front = np.flatnonzero(non_dominated(values * [1, -1]))
    assert trace(values, ["min", "max"], front).adrs[-1] == 0  # type: ignore[index]


def test_adrs_of_an_example() -> None:
    values = np.array([[1.0, 4.0], [2.0, 2.0], [4.0, 1.0], [2.0, 4.0]])
    scores = trace(values, ["min", "min"], [3, 1])
    assert scores.adrs is not None
    # From (2, 4): half short of (1, 4), half of (2, 2), three quarters of (4, 1); then (2, 2): 1/2, 0, 1/2.
    np.testing.assert_allclose(scores.adrs, [(0.5 + 0.5 + 0.75) / 3, (0.5 + 0.0 + 0.5) / 3])
    assert trace(values - 1, ["min", "min"], [0]).adrs is None


def test_an_evaluation_that_failed_finds_nothing() -> None:
    values = np.array([[1.0, 4.0], [2.0, 2.0], [0.5, np.nan], [4.0, 1.0], [4.0, 4.0]])
    found = trace(values, ("min", "min"), [2, 4, 0, 2, 1, 3])
    plain = trace(values[[0, 1, 3, 4]], ("min", "min"), [3, 0, 1, 2])
    assert plain.adrs is not None
    assert found.adrs is not None
    assert found.hypervolume_ratio[0] == 0
    assert found.adrs[0] == 1
    assert list(found.hypervolume_ratio[[1, 2, 4, 5]]) == list(plain.hypervolume_ratio)
    assert list(found.adrs[[1, 2, 4, 5]]) == list(plain.adrs)
