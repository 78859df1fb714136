from pathlib import Path

import numpy as np
import pytest
import torch

from codesign.errors import ConfigError
from codesign.metrics.telescoping import telescoping_loss
from codesign.training.losses import LOSSES, loss_named, telescoping


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


def test_gradients_are_those_of_the_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    prediction, target = torch.rand(2, 3, 48, dtype=torch.float64, generator=generator)
    for loss in LOSSES.values():
        assert torch.autograd.gradcheck(lambda p, f=loss: f(p, target), prediction.requires_grad_())


def test_the_maximum_is_differentiated() -> None:
    """d/da of (a - b)**2 a at a > b has the term (a - b)**2, which a constant factor would drop."""
    prediction = torch.full((1, 48), 0.5, requires_grad=True)
    telescoping(prediction, torch.zeros(1, 48)).backward()
    assert prediction.grad is not None
    total = float(telescoping(prediction.detach(), torch.zeros(1, 48)))
    assert float(prediction.grad.sum()) * 0.5 == pytest.approx(3 * total, rel=1e-6)  # homogeneous, degree 3


def test_an_unknown_loss_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"loss is one of \['mse', 'telescoping'\], got 'emd'"):
        loss_named("emd")
