"""Our quantisers are Brevitas' own, only faster."""

import brevitas.nn as qnn
import numpy as np
import pytest
import torch
from brevitas.core.bit_width import BitWidthConst
from brevitas.core.function_wrapper import Identity, RoundSte, TensorClamp
from brevitas.core.quant import IntQuant, RescalingIntQuant
from brevitas.core.scaling import ConstScaling, PowerOfTwoIntScaling
from brevitas.core.zero_point import ZeroZeroPoint

from codesign.fixedpoint import FixedPoint
from codesign.training.quantisers import activation_quantiser, bias_quantiser, weight_quantiser

FORMATS = [FixedPoint(0, 5), FixedPoint(1, 7, signed=False), FixedPoint(1, 0), FixedPoint(-2, 6)]
VALUES = torch.from_numpy(np.random.default_rng(0).normal(0, 1.5, 4_000)).float()


def brevitas_own(fixed: FixedPoint) -> RescalingIntQuant:
    """Brevitas' integer quantiser with the constant scale of a format."""
    return RescalingIntQuant(
        IntQuant(
            narrow_range=False,
            signed=fixed.signed,
            float_to_int_impl=RoundSte(),
            tensor_clamp_impl=TensorClamp(),
            input_view_impl=Identity(),
        ),
        ConstScaling(fixed.scale * 2.0 ** (fixed.width - fixed.signed)),
        PowerOfTwoIntScaling(signed=fixed.signed),
        ZeroZeroPoint(),
        BitWidthConst(fixed.width),
    )


@pytest.mark.parametrize("fixed", FORMATS)
def test_same_values_as_brevitas_and_as_numpy(fixed: FixedPoint) -> None:
    ties = (torch.arange(-70, 70) + 0.5) * fixed.scale
    values = torch.cat([VALUES, ties])
    layer = qnn.QuantIdentity(act_quant=activation_quantiser(fixed), return_quant_tensor=True)
    ours = layer(values)
    theirs, scale, zero_point, bit_width = brevitas_own(fixed)(values)
    assert torch.equal(ours.value, theirs)
    assert (ours.scale, ours.zero_point, ours.bit_width) == (scale, zero_point, bit_width)
    assert ours.signed == fixed.signed
    assert np.array_equal(fixed.dequantise(fixed.quantise(values.numpy())), ours.value.double().numpy())


@pytest.mark.parametrize("fixed", FORMATS)
def test_gradient_of_activations_stops_outside_the_range(fixed: FixedPoint) -> None:
    values = VALUES.clone().requires_grad_()
    qnn.QuantIdentity(act_quant=activation_quantiser(fixed))(values).sum().backward()
    low, high = fixed.minimum * fixed.scale, fixed.maximum * fixed.scale
    inside = (low < VALUES) & (high > VALUES)
    assert torch.equal(values.grad, inside.float())
    assert inside.any()


def test_gradient_of_weights_and_biases_passes_everywhere() -> None:
    fixed = FixedPoint(0, 3)
    layer = qnn.QuantLinear(
        5, 2, weight_quant=weight_quantiser(fixed), bias_quant=bias_quantiser(fixed, offset=1 / 64)
    )
    with torch.no_grad():
        layer.weight.fill_(9.0)
        layer.bias.fill_(-9.0)
    output = layer(torch.ones(1, 5))
    assert torch.equal(output, torch.full((1, 2), 5 * 7 / 8 - 1 + 1 / 64))
    output.sum().backward()
    assert torch.equal(layer.weight.grad, torch.ones(2, 5))
    assert torch.equal(layer.bias.grad, torch.ones(2))
