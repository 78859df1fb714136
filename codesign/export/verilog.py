"""The chip as Verilog-2001: a top module that joins hand-written ones, which lie in ``verilog_modules``.

With reloadable weights every layer has its own multipliers for every product, and weights and biases stand in
registers that are written one word at a time; only the top is generated. With constant weights the top joins
the stages that ``distributed`` writes. No name of a user becomes an identifier: layers are numbered.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from textwrap import wrap
from typing import Final

import numpy as np
from numpy.typing import NDArray

from codesign.errors import UnsupportedLayerError
from codesign.fixedpoint import FixedPoint, IntArray
from codesign.hardware import Device
from codesign.network import (
    Conv,
    ConvTranspose,
    Dense,
    Flatten,
    Layer,
    MaxPool,
    Network,
    ReLU,
    Reshape,
    Upsample,
    same_padding,
)

__all__ = [
    "TOP",
    "LoadPort",
    "WeightBlock",
    "constant_modules",
    "constant_top",
    "injector_source",
    "load_port",
    "load_sequence",
    "module_source",
    "modules",
    "multipliers",
    "pipeline_bits",
    "stage_ends",
    "top",
    "weight_blocks",
]

TOP: Final = "codesign_chip"
"""Name of the top module."""

_AFFINE = Conv | ConvTranspose | Dense
_ROUNDINGS: Final = {"truncate": 0, "half_up": 1, "half_even": 2}


@dataclass(frozen=True, slots=True)
class WeightBlock:
    """Words of one layer at consecutive addresses.

    Parameters
    ----------
    layer
        Index of the layer in the chip.
    role
        ``weight`` (unit by unit; each row, column and channel of its kernel) or ``bias``.
    base
        Address of the first word.
    count
        Words.
    width
        Bits of a word.
    """

    layer: int
    role: str
    base: int
    count: int
    width: int


@dataclass(frozen=True, slots=True)
class LoadPort:
    """Widths of the port that weights are loaded through, and how many words it takes."""

    words: int
    address_width: int
    data_width: int


def weight_blocks(chip: Network) -> tuple[WeightBlock, ...]:
    """Where weights and biases are loaded: layer after layer, its weights and then its biases."""
    blocks: list[WeightBlock] = []
    base = 0
    for index, layer in enumerate(chip.layers):
        if not isinstance(layer, _AFFINE):
            continue
        for role, shape in layer.weight_shapes(chip.shapes[index]).items():
            fixed: FixedPoint = getattr(layer, role)
            blocks.append(WeightBlock(index, role, base, int(np.prod(shape)), fixed.width))
            base += blocks[-1].count
    return tuple(blocks)


def load_port(chip: Network) -> LoadPort | None:
    """The load port of a chip; None where it has no weights."""
    blocks = weight_blocks(chip)
    if not blocks:
        return None
    words = blocks[-1].base + blocks[-1].count
    return LoadPort(words, max((words - 1).bit_length(), 1), max(block.width for block in blocks))


def load_sequence(chip: Network) -> IntArray:
    """Codes of all weights and biases in the order of their addresses."""
    parts = [_unit_major(chip, block).ravel() for block in weight_blocks(chip)]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _unit_major(chip: Network, block: WeightBlock) -> NDArray[np.int64]:
    layer = chip.layers[block.layer]
    array = np.asarray(chip.weights[f"{layer.name}.{block.role}"], np.int64)
    if block.role == "bias":
        return array
    units = array.ndim - (2 if isinstance(layer, ConvTranspose) else 1)
    return np.moveaxis(array, units, 0)


def stage_ends(chip: Network) -> tuple[int, ...]:
    """Layers that a pipeline register follows: the last before each convolution or dense layer but the first.

    A stage is such a layer with the activation, pooling and wiring behind it; the outputs are registered too.
    So the latency is the number of convolution and dense layers.
    """
    starts = [index for index, layer in enumerate(chip.layers) if isinstance(layer, _AFFINE)]
    return (*(start - 1 for start in starts[1:]), len(chip.layers) - 1) if starts else ()


def pipeline_bits(chip: Network) -> int:
    """Bits of the pipeline registers, each counted once."""
    return sum(_bits(chip, end + 1) for end in stage_ends(chip))


def multipliers(chip: Network) -> int:
    """Products of a weight and an input on the image: those with padding are none."""
    total = 0
    for index, layer in enumerate(chip.layers):
        if isinstance(layer, Dense):
            total += layer.units * chip.shapes[index][0]
        elif isinstance(layer, Conv | ConvTranspose):
            shape, output = chip.shapes[index], chip.shapes[index + 1]
            along = [_taps(layer, size, grown) for size, grown in zip(shape[:2], output[:2], strict=True)]
            total += along[0] * along[1] * shape[2] * layer.units
    return total


def _taps(layer: Conv | ConvTranspose, size: int, output: int) -> int:
    """Pairs of an output and an input position that the kernel joins, along one axis."""
    if isinstance(layer, Conv):
        before = same_padding(size, layer.kernel, layer.stride)[0]
        reads = [at * layer.stride + tap - before for at in range(output) for tap in range(layer.kernel)]
        return sum(0 <= read < size for read in reads)
    crop = max(layer.kernel - layer.stride, 0) // 2
    writes = [at * layer.stride + tap - crop for at in range(size) for tap in range(layer.kernel)]
    return sum(0 <= write < output for write in writes)


def modules(chip: Network, device: Device) -> tuple[str, ...]:
    """Names of the hand-written modules that the top needs."""
    names = set()
    for layer in chip.layers:
        name = _MODULE_OF.get(type(layer))
        if name is not None:
            names.add(name)
        if isinstance(layer, _AFFINE):
            names |= {"codesign_products", "codesign_words", "codesign_register"}
    if "codesign_register" in names and device.redundancy != "none":
        names.add("codesign_copy")
    return tuple(sorted(names))


_MODULE_OF: Final[Mapping[type[Layer], str]] = {
    Conv: "codesign_conv",
    ConvTranspose: "codesign_conv_transpose",
    Dense: "codesign_products",
    ReLU: "codesign_relu",
    MaxPool: "codesign_max_pool",
    Upsample: "codesign_upsample",
}


def module_source(name: str) -> str:
    """Text of a hand-written module."""
    return files("codesign.export").joinpath("verilog_modules", f"{name}.v").read_text(encoding="utf-8")


def injector_source() -> str:
    """C++ that flips registers under Verilator."""
    return files("codesign.export").joinpath("verilog_modules", "upsets.cpp").read_text(encoding="utf-8")


def top(chip: Network, device: Device) -> str:
    """The top module ``codesign_chip``.

    Ports: ``inputs`` and ``outputs`` (one bus each, value 0 in the low bits, channels last), and, where there
    are weights, ``clock``, ``load_enable``, ``load_address``, ``load_data``.
    """
    lines: list[str] = []
    ends = stage_ends(chip) if device.pipelined else ()
    bus = "inputs"
    for index, layer in enumerate(chip.layers):
        lines += ["", f"// Layer {index + 1}: {_described(layer)}, gives {_edge(chip, index + 1)}"]
        statements, bus = _layer(chip, index, bus, device)
        lines += statements
        if index in ends:
            lines += _register(index + 1, _bits(chip, index + 1), bus, device)
            bus = f"stage_{index + 1}"
    lines += ["", f"assign outputs = {bus};"]
    return _top(chip, device, len(ends), load_port(chip), lines)


def constant_top(chip: Network, device: Device, widths: Sequence[int]) -> str:
    """The top module of a chip with constant weights.

    Parameters
    ----------
    chip, device
        What it is made for.
    widths
        Bits of the bus in front of the first stage, between stages, and behind the last. A register follows
        each stage where the device is pipelined.
    """
    lines: list[str] = []
    bus = "inputs"
    for number, width in enumerate(widths[1:], 1):
        lines += ["", f"wire [{width - 1}:0] logic_{number};"]
        lines.append(f"codesign_stage_{number} combinational_{number} (.x({bus}), .y(logic_{number}));")
        bus = f"logic_{number}"
        if device.pipelined:
            lines += _register(number, width, bus, device)
            bus = f"stage_{number}"
    lines += ["", f"assign outputs = {bus};"]
    return _top(chip, device, len(widths) - 1 if device.pipelined else 0, None, lines)


def constant_modules(device: Device) -> tuple[str, ...]:
    """Names of the hand-written modules that a top with constant weights needs."""
    names = ("codesign_register",) if device.pipelined else ()
    return (*names, "codesign_copy") if names and device.redundancy == "all" else names


def _top(chip: Network, device: Device, latency: int, port: LoadPort | None, lines: Sequence[str]) -> str:
    return _TOP.format(
        weights="reloadable" if device.weights == "reloadable" else "constant",
        ports=_ports(chip, port, latency > 0),
        body="\n".join(f"  {line}".rstrip() for line in lines),
        head=_head(chip, device, port, latency),
    )


def _described(layer: Layer) -> str:
    """Kind and name for a comment: one line of ASCII, whatever the name."""
    return f"{type(layer).__name__} {json.dumps(layer.name)}"


def _ports(chip: Network, port: LoadPort | None, registered: bool) -> str:
    found = ["input  wire clock"] if port is not None or registered else []
    if port is not None:
        found += [
            "input  wire load_enable",
            f"input  wire [{port.address_width - 1}:0] load_address",
            f"input  wire [{port.data_width - 1}:0] load_data",
        ]
    found += [
        f"input  wire [{_bits(chip, 0) - 1}:0] inputs",
        f"output wire [{_bits(chip, -1) - 1}:0] outputs",
    ]
    return ",\n".join(f"    {line}" for line in found)


def _head(chip: Network, device: Device, port: LoadPort | None, latency: int) -> str:
    lines = [
        f"inputs    {_edge(chip, 0)}",
        f"outputs   {_edge(chip, -1)}",
        f"latency   {latency} clock edges, one frame each clock"
        if latency
        else "latency   none: combinational from inputs to outputs",
        f"upsets    redundancy {device.redundancy}",
    ]
    if port is not None:
        lines.append(
            f"load      {port.words} words; at an edge with load_enable, load_data goes to load_address:"
        )
        lines += [
            f"          {block.base} to {block.base + block.count - 1}: {block.role} of layer "
            f"{block.layer + 1}, low {block.width} bits"
            for block in weight_blocks(chip)
        ]
    return "\n".join(f"// {line}" for line in lines)


def _edge(chip: Network, edge: int) -> str:
    shape, fixed = chip.shapes[edge], chip.formats[edge]
    assert fixed is not None
    sign = "signed" if fixed.signed else "unsigned"
    return f"{'x'.join(map(str, shape))} of {fixed.width} bits, {sign}, LSB 2**{-fixed.fraction_bits}"


def _bits(chip: Network, edge: int) -> int:
    fixed = chip.formats[edge]
    assert fixed is not None
    return int(np.prod(chip.shapes[edge])) * fixed.width


def _register(number: int, width: int, bus: str, device: Device) -> list[str]:
    name = f"stage_{number}"
    return [
        f"wire [{width - 1}:0] {name};",
        f"codesign_register #(.WIDTH({width}), .TRIPLICATED({int(device.redundancy == 'all')}))",
        f"    register_{number} (.clock(clock), .next({bus}), .value({name}));",
    ]


def _layer(chip: Network, index: int, bus: str, device: Device) -> tuple[list[str], str]:
    """Statements of a layer, and the bus that it drives; Flatten and Reshape are the bus they read."""
    layer = chip.layers[index]
    if isinstance(layer, Flatten | Reshape):
        return [], bus
    name = f"layer_{index + 1}"
    connections = {"x": bus, "y": f"{name}_out"}
    lines = [f"wire [{_bits(chip, index + 1) - 1}:0] {name}_out;"]
    if isinstance(layer, _AFFINE):
        for block in weight_blocks(chip):
            if block.layer == index:
                lines += _words(block, name, chip, device)
        connections |= {"weights": f"{name}_weights", "biases": f"{name}_biases"}
    module = _MODULE_OF[type(layer)]
    lines += _instance(module, name, _parameters(chip, index), connections)
    return lines, f"{name}_out"


def _words(block: WeightBlock, name: str, chip: Network, device: Device) -> Iterator[str]:
    port = load_port(chip)
    assert port is not None
    plural = "weights" if block.role == "weight" else "biases"
    yield f"wire [{block.count * block.width - 1}:0] {name}_{plural};"
    parameters = {
        "COUNT": block.count,
        "WIDTH": block.width,
        "BASE": block.base,
        "ADDRESS_WIDTH": port.address_width,
        "TRIPLICATED": int(device.redundancy != "none"),
    }
    connections = {
        "clock": "clock",
        "load_enable": "load_enable",
        "load_address": "load_address",
        "load_data": f"load_data[{block.width - 1}:0]",
        "words": f"{name}_{plural}",
    }
    yield from _instance("codesign_words", f"{name}_{plural}_store", parameters, connections)


def _instance(
    module: str, name: str, parameters: Mapping[str, int], connections: Mapping[str, str]
) -> list[str]:
    given = ", ".join(f".{key}({value})" for key, value in parameters.items())
    wired = ", ".join(f".{key}({value})" for key, value in connections.items())
    return [
        f"{module} #(",
        *wrap(given, 96, initial_indent="    ", subsequent_indent="    "),
        f") {name} (",
        *wrap(wired, 96, initial_indent="    ", subsequent_indent="    "),
        ");",
    ]


def _parameters(chip: Network, index: int) -> dict[str, int]:
    layer, shape, before, after = (
        chip.layers[index],
        chip.shapes[index],
        chip.formats[index],
        chip.formats[index + 1],
    )
    assert before is not None
    assert after is not None
    word = {"X_WIDTH": before.width, "X_SIGNED": int(before.signed)}
    image = dict(zip(("HEIGHT", "WIDTH", "CHANNELS"), shape, strict=False))
    match layer:
        case Conv() | ConvTranspose() | Dense():
            return _affine_parameters(layer, shape, chip.shapes[index + 1], before, after)
        case ReLU():
            return {
                "COUNT": int(np.prod(shape)),
                **word,
                "SHIFT": before.fraction_bits - after.fraction_bits,
                "ROUNDING": _ROUNDINGS[after.rounding],
                "SATURATE": int(layer.output is None or after.overflow == "saturate"),
                "Y_WIDTH": after.width,
                "Y_SIGNED": int(after.signed),
            }
        case MaxPool():
            return {**image, "SIZE": layer.size, **word}
        case Upsample():
            return {**image, "SIZE": layer.size, "X_WIDTH": before.width}
    raise UnsupportedLayerError(f"rtl: layer {layer.name!r} is of kind {type(layer).__name__}")


def _affine_parameters(
    layer: Conv | ConvTranspose | Dense,
    shape: tuple[int, ...],
    output: tuple[int, ...],
    before: FixedPoint,
    after: FixedPoint,
) -> dict[str, int]:
    assert layer.weight is not None
    assert layer.bias is not None
    parameters: dict[str, int] = {"UNITS": layer.units}
    if isinstance(layer, Dense):
        parameters["TAPS"] = shape[0]
    else:
        parameters |= dict(zip(("HEIGHT", "WIDTH", "CHANNELS"), shape, strict=True))
        parameters |= {"KERNEL": layer.kernel, "STRIDE": layer.stride}
        parameters |= {"OUT_HEIGHT": output[0], "OUT_WIDTH": output[1]}
    if isinstance(layer, Conv):
        tops = [same_padding(size, layer.kernel, layer.stride)[0] for size in shape[:2]]
        parameters |= {"PAD_TOP": tops[0], "PAD_LEFT": tops[1]}
    elif isinstance(layer, ConvTranspose):
        parameters["CROP"] = max(layer.kernel - layer.stride, 0) // 2
    return parameters | {
        "X_WIDTH": before.width,
        "X_SIGNED": int(before.signed),
        "WEIGHT_WIDTH": layer.weight.width,
        "WEIGHT_SIGNED": int(layer.weight.signed),
        "BIAS_WIDTH": layer.bias.width,
        "BIAS_SIGNED": int(layer.bias.signed),
        "BIAS_SHIFT": after.fraction_bits - layer.bias.fraction_bits,
        "Y_WIDTH": after.width,
    }


_TOP: Final = """\
// Chip of a quantised network: fully parallel, {weights} weights.
// Buses hold value 0 in their low bits, channels last (row, column, channel); signed values are two's
// complement.
//
{head}
module codesign_chip (
{ports}
);
{body}
endmodule
"""
