"""Multi-objective hardware-software co-design of small quantised neural networks.

``codesign.run`` is the whole of it in one call; what it takes and gives are the names below. They are loaded
when first asked for, so that ``import codesign`` is quick and needs neither torch nor Matplotlib.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from codesign.asking import create
    from codesign.config import repeat, resume, run
    from codesign.errors import CodesignError
    from codesign.evaluation import Evaluation
    from codesign.fixedpoint import FixedPoint
    from codesign.hardware import Device, HardwareEstimate
    from codesign.network import Network
    from codesign.objectives import Objective
    from codesign.pareto import Front
    from codesign.space import Candidate, SearchSpace
    from codesign.study import Study
    from codesign.table import search_table
    from codesign.training import Recipe

_HOMES = {
    "Candidate": "codesign.space",
    "CodesignError": "codesign.errors",
    "Device": "codesign.hardware",
    "Evaluation": "codesign.evaluation",
    "FixedPoint": "codesign.fixedpoint",
    "Front": "codesign.pareto",
    "HardwareEstimate": "codesign.hardware",
    "Network": "codesign.network",
    "Objective": "codesign.objectives",
    "Recipe": "codesign.training",
    "SearchSpace": "codesign.space",
    "Study": "codesign.study",
    "create": "codesign.asking",
    "repeat": "codesign.config",
    "resume": "codesign.config",
    "run": "codesign.config",
    "search_table": "codesign.table",
}
_ROOMS = ("metrics", "tasks", "hardware", "training", "optimisers", "export", "space", "network")

__all__ = [
    "Candidate",
    "CodesignError",
    "Device",
    "Evaluation",
    "FixedPoint",
    "Front",
    "HardwareEstimate",
    "Network",
    "Objective",
    "Recipe",
    "SearchSpace",
    "Study",
    "create",
    "repeat",
    "resume",
    "run",
    "search_table",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _ROOMS:
        return import_module(f"codesign.{name}")
    raise AttributeError(f"module 'codesign' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES, *_ROOMS])
