"""The torch module computes what the network does: bit for bit on the chip, closely behind it."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import brevitas.nn as qnn
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from codesign.errors import ConfigError, UnsupportedLayerError
from codesign.fixedpoint import FixedPoint
from codesign.half_up import accumulator_bits
from codesign.network import Conv, ConvTranspose, Dense, Flatten, Network, ReLU
from codesign.tasks import Samples
from codesign.training import Recipe
from codesign.training.build import NetworkModule, build, chip_outputs, extract
from codesign.training.fit import fit

Make = Callable[..., Any]

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "conv stride 2": {"convolutions": ((8, 3, 2, False),)},
    "conv stride 1 pooled, kernel 1": {"convolutions": ((4, 1, 1, True),)},
    "conv stride 4, kernel 5": {"convolutions": ((8, 5, 4, False),)},
    "three convs, three dense": {
        "convolutions": ((8, 5, 1, True), (4, 3, 2, False), (16, 1, 1, False)),
        "dense": (32, 16, 64),
    },
    "no conv, one dense": {"convolutions": (), "dense": (64,)},
    "holes: stride 4, kernel 3": {"convolutions": ((4, 3, 4, False),)},
}
BITS = [(2, 2, 3), (3, 3, 3), (4, 4, 5), (5, 5, 5), (6, 8, 9), (7, 7, 7), (8, 8, 9)]
"""Weights, activations, latent."""


def differing(module: NetworkModule, network: Network, inputs: NDArray[Any]) -> int:
    """Outputs of the chip in which module and network differ."""
    last = network.chip.formats[-1]
    assert last is not None
    return int((np.ldexp(chip_outputs(module, inputs), last.fraction_bits) != network.codes(inputs)).sum())


def trained(network: Network, samples: Samples, steps: int = 40) -> Network:
    result = fit(network, samples, samples, Recipe.quick(steps, batch=100), loss="mse", seed=1)
    assert result.status == "ok"
    return result.network


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_any_weights_give_the_same_integers(
    architecture: str, autoencoder: Make, wafers: Make, with_random_codes: Make
) -> None:
    for weight, activation, latent in BITS:
        plan = autoencoder(
            **ARCHITECTURES[architecture],
            weight_bits=weight,
            activation_bits=activation,
            latent_bits=latent,
            input_bits=activation,
        )
        network = with_random_codes(plan, seed=weight)
        inputs = wafers(200) * np.float32(3)
        assert differing(build(network), network, inputs) == 0
        assert extract(build(network), plan) == network


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_trained_networks_give_the_same_integers(
    architecture: str, autoencoder: Make, generated: NDArray[np.float32], samples: Samples
) -> None:
    assert len(generated) == 10_000
    for weight, activation, latent in BITS:
        network = trained(
            autoencoder(
                **ARCHITECTURES[architecture],
                weight_bits=weight,
                activation_bits=activation,
                latent_bits=latent,
            ),
            samples,
        )
        assert differing(build(network), network, generated) == 0


def test_trained_baseline_gives_the_same_integers(autoencoder: Make, wafers: Make, samples: Samples) -> None:
    network = trained(autoencoder(), samples, steps=150)
    inputs = wafers(10_000, seed=2)
    assert differing(build(network), network, inputs) == 0
    assert len(np.unique(network.codes(inputs))) > 50


def test_without_the_half_lsb_integers_differ(
    autoencoder: Make, wafers: Make, with_random_codes: Make
) -> None:
    network = with_random_codes(autoencoder())
    mutant = build(network)
    for step in mutant.modules():
        if hasattr(step, "offset"):
            step.offset = 0.0
    assert differing(mutant, network, wafers(2_000)) > 0


@pytest.mark.parametrize(
    "layers",
    [
        (Conv("c", 64, weight=FixedPoint(0, 7), bias=FixedPoint(0, 7), kernel=5),),
        (
            Conv("c", 64, weight=FixedPoint(0, 7), bias=FixedPoint(0, 7), kernel=5),
            ReLU("r", FixedPoint(1, 7, signed=False, rounding="half_up")),
            Flatten("f"),
            Dense("d", 64, weight=FixedPoint(0, 7), bias=FixedPoint(0, 7)),
            ReLU("l", FixedPoint(1, 8, signed=False, rounding="half_up")),
        ),
    ],
)
def test_accumulators_wider_than_float32_are_exact(layers: Any, with_random_codes: Make) -> None:
    network = with_random_codes(Network((8, 8, 64), layers, FixedPoint(1, 7, signed=False)))
    assert accumulator_bits(replace(network, weights={})) > 24
    inputs = np.random.default_rng(0).random((50, 8, 8, 64)) * 2
    assert differing(build(network), network, inputs) == 0


@pytest.mark.parametrize("quantised", [True, False])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_whole_network_predicts_the_same(
    architecture: str, quantised: bool, autoencoder: Make, wafers: Make, with_random_codes: Make
) -> None:
    plan = autoencoder(**ARCHITECTURES[architecture], quantised=quantised)
    if architecture == "conv stride 4, kernel 5":
        plan = autoencoder(((24, 5, 4, False), (24, 3, 1, False)), quantised=quantised)  # torch's own convT
    network = with_random_codes(plan)
    inputs = wafers(100)
    with torch.no_grad():
        outputs = build(network)(torch.from_numpy(inputs)).double().numpy()
    expected = network.predict(inputs).reshape(100, -1)
    assert outputs == pytest.approx(expected, abs=2e-5)


def test_quantised_layers_are_brevitas_and_float_ones_are_not(autoencoder: Make) -> None:
    assert any(isinstance(m, qnn.QuantConv2d) for m in build(autoencoder()).modules())
    kinds = {type(m).__module__.split(".")[0] for m in build(autoencoder(quantised=False)).modules()}
    assert kinds == {"torch", "codesign"}


def test_fresh_weights_are_glorot_and_depend_on_the_seed_alone(autoencoder: Make) -> None:
    plan = autoencoder(quantised=False)
    state = torch.random.get_rng_state()
    one, same, other = (extract(build(plan, seed=seed), plan) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert one == same != other
    bound = np.sqrt(6 / (128 + 16))
    weight = one.weights["latent.weight"]
    assert 0.98 * bound < np.abs(weight).max() <= bound
    assert not one.weights["latent.bias"].any()


SIGNED = FixedPoint(0, 5)


def one_dense(output: FixedPoint) -> Network:
    source = FixedPoint(1, 7, signed=False)
    return Network((4,), (Dense("d", 2, weight=SIGNED, bias=SIGNED), ReLU("act", output)), source)


def test_what_torch_cannot_do_exactly_is_refused() -> None:
    with pytest.raises(UnsupportedLayerError, match="'act' has rounding 'truncate'"):
        build(one_dense(FixedPoint(1, 7, False, "truncate")))
    transposed = Network((2, 2, 1), (ConvTranspose("up", 1, weight=SIGNED, bias=SIGNED),), FixedPoint(1, 7))
    with pytest.raises(UnsupportedLayerError, match=r"'up': .*leave it in float"):
        build(transposed)


def test_brevitas_jit_is_refused(autoencoder: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brevitas.config.JIT_ENABLED", True)
    with pytest.raises(ConfigError, match="unset it"):
        build(autoencoder())


def test_an_activation_that_drops_no_bits_may_name_any_rounding(with_random_codes: Make) -> None:
    network = with_random_codes(one_dense(FixedPoint(3, 12, False, "truncate")))
    inputs = np.random.default_rng(0).random((100, 4))
    assert differing(build(network), network, inputs) == 0


def test_signed_activations_and_unsigned_weights_are_exact(with_random_codes: Make) -> None:
    unsigned = FixedPoint(1, 4, signed=False)
    signed = FixedPoint(1, 4, rounding="half_up")
    layers = (Dense("d", 8, weight=unsigned, bias=FixedPoint(2, 3)), ReLU("act", signed))
    network = with_random_codes(Network((4,), layers, FixedPoint(1, 6)))
    inputs = np.random.default_rng(0).normal(size=(500, 4))
    assert differing(build(network), network, inputs) == 0
    assert len(np.unique(network.codes(inputs))) > 20


ROOT = Path(__file__).parents[2]
STRIDED = """
import numpy as np, torch
from codesign.network import Conv, Network
from codesign.training.build import build
module = build(Network((8, 8, 4), (Conv("conv", 32, kernel=1, stride=2),)), seed=0)
for _ in range(40):
    (module(torch.randn(120, 8, 8, 4)) ** 2).sum().backward()
"""


def test_gradients_of_a_strided_1x1_convolution_do_not_corrupt_memory() -> None:
    found = subprocess.run([sys.executable, "-c", STRIDED], capture_output=True, text=True, cwd=ROOT)
    assert found.returncode == 0, found.stderr
