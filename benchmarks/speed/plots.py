"""Draw ``docs/speed.png`` from ``benchmarks/results/speed.json``: `python benchmarks/speed/plots.py`.

Left: training throughput over the size of the network, random designs of the space. Right: when each design
of the demo study ended.
"""

import json
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from codesign.files import write_file
from codesign.plotting import png

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "speed.json"
PICTURE = ROOT / "docs" / "speed.png"
OURS, ENGINE, PLAIN, BREVITAS = "#c1121f", "#003049", "#8d99ae", "#e09f3e"


def throughput(axes: Axes, rows: list[dict[str, Any]]) -> None:
    """Samples per CPU second over parameters."""
    shown = [row for row in rows if "designs" in row]
    for row, colour in zip(shown, (ENGINE, PLAIN, BREVITAS), strict=False):
        sizes = [each["parameters"] for each in row["designs"]]
        rates = [each["reference_rate"] for each in row["designs"]]
        axes.scatter(sizes, rates, color=colour, s=26, label=row["reference"])
    designs = shown[0]["designs"]
    sizes, rates = [each["parameters"] for each in designs], [each["our_rate"] for each in designs]
    axes.scatter(sizes, rates, color=OURS, s=26, label="compiled engine")
    axes.set(xscale="log", yscale="log", xlabel="parameters", ylabel="training, samples per CPU second")
    axes.legend(frameon=False, fontsize=8, loc="center right")
    axes.grid(alpha=0.3)


def study(axes: Axes, rows: list[dict[str, Any]]) -> None:
    """Designs that ended over seconds on the clock."""
    (row,) = (row for row in rows if "finished" in row)
    for name, colour, words in (("now", OURS, row["ours"]), ("before", PLAIN, row["reference"])):
        times = row["finished"][name][:-1]  # the last is the end of exports and pictures
        axes.plot(range(1, len(times) + 1), times, color=colour)
        axes.annotate(words, (len(times), times[-1]), (-6, 4), textcoords="offset points", ha="right")
    top = 1.12 * max(row["finished"]["before"][:-1])
    axes.set(xlabel="designs that ended", ylabel="seconds on the clock", xlim=(0, None), ylim=(0, top))
    axes.grid(alpha=0.3)


def draw(results: dict[str, Any]) -> None:
    """Both panels into the picture of the page."""
    figure = Figure(figsize=(10.4, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    throughput(left, results["rows"])
    study(right, results["rows"])
    figure.suptitle(f"{results['processor']}, {results['instruction_set']}; commit {results['commit']}")
    write_file(PICTURE, png(figure))


if __name__ == "__main__":
    draw(json.loads(RESULTS.read_text()))
