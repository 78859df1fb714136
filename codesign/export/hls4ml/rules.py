"""What the back ends of hls4ml are, and what each takes: asked before training, without hls4ml.

Refused, all found by comparing the compiled C++ with the interpreter, hls4ml 1.3.0:

- layers that its parallel projects do not have (transposed convolution, thresholds, groups), and float;
- Quartus, oneAPI: reuse factors outside ``legal_reuse_factors``;
- oneAPI: a dense layer of more than 2048 weights whose reuse factor is no power of two: padded weights
  that do not fit their type;
- Vivado: more than 4096 products at once, where Vivado HLS stops unrolling (hls4ml's maintainers,
  https://github.com/fastmachinelearning/hls4ml/issues/904);
- a pooling that pads an unsigned image of a format that wraps, see ``hls4ml_build``.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from codesign.errors import ConfigError, UnsupportedLayerError
from codesign.export.bundle import fixed_edges, require_no_redundancy
from codesign.export.hls4ml.build import PROJECT, is_resource, legal_reuse_factors, pads
from codesign.hardware import Device
from codesign.network import Conv, Dense, Flatten, Layer, MaxPool, Network, ReLU, Reshape, Upsample

__all__ = ["BACKENDS", "DEFAULT_BACKENDS", "TARGET", "Backend", "check", "is_asic", "known", "options"]

TARGET: Final = "hls4ml"
DEFAULT_BACKENDS: Final = ("vitis",)
_VIVADO_UNROLL: Final = 4096
_ONEAPI_SMALL: Final = 2048


@dataclass(frozen=True, slots=True)
class Backend:
    """A back end of hls4ml.

    Parameters
    ----------
    name
        As hls4ml spells it.
    tool
        The vendor's program, in the versions that hls4ml names (docs/intro/setup.rst).
    commands
        What to run in the project's folder, a line each.
    results
        Log of the vendor's C simulation, relative to the project.
    part
        Part it is written for where the device names one of AMD; None for AMD's own tools.
    asic
        Whether it can write for an ASIC.
    any_reuse
        Whether it takes every reuse factor, with one strategy or another.
    """

    name: str
    tool: str
    commands: tuple[str, ...]
    results: str = "tb_data/csim_results.log"
    part: str | None = None
    asic: bool = False
    any_reuse: bool = False


_OPTIONS: Final = "reset=1 csim=1 synth=1 cosim=0 validation=0 export=0 vsynth=0"
BACKENDS: Final[Mapping[str, Backend]] = {
    "vivado": Backend(
        "Vivado",
        "Vivado HLS 2020.1",
        (f'vivado_hls -f build_prj.tcl "{_OPTIONS}"',),
        any_reuse=True,
    ),
    "vitis": Backend(
        "Vitis",
        "Vitis HLS 2022.2 or newer",
        (
            "# its steps, C simulation to co-simulation, are chosen in build_opt.tcl",
            "vitis-run --mode hls --tcl build_prj.tcl    # before 2024.1: vitis_hls -f build_prj.tcl",
        ),
        any_reuse=True,
    ),
    "catapult": Backend(
        "Catapult",
        "Catapult HLS 2024.1 or 2024.2",
        (
            "catapult -product ultra -shell -f build_prj.tcl -eval "
            "'set ::argv \"reset=0 csim=1 synth=1 cosim=0 validation=0 vhdl=0 verilog=1\"'",
        ),
        asic=True,
        any_reuse=True,
    ),
    "quartus": Backend(
        "Quartus",
        "the Intel HLS compiler and Quartus 20.1 to 21.4",
        (
            f"make {PROJECT}-fpga",
            f"./{PROJECT}-fpga    # co-simulation",
        ),
        results="tb_data/results.log",
        part="Arria10",
    ),
    "oneapi": Backend(
        "oneAPI",
        "oneAPI 2024.1 to 2025.0 with the FPGA compiler",
        (
            "cmake -S . -B build && cmake --build build --target fpga_emu report",
            f"./build/{PROJECT}.fpga_emu    # here: it reads tb_data/",
        ),
        results="tb_data/results.log",
        part="Agilex7",
    ),
}
"""By the names of the command line."""


def check(network: Network, device: Device, *, backends: Sequence[str] = DEFAULT_BACKENDS) -> None:
    """Raise ``UnsupportedLayerError`` for what a back end cannot compute exactly or in the asked folding.

    Parameters
    ----------
    network
        Fitted or not; its chip part is looked at.
    device
        Its part and technology.
    backends
        Names of ``BACKENDS``.

    Raises
    ------
    UnsupportedLayerError
        Naming layer and back end; also for a part that is not of the back end's vendor.
    ConfigError
        For an unknown back end.
    """
    fixed_edges(network, TARGET)
    require_no_redundancy(device, TARGET)
    chip = network.chip
    for name in known(backends):
        _require_part(name, device)
        for index, layer in enumerate(chip.layers):
            _require_layer(name, layer, chip, index)
            if isinstance(layer, Conv | Dense):
                _require_folding(name, layer, chip, index)
        if not any(isinstance(layer, Conv | Dense | MaxPool | ReLU | Upsample) for layer in chip.layers):
            raise UnsupportedLayerError(
                f"hls4ml for {name}: the chip computes nothing; put a layer with weights on it"
            )


def known(backends: Sequence[str]) -> list[str]:
    """Names of back ends, each once; raise ``ConfigError`` for another name or none."""
    names = list(dict.fromkeys(name.lower() for name in backends))
    unknown = [name for name in names if name not in BACKENDS]
    if unknown or not names:
        given = ", ".join(unknown) or "none"
        raise ConfigError(f"back ends of hls4ml are {', '.join(BACKENDS)}; got {given}")
    return names


def _is_amd(part: str) -> bool:
    return re.match(r"x[acq]", part.lower()) is not None


def is_asic(name: str, device: Device) -> bool:
    """Whether a back end writes for the device's ASIC rather than for its part."""
    return BACKENDS[name].asic and device.technology.startswith("asic")


def _require_part(name: str, device: Device) -> None:
    if BACKENDS[name].part is None and not is_asic(name, device) and not _is_amd(device.fpga_part):
        raise UnsupportedLayerError(
            f"hls4ml for {name}: part {device.fpga_part!r} is not one of AMD; "
            "name one such as xczu7ev-ffvc1156-2-e, of a family of FPGAs with its technology (xcup, xc7)"
        )


def _require_layer(name: str, layer: Layer, chip: Network, index: int) -> None:
    if not isinstance(layer, Conv | Dense | Flatten | MaxPool | ReLU | Reshape | Upsample):
        raise UnsupportedLayerError(
            f"hls4ml for {name}: layer {layer.name!r} is a {type(layer).__name__}, "
            "which its parallel projects do not have; move it behind chip_layers"
        )
    if isinstance(layer, Conv) and layer.groups > 1:
        raise UnsupportedLayerError(
            f"hls4ml for {name}: layer {layer.name!r} has {layer.groups} groups; it takes one"
        )
    before = chip.formats[index]
    assert before is not None
    if pads(layer, chip.shapes[index]) and not before.signed and before.overflow == "wrap":
        raise UnsupportedLayerError(
            f"hls4ml for {name}: layer {layer.name!r} pads an unsigned image that wraps around, "
            "which it gets wrong; let the format before it saturate, or pool an image that its size divides"
        )


def _require_folding(name: str, layer: Conv | Dense, chip: Network, index: int) -> None:
    shape = chip.shapes[index]
    fan_in, reuse = layer.fan_in(shape), layer.reuse_factor(shape)
    whole = fan_in * layer.units
    legal = legal_reuse_factors(fan_in, layer.units)
    if not BACKENDS[name].any_reuse and reuse not in legal:
        near = sorted(sorted(legal, key=lambda factor: abs(factor - reuse))[:2])
        raise UnsupportedLayerError(
            f"hls4ml for {name}: layer {layer.name!r} has reuse factor {reuse}, which it cannot build; "
            f"nearest are {_foldings(near, fan_in, layer.units)}"
        )
    if name == "oneapi" and isinstance(layer, Dense) and whole > _ONEAPI_SMALL and reuse & (reuse - 1):
        powers = [factor for factor in legal if factor & (factor - 1) == 0]
        raise UnsupportedLayerError(
            f"hls4ml for oneapi: layer {layer.name!r} has more than {_ONEAPI_SMALL} weights and reuse factor "
            f"{reuse}, which does not compile; a power of two does: {_foldings(powers, fan_in, layer.units)}"
        )
    at_once = whole // reuse if is_resource(layer, shape) else whole
    if name == "vivado" and at_once > _VIVADO_UNROLL:
        within = [factor for factor in legal if factor <= fan_in or isinstance(layer, Dense)]
        enough = [factor for factor in within if whole // factor <= _VIVADO_UNROLL]
        advice = f"fold it by {_foldings(enough[:1], fan_in, layer.units)}, or take" if enough else "take"
        raise UnsupportedLayerError(
            f"hls4ml for vivado: layer {layer.name!r} unrolls {at_once} products, Vivado HLS at most "
            f"{_VIVADO_UNROLL}; {advice} vitis"
        )


def _foldings(reuse_factors: Sequence[int], fan_in: int, units: int) -> str:
    """Reuse factors with a folding of each, in words."""
    words = []
    for factor in reuse_factors:
        pe, simd = (units, fan_in // factor) if factor <= fan_in else (units * fan_in // factor, 1)
        words.append(f"{factor} (folding pe={pe}, simd={simd})")
    return " and ".join(words)


def options(name: str, device: Device) -> dict[str, Any]:
    """Clock and part, as hls4ml's ``create_initial_config`` of a back end takes them.

    Intel's tools get the family that hls4ml names where the device's part is AMD's.
    """
    period = device.period_ns
    clock = int(period) if period == int(period) else round(period, 6)
    if is_asic(name, device):
        return {"clock_period": clock, "tech": "asic"}
    default = BACKENDS[name].part
    part = default if default is not None and _is_amd(device.fpga_part) else device.fpga_part
    return {"clock_period": clock, "part": part}
