"""Speed of `codesign.training.fit` against plain loops of PyTorch and Brevitas, in samples per CPU second.

The study's baseline autoencoder with 8 and with 32 filters, batch 250, telescoping loss, Adam. The plain
loops are what one writes first: ``nn.Sequential``, ``DataLoader``, default Adam; the quantised one with
Brevitas' own fixed-point quantisers. All take turns in one process on one thread; ratios are medians over the
turns. Fails where a ratio falls below its floor. Run: ``python benchmarks/speed/training.py``.
"""

import sys
from time import process_time
from typing import Final

import brevitas.nn as qnn
import numpy as np
import torch
from autoencoder import baseline, samples
from brevitas.quant.fixed_point import Int8WeightPerTensorFixedPoint, Uint8ActPerTensorFixedPoint
from comparison import Row, compared, report
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from codesign.tasks import Samples
from codesign.training import Recipe
from codesign.training.fit import fit
from codesign.training.losses import telescoping
from codesign.training.recipe import Engine

BATCH = 250
ROUNDS = 7
STEPS: Final = {8: 60, 32: 20}
"""Steps of torch by number of filters; the native engine takes more, to be timed as long."""
NATIVE_TIMES: Final = {8: 8, 32: 4}
PLAIN, PLAIN_BREVITAS = "plain PyTorch loop, float", "plain Brevitas loop, 6 bit"
COMPARED: Final = (
    (8, "torch float", PLAIN, 1.3),
    (8, "torch 6 bit", PLAIN_BREVITAS, 1.5),
    (8, "native float", PLAIN, 10),
    (8, "native 6 bit", PLAIN, 9),
    (8, "native 6 bit", PLAIN_BREVITAS, 15),
    (8, "native 6 bit", "torch 6 bit", 7),
    (32, "native float", PLAIN, 3),
    (32, "native 6 bit", PLAIN, 3),
    (32, "native 6 bit", "torch 6 bit", 3.5),
)
"""Filters, ours, reference, and the ratio below which the script fails: as seen, with room for noise."""


def plain_module(filters: int = 8, *, quantised: bool) -> nn.Module:
    """The same network, written as one does."""
    decoder = (
        nn.Linear(16, 16 * filters),
        nn.ReLU(),
        nn.Unflatten(1, (filters, 4, 4)),
        nn.ConvTranspose2d(filters, filters, 3, stride=2),
        nn.ZeroPad2d((0, -1, 0, -1)),
        nn.ReLU(),
        nn.ConvTranspose2d(filters, 1, 3, padding=1),
        nn.Sigmoid(),
        nn.Flatten(),
    )
    pad = nn.ZeroPad2d((0, 1, 0, 1))
    if not quantised:
        encoder = (pad, nn.Conv2d(1, filters, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(16 * filters, 16))
        return nn.Sequential(*encoder, nn.ReLU(), *decoder)
    weights = {"weight_quant": Int8WeightPerTensorFixedPoint, "weight_bit_width": 6}
    return nn.Sequential(
        qnn.QuantIdentity(act_quant=Uint8ActPerTensorFixedPoint, bit_width=8),
        pad,
        qnn.QuantConv2d(1, filters, 3, stride=2, **weights),
        qnn.QuantReLU(act_quant=Uint8ActPerTensorFixedPoint, bit_width=8),
        nn.Flatten(),
        qnn.QuantLinear(16 * filters, 16, True, **weights),
        qnn.QuantReLU(act_quant=Uint8ActPerTensorFixedPoint, bit_width=9),
        *decoder,
    )


def plain_speed(data: Samples, filters: int, *, quantised: bool) -> float:
    """Samples per CPU second of the plain loop."""
    images = torch.from_numpy(data.inputs).permute(0, 3, 1, 2).contiguous()
    index = torch.from_numpy(data.output_index)
    pairs = TensorDataset(images, torch.from_numpy(data.targets))
    loader = DataLoader(pairs, batch_size=BATCH, shuffle=True)
    module = plain_module(filters, quantised=quantised)
    optimiser = torch.optim.Adam(module.parameters())
    start, seen = process_time(), 0
    for inputs, targets in loader:
        optimiser.zero_grad()
        loss = telescoping(module(inputs)[:, index], targets)
        loss.backward()
        optimiser.step()
        seen += len(inputs)
        if seen >= STEPS[filters] * BATCH:
            break
    return seen / (process_time() - start)


def our_speed(data: Samples, filters: int, *, quantised: bool, engine: Engine) -> float:
    """Samples per CPU second of a whole fit: building, training, one small validation, extraction."""
    steps = STEPS[filters] * (NATIVE_TIMES[filters] if engine == "native" else 1)
    recipe = Recipe(steps=steps, batch=BATCH, validate_every=steps, validation_samples=BATCH, engine=engine)
    result = fit(baseline(filters, quantised=quantised), data, data, recipe, loss="telescoping", seed=1)
    return result.steps * BATCH / result.cpu_seconds


def turn(data: Samples, filters: int) -> dict[str, float]:
    """Samples per CPU second of all six, one after the other."""
    return {
        PLAIN: plain_speed(data, filters, quantised=False),
        "native float": our_speed(data, filters, quantised=False, engine="native"),
        "torch float": our_speed(data, filters, quantised=False, engine="torch"),
        PLAIN_BREVITAS: plain_speed(data, filters, quantised=True),
        "native 6 bit": our_speed(data, filters, quantised=True, engine="native"),
        "torch 6 bit": our_speed(data, filters, quantised=True, engine="torch"),
    }


def measure() -> list[Row]:
    """All comparisons."""
    torch.set_num_threads(1)
    data = samples(np.random.default_rng(0))
    # The first turn warms up.
    rounds = {filters: [turn(data, filters) for _ in range(ROUNDS + 1)][1:] for filters in STEPS}
    return [
        compared(
            f"training, c{filters} k3 S2, batch {BATCH}",
            ours,
            reference,
            [(each[reference], each[ours]) for each in rounds[filters]],
            "samples per CPU second",
            floor,
        )
        for filters, ours, reference, floor in COMPARED
    ]


if __name__ == "__main__":
    sys.exit(report(measure))
