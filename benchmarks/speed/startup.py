"""CPU time of `codesign --help` and of `import codesign`, against a bare Python and an import of torch.

.venv/bin/python benchmarks/speed/startup.py
"""

import resource
import statistics
import subprocess
import sys

RUNS = 7
COMMANDS = {
    "python": ["-c", "pass"],
    "import codesign": ["-c", "import codesign"],
    "codesign --help": ["-m", "codesign.cli", "--help"],
    "import torch": ["-c", "import torch"],
}


def cpu_seconds(arguments: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS):
        for name, arguments in COMMANDS.items():
            times[name].append(cpu_seconds(arguments))
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, seconds in medians.items():
        print(f"{name:16} {seconds:6.3f} CPU s   {seconds / medians['python']:6.1f} x python")


if __name__ == "__main__":
    main()
