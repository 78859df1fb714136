"""The command that trains designs again: ``codesign repeat``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from codesign.cli.commands import _json_option, _print_json, _stoppable, cli
from codesign.errors import StoreError

if TYPE_CHECKING:
    from codesign.evaluation import Evaluation
    from codesign.space import Candidate

__all__ = ["repeat"]


@cli.command(epilog="Example: codesign repeat runs/demo --seeds 3")
@click.argument("folder", type=click.Path())
@click.argument("digests", nargs=-1, metavar="[DIGEST]...")
@click.option(
    "--seeds",
    type=click.IntRange(min=2),
    default=3,
    show_default=True,
    help="Trainings of each design in all, the study's own among them.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Worker processes.  [default: the study's]")
@_json_option
def repeat(folder: str, digests: tuple[str, ...], seeds: int, workers: int | None, as_json: bool) -> None:
    """Train designs again with further seeds.

    How much of the front is chance? Without DIGEST, the designs on the front. Each is trained as the study
    trained it, but for the seed; what was done before is not done again, and stopped, the same command goes
    on. `codesign front` shows mean and deviation from then on, and a study that is extended learns from all
    trainings.
    """
    from codesign.cli.reports import print_repeats
    from codesign.cli.view import waiting
    from codesign.config import repeat as train

    with _stoppable(Path(folder), "repeat", *digests, "--seeds", str(seeds)), _Shown(quiet=as_json) as shown:
        study = train(folder, digests, seeds=seeds, workers=workers, watcher=shown)
    if not as_json and not shown.trainings:
        click.echo(f"Nothing to train: these designs have {seeds} seeds already; more with --seeds", err=True)
    with study.store:
        with waiting("Drawing the front"):
            study.save_front()
        repeated = study.repeated
        if as_json:
            after = {each.candidate.digest for each in study.front_over_seeds()}
            _print_json([{**each.to_dict(), "on_front": key in after} for key, each in repeated.items()])
        elif repeated:
            print_repeats(study)
        failed = [each for each in study.store.repeats() if not each.ok]
    for each in failed:
        click.echo(f"{each.candidate.digest} seed {each.seed}: {each.status}: {each.reason}", err=True)
    if not repeated:
        raise StoreError("no design was trained well with a further seed")


class _Shown:
    """A bar over the trainings, on the side; where there is no terminal, a line each."""

    def __init__(self, *, quiet: bool) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        from codesign.cli.view import make_console

        self._console = console = make_console(error=True)
        self._lines = not quiet and not console.is_terminal
        columns = (TextColumn("trainings"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console, disable=quiet or not console.is_terminal)
        self._task = self._bar.add_task("trainings", total=0)
        self.trainings = self._ended = 0

    def __enter__(self) -> "_Shown":
        if not self._bar.disable:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._bar.disable:
            self._bar.stop()

    def resumed(self, evaluations: "Sequence[Evaluation]") -> None:
        """Trainings from before are not counted."""

    def started(self, number: int, candidate: "Candidate", costs: Mapping[str, float]) -> None:
        """One more to do."""
        self.trainings += 1
        self._bar.update(self._task, total=self.trainings)

    def finished(self, evaluation: "Evaluation") -> None:
        """One less."""
        self._ended += 1
        self._bar.advance(self._task)
        if self._lines:
            done = f"{self._ended}/{self.trainings} {evaluation.candidate.digest} seed {evaluation.seed}"
            self._console.print(f"{done} {evaluation.status} {evaluation.reason}".rstrip(), markup=False)

    def tick(self) -> None:
        """The bar moves by itself."""
