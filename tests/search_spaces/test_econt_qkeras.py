"""The study's quantised class: formats as QKeras computes them, sizes, and both forms of hidden layers."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codesign.errors import NetworkError
from codesign.export.rtl import check as check_rtl
from codesign.fixedpoint import FixedPoint
from codesign.hardware import Device, Workload
from codesign.network import Conv, Dense, Network, ReLU
from codesign.space import Candidate, SpaceDefinition
from codesign.testing import check_search_space
from codesign.training.build import build as build_module
from codesign.training.build import chip_outputs
from codesign.training.weights import fresh_weights, rounded_weights
from hardware_models.asic import AsicModel
from search_spaces import econt, econt_layouts, econt_qkeras
from tests import keras_reference as keras

seeds = st.integers(0, 2**32 - 1)
examples = settings(deadline=None, max_examples=25)
DEFINITIONS: dict[str, tuple[SpaceDefinition, tuple[int, int, int], bool]] = {
    "8x8": (econt_qkeras, (8, 8, 1), True),
    "linear": (econt_qkeras.LINEAR, (8, 8, 1), False),
    "4x4x3": (econt_layouts.QKERAS_4X4X3, (4, 4, 3), True),
    "6x6x3": (econt_layouts.QKERAS_6X6X3, (6, 6, 3), True),
}
names = st.sampled_from(sorted(DEFINITIONS))


def drawn(definition: SpaceDefinition, rng: np.random.Generator) -> Candidate:
    return definition.SPACE.decode(definition.SPACE.sample_codes(1, rng, balanced=True))[0]


def steps_of(candidate: Candidate, hidden_relu: bool) -> keras.Steps:
    """What qDenseCNN does to input, weights and values."""
    integer, latent_integer = int(candidate["weight_integer"]), int(candidate["latent_integer"])
    accumulator = partial(
        keras.quantized_relu,
        bits=int(candidate.get("accumulator_bits", 11)),
        integer=econt_qkeras.INPUT_INTEGER,
    )
    latent = partial(keras.quantized_relu, bits=int(candidate["latent_bits"]), integer=latent_integer)

    def as_it_is(value: torch.Tensor) -> torch.Tensor:
        return value

    return keras.Steps(
        source=partial(keras.quantized_bits, bits=int(candidate["input_bits"]), integer=3),
        conv_weight=partial(
            keras.quantized_bits, bits=int(candidate.get("conv_weight_bits", 5)), integer=integer
        ),
        dense_weight=partial(keras.quantized_bits, bits=int(candidate["dense_weight_bits"]), integer=integer),
        hidden_conv=accumulator if hidden_relu else as_it_is,
        last_conv=accumulator,
        hidden_dense=latent if hidden_relu else as_it_is,
        latent=latent,
    )


def with_weights(network: Network, part: keras.Part) -> Network:
    """The chip with weights of Keras, rounded by its formats."""
    layers = [layer for layer in network.layers if isinstance(layer, Conv | Dense)]
    found = {}
    for layer, (_, (kernel, bias)) in zip(layers, part, strict=True):
        found |= {f"{layer.name}.weight": kernel, f"{layer.name}.bias": bias}
    return network.with_weights(rounded_weights(network, found))


@given(names, seeds)
@examples
def test_every_quantised_network_answers_as_the_sources_of_the_study_say(name: str, seed: int) -> None:
    definition, shape, hidden_relu = DEFINITIONS[name]
    rng = np.random.default_rng(seed)
    candidate = drawn(definition, rng)
    form = keras.Hyperparameters.of(candidate.values, shape)
    encoder, _ = keras.kernels(form, rng)
    images = rng.random((4, *shape)) * 2
    chip = with_weights(definition.build(candidate).chip, encoder)
    expected, _ = keras.encode(form, encoder, images, steps=steps_of(candidate, hidden_relu))
    np.testing.assert_array_equal(chip.predict(images), expected)


@given(names, seeds)
@examples
def test_training_and_hardware_take_every_network(name: str, seed: int) -> None:
    definition, shape, _ = DEFINITIONS[name]
    rng = np.random.default_rng(seed)
    network = definition.build(drawn(definition, rng))
    fitted = network.with_weights(rounded_weights(network, fresh_weights(network, rng)))
    images = rng.random((3, *shape))
    codes = chip_outputs(build_module(fitted), images)
    np.testing.assert_array_equal(codes, fitted.chip.predict(images))
    costs = AsicModel().price(Workload.of([network]), Device())
    assert all((values > 0).all() for values in costs.values() if values.dtype.kind == "f")


def relus(network: Network) -> int:
    return sum(isinstance(layer, ReLU) for layer in network.chip.layers)


def test_hidden_relus_are_a_choice() -> None:
    candidate = econt_qkeras.SPACE.candidate(
        {"filters_1": 8, "filters_2": 4, "pooling_2": True, "units_2": 16}
    )
    assert relus(econt_qkeras.autoencoder(candidate)) == 5
    assert relus(econt_qkeras.autoencoder(candidate, hidden_relu=False)) == 2
    names = [layer.name for layer in econt_qkeras.autoencoder(candidate, hidden_relu=False).chip.layers]
    assert names.index("conv_2_relu") == names.index("pool_2") + 1 == names.index("flatten") - 1


def test_one_hidden_layer_is_the_same_with_and_without() -> None:
    candidate = econt_qkeras.SPACE.candidate(econt_qkeras.BASELINE)
    assert econt_qkeras.build(candidate) == econt_qkeras.autoencoder(candidate, hidden_relu=False)


def test_sums_that_cannot_be_exact_are_refused() -> None:
    values = {
        f"{name}_{i}": 64 if name != "kernel" else 5 for name in ("filters", "kernel") for i in (1, 2, 3)
    }
    candidate = econt_qkeras.SPACE.candidate({**values, "units_3": 64, "conv_weight_bits": 8})
    econt_qkeras.build(candidate)
    with pytest.raises(NetworkError, match=r"bit accumulator, the largest is 48"):
        econt_qkeras.autoencoder(candidate, hidden_relu=False)


def test_the_widest_linear_network_can_be_exact() -> None:
    space = econt_qkeras.LINEAR.SPACE
    widest = {
        column.name: max(column.parameter.values)
        for column in space.columns
        if not column.name.startswith(("stride", "pooling", "latent_integer", "weight_integer"))
    }
    network = econt_qkeras.LINEAR.build(space.candidate({**widest, "weight_integer": 0}))
    assert max(fixed.width for fixed in network.chip.formats if fixed) <= 48


# --- published designs


def chip_of(name: str) -> Network:
    return econt_qkeras.build(econt_qkeras.SPACE.candidate(econt_qkeras.DESIGNS[name])).chip


def weight_bits(name: str) -> int:
    return int(Workload.of([chip_of(name)]).parameter_bits.sum())


def formats(network: Network) -> list[tuple[int, int]]:
    """Total and integer bits of weights, then of the ReLUs, each once in order."""
    found = [layer.weight for layer in network.layers if getattr(layer, "weight", None)]
    found += [layer.output for layer in network.layers if isinstance(layer, ReLU)]
    return [(fixed.width, fixed.integer_bits) for fixed in [network.input_format, *found] if fixed]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("baseline", [(10, 3), (5, 1), (5, 1), (11, 3), (9, 1)]),
        ("small", [(10, 3), (8, 1), (8, 1), (16, 3), (16, 3)]),
        ("medium", [(11, 3), (6, 1), (6, 1), (12, 3), (9, 1)]),
        ("large", [(10, 3), (5, 1), (7, 1), (11, 3), (13, 3)]),
        ("flight", [(10, 3), (6, 0), (6, 0), (11, 3), (9, 1)]),
    ],
)
def test_formats_of_published_designs(name: str, expected: list[tuple[int, int]]) -> None:
    assert formats(chip_of(name)) == expected


@pytest.mark.parametrize(
    ("name", "parameters", "bits"),
    [
        ("baseline", 2_144, 2_144 * 5),
        ("small", 64 * 16 + 16 + 16 * 16 + 16, 1_312 * 8),
        ("medium", 2_144, 12_864),
        ("large", 25 * 32 + 32 + 512 * 16 + 16, 832 * 5 + 8_208 * 7),
        ("flight", 2_144, 12_864),
    ],
)
def test_sizes_of_published_designs(name: str, parameters: int, bits: int) -> None:
    assert chip_of(name).parameter_count() == parameters
    assert weight_bits(name) == bits


def test_the_flight_weights_are_those_of_the_search_space() -> None:
    ours = econt.build(econt.SPACE.candidate(econt.BASELINE)).chip
    flight = chip_of("flight")
    for layer, other in zip(ours.layers, flight.layers, strict=True):
        if isinstance(layer, Conv | Dense):
            assert isinstance(other, Conv | Dense)
            assert layer.weight == other.weight == layer.bias == other.bias == FixedPoint(0, 5)
    assert Workload.of([ours]).parameter_bits.sum() == 12_864


@pytest.mark.parametrize(("links", "bits"), [(2, 48), (3, 80), (4, 112), (5, 144)])
def test_the_link_budget_sets_the_bits_of_the_latent_word(links: int, bits: int) -> None:
    values = {**econt.BASELINE, "latent_bits": econt.LATENT_BITS[links]}
    for module in (econt, econt_qkeras):
        chip = module.build(module.SPACE.candidate(values)).chip
        last = chip.formats[-1]
        assert last is not None
        assert last.width * chip.output_shape[0] == bits


def codes_of(values: NDArray[np.float64], bits: int, integer: int) -> NDArray[np.float64]:
    fixed = econt_qkeras._signed(bits, integer)
    return fixed.dequantise(fixed.quantise(values))


@given(st.integers(2, 16), st.integers(0, 3), seeds)
def test_formats_are_quantisers_of_qkeras(bits: int, integer: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(0, 2**integer, 200)
    ties = np.arange(-80, 80) * 2.0 ** (integer - bits - 1)
    every = np.concatenate([values, ties])
    theirs = keras.quantized_bits(torch.tensor(every), bits, integer).numpy()
    np.testing.assert_array_equal(codes_of(every, bits, integer), theirs)
    relu = econt_qkeras._unsigned(bits, integer) if bits >= integer else None
    if relu is not None:
        theirs = keras.quantized_relu(torch.tensor(every), bits, integer).numpy()
        np.testing.assert_array_equal(relu.dequantise(relu.quantise(every)), theirs)


@pytest.mark.parametrize("name", sorted(DEFINITIONS))
def test_keeps_the_laws_of_spaces(name: str) -> None:
    check_search_space(DEFINITIONS[name][0])


def test_verilog_takes_its_rounding() -> None:
    check_rtl(chip_of("medium"), Device())
