"""Run a synthesis tool, or read what one said: both give a ``SynthesisReport``."""

from codesign.synthesis.flow import synthesise, synthesise_many
from codesign.synthesis.library import LIBRARIES, Library, find_library

__all__ = ["FAMILIES", "LIBRARIES", "Library", "find_library", "synthesise", "synthesise_many"]

FAMILIES = ("xc7", "xcup", "ecp5")
