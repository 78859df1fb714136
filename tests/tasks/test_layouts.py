from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from codesign.errors import DataError
from codesign.metrics.trigger_cells import DISTANCES
from codesign.network import Dense, Flatten, Network
from codesign.tasks.layouts import LAYOUTS, Layout, layout_of
from codesign.tasks.wafers import FLAT_8X8, Wafers

names = st.sampled_from(sorted(LAYOUTS))
seeds = st.integers(0, 2**32 - 1)

# The three images of 6x6x3 as the study's documents print them; -1 where nothing is seen.
PRINTED_6X6X3 = """
-1 -1 -1 -1 -1 -1
-1 12 13 14 15 32
-1  8  9 10 11 33
-1  4  5  6  7 34
-1  0  1  2  3 35
-1 31 27 23 19 -1

-1 -1 -1 -1 -1 -1
-1 28 29 30 31  0
-1 24 25 26 27  1
-1 20 21 22 23  2
-1 16 17 18 19  3
-1 47 43 39 35 -1

-1 -1 -1 -1 -1 -1
-1 44 45 46 47 16
-1 40 41 42 43 17
-1 36 37 38 39 18
-1 32 33 34 35 19
-1 15 11  7  3 -1
"""


def network_for(shape: tuple[int, ...], outputs: int) -> Network:
    return Network(shape, (Flatten("flatten"), Dense("out", outputs)))


@given(names, seeds)
def test_image_and_back_is_the_identity_and_no_charge_is_made_up(name: str, seed: int) -> None:
    layout, rng = LAYOUTS[name], np.random.default_rng(seed)
    cells = rng.integers(0, 1000, (3, 48))
    images = layout.images(cells)
    assert images.shape == (3, *layout.shape)
    assert images.dtype == cells.dtype
    np.testing.assert_array_equal(layout.cells(images), cells)
    np.testing.assert_array_equal(layout.cells(images.reshape(3, -1)), cells)
    assert not images[:, layout.image_index < 0].any()
    np.testing.assert_array_equal((images * layout.own).sum(axis=(1, 2, 3)), cells.sum(axis=1))


@given(names, seeds)
def test_pixels_that_are_not_a_cells_own_are_free(name: str, seed: int) -> None:
    layout, rng = LAYOUTS[name], np.random.default_rng(seed)
    images = rng.random((2, *layout.shape))
    noisy = np.where(layout.own, images, rng.random(images.shape))
    np.testing.assert_array_equal(layout.cells(noisy), layout.cells(images))


def test_8x8_is_the_layout_of_the_wafers() -> None:
    layout, cells = LAYOUTS["8x8"], np.arange(1, 2 * 3 * 48 + 1, dtype=np.float32).reshape(2, 3, 48)
    np.testing.assert_array_equal(layout.output_index, FLAT_8X8)
    images = layout.images(cells)
    assert (images.shape, images.dtype) == ((2, 3, 8, 8, 1), np.float32)
    np.testing.assert_array_equal(images.reshape(2, 3, 64)[..., FLAT_8X8], cells)
    assert not images[..., 4:, 4:, :].any()


def test_golden_images_are_those_of_the_reference(reference_data: Path) -> None:
    with np.load(reference_data / "golden" / "reference_metrics.npz") as golden:
        wafers = Wafers(golden["calq"].astype(np.int64))
        np.testing.assert_array_equal(LAYOUTS["8x8"].images(wafers.normalised)[..., 0], golden["image8x8"])


def test_4x4x3_by_its_formula() -> None:
    cell = np.arange(48)
    np.testing.assert_array_equal(LAYOUTS["4x4x3"].output_index, 3 * (cell % 16) + cell // 16)
    assert list(LAYOUTS["4x4x3"].image_index.ravel()[:6]) == [0, 16, 32, 1, 17, 33]


def test_6x6x3_is_the_one_printed() -> None:
    printed = np.array(
        [[line.split() for line in image.splitlines()] for image in PRINTED_6X6X3.strip().split("\n\n")], int
    )
    np.testing.assert_array_equal(LAYOUTS["6x6x3"].image_index, printed.transpose(1, 2, 0))
    channels_first = [25, 26, 27, 28, 19, 20, 21, 22, 13, 14, 15, 16, 7, 8, 9, 10]
    positions = np.concatenate([np.array(channels_first) + 36 * block for block in range(3)])
    np.testing.assert_array_equal(LAYOUTS["6x6x3"].output_index, 3 * (positions % 36) + positions // 36)


def adjacent(index: NDArray[np.intp]) -> NDArray[np.intp]:
    """Pairs of cells of pixels that lie side by side or one above the other in a channel, ``(n, 2)``."""
    pairs = [
        np.stack([index[:, :-1].ravel(), index[:, 1:].ravel()], axis=1),
        np.stack([index[:-1].ravel(), index[1:].ravel()], axis=1),
    ]
    both = np.concatenate(pairs)
    return both[(both >= 0).all(axis=1)]


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_pixels_side_by_side_are_cells_side_by_side(name: str) -> None:
    pairs = adjacent(LAYOUTS[name].image_index)
    assert len(pairs) >= 72
    assert (DISTANCES[pairs[:, 0], pairs[:, 1]] < 2.3).all()


def test_6x6x3_shows_each_block_its_seams() -> None:
    pairs = {frozenset(map(int, pair)) for pair in adjacent(LAYOUTS["6x6x3"].image_index)}
    for seam in ({15, 32}, {11, 33}, {7, 34}, {3, 35}, {31, 0}, {19, 3}, {47, 16}, {35, 19}):
        assert frozenset(seam) in pairs, seam


def test_a_layout_that_loses_a_cell_is_refused() -> None:
    index = LAYOUTS["4x4x3"].image_index.copy()
    index[0, 0, 0] = 5
    with pytest.raises(DataError, match="every trigger cell once"):
        Layout("wrong", index, np.ones_like(index, dtype=bool))


def test_arrays_of_another_shape_are_refused() -> None:
    with pytest.raises(DataError, match=r"48 trigger cells.*\(2, 47\)"):
        LAYOUTS["6x6x3"].images(np.zeros((2, 47)))
    with pytest.raises(DataError, match=r"\(4, 4, 3\), got shape \(2, 64\)"):
        LAYOUTS["4x4x3"].cells(np.zeros((2, 64)))


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_a_network_tells_its_layout(name: str) -> None:
    layout = LAYOUTS[name]
    assert layout_of(network_for(layout.shape, layout.image_index.size)) is layout
    with pytest.raises(DataError, match=r"\(8, 8, 1\) and gives 64 or .*takes .* gives \(47,\)"):
        layout_of(network_for(layout.shape, 47))


def test_charges_of_real_wafers_survive_every_layout(reference_data: Path) -> None:
    with np.load(reference_data / "golden" / "reference_metrics.npz") as golden:
        wafers = Wafers(golden["calq"].astype(np.int64))
    for layout in LAYOUTS.values():
        np.testing.assert_array_equal(layout.cells(layout.images(wafers.normalised)), wafers.normalised)
