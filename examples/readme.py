"""Run the lines that open the README: `.venv/bin/python examples/readme.py` in the root of the project."""

import re
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"


def main() -> None:
    """Run the first Python block of the README as it stands; keep its picture for the README."""
    block = re.search(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    exec(compile(block.group(1), str(README), "exec"), {"__name__": "readme"})
    Path("front.png").replace(README.parent / "docs" / "front.png")


if __name__ == "__main__":
    main()
