"""What a fit minimises: losses by name, each the mean over the batch."""

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from codesign.errors import ConfigError
from codesign.metrics.trigger_cells import BLOCKS, CELLS, GROUP_WEIGHTS, GROUPS

__all__ = ["LOSSES", "Loss", "loss_named", "mse", "telescoping"]

Loss = Callable[[Tensor, Tensor], Tensor]


@cache
def _telescope(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Matrix from cells to sums, shape ``(48, 87)``, and the weight of each sum, shape ``(87,)``.

    Columns are the 48 cells, the 36 groups of four and the 3 blocks.
    """
    sums = np.zeros((CELLS, CELLS + len(GROUPS) + len(BLOCKS)))
    sums[np.arange(CELLS), np.arange(CELLS)] = 1
    for column, members in enumerate([*GROUPS, *BLOCKS], start=CELLS):
        sums[members, column] = 1
    weights = np.concatenate(
        [
            np.full(CELLS, 4 / CELLS),
            2 / len(GROUPS) * GROUP_WEIGHTS,
            np.full(len(BLOCKS), 1 / len(BLOCKS)),
        ]
    )
    return torch.tensor(sums, dtype=dtype), torch.tensor(weights, dtype=dtype)


def telescoping(prediction: Tensor, target: Tensor) -> Tensor:
    """Telescoping loss: ``(a - b)**2 max(a, b)`` over cells, groups of four and blocks.

    The factor ``max(a, b)``, here ``b + max(a - b, 0)``, is differentiated too. Same as the NumPy reference
    ``codesign.metrics.telescoping`` (``telescope.py`` of ``fastmachinelearning/fastml-science``).

    Parameters
    ----------
    prediction, target
        Shape ``(n, 48)``, charge of each trigger cell in CALQ order, normalised.

    Returns
    -------
    loss
        Scalar.
    """
    sums, weights = _telescope(prediction.dtype)
    expected = target @ sums
    excess = torch.addmm(expected, prediction, sums, beta=-1)
    return torch.mv(excess * excess * (expected + excess.relu()), weights).mean()


def mse(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error over batch and outputs, shapes ``(n, k)``; a scalar."""
    return torch.nn.functional.mse_loss(prediction, target)


LOSSES: Mapping[str, Loss] = MappingProxyType({"telescoping": telescoping, "mse": mse})


def loss_named(name: str) -> Loss:
    """Loss called ``name``; raise ``ConfigError`` where there is none."""
    if name not in LOSSES:
        raise ConfigError(f"loss is one of {sorted(LOSSES)}, got {name!r}")
    return LOSSES[name]
