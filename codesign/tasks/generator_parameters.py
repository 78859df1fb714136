"""What the generator of wafers is told: rates, momenta and electronics, and named sets of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from codesign.errors import DataError

__all__ = ["CLUSTERED", "FIRST_PRINCIPLES", "SETS", "TUNED", "Parameters", "parameter_set"]


@dataclass(frozen=True, slots=True)
class Parameters:
    """What the pile-up and the electronics are like.

    Parameters
    ----------
    photon_rate, hadron_rate, soft_rate
        Particles per inelastic collision and unit of pseudorapidity: photons, charged hadrons, and single
        deposits of soft secondaries.
    photon_pt_gev, hadron_pt_gev
        Mean transverse momentum, GeV.
    soft_charge_mip
        Mean charge of a soft deposit, MIP.
    threshold_mip
        Charge below which a trigger cell reads zero, MIP.
    lsb_mip
        Charge of the lowest bit kept by the electronics, MIP.
    radius_scale
        Factor on the radius of electromagnetic showers.
    interaction_lengths
        Nuclear interaction lengths in front of the layer.
    collisions
        Mean number of inelastic collisions per bunch crossing.
    noise_mip
        Standard deviation of the noise of a hit trigger cell, MIP.
    least_counts
        Fewest counts that are sent; fewer read zero. The study's files have none below 2.
    multiplicity_shape
        Shape of the gamma distribution that the number of particles of a collision follows about its mean, so
        that events differ in more than their number of collisions: with the Poisson draw a negative binomial,
        of k about 1 to 2 at the LHC (ALICE, Eur. Phys. J. C 68, 345). 0: all collisions are alike.
    soft_slope
        Soft deposits go as ``exp(soft_slope eta)``. 0: flat, as particles are; 1: as the energy that arrives.
    jets, jet_pt_gev
        Mean number of jets per event and endcap among the pile-up, and their least transverse momentum, GeV:
        particles that come together, a wafer wide or so.
    dense_radius_cm, dense_lsb_mip
        Wafers whose centre is nearer to the beam are of high density: thin sensors, of which the electronics
        drop more bits; and the charge of their lowest bit kept.
    inner_radius_cm, outer_radius_cm
        The sensors lie between; wafers at the edges are partial. By default every wafer is whole.
    """

    photon_rate: float
    photon_pt_gev: float
    hadron_rate: float
    hadron_pt_gev: float
    soft_rate: float
    soft_charge_mip: float
    threshold_mip: float
    lsb_mip: float
    radius_scale: float
    interaction_lengths: float
    collisions: float = 200.0
    noise_mip: float = 0.12
    least_counts: int = 1
    multiplicity_shape: float = 0.0
    soft_slope: float = 0.0
    jets: float = 0.0
    jet_pt_gev: float = 20.0
    dense_radius_cm: float = 0.0
    dense_lsb_mip: float = 0.0
    inner_radius_cm: float = 0.0
    outer_radius_cm: float = 190.0

    def __post_init__(self) -> None:
        """Reject values that have no meaning."""
        for name in self.__slots__:
            value = getattr(self, name)
            if not 0 <= value < np.inf:
                raise DataError(f"a generator parameter is finite and not negative, got {name} = {value}")
        if self.lsb_mip == 0:
            raise DataError("lsb_mip is the step of the electronics and above 0, got 0; TUNED has 0.057")
        if self.dense_radius_cm and not self.dense_lsb_mip:
            raise DataError("wafers within dense_radius_cm need a dense_lsb_mip above 0, got 0")
        if self.jets and not self.jet_pt_gev:
            raise DataError("jets need a jet_pt_gev above 0, got 0")
        if self.inner_radius_cm >= self.outer_radius_cm:
            raise DataError(
                "sensors lie between inner_radius_cm and outer_radius_cm, got "
                f"{self.inner_radius_cm:g} and {self.outer_radius_cm:g}; the first is the smaller one"
            )


TUNED: Final = Parameters(
    photon_rate=1.2,
    photon_pt_gev=0.15,
    hadron_rate=8.0,
    hadron_pt_gev=0.48,
    soft_rate=20.0,
    soft_charge_mip=0.14,
    threshold_mip=0.15,
    lsb_mip=0.057,
    radius_scale=1.3,
    interaction_lengths=0.46,
)
"""Tuned to the published occupancies and charges of the study's sample: a tune, not a measurement."""

FIRST_PRINCIPLES: Final = Parameters(
    photon_rate=5.0,
    photon_pt_gev=0.25,
    hadron_rate=5.5,
    hadron_pt_gev=0.55,
    soft_rate=0.0,
    soft_charge_mip=0.0,
    threshold_mip=0.35,
    lsb_mip=0.04,
    radius_scale=1.0,
    interaction_lengths=0.40,
)
"""Measured rates and momenta of inelastic collisions at 13 to 14 TeV, nothing fitted."""

CLUSTERED: Final = Parameters(
    photon_rate=0.524,
    photon_pt_gev=0.097,
    hadron_rate=8.22,
    hadron_pt_gev=0.394,
    soft_rate=46.4,
    soft_charge_mip=0.229,
    threshold_mip=0.269,
    lsb_mip=0.057,
    radius_scale=1.9,
    interaction_lengths=0.428,
    least_counts=2,
    multiplicity_shape=1.0,
    soft_slope=1.0,
    jets=21.3,
    jet_pt_gev=7.09,
    dense_radius_cm=70.0,
    dense_lsb_mip=0.228,
    inner_radius_cm=27.8,
    outer_radius_cm=148.0,
)
"""Tuned to the same rows with jets, clusters and partial wafers: what the search of
``benchmarks/quality/generator.py`` finds. Nearer to them than ``TUNED``, and as little a measurement."""

SETS: Final[Mapping[str, Parameters]] = MappingProxyType({"T": TUNED, "C": CLUSTERED, "P": FIRST_PRINCIPLES})
"""The sets by the names that study files call them."""


def parameter_set(name: str) -> Parameters:
    """The set of a name of ``SETS``; raises ``DataError`` for any other."""
    if name not in SETS:
        raise DataError(f"the parameter sets of the generator are {', '.join(SETS)}; got {name!r}")
    return SETS[name]
