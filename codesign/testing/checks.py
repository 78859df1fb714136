"""Laws of search spaces, hardware models and optimisers."""

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np

from codesign.errors import SpaceError
from codesign.evaluation import Evaluation
from codesign.hardware import Device, HardwareModel, Workload
from codesign.hardware.estimate import COST_UNITS, WORK
from codesign.metrics import Summary
from codesign.network import Network
from codesign.optimisers import Optimiser, Problem
from codesign.space import SearchSpace, SpaceDefinition

__all__ = ["check_hardware_model", "check_optimiser", "check_search_space"]


def check_search_space(definition: SpaceDefinition, *, draws: int = 50, seed: int = 0) -> None:
    """Every drawn candidate is valid, has one spelling, and builds; a ``workload`` equals the networks'."""
    space, rng = definition.SPACE, np.random.default_rng(seed)
    codes = space.sample_codes(draws, rng, balanced=True)
    assert space.valid(codes).all(), "a drawn candidate is not valid"
    candidates = space.decode(codes)
    assert (space.encode(candidates) == codes).all(), "encode is not the inverse of decode"
    for candidate in candidates:
        assert space.candidate(candidate.values) == candidate, f"{candidate} has another canonical spelling"
    networks = [definition.build(candidate) for candidate in candidates]
    assert networks == [definition.build(candidate) for candidate in candidates], "build is not deterministic"
    workload = getattr(definition, "workload", None)
    if workload is not None:
        _same_work(workload(codes), Workload.of(networks))
    baseline = getattr(definition, "BASELINE", None)
    if baseline is not None:
        definition.build(space.candidate(baseline))


def _same_work(fast: Workload, slow: Workload) -> None:
    """Equal layer by layer, wherever the absent layers stand in the columns."""
    for item in fields(Workload):
        if item.name == "names":
            continue
        ours, theirs = getattr(fast, item.name), getattr(slow, item.name)
        if ours.ndim == 2:
            assert (ours[fast.present] == theirs[slow.present]).all(), f"workload differs in {item.name}"
        else:
            assert (ours == theirs).all(), f"workload differs in {item.name}"


def check_hardware_model(model: HardwareModel, networks: Sequence[Network], device: Device) -> None:
    """Every cost is there, finite and not negative, and many at once cost what each costs alone.

    So do the features. A model that needs weights is held to that before they are known.
    """
    workload = Workload.of(networks)
    costs, features = model.price(workload, device), model.features(workload, device)
    assert set(model.predicts) == set(costs), f"predicts {model.predicts}, prices {tuple(costs)}"
    assert set(WORK) <= set(costs) <= set(COST_UNITS), f"costs are of {', '.join(COST_UNITS)}"
    for name, values in (*costs.items(), *features.items()):
        assert values.shape == (len(networks),), f"{name} is not one value a network"
        assert (np.isfinite(values) & (values >= 0)).all(), f"{name} is negative or not finite"
    for index, network in enumerate(networks):
        found = model.estimate(replace(network, weights={}) if model.needs_weights else network, device)
        assert set(found.costs()) == set(costs), "estimate and price predict different costs"
        for name, value in (*found.costs().items(), *found.features.items()):
            together = costs.get(name, features.get(name))
            assert together is not None, f"only the estimate has a feature {name}"
            assert np.isclose(value, together[index], rtol=1e-12), f"{name} differs alone and together"


def _fewest(space: SearchSpace) -> float:
    """How many candidates a space has; of one that is too large to count, an estimate, less its error."""
    try:
        return space.count()
    except SpaceError:
        estimate, error = space.estimate_count(np.random.default_rng(0))
        return estimate - error


def check_optimiser(optimiser: Optimiser, problem: Problem, *, trials: int = 12, seed: int = 0) -> None:
    """Proposals are new, valid, within budget, and the same for the same seed and history."""
    history: list[Evaluation] = []
    measured = [goal.name for goal in problem.measured_objectives]
    for number in range(trials):
        first, second = (
            optimiser.propose(problem, history, [], np.random.default_rng([seed, number])) for _ in range(2)
        )
        assert first == second, "the same seed and history give different proposals"
        if first is None:
            assert problem.bounded or number >= _fewest(problem.space), (
                "gave up before the space was exhausted"
            )
            return
        code = problem.space.encode([first.candidate])
        assert problem.space.valid(code).all(), f"{first.candidate} is not valid"
        assert problem.feasible(code).all(), f"{first.candidate} is over budget"
        assert all(first.candidate != e.candidate for e in history), f"{first.candidate} was proposed twice"
        scores = np.random.default_rng([seed, number, 1]).uniform(1, 3, len(measured))
        history.append(
            Evaluation(
                number=number,
                candidate=first.candidate,
                origin=first.origin,
                status="ok",
                metrics={name: Summary.of([score]) for name, score in zip(measured, scores, strict=True)},
                costs={name: float(values[0]) for name, values in problem.price(code).items()},
            )
        )
