"""OpenSTA on a netlist of cells: the longest path, and power from given switching.

Debian's OpenSTA (2.0, ``apt install opensta``; GPL-3, a program of its own). The clock is ideal, wires have
neither delay nor capacitance, inputs come at the clock edge from ideal drivers, weights count as any
register.

Power. OpenSTA 2.0 spreads its own activities from the input ports over what was set, but for what lies behind
registers. So every input gets a register in front of it, whose power is not counted, and then every pin of
every cell the activity of its net. Constants are such inputs, too: of a full adder with a constant operand it
crashes. It counts the energies of both edges inside cells at every change, where later versions take their
mean; so what it says of cells' insides is halved here (a few inputs it counts right: 1 to 3 % of the whole).
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from codesign.errors import OutputError
from codesign.hardware import SynthesisReport, Target
from codesign.synthesis.library import Library
from codesign.synthesis.netlist import FALSE, TRUE, Instance, Netlist, verilog
from codesign.synthesis.reports import read
from codesign.synthesis.switching import Activity
from codesign.tools import require_program, run

__all__ = ["Power", "critical_path", "power"]

PROGRAM: Final = "sta"
INSTALL: Final = "OpenSTA 2.0 gives timing and power; on Debian and Ubuntu: apt install opensta"
_TOP: Final = "chip"
_POWER_LINE: Final = re.compile(r"^power (\S+) (\S+) (\S+)$", re.MULTILINE)
_KNOWN_VERSION: Final = "2.0."
_NO_PATH: Final = "No paths found"

_LOAD: Final = """\
puts "OpenSTA [sta::version]"
puts "design {design}"
{read}
read_verilog {file}
link_design {top}
create_clock -name clock -period {period} {clock}
set_input_delay 0 -clock clock {inputs}
set_output_delay 0 -clock clock [all_outputs]
puts " time {unit}"
"""
_TIMING: Final = """\
report_checks -digits 4
puts "end of report"
exit
"""
_POWER: Final = """\
report_power
proc activity {toggles duty pins} {
  foreach pin $pins { sta::set_power_pin_activity [sta::find_pin $pin] $toggles $duty }
}
source activity.tcl
set corner [sta::cmd_corner]
set internal 0.0
set switching 0.0
set leakage 0.0
for {set k 0} {$k < COUNT} {incr k} {
  foreach {part toggled leaked} [sta::instance_power [sta::find_instance u$k] $corner] {
    set internal [expr {$internal + $part}]
    set switching [expr {$switching + $toggled}]
    set leakage [expr {$leakage + $leaked}]
    break
  }
}
puts "power $internal $switching $leakage"
puts "end of report"
exit
"""


@dataclass(frozen=True, slots=True)
class Power:
    """In mW: dynamic (inside cells and of nets) and leakage."""

    dynamic_mw: float
    leakage_mw: float


def critical_path(
    netlist: Netlist, library: Library, work: Path, design: str, clock_mhz: float, *, timeout: float
) -> SynthesisReport:
    """The longest path between registers or ports, None of a design without any; ``timing.log`` in ``work``.

    Raises
    ------
    MissingToolError
        Without OpenSTA.
    OutputError
        If it fails or takes too long.
    """
    (work / "netlist.v").write_text(verilog(netlist, _TOP), encoding="ascii")
    script = _load(netlist, library, "netlist.v", design, clock_mhz) + _TIMING
    log = _run(work, "timing", script, timeout)
    if _NO_PATH in log.read_text(encoding="utf-8", errors="replace"):
        return SynthesisReport(design, Target(tool="OpenSTA"), "synthesis", source=log.name)
    return read(log)


def power(
    netlist: Netlist,
    library: Library,
    activity: Activity,
    work: Path,
    design: str,
    clock_mhz: float,
    *,
    timeout: float,
) -> Power:
    """Power at the activity of every net; ``power.log`` in ``work``.

    Raises
    ------
    MissingToolError
        Without OpenSTA.
    OutputError
        If it fails, takes too long, or is of another version than 2.0, or the library states no supply.
    """
    registered = _registered(netlist, library)
    (work / "power.v").write_text(verilog(registered, _TOP), encoding="ascii")
    clock = registered.inputs["clock"]
    (work / "activity.tcl").write_text(_activities(registered, activity, clock), encoding="ascii")
    script = _load(registered, library, "power.v", design, clock_mhz)
    script += _POWER.replace("COUNT", str(len(netlist.instances)))
    log = _run(work, "power", script, timeout)
    text = log.read_text(encoding="utf-8", errors="replace")
    if f"OpenSTA {_KNOWN_VERSION}" not in text:
        raise OutputError(f"power is computed with OpenSTA 2.0, and another is installed; {INSTALL}")
    found = _POWER_LINE.search(text)
    if found is None:
        raise OutputError(f"OpenSTA printed no power; see {log}")
    both_edges, switching, leakage = (1e3 * float(value) for value in found.groups())
    internal = both_edges / 2
    if not internal + switching and activity.toggles.any():
        raise OutputError(
            f"OpenSTA finds no supply voltage in the library {library.name}: nets change and take no power; "
            "its file needs operating_conditions and default_operating_conditions"
        )
    return Power(internal + switching, leakage)


def _run(work: Path, name: str, script: str, timeout: float) -> Path:
    program = require_program(PROGRAM, INSTALL)
    (work / f"{name}.tcl").write_text(script, encoding="utf-8")
    log = work / f"{name}.log"
    run(
        [program, "-no_splash", "-exit", f"{name}.tcl"],
        cwd=work,
        log=log,
        what=f"OpenSTA ({name})",
        timeout=timeout,
    )
    if "end of report" not in log.read_text(encoding="utf-8", errors="replace"):
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-10:])
        raise OutputError(f"OpenSTA ({name}) stopped; its last lines:\n{tail}")
    return log


def _load(netlist: Netlist, library: Library, file: str, design: str, clock_mhz: float) -> str:
    clocked = "clock" in netlist.inputs
    return _LOAD.format(
        design=design,
        read="\n".join(f"read_liberty {{{path}}}" for path in library.unpacked()),
        file=file,
        top=_TOP,
        period=f"{1e3 / clock_mhz / library.time_ns:.6f}",
        clock="[get_ports clock]" if clocked else "",
        inputs="[get_ports i*]",
        unit={1.0: "1ns", 1e-3: "1ps"}[round(library.time_ns, 9)],
    )


def _registered(netlist: Netlist, library: Library) -> Netlist:
    """The netlist with a flip-flop in front of every input but the clock, behind all other instances.

    Its constants are two inputs more, the last two nets.
    """
    cell = library.flip_flop
    (data,) = set(cell.inputs) - {cell.clocked_on, *cell.idle}
    (output,) = cell.functions
    clock = netlist.inputs.get("clock", netlist.nets)
    inputs = {"clock": clock}
    nets = max(netlist.nets, clock + 1)
    constant = {FALSE: nets, TRUE: nets + 1}
    instances = [
        Instance(each.cell, {pin: constant.get(net, net) for pin, net in each.pins.items()})
        for each in netlist.instances
    ]
    nets += len(constant)
    for name, net in [*netlist.inputs.items(), *((f"constant_{bit}", net) for bit, net in constant.items())]:
        if name == "clock":
            continue
        inputs[name] = nets
        tied = {pin: TRUE if bit else FALSE for pin, bit in cell.idle.items()}
        instances.append(Instance(cell.name, {cell.clocked_on: clock, data: nets, output: net, **tied}))
        nets += 1
    return Netlist(inputs, netlist.outputs, tuple(instances), nets)


def _activities(netlist: Netlist, activity: Activity, clock: int) -> str:
    """A line a net: its activity, and the pins of cells on it."""
    pins: dict[int, list[str]] = {}
    for place, each in enumerate(netlist.instances):
        for pin, net in each.pins.items():
            pins.setdefault(net, []).append(f"u{place}/{pin}")
    first = len(activity.toggles) + (clock == len(activity.toggles))
    source = {net: net for net in range(len(activity.toggles)) if net != clock}
    source |= {first + FALSE: FALSE, first + TRUE: TRUE}
    return "".join(
        f"activity {activity.toggles[at]:.6f} {activity.duty[at]:.6f} {{{' '.join(pins[net])}}}\n"
        for net, at in source.items()
        if net in pins
    )
