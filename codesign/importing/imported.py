"""A network that was imported: the integers, and how the file's real inputs and outputs belong to them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError, NetworkError
from codesign.fixedpoint import FixedPoint, IntArray
from codesign.importing.monotone import Chain
from codesign.importing.walk import InputSteps
from codesign.network import Network, Shape

__all__ = ["Imported", "parse_format"]

FloatArray = NDArray[np.float64]


def parse_format(text: str) -> FixedPoint:
    """Format from integer and fraction bits, ``5.10``, beside the sign; ``u0.8`` has no sign.

    Examples
    --------
    >>> parse_format("5.10").width, parse_format("u0.8").width
    (16, 8)
    """
    match = re.fullmatch(r"(u?)(\d{1,2})\.(\d{1,2})", text.strip())
    if match is None:
        raise ConfigError(
            f"a format is integer.fraction bits, such as 5.10, or u0.8 without a sign; got {text!r}"
        )
    unsigned, integer, fraction = match.groups()
    return FixedPoint(int(integer), int(fraction), signed=not unsigned)


@dataclass(frozen=True, slots=True, eq=False)
class Imported:
    """A quantised network made elsewhere.

    Parameters
    ----------
    name
        Name of the file, without its ending.
    network
        The integers: what is priced, simulated and exported. Its input is ``input_codes``.
    input_shape, output_shape
        Shapes in the file, without the batch axis.
    notes
        What is worth knowing: what was dropped, where a scale made thresholds, where the file's own executor,
        which computes in 32-bit floats, differs from exact arithmetic.
    checked
        Counts of the verification: ``probes``, ``activations`` and ``activations_differ``, ``outputs`` and
        ``outputs_differ``.
    """

    name: str
    network: Network
    input_shape: Shape
    output_shape: Shape
    notes: tuple[str, ...]
    checked: Mapping[str, int]
    _input_positions: NDArray[np.intp] = field(repr=False)
    _input_steps: InputSteps | None = field(repr=False)
    _output_positions: NDArray[np.intp] = field(repr=False)
    _output_chain: Chain = field(repr=False)

    def arranged(self, inputs: NDArray[Any]) -> FloatArray:
        """Inputs as the file takes them, ``(n, *input_shape)``, in the network's order, channels last."""
        given = np.asarray(inputs, np.float64)
        if given.shape[1:] != self.input_shape:
            raise NetworkError(f"inputs have shape {given.shape}, expected (n, {self.input_shape})")
        if not np.isfinite(given).all():
            raise NetworkError("inputs hold values that are not finite")
        flat = np.empty((len(given), self._input_positions.size))
        flat[:, self._input_positions] = given.reshape(len(given), -1)
        return flat.reshape(-1, *self.network.input_shape)

    def values(self, inputs: NDArray[Any]) -> FloatArray:
        """Inputs as the file takes them, to the real values that ``network`` takes.

        Where the file quantises its input by a scale that is no power of two, that runs before the network,
        and these values are its integer codes (times a power of two).
        """
        arranged = self.arranged(inputs)
        fixed = self.network.input_format
        if self._input_steps is None or fixed is None:
            return arranged
        return fixed.dequantise(self._input_steps.codes(arranged))

    def codes(self, inputs: NDArray[Any]) -> IntArray:
        """Output codes of the network, ``(n, *network.output_shape)``, of inputs as the file takes them."""
        return np.asarray(self.network.codes(self.values(inputs)), np.int64)

    def predict(self, inputs: NDArray[Any]) -> FloatArray:
        """Real outputs, ``(n, *output_shape)``, as the file gives them but for what was left out."""
        return self.real(self.codes(inputs))

    def real(self, codes: IntArray) -> FloatArray:
        """Real outputs of output codes."""
        last = self.network.formats[-1]
        assert last is not None
        values = self._output_chain.real(last.dequantise(codes))
        return values.reshape(len(codes), -1)[:, self._output_positions].reshape(-1, *self.output_shape)
