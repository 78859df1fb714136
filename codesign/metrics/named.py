"""The scores of an input and an output by the names that the command line and reports use."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from codesign.metrics.detector import (
    absolute_rms_difference,
    cross_correlation,
    energy_response,
    mean_shift,
    rms_difference,
    sum_of_squared_differences,
    zero_fraction,
)
from codesign.metrics.earth_mover import emd

__all__ = ["METRICS", "Metric"]

_CELLS: Final = "sensor cells"
_NONE: Final = "1"


@dataclass(frozen=True, slots=True)
class Metric:
    """A score of an input and an output.

    Parameters
    ----------
    function
        From charges ``x`` and ``y`` of shape ``(n, 48)``, same unit, to scores of shape ``(n,)``.
    unit
        Unit of the scores; "1" for a number without unit.
    """

    function: Callable[[ArrayLike, ArrayLike], NDArray[np.float64]]
    unit: str


METRICS: Final[Mapping[str, Metric]] = MappingProxyType(
    {
        "emd": Metric(emd, _CELLS),
        "d_mean": Metric(mean_shift, _CELLS),
        "d_rms": Metric(rms_difference, _NONE),
        "abs_d_rms": Metric(absolute_rms_difference, _NONE),
        "cross_correlation": Metric(cross_correlation, _NONE),
        "ssd": Metric(sum_of_squared_differences, _NONE),
        "energy_response": Metric(energy_response, _NONE),
        "zero_fraction": Metric(zero_fraction, _NONE),
    }
)
"""Name to score. The telescoping loss is not among them: it takes normalised charges."""
