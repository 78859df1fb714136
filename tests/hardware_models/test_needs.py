"""Pixels that nothing reads are found as a dependency of arrays finds them."""

from dataclasses import replace

import numpy as np
import pytest

from codesign.fixedpoint import FixedPoint
from codesign.hardware import Device, Workload
from codesign.network import Conv, Dense, Flatten, MaxPool, Network, ReLU
from hardware_models.asic import AsicModel
from hardware_models.needs import needed
from search_spaces import econt

FIXED = FixedPoint(0, 5)
IMAGE = FixedPoint(1, 7, signed=False)


def network(size: int, *convolutions: tuple[int, int, int, bool]) -> Network:
    """Convolutions of (filters, kernel, stride, pool), and a dense layer, all weights and biases 1/2."""
    layers: list[object] = []
    for number, (filters, kernel, stride, pool) in enumerate(convolutions):
        layers.append(Conv(f"c{number}", filters, kernel, stride=stride, weight=FIXED, bias=FIXED))
        layers.append(ReLU(f"r{number}", output=IMAGE))
        layers += [MaxPool(f"p{number}", 2)] if pool else []
    layers += [Flatten("f"), Dense("d", 4, weight=FIXED, bias=FIXED), ReLU("o", output=IMAGE)]
    made = Network((size, size, 1), tuple(layers), IMAGE)  # type: ignore[arg-type]
    sizes = {
        f"{layer.name}.{role}": np.full(shape, 16, np.int64)
        for layer, given in zip(made.layers, made.shapes, strict=False)
        for role, shape in layer.weight_shapes(given).items()
    }
    return made.with_weights(sizes)


def read_by_outputs(made: Network) -> list[int]:
    """Sums of each convolution that change an output of a chip whose values are all counted in float."""
    shapes, found = made.shapes, []
    for index, layer in enumerate(made.layers):
        if not isinstance(layer, Conv):
            continue
        rest = replace(
            made,
            layers=made.layers[index + 1 :],
            input_shape=shapes[index + 1],
            chip_layers=None,
            weights={},
        )
        one = np.zeros((int(np.prod(shapes[index + 1])), *shapes[index + 1]))
        one.reshape(len(one), -1)[np.arange(len(one)), np.arange(len(one))] = 1.0
        found.append(int(_ones(rest, one).astype(bool).reshape(len(one), -1).any(axis=1).sum()))
    return found


def _ones(rest: Network, values: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """All weights 1, no bias, no rounding."""
    for layer in rest.layers:
        match layer:
            case Conv():
                padded = np.pad(values, ((0, 0), *layer.pads(values.shape[1:]), (0, 0)))
                rows, columns, _ = layer.output_shape(values.shape[1:])
                made = np.zeros((len(values), rows, columns, 1))
                for i in range(layer.kernel):
                    for j in range(layer.kernel):
                        part = padded[:, i :: layer.stride, j :: layer.stride][:, :rows, :columns]
                        made += part.sum(axis=-1, keepdims=True)
                values = np.repeat(made, layer.units, axis=-1)
            case MaxPool():
                rows, columns, channels = layer.output_shape(values.shape[1:])
                short = [at * 2 - had for at, had in zip((rows, columns), values.shape[1:3], strict=True)]
                padded = np.pad(values, ((0, 0), (0, short[0]), (0, short[1]), (0, 0)))
                values = padded.reshape(len(values), rows, 2, columns, 2, channels).max(axis=(2, 4))
            case Dense():
                values = values.reshape(len(values), -1).sum(axis=1, keepdims=True)
    return values


@pytest.mark.parametrize(
    "given",
    [
        (8, (2, 3, 2, False)),
        (8, (2, 1, 2, False)),
        (8, (2, 1, 1, False), (3, 1, 4, False)),
        (8, (2, 3, 1, False), (2, 3, 4, False)),
        (8, (2, 3, 1, True), (2, 1, 2, False)),
        (8, (2, 3, 1, False), (2, 1, 2, True), (2, 1, 2, False)),
        (7, (2, 1, 2, True), (2, 1, 4, False)),
        (9, (2, 5, 2, False), (2, 1, 4, False), (2, 3, 1, False)),
    ],
)
def test_sums_that_an_output_reads(given: tuple[int, tuple[int, int, int, bool]]) -> None:
    made = network(given[0], *given[1:])
    work = needed(Workload.of([made]))
    assert work.sums[0, :-1].tolist() == read_by_outputs(made)


def test_products_are_those_of_the_windows_that_are_left() -> None:
    work = needed(Workload.of([network(8, (2, 3, 1, False), (3, 1, 4, False))]))
    corners = 2 * 2 * (3 + 2) ** 2 // 4  # pixels (0, 0), (0, 4), (4, 0), (4, 4): 2 or 3 taps an axis
    assert work.products[0, 0] == corners * 2 * 4 // 4
    assert work.products[0, 1] == 4 * 2 * 3


def test_rows_without_a_stride_above_the_kernel_stay_as_they_are() -> None:
    codes = econt.SPACE.sample_codes(500, np.random.default_rng(3), balanced=True)
    work = econt.encoder_workload(econt.SPACE, codes, quantised=True)
    found, passes = needed(work), ((work.stride > work.kernel) & work.present).any(axis=1)
    assert passes.any()
    assert not passes.all()
    for name in ("sums", "products", "activations", "pooled", "outputs"):
        before, after = getattr(work, name), getattr(found, name)
        assert np.array_equal(before[~passes], after[~passes]), name
        assert (after <= before).all(), name
        assert ((after > 0) == (before > 0)).all(), name


def test_what_nothing_reads_costs_nothing_and_is_counted() -> None:
    made = network(8, (2, 1, 1, False), (3, 1, 4, False))
    model, device = AsicModel(), Device()
    estimate = model.estimate(made, device)
    assert estimate.macs == int(Workload.of([made]).macs.sum())
    early = model.estimate(network(8, (2, 1, 4, False), (3, 1, 1, False)), device)
    for name in ("gate_bits", "adder_bits", "increment_bits"):
        assert estimate.features[name] == early.features[name], name
