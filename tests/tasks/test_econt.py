"""The ECON-T task."""

import numpy as np
import pytest

from codesign.tasks.econt import EcontTask, generate, score
from search_spaces import econt_float


@pytest.fixture(scope="module")
def task() -> EcontTask:
    return EcontTask(generate(1500, seed=3))


def test_a_network_that_answers_a_constant_scores_as_the_constant(task: EcontTask) -> None:
    """The last bias makes every pixel the same; so does the mean of wafers whose charge is spread evenly."""
    network = econt_float.build(econt_float.SPACE.candidate(econt_float.BASELINE))
    weights = {
        f"{layer.name}.{role}": np.zeros(shape)
        for layer, before in zip(network.layers, network.shapes, strict=False)
        for role, shape in layer.weight_shapes(before).items()
    }
    flat = task.score(network.with_weights(weights))["emd"].mean
    best = task.constant()["emd"].mean
    assert 3.0 < best < 4.0
    assert flat == pytest.approx(best, abs=0.3)


def test_samples_are_what_the_study_defines(task: EcontTask) -> None:
    assert len(task.validation) == 300
    assert len(task.training) == 1200
    assert task.validation.inputs.shape == (300, 8, 8, 1)
    picked = task.validation.inputs.reshape(300, 64)[:, task.validation.output_index]
    assert np.array_equal(picked, task.validation.targets)
    assert ((task.validation.targets.sum(axis=1) >= 1) & (task.validation.targets.sum(axis=1) < 2)).all()


def test_the_score_does_not_depend_on_the_scale_of_the_output(task: EcontTask) -> None:
    network = econt_float.build(econt_float.SPACE.candidate(econt_float.BASELINE))
    rng = np.random.default_rng(0)
    weights = {
        f"{layer.name}.{role}": rng.normal(0, 0.3, shape)
        for layer, before in zip(network.layers, network.shapes, strict=False)
        for role, shape in layer.weight_shapes(before).items()
    }
    scores = score(network.with_weights(weights), task.wafers)
    assert set(scores) == set(EcontTask.metrics)
    assert scores["emd"].n == len(task.wafers)
    assert scores["zero_fraction"].mean == 0
