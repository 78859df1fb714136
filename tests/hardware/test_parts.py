"""A part and the technology that designs are priced with are of one family."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from codesign.errors import ConfigError, TargetError
from codesign.hardware import Device, Target
from codesign.hardware.parts import PART, default_part, fits, require_family, technology_of

FAMILIES = ("xc7", "xcup", "ecp5")
NAMES = {
    "xc7": ("xc7a35tcpg236-1", "xc7k325tffg900-2", "XC7VX690TFFG1761-2", "xc7z020clg400-1", "xa7a100tcsg324"),
    "xcup": ("xczu9eg-ffvb1156-2-e", "xcvu9p-flga2104-2L-e", "xcku115-flva1517-2-e", "xcku5p-ffvb676-2-e",
             "xcau25p-ffvb676-2-e", "xck26-sfvc784-2LV-c", "xcu250-figd2104-2L-e", "xqrku060-1mcna1509"),
    "ecp5": ("LFE5U-25F-6BG256C", "LFE5UM5G-85F-8BG381C", "LAE5UM-25F-6BG381E"),
    None: ("xcvc1902-vsva2197-2MP-e-S", "xc6slx9-2tqg144", "LIFCL-40-9BG400C", "iCE40UP5K-SG48", "LFE3-35EA"),
}  # fmt: skip
NAMED = [(part, technology) for technology, parts in NAMES.items() for part in parts]


@pytest.mark.parametrize(("part", "technology"), NAMED)
def test_a_part_is_taken_with_its_own_technology_alone(part: str, technology: str | None) -> None:
    assert technology_of(part) == technology
    for family in FAMILIES:
        assert fits(part, family) == (family == technology)
        if family == technology:
            assert Device(family, part=part).fpga_part == part
        else:
            with pytest.raises(ConfigError, match=rf"part '{part}' is not of technology '{family}'"):
                Device(family, part=part)


@pytest.mark.parametrize("technology", FAMILIES)
def test_the_part_that_stands_for_a_technology_is_of_its_family(technology: str) -> None:
    assert technology_of(default_part(technology)) == technology
    assert re.match(PART, default_part(technology))
    device = Device(technology)
    assert (device.part, device.fpga_part) == (None, default_part(technology))
    assert "part" not in device.to_dict()
    assert device.stated()["part"] == device.fpga_part
    assert replace(Device("xcup"), technology=technology) == device


def test_a_refusal_says_what_was_expected_and_where_the_part_belongs() -> None:
    said = (
        "part 'xc7a35tcpg236-1' is not of technology 'xcup' (UltraScale or UltraScale+): its family is "
        "technology 'xc7'; give --part xczu7ev-ffvc1156-2-e or another of the family, or --technology xc7"
    )
    with pytest.raises(ConfigError, match=re.escape(said)):
        require_family("xc7a35tcpg236-1", "xcup")
    with pytest.raises(
        ConfigError, match=r"its family is no technology here; give --part LFE5U-\S+ or another of"
    ):
        require_family("LIFCL-40-9BG400C", "ecp5")


@pytest.mark.parametrize("technology", ["asic-65nm", "sky130hd", "tables/my-fpga.toml"])
def test_where_no_family_is_known_any_part_is_taken(technology: str) -> None:
    assert Device(technology, part="LIFCL-40-9BG400C").fpga_part == "LIFCL-40-9BG400C"
    assert Device(technology).fpga_part == default_part("xcup")


def test_a_name_that_tells_no_family_is_taken() -> None:
    assert Device("xcup", part="Agilex7").fpga_part == "Agilex7"


@pytest.mark.parametrize(
    ("reported", "advice"),
    [
        ({"part": "xc7a200tffv1156-2"}, "(--technology xc7 --part xc7a200tffv1156-2)"),
        ({"part": "xczu9eg-ffvb1156-2-e"}, "(--part xczu9eg-ffvb1156-2-e)"),
        ({"technology": "xc7", "part": "xc7a35t"}, "(--technology xc7 --part xc7a35t)"),
        ({"part": "xcvc1902-vsva2197-2MP-e-S"}, "an estimate of that target"),
        ({"clock_mhz": 80.0, "pipelined": False}, "(--clock-mhz 80 --combinational)"),
    ],
)
def test_advice_for_another_target_can_be_followed(reported: dict[str, Any], advice: str) -> None:
    predicted = Target("xcup", part=default_part("xcup"), clock_mhz=40.0, pipelined=True)
    with pytest.raises(TargetError) as raised:
        predicted.require_same(Target(**reported), "both")
    assert str(raised.value).endswith(advice)


def test_what_was_stored_before_parts_followed_the_technology_reads_as_it_did() -> None:
    assert Device(**json.loads('{"technology": "asic-65nm", "clock_mhz": 40.0}')).fpga_part == default_part(
        "xcup"
    )
