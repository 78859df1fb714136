"""One point of a space."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from codesign.space.parameters import Value

__all__ = ["Candidate"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One point of a space: the parameters that exist, by name, in the order of the space."""

    values: Mapping[str, Value]

    def __post_init__(self) -> None:
        """Freeze the mapping."""
        object.__setattr__(self, "values", MappingProxyType(dict(self.values)))

    @property
    def digest(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the canonical JSON."""
        text = json.dumps(dict(self.values), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def __getitem__(self, name: str) -> Value:
        return self.values[name]

    def __contains__(self, name: object) -> bool:
        """Whether a parameter exists."""
        return name in self.values

    def get(self, name: str, default: Value) -> Value:
        """Value of a parameter, or ``default`` where it does not exist."""
        return self.values.get(name, default)

    def __eq__(self, other: object) -> bool:
        return dict(self.values) == dict(other.values) if isinstance(other, Candidate) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the plain values: a mapping proxy cannot be pickled."""
        return (Candidate, (dict(self.values),))

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.values.items())
