"""Every second proposal by the surrogate that predicted the newest designs best.

A Gaussian process is the better the smoother a problem is; networks that learn nothing at all are a step,
which it takes for noise, while forests and linear interpolation do not mind. Which is the case is not known
before, so that neither is trusted alone (measured: decision 11).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.optimisers.predictors import SURROGATES, Predictor, most_accurate
from codesign.optimisers.surrogates import Surrogates

__all__ = ["FROM", "UNTIL", "hedged"]

FROM, UNTIL = 12, 150
"""Observations between which surrogates are compared; with more, fits cost more than they tell."""
LEAST_DEVIATION = 1e-4

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Hedged(Surrogates):
    """Surrogates of which some objectives are predicted by another than the process.

    Designs under way do not change these predictions; what is expected of them stands on the front.
    """

    predictors: tuple[Predictor | None, ...] = ()

    def supposing(self, pending: FloatArray) -> Surrogates:
        return self

    def predict(self, inputs: FloatArray, known: FloatArray) -> tuple[FloatArray, FloatArray]:
        means, deviations = Surrogates.predict(self, inputs, known)
        for index, predictor in enumerate(self.predictors):
            if predictor is not None:
                mean, spread = predictor(inputs)
                means[:, index] = mean[:, 0]
                deviations[:, index] = np.maximum(spread[:, 0], LEAST_DEVIATION)
        return means, deviations


def hedged(surrogates: Surrogates) -> tuple[Surrogates, str]:
    """Surrogates with the best predictor of each objective, and which these are; as they were in odd turns.

    Parameters
    ----------
    surrogates
        Fitted to observations in the order in which they came.
    """
    count = len(surrogates.objectives[0].inputs) if surrogates.objectives else 0
    if count % 2 or not FROM <= count <= UNTIL:
        return surrogates, ""
    told = [_once(each.inputs, each.outcomes) for each in surrogates.objectives]
    if len(told[0][0]) < FROM:
        return surrogates, ""
    names = [most_accurate(inputs, outcomes, 0) for inputs, outcomes in told]
    process = next(iter(SURROGATES))
    if all(name == process for name in names):
        return surrogates, ""
    predictors = tuple(
        None if name == process else SURROGATES[name](inputs, outcomes, 0)
        for name, (inputs, outcomes) in zip(names, told, strict=True)
    )
    chosen = _Hedged(surrogates.objectives, surrogates.success, surrogates.scale, predictors)
    return chosen, ", ".join(dict.fromkeys(names))


def _once(inputs: FloatArray, outcomes: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The newest observation of each design, in order, with outcomes ``(n, 1)``: one a place."""
    _, newest = np.unique(inputs[::-1], axis=0, return_index=True)
    kept = np.sort(len(inputs) - 1 - newest)
    return inputs[kept], outcomes[kept, None]
