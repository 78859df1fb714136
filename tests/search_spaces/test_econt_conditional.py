"""Conditional decoders: in the interpreter, in training, in the task, and out of the chip's way."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.errors import ConfigError, DataError, MissingToolError, NetworkError
from codesign.export import exporter
from codesign.hardware import Device
from codesign.network import Conditions, Dense, Flatten, Network
from codesign.tasks import Samples
from codesign.tasks.conditions import module_conditions
from codesign.tasks.econt import EcontTask, score
from codesign.tasks.generator import generate
from codesign.testing import check_search_space
from codesign.training.build import build as build_module
from codesign.training.engine import with_engine
from codesign.training.fit import fit
from codesign.training.recipe import Recipe
from codesign.training.weights import fresh_weights, rounded_weights
from search_spaces import econt, econt_conditional

seeds = st.integers(0, 2**32 - 1)
RECIPE = Recipe(steps=30, batch=50, engine=None)


def fitted(seed: int = 0) -> Network:
    rng = np.random.default_rng(seed)
    space = econt_conditional.SPACE
    candidate = space.decode(space.sample_codes(1, rng, balanced=True))[0]
    network = econt_conditional.build(candidate)
    return network.with_weights(rounded_weights(network, fresh_weights(network, rng)))


@given(seeds)
@settings(deadline=None, max_examples=20)
def test_conditions_are_more_inputs_of_the_first_layer_of_the_decoder(seed: int) -> None:
    network = fitted(seed)
    rng = np.random.default_rng(seed)
    images, known = rng.random((5, 8, 8, 1)), rng.random((5, 8))
    first = network.layers[len(network.chip.layers) + 1].name
    weight = network.weights[f"{first}.weight"]
    assert weight.shape[0] == 24
    for row in range(5):
        # The same as an unconditional network whose bias holds what the conditions add.
        weights = dict(network.weights)
        weights[f"{first}.weight"] = weight[:16]
        weights[f"{first}.bias"] = weights[f"{first}.bias"] + known[row] @ weight[16:]
        layers = tuple(layer for layer in network.layers if not isinstance(layer, Conditions))
        plain = replace(network, layers=layers, weights=weights)
        np.testing.assert_allclose(
            network.predict(images, known)[row], plain.predict(images[row : row + 1])[0], rtol=1e-9
        )


@given(seeds)
@settings(deadline=None, max_examples=10)
def test_the_torch_module_takes_them_too(seed: int) -> None:
    network = fitted(seed)
    rng = np.random.default_rng(seed)
    images, known = rng.random((3, 8, 8, 1)), rng.random((3, 8))
    module = build_module(network).double()
    with torch.no_grad():
        answers = module(torch.tensor(images), torch.tensor(known)).numpy()
    np.testing.assert_allclose(answers, network.predict(images, known).reshape(3, -1), rtol=1e-6)


def test_the_chip_is_the_one_without() -> None:
    candidate = econt_conditional.SPACE.candidate(econt.BASELINE)
    assert econt_conditional.build(candidate).chip == econt.build(candidate).chip
    assert candidate.digest == econt.SPACE.candidate(econt.BASELINE).digest
    check_search_space(econt_conditional)


def test_networks_come_back_from_json() -> None:
    network = fitted()
    again = Network.from_dict(network.to_dict())
    assert again == network
    assert again.conditions == 8


def test_a_study_task_trains_and_scores_them() -> None:
    wafers = generate(400, seed=1)
    task = EcontTask(wafers, conditional=True)
    network = econt_conditional.build(econt_conditional.SPACE.candidate(econt.BASELINE))
    found = fit(network, task.training, task.validation, RECIPE, loss=task.loss, seed=0)
    assert (found.status, found.engine) == ("ok", "torch")
    assert found.curve[-1][2] < found.curve[0][2] or len(found.curve) == 1
    before = network.with_weights(
        rounded_weights(network, fresh_weights(network, np.random.default_rng(0), RECIPE.output_bias))
    )
    rows = found.network.weights["decoder_image.weight"][16:] - before.weights["decoder_image.weight"][16:]
    assert np.abs(rows).min(axis=1).max() > 0  # what the conditions are multiplied by has learnt
    scores = task.score(found.network)
    assert scores["emd"].n == len(task.validation)
    assert scores == score(found.network, wafers.take(slice(0, 80)))
    assert task.describe()["conditional"] is True
    assert "conditional" not in EcontTask(wafers).describe()


def test_conditions_of_the_task_are_those_of_its_wafers() -> None:
    wafers = generate(100, seed=3)
    task = EcontTask(wafers, conditional=True)
    both = [task.validation.conditions, task.training.conditions]
    np.testing.assert_array_equal(
        np.concatenate([part for part in both if part is not None]), module_conditions(wafers)
    )
    assert EcontTask(wafers).training.conditions is None


def test_only_torch_has_a_second_input() -> None:
    recipe, why = with_engine(RECIPE, "telescoping", conditional=True)
    assert recipe.engine == "torch"
    assert why
    with pytest.raises((ConfigError, MissingToolError), match="engine torch does the same"):
        with_engine(replace(RECIPE, engine="native"), "telescoping", conditional=True)


def test_samples_without_conditions_are_refused() -> None:
    task = EcontTask(generate(100, seed=3))
    with pytest.raises(DataError, match=r"conditions have shape \(80, 0\), the network takes \(80, 8\)"):
        fit(fitted(), task.training, task.validation, RECIPE, loss=task.loss, seed=0)
    samples: Samples = replace(task.training, conditions=np.full((80, 8), np.nan, np.float32))
    with pytest.raises(DataError, match="all finite"):
        fit(fitted(), samples, samples, RECIPE, loss=task.loss, seed=0)


def test_what_does_not_fit_is_refused() -> None:
    network, images = fitted(), np.zeros((2, 8, 8, 1))
    with pytest.raises(NetworkError, match=r"conditions have shape \(2, 0\), expected \(2, 8\)"):
        network.predict(images)
    with pytest.raises(NetworkError, match="1 rows of conditions for 2 inputs"):
        network.predict(images, np.zeros((1, 8)))
    with pytest.raises(NetworkError, match=r"conditions have shape \(2, 8\), expected \(2, 0\)"):
        econt_plain().predict(images, np.zeros((2, 8)))
    layers = (Flatten("flatten"), Conditions("known", 3), Dense("out", 4))
    Network((2, 2, 1), layers, None, 1)
    with pytest.raises(NetworkError, match="'known': a network takes conditions once, behind its chip part"):
        Network((2, 2, 1), layers)
    with pytest.raises(NetworkError, match="needs a flat input"):
        Network((2, 2, 1), layers[1:], None, 0)


def econt_plain() -> Network:
    network = econt.build(econt.SPACE.candidate(econt.BASELINE))
    return network.with_weights(rounded_weights(network, fresh_weights(network, np.random.default_rng(0))))


@pytest.mark.parametrize("target", ["onnx", "qonnx"])
def test_exports_write_the_chip_alone(target: str, tmp_path: Path) -> None:
    folder = exporter(target).export(
        fitted(), tmp_path / "out", device=Device(), inputs=np.zeros((2, 8, 8, 1))
    )
    assert (folder / "encoder.onnx").is_file()
    assert not (folder / "autoencoder.onnx").exists()


def test_unknown_options_of_the_task_are_said() -> None:
    with pytest.raises(ConfigError):
        EcontTask.from_options(wafers=10, links=9, conditional=True)
    with pytest.raises(DataError, match="column eta"):
        EcontTask(replace(generate(20, seed=0), columns={}), conditional=True)
