"""A bundle is whole or not there."""

import json
from pathlib import Path

import numpy as np
import pytest

from codesign.errors import ConfigError, DifferenceError, NetworkError, OutputError
from codesign.export import TARGETS, exporter, qonnx
from codesign.export.bundle import bundle, load_network, other_options, probes, vectors
from codesign.export.onnx import export
from codesign.hardware import Device
from tests.export.designs import DESIGNS

NETWORK = DESIGNS["latent alone"]


def test_holds_vectors_network_and_provenance(tmp_path: Path) -> None:
    inputs = probes(NETWORK, 300)
    folder = export(NETWORK, tmp_path / "out", inputs=inputs, origin={"candidate": "abc"})
    codes, expected = (np.load(folder / "vectors" / f"{name}.npy") for name in ("inputs", "expected"))
    assert NETWORK.input_format is not None
    np.testing.assert_array_equal(codes, NETWORK.input_format.quantise(inputs))
    np.testing.assert_array_equal(expected, NETWORK.codes(inputs))
    text = np.loadtxt(folder / "vectors" / "inputs.txt", dtype=int)
    np.testing.assert_array_equal(text, codes[:256].reshape(256, -1))
    assert load_network(folder) == NETWORK
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance["origin"] == {"candidate": "abc"}
    assert provenance["network"] == NETWORK.digest
    assert provenance["device"]["clock_mhz"] == 40.0
    assert provenance["checks"] == [
        {"check": "encoder.onnx in onnxruntime", "vectors": 300, "values": 4800, "differ": 0}
    ]
    assert {"codesign", "onnxruntime"} <= set(provenance["versions"])


def broken(folder: Path, *, stop: bool) -> None:
    with bundle(NETWORK, folder, "onnx", Device(), None, None) as made:
        made.write("half", "of it")
        if stop:
            raise KeyboardInterrupt
        wrong = made.expected.copy()
        wrong[3, 2] += 1
        made.check("a form", wrong)


def test_a_difference_is_named_and_nothing_stays(tmp_path: Path) -> None:
    with pytest.raises(
        DifferenceError, match=r"computes 1 of 4096 outputs.*vector 3, output \(2,\)"
    ) as found:
        broken(tmp_path / "out", stop=False)
    assert (found.value.computed != NETWORK.codes(probes(NETWORK))).sum() == 1
    assert not list(tmp_path.iterdir())


def test_a_stop_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        broken(tmp_path / "a" / "b" / "out", stop=True)
    assert not list(tmp_path.iterdir())
    (tmp_path / "a").mkdir()
    with pytest.raises(KeyboardInterrupt):
        broken(tmp_path / "a" / "b" / "out", stop=True)
    assert [path.name for path in tmp_path.rglob("*")] == ["a"]


def test_what_an_export_differs_in_from_one_that_is_there(tmp_path: Path) -> None:
    inputs = vectors(NETWORK, probes(NETWORK, 40))
    folder = export(NETWORK, tmp_path / "out", inputs=inputs)
    assert other_options(folder, "onnx", NETWORK, Device(), inputs) == []
    assert other_options(folder, "onnx", NETWORK, Device(), np.repeat(inputs, 2, axis=0)) == []
    other = DESIGNS["dense only"]
    assert other_options(
        folder, "onnx", other, Device(clock_mhz=80.0), probes(other, 10), {"backends": ["a"]}
    ) == [
        "clock_mhz 40.0 there, 80.0 now",
        "backends None there, ['a'] now",
        "another design, weights or folding there",
        "other vectors there (296)",
    ]
    (folder / "README.md").unlink()
    assert other_options(folder, "onnx", NETWORK, Device(), inputs) == ["without README.md"]
    assert other_options(folder, "qonnx", NETWORK, Device(), inputs) is None
    assert other_options(tmp_path, "onnx", NETWORK, Device(), inputs) is None


def test_a_folder_of_something_else_is_refused_and_an_earlier_export_replaced(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"is no earlier export"):
        export(NETWORK, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    folder = export(NETWORK, tmp_path / "out")
    (folder / "build").mkdir()
    (folder / "build" / "compiled").write_text("")
    export(DESIGNS["dense only"], folder)
    assert load_network(folder) == DESIGNS["dense only"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "out"]


def test_what_a_user_put_into_an_export_is_not_lost(tmp_path: Path) -> None:
    folder = export(NETWORK, tmp_path / "out")
    (folder / "prj").mkdir()
    (folder / "prj" / "x.bit").write_text("hours")
    with pytest.raises(OutputError, match=r"holds 1 file that the export did not write \(prj/x.bit\)"):
        export(NETWORK, folder)
    with pytest.raises(OutputError, match="holds an export to onnx, and this one is to qonnx"):
        qonnx.export(NETWORK, folder)
    assert (folder / "prj" / "x.bit").read_text() == "hours"


def test_what_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file.* is no earlier export"):
        export(NETWORK, tmp_path / "file")
    with pytest.raises(OutputError, match=r"cannot write .*file.out"):
        export(NETWORK, tmp_path / "file" / "out")
    with pytest.raises(NetworkError, match="no weights yet"):
        export(NETWORK.with_weights({}), tmp_path / "out")
    with pytest.raises(ConfigError, match="to one of onnx, qonnx, finn, hls4ml, rtl; got 'keras'"):
        exporter("keras")
    assert list(TARGETS) == ["onnx", "qonnx", "finn", "hls4ml", "rtl"]
