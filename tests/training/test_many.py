"""Many fits at once: what can be seen of it without a card."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from codesign.errors import ConfigError, MissingToolError
from codesign.network import Network
from codesign.tasks import Samples
from codesign.training import Recipe
from codesign.training.build import build
from codesign.training.fit import fit
from codesign.training.losses import telescoping
from codesign.training.many import fit_many

Make = Callable[..., Network]

needs_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card")


def recipe(**changes: object) -> Recipe:
    return Recipe.quick(60, batch=300, engine="torch", validate_every=20, **changes)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_card)])
def test_each_fit_is_that_of_its_network_alone(device: str, autoencoder: Make, samples: Samples) -> None:
    networks = [autoencoder(), autoencoder(quantised=False), autoencoder()]
    many = fit_many(
        networks, samples, samples, recipe(), loss="telescoping", seed=3, at_once=2, device=device
    )
    for network, found in zip(networks, many, strict=True):
        alone = fit(network, samples, samples, recipe(), loss="telescoping", seed=3)
        assert (found.status, found.steps, found.engine) == ("ok", 60, "torch")
        np.testing.assert_allclose(found.curve, alone.curve, rtol=1e-6 if device == "cpu" else 1e-2)


def test_one_that_diverges_does_not_end_the_others(autoencoder: Make, samples: Samples) -> None:
    good = fit(autoencoder(), samples, samples, recipe(), loss="telescoping", seed=3).network
    huge = {name: np.where(w > 0, 3e38, -3e38) for name, w in good.weights.items() if w.dtype == np.float64}
    bad = good.with_weights({**good.weights, **huge})
    found = fit_many([bad, good], samples, samples, recipe(), loss="telescoping", seed=3, device="cpu")
    assert [each.status for each in found] == ["diverged", "ok"]
    assert "at step 1" in found[0].reason


def test_a_module_computes_where_it_lies(autoencoder: Make) -> None:
    """On the device without memory: an operation with a tensor left on the processor is an error there."""
    for quantised in (True, False):
        module = build(autoencoder(quantised=quantised)).to("meta")
        outputs = module(torch.zeros((5, 8, 8, 1), device="meta"))[:, :48]
        telescoping(outputs, torch.zeros((5, 48), device="meta")).backward()
        assert all(parameter.grad is not None for parameter in module.parameters())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_without_a_card_it_says_so(autoencoder: Make, samples: Samples) -> None:
    with pytest.raises(MissingToolError, match="no CUDA card for device 'cuda'; fit trains on the processor"):
        fit_many([autoencoder()], samples, samples, recipe(), loss="telescoping", seed=1)


def test_the_emd_loss_is_not_for_a_card(
    autoencoder: Make, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(ConfigError, match="solved on the processor"):
        fit_many([autoencoder()], samples, samples, recipe(), loss="emd", seed=1)
