"""Where evaluations run: in this process, or in worker processes."""

from codesign.execution.executor import Executor, InProcess, Job, Processes, WorkerLostError

__all__ = ["Executor", "InProcess", "Job", "Processes", "WorkerLostError"]
