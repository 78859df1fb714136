"""The matrix form of transposed convolutions against torch's."""

import pytest
import torch
from torch.nn import functional

from codesign.training.banded import banded_conv_transpose


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize(("height", "width"), [(4, 4), (1, 2), (5, 3)])
def test_values_and_gradients_equal_torch(height: int, width: int, kernel: int, stride: int) -> None:
    generator = torch.Generator().manual_seed(0)
    image, weight, bias = (
        torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_()
        for shape in ((2, height, width, 3), (3, 2, kernel, kernel), (2,))
    )
    crop, holes = max(kernel - stride, 0) // 2, max(stride - kernel, 0)
    full = functional.conv_transpose2d(
        image.permute(0, 3, 1, 2), weight, bias, stride, output_padding=holes
    ).permute(0, 2, 3, 1)
    expected = full[:, crop : crop + height * stride, crop : crop + width * stride]
    result = banded_conv_transpose(image, weight, bias, stride)
    torch.testing.assert_close(result, expected)
    upstream = torch.randn(expected.shape, dtype=torch.float64, generator=generator)
    for ours, theirs in zip(
        torch.autograd.grad(result, (image, weight, bias), upstream),
        torch.autograd.grad(expected, (image, weight, bias), upstream),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)
