"""A fit on the compiled engine, without torch."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.network import Network
from codesign.tasks import Samples
from codesign.training.compiled import CompiledNetwork
from codesign.training.recipe import Recipe
from codesign.training.run import Arrays, Run
from codesign.training.weights import rounded_weights

__all__ = ["CompiledRun"]


class CompiledRun(Run):
    """On the compiled engine. The parameters and Adam's moments are three vectors."""

    def __init__(
        self, network: Network, training: Samples, validation: Samples, recipe: Recipe, loss: str, seed: int
    ) -> None:
        super().__init__(network, recipe, training, seed)
        self.training, self.validation = _contiguous(training), _contiguous(validation)
        self.engine = CompiledNetwork(network, loss=loss, output_index=training.output_index)
        start = self.engine.parameters(self.start)
        self.vectors = (start, np.zeros_like(start), np.zeros_like(start))
        self.gradient, self.kept = np.empty_like(start), start.copy()
        self.looked_at = np.arange(min(recipe.validation_samples or len(validation), len(validation)))

    def update(self, rows: NDArray[np.int64]) -> float:
        """One step of Adam; the loss before it."""
        loss = self.engine.loss(self.vectors[0], self.training, rows, self.gradient)
        self.engine.adam(self.vectors, self.gradient, self.recipe.rate(self.step), self.step + 1)
        return loss

    def validation_loss(self) -> float:
        """Mean loss of the validation samples."""
        return self.engine.loss(self.vectors[0], self.validation, self.looked_at)

    def finite(self) -> bool:
        """Whether every parameter is a finite number."""
        return bool(np.isfinite(self.vectors[0]).all())

    def state(self) -> tuple[Arrays, Arrays, Arrays]:
        """Real weights and Adam's first and second moment."""
        weights, first, second = (self.engine.weights(vector.copy()) for vector in self.vectors)
        return weights, first, second

    def set_state(self, weights: Arrays, first: Arrays, second: Arrays) -> None:
        """Inverse of ``state``, at ``step``."""
        for vector, arrays in zip(self.vectors, (weights, first, second), strict=True):
            vector[:] = self.engine.parameters(arrays)

    def keep(self) -> None:
        """Remember the parameters."""
        self.kept[:] = self.vectors[0]

    def fitted(self) -> Network:
        """The network with the parameters remembered last."""
        return self.network.with_weights(rounded_weights(self.network, self.engine.weights(self.kept)))

    def chip_values(self, inputs: NDArray[Any]) -> NDArray[Any]:
        """Of the remembered parameters, shape ``(n, values)``."""
        return self.engine.values(self.kept, inputs, len(self.network.chip.layers))


def _contiguous(samples: Samples) -> Samples:
    """The same arrays, laid out as the engine reads them."""
    inputs, targets = (np.ascontiguousarray(array, np.float32) for array in (samples.inputs, samples.targets))
    weights = None if samples.weights is None else np.ascontiguousarray(samples.weights, np.float32)
    return Samples(inputs, targets, samples.output_index, weights)
