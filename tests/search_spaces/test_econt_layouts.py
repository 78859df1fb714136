"""The spaces on images 4x4x3 and 6x6x3: what fits them, published sizes, and what stays as it was."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.errors import SpaceError
from codesign.hardware import Workload
from codesign.space import Candidate, SpaceDefinition
from codesign.tasks.layouts import LAYOUTS, layout_of
from codesign.testing import check_search_space
from search_spaces import econt, econt_float, econt_layouts, econt_qkeras

SPACES: dict[str, SpaceDefinition] = {name: getattr(econt_layouts, name) for name in econt_layouts.__all__}
names = st.sampled_from(sorted(SPACES))
seeds = st.integers(0, 2**32 - 1)


def layout_named(space: str) -> str:
    return space.partition("_")[2].lower()


@given(names, seeds)
@settings(deadline=None, max_examples=40)
def test_every_candidate_gives_back_the_image_it_is_given(name: str, seed: int) -> None:
    space = SPACES[name].SPACE
    for candidate in space.decode(space.sample_codes(5, np.random.default_rng(seed), balanced=True)):
        network = SPACES[name].build(candidate)
        assert layout_of(network) is LAYOUTS[layout_named(name)]
        assert network.output_shape == network.input_shape
        assert network.chip.output_shape == (16,)


@pytest.mark.parametrize("name", sorted(SPACES))
def test_keeps_the_laws_of_spaces(name: str) -> None:
    check_search_space(SPACES[name])


@pytest.mark.parametrize(
    ("name", "values", "times"),
    [
        ("FLOAT_4X4X3", {"stride_1": 4, "pooling_1": True}, "4x4 image more than twice"),
        ("FIXED_6X6X3", {"stride_1": 2, "stride_2": 2}, "6x6 image more than once"),
        ("QKERAS_6X6X3", {"stride_1": 4}, "6x6 image more than once"),
    ],
)
def test_halvings_that_the_decoder_cannot_undo_are_refused(
    name: str, values: dict[str, int | bool], times: str
) -> None:
    with pytest.raises(SpaceError, match=times):
        SPACES[name].SPACE.candidate(values)


def test_the_other_variant_of_the_flight_chip_has_as_many_weights() -> None:
    for name in ("FIXED_4X4X3", "FLOAT_4X4X3"):
        definition = SPACES[name]
        chip = definition.build(definition.SPACE.candidate(econt_layouts.UNSTRIDED)).chip
        assert chip.parameter_count() == 2_288
    space = SPACES["FIXED_4X4X3"]
    work = Workload.of([space.build(space.SPACE.candidate(econt_layouts.UNSTRIDED))])
    assert work.parameter_bits.sum() == 13_728


def test_the_decoder_gives_as_many_channels_as_the_image_has() -> None:
    definition = SPACES["FLOAT_4X4X3"]
    network = definition.build(definition.SPACE.candidate(econt_layouts.UNSTRIDED))
    # dense 16 x 128 and bias; 3 x 3 x 8 x 8 and bias; 3 x 3 x 3 x 8 and bias
    assert network.parameter_count() - 2_288 == 17 * 128 + 9 * 64 + 8 + 9 * 24 + 3


def test_the_proposal_of_two_strides_of_four_has_an_encoder_and_no_decoder() -> None:
    values = {"filters_1": 32, "kernel_1": 5, "stride_1": 4, "filters_2": 16, "kernel_2": 3, "stride_2": 4}
    with pytest.raises(SpaceError, match="more than three times"):
        econt_float.SPACE.candidate(values)
    proposal = Candidate(
        {**values, "pooling_1": False, "pooling_2": False, "convolutions": 2, "dense_layers": 0}
    )
    chip = econt.encoder(proposal, quantised=False)
    work = Workload.of([chip])
    assert chip.parameter_count() == 5_728
    assert work.operations.sum() == 16_288
    assert work.macs.sum() == 8_064


def test_names_and_designs_of_the_first_space_are_kept() -> None:
    baseline = econt.SPACE.candidate(econt.BASELINE)
    assert (econt.SPACE.name, econt_float.SPACE.name) == ("econt", "econt-architecture")
    assert baseline.digest == "143a5a8b658f7e54"
    assert econt_float.SPACE.count() == 14_299_240
    assert econt_qkeras.SPACE.name == "econt-qkeras"
