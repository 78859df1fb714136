"""Exact expected growth of the hypervolume over the discrete space, with light surrogates: no torch.

Measured objectives are Gaussian processes, or in every second proposal whatever predicts best (``hedge.py``);
known ones are exact; designs under way end as is predicted of them. Every evaluation is an observation: of a
design that is trained in parts each part, as what it says of a full training (``fidelity.py``), and of one
that is trained again with other seeds each time, so that the noise is learnt. A design that was not trained
in full counts as what is predicted of that.

A space of up to ``LISTED`` designs is priced and scored whole; of a larger one, or where designs are built
to be priced, random designs, the neighbours of the front, and then the neighbours of the best.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.evaluation import Evaluation, latest
from codesign.optimisers.hedge import hedged
from codesign.optimisers.learning import LEAST, Learner, in_full
from codesign.optimisers.observed import Observations, scored
from codesign.optimisers.problem import Codes, Problem, Proposal
from codesign.optimisers.proposing import START, best_row, coordinates, reference_of, start_row
from codesign.optimisers.surrogates import Scale
from codesign.optimisers.threads import on_one_thread
from codesign.pareto import non_dominated
from codesign.space import Candidate

__all__ = ["EHVI"]

LISTED = 100_000
POOL = 1024
NO_GAIN = "ehvi: nothing is expected to gain"

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
        self._learner = Learner()

    def propose(
        self,
        problem: Problem,
        history: Sequence[Evaluation],
        pending: Sequence[Candidate],
        rng: np.random.Generator,
    ) -> Proposal | None:
        """The candidate of the largest expected gain; a spread-out one for the first ``START``."""
        rows = problem.space.encode([*(evaluation.candidate for evaluation in history), *pending])
        known = {row.tobytes() for row in rows}
        told = Observations.of(problem, history, rows[: len(history)])
        if len(known) < START or told.count < LEAST:
            pool = problem.draw(POOL, rng, known)
            if not len(pool):
                return None
            before = [*(evaluation.candidate for evaluation in history), *pending]
            row = start_row(problem, pool, before, known, rng)
            origin = "start" if len(known) < START else f"start: fewer than {LEAST} designs have values"
        else:
            with on_one_thread():  # threads of so small matrices wait for each other
                found = self._search(problem, history, told, pending, known, rng)
            if found is None:
                return None
            row, gain, chosen = found
            named = f"{self.name}: {chosen}" if chosen else self.name
            origin = named if np.isfinite(gain) else NO_GAIN
        return Proposal(problem.space.decode(row[None])[0], origin)

    def _search(
        self,
        problem: Problem,
        history: Sequence[Evaluation],
        told: Observations,
        pending: Sequence[Candidate],
        known: set[bytes],
        rng: np.random.Generator,
    ) -> tuple[Codes, float, str] | None:
        """Row of the largest expected gain, its logarithm, and the surrogate; None if no row is left."""
        space = problem.space
        scale = Scale.of(told.values, problem.goals)
        surrogates = self._learner.surrogates(problem, told)
        surrogates, chosen = hedged(surrogates)
        designs = told.designs()
        front = in_full(problem, surrogates, designs, scale)
        once = len(known) == len(history) + len(pending)
        ended = scored(problem, history if once else latest(history))
        corner = reference_of(problem, ended, front, scale)
        best = designs.codes[non_dominated(front)]
        if len(pending):
            waiting = space.encode(pending)
            surrogates = surrogates.supposing(coordinates(problem, waiting))
            supposed, _ = surrogates.predict(coordinates(problem, waiting), problem.known_values(waiting))
            front = np.concatenate([front, supposed])

        def score(rows: Codes) -> FloatArray:
            return surrogates.log_gains(coordinates(problem, rows), problem.known_values(rows), front, corner)

        if problem.lists(LISTED):
            listed = self._list(problem)
            new = listed.new(known)
            if not len(new):
                return None
            gains = surrogates.log_gains(listed.inputs[new], listed.known[new], front, corner)
            return listed.codes[new[gains.argmax()]], float(gains.max()), chosen
        pool = problem.draw(POOL, rng, known)
        if not len(pool):
            return None
        near = [space.neighbour_codes(row) for row in best]
        row = best_row(problem, score, np.concatenate([pool, *near]), known)
        return row, float(score(row[None])[0]), chosen

    def _list(self, problem: Problem) -> _Listed:
        if self._listed is None or self._listed.problem is not problem:
            self._listed = _Listed.of(problem)
        return self._listed
