"""Where the 48 trigger cells of a calorimeter wafer lie, and which of them belong together.

Cells are numbered in CALQ order: block ``b`` of the three rhombic blocks holds cells ``16 b`` to
``16 b + 15``, and cell ``16 b + 4 r + c`` is at row ``r`` and column ``c`` of its block. One unit of
length is one sensor cell of a low-density wafer (1.201 cm), half the pitch of the trigger cells.

The coordinates are those of the published Earth Mover's Distances: the table ``hexCoords`` of
``sensor-data-compression/utils/metrics.py`` in ``fastmachinelearning/fastml-science`` (Apache-2.0).
It is a hexagonal lattice in each block with errors up to 2e-5; they are kept, since distances are
compared with published ones to 1e-9. The table is a mirror image of the wafer, which no distance sees,
and its distances between cells of two blocks are up to 0.161 units off the wafer's.

Groups and weights are those of ``sensor-data-compression/telescope.py`` in the same repository.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BLOCKS",
    "CELLS",
    "DISTANCES",
    "DOCUMENTED_GROUP_WEIGHTS",
    "GROUPS",
    "GROUP_WEIGHTS",
    "NEIGHBOURS",
    "POSITIONS",
]

CELLS: Final = 48
"""Trigger cells of a wafer."""

_PITCH: Final = 2.4168015  # of the trigger cells, in the units of the reference's table
_CELLS_PER_PITCH: Final = 2
_NEIGHBOUR_REACH: Final = 2.3  # units; takes in the seams (1.80 and 2.29), not the second ring (3.04)

# Per block: x and y by row and column, in the units of the reference's table.
_BLOCK_X: Final = (
    ((0.0,) * 4, (2.09301,) * 4, (4.18602,) * 4, (6.27903,) * 4),
    ((-8.37204, -6.27903, -4.18602, -2.0930138),) * 4,
    (
        (4.7092705, 2.6162605, 0.5232506, -1.5697594),
        (2.6162605, 0.5232506, -1.5697594, -3.6627693),
        (0.5232506, -1.5697594, -3.6627693, -5.7557793),
        (-1.5697594, -3.6627693, -5.7557793, -7.848793),
    ),
)
_BLOCK_Y: Final = (
    (
        (0.0, -2.4168015, -4.833603, -7.2504044),
        (-1.2083969, -3.6251984, -6.042, -8.458794),
        (-2.4168015, -4.833603, -7.2504044, -9.667198),
        (-3.6251984, -6.042, -8.458794, -10.875603),
    ),
    (
        (-10.271393, -9.063004, -7.854599, -6.6461945),
        (-7.854599, -6.6461945, -5.4377975, -4.229393),
        (-5.4377975, -4.229393, -3.020996, -1.8125992),
        (-3.020996, -1.8125992, -0.6042023, 0.6042023),
    ),
    (
        (-12.386101, -11.177696, -9.969299, -8.760895),
        (-13.594498, -12.386101, -11.177696, -9.969299),
        (-14.802895, -13.594498, -12.386101, -11.177696),
        (-16.0113, -14.802895, -13.594498, -12.386101),
    ),
)

# 2x2 groups of the telescoping loss: the first cell of each inside block 0, and all cells of those
# across the seams of blocks 0 and 1, 0 and 2, 1 and 2.
_FIRST_IN_BLOCK: Final = (0, 2, 8, 10, 4, 6, 1, 9, 5)
_WEIGHTS_IN_BLOCK: Final = (3 / 8, 1 / 3, 9 / 16, 3 / 8, 3 / 8, 1 / 4, 1 / 4, 3 / 8, 1 / 4)
_ON_SEAMS: Final = (
    (0, 1, 27, 31),
    (1, 2, 23, 27),
    (2, 3, 19, 23),
    (3, 7, 34, 35),
    (7, 11, 33, 34),
    (11, 15, 32, 33),
    (16, 17, 43, 47),
    (17, 18, 39, 43),
    (18, 19, 35, 39),
)
_WEIGHTS_ON_SEAMS: Final = (3 / 8, 1 / 4, 5 / 12, 5 / 12, 1 / 4, 3 / 8, 3 / 8, 1 / 4, 5 / 12)


def _positions() -> NDArray[np.float64]:
    """Coordinates in units of one sensor cell, shape ``(48, 2)``."""
    table = np.stack([np.ravel(_BLOCK_X), np.ravel(_BLOCK_Y)], axis=1)
    return table / (_PITCH / _CELLS_PER_PITCH)


def _distances(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Euclidean distance of every pair of positions, shape ``(n, n)``."""
    return np.asarray(np.linalg.norm(positions[:, None] - positions[None, :], axis=-1))


def _neighbours(distances: NDArray[np.float64]) -> NDArray[np.intp]:
    """Pairs within reach of each other, lower cell first, shape ``(pairs, 2)``."""
    return np.argwhere(np.triu(distances < _NEIGHBOUR_REACH, k=1))


def _groups() -> NDArray[np.intp]:
    """Cells of the 2x2 groups, nine of each block and then the seams, shape ``(36, 4)``."""
    first = np.add.outer([0, 16, 32], _FIRST_IN_BLOCK).ravel()
    inside = np.add.outer(first, [0, 1, 4, 5])
    return np.concatenate([inside, _ON_SEAMS]).astype(np.intp)


def _group_weights() -> NDArray[np.float64]:
    """Weights in the order of the groups, shape ``(36,)``."""
    return np.concatenate([np.tile(_WEIGHTS_IN_BLOCK, 3), _WEIGHTS_ON_SEAMS])


def _documented_weights(groups: NDArray[np.intp]) -> NDArray[np.float64]:
    """A quarter of the sum, over the cells of a group, of one over the groups that hold the cell."""
    return np.asarray((1.0 / np.bincount(groups.ravel(), minlength=CELLS))[groups].sum(axis=1) / 4)


POSITIONS: Final = _positions()
"""Coordinates of the cells, units of one sensor cell, shape ``(48, 2)``."""

DISTANCES: Final = _distances(POSITIONS)
"""Euclidean distances between cells, units of one sensor cell, shape ``(48, 48)``."""

NEIGHBOURS: Final = _neighbours(DISTANCES)
"""The 120 pairs of adjacent cells, lower cell first, shape ``(120, 2)``."""

BLOCKS: Final = np.arange(CELLS).reshape(3, 16)
"""Cells of each block, shape ``(3, 16)``."""

GROUPS: Final = _groups()
"""Cells of the 2x2 groups of the telescoping loss, shape ``(36, 4)``."""

GROUP_WEIGHTS: Final = _group_weights()
"""Weight of each group, without unit, shape ``(36,)``, sum 12.5625.

The weights of the published trainings. The rule documented beside them gives others in six groups:
`DOCUMENTED_GROUP_WEIGHTS`.
"""

DOCUMENTED_GROUP_WEIGHTS: Final = _documented_weights(GROUPS)
"""Weight of each group by the documented rule: a quarter of the sum over its cells of one over the number of
groups that hold the cell; shape ``(36,)``, sum 12."""

for _constant in (
    POSITIONS,
    DISTANCES,
    NEIGHBOURS,
    BLOCKS,
    GROUPS,
    GROUP_WEIGHTS,
    DOCUMENTED_GROUP_WEIGHTS,
):
    _constant.setflags(write=False)
