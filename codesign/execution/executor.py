"""Run a function on keyed jobs, in this process or in several."""

import os
import signal
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, Protocol

from codesign.execution.shared import Parcel, Shared

__all__ = ["Executor", "InProcess", "Job", "Processes", "WorkerLostError"]

SINGLE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class WorkerLostError(Exception):
    """A worker process died: killed, out of memory, or crashed."""


@dataclass(frozen=True, slots=True)
class Job:
    """A call to make: ``function(context, **arguments)``, with the context the executor was made with."""

    function: Callable[..., Any]
    arguments: Mapping[str, Any]


class Executor(Protocol):
    """Runs jobs under whole-number keys."""

    workers: int

    def submit(self, key: int, job: Job) -> None:
        """Queue a job."""

    def wait(self, seconds: float) -> list[tuple[int, Any | BaseException]]:
        """Results that came in, each a value or the exception; empty if none came within the time."""

    def close(self) -> None:
        """Stop at once; jobs under way are dropped."""


class InProcess:
    """Runs each job when its result is asked for."""

    workers = 1

    def __init__(self, context: Any) -> None:
        self._context = context
        self._queue: list[tuple[int, Job]] = []

    def submit(self, key: int, job: Job) -> None:
        """Queue a job."""
        self._queue.append((key, job))

    def wait(self, seconds: float) -> list[tuple[int, Any | BaseException]]:
        """Run the oldest job, however long it takes."""
        if not self._queue:
            return []
        key, job = self._queue.pop(0)
        try:
            return [(key, job.function(self._context, **job.arguments))]
        except Exception as error:
            return [(key, error)]

    def close(self) -> None:
        """Nothing is under way."""
        self._queue.clear()


class Processes:
    """A pool of worker processes of one thread each.

    The context is sent to each of them once. They share the memory of its arrays, which cannot be written.

    Raises
    ------
    ConfigError
        If the context cannot be sent to another process.
    OutputError
        If its arrays cannot be written to a temporary file.
    """

    def __init__(self, context: Any, workers: int) -> None:
        self.workers = workers
        self._shared = Shared(context)
        self._futures: dict[Future[Any], int] = {}
        self._pool = self._start()

    def _start(self) -> Any:
        from loky import ProcessPoolExecutor

        return ProcessPoolExecutor(
            self.workers,
            initializer=_prepare,
            initargs=(self._shared.parcel,),
            env=SINGLE_THREAD,
            timeout=None,
        )

    def submit(self, key: int, job: Job) -> None:
        """Queue a job; a pool that lost a worker is replaced first."""
        try:
            future = self._pool.submit(_call, job)
        except BrokenProcessPool:
            self._pool.shutdown(wait=False, kill_workers=True)
            self._pool = self._start()
            future = self._pool.submit(_call, job)
        self._futures[future] = key

    def wait(self, seconds: float) -> list[tuple[int, Any | BaseException]]:
        """Results that came in."""
        done, _ = wait(self._futures, timeout=seconds, return_when=FIRST_COMPLETED)
        return [(self._futures.pop(future), _outcome(future)) for future in done]

    def close(self) -> None:
        """Kill the workers."""
        self._futures.clear()
        self._pool.shutdown(wait=True, kill_workers=True)
        self._shared.close()


_parcel: Parcel | None = None
_context: Any = None


def _prepare(parcel: Parcel) -> None:
    """Set up a worker: interrupts from the keyboard and warnings are the main process's business."""
    global _parcel
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    os.environ.update(SINGLE_THREAD)
    _parcel = parcel


def _call(job: Job) -> Any:
    """Run a job; the context is opened by the first, so that what hinders it is that job's error."""
    global _context, _parcel
    if _parcel is not None:
        opened, _parcel = _parcel, None
        _context = opened.open()
    return job.function(_context, **job.arguments)


def _outcome(future: Future[Any]) -> Any | BaseException:
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, BrokenProcessPool):
        return WorkerLostError("a worker process died: killed, out of memory, or crashed")
    return error
