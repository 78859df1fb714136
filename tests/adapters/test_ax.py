import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from codesign.adapters import candidate_of, from_ax, to_ax
from codesign.adapters.ax import LinearConstraint
from codesign.errors import SpaceError
from codesign.space import (
    Candidate,
    Constraint,
    Repeat,
    SearchSpace,
    When,
    categorical,
    integer,
    ordinal,
    real,
)
from search_spaces import econt
from tests.adapters.spaces import same, spaces

examples = settings(deadline=None, max_examples=50)


def snippet(layers: int) -> list[dict[str, Any]]:
    """The list of the study's slides: a set of parameters for every layer there may be, none conditional."""
    parameters: list[dict[str, Any]] = []
    for i in range(layers):
        parameters += [
            {
                "name": f"filters_{i}",
                "type": "choice",
                "values": [0, 2, 4, 8, 16, 32, 64],
                "value_type": "int",
            },
            {"name": f"kernel_{i}", "type": "choice", "values": [1, 3, 5], "is_ordered": True},
            {"name": f"pool_{i}", "type": "choice", "values": [True, False], "value_type": "bool"},
            {"name": f"stride_{i}", "type": "choice", "values": [1, 2, 4], "is_ordered": True},
            {"name": f"units_{i}", "type": "choice", "values": [0, 16, 32, 64], "is_ordered": True},
        ]
    return parameters


LAYERS = (("filters_{i}", "kernel_{i}", "pool_{i}", "stride_{i}"), ("units_{i}",))


def test_the_list_of_the_slides_is_a_grid_and_with_its_layers_named_the_space_of_networks() -> None:
    assert from_ax(snippet(3)).count() == (7 * 3 * 2 * 3 * 4) ** 3
    space = from_ax(snippet(3), layers=LAYERS)
    free = SearchSpace("free", tuple(replace_limits(item) for item in econt.ARCHITECTURE.items))
    assert space.count() == free.count() == (1 + 108 + 108**2 + 108**3) * 40
    none = candidate_of(space, {"filters_0": 0, "filters_1": 8, "units_0": 16, "units_1": 0, "units_2": 64})
    assert str(none) == "filters_0=0, units_0=16, units_1=0"


def replace_limits(item: Any) -> Any:
    return Repeat(item.name, item.parameters, item.minimum, item.maximum)


def test_each_type_of_parameter() -> None:
    space = from_ax(
        [
            {"name": "i", "type": "range", "bounds": [1, 4]},
            {"name": "f", "type": "range", "bounds": [1, 100], "value_type": "float", "log_scale": True},
            {"name": "d", "type": "range", "bounds": [0.0, 1.0], "digits": 1},
            {"name": "o", "type": "choice", "values": [8, 2, 4]},
            {"name": "u", "type": "choice", "values": [8, 2, 4], "is_ordered": False},
            {"name": "s", "type": "choice", "values": ["b", "a"], "is_ordered": True},
            {"name": "c", "type": "choice", "values": [1, 2], "value_type": "float"},
            {"name": "x", "type": "fixed", "value": "adam"},
        ],
        levels=5,
    )
    assert space.items == (
        integer("i", 1, 4),
        real("f", 1.0, 100.0, levels=5, log=True),
        ordinal("d", (0.0, 0.2, 0.5, 0.8, 1.0)),
        ordinal("o", (2, 4, 8)),
        categorical("u", (8, 2, 4)),
        categorical("s", ("b", "a")),
        ordinal("c", (1.0, 2.0)),
        categorical("x", ("adam",)),
    )


POOLING = {"name": "pooling", "type": "choice", "values": ["none", "max", "mean"]}
SIZE = {"name": "size", "type": "choice", "values": [2, 3]}


def test_dependents_exist_where_they_are_said_to() -> None:
    both = {**POOLING, "dependents": {"max": ["size"], "mean": ["size"]}}
    assert from_ax([both, SIZE]).count() == from_ax([SIZE, both]).count() == 1 + 2 * 2
    flag = {"name": "flag", "type": "choice", "values": [False, True], "dependents": {True: ["size"]}}
    assert from_ax([flag, SIZE]).count() == from_ax(json.loads(json.dumps([flag, SIZE]))).count() == 1 + 2
    deep = [{**POOLING, "dependents": {"max": ["flag"]}}, flag, SIZE]
    assert from_ax(deep).count() == 2 + 1 + 2


@given(spaces(rich=False))
@examples
def test_what_ax_can_say_comes_back(space: SearchSpace) -> None:
    try:
        parameters, constraints = to_ax(space)
    except SpaceError as error:
        assert "Ax cannot say" in str(error)  # noqa: PT017
    else:
        assert constraints == []
        assert same(from_ax(parameters), space)


@given(spaces())
@examples
def test_what_ax_cannot_say_is_left_out_and_read_back(space: SearchSpace) -> None:
    parameters, _ = to_ax(space, relaxed=True)
    wide = from_ax(parameters)
    rng = np.random.default_rng(0)
    assert {column.name for column in wide.columns} == {name for c in space.enumerate() for name in c.values}
    for candidate in wide.sample(20, rng):
        assert space.valid(space.encode([candidate_of(space, candidate.values)]))[0]
    for candidate in space.sample(20, rng):
        assert candidate_of(space, candidate_of(wide, candidate.values).values) == candidate


def test_single_values_under_single_parents_need_not_be_left_out() -> None:
    inner = When(
        "kind", ("conv",), (ordinal("kernel", (1, 3)), When("kernel", (3,), (integer("pad", 0, 1),)))
    )
    space = SearchSpace("s", (categorical("kind", ("conv", "dense")), inner))
    parameters, _ = to_ax(space)
    assert [each.get("dependents") for each in parameters] == [{"conv": ["kernel"]}, {3: ["pad"]}, None]
    assert same(from_ax(parameters), space)


def test_constraints_of_ax_hold_and_go_back_as_they_came() -> None:
    parameters = [{"name": name, "type": "range", "bounds": [0, 5]} for name in ("x1", "x2", "x3")]
    texts = ["x1 + x2 <= 4.0", "x1 <= x3", "-0.5*x1 + 2*x2 - x3 >= -1", "x2 + x3 == 4"]
    space = from_ax(parameters, texts)
    expected = {
        (a, b, c)
        for a, b, c in np.ndindex(6, 6, 6)
        if a + b <= 4 and a <= c and -0.5 * a + 2 * b - c >= -1 and b + c == 4
    }
    assert {tuple(candidate.values.values()) for candidate in space.enumerate()} == expected
    again, constraints = to_ax(space)
    assert constraints == texts
    assert same(from_ax(again, constraints), space)
    assert space.constraints[0].reason == texts[0]


def test_a_constraint_on_what_does_not_exist_holds() -> None:
    holds = LinearConstraint.parsed("a + b <= 1")
    assert holds(Candidate({"a": 5}))
    assert not holds(Candidate({"a": 5, "b": 0}))
    assert LinearConstraint.parsed("0.1*a + 0.2*b <= 0.3")(Candidate({"a": 1, "b": 1}))


@pytest.mark.parametrize(
    "text",
    ["a", "a < b", "a <= b <= 1", "a <=", "<= 1", "a b <= 1", "2*a* <= 1", "a * 2 <= 1", "a + <= 1", ""],
)
def test_constraints_that_cannot_be_read_are_told(text: str) -> None:
    with pytest.raises(SpaceError, match="cannot read the constraint"):
        LinearConstraint.parsed(text)


RANGE = {"name": "x", "type": "range", "bounds": [0, 1]}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ([], "the list of Ax parameters is empty"),
        ([{"name": "x"}], "has a name and the type range, choice or fixed"),
        ([{"name": "x", "type": "derived", "expression_str": "y"}], "leave a derived one out and compute it"),
        ([{**RANGE, "values": [1]}], "'x' is a range with values; it has bounds, digits, log_scale"),
        ([{**RANGE, "bounds": [1]}], r"'x' is a range with the bounds \[1\]; give two numbers"),
        ([{**RANGE, "bounds": [0, 10**6]}], "more than 32767 whole numbers"),
        ([{**RANGE, "is_fidelity": True}], "'x' is a fidelity or a task, no part of a design; leave it out"),
        ([{"name": "x", "type": "choice", "values": [None, 1]}], "'x' has the value None"),
        ([{"name": "x", "type": "choice"}], "'x' has no values"),
        ([{**SIZE, "dependents": {4: ["x"]}}, RANGE], "'size' has dependents for 4, but takes 2, 3"),
        ([{**SIZE, "dependents": {2: ["y"]}}], "'size' has the dependent 'y', which is no parameter"),
        (
            [{**SIZE, "dependents": {2: ["x"]}}, {**POOLING, "dependents": {"max": ["x"]}}, RANGE],
            "'x' depends on 'size' or on 'pooling'",
        ),
    ],
)
def test_what_is_no_ax_parameter_is_told(parameters: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        from_ax(parameters)


def test_constraints_and_layers_name_parameters_of_numbers() -> None:
    with pytest.raises(SpaceError, match="names 'y', which is no parameter"):
        from_ax([RANGE], ["x + y <= 1"])
    with pytest.raises(SpaceError, match="adds 'pooling', whose values are no numbers"):
        from_ax([POOLING], ["pooling <= 1"])
    with pytest.raises(SpaceError, match="no parameter is named"):
        from_ax([RANGE], layers=[("filters_{i}",)])
    with pytest.raises(SpaceError, match="layer 0 has no parameter 'width_0'"):
        from_ax(snippet(1), layers=[("filters_{i}", "width_{i}")])
    with pytest.raises(SpaceError, match=r"a layer is a list of names with \{i\}"):
        from_ax(snippet(1), layers=[("filters",)])


def test_what_ax_cannot_say_is_told() -> None:
    with pytest.raises(
        SpaceError, match=r"filters_1 exists where convolutions is 1, 2, 3.*; and 15 more; relaxed=True"
    ):
        to_ax(econt.SPACE)
    odd = SearchSpace("odd", (integer("a", 0, 3),), (Constraint("a is odd", lambda c: c["a"] in (1, 3)),))
    with pytest.raises(
        SpaceError, match="Ax cannot say of space 'odd': a is odd; relaxed=True leaves it out"
    ):
        to_ax(odd)
    assert to_ax(odd, relaxed=True)[1] == []
    only = SearchSpace("only", (integer("a", 0, 3),), only=(Candidate({"a": 1}),))
    with pytest.raises(SpaceError, match="the space lists its designs"):
        to_ax(only)
    mixed = SearchSpace("mixed", (categorical("a", ("x", 1)),))
    with pytest.raises(SpaceError, match="'a' takes values of different types, x, 1"):
        to_ax(mixed)
