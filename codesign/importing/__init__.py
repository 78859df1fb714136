"""Import: quantised networks made elsewhere, as QONNX files of Brevitas or QKeras, to integer networks."""

from codesign.importing.imported import Imported, parse_format
from codesign.importing.reader import read_qonnx

__all__ = ["Imported", "parse_format", "read_qonnx"]
