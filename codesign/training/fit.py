"""Fit one network: Adam on resident tensors, the best weights by validation loss kept."""

import math
import time
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError, DataError, DifferenceError
from codesign.half_up import FLOAT32_BITS, accumulator_bits
from codesign.network import Network
from codesign.tasks import OwnLoss, Samples
from codesign.training.compiled_run import CompiledRun
from codesign.training.engine import with_engine
from codesign.training.recipe import LOGIT_LOSSES, Engine, Recipe
from codesign.training.run import Checkpoint, Progress, Run
from codesign.training.weights import ends_in_sigmoid

__all__ = ["Checkpoint", "Fit", "Progress", "fit", "require_loss", "require_samples", "result"]

COMPARED = 32
"""Validation samples on which a fit's integers are compared with the interpreter's."""

SHARES_OFF = 1e-3
"""How far the shares of the classes may be from a sum of 1."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What came of a fit.

    Parameters
    ----------
    network
        With the weights of the best validation; of a fit that diverged before the first, the weights it
        started from.
    status
        ``ok``, or ``diverged``: loss or weights stopped being finite numbers.
    reason
        Why it diverged and at which step; empty if it did not.
    steps
        Optimiser steps taken.
    epochs
        The same in passes over the training samples.
    curve
        Of each validation: step, mean training loss since the one before, validation loss.
    best_step
        Step of the kept weights; 0 for those of the start.
    engine
        What computed.
    checkpoint
        Where it ended; another fit goes on from there.
    cpu_seconds, wall_seconds
        Processor time of this process, and time on the clock.
    """

    network: Network
    status: Literal["ok", "diverged"]
    reason: str
    steps: int
    epochs: float
    curve: tuple[tuple[int, float, float], ...]
    best_step: int
    engine: Engine
    checkpoint: Checkpoint
    cpu_seconds: float
    wall_seconds: float

    @property
    def best_loss(self) -> float:
        """Validation loss of the kept weights; infinite without a validation."""
        return min((validation for _, _, validation in self.curve), default=math.inf)


def fit(
    network: Network,
    training: Samples,
    validation: Samples,
    recipe: Recipe,
    *,
    loss: str | OwnLoss,
    seed: int,
    until: int | None = None,
    go_on: Checkpoint | None = None,
    progress: Progress | None = None,
) -> Fit:
    """Fit a network to samples.

    Same arguments, same bits, on the same engine, machine and libraries. Torch computes on one thread
    meanwhile: more are slower on networks of this size, and their sums depend on the split.

    Parameters
    ----------
    network
        Starts from its weights if it has any, else from fresh ones drawn from ``seed``.
    training, validation
        Samples to fit on; samples to stop on and to choose the best weights by.
    recipe
        Steps, batch, rate, stopping.
    loss
        Name of the loss, one of ``codesign.training.losses.LOSSES``, or a function (``OwnLoss``).
    seed
        Of the fresh weights and of the order of the samples.
    until
        Step to stop at, on the way that the recipe's steps lay out (a cosine does not end sooner for it); by
        default the last.
    go_on
        Where another fit of the same network on the same samples ended, on either engine: ``steps`` of the
        recipe counts its steps too, and the best weights are those of what follows.
    progress
        Called after each validation with the step and the validation loss.

    Raises
    ------
    ConfigError
        For an unknown loss, a loss of logits and a network that ends in a sigmoid, or a step to stop at
        that the recipe has not.
    DataError
        For samples that do not fit the network or the loss, or none.
    UnsupportedLayerError
        For a network that cannot be computed exactly while training.
    DifferenceError
        If the engine computes other integers on the chip than the fitted network: an error of the engine.
    """
    for name, samples in (("training", training), ("validation", validation)):
        require_samples(name, samples, network)
        require_loss(loss, name, samples, network)
    cpu, wall = time.process_time(), time.perf_counter()
    recipe, _ = with_engine(recipe, loss, conditional=network.conditions > 0)
    run = _run(network, training, validation, recipe, loss, seed)
    if until is not None:
        if not 1 <= until <= recipe.steps:
            raise ConfigError(f"a fit stops at step 1 to {recipe.steps} of its recipe, got until={until}")
        run.until = until
    if go_on is not None:
        run.go_on(go_on)
    run.descend(progress)
    fitted = result(run, recipe.engine or "torch", len(training), cpu, wall)
    _require_same_integers(run, fitted, validation.inputs[:COMPARED])
    return fitted


def result(run: Run, engine: Engine, samples: int, cpu: float, wall: float) -> Fit:
    """What came of a run that has ended and that began at these readings of the clocks, in seconds."""
    return Fit(
        network=run.fitted(),
        status="diverged" if run.reason else "ok",
        reason=run.reason,
        steps=run.step,
        epochs=run.seen / samples,
        curve=tuple(run.curve),
        best_step=run.best_step,
        engine=engine,
        checkpoint=run.checkpoint(),
        cpu_seconds=time.process_time() - cpu,
        wall_seconds=time.perf_counter() - wall,
    )


def _require_same_integers(run: Run, fitted: Fit, inputs: NDArray[Any]) -> None:
    """Compare engine and interpreter on some inputs, wherever float32 holds every sum of the chip."""
    chip = fitted.network.chip
    last = chip.formats[-1]
    if last is None or None in chip.formats or accumulator_bits(chip) > FLOAT32_BITS:
        return
    codes = chip.codes(inputs)
    computed = np.ldexp(np.asarray(run.chip_values(inputs), np.float64), last.fraction_bits)
    computed = computed.reshape(codes.shape)
    differ = int((computed != codes).sum())
    if differ:
        raise DifferenceError(
            f"the {fitted.engine} engine and the fitted network differ in {differ} of {codes.size} integers "
            "of the chip; this is an error: train with the other engine (--engine), and report it",
            computed,
        )


def _run(
    network: Network,
    training: Samples,
    validation: Samples,
    recipe: Recipe,
    loss: str | OwnLoss,
    seed: int,
) -> Run:
    if recipe.engine == "native":
        assert isinstance(loss, str), "with_engine refuses own losses"
        return CompiledRun(network, training, validation, recipe, loss, seed)
    from codesign.training.torch_run import TorchRun

    return TorchRun(network, training, validation, recipe, loss, seed)


def require_samples(name: str, samples: Samples, network: Network) -> None:
    """Raise ``DataError`` for samples that do not fit the network, or none."""
    outputs = math.prod(network.output_shape)
    if not len(samples):
        raise DataError(f"there are no {name} samples; at least 1 is needed")
    if samples.inputs.shape[1:] != network.input_shape:
        raise DataError(
            f"the {name} inputs have shape {samples.inputs.shape[1:]} each, "
            f"the network takes {network.input_shape}"
        )
    if len(samples.targets) != len(samples):
        raise DataError(
            f"there are {len(samples):,} {name} inputs but {len(samples.targets):,} targets; give one of "
            "each for every sample"
        )
    if samples.targets.shape != (len(samples), len(samples.output_index)):
        raise DataError(
            f"the {name} targets have shape {samples.targets.shape}, "
            f"expected {(len(samples), len(samples.output_index))}: one column for each output index"
        )
    known = np.zeros((len(samples), 0)) if samples.conditions is None else samples.conditions
    wanted = (len(samples), network.conditions)
    if network.conditions and (known.shape != wanted or not np.isfinite(known).all()):
        raise DataError(
            f"the {name} conditions have shape {known.shape}, the network takes {wanted}, all finite; turn "
            "on the task's conditions (ECON-T: conditional), or take a network without"
        )
    weights = samples.weights
    if weights is not None and (
        weights.shape != (len(samples),) or not np.isfinite(weights).all() or weights.min() < 0
    ):
        raise DataError(
            f"the {name} weights have shape {weights.shape}, expected {(len(samples),)}, "
            "all finite and not negative"
        )
    if (
        len(samples.output_index)
        and not 0 <= samples.output_index.min() <= samples.output_index.max() < outputs
    ):
        raise DataError(f"the {name} output index goes beyond the {outputs} outputs of the network")


def require_loss(loss: str | OwnLoss, name: str, samples: Samples, network: Network) -> None:
    """Raise ``ConfigError`` if logits come from a sigmoid, ``DataError`` for targets the loss cannot take."""
    if loss not in LOGIT_LOSSES:
        return
    if ends_in_sigmoid(network):
        raise ConfigError(
            f"the loss {loss!r} takes the network's outputs as logits, but the network ends in a Sigmoid; "
            "leave that layer out, or take another loss (mse)"
        )
    targets, classes = samples.targets, samples.targets.shape[1]
    inside = bool(((targets >= 0) & (targets <= 1)).all())
    if loss == "binary_cross_entropy" and not inside:
        raise DataError(
            f"the {name} targets go from {targets.min():g} to {targets.max():g}; the loss {loss!r} takes "
            "probabilities, 0 to 1"
        )
    sums = targets.sum(axis=1, dtype=np.float64)
    if loss == "cross_entropy" and not (inside and classes > 1 and (abs(sums - 1) <= SHARES_OFF).all()):
        raise DataError(
            f"the {name} targets, shape {targets.shape}, are not the shares of two or more classes; the loss "
            f"{loss!r} takes rows from 0 to 1 with a sum of 1, one-hot: np.eye(classes)[labels]; a single "
            "output takes 'binary_cross_entropy'"
        )
