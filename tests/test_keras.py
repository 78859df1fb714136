"""Weights of Keras: files by its documented layout, and networks that answer as the study's sources say."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.errors import NetworkError
from codesign.importing.keras import load_keras
from codesign.metrics import emd, telescoping_loss
from codesign.network import Network
from codesign.space import SpaceDefinition
from codesign.tasks import econt as task
from codesign.tasks.layouts import LAYOUTS
from codesign.tasks.wafers import Wafers
from search_spaces import econt, econt_float, econt_layouts, econt_qkeras
from tests import keras_reference as keras

seeds = st.integers(0, 2**32 - 1)
examples = settings(deadline=None, max_examples=25)
SPACES: dict[str, tuple[SpaceDefinition, tuple[int, int, int]]] = {
    "8x8": (econt_float, (8, 8, 1)),
    "4x4x3": (econt_layouts.FLOAT_4X4X3, (4, 4, 3)),
    "6x6x3": (econt_layouts.FLOAT_6X6X3, (6, 6, 3)),
}


def baseline(seed: int = 0) -> tuple[Network, keras.Hyperparameters, keras.Part, keras.Part]:
    """The study's network, with random weights of Keras beside."""
    candidate = econt_float.SPACE.candidate(econt_float.BASELINE)
    form = keras.Hyperparameters.of(candidate.values, (8, 8, 1))
    return econt_float.build(candidate), form, *keras.kernels(form, np.random.default_rng(seed))


@given(st.sampled_from(sorted(SPACES)), seeds, st.booleans())
@examples
def test_every_float_network_answers_as_the_sources_of_the_study_say(
    tmp_path_factory: pytest.TempPathFactory, layout: str, seed: int, channels_first: bool
) -> None:
    definition, shape = SPACES[layout]
    rng = np.random.default_rng(seed)
    candidate = definition.SPACE.decode(definition.SPACE.sample_codes(1, rng, balanced=True))[0]
    form = keras.Hyperparameters.of(candidate.values, shape)
    encoder, decoder = keras.kernels(form, rng)
    path = tmp_path_factory.mktemp("keras") / "weights.hdf5"
    keras.write(path, keras.autoencoder(encoder, decoder))
    network = load_keras(definition.build(candidate), path, channels_first=channels_first).network
    images = rng.random((3, *shape))
    latent, last = keras.encode(form, encoder, images, channels_first=channels_first)
    answers = keras.decode(form, decoder, latent, last, channels_first=channels_first)
    np.testing.assert_allclose(network.codes(images), latent, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(network.predict(images), answers, rtol=1e-12, atol=1e-12)


def test_emd_and_loss_are_those_of_float32(tmp_path: Path) -> None:
    network, form, encoder, decoder = baseline()
    path = keras.write(tmp_path / "weights.hdf5", keras.autoencoder(encoder, decoder))
    wafers = task.generate(500, seed=1)
    single = torch.float32
    latent, last = keras.encode(
        form, encoder, LAYOUTS["8x8"].images(wafers.normalised.astype(np.float32)), dtype=single
    )
    answers = keras.decode(form, decoder, latent, last, dtype=single)
    assert answers.dtype == np.float32
    theirs = LAYOUTS["8x8"].cells(answers).astype(np.float64)
    ours = task.score(load_keras(network, path).network, wafers)
    assert ours["emd"].mean == pytest.approx(float(emd(wafers.calq, theirs).mean()), abs=1e-6)
    loss = telescoping_loss(wafers.normalised, theirs)
    assert ours["telescoping_loss"].mean == pytest.approx(float(loss.mean()), rel=1e-6)


# --- forms of files


def with_flat_names(path: Path, encoder: keras.Part, decoder: keras.Part) -> list[Path]:
    """Encoder and decoder in files of their own, layers without weights among the others."""
    first = keras.write(path / "encoder.hdf5", keras.alone(encoder))
    return [first, keras.write(path / "decoder.hdf5", keras.alone(decoder))]


def whole_model(path: Path, encoder: keras.Part, decoder: keras.Part) -> list[Path]:
    """What ``model.save`` writes: weights in a group, the optimiser's beside."""
    with h5py.File(path / "model.h5", "w") as file:
        keras.write_group(file.create_group("model_weights"), keras.autoencoder(encoder, decoder))
        file.create_group("optimizer_weights").create_dataset("iterations", data=np.int64(7))
    return [path / "model.h5"]


def of_qkeras(path: Path, encoder: keras.Part, decoder: keras.Part) -> list[Path]:
    """Names of the quantised class, of text instead of bytes, and empty lists as floats."""
    names = ["conv2d_0_m", "encoded_vector"]
    renamed = [(name, arrays) for name, (_, arrays) in zip(names, encoder, strict=True)]
    keras.write(path / "q.hdf5", keras.autoencoder(renamed, decoder))
    with h5py.File(path / "q.hdf5", "a") as file:
        file.attrs["layer_names"] = ["input_1", "encoder", "decoder"]
        file["input_1"].attrs["weight_names"] = np.zeros(0)
    return [path / "q.hdf5"]


def very_many_names(path: Path, encoder: keras.Part, decoder: keras.Part) -> list[Path]:
    """Attributes above 64 kB are split into numbered ones."""
    keras.write(path / "many.hdf5", keras.autoencoder(encoder, decoder))
    with h5py.File(path / "many.hdf5", "a") as file:
        for number, name in enumerate(("input_1", "encoder", "decoder")):
            file.attrs[f"layer_names{number}"] = [name]
        del file.attrs["layer_names"]
    return [path / "many.hdf5"]


def without_colons(path: Path, encoder: keras.Part, decoder: keras.Part) -> list[Path]:
    """Paths of variables as Keras 3 writes them into the older form."""
    return [keras.write(path / "k3.h5", keras.autoencoder(encoder, decoder), colon=False)]


FORMS = [with_flat_names, whole_model, of_qkeras, very_many_names, without_colons]
Form = Callable[[Path, keras.Part, keras.Part], list[Path]]


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_of_files_hold_the_same(form: Form, tmp_path: Path) -> None:
    network, _, encoder, decoder = baseline()
    found = load_keras(network, *form(tmp_path, encoder, decoder))
    for name, (_, (kernel, bias)) in zip(found.sources, [*encoder, *decoder], strict=True):
        np.testing.assert_array_equal(found.network.weights[f"{name}.weight"], kernel)
        np.testing.assert_array_equal(found.network.weights[f"{name}.bias"], bias)
    assert found.notes == ()


def test_sources_name_the_layers_of_the_file(tmp_path: Path) -> None:
    network, _, encoder, decoder = baseline()
    path = keras.write(tmp_path / "weights.hdf5", keras.autoencoder(encoder, decoder))
    assert load_keras(network, path).sources == {
        "conv_1": "encoder/conv2d_7",
        "latent": "encoder/encoded_vector",
        "decoder_image": "decoder/dense_3",
        "decoder_conv_1": "decoder/conv2d_transpose",
        "decoder_output": "decoder/conv2d_transpose_1",
    }


def test_an_encoder_alone_is_the_chip(tmp_path: Path) -> None:
    network, form, encoder, _ = baseline()
    path = keras.write(tmp_path / "encoder.hdf5", keras.alone(encoder))
    images = np.random.default_rng(3).random((2, 8, 8, 1))
    chip = load_keras(network.chip, path).network
    np.testing.assert_allclose(chip.predict(images), keras.encode(form, encoder, images)[0], rtol=1e-12)


def test_weights_outside_their_format_are_cut_and_counted(tmp_path: Path) -> None:
    _, _, encoder, decoder = baseline()
    encoder[0][1][0][0, 0, 0, :3] = (1.5, -4.0, 0.97)
    path = keras.write(tmp_path / "weights.hdf5", keras.autoencoder(encoder, decoder))
    found = load_keras(econt.build(econt.SPACE.candidate(econt.BASELINE)), path)
    codes = found.network.weights["conv_1.weight"]
    assert list(codes[0, 0, 0, :3]) == [31, -32, 31]
    inside = np.clip(encoder[1][1][0], -1, 31 / 32)
    np.testing.assert_array_equal(found.network.weights["latent.weight"], np.rint(32 * inside))
    assert any("'conv_1'" in note and "outside -1 to 0.96875" in note for note in found.notes)
    np.testing.assert_array_equal(found.network.weights["decoder_image.weight"], decoder[0][1][0])


# --- what is refused

DIFFERENT = {"filters_1": 8, "kernel_1": 5, "stride_1": 2}


def refused(*paths: Path, words: tuple[str, ...], values: Any = econt_float.BASELINE) -> None:
    candidate = econt_float.SPACE.candidate(values)
    with pytest.raises(NetworkError) as caught:
        load_keras(econt_float.build(candidate), *paths, what=f"the network of {candidate}")
    for word in (str(paths[0]), *words):
        assert word in str(caught.value)


@pytest.fixture
def written(tmp_path: Path) -> SimpleNamespace:
    """A good file, and what it was written from."""
    _, _, encoder, decoder = baseline()
    path = keras.write(tmp_path / "weights.hdf5", keras.autoencoder(encoder, decoder))
    return SimpleNamespace(path=path, encoder=encoder, decoder=decoder)


def test_shapes_that_do_not_fit_name_both_and_the_candidate(written: SimpleNamespace) -> None:
    words = (
        "encoder/conv2d_7",
        "(3, 3, 1, 8)",
        "(5, 5, 1, 8)",
        "'conv_1'",
        "kernel_1=5",
        "give the candidate",
    )
    refused(written.path, words=words, values=DIFFERENT)


def test_missing_and_extra_layers_are_named(written: SimpleNamespace, tmp_path: Path) -> None:
    words = ("5 layers with weights", "has 7", "decoder_conv_1, decoder_output would have none")
    refused(written.path, words=words, values={**econt_float.BASELINE, "units_1": 16})
    words = ("has 3", "decoder/conv2d_transpose, decoder/conv2d_transpose_1 would be left over")
    refused(written.path, words=words, values={})
    encoder = keras.write(tmp_path / "encoder.hdf5", keras.alone(written.encoder))
    refused(encoder, words=("2 layers with weights", "file of the whole autoencoder or those of its parts"))
    nothing = keras.write(tmp_path / "nothing.hdf5", {"input_1": []})
    refused(nothing, words=("0 layers with weights, none",))


@pytest.mark.parametrize(("value", "count"), [(np.nan, 1), (np.inf, 1)])
def test_values_that_are_not_finite(written: SimpleNamespace, value: float, count: int) -> None:
    with h5py.File(written.path, "a") as file:
        file["encoder/encoded_vector/kernel:0"][3, 4] = value
    refused(
        written.path, words=(f"{count} of 2048 values", "encoder/encoded_vector", "not finite", "diverged")
    )


@pytest.mark.parametrize("size", [0, 4, 100, 2_000, 20_000])
def test_a_file_that_was_cut_off(written: SimpleNamespace, size: int) -> None:
    content = written.path.read_bytes()
    assert size < len(content)
    written.path.write_bytes(content[:size])
    refused(written.path, words=("no HDF5 file",) if size < 8 else ("damaged", "not written to its end"))


@pytest.mark.parametrize("seed", range(20))
def test_damaged_bytes_never_end_in_another_error(written: SimpleNamespace, seed: int) -> None:
    rng = np.random.default_rng(seed)
    content = bytearray(written.path.read_bytes())
    for position in rng.integers(8, len(content), 200):
        content[position] = rng.integers(256)
    written.path.write_bytes(bytes(content))
    with suppress(NetworkError):
        assert load_keras(baseline()[0], written.path).network.fitted


def test_files_of_other_kinds(tmp_path: Path) -> None:
    path = tmp_path / "weights.hdf5"
    refused(path, words=("no such file",))
    refused(tmp_path, words=("no file",))
    path.write_bytes(b"PK\x03\x04 a zip")
    refused(path, words=("no HDF5 file", "zip", "model.save('weights.h5')"))
    with h5py.File(path, "w") as file:
        file.create_dataset("jets", data=np.zeros(3))
    refused(path, words=("no weights of Keras", "layer_names is missing"))
    with h5py.File(path, "w") as file:
        file.create_group("layers/conv2d/vars")
    refused(path, words=("Keras 3", "model.save('weights.h5')"))


def test_arrays_that_are_named_but_not_there(written: SimpleNamespace) -> None:
    with h5py.File(written.path, "a") as file:
        del file["decoder/dense_3/bias:0"]
    refused(written.path, words=("'dense_3/bias:0'", "missing", "damaged"))
    with h5py.File(written.path, "a") as file:
        del file["decoder"]
    refused(written.path, words=("'decoder'", "missing"))


def test_layers_that_no_architecture_has(written: SimpleNamespace) -> None:
    with h5py.File(written.path, "a") as file:
        names = [*file["encoder"].attrs["weight_names"], b"batch_normalization/gamma:0"]
        file["encoder"].attrs["weight_names"] = np.array(names)
        file["encoder"].create_dataset("batch_normalization/gamma:0", data=np.ones(8, np.float32))
    refused(written.path, words=("batch_normalization", "gamma", "kernel and bias"))


def test_values_that_are_no_real_numbers(written: SimpleNamespace) -> None:
    with h5py.File(written.path, "a") as file:
        del file["encoder/conv2d_7/bias:0"]
        file["encoder"].create_dataset("conv2d_7/bias:0", data=np.arange(8))
    refused(written.path, words=("encoder/conv2d_7", "int64", "real numbers"))


def test_arrays_in_other_files_are_not_read(written: SimpleNamespace, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.hdf5", "w") as file:
        file.create_dataset("secret", data=np.zeros(8, np.float32))
    with h5py.File(written.path, "a") as file:
        del file["encoder/conv2d_7/bias:0"]
        file["encoder/conv2d_7/bias:0"] = h5py.ExternalLink(str(tmp_path / "other.hdf5"), "/secret")
    refused(written.path, words=("another file", "not read"))


# --- networks that others trained

CHECKPOINTS = (
    # file, design, EMD that the project's notes give for the sample of 2020 and for generated wafers, each in
    # float and with formats
    ("8x8_c8_S2_tele_fqK_6bit", "medium", (1.067, 1.069), (1.074, 1.077)),
    ("run3-row27-small-econ", "small", (1.506, 1.504), (1.535, 1.532)),
    ("run5-row21-big-econ", "large", (0.805, 0.814), (0.768, 0.775)),
)


@pytest.fixture(scope="module")
def real(reference_data: Path) -> Wafers:
    return task.load(reference_data / "data" / "hgcal" / "pileup_like.csv.gz")


@pytest.fixture(scope="module")
def generated() -> Wafers:
    return task.generate(5_000, seed=0)


@pytest.mark.parametrize(
    ("name", "design", "of_real", "of_generated"), CHECKPOINTS, ids=lambda given: str(given)
)
def test_published_networks_score_what_they_scored(
    reference_data: Path,
    real: Wafers,
    generated: Wafers,
    name: str,
    design: str,
    of_real: tuple[float, float],
    of_generated: tuple[float, float],
) -> None:
    path = reference_data / "golden" / "checkpoints" / f"{name}.hdf5"
    candidate = econt_qkeras.SPACE.candidate(econt_qkeras.DESIGNS[design])
    floating = {name: candidate[name] for name in candidate.values if name in econt_float.SPACE.names}
    networks = (
        econt_float.build(econt_float.SPACE.candidate(floating)),
        econt_qkeras.build(candidate),
    )
    for network, on_real, on_generated in zip(networks, of_real, of_generated, strict=True):
        fitted = load_keras(network, path).network
        # The file at hand holds half of the rows that the figures are of: 0.01 is two errors of the mean.
        assert task.score(fitted, real)["emd"].mean == pytest.approx(on_real, abs=0.01)
        assert task.score(fitted, generated)["emd"].mean == pytest.approx(on_generated, abs=0.06)
