"""The ECON-T spaces on images of other layouts: 4x4x3, a channel a block, and 6x6x3, with its neighbours.

Layers, formats and names are those of ``search_spaces.econt``, ``econt_float`` and ``econt_qkeras``; only the
shape of the images differs, and with it how often strides and poolings may halve them. The task must give
images of the same layout: its option ``layout``, of ``codesign.tasks.layouts``.
"""

from collections.abc import Mapping
from functools import partial

from codesign.network import Shape
from codesign.space import Definition, SearchSpace, Value
from search_spaces import econt, econt_qkeras

__all__ = [
    "FIXED_4X4X3",
    "FIXED_6X6X3",
    "FLOAT_4X4X3",
    "FLOAT_6X6X3",
    "QKERAS_4X4X3",
    "QKERAS_6X6X3",
]

UNSTRIDED: Mapping[str, Value] = {**econt.BASELINE, "stride_1": 1}
"""Eight 3x3 filters without stride: on 4x4x3 the other variant of the flight chip, of 2,288 parameters."""


def _of(space: SearchSpace, shape: Shape, *, quantised: bool) -> Definition:
    build = partial(econt.autoencoder, quantised=quantised, shape=shape)
    work = partial(econt.encoder_workload, space, quantised=quantised, shape=shape)
    return Definition(space, build, UNSTRIDED, work)


SHAPE_4X4X3: Shape = (4, 4, 3)
SHAPE_6X6X3: Shape = (6, 6, 3)
FIXED_4X4X3 = _of(econt.fixed_point("econt-4x4x3", SHAPE_4X4X3), SHAPE_4X4X3, quantised=True)
FIXED_6X6X3 = _of(econt.fixed_point("econt-6x6x3", SHAPE_6X6X3), SHAPE_6X6X3, quantised=True)
FLOAT_4X4X3 = _of(econt.architecture("econt-float-4x4x3", SHAPE_4X4X3), SHAPE_4X4X3, quantised=False)
FLOAT_6X6X3 = _of(econt.architecture("econt-float-6x6x3", SHAPE_6X6X3), SHAPE_6X6X3, quantised=False)
QKERAS_4X4X3 = econt_qkeras.definition("econt-qkeras-4x4x3", SHAPE_4X4X3)
QKERAS_6X6X3 = econt_qkeras.definition("econt-qkeras-6x6x3", SHAPE_6X6X3)
