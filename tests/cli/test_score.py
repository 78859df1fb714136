"""``codesign import`` and ``codesign score``: weights of Keras to a network, and what it scores."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from codesign.metrics import METRICS, emd, telescoping_loss
from codesign.network import Network
from codesign.tasks.generator import generate
from codesign.tasks.layouts import LAYOUTS
from codesign.tasks.wafers import Wafers
from search_spaces import econt, econt_float, econt_layouts, econt_qkeras
from tests import keras_reference as keras

Call = Callable[..., Any]
CELLS = [f"CALQ_{i}" for i in range(48)]


def refused(result: Any, *words: str) -> None:
    assert result.code == 2, result.err
    assert result.out == ""
    assert result.err.count("error: ") == 1
    assert "Traceback" not in result.err
    for word in words:
        assert word in result.err


@pytest.fixture
def keras_made(tmp_path: Path) -> SimpleNamespace:
    """Weights of the study's network, its candidate, a CSV, and what Keras would answer in float32."""
    candidate = econt_float.SPACE.candidate(econt_float.BASELINE)
    form = keras.Hyperparameters.of(candidate.values, (8, 8, 1))
    encoder, decoder = keras.kernels(form, np.random.default_rng(5))
    weights = keras.write(tmp_path / "weights.hdf5", keras.autoencoder(encoder, decoder))
    given = tmp_path / "candidate.json"
    given.write_text(json.dumps(dict(econt_float.BASELINE)))
    wafers = generate(203, seed=2)
    data = tmp_path / "wafers.csv"
    empty = np.zeros((2, 48), dtype=int)
    pd.DataFrame(np.concatenate([empty, wafers.calq]), columns=CELLS).to_csv(data, index=False)
    images = LAYOUTS["8x8"].images(wafers.normalised.astype(np.float32))
    latent, last = keras.encode(form, encoder, images, dtype=torch.float32)
    answers = keras.decode(form, decoder, latent, last, dtype=torch.float32)
    return SimpleNamespace(
        weights=weights,
        encoder=encoder,
        decoder=decoder,
        candidate=given,
        data=data,
        wafers=wafers,
        answers=LAYOUTS["8x8"].cells(answers).astype(np.float64),
        out=tmp_path / "network.json",
    )


def imported(codesign: Call, made: SimpleNamespace, *options: object) -> Any:
    return codesign(
        "import",
        made.weights,
        "--as",
        "econt-float",
        "--candidate",
        made.candidate,
        "--out",
        made.out,
        *options,
    )


def test_weights_of_keras_score_what_keras_answers(keras_made: SimpleNamespace, codesign: Call) -> None:
    assert imported(codesign, keras_made).code == 0
    result = codesign("score", keras_made.out, "--data", keras_made.data, "--json")
    assert result.code == 0, result.err
    scores = json.loads(result.out)
    assert set(scores) == {*METRICS, "telescoping_loss"}
    calq = keras_made.wafers.calq
    distances = emd(calq, keras_made.answers)
    losses = telescoping_loss(keras_made.wafers.normalised, keras_made.answers)
    for name, expected in (("emd", distances), ("telescoping_loss", losses)):
        found = scores[name]
        assert found["n"] == len(calq)
        assert found["mean"] == pytest.approx(float(expected.mean()), rel=1e-6)
        assert found["std"] == pytest.approx(float(expected.std()), rel=1e-5)
        assert found["stderr"] == pytest.approx(float(expected.std()) / len(calq) ** 0.5, rel=1e-5)
    assert "all 203 wafers (2 without charge are left out)" in result.err


def test_validation_rows_are_the_first_fifth(keras_made: SimpleNamespace, codesign: Call) -> None:
    imported(codesign, keras_made)
    options = ["score", keras_made.out, "--data", keras_made.data, "--rows", "validation"]
    result = codesign(*options, "--json")
    found = json.loads(result.out)["emd"]
    expected = emd(keras_made.wafers.calq[:40], keras_made.answers[:40])
    assert found["n"] == 40
    assert found["mean"] == pytest.approx(float(expected.mean()), rel=1e-6)
    assert "the first 40 of 203 wafers" in result.err
    text = " ".join(codesign(*options).out.split())
    assert "the first 40 of 203 wafers" in text
    assert "spread over" in text


def test_the_network_is_written_whole_with_where_it_comes_from(
    keras_made: SimpleNamespace, codesign: Call
) -> None:
    result = imported(codesign, keras_made, "--json")
    said = json.loads(result.out)
    network = Network.load(keras_made.out)
    candidate = econt_float.SPACE.candidate(econt_float.BASELINE)
    assert (network.layers, network.fitted) == (econt_float.build(candidate).layers, True)
    np.testing.assert_array_equal(network.weights["conv_1.weight"], keras_made.encoder[0][1][0])
    assert said["parameters"] == 4_977
    assert said["layers"]["conv_1"] == "encoder/conv2d_7"
    written = json.loads(keras_made.out.read_text())["imported"]
    assert written["candidate"] == dict(candidate.values)
    assert list(written["weights"]) == [str(keras_made.weights)]
    text = imported(codesign, keras_made).out
    assert "4,977 parameters" in text
    assert "conv_1          from encoder/conv2d_7" in text


def test_parts_the_baseline_and_designs_by_name(
    keras_made: SimpleNamespace, codesign: Call, tmp_path: Path
) -> None:
    encoder = keras.write(tmp_path / "encoder.hdf5", keras.alone(keras_made.encoder))
    decoder = keras.write(tmp_path / "decoder.hdf5", keras.alone(keras_made.decoder))
    other = tmp_path / "other.json"
    result = codesign("import", encoder, decoder, "--as", "econt-float", "--out", other)
    assert result.code == 0, result.err
    imported(codesign, keras_made)
    assert Network.load(other) == Network.load(keras_made.out)
    result = codesign(
        "import", keras_made.weights, "--as", "econt-qkeras", "--candidate", "medium", "--out", other
    )
    assert result.code == 0, result.err
    medium = econt_qkeras.build(econt_qkeras.SPACE.candidate(econt_qkeras.DESIGNS["medium"]))
    assert Network.load(other).layers == medium.layers


def test_weights_outside_their_format_are_said(keras_made: SimpleNamespace, codesign: Call) -> None:
    with h5py.File(keras_made.weights, "a") as file:
        file["encoder/conv2d_7/bias:0"][0] = 3.0
    result = codesign("import", keras_made.weights, "--as", "econt", "--out", keras_made.out)
    assert result.code == 0, result.err
    assert "note: layer 'conv_1': 1 of 8 values of its bias lie outside -1 to 0.96875" in result.err
    assert Network.load(keras_made.out).layers == econt.build(econt.SPACE.candidate(econt.BASELINE)).layers


@pytest.mark.parametrize("layout", ["4x4x3", "6x6x3"])
def test_networks_of_other_layouts_are_scored_in_theirs(layout: str, codesign: Call, tmp_path: Path) -> None:
    definition = getattr(econt_layouts, f"FLOAT_{layout.upper()}")
    candidate = definition.SPACE.candidate(definition.BASELINE)
    form = keras.Hyperparameters.of(candidate.values, LAYOUTS[layout].shape)
    encoder, decoder = keras.kernels(form, np.random.default_rng(1))
    weights = keras.write(tmp_path / "weights.hdf5", keras.autoencoder(encoder, decoder))
    out = tmp_path / "network.json"
    assert codesign("import", weights, "--as", f"econt-float-{layout}", "--out", out).code == 0
    scores = json.loads(codesign("score", out, "--wafers", 100, "--seed", 4, "--json").out)
    wafers: Wafers = generate(100, seed=4)
    latent, last = keras.encode(form, encoder, LAYOUTS[layout].images(wafers.normalised))
    answers = LAYOUTS[layout].cells(keras.decode(form, decoder, latent, last))
    assert scores["emd"]["mean"] == pytest.approx(float(emd(wafers.calq, answers).mean()), rel=1e-9)


# --- what is refused


def test_weights_of_another_architecture(keras_made: SimpleNamespace, codesign: Call) -> None:
    keras_made.candidate.write_text(json.dumps({"filters_1": 8, "kernel_1": 5}))
    words = ("weights.hdf5", "(3, 3, 1, 8)", "(5, 5, 1, 8)", "econt-float (convolutions=1", "kernel_1=5")
    refused(imported(codesign, keras_made), *words)
    assert not keras_made.out.exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", ("candidate.json", "not JSON")),
        ('{"filters_1": 7}', ("candidate.json", "filters_1 takes 2, 4, 8, 16, 32, 64, got 7")),
        ('{"stride_1": 4, "stride_2": 4}', ("candidate.json", "more than three times")),
        ('{"wings": 2}', ("candidate.json", "wings")),
        ("[1, 2]", ("candidate.json",)),
    ],
)
def test_candidates_that_are_none(
    keras_made: SimpleNamespace, codesign: Call, text: str, words: tuple[str, ...]
) -> None:
    keras_made.candidate.write_text(text)
    refused(imported(codesign, keras_made), *words)


def test_names_and_places_that_are_none(keras_made: SimpleNamespace, codesign: Call, tmp_path: Path) -> None:
    start = ["import", keras_made.weights, "--out", keras_made.out]
    refused(codesign(*start, "--as", "nope"), "'nope'", "econt-float")
    refused(codesign(*start, "--as", "econt-float", "--candidate", "huge"), "huge", "no such file")
    words = ("huge", "no such file", "small, medium, large")
    refused(codesign(*start, "--as", "econt-qkeras", "--candidate", "huge"), *words)
    absent = ["import", tmp_path / "absent.hdf5", "--as", "econt-float", "--out", keras_made.out]
    refused(codesign(*absent), "absent.hdf5", "no such file")
    before = keras_made.weights.read_bytes()
    replacing = ["import", keras_made.weights, "--as", "econt-float", "--out", keras_made.weights]
    refused(codesign(*replacing), "would replace the weights")
    assert keras_made.weights.read_bytes() == before
    beneath = keras_made.candidate / "network.json"
    refused(codesign("import", keras_made.weights, "--as", "econt-float", "--out", beneath), "cannot write")
    assert codesign("import", "--as", "econt-float", "--out", keras_made.out).code == 2
    refused(codesign("score", keras_made.weights), "weights.hdf5")


def test_rows_are_all_or_those_of_validation(keras_made: SimpleNamespace, codesign: Call) -> None:
    imported(codesign, keras_made)
    result = codesign("score", keras_made.out, "--rows", "some")
    assert result.code == 2
    assert "'all', 'validation'" in result.err
    one = keras_made.data.with_name("one.csv")
    pd.DataFrame(keras_made.wafers.calq[:1], columns=CELLS).to_csv(one, index=False)
    refused(codesign("score", keras_made.out, "--data", one, "--rows", "validation"), "at least 2 wafers")


@pytest.mark.parametrize(
    ("name", "candidate", "expected"),
    [
        ("8x8_c8_S2_tele_fqK_6bit", {"filters_1": 8, "kernel_1": 3, "stride_1": 2}, 1.067),
        ("run3-row27-small-econ", {"units_1": 16}, 1.506),
        ("run5-row21-big-econ", {"filters_1": 32, "kernel_1": 5, "stride_1": 2}, 0.805),
    ],
)
def test_published_weights_from_file_to_score(
    reference_data: Path,
    tmp_path: Path,
    codesign: Call,
    name: str,
    candidate: dict[str, int],
    expected: float,
) -> None:
    given, out = tmp_path / "candidate.json", tmp_path / "network.json"
    given.write_text(json.dumps(candidate))
    weights = reference_data / "golden" / "checkpoints" / f"{name}.hdf5"
    result = codesign("import", weights, "--as", "econt-float", "--candidate", given, "--out", out)
    assert result.code == 0, result.err
    data = reference_data / "data" / "hgcal" / "pileup_like.csv.gz"
    scores = json.loads(codesign("score", out, "--data", data, "--json").out)
    assert scores["emd"]["mean"] == pytest.approx(expected, abs=0.01)
    assert scores["emd"]["n"] == 3_000


# --- by a task of one's own

OWN = """
from dataclasses import dataclass, replace

import numpy as np

from codesign.metrics import Summary
from codesign.tasks import Samples
from tests.tiny import TinyTask


@dataclass(frozen=True)
class Own(TinyTask):
    share: float = 0.25

    @classmethod
    def from_options(cls, path: str | None = None):
        return cls() if path is None else cls(len(np.load(path)["inputs"]))

    @property
    def validation(self):
        every, count = self.training, int(self.share * self.count)
        return Samples(every.inputs[:count], every.targets[:count], every.output_index)

    def score(self, network):
        held_out = self.validation
        errors = (network.predict(held_out.inputs) - held_out.targets) ** 2
        return {"error": Summary.of(errors.mean(axis=1))}


class Whole(Own):
    def held_out(self):
        return replace(self, share=1.0)


class Broken(Own):
    def score(self, network):
        raise KeyError("weights of my own")


class Empty(Own):
    def score(self, network):
        return {}


class Flat(Own):
    @property
    def validation(self):
        every = self.training
        return Samples(every.targets, every.targets, every.output_index)
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A study of a task in a file, one of its networks, and a file of other data."""
    from codesign.config import run
    from tests import tiny

    place = tmp_path_factory.mktemp("own")
    (place / "own.py").write_text(OWN)
    np.savez(place / "test.npz", inputs=np.zeros((40, 2, 2, 1)))
    np.savez(place / "other.npz", features=np.zeros(3))
    options = {"trials": 1, "steps": 3, "workers": 1, "progress": False}
    study = run(
        space=tiny, task=tiny.TinyTask(), objectives=["error", "area_um2"], out=place / "study", **options
    )
    network = study.store.network_path(study.evaluations[0].candidate.digest)
    study.close()
    return SimpleNamespace(place=place, task=lambda name: f"{place / 'own.py'}:{name}", network=network)


@pytest.mark.parametrize(
    ("task", "options", "count", "said"),
    [
        ("Own", [], 10, "the 10 validation samples of the task"),
        ("Whole", [], 40, "all 40 samples"),
        ("Whole", ["--rows", "all"], 40, "all 40 samples"),
        ("Whole", ["--rows", "validation"], 10, "the 10 validation samples of the task"),
    ],
)
def test_a_task_of_ones_own_scores_what_it_holds_out_of_a_file(
    own: SimpleNamespace, codesign: Call, task: str, options: list[str], count: int, said: str
) -> None:
    data = own.place / "test.npz"
    words = ["score", own.network, "--task", own.task(task), "--data", data, *options]
    result = codesign(*words, "--json")
    assert result.code == 0, result.err
    inputs = np.random.default_rng(0).random((40, 2, 2, 1), dtype=np.float32)[:count]
    errors = (Network.load(own.network).predict(inputs) - inputs.reshape(-1, 4)) ** 2
    found = json.loads(result.out)["error"]
    assert found["n"] == count
    assert found["mean"] == pytest.approx(float(errors.mean()), rel=1e-6)
    assert f"note: {data}: {said}\n" in result.err
    assert ("held_out()" in result.err) == (task == "Own")
    text = " ".join(codesign(*words).out.split())
    assert said in text
    assert "samples ┃" in text


def test_a_network_scored_on_what_it_was_trained_on_is_noted(own: SimpleNamespace, codesign: Call) -> None:
    score = ["score", own.network, "--task"]
    result = codesign(*score, own.task("Whole"))
    assert result.code == 0
    assert "note: the network was trained on most of these samples; --rows validation" in result.err
    assert "64 samples" in " ".join(result.out.split())
    assert "trained" not in codesign(*score, own.task("Whole"), "--rows", "validation").err
    assert "trained" not in codesign(*score, own.task("Whole"), "--data", own.place / "test.npz").err


def test_a_network_of_no_wafers_needs_its_task(own: SimpleNamespace, codesign: Call) -> None:
    refused(codesign("score", own.network), "takes (2, 2, 1)", "--task FILE.py:Class")


def test_what_a_task_cannot_do_is_said_in_a_line(own: SimpleNamespace, codesign: Call) -> None:
    def score(task: str, *options: object) -> Any:
        return codesign("score", own.network, "--task", own.task(task), *options)

    refused(score("Own", "--rows", "all"), "--rows all", "no held_out()", "leave it out")
    refused(score("Own", "--data", own.place / "other.npz"), "raised KeyError", "own.py:")
    refused(score("Own", "--data", own.place / "absent.npz"), "data of task", "absent.npz")
    refused(score("Broken"), "raised KeyError: 'weights of my own' at own.py:")
    refused(score("Empty"), "gave None for the metric 'error'")
    refused(score("Flat"), "have the shape (4,)", "takes (2, 2, 1)")
    refused(score("Nothing"), "has no 'Nothing'")
    refused(codesign("score", own.network, "--task", "tests/tiny.py:TinyTask"), "has no from_options")
    for option, value in (("--wafers", 10), ("--seed", 0), ("--parameters", "T")):
        refused(score("Own", option, value), f"{option} is of generated wafers", "leave it out")
