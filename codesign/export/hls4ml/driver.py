"""Compiles the C++ of an hls4ml project with g++ and runs it: integer codes in, integer codes out.

The driver calls the bridge that hls4ml writes for Python, so input and output go through the project's own
types; values are doubles, exact for codes below 2**53. A vector is a line of integers, as in
``vectors/inputs.txt`` of a bundle.

A oneAPI kernel wants Intel's compiler. Here it is compiled, unchanged, against stand-ins for the few parts
of SYCL it names (a queue that runs a task at once, a pipe that is a queue of values) and the ``ac_types``
that hls4ml ships for Quartus. Intel's ``ac_fixed`` makes compile-time constants, this one does not, so the
driver reads the weights as constants of run time.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from codesign.errors import OutputError
from codesign.export.hls4ml.build import PROJECT
from codesign.fixedpoint import IntArray
from codesign.network import Network
from codesign.tools import require_program, run

__all__ = ["DRIVER", "SOURCES", "Sources", "compile_command", "simulate_project", "write_driver"]

DRIVER: Final = "simulate.cpp"
_STAND_IN: Final = "sycl_stand_in"
_INSTALL: Final = "install a C++ compiler (Debian: apt install g++)"


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a back end keeps what a simulation needs, relative to the project.

    ``includes`` folders of headers; ``defines`` of the compiler; ``code`` the folder of ``firmware``;
    ``sizes`` whether the bridge also returns sizes; ``stand_in`` whether SYCL is replaced.
    """

    includes: tuple[str, ...]
    defines: tuple[str, ...] = ()
    code: str = "."
    sizes: bool = False
    stand_in: bool = False


SOURCES: Final = {
    "vivado": Sources(("firmware/ap_types",), ('WEIGHTS_DIR="firmware/weights"',)),
    "vitis": Sources(("firmware/ap_types",), ('WEIGHTS_DIR="firmware/weights"',)),
    "catapult": Sources(
        (
            "firmware/ac_types/include",
            "firmware/ac_math/include",
            "firmware/ac_simutils/include",
            "firmware/nnet_utils",
        )
    ),
    "quartus": Sources(("firmware/ac_types",), sizes=True),
    "oneapi": Sources((_STAND_IN, f"{_STAND_IN}/ac_types"), code="src", stand_in=True),
}
"""By the name of the back end."""

_MAIN = """\
// Integer codes of a file in, a vector a line; integer codes out. Compiled as README.md says.
{includes}
#include <cmath>
#include <fstream>
#include <iostream>
#include <vector>

int main(int, char *arguments[]) {{
    const int input_fraction = {input_fraction}, output_fraction = {output_fraction};
    std::vector<double> values({inputs}), results({outputs});
    std::ifstream file(arguments[1]);
    unsigned short input_size, output_size;
    long long code;
    while (file >> code) {{
        for (std::size_t i = 0; i < values.size(); i++) {{
            if (i > 0 && !(file >> code)) {{
                std::cerr << "the last vector is not whole" << std::endl;
                return 1;
            }}
            values[i] = std::ldexp(double(code), -input_fraction);
        }}
        {project}_double(values.data(), results.data(){sizes});
        for (std::size_t i = 0; i < results.size(); i++)
            std::cout << std::llround(std::ldexp(results[i], output_fraction))
                      << (i + 1 < results.size() ? ' ' : '\\n');
    }}
    return 0;
}}
"""

_SYCL = """\
// Stand-ins for what a kernel of hls4ml names of SYCL: a task runs at once, a pipe is a queue of values.
#pragma once
#include <cstdint>
#include <deque>
#include <exception>
#include <iostream>
#include <vector>
#define SYCL_EXTERNAL

namespace sycl {
using exception = std::exception;
using exception_list = std::vector<std::exception_ptr>;
namespace property::queue {
struct enable_profiling {};
} // namespace property::queue
struct queue {
    template <class... Arguments> queue(Arguments &&...) {}
    template <class Name, class Kernel> void single_task(Kernel kernel) { kernel(); }
    void wait() {}
};
namespace ext::oneapi::experimental {
struct properties_tag {};
struct properties {
    template <class... Arguments> constexpr properties(Arguments...) {}
};
} // namespace ext::oneapi::experimental
namespace ext::intel {
inline constexpr int fpga_emulator_selector_v = 0;
namespace experimental {
template <int> inline constexpr int ready_latency = 0;
template <class...> inline constexpr int streaming_interface = 0;
template <class...> inline constexpr int pipelined = 0;
template <auto &...> struct task_sequence {};
template <class Name, class Value, int32_t Capacity = 0, class Properties = void, class... Rest> struct pipe {
    static std::deque<Value> &values() {
        static std::deque<Value> held;
        return held;
    }
    static Value read() {
        Value first = values().front();
        values().pop_front();
        return first;
    }
    static Value read(queue &) { return read(); }
    static void write(const Value &value) { values().push_back(value); }
    static void write(queue &, const Value &value) { write(value); }
};
} // namespace experimental
} // namespace ext::intel
} // namespace sycl
"""

_FORWARDS: Final = {
    "fpga_extensions.hpp": "sycl/sycl.hpp",
    "experimental/task_sequence.hpp": "sycl/sycl.hpp",
    "prototype/interfaces.hpp": "sycl/sycl.hpp",
    "ac_types/ac_int.hpp": "ac_int.h",
    "ac_types/ac_fixed.hpp": "ac_fixed.h",
    "ac_types/ac_fixed_math.hpp": "ac_fixed.h",
}


def write_driver(project: Path, backend: str, network: Network, ac_types: Path) -> None:
    """Write what ``simulate_project`` compiles beside the project's own files.

    Parameters
    ----------
    project
        Folder of a written project.
    backend
        A name of ``SOURCES``.
    network
        Of which it was written.
    ac_types
        Folder of the ``ac_types`` headers that a SYCL kernel is compiled with here.
    """
    sources = SOURCES[backend]
    includes = [f"{sources.code}/firmware/{PROJECT}.cpp", f"{sources.code}/{PROJECT}_bridge.cpp"]
    lines = [f'#include "{name}"' for name in includes]
    if sources.stand_in:
        _write_stand_in(project / _STAND_IN, ac_types)
        weights = sorted(path.name for path in (project / sources.code / "firmware" / "weights").glob("*.h"))
        lines = [
            f'#include "{sources.code}/firmware/parameters.h"',
            "#define constexpr const",
            *(f'#include "{sources.code}/firmware/weights/{name}"' for name in weights),
            "#undef constexpr",
            *lines,
        ]
    first, last = network.input_format, network.formats[-1]
    assert first is not None
    assert last is not None
    text = _MAIN.format(
        includes="\n".join(lines),
        input_fraction=first.fraction_bits,
        output_fraction=last.fraction_bits,
        inputs=int(np.prod(network.input_shape)),
        outputs=int(np.prod(network.output_shape)),
        project=PROJECT,
        sizes=", input_size, output_size" if sources.sizes else "",
    )
    (project / DRIVER).write_text(text, encoding="utf-8")


def _write_stand_in(folder: Path, ac_types: Path) -> None:
    intel = folder / "sycl" / "ext" / "intel"
    for name, target in _FORWARDS.items():
        (intel / name).parent.mkdir(parents=True, exist_ok=True)
        (intel / name).write_text(f"#include <{target}>\n", encoding="utf-8")
    (folder / "sycl" / "sycl.hpp").write_text(_SYCL, encoding="utf-8")
    (folder / "ac_types").mkdir()
    for header in sorted(ac_types.glob("*.h")):
        (folder / "ac_types" / header.name).write_bytes(header.read_bytes())


def compile_command(backend: str, program: str = "simulate") -> list[str]:
    """Words that compile the driver of a project into ``program``, in the project's folder."""
    sources = SOURCES[backend]
    includes = [f"-I{name}" for name in (*sources.includes, sources.code)]
    defines = [f"-D{text}" for text in sources.defines]
    return ["g++", "-std=c++20", "-O1", "-w", *defines, *includes, DRIVER, "-o", program]


def simulate_project(project: Path, backend: str, network: Network, codes: IntArray) -> IntArray:
    """Compile a project in a temporary folder and run it.

    Parameters
    ----------
    project
        Folder of the project; nothing is written there.
    backend
        A name of ``SOURCES``.
    network
        Of which it was written.
    codes
        Shape ``(n, *input_shape)``, in the input format.

    Returns
    -------
    codes
        Shape ``(n, *output_shape)``, in the format of the last layer.

    Raises
    ------
    MissingToolError
        Without g++.
    OutputError
        If the C++ does not compile or run.
    """
    require_program("g++", _INSTALL)
    what = f"C++ simulation of the hls4ml project for {backend}"
    with tempfile.TemporaryDirectory() as made:
        work = Path(made)
        program, vectors = work / "simulate", work / "inputs.txt"
        run(compile_command(backend, str(program)), cwd=project, log=work / "g++.log", what=what)
        lines = [" ".join(map(str, row)) for row in codes.reshape(len(codes), -1).tolist()]
        vectors.write_text("\n".join(lines) + "\n", encoding="utf-8")
        printed = run([program, vectors], cwd=project, log=work / "run.log", what=what)
    values = np.array(printed.split(), np.int64)
    shape = (len(codes), *network.output_shape)
    if values.size != np.prod(shape):
        raise OutputError(f"{what}: it printed {values.size} values, expected {int(np.prod(shape))}")
    return values.reshape(shape)
