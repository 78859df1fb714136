import numpy as np
import pytest

from codesign import metrics
from codesign.metrics import METRICS
from codesign.metrics.trigger_cells import CELLS


def test_published_names_stand_for_the_functions() -> None:
    assert {name: metric.function for name, metric in METRICS.items()} == {
        "emd": metrics.emd,
        "d_mean": metrics.mean_shift,
        "d_rms": metrics.rms_difference,
        "abs_d_rms": metrics.absolute_rms_difference,
        "cross_correlation": metrics.cross_correlation,
        "ssd": metrics.sum_of_squared_differences,
        "energy_response": metrics.energy_response,
        "zero_fraction": metrics.zero_fraction,
    }


def test_every_metric_gives_one_number_per_wafer_and_has_a_unit() -> None:
    x, y = np.random.default_rng(0).random((2, 5, CELLS))
    for metric in METRICS.values():
        assert metric.function(x, y).shape == (5,)
        assert metric.unit


def test_lengths_are_in_sensor_cells() -> None:
    lengths = [name for name, metric in METRICS.items() if metric.unit == "sensor cells"]
    assert lengths == ["emd", "d_mean"]
    x, y = np.eye(CELLS)[[0]], np.eye(CELLS)[[1]]  # one pitch of the trigger cells apart
    for name in lengths:
        assert METRICS[name].function(x, y) == pytest.approx(2, abs=1e-6)
