"""What a network costs: resources, devices, estimates, and the seam behind which hardware models stand."""

from codesign.hardware.estimate import Device, HardwareEstimate, HardwareModel, Resources
from codesign.hardware.workload import Workload, effective_bops

__all__ = ["Device", "HardwareEstimate", "HardwareModel", "Resources", "Workload", "effective_bops"]
