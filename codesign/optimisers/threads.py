"""One thread for linear algebra: those of small matrices wait for each other."""

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController

__all__ = ["on_one_thread"]


@cache
def _controller() -> ThreadpoolController:
    """Made once: to find the libraries takes longer than to predict."""
    return ThreadpoolController()


def on_one_thread() -> AbstractContextManager[object]:
    """A block in which the libraries that were loaded when this was first called take one thread each."""
    limited: AbstractContextManager[object] = _controller().limit(limits=1)
    return limited
