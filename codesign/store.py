"""A study on disk: a folder with an SQLite file and the trained networks.

One process writes (it holds a lock); any number read meanwhile, for SQLite's write-ahead log lets readers see
the last finished evaluation without blocking the writer.

::

    DIR/study.sqlite        meta: key -> JSON;  evaluations: one row a proposal, in order;
                            syntheses: one row a design and what it was synthesised to;
                            repeats: one row a design and a further seed it was trained with
    DIR/inputs.npy          some inputs of the task
    DIR/networks/D.json     the trained network of digest D
    DIR/checkpoints/D.S.npz where the training of a design that is trained in parts stands after S steps
"""

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, Literal
from weakref import WeakValueDictionary
from zipfile import BadZipFile

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from codesign.errors import OutputError, StoreError
from codesign.evaluation import Evaluation, latest
from codesign.files import AFTER_FULL, unwritable, write_file
from codesign.hardware import SynthesisReport
from codesign.network import Network
from codesign.space import Candidate

__all__ = ["SCHEMA_VERSION", "Store", "Synthesis"]

SCHEMA_VERSION = 2
READABLE = (1, 2)
"""Form 1 has one evaluation a design."""
DATABASE, INPUTS = "study.sqlite", "inputs.npy"
INPUTS_SHA256 = "inputs_sha256"
_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE evaluations (
    number INTEGER PRIMARY KEY,
    digest TEXT NOT NULL,
    candidate TEXT NOT NULL,
    origin TEXT NOT NULL,
    record TEXT
);
"""
_SYNTHESES = """
CREATE TABLE IF NOT EXISTS syntheses (
    digest TEXT NOT NULL,
    run TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    report TEXT,
    PRIMARY KEY (digest, run)
);
"""
_REPEATS = """
CREATE TABLE IF NOT EXISTS repeats (
    digest TEXT NOT NULL,
    seed INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (digest, seed)
);
"""
_WRITERS: WeakValueDictionary[Path, "Store"] = WeakValueDictionary()
"""What this process has open to write."""

SynthesisStatus = Literal["ok", "failed", "timeout"]


@dataclass(frozen=True, slots=True)
class Synthesis:
    """How the synthesis of a design ended.

    Parameters
    ----------
    digest
        Whole digest of the design.
    run
        What it was synthesised to, and how, in one word: ``sky130hd-constant-40MHz``.
    status, reason
        ``ok``, ``failed`` or ``timeout``, and why not.
    report
        What the tool stated; None unless ``ok``.
    """

    digest: str
    run: str
    status: SynthesisStatus
    reason: str = ""
    report: SynthesisReport | None = None


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """Errors of SQLite, and of rows that do not hold what was written, in words."""
    try:
        yield
    except sqlite3.ProgrammingError as error:
        if "closed" not in str(error):
            raise
        raise StoreError(
            f"the study in {path.parent} was closed; Study.read(folder) or Study.open(folder) opens it again"
        ) from error
    except sqlite3.DatabaseError as error:
        text = str(error)
        if "full" in text or "I/O" in text:
            raise OutputError(f"no room to write {path}: {text}; {AFTER_FULL}") from error
        if "readonly" in text:
            raise OutputError(f"cannot write {path}: {text}; choose a folder that can be written") from error
        if "unable to open" in text:
            raise StoreError(f"cannot open {path}: {text}; see who may read it and its folder") from error
        raise StoreError(f"{path} is no study of codesign or is damaged: {text}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path} is damaged: {type(error).__name__}: {error}") from error


class Store:
    """The folder of one study; opened by ``create``, ``open`` or ``read``."""

    def __init__(self, folder: Path, connection: sqlite3.Connection, lock: FileLock | None) -> None:
        self.folder = folder
        self._connection = connection
        self._lock = lock

    @classmethod
    def create(cls, folder: str | Path, meta: Mapping[str, Any]) -> "Store":
        """Make a new study; raise ``StoreError`` if the folder holds one already."""
        folder = Path(folder)
        _require_no_study(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(unwritable(folder, error)) from error
        rows = [(key, json.dumps(value)) for key, value in {**meta, "schema": SCHEMA_VERSION}.items()]
        lock = _locked(folder)
        beside = folder / f".{DATABASE}"
        try:
            _require_no_study(folder)  # again, now that no other process can make one
            for left in (beside, *folder.glob(f"{DATABASE}-*")):  # a log without its file would be replayed
                left.unlink(missing_ok=True)
            with _disk_errors(beside), closing(sqlite3.connect(beside)) as connection:
                connection.executescript(_TABLES)
                connection.executemany("INSERT INTO meta VALUES (?, ?)", rows)
                connection.commit()
            beside.replace(folder / DATABASE)
            return cls._writing(folder, lock)
        except BaseException:
            beside.unlink(missing_ok=True)
            lock.release()
            raise

    @classmethod
    def open(cls, folder: str | Path) -> "Store":
        """Open a study to go on with it; raise ``StoreError`` if another process is at it.

        Where this process has it open already, as in a notebook whose cell is run again, that one is closed.
        """
        folder = Path(folder)
        cls.read(folder).close()
        earlier = _WRITERS.get(folder.resolve())
        if earlier is not None:
            earlier.close()
        lock = _locked(folder)
        try:
            return cls._writing(folder, lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _writing(cls, folder: Path, lock: FileLock) -> "Store":
        store = _WRITERS[folder.resolve()] = cls(folder, _writer(folder / DATABASE), lock)
        return store

    @classmethod
    def read(cls, folder: str | Path) -> "Store":
        """Open a study to look at it; it may be running, and the folder may be read-only."""
        folder = Path(folder)
        path = folder / DATABASE
        if not path.is_file():
            raise StoreError(f"{folder} holds no study ({DATABASE} is missing); `codesign run` makes one")
        live = path.with_name(f"{DATABASE}-wal").exists()
        with _disk_errors(path):
            uri = f"{path.resolve().as_uri()}?mode=ro" + (
                "" if live or os.access(folder, os.W_OK) else "&immutable=1"
            )
            connection = sqlite3.connect(uri, uri=True)
            store = cls(folder, connection, None)
            try:
                version = store.meta().get("schema")
            except BaseException:
                connection.close()
                raise
        if version not in READABLE:
            connection.close()
            raise StoreError(
                f"{folder} was written in form {version} of the study folder, this codesign reads forms "
                f"{' and '.join(map(str, READABLE))}; use the version that wrote it, or run the study anew"
            )
        return store

    def close(self) -> None:
        """Release the file and the lock."""
        self._connection.close()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def meta(self) -> dict[str, Any]:
        """What identifies the study."""
        with _disk_errors(self.folder / DATABASE):
            return {
                key: json.loads(value)
                for key, value in self._connection.execute("SELECT key, value FROM meta")
            }

    def set_meta(self, key: str, value: Any) -> None:
        """Replace one entry."""
        self._write("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, json.dumps(value)))

    def propose(self, number: int, candidate: Candidate, origin: str) -> None:
        """Record a proposal before it is evaluated, so that a resumed study evaluates the same."""
        values = (number, candidate.digest, json.dumps(dict(candidate.values)), origin)
        self._write("INSERT INTO evaluations VALUES (?, ?, ?, ?, NULL)", values)

    def finish(
        self,
        evaluation: Evaluation,
        network: Network | None = None,
        checkpoint: Mapping[str, Any] | None = None,
    ) -> None:
        """Record how a proposal ended; its trained network, and arrays to go on from, are written first."""
        digest, kept = evaluation.candidate.digest, None
        if checkpoint is not None:
            kept = self._checkpoint_path(digest, evaluation.steps)
            with BytesIO() as file:
                np.savez(file, **checkpoint)
                write_file(kept, file.getvalue())
        if network is not None:
            write_file(self.network_path(evaluation.candidate.digest), json.dumps(network.to_dict()))
        values = (json.dumps(evaluation.to_dict()), evaluation.number)
        self._write("UPDATE evaluations SET record = ? WHERE number = ?", values)
        for path in self.folder.glob(f"checkpoints/{digest}.*.npz"):
            if path != kept:
                path.unlink(missing_ok=True)

    def forget(self, number: int) -> None:
        """Forget how a proposal ended, so that it is evaluated again."""
        self._write("UPDATE evaluations SET record = NULL WHERE number = ?", (number,))

    def checkpoint(self, digest: str, steps: int) -> dict[str, Any]:
        """Arrays from which the training of a whole digest goes on after so many steps."""
        path = self._checkpoint_path(digest, steps)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return dict(arrays)
        except (OSError, ValueError, BadZipFile) as error:
            raise StoreError(
                f"the training of {digest} cannot go on: {path} is missing or damaged ({error}); "
                "restore it from a copy, or run the study anew"
            ) from error

    def _checkpoint_path(self, digest: str, steps: int) -> Path:
        return self.folder / "checkpoints" / f"{digest}.{steps}.npz"

    def proposals(self) -> list[tuple[int, Candidate, str, Evaluation | None]]:
        """All proposals in order: number, candidate, origin, and the evaluation once there is one."""
        with _disk_errors(self.folder / DATABASE):
            rows = self._connection.execute(
                "SELECT number, candidate, origin, record FROM evaluations ORDER BY number"
            ).fetchall()
            return [
                (
                    number,
                    Candidate(json.loads(candidate)),
                    origin,
                    Evaluation.from_dict(json.loads(record)) if record else None,
                )
                for number, candidate, origin, record in rows
            ]

    def evaluations(self) -> list[Evaluation]:
        """Finished evaluations, in order of proposal; a design that is trained in parts has several."""
        return [evaluation for *_, evaluation in self.proposals() if evaluation is not None]

    def evaluation(self, digest: str) -> Evaluation:
        """The finished evaluation whose digest starts with ``digest``.

        Raises ``StoreError`` where there is none or more than one, or ``digest`` is the number of another.
        """
        evaluations = latest(self.evaluations())
        found = [item for item in evaluations if item.candidate.digest.startswith(digest)]
        numbered = [item for item in evaluations if str(item.number) == digest]
        if numbered and len(found) < 2 and found != numbered:
            raise StoreError(
                f"designs are named by digests, and {digest!r} is a number: design {digest} is "
                f"{numbered[0].candidate.digest}; give the first digits of that"
            )
        if len(found) == 1 and digest:
            return found[0]
        if not found:
            raise StoreError(
                f"{self.folder} has no finished design {digest!r}; `codesign status {self.folder}` lists them"
            )
        digests = ", ".join(item.candidate.digest for item in found[:5])
        raise StoreError(f"{digest!r} starts {len(found)} digests; give more of it: {digests}")

    def network_path(self, digest: str) -> Path:
        """Where the trained network of a digest lies."""
        return self.folder / "networks" / f"{digest}.json"

    def network(self, digest: str) -> Network:
        """The trained network of a whole digest."""
        path = self.network_path(digest)
        if not path.is_file():
            trained = any(each.ok and each.candidate.digest == digest for each in self.evaluations())
            why = "restore the file from a copy" if trained else "it was not trained to the end"
            raise StoreError(f"design {digest} has no network: {path} is missing; {why}")
        return Network.load(path)

    def keep_inputs(self, inputs: NDArray[Any]) -> None:
        """Keep some inputs of the task: what designs are verified on, and their power counted."""
        file = BytesIO()
        np.save(file, inputs)
        write_file(self.folder / INPUTS, file.getvalue())
        self.set_meta(INPUTS_SHA256, sha256(file.getvalue()).hexdigest())

    def inputs(self) -> NDArray[Any] | None:
        """The inputs that were kept, ``(n, *input_shape)``; None of a study that has none."""
        path = self.folder / INPUTS
        try:
            content = path.read_bytes() if path.exists() else None
            if content is None:
                return None
            if self.meta().get(INPUTS_SHA256) not in (None, sha256(content).hexdigest()):
                raise StoreError(
                    f"{path} is not what this study kept, of which its designs were priced: restore it from "
                    "a copy, or remove it to do without"
                )
            found: NDArray[Any] = np.load(BytesIO(content))
        except (OSError, ValueError, EOFError) as error:
            raise StoreError(f"{path} cannot be read: {error}; remove it to do without") from error
        if not np.isfinite(found).all():
            raise StoreError(f"{path} holds values that are not finite; remove it to do without")
        return found

    def record_synthesis(self, synthesis: Synthesis) -> None:
        """Record how a synthesis ended, in place of an earlier one of the same design and run."""
        report = synthesis.report and json.dumps(synthesis.report.to_dict())
        values = (synthesis.digest, synthesis.run, synthesis.status, synthesis.reason, report)
        with _disk_errors(self.folder / DATABASE):
            self._connection.execute(_SYNTHESES)
        self._write("INSERT OR REPLACE INTO syntheses VALUES (?, ?, ?, ?, ?)", values)

    def syntheses(self) -> list[Synthesis]:
        """All syntheses that ended, by run and digest."""
        if not self._has("syntheses"):
            return []
        with _disk_errors(self.folder / DATABASE):
            rows = self._connection.execute("SELECT * FROM syntheses ORDER BY run, digest").fetchall()
        return [
            Synthesis(
                digest, run, status, reason, SynthesisReport.from_dict(json.loads(report)) if report else None
            )
            for digest, run, status, reason, report in rows
        ]

    def record_repeat(self, evaluation: Evaluation) -> None:
        """Record how the training of a design with a further seed ended."""
        with _disk_errors(self.folder / DATABASE):
            self._connection.execute(_REPEATS)
        values = (evaluation.candidate.digest, evaluation.seed, json.dumps(evaluation.to_dict()))
        self._write("INSERT OR REPLACE INTO repeats VALUES (?, ?, ?)", values)

    def repeats(self) -> list[Evaluation]:
        """Trainings with further seeds, in the order of the designs, then of the seeds."""
        if not self._has("repeats"):
            return []
        with _disk_errors(self.folder / DATABASE):
            rows = self._connection.execute("SELECT record FROM repeats").fetchall()
            found = [Evaluation.from_dict(json.loads(record)) for (record,) in rows]
        return sorted(found, key=lambda each: (each.number, each.seed))

    def _has(self, table: str) -> bool:
        with _disk_errors(self.folder / DATABASE):
            known = "SELECT name FROM sqlite_master WHERE name = ?"
            return bool(self._connection.execute(known, (table,)).fetchall())

    def _write(self, statement: str, values: tuple[Any, ...]) -> None:
        with _disk_errors(self.folder / DATABASE), self._connection:
            self._connection.execute(statement, values)


def _require_no_study(folder: Path) -> None:
    if (folder / DATABASE).exists():
        raise StoreError(
            f"{folder} already holds a study; `codesign resume {folder}` goes on with it, "
            "or choose another folder"
        )


def _writer(path: Path) -> sqlite3.Connection:
    with _disk_errors(path):
        connection = sqlite3.connect(path)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
        except BaseException:
            connection.close()
            raise
    return connection


def _locked(folder: Path) -> FileLock:
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise StoreError(
            f"{folder} is being written by another codesign process; wait for it or stop it"
        ) from None
    except (OSError, NotImplementedError) as error:  # the latter: a file system that knows no locks
        raise OutputError(unwritable(folder, error)) from error
    return lock
