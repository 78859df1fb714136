"""Classifiers: flat inputs, losses of logits, losses of a task's own, and how outputs start."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from codesign import catalogue
from codesign.errors import ConfigError, DataError
from codesign.fixedpoint import FixedPoint
from codesign.network import Dense, Layer, Network, ReLU, Reshape, Sigmoid
from codesign.tasks import Samples
from codesign.training import Recipe
from codesign.training.engine import with_engine
from codesign.training.fit import fit
from codesign.training.losses import mse
from codesign.training.many import fit_many
from codesign.training.recipe import QUICK_OUTPUT_BIAS
from codesign.training.weights import fresh_weights

CLASSES = 3
BITS = FixedPoint(0, 5)


def network(*more: Layer, outputs: int = CLASSES, quantised: bool = True) -> Network:
    formats: dict[str, Any] = {"weight": BITS, "bias": BITS} if quantised else {}
    rounded = FixedPoint(2, 4, signed=False, rounding="half_up") if quantised else None
    layers = (Dense("first", 8, **formats), ReLU("relu", rounded), Dense("logits", outputs, **formats), *more)
    behind = 3 if more else None
    return Network((6,), layers, FixedPoint(2, 5) if quantised else None, behind)


def blobs(count: int = 400) -> Samples:
    rng = np.random.default_rng(0)
    labels = rng.integers(CLASSES, size=count)
    inputs = rng.normal(size=(CLASSES, 6))[labels] + 0.5 * rng.normal(size=(count, 6))
    one_hot = np.eye(CLASSES, dtype=np.float32)[labels]
    return Samples(inputs.astype(np.float32), one_hot, np.arange(CLASSES))


def right(fitted: Network, samples: Samples) -> float:
    chosen = fitted.predict(samples.inputs).argmax(axis=1)
    return float((chosen == samples.targets.argmax(axis=1)).mean())


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy"])
@pytest.mark.parametrize("quantised", [True, False])
def test_a_classifier_of_flat_inputs_learns(loss: str, quantised: bool) -> None:
    samples = blobs()
    found = fit(network(quantised=quantised), samples, samples, Recipe.quick(60), loss=loss, seed=0)
    assert (found.status, found.engine) == ("ok", "torch")
    assert right(found.network, samples) > 0.85


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_either_engine_fits_flat_inputs(engine: str) -> None:
    samples = blobs()
    found = fit(network(), samples, samples, Recipe.quick(60, engine=engine), loss="mse", seed=0)
    assert (found.status, found.engine) == ("ok", engine)
    assert right(found.network, samples) > 0.85


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy"])
@pytest.mark.parametrize("end", [(Sigmoid("end"),), (Sigmoid("end"), Reshape("image", (1, 1, CLASSES)))])
def test_a_sigmoid_before_a_loss_of_logits_is_refused(loss: str, end: Sequence[Layer]) -> None:
    samples, squashed = blobs(), network(*end)
    message = f"the loss '{loss}' takes the network's outputs as logits, but the network ends in a Sigmoid"
    with pytest.raises(ConfigError, match=message):
        fit(squashed, samples, samples, Recipe.quick(1), loss=loss, seed=0)
    with pytest.raises(ConfigError, match=message):
        fit_many([squashed], samples, samples, Recipe.quick(1), loss=loss, seed=0, device="cpu")
    inside = network(Sigmoid("middle"), Dense("out", CLASSES))
    assert fit(inside, samples, samples, Recipe.quick(1), loss=loss, seed=0).status == "ok"


def test_targets_that_are_no_shares_of_classes_are_refused() -> None:
    samples, recipe = blobs(), Recipe.quick(1)
    labels = samples.targets.argmax(axis=1).astype(np.float32)[:, None]
    column = Samples(samples.inputs, labels, np.arange(1))
    for bad, outputs in (
        (column, 1),
        (replace(column, targets=np.ones_like(labels)), 1),
        (replace(samples, targets=2 * samples.targets), CLASSES),
        (replace(samples, targets=samples.targets / 2), CLASSES),
        (replace(samples, targets=samples.targets * [[1.5, -0.5, 1.0]]), CLASSES),
        (replace(samples, targets=np.full_like(samples.targets, np.nan)), CLASSES),
    ):
        for pair in ((bad, bad), (samples if outputs == CLASSES else bad, bad)):
            with pytest.raises(
                DataError, match=r"targets, shape .* are not the shares .* np\.eye\(classes\)"
            ):
                fit(network(outputs=outputs), *pair, recipe, loss="cross_entropy", seed=0)
    with pytest.raises(DataError, match=r"training targets go from 0 to 2; .* takes probabilities, 0 to 1"):
        fit(network(outputs=1), column, column, recipe, loss="binary_cross_entropy", seed=0)
    soft = replace(samples, targets=0.9 * samples.targets + np.float32(0.1 / CLASSES))
    assert fit(network(), soft, soft, recipe, loss="cross_entropy", seed=0).status == "ok"


def test_an_own_loss_trains_as_the_same_one_by_name() -> None:
    def own(prediction: Tensor, target: Tensor, weights: Tensor | None) -> Tensor:
        return mse(prediction, target, weights)

    samples, recipe = blobs(), Recipe.quick(20)
    mine = fit(network(), samples, samples, recipe, loss=own, seed=0)
    named = fit(network(), samples, samples, replace(recipe, engine="torch"), loss="mse", seed=0)
    assert mine.engine == "torch"
    assert (mine.network, mine.curve) == (named.network, named.curve)
    with pytest.raises(ConfigError, match="not the task's own; engine torch does the same work"):
        with_engine(replace(recipe, engine="native"), own)
    with pytest.raises(ConfigError, match="the task's own loss gave"):
        fit(network(), samples, samples, recipe, loss=lambda p, t, w: torch.zeros(2), seed=0)


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_the_output_bias_is_for_sigmoids_alone(engine: str) -> None:
    samples = blobs()
    for end, expected in (((), 0.0), ((Sigmoid("end"),), QUICK_OUTPUT_BIAS)):
        recipe = Recipe.quick(1, learning_rate=1e-9, engine=engine)
        found = fit(network(*end, quantised=False), samples, samples, recipe, loss="mse", seed=0)
        assert found.checkpoint.weights["logits.bias"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", [name for name in catalogue.names("search_spaces") if "econt" in name])
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_econt_networks_start_as_ever(name: str, seed: int) -> None:
    """Glorot layer by layer, and the last biases, whatever the network ends in, at the output bias."""
    definition = catalogue.search_space(name)
    (candidate,) = definition.SPACE.sample(1, np.random.default_rng(seed))
    network, rng = definition.build(candidate), np.random.default_rng(seed)
    found = fresh_weights(network, np.random.default_rng(seed), QUICK_OUTPUT_BIAS)
    shapes = [
        (f"{layer.name}.{role}", wanted)
        for layer, shape in zip(network.layers, network.shapes, strict=False)
        for role, wanted in layer.weight_shapes(shape).items()
    ]
    assert list(found) == [key for key, _ in shapes]
    for key, wanted in shapes:
        area, fans = np.prod(wanted[:-2]), sum(wanted[-2:])
        bound = np.sqrt(6 / (area * fans)) if key.endswith(".weight") else 0.0
        expected = rng.uniform(-bound, bound, wanted)
        last = key == shapes[-1][0]
        assert np.array_equal(found[key], np.full(wanted, QUICK_OUTPUT_BIAS) if last else expected)
