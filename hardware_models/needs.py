"""What of a workload an output depends on: a kernel that is shorter than its stride passes pixels by.

What computes these pixels is in no netlist: synthesis removes logic that nothing reads. Their operations are
counted by the study's rule all the same.
"""

from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from codesign.hardware import Workload

__all__ = ["needed"]

IntArray = NDArray[np.int64]
Mask = NDArray[np.bool_]


def needed(work: Workload) -> Workload:
    """The workload without pixels that nothing reads: ``sums``, ``products`` and what follows them shrink.

    Padding is taken to be "same", and an image to be pooled from its first pixel on.

    Parameters
    ----------
    work
        Of ``n`` networks; those without a stride above its kernel come back as they are.
    """
    (rows,) = np.nonzero(((work.stride > work.kernel) & work.present).any(axis=1))
    if not len(rows):
        return work
    arrays = {item.name: getattr(work, item.name) for item in fields(work) if item.name != "names"}
    part = replace(work, **{name: values[rows] for name, values in arrays.items()})
    shrunk = {name: arrays[name].copy() for name in ("sums", "products", "activations", "pooled", "outputs")}
    for name, values in _shrunk(part).items():
        shrunk[name][rows] = values
    return replace(work, **shrunk)


def _shrunk(work: Workload) -> dict[str, IntArray]:
    sides = [_along(work, work.height)]
    sides.append(sides[0] if np.array_equal(work.height, work.width) else _along(work, work.width))
    parts = {name: sides[0][name] * sides[1][name] for name in sides[0]}

    def of(amount: IntArray, kept: str, whole: str) -> IntArray:
        share: IntArray = amount * parts[kept] // np.maximum(parts[whole], 1)
        return share

    pooling = work.pooled > 0
    return {
        "sums": of(work.sums, "sums", "all_sums"),
        "products": of(work.products, "taps", "all_taps"),
        "activations": of(work.activations, "sums", "all_sums"),
        "pooled": of(work.pooled, "outputs", "all_outputs"),
        "outputs": np.where(
            pooling, of(work.outputs, "outputs", "all_outputs"), of(work.outputs, "sums", "all_sums")
        ),
    }


def _along(work: Workload, sizes: IntArray) -> dict[str, IntArray]:
    """Along one axis, each ``(n, m)``: needed sums, their taps on the image, needed outputs; all of each."""
    found = {
        name: np.ones(work.sums.shape, np.int64)
        for name in ("sums", "taps", "outputs", "all_sums", "all_taps", "all_outputs")
    }
    longest = int(sizes.max(initial=1))
    place = np.arange(longest)
    wanted = np.ones((len(work), longest), np.bool_)
    for layer in reversed(range(work.sums.shape[1])):
        here = work.present[:, layer, None]
        size, kernel, stride = (values[:, layer, None] for values in (sizes, work.kernel, work.stride))
        strides = np.maximum(stride, 1)
        sums = -(-size // strides)
        pool = np.maximum(np.rint(np.sqrt(work.pool_size[:, layer, None])).astype(np.int64), 1)
        outputs = -(-sums // pool)
        kept = np.take_along_axis(wanted, np.minimum(place // pool, longest - 1), axis=1) & (place < sums)
        first = place * strides - np.maximum((sums - 1) * strides + kernel - size, 0) // 2
        taps = np.maximum(np.minimum(first + kernel, size) - np.maximum(first, 0), 0) * (place < sums)
        counts = (
            ("sums", kept.sum(axis=1), sums[:, 0]),
            ("taps", (taps * kept).sum(axis=1), taps.sum(axis=1)),
            ("outputs", (wanted & (place < outputs)).sum(axis=1), outputs[:, 0]),
        )
        for name, some, every in counts:
            found[name][:, layer], found[f"all_{name}"][:, layer] = some, every
        dense = (size == 1) & (kernel == 1)
        before = np.where(dense, True, _read(kept, first, kernel, longest))
        wanted = np.where(here, before, wanted)
    return found


def _read(kept: Mask, first: IntArray, kernel: IntArray, longest: int) -> Mask:
    """Positions of the input ``(n, longest)`` that a kept output reads."""
    read = np.zeros(kept.shape, np.bool_)
    rows = np.arange(len(kept))[:, None]
    for tap in range(int(kernel.max(initial=0))):
        at = first + tap
        inside = kept & (tap < kernel) & (at >= 0) & (at < longest)
        read[np.broadcast_to(rows, at.shape)[inside], at[inside]] = True
    return read
