"""What a study minimises or maximises, and the budgets it keeps."""

import math
import re
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

from codesign.errors import ConfigError

__all__ = ["Objective"]

Sense = Literal["min", "max"]
Worth = Literal["auto", "linear", "log"]
_SPELLING = re.compile(
    r"\s*(?:(linear|log)\s+)?(?:(min|max)\s+)?([A-Za-z_]\w*)\s*(?:(<=|>=)\s*([-+.\deE]+))?\s*"
)


@dataclass(frozen=True, slots=True)
class Objective:
    """One value a study trades against the others.

    Parameters
    ----------
    name
        A metric of the task (``emd``) or a field of the hardware estimate (``operations``, ``area_um2``).
    sense
        Which way is better.
    budget
        Bound in the unit of the value: an upper one if minimised, a lower one if maximised. A candidate
        whose known cost breaks a budget is never trained.
    scale
        What is worth the same to a Bayesian search: equal differences (``linear``) or equal ratios (``log``,
        where values are positive). ``auto``: ratios, as costs of hardware span decades, unless the values
        seen are not positive, almost alike, or further apart than a factor of 1e9.
    """

    name: str
    sense: Sense = "min"
    budget: float | None = None
    scale: Worth = "auto"

    def __post_init__(self) -> None:
        """Reject an unknown sense or scale and a budget that is no number; make the budget a plain float."""
        if self.sense not in get_args(Sense):
            raise ConfigError(f"objective {self.name!r}: sense is 'min' or 'max', got {self.sense!r}")
        if self.scale not in get_args(Worth):
            raise ConfigError(
                f"objective {self.name!r}: scale is 'auto', 'linear' or 'log', got {self.scale!r}"
            )
        if self.budget is None:
            return
        if not math.isfinite(self.budget):
            raise ConfigError(f"objective {self.name!r}: a budget is a finite number, got {self.budget}")
        object.__setattr__(self, "budget", float(self.budget))

    @property
    def sign(self) -> int:
        """``+1`` if minimised, ``-1`` if maximised: ``sign * value`` is always minimised."""
        return 1 if self.sense == "min" else -1

    @property
    def spelling(self) -> str:
        """Text that ``parse`` reads."""
        name = self.name if self.sense == "min" else f"max {self.name}"
        name = name if self.scale == "auto" else f"{self.scale} {name}"
        relation = "<=" if self.sense == "min" else ">="
        return name if self.budget is None else f"{name}{relation}{self.budget!r}"

    def admits(self, value: float) -> bool:
        """Whether a value is within the budget."""
        return self.budget is None or self.sign * value <= self.sign * self.budget

    @classmethod
    def parse(cls, text: str, *, limit: bool = False) -> Self:
        """Read ``emd``, ``max accuracy``, ``operations<=20000`` or ``linear emd<=3``.

        A ``limit`` bounds a cost from above.

        Examples
        --------
        >>> Objective.parse("operations<=20000")
        Objective(name='operations', sense='min', budget=20000.0, scale='auto')
        """
        match = _SPELLING.fullmatch(text)
        if match is None:
            raise ConfigError(
                f"{'limit' if limit else 'objective'} {text!r} is not of the form 'name', 'max name' or "
                "'name<=number' (a number without unit)"
            )
        scale, given, name, relation, bound = match.groups()
        sense: Sense = "max" if given == "max" else "min"
        other = "max" if sense == "min" else "min"
        if limit and (relation == ">=" or sense == "max"):
            goal = f"max {name}>={bound}" if bound else f"max {name}"
            raise ConfigError(
                f"limit {text!r}: a limit bounds a cost from above, as 'area_um2<=1e6'; a metric's bound "
                f"goes with the objective: --objective {goal!r}"
            )
        if relation and relation != ("<=" if sense == "min" else ">="):
            raise ConfigError(
                f"objective {text!r}: a value to {sense}imise takes a bound with "
                f"{'<=' if sense == 'min' else '>='}; to {other}imise it: '{other} {name}{relation}{bound}'"
            )
        try:
            budget = float(bound) if bound else None
        except ValueError:
            raise ConfigError(f"objective {text!r}: {bound!r} is not a number") from None
        worth: Worth = "linear" if scale == "linear" else "log" if scale == "log" else "auto"
        return cls(name, sense, budget, worth)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        scale = {} if self.scale == "auto" else {"scale": self.scale}
        return {"name": self.name, "sense": self.sense, "budget": self.budget, **scale}
