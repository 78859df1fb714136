"""How a network is fitted: steps, batch, learning rate and when to stop."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Literal, Self, get_args

from codesign.errors import ConfigError

__all__ = [
    "ADAM_BETAS",
    "ADAM_EPSILON",
    "COMPILED_LOSSES",
    "LOGIT_LOSSES",
    "LOSS_NAMES",
    "QUICK_OUTPUT_BIAS",
    "Engine",
    "Recipe",
]

Schedule = Literal["constant", "cosine"]
Engine = Literal["torch", "native"]
Initial = Literal["glorot", "scaled"]

ADAM_BETAS: Final = (0.9, 0.999)
"""Decay of Adam's first and second moment: the defaults of Keras, with which the study was trained."""

ADAM_EPSILON: Final = 1e-7
"""Adam's epsilon: the default of Keras. Keras adds it before the bias correction, torch after it."""

QUICK_OUTPUT_BIAS: Final = math.log(1 / 31)
"""logit(1/32): 48 outputs that start at 1/32 sum to 1.5, the middle of the targets' sums, 1 to 2."""

COMPILED_LOSSES: Final = ("telescoping", "telescoping_documented", "mse", "weighted_mse", "emd")
"""Losses of ``codesign.training.losses`` that the compiled engine has."""

LOGIT_LOSSES: Final = ("cross_entropy", "binary_cross_entropy")
"""Losses that take the network's outputs as logits: a sigmoid at its end would be one too many."""

LOSS_NAMES: Final = (*COMPILED_LOSSES, "sinkhorn", *LOGIT_LOSSES)
"""Every loss of ``codesign.training.losses``."""

_CHECKS_PER_RUN: Final = 20


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings of one fit. What counts is the steps: an epoch means different work on different data.

    The defaults are those of the published study (``sensor-data-compression/train.py`` in
    ``fastmachinelearning/fastml-science``: Adam, 1e-3, batch 500, zero biases, patience 30 epochs), but
    for ``steps``: the study took about 640,000.

    Parameters
    ----------
    steps
        Optimiser steps at most.
    batch
        Samples per step. Data that hold fewer are one batch.
    learning_rate
        Adam's rate at the first step.
    schedule
        ``constant``, or ``cosine``: from ``learning_rate`` to 0 along half a cosine over ``steps``.
    output_bias
        Value at which the biases of the last layer that has any start, in a network that ends in a
        ``Sigmoid``: its outputs start near ``1 / (1 + exp(-output_bias))``. Other networks start at 0.
    patience
        Validations without improvement after which the fit stops; None: never.
    validate_every
        Steps between validations. None: one epoch, but at least 20 times in ``steps``.
    validation_samples
        How many of the validation samples are looked at, the first ones; None: all.
    engine
        What computes: ``native``, the compiled engine, or ``torch``. None: the compiled engine if its
        kernels were built and it has the loss, else torch. Either starts from the same weights and sees
        the same batches; their sums are rounded in another order.
    loss
        One of ``LOSS_NAMES``; None: the task's.
    initial
        How fresh weights start: ``glorot``, as they are drawn, or ``scaled``: those on the chip scaled so
        that the activations are used (``codesign.training.weights.scaled_weights``).

    Raises
    ------
    ConfigError
        For a value out of its range.

    Examples
    --------
    >>> Recipe.quick(2000).learning_rate
    0.008
    """

    steps: int = 16_000
    batch: int = 500
    learning_rate: float = 1e-3
    schedule: Schedule = "constant"
    output_bias: float = 0.0
    patience: int | None = 30
    validate_every: int | None = None
    validation_samples: int | None = None
    engine: Engine | None = None
    loss: str | None = None
    initial: Initial = "glorot"

    def __post_init__(self) -> None:
        """Reject counts below 1, and rates and biases that are not usable numbers."""
        for name in ("steps", "batch", "patience", "validate_every", "validation_samples"):
            value = getattr(self, name)
            if value is None and name not in ("steps", "batch"):
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"recipe: {name} is a whole number from 1, got {value!r}")
        for name in ("learning_rate", "output_bias"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise ConfigError(f"recipe: {name} is a finite number, got {value!r}")
        if self.learning_rate <= 0:
            raise ConfigError(f"recipe: learning_rate is above 0, got {self.learning_rate!r}")
        if self.schedule not in get_args(Schedule):
            raise ConfigError(f"recipe: schedule is one of {get_args(Schedule)}, got {self.schedule!r}")
        if self.initial not in get_args(Initial):
            raise ConfigError(f"recipe: initial is one of {get_args(Initial)}, got {self.initial!r}")
        if self.engine is not None and self.engine not in get_args(Engine):
            raise ConfigError(f"recipe: engine is one of {get_args(Engine)}, got {self.engine!r}")
        if self.loss is not None and self.loss not in LOSS_NAMES:
            raise ConfigError(f"recipe: loss is one of {', '.join(LOSS_NAMES)}, got {self.loss!r}")

    @classmethod
    def quick(cls, steps: int = 2_000, **changes: Any) -> Self:
        """Recipe for a small budget: batch 250, cosine from 8e-3, sigmoids start at 1/32, scaled weights.

        The study's zero biases cost some 6,000 steps, in which 48 outputs of 1/2 shrink to a sum of 1 to 2.
        Weights as they are drawn leave most deep networks of few bits with activations of 0.

        Parameters
        ----------
        steps
            Optimiser steps.
        changes
            Other fields, in place of the values named above.
        """
        values: dict[str, Any] = {
            "steps": steps,
            "batch": 250,
            "learning_rate": 8e-3,
            "schedule": "cosine",
            "output_bias": QUICK_OUTPUT_BIAS,
            "patience": None,
            "validation_samples": 8_192,
            "initial": "scaled",
        }
        return cls.from_dict(values | changes)

    def rate(self, step: int) -> float:
        """Learning rate of step ``step``, counted from 0."""
        if self.schedule == "constant":
            return self.learning_rate
        return 0.5 * self.learning_rate * (1.0 + math.cos(math.pi * step / self.steps))

    def validation_interval(self, samples: int) -> int:
        """Steps between validations on ``samples`` training samples."""
        if self.validate_every is not None:
            return self.validate_every
        epoch = -(-samples // self.batch)
        return max(1, min(epoch, self.steps // _CHECKS_PER_RUN))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of ``to_dict``; absent fields take their defaults."""
        allowed = [field.name for field in fields(cls)]
        unknown = sorted(set(data) - set(allowed))
        if unknown:
            raise ConfigError(f"recipe: unknown {unknown}; a recipe has {allowed}")
        return cls(**data)
