"""Run a synthesis tool, or read what one said: both give a ``SynthesisReport``."""

from codesign.synthesis.flow import require_tools, synthesise, synthesise_many
from codesign.synthesis.fpga import FAMILIES
from codesign.synthesis.library import LIBRARIES, Library, find_library

__all__ = [
    "FAMILIES",
    "LIBRARIES",
    "Library",
    "find_library",
    "require_tools",
    "synthesise",
    "synthesise_many",
]
