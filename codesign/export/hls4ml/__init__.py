"""hls4ml: C++ projects of five vendors' tools, compiled and compared here."""

from codesign.export.hls4ml.exporter import export, simulate
from codesign.export.hls4ml.rules import check

__all__ = ["check", "export", "simulate"]
