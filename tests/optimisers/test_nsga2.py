"""What is NSGA-II's own: crowding, and children of the best parents."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from codesign.evaluation import Evaluation
from codesign.metrics import Summary
from codesign.objectives import Objective
from codesign.optimisers import Problem
from codesign.optimisers import nsga2 as module
from codesign.optimisers.nsga2 import NSGA2, crowding_distances
from codesign.space import INACTIVE, Candidate, Repeat, SearchSpace, integer

Points = NDArray[np.float64]

SPACE = SearchSpace(
    "two",
    (
        Repeat("left", (integer("a", 0, 9), integer("b", 0, 9)), 0, 3),
        integer("c", 0, 9),
        Repeat("right", (integer("d", 0, 9), integer("e", 0, 9)), 1, 2),
    ),
)
examples = settings(deadline=None, max_examples=60)
seeds = st.integers(0, 2**32 - 1)


def problem(*goals: str) -> Problem:
    return Problem(
        SPACE,
        tuple(map(Objective.parse, goals or ("error", "cost"))),
        lambda codes: {"cost": codes.sum(axis=1) + 100.0},
        frozenset({"cost"}),
    )


def ended(number: int, candidate: Candidate, error: float) -> Evaluation:
    return Evaluation(number, candidate, "test", "ok", metrics={"error": Summary(error, 0.0, 0.0, 1)})


@given(
    npst.arrays(
        np.float64, st.tuples(st.integers(1, 9), st.integers(1, 3)), elements=st.integers(0, 9).map(float)
    )
)
@examples
def test_crowding_is_half_the_girth_of_the_box_between_neighbours(values: Points) -> None:
    found = crowding_distances(values)
    for column in values.T:
        assert np.isinf(found[column == column.min()]).any()
        assert np.isinf(found[column == column.max()]).any()
    assert (found >= 0).all()
    distinct = all(len(np.unique(column)) == len(column) for column in values.T)
    for index in np.flatnonzero(np.isfinite(found)) if distinct else ():
        expected = 0.0
        for column in values.T:
            below, above = column[column < column[index]].max(), column[column > column[index]].min()
            expected += (above - below) / np.ptp(column)
        assert found[index] == pytest.approx(expected)


@given(seeds)
@examples
def test_every_parameter_of_a_child_is_one_of_its_parents(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mother, father = SPACE.sample_codes(2, rng, balanced=True)
    child = module._crossed(SPACE, mother, father, rng)
    assert SPACE.valid(child[None]).all()
    there = child != INACTIVE
    assert ((child == mother) | (child == father))[there].all()
    same = (mother == father).all()
    assert not same or (child == mother).all()


def test_groups_are_exchanged_whole_and_layer_by_layer() -> None:
    """A layer is never cut in two; of its group it comes alone, or with all the others."""
    mother = SPACE.encode([SPACE.candidate({"left": 3, "right": 2} | dict.fromkeys(layers(), 1) | {"c": 1})])[
        0
    ]
    father = SPACE.encode([SPACE.candidate({"left": 3, "right": 2} | dict.fromkeys(layers(), 2) | {"c": 2})])[
        0
    ]
    kinds = set()
    for seed in range(200):
        (child,) = SPACE.decode(module._crossed(SPACE, mother, father, np.random.default_rng(seed))[None])
        pairs = [(child[f"a_{n}"], child[f"b_{n}"]) for n in (1, 2, 3)]
        assert all(first == second for first, second in pairs)
        kinds.add(tuple(first for first, _ in pairs))
    assert len(kinds) == 8


def layers() -> list[str]:
    return [
        *(f"{name}_{n}" for name in "ab" for n in (1, 2, 3)),
        *(f"{name}_{n}" for name in "de" for n in (1, 2)),
    ]


def test_what_breaks_a_measured_budget_has_no_children_while_others_keep_it() -> None:
    """Those that break it have ``c = 0``, so that the cheapest are on the front; the others 9."""
    given = problem("error<=5", "cost")
    rng = np.random.default_rng(0)
    rows = SPACE.sample_codes(60, rng)
    place = SPACE.names.index("c")
    rows[:, place] = np.repeat([9, 0], 30)
    errors = np.repeat([4.0, 6.0], 30)
    history = [
        ended(n, each, error) for n, (each, error) in enumerate(zip(SPACE.decode(rows), errors, strict=True))
    ]
    children = []
    for seed in range(20):
        proposal = NSGA2().propose(given, history, [], np.random.default_rng(seed))
        assert proposal is not None
        assert proposal.origin == "nsga2"
        children.append(int(proposal.candidate["c"]))
    assert sum(child == 9 for child in children) >= 15


def test_where_no_child_is_new_the_origin_says_so() -> None:
    """All but one design are known, and that one is far from being a child by chance."""
    space = SearchSpace("line", (integer("c", 0, 299),))
    given = Problem(space, problem().objectives, problem().price, frozenset({"cost"}))
    everything = space.decode(space.enumerate_codes())
    history = [ended(n, each, 1.0) for n, each in enumerate(everything[:-1])]
    origins = set()
    for seed in range(5):
        proposal = NSGA2().propose(given, history, [], np.random.default_rng(seed))
        assert proposal is not None
        assert proposal.candidate == everything[-1]
        origins.add(proposal.origin)
    assert "random: no new child in 64" in origins
