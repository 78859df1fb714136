"""The chain check: one network, computed in every form there is, against the integer interpreter.

Hops: the float model (a distribution: it rounds nothing), the quantised torch module, the exported forms and
the netlist. All but the first have to give the same integers. Where one does not, networks that end behind
each layer in turn show the first that differs.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, cast

import numpy as np
from numpy.typing import NDArray

from codesign.errors import (
    CodesignError,
    ConfigError,
    DifferenceError,
    MissingToolError,
    NetworkError,
    OutputError,
    UnsupportedLayerError,
)
from codesign.export import TARGETS, exporter
from codesign.export.bundle import PROVENANCE, vectors
from codesign.hardware import Device
from codesign.network import Flatten, Network, Reshape

__all__ = ["DEFAULT_FORMS", "FORMS", "Hop", "verify"]

Codes = NDArray[Any]
Runner = Callable[[Network, NDArray[np.float64]], Codes]
Status = Literal["equal", "differs", "distribution", "refused", "absent", "failed"]

FORMS: Final = ("float", "module", *TARGETS, "netlist")
DEFAULT_FORMS: Final = ("float", "module", "onnx", "qonnx", "hls4ml", "rtl", "netlist")
_LOCATE_VECTORS: Final = 16


@dataclass(frozen=True, slots=True)
class Hop:
    """How one form compares with the interpreter, over ``vectors`` inputs and ``values`` outputs.

    Parameters
    ----------
    form
        ``float``, ``module``, a target of ``codesign.export``, or ``netlist``.
    status
        ``equal``, ``differs``; ``distribution`` for the float model; ``refused`` by the pre-flight, the tool
        is ``absent``, or it ``failed``.
    differ
        How many outputs differ.
    largest
        Largest difference, in codes of the output format.
    layer, vector
        First layer and input where a difference appears.
    note
        What a person should know: the reason, the distribution, where the form came from.
    seconds
        What the hop took.
    """

    form: str
    status: Status
    vectors: int = 0
    values: int = 0
    differ: int = 0
    largest: float = 0.0
    layer: str | None = None
    vector: int | None = None
    note: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong: equal, or no claim was made."""
        return self.status in ("equal", "distribution", "refused", "absent")

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def verify(
    network: Network,
    inputs: NDArray[Any] | None,
    *,
    device: Device | None = None,
    forms: Sequence[str] = DEFAULT_FORMS,
    exported: Callable[[str], Path] | None = None,
) -> Iterator[Hop]:
    """Compare forms of a network with its interpreter, one after another.

    Parameters
    ----------
    network
        Fitted, with a chip in fixed point.
    inputs
        Shape ``(n, *input_shape)``: the float model is compared on these, the others on made-up ones too.
        None: made-up ones only.
    device
        What the exported forms are written for.
    forms
        Of ``FORMS``.
    exported
        Folder in which an export of a target may lie. An export of this network for this device is run as it
        is; otherwise a fresh one is made and thrown away.

    Raises
    ------
    ConfigError
        For an unknown form.
    NetworkError
        For a network that is not fitted, or computes in float.
    """
    unknown = [form for form in forms if form not in FORMS]
    if unknown:
        raise ConfigError(f"forms are {', '.join(FORMS)}; got {', '.join(unknown)}")
    if not network.fitted or network.chip.formats[-1] is None:
        raise NetworkError("only a fitted network whose chip ends in fixed point has integers to compare")
    chain = _Chain(network, inputs, device or Device(), exported)
    return (chain.hop(form) for form in forms)


class _Chain:
    def __init__(
        self,
        network: Network,
        inputs: NDArray[Any] | None,
        device: Device,
        exported: Callable[[str], Path] | None,
    ) -> None:
        self.network, self.device, self.exported = network, device, exported
        self.inputs = vectors(network, inputs)
        self.real = self.inputs if inputs is None else np.asarray(inputs, np.float64)
        self.expected = network.codes(self.inputs)

    def hop(self, form: str) -> Hop:
        """Compare one form."""
        start = time.perf_counter()
        try:
            found = self._compare(form)
        except (UnsupportedLayerError, ConfigError) as error:
            found = Hop(form, "refused", note=str(error))
        except MissingToolError as error:
            found = Hop(form, "absent", note=str(error))
        except OutputError as error:
            found = Hop(form, "failed", note=str(error))
        return replace(found, seconds=time.perf_counter() - start)

    def _compare(self, form: str) -> Hop:
        if form == "float":
            return _distribution(self.network, self.real)
        fresh = _runner(form, self.device)
        place, note = self._earlier(form)
        if place is None:
            return self._judged(form, fresh(self.network, self.inputs), note, fresh)
        try:
            computed = exporter(form).simulate(place, self.inputs)
        except CodesignError:
            raise
        except Exception as error:
            raise OutputError(
                f"the export at {place} cannot be run ({type(error).__name__}); export it again with "
                "--overwrite"
            ) from error
        return self._judged(form, computed, f"run from {place}", fresh)

    def _judged(self, form: str, computed: Codes, note: str, fresh: Runner) -> Hop:
        wanted = self.expected[: len(computed)]
        if computed.shape != wanted.shape:
            shapes = f"its outputs have shape {computed.shape}, expected {wanted.shape}"
            return Hop(form, "failed", len(computed), note=shapes)
        gap = np.abs(computed - wanted)
        hop = Hop(form, "equal", len(computed), computed.size, note=note)
        if not gap.any():
            return hop
        vector = int(np.argwhere(gap)[0][0])
        layer = _first_layer(self.network.chip, self.inputs[vector:][:_LOCATE_VECTORS], fresh)
        advice = "" if layer else "a fresh export is right: export it again with --overwrite"
        return replace(
            hop,
            status="differs",
            differ=int((gap > 0).sum()),
            largest=float(gap.max()),
            layer=layer,
            vector=vector,
            note="; ".join(filter(None, (note, advice))),
        )

    def _earlier(self, form: str) -> tuple[Path | None, str]:
        """An export of this very network for this device, or why one that is there is not taken."""
        if self.exported is None or form not in TARGETS:
            return None, ""
        place = self.exported(form)
        if not place.is_dir():
            return None, ""
        try:
            provenance = json.loads((place / PROVENANCE).read_text(encoding="utf-8"))
            found, held = provenance["chip"], {**Device().stated(), **provenance["device"]}
        except (OSError, ValueError, KeyError, TypeError):
            return None, f"made afresh: {place} is no export"
        if found != self.network.chip.digest:
            return None, f"made afresh: {place} holds another network or folding"
        given = self.device.stated()
        if held != given:
            differ = ", ".join(f"{name}={value}" for name, value in held.items() if value != given.get(name))
            return None, f"made afresh: the export at {place} is for {differ}"
        return place, ""


def _runner(form: str, device: Device) -> Runner:
    """What computes a network in a form, made afresh."""
    if form == "module":
        return _module
    if form == "netlist":
        return lambda network, inputs: _netlist(network, inputs, device)
    return lambda network, inputs: _fresh_export(form, network, inputs, device)


def _fresh_export(target: str, network: Network, inputs: NDArray[np.float64], device: Device) -> Codes:
    """Outputs of a fresh export, which itself compares them: what it made, right or wrong.

    No more of them than it compared: FINN's simulation stops after so many cycles.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            place = exporter(target).export(network.chip, Path(folder) / "out", device=device, inputs=inputs)
        except DifferenceError as error:
            return cast(Codes, error.computed)
        checks = json.loads((place / PROVENANCE).read_text(encoding="utf-8"))["checks"]
    compared = max(check["vectors"] for check in checks if "differ" in check)
    return network.codes(inputs)[:compared]


def _module(network: Network, inputs: NDArray[np.float64]) -> Codes:
    """Outputs of the quantised torch module, as codes."""
    from codesign.training.build import build, chip_outputs

    last = network.chip.formats[-1]
    assert last is not None
    return np.ldexp(chip_outputs(build(network), inputs), last.fraction_bits)


def _netlist(network: Network, inputs: NDArray[np.float64], device: Device) -> Codes:
    """Outputs of the gates that synthesis makes of the RTL."""
    from codesign.export.netlist import simulate_netlist

    with tempfile.TemporaryDirectory() as folder:
        rtl = exporter("rtl").export(network.chip, Path(folder) / "out", device=device, inputs=inputs)
        codes: Codes = simulate_netlist(rtl, inputs)
        return codes


def _first_layer(chip: Network, inputs: NDArray[np.float64], run: Runner) -> str | None:
    """First layer behind which a form differs, found on networks that end there."""
    for count, layer in enumerate(chip.layers, 1):
        if isinstance(layer, Flatten | Reshape):
            continue
        head = _head(chip, count)
        try:
            computed = run(head, inputs)
        except (UnsupportedLayerError, OutputError):
            continue
        if not np.array_equal(computed, head.codes(inputs)[: len(computed)]):
            return layer.name
    return None


def _head(chip: Network, count: int) -> Network:
    return replace(chip, chip_layers=count, weights=dict(chip.weights)).chip


def _distribution(network: Network, inputs: NDArray[np.float64]) -> Hop:
    """The same weights with nothing rounded and nothing saturated but by the rectifier, against the codes."""
    chip = network.chip
    last = chip.formats[-1]
    assert last is not None
    gap = np.abs(np.ldexp(_unrounded(chip).predict(inputs), last.fraction_bits) - chip.codes(inputs))
    median, high = np.quantile(gap, [0.5, 0.95]) if gap.size else (0.0, 0.0)
    note = f"median {median:.3g}, 95 % below {high:.3g}, mean {gap.mean():.3g} LSB of the output"
    differ = int((gap > 0.5).sum())
    return Hop("float", "distribution", len(inputs), gap.size, differ, float(gap.max(initial=0)), note=note)


def _unrounded(chip: Network) -> Network:
    """The network in float, with the real values of its integer weights."""
    layers = []
    weights: dict[str, Any] = {}
    for layer in chip.layers:
        gone: dict[str, Any] = {
            role: None for role in ("weight", "bias", "output") if getattr(layer, role, None) is not None
        }
        for role in ("weight", "bias"):
            fixed = getattr(layer, role, None)
            if fixed is not None:
                weights[f"{layer.name}.{role}"] = fixed.dequantise(chip.weights[f"{layer.name}.{role}"])
        layers.append(replace(layer, **gone))
    return Network(chip.input_shape, tuple(layers), None, None, weights)
