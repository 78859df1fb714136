"""The ECON-T task: compress the 48 trigger-cell charges of a silicon wafer inside the chip that reads it.

Charges come from files of the study's form (:func:`load`) or, as the default data set, from a generator of
pile-up wafers (:func:`generate`).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError, DataError
from codesign.metrics import METRICS, Summary, telescoping_loss
from codesign.network import Network
from codesign.tasks import Samples
from codesign.tasks.generator import generate
from codesign.tasks.trigger_cell_csv import read_trigger_cells
from codesign.tasks.wafers import FLAT_8X8, MIP_T, Wafers, split

__all__ = ["EcontTask", "generate", "load", "score"]

DEFAULT_WAFERS: Final = 100_000
IMAGE: Final = (8, 8, 1)


def load(path: str | Path) -> Wafers:
    """Read wafers from a CSV file or from a folder of them; see :func:`read_trigger_cells`."""
    return read_trigger_cells(path)


def score(network: Network, wafers: Wafers) -> dict[str, Summary]:
    """Every metric of an autoencoder on some wafers.

    The telescoping loss acts on normalised charges; the other metrics on charges in MIP_T, the output scaled
    to the sum of the input, which the chip sends beside the code.

    Parameters
    ----------
    network
        Fitted; takes images of shape ``(8, 8, 1)`` and gives 64 outputs in the same layout.
    wafers
        At least one.

    Raises
    ------
    DataError
        For a network of another form.
    """
    if network.input_shape != IMAGE or np.prod(network.output_shape) != 64:
        raise DataError(
            f"an autoencoder of wafers takes {IMAGE} and gives 64 values, this network takes "
            f"{network.input_shape} and gives {network.output_shape}"
        )
    outputs = network.predict(wafers.images[..., None]).reshape(len(wafers), 64)[:, FLAT_8X8]
    if not np.isfinite(outputs).all():
        raise DataError("the network's outputs are not finite: its weights have diverged; train it again")
    return _summaries(outputs, wafers)


def _summaries(outputs: NDArray[np.float64], wafers: Wafers) -> dict[str, Summary]:
    """Every metric of outputs ``(n, 48)`` in CALQ order against the wafers they are to show."""
    charges = wafers.calq / MIP_T
    total = outputs.sum(axis=1, keepdims=True)
    scaled = outputs * charges.sum(axis=1, keepdims=True) / np.where(total > 0, total, 1.0)
    values = {name: metric.function(charges, scaled) for name, metric in METRICS.items()}
    values["telescoping_loss"] = telescoping_loss(wafers.normalised, outputs)
    return {name: Summary.of(column) for name, column in values.items()}


@dataclass(frozen=True, slots=True, eq=False)
class EcontTask:
    """Autoencoding wafers: telescoping loss to fit, Earth Mover's Distance to judge.

    Parameters
    ----------
    wafers
        All of them.
    validation
        Share held out.
    split_seed
        None: the first rows are held out, as the study does. A number: rows drawn with this seed.
    """

    wafers: Wafers
    validation_share: float = 0.2
    split_seed: int | None = None
    name: ClassVar[str] = "econt"
    loss: ClassVar[str] = "telescoping"
    metrics: ClassVar[Mapping[str, str]] = MappingProxyType(
        {**{name: metric.unit for name, metric in METRICS.items()}, "telescoping_loss": "1"}
    )
    training: Samples = field(init=False, repr=False)
    """Samples to fit on."""
    validation: Samples = field(init=False, repr=False)
    """Samples to stop on and to score on."""
    _parts: tuple[Wafers, Wafers] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Split and lay out once: workers share it."""
        parts = split(self.wafers, self.validation_share, self.split_seed)
        object.__setattr__(self, "_parts", parts)
        for name, part in zip(("training", "validation"), parts, strict=True):
            object.__setattr__(self, name, _samples(part))

    @classmethod
    def from_options(
        cls,
        path: str | Path | None = None,
        *,
        wafers: int = DEFAULT_WAFERS,
        seed: int = 0,
        population: Literal["pileup", "electron", "jet", "ttbar"] = "pileup",
        validation: float = 0.2,
        split_seed: int | None = None,
    ) -> "EcontTask":
        """The task on a file or folder, or on generated wafers.

        Parameters
        ----------
        path
            Trigger-cell CSV, or a folder of them; None: the generator.
        wafers, seed, population
            What the generator makes; of no effect with a path.
        validation, split_seed
            See the class.
        """
        if not 0 < validation < 1:
            raise ConfigError(f"data: validation is a share between 0 and 1, got {validation}")
        data = load(path) if path is not None else generate(wafers, seed=seed, population=population)
        return cls(data, validation, split_seed)

    def score(self, network: Network) -> dict[str, Summary]:
        """Every metric of a fitted network on the validation wafers."""
        return score(network, self._parts[1])

    def constant(self) -> dict[str, Summary]:
        """Every metric of one answer for all: the mean of the normalised training wafers."""
        training, validation = self._parts
        answer = training.normalised.mean(axis=0)
        return _summaries(np.broadcast_to(answer, validation.calq.shape), validation)

    def describe(self) -> dict[str, Any]:
        """Source, sizes and a digest of the charges."""
        digest = hashlib.sha256(np.ascontiguousarray(self.wafers.calq, dtype=np.int64).tobytes())
        return {
            "source": self.wafers.source,
            "training": len(self._parts[0]),
            "validation": len(self._parts[1]),
            "split_seed": self.split_seed,
            "digest": digest.hexdigest()[:16],
        }


def _samples(wafers: Wafers) -> Samples:
    inputs: NDArray[np.float32] = wafers.images[..., None].astype(np.float32)
    return Samples(inputs, wafers.normalised.astype(np.float32), FLAT_8X8)
