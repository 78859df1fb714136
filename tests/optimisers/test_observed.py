"""What a history says: every part and repeat counts once, and a design is worth its longest trainings."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from codesign.evaluation import Evaluation
from codesign.metrics import Summary
from codesign.objectives import Objective
from codesign.optimisers import Problem
from codesign.optimisers.observed import Observations, observed
from codesign.space import SearchSpace, integer

SPACE = SearchSpace("flat", (integer("a", 0, 5),))
STEPS = (10, 30, 90)
told = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.sampled_from(STEPS),
        st.floats(-1e3, 1e3),
        st.sampled_from(("ok", "ok", "failed", "nan")),
    ),
    max_size=30,
)


def price(codes: NDArray[np.int16]) -> dict[str, NDArray[np.float64]]:
    return {"cost": 1.0 + codes[:, 0].astype(np.float64)}


def problem(steps: int = STEPS[-1]) -> Problem:
    goals = (Objective("error"), Objective("cost"))
    return Problem(SPACE, goals, price, frozenset({"cost"}), steps=steps)


def history_of(rows: list[tuple[int, int, float, str]]) -> list[Evaluation]:
    found = []
    for number, (a, steps, error, what) in enumerate(rows):
        candidate = SPACE.candidate({"a": a})
        metrics = {"error": Summary(float("nan") if what == "nan" else error, 0.0, 0.0, 1)}
        each = Evaluation(number, candidate, "test", "ok", metrics=metrics, steps=steps)
        found.append(replace(each, status="failed", metrics={}) if what == "failed" else each)
    return found


@given(told)
def test_every_evaluation_that_ended_well_is_a_row(rows: list[tuple[int, int, float, str]]) -> None:
    well = [row for row in rows if row[3] == "ok"]
    found = Observations.of(problem(), history_of(rows))
    np.testing.assert_array_equal(found.values[:, 0], [row[2] for row in well])
    np.testing.assert_allclose(found.fidelity, [np.log(row[1] / 90) for row in well])
    assert found.count == len({row[0] for row in well})
    assert [int(found.codes[index, 0]) for index in range(len(well))] == [row[0] for row in well]


@given(told)
def test_codes_that_are_given_are_not_encoded_again(rows: list[tuple[int, int, float, str]]) -> None:
    history = history_of(rows)
    codes = SPACE.encode([each.candidate for each in history])
    found = Observations.of(problem(), history, codes)
    assert found.begins(Observations.of(problem(), history))
    assert len(found.codes) == sum(row[3] == "ok" for row in rows)
    shifted = Observations.of(problem(), history, codes + np.int16(1))
    np.testing.assert_array_equal(shifted.codes, found.codes + 1)


@given(told, st.sampled_from((0, 90)))
def test_a_design_is_worth_the_mean_of_its_longest_trainings(
    rows: list[tuple[int, int, float, str]], steps: int
) -> None:
    """Where nothing is trained in parts, each evaluation is a whole training."""
    codes, values = observed(problem(steps), history_of(rows))
    by_design: dict[int, list[tuple[int, float]]] = {}
    for a, trained, error, what in rows:
        if what == "ok":
            by_design.setdefault(a, []).append((trained if steps else 0, error))
    assert [int(row[0]) for row in codes] == list(by_design)
    for row, parts in zip(values, by_design.values(), strict=True):
        longest = max(trained for trained, _ in parts)
        expected = np.mean([error for trained, error in parts if trained == longest])
        np.testing.assert_allclose(row[0], expected, rtol=1e-9, atol=1e-9)


@given(told)
def test_of_trainings_in_parts_it_is_the_last_that_went_well(rows: list[tuple[int, int, float, str]]) -> None:
    seen: dict[int, int] = {}
    parts = []
    for a, _, error, what in rows:
        rung = seen.get(a, 0)
        if rung < len(STEPS):
            parts.append((a, STEPS[rung], error, what))
            seen[a] = rung + 1
    history = history_of(parts)
    _, values = observed(problem(), history)
    last = {each.candidate: each.value("error") for each in history if _well(each)}
    np.testing.assert_array_equal(sorted(values[:, 0]), sorted(last.values()))


@given(told, st.integers(0, 29), st.sampled_from((0, 1, 2)))
def test_a_history_begins_with_its_first_rows_and_with_no_other(
    rows: list[tuple[int, int, float, str]], size: int, changed: int
) -> None:
    whole = [(a, steps, error, "ok") for a, steps, error, _ in rows]
    found = Observations.of(problem(), history_of(whole))
    assert found.first(size).begins(found)
    if size < len(whole):
        row = [(whole[size][0] + 1) % 6, whole[size][1], whole[size][2]]
        if changed:
            row = [
                whole[size][0],
                *((whole[size][1] % 90 + 10, whole[size][2]), (whole[size][1], 2e3))[changed - 1],
            ]
        other = history_of([*whole[:size], (*row, "ok"), *whole[size + 1 :]])  # type: ignore[arg-type]
        assert not found.first(size + 1).begins(Observations.of(problem(), other))
        assert not found.begins(found.first(size))


def _well(evaluation: Evaluation) -> bool:
    return evaluation.ok and bool(np.isfinite(evaluation.value("error")))
