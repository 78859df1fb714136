"""What the concentrator chip does without a network: algorithms that select or sum trigger cells.

Each maps charges to the charges that arrive behind the link, and says how many bits a wafer takes there.
:data:`ALGORITHMS` lists them for 2 to 5 links, to be scored beside an autoencoder of equal bits.

Sources: selections and sums as in ``train.py`` of ``kakwok/Ecoder``; words as in ``ASICBlocks`` of
``dnoonan08/ECONT_Emulator`` (facts only). The headers of the words, the same for all, are left out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError, DataError
from codesign.metrics.trigger_cells import BLOCKS, CELLS
from codesign.tasks.wafers import MIP_T

__all__ = [
    "ALGORITHMS",
    "CELLS_KEPT",
    "FOURS",
    "LATENT_BITS",
    "SUM_CODE",
    "Algorithm",
    "Received",
    "autoencoder_bits",
    "best_choice",
    "repeater",
    "short_float",
    "super_trigger_cells",
    "threshold",
]

Charges = NDArray[np.integer[Any]]
Counts = NDArray[np.int64]

LINKS: Final = (2, 3, 4, 5)
CELLS_KEPT: Final[Mapping[int, int]] = MappingProxyType({2: 4, 3: 6, 4: 9, 5: 14})
"""Trigger cells that best choice keeps, by links."""

LATENT_BITS: Final[Mapping[int, int]] = MappingProxyType({2: 3, 3: 5, 4: 7, 5: 9})
"""Bits of each of the 16 values of the autoencoder, by links."""

SUM_CODE: Final = (5, 4)
"""Exponent and mantissa bits of the sum of a block, and of the module's beside the autoencoder."""

THRESHOLDS_MIP: Final = (1.35, 2.0)
LATENT_UNITS: Final = 16
_CHARGE: Final = (4, 3)  # exponent and mantissa bits of the charge of a trigger cell, and of a sum of four
_SUM: Final = (5, 3)  # of the sum beside a selection
_ADDRESS: Final = 6


def _fours() -> NDArray[np.intp]:
    first = np.add.outer([0, 16, 32], [0, 2, 8, 10]).ravel()
    return np.add.outer(first, [0, 1, 4, 5]).astype(np.intp)


FOURS: Final = _fours()
"""Trigger cells of each super trigger cell of four, shape ``(12, 4)``."""


@dataclass(frozen=True, slots=True, eq=False)
class Received:
    """What arrives of some wafers.

    Parameters
    ----------
    calq
        Charges, shape ``(n, 48)``, in counts as those that were sent, float64; a row may be empty.
    bits
        Bits of each wafer on the link without header, shape ``(n,)``.
    """

    calq: NDArray[np.float64]
    bits: Counts


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A way to send a wafer without a network.

    Parameters
    ----------
    name
        For tables and plots.
    links
        Links that the words are meant for; None: the length varies or does not depend on them.
    send
        From charges ``(n, 48)`` in counts to what arrives.
    """

    name: str
    links: int | None
    send: Callable[[Charges], Received]


def short_float(values: Charges, exponent_bits: int, mantissa_bits: int) -> Counts:
    """Counts as they arrive in a float of few bits without sign: ``4E3M`` has 4 and 3.

    Exact up to ``2 ** (mantissa_bits + 1) - 1``; above, the leading bit and ``mantissa_bits`` more are sent,
    and half of the range that is cut off is added. Too large a count arrives as the largest code.

    Parameters
    ----------
    values
        Integers from 0.
    exponent_bits, mantissa_bits
        Widths; the leading bit is not sent.

    Examples
    --------
    >>> short_float(np.array([7, 15, 16, 17, 1000]), 4, 3).tolist()
    [7, 15, 17, 17, 992]
    """
    largest = (1 << exponent_bits) - 2
    exponent = np.maximum(np.frexp(values.astype(np.float64))[1].astype(np.int64) - 1 - mantissa_bits, 0)
    saturated = exponent > largest
    exponent = np.minimum(exponent, largest)
    mantissa = np.where(
        saturated, (2 << mantissa_bits) - 1, np.right_shift(values.astype(np.int64), exponent)
    )
    half = np.where(exponent > 0, np.left_shift(np.int64(1), np.maximum(exponent - 1, 0)), 0)
    return np.asarray(np.left_shift(mantissa, exponent) + half)


def threshold(calq: Charges, mip: float, *, coded: bool = False) -> Received:
    """Keep trigger cells above a threshold: a map of 48 bits, 7 bits each and an 8-bit sum.

    Parameters
    ----------
    calq
        Shape ``(n, 48)``, counts.
    mip
        In MIP_T; only what is above is kept.
    coded
        Whether charges arrive in the short floats of the chip, or exactly, as in the study's comparison.
    """
    _require_cells(calq)
    kept = np.where(calq > mip * MIP_T, calq, 0).astype(np.int64)
    bits = CELLS + sum(_CHARGE) * np.count_nonzero(kept, axis=1) + sum(_SUM)
    return Received(_arrived(kept, _CHARGE, coded), np.asarray(bits, dtype=np.int64))


def best_choice(calq: Charges, cells: int, *, coded: bool = False) -> Received:
    """Keep the trigger cells with the largest charges: their places, 7 bits each and an 8-bit sum.

    The places take 6 bits each, or a map of 48 bits where that is shorter. Of equal charges the first are
    kept.

    Parameters
    ----------
    calq
        Shape ``(n, 48)``, counts.
    cells
        How many are kept, 1 to 48.
    coded
        See :func:`threshold`.
    """
    _require_cells(calq)
    if not 1 <= cells <= CELLS:
        raise ConfigError(f"best choice keeps 1 to {CELLS} trigger cells, got {cells}")
    order = np.argsort(-calq.astype(np.int64), axis=1, kind="stable")[:, :cells]
    kept = np.zeros(calq.shape, dtype=np.int64)
    np.put_along_axis(kept, order, np.take_along_axis(calq, order, axis=1), axis=1)
    bits = min(_ADDRESS * cells, CELLS) + sum(_CHARGE) * cells + sum(_SUM)
    return Received(_arrived(kept, _CHARGE, coded), _same(calq, bits))


def super_trigger_cells(
    calq: Charges, size: Literal[4, 16], *, shared: bool = False, coded: bool = False
) -> Received:
    """Sum groups of trigger cells; the sum arrives at the largest of them, or in equal shares at all.

    Of equal charges the last is taken, as on the chip. A sum of 4 takes 7 bits and a 2-bit place, one of 16
    (a block) 9 and 4; equal shares need no place.

    Parameters
    ----------
    calq
        Shape ``(n, 48)``, counts.
    size
        Trigger cells of a group, 4 or 16.
    shared
        Whether the sum over the size is put on each cell.
    coded
        See :func:`threshold`.
    """
    _require_cells(calq)
    if size not in (4, 16):
        raise ConfigError(f"a super trigger cell has 4 or 16 trigger cells, got {size}")
    groups, code, place = (FOURS, _CHARGE, 2) if size == 4 else (BLOCKS, SUM_CODE, 4)
    members = calq[:, groups].astype(np.int64)  # (n, groups, size)
    sums = _arrived(members.sum(axis=2), code, coded)
    sent = np.zeros(members.shape)
    if shared:
        sent += sums[:, :, None] / size
    else:
        largest = size - 1 - members[:, :, ::-1].argmax(axis=2)
        np.put_along_axis(sent, largest[:, :, None], sums[:, :, None], axis=2)
    received = np.zeros(calq.shape)
    received[:, groups] = sent
    bits = len(groups) * (sum(code) + (0 if shared else place))
    return Received(received, _same(calq, bits))


def repeater(calq: Charges, *, coded: bool = True) -> Received:
    """Send every trigger cell in 7 bits.

    Parameters
    ----------
    calq
        Shape ``(n, 48)``, counts.
    coded
        See :func:`threshold`; exactly is the identity.
    """
    _require_cells(calq)
    return Received(_arrived(calq, _CHARGE, coded), _same(calq, CELLS * sum(_CHARGE)))


def autoencoder_bits(links: int) -> int:
    """Bits of the autoencoder's word without header: 16 values, and the 9-bit sum of the module."""
    if links not in LATENT_BITS:
        raise ConfigError(
            f"the chip reads a module out by {', '.join(map(str, LATENT_BITS))} links, got {links}"
        )
    return LATENT_UNITS * LATENT_BITS[links] + sum(SUM_CODE)


def _arrived(charges: Charges, code: tuple[int, int], coded: bool) -> NDArray[np.float64]:
    return (short_float(charges, *code) if coded else charges).astype(np.float64)


def _same(calq: Charges, bits: int) -> Counts:
    return np.full(len(calq), bits, dtype=np.int64)


def _require_cells(calq: Charges) -> None:
    if calq.ndim != 2 or calq.shape[1] != CELLS or calq.dtype.kind not in "iu":
        raise DataError(
            f"charges are integers of shape (n, {CELLS}), one row a wafer; got {calq.dtype} of shape "
            f"{calq.shape}"
        )


ALGORITHMS: Final[tuple[Algorithm, ...]] = (
    *(Algorithm(f"threshold {mip:g} MIP", None, partial(threshold, mip=mip)) for mip in THRESHOLDS_MIP),
    *(
        Algorithm(f"best choice {cells}", links, partial(best_choice, cells=cells))
        for links, cells in CELLS_KEPT.items()
    ),
    Algorithm("super trigger cells 4", None, partial(super_trigger_cells, size=4)),
    Algorithm("super trigger cells 4, shared", None, partial(super_trigger_cells, size=4, shared=True)),
    Algorithm("super trigger cells 16", None, partial(super_trigger_cells, size=16)),
    Algorithm("super trigger cells 16, shared", None, partial(super_trigger_cells, size=16, shared=True)),
    Algorithm("repeater", None, repeater),
)
"""Every algorithm of the chip, charges as in the study's comparison: exact but for the repeater's."""
