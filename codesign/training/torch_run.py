"""A fit on torch: Adam on resident tensors, on one thread."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from codesign.network import Network
from codesign.tasks import Samples
from codesign.training.build import NetworkModule, build, extract
from codesign.training.losses import loss_named
from codesign.training.recipe import ADAM_BETAS, ADAM_EPSILON, Recipe
from codesign.training.run import Progress, Run

__all__ = ["TorchRun"]

_VALIDATION_CHUNK: Final = 1024


class TorchRun(Run):
    """On torch. All parameters lie in one vector, so that a step of Adam is one operation."""

    def __init__(
        self,
        network: Network,
        training: Samples,
        validation: Samples,
        recipe: Recipe,
        loss: str,
        seed: int,
    ) -> None:
        super().__init__(network, recipe, len(training), seed)
        self.module, self.criterion = build(network, weights=self.start), loss_named(loss)
        self.index = torch.from_numpy(np.require(training.output_index, np.int64, "W"))
        self.inputs, self.targets = _tensors(self.module, training, len(training))
        count = min(recipe.validation_samples or len(validation), len(validation))
        self.validation_inputs, self.validation_targets = _tensors(self.module, validation, count)
        self.parameters = _joined(self.module)
        self.kept = self.parameters.detach().clone()
        self.optimiser = torch.optim.Adam(
            [self.parameters], lr=recipe.learning_rate, betas=ADAM_BETAS, eps=ADAM_EPSILON, fused=True
        )

    def descend(self, progress: Progress | None) -> str:
        """As any engine, on one thread."""
        with _one_thread():
            return super().descend(progress)

    def update(self, rows: NDArray[np.int64]) -> float:
        """One step of Adam; the loss before it."""
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
        """Mean loss of the validation samples."""
        total = 0.0
        with torch.inference_mode():
            for start in range(0, len(self.validation_inputs), _VALIDATION_CHUNK):
                rows = slice(start, start + _VALIDATION_CHUNK)
                inputs, targets = self.validation_inputs[rows], self.validation_targets[rows]
                outputs = self.module.run(inputs).index_select(1, self.index)
                total += len(inputs) * self.criterion(outputs, targets).item()
        return total / len(self.validation_inputs)

    def finite(self) -> bool:
        """Whether every parameter is a finite number."""
        return bool(self.parameters.isfinite().all())

    def keep(self) -> None:
        """Remember the parameters."""
        self.kept.copy_(self.parameters.detach())

    def fitted(self) -> Network:
        """The network with the parameters remembered last."""
        with torch.no_grad():
            self.parameters.copy_(self.kept)
        return extract(self.module, self.network)


def _tensors(module: NetworkModule, samples: Samples, count: int) -> tuple[Tensor, Tensor]:
    """The first samples; inputs rounded into the input format once for all."""
    # Torch shares writable arrays and warns of others: those are copied.
    inputs, targets = (
        torch.from_numpy(np.require(array[:count], np.float32, "W"))
        for array in (samples.inputs, samples.targets)
    )
    return module.rounded(inputs), targets


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


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
