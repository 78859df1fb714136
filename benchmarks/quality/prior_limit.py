"""How good an estimate can be before training: by how much the same networks differ with other weights.

    python benchmarks/quality/prior_limit.py    # some minutes; benchmarks/results/prior-limit.json

Each drawn design with constant weights gets its weights anew by the law of `designs.py`, and each draw is
priced with its weights known. The best that can be said without them is the middle of the other draws: what a
draw is off from that, no prior can tell.
"""

import json
from pathlib import Path

import numpy as np
from designs import SEED, alive, load, weighted

from codesign.hardware import Device
from hardware_models.constant import ConstantModel

DRAWS = 8
TECHNOLOGY = "sky130hd"
FILE = Path(__file__).parents[1] / "results" / "prior-limit.json"


def areas(index: int) -> list[float]:
    """Areas in um2 of one design with drawn weights."""
    rng, chip, found = np.random.default_rng([SEED, 77, index]), CHIPS[index], []
    device = Device(TECHNOLOGY, weights="constant")
    while len(found) < DRAWS:
        drawn = weighted(chip, rng)
        if alive(drawn):
            area = ConstantModel().estimate(drawn, device).resources.area_um2
            assert area is not None
            found.append(area)
    return found


if __name__ == "__main__":
    CHIPS = [each.chip for each in load() if each.style == "constant" and not each.trained]
    drawn = np.array([areas(index) for index in range(len(CHIPS))])
    others = np.array([np.median(np.delete(drawn, draw, axis=1), axis=1) for draw in range(DRAWS)]).T
    errors = np.abs(others / drawn - 1)
    result = {
        "technology": TECHNOLOGY,
        "designs": len(CHIPS),
        "draws": DRAWS,
        "median_error": float(np.median(errors)),
        "p90_error": float(np.quantile(errors, 0.9)),
    }
    FILE.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))
