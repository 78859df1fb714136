"""The command line: ``codesign``."""

from codesign.cli import insight, measured, networks, table
from codesign.cli.commands import main

__all__ = ["insight", "main", "measured", "networks", "table"]
