"""Spaces of others: an Optuna function, Ax parameters, ConfigSpace JSON, a table of designs; both ways."""

from codesign.adapters.ax import from_ax, to_ax
from codesign.adapters.configspace import from_configspace, to_configspace
from codesign.adapters.nesting import candidate_of
from codesign.adapters.optuna import from_optuna, suggest, to_optuna
from codesign.adapters.tables import from_table, to_table

__all__ = [
    "candidate_of",
    "from_ax",
    "from_configspace",
    "from_optuna",
    "from_table",
    "suggest",
    "to_ax",
    "to_configspace",
    "to_optuna",
    "to_table",
]
