"""Dominance, the front, and how good a front is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from codesign.evaluation import Evaluation, Reference, latest
from codesign.objectives import Objective

__all__ = ["Front", "adrs", "dominance_ranks", "hypervolume", "non_dominated"]

Points = NDArray[np.float64]
CHUNK = 256


def non_dominated(costs: Points) -> NDArray[np.bool_]:
    """Mark the points that no other point dominates.

    Parameters
    ----------
    costs
        Shape ``(n, m)``: ``n`` points, ``m`` objectives, every one minimised.

    Returns
    -------
    mask
        Shape ``(n,)``. Equal points do not dominate each other, so duplicates stay.
    """
    if len(costs) <= CHUNK:
        return np.logical_not(_dominates(costs, costs).any(axis=0))
    order = np.lexsort(costs.T[::-1])  # what dominates a point comes before it
    kept = order[:0]
    for start in range(0, len(costs), CHUNK):
        rows = order[start : start + CHUNK]
        rows = rows[~_dominates(costs[kept], costs[rows]).any(axis=0)]
        kept = np.append(kept, rows[~_dominates(costs[rows], costs[rows]).any(axis=0)])
    mask = np.zeros(len(costs), dtype=np.bool_)
    mask[kept] = True
    return mask


def dominance_ranks(costs: Points) -> NDArray[np.int64]:
    """Non-dominated rank of each point: 0 on the front, 1 on the front of the rest, and so on.

    Non-dominated sorting (Deb et al., *A fast and elitist multiobjective genetic algorithm: NSGA-II*,
    IEEE TEC 6(2), 2002, section III.A).

    Parameters
    ----------
    costs
        Shape ``(n, m)``, every objective minimised.

    Returns
    -------
    ranks
        Shape ``(n,)``. Equal points have equal ranks.
    """
    dominates = _dominates(costs, costs)
    above = dominates.sum(axis=0)
    ranks = np.full(len(costs), -1, dtype=np.int64)
    rank = 0
    while (left := ranks < 0).any():
        layer = left & (above == 0)
        ranks[layer] = rank
        above = above - dominates[layer].sum(axis=0)
        rank += 1
    return ranks


def _dominates(first: Points, second: Points) -> NDArray[np.bool_]:
    """Whether the point of the row dominates that of the column, shape ``(len(first), len(second))``."""
    a, b = first[:, None, :], second[None, :, :]
    return np.logical_and((a <= b).all(axis=-1), (a < b).any(axis=-1))


def hypervolume(costs: Points, reference: Points) -> float:
    """Volume dominated by some points and bounded by a reference point, exactly.

    By slicing along the last objective (While et al., *A faster algorithm for calculating hypervolume*,
    IEEE TEC 10(1), 2006, the "HSO" algorithm).

    Parameters
    ----------
    costs
        Shape ``(n, m)``, every objective minimised.
    reference
        Shape ``(m,)``. Points that do not lie below it in every objective add nothing.
    """
    inside = costs[(costs < reference).all(axis=1)]
    if not len(inside):
        return 0.0
    inside = inside[non_dominated(inside)]
    if inside.shape[1] == 1:
        return float(reference[0] - inside.min())
    ordered = inside[np.argsort(inside[:, -1], kind="stable")]
    if inside.shape[1] == 2:
        heights = np.diff(np.append(ordered[:, 1], reference[1]))
        return float(((reference[0] - ordered[:, 0]) * heights).sum())
    heights = np.diff(np.append(ordered[:, -1], reference[-1]))
    slices = [hypervolume(ordered[: i + 1, :-1], reference[:-1]) for i in np.flatnonzero(heights)]
    return float(np.dot(slices, heights[heights > 0]))


def adrs(front: Points, found: Points) -> float:
    """Average distance from a reference set, 0 for a perfect front.

    Mean over the true front of the smallest, over the found points, of the largest relative excess:
    ``max(0, max_j (f_j - t_j) / t_j)`` (Palermo, Silvano, Zaccaria, IEEE TCAD 28(12), 2009).

    Parameters
    ----------
    front, found
        Shapes ``(r, m)`` and ``(n, m)``, positive, minimised. Infinite if nothing was found.
    """
    excess = (found[None, :, :] - front[:, None, :]) / front[:, None, :]
    return float(np.maximum(excess.max(axis=2), 0.0).min(axis=1, initial=np.inf).mean())


@dataclass(frozen=True, slots=True, repr=False)
class Front:
    """The evaluations that none dominates.

    Parameters
    ----------
    evaluations
        On the front, the best of the first objective first.
    objectives
        What is traded.
    reference
        Reference point of the hypervolume, in the units of the objectives.
    hypervolume
        Volume between the front and the reference point, in the product of the units.
    """

    evaluations: tuple[Evaluation, ...]
    objectives: tuple[Objective, ...]
    reference: tuple[float, ...]
    hypervolume: float

    @classmethod
    def of(
        cls,
        history: Sequence[Evaluation],
        objectives: Sequence[Objective],
        reference: Sequence[float] | None = None,
    ) -> Self:
        """Front of those evaluations that ended well and keep every budget.

        Parameters
        ----------
        history
            Evaluations in order; of a design that has several, ``latest`` counts.
        objectives
            What is traded.
        reference
            Reference point; by default the worst value seen of each objective and a tenth of its range.
        """
        objectives = tuple(objectives)
        kept = [
            evaluation
            for evaluation in latest(history)
            if evaluation.ok and all(goal.admits(evaluation.value(goal.name)) for goal in objectives)
        ]
        signs = np.array([goal.sign for goal in objectives], dtype=np.float64)
        if not kept:
            corner = () if reference is None else tuple(map(float, reference))
            return cls((), objectives, corner, 0.0)
        costs = np.array([evaluation.minimised(objectives) for evaluation in kept])
        bound = (
            costs.max(axis=0) + 0.1 * np.ptp(costs, axis=0)
            if reference is None
            else signs * np.asarray(reference, dtype=np.float64)
        )
        best = sorted(np.flatnonzero(non_dominated(costs)), key=lambda index: tuple(costs[index]))
        return cls(
            tuple(kept[index] for index in best),
            objectives,
            tuple(float(value) for value in signs * bound),
            hypervolume(costs, bound),
        )

    def __repr__(self) -> str:
        """In one line; ``rows()`` and ``to_dict()`` tell all."""
        goals = ", ".join(goal.spelling for goal in self.objectives)
        return f"<Front of {len(self)} designs: {goals}; hypervolume {self.hypervolume:.6g}>"

    def __len__(self) -> int:
        return len(self.evaluations)

    def __iter__(self) -> Iterator[Evaluation]:
        return iter(self.evaluations)

    def rows(self, baseline: Evaluation | None = None) -> list[dict[str, Any]]:
        """One flat dictionary a design: what it is, its values, and their ratios to a baseline's."""
        return [_row(evaluation, baseline) for evaluation in self.evaluations]

    def to_dict(
        self, baseline: Evaluation | None = None, references: Sequence[Reference] = ()
    ) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "objectives": [goal.to_dict() for goal in self.objectives],
            "reference": list(self.reference),
            "hypervolume": self.hypervolume,
            "baseline": _row(baseline, None) if baseline else None,
            "designs": self.rows(baseline),
            **({"references": [each.to_dict() for each in references]} if references else {}),
        }


COMPARED = ("emd", "operations", "area_um2", "power_mw", "lut")


def _row(evaluation: Evaluation, baseline: Evaluation | None) -> dict[str, Any]:
    values: Mapping[str, float] = {
        **{name: summary.mean for name, summary in evaluation.metrics.items()},
        **evaluation.costs,
    }
    row: dict[str, Any] = {"digest": evaluation.candidate.digest, "number": evaluation.number, **values}
    if evaluation.steps:
        row["steps"] = evaluation.steps
    if evaluation.costs_of:
        row["costs_of"] = evaluation.costs_of
    if baseline is not None:
        ratios = {
            f"{name}_ratio": values[name] / reference
            for name in COMPARED
            if name in values and (reference := _known(baseline, name))
        }
        row |= ratios
    return {**row, **evaluation.candidate.values}


def _known(evaluation: Evaluation, name: str) -> float | None:
    return evaluation.value(name) if name in evaluation.metrics or name in evaluation.costs else None
