"""Costs of designs that have to be built to be priced: each is built once."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from codesign.hardware.estimate import Costs

__all__ = ["Remembered"]


class Remembered:
    """A function from rows to costs that asks for each distinct row once.

    Parameters
    ----------
    price
        Maps rows ``(n, d)`` to costs, arrays ``(n,)`` by name. A row has the same costs whatever stands
        beside it.

    Examples
    --------
    >>> asked = []
    >>> def price(rows):
    ...     asked.extend(rows.tolist())
    ...     return {"sum": rows.sum(axis=1).astype(float)}
    >>> costs = Remembered(price)
    >>> costs(np.array([[1, 2], [3, 4], [1, 2]]))["sum"].tolist(), len(costs)
    ([3.0, 7.0, 3.0], 2)
    >>> costs(np.array([[3, 4], [5, 6]]))["sum"].tolist(), asked
    ([7.0, 11.0], [[1, 2], [3, 4], [5, 6]])
    """

    def __init__(self, price: Callable[[NDArray[np.int16]], Costs]) -> None:
        self._price = price
        self._places: dict[bytes, int] = {}
        self._names: tuple[str, ...] = ()
        self._values = np.empty((0, 0))

    def __len__(self) -> int:
        return len(self._places)

    def __call__(self, rows: NDArray[np.int16]) -> Costs:
        """Costs of rows ``(n, d)``, arrays ``(n,)`` by name."""
        keys = [row.tobytes() for row in rows]
        fresh = {key: index for index, key in enumerate(keys) if key not in self._places}
        if fresh or not self._names:
            self._add(list(fresh), self._price(rows[list(fresh.values())]))
        found = self._values[[self._places[key] for key in keys]]
        return dict(zip(self._names, found.T, strict=True))

    def _add(self, keys: list[bytes], costs: Costs) -> None:
        """Append; the room is doubled where it is short, so that many small batches cost no more than one."""
        if not self._names:
            self._names, self._values = tuple(costs), np.empty((0, len(costs)))
        old, size = len(self), len(self) + len(keys)
        if size > len(self._values):
            grown = np.empty((max(size, 2 * len(self._values)), len(self._names)))
            grown[:old] = self._values[:old]
            self._values = grown
        for column, name in enumerate(self._names):
            self._values[old:size, column] = costs[name]
        self._places.update(zip(keys, range(old, size), strict=True))
