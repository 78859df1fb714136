"""Corrections of a hardware model, fitted to reports of synthesised designs.

A correction multiplies two things, fitted one after the other and both only as far as cross-validation
finds them better than something plainer:

* a base: a factor on the prediction, or a sum with coefficients of 0 or more over the model's features, its
  prediction and a constant;
* where it pays, the exponential of a smooth function of the logarithms of the features.

Errors of costs grow with the costs, so everything is fitted, chosen and given intervals in relative terms.
"""

from codesign.calibration.correction import Correction, Part, Smooth
from codesign.calibration.model import CalibratedModel
from codesign.calibration.record import Calibration

__all__ = ["CalibratedModel", "Calibration", "Correction", "Part", "Smooth"]
