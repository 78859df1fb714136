"""Run the benchmarks of speed, keep what they measured as JSON, and write table and plots of the page.

``benchmarks/results/speed.json`` holds the comparisons with processor, versions and commit; the table and
the plots of ``docs/speed.png`` are made from it. Fails where a ratio falls below its floor or memory passes
its bound, after writing. Run: ``python benchmarks/speed/record.py``.
"""

import json
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from comparison import failures
from plots import draw

from codesign import native
from codesign.files import write_file

ROOT = Path(__file__).parents[2]
SCRIPTS = ("training", "designs", "inference", "workers", "emd", "emd_gradient", "study")
RESULTS = ROOT / "benchmarks" / "results" / "speed.json"
PAGE = ROOT / "docs" / "performance.md"
START, END = "<!-- table: benchmarks/speed/record.py -->", "<!-- end of table -->"


def processor() -> str:
    """Name of the processor as the system gives it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def commit() -> str:
    """Commit that was measured, with ``+`` where files differ from it."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.strip()

    return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")


def measured() -> dict[str, Any]:
    """Everything, as plain data."""
    rows = []
    for name in SCRIPTS:
        print(f"benchmarks/speed/{name}.py", flush=True)
        code = f"import json, {name}; print(json.dumps({name}.measure()))"
        command = [sys.executable, "-c", code]
        output = subprocess.run(
            command, cwd=ROOT / "benchmarks" / "speed", check=True, stdout=subprocess.PIPE, text=True
        ).stdout
        rows += [{"script": name, **row} for row in json.loads(output.splitlines()[-1])]
    return {
        "processor": processor(),
        "instruction_set": native.instruction_set(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("codesign", "torch", "brevitas", "numpy", "POT")},
        "commit": commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "rows": rows,
    }


def table(results: dict[str, Any]) -> str:
    """The page's table."""
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    lines = [
        f"{results['processor']}, {results['instruction_set']}, Python {results['python']},",
        f"{versions}; commit {results['commit']}, {results['date']}.",
        "",
        "| work | ours | against | rate of the reference | our rate | ratio | script |",
        "| --- | --- | --- | ---: | ---: | ---: | --- |",
    ]
    lines += [
        f"| {r['work']} | {r['ours']} | {r['reference']} | {r['reference_rate']:,.0f} | {r['our_rate']:,.0f} "
        f"| {r['ratio']:.1f} | `{r['script']}.py` |"
        for r in results["rows"]
    ]
    memory = max(r.get("resident_megabytes", 0.0) for r in results["rows"])
    return "\n".join([*lines, "", f"A native worker's resident memory was at most {memory:.0f} MB."])


def main() -> int:
    """Measure, write, and compare with the floors."""
    if not native.available():
        print(native.absence())
        return 1
    results = measured()
    write_file(RESULTS, json.dumps(results, indent=1) + "\n")
    before, _, rest = PAGE.read_text().partition(START)
    after = rest.partition(END)[2]
    write_file(PAGE, f"{before}{START}\n\n{table(results)}\n\n{END}{after}")
    draw(results)
    failed = failures(results["rows"])
    print("\n".join([table(results), *(f"failed: {each}" for each in failed)]))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
