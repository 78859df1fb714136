import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from codesign import native
from codesign.errors import DataError
from codesign.metrics import earth_mover, emd, emd_gradient
from codesign.metrics.trigger_cells import CELLS, DISTANCES

Wafer = NDArray[np.float64]

charge = st.just(0.0) | st.floats(1e-3, 1e3)
wafer = arrays(np.float64, (1, CELLS), elements=charge, fill=st.just(0.0)).filter(np.any)
cell = st.integers(0, CELLS - 1)
examples = settings(max_examples=60, deadline=None)


def one_cell(*cells: int) -> Wafer:
    return np.eye(CELLS)[list(cells)]


def by_pot(x: Wafer, y: Wafer, distances: Wafer = DISTANCES) -> NDArray[np.float64]:
    """The reference: normalise, solve the full problem."""
    earth_mover._network_simplex()  # imports POT without torch
    import ot

    solve = partial(ot.emd2, M=distances, numItermax=10**7)
    return np.array([solve(a / a.sum(), b / b.sum()) for a, b in zip(x, y, strict=True)])


@pytest.fixture(params=["kernel", "pot"])
def solver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways: a test that asks for it runs with the compiled kernel and without it."""
    if request.param == "pot":
        monkeypatch.setattr(native, "available", lambda: False)
    elif not native.available():
        pytest.skip(native.absence())
    return str(request.param)


def calls_of_pot(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows with every problem that POT solves."""
    calls: list[int] = []
    solve = earth_mover._network_simplex()
    counted = lambda *arguments: calls.append(1) or solve(*arguments)  # noqa: E731
    monkeypatch.setattr(earth_mover, "_network_simplex", lambda: counted)
    return calls


def with_instruction_set(monkeypatch: pytest.MonkeyPatch, isa: str) -> None:
    if isa not in (native.supported() if native.available() else ()):
        pytest.skip(f"no kernels for {isa}")
    monkeypatch.setattr(native, "function", partial(native.function, isa=isa))


def euclidean(rng: np.random.Generator, bins: int) -> Wafer:
    places = rng.random((bins, 2))
    return np.linalg.norm(places[:, None] - places, axis=-1)


def grid(rng: np.random.Generator, bins: int) -> Wafer:
    """Steps on a lattice, in a random order of the cells: few values, most of them many times."""
    places = np.argwhere(np.ones((16, 16)))[rng.permutation(256)[:bins]]
    return np.abs(places[:, None] - places).sum(axis=-1).astype(float)


def kinds_of_rows(rng: np.random.Generator, bins: int) -> tuple[Wafer, Wafer]:
    """Dense, sparse, one cell, equal, disjoint, scaled, and small counts, which tie."""
    dense, other = rng.lognormal(0, 2, (2, 3, bins))
    sparse = np.where(rng.random((3, bins)) < 0.2, dense, 0.0)
    sparse[:, rng.integers(bins)] += 0.1
    single = np.eye(bins)[rng.integers(bins, size=(2, 3))]
    left = dense * (np.arange(bins) < max(1, bins // 2))
    counts = rng.integers(0, 3, (2, 6, bins)).astype(float)
    counts[..., 0] += 1
    counts[1, :3] = rng.permuted(counts[0, :3], axis=1)  # equal sums, so shares tie
    pairs = [
        (dense, other),
        (sparse, other),
        (sparse, np.roll(sparse, 1, axis=1)),
        (single[0], single[1]),
        (single[0], dense),
        (dense, dense),
        (left, other - other * (left > 0)) if bins > 1 else (dense, other),
        (dense * 1e-9, other * 1e7),
        (counts[0], counts[1]),
    ]
    x, y = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    return x, y


@pytest.mark.parametrize("isa", native.ISAS)
@pytest.mark.parametrize("metric", [euclidean, grid])
@pytest.mark.parametrize("bins", [2, 3, 48, 64, 65, 128, 200, 256])
def test_the_kernel_equals_pot_with_any_metric(
    monkeypatch: pytest.MonkeyPatch, bins: int, metric: Callable[..., Wafer], isa: str
) -> None:
    rng = np.random.default_rng(bins)
    distances = metric(rng, bins)
    x, y = kinds_of_rows(rng, bins)
    expected = by_pot(x, y, distances)
    with_instruction_set(monkeypatch, isa)
    calls = calls_of_pot(monkeypatch)
    np.testing.assert_allclose(emd(x, y, distances=distances), expected, rtol=1e-9, atol=1e-13)
    assert not calls


@examples
@given(
    st.integers(2, 70).flatmap(lambda bins: arrays(np.int8, (2, bins), elements=st.integers(0, 4))),
    st.integers(0, 2**32 - 1),
)
def test_both_solvers_agree_on_ties(pair: NDArray[np.int8], seed: int) -> None:
    assume(pair.any(axis=1).all())
    distances = grid(np.random.default_rng(seed), pair.shape[1])
    x, y = pair[:1].astype(float), pair[1:].astype(float)
    np.testing.assert_allclose(emd(x, y, distances=distances), by_pot(x, y, distances), rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("metric", [euclidean, grid])
@pytest.mark.parametrize("bins", [48, 200])
def test_no_work_is_missed_by_a_few_pivots(bins: int, metric: Callable[..., Wafer]) -> None:
    """The potential proves it: it is feasible, and the value of it is the work."""
    rng = np.random.default_rng(bins)
    distances = metric(rng, bins)
    x, y = kinds_of_rows(rng, bins)
    work, gradient = emd_gradient(x, y, distances=distances)
    total = y.sum(axis=1, keepdims=True)
    potential = gradient * total  # but for a constant
    slack = distances - (potential[:, :, None] - potential[:, None, :])
    assert slack.min() >= -1e-12 * distances.max()
    value = (potential * (y / total - x / x.sum(axis=1, keepdims=True))).sum(axis=1)
    np.testing.assert_allclose(value, work, rtol=1e-9, atol=1e-12)


def test_more_bins_than_the_kernel_takes_go_to_pot(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    distances = euclidean(rng, 257)
    x, y = rng.random((2, 2, 257))
    calls = calls_of_pot(monkeypatch)
    np.testing.assert_allclose(emd(x, y, distances=distances), by_pot(x, y, distances), rtol=1e-9)
    assert len(calls) == 2


def test_without_the_kernel_pot_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = kinds_of_rows(np.random.default_rng(5), CELLS)
    compiled = emd(x, y), *emd_gradient(x, y)
    monkeypatch.setattr(native, "available", lambda: False)
    calls = calls_of_pot(monkeypatch)
    plain = emd(x, y), *emd_gradient(x, y)
    assert calls
    for kernel, pot in zip(compiled[:2], plain[:2], strict=True):
        np.testing.assert_allclose(kernel, pot, rtol=1e-9, atol=1e-13)
    dense = slice(0, 3)  # elsewhere the potential is not unique
    np.testing.assert_allclose(compiled[2][dense], plain[2][dense], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("rows", [1, 2, 37])
def test_threads_do_not_show(rows: int) -> None:
    x, y = np.random.default_rng(rows).random((2, rows, CELLS))
    np.testing.assert_array_equal(emd(x, y, threads=2), emd(x, y))
    np.testing.assert_array_equal(emd(x, y, threads=5), emd(x, y))


def test_less_than_one_thread_is_refused() -> None:
    with pytest.raises(DataError, match="threads is 1 or more, got 0"):
        emd(one_cell(0), one_cell(1), threads=0)


@pytest.mark.parametrize("isa", native.ISAS)
@pytest.mark.parametrize("bins", [3, 48, 100])
def test_the_gradient_is_the_slope(monkeypatch: pytest.MonkeyPatch, bins: int, isa: str) -> None:
    with_instruction_set(monkeypatch, isa)
    check_slope(bins)


def test_the_gradient_of_pot_is_the_slope(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "available", lambda: False)
    check_slope(CELLS)


def check_slope(bins: int) -> None:
    """Central differences; where charges are generic, the work is linear nearby but for the sum."""
    rng = np.random.default_rng(bins)
    distances = euclidean(rng, bins)
    x, y = rng.random((2, 1, bins)) + 0.1
    y *= 7
    work, gradient = emd_gradient(x, y, distances=distances)
    step = 1e-6 * np.eye(bins)
    rows = np.repeat(x, bins, axis=0)
    ahead, behind = (emd(rows, y + by, distances=distances) for by in (step, -step))
    np.testing.assert_allclose(gradient[0], (ahead - behind) / 2e-6, rtol=1e-6, atol=1e-8)
    assert work == pytest.approx(emd(x, y, distances=distances), rel=1e-12)


def test_the_gradient_is_that_of_the_dual_of_pot() -> None:
    rng = np.random.default_rng(11)
    x, y = rng.random((2, 20, CELLS))
    earth_mover._network_simplex()
    import ot

    for row, (a, b) in enumerate(zip(x, y, strict=True)):
        _, log = ot.emd2(b / b.sum(), a / a.sum(), DISTANCES, return_matrix=False, log=True)
        potential = np.min(DISTANCES - log["v"], axis=1)
        expected = (potential - potential @ b / b.sum()) / b.sum()
        gradient = emd_gradient(x, y)[1][row]
        np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-12)


def test_rows_without_charge_have_no_gradient(solver: str) -> None:
    empty, full = np.zeros((1, CELLS)), np.arange(1.0, 1 + CELLS)[None]
    x = np.concatenate([empty, empty, full, full, full])
    y = np.concatenate([empty, full, empty, full, full[:, ::-1]])
    work, gradient = emd_gradient(x, y)
    np.testing.assert_array_equal(work[:4], 0)
    np.testing.assert_array_equal(gradient[:4], 0)
    assert work[4] > 0
    assert gradient[4].any()


def test_the_gradient_checks_as_the_distance_does(solver: str) -> None:
    with pytest.raises(DataError, match=r"y\[0\] holds -1.0 at cell 3"):
        emd_gradient(one_cell(0), one_cell(1) - one_cell(3))
    with pytest.raises(DataError, match="not symmetric"):
        emd_gradient([[1, 0]], [[0, 1]], distances=[[0, 1], [2, 0]])


def test_distances_changed_in_place_are_prepared_anew() -> None:
    distances = np.array([[0.0, 1.0], [1.0, 0.0]])
    assert emd([[1, 0]], [[0, 1]], distances=distances) == 1
    distances *= 3
    assert emd([[1, 0]], [[0, 1]], distances=distances) == 3


def test_golden(golden: Any, solver: str) -> None:
    np.testing.assert_allclose(emd(golden.x, golden.y), golden.scores["emd"], rtol=1e-9)


@pytest.mark.parametrize("filled", [(1, 1), (1, 0.05), (0.05, 0.05), (0.05, 1)])
def test_equals_pot_on_the_full_problem(filled: tuple[float, float], solver: str) -> None:
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


def test_special_values(solver: str) -> None:
    empty, full = np.zeros((1, CELLS)), np.ones((1, CELLS))
    x, y = np.concatenate([empty, empty, full, full]), np.concatenate([empty, full, empty, full])
    np.testing.assert_array_equal(emd(x, y), [-1, -1, -0.5, 0])


def test_no_rows(solver: str) -> None:
    none = np.empty((0, CELLS))
    assert emd(none, none).shape == (0,)
    assert [a.shape for a in emd_gradient(none, none)] == [(0,), (0, CELLS)]


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


def test_one_bin(solver: str) -> None:
    assert emd([[3.0]], [[2.0]], distances=[[0.0]]) == 0
    assert emd_gradient([[3.0]], [[2.0]], distances=[[0.0]]) == (0, 0)


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


def test_a_problem_without_optimum_is_an_error(monkeypatch: pytest.MonkeyPatch, solver: str) -> None:
    x, y = np.random.default_rng(0).random((2, 3, CELLS))
    monkeypatch.setattr(earth_mover, "_MAX_PIVOTS", 1)
    with pytest.raises(
        DataError, match="3 of 3 transport problems over 48 bins have no optimum after 1 pivots"
    ):
        emd(x, y)


@pytest.mark.parametrize("without_kernel", [False, True])
def test_neither_import_nor_use_loads_torch_or_changes_the_environment(without_kernel: bool) -> None:
    script = """
import os, sys
before = dict(os.environ)
without_kernel = before.get("CODESIGN_NATIVE") == "off"
from codesign.metrics import emd
assert not {"ot", "torch", "scipy"} & set(sys.modules), "import"
assert emd([[1, 0]], [[0, 1]], distances=[[0, 2], [2, 0]]) == 2
assert "torch" not in sys.modules, "use"
assert not without_kernel or "ot" in sys.modules, "use"
assert dict(os.environ) == before
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("POT_")}
    if without_kernel:
        environment[native.VARIABLE] = "off"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120, env=environment)
