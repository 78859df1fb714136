"""Networks from elsewhere: what is read from QONNX files against qonnx' executor, layer by layer.

A line a file: multiply-accumulates, compared activations and outputs, and how many differ (by the float32
sums of the executor; anything else is an error of the import). Inputs are normal with unit spread.

Run, with files of the QONNX model zoo or others:
``python benchmarks/exactness/imported.py FILE.onnx[:FORMAT] ...``;
FORMAT is that of an input that the file does not quantise, such as ``5.10``, or ``1.0`` for signs.
"""

import sys
from pathlib import Path

import numpy as np

from codesign.errors import CodesignError
from codesign.hardware import Workload
from codesign.importing import Imported, parse_format, read_qonnx

INPUTS = 500
SEED = 0
HEADINGS = ("MACs", "activations", "differ", "outputs", "differ")
COUNTS = ("activations", "activations_differ", "outputs", "outputs_differ")


def compared(path: Path, given: str) -> Imported:
    """Read a file and compare it on random inputs, within the range of its own probes."""
    form = parse_format(given) if given else None
    first = read_qonnx(path, input_format=form)
    inputs = np.random.default_rng(SEED).normal(size=(INPUTS, *first.input_shape))
    if form is not None:
        inputs = form.dequantise(form.quantise(inputs)) if form.fraction_bits else np.copysign(1.0, inputs)
    return read_qonnx(path, input_format=form, inputs=inputs.astype(np.float32))


def main() -> int:
    print(
        f"{'file':28}"
        + "".join(f"{word:>14}" for word in ("MACs", "activations", "differ", "outputs", "differ"))
    )
    wrong = 0
    for word in sys.argv[1:]:
        name, _, given = word.partition(":")
        try:
            read = compared(Path(name), given)
        except CodesignError as error:
            print(f"{Path(name).stem:28}{error}")
            wrong += 1
            continue
        macs = int(Workload.of([read.network]).macs.sum())
        print(f"{Path(name).stem:28}{macs:>14,}" + "".join(f"{read.checked[key]:>14,}" for key in COUNTS))
    return wrong


if __name__ == "__main__":
    sys.exit(main())
