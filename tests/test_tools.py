"""Programs of others: those that run when somebody stops end, with what they started."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from codesign import tools

PARENT = """
import pathlib, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path("child").write_text(str(child.pid))
child.wait()
"""


def alive(process: int) -> bool:
    """Whether it runs; one that has ended and was not waited for does not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")
def test_what_runs_in_another_thread_can_be_ended(tmp_path: Path) -> None:
    def command() -> str:
        return tools.run(
            [sys.executable, "-c", PARENT], cwd=tmp_path, log=tmp_path / "log", what="sleeping", timeout=60
        )

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(command)
        for _ in range(200):
            if (tmp_path / "child").exists() and (tmp_path / "child").read_text():
                break
            time.sleep(0.05)
        child = int((tmp_path / "child").read_text())
        assert alive(child)
        start = time.monotonic()
        tools.end_running()
        assert isinstance(future.exception(), KeyboardInterrupt)
    assert time.monotonic() - start < 20
    for _ in range(100):
        if not alive(child):
            break
        time.sleep(0.05)
    assert not alive(child)
