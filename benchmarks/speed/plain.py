"""A network as one writes it first in PyTorch, and the plain loop that trains it: the references of speed."""

from time import process_time
from typing import Final

import brevitas.nn as qnn
import torch
from brevitas.quant.fixed_point import Int8WeightPerTensorFixedPoint, Uint8ActPerTensorFixedPoint
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from codesign.fixedpoint import FixedPoint
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
    same_padding,
)
from codesign.tasks import Samples
from codesign.training.losses import telescoping

BATCH: Final = 250


def plain_module(network: Network) -> nn.Module:
    """Modules of torch and, where a layer has a format, Brevitas' own fixed-point ones of the same widths."""
    steps = [_activation(network.input_format)] if network.input_format else []
    for layer, before in zip(network.layers, network.shapes, strict=False):
        steps += _modules(layer, before)
    return nn.Sequential(*steps, nn.Flatten())


def images(data: Samples) -> torch.Tensor:
    """Inputs with the channel in front."""
    return torch.from_numpy(data.inputs).permute(0, 3, 1, 2).contiguous()


def plain_speed(data: Samples, network: Network, steps: int) -> float:
    """Samples per CPU second: a ``DataLoader`` that shuffles, default Adam, telescoping loss."""
    index = torch.from_numpy(data.output_index)
    pairs = TensorDataset(images(data), torch.from_numpy(data.targets))
    loader = DataLoader(pairs, batch_size=BATCH, shuffle=True)
    module = plain_module(network)
    optimiser = torch.optim.Adam(module.parameters())
    start, seen = process_time(), 0
    for inputs, targets in loader:
        optimiser.zero_grad()
        loss = telescoping(module(inputs)[:, index], targets)
        loss.backward()
        optimiser.step()
        seen += len(inputs)
        if seen >= steps * BATCH:
            break
    return seen / (process_time() - start)


def _activation(fixed: FixedPoint) -> nn.Module:
    return qnn.QuantIdentity(act_quant=Uint8ActPerTensorFixedPoint, bit_width=fixed.width)


def _modules(layer: Layer, before: Shape) -> list[nn.Module]:
    match layer:
        case ReLU(output=None):
            return [nn.ReLU()]
        case ReLU():
            return [qnn.QuantReLU(act_quant=Uint8ActPerTensorFixedPoint, bit_width=layer.output.width)]
        case Sigmoid():
            return [nn.Sigmoid()]
        case Flatten():
            return [nn.Flatten()]
        case Reshape():
            height, width, channels = layer.shape
            return [nn.Unflatten(1, (channels, height, width))]
        case MaxPool():
            return [nn.MaxPool2d(layer.size, ceil_mode=layer.partial)]
        case Upsample():
            return [nn.Upsample(scale_factor=layer.size)]
        case ConvTranspose():
            return _transposed(layer, before)
        case Conv() | Dense():
            return _affine(layer, before)
    raise TypeError(f"no plain module for {layer}")


def _affine(layer: Conv | Dense, before: Shape) -> list[nn.Module]:
    weights = {}
    if layer.weight:
        weights = {"weight_quant": Int8WeightPerTensorFixedPoint, "weight_bit_width": layer.weight.width}
    after = layer.output_shape(before)
    if isinstance(layer, Dense):
        linear = qnn.QuantLinear if weights else nn.Linear
        return [linear(before[-1], after[-1], bias=True, **weights)]
    (top, bottom), (left, right) = (same_padding(size, layer.kernel, layer.stride) for size in before[:2])
    conv = qnn.QuantConv2d if weights else nn.Conv2d
    pad = nn.ZeroPad2d((left, right, top, bottom))
    return [pad, conv(before[-1], after[-1], layer.kernel, layer.stride, **weights)]


def _transposed(layer: ConvTranspose, before: Shape) -> list[nn.Module]:
    """Cropped as the layer is: by the padding where that is symmetric."""
    more = layer.kernel - layer.stride
    lead = max(more, 0) // 2
    padding = lead if more == 2 * lead else 0
    sizes = (before[-1], layer.output_shape(before)[-1], layer.kernel)
    module = nn.ConvTranspose2d(*sizes, stride=layer.stride, padding=padding)
    if more == 2 * padding:
        return [module]
    return [module, nn.ZeroPad2d((-lead, lead - more, -lead, lead - more))]
