"""Telescoping loss: squared differences of cells, of 2x2 groups and of blocks, in one sum."""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from codesign.metrics.pairs import score_rows
from codesign.metrics.trigger_cells import BLOCKS, CELLS, GROUP_WEIGHTS, GROUPS

__all__ = ["telescoping_loss"]

_CELL_SCALE: Final = 4.0
_GROUP_SCALE: Final = 2.0


def _members(groups: NDArray[np.intp]) -> NDArray[np.float64]:
    """1 where a cell is in a group, shape ``(48, groups)``: charges @ members sums each group."""
    members = np.zeros((CELLS, len(groups)))
    np.put_along_axis(members, groups.T, 1.0, axis=0)
    return members


_IN_GROUP: Final = _members(GROUPS)
_IN_BLOCK: Final = _members(BLOCKS)


def telescoping_loss(y: ArrayLike, y_hat: ArrayLike) -> NDArray[np.float64]:
    r"""Loss of each wafer in training: 4 cells + 2 groups + blocks.

    .. math:: L = \frac{4}{48} \sum_i d(y_i, \hat y_i)
                + \frac{2}{36} \sum_k w_k\, d(Y_k, \hat Y_k)
                + \frac{1}{3} \sum_b d(B_b, \hat B_b),
              \qquad d(a, b) = (a - b)^2 \max(a, b)

    with the sums :math:`Y_k` over the 36 groups of 2x2 cells and :math:`B_b` over the three blocks.
    Source: ``telescopeMSE2`` in ``sensor-data-compression/telescope.py`` of
    ``fastmachinelearning/fastml-science``.

    Parameters
    ----------
    y
        Normalised charges, shape ``(n, 48)``, CALQ order.
    y_hat
        Output of the decoder for them, same shape and order.

    Returns
    -------
    loss
        Shape ``(n,)``, the cube of the unit of ``y``; training minimises its mean.

    Raises
    ------
    DataError
        Shapes that do not fit, or a negative or non-finite number.

    Examples
    --------
    >>> telescoping_loss(np.eye(48)[:1], np.zeros((1, 48))).round(6)
    array([0.458333])
    """
    return score_rows(_loss, y, y_hat)


def _loss(y: NDArray[np.float64], y_hat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum the three levels, shape ``(n,)``."""
    cells = _difference(y, y_hat).mean(axis=1)
    groups = (_difference(y @ _IN_GROUP, y_hat @ _IN_GROUP) * GROUP_WEIGHTS).mean(axis=1)
    blocks = _difference(y @ _IN_BLOCK, y_hat @ _IN_BLOCK).mean(axis=1)
    return np.asarray(_CELL_SCALE * cells + _GROUP_SCALE * groups + blocks)


def _difference(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squared difference times the larger of the two, so that empty cells count little."""
    return np.square(a - b) * np.maximum(a, b)
