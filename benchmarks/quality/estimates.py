"""How good the estimates are: against the syntheses of `synthesis.py`, before and after calibration.

    python benchmarks/quality/estimates.py          # some 15 CPU minutes; benchmarks/results/estimates.json
    python benchmarks/quality/estimates.py xc7      # only of that, the other rows stay

A calibration is fitted on the designs that are not held out; every figure is of held-out designs, or of
trained ones, which no fit saw. Twenty designs tell 85 % from 95 % barely: how many of the intervals hold is
also said over other drawings of a third, each with a calibration of its own. Where few designs were
synthesised, a third of those is drawn by seed and held out in place of the twenty. A summary goes into
`docs/hardware-models.md`.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from designs import Design, load, wafers
from synthesis import RESULTS, reports

from codesign.calibration import CalibratedModel, Calibration
from codesign.comparison import Comparison, Pair, compare
from codesign.hardware import Device, HardwareEstimate, HardwareModel, SynthesisReport
from codesign.network import Network
from codesign.synthesis import FAMILIES
from hardware_models.asic import AsicModel
from hardware_models.constant import ConstantModel
from hardware_models.fpga_unrolled import UnrolledModel

TECHNOLOGIES = ("sky130hd", "sg13g2", "asap7", "xc7", "xcup", "ecp5")
SEED = 0
FEWEST_TO_FIT, FEWEST_TO_JUDGE = 20, 3
SPLITS, HELD_OUT = 6, 1 / 3
FEW = 40
"""Designs below which the held-out ones are drawn among those there."""
FILE = RESULTS / "estimates.json"
DOCS = Path(__file__).parents[2] / "docs" / "hardware-models.md"
BEGIN, END = "<!-- estimates.py writes from here -->", "<!-- to here -->"
SHOWN = ("area_um2", "critical_path_ns", "power_mw", "lut", "ff")
MORE = {"activity": ("power_mw",), "export": ("area_um2", "power_mw", "lut", "ff")}
"""What is estimated otherwise than with the weights alone."""


def model_of(technology: str, style: str, basis: str) -> HardwareModel:
    """The model that prices a style in a technology."""
    if technology in FAMILIES:
        return UnrolledModel(exported=basis == "export")
    inputs = wafers() if basis in ("activity", "export") else None
    if style == "constant":
        return ConstantModel(inputs, exported=basis == "export")
    return AsicModel(inputs)


def bases(technology: str, style: str) -> tuple[str, ...]:
    """What estimates may know: constant weights are priced with them, and with a prior before training.

    Also the adder graph of the export; of an ASIC the inputs that power was measured with.
    """
    if technology in FAMILIES:
        return ("export", "weights", "prior") if style == "constant" else ("widths",)
    return ("export", "activity", "weights", "prior") if style == "constant" else ("activity", "widths")


def pairs(
    designs: Sequence[Design],
    known: dict[tuple[str, str], SynthesisReport],
    model: HardwareModel,
    technology: str,
    basis: str,
) -> Iterator[Pair]:
    for design in designs:
        report = known.get((design.style, design.digest))
        if report is not None:
            network = replace(design.chip, weights={}) if basis == "prior" else design.chip
            device = Device(technology, weights=design.style)  # type: ignore[arg-type]
            yield model.estimate(network, device), report


class Remembered:
    """A model that estimates each network once: every drawing prices the same designs again."""

    def __init__(self, model: HardwareModel) -> None:
        self.model = model
        self.known: dict[tuple[str, Device], HardwareEstimate] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def estimate(self, network: Network, device: Device) -> HardwareEstimate:
        """What the model says, from memory where it was asked before."""
        key = network.digest, device
        if key not in self.known:
            self.known[key] = self.model.estimate(network, device)
        return self.known[key]


def figures(comparison: Comparison) -> dict[str, Any]:
    """Errors by quantity, without the rows."""
    named = {quantity.name: quantity.to_dict() for quantity in comparison.quantities}
    return {name: {key: value for key, value in row.items() if key != "rows"} for name, row in named.items()}


def there(technology: str, style: str, known: dict[tuple[str, str], SynthesisReport]) -> list[Design]:
    """The designs that were synthesised; of few, a third drawn by seed is held out."""
    designs = [each for each in load() if (style, each.digest) in known and each.style == style]
    drawn = [each for each in designs if not each.trained]
    if len(drawn) >= FEW:
        return designs
    order = np.random.default_rng([SEED, TECHNOLOGIES.index(technology)]).permutation(len(drawn))
    held_out = {drawn[i].digest for i in order[: round(HELD_OUT * len(drawn))]}
    return [replace(each, held_out=each.trained or each.digest in held_out) for each in designs]


def judged(technology: str, style: str, basis: str, splits: int) -> list[dict[str, Any]]:
    known, model = reports(technology), Remembered(model_of(technology, style, basis))
    designs = there(technology, style, known)
    fitting = [each for each in designs if not each.held_out]
    held_out = {
        "held out": [each for each in designs if each.held_out and not each.trained],
        "trained": [each for each in designs if each.trained],
        "all drawn": [each for each in designs if not each.trained],
    }
    fitted = list(pairs(fitting, known, model, technology, basis))
    enough = len(fitted) >= FEWEST_TO_FIT
    corrected = CalibratedModel(model, Calibration.fit(fitted, seed=SEED)) if enough else None
    covered = coverage(designs, known, model, technology, basis, splits) if enough else {}
    rows = []
    for population, chosen in held_out.items():
        for name, each in (("as it is", model), ("calibrated", corrected)):
            if each is None or (population == "all drawn" and each is corrected):
                continue
            found = list(pairs(chosen, known, each, technology, basis))
            if len(found) < FEWEST_TO_JUDGE:
                continue
            first = found[0][1]
            rows.append(
                {
                    "technology": technology,
                    "style": style,
                    "basis": basis,
                    "population": population,
                    "estimate": name,
                    "designs": len(found),
                    "fitted_on": len(fitted) if each is corrected else 0,
                    "tool": f"{first.target.tool} {first.target.version}",
                    "script": first.script,
                    "quantities": figures(compare(found)),
                    "covered": covered if each is corrected else {},
                }
            )
    return rows


def coverage(
    designs: Sequence[Design],
    known: dict[tuple[str, str], SynthesisReport],
    model: HardwareModel,
    technology: str,
    basis: str,
    splits: int,
) -> dict[str, float]:
    """Share of 90 % intervals that hold, over other drawings of the held-out designs."""
    drawn = [list(pairs([each], known, model, technology, basis)) for each in designs if not each.trained]
    shares: dict[str, list[float]] = {}
    held_out = round(HELD_OUT * len(drawn))
    for split in range(splits):
        order = np.random.default_rng([SEED, split]).permutation(len(drawn)).tolist()
        calibration = Calibration.fit([pair for i in order[held_out:] for pair in drawn[i]], seed=SEED)
        corrected = CalibratedModel(model, calibration)
        chosen = [each for each in designs if not each.trained]
        found = list(pairs([chosen[i] for i in order[:held_out]], known, corrected, technology, basis))
        for quantity in compare(found).quantities:
            share = quantity.to_dict()["interval_coverage"]
            if share is not None:
                shares.setdefault(quantity.name, []).append(share)
    return {name: float(np.mean(values)) for name, values in shares.items()}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    lines = [
        "| technology | weights | known | designs | estimate | quantity | rank corr. | median | 90 % "
        "| bias | in 90 % interval |",
        "| --- | --- | --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        for name, each in row["quantities"].items():
            cover = each["interval_coverage"]
            cells = [
                *(row[key] for key in ("technology", "style", "basis")),
                f"{row['designs']} {row['population']}",
                row["estimate"],
                name,
                _figure(each["rank_correlation"], "{:.3f}"),
                *(_figure(each[key], "{:.1%}") for key in ("median_error", "p90_error", "bias")),
                _figure(cover, "{:.0%}"),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def summary(rows: Sequence[dict[str, Any]]) -> str:
    """A line a quantity: before and after calibration; of all drawn designs where too few to fit."""
    lines = [
        "| technology | weights | known | quantity | designs | rank corr. | of all drawn | error: median, 90 "
        "% | calibrated on | rank corr. | error: median, 90 % | in 90 % interval | in other drawings |",
        "| --- | --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    at = {tuple(row[key] for key in (*KEYS, "population", "estimate")): row for row in rows}
    for key in dict.fromkeys(tuple(row[each] for each in KEYS) for row in rows):
        fitted = (*key, "held out", "calibrated") in at
        for population in ("held out", "trained") if fitted else ("all drawn",):
            before, whole = (at.get((*key, each, "as it is")) for each in (population, "all drawn"))
            after = at.get((*key, population, "calibrated"))
            lines += _lines(key, before, after, None if population == "trained" else whole) if before else []
    return "\n".join(lines)


def _lines(
    key: tuple[str, ...],
    before: dict[str, Any],
    after: dict[str, Any] | None,
    whole: dict[str, Any] | None,
) -> Iterator[str]:
    for name in MORE.get(key[2], SHOWN):
        if name not in before["quantities"]:
            continue
        plain, better = (row["quantities"][name] if row else None for row in (before, after))
        rank, errors = _errors(plain)
        drawn = whole and f"{_errors(whole['quantities'][name])[0]} of {whole['quantities'][name]['designs']}"
        cells = [*key, name, f"{plain['designs']} {before['population']}", rank, drawn or "-", errors]
        cells += [f"{after['fitted_on']}", *_errors(better)] if after and better else ["-"] * 3
        cells.append(_figure(better["interval_coverage"], "{:.0%}") if better else "-")
        drawings = after["covered"].get(name) if after and before["population"] == "held out" else None
        cells.append(_figure(drawings, "{:.0%}"))
        yield f"| {' | '.join(cells)} |"


KEYS = ("technology", "style", "basis")


def _errors(found: dict[str, Any]) -> tuple[str, str]:
    median, p90 = (_figure(found[key], "{:.1%}") for key in ("median_error", "p90_error"))
    return _figure(found["rank_correlation"], "{:.3f}"), f"{median}, {p90}"


def _figure(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def measured(technology: str, splits: int) -> list[dict[str, Any]]:
    """Rows of a technology; none where nothing was synthesised."""
    return [
        row
        for style in ("constant", "reloadable")
        for basis in bases(technology, style)
        for row in judged(technology, style, basis, splits)
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("technologies", nargs="*", default=TECHNOLOGIES)
    parser.add_argument("--drawings", type=int, default=SPLITS, help="other drawings for the last column")
    given = parser.parse_args()
    new = {each: measured(each, given.drawings) for each in given.technologies}
    known = json.loads(FILE.read_text()) if FILE.exists() else []
    old = {each: [row for row in known if row["technology"] == each] for each in TECHNOLOGIES}
    by_technology = {**old, **new}
    rows = [row for each in TECHNOLOGIES for row in by_technology[each]]
    FILE.write_text(json.dumps(rows, indent=1) + "\n")
    print(table(rows))
    before, _, rest = DOCS.read_text(encoding="utf-8").partition(BEGIN)
    DOCS.write_text(f"{before}{BEGIN}\n\n{summary(rows)}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")
