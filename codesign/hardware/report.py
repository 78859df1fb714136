"""Measured cost of a design, as a tool states it."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, Final, Literal, Self, get_args

from codesign.errors import ConfigError, ReportError
from codesign.hardware.device import Target

__all__ = ["MEASURED", "Resources", "Stage", "SynthesisReport"]

Stage = Literal["FINN estimate", "hls", "synthesis", "placed", "routed"]
"""How far the tool went. ``FINN estimate`` is FINN's analytic formula, never a synthesis result; ``hls`` is
what a high-level synthesis tool expects of its own code; ``synthesis`` has gates or LUTs, no layout."""

MEASURED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "area_um2": "um2",
        "cells": "",
        "lut": "",
        "ff": "",
        "dsp": "",
        "bram_18k": "",
        "uram": "",
        "critical_path_ns": "ns",
        "power_mw": "mW",
        "dynamic_mw": "mW",
        "leakage_mw": "mW",
        "latency_cycles": "cycles",
        "initiation_interval": "cycles",
    }
)
"""What a report may state and an estimate may predict, with units."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What a design occupies, the same fields predicted and measured; None is unknown, never zero.

    ``area_um2`` of standard cells (um2), ``cells`` their count; FPGA: ``lut`` look-up tables, ``ff``
    flip-flops, ``dsp`` blocks, ``bram_18k`` block RAMs of 18 kbit, ``uram`` UltraRAMs.
    """

    area_um2: float | None = None
    cells: float | None = None
    lut: float | None = None
    ff: float | None = None
    dsp: float | None = None
    bram_18k: float | None = None
    uram: float | None = None

    def __post_init__(self) -> None:
        """Reject what nothing occupies."""
        for item in fields(self):
            value = getattr(self, item.name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"{item.name} is a number of 0 or more, got {value}")

    def stated(self) -> dict[str, float]:
        """The fields that are known."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class SynthesisReport:
    """What a tool says a design costs, and how far the tool went to say it.

    Parameters
    ----------
    design
        Digest of the design, or what the report calls its top.
    target
        What it was made for, with tool and version; what the report does not say is None there.
    stage
        How far the tool went.
    resources
        What it occupies.
    critical_path_ns
        Longest path between registers or ports, in ns: the shortest clock period.
    slack_ns
        Period asked for, less the critical path with set-up and uncertainty, in ns; below 0 it fails.
    power_mw, dynamic_mw, leakage_mw
        In mW, at the target's clock.
    latency_cycles
        From the first word of a frame to the last of its output, in cycles.
    initiation_interval
        Cycles between frames.
    by_layer
        Names of layers, modules or instances to names of resources (or ``cycles``) and their values.
    seconds
        CPU time of the tool, in s.
    script
        Name and digest of the script that drove the tool: it is part of what was measured.
    source
        Where the figures were read: file names, beside this report.

    Raises
    ------
    ConfigError
        For an unknown stage, an empty design or source, or a figure that is below 0 or not finite.
    """

    design: str
    target: Target
    stage: Stage
    resources: Resources = Resources()
    critical_path_ns: float | None = None
    slack_ns: float | None = None
    power_mw: float | None = None
    dynamic_mw: float | None = None
    leakage_mw: float | None = None
    latency_cycles: int | None = None
    initiation_interval: int | None = None
    by_layer: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    seconds: float | None = None
    script: str | None = None
    source: str = "-"

    def __post_init__(self) -> None:
        """Reject what no report says."""
        if self.stage not in get_args(Stage):
            raise ConfigError(f"stage is one of {', '.join(get_args(Stage))}, got {self.stage!r}")
        for name in ("design", "source"):
            if not getattr(self, name):
                raise ConfigError(f"a report needs its {name}")
        if not (self.target.tool and self.target.version):
            raise ConfigError("a report's target names the tool and its version")
        for name in (*MEASURED, "seconds"):
            value = self.value(name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"{name} is a number of 0 or more, got {value}")
        if self.slack_ns is not None and not math.isfinite(self.slack_ns):
            raise ConfigError(f"slack_ns is a finite number, got {self.slack_ns}")

    def value(self, name: str) -> float | None:
        """One figure by the names of ``MEASURED``; None where it is not stated."""
        owner = self.resources if name in Resources.__slots__ else self
        value: float | None = getattr(owner, name)
        return value

    def stated(self) -> dict[str, float]:
        """Every figure that is stated, by the names of ``MEASURED``."""
        return {name: value for name in MEASURED if (value := self.value(name)) is not None}

    def joined(self, other: "SynthesisReport") -> "SynthesisReport":
        """One report of two files of the same run: utilisation and timing, say.

        Raises
        ------
        ReportError
            If they are of different designs, stages or targets, or state a figure differently.
        """
        for name in ("design", "stage"):
            if getattr(self, name) != getattr(other, name):
                raise ReportError(
                    f"{self.source} and {other.source} are of different runs: {name} "
                    f"{getattr(self, name)!r} and {getattr(other, name)!r}"
                )
        both = {name: (self.value(name), other.value(name)) for name in (*MEASURED, "slack_ns", "seconds")}
        for name, (ours, theirs) in both.items():
            if ours is not None and theirs is not None and not math.isclose(ours, theirs, rel_tol=1e-6):
                raise ReportError(f"{self.source} says {name} {ours}, {other.source} says {theirs}")
        known: dict[str, Any] = {name: b if a is None else a for name, (a, b) in both.items()}
        return replace(
            self,
            target=self._joined_target(other),
            resources=Resources(**{name: known.pop(name) for name in Resources.__slots__}),
            by_layer={**other.by_layer, **self.by_layer},
            script=self.script or other.script,
            source=f"{self.source}, {other.source}",
            **known,
        )

    def _joined_target(self, other: "SynthesisReport") -> Target:
        differing = self.target.differences(other.target)
        for name in ("tool", "version"):
            ours, theirs = getattr(self.target, name), getattr(other.target, name)
            if ours != theirs:
                differing[name] = (ours, theirs)
        if differing:
            said = "; ".join(f"{name} {ours!r} and {theirs!r}" for name, (ours, theirs) in differing.items())
            raise ReportError(f"{self.source} and {other.source} are of different targets: {said}")
        return Target.from_dict({**other.target.to_dict(), **self.target.to_dict()})

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: what is stated."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        plain |= {
            "target": self.target.to_dict(),
            "resources": self.resources.stated(),
            "by_layer": {name: dict(counts) for name, counts in self.by_layer.items()},
        }
        return {name: value for name, value in plain.items() if value is not None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of ``to_dict``; raise ``ConfigError`` for other data."""
        names = {item.name for item in fields(cls)}
        missing, unknown = {"design", "target", "stage"} - set(data), set(data) - names
        if missing or unknown:
            raise ConfigError(
                f"a report has {', '.join(sorted(names))}; got {', '.join(sorted(data)) or 'nothing'}"
            )
        resources = data.get("resources", {})
        if set(resources) - set(Resources.__slots__):
            raise ConfigError(f"resources are {', '.join(Resources.__slots__)}; got {', '.join(resources)}")
        made = {**data, "target": Target.from_dict(data["target"]), "resources": Resources(**resources)}
        return cls(**made)
