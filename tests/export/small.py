"""Small networks that hold every layer kind, rounding, overflow and sign that Verilog is written of."""

import numpy as np

from codesign.fixedpoint import FixedPoint
from codesign.network import (
    Conv,
    ConvTranspose,
    Dense,
    Flatten,
    MaxPool,
    Network,
    ReLU,
    Reshape,
    Upsample,
)
from tests.export.designs import fixed, randomised, rounded

__all__ = ["CORNERS", "EVERYTHING", "TINY"]

EVERYTHING = randomised(
    Network(
        (5, 7, 2),
        (
            Conv('a"; endmodule // verilator lint_off\nb', 3, kernel=3, stride=2, **fixed(4)),
            MaxPool("of accumulators", 2),
            ReLU("half even, wraps", FixedPoint(0, 4, signed=True, rounding="half_even", overflow="wrap")),
            ConvTranspose(
                "up", 2, kernel=3, stride=2, weight=FixedPoint(0, 3, signed=False), bias=FixedPoint(2, 1)
            ),
            ReLU("kept"),
            Upsample("twice"),
            Conv("holes", 3, kernel=2, stride=3, **fixed(3)),
            ReLU("cut", FixedPoint(0, 5, signed=False, rounding="truncate")),
            Flatten("flat"),
            Dense("dense", 8, **fixed(3)),
            ReLU("fine", FixedPoint(1, 9, signed=False, rounding="half_up")),
            Reshape("image", (2, 2, 2)),
            ConvTranspose("far", 2, kernel=1, stride=2, **fixed(5)),
        ),
        FixedPoint(1, 3),
    )
)
"""Ends in an image of accumulators; its input is signed, its first name is hostile."""

TINY = randomised(
    Network(
        (4,),
        (Dense("d", 3, **fixed(3)), ReLU("r", rounded(3)), Dense("e", 2, **fixed(2)), ReLU("s", rounded(2))),
        FixedPoint(1, 2, signed=False),
    ),
    seed=3,
)

_DEAD = Network(
    (3,),
    (Dense("d", 2, **fixed(3)), ReLU("r", rounded(3))),
    FixedPoint(1, 2, signed=False),
    weights={"d.weight": np.array([[1, -1]] * 3), "d.bias": np.array([1, -1])},
)
_BIT = FixedPoint(1, 0, signed=False)
CORNERS: dict[str, Network] = {
    "nothing": Network((3,), (), FixedPoint(1, 2)),
    "no weights": Network(
        (3, 3, 1),
        (MaxPool("p"), ReLU("r", FixedPoint(0, 1, signed=False, rounding="half_up"))),
        FixedPoint(1, 3),
    ),
    "an output that is always 0": _DEAD,
    "only outputs that are always 0": _DEAD.with_weights(
        {"d.weight": np.zeros((3, 2)), "d.bias": np.array([-1, -2])}
    ),
    "more bits dropped than there are": randomised(
        Network(
            (2,),
            (Dense("d", 2, **fixed(2)), ReLU("r", FixedPoint(9, -6, signed=False, rounding="half_up"))),
            FixedPoint(2, 0, signed=False),
        )
    ),
    "wide": randomised(
        Network(
            (3,),
            (
                Dense("d", 2, weight=FixedPoint(0, 13), bias=FixedPoint(0, 13)),
                ReLU("r", FixedPoint(2, 20, signed=False, rounding="half_even")),
            ),
            FixedPoint(1, 20),
        )
    ),
    "one value of one bit": Network(
        (1,),
        (Dense("d", 1, weight=_BIT, bias=_BIT), ReLU("r", _BIT)),
        _BIT,
        weights={"d.weight": np.ones((1, 1)), "d.bias": np.zeros(1)},
    ),
}
"""Shapes and formats at the edge of what a generator gets right."""
