"""How corrections are fitted, chosen by cross-validation, and given intervals."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from codesign.calibration.correction import (
    AS_IT_IS,
    CONSTANT,
    FACTOR,
    FORMS,
    PARTS_OF_POWER,
    PREDICTED,
    QUANTITIES,
    SHIFT,
    SUM,
    WHOLE,
    Array,
    Columns,
    Correction,
    Part,
    Smooth,
    columns_of,
    whole,
)
from codesign.comparison import Pair
from codesign.errors import ConfigError, counted
from codesign.hardware import SynthesisReport
from codesign.hardware.estimate import SWITCHED

__all__ = ["fit_part"]

ENOUGH_TO_CHOOSE: Final = 8
INNER_FOLDS, OUTER_FOLDS = 5, 10
NOTHING_TO_GAIN: Final = 1e-9
"""Difference of mean relative errors below which the plainer form is taken."""
LENGTHS: Final = (0.75, 1.5, 3.0, 6.0, 12.0)
RIDGES: Final = (1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0)
ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Pairs of one quantity as arrays ``(n,)``; ``groups`` number the rows whose columns are equal."""

    columns: dict[str, Array]
    measured: Array
    groups: NDArray[np.int64]

    @classmethod
    def of(cls, columns: dict[str, Array], measured: Array) -> Self:
        _, groups = np.unique(np.column_stack(list(columns.values())), axis=0, return_inverse=True)
        return cls(columns, measured, groups.ravel())

    def __len__(self) -> int:
        return len(self.measured)

    @property
    def distinct(self) -> int:
        """Designs that the model can tell apart."""
        return len(set(self.groups.tolist()))

    def at(self, chosen: NDArray[Any]) -> "_Rows":
        """Some of the rows."""
        return _Rows(
            {name: values[chosen] for name, values in self.columns.items()},
            self.measured[chosen],
            self.groups[chosen],
        )

    def folds(self, most: int, seed: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Rows to fit on and rows to test on; designs that look the same stay together."""
        from sklearn.model_selection import GroupKFold

        splitter = GroupKFold(min(most, self.distinct), shuffle=True, random_state=seed)
        yield from splitter.split(self.measured, groups=self.groups)


def fit_part(pairs: Sequence[Pair], coverage: float, seed: int) -> Part:
    """Corrections of pairs of one basis, fitted in one thread, for the matrices are small."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return _part(pairs, coverage, seed)


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """Correction of a quantity, what it predicts for each pair when fitted without it, and why there is none.

    ``unseen`` is ``(n,)``; ``reason`` is empty unless the estimate is left as it is.
    """

    correction: Correction
    unseen: Array
    reason: str = ""


def _part(pairs: Sequence[Pair], coverage: float, seed: int) -> Part:
    features = _features(pairs)
    fits: dict[str, _Fit] = {}
    uncorrected: dict[str, str] = {}
    values = {name: _values(pairs, name) for name in QUANTITIES}
    values = {name: both for name, both in values.items() if np.isfinite(both).all(axis=0).any()}
    if not values:
        raise ConfigError("nothing to fit: no report states what its estimate predicts")
    for name in sorted(values, key=lambda name: name == "power_mw"):
        if name == "power_mw" and set(PARTS_OF_POWER) <= set(fits) and _as_often(values):
            fits |= _summed(fits, values, features, coverage)
            continue
        try:
            fits[name] = _fitted(name, _made_of(name, features), values[name], coverage, seed)
        except _NoRatioError as error:
            uncorrected[name] = str(error)
            continue
        if name == "power_mw":
            led = set(PARTS_OF_POWER) & set(fits)
            fits = {each: fit for each, fit in fits.items() if each not in led}
            uncorrected |= dict.fromkeys(led, "goes in proportion to power_mw")
    corrections = {name: fit.correction for name, fit in fits.items()}
    uncorrected |= {name: fit.reason for name, fit in fits.items() if fit.reason}
    ranges = {**features, **{f"{PREDICTED} {name}": values[name][0] for name in corrections}}
    return Part(
        designs=tuple(report.design for _, report in pairs),
        ranges={name: (float(np.nanmin(each)), float(np.nanmax(each))) for name, each in ranges.items()},
        corrections={name: corrections[name] for name in QUANTITIES if name in corrections},
        uncorrected={name: uncorrected[name] for name in QUANTITIES if name in uncorrected},
    )


def _features(pairs: Sequence[Pair]) -> dict[str, Array]:
    """Features of the estimates, each ``(n,)``."""
    names = sorted(pairs[0][0].features)
    for estimate, report in pairs:
        if sorted(estimate.features) != names or {PREDICTED, CONSTANT} & set(names):
            raise ConfigError(
                f"estimates have the same features, none called {PREDICTED!r} or {CONSTANT!r}; the one of "
                f"{report.design} has {', '.join(sorted(estimate.features))}, others {', '.join(names)}"
            )
        if not all(math.isfinite(value) and value >= 0 for value in estimate.features.values()):
            raise ConfigError(f"features are amounts of 0 or more; {report.design} has {estimate.features}")
    return {name: np.array([float(estimate.features[name]) for estimate, _ in pairs]) for name in names}


def _made_of(name: str, features: Columns) -> dict[str, Array]:
    """Features that a quantity is corrected on: what switches in dynamic power, and there only that."""
    switched = {each for each in features if each.startswith(SWITCHED)}
    if not switched or name == "power_mw":
        return dict(features)
    kept = switched if name == "dynamic_mw" else set(features) - switched
    return {each: values for each, values in features.items() if each in kept}


def _values(pairs: Sequence[Pair], name: str) -> Array:
    """Predicted and measured values of a quantity, ``(2, n)``; NaN where there is none."""
    both = [(estimate.value(name), _measured(report, name)) for estimate, report in pairs]
    return np.array([[np.nan if value is None else value for value in values] for values in both]).T


def _as_often(values: Mapping[str, Array]) -> bool:
    """Whether the parts of power are measured wherever power is."""
    power, *parts = (np.isfinite(values[name]).all(axis=0) for name in ("power_mw", *PARTS_OF_POWER))
    return all(bool((power <= part).all()) for part in parts)


class _NoRatioError(Exception):
    """Pairs from which no factor follows."""


def _summed(
    fits: Mapping[str, _Fit], values: Mapping[str, Array], features: Columns, coverage: float
) -> dict[str, _Fit]:
    """Power as the sum of its corrected parts; all three as they are where that sum is the worse one."""
    unseen = np.add(*(fits[part].unseen for part in PARTS_OF_POWER))
    summed = _Fit(_scored(Correction(SUM), values["power_mw"][1], unseen, features, coverage), unseen)
    plain = _as_it_is(values["power_mw"], features, coverage)
    if all(fits[part].correction.form == AS_IT_IS for part in PARTS_OF_POWER):
        return {"power_mw": replace(plain, reason="its parts are")}
    if not _worse(summed, plain, values["power_mw"][1]):
        return {"power_mw": summed}
    parts = {
        part: replace(_as_it_is(values[part], features, coverage), reason="power_mw, the sum, is")
        for part in PARTS_OF_POWER
    }
    return {"power_mw": replace(plain, reason=_why("power_mw", summed.correction, plain.correction)), **parts}


def _as_it_is(values: Array, features: Columns, coverage: float) -> _Fit:
    """No correction: errors and spread are those of the estimates, which no pair was needed for."""
    predicted, measured = values
    plain = Correction(AS_IT_IS, {PREDICTED: 1.0})
    return _Fit(_scored(plain, measured, predicted, features, coverage), predicted)


def _worse(fit: _Fit, other: _Fit, measured: Array) -> bool:
    """Whether a fit is further off than another on designs it has not seen.

    In the median of the relative errors and in the mean of their logarithms, by which forms are chosen: no
    better in either, and worse in one.
    """
    tested = np.isfinite(measured) & np.isfinite(fit.unseen) & np.isfinite(other.unseen) & (measured > 0)
    if not tested.any():
        return False
    more = np.subtract(*(_errors(each.unseen[tested], measured[tested]) for each in (fit, other)))
    return bool((more > -NOTHING_TO_GAIN).all() and (more > NOTHING_TO_GAIN).any())


def _errors(predicted: Array, measured: Array) -> Array:
    """Median of the absolute relative errors, and mean of the absolute logarithms."""
    return np.array([np.median(np.abs(predicted / measured - 1)), _distance(predicted, measured).mean()])


def _why(name: str, correction: Correction, plain: Correction) -> str:
    """Why an estimate is left as it is, in words."""
    off, before = (each.errors.get("median", 0.0) for each in (correction, plain))
    most = plain.errors.get("p90", 0.0)
    if not any(plain.errors.values()):
        return f"exact in {counted(plain.pairs, 'design')}"
    if name in WHOLE:
        return f"cycles are never scaled; the estimate is off by {before:.1%} (median), {most:.1%} (90 %)"
    return (
        f"in cross-validation the correction is off by {off:.1%} and the estimate as it is by {before:.1%} "
        "(median)"
    )


def _fitted(name: str, features: Columns, values: Array, coverage: float, seed: int) -> _Fit:
    """Correction of one quantity, or none where that is closer to designs that were not seen."""
    known = np.isfinite(values).all(axis=0)
    nothing = known & (values == 0).all(axis=0)
    used = known & ~nothing
    one = int((values[:, used] == 0).any(axis=0).sum())
    if one or not used.any():
        raise _NoRatioError(
            f"{one} of {known.sum()} pairs have 0 either predicted or measured, and no factor makes one of "
            "the other"
            if one
            else "0 is predicted and measured of every design"
        )
    columns = columns_of(features, values[0])
    rows = _Rows.of({each: column[used] for each, column in columns.items()}, values[1, used])
    unseen = np.full(values.shape[1], np.nan)
    unseen[nothing] = 0.0
    unseen[used] = _unseen(name, rows, seed)
    fit = _Fit(_scored(_chosen(name, rows, seed), values[1], unseen, features, coverage), unseen)
    plain = _as_it_is(values, features, coverage)
    idle = name in WHOLE and not _worse(plain, fit, values[1])
    if idle or _worse(fit, plain, values[1]):
        return replace(plain, reason=_why(name, fit.correction, plain.correction))
    return fit


def _unseen(name: str, rows: _Rows, seed: int) -> Array:
    """Predictions of rows by the whole procedure, fitted and chosen without them; NaN of a single one."""
    found = np.full(len(rows), np.nan)
    if rows.distinct > 1:
        for others, tested in rows.folds(OUTER_FOLDS, seed):
            correction = _chosen(name, rows.at(others), seed)
            found[tested] = whole(name, correction(rows.at(tested).columns))
    return found


def _scored(
    correction: Correction, measured: Array, unseen: Array, features: Columns, coverage: float
) -> Correction:
    """A correction with its errors on unseen designs, and the spread that follows from them."""
    tested = np.isfinite(measured) & np.isfinite(unseen) & (measured > 0)
    pairs = int((np.isfinite(measured) & (measured > 0)).sum())
    if not tested.any():
        return replace(correction, pairs=pairs)
    relative = np.abs(unseen[tested] / measured[tested] - 1)
    distinct = _Rows.of(columns_of(features, unseen), measured).at(tested).distinct
    return replace(
        correction,
        pairs=pairs,
        spread=_spread(_distance(unseen[tested], measured[tested]), distinct, coverage),
        errors={"median": float(np.median(relative)), "p90": float(np.quantile(relative, 0.9))},
    )


def _spread(distances: Array, distinct: int, coverage: float) -> float | None:
    """Conformal quantile: the ``(n + 1) coverage``-th smallest of ``n``; None where there is no such one."""
    level = math.ceil((distinct + 1) * coverage - ROUNDING) / distinct
    found = np.sort(distances)[math.ceil(level * len(distances) - ROUNDING) - 1] if level <= 1 else np.inf
    return float(found) if math.isfinite(found) else None


def _distance(predicted: Array, measured: Array) -> Array:
    """Absolute logarithm of a ratio; infinite for a prediction that is not above 0."""
    ratio = np.where(predicted > 0, predicted, np.nan) / measured
    return np.nan_to_num(np.abs(np.log(ratio)), nan=np.inf)


def _chosen(name: str, rows: _Rows, seed: int) -> Correction:
    """The plainest form that none richer beats by more than one standard error, fitted to all rows."""
    if name in WHOLE:
        return _shift(rows)
    if rows.distinct < ENOUGH_TO_CHOOSE:
        return _required(_form(FACTOR, rows))
    distances = {form: _cross_validated(form, name, rows, seed) for form in FORMS}
    best = FACTOR
    for form in FORMS[1:]:
        if np.isfinite(distances[form]).all() and _form(form, rows) is not None:
            gain = distances[best] - distances[form]
            if gain.mean() > max(gain.std(ddof=1) / math.sqrt(len(gain)), NOTHING_TO_GAIN):
                best = form
    tried = {form: float(values.mean()) for form, values in distances.items() if np.isfinite(values).all()}
    return replace(_required(_form(best, rows)), tried=tried)


def _cross_validated(form: str, name: str, rows: _Rows, seed: int) -> Array:
    """Distances of a form's predictions of rows it has not seen, ``(n,)``; infinite where it gives none."""
    found = np.full(len(rows), np.inf)
    for others, tested in rows.folds(INNER_FOLDS, seed):
        correction, unknown = _form(form, rows.at(others)), rows.at(tested)
        if correction is not None:
            found[tested] = _distance(whole(name, correction(unknown.columns)), unknown.measured)
    return found


def _required(correction: Correction | None) -> Correction:
    assert correction is not None, "a factor always fits pairs of values above 0"
    return correction


def _form(form: str, rows: _Rows) -> Correction | None:
    """A form fitted to rows; None where it has nothing to say."""
    base, *smooth = form.split(", ")
    coefficients = (_factor if base == FACTOR else _linear)(rows.columns, rows.measured)
    if not coefficients:
        return None
    plain = Correction(base, coefficients)
    if not smooth:
        return plain
    function = _smooth(rows.columns, np.log(rows.measured / plain(rows.columns)))
    return None if function is None else Correction(form, coefficients, function)


def _shift(rows: _Rows) -> Correction:
    """Median of the cycles that were measured beyond those predicted, rounded, of 0 or more."""
    more = np.median(rows.measured - rows.columns[PREDICTED])
    return Correction(SHIFT, {PREDICTED: 1.0, CONSTANT: max(float(np.rint(more)), 0.0)})


def _factor(columns: Columns, measured: Array) -> dict[str, float]:
    """Median of measured over predicted."""
    return {PREDICTED: math.exp(np.median(np.log(measured / columns[PREDICTED])))}


def _linear(columns: Columns, measured: Array) -> dict[str, float]:
    """Coefficients of 0 or more with the least squared relative error, then scaled to a median ratio of 1.

    Empty if they predict nothing of some design.
    """
    from sklearn.linear_model import LinearRegression

    relative = np.column_stack(list(columns.values())) / measured[:, None]
    scale = np.sqrt((relative**2).mean(axis=0))
    scale[scale == 0] = 1.0
    fit = LinearRegression(positive=True, fit_intercept=False).fit(relative / scale, np.ones(len(measured)))
    ratios = relative @ (fit.coef_ / scale)
    if (ratios <= 0).any():
        return {}
    found = fit.coef_ / scale * math.exp(-np.median(np.log(ratios)))
    return {name: float(value) for name, value in zip(columns, found, strict=True) if value > 0}


def _smooth(columns: Columns, left: Array) -> Smooth | None:
    """Kernel ridge of the logarithms that are left; length and ridge of the least leave-one-out error."""
    usable = {name: values for name, values in columns.items() if name != CONSTANT and (values > 0).any()}
    scales = {name: float(values[values > 0].min()) for name, values in usable.items()}
    logs = {name: np.log1p(values / scales[name]) for name, values in usable.items()}
    names = tuple(name for name, values in logs.items() if values.std() > ROUNDING)
    if not names:
        return None
    table = np.column_stack([logs[name] for name in names])
    centre, deviation = table.mean(axis=0), table.std(axis=0)
    points = (table - centre) / deviation
    length, weights = _kernel_ridge(points, left - left.mean())
    return Smooth(
        names=names,
        scales=tuple(scales[name] for name in names),
        low=tuple(table.min(axis=0).tolist()),
        high=tuple(table.max(axis=0).tolist()),
        centre=tuple(centre.tolist()),
        deviation=tuple(deviation.tolist()),
        points=tuple(tuple(point) for point in points.tolist()),
        weights=tuple(weights.tolist()),
        offset=float(left.mean()),
        length=length,
    )


def _kernel_ridge(points: Array, left: Array) -> tuple[float, Array]:
    """Length and weights; leave-one-out residuals in closed form are ``weights_i / (K + ridge)^-1_ii``."""
    squared = ((points[:, None] - points[None]) ** 2).mean(axis=-1)
    best, least = (LENGTHS[-1], np.zeros(len(left))), np.inf
    for length in LENGTHS:
        eigenvalues, vectors = np.linalg.eigh(np.exp(-0.5 * squared / length**2))
        inverse = 1 / (np.maximum(eigenvalues, 0)[:, None] + np.array(RIDGES))
        weights = vectors @ (inverse * (vectors.T @ left)[:, None])
        errors = np.abs(weights / (vectors**2 @ inverse)).mean(axis=0)
        chosen = int(errors.argmin())
        if errors[chosen] < least * (1 - ROUNDING):
            best, least = (length, weights[:, chosen]), errors[chosen]
    return best


def _measured(report: SynthesisReport, name: str) -> float | None:
    """A figure of a report; of power and its two parts, each follows from the others."""
    value = report.value(name)
    if value is not None or name not in ("power_mw", *PARTS_OF_POWER):
        return value
    power, dynamic, leakage = report.power_mw, report.dynamic_mw, report.leakage_mw
    if name == "power_mw":
        return None if dynamic is None or leakage is None else dynamic + leakage
    other = leakage if name == "dynamic_mw" else dynamic
    return None if power is None or other is None else max(power - other, 0.0)
