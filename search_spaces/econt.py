"""The ECON-T autoencoder: one conditional space of quantised encoders.

Zero to three convolutions, zero to three dense layers and the sixteen latent units; each layer has its own
parameters, only where it exists, and its own bit widths. The encoder is the chip. The decoder is no mirror
image: as in the study it repeats the encoder's layers *in encoder order*, and it stays in float.

Names are those of the study's slides, counted from 1. Sources: the study's ``denseCNN.py`` and
``qDenseCNN.py`` (fastmachinelearning/fastml-science, sensor-data-compression).

Formats. Weights and biases are signed with range [-1, 1), as in the flight chip (sign and 5 fraction bits).
Inputs, activations and latent codes are unsigned with range [0, 2), as the study's latent code; they
saturate, and activations round half up. Between layers the study's quantised class has no activation; here
every layer has its ReLU, as in the float class.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from codesign.errors import SpaceError
from codesign.fixedpoint import FixedPoint, IntArray
from codesign.hardware import Workload
from codesign.hardware.workload import FLOAT_BITS, taps_on_image
from codesign.network import (
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

__all__ = ["ARCHITECTURE", "BASELINE", "SPACE", "build", "restricted", "workload"]

INPUT_SHAPE = (8, 8, 1)
LATENT_UNITS = 16
MOST_LAYERS = 3
POOL_SIZE = 2
LARGEST_REDUCTION_LOG2 = 3


def _reduction_log2(layer: Mapping[str, Value]) -> int:
    """Halvings of the image by one convolution layer."""
    return int(layer["stride"]).bit_length() - 1 + int(layer["pooling"])


DECODABLE = Limit(
    reason="strides and poolings halve the 8x8 image more than three times, which the decoder cannot undo",
    contribution=_reduction_log2,
    at_most=LARGEST_REDUCTION_LOG2,
)
CONVOLUTION: tuple[Parameter, ...] = (
    ordinal("filters", (2, 4, 8, 16, 32, 64), default=8),
    ordinal("kernel", (1, 3, 5), default=3),
    categorical("pooling", (False, True)),
    ordinal("stride", (1, 2, 4)),
)
DENSE: tuple[Parameter, ...] = (ordinal("units", (16, 32, 64)),)
BITS = (3, 4, 5, 6, 7, 8)

ARCHITECTURE = SearchSpace(
    "econt-architecture",
    (
        Repeat("convolutions", CONVOLUTION, 0, MOST_LAYERS, limits=(DECODABLE,), absent=0),
        Repeat("dense_layers", DENSE, 0, MOST_LAYERS, absent=0),
    ),
)

SPACE = SearchSpace(
    "econt",
    (
        ordinal("input_bits", (4, 5, 6, 7, 8, 9, 10), default=8),
        Repeat(
            "convolutions",
            (
                *CONVOLUTION,
                ordinal("conv_weight_bits", BITS, default=6),
                ordinal("conv_activation_bits", BITS, default=8),
            ),
            0,
            MOST_LAYERS,
            limits=(DECODABLE,),
            absent=0,
        ),
        Repeat(
            "dense_layers",
            (
                *DENSE,
                ordinal("dense_weight_bits", BITS, default=6),
                ordinal("dense_activation_bits", BITS, default=8),
            ),
            0,
            MOST_LAYERS,
            absent=0,
        ),
        ordinal("latent_weight_bits", BITS, default=6),
        ordinal("latent_bits", (3, 5, 7, 9), default=9),
    ),
)

LAYER_NAMES = (
    *(f"{kind}_{i}" for kind in ("conv", "dense") for i in range(1, MOST_LAYERS + 1)),
    "latent",
)

BASELINE: Mapping[str, Value] = {"filters_1": 8, "kernel_1": 3, "pooling_1": False, "stride_1": 2}


def build(candidate: Candidate) -> Network:
    """Autoencoder of a candidate of ``SPACE``; the encoder is its chip part."""
    return autoencoder(candidate, quantised=True)


def autoencoder(candidate: Candidate, *, quantised: bool) -> Network:
    """Encoder and decoder of a candidate.

    Parameters
    ----------
    candidate
        Of ``SPACE``, or of ``ARCHITECTURE`` if not quantised.
    quantised
        Whether the encoder has fixed-point formats.
    """
    encoder = _encoder(candidate, quantised)
    source = _unsigned(candidate, "input_bits") if quantised else None
    shape = Network(INPUT_SHAPE, encoder, source).shapes[_image_layers(encoder)]
    return Network(INPUT_SHAPE, (*encoder, *_decoder(candidate, shape)), source, len(encoder))


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


def encoder_workload(space: SearchSpace, codes: NDArray[np.int16], *, quantised: bool) -> Workload:
    """Workload of the encoders of candidates: of ``SPACE``, or of ``ARCHITECTURE`` if not quantised."""
    here = _existing(space, codes)  # (n, 7)
    filters, kernels, strides, pooling = (
        _table(space, codes, name) for name in ("filters", "kernel", "stride", "pooling")
    )
    reduction = np.cumprod(np.maximum(strides, 1) * (1 + pooling), axis=1)
    convolved, left = (-(-INPUT_SHAPE[0] // by) for by in (reduction // (1 + pooling), reduction))
    latent = np.full((len(codes), 1), LATENT_UNITS)
    dense = np.concatenate([_table(space, codes, "units"), latent], axis=1)
    units = np.concatenate([filters, dense], axis=1)
    outputs = np.concatenate([left**2 * filters, dense], axis=1)
    taps = kernels**2 * _behind_previous(INPUT_SHAPE[2], units, here)[:, :MOST_LAYERS]
    fan_in = np.concatenate(
        [taps, _behind_previous(INPUT_SHAPE[0] ** 2, outputs, here)[:, MOST_LAYERS:]], axis=1
    )
    sums = np.concatenate([convolved**2 * filters, dense], axis=1)
    no_pool = np.zeros_like(dense)
    size = _behind_previous(INPUT_SHAPE[0], left, here[:, :MOST_LAYERS])
    channels = _behind_previous(INPUT_SHAPE[2], units, here)[:, :MOST_LAYERS]
    total = np.maximum((convolved - 1) * np.maximum(strides, 1) + kernels - size, 0)  # "same" padding
    along = taps_on_image(size, kernels, strides, total // 2, convolved)
    products = np.concatenate([along**2 * channels * filters, fan_in[:, MOST_LAYERS:] * dense], axis=1)
    one = np.ones_like(dense)
    return Workload(
        names=LAYER_NAMES,
        inputs=np.full(len(codes), int(np.prod(INPUT_SHAPE))),
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
        floating=here & (not quantised),
        **(_fixed_point_widths(space, codes, fan_in, here) if quantised else _float_widths(here)),
    )


def _float_widths(here: NDArray[np.bool_]) -> dict[str, IntArray]:
    """Fields of ``Workload`` that are widths, for layers in float."""
    names = ("weight_bits", "bias_bits", "input_bits", "accumulator_bits", "activation_bits")
    inputs = np.full(len(here), FLOAT_BITS)
    return {"network_input_bits": inputs, **dict.fromkeys(names, FLOAT_BITS * here)}


def _fixed_point_widths(
    space: SearchSpace, codes: NDArray[np.int16], fan_in: IntArray, here: NDArray[np.bool_]
) -> dict[str, IntArray]:
    """Fields of ``Workload`` that are widths, for layers in fixed point."""
    network_input_bits = space.values(codes, "input_bits").astype(np.int64)
    weight_bits = _bits(space, codes, "weight_bits", "latent_weight_bits")
    activation_bits = _bits(space, codes, "activation_bits", "latent_bits")
    input_bits = _behind_previous(network_input_bits, activation_bits, here) * here
    return {
        "network_input_bits": network_input_bits,
        "weight_bits": weight_bits,
        "bias_bits": weight_bits,
        "input_bits": input_bits,
        "accumulator_bits": _accumulator_bits(fan_in, weight_bits, input_bits) * here,
        "activation_bits": activation_bits,
    }


def _existing(space: SearchSpace, codes: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Which of ``LAYER_NAMES`` each candidate has, ``(n, 7)``."""
    numbers = np.arange(1, MOST_LAYERS + 1)
    counts = (space.values(codes, name)[:, None] for name in ("convolutions", "dense_layers"))
    return np.concatenate([*(numbers <= count for count in counts), np.ones((len(codes), 1), bool)], axis=1)


def _table(space: SearchSpace, codes: NDArray[np.int16], name: str) -> IntArray:
    """Values of a parameter in each layer of its group, ``(n, 3)``; 0 where the layer is not there."""
    columns = [
        space.values(codes, column) if column in space.names else np.zeros(len(codes))
        for column in (f"{name}_{i}" for i in range(1, MOST_LAYERS + 1))
    ]
    return np.stack(columns, axis=1).astype(np.int64)


def _bits(space: SearchSpace, codes: NDArray[np.int16], name: str, latent: str) -> IntArray:
    """A width in each layer, ``(n, 7)``; 0 where the layer is not there."""
    groups = [_table(space, codes, f"{kind}_{name}") for kind in ("conv", "dense")]
    return np.concatenate([*groups, space.values(codes, latent)[:, None]], axis=1)


def _behind_previous(first: int | IntArray, behind: IntArray, here: NDArray[np.bool_]) -> IntArray:
    """What stands behind the layer before each, ``(n, 7)``: ``first`` before any layer there is."""
    last = np.maximum.accumulate(np.where(here, np.arange(1, here.shape[1] + 1), 0), axis=1)
    last[:, 1:], last[:, 0] = last[:, :-1].copy(), 0
    start = np.broadcast_to(first, len(behind))[:, None]
    return np.take_along_axis(np.concatenate([start, behind], axis=1), last, axis=1)


def _accumulator_bits(fan_in: IntArray, weight_bits: IntArray, input_bits: IntArray) -> IntArray:
    """Widths of the exact sums, by the rule of ``Network``: signed, and no weights can overflow them."""
    largest_weight, unit = 1 << np.maximum(weight_bits - 1, 0), 1 << np.maximum(input_bits - 1, 0)
    bound = largest_weight * (fan_in * (2 * unit - 1) + unit)
    width: IntArray = 1 + np.frexp(bound)[1].astype(np.int64)
    return width


def _encoder(candidate: Candidate, quantised: bool) -> tuple[Layer, ...]:
    layers: list[Layer] = []
    for i in _numbers(candidate, "convolutions"):
        fixed = _signed(candidate, f"conv_weight_bits_{i}") if quantised else None
        rounded = _unsigned(candidate, f"conv_activation_bits_{i}") if quantised else None
        filters, kernel, stride = (int(candidate[f"{name}_{i}"]) for name in ("filters", "kernel", "stride"))
        layers.append(Conv(f"conv_{i}", filters, weight=fixed, bias=fixed, kernel=kernel, stride=stride))
        layers.append(ReLU(f"conv_{i}_relu", rounded))
        if candidate[f"pooling_{i}"]:
            layers.append(MaxPool(f"pool_{i}", POOL_SIZE))
    layers.append(Flatten("flatten"))
    for i in _numbers(candidate, "dense_layers"):
        fixed = _signed(candidate, f"dense_weight_bits_{i}") if quantised else None
        rounded = _unsigned(candidate, f"dense_activation_bits_{i}") if quantised else None
        layers.append(Dense(f"dense_{i}", int(candidate[f"units_{i}"]), weight=fixed, bias=fixed))
        layers.append(ReLU(f"dense_{i}_relu", rounded))
    fixed = _signed(candidate, "latent_weight_bits") if quantised else None
    rounded = _unsigned(candidate, "latent_bits") if quantised else None
    layers.append(Dense("latent", LATENT_UNITS, weight=fixed, bias=fixed))
    layers.append(ReLU("latent_relu", rounded))
    return tuple(layers)


def _decoder(candidate: Candidate, image: Shape) -> tuple[Layer, ...]:
    """Dense and convolution layers in encoder order, then one channel with the first layer's kernel."""
    layers: list[Layer] = []
    for i in _numbers(candidate, "dense_layers"):
        layers += [Dense(f"decoder_dense_{i}", int(candidate[f"units_{i}"])), ReLU(f"decoder_dense_{i}_relu")]
    layers.append(Dense("decoder_image", image[0] * image[1] * image[2]))
    layers += [ReLU("decoder_image_relu"), Reshape("decoder_reshape", image)]
    for i in _numbers(candidate, "convolutions"):
        if candidate[f"pooling_{i}"]:
            layers.append(Upsample(f"decoder_upsample_{i}"))
        filters, kernel, stride = (int(candidate[f"{name}_{i}"]) for name in ("filters", "kernel", "stride"))
        layers.append(ConvTranspose(f"decoder_conv_{i}", filters, kernel=kernel, stride=stride))
        layers.append(ReLU(f"decoder_conv_{i}_relu"))
    kernel = int(candidate.get("kernel_1", 3))
    layers += [ConvTranspose("decoder_output", 1, kernel=kernel), Sigmoid("decoder_sigmoid")]
    return tuple(layers)


def _image_layers(encoder: tuple[Layer, ...]) -> int:
    """Index of the edge that holds the encoder's last image."""
    return next(index for index, layer in enumerate(encoder) if isinstance(layer, Flatten))


def _numbers(candidate: Candidate, group: str) -> range:
    return range(1, int(candidate[group]) + 1)


def _signed(candidate: Candidate, name: str) -> FixedPoint:
    return FixedPoint(integer_bits=0, fraction_bits=int(candidate[name]) - 1)


def _unsigned(candidate: Candidate, name: str) -> FixedPoint:
    fraction_bits = int(candidate[name]) - 1
    if name == "input_bits":
        return FixedPoint(1, fraction_bits, signed=False, rounding="half_even")
    return FixedPoint(1, fraction_bits, signed=False, rounding="half_up")
