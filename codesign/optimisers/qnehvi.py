"""qNEHVI over the discrete space: the measured objectives are modelled, the known ones are exact.

The acquisition is qLogNoisyExpectedHypervolumeImprovement (Daulton et al., *Parallel Bayesian optimization of
multiple noisy objectives with expected hypervolume improvement*, NeurIPS 2021; its logarithm: Ament et al.,
*Unexpected improvements to expected improvement*, NeurIPS 2023) in BoTorch. It is evaluated on real rows of
the space: random ones, the neighbours of the front, and then the neighbours of the best. Nothing is rounded.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import botorch.acquisition.multi_objective.logei as logei
import numpy as np
import torch
from botorch.exceptions import (
    BotorchWarning,
    InputDataError,
    InputDataWarning,
    ModelFittingError,
    OptimizationWarning,
)
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
from codesign.optimisers.fidelity import lifted
from codesign.optimisers.observed import Observations, scored, seen
from codesign.optimisers.problem import Codes, Problem, Proposal
from codesign.optimisers.proposing import START, best_row, coordinates, reference_of, start_row
from codesign.optimisers.surrogates import Scale
from codesign.pareto import non_dominated
from codesign.space import Candidate

__all__ = ["QNEHVI"]

# BoTorch would compile a C++ kernel on first use: 35 CPU s, and a lock that outlives a killed process.
logei._load_attempted = True

POOL = 512
MC_SAMPLES = 64
CHUNK = 64
FIT_ITERATIONS = 100

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Scale:
    """Objectives as the surrogate sees them: logarithm where positive and wide, then unit variance."""

    logarithm: NDArray[np.bool_]
    centre: FloatArray
    width: FloatArray

    @classmethod
    def of(cls, values: FloatArray, goals: Sequence[Objective]) -> "_Scale":
        logarithm = Scale.of(values, goals).logarithm
        raw = cls(logarithm, np.zeros(values.shape[1]), np.ones(values.shape[1]))
        scaled = raw(values)
        reach = np.ptp(scaled, axis=0)  # squares of huge values would overflow
        width = reach * (scaled / np.where(reach > 0, reach, np.inf)).std(axis=0)
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
        before = seen(problem, history, pending)
        pool = problem.draw(POOL, rng, before)
        if not len(pool):
            return None
        told = Observations.of(problem, history)
        if len(known) < START or told.count < 2:
            row = start_row(problem, pool, known, before, rng)
            return Proposal(problem.space.decode(row[None])[0], "start")
        try:
            row = _search(problem, history, told, pending, pool, before, rng)
        except (InputDataError, ModelFittingError, NotPSDError, NanError) as error:
            row = pool[0]
            return Proposal(
                problem.space.decode(row[None])[0], f"random: the surrogate failed ({type(error).__name__})"
            )
        return Proposal(problem.space.decode(row[None])[0], self.name)


def _search(
    problem: Problem,
    history: Sequence[Evaluation],
    told: Observations,
    pending: Sequence[Candidate],
    pool: Codes,
    before: set[bytes],
    rng: np.random.Generator,
) -> Codes:
    """Row of the largest acquisition among the pool and the neighbours of the front and of the best.

    The surrogate learns from every part of a training, as what it says of a full one, and from every repeat.
    """
    space = problem.space
    scale = _Scale.of(told.values, problem.goals)
    data = _in_full(problem, told, scale)
    designs = data.designs()
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
        corner = reference_of(problem, scored(problem, latest(history)), designs.values, scale)
        score = _acquisition(problem, designs.codes, data, scale, pending, corner)
        front = designs.codes[non_dominated(designs.values)]
        near = [space.neighbour_codes(row) for row in front]
        return best_row(problem, score, np.concatenate([pool, *near]), before)


def _in_full(problem: Problem, told: Observations, scale: _Scale) -> Observations:
    """Scaled values, those of parts of trainings lifted to full ones."""
    values, measured = scale(told.values), len(problem.measured_objectives)
    if problem.steps:
        values[:, :measured], _ = lifted(values[:, :measured], told.fidelity, told.design)
    return replace(told, values=values)


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


def _inputs(problem: Problem, codes: Codes, scale: _Scale, measured: int) -> torch.Tensor:
    """Coordinates for the Gaussian process, then the scaled known objectives, which are read off exactly."""
    known = problem.known_values(codes)
    padded = np.concatenate([np.ones((len(codes), measured)), known], axis=1)
    exact = scale(padded)[:, measured:]
    return torch.from_numpy(np.concatenate([coordinates(problem, codes), exact], axis=1))


def _acquisition(
    problem: Problem,
    codes: Codes,
    data: Observations,
    scale: _Scale,
    pending: Sequence[Candidate],
    corner: FloatArray,
) -> _Score:
    measured, exact = len(problem.measured_objectives), len(problem.known_objectives)
    learnt = _inputs(problem, data.codes, scale, measured)
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
        ref_point=torch.from_numpy(-corner),
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
