"""Weights that start scaled: what they reach, and what they leave alone."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codesign.errors import ConfigError
from codesign.network import Network
from codesign.tasks import Samples
from codesign.tasks.econt import EcontTask
from codesign.training import Recipe
from codesign.training.fit import fit
from codesign.training.weights import fresh_weights, rounded_weights, scaled_weights
from search_spaces import econt, econt_float

Make = Callable[..., Network]

INPUTS: NDArray[Any] = EcontTask.from_options(wafers=200, seed=0).training.inputs[:64]


def drawn(space: Any, seed: int) -> Network:
    (candidate,) = space.SPACE.sample(1, np.random.default_rng(seed))
    network: Network = space.build(candidate)
    return network


def busy(network: Network, weights: Any) -> int:
    """Output channels on the chip that are above 0 for some input, of all affine layers."""
    chip = network.with_weights(rounded_weights(network, weights)).chip
    heavy = {name.rsplit(".", 1)[0] for name in chip.weights}
    values = [array for name, array in chip.trace(INPUTS) if name in heavy]
    return sum(int((each.reshape(-1, each.shape[-1]) > 0).any(axis=0).sum()) for each in values)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([econt, econt_float]))
def test_formats_biases_and_the_decoder_stay_as_they_are(seed: int, space: Any) -> None:
    network = drawn(space, seed)
    weights = fresh_weights(network, np.random.default_rng(seed), -1.0)
    scaled = scaled_weights(network, weights, INPUTS)
    assert scaled.keys() == weights.keys()
    on_chip = {layer.name for layer in network.layers[: network.chip_layers]}
    for name, values in scaled.items():
        layer, role = name.rsplit(".", 1)
        if role == "bias" or layer not in on_chip:
            assert np.array_equal(values, weights[name])
            continue
        fixed = next(getattr(each, role) for each in network.layers if each.name == layer)
        if fixed is not None:
            assert np.abs(values).max() <= 2.0**fixed.integer_bits
        rows = values.reshape(-1, values.shape[-1]), weights[name].reshape(-1, values.shape[-1])
        if fixed is None:  # each output channel times one number
            assert np.linalg.matrix_rank(np.stack([rows[0][:, 0], rows[1][:, 0]]), tol=1e-9) <= 1
    assert busy(network, scaled) >= 0.9 * busy(network, weights)


def test_most_designs_of_few_bits_are_alive_where_few_were() -> None:
    """Dead: the code that leaves the chip is the same for every input, so that no gradient comes through."""
    alive = {"drawn": 0, "scaled": 0}
    for seed in range(40):
        network = drawn(econt, seed)
        weights = fresh_weights(network, np.random.default_rng(seed))
        for name, start in (("drawn", weights), ("scaled", scaled_weights(network, weights, INPUTS))):
            codes = network.with_weights(rounded_weights(network, start)).codes(INPUTS)
            alive[name] += len(np.unique(codes.reshape(len(codes), -1), axis=0)) > len(INPUTS) / 2
    assert alive["scaled"] >= 1.5 * alive["drawn"]
    assert alive["scaled"] >= 16


def test_one_input_in_ten_exceeds_half_of_what_a_float_layer_is_given(autoencoder: Make) -> None:
    network = autoencoder(quantised=False)
    scaled = scaled_weights(network, fresh_weights(network, np.random.default_rng(0)), INPUTS)
    first = replace(network, layers=network.layers[:1], chip_layers=1)
    own = {
        name: scaled[name] for name in (f"{network.layers[0].name}.weight", f"{network.layers[0].name}.bias")
    }
    sums = first.with_weights(own).predict(INPUTS)
    assert np.quantile(sums.reshape(-1, sums.shape[-1]), 0.9, axis=0) == pytest.approx(1.0)


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_a_recipe_says_how_weights_start(engine: str, autoencoder: Make, samples: Samples) -> None:
    assert (Recipe().initial, Recipe.quick().initial) == ("glorot", "scaled")
    with pytest.raises(ConfigError, match=r"initial is one of .* got 'zeros'"):
        Recipe(initial="zeros")  # type: ignore[arg-type]
    network = autoencoder()
    one, same, other = (
        fit(
            network,
            samples,
            samples,
            Recipe.quick(1, engine=engine, learning_rate=1e-9, initial=initial),
            loss="telescoping",
            seed=0,
        )
        for initial in ("scaled", "scaled", "glorot")
    )
    assert one.network == same.network != other.network
    fresh = fresh_weights(network, np.random.default_rng(0), Recipe.quick().output_bias)
    expected = rounded_weights(network, scaled_weights(network, fresh, samples.inputs[:256]))
    for name, values in expected.items():
        assert one.network.weights[name] == pytest.approx(
            values, abs=1.0 if values.dtype.kind == "i" else 1e-6
        )
