"""Wafers of the highly granular calorimeter, generated from a fast model of what the sensors see.

No wafer of the study may be shipped, so these are the default data set. The model: particles of each event
reach layer 9 of one endcap (the depth at which electromagnetic showers are largest) and leave charge in
spots; spots are summed by trigger cell; the electronics round, compress and weight the sums. Every wafer that
reads charge is a row, so busy and quiet wafers come in their own proportions.

Lengths are cm, energies GeV, charges MIP unless a name says otherwise. Sources:

- showers: Grindhammer and Peters, hep-ex/0001020, with the constants of Geant4's ``gflash`` parameterisation
  of homogeneous media (``source/parameterisations/gflash``), for Z = 60 and a critical energy of 10.5 MeV;
- layer depths, lattice and energy per MIP: ``LLRCMS/HGCAL-FastShower``;
- positions of the trigger cells: ``data/tc_uv_to_xy.csv`` of ``rohanshenoy/hgcal-analysis`` (facts only);
- the read-out chain: ``dnoonan08/ECONT_Emulator`` (facts only).
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import special

from codesign.errors import DataError
from codesign.tasks.generator_parameters import (
    CLUSTERED,
    FIRST_PRINCIPLES,
    SETS,
    TUNED,
    Parameters,
    parameter_set,
)
from codesign.tasks.wafers import MIP_T, TRIGGER_CELLS, Wafers

__all__ = [
    "CLUSTERED",
    "FIRST_PRINCIPLES",
    "SETS",
    "TUNED",
    "Parameters",
    "Population",
    "generate",
    "parameter_set",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Population = Literal["pileup", "electron", "jet", "ttbar"]

LAYER: Final = 9
_LAYER_Z: Final = 328.7
_LAYER_DEPTH: Final = 8.2  # radiation lengths
_LAYER_THICKNESS: Final = 0.88  # radiation lengths
_MAGNETIC_FIELD: Final = 3.8  # tesla
_WAFER_PITCH: Final = 16.84
_SINE_60: Final = 0.75**0.5
_RING: Final = 10  # lattice indices of wafers lie within
_BLOCKS_CM: Final = (  # first trigger cell, step of the column, step of the row
    ((-1.090, 7.676), (0.0, -2.4024), (-2.0805, -1.2012)),
    ((7.232, -2.734), (-2.0805, 1.2012), (0.0, 2.4024)),
    ((-5.945, -4.736), (2.0805, 1.2012), (2.0805, -1.2012)),
)
_CELL_MAP_STEP: Final = 0.025
_CELL_MAP_HALF: Final = 10.0  # beyond the wafer's corners at 9.72
_REACH: Final = 190.0  # radius beyond which nothing spreads on to a wafer

_CRITICAL_ENERGY: Final = 0.0105
_LAYER_MIP: Final = 0.0089  # energy that one MIP leaves in the layer, absorber included
_ATOMIC_NUMBER: Final = 60
_MOLIERE_RADIUS: Final = 2.8
_MAX_SPOTS: Final = 400
_MAX_SPOT_RADIUS: Final = 25.0

_ETA_RANGE: Final = (1.2, 3.4)
_SIGNAL_ETA_RANGE: Final = (1.5, 3.0)
_SIGNAL_PT: Final = 20.0
_LOWEST_PT: Final = 1e-3
_PATIENCE: Final = 25  # batches in a row without charge before giving up


def generate(
    count: int,
    *,
    seed: int,
    parameters: Parameters | str = TUNED,
    population: Population = "pileup",
) -> Wafers:
    """Generate wafers that read charge.

    Parameters
    ----------
    count
        Wafers to return.
    seed
        Not negative. The same seed, parameters and population give the same wafers, and fewer of them are the
        first of more.
    parameters
        Rates, momenta, electronics, or a name of ``SETS``: ``T``, tuned, which is the default; ``C``, tuned
        more closely, with jets and clusters; ``P``, first principles.
    population
        ``pileup``: about 200 inelastic collisions per event. Without pile-up, and sparse: ``electron``, one
        of 20 GeV transverse momentum per event; ``jet``, one of 20 GeV or more; ``ttbar``, one or two jets.

    Returns
    -------
    wafers
        Event by event; with the columns ``event`` and ``layer`` (counts), ``waferu`` and ``waferv`` (lattice
        indices) and ``eta`` (pseudorapidity of the wafer's centre).

    Raises
    ------
    DataError
        If the count is below 1, the seed negative, the population or the name of the parameters unknown, or
        no wafer ever hit.

    Examples
    --------
    >>> wafers = generate(1000, seed=1)
    >>> len(wafers), sorted(wafers.columns)
    (1000, ['eta', 'event', 'layer', 'waferu', 'waferv'])
    """
    if count < 1:
        raise DataError(f"generate makes at least 1 wafer, got {count}")
    if seed < 0:
        raise DataError(f"a seed is an integer not below 0, got {seed}")
    if population not in get_args(Population):
        raise DataError(f"the populations are {', '.join(get_args(Population))}; got {population!r}")
    if isinstance(parameters, str):
        parameters = parameter_set(parameters)
    batches = []
    missing = count
    for batch in _batches(population, parameters, seed):
        batches.append(batch)
        missing -= len(batch.rows)
        if missing <= 0:
            break
    rows = np.concatenate([batch.rows for batch in batches])[:count]
    calq = np.concatenate([batch.calq for batch in batches])[:count]
    event, wafer = np.divmod(rows, len(_wafer_lattice().u))
    lattice = _wafer_lattice()
    columns = {
        "event": event,
        "layer": np.full(count, LAYER),
        "waferu": lattice.u[wafer],
        "waferv": lattice.v[wafer],
        "eta": lattice.eta[wafer],
    }
    return Wafers(
        calq, columns, _source(population, parameters, seed), dropped_empty=int(rows[-1]) + 1 - count
    )


def _source(population: Population, parameters: Parameters, seed: int) -> str:
    """What the wafers are; the parameters are named unless they are the default."""
    names = {known: f", parameters {name}" for name, known in SETS.items()}
    named = "" if parameters == TUNED else names.get(parameters, ", parameters of its own")
    return f"generated {population}{named}, seed {seed}"


@dataclass(frozen=True, slots=True)
class _Batch:
    """Wafers with charge of consecutive events; ``rows`` number every wafer of every event from 0 on."""

    rows: Integers  # (n,)
    calq: NDArray[np.int32]  # (n, 48)


def _batches(population: Population, parameters: Parameters, seed: int) -> Iterator[_Batch]:
    """Make events without end, each batch from its own stream of random numbers."""
    spots_of, events = _SOURCES[population]
    wafers = len(_wafer_lattice().u)
    empty = 0
    for number in itertools.count():
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
        charge = _sum_by_cell(spots_of(events, parameters, rng), events, parameters)
        calq = _read_out(charge, parameters, rng)
        hit = np.flatnonzero(calq.any(axis=1))
        empty = 0 if hit.size else empty + 1
        if empty == _PATIENCE:
            raise DataError(
                f"{_PATIENCE * events} {population} events with {parameters} left no charge; "
                "raise a rate or lower threshold_mip"
            )
        yield _Batch(hit + number * events * wafers, calq[hit])


# --- where the wafers and their trigger cells are


@dataclass(frozen=True, slots=True)
class _Lattice:
    """The 306 wafers of one layer and endcap."""

    u: Integers  # (306,)
    v: Integers  # (306,)
    eta: Floats  # (306,): pseudorapidity of the centre
    transverse: Floats  # (306, 48): 1 / cosh(eta) of each trigger cell
    number: Integers  # (21, 21): wafer at lattice indices (u + 10, v + 10), -1 for none


@lru_cache(maxsize=1)
def _wafer_lattice() -> _Lattice:
    """Wafers with centres between sqrt(3) and sqrt(84) pitches from the beam."""
    u, v = (axis.ravel() for axis in np.mgrid[-_RING : _RING + 1, -_RING : _RING + 1])
    rings = u**2 + v**2 - u * v
    present = (rings >= 3) & (rings <= 84)
    number = np.where(present, np.cumsum(present) - 1, -1).reshape(2 * _RING + 1, -1)
    u, v = u[present], v[present]
    centres = np.stack(_wafer_centre(u, v), axis=-1)
    radius = np.linalg.norm(centres[:, None] + _cell_positions(), axis=-1)
    eta = np.arcsinh(_LAYER_Z / np.linalg.norm(centres, axis=-1))
    return _Lattice(u, v, eta, radius / np.hypot(radius, _LAYER_Z), number)


def _wafer_centre(u: NDArray[Any], v: NDArray[Any]) -> tuple[Floats, Floats]:
    """Centre of a wafer of the lattice, cm; two arrays of the shape of ``u``."""
    return _WAFER_PITCH * (v / 2 - u), _WAFER_PITCH * _SINE_60 * v


def _cell_positions() -> Floats:
    """Centres of the trigger cells about the wafer's, cm, CALQ order; shape (48, 2)."""
    r, c = np.divmod(np.arange(16), 4)
    blocks = [
        np.array(first) + np.outer(c, step_c) + np.outer(r, step_r) for first, step_c, step_r in _BLOCKS_CM
    ]
    positions = np.concatenate(blocks)
    return np.asarray(positions - positions.mean(axis=0))


@lru_cache(maxsize=1)
def _cell_map() -> NDArray[np.int16]:
    """Nearest trigger cell to each small square about a wafer's centre; indices (x, y)."""
    half = round(_CELL_MAP_HALF / _CELL_MAP_STEP)
    axis = (np.arange(-half, half) + 0.5) * _CELL_MAP_STEP
    nearest = np.zeros((axis.size, axis.size), dtype=np.int16)
    smallest = np.full(nearest.shape, np.inf)
    for cell, (x, y) in enumerate(_cell_positions()):
        distance = (axis[:, None] - x) ** 2 + (axis[None, :] - y) ** 2
        nearer = distance < smallest
        nearest[nearer] = cell
        smallest[nearer] = distance[nearer]
    return nearest


def _locate(x: Floats, y: Floats) -> tuple[Integers, Integers]:
    """Wafer (0 to 305, -1 for none) and trigger cell at points of the layer; each of shape (n,)."""
    v = y / (_WAFER_PITCH * _SINE_60)
    u, v = _nearest_lattice_point(v / 2 - x / _WAFER_PITCH, v)
    centre_x, centre_y = _wafer_centre(u, v)
    cells = _cell_map()
    square_x, square_y = (
        (offset / _CELL_MAP_STEP + len(cells) // 2).astype(np.int64)
        for offset in (x - centre_x, y - centre_y)
    )
    cell = cells[square_x, square_y]
    number = _wafer_lattice().number
    at = [np.clip(index, -_RING, _RING).astype(np.int64) + _RING for index in (u, v)]
    inside = (np.abs(u) <= _RING) & (np.abs(v) <= _RING)
    return np.where(inside, number[at[0], at[1]], -1), cell.astype(np.int64)


def _nearest_lattice_point(u: Floats, v: Floats) -> tuple[Floats, Floats]:
    """Round hexagonal coordinates: of u, v and v - u, the one that rounding moved most follows the others."""
    w = v - u
    ru, rv, rw = np.rint(u), np.rint(v), np.rint(w)
    du, dv, dw = np.abs(ru - u), np.abs(rv - v), np.abs(rw - w)
    fix_u = (du > dv) & (du > dw)
    fix_v = ~fix_u & (dv > dw)
    return np.where(fix_u, rv - rw, ru), np.where(fix_v, ru + rw, rv)


# --- what particles leave


@dataclass(frozen=True, slots=True)
class _Spots:
    """Charges at points of the layer, each array of shape (n,): event of the batch, cm, cm, MIP."""

    event: Integers
    x: Floats
    y: Floats
    charge: Floats


@dataclass(frozen=True, slots=True)
class _Particles:
    """Particles at the layer, each array of shape (n,): event of the batch, GeV, cm, cm."""

    event: Integers
    energy: Floats
    x: Floats
    y: Floats

    def where(self, chosen: NDArray[np.bool_]) -> "_Particles":
        """Those chosen by a mask of shape (n,)."""
        return _Particles(self.event[chosen], self.energy[chosen], self.x[chosen], self.y[chosen])


def _fly(event: Integers, pt: Floats, eta: Floats, phi: Floats, sign: Integers) -> _Particles:
    """Follow particles from the collision to the layer, charged ones on a helix; those far outside are lost.

    A helix of radius R = pt / (0.3 B) has turned by s/R after a path s in the transverse plane: the chord is
    s sin(a)/a in the direction phi + a, with a = s / 2R.
    """
    path = _LAYER_Z / np.sinh(eta)
    angle = sign * path * (0.3 * _MAGNETIC_FIELD / 200) / pt
    radius = path * np.sinc(angle / np.pi)
    x, y = radius * np.cos(phi + angle), radius * np.sin(phi + angle)
    return _Particles(event, pt * np.cosh(eta), x, y).where(np.abs(radius) < _REACH)


def _mip(shape: int, rng: np.random.Generator) -> Floats:
    """Charge left by single crossings of the sensor, a Moyal distribution with its peak at 0.98 MIP."""
    normal = rng.standard_normal(shape)
    return np.clip(0.98 - 0.14 * np.log(normal * normal), 0.2, 6.0)


def _shower_spots(particles: _Particles, start: Floats, scale: float, rng: np.random.Generator) -> _Spots:
    """Spots of electromagnetic showers.

    Parameters
    ----------
    particles
        With ``n`` showers.
    start
        Depth at which each begins, radiation lengths; shape (n,).
    scale
        Factor on all radii.
    """
    depth, maximum, share = _longitudinal(particles.energy, start, rng)
    charge = particles.energy * share / _LAYER_MIP
    expected = np.minimum(charge, _MAX_SPOTS)
    spots = rng.poisson(expected)
    shower = np.repeat(np.arange(spots.size), spots)
    per_spot = (charge / np.maximum(expected, 1e-300))[shower]
    core, tail, core_share = _radial(particles.energy, np.clip(depth / maximum, 0.05, 3.0))
    size = np.where(rng.random(shower.size) < core_share[shower], core[shower], tail[shower])
    v = rng.random(shower.size)
    radius = np.minimum(scale * _MOLIERE_RADIUS * size * np.sqrt(v / (1 - v)), _MAX_SPOT_RADIUS)
    return _around(particles, shower, radius, per_spot * _mip(shower.size, rng), rng)


def _around(
    particles: _Particles, of: NDArray[np.intp], radius: Floats, charge: Floats, rng: np.random.Generator
) -> _Spots:
    """Spots at distances from their particles and at any azimuth; ``of`` names the particle of each."""
    azimuth = rng.uniform(0, 2 * np.pi, radius.size)
    x = particles.x[of] + radius * np.cos(azimuth)
    y = particles.y[of] + radius * np.sin(azimuth)
    return _Spots(particles.event[of], x, y, charge)


def _longitudinal(energy: Floats, start: Floats, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Depth of the layer in each shower, depth of the shower's maximum, share of its energy in the layer.

    The profile is a gamma distribution; the logarithms of its maximum and of its shape fluctuate together
    (hep-ex/0001020, homogeneous media). Depths in radiation lengths; each of shape (n,).
    """
    ln_y = np.log(np.maximum(energy / _CRITICAL_ENERGY, 3.0))
    spread_maximum = np.minimum(1 / np.maximum(-1.4 + 1.26 * ln_y, 0.5), 0.5)
    spread_shape = np.minimum(1 / np.maximum(-0.58 + 0.86 * ln_y, 0.5), 0.5)
    correlation = 0.705 - 0.023 * ln_y
    common = np.sqrt((1 + correlation) / 2) * rng.standard_normal(energy.size)
    opposite = np.sqrt((1 - correlation) / 2) * rng.standard_normal(energy.size)
    maximum = np.maximum(ln_y - 0.812, 0.3) * np.exp(spread_maximum * (common + opposite))
    mean_shape = 0.81 + (0.458 + 2.26 / _ATOMIC_NUMBER) * ln_y
    shape = np.maximum(mean_shape * np.exp(spread_shape * (common - opposite)), 1.05)
    rate = (shape - 1) / maximum
    depth = _LAYER_DEPTH - start
    before = special.gammainc(shape, rate * np.maximum(depth - _LAYER_THICKNESS / 2, 0))
    after = special.gammainc(shape, rate * np.maximum(depth + _LAYER_THICKNESS / 2, 0))
    return depth, maximum, after - before


def _radial(energy: Floats, age: Floats) -> tuple[Floats, Floats, Floats]:
    """Median radius of the core and of the tail, in Moliere radii, and the core's share; each of shape (n,).

    hep-ex/0001020, homogeneous media; ``age`` is depth over depth of the maximum.
    """
    ln_e = np.log(np.maximum(energy, 0.3))
    z = _ATOMIC_NUMBER
    core = 0.0251 + 0.00319 * ln_e + (0.1162 - 0.000381 * z) * age
    past = age - 0.645
    tail = (0.659 - 0.00309 * z) * (np.exp(-2.59 * past) + np.exp((0.3585 + 0.0412 * ln_e) * past))
    w = (0.401 + 0.00187 * z - age) / (1.313 - 0.0686 * ln_e)
    core_share = np.clip((2.632 - 0.00094 * z) * np.exp(w - np.exp(w)), 0, 1)
    return core, tail, core_share


def _photon_spots(photons: _Particles, parameters: Parameters, rng: np.random.Generator) -> list[_Spots]:
    """Showers of photons: half of them converted before the calorimeter, half after 9/7 radiation lengths."""
    start = rng.exponential(9 / 7, photons.energy.size) * rng.integers(0, 2, photons.energy.size)
    return [_shower_spots(photons, start, parameters.radius_scale, rng)]


def _electron_spots(electrons: _Particles, parameters: Parameters, rng: np.random.Generator) -> list[_Spots]:
    """Showers of electrons, which begin at the front face."""
    return [_shower_spots(electrons, np.zeros(electrons.energy.size), parameters.radius_scale, rng)]


def _hadron_spots(hadrons: _Particles, parameters: Parameters, rng: np.random.Generator) -> list[_Spots]:
    """Tracks of hadrons; of those that interact before the layer, an electromagnetic part and secondaries."""
    tracks = _Spots(hadrons.event, hadrons.x, hadrons.y, _mip(hadrons.energy.size, rng))
    depth = rng.exponential(1.0, hadrons.energy.size)
    early = depth < parameters.interaction_lengths
    showers = hadrons.where(early)
    start = _LAYER_DEPTH * depth[early] / parameters.interaction_lengths
    neutral = replace(showers, energy=showers.energy * rng.beta(1.2, 2.8, start.size))
    secondaries = rng.poisson(np.minimum(0.8 + 1.3 * np.log1p(showers.energy), 12.0))
    of = np.repeat(np.arange(start.size), secondaries)
    spread = _around(showers, of, rng.exponential(2.0, of.size), _mip(of.size, rng), rng)
    return [tracks, spread, _shower_spots(neutral, start, parameters.radius_scale, rng)]


# --- populations: what particles come


def _pileup_spots(events: int, parameters: Parameters, rng: np.random.Generator) -> list[_Spots]:
    """Soft collisions: photons, hadrons and deposits of soft secondaries; and jets. All flat in azimuth.

    Photons and hadrons are flat in eta, soft deposits as their slope says.
    """
    collisions: Floats = rng.poisson(parameters.collisions, events).astype(np.float64)
    if shape := parameters.multiplicity_shape:
        collisions = rng.gamma(collisions * shape) / shape
    width = _ETA_RANGE[1] - _ETA_RANGE[0]

    def arrivals(rate: float, mean_pt: float, *, charged: bool, slope: float = 0.0) -> _Particles:
        event = np.repeat(np.arange(events), rng.poisson(collisions * rate * width))
        pt = mean_pt * 2 * rng.standard_gamma(2.0, event.size) / rng.standard_gamma(5.0, event.size)
        sign = (2 * rng.integers(0, 2, event.size) - 1) * int(charged)
        eta, phi = rng.uniform(*_ETA_RANGE, event.size), rng.uniform(0, 2 * np.pi, event.size)
        if slope:
            share = (eta - _ETA_RANGE[0]) / width
            eta = _ETA_RANGE[0] + np.log1p(share * np.expm1(slope * width)) / slope
        return _fly(event, np.maximum(pt, _LOWEST_PT), eta, phi, sign)

    photons = arrivals(parameters.photon_rate, parameters.photon_pt_gev, charged=False)
    hadrons = arrivals(parameters.hadron_rate, parameters.hadron_pt_gev, charged=True)
    soft = arrivals(parameters.soft_rate, 1.0, charged=False, slope=parameters.soft_slope)
    charge = parameters.soft_charge_mip * rng.standard_exponential(soft.event.size)
    jets = np.repeat(np.arange(events), rng.poisson(parameters.jets, events))
    return [
        *_jet_spots(jets, parameters.jet_pt_gev, parameters, rng),
        *_photon_spots(photons, parameters, rng),
        *_hadron_spots(hadrons, parameters, rng),
        _Spots(soft.event, soft.x, soft.y, charge),
    ]


def _electron_gun(events: int, parameters: Parameters, rng: np.random.Generator) -> list[_Spots]:
    """One electron of 20 GeV transverse momentum per event."""
    event = np.arange(events)
    eta, phi = rng.uniform(*_SIGNAL_ETA_RANGE, events), rng.uniform(0, 2 * np.pi, events)
    sign = 2 * rng.integers(0, 2, events) - 1
    return _electron_spots(_fly(event, np.full(events, _SIGNAL_PT), eta, phi, sign), parameters, rng)


def _jet_gun(events: int, parameters: Parameters, rng: np.random.Generator) -> list[_Spots]:
    """One jet per event."""
    return _jet_spots(np.arange(events), _SIGNAL_PT, parameters, rng)


def _top_pairs(events: int, parameters: Parameters, rng: np.random.Generator) -> list[_Spots]:
    """One or two jets per event, as top-quark pairs send into an endcap."""
    jets = np.repeat(np.arange(events), rng.integers(1, 3, events))
    return _jet_spots(jets, _SIGNAL_PT, parameters, rng)


def _jet_spots(
    event: Integers, least_pt: float, parameters: Parameters, rng: np.random.Generator
) -> list[_Spots]:
    """Jets of the events named: some ten fragments, 35 % of them photons, about 0.1 from the jet's axis."""
    jets = event.size
    pt = least_pt * (1 - rng.random(jets)) ** (-1 / 3)
    eta, phi = rng.uniform(*_SIGNAL_ETA_RANGE, jets), rng.uniform(0, 2 * np.pi, jets)
    of = np.repeat(np.arange(jets), rng.poisson(10, jets) + 1)
    weight = np.maximum(rng.standard_gamma(0.6, of.size), 1e-12)
    share = weight / np.bincount(of, weight, jets)[of]
    photon = rng.random(of.size) < 0.35
    sign = np.where(photon, 0, 2 * rng.integers(0, 2, of.size) - 1)
    d_eta, d_phi = 0.1 * rng.standard_normal((2, of.size))
    fragment_pt = np.maximum(pt[of] * share, _LOWEST_PT)

    def fragments(chosen: NDArray[np.bool_]) -> _Particles:
        at = of[chosen]
        return _fly(
            event[at], fragment_pt[chosen], eta[at] + d_eta[chosen], phi[at] + d_phi[chosen], sign[chosen]
        )

    return [
        *_photon_spots(fragments(photon), parameters, rng),
        *_hadron_spots(fragments(~photon), parameters, rng),
    ]


_SOURCES: Final[
    dict[Population, tuple[Callable[[int, Parameters, np.random.Generator], list[_Spots]], int]]
] = {
    "pileup": (_pileup_spots, 8),
    "electron": (_electron_gun, 256),
    "jet": (_jet_gun, 256),
    "ttbar": (_top_pairs, 256),
}
"""Spots of each population, and the events of a batch."""


# --- what is read


def _sum_by_cell(spots: list[_Spots], events: int, parameters: Parameters) -> Floats:
    """Charge of each trigger cell, MIP; shape (306 events, 48)."""
    wafers = len(_wafer_lattice().u)
    inner, outer = parameters.inner_radius_cm**2, parameters.outer_radius_cm**2
    total = np.zeros(events * wafers * TRIGGER_CELLS)
    for group in spots:
        wafer, cell = _locate(group.x, group.y)
        square = group.x**2 + group.y**2
        inside = (wafer >= 0) & (square >= inner) & (square < outer)
        at = (group.event[inside] * wafers + wafer[inside]) * TRIGGER_CELLS + cell[inside]
        total += np.bincount(at, group.charge[inside], total.size)
    return total.reshape(-1, TRIGGER_CELLS)


def _read_out(charge: Floats, parameters: Parameters, rng: np.random.Generator) -> NDArray[np.int32]:
    """Transverse charges in counts, CALQ, as the electronics send them; shape (306 events, 48).

    Noise on the trigger cells that saw charge, a threshold, a code of 4 bits exponent and 3 bits mantissa
    that is decoded to the middle of its range, and a weight that makes the charge transverse.
    """
    at = np.nonzero(charge)
    noisy = charge[at] + parameters.noise_mip * rng.standard_normal(at[0].size)
    kept = np.where(noisy < parameters.threshold_mip, 0.0, np.maximum(noisy, 0.0))
    wafer = at[0] % len(_wafer_lattice().u)
    lsb = _steps(parameters)[wafer]
    raw = (kept / lsb).astype(np.int64)
    exponent = np.maximum(np.frexp(raw.astype(np.float64))[1] - 4, 0)
    decoded = (raw >> exponent << exponent) + (1 << exponent >> 1)
    counts = decoded * (lsb * MIP_T) * _wafer_lattice().transverse[wafer, at[1]]
    calq = np.zeros(charge.shape, dtype=np.int32)
    calq[at] = np.where(counts < parameters.least_counts, 0, counts).astype(np.int32)
    return calq


def _steps(parameters: Parameters) -> Floats:
    """Charge of the lowest bit kept of each wafer, MIP; shape (306,)."""
    radius = _LAYER_Z / np.sinh(_wafer_lattice().eta)
    return np.where(radius < parameters.dense_radius_cm, parameters.dense_lsb_mip, parameters.lsb_mip)
