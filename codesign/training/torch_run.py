"""A fit on torch: Adam on resident tensors, on one thread."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from codesign.network import Network
from codesign.tasks import OwnLoss, Samples
from codesign.training.build import (
    NetworkModule,
    build,
    chip_outputs,
    extract,
    from_torch,
    named_parameters,
    to_torch,
)
from codesign.training.losses import loss_of
from codesign.training.recipe import ADAM_BETAS, ADAM_EPSILON, Recipe
from codesign.training.run import Arrays, Progress, Run

__all__ = ["TorchRun", "one_thread"]

_VALIDATION_CHUNK: Final = 1024


class TorchRun(Run):
    """On torch. All parameters lie in one vector, so that a step of Adam is one operation."""

    def __init__(
        self,
        network: Network,
        training: Samples,
        validation: Samples,
        recipe: Recipe,
        loss: str | OwnLoss,
        seed: int,
        device: str = "cpu",
    ) -> None:
        super().__init__(network, recipe, training, seed)
        self.module, self.criterion = build(network, weights=self.start).to(device), loss_of(loss)
        self.index = torch.from_numpy(np.require(training.output_index, np.int64, "W")).to(device)
        self.inputs, self.targets, self.weights, self.known = _tensors(self.module, training, len(training))
        count = min(recipe.validation_samples or len(validation), len(validation))
        self.looked_at = _tensors(self.module, validation, count)
        self.parameters = _joined(self.module)
        self.kept = self.parameters.detach().clone()
        on_card = device != "cpu"
        rate = torch.tensor(recipe.learning_rate, device=device) if on_card else recipe.learning_rate
        self.optimiser = torch.optim.Adam(
            [self.parameters], lr=rate, betas=ADAM_BETAS, eps=ADAM_EPSILON, fused=True, capturable=on_card
        )

    def descend(self, progress: Progress | None) -> str:
        """As any engine, on one thread."""
        with one_thread():
            return super().descend(progress)

    def update(self, rows: NDArray[np.int64]) -> Any:
        """One step of Adam; the loss before it."""
        self.optimiser.param_groups[0]["lr"] = self.recipe.rate(self.step)
        return self.compute(torch.from_numpy(rows)).item()

    def compute(self, chosen: Tensor) -> Tensor:
        """One step on these rows; the loss before it."""
        outputs = self.module.run(self.inputs[chosen], None if self.known is None else self.known[chosen])
        weights = None if self.weights is None else self.weights[chosen]
        loss = self.criterion(outputs.index_select(1, self.index), self.targets[chosen], weights)
        assert self.parameters.grad is not None
        self.parameters.grad.zero_()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return loss.detach()

    def validation_loss(self) -> float:
        """Mean loss of the validation samples."""
        total = 0.0
        inputs, targets, weights, known = self.looked_at
        with torch.inference_mode():
            for start in range(0, len(inputs), _VALIDATION_CHUNK):
                rows = slice(start, start + _VALIDATION_CHUNK)
                given = None if known is None else known[rows]
                outputs = self.module.run(inputs[rows], given).index_select(1, self.index)
                chosen = None if weights is None else weights[rows]
                total += len(outputs) * self.criterion(outputs, targets[rows], chosen).item()
        return total / len(inputs)

    def finite(self) -> bool:
        """Whether every parameter is a finite number."""
        return bool(self.parameters.isfinite().all())

    def state(self) -> tuple[Arrays, Arrays, Arrays]:
        """Real weights and Adam's first and second moment."""
        weights, first, second = (
            {name: from_torch(part.double().cpu().numpy()) for name, part in self._parts(vector.detach())}
            for vector in self._vectors()
        )
        return weights, first, second

    def set_state(self, weights: Arrays, first: Arrays, second: Arrays) -> None:
        """Inverse of ``state``, at ``step``."""
        with torch.no_grad():
            for vector, arrays in zip(self._vectors(), (weights, first, second), strict=True):
                for name, part in self._parts(vector):
                    part.copy_(to_torch(np.asarray(arrays[name], np.float64)))
        self.optimiser.state[self.parameters]["step"].fill_(self.step)

    def _vectors(self) -> tuple[Tensor, Tensor, Tensor]:
        """The parameters and Adam's moments, which are 0 before the first step."""
        state = self.optimiser.state[self.parameters]
        if not state:
            moments = {name: torch.zeros_like(self.parameters) for name in ("exp_avg", "exp_avg_sq")}
            state.update({"step": torch.zeros((), device=self.parameters.device), **moments})
        return self.parameters, state["exp_avg"], state["exp_avg_sq"]

    def _parts(self, vector: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Views of a vector by name: where the parameters lie in theirs."""
        for name, parameter in named_parameters(self.module):
            start = parameter.storage_offset()
            yield name, vector[start : start + parameter.numel()].view(parameter.shape)

    def keep(self) -> None:
        """Remember the parameters."""
        self.kept.copy_(self.parameters.detach())

    def fitted(self) -> Network:
        """The network with the parameters remembered last."""
        with torch.no_grad():
            self.parameters.copy_(self.kept)
        return extract(self.module, self.network)

    def chip_values(self, inputs: NDArray[Any]) -> NDArray[Any]:
        """Of the remembered parameters, once ``fitted`` has put them back."""
        return chip_outputs(self.module, inputs)


def _tensors(
    module: NetworkModule, samples: Samples, count: int
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Inputs, targets, weights and conditions of the first samples; inputs rounded once for all."""

    def tensor(array: NDArray[np.float32] | None) -> Tensor | None:
        return None if array is None else required(array)

    def required(array: NDArray[np.float32]) -> Tensor:
        # Torch shares writable arrays and warns of others: those are copied.
        return torch.from_numpy(np.require(array[:count], np.float32, "W")).to(module.device)

    inputs, targets = required(samples.inputs), required(samples.targets)
    return module.rounded(inputs), targets, tensor(samples.weights), tensor(samples.conditions)


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
def one_thread() -> Iterator[None]:
    """Torch computes on one thread meanwhile."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
