"""How much of a design changes from one inference to the next, before its weights or its inputs are known.

What trained networks change on the inputs of their task, over what changes of random words: the numbers of
``switching.toml``, which ``python benchmarks/quality/switching.py`` counts in networks of a study of ECON-T.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final

import numpy as np

from codesign.hardware import Device, Workload
from hardware_models.tables import numbers
from hardware_models.units import Activity

__all__ = ["UNITS", "Switching", "expected", "load_switching"]

UNITS: Final = MappingProxyType(
    dict.fromkeys(
        (
            *("constant_first", "constant_later", "reloadable_first", "reloadable_later"),
            *("gates_first", "gates_later", "outputs_inner", "outputs_last"),
        ),
        "of random words",
    )
)


@dataclass(frozen=True, slots=True)
class Switching:
    """What changes in trained networks, over what changes of random words.

    Parameters
    ----------
    constant_first, constant_later
        Bits of the sums with constant weights: of the first layer, which sees the inputs, and of the others.
    reloadable_first, reloadable_later
        The same with weights in registers.
    gates_first, gates_later
        Bits that gates give out, with weights in registers.
    outputs_inner, outputs_last
        Bits of the outputs of a layer: of the last, and of the others.
    """

    constant_first: float
    constant_later: float
    reloadable_first: float
    reloadable_later: float
    gates_first: float
    gates_later: float
    outputs_inner: float
    outputs_last: float


@cache
def load_switching() -> Switching:
    """The numbers of ``switching.toml``."""
    text = files("hardware_models").joinpath("switching.toml").read_text(encoding="utf-8")
    return Switching(**numbers(text, UNITS, "the table of switching"))


def expected(work: Workload, device: Device) -> Activity:
    """What is to be expected to change in each layer, ``(n, m)``, by its place in the network."""
    known = load_switching()
    place = np.cumsum(work.present, axis=1)
    first, last = place <= 1, place == place[:, -1:]
    outputs = np.where(last, known.outputs_last, known.outputs_inner)
    if device.weights == "constant":
        return Activity(np.where(first, known.constant_first, known.constant_later), outputs, outputs)
    return Activity(
        np.where(first, known.reloadable_first, known.reloadable_later),
        np.where(first, known.gates_first, known.gates_later),
        outputs,
    )
