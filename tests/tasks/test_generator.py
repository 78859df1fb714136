import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from codesign.errors import DataError
from codesign.metrics.trigger_cells import DISTANCES
from codesign.tasks import generator
from codesign.tasks.data_check import check, observables
from codesign.tasks.generator import (
    CLUSTERED,
    FIRST_PRINCIPLES,
    SETS,
    TUNED,
    Parameters,
    Population,
    generate,
    parameter_set,
)
from codesign.tasks.wafers import Wafers

POPULATIONS: list[Population] = ["pileup", "electron", "jet", "ttbar"]


@pytest.fixture(scope="module")
def pileup() -> Wafers:
    return generate(60_000, seed=3)


@pytest.mark.parametrize("population", POPULATIONS)
def test_same_seed_same_wafers_and_fewer_are_the_first_of_more(population: Population) -> None:
    few, many = (generate(count, seed=7, population=population) for count in (50, 3000))
    np.testing.assert_array_equal(few.calq, many.calq[:50])
    for name, values in few.columns.items():
        np.testing.assert_array_equal(values, many.columns[name][:50])
    assert len(many) == 3000


def test_other_seed_other_wafers() -> None:
    assert (generate(50, seed=1).calq != generate(50, seed=2).calq).any()


def test_events_differ_from_batch_to_batch() -> None:
    wafers = generate(5000, seed=1)
    first, second = (
        wafers.calq[np.isin(wafers.columns["event"], batch)][:500] for batch in (range(8), range(8, 16))
    )
    assert (first != second).any()


def test_columns_tell_where_and_when(pileup: Wafers) -> None:
    u, v = pileup.columns["waferu"], pileup.columns["waferv"]
    rings = u**2 + v**2 - u * v
    assert rings.min() == 3
    assert rings.max() == 84
    assert len({*zip(u.tolist(), v.tolist(), strict=True)}) == 306
    radius = 328.7 / np.sinh(pileup.columns["eta"])
    np.testing.assert_allclose(radius, 16.84 * np.sqrt(rings), rtol=1e-12)
    assert (np.diff(pileup.columns["event"]) >= 0).all()
    assert set(pileup.columns["layer"].tolist()) == {9}
    events = pileup.columns["event"][-1]
    assert events * 306 < len(pileup) + pileup.dropped_empty <= (events + 1) * 306


def test_trigger_cells_lie_where_the_metric_has_them() -> None:
    """The true geometry and the coordinates of the metric differ by up to 0.161 units across block seams."""
    cells = generator._cell_positions() / 1.2012
    distances = np.linalg.norm(cells[:, None] - cells, axis=-1)
    np.testing.assert_allclose(distances, DISTANCES, atol=0.17)


def test_points_fall_into_the_nearest_trigger_cell() -> None:
    rng = np.random.default_rng(0)
    lattice, cells = generator._wafer_lattice(), generator._cell_positions()
    wafer, cell = rng.integers(306, size=2000), rng.integers(48, size=2000)
    centre = np.stack(generator._wafer_centre(lattice.u[wafer], lattice.v[wafer]), axis=-1)
    x, y = (centre + cells[cell] + rng.uniform(-0.7, 0.7, (2000, 2))).T
    found = generator._locate(x, y)
    np.testing.assert_array_equal(found[0], wafer)
    np.testing.assert_array_equal(found[1], cell)


def test_points_beyond_the_layer_belong_to_no_wafer() -> None:
    wafer, _ = generator._locate(np.array([0.0, 175.0, 0.0, 1e4]), np.array([0.0, 0.0, -185.0, 1e4]))
    assert wafer.tolist() == [-1, -1, -1, -1]


def test_code_of_the_electronics_is_exact_below_16_steps_and_within_a_sixteenth_above() -> None:
    parameters = replace(TUNED, noise_mip=0.0, threshold_mip=0.0)
    steps = np.arange(306 * 48).reshape(306, 48)
    charge = np.asarray((steps + 0.5) * parameters.lsb_mip, dtype=np.float64)
    counts = generator._read_out(charge, parameters, np.random.default_rng(0))
    decoded = counts / (parameters.lsb_mip * 35 * generator._wafer_lattice().transverse)
    error = decoded - steps
    floor = 1 / (parameters.lsb_mip * 35 * generator._wafer_lattice().transverse)
    assert (error <= steps / 16 + 1e-9).all()
    assert (error >= -steps / 16 - floor).all()
    small = steps < 16
    assert (error[small] > -floor[small]).all()


def test_cells_below_the_threshold_read_zero() -> None:
    parameters = replace(TUNED, noise_mip=0.0, threshold_mip=1.0)
    charge = np.full((306, 48), 0.99)
    charge[:, 0] = 10.0
    counts = generator._read_out(charge, parameters, np.random.default_rng(0))
    assert (counts[:, 0] > 0).all()
    assert not counts[:, 1:].any()


def test_tuned_pileup_is_accepted_against_the_study(pileup: Wafers) -> None:
    verdicts = {row.observable: row.ok for row in check(pileup) if row.ok is not None}
    assert len(verdicts) == 8
    assert all(verdicts.values()), verdicts


@pytest.mark.parametrize(
    ("observable", "prototype", "tolerance"),
    [
        ("occ_all mean", 15.1, 0.2),
        ("occ_all std", 13.1, 0.2),
        ("occ_1MT mean", 2.61, 0.1),
        ("occ_1MT std", 4.98, 0.15),
        ("log10 max mean", 0.083, 0.006),
        ("log10 max std", 0.552, 0.01),
        ("log10 P mean", 0.422, 0.01),
        ("log10 P std", 0.678, 0.01),
        ("charge 50 %", 0.314, 0.03),
        ("charge 95 %", 2.60, 0.1),
        ("charge 99 %", 5.60, 0.25),
        ("charge 99.9 %", 11.5, 0.7),
        ("hit beside a hit neighbour", 0.575, 0.006),
        ("hit beside a hit far", 0.534, 0.006),
        ("lead 1", 0.242, 0.004),
        ("lead 5", 0.053, 0.002),
    ],
)
def test_tuned_pileup_repeats_the_prototype(
    pileup: Wafers, observable: str, prototype: float, tolerance: float
) -> None:
    assert observables(pileup)[observable] == pytest.approx(prototype, abs=tolerance)


def test_first_principles_repeat_the_prototype() -> None:
    found = observables(generate(20_000, seed=0, parameters=FIRST_PRINCIPLES))
    assert found["occ_all mean"] == pytest.approx(16.1, abs=0.5)
    assert found["occ_1MT mean"] == pytest.approx(5.1, abs=0.3)
    assert found["log10 max mean"] == pytest.approx(0.421, abs=0.02)
    assert found["log10 P mean"] == pytest.approx(0.805, abs=0.02)


@pytest.mark.parametrize(
    ("parameters", "population", "digest"),
    [
        ("T", "pileup", "749394d6cc63c3e4"),
        ("T", "electron", "6c06c9d2237e80eb"),
        ("T", "ttbar", "7c949104a2f60af2"),
        ("P", "pileup", "1a640998c06a4788"),
    ],
)
def test_wafers_of_figures_already_published_stay(
    parameters: str, population: Population, digest: str
) -> None:
    calq = generate(2000, seed=7, parameters=parameters, population=population).calq
    assert hashlib.sha256(calq.astype("<i8").tobytes()).hexdigest()[:16] == digest


# --- the closer set


@pytest.fixture(scope="module")
def clustered() -> Wafers:
    return generate(40_000, seed=3, parameters="C")


def test_clustered_pileup_is_accepted_and_nearer_to_the_study(pileup: Wafers, clustered: Wafers) -> None:
    tuned, closer = (
        {row.observable: row for row in check(wafers, "pileup") if row.population.startswith("top pairs")}
        for wafers in (pileup, clustered)
    )
    assert all(row.ok for row in closer.values() if row.ok is not None)
    rows = ("occ_all 84 %", "occ_all mean", "occ_all std", "occ_1MT 84 %", "occ_1MT mean", "log10 P mean")
    for row in rows:
        assert abs(closer[row].difference) < abs(tuned[row].difference), row


def test_clustered_wafers_have_no_charge_of_one_count(pileup: Wafers, clustered: Wafers) -> None:
    assert (pileup.calq == 1).any()
    assert not (clustered.calq == 1).any()
    assert (clustered.calq == 2).any()


def test_neighbours_go_together_more_with_jets() -> None:
    def excess(jets: float) -> float:
        found = observables(generate(8000, seed=3, parameters=replace(CLUSTERED, jets=jets)))
        return found["hit beside a hit neighbour"] - found["hit beside a hit far"]

    assert excess(100.0) > 1.2 * excess(0.0)


@pytest.mark.parametrize("slope", [0.0, 0.5, 1.5])
def test_soft_deposits_follow_their_slope(slope: float) -> None:
    parameters = replace(TUNED, photon_rate=0.0, hadron_rate=0.0, soft_slope=slope)
    soft = generator._pileup_spots(8, parameters, np.random.default_rng(0))[-1]
    eta = np.arcsinh(328.7 / np.hypot(soft.x, soft.y))
    outer, inner = np.histogram(eta, [1.4, 2.2, 3.0])[0]
    assert inner / outer == pytest.approx(np.exp(0.8 * slope), rel=0.03)


def test_sensors_end_at_their_radii() -> None:
    edges = replace(TUNED, inner_radius_cm=60.0, outer_radius_cm=120.0)
    wafers = generate(4000, seed=0, parameters=edges)
    lattice = generator._wafer_lattice()
    number = lattice.number[wafers.columns["waferu"] + 10, wafers.columns["waferv"] + 10]
    transverse = lattice.transverse[number]  # r / hypot(r, z) of each trigger cell
    radius = (328.7 * transverse / np.sqrt(1 - transverse**2))[wafers.calq > 0]
    assert 57 < radius.min() < 62
    assert 118 < radius.max() < 123


def test_dense_wafers_have_a_step_of_their_own() -> None:
    parameters = replace(TUNED, noise_mip=0.0, threshold_mip=0.0, dense_radius_cm=70.0, dense_lsb_mip=1.5)
    charge = np.full((306, 48), 1.4)
    counts = generator._read_out(charge, parameters, np.random.default_rng(0))
    dense = 328.7 / np.sinh(generator._wafer_lattice().eta) < 70
    assert dense.any()
    assert not counts[dense].any()
    assert (counts[~dense] > 0).all()


def test_an_unknown_set_is_refused_with_those_there_are() -> None:
    assert parameter_set("C") is CLUSTERED is SETS["C"]
    with pytest.raises(DataError, match="the parameter sets of the generator are T, C, P; got 'X'"):
        generate(1, seed=0, parameters="X")


@pytest.mark.parametrize("population", ["electron", "jet", "ttbar"])
def test_events_without_pileup_are_sparse(pileup: Wafers, population: Population) -> None:
    sparse = generate(3000, seed=0, population=population)
    assert sparse.occupancy.mean() < 0.5 * pileup.occupancy.mean()
    assert sparse.dropped_empty > 10 * len(sparse)
    assert population in sparse.source


def test_electrons_leave_more_charge_in_fewer_cells_than_jets() -> None:
    electron, jet = (observables(generate(3000, seed=0, population=kind)) for kind in ("electron", "jet"))
    assert electron["lead 1"] > jet["lead 1"]
    assert electron["radius 50 %"] < jet["radius 50 %"]


@pytest.mark.parametrize("count", [0, -5])
def test_generate_refuses_no_wafers(count: int) -> None:
    with pytest.raises(DataError, match=f"at least 1 wafer, got {count}"):
        generate(count, seed=0)


def test_generate_refuses_a_negative_seed() -> None:
    with pytest.raises(DataError, match="an integer not below 0, got -1"):
        generate(1, seed=-1)


def test_generate_refuses_an_unknown_population() -> None:
    with pytest.raises(DataError, match="pileup, electron, jet, ttbar; got 'muon'"):
        generate(1, seed=0, population="muon")  # type: ignore[arg-type]


def test_generate_gives_up_where_nothing_is_read() -> None:
    with pytest.raises(
        DataError, match=r"200 pileup events .* left no charge; raise a rate or lower threshold_mip"
    ):
        generate(1, seed=0, parameters=replace(TUNED, collisions=0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"photon_rate": -1.0}, "finite and not negative, got photon_rate = -1.0"),
        ({"noise_mip": float("nan")}, "finite and not negative, got noise_mip = nan"),
        ({"dense_radius_cm": 70.0}, "within dense_radius_cm need a dense_lsb_mip above 0"),
        ({"jets": 1.0, "jet_pt_gev": 0.0}, "jets need a jet_pt_gev above 0"),
        ({"inner_radius_cm": 200.0}, "got 200 and 190; the first is the smaller one"),
        ({"lsb_mip": 0.0}, "lsb_mip is the step of the electronics and above 0, got 0; TUNED has 0.057"),
    ],
)
def test_parameters_without_meaning_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        replace(TUNED, **change)


def test_parameters_are_values() -> None:
    assert replace(TUNED) == TUNED != FIRST_PRINCIPLES
    assert isinstance(hash(TUNED), int)
    assert Parameters.__doc__
