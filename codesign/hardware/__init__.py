"""What a network costs: resources, devices, estimates, and the seam behind which hardware models stand."""

from codesign.hardware.estimate import (
    COST_UNITS,
    Costs,
    Device,
    HardwareEstimate,
    HardwareModel,
    Resources,
)
from codesign.hardware.workload import Workload, effective_bops

__all__ = [
    "COST_UNITS",
    "Costs",
    "Device",
    "HardwareEstimate",
    "HardwareModel",
    "Resources",
    "Workload",
    "effective_bops",
]
