"""Ask and tell: studies whose evaluations are made elsewhere, by the same optimisers in the same folders."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from codesign import catalogue
from codesign.errors import ConfigError
from codesign.hardware import Costs, Device, HardwareEstimate, HardwareModel
from codesign.metrics import Summary
from codesign.network import Network
from codesign.objectives import Objective
from codesign.optimisers import load_optimiser
from codesign.space import Candidate, SearchSpace, SpaceDefinition, Value
from codesign.study import KNOWN, TOLD, Setup, Study
from codesign.tasks import Samples
from codesign.training import Recipe

__all__ = ["create"]

Known = Mapping[str, Callable[[Candidate], float]]


def create(
    *,
    space: str | SearchSpace | SpaceDefinition,
    objectives: Sequence[str | Objective],
    known: Known | None = None,
    limits: Sequence[str | Objective] = (),
    optimiser: str = "ehvi",
    seed: int = 0,
    model: str | HardwareModel = "asic",
    device: Device | None = None,
    baseline: Mapping[str, Value] | None = None,
    warm_start: Sequence[str | Path] = (),
    out: str | Path | None = None,
) -> Study:
    """Make a study to ask and to tell, or go on with the one in its folder.

    Parameters
    ----------
    space
        A bare ``SearchSpace``, or what ``codesign.run`` takes: its candidates are networks then, and the
        costs that ``model`` predicts are known.
    objectives
        Two or more; those that are neither in ``known`` nor predicted by the model are what you measure.
    known
        Exact functions of a candidate, of a bare space.
    limits
        Known costs that are bounded but not traded.
    optimiser, seed
        As of ``codesign.run``.
    model, device
        What prices networks, and on what; not of a bare space.
    baseline
        A design of a bare space that is known to be sensible.
    warm_start
        Folders of earlier studies whose designs are known from the start.
    out
        Folder; by default ``runs/<space>-<seed>``.

    Raises
    ------
    ConfigError
        For what does not go together.

    Examples
    --------
    >>> from codesign.space import integer
    >>> space = SearchSpace("demo", (integer("width", 1, 64), integer("bits", 2, 8)))
    >>> study = create(  # doctest: +SKIP
    ...     space=space, objectives=["error", "size"], known={"size": lambda c: c["width"] * c["bits"]}
    ... )
    >>> for candidate in study.ask(4):  # doctest: +SKIP
    ...     study.tell(candidate, {"error": measure(candidate)})
    """
    definition: Any
    priced: HardwareModel
    if isinstance(space, SearchSpace):
        priced = _KnownCosts(space, dict(known or {}))
        _require_used(priced.functions, (*objectives, *limits))
        definition = _Bare(space, baseline)
    elif known or baseline is not None:
        raise ConfigError(
            "known functions and a baseline belong to a bare SearchSpace; a space of networks has the costs "
            "of its hardware model and its own BASELINE"
        )
    else:
        definition = catalogue.search_space(space)
        priced = catalogue.hardware_model(model) if isinstance(model, str) else model
    goals = tuple(_objective(goal) for goal in objectives)
    measured = {goal.name: "" for goal in goals if goal.name not in priced.predicts}
    setup = Setup(
        definition=definition,
        task=Told(measured),
        objectives=goals,
        limits=tuple(_objective(goal) for goal in limits),
        model=priced,
        device=device or Device(),
        recipe=Recipe(steps=1, engine="torch"),
        optimiser=load_optimiser(optimiser),
        seed=seed,
    )
    folder = Path(out or f"runs/{definition.SPACE.name}-{seed}")
    if not (folder / "study.sqlite").exists():
        Study.create(folder, setup, warm_start=warm_start).close()
    return Study.open(folder).with_setup(setup)


def _require_used(known: Known, goals: Sequence[str | Objective]) -> None:
    named = [_objective(goal).name for goal in goals]
    idle = [name for name in known if name not in named]
    if idle:
        raise ConfigError(
            f"known gives {', '.join(idle)}, which is no objective and no limit; those are {', '.join(named)}"
        )


def _objective(goal: str | Objective) -> Objective:
    return Objective.parse(goal) if isinstance(goal, str) else goal


@dataclass(frozen=True)
class Told:
    """A task whose scores somebody tells."""

    metrics: Mapping[str, str] = field(default_factory=dict)
    name: ClassVar[str] = TOLD
    loss: ClassVar[str] = "mse"

    @property
    def training(self) -> Samples:
        """There are none."""
        raise ConfigError(TRAINS_NOTHING)

    @property
    def validation(self) -> Samples:
        """There are none."""
        raise ConfigError(TRAINS_NOTHING)

    def score(self, network: Network) -> dict[str, Summary]:
        """Nothing is scored here."""
        raise ConfigError(TRAINS_NOTHING)

    def describe(self) -> dict[str, Any]:
        """Nothing beside its metrics."""
        return {}


TRAINS_NOTHING = "the values of this study are told, it trains nothing; call study.ask(n) and study.tell(...)"


@dataclass(frozen=True)
class _Bare:
    """A space whose candidates are no networks."""

    SPACE: SearchSpace
    BASELINE: Mapping[str, Value] | None

    def build(self, candidate: Candidate) -> Network:
        raise ConfigError(f"the candidates of space {self.SPACE.name!r} are no networks")

    def workload(self, codes: NDArray[np.int16]) -> NDArray[np.int16]:
        return codes


@dataclass(frozen=True)
class _KnownCosts:
    """Exact functions in the place of a hardware model; its workloads are rows of codes."""

    space: SearchSpace
    functions: Known
    name: ClassVar[str] = KNOWN
    needs_weights: ClassVar[bool] = False

    @property
    def predicts(self) -> tuple[str, ...]:
        return tuple(self.functions)

    def price(self, workload: Any, device: Device) -> Costs:
        candidates = self.space.decode(workload)
        return {
            name: np.array([float(function(each)) for each in candidates])
            for name, function in self.functions.items()
        }

    def features(self, workload: Any, device: Device) -> Costs:
        return {}

    def estimate(self, network: Network, device: Device) -> HardwareEstimate:
        raise ConfigError(f"the candidates of space {self.space.name!r} are no networks")
