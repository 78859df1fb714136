"""nextpnr's ``--report`` JSON, after place and route.

``achieved`` (MHz) of the clock with the least slack -> ``critical_path_ns``, with ``constraint`` ->
``slack_ns`` and the target's clock. ECP5: TRELLIS_COMB, TRELLIS_FF, MULT18X18D, DP16KD (18 kbit) ->
``lut``, ``ff``, ``dsp``, ``bram_18k``. Of other families the used sites stand in ``by_layer["(device)"]``
only: an iCE40 logic cell is a LUT, a flip-flop or both. The file states no design, part or version.
"""

from typing import Final

from codesign.hardware import Resources, SynthesisReport, Target
from codesign.synthesis.reports.reading import UNSTATED, Text, frequency_mhz

__all__ = ["report_json"]

_ECP5: Final = {"TRELLIS_COMB": "lut", "TRELLIS_FF": "ff", "MULT18X18D": "dsp", "DP16KD": "bram_18k"}


def report_json(text: Text) -> SynthesisReport:
    """Read a file that ``nextpnr-<family> --report FILE`` wrote."""
    root = text.json()
    sites = text.field(root, "utilization", dict, "nextpnr's report")
    used = {name: text.field(site, "used", float, f"site {name}") for name, site in sites.items()}
    clocks = text.field(root, "fmax", dict, "nextpnr's report")
    worst: tuple[float, float, float] | None = None
    for name, clock in clocks.items():
        achieved = text.field(clock, "achieved", float, f"clock {name}")
        asked = text.field(clock, "constraint", float, f"clock {name}")
        if not (achieved > 0 and asked > 0):
            text.refuse(0, f"frequencies above 0 of the clock {name}")
        slack = 1e3 / asked - 1e3 / achieved
        worst = min(worst or (slack, 1e3 / achieved, 1e3 / asked), (slack, 1e3 / achieved, 1e3 / asked))
    ecp5 = _ECP5 if set(_ECP5) <= set(used) else {}
    return SynthesisReport(
        design=text.stem,
        target=Target(
            clock_mhz=None if worst is None else frequency_mhz(worst[2]), tool="nextpnr", version=UNSTATED
        ),
        stage="routed",
        resources=Resources(**{ours: used[theirs] for theirs, ours in ecp5.items()}),
        critical_path_ns=None if worst is None else worst[1],
        slack_ns=None if worst is None else worst[0],
        by_layer={"(device)": {name: count for name, count in used.items() if count}},
        source=text.source,
    )
