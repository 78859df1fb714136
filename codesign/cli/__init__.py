"""The command line: ``codesign``."""

from codesign.cli import insight, measured, table
from codesign.cli.commands import main

__all__ = ["insight", "main", "measured", "table"]
