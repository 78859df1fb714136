"""What a device has to compute, as arrays: one row a network, one column a convolution or dense layer."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import prod

import numpy as np
from numpy.typing import NDArray

from codesign.errors import NetworkError, UnsupportedLayerError
from codesign.fixedpoint import FixedPoint
from codesign.network import Conv, Dense, Flatten, Folding, MaxPool, Network, ReLU, Shape, Thresholds

__all__ = ["FLOAT_BITS", "Workload", "effective_bops", "taps_on_image"]

Counts = NDArray[np.int64]
FLOAT_BITS = 32
POOL_OPERATIONS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Workload:
    """The work of ``n`` networks with up to ``m`` convolution or dense layers each.

    All arrays but ``inputs`` and ``network_input_bits`` have shape ``(n, m)``; a layer that does not exist is
    a column of zeros. A float layer has 32-bit values and ``floating`` set.

    Parameters
    ----------
    names
        Names of the ``m`` columns.
    inputs, network_input_bits
        Shape ``(n,)``: values of one input, and bits of each.
    sums
        Outputs of the layer: output pixels times units.
    fan_in
        Products in each sum, padding counted.
    products
        Products of a weight and an input on the image, of all sums: those with padding are none.
    units
        Filters of a convolution, units of a dense layer: ``sums`` is output pixels times units.
    pe, simd
        Units, and products of each, that are computed at a time: of a layer that is not folded, ``units`` and
        ``fan_in``.
    height, width, channels, kernel, stride
        Of the image that comes in, and how the kernel goes over it; a dense layer is a kernel of 1 on one
        pixel of ``fan_in`` channels.
    weights, biases
        Parameters of the layer; where the activation is one of thresholds, ``biases`` are these.
    weight_bits, bias_bits, input_bits
        Widths of what is multiplied and added.
    accumulator_bits
        Width of the exact sum.
    activation_bits
        Width after the activation; of the sum itself where nothing rounds it.
    activations
        Sums that pass an activation.
    pooled
        Outputs of the pooling that follows; 0 without one.
    pool_size
        Values each pooled output is the maximum of.
    outputs
        Values handed to the next layer.
    floating
        Whether the layer computes in float.
    """

    names: tuple[str, ...]
    inputs: Counts
    network_input_bits: Counts
    sums: Counts
    fan_in: Counts
    products: Counts
    units: Counts
    pe: Counts
    simd: Counts
    height: Counts
    width: Counts
    channels: Counts
    kernel: Counts
    stride: Counts
    weights: Counts
    biases: Counts
    weight_bits: Counts
    bias_bits: Counts
    input_bits: Counts
    accumulator_bits: Counts
    activation_bits: Counts
    activations: Counts
    pooled: Counts
    pool_size: Counts
    outputs: Counts
    floating: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which layers exist, ``(n, m)``."""
        return self.sums > 0

    @property
    def pixels(self) -> Counts:
        """Output pixels of each layer, ``(n, m)``; 0 for one that does not exist."""
        return self.sums // np.maximum(self.units, 1)

    @property
    def folded(self) -> NDArray[np.bool_]:
        """Which networks share a multiplier among products, ``(n,)``."""
        shared: NDArray[np.bool_] = (self.pe < self.units) | (self.simd < self.fan_in)
        return np.asarray(shared.any(axis=1))

    @property
    def macs(self) -> Counts:
        """Multiply-accumulates of one inference, ``(n, m)``; taps on padding are counted."""
        return self.sums * self.fan_in

    @property
    def operations(self) -> Counts:
        """Operations by the study's rule, ``(n, m)``.

        Convolution and dense: 2 a multiply-accumulate and 1 a bias; pooling: 4 an output; activation,
        flatten and reshape: none (the study's ``get_flops.py``, on the TensorFlow profiler).
        """
        return 2 * self.macs + self.sums + POOL_OPERATIONS * self.pooled

    @property
    def bops(self) -> Counts:
        """Bit operations, ``(n, m)``: multiply-accumulates times weight bits times input bits."""
        return self.macs * self.weight_bits * self.input_bits

    @property
    def parameter_bits(self) -> Counts:
        """Bits of weights and biases, ``(n, m)``."""
        return self.weights * self.weight_bits + self.biases * self.bias_bits

    @property
    def output_bits(self) -> Counts:
        """Bits that the last layer gives out for one inference, ``(n, m)``, and 0 for all others."""
        following = self.present[:, ::-1].cumsum(axis=1)[:, ::-1] - self.present
        last: Counts = self.outputs * self.activation_bits * (self.present & (following == 0))
        return last

    @classmethod
    def of(cls, networks: Sequence[Network]) -> "Workload":
        """Workload of the chip parts of some networks.

        Raises
        ------
        UnsupportedLayerError
            For a layer that is no convolution, dense, ReLU, thresholds, pooling or flatten.
        """
        rows = [_rows(network.chip) for network in networks]
        width = max((len(row) for row in rows), default=0)
        names = max(rows, key=len, default=[])
        columns = {
            item.name: np.array(
                [[layer[item.name] for layer in row] + [0] * (width - len(row)) for row in rows],
                dtype=np.int64,
            ).reshape(len(rows), width)
            for item in fields(cls)
            if item.name not in ("names", "inputs", "network_input_bits")
        }
        floating = columns.pop("floating").astype(bool)
        return cls(
            names=tuple(str(layer["name"]) for layer in names),
            inputs=np.array([prod(network.input_shape) for network in networks], dtype=np.int64),
            network_input_bits=np.array(
                [_width(network.input_format) for network in networks], dtype=np.int64
            ),
            floating=floating,
            **columns,
        )


def _width(fixed: FixedPoint | None) -> int:
    return fixed.width if fixed else FLOAT_BITS


def _rows(chip: Network) -> list[dict[str, int | str]]:
    """One dictionary a convolution or dense layer, with what follows it folded in."""
    rows: list[dict[str, int | str]] = []
    edges = zip(chip.layers, chip.shapes, chip.shapes[1:], chip.formats, chip.formats[1:], strict=False)
    for layer, before, after, given, made in edges:
        size = int(prod(after))
        if isinstance(layer, Conv | Dense):
            weights = int(prod(layer.weight_shapes(before)["weight"]))
            rows.append(
                {
                    "name": layer.name,
                    "sums": size,
                    "fan_in": weights // layer.units,
                    **_geometry(layer, before),
                    "weights": weights,
                    "biases": layer.units,
                    "weight_bits": _width(layer.weight),
                    "bias_bits": _width(layer.bias),
                    "input_bits": _width(given),
                    "accumulator_bits": _width(made),
                    "activation_bits": _width(made),
                    "activations": 0,
                    "pooled": 0,
                    "pool_size": 0,
                    "outputs": size,
                    "floating": layer.weight is None,
                }
            )
        elif isinstance(layer, ReLU) and rows and not rows[-1]["activations"]:
            rows[-1] |= {"activations": size, "activation_bits": _width(made)}
        elif isinstance(layer, Thresholds) and rows and not rows[-1]["activations"]:
            rows[-1] |= {
                "activations": size,
                "activation_bits": _width(made),
                "biases": before[-1] * layer.count,
                "bias_bits": layer.thresholds.width,
            }
        elif isinstance(layer, MaxPool) and rows and not rows[-1]["pooled"]:
            rows[-1] |= {"pooled": size, "pool_size": layer.size**2, "outputs": size}
        elif not isinstance(layer, Flatten):
            raise UnsupportedLayerError(
                f"layer {layer.name!r} ({type(layer).__name__}) cannot be priced here: the chip takes "
                "convolutions and dense layers, each followed by at most one activation and one pooling; "
                "move it behind chip_layers"
            )
    return rows


def _geometry(layer: Conv | Dense, shape: Shape) -> dict[str, int]:
    """How the layer goes over its input, and how much of it is computed at a time."""
    fan_in = layer.fan_in(shape)
    folding = layer.folding or Folding(layer.units, fan_in)
    shared = {"units": layer.units, "pe": folding.pe, "simd": folding.simd}
    if isinstance(layer, Dense):
        image = {"height": 1, "width": 1, "channels": fan_in, "kernel": 1, "stride": 1}
        return {**shared, **image, "products": layer.units * fan_in}
    height, width, channels = shape
    along = [
        int(taps_on_image(size, layer.kernel, layer.stride, pads[0], made))
        for size, pads, made in zip(shape, layer.pads(shape), layer.output_shape(shape), strict=False)
    ]
    return {
        **shared,
        "products": along[0] * along[1] * channels // layer.groups * layer.units,
        **{"height": height, "width": width, "channels": channels},
        **{"kernel": layer.kernel, "stride": layer.stride},
    }


def taps_on_image(
    size: int | Counts,
    kernel: int | Counts,
    stride: int | Counts,
    before: int | Counts,
    outputs: int | Counts,
) -> Counts:
    """Pairs of an output position and a tap of its kernel that lies on the image, along one axis.

    Parameters
    ----------
    size, kernel, stride
        Of the axis; arrays of one shape, or numbers.
    before
        Zeros in front of the axis.
    outputs
        Output positions.

    Returns
    -------
    pairs
        Of the same shape.

    Examples
    --------
    >>> int(taps_on_image(8, 3, 2, 0, 4))  # the last of four windows of three hangs over by one
    11
    """
    size, kernel, stride, before, outputs = (
        np.asarray(each, np.int64)[..., None] for each in (size, kernel, stride, before, outputs)
    )
    position = np.arange(int(outputs.max(initial=0)))
    start = position * stride - before
    taps = np.minimum(start + kernel, size) - np.maximum(start, 0)
    pairs: Counts = np.where(position < outputs, np.maximum(taps, 0), 0).sum(axis=-1)
    return pairs


def effective_bops(network: Network) -> int:
    """Bit operations that the trained weights of the chip part really need.

    As BOPs, but each weight counts the bits between its most and its least significant one, and a zero
    weight counts nothing (EBOPs of constant multipliers: Sun et al., HGQ, arXiv:2405.00645, section 3).
    A float layer has no integer weights: its effective BOPs are its BOPs.

    Raises
    ------
    NetworkError
        For a network without weights.
    """
    chip = network.chip
    if not chip.fitted:
        raise NetworkError("effective BOPs depend on the weights; fit the network or load weights first")
    total = 0
    for layer, after, given in zip(chip.layers, chip.shapes[1:], chip.formats, strict=False):
        if isinstance(layer, Conv | Dense):
            weights = chip.weights[f"{layer.name}.weight"]
            bits = _enclosed_bits(weights).sum() if layer.weight else weights.size * FLOAT_BITS
            total += int(prod(after)) // layer.units * _width(given) * int(bits)
    return total


def _enclosed_bits(weights: NDArray[np.int64] | NDArray[np.float64]) -> Counts:
    """Bits from the most to the least significant one of each magnitude; 0 for 0."""
    magnitude = np.abs(weights.astype(np.int64))
    lowest = np.maximum(magnitude & -magnitude, 1)
    bits: Counts = np.ceil(np.log2(magnitude // lowest + 1)).astype(np.int64)
    return bits
