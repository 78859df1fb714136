"""Fit one network: Adam on resident tensors, the best weights by validation loss kept."""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from codesign.errors import DataError
from codesign.network import Network
from codesign.tasks import Samples
from codesign.training.build import NetworkModule, build, extract
from codesign.training.compiled import CompiledNetwork, fresh_weights, real_weights, rounded_weights
from codesign.training.losses import Loss, loss_named
from codesign.training.recipe import ADAM_BETAS, ADAM_EPSILON, Recipe

__all__ = ["Fit", "Progress", "fit"]

Progress = Callable[[int, float], None]
_VALIDATION_CHUNK = 1024


@dataclass(frozen=True, slots=True)
class Fit:
    """What came of a fit.

    Parameters
    ----------
    network
        With the weights of the best validation; of a fit that diverged before the first, the weights it
        started from.
    status
        ``ok``, or ``diverged``: loss or weights stopped being finite numbers.
    reason
        Why it diverged and at which step; empty if it did not.
    steps
        Optimiser steps taken.
    epochs
        The same in passes over the training samples.
    curve
        Of each validation: step, mean training loss since the one before, validation loss.
    best_step
        Step of the kept weights; 0 for those of the start.
    cpu_seconds, wall_seconds
        Processor time of this process, and time on the clock.
    """

    network: Network
    status: Literal["ok", "diverged"]
    reason: str
    steps: int
    epochs: float
    curve: tuple[tuple[int, float, float], ...]
    best_step: int
    cpu_seconds: float
    wall_seconds: float

    @property
    def best_loss(self) -> float:
        """Validation loss of the kept weights; infinite without a validation."""
        return min((validation for _, _, validation in self.curve), default=math.inf)


def fit(
    network: Network,
    training: Samples,
    validation: Samples,
    recipe: Recipe,
    *,
    loss: str,
    seed: int,
    progress: Progress | None = None,
) -> Fit:
    """Fit a network to samples.

    Same arguments, same bits, on the same machine and libraries. Torch computes on one thread meanwhile:
    more are slower on networks of this size, and their sums depend on the split.

    Parameters
    ----------
    network
        Starts from its weights if it has any, else from fresh ones drawn from ``seed``.
    training, validation
        Samples to fit on; samples to stop on and to choose the best weights by.
    recipe
        Steps, batch, rate, stopping.
    loss
        Name of the loss, one of ``codesign.training.losses.LOSSES``.
    seed
        Of the fresh weights and of the order of the samples.
    progress
        Called after each validation with the step and the validation loss.

    Raises
    ------
    ConfigError
        For an unknown loss.
    DataError
        For samples that do not fit the network, or none.
    UnsupportedLayerError
        For a network that cannot be computed exactly while training.
    """
    criterion = loss_named(loss)
    for name, samples in (("training", training), ("validation", validation)):
        _require_samples(name, samples, network)
    cpu, wall = time.process_time(), time.perf_counter()
    if recipe.engine == "native":
        run: _Run = _CompiledRun(network, training, validation, recipe, loss, seed)
        reason = run.descend(progress)
    else:
        with _one_thread():
            run = _TorchRun(network, training, validation, recipe, criterion, seed)
            reason = run.descend(progress)
    return Fit(
        network=run.fitted(),
        status="diverged" if reason else "ok",
        reason=reason,
        steps=run.step,
        epochs=run.seen / len(training),
        curve=tuple(run.curve),
        best_step=run.best_step,
        cpu_seconds=time.process_time() - cpu,
        wall_seconds=time.perf_counter() - wall,
    )


class _Run(ABC):
    """A fit in progress: what an engine does not decide."""

    def __init__(self, recipe: Recipe, samples: int) -> None:
        self.recipe, self.samples = recipe, samples
        self.step = self.seen = self.best_step = 0
        self.curve: list[tuple[int, float, float]] = []

    @abstractmethod
    def order(self) -> NDArray[np.int64]:
        """The training samples in a new order."""

    @abstractmethod
    def update(self, rows: NDArray[np.int64]) -> float:
        """One step of Adam; the loss before it."""

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

    def descend(self, progress: Progress | None) -> str:
        """Step until the recipe says stop; why it diverged, or ""."""
        interval = self.recipe.validation_interval(self.samples)
        best, total, stale = math.inf, 0.0, 0
        self.keep()
        for rows in self._batches():
            loss = self.update(rows)
            self.step += 1
            self.seen += len(rows)
            if not math.isfinite(loss):
                return f"the training loss is {loss} at step {self.step}"
            total += loss
            if self.step % interval and self.step < self.recipe.steps:
                continue
            value = self.validation_loss()
            if not (math.isfinite(value) and self.finite()):
                return f"weights or validation loss ({value}) are not finite at step {self.step}"
            since = self.step - (self.curve[-1][0] if self.curve else 0)
            self.curve.append((self.step, total / since, value))
            total, stale = 0.0, stale + 1
            if value < best:
                best, self.best_step, stale = value, self.step, 0
                self.keep()
            if progress is not None:
                progress(self.step, value)
            if self.recipe.patience is not None and stale >= self.recipe.patience:
                break
        return ""

    def _batches(self) -> Iterator[NDArray[np.int64]]:
        """Rows of each step: every epoch in a new order, its last batch as small as it comes."""
        while True:
            order = self.order()
            for start in range(0, len(order), self.recipe.batch):
                if self.step == self.recipe.steps:
                    return
                yield order[start : start + self.recipe.batch]


class _CompiledRun(_Run):
    """On the compiled engine. The parameters and Adam's moments are three vectors."""

    def __init__(
        self, network: Network, training: Samples, validation: Samples, recipe: Recipe, loss: str, seed: int
    ) -> None:
        super().__init__(recipe, len(training))
        self.network, self.training, self.validation = network, _contiguous(training), _contiguous(validation)
        self.engine = CompiledNetwork(network, loss=loss, output_index=training.output_index)
        self.generator = np.random.default_rng(seed)
        start = self.engine.parameters(
            real_weights(network)
            if network.fitted
            else fresh_weights(network, self.generator, recipe.output_bias)
        )
        self.state = (start, np.zeros_like(start), np.zeros_like(start))
        self.gradient, self.kept = np.empty_like(start), start.copy()
        self.looked_at = np.arange(min(recipe.validation_samples or len(validation), len(validation)))

    def order(self) -> NDArray[np.int64]:
        return self.generator.permutation(self.samples)

    def update(self, rows: NDArray[np.int64]) -> float:
        loss = self.engine.loss(self.state[0], self.training, rows, self.gradient)
        self.engine.adam(self.state, self.gradient, self.recipe.rate(self.step), self.step + 1)
        return loss

    def validation_loss(self) -> float:
        return self.engine.loss(self.state[0], self.validation, self.looked_at)

    def finite(self) -> bool:
        return bool(np.isfinite(self.state[0]).all())

    def keep(self) -> None:
        self.kept[:] = self.state[0]

    def fitted(self) -> Network:
        return self.network.with_weights(rounded_weights(self.network, self.engine.weights(self.kept)))


class _TorchRun(_Run):
    """On torch. All parameters lie in one vector, so that a step of Adam is one operation."""

    def __init__(
        self,
        network: Network,
        training: Samples,
        validation: Samples,
        recipe: Recipe,
        criterion: Loss,
        seed: int,
    ) -> None:
        super().__init__(recipe, len(training))
        self.network, self.module, self.criterion = network, build(network, seed=seed), criterion
        self.generator = torch.Generator().manual_seed(seed)
        self.index = torch.from_numpy(np.require(training.output_index, np.int64, "W"))
        self.inputs, self.targets = _tensors(self.module, training, len(training))
        count = min(recipe.validation_samples or len(validation), len(validation))
        self.validation_inputs, self.validation_targets = _tensors(self.module, validation, count)
        if not network.fitted:
            _start_output_bias(self.module, recipe.output_bias)
        self.parameters = _joined(self.module)
        self.kept = self.parameters.detach().clone()
        self.optimiser = torch.optim.Adam(
            [self.parameters], lr=recipe.learning_rate, betas=ADAM_BETAS, eps=ADAM_EPSILON, fused=True
        )

    def order(self) -> NDArray[np.int64]:
        return torch.randperm(self.samples, generator=self.generator).numpy()

    def update(self, rows: NDArray[np.int64]) -> float:
        chosen = torch.from_numpy(rows)
        self.optimiser.param_groups[0]["lr"] = self.recipe.rate(self.step)
        outputs = self.module.run(self.inputs[chosen])
        loss = self.criterion(outputs.index_select(1, self.index), self.targets[chosen])
        assert self.parameters.grad is not None
        self.parameters.grad.zero_()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return loss.item()

    def validation_loss(self) -> float:
        total = 0.0
        with torch.inference_mode():
            for start in range(0, len(self.validation_inputs), _VALIDATION_CHUNK):
                rows = slice(start, start + _VALIDATION_CHUNK)
                inputs, targets = self.validation_inputs[rows], self.validation_targets[rows]
                outputs = self.module.run(inputs).index_select(1, self.index)
                total += len(inputs) * self.criterion(outputs, targets).item()
        return total / len(self.validation_inputs)

    def finite(self) -> bool:
        return bool(self.parameters.isfinite().all())

    def keep(self) -> None:
        self.kept.copy_(self.parameters.detach())

    def fitted(self) -> Network:
        with torch.no_grad():
            self.parameters.copy_(self.kept)
        return extract(self.module, self.network)


def _contiguous(samples: Samples) -> Samples:
    """The same arrays, laid out as the engine reads them."""
    inputs, targets = (np.ascontiguousarray(array, np.float32) for array in (samples.inputs, samples.targets))
    return Samples(inputs, targets, samples.output_index)


def _tensors(module: NetworkModule, samples: Samples, count: int) -> tuple[Tensor, Tensor]:
    """The first samples; inputs rounded into the input format once for all."""
    # Torch shares writable arrays and warns of others: those are copied.
    inputs, targets = (
        torch.from_numpy(np.require(array[:count], np.float32, "W"))
        for array in (samples.inputs, samples.targets)
    )
    return module.rounded(inputs), targets


def _start_output_bias(module: NetworkModule, value: float) -> None:
    biases = [tensor for name, tensor in module.named_parameters() if name.endswith("bias")]
    with torch.no_grad():
        biases[-1].fill_(value)


def _joined(module: NetworkModule) -> Tensor:
    """One vector of which the module's parameters become views, and one of their gradients likewise."""
    parameters = list(module.parameters())
    joined = torch.cat([parameter.detach().reshape(-1) for parameter in parameters])
    joined.grad = torch.zeros_like(joined)
    start = 0
    for parameter in parameters:
        end = start + parameter.numel()
        parameter.data = joined[start:end].view(parameter.shape)
        parameter.grad = joined.grad[start:end].view(parameter.shape)
        start = end
    return joined


def _require_samples(name: str, samples: Samples, network: Network) -> None:
    outputs = math.prod(network.output_shape)
    if not len(samples):
        raise DataError(f"there are no {name} samples; at least 1 is needed")
    if samples.inputs.shape[1:] != network.input_shape:
        raise DataError(
            f"the {name} inputs have shape {samples.inputs.shape[1:]} each, "
            f"the network takes {network.input_shape}"
        )
    if samples.targets.shape != (len(samples), len(samples.output_index)):
        raise DataError(
            f"the {name} targets have shape {samples.targets.shape}, "
            f"expected {(len(samples), len(samples.output_index))}: one column for each output index"
        )
    if (
        len(samples.output_index)
        and not 0 <= samples.output_index.min() <= samples.output_index.max() < outputs
    ):
        raise DataError(f"the {name} output index goes beyond the {outputs} outputs of the network")


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
