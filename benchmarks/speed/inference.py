"""Speed of the compiled engine's inference against PyTorch under ``no_grad``, in samples per CPU second.

The study's baseline in float over 20,000 samples, in turn in one process on one thread. Fails where the ratio
falls below the floor or where the two disagree. Run: ``python benchmarks/speed/inference.py``.
"""

import sys
from statistics import median
from time import process_time
from typing import Any

import numpy as np
import torch
from autoencoder import baseline, samples

from codesign import native
from codesign.training.build import build, extract
from codesign.training.compiled import CompiledNetwork, real_weights

ROUNDS = 9
CHUNK = 1_024  # samples that PyTorch gets at once
RATIO_FLOOR = 5.0
TOLERANCE = 1e-5


def measure() -> list[dict[str, Any]]:
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
        rounds.append((middle - start, process_time() - middle))
        if (error := np.abs(found - expected.numpy()).max()) > TOLERANCE:
            raise SystemExit(f"the two disagree by {error:.0e}")
    reference_rate, our_rate = (len(inputs) / median(seconds) for seconds in zip(*rounds, strict=True))
    return [
        {
            "work": "inference, c8 k3 S2, float",
            "reference": "our PyTorch module, no_grad",
            "ours": "native",
            "reference_rate": reference_rate,
            "our_rate": our_rate,
            "unit": "samples per CPU second",
            "ratio": median(slow / fast for slow, fast in rounds),
            "floor": RATIO_FLOOR,
        }
    ]


def main() -> int:
    """Print the rates; 1 if the ratio is below the floor."""
    if not native.available():
        print(native.absence())
        return 1
    (r,) = measure()
    print(f"{ROUNDS} rounds, medians, {r['unit']}; {native.instruction_set()}")
    print(f"reference {r['reference_rate']:,.0f}, ours {r['our_rate']:,.0f}", end=", ")
    print(f"ratio {r['ratio']:.1f}, floor {r['floor']:.0f}")
    return int(r["ratio"] < r["floor"])


if __name__ == "__main__":
    sys.exit(main())
