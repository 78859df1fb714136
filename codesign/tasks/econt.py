"""The ECON-T task: compress the 48 trigger-cell charges of a silicon wafer inside the chip that reads it.

Charges come from files of the study's form (:func:`load`) or, as the default data set, from a generator of
pile-up wafers (:func:`generate`).
"""

from pathlib import Path

from codesign.tasks.generator import generate
from codesign.tasks.trigger_cell_csv import read_trigger_cells
from codesign.tasks.wafers import Wafers

__all__ = ["generate", "load"]


def load(path: str | Path) -> Wafers:
    """Read wafers from a CSV file or from a folder of them; see :func:`read_trigger_cells`."""
    return read_trigger_cells(path)
