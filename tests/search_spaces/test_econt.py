from collections.abc import Mapping
from dataclasses import fields
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codesign.errors import SpaceError
from codesign.hardware import Device, Workload
from codesign.network import Network
from codesign.space import SearchSpace, SpaceDefinition, Value
from codesign.testing import check_search_space
from hardware_models.asic import AsicModel
from search_spaces import econt, econt_float

modules = st.sampled_from((econt, econt_float))
seeds = st.integers(0, 2**32 - 1)
examples = settings(deadline=None, max_examples=30)

# One row a network: values, encoder and decoder parameters (None: not published), operations,
# multiply-accumulates.
ROWS: tuple[tuple[dict[str, Value], int, int | None, int, int], ...] = (
    ({"filters_1": 8, "kernel_1": 3, "stride_1": 2}, 2_144, 2_833, 6_544, 3_200),
    ({"filters_1": 64, "kernel_1": 3, "stride_1": 1}, 66_192, 107_137, 208_912, 102_400),
    ({"filters_1": 8, "kernel_1": 3, "stride_1": 1}, 8_288, None, 26_128, 12_800),
    ({"filters_1": 64, "kernel_1": 3, "stride_1": 2}, 17_040, None, 52_240, 25_600),
    ({"filters_1": 8, "kernel_1": 3, "stride_1": 2, "pooling_1": True}, 608, None, 3_600, 1_664),
    ({"units_1": 64}, 5_200, None, 10_320, 5_120),
    (
        {"filters_1": 32, "kernel_1": 5, "stride_1": 2, "pooling_1": True, "units_1": 64},
        10_128,
        None,
        45_136,
        22_016,
    ),
)


def network_of(module: ModuleType, values: Mapping[str, Value]) -> Network:
    space: SearchSpace = module.SPACE
    network: Network = module.build(space.candidate(values))
    return network


@pytest.mark.parametrize("module", [econt, econt_float], ids=["quantised", "float"])
@pytest.mark.parametrize(("values", "encoder", "decoder", "operations", "macs"), ROWS, ids=str)
def test_sizes_and_operations_are_those_published(
    module: ModuleType,
    values: dict[str, Value],
    encoder: int,
    decoder: int | None,
    operations: int,
    macs: int,
) -> None:
    network = network_of(module, values)
    work = Workload.of([network])
    assert network.chip.parameter_count() == encoder == (work.weights + work.biases).sum()
    assert decoder in (None, network.parameter_count() - encoder)
    assert work.operations.sum() == operations
    assert work.macs.sum() == macs


def test_the_published_totals() -> None:
    assert network_of(econt, econt.BASELINE).parameter_count() == 4_977
    assert network_of(econt, {"filters_1": 64, "stride_1": 1}).parameter_count() == 173_329


def test_the_flight_chip_holds_as_many_weight_bits() -> None:
    work = Workload.of([network_of(econt, econt.BASELINE)])
    np.testing.assert_array_equal(work.parameter_bits, [[480, 12_384]])
    assert work.parameter_bits.sum() == 12_864


def test_four_halvings_are_refused_with_the_reason() -> None:
    with pytest.raises(SpaceError, match=r"more than three times.*\(convolutions: 4, at most 3\)"):
        econt.SPACE.candidate({"stride_1": 4, "stride_2": 4})


@given(modules, seeds, st.booleans())
@examples
def test_every_candidate_gives_back_an_image(module: ModuleType, seed: int, balanced: bool) -> None:
    space: SearchSpace = module.SPACE
    codes = space.sample_codes(5, np.random.default_rng(seed), balanced=balanced)
    for candidate in space.decode(codes):
        network = module.build(candidate)
        assert network.output_shape == (8, 8, 1)
        assert network.chip.output_shape == (16,)


def present(work: Workload, name: str, row: int) -> NDArray[Any]:
    values: NDArray[Any] = getattr(work, name)[row, work.present[row]]
    return values


@given(modules, seeds, st.booleans())
@examples
def test_workload_of_codes_is_that_of_the_networks(module: ModuleType, seed: int, balanced: bool) -> None:
    space: SearchSpace = module.SPACE
    codes = space.sample_codes(20, np.random.default_rng(seed), balanced=balanced)
    fast: Workload = module.workload(codes)
    slow = Workload.of([module.build(candidate) for candidate in space.decode(codes)])
    np.testing.assert_array_equal(fast.inputs, slow.inputs)
    np.testing.assert_array_equal(fast.network_input_bits, slow.network_input_bits)
    for name in (item.name for item in fields(Workload) if item.name not in ("names", "inputs")):
        assert getattr(fast, name).dtype == getattr(slow, name).dtype, name
        if getattr(fast, name).ndim == 2:
            assert not getattr(fast, name)[~fast.present].any(), name
            for row in range(len(codes)):
                np.testing.assert_array_equal(present(fast, name, row), present(slow, name, row), name)


@given(modules, seeds)
@examples
def test_both_workloads_cost_the_same_to_the_last_bit(module: ModuleType, seed: int) -> None:
    space: SearchSpace = module.SPACE
    codes = space.sample_codes(10, np.random.default_rng(seed), balanced=True)
    networks = [module.build(candidate) for candidate in space.decode(codes)]
    fast, slow = (
        AsicModel().price(work, Device()) for work in (module.workload(codes), Workload.of(networks))
    )
    for name, values in fast.items():
        np.testing.assert_array_equal(values, slow[name], name)


def test_columns_are_named_after_the_layers() -> None:
    deepest = {"filters_3": 2, "units_3": 16}
    network = network_of(econt, deepest)
    assert econt.workload(econt.SPACE.encode([])).names == Workload.of([network]).names


@pytest.mark.parametrize(
    "choices",
    [
        {"convolutions": (0, 1), "dense_layers": (0,)},
        {"convolutions": (0,)},
        {"filters": (4, 16), "conv_weight_bits": (3, 5), "latent_bits": (9,)},
        {"convolutions": (1, 2, 3), "stride": (2, 4), "input_bits": (8,)},
    ],
)
def test_a_restricted_space_keeps_the_laws_of_spaces(choices: dict[str, tuple[int, ...]]) -> None:
    definition = econt.restricted(**choices)
    check_search_space(definition)
    assert 0 < definition.SPACE.count() < econt.SPACE.count()


def test_a_restricted_space_keeps_the_baseline_only_if_it_is_in_it() -> None:
    assert econt.restricted(filters=(8,)).BASELINE == econt.BASELINE
    assert econt.restricted(filters=(4,)).BASELINE is None


@pytest.mark.parametrize("definition", [econt, econt_float])
def test_keeps_the_laws_of_spaces(definition: SpaceDefinition) -> None:
    check_search_space(definition)
