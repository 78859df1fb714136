import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "bring-your-space.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_page_on_spaces_of_others_runs_and_says_what_it_prints(
    capsys: pytest.CaptureFixture[str],
) -> None:
    names: dict[str, Any] = {}
    for block in BLOCKS:
        if "import optuna" not in block:
            exec(block, names)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == str(24 + 24**2 + 24**3)
    assert lines[1] == f"{126**3} {1 + 108 + 108**2 + 108**3}"
    assert lines[2] == f"4 {[{'type': 'EQ', 'child': 'size', 'parent': 'pooling', 'value': 'max'}]}"
    assert (
        lines[3]
        == "3 ['unroll=1, pipeline=False', 'unroll=2, pipeline=True, ii=1', 'unroll=4, pipeline=True, ii=2']"
    )
    assert lines[4:8] == ["unroll,pipeline,ii", "1,False,", "2,True,1", "4,True,2"]


def test_the_study_of_the_page_runs() -> None:
    optuna = pytest.importorskip("optuna", reason="the extra peers is not installed")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    names: dict[str, Any] = {}
    for block in BLOCKS[:2]:
        exec(block, names)
    space = names["space"]
    assert all(set(trial.params) <= set(space.names) for trial in names["study"].trials)
    assert len(names["study"].trials) == 10
