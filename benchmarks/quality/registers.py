"""Where the error of flip-flops comes from: da4ml's graph beside ours and beside the syntheses for xc7.

    python benchmarks/quality/registers.py    # two minutes; benchmarks/results/registers.json

Of each drawn design with constant weights: bits on the buses between stages of da4ml's graph (what the export
writes) over synthesised flip-flops, and levels of da4ml's longest path less those of ours. `DEEPER` in
`hardware_models/constant_logic.py` is the median of the latter, of designs that are not held out.
"""

import json

import numpy as np
from designs import load
from synthesis import RESULTS, reports

from codesign.export import distributed
from codesign.hardware import Device
from hardware_models.counting import count

if __name__ == "__main__":
    device, known = Device("xc7", weights="constant"), reports("xc7")
    rows = []
    for design in load():
        if design.style != "constant" or design.trained:
            continue
        logic = distributed.logic(design.chip, device)
        flip_flops = known["constant", design.digest].resources.ff
        assert flip_flops
        levels = max(stage.levels for stage in count(design.chip))
        rows.append((design.held_out, sum(logic.widths[1:]) / flip_flops - 1, logic.adder_levels - levels))
    held_out, errors, deeper = (np.array(column) for column in zip(*rows, strict=True))
    result = {"designs": len(rows)}
    for name, chosen in (("fitted", ~held_out), ("held_out", held_out)):
        result[name] = {
            "bus_median_error": float(np.median(np.abs(errors[chosen]))),
            "bus_p90_error": float(np.quantile(np.abs(errors[chosen]), 0.9)),
            "deeper": [float(np.quantile(deeper[chosen], share)) for share in (0, 0.1, 0.5, 0.9, 1)],
        }
    (RESULTS / "registers.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))
