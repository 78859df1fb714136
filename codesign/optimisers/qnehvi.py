"""qNEHVI over the discrete space: the measured objectives are modelled, the known ones are exact.

The acquisition is qLogNoisyExpectedHypervolumeImprovement (Daulton et al., *Parallel Bayesian optimization of
multiple noisy objectives with expected hypervolume improvement*, NeurIPS 2021; its logarithm: Ament et al.,
*Unexpected improvements to expected improvement*, NeurIPS 2023) in BoTorch. It is evaluated on real rows of
the space: random ones, the neighbours of the front, and then the neighbours of the best. Nothing is rounded.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import botorch.acquisition.multi_objective.logei as logei
import numpy as np
import torch
from botorch.exceptions import BotorchWarning, InputDataWarning, ModelFittingError, OptimizationWarning
from botorch.fit import fit_gpytorch_mll
from botorch.models import ModelList, SingleTaskGP
from botorch.models.deterministic import GenericDeterministicModel
from botorch.models.transforms import Standardize
from botorch.sampling.get_sampler import get_sampler
from gpytorch.mlls import ExactMarginalLogLikelihood
from gpytorch.utils.warnings import GPInputWarning, NumericalWarning
from linear_operator.utils.errors import NanError, NotPSDError
from numpy.typing import NDArray

from codesign.evaluation import Evaluation, latest
from codesign.objectives import Objective
from codesign.optimisers.problem import Codes, Problem, Proposal
from codesign.pareto import non_dominated
from codesign.space import Candidate

__all__ = ["QNEHVI"]

# BoTorch would compile a C++ kernel on first use: 35 CPU s, and a lock that outlives a killed process.
logei._load_attempted = True

START = 8
EDITS_FROM_BASELINE = 4
POOL = 512
MC_SAMPLES = 64
CHUNK = 64
SEEDS_OF_LOCAL_SEARCH = 4
ROUNDS_OF_LOCAL_SEARCH = 4
LOG_RANGE = 10.0
HINTS = frozenset({"operations", "weight_bits", "bops", "latency_cycles"})
FIT_ITERATIONS = 100
WORTH = 1.5

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Scale:
    """Objectives as the surrogate sees them: logarithm where positive and wide, then unit variance."""

    logarithm: NDArray[np.bool_]
    centre: FloatArray
    width: FloatArray

    @classmethod
    def of(cls, values: FloatArray) -> "_Scale":
        positive = (values > 0).all(axis=0)
        logarithm = positive & (values.max(axis=0) > values.min(axis=0) * 1.2)
        raw = cls(logarithm, np.zeros(values.shape[1]), np.ones(values.shape[1]))
        scaled = raw(values)
        width = scaled.std(axis=0)
        return cls(logarithm, scaled.mean(axis=0), np.where(width > 1e-9, width, 1.0))

    def __call__(self, values: FloatArray) -> FloatArray:
        floor = np.where(self.logarithm, 1e-300, -np.inf)
        logs = np.log(np.where(self.logarithm, np.maximum(values, floor), 1.0))
        return (np.where(self.logarithm, logs, values) - self.centre) / self.width


class QNEHVI:
    """Bayesian optimisation with the noisy expected hypervolume improvement."""

    name = "qnehvi"

    def propose(
        self,
        problem: Problem,
        history: Sequence[Evaluation],
        pending: Sequence[Candidate],
        rng: np.random.Generator,
    ) -> Proposal | None:
        """The candidate of the largest expected improvement; a spread-out one for the first ``START``."""
        known = [*(evaluation.candidate for evaluation in history), *pending]
        seen = {row.tobytes() for row in problem.space.encode(known)}
        pool = problem.draw(POOL, rng, seen)
        if not len(pool):
            return None
        learnt = [evaluation for evaluation in latest(history) if evaluation.ok]
        parts = [evaluation for evaluation in history if evaluation.ok] if problem.steps else learnt
        if len(known) < START or len(learnt) < 2:
            row = _start(problem, pool, known, seen, rng)
            return Proposal(problem.space.decode(row[None])[0], "start")
        try:
            row = _search(problem, learnt, parts, pending, pool, seen, rng)
        except (ModelFittingError, NotPSDError, NanError) as error:
            row = pool[0]
            return Proposal(
                problem.space.decode(row[None])[0], f"random: the surrogate failed ({type(error).__name__})"
            )
        return Proposal(problem.space.decode(row[None])[0], self.name)


def _start(
    problem: Problem, pool: Codes, known: Sequence[Candidate], seen: set[bytes], rng: np.random.Generator
) -> Codes:
    """In turns the farthest from all before and, if there is a baseline, a walk of some edits from it."""
    if problem.baseline is not None and len(known) % 2 == 0:
        row: Codes = problem.space.encode([problem.baseline])[0]
        for _ in range(EDITS_FROM_BASELINE):
            near = problem.space.neighbour_codes(row)
            near = near[problem.feasible(near)]
            row = near[rng.integers(len(near))] if len(near) else row
        if problem.feasible(row[None])[0] and row.tobytes() not in seen:
            return row
    farthest: Codes = pool[_farthest(problem, pool, known)]
    return farthest


def _farthest(problem: Problem, pool: Codes, known: Sequence[Candidate]) -> int:
    """Corner-anchored maximin: the cheapest, the dearest, then the farthest from all before."""
    coordinates = _coordinates(problem, pool)
    if len(known) < 3 and problem.known_objectives:
        ranks = problem.known_values(pool).argsort(axis=0).argsort(axis=0).sum(axis=1)
        return int(ranks.argmin() if len(known) % 2 else ranks.argmax())
    if not known:
        return 0
    before = _coordinates(problem, problem.space.encode(known))
    distance = ((coordinates[:, None, :] - before[None, :, :]) ** 2).sum(axis=2)
    return int(distance.min(axis=1).argmax())


def _coordinates(problem: Problem, codes: Codes) -> FloatArray:
    """Features and the logarithm of costs that hint at quality: what the surrogate sees of a candidate."""
    features = problem.space.features(codes)
    goals = {goal.name for goal in (*problem.known_objectives, *problem.limits)}
    names = sorted(goals | (HINTS & problem.known))
    if not names:
        return features
    costs = problem.price(codes)
    logs = np.stack([np.log1p(np.abs(costs[name])) for name in names], axis=1)
    return np.concatenate([features, logs / LOG_RANGE], axis=1)


def _search(
    problem: Problem,
    learnt: Sequence[Evaluation],
    parts: Sequence[Evaluation],
    pending: Sequence[Candidate],
    pool: Codes,
    seen: set[bytes],
    rng: np.random.Generator,
) -> Codes:
    """Row of the largest acquisition among the pool and the neighbours of the front and of the best.

    The surrogate learns from ``parts`` of trainings, each at its fidelity, and is asked about full ones.
    """
    space = problem.space
    codes, values = _observed(problem, learnt)
    part_codes, part_values = _observed(problem, parts)
    fidelity = np.array([problem.fidelity(evaluation) for evaluation in parts])
    scale = _Scale.of(part_values)
    with _one_thread(), torch.random.fork_rng(), warnings.catch_warnings():
        for category in (
            BotorchWarning,
            InputDataWarning,
            OptimizationWarning,
            GPInputWarning,
            NumericalWarning,
        ):
            warnings.simplefilter("ignore", category)
        torch.manual_seed(int(rng.integers(2**31)))
        reference = _reference(problem, learnt, scale(values), scale)
        data = _Data(part_codes, scale(part_values), fidelity)
        score = _acquisition(problem, codes, data, scale, pending, reference)
        front = codes[non_dominated(values)]
        near = [space.neighbour_codes(row) for row in front]
        return _best(problem, score, np.concatenate([pool, *near]), seen)


def _observed(problem: Problem, evaluations: Sequence[Evaluation]) -> tuple[Codes, FloatArray]:
    """Codes ``(n, d)``, and objectives ``(n, m)``: the measured ones first, then the known ones."""
    codes = problem.space.encode([evaluation.candidate for evaluation in evaluations])
    rows = [evaluation.minimised(problem.measured_objectives) for evaluation in evaluations]
    measured = np.array(rows).reshape(len(rows), -1)
    return codes, np.concatenate([measured, problem.known_values(codes)], axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class _Data:
    """What a surrogate learns from: rows, their scaled objectives, and the fidelity of each."""

    codes: Codes
    values: FloatArray
    fidelity: FloatArray


@contextmanager
def _one_thread() -> Iterator[None]:
    """Threads of so small a problem wait for each other, and the workers need the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Score:
    """Acquisition value of rows of codes."""

    def __init__(self, problem: Problem, scale: _Scale, measured: int, acquisition: torch.nn.Module) -> None:
        self.problem, self.scale, self.measured, self.acquisition = problem, scale, measured, acquisition

    def __call__(self, codes: Codes) -> FloatArray:
        inputs = _inputs(self.problem, codes, self.scale, self.measured)
        with torch.no_grad():
            chunks = [self.acquisition(chunk[:, None, :]) for chunk in torch.split(inputs, CHUNK)]
        values: FloatArray = torch.cat(chunks).numpy()
        return values


def _inputs(
    problem: Problem, codes: Codes, scale: _Scale, measured: int, fidelity: FloatArray | None = None
) -> torch.Tensor:
    """Coordinates for the Gaussian process, then the scaled known objectives, which are read off exactly.

    Where designs are trained in parts, the first coordinate is the fidelity; by default that of a full one.
    """
    known = problem.known_values(codes)
    padded = np.concatenate([np.ones((len(codes), measured)), known], axis=1)
    exact = scale(padded)[:, measured:]
    part = np.zeros(len(codes)) if fidelity is None else fidelity
    first = [part[:, None]] if problem.steps else []
    return torch.from_numpy(np.concatenate([*first, _coordinates(problem, codes), exact], axis=1))


def _acquisition(
    problem: Problem,
    codes: Codes,
    data: _Data,
    scale: _Scale,
    pending: Sequence[Candidate],
    reference: FloatArray,
) -> _Score:
    measured, exact = len(problem.measured_objectives), len(problem.known_objectives)
    learnt = _inputs(problem, data.codes, scale, measured, data.fidelity)
    inputs = _inputs(problem, codes, scale, measured)
    models: list[torch.nn.Module] = [
        _gaussian_process(learnt, torch.from_numpy(-data.values[:, index : index + 1]))
        for index in range(measured)
    ]
    if exact:
        models.append(GenericDeterministicModel(lambda x: -x[..., -exact:], num_outputs=exact))
    waiting = _inputs(problem, problem.space.encode(pending), scale, measured) if pending else None
    model = ModelList(*models)
    with torch.no_grad():
        posterior = model.posterior(inputs[:1])
    sampler = get_sampler(posterior, torch.Size([MC_SAMPLES]), seed=int(torch.randint(2**31, (1,))))
    acquisition = logei.qLogNoisyExpectedHypervolumeImprovement(
        model=model,
        ref_point=torch.from_numpy(-reference),
        X_baseline=inputs,
        X_pending=waiting,
        sampler=sampler,
        prune_baseline=True,
    )
    return _Score(problem, scale, measured, acquisition)


def _gaussian_process(inputs: torch.Tensor, outcomes: torch.Tensor) -> SingleTaskGP:
    model = SingleTaskGP(inputs, outcomes, outcome_transform=Standardize(m=1))
    marginal = ExactMarginalLogLikelihood(model.likelihood, model)
    fit_gpytorch_mll(marginal, optimizer_kwargs={"options": {"maxiter": FIT_ITERATIONS}})
    return model


def _reference(
    problem: Problem, learnt: Sequence[Evaluation], values: FloatArray, scale: _Scale
) -> FloatArray:
    """Reference point in scaled objectives: measured ones first, then known ones.

    A budget bounds an objective, and ``WORTH`` times the baseline's value a measured one: what is worse than
    that is no trade, however cheap. The tighter counts. What nothing bounds takes the worst of the front and
    the worst seen in turns, each with a tenth of its range; the front's nadir alone is a trap, for once a
    front has few points, nothing outside its box improves it.
    """
    chosen = values[non_dominated(values)] if len(learnt) % 2 else values
    corner: FloatArray = chosen.max(axis=0) + 0.1 * np.maximum(np.ptp(chosen, axis=0), 0.1)
    goals = (*problem.measured_objectives, *problem.known_objectives)
    baseline = next((evaluation for evaluation in learnt if evaluation.candidate == problem.baseline), None)
    bounds = np.array([_bound(goal, baseline, goal.name not in problem.known) for goal in goals])
    given = np.isfinite(bounds)
    bounded = np.where(given, scale(np.where(given, bounds, 1.0)), np.inf)
    reachable = given & (values.min(axis=0) < bounded)
    return np.where(reachable, bounded, corner)


def _bound(goal: Objective, baseline: Evaluation | None, measured: bool) -> float:
    """Worst value worth having, signed so that less is better; infinite if nothing says."""
    bound = float("inf") if goal.budget is None else goal.sign * goal.budget
    if measured and baseline is not None and goal.sign * baseline.value(goal.name) > 0:
        bound = min(bound, WORTH * goal.sign * baseline.value(goal.name))
    return bound


def _best(problem: Problem, score: _Score, codes: Codes, seen: set[bytes]) -> Codes:
    """Best row of a pool, improved by rounds over the neighbours of the best few."""
    tried = set(seen)
    rows, scores = np.empty((0, codes.shape[1]), dtype=np.int16), np.empty(0)
    for _ in range(1 + ROUNDS_OF_LOCAL_SEARCH):
        fresh = _fresh(problem, codes, tried)
        if not len(fresh):
            break
        best_before = scores[0] if len(scores) else -np.inf
        rows, scores = np.concatenate([rows, fresh]), np.concatenate([scores, score(fresh)])
        order = np.argsort(-scores, kind="stable")[:SEEDS_OF_LOCAL_SEARCH]
        rows, scores = rows[order], scores[order]
        if scores[0] <= best_before:
            break
        codes = np.concatenate([problem.space.neighbour_codes(row) for row in rows])
    best: Codes = rows[0]
    return best


def _fresh(problem: Problem, codes: Codes, tried: set[bytes]) -> Codes:
    """Distinct rows within budget that were not tried; they are marked as tried."""
    rows = []
    for row in codes[problem.feasible(codes)]:
        key = row.tobytes()
        if key not in tried:
            tried.add(key)
            rows.append(row)
    return np.array(rows, dtype=np.int16).reshape(-1, codes.shape[1])
