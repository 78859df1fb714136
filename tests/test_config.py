import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from codesign import config as module
from codesign.config import StudyConfig, default_workers, load_study_file, parse_study
from codesign.errors import ConfigError, MissingToolError, StoreError
from codesign.objectives import Objective
from codesign.optimisers.asha import Rungs
from codesign.space import SearchSpace, integer
from codesign.study import Setup
from codesign.tasks import Samples
from codesign.tasks.econt import EcontTask
from codesign.training import COMPILED_LOSSES, Recipe
from codesign.training.engine import with_engine
from search_spaces import econt

SPACE_FILE = """
from codesign.network import Dense, Network
from codesign.space import SearchSpace, integer

SPACE = SearchSpace("mine", (integer("units", 1, 3),))


def build(candidate):
    return Network((2,), (Dense("dense", int(candidate["units"])),))
"""


class TinyTask:
    """Stands in for a task where its data do not matter."""

    name = "tiny"
    loss = "sinkhorn"
    metrics: Mapping[str, str] = {"error": "1"}
    training = validation = Samples(np.zeros((4, 8, 8, 1)), np.zeros((4, 48)), np.arange(48))
    score = describe = dict


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "study.toml"


@pytest.fixture
def space_file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "my_space.py"
    path.write_text(SPACE_FILE)
    yield path
    sys.modules.pop("codesign_user_my_space", None)


def refused(text: str, file: Path) -> str:
    file.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load_study_file(file)
    return str(raised.value)


def parsed(**values: Any) -> StudyConfig:
    return parse_study({"space": "econt", **values}, "test")


def setup(**values: Any) -> Setup:
    task: Any = TinyTask()
    return parsed(**{"objectives": ["error", "area_um2"], **values}).setup(task=task)


def test_a_study_file_with_everything(file: Path) -> None:
    file.write_text("""
space = "econt"
task = "econt"
objectives = ["emd", "area_um2<=4e6"]
limits = ["operations<=40000"]
optimiser = "random"
trials = 48
seed = 3
workers = 2
in_flight = 5
export = ["onnx"]
[data]
wafers = 200
[recipe]
kind = "quick"
steps = 600
learning_rate = 1
[device]
technology = "asic-45nm"
clock_mhz = 80
""")
    config = load_study_file(file)
    setup = config.setup()
    assert setup.definition is econt
    assert isinstance(setup.task, EcontTask)
    assert setup.objectives == (Objective("emd"), Objective("area_um2", budget=4e6))
    assert setup.limits == (Objective("operations", budget=40_000.0),)
    assert (setup.device.technology, setup.device.clock_mhz) == ("asic-45nm", 80.0)
    assert (setup.optimiser.name, setup.seed, setup.workers, setup.in_flight) == ("random", 3, 2, 5)
    assert setup.recipe == Recipe.quick(600, learning_rate=1.0, engine=setup.recipe.engine)
    assert (config.trials, config.export) == (48, ["onnx"])
    assert setup.task.describe()["training"] + setup.task.describe()["validation"] == 200


def test_a_study_file_of_one_line_has_defaults(file: Path) -> None:
    file.write_text('space = "econt"')
    config = load_study_file(file)
    assert config == StudyConfig(space="econt")
    assert config.objectives == ["emd", "area_um2"]
    assert (config.trials, config.seed, config.optimiser) == (60, 0, "ehvi")


WRONG = {
    "space": "5",
    "task": "5",
    "out": "5",
    "objectives": '"emd"',
    "limits": "5",
    "optimiser": "[]",
    "trials": '"60"',
    "seed": "-1",
    "workers": "0",
    "in_flight": "1.5",
    "export": '["keras"]',
    "data": "5",
    "recipe": '"quick"',
    "warm_start": '"runs"',
    "rungs": "3",
    "rungs.eta": "1",
    "rungs.lowest": "0",
    "device": "5",
    "recipe.kind": '"slow"',
    "recipe.steps": "0",
    "recipe.batch": "true",
    "recipe.learning_rate": "0",
    "recipe.schedule": '"linear"',
    "recipe.engine": '"jax"',
    "recipe.loss": "1",
    "recipe.initial": '"zeros"',
    "recipe.output_bias": '"0"',
    "recipe.patience": "0",
    "recipe.validate_every": "2.5",
    "recipe.validation_samples": "[1]",
    "device.model": "5",
    "device.part": '"../up"',
    "device.weights": '"soft"',
    "device.redundancy": '"twice"',
    "device.pipelined": "1",
    "device.calibration": "1",
    "device.technology": "65",
    "device.clock_mhz": "-40",
}


@pytest.mark.parametrize("key", WRONG)
def test_a_wrong_value_is_named_with_its_key_and_what_was_given(file: Path, key: str) -> None:
    table, _, name = key.rpartition(".")
    text = f"[{table}]\n{name} = {WRONG[key]}" if table else f"{name} = {WRONG[key]}"
    message = refused(("" if key == "space" else 'space = "econt"\n') + text, file)
    assert message.startswith(f"{file}: {key}")
    assert ", got " in message
    assert ";" not in message


def test_every_key_of_a_study_file_is_covered_above() -> None:
    keys = set(StudyConfig.model_fields)
    keys |= {f"recipe.{key}" for key in module.RecipeConfig.model_fields}
    keys |= {f"rungs.{key}" for key in module.RungsConfig.model_fields}
    keys |= {f"device.{key}" for key in module.DeviceConfig.model_fields}
    assert set(WRONG) == keys


@pytest.mark.parametrize(
    ("text", "key", "known"),
    [
        ("trails = 5", "trails", "space, task, out, objectives, limits, optimiser, trials, seed, workers"),
        ("[recipe]\nstep = 5", "recipe.step", "kind, steps, batch, learning_rate"),
        ("[device]\nclock = 5", "device.clock", "model, technology, clock_mhz"),
        ("[devices]\nclock = 5", "devices", "space, task, out"),
    ],
)
def test_an_unknown_key_is_answered_with_the_known_ones(file: Path, text: str, key: str, known: str) -> None:
    message = refused(f'space = "econt"\n{text}', file)
    assert message.startswith(f"{file}: unknown key '{key}'; known are {known}")


def test_all_faults_are_said_at_once(file: Path) -> None:
    message = refused('trials = 0\nseeds = 1\nobjectives = ["emd", 5]', file)
    assert "key 'space' is missing" in message
    assert "trials: input should be greater than or equal to 1, got 0" in message
    assert "unknown key 'seeds'" in message
    assert "objectives.1: input should be a valid string, got 5" in message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            "wafer = 5",
            "unknown key 'wafer'; known are path, wafers, seed, population, validation, split_seed",
        ),
        ('wafers = "many"', "wafers: input should be a valid integer, got 'many'"),
        ("validation = true", "validation: input should be a valid number, got True"),
        ('population = "muon"', "population: input should be 'pileup', 'electron', 'jet' or 'ttbar'"),
        ("split_seed = 1.5", "split_seed: input should be a valid integer, got 1.5"),
    ],
)
def test_options_of_the_data_are_checked_as_the_keys_are(file: Path, data: str, message: str) -> None:
    file.write_text(f'space = "econt"\n[data]\n{data}')
    with pytest.raises(ConfigError) as raised:
        load_study_file(file).setup()
    assert str(raised.value).startswith(f"data of task 'econt': {message}")


def test_a_task_of_ones_own_takes_its_own_options(monkeypatch: pytest.MonkeyPatch) -> None:
    def from_options(size, *, depth: int = 1):  # type: ignore[no-untyped-def]
        if depth < 0:
            raise ValueError("depth is below 0")
        samples = SimpleNamespace(conditions=None)
        told = {"loss": "mse", "metrics": {"error": "1"}, "training": samples}
        return SimpleNamespace(name="own", **told, size=size, depth=depth)

    kinds: dict[str, Any] = {"own": SimpleNamespace(from_options=from_options), "none": SimpleNamespace()}
    monkeypatch.setattr(module.catalogue, "load", lambda kind, name: kinds[name])

    def fault(**values: Any) -> str:
        with pytest.raises(ConfigError) as raised:
            parsed(**values).setup(space=econt, model=SimpleNamespace(name="m", predicts=("area_um2",)))
        return str(raised.value)

    goals = ["error", "area_um2"]
    task: Any = parsed(task="own", objectives=goals, data={"size": "any", "depth": 2}).setup(
        space=econt,
        model=SimpleNamespace(name="m", predicts=("area_um2",)),
    )
    assert (task.task.size, task.task.depth) == ("any", 2)
    assert fault(task="own", data={"depth": 2}) == "data of task 'own': key 'size' is missing"
    assert fault(task="own", data={"size": 1, "deep": 2}).endswith(
        "unknown key 'deep'; known are size, depth"
    )
    assert fault(task="own", data={"size": 1, "depth": -2}) == "data of task 'own': depth is below 0"
    assert fault(task="none").startswith("task 'none' has no from_options(**options); name a class that has")


@pytest.mark.parametrize("content", [b"space = econt", b"space", b"\xff\xfe", b'{"space": "econt"}'])
def test_what_is_not_toml_is_refused(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        load_study_file(file)
    assert str(raised.value).startswith(f"{file} is not TOML: ")


def test_a_file_that_is_not_there_or_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the study file .*no.toml: No such file or directory"):
        load_study_file(tmp_path / "no.toml")
    with pytest.raises(ConfigError, match=r"cannot read the study file .*: Is a directory"):
        load_study_file(tmp_path)


def test_paths_of_a_study_file_are_relative_to_it(
    space_file: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(
        'space = "my_space.py"\ntask = "my_space.py:Mine"\nout = "runs/a"\n[data]\npath = "../wafers"'
    )
    (file.parent / "elsewhere").mkdir()
    monkeypatch.chdir(file.parent / "elsewhere")
    for path in (file, Path("..") / "study.toml"):
        config = load_study_file(path)
        assert config.space == str(space_file)
        assert config.task == f"{space_file}:Mine"
        assert config.out == str(file.parent / "runs" / "a")
        assert config.data == {"path": str(file.parent.parent / "wafers")}


def test_names_and_absolute_paths_of_a_study_file_stay(file: Path) -> None:
    file.write_text('space = "econt"\n[data]\npath = "/data/wafers"\nwafers = 5')
    config = load_study_file(file)
    assert config.space == "econt"
    assert config.out is None
    assert config.data == {"path": "/data/wafers", "wafers": 5}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, Recipe.quick(2000)),
        ({"kind": "study", "steps": 7}, Recipe(steps=7)),
        ({"kind": "quick", "steps": 7}, Recipe.quick(7)),
        ({"kind": "study"}, Recipe(steps=2000)),
        (
            {"kind": "quick", "steps": 7, "batch": 9, "schedule": "constant", "output_bias": 0.0},
            Recipe.quick(7, batch=9, schedule="constant", output_bias=0.0),
        ),
        ({"kind": "quick", "patience": 3}, Recipe.quick(2000, patience=3)),
        ({"patience": None, "learning_rate": 0.1}, Recipe.quick(2000, patience=None, learning_rate=0.1)),
        (
            {"validate_every": 5, "validation_samples": 6},
            Recipe.quick(2000, validate_every=5, validation_samples=6),
        ),
    ],
)
def test_a_recipe_has_the_values_of_its_kind_but_for_those_given(
    given: dict[str, Any], expected: Recipe
) -> None:
    assert parsed(recipe=given).recipe.recipe() == expected


@pytest.mark.parametrize("recipe", [Recipe(), Recipe.quick(5, patience=None), Recipe(validation_samples=3)])
def test_a_recipe_given_as_an_object_stays_as_it_is(recipe: Recipe) -> None:
    assert parsed(recipe=module._recipe_values(recipe, steps=1)).recipe.recipe() == recipe


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"objectives": ["emd", "area_um2"]},
            "no objective 'emd'; the task 'tiny' has error; the hardware model",
        ),
        (
            {"objectives": ["error", "area"]},
            "no objective 'area'; the task 'tiny' has error; the hardware model",
        ),
        ({"objectives": ["error"]}, "a front needs at least two objectives, got error"),
        ({"objectives": ["error", "error<=5"]}, "objectives are given once each; error stands there more"),
        ({"objectives": []}, "a front needs at least two objectives, got none"),
        ({"objectives": ["error", "area_um2<5"]}, "objective 'area_um2<5' is not of the form"),
        ({"limits": ["operations"]}, "a limit bounds one of operations, macs"),
        ({"limits": ["error<=5"]}, "a limit bounds one of operations, macs"),
        (
            {"limits": ["error>=5"]},
            "limit 'error>=5': a limit bounds a cost from above, as 'area_um2<=1e6'; a ",
        ),
        ({"limits": ["max error"]}, "limit 'max error': a limit bounds a cost from above"),
        ({"limits": ["error 5"]}, "limit 'error 5' is not of the form"),
        ({"optimiser": "best"}, "optimiser is one of qnehvi, "),
        ({"space": "nope"}, "no search space is named 'nope'; there are econt"),
        ({"device": {"model": "nope"}}, "no hardware model is named 'nope'; there are asic"),
        ({"device": {"clock_mhz": float("inf")}}, "clock_mhz must be above 0, got inf"),
        ({"recipe": {"output_bias": float("nan")}}, "recipe: output_bias is a finite number, got nan"),
    ],
)
def test_what_cannot_be_set_up_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        setup(**values)
    assert str(raised.value).startswith(message)


def test_what_is_wrong_is_said_before_data_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "load_task", lambda *_: pytest.fail("data were made first"))
    for wrong in ({"optimiser": "best"}, {"objectives": ["emd", "?"]}, {"device": {"model": "nope"}}):
        with pytest.raises(ConfigError):
            parsed(**wrong).setup()


def test_more_proposals_are_out_than_there_are_workers_only_if_asked() -> None:
    assert (setup(workers=1).workers, setup(workers=1).in_flight) == (1, 4)
    assert (setup(workers=9).workers, setup(workers=9).in_flight) == (9, 9)
    assert setup(workers=9, in_flight=2).in_flight == 2
    assert setup().workers == default_workers() >= 1


def test_workers_are_the_cores_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 5, 7}, raising=False)
    assert default_workers() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert default_workers() == 1


class FakeStudy:
    """Stands in for ``Study``: remembers what it was made with and run with."""

    told = False

    def __init__(self) -> None:
        self.meta: dict[str, Any] = {}
        self.ran: tuple[Any, ...] = ()
        self.closed = 0

    def create(
        self, folder: Path, setup: Setup, config: Mapping[str, Any] | None, warm_start: Sequence[str]
    ) -> "FakeStudy":
        self.meta = {"config": json.loads(json.dumps(config)), "optimiser": setup.optimiser.name}
        self.optimiser = setup.optimiser.name
        folder.mkdir(parents=True)
        (folder / "study.sqlite").touch()
        return self

    def front(self) -> list[int]:
        return [0]

    def open(self, folder: Path) -> "FakeStudy":
        return self

    read = open

    def run(self, *arguments: Any, finish: bool) -> "FakeStudy":
        assert not finish
        self.ran = arguments
        return self

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeStudy:
    fake = FakeStudy()
    monkeypatch.setattr(module, "Study", fake)
    monkeypatch.setattr(module, "load_task", lambda *_: TinyTask())
    monkeypatch.chdir(tmp_path)
    return fake


GOALS = ("error", "area_um2<=2e6")


def test_what_a_study_was_made_with_can_be_resumed_from_elsewhere(
    study: FakeStudy, space_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module.run(
        space="my_space.py",
        objectives=[Objective("error"), GOALS[1]],
        data={"path": Path("wafers"), "wafers": 3},
        recipe=Recipe.quick(9),
        trials=7,
        out="there",
        workers=1,
    )
    made, trials, _ = study.ran
    stored = study.meta["config"]
    assert trials == 7
    assert stored["space"] == str(space_file)
    assert stored["data"] == {"path": str(tmp_path / "wafers"), "wafers": 3}
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    module.resume(tmp_path / "there")
    again, trials, _ = study.ran
    assert trials == 7
    assert again.recipe == made.recipe == Recipe.quick(9, engine="torch")
    assert (again.objectives, again.device, again.in_flight) == (made.objectives, made.device, made.in_flight)
    assert again.definition.SPACE.fingerprint == made.definition.SPACE.fingerprint
    module.resume(tmp_path / "there", trials=20)
    assert study.ran[1] == 20


def test_a_study_lives_where_it_is_told_else_under_runs(study: FakeStudy, tmp_path: Path) -> None:
    module.run(space="econt", objectives=GOALS, seed=3, workers=1)
    assert (tmp_path / "runs" / "econt-3" / "study.sqlite").exists()
    config = parsed(objectives=list(GOALS), out="given", workers=1)
    module.start(config, config.setup(), None, None)
    assert (tmp_path / "given" / "study.sqlite").exists()


def test_in_flight_is_stored_so_that_another_machine_proposes_the_same(study: FakeStudy) -> None:
    module.run(space="econt", objectives=GOALS, workers=6)
    assert study.meta["config"]["in_flight"] == 6


def test_a_study_that_is_there_is_gone_on_with(study: FakeStudy, tmp_path: Path) -> None:
    for trials in (3, 5):
        module.run(space="econt", objectives=GOALS, trials=trials, out="there", workers=1)
        assert study.ran[1] == trials
    assert study.meta["config"]["trials"] == 3


def test_a_study_of_objects_cannot_be_resumed_from_its_folder(study: FakeStudy, tmp_path: Path) -> None:
    module.run(space=econt, objectives=GOALS, out="there", workers=1)
    with pytest.raises(
        StoreError, match=r"there was made from Python objects; go on with codesign.run\(..., out="
    ):
        module.resume(tmp_path / "there")


def test_a_run_that_fails_lets_go_of_the_folder(study: FakeStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(study, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        module.run(space="econt", objectives=GOALS, workers=1)
    assert study.closed == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"trials": 0}, "codesign.run: trials: input should be greater than or equal to 1, got 0"),
        ({"seed": "x"}, "codesign.run: seed: input should be a valid integer, got 'x'"),
        ({"recipe": "slow"}, "codesign.run: recipe.kind: input should be 'study' or 'quick', got 'slow'"),
        ({"objectives": ["error", "area"]}, "no objective 'area'; the task 'tiny' has error"),
    ],
)
def test_arguments_of_run_are_checked_as_a_file_is(
    study: FakeStudy, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        module.run(**{"space": "econt", "objectives": GOALS, **arguments})
    assert str(raised.value).startswith(message)
    assert study.ran == ()


def test_the_engine_is_the_compiled_one_where_it_can_be_and_the_setup_says_why_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("codesign.training.engine.native.available", lambda: True)
    lacks = f"the compiled engine has the losses {', '.join(COMPILED_LOSSES)}, not 'sinkhorn'"
    assert setup().recipe.engine == "torch"
    assert setup().why_torch == lacks
    assert setup(recipe={"engine": "torch"}).why_torch == ""
    with pytest.raises(ConfigError, match=f"{lacks}; engine torch"):
        setup(recipe={"engine": "native"})
    assert with_engine(Recipe(), "mse") == (Recipe(engine="native"), "")
    monkeypatch.setattr("codesign.training.engine.native.available", lambda: False)
    monkeypatch.setattr("codesign.training.engine.native.absence", lambda: "no kernels")
    assert with_engine(Recipe(), "mse") == (Recipe(engine="torch"), "no kernels")
    with pytest.raises(ConfigError, match="got 'huber'"):
        with_engine(Recipe(), "huber")
    with pytest.raises(ConfigError, match="got 'huber'"):
        setup(recipe={"loss": "huber"})
    assert setup(recipe={"loss": "emd"}).recipe.engine == "torch"
    with pytest.raises(MissingToolError, match="no kernels; engine torch"):
        setup(recipe={"engine": "native"})


def test_asha_behind_an_optimiser_trains_rung_by_rung() -> None:
    values = {"space": "econt", "data": {"wafers": 500}, "recipe": {"kind": "quick", "steps": 270}}
    for name, who in (("asha", "random"), ("qnehvi+asha", "qnehvi"), ("nsga2+asha", "nsga2")):
        setup = module.parse_study({**values, "optimiser": name}, "here").setup()
        assert (setup.optimiser.name, setup.rungs) == (who, Rungs((10, 30, 90, 270)))
    wide = {**values, "optimiser": "asha", "rungs": {"eta": 4, "lowest": 60}}
    assert module.parse_study(wide, "here").setup().rungs == Rungs((68, 270), eta=4)
    assert module.parse_study({**values, "optimiser": "random"}, "here").setup().rungs is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"optimiser": "random+hyperband"}, r"optimiser 'random\+hyperband': only '\+asha' can be added"),
        ({"rungs": {"eta": 3}}, r"\[rungs\] belongs to an optimiser with \+asha, got 'ehvi'"),
        ({"optimiser": "asha", "rungs": {"lowest": 90000}}, "lowest is from 1 to the 2000 steps"),
    ],
)
def test_rungs_that_cannot_be_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        module.parse_study({"space": "econt", "data": {"wafers": 500}, **given}, "here").setup()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"space": SearchSpace("bare", (integer("width", 1, 9),))},
            "bare SearchSpace, which builds no networks",
        ),
        ({"task": EcontTask}, "task is the class EcontTask; give one of its objects"),
        ({"device": "xc7"}, r"device is 'xc7'; give a Device, such as Device\(technology='xc7'\)"),
    ],
)
def test_what_is_easily_taken_for_what_is_wanted_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        module.run(**{"space": "econt", **given})


def test_one_folder_to_start_from_needs_no_list(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=rf"{tmp_path}/gone holds no study"):
        module.run(
            space="econt", out=tmp_path / "new", data={"wafers": 400}, warm_start=str(tmp_path / "gone")
        )


def test_python_is_warned_of_an_empty_front(tmp_path: Path) -> None:
    given: dict[str, Any] = {"space": "econt", "steps": 5, "data": {"wafers": 400}, "workers": 1, "trials": 1}
    given["progress"] = False
    with pytest.warns(module.NoFrontWarning, match="no trained design keeps every budget"):
        module.run(objectives=["emd<=1e-9", "area_um2"], out=tmp_path / "tight", **given)
    wild = Recipe.quick(5, learning_rate=1e30)
    with pytest.warns(module.NoFrontWarning, match="none of 1 design was trained .*; the last diverged"):
        module.run(recipe=wild, out=tmp_path / "wild", **given)
