"""Active learning with a choice of surrogates, after Sherlock.

Gautier, Althoff, Crutchfield, Kastner, *Sherlock: a multi-objective design space exploration framework*,
ACM TODAES 27(4), 2022, doi 10.1145/3511472. As there: the start is by transductive experimental design;
several surrogates are fitted and one is chosen anew for every proposal; of the designs that it predicts to be
on the front, the one that promises most is taken (*exploit*), or the one it is least certain of (*explore*);
each time the front does not grow, the action changes.

What differs:

- The surrogate is the one with the least error on the newest quarter of the designs when it is fitted to the
  rest. Sherlock draws it by Thompson sampling, from how often the hypervolume grew after each was used.
- What promises most is the largest predicted growth of the hypervolume. Sherlock takes the largest sum of the
  differences to all other designs, which depends on the units and knows one point of the front only.
- The action changes when the newest result is not on the front; there, when the best sum of differences
  falls. So everything follows from the history.
- Objectives that are positive and spread are seen as logarithms. Known objectives are read exactly and not
  modelled, and are inputs of the surrogates. Designs under way count with what the surrogate predicts.
- Sherlock scores every design of a table. Here spaces above ``LISTED`` designs are sampled: random rows, and
  the neighbours of the front as measured and as predicted.

The surrogates are those of ``predictors.py``. The origin of a proposal says which one it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from codesign.evaluation import Evaluation
from codesign.optimisers.observed import observed, seen
from codesign.optimisers.predictors import LEAST, SURROGATES, Predictor, most_accurate
from codesign.optimisers.problem import Codes, Problem, Proposal
from codesign.optimisers.surrogates import Scale, reference
from codesign.optimisers.threads import on_one_thread
from codesign.pareto import hypervolume, non_dominated
from codesign.space import Candidate

__all__ = ["Sherlock"]

START = 5
LISTED = 4096
POOL = 1024
FRONT, NEAR = 64, 16
REGULARISATION = 0.1

FloatArray = NDArray[np.float64]


class Sherlock:
    """Active learning that chooses its surrogate as it goes."""

    name = "sherlock"

    def propose(
        self,
        problem: Problem,
        history: Sequence[Evaluation],
        pending: Sequence[Candidate],
        rng: np.random.Generator,
    ) -> Proposal | None:
        """A design predicted to be on the front; a spread-out one for the first ``START``."""
        known = seen(problem, history, pending)
        codes, values = observed(problem, history)
        pool = _pool(problem, codes, values, known, rng)
        if not len(pool):
            return None
        if len(known) < START or len(codes) < LEAST:
            before = problem.space.encode([*(each.candidate for each in history), *pending])
            row, origin = pool[_most_telling(problem, pool, before)], "start"
        else:
            waiting = problem.space.encode(pending)
            with on_one_thread():  # threads of so small matrices wait for each other
                row, origin = _search(problem, codes, values, waiting, pool, known, rng)
        return Proposal(problem.space.decode(row[None])[0], origin)


def _pool(
    problem: Problem, codes: Codes, values: FloatArray, known: set[bytes], rng: np.random.Generator
) -> Codes:
    """All new designs within budget if they can be listed; else random ones and the front's neighbours."""
    if problem.lists(LISTED):
        return _new(problem, problem.space.enumerate_codes(), known)
    near = [problem.space.neighbour_codes(row) for row in codes[non_dominated(values)]]
    return _new(problem, np.concatenate([problem.draw(POOL, rng, known), *near]), known)


def _new(problem: Problem, rows: Codes, known: set[bytes]) -> Codes:
    """Distinct rows within budget that are not known, in their order."""
    fresh = {row.tobytes(): row for row in rows if row.tobytes() not in known}
    found = np.array(list(fresh.values()), dtype=np.int16).reshape(-1, rows.shape[1])
    return found[problem.feasible(found)] if len(found) else found


def _most_telling(problem: Problem, pool: Codes, before: Codes) -> int:
    """Which of the pool tells most of all the others, given those before.

    Sequential transductive experimental design (Yu, Bi, Tresp, *Active learning via transductive experimental
    design*, ICML 2006, algorithm 1): the largest ``|K_x|^2 / (K_xx + mu)``, of what is left of the kernel
    ``K`` once the earlier rows are told.
    """
    rows = np.concatenate([before, pool[:POOL]])
    features = problem.space.features(rows)
    distances = cdist(features, features)
    width = np.median(distances) or 1.0
    kernel = np.exp(-((distances / width) ** 2))
    for index in range(len(before)):
        column = kernel[:, index].copy()
        kernel -= np.outer(column, column) / (column[index] + REGULARISATION)
    told = (kernel**2).sum(axis=0) / (np.diag(kernel) + REGULARISATION)
    return int(told[len(before) :].argmax())


@dataclass(frozen=True, slots=True)
class _View:
    """What the surrogates see: features and known objectives in, measured objectives out, all scaled."""

    problem: Problem
    scale: Scale
    low: FloatArray
    width: FloatArray

    @classmethod
    def of(cls, problem: Problem, values: FloatArray) -> "_View":
        scale = Scale.of(values, problem.goals)
        scaled = scale(values)
        low, width = scaled.min(axis=0), np.ptp(scaled, axis=0)
        return cls(problem, scale, low, np.where(width > 0, width, 1.0))

    def outcomes(self, values: FloatArray) -> FloatArray:
        """All objectives in units of the range seen, ``(n, m)``."""
        scaled: FloatArray = (self.scale(values) - self.low) / self.width
        return scaled

    def known(self, rows: Codes) -> FloatArray:
        """Known objectives in the same units, ``(n, k)``."""
        measured = len(self.problem.measured_objectives)
        padding = np.ones((len(rows), measured))
        return self.outcomes(np.concatenate([padding, self.problem.known_values(rows)], axis=1))[:, measured:]

    def inputs(self, rows: Codes) -> FloatArray:
        """Coordinates ``(n, f)``."""
        return np.concatenate([self.problem.space.features(rows), self.known(rows)], axis=1)

    def predicted(self, predict: Predictor, rows: Codes) -> tuple[FloatArray, FloatArray]:
        """All objectives ``(n, m)``, known ones exact, and the uncertainty of all together ``(n,)``."""
        means, uncertainty = predict(self.inputs(rows))
        return np.concatenate([means, self.known(rows)], axis=1), uncertainty.sum(axis=1)


def _search(
    problem: Problem,
    codes: Codes,
    values: FloatArray,
    pending: Codes,
    pool: Codes,
    known: set[bytes],
    rng: np.random.Generator,
) -> tuple[Codes, str]:
    """The chosen row, and which surrogate chose it."""
    view, seed = _View.of(problem, values), int(rng.integers(2**31))
    outcomes = view.outcomes(values)
    inputs, learnt = view.inputs(codes), outcomes[:, : len(problem.measured_objectives)]
    name = most_accurate(inputs, learnt, seed)
    predict = SURROGATES[name](inputs, learnt, seed)
    if len(pending):
        waiting = view.inputs(pending)
        guesses = predict(waiting)[0]
        inputs, learnt = np.concatenate([inputs, waiting]), np.concatenate([learnt, guesses])
        predict = SURROGATES[name](inputs, learnt, seed)
    means, uncertainty = view.predicted(predict, pool)
    if not problem.lists(LISTED):
        near = [problem.space.neighbour_codes(row) for row in pool[_front(means, uncertainty)[:NEAR]]]
        fresh = _new(problem, np.concatenate(near), known | {row.tobytes() for row in pool})
        if len(fresh):
            pool = np.concatenate([pool, fresh])
            means, uncertainty = view.predicted(predict, pool)
    front = _front(means, uncertainty)
    gains = _gains(outcomes, means[front])
    explore = _stalled(values, len(pending)) or not gains.max() > 0
    best = front[int((uncertainty[front] if explore else gains).argmax())]
    return pool[best], f"{Sherlock.name}: {name}"


def _front(means: FloatArray, uncertainty: FloatArray) -> NDArray[np.int64]:
    """Rows predicted to be on the front, the ``FRONT`` least certain of them."""
    front = np.flatnonzero(non_dominated(means))
    return front[np.argsort(-uncertainty[front], kind="stable")[:FRONT]]


def _gains(outcomes: FloatArray, predicted: FloatArray) -> FloatArray:
    """Hypervolume that each predicted point would add to what was seen, shape ``(q,)``."""
    corner = reference(outcomes, len(outcomes))
    front = outcomes[non_dominated(outcomes)]
    before = hypervolume(front, corner)
    return np.array([hypervolume(np.concatenate([front, row[None]]), corner) for row in predicted]) - before


def _stalled(values: FloatArray, pending: int) -> bool:
    """Whether the action is to explore: it changes with each design since the front last grew."""
    no_worse = (values[:, None, :] <= values[None, :, :]).all(axis=2)
    grew = np.logical_not(np.triu(no_worse, 1).any(axis=0))
    return bool((len(values) - 1 - int(np.flatnonzero(grew)[-1]) + pending) % 2)
