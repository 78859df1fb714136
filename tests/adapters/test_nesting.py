from contextlib import suppress
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.adapters import candidate_of
from codesign.adapters.nesting import Conditional, fewest_conditions, flat, nested, spacing
from codesign.errors import SpaceError
from codesign.space import Item, Repeat, SearchSpace, When, categorical, integer, ordinal, real
from search_spaces import econt
from tests.adapters.spaces import same, spaces

examples = settings(deadline=None, max_examples=60)
A, B, C = (integer(name, 0, 2) for name in "abc")


@given(spaces())
@examples
def test_flat_then_nested_has_the_same_candidates(space: SearchSpace) -> None:
    assert same(SearchSpace("nested", nested(flat(space))), space)


class NotSaidError(Exception):
    """No list sees all parents at once."""


def nested_or_not_said(parts: list[Conditional]) -> tuple[Item, ...]:
    try:
        return nested(parts)
    except SpaceError as error:
        if "in different parts of the space" not in str(error):
            raise
        raise NotSaidError from error


@given(spaces(), st.randoms(use_true_random=False))
@examples
def test_parameters_nest_in_any_order(space: SearchSpace, random: Random) -> None:
    parts = flat(space)
    random.shuffle(parts)
    with suppress(NotSaidError):
        assert same(SearchSpace("nested", nested_or_not_said(parts)), space)


def test_what_a_parent_depends_on_is_implied() -> None:
    parts = [Conditional(A), Conditional(B, (("a", (1, 2)),)), Conditional(C, (("b", (0,)), ("a", (2,))))]
    items = nested(parts)
    assert items == (A, When("a", (1, 2), (B, When("a", (2,), (When("b", (0,), (C,)),)))))
    assert SearchSpace("s", items).count() == 1 + 3 + (3 + 2)


def test_a_part_stands_behind_all_its_parents() -> None:
    x, y = integer("x", 0, 1), integer("y", 0, 1)
    parts = [Conditional(A), Conditional(x, (("a", (1,)),)), Conditional(B)]
    items = nested([*parts, Conditional(y, (("a", (1,)), ("b", (2,))))])
    assert items == (A, B, When("a", (1,), (x, When("b", (2,), (y,)))))
    assert SearchSpace("s", items).count() == 2 * 3 + 2 * 2 + 2 * 2


def test_the_deepest_part_that_is_implied_sees_most() -> None:
    parts = [
        Conditional(A),
        Conditional(B, (("a", (1,)),)),
        Conditional(integer("x", 0, 1), (("b", (0, 1)),)),
        Conditional(integer("y", 0, 1), (("b", (0,)),)),
        Conditional(C, (("x", (1,)), ("y", (1,)))),
    ]
    assert SearchSpace("s", nested(parts)).count() == 2 + (1 + 2 + (3 + 3))


def test_parents_in_two_parts_are_told() -> None:
    parts = [
        Conditional(A),
        Conditional(B),
        *(Conditional(integer(name, 0, 1), ((parent, (1,)),)) for name, parent in (("d", "a"), ("e", "b"))),
        Conditional(C, (("d", (1,)), ("e", (1,)))),
    ]
    with pytest.raises(SpaceError, match="'c' depends on d, e, which exist in different parts"):
        nested(parts)


def test_circles_unknown_parents_and_what_never_exists_are_told() -> None:
    with pytest.raises(SpaceError, match="in a circle: a, b; break it"):
        nested([Conditional(A, (("b", (1,)),)), Conditional(B, (("a", (1,)),))])
    with pytest.raises(SpaceError, match="'a' depends on 'z', which is no parameter"):
        nested([Conditional(A, (("z", (1,)),))])
    with pytest.raises(SpaceError, match="'b' can never exist: no value of 'a'"):
        nested([Conditional(A), Conditional(B, (("a", (1,)), ("a", (2,))))])


@given(spaces())
@examples
def test_conditions_found_from_rows_hold_for_those_rows_alone(space: SearchSpace) -> None:
    rows = [candidate.values for candidate in space.enumerate()]
    for name in space.names:
        there, elsewhere = ([row for row in rows if (name in row) is is_there] for is_there in (True, False))
        found = fewest_conditions(there, elsewhere, [other for other in space.names if other != name])
        if there and found is not None:
            keep = [all(n in row and row[n] in values for n, values in found) for row in rows]
            assert keep == [name in row for row in rows]


def test_fewest_conditions_are_few() -> None:
    there = [{"a": 1, "b": 1, "c": 0}, {"a": 1, "b": 2, "c": 1}]
    elsewhere = [{"a": 0, "b": 1, "c": 0}, {"a": 2, "c": 1}]
    assert fewest_conditions(there, elsewhere, "abc") == (("a", (1,)),)
    assert fewest_conditions(there, [*elsewhere, {"a": 1, "b": 3, "c": 0}], "abc") == (
        ("a", (1,)),
        ("b", (1, 2)),
    )
    assert fewest_conditions(there, [{"a": 1, "b": 2, "c": 0}], "abc") is None


@given(spaces())
@examples
def test_values_of_all_parameters_mean_the_candidate_of_those_that_exist(space: SearchSpace) -> None:
    rng = np.random.default_rng(0)
    for candidate in space.sample(5, rng):
        every = {column.name: column.parameter.default for column in space.columns}
        assert candidate_of(space, {**every, **candidate.values}) == candidate


def test_a_float_goes_to_the_next_value_of_its_grid_and_not_outside() -> None:
    space = SearchSpace(
        "s", (real("rate", 1.0, 100.0, levels=3, log=True), real("share", 0.0, 1.0, levels=3))
    )
    assert str(candidate_of(space, {"rate": 33.0, "share": 0.3})) == "rate=100.0, share=0.5"
    assert str(candidate_of(space, {"rate": 31.0, "share": 0.2})) == "rate=10.0, share=0.0"
    for wrong in ({"rate": 100.1}, {"share": "0.5"}, {"share": True}):
        with pytest.raises(SpaceError, match="takes"):
            candidate_of(space, wrong)
    with pytest.raises(SpaceError, match="no parameter other"):
        candidate_of(space, {"other": 1})


def test_spacing() -> None:
    assert [spacing(real("r", 0.001, 1.0, levels=9, log=log)) for log in (False, True)] == ["even", "log"]
    assert spacing(ordinal("o", (16, 32, 64))) == "log"
    assert spacing(ordinal("o", (1, 2, 5))) is None
    assert spacing(categorical("c", ("a", "b"))) is None
    assert spacing(categorical("c", (False, True))) is None
    assert spacing(integer("i", 3, 3)) is None


def test_the_layers_of_a_group_nest_without_it() -> None:
    layers = SearchSpace("layers", (Repeat("layers", (ordinal("units", (16, 32)),), 0, 2),))
    assert same(SearchSpace("nested", nested(flat(layers))), layers)
    assert SearchSpace("nested", nested(flat(econt.ARCHITECTURE))).count() == (1 + 108 + 108**2 + 108**3) * 40
