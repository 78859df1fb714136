import math
import subprocess
import sys

import pytest

from codesign.errors import ConfigError
from codesign.training import Recipe


def test_defaults_are_those_of_the_study() -> None:
    recipe = Recipe()
    assert (recipe.batch, recipe.learning_rate, recipe.schedule) == (500, 1e-3, "constant")
    assert (recipe.output_bias, recipe.patience) == (0.0, 30)


def test_quick_starts_outputs_at_one_in_32_and_takes_changes() -> None:
    recipe = Recipe.quick(700, batch=100)
    assert (recipe.steps, recipe.batch) == (700, 100)
    assert 1 / (1 + math.exp(-recipe.output_bias)) == pytest.approx(1 / 32)


def test_cosine_goes_from_the_rate_to_zero() -> None:
    recipe = Recipe(steps=100, schedule="cosine", learning_rate=0.5)
    rates = [recipe.rate(step) for step in range(101)]
    assert (rates[0], rates[50], rates[100]) == pytest.approx((0.5, 0.25, 0.0))
    assert rates == sorted(rates, reverse=True)
    assert Recipe(learning_rate=0.5).rate(99) == 0.5


def test_validations_come_once_an_epoch_but_at_least_twenty_times() -> None:
    assert Recipe(steps=100_000).validation_interval(320_000) == 640
    assert Recipe(steps=2_000).validation_interval(320_000) == 100
    assert Recipe(steps=5).validation_interval(320_000) == 1
    assert Recipe(validate_every=7).validation_interval(320_000) == 7


@pytest.mark.parametrize("recipe", [Recipe(), Recipe.quick(10), Recipe(patience=None, validate_every=3)])
def test_dict_round_trip(recipe: Recipe) -> None:
    assert Recipe.from_dict(recipe.to_dict()) == recipe


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 0}, "steps is a whole number from 1, got 0"),
        ({"batch": 2.5}, "batch is a whole number from 1, got 2.5"),
        ({"steps": None}, "steps is a whole number from 1, got None"),
        ({"patience": True}, "patience is a whole number from 1, got True"),
        ({"learning_rate": -1.0}, "learning_rate is above 0"),
        ({"learning_rate": math.nan}, "learning_rate is a finite number, got nan"),
        ({"output_bias": "low"}, "output_bias is a finite number, got 'low'"),
        ({"schedule": "linear"}, "schedule is one of .*'cosine'.*, got 'linear'"),
        ({"epochs": 3}, r"unknown \['epochs'\]; a recipe has .*'steps'"),
    ],
)
def test_what_is_no_recipe_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Recipe.from_dict(values)


def test_importing_training_and_export_loads_no_torch() -> None:
    code = "import sys, codesign.training, codesign.export; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
