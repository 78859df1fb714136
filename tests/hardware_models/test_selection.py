import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.errors import ConfigError
from codesign.hardware import Device
from hardware_models.asic import AsicModel
from hardware_models.selection import selection_amounts, selection_costs
from search_spaces import econt


@given(st.integers(2, 64), st.integers(1, 16), st.data())
def test_more_kept_costs_more_and_comparisons_are_of_pairs(words, width, data):
    kept = data.draw(st.integers(1, words - 1))
    less, more = (selection_amounts(words, width, count) for count in (kept, kept + 1))
    assert less["adder_bits"] == more["adder_bits"] >= words * (words - 1) // 2 * width
    assert less["gate_bits"] < more["gate_bits"]
    assert less["register_bits"] < more["register_bits"]


def test_a_selection_is_small_beside_the_encoder():
    device = Device("asic-65nm", 40.0, redundancy="all")
    block = selection_costs(48, 7, 14, device)
    network = econt.build(econt.SPACE.candidate(econt.BASELINE))
    encoder = AsicModel().estimate(network, device).costs()
    assert 0.02 < block["area_um2"] / encoder["area_um2"] < 0.3
    assert block["energy_nj"] == pytest.approx(block["power_mw"] / 40)
    assert selection_costs(48, 7, 14, Device("asic-65nm", 40.0))["area_um2"] < block["area_um2"]


def test_what_cannot_be_kept_is_refused():
    with pytest.raises(ConfigError, match="1 to 4"):
        selection_amounts(4, 7, 5)
