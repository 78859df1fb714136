import errno
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codesign.errors import CodesignError, OutputError, StoreError
from codesign.evaluation import Evaluation
from codesign.files import write_file
from codesign.fixedpoint import FixedPoint
from codesign.hardware import Resources, SynthesisReport, Target
from codesign.metrics import Summary
from codesign.network import Dense, Network
from codesign.space import Candidate
from codesign.store import SCHEMA_VERSION, Store, Synthesis

WEIGHT = FixedPoint(0, 3)
NETWORK = Network(
    (2,),
    (Dense("dense", 3, weight=WEIGHT, bias=WEIGHT),),
    FixedPoint(1, 3, signed=False),
    weights={"dense.weight": np.arange(-3, 3).reshape(2, 3), "dense.bias": np.array([1, 0, -8])},
)


def candidate(number: int) -> Candidate:
    return Candidate({"bits": number, "rate": 0.5, "kind": "a", "pooling": True})


def ended(number: int, reason: str = "") -> Evaluation:
    metrics = {"emd": Summary(1.5, 0.5, 0.1, 25)}
    return Evaluation(number, candidate(number), "random", "ok", reason, metrics, {"area_um2": 3.5})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A closed study of two finished designs and one under way."""
    with Store.create(tmp_path / "study", {"name": "first"}) as store:
        fill(store, 2)
        store.propose(2, candidate(2), "qnehvi")
    return tmp_path / "study"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.txt"


def fill(store: Store, count: int) -> None:
    for number in range(count):
        store.propose(number, candidate(number), "random")
        store.finish(ended(number))


def finished(folder: Path) -> list[int]:
    with Store.read(folder) as store:
        return [evaluation.number for evaluation in store.evaluations()]


def names(folder: Path) -> set[str]:
    """Files of a study but for the lock and what SQLite keeps beside the database."""
    return {path.name for path in folder.iterdir()} - {".lock", "study.sqlite-wal", "study.sqlite-shm"}


def error_of(action: Callable[[], Any], kind: type[CodesignError] = StoreError) -> str:
    with pytest.raises(kind) as raised:
        action()
    return str(raised.value)


def run_python(program: str, *arguments: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_what_was_written_is_read(folder: Path) -> None:
    with Store.read(folder) as store:
        assert store.meta() == {"name": "first", "schema": SCHEMA_VERSION}
        assert store.proposals() == [
            (0, candidate(0), "random", ended(0)),
            (1, candidate(1), "random", ended(1)),
            (2, candidate(2), "qnehvi", None),
        ]
        assert store.evaluations() == [ended(0), ended(1)]
    assert names(folder) == {"study.sqlite"}


def test_an_opened_study_goes_on(folder: Path) -> None:
    with Store.open(folder) as store:
        store.finish(ended(2))
        store.set_meta("name", {"second": [1, None]})
    with Store.read(folder) as store:
        assert store.meta()["name"] == {"second": [1, None]}
    assert finished(folder) == [0, 1, 2]


def test_proposals_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    with Store.create(tmp_path, {}) as store:
        for number in (2, 0, 1):
            store.propose(number, candidate(number), "random")
        store.finish(ended(1))
        assert [number for number, *_ in store.proposals()] == [0, 1, 2]


def test_readers_see_what_is_finished_while_a_writer_is_at_it(tmp_path: Path) -> None:
    with Store.create(tmp_path, {}) as writer, Store.read(tmp_path) as reader:
        for number in range(3):
            writer.propose(number, candidate(number), "random")
            assert reader.proposals()[number][3] is None
            writer.finish(ended(number))
            assert reader.evaluations() == [ended(index) for index in range(number + 1)]
            assert len(finished(tmp_path)) == number + 1


def test_a_reader_cannot_write(folder: Path) -> None:
    with Store.read(folder) as store:
        message = error_of(lambda: store.finish(ended(2)), OutputError)
    assert message.startswith(f"cannot write {folder / 'study.sqlite'}: attempt to write a readonly database")


def test_a_second_process_is_refused_until_the_first_has_closed(folder: Path) -> None:
    expected = f"{folder} is being written by another codesign process; wait for it or stop it"
    with Store.open(folder):
        program = "import sys; from codesign.store import Store; Store.open(sys.argv[1])"
        assert expected in run_python(program, folder).stderr
    Store.open(folder).close()


def test_opening_again_in_one_process_closes_what_was_open(folder: Path) -> None:
    first = Store.open(folder)
    with Store.open(folder) as second:
        assert len(second.evaluations()) == 2
        assert error_of(first.evaluations).startswith(f"the study in {folder} was closed")
        first.close()
        program = "import sys; from codesign.store import Store; Store.open(sys.argv[1])"
        assert "is being written by another" in run_python(program, folder).stderr


def test_a_study_is_not_made_over_another(folder: Path, tmp_path: Path) -> None:
    message = error_of(lambda: Store.create(folder, {}))
    assert message.startswith(f"{folder} already holds a study; `codesign resume {folder}` goes on with it")
    assert finished(folder) == [0, 1]
    with Store.create(tmp_path / "new", {}):
        assert "already holds a study" in error_of(lambda: Store.create(tmp_path / "new", {}))


def test_of_two_that_make_a_study_at_once_the_second_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one ends between the second one's look at the folder and its lock."""
    import codesign.store as module

    lock = module._locked

    def slow(folder: Path) -> Any:
        monkeypatch.undo()
        with Store.create(folder, {}) as first:
            fill(first, 1)
        return lock(folder)

    monkeypatch.setattr(module, "_locked", slow)
    assert "already holds a study" in error_of(lambda: Store.create(tmp_path, {}))
    assert finished(tmp_path) == [0]
    Store.open(tmp_path).close()


def test_a_study_that_could_not_be_made_leaves_nothing_and_lets_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("codesign.store._TABLES", "CREATE TABLE meta (key, value); nonsense")
        assert "nonsense" in error_of(lambda: Store.create(tmp_path, {}))
    assert names(tmp_path) == set()
    Store.create(tmp_path, {}).close()


def test_a_log_left_by_a_study_that_was_deleted_is_not_replayed(tmp_path: Path) -> None:
    program = """
import os, signal, sys
from codesign.space import Candidate
from codesign.store import Store
store = Store.create(sys.argv[1], {})
for number in range(50):
    store.propose(number, Candidate({"n": number}), "old")
os.kill(os.getpid(), signal.SIGKILL)
"""
    run_python(program, tmp_path)
    assert (tmp_path / "study.sqlite-wal").stat().st_size > 0
    (tmp_path / "study.sqlite").unlink()
    with Store.create(tmp_path, {"name": "new"}) as store:
        assert store.meta()["name"] == "new"
        assert store.proposals() == []


@pytest.mark.parametrize("opened", [Store.read, Store.open])
def test_a_folder_without_a_study_says_how_to_make_one(
    opened: Callable[[Path], Store], tmp_path: Path
) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        message = error_of(lambda folder=folder: opened(folder))
        assert message == f"{folder} holds no study (study.sqlite is missing); `codesign run` makes one"
    assert names(tmp_path) == set()


def test_a_study_in_a_folder_that_cannot_be_written_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses: list[str] = []
    connect = sqlite3.connect

    def spy(address: str, **options: Any) -> sqlite3.Connection:
        addresses.append(address)
        return connect(address, **options)

    monkeypatch.setattr(sqlite3, "connect", spy)
    assert finished(folder) == [0, 1]
    for left in folder.glob("study.sqlite-*"):
        left.unlink()
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    before = sorted(folder.iterdir())
    assert finished(folder) == [0, 1]
    assert [address.endswith("&immutable=1") for address in addresses] == [False, True]
    assert sorted(folder.iterdir()) == before


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root can act as another user")
def test_another_user_reads_a_study_at_rest_and_while_it_is_written(folder: Path) -> None:
    program = """
import os, sys
from codesign.store import Store
os.setuid(65534)
print(len(Store.read(sys.argv[1]).evaluations()))
"""
    with tempfile.TemporaryDirectory() as shared:
        Path(shared).chmod(0o755)
        study = Path(shutil.copytree(folder, Path(shared) / "study"))
        at_rest = run_python(program, study)
        assert at_rest.stdout == "2\n", at_rest.stderr
        with Store.open(study) as store:
            store.finish(ended(2))
            assert run_python(program, study).stdout == "3\n"


def test_a_study_of_another_form_is_refused_with_both_versions(folder: Path) -> None:
    with Store.open(folder) as store:
        store.set_meta("schema", 99)
    for opened in (Store.read, Store.open):
        message = error_of(lambda opened=opened: opened(folder))
        assert (
            f"was written in form 99 of the study folder, this codesign reads forms 1 and {SCHEMA_VERSION}"
            in message
        )
        assert "use the version that wrote it, or run the study anew" in message


def foreign(folder: Path) -> None:
    with sqlite3.connect(folder / "study.sqlite") as connection:
        connection.execute("DROP TABLE meta")
    connection.close()


def half(folder: Path) -> None:
    data = (folder / "study.sqlite").read_bytes()
    (folder / "study.sqlite").write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (foreign, "no such table: meta"),
        (half, "malformed"),
        (lambda folder: (folder / "study.sqlite").write_bytes(b""), "no such table: meta"),
        (lambda folder: (folder / "study.sqlite").write_text("a letter\n" * 200), "not a database"),
    ],
    ids=["foreign", "half", "empty", "text"],
)
def test_what_is_no_study_is_refused(folder: Path, damage: Callable[[Path], Any], reason: str) -> None:
    damage(folder)

    def read() -> None:
        with Store.read(folder) as store:
            store.proposals()

    message = error_of(read)
    assert message.startswith(f"{folder / 'study.sqlite'} is no study of codesign or is damaged: ")
    assert reason in message


@pytest.mark.parametrize(
    "record",
    ["{", "{}", "[1, 2]", json.dumps({**ended(0).to_dict(), "status": "fine"}), json.dumps({"candidate": 1})],
)
def test_a_row_that_was_tampered_with_is_refused(folder: Path, record: str) -> None:
    with sqlite3.connect(folder / "study.sqlite") as connection:
        connection.execute("UPDATE evaluations SET record = ? WHERE number = 0", (record,))
    connection.close()
    with Store.read(folder) as store:
        assert error_of(store.proposals).startswith(f"{folder / 'study.sqlite'} is damaged: ")


@pytest.mark.parametrize("seed", range(40))
def test_whatever_bytes_are_lost_reading_ends_in_an_answer_or_a_codesign_error(
    folder: Path, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    path = folder / "study.sqlite"
    data = bytearray(path.read_bytes())
    start = int(rng.integers(len(data)))
    length = int(rng.choice([1, 16, 512]))
    data[start : start + length] = rng.bytes(len(data[start : start + length]))
    path.write_bytes(data)
    try:
        with Store.read(folder) as store:
            assert all(isinstance(evaluation, Evaluation) for evaluation in store.evaluations())
    except CodesignError:
        pass


def test_a_database_that_cannot_be_opened_says_so(folder: Path) -> None:
    (folder / "study.sqlite-wal").mkdir()
    assert error_of(lambda: Store.read(folder)).startswith(f"cannot open {folder / 'study.sqlite'}: ")


def test_a_design_is_found_by_the_first_digits_of_its_digest(tmp_path: Path) -> None:
    with Store.create(tmp_path, {}) as store:
        fill(store, 40)
        digests = [evaluation.candidate.digest for evaluation in store.evaluations()]
        for number in (0, 39):
            assert store.evaluation(digests[number]) == ended(number)
            unique = next(
                digests[number][:length]
                for length in range(1, 17)
                if sum(other.startswith(digests[number][:length]) for other in digests) == 1
            )
            assert store.evaluation(unique) == ended(number)
        first = next(digit for digit in "0123456789abcdef" if sum(d[0] == digit for d in digests) > 1)
        shared = [digest for digest in digests if digest.startswith(first)]
        listed = ", ".join(shared[:5])
        assert error_of(lambda: store.evaluation(first)) == (
            f"{first!r} starts {len(shared)} digests; give more of it: {listed}"
        )
        assert "'' starts 40 digests" in error_of(lambda: store.evaluation(""))
        assert error_of(lambda: store.evaluation("xyz")) == (
            f"{tmp_path} has no finished design 'xyz'; `codesign status {tmp_path}` lists them"
        )


def test_a_design_under_way_is_not_found(folder: Path) -> None:
    with Store.read(folder) as store:
        message = error_of(lambda: store.evaluation(candidate(2).digest))
    assert "has no finished design" in message


def test_a_trained_network_is_kept_and_read_back(folder: Path) -> None:
    with Store.open(folder) as store:
        store.finish(ended(2), NETWORK)
        assert store.network(candidate(2).digest) == NETWORK
        missing = candidate(0).digest
        assert error_of(lambda: store.network(missing)) == (
            f"design {missing} has no network: {store.network_path(missing)} is missing; restore the file "
            "from a copy"
        )
        assert error_of(lambda: store.network("0" * 16)).endswith("is missing; it was not trained to the end")
    assert names(folder) == {"study.sqlite", "networks"}
    assert names(folder / "networks") == {f"{candidate(2).digest}.json"}


def test_a_design_is_not_finished_before_its_network_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Store.open(folder) as store:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            message = error_of(lambda: store.finish(ended(2), NETWORK), OutputError)
        assert message.startswith(f"no room to write {store.network_path(candidate(2).digest)}: ")
        assert message.endswith("free some space; what was finished before is safe, resume later")
        assert [evaluation.number for evaluation in store.evaluations()] == [0, 1]
        assert names(folder / "networks") == set()
        store.finish(ended(2), NETWORK)
    assert finished(folder) == [0, 1, 2]


def test_a_database_that_is_full_loses_nothing_that_was_finished(folder: Path) -> None:
    with Store.open(folder) as store:
        connection = store._connection
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")
        message = error_of(lambda: store.finish(ended(2, "long " * 10_000)), OutputError)
        assert message.startswith(f"no room to write {folder / 'study.sqlite'}: ")
        assert "free some space; what was finished before is safe" in message
        assert [evaluation.number for evaluation in store.evaluations()] == [0, 1]
        connection.execute(f"PRAGMA max_page_count={pages + 100}")
        store.finish(ended(2))
    assert finished(folder) == [0, 1, 2]


FULL_DISK = """
import os, resource, sys
from pathlib import Path
from codesign.errors import OutputError
from codesign.evaluation import Evaluation
from codesign.space import Candidate
from codesign.files import write_file
from codesign.store import Store

folder = Path(sys.argv[1])
store = Store.open(folder)
most = 200_000
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
count = 3
try:
    for number in range(3, 500):
        candidate = Candidate({"n": number})
        store.propose(number, candidate, "random")
        store.finish(Evaluation(number, candidate, "random", "ok", "long " * 100))
        count += 1
except OutputError as error:
    print(count)
    print(error)
try:
    write_file(folder / "front.csv", b"x" * (most + 1))
except OutputError as error:
    print(error)
store.close()
"""


@pytest.mark.skipif(os.name != "posix", reason="limits the size of files as POSIX does")
def test_a_full_disk_ends_in_one_line_and_loses_nothing_that_was_finished(folder: Path) -> None:
    (folder / "front.csv").write_text("old")
    result = run_python(FULL_DISK, folder)
    assert result.returncode == 0, result.stderr
    count, of_store, of_file = result.stdout.splitlines()
    assert 10 < int(count) < 500
    assert of_store.startswith(f"no room to write {folder / 'study.sqlite'}: ")
    assert of_file.startswith(f"no room to write {folder / 'front.csv'}: ")
    assert (folder / "front.csv").read_text() == "old"
    assert names(folder) == {"study.sqlite", "front.csv"}
    assert finished(folder) == [0, 1, *range(3, int(count))]
    with Store.open(folder) as store:
        store.finish(ended(2))
    assert 2 in finished(folder)


@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX does")
def test_a_writer_that_is_killed_leaves_its_proposal_pending(folder: Path) -> None:
    program = """
import os, signal, sys
from codesign.space import Candidate
from codesign.store import Store
store = Store.open(sys.argv[1])
store.propose(3, Candidate({"n": 3}), "random")
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert run_python(program, folder).returncode == -signal.SIGKILL
    with Store.open(folder) as store:
        assert store.proposals()[3] == (3, Candidate({"n": 3}), "random", None)
        assert [evaluation.number for evaluation in store.evaluations()] == [0, 1]
        store.finish(Evaluation(3, Candidate({"n": 3}), "random", "lost", "killed"))
    assert finished(folder) == [0, 1, 3]


def test_a_file_is_written_with_its_folder_and_replaced(path: Path) -> None:
    nested = path.parent / "a" / "b.txt"
    write_file(nested, "naïve")
    write_file(nested, b"\x00\xff")
    assert nested.read_bytes() == b"\x00\xff"
    assert names(nested.parent) == {"b.txt"}
    assert nested.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("function", "error", "raised"),
    [
        ("os.fsync", OSError(errno.ENOSPC, "No space left on device"), OutputError),
        ("os.fsync", OSError(errno.EDQUOT, "Quota exceeded"), OutputError),
        ("os.fsync", KeyboardInterrupt(), KeyboardInterrupt),
        ("pathlib.Path.replace", PermissionError(errno.EACCES, "Permission denied"), OutputError),
        ("tempfile.mkstemp", PermissionError(errno.EACCES, "Permission denied"), OutputError),
    ],
    ids=["space", "quota", "interrupt", "replace", "begin"],
)
def test_a_file_that_cannot_be_written_stays_as_it_was(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    error: BaseException,
    raised: type[BaseException],
) -> None:
    path.write_text("old")

    def fail(*_: Any, **__: Any) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(function, fail)
        with pytest.raises(raised) as caught:
            write_file(path, "new")
    room = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
    if raised is OutputError:
        assert str(caught.value).startswith(f"{'no room to' if room else 'cannot'} write {path}: ")
        assert ("free some space" if room else "choose a folder that can be written") in str(caught.value)
    assert path.read_text() == "old"
    assert names(path.parent) == {path.name}


def test_a_folder_in_place_of_a_file_and_a_file_in_place_of_a_folder(path: Path) -> None:
    path.write_text("old")
    below, folder = path / "below.txt", path.parent / "folder"
    folder.mkdir()
    assert error_of(lambda: write_file(below, "x"), OutputError).startswith(f"cannot write {below}: ")
    assert error_of(lambda: write_file(folder, "x"), OutputError).startswith(f"cannot write {folder}: ")
    assert error_of(lambda: Store.create(below, {}), OutputError).startswith(f"cannot write {below}: ")
    assert names(path.parent) == {path.name, "folder"}


REPORT = SynthesisReport(
    design="d0",
    target=Target(technology="sky130hd", clock_mhz=40.0, tool="Yosys", version="0.70"),
    stage="synthesis",
    resources=Resources(area_um2=1.5e5),
)


def test_syntheses_are_kept_and_replaced(folder: Path) -> None:
    with Store.open(folder) as store:
        assert store.syntheses() == []
        store.record_synthesis(Synthesis("d1", "run", "timeout", "took too long"))
        store.record_synthesis(Synthesis("d0", "run", "ok", "", REPORT))
        store.record_synthesis(Synthesis("d0", "other", "failed", "no such cell"))
        store.record_synthesis(Synthesis("d1", "run", "ok", "", REPORT))
    with Store.read(folder) as store:
        assert store.syntheses() == [
            Synthesis("d0", "other", "failed", "no such cell"),
            Synthesis("d0", "run", "ok", "", REPORT),
            Synthesis("d1", "run", "ok", "", REPORT),
        ]


def test_a_study_that_was_never_synthesised_has_none(folder: Path) -> None:
    with Store.read(folder) as store:
        assert store.syntheses() == []


def test_inputs_are_kept_and_read_back(folder: Path) -> None:
    inputs = np.random.default_rng(0).random((5, 2), dtype=np.float32)
    with Store.open(folder) as store:
        assert store.inputs() is None
        store.keep_inputs(inputs)
    with Store.read(folder) as store:
        found = store.inputs()
    assert found is not None
    np.testing.assert_array_equal(found, inputs)


def test_kept_inputs_that_were_changed_are_an_error(folder: Path) -> None:
    with Store.open(folder) as store:
        store.keep_inputs(np.zeros((5, 2)))
    np.save(folder / "inputs.npy", np.ones((5, 2)))
    with Store.read(folder) as store, pytest.raises(StoreError, match="is not what this study kept"):
        store.inputs()
    (folder / "inputs.npy").unlink()
    with Store.read(folder) as store:
        assert store.inputs() is None


def test_kept_inputs_that_are_damaged_are_an_error(folder: Path) -> None:
    for content in (b"no array", b""):
        (folder / "inputs.npy").write_bytes(content)
        with Store.read(folder) as store, pytest.raises(StoreError, match=r"inputs.npy cannot be read"):
            store.inputs()
    np.save(folder / "inputs.npy", np.array([[1.0, np.nan]]))
    with (
        Store.read(folder) as store,
        pytest.raises(StoreError, match=r"inputs.npy holds values that"),
    ):
        store.inputs()
