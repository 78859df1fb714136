import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from codesign.errors import DataError
from codesign.metrics import earth_mover, emd
from codesign.metrics.trigger_cells import CELLS, DISTANCES

Wafer = NDArray[np.float64]

charge = st.just(0.0) | st.floats(1e-3, 1e3)
wafer = arrays(np.float64, (1, CELLS), elements=charge, fill=st.just(0.0)).filter(np.any)
cell = st.integers(0, CELLS - 1)
examples = settings(max_examples=60, deadline=None)


def one_cell(*cells: int) -> Wafer:
    return np.eye(CELLS)[list(cells)]


def by_pot(x: Wafer, y: Wafer) -> NDArray[np.float64]:
    """The reference: normalise, solve the full problem."""
    emd(one_cell(0), one_cell(1))  # imports POT without torch
    import ot

    return np.array([ot.emd2(a / a.sum(), b / b.sum(), DISTANCES) for a, b in zip(x, y, strict=True)])


def test_golden(golden: Any) -> None:
    np.testing.assert_allclose(emd(golden.x, golden.y), golden.scores["emd"], rtol=1e-9)


@pytest.mark.parametrize("filled", [(1, 1), (1, 0.05), (0.05, 0.05), (0.05, 1)])
def test_equals_pot_on_the_full_problem(filled: tuple[float, float]) -> None:
    rng = np.random.default_rng(3)
    x, y = (rng.lognormal(0, 2, (100, CELLS)) * (rng.random((100, CELLS)) < f) for f in filled)
    x[:, 5] += 1e-3
    y[:, 5] += 1e-3
    np.testing.assert_allclose(emd(x, y), by_pot(x, y), rtol=1e-9)


@examples
@given(wafer, wafer)
def test_equals_pot_on_any_charges(x: Wafer, y: Wafer) -> None:
    np.testing.assert_allclose(emd(x, y), by_pot(x, y), rtol=1e-9, atol=1e-13)


@examples
@given(wafer, wafer)
def test_symmetric(x: Wafer, y: Wafer) -> None:
    np.testing.assert_allclose(emd(x, y), emd(y, x), rtol=1e-9, atol=1e-13)


@examples
@given(wafer, st.floats(1e-6, 1e6))
def test_zero_for_the_same_charges_at_any_scale(x: Wafer, scale: float) -> None:
    assert emd(x, x) == 0
    assert emd(x, x * scale) == pytest.approx(0, abs=1e-13)


@examples
@given(wafer, wafer, wafer)
def test_triangle_inequality(x: Wafer, y: Wafer, z: Wafer) -> None:
    assert emd(x, z) <= emd(x, y) + emd(y, z) + 1e-12


@examples
@given(cell, cell, st.floats(1e-3, 1e3))
def test_from_one_cell_to_another_is_their_distance(start: int, end: int, height: float) -> None:
    assert emd(height * one_cell(start), one_cell(end)) == pytest.approx(DISTANCES[start, end], rel=1e-12)


@examples
@given(wafer, cell)
def test_to_one_cell_is_the_mean_distance_to_it(x: Wafer, end: int) -> None:
    assert emd(x, one_cell(end)) == pytest.approx(x[0] @ DISTANCES[end] / x.sum(), rel=1e-9)


def test_disjoint_charges_take_the_cheaper_pairing() -> None:
    x, y = one_cell(0, 12).sum(axis=0)[None], one_cell(1, 44).sum(axis=0)[None]
    parallel = DISTANCES[0, 1] + DISTANCES[12, 44]
    crossed = DISTANCES[0, 44] + DISTANCES[12, 1]
    assert emd(x, y) == pytest.approx(min(parallel, crossed) / 2, rel=1e-12)
    assert parallel != pytest.approx(crossed)


@examples
@given(wafer, wafer, st.floats(0, 1))
def test_common_charge_stays(x: Wafer, y: Wafer, common: float) -> None:
    p, q = x / x.sum(), y / y.sum()
    shared = np.full((1, CELLS), 1 / CELLS)
    mixed = [common * shared + (1 - common) * part for part in (p, q)]
    np.testing.assert_allclose(emd(*mixed), (1 - common) * emd(p, q), rtol=1e-9, atol=1e-12)


@examples
@given(wafer, wafer)
def test_never_less_than_the_shift_of_the_mean(x: Wafer, y: Wafer) -> None:
    from codesign.metrics import mean_shift

    assert emd(x, y) >= mean_shift(x, y) - 1e-9


def test_permuting_the_cells_of_one_changes_it() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 20, CELLS))
    permuted = y[:, rng.permutation(CELLS)]
    assert (np.abs(emd(x, permuted) - emd(x, y)) > 1e-3).all()


def test_rows_do_not_see_each_other() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.random((2, 30, CELLS))
    order = rng.permutation(30)
    np.testing.assert_array_equal(emd(x[order], y[order]), emd(x, y)[order])


def test_special_values() -> None:
    empty, full = np.zeros((1, CELLS)), np.ones((1, CELLS))
    x, y = np.concatenate([empty, empty, full, full]), np.concatenate([empty, full, empty, full])
    np.testing.assert_array_equal(emd(x, y), [-1, -1, -0.5, 0])


def test_no_rows() -> None:
    assert emd(np.empty((0, CELLS)), np.empty((0, CELLS))).shape == (0,)


def test_integers_and_float32_score_as_float64() -> None:
    counts = np.random.default_rng(2).integers(0, 1000, (2, 10, CELLS))
    np.testing.assert_array_equal(emd(*counts), emd(*counts.astype(float)))
    np.testing.assert_array_equal(emd(*counts.astype(np.float32)), emd(*counts.astype(float)))


@examples
@given(arrays(np.float64, (2, 7), elements=charge))
def test_on_a_line_it_is_the_area_between_the_distributions(pair: NDArray[np.float64]) -> None:
    assume(pair.any(axis=1).all())
    places = np.array([0.0, 1.0, 1.5, 4.0, 4.25, 9.0, 11.0])
    shares = pair / pair.sum(axis=1, keepdims=True)
    area = np.abs(np.cumsum(shares[0] - shares[1]))[:-1] @ np.diff(places)
    line = np.abs(places[:, None] - places)
    assert emd(pair[:1], pair[1:], distances=line) == pytest.approx(area, rel=1e-9, abs=1e-12)


def test_one_bin() -> None:
    assert emd([[3.0]], [[2.0]], distances=[[0.0]]) == 0


@pytest.mark.parametrize(
    ("distances", "message"),
    [
        (np.zeros((2, 3)), r"distances has shape \(2, 3\); it must be square"),
        (np.zeros((0, 0)), r"distances has shape \(0, 0\)"),
        ([[0, np.nan], [1, 0]], "NaN or infinity"),
        ([[0, 1], [2, 0]], "not symmetric with a zero diagonal"),
        ([[1, 1], [1, 0]], "not symmetric with a zero diagonal"),
        ([[0, 1, 5], [1, 0, 1], [5, 1, 0]], r"distances\[0, 2\] is 5 but there is a detour of 2"),
        ([[0, -1], [-1, 0]], "detour"),
    ],
)
def test_distances_that_are_no_metric_are_refused(distances: Any, message: str) -> None:
    bins = len(distances)
    with pytest.raises(DataError, match=message):
        emd(np.ones((1, bins)), np.ones((1, bins)), distances=distances)


def test_bins_other_than_the_distances_are_refused() -> None:
    with pytest.raises(DataError, match=r"x is an array of float64 of shape \(1, 5\).*shape \(n, 48\)"):
        emd(np.ones((1, 5)), np.ones((1, 5)))


def test_a_problem_without_optimum_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = np.random.default_rng(0).random((2, 3, CELLS))
    monkeypatch.setattr(earth_mover, "_MAX_PIVOTS", 1)
    with pytest.raises(
        DataError, match="3 of 3 transport problems over 48 bins have no optimum after 1 pivots"
    ):
        emd(x, y)


def test_neither_import_nor_use_loads_torch_or_changes_the_environment() -> None:
    script = """
import os, sys
before = dict(os.environ)
from codesign.metrics import emd
assert not {"ot", "torch", "scipy"} & set(sys.modules), "import"
assert emd([[1, 0]], [[0, 1]], distances=[[0, 2], [2, 0]]) == 2
assert "ot" in sys.modules and "torch" not in sys.modules, "use"
assert dict(os.environ) == before
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("POT_")}
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120, env=environment)
