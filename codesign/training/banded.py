"""Transposed convolutions of small images as matrix products.

Torch runs these on images of 4 x 4 to 8 x 8 pixels and few channels at a few percent of the speed of its
matrix product. Here whole rows of the image are multiplied by a band matrix that holds the kernel at every
column, and the resulting windows of ``k`` rows are added where they overlap: some three times the
multiplications, in half the time.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

__all__ = ["banded_conv_transpose", "pays"]

_CHANNEL_PRODUCT: Final = 128


def pays(channels_in: int, channels_out: int, stride: int) -> bool:
    """Whether this beats torch's own: up to some hundred pairs of channels.

    Measured at 250 images of 4 x 4 and 8 x 8 pixels, kernels 3 and 5, one thread of an AVX-512 machine.
    """
    return channels_in * channels_out <= _CHANNEL_PRODUCT * stride**2


@dataclass(frozen=True, slots=True)
class _Windows:
    """Windows of ``kernel`` rows, one every ``stride`` rows, the first ``crop`` rows above the image."""

    count: int
    kernel: int
    stride: int
    crop: int

    @property
    def rows(self) -> int:
        """Rows of the image, without what is cropped."""
        return self.count * self.stride

    @property
    def padded(self) -> int:
        """Rows with what is cropped."""
        return (self.count - 1) * self.stride + max(self.kernel, self.stride)


class _Band(NamedTuple):
    """Where each weight of a kernel ``(in, out, k, k)`` stands in the band matrix of one row.

    ``shape`` is ``(columns in * in, k * columns out * out)``; ``position`` in the flat matrix and
    ``source`` in the flat kernel have one entry for each element that is not always zero.
    """

    shape: tuple[int, int]
    position: Tensor
    source: Tensor


@cache
def _band(width: int, stride: int, crop: int, kernel_shape: tuple[int, int, int, int]) -> _Band:
    channels_in, channels_out, kernel, _ = kernel_shape
    wide = width * stride
    axes = (torch.arange(length) for length in (width, *kernel_shape))
    pixel, inner, outer, row, tap = torch.meshgrid(*axes, indexing="ij")
    column = pixel * stride + tap - crop
    inside = (column >= 0) & (column < wide)
    target = ((pixel * channels_in + inner) * kernel + row) * wide + column
    source = ((inner * channels_out + outer) * kernel + row) * kernel + tap
    shape = (width * channels_in, kernel * wide * channels_out)
    return _Band(shape, (target * channels_out + outer)[inside], source[inside])


def _cut(rows: Tensor, windows: _Windows) -> Tensor:
    """Rows ``(n, rows, f)`` to windows ``(n * count, kernel * f)``."""
    padded = rows.new_zeros(len(rows), windows.padded, rows.shape[2])
    padded[:, windows.crop : windows.crop + windows.rows] = rows
    cut = padded.unfold(1, windows.kernel, windows.stride)[:, : windows.count]
    return cut.transpose(2, 3).reshape(len(rows) * windows.count, -1)


def _overlap(products: Tensor, start: Tensor, windows: _Windows) -> Tensor:
    """Adjoint of ``_cut``: windows added to rows that hold ``start``, shape ``(f,)``, before."""
    parts = products.view(-1, windows.count, windows.kernel, len(start))
    total = start.expand(len(parts), windows.padded, -1).clone(memory_format=torch.contiguous_format)
    reach = (windows.count - 1) * windows.stride + 1
    for row in range(windows.kernel):
        total[:, row : row + reach : windows.stride] += parts[:, :, row]
    return total[:, windows.crop : windows.crop + windows.rows]


class _Overlap(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, products: Tensor, start: Tensor, windows: _Windows) -> Tensor:
        ctx.windows = windows
        return _overlap(products, start, windows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        return _cut(gradients[0], ctx.windows), gradients[0].sum(dim=(0, 1)), None


def banded_conv_transpose(image: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
    """Transposed convolution with "same" padding.

    Parameters
    ----------
    image
        Shape ``(n, height, width, in)``.
    weight
        Shape ``(in, out, k, k)``.
    bias
        Shape ``(out,)``.
    stride
        Growth of height and width.

    Returns
    -------
    image
        Shape ``(n, height * stride, width * stride, out)``: that of
        ``torch.nn.functional.conv_transpose2d``, cropped, up to float rounding.
    """
    count, height, width, _ = image.shape
    channels_in, channels_out, kernel, _ = weight.shape
    crop = max(kernel - stride, 0) // 2
    band = _band(width, stride, crop, (channels_in, channels_out, kernel, kernel))
    values = weight.reshape(-1).index_select(0, band.source)
    matrix = weight.new_zeros(band.shape[0] * band.shape[1]).index_copy(0, band.position, values)
    products = image.reshape(count * height, -1) @ matrix.view(band.shape)
    windows = _Windows(height, kernel, stride, crop)
    start = bias.expand(width * stride, -1).reshape(-1)
    total: Tensor = _Overlap.apply(products, start, windows)  # type: ignore[no-untyped-call]
    return total.reshape(count, height * stride, width * stride, -1)
