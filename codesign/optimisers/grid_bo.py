"""A grid over the numbers of layers, and Bayesian optimisation within each of its tiles.

This is how a conditional space is searched with a tool for flat ones, such as Ax: each combination of numbers
of layers is a *tile* with a fixed set of parameters, a search of its own with its own start, surrogate and
reference point. Nothing that is learnt in one tile is known in another. It is here to be compared with; a
search over the whole space needs fewer evaluations.

Tiles take turns of ``TURN`` designs, which is a start and some of the search behind it, so that a study may
stop anywhere, where the original gives each tile a number of trials beforehand. The first turn is the
baseline's tile's, or that of the fewest layers; then the tile farthest from all before, until each has had
one. Where there are more tiles than turns, some are never looked at: that is what a search in tiles costs.
Within a tile ``QNEHVI`` searches.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from codesign.errors import SpaceError
from codesign.evaluation import Evaluation
from codesign.optimisers.problem import Codes, Problem, Proposal
from codesign.optimisers.proposing import START
from codesign.optimisers.qnehvi import QNEHVI
from codesign.space import INACTIVE, Candidate, Repeat, SearchSpace

__all__ = ["GridBO"]

Tile = tuple[int, ...]
TURN = START + 4


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
        """The proposal of the tile whose turn it is, or of the next that has one left; None if none has."""
        groups = [item for item in problem.space.items if isinstance(item, Repeat)]

        def tile_of(candidate: Candidate) -> Tile:
            return tuple(int(candidate[group.name]) for group in groups)

        designs = dict.fromkeys([*(each.candidate for each in history), *pending])
        known = Counter(map(tile_of, designs))
        sizes = [range(each.minimum, each.maximum + 1) for each in groups]
        tiles = list(product(*sizes))
        first = tiles[0] if problem.baseline is None else tile_of(problem.baseline)
        for tile in _by_turn(_spread(tiles, first), known):
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


def _by_turn(tiles: Sequence[Tile], known: Mapping[Tile, int]) -> list[Tile]:
    """Those of the fewest turns first, of these the one whose turn has begun, then in their order."""
    return sorted(tiles, key=lambda tile: (known[tile] // TURN, known[tile] % TURN == 0))


def _spread(tiles: Sequence[Tile], first: Tile) -> list[Tile]:
    """Each the farthest from all before."""
    places = np.array(tiles, dtype=np.float64).reshape(len(tiles), -1)
    order, away = [list(tiles).index(first)], np.full(len(tiles), np.inf)
    while len(order) < len(tiles):
        away = np.minimum(away, ((places - places[order[-1]]) ** 2).sum(axis=1))
        away[order] = -1.0
        order.append(int(away.argmax()))
    return [tiles[index] for index in order]


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
