"""The folder of an export: written beside its place, checked, and moved in only when everything holds.

::

    README.md          what this is, and the commands for someone who has the tools
    provenance.json    candidate, network, device, versions, checks and their results
    network.json       the chip part as data, with its integer weights
    vectors/           inputs and the integers the interpreter answers with
        inputs.npy     (n, *input shape): integer codes in the input format
        expected.npy   (n, *output shape of the chip): integer codes in the output format
        inputs.txt, expected.txt   the first of them, a vector a line, channels last
    ...                what the target adds
"""

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from codesign.errors import DifferenceError, NetworkError, OutputError, UnsupportedLayerError, counted
from codesign.fixedpoint import FixedPoint, IntArray
from codesign.hardware import Device, Target
from codesign.network import Network

__all__ = [
    "Bundle",
    "bundle",
    "fixed_edges",
    "load_network",
    "other_options",
    "probes",
    "require_no_redundancy",
    "vectors",
]

PROVENANCE: Final = "provenance.json"
NETWORK: Final = "network.json"
README: Final = "README.md"
BUILD: Final = "build"
_FORMAT: Final = 1
_TEXT_VECTORS: Final = 256
PROBES: Final = 256

FloatArray = NDArray[np.float64]


@dataclass(slots=True, eq=False)
class Bundle:
    """An export while it is written.

    Parameters
    ----------
    folder
        Where to write; not yet the place the user named.
    target
        Name of the form.
    network
        The whole network; the chip part is what hardware computes.
    device
        What it is written for.
    inputs
        Real values, ``(n, *input_shape)``, that everything is verified on.
    expected
        Codes of the chip for them.
    options
        What else the caller chose, by name.
    """

    folder: Path
    target: str
    network: Network
    device: Device
    inputs: FloatArray
    expected: IntArray | FloatArray
    checks: list[dict[str, Any]] = field(default_factory=list)
    measured: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file of the bundle; return its path."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def used(self, *packages: str) -> None:
        """Record the versions of packages that made this."""
        for package in packages:
            try:
                self.versions[package] = version(package)
            except PackageNotFoundError:
                self.versions[package] = "not installed"

    def check(self, name: str, computed: NDArray[Any], expected: NDArray[Any] | None = None) -> None:
        """Record that ``computed`` equals ``expected`` (None: the first of the bundle's own).

        Raises
        ------
        DifferenceError
            If a single integer differs.
        """
        wanted = self.expected[: len(computed)] if expected is None else expected
        if computed.shape != wanted.shape:
            raise OutputError(f"{self.target}: {name} gives shape {computed.shape}, expected {wanted.shape}")
        wrong = int((computed != wanted).sum())
        self.checks.append(
            {"check": name, "vectors": len(computed), "values": computed.size, "differ": wrong}
        )
        if wrong:
            first = tuple(int(i) for i in np.argwhere(computed != wanted)[0])
            raise DifferenceError(
                f"{self.target}: {name} computes {wrong} of {computed.size} outputs otherwise than the "
                f"network (first: vector {first[0]}, output {first[1:]}: {computed[first]} instead of "
                f"{wanted[first]}); it was not kept",
                computed,
            )


@contextmanager
def bundle(
    network: Network,
    folder: str | Path,
    target: str,
    device: Device,
    inputs: NDArray[Any] | None,
    origin: Mapping[str, Any] | None,
) -> Iterator[Bundle]:
    """Write an export beside ``folder``; move it there when the block ends without an error.

    An earlier export in ``folder`` is replaced (``other_options`` tells beforehand what that would lose); a
    folder that holds anything else is refused. Whatever stops it, no file and no folder made for it stays.

    Raises
    ------
    NetworkError
        For a network without weights.
    OutputError
        If the folder cannot be written or holds something else.
    """
    if not network.fitted:
        raise NetworkError("the network has no weights yet; fit it or load weights before exporting it")
    place = Path(folder)
    samples = np.asarray(probes(network) if inputs is None else inputs, np.float64)
    absent = [folder for folder in place.parents if not folder.exists()]
    try:
        _require_replaceable(place, target)
        place.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    except OSError as error:
        raise _unwritable(place, error) from error
    try:
        made = Bundle(beside, target, network, device, samples, network.codes(samples))
        made.used("codesign", "numpy")
        _write_vectors(made)
        yield made
        if not (beside / README).is_file():
            raise AssertionError(f"target {target} wrote no {README}")
        made.write(PROVENANCE, json.dumps(_provenance(made, origin), indent=1) + "\n")
        beside.chmod(0o755)
        _move(beside, place)
    except OSError as error:
        raise _unwritable(place, error) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        _remove_empty(absent)


def _remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders, the innermost first, as far as they are empty."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def other_options(
    folder: str | Path,
    target: str,
    network: Network,
    device: Device,
    inputs: NDArray[Any],
    options: Mapping[str, Any] | None = None,
) -> list[str] | None:
    """How an export in a folder differs from the one that would be written there now.

    Parameters
    ----------
    folder
        Where to.
    target
        Name of the form.
    network, device, inputs, options
        As the export would get them; ``inputs`` of shape ``(n, *input_shape)``.

    Returns
    -------
    differing
        What differs, in words, empty where nothing does; None where there is no export to the target.
    """
    place = Path(folder)
    try:
        earlier = json.loads((place / PROVENANCE).read_text(encoding="utf-8"))
        there = {**Device().stated(), **earlier["device"], **earlier.get("options", {})}
        of, held, files = earlier["target"], earlier["network"], list(earlier["files"])
        codes_there = np.load(place / "vectors" / "inputs.npy")
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if of != target:
        return None
    now = {**device.stated(), **(options or {})}
    codes = _input_codes(network, np.asarray(inputs, np.float64))
    missing = [name for name in files if not (place / name).exists()]
    return [
        *(
            f"{name} {there.get(name)!r} there, {now[name]!r} now"
            for name in now
            if there.get(name) != now[name]
        ),
        *["another design, weights or folding there"] * (held != network.digest),
        *[f"other vectors there ({len(codes_there):,})"] * (not _same_rows(codes_there, codes)),
        *[f"without {', '.join(missing[:3])}"] * bool(missing),
    ]


def _same_rows(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether two sets of vectors are one, in whatever order and however often."""
    one, other = (np.unique(rows.reshape(len(rows), -1), axis=0) for rows in (one, other))
    return np.array_equal(one, other)


def probes(network: Network, count: int = PROBES, *, seed: int = 0) -> FloatArray:
    """Inputs that fill the range of the input format, from all but empty to full ones.

    Returns
    -------
    inputs
        Shape ``(count, *input_shape)``; of a float network, real values from 0 to 1.
    """
    rng = np.random.default_rng(seed)
    shape = (count, *network.input_shape)
    filled = rng.random(shape) < np.linspace(0.1, 1.0, count).reshape(-1, *(1,) * len(network.input_shape))
    fixed = network.input_format
    if fixed is None:
        return rng.random(shape) * filled
    return fixed.dequantise(rng.integers(fixed.minimum, fixed.maximum, shape, endpoint=True) * filled)


def vectors(network: Network, inputs: NDArray[Any] | None = None) -> FloatArray:
    """What a network is verified on: the given inputs, and ``probes``.

    Parameters
    ----------
    inputs
        Shape ``(n, *input_shape)``; None for none.
    """
    made_up = probes(network)
    return made_up if inputs is None else np.concatenate([np.asarray(inputs, np.float64), made_up])


def fixed_edges(network: Network, target: str) -> tuple[FixedPoint, FixedPoint]:
    """Input and output format of the chip; raise ``UnsupportedLayerError`` where it computes in float."""
    chip = network.chip
    for name, fixed in zip(("the input", *(layer.name for layer in chip.layers)), chip.formats, strict=True):
        if fixed is None:
            raise UnsupportedLayerError(
                f"{target}: {name if name == 'the input' else f'layer {name!r}'} has no fixed-point format; "
                "give it one, or move it behind chip_layers"
            )
    return cast(FixedPoint, chip.formats[0]), cast(FixedPoint, chip.formats[-1])


def require_no_redundancy(device: Device, target: str) -> None:
    """Raise ``UnsupportedLayerError`` where something is to be triplicated: only the RTL target does that."""
    if device.redundancy != "none":
        raise UnsupportedLayerError(
            f"{target}: it triplicates nothing, and the device has redundancy {device.redundancy!r}; "
            "use --to rtl, or redundancy none"
        )


def load_network(folder: Path) -> Network:
    """The chip part that a bundle was written of."""
    return Network.load(folder / NETWORK)


def _write_vectors(made: Bundle) -> None:
    chip = made.network.chip
    made.write(NETWORK, json.dumps(chip.to_dict()) + "\n")
    (made.folder / "vectors").mkdir()
    for name, array in (("inputs", _input_codes(chip, made.inputs)), ("expected", made.expected)):
        compact = (
            array.astype(np.int32)
            if array.dtype == np.int64 and np.abs(array).max(initial=0) < 2**31
            else array
        )
        np.save(made.folder / "vectors" / f"{name}.npy", compact)
        rows = compact[:_TEXT_VECTORS].reshape(min(len(compact), _TEXT_VECTORS), -1)
        lines = [" ".join(map(str, row)) for row in rows.tolist()]
        made.write(f"vectors/{name}.txt", "\n".join(lines) + "\n")


def _input_codes(network: Network, inputs: FloatArray) -> IntArray | FloatArray:
    """Inputs as the chip gets them: codes, or real values where its input is float."""
    return inputs if network.input_format is None else network.input_format.quantise(inputs)


def _provenance(made: Bundle, origin: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "codesign_export": _FORMAT,
        "target": made.target,
        "origin": dict(origin or {}),
        "network": made.network.digest,
        "chip": made.network.chip.digest,
        "device": made.device.stated(),
        "options": made.options,
        "made_for": Target.of(made.network, made.device).to_dict(),
        "versions": made.versions,
        "checks": made.checks,
        "measured": made.measured,
        "files": sorted(_files(made.folder)),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _files(folder: Path) -> set[str]:
    """Paths of all files but those of ``build``, where simulations are compiled."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())
    return {path.as_posix() for path in found if path.parts[0] != BUILD}


def _require_replaceable(place: Path, target: str) -> None:
    """Raise unless ``place`` is free, or holds an export to the same target and nothing else."""
    if not place.exists() or (place.is_dir() and not any(place.iterdir())):
        return
    try:
        earlier = json.loads((place / PROVENANCE).read_text(encoding="utf-8"))
        known, of = {PROVENANCE, *earlier["files"]}, str(earlier["target"])
    except (OSError, ValueError, KeyError, TypeError):
        raise OutputError(
            f"{place} is there and is no earlier export (it has no {PROVENANCE}); choose another folder"
        ) from None
    if of != target:
        raise OutputError(
            f"{place} holds an export to {of}, and this one is to {target}; choose another folder"
        )
    added = sorted(_files(place) - known)
    if added:
        raise OutputError(
            f"{place} holds {counted(len(added), 'file')} that the export did not write "
            f"({', '.join(added[:3])}); move them away, or choose another folder"
        )


def _move(beside: Path, place: Path) -> None:
    """Put a finished folder in its place; what was there goes only when the new one is in."""
    if place.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{place.name}-old-", dir=place.parent))
        place.rename(old / "old")
        beside.rename(place)
        shutil.rmtree(old, ignore_errors=True)
    else:
        beside.rename(place)


def _unwritable(place: Path, error: OSError) -> OutputError:
    return OutputError(
        f"cannot write {place}: {error.strerror or error}; choose a folder that can be written"
    )
