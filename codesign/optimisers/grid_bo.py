"""A grid over the numbers of layers, and Bayesian optimisation within each of its tiles.

This is how a conditional space is searched with a tool for flat ones, such as Ax: each combination of numbers
of layers is a *tile* with a fixed set of parameters, a search of its own with its own start, surrogate and
reference point. Nothing that is learnt in one tile is known in another. It is here to be compared with; a
search over the whole space needs fewer evaluations.

Tiles take turns: the next is the one with the fewest designs, so that a study may stop anywhere, where the
original gives each tile a number of trials beforehand. Within a tile ``QNEHVI`` searches.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from codesign.errors import SpaceError
from codesign.evaluation import Evaluation
from codesign.optimisers.problem import Codes, Problem, Proposal
from codesign.optimisers.qnehvi import QNEHVI
from codesign.space import INACTIVE, Candidate, Repeat, SearchSpace, Value

__all__ = ["GridBO"]

Tile = tuple[Value, ...]


class GridBO:
    """Bayesian optimisation in each tile of the numbers of layers, in turn."""

    name = "grid-bo"

    def propose(
        self,
        problem: Problem,
        history: Sequence[Evaluation],
        pending: Sequence[Candidate],
        rng: np.random.Generator,
    ) -> Proposal | None:
        """The proposal of the tile with the fewest designs that has one left; None if none has."""
        groups = [item for item in problem.space.items if isinstance(item, Repeat)]

        def tile_of(candidate: Candidate) -> Tile:
            return tuple(candidate[group.name] for group in groups)

        known = Counter(map(tile_of, [*(each.candidate for each in history), *pending]))
        tiles = product(*(range(group.minimum, group.maximum + 1) for group in groups))
        for tile in sorted(tiles, key=lambda sizes: known[sizes]):
            part = _part(problem, {group.name: [size] for group, size in zip(groups, tile, strict=True)})
            if part is None:
                continue
            inside = [evaluation for evaluation in history if tile_of(evaluation.candidate) == tile]
            waiting = [candidate for candidate in pending if tile_of(candidate) == tile]
            found = QNEHVI().propose(part, inside, waiting, rng)
            if found is not None:
                return Proposal(found.candidate, self._origin(found.origin))
        return None

    def _origin(self, origin: str) -> str:
        """The optimiser of the tile goes by this one's name; its start and fallbacks say what they are."""
        return {"start": "start", QNEHVI.name: self.name}.get(origin, f"{self.name}: {origin}")


def _part(problem: Problem, sizes: Mapping[str, Sequence[int]]) -> Problem | None:
    """The problem with one number of layers for each group; None if the limits leave no design of it."""
    try:
        space = problem.space.restricted(**sizes)
    except SpaceError:
        return None
    baseline = problem.baseline
    if baseline is not None and any(baseline[name] not in size for name, size in sizes.items()):
        baseline = None
    return replace(
        problem,
        space=space,
        price=lambda codes: problem.price(_outer(problem.space, space, codes)),
        baseline=baseline,
    )


def _outer(space: SearchSpace, part: SearchSpace, codes: Codes) -> Codes:
    """Codes of the whole space, shape ``(n, d)``, of codes of a part of it."""
    rows = np.full((len(codes), len(space.columns)), INACTIVE, dtype=np.int16)
    places = {name: index for index, name in enumerate(space.names)}
    for index, column in enumerate(part.columns):
        place = places[column.name]
        own = space.columns[place].parameter
        table = np.array([*(own.code(value) for value in column.parameter.values), INACTIVE], dtype=np.int16)
        rows[:, place] = table[codes[:, index]]
    return rows
