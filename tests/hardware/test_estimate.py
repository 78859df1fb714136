import json

import pytest

from codesign.hardware import COST_UNITS, HardwareEstimate, Resources, Target

ESTIMATE = HardwareEstimate(
    operations=10,
    macs=4,
    parameters=3,
    weight_bits=18,
    bops=96,
    output_bits=8,
    resources=Resources(area_um2=12.5),
    power_mw=2.0,
    dynamic_mw=1.5,
    leakage_mw=0.5,
    energy_nj=0.05,
    latency_cycles=2,
    latency_ns=50.0,
    initiation_interval=1,
    target=Target(technology="asic-65nm", clock_mhz=40.0),
    model="asic",
    basis="widths",
    by_layer={"only": {"macs": 4.0}},
    covers="nothing",
)


def test_costs_are_what_is_predicted_and_nothing_else() -> None:
    costs = ESTIMATE.costs()
    assert set(costs) < set(COST_UNITS)
    assert (costs["area_um2"], costs["energy_nj"], costs["latency_cycles"]) == (12.5, 0.05, 2.0)
    assert all(type(value) is float for value in costs.values())
    assert "lut" not in costs
    assert ESTIMATE.value("lut") is None


def test_an_estimate_is_plain_data_for_json() -> None:
    plain = json.loads(json.dumps(ESTIMATE.to_dict()))
    assert plain == ESTIMATE.to_dict()
    assert (plain["bops"], plain["by_layer"], plain["target"]["technology"]) == (
        96,
        {"only": {"macs": 4.0}},
        "asic-65nm",
    )


def test_all_that_is_known_is_in_the_plain_data() -> None:
    plain = ESTIMATE.to_dict()
    for name in HardwareEstimate.__slots__:
        value = getattr(ESTIMATE, name)
        assert name in plain or name == "resources" or value is None, name
    assert plain["area_um2"] == 12.5


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_nothing_occupies_less_than_nothing(value: float) -> None:
    with pytest.raises(Exception, match="lut is a number of 0 or more"):
        Resources(lut=value)
