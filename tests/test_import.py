"""What is imported when: `import codesign` and `codesign --help` stay light."""

import subprocess
import sys

import pytest

HEAVY = {
    "torch",
    "ot",
    "matplotlib",
    "brevitas",
    "botorch",
    "pandas",
    "plotly",
    "scipy",
    "onnx",
    "pydantic",
    "rich",
}


def loaded_by(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after a statement."""
    listing = "print(*sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)"
    code = f"{statement}\nimport sys\n{listing}"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(done.stderr.split())


def test_import_codesign_loads_nothing_heavy() -> None:
    loaded = loaded_by("import codesign")
    assert "codesign" in loaded
    assert not HEAVY & loaded


@pytest.mark.parametrize(
    "words", [["--help"], ["run", "--help"], ["front", "--help"], ["data", "check", "--help"]]
)
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    statement = (
        f"import sys\nsys.argv = ['codesign', *{words}]\nfrom codesign.cli import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code"
    )
    assert not HEAVY & loaded_by(statement)


def test_metrics_and_spaces_load_without_torch() -> None:
    loaded = loaded_by(
        "import codesign.metrics, codesign.tasks.econt, search_spaces.econt, hardware_models.asic"
    )
    assert not {"torch", "ot", "matplotlib", "brevitas", "botorch"} & loaded


def test_scoring_loads_no_torch() -> None:
    statement = (
        "import numpy as np, codesign\n"
        "x = np.random.default_rng(0).random((3, 48))\n"
        "assert codesign.metrics.emd(x, x[::-1]).shape == (3,)"
    )
    assert "torch" not in loaded_by(statement)
