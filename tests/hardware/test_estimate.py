import dataclasses
import json
import math

import pytest

from codesign.errors import ConfigError
from codesign.hardware import COST_UNITS, Device, HardwareEstimate, Resources

ESTIMATE = HardwareEstimate(
    resources=Resources(operations=10, macs=4, parameters=3, weight_bits=18, bops=96, area_um2=12.5),
    power_mw=2.0,
    energy_nj=0.05,
    latency_cycles=2,
    latency_ns=50.0,
    initiation_interval=1,
    clock_mhz=40.0,
    technology="asic-65nm",
    model="asic",
    by_layer={"only": {"macs": 4.0}},
    covers="nothing",
)


def test_costs_are_the_fields_named_by_the_units() -> None:
    costs = ESTIMATE.costs()
    assert tuple(costs) == tuple(COST_UNITS)
    assert (costs["area_um2"], costs["energy_nj"], costs["latency_cycles"]) == (12.5, 0.05, 2.0)
    assert all(type(value) is float for value in costs.values())


def test_an_estimate_is_plain_data_for_json() -> None:
    plain = json.loads(json.dumps(ESTIMATE.to_dict()))
    assert plain == ESTIMATE.to_dict()
    assert (plain["bops"], plain["by_layer"], plain["technology"]) == (
        96,
        {"only": {"macs": 4.0}},
        "asic-65nm",
    )


def test_every_field_but_the_resources_themselves_is_in_the_plain_data() -> None:
    names = {field.name for kind in (HardwareEstimate, Resources) for field in dataclasses.fields(kind)}
    assert set(ESTIMATE.to_dict()) == names - {"resources"}


@pytest.mark.parametrize("clock_mhz", [0, -1.0, math.inf, math.nan])
def test_a_clock_ticks(clock_mhz: float) -> None:
    with pytest.raises(ConfigError, match=f"clock_mhz must be above 0, got {clock_mhz}"):
        Device(clock_mhz=clock_mhz)
