"""The loop: propose, price, fit, score, store; and what a stored study says of itself.

Proposal ``k`` sees exactly the evaluations up to ``k - in_flight`` and, as pending, the candidates after
them, whatever else has finished meanwhile. So the sequence depends on the settings alone, of which
``in_flight`` is one, and not on how many workers there are, which of them is faster, or whether the study was
interrupted.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from codesign.errors import (
    CodesignError,
    ConfigError,
    DataError,
    SpaceError,
    StoreError,
    UnsupportedLayerError,
    counted,
    raised_at,
)
from codesign.evaluation import Evaluation, Reference, Repeated, Status, latest
from codesign.execution import Executor, InProcess, Job, Processes, WorkerLostError
from codesign.export import exporter
from codesign.export.bundle import vectors
from codesign.files import write_file
from codesign.hardware import Costs, Device, HardwareModel, Workload, effective_bops, with_inputs
from codesign.hardware.estimate import COST_UNITS, FRAMES
from codesign.hardware.folding import fold
from codesign.hardware.remembered import Remembered
from codesign.metrics import Summary
from codesign.metrics.shares import is_share, range_of
from codesign.network import Conv, Dense, Network
from codesign.objectives import Objective
from codesign.optimisers import Optimiser, Problem
from codesign.optimisers.asha import Rungs, next_job, trials_of
from codesign.pareto import COMPARED, Front
from codesign.space import Candidate, SpaceDefinition
from codesign.store import Store
from codesign.tasks import Samples, Task, inputs_of
from codesign.tasks.called import called
from codesign.training import COMPILED_LOSSES, Recipe
from codesign.training.engine import with_engine
from codesign.training.recipe import LOGIT_LOSSES

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["KNOWN", "TOLD", "WARM_START", "Setup", "Study", "Watcher", "require_data", "scored"]

PATIENCE_SECONDS = 0.25
NEAR = 0.05
LOOKED_AT = 4
BUILT = 4
"""Designs drawn, whose networks tell whether a space still builds the same."""
SHORT_DIGEST = 16
ALIKE = 5
OUTSIDE = 0.01
REPEAT = "repeat"
WARM_START = "warm start"
TOLD, KNOWN = "told", "known"
"""Task whose values are told, and hardware model of exact functions: of studies that train nothing."""
OWN_COLUMNS = (
    *("number", "digest", "status", "reason", "origin", "steps", "epochs", "seed", "seconds", "engine"),
    *("effective_bops", "costs_of", "on_front"),
)
"""Columns of tables beside parameters, metrics and costs."""


class Watcher(Protocol):
    """Told what happens while a study runs."""

    def resumed(self, evaluations: Sequence[Evaluation]) -> None:
        """These designs were there before."""

    def started(self, number: int, candidate: Candidate, costs: Mapping[str, float]) -> None:
        """A design was handed to a worker."""

    def finished(self, evaluation: Evaluation) -> None:
        """A design ended, well or not."""

    def tick(self) -> None:
        """Some time has passed."""


@dataclass(frozen=True)
class Setup:
    """Everything a study runs with.

    Parameters
    ----------
    definition
        The space and how its candidates become networks.
    task
        Data, loss and scores.
    objectives
        What is traded: metrics of the task and costs of the model.
    limits
        Costs that are bounded but not traded.
    model, device
        What prices a network, and on what.
    recipe
        How networks are fitted.
    optimiser
        What proposes.
    seed
        Of the proposals and of every training.
    workers
        Processes; 1 trains in this one.
    in_flight
        Proposals that may be out at once.
    export
        Targets that designs are exported to. A design that one of them refuses is recorded as infeasible,
        with the reason, and not trained.
    rungs
        Steps of training after which one design in ``eta`` is trained on; None trains each to the end at
        once. The baseline is, in any case.

    Attributes
    ----------
    why_torch
        Why not the compiled engine but torch trains, though ``recipe`` left that open; else empty.
    """

    definition: SpaceDefinition
    task: Task
    objectives: tuple[Objective, ...]
    model: HardwareModel
    device: Device
    recipe: Recipe
    optimiser: Optimiser
    limits: tuple[Objective, ...] = ()
    seed: int = 0
    workers: int = 1
    in_flight: int = 4
    export: tuple[str, ...] = ()
    rungs: Rungs | None = None
    why_torch: str = field(init=False, default="")

    def __post_init__(self) -> None:
        """Reject objectives that nothing gives a value to."""
        names = [goal.name for goal in self.objectives]
        if len(names) < 2:
            raise ConfigError(f"a front needs at least two objectives, got {', '.join(names) or 'none'}")
        if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
            raise ConfigError(f"objectives are given once each; {', '.join(twice)} stands there more often")
        _require_parts(self.task, "name", "loss", "metrics")
        with called(self.task.name, type(self.task)):
            _ = self.task.loss, self.task.metrics
        self._require_free_names()
        conditional = bool(getattr(self.task, "conditional", False))
        recipe, why = with_engine(self.recipe, self.recipe.loss or self.task.loss, conditional=conditional)
        object.__setattr__(self, "recipe", recipe)
        object.__setattr__(self, "why_torch", why)
        for goal in self.objectives:
            if goal.name not in self.model.predicts and goal.name not in self.task.metrics:
                raise ConfigError(
                    f"no objective {goal.name!r}; the task {self.task.name!r} has "
                    f"{', '.join(self.task.metrics)}; the hardware model {self.model.name!r} predicts "
                    f"{', '.join(self.model.predicts)}"
                )
        self._require_budgets_that_can_be_met()
        for goal in self.limits:
            if goal.name not in self.model.predicts or goal.budget is None:
                hint = f", a metric, whose bound goes with --objective {goal.spelling!r}"
                raise ConfigError(
                    f"a limit bounds one of {', '.join(self.model.predicts)}, which are costs, as "
                    f"'area_um2<=1e6'; got {goal.spelling!r}{hint if goal.name in self.task.metrics else ''}"
                )

    def _require_budgets_that_can_be_met(self) -> None:
        """Reject budgets of metrics beyond all values that these can take."""
        ranges: Mapping[str, tuple[float, float]] = getattr(self.task, "ranges", {})
        for goal in self.objectives:
            if goal.budget is None or goal.name not in self.task.metrics:
                continue
            unit = self.task.metrics[goal.name]
            low, high = ranges.get(goal.name) or range_of(goal.name, unit)
            if not (goal.admits(low) or goal.admits(high)):
                hint = f"; of 100, that is {goal.budget / 100:g}" if high == 1 < goal.budget <= 100 else ""
                raise ConfigError(
                    f"no design can keep {goal.spelling!r}: {goal.name} goes from {low:g} to {high:g} (unit "
                    f"{unit}); give a budget in that range{hint}"
                )

    def _require_free_names(self) -> None:
        """Reject parameters and metrics whose columns in tables would be another value's."""
        metrics = self.task.metrics
        taken = {*COST_UNITS, *OWN_COLUMNS, *metrics, *(f"{name}_std" for name in metrics)}
        taken |= {f"{name}_ratio" for name in COMPARED}
        both = [name for name in self.definition.SPACE.names if name in taken]
        if both:
            raise ConfigError(
                f"space {self.definition.SPACE.name!r} has parameters named like a cost, a metric or another "
                f"column of the tables: {', '.join(both)}; rename them"
            )
        both = [name for name in metrics if name in COST_UNITS or name in OWN_COLUMNS]
        if both:
            raise ConfigError(
                f"task {self.task.name!r} has metrics named like a cost or another column of the tables: "
                f"{', '.join(both)}; rename them"
            )

    def recipe_of(self, candidate: Candidate) -> Recipe:
        """What a candidate is trained with: the recipe, with what the space has each candidate decide.

        A loss that the compiled engine lacks is trained by torch; the evaluation says so.

        Raises
        ------
        ConfigError
            If the space gives values that no recipe has, or other steps though designs are trained in rungs.
        """
        own = getattr(self.definition, "recipe", None)
        if own is None:
            return self.recipe
        recipe = Recipe.from_dict({**self.recipe.to_dict(), **own(candidate)})
        if self.rungs and recipe.steps != self.recipe.steps:
            raise ConfigError(
                f"space {self.definition.SPACE.name!r} trains {candidate} for {recipe.steps} steps, but the "
                f"rungs are of {self.recipe.steps}; leave the steps out of recipe(candidate)"
            )
        lacks = (recipe.loss or self.task.loss) not in COMPILED_LOSSES
        return replace(recipe, engine="torch") if lacks else recipe

    @cached_property
    def problem(self) -> Problem:
        """What the optimiser is given."""
        known = frozenset(self.model.predicts)
        steps = self.recipe.steps if self.rungs else 0
        return Problem(
            self.definition.SPACE,
            self.objectives,
            self.price,
            known,
            self.limits,
            self.baseline,
            steps,
            one_by_one=self._workload is None,
        )

    def price(self, codes: NDArray[np.int16]) -> Mapping[str, NDArray[np.float64]]:
        """Costs of many candidates at once, by name, each of shape ``(n,)``.

        Raises
        ------
        ConfigError
            If the space's ``build`` or ``workload``, or the model, raises something else than a
            ``CodesignError``.
        """
        try:
            return self._prices(codes)
        except CodesignError:
            raise
        except Exception as error:
            raise ConfigError(
                f"a design of space {self.definition.SPACE.name!r} cannot be built and priced: "
                f"{type(error).__name__}: {error}{self._place(error)}; mend the space's build(candidate) or "
                "workload(codes), see codesign.testing.check_search_space"
            ) from error

    @cached_property
    def _prices(self) -> Callable[[NDArray[np.int16]], Costs]:
        workload = self._workload
        if workload is None:
            return Remembered(self._price_built)
        return lambda codes: self.model.price(workload(codes), self.device)

    @property
    def _workload(self) -> Callable[[NDArray[np.int16]], Workload] | None:
        return getattr(self.definition, "workload", None)

    def _built(self, candidate: Candidate) -> Network:
        try:
            return self.definition.build(candidate)
        except CodesignError:
            raise
        except Exception as error:
            raise ConfigError(
                f"a design of space {self.definition.SPACE.name!r} cannot be built and priced: "
                f"{dict(candidate.values)}: {type(error).__name__}: {error}{self._place(error)}; mend the "
                "space's build(candidate), see codesign.testing.check_search_space, or keep it out by a "
                "Constraint"
            ) from error

    def _place(self, error: Exception) -> str:
        """Where in the file of the space's ``build`` an error came from, to append to it."""
        place = raised_at(error, {self.definition.build.__module__})
        return f" (at {place})" if place else ""

    def _price_built(self, codes: NDArray[np.int16]) -> Costs:
        """Costs of designs that are built one by one.

        Each is priced among those of as many layers: sums over absent layers differ in the last bit, and what
        a design costs must not depend on what was asked for beside it.
        """
        networks = [self._built(each) for each in self.definition.SPACE.decode(codes)]
        if not networks:
            return self.model.price(Workload.of(networks), self.device)
        depths = np.array([_depth(network) for network in networks])
        rows = [np.flatnonzero(depths == depth) for depth in np.unique(depths)]
        parts = [self.model.price(Workload.of([networks[row] for row in part]), self.device) for part in rows]
        order = np.argsort(np.concatenate(rows))
        return {name: np.concatenate([part[name] for part in parts])[order] for name in parts[0]}

    @property
    def _looked_at(self) -> str:
        """What to know of a search that could not price the whole space; else empty."""
        if not (isinstance(self._prices, Remembered) and self.problem.sampled):
            return ""
        name, bound = self.definition.SPACE.name, self.definition.SPACE.bound
        return (
            f"space {name!r} has no workload(codes): its designs are built one by one to price them, so that "
            f"proposals were chosen among {len(self._prices):,} of {bound:,}; docs/howto/define-a-space.md "
            "shows how to price many at once"
        )

    @cached_property
    def trained_model(self) -> HardwareModel:
        """What prices trained designs: the model with inputs of the task, if it counts what they change."""
        return self.model if self.task.name == TOLD else with_inputs(self.model, inputs_of(self.task, FRAMES))

    def costs(self, candidate: Candidate) -> dict[str, float]:
        """Costs of one candidate before it is trained."""
        prices = self.price(self.definition.SPACE.encode([candidate]))
        return {name: float(values[0]) for name, values in prices.items()}

    def refusal(self, candidate: Candidate) -> str:
        """Why a candidate will not be trained: its budgets, or a target that cannot take it; else empty."""
        return self.problem.over_budget(candidate) or self.unexportable(candidate)

    def unexportable(self, candidate: Candidate) -> str:
        """Why a target that designs are meant for cannot take a candidate; else empty."""
        if not self.export:
            return ""
        network = self.definition.build(candidate)
        for target in self.export:
            try:
                exporter(target).check(network, self.device)
            except UnsupportedLayerError as error:
                return str(error)
        return ""

    @cached_property
    def baseline(self) -> Candidate | None:
        """The design that others are compared with, if the space names one."""
        values = getattr(self.definition, "BASELINE", None)
        return None if values is None else self.definition.SPACE.candidate(values)

    @property
    def _builds(self) -> dict[str, str]:
        """Digests of some designs and of the networks built of them; empty for one that is refused."""
        drawn = self.definition.SPACE.sample(BUILT, np.random.default_rng(0))
        found: dict[str, str] = {}
        for candidate in (*drawn, *([self.baseline] if self.baseline else [])):
            try:
                found[candidate.digest] = self._built(candidate).digest[:SHORT_DIGEST]
            except CodesignError:
                found[candidate.digest] = ""
        return found

    def samples(self) -> dict[str, Samples]:
        """What the task gives to train and to score on: ``training``, ``validation``."""
        _require_parts(self.task, "training", "validation", "score", "describe")
        with called(self.task.name, type(self.task)):
            found = {"training": self.task.training, "validation": self.task.validation}
        for kind, given in found.items():
            if not all(hasattr(given, part) for part in Samples.__slots__):
                raise DataError(
                    f"task {self.task.name!r}: {kind} is of type {type(given).__name__}; give "
                    "codesign.tasks.Samples(inputs, targets, output_index)"
                )
        return found

    def doubts(self) -> list[str]:
        """What is hardly meant: inputs beyond their format, a share like an accuracy that is minimised."""
        senses = [
            f"{goal.name} is minimised; 'max {goal.name}' maximises it"
            for goal in self.objectives
            if goal.name in self.task.metrics and goal.sense == "min" and is_share(goal.name)
        ]
        return [*filter(None, [self.outside_input_format()]), *senses]

    def outside_input_format(self) -> str:
        """What to know of inputs of which more than ``OUTSIDE`` lie beyond the input format; else empty.

        The format is that of the baseline, or of a design drawn where there is none. One step beyond its ends
        does not count.
        """
        design = _some_designs(self)[0]
        form = self._built(design).input_format
        if self.task.name == TOLD or form is None:
            return ""
        inputs = np.asarray(self.samples()["training"].inputs)
        low, high = form.minimum * form.scale, form.maximum * form.scale
        outside = (inputs < low - form.scale) | (inputs > high + form.scale)
        share = float(outside.mean()) if outside.size else 0.0
        if share <= OUTSIDE:
            return ""
        what = "the baseline" if design == self.baseline else "a design"
        return (
            f"{share:.0%} of the training inputs, which go from {inputs.min():.6g} to {inputs.max():.6g}, "
            f"lie outside {low:g} to {high:g} of the input format of {what} and {form.overflow}; scale "
            "them, or give the format more integer bits in build(candidate)"
        )

    def _described_task(self) -> dict[str, Any]:
        """What tells the task's data from others, which JSON can hold."""
        with called(self.task.name, type(self.task)):
            found = {"name": self.task.name, "metrics": dict(self.task.metrics), **self.task.describe()}
        try:
            json.dumps(found)
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"describe of task {self.task.name!r} gave what JSON cannot hold: {error}; give numbers, "
                "texts and lists of them, and a digest for arrays"
            ) from error
        return found

    def describe(self) -> dict[str, Any]:
        """What identifies the sequence of a study, as plain data."""
        return {
            "version": version("codesign"),
            "space": {"name": self.definition.SPACE.name, "fingerprint": self.definition.SPACE.fingerprint},
            **({} if self.task.name == TOLD else {"build": self._builds}),
            "task": self._described_task(),
            "objectives": [goal.to_dict() for goal in self.objectives],
            "limits": [goal.to_dict() for goal in self.limits],
            "model": self.model.name,
            **_calibration(self.model),
            "device": self.device.to_dict(),
            "recipe": self.recipe.to_dict(),
            "optimiser": self.optimiser.name,
            "seed": self.seed,
            "in_flight": self.in_flight,
            "baseline": self.baseline.digest if self.baseline else None,
            **({"export": list(self.export)} if self.export else {}),
            "rungs": asdict(self.rungs) if self.rungs else None,
        }


def _depth(network: Network) -> int:
    """Convolution and dense layers on the chip."""
    return sum(isinstance(layer, Conv | Dense) for layer in network.layers[: network.chip_layers])


def _calibration(model: HardwareModel) -> dict[str, str]:
    """Digest of the calibration that corrects a model, if any: a study goes on with the same."""
    calibration = getattr(model, "calibration", None)
    return {} if calibration is None else {"calibration": calibration.digest}


class Study:
    """A search and what it found; lives in a folder."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.meta = store.meta()
        before = (("engine", "torch"), ("loss", None), ("initial", "glorot"))
        for name, older in before:  # of studies made before a recipe had these
            self.meta.get("recipe", {}).setdefault(name, older)
        self.objectives = tuple(Objective(**goal) for goal in self.meta["objectives"])
        self.limits = tuple(Objective(**goal) for goal in self.meta["limits"])
        self.note = ""
        self.exhausted = False
        self._setup: Setup | None = None

    @classmethod
    def create(
        cls,
        folder: str | Path,
        setup: Setup,
        config: Mapping[str, Any] | None = None,
        warm_start: Sequence[str | Path] = (),
    ) -> "Study":
        """Make a new study in a folder; raise if no design can be priced, or keeps the budgets.

        Raises also where no export of ``setup`` could be for its device, for data that are no finite numbers
        or that neither the networks nor the loss can take, for a loss that suits no design of the space, and
        for earlier studies to start from that have another task or recipe: their scores are not this one's.
        """
        for earlier in warm_start:
            _require_same_work(setup, earlier)
        setup.price(setup.definition.SPACE.sample_codes(1, np.random.default_rng(setup.seed)))
        setup.problem.check_budgets(np.random.default_rng(setup.seed))
        if setup.export:
            setup.unexportable(
                setup.baseline or setup.definition.SPACE.sample(1, np.random.default_rng(setup.seed))[0]
            )
        if setup.task.name != TOLD:
            require_data(setup)
        known: dict[str, Any] = {"config": dict(config or {}), "constant": _constant(setup.task)}
        with called(setup.task.name, type(setup.task)):
            without: Mapping[str, Mapping[str, float]] = getattr(setup.task, "references", dict)()
        if without:
            known["references"] = [
                Reference(name, f"task {setup.task.name}", values).to_dict()
                for name, values in without.items()
            ]
        if warm_start:
            known["warm_start"] = [str(Path(earlier).resolve()) for earlier in warm_start]
        store = Store.create(folder, {**setup.describe(), **known})
        if setup.task.name != TOLD:
            store.keep_inputs(inputs_of(setup.task, FRAMES))
        return cls(store)

    def _start_warm(self, setup: Setup) -> None:
        """Take over the designs of earlier studies, once; what was left undone by an interruption, too."""
        if self.meta.get("warm_start") and not self.meta.get("warm_started"):
            for earlier in self.meta["warm_start"]:
                self._take_over(setup, earlier)
            self.store.set_meta("warm_started", True)
            self.meta = self.store.meta()

    def _take_over(self, setup: Setup, folder: str) -> None:
        """Those designs of an earlier study that went well, in full, and are designs of this one.

        Their costs are priced anew. They count as no trials.
        """
        earlier = Study.read(folder)
        with earlier.store:
            rows = {candidate: (number, done) for number, candidate, _, done in self.store.proposals()}
            for evaluation in _trained_in_full(earlier):
                candidate = evaluation.candidate
                number, done = rows.get(candidate, (len(rows), None))
                network = _same_design(setup, earlier, evaluation)
                if network is None or done is not None:
                    continue
                origin = f"{WARM_START}: {earlier.folder.name}"
                taken = replace(evaluation, number=number, origin=origin, costs=setup.costs(candidate))
                if candidate not in rows:
                    self.store.propose(number, candidate, origin)
                if isinstance(network, Network):
                    self.store.finish(_priced_anew(setup, taken, network), network)
                else:
                    self.store.finish(taken)
                    for each in earlier.store.repeats():
                        if each.candidate == candidate:
                            self.store.record_repeat(replace(each, number=number, costs=taken.costs))
                rows[candidate] = (number, taken)

    @classmethod
    def open(cls, folder: str | Path) -> "Study":
        """Open a study to go on with it."""
        return cls(Store.open(folder))

    @classmethod
    def read(cls, folder: str | Path) -> "Study":
        """Open a study to look at it."""
        return cls(Store.read(folder))

    def close(self) -> None:
        """Let go of the folder."""
        self.store.close()

    @property
    def folder(self) -> Path:
        """Where the study lives."""
        return self.store.folder

    @property
    def evaluations(self) -> list[Evaluation]:
        """The designs that ended, in the order in which they came, each as it was last trained."""
        return latest(self.history)

    @property
    def history(self) -> list[Evaluation]:
        """Everything that ended, in order of proposal: a design trained rung by rung has one on each."""
        return self.store.evaluations()

    @property
    def baseline(self) -> Evaluation | None:
        """The evaluation of the design that others are compared with."""
        digest = self.meta["baseline"]
        return next((e for e in self.evaluations if e.candidate.digest == digest), None)

    def near_constant(self) -> tuple[float, list[Evaluation]] | None:
        """Score of a constant answer on the first measured objective, and the designs near it or worse.

        Near is within ``NEAR``: the task's constant is one of many, and a network that has learnt nothing
        else may have found a somewhat better one. None if the task does not tell, or if no objective is
        measured.
        """
        known: Mapping[str, float] = self.meta.get("constant", {})
        goal = next((goal for goal in self.objectives if goal.name in known), None)
        if goal is None:
            return None
        bound = known[goal.name]
        limit = goal.sign * bound - NEAR * abs(bound)
        return bound, [e for e in self.evaluations if e.ok and goal.sign * e.value(goal.name) >= limit]

    @property
    def told(self) -> bool:
        """Whether its values are told, so that there is no training."""
        return bool(self.meta["task"]["name"] == TOLD)

    @property
    def references(self) -> list[Reference]:
        """Designs from elsewhere that the front is shown beside."""
        return [Reference(**each) for each in self.meta.get("references", [])]

    def add_reference(self, reference: Reference) -> None:
        """Show the front beside another design from now on; one of the same name is replaced."""
        kept = [each for each in self.references if each.name != reference.name]
        self.store.set_meta("references", [each.to_dict() for each in (*kept, reference)])
        self.meta = self.store.meta()

    def front(self) -> Front:
        """The designs that none dominates."""
        return Front.of(self.evaluations, self.objectives)

    @property
    def optimiser(self) -> str:
        """Name of what proposed, with ``+asha`` behind it where designs were trained in rungs."""
        return str(self.meta["optimiser"]) + ("+asha" if self.meta.get("rungs") else "")

    @property
    def in_part(self) -> list[Evaluation]:
        """The designs on the front of a study in rungs that were not trained to the end."""
        rungs = self.meta.get("rungs")
        sent = [(candidate, origin) for _, candidate, origin, _ in self.store.proposals()]
        return _in_part(self.front(), sent, len(rungs["steps"])) if rungs else []

    @property
    def repeated(self) -> dict[str, Repeated]:
        """The designs that were trained with further seeds, by their whole digests."""
        own = {each.candidate: each for each in self.evaluations if each.ok}
        more: dict[Candidate, list[Evaluation]] = {}
        for each in self.store.repeats():
            if each.ok and each.candidate in own:
                more.setdefault(each.candidate, []).append(each)
        return {design.digest: Repeated((own[design], *found)) for design, found in more.items()}

    def front_over_seeds(self) -> Front:
        """The front where the means over seeds count of those designs that have several."""
        repeated = self.repeated
        averaged = [
            repeated[each.candidate.digest].averaged() if each.candidate.digest in repeated else each
            for each in self.evaluations
        ]
        return Front.of(averaged, self.objectives)

    def network(self, digest: str) -> Network:
        """The trained network of a design, by the first digits of its digest."""
        return self.store.network(self.store.evaluation(digest).candidate.digest)

    def to_dataframe(self) -> "pd.DataFrame":
        """One row an evaluation: parameters, values, costs, how it ended, and whether it is on the front.

        Behind them, with ``origin`` "repeat", the trainings with further seeds.
        """
        import pandas as pd

        best = {evaluation.number for evaluation in self.front()}
        rows = [*self.history, *self.store.repeats()]
        return pd.DataFrame([{**_flat(e), "on_front": e.number in best} for e in rows])

    def plot(self) -> "Figure":
        """The front and everything evaluated, as a Matplotlib figure; bars: mean and spread over seeds."""
        from codesign.plotting import front_figure

        repeated = list(self.repeated.values())
        return front_figure(
            self.evaluations, self.front(), self.baseline, self.units, self.references, repeated
        )

    def save_front(self) -> list[Path]:
        """Write ``front.csv``, ``front.json``, ``front.png`` and ``front.html`` into the folder."""
        from codesign.plotting import front_html, png

        front, baseline = self.front(), self.baseline
        repeated = self.repeated
        rows = [{**row, **_over_seeds(repeated.get(row["digest"]))} for row in front.rows(baseline)]
        contents: dict[str, str | bytes] = {
            "front.csv": _csv(rows),
            "front.json": json.dumps(self.front_dict(), indent=1),
            "front.png": png(self.plot()),
            "front.html": front_html(
                self.evaluations, front, baseline, self.units, self.references, list(repeated.values())
            ),
        }
        for name, content in contents.items():
            write_file(self.folder / name, content)
        return [self.folder / name for name in contents]

    def front_dict(self) -> dict[str, Any]:
        """The front beside baseline, references and repeated trainings, as plain data."""
        found = self.front().to_dict(self.baseline, self.references)
        repeated = [each.to_dict() for each in self.repeated.values()]
        return {**found, **({"repeated": repeated} if repeated else {})}

    def export(
        self,
        digest: str,
        target: str,
        folder: str | Path | None = None,
        *,
        device: Device | None = None,
        inputs: NDArray[Any] | None = None,
        interval: int | None = None,
        **options: Any,
    ) -> Path:
        """Write a trained design in another form, checked bit for bit; return the folder.

        Parameters
        ----------
        digest
            First digits of the design's digest.
        target
            ``onnx``, ``qonnx``, ``finn``, ``hls4ml`` or ``rtl``.
        folder
            Where to; by default ``export/<digest>/<target>`` in the study.
        device
            What it is written for; by default the study's.
        inputs
            Shape ``(n, *input_shape)``, what it is verified on, beside made-up inputs of the whole range.
        interval
            Initiation interval in cycles that every layer is folded to; by default the design's own folding.
        options
            Of the target: ``backends`` of hls4ml.

        Raises
        ------
        UnsupportedLayerError
            For what the target cannot take.
        MissingToolError
            If its tool is not installed.
        OutputError
            If the folder cannot be written, or the written form computes something else.
        """
        candidate = self.store.evaluation(digest).candidate
        network = self.store.network(candidate.digest)
        place = Path(folder) if folder is not None else self.export_folder(digest, target)
        return exporter(target).export(
            network if interval is None else fold(network, interval),
            place,
            device=device or self.device,
            inputs=vectors(network, inputs),
            origin={"study": self.folder.name, "candidate": candidate.digest, **candidate.values},
            **options,
        )

    def export_folder(self, digest: str, target: str) -> Path:
        """Where a design is exported to by default."""
        return self.folder / "export" / self.store.evaluation(digest).candidate.digest / target

    @property
    def device(self) -> Device:
        """What the designs are priced for."""
        return Device(**self.meta["device"])

    @property
    def units(self) -> dict[str, str]:
        """Units of all values by name."""
        named = dict.fromkeys((goal["name"] for goal in (*self.meta["objectives"], *self.meta["limits"])), "")
        return {**named, **COST_UNITS, **self.meta["task"]["metrics"]}

    def with_setup(self, setup: Setup) -> "Study":
        """The study, to ask and to tell; raise ``StoreError`` if it was made with another setting."""
        _same_study(self.meta, setup.describe(), self.folder)
        self._start_warm(setup)
        self._setup = setup
        return self

    @property
    def setup(self) -> Setup:
        """What the study was made or run with in this process; raise ``ConfigError`` if it was not."""
        if self._setup is None:
            raise ConfigError(
                f"{self.folder} was only opened; give its folder, or what codesign.run(..., "
                f"out={str(self.folder)!r}) returns"
            )
        return self._setup

    @property
    def asked(self) -> list[Candidate]:
        """Candidates that were asked for and of which nothing was told yet."""
        return [candidate for _, candidate, _, evaluation in self.store.proposals() if evaluation is None]

    def ask(self, count: int = 1) -> list[Candidate]:
        """New candidates to evaluate, fewer if no more are left; those asked for and not told are pending.

        Raises
        ------
        ConfigError
            If the study was not made by ``codesign.create``, or for a count below 1.
        """
        setup = self._told()
        if count < 1:
            raise ConfigError(f"ask for 1 candidate or more, got {count}")
        fresh: list[Candidate] = []
        while len(fresh) < count:
            rows = self.store.proposals()
            history = [evaluation for *_, evaluation in rows if evaluation is not None]
            history = _with_repeats(history, self.store.repeats())
            pending = [candidate for _, candidate, _, evaluation in rows if evaluation is None]
            if not rows and setup.baseline is not None:
                job = setup.baseline, "baseline"
            else:
                rng = np.random.default_rng([setup.seed, len(rows)])
                proposal = setup.optimiser.propose(setup.problem, history, pending, rng)
                if proposal is None:
                    break
                job = proposal.candidate, proposal.origin
            self.store.propose(len(rows), *job)
            fresh.append(job[0])
        return fresh

    def tell(
        self,
        candidate: Candidate | Mapping[str, Any],
        values: Mapping[str, float] | None = None,
        *,
        reason: str = "",
        again: bool = False,
    ) -> Evaluation:
        """Record what came of a candidate.

        Parameters
        ----------
        candidate
            One that was asked for, or another point of the space.
        values
            The measured objectives by name; None if the evaluation failed.
        reason
            Why it failed.
        again
            Whether this is a further measurement of a design that was told before: what is learnt from is
            their mean.

        Raises
        ------
        ConfigError
            For values that are missing, unknown or no finite numbers, or a failure without a reason.
        SpaceError
            For what is no point of the space.
        StoreError
            If something was told of it before, or, with ``again``, nothing was.
        """
        setup = self._told()
        given = dict(candidate.values) if isinstance(candidate, Candidate) else candidate
        candidate = setup.definition.SPACE.candidate(given)
        metrics = _told_metrics(values, reason, tuple(setup.task.metrics))
        status: Status = "failed" if values is None else "ok"
        over = setup.problem.over_budget(candidate)
        if status == "ok" and over:
            status, reason = "infeasible", over
        rows = {known: (number, origin, done) for number, known, origin, done in self.store.proposals()}
        number, origin, done = rows.get(candidate, (len(rows), "told", None))
        if done is not None and not again:
            raise StoreError(
                f"design {candidate.digest} ({candidate}) was told before: {done.status}; "
                "tell(..., again=True) adds a further measurement"
            )
        if done is None and again:
            raise StoreError(f"design {candidate.digest} ({candidate}) was not told before; leave out again")
        if candidate not in rows:
            self.store.propose(number, candidate, origin)
        evaluation = Evaluation(
            number=number,
            candidate=candidate,
            origin=origin,
            status=status,
            reason=reason,
            metrics={name: Summary.of([value]) for name, value in metrics.items()},
            costs=setup.costs(candidate),
            seed=setup.seed,
        )
        if again:
            before = sum(each.candidate == candidate for each in self.store.repeats())
            evaluation = replace(evaluation, origin=REPEAT, seed=setup.seed + 1 + before)
            self.store.record_repeat(evaluation)
        else:
            self.store.finish(evaluation)
        return evaluation

    def _told(self) -> Setup:
        if self._setup is None or not self.told:
            raise ConfigError(
                f"{self.folder} is not open to ask and tell; make it or go on with it by codesign.create(...)"
            )
        return self._setup

    def run(
        self, setup: Setup, trials: int, watcher: Watcher | None = None, *, finish: bool = False
    ) -> "Study":
        """Go on until ``trials`` designs were proposed, or none is left, and all were trained that climb.

        With ``finish`` those on the front climb until all of it was trained to the end.

        Where every training so far has failed, they are done again, with the task as it is now.

        Raises
        ------
        StoreError
            If the study was made by another version, or with another space, task or setting.
        ConfigError
            If the first ``ALIKE`` trainings all failed for the same reason.
        """
        self._forget_failures(setup)
        _same_study(self.meta, setup.describe(), self.folder)
        if finish and setup.rungs is None:
            raise ConfigError(
                f"{self.folder} trains every design to the end at once: nothing is to be finished"
            )
        self._setup = setup
        self._start_warm(setup)
        before = self._proposed
        self.store.set_meta("trials", max(trials, self.meta.get("trials", 0)))
        context = (setup.task, setup.seed)
        workers = min(setup.workers, setup.in_flight)
        executor: Executor = InProcess(context) if workers == 1 else Processes(context, workers)
        try:
            _Loop(self.store, setup, executor, watcher, finish=finish).run(trials)
        finally:
            executor.close()
        proposed = self._proposed
        notes = [setup._looked_at] if proposed > before else []
        self.exhausted = proposed < trials
        if self.exhausted:
            notes = ["every design within the budgets has been proposed"]
        elif proposed > trials:
            notes.append(f"the study has {proposed} designs already; {trials} are no more work")
        self.note = "; ".join(filter(None, notes))
        return self

    @property
    def _proposed(self) -> int:
        """Designs that this study has proposed itself."""
        rows = self.store.proposals()
        return len({candidate for _, candidate, origin, _ in rows if not origin.startswith(WARM_START)})

    def _forget_failures(self, setup: Setup) -> None:
        """Of a study of which nothing but failures came, forget these, and take the task as it is now."""
        trained = _trained(self.history)
        if self.told or not trained or any(each.status != "failed" for each in trained):
            return
        described = setup.describe()
        mended = ("task", "build")
        kept = {key: value for key, value in described.items() if key not in mended}
        _same_study(self.meta, kept, self.folder)
        require_data(setup)
        for key in mended:
            self.store.set_meta(key, described[key])
        self.store.set_meta("constant", _constant(setup.task))
        self.store.keep_inputs(inputs_of(setup.task, FRAMES))
        for each in trained:
            self.store.forget(each.number)
        self.meta = self.store.meta()

    def repeat(
        self, setup: Setup, digests: Sequence[str], seeds: int, watcher: Watcher | None = None
    ) -> list[Repeated]:
        """Train designs again with further seeds, each to where the study trained it; return all of theirs.

        What was done before is not done again, but for what failed; stopped, the same call goes on. A study
        that goes on later learns from these trainings too: of a design it takes the mean.

        Parameters
        ----------
        setup
            What the study was made with.
        digests
            Whole digests of designs that were trained.
        seeds
            How many of each in all, the study's own among them; they follow the study's.
        watcher
            Told of each training.

        Raises
        ------
        StoreError
            If the study was made with another setting, or a design was not trained.
        ConfigError
            For less than two seeds, or a study whose values are told.
        """
        if self.told:
            raise ConfigError(
                f"{self.folder} trains nothing; tell(candidate, values, again=True) adds a measurement"
            )
        _same_study(self.meta, setup.describe(), self.folder)
        if seeds < 2:
            raise ConfigError(f"repeating takes two seeds or more, the study's own among them; got {seeds}")
        own = [self.store.evaluation(digest) for digest in digests]
        for each in own:
            if not each.ok:
                raise StoreError(f"design {each.candidate.digest} was not trained: {each.status}")
        done = {
            (each.candidate.digest, each.seed)
            for each in self.store.repeats()
            if each.status not in ("lost", "failed")
        }
        wanted = [
            replace(each, origin=REPEAT, seed=each.seed + further)
            for further in range(1, seeds)
            for each in own
            if (each.candidate.digest, each.seed + further) not in done
        ]
        if watcher:
            watcher.resumed([])
        workers = min(setup.workers, max(len(wanted), 1))
        context = (setup.task, setup.seed)
        executor: Executor = InProcess(context) if workers == 1 else Processes(context, workers)
        try:
            for evaluation in _repeats(setup, executor, wanted, watcher):
                self.store.record_repeat(evaluation)
        finally:
            executor.close()
        repeated = self.repeated
        return [repeated[digest] for digest in digests if digest in repeated]


def _trained(evaluations: Iterable[Evaluation]) -> list[Evaluation]:
    """Those whose training was begun by the study itself."""
    return [
        each
        for each in evaluations
        if not (each.status == "infeasible" and not each.steps) and not each.origin.startswith(WARM_START)
    ]


def _repeats(
    setup: Setup, executor: Executor, wanted: Sequence[Evaluation], watcher: Watcher | None
) -> Iterator[Evaluation]:
    """Evaluations with the results of their trainings, as these end."""
    for key, each in enumerate(wanted):
        recipe = setup.recipe_of(each.candidate)
        arguments = {
            "network": setup.definition.build(each.candidate),
            "recipe": recipe,
            "seed": each.seed,
            "until": each.steps if each.steps < recipe.steps else None,
        }
        executor.submit(key, Job(_evaluate, arguments))
        if watcher:
            watcher.started(key, each.candidate, each.costs)
    ended = 0
    while ended < len(wanted):
        for key, result in executor.wait(PATIENCE_SECONDS):
            ended += 1
            evaluation = _ended(setup, wanted[key], result)
            if watcher:
                watcher.finished(replace(evaluation, number=key))
            yield evaluation
        if watcher:
            watcher.tick()


def _ended(setup: Setup, expected: Evaluation, result: "Outcome | BaseException") -> Evaluation:
    """An evaluation with what came of its training."""
    blank = replace(expected, metrics={}, curve=(), steps=0, epochs=0.0, seconds=0.0, engine="")
    if isinstance(result, WorkerLostError):
        return replace(blank, status="lost", reason=str(result))
    if isinstance(result, BaseException):
        return replace(blank, status="failed", reason=f"{type(result).__name__}: {result}")
    names = ("status", "reason", "metrics", "steps", "epochs", "seconds", "curve", "engine")
    evaluation = replace(blank, **{name: getattr(result, name) for name in names})
    return _priced_anew(setup, evaluation, result.network) if evaluation.ok else evaluation


class _Loop:
    """State of a running study: what is finished, what is under way.

    When a worker dies, everything its pool had comes back lost. Each of these *suspects* is tried once more,
    alone, and nothing is proposed meanwhile; only what is lost again is recorded as lost.
    """

    def __init__(
        self, store: Store, setup: Setup, executor: Executor, watcher: Watcher | None, *, finish: bool
    ) -> None:
        self.store, self.setup, self.executor, self.watcher = store, setup, executor, watcher
        self.finish = finish
        self.candidates: list[Candidate] = []
        self.origins: list[str] = []
        self.done: dict[int, Evaluation] = {}
        self.under_way: set[int] = set()
        self.suspects: list[int] = []
        self.exhausted = False
        self.repeats = store.repeats()
        proposals = store.proposals()
        if self.watcher:
            self.watcher.resumed([evaluation for *_, evaluation in proposals if evaluation is not None])
        for _, candidate, origin, evaluation in proposals:
            self._take(candidate, origin, evaluation)

    def run(self, trials: int) -> None:
        self.trials = trials
        while True:
            while self._may_propose() and self._propose():
                pass
            if len(self.done) == len(self.candidates):
                return
            for number, result in self.executor.wait(PATIENCE_SECONDS):
                self._finish(number, result)
                self._require_other_than_failures()
            if self.suspects and not self.under_way:
                self._submit(self.suspects[0])
            if self.watcher:
                self.watcher.tick()

    def _require_other_than_failures(self) -> None:
        """Raise ``ConfigError`` if the first trainings all failed alike: so will the others."""
        trained = _trained(self.done.values())
        if len(trained) < ALIKE or any(each.status != "failed" for each in trained):
            return
        if len({re.sub(r"\d+", "", each.reason) for each in trained}) == 1:
            raise ConfigError(
                f"the first {counted(len(trained), 'design')} all failed alike: {trained[-1].reason}; once "
                f"that is mended, `codesign resume {self.store.folder}` (or the same codesign.run) trains "
                "them again"
            )

    def _may_propose(self) -> bool:
        seen = len(self.candidates) - self.setup.in_flight + 1
        return not self.suspects and all(number in self.done for number in range(max(seen, 0)))

    def _propose(self) -> bool:
        """Send a job out; False where none is due before something else has ended."""
        number, baseline = len(self.candidates), self.setup.baseline
        history = [self.done[index] for index in range(max(number - self.setup.in_flight + 1, 0))]
        job: tuple[Candidate, str] | None = self._climber(history)
        if job is None and self._designs < self.trials and not self.exhausted:
            first = baseline is not None and baseline not in self.candidates
            job = (baseline, "baseline") if first and baseline is not None else self._new(history)
        if job is None and len(self.done) == number:
            history = list(self.done.values())  # no more designs: what is due once all have ended
            job = self._climber(history)
            if job is None:
                return self._finish_front(history)
        if job is None:
            return False
        self.store.propose(number, *job)
        self._take(*job, None)
        return True

    @property
    def _designs(self) -> int:
        """Designs that this study has proposed itself."""
        pairs = zip(self.candidates, self.origins, strict=True)
        return len({candidate for candidate, origin in pairs if not origin.startswith(WARM_START)})

    def _new(self, history: list[Evaluation]) -> tuple[Candidate, str] | None:
        """A design that the optimiser proposes."""
        proposal = self.setup.optimiser.propose(
            self.setup.problem,
            _with_repeats(history, self.repeats),
            self.candidates[len(history) :],
            np.random.default_rng([self.setup.seed, len(self.candidates)]),
        )
        self.exhausted = proposal is None
        return None if proposal is None else (proposal.candidate, proposal.origin)

    def _climber(self, history: list[Evaluation]) -> tuple[Candidate, str] | None:
        """A design that is to be trained on; what was trained in full at once stands on no rung."""
        if self.setup.rungs is None:
            return None
        whole = _on_no_rung(zip(self.candidates, self.origins, strict=True))
        trials = trials_of(
            self.setup.rungs,
            [evaluation for evaluation in history if evaluation.candidate not in whole],
            [candidate for candidate in self.candidates[len(history) :] if candidate not in whole],
            self.setup.problem.objectives,
        )
        due = next_job(self.setup.rungs, trials)
        return None if due is None else (due.candidate, f"asha: {self.setup.rungs.steps[due.rung]} steps")

    def _finish_front(self, history: list[Evaluation]) -> bool:
        """Send all designs on the front that were trained in part to their next rung, if asked to."""
        if self.setup.rungs is None or not self.finish:
            return False
        steps, first = self.setup.rungs.steps, len(self.candidates)
        front = Front.of(latest(history), self.setup.objectives)
        left = _in_part(front, list(zip(self.candidates, self.origins, strict=True)), len(steps))
        due = [
            (each.candidate, f"finish: {steps[self.candidates.count(each.candidate)]} steps") for each in left
        ]
        for place, job in enumerate(due):  # all are stored before one of them can end
            self.store.propose(first + place, *job)
        for job in due:
            self._take(*job, None)
        return bool(due)

    def _take(self, candidate: Candidate, origin: str, evaluation: Evaluation | None) -> None:
        """Append a proposal; hand it to a worker unless it has ended or is over budget."""
        number = len(self.candidates)
        self.candidates.append(candidate)
        self.origins.append(origin)
        if evaluation is not None:
            self.done[number] = evaluation
            return
        refusal = self.setup.refusal(candidate)
        if refusal:
            self._record(self._evaluation(number, "infeasible", refusal))
            return
        self._submit(number)

    def _submit(self, number: int) -> None:
        candidate = self.candidates[number]
        arguments = {
            "network": self.setup.definition.build(candidate),
            "recipe": self.setup.recipe_of(candidate),
            **self._part(number),
        }
        self.executor.submit(number, Job(_evaluate, arguments))
        self.under_way.add(number)
        if self.watcher:
            self.watcher.started(number, candidate, self.setup.costs(candidate))

    def _part(self, number: int) -> dict[str, Any]:
        """Which steps of its training a proposal is: to where, and from where."""
        rungs, candidate = self.setup.rungs, self.candidates[number]
        if rungs is None or self.origins[number] == "baseline":
            return {}
        before = [at for at in range(number) if self.candidates[at] == candidate]
        go_on = self.store.checkpoint(candidate.digest, self.done[before[-1]].steps) if before else None
        return {"until": rungs.steps[len(before)], "go_on": go_on}

    def _finish(self, number: int, result: "Outcome | BaseException") -> None:
        self.under_way.discard(number)
        if isinstance(result, WorkerLostError) and number not in self.suspects:
            self.suspects.append(number)
            return
        if number in self.suspects:
            self.suspects.remove(number)
        expected = self._evaluation(number, "ok", "")
        evaluation = _ended(self.setup, expected, result)
        trained = None if isinstance(result, BaseException) else result
        network = trained.network if trained and trained.status == "ok" else None
        self._record(evaluation, network, trained.checkpoint if trained else None)

    def _evaluation(self, number: int, status: Status, reason: str, **values: Any) -> Evaluation:
        candidate = self.candidates[number]
        return Evaluation(
            number=number,
            candidate=candidate,
            origin=self.origins[number],
            status=status,
            reason=reason,
            costs=self.setup.costs(candidate),
            seed=self.setup.seed,
            **values,
        )

    def _record(
        self,
        evaluation: Evaluation,
        network: Network | None = None,
        checkpoint: Mapping[str, Any] | None = None,
    ) -> None:
        self.store.finish(evaluation, network, checkpoint)
        self.done[evaluation.number] = evaluation
        if self.watcher:
            self.watcher.finished(evaluation)


def _in_part(front: Front, sent: Sequence[tuple[Candidate, str]], rungs: int) -> list[Evaluation]:
    """Designs of a front that were not yet sent to the last of so many rungs; ``sent`` has their origins.

    A training that stopped early on the last rung has ended; so have those that stand on none.
    """
    times = Counter(candidate for candidate, _ in sent)
    whole = _on_no_rung(sent)
    return [each for each in front if each.candidate not in whole and times[each.candidate] < rungs]


def _on_no_rung(sent: Iterable[tuple[Candidate, str]]) -> set[Candidate]:
    """Designs that were trained in full at once, of all with their origins."""
    return {each for each, origin in sent if origin == "baseline" or origin.startswith(WARM_START)}


def _with_repeats(history: Sequence[Evaluation], repeats: Sequence[Evaluation]) -> list[Evaluation]:
    """What has ended, and behind each design its further trainings.

    There they stay while the history grows, so that what was learnt of its beginning holds, and the newest
    evaluations are the last.
    """
    further: dict[Candidate, list[Evaluation]] = {}
    for each in repeats:
        further.setdefault(each.candidate, []).append(each)
    return [one for each in history for one in (each, *further.pop(each.candidate, ()))]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a worker sends back."""

    network: Network
    status: Literal["ok", "diverged"]
    reason: str
    metrics: Mapping[str, Summary]
    steps: int
    epochs: float
    seconds: float
    curve: tuple[tuple[int, float, float], ...]
    engine: str
    checkpoint: Mapping[str, Any] | None


def _evaluate(
    context: tuple[Task, int],
    network: Network,
    recipe: Recipe,
    until: int | None = None,
    go_on: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> Outcome:
    """Fit and score one network, or a part of its fit; runs in a worker. Without a seed: the study's."""
    from time import process_time

    from codesign.training.fit import Checkpoint, fit

    task, own = context
    start = process_time()
    with called(task.name, type(task)):
        fitted = fit(
            network,
            task.training,
            task.validation,
            recipe,
            loss=recipe.loss or task.loss,
            seed=own if seed is None else seed,
            until=until,
            go_on=None if go_on is None else Checkpoint.from_arrays(go_on),
        )
        metrics = scored(task, fitted.network) if fitted.status == "ok" else {}
    return Outcome(
        network=fitted.network,
        status=fitted.status,
        reason=fitted.reason,
        metrics=metrics,
        steps=fitted.steps,
        epochs=fitted.epochs,
        seconds=process_time() - start,
        curve=fitted.curve,
        engine=fitted.engine,
        checkpoint=fitted.checkpoint.to_arrays() if until is not None and until < recipe.steps else None,
    )


def scored(task: Task, network: Network) -> Mapping[str, Summary]:
    """The scores of a network; raise ``DataError`` for what is no finite value of each metric."""
    found = task.score(network)
    for name in task.metrics:
        given = found.get(name) if isinstance(found, Mapping) else found
        if not isinstance(given, Summary) or not np.isfinite(given.mean):
            raise DataError(
                f"score of task {task.name!r} gave {given!r} for the metric {name!r}; it gives a Summary of "
                "finite values for each of its metrics: Summary.of(values)"
            )
    return found


def _priced_anew(setup: Setup, evaluation: Evaluation, network: Network) -> Evaluation:
    """With the costs that depend on the weights; infeasible if a limit is broken by these."""
    known = {**evaluation.costs, "effective_bops": float(effective_bops(network))}
    if setup.trained_model.needs_weights:
        known |= setup.trained_model.estimate(network, setup.device).costs()
    evaluation = replace(evaluation, costs=known)
    broken = [
        f"{goal.name} {known[goal.name]:.6g} with the trained weights breaks {goal.spelling}"
        for goal in setup.problem.bounded
        if not goal.admits(known[goal.name])
    ]
    return replace(evaluation, status="infeasible", reason="; ".join(broken)) if broken else evaluation


def _trained_in_full(study: Study) -> list[Evaluation]:
    """The designs of a study that went well; of one in rungs those that reached the last."""
    if not study.meta.get("rungs"):
        return [evaluation for evaluation in study.evaluations if evaluation.ok]
    rungs = Rungs(tuple(study.meta["rungs"]["steps"]), study.meta["rungs"]["eta"])
    trials = trials_of(rungs, study.history, [], study.objectives)
    whole = {trial.candidate for trial in trials if trial.rung == rungs.top and trial.status == "finished"}
    return [evaluation for evaluation in study.evaluations if evaluation.candidate in whole]


def _require_parts(task: Task, *parts: str) -> None:
    """Raise ``ConfigError`` for a task that lacks one."""
    lacks = [part for part in parts if not (hasattr(type(task), part) or hasattr(task, part))]
    if lacks:
        raise ConfigError(
            f"task {type(task).__name__} has no {', '.join(lacks)}; docs/howto/own-task.md says what a "
            "task has"
        )


def _constant(task: Task) -> dict[str, float]:
    """Scores of a constant answer, if the task tells them."""
    with called(task.name, type(task)):
        found: Mapping[str, Summary] = getattr(task, "constant", dict)()
        return {name: summary.mean for name, summary in found.items()}


def require_data(setup: Setup) -> None:
    """Raise for samples that no training gets over, and for a loss that suits none of some designs."""
    samples = setup.samples()
    _require_samples(setup, samples)
    _require_finite(setup.task, samples)
    _require_loss(setup, samples["training"])


def _some_designs(setup: Setup) -> list[Candidate]:
    """The baseline, if there is one, and a few others."""
    drawn = setup.definition.SPACE.sample(LOOKED_AT, np.random.default_rng(setup.seed))
    return [*filter(None, [setup.baseline]), *drawn]


def _require_samples(setup: Setup, samples: Mapping[str, Samples]) -> None:
    """Raise ``DataError`` for samples that fit none of some designs, or none at all."""
    from codesign.training.fit import require_samples

    wrong: DataError | None = None
    for candidate in _some_designs(setup):
        network = setup._built(candidate)
        try:
            for kind, given in samples.items():
                require_samples(kind, given, network)
        except DataError as error:
            wrong = wrong or error
        else:
            return
    raise DataError(f"task {setup.task.name!r}: {wrong}") from wrong


def _require_finite(task: Task, samples: Mapping[str, Samples]) -> None:
    """Raise ``DataError`` for samples that no training gets over."""
    for kind, given in samples.items():
        for name in ("inputs", "targets", "weights", "conditions"):
            values = getattr(given, name)
            if values is None:
                continue
            bad = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))
            if len(bad):
                raise DataError(
                    f"task {task.name!r}: {name} of {kind} samples are not finite in {len(bad):,} of "
                    f"{len(values):,}, first in sample {bad[0]}; leave these out"
                )


def _require_loss(setup: Setup, training: Samples) -> None:
    """Raise ``ConfigError`` for a loss that suits none of some designs, ``DataError`` for one of other data.

    Of losses of logits alone: only these ask for more than numbers.
    """
    for candidate in _some_designs(setup):
        loss = setup.recipe_of(candidate).loss or setup.task.loss
        if loss not in LOGIT_LOSSES:
            return
        from codesign.training.fit import require_loss

        try:
            require_loss(loss, "training", training, setup.definition.build(candidate))
        except ConfigError as error:
            wrong = error
        else:
            return
    raise wrong


def _require_same_work(setup: Setup, folder: str | Path) -> None:
    """Raise ``StoreError`` if an earlier study has another task or recipe."""
    earlier, described = Study.read(folder), setup.describe()
    with earlier.store:
        _same_study(earlier.meta, {key: described[key] for key in ("task", "recipe")}, earlier.folder)


def _same_design(setup: Setup, earlier: Study, evaluation: Evaluation) -> Network | Literal[True] | None:
    """The trained network of an evaluation that is a design of the setup's space too; None if it is not.

    True where the evaluation was told and there is no network.
    """
    try:
        same = setup.definition.SPACE.candidate(evaluation.candidate.values) == evaluation.candidate
    except SpaceError:
        return None
    if not same or setup.refusal(evaluation.candidate):
        return None
    if not earlier.store.network_path(evaluation.candidate.digest).exists():
        return True
    network = earlier.store.network(evaluation.candidate.digest)
    return network if replace(network, weights={}) == setup.definition.build(evaluation.candidate) else None


def _told_metrics(
    values: Mapping[str, float] | None, reason: str, names: tuple[str, ...]
) -> dict[str, float]:
    """Values of all names; none of a failure."""
    if values is None:
        if not reason:
            raise ConfigError("a failure has a reason: tell(candidate, None, reason='...')")
        return {}
    if set(values) != set(names):
        raise ConfigError(
            f"tell the measured objectives {', '.join(names)}; got {', '.join(values) or 'none'}"
        )
    for name, value in values.items():
        if not isinstance(value, int | float | np.number) or not np.isfinite(value):
            raise ConfigError(
                f"{name} is {value!r}, expected a finite number; if the evaluation failed, "
                "tell(candidate, None, reason='...')"
            )
    return {name: float(value) for name, value in values.items()}


def _same_study(stored: Mapping[str, Any], given: Mapping[str, Any], folder: Path) -> None:
    """Raise ``StoreError`` naming what differs between a stored study and what it is to go on with."""
    for key, value in given.items():
        if key == "build" and key not in stored:  # of a study made before this was kept
            continue
        has, value = stored.get(key), json.loads(json.dumps(value))
        if value != has:
            if isinstance(value, Mapping) and isinstance(has, Mapping):
                names = [name for name in {**has, **value} if has.get(name) != value.get(name)]
                has, value = ({name: each.get(name) for name in names} for each in (has, value))
            raise StoreError(
                f"{folder} was made with another {key}: it has {_short(has)}, given is "
                f"{_short(value)}; go on with what it was made with, or start a new study in another folder"
            )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 300 else f"{text[:300]}..."


def _flat(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "number": evaluation.number,
        "digest": evaluation.candidate.digest,
        "status": evaluation.status,
        "reason": evaluation.reason,
        "origin": evaluation.origin,
        **evaluation.candidate.values,
        **{name: summary.mean for name, summary in evaluation.metrics.items()},
        **{f"{name}_std": summary.std for name, summary in evaluation.metrics.items()},
        **evaluation.costs,
        "costs_of": evaluation.costs_of,
        "steps": evaluation.steps,
        "epochs": evaluation.epochs,
        "seed": evaluation.seed,
        "seconds": evaluation.seconds,
        "engine": evaluation.engine,
    }


def _over_seeds(design: Repeated | None) -> dict[str, float]:
    """Columns of a design that was trained with several seeds."""
    if design is None:
        return {}
    names = design.evaluations[0].metrics
    means = {f"{name}_over_seeds": design.mean(name) for name in names}
    deviations = {f"{name}_deviation": design.deviation(name) for name in names}
    return {"seeds": len(design), **means, **deviations}


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    import pandas as pd

    return str(pd.DataFrame(rows, dtype=object).to_csv(index=False))  # a count stays whole beside a gap
