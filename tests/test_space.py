import hashlib
import math
import pickle
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from codesign.errors import SpaceError
from codesign.space import (
    INACTIVE,
    Candidate,
    Constraint,
    Item,
    Limit,
    Parameter,
    Repeat,
    SearchSpace,
    Value,
    When,
    categorical,
    integer,
    ordinal,
    real,
)
from search_spaces import econt


def _weight(layer: Mapping[str, Value]) -> int:
    return int(layer["units"])


HEAVY = Limit("more than four units in all", _weight, 4)
FREE = Repeat("layers", (ordinal("units", (1, 2, 3)), categorical("kind", ("a", "b"))), 0, 3, absent=0)
LIMITED = replace(FREE, limits=(HEAVY,))
SMALL = SearchSpace("small", (integer("bits", 2, 3), LIMITED, real("rate", 0.1, 1.0, levels=2)))
TWO_GROUPS = SearchSpace(
    "two-groups",
    (
        Repeat("inner", (categorical("kind_{i}_inner", (False, True)),), 1, 2),
        Repeat("outer", (integer("size", 1, 2),), 0, 2),
    ),
)
UNLIMITED = SearchSpace("unlimited", (FREE,))
SPACES = (SMALL, TWO_GROUPS, UNLIMITED)

seeds = st.integers(0, 2**32 - 1)
spaces = st.sampled_from((*SPACES, econt.SPACE, econt.ARCHITECTURE))
examples = settings(deadline=None, max_examples=40)


def one_error(values: Mapping[str, object], space: SearchSpace = SMALL) -> str:
    with pytest.raises(SpaceError) as raised:
        space.candidate(values)
    return str(raised.value)


@given(spaces, seeds, st.booleans())
@examples
def test_decode_then_encode_is_the_identity(space: SearchSpace, seed: int, balanced: bool) -> None:
    codes = space.sample_codes(20, np.random.default_rng(seed), balanced=balanced)
    np.testing.assert_array_equal(space.encode(space.decode(codes)), codes)


@given(spaces, seeds)
@examples
def test_a_candidate_is_its_own_canonical_spelling(space: SearchSpace, seed: int) -> None:
    for candidate in space.sample(5, np.random.default_rng(seed)):
        assert space.candidate(candidate.values) == candidate
        assert space.candidate(dict(candidate.values)).digest == candidate.digest


@given(spaces, seeds, st.booleans())
@examples
def test_every_sampled_row_is_valid(space: SearchSpace, seed: int, balanced: bool) -> None:
    assert space.valid(space.sample_codes(50, np.random.default_rng(seed), balanced=balanced)).all()


@given(spaces, seeds)
@examples
def test_the_same_seed_draws_the_same(space: SearchSpace, seed: int) -> None:
    first, second = (space.sample_codes(9, np.random.default_rng(seed)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_count_is_the_number_enumerated(space: SearchSpace) -> None:
    listed = list(space.enumerate())
    assert len(set(listed)) == len(listed) == space.count()


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_enumeration_is_exactly_the_valid_rows(space: SearchSpace) -> None:
    levels = [range(-1, len(column.parameter.values)) for column in space.columns]
    grid = np.stack(np.meshgrid(*levels, indexing="ij"), axis=-1).reshape(-1, len(levels)).astype(np.int16)
    valid = {tuple(row) for row in grid[space.valid(grid)].tolist()}
    assert valid == {tuple(row) for row in space.enumerate_codes().tolist()}


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_sampling_is_uniform(space: SearchSpace) -> None:
    expected = 60
    draws = expected * space.count()
    rows = map(tuple, space.sample_codes(draws, np.random.default_rng(7)).tolist())
    seen = Counter(rows)
    observed = np.array([seen[tuple(row)] for row in space.enumerate_codes().tolist()])
    assert observed.sum() == draws
    chi_square, freedom = ((observed - expected) ** 2 / expected).sum(), space.count() - 1
    assert abs(chi_square - freedom) < 4 * math.sqrt(2 * freedom)


def test_balanced_sampling_draws_each_depth_as_often() -> None:
    codes = SMALL.sample_codes(4000, np.random.default_rng(3), balanced=True)
    depths = np.bincount(SMALL.values(codes, "layers"), minlength=4)
    np.testing.assert_allclose(depths / 4000, 0.25, atol=0.03)


def test_uniform_sampling_prefers_the_depth_with_most_candidates() -> None:
    codes = UNLIMITED.sample_codes(2000, np.random.default_rng(3))
    assert (UNLIMITED.values(codes, "layers") == 3).mean() > 0.75


def edits(first: Candidate, second: Candidate, groups: tuple[Repeat, ...]) -> int:
    """Fewest edits, where it is 0 or 1; else 2."""
    if first == second:
        return 0
    a, b = dict(first.values), dict(second.values)
    if set(a) == set(b):
        return min(sum(a[name] != b[name] for name in a), 2)
    resized = [group for group in groups if a[group.name] != b[group.name]]
    if len(resized) != 1:
        return 2
    one, other = (_layers(resized[0], values) for values in (a, b))
    rest = [{n: v for n, v in x.items() if not _belongs(resized[0], n)} for x in (a, b)]
    longer, shorter = (one, other) if len(one) > len(other) else (other, one)
    deletions = [longer[:at] + longer[at + 1 :] for at in range(len(longer))]
    return 1 if rest[0] == rest[1] and shorter in deletions else 2


def _layers(group: Repeat, values: Mapping[str, Value]) -> list[tuple[Value, ...]]:
    return [
        tuple(values[group.instance(parameter, number)] for parameter in group.parameters)
        for number in range(1, int(values[group.name]) + 1)
    ]


def _belongs(group: Repeat, name: str) -> bool:
    names = [group.instance(p, i) for p in group.parameters for i in range(1, group.maximum + 1)]
    return name in (group.name, *names)


@given(spaces, seeds)
@settings(deadline=None, max_examples=25)
def test_neighbours_are_valid_distinct_and_one_edit_away(space: SearchSpace, seed: int) -> None:
    (row,) = space.sample_codes(1, np.random.default_rng(seed), balanced=True)
    codes = space.neighbour_codes(row)
    groups = tuple(item for item in space.items if isinstance(item, Repeat))
    (centre,) = space.decode(row[None])
    assert space.valid(codes).all()
    assert len(np.unique(codes, axis=0)) == len(codes) > 0
    assert {edits(centre, other, groups) for other in space.decode(codes)} == {1}


@given(st.sampled_from(SPACES), seeds)
@settings(deadline=None, max_examples=20)
def test_every_changed_value_is_a_neighbour_and_every_insertion_can_be_undone(
    space: SearchSpace, seed: int
) -> None:
    (centre,) = space.sample(1, np.random.default_rng(seed))
    near = set(space.neighbours(centre))
    for other in space.enumerate():
        if set(other.values) == set(centre.values) and edits(centre, other, ()) == 1:
            assert other in near
    for other in near:
        if len(other.values) >= len(centre.values):
            assert centre in space.neighbours(other)


def test_an_inserted_layer_is_the_default_one_or_a_copy_of_one_beside_it() -> None:
    centre = UNLIMITED.candidate({"units_1": 2, "kind_1": "b", "units_2": 3, "kind_2": "a"})
    near = UNLIMITED.neighbours(centre)
    deeper = {tuple(_layers(FREE, other.values)) for other in near if other["layers"] == 3}
    first, second, default = (2, "b"), (3, "a"), (1, "a")
    assert deeper == {
        (default, first, second),
        (first, default, second),
        (first, second, default),
        (first, first, second),
        (first, second, second),
    }


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_every_candidate_can_be_reached_by_neighbours(space: SearchSpace) -> None:
    start = next(space.enumerate())
    reached, frontier = {start}, [start]
    while frontier:
        new = set(space.neighbours(frontier.pop())) - reached
        reached |= new
        frontier += new
    assert len(reached) == space.count()


def test_two_spellings_of_a_network_have_one_digest() -> None:
    spellings: tuple[dict[str, object], ...] = (
        {"units_1": 2},
        {"units_1": 2.0, "kind_1": "a", "bits": 2},
        {"layers": 1, "units_1": 2, "rate": 1.0},
        {"units_1": np.int64(2), "units_2": 0, "units_3": 0, "kind_3": "b"},
        {"rate": 1, "units_3": 0, "units_1": 2, "units_2": 0},
    )
    assert len({SMALL.candidate(values).digest for values in spellings}) == 1


def test_the_digest_does_not_depend_on_the_order_of_the_values() -> None:
    candidate = SMALL.candidate({"units_1": 2})
    turned = Candidate(dict(reversed(candidate.values.items())))
    assert turned == candidate
    assert turned.digest == candidate.digest


def test_a_candidate_lists_what_exists_in_the_order_of_the_space() -> None:
    assert (
        str(SMALL.candidate({"units_1": 2, "bits": 3})) == "bits=3, layers=1, units_1=2, kind_1=a, rate=1.0"
    )


def test_a_layer_spelt_as_absent_is_not_there() -> None:
    assert SMALL.candidate({"units_1": 0}) == SMALL.candidate({}) == SMALL.candidate({"layers": 0})
    assert SMALL.candidate({"units_1": 3, "units_2": 0, "kind_2": "b"})["layers"] == 1


def test_the_default_count_gives_way_to_an_absent_layer() -> None:
    space = SearchSpace("deep", (Repeat("layers", (integer("units", 1, 2),), 0, 2, default=2, absent=0),))
    assert space.candidate({})["layers"] == 2
    assert space.candidate({"units_2": 0})["layers"] == 1


def test_naming_few_layers_leaves_the_least_number_of_them() -> None:
    assert str(TWO_GROUPS.candidate({})) == "inner=1, kind_1_inner=False, outer=0"
    space = SearchSpace("deep", (Repeat("layers", (integer("units", 1, 2),), 2, 3),))
    assert str(space.candidate({"units_1": 2})) == "layers=2, units_1=2, units_2=1"


def test_true_is_not_one_but_a_whole_float_is_an_integer() -> None:
    assert SMALL.candidate({"bits": 3.0})["bits"] == 3
    assert one_error({"layers": True}) == "layers takes 0, 1, 2, 3, got True"
    assert "takes False, True, got 1" in one_error({"kind_1_inner": 1}, TWO_GROUPS)


def test_candidates_spaces_and_their_digests_survive_pickling() -> None:
    candidate = SMALL.candidate({"units_1": 2})
    assert pickle.loads(pickle.dumps(candidate)) == candidate
    assert pickle.loads(pickle.dumps(SMALL)).fingerprint == SMALL.fingerprint


def test_values_are_frozen() -> None:
    values = SMALL.candidate({}).values
    with pytest.raises(TypeError):
        values["bits"] = 4  # type: ignore[index]


def test_a_fingerprint_tells_spaces_apart() -> None:
    def twice(layer: Mapping[str, Value]) -> int:
        return 2 * int(layer["units"])

    others = (
        UNLIMITED,
        SearchSpace("small", SMALL.items[:2]),
        SearchSpace("small", (SMALL.items[0], replace(LIMITED, limits=(replace(HEAVY, at_most=5),)))),
        SearchSpace(
            "small", (SMALL.items[0], replace(LIMITED, limits=(replace(HEAVY, contribution=twice),)))
        ),
        SearchSpace("small", (integer("bits", 2, 4), *SMALL.items[1:])),
        SMALL,
    )
    assert len({space.fingerprint for space in others}) == len(others)
    assert SearchSpace("renamed", SMALL.items).fingerprint == SMALL.fingerprint


def test_features_are_in_the_unit_cube_and_tell_candidates_apart() -> None:
    for space in SPACES:
        features = space.features(space.enumerate_codes())
        assert features.shape[0] == space.count()
        assert features.min() == 0
        assert features.max() == 1
        assert len(np.unique(features, axis=0)) == space.count()


def test_features_are_ranks_and_one_hot() -> None:
    space = SearchSpace("mixed", (ordinal("n", (1, 10, 100)), categorical("c", ("x", "y", "z"))))
    codes = space.encode([space.candidate({"n": 10, "c": "z"})])
    np.testing.assert_array_equal(space.features(codes), [[0.5, 0, 0, 1]])


def test_values_reads_one_parameter_of_many_rows() -> None:
    codes = SMALL.encode([SMALL.candidate({"units_1": 3}), SMALL.candidate({})])
    np.testing.assert_array_equal(SMALL.values(codes, "units_1"), [3, 0])
    np.testing.assert_array_equal(SMALL.values(codes, "units_1", absent=-5), [3, -5])


def test_codes_outside_a_parameter_are_invalid() -> None:
    codes = np.repeat(SMALL.encode([SMALL.candidate({"units_1": 3})]), 5, axis=0)
    codes[1, 0], codes[2, 1], codes[3, 2], codes[4, 0] = 9, 9, 9, -2
    np.testing.assert_array_equal(SMALL.valid(codes), [True, False, False, False, False])


def test_grids_of_floats() -> None:
    assert real("x", 0, 1, levels=3).values == (0.0, 0.5, 1.0)
    assert real("x", 0.01, 1, levels=3, log=True).values == (0.01, 0.1, 1.0)


def test_econt_has_the_number_of_candidates_that_was_counted_by_hand() -> None:
    assert econt.ARCHITECTURE.count() == 14_299_240


def test_econt_with_at_most_one_large_kernel() -> None:
    def large(layer: Mapping[str, Value]) -> int:
        return int(layer["kernel"] == 5)

    convolutions, dense = econt.ARCHITECTURE.items
    assert isinstance(convolutions, Repeat)
    limit = Limit("more than one 5x5 kernel", large, 1)
    narrow = replace(convolutions, limits=(*convolutions.limits, limit))
    assert SearchSpace("narrow", (narrow, dense)).count() == 10_637_320


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"bit": 2}, "space 'small' has no parameter bit; it has bits, layers, units_1"),
        ({"bits": 4}, "bits takes 2, 3, got 4"),
        ({"bits": [2]}, r"bits takes 2, 3, got [2]"),
        ({"layers": 4}, "layers takes 0, 1, 2, 3, got 4"),
        ({"units_2": 7}, "units_2 takes 1, 2, 3, got 7"),
        ({"layers": 1, "units_2": 1}, "units_2 given, but layers is 1; raise it or leave them out"),
        ({"units_1": 3, "units_2": 2}, "more than four units in all (layers: 5, at most 4)"),
        ({"units_1": 1, "units_2": 0, "units_3": 1}, "units_2 takes 1, 2, 3, got 0"),
        (
            {"layers": 2, "units_1": 1, "units_2": 0},
            "units_2=0 says that the layer is not there, but layers is 2; "
            "give units_2 one of its values or make layers at most 1",
        ),
    ],
)
def test_a_refused_candidate_says_what_is_allowed(values: Mapping[str, object], message: str) -> None:
    assert one_error(values).startswith(message)


def test_a_candidate_is_a_mapping() -> None:
    assert one_error([1]) == "a candidate maps parameter names to values, got list"  # type: ignore[arg-type]


def test_long_lists_of_values_are_shortened() -> None:
    space = SearchSpace("wide", (integer("n", 1, 100),))
    assert one_error({"n": 0}, space) == "n takes 1 to 100 in 100 steps, got 0"


def test_a_candidate_of_another_space_is_not_encoded() -> None:
    with pytest.raises(SpaceError, match="has no parameter nope; it has bits"):
        SMALL.encode([Candidate({"nope": 1})])
    with pytest.raises(SpaceError, match="has no parameter nope"):
        SMALL.values(SMALL.sample_codes(1, np.random.default_rng(0)), "nope")


def _clash() -> SearchSpace:
    return SearchSpace("clash", (integer("units_1", 1, 2), FREE))


def _impossible() -> SearchSpace:
    return SearchSpace("none", (replace(LIMITED, minimum=1, limits=(replace(HEAVY, at_most=0),)),))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ordinal("x", ()), "parameter 'x' has no values; give at least one"),
        (lambda: categorical("x", ()), "parameter 'x' has no values; give at least one"),
        (lambda: integer("x", 2, 1), "parameter 'x' has no values; give at least one"),
        (
            lambda: integer("x", 1, 2**15),
            "parameter 'x' has 32,768 values, and a parameter takes at most 32,767",
        ),
        (lambda: integer("x", 1, 10**15), "parameter 'x' has 1,000,000,000,000,000 values"),
        (lambda: ordinal("x", range(2**15)), "parameter 'x' has 32,768 values"),
        (lambda: integer("x", 1, 2, step=0), "parameter 'x' needs a step of 1 or more, got 0"),
        (lambda: categorical("x", (1, 1)), "parameter 'x' repeats a value: [1, 1]"),
        (lambda: ordinal("x", (2, 1)), "parameter 'x': ordinal values must ascend, got [2, 1]"),
        (lambda: integer("x", 1, 2, default=3), "parameter 'x': default 3 is none of [1, 2]"),
        (lambda: real("x", 1, 0), "parameter 'x' needs low < high (above 0 if log) and 2 levels, got 1 to 0"),
        (lambda: real("x", 0, 1, log=True), "parameter 'x' needs low < high (above 0 if log)"),
        (lambda: replace(FREE, minimum=4), "'layers' repeats 4 to 3 times; give 0 <= min <= max"),
        (lambda: Repeat("x", (), 0, 1), "'x' repeats no parameters; give at least one"),
        (_clash, "space 'clash' has two parameters named units_1; rename one"),
        (_impossible, "space 'none' has no valid point: no layers satisfy: more than four units in all"),
    ],
)
def test_a_refused_definition_says_why(make: Callable[[], object], message: str) -> None:
    with pytest.raises(SpaceError) as raised:
        make()
    assert str(raised.value).startswith(message)


def test_a_restricted_space_has_just_the_candidates_with_those_values() -> None:
    layer = Repeat("layers", (ordinal("units", (16, 32, 64)), categorical("kind", ("a", "b"))), 0, 2)
    space = SearchSpace("whole", (layer, integer("bits", 2, 4)))
    small = space.restricted(layers=(1, 2), units=(16, 64), bits=(3,))
    kept = {
        candidate
        for candidate in space.enumerate()
        if candidate["layers"] in (1, 2)
        and candidate["bits"] == 3
        and all(candidate[f"units_{i}"] != 32 for i in range(1, int(candidate["layers"]) + 1))
    }
    assert set(small.enumerate()) == kept
    assert small.count() == len(kept) == 20


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"unit": (16,)}, "has no unit; it has layers, units"),
        ({"units": (17,)}, "units takes 16, 32, got 17"),
        ({"units": ()}, "left without values"),
        ({"layers": ()}, "left without a number of layers"),
        ({"layers": (3,)}, "layers takes 0, 1, 2, got 3"),
    ],
)
def test_a_restriction_that_cannot_be_is_refused(choices: dict[str, tuple[int, ...]], message: str) -> None:
    space = SearchSpace("whole", (Repeat("layers", (ordinal("units", (16, 32)),), 0, 2),))
    with pytest.raises(SpaceError, match=message):
        space.restricted(**choices)


# ---- conditional spaces, built at random and small enough to be written out by a second, plainer program


@st.composite
def parameters(draw: st.DrawFn, name: str) -> Parameter:
    count = draw(st.integers(1, 3))
    make = draw(st.sampled_from((ordinal, categorical)))
    values = tuple(range(1, count + 1)) if make is ordinal else ("a", "b", "c")[:count]
    return make(name, values, default=draw(st.sampled_from(values)))


@st.composite
def item_lists(
    draw: st.DrawFn, names: Iterator[str], depth: int, around: tuple[Parameter, ...] = (), layer: bool = False
) -> tuple[Item, ...]:
    """Items of which some exist only with values of parents in this list or, nested, in one around it."""
    first = draw(parameters(next(names)))
    items: list[Item] = [first]
    parents = [*around, first]
    for _ in range(draw(st.integers(0, 2))):
        kinds = ["parameter"] + ["when"] * 2 * (depth > 0) + ["repeat"] * (not layer)
        kind = draw(st.sampled_from(kinds))
        if kind == "parameter":
            items.append(draw(parameters(next(names))))
            parents.append(items[-1])  # type: ignore[arg-type]
        elif kind == "repeat":
            name = next(names)
            low = draw(st.integers(0, 1))
            inner = draw(item_lists(names, depth - 1, layer=True))
            group = Repeat(name, inner, low, low + draw(st.integers(0, 1)))  # type: ignore[arg-type]
            items.append(group)
            parents.append(group.count)
        else:
            parent = draw(st.sampled_from(parents))
            values = draw(st.lists(st.sampled_from(parent.values), min_size=1, unique=True))
            items.append(
                When(parent.name, tuple(values), draw(item_lists(names, depth - 1, tuple(parents), layer)))
            )
    return tuple(items)


MOST = 600


@st.composite
def conditional_spaces(draw: st.DrawFn) -> SearchSpace:
    names = (f"p{number}" for number in range(100))
    space = SearchSpace("drawn", draw(item_lists(names, 2)))
    assume(space.count() <= MOST)
    return space


def _one_in_three(candidate: Candidate) -> bool:
    return int(candidate.digest, 16) % 3 > 0


@st.composite
def constrained_spaces(draw: st.DrawFn) -> SearchSpace:
    space = draw(conditional_spaces())
    names = draw(st.none() | st.lists(st.sampled_from(space.names), unique=True).map(tuple))
    limited = replace(space, constraints=(Constraint("an unlucky digest", _one_in_three, names),))
    assume(limited.count() > 0)
    return limited


any_space = st.one_of(conditional_spaces(), constrained_spaces(), st.sampled_from(SPACES))


def written_out(
    items: Sequence[Item], scope: Mapping[str, Value], group: Repeat | None = None, number: int = 0
) -> list[tuple[dict[str, Value], dict[str, Value]]]:
    """All values that items allow, and what their parents are called, by doing what the words say."""
    found: list[tuple[dict[str, Value], dict[str, Value]]] = [({}, dict(scope))]
    for item in items:
        longer = []
        for values, known in found:
            if isinstance(item, Parameter):
                name = group.instance(item, number) if group else item.name
                longer += [({**values, name: v}, {**known, item.name: v}) for v in item.values]
            elif isinstance(item, When):
                there = known[item.parent] in item.values
                inner = written_out(item.items, known, group, number) if there else [({}, known)]
                longer += [({**values, **more}, known) for more, _ in inner]
            else:
                for size in range(item.minimum, item.maximum + 1):
                    blocks: list[dict[str, Value]] = [{item.name: size}]
                    for layer in range(1, size + 1):
                        layers = written_out(item.parameters, {}, item, layer)
                        blocks = [{**block, **more} for block in blocks for more, _ in layers]
                    longer += [({**values, **block}, {**known, item.name: size}) for block in blocks]
        found = longer
    return found


def all_of(space: SearchSpace) -> set[Candidate]:
    listed = {Candidate(values) for values, _ in written_out(space.items, {})}
    for constraint in space.constraints:
        names = space.names if constraint.names is None else constraint.names
        listed = {
            candidate
            for candidate in listed
            if constraint.predicate(Candidate({name: candidate[name] for name in names if name in candidate}))
        }
    return listed


@given(st.one_of(conditional_spaces(), constrained_spaces()))
@settings(deadline=None, max_examples=150)
def test_a_space_is_exactly_what_its_items_and_constraints_say(space: SearchSpace) -> None:
    codes = space.enumerate_codes()
    candidates = space.decode(codes)
    assert set(candidates) == all_of(space)
    assert len(set(candidates)) == len(codes) == space.count()
    assert space.valid(codes).all()
    np.testing.assert_array_equal(space.encode(candidates), codes)
    for candidate in candidates[:: max(len(candidates) // 20, 1)]:
        assert space.candidate(candidate.values) == candidate


@given(any_space, seeds)
@examples
def test_sampling_is_uniform_over_distinct_candidates(space: SearchSpace, seed: int) -> None:
    expected, count = 30, space.count()
    seen = Counter(map(bytes, space.sample_codes(expected * count, np.random.default_rng(seed))))
    observed = np.array([seen[bytes(row)] for row in space.enumerate_codes()])
    assert observed.sum() == expected * count
    assert chi2.sf(((observed - expected) ** 2 / expected).sum(), max(count - 1, 1)) > 1e-7


@given(any_space, seeds)
@examples
def test_balanced_draws_are_valid_and_reach_every_candidate(space: SearchSpace, seed: int) -> None:
    drawn = space.sample_codes(40, np.random.default_rng(seed), balanced=True)
    assert space.valid(drawn).all()


@given(any_space)
@examples
def test_random_codes_are_valid_only_if_they_are_listed(space: SearchSpace) -> None:
    listed = set(map(bytes, space.enumerate_codes()))
    levels = [len(column.parameter.values) for column in space.columns]
    codes = np.random.default_rng(0).integers(INACTIVE, levels, size=(300, len(levels))).astype(np.int16)
    rows = space.enumerate_codes()
    changed = rows[np.random.default_rng(1).integers(len(rows), size=300)]
    at = np.random.default_rng(2).integers(len(levels), size=300)
    changed[np.arange(300), at] = codes[np.arange(300), at]
    for some in (codes, changed):
        np.testing.assert_array_equal(space.valid(some), [bytes(row) in listed for row in some])


@given(st.one_of(conditional_spaces(), st.sampled_from((TWO_GROUPS, UNLIMITED))))
@examples
def test_any_codes_settle_to_a_valid_row_and_a_valid_row_stays(space: SearchSpace) -> None:
    levels = [len(column.parameter.values) for column in space.columns]
    codes = np.random.default_rng(0).integers(INACTIVE, levels, size=(100, len(levels))).astype(np.int16)
    settled = space.settled(codes)
    assert space.valid(settled).all()
    np.testing.assert_array_equal(settled[:, 0][codes[:, 0] >= 0], codes[:, 0][codes[:, 0] >= 0])
    np.testing.assert_array_equal(space.settled(settled), settled)


def _is_one_edit(space: SearchSpace, centre: Candidate, other: Candidate) -> bool:
    """One value changed or one layer put in or taken out; what is new with it has its default."""
    groups = [column.group for column in space.columns if column.group is not None]
    resized = {g.name: g for g in groups if g.name in centre and g.name in other}
    resized = {name: g for name, g in resized.items() if centre[name] != other[name]}
    default = {column.name: column.parameter.default for column in space.columns}
    layers = {c.name for c in space.columns if c.group is not None and c.group.name in resized}
    common = (set(centre.values) & set(other.values)) - layers - set(resized)
    new = set(other.values) - set(centre.values) - layers - set(resized)
    if any(other[name] != default[name] for name in new):
        return False
    changed = sum(centre[name] != other[name] for name in common)
    if not resized:
        return changed == 1
    (group,) = resized.values()
    one, two = (_named_layers(space, group, each) for each in (centre, other))
    longer, shorter = (one, two) if len(one) > len(two) else (two, one)
    return changed == 0 and shorter in [longer[:at] + longer[at + 1 :] for at in range(len(longer))]


def _named_layers(space: SearchSpace, group: Repeat, values: Candidate) -> list[dict[str, Value]]:
    layers: list[dict[str, Value]] = [{} for _ in range(int(values[group.name]))]
    for column in space.columns:
        if column.group is group and column.name in values:
            layers[column.number - 1][column.parameter.name] = values[column.name]
    return layers


@given(any_space, seeds)
@examples
def test_neighbours_in_conditional_spaces_are_valid_and_one_edit_away(space: SearchSpace, seed: int) -> None:
    (centre,) = space.sample(1, np.random.default_rng(seed))
    near = space.neighbours(centre)
    assert len(set(near)) == len(near)
    assert set(near) <= set(space.enumerate()) - {centre}
    for other in near:
        assert _is_one_edit(space, centre, other), (centre, other)
    if not space.constraints and space is not SMALL:
        for name, value in centre.values.items():
            column = space.columns[space.names.index(name)]
            if not any(group == column.name for group in (c.group and c.group.name for c in space.columns)):
                assert {other.get(name, value) for other in near} >= set(column.parameter.values) - {value}


@given(conditional_spaces())
@settings(deadline=None, max_examples=25)
def test_neighbours_lead_to_every_candidate_of_a_conditional_space(space: SearchSpace) -> None:
    start = space.enumerate_codes()[0]
    reached, frontier = {bytes(start)}, [start]
    while frontier:
        for row in space.neighbour_codes(frontier.pop()):
            if bytes(row) not in reached:
                reached.add(bytes(row))
                frontier.append(row)
    assert len(reached) == space.count()


@given(any_space, seeds)
@examples
def test_a_restricted_space_holds_the_candidates_with_the_values_left(space: SearchSpace, seed: int) -> None:
    rng = np.random.default_rng(seed)
    choices: dict[str, tuple[Value, ...]] = {}
    for column in space.columns:
        values = column.parameter.values
        first, last = sorted(rng.integers(len(values), size=2))
        choices[column.parameter.name] = values[first : last + 1]
    allowed = {column.name: choices[column.parameter.name] for column in space.columns}
    left = {
        candidate
        for candidate in space.enumerate()
        if all(value in allowed[name] for name, value in candidate.values.items())
    }
    if not left and not space.constraints:
        with pytest.raises(SpaceError, match="has no valid point"):
            space.restricted(**choices)
        return
    part = space.restricted(**choices)
    if not left:
        assert part.count() == 0
    else:
        assert set(part.enumerate()) == left
        assert part.count() == len(left)


@given(any_space)
@examples
def test_features_are_finite_and_tell_all_candidates_apart(space: SearchSpace) -> None:
    codes = space.enumerate_codes()
    features = space.features(codes)
    assert np.isfinite(features).all()
    assert len(np.unique(features, axis=0)) == len(codes)
    there = [[name in candidate for name in space.names] for candidate in space.decode(codes)]
    np.testing.assert_array_equal(space.activity(codes), there)


@given(conditional_spaces())
@settings(deadline=None, max_examples=25)
def test_a_space_survives_pickling_and_a_list_of_its_candidates(space: SearchSpace) -> None:
    assert pickle.loads(pickle.dumps(space)) == space
    some = tuple(space.enumerate())[::2]
    table = replace(space, only=some)
    assert tuple(table.enumerate()) == some
    assert table.count() == len(some)
    assert table.valid(space.enumerate_codes()).sum() == len(some)
    assert set(table.sample(50, np.random.default_rng(0))) <= set(some)
    assert len({table.fingerprint, space.fingerprint}) == 2


POOLED = When("pooling", ("max", "mean"), (ordinal("pool_size", (2, 3)),))
LAYER = (
    categorical("kind", ("conv", "dense")),
    When("kind", ("conv",), (ordinal("kernel", (1, 3, 5), default=3), ordinal("stride", (1, 2)))),
    ordinal("units", (8, 16)),
)
HEAD = When("head", (True,), (Repeat("heads", (integer("width", 1, 2),), 1, 2),))
SKIP = When("layers", (2, 3), (categorical("skip", (False, True)),))
NETWORK = SearchSpace(
    "network",
    (
        categorical("pooling", ("none", "max", "mean")),
        POOLED,
        Repeat(
            "layers", LAYER, 0, 3, limits=(Limit("too many strides", lambda x: int(x.get("stride", 1)), 4),)
        ),
        SKIP,
        categorical("head", (False, True)),
        HEAD,
    ),
)


def test_a_conditional_space_counts_by_hand() -> None:
    def layers(budget: int, depth: int) -> int:
        """Sequences of layers: 2 dense ones and 6 convolutions of stride 1 use 1, 6 of stride 2 use 2."""
        if depth == 0:
            return 1
        return 8 * (layers(budget - 1, depth - 1) if budget >= 1 else 0) + (
            6 * layers(budget - 2, depth - 1) if budget >= 2 else 0
        )

    body = layers(4, 0) + layers(4, 1) + 2 * (layers(4, 2) + layers(4, 3))
    assert NETWORK.count() == (1 + 2 * 2) * body * (1 + 2 + 4)


def test_the_stored_fingerprint_of_a_space_has_not_changed() -> None:
    assert econt.SPACE.fingerprint == "9e7ca9a1e9657fee"
    assert econt.ARCHITECTURE.fingerprint == "a3c8856b9f0a697d"


def hash_of(codes: np.ndarray) -> str:
    return hashlib.sha256(codes.tobytes()).hexdigest()[:16]


ECONT_DRAWS = "b7e40ffc3b34d69a"


def test_the_sequence_drawn_from_the_econt_space_has_not_changed() -> None:
    codes = econt.SPACE.sample_codes(1000, np.random.default_rng(0))
    assert hash_of(codes) == ECONT_DRAWS


def test_what_does_not_exist_is_not_in_a_candidate() -> None:
    candidate = NETWORK.candidate({"kind_1": "dense", "kind_2": "conv", "pooling": "none"})
    assert str(candidate) == (
        "pooling=none, layers=2, kind_1=dense, units_1=8, kind_2=conv, kernel_2=3, stride_2=1, units_2=8, "
        "skip=False, head=False"
    )


def test_balanced_sampling_draws_the_values_of_a_parent_evenly() -> None:
    codes = NETWORK.sample_codes(6000, np.random.default_rng(0), balanced=True)
    for name in ("pooling", "layers", "head"):
        column = NETWORK.columns[NETWORK.names.index(name)]
        share = np.bincount(codes[:, NETWORK.names.index(name)]) / len(codes)
        np.testing.assert_allclose(share, 1 / len(column.parameter.values), atol=0.03)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"pool_size": 2},
            "pool_size given, but it exists only where pooling is max, mean, and pooling is none; "
            "change that or leave pool_size out",
        ),
        (
            {"kind_1": "dense", "kernel_1": 3},
            "kernel_1 given, but it exists only where kind_1 is conv, and kind_1 is dense",
        ),
        ({"layers": 1, "kernel_2": 3}, "kernel_2 given, but layers is 1"),
        ({"width_1": 1}, "width_1 given, but it exists only where head is True, and head is False"),
        ({"layers": 1, "skip": True}, "skip given, but it exists only where layers is 2, 3"),
        ({"stride_1": 2, "stride_2": 2, "stride_3": 2}, "too many strides (layers: 6, at most 4)"),
        ({"pooling": "max", "pool_size": None}, "pool_size takes 2, 3, got None"),
    ],
)
def test_a_refused_conditional_candidate_says_why(values: Mapping[str, object], message: str) -> None:
    assert one_error(values, NETWORK).startswith(message)


def test_none_spells_what_does_not_exist() -> None:
    assert NETWORK.candidate({"pool_size": None, "units_1": None, "width_1": None}) == NETWORK.candidate({})


def test_spellings_of_one_conditional_network_are_one_candidate() -> None:
    spellings: tuple[dict[str, object], ...] = (
        {"pooling": "max", "kind_1": "conv"},
        {"pooling": "max", "pool_size": 2.0, "layers": 1},
        {"kernel_1": np.int64(3), "pooling": "max", "skip": None},
    )
    assert len({NETWORK.candidate(values).digest for values in spellings}) == 1


def _outside() -> SearchSpace:
    return SearchSpace("x", (When("a", (1,), (integer("b", 1, 2),)), integer("a", 1, 2)))


def _hidden() -> SearchSpace:
    inner = When("a", (1,), (integer("b", 1, 2),))
    return SearchSpace("x", (integer("a", 1, 2), inner, When("b", (1,), (integer("c", 1, 2),))))


def _of_layer() -> SearchSpace:
    layer = (integer("b", 1, 2), When("a", (1,), (integer("c", 1, 2),)))
    return SearchSpace("x", (integer("a", 1, 2), Repeat("g", layer, 0, 1)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            _outside,
            "a part of the space exists when 'a' has a value, but that is no parameter before it; there",
        ),
        (
            _hidden,
            "a part of the space exists when 'b' has a value, but that is no parameter before it; there",
        ),
        (
            _of_layer,
            "a part of the space exists when 'a' has a value, but that is no parameter before it; there",
        ),
        (lambda: When("a", "max", (FREE,)), "When('a', ...) needs a tuple of the parent's values, got 'max'"),
        (lambda: When("a", (), (FREE,)), "When('a', ...) needs a tuple of the parent's values, got ()"),
        (lambda: When("a", (1,), ()), "When('a', (1,), ...) holds no items; give at least one"),
        (lambda: Repeat("g", (POOLED,), 0, 1), "'g' must repeat a parameter first"),
        (
            lambda: Repeat("g", (integer("a", 1, 2), When("a", (1,), (FREE,))), 0, 1),
            "'g' repeats the group 'layers'; a group cannot hold another group",
        ),
        (
            lambda: SearchSpace("x", (integer("a", 1, 2), When("a", (3,), (FREE,)))),
            "a takes 1, 2, got 3",
        ),
        (
            lambda: SearchSpace("x", (integer("a", 1, 2),), (Constraint("no", bool, ("b",)),)),
            "space 'x' has no parameter b; it has a",
        ),
        (lambda: SearchSpace("x", (FREE,), only=()), "space 'x' lists no candidate; give at least one"),
        (
            lambda: SearchSpace("x", (integer("a", 1, 2),), only=(Candidate({"a": 1}),) * 2),
            "space 'x' lists a candidate twice",
        ),
        (
            lambda: SearchSpace("x", (FREE,), only=(Candidate({"layers": 1}),)),
            "space 'x' lists what is no candidate of it: layers=1",
        ),
    ],
)
def test_a_refused_conditional_definition_says_why(make: Callable[[], object], message: str) -> None:
    with pytest.raises(SpaceError) as raised:
        make()
    assert str(raised.value).startswith(message)


SUM = SearchSpace(
    "sum",
    (integer("a", 0, 9), integer("b", 0, 9), integer("c", 0, 9)),
    (Constraint("a and b are more than 3", lambda x: int(x["a"]) + int(x["b"]) <= 3, ("a", "b")),),
)
WIDE = tuple(integer(f"x{number}", 0, 9) for number in range(7))


def test_a_broken_constraint_gives_its_reason_and_the_candidate() -> None:
    assert SUM.count() == 10 * 10
    assert one_error({"a": 2, "b": 2}, SUM) == "a and b are more than 3 (a=2, b=2, c=0)"


def test_a_predicate_is_asked_once_for_what_it_sees_alike() -> None:
    asked: list[Candidate] = []

    def predicate(candidate: Candidate) -> bool:
        asked.append(candidate)
        return True

    space = replace(SUM, constraints=(Constraint("none", predicate, ("a",)),))
    space.valid(space.sample_codes(200, np.random.default_rng(0)))
    assert {str(candidate) for candidate in asked} == {f"a={a}" for a in range(10)}
    assert len(asked) == 20


def test_a_predicate_that_raises_is_told_with_the_candidate() -> None:
    broken = Constraint("pools are small", lambda x: int(x["pool_size"]) < 3)
    space = replace(NETWORK, constraints=(broken,))
    with pytest.raises(SpaceError, match=r"'pools are small' raised KeyError.*candidate\.get"):
        space.candidate({})


def test_a_large_constrained_space_is_estimated_by_name_only() -> None:
    space = SearchSpace("wide", WIDE, (Constraint("x0 is odd", lambda x: int(x["x0"]) % 2 == 0, ("x0",)),))
    with pytest.raises(SpaceError, match=r"10000000 candidates before its constraints.*call estimate_count"):
        space.count()
    estimate, error = space.estimate_count(np.random.default_rng(0))
    assert abs(estimate - 5e6) < 4 * error < 5e5
    assert space.bound == 10**7
    with pytest.raises(SpaceError, match=r"has 100000000000 candidates, too many to list"):
        replace(space, items=(*WIDE, *(integer(f"y{i}", 0, 9) for i in range(4)))).enumerate_codes()


def test_the_few_that_keep_a_constraint_are_found_in_a_small_space() -> None:
    rare = Constraint("not the one", lambda x: x == Candidate({"a": 7, "b": 7, "c": 7}))
    space = replace(SUM, constraints=(rare,))
    assert [str(x) for x in space.sample(3, np.random.default_rng(0))] == ["a=7, b=7, c=7"] * 3


def test_a_space_in_which_nothing_keeps_the_constraints_says_so() -> None:
    never = Constraint("nothing will do", lambda _: False, ("a",))
    space = replace(SUM, constraints=(never,))
    with pytest.raises(SpaceError, match="no valid point: none satisfies: nothing will do"):
        space.sample(1, np.random.default_rng(0))
    wide = SearchSpace("wide", WIDE, (Constraint("nothing will do", lambda _: False, ("x0",)),))
    with pytest.raises(SpaceError, match=r"0 of .* draws keep its constraints.*nothing will do"):
        wide.sample(1, np.random.default_rng(0))


def test_constraints_tell_spaces_apart_by_what_they_say() -> None:
    spaces = [
        SUM,
        replace(SUM, constraints=()),
        replace(SUM, constraints=(replace(SUM.constraints[0], reason="else"),)),
        replace(SUM, constraints=(replace(SUM.constraints[0], predicate=lambda x: int(x["a"]) < 3),)),
    ]
    assert len({space.fingerprint for space in spaces}) == 4


def test_the_page_on_spaces_runs_and_says_what_it_prints(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[1] / "docs" / "howto" / "define-a-space.md").read_text(encoding="utf-8")
    block, counting = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(block, names)
    count, candidate = capsys.readouterr().out.splitlines()
    space: SearchSpace = names["SPACE"]
    assert int(count) == len(space.enumerate_codes())
    assert "kernel_1=1" in candidate
    assert "kernel_2" not in candidate
    assert "size" not in candidate
    kinds = space.sample(300, np.random.default_rng(0))
    assert max(sum(v == "conv" for n, v in c.values.items() if n.startswith("kind")) for c in kinds) == 2
    part = space.restricted(width=(8, 16), layers=(1, 2))
    assert {"width_1", "width_2"} <= set(part.names)
    assert "width_3" not in part.names
    assert set(part.values(part.enumerate_codes(), "width_1")) == {8, 16}
    with pytest.raises(SpaceError, match=r"has no width_1; it has .*width"):
        space.restricted(width_1=(8,))
    exec(counting, names)
    wrong = counting.replace("fan_in=fan_in,", "fan_in=fan_in + here,")
    with pytest.raises(AssertionError, match="workload differs in fan_in"):
        exec(wrong, {})
