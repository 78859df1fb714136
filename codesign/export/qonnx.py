"""QONNX: ONNX with a ``Quant`` node at every edge that has a format; what hls4ml and FINN read.

Files as of the ``onnx`` target. Float networks: plain ONNX.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.export.bundle import Bundle, bundle, load_network
from codesign.export.onnx import AUTOENCODER, ENCODER, check_encoder, check_whole, codes, write_models
from codesign.fixedpoint import IntArray
from codesign.hardware import Device
from codesign.network import Network

__all__ = ["check", "export", "simulate"]


def check(network: Network, device: Device) -> None:
    """Raise ``UnsupportedLayerError`` for sums wider than float32, in which QONNX is run."""
    from codesign.export.graph import check_exact

    check_exact(network, "qonnx")


def export(
    network: Network,
    folder: str | Path,
    *,
    device: Device | None = None,
    inputs: NDArray[Any] | None = None,
    origin: Mapping[str, Any] | None = None,
) -> Path:
    """Write the bundle of ``encoder.onnx`` and, if layers follow the chip, ``autoencoder.onnx``.

    Parameters, errors: see ``codesign.export.onnx.export``; what runs the files is qonnx' executor.
    """
    device = device or Device()
    check(network, device)
    with bundle(network, folder, "qonnx", device, inputs, origin) as made:
        made.used("onnx", "qonnx", "onnxruntime")
        write_models(made, "qonnx")
        check_encoder(made, "encoder.onnx in qonnx' executor", simulate(made.folder, made.inputs))
        check_whole(made, "qonnx' executor", _run)
        made.write("README.md", _readme(made))
    return Path(folder)


def simulate(folder: Path, inputs: NDArray[Any]) -> IntArray:
    """Output codes of ``encoder.onnx`` in qonnx' executor; real values of a float network."""
    return codes(load_network(folder), _run(folder / ENCODER, inputs))


def _run(path: Path, inputs: NDArray[Any]) -> NDArray[Any]:
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.change_batchsize import ChangeBatchSize
    from qonnx.transformation.infer_shapes import InferShapes

    from codesign.export.graph import channels_first, quiet

    fed = channels_first(np.asarray(inputs)).astype(np.float32)
    with quiet():
        model = ModelWrapper(str(path)).transform(ChangeBatchSize(len(fed))).transform(InferShapes())
        return np.asarray(execute_onnx(model, {"input": fed})["output"])


def _readme(made: Bundle) -> str:
    whole = f"- `{AUTOENCODER}`: encoder and float decoder.\n" if (made.folder / AUTOENCODER).exists() else ""
    fixed = made.network.input_format
    scale = fixed.scale if fixed else 1.0
    return f"""# {ENCODER}: QONNX

- `{ENCODER}`: the chip, a `Quant` node at every edge that has a format. Opset 13, IR 8, batch 1, channels
  first; nodes are named like the layers; shapes and data types are annotated.
{whole}- Read by hls4ml and FINN. onnxruntime alone does not know `Quant`: take `--to onnx` for it.
- Biases hold half an accumulator LSB where a sum is rounded later, so that half to even gives the chip's
  half up.
- `vectors/`: {len(made.inputs):,} inputs (codes) and the integers expected. `provenance.json`: checks,
  versions.

Run it:

```python
import numpy as np
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
model = ModelWrapper("{ENCODER}")
image = np.load("vectors/inputs.npy")[:1] * {scale!r}
fed = (image.transpose(0, 3, 1, 2) if image.ndim == 4 else image).astype("float32")
got = execute_onnx(model, {{"input": fed}})["output"]
```

hls4ml and FINN have targets of their own, which compare every integer: `--to hls4ml`, `--to finn`.
"""
