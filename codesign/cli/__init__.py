"""The command line: ``codesign``."""

from codesign.cli import measured
from codesign.cli.commands import main

__all__ = ["main", "measured"]
