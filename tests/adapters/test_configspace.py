import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from codesign.adapters import from_configspace, to_configspace
from codesign.errors import SpaceError
from codesign.space import (
    Candidate,
    Constraint,
    Limit,
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

GOLDEN = Path(__file__).parent / "configspace.json"
examples = settings(deadline=None, max_examples=50)


def through_json(space: SearchSpace) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(json.dumps(to_configspace(space)))
    return data


@given(spaces())
@examples
def test_a_space_comes_back_from_json(space: SearchSpace) -> None:
    again = from_configspace(through_json(space))
    assert same(again, space)
    assert again.name == space.name


LIMITED = SearchSpace(
    "limited",
    (
        categorical("kind", ("conv", "dense")),
        When(
            "kind",
            ("conv",),
            (
                Repeat(
                    "layers",
                    (
                        ordinal("stride", (1, 4)),
                        categorical("pool", (False, True)),
                        When("pool", (True,), (ordinal("size", (2, 4)),)),
                        ordinal("filters", (2, 4)),
                    ),
                    1,
                    2,
                    (
                        Limit("too small", lambda x: int(x["stride"]) // 2 + int(x.get("size", 0)), 5),
                        Limit("one pool", lambda x: int(x["pool"]), 1),
                    ),
                ),
            ),
        ),
        integer("bits", 2, 8, step=6),
        integer("deep", 1, 2),
    ),
    (Constraint("few bits where it is deep", lambda c: c["deep"] + c["bits"] < 10, ("deep", "bits")),),
)


def test_limits_and_constraints_are_forbidden_combinations() -> None:
    again = from_configspace(through_json(LIMITED))
    assert same(again, LIMITED)
    assert again.constraints
    clauses = to_configspace(econt.ARCHITECTURE)["forbiddens"]
    assert len(clauses) == (36 - 23) + (216 - 60)  # sequences of reductions beyond 8
    assert {name["name"] for clause in clauses for name in clause["clauses"]} == {
        "convolutions",
        *(f"{name}_{i}" for name in ("pooling", "stride") for i in (1, 2, 3)),
    }


def test_a_constraint_that_reads_a_parameter_that_may_not_exist() -> None:
    space = SearchSpace(
        "s",
        (integer("a", 0, 2), When("a", (1, 2), (integer("b", 0, 2),))),
        (Constraint("b or nothing", lambda c: c.get("b", 0) > 0, ("b",)),),
    )
    assert same(from_configspace(through_json(space)), space)
    assert {"type": "EQUALS", "name": "a", "value": 0} in to_configspace(space)["forbiddens"]


def test_what_configspace_cannot_say_is_told() -> None:
    unnamed = replace(econt.ARCHITECTURE, constraints=(Constraint("anything", lambda c: True),))
    with pytest.raises(SpaceError, match="cannot say of space 'econt-architecture': anything; name what"):
        to_configspace(unnamed)
    assert to_configspace(unnamed, relaxed=True)["hyperparameters"]
    only = SearchSpace("only", (integer("a", 0, 3),), only=(Candidate({"a": 1}),))
    with pytest.raises(SpaceError, match="the space lists its designs"):
        to_configspace(only)


# Written by ConfigSpace 1.2.2: a space with every kind of hyperparameter, condition and clause it has.
def test_a_file_of_configspace_is_read() -> None:
    space = from_configspace(json.loads(GOLDEN.read_text(encoding="utf-8")), levels=3)
    assert space.name == "golden"
    by_name = {column.name: column.parameter for column in space.columns}
    assert by_name["rate"].values == (0.001, 0.0316228, 1.0)
    assert by_name["rate"].default == 0.0316228
    assert by_name["level"].values == ("low", "mid", "high")
    assert by_name["width"] == ordinal("width", (8, 16, 32), default=32)
    assert by_name["noise"].values == (0, 1, 2, 3, 4)
    for candidate in space.sample(300, np.random.default_rng(0)):
        exists, there = (lambda name, c=candidate: name in c), candidate.get
        assert exists("kernel") == (there("kind", "") == "conv")
        assert exists("momentum") == (there("optimiser", "") != "adam")
        assert exists("boost") == (there("level", "") in ("mid", "high"))
        assert exists("cut") == (there("depth", 9) < 3)
        assert exists("tail") == (there("kind", "") == "conv" and there("depth", 0) > 1)
        assert exists("either") == (there("depth", 0) in (1, 4))
        assert not (there("kind", "") == "dense" and there("width", 0) in (8, 16))
        assert not (there("depth", 0) > there("noise", 0))
        assert there("level", "") != "high"


def test_a_file_of_configspace_is_what_it_writes(tmp_path: Path) -> None:
    module = pytest.importorskip("ConfigSpace", reason="the extra peers is not installed")
    written = golden(module).to_serialized_dict()
    assert {**json.loads(GOLDEN.read_text(encoding="utf-8")), "python_module_version": None} == {
        **json.loads(json.dumps(written)),
        "python_module_version": None,
    }


def golden(module: Any) -> Any:
    """The space of the golden file."""
    space = module.ConfigurationSpace(name="golden")
    kind = module.CategoricalHyperparameter("kind", ["conv", "dense"], weights=[1, 2])
    optimiser = module.CategoricalHyperparameter("optimiser", ["adam", "sgd", "rms"])
    level = module.OrdinalHyperparameter("level", ["low", "mid", "high"])
    width = module.OrdinalHyperparameter("width", [8, 16, 32], default_value=32)
    depth = module.UniformIntegerHyperparameter("depth", 1, 4, default_value=1)
    rate = module.UniformFloatHyperparameter("rate", 0.001, 1.0, log=True, default_value=0.05)
    noise = module.NormalIntegerHyperparameter("noise", mu=2, sigma=1, lower=0, upper=4)
    seed = module.Constant("seed", 7)
    names = ("kernel", "momentum", "boost", "cut", "tail", "either")
    others = [module.UniformIntegerHyperparameter(name, 0, 1) for name in names]
    space.add([kind, optimiser, level, width, depth, rate, noise, seed, *others])
    kernel, momentum, boost, cut, tail, either = others
    space.add(
        [
            module.EqualsCondition(kernel, kind, "conv"),
            module.NotEqualsCondition(momentum, optimiser, "adam"),
            module.GreaterThanCondition(boost, level, "low"),
            module.LessThanCondition(cut, depth, 3),
            module.AndConjunction(
                module.InCondition(tail, kind, ["conv"]), module.GreaterThanCondition(tail, depth, 1)
            ),
            module.OrConjunction(
                module.EqualsCondition(either, depth, 1), module.EqualsCondition(either, depth, 4)
            ),
        ]
    )
    space.add(
        [
            module.ForbiddenAndConjunction(
                module.ForbiddenEqualsClause(kind, "dense"), module.ForbiddenInClause(width, [8, 16])
            ),
            module.ForbiddenGreaterThanRelation(depth, noise),
            module.ForbiddenGreaterThanClause(level, "mid"),
        ]
    )
    return space


@pytest.mark.parametrize("space", [LIMITED, econt.ARCHITECTURE], ids=lambda space: space.name)
def test_configspace_reads_what_is_written_and_has_the_same_configurations(space: SearchSpace) -> None:
    module = pytest.importorskip("ConfigSpace", reason="the extra peers is not installed")
    theirs = module.ConfigurationSpace.from_serialized_dict(through_json(space))
    theirs.seed(0)
    for candidate in space.sample(100, np.random.default_rng(0)):
        module.Configuration(theirs, values=dict(candidate.values))
    seen = {space.candidate(dict(drawn)) for drawn in theirs.sample_configuration(150)}
    assert len(seen) > 20
    assert module.Configuration(theirs, values=dict(theirs.get_default_configuration()))


@given(spaces(most=60))
@settings(deadline=None, max_examples=12)
def test_configspace_has_the_same_configurations_of_any_space(space: SearchSpace) -> None:
    module = pytest.importorskip("ConfigSpace", reason="the extra peers is not installed")
    theirs = module.ConfigurationSpace.from_serialized_dict(through_json(space))
    for candidate in space.enumerate():
        module.Configuration(theirs, values=dict(candidate.values))
    drawn = theirs.sample_configuration(50)
    assert {space.candidate(dict(each)) for each in drawn} <= set(space.enumerate())


HEIGHT = {"type": "uniform_int", "name": "a", "lower": 0, "upper": 2}
CHILD = {"type": "categorical", "name": "b", "choices": ["x", "y"]}
EQUAL = {"type": "EQ", "child": "b", "parent": "a", "value": 1}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "a ConfigSpace is a mapping with a list 'hyperparameters'.*got dict"),
        ("{}", "got str"),
        (
            {"hyperparameters": [{"type": "uniform_int", "name": "a"}]},
            "cannot read the hyperparameter .*lower",
        ),
        ({"hyperparameters": [{**HEIGHT, "type": "poisson"}]}, "'a' is of the unknown type 'poisson'"),
        ({"hyperparameters": [{**HEIGHT, "upper": 10**6}]}, "'a' takes more than 32767 whole numbers"),
        ({"hyperparameters": [HEIGHT], "conditions": [EQUAL]}, "is on 'b', which is no hyperparameter"),
        ({"hyperparameters": [CHILD], "conditions": [EQUAL]}, "depends on 'a', which is no hyperparameter"),
        (
            {"hyperparameters": [HEIGHT, CHILD], "conditions": [{**EQUAL, "type": "LIKE"}]},
            "cannot read the conditions",
        ),
        ({"hyperparameters": [HEIGHT, CHILD], "conditions": [{**EQUAL, "value": 7}]}, "'b' can never exist"),
        (
            {"hyperparameters": [HEIGHT, CHILD], "forbiddens": [{"type": "EQUALS", "name": "a"}]},
            "cannot read the forbidden clause",
        ),
        (
            {"hyperparameters": [HEIGHT], "forbiddens": [{"type": "LIKE", "name": "a"}]},
            "cannot read the forbidden",
        ),
    ],
)
def test_what_is_no_configspace_is_told(data: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        from_configspace(data)


def test_alternatives_of_two_parents_are_told_and_of_one_are_its_values() -> None:
    parents = [HEIGHT, {**HEIGHT, "name": "c"}, CHILD]
    ors = {"type": "OR", "child": "b", "conditions": [EQUAL, {**EQUAL, "parent": "c"}]}
    with pytest.raises(SpaceError, match="'b' exists for one or the other of a, c"):
        from_configspace({"hyperparameters": parents, "conditions": [ors]})
    ands = [
        {"type": "AND", "child": "b", "conditions": [EQUAL, {**EQUAL, "parent": "c", "value": v}]}
        for v in (0, 1)
    ]
    data = {"hyperparameters": parents, "conditions": [{"type": "OR", "child": "b", "conditions": ands}]}
    assert from_configspace(data).count() == 9 + 2


def test_alternatives_of_a_parent_that_may_not_exist() -> None:
    third = {**CHILD, "name": "c"}
    either = [{"type": "EQ", "child": "c", "parent": "b", "value": value} for value in ("x", "y")]
    conditions = [EQUAL, {"type": "OR", "child": "c", "conditions": either}]
    assert (
        from_configspace({"hyperparameters": [HEIGHT, CHILD, third], "conditions": conditions}).count()
        == 2 + 4
    )


def test_numbers_in_a_sequence_that_falls_keep_their_order_for_conditions() -> None:
    data = {
        "hyperparameters": [{"type": "ordinal", "name": "a", "sequence": [3, 2, 1]}, CHILD],
        "conditions": [{"type": "GT", "child": "b", "parent": "a", "value": 2}],
        "forbiddens": [{"type": "CLAUSE_LT", "name": "a", "value": 2}],
    }
    assert {str(c) for c in from_configspace(data).enumerate()} == {"a=2", "a=1, b=x", "a=1, b=y"}


def test_floats_are_grids_and_are_written_as_they_are() -> None:
    space = SearchSpace("s", (real("rate", 0.001, 1.0, levels=4, log=True),))
    (written,) = to_configspace(space)["hyperparameters"]
    assert (written["type"], written["sequence"]) == ("ordinal", [0.001, 0.01, 0.1, 1.0])
