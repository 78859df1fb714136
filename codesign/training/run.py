"""A fit in progress: what an engine does not decide."""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.errors import DataError
from codesign.network import Network
from codesign.tasks import Samples
from codesign.training.recipe import Recipe
from codesign.training.weights import fresh_weights, real_weights, scaled_weights

__all__ = ["Checkpoint", "Progress", "Run"]

Arrays = Mapping[str, NDArray[Any]]

Progress = Callable[[int, float], None]

SCALED_ON = 256
"""Training samples, the first ones, that initial weights are scaled on."""


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """Where a fit stands; either engine goes on from it.

    Parameters
    ----------
    step, seen
        Optimiser steps taken, and samples seen in them.
    weights, first, second
        Real weights, not rounded, and Adam's moments, by the names and in the layout of ``Network.weights``.
    order
        State of the generator before it drew the order of the current epoch.
    taken
        Samples of that order that were seen.
    """

    step: int
    seen: int
    weights: Arrays
    first: Arrays
    second: Arrays
    order: Mapping[str, Any]
    taken: int

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """All of it as arrays by name, for a file."""
        parts = {"weights": self.weights, "first": self.first, "second": self.second}
        arrays = {f"{part}/{name}": values for part, each in parts.items() for name, values in each.items()}
        whole = {"step": self.step, "seen": self.seen, "taken": self.taken, "order": dict(self.order)}
        return {**arrays, "rest": np.array(json.dumps(whole))}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "Checkpoint":
        """Inverse of ``to_arrays``."""
        parts: dict[str, dict[str, NDArray[Any]]] = {"weights": {}, "first": {}, "second": {}}
        for key, values in arrays.items():
            part, _, name = key.partition("/")
            if name:
                parts[part][name] = values
        rest = json.loads(str(arrays["rest"]))
        return cls(**{**parts, **rest})


class Run(ABC):
    """Start, order, steps, validations and stopping; an engine adds how a step is made.

    So every engine starts a seed from the same weights and sees the same batches.
    """

    def __init__(self, network: Network, recipe: Recipe, training: Samples, seed: int) -> None:
        self.network, self.recipe, self.samples = network, recipe, len(training)
        self.generator = np.random.default_rng(seed)
        if network.fitted:
            self.start = real_weights(network)
        else:
            self.start = fresh_weights(network, self.generator, recipe.output_bias)
            if recipe.initial == "scaled":
                self.start = scaled_weights(network, self.start, training.inputs[:SCALED_ON])
        self.epoch, self.taken = self.generator.bit_generator.state, 0
        self.step = self.seen = self.best_step = 0
        self.until = recipe.steps
        self.reason = ""
        self.curve: list[tuple[int, float, float]] = []

    @abstractmethod
    def update(self, rows: NDArray[np.int64]) -> Any:
        """One step of Adam; the loss before it, a number or what will be one at the next validation."""

    @abstractmethod
    def validation_loss(self) -> float:
        """Mean loss of the validation samples."""

    @abstractmethod
    def finite(self) -> bool:
        """Whether every parameter is a finite number."""

    @abstractmethod
    def keep(self) -> None:
        """Remember the parameters."""

    @abstractmethod
    def fitted(self) -> Network:
        """The network with the parameters remembered last."""

    @abstractmethod
    def chip_values(self, inputs: NDArray[Any]) -> NDArray[Any]:
        """What the engine computes with the remembered parameters behind the chip's last layer."""

    @abstractmethod
    def state(self) -> tuple[Arrays, Arrays, Arrays]:
        """Real weights and Adam's first and second moment."""

    @abstractmethod
    def set_state(self, weights: Arrays, first: Arrays, second: Arrays) -> None:
        """Inverse of ``state``, at ``step``."""

    def checkpoint(self) -> Checkpoint:
        """Where the fit stands."""
        return Checkpoint(self.step, self.seen, *self.state(), self.epoch, self.taken)

    def go_on(self, checkpoint: Checkpoint) -> None:
        """Stand where another fit of the network stood; raise ``DataError`` if it was of another one."""
        shapes = {name: array.shape for name, array in self.start.items()}
        given = {name: array.shape for name, array in checkpoint.weights.items()}
        if given != shapes:
            raise DataError(f"the checkpoint is of another network: it has {given}, expected {shapes}")
        if checkpoint.step >= self.until or checkpoint.taken > self.samples:
            raise DataError(
                f"the checkpoint stands at step {checkpoint.step}, {checkpoint.taken} samples into an epoch; "
                f"going on needs more steps in all, got {self.until}, and the same samples, got "
                f"{self.samples}"
            )
        self.step, self.seen, self.taken = checkpoint.step, checkpoint.seen, checkpoint.taken
        self.generator.bit_generator.state = checkpoint.order
        self.set_state(checkpoint.weights, checkpoint.first, checkpoint.second)

    def descend(self, progress: Progress | None) -> str:
        """Step until the recipe says stop; why it diverged, or ""."""
        for _ in self.steps(progress):
            pass
        return self.reason

    def steps(self, progress: Progress | None) -> Iterator[None]:
        """``descend`` step by step; ``reason`` says why it diverged, or is empty."""
        interval = self.recipe.validation_interval(self.samples)
        best, stale, first = math.inf, 0, self.step
        total: Any = 0.0
        self.best_step = first
        self.keep()
        for rows in self._batches():
            loss = self.update(rows)
            self.step += 1
            self.seen += len(rows)
            if isinstance(loss, float) and not math.isfinite(loss):
                self.reason = f"the training loss is {loss} at step {self.step}"
                return
            total = total + loss
            yield
            if self.step % interval and self.step < self.until:
                continue
            value = self.validation_loss()
            if not (math.isfinite(value) and self.finite()):
                self.reason = f"weights or validation loss ({value}) are not finite at step {self.step}"
                return
            since = self.step - (self.curve[-1][0] if self.curve else first)
            self.curve.append((self.step, float(total) / since, value))
            total, stale = 0.0, stale + 1
            if value < best:
                best, self.best_step, stale = value, self.step, 0
                self.keep()
            if progress is not None:
                progress(self.step, value)
            if self.recipe.patience is not None and stale >= self.recipe.patience:
                return

    def _batches(self) -> Iterator[NDArray[np.int64]]:
        """Rows of each step: every epoch in a new order, its last batch as small as it comes."""
        while True:
            self.epoch = self.generator.bit_generator.state
            order = self.generator.permutation(self.samples)
            for start in range(self.taken, len(order), self.recipe.batch):
                if self.step >= self.until:
                    return
                self.taken = min(start + self.recipe.batch, len(order))
                yield order[start : self.taken]
            self.taken = 0
