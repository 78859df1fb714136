import math
import pickle
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.errors import SpaceError
from codesign.space import (
    Candidate,
    Limit,
    Repeat,
    SearchSpace,
    Value,
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
