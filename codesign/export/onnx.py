"""Standard ONNX with integer codes (QCDQ): what onnxruntime runs.

``encoder.onnx`` is the chip part; ``autoencoder.onnx``, where layers follow it, the whole network with its
float layers, unless they take conditions.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from codesign.errors import OutputError, UnsupportedLayerError
from codesign.export.bundle import Bundle, bundle, load_network
from codesign.fixedpoint import IntArray
from codesign.hardware import Device
from codesign.network import Network

__all__ = ["AUTOENCODER", "ENCODER", "check", "export", "simulate"]

ENCODER: Final = "encoder.onnx"
AUTOENCODER: Final = "autoencoder.onnx"
FLOAT_TOLERANCE: Final = 1e-5
_WHOLE_VECTORS: Final = 64
_LARGEST_WIDTH: Final = 16


def check(network: Network, device: Device) -> None:
    """Raise ``UnsupportedLayerError`` for sums wider than float32 or codes wider than 16 bits."""
    from codesign.export.graph import check_exact

    check_exact(network, "onnx")
    chip = network.chip
    edges = [("the input", chip.input_format)]
    for layer in chip.layers:
        edges += [(f"layer {layer.name!r}", getattr(layer, role, None)) for role in ("weight", "output")]
    for name, fixed in edges:
        if fixed is not None and fixed.width > _LARGEST_WIDTH:
            raise UnsupportedLayerError(
                f"onnx: {name} has {fixed.width} bits, QuantizeLinear has at most {_LARGEST_WIDTH}; "
                "use fewer, or --to qonnx"
            )


def export(
    network: Network,
    folder: str | Path,
    *,
    device: Device | None = None,
    inputs: NDArray[Any] | None = None,
    origin: Mapping[str, Any] | None = None,
) -> Path:
    """Write the bundle of ``encoder.onnx`` and, if layers follow the chip, ``autoencoder.onnx``.

    Parameters
    ----------
    network
        Fitted.
    folder
        Where to; see ``codesign.export.bundle``.
    device
        Recorded; an ONNX file is the same for all.
    inputs
        Shape ``(n, *input_shape)``, what to verify on; None: made-up ones.
    origin
        Where the network comes from, for the provenance.

    Raises
    ------
    UnsupportedLayerError
        For what ``check`` refuses.
    OutputError
        If the folder cannot be written, or onnxruntime computes something else than the network.
    """
    device = device or Device()
    check(network, device)
    with bundle(network, folder, "onnx", device, inputs, origin) as made:
        made.used("onnx", "onnxruntime")
        write_models(made, "qcdq")
        computed = simulate(made.folder, made.inputs)
        check_encoder(made, "encoder.onnx in onnxruntime", computed)
        check_whole(made, "onnxruntime", _run)
        made.write("README.md", _readme(made))
    return Path(folder)


def simulate(folder: Path, inputs: NDArray[Any]) -> IntArray:
    """Output codes of ``encoder.onnx`` in onnxruntime; real values of a float network."""
    return codes(load_network(folder), _run(folder / ENCODER, inputs))


def write_models(made: Bundle, dialect: Any) -> None:
    """Write the models of a bundle."""
    from codesign.export.graph import model

    network, chip = made.network, made.network.chip
    made.write(ENCODER, model(chip, dialect).SerializeToString())
    if len(chip.layers) < len(network.layers) and not network.conditions:
        made.write(AUTOENCODER, model(network, dialect).SerializeToString())


def codes(chip: Network, outputs: NDArray[Any]) -> IntArray:
    """Real outputs of a model, channels first, as codes of the chip's last format, channels last."""
    from codesign.export.graph import channels_last

    last = chip.formats[-1]
    values = channels_last(np.asarray(outputs, np.float64))
    return values if last is None else np.ldexp(values, last.fraction_bits)


def check_encoder(made: Bundle, name: str, computed: NDArray[Any]) -> None:
    """Record the comparison of a chip's outputs; those of a float network may differ by rounding."""
    if made.network.chip.formats[-1] is None:
        near = np.abs(computed - made.expected) <= FLOAT_TOLERANCE
        computed = np.where(near, made.expected, computed)
    made.check(name, computed)


def check_whole(made: Bundle, executor: str, run: Callable[[Path, NDArray[Any]], NDArray[Any]]) -> None:
    """Record how far ``autoencoder.onnx``, if it is there, is off the network; raise beyond rounding."""
    from codesign.export.graph import channels_last

    path, inputs = made.folder / AUTOENCODER, made.inputs[:_WHOLE_VECTORS]
    if not path.is_file():
        return
    computed = channels_last(run(path, inputs))
    largest = float(np.abs(computed - made.network.predict(inputs)).max(initial=0.0))
    made.checks.append(
        {"check": f"{AUTOENCODER} in {executor}", "vectors": len(inputs), "largest_difference": largest}
    )
    if largest > FLOAT_TOLERANCE:
        raise OutputError(f"{made.target}: {AUTOENCODER} is {largest:g} off the network; it was not kept")


def _run(path: Path, inputs: NDArray[Any]) -> NDArray[Any]:
    import onnxruntime

    from codesign.export.graph import channels_first

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    fed = channels_first(np.asarray(inputs)).astype(np.float32)
    (outputs,) = session.run(None, {"input": fed})
    return np.asarray(outputs)


def _readme(made: Bundle) -> str:
    chip = made.network.chip
    whole = f"- `{AUTOENCODER}`: encoder and float decoder.\n" if (made.folder / AUTOENCODER).exists() else ""
    last = chip.formats[-1]
    integers = f"codes times {last.scale:g}" if last else "real values"
    return f"""# {ENCODER}: standard ONNX with integer codes (QCDQ)

- `{ENCODER}`: the chip. Input `input`, float32 (batch, channels, height, width); output `output`: {integers}.
{whole}- Opset 21, IR 10; nodes are named like the layers. hls4ml and FINN read the QONNX form (`--to qonnx`).
- Half an accumulator LSB is added before each rounding, so that half to even gives the chip's half up.
- `vectors/`: {len(made.inputs):,} inputs (codes) and the integers expected. `provenance.json`: checks,
  versions.

Run it:

```python
import numpy as np, onnxruntime
codes = np.load("vectors/inputs.npy")
image = codes * {chip.input_format.scale if chip.input_format else 1.0!r}
fed = (image.transpose(0, 3, 1, 2) if image.ndim == 4 else image).astype("float32")
got = onnxruntime.InferenceSession("{ENCODER}").run(None, {{"input": fed}})[0]
```
"""
