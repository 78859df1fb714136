"""Fits: they learn, repeat to the bit, keep the best, stop early and say when they diverge."""

import importlib
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from codesign.errors import ConfigError, DataError, DifferenceError
from codesign.network import Network
from codesign.tasks import Samples
from codesign.training import Recipe
from codesign.training.build import build
from codesign.training.fit import Fit, fit
from codesign.training.losses import telescoping

Make = Callable[..., Network]


def learn(network: Network, samples: Samples, seed: int = 1, **changes: Any) -> Fit:
    recipe = Recipe.quick(60, batch=100, **changes)
    return fit(network, samples, samples, recipe, loss="telescoping", seed=seed)


@pytest.mark.parametrize("quantised", [True, False])
def test_loss_falls_and_same_seed_gives_same_bits(
    quantised: bool, autoencoder: Make, samples: Samples
) -> None:
    network = autoencoder(quantised=quantised)
    one, same, other = (learn(network, samples, seed=seed) for seed in (1, 1, 2))
    assert one.status == "ok"
    assert one.network.fitted
    assert one.best_loss < 0.9 * one.curve[0][2]
    assert one.network == same.network != other.network
    assert one.curve == same.curve
    assert (one.steps, one.epochs) == (60, 3.0)
    assert [step for step, _, _ in one.curve] == list(range(3, 61, 3))


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_every_fit_compares_its_integers_with_the_interpreter(
    engine: str, autoencoder: Make, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One code that is one off in one sample is an error; of a float chip there is nothing to compare."""
    name = "compiled_run.CompiledRun" if engine == "native" else "torch_run.TorchRun"
    run = getattr(importlib.import_module(f"codesign.training.{name.split('.')[0]}"), name.split(".")[1])
    true = run.chip_values

    def wrong(self: Any, inputs: NDArray[Any]) -> NDArray[Any]:
        values = np.array(true(self, inputs), np.float64).reshape(len(inputs), -1)
        values[-1, 0] += 2.0**-7
        return values

    learn(autoencoder(), samples, engine=engine)
    monkeypatch.setattr(run, "chip_values", wrong)
    with pytest.raises(DifferenceError, match=f"the {engine} engine .* differ in 1 of"):
        learn(autoencoder(), samples, engine=engine)
    learn(autoencoder(quantised=False), samples, engine=engine)


def test_kept_weights_are_those_of_the_best_validation(autoencoder: Make, samples: Samples) -> None:
    result = learn(autoencoder(), samples, learning_rate=0.05)
    assert result.best_loss == min(loss for _, _, loss in result.curve)
    assert result.best_step == next(step for step, _, loss in result.curve if loss == result.best_loss)
    with torch.no_grad():
        outputs = build(result.network)(torch.tensor(samples.inputs))[:, samples.output_index.copy()]
    assert float(telescoping(outputs, torch.tensor(samples.targets))) == pytest.approx(
        result.best_loss, rel=1e-4
    )


def test_stops_after_the_patience(autoencoder: Make, samples: Samples) -> None:
    result = learn(
        autoencoder(), samples, patience=2, validate_every=1, learning_rate=1e-12, schedule="constant"
    )
    assert result.steps < 60
    assert result.steps - result.best_step == 2


def test_goes_on_from_given_weights(autoencoder: Make, samples: Samples) -> None:
    first = learn(autoencoder(), samples)
    second = learn(first.network, samples, learning_rate=1e-5)
    assert second.curve[0][2] < 1.1 * first.best_loss


def test_first_validations_only_are_looked_at(autoencoder: Make, samples: Samples) -> None:
    poisoned = replace(samples, targets=np.where(np.arange(2_000)[:, None] < 100, samples.targets, np.nan))
    recipe = Recipe.quick(3, validation_samples=100)
    result = fit(autoencoder(), samples, poisoned, recipe, loss="mse", seed=1)
    assert result.status == "ok"


def test_progress_is_told_every_validation(autoencoder: Make, samples: Samples) -> None:
    told: list[tuple[int, float]] = []
    result = fit(
        autoencoder(), samples, samples, Recipe.quick(4, validate_every=2), loss="mse", seed=1,
        progress=lambda step, loss: told.append((step, loss)),
    )  # fmt: skip
    assert told == [(step, loss) for step, _, loss in result.curve]
    assert [step for step, _ in told] == [2, 4]


def test_divergence_is_a_status_with_a_reason(autoencoder: Make, samples: Samples) -> None:
    poisoned = replace(samples, targets=np.where(np.arange(2_000)[:, None] == 7, np.nan, samples.targets))
    result = fit(autoencoder(), poisoned, samples, Recipe.quick(60, batch=100), loss="mse", seed=1)
    assert result.status == "diverged"
    assert result.reason == f"the training loss is nan at step {result.steps}"
    assert result.steps <= 20
    assert result.network.fitted
    assert all(math.isfinite(loss) for _, _, loss in result.curve)


def test_weights_that_are_not_finite_are_divergence(autoencoder: Make, samples: Samples) -> None:
    result = learn(autoencoder(quantised=False), samples, learning_rate=1e38)
    assert result.status == "diverged"
    assert "at step" in result.reason


def test_threads_of_torch_are_as_before(autoencoder: Make, samples: Samples) -> None:
    before = torch.get_num_threads()
    learn(autoencoder(), samples)
    assert torch.get_num_threads() == before


def test_samples_that_do_not_fit_are_refused(autoencoder: Make, samples: Samples) -> None:
    network, recipe = autoencoder(), Recipe.quick(1)
    empty = Samples(samples.inputs[:0], samples.targets[:0], samples.output_index)
    small = replace(samples, inputs=samples.inputs[:, :4])
    short = replace(samples, targets=samples.targets[:, 1:])
    beyond = replace(samples, output_index=samples.output_index + 16)
    for bad, message in (
        (empty, "no training samples"),
        (small, r"training inputs have shape \(4, 8, 1\) each, the network takes \(8, 8, 1\)"),
        (short, "one column for each output index"),
        (beyond, "beyond the 64 outputs"),
    ):
        with pytest.raises(DataError, match=message):
            fit(network, bad, samples, recipe, loss="mse", seed=1)
    with pytest.raises(ConfigError, match="loss is one of"):
        fit(network, samples, samples, recipe, loss="hinge", seed=1)
