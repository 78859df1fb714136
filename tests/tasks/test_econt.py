"""The ECON-T task."""

from pathlib import Path

import numpy as np
import pytest

from codesign.config import load_study_file
from codesign.errors import ConfigError, DataError
from codesign.metrics import emd
from codesign.network import Network
from codesign.tasks.concentrator import best_choice
from codesign.tasks.econt import UNITS, EcontTask, generate, score
from codesign.tasks.generator import SETS
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


def random_network() -> Network:
    network = econt_float.build(econt_float.SPACE.candidate(econt_float.BASELINE))
    rng = np.random.default_rng(0)
    weights = {
        f"{layer.name}.{role}": rng.normal(0, 0.3, shape)
        for layer, before in zip(network.layers, network.shapes, strict=False)
        for role, shape in layer.weight_shapes(before).items()
    }
    return network.with_weights(weights)


def test_every_metric_is_scored_on_every_wafer(task: EcontTask) -> None:
    scores = score(random_network(), task.wafers)
    assert set(scores) == set(UNITS)
    assert scores["emd"].n == len(task.wafers)
    assert scores["zero_fraction"].mean == 0


def test_the_energy_is_that_of_a_sum_in_nine_bits(task: EcontTask) -> None:
    response = score(random_network(), task.wafers)["energy_response"]
    assert abs(response.mean) < 0.01
    assert 0 < response.std < 1 / 32


def test_a_hybrid_sends_quiet_wafers_by_best_choice_and_busy_ones_by_the_network() -> None:
    wafers = generate(1500, seed=3)
    task = EcontTask(wafers, busy_from=6)
    held = wafers.take(slice(0, 300))
    busy = held.occupancy_1mip >= 6
    network = random_network()
    found = task.score(network)
    selected = emd(held.calq, best_choice(held.calq, 14).calq)[~busy].sum()
    assert found["emd_busy"].n == busy.sum()
    whole = (selected + found["emd_busy"].mean * busy.sum()) / len(held)
    assert found["emd_hybrid"].mean == pytest.approx(whole)
    assert set(found) == set(task.metrics)
    assert found["emd"] == EcontTask(wafers).score(network)["emd"]


def test_networks_may_be_fitted_to_busy_wafers_alone() -> None:
    wafers = generate(1500, seed=3)
    task = EcontTask(wafers, busy_from=6, busy_only=True)
    busy = wafers.occupancy_1mip >= 6
    assert (len(task.validation), len(task.training)) == (busy[:300].sum(), busy[300:].sum())
    assert task.score(random_network())["emd"].n == 300
    assert task.describe() != EcontTask(wafers).describe()


def test_what_needs_no_network_is_a_reference_of_about_as_many_bits(task: EcontTask) -> None:
    names = set(task.references())
    assert {"best choice 14", "super trigger cells 4"} < names
    assert not names & {"repeater", "best choice 9", "threshold 2 MIP"}


@pytest.mark.parametrize("layout", ["4x4x3", "6x6x3"])
def test_other_layouts_show_the_same_wafers(task: EcontTask, layout: str) -> None:
    other = EcontTask(task.wafers, layout=layout)
    inputs = other.validation.inputs.reshape(300, -1)
    assert np.array_equal(inputs[:, other.validation.output_index], task.validation.targets)
    assert np.array_equal(other.validation.targets, task.validation.targets)


def test_parameters_of_the_generator_are_chosen_by_name() -> None:
    usual = EcontTask.from_options(wafers=200)
    closer = EcontTask.from_options(wafers=200, parameters="C")
    assert np.array_equal(usual.wafers.calq, generate(200, seed=0).calq)
    assert np.array_equal(closer.wafers.calq, generate(200, seed=0, parameters=SETS["C"]).calq)
    assert usual.describe()["source"] == "generated pileup, seed 0"
    assert closer.describe()["source"] == "generated pileup, parameters C, seed 0"


def test_a_study_file_names_the_parameters_of_the_generator(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text('space = "econt"\n[data]\nwafers = 50\nparameters = "P"')
    task = load_study_file(file).setup().task
    assert isinstance(task, EcontTask)
    assert np.array_equal(task.wafers.calq, generate(50, seed=0, parameters="P").calq)
    file.write_text('space = "econt"\n[data]\nparameters = "Q"')
    with pytest.raises(ConfigError, match="parameters is one of T, C, P, got 'Q'"):
        load_study_file(file).setup()


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match="layout"):
        EcontTask.from_options(wafers=100, layout="8x8x3")
    with pytest.raises(ConfigError, match="links"):
        EcontTask.from_options(wafers=100, links=6)
    with pytest.raises(ConfigError, match="parameters is one of T, C, P, got 'Q'"):
        EcontTask.from_options(wafers=100, parameters="Q")
    with pytest.raises(ConfigError, match="busy_only needs busy_from"):
        EcontTask.from_options(wafers=100, busy_only=True)
    with pytest.raises(DataError, match="lower busy_from"):
        EcontTask(generate(100, seed=0), busy_from=48)
