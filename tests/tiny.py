"""A space and a task so small that a study of ten designs takes a second."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from codesign.fixedpoint import FixedPoint
from codesign.metrics import Summary
from codesign.network import Dense, Flatten, Network, ReLU
from codesign.space import Candidate, Repeat, SearchSpace, ordinal
from codesign.tasks import Samples

SPACE = SearchSpace(
    "tiny",
    (Repeat("layers", (ordinal("units", (2, 4, 8)),), 0, 2), ordinal("bits", (3, 4, 6, 8), default=6)),
)
BASELINE = {"units_1": 4}


def build(candidate: Candidate) -> Network:
    weight = FixedPoint(0, int(candidate["bits"]) - 1)
    activation = FixedPoint(1, int(candidate["bits"]) - 1, signed=False, rounding="half_up")
    layers: list[Any] = [Flatten("flatten")]
    for i in range(1, int(candidate["layers"]) + 1):
        layers += [
            Dense(f"dense_{i}", int(candidate[f"units_{i}"]), weight=weight, bias=weight),
            ReLU(f"relu_{i}", activation),
        ]
    layers += [Dense("code", 2, weight=weight, bias=weight), ReLU("code_relu", activation), Dense("out", 4)]
    return Network((2, 2, 1), tuple(layers), FixedPoint(1, 5, signed=False), len(layers) - 1)


@dataclass(frozen=True)
class TinyTask:
    count: int = 64
    name: ClassVar[str] = "tiny"
    loss: ClassVar[str] = "mse"
    metrics: ClassVar[Mapping[str, str]] = {"error": "1"}

    @property
    def training(self) -> Samples:
        inputs = np.random.default_rng(0).random((self.count, 2, 2, 1), dtype=np.float32)
        return Samples(inputs, inputs.reshape(-1, 4), np.arange(4))

    @property
    def validation(self) -> Samples:
        return self.training

    def score(self, network: Network) -> dict[str, Summary]:
        samples = self.training
        return {"error": Summary.of(((network.predict(samples.inputs) - samples.targets) ** 2).mean(axis=1))}

    def constant(self) -> dict[str, Summary]:
        targets = self.training.targets
        return {"error": Summary.of(((targets - targets.mean(axis=0)) ** 2).mean(axis=1))}

    def describe(self) -> dict[str, Any]:
        return {"count": self.count}
