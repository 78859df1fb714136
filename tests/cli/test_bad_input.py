"""Bad input: exit code 2, a message that says what was given and what to do, no traceback, nothing lost."""

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from codesign.network import Dense, Flatten, Network
from search_spaces.econt import BASELINE, SPACE

Call = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[2]
HEADER = ",".join(f"CALQ_{i}" for i in range(48))


def refused(result: Any, *words: str) -> None:
    """Exit code 2, no output, one message with these words."""
    assert result.code == 2, result.err
    assert result.out == ""
    assert "Traceback" not in result.err
    assert "internal error" not in result.err
    assert len(re.findall(r"^error: ", result.err, re.IGNORECASE | re.MULTILINE)) == 1
    for word in words:
        assert word in result.err


def contents(folder: Path) -> dict[str, bytes]:
    """Everything in a folder; what SQLite keeps beside for readers left out."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    }


@pytest.fixture
def run(small: SimpleNamespace, codesign: Call, tmp_path: Path) -> Call:
    """Run a small study that must be refused and leave nothing."""

    def refusing(*arguments: object, words: tuple[str, ...]) -> None:
        before = contents(tmp_path)
        out = tmp_path / "never"
        refused(codesign("run", *small.options, "--trials", 1, "--out", out, *arguments), *words)
        assert not out.exists()
        assert contents(tmp_path) == before

    return refusing


# --- a task of one's own

TRAINING = "numpy.eye(4)[self.labels]"
TASK = f"""
import numpy

class Own(TinyTask):
    first = 1

    @classmethod
    def from_options(cls, path: str | None = None):
        cls.labels = numpy.load(path) if path else None
        return cls() if path else [0][cls.first]

    @property
    def training(self):
        return {TRAINING}
"""


@pytest.fixture
def own(tmp_path: Path) -> list[object]:
    """Options of a run with a space and a task in a file."""
    file = tmp_path / "mine.py"
    file.write_text((ROOT / "tests" / "tiny.py").read_text() + TASK)
    return ["--space", file, "--task", f"{file}:Own", "--objective", "error", "--objective", "area_um2"]


def test_errors_of_a_users_own_task_are_said_with_their_place(
    own: list[object], codesign: Call, tmp_path: Path
) -> None:
    lines = (tmp_path / "mine.py").read_text().splitlines()
    made, used = (
        lines.index(f"        return {text}") + 1 for text in ("cls() if path else [0][cls.first]", TRAINING)
    )
    options = ("run", *own, "--workers", 1, "--out", tmp_path / "out")
    words = f"mine.py:Own' raised IndexError: list index out of range at mine.py:{made}, in from_options; "
    refused(codesign(*options), words)
    np.save(tmp_path / "labels.npy", np.array([1, 4]))
    words = "task 'tiny' raised IndexError: index 4 is out of bounds for axis 0 with size 4 at mine.py:"
    labels = ("--data", tmp_path / "labels.npy")
    refused(codesign(*options, *labels), f"{words}{used}, in training; mend it")
    refused(codesign(*options, *labels, "--dry-run"), f"{words}{used}, in training; mend it")
    assert not (tmp_path / "out").exists()


def test_data_that_are_not_there(own: list[object], codesign: Call, tmp_path: Path) -> None:
    missing = tmp_path / "missing.npy"
    refused(codesign("run", *own, "--data", missing), f"there is no file {missing}; give one that is there")


def test_a_file_that_is_not_there(codesign: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codesign.cli.doctor.examine", lambda: Path("/nowhere").read_text())
    refused(codesign("doctor"), "there is no file or folder /nowhere; see that its name is right")


def test_inputs_outside_the_input_format(codesign: Call, own: list[object], tmp_path: Path) -> None:
    file, labels = tmp_path / "mine.py", tmp_path / "labels.npy"
    np.save(labels, np.zeros(2))
    nine = "(lambda s: Samples(9 * s.inputs, s.targets, s.output_index))(super().training)"
    file.write_text(file.read_text().replace(TRAINING, nine))
    options = ("--data", labels, "--trials", 1, "--steps", 1, "--workers", 1, "--out", tmp_path / "out")
    result = codesign("run", *own, *options)
    assert result.code == 0
    assert re.search(
        r"^note: 80% of the training inputs.* lie outside 0 to 1.96875 ", result.err, re.MULTILINE
    )


def test_a_study_whose_designs_all_fail_goes_on_once_its_task_is_mended(
    codesign: Call, own: list[object], tmp_path: Path
) -> None:
    file, labels, out = tmp_path / "mine.py", tmp_path / "labels.npy", tmp_path / "my study"
    np.save(labels, np.zeros(2))
    good = file.read_text().replace(f"return {TRAINING}", "return super().training")
    file.write_text(good + '    def score(self, network):\n        return {}["error"]\n')
    options = ("--data", labels, "--trials", 2, "--steps", 1, "--workers", 1, "--out", out)
    result = codesign("run", *own, *options)
    assert result.code == 2
    assert re.search(
        r"error: .* has no front: .*; the last that failed: ConfigError: task 'tiny' raised KeyError: "
        rf"'error' at mine.py:\d+, in score; .*; once that is mended, `codesign resume '{out}'` "
        r"trains again$",
        result.err,
        re.MULTILINE,
    )
    file.write_text(good)
    assert codesign("resume", out).code == 0
    assert json.loads(codesign("status", out, "--json").out)["by_status"] == {"ok": 2}


# --- study files and options


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('space = "econt"\ntrails = 3', ("unknown key 'trails'", "known are space, task, out", "trials")),
        ('space = "econt"\n[recipe]\nstep = 3', ("unknown key 'recipe.step'", "steps")),
        ('space = "econt"\n[data]\nwafer = 3', ("unknown key 'wafer'", "wafers")),
        ('space = "econt"\n[data]\nwafers = "x"', ("wafers", "valid integer", "'x'")),
        ('space = "econt"\ntrials = "three"', ("trials", "valid integer", "'three'")),
        ('space = "econt"\nlimits = "operations"', ("limits", "valid list")),
        ('space = "econt"\nexport = ["verilog"]', ("export.0", "'onnx'", "'verilog'")),
        ('space = "econt"\nseed = -1', ("seed", "greater than or equal to 0", "-1")),
        ("trials = 3", ("'space' is missing",)),
        ('space = "econt\n', ("is not TOML", "line 1")),
        ("\udcff", ("is not TOML",)),
    ],
)
def test_study_files(text: str, words: tuple[str, ...], codesign: Call, tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_bytes(text.encode(errors="surrogateescape"))
    refused(codesign("run", file, "--out", tmp_path / "never"), *words)
    assert list(tmp_path.iterdir()) == [file]


def test_a_study_file_that_is_not_there(codesign: Call, tmp_path: Path) -> None:
    refused(codesign("run", tmp_path / "absent.toml"), "cannot read the study file", "absent.toml")
    refused(codesign("run", tmp_path), "cannot read the study file", "directory")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--trials", 0], ("trials", "greater than or equal to 1", "got 0")),
        (["--trials", "many"], ("--trials", "'many' is not a valid integer")),
        (["--steps", 0], ("steps", "greater than or equal to 1", "got 0")),
        (["--seed", -1], ("seed", "greater than or equal to 0", "got -1")),
        (["--seed", 2**63], ("seed", "less than")),
        (["--workers", 0], ("workers", "greater than or equal to 1", "got 0")),
        (["--wafers", 0], ("at least 1 wafer", "got 0")),
        (["--wafers", 1], ("at least 2 wafers", "got 1")),
        (["--optimiser", "nope"], ("one of qnehvi, ", "'nope'")),
        (["--space", "nope"], ("'nope'", "econt, ", "econt-float")),
        (["--task", "nope"], ("'nope'", "there are econt")),
        (["--technology", "nope"], ("'nope'", "asic-45nm, asic-65nm")),
        (["--clock-mhz", 0], ("clock_mhz", "greater than 0")),
        (["--clock-mhz", -1], ("clock_mhz", "greater than 0", "-1")),
        (["--clock-mhz", "nan"], ("clock_mhz", "greater than 0")),
        (["--recipe", "slow"], ("'slow'", "'quick', 'study'")),
        (["--objective", "emd"], ("at least two objectives", "got emd")),
        (["--objective", "emd", "--objective", "beauty"], ("'beauty'", "telescoping_loss", "area_um2")),
        (["--objective", "emd<=", "--objective", "area_um2"], ("'emd<='", "'name<=number'")),
        (["--objective", "area_um2>=3", "--objective", "emd"], ("'area_um2>=3'", "<=")),
        (["--limit", "emd<=3"], ("'emd<=3.0'", "operations, macs")),
        (["--limit", "operations"], ("a limit bounds one of", "got 'operations'")),
        (["--limit", "operations<=10"], ("no design keeps", "best possible 112", "Raise a budget")),
        (["--data", "some.csv"], ("--data", "--wafers", "one of the two")),
        (["--nonsense"], ("--nonsense",)),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_options_of_run(options: list[Any], words: tuple[str, ...], run: Call) -> None:
    run(*options, words=words)


def test_a_budget_that_no_design_meets_is_found_in_a_dry_run(codesign: Call) -> None:
    refused(codesign("run", "--dry-run", "--limit", "area_um2<=1"), "budget 1, best possible", "input_bits=")


# --- data


def csv(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize("verb", ["run", "score", "data check"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ("the file is empty", "CALQ_0 to CALQ_47")),
        (f"{HEADER}\n", ("a header and no rows",)),
        (f"{HEADER}\n{'1,' * 47}two\n", ("line 2", "CALQ_47", "'two'", "not a number")),
        (f"{'1,' * 46}1\n", ("47 columns", "48")),
        (f"{HEADER}\n{'1,' * 47}-2\n", ("line 2", "CALQ_47", "'-2'", "negative")),
        (None, ("cannot be read", "No such file")),
    ],
    ids=["empty", "no rows", "non-numeric", "47 columns", "negative", "absent"],
)
def test_data(
    verb: str,
    text: str | None,
    words: tuple[str, ...],
    made: SimpleNamespace,
    digest: str,
    codesign: Call,
    tmp_path: Path,
) -> None:
    path = tmp_path / "wafers.csv" if text is None else csv(tmp_path / "wafers.csv", text)
    options = {
        "run": ["--trials", 1, "--steps", 1, "--out", tmp_path / "never"],
        "score": [made.folder / "networks" / f"{digest}.json"],
        "data check": [],
    }[verb]
    refused(codesign(*verb.split(), *options, "--data", path), "wafers.csv", *words)
    assert not (tmp_path / "never").exists()


def test_generated_data_cannot_be_written(codesign: Call, tmp_path: Path) -> None:
    plain = csv(tmp_path / "plain", "")
    generate = ["data", "generate", "--wafers", 5, "--out"]
    refused(codesign(*generate, plain / "x.csv"), "cannot write", "choose a folder")
    refused(codesign(*generate, tmp_path), "cannot write")
    refused(codesign("data", "generate", "--out", tmp_path / "x.csv", "--wafers", 0), "at least 1 wafer")
    assert list(tmp_path.iterdir()) == [plain]


# --- spaces of a user's own

OWN = """
from codesign.space import Limit, Repeat, SearchSpace, ordinal
{imports}
def build(candidate):
    {body}
SPACE = SearchSpace("own", ({items},))
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1", ("has no SPACE", "define one")),
        ("raise RuntimeError('boom')", ("cannot load", "RuntimeError: boom (at ", ".py:1, in <module>)")),
        ("raise SystemExit(3)", ("cannot load", "SystemExit")),
        ("def (", ("cannot load", "SyntaxError")),
        (
            OWN.format(
                imports="few = Limit(reason='too many', contribution=lambda layer: 5, at_most=1)",
                body="return None",
                items="Repeat('layers', (ordinal('units', (2, 4)),), 1, 2, limits=(few,))",
            ),
            ("'own' has no valid point", "too many"),
        ),
        (
            OWN.format(imports="", body="return candidate['nothing']", items="ordinal('units', (2, 4))"),
            (
                "cannot be built and priced: {'units': ",
                "KeyError: 'nothing' (at ",
                ", in build)",
                "check_search_space",
            ),
        ),
        (
            OWN.format(imports="", body="...", items="ordinal('weight_bits', (2, 4))"),
            ("weight_bits", "named like a cost", "rename"),
        ),
        (None, ("there is no file",)),
    ],
    ids=["no SPACE", "raises", "exits", "syntax", "no valid point", "build", "name taken", "absent"],
)
def test_space_files(text: str | None, words: tuple[str, ...], run: Call, tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    if text is not None:
        path.write_text(text)
    run("--space", path, words=words)


# --- study folders


def test_run_refuses_a_folder_that_holds_a_study(made: SimpleNamespace, codesign: Call) -> None:
    before = contents(made.folder)
    refused(codesign("run", "--out", made.folder), "already holds a study", f"codesign resume {made.folder}")
    assert contents(made.folder) == before


@pytest.mark.parametrize("verb", ["resume", "status", "front", "show", "estimate", "export", "verify"])
def test_a_folder_without_a_study(verb: str, codesign: Call, tmp_path: Path) -> None:
    rest = {"show": ["14"], "estimate": ["14"], "export": ["14", "--to", "onnx"], "verify": ["14"]}.get(
        verb, []
    )
    refused(codesign(verb, tmp_path, *rest), "holds no study", "codesign run")
    if verb != "estimate":
        refused(codesign(verb, tmp_path / "absent", *rest), "holds no study")
    assert list(tmp_path.iterdir()) == []


def edit(folder: Path, statement: str, *values: str) -> None:
    connection = sqlite3.connect(folder / "study.sqlite")
    with connection:
        assert connection.execute(statement, values).rowcount == 1
    connection.close()


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("version", '"9.9.9"', ("another version", '"9.9.9"', "start a new study")),
        ("space", '{"name": "econt", "fingerprint": "0"}', ("another space", "start a new study")),
    ],
)
def test_resume_of_what_another_version_or_space_made(
    key: str, value: str, words: tuple[str, ...], copy: Path, codesign: Call
) -> None:
    edit(copy, "UPDATE meta SET value = ? WHERE key = ?", value, key)
    refused(codesign("resume", copy, "--trials", 6), *words)
    assert json.loads(codesign("status", copy, "--json").out)["proposed"] == 4


def test_a_study_folder_of_another_form(copy: Path, codesign: Call) -> None:
    edit(copy, "UPDATE meta SET value = ? WHERE key = ?", "99", "schema")
    for verb in ("resume", "status", "front"):
        refused(codesign(verb, copy), "form 99", "use the version that wrote it")


def test_a_damaged_study(copy: Path, codesign: Call) -> None:
    edit(copy, "UPDATE evaluations SET record = ? WHERE number = 1", "{")
    refused(codesign("front", copy), "damaged")
    (copy / "study.sqlite").write_bytes(b"nonsense" * 1000)
    refused(codesign("front", copy), "is no study of codesign or is damaged")


def test_resume_wants_some_designs(made: SimpleNamespace, codesign: Call) -> None:
    refused(codesign("resume", made.folder, "--trials", 0), "--trials", "x>=1")
    refused(codesign("resume", made.folder, "--trials", -5), "--trials", "x>=1")


@pytest.mark.parametrize("verb", ["show", "estimate", "export", "verify"])
@pytest.mark.parametrize(
    ("given", "words"), [("zz", ("no finished design 'zz'", "codesign status")), ("", ())]
)
def test_digests(
    verb: str, given: str, words: tuple[str, ...], made: SimpleNamespace, codesign: Call
) -> None:
    rest = ["--to", "onnx"] if verb == "export" else []
    refused(codesign(verb, made.folder, given, *rest), *words)


def test_an_ambiguous_digest(copy: Path, digest: str, codesign: Call) -> None:
    samples = SPACE.sample(500, np.random.default_rng(0))
    twin = next(one for one in samples if one.digest[0] == digest[0] and one.digest[1] != digest[1])
    values = json.dumps(dict(twin.values))
    edit(
        copy,
        "UPDATE evaluations SET record = json_set(record, '$.candidate', json(?)) WHERE number = 1",
        values,
    )
    refused(codesign("show", copy, digest[0]), "give more of it", digest, twin.digest)
    assert codesign("show", copy, digest[:2]).code == 0


# --- files of candidates and networks


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", ("is not JSON",)),
        ("[1, 2]", ("a candidate maps parameter names to values", "list")),
        ('"x"', ("a candidate maps parameter names to values", "str")),
        ('{"filter_1": 8}', ("'econt' has no parameter filter_1", "filters_1")),
        ('{"filters_1": 7}', ("filters_1 takes 2, 4, 8, 16, 32, 64", "got 7")),
        ('{"candidate": 3}', ("a candidate maps parameter names to values", "int")),
        ('{"codesign_network": 1}', ("damaged",)),
        ('{"codesign_network": 9}', ("not a network of version 1",)),
    ],
)
def test_candidate_files(text: str, words: tuple[str, ...], codesign: Call, tmp_path: Path) -> None:
    path = csv(tmp_path / "candidate.json", text)
    refused(codesign("estimate", path, "--space", "econt"), "candidate.json", *words)


def test_estimate(made: SimpleNamespace, digest: str, codesign: Call, tmp_path: Path) -> None:
    file = csv(tmp_path / "candidate.json", "{}")
    refused(codesign("estimate", tmp_path / "absent.json"), "cannot read", "absent.json")
    refused(codesign("estimate", file, "14"), "no folder of a study", "'14'")
    refused(codesign("estimate", file, "--space", "nope"), "'nope'", "econt, ", "econt-float")
    refused(codesign("estimate", file, "--model", "nope"), "'nope'", "there are asic")
    refused(codesign("estimate", file, "--technology", "nope"), "asic-45nm, asic-65nm")
    refused(codesign("estimate", file, "--technology", ""), "asic-45nm, asic-65nm")
    refused(codesign("estimate", file, "--clock-mhz", 0), "clock_mhz must be above 0, got 0")
    refused(codesign("estimate", made.folder), "say which design")
    refused(
        codesign("estimate", made.folder, digest, "--part", "xc7a35t"), "--part names an FPGA", "asic-65nm"
    )


def test_inputs_of_an_estimate(made: SimpleNamespace, digest: str, codesign: Call, tmp_path: Path) -> None:
    """What cannot count changes is refused before a figure is printed."""
    fitted = made.folder / "networks" / f"{digest}.json"
    inputs = np.load(made.folder / "inputs.npy")
    for array, words in (
        (inputs[:, :2], ("give numbers of the shape (n, 8, 8, 1), got float32 (400, 2, 8, 1)",)),
        (np.full_like(inputs, np.nan), ("not finite",)),
        (np.array(["a"]), ("give numbers",)),
        (inputs[:1], ("give 2 inputs or more, got 1",)),
    ):
        np.save(tmp_path / "x.npy", array)
        refused(codesign("estimate", fitted, "--inputs", tmp_path / "x.npy"), *words)
    (tmp_path / "y.npy").write_bytes(b"")
    refused(codesign("estimate", fitted, "--inputs", tmp_path / "y.npy"), "y.npy", "numpy.save")
    refused(codesign("estimate", fitted, "--inputs", tmp_path / "absent.npy"), "absent.npy")
    np.save(tmp_path / "x.npy", inputs)
    candidate = csv(tmp_path / "candidate.json", json.dumps({"candidate": BASELINE}))
    refused(codesign("estimate", candidate, "--inputs", tmp_path / "x.npy"), "this network has none")
    streaming = ("--model", "fpga-streaming", "--technology", "xc7", "--inputs", tmp_path / "x.npy")
    refused(codesign("estimate", fitted, *streaming), "counts nothing that inputs change")


def test_networks(made: SimpleNamespace, digest: str, codesign: Call, tmp_path: Path) -> None:
    whole = json.loads((made.folder / "networks" / f"{digest}.json").read_text())
    damaged = {**whole, "layers": [*whole["layers"][:-1], {"kind": "nonsense"}]}
    other = {**whole, "input_shape": [4, 4, 1]}
    unfitted = {**whole, "weights": {}}
    for data, words in (
        ({}, ("network.json", "not a network of version 1")),
        (damaged, ("network.json",)),
        (other, ()),
        (unfitted, ("weights",)),
    ):
        file = csv(tmp_path / "network.json", json.dumps(data))
        refused(codesign("score", file, "--wafers", 10), *words)
    refused(codesign("score", tmp_path / "absent.json"), "cannot read the network")
    refused(codesign("score", csv(tmp_path / "network.json", "{")), "network.json is not JSON")


def test_a_network_of_another_form(codesign: Call, tmp_path: Path) -> None:
    network = Network((2, 2, 1), (Flatten("flatten"), Dense("out", 3)))
    fitted = network.with_weights({"out.weight": np.zeros((4, 3)), "out.bias": np.zeros(3)})
    path = csv(tmp_path / "network.json", json.dumps(fitted.to_dict()))
    refused(codesign("score", path, "--wafers", 10), "(8, 8, 1)", "(2, 2, 1)")


# --- where nothing can be written


@pytest.mark.parametrize("place", ["plain/x", "plain", "/proc/x/y", "/dev/null/x"])
def test_folders_that_cannot_be_written(
    place: str, small: SimpleNamespace, codesign: Call, tmp_path: Path
) -> None:
    csv(tmp_path / "plain", "kept")
    result = codesign("run", *small.options, "--trials", 1, "--out", tmp_path / place)
    refused(result, "cannot write", "choose a folder that can be written")
    assert contents(tmp_path) == {"plain": b"kept"}


def test_export_to_what_cannot_be_written(
    made: SimpleNamespace, digest: str, codesign: Call, tmp_path: Path
) -> None:
    csv(tmp_path / "plain", "kept")
    words = ("export", made.folder, digest, "--to", "onnx")
    refused(codesign(*words, "--out", tmp_path / "plain"), "no earlier export", "choose another folder")
    refused(codesign(*words, "--out", tmp_path / "plain/x"), "cannot write", "that can be written")
    refused(codesign(*words[:-1], "verilog"), "'verilog' is not one of 'onnx', 'qonnx'")
    refused(codesign(*words, "--backend", "vitis"), "--backend is a choice of --to hls4ml")
    refused(codesign(*words, "--all-front"), "DIGEST with or without --out, or --all-front alone")
    refused(codesign("export", made.folder, "--to", "onnx"), "say which design")
    refused(codesign(*words, "--part", "../up"), "part is a name")
    refused(codesign(*words, "--interval", 3), "'conv_1' needs 16 cycles")
    refused(codesign("verify", made.folder, digest, "--form", "keras"), "forms are float, module, onnx")
    assert contents(tmp_path) == {"plain": b"kept"}


@pytest.mark.parametrize("value", ["emd", "emd=x", "emd=nan", "area_um2=5", "=1"])
def test_reference_with_a_value_that_says_nothing(value: str, copy: Path, codesign: Call) -> None:
    network = next((copy / "networks").glob("*.json"))
    before = contents(copy)["study.sqlite"]
    refused(codesign("reference", copy, network, "--value", value), "--value", repr(value))
    assert contents(copy)["study.sqlite"] == before


@pytest.mark.parametrize("content", [b"", b"not onnx", b"\x08\x07"])
def test_estimate_of_what_is_no_qonnx(content: bytes, tmp_path: Path, codesign: Call) -> None:
    (tmp_path / "x.onnx").write_bytes(content)
    refused(codesign("estimate", tmp_path / "x.onnx"), "x.onnx")
    refused(codesign("estimate", tmp_path / "absent.onnx"), "absent.onnx")


def test_the_number_of_a_design_is_not_taken_for_its_digest(
    made: SimpleNamespace, digest: str, codesign: Call
) -> None:
    for verb, rest in (("export", ["--to", "onnx"]), ("show", []), ("verify", [])):
        refused(codesign(verb, made.folder, "0", *rest), "'0' is a number", f"design 0 is {digest}")


def limited(kilobytes: int, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run with no room for files above a size, as on a full disk."""
    words = [sys.executable, "-m", "codesign.cli", *map(str, arguments)]
    shell = ["bash", "-c", f'ulimit -f {kilobytes}; exec "$@"', "bash", *words]
    return subprocess.run(shell, capture_output=True, text=True, cwd=ROOT, check=False)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_a_full_disk_loses_nothing(tmp_path: Path, small: SimpleNamespace, codesign: Call) -> None:
    folder = tmp_path / "study"
    done = limited(64, "run", *small.options, *small.limit, "--trials", 2, "--out", folder)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    error = done.stderr.splitlines()[-1]
    assert error.startswith("error: no room to write")
    assert "free some space" in error
    assert not [path.name for path in folder.rglob(".*") if path.name != ".lock"]
    result = codesign("resume", folder, "--json")
    assert result.code == 0, result.err
    status = json.loads(codesign("status", folder, "--json").out)
    assert status["by_status"] == {"ok": 2}


def test_a_full_disk_leaves_no_half_file(tmp_path: Path) -> None:
    done = limited(4, "data", "generate", "--wafers", 1000, "--out", tmp_path / "wafers.csv")
    assert done.returncode == 2
    assert done.stderr.startswith("error: no room to write")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written(made: SimpleNamespace) -> None:
    command = [sys.executable, "-m", "codesign.cli", "status", str(made.folder)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: cannot read or write")
    assert "Traceback" not in done.stderr


def test_no_command_or_an_unknown_one(codesign: Call) -> None:
    refused(codesign("nonsense"), "No such command 'nonsense'")
    refused(codesign("show"), "Missing argument 'FOLDER'")
    assert codesign().code == 2
