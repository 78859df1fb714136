"""A calibration: corrections of one model for one target, as a value and as a file."""

import hashlib
import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Self, get_args

import numpy as np
from numpy.typing import NDArray

from codesign.calibration.correction import (
    AS_IT_IS,
    PARTS_OF_POWER,
    PREDICTED,
    SUM,
    Array,
    Correction,
    Part,
    columns_of,
    whole,
)
from codesign.calibration.fitting import fit_part
from codesign.comparison import Common, Pair
from codesign.errors import CodesignError, ConfigError, TargetError, counted
from codesign.files import write_file
from codesign.hardware import Costs, Target
from codesign.hardware.estimate import Basis

__all__ = ["Calibration"]

FORM: Final = "codesign calibration"
VERSION: Final = 1
SLACK: Final = 1e-9
"""Relative rounding of a feature that does not put it outside of a range."""
POOR: Final = 0.25
"""Median error in cross-validation above which a correction is doubted."""


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

        Of fewer than 8 designs, only a factor; of cycles, only a whole number more. A quantity whose
        estimates are closer to unseen designs as they are has no correction, and the intervals of those
        estimates. Intervals are conformal: a quantile, with the correction for
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
            Without a pair or a quantity that both have, where no quantity can be corrected, for a pair given
            twice, or calibrated already.
        TargetError
            For pairs of different targets, models, stages or scripts.
        """
        ordered = sorted(pairs, key=_order)
        common = Common.of(ordered)
        for estimate, report in ordered:
            if estimate.coverage is not None:
                raise ConfigError(
                    f"the estimate of {report.design} is calibrated already; estimate without a calibration"
                )
        for one, other in pairwise(ordered):
            if _order(one) == _order(other):
                raise ConfigError(f"the pair of {one[1].design} is given twice; give it once")
        by_basis: dict[str, list[Pair]] = {}
        for pair in ordered:
            by_basis.setdefault(pair[0].basis, []).append(pair)
        parts = {basis: fit_part(members, coverage, seed) for basis, members in by_basis.items()}
        if not any(part.corrections for part in parts.values()):
            reasons = {f"{name}: {why}" for part in parts.values() for name, why in part.uncorrected.items()}
            raise ConfigError(
                f"nothing to correct: {'; '.join(sorted(reasons))}; give reports of other designs"
            )
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
            If the model does not give a feature that the corrections are made of, or gives one that it did
            not when they were fitted.
        """
        part = self.parts.get(basis)
        given = {name: np.asarray(values, dtype=np.float64) for name, values in costs.items()}
        if part is None:
            return given
        self._require_features(part, set(features))
        new = dict(given)
        for name, correction in part.corrections.items():
            if name in given and correction.form != SUM:
                new[name] = whole(name, correction(columns_of(features, given[name])))
        return self._consistent(given, new, part)

    def _require_features(self, part: Part, given: set[str]) -> None:
        """Raise ``ConfigError`` if the model gives others than it gave when the part was fitted."""
        model, missing, new = self.common.model, part.features - given, given - set(part.ranges)
        if missing:
            raise ConfigError(
                f"the calibration corrects on {', '.join(sorted(missing))}, which {model!r} does not give: "
                "it was fitted with another version; fit it anew"
            )
        if new:
            raise ConfigError(
                f"{model!r} counts {', '.join(sorted(new))}, of which the calibration knows nothing: it was "
                "fitted with another version; fit it anew"
            )

    def _consistent(self, old: Costs, new: dict[str, Array], part: Part) -> dict[str, Array]:
        """Costs that follow from others, after those were corrected."""
        split = [name for name in PARTS_OF_POWER if name in new]
        if "power_mw" in new and part.corrections.get("power_mw", Correction(SUM)).form != SUM:
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
            said = "; ".join(f"{name} {ours!r}, not {theirs!r}" for name, (ours, theirs) in differing.items())
            asked = shlex.join(self.common.target.options(differing))
            raise TargetError(
                f"the calibration is not for {what}: it was fitted for {said}; fit one to reports of "
                f"{f'that, or choose what it is for ({asked})' if asked else 'that'}"
            )

    @property
    def doubts(self) -> list[str]:
        """What so few designs cannot tell, in words; empty where every quantity has an interval."""
        designs = counted(len({design for part in self.parts.values() for design in part.designs}), "design")
        each = [(name, one) for part in self.parts.values() for name, one in part.corrections.items()]
        untested = ", ".join(dict.fromkeys(name for name, one in each if not one.errors))
        without = ", ".join(dict.fromkeys(name for name, one in each if one.spread is None))
        poor = [
            f"{name} ({basis}) by {one.errors['median']:.0%}"
            for basis, part in self.parts.items()
            for name, one in part.corrections.items()
            if one.form != AS_IT_IS and one.errors.get("median", 0.0) > POOR
        ]
        said = []
        if poor:
            said.append(
                f"fitted on {designs}, the correction is off in cross-validation: {', '.join(poor)}; without "
                "it the estimate is no better, so more designs are needed"
            )
        if untested:
            said.append(
                f"fitted on {designs}: the factor of {untested} is what that shows, and was tested on no "
                "other"
            )
        if without:
            fewest = math.ceil(self.coverage / (1 - self.coverage) - SLACK)
            said.append(
                f"fitted on {designs}: {without} without intervals; those of {self.coverage:.0%} need "
                f"{counted(fewest, 'design')} that differ"
            )
        return said

    @property
    def digest(self) -> str:
        """Twelve digits of SHA-256 over everything it holds."""
        text = json.dumps(self.to_dict(), sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

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
                f"a calibration of form {data.get('version')}, this codesign reads form {VERSION}: fit anew"
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
        write_file(Path(path), json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file that ``save`` wrote; raise ``ConfigError`` if it is absent, damaged or foreign."""
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


def _ratio(new: Array, old: Array) -> Array:
    """New over old; 1 where old is 0, which stays 0."""
    return np.divide(new, old, out=np.ones_like(new), where=old != 0)


def _order(pair: Pair) -> tuple[str, str, str]:
    """What pairs are sorted by, so that the order in which they are given changes nothing."""
    estimate, report = pair
    told = {"estimate": estimate.costs(), "features": dict(estimate.features), "report": report.to_dict()}
    return estimate.basis, report.design, json.dumps(told, sort_keys=True)
