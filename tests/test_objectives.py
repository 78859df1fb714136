import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.errors import ConfigError
from codesign.objectives import Objective

names = st.from_regex(r"[A-Za-z_]\w{0,12}", fullmatch=True)
numbers = st.floats(allow_nan=False, allow_infinity=False)
scales = st.sampled_from(("auto", "linear", "log"))
objectives = st.builds(Objective, names, st.sampled_from(("min", "max")), st.none() | numbers, scales)


@given(objectives)
def test_parse_reads_what_spelling_writes(objective: Objective) -> None:
    assert Objective.parse(objective.spelling) == objective
    assert Objective.parse(f"  {objective.spelling} ") == objective


@given(objectives)
def test_an_objective_survives_json(objective: Objective) -> None:
    assert Objective(**json.loads(json.dumps(objective.to_dict()))) == objective


@given(objectives, numbers)
def test_a_value_is_admitted_up_to_the_budget_and_not_beyond(objective: Objective, value: float) -> None:
    if objective.budget is None:
        assert objective.admits(value)
    else:
        assert objective.admits(objective.budget)
        assert objective.admits(value) == (
            value <= objective.budget if objective.sense == "min" else value >= objective.budget
        )


@given(objectives, numbers, numbers)
def test_less_of_the_signed_value_is_better(objective: Objective, one: float, other: float) -> None:
    better = one < other if objective.sense == "min" else one > other
    assert (objective.sign * one < objective.sign * other) == better


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("emd", Objective("emd")),
        ("min emd", Objective("emd")),
        ("max accuracy", Objective("accuracy", "max")),
        ("max accuracy>=0.9", Objective("accuracy", "max", 0.9)),
        (" area_um2 <= 2e6 ", Objective("area_um2", "min", 2e6)),
        ("d_mean<=-.5", Objective("d_mean", "min", -0.5)),
        ("linear emd<=3", Objective("emd", "min", 3.0, "linear")),
        ("log max gain", Objective("gain", "max", None, "log")),
        ("log", Objective("log")),
        ("max", Objective("max")),
        ("min min<=+1E1", Objective("min", "min", 10.0)),
        ("minimum", Objective("minimum")),
    ],
)
def test_forms_that_are_read(text: str, expected: Objective) -> None:
    assert Objective.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "objective '' is not of the form 'name', 'max name' or 'name<=number'"),
        ("2emd", "objective '2emd' is not of the form"),
        ("emd<5", "objective 'emd<5' is not of the form"),
        ("emd<=", "objective 'emd<=' is not of the form"),
        ("emd<=nan", "objective 'emd<=nan' is not of the form"),
        ("most emd", "objective 'most emd' is not of the form"),
        ("emd area", "objective 'emd area' is not of the form"),
        ("emd>=5", "objective 'emd>=5': a value to minimise takes a bound with <="),
        ("max ssd<=5", "objective 'max ssd<=5': a value to maximise takes a bound with >="),
        ("emd<=1e", "objective 'emd<=1e': '1e' is not a number"),
        ("emd<=1.2.3", "objective 'emd<=1.2.3': '1.2.3' is not a number"),
        ("emd<=1e999", "objective 'emd': a budget is a finite number, got inf"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Objective.parse(text)
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("emd", "least"), "objective 'emd': sense is 'min' or 'max', got 'least'"),
        (("emd", "min", float("nan")), "objective 'emd': a budget is a finite number, got nan"),
        (("emd", "max", float("-inf")), "objective 'emd': a budget is a finite number, got -inf"),
    ],
)
def test_an_objective_is_checked_at_birth(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Objective(*arguments)
    assert str(raised.value) == message


@pytest.mark.parametrize("budget", [5, np.float64(5), np.int64(5)])
def test_a_budget_of_any_kind_of_number_can_be_spelt_and_stored(budget: Any) -> None:
    objective = Objective("emd", budget=budget)
    assert objective.spelling == "emd<=5.0"
    assert json.dumps(objective.to_dict()["budget"]) == "5.0"
