"""The ECON-T space with conditional decoders: beside the 16 latent values they take 8 of the module.

The encoder, which is the chip, is that of ``search_spaces.econt``: the same parameters, costs and digests.
The task must give the conditions: ``conditional`` of ``codesign.tasks.econt``. So does the study's successor,
`erdemyigit/ECON_CAE`, whose decoder has other layers.
"""

import numpy as np
from numpy.typing import NDArray

from codesign.hardware import Workload
from codesign.network import Network
from codesign.space import Candidate
from search_spaces import econt

__all__ = ["BASELINE", "SPACE", "build", "workload"]

CONDITIONS = 8
SPACE = econt.fixed_point("econt-conditional", econt.INPUT_SHAPE)
BASELINE = econt.BASELINE


def build(candidate: Candidate) -> Network:
    """Conditional autoencoder of a candidate; the encoder is its chip part."""
    return econt.with_decoder(econt.encoder(candidate, quantised=True), candidate, CONDITIONS)


def workload(codes: NDArray[np.int16]) -> Workload:
    """Workload of many candidates at once; as ``search_spaces.econt.workload``."""
    return econt.encoder_workload(SPACE, codes, quantised=True)
