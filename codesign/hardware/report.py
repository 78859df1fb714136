"""Measured or reported cost of a design, as a tool states it."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Self

from codesign.errors import ConfigError

__all__ = ["FINN_ESTIMATE", "RESOURCE_NAMES", "SynthesisReport"]

FINN_ESTIMATE: Final = "FINN estimate"
RESOURCE_NAMES: Final = ("lut", "ff", "bram_18k", "uram", "dsp")


@dataclass(frozen=True, slots=True)
class SynthesisReport:
    """What a tool says a design costs, and how far the tool went to say it.

    Parameters
    ----------
    tool, version
        Which tool; its version.
    part
        FPGA part.
    stage
        How far it went. ``FINN estimate`` is FINN's analytic formula, never a synthesis result.
    clock_mhz
        Clock that was asked for, in MHz.
    resources
        Names of ``RESOURCE_NAMES`` to counts; None where the tool does not say.
    latency_cycles
        From the first word of a frame to the last of its output, in cycles; None where it does not say.
    initiation_interval
        Cycles between frames; None where it does not say.
    by_layer
        Layer names to resources and ``cycles``.
    source
        Where the figures were read, a file beside this report.

    Raises
    ------
    ConfigError
        For a clock that does not tick, an empty word, or a resource of another name or below zero.
    """

    tool: str
    version: str
    part: str
    stage: str
    clock_mhz: float
    resources: Mapping[str, int | None]
    latency_cycles: int | None
    initiation_interval: int | None
    by_layer: Mapping[str, Mapping[str, int | None]]
    source: str

    def __post_init__(self) -> None:
        """Reject what no report says."""
        for name in ("tool", "version", "part", "stage", "source"):
            if not getattr(self, name):
                raise ConfigError(f"a report needs its {name}")
        if not (math.isfinite(self.clock_mhz) and self.clock_mhz > 0):
            raise ConfigError(f"clock_mhz must be above 0, got {self.clock_mhz}")
        _require_counts("the design", self.resources, RESOURCE_NAMES)
        for layer, counts in self.by_layer.items():
            _require_counts(f"layer {layer!r}", counts, (*RESOURCE_NAMES, "cycles"))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of ``to_dict``."""
        names = {item.name for item in fields(cls)}
        if set(data) != names:
            raise ConfigError(f"a report has {', '.join(sorted(names))}; got {', '.join(sorted(data))}")
        return cls(**data)


def _require_counts(owner: str, counts: Mapping[str, int | None], allowed: tuple[str, ...]) -> None:
    for name, count in counts.items():
        if name not in allowed:
            raise ConfigError(f"resources are {', '.join(allowed)}; {owner} has {name!r}")
        if count is not None and count < 0:
            raise ConfigError(f"{name} of {owner} cannot be negative, got {count}")
