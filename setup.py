"""Compile the kernels of ``codesign.native``; everything else is in pyproject.toml.

Each source is compiled once for every instruction set, all into one library without Python symbols, and the
set is chosen when it is loaded. Where no C compiler is, the installation goes on without: the package then
runs the same work on PyTorch and POT, and says so.
"""

import platform
from itertools import product
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

NATIVE = Path("codesign/native")
STANDARDS = {"-std=gnu11": ".c", "-std=gnu++17": ".cpp"}
COMMON = [
    "-fno-exceptions",
    "-O3",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=fast",
    "-fvisibility=hidden",
]
X86 = {
    "plain": [],
    "avx2": ["-mavx2", "-mfma"],
    "avx512": ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma", "-mprefer-vector-width=512"],
}


class BuildKernels(build_ext):
    """One library of all sources in all instruction sets."""

    def build_extension(self, ext: Extension) -> None:
        """Compile and link ``ext``; a failure is a warning, since the extension is optional."""
        sets = X86 if platform.machine().lower() in ("x86_64", "amd64") else {"plain": []}
        objects = []
        for (name, flags), (standard, suffix) in product(sets.items(), STANDARDS.items()):
            objects += self.compiler.compile(
                [source for source in ext.sources if source.endswith(suffix)],
                output_dir=f"{self.build_temp}/{name}",
                macros=[("ISA", name), (f"ISA_{name.upper()}", "1")],
                depends=ext.depends,
                extra_postargs=[standard, *COMMON, *flags],
            )
        path = Path(self.get_ext_fullpath(ext.name))
        path.parent.mkdir(parents=True, exist_ok=True)
        self.compiler.link_shared_object(objects, str(path), libraries=["m"])

    def get_export_symbols(self, ext: Extension) -> list[str]:
        """None: it is called by ctypes, not imported."""
        return []


setup(
    ext_modules=[
        Extension(
            "codesign.native._kernels",
            sources=sorted(str(path) for path in NATIVE.glob("*.c*")),
            depends=[str(path) for path in NATIVE.glob("*.h")],
            optional=True,
        )
    ],
    cmdclass={"build_ext": BuildKernels},
)
