"""What runs inside FINN, in a process of its own: ``python -m codesign.export.finn.build JOB.json``.

FINN is imported here and nowhere else: it redirects output, takes seconds to load and wants to find Vivado,
which none of the steps below needs. The job names absolute files::

    model       QONNX of the chip, layers named by their index
    build       build.yaml; its steps before the first that needs Vivado are run
    folding     for each convolution and dense layer in order, [pe, simd, whether windows come whole]
    vectors     .npz: ``inputs`` and ``expected`` codes, channels last
    input       [signed, width, fraction bits] of the input format
    fraction    fraction bits of the output format
    core        where to write the integer core
    rtl         folder for the generated sources
    result      .json to write: nodes of the chain, streams, estimates
    computed    .npz to write: output codes after each step
"""

import copy
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["FIRST_STEPS", "STEPS", "VIVADO_STEPS", "main"]

FIRST_STEPS: Final = ("step_qonnx_to_finn", "step_tidy_up", "step_streamline")
"""From QONNX to the integer core."""
STEPS: Final = (
    "step_convert_to_hw",
    "step_minimize_bit_width_datatype_only",
    "step_create_dataflow_partition",
    "step_specialize_layers",
    "step_apply_folding_config",
    "step_minimize_bit_width_datatype_only",
    "step_minimize_bit_width",
    "step_generate_estimate_reports",
    "step_hw_codegen",
    "step_hw_ipgen",
    "step_set_fifo_depths",
)
"""From the integer core to Verilog; none needs Vivado as long as every node is RTL."""
VIVADO_STEPS: Final = ("step_create_stitched_ip", "step_out_of_context_synthesis")
"""What is left for a machine with Vivado."""
_SHALLOWEST: Final = 2
_DEEPEST: Final = 512


def main(arguments: Sequence[str] | None = None) -> None:
    """Do the job whose file is named."""
    (path,) = sys.argv[1:] if arguments is None else arguments
    job = json.loads(Path(path).read_text())
    _without_vivado()
    _Run(job).all()


def _without_vivado() -> None:
    """Bind what FINN looks up in Vivado when it is imported: the simulator, unused here."""
    os.environ.setdefault("XILINX_VIVADO", "/none/0000.0")
    import finn.xsi

    finn.xsi.SimEngine = object


class _Run:
    """One job: the model as it is now, and what was computed after each step."""

    def __init__(self, job: Mapping[str, Any]) -> None:
        from finn.builder import build_dataflow_steps
        from finn.builder.build_dataflow_config import DataflowBuildConfig
        from qonnx.core.modelwrapper import ModelWrapper

        self.job = job
        self.library = build_dataflow_steps
        self.config = DataflowBuildConfig.construct_from(Path(job["build"]))
        self.model = ModelWrapper(job["model"])
        with np.load(job["vectors"]) as held:
            self.inputs, self.expected = held["inputs"], held["expected"]
        self.computed: dict[str, NDArray[np.int64]] = {}
        self.channels_first = True
        self.images_last = False
        self.real = True

    def all(self) -> None:
        """From QONNX to Verilog, with the outputs after every step."""
        self.take_codes()
        self.record("integer input")
        for name in FIRST_STEPS:
            self.step(name)
        self.give_codes()
        self.record("integer core")
        self.model.save(self.job["core"])
        for name in STEPS:
            self.prepare(name)
            self.step(name)
        self.write()

    def step(self, name: str) -> None:
        """Do one step of FINN and run the result."""
        self.model = getattr(self.library, name)(self.model, self.config)
        if name == "step_create_dataflow_partition":
            self.channels_first = False
            self.images_last = True
        self.record(name)

    def prepare(self, name: str) -> None:
        """Write the configuration a step reads, once the names of the nodes are known."""
        folder = Path(self.job["build"]).parent
        if name == "step_apply_folding_config":
            (folder / "fold.json").write_text(json.dumps(self.folding(), indent=1) + "\n")
        if name == "step_set_fifo_depths":
            (folder / "fifo.json").write_text(json.dumps(self.fifos(), indent=1) + "\n")

    def take_codes(self) -> None:
        """Replace the input's quantiser by a scale: the core is fed integers."""
        from onnx import helper
        from qonnx.core.datatype import DataType

        signed, width, fraction = self.job["input"]
        graph = self.model.graph
        name = graph.input[0].name
        quant = self.model.find_consumer(name)
        assert quant.op_type == "Quant", quant.op_type
        self.model.set_initializer("input_scale", np.array([2.0**-fraction], np.float32))
        scale = helper.make_node("Mul", [name, "input_scale"], list(quant.output), name="input_scale_mul")
        graph.node.insert(list(graph.node).index(quant), scale)
        graph.node.remove(quant)
        self.model.set_tensor_datatype(name, DataType[f"{'' if signed else 'U'}INT{width}"])

    def give_codes(self) -> None:
        """Drop what follows the last threshold: the scale, so that integers are given, and the layout."""
        graph = self.model.graph
        while True:
            last = self.model.find_producer(graph.output[0].name)
            if last.op_type == "Mul":
                scale = self.model.get_initializer(last.input[1])
                if scale is None or scale.size != 1:
                    raise SystemExit(f"the last scale is not one number but {scale}")
            elif last.op_type in ("Transpose", "Flatten"):
                self.images_last = True
            else:
                break
            self.drop(last)
        self.real = False

    def drop(self, last: Any) -> None:
        """Remove the last node; what it is given becomes the output."""
        from onnx import helper

        graph, name = self.model.graph, last.input[0]
        kind, shape = self.model.get_tensor_datatype(name), self.model.get_tensor_shape(name)
        graph.node.remove(last)
        del graph.output[:]
        for value in [value for value in graph.value_info if value.name == name]:
            graph.value_info.remove(value)
        graph.output.append(helper.make_tensor_value_info(name, 1, shape))
        self.model.set_tensor_datatype(name, kind)

    def record(self, name: str) -> None:
        """Run the model as it is and keep its output codes."""
        label = name if name not in self.computed else f"{name} (again)"
        self.computed[label] = np.stack([self.run(one) for one in self.inputs])

    def run(self, codes: NDArray[Any]) -> NDArray[np.int64]:
        """Output codes of one vector, channels last."""
        from qonnx.core.onnx_exec import execute_onnx

        model = copy.deepcopy(self.model)
        for node in model.graph.node:
            if node.domain.startswith("finn.custom_op.fpgadataflow"):
                _operator(node).set_nodeattr("exec_mode", "cppsim")
        name = model.graph.input[0].name
        outputs = execute_onnx(model, {name: self.fed(codes, model.get_tensor_shape(name))})
        value = np.asarray(outputs[model.graph.output[0].name], np.float64)
        if value.ndim == 4 and not self.images_last:
            value = value.transpose(0, 2, 3, 1)
        value = np.ldexp(value, self.job["fraction"]) if self.real else value
        whole = np.rint(value)
        if not np.array_equal(whole, value):
            raise SystemExit("the outputs are not whole multiples of the output's scale")
        return whole.astype(np.int64).reshape(self.expected.shape[1:])

    def fed(self, codes: NDArray[Any], shape: Sequence[int]) -> NDArray[np.float32]:
        """One vector in the layout of the graph's input; a flattened image is channels first."""
        if codes.ndim == 3 and (self.channels_first or len(shape) == 2):
            codes = codes.transpose(2, 0, 1)
        return codes.reshape(shape).astype(np.float32)

    def folding(self) -> dict[str, Any]:
        """FINN's folding file, from the layers' ``pe`` and ``simd``.

        Padding and window generators move a whole pixel at a time, or a whole window where that is asked for.
        Thresholds keep pace with the sums in front of them.
        """
        found: dict[str, Any] = {"Defaults": {}}
        remaining = list(self.job["folding"])
        pe = 1
        for node in self.model.graph.node:
            operator = _operator(node)
            if node.op_type.startswith("FMPadding"):
                found[node.name] = {"SIMD": operator.get_nodeattr("NumChannels")}
            elif node.op_type.startswith("ConvolutionInputGenerator"):
                found[node.name] = {
                    "SIMD": operator.get_nodeattr("IFMChannels"),
                    "parallel_window": int(remaining[0][2]),
                }
            elif node.op_type.startswith("MVAU"):
                pe, simd, _ = remaining.pop(0)
                found[node.name] = {"PE": pe, "SIMD": simd, "ram_style": "auto"}
            elif node.op_type.startswith("Thresholding"):
                found[node.name] = {"PE": pe}
        return found

    def fifos(self) -> dict[str, Any]:
        """FINN's FIFO file: each holds the words of a frame, 512 at most, and thus stalls no neighbour."""
        from finn.transformation.fpgadataflow.insert_dwc import InsertDWC
        from finn.transformation.fpgadataflow.insert_fifo import InsertFIFO
        from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers
        from finn.util.basic import getHWCustomOp
        from qonnx.transformation.general import GiveUniqueNodeNames

        model = copy.deepcopy(self.model)
        for transformation in (
            InsertDWC(),
            InsertFIFO(create_shallow_fifos=True),
            SpecializeLayers(self.config._resolve_fpga_part()),
            GiveUniqueNodeNames(),
        ):
            model = model.transform(transformation)
        depths = {}
        for node in model.get_nodes_by_op_type("StreamingFIFO_rtl"):
            words = int(np.prod(getHWCustomOp(node).get_folded_input_shape()[:-1]))
            depths[node.name] = min(max(words, _SHALLOWEST), _DEEPEST)
        return {
            "fifo_depths": depths,
            "impl_style": dict.fromkeys(depths, "rtl"),
            "ram_style": dict.fromkeys(depths, "auto"),
        }

    def write(self) -> None:
        """Copy the sources of every node and write the result."""
        rtl = Path(self.job["rtl"])
        rtl.mkdir(parents=True)
        nodes = [self.node(node, rtl) for node in self.model.graph.node]
        reports = Path(self.config.output_dir) / "report"
        names = ("network_performance", "layer_cycles", "layer_resources")
        result = {
            "nodes": nodes,
            "streams": {"in": self.stream(0, "input"), "out": self.stream(-1, "output")},
            "image_in": len(self.model.get_tensor_shape(self.model.graph.input[0].name)) == 4,
            "estimates": {
                name: json.loads((reports / f"estimate_{name}.json").read_text()) for name in names
            },
        }
        Path(self.job["result"]).write_text(json.dumps(result, indent=1))
        np.savez(self.job["computed"], **self.computed)  # type: ignore[arg-type]

    def node(self, node: Any, rtl: Path) -> dict[str, Any]:
        """Copy what a node is made of; describe its place in the chain."""
        operator = _operator(node)
        if not node.op_type.endswith("_rtl"):
            raise SystemExit(f"FINN makes {node.name} an {node.op_type}, which is not RTL")
        generated = Path(operator.get_nodeattr("code_gen_dir_ipgen"))
        files = [Path(path) for path in operator.get_rtl_file_list(abspath=True)]
        data = sorted(generated.glob("*.dat"))
        memory = generated / f"{node.name}_memstream_wrapper.v"
        if memory.exists():
            files += [memory, *self.memory_files()]
        for path in files:
            text = path.read_text().replace(f"{generated}/", "./")
            (rtl / path.name).write_text(text.replace('"./memblock.dat"', f'"./{node.name}_memblock.dat"'))
        for path in data:
            name = f"{node.name}_{path.name}" if path.name == "memblock.dat" else path.name
            shutil.copyfile(path, rtl / name)
        return {
            "name": node.name,
            "op": node.op_type,
            "module": operator.get_nodeattr("gen_top_module") or operator.get_verilog_top_module_name(),
            "memory": f"{node.name}_memstream_wrapper" if memory.exists() else None,
            "in_width": operator.get_instream_width_padded(),
            "out_width": operator.get_outstream_width_padded(),
            "weight_width": operator.get_instream_width_padded(1) if memory.exists() else 0,
            "files": [path.name for path in files],
            "depth": operator.get_nodeattr("depth") if node.op_type.startswith("StreamingFIFO") else None,
        }

    def memory_files(self) -> list[Path]:
        """Sources of the memory that streams weights."""
        from finn.util.settings import get_settings

        library = Path(get_settings().finn_rtllib)
        names = ("memstream/hdl/memstream.sv", "memstream/hdl/memstream_axi.sv", "axi/hdl/axilite.sv")
        return [library / name for name in (*names, "skid/skid.sv")]

    def stream(self, place: int, side: str) -> dict[str, Any]:
        """How values lie in the words of the first or last stream: the first one lowest."""
        operator = _operator(self.model.graph.node[place])
        kind = getattr(operator, f"get_{side}_datatype")()
        folded = [int(size) for size in getattr(operator, f"get_folded_{side}_shape")()]
        return {
            "bits": int(kind.bitwidth()),
            "signed": bool(kind.signed()),
            "lanes": folded[-1],
            "words": int(np.prod(folded[:-1])),
        }


def _operator(node: Any) -> Any:
    from qonnx.custom_op.registry import getCustomOp

    return getCustomOp(node)


if __name__ == "__main__":
    main()
