"""Reading a QONNX file, and the proof that what was read computes the same."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from codesign.errors import CodesignError, NetworkError
from codesign.fixedpoint import FixedPoint, IntArray
from codesign.importing.graph import Graph, load
from codesign.importing.imported import Imported
from codesign.importing.monotone import Affine, Chain
from codesign.importing.walk import Checkpoint, Walk
from codesign.network import Conv, Dense, Network, ReLU, Thresholds

__all__ = ["read_qonnx"]

_PROBES: Final = 8
_FLOAT32_BITS: Final = 24
_EPSILON: Final = 2.0**-_FLOAT32_BITS
_SPARE_TERMS: Final = 16
_BORDERLINE_INPUT: Final = 1e-5

FloatArray = NDArray[np.float64]
Tensors = Mapping[str, NDArray[Any]]


def read_qonnx(
    path: str | Path, *, input_format: FixedPoint | None = None, inputs: NDArray[Any] | None = None
) -> Imported:
    """Read a quantised network from a QONNX file, of Brevitas, of QKeras, or exported here.

    Where all scales are powers of two the layers are those that networks here are made of. Any other scale,
    normalisation or sign goes exactly into the integer thresholds of a ``Thresholds`` layer.

    The file is run by qonnx's executor, layer by layer, and each layer that was read must give the same
    integers on what the executor gives to it. The executor adds in 32-bit floats: where it lands on the other
    side of a rounding boundary, within the error of such a sum, the difference is counted and noted.

    Parameters
    ----------
    path
        The file. Nothing it names is followed.
    input_format
        Format of the input, for a file that does not quantise it; for one that does, the format that the
        device gets, and quantises itself.
    inputs
        Real values, ``(n, *input shape of the file)``, to verify on; None: made-up ones that fill the range.

    Raises
    ------
    NetworkError
        For a file that cannot be read, is no quantised network, or computes something else than was read.
    UnsupportedLayerError
        For a node that is not imported; it is named.
    """
    graph = load(path)
    try:
        walk = Walk(graph, input_format)
        network = walk.builder.network()
        imported = Imported(
            name=Path(path).stem,
            network=network,
            input_shape=graph.input_shape,
            output_shape=walk.output_index.shape[1:],
            notes=(),
            checked={},
            _input_positions=walk.input_positions,
            _input_steps=walk.input_steps,
            _output_positions=walk.output_index.ravel(),
            _output_chain=walk.builder.chain,
        )
        fed = _probes(imported) if inputs is None else np.asarray(inputs, np.float64)
        checked = _verified(graph, walk, imported, fed)
        return replace(imported, notes=_notes(walk, network, checked), checked=checked)
    except CodesignError as error:
        raise type(error)(f"{path}: {error}") from error


def _probes(imported: Imported) -> FloatArray:
    """Inputs over the range of the input, from all but empty to full ones, as the file takes them."""
    rng = np.random.default_rng(0)
    shape = (_PROBES, *imported.input_shape)
    share = np.linspace(0.1, 1.0, _PROBES).reshape(-1, *(1,) * len(imported.input_shape))
    filled = rng.random(shape) < share
    steps, fixed = imported._input_steps, imported.network.input_format
    assert fixed is not None
    if steps is None:
        codes = rng.integers(fixed.minimum, fixed.maximum, shape, endpoint=True)
        return fixed.dequantise(codes * filled)
    finite = (steps.thresholds * steps.sign[:, None])[np.isfinite(steps.thresholds)].astype(np.float64)
    low, high = finite.min(initial=0.0), finite.max(initial=0.0)
    spare = max((high - low) / max(steps.thresholds.shape[1], 1), 1e-3)
    return rng.uniform(low - spare, high + spare, shape).astype(np.float32).astype(np.float64) * filled


def _verified(graph: Graph, walk: Walk, imported: Imported, inputs: FloatArray) -> dict[str, int]:
    """Run the file beside what was read; raise ``NetworkError`` where they differ by more than floats do."""
    network, fixed = imported.network, imported.network.input_format
    assert fixed is not None
    values = imported.values(inputs)
    tensors = _executed(graph, walk, inputs)
    checked = {
        "probes": len(inputs),
        "activations": 0,
        "activations_differ": 0,
        "outputs": 0,
        "outputs_differ": 0,
    }
    layers, codes = 0, fixed.quantise(values)
    for point in walk.checkpoints:
        computed = _run(network, layers, point.layers, codes)
        _require_sums(walk, network, layers, computed, tensors)
        expected = _codes_of(tensors[point.tensor], point, network.shapes[point.layers])
        differ = computed[-1] != expected
        checked["activations"] += differ.size
        checked["activations_differ"] += int(differ.sum())
        if differ.any():
            _require_borderline(walk, imported, layers, point, computed, expected, inputs)
        layers, codes = point.layers, expected
    edges = _run(network, layers, len(network.layers), codes)
    _require_sums(walk, network, layers, edges, tensors)
    _require_near(
        imported.real(edges[-1]),
        tensors[walk.output],
        _allowed(walk.builder.chain, network, layers, len(network.layers)),
        walk.output,
    )
    outputs, expected_outputs = imported.predict(inputs), tensors[walk.output].reshape(len(inputs), -1)
    last = imported.real(edges[-1])
    checked["outputs"] = expected_outputs.size
    checked["outputs_differ"] = int((outputs != last).sum())
    return checked


def _executed(graph: Graph, walk: Walk, inputs: FloatArray) -> Tensors:
    """The tensors to compare with, for all inputs, ``(n, 1, ...)``."""
    names = {walk.output, *(at.tensor for at in walk.checkpoints), *(at.tensor for at in walk.sums)}
    try:
        return graph.execute(inputs, names)
    except Exception as error:
        words = " ".join(str(error).split())[:200]
        raise NetworkError(f"qonnx cannot run it: {type(error).__name__}: {words}") from error


def _run(network: Network, start: int, stop: int, codes: IntArray) -> list[IntArray]:
    """Codes at the edges from ``start`` on, of the layers up to ``stop``."""
    layers = network.layers[start:stop]
    names = {layer.name for layer in layers}
    weights = {name: array for name, array in network.weights.items() if name.rsplit(".", 1)[0] in names}
    fixed = network.formats[start]
    assert fixed is not None
    part = Network(network.shapes[start], layers, fixed, None, weights)
    return [np.asarray(edge, np.int64) for _, edge in part.trace(fixed.dequantise(codes))]


def _codes_of(tensor: NDArray[Any], point: Checkpoint, shape: tuple[int, ...]) -> IntArray:
    """Codes of a quantised tensor, laid out as the edge of the network."""
    values = np.asarray(tensor, np.float64).reshape(len(tensor), *point.positions.shape)
    codes = np.rint(values / point.scale).astype(np.int64)
    flat = np.empty((len(tensor), point.positions.size), np.int64)
    flat[:, point.positions.ravel()] = codes.reshape(len(tensor), -1)
    return flat.reshape(-1, *shape)


def _require_borderline(
    walk: Walk,
    imported: Imported,
    start: int,
    point: Checkpoint,
    edges: list[IntArray],
    expected: IntArray,
    inputs: FloatArray,
) -> None:
    """Raise unless each difference lies so near a rounding boundary that float32 cannot tell."""
    network, computed = imported.network, edges[-1]
    differ = computed != expected
    if point.layers == 0:
        wrong = differ & ~_borderline_input(imported, inputs)
    else:
        layer = network.layers[point.layers - 1]
        if isinstance(layer, Thresholds):
            exact = walk.builder.exact[layer.name]
            largest = np.abs(np.where(np.isfinite(exact), exact, 0.0)).max(axis=1)
            error = _sum_error(network, start, point.layers) + _SPARE_TERMS * _EPSILON * largest
            wrong = differ & (_distance(exact, network, layer, edges[-2], computed, expected) > error)
        else:
            wrong = (
                differ
                if _accumulator_bits(network, start, point.layers) <= _FLOAT32_BITS
                else (np.abs(computed - expected) > 1)
            )
    if wrong.any():
        first = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise NetworkError(
            f"tensor {point.tensor!r} was read otherwise than qonnx's executor computes it: "
            f"{int(wrong.sum())} of {wrong.size} codes, the first at {first}: {computed[first]} instead of "
            f"{expected[first]}; this is a fault of the import, please report the file"
        )


def _borderline_input(imported: Imported, inputs: FloatArray) -> NDArray[np.bool_]:
    """Whether an input lies within float32 error of a threshold of the file's input quantiser."""
    steps, values = imported._input_steps, imported.arranged(inputs)
    if steps is None:
        return np.zeros(values.shape, bool)
    spare = _BORDERLINE_INPUT * (
        np.abs(values) + np.abs(steps.thresholds[np.isfinite(steps.thresholds)]).max()
    )
    return np.asarray(steps.codes(values - spare) != steps.codes(values + spare))


def _distance(
    exact: FloatArray,
    network: Network,
    layer: Thresholds,
    accumulator: IntArray,
    computed: IntArray,
    expected: IntArray,
) -> FloatArray:
    """How far, in units of the accumulator, the farthest threshold between two codes is."""
    signed = (accumulator * network.weights[f"{layer.name}.sign"]).astype(np.float64)
    channel = np.broadcast_to(np.arange(exact.shape[0]), accumulator.shape)
    ends = [((codes - layer.first) // layer.step) for codes in (computed, expected)]
    last = exact.shape[1] - 1
    edges = (np.minimum(*ends).clip(0, last), (np.maximum(*ends) - 1).clip(0, last))
    return np.asarray(np.max([np.abs(signed - exact[channel, edge]) for edge in edges], axis=0))


def _sum_error(network: Network, start: int, stop: int) -> float:
    """Worst error of the executor's float32 sums in layers ``start`` to ``stop``, in accumulator units.

    The standard bound ``terms * epsilon * sum of magnitudes`` (Higham, Accuracy and Stability of Numerical
    Algorithms, section 3.1), with some terms more for the scaling.
    """
    error = 0.0
    for index in range(start, stop):
        layer, fixed = network.layers[index], network.formats[index]
        if isinstance(layer, Conv | Dense):
            assert fixed is not None
            weight = np.abs(network.weights[f"{layer.name}.weight"]).astype(np.float64)
            largest = weight.reshape(-1, layer.units).sum(axis=0).max() * max(-fixed.minimum, fixed.maximum)
            error = (
                (layer.fan_in(network.shapes[index]) + _SPARE_TERMS) * _EPSILON * max(float(largest), error)
            )
    return error


def _accumulator_bits(network: Network, start: int, stop: int) -> int:
    widths = [fixed.width for fixed in network.formats[start : stop + 1] if fixed is not None]
    return max(widths, default=0)


def _require_sums(walk: Walk, network: Network, start: int, edges: list[IntArray], tensors: Tensors) -> None:
    """Check the sums of the layers from ``start`` on whose outputs are in ``edges``."""
    for made in walk.sums:
        if not start <= made.layer < start + len(edges) - 1:
            continue
        layer, fixed = network.layers[made.layer], network.formats[made.layer + 1]
        assert isinstance(layer, Conv | Dense)
        assert layer.bias is not None
        assert fixed is not None
        bias = network.weights[f"{layer.name}.bias"].astype(np.int64)
        shift = fixed.fraction_bits - layer.bias.fraction_bits
        real = made.chain.real(fixed.dequantise(edges[made.layer + 1 - start] - (bias << shift)))
        laid_out = real.reshape(len(real), -1)[:, made.positions.ravel()]
        _require_near(
            laid_out, tensors[made.tensor], _allowed(made.chain, network, start, made.layer + 1), made.tensor
        )


def _allowed(chain: Chain, network: Network, start: int, stop: int) -> tuple[float, float]:
    """Error of the executor's floats behind a chain of the edge ``stop``: absolute, and of the value."""
    fixed = network.formats[stop]
    assert fixed is not None
    slope, offset = 1.0, 0.0
    for part in chain.parts:
        if isinstance(part, Affine):
            by, add = (float(np.abs(held.astype(np.float64)).max()) for held in (part.factor, part.offset))
            slope, offset = slope * by, offset * by + add
    relative = _SPARE_TERMS * _EPSILON
    return _sum_error(network, start, stop) * fixed.scale * slope + relative * offset, relative


def _require_near(real: FloatArray, tensor: NDArray[Any], allowed: tuple[float, float], name: str) -> None:
    expected = np.asarray(tensor, np.float64).reshape(real.shape[0], -1)
    off = np.abs(real.reshape(expected.shape) - expected)
    if (off > allowed[0] + allowed[1] * np.abs(expected).max(initial=0.0)).any():
        raise NetworkError(
            f"tensor {name!r} was read otherwise than qonnx's executor computes it, by up to {off.max():g}; "
            "this is a fault of the import, please report the file"
        )


def _notes(walk: Walk, network: Network, checked: Mapping[str, int]) -> tuple[str, ...]:
    notes = [f"{node} was left out: the order of the outputs is the same without it" for node in walk.dropped]
    if walk.input_steps is not None:
        notes.append(
            f"the file's quantiser of the input, {walk.input_steps.thresholds.shape[1] + 1} codes, runs "
            "before the network and is not priced"
        )
    made = [layer.name for layer in network.layers if isinstance(layer, Thresholds)]
    if made:
        notes.append(
            f"{len(made)} activations are integer thresholds: they are signed, or their scales or "
            "normalisations are no powers of two"
        )
    even = [
        layer.name
        for layer, before in zip(network.layers, network.formats, strict=False)
        if isinstance(layer, ReLU)
        and layer.output is not None
        and layer.output.rounding == "half_even"
        and before is not None
        and before.fraction_bits > layer.output.fraction_bits
    ]
    if even:
        notes.append(f"{len(even)} activations round half to even behind an accumulator, as the file says")
    if any(layer.step == 2 for layer in network.layers if isinstance(layer, Thresholds)) or walk.bipolar:
        notes.append("values -1 and 1 are held, and priced, as codes of 2 bits")
    if checked["activations_differ"]:
        notes.append(
            f"qonnx's executor adds in 32-bit floats and rounds {checked['activations_differ']} of "
            f"{checked['activations']} activations of {checked['probes']} probes otherwise than exact "
            f"arithmetic; {checked['outputs_differ']} of {checked['outputs']} outputs differ for it"
        )
    return tuple(notes)
