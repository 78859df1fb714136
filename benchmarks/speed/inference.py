"""Speed of the compiled engine's inference against PyTorch under ``no_grad``, in samples per CPU second.

The study's baseline in float over 20,000 samples, in turn in one process on one thread. Fails where the ratio
falls below the floor or where the two disagree. Run: ``python benchmarks/speed/inference.py``.
"""

import sys
from time import process_time

import numpy as np
import torch
from autoencoder import baseline, samples
from comparison import Row, compared, report

from codesign.training.build import build, extract
from codesign.training.compiled import CompiledNetwork
from codesign.training.weights import real_weights

ROUNDS = 9
CHUNK = 1_024  # samples that PyTorch gets at once
RATIO_FLOOR = 4
TOLERANCE = 1e-5


def measure() -> list[Row]:
    """Time both in turn."""
    torch.set_num_threads(1)
    data = samples(np.random.default_rng(0))
    module = build(baseline(quantised=False), seed=1)
    network = extract(module, module.network)
    engine = CompiledNetwork(network, loss="mse", output_index=data.output_index)
    parameters = engine.parameters(real_weights(network))
    inputs, rounds = torch.from_numpy(data.inputs), []
    for _ in range(ROUNDS):
        start = process_time()
        with torch.no_grad():
            expected = torch.cat([module.run(chunk) for chunk in inputs.split(CHUNK)])
        middle = process_time()
        found = engine.values(parameters, data.inputs)
        rounds.append((len(inputs) / (middle - start), len(inputs) / (process_time() - middle)))
        if (error := np.abs(found - expected.numpy()).max()) > TOLERANCE:
            raise SystemExit(f"the two disagree by {error:.0e}")
    work, reference = "inference, c8 k3 S2, float", "our PyTorch module, no_grad"
    return [compared(work, "native", reference, rounds, "samples per CPU second", RATIO_FLOOR)]


if __name__ == "__main__":
    sys.exit(report(measure))
