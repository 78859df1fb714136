"""The images that networks see of the 48 trigger cells of a wafer: layouts 8x8, 4x4x3 and 6x6x3.

::

    8x8     one image of the three blocks, a quadrant without cells: see ``codesign.tasks.wafers``
    4x4x3   a channel a block, pixel (r, c) is CALQ 16 b + 4 r + c
    6x6x3   a channel a block, its rows from the last to the first, with a margin at the right and at the
            bottom that shows the cells of the neighbouring blocks

Images are channels last, ``(height, width, channels)``; 6x6x3 is what the study calls ``6x6x3_tp``. Source:
``networks.py`` of `fastmachinelearning/fastml-science`, folder ``sensor-data-compression`` (Apache-2.0).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from codesign.errors import DataError
from codesign.network import Network, Shape
from codesign.tasks.wafers import INDEX_8X8, TRIGGER_CELLS

__all__ = ["LAYOUTS", "Layout", "layout_of"]

T = TypeVar("T", bound=np.generic)
_BLOCK: Final = np.arange(16).reshape(4, 4)


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Which trigger cell each pixel shows, and which pixels answer for a cell.

    Parameters
    ----------
    name
        As the study calls it.
    image_index
        Shape ``(height, width, channels)``: the CALQ that a pixel shows, -1 for none (zero).
    own
        Same shape: the 48 pixels that answer, one a cell. The others that show a cell are neighbours,
        borrowed from another block.

    Attributes
    ----------
    output_index
        Shape ``(48,)``: flat pixel, channels last, that answers for CALQ ``i``.

    Raises
    ------
    DataError
        If the pixels of ``own`` do not show every trigger cell once.
    """

    name: str
    image_index: NDArray[np.intp]
    own: NDArray[np.bool_]
    output_index: NDArray[np.intp] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Reject an answer that lacks a cell; keep the arrays as they are."""
        pixels = np.flatnonzero(self.own)
        shown = self.image_index.ravel()[pixels]
        if not np.array_equal(np.sort(shown), np.arange(TRIGGER_CELLS)):
            raise DataError(f"layout {self.name!r} must answer for every trigger cell once, it has {shown}")
        object.__setattr__(self, "output_index", pixels[np.argsort(shown)])
        for array in (self.image_index, self.own, self.output_index):
            array.setflags(write=False)

    @property
    def shape(self) -> Shape:
        """Shape of an image: ``(height, width, channels)``."""
        return self.image_index.shape

    def images(self, cells: NDArray[T]) -> NDArray[T]:
        """Images of the trigger cells, zero where none is shown.

        Parameters
        ----------
        cells
            Shape ``(..., 48)``, CALQ order.

        Returns
        -------
        images
            Shape ``(..., height, width, channels)``.
        """
        if cells.shape[-1:] != (TRIGGER_CELLS,):
            raise DataError(
                f"an image is made of 48 trigger cells along the last axis, got shape {cells.shape}"
            )
        shown: NDArray[T] = np.where(self.image_index < 0, cells.dtype.type(0), cells[..., self.image_index])
        return shown

    def cells(self, images: NDArray[T]) -> NDArray[T]:
        """What images answer for each trigger cell; the other pixels are left.

        Parameters
        ----------
        images
            Shape ``(..., height, width, channels)``, or flat, ``(n, height * width * channels)``.

        Returns
        -------
        cells
            Shape ``(..., 48)``, CALQ order.
        """
        size = self.image_index.size
        if images.shape[-3:] == self.shape:
            images = images.reshape(*images.shape[:-3], size)
        if images.shape[-1:] != (size,):
            raise DataError(f"layout {self.name} has images of shape {self.shape}, got shape {images.shape}")
        return images[..., self.output_index]


def layout_of(network: Network) -> Layout:
    """Layout of a network's images, in and out; raise ``DataError`` if it is none of ``LAYOUTS``."""
    for layout in LAYOUTS.values():
        if network.input_shape == layout.shape and np.prod(network.output_shape) == layout.image_index.size:
            return layout
    forms = " or ".join(f"{layout.shape} and gives {layout.image_index.size}" for layout in LAYOUTS.values())
    raise DataError(
        f"an autoencoder of wafers takes images of shape {forms} values; this network takes "
        f"{network.input_shape} and gives {network.output_shape}"
    )


def _blocks() -> NDArray[np.intp]:
    """CALQ of row, column and block, ``(4, 4, 3)``."""
    return np.stack([_BLOCK, 16 + _BLOCK, 32 + _BLOCK], axis=-1).astype(np.intp)


def _with_neighbours() -> Layout:
    """The blocks from the last row to the first; right of them and below, what borders there.

    Each block is the one before it turned by 120 degrees, so each borders in the same way on the other two:
    its last column on the first row of one, its first row on the last column of the other.
    """
    index = np.full((6, 6, 3), -1, dtype=np.intp)
    index[1:5, 1:5] = _blocks()[::-1]
    for block in range(3):
        index[1:5, 5, block] = 16 * ((block + 2) % 3) + _BLOCK[0]
        index[5, 1:5, block] = 16 * ((block + 1) % 3) + _BLOCK[::-1, 3]
    own = np.zeros(index.shape, dtype=bool)
    own[1:5, 1:5] = True
    return Layout("6x6x3", index, own)


LAYOUTS: Final[Mapping[str, Layout]] = MappingProxyType(
    {
        "8x8": Layout("8x8", INDEX_8X8[..., None].copy(), (INDEX_8X8 >= 0)[..., None]),
        "4x4x3": Layout("4x4x3", _blocks(), np.ones((4, 4, 3), dtype=bool)),
        "6x6x3": _with_neighbours(),
    }
)
"""Name to layout."""
