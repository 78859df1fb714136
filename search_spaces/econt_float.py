"""The ECON-T autoencoder in float, as the study's own baseline: the architecture without bit widths."""

from codesign.network import Network
from codesign.space import Candidate
from search_spaces import econt

__all__ = ["BASELINE", "SPACE", "build"]

SPACE = econt.ARCHITECTURE
BASELINE = econt.BASELINE


def build(candidate: Candidate) -> Network:
    """Float autoencoder of a candidate; the encoder is its chip part."""
    return econt.autoencoder(candidate, quantised=False)
