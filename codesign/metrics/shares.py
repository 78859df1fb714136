"""Metrics that are shares by their names: what values they can take, and that more of them is better."""

import math

__all__ = ["is_share", "range_of"]

SHARES = frozenset({"accuracy", "precision", "recall", "f1", "auc", "purity"})


def is_share(name: str) -> bool:
    """Whether the last word of a metric's name is that of a share, of which more is better.

    Examples
    --------
    >>> is_share("balanced_accuracy"), is_share("accuracy_loss")
    (True, False)
    """
    return name.split("_")[-1].lower() in SHARES


def range_of(name: str, unit: str) -> tuple[float, float]:
    """Lowest and highest value of a metric by its name and unit; infinite where these do not tell.

    Examples
    --------
    >>> range_of("accuracy", "1"), range_of("accuracy", "%"), range_of("emd", "1")
    ((0.0, 1.0), (0.0, 100.0), (-inf, inf))
    """
    highest = {"1": 1.0, "%": 100.0}.get(unit)
    return (0.0, highest) if is_share(name) and highest else (-math.inf, math.inf)
