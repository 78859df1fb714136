"""Search spaces: parameters that exist only where their parent does, and the candidates among them.

A space is a list of parameters, of repeated groups (``Repeat``) and of parts that exist only where a parent
has some value (``When``).
"""

from codesign.space.candidate import Candidate
from codesign.space.layout import INACTIVE, Codes, Column
from codesign.space.parameters import (
    Constraint,
    Item,
    Limit,
    Parameter,
    Repeat,
    Value,
    When,
    categorical,
    integer,
    ordinal,
    real,
)
from codesign.space.space import Definition, SearchSpace, SpaceDefinition

__all__ = [
    "INACTIVE",
    "Candidate",
    "Codes",
    "Column",
    "Constraint",
    "Definition",
    "Item",
    "Limit",
    "Parameter",
    "Repeat",
    "SearchSpace",
    "SpaceDefinition",
    "Value",
    "When",
    "categorical",
    "integer",
    "ordinal",
    "real",
]
