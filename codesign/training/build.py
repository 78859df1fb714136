"""A network as data to a torch module and back.

Layers with formats become Brevitas layers, the others plain torch. Inside the module an image is channels
last, ``(n, height, width, channels)``, as everywhere in this package: what torch calls NCHW is a view of
the same memory. So rows of a dense layer behind a ``Flatten`` keep their order.

Rounding. Torch rounds half to even where the reference rounds half up; the module adds half an accumulator
LSB to biases, after which both are the same: see ``codesign.half_up``.

Exactness. Every sum is an integer times a power of two, so a float type holds it exactly as long as the
accumulator, with its half, fits the significand: 24 bits in float32, 53 in float64. A network whose worst
case is wider trains in float32 all the same, where a last bit may differ, and ``chip_outputs`` computes
it in float64.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import brevitas.config
import brevitas.nn as qnn
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from codesign.errors import ConfigError, UnsupportedLayerError
from codesign.fixedpoint import FixedPoint
from codesign.half_up import FLOAT32_BITS, accumulator_bits, half_lsb, require_even_ties
from codesign.network import (
    Conditions,
    Conv,
    ConvTranspose,
    Dense,
    Flatten,
    MaxPool,
    Network,
    ReLU,
    Reshape,
    Shape,
    Sigmoid,
    Upsample,
    require_plain,
    same_padding,
)
from codesign.training.banded import banded_conv_transpose, pays
from codesign.training.quantisers import (
    activation_quantiser,
    bias_quantiser,
    round_half_even,
    weight_quantiser,
)
from codesign.training.weights import fresh_weights, real_weights

__all__ = [
    "NetworkModule",
    "build",
    "chip_outputs",
    "extract",
    "from_torch",
    "named_parameters",
    "to_torch",
]

_CHUNK: Final = 2048
_SPARE: Final = "skip_create_quant_tensor"


class NetworkModule(nn.Module):
    """A network that torch can differentiate.

    Parameters
    ----------
    network
        What to build; its weights, if any, are loaded by ``build``.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.steps = nn.ModuleList(_step(network, index) for index in range(len(network.layers)))

    @property
    def device(self) -> torch.device:
        """Where its parameters lie."""
        return next(self.parameters()).device

    def forward(self, inputs: Tensor, conditions: Tensor | None = None) -> Tensor:
        """Real inputs, shape ``(n, *input_shape)``, to flat outputs, channels last, ``(n, k)``."""
        return self.run(self.rounded(inputs), conditions)

    def rounded(self, inputs: Tensor) -> Tensor:
        """Inputs in the network's input format; rounding twice changes nothing."""
        fixed = self.network.input_format
        return inputs if fixed is None else round_half_even(inputs, fixed)

    def run(self, inputs: Tensor, conditions: Tensor | None = None) -> Tensor:
        """``forward`` of inputs that are rounded already: for loops that see the same inputs often."""
        value = inputs
        for step in self.steps:
            value = step(value, conditions) if isinstance(step, _Conditions) else step(value)
        return value.reshape(len(inputs), -1)

    def chip(self, inputs: Tensor) -> Tensor:
        """Real outputs of the layers on the device, shape ``(n, *output shape of the chip)``."""
        value = self.rounded(inputs)
        for step in self.steps[: self.network.chip_layers]:
            value = step(value)
        return value


def build(
    network: Network, *, weights: Mapping[str, NDArray[Any]] | None = None, seed: int | None = None
) -> NetworkModule:
    """Torch module of a network, with its weights or, where it has none, fresh ones.

    Fresh weights are Glorot uniform with zero biases, as Keras starts.

    Parameters
    ----------
    network
        Fitted or not.
    weights
        Real values to start from, in place of the network's own, by the names of ``Network.weights``.
    seed
        Of the fresh weights; None draws them anew each time.

    Raises
    ------
    UnsupportedLayerError
        For a format that the module cannot compute exactly: truncation, wrapping, or rounding half to
        even behind an accumulator; for a layer of a form that only imported networks have.
    """
    require_plain(network, "training")
    require_even_ties(network)
    _require_no_jit()
    with torch.random.fork_rng(devices=[]):
        module = NetworkModule(network)
    if weights is None:
        fresh = partial(fresh_weights, network, np.random.default_rng(seed))
        weights = real_weights(network) if network.fitted else fresh()
    with torch.no_grad():
        for name, tensor in named_parameters(module):
            tensor.copy_(to_torch(np.asarray(weights[name])))
    return module


def extract(module: NetworkModule, network: Network) -> Network:
    """The network with the module's weights: codes where a layer has formats, else real values."""
    weights: dict[str, NDArray[Any]] = {}
    for index, weight, bias in _parameters(module):
        layer = network.layers[index]
        for role, value in (("weight", weight), ("bias", bias)):
            array = from_torch(value.detach().double().cpu().numpy())
            fixed: FixedPoint | None = getattr(layer, role)
            weights[f"{layer.name}.{role}"] = array if fixed is None else fixed.quantise(array)
    return network.with_weights(weights)


def chip_outputs(module: NetworkModule, inputs: NDArray[Any]) -> NDArray[np.float64]:
    """Outputs of the device as the module computes them, exact whatever the width of its accumulators.

    Parameters
    ----------
    inputs
        Shape ``(n, *input_shape)``, real values.

    Returns
    -------
    outputs
        Shape ``(n, *output shape of the chip)``, real values: codes times the scale of the last format.
    """
    wide = accumulator_bits(module.network.chip) > FLOAT32_BITS
    exact = copy.deepcopy(module).double() if wide else module
    fixed = module.network.input_format
    real = np.asarray(inputs, np.float64) if fixed is None else fixed.dequantise(fixed.quantise(inputs))
    values = torch.from_numpy(real).to(torch.float64 if wide else torch.float32)
    with torch.no_grad():
        chunks = [exact.chip(values[start : start + _CHUNK]) for start in range(0, len(values), _CHUNK)]
    return torch.cat(chunks).double().numpy()


def _require_no_jit() -> None:
    if brevitas.config.JIT_ENABLED:
        raise ConfigError("BREVITAS_JIT is set; unset it: the quantisers here are fast without it")


def _step(network: Network, index: int) -> nn.Module:
    layer, shape = network.layers[index], network.shapes[index]
    match layer:
        case Conv() | ConvTranspose() | Dense():
            return _affine(layer, shape, half_lsb(network, index))
        case ReLU():
            return _relu(layer)
        case MaxPool():
            return _MaxPool(layer.size)
        case Upsample():
            return _Upsample(layer.size)
        case Flatten() | Reshape():
            return _Reshape(layer.output_shape(shape))
        case Conditions():
            return _Conditions()
        case Sigmoid():
            return nn.Sigmoid()
        case _:
            raise UnsupportedLayerError(f"layer {layer.name!r}: training has no {type(layer).__name__}")


def _affine(layer: Conv | ConvTranspose | Dense, shape: Shape, offset: float) -> nn.Module:
    quantised: dict[str, Any] = {}
    if layer.weight is not None and layer.bias is not None:
        quantised = {
            "weight_quant": weight_quantiser(layer.weight),
            "bias_quant": bias_quantiser(layer.bias, offset=offset),
        }
    if isinstance(layer, Dense):
        dense = qnn.QuantLinear if quantised else nn.Linear
        return _lean(dense(shape[0], layer.units, **quantised))
    if isinstance(layer, Conv):
        pads = [same_padding(size, layer.kernel, layer.stride) for size in shape[:2]]
        conv = qnn.QuantConv2d if quantised else nn.Conv2d
        # On channels-last images, torch's gradient of a 1x1 convolution with a stride corrupts memory (2.13).
        skip, stride = (layer.stride, 1) if layer.kernel == 1 else (1, layer.stride)
        affine = conv(shape[2], layer.units, layer.kernel, stride=stride, **quantised)
        return _Convolution(_lean(affine), pads, skip)
    if quantised:
        raise UnsupportedLayerError(
            f"layer {layer.name!r}: training has no transposed convolution with formats; leave it in float"
        )
    return _TransposedConvolution(shape[2], layer)


def _lean(layer: nn.Module) -> nn.Module:
    """Spare a Brevitas layer the tensors that carry formats: they are constant, and the network has them."""
    for child in layer.modules():
        if hasattr(child, _SPARE):
            setattr(child, _SPARE, True)
    return layer


def _relu(layer: ReLU) -> nn.Module:
    if layer.output is None:
        return nn.ReLU()
    if layer.output.signed:
        return _lean(qnn.QuantReLU(act_quant=activation_quantiser(layer.output)))
    # An unsigned format ends at 0: its saturation is the rectifier.
    return _lean(qnn.QuantIdentity(act_quant=activation_quantiser(layer.output)))


class _Convolution(nn.Module):
    def __init__(self, affine: nn.Module, pads: Sequence[tuple[int, int]], skip: int) -> None:
        super().__init__()
        self.affine, self.skip = affine, skip
        self.pads = (*pads[1], *pads[0])

    def forward(self, image: Tensor) -> Tensor:
        padded = functional.pad(image, (0, 0, *self.pads)) if any(self.pads) else image
        result: Tensor = self.affine(padded[:, :: self.skip, :: self.skip].permute(0, 3, 1, 2))
        return result.permute(0, 2, 3, 1)


class _TransposedConvolution(nn.Module):
    def __init__(self, channels: int, layer: ConvTranspose) -> None:
        super().__init__()
        self.affine = nn.ConvTranspose2d(channels, layer.units, layer.kernel, stride=layer.stride)
        self.stride = layer.stride
        self.reach = max(layer.kernel - layer.stride, 0)
        self.holes = max(layer.stride - layer.kernel, 0)

    def forward(self, image: Tensor) -> Tensor:
        weight, bias = self.affine.weight, self.affine.bias
        assert bias is not None
        if image.device.type == "cpu" and pays(weight.shape[0], weight.shape[1], self.stride):
            return banded_conv_transpose(image, weight, bias, self.stride)
        full = functional.conv_transpose2d(
            image.permute(0, 3, 1, 2), weight, bias, self.stride, output_padding=self.holes
        )
        crop, (height, width) = self.reach // 2, (size * self.stride for size in image.shape[1:3])
        return full[:, :, crop : crop + height, crop : crop + width].permute(0, 2, 3, 1)


class _MaxPool(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, image: Tensor) -> Tensor:
        pooled = functional.max_pool2d(image.permute(0, 3, 1, 2), self.size, ceil_mode=True)
        return pooled.permute(0, 2, 3, 1)


class _Upsample(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, image: Tensor) -> Tensor:
        grown = functional.interpolate(image.permute(0, 3, 1, 2), scale_factor=self.size, mode="nearest")
        return grown.permute(0, 2, 3, 1)


class _Conditions(nn.Module):
    def forward(self, value: Tensor, conditions: Tensor | None) -> Tensor:
        assert conditions is not None, "the network takes conditions"
        return torch.cat([value, conditions], dim=1)


class _Reshape(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, value: Tensor) -> Tensor:
        return value.reshape(len(value), *self.shape)


def named_parameters(module: NetworkModule) -> Iterator[tuple[str, nn.Parameter]]:
    """Every parameter by its name in ``Network.weights``; its layout is torch's."""
    for index, *tensors in _parameters(module):
        for role, tensor in zip(("weight", "bias"), tensors, strict=True):
            yield f"{module.network.layers[index].name}.{role}", tensor


def _parameters(module: NetworkModule) -> Iterator[tuple[int, nn.Parameter, nn.Parameter]]:
    """Index, weight and bias of every layer that has them."""
    for index, step in enumerate(module.steps):
        affine = step if isinstance(step, nn.Linear) else getattr(step, "affine", None)
        if affine is not None:
            assert isinstance(affine.weight, nn.Parameter)
            assert isinstance(affine.bias, nn.Parameter)
            yield index, affine.weight, affine.bias


def to_torch(array: NDArray[np.float64]) -> Tensor:
    """Keras' layout to torch's: the axes in reverse but for those of the kernel, which stay in order."""
    axes = (3, 2, 0, 1) if array.ndim == 4 else tuple(range(array.ndim))[::-1]
    return torch.from_numpy(array.transpose(axes).copy())


def from_torch(array: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of ``to_torch``."""
    axes = (2, 3, 1, 0) if array.ndim == 4 else tuple(range(array.ndim))[::-1]
    return np.ascontiguousarray(array.transpose(axes))
