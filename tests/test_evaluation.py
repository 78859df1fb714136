import json
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.evaluation import Evaluation, Status
from codesign.metrics import Summary
from codesign.objectives import Objective
from codesign.space import Candidate

numbers = st.floats(allow_nan=False, allow_infinity=False)
counts = st.integers(0, 2**40)
names = st.text(min_size=1, max_size=8)
values = st.one_of(st.integers(-5, 5), st.booleans(), names, numbers)
candidates = st.builds(Candidate, st.dictionaries(names, values, max_size=4))
summaries = st.builds(Summary, numbers, numbers, numbers, st.integers(1, 10**6))
evaluations = st.builds(
    Evaluation,
    number=counts,
    candidate=candidates,
    origin=names,
    status=st.sampled_from(get_args(Status)),
    reason=st.text(max_size=8),
    metrics=st.dictionaries(names, summaries, max_size=3),
    costs=st.dictionaries(names, numbers, max_size=3),
    steps=counts,
    epochs=numbers,
    seed=counts,
    seconds=numbers,
    curve=st.lists(
        st.tuples(counts, numbers | st.just(float("inf")), numbers | st.just(float("-inf"))), max_size=3
    ).map(tuple),
)

EXAMPLE = Evaluation(
    7,
    Candidate({"bits": 4}),
    "random",
    "ok",
    metrics={"emd": Summary(1.5, 0.5, 0.1, 25), "both": Summary(2.0, 0.0, 0.0, 1)},
    costs={"area_um2": 3e5, "both": 9.0},
)


@given(evaluations)
def test_an_evaluation_survives_json(evaluation: Evaluation) -> None:
    again = Evaluation.from_dict(json.loads(json.dumps(evaluation.to_dict())))
    assert again == evaluation
    assert again.to_dict() == evaluation.to_dict()
    assert again.candidate.digest == evaluation.candidate.digest


@given(evaluations, evaluations)
def test_evaluations_are_equal_if_their_data_are(one: Evaluation, other: Evaluation) -> None:
    assert one == replace(one)
    assert (one == other) == (one.to_dict() == other.to_dict())


def test_the_curve_of_a_diverged_training_survives_json() -> None:
    diverged = replace(EXAMPLE, status="diverged", curve=((1, float("nan"), 2.0),))
    (row,) = Evaluation.from_dict(json.loads(json.dumps(diverged.to_dict()))).curve
    assert row[0] == 1
    assert row[1] != row[1]
    assert row[2] == 2.0


def test_a_value_is_the_mean_of_a_metric_else_a_cost() -> None:
    assert EXAMPLE.value("emd") == 1.5
    assert EXAMPLE.value("area_um2") == 3e5
    assert EXAMPLE.value("both") == 2.0
    with pytest.raises(KeyError, match="power"):
        EXAMPLE.value("power")


def test_minimised_turns_what_is_maximised() -> None:
    assert EXAMPLE.minimised((Objective("area_um2"), Objective("emd", "max"))) == (3e5, -1.5)


def test_only_ok_is_ok() -> None:
    assert [status for status in get_args(Status) if replace(EXAMPLE, status=status).ok] == ["ok"]


def test_an_evaluation_is_frozen_and_keeps_its_own_copy() -> None:
    costs = {"area_um2": 1.0}
    evaluation = replace(EXAMPLE, costs=costs)
    costs["area_um2"] = 2.0
    assert evaluation.costs["area_um2"] == 1.0
    changed: Any = evaluation.metrics
    with pytest.raises(TypeError):
        changed["emd"] = 0


def test_an_unknown_status_is_refused() -> None:
    unknown: Any = "fine"
    with pytest.raises(
        ValueError, match="status is one of ok, infeasible, diverged, failed, lost, got 'fine'"
    ):
        replace(EXAMPLE, status=unknown)
