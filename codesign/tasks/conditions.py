"""What is known of a module where its code is decoded, for decoders that take it beside the code.

Eight numbers, named and scaled as in the study's successor: ``process_data.py`` of `erdemyigit/ECON_CAE`.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from codesign.errors import DataError
from codesign.tasks.wafers import Wafers

__all__ = ["CONDITIONS", "module_conditions"]

CONDITIONS: Final = (
    "eta / 3.1",
    "waferv / 12",
    "waferu / 12",
    "wafer type 0",
    "wafer type 1",
    "wafer type 2",
    "log(1 + sum of CALQ)",
    "(layer - 1) / 46",
)
"""The conditions in order; a wafer type is 1 where the module is of it, else 0."""
_PITCH_CM: Final = 16.84
_THICKNESS_RADII_CM: Final = (75.0, 120.0)


def module_conditions(wafers: Wafers) -> NDArray[np.float32]:
    """Conditions of the module of each wafer, ``(n, 8)``, in the order of ``CONDITIONS``.

    The type is the column ``wafertype``, 0 to 2 for silicon of 120, 200 and 300 um. Without it, the distance
    of the wafer from the beam decides: below 75 cm, below 120 cm, beyond.

    Raises
    ------
    DataError
        If a column is missing (``eta`` or ``tc_eta``, ``waferu``, ``waferv``, ``layer``), or a type is none.
    """
    eta = _column(wafers, "eta", "tc_eta")
    u, v, layer = (_column(wafers, name) for name in ("waferu", "waferv", "layer"))
    kind = _types(wafers, u, v)
    columns = [
        eta / 3.1,
        v / 12,
        u / 12,
        *(kind == k for k in range(3)),
        np.log1p(wafers.sums),
        (layer - 1) / 46,
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def _column(wafers: Wafers, *names: str) -> NDArray[np.float64]:
    for name in names:
        if name in wafers.columns:
            values: NDArray[np.float64] = np.asarray(wafers.columns[name], np.float64)
            if not np.isfinite(values).all():
                raise DataError(f"{wafers.source}: column {name} holds values that are not finite")
            return values
    has = ", ".join(wafers.columns) or "no column beside the charges"
    raise DataError(
        f"{wafers.source}: the conditions of a module need the column {' or '.join(names)}; it has {has}"
    )


def _types(wafers: Wafers, u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[Any]:
    if "wafertype" not in wafers.columns:
        radius = _PITCH_CM * np.hypot(v / 2 - u, np.sqrt(0.75) * v)
        return np.asarray(np.digitize(radius, _THICKNESS_RADII_CM))
    kind = _column(wafers, "wafertype")
    wrong = np.flatnonzero(~np.isin(kind, (0, 1, 2)))
    if len(wrong):
        raise DataError(f"{wafers.source}: wafertype is 0, 1 or 2, row {wrong[0]} has {kind[wrong[0]]:g}")
    return kind
