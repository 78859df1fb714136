"""The estimate of the ECON-T encoder beside what is published of the chip.

    python benchmarks/quality/econt_chip.py      # writes benchmarks/results/econt-chip.json

Encoder: 8 filters 3x3, stride 2, 16 outputs, 6-bit weights in registers, everything triplicated, 40 MHz, 65
nm. No number was fitted to the chip. Published: arXiv:2105.01683 (abstract) and the first author's page of
the project.
"""

import json
from pathlib import Path

from codesign.hardware import Device
from hardware_models.asic import AsicModel
from search_spaces import econt

PUBLISHED = {"area_mm2": 3.6, "power_mw": 95.0, "energy_nj": 2.4, "latency_ns": 50.0}
THEIRS_ONLY = (
    "converter (calibration, normalisation, 5E4M sum) in front of the encoder, triplicated",
    "I2C block that loads and scrubs the weights, the whole module triplicated",
    "layout: wires, clock tree, filler, utilisation below 1; cells hardened to 200 Mrad and derated corners",
    "glitches of the multiplier trees in the power",
)
RESULTS = Path(__file__).parents[1] / "results"


def rows() -> list[dict[str, object]]:
    network = econt.build(econt.SPACE.candidate(econt.BASELINE))
    found: list[dict[str, object]] = []
    for redundancy in ("none", "weights", "all"):
        estimate = AsicModel().estimate(network, Device("asic-65nm", 40.0, redundancy=redundancy))  # type: ignore[arg-type]
        costs = estimate.costs()
        found.append(
            {
                "redundancy": redundancy,
                "area_mm2": costs["area_um2"] / 1e6,
                "power_mw": costs["power_mw"],
                "dynamic_mw": costs["dynamic_mw"],
                "leakage_mw": costs["leakage_mw"],
                "energy_nj": costs["energy_nj"],
                "latency_ns": costs["latency_ns"],
                "covers": estimate.covers,
            }
        )
    return found


if __name__ == "__main__":
    ours = rows()
    told = {"published": PUBLISHED, "estimates": ours, "in theirs and not in ours": THEIRS_ONLY}
    (RESULTS / "econt-chip.json").write_text(json.dumps(told, indent=1) + "\n")
    print(f"{'':28}{'area, mm2':>11}{'power, mW':>11}{'energy, nJ':>12}{'latency, ns':>13}")
    named = {f"this model, redundancy {row['redundancy']}": row for row in ours} | {"published": PUBLISHED}
    for name, row in named.items():
        print(
            f"{name:28}" + "{area_mm2:11.2f}{power_mw:11.1f}{energy_nj:12.2f}{latency_ns:13.0f}".format(**row)
        )
    for line in THEIRS_ONLY:
        print(f"in theirs and not in ours: {line}")
