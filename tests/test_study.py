"""The loop: same seed, same sequence, whatever happens on the way."""

import itertools
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import cloudpickle
import numpy as np
import pytest

import codesign
import codesign.space
from codesign import native
from codesign.errors import BudgetError, ConfigError, DataError, StoreError
from codesign.evaluation import Evaluation
from codesign.fixedpoint import FixedPoint
from codesign.hardware import Costs, Device, HardwareEstimate, Resources, Workload
from codesign.hardware.estimate import FRAMES
from codesign.metrics import Summary
from codesign.network import Dense, Flatten, Network, Sigmoid
from codesign.objectives import Objective
from codesign.optimisers import load_optimiser
from codesign.optimisers.asha import Rungs
from codesign.space import Candidate, SearchSpace
from codesign.store import Store
from codesign.study import Setup, Study
from codesign.tasks import Samples, inputs_of
from codesign.training import Recipe
from codesign.training.recipe import Engine
from hardware_models.asic import AsicModel
from hardware_models.constant import ConstantModel

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def setup(tiny: ModuleType) -> Setup:
    return Setup(
        definition=tiny,
        task=tiny.TinyTask(),
        objectives=(Objective("error"), Objective("area_um2")),
        model=AsicModel(),
        device=Device(),
        recipe=Recipe.quick(4),
        optimiser=load_optimiser("random"),
        in_flight=3,
    )


def test_an_export_that_is_never_for_the_device_is_refused_at_once(tmp_path: Path, setup: Setup) -> None:
    """Though the baseline is over budget."""
    device = Device(weights="constant", redundancy="weights")
    limit = Objective("operations", budget=30.0)
    never = replace(setup, model=ConstantModel(), device=device, export=("rtl",), limits=(limit,))
    assert setup.baseline is not None
    assert never.problem.over_budget(setup.baseline)
    with pytest.raises(ConfigError, match="constant weights have none"):
        run(tmp_path / "study", never, 3)
    assert not (tmp_path / "study").exists()


def test_what_an_export_cannot_take_is_refused_before_training(tmp_path: Path, setup: Setup) -> None:
    wide = replace(
        setup, definition=SimpleNamespace(SPACE=tiny_space(setup), build=too_wide), export=("onnx",)
    )
    run(tmp_path, wide, 3)
    study = Study.read(tmp_path)
    assert [e.status for e in study.evaluations] == ["infeasible"] * 3
    for evaluation in study.evaluations:
        assert re.match(r"onnx: layer 'code' needs an accumulator of \d+ bits", evaluation.reason)
        assert evaluation.steps == 0
    run(tmp_path / "taken", replace(setup, export=("onnx", "qonnx")), 3)
    taken = Study.read(tmp_path / "taken")
    assert [e.status for e in taken.evaluations] == ["ok"] * 3
    assert taken.meta["export"] == ["onnx", "qonnx"]


def test_a_device_that_an_export_cannot_be_for_is_refused_before_the_study_is_made(
    tmp_path: Path, setup: Setup
) -> None:
    other = replace(setup, export=("finn",), device=Device(part="5CGXFC7C7F23C8"))
    with pytest.raises(ConfigError, match="finn: part '5CGXFC7C7F23C8' is no UltraScale"):
        Study.create(tmp_path / "study", other)
    assert not (tmp_path / "study").exists()


def tiny_space(setup: Setup) -> SearchSpace:
    return setup.definition.SPACE


def too_wide(candidate: Candidate) -> Network:
    """Sums of 4 products of 14 by 14 bits: more than float32 holds."""
    weight = FixedPoint(0, 13)
    code = Dense("code", int(candidate["bits"]), weight=weight, bias=weight)
    layers = (Flatten("flatten"), code, Dense("out", 4))
    return Network((2, 2, 1), layers, FixedPoint(0, 14, signed=False), 2)


class Stopper:
    """Watches, and stops the study as the keyboard would after some designs."""

    def __init__(self, after: int) -> None:
        self.after, self.numbers = after, [0][:0]

    def resumed(self, evaluations: Sequence[Evaluation]) -> None:
        self.before = len(evaluations)

    def started(self, number: int, candidate: Candidate, costs: Mapping[str, float]) -> None:
        assert costs["area_um2"] > 0

    def finished(self, evaluation: Evaluation) -> None:
        self.numbers.append(evaluation.number)
        if len(self.numbers) == self.after:
            raise KeyboardInterrupt

    def tick(self) -> None:
        pass


def outcome(study: Study) -> list[tuple[Any, ...]]:
    return [(e.number, e.candidate.digest, e.status, e.origin, e.value("error")) for e in study.evaluations]


def run(folder: Path, setup: Setup, trials: int, watcher: Any = None) -> Study:
    if not (folder / "study.sqlite").exists():
        Study.create(folder, setup).close()
    study = Study.open(folder)
    try:
        return study.run(setup, trials, watcher)
    finally:
        study.close()


def finished(folder: Path) -> Study:
    return Study.read(folder)


@pytest.mark.parametrize("optimiser", ["random", "qnehvi"])
def test_an_interrupted_study_goes_on_with_the_same_sequence(
    tmp_path: Path, setup: Setup, optimiser: str
) -> None:
    trials = 12
    setup = replace(setup, optimiser=load_optimiser(optimiser))
    run(tmp_path / "whole", setup, trials)
    watcher = Stopper(after=9)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", setup, trials, watcher)
    assert len(finished(tmp_path / "parts").evaluations) == 9
    run(tmp_path / "parts", setup, 10)
    run(tmp_path / "parts", setup, trials)
    whole = outcome(finished(tmp_path / "whole"))
    assert len(whole) == trials
    assert outcome(finished(tmp_path / "parts")) == whole
    if optimiser == "qnehvi":
        assert {row[3] for row in whole} == {"baseline", "start", "qnehvi"}


@pytest.mark.parametrize("engine", ["torch", *(["native"] if native.available() else [])])
def test_each_evaluation_says_what_trained_it(tmp_path: Path, setup: Setup, engine: Engine) -> None:
    run(tmp_path / "study", replace(setup, recipe=replace(setup.recipe, engine=engine)), 3)
    study = Study.read(tmp_path / "study")
    assert [evaluation.engine for evaluation in study.evaluations] == [engine] * 3
    assert set(study.to_dataframe()["engine"]) == {engine}
    older = {name: value for name, value in study.evaluations[0].to_dict().items() if name != "engine"}
    assert Evaluation.from_dict(older).engine == "torch"


def test_another_seed_gives_another_sequence(tmp_path: Path, setup: Setup) -> None:
    run(tmp_path / "0", setup, 6)
    run(tmp_path / "1", replace(setup, seed=1), 6)
    assert outcome(finished(tmp_path / "0")) != outcome(finished(tmp_path / "1"))


@pytest.mark.slow
def test_the_number_of_workers_does_not_change_the_sequence(tmp_path: Path, setup: Setup) -> None:
    run(tmp_path / "one", setup, 6)
    run(tmp_path / "two", replace(setup, workers=2), 6)
    assert outcome(finished(tmp_path / "one")) == outcome(finished(tmp_path / "two"))


@pytest.fixture
def climbing(setup: Setup) -> Setup:
    return replace(setup, recipe=Recipe.quick(36), rungs=Rungs.of(36, eta=3, lowest=4))


def test_designs_are_trained_rung_by_rung_and_few_to_the_end(tmp_path: Path, climbing: Setup) -> None:
    run(tmp_path, climbing, 19)
    study = finished(tmp_path)
    baseline, *others = study.history
    assert (baseline.origin, baseline.steps) == ("baseline", 36)
    steps = [evaluation.steps for evaluation in others]
    assert [steps.count(rung) for rung in (4, 12, 36)] == [18, 6, 2]
    assert len(study.evaluations) == 19
    assert {e.origin for e in others} == {"random", "asha: 12 steps", "asha: 36 steps"}
    for evaluation in study.evaluations:
        of_it = [e for e in study.history if e.candidate == evaluation.candidate]
        assert evaluation == of_it[-1]
        assert [e.steps for e in of_it] == [4, 12, 36][: len(of_it)] or of_it == [baseline]
    on_front = study.to_dataframe().query("on_front")
    assert set(on_front["number"]) == {e.number for e in study.front()}
    assert not list(tmp_path.glob("checkpoints/*.36.npz"))
    assert study.meta["rungs"] == {"steps": [4, 12, 36], "eta": 3}


def test_a_training_in_parts_is_the_training_at_once(tmp_path: Path, climbing: Setup) -> None:
    run(tmp_path / "parts", climbing, 10)
    parts = finished(tmp_path / "parts")
    last = next(e for e in parts.history if e.origin == "asha: 36 steps")
    whole = run(tmp_path / "whole", replace(climbing, rungs=None), 10)
    once = next(e for e in finished(whole.folder).history if e.candidate == last.candidate)
    assert (once.steps, once.epochs) == (last.steps, last.epochs)
    assert once.curve[-1][::2] == last.curve[-1][::2]
    assert last.curve[0][0] > 12, "it starts anew"


@pytest.mark.parametrize("optimiser", ["random", "qnehvi"])
def test_a_study_in_rungs_that_is_interrupted_goes_on_with_the_same_sequence(
    tmp_path: Path, climbing: Setup, optimiser: str
) -> None:
    climbing = replace(climbing, optimiser=load_optimiser(optimiser))
    run(tmp_path / "whole", climbing, 12)
    for after in (5, 11):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "parts", climbing, 12, Stopper(after=after))
    run(tmp_path / "parts", replace(climbing, workers=2), 12)
    whole, parts = (
        [replace(e, seconds=0.0) for e in finished(tmp_path / name).history] for name in ("whole", "parts")
    )
    assert whole == parts
    assert optimiser in {e.origin for e in whole}
    assert climbing.problem.fidelity(whole[-1]) == np.log(whole[-1].steps / 36)


def test_what_was_trained_in_full_at_once_never_climbs(tmp_path: Path, climbing: Setup) -> None:
    """Also where its training stopped before the last rung: there is nothing that it could go on from."""
    hasty = replace(
        climbing, recipe=replace(climbing.recipe, learning_rate=1e-12, validate_every=2, patience=1)
    )
    run(tmp_path / "rungs", hasty, 16)
    baseline, *others = finished(tmp_path / "rungs").history
    assert baseline.steps < 36, "it did not stop early"
    assert baseline.candidate not in {e.candidate for e in others}
    run(tmp_path / "full", replace(hasty, rungs=None), 10)
    Study.create(tmp_path / "later", hasty, warm_start=[tmp_path / "full"]).close()
    run(tmp_path / "later", hasty, 9)
    taken = {e.candidate for e in finished(tmp_path / "full").evaluations}
    climbed = {e.candidate for e in finished(tmp_path / "later").history if "asha" in e.origin}
    assert climbed
    assert not climbed & taken


def test_of_a_study_in_rungs_only_full_trainings_are_taken_over(tmp_path: Path, climbing: Setup) -> None:
    run(tmp_path / "rungs", climbing, 19)
    whole = replace(climbing, rungs=None, seed=1)
    Study.create(tmp_path / "later", whole, warm_start=[tmp_path / "rungs"]).close()
    run(tmp_path / "later", whole, 1)
    taken = [e for e in finished(tmp_path / "later").history if e.origin.startswith("warm start")]
    assert [e.steps for e in taken] == [36] * 3
    assert all("effective_bops" in e.costs for e in taken)


def test_a_warm_start_that_was_interrupted_is_finished(
    tmp_path: Path, setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path / "earlier", setup, 6)
    later = replace(setup, seed=5)
    for name in ("whole", "parts"):
        Study.create(tmp_path / name, later, warm_start=[tmp_path / "earlier"]).close()
    run(tmp_path / "whole", later, 3)
    finish, calls = Store.finish, []

    def interrupted(self: Store, *arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == 4:
            raise KeyboardInterrupt
        finish(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "finish", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "parts", later, 3)
    run(tmp_path / "parts", later, 3)
    assert outcome(finished(tmp_path / "parts")) == outcome(finished(tmp_path / "whole"))


def test_rungs_are_part_of_what_a_study_is(tmp_path: Path, climbing: Setup) -> None:
    run(tmp_path, climbing, 2)
    with pytest.raises(StoreError, match="was made with another rungs"):
        run(tmp_path, replace(climbing, rungs=None), 3)


def test_a_lost_checkpoint_is_said(tmp_path: Path, climbing: Setup) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, climbing, 12, Stopper(after=5))
    for path in tmp_path.glob("checkpoints/*.npz"):
        path.write_bytes(b"nothing")
    with pytest.raises(StoreError, match=r"cannot go on: .*npz is missing or damaged"):
        run(tmp_path, climbing, 12)


def test_an_earlier_study_of_an_overlapping_space_is_known_from_the_start(
    tmp_path: Path, setup: Setup
) -> None:
    run(tmp_path / "earlier", setup, 8)
    earlier = finished(tmp_path / "earlier")
    narrow = setup.definition.SPACE.restricted(bits=(4, 6))
    space = SimpleNamespace(SPACE=narrow, build=setup.definition.build, BASELINE=setup.definition.BASELINE)
    later = replace(setup, definition=space, device=Device("asic-45nm"), seed=5)
    shared = [e for e in earlier.evaluations if e.candidate["bits"] in (4, 6)]
    assert 2 < len(shared) < 8
    Study.create(tmp_path / "later", later, warm_start=[tmp_path / "earlier"]).close()
    run(tmp_path / "later", later, 3)
    study = finished(tmp_path / "later")
    taken, fresh = study.evaluations[: len(shared)], study.evaluations[len(shared) :]
    for old, new in zip(shared, taken, strict=True):
        assert (new.candidate, new.metrics, new.origin) == (old.candidate, old.metrics, "warm start: earlier")
        assert new.costs["area_um2"] < old.costs["area_um2"]
        assert study.network(new.candidate.digest) == earlier.network(old.candidate.digest)
    assert len(fresh) == 3
    assert not {e.candidate for e in fresh} & {e.candidate for e in shared}


def test_scores_of_another_task_or_recipe_are_not_taken(tmp_path: Path, setup: Setup) -> None:
    run(tmp_path / "earlier", setup, 2)
    other = replace(setup, recipe=Recipe.quick(5))
    with pytest.raises(StoreError, match="earlier was made with another recipe"):
        Study.create(tmp_path / "later", other, warm_start=[tmp_path / "earlier"])
    assert not (tmp_path / "later").exists()


def test_no_design_is_trained_twice_and_an_exhausted_space_says_so(tmp_path: Path, setup: Setup) -> None:
    size = setup.definition.SPACE.count()
    Study.create(tmp_path, setup).close()
    study = Study.open(tmp_path).run(setup, size + 5)
    digests = [e.candidate.digest for e in study.evaluations]
    assert len(set(digests)) == len(digests) == size
    assert "every design" in study.note
    study.close()


def test_over_budget_is_never_trained(tmp_path: Path, setup: Setup) -> None:
    baseline = setup.costs(setup.baseline)["area_um2"]
    setup = replace(setup, objectives=(Objective("error"), Objective("area_um2", budget=0.9 * baseline)))
    run(tmp_path, setup, 8)
    first, *others = finished(tmp_path).evaluations
    assert (first.status, first.steps, dict(first.metrics)) == ("infeasible", 0, {})
    assert "budget" in first.reason
    assert all(e.ok and e.costs["area_um2"] <= 0.9 * baseline for e in others)
    assert len(others) == 7


def test_a_budget_that_no_design_meets_names_the_cheapest(tmp_path: Path, setup: Setup) -> None:
    cheapest = min(setup.price(setup.definition.SPACE.enumerate_codes())["area_um2"])
    setup = replace(setup, limits=(Objective("area_um2", budget=1.0),))
    with pytest.raises(BudgetError, match=f"best possible {cheapest:.6g}"):
        Study.create(tmp_path / "study", setup)
    assert not (tmp_path / "study").exists()


def test_a_training_that_diverges_is_a_status(tmp_path: Path, setup: Setup) -> None:
    setup = replace(setup, recipe=replace(Recipe.quick(20), learning_rate=1e30, schedule="constant"))
    run(tmp_path, setup, 2)
    for evaluation in finished(tmp_path).evaluations:
        assert evaluation.status == "diverged"
        assert evaluation.reason
        assert not evaluation.metrics
    assert len(finished(tmp_path).front()) == 0


def test_an_error_in_training_is_a_status_and_the_study_goes_on(
    tmp_path: Path, setup: Setup, tiny: ModuleType
) -> None:
    class Broken(tiny.TinyTask):  # type: ignore[misc, name-defined]
        @staticmethod
        def loss(prediction: Any, target: Any, weights: Any) -> Any:
            raise RuntimeError("no loss today")

    run(tmp_path, replace(setup, task=Broken(), recipe=replace(setup.recipe, engine=None)), 3)
    ended = finished(tmp_path).evaluations
    assert [each.status for each in ended] == ["failed"] * 3
    (reason,) = {each.reason for each in ended}
    assert re.match(
        r"ConfigError: task 'tiny' raised RuntimeError: no loss today at test_study.py:\d+, in loss; ", reason
    )


def test_a_study_whose_first_designs_all_fail_alike_stops_and_goes_on_once_mended(
    tmp_path: Path, setup: Setup, tiny: ModuleType
) -> None:
    class Changed(tiny.TinyTask):  # type: ignore[misc, name-defined]
        name = "changed"
        broken: ClassVar[bool] = True

        def score(self, network: Network) -> Any:
            return {} if self.broken else super().score(network)

        def describe(self) -> dict[str, Any]:
            return {**super().describe(), "broken": self.broken}

    setup = replace(setup, task=Changed())
    with pytest.raises(ConfigError, match=r"first 5 designs all failed alike: .*'error'.*codesign resume"):
        run(tmp_path, setup, 12)
    assert [each.status for each in finished(tmp_path).evaluations] == ["failed"] * 5
    Changed.broken = False
    run(tmp_path, setup, 7)
    study = finished(tmp_path)
    assert [each.status for each in study.evaluations] == ["ok"] * 7
    assert study.meta["task"]["broken"] is False
    Changed.broken = True
    with pytest.raises(StoreError, match="another task"):
        run(tmp_path, setup, 12)


def test_a_study_in_which_some_designs_go_well_does_not_stop(
    tmp_path: Path, setup: Setup, tiny: ModuleType
) -> None:
    first = setup.definition.build(setup.baseline)

    class Once(tiny.TinyTask):  # type: ignore[misc, name-defined]
        def score(self, network: Network) -> Any:
            return super().score(network) if replace(network, weights={}) == first else {}

    run(tmp_path, replace(setup, task=Once()), 9)
    assert [each.status for each in finished(tmp_path).evaluations] == ["ok"] + ["failed"] * 8


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        ({"inputs": np.zeros((0, 2, 2, 1)), "targets": np.zeros((0, 4))}, "there are no validation samples"),
        ({"inputs": np.zeros((9, 2, 3, 1)), "targets": np.zeros((9, 4))}, r"\(2, 3, 1\) each, the network"),
        (
            {"inputs": np.zeros((9, 2, 2, 1)), "targets": np.zeros((8, 4))},
            "9 validation inputs but 8 targets",
        ),
        ({"inputs": np.zeros((9, 2, 2, 1)), "targets": np.zeros((9, 3))}, r"targets have shape \(9, 3\)"),
    ],
)
def test_samples_that_fit_no_network_are_refused_at_once(
    tmp_path: Path, setup: Setup, tiny: ModuleType, samples: dict[str, Any], words: str
) -> None:
    class Own(tiny.TinyTask):  # type: ignore[misc, name-defined]
        validation = Samples(**samples, output_index=np.arange(4))

    for changed in (setup, replace(setup, definition=SimpleNamespace(SPACE=tiny.SPACE, build=tiny.build))):
        with pytest.raises(DataError, match=f"^task 'tiny': .*{words}"):
            Study.create(tmp_path / "study", replace(changed, task=Own()))
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (1.0, ""),
        (2.0, ""),  # a step beyond does not count
        (
            4.0,
            r"5\d% of the training inputs, which go from [\d.e-]+ to 3.9\d+, lie outside 0 to 1.96875 of ",
        ),
        (
            -1.0,
            r"9\d% .* lie outside 0 to 1.96875 of the input format of the baseline and saturate; scale them",
        ),
        (0.0, ""),
    ],
)
def test_inputs_outside_the_input_format_are_told_of(
    setup: Setup, tiny: ModuleType, factor: float, words: str
) -> None:
    class Scaled(tiny.TinyTask):  # type: ignore[misc, name-defined]
        @property
        def training(self) -> Samples:
            plain = super().training
            return Samples(np.float32(factor) * plain.inputs, plain.targets, plain.output_index)

    told = replace(setup, task=Scaled()).outside_input_format()
    assert re.match(f"^{words or '$'}", told)
    free = SimpleNamespace(SPACE=tiny.SPACE, build=tiny.build)
    assert ("of a design" in replace(setup, definition=free, task=Scaled()).outside_input_format()) == bool(
        words
    )


@pytest.mark.parametrize(
    ("goal", "words"),
    [
        (
            "max accuracy>=60",
            r"no design can keep 'max accuracy>=60.0': accuracy goes from 0 to 1 .*; give .* 0.6$",
        ),
        ("accuracy<=-0.1", r"accuracy goes from 0 to 1 \(unit 1\); give a budget in that range$"),
        ("error<=2", r"error goes from 3 to 5 "),
        ("max accuracy>=0.6", ""),
        ("max accuracy>=1", ""),
        ("max other>=60", ""),
        ("error<=3", ""),
    ],
)
def test_a_budget_that_no_value_of_a_metric_meets_is_refused(
    setup: Setup, tiny: ModuleType, goal: str, words: str
) -> None:
    class Own(tiny.TinyTask):  # type: ignore[misc, name-defined]
        metrics: ClassVar[Mapping[str, str]] = {"error": "1", "accuracy": "1", "other": "1"}
        ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"error": (3.0, 5.0)}

    goals = (Objective.parse(goal), Objective("area_um2"))
    if not words:
        replace(setup, task=Own(), objectives=goals)
        return
    with pytest.raises(ConfigError, match=words):
        replace(setup, task=Own(), objectives=goals)


def test_an_accuracy_that_is_minimised_is_told_of(setup: Setup, tiny: ModuleType) -> None:
    class Own(tiny.TinyTask):  # type: ignore[misc, name-defined]
        metrics: ClassVar[Mapping[str, str]] = {"accuracy": "1"}

    goals = (Objective("accuracy"), Objective("area_um2"))
    changed = replace(setup, task=Own(), objectives=goals)
    assert changed.doubts() == ["accuracy is minimised; 'max accuracy' maximises it"]
    goals = (Objective("accuracy", "max"), Objective("area_um2"))
    assert replace(changed, objectives=goals).doubts() == []


def test_what_is_no_task_is_said(tmp_path: Path, setup: Setup, tiny: ModuleType) -> None:
    with pytest.raises(ConfigError, match=r"task SimpleNamespace has no loss; .*own-task.md"):
        replace(setup, task=SimpleNamespace(name="own", metrics={"error": "1"}, score=print))
    half = SimpleNamespace(name="own", metrics={"error": "1"}, loss="mse", score=print)
    with pytest.raises(ConfigError, match=r"task SimpleNamespace has no training, validation, describe; "):
        Study.create(tmp_path / "study", replace(setup, task=half))

    class Pair(tiny.TinyTask):  # type: ignore[misc, name-defined]
        training = np.zeros(3), np.zeros(3)

    with pytest.raises(DataError, match=r"task 'tiny': training is of type tuple; give .*Samples"):
        Study.create(tmp_path / "study", replace(setup, task=Pair()))

    class Arrays(tiny.TinyTask):  # type: ignore[misc, name-defined]
        def describe(self) -> dict[str, Any]:
            return {"data": np.zeros(3)}

    with pytest.raises(ConfigError, match=r"describe of task 'tiny' gave what JSON cannot hold: .*ndarray"):
        Study.create(tmp_path / "study", replace(setup, task=Arrays()))


@pytest.mark.parametrize("part", ["loss", "metrics", "training", "validation", "describe", "constant"])
def test_what_a_task_raises_at_the_start_is_said_with_its_place(
    tmp_path: Path, setup: Setup, tiny: ModuleType, part: str
) -> None:
    def broken(self: Any) -> Any:
        return [0][self.count]

    method = part in ("describe", "constant")
    own = type("Own", (tiny.TinyTask,), {part: broken if method else property(broken)})
    words = r"task 'tiny' raised IndexError: list index out of range at test_study.py:\d+, in broken; "
    with pytest.raises(ConfigError, match=words):
        Study.create(tmp_path / "study", replace(setup, task=own()))
    assert not (tmp_path / "study").exists()


def test_a_study_made_with_something_else_is_refused(tmp_path: Path, setup: Setup, tiny: ModuleType) -> None:
    run(tmp_path, setup, 2)
    other = codesign.SearchSpace("tiny", tiny.SPACE.items[:1])

    class Definition:
        SPACE = other
        build = staticmethod(tiny.build)

    for changed, word in (
        (replace(setup, definition=Definition()), "space"),
        (replace(setup, task=tiny.TinyTask(count=32)), "task"),
        (replace(setup, seed=5), "seed"),
        (replace(setup, recipe=Recipe.quick(5)), "recipe"),
    ):
        with pytest.raises(StoreError, match=f"another {word}"):
            run(tmp_path, changed, 3)
    assert len(finished(tmp_path).evaluations) == 2


def test_a_study_of_another_version_is_refused_but_can_be_read(tmp_path: Path, setup: Setup) -> None:
    run(tmp_path, setup, 2)
    with sqlite3.connect(tmp_path / "study.sqlite") as connection:
        connection.execute("UPDATE meta SET value = '\"9.9.9\"' WHERE key = 'version'")
    connection.close()
    with pytest.raises(StoreError, match=r"another version: it has \"9.9.9\""):
        run(tmp_path, setup, 3)
    assert len(finished(tmp_path).evaluations) == 2


@pytest.mark.parametrize(
    ("goals", "message"),
    [
        (("error",), "at least two"),
        (("error", "error"), "error stands there more often"),
        (("error", "beauty"), "no objective 'beauty'"),
    ],
)
def test_objectives_that_make_no_front_are_refused(
    setup: Setup, goals: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(setup, objectives=tuple(Objective(name) for name in goals))


def test_a_limit_needs_a_known_cost_and_a_bound(setup: Setup) -> None:
    with pytest.raises(ConfigError, match="a limit bounds"):
        replace(setup, limits=(Objective("error", budget=1.0),))


def test_the_stored_network_gives_the_stored_score(tmp_path: Path, setup: Setup) -> None:
    run(tmp_path, setup, 3)
    study = finished(tmp_path)
    for evaluation in study.evaluations:
        network = study.network(evaluation.candidate.digest[:8])
        assert setup.task.score(network)["error"].mean == evaluation.value("error")


def test_dataframe_and_files_of_the_front(tmp_path: Path, setup: Setup) -> None:
    run(tmp_path, setup, 5)
    study = finished(tmp_path)
    frame = study.to_dataframe()
    assert len(frame) == 5
    assert frame["on_front"].sum() == len(study.front())
    assert {"number", "digest", "bits", "error", "error_std", "area_um2", "status"} <= set(frame.columns)
    assert sorted(path.name for path in study.save_front()) == [
        "front.csv",
        "front.html",
        "front.json",
        "front.png",
    ]
    assert not list(tmp_path.glob(".front*"))


@pytest.mark.slow
def test_a_killed_study_resumes_to_the_same_sequence(tmp_path: Path) -> None:
    """SIGKILL amid training, by the command line, on the real task."""
    options = [
        "--trials",
        "6",
        "--steps",
        "10",
        "--wafers",
        "400",
        "--recipe",
        "quick",
        "--optimiser",
        "random",
    ]
    options += ["--limit", "operations<=10000"]
    command = [sys.executable, "-m", "codesign.cli", "run", *options, "--out"]
    subprocess.run([*command, str(tmp_path / "whole")], check=True, capture_output=True, cwd=ROOT)
    process = subprocess.Popen(
        [*command, str(tmp_path / "parts")],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if (tmp_path / "parts" / "study.sqlite").exists() and finished(tmp_path / "parts").evaluations:
            break
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    resume = [sys.executable, "-m", "codesign.cli", "resume", str(tmp_path / "parts")]
    subprocess.run(resume, check=True, capture_output=True, cwd=ROOT)
    found = [
        [(e.number, e.candidate.digest, e.value("emd")) for e in finished(tmp_path / name).evaluations]
        for name in ("whole", "parts")
    ]
    assert len(found[0]) == 6
    assert found[0] == found[1]


def test_run_in_python_is_what_the_readme_says(tmp_path: Path, tiny: ModuleType) -> None:
    study = codesign.run(
        space=tiny,
        task=tiny.TinyTask(),
        objectives=["error", "area_um2<=1e6"],
        trials=4,
        steps=3,
        recipe="quick",
        optimiser="random",
        workers=1,
        out=tmp_path,
    )
    assert len(study.front()) >= 1
    assert len(study.to_dataframe()) == 4
    assert np.isfinite(study.front().hypervolume)
    study.close()


# --- workers, names, prices


@dataclass(frozen=True)
class Fatal:
    """A task like ``TinyTask`` on which designs of some digests kill their worker."""

    task: Any
    digests: tuple[str, ...]
    name: ClassVar[str] = "tiny"
    loss: ClassVar[str] = "mse"
    metrics: ClassVar[Mapping[str, str]] = {"error": "1"}

    @property
    def training(self) -> Any:
        return self.task.training

    @property
    def validation(self) -> Any:
        return self.task.validation

    def score(self, network: Any) -> Any:
        if network.with_weights({}).digest in self.digests:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.task.score(network)

    def describe(self) -> dict[str, Any]:
        return {}


cloudpickle.register_pickle_by_value(sys.modules[__name__])


@pytest.mark.slow
def test_only_the_design_that_kills_its_worker_is_lost(
    tmp_path: Path, setup: Setup, tiny: ModuleType
) -> None:
    run(tmp_path / "whole", setup, 6)
    whole = finished(tmp_path / "whole").evaluations
    fatal = tiny.build(whole[2].candidate).digest
    task = Fatal(setup.task, (fatal,))
    run(tmp_path / "lost", replace(setup, task=task, workers=2), 6)
    found = finished(tmp_path / "lost").evaluations
    assert [e.status for e in found] == ["ok", "ok", "lost", "ok", "ok", "ok"]
    assert "a worker process died" in found[2].reason
    assert [e.candidate.digest for e in found] == [e.candidate.digest for e in whole]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_task_that_cannot_be_sent_to_workers(
    tmp_path: Path, setup: Setup, tiny: ModuleType, workers: int
) -> None:
    task = tiny.TinyTask()
    object.__setattr__(task, "lock", threading.Lock())
    setup = replace(setup, task=task, workers=workers)
    if workers == 1:
        run(tmp_path, setup, 1)
    else:
        with pytest.raises(ConfigError, match=r"cannot be sent to worker processes: TypeError.*workers=1"):
            run(tmp_path, setup, 1)


def test_names_that_tables_cannot_tell_apart_are_refused(setup: Setup, tiny: ModuleType) -> None:
    for name in ("weight_bits", "error", "error_std", "emd_ratio", "digest", "effective_bops"):
        space = codesign.SearchSpace("own", (*tiny.SPACE.items, codesign.space.ordinal(name, (1, 2))))
        definition = SimpleNamespace(SPACE=space, build=tiny.build)
        with pytest.raises(ConfigError, match=rf"'own' has parameters named like .*: {name}; rename"):
            replace(setup, definition=definition)
    task = SimpleNamespace(name="own", loss="mse", metrics={"error": "1", "area_um2": "um2"})
    with pytest.raises(ConfigError, match=r"'own' has metrics named like .*: area_um2; rename"):
        replace(setup, task=task)


def test_what_cannot_be_priced_makes_no_study(tmp_path: Path, setup: Setup, tiny: ModuleType) -> None:
    def build(candidate: Candidate) -> Any:
        return candidate["nothing"]

    for changed, message in (
        (replace(setup, device=Device("nothing")), "no technology 'nothing'"),
        (replace(setup, definition=SimpleNamespace(SPACE=tiny.SPACE, build=build)), "KeyError: 'nothing'"),
    ):
        with pytest.raises(ConfigError, match=message):
            Study.create(tmp_path / "study", changed)
        assert not (tmp_path / "study").exists()


def test_a_study_that_has_more_designs_says_so(tmp_path: Path, setup: Setup) -> None:
    run(tmp_path, setup, 3)
    assert "3 designs already" in run(tmp_path, setup, 2).note


def test_an_extension_is_remembered(tmp_path: Path, setup: Setup) -> None:
    run(tmp_path, setup, 2)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, setup, 6, Stopper(after=1))
    assert finished(tmp_path).meta["trials"] == 6


def test_designs_that_learnt_little_but_a_constant_are_told(tmp_path: Path, setup: Setup) -> None:
    run(tmp_path, setup, 5)
    study = finished(tmp_path)
    found = study.near_constant()
    assert found is not None
    bound, worse = found
    assert bound == pytest.approx(setup.task.constant()["error"].mean)
    assert [e.number for e in worse] == [
        e.number for e in study.evaluations if e.value("error") >= 0.95 * bound
    ]


class Weighing:
    """The ASIC model, with twice the area once the weights are known."""

    name, needs_weights, predicts = "weighing", True, AsicModel.predicts

    def price(self, workload: Workload, device: Device) -> Costs:
        return AsicModel().price(workload, device)

    def features(self, workload: Workload, device: Device) -> Costs:
        return AsicModel().features(workload, device)

    def estimate(self, network: Network, device: Device) -> HardwareEstimate:
        found = AsicModel().estimate(network, device)
        area = found.resources.area_um2
        assert area is not None
        return replace(found, resources=Resources(area_um2=2 * area if network.fitted else area))


def test_a_cost_that_depends_on_the_weights_is_priced_again_after_training(
    tmp_path: Path, setup: Setup
) -> None:
    weighing = replace(setup, model=Weighing())
    study = run(tmp_path, weighing, 3)
    for evaluation in finished(study.folder).evaluations:
        before = weighing.costs(evaluation.candidate)
        assert evaluation.costs["area_um2"] == pytest.approx(2 * before["area_um2"])
        assert evaluation.costs["macs"] == before["macs"]


@pytest.mark.parametrize(
    ("kind", "name"), [("training", "inputs"), ("training", "targets"), ("validation", "inputs")]
)
def test_data_that_are_not_finite_are_refused_before_any_training(
    tmp_path: Path, setup: Setup, kind: str, name: str
) -> None:
    samples = getattr(setup.task, kind)
    values = getattr(samples, name).copy()
    values[7] = np.nan
    task = SimpleNamespace(**{each: getattr(setup.task, each) for each in dir(setup.task) if each[0] != "_"})
    setattr(task, kind, replace(samples, **{name: values}))
    words = f"{name} of {kind} samples are not finite in 1 of {len(values)}, first in sample 7"
    with pytest.raises(DataError, match=words):
        run(tmp_path / "study", replace(setup, task=task), 1)
    assert not (tmp_path / "study").exists()


def test_a_loss_that_suits_no_design_is_refused_before_any_training(tmp_path: Path, setup: Setup) -> None:
    """Logits of networks that end in a sigmoid; data that are no shares of classes."""
    logits = replace(setup, recipe=replace(setup.recipe, loss="cross_entropy", engine="torch"))
    with pytest.raises(DataError, match="are not the shares of two or more classes"):
        run(tmp_path / "study", logits, 1)

    def squashed(candidate: Candidate) -> Network:
        network = setup.definition.build(candidate)
        return replace(network, layers=(*network.layers, Sigmoid("end")))

    ending = SimpleNamespace(SPACE=setup.definition.SPACE, build=squashed)
    with pytest.raises(ConfigError, match="takes the network's outputs as logits, but the network ends"):
        run(tmp_path / "study", replace(logits, definition=ending), 1)
    assert not (tmp_path / "study").exists()


def test_power_of_a_trained_design_is_of_what_inputs_of_the_task_change(tmp_path: Path, setup: Setup) -> None:
    """They are kept with the study; what is exact before training stays as it was."""
    study = finished(run(tmp_path, setup, 2).folder)
    inputs, kept = inputs_of(setup.task, FRAMES), study.store.inputs()
    assert kept is not None
    np.testing.assert_array_equal(kept, inputs)
    for evaluation in study.evaluations:
        network, before = study.network(evaluation.candidate.digest), setup.costs(evaluation.candidate)
        seen = AsicModel(inputs).estimate(network, setup.device)
        assert seen.basis == "activity"
        assert evaluation.costs["power_mw"] == seen.power_mw != before["power_mw"]
        assert evaluation.costs["area_um2"] == before["area_um2"]


def test_a_budget_that_only_the_trained_weights_break_is_a_status(tmp_path: Path, setup: Setup) -> None:
    priced = sorted(
        e.costs["area_um2"] for e in finished(run(tmp_path / "free", setup, 4).folder).evaluations
    )
    limit = Objective("area_um2", budget=1.5 * priced[0])
    study = run(
        tmp_path / "tight",
        replace(
            setup, model=Weighing(), objectives=(setup.objectives[0], Objective("macs")), limits=(limit,)
        ),
        2,
    )
    study = finished(study.folder)
    broken = [e for e in study.evaluations if e.status == "infeasible" and e.steps]
    assert broken
    assert "with the trained weights breaks area_um2<=" in broken[0].reason
    assert not any(e.number == broken[0].number for e in study.front())


def test_a_space_may_decide_how_each_candidate_is_trained(tmp_path: Path, setup: Setup) -> None:
    def with_recipe(**values: Any) -> Setup:
        space = SimpleNamespace(SPACE=tiny_space(setup), build=setup.definition.build)
        space.recipe = lambda candidate: values
        return replace(setup, definition=space)

    frozen = with_recipe(learning_rate=1e-30)
    errors = []
    for name, each in (("plain", setup), ("frozen", frozen)):
        run(tmp_path / name, each, 2)
        errors.append([e.metrics["error"].mean for e in Study.read(tmp_path / name).evaluations])
    assert errors[0] != errors[1]
    candidate = tiny_space(setup).sample(1, np.random.default_rng(0))[0]
    assert frozen.recipe_of(candidate).learning_rate == 1e-30
    assert with_recipe(loss="sinkhorn").recipe_of(candidate).engine == "torch"
    longer = with_recipe(steps=7)
    assert longer.recipe_of(candidate).steps == 7
    with pytest.raises(ConfigError, match="leave the steps out"):
        replace(longer, rungs=Rungs.of(4, 3, 1)).recipe_of(candidate)
    with pytest.raises(ConfigError, match="rate"):
        with_recipe(rate=1).recipe_of(candidate)


def ran(folder: Path, setup: Setup, trials: int) -> Study:
    run(folder, setup, trials)
    return Study.open(folder)


def test_a_repeated_design_has_mean_and_deviation_over_seeds(tmp_path: Path, setup: Setup) -> None:
    study = ran(tmp_path / "study", setup, 4)
    design = next(each for each in study.evaluations if each.ok)
    (found,) = study.repeat(setup, [design.candidate.digest], 3)
    own, *more = found.values("error")
    assert own == design.value("error")
    assert len({own, *more}) == 3
    assert found.mean("error") == pytest.approx((own + sum(more)) / 3)
    assert found.deviation("error") == pytest.approx(np.std([own, *more], ddof=1))
    assert study.repeated[design.candidate.digest] == found
    other = ran(tmp_path / "other", replace(setup, seed=setup.seed + 1), 1).evaluations[0]
    (baseline,) = study.repeat(setup, [study.evaluations[0].candidate.digest], 2)
    assert baseline.evaluations[1].metrics == other.metrics


def test_what_was_repeated_is_not_trained_again(tmp_path: Path, setup: Setup) -> None:
    class Count(Stopper):
        def finished(self, evaluation: Evaluation) -> None:
            counted.append(evaluation.seed)

    counted: list[int] = []
    study = ran(tmp_path / "study", setup, 3)
    digest = study.evaluations[0].candidate.digest
    for seeds in (2, 2, 4):
        study.repeat(setup, [digest], seeds, Count(after=99))
    assert counted == [1, 2, 3]
    with pytest.raises(ConfigError, match="two seeds or more"):
        study.repeat(setup, [digest], 1)


def test_a_training_in_rungs_is_repeated_to_where_it_was_trained(tmp_path: Path, climbing: Setup) -> None:
    study = ran(tmp_path / "study", climbing, 9)
    steps = {each.candidate.digest: each.steps for each in study.evaluations}
    for found in study.repeat(climbing, list(steps)[:4], 2):
        assert {each.steps for each in found.evaluations} == {steps[found.candidate.digest]}


def test_means_over_seeds_decide_who_is_on_the_front(tmp_path: Path, setup: Setup) -> None:
    study = ran(tmp_path / "study", setup, 6)
    best = study.front().evaluations[0]
    spoilt = replace(best.metrics["error"], mean=1e6)
    study.store.record_repeat(replace(best, seed=1, origin="repeat", metrics={"error": spoilt}))
    assert study.front().evaluations[0] == best
    after = [each.candidate for each in study.front_over_seeds()]
    assert after
    assert best.candidate not in after
    again = study.to_dataframe().query("origin == 'repeat'")
    assert again[["error", "seed"]].to_numpy().tolist() == [[1e6, 1]]


def test_an_optimiser_learns_from_repeated_trainings_and_resumes_alike(tmp_path: Path, setup: Setup) -> None:
    seen: dict[str, list[int]] = {"whole": [], "parts": []}

    class Spy:
        name = "random"

        def __init__(self, place: str) -> None:
            self.place = place

        def propose(self, problem: Any, history: Any, pending: Any, rng: Any) -> Any:
            seen[self.place].append(sum(each.origin == "repeat" for each in history))
            for before, each in itertools.pairwise(history):  # behind their designs, where they stay
                assert (each.origin == "repeat") == (each.candidate == before.candidate)
            return load_optimiser("random").propose(problem, history, pending, rng)

    for place in seen:
        spied = replace(setup, optimiser=Spy(place))
        study = ran(tmp_path / place, spied, 4)
        study.repeat(spied, [each.candidate.digest for each in study.evaluations], 2)
        study.close()
        for trials in (8,) if place == "whole" else (6, 8):
            run(tmp_path / place, spied, trials)
    # in_flight is 3: the fifth proposal knows the first two designs, and both trainings of each
    assert seen["whole"] == seen["parts"] == [0, 0, 0, 2, 3, 4, 4]
    assert outcome(Study.read(tmp_path / "whole")) == outcome(Study.read(tmp_path / "parts"))


def test_what_run_returned_is_repeated_and_what_was_only_opened_needs_its_folder(
    tmp_path: Path, tiny: ModuleType
) -> None:
    study = codesign.run(
        space=tiny,
        task=tiny.TinyTask(),
        objectives=["error", "area_um2"],
        trials=3,
        recipe=Recipe.quick(4),
        optimiser="random",
        workers=1,
        out=tmp_path,
        progress=False,
    )
    best = [each.candidate.digest for each in study.front()]
    assert codesign.repeat(study, seeds=2, progress=False) is study
    assert sorted(study.repeated) == sorted(best)
    study.close()
    opened = Study.open(tmp_path)
    with pytest.raises(ConfigError, match="was only opened"):
        codesign.repeat(opened, progress=False)
    opened.close()
    with pytest.raises(StoreError, match="was made from Python objects"):
        codesign.repeat(tmp_path, progress=False)


class Blind:
    """A task whose score is of no use."""

    def __init__(self, task: Any, found: Any) -> None:
        self.task, self.found = task, found

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)

    def score(self, network: Network) -> Any:
        return self.found


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"error": Summary(float("nan"), 0.1, 0.1, 10)}, "Summary(mean=nan"),
        ({"error": 0.5}, "gave 0.5 for the metric 'error'"),
        ({}, "gave None for the metric 'error'"),
        (0.5, "gave 0.5 for the metric 'error'"),
    ],
)
def test_a_score_of_no_finite_value_fails_its_design(
    tmp_path: Path, setup: Setup, found: Any, words: str
) -> None:
    blind: Any = Blind(setup.task, found)
    run(tmp_path, replace(setup, task=blind), 2)
    for evaluation in Study.read(tmp_path).evaluations:
        assert evaluation.status == "failed"
        assert words in evaluation.reason
        assert "it gives a Summary of finite values for each of its metrics" in evaluation.reason


def test_a_front_is_trained_to_the_end_when_asked(tmp_path: Path, climbing: Setup) -> None:
    study = run(tmp_path, climbing, 8)
    partly = [each for each in finished(tmp_path).front() if each.steps < 36]
    assert partly, "there is something to finish"
    assert finished(tmp_path).in_part == partly
    again = Study.open(tmp_path)
    try:
        study = again.run(climbing, 8, finish=True)
    finally:
        again.close()
    study = finished(tmp_path)
    assert {each.steps for each in study.front()} == {36}
    assert study.in_part == []
    assert len(study.evaluations) == 8
    assert {row["steps"] for row in study.front().rows()} == {36}
    origins = {each.origin for each in study.history}
    assert "finish: 36 steps" in origins
    before = len(study.history)
    run(tmp_path, climbing, 8)
    assert len(finished(tmp_path).history) == before


def test_only_a_study_in_rungs_is_finished(tmp_path: Path, setup: Setup) -> None:
    Study.create(tmp_path / "study", setup).close()
    study = Study.open(tmp_path / "study")
    with study.store, pytest.raises(ConfigError, match="trains every design to the end at once"):
        study.run(setup, 3, finish=True)


def test_a_study_does_not_go_on_with_another_build(tmp_path: Path, setup: Setup) -> None:
    """Its front would mix two networks of one design."""
    run(tmp_path, setup, 2)
    wider = SimpleNamespace(SPACE=tiny_space(setup), build=too_wide)
    if hasattr(setup.definition, "BASELINE"):
        wider.BASELINE = setup.definition.BASELINE
    with pytest.raises(StoreError, match="made with another build"):
        run(tmp_path, replace(setup, definition=wider), 4)
    older = Study.open(tmp_path)
    with older.store:
        assert older.meta.pop("build")
        older.run(setup, 3)
    assert len(finished(tmp_path).evaluations) == 3


def test_a_training_that_stops_early_is_finished(tmp_path: Path, climbing: Setup) -> None:
    """No step improves anything: every training ends before its rung, the baseline's too."""
    recipe = replace(climbing.recipe, steps=360, patience=1, learning_rate=1e-9)
    impatient = replace(climbing, recipe=recipe, rungs=Rungs.of(360, eta=3, lowest=40))
    Study.create(tmp_path / "study", impatient).close()
    study = Study.open(tmp_path / "study")
    with study.store:
        study.run(impatient, 8, finish=True)
        assert {each.steps < 360 for each in study.front()} == {True}
        assert study.in_part == []
        again = len(study.history)
        study.run(impatient, 8, finish=True)
        assert len(study.history) == again
