"""The ECON-T space with how a design is trained: the loss and the learning rate are searched beside it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.hardware import Workload
from codesign.network import Network
from codesign.space import Candidate, SearchSpace, Value, categorical, real
from codesign.training.recipe import COMPILED_LOSSES
from search_spaces import econt

__all__ = ["BASELINE", "SPACE", "build", "recipe", "workload"]

SPACE = SearchSpace(
    "econt-training",
    (
        *econt.SPACE.items,
        categorical("loss", COMPILED_LOSSES),
        real("learning_rate", 1e-4, 0.1, levels=19, log=True),
    ),
)
BASELINE: Mapping[str, Value] = econt.BASELINE


def build(candidate: Candidate) -> Network:
    """Autoencoder of a candidate, as of the space ``econt``."""
    return econt.build(candidate)


def recipe(candidate: Candidate) -> Mapping[str, Any]:
    """What the candidate is trained with in place of the study's."""
    return {"loss": str(candidate["loss"]), "learning_rate": float(candidate["learning_rate"])}


def workload(codes: NDArray[np.int16]) -> Workload:
    """Workload of many candidates at once; training costs no hardware."""
    return econt.encoder_workload(SPACE, codes, quantised=True)
