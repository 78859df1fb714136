"""Suites for authors of extensions take what a study takes."""

from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from codesign.errors import SpaceError
from codesign.objectives import Objective
from codesign.optimisers import Problem, load_optimiser
from codesign.space import Candidate, Constraint, SearchSpace, integer
from codesign.testing import check_optimiser, check_search_space


def even(candidate: Candidate) -> bool:
    return int(candidate["more"]) % 2 == 0


def never(candidate: Candidate) -> bool:
    return False


def large(tiny: ModuleType, rule: Constraint) -> SearchSpace:
    space = SearchSpace(
        "large",
        (*tiny.SPACE.items, integer("more", 1, 2**10), integer("even_more", 1, 2**8)),
        constraints=(rule,),
    )
    with pytest.raises(SpaceError, match="before its constraints"):
        space.count()
    return space


def test_a_space_too_large_to_count(tiny: ModuleType) -> None:
    space = large(tiny, Constraint("even", even))
    check_search_space(SimpleNamespace(SPACE=space, build=tiny.build))
    nothing = large(tiny, Constraint("never", never))
    with pytest.raises(SpaceError):
        check_search_space(SimpleNamespace(SPACE=nothing, build=tiny.build))


def test_an_optimiser_that_gives_up_in_a_space_too_large_to_count(tiny: ModuleType) -> None:
    space = large(tiny, Constraint("even", even))
    goals = (Objective("error"), Objective("cost"))
    problem = Problem(space, goals, lambda codes: {"cost": np.ones(len(codes))}, frozenset({"cost"}))
    check_optimiser(load_optimiser("random"), problem, trials=3)
    lazy = SimpleNamespace(name="lazy", propose=lambda *_: None)
    with pytest.raises(AssertionError, match="gave up before"):
        check_optimiser(lazy, problem, trials=3)
