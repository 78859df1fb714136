"""Designs of a study through synthesis, several at a time, each recorded when it ends."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from codesign.errors import CodesignError, ConfigError, ToolTimeoutError
from codesign.export import rtl
from codesign.files import write_file
from codesign.hardware import Device
from codesign.network import Network
from codesign.store import Store, Synthesis
from codesign.synthesis import FAMILIES, LIBRARIES, Library, find_library, require_tools, synthesise
from codesign.tools import end_running

__all__ = ["Goal", "synthesise_designs"]

FOLDER: Final = "synthesis"
REPORT: Final = "report.json"


@dataclass(frozen=True, slots=True)
class Goal:
    """What designs are synthesised to.

    Parameters
    ----------
    to
        A library (``sky130hd``, ``sg13g2``, ``asap7``, or the path of a Liberty file) or an FPGA family
        (``xc7``, ``xcup``, ``ecp5``).
    device
        Clock, weights, redundancy and pipelining; its technology is that of ``to``.
    power
        Whether OpenSTA computes power, from the switching of the design's own vectors.
    place
        Whether nextpnr places and routes (``ecp5`` only).
    timeout
        Seconds for each tool.
    """

    to: str
    device: Device
    power: bool = False
    place: bool = False
    timeout: float = 1800.0

    @property
    def family(self) -> str | None:
        """The FPGA family; None for a library."""
        return self.to if self.to in FAMILIES else None

    @property
    def label(self) -> str:
        """One word for tables and folders: all that distinguishes it from other runs."""
        stem = Path(self.to).name.removesuffix(".gz").removesuffix(".lib")
        device = self.device
        words = [stem, device.weights, f"{device.clock_mhz:g}MHz"]
        words += [f"redundancy-{device.redundancy}"] if device.redundancy != "none" else []
        words += [] if device.pipelined else ["combinational"]
        words += ["routed"] if self.place else []
        return "-".join(words)


def synthesise_designs(
    store: Store,
    networks: Mapping[str, Network],
    goal: Goal,
    *,
    inputs: NDArray[Any] | None = None,
    workers: int = 1,
    again: bool = False,
) -> Iterator[Synthesis]:
    """Synthesise designs; each is recorded in the store when it ends, and given back then.

    A design that the store already has for this goal comes back as it is, but for one whose report lacks the
    power that is asked for; one that failed or took too long is tried again only if asked.
    Logs, script and report stay in ``synthesis/<digest>/<goal>`` of the study.

    Parameters
    ----------
    store
        Of the study, open for writing.
    networks
        Whole digests to trained networks.
    goal
        What to synthesise to.
    inputs
        Real values ``(n, *input_shape)``, one a clock cycle, that power is of; None: made-up ones of all the
        input range, which switch more than a task's own.
    workers
        Designs at a time.
    again
        Whether to try those again that did not end well.

    Raises
    ------
    MissingToolError
        Without Yosys, or what else the goal needs, before anything is started.
    ConfigError
        For what is neither a library nor a family, or a library that is not there.
    """
    if not (goal.family or goal.to in LIBRARIES or goal.to.endswith((".lib", ".lib.gz"))):
        raise ConfigError(
            f"designs are synthesised to a library ({', '.join(LIBRARIES)}, or a Liberty file that ends in "
            f".lib or .lib.gz) or an FPGA family ({', '.join(FAMILIES)}); got {goal.to!r}"
        )
    library = None if goal.family else find_library(goal.to)
    name = goal.family or (library.name if library else goal.to)
    goal = replace(goal, device=replace(goal.device, technology=name, part=None))
    require_tools(library=library is not None, power=goal.power, place=goal.place)
    known = {each.digest: each for each in store.syntheses() if each.run == goal.label}
    done = {digest: each for digest, each in known.items() if _answers(each, goal, again=again)}
    yield from (done[digest] for digest in networks if digest in done)
    with ThreadPoolExecutor(workers) as pool:
        waiting = [
            pool.submit(_synthesised, store.folder, digest, network, goal, library, inputs)
            for digest, network in networks.items()
            if digest not in done
        ]
        try:
            for future in as_completed(waiting):
                synthesis = future.result()
                store.record_synthesis(synthesis)
                yield synthesis
        except BaseException:
            for future in waiting:
                future.cancel()
            end_running()
            raise


def _answers(known: Synthesis, goal: Goal, *, again: bool) -> bool:
    """Whether what is recorded need not be done anew: a report without the power that is asked for must."""
    if known.report is None:
        return not again
    return not goal.power or known.report.power_mw is not None


def _synthesised(
    folder: Path,
    digest: str,
    network: Network,
    goal: Goal,
    library: Library | None,
    inputs: NDArray[Any] | None,
) -> Synthesis:
    """One design, with whatever stops it made a status; nothing half written is left where the next looks."""
    place = folder / FOLDER / digest / goal.label
    place.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{goal.label}-", dir=place.parent))
    try:
        bundle = rtl.write(network, work / "rtl", device=goal.device, inputs=inputs)
        report = synthesise(
            bundle,
            work,
            library=library,
            family=goal.family,
            clock_mhz=goal.device.clock_mhz,
            timeout=goal.timeout,
            power=goal.power,
            place=goal.place,
        )
        report = replace(report, design=digest)
        write_file(work / REPORT, json.dumps(report.to_dict(), indent=1) + "\n")
        outcome = Synthesis(digest, goal.label, "ok", "", report)
    except ToolTimeoutError as error:
        outcome = Synthesis(digest, goal.label, "timeout", str(error))
    except CodesignError as error:
        outcome = Synthesis(digest, goal.label, "failed", str(error))
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    shutil.rmtree(place, ignore_errors=True)
    work.chmod(0o755)
    work.replace(place)
    return outcome
