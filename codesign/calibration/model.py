"""A hardware model with its calibration, which is a hardware model."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from codesign.calibration.correction import PREDICTED, WHOLE, Part
from codesign.calibration.record import Calibration
from codesign.errors import ConfigError, counted
from codesign.hardware import (
    Costs,
    Device,
    HardwareEstimate,
    HardwareModel,
    Target,
    Workload,
    with_inputs,
)
from codesign.hardware.estimate import WORK
from codesign.network import Network

__all__ = ["CalibratedModel"]


@final
@dataclass(frozen=True, slots=True)
class CalibratedModel:
    """A hardware model whose costs are corrected by a calibration.

    Where the calibration has nothing for what the model knows of the weights, costs stay as they are, and
    the estimate says so in ``covers``.

    Parameters
    ----------
    model
        The model that the calibration was fitted with.
    calibration
        Of one target; every other is refused.
    """

    model: HardwareModel
    calibration: Calibration

    def __post_init__(self) -> None:
        """Refuse the calibration of another model."""
        if self.model.name != self.calibration.common.model:
            raise ConfigError(
                f"the calibration was fitted with the model {self.calibration.common.model!r}, not "
                f"{self.model.name!r}; take that model or fit one with this"
            )

    @property
    def name(self) -> str:
        """The model's name, with ``+calibration``."""
        return f"{self.model.name}+calibration"

    @property
    def predicts(self) -> tuple[str, ...]:
        """What the model predicts."""
        return self.model.predicts

    @property
    def needs_weights(self) -> bool:
        """Whether the model prices anew once the weights are known."""
        return self.model.needs_weights

    def with_inputs(self, inputs: NDArray[Any]) -> "CalibratedModel":
        """The same with inputs to count changes of, if it was fitted so; else as it is."""
        fitted = "activity" in self.calibration.parts
        return replace(self, model=with_inputs(self.model, inputs)) if fitted else self

    def features(self, workload: Workload, device: Device) -> Costs:
        """Features of the model."""
        return self.model.features(workload, device)

    def price(self, workload: Workload, device: Device) -> Costs:
        """Corrected costs of many networks; raise ``TargetError`` for another device."""
        self._require(device)
        basis = "prior" if self.needs_weights and device.weights == "constant" else "widths"
        costs = self.model.price(workload, device)
        return self.calibration.apply(self.model.features(workload, device), costs, basis)

    def estimate(self, network: Network, device: Device) -> HardwareEstimate:
        """Corrected cost of one network, with intervals; raise ``TargetError`` for another device."""
        self._require(device)
        plain = self.model.estimate(network, device)
        self.calibration.require(plain.target, f"the estimate of {self.model.name!r}")
        part = self.calibration.parts.get(plain.basis)
        if part is None:
            fitted = ", ".join(self.calibration.parts)
            said = f"Not calibrated: the calibration is of estimates by {fitted}, not by {plain.basis}."
            return replace(plain, model=self.name, covers=f"{plain.covers} {said}")
        return self._corrected(plain, part)

    def _require(self, device: Device) -> None:
        target = self.calibration.common.target
        asked = Target(
            technology=device.technology_name,
            part=None if target.part is None else device.fpga_part,
            clock_mhz=device.clock_mhz,
            weights=device.weights,
            redundancy=device.redundancy,
            pipelined=device.pipelined,
        )
        self.calibration.require(asked, "this device")

    def _corrected(self, plain: HardwareEstimate, part: Part) -> HardwareEstimate:
        features = {name: np.array([value]) for name, value in plain.features.items()}
        costs = {name: np.array([value]) for name, value in plain.costs().items()}
        arguments = features, costs, plain.basis
        new = {name: values.item() for name, values in self.calibration.apply(*arguments).items()}
        intervals = {
            name: (low.item(), high.item())
            for name, (low, high) in self.calibration.intervals(*arguments).items()
        }
        values = {**plain.features, **{f"{PREDICTED} {name}": value for name, value in plain.costs().items()}}
        outside = [name for name, flag in self.calibration.outside(*arguments).items() if flag.item()]
        resources = {name: new[name] for name in plain.resources.stated() if name in new}
        changed: dict[str, Any] = {
            name: value for name, value in new.items() if name not in (*WORK, *resources)
        }
        changed |= {name: int(changed[name]) for name in WHOLE}
        return replace(
            plain,
            **changed,
            resources=replace(plain.resources, **resources),
            by_layer=_shares(plain, new),
            intervals=intervals,
            coverage=self.calibration.coverage if intervals else None,
            outside=tuple(_said(name, values[name], part.ranges[name]) for name in outside),
            model=self.name,
            covers=f"{plain.covers} {self._covers(part)}",
        )

    def _covers(self, part: Part) -> str:
        target = self.calibration.common.target
        said = (
            f"Corrected by {counted(len(part.designs), 'design')} ({self.calibration.common.stage}, "
            f"{target.tool} {target.version}): {', '.join(part.corrected) or 'nothing'}."
        )
        left = "; ".join(f"{name}: {reason}" for name, reason in part.uncorrected.items())
        return f"{said} Measured but not corrected: {left}." if left else said


def _said(name: str, value: float, bounds: tuple[float, float]) -> str:
    return f"{name} is {value:.6g}, the calibration was fitted on {bounds[0]:.6g} to {bounds[1]:.6g}"


def _shares(plain: HardwareEstimate, new: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Layers' values in proportion, so that they still add up."""
    old = plain.costs()
    return {
        layer: {
            name: value * new[name] / old[name] if old.get(name, 0.0) not in (0.0, new.get(name)) else value
            for name, value in values.items()
        }
        for layer, values in plain.by_layer.items()
    }
