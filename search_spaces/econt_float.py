"""The ECON-T autoencoder in float, as the study's own baseline: the architecture without bit widths."""

import numpy as np
from numpy.typing import NDArray

from codesign.hardware import Workload
from codesign.network import Network
from codesign.space import Candidate
from search_spaces import econt

__all__ = ["BASELINE", "SPACE", "build", "workload"]

SPACE = econt.ARCHITECTURE
BASELINE = econt.BASELINE


def build(candidate: Candidate) -> Network:
    """Float autoencoder of a candidate; the encoder is its chip part."""
    return econt.autoencoder(candidate, quantised=False)


def workload(codes: NDArray[np.int16]) -> Workload:
    """Workload of many candidates at once; as ``search_spaces.econt.workload``, in float."""
    return econt.encoder_workload(SPACE, codes, quantised=False)
