"""What changes from wafer to wafer in trained networks: writes hardware_models/switching.toml.

    codesign run examples/demo.toml --optimiser random --seed 17 --trials 40 --out runs/switching
    python benchmarks/quality/switching.py runs/switching
    python benchmarks/quality/switching.py          # errors over the weight of inputs in what sums change

Medians over the networks of a study that learnt something, on its own inputs; none of them is among those
whose power was synthesised (`designs.py`). Without a study: power of reloadable weights in sky130hd, of the
syntheses that fits may see, by `asic.NEAR_INPUTS`.
"""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from designs import load, wafers
from synthesis import reports

from codesign.hardware import Device, Workload
from codesign.network import Network
from codesign.study import Study
from hardware_models import asic, switching
from hardware_models.constant_logic import ConstantLogic
from hardware_models.tables import table

FILE = Path(switching.__file__).with_suffix(".toml")
COMMAND = "python benchmarks/quality/switching.py, which names its study"


def learnt(study: Study) -> Iterator[Network]:
    """Chip parts that answer better than a constant and were not synthesised."""
    constant = study.near_constant()
    dull = {each.number for each in constant[1]} if constant else set()
    synthesised = {each.digest for each in load()}
    for each in study.evaluations:
        if each.ok and each.number not in dull and each.candidate.digest not in synthesised:
            yield study.network(each.candidate.digest).chip


def counted(chips: list[Network]) -> dict[str, float]:
    device = Device("sky130hd", weights="constant")
    found: dict[str, list[float]] = {name: [] for name in switching.UNITS}
    for chip in chips:
        constant = ConstantLogic.counted(Workload.of([chip]), device, chip, wafers()).activity
        reloadable = asic.activity_of(chip, wafers())
        for style, sums in (
            ("constant", constant.sums[0]),
            ("reloadable", reloadable.sums[0]),
            ("gates", reloadable.gates[0]),
        ):
            found[f"{style}_first"].append(sums[0])
            found[f"{style}_later"].extend(sums[1:])
        found["outputs_inner"].extend(constant.outputs[0, :-1])
        found["outputs_last"].append(constant.outputs[0, -1])
    for name, values in found.items():
        low, middle, high = np.quantile(values, (0.1, 0.5, 0.9))
        print(f"{name:18} {len(values):4} layers, median {middle:.2f}, 80 % from {low:.2f} to {high:.2f}")
    return {name: float(np.median(values)) for name, values in found.items()}


def exponents() -> None:
    known, device = reports("sky130hd"), Device("sky130hd")
    designs = [each for each in load() if each.style == "reloadable" and not each.held_out]
    found = [(each.chip, known[each.style, each.digest].power_mw) for each in designs]
    measured = [(chip, power) for chip, power in found if power is not None]
    for weight in (0.3, 0.4, 0.5, 0.6, 0.7):
        asic.NEAR_INPUTS = weight  # type: ignore[misc]
        powers = [asic.AsicModel(wafers()).estimate(chip, device).power_mw or 0.0 for chip, _ in measured]
        errors = np.abs(np.array(powers) / np.array([power for _, power in measured]) - 1)
        median, most = np.quantile(errors, (0.5, 0.9))
        print(f"{weight}: error of {len(errors)} designs, median {median:.1%}, 90 % within {most:.1%}")


if __name__ == "__main__":
    if len(sys.argv) == 1:
        exponents()
        sys.exit()
    study = Study.read(sys.argv[1])
    with study.store:
        chips = list(learnt(study))
    print(f"{len(chips)} networks")
    heading = "What changes in trained networks, over what changes of random words. Read by switching.py."
    date = datetime.now(UTC).date().isoformat()
    FILE.write_text(
        table(heading, counted(chips), switching.UNITS, dict.fromkeys(switching.UNITS, COMMAND), date)
    )
