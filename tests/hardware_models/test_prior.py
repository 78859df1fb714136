from dataclasses import asdict, replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.errors import ConfigError
from hardware_models import prior as module
from hardware_models.adders import adders, digits
from hardware_models.prior import Expected, expected, fit, load_prior, main, parse_prior, spread

PRIOR = load_prior()
TEXT = files("hardware_models").joinpath("prior.toml").read_text(encoding="utf-8")
examples = settings(deadline=None, max_examples=60)


def one(taps: float, units: int, weight_bits: int, input_bits: int, fan_in: float | None = None) -> Expected:
    """Of one matrix."""
    columns = (np.array([float(each)]) for each in (taps, fan_in or taps, units))
    return expected(PRIOR, *columns, np.array([weight_bits]), np.array([float(input_bits)]))


def drawn(taps: int, units: int, weight_bits: int, rng: np.random.Generator) -> np.ndarray:
    """Weights as trained ones are: Gaussian, rounded into the format."""
    full_scale = 1 << (weight_bits - 1)
    deviation = spread(PRIOR, np.array([taps]), np.array([units])).item() * full_scale
    codes = np.clip(np.rint(rng.normal(0, deviation, (taps, units))), -full_scale, full_scale - 1)
    return codes.astype(np.int64)


def test_what_is_expected_is_what_is_counted_within_a_quarter() -> None:
    rng = np.random.default_rng(7)
    shapes = [(9, 8, 6, 8), (25, 4, 4, 6), (36, 16, 5, 7), (64, 16, 3, 5), (128, 8, 8, 8), (50, 32, 4, 4)]
    for taps, units, weight_bits, input_bits in shapes:
        guess = one(taps, units, weight_bits, input_bits)
        found = [
            adders(
                drawn(taps, units, weight_bits, rng),
                np.zeros(taps, np.int64),
                np.full(taps, (1 << input_bits) - 1),
            )
            for _ in range(4)
        ]
        counted = {
            "full": np.mean([each.bits for each in found]),
            "half": np.mean([each.carries for each in found]),
            "depth": np.mean([each.depth for each in found]),
        }
        for name, mean in counted.items():
            assert getattr(guess, name).item() == pytest.approx(mean, rel=0.25), (name, taps, units)


@pytest.mark.parametrize("deviation", [0.03, 0.2, 1.0])
@pytest.mark.parametrize("weight_bits", [2, 4, 8])
def test_digits_zeros_and_sizes_are_those_of_a_rounded_gaussian(deviation: float, weight_bits: int) -> None:
    full_scale = 1 << (weight_bits - 1)
    codes = np.rint(np.random.default_rng(0).normal(0, deviation * full_scale, 200_000)).astype(np.int64)
    codes = np.clip(codes, -full_scale, full_scale - 1)
    found = module._statistics(np.array([deviation]), np.array([weight_bits]))
    drawn = ((digits(codes) != 0).sum(axis=1).mean(), (codes == 0).mean(), np.abs(codes).mean())
    for guess, mean in zip(found, drawn, strict=True):
        assert guess.item() == pytest.approx(mean, rel=0.03, abs=0.01)


sizes = {
    "taps": st.integers(2, 300),
    "units": st.integers(1, 64),
    "weight_bits": st.integers(2, 8),
    "input_bits": st.integers(1, 10),
}


@pytest.mark.parametrize("name", ["taps", "units", "weight_bits", "input_bits"])
@given(given_sizes=st.fixed_dictionaries(sizes))
@examples
def test_more_of_anything_is_never_expected_to_cost_less(name: str, given_sizes: dict[str, int]) -> None:
    """With the same spread: the fan-in that it follows from stays."""
    fan_in = 100.0
    smaller = one(**given_sizes, fan_in=fan_in)
    larger = one(**{**given_sizes, name: given_sizes[name] + 1}, fan_in=fan_in)
    tolerance = 0.96 if name == "units" else 1.0  # more units also start with smaller weights
    assert (larger.full + larger.half >= tolerance * (smaller.full + smaller.half)).all()


def test_no_taps_cost_nothing() -> None:
    found = one(0, 4, 6, 8, fan_in=9)
    assert (found.full, found.half, found.depth, found.sum_bits) == (0, 0, 0, 0)


def test_a_spread_is_that_of_the_start_and_of_training() -> None:
    untrained = replace(PRIOR, trained_spread=0.0)
    assert spread(untrained, np.array([6]), np.array([2])).item() == 0.5
    assert spread(replace(PRIOR, trained_spread=1.2), np.array([6]), np.array([2])).item() == 1.3


def test_the_same_seed_fits_the_same_law() -> None:
    one, other = (fit(0.17, 14, np.random.default_rng(3)) for _ in range(2))
    assert one == other
    assert one != fit(0.17, 14, np.random.default_rng(4))
    assert one.trained_spread == 0.17


def test_a_fit_of_few_matrices_is_near_the_law() -> None:
    """Additions that remain, and full adders of one, in the middle of what is drawn."""
    few = fit(PRIOR.trained_spread, 40, np.random.default_rng(5))
    columns = (np.array([each]) for each in (40.0, 40.0, 8.0))
    near = expected(few, *columns, np.array([5]), np.array([6.0]))
    law = one(40, 8, 5, 6)
    assert near.full.item() == pytest.approx(law.full.item(), rel=0.15)
    assert near.depth.item() == pytest.approx(law.depth.item(), rel=0.15)


def test_the_command_writes_a_table_that_is_read_back(tmp_path: Path) -> None:
    file = tmp_path / "prior.toml"
    main(["--out", str(file), "--spread", "0.2", "--number", "14"])
    text = file.read_text(encoding="utf-8")
    found = parse_prior(text)
    assert found == fit(0.2, 14, np.random.default_rng(1))
    assert "--spread 0.2 --number 14" in text


def test_the_table_has_the_law() -> None:
    assert parse_prior(TEXT) == PRIOR
    assert set(asdict(PRIOR)) == set(module.UNITS)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[shared_terms]", "[shared_digits]", "the prior has trained_spread.*; got .*shared_digits"),
        ("[depth]", "[more]\nvalue = 1\n\n[depth]", "got .*more"),
        ('unit = "of full scale"', 'unit = "1"', "trained_spread is in 'of full scale', got '1'"),
        ('unit = "bit"', "", "full_width is in 'bit', got None"),
    ],
)
def test_a_damaged_table_is_refused(old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_prior(TEXT.replace(old, new, 1))
