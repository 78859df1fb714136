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
from botorch.exceptions import (
    BotorchWarning,
    InputDataError,
    InputDataWarning,
)
from botorch.models import ModelList, SingleTaskGP
from botorch.models.deterministic import GenericDeterministicModel
from botorch.sampling.get_sampler import get_sampler
from gpytorch.kernels import MaternKernel, ScaleKernel
from gpytorch.means import ConstantMean
from gpytorch.utils.warnings import GPInputWarning, NumericalWarning
from linear_operator.utils.errors import NanError, NotPSDError
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from codesign.evaluation import Evaluation, latest
from codesign.optimisers.gaussian import GaussianProcess
from codesign.optimisers.learning import LEAST, Learner, in_full
from codesign.optimisers.observed import Observations, scored, seen
from codesign.optimisers.problem import Codes, Problem, Proposal
from codesign.optimisers.proposing import START, best_row, coordinates, reference_of, start_row
from codesign.optimisers.surrogates import Scale, Surrogates
from codesign.pareto import non_dominated
from codesign.space import Candidate

__all__ = ["QNEHVI"]

# BoTorch would compile a C++ kernel on first use: 35 CPU s, and a lock that outlives a killed process.
logei._load_attempted = True

POOL = 512
MC_SAMPLES = 64
CHUNK = 64
SURE = 2.0
SCREENED = 128

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Units:
    """Scaled objectives in units of their spread, as BoTorch's smoothing expects them."""

    centre: FloatArray
    width: FloatArray

    @classmethod
    def of(cls, values: FloatArray) -> "_Units":
        reach = np.ptp(values, axis=0)  # squares of huge values would overflow
        width = reach * (values / np.where(reach > 0, reach, np.inf)).std(axis=0)
        return cls(values.mean(axis=0), np.where(width > 1e-9, width, 1.0))

    def __call__(self, values: FloatArray) -> FloatArray:
        return (values - self.centre) / self.width


class QNEHVI:
    """Bayesian optimisation with the noisy expected hypervolume improvement."""

    name = "qnehvi"

    def __init__(self) -> None:
        self._learner = Learner()

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
        if len(known) < START or told.count < LEAST:
            row = start_row(problem, pool, known, before, rng)
            return Proposal(problem.space.decode(row[None])[0], "start")
        try:
            with _quiet(int(rng.integers(2**31))):
                row = self._search(problem, history, told, pending, pool, before)
        except (InputDataError, NotPSDError, NanError) as error:
            row = pool[0]
            return Proposal(
                problem.space.decode(row[None])[0], f"random: the surrogate failed ({type(error).__name__})"
            )
        return Proposal(problem.space.decode(row[None])[0], self.name)

    def _search(
        self,
        problem: Problem,
        history: Sequence[Evaluation],
        told: Observations,
        pending: Sequence[Candidate],
        pool: Codes,
        before: set[bytes],
    ) -> Codes:
        """Row of the largest acquisition among the pool and the neighbours of the front and of the best."""
        scale = Scale.of(told.values, problem.goals)
        surrogates = self._learner.surrogates(problem, told)
        designs = told.designs()
        values = in_full(problem, surrogates, designs, scale)
        corner = reference_of(problem, scored(problem, latest(history)), values, scale)
        waiting = problem.space.encode(pending)
        score = _Score.of(problem, surrogates, designs.codes, waiting, _Units.of(values), corner)
        near = [problem.space.neighbour_codes(row) for row in designs.codes[non_dominated(values)]]
        return best_row(problem, score, np.concatenate([pool, *near]), before)


@contextmanager
def _quiet(seed: int) -> Iterator[None]:
    """Seeded, without BoTorch's warnings, and on one thread.

    Threads of so small a problem wait for each other, and the workers need the cores.
    """
    before = torch.get_num_threads()
    with threadpool_limits(1), torch.random.fork_rng(), warnings.catch_warnings():
        for category in (BotorchWarning, InputDataWarning, GPInputWarning, NumericalWarning):
            warnings.simplefilter("ignore", category)
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)


@dataclass(frozen=True, slots=True)
class _Score:
    """Acquisition value of rows of codes.

    The ``SCREENED`` rows of the largest expected improvement of the front of posterior means, which is exact
    and cheap, are sampled; the others get minus infinity.
    """

    problem: Problem
    surrogates: Surrogates
    front: FloatArray
    corner: FloatArray
    units: _Units
    acquisition: torch.nn.Module

    @classmethod
    def of(
        cls,
        problem: Problem,
        surrogates: Surrogates,
        codes: Codes,
        waiting: Codes,
        units: _Units,
        corner: FloatArray,
    ) -> "_Score":
        """Of the designs with values, those under way, and the reference point."""
        rows = np.concatenate([codes, waiting])
        means, deviations = surrogates.predict(coordinates(problem, rows), problem.known_values(rows))
        inputs = _inputs(problem, rows, surrogates, units)
        baseline, count = inputs[: len(codes)], len(codes)
        model = _model(surrogates, units, baseline)
        with torch.no_grad():
            posterior = model.posterior(baseline[:1])
        seed = int(torch.randint(2**31, (1,)))
        acquisition = logei.qLogNoisyExpectedHypervolumeImprovement(
            model=model,
            ref_point=torch.from_numpy(-units(corner)),
            X_baseline=baseline[torch.from_numpy(_contenders(means[:count], deviations[:count]))],
            X_pending=inputs[count:] if len(waiting) else None,
            sampler=get_sampler(posterior, torch.Size([MC_SAMPLES]), seed=seed),
            prune_baseline=False,
        )
        return cls(problem, surrogates, means, corner, units, acquisition)

    def __call__(self, codes: Codes) -> FloatArray:
        known = self.problem.known_values(codes)
        gains = self.surrogates.log_gains(coordinates(self.problem, codes), known, self.front, self.corner)
        best = np.argsort(-gains, kind="stable")[:SCREENED]
        inputs = _inputs(self.problem, codes[best], self.surrogates, self.units)
        with torch.no_grad():
            chunks = [self.acquisition(chunk[:, None, :]) for chunk in torch.split(inputs, CHUNK)]
        values = np.full(len(codes), -np.inf)
        values[best] = torch.cat(chunks).numpy()
        return values


def _inputs(problem: Problem, codes: Codes, surrogates: Surrogates, units: _Units) -> torch.Tensor:
    """Coordinates for the Gaussian processes, then the known objectives in their units, read off exactly."""
    known, measured = problem.known_values(codes), len(surrogates.objectives)
    padded = np.concatenate([np.ones((len(codes), measured)), known], axis=1)
    exact = units(surrogates.scale(padded))[:, measured:]
    return torch.from_numpy(np.concatenate([coordinates(problem, codes), exact], axis=1))


def _contenders(means: FloatArray, deviations: FloatArray) -> NDArray[np.bool_]:
    """Designs that may be on the front: no other is better in all, each ``SURE`` deviations to its harm."""
    low, high = means - SURE * deviations, means + SURE * deviations
    front = high[non_dominated(high)]
    worse = np.all(front <= low[:, None], axis=2) & np.any(front < low[:, None], axis=2)
    contend: NDArray[np.bool_] = ~worse.any(axis=1)
    return contend


def _model(surrogates: Surrogates, units: _Units, inputs: torch.Tensor) -> ModelList:
    """BoTorch's model of all objectives, negated and in their units, over ``inputs`` of that form."""
    models: list[torch.nn.Module] = [
        _botorch(process, centre, width, inputs.shape[1])
        for process, centre, width in zip(surrogates.objectives, units.centre, units.width, strict=False)
    ]
    exact = len(units.centre) - len(surrogates.objectives)
    if exact:
        models.append(GenericDeterministicModel(lambda x: -x[..., -exact:], num_outputs=exact))
    return ModelList(*models)


def _botorch(process: GaussianProcess, centre: float, width: float, columns: int) -> SingleTaskGP:
    """BoTorch's model of a process, negated and in its unit; it sees the first of so many columns."""
    count, seen_columns = process.inputs.shape
    kernel = ScaleKernel(
        MaternKernel(nu=2.5, ard_num_dims=seen_columns, active_dims=tuple(range(seen_columns)))
    )
    kernel.base_kernel.lengthscale = torch.from_numpy(process.hyperparameters.lengths)
    kernel.outputscale = process.variance / width**2
    mean = ConstantMean()
    mean.constant = (centre - process.mean) / width
    relative = np.ones(count) if process.relative is None else process.relative
    noise = process.variance / width**2 * process.hyperparameters.noise * relative
    inputs = np.concatenate([process.inputs, np.zeros((count, columns - seen_columns))], axis=1)
    outcomes = (centre - process.outcomes) / width
    model = SingleTaskGP(
        torch.from_numpy(inputs),
        torch.from_numpy(outcomes[:, None]),
        torch.from_numpy(noise[:, None]),
        covar_module=kernel.double(),
        mean_module=mean.double(),
        outcome_transform=None,
    )
    return model.requires_grad_(False)
