"""Brevitas quantisers of a ``FixedPoint`` format: constant power-of-two scale, nothing learnt.

Brevitas' layers and proxies stay as they are; only the function inside them, which Brevitas composes of
some ten modules for scales that are learnt, is one operation here. The results are the same to the bit.

Forward: rounded half to even, saturated. Backward: straight through for weights and biases, also where
they saturate, so that they can come back; for activations straight through inside the range and zero
outside, like a clipped ReLU.
"""

from typing import Any

import torch
from brevitas.inject import ExtendedInjector
from brevitas.inject.enum import FloatToIntImplType
from brevitas.proxy import (
    ActQuantProxyFromInjector,
    BiasQuantProxyFromInjector,
    WeightQuantProxyFromInjector,
)
from torch import Tensor, nn

from codesign.fixedpoint import FixedPoint

__all__ = [
    "ActivationRounding",
    "ParameterRounding",
    "activation_quantiser",
    "bias_quantiser",
    "round_half_even",
    "weight_quantiser",
]


def round_half_even(values: Tensor, fixed: FixedPoint) -> Tensor:
    """Real values rounded into a format: exact in any float type that holds its codes."""
    codes = values.detach().mul(1 / fixed.scale).round_()
    return codes.clamp_(fixed.minimum, fixed.maximum).mul_(fixed.scale)


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, fixed: FixedPoint, offset: float) -> Tensor:
        rounded = round_half_even(values, fixed)
        return rounded.add_(offset) if offset else rounded

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0], None, None


class _Clipped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, fixed: FixedPoint) -> Tensor:
        ctx.save_for_backward(values)
        ctx.bounds = fixed.minimum * fixed.scale, fixed.maximum * fixed.scale
        return round_half_even(values, fixed)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (values,) = ctx.saved_tensors
        return torch.ops.aten.hardtanh_backward(gradients[0], values, *ctx.bounds), None


class _Rounding(nn.Module):
    """What Brevitas calls a tensor quantiser: a value to ``(value, scale, zero point, bit width)``."""

    def __init__(self, fixed: FixedPoint) -> None:
        super().__init__()
        self.fixed = fixed
        self.constants = (
            torch.tensor(fixed.scale),
            torch.tensor(0.0),
            torch.tensor(float(fixed.width)),
        )


class ParameterRounding(_Rounding):
    """Weights or biases into a format; ``offset`` is added behind the rounding, as a constant."""

    def __init__(self, fixed: FixedPoint, offset: float = 0.0) -> None:
        super().__init__(fixed)
        self.offset = offset

    def forward(self, values: Tensor) -> tuple[Tensor, ...]:
        """Rounded values, any shape, and the format as three scalar tensors."""
        rounded: Tensor = _StraightThrough.apply(values, self.fixed, self.offset)  # type: ignore[no-untyped-call]
        return rounded, *self.constants


class ActivationRounding(_Rounding):
    """Activations into a format."""

    def forward(self, values: Tensor) -> tuple[Tensor, ...]:
        """Rounded values, any shape, and the format as three scalar tensors."""
        rounded: Tensor = _Clipped.apply(values, self.fixed)  # type: ignore[no-untyped-call]
        return rounded, *self.constants


def weight_quantiser(fixed: FixedPoint) -> type[ExtendedInjector]:
    """Quantiser for ``weight_quant`` of a Brevitas layer."""
    return _injector(WeightQuantProxyFromInjector, ParameterRounding(fixed), fixed)


def bias_quantiser(fixed: FixedPoint, *, offset: float = 0.0) -> type[ExtendedInjector]:
    """Quantiser for ``bias_quant`` of a Brevitas layer; ``offset`` is added to the rounded bias."""
    return _injector(
        BiasQuantProxyFromInjector, ParameterRounding(fixed, offset), fixed, requires_input_scale=False
    )


def activation_quantiser(fixed: FixedPoint) -> type[ExtendedInjector]:
    """Quantiser for ``act_quant`` of a Brevitas layer."""
    return _injector(ActQuantProxyFromInjector, ActivationRounding(fixed), fixed)


def _injector(proxy: Any, rounding: _Rounding, fixed: FixedPoint, **more: Any) -> type[ExtendedInjector]:
    injector: type[ExtendedInjector] = ExtendedInjector.let(
        proxy_class=proxy,
        tensor_quant=rounding,
        signed=fixed.signed,
        narrow_range=False,
        float_to_int_impl_type=FloatToIntImplType.ROUND,
        **more,
    )
    return injector
