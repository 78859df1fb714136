"""Spaces of others: an Optuna function, Ax parameters, ConfigSpace JSON, a table of designs; both ways."""

from codesign.adapters.ax import from_ax, to_ax
from codesign.adapters.nesting import candidate_of
from codesign.adapters.optuna import from_optuna, suggest, to_optuna

__all__ = ["candidate_of", "from_ax", "from_optuna", "suggest", "to_ax", "to_optuna"]
