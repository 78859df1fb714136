"""Compare wafers with what is known of the study's data: occupancies, charges, shapes, the order of cells.

A :class:`CheckRow` puts what was found beside what is known. Most rows carry no verdict: only the study's own
set comes with a tolerance, and a good sample of another detector or of quieter collisions may differ from it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from codesign.errors import DataError
from codesign.metrics.trigger_cells import DISTANCES, NEIGHBOURS, POSITIONS
from codesign.tasks.wafers import INDEX_8X8, MIP_T, TRIGGER_CELLS, Wafers

__all__ = ["AE_BLOCK", "CellOrder", "CheckRow", "cell_order", "check", "observables"]

_FAR: Final = 6.0  # cell units
_BUSY: Final = 10 * MIP_T  # total charge above which the shape of a wafer is looked at
_STANDARD_ERRORS: Final = 3.0  # by how many a tolerance is widened
_SPARSE: Final = 6.0  # mean occupancy between populations without pile-up (to 2.5) and with it (from 15)


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One observable of the wafers at hand beside the same of a known population.

    Parameters
    ----------
    observable
        What is compared: a name of :func:`observables`.
    population
        The known wafers.
    source
        Where the reference value comes from.
    reference, value
        Of the known wafers, and of those at hand; not a number where none of these enters.
    accepted
        Lowest and highest value within the tolerance, which is wider the fewer wafers there are; ``None``
        where there is no tolerance.
    """

    observable: str
    population: str
    source: str
    reference: float
    value: float
    accepted: tuple[float, float] | None = None

    @property
    def difference(self) -> float:
        """Value less reference."""
        return self.value - self.reference

    @property
    def ratio(self) -> float:
        """Value over reference; not a number where the reference is zero."""
        return self.value / self.reference if self.reference else float("nan")

    @property
    def ok(self) -> bool | None:
        """Whether the value is accepted; ``None`` where there is no tolerance."""
        return None if self.accepted is None else self.accepted[0] <= self.value <= self.accepted[1]


def check(wafers: Wafers, population: Literal["pileup", "sparse"] | None = None) -> list[CheckRow]:
    """Compare wafers with every known population of their kind.

    Parameters
    ----------
    wafers
        At least one.
    population
        ``pileup`` compares with the study's set and with a pile-up sample of 2020, ``sparse`` with three
        samples without pile-up. ``None`` takes the kind whose mean occupancy is nearer.

    Returns
    -------
    rows
        Population by population. A tolerance is widened by three standard errors of the value at hand, with
        the wafers of one event taken together where the wafers say of which event they are.
    """
    found = observables(wafers)
    kind = population or ("sparse" if found["occ_all mean"] < _SPARSE else "pileup")
    errors = _standard_errors(wafers) if kind == "pileup" else {}
    return [
        CheckRow(name, known.population, known.source, reference, found[name], _widened(known, name, errors))
        for known in _KNOWN[kind]
        for name, reference in known.values.items()
    ]


def _widened(known: "_Known", name: str, errors: Mapping[str, float]) -> tuple[float, float] | None:
    if name not in known.accepted:
        return None
    (low, high), more = known.accepted[name], _STANDARD_ERRORS * errors[name]
    return low - more, high + more


def _standard_errors(wafers: Wafers) -> dict[str, float]:
    """Standard errors of means and spreads, from sums of their influence functions over each event."""
    events = wafers.columns.get("event", np.arange(len(wafers)))
    _, event = np.unique(events, return_inverse=True)
    if event.max() == 0:  # a single event does not tell how events differ
        event = np.arange(len(wafers))
    found = {}
    for name, values in _per_wafer(wafers).items():
        left = values - values.mean()
        spread = max(float(values.std()), np.finfo(float).tiny)
        for statistic, influence in (("mean", left), ("std", (left**2 - spread**2) / (2 * spread))):
            sums = np.bincount(event, influence)
            found[f"{name} {statistic}"] = float(np.sqrt((sums**2).sum()) / len(values))
    return found


def _per_wafer(wafers: Wafers) -> dict[str, NDArray[Any]]:
    """Observables that each wafer has one value of."""
    return {
        "occ_all": wafers.occupancy,
        "occ_1MT": wafers.occupancy_1mip,
        "log10 max": np.log10(wafers.max_mip),
        "log10 P": np.log10(wafers.sum_pow2_mip),
        "log10 sum": np.log10(wafers.sums / MIP_T),
    }


# --- what is measured

_MOMENTS: Final = ("median", "16 %", "84 %", "mean", "std")
_CHARGE_PERCENT: Final = (5, 16, 50, 84, 95, 99, 99.9)
_STATISTICS: Final[Mapping[str, Sequence[str]]] = {
    "occ_all": _MOMENTS,
    "occ_1MT": _MOMENTS,
    "log10 max": _MOMENTS,
    "log10 P": _MOMENTS,
    "log10 sum": _MOMENTS,
    "charge": [f"{percent} %" for percent in _CHARGE_PERCENT],
    "hit beside a hit": ("neighbour", "far"),
    "lead": ("1", "2", "3", "4", "5"),
    "radius": ("16 %", "50 %", "84 %"),
}


def observables(wafers: Wafers) -> dict[str, float]:
    """Measure everything that :func:`check` compares.

    Parameters
    ----------
    wafers
        At least one.

    Returns
    -------
    values
        By name, charges in MIP_T, lengths in cell units. ``P`` is the sum rounded down to a power of two;
        ``charge`` that of trigger cells with any; ``hit beside a hit`` the probability that a trigger cell is
        hit if a neighbour is, or one more than 6 cell units away; ``lead k`` the mean share of the k-th
        largest trigger cell and ``radius`` the charge-weighted r.m.s. distance from the centroid, both of
        wafers above 10 MIP_T and not a number where no wafer is.

    Raises
    ------
    DataError
        If there is no wafer.
    """
    _refuse_none(wafers)
    busy = wafers.calq[wafers.sums > _BUSY]
    return _by_name(
        {
            **{name: _moments(values) for name, values in _per_wafer(wafers).items()},
            "charge": np.percentile(wafers.calq[wafers.calq > 0] / MIP_T, _CHARGE_PERCENT).tolist(),
            "hit beside a hit": _hit_probabilities(wafers.calq),
            "lead": _leading_shares(busy).tolist() if len(busy) else 5 * [np.nan],
            "radius": np.percentile(_radii(busy), (16, 50, 84)).tolist() if len(busy) else 3 * [np.nan],
        }
    )


def _refuse_none(wafers: Wafers) -> None:
    if not len(wafers):
        raise DataError(
            f"{wafers.source or 'wafers'}: nothing to check, there is no wafer; give at least one"
        )


def _by_name(table: Mapping[str, Sequence[float | None]]) -> dict[str, float]:
    """Name each value of a table of one line per observable; ``None`` is left out."""
    return {
        f"{line} {statistic}": value
        for line, values in table.items()
        for statistic, value in zip(_STATISTICS[line], values, strict=True)
        if value is not None
    }


def _moments(values: NDArray[Any]) -> list[float]:
    return [*np.percentile(values, (50, 16, 84)).tolist(), float(values.mean()), float(values.std())]


def _hit_probabilities(calq: NDArray[np.integer[Any]]) -> tuple[float, float]:
    """P(neighbour hit | hit) and P(far cell hit | hit), over all ordered pairs of cells."""
    hit = (calq > 0).astype(np.float32)
    both = (hit.T @ hit).astype(np.float64)  # (48, 48)
    adjacent = np.zeros(both.shape, dtype=bool)
    adjacent[NEIGHBOURS[:, 0], NEIGHBOURS[:, 1]] = True
    pairs = np.stack([adjacent | adjacent.T, DISTANCES > _FAR])  # (2, 48, 48)
    near, far = (both * pairs).sum(axis=(1, 2)) / (np.diag(both)[:, None] * pairs).sum(axis=(1, 2))
    return float(near), float(far)


def _leading_shares(calq: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Mean share of the total charge in each of the five largest trigger cells; shape (5,)."""
    largest = np.sort(calq, axis=1)[:, :-6:-1]
    return np.asarray((largest / calq.sum(axis=1, keepdims=True)).mean(axis=0))


def _radii(calq: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Charge-weighted r.m.s. distance from the charge-weighted mean position, cell units; shape (n,)."""
    share = calq / calq.sum(axis=1, keepdims=True)
    square = share @ (POSITIONS**2).sum(axis=1) - ((share @ POSITIONS) ** 2).sum(axis=1)
    return np.asarray(np.sqrt(np.maximum(square, 0)))


# --- what it is compared with


@dataclass(frozen=True, slots=True)
class _Known:
    """Values of a known population by observable, and the bands accepted about some of them."""

    population: str
    source: str
    values: Mapping[str, float]
    accepted: Mapping[str, tuple[float, float]]


def _study() -> _Known:
    """The study's set; means and spreads within 15 %, the spread of log10 P between 0.65 and 0.75."""
    values = _by_name(
        {
            "occ_all": (10, 3, 36, 15.942, 14.334),
            "occ_1MT": (1, 0, 7, 2.8248, 4.6301),
            "log10 max": (0.0687, -0.4649, 0.6491, 0.0756, 0.5540),
            "log10 P": (0.5631, -0.3399, 1.1652, 0.4422, 0.7037),
        }
    )
    within = {
        name: (0.85 * value, 1.15 * value) for name, value in values.items() if name.endswith(("mean", "std"))
    }
    return _Known(
        "top pairs, 200 collisions, v11 (the study's set)",
        "published: qbock/Ecoder, TrainingData/training/baseline/*.txt",
        values,
        {**within, "log10 P std": (0.65, 0.75)},
    )


def _sample_2020(population: str, file: str, table: Mapping[str, Sequence[float | None]]) -> _Known:
    """A smaller CMS sample of 2020, measured; without a tolerance."""
    return _Known(population, f"measured on {file}.csv, kakwok/Ecoder, history of 2020", _by_name(table), {})


def _spread(mean: float, std: float | None = None) -> tuple[None, None, None, float, float | None]:
    return None, None, None, mean, std


_KNOWN: Final[Mapping[str, Sequence[_Known]]] = {
    "pileup": [
        _study(),
        _sample_2020(
            "pile-up, 2020",
            "CALQ_output",
            {
                "occ_all": (15, 5, 35, 18.38, 13.51),
                "occ_1MT": (5, 1, 14, 7.52, 8.12),
                "log10 max": _spread(0.611, 0.404),
                "log10 sum": _spread(1.173, 0.538),
                "charge": (0.143, 0.229, 0.743, 2.57, 5.03, 9.63, 23.1),
                "hit beside a hit": (0.630, 0.567),
                "lead": (0.253, 0.139, 0.098, 0.075, 0.060),
                "radius": (3.81, 4.67, 5.21),
            },
        ),
    ],
    "sparse": [
        _sample_2020(
            "electrons of 20 GeV, no pile-up, 2020",
            "electron_pt20_eta15-30_0PU",
            {
                "occ_all": _spread(1.73, 2.08),
                "charge": (0.057, 0.057, 0.086, 1.0, 7.06, 51.8, 99.1),
                "hit beside a hit": (0.166, 0.033),
                "lead": (0.596, 0.194, 0.082, 0.045, 0.027),
                "radius": (1.08, 1.51, 2.22),
            },
        ),
        _sample_2020(
            "jets of 20 GeV, no pile-up, 2020",
            "jet_pt20_eta15-30_0PU",
            {
                "occ_all": _spread(1.75),
                "lead": (0.523, 0.195, 0.098, 0.060, 0.038),
                "radius": (1.16, 2.13, 3.52),
            },
        ),
        _sample_2020(
            "ttbar, no pile-up, 2020",
            "ttbar_0PU",
            {
                "occ_all": _spread(2.48, 2.85),
                "occ_1MT": _spread(0.58, 1.53),
                "charge": (0.057, 0.086, 0.314, 1.54, 4.49, 15.1, 53.4),
                "hit beside a hit": (0.206, 0.073),
                "lead": (0.515, 0.187, 0.099, 0.061, 0.039),
                "radius": (1.20, 2.51, 3.95),
            },
        ),
    ],
}


# --- whether the trigger cells come in CALQ order

_ORDER_ROWS: Final = 100
_ORDER_ROWS_USED: Final = 20_000
_ORDER_SCORE: Final = 4.0
_PERMUTATIONS: Final = 400
AE_BLOCK: Final = np.concatenate([INDEX_8X8[:4].ravel(), INDEX_8X8[4:, :4].ravel()])
"""CALQ in each column of a file in AE-block order: the pixels of the 8x8 image, row by row; shape (48,)."""


@dataclass(frozen=True, slots=True)
class CellOrder:
    """How well the columns of charges fit the places of the trigger cells.

    Parameters
    ----------
    score
        By how many standard deviations neighbours go together more than under a random order of the columns.
        Samples of 1,000 wafers in CALQ order reach 18 to 28; a random order stays within 3 or so of zero.
    ae_block_score
        The same, were the columns in AE-block order: the pixels of the 8x8 image, row by row.
    neighbour, far
        Probability that a trigger cell is hit if a neighbour, or one more than 6 cell units away, is.
    wafers
        How many wafers were looked at.
    """

    score: float
    ae_block_score: float
    neighbour: float
    far: float
    wafers: int

    @property
    def fits(self) -> bool | None:
        """Whether the columns are in CALQ order; ``None`` if the wafers are too few or too alike to tell."""
        if self.wafers < _ORDER_ROWS or not np.isfinite(self.score):
            return None
        return self.score >= _ORDER_SCORE and self.score >= self.ae_block_score


def cell_order(wafers: Wafers) -> CellOrder:
    """Test whether neighbouring trigger cells see charge together, as they do in the right order.

    Particles spread over neighbouring cells. So log(1 + charge), less what the wafer's activity and the
    cell's share of it explain, is correlated between neighbours. The mean correlation of the 120 neighbouring
    pairs is compared with its distribution over random orders (Mantel's test), which knows how far chance
    alone goes in busy and in sparse wafers alike.

    Parameters
    ----------
    wafers
        At least one, and 100 for a verdict; of more than 20,000, an evenly spaced part is taken.

    Raises
    ------
    DataError
        If there is no wafer.

    Examples
    --------
    >>> from codesign.tasks.generator import generate
    >>> cell_order(generate(1000, seed=0)).fits
    True
    """
    _refuse_none(wafers)
    calq = wafers.calq[:: -(-len(wafers) // _ORDER_ROWS_USED)]
    together = _correlations(calq)
    rng = np.random.default_rng(0)
    orders = rng.permuted(np.tile(np.arange(TRIGGER_CELLS), (_PERMUTATIONS, 1)), axis=1)
    by_chance = _mean_over_neighbours(together, orders)
    known = _mean_over_neighbours(together, np.stack([np.arange(TRIGGER_CELLS), np.argsort(AE_BLOCK)]))
    spread = by_chance.std()
    scores = (known - by_chance.mean()) / spread if spread > 0 else np.full(2, np.nan)
    near, far = _hit_probabilities(calq)
    return CellOrder(float(scores[0]), float(scores[1]), near, far, len(calq))


def _correlations(calq: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Correlation of activity between trigger cells beyond that of the whole wafer; shape (48, 48)."""
    activity = np.log1p(calq.astype(np.float64))
    residual = activity - activity.sum(axis=1, keepdims=True) * (activity.sum(axis=0) / activity.sum())
    products = residual.T @ residual
    scale = np.sqrt(np.diag(products))
    scale[scale == 0] = 1
    return np.asarray(products / np.outer(scale, scale))


def _mean_over_neighbours(matrix: NDArray[np.float64], orders: NDArray[np.intp]) -> NDArray[np.float64]:
    """Mean of a matrix over neighbours; ``orders``, (k, 48), names the column of each trigger cell."""
    return np.asarray(matrix[orders[:, NEIGHBOURS[:, 0]], orders[:, NEIGHBOURS[:, 1]]].mean(axis=1))
