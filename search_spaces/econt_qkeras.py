"""The study's quantised class, in the formats of QKeras: what ``qDenseCNN.py`` builds.

Formats are ``(total, integer)`` bits: a signed one has step ``2 ** (integer - total + 1)`` and range
``[-2 ** integer, 2 ** integer)``, an unsigned one step ``2 ** (integer - total)`` and range
``[0, 2 ** integer)``; both round half to even and saturate, as ``quantized_bits(alpha=1)`` and
``quantized_relu`` do. Weights and biases of a layer share a format.

============  ==================  ========================================================
what          format              of
============  ==================  ========================================================
input         signed, 3 integer   every pixel
weights       signed              all convolutions; all dense layers and the latent units
accumulator   unsigned, 3 integer the ReLU behind convolutions
latent        unsigned            the ReLU behind the latent units, and behind dense layers
============  ==================  ========================================================

Hidden ReLU. The study's own class has no activation between two convolutions or two dense layers, only one
ReLU behind the last convolution: its deeper encoders are linear inside. ``SPACE`` has a ReLU behind every
layer, as the float class and as the networks of KastnerRG, which differ from the study's where there is more
than one convolution or any hidden dense layer. ``LINEAR`` has the study's own. Where there is no convolution
neither has the ReLU of the accumulator, which would change no input: none is negative, and its step is finer.

Sources: ``qDenseCNN.py`` and ``networks.py`` of `fastmachinelearning/fastml-science`, folder
``sensor-data-compression``; ``hgcal_autoencoder`` of `KastnerRG/edge-nns` (both Apache-2.0).
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.fixedpoint import FixedPoint, IntArray
from codesign.hardware import Workload
from codesign.network import Layer, Network, ReLU, Shape
from codesign.space import Candidate, Definition, SearchSpace, Value, When, ordinal
from search_spaces import econt

__all__ = ["BASELINE", "DESIGNS", "LINEAR", "SPACE", "autoencoder", "build", "definition", "workload"]

INPUT_INTEGER = 3
ACCUMULATOR_INTEGER = 3
MOST_LINEAR = {"convolutions": (0, 1, 2), "dense_layers": (0, 1)}
"""Layers without a ReLU between them whose exact sums fit 48 bits, whatever the other parameters."""


def _space(name: str, shape: Shape) -> SearchSpace:
    convolved = (
        ordinal("conv_weight_bits", econt.BITS, default=5),
        ordinal("accumulator_bits", (8, 9, 10, 11, 12), default=11),
    )
    return SearchSpace(
        name,
        (
            ordinal("input_bits", (6, 7, 8, 9, 10, 11, 12), default=10),
            econt.convolutions(shape),
            When("convolutions", (1, 2, 3), convolved),
            econt.dense_layers(),
            ordinal("dense_weight_bits", econt.BITS, default=5),
            ordinal("weight_integer", (0, 1), default=1),
            ordinal("latent_bits", (*econt.LATENT_BITS.values(), 13, 16), default=9),
            ordinal("latent_integer", (1, 3), default=1),
        ),
    )


SPACE = _space("econt-qkeras", econt.INPUT_SHAPE)

BASELINE: Mapping[str, Value] = econt.BASELINE
"""``8x8_c8_S2_qK`` of the study: 5-bit weights."""

DESIGNS: Mapping[str, Mapping[str, Value]] = MappingProxyType(
    {
        "baseline": BASELINE,
        "small": {"input_bits": 10, "units_1": 16, "dense_weight_bits": 8, "latent_bits": 16}
        | {"latent_integer": 3},
        "medium": {**BASELINE, "input_bits": 11, "conv_weight_bits": 6, "dense_weight_bits": 6}
        | {"accumulator_bits": 12},
        "large": {"filters_1": 32, "kernel_1": 5, "stride_1": 2, "conv_weight_bits": 5}
        | {"dense_weight_bits": 7, "latent_bits": 13, "latent_integer": 3},
        "flight": {**BASELINE, "conv_weight_bits": 6, "dense_weight_bits": 6, "weight_integer": 0},
    }
)
"""Designs by name: the study's, the three of KastnerRG, and the weights of the flight chip (12,864 bits)."""


def build(candidate: Candidate) -> Network:
    """Autoencoder of a candidate of ``SPACE``, with a ReLU behind every layer; the encoder is its chip."""
    return autoencoder(candidate)


def autoencoder(
    candidate: Candidate, *, hidden_relu: bool = True, shape: Shape = econt.INPUT_SHAPE
) -> Network:
    """Encoder and decoder of a candidate.

    Parameters
    ----------
    candidate
        Of ``SPACE``.
    hidden_relu
        Whether every hidden layer has a ReLU; otherwise only the last convolution and the latent units have.
    shape
        Of the images.

    Raises
    ------
    NetworkError
        Without hidden ReLU, for so many and wide layers that an exact sum needs more than 48 bits.
    """
    layers = econt.encoder_layers(candidate, _formats)
    if not hidden_relu:
        layers = _linear(candidate, layers)
    source = _signed(int(candidate["input_bits"]), INPUT_INTEGER)
    return econt.with_decoder(Network(shape, layers, source), candidate)


def definition(name: str, shape: Shape, *, hidden_relu: bool = True) -> Definition:
    """The class on images of a shape, as a space with its networks.

    Without hidden ReLU, the space has no more layers than exact sums allow, and its ReLU behind the
    convolutions follows their last pooling.
    """
    space = _space(name, shape)
    make = partial(autoencoder, hidden_relu=hidden_relu, shape=shape)
    if hidden_relu:
        return Definition(
            space, make, BASELINE, partial(econt.workload_of, space, widths=_widths, shape=shape)
        )
    return Definition(replace(space.restricted(**MOST_LINEAR), name=name), make, BASELINE)


def workload(codes: NDArray[np.int16]) -> Workload:
    """Workload of many candidates of ``SPACE`` at once; as ``search_spaces.econt.workload``."""
    return econt.workload_of(SPACE, codes, _widths, econt.INPUT_SHAPE)


def _linear(candidate: Candidate, layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """Encoder with no ReLU but that behind the convolutions, after their pooling, and the latent one."""
    kept = [layer for layer in layers if not isinstance(layer, ReLU)]
    count = int(candidate["convolutions"])
    if count:
        rounded = _formats(candidate, f"conv_{count}")[1]
        flatten = next(index for index, layer in enumerate(kept) if layer.name == "flatten")
        kept.insert(flatten, ReLU(f"conv_{count}_relu", rounded))
    return (*kept, layers[-1])


def _formats(candidate: Candidate, layer: str) -> tuple[FixedPoint, FixedPoint]:
    kind = "conv" if layer.startswith("conv") else "dense"
    weight = _signed(int(candidate[f"{kind}_weight_bits"]), int(candidate["weight_integer"]))
    if kind == "conv":
        return weight, _unsigned(int(candidate["accumulator_bits"]), ACCUMULATOR_INTEGER)
    return weight, _unsigned(int(candidate["latent_bits"]), int(candidate["latent_integer"]))


def _signed(total: int, integer: int) -> FixedPoint:
    return FixedPoint(integer, total - 1 - integer)


def _unsigned(total: int, integer: int) -> FixedPoint:
    return FixedPoint(integer, total - integer, signed=False)


def _widths(
    space: SearchSpace, codes: NDArray[np.int16], fan_in: IntArray, here: NDArray[np.bool_]
) -> dict[str, NDArray[Any]]:
    """Fields of ``Workload`` that are widths: see the table of the module."""
    dense = np.arange(here.shape[1]) >= econt.MOST_LAYERS

    def each(convolutions: IntArray, others: IntArray) -> IntArray:
        """A column of convolutions and one of the other layers, as ``(n, 7)``."""
        return np.where(dense, others[:, None], convolutions[:, None]) * here

    column = {name: space.values(codes, name).astype(np.int64) for name in space.names}
    inputs, accumulator, latent = (column[name] for name in ("input_bits", "accumulator_bits", "latent_bits"))
    weight_bits = each(column["conv_weight_bits"], column["dense_weight_bits"])
    activation_bits = each(accumulator, latent)
    largest = each((1 << accumulator) - 1, (1 << latent) - 1)
    unit = each(
        1 << np.maximum(accumulator - ACCUMULATOR_INTEGER, 0), 1 << (latent - column["latent_integer"])
    )
    first = (inputs, 1 << (inputs - 1), 1 << (inputs - 1 - INPUT_INTEGER))
    input_bits, largest, unit = (
        econt.behind_previous(before, behind, here) * here
        for before, behind in zip(first, (activation_bits, largest, unit), strict=True)
    )
    return {
        "network_input_bits": inputs,
        "weight_bits": weight_bits,
        "bias_bits": weight_bits,
        "input_bits": input_bits,
        "accumulator_bits": econt.accumulator_bits(fan_in, weight_bits, largest, unit) * here,
        "activation_bits": activation_bits,
        "floating": np.zeros_like(here),
    }


LINEAR = definition("econt-qkeras-linear", econt.INPUT_SHAPE, hidden_relu=False)
"""The study's own class: no ReLU between hidden layers."""
