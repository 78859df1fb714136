"""The report of the ECON-T study: one page, its pictures, and the same as JSON."""

import base64
import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from guide import with_section
from matplotlib.figure import Figure

from codesign.files import write_file
from codesign.hardware import Device
from codesign.plotting import png
from hardware_models.asic import AsicModel
from hardware_models.selection import selection_costs
from search_spaces import econt

ALGORITHMS = {
    "best choice 14": "#1b998b",
    "super trigger cells 4": "#f46036",
    "super trigger cells 16": "#8d99ae",
}
LOSSES = {"telescoping": "#003049", "emd": "#c1121f"}
NETWORKS = (("c8 S2", "telescoping"), ("c8 S2", "emd"), ("c64 S1", "telescoping"))
LABELS = {"telescoping": "telescoping loss", "emd": "EMD as loss"}
PUBLISHED = ((6_544, 1.067, "c8 S2"), (208_912, 0.680, "c64 S1"))
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0; font-size: 13px }
th, td { border-bottom: 1px solid #ddd; padding: .25rem .6rem; text-align: left; vertical-align: top }
td.n, th.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums }
img { max-width: 100%; height: auto }
.first { background: #fff6e5; padding: .6rem 1rem; border-left: 4px solid #f46036 }
"""


def write_report(results: Mapping[str, Any], folder: Path, docs: Path) -> list[Path]:
    """Write ``report.html`` and ``report.json`` to a folder, and the pictures to the documentation."""
    folder.mkdir(parents=True, exist_ok=True)
    drawings = {"occupancy": occupancy, "others": others, "curves": curves, "headline": headline}
    pictures = {name: draw_it(results) for name, draw_it in drawings.items()}
    files = {folder / "report.json": json.dumps(results, indent=1).encode()}
    images = {name: png(figure, dpi=110) for name, figure in pictures.items()}
    files |= {docs / f"econt-{name}.png": image for name, image in images.items()}
    files[folder / "report.html"] = page(results, images).encode()
    guide = docs / "econt-study.md"
    if guide.is_file():
        files[guide] = with_networks(guide.read_text(), results).encode()
    for path, content in files.items():
        write_file(path, content)
    return list(files)


def trained(results: Mapping[str, Any], kind: str = "float") -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Finished trainings of a class by network and loss, over seeds."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for key, row in sorted(results.get("trainings", {}).items()):
        name, of, loss, _ = key.split(" | ")
        if of == kind and "bins" in row:
            found.setdefault((name, loss), []).append(row)
    return found


def occupancy(results: Mapping[str, Any]) -> Figure:
    """Median EMD over occupancy: algorithms of the chip and networks; a panel for each kind of wafers."""
    names = {wafers: f"{wafers} wafers" for wafers in results["without_network"]}
    figure, panels = _panels(len(names))
    for axes, (wafers, title) in zip(panels, names.items(), strict=True):
        _medians(axes, results, wafers, "occupancy")
        axes.set(title=title, xlabel="trigger cells above 1 MIP_T")
    panels[0].set_ylim(0, 3)
    panels[-1].legend(fontsize=8, frameon=False)
    return figure


def others(results: Mapping[str, Any]) -> Figure:
    """The same over the charge and over pseudorapidity, generated wafers."""
    figure, panels = _panels(2)
    for axes, (by, title) in zip(
        panels,
        {"log P": "log10 of P in MIP_T, the sum as a power of two", "eta": "|eta|"}.items(),
        strict=True,
    ):
        _medians(axes, results, "generated", by)
        axes.set(xlabel=title)
    panels[0].set_ylim(0, 3)
    panels[-1].legend(fontsize=8, frameon=False)
    return figure


def _panels(count: int) -> tuple[Figure, Any]:
    figure = Figure(figsize=(0.6 + 5.6 * count, 4.4), layout="constrained")
    panels = np.ravel(figure.subplots(1, count, squeeze=False, sharey=True))
    for axes in panels:
        axes.grid(alpha=0.25)
    panels[0].set(ylabel="median EMD [sensor cells]")
    return figure, panels


def _medians(axes: Any, results: Mapping[str, Any], wafers: str, by: str) -> None:
    """Lines of some algorithms and networks."""
    for name, colour in ALGORITHMS.items():
        draw(axes, results["without_network"][wafers][name]["bins"][by], name, colour, "--")
    rows = trained(results)
    for name, loss in NETWORKS:
        for row in rows.get((name, loss), [])[:1]:
            bins = row["bins"] if wafers == "generated" else row.get("real_bins")
            if bins:
                width = 2.6 if name.startswith("c64") else 1.5
                draw(axes, bins[by], f"{name}, {LABELS[loss]}", LOSSES[loss], "-", width)


def draw(
    axes: Any, bins: list[dict[str, Any]], label: str, colour: str, style: str, width: float = 1.5
) -> None:
    whole = all(float(each["low"]).is_integer() for each in bins) and max(each["low"] for each in bins) > 4
    middle = [(each["low"] + min(each["high"], each["low"] + 8) - whole) / 2 for each in bins]
    axes.plot(middle, [each["median"] for each in bins], style, color=colour, label=label, linewidth=width)


def curves(results: Mapping[str, Any]) -> Figure:
    """EMD over steps of training, every seed."""
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.subplots()
    rows = trained(results)
    for name, loss in (*NETWORKS, ("c64 S1", "emd")):
        for index, row in enumerate(rows.get((name, loss), [])):
            steps, values = zip(*row["curve"], strict=True)
            label = f"{name}, {LABELS[loss]}" if not index else None
            width = 2.6 if name.startswith("c64") else 1.3
            axes.plot(steps, values, color=LOSSES[loss], linewidth=width, label=label, alpha=0.8)
    axes.set(
        xscale="log", xlabel=f"steps of {results['recipe']['batch']} wafers", ylabel="EMD [sensor cells]"
    )
    axes.set(ylim=(0.4, 2.4))
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, frameon=False)
    return figure


def headline(results: Mapping[str, Any]) -> Figure:
    """EMD over operations of every float network, by loss, with the two published points."""
    figure = Figure(figsize=(7.2, 4.8), layout="constrained")
    axes = figure.subplots()
    for (name, loss), rows in trained(results).items():
        if loss not in LOSSES:
            continue
        values = [row["metrics"]["emd"]["mean"] for row in rows]
        place = rows[0]["operations"], float(np.mean(values))
        axes.errorbar(*place, yerr=np.std(values), fmt="o", color=LOSSES[loss], markersize=5)
        offset = (5, 5) if loss == "telescoping" else (5, -10)
        axes.annotate(name, place, offset, textcoords="offset points", fontsize=7, color=LOSSES[loss])
    for operations, value, name in PUBLISHED:
        axes.plot(operations, value, marker="*", color="#f4a261", markersize=13, linestyle="", zorder=1)
        where = {"xytext": (-8, 4), "textcoords": "offset points", "ha": "right"}
        axes.annotate(f"{name}, published", (operations, value), fontsize=7, **where)
    for loss, colour in LOSSES.items():
        axes.plot([], [], "o", color=colour, label=LABELS[loss])
    axes.plot([], [], "*", color="#f4a261", markersize=11, label="published, real wafers")
    axes.set(xscale="log", xlabel="operations of the encoder", ylabel="EMD [sensor cells]")
    axes.margins(x=0.14)
    axes.grid(alpha=0.25, which="both")
    axes.legend(fontsize=8, frameon=False)
    return figure


def page(results: Mapping[str, Any], images: Mapping[str, bytes]) -> str:
    """The whole report as one file."""
    drawn = {
        name: f'<img alt="{name}" src="data:image/png;base64,{base64.b64encode(image).decode()}">'
        for name, image in images.items()
    }
    recipe = results["recipe"]
    budget = (
        f"{recipe['steps']:,} steps of {recipe['batch']} wafers, {recipe['wafers']:,} generated wafers of "
        "which the first 20 % are held out; the published run took 640,000 steps of 500"
    )
    parts = [
        f"<!doctype html><meta charset=utf-8><title>ECON-T study</title><style>{STYLE}</style>",
        "<h1>The ECON-T study, claim by claim</h1>",
        f"<p class=first>{html.escape(first(results))}</p>",
        drawn["occupancy"],
        drawn["others"],
        f"<h2>Networks</h2><p>Every training: {html.escape(budget)}.</p>",
        networks(results),
        drawn["headline"],
        drawn["curves"],
        "<h2>Best choice for quiet wafers, the network for busy ones</h2>",
        f"<p>{html.escape(selection())}</p>",
        hybrids(results),
        "<h2>Claims</h2>",
        table(
            ["claim", "source", "published", "ours", "spread", "seeds", "ratio", "unit", "remark"],
            [
                [
                    row["claim"],
                    row["source"],
                    *(number(row[name]) for name in ("published", "ours", "spread", "seeds", "ratio")),
                    row["unit"],
                    row["remark"],
                ]
                for row in results["claims"]
            ],
        ),
        "<h2>Without a network</h2>",
        *(
            f"<h3>{wafers} wafers</h3>{algorithms(rows)}"
            for wafers, rows in results["without_network"].items()
        ),
        f"<p>{html.escape(json.dumps(results['machine']))}</p>",
    ]
    return "\n".join(parts)


def first(results: Mapping[str, Any]) -> str:
    """What has to be said before any EMD of a network."""
    told = []
    for wafers, rows in results["without_network"].items():
        of = "metrics" if wafers == "generated" else "real"
        best = trained(results).get(("c8 S2", "telescoping"), [])
        network = [row[of]["emd"]["mean"] for row in best if of in row]
        words = f"on {wafers} wafers best choice of 14 cells scores {rows['best choice 14']['emd']:.3f} and "
        words += f"super trigger cells of 4 score {rows['super trigger cells 4']['emd']:.3f}"
        told.append(words + (f", the network c8 S2 {np.mean(network):.3f}" if network else ""))
    return (
        "At five links two algorithms without a network beat the network on mean EMD: "
        + "; ".join(told)
        + ". Quiet modules dominate the mean, and of a few hits a list is exact; the network wins where many "
        "trigger cells are hit."
    )


def networks(results: Mapping[str, Any]) -> str:
    """Every network with its spread over seeds."""
    rows = []
    kinds = dict.fromkeys(key.split(" | ")[1] for key in results.get("trainings", {}))
    for kind in kinds:
        for (name, loss), seeds in trained(results, kind).items():
            of = [
                [each[data]["emd"]["mean"] for each in seeds if data in each] for data in ("metrics", "real")
            ]
            spread = f"{np.std(of[0], ddof=1):.4f}" if len(seeds) > 1 else ""
            std, stderr = (f"{seeds[0]['metrics']['emd'][each]:.4f}" for each in ("std", "stderr"))
            other = [
                f"{np.mean([each['metrics'][m]['mean'] for each in seeds]):.3f}"
                for m in ("ssd", "cross_correlation")
            ]
            real = f"{np.mean(of[1]):.4f}" if of[1] else ""
            cpu = f"{np.mean([each['cpu_s'] for each in seeds]):.0f}"
            rows.append(
                [
                    name,
                    kind,
                    loss,
                    f"{seeds[0]['operations']:,}",
                    f"{np.mean(of[0]):.4f}",
                    spread,
                    str(len(seeds)),
                    std,
                    stderr,
                    real,
                    *other,
                    cpu,
                ]
            )
    names = [
        "network",
        "class",
        "loss",
        "operations",
        "EMD",
        "over seeds",
        "seeds",
        "std over wafers",
        "error of mean",
        "EMD, real",
        "SSD",
        "correlation",
        "CPU s",
    ]
    return table(names, rows)


def selection() -> str:
    """What the selection adds to an encoder."""
    device = Device("asic-65nm", 40.0, redundancy="all")
    block = selection_costs(48, 7, 14, device)
    encoder = AsicModel().estimate(econt.build(econt.SPACE.candidate(econt.BASELINE)), device).costs()
    area, power = (block[name] / encoder[name] for name in ("area_um2", "power_mw"))
    size = f"{block['area_um2'] / 1e6:.2f} mm2 and {block['power_mw']:.1f} mW"
    return (
        f"The selection of 14 of 48 cells adds {size} to the encoder of c8 S2 (6-bit weights, fully "
        f"triplicated, 65 nm, 40 MHz): {100 * area:.0f} % and {100 * power:.0f} %, its power of random "
        "words. The edge is the number of trigger cells above 1 MIP_T from which the network sends, the best "
        "one for the generated wafers."
    )


def hybrids(results: Mapping[str, Any]) -> str:
    """EMD of each network where best choice sends what is below the best edge."""
    rows = []
    for kind in dict.fromkeys(key.split(" | ")[1] for key in results.get("trainings", {})):
        for (name, loss), seeds in trained(results, kind).items():
            sums = {data: hybrid(results, seeds[0], data) for data in results["without_network"]}
            edge = min(sums["generated"], key=sums["generated"].__getitem__)
            scores = [f"{values[edge]:.4f}" if values else "" for values in sums.values()]
            rows.append([name, kind, loss, str(edge), *scores])
    return table(
        ["network", "class", "loss", "edge", *(f"EMD, {data}" for data in results["without_network"])], rows
    )


def hybrid(results: Mapping[str, Any], row: Mapping[str, Any], data: str) -> dict[int, float]:
    """EMD by the edge of occupancy from which the network sends, and best choice below."""
    network = row["bins" if data == "generated" else "real_bins"]["occupancy"] if data in _scored(row) else []
    listed = results["without_network"][data]["best choice 14"]["bins"]["occupancy"]
    total = sum(each["n"] for each in listed)
    return {
        int(edge["low"]): sum(
            each["n"] * (each["mean"] if each["low"] >= edge["low"] else quiet["mean"])
            for each, quiet in zip(network, listed, strict=True)
        )
        / total
        for edge in network
    }


def _scored(row: Mapping[str, Any]) -> set[str]:
    return {"generated"} | ({"real"} if "real_bins" in row else set())


def with_networks(text: str, results: Mapping[str, Any]) -> str:
    """The guide with its table of networks made anew."""
    recipe = results["recipe"]
    budget = f"{recipe['steps']:,} steps of {recipe['batch']} of {recipe['wafers']:,} generated wafers"
    lines = [
        f"{budget}, a fifth held out; learning rate {recipe['learning_rate']:g}, cosine; mean and",
        "standard deviation over seeds. Real: 3,000 wafers with pile-up; nothing was fitted to them.",
        "",
        "| network | class | loss | operations | EMD | seeds | EMD, real |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: |",
    ]
    kinds = dict.fromkeys(key.split(" | ")[1] for key in results["trainings"])
    for kind in kinds:
        for (name, loss), seeds in trained(results, kind).items():
            lines.append(
                f"| {name} | {kind} | {loss} | {seeds[0]['operations']:,} | {over_seeds(seeds, 'metrics')} | "
                f"{len(seeds)} | {over_seeds(seeds, 'real')} |"
            )
    return with_section(text, "networks", lines)


def over_seeds(rows: list[dict[str, Any]], data: str) -> str:
    """Mean EMD and its spread over seeds."""
    values = [row[data]["emd"]["mean"] for row in rows if data in row]
    if not values:
        return ""
    return f"{np.mean(values):.3f}" + (f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else "")


def algorithms(rows: Mapping[str, Any]) -> str:
    """Every algorithm of the chip with its bits."""
    names = ["emd", "emd_non_empty", "empty", "d_mean", "abs_d_rms", "cross_correlation", "ssd", "resolution"]
    body = [
        [name, f"{row['bits']:.0f}", *(f"{row[each]:.3f}" for each in names)] for name, row in rows.items()
    ]
    return table(["algorithm", "bits", *names], body)


def number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) >= 10 else f"{value:.4g}"


def table(names: list[str], rows: list[list[str]]) -> str:
    """A table; numbers to the right."""
    numeric = [all(is_number(row[column]) for row in rows) for column in range(len(names))]
    head = "".join(
        f"<th{' class=n' if right else ''}>{html.escape(name)}</th>"
        for name, right in zip(names, numeric, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{' class=n' if right else ''}>{html.escape(cell)}</td>"
            for cell, right in zip(row, numeric, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def is_number(text: str) -> bool:
    try:
        float(text.replace(",", "") or 0)
    except ValueError:
        return False
    return True
