"""Inputs that commands count the power of and verify on: of a study, of a file, or made up."""

from collections.abc import Callable
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from codesign.cli.view import waiting
from codesign.config import stored_task
from codesign.errors import ConfigError, DataError
from codesign.export.bundle import probes
from codesign.hardware import HardwareModel, with_inputs
from codesign.hardware.estimate import FRAMES, SeesInputs
from codesign.network import Network
from codesign.study import Study
from codesign.tasks import inputs_of

__all__ = ["inputs_or_random", "kept_inputs", "seeing", "with_given_inputs"]


def kept_inputs(study: Study, count: int) -> NDArray[Any] | None:
    """Up to ``count`` inputs of the study's own task: those it keeps, or of the task where these are too few.

    None of a study that keeps none and does not say how to get them.
    """
    kept = study.store.inputs()
    if kept is not None and (len(kept) >= count or len(kept) < FRAMES):
        return kept[:count]
    task = stored_task(study)
    return kept if task is None else inputs_of(task, count)


def inputs_or_random(study: Study, count: int) -> Callable[[Network], NDArray[Any]]:
    """What to verify a design on: inputs of the study's task, and random ones in place of those not known."""
    with waiting("Loading data"):
        inputs = kept_inputs(study, count)
    if inputs is not None and (study.meta.get("config") or len(inputs) >= count):
        return lambda network: inputs
    known = 0 if inputs is None else len(inputs)
    click.echo(
        f"note: this study was made from Python objects and keeps {known:,} inputs of its task; "
        f"{count - known:,} random codes are used beside",
        err=True,
    )

    def given(network: Network) -> NDArray[Any]:
        made_up = probes(network, count - known, seed=1)
        return made_up if inputs is None else np.concatenate([inputs, made_up])

    return given


def seeing(study: Study, model: HardwareModel, network: Network) -> HardwareModel:
    """The model as it prices trained designs of a study: with its inputs, if they are known and fit."""
    inputs = kept_inputs(study, FRAMES)
    if inputs is None or inputs.shape[1:] != network.input_shape:
        return model
    return with_inputs(model, inputs)


def with_given_inputs(model: HardwareModel, network: Network, path: str) -> HardwareModel:
    """The model with inputs of a file; raise ``ConfigError`` where they cannot count."""
    if not isinstance(model, SeesInputs):
        raise ConfigError(f"model {model.name!r} counts nothing that inputs change; leave out --inputs")
    if not network.chip.fitted:
        raise ConfigError(
            "what inputs change is known of trained weights alone, and this network has none; leave out "
            "--inputs"
        )
    return model.with_inputs(_read_inputs(path, network.input_shape))


def _read_inputs(path: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Finite inputs of a network, ``(n, *shape)``."""
    try:
        found = np.load(path)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"--inputs {path}: {error}; give a file that numpy.save wrote") from error
    if not isinstance(found, np.ndarray) or found.shape[1:] != shape or found.dtype.kind not in "fiu":
        given = f"{found.dtype} {found.shape}" if isinstance(found, np.ndarray) else "an archive"
        wanted = ", ".join(map(str, ("n", *shape)))
        raise DataError(f"--inputs {path}: give numbers of the shape ({wanted}), got {given}")
    if not np.isfinite(found).all():
        raise DataError(f"--inputs {path} holds values that are not finite")
    return found
