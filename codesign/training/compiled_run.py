"""A fit on the compiled engine, without torch."""

import numpy as np
from numpy.typing import NDArray

from codesign.network import Network
from codesign.tasks import Samples
from codesign.training.compiled import CompiledNetwork
from codesign.training.recipe import Recipe
from codesign.training.run import Run
from codesign.training.weights import rounded_weights

__all__ = ["CompiledRun"]


class CompiledRun(Run):
    """On the compiled engine. The parameters and Adam's moments are three vectors."""

    def __init__(
        self, network: Network, training: Samples, validation: Samples, recipe: Recipe, loss: str, seed: int
    ) -> None:
        super().__init__(network, recipe, len(training), seed)
        self.training, self.validation = _contiguous(training), _contiguous(validation)
        self.engine = CompiledNetwork(network, loss=loss, output_index=training.output_index)
        start = self.engine.parameters(self.start)
        self.state = (start, np.zeros_like(start), np.zeros_like(start))
        self.gradient, self.kept = np.empty_like(start), start.copy()
        self.looked_at = np.arange(min(recipe.validation_samples or len(validation), len(validation)))

    def update(self, rows: NDArray[np.int64]) -> float:
        """One step of Adam; the loss before it."""
        loss = self.engine.loss(self.state[0], self.training, rows, self.gradient)
        self.engine.adam(self.state, self.gradient, self.recipe.rate(self.step), self.step + 1)
        return loss

    def validation_loss(self) -> float:
        """Mean loss of the validation samples."""
        return self.engine.loss(self.state[0], self.validation, self.looked_at)

    def finite(self) -> bool:
        """Whether every parameter is a finite number."""
        return bool(np.isfinite(self.state[0]).all())

    def keep(self) -> None:
        """Remember the parameters."""
        self.kept[:] = self.state[0]

    def fitted(self) -> Network:
        """The network with the parameters remembered last."""
        return self.network.with_weights(rounded_weights(self.network, self.engine.weights(self.kept)))


def _contiguous(samples: Samples) -> Samples:
    """The same arrays, laid out as the engine reads them."""
    inputs, targets = (np.ascontiguousarray(array, np.float32) for array in (samples.inputs, samples.targets))
    return Samples(inputs, targets, samples.output_index)
