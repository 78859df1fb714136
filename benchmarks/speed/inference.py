"""Speed of the compiled engine's inference against PyTorch under ``no_grad``, in samples per CPU second.

The study's baseline in float over 20,000 samples, in turn in one process on one thread: against a module as
one writes it first (`plain.py`), and against this package's, which is faster. Fails where a ratio falls below
its floor, or where ours and the package's module disagree. Run: ``python benchmarks/speed/inference.py``.
"""

import sys
from collections.abc import Callable
from time import process_time
from typing import Final

import numpy as np
import torch
from autoencoder import baseline, samples
from comparison import Row, compared, report
from plain import images, plain_module

from codesign.training.build import build, extract
from codesign.training.compiled import CompiledNetwork
from codesign.training.weights import real_weights

ROUNDS = 9
CHUNK = 1_024  # samples that PyTorch gets at once
PLAIN, OURS = "plain PyTorch module, no_grad", "our PyTorch module, no_grad"
FLOORS: Final = {PLAIN: 8.0, OURS: 4.0}
TOLERANCE = 1e-5


def timed(
    function: Callable[[torch.Tensor], torch.Tensor], inputs: torch.Tensor
) -> tuple[float, torch.Tensor]:
    """Samples per CPU second, and what was computed."""
    start = process_time()
    with torch.no_grad():
        found = torch.cat([function(chunk) for chunk in inputs.split(CHUNK)])
    return len(inputs) / (process_time() - start), found


def measure() -> list[Row]:
    """Time all three in turn."""
    torch.set_num_threads(1)
    data = samples(np.random.default_rng(0))
    module, plain = build(baseline(quantised=False), seed=1), plain_module(baseline(quantised=False))
    network = extract(module, module.network)
    engine = CompiledNetwork(network, loss="mse", output_index=data.output_index)
    parameters = engine.parameters(real_weights(network))
    inputs, plain_inputs, turns = torch.from_numpy(data.inputs), images(data), []
    for _ in range(ROUNDS):
        slow, _values = timed(plain, plain_inputs)
        middle, expected = timed(module.run, inputs)
        start = process_time()
        found = engine.values(parameters, data.inputs)
        turns.append({PLAIN: slow, OURS: middle, "native": len(inputs) / (process_time() - start)})
        if (error := np.abs(found - expected.numpy()).max()) > TOLERANCE:
            raise SystemExit(f"the two disagree by {error:.0e}")
    return [
        compared(
            "inference, c8 k3 S2, float",
            "native",
            reference,
            [(turn[reference], turn["native"]) for turn in turns],
            "samples per CPU second",
            floor,
        )
        for reference, floor in FLOORS.items()
    ]


if __name__ == "__main__":
    sys.exit(report(measure))
