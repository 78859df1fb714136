"""What can be counted of the ECON-T study without training: parameters, operations, designs, tiles."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from codesign.errors import SpaceError
from codesign.hardware import Workload
from codesign.network import Network
from search_spaces import econt_float

Values = dict[str, Any]


def conv(number: int, filters: int, kernel: int, stride: int, pooling: bool = False) -> Values:
    values = {"filters": filters, "kernel": kernel, "stride": stride, "pooling": pooling}
    return {f"{name}_{number}": value for name, value in values.items()}


# Encoder and decoder parameters (None: not published), operations and multiply-accumulates of the encoder.
PUBLISHED: tuple[tuple[str, Values, int, int | None, int, int], ...] = (
    ("c8 k3 S2", conv(1, 8, 3, 2), 2_144, 2_833, 6_544, 3_200),
    ("c64 k3 S1", conv(1, 64, 3, 1), 66_192, 107_137, 208_912, 102_400),
    ("c8 k3 S1", conv(1, 8, 3, 1), 8_288, None, 26_128, 12_800),
    ("c64 k3 S2", conv(1, 64, 3, 2), 17_040, None, 52_240, 25_600),
    ("c8 k3 S2, pooled", conv(1, 8, 3, 2, True), 608, None, 3_600, 1_664),
    ("dense 64", {"units_1": 64}, 5_200, None, 10_320, 5_120),
    ("c32 k5 S2, pooled, dense 64", conv(1, 32, 5, 2, True) | {"units_1": 64}, 10_128, None, 45_136, 22_016),
)

# The distinct rows of the slides' table of Ax; the second is listed six times.
AX_ROWS: tuple[Values, ...] = (
    conv(1, 32, 5, 4) | conv(2, 16, 3, 4),
    conv(1, 8, 5, 1, True),
    conv(1, 8, 5, 2) | conv(2, 4, 5, 1, True),
    conv(1, 32, 5, 2) | conv(2, 32, 1, 1, True) | conv(3, 4, 3, 2, True),
)


@dataclass(frozen=True)
class Row:
    """One network: what was published of it and what is counted here."""

    name: str
    values: tuple[tuple[str, int, int], ...]


def sizes() -> list[Row]:
    """Parameters and operations of the published table."""
    rows = []
    for name, values, encoder, decoder, operations, macs in PUBLISHED:
        network = econt_float.build(econt_float.SPACE.candidate(values))
        work, whole = Workload.of([network.chip]), parameters(network)
        counted = int((work.weights + work.biases).sum())
        found = [
            ("encoder parameters", encoder, counted),
            ("operations", operations, int(work.operations.sum())),
            ("MACs", macs, int(work.macs.sum())),
        ]
        if decoder is not None:
            found.append(("decoder parameters", decoder, whole - counted))
        rows.append(Row(name, tuple(found)))
    return rows


def parameters(network: Network) -> int:
    """Weights and biases of a whole network."""
    pairs = zip(network.layers, network.shapes, strict=False)
    return sum(
        int(np.prod(shape)) for layer, before in pairs for shape in layer.weight_shapes(before).values()
    )


def not_decodable() -> int:
    """Rows of the slides' table whose strides and poolings leave no image to decode."""
    refused = 0
    for values in AX_ROWS:
        try:
            econt_float.SPACE.candidate(values)
        except SpaceError:
            refused += 1
    return refused


def tiles() -> int:
    """Layer counts in the code of the search: 1 to 3 convolutions by 0 to 3 dense layers."""
    return len(range(1, 4)) * len(range(4))
