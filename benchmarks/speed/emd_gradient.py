"""Speed of `codesign.metrics.emd_gradient` against `ot.emd2` on torch tensors, row by row, in CPU seconds.

One batch of a training: distances and the gradient of their mean with respect to the outputs as they are,
not normalised. Both in the same process, in turn, on one thread; the compiled kernel must be there. Fails
where the ratio falls below the floor or where the two disagree.
Run: ``python benchmarks/speed/emd_gradient.py``.
"""

import sys
from time import process_time

import numpy as np
import torch
from comparison import Row, compared, report
from emd import Wafers, decoded, wafers

from codesign.metrics import emd_gradient
from codesign.metrics.trigger_cells import DISTANCES

BATCH = 800
ROUNDS = 7
RATIO_FLOOR = 25
TOLERANCE = 1e-9

Result = tuple[Wafers, Wafers]  # distances (n,), gradients (n, 48)


def reference(x: Wafers, y: Wafers) -> Result:
    """Backpropagate through the torch backend of POT, one wafer after another."""
    import ot

    target, prediction = torch.from_numpy(x), torch.from_numpy(y).requires_grad_()
    distances = torch.from_numpy(np.array(DISTANCES))
    work = [ot.emd2(p / p.sum(), t / t.sum(), distances) for p, t in zip(prediction, target, strict=True)]
    total = torch.stack(work)
    total.sum().backward()
    assert prediction.grad is not None
    return total.detach().numpy(), prediction.grad.numpy()


def worst(x: Wafers, y: Wafers) -> float:
    """Largest relative difference of distances and of gradients, the latter where they are unique.

    Where a cell holds equal shares in both rows there are many gradients; a dense output has none such.
    """
    (expected, slope), (work, gradient) = reference(x, y), emd_gradient(x, y)
    unit = np.abs(slope).max(axis=1, keepdims=True)
    return float(max(np.abs(work / expected - 1).max(), (np.abs(gradient - slope) / unit).max()))


def measure() -> list[Row]:
    """Time both in turn, on one thread, on a batch of outputs of a decoder."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(7)
    x = wafers(rng)[:BATCH]
    y = decoded(x, rng)
    if (error := worst(x, y)) > TOLERANCE:
        raise SystemExit(f"the two disagree by {error:.0e}")
    rounds = []
    for _ in range(ROUNDS):
        start = process_time()
        reference(x, y)
        middle = process_time()
        emd_gradient(x, y)
        rounds.append((BATCH / (middle - start), BATCH / (process_time() - middle)))
    ours, against = "codesign.metrics.emd_gradient", "loop over ot.emd2 on torch tensors"
    unit = "wafers per CPU second"
    return [compared("EMD with gradient, decoder", ours, against, rounds, unit, RATIO_FLOOR)]


if __name__ == "__main__":
    sys.exit(report(measure))
