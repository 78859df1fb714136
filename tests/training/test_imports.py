"""What a worker of the compiled engine imports."""

import subprocess
import sys

import pytest

from codesign import native

CODE = """
import sys
import numpy as np
from codesign.tasks.econt import EcontTask
from codesign.training import Recipe
from codesign.training.fit import fit
from search_spaces import econt

task = EcontTask.from_options(wafers=300)
network = econt.build(econt.SPACE.candidate(econt.BASELINE))
recipe = Recipe.quick(3, engine="native")
fitted = fit(network, task.training, task.validation, recipe, loss="telescoping", seed=1)
task.score(fitted.network)
print([name for name in ("torch", "ot", "brevitas", "botorch") if name in sys.modules])
"""


@pytest.mark.skipif(not native.available(), reason=native.absence())
def test_a_native_fit_and_its_score_need_neither_torch_nor_pot() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
