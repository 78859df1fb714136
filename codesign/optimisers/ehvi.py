"""Exact expected growth of the hypervolume over the discrete space, with light surrogates: no torch.

Measured objectives are Gaussian processes, known ones exact, designs under way end as is predicted of them.
A space of up to ``LISTED`` designs is priced and scored whole; of a larger one random designs, the neighbours
of the front, and then the neighbours of the best. The hyperparameters follow from the history alone: they are
fitted when a tenth of the designs is new, from where the fit before ended, so that a study that was resumed
goes on as if it had not stopped. What is kept between calls only saves doing that again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from codesign.evaluation import Evaluation, latest
from codesign.optimisers.observed import observed, scored, seen
from codesign.optimisers.problem import Codes, Problem, Proposal
from codesign.optimisers.proposing import START, best_row, coordinates, reference_of, start_row
from codesign.optimisers.surrogates import REFIT, Scale, Surrogates
from codesign.pareto import non_dominated
from codesign.space import Candidate

__all__ = ["EHVI"]

LEAST = 2
LISTED = 100_000
POOL = 1024

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Listed:
    """Every design of a problem within its budgets, with what is known of it."""

    problem: Problem
    codes: Codes
    keys: NDArray[np.bytes_]
    inputs: FloatArray
    known: FloatArray

    @classmethod
    def of(cls, problem: Problem) -> "_Listed":
        rows = problem.space.enumerate_codes()
        rows = np.ascontiguousarray(rows[problem.feasible(rows)])
        keys = rows.view(f"V{rows.shape[1] * rows.itemsize}").ravel()
        return cls(problem, rows, keys, coordinates(problem, rows), problem.known_values(rows))

    def new(self, known: set[bytes]) -> NDArray[np.int64]:
        """Numbers of the rows that are not among the known."""
        return np.flatnonzero([key.tobytes() not in known for key in self.keys])


class EHVI:
    """Bayesian optimisation by the exact expected hypervolume improvement."""

    name = "ehvi"

    def __init__(self) -> None:
        self._listed: _Listed | None = None
        self._fitted: tuple[FloatArray, FloatArray, Surrogates] | None = None

    def propose(
        self,
        problem: Problem,
        history: Sequence[Evaluation],
        pending: Sequence[Candidate],
        rng: np.random.Generator,
    ) -> Proposal | None:
        """The candidate of the largest expected gain; a spread-out one for the first ``START``."""
        known = seen(problem, history, pending)
        codes, values = observed(problem, history)
        if len(known) < START or len(codes) < LEAST:
            pool = problem.draw(POOL, rng, known)
            if not len(pool):
                return None
            before = [*(evaluation.candidate for evaluation in history), *pending]
            row, origin = start_row(problem, pool, before, known, rng), "start"
        else:
            with threadpool_limits(1):  # threads of so small matrices wait for each other
                found = self._search(problem, history, codes, values, pending, known, rng)
            if found is None:
                return None
            row, origin = found, self.name
        return Proposal(problem.space.decode(row[None])[0], origin)

    def _search(
        self,
        problem: Problem,
        history: Sequence[Evaluation],
        codes: Codes,
        values: FloatArray,
        pending: Sequence[Candidate],
        known: set[bytes],
        rng: np.random.Generator,
    ) -> Codes | None:
        """Row of the largest expected gain; None if no row is left."""
        space = problem.space
        scale = Scale.of(values)
        waiting = space.encode(pending)
        surrogates = self._surrogates(coordinates(problem, codes), values, len(problem.measured_objectives))
        front = scale(values)
        learnt = scored(problem, latest(history))
        corner = reference_of(problem, learnt, front, scale)
        if len(waiting):
            places = coordinates(problem, waiting)
            surrogates = surrogates.supposing(places)
            supposed, _ = surrogates.predict(places, problem.known_values(waiting))
            front = np.concatenate([front, supposed])

        def score(rows: Codes) -> FloatArray:
            return surrogates.log_gains(coordinates(problem, rows), problem.known_values(rows), front, corner)

        if space.bound <= LISTED:
            listed = self._list(problem)
            new = listed.new(known)
            if not len(new):
                return None
            gains = surrogates.log_gains(listed.inputs[new], listed.known[new], front, corner)
            best: Codes = listed.codes[new[gains.argmax()]]
            return best
        pool = problem.draw(POOL, rng, known)
        if not len(pool):
            return None
        near = [space.neighbour_codes(row) for row in codes[non_dominated(values)]]
        return best_row(problem, score, np.concatenate([pool, *near]), known)

    def _list(self, problem: Problem) -> _Listed:
        if self._listed is None or self._listed.problem is not problem:
            self._listed = _Listed.of(problem)
        return self._listed

    def _surrogates(self, inputs: FloatArray, values: FloatArray, measured: int) -> Surrogates:
        """Fitted at each size a tenth above the last, then with the rows since."""
        before, done = None, 0
        if self._fitted is not None:
            old_inputs, old_values, surrogates = self._fitted
            size = len(old_inputs)
            if np.array_equal(old_inputs, inputs[:size]) and np.array_equal(old_values, values[:size]):
                before, done = surrogates, size
        for size in _sizes(len(inputs)):
            if size > done:
                before = _of_first(size, inputs, values, measured, before)
                self._fitted = inputs[:size], values[:size], before
        return _of_first(len(inputs), inputs, values, measured, before)


def _sizes(count: int) -> list[int]:
    """Numbers of designs at which hyperparameters are fitted, up to ``count``."""
    sizes = [LEAST]
    while (larger := max(sizes[-1] + 1, ceil(REFIT * sizes[-1]))) <= count:
        sizes.append(larger)
    return sizes


def _of_first(
    size: int, inputs: FloatArray, values: FloatArray, measured: int, before: Surrogates | None
) -> Surrogates:
    scale = Scale.of(values[:size])
    every = np.ones(size, dtype=bool)
    return Surrogates.fit(inputs[:size], values[:size, :measured], every, scale, before, often=0)
