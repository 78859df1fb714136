"""A progress bar for studies run from Python, in a terminal or a notebook."""

from collections.abc import Mapping, Sequence
from typing import Any

from codesign.evaluation import Evaluation
from codesign.objectives import Objective
from codesign.pareto import Front
from codesign.space import Candidate

__all__ = ["Bar"]


class Bar:
    """Watches a study: designs done, time left, the front so far, its best first objective.

    Parameters
    ----------
    trials
        Designs in all.
    objectives
        What is traded.
    why_torch
        Why not the compiled engine trains; empty: nothing to say.
    """

    def __init__(self, trials: int, objectives: Sequence[Objective], why_torch: str = "") -> None:
        self._trials, self._objectives, self._why_torch = trials, tuple(objectives), why_torch
        self._ended: list[Evaluation] = []
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> "Bar":
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
        self._bar = Progress(TextColumn("designs"), *columns)
        self._task = self._bar.add_task("", total=self._trials)
        self._bar.start()
        if self._why_torch:
            self._bar.console.print(f"note: PyTorch trains: {self._why_torch}")
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def resumed(self, evaluations: Sequence[Evaluation]) -> None:
        """Designs that were there before."""
        self._ended = list(evaluations)
        self._draw()

    def started(self, number: int, candidate: Candidate, costs: Mapping[str, float]) -> None:
        """Nothing to show before a design has ended."""

    def finished(self, evaluation: Evaluation) -> None:
        """One more."""
        self._ended.append(evaluation)
        self._draw()

    def tick(self) -> None:
        """The bar moves by itself."""

    def _draw(self) -> None:
        front, goal = Front.of(self._ended, self._objectives), self._objectives[0]
        best = f", best {goal.name} {front.evaluations[0].value(goal.name):.3f}" if len(front) else ""
        none = (
            "" if len(front) or not any(e.ok for e in self._ended) else ", no design keeps every budget yet"
        )
        text = f"front {len(front)}{best}{none}"
        self._bar.update(
            self._task, completed=len({each.candidate for each in self._ended}), description=text
        )
