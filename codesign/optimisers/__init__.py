"""Optimisers: the history in, the next candidates out; they keep nothing between calls."""

from codesign.optimisers.problem import Optimiser, Problem, Proposal

__all__ = ["OPTIMISERS", "Optimiser", "Problem", "Proposal", "load_optimiser"]

OPTIMISERS = ("qnehvi", "nsga2", "random")


def load_optimiser(name: str) -> Optimiser:
    """The optimiser of a name; torch is imported only for those that need it."""
    if name == "qnehvi":
        from codesign.optimisers.qnehvi import QNEHVI

        return QNEHVI()
    if name == "nsga2":
        from codesign.optimisers.nsga2 import NSGA2

        return NSGA2()
    if name == "random":
        from codesign.optimisers.random import RandomSearch

        return RandomSearch()
    from codesign.errors import ConfigError

    raise ConfigError(f"optimiser is one of {', '.join(OPTIMISERS)}, got {name!r}")
