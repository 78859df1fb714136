"""Constant weights as Verilog: da4ml finds the adder graph, this module traces the chip and writes the graph.

da4ml (Sun et al., "da4ml: Distributed Arithmetic for Real-time Neural Networks on FPGAs",
arXiv:2507.04535) turns the products with a constant matrix into few shared adders. It is LGPL-3 and imported
only here, inside functions; none of its sources is copied into what is written.

All values are integer codes, so that a step is 1 everywhere and the interpreter's rules can be written down
as they are. A variable of the graph is the integer ``value / step`` in the narrowest signed wire; steps are
powers of two.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import product
from math import log2
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from codesign.fixedpoint import FixedPoint
from codesign.hardware import Device
from codesign.network import (
    Conv,
    ConvTranspose,
    Dense,
    MaxPool,
    Network,
    ReLU,
    Upsample,
    same_padding,
)
from codesign.tools import require_package

__all__ = ["ADDER_LEVEL_NS", "MAX_WEIGHT_BITS", "Logic", "logic"]

ADDER_LEVEL_NS: Final = 1.5
"""Delay assumed of one adder of the graph with its wires, in ns, when stages are cut; an assumption for a
65-nm process at its slow corner, not a measurement. Synthesis says what it is."""

MAX_WEIGHT_BITS: Final = 16
"""Weights are searched as single-precision floats by da4ml; this many bits are exact with room for sums."""

Variables = NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Logic:
    """Combinational stages between buses.

    Parameters
    ----------
    modules
        Verilog of each stage, in order; module ``codesign_stage_1`` and so on with ports ``x`` and ``y``.
    widths
        Bits of the bus in front of the first stage, between stages, and behind the last.
    adder_bits
        da4ml's cost of the graph: full adders, by its count.
    adder_levels
        Adders on the longest path.
    operations
        Nodes of the graph.
    """

    modules: tuple[str, ...]
    widths: tuple[int, ...]
    adder_bits: float
    adder_levels: float
    operations: int


def logic(chip: Network, device: Device) -> Logic:
    """The chip as an adder graph in Verilog.

    Parameters
    ----------
    chip
        Fitted, with a format at every edge.
    device
        ``pipelined`` cuts it into stages of one clock period by ``ADDER_LEVEL_NS``.

    Raises
    ------
    MissingToolError
        Without da4ml.
    """
    require_package("da4ml", "rtl")
    trace: Any = import_module("da4ml.trace")
    levels = max(int(device.period_ns / ADDER_LEVEL_NS), 1) if device.pipelined else -1
    inputs, outputs = _traced(chip, trace, levels)
    live = [output for output in outputs.ravel() if not _constant(output)]
    before, after = chip.formats[0], chip.formats[-1]
    assert before is not None
    assert after is not None
    widths = [inputs.size * before.width]
    if not live:
        stage = _Stage(1, [], [], [])
        modules = [stage.text(_input_fields(inputs.size, before), _fields(outputs, after, []))]
        return Logic(tuple(modules), (widths[0], outputs.size * after.width), 0.0, 0.0, 0)
    graph = trace.comb_trace(inputs.ravel(), live, keep_dead_inputs=True)
    stages = [graph]
    if device.pipelined:
        stages = list(trace.to_pipeline(graph, levels, retiming=True, verbose=False).solutions)
    modules = []
    fields = _input_fields(inputs.size, before)
    for number, part in enumerate(stages, 1):
        stage = _Stage(
            number, part.ops, part.out_idxs, list(zip(part.out_shifts, part.out_negs, strict=True))
        )
        following = stage.fields() if number < len(stages) else _fields(outputs, after, stage.results())
        modules.append(stage.text(fields, following))
        widths.append(sum(field.width for field in following))
        fields = following
    return Logic(tuple(modules), tuple(widths), float(graph.cost), float(max(graph.latency)), len(graph.ops))


def _constant(variable: Any) -> bool:
    return bool(variable.low == variable.high)


def _traced(chip: Network, trace: Any, levels: int) -> tuple[Variables, Variables]:
    """Variables of the inputs and of the outputs, both of the shapes of the chip."""
    fixed, shape = chip.formats[0], chip.shapes[0]
    assert fixed is not None
    full = np.ones(shape)
    array = trace.FixedVariableArray.from_lhs(
        full * fixed.minimum, full * fixed.maximum, full, hwconf=trace.HWConfig(1, -1, levels)
    )
    inputs: Variables = array._vars
    value = inputs
    for index, layer in enumerate(chip.layers):
        before, after = chip.formats[index], chip.formats[index + 1]
        assert before is not None
        assert after is not None
        match layer:
            case Conv() | ConvTranspose() | Dense():
                value = _affine(chip, index, value, trace)
            case ReLU():
                value = _each(value, lambda v, b=before, o=layer.output: _relu(v, b, o))
            case MaxPool():
                value = _max_pool(value, layer.size)
            case Upsample():
                value = value.repeat(layer.size, axis=0).repeat(layer.size, axis=1)
            case _:
                value = value.reshape(chip.shapes[index + 1])
    return inputs, value


def _each(value: Variables, function: Any) -> Variables:
    result = np.empty(value.size, dtype=object)
    for index, variable in enumerate(value.ravel()):
        result[index] = function(variable)
    return result.reshape(value.shape)


def _affine(chip: Network, index: int, value: Variables, trace: Any) -> Variables:
    layer, before, after = chip.layers[index], chip.formats[index], chip.formats[index + 1]
    assert isinstance(layer, Conv | ConvTranspose | Dense)
    assert before is not None
    assert after is not None
    assert layer.bias is not None
    bias = chip.weights[f"{layer.name}.bias"].astype(np.int64) << (
        after.fraction_bits - layer.bias.fraction_bits
    )
    result = np.empty(chip.shapes[index + 1], dtype=object)
    for place, taps, matrix in _products(chip, index, value):
        sums = _sums(taps, matrix, trace)
        for unit, (total, offset) in enumerate(zip(sums, bias.tolist(), strict=True)):
            result[(*place, unit)] = total + float(offset)
    return result


def _products(
    chip: Network, index: int, value: Variables
) -> Iterator[tuple[tuple[int, ...], Variables, NDArray[np.float64]]]:
    """Place of each output vector, the inputs that reach it, and their matrix ``(inputs, units)``."""
    layer = chip.layers[index]
    weight = chip.weights[f"{layer.name}.weight"].astype(np.float64)
    if isinstance(layer, Dense):
        yield (), value, weight
        return
    assert isinstance(layer, Conv | ConvTranspose)
    for row, column in product(*map(range, chip.shapes[index + 1][:2])):
        taps: list[Any] = []
        rows: list[NDArray[np.float64]] = []
        for i, j in product(range(layer.kernel), repeat=2):
            source = _source(layer, value.shape[:2], (row, column), (i, j))
            if source is not None:
                taps += value[source].tolist()
                rows += list(weight[i, j] if isinstance(layer, Conv) else weight[i, j].T)
        matrix = np.array(rows).reshape(len(taps), layer.units)
        yield (row, column), _objects(taps), matrix


def _objects(items: Sequence[Any]) -> Variables:
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def _source(
    layer: Conv | ConvTranspose, sizes: Sequence[int], place: tuple[int, int], tap: tuple[int, int]
) -> tuple[int, int] | None:
    """Pixel of the input that a tap of the kernel reads for an output pixel; None outside the image."""
    found = []
    for size, at, offset in zip(sizes, place, tap, strict=True):
        if isinstance(layer, Conv):
            position = at * layer.stride + offset - same_padding(size, layer.kernel, layer.stride)[0]
        else:
            reach = max(layer.kernel - layer.stride, 0) // 2
            position, phase = divmod(at + reach - offset, layer.stride)
            if phase:
                return None
        if not 0 <= position < size:
            return None
        found.append(position)
    return found[0], found[1]


def _sums(taps: Variables, matrix: NDArray[np.float64], trace: Any) -> list[Any]:
    """``taps @ matrix``; columns without a weight and inputs that are constant do not reach the solver."""
    fixed = [_constant(tap) for tap in taps]
    offsets = sum(
        (float(tap.low) * row for tap, row, known in zip(taps, matrix, fixed, strict=True) if known),
        np.zeros(matrix.shape[1]),
    )
    rows = [k for k, known in enumerate(fixed) if not known and matrix[k].any()]
    columns = np.flatnonzero(matrix[rows].any(axis=0)) if rows else np.array([], dtype=int)
    example = taps[0] if len(taps) else None
    hwconf = example.hwconf if example is not None else trace.HWConfig(1, -1, -1)
    totals: list[Any] = [trace.FixedVariable.from_const(0.0, hwconf, 1) for _ in range(matrix.shape[1])]
    if len(columns):
        solved = trace.FixedVariableArray(_objects(taps[rows].tolist())) @ matrix[rows][:, columns]
        for column, total in zip(columns, solved._vars, strict=True):
            totals[column] = total
    return [total + float(offset) for total, offset in zip(totals, offsets, strict=True)]


def _relu(variable: Any, before: FixedPoint, output: FixedPoint | None) -> Any:
    """``max(x, 0)`` rounded into ``output``; rounding keeps order and zero, so it may come first or last."""
    rectified = variable.relu()
    if output is None:
        return rectified
    shift = before.fraction_bits - output.fraction_bits
    if shift > 0:
        rectified = _rounded(rectified, shift, output.rounding)
    return _fitted(rectified * 2.0**-shift, output)


def _rounded(variable: Any, shift: int, rounding: str) -> Any:
    """Multiple of ``2**shift`` that a value of at least 0 is rounded to."""
    half = float(1 << (shift - 1))
    if rounding == "half_up":
        variable = variable + half
    elif rounding == "half_even":
        odd = variable.quantize(0, shift + 1, -shift) * 2.0**-shift
        variable = variable + odd + (half - 1.0)
    return variable.relu(None, -shift, "TRN")


def _fitted(variable: Any, output: FixedPoint) -> Any:
    """A value of at least 0 brought into the range by the format's overflow."""
    if variable.high <= output.maximum:
        return variable
    if output.overflow == "wrap":
        return variable.quantize(int(output.signed), output.width - output.signed, 0)
    bits = output.width - output.signed
    beyond = variable.quantize(0, max(int(variable.kif[1]), bits + 1), -bits).unary_bit_op("any")
    return beyond.msb_mux(float(output.maximum), variable.quantize(0, bits, 0))


def _max_pool(value: Variables, size: int) -> Variables:
    height, width, channels = value.shape
    result = np.empty((-(-height // size), -(-width // size), channels), dtype=object)
    for row, column, channel in product(*map(range, result.shape)):
        window = value[row * size : (row + 1) * size, column * size : (column + 1) * size, channel].ravel()
        best = window[0]
        for candidate in window[1:]:
            best = best.max_of(candidate)
        result[row, column, channel] = best
    return result


@dataclass(frozen=True, slots=True)
class _Field:
    """A number on a bus: its bits, whether it is signed, and what it is (behind a stage)."""

    width: int
    signed: bool
    value: str = ""


def _input_fields(count: int, fixed: FixedPoint) -> list[_Field]:
    return [_Field(fixed.width, fixed.signed)] * count


def _fields(outputs: Variables, fixed: FixedPoint, results: Sequence[str]) -> list[_Field]:
    """Fields of the output bus: results of the graph in order, and literals where an output never changes."""
    remaining = iter(results)
    values = [
        _literal(int(output.low)) if _constant(output) else next(remaining) for output in outputs.ravel()
    ]
    return [_Field(fixed.width, fixed.signed, value) for value in values]


def _literal(value: int) -> str:
    width = value.bit_length() + 2
    return f"-{width}'sd{-value}" if value < 0 else f"{width}'sd{value}"


def _bits(low: int, high: int) -> int:
    """Bits of the narrowest signed wire for this range."""
    return (
        max((-low - 1 if low < 0 else low).bit_length(), (-high - 1 if high < 0 else high).bit_length()) + 1
    )


class _Stage:
    """One stage of da4ml's graph as a Verilog module.

    Wire ``v3`` holds node 3 as the integer ``value / step``, signed, in the fewest bits.
    """

    def __init__(
        self, number: int, ops: Sequence[Any], outputs: Sequence[int], scales: Sequence[tuple[int, bool]]
    ) -> None:
        self.number, self.ops, self.outputs, self.scales = number, ops, outputs, scales
        self.exponents = [round(log2(op.qint.step)) for op in ops]
        self.ranges = [(round(op.qint.min / op.qint.step), round(op.qint.max / op.qint.step)) for op in ops]
        self.widths = [_bits(low, high) for low, high in self.ranges]

    def fields(self) -> list[_Field]:
        """What a stage hands to the next: its outputs in their own steps, without sign bits that are 0."""
        found = []
        for index in self.outputs:
            signed = self.ranges[index][0] < 0
            found.append(_Field(max(self.widths[index] - (not signed), 1), signed, f"v{index}"))
        return found

    def results(self) -> list[str]:
        """Expressions of the graph's outputs, as integer codes."""
        values = []
        for index, (shift, negative) in zip(self.outputs, self.scales, strict=True):
            value = _shifted(f"v{index}", self.exponents[index] + shift)
            values.append(f"-({value})" if negative else value)
        return values

    def text(self, before: Sequence[_Field], after: Sequence[_Field]) -> str:
        """The module: ``before`` are the fields of port ``x``, ``after`` those of port ``y``."""
        lines = [line for index in range(len(self.ops)) for line in self._statement(index, before)]
        position = 0
        for number, field in enumerate(after):
            lines.append(f"wire signed [{field.width}:0] y{number} = {field.value};")
            lines.append(
                f"assign y[{position + field.width - 1}:{position}] = y{number}[{field.width - 1}:0];"
            )
            position += field.width
        body = "\n".join(f"    {line}" for line in lines)
        return _MODULE.format(
            number=self.number,
            inputs=sum(field.width for field in before) - 1,
            outputs=position - 1,
            body=body,
        )

    def _statement(self, index: int, before: Sequence[_Field]) -> Iterator[str]:
        op = self.ops[index]
        if op.opcode == -1:
            value = self._input(op.id0, before)
        else:
            if op.opcode in (-2, -3, 3):
                yield self._operand(index)
            value = self._value(index)
        yield f"wire signed [{self.widths[index] - 1}:0] v{index} = {value};"

    def _input(self, number: int, before: Sequence[_Field]) -> str:
        low = sum(field.width for field in before[:number])
        part = f"x[{low + before[number].width - 1}:{low}]"
        return f"$signed({part})" if before[number].signed else f"$signed({{1'b0, {part}}})"

    def _operand(self, index: int) -> str:
        """The wire ``t3`` that node 3 takes bits of: its operand, negated or not, wide enough."""
        op = self.ops[index]
        width = (
            max(self.widths[index] + self.exponents[index] - self.exponents[op.id0], self.widths[op.id0]) + 1
        )
        sign = "-" if op.opcode < 0 else ""
        return f"wire signed [{width - 1}:0] t{index} = {sign}v{op.id0};"

    def _value(self, index: int) -> str:
        op = self.ops[index]
        if op.opcode in (0, 1):
            first = self._aligned(op.id0, 0, index)
            return f"{first} {'-' if op.opcode else '+'} {self._aligned(op.id1, op.data, index)}"
        if op.opcode in (2, -2):
            operand = f"v{op.id0}" if op.opcode == 2 else f"t{index}"
            kept = _shifted(operand, self.exponents[op.id0] - self.exponents[index])
            return f"({operand} < 0) ? {_literal(0)} : {kept}"
        if op.opcode in (3, -3):
            return self._wrapped(index)
        if op.opcode == 4:
            return f"{self._aligned(op.id0, 0, index)} + {_literal(op.data)}"
        if op.opcode == 5:
            return _literal(op.data)
        if op.opcode in (6, -6):
            return self._selected(index)
        assert op.opcode == 9, f"node {index} of da4ml's graph has opcode {op.opcode}, which no layer needs"
        assert op.data == 1, (
            f"node {index} of da4ml's graph has bit operation {op.data}, which no layer needs"
        )
        return f"(v{op.id0} != 0) ? 2'sd1 : 2'sd0"

    def _aligned(self, operand: int, shift: int, index: int) -> str:
        return _shifted(f"v{operand}", self.exponents[operand] + shift - self.exponents[index])

    def _wrapped(self, index: int) -> str:
        """Low bits of the operand, as many as the node's interval needs by da4ml's count."""
        op, (low, high) = self.ops[index], self.ranges[index]
        dropped = self.exponents[index] - self.exponents[op.id0]
        if low < 0:
            return f"$signed(t{index}[{dropped + self.widths[index] - 1}:{dropped}])"
        width = max(high.bit_length(), 1)
        return f"$signed({{1'b0, t{index}[{dropped + width - 1}:{dropped}]}})"

    def _selected(self, index: int) -> str:
        op = self.ops[index]
        key, shift = op.data & 0xFFFFFFFF, (op.data >> 32) & 0xFFFFFFFF
        shift -= (shift >> 31) << 32
        low, high = self.ranges[key]
        top = self.widths[key] - 1 if low < 0 else max(high.bit_length() - 1, 0)
        second = self._aligned(op.id1, shift, index)
        return f"v{key}[{top}] ? {self._aligned(op.id0, 0, index)} : {'-' if op.opcode < 0 else ''}({second})"


def _shifted(name: str, shift: int) -> str:
    if shift == 0:
        return name
    return f"({name} <<< {shift})" if shift > 0 else f"({name} >>> {-shift})"


_MODULE: Final = """\
// Stage {number} of the chip: combinational. Made from an adder graph that da4ml found.
// Every wire is signed; operands are extended to the result by the rules of signed expressions.
// verilator lint_off WIDTH
// verilator lint_off UNUSEDSIGNAL
module codesign_stage_{number} (
    input  wire [{inputs}:0] x,
    output wire [{outputs}:0] y
);
{body}
endmodule
"""
