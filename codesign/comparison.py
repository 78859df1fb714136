"""Predicted against measured: how far off, in which order, and what it does to the front."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError, TargetError
from codesign.evaluation import Evaluation
from codesign.hardware import MEASURED, HardwareEstimate, SynthesisReport, Target
from codesign.objectives import Objective
from codesign.pareto import Front

__all__ = ["Common", "Comparison", "FrontChanges", "Pair", "Quantity", "Row", "compare", "front_changes"]

Pair = tuple[HardwareEstimate, SynthesisReport]
OF_A_DESIGN: Final = ("folding", "input_format", "output_format")
"""Fields of a target that each design has its own of."""
MAKER: Final = ("tool", "version")
FEWEST_TO_RANK: Final = 3


@dataclass(frozen=True, slots=True)
class Common:
    """What pairs of an estimate and a report must share to stand in one table or one fit.

    Parameters
    ----------
    target
        Technology, library, part, clock, weights, redundancy, pipelining, tool and version; folding and
        formats are each design's own and None here.
    model
        Name of the model that predicts.
    stage
        How far the tool went.
    script
        What drove the tool.
    """

    target: Target
    model: str
    stage: str
    script: str | None

    @classmethod
    def of(cls, pairs: Sequence[Pair]) -> Self:
        """What the pairs share; what one of two does not state is taken from the other.

        But a part that no report states is none: what is predicted there is of a family.

        Raises
        ------
        ConfigError
            Without a pair.
        TargetError
            If an estimate and its report, or two pairs, are of different targets, models, stages or scripts;
            it names what differs.
        """
        if not pairs:
            raise ConfigError("there is no pair of an estimate and a report; give at least one")
        shared, first = cls._of(*pairs[0]), pairs[0][1].design
        for estimate, report in pairs[1:]:
            shared = shared._joined(cls._of(estimate, report), f"{first} and {report.design}")
        return shared

    @classmethod
    def _of(cls, estimate: HardwareEstimate, report: SynthesisReport) -> Self:
        estimate.target.require_same(report.target, f"estimate and report of {report.design}")
        target = _filled(estimate.target, report.target)
        unmade = ("part",) if report.target.part is None else ()
        return cls(
            target=replace(target, **dict.fromkeys((*OF_A_DESIGN, *unmade))),
            model=estimate.model,
            stage=report.stage,
            script=report.script,
        )

    def _joined(self, other: Self, designs: str) -> Self:
        differing = self.target.differences(other.target)
        ours, theirs = (
            {"model": each.model, "stage": each.stage, "script": each.script}
            | {name: getattr(each.target, name) for name in MAKER}
            for each in (self, other)
        )
        differing |= {name: (ours[name], theirs[name]) for name in ours if ours[name] != theirs[name]}
        if differing:
            said = "; ".join(f"{name}: {one!r} and {two!r}" for name, (one, two) in differing.items())
            raise TargetError(f"{designs} do not go together: {said}; take one kind at a time")
        return replace(self, target=_filled(self.target, other.target))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "target": self.target.to_dict(),
            "model": self.model,
            "stage": self.stage,
            "script": self.script,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of ``to_dict``."""
        return cls(Target.from_dict(data["target"]), data["model"], data["stage"], data["script"])


def _filled(target: Target, other: Target) -> Target:
    """A target, with what it does not state taken from another."""
    unstated = [item.name for item in fields(Target) if getattr(target, item.name) is None]
    return replace(target, **{name: getattr(other, name) for name in unstated})


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of one design.

    Parameters
    ----------
    design
        As the report names it.
    predicted, measured
        In the unit of the quantity.
    interval
        (low, high) of a calibrated prediction.
    """

    design: str
    predicted: float
    measured: float
    interval: tuple[float, float] | None = None

    @property
    def error(self) -> float | None:
        """Predicted over measured, less 1; None where only the measured value is 0."""
        if self.measured == 0:
            return 0.0 if self.predicted == 0 else None
        return self.predicted / self.measured - 1

    @property
    def inside(self) -> bool | None:
        """Whether the interval holds the measured value."""
        return None if self.interval is None else self.interval[0] <= self.measured <= self.interval[1]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "design": self.design,
            "predicted": self.predicted,
            "measured": self.measured,
            "error": self.error,
            "interval": None if self.interval is None else list(self.interval),
        }


@dataclass(frozen=True, slots=True)
class Quantity:
    """All rows of one quantity, and how good the predictions are.

    Relative errors are of the rows whose measured value is not 0, or is predicted as 0; each figure is None
    where it means nothing.
    """

    name: str
    rows: tuple[Row, ...]

    @property
    def unit(self) -> str:
        """Unit of the values."""
        return MEASURED[self.name]

    @property
    def errors(self) -> NDArray[np.float64]:
        """Relative errors, signed; of shape ``(m,)``, m at most the rows."""
        return np.array([row.error for row in self.rows if row.error is not None], dtype=np.float64)

    @property
    def mape(self) -> float | None:
        """Mean absolute relative error."""
        return float(np.abs(self.errors).mean()) if len(self.errors) else None

    @property
    def median_error(self) -> float | None:
        """Median absolute relative error."""
        return float(np.median(np.abs(self.errors))) if len(self.errors) else None

    @property
    def p90_error(self) -> float | None:
        """90th percentile of the absolute relative errors, interpolated."""
        return float(np.quantile(np.abs(self.errors), 0.9)) if len(self.errors) else None

    @property
    def bias(self) -> float | None:
        """Mean signed relative error: above 0 where more is predicted than measured."""
        return float(self.errors.mean()) if len(self.errors) else None

    @property
    def r2(self) -> float | None:
        """Share of the variance of the measured values that the predictions explain, at most 1."""
        predicted, measured = self._columns
        total = ((measured - measured.mean()) ** 2).sum()
        return float(1 - ((measured - predicted) ** 2).sum() / total) if total > 0 else None

    @property
    def rank_correlation(self) -> float | None:
        """Spearman's rank correlation; None of fewer than 3 rows, or where all values are equal."""
        from scipy.stats import spearmanr

        predicted, measured = self._columns
        if len(self.rows) < FEWEST_TO_RANK or np.ptp(predicted) == 0 or np.ptp(measured) == 0:
            return None
        return float(spearmanr(predicted, measured).statistic)

    @property
    def interval_coverage(self) -> float | None:
        """Share of the rows with an interval whose interval holds the measured value."""
        inside = [row.inside for row in self.rows if row.inside is not None]
        return sum(inside) / len(inside) if inside else None

    @property
    def _columns(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        predicted = np.array([row.predicted for row in self.rows], dtype=np.float64)
        return predicted, np.array([row.measured for row in self.rows], dtype=np.float64)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; errors are shares, not per cent."""
        return {
            "name": self.name,
            "unit": self.unit,
            "designs": len(self.rows),
            "errors_defined": len(self.errors),
            "mape": self.mape,
            "median_error": self.median_error,
            "p90_error": self.p90_error,
            "bias": self.bias,
            "r2": self.r2,
            "rank_correlation": self.rank_correlation,
            "interval_coverage": self.interval_coverage,
            "rows": [row.to_dict() for row in self.rows],
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Predictions beside measurements.

    Parameters
    ----------
    common
        What was compared.
    basis
        What the estimates know of the weights; more than one where they are mixed.
    quantities
        In the order of ``MEASURED``; those that both state.
    coverage
        What the intervals should hold; None without intervals.
    outside
        Design to the features that lie outside the range of the calibration.
    """

    common: Common
    basis: tuple[str, ...]
    quantities: tuple[Quantity, ...]
    coverage: float | None
    outside: Mapping[str, tuple[str, ...]]

    def __getitem__(self, name: str) -> Quantity:
        """One quantity by its name; ``KeyError`` for one that the pairs do not have."""
        for quantity in self.quantities:
            if quantity.name == name:
                return quantity
        raise KeyError(name)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            **self.common.to_dict(),
            "basis": list(self.basis),
            "coverage": self.coverage,
            "quantities": [quantity.to_dict() for quantity in self.quantities],
            "outside": {design: list(features) for design, features in self.outside.items()},
        }


def compare(pairs: Sequence[Pair]) -> Comparison:
    """Every figure that an estimate predicts and its report states.

    Parameters
    ----------
    pairs
        Estimate and report of each design.

    Raises
    ------
    ConfigError
        Without a pair, without a figure that both have, or if some intervals mean another coverage.
    TargetError
        For pairs of different targets; it names the fields.
    """
    common = Common.of(pairs)
    found = {name: tuple(_rows(pairs, name)) for name in MEASURED}
    quantities = tuple(Quantity(name, rows) for name, rows in found.items() if rows)
    if not quantities:
        stated = sorted({name for _, report in pairs for name in report.stated()})
        raise ConfigError(
            f"nothing to compare: the reports state {', '.join(stated) or 'nothing'}, and "
            f"{common.model!r} predicts none of it"
        )
    coverages = {estimate.coverage for estimate, _ in pairs if estimate.coverage is not None}
    if len(coverages) > 1:
        raise ConfigError(f"intervals mean different coverages: {', '.join(map(str, sorted(coverages)))}")
    return Comparison(
        common=common,
        basis=tuple(sorted({estimate.basis for estimate, _ in pairs})),
        quantities=quantities,
        coverage=coverages.pop() if coverages else None,
        outside={report.design: estimate.outside for estimate, report in pairs if estimate.outside},
    )


def _rows(pairs: Sequence[Pair], name: str) -> list[Row]:
    return [
        Row(report.design, float(predicted), float(measured), estimate.intervals.get(name))
        for estimate, report in pairs
        if (predicted := estimate.value(name)) is not None and (measured := report.value(name)) is not None
    ]


@dataclass(frozen=True, slots=True)
class FrontChanges:
    """What measured costs do to a front of predicted ones.

    Both fronts are of the same designs: those whose report states every one of ``replaced``.

    Parameters
    ----------
    replaced
        Objectives whose predicted values were replaced by measured ones.
    predicted, measured
        The two fronts.
    compared
        Designs that both are taken from.
    lacking
        Trained designs without those measured values, left out of both.
    """

    replaced: tuple[str, ...]
    predicted: Front
    measured: Front
    compared: int
    lacking: int

    @property
    def leave(self) -> tuple[str, ...]:
        """Digests of designs on the predicted front only."""
        return _without(self.predicted, self.measured)

    @property
    def enter(self) -> tuple[str, ...]:
        """Digests of designs on the measured front only."""
        return _without(self.measured, self.predicted)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; each front as digests, the best of the first objective first."""
        return {
            "replaced": list(self.replaced),
            "compared": self.compared,
            "lacking": self.lacking,
            "predicted": [each.candidate.digest for each in self.predicted],
            "measured": [each.candidate.digest for each in self.measured],
            "leave": list(self.leave),
            "enter": list(self.enter),
        }


def _without(front: Front, other: Front) -> tuple[str, ...]:
    digests = {each.candidate.digest for each in other}
    return tuple(each.candidate.digest for each in front if each.candidate.digest not in digests)


def front_changes(
    evaluations: Sequence[Evaluation],
    objectives: Sequence[Objective],
    measured: Mapping[str, Mapping[str, float]],
) -> FrontChanges:
    """Designs that leave or enter the front when predicted costs are replaced by measured ones.

    Parameters
    ----------
    evaluations
        Of a study; those that did not end well are left out.
    objectives
        What is traded, with budgets: a measured cost may break one.
    measured
        Digest of a design to its measured values, by the names of costs.

    Raises
    ------
    ConfigError
        If no trained design has a measured value of an objective, or a value is not a finite number.
    """
    trained = [evaluation for evaluation in evaluations if evaluation.ok]
    stated = {each.candidate.digest: measured.get(each.candidate.digest, {}) for each in trained}
    replaced = tuple(
        goal.name
        for goal in objectives
        if any(goal.name in values for values in stated.values())
        and all(goal.name in each.costs for each in trained)
    )
    if not replaced:
        known = sorted({name for values in stated.values() for name in values})
        goals = ", ".join(goal.name for goal in objectives)
        raise ConfigError(
            f"no report of these designs states an objective ({goals}); they state "
            f"{', '.join(known) or 'nothing'}"
        )
    kept = [each for each in trained if set(replaced) <= set(stated[each.candidate.digest])]
    changed = [_measured(each, replaced, stated[each.candidate.digest]) for each in kept]
    return FrontChanges(
        replaced=replaced,
        predicted=Front.of(kept, objectives),
        measured=Front.of(changed, objectives),
        compared=len(kept),
        lacking=len(trained) - len(kept),
    )


def _measured(evaluation: Evaluation, names: Sequence[str], values: Mapping[str, float]) -> Evaluation:
    for name in names:
        if not math.isfinite(values[name]):
            raise ConfigError(f"{name} of {evaluation.candidate.digest} is no finite number: {values[name]}")
    return replace(evaluation, costs={**evaluation.costs, **{name: values[name] for name in names}})
