"""What an optimiser is given: a space, objectives, and the exact costs of any candidate."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from codesign.errors import BudgetError
from codesign.evaluation import Evaluation
from codesign.objectives import Objective
from codesign.space import Candidate, SearchSpace
from codesign.space.space import share_error

__all__ = ["Optimiser", "Problem", "Proposal", "Survey", "unseen"]

Codes = NDArray[np.int16]
CHUNK = 4096
DRAWS = 32
REACH = 1024
POOLED = 2048
FRESH = 64


@dataclass(frozen=True, slots=True)
class Proposal:
    """A candidate to evaluate, and where it came from."""

    candidate: Candidate
    origin: str


class Optimiser(Protocol):
    """Chooses what to evaluate next."""

    name: str

    def propose(
        self,
        problem: "Problem",
        history: Sequence[Evaluation],
        pending: Sequence[Candidate],
        rng: np.random.Generator,
    ) -> Proposal | None:
        """The next candidate, within budget and neither in the history nor pending; None if none is left.

        A design that is trained in parts has several evaluations in the history, ``latest`` the last of them.
        """


@dataclass(frozen=True, slots=True)
class Survey:
    """What can be said of a search before anything is trained.

    ``size`` counts the candidates, exactly where ``size_error`` is 0: of a space with constraints that is too
    large to list it is estimated, with half of Wilson's interval of one standard deviation; ``ranges`` holds
    the lowest and highest cost found by descent;
    ``share`` is the part of all candidates within the budgets, estimated on ``drawn`` uniform draws with the
    error ``share_error``: half of Wilson's interval of one standard deviation, so never 0.
    """

    size: int
    size_error: float
    ranges: Mapping[str, tuple[float, float]]
    share: float
    share_error: float
    drawn: int


@dataclass(frozen=True)
class Problem:
    """A search problem.

    Parameters
    ----------
    space
        Where candidates come from.
    objectives
        What is traded; the known ones are exact before training.
    price
        Maps codes ``(n, d)`` to the costs of all known names, arrays ``(n,)``.
    known
        Names that ``price`` returns.
    limits
        Known costs that are bounded but not traded.
    baseline
        A design known to be sensible, to start from and to measure against; None if there is none.
    steps
        Of a full training, where designs are trained in parts; 0 where each is trained to the end at once.
    one_by_one
        Whether each design is built to be priced, once. Of a space above ``POOLED`` designs proposals are
        chosen among so many then, which are the same for all, and ``FRESH`` more for each.
    """

    space: SearchSpace
    objectives: tuple[Objective, ...]
    price: Callable[[Codes], Mapping[str, NDArray[np.float64]]]
    known: frozenset[str]
    limits: tuple[Objective, ...] = ()
    baseline: Candidate | None = None
    steps: int = 0
    one_by_one: bool = False

    @property
    def sampled(self) -> bool:
        """Whether the space has more designs than are to be built."""
        return self.one_by_one and self.space.bound > POOLED

    def lists(self, most: int) -> bool:
        """Whether the whole space can be priced, where an optimiser takes up to ``most`` designs."""
        return self.space.bound <= most and not self.sampled

    @cached_property
    def _pool(self) -> Codes:
        """The designs that are built in any case."""
        return self.space.sample_codes(POOLED, np.random.default_rng(0), balanced=True)

    @cached_property
    def _last(self) -> list[tuple[Codes, Mapping[str, NDArray[np.float64]]]]:
        return []

    def costs(self, codes: Codes) -> Mapping[str, NDArray[np.float64]]:
        """``price``, kept of the rows that were asked for last: several readers ask for the same."""
        if not (self._last and np.array_equal(self._last[0][0], codes)):
            self._last[:] = [(codes.copy(), self.price(codes))]
        return self._last[0][1]

    def fidelity(self, evaluation: Evaluation) -> float:
        """Logarithm of the part of a full training that an evaluation has behind it; 0 of a full one."""
        return math.log(min(evaluation.steps / self.steps, 1.0)) if self.steps and evaluation.steps else 0.0

    @property
    def goals(self) -> tuple[Objective, ...]:
        """The objectives in the order of optimisers' arrays: measured ones, then known ones."""
        return (*self.measured_objectives, *self.known_objectives)

    @property
    def measured_objectives(self) -> tuple[Objective, ...]:
        """Objectives that only training tells."""
        return tuple(goal for goal in self.objectives if goal.name not in self.known)

    @property
    def known_objectives(self) -> tuple[Objective, ...]:
        """Objectives that are exact functions of the candidate."""
        return tuple(goal for goal in self.objectives if goal.name in self.known)

    @property
    def bounded(self) -> tuple[Objective, ...]:
        """Known objectives and limits that have a budget."""
        return tuple(goal for goal in (*self.known_objectives, *self.limits) if goal.budget is not None)

    def known_values(self, codes: Codes) -> NDArray[np.float64]:
        """Known objectives, shape ``(n, k)``, signed so that less is better."""
        costs = self.costs(codes)
        columns = [goal.sign * costs[goal.name] for goal in self.known_objectives]
        return np.stack(columns, axis=1) if columns else np.zeros((len(codes), 0))

    def excess(self, codes: Codes) -> NDArray[np.float64]:
        """Largest relative excess over a known budget, shape ``(n,)``; at most 0 within all budgets."""
        excess = np.full(len(codes), -np.inf)
        if not self.bounded:
            return excess
        costs = self.costs(codes)
        for goal in self.bounded:
            excess = np.maximum(excess, _excess(costs[goal.name], goal))
        return excess

    def feasible(self, codes: Codes) -> NDArray[np.bool_]:
        """Which rows keep every known budget, shape ``(n,)``."""
        return self.excess(codes) <= 0

    def over_budget(self, candidate: Candidate) -> str:
        """Which known budgets a candidate breaks and by what value; empty if none."""
        costs = self.price(self.space.encode([candidate]))
        return "; ".join(
            f"{goal.name} is {costs[goal.name][0]:.6g}, budget {goal.budget:.6g}"
            for goal in self.bounded
            if not goal.admits(float(costs[goal.name][0]))
        )

    def draw(self, count: int, rng: np.random.Generator, exclude: Iterable[bytes] = ()) -> Codes:
        """Up to ``count`` distinct rows within budget, none of which is in ``exclude`` (``row.tobytes()``).

        The numbers of layers are drawn evenly. Fewer rows come back only if hardly more exist, or hardly more
        are to be built.
        """
        seen = set(exclude)
        kept: list[Codes] = []
        if self.sampled:
            self._draw_built(count, rng, seen, kept)
            return self._first(count, kept)
        tries = 2 if self.space.bound <= CHUNK else DRAWS
        for attempt in range(tries):
            if len(kept) >= count:
                break
            size = min(2 * max(count, 32) << attempt, CHUNK)
            self._keep_new(self.space.sample_codes(size, rng, balanced=True), seen, kept)
        else:
            self._search_new(count, rng, seen, kept)
        return self._first(count, kept)

    def _first(self, count: int, kept: list[Codes]) -> Codes:
        return np.array(kept[:count], dtype=np.int16).reshape(-1, len(self.space.columns))

    def _draw_built(self, count: int, rng: np.random.Generator, seen: set[bytes], kept: list[Codes]) -> None:
        """Some fresh rows, then the pool; where these hold too few, the surroundings of the best.

        If that holds none, all rows of a space that can be listed, until some are found.
        """
        self._keep_new(self.space.sample_codes(FRESH, rng, balanced=True), seen, kept)
        if len(kept) < count:
            self._keep_new(rng.permutation(self._pool), seen, kept)
        enough = min(count, FRESH)
        if len(kept) < enough:
            best = self._pool[self.excess(self._pool).argmin()]
            self._surround(self._descend(best, self.excess)[0], enough, POOLED, rng, seen, kept)
        if not kept and self.space.bound <= CHUNK * DRAWS:
            rows = rng.permutation(self.space.enumerate_codes())
            for start in range(0, len(rows), REACH):
                self._keep_new(rows[start : start + REACH], seen, kept)
                if kept:
                    break

    def _keep_new(self, rows: Codes, seen: set[bytes], kept: list[Codes]) -> None:
        """Append those rows within budget that were not seen, and mark all as seen: none is priced twice."""
        fresh = np.array(unseen(rows, seen), dtype=np.int16).reshape(-1, rows.shape[1])
        if len(fresh):
            kept += list(fresh[self.feasible(fresh)])

    def _search_new(self, count: int, rng: np.random.Generator, seen: set[bytes], kept: list[Codes]) -> None:
        """Where chance finds too few: all if the space is small, else around the one farthest inside."""
        if self.space.bound <= CHUNK * DRAWS:
            rows = self.space.enumerate_codes()
            self._keep_new(rows[rng.permutation(len(rows))], seen, kept)
            return
        self._surround(self.least(self.excess, rng)[0], max(count, REACH), math.inf, rng, seen, kept)

    def _surround(
        self,
        row: Codes,
        enough: int,
        most: float,
        rng: np.random.Generator,
        seen: set[bytes],
        kept: list[Codes],
    ) -> None:
        """Append the rows within budget that neighbours within budget lead to from one of them.

        All of them if they are few, else some, in random order; ``most`` bounds how many are looked at.
        """
        reached: set[bytes] = set()
        frontier: list[Codes] = []
        rows = row[None]
        while True:
            before = len(frontier)
            self._keep_new(rows, reached, frontier)
            kept += unseen(frontier[before:], seen)
            if not frontier or len(kept) >= enough or len(reached) >= most:
                break
            rows = self.space.neighbour_codes(frontier.pop(rng.integers(len(frontier))))
        rng.shuffle(kept)

    def least(
        self, score: Callable[[Codes], NDArray[np.float64]], rng: np.random.Generator, starts: int = 4
    ) -> tuple[Codes, float]:
        """Row with the least score: exactly if the space is small, else by descent from a random sample."""
        small = self.space.bound <= CHUNK
        sample = self.space.enumerate_codes() if small else self.space.sample_codes(CHUNK, rng, balanced=True)
        best = sample[np.argsort(score(sample), kind="stable")[:starts]]
        found = [self._descend(row, score) for row in best]
        return min(found, key=lambda pair: pair[1])

    def _descend(self, row: Codes, score: Callable[[Codes], NDArray[np.float64]]) -> tuple[Codes, float]:
        value = float(score(row[None])[0])
        while True:
            near = self.space.neighbour_codes(row)
            scores = score(near) if len(near) else np.array([np.inf])
            if not scores.min() < value:
                return row, value
            row, value = near[int(scores.argmin())], float(scores.min())

    def survey(self, names: Iterable[str], rng: np.random.Generator, draws: int = 10_000) -> Survey:
        """Size of the space, ranges of the named costs, and the share of candidates within the budgets."""
        ranges = {}
        for name in names:
            lowest = self.least(partial(self._signed_cost, name, 1.0), rng)[1]
            highest = self.least(partial(self._signed_cost, name, -1.0), rng)[1]
            ranges[name] = (lowest, -highest)
        share = float(self.feasible(self.space.sample_codes(draws, rng)).mean())
        exact = not self.space.constraints or self.space.bound <= CHUNK * DRAWS
        size, size_error = (self.space.count(), 0.0) if exact else self.space.estimate_count(rng, draws)
        return Survey(round(size), size_error, ranges, share, share_error(share, draws), draws)

    def _signed_cost(self, name: str, sign: float, codes: Codes) -> NDArray[np.float64]:
        cost: NDArray[np.float64] = sign * self.price(codes)[name]
        return cost

    def check_budgets(self, rng: np.random.Generator) -> None:
        """Raise ``BudgetError``, with the cost of the cheapest design, if no design keeps the budgets."""
        if not self.bounded:
            return
        nearest, excess = self.least(self.excess, rng)
        if excess <= 0:
            return
        lines = []
        for goal in self.bounded:
            row, _ = self.least(partial(self._excess_of, goal), rng)
            value = self.price(row[None])[goal.name][0]
            design = self.space.decode(row[None])[0]
            lines.append(f"{goal.name}: budget {goal.budget:.6g}, best possible {value:.6g} ({design})")
        raise BudgetError(
            f"no design keeps the budgets. {'. '.join(lines)}. "
            f"The nearest to all of them: {self.over_budget(self.space.decode(nearest[None])[0])}. "
            "Raise a budget or widen the space"
        )

    def _excess_of(self, goal: Objective, codes: Codes) -> NDArray[np.float64]:
        return _excess(self.price(codes)[goal.name], goal)


def unseen(rows: Iterable[Codes], seen: set[bytes]) -> list[Codes]:
    """Distinct rows that are not in ``seen``; they are added to it."""
    fresh = []
    for row in rows:
        key = row.tobytes()
        if key not in seen:
            seen.add(key)
            fresh.append(row)
    return fresh


def _excess(values: NDArray[np.float64], goal: Objective) -> NDArray[np.float64]:
    """Relative excess over a budget, shape ``(n,)``; at most 0 within it."""
    assert goal.budget is not None
    excess: NDArray[np.float64] = goal.sign * (values - goal.budget) / max(abs(goal.budget), 1e-12)
    return excess
