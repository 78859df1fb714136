import functools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from codesign.adapters import candidate_of, from_optuna, suggest, to_optuna
from codesign.adapters.optuna import EXHAUSTED
from codesign.errors import SpaceError
from codesign.space import Candidate, Constraint, Limit, Repeat, SearchSpace, When, categorical, ordinal, real
from tests.adapters.spaces import same, spaces


class Drawn:
    """A trial that draws, as a sampler without a model does, and keeps what it gave."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.params: dict[str, Any] = {}

    def keep(self, name: str, value: Any) -> Any:
        return self.params.setdefault(name, value)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> Any:
        return self.keep(name, int(self.rng.choice(range(low, high + 1, step))))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> Any:
        if step:
            return self.keep(name, low + step * int(self.rng.integers(round((high - low) / step) + 1)))
        return self.keep(name, float(self.rng.uniform(low, high)))

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return self.keep(name, choices[int(self.rng.integers(len(choices)))])


def econt(trial: Any) -> None:
    """The study's stacks of layers as an Optuna user writes them."""
    for i in range(trial.suggest_int("convolutions", 0, 3)):
        trial.suggest_categorical(f"filters_{i}", [2, 4, 8, 16, 32, 64])
        trial.suggest_int(f"kernel_{i}", 1, 5, step=2)
        trial.suggest_categorical(f"pooling_{i}", [False, True])
        trial.suggest_categorical(f"stride_{i}", [1, 2, 4])
    for i in range(trial.suggest_int("dense_layers", 0, 3)):
        trial.suggest_categorical(f"units_{i}", [16, 32, 64])


def branches(trial: Any) -> None:
    """Branches on texts, flags and numbers; parts of two branches; a float behind a flag."""
    kind = trial.suggest_categorical("kind", ["conv", "dense", "none"])
    if kind != "none":
        trial.suggest_int("bits", 2, 4)
    if kind == "conv":
        size = trial.suggest_int("size", 1, 5, step=2)
        if size > 1 and trial.suggest_categorical("pad", [True, False]):
            trial.suggest_float("border", 0.0, 0.3, step=0.1)
    if trial.suggest_categorical("drop", [False, True]):
        trial.suggest_float("rate", 0.01, 1.0, log=True)


def flags(trial: Any) -> None:
    for i in range(6):
        if trial.suggest_categorical(f"flag_{i}", [False, True]):
            trial.suggest_int(f"value_{i}", 1, 8)


def together(trial: Any) -> None:
    """Two thresholds that only together let something exist."""
    a, b, _ = (trial.suggest_int(name, 0, 29) for name in "abc")
    if a > 14 and b > 14:
        trial.suggest_int("d", 0, 1)


@pytest.mark.parametrize(
    ("function", "count"),
    [
        (econt, (1 + 108 + 108**2 + 108**3) * 40),
        (branches, (3 * (1 + 2 * (1 + 4)) + 3 + 1) * (1 + 33)),
        (flags, 9**6),
        (together, 30 * (900 + 225)),
    ],
)
def test_a_function_has_the_designs_it_can_suggest(function: Any, count: int) -> None:
    space = from_optuna(function)
    assert space.count() == count
    assert space.name == function.__name__
    rng = np.random.default_rng(0)
    for seed in range(200):
        drawn = Drawn(seed)
        function(drawn)
        assert set(candidate_of(space, drawn.params).values) == set(drawn.params)
    for candidate in space.sample(200, rng):
        assert list(asked_for(function, candidate)) == list(candidate.values)


def asked_for(function: Any, candidate: Candidate) -> dict[str, Any]:
    """What a function asks for when it is given a candidate; nothing that the candidate lacks."""

    class Given(Drawn):
        def keep(self, name: str, value: Any) -> Any:
            return super().keep(name, candidate[name])

    trial = Given(0)
    function(trial)
    by_name = {name: trial.params[name] for name in candidate.values if name in trial.params}
    assert set(by_name) == set(trial.params)
    return by_name


def test_what_is_found_at_random_is_found() -> None:
    """With one value changed at a time from the first, nothing shows that ``d`` may exist."""
    assert EXHAUSTED < 30**3
    assert "d" in from_optuna(together).names


@given(spaces(floats=False, most=150))
@settings(deadline=None, max_examples=25)
def test_a_space_asked_for_by_a_trial_is_the_space(space: SearchSpace) -> None:
    assert same(from_optuna(functools.partial(suggest, space=space)), space)


def test_a_float_is_asked_for_as_a_grid() -> None:
    space = SearchSpace("s", (real("a", 0.1, 1.0), real("b", 0.1, 1.0, levels=9, log=True)))
    assert from_optuna(functools.partial(suggest, space=space), levels=9).items == (
        real("a", 0.1, 1.0, levels=9),
        space.items[1],
    )


@given(spaces())
@settings(deadline=None, max_examples=40)
def test_suggest_asks_for_what_exists_and_gives_a_candidate(space: SearchSpace) -> None:
    for seed in range(3):
        trial = Drawn(seed)
        candidate = suggest(trial, space)
        assert space.valid(space.encode([candidate]))[0]
        assert list(trial.params) == list(candidate.values)
        for name, value in trial.params.items():
            if not isinstance(value, float):
                assert candidate[name] == value


def test_a_float_is_asked_over_its_range_and_the_candidate_is_on_the_grid() -> None:
    space = SearchSpace("s", (real("rate", 1e-4, 1.0, levels=5, log=True),))

    class Trial(Drawn):
        def suggest_float(self, name: str, low: float, high: float, **how: Any) -> Any:
            assert (low, high, how) == (1e-4, 1.0, {"log": True})
            return 0.004

    assert suggest(Trial(0), space)["rate"] == 0.01


def choose(trial: Any, *names: str) -> list[int]:
    return [trial.suggest_int(name, 0, 1) for name in names]


def either(trial: Any) -> None:
    if any(choose(trial, "a", "b")):
        choose(trial, "x")


def narrowed(trial: Any) -> None:
    trial.suggest_int("b", 0, trial.suggest_int("a", 1, 2))


def by_float(trial: Any) -> None:
    if trial.suggest_float("rate", 0, 1) > 0.5:
        choose(trial, "x")


def by_small_float(trial: Any) -> None:
    if trial.suggest_float("rate", 0, 1) < 0.1:
        choose(trial, "x")


def fails(trial: Any) -> None:
    if choose(trial, "a", "b") == [0, 1]:
        raise ValueError("no such network")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (either, "'x' exists both for a=0, b=1 and for a=1, b=1, but not for every mixture"),
        (narrowed, r"'b' takes 0, 1, 2 in one branch and 0, 1 in another; .*another name in each branch"),
        (by_small_float, "whether 'x' exists depends on 'rate'"),
        (by_float, "whether 'x' exists depends on 'rate', a float without a step"),
        (fails, "raised ValueError: no such network for a=0, b=1; .*as a Constraint"),
        (lambda trial: trial.suggest_uniform("x", 0, 1), "asks its trial for 'suggest_uniform'"),
        (lambda trial: trial.suggest_categorical("x", [None, 1]), "'x' has the choice None; .*a text"),
        (lambda trial: trial.suggest_categorical("x", [[1], [2]]), r"'x' has the choice \[1\]"),
        (lambda trial: trial.suggest_int("x", 0, 10**6), "'x' takes more than 32767 whole numbers"),
        (lambda trial: trial.suggest_float("x", 0, 1, step=1e-6), "'x' takes 1000001 values"),
        (lambda trial: trial.suggest_float("x", 1, 0), "'x' needs low < high"),
        (lambda trial: None, "the function suggests nothing"),
    ],
)
def test_what_cannot_be_said_is_told(function: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        from_optuna(function)


def test_a_function_of_too_many_branches_is_told() -> None:
    with pytest.raises(
        SpaceError, match="5000 runs of the function did not show all its branches; raise budget"
    ):
        from_optuna(flags, budget=5000)


@pytest.mark.parametrize(("size", "most"), [(2, 17), (5, 25)])
def test_a_function_that_is_not_a_function_of_its_values_is_told(size: int, most: int) -> None:
    runs: list[int] = []

    def moody(trial: Any) -> None:
        runs.append(1)
        values = [trial.suggest_int(name, 0, 9) for name in "abcde"[:size]]
        if len(runs) % 2 and sum(values) > most:
            trial.suggest_int("x", 0, 1)

    with pytest.raises(SpaceError, match="asks for other parameters when it is given the same values"):
        from_optuna(moody)


def test_the_same_name_in_two_branches_is_one_parameter() -> None:
    def define(trial: Any) -> None:
        if trial.suggest_categorical("kind", ["conv", "dense"]) == "conv":
            trial.suggest_int("bits", 2, 8)
        else:
            trial.suggest_int("bits", 2, 8)
            trial.suggest_int("bits", 2, 8)

    assert from_optuna(define).count() == 2 * 7


HEAVY = SearchSpace(
    "heavy",
    (
        Repeat(
            "layers",
            (ordinal("units", (16, 32, 64)),),
            0,
            3,
            (Limit("too wide", lambda x: int(x["units"]), 96),),
        ),
        categorical("pooling", ("none", "max")),
        When("pooling", ("max",), (ordinal("size", (2, 3)),)),
        real("rate", 0.001, 1.0, levels=4, log=True),
    ),
    (Constraint("small pools for three layers", lambda x: x["layers"] < 3 or x.get("size", 2) == 2),),
)


OTHERS = {"pooling": "none", "rate": 0.5}


def test_optuna_drives_a_space_and_broken_limits_prune() -> None:
    optuna = pytest.importorskip("optuna", reason="the extra peers is not installed")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found: dict[int, Candidate] = {}

    def objective(trial: Any) -> float:
        found[trial.number] = suggest(trial, HEAVY)
        return float(len(found[trial.number].values))

    study.optimize(objective, n_trials=120)
    states = [trial.state.name for trial in study.trials]
    assert set(states) == {"COMPLETE", "PRUNED"}
    assert [state == "COMPLETE" for state in states] == [number in found for number in range(len(states))]
    assert HEAVY.valid(HEAVY.encode(list(found.values()))).all()
    for number, candidate in found.items():
        assert set(study.trials[number].params) == set(candidate.values)
    wide = optuna.trial.FixedTrial({"layers": 3, "units_1": 64, "units_2": 64, "units_3": 64, **OTHERS})
    with pytest.raises(optuna.TrialPruned, match=r"too wide \(layers: 192, at most 96\)"):
        suggest(wide, HEAVY)


def test_evaluations_told_to_optuna_have_the_distributions_it_was_asked_with() -> None:
    optuna = pytest.importorskip("optuna", reason="the extra peers is not installed")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    distributions = to_optuna(HEAVY)
    for candidate in HEAVY.sample(20, np.random.default_rng(0)):
        here = {name: distributions[name] for name in candidate.values}
        values = dict(candidate.values)
        study.add_trial(
            optuna.create_trial(params=values, distributions=here, value=float(candidate["rate"]))
        )
    trial = study.ask()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SearchSpace, "valid", lambda self, codes: np.ones(len(codes), dtype=np.bool_))
        suggest(trial, HEAVY)
    assert all(trial.distributions[name] == distributions[name] for name in trial.params)


def test_functions_of_optuna_are_its_own(tmp_path: Any) -> None:
    optuna = pytest.importorskip("optuna", reason="the extra peers is not installed")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = from_optuna(branches)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(100):
        trial = study.ask()
        branches(trial)
        values = {name: value for name, value in trial.params.items() if name != "rate"}
        assert set(space.candidate(values).values) == set(trial.params)
