"""The study's networks once more, by the words of its sources, on torch; and HDF5 files as Keras writes them.

Nothing here is shared with the package: images are channels first, "same" padding is spelt out, and a
transposed convolution is the gradient of a convolution, which is how TensorFlow defines it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Arrays = tuple[NDArray[np.float32], NDArray[np.float32]]
Part = list[tuple[str, Arrays]]


@dataclass(frozen=True)
class Hyperparameters:
    """What ``denseCNN`` is given; ``shape`` is ``(height, width, channels)``."""

    shape: tuple[int, int, int] = (8, 8, 1)
    filters: Sequence[int] = ()
    kernels: Sequence[int] = ()
    strides: Sequence[int] = ()
    pools: Sequence[bool] = ()
    units: Sequence[int] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    """The same as values of a candidate."""

    @classmethod
    def of(cls, values: Mapping[str, Any], shape: tuple[int, int, int]) -> "Hyperparameters":
        def column(name: str, count: str) -> list[Any]:
            return [values[f"{name}_{i + 1}"] for i in range(values[count])]

        named = ("filters", "kernel", "stride", "pooling")
        lists = [column(name, "convolutions") for name in named]
        return cls(shape, *lists, column("units", "dense_layers"), values)

    @property
    def last_kernel(self) -> int:
        return self.kernels[0] if self.kernels else 3


def kernels(shape: Hyperparameters, rng: np.random.Generator) -> tuple[Part, Part]:
    """Random weights of encoder and decoder, in the layout and with names of Keras."""
    size, channels = shape.shape[0], shape.shape[2]
    encoder, decoder = [], []
    names = {"conv2d": 7, "dense": 3, "conv2d_transpose": 0}

    def layer(part: Part, kind: str, form: tuple[int, ...], outputs: int, name: str = "") -> None:
        if not name:
            name = kind if not names[kind] else f"{kind}_{names[kind]}"
            names[kind] += 1
        scale = (3 / np.prod(form) * outputs) ** 0.5
        kernel = rng.normal(0, scale, form).astype(np.float32)
        part.append((name, (kernel, rng.normal(0, 0.2, outputs).astype(np.float32))))

    for filters, kernel, stride, pool in zip(
        shape.filters, shape.kernels, shape.strides, shape.pools, strict=True
    ):
        layer(encoder, "conv2d", (kernel, kernel, channels, filters), filters)
        size = -(-size // stride)
        size = -(-size // 2) if pool else size
        channels = filters
    flat = width = size * size * channels
    for units in shape.units:
        layer(encoder, "dense", (width, units), units)
        width = units
    layer(encoder, "dense", (width, 16), 16, "encoded_vector")
    width = 16
    for units in shape.units:
        layer(decoder, "dense", (width, units), units)
        width = units
    layer(decoder, "dense", (width, flat), flat)
    for filters, kernel in zip(shape.filters, shape.kernels, strict=True):
        layer(decoder, "conv2d_transpose", (kernel, kernel, filters, channels), filters)
        channels = filters
    last = (shape.last_kernel, shape.last_kernel, shape.shape[2], channels)
    layer(decoder, "conv2d_transpose", last, shape.shape[2])
    return encoder, decoder


# --- files


def write_group(group: h5py.Group, layers: Mapping[str, Part], *, colon: bool = True) -> None:
    """Layers of a model, each with its weights: a layer proper has one, a model inside the model several."""
    group.attrs["layer_names"] = np.array([name.encode() for name in layers])
    for name, part in layers.items():
        inner = group.create_group(name)
        stored = [
            (f"{layer}/{role}{':0' if colon else ''}", array)
            for layer, arrays in part
            for role, array in zip(("kernel", "bias"), arrays, strict=True)
        ]
        inner.attrs["weight_names"] = np.array([path.encode() for path, _ in stored])
        for path, array in stored:
            inner.create_dataset(path, data=array)


def autoencoder(encoder: Part, decoder: Part) -> dict[str, Part]:
    """What ``autoencoder.save_weights`` writes: two models inside a model."""
    return {"input_1": [], "encoder": encoder, "decoder": decoder}


def alone(part: Part) -> dict[str, Part]:
    """What ``encoder.save_weights`` writes: the layers themselves, and those without weights."""
    return {"input_1": [], **{name: [(name, arrays)] for name, arrays in part}, "flatten": []}


def write(path: Path, layers: Mapping[str, Part], **options: bool) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["backend"] = "tensorflow"
        write_group(file, layers, **options)
    return path


# --- forward


def _conv(image: Tensor, kernel: Tensor, stride: int) -> Tensor:
    """ "Same" convolution without bias; ``kernel`` is ``(k, k, in, out)``."""
    pads = []
    for size in (image.shape[3], image.shape[2]):
        total = max((-(-size // stride) - 1) * stride + kernel.shape[0] - size, 0)
        pads += [total // 2, total - total // 2]
    return functional.conv2d(functional.pad(image, pads), kernel.permute(3, 2, 0, 1), stride=stride)


def _conv_transpose(image: Tensor, kernel: Tensor, stride: int) -> Tensor:
    """Gradient of the "same" convolution from the larger image; ``kernel`` is ``(k, k, out, in)``."""
    count, _, height, width = image.shape
    larger = torch.zeros(count, kernel.shape[2], height * stride, width * stride, dtype=image.dtype)
    larger.requires_grad_()
    made = _conv(larger, kernel, stride)
    return torch.autograd.grad(made, larger, image)[0].detach()


def _pool(image: Tensor) -> Tensor:
    pads = (0, image.shape[3] % 2, 0, image.shape[2] % 2)
    return functional.max_pool2d(functional.pad(image, pads, value=-torch.inf), 2)


def _flat(image: Tensor, channels_first: bool) -> Tensor:
    return (image if channels_first else image.permute(0, 2, 3, 1)).reshape(len(image), -1)


@dataclass(frozen=True)
class Steps:
    """What differs between the classes: what is done to input, weights and values."""

    source: Callable[[Tensor], Tensor] = lambda value: value
    conv_weight: Callable[[Tensor], Tensor] = lambda value: value
    dense_weight: Callable[[Tensor], Tensor] = lambda value: value
    hidden_conv: Callable[[Tensor], Tensor] = torch.relu
    last_conv: Callable[[Tensor], Tensor] = lambda value: value
    hidden_dense: Callable[[Tensor], Tensor] = torch.relu
    latent: Callable[[Tensor], Tensor] = torch.relu


def _tensors(part: Part, dtype: torch.dtype) -> list[tuple[Tensor, Tensor]]:
    return [
        (torch.tensor(kernel, dtype=dtype), torch.tensor(bias, dtype=dtype)) for _, (kernel, bias) in part
    ]


def encode(
    given: Hyperparameters,
    part: Part,
    images: NDArray[Any],
    *,
    dtype: torch.dtype = torch.float64,
    steps: Steps | None = None,
    channels_first: bool = False,
) -> tuple[NDArray[Any], tuple[int, ...]]:
    """Latent values of images ``(n, height, width, channels)``, and the shape of the last image in it."""
    steps = steps or Steps()
    value = steps.source(torch.tensor(images, dtype=dtype).permute(0, 3, 1, 2))
    layers = iter(_tensors(part, dtype))
    for stride, pool in zip(given.strides, given.pools, strict=True):
        kernel, bias = map(steps.conv_weight, next(layers))
        value = steps.hidden_conv(_conv(value, kernel, stride) + bias[:, None, None])
        value = _pool(value) if pool else value
    if given.filters:
        value = steps.last_conv(value)
    shape = tuple(value.shape[1:])
    value = _flat(value, channels_first)
    for _ in given.units:
        kernel, bias = map(steps.dense_weight, next(layers))
        value = steps.hidden_dense(value @ kernel + bias)
    kernel, bias = map(steps.dense_weight, next(layers))
    return steps.latent(value @ kernel + bias).numpy(), shape


def decode(
    given: Hyperparameters,
    part: Part,
    latent: NDArray[Any],
    shape: tuple[int, ...],
    *,
    dtype: torch.dtype = torch.float64,
    channels_first: bool = False,
) -> NDArray[Any]:
    """Images ``(n, height, width, channels)`` of latent values; ``shape`` is that of the encoder's image."""
    value = torch.tensor(latent, dtype=dtype)
    layers = iter(_tensors(part, dtype))
    for _ in range(len(given.units) + 1):
        kernel, bias = next(layers)
        value = torch.relu(value @ kernel + bias)
    channels, height, width = shape
    if channels_first:
        value = value.reshape(-1, channels, height, width)
    else:
        value = value.reshape(-1, height, width, channels).permute(0, 3, 1, 2)
    for stride, pool in zip(given.strides, given.pools, strict=True):
        if pool:
            value = value.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        kernel, bias = next(layers)
        value = torch.relu(_conv_transpose(value, kernel, stride) + bias[:, None, None])
    kernel, bias = next(layers)
    value = torch.sigmoid(_conv_transpose(value, kernel, 1) + bias[:, None, None])
    return value.permute(0, 2, 3, 1).numpy()


# --- quantisers of QKeras


def quantized_bits(values: Tensor, bits: int, integer: int) -> Tensor:
    """Signed, ``alpha=1``: as written in ``quantizers.py`` of QKeras."""
    unsigned_bits = bits - 1
    m, m_i = 2.0**unsigned_bits, 2.0**integer
    return m_i * torch.clip(torch.round(values * m / m_i) / m, -1.0, 1.0 - 1.0 / m)


def quantized_relu(values: Tensor, bits: int, integer: int) -> Tensor:
    """Unsigned, as written in ``quantizers.py`` of QKeras."""
    m, m_i = 2.0**bits, 2.0**integer
    return m_i * torch.clip(torch.round(values * m / m_i) / m, 0.0, 1.0 - 1.0 / m)
