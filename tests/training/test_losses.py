from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from codesign import metrics
from codesign.errors import ConfigError, DataError
from codesign.metrics.telescoping import telescoping_loss
from codesign.metrics.trigger_cells import DISTANCES, DOCUMENTED_GROUP_WEIGHTS
from codesign.training import losses
from codesign.training.losses import (
    LOSSES,
    binary_cross_entropy,
    cross_entropy,
    emd,
    loss_named,
    loss_of,
    sinkhorn,
    telescoping,
    telescoping_documented,
    weighted_mse,
)
from codesign.training.recipe import LOSS_NAMES


def test_telescoping_equals_the_reference_on_each_row() -> None:
    rng = np.random.default_rng(0)
    target, prediction = rng.random((2, 50, 48))
    target[0], prediction[1] = 0.0, 0.0
    rows = [
        float(telescoping(torch.from_numpy(p)[None], torch.from_numpy(t)[None]))
        for p, t in zip(prediction, target, strict=True)
    ]
    assert rows == pytest.approx(telescoping_loss(target, prediction), rel=1e-12)
    batch = telescoping(torch.from_numpy(prediction).float(), torch.from_numpy(target).float())
    assert float(batch) == pytest.approx(np.mean(rows), rel=1e-6)


def test_telescoping_equals_the_published_code(reference_data: Path) -> None:
    golden = np.load(reference_data / "golden" / "reference_metrics.npz")
    target, prediction = (
        torch.from_numpy(golden[name].reshape(-1, 48).astype(np.float64))
        for name in ("normalised", "random_reconstruction")
    )
    rows = [float(telescoping(p[None], t[None])) for p, t in zip(prediction, target, strict=True)]
    assert rows == pytest.approx(golden["telescope_random"], rel=1e-4)


def test_gradients_are_those_of_the_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "SINKHORN_TOLERANCE", 1e-12)
    generator = torch.Generator().manual_seed(0)
    prediction, target = torch.rand(2, 3, 48, dtype=torch.float64, generator=generator)
    for name, loss in LOSSES.items():
        along_one_direction = name == "sinkhorn"  # some thousand rounds a value
        assert torch.autograd.gradcheck(
            lambda p, f=loss: f(p, target), prediction.requires_grad_(), fast_mode=along_one_direction
        )


def test_the_maximum_is_differentiated() -> None:
    """d/da of (a - b)**2 a at a > b has the term (a - b)**2, which a constant factor would drop."""
    prediction = torch.full((1, 48), 0.5, requires_grad=True)
    telescoping(prediction, torch.zeros(1, 48)).backward()
    assert prediction.grad is not None
    total = float(telescoping(prediction.detach(), torch.zeros(1, 48)))
    assert float(prediction.grad.sum()) * 0.5 == pytest.approx(3 * total, rel=1e-6)  # homogeneous, degree 3


def test_an_unknown_loss_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"loss is one of \['binary_cross_entropy', .*\], got 'emx'"
    ) as raised:
        loss_named("emx")
    assert all(repr(name) in str(raised.value) for name in LOSSES)


def test_weighted_mse_is_its_formula() -> None:
    prediction, target = torch.tensor([[1.0, 2.0], [0.0, 5.0]]), torch.tensor([[3.0, 0.5], [0.0, 4.0]])
    expected = (4 * 3 + 2.25 * 2 + 0 + 1 * 5) / 4
    assert float(weighted_mse(prediction, target)) == pytest.approx(expected, rel=1e-6)


def test_the_factor_of_weighted_mse_is_differentiated() -> None:
    prediction = torch.full((1, 4), 0.5, requires_grad=True)
    weighted_mse(prediction, torch.zeros(1, 4)).backward()
    assert prediction.grad is not None
    assert prediction.grad.numpy() == pytest.approx(3 * 0.5**2 / 4, rel=1e-6)


@given(st.integers(0, 1000), st.integers(2, 6), st.sampled_from([1e-3, 1.0, 1e3]), st.booleans())
def test_cross_entropies_are_their_formulas(seed: int, classes: int, size: float, one_hot: bool) -> None:
    """Also of logits whose exponentials overflow."""
    rng = np.random.default_rng(seed)
    logits, weights = size * rng.normal(size=(7, classes)), rng.gamma(1.0, size=7)
    targets = (
        np.eye(classes)[rng.integers(classes, size=7)] if one_hot else rng.dirichlet(np.ones(classes), 7)
    )
    total = np.logaddexp.reduce(logits, axis=1, keepdims=True)
    each = (targets * (total - logits)).sum(axis=1)
    alone = targets * np.logaddexp(0, -logits) + (1 - targets) * np.logaddexp(0, logits)
    pair = torch.from_numpy(logits), torch.from_numpy(targets)
    for loss, expected in ((cross_entropy, each), (binary_cross_entropy, alone.mean(axis=1))):
        assert float(loss(*pair)) == pytest.approx(expected.mean(), rel=1e-9)
        weighted = float(loss(*pair, torch.from_numpy(weights)))
        assert weighted == pytest.approx((weights * expected).mean(), rel=1e-9)


def test_an_own_loss_gives_what_can_be_minimised() -> None:
    prediction, target = torch.ones(3, 2, requires_grad=True), torch.zeros(3, 2)
    assert loss_of(lambda p, t, w: (p - t).abs().mean())(prediction, target, None).item() == 1.0
    assert loss_of("mse") is losses.mse
    for wrong in (
        lambda p, t, w: (p - t).abs().mean(dim=1),
        lambda p, t, w: (p - t).detach().mean(),
        lambda p, t, w: 1.0,
    ):
        with pytest.raises(ConfigError, match=r"the task's own loss gave .*; it gives a tensor without axes"):
            loss_of(wrong)(prediction, target, None)


def test_emd_is_the_mean_of_the_metric() -> None:
    target, prediction = np.random.default_rng(0).random((2, 9, 48))
    loss = emd(torch.from_numpy(prediction), torch.from_numpy(target))
    assert float(loss) == pytest.approx(metrics.emd(target, prediction).mean(), rel=1e-12)
    single = emd(torch.from_numpy(prediction).float(), torch.from_numpy(target).float())
    assert single.dtype == torch.float32
    assert float(single) == pytest.approx(float(loss), rel=1e-6)


def test_emd_of_rows_without_charge_is_zero_and_flat() -> None:
    full = torch.arange(1.0, 49.0).expand(1, 48)
    empty = torch.zeros(1, 48)
    prediction = torch.cat([empty, full, full]).requires_grad_()
    loss = emd(prediction, torch.cat([full, empty, full.flip(1)]))
    (2 * loss).backward()
    assert prediction.grad is not None
    assert loss.item() == pytest.approx(metrics.emd(full.flip(1), full)[0] / 3, rel=1e-6)
    assert not prediction.grad[:2].any()
    alone = full.clone().requires_grad_()
    emd(alone, full.flip(1)).backward()
    assert alone.grad is not None
    torch.testing.assert_close(prediction.grad[2:], alone.grad * 2 / 3)


def test_emd_shows_a_diverged_prediction_and_refuses_a_negative_one() -> None:
    prediction, target = torch.ones(2, 48), torch.ones(2, 48)
    prediction[1, 3] = torch.nan
    assert torch.isnan(emd(prediction, target))
    prediction[1, 3] = -1
    with pytest.raises(DataError, match="must be finite and not negative"):
        emd(prediction, target)


def test_every_loss_has_a_name_that_recipes_know() -> None:
    assert set(LOSSES) == set(LOSS_NAMES)


def test_the_documented_weights_differ_in_six_groups() -> None:
    assert DOCUMENTED_GROUP_WEIGHTS.sum() == pytest.approx(12)
    differ = metrics.trigger_cells.GROUP_WEIGHTS - DOCUMENTED_GROUP_WEIGHTS
    assert sorted(np.round(differ[np.abs(differ) > 1e-9], 6)) == pytest.approx([1 / 16] * 3 + [1 / 8] * 3)
    target, prediction = torch.rand(2, 4, 48, dtype=torch.float64)
    assert float(telescoping_documented(prediction, target)) < float(telescoping(prediction, target))


def test_sinkhorn_tends_to_the_exact_distance_as_the_smoothing_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    target, prediction = np.random.default_rng(0).exponential(size=(2, 3, 48))
    exact = metrics.emd(target, prediction).mean()
    monkeypatch.setattr(losses, "SINKHORN_ROUNDS", 1000)
    gaps = []
    for length in (1.0, 0.25, 0.1):
        monkeypatch.setattr(losses, "SINKHORN_LENGTH", length)
        gaps.append(float(sinkhorn(torch.from_numpy(prediction), torch.from_numpy(target))) - exact)
    assert gaps[0] > gaps[1] > gaps[2] > -1e-6
    assert gaps[2] < 0.3 * gaps[0]


def test_sinkhorn_equals_an_independent_solver() -> None:
    ot = pytest.importorskip("ot")
    target, prediction = np.random.default_rng(1).exponential(size=(2, 3, 48))
    for t, p in zip(
        target / target.sum(1, keepdims=True), prediction / prediction.sum(1, keepdims=True), strict=True
    ):
        plan = ot.sinkhorn(p, t, DISTANCES, losses.SINKHORN_LENGTH, stopThr=1e-10, numItermax=10_000)
        entropy = (plan * np.log(plan / np.outer(p, t))).sum()
        expected = (plan * DISTANCES).sum() + losses.SINKHORN_LENGTH * entropy
        found = float(sinkhorn(torch.from_numpy(p)[None], torch.from_numpy(t)[None]))
        assert found == pytest.approx(expected, rel=1e-4)


def test_sinkhorn_of_rows_without_charge_is_zero_and_flat() -> None:
    rows = torch.rand(2, 48, dtype=torch.float64)
    rows[0] = 0
    rows.requires_grad_()
    loss = sinkhorn(rows, torch.rand(2, 48, dtype=torch.float64))
    loss.backward()
    assert rows.grad is not None
    assert not rows.grad[0].any()
    assert rows.grad[1].any()
