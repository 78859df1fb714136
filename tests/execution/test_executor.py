import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cloudpickle
import numpy as np
import pytest

from codesign.errors import OutputError
from codesign.execution import Executor, InProcess, Job, Processes, WorkerLostError

cloudpickle.register_pickle_by_value(sys.modules[__name__])


class Context:
    """Counts how often it was pickled here; knows in which process it lives."""

    pickled = 0

    def __init__(self, value: int) -> None:
        self.value = value

    def __getstate__(self) -> dict[str, int]:
        type(self).pickled += 1
        return {"value": self.value}

    def __setstate__(self, state: dict[str, int]) -> None:
        self.value = state["value"]


def add(context: Context, number: int) -> int:
    return context.value + number


def fail(context: Context) -> None:
    raise KeyError("reason")


def die(context: Context) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def sleep(context: Context, seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def threads(context: Context) -> tuple[str | None, ...]:
    return tuple(os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"))


def interrupt(context: Context) -> str:
    os.kill(os.getpid(), signal.SIGINT)
    return "went on"


def collect(executor: Executor, count: int) -> dict[int, Any]:
    results: dict[int, Any] = {}
    deadline = time.monotonic() + 60
    while len(results) < count and time.monotonic() < deadline:
        results |= dict(executor.wait(1.0))
    assert len(results) == count
    return results


@pytest.fixture(scope="module")
def pool() -> Iterator[Processes]:
    Context.pickled = 0
    executor = Processes(Context(40), workers=2)
    yield executor
    executor.close()


@pytest.fixture(params=["in process", "processes"])
def executor(request: pytest.FixtureRequest) -> Executor:
    if request.param == "in process":
        return InProcess(Context(40))
    pool: Processes = request.getfixturevalue("pool")
    return pool


def test_results_come_back_under_their_keys(executor: Executor) -> None:
    for key in (3, 1, 2):
        executor.submit(key, Job(add, {"number": key}))
    assert collect(executor, 3) == {1: 41, 2: 42, 3: 43}
    assert executor.wait(0.0) == []


def test_an_exception_comes_back_as_itself_and_others_go_on(executor: Executor) -> None:
    executor.submit(0, Job(fail, {}))
    executor.submit(1, Job(add, {"number": 1}))
    executor.submit(2, Job(add, {"nonsense": 1}))
    results = collect(executor, 3)
    assert isinstance(results[0], KeyError)
    assert results[0].args == ("reason",)
    assert results[1] == 41
    assert isinstance(results[2], TypeError)


def test_in_process_jobs_run_one_a_wait_in_the_order_given() -> None:
    executor = InProcess(Context(0))
    for key in (2, 0, 1):
        executor.submit(key, Job(add, {"number": key}))
    assert [executor.wait(0.0) for _ in range(4)] == [[(2, 2)], [(0, 0)], [(1, 1)], []]
    assert executor.workers == 1


def test_in_process_jobs_that_were_not_asked_for_are_dropped_on_close() -> None:
    executor = InProcess(Context(0))
    executor.submit(0, Job(fail, {}))
    executor.close()
    assert executor.wait(0.0) == []


def test_an_interrupt_from_the_keyboard_ends_work_in_this_process() -> None:
    executor = InProcess(Context(0))
    executor.submit(0, Job(interrupt, {}))
    with pytest.raises(KeyboardInterrupt):
        executor.wait(0.0)


def test_an_interrupt_from_the_keyboard_does_not_end_a_worker(pool: Processes) -> None:
    pool.submit(0, Job(interrupt, {}))
    assert collect(pool, 1) == {0: "went on"}


def test_workers_run_at_once_with_one_thread_each(pool: Processes) -> None:
    pool.submit(0, Job(sleep, {"seconds": 0.3}))
    pool.submit(1, Job(sleep, {"seconds": 0.3}))
    pool.submit(2, Job(threads, {}))
    assert pool.wait(0.0) == []
    results = collect(pool, 3)
    assert len({results[0], results[1], os.getpid()}) == 3
    assert results[2] == ("1", "1")
    assert pool.workers == 2


def test_the_context_is_sent_once_to_each_worker(pool: Processes) -> None:
    before = Context.pickled
    for key in range(20):
        pool.submit(key, Job(add, {"number": key}))
    assert collect(pool, 20) == {key: 40 + key for key in range(20)}
    assert Context.pickled == before <= pool.workers


def test_a_worker_that_is_killed_is_reported_and_later_jobs_run() -> None:
    executor = Processes(Context(40), workers=1)
    try:
        executor.submit(7, Job(die, {}))
        ((key, result),) = collect(executor, 1).items()
        assert key == 7
        assert isinstance(result, WorkerLostError)
        assert str(result) == "a worker process died: killed, out of memory, or crashed"
        executor.submit(8, Job(add, {"number": 2}))
        executor.submit(9, Job(add, {"number": 3}))
        assert collect(executor, 2) == {8: 42, 9: 43}
        executor.submit(10, Job(sleep, {"seconds": 60}))
        start = time.monotonic()
    finally:
        executor.close()
    assert time.monotonic() - start < 10
    assert executor.wait(0.0) == []


def share(context: Any) -> tuple[float, int, bool, str]:
    """Sum of the array, the process, whether the array can be written, and how its file is mapped."""
    array = context["array"]
    (mapped,) = re.findall(r"(\S+) \S+ \S+ \d+ +\S+/arrays\n", Path("/proc/self/maps").read_text())
    return float(array.sum()), os.getpid(), array.flags.writeable, mapped


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="no /proc/self/maps")
def test_workers_share_the_arrays_of_the_context_and_the_file_goes() -> None:
    context = {"array": np.arange(1_000_000.0), "empty": np.zeros(0), "lambda": lambda: 1}
    pool = Processes(context, workers=2)
    folder = pool._shared.parcel.path.parent
    for key in range(4):
        pool.submit(key, Job(share, {}))
    found = collect(pool, 4)
    assert folder.exists()
    pool.close()
    assert not folder.exists()
    assert {value[::2] for value in found.values()} == {(context["array"].sum(), False)}
    assert {value[3] for value in found.values()} == {"r--s"}
    assert len(pool._shared.parcel.pickled) < 10_000


def test_a_context_that_cannot_be_written_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("codesign.execution.shared.Parcel", lambda *parts: SimpleNamespace(path=tmp_path))
    with pytest.raises(OutputError, match="for the worker processes: Is a directory; free some space"):
        Processes(np.zeros(3), workers=1)
