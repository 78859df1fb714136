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
from codesign.metrics import METRICS, Summary, emd, telescoping_loss
from codesign.network import Network
from codesign.tasks import Samples
from codesign.tasks.concentrator import (
    ALGORITHMS,
    CELLS_KEPT,
    SUM_CODE,
    autoencoder_bits,
    best_choice,
    short_float,
)
from codesign.tasks.conditions import module_conditions
from codesign.tasks.generator import SETS, generate
from codesign.tasks.layouts import LAYOUTS, Layout, layout_of
from codesign.tasks.trigger_cell_csv import read_trigger_cells
from codesign.tasks.wafers import MIP_T, Wafers, split

__all__ = ["UNITS", "EcontTask", "generate", "load", "score"]

DEFAULT_WAFERS: Final = 100_000
UNITS: Final[Mapping[str, str]] = MappingProxyType(
    {**{name: metric.unit for name, metric in METRICS.items()}, "telescoping_loss": "1"}
)
"""Units of the scores that ``score`` gives."""
OF_BUSY: Final = ("emd_busy", "emd_hybrid")
BITS_MARGIN: Final = 1.05


def load(path: str | Path) -> Wafers:
    """Read wafers from a CSV file or from a folder of them; see :func:`read_trigger_cells`."""
    return read_trigger_cells(path)


def score(network: Network, wafers: Wafers) -> dict[str, Summary]:
    """Every metric of an autoencoder on some wafers.

    The telescoping loss acts on normalised charges; the other metrics on charges in MIP_T, the output scaled
    to the sum of the input, which the chip sends beside the code in 9 bits (5 of the exponent, 4 of the
    mantissa).

    Parameters
    ----------
    network
        Fitted; takes images of a layout of ``codesign.tasks.layouts`` and gives outputs in the same.
    wafers
        At least one.

    Raises
    ------
    DataError
        For a network of another form.
    """
    return _summaries(_scores(_decoded(network, wafers), wafers))


def _decoded(network: Network, wafers: Wafers) -> NDArray[np.float64]:
    """Outputs of an autoencoder, ``(n, 48)`` in CALQ order."""
    layout = layout_of(network)
    known = module_conditions(wafers) if network.conditions else None
    answers = network.predict(layout.images(wafers.normalised), known)
    outputs = layout.cells(answers.reshape(len(wafers), -1))
    if not np.isfinite(outputs).all():
        raise DataError("the network's outputs are not finite: its weights have diverged; train it again")
    return outputs


def _scores(outputs: NDArray[np.float64], wafers: Wafers) -> dict[str, NDArray[np.float64]]:
    """Every metric of each wafer for outputs ``(n, 48)`` in CALQ order.

    What is sent beside the code is the sum in 9 bits; outputs are scaled to that.
    """
    sums = short_float(wafers.sums, *SUM_CODE)[:, None] / MIP_T
    total = outputs.sum(axis=1, keepdims=True)
    scaled = outputs * sums / np.where(total > 0, total, 1.0)
    charges = wafers.calq / MIP_T
    values = {name: metric.function(charges, scaled) for name, metric in METRICS.items()}
    values["telescoping_loss"] = telescoping_loss(wafers.normalised, outputs)
    return values


def _summaries(values: Mapping[str, NDArray[np.float64]]) -> dict[str, Summary]:
    return {name: Summary.of(column) for name, column in values.items()}


@dataclass(frozen=True, slots=True, eq=False)
class EcontTask:
    """Autoencoding wafers: a loss to fit, Earth Mover's Distance to judge.

    Parameters
    ----------
    wafers
        All of them.
    validation_share
        Share held out.
    split_seed
        None: the first rows are held out, as the study does. A number: rows drawn with this seed.
    loss
        What is minimised, of ``codesign.training.losses``.
    busy_from
        Trigger cells above 1 MIP_T from which a wafer is busy. Then there are two more metrics: ``emd_busy``
        of the busy wafers alone, and ``emd_hybrid`` where best choice sends the others and the network only
        the busy ones. None: neither.
    busy_only
        Whether networks are fitted to the busy wafers alone.
    links
        Links of the module, 2 to 5: what best choice may send.
    layout
        Name of the images that networks see, of ``codesign.tasks.layouts``.
    conditional
        Whether samples have the conditions of their module, for decoders that take them: a space such as
        ``econt-conditional``.
    """

    wafers: Wafers
    validation_share: float = 0.2
    split_seed: int | None = None
    loss: str = "telescoping"
    busy_from: int | None = None
    busy_only: bool = False
    links: int = 5
    layout: str = "8x8"
    conditional: bool = False
    name: ClassVar[str] = "econt"
    training: Samples = field(init=False, repr=False)
    """Samples to fit on."""
    validation: Samples = field(init=False, repr=False)
    """Samples to stop on."""
    _parts: tuple[Wafers, Wafers] = field(init=False, repr=False)
    _best_choice: NDArray[np.float64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Split, lay out and send by best choice once: workers share it."""
        parts = split(self.wafers, self.validation_share, self.split_seed)
        object.__setattr__(self, "_parts", parts)
        fitted = [part.take(self._busy(part)) if self.busy_only else part for part in parts]
        for name, part, of in zip(("training", "validation"), fitted, parts, strict=True):
            if not len(part) or (self.busy_from is not None and not self._busy(of).any()):
                raise DataError(
                    f"none of the {len(of)} {name} wafers has {self.busy_from} or more trigger cells above 1 "
                    "MIP_T; lower busy_from or take busier wafers"
                )
            known = module_conditions(part) if self.conditional else None
            object.__setattr__(self, name, _samples(part, LAYOUTS[self.layout], known))
        sent = best_choice(parts[1].calq, CELLS_KEPT[self.links]).calq if self.busy_from is not None else None
        selected = np.zeros(0) if sent is None else emd(parts[1].calq, sent)
        object.__setattr__(self, "_best_choice", selected)

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
        loss: str = "telescoping",
        busy_from: int | None = None,
        busy_only: bool = False,
        links: int = 5,
        layout: str = "8x8",
        conditional: bool = False,
        parameters: str = "T",
    ) -> "EcontTask":
        """The task on a file or folder, or on generated wafers.

        Parameters
        ----------
        path
            Trigger-cell CSV, or a folder of them; None: the generator.
        wafers, seed, population
            What the generator makes; of no effect with a path.
        validation, split_seed, loss, busy_from, busy_only, links, layout, conditional
            See the class.
        parameters
            Which of its ``SETS`` the generator goes by: ``T``, ``C`` or ``P``.
        """
        if not 0 < validation < 1:
            raise ConfigError(f"data: validation is a share between 0 and 1, got {validation}")
        if links not in CELLS_KEPT:
            raise ConfigError(f"data: links is one of {', '.join(map(str, CELLS_KEPT))}, got {links}")
        if layout not in LAYOUTS:
            raise ConfigError(f"data: layout is one of {', '.join(LAYOUTS)}, got {layout!r}")
        if busy_only and busy_from is None:
            raise ConfigError("data: busy_only needs busy_from, from how many trigger cells a wafer is busy")
        if parameters not in SETS:
            raise ConfigError(f"data: parameters is one of {', '.join(SETS)}, got {parameters!r}")
        if path is not None:
            data = load(path)
        else:
            data = generate(wafers, seed=seed, parameters=parameters, population=population)
        return cls(data, validation, split_seed, loss, busy_from, busy_only, links, layout, conditional)

    @property
    def metrics(self) -> Mapping[str, str]:
        """Metrics that ``score`` gives, with their units."""
        more = (
            {} if self.busy_from is None else dict.fromkeys(("emd_busy", "emd_hybrid"), METRICS["emd"].unit)
        )
        return {**{name: metric.unit for name, metric in METRICS.items()}, "telescoping_loss": "1", **more}

    def score(self, network: Network) -> dict[str, Summary]:
        """Every metric of a fitted network on the validation wafers."""
        return self._judged(_decoded(network, self._parts[1]))

    def constant(self) -> dict[str, Summary]:
        """Every metric of one answer for all: the mean of the normalised training wafers."""
        training, validation = self._parts
        answer = training.normalised.mean(axis=0)
        return self._judged(np.broadcast_to(answer, validation.calq.shape))

    def references(self) -> dict[str, dict[str, float]]:
        """What the chip's algorithms of about as many bits score on the validation wafers, by their names.

        Those that leave wafers empty are not among them: the special value of an empty wafer lowers a mean.
        """
        validation, most = self._parts[1], autoencoder_bits(self.links)
        found = {}
        for algorithm in ALGORITHMS:
            received = algorithm.send(validation.calq)
            fits = algorithm.links in (None, self.links) and received.bits.mean() < BITS_MARGIN * most
            if not fits or not received.calq.any(axis=1).all():
                continue
            scores = emd(validation.calq, received.calq)
            found[algorithm.name] = {"emd": float(scores.mean())}
            if self.busy_from is not None:
                found[algorithm.name]["emd_busy"] = float(scores[self._busy(validation)].mean())
        return found

    def describe(self) -> dict[str, Any]:
        """Source, sizes and a digest of the charges; what is not as it is by default."""
        digest = hashlib.sha256(np.ascontiguousarray(self.wafers.calq, dtype=np.int64).tobytes())
        options = {
            "loss": "telescoping",
            "busy_from": None,
            "busy_only": False,
            "links": 5,
            "layout": "8x8",
            "conditional": False,
        }
        return {
            "source": self.wafers.source,
            "training": len(self._parts[0]),
            "validation": len(self._parts[1]),
            "split_seed": self.split_seed,
            "digest": digest.hexdigest()[:16],
            **{name: getattr(self, name) for name, usual in options.items() if getattr(self, name) != usual},
        }

    def _busy(self, wafers: Wafers) -> NDArray[np.bool_]:
        return np.asarray(wafers.occupancy_1mip >= (self.busy_from or 0))

    def _judged(self, outputs: NDArray[np.float64]) -> dict[str, Summary]:
        values = _scores(outputs, self._parts[1])
        if self.busy_from is not None:
            busy = self._busy(self._parts[1])
            values["emd_busy"] = values["emd"][busy]
            values["emd_hybrid"] = np.where(busy, values["emd"], self._best_choice)
        return _summaries(values)


def _samples(wafers: Wafers, layout: Layout, known: NDArray[np.float32] | None) -> Samples:
    normalised: NDArray[np.float32] = wafers.normalised.astype(np.float32)
    return Samples(layout.images(normalised), normalised, layout.output_index, conditions=known)
