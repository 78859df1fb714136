"""Training of random designs of the ECON-T space, in samples per CPU second: the compiled engine and torch.

Designs drawn by seed, as the space has them: formats, widths, strides. The compiled engine takes turns with
the PyTorch engine, and with plain loops over the same network and over its float form (`plain.py`). Of the
ratios the geometric mean over the designs is compared with the floor; the widest designs are bound by
arithmetic for everybody. Run: ``python benchmarks/speed/designs.py``.
"""

import sys
from dataclasses import replace
from statistics import geometric_mean, median
from typing import Final

import numpy as np
import torch
from autoencoder import samples
from comparison import Row, report
from plain import BATCH, plain_speed

from codesign.network import Conv, ConvTranspose, Dense, Network, ReLU
from codesign.tasks import Samples
from codesign.training import Recipe
from codesign.training.fit import fit
from codesign.training.recipe import Engine
from search_spaces import econt

DESIGNS, SEED, ROUNDS = 20, 5, 3
STEPS: Final = {"torch": 10, "native": 60}
TORCH, PLAIN, PLAIN_BREVITAS = "our PyTorch engine", "plain PyTorch loop, float", "plain Brevitas loop"
FLOORS: Final = {TORCH: 5.0, PLAIN: 4.0, PLAIN_BREVITAS: 5.0}


def in_float(network: Network) -> Network:
    """The same layers without formats."""
    layers = []
    for layer in network.layers:
        if isinstance(layer, Conv | ConvTranspose | Dense):
            layer = replace(layer, weight=None, bias=None)
        layers.append(replace(layer, output=None) if isinstance(layer, ReLU) else layer)
    return Network(network.input_shape, tuple(layers), None, network.chip_layers)


def engine_speed(data: Samples, network: Network, engine: Engine) -> float:
    """Samples per CPU second of a whole fit."""
    steps = STEPS[engine]
    recipe = Recipe(steps=steps, batch=BATCH, validate_every=steps, validation_samples=BATCH, engine=engine)
    result = fit(network, data, data, recipe, loss="telescoping", seed=1)
    return result.steps * BATCH / result.cpu_seconds


def turn(data: Samples, network: Network) -> dict[str, float]:
    """Samples per CPU second, one after the other."""
    return {
        PLAIN: plain_speed(data, in_float(network), STEPS["torch"]),
        PLAIN_BREVITAS: plain_speed(data, network, STEPS["torch"]),
        "native": engine_speed(data, network, "native"),
        TORCH: engine_speed(data, network, "torch"),
    }


def measure() -> list[Row]:
    """Geometric means of rates and ratios over the designs; every design's in ``designs``."""
    torch.set_num_threads(1)
    data = samples(np.random.default_rng(0))
    drawn = econt.SPACE.sample(DESIGNS, np.random.default_rng(SEED))
    networks = [econt.build(candidate) for candidate in drawn]
    turns = [[turn(data, network) for _ in range(ROUNDS + 1)][1:] for network in networks]
    rows: list[Row] = []
    for reference, floor in FLOORS.items():
        rates = {name: [median(each[name] for each in rounds) for rounds in turns] for name in turns[0][0]}
        ratios = [median(each["native"] / each[reference] for each in rounds) for rounds in turns]
        rows.append(
            {
                "work": f"training, {DESIGNS} random designs, batch {BATCH}",
                "ours": "native, geometric mean",
                "reference": reference,
                "reference_rate": geometric_mean(rates[reference]),
                "our_rate": geometric_mean(rates["native"]),
                "unit": "samples per CPU second",
                "ratio": geometric_mean(ratios),
                "floor": floor,
                "designs": [
                    {"parameters": network.parameter_count(), "reference_rate": slow, "our_rate": fast}
                    for network, slow, fast in zip(networks, rates[reference], rates["native"], strict=True)
                ],
            }
        )
    return rows


if __name__ == "__main__":
    sys.exit(report(measure))
