"""The command line: ``codesign``."""

from codesign.cli import insight, measured, networks, repeat, studies, table
from codesign.cli.commands import main

__all__ = ["insight", "main", "measured", "networks", "repeat", "studies", "table"]
