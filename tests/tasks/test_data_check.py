import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.errors import DataError
from codesign.metrics.trigger_cells import DISTANCES, POSITIONS
from codesign.tasks.data_check import (
    AE_BLOCK,
    CellOrder,
    CheckRow,
    _standard_errors,
    cell_order,
    check,
    observables,
)
from codesign.tasks.generator import FIRST_PRINCIPLES, Population, generate
from codesign.tasks.generator_parameters import CLUSTERED
from codesign.tasks.trigger_cell_csv import read_trigger_cells
from codesign.tasks.wafers import FLAT_8X8, Wafers, split

SAMPLES = {
    "pileup_like": "pile-up, 2020",
    "electron_pt20_eta15-30_0PU": "electrons of 20 GeV, no pile-up, 2020",
    "ttbar_0PU": "ttbar, no pile-up, 2020",
}


@pytest.mark.parametrize(("file", "population"), SAMPLES.items())
def test_known_samples_reproduce_their_measured_values(
    reference_data: Path, file: str, population: str
) -> None:
    """The pile-up file holds half of the rows that were measured."""
    wafers = read_trigger_cells(reference_data / "data" / "hgcal" / f"{file}.csv.gz")
    rows = [row for row in check(wafers) if row.population == population]
    assert len(rows) >= 19
    for row in rows:
        assert row.value == pytest.approx(row.reference, rel=0.03, abs=0.001), row
        assert row.ok is None


def test_pileup_is_compared_with_pileup_and_sparse_wafers_with_sparse_ones() -> None:
    dense, sparse = generate(1000, seed=0), generate(1000, seed=0, population="electron")
    assert {row.population for row in check(dense)} == {
        "top pairs, 200 collisions, v11 (the study's set)",
        "pile-up, 2020",
    }
    assert all("no pile-up" in row.population for row in check(sparse))
    assert {row.population for row in check(sparse, "pileup")} == {row.population for row in check(dense)}


def test_only_the_study_has_tolerances_and_another_population_fails_them() -> None:
    rows = check(generate(5000, seed=0, parameters=FIRST_PRINCIPLES))
    judged = [row for row in rows if row.ok is not None]
    assert {row.population for row in judged} == {"top pairs, 200 collisions, v11 (the study's set)"}
    assert {row.observable.rsplit(maxsplit=1)[1] for row in judged} == {"mean", "std"}
    assert not all(row.ok for row in judged)
    bands = {row.observable: (row.reference, row.accepted) for row in judged}
    within = {name: (0.85 * reference, 1.15 * reference) for name, (reference, _) in bands.items()}
    within["log10 P std"] = (0.65, 0.75)
    for name, (_, (low, high)) in bands.items():
        assert within[name][0] - low == pytest.approx(high - within[name][1])
        assert low < within[name][0]
    assert all(row.source for row in rows)


def test_a_tolerance_is_wider_by_what_so_few_events_may_differ() -> None:
    drawn = [check(generate(5000, seed=seed, parameters=CLUSTERED)) for seed in range(1, 6)]
    rows = [row for found in drawn for row in found if row.ok is not None and row.observable != "log10 P std"]
    assert not all(0.85 * row.reference <= row.value <= 1.15 * row.reference for row in rows)
    assert all(row.ok for row in rows)
    wafers = [generate(1500, seed=seed, parameters=CLUSTERED) for seed in range(16)]
    found = {
        name: np.array([observables(each)[name] for each in wafers])
        for name in ("occ_all mean", "occ_all std")
    }
    for name, values in found.items():
        stated = np.mean([_standard_errors(each)[name] for each in wafers])
        assert 0.5 < stated / values.std(ddof=1) < 2


def test_wafers_of_no_known_event_are_taken_one_by_one() -> None:
    made = generate(400, seed=1)
    alone = replace(made, columns={})
    errors = _standard_errors(alone)
    assert errors["occ_all mean"] == pytest.approx(made.occupancy.std() / 20)
    assert _standard_errors(replace(made, columns={"event": np.zeros(400, int)})) == errors


@given(st.floats(-10, 10), st.floats(-10, 10))
def test_a_row_compares(reference: float, value: float) -> None:
    row = CheckRow("x", "p", "s", reference, value, (reference - 1, reference + 1))
    assert row.difference == value - reference
    assert row.ok == (reference - 1 <= value <= reference + 1)
    assert math.isnan(row.ratio) if reference == 0 else row.ratio == value / reference


def test_a_value_that_is_not_a_number_is_not_accepted() -> None:
    assert CheckRow("x", "p", "s", 1.0, math.nan, (0.0, 2.0)).ok is False


def test_observables_of_one_wafer() -> None:
    calq = np.zeros((1, 48), dtype=np.uint16)
    calq[0, [0, 15]] = 350, 1050
    found = observables(Wafers(calq))
    assert found["occ_all mean"] == 2
    assert found["log10 max mean"] == pytest.approx(math.log10(30))
    assert found["log10 P mean"] == pytest.approx(math.log10(1024 / 35))
    assert found["log10 sum mean"] == pytest.approx(math.log10(40))
    assert found["charge 50 %"] == pytest.approx(20)
    assert found["lead 1"] == pytest.approx(0.75)
    assert found["lead 2"] == pytest.approx(0.25)
    assert found["lead 3"] == 0
    assert found["hit beside a hit neighbour"] == 0
    far = (DISTANCES > 6).sum(axis=1)
    assert found["hit beside a hit far"] == pytest.approx(2 / (far[0] + far[15]))
    apart = np.linalg.norm(POSITIONS[0] - POSITIONS[15])
    assert found["radius 50 %"] == pytest.approx(apart * math.sqrt(0.25 * 0.75))


def test_hits_beside_hits_count_every_ordered_pair() -> None:
    calq = np.zeros((2, 48), dtype=int)
    calq[0, [0, 1]] = calq[1, 47] = 5
    neighbours = ((DISTANCES > 0) & (DISTANCES < 2.3)).sum(axis=1)
    found = observables(Wafers(calq))["hit beside a hit neighbour"]
    assert found == pytest.approx(2 / (neighbours[0] + neighbours[1] + neighbours[47]))


def test_shapes_of_quiet_wafers_are_not_a_number() -> None:
    found = observables(Wafers(np.ones((3, 48), dtype=int)))
    assert math.isnan(found["lead 1"])
    assert math.isnan(found["radius 50 %"])
    assert found["hit beside a hit neighbour"] == 1


@pytest.mark.parametrize("look", [observables, check, cell_order])
def test_no_wafers_are_refused(look: Callable[[Wafers], object]) -> None:
    none = Wafers(np.ones((2, 48), dtype=int), source="f").take(slice(0, 0))
    with pytest.raises(DataError, match="f: nothing to check, there is no wafer; give at least one"):
        look(none)


# --- order of the trigger cells


def test_ae_block_order_is_the_image_row_by_row() -> None:
    assert sorted(AE_BLOCK) == list(range(48))
    rows, columns = np.divmod(FLAT_8X8[AE_BLOCK], 8)
    assert rows.tolist() == [*np.repeat(range(4), 8), *np.repeat(range(4, 8), 4)]
    assert columns.tolist() == 4 * list(range(8)) + 4 * list(range(4))


@pytest.mark.parametrize("population", ["pileup", "electron", "jet", "ttbar"])
@pytest.mark.parametrize("count", [100, 5000])
def test_right_order_fits_and_random_orders_do_not(population: Population, count: int) -> None:
    wafers = generate(count, seed=11, population=population)
    assert cell_order(wafers).fits is True
    for seed in range(5):
        order = cell_order(Wafers(wafers.calq[:, np.random.default_rng(seed).permutation(48)]))
        assert order.fits is False
        assert abs(order.score) < 4


@pytest.mark.parametrize("file", SAMPLES)
def test_order_of_known_samples_fits_in_every_part(reference_data: Path, file: str) -> None:
    wafers = read_trigger_cells(reference_data / "data" / "hgcal" / f"{file}.csv.gz")
    for start in range(0, len(wafers) - 500, max(500, len(wafers) // 8)):
        assert cell_order(wafers.take(slice(start, start + 500))).fits is True
    for seed in range(5):
        shuffled = wafers.calq[:, np.random.default_rng(seed).permutation(48)]
        assert cell_order(Wafers(shuffled)).fits is False
    blocks = cell_order(Wafers(wafers.calq[:, AE_BLOCK]))
    assert blocks.fits is False
    assert blocks.ae_block_score > blocks.score


def test_wafers_too_few_or_too_alike_have_no_verdict() -> None:
    train, _ = split(generate(120, seed=0))
    assert len(train) < 100
    assert cell_order(train).fits is None
    assert cell_order(Wafers(np.ones((500, 48), dtype=int))).fits is None


def test_wafers_of_one_cell_have_no_verdict() -> None:
    calq = np.zeros((500, 48), dtype=int)
    calq[:, 3] = np.arange(500) + 1
    assert cell_order(Wafers(calq)).fits is None


def test_verdict_needs_a_score_above_four_that_no_other_order_beats() -> None:
    assert CellOrder(9.0, 4.0, 0.5, 0.4, 1000).fits is True
    assert CellOrder(9.0, 9.5, 0.5, 0.4, 1000).fits is False
    assert CellOrder(3.9, 1.0, 0.5, 0.4, 1000).fits is False
    assert CellOrder(3.9, 1.0, 0.5, 0.4, 99).fits is None
