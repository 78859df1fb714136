"""Many fits at once on a CUDA card: a step of a fit is one CUDA graph, on a stream of its own.

A network of 5,000 weights leaves a card idle, and launching its kernels one by one takes longer than they
run. A graph launches a whole step, forward, backward and Adam; those of several fits run beside each other.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from codesign.errors import ConfigError, MissingToolError
from codesign.network import Network
from codesign.tasks import OwnLoss, Samples
from codesign.training.fit import Fit, require_loss, require_samples, result
from codesign.training.recipe import Recipe
from codesign.training.torch_run import TorchRun, one_thread

__all__ = ["fit_many"]

WARM_UP_STEPS = 3


def fit_many(
    networks: Sequence[Network],
    training: Samples,
    validation: Samples,
    recipe: Recipe,
    *,
    loss: str | OwnLoss,
    seed: int,
    at_once: int = 32,
    device: str = "cuda",
) -> list[Fit]:
    """Fit networks to the same samples, several at a time.

    Each starts from the same weights and sees the same batches as ``fit`` with its seed would have it. A card
    sums in another order, so the last bits differ.

    Parameters
    ----------
    networks
        Of any shapes.
    training, validation, recipe, loss, seed
        As for ``fit``; the engine of the recipe is of no effect.
    at_once
        Fits that run beside each other.
    device
        ``cuda``, ``cuda:1``; ``cpu`` takes turns on one core, for comparison.

    Returns
    -------
    fits
        In the order of the networks. The times of each are those of all that ran beside it.

    Raises
    ------
    MissingToolError
        If there is no such card.
    ConfigError
        For the loss ``emd`` on a card: it is solved on the processor.
    """
    if device != "cpu" and not torch.cuda.is_available():
        raise MissingToolError(f"no CUDA card for device {device!r}; fit trains on the processor")
    if device != "cpu" and loss == "emd":
        raise ConfigError(
            "the EMD loss is solved on the processor; fit trains with it, or choose another loss"
        )
    for name, samples in (("training", training), ("validation", validation)):
        for network in networks:
            require_samples(name, samples, network)
            require_loss(loss, name, samples, network)
    kind = TorchRun if device == "cpu" else _GraphRun
    fits: list[Fit] = []
    for start in range(0, len(networks), at_once):
        cpu, wall = time.process_time(), time.perf_counter()
        runs = [
            kind(network, training, validation, recipe, loss, seed, device)
            for network in networks[start : start + at_once]
        ]
        with one_thread():
            _take_turns(runs)
        fits += [result(run, "torch", len(training), cpu, wall) for run in runs]
    return fits


def _take_turns(runs: Sequence[TorchRun]) -> None:
    """Step them all until each has ended."""
    under_way: list[tuple[TorchRun, Iterator[None]]] = [(run, run.steps(None)) for run in runs]
    while under_way:
        going = []
        for run, steps in under_way:
            stream = run.stream if isinstance(run, _GraphRun) else None
            with torch.cuda.stream(stream) if stream is not None else nullcontext():
                if next(steps, run) is not run:
                    going.append((run, steps))
        under_way = going


class _GraphRun(TorchRun):
    """A fit on a card; the graphs are captured at the first step of each batch size."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        device = self.parameters.device
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self.stream.wait_stream(torch.cuda.current_stream(device))
        self.graphs: dict[int, tuple[Any, Tensor, Tensor]] = {}

    def update(self, rows: NDArray[np.int64]) -> Tensor:
        """One step of Adam; the loss before it, on the card."""
        if len(rows) not in self.graphs:
            self.graphs[len(rows)] = self._captured(len(rows))
        graph, chosen, loss = self.graphs[len(rows)]
        chosen.copy_(torch.from_numpy(rows))
        self.optimiser.param_groups[0]["lr"].fill_(self.recipe.rate(self.step))
        graph.replay()
        return loss

    def _captured(self, batch: int) -> tuple[Any, Tensor, Tensor]:
        """Graph of a step, the rows it reads and the loss it writes; parameters and moments stay."""
        chosen = torch.zeros(batch, dtype=torch.int64, device=self.parameters.device)
        kept = [vector.detach().clone() for vector in self._vectors()]
        for _ in range(WARM_UP_STEPS):
            self.compute(chosen)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self.stream):
            loss = self.compute(chosen)
        with torch.no_grad():
            for vector, before in zip(self._vectors(), kept, strict=True):
                vector.copy_(before)
        self.optimiser.state[self.parameters]["step"].fill_(self.step)
        return graph, chosen, loss
