"""FINN: a folded stream as RTL, stitched, simulated and measured here; a bundle for a machine with Vivado."""

from codesign.export.finn.exporter import export, simulate
from codesign.export.finn.rules import check

__all__ = ["check", "export", "simulate"]
