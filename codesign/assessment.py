"""Searches with the same objectives by one measure: the hypervolume to one reference point."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.errors import StoreError
from codesign.evaluation import Evaluation
from codesign.objectives import Objective
from codesign.pareto import Front, hypervolume, non_dominated

__all__ = ["Assessment", "Search", "Standing", "assess"]


@dataclass(frozen=True, slots=True)
class Search:
    """What one search did.

    Parameters
    ----------
    name
        What tables call it.
    history
        Everything that ended, in order of proposal; a design that is trained rung by rung has several.
    objectives
        What it traded, with its own budgets.
    given
        What it knew from the start, of earlier searches: none of its designs, and no steps of its own.
    """

    name: str
    history: tuple[Evaluation, ...]
    objectives: tuple[Objective, ...]
    given: tuple[Evaluation, ...] = ()

    @property
    def designs(self) -> int:
        """How many it evaluated."""
        return len({each.candidate for each in self.history})

    @property
    def steps(self) -> int:
        """Optimiser steps of its trainings; a training that goes on from a rung is counted once."""
        spent = {each.candidate: 0 for each in self.history}
        for each in self.history:
            spent[each.candidate] = max(spent[each.candidate], each.steps)
        return sum(spent.values())

    def front(self, designs: int | None = None) -> Front:
        """Of everything, or of what was known before another design than the first ``designs`` ended."""
        known, seen = list(self.given), set()
        for each in self.history:
            seen.add(each.candidate)
            if designs is not None and len(seen) > designs:
                break
            known.append(each)
        return Front.of(known, self.objectives)


@dataclass(frozen=True, slots=True)
class Standing:
    """One search by the common measure.

    Parameters
    ----------
    name
        Of the search.
    designs, steps
        How many it evaluated, and optimiser steps of their trainings.
    front
        Designs on its front.
    hypervolume, share
        Of its front, to the common reference point; the same over that of the union of all fronts, None
        where that has none.
    at_equal_designs
        Hypervolume after as many designs as the shortest of the searches has.
    on_union
        Designs of its front that no design of any search dominates.
    best
        Best value of each objective on its front, by name; empty without a front.
    """

    name: str
    designs: int
    steps: int
    front: int
    hypervolume: float
    share: float | None
    at_equal_designs: float
    on_union: int
    best: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Assessment:
    """Searches by one measure.

    Parameters
    ----------
    objectives
        What all of them trade.
    reference
        Reference point of every hypervolume, in the units of the objectives.
    budgets
        Objectives whose reference is the budget that all searches have; of the others it is the worst value
        on the compared fronts and a tenth of their range.
    equal_designs
        Designs of the shortest search.
    hypervolume
        Of the union of the fronts.
    union
        The front of all of them, the best of the first objective first: the search and its evaluation. What
        several searches found stands there for each of them.
    points, shared
        Different points on that front, and those of them that several searches found.
    standings
        One a search, in the order given.
    """

    objectives: tuple[Objective, ...]
    reference: tuple[float, ...]
    budgets: tuple[str, ...]
    equal_designs: int
    hypervolume: float
    union: tuple[tuple[str, Evaluation], ...]
    points: int
    shared: int
    standings: tuple[Standing, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, without the standings."""
        names = [goal.name for goal in self.objectives]
        return {
            "objectives": [{"name": goal.name, "sense": goal.sense} for goal in self.objectives],
            "reference": dict(zip(names, self.reference, strict=True)),
            "reference_is": {name: "budget" if name in self.budgets else "worst" for name in names},
            "equal_designs": self.equal_designs,
            "union": {
                "hypervolume": self.hypervolume,
                "points": self.points,
                "shared": self.shared,
                "front": [
                    {
                        "study": search,
                        "digest": each.candidate.digest,
                        **{name: each.value(name) for name in names},
                    }
                    for search, each in self.union
                ],
            },
        }


def assess(searches: Sequence[Search]) -> Assessment:
    """Set searches side by side; raise ``StoreError`` if none of them has a front.

    The reference point is the budget of each objective for which all have the same, else the worst value on
    the compared fronts and a tenth of their range.

    Parameters
    ----------
    searches
        At least one, each with a name of its own; all trade the same objectives, in whatever order.
    """
    objectives = searches[0].objectives
    members = [(search.name, each) for search in searches for each in search.front()]
    if not members:
        raise StoreError(
            "none of the studies has a front: none of their designs was trained to the end within the budgets"
        )
    points = _points([each for _, each in members], objectives)
    corner, budgets = _reference(searches, points)
    best, least = non_dominated(points), min(search.designs for search in searches)
    union = [members[index] for index in sorted(np.flatnonzero(best), key=lambda index: tuple(points[index]))]
    whole = hypervolume(points, corner)
    finders: dict[tuple[float, ...], set[str]] = {}
    for name, each in union:
        finders.setdefault(each.minimised(objectives), set()).add(name)
    return Assessment(
        objectives,
        tuple(float(goal.sign * bound) for goal, bound in zip(objectives, corner, strict=True)),
        budgets,
        least,
        whole,
        tuple(union),
        len(finders),
        sum(len(names) > 1 for names in finders.values()),
        tuple(_standing(search, objectives, corner, whole, least, union) for search in searches),
    )


def _points(front: Iterable[Evaluation], objectives: tuple[Objective, ...]) -> NDArray[np.float64]:
    """Values that are minimised, ``(n, m)``."""
    return np.array([each.minimised(objectives) for each in front]).reshape(-1, len(objectives))


def _reference(
    searches: Sequence[Search], points: NDArray[np.float64]
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Reference point, minimised, and the objectives of which it is the budget."""
    corner, budgets = points.max(axis=0) + 0.1 * np.ptp(points, axis=0), []
    for place, goal in enumerate(searches[0].objectives):
        given = {each.budget for search in searches for each in search.objectives if each.name == goal.name}
        if len(given) == 1 and goal.budget is not None:
            corner[place] = goal.sign * goal.budget
            budgets.append(goal.name)
    return corner, tuple(budgets)


def _standing(
    search: Search,
    objectives: tuple[Objective, ...],
    corner: NDArray[np.float64],
    whole: float,
    least: int,
    union: Sequence[tuple[str, Evaluation]],
) -> Standing:
    front = search.front()
    points = _points(front, objectives)
    volume = hypervolume(points, corner)
    best = points.min(axis=0) if len(points) else ()
    return Standing(
        name=search.name,
        designs=search.designs,
        steps=search.steps,
        front=len(front),
        hypervolume=volume,
        share=volume / whole if whole else None,
        at_equal_designs=hypervolume(_points(search.front(least), objectives), corner),
        on_union=sum(name == search.name for name, _ in union),
        best={goal.name: float(goal.sign * value) for goal, value in zip(objectives, best, strict=False)},
    )
