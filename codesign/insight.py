"""What a study says of its search: progress, which parameters matter, whether its surrogates know any."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from codesign.evaluation import Evaluation, latest
from codesign.objectives import Objective
from codesign.optimisers.gaussian import GaussianProcess
from codesign.pareto import dominance_ranks, hypervolume
from codesign.space import SearchSpace

__all__ = ["Insight", "hypervolume_trace", "importance", "surrogate_errors"]

FloatArray = NDArray[np.float64]
FEWEST: Final = 8
"""Designs below which nothing is said of parameters and surrogates."""
ENOUGH: Final = 20
"""Designs below which what is said of them is hardly more than a guess."""
TREES: Final = 100
REPEATS: Final = 3


@dataclass(frozen=True, slots=True)
class Insight:
    """What can be said of a search.

    Parameters
    ----------
    trace
        Hypervolume after each evaluation, in the product of the objectives' units.
    importance
        Parameter to its share in what decides how near a design is to the front; they add up to 1. Empty
        where the designs are too few, or tell nothing.
    surrogate_errors
        Measured objective to the leave-one-out error of a Gaussian process, in standard deviations of what
        was measured: 1 is what the mean would have.
    health
        The same in words.
    designs
        Designs that importance and errors were computed of: those that ended well, each once.
    """

    trace: tuple[float, ...]
    importance: dict[str, float]
    surrogate_errors: dict[str, float]
    health: str
    designs: int

    @classmethod
    def of(
        cls,
        space: SearchSpace,
        history: Sequence[Evaluation],
        objectives: tuple[Objective, ...],
        measured: Sequence[str],
        seed: int = 0,
    ) -> "Insight":
        """Of the evaluations of a study, in order; ``measured`` are the objectives that were learnt."""
        errors = surrogate_errors(space, history, [goal for goal in objectives if goal.name in measured])
        trace = hypervolume_trace(history, objectives)
        shares = importance(space, history, objectives, seed)
        designs = sum(each.ok for each in latest(history))
        return cls(tuple(trace.tolist()), shares, errors, _health(errors), designs)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def _health(errors: dict[str, float]) -> str:
    if not errors:
        return f"nothing to say of the surrogates before {FEWEST} designs were measured"
    lost = [name for name, error in errors.items() if error >= 1]
    if lost:
        return (
            f"surrogate of {', '.join(lost)} no better than the mean: designs are as good as drawn at random"
        )
    worst = max(errors, key=lambda name: errors[name])
    return (
        f"surrogates predict what they have not seen: leave-one-out error {errors[worst]:.2f} standard "
        f"deviations of {worst}"
    )


def hypervolume_trace(history: Sequence[Evaluation], objectives: tuple[Objective, ...]) -> FloatArray:
    """Hypervolume after each evaluation, shape ``(n,)``.

    The reference point is that of the whole front: the worst value seen of each objective and a tenth of its
    range. Evaluations that did not end well, or break a budget, add nothing.
    """
    values = np.array([_within(evaluation, objectives) for evaluation in history]).reshape(
        -1, len(objectives)
    )
    seen = np.isfinite(values).all(axis=1)
    if not seen.any():
        return np.zeros(len(history))
    corner = values[seen].max(axis=0) + 0.1 * np.ptp(values[seen], axis=0)
    volumes, kept = np.zeros(len(history)), np.zeros((0, len(objectives)))
    for index in np.flatnonzero(seen):
        kept = np.concatenate([kept, values[index][None]])
        kept = kept[dominance_ranks(kept) == 0]
        volumes[index] = hypervolume(kept, corner)
    trace: FloatArray = np.maximum.accumulate(volumes)
    return trace


def _within(evaluation: Evaluation, objectives: tuple[Objective, ...]) -> tuple[float, ...]:
    """Values that are minimised; NaN of what did not end well or breaks a budget."""
    if evaluation.ok and all(goal.admits(evaluation.value(goal.name)) for goal in objectives):
        return evaluation.minimised(objectives)
    return (float("nan"),) * len(objectives)


def importance(
    space: SearchSpace, history: Sequence[Evaluation], objectives: tuple[Objective, ...], seed: int = 0
) -> dict[str, float]:
    """Share of each parameter in what decides how near a design is to the front, the largest first.

    A random forest learns the logarithm of the non-dominated rank from the parameters (one that does not
    exist is a value of its own); a parameter's share is by how much the forest errs more with its values
    permuted (Breiman, *Random forests*, Machine Learning 45, 2001, section 10), on designs that the trees
    have not seen. Empty for fewer than ``FEWEST`` designs, and where the forest predicts no better than the
    mean.
    """
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance
    from sklearn.model_selection import KFold

    learnt = [evaluation for evaluation in latest(history) if evaluation.ok]
    if len(learnt) < FEWEST:
        return {}
    codes = space.encode([evaluation.candidate for evaluation in learnt])
    target = np.log1p(dominance_ranks(np.array([each.minimised(objectives) for each in learnt])))
    shares, scores = np.zeros(codes.shape[1]), []
    for others, unseen in KFold(5, shuffle=True, random_state=seed).split(codes):
        forest = RandomForestRegressor(TREES, min_samples_leaf=2, random_state=seed)
        forest.fit(codes[others], target[others])
        predicted = forest.predict(codes[unseen])
        scores.append(((predicted - target[unseen]) ** 2).sum())
        found = permutation_importance(
            forest,
            codes[unseen],
            target[unseen],
            n_repeats=REPEATS,
            random_state=seed,
            scoring="neg_mean_squared_error",
        )
        shares += np.maximum(found.importances_mean, 0.0)
    if sum(scores) >= ((target - target.mean()) ** 2).sum() or not shares.sum():
        return {}
    order = np.argsort(-shares, kind="stable")
    return {space.names[index]: float(shares[index] / shares.sum()) for index in order}


def surrogate_errors(
    space: SearchSpace, history: Sequence[Evaluation], measured: Sequence[Objective]
) -> dict[str, float]:
    """Root mean square of leave-one-out errors in standard deviations of each measured objective.

    Of a Gaussian process over ``space.features``, of logarithms where all values are positive. Empty for
    fewer than ``FEWEST`` designs; an objective that never changed is left out.
    """
    learnt = [evaluation for evaluation in latest(history) if evaluation.ok]
    if len(learnt) < FEWEST:
        return {}
    inputs = space.features(space.encode([evaluation.candidate for evaluation in learnt]))
    errors = {}
    for goal in measured:
        values = np.array([evaluation.value(goal.name) for evaluation in learnt])
        outcomes = np.log(values) if values.min() > 0 else values
        spread = outcomes.std()
        if spread > 0:
            with threadpool_limits(1):  # threads of so small matrices wait for each other
                mean, _ = GaussianProcess.fit(inputs, outcomes).leave_one_out()
            errors[goal.name] = float(np.sqrt(np.mean((mean - outcomes) ** 2)) / spread)
    return errors
