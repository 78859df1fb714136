"""Estimates and reports of invented designs, by laws that tests know."""

from dataclasses import replace
from typing import Any

import numpy as np

from codesign.comparison import Pair
from codesign.hardware import HardwareEstimate, Resources, SynthesisReport, Target

TARGET = Target(
    technology="invented", clock_mhz=40.0, weights="constant", redundancy="none", pipelined=True, folding={}
)
MADE = Target(library="inv13", clock_mhz=40.0, weights="constant", tool="Yosys", version="0.70")
AREA = {"adder_bits": 7.0, "register_bits": 21.0}
GUESS = {"adder_bits": 5.0, "register_bits": 30.0}


def estimate(features: dict[str, float], **costs: Any) -> HardwareEstimate:
    """Estimate of a design with these features; its area by ``GUESS`` unless given."""
    area = sum(GUESS[name] * features[name] for name in GUESS if name in features)
    given = {"dynamic_mw": 1e-4 * area, "leakage_mw": 1e-6 * area} | costs
    resources = Resources(**{"area_um2": area} | {n: given.pop(n) for n in Resources.__slots__ if n in given})
    power = given["dynamic_mw"] + given["leakage_mw"]
    known: dict[str, Any] = {
        "operations": 100,
        "macs": 50,
        "parameters": 20,
        "weight_bits": 120,
        "bops": 2400,
        "output_bits": 8,
        "latency_cycles": 2,
        "latency_ns": 50.0,
        "initiation_interval": 1,
        "power_mw": power,
        "energy_nj": power / 40.0,
        "critical_path_ns": 4.0,
        "target": TARGET,
        "model": "invented",
        "basis": "weights",
        "covers": "all that is invented.",
    }
    return HardwareEstimate(resources=resources, features=features, **{**known, **given})


def report(design: str, **measured: Any) -> SynthesisReport:
    """Report of a design, with what was measured by name."""
    resources = {name: measured.pop(name) for name in Resources.__slots__ if name in measured}
    known: dict[str, Any] = {"target": MADE, "stage": "synthesis", "script": "area.ys 12ab", **measured}
    return SynthesisReport(design, resources=Resources(**resources), **known)


def drawn(count: int, rng: np.random.Generator) -> list[dict[str, float]]:
    """Features of designs whose sizes range over two decades."""
    adders = 10 ** rng.uniform(2, 4, count)
    registers = 10 ** rng.uniform(1.5, 3, count)
    return [
        {"adder_bits": float(each), "register_bits": float(other)}
        for each, other in zip(adders, registers, strict=True)
    ]


def linear_pairs(count: int, noise: float = 0.02, seed: int = 0, **changes: Any) -> list[Pair]:
    """Designs whose measured area is linear in the features by ``AREA``, with log-normal noise."""
    rng = np.random.default_rng(seed)
    pairs = []
    for number, features in enumerate(drawn(count, rng)):
        area = sum(AREA[name] * features[name] for name in AREA) * np.exp(noise * rng.standard_normal())
        made = report(f"{number:08x}", area_um2=float(area))
        pairs.append((replace(estimate(features), **changes), made))
    return pairs
