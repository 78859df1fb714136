"""Import: quantised networks made elsewhere, as QONNX files of Brevitas or QKeras, to integer networks."""

from codesign.importing.imported import Imported
from codesign.importing.reader import read_qonnx

__all__ = ["Imported", "read_qonnx"]
