"""Corrections of a hardware model, fitted to reports of synthesised designs.

A correction multiplies two things, fitted one after the other and both only as far as cross-validation
finds them better than something plainer:

* a base: a factor on the prediction, or a sum with coefficients of 0 or more over the model's features, its
  prediction and a constant;
* where it pays, the exponential of a smooth function of the logarithms of the features.

Errors of costs grow with the costs, so everything is fitted, chosen and given intervals in relative terms.
"""

import json
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Self, final, get_args

import numpy as np
from numpy.typing import NDArray

from codesign.comparison import Common, Pair
from codesign.errors import CodesignError, ConfigError, OutputError, TargetError
from codesign.hardware import MEASURED, Costs, Device, HardwareEstimate, HardwareModel, Target, Workload
from codesign.hardware.estimate import COST_UNITS, WORK, Basis
from codesign.network import Network

__all__ = ["CalibratedModel", "Calibration", "Correction", "Part", "Smooth"]

Array = NDArray[np.float64]
Columns = Mapping[str, Array]

FORM: Final = "codesign calibration"
VERSION: Final = 1
PREDICTED, CONSTANT = "predicted", "constant"
"""Columns beside the features: the model's own prediction, and one."""
QUANTITIES: Final = tuple(name for name in MEASURED if name in COST_UNITS)
WHOLE: Final = ("latency_cycles", "initiation_interval")
"""Counts of cycles: corrected to whole numbers of 1 or more."""
PARTS_OF_POWER: Final = ("dynamic_mw", "leakage_mw")
FACTOR, SUM = "factor", "sum of parts"
FORMS: Final = ("factor", "linear", "factor, smooth", "linear, smooth")
"""From the plainest to the richest."""
ENOUGH_TO_CHOOSE: Final = 8
INNER_FOLDS, OUTER_FOLDS = 5, 10
NOTHING_TO_GAIN: Final = 1e-9
"""Difference of mean relative errors below which the plainer form is taken."""
LENGTHS: Final = (0.75, 1.5, 3.0, 6.0, 12.0)
RIDGES: Final = (1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0)
SLACK: Final = 1e-9
"""Relative rounding of a feature that does not put it outside of a range."""


@dataclass(frozen=True, slots=True)
class Smooth:
    """A smooth function of some columns: what is left of the logarithm of measured over base.

    Kernel ridge regression with a Gaussian kernel: ``offset + sum_j weights_j exp(-d_j^2 / (2 length^2))``
    with ``d_j^2`` the mean, over the columns, of the squared differences to point ``j``. A column ``x``
    enters as ``log(1 + x / scale)``, kept to the range that it was fitted on, centred, and divided by its
    standard deviation. So beyond that range the function goes on as at its edge.

    Parameters
    ----------
    names
        Of the ``d`` columns.
    scales
        Smallest value above 0 of each, ``(d,)``.
    low, high, centre, deviation
        Of the logarithms, ``(d,)``.
    points
        The designs of the fit, ``(n, d)``.
    weights
        ``(n,)``.
    offset
        Mean of what it was fitted to.
    length
        Length scale, in standard deviations.
    """

    names: tuple[str, ...]
    scales: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    centre: tuple[float, ...]
    deviation: tuple[float, ...]
    points: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]
    offset: float
    length: float

    def __post_init__(self) -> None:
        """Reject lengths that do not go together and numbers that are none."""
        each = (self.scales, self.low, self.high, self.centre, self.deviation, *self.points)
        if any(len(values) != len(self.names) for values in each) or len(self.weights) != len(self.points):
            raise ConfigError("a smooth correction has one value a column, and one weight a point")
        _require_finite(*(number for values in (*each, self.weights) for number in values), self.offset)
        if not all(number > 0 for number in (*self.scales, *self.deviation, self.length)):
            raise ConfigError("scales, deviations and the length of a smooth correction are above 0")

    def __call__(self, columns: Columns) -> Array:
        """Logarithm of a factor, shape ``(n,)``; row by row the same however many rows there are."""
        rows = [
            (np.clip(np.log1p(columns[name] / scale), low, high) - centre) / deviation
            for name, scale, low, high, centre, deviation in zip(
                self.names, self.scales, self.low, self.high, self.centre, self.deviation, strict=True
            )
        ]
        total = np.full(len(rows[0]), self.offset)
        narrow = -0.5 / (self.length**2 * len(rows))
        for point, weight in zip(self.points, self.weights, strict=True):
            squared = np.zeros_like(total)
            for values, place in zip(rows, point, strict=True):
                squared += (values - place) ** 2
            total += weight * np.exp(narrow * squared)
        return total

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of ``dataclasses.asdict``, also after JSON."""
        made = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
        return cls(**{**made, "points": tuple(tuple(point) for point in data["points"])})


@dataclass(frozen=True, slots=True)
class Correction:
    """How one quantity is corrected.

    Parameters
    ----------
    form
        One of ``FORMS``, or ``sum of parts``: dynamic and leakage power.
    coefficients
        Column to coefficient of the base; columns that are not here have none.
    smooth
        Function that multiplies it, if any.
    spread
        Half the width of the interval, as the logarithm of a ratio; None where the pairs are too few for
        the coverage.
    pairs
        Pairs it was fitted on; those with nothing predicted and nothing measured are not counted.
    errors
        By cross-validation of the whole procedure, the choice included: ``median`` and ``p90`` of the
        absolute relative error. Empty for a single pair.
    tried
        Form to its cross-validated mean absolute logarithm of predicted over measured.
    """

    form: str
    coefficients: Mapping[str, float] = field(default_factory=dict)
    smooth: Smooth | None = None
    spread: float | None = None
    pairs: int = 0
    errors: Mapping[str, float] = field(default_factory=dict)
    tried: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Reject what no fit gives."""
        if self.form not in (*FORMS, SUM):
            raise ConfigError(f"a correction is one of {', '.join((*FORMS, SUM))}, got {self.form!r}")
        if (self.form == SUM) == bool(self.coefficients):
            raise ConfigError(f"a correction of form {self.form!r} has {len(self.coefficients)} coefficients")
        figures = (*self.coefficients.values(), *self.errors.values(), *self.tried.values())
        _require_finite(*figures, self.spread or 0.0)
        if min((*figures, self.spread or 0.0)) < 0:
            raise ConfigError("coefficients, errors and spread of a correction are 0 or more")

    def __call__(self, columns: Columns) -> Array:
        """Corrected values, ``(n,)``; what is predicted as 0 stays 0."""
        base = np.zeros(len(columns[PREDICTED]))
        for name, coefficient in self.coefficients.items():
            base += coefficient * columns[name]
        if self.smooth is not None:
            base *= np.exp(self.smooth(columns))
        return np.where(columns[PREDICTED] == 0, 0.0, base)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of ``dataclasses.asdict``, also after JSON."""
        smooth = data["smooth"]
        return cls(**{**data, "smooth": None if smooth is None else Smooth.from_dict(smooth)})


@dataclass(frozen=True, slots=True)
class Part:
    """Corrections of estimates that know the same of the weights.

    Parameters
    ----------
    designs
        Designs it was fitted on, as the reports name them, sorted.
    ranges
        Feature, or ``predicted`` and a quantity, to the least and the greatest value of those designs.
    corrections
        Quantity to correction.
    uncorrected
        Quantity that was measured and is left as predicted, to the reason.
    """

    designs: tuple[str, ...]
    ranges: Mapping[str, tuple[float, float]]
    corrections: Mapping[str, Correction]
    uncorrected: Mapping[str, str]

    @property
    def features(self) -> set[str]:
        """Features that the corrections are made of."""
        used = {name for each in self.corrections.values() for name in each.coefficients}
        smooth = {name for each in self.corrections.values() if each.smooth for name in each.smooth.names}
        return (used | smooth) - {PREDICTED, CONSTANT}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of ``dataclasses.asdict``, also after JSON."""
        ranges = {name: (float(low), float(high)) for name, (low, high) in data["ranges"].items()}
        _require_finite(*(number for bounds in ranges.values() for number in bounds))
        corrections = {name: Correction.from_dict(each) for name, each in data["corrections"].items()}
        if set(corrections) - set(QUANTITIES):
            raise ConfigError(f"corrections are of {', '.join(QUANTITIES)}; got {', '.join(corrections)}")
        return cls(tuple(data["designs"]), ranges, corrections, dict(data["uncorrected"]))


@dataclass(frozen=True, slots=True)
class Calibration:
    """Corrections of one model for one target, tool, stage and script.

    Parameters
    ----------
    common
        Model, target with tool and version, stage and script: of nothing else may it correct estimates.
    parts
        What the estimates know of the weights (``widths``, ``prior``, ``weights``) to the corrections.
    coverage
        What the intervals should hold of measured values.
    seed
        Of the folds of cross-validation.
    provenance
        Where it comes from: the version of codesign, and what the caller says, such as the date.
    """

    common: Common
    parts: Mapping[str, Part]
    coverage: float
    seed: int
    provenance: Mapping[str, str]

    def __post_init__(self) -> None:
        """Reject a coverage that is none, and parts of unknown bases."""
        if not 0 < self.coverage < 1:
            raise ConfigError(f"coverage is above 0 and below 1, got {self.coverage}")
        if not self.parts or set(self.parts) - set(get_args(Basis)):
            raise ConfigError(f"parts are of {', '.join(get_args(Basis))}; got {', '.join(self.parts)}")

    @classmethod
    def fit(
        cls,
        pairs: Sequence[Pair],
        *,
        coverage: float = 0.9,
        seed: int = 0,
        provenance: Mapping[str, str] | None = None,
    ) -> Self:
        """Fit a correction of every quantity that estimates predict and reports state.

        Of fewer than 8 designs, only a factor. Intervals are conformal: a quantile, with the correction for
        finite samples, of the errors that the whole procedure makes on designs it has not seen
        (cross-validation; R. Foygel Barber et al., Predictive inference with the jackknife+, Ann. Statist.
        49(1), 2021, section 1; here one prediction and a symmetric quantile). None where even the largest
        error is too small: below 9 designs at 0.9.

        Parameters
        ----------
        pairs
            Estimate and report of each design. Estimates may be of several bases, each fitted by itself.
            Clock and redundancy are one for all, as all of the target but folding and formats.
        coverage
            What the intervals should hold.
        seed
            Of the folds.
        provenance
            Where the pairs come from, kept in the file: the date, the command.

        Raises
        ------
        ConfigError
            Without a pair, for a pair given twice, or without a quantity that both have.
        TargetError
            For pairs of different targets, models, stages or scripts.
        """
        ordered = sorted(pairs, key=_order)
        common = Common.of(ordered)
        for one, other in zip(ordered, ordered[1:], strict=False):
            if _order(one) == _order(other):
                raise ConfigError(f"the pair of {one[1].design} is given twice; give it once")
        bases = sorted({estimate.basis for estimate, _ in ordered})
        parts = {
            basis: _part([pair for pair in ordered if pair[0].basis == basis], coverage, seed)
            for basis in bases
        }
        return cls(common, parts, coverage, seed, {"codesign": version("codesign"), **(provenance or {})})

    def apply(self, features: Costs, costs: Costs, basis: str) -> dict[str, Array]:
        """Corrected costs of many designs.

        Power stays the sum of its parts; energy follows power and initiation interval, latency in ns the
        one in cycles.

        Parameters
        ----------
        features, costs
            As the model gives them: names to arrays of shape ``(n,)``.
        basis
            What the model knew of the weights. Of one that was not fitted the costs are returned as given;
            ``parts`` says which were.

        Raises
        ------
        ConfigError
            If the model does not give a feature that the corrections are made of.
        """
        part = self.parts.get(basis)
        given = {name: np.asarray(values, dtype=np.float64) for name, values in costs.items()}
        if part is None:
            return given
        missing = part.features - set(features)
        if missing:
            raise ConfigError(
                f"the calibration corrects on {', '.join(sorted(missing))}, which {self.common.model!r} does "
                "not give: it was fitted with another version; fit it anew"
            )
        new = dict(given)
        for name, correction in part.corrections.items():
            if name in given and correction.form != SUM:
                new[name] = _whole(name, correction(_columns(features, given[name])))
        return self._consistent(given, new, part)

    def _consistent(self, old: Costs, new: dict[str, Array], part: Part) -> dict[str, Array]:
        """Costs that follow from others, after those were corrected."""
        split = [name for name in PARTS_OF_POWER if name in new]
        if "power_mw" in part.corrections and part.corrections["power_mw"].form != SUM:
            share = _ratio(new["power_mw"], old["power_mw"])
            new |= {name: old[name] * share for name in split}
        elif len(split) == len(PARTS_OF_POWER) and "power_mw" in new and set(split) & set(part.corrections):
            new["power_mw"] = new["dynamic_mw"] + new["leakage_mw"]
        if "energy_nj" in new and {"power_mw", "initiation_interval"} <= set(new):
            rate = _ratio(new["power_mw"], old["power_mw"]) * _ratio(
                new["initiation_interval"], old["initiation_interval"]
            )
            new["energy_nj"] = old["energy_nj"] * rate
        if "latency_ns" in new and "latency_cycles" in part.corrections:
            new["latency_ns"] = old["latency_ns"] * _ratio(new["latency_cycles"], old["latency_cycles"])
        return new

    def intervals(self, features: Costs, costs: Costs, basis: str) -> dict[str, tuple[Array, Array]]:
        """Cost to (low, high), each ``(n,)``, that should hold the measured value with ``coverage``.

        Quantities without enough pairs have none. Energy has that of power, if the initiation interval is
        certain; latency in ns that of the cycles.
        """
        part, found = self.parts.get(basis), {}
        if part is None:
            return {}
        corrected = self.apply(features, costs, basis)
        spreads = {name: correction.spread for name, correction in part.corrections.items()}
        spreads["latency_ns"] = spreads.get("latency_cycles")
        if spreads.get("initiation_interval", 0.0) == 0.0:
            spreads["energy_nj"] = spreads.get("power_mw")
        for name, spread in spreads.items():
            if spread is not None and name in corrected:
                found[name] = corrected[name] * math.exp(-spread), corrected[name] * math.exp(spread)
        return found

    def outside(self, features: Costs, costs: Costs, basis: str) -> dict[str, NDArray[np.bool_]]:
        """Feature to whether each design lies outside the range that was fitted, ``(n,)``.

        Beside the features there is ``predicted`` and each corrected quantity. Each is looked at alone: a
        design can be inside of all and yet unlike any that was fitted.
        """
        part = self.parts.get(basis)
        if part is None:
            return {}
        values = {**features, **{f"{PREDICTED} {name}": value for name, value in costs.items()}}
        return {
            name: (values[name] < low * (1 - SLACK)) | (values[name] > high * (1 + SLACK))
            for name, (low, high) in part.ranges.items()
            if name in values
        }

    def require(self, target: Target, what: str) -> None:
        """Raise ``TargetError`` that names the fields in which a target is not the one that was fitted."""
        differing = self.common.target.differences(target)
        if differing:
            said = "; ".join(f"{name}: {ours!r}, not {theirs!r}" for name, (ours, theirs) in differing.items())
            raise TargetError(
                f"the calibration is not for {what}: it was fitted for {said}; fit one of reports of that target"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "form": FORM,
            "version": VERSION,
            **self.common.to_dict(),
            "coverage": self.coverage,
            "seed": self.seed,
            "provenance": dict(self.provenance),
            "parts": {basis: asdict(part) for basis, part in self.parts.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of ``to_dict``, also after JSON; raise ``ConfigError`` for other data."""
        if not isinstance(data, Mapping) or data.get("form") != FORM:
            raise ConfigError(f"no calibration of codesign: it lacks the entry form = {FORM!r}")
        if data.get("version") != VERSION:
            raise ConfigError(
                f"a calibration of form {data.get('version')}, this codesign reads form {VERSION}; fit it anew"
            )
        try:
            return cls(
                common=Common.from_dict(data),
                parts={basis: Part.from_dict(part) for basis, part in data["parts"].items()},
                coverage=data["coverage"],
                seed=data["seed"],
                provenance=data["provenance"],
            )
        except (AttributeError, KeyError, TypeError, ValueError, CodesignError) as error:
            raise ConfigError(f"a damaged calibration: {type(error).__name__}: {error}") from error

    def save(self, path: str | Path) -> None:
        """Write the file whole or not at all; raise ``OutputError`` if that fails."""
        _write(Path(path), json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file that ``save`` wrote; raise ``ConfigError`` for one that is absent, damaged or foreign."""
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"cannot read the calibration {path}: {error}") from error
        except ValueError as error:
            raise ConfigError(f"{path} is no calibration of codesign or is damaged: {error}") from error
        try:
            return cls.from_dict(data)
        except ConfigError as error:
            raise ConfigError(f"{path} is {error}") from error


@final
@dataclass(frozen=True, slots=True)
class CalibratedModel:
    """A hardware model whose costs are corrected by a calibration.

    Where the calibration has nothing for what the model knows of the weights, costs stay as they are, and
    the estimate says so in ``covers``.

    Parameters
    ----------
    model
        The model that the calibration was fitted with.
    calibration
        Of one target; every other is refused.
    """

    model: HardwareModel
    calibration: Calibration

    def __post_init__(self) -> None:
        """Refuse the calibration of another model."""
        if self.model.name != self.calibration.common.model:
            raise ConfigError(
                f"the calibration was fitted with the model {self.calibration.common.model!r}, not "
                f"{self.model.name!r}; take that model or fit one with this"
            )

    @property
    def name(self) -> str:
        """The model's name, with ``+calibration``."""
        return f"{self.model.name}+calibration"

    @property
    def predicts(self) -> tuple[str, ...]:
        """What the model predicts."""
        return self.model.predicts

    @property
    def needs_weights(self) -> bool:
        """Whether the model prices anew once the weights are known."""
        return self.model.needs_weights

    def features(self, workload: Workload, device: Device) -> Costs:
        """Features of the model."""
        return self.model.features(workload, device)

    def price(self, workload: Workload, device: Device) -> Costs:
        """Corrected costs of many networks; raise ``TargetError`` for another device."""
        self._require(device)
        basis = "prior" if self.needs_weights else "widths"
        costs = self.model.price(workload, device)
        return self.calibration.apply(self.model.features(workload, device), costs, basis)

    def estimate(self, network: Network, device: Device) -> HardwareEstimate:
        """Corrected cost of one network, with intervals; raise ``TargetError`` for another device."""
        self._require(device)
        plain = self.model.estimate(network, device)
        self.calibration.require(plain.target, f"the estimate of {self.model.name!r}")
        part = self.calibration.parts.get(plain.basis)
        if part is None:
            fitted = ", ".join(self.calibration.parts)
            said = f"Not calibrated: the calibration is of estimates by {fitted}, this one is by {plain.basis}."
            return replace(plain, model=self.name, covers=f"{plain.covers} {said}")
        return self._corrected(plain, part)

    def _require(self, device: Device) -> None:
        target = self.calibration.common.target
        asked = Target(
            technology=device.technology,
            part=None if target.part is None else device.part,
            clock_mhz=device.clock_mhz,
            weights=device.weights,
            redundancy=device.redundancy,
            pipelined=device.pipelined,
        )
        self.calibration.require(asked, "this device")

    def _corrected(self, plain: HardwareEstimate, part: Part) -> HardwareEstimate:
        features = {name: np.array([value]) for name, value in plain.features.items()}
        costs = {name: np.array([value]) for name, value in plain.costs().items()}
        arguments = features, costs, plain.basis
        new = {name: values.item() for name, values in self.calibration.apply(*arguments).items()}
        intervals = {
            name: (low.item(), high.item())
            for name, (low, high) in self.calibration.intervals(*arguments).items()
        }
        values = {**plain.features, **{f"{PREDICTED} {name}": value for name, value in plain.costs().items()}}
        outside = [name for name, flag in self.calibration.outside(*arguments).items() if flag.item()]
        resources = {name: new[name] for name in plain.resources.stated() if name in new}
        changed = {name: value for name, value in new.items() if name not in (*WORK, *resources)}
        changed |= {name: int(changed[name]) for name in WHOLE}
        return replace(
            plain,
            **changed,
            resources=replace(plain.resources, **resources),
            by_layer=_shares(plain, new),
            intervals=intervals,
            coverage=self.calibration.coverage if intervals else None,
            outside=tuple(_said(name, values[name], part.ranges[name]) for name in outside),
            model=self.name,
            covers=f"{plain.covers} {self._covers(part)}",
        )

    def _covers(self, part: Part) -> str:
        target = self.calibration.common.target
        said = (
            f"Corrected by {len(part.designs)} designs ({self.calibration.common.stage}, {target.tool} "
            f"{target.version}): {', '.join(part.corrections) or 'nothing'}."
        )
        left = "; ".join(f"{name}: {reason}" for name, reason in part.uncorrected.items())
        return f"{said} Measured but not corrected: {left}." if left else said


def _said(name: str, value: float, bounds: tuple[float, float]) -> str:
    return f"{name} is {value:.6g}, the calibration was fitted on {bounds[0]:.6g} to {bounds[1]:.6g}"


def _shares(plain: HardwareEstimate, new: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Layers' values in proportion, so that they still add up."""
    old = plain.costs()
    return {
        layer: {
            name: value * new[name] / old[name] if old.get(name, 0.0) not in (0.0, new.get(name)) else value
            for name, value in values.items()
        }
        for layer, values in plain.by_layer.items()
    }


def _ratio(new: Array, old: Array) -> Array:
    """New over old; 1 where old is 0, which stays 0."""
    return np.divide(new, old, out=np.ones_like(new), where=old != 0)


def _columns(features: Costs, predicted: Array) -> dict[str, Array]:
    return {
        PREDICTED: predicted,
        CONSTANT: np.ones(len(predicted)),
        **{name: np.asarray(values, dtype=np.float64) for name, values in sorted(features.items())},
    }


def _whole(name: str, values: Array) -> Array:
    return np.where(values == 0, 0.0, np.maximum(np.rint(values), 1.0)) if name in WHOLE else values


def _require_finite(*numbers: float) -> None:
    if not all(math.isfinite(number) for number in numbers):
        raise ConfigError(f"a calibration is made of finite numbers, got {numbers}")


def _order(pair: Pair) -> tuple[str, str, str]:
    """What pairs are sorted by, so that the order in which they are given changes nothing."""
    estimate, report = pair
    told = {"estimate": estimate.costs(), "features": dict(estimate.features), "report": report.to_dict()}
    return estimate.basis, report.design, json.dumps(told, sort_keys=True)


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


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Pairs of one quantity as arrays: ``columns`` and ``measured``, ``(n,)``; ``groups`` of equal columns."""

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


def _part(pairs: Sequence[Pair], coverage: float, seed: int) -> Part:
    """Corrections of pairs of one basis."""
    features = _features(pairs)
    corrections, uncorrected, unseen = {}, {}, {}
    for name in QUANTITIES:
        known = np.array([_both(pair, name) for pair in pairs])
        if not known.any():
            continue
        rows, reason = _quantity(pairs, features, name, known)
        if reason:
            uncorrected[name] = reason
        else:
            corrections[name], unseen[name] = _fitted(name, rows, coverage, seed)
