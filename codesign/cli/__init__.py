"""The command line: ``codesign``."""

from codesign.cli.commands import main

__all__ = ["main"]
