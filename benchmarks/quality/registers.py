"""Where the error of flip-flops comes from: da4ml's graph beside ours and beside the syntheses for xc7.

    python benchmarks/quality/registers.py    # one minute; benchmarks/results/registers.json

Of each drawn design with constant weights, over synthesised flip-flops: those of our graph; of our graph cut
as if it were as deep as da4ml's; the buses of da4ml's graph (what the export writes); and these with the
output bits that vary by our ranges, which is what `UnrolledModel(exported=True)` says. `deeper`: levels of
da4ml's longest path less those of ours; `DEEPER` in `hardware_models/constant_logic.py` is its median, of
designs that are not held out.
"""

import json

import numpy as np
from designs import load
from synthesis import RESULTS, reports

from codesign.export import distributed
from codesign.hardware import Device, Workload
from codesign.network import Network
from hardware_models import constant_logic
from hardware_models.constant_logic import ConstantLogic
from hardware_models.counting import count

DEVICE = Device("xc7", weights="constant")
COMPARED = ("ours", "ours_as_deep", "buses", "buses_and_varying_outputs")


def held(chip: Network, deeper: int) -> float:
    """Register bits of our graph, if the export's is deeper by so many levels."""
    constant_logic.DEEPER = deeper
    amounts = ConstantLogic.counted(Workload.of([chip]), DEVICE, chip).amounts
    return float(amounts["register_bits"].sum())


if __name__ == "__main__":
    known, usual, rows = reports("xc7"), constant_logic.DEEPER, []
    for design in load():
        if design.style != "constant" or design.trained:
            continue
        stages, graph = count(design.chip), distributed.logic(design.chip, DEVICE)
        deeper, buses = int(graph.adder_levels) - max(each.levels for each in stages), graph.widths[1:]
        bits = (
            held(design.chip, usual),
            held(design.chip, deeper),
            sum(buses),
            sum(buses[:-1]) + stages[-1].output_bits,
        )
        flip_flops = known["constant", design.digest].resources.ff
        assert flip_flops
        rows.append((design.held_out, deeper, *(each / flip_flops - 1 for each in bits)))
    held_out, deeper, *errors = (np.array(column) for column in zip(*rows, strict=True))
    result: dict[str, object] = {"designs": len(rows)}
    for name, chosen in (("fitted", ~held_out), ("held_out", held_out)):
        found = {
            which: {
                "median_error": float(np.median(np.abs(each[chosen]))),
                "p90_error": float(np.quantile(np.abs(each[chosen]), 0.9)),
            }
            for which, each in zip(COMPARED, errors, strict=True)
        }
        shares = (0, 0.1, 0.5, 0.9, 1)
        result[name] = {**found, "deeper": [float(np.quantile(deeper[chosen], share)) for share in shares]}
    (RESULTS / "registers.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))
