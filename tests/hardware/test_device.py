"""What two costs must share to be compared."""

import json
import math

import pytest

from codesign.errors import ConfigError, TargetError
from codesign.fixedpoint import FixedPoint
from codesign.hardware import Device, Target
from codesign.network import Dense, Flatten, Folding, Network

EIGHT = FixedPoint(1, 7, signed=False)
NETWORK = Network(
    (4, 4, 1),
    (
        Flatten("flatten"),
        Dense("only", 4, weight=FixedPoint(0, 5), bias=FixedPoint(0, 5), folding=Folding(2, 8)),
    ),
    EIGHT,
)


@pytest.mark.parametrize("clock_mhz", [0, -1.0, math.inf, math.nan])
def test_a_clock_ticks(clock_mhz: float) -> None:
    with pytest.raises(ConfigError, match=f"clock_mhz must be above 0, got {clock_mhz}"):
        Device(clock_mhz=clock_mhz)
    with pytest.raises(ConfigError, match="clock_mhz must be above 0"):
        Target(clock_mhz=clock_mhz)


def test_an_estimate_states_the_design_and_the_device() -> None:
    target = Target.of(NETWORK, Device("sky130hd", weights="constant"), library="hd")
    assert (target.technology, target.library, target.weights) == ("sky130hd", "hd", "constant")
    assert dict(target.folding or {}) == {"only": (2, 8)}
    assert (target.input_format, target.output_format) == ("ufixed<8,1>", "fixed<19,7>")
    assert target.tool is None


def test_a_technology_of_the_users_own_is_named_like_its_file() -> None:
    assert Target.of(NETWORK, Device("tables/my-28nm.toml")).technology == "my-28nm"


def test_json_both_ways() -> None:
    target = Target.of(NETWORK, Device(), library="hd")
    assert Target.from_dict(json.loads(json.dumps(target.to_dict()))) == target
    with pytest.raises(ConfigError, match="a target has no colour"):
        Target.from_dict({"colour": "red"})


def test_what_is_not_stated_does_not_differ() -> None:
    target = Target.of(NETWORK, Device())
    assert target.differences(Target(tool="Vivado", version="2020.1", clock_mhz=40.0)) == {}


@pytest.mark.parametrize(
    ("other", "name"),
    [
        (Target(technology="sky130hd"), "technology"),
        (Target(clock_mhz=41.0), "clock_mhz"),
        (Target(weights="constant"), "weights"),
        (Target(redundancy="all"), "redundancy"),
        (Target(pipelined=False), "pipelined"),
        (Target(folding={"only": (4, 8)}), "folding"),
        (Target(folding={}), "folding"),
        (Target(input_format="ufixed<9,1>"), "input_format"),
    ],
)
def test_every_field_that_differs_is_named(other: Target, name: str) -> None:
    target = Target.of(NETWORK, Device())
    assert set(target.differences(other)) == {name}
    with pytest.raises(TargetError, match=f"estimate and report are of different targets: {name}: "):
        target.require_same(other, "estimate and report")
    target.require_same(target, "both")


def test_a_clock_as_a_tool_rounds_it_is_the_same() -> None:
    assert Target(clock_mhz=40.0).differences(Target(clock_mhz=39.999)) == {}


def test_a_part_without_its_last_grade_is_the_same() -> None:
    whole, short = Target(part="xczu7ev-ffvc1156-2-e"), Target(part="xczu7ev-ffvc1156-2")
    assert whole.differences(short) == short.differences(whole) == {}
    assert set(whole.differences(Target(part="xczu7ev-ffvc1156-1-e"))) == {"part"}
    assert set(whole.differences(Target(part="xczu7"))) == {"part"}
