"""The ECON-T autoencoder: one conditional space of quantised encoders.

Zero to three convolutions, zero to three dense layers and the sixteen latent units; each layer has its own
parameters, only where it exists, and its own bit widths. The encoder is the chip. The decoder is no mirror
image: as in the study it repeats the encoder's layers *in encoder order*, and it stays in float.

Names are those of the study's slides, counted from 1. Sources: the study's ``denseCNN.py`` and
``qDenseCNN.py`` (fastmachinelearning/fastml-science, sensor-data-compression).

Images are 8x8 with one channel; ``search_spaces.econt_layouts`` has the same spaces on other layouts.

Formats. Weights and biases are signed with range [-1, 1), as in the flight chip (sign and 5 fraction bits).
Inputs, activations and latent codes are unsigned with range [0, 2), as the study's latent code; they
saturate, and activations round half up. Between layers the study's quantised class has no activation; here
every layer has its ReLU, as in the float class. The study's own formats and that class are in
``search_spaces.econt_qkeras``.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.errors import SpaceError
from codesign.fixedpoint import FixedPoint, IntArray
from codesign.hardware import Workload
from codesign.hardware.workload import FLOAT_BITS, taps_on_image
from codesign.network import (
    Conditions,
    Conv,
    ConvTranspose,
    Dense,
    Flatten,
    Layer,
    MaxPool,
    Network,
    ReLU,
    Reshape,
    Shape,
    Sigmoid,
    Upsample,
)
from codesign.space import (
    Candidate,
    Definition,
    Limit,
    Parameter,
    Repeat,
    SearchSpace,
    Value,
    categorical,
    ordinal,
)

__all__ = ["ARCHITECTURE", "BASELINE", "LATENT_BITS", "SPACE", "build", "restricted", "workload"]

INPUT_SHAPE = (8, 8, 1)
LATENT_UNITS = 16
MOST_LAYERS = 3
POOL_SIZE = 2
LATENT_BITS: Mapping[int, int] = {2: 3, 3: 5, 4: 7, 5: 9}
"""Bits of each latent unit, by the number of links that read a wafer out (more than 5 links: as 5)."""
TIMES = ("never", "once", "twice", "three times")


def _reduction_log2(layer: Mapping[str, Value]) -> int:
    """Halvings of the image by one convolution layer."""
    return int(layer["stride"]).bit_length() - 1 + int(layer["pooling"])


def decodable(shape: Shape) -> Limit:
    """What the decoder can undo: strides and poolings that divide the size, for it multiplies by each."""
    size = shape[0]
    most = (size & -size).bit_length() - 1
    return Limit(
        reason=f"strides and poolings halve the {size}x{size} image more than {TIMES[most]}, "
        "which the decoder cannot undo",
        contribution=_reduction_log2,
        at_most=most,
    )


CONVOLUTION: tuple[Parameter, ...] = (
    ordinal("filters", (2, 4, 8, 16, 32, 64), default=8),
    ordinal("kernel", (1, 3, 5), default=3),
    categorical("pooling", (False, True)),
    ordinal("stride", (1, 2, 4)),
)
DENSE: tuple[Parameter, ...] = (ordinal("units", (16, 32, 64)),)
BITS = (3, 4, 5, 6, 7, 8)


def convolutions(shape: Shape, *more: Parameter) -> Repeat:
    """Zero to three convolutions on images of this shape; ``more`` parameters of each."""
    return Repeat("convolutions", (*CONVOLUTION, *more), 0, MOST_LAYERS, limits=(decodable(shape),), absent=0)


def dense_layers(*more: Parameter) -> Repeat:
    """Zero to three dense layers; ``more`` parameters of each."""
    return Repeat("dense_layers", (*DENSE, *more), 0, MOST_LAYERS, absent=0)


def architecture(name: str, shape: Shape) -> SearchSpace:
    """The space of float networks on images of this shape."""
    return SearchSpace(name, (convolutions(shape), dense_layers()))


def fixed_point(name: str, shape: Shape) -> SearchSpace:
    """The space of networks with the formats of this module, on images of this shape."""
    return SearchSpace(
        name,
        (
            ordinal("input_bits", (4, 5, 6, 7, 8, 9, 10), default=8),
            convolutions(
                shape,
                ordinal("conv_weight_bits", BITS, default=6),
                ordinal("conv_activation_bits", BITS, default=8),
            ),
            dense_layers(
                ordinal("dense_weight_bits", BITS, default=6),
                ordinal("dense_activation_bits", BITS, default=8),
            ),
            ordinal("latent_weight_bits", BITS, default=6),
            ordinal("latent_bits", tuple(LATENT_BITS.values()), default=9),
        ),
    )


ARCHITECTURE = architecture("econt-architecture", INPUT_SHAPE)
SPACE = fixed_point("econt", INPUT_SHAPE)

LAYER_NAMES = (
    *(f"{kind}_{i}" for kind in ("conv", "dense") for i in range(1, MOST_LAYERS + 1)),
    "latent",
)

BASELINE: Mapping[str, Value] = {"filters_1": 8, "kernel_1": 3, "pooling_1": False, "stride_1": 2}


def build(candidate: Candidate) -> Network:
    """Autoencoder of a candidate of ``SPACE``; the encoder is its chip part."""
    return autoencoder(candidate, quantised=True)


def autoencoder(candidate: Candidate, *, quantised: bool, shape: Shape = INPUT_SHAPE) -> Network:
    """Encoder and decoder of a candidate.

    Parameters
    ----------
    candidate
        Of ``SPACE``, or of ``ARCHITECTURE`` if not quantised.
    quantised
        Whether the encoder has fixed-point formats.
    shape
        Of the images.
    """
    return with_decoder(encoder(candidate, quantised=quantised, shape=shape), candidate)


def encoder(candidate: Candidate, *, quantised: bool, shape: Shape = INPUT_SHAPE) -> Network:
    """Encoder of a candidate alone; it need not be one that a decoder can follow."""
    formats = _fixed_formats if quantised else _no_formats
    source = _unsigned(candidate, "input_bits") if quantised else None
    return Network(shape, encoder_layers(candidate, formats), source)


def with_decoder(chip: Network, candidate: Candidate, conditions: int = 0) -> Network:
    """The encoder of a candidate, which is the chip, with the decoder that the study gives it.

    With ``conditions``, so many values that are known of a module come to the decoder beside the latent ones.
    """
    image = chip.shapes[next(i for i, layer in enumerate(chip.layers) if isinstance(layer, Flatten))]
    decoder = _decoder(candidate, image, chip.input_shape[2])
    if conditions:
        decoder = (Conditions("decoder_conditions", conditions), *decoder)
    return Network(chip.input_shape, (*chip.layers, *decoder), chip.input_format, len(chip.layers))


def restricted(**choices: Sequence[Value]) -> Definition:
    """The space with fewer values, as ``SearchSpace.restricted`` takes them; ready for ``codesign.run``.

    Examples
    --------
    >>> restricted(convolutions=(0, 1), dense_layers=(0,), filters=(4, 8)).SPACE.columns[2].parameter.values
    (4, 8)
    """
    space = SPACE.restricted(**choices)
    try:
        space.candidate(BASELINE)
        baseline: Mapping[str, Value] | None = BASELINE
    except SpaceError:
        baseline = None
    return Definition(space, build, baseline, partial(encoder_workload, space, quantised=True))


def workload(codes: NDArray[np.int16]) -> Workload:
    """Workload of many candidates of ``SPACE`` at once, without building their networks.

    Parameters
    ----------
    codes
        Shape ``(n, d)``, rows of ``SPACE``.

    Returns
    -------
    workload
        Seven columns: three convolutions, three dense layers, the latent units. Where a layer exists, equal
        to ``Workload.of`` the networks; where it does not, zero.
    """
    return encoder_workload(SPACE, codes, quantised=True)


def encoder_workload(
    space: SearchSpace, codes: NDArray[np.int16], *, quantised: bool, shape: Shape = INPUT_SHAPE
) -> Workload:
    """Workload of the encoders of candidates: of ``SPACE``, or of ``ARCHITECTURE`` if not quantised."""
    return workload_of(space, codes, _fixed_point_widths if quantised else _float_widths, shape)


def workload_of(space: SearchSpace, codes: NDArray[np.int16], widths: "Widths", shape: Shape) -> Workload:
    """Workload of the encoders of candidates on images of a shape, with widths by a rule of the class."""
    here = _existing(space, codes)  # (n, 7)
    filters, kernels, strides, pooling = (
        table(space, codes, name) for name in ("filters", "kernel", "stride", "pooling")
    )
    reduction = np.cumprod(np.maximum(strides, 1) * (1 + pooling), axis=1)
    convolved, left = (-(-shape[0] // by) for by in (reduction // (1 + pooling), reduction))
    latent = np.full((len(codes), 1), LATENT_UNITS)
    dense = np.concatenate([table(space, codes, "units"), latent], axis=1)
    units = np.concatenate([filters, dense], axis=1)
    outputs = np.concatenate([left**2 * filters, dense], axis=1)
    taps = kernels**2 * behind_previous(shape[2], units, here)[:, :MOST_LAYERS]
    fan_in = np.concatenate(
        [taps, behind_previous(int(np.prod(shape)), outputs, here)[:, MOST_LAYERS:]], axis=1
    )
    sums = np.concatenate([convolved**2 * filters, dense], axis=1)
    no_pool = np.zeros_like(dense)
    size = behind_previous(shape[0], left, here[:, :MOST_LAYERS])
    channels = behind_previous(shape[2], units, here)[:, :MOST_LAYERS]
    total = np.maximum((convolved - 1) * np.maximum(strides, 1) + kernels - size, 0)  # "same" padding
    along = taps_on_image(size, kernels, strides, total // 2, convolved)
    products = np.concatenate([along**2 * channels * filters, fan_in[:, MOST_LAYERS:] * dense], axis=1)
    one = np.ones_like(dense)
    return Workload(
        names=LAYER_NAMES,
        inputs=np.full(len(codes), int(np.prod(shape))),
        sums=sums,
        fan_in=fan_in * here,
        products=products * here,
        units=units,
        pe=units,
        simd=fan_in * here,
        height=np.concatenate([size, one], axis=1) * here,
        width=np.concatenate([size, one], axis=1) * here,
        channels=np.concatenate([channels, fan_in[:, MOST_LAYERS:]], axis=1) * here,
        kernel=np.concatenate([kernels, one], axis=1) * here,
        stride=np.concatenate([strides, one], axis=1) * here,
        weights=fan_in * units,
        biases=units,
        activations=sums,
        pooled=np.concatenate([outputs[:, :MOST_LAYERS] * pooling, no_pool], axis=1),
        pool_size=np.concatenate([POOL_SIZE**2 * pooling, no_pool], axis=1),
        outputs=outputs,
        **widths(space, codes, fan_in, here),
    )


Widths = Callable[[SearchSpace, NDArray[np.int16], IntArray, NDArray[np.bool_]], dict[str, NDArray[Any]]]
"""From space, codes, products of each sum, and which layers there are, to the fields that are widths."""


def _float_widths(
    space: SearchSpace, codes: NDArray[np.int16], fan_in: IntArray, here: NDArray[np.bool_]
) -> dict[str, NDArray[Any]]:
    """Fields of ``Workload`` that are widths, for layers in float."""
    names = ("weight_bits", "bias_bits", "input_bits", "accumulator_bits", "activation_bits")
    inputs = np.full(len(here), FLOAT_BITS)
    return {"network_input_bits": inputs, **dict.fromkeys(names, FLOAT_BITS * here), "floating": here}


def _fixed_point_widths(
    space: SearchSpace, codes: NDArray[np.int16], fan_in: IntArray, here: NDArray[np.bool_]
) -> dict[str, NDArray[Any]]:
    """Fields of ``Workload`` that are widths, for layers in fixed point."""
    network_input_bits = space.values(codes, "input_bits").astype(np.int64)
    weight_bits = bits_of_layers(space, codes, "weight_bits", "latent_weight_bits")
    activation_bits = bits_of_layers(space, codes, "activation_bits", "latent_bits")
    input_bits = behind_previous(network_input_bits, activation_bits, here) * here
    largest, unit = (1 << input_bits) - 1, 1 << np.maximum(input_bits - 1, 0)
    return {
        "network_input_bits": network_input_bits,
        "weight_bits": weight_bits,
        "bias_bits": weight_bits,
        "input_bits": input_bits,
        "accumulator_bits": accumulator_bits(fan_in, weight_bits, largest, unit) * here,
        "activation_bits": activation_bits,
        "floating": np.zeros_like(here),
    }


def _existing(space: SearchSpace, codes: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Which of ``LAYER_NAMES`` each candidate has, ``(n, 7)``."""
    numbers = np.arange(1, MOST_LAYERS + 1)
    counts = (space.values(codes, name)[:, None] for name in ("convolutions", "dense_layers"))
    return np.concatenate([*(numbers <= count for count in counts), np.ones((len(codes), 1), bool)], axis=1)


def table(space: SearchSpace, codes: NDArray[np.int16], name: str) -> IntArray:
    """Values of a parameter in each layer of its group, ``(n, 3)``; 0 where the layer is not there."""
    columns = [
        space.values(codes, column) if column in space.names else np.zeros(len(codes))
        for column in (f"{name}_{i}" for i in range(1, MOST_LAYERS + 1))
    ]
    return np.stack(columns, axis=1).astype(np.int64)


def bits_of_layers(space: SearchSpace, codes: NDArray[np.int16], name: str, latent: str) -> IntArray:
    """A width in each layer, ``(n, 7)``; 0 where the layer is not there."""
    groups = [table(space, codes, f"{kind}_{name}") for kind in ("conv", "dense")]
    return np.concatenate([*groups, space.values(codes, latent)[:, None]], axis=1)


def behind_previous(first: int | IntArray, behind: IntArray, here: NDArray[np.bool_]) -> IntArray:
    """What stands behind the layer before each, ``(n, 7)``: ``first`` before any layer there is."""
    last = np.maximum.accumulate(np.where(here, np.arange(1, here.shape[1] + 1), 0), axis=1)
    last[:, 1:], last[:, 0] = last[:, :-1].copy(), 0
    start = np.broadcast_to(first, len(behind))[:, None]
    return np.take_along_axis(np.concatenate([start, behind], axis=1), last, axis=1)


def accumulator_bits(fan_in: IntArray, weight_bits: IntArray, largest: IntArray, unit: IntArray) -> IntArray:
    """Widths of the exact sums, by the rule of ``Network``: signed, and no weights can overflow them.

    Parameters
    ----------
    fan_in, weight_bits
        Products of each sum; bits of each weight, and of the bias, which has the same format.
    largest, unit
        Codes of the inputs: the largest magnitude, and that of the value 1.
    """
    bound = (1 << np.maximum(weight_bits - 1, 0)) * (fan_in * largest + unit)
    width: IntArray = 1 + np.frexp(bound)[1].astype(np.int64)
    return width


Formats = Callable[[Candidate, str], tuple[FixedPoint | None, FixedPoint | None]]
"""From a candidate and the name of a layer to the formats of its weights and of its activation."""


def encoder_layers(candidate: Candidate, formats: Formats) -> tuple[Layer, ...]:
    """Layers of the encoder, each convolution and dense layer with its ReLU."""
    layers: list[Layer] = []
    for i in numbers(candidate, "convolutions"):
        filters, kernel, stride = (int(candidate[f"{name}_{i}"]) for name in ("filters", "kernel", "stride"))
        fixed, rounded = formats(candidate, f"conv_{i}")
        layers.append(Conv(f"conv_{i}", filters, weight=fixed, bias=fixed, kernel=kernel, stride=stride))
        layers.append(ReLU(f"conv_{i}_relu", rounded))
        if candidate[f"pooling_{i}"]:
            layers.append(MaxPool(f"pool_{i}", POOL_SIZE))
    layers.append(Flatten("flatten"))
    units = {f"dense_{i}": int(candidate[f"units_{i}"]) for i in numbers(candidate, "dense_layers")}
    for name, count in {**units, "latent": LATENT_UNITS}.items():
        fixed, rounded = formats(candidate, name)
        layers += [Dense(name, count, weight=fixed, bias=fixed), ReLU(f"{name}_relu", rounded)]
    return tuple(layers)


def _no_formats(candidate: Candidate, layer: str) -> tuple[None, None]:
    return None, None


def _fixed_formats(candidate: Candidate, layer: str) -> tuple[FixedPoint, FixedPoint]:
    if layer == "latent":
        return _signed(candidate, "latent_weight_bits"), _unsigned(candidate, "latent_bits")
    kind, number = layer.split("_")
    weight, activation = (f"{kind}_{what}_bits_{number}" for what in ("weight", "activation"))
    return _signed(candidate, weight), _unsigned(candidate, activation)


def _decoder(candidate: Candidate, image: Shape, channels: int) -> tuple[Layer, ...]:
    """Dense and convolution layers in encoder order, then the channels with the first layer's kernel."""
    layers: list[Layer] = []
    for i in numbers(candidate, "dense_layers"):
        layers += [Dense(f"decoder_dense_{i}", int(candidate[f"units_{i}"])), ReLU(f"decoder_dense_{i}_relu")]
    layers.append(Dense("decoder_image", image[0] * image[1] * image[2]))
    layers += [ReLU("decoder_image_relu"), Reshape("decoder_reshape", image)]
    for i in numbers(candidate, "convolutions"):
        if candidate[f"pooling_{i}"]:
            layers.append(Upsample(f"decoder_upsample_{i}"))
        filters, kernel, stride = (int(candidate[f"{name}_{i}"]) for name in ("filters", "kernel", "stride"))
        layers.append(ConvTranspose(f"decoder_conv_{i}", filters, kernel=kernel, stride=stride))
        layers.append(ReLU(f"decoder_conv_{i}_relu"))
    kernel = int(candidate.get("kernel_1", 3))
    layers += [ConvTranspose("decoder_output", channels, kernel=kernel), Sigmoid("decoder_sigmoid")]
    return tuple(layers)


def numbers(candidate: Candidate, group: str) -> range:
    """Numbers of the layers of a group."""
    return range(1, int(candidate[group]) + 1)


def _signed(candidate: Candidate, name: str) -> FixedPoint:
    return FixedPoint(integer_bits=0, fraction_bits=int(candidate[name]) - 1)


def _unsigned(candidate: Candidate, name: str) -> FixedPoint:
    fraction_bits = int(candidate[name]) - 1
    if name == "input_bits":
        return FixedPoint(1, fraction_bits, signed=False, rounding="half_even")
    return FixedPoint(1, fraction_bits, signed=False, rounding="half_up")
