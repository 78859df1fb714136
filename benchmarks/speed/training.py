"""Speed of `codesign.training.fit` against plain loops of PyTorch and Brevitas, in samples per CPU second.

The study's baseline autoencoder, batch 250, telescoping loss, Adam. The plain loops are what one writes
first: ``nn.Sequential``, ``DataLoader``, default Adam; the quantised one with Brevitas' own fixed-point
quantisers. All four take turns in one process on one thread; ratios are medians over the turns. Fails
where a ratio falls below its floor. Run: ``python benchmarks/speed/training.py``.
"""

import sys
from statistics import median
from time import process_time

import brevitas.nn as qnn
import numpy as np
import torch
from brevitas.quant.fixed_point import Int8WeightPerTensorFixedPoint, Uint8ActPerTensorFixedPoint
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from codesign.fixedpoint import FixedPoint
from codesign.network import Conv, ConvTranspose, Dense, Flatten, Network, ReLU, Reshape, Sigmoid
from codesign.tasks import Samples
from codesign.training import Recipe
from codesign.training.fit import fit
from codesign.training.losses import telescoping
from codesign.training.recipe import Engine

SAMPLES = 20_000
BATCH = 250
STEPS = 60
ROUNDS = 9
NATIVE_TIMES = 8
ENGINES: tuple[Engine, ...] = ("torch", "native")
FLOORS = {("float", "torch"): 1.3, ("6 bit", "torch"): 1.5, ("float", "native"): 5, ("6 bit", "native"): 6}


def samples(rng: np.random.Generator) -> Samples:
    """Random charges on the upper 48 of 64 pixels, sums near 1.5."""
    charge = rng.gamma(0.3, size=(SAMPLES, 8, 8, 1))
    inputs = (1.5 * charge / charge.sum(axis=(1, 2), keepdims=True)).astype(np.float32)
    index = np.arange(48)
    return Samples(inputs, inputs.reshape(SAMPLES, -1)[:, index], index)


def baseline(*, quantised: bool) -> Network:
    """The network as data."""
    weight = FixedPoint(0, 5)
    formats = {"weight": weight, "bias": weight} if quantised else {}

    def activation(bits: int) -> FixedPoint | None:
        return FixedPoint(1, bits - 1, signed=False, rounding="half_up") if quantised else None

    layers = (
        Conv("conv", 8, stride=2, **formats),
        ReLU("conv_relu", activation(8)),
        Flatten("flatten"),
        Dense("latent", 16, **formats),
        ReLU("latent_relu", activation(9)),
        Dense("grow", 128),
        ReLU("grow_relu"),
        Reshape("image", (4, 4, 8)),
        ConvTranspose("up", 8, stride=2),
        ReLU("up_relu"),
        ConvTranspose("last", 1),
        Sigmoid("sigmoid"),
    )
    return Network((8, 8, 1), layers, FixedPoint(1, 7, signed=False) if quantised else None, 5)


def plain_module(*, quantised: bool) -> nn.Module:
    """The same network, written as one does."""
    decoder = (
        nn.Linear(16, 128),
        nn.ReLU(),
        nn.Unflatten(1, (8, 4, 4)),
        nn.ConvTranspose2d(8, 8, 3, stride=2),
        nn.ZeroPad2d((0, -1, 0, -1)),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 1, 3, padding=1),
        nn.Sigmoid(),
        nn.Flatten(),
    )
    pad = nn.ZeroPad2d((0, 1, 0, 1))
    if not quantised:
        encoder = (pad, nn.Conv2d(1, 8, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(128, 16), nn.ReLU())
        return nn.Sequential(*encoder, *decoder)
    weights = {"weight_quant": Int8WeightPerTensorFixedPoint, "weight_bit_width": 6}
    return nn.Sequential(
        qnn.QuantIdentity(act_quant=Uint8ActPerTensorFixedPoint, bit_width=8),
        pad,
        qnn.QuantConv2d(1, 8, 3, stride=2, **weights),
        qnn.QuantReLU(act_quant=Uint8ActPerTensorFixedPoint, bit_width=8),
        nn.Flatten(),
        qnn.QuantLinear(128, 16, True, **weights),
        qnn.QuantReLU(act_quant=Uint8ActPerTensorFixedPoint, bit_width=9),
        *decoder,
    )


def plain_speed(data: Samples, *, quantised: bool) -> float:
    """Samples per CPU second of the plain loop."""
    images = torch.from_numpy(data.inputs).permute(0, 3, 1, 2).contiguous()
    index = torch.from_numpy(data.output_index)
    pairs = TensorDataset(images, torch.from_numpy(data.targets))
    loader = DataLoader(pairs, batch_size=BATCH, shuffle=True)
    module = plain_module(quantised=quantised)
    optimiser = torch.optim.Adam(module.parameters())
    start, seen = process_time(), 0
    for inputs, targets in loader:
        optimiser.zero_grad()
        loss = telescoping(module(inputs)[:, index], targets)
        loss.backward()
        optimiser.step()
        seen += len(inputs)
        if seen >= STEPS * BATCH:
            break
    return seen / (process_time() - start)


def our_speed(data: Samples, *, quantised: bool, engine: Engine) -> float:
    """Samples per CPU second of a whole fit: building, training, one small validation, extraction."""
    steps = STEPS * (NATIVE_TIMES if engine == "native" else 1)
    recipe = Recipe(steps=steps, batch=BATCH, validate_every=steps, validation_samples=BATCH, engine=engine)
    result = fit(baseline(quantised=quantised), data, data, recipe, loss="telescoping", seed=1)
    return result.steps * BATCH / result.cpu_seconds


def measured(data: Samples, *, quantised: bool, engine: Engine) -> tuple[float, float]:
    """Samples per CPU second of the plain loop and, right after, of ours."""
    return plain_speed(data, quantised=quantised), our_speed(data, quantised=quantised, engine=engine)


def main() -> int:
    """Print the table; 1 if a ratio is below its floor."""
    torch.set_num_threads(1)
    data = samples(np.random.default_rng(0))
    kinds = {"float": False, "6 bit": True}
    rounds = [
        {
            (name, engine): measured(data, quantised=quantised, engine=engine)
            for name, quantised in kinds.items()
            for engine in ENGINES
        }
        for _ in range(ROUNDS + 1)
    ][1:]  # the first turn warms up
    print(f"{'':8}{'engine':>8}{'plain loop':>12}{'codesign':>12}{'ratio':>8}   samples per CPU second")
    good = True
    for name, engine in rounds[0]:
        plain, ours = (median(turn[name, engine][side] for turn in rounds) for side in (0, 1))
        ratio = median(turn[name, engine][1] / turn[name, engine][0] for turn in rounds)
        good &= ratio >= FLOORS[name, engine]
        print(f"{name:8}{engine:>8}{plain:12,.0f}{ours:12,.0f}{ratio:8.2f}")
    for engine in ENGINES:
        against = median(turn["6 bit", engine][1] / turn["float", engine][0] for turn in rounds)
        print(f"6 bit in codesign ({engine}) against the plain float loop: {against:.2f}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
