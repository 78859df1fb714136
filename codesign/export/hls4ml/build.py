"""Writes hls4ml projects. Run as a program, which keeps hls4ml and all it prints out of the caller's process.

::

    python -m codesign.export.hls4ml.build network.json '[{"folder": ..., "backend": ..., ...}, ...]'

The graph is given to hls4ml layer by layer, as its Keras reader would: this package has the same layouts,
channels last and kernels ``(k, k, in, out)``, so nothing is transposed or merged on the way, and every
precision is stated. Layers are called ``layer_1``, ``layer_2``, ... in the order of the network: a user's
name is never an identifier.

hls4ml has every rounding and overflow of a format: ``half_up`` is ``RND``, ``half_even`` ``RND_CONV``,
``truncate`` ``TRN``. So weights and biases are the network's own, without the half LSB of
``codesign.half_up``. Accumulators are exact and never round.

Where a pooling pads, hls4ml puts the lowest value of a signed format, but the middle of an unsigned one. Such
an edge is given a sign bit, which is always 0.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np

from codesign.fixedpoint import FixedPoint
from codesign.network import (
    Conv,
    Dense,
    Flatten,
    Layer,
    MaxPool,
    Network,
    ReLU,
    Reshape,
    Shape,
    Upsample,
)

__all__ = [
    "INPUT",
    "INPUT_DATA",
    "OUTPUT_DATA",
    "PROJECT",
    "is_resource",
    "layer_list",
    "legal_reuse_factors",
    "pads",
    "precision",
    "strategies",
]

PROJECT: Final = "encoder"
INPUT: Final = "features"
INPUT_DATA: Final = "tb_input_features.dat"
OUTPUT_DATA: Final = "tb_output_predictions.dat"
_ROUNDING: Final = {"half_even": "RND_CONV", "half_up": "RND", "truncate": "TRN"}
_OVERFLOW: Final = {"saturate": "SAT", "wrap": "WRAP"}

Attributes = dict[str, Any]


def precision(fixed: FixedPoint) -> str:
    """A format in the notation of hls4ml.

    Examples
    --------
    >>> precision(FixedPoint(1, 7, signed=False, rounding="half_up"))
    'ufixed<8,1,RND,SAT>'
    """
    integer = fixed.width - fixed.fraction_bits
    modes = f"{_ROUNDING[fixed.rounding]},{_OVERFLOW[fixed.overflow]}"
    return f"{'' if fixed.signed else 'u'}fixed<{fixed.width},{integer},{modes}>"


def legal_reuse_factors(fan_in: int, units: int) -> list[int]:
    """Reuse factors that hls4ml's strategy resource computes correctly, ascending.

    Its rule (``FPGABackend.get_valid_reuse_factors``): the products are shared evenly, and either whole
    rows of inputs share a multiplier or whole fractions of one do.

    Examples
    --------
    >>> legal_reuse_factors(9, 4)
    [1, 3, 9, 18, 36]
    """
    within = [factor for factor in range(1, fan_in) if fan_in % factor == 0]
    return within + [fan_in * factor for factor in range(1, units + 1) if units % factor == 0]


def is_resource(layer: Conv | Dense, shape: Shape) -> bool:
    """Whether a layer on inputs of this shape gets the strategy resource.

    It does if it reuses multipliers as that strategy can. A convolution's reuse factor above its fan-in is
    left out: there the strategy reads beyond its buffer (Vivado, Vitis).
    """
    fan_in, reuse = layer.fan_in(shape), layer.reuse_factor(shape)
    legal = legal_reuse_factors(fan_in, layer.units)
    return reuse > 1 and reuse in legal and (reuse <= fan_in or isinstance(layer, Dense))


def strategies(network: Network) -> dict[str, Attributes]:
    """Strategy, reuse factor and parallel pixels of each layer with weights, by its name in the project.

    Without folding everything is computed at once: strategy latency, all pixels of a convolution in
    parallel. With folding a convolution makes one pixel at a time; a reuse factor that the strategy resource
    cannot have is given to latency, where the tool shares the multipliers.
    """
    chosen = {}
    for index, layer in enumerate(network.layers):
        if isinstance(layer, Conv | Dense):
            shape = network.shapes[index]
            chosen[_name(index)] = {
                "Strategy": "Resource" if is_resource(layer, shape) else "Latency",
                "ReuseFactor": layer.reuse_factor(shape),
            }
            if isinstance(layer, Conv):
                pixels = int(np.prod(network.shapes[index + 1][:2]))
                chosen[_name(index)]["ParallelizationFactor"] = 1 if layer.folding else pixels
    return chosen


def layer_list(network: Network) -> tuple[list[Attributes], dict[str, Attributes]]:
    """Layers of a quantised network as hls4ml's readers give them, and the settings of each by name."""
    layers: list[Attributes] = [
        {"class_name": "InputLayer", "name": INPUT, "input_shape": list(network.input_shape)}
    ]
    formats = _edge_formats(network)
    settings: dict[str, Attributes] = {INPUT: {"Precision": {"result": precision(formats[0])}}}
    chosen = strategies(network)
    for index, layer in enumerate(network.layers):
        name, shape = _name(index), network.shapes[index]
        layers.append({"name": name, "data_format": "channels_last", **_attributes(layer, shape)})
        used = dict.fromkeys(("result", "accum"), precision(formats[index + 1]))
        if isinstance(layer, Conv | Dense):
            for role in ("weight", "bias"):
                fixed: FixedPoint = getattr(layer, role)
                used[role] = precision(fixed)
                codes = np.asarray(network.weights[f"{layer.name}.{role}"], np.int64)
                layers[-1][f"{role}_data"] = fixed.dequantise(codes)
        settings[name] = {"Precision": used, "ReuseFactor": 1, **chosen.get(name, {})}
    return layers, settings


def pads(layer: Layer, shape: Shape) -> bool:
    """Whether a layer is a pooling that reaches beyond an image of this shape."""
    return isinstance(layer, MaxPool) and layer.partial and any(size % layer.size for size in shape[:2])


def _edge_formats(network: Network) -> list[FixedPoint]:
    """Format of every edge, signed before a pooling that pads."""
    formats = []
    for index, fixed in enumerate(network.formats):
        assert fixed is not None
        padded = index < len(network.layers) and pads(network.layers[index], network.shapes[index])
        formats.append(replace(fixed, signed=True) if padded else fixed)
    return formats


def _name(index: int) -> str:
    return f"layer_{index + 1}"


def _attributes(layer: Layer, shape: Shape) -> Attributes:
    match layer:
        case Conv():
            window = _window(layer, shape, layer.stride, layer.pads(shape))
            sides = {"filt_height": layer.kernel, "filt_width": layer.kernel}
            return {"class_name": "Conv2D", "n_chan": shape[2], "n_filt": layer.units, **sides, **window}
        case MaxPool():
            after = [-size % layer.size if layer.partial else 0 for size in shape[:2]]
            window = _window(layer, shape, layer.size, [(0, zeros) for zeros in after])
            sides = {"pool_height": layer.size, "pool_width": layer.size}
            return {"class_name": "MaxPooling2D", "n_filt": shape[2], **sides, **window}
        case Dense():
            return {"class_name": "Dense", "n_in": shape[0], "n_out": layer.units, "use_bias": True}
        case ReLU():
            return {"class_name": "Activation", "activation": "relu", "n_in": int(np.prod(shape))}
        case Upsample():
            return {
                "class_name": "Resize",
                "algorithm": "nearest",
                "n_chan": shape[2],
                **_heights_and_widths(shape, layer.output_shape(shape)),
            }
        case Flatten() | Reshape():
            return {"class_name": "Reshape", "target_shape": list(layer.output_shape(shape))}
        case _:
            raise AssertionError(f"{type(layer).__name__} passed the pre-flight")


def _window(layer: Layer, shape: Shape, stride: int, pads: Sequence[tuple[int, int]]) -> Attributes:
    (top, bottom), (left, right) = pads
    return {
        **_heights_and_widths(shape, layer.output_shape(shape)),
        "stride_height": stride,
        "stride_width": stride,
        "pad_top": top,
        "pad_bottom": bottom,
        "pad_left": left,
        "pad_right": right,
    }


def _heights_and_widths(before: Shape, after: Shape) -> Attributes:
    return {
        "in_height": before[0],
        "in_width": before[1],
        "out_height": after[0],
        "out_width": after[1],
    }


def _write(network: Network, project: Mapping[str, Any]) -> None:
    """Write one project into its folder, which holds the test vectors; the working directory changes to it.

    hls4ml writes its output folder into the project, and a random stamp: the folder is ``.``, and the stamp
    is given.
    """
    backends: Any = import_module("hls4ml.backends")
    graph: Any = import_module("hls4ml.model.graph")
    os.chdir(project["folder"])
    layers, settings = layer_list(network)
    backend = backends.get_backend(project["backend"])
    config = backend.create_initial_config(io_type="io_parallel", **project["options"])
    config |= {
        "Backend": project["backend"],
        "OutputDir": ".",
        "ProjectName": PROJECT,
        "Stamp": project["stamp"],
        "InputData": INPUT_DATA,
        "OutputPredictions": OUTPUT_DATA,
        "HLSConfig": {
            "Model": {"Precision": {"default": "fixed<32,16>"}, "ReuseFactor": 1, "Strategy": "Latency"},
            "LayerName": settings,
        },
    }
    model = graph.ModelGraph.from_layer_list(config, layers)
    _require_reuse(model, settings)
    backend.writer.write_tar = lambda model: None
    backend.writer.write_hls(model)


def _require_reuse(model: Any, settings: Mapping[str, Attributes]) -> None:
    """Fail if hls4ml took another reuse factor than asked, which it only prints."""
    for node in model.get_layers():
        asked = settings.get(node.name, {}).get("ReuseFactor")
        if asked is not None and node.get_attr("reuse_factor") != asked:
            raise SystemExit(f"{node.name}: reuse factor {node.get_attr('reuse_factor')} instead of {asked}")


def main() -> None:
    """Write each project of the second argument for the network of the first."""
    network = Network.load(Path(sys.argv[1]))
    home = Path.cwd()
    for project in json.loads(sys.argv[2]):
        os.chdir(home)
        _write(network, project)


if __name__ == "__main__":
    main()
