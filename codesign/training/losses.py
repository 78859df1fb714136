"""What a fit minimises: losses by name, each the mean over the batch, of samples that may have weights."""

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from codesign.errors import ConfigError
from codesign.metrics import emd_gradient
from codesign.metrics.trigger_cells import (
    BLOCKS,
    CELLS,
    DISTANCES,
    DOCUMENTED_GROUP_WEIGHTS,
    GROUP_WEIGHTS,
    GROUPS,
)
from codesign.tasks import OwnLoss

__all__ = [
    "LOSSES",
    "Loss",
    "binary_cross_entropy",
    "cross_entropy",
    "emd",
    "loss_named",
    "loss_of",
    "mse",
    "sinkhorn",
    "telescoping",
    "telescoping_documented",
    "weighted_mse",
]

SINKHORN_LENGTH = 0.5
SINKHORN_ROUNDS = 200
SINKHORN_TOLERANCE = 1e-6

Loss = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""Prediction and target, shapes ``(n, k)``, and weights of the samples, ``(n,)`` or None, to a scalar."""


@cache
def _telescope(documented: bool, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
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
            2 / len(GROUPS) * (DOCUMENTED_GROUP_WEIGHTS if documented else GROUP_WEIGHTS),
            np.full(len(BLOCKS), 1 / len(BLOCKS)),
        ]
    )
    return torch.tensor(sums, dtype=dtype, device=device), torch.tensor(weights, dtype=dtype, device=device)


def _mean(losses: Tensor, weights: Tensor | None) -> Tensor:
    """Mean over the batch of the losses of its samples, each times its weight."""
    return (losses if weights is None else losses * weights).mean()


def telescoping(prediction: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Telescoping loss: ``(a - b)**2 max(a, b)`` over cells, groups of four and blocks.

    The factor ``max(a, b)``, here ``b + max(a - b, 0)``, is differentiated too. Same as the NumPy reference
    ``codesign.metrics.telescoping`` (``telescope.py`` of ``fastmachinelearning/fastml-science``).

    Parameters
    ----------
    prediction, target
        Shape ``(n, 48)``, charge of each trigger cell in CALQ order, normalised.
    weights
        Shape ``(n,)``: what the loss of each sample is multiplied by; None: 1.

    Returns
    -------
    loss
        Scalar.
    """
    return _telescoped(prediction, target, weights, documented=False)


def telescoping_documented(prediction: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Telescoping loss with the weights of the documented rule, where the published code has others."""
    return _telescoped(prediction, target, weights, documented=True)


def _telescoped(prediction: Tensor, target: Tensor, weights: Tensor | None, *, documented: bool) -> Tensor:
    sums, shares = _telescope(documented, prediction.dtype, prediction.device)
    expected = target @ sums
    excess = torch.addmm(expected, prediction, sums, beta=-1)
    return _mean(torch.mv(excess * excess * (expected + excess.relu()), shares), weights)


def mse(prediction: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean squared error over batch and outputs, shapes ``(n, k)``, weights ``(n,)``; a scalar."""
    return _mean((prediction - target).square().mean(dim=1), weights)


def weighted_mse(prediction: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean of ``(a - b)**2 max(a, b)`` over batch and outputs, shapes ``(n, k)``, weights ``(n,)``; a scalar.

    The telescoping loss without its sums; the factor is differentiated here too.
    """
    excess = prediction - target
    return _mean((excess * excess * (target + excess.relu())).mean(dim=1), weights)


def cross_entropy(prediction: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    r"""Softmax cross-entropy :math:`-\sum_k b_k \log \mathrm{softmax}(a)_k`, mean over the batch, in nats.

    Parameters
    ----------
    prediction
        Shape ``(n, k)``: logits, any real numbers.
    target
        Shape ``(n, k)``: what share each class has, one-hot or soft.
    weights
        Shape ``(n,)``: what the loss of each sample is multiplied by; None: 1.

    Returns
    -------
    loss
        Scalar.
    """
    return _mean(functional.cross_entropy(prediction, target, reduction="none"), weights)


def binary_cross_entropy(prediction: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Cross-entropy of each output alone, mean over batch and outputs, in nats.

    Parameters
    ----------
    prediction
        Shape ``(n, k)``: logits, any real numbers.
    target
        Shape ``(n, k)``: probabilities, 0 to 1; a row may hold several ones.
    weights
        Shape ``(n,)``: what the loss of each sample is multiplied by; None: 1.

    Returns
    -------
    loss
        Scalar.
    """
    each = functional.binary_cross_entropy_with_logits(prediction, target, reduction="none")
    return _mean(each.mean(dim=1), weights)


def emd(prediction: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean Earth Mover's Distance of the rows, each normalised to sum 1, in units of one sensor cell.

    Solved exactly in float64 by ``codesign.metrics.emd_gradient``, whatever the type of the prediction. A row
    without charge counts 0 and has gradient 0; a row with NaN or infinity is NaN. The target has no gradient.

    Parameters
    ----------
    prediction, target
        Shape ``(n, 48)``, charge of each trigger cell in CALQ order, any unit, not negative.
    weights
        Shape ``(n,)``: what the distance of each sample is multiplied by; None: 1.

    Returns
    -------
    loss
        Scalar.

    Raises
    ------
    DataError
        A charge is negative.
    """
    work: Tensor = _EarthMover.apply(prediction, target)  # type: ignore[no-untyped-call]
    return _mean(work, weights)


class _Distance(torch.autograd.Function):
    """A distance of each row whose gradient comes with it."""

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None]:
        """Scale the gradient that was kept."""
        (gradient,) = ctx.saved_tensors
        return outputs[0][:, None] * gradient, None


class _EarthMover(_Distance):
    """Keep the gradient that the solver gives with the distance."""

    @staticmethod
    def forward(ctx: Any, prediction: Tensor, target: Tensor) -> Tensor:
        """Distance of each row."""
        y, x = (rows.detach().cpu().numpy().astype(np.float64) for rows in (prediction, target))
        work, gradient = np.full(len(y), np.nan), np.full(y.shape, np.nan)
        finite = np.isfinite(y).all(axis=1) & np.isfinite(x).all(axis=1)
        work[finite], gradient[finite] = emd_gradient(x[finite], y[finite])
        ctx.save_for_backward(torch.from_numpy(gradient).to(prediction))
        return torch.from_numpy(work).to(prediction)


def sinkhorn(prediction: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    r"""Earth Mover's Distance smoothed by entropy, in units of one sensor cell.

    The rows, normalised to sum 1, are transported at the least cost
    :math:`\langle \gamma, D \rangle + \epsilon\, \mathrm{KL}(\gamma \| p q^T)` with
    :math:`\epsilon` of half a sensor cell, as in the study. Scaling of the potentials (Cuturi, *Sinkhorn
    distances*, NeurIPS 2013, in logarithms); the gradient is the potential at the end. A row without charge
    counts 0.

    Parameters
    ----------
    prediction, target
        Shape ``(n, 48)``, charge of each trigger cell in CALQ order, any unit, not negative.
    weights
        Shape ``(n,)``: what the distance of each sample is multiplied by; None: 1.

    Returns
    -------
    loss
        Scalar.
    """
    work: Tensor = _Sinkhorn.apply(prediction, target)  # type: ignore[no-untyped-call]
    return _mean(work, weights)


class _Sinkhorn(_Distance):
    """Keep the potential of the prediction, which is the gradient with regard to its shares."""

    @staticmethod
    def forward(ctx: Any, prediction: Tensor, target: Tensor) -> Tensor:
        """Smoothed distance of each row."""
        y, x = prediction.detach().double(), target.detach().double()
        total = y.sum(dim=1, keepdim=True)
        filled = (total > 0) & (x.sum(dim=1, keepdim=True) > 0)
        p, q = y / total.where(filled, torch.ones_like(total)), x / x.sum(dim=1, keepdim=True)
        p, q = (rows.where(filled, torch.full_like(rows, 1 / rows.shape[1])) for rows in (p, q))
        f, g = _potentials(p.log(), q.log())
        work = ((p * f).sum(dim=1) + (q * g).sum(dim=1)) * filled[:, 0]
        slope = (f - (p * f).sum(dim=1, keepdim=True)) / total.where(filled, torch.ones_like(total))
        ctx.save_for_backward((slope * filled).to(prediction))
        return work.to(prediction)


def _potentials(log_p: Tensor, log_q: Tensor) -> tuple[Tensor, Tensor]:
    """Potentials of both sides, each ``(n, 48)``, after rounds of scaling."""
    distances = torch.tensor(DISTANCES).to(log_p)
    g = torch.zeros_like(log_q)
    for _ in range(SINKHORN_ROUNDS):
        f = -SINKHORN_LENGTH * torch.logsumexp(
            log_q[:, None, :] + (g[:, None, :] - distances) / SINKHORN_LENGTH, dim=2
        )
        before, g = (
            g,
            -SINKHORN_LENGTH
            * torch.logsumexp(log_p[:, None, :] + (f[:, None, :] - distances) / SINKHORN_LENGTH, dim=2),
        )
        if float((g - before).abs().max()) < SINKHORN_TOLERANCE:
            break
    return f, g


LOSSES: Mapping[str, Loss] = MappingProxyType(
    {
        "telescoping": telescoping,
        "telescoping_documented": telescoping_documented,
        "mse": mse,
        "weighted_mse": weighted_mse,
        "sinkhorn": sinkhorn,
        "emd": emd,
        "cross_entropy": cross_entropy,
        "binary_cross_entropy": binary_cross_entropy,
    }
)


def loss_named(name: str) -> Loss:
    """Loss called ``name``; raise ``ConfigError`` where there is none."""
    if name not in LOSSES:
        raise ConfigError(f"loss is one of {sorted(LOSSES)}, got {name!r}")
    return LOSSES[name]


def loss_of(given: str | OwnLoss) -> Loss:
    """Loss of a name, or a task's own, which is held to give what can be minimised."""
    if isinstance(given, str):
        return loss_named(given)

    def checked(prediction: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
        found = given(prediction, target, weights)
        if not isinstance(found, Tensor) or found.ndim or (prediction.requires_grad > found.requires_grad):
            raise ConfigError(
                f"the task's own loss gave {found!r}; it gives a tensor without axes, the mean over the "
                "batch, computed by torch from the prediction"
            )
        return found

    return checked
