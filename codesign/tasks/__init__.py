"""Tasks: a dataset, the loss that fits a network to it, and the scores it is judged by."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from codesign.metrics import Summary
from codesign.network import Network
from codesign.tasks.called import called

__all__ = ["OwnLoss", "Samples", "Task", "inputs_of"]

OwnLoss = Callable[[Any, Any, Any], Any]
"""A loss that a task brings: prediction and target, tensors of shape ``(n, k)``, and weights of the samples,
``(n,)`` or None, to a scalar tensor, the mean over the batch. PyTorch differentiates it and trains."""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """What a network sees and what it is to answer.

    Parameters
    ----------
    inputs
        Shape ``(n, *input_shape)`` of the networks, float32: images ``(n, height, width, channels)``, or
        flat ``(n, f)``.
    targets
        Shape ``(n, k)``, float32; of a classifier one-hot, a column a class.
    output_index
        Shape ``(k,)``: which of the network's flattened outputs (channels last) are compared with the
        targets, ``np.arange(k)`` for all in order; the others are free.
    weights
        Shape ``(n,)``, float32, not negative: what the loss of each sample is multiplied by; None: 1.
    conditions
        Shape ``(n, c)``, float32: what is known of each sample beside, for networks whose decoder takes it;
        None: nothing.
    """

    inputs: NDArray[np.float32]
    targets: NDArray[np.float32]
    output_index: NDArray[np.intp]
    weights: NDArray[np.float32] | None = None
    conditions: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.inputs)


class Task(Protocol):
    """A dataset with a loss and scores.

    Worker processes share the memory of a task's arrays, which cannot be written there. What it takes to
    bring one: ``docs/howto/own-task.md``.

    Optional beside: ``constant() -> dict[str, Summary]``, the scores of an answer that is the same for every
    sample; tables then say how many designs are near it.
    ``references() -> Mapping[str, Mapping[str, float]]``: what does the task's work without a network, by
    name, and its scores; fronts are shown beside it. ``conditional: bool``: whether samples have conditions.
    ``ranges: Mapping[str, tuple[float, float]]``: lowest and highest value of metrics by name; budgets beyond
    these are refused. ``held_out() -> Task``: the same data with every sample held out, which ``codesign
    score`` judges by.
    """

    name: ClassVar[str]
    """Name of the task."""

    @property
    def loss(self) -> str | OwnLoss:
        """Name of the training loss, in ``codesign.training.losses``, where the recipe names no other.

        Or a function: PyTorch then trains.
        """

    @property
    def metrics(self) -> Mapping[str, str]:
        """Name of each metric that ``score`` gives, to its unit (``1`` for a share)."""

    @property
    def training(self) -> Samples:
        """Samples to fit on."""

    @property
    def validation(self) -> Samples:
        """Samples to stop on and to score on."""

    def score(self, network: Network) -> dict[str, Summary]:
        """Every metric of a fitted network on the validation samples, by name: ``Summary.of(values)``."""

    def describe(self) -> dict[str, Any]:
        """What tells these data from others, as plain data for JSON.

        A study goes on only if this is as it was: source, sizes, options, best with a digest of the arrays.
        """


def inputs_of(task: Task, count: int) -> NDArray[np.float32]:
    """Up to ``count`` inputs, ``(n, *input_shape)``: those that are held out first."""
    with called(task.name, type(task)):
        held_out = task.validation.inputs[:count]
        return np.concatenate([held_out, task.training.inputs[: count - len(held_out)]])
