"""Study files and plain arguments to studies: the edge where names become objects and input is checked."""

import inspect
import os
import tomllib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, validate_call

from codesign import catalogue
from codesign.errors import ConfigError, DataError, StoreError, counted
from codesign.hardware import Device, HardwareModel
from codesign.hardware.device import Redundancy, WeightStorage
from codesign.hardware.parts import PART
from codesign.objectives import Objective
from codesign.optimisers import load_optimiser
from codesign.optimisers.asha import Rungs
from codesign.progress import Bar
from codesign.space import SearchSpace, SpaceDefinition
from codesign.study import Setup, Study, Watcher
from codesign.tasks import Task
from codesign.tasks.called import called
from codesign.training import Recipe

__all__ = [
    "NoFrontWarning",
    "SetupWarning",
    "StudyConfig",
    "default_workers",
    "load_study_file",
    "load_task",
    "repeat",
    "resume",
    "run",
]

DEFAULT_OBJECTIVES = ("emd", "area_um2")
DEFAULT_STEPS = 2000


class NoFrontWarning(UserWarning):
    """A search that ended without a design on the front."""


class SetupWarning(UserWarning):
    """Something of a study that is hardly meant."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class DeviceConfig(_Strict):
    """Table ``[device]``: what prices a design."""

    model: str = "asic"
    technology: str = "asic-65nm"
    clock_mhz: float = Field(default=40.0, gt=0)
    part: str | None = Field(default=None, pattern=PART.replace("\\Z", "$"))
    weights: WeightStorage = "reloadable"
    redundancy: Redundancy = "none"
    pipelined: bool = True
    calibration: str | None = None

    def device(self) -> Device:
        """What designs are priced and exported for."""
        return Device(**self.model_dump(exclude={"model", "calibration"}))


class RecipeConfig(_Strict):
    """Table ``[recipe]``: how a design is trained; what is left out comes from ``kind``.

    ``quick`` starts the outputs near the data, scales fresh weights and decays a larger learning rate along
    a cosine, for budgets of a few thousand steps; ``study`` is the published recipe.
    """

    kind: Literal["study", "quick"] = "quick"
    steps: int = Field(default=DEFAULT_STEPS, ge=1)
    batch: int | None = Field(default=None, ge=1)
    learning_rate: float | None = Field(default=None, gt=0)
    schedule: Literal["constant", "cosine"] | None = None
    output_bias: float | None = None
    patience: int | None = Field(default=None, ge=1)
    validate_every: int | None = Field(default=None, ge=1)
    validation_samples: int | None = Field(default=None, ge=1)
    engine: Literal["torch", "native"] | None = None
    loss: str | None = None
    initial: Literal["glorot", "scaled"] | None = None

    def recipe(self) -> Recipe:
        """The recipe with every value filled in."""
        base = Recipe.quick(self.steps) if self.kind == "quick" else Recipe(steps=self.steps)
        given = self.model_dump(exclude={"kind", "steps"}, exclude_unset=True)
        return Recipe.from_dict({**base.to_dict(), **given})


class RungsConfig(_Strict):
    """Table ``[rungs]``: for optimisers with ``+asha``, how far designs are trained before they are compared.

    Rungs are a factor of ``eta`` apart, from all steps of the recipe down to no fewer than ``lowest``, by
    default a 27th; one design in ``eta`` is trained on.
    """

    eta: int = Field(default=3, ge=2)
    lowest: int | None = Field(default=None, ge=1)

    def rungs(self, steps: int) -> Rungs:
        """The rungs of a recipe of so many steps."""
        return Rungs.of(steps, self.eta, self.lowest or max(round(steps / 27), 1))


class StudyConfig(_Strict):
    """A study file: every key with its type and default; unknown keys are errors."""

    space: str
    task: str = "econt"
    out: str | None = None
    objectives: list[str] = list(DEFAULT_OBJECTIVES)
    limits: list[str] = []
    optimiser: str = "ehvi"
    trials: int = Field(default=60, ge=1)
    seed: int = Field(default=0, ge=0, lt=2**63)
    workers: int | None = Field(default=None, ge=1)
    in_flight: int | None = Field(default=None, ge=1)
    export: list[Literal["onnx", "qonnx", "finn", "hls4ml", "rtl"]] = []
    warm_start: list[str] = []
    data: dict[str, Any] = {}
    recipe: RecipeConfig = RecipeConfig()
    rungs: RungsConfig = RungsConfig()
    device: DeviceConfig = DeviceConfig()

    def setup(
        self,
        space: SpaceDefinition | None = None,
        task: Task | None = None,
        model: HardwareModel | None = None,
    ) -> Setup:
        """Everything the names stand for; an object given here stands in for its name."""
        workers = self.workers or default_workers()
        recipe, (optimiser, halving) = self.recipe.recipe(), _strategy(self.optimiser)
        if not halving and "rungs" in self.model_fields_set:
            raise ConfigError(
                f"[rungs] belongs to an optimiser with +asha, got {self.optimiser!r}; write "
                f"'{self.optimiser}+asha' or leave the table out"
            )
        return Setup(
            definition=space or catalogue.search_space(self.space),
            objectives=tuple(Objective.parse(text) for text in self.objectives),
            limits=tuple(Objective.parse(text, limit=True) for text in self.limits),
            model=model or catalogue.hardware_model(self.device.model, self.device.calibration),
            device=self.device.device(),
            recipe=recipe,
            optimiser=load_optimiser(optimiser),
            rungs=self.rungs.rungs(recipe.steps) if halving else None,
            seed=self.seed,
            workers=workers,
            in_flight=self.in_flight or max(4, workers),
            export=tuple(self.export),
            task=task or load_task(self.task, self.data),  # last: it may read or make much data
        )


def _strategy(name: str) -> tuple[str, bool]:
    """Who proposes, and whether designs are trained rung by rung: ``asha`` alone is ``random+asha``."""
    who, plus, how = name.partition("+")
    if name == "asha":
        return "random", True
    if plus and how != "asha":
        raise ConfigError(f"optimiser {name!r}: only '+asha' can be added to a name")
    return who, bool(plus)


def default_workers() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parse_study(values: Mapping[str, Any], source: str) -> StudyConfig:
    """Check plain data; raise ``ConfigError`` that names every fault of ``source`` and what is allowed."""
    try:
        return StudyConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{source}: {_faults(error)}") from None


def _faults(error: ValidationError, options: Iterable[str] = ()) -> str:
    """What is wrong with which key; ``options`` are the known ones where they are no study file's."""
    return "; ".join(_fault(fault, options) for fault in error.errors())


def _fault(fault: Any, options: Iterable[str]) -> str:
    place = ".".join(map(str, fault["loc"]))
    if fault["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        table: Any = {"recipe": RecipeConfig, "device": DeviceConfig, "rungs": RungsConfig}.get(
            str(fault["loc"][0]), StudyConfig
        )
        return f"unknown key {place!r}; known are {', '.join(options or table.model_fields)}"
    if fault["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
        return f"key {place!r} is missing"
    return f"{place}: {fault['msg'][0].lower()}{fault['msg'][1:]}, got {fault['input']!r}"


def load_study_file(path: str | Path) -> StudyConfig:
    """Read a study file; the paths in it are relative to it."""
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the study file {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    config = parse_study(values, str(path))
    here = _resolved(config, path.parent)
    return here.model_copy(update={"out": str((path.parent / config.out).resolve())} if config.out else {})


def _resolved(config: StudyConfig, folder: Path) -> StudyConfig:
    """The same with absolute paths of data and space; what was relative is relative to ``folder``."""
    update: dict[str, Any] = {}
    if isinstance(config.data.get("path"), str | Path):
        update["data"] = {**config.data, "path": str((folder / config.data["path"]).resolve())}
    if config.warm_start:
        update["warm_start"] = [str((folder / path).resolve()) for path in config.warm_start]
    for name in ("space", "task"):
        file, colon, attribute = getattr(config, name).partition(":")
        if file.endswith(".py"):
            update[name] = f"{(folder / file).resolve()}{colon}{attribute}"
    given = config.device.model_fields_set
    paths = [
        name for name in ("calibration", "technology") if name in given and _is_path(config.device, name)
    ]
    if paths:
        update["device"] = config.device.model_copy(
            update={name: str((folder / getattr(config.device, name)).resolve()) for name in paths}
        )
    return config.model_copy(update=update)


def _is_path(device: DeviceConfig, name: str) -> bool:
    value = getattr(device, name)
    return value is not None and (name == "calibration" or value.endswith(".toml"))


def load_task(name: str, options: Mapping[str, Any]) -> Task:
    """Make a task; its options are checked against the annotations of its ``from_options``."""
    owner = catalogue.load("tasks", name)
    make = getattr(owner, "from_options", None)
    if not callable(make):
        raise ConfigError(
            f"task {name!r} has no from_options(**options); name a class that has, as file.py:Name"
        )
    with called(name, owner if isinstance(owner, type) else type(owner)):
        return _made(name, make, options)


def _made(name: str, make: Any, options: Mapping[str, Any]) -> Task:
    strict = ConfigDict(strict=True, arbitrary_types_allowed=True)
    try:
        task: Task = validate_call(config=strict)(make)(**options)
    except ValidationError as error:
        faults = _faults(error, inspect.signature(make).parameters)
        raise ConfigError(f"data of task {name!r}: {faults}") from None
    except FileNotFoundError as error:
        raise DataError(
            f"data of task {name!r}: there is no file {error.filename or error}; give one that is there"
        ) from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f"data of task {name!r}: {error}") from error
    return task


def run(
    *,
    space: str | SpaceDefinition,
    task: str | Task = "econt",
    objectives: Sequence[str | Objective] = DEFAULT_OBJECTIVES,
    limits: Sequence[str | Objective] = (),
    trials: int = 60,
    steps: int = DEFAULT_STEPS,
    recipe: Literal["study", "quick"] | Recipe = "quick",
    optimiser: str = "ehvi",
    seed: int = 0,
    data: str | Path | Mapping[str, Any] | None = None,
    model: str | HardwareModel = "asic",
    device: Device | None = None,
    calibration: str | Path | None = None,
    workers: int | None = None,
    export: Sequence[str] = (),
    warm_start: Sequence[str | Path] = (),
    out: str | Path | None = None,
    progress: bool = True,
) -> Study:
    """Search a space for the designs that trade the objectives best.

    Parameters
    ----------
    space
        Name, ``package.module``, ``file.py``, or an object with ``SPACE`` and ``build``.
    task
        Name, or an object that is a ``Task``.
    objectives
        Two or more metrics of the task or costs of the model; ``"area_um2<=2e6"`` sets a budget.
    limits
        Costs that are bounded but not traded, in the same form.
    trials
        Designs to evaluate, the space's baseline among them.
    steps
        Optimiser steps of each training.
    recipe
        ``quick``, ``study`` (the published one), or a ``Recipe`` (then ``steps`` is its own).
    optimiser
        One of ``codesign.optimisers.OPTIMISERS``; with ``+asha`` behind it designs are trained rung by
        rung.
    seed
        Of proposals and trainings; the same seed gives the same study.
    data
        File or folder of the task's data, or its options; None: what the task generates.
    model, device
        What prices a design, and on what.
    calibration
        File of ``codesign calibrate`` that corrects the model.
    workers
        Processes; by default one a core.
    export
        Targets that designs are meant for, such as ``["hls4ml"]``: what one of them cannot take is not
        trained. ``Study.export`` writes them.
    warm_start
        Folders of earlier studies of the same task and recipe, of this space or one that overlaps: their
        designs are known from the start and not trained again.
    out
        Folder of the study; by default ``runs/<space>-<seed>``. One that holds a study goes on with it.
    progress
        Whether to show a bar.

    Raises
    ------
    CodesignError
        For anything the user can mend, before any training where that can be known.

    Examples
    --------
    >>> study = run(space="econt", objectives=["emd", "area_um2<=2e6"], trials=20)  # doctest: +SKIP
    >>> study.front()  # doctest: +SKIP
    """
    _require_objects(space, task, device)
    options = dict(data) if isinstance(data, Mapping) else {"path": data} if data else {}
    name = space if isinstance(space, str) else space.SPACE.name
    chosen = device or Device()
    config = parse_study(
        {
            "space": name,
            "task": task if isinstance(task, str) else task.name,
            "objectives": [_spelt(goal) for goal in objectives],
            "limits": [_spelt(goal) for goal in limits],
            "trials": trials,
            "seed": seed,
            "optimiser": optimiser,
            "workers": workers,
            "data": options,
            "export": list(export),
            "warm_start": [str(each) for each in _listed(warm_start)],
            "recipe": _recipe_values(recipe, steps),
            "device": {
                "model": model if isinstance(model, str) else model.name,
                **chosen.to_dict(),
                **({} if calibration is None else {"calibration": str(calibration)}),
            },
        },
        "codesign.run",
    )
    setup = config.setup(
        None if isinstance(space, str) else catalogue.search_space(space),
        None if isinstance(task, str) else task,
        None if isinstance(model, str) else model,
    )
    for doubt in setup.doubts():
        warnings.warn(doubt, SetupWarning, stacklevel=2)
    by_name = isinstance(space, str) and isinstance(task, str) and isinstance(model, str)
    with Bar(trials, setup.objectives, setup.why_torch) if progress else nullcontext() as watcher:
        study = start(config, setup, out, watcher, by_name=by_name)
    _warn_of_no_front(study)
    return study


def _listed(paths: str | Path | Sequence[str | Path]) -> Sequence[str | Path]:
    return [paths] if isinstance(paths, str | Path) else paths


def _require_objects(space: Any, task: Any, device: Any) -> None:
    """Reject what is easily taken for what is wanted."""
    if isinstance(space, SearchSpace):
        raise ConfigError(
            f"space {space.name!r} is a bare SearchSpace, which builds no networks; give an object or module "
            "with SPACE and build(candidate), or measure yourself: codesign.create"
        )
    if isinstance(task, type):
        raise ConfigError(f"task is the class {task.__name__}; give one of its objects, or a name")
    if device is not None and not isinstance(device, Device):
        raise ConfigError(f"device is {device!r}; give a Device, such as Device(technology='xc7')")


def _warn_of_no_front(study: Study) -> None:
    if len(study.front()):
        return
    ended = study.evaluations
    bounds = ", ".join(goal.spelling for goal in study.objectives if goal.budget is not None)
    why = f"no trained design keeps every budget ({bounds})"
    if not any(each.ok for each in ended):
        why = f"none of {counted(len(ended), 'design')} was trained to the end"
        why += "".join([f"; the last {each.status}: {each.reason}" for each in ended[-1:]])
    warnings.warn(f"{study.folder} has an empty front: {why}", NoFrontWarning, stacklevel=3)


def start(
    config: StudyConfig,
    setup: Setup,
    out: str | Path | None,
    watcher: Watcher | None,
    *,
    by_name: bool = True,
) -> Study:
    """Make the study of a configuration, or go on with the one that is there, and run it.

    Only a study made ``by_name`` can be resumed from its folder alone.
    """
    folder = Path(out or config.out or f"runs/{setup.definition.SPACE.name}-{setup.seed}")
    if not (folder / "study.sqlite").exists():
        recipe = config.recipe.model_copy(update={"engine": setup.recipe.engine})
        whole = _resolved(config, Path.cwd()).model_copy(
            update={"in_flight": setup.in_flight, "recipe": recipe}
        )
        given = whole.model_dump(exclude_unset=True) if by_name else None
        Study.create(folder, setup, given, whole.warm_start).close()
    return go_on(folder, setup, config.trials, watcher)


def go_on(
    folder: str | Path, setup: Setup, trials: int, watcher: Watcher | None, *, finish: bool = False
) -> Study:
    """Run the study in a folder as ``Study.run`` does; let go of the folder if that fails."""
    study = Study.open(folder)
    try:
        return study.run(setup, trials, watcher, finish=finish)
    except BaseException:
        study.close()
        raise


def stored_config(folder: str | Path) -> StudyConfig:
    """What the study in a folder was made with, and as many trials as it was last run for."""
    study = Study.read(folder)
    study.close()
    if not study.meta.get("config"):
        maker = "create" if study.told else "run"
        raise StoreError(
            f"{folder} was made from Python objects; go on with codesign.{maker}(..., out={str(folder)!r})"
            + ("" if study.told else ", and give what it returns to codesign.repeat")
        )
    config = parse_study(study.meta["config"], str(folder))
    engine = config.recipe.engine or "torch"  # studies older than the compiled engine name none
    recipe = config.recipe.model_copy(update={"engine": engine})
    trials = study.meta.get("trials", config.trials)
    update = {"trials": trials, "recipe": recipe, "optimiser": study.optimiser}
    return config.model_copy(update=update)


def stored_task(study: Study) -> Task | None:
    """The task of a study with its data; None for a study that was made from Python objects."""
    if not study.meta.get("config"):
        return None
    config = parse_study(study.meta["config"], str(study.folder))
    return load_task(config.task, config.data)


def stored_model(study: Study, *, calibrated: bool = True) -> HardwareModel:
    """The hardware model of a study, with its calibration or without."""
    if not study.meta.get("config"):
        return catalogue.hardware_model(study.meta["model"])
    device = parse_study(study.meta["config"], str(study.folder)).device
    return catalogue.hardware_model(device.model, device.calibration if calibrated else None)


def resume(
    folder: str | Path, trials: int | None = None, *, finish: bool = False, progress: bool = True
) -> Study:
    """Go on with the study in a folder, with what it was made with.

    Parameters
    ----------
    folder
        Of the study.
    trials
        How many designs in all; by default as many as it was made for. More extends it.
    finish
        Whether to train the front of a study in rungs to the end.
    progress
        Whether to show a bar.
    """
    config = stored_config(folder)
    setup, total = config.setup(), config.trials if trials is None else trials
    with Bar(total, setup.objectives, setup.why_torch) if progress else nullcontext() as watcher:
        return go_on(folder, setup, total, watcher, finish=finish)


def repeat(
    study: Study | str | Path,
    designs: Sequence[str] = (),
    *,
    seeds: int = 3,
    workers: int | None = None,
    watcher: Watcher | None = None,
    progress: bool = True,
) -> Study:
    """Train designs again with further seeds: how much of the front is chance.

    Parameters
    ----------
    study
        What ``codesign.run`` returned, or the folder of a study that can be resumed from it.
    designs
        First digits of their digests; by default those on the front.
    seeds
        How many of each in all, the study's own among them.
    workers
        Processes; by default as many as the study was made with.
    watcher
        Told of each training, in the place of a bar.
    progress
        Whether to show a bar.

    Returns
    -------
    study
        Open; ``study.repeated`` has means and deviations, ``study.front_over_seeds()`` what they do to the
        front.
    """
    if isinstance(study, Study):
        return _repeated(study, study.setup, designs, seeds, workers, watcher, progress)
    setup = stored_config(study).setup()
    opened = Study.open(study)
    try:
        return _repeated(opened, setup, designs, seeds, workers, watcher, progress)
    except BaseException:
        opened.close()
        raise


def _repeated(
    study: Study,
    setup: Setup,
    designs: Sequence[str],
    seeds: int,
    workers: int | None,
    watcher: Watcher | None,
    progress: bool,
) -> Study:
    chosen = [study.store.evaluation(each) for each in designs] or list(study.front())
    if not chosen:
        raise StoreError(f"{study.folder} has no design on the front yet; go on with the study first")
    digests = list(dict.fromkeys(each.candidate.digest for each in chosen))
    setup = setup if workers is None else replace(setup, workers=workers)
    bar = Bar(len(digests) * (seeds - 1), setup.objectives, setup.why_torch)
    with bar if progress and watcher is None else nullcontext(watcher) as shown:
        study.repeat(setup, digests, seeds, shown)
    return study


def _spelt(goal: str | Objective) -> str:
    return goal if isinstance(goal, str) else goal.spelling


def _recipe_values(recipe: Literal["study", "quick"] | Recipe, steps: int) -> dict[str, Any]:
    if isinstance(recipe, Recipe):
        return {"kind": "study", **recipe.to_dict()}
    return {"kind": recipe, "steps": steps}
