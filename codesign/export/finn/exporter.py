"""FINN: a folded dataflow graph, all of it RTL, stitched and run in Verilator; ready for Vivado.

FINN itself runs in a process of its own (``build``). After each of its steps the graph is compared with
the network's integers; then the Verilog it generated is stitched (``chain``), simulated, compared and
timed.

FINN streams one pixel at a time, so a frame takes at least as many cycles as the padded input has pixels: 81
to 100 for 8 x 8. A frame each 25 ns is for hls4ml in parallel mode and for ``rtl``.

Folding
    Taken from the layers. FINN gains nothing from more multipliers than keep up with the stream, so a layer
    without a folding is given as few as do; one with which FINN's RTL would lose data gets another (see
    ``folded``).
Widths
    Of sums from the formats, not from the weights: the hardware takes any weights of these formats.
FIFOs
    Each holds the words of a frame (512 at most), so that no node stalls another.
"""

import hashlib
import importlib.metadata
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from codesign import tools
from codesign.errors import MissingToolError
from codesign.export.bundle import Bundle, bundle, fixed_edges, load_network, vectors
from codesign.export.finn.build import STEPS, VIVADO_STEPS
from codesign.export.finn.chain import Chain, Run, compiled, feed
from codesign.export.finn.readme import CORE, COUNTED, INSTALL, QONNX, REPORT, STREAM_VECTORS, readme
from codesign.export.finn.rules import MOST_OUTPUT_BITS, Affine, check, folded, whole_windows
from codesign.fixedpoint import IntArray
from codesign.hardware import Device, Resources, SynthesisReport, Target
from codesign.network import Network

__all__ = ["check", "export", "folded", "read_estimates", "simulate"]

RTL: Final = "rtl"
_DISTRIBUTION: Final = "finn-plus"
_STEP_VECTORS: Final = 4
_STALLED_VECTORS: Final = 64
_CYCLES: Final = 2_000_000


def export(
    network: Network,
    folder: str | Path,
    *,
    device: Device | None = None,
    inputs: NDArray[Any] | None = None,
    origin: Mapping[str, Any] | None = None,
) -> Path:
    """Write the bundle: FINN's core, configuration, estimates, Verilog, vectors, and what was measured.

    Parameters
    ----------
    network
        Fitted.
    folder
        Where to; see ``codesign.export.bundle``.
    device
        Part and clock.
    inputs
        Shape ``(n, *input_shape)``, what to verify on beside made-up ones; FINN's own steps on the first 4,
        the Verilog on as many as fit into two million cycles.
    origin
        Where the network comes from, for the provenance.

    Raises
    ------
    UnsupportedLayerError
        For what ``check`` refuses.
    MissingToolError
        Without FINN, or without Verilator.
    OutputError
        If a step of FINN fails, or anything computes something else than the network.
    """
    device = device or Device()
    check(network, device)
    _require_finn()
    tools.verilator()
    with (
        bundle(network, folder, "finn", device, vectors(network, inputs), origin) as made,
        tempfile.TemporaryDirectory(prefix="codesign-finn-") as scratch,
    ):
        made.used("finn-plus", "qonnx", "onnx", "verilator")
        chip = folded(network.chip)
        work = Path(scratch)
        _run_finn(made, chip, work)
        report = _reports(made, chip, work)
        run = _run_verilog(made, chip, report, work)
        made.write("README.md", readme(made, chip, report, run))
    return Path(folder)


def simulate(folder: Path, inputs: NDArray[Any]) -> IntArray:
    """Output codes of the bundle's Verilog in Verilator; compiled once, into ``build`` of the folder."""
    chip = load_network(folder)
    fixed, _ = fixed_edges(chip, "finn")
    codes = fixed.quantise(inputs)
    with tempfile.TemporaryDirectory(prefix="codesign-finn-") as scratch:
        program = _program(folder, Path(scratch))
        run = feed(folder.resolve() / RTL, program, codes, Path(scratch))
    return run.codes.reshape(len(codes), *chip.output_shape)


def _program(folder: Path, scratch: Path) -> Path:
    """The compiled simulation of a bundle, kept beside it where that can be written."""
    rtl = folder.resolve() / RTL
    stamp = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(rtl.iterdir()))).hexdigest()[:16]
    kept = folder.resolve() / "build" / f"simulation-{stamp}"
    if kept.is_file():
        return kept
    program = compiled(rtl, scratch / "verilated")
    try:
        kept.parent.mkdir(exist_ok=True)
        beside = kept.with_name(f".{kept.name}-{os.getpid()}")
        shutil.copy2(program, beside)
        beside.replace(kept)
    except OSError:
        return program
    return kept


def _require_finn() -> str:
    """Version of FINN, found without importing it; ``finn`` on PyPI is an empty placeholder."""
    try:
        return importlib.metadata.version(_DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        raise MissingToolError(f"finn-plus is not installed; {INSTALL}") from None


def _run_finn(made: Bundle, chip: Network, work: Path) -> None:
    """From QONNX to Verilog in ``work``; what belongs to the bundle is moved there, step by step compared."""
    from codesign.export.graph import model

    made.write(QONNX, model(chip, "qonnx").SerializeToString())
    (work / "indexed.onnx").write_bytes(model(_indexed(chip), "qonnx").SerializeToString())
    fixed, last = fixed_edges(chip, "finn")
    few = _spread(len(made.inputs), _STEP_VECTORS)
    expected = made.expected[few]
    np.savez(work / "vectors.npz", inputs=fixed.quantise(made.inputs[few]), expected=expected)
    for name, content in _configuration(made.device).items():
        (work / name).write_text(content)
    job = {
        "model": str(work / "indexed.onnx"),
        "build": str(work / "build.yaml"),
        "folding": [
            [layer.folding.pe, layer.folding.simd, whole_windows(layer, shape)]
            for layer, shape in zip(chip.layers, chip.shapes, strict=False)
            if isinstance(layer, Affine) and layer.folding is not None
        ],
        "vectors": str(work / "vectors.npz"),
        "input": [fixed.signed, fixed.width, fixed.fraction_bits],
        "fraction": last.fraction_bits,
        "core": str(made.folder.resolve() / CORE),
        "rtl": str(made.folder.resolve() / RTL),
        "result": str(work / "result.json"),
        "computed": str(work / "computed.npz"),
    }
    (work / "job.json").write_text(json.dumps(job))
    (work / "build").mkdir()
    tools.run(
        [sys.executable, "-m", "codesign.export.finn.build", work / "job.json"],
        cwd=work,
        log=work / "finn.log",
        what="FINN",
        env=_environment(work),
    )
    with np.load(work / "computed.npz") as computed:
        for label in computed.files:
            made.check(f"FINN, {label}", computed[label], expected)
    for name in _configuration(made.device):
        shutil.copyfile(work / name, made.folder / name)


def _environment(work: Path) -> dict[str, str]:
    """Variables that keep FINN's files in ``work``, out of the home folder, and its hands off Vivado."""
    source = str(Path(__file__).resolve().parents[3])
    return {
        "FINN_BUILD_DIR": str(work / "build"),
        "FINN_SETTINGS": str(work / "settings.yaml"),
        "XILINX_VIVADO": "/none/0000.0",
        "PYTHONPATH": os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH")))),
    }


def _indexed(chip: Network) -> Network:
    """The chip with layers named by their index: FINN makes files and Verilog modules of names."""
    names = {layer.name: f"layer{index}" for index, layer in enumerate(chip.layers)}
    layers = tuple(replace(layer, name=names[layer.name]) for layer in chip.layers)
    weights = {
        f"{names[name.rsplit('.', 1)[0]]}.{name.rsplit('.', 1)[1]}": array
        for name, array in chip.weights.items()
    }
    return replace(chip, layers=layers, weights=weights)


def _configuration(device: Device) -> dict[str, str]:
    """Files of FINN's configuration; foldings and depths are filled in when the nodes have their names."""
    steps = ",\n  ".join((*STEPS, *VIVADO_STEPS))
    build = f"""# Read by FINN: finn build build.yaml {CORE}
output_dir: out
synth_clk_period_ns: {device.period_ns!r}
fpga_part: {device.fpga_part}
folding_config_file: fold.json
specialize_layers_config_file: specialize.json
standalone_thresholds: true
max_multithreshold_bit_width: {MOST_OUTPUT_BITS}
requant_bitwidth_threshold: {MOST_OUTPUT_BITS + 1}
minimize_bit_width: false
auto_fifo_depths: false
fifo_config_file: fifo.json
generate_outputs: [estimate_reports, stitched_ip, out_of_context_synth]
steps: [
  {steps}
]
"""
    special = {"Defaults": {"preferred_impl_style": ["rtl", ["MVAU"]]}}
    empty = json.dumps({"Defaults": {}}) + "\n"
    return {
        "build.yaml": build,
        "fold.json": empty,
        "fifo.json": empty,
        "specialize.json": json.dumps(special) + "\n",
    }


def _reports(made: Bundle, chip: Network, work: Path) -> SynthesisReport:
    """Save the chain and FINN's estimates; return them as a report."""
    result = json.loads((work / "result.json").read_text())
    chain = Chain.from_dict(
        {
            "nodes": result["nodes"],
            "source": result["streams"]["in"],
            "sink": result["streams"]["out"],
            "image_in": result["image_in"],
        }
    )
    chain.save(made.folder / RTL)
    for name, content in result["estimates"].items():
        made.write(f"reports/estimate_{name}.json", json.dumps(content, indent=1) + "\n")
    report = read_estimates(result["estimates"], chip, made.device, version=_require_finn())
    made.write(REPORT, json.dumps(report.to_dict(), indent=1) + "\n")
    return report


def read_estimates(
    estimates: Mapping[str, Any], chip: Network, device: Device, *, version: str
) -> SynthesisReport:
    """FINN's estimate reports as one report.

    Parameters
    ----------
    estimates
        Content of ``estimate_network_performance.json``, ``estimate_layer_cycles.json`` and
        ``estimate_layer_resources.json``, by the words behind ``estimate_``.
    chip
        What they are about. Nodes up to and with a matrix product belong to the layer of that product, and
        the thresholds behind it too.
    device
        Part and clock they were made for.
    version
        Of FINN.
    """
    cycles, resources = estimates["layer_cycles"], estimates["layer_resources"]
    names = [layer.name for layer in chip.layers if isinstance(layer, Affine)]
    by_layer: dict[str, dict[str, float | None]] = {}
    place = 0
    for node in cycles:
        owner = names[place - 1] if node.startswith("Thresholding") else names[place]
        place += node.startswith("MVAU")
        counts = by_layer.setdefault(owner, {**dict.fromkeys(COUNTED), "cycles": 0})
        for name, count in _counts(resources[node]).items():
            counts[name] = None if count is None else (counts[name] or 0) + count
        counts["cycles"] = max(counts["cycles"] or 0, int(cycles[node]))
    performance = estimates["network_performance"]
    stated = Target.of(chip, device)
    return SynthesisReport(
        design=chip.digest,
        target=Target(
            part=device.fpga_part,
            clock_mhz=device.clock_mhz,
            folding=stated.folding,
            input_format=stated.input_format,
            output_format=stated.output_format,
            tool="FINN+",
            version=version,
        ),
        stage="FINN estimate",
        resources=Resources(**_counts(resources["total"])),
        latency_cycles=int(performance["critical_path_cycles"]),
        initiation_interval=int(performance["max_cycles"]),
        by_layer=by_layer,
        source="reports/estimate_*.json",
    )


def _counts(stated: Mapping[str, Any]) -> dict[str, float | None]:
    """FINN's counts by our names; it estimates no flip-flops."""
    theirs = {"lut": "LUT", "bram_18k": "BRAM_18K", "uram": "URAM", "dsp": "DSP"}
    return {name: round(stated[theirs[name]]) if name in theirs else None for name in COUNTED}


def _run_verilog(made: Bundle, chip: Network, report: SynthesisReport, work: Path) -> Run:
    """Simulate the stitched Verilog, compare and time it."""
    fixed, _ = fixed_edges(chip, "finn")
    count = max(STREAM_VECTORS, _CYCLES // max(report.initiation_interval or 1, 1))
    codes = fixed.quantise(made.inputs[:count])
    rtl = made.folder.resolve() / RTL
    program = compiled(rtl, work / "verilated")
    run = feed(rtl, program, codes, work)
    made.check("FINN's Verilog in Verilator", run.codes.reshape(len(codes), *chip.output_shape))
    pause = 2 * len(run.occupancy) * (report.initiation_interval or 1)
    few = _spread(len(codes), _STALLED_VECTORS)
    halted = feed(rtl, program, codes[few], work, stall=pause)
    made.check(
        f"FINN's Verilog, both ends halting, up to {pause} cycles",
        halted.codes.reshape(len(few), *chip.output_shape),
        made.expected[few],
    )
    _write_vectors(made, codes, run)
    made.measured |= {
        "frames": len(codes),
        "folding": _foldings(chip),
        "initiation_interval": run.initiation_interval,
        "latency_cycles": run.latency_cycles,
        "fifo_occupancy": dict(run.occupancy),
        "finn_estimate": {
            "initiation_interval": report.initiation_interval,
            "latency_cycles": report.latency_cycles,
            **report.resources.stated(),
        },
    }
    return run


def _spread(count: int, most: int) -> NDArray[np.intp]:
    """Indices of up to ``most`` of ``count`` vectors: first and last ones, given and made-up ones."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.intp))


def _foldings(chip: Network) -> dict[str, list[int]]:
    """``[pe, simd]`` of each layer with weights."""
    layers = [layer for layer in chip.layers if isinstance(layer, Affine) and layer.folding is not None]
    return {layer.name: [layer.folding.pe, layer.folding.simd] for layer in layers if layer.folding}


def _write_vectors(made: Bundle, codes: IntArray, run: Run) -> None:
    """Vectors as FINN reads them (float, channels first) and as words of the two streams."""
    chain = Chain.load(made.folder / RTL)
    for name, values in (
        ("input", codes),
        ("expected", run.codes.reshape(len(codes), *made.expected.shape[1:])),
    ):
        first = values.transpose(0, 3, 1, 2) if values.ndim == 4 else values
        if name == "input" and not chain.image_in:
            first = first.reshape(len(codes), -1)
        np.save(made.folder / "vectors" / f"finn_{name}.npy", first[:STREAM_VECTORS].astype(np.float32))
    few = chain.ordered(codes[:STREAM_VECTORS])
    made.write("vectors/stream_in.txt", "\n".join(chain.source.pack(few)) + "\n")
    made.write("vectors/stream_out.txt", "\n".join(chain.sink.pack(run.codes[:STREAM_VECTORS])) + "\n")
