"""How near generated wafers come to the published ones, and the search for the parameters of set C.

    python benchmarks/quality/generator.py [--checkpoints FOLDER]    # a minute; prints the table
    python benchmarks/quality/generator.py --checkpoints FOLDER --write    # and puts it on the page
    python benchmarks/quality/generator.py --search [--seed 0]       # some minutes; prints parameters

The search sees the published occupancies and charges alone; no distance between wafers and no network enters
it. ``--checkpoints`` is the folder of three published networks, which judge the sets afterwards: what they
score on wafers of each, in the order of the cells and permuted.

The search goes along linear response surfaces. About a centre, parameters are drawn, normal in their
logarithms; a plane is fitted to each row of the table; the sum of squares of these planes is minimised
nearby; and where new wafers confirm it, there is the next centre.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import process_time
from typing import Any, Final

import numpy as np
from guide import with_section
from numpy.typing import NDArray
from scipy.optimize import minimize

from codesign.files import write_file
from codesign.importing.keras import load_keras
from codesign.metrics import emd
from codesign.network import Network
from codesign.tasks.data_check import check
from codesign.tasks.generator import SETS, TUNED, Parameters, generate
from codesign.tasks.layouts import layout_of
from codesign.tasks.wafers import TRIGGER_CELLS, Wafers
from search_spaces import econt_float

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "econt-study.md"
WAFERS, SCORED = 110_000, 20_000
Floats = NDArray[np.float64]

CHECKPOINTS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "c8 S2": ("8x8_c8_S2_tele_fqK_6bit", {"filters_1": 8, "kernel_1": 3, "stride_1": 2}),
    "D16": ("run3-row27-small-econ", {"units_1": 16}),
    "c32 k5 S2": ("run5-row21-big-econ", {"filters_1": 32, "kernel_1": 5, "stride_1": 2}),
}

# --- how far wafers are from what is published

LEVELS: Final = {"median": 0.5, "16 %": 0.16, "84 %": 0.84}


def published(wafers: Wafers) -> dict[str, tuple[float, float]]:
    """The study's value and the one found, by row of the table."""
    rows = check(wafers, "pileup")
    study = [row for row in rows if row.population == rows[0].population]
    return {row.observable: (row.reference, row.value) for row in study}


def misses(wafers: Wafers) -> Floats:
    """By how much each row of the table is missed, without a unit; shape (20,), zero where it is hit.

    A mean or standard deviation: difference over the published standard deviation. A quantile: the share of
    wafers on its wrong side, which tells more than the quantile of a count, an integer.
    """
    columns = {
        "occ_all": wafers.occupancy,
        "occ_1MT": wafers.occupancy_1mip,
        "log10 max": np.log10(wafers.max_mip),
        "log10 P": np.log10(wafers.sum_pow2_mip),
    }
    rows = published(wafers)

    def miss(row: str, known: float, found: float) -> float:
        name, statistic = next((name, row[len(name) + 1 :]) for name in columns if row.startswith(name))
        if (level := LEVELS.get(statistic)) is None:
            return (found - known) / rows[f"{name} std"][0]
        rounding = 1e-3  # four decimals of a logarithm
        below, up_to = (float((columns[name] <= known + side).mean()) for side in (-rounding, rounding))
        return max(level - up_to, 0.0) - max(below - level, 0.0)

    return np.array([miss(row, *values) for row, values in rows.items()])


# --- search

START: Final = replace(
    TUNED,
    least_counts=2,
    multiplicity_shape=1.0,
    soft_slope=1.0,
    jets=20.0,
    jet_pt_gev=6.0,
    dense_radius_cm=70.0,
    dense_lsb_mip=0.228,  # two bits more are dropped than elsewhere
    inner_radius_cm=28.0,
    outer_radius_cm=150.0,
)
BOUNDS: Final[Mapping[str, tuple[float, float]]] = {
    "photon_rate": (0.3, 6.0),
    "photon_pt_gev": (0.04, 0.4),
    "hadron_rate": (4.0, 12.0),
    "hadron_pt_gev": (0.2, 0.8),
    "soft_rate": (5.0, 60.0),
    "soft_charge_mip": (0.05, 0.6),
    "threshold_mip": (0.05, 0.5),
    "radius_scale": (0.8, 2.0),
    "interaction_lengths": (0.25, 0.6),
    "jets": (2.0, 60.0),
    "jet_pt_gev": (3.0, 20.0),
    "inner_radius_cm": (20.0, 33.0),
    "outer_radius_cm": (148.0, 165.0),
}
DRAWS, SAMPLE = 12, 12_000


@dataclass(frozen=True)
class Stage:
    """Rounds of the search: how many, of how many wafers a point, and how far the first one looks."""

    rounds: int
    sample: int
    step: float


STAGES: Final = (Stage(14, SAMPLE, 0.2), Stage(3, 40_000, 0.06))


def search(seed: int) -> Parameters:
    """Parameters whose wafers miss the published rows least: roughly, then closely."""
    found = START
    for number, stage in enumerate(STAGES):
        found = descend(found, stage, np.random.default_rng(seed + number), seed)
    return found


def descend(start: Parameters, stage: Stage, rng: np.random.Generator, seed: int) -> Parameters:
    """The end of one stage; ``seed`` makes the wafers of T that it has to be better than."""
    of_tuned = np.abs([misses(generate(SAMPLE * 4, seed=seed + extra)) for extra in range(2)]).mean(axis=0)
    low, high = np.log(np.array([*BOUNDS.values()]).T)
    points: list[Floats] = []
    found: list[Floats] = []

    def measure(point: Floats) -> Floats:
        wafers = generate(stage.sample, seed=int(rng.integers(1 << 31)), parameters=at(point))
        points.append(point)
        found.append(misses(wafers))
        return found[-1]

    def badness(values: Floats) -> float:
        worse = np.maximum(np.abs(values) - 0.7 * of_tuned, 0)  # than seven tenths of what T misses
        return float((values**2).sum() + 10 * (worse**2).sum())

    centre, step = np.log([getattr(start, name) for name in BOUNDS]), stage.step
    for number in range(stage.rounds):
        for _ in range(DRAWS if number else DRAWS + len(BOUNDS)):
            measure(np.clip(centre + step * rng.standard_normal(centre.size), low, high))
        plane = fit_planes(np.array(points), np.array(found), centre, step)
        near = np.maximum(low, centre - 1.5 * step), np.minimum(high, centre + 1.5 * step)
        candidate = lowest(plane, badness, centre, near, rng)
        there, here = (np.mean([measure(point) for _ in range(2)], axis=0) for point in (candidate, centre))
        better = badness(there) < badness(here)
        centre, step = (candidate, min(1.15 * step, 0.3)) if better else (centre, max(0.75 * step, 0.04))
        print(f"round {number + 1}: {badness(here):.4f} -> {badness(there):.4f}, step {step:.2f}", flush=True)
    return at(centre)


def at(point: Floats) -> Parameters:
    """The parameters of a point, three digits each."""
    values = {name: float(f"{value:.3g}") for name, value in zip(BOUNDS, np.exp(point), strict=True)}
    return replace(START, **values)  # type: ignore[arg-type]


def fit_planes(points: Floats, values: Floats, centre: Floats, step: float) -> Callable[[Floats], Floats]:
    """A plane through each column of values, points about the centre counting most."""
    away = points - centre
    weight = np.exp(-0.5 * ((away / (1.5 * step)) ** 2).mean(axis=1))[:, None]
    design = np.hstack([np.ones((len(points), 1)), away])
    ridge = np.diag([0.0, *[1e-3 * step**2 * weight.sum()] * centre.size])
    level, *slopes = np.linalg.solve(design.T @ (weight * design) + ridge, design.T @ (weight * values))
    return lambda point: level + (point - centre) @ np.array(slopes)


def lowest(
    plane: Callable[[Floats], Floats],
    badness: Callable[[Floats], float],
    centre: Floats,
    box: tuple[Floats, Floats],
    rng: np.random.Generator,
) -> Floats:
    """Where in a box the planes are least bad, of four descents."""
    width = (box[1] - box[0]) / 10
    starts = [np.clip(centre + width * rng.standard_normal(centre.size), *box) for _ in range(4)]
    bounds = list(zip(*box, strict=True))
    ends = [
        minimize(lambda point: badness(plane(point)), start, method="L-BFGS-B", bounds=bounds)
        for start in starts
    ]
    return np.asarray(min(ends, key=lambda end: float(end.fun)).x)


# --- table


def network(name: str, folder: Path) -> Network:
    """A published network with its weights."""
    file, design = CHECKPOINTS[name]
    candidate = econt_float.SPACE.candidate(design)
    return load_keras(econt_float.build(candidate), folder / f"{file}.hdf5").network


def score(judge: Network, wafers: Wafers) -> float:
    """Mean EMD of a network on some wafers."""
    layout = layout_of(judge)
    answers = judge.predict(layout.images(wafers.normalised)).reshape(len(wafers), -1)
    return float(emd(wafers.calq, layout.cells(answers)).mean())


def table(folder: Path | None) -> list[str]:
    """Lines of Markdown: published, then each set; in bold what C has nearer than T."""
    made = {name: generate(WAFERS, seed=0, parameters=parameters) for name, parameters in SETS.items()}
    found = {name: published(wafers) for name, wafers in made.items()}
    missed = {name: np.abs(misses(wafers)) for name, wafers in made.items()}
    lines = [f"| | published | {' | '.join(SETS)} |", f"| --- | ---: |{' ---: |' * len(SETS)}"]
    for index, (row, (known, _)) in enumerate(found["T"].items()):
        nearer = missed["C"][index] < missed["T"][index]
        cells = [
            f"**{found[name][row][1]:.3g}**" if name == "C" and nearer else f"{found[name][row][1]:.3g}"
            for name in SETS
        ]
        lines.append(f"| {row} | {known:.3g} | {' | '.join(cells)} |")
    lines.append("| rows missed by (r.m.s.) | 0 | " + " | ".join(rms(missed[name]) for name in SETS) + " |")
    smallest = [f"{made[name].calq[made[name].calq > 0].min()}" for name in SETS]
    lines.append(f"| least charge, counts | 2 | {' | '.join(smallest)} |")
    if folder is None:
        return lines
    held = {name: wafers.take(slice(0, SCORED)) for name, wafers in made.items()}
    order = np.random.default_rng(0).permutation(TRIGGER_CELLS)
    for name in CHECKPOINTS:
        judge = network(name, folder)
        scores = [f"{score(judge, wafers):.3f}" for wafers in held.values()]
        lines.append(f"| EMD of {name} | | {' | '.join(scores)} |")
        if name == "c8 S2":
            permuted = [f"{score(judge, Wafers(wafers.calq[:, order])):.3f}" for wafers in held.values()]
            lines.append(f"| the same, cells permuted | | {' | '.join(permuted)} |")
    return lines


def rms(values: Floats) -> str:
    return f"{np.sqrt((values**2).mean()):.4f}"


def main() -> None:
    """Print the table, or search."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoints", type=Path, help="folder of the published networks")
    parser.add_argument("--write", action="store_true", help="write the table to docs/econt-study.md")
    parser.add_argument("--search", action="store_true", help="search for parameters")
    parser.add_argument("--seed", type=int, default=0, help="seed of the search")
    given = parser.parse_args()
    if given.search:
        print(search(given.seed), f"\n{process_time():.0f} CPU s")
        return
    lines = table(given.checkpoints)
    print("\n".join(lines))
    if given.write:
        write_file(PAGE, with_section(PAGE.read_text(), "generator", lines))


if __name__ == "__main__":
    main()
