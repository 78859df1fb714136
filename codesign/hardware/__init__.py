"""What a network costs: targets, estimates, reports, and the seam behind which hardware models stand."""

from codesign.hardware.device import Device, Target
from codesign.hardware.estimate import COST_UNITS, Costs, HardwareEstimate, HardwareModel, with_inputs
from codesign.hardware.report import MEASURED, Resources, SynthesisReport
from codesign.hardware.workload import Workload, effective_bops

__all__ = [
    "COST_UNITS",
    "MEASURED",
    "Costs",
    "Device",
    "HardwareEstimate",
    "HardwareModel",
    "Resources",
    "SynthesisReport",
    "Target",
    "Workload",
    "effective_bops",
    "with_inputs",
]
