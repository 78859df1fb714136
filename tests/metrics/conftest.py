"""Golden figures of the reference implementation."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Golden:
    """256 real wafers, an arbitrary output for each, and what the reference scored them."""

    x: NDArray[np.float64]  # charges, transverse MIP, (256, 48)
    y: NDArray[np.float64]  # output, before the file rounded it to float32, (256, 48)
    scores: dict[str, NDArray[np.float64]]  # by name of codesign.metrics.METRICS, (256,) each
    normalised: NDArray[np.float32]  # (256, 48)
    rounded_y: NDArray[np.float32]  # what the loss saw, (256, 48)
    telescoping_loss: NDArray[np.float32]  # (256,)


@pytest.fixture(scope="session")
def golden(reference_data: Path) -> Golden:
    """Read the golden file; the output is drawn again, since the file holds its first 7 digits only."""
    with np.load(reference_data / "golden" / "reference_metrics.npz") as file:
        arrays = dict(file)
    rng = np.random.default_rng(1)
    y = rng.random((256, 48)) * rng.random((256, 1)) * (rng.random((256, 48)) < 0.4)
    np.testing.assert_array_equal(y.astype(np.float32), arrays["random_reconstruction"])
    names = ("emd", "d_mean", "d_rms", "cross_correlation", "ssd")
    return Golden(
        x=arrays["calq"] / 35,
        y=y,
        scores=dict(zip(names, arrays["metrics_random"].T, strict=True)),
        normalised=arrays["normalised"],
        rounded_y=arrays["random_reconstruction"],
        telescoping_loss=arrays["telescope_random"],
    )
