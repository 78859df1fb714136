"""Studies of a space that has no ``workload``: its designs are built to be priced."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from codesign.fixedpoint import FixedPoint
from codesign.hardware import Device, Workload
from codesign.network import Dense, Flatten, Network, ReLU
from codesign.objectives import Objective
from codesign.optimisers import load_optimiser
from codesign.optimisers.problem import POOLED
from codesign.space import Candidate, Definition, Repeat, SearchSpace, integer, ordinal
from codesign.study import BUILT, Setup, Study
from codesign.training import Recipe
from hardware_models.asic import AsicModel
from hardware_models.constant import ConstantModel


def space(most: int) -> SearchSpace:
    layer = Repeat("layers", (ordinal("units", (2, 3, 4, 5, 7, 9)), integer("bits", 3, 6)), 1, most)
    return SearchSpace(f"dense{most}", (layer,))


def build(candidate: Candidate) -> Network:
    layers: list[Any] = [Flatten("flatten")]
    for i in range(1, int(candidate["layers"]) + 1):
        weight = FixedPoint(0, int(candidate[f"bits_{i}"]) - 1)
        code = FixedPoint(1, weight.fraction_bits, signed=False, rounding="half_up")
        layers += [Dense(f"dense_{i}", int(candidate[f"units_{i}"]), weight=weight, bias=weight)]
        layers += [ReLU(f"relu_{i}", code)]
    decoder = Dense("out", 4)
    return Network((2, 2, 1), (*layers, decoder), FixedPoint(1, 5, signed=False), len(layers))


@pytest.fixture
def setup(tiny: ModuleType) -> Setup:
    return Setup(
        definition=Definition(space(3), build),
        task=tiny.TinyTask(),
        objectives=(Objective("error"), Objective("area_um2")),
        model=AsicModel(),
        device=Device(),
        recipe=Recipe.quick(2),
        optimiser=load_optimiser("ehvi"),
        in_flight=1,
    )


def counted(setup: Setup) -> tuple[Setup, Counter[Candidate]]:
    """The setup, and how often it built which design."""
    built: Counter[Candidate] = Counter()

    def noted(candidate: Candidate) -> Network:
        built[candidate] += 1
        return build(candidate)

    return replace(setup, definition=Definition(setup.definition.SPACE, noted)), built


def test_a_design_is_built_once_to_be_priced(setup: Setup) -> None:
    setup, built = counted(setup)
    codes = setup.definition.SPACE.sample_codes(200, np.random.default_rng(0), balanced=True)
    both = [setup.price(part) for part in (codes, codes[::-1], codes[:0], codes[7:9])]
    assert set(built.values()) == {1}
    for name, values in both[0].items():
        np.testing.assert_array_equal(both[1][name], values[::-1])
        np.testing.assert_array_equal(both[3][name], values[7:9])
        assert both[2][name].shape == (0,)


def test_a_price_does_not_depend_on_what_is_priced_beside_it_to_the_last_bit(setup: Setup) -> None:
    setup = replace(
        setup,
        definition=Definition(space(10), build),
        model=ConstantModel(),
        device=Device(weights="constant"),
    )
    deep = setup.definition.SPACE
    codes = deep.sample_codes(100, np.random.default_rng(0), balanced=True)
    together = setup.price(codes)
    for index, candidate in enumerate(deep.decode(codes)):
        alone = setup.model.price(Workload.of([build(candidate)]), setup.device)
        assert {name: values[index] for name, values in together.items()} == {
            name: values[0] for name, values in alone.items()
        }


def test_a_search_builds_some_thousand_designs_and_says_so(tmp_path: Path, setup: Setup) -> None:
    setup, built = counted(setup)
    Study.create(tmp_path / "study", setup).close()
    study = Study.open(tmp_path / "study").run(setup, 11)
    assert study.evaluations[-1].origin.startswith("ehvi")
    study.close()
    assert len(built) < 2 * POOLED < setup.definition.SPACE.bound / 3
    said = re.match(
        r"space 'dense3' has no workload\(codes\): its designs are built one by one to price them, so that "
        r"proposals were chosen among ([\d,]+) of 14,424; docs/howto/define-a-space.md",
        study.note,
    )
    assert said, study.note
    chosen_among = int(said[1].replace(",", ""))
    assert 0 <= len(built) - chosen_among <= BUILT  # some are built only to tell whether build is the same


def test_a_small_space_and_one_with_a_workload_have_nothing_to_say(tmp_path: Path, setup: Setup) -> None:
    def workload(codes: Any) -> Workload:
        return Workload.of([build(each) for each in space(3).decode(codes)])

    small = replace(setup, definition=Definition(space(1), build))
    priced = replace(
        setup, definition=Definition(space(3), build, workload=workload), optimiser=load_optimiser("random")
    )
    for name, each in (("small", small), ("priced", priced)):
        Study.create(tmp_path / name, each).close()
        study = Study.open(tmp_path / name).run(each, 2)
        study.close()
        assert study.note == ""
