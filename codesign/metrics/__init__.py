"""Scores: arrays of wafers in, one number per wafer out.

``x`` is what the sensor saw and ``y`` what the decoder made of it, both of shape ``(n, 48)`` in CALQ
order; `codesign.metrics.trigger_cells` says where the cells lie.
"""

from codesign.metrics.binned import Bin, binned
from codesign.metrics.detector import (
    absolute_rms_difference,
    cross_correlation,
    energy_response,
    mean_shift,
    rms_difference,
    sum_of_squared_differences,
    zero_fraction,
)
from codesign.metrics.earth_mover import emd, emd_gradient
from codesign.metrics.named import METRICS, Metric
from codesign.metrics.summary import Summary
from codesign.metrics.telescoping import telescoping_loss

__all__ = [
    "METRICS",
    "Bin",
    "Metric",
    "Summary",
    "absolute_rms_difference",
    "binned",
    "cross_correlation",
    "emd",
    "emd_gradient",
    "energy_response",
    "mean_shift",
    "rms_difference",
    "sum_of_squared_differences",
    "telescoping_loss",
    "zero_fraction",
]
