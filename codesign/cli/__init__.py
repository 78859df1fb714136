"""The command line: ``codesign``."""

from codesign.cli import insight, measured, networks, repeat, table
from codesign.cli.commands import main

__all__ = ["insight", "main", "measured", "networks", "repeat", "table"]
