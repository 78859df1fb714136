"""The target contract: what a design is made for, as a choice (`Device`) and as a statement (`Target`)."""

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, Final, Literal, Self, get_args

import numpy as np

from codesign.errors import ConfigError, TargetError
from codesign.fixedpoint import FixedPoint
from codesign.hardware.parts import PART, default_part, fits, require_family, technology_of
from codesign.network import Conv, ConvTranspose, Dense, Network

__all__ = ["Device", "Redundancy", "Target", "WeightStorage"]

WeightStorage = Literal["reloadable", "constant"]
Redundancy = Literal["none", "weights", "all"]
MAKER: Final = ("tool", "version")
"""Fields that say who states a cost; an estimate has none of them."""
OPTIONS: Final = ("technology", "part", "clock_mhz", "weights", "redundancy", "pipelined")
"""Fields of a target that are choices of a device, each an option of the command line."""


@dataclass(frozen=True, slots=True)
class Device:
    """What designs are made for: a choice, complete.

    Parameters
    ----------
    technology
        Name of a table in ``hardware_models/technology`` (``asic-65nm``), or path of one of the user's own.
    clock_mhz
        Clock, in MHz. The default is the bunch-crossing rate of the LHC, one inference each 25 ns.
    part
        FPGA part that exported projects name, of the technology's family; None: one that stands for it, which
        ``fpga_part`` says.
    weights
        ``reloadable`` (in registers, multiplied by real multipliers) or ``constant`` (part of the logic).
    redundancy
        What is triplicated and voted against single-event upsets: ``none``, ``weights`` (their registers) or
        ``all`` (every register).
    pipelined
        Whether registers stand between the layers; otherwise the logic is combinational from input to output.
    """

    technology: str = "asic-65nm"
    clock_mhz: float = 40.0
    part: str | None = None
    weights: WeightStorage = "reloadable"
    redundancy: Redundancy = "none"
    pipelined: bool = True

    def __post_init__(self) -> None:
        """Reject a clock that does not tick, words that mean nothing, and a part of another family."""
        if not (np.isfinite(self.clock_mhz) and self.clock_mhz > 0):
            raise ConfigError(f"clock_mhz must be above 0, got {self.clock_mhz}")
        for name, allowed in (("weights", get_args(WeightStorage)), ("redundancy", get_args(Redundancy))):
            if getattr(self, name) not in allowed:
                raise ConfigError(f"{name} is one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        if self.part is not None:
            if not re.match(PART, self.part):
                example = default_part(self.technology_name)
                raise ConfigError(f"part is a name such as {example}, got {self.part!r}")
            require_family(self.part, self.technology_name)

    def to_dict(self) -> dict[str, Any]:
        """Plain data: technology, clock, and what else is not the default."""
        plain, default = asdict(self), asdict(Device())
        always = ("technology", "clock_mhz")
        return {name: value for name, value in plain.items() if name in always or value != default[name]}

    def stated(self) -> dict[str, Any]:
        """Plain data of every choice, with the part that stands for the technology where none is given."""
        return {**asdict(self), "part": self.fpga_part}

    @property
    def fpga_part(self) -> str:
        """The part; where none is given, one that stands for the technology."""
        return self.part or default_part(self.technology_name)

    @property
    def technology_name(self) -> str:
        """Name of the technology: of a table by path, its file's."""
        own = self.technology.endswith(".toml")
        return PurePath(self.technology).stem if own else self.technology

    @property
    def period_ns(self) -> float:
        """Clock period, in ns."""
        return 1e3 / self.clock_mhz


@dataclass(frozen=True, slots=True)
class Target:
    """What a cost is a cost of: a design's own choices and the device's, as far as they are stated.

    None is "not stated": a utilisation report names a part and says nothing of the weights. An estimate
    states all but the tool.

    Parameters
    ----------
    technology
        Node or family: the technology's table, as ``asic-65nm``, ``sky130hd``, ``xc7``.
    library
        Standard-cell library, as its Liberty file calls itself.
    part
        FPGA part.
    clock_mhz
        Clock that was asked for, in MHz.
    weights, redundancy, pipelined
        As in ``Device``.
    folding
        Layer to (PE, SIMD) for every convolution and dense layer that is folded; a layer that is not here
        has a multiplier for every product.
    input_format, output_format
        Of one value, as ``ufixed<8,0>``: all bits, and those before the point.
    tool, version
        Who states it.
    """

    technology: str | None = None
    library: str | None = None
    part: str | None = None
    clock_mhz: float | None = None
    weights: WeightStorage | None = None
    redundancy: Redundancy | None = None
    pipelined: bool | None = None
    folding: Mapping[str, tuple[int, int]] | None = None
    input_format: str | None = None
    output_format: str | None = None
    tool: str | None = None
    version: str | None = None

    def __post_init__(self) -> None:
        """Reject what nobody can state; freeze the folding."""
        if self.clock_mhz is not None and not (np.isfinite(self.clock_mhz) and self.clock_mhz > 0):
            raise ConfigError(f"clock_mhz must be above 0, got {self.clock_mhz}")
        for name, allowed in (("weights", get_args(WeightStorage)), ("redundancy", get_args(Redundancy))):
            if getattr(self, name) not in (None, *allowed):
                raise ConfigError(f"{name} is one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        if self.folding is not None:
            pairs = {layer: (int(pe), int(simd)) for layer, (pe, simd) in self.folding.items()}
            object.__setattr__(self, "folding", MappingProxyType(pairs))

    @classmethod
    def of(
        cls, network: Network, device: Device, *, library: str | None = None, part: str | None = None
    ) -> Self:
        """What an estimate of a network on a device states; ``library`` or ``part`` where there is one."""
        chip = network.chip
        return cls(
            technology=device.technology_name,
            library=library,
            part=part,
            clock_mhz=device.clock_mhz,
            weights=device.weights,
            redundancy=device.redundancy,
            pipelined=device.pipelined,
            folding={
                layer.name: (layer.folding.pe, layer.folding.simd)
                for layer in chip.layers
                if isinstance(layer, Conv | ConvTranspose | Dense) and layer.folding is not None
            },
            input_format=_spelt(chip.formats[0]),
            output_format=_spelt(chip.formats[-1]),
        )

    def differences(self, other: "Target") -> dict[str, tuple[Any, Any]]:
        """Fields that both state and state differently, but for who states them: name to the two values."""
        found = {}
        for item in fields(self):
            ours, theirs = getattr(self, item.name), getattr(other, item.name)
            same = ours is None or theirs is None or _equal(item.name, ours, theirs)
            if item.name not in MAKER and not same:
                found[item.name] = (ours, theirs)
        return found

    def require_same(self, other: "Target", what: str) -> None:
        """Raise ``TargetError`` that names the fields in which ``other`` is of another target.

        Parameters
        ----------
        other
            The target of the report that an estimate of this target is compared with.
        what
            Which two are compared, for the error.
        """
        differing = self.differences(other)
        if differing:
            said = "; ".join(
                f"{name}: {_plain(ours)!r} predicted, {_plain(theirs)!r} reported"
                for name, (ours, theirs) in differing.items()
            )
            asked = self._asked(other, differing)
            told = f" ({shlex.join(asked)})" if asked else ""
            raise TargetError(
                f"{what} are of different targets: {said}; compare an estimate of that target{told}"
            )

    def _asked(self, other: "Target", differing: Iterable[str]) -> list[str]:
        """Options for an estimate of another target; a part of another family goes with its technology."""
        if "part" not in differing or other.part is None or fits(other.part, self.technology):
            return other.options(differing)
        owner = other.technology or technology_of(other.part)
        return replace(other, technology=owner).options({"technology", *differing}) if owner else []

    def options(self, names: Iterable[str] = OPTIONS) -> list[str]:
        """Words of a command line that choose a device for it: those fields of ``names`` that are stated."""
        words: list[str] = []
        for name in OPTIONS:
            value = getattr(self, name)
            if name not in set(names) or value is None:
                continue
            if name == "pipelined":
                words.append("--pipelined" if value else "--combinational")
            else:
                spelt = f"{value:g}" if isinstance(value, float) else str(value)
                words += [f"--{name.replace('_', '-')}", spelt]
        return words

    def missed(self, path_ns: float | None) -> str:
        """That a critical path is longer than a clock period, in words; empty where it is not."""
        period_ns = 1000 / self.clock_mhz if self.clock_mhz else None
        if path_ns is None or period_ns is None or path_ns <= period_ns:
            return ""
        return f"misses its clock: the critical path takes {path_ns:.4g} ns, a period {period_ns:.4g} ns"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: what is stated."""
        stated = {item.name: _plain(getattr(self, item.name)) for item in fields(self)}
        return {name: value for name, value in stated.items() if value is not None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of ``to_dict``."""
        unknown = set(data) - {item.name for item in fields(cls)}
        if unknown:
            raise ConfigError(f"a target has no {', '.join(sorted(unknown))}")
        return cls(**data)


def _plain(value: Any) -> Any:
    return {layer: list(pair) for layer, pair in value.items()} if isinstance(value, Mapping) else value


def _equal(name: str, ours: Any, theirs: Any) -> bool:
    if name == "part":  # a utilisation report may leave out the last grade: xczu7ev-ffvc1156-2 of ...-2-e
        return bool(ours == theirs or ours.startswith(f"{theirs}-") or theirs.startswith(f"{ours}-"))
    if isinstance(ours, float) and isinstance(theirs, float):
        return bool(np.isclose(ours, theirs, rtol=1e-3))  # a tool says 5.000 ns of 5.0004
    return bool(ours == theirs)


def _spelt(fixed: FixedPoint | None) -> str:
    """As the field writes it: sign, width, bits before the point."""
    if fixed is None:
        return "float32"
    return f"{'' if fixed.signed else 'u'}fixed<{fixed.width},{fixed.signed + fixed.integer_bits}>"
