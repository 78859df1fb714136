"""Optimisers: the history in, the next candidates out; they keep nothing between calls."""

from importlib import import_module

from codesign.optimisers.problem import Optimiser, Problem, Proposal

__all__ = ["OPTIMISERS", "Optimiser", "Problem", "Proposal", "load_optimiser"]

_PLACES = {
    "qnehvi": ("qnehvi", "QNEHVI"),
    "ehvi": ("ehvi", "EHVI"),
    "grid": ("grid", "Grid"),
    "grid-bo": ("grid_bo", "GridBO"),
    "nsga2": ("nsga2", "NSGA2"),
    "sherlock": ("sherlock", "Sherlock"),
    "random": ("random", "RandomSearch"),
}
"""Module and class by name; a module is imported only when it is asked for, for some need torch."""

OPTIMISERS = tuple(_PLACES)


def load_optimiser(name: str) -> Optimiser:
    """The optimiser of a name."""
    if name not in _PLACES:
        from codesign.errors import ConfigError

        raise ConfigError(f"optimiser is one of {', '.join(OPTIMISERS)}, got {name!r}")
    module, kind = _PLACES[name]
    optimiser: Optimiser = getattr(import_module(f"codesign.optimisers.{module}"), kind)()
    return optimiser
