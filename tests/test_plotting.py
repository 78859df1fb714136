import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib import image
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from codesign.comparison import Comparison, Quantity, Row, compare
from codesign.evaluation import Evaluation, Reference, Repeated, Status
from codesign.metrics import Summary
from codesign.objectives import Objective
from codesign.pareto import Front
from codesign.plotting import (
    FRONT,
    OTHER,
    REFERENCE,
    STUDIES,
    front_figure,
    front_html,
    fronts_figure,
    parity_figure,
    png,
)
from codesign.space import Candidate
from tests.pairs import linear_pairs

EMD, AREA, POWER = Objective("emd"), Objective("area_um2"), Objective("power_mw")
TWO, THREE = (EMD, AREA), (EMD, AREA, POWER)
UNITS = {"emd": "sensor cells", "area_um2": "um2", "power_mw": "mW", "operations": ""}


def evaluated(number: int, emd: float, area: float, power: float = 1.0, status: Status = "ok") -> Evaluation:
    metrics = {"emd": Summary(emd, 0, 0, 1)} if status == "ok" else {}
    costs = {"area_um2": area, "power_mw": power}
    return Evaluation(number, Candidate({"bits": number}), "test", status, metrics=metrics, costs=costs)


HISTORY = [
    evaluated(0, 2.0, 100.0, 5.0),
    evaluated(1, 1.0, 400.0, 6.0),
    evaluated(2, 3.0, 300.0, 7.0),
    evaluated(3, 1.5, 200.0, 4.0),
    evaluated(4, 9.0, 2000.0, 8.0),
    evaluated(5, 0.0, 1.0, 1.0, "infeasible"),
    evaluated(6, 0.0, 2.0, 1.0, "failed"),
]
BEST = evaluated(8, 0.1, 1.0, 0.1)
CASES: dict[str, tuple[Sequence[Evaluation], tuple[Objective, ...], Evaluation | None]] = {
    "two objectives": (HISTORY, TWO, HISTORY[0]),
    "three objectives": (HISTORY, THREE, HISTORY[4]),
    "no baseline": (HISTORY, TWO, None),
    "one point on the front": ([*HISTORY, BEST], TWO, HISTORY[0]),
    "one design": ([BEST], THREE, BEST),
    "no front": (HISTORY[:5], (EMD, Objective("area_um2", budget=1.0)), HISTORY[0]),
    "nothing trained": (HISTORY[5:], TWO, HISTORY[5]),
    "nothing": ([], THREE, None),
    "baseline failed": (HISTORY, THREE, HISTORY[6]),
    "two the same": ([BEST, replace(BEST, number=9)], TWO, None),
    "maximised and not positive": (HISTORY, (AREA, Objective("power_mw", "max")), HISTORY[0]),
}


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> tuple[Any, ...]:
    history, objectives, baseline = CASES[request.param]
    return history, Front.of(history, objectives), baseline, UNITS


def scatters(axes: Axes) -> dict[str, list[tuple[float, ...]]]:
    """Points drawn, by colour."""
    points: dict[str, list[tuple[float, ...]]] = {}
    for collection in axes.collections:
        assert isinstance(collection, PathCollection)
        drawn = [tuple(point) for point in np.asarray(collection.get_offsets()).tolist()]
        points.setdefault(to_hex(collection.get_facecolor()[0]), []).extend(drawn)
    return points


def panels(figure: Figure) -> list[Axes]:
    return list(figure.axes)


def traces(html: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Data and layout that the page hands to Plotly."""
    decode = json.JSONDecoder().raw_decode
    start = html.index("Plotly.newPlot(")
    data, end = decode(html, html.index("[", start))
    layout, _ = decode(html, html.index("{", end))
    return data, layout


def values(array: Any) -> list[float]:
    """Numbers of a trace, which Plotly may write in base 64."""
    if isinstance(array, dict):
        import base64

        return np.frombuffer(base64.b64decode(array["bdata"]), dtype=array["dtype"]).tolist()
    return list(array)


def test_every_front_becomes_a_picture(case: tuple[Any, ...]) -> None:
    history, front, baseline, units = case
    data = png(front_figure(history, front, baseline, units), dpi=50)
    picture = image.imread(io.BytesIO(data))
    height, width, _ = picture.shape
    assert width == pytest.approx(50 * (1.0 + 5.4 * (len(front.objectives) - 1)), abs=1)
    assert height == pytest.approx(50 * 4.6, abs=1)
    colours = np.unique(picture.reshape(-1, picture.shape[2]), axis=0)
    assert len(colours) > 10
    red = np.array([int(FRONT[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    hidden = list(front) == [baseline]
    assert (np.abs(picture[..., :3] - red).max(axis=2) < 0.02).any() == (len(front) > 0 and not hidden)


def test_every_panel_shows_all_that_was_trained_the_front_and_the_baseline(case: tuple[Any, ...]) -> None:
    history, front, baseline, units = case
    score, *costs = [goal.name for goal in front.objectives]
    for axes, cost in zip(panels(front_figure(history, front, baseline, units)), costs, strict=True):
        drawn = scatters(axes)

        def points(evaluations: Any, cost: str = cost) -> list[tuple[float, float]]:
            return [(evaluation.value(cost), evaluation.value(score)) for evaluation in evaluations]

        assert drawn[OTHER] == points(evaluation for evaluation in history if evaluation.ok)
        assert drawn[FRONT] == points(front)
        assert drawn.get(REFERENCE, []) == points([baseline] if baseline and baseline.ok else [])
        numbers = [text.get_text() for text in axes.texts if text.get_text() != "baseline"]
        assert numbers == [str(e.number) for e in front if baseline is None or e.number != baseline.number]


def test_axes_have_names_and_units() -> None:
    figure = front_figure(HISTORY, Front.of(HISTORY, THREE), None, UNITS)
    assert [axes.get_xlabel() for axes in panels(figure)] == ["area [um2]", "power [mW]"]
    assert panels(figure)[0].get_ylabel() == "EMD [sensor cells]"
    assert panels(figure)[0].get_title() == "5 designs trained, 3 on the front (red, numbered)"
    (axes,) = panels(front_figure(HISTORY, Front.of(HISTORY, TWO)))
    assert axes.get_xlabel() == "area"


def test_an_axis_is_logarithmic_where_values_are_positive_and_wide() -> None:
    def scales(history: Sequence[Evaluation]) -> tuple[str, str]:
        front = Front.of(history, TWO)
        _, layout = traces(front_html(history, front))
        (axes,) = panels(front_figure(history, front))
        return axes.get_xscale(), layout["xaxis"]["type"]

    assert scales(HISTORY) == ("log", "log")
    assert scales(HISTORY[:4]) == ("linear", "linear")
    assert scales([*HISTORY, evaluated(9, 1.0, 0.0)]) == ("linear", "linear")
    assert scales([]) == ("linear", "linear")


@pytest.mark.parametrize(
    ("sense", "where", "shape"), [("min", "steps-post", "hv"), ("max", "steps-pre", "vh")]
)
def test_the_line_bounds_what_the_front_dominates(sense: Any, where: str, shape: str) -> None:
    front = Front.of(HISTORY, (EMD, Objective("area_um2", sense)))
    (axes,) = panels(front_figure(HISTORY, front))
    line = next(line for line in axes.lines if line.get_color() == FRONT)
    assert line.get_drawstyle() == where
    data, _ = traces(front_html(HISTORY, front))
    assert {trace["line"]["shape"] for trace in data} == {shape}


def test_every_front_becomes_a_page_that_works_offline(case: tuple[Any, ...]) -> None:
    history, front, baseline, units = case
    html = front_html(history, front, baseline, units)
    assert "<html>" in html[:30]
    assert html.rstrip().endswith("</html>")
    assert not re.search(r"<(script|link|img|iframe)\b[^>]*\b(src|href)\s*=", html)
    assert "@import" not in html
    data, layout = traces(html)
    trained = [evaluation for evaluation in history if evaluation.ok]
    assert layout["title"]["text"] == f"Pareto front: {len(front)} of {len(trained)} designs"
    score, *costs = [goal.name for goal in front.objectives]
    for cost, column in zip(costs, range(len(costs)), strict=True):
        groups = {trace["name"]: trace for trace in data[3 * column : 3 * column + 3]}
        drawn = {
            name: sorted(zip(values(group["x"]), values(group["y"]), strict=True))
            for name, group in groups.items()
        }
        assert drawn["front"] == sorted((e.value(cost), e.value(score)) for e in front)
        star = [baseline] if baseline is not None and baseline.ok else []
        assert drawn["baseline"] == [(e.value(cost), e.value(score)) for e in star]
        rest = [e for e in trained if e not in front.evaluations and e not in star]
        assert drawn["other designs"] == sorted((e.value(cost), e.value(score)) for e in rest)
    assert len(data) == 3 * len(costs)


def test_a_baseline_read_anew_is_not_drawn_twice() -> None:
    again = Evaluation.from_dict(json.loads(json.dumps(HISTORY[4].to_dict())))
    front = Front.of(HISTORY, TWO)
    data, layout = traces(front_html(HISTORY, front, again))
    groups = {trace["name"]: values(trace["x"]) for trace in data}
    assert groups["baseline"] == [2000.0]
    assert 2000.0 not in groups["other designs"]
    assert layout["title"]["text"] == "Pareto front: 3 of 5 designs"


def test_hovering_tells_what_a_design_is() -> None:
    data, _ = traces(front_html(HISTORY, Front.of(HISTORY, TWO), None, UNITS))
    text = next(trace for trace in data if trace["name"] == "front")["hovertext"][0]
    assert text == (
        f"<b>0: {HISTORY[0].candidate.digest}</b><br>EMD: 2 sensor cells<br>area: 100 um2<br><br>bits = 0"
    )


def test_drawing_opens_no_window_and_keeps_no_figure() -> None:
    import matplotlib.pyplot as plt

    front_figure(HISTORY, Front.of(HISTORY, TWO))
    assert plt.get_fignums() == []


def test_references_are_marked_where_their_score_is_known() -> None:
    front = Front.of(HISTORY, THREE)
    score, first, second = (goal.name for goal in THREE)
    known = Reference("a $net_work$ <b>", "a.onnx", {score: 2.0, first: 5.0})
    unknown = Reference("unscored", "b.onnx", {first: 5.0, second: 5.0})
    left, right = panels(front_figure(HISTORY, front, None, UNITS, [known, unknown]))
    assert [text.get_text() for text in left.texts].count(known.name) == 1
    assert "unscored" not in [text.get_text() for axes in (left, right) for text in axes.texts]
    assert [text.get_text() for text in right.texts].count(known.name) == 1
    assert len(left.lines) + 1 == len(right.lines)  # no cost: a line
    png(front_figure(HISTORY, front, None, UNITS, [known]))
    data, _ = traces(front_html(HISTORY, front, None, UNITS, [known, unknown]))
    (mark,) = [trace for trace in data if trace["name"] == "references"]
    assert mark["x"] == [5.0]
    assert mark["hovertext"] == ["<b>a $net_work$ &lt;b&gt;</b><br>a.onnx"]


def compared(count: int = 40, **measured: Any) -> Comparison:
    """Calibrated estimates of invented designs; every tenth lies outside of its interval."""
    pairs = []
    for number, (each, made) in enumerate(linear_pairs(count, noise=0.03)):
        area = each.resources.area_um2
        assert area is not None
        low, high = (0.9 * area, 1.1 * area) if number % 10 else (1e3 * area, 2e3 * area)
        calibrated = replace(each, intervals={"area_um2": (low, high)}, coverage=0.9)
        pairs.append((calibrated, replace(made, **measured)))
    return compare(pairs)


def test_parity_has_a_panel_a_quantity_with_units_and_errors() -> None:
    found = compared(power_mw=2.5, leakage_mw=0.2, critical_path_ns=5.0)
    figure = parity_figure(found)
    names = ["area [um2]", "critical path [ns]", "power [mW]", "leakage [mW]"]
    assert [axes.get_xlabel() for axes in panels(figure)] == [f"measured {name}" for name in names]
    assert [axes.get_ylabel() for axes in panels(figure)] == [f"predicted {name}" for name in names]
    title = panels(figure)[0].get_title()
    area = found["area_um2"]
    assert area.median_error is not None
    assert title.startswith("area [um2], 40 designs\n")
    assert f"median {area.median_error:.1%}" in title
    assert f"{area.interval_coverage:.0%} in the interval of 90%" in title
    assert figure.get_suptitle() == "invented against Yosys 0.70, synthesis, inv13"
    assert image.imread(io.BytesIO(png(figure, dpi=50))).std() > 0.05


def test_parity_draws_every_design_and_those_outside_their_interval_in_red() -> None:
    found = compared()
    (axes,) = panels(parity_figure(found))
    dots = [drawn for drawn in axes.collections if isinstance(drawn, PathCollection)]
    inside, missed = (np.asarray(drawn.get_offsets()).tolist() for drawn in dots)
    rows = found["area_um2"].rows
    assert inside == [[row.measured, row.predicted] for row in rows if row.inside]
    assert missed == [[row.measured, row.predicted] for row in rows if not row.inside]
    assert to_hex(dots[1].get_facecolor()[0]) == FRONT
    assert len([drawn for drawn in axes.collections if isinstance(drawn, LineCollection)]) == len(rows)
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert axes.get_xlim() == axes.get_ylim()
    worst = max(rows, key=lambda row: abs(row.error or 0))
    assert worst.design[:8] in [text.get_text().split()[0] for text in axes.texts]


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_parity_of_one_design_or_equal_values_is_drawn(value: float) -> None:
    rows = (Row("a$_b", value, value), Row("b", value, value))
    found = compared(2)
    for count in (1, 2):
        figure = parity_figure(replace(found, quantities=(Quantity("dsp", rows[:count]),)))
        low, high = panels(figure)[0].get_xlim()
        assert low < value < high
        png(figure, dpi=50)


def test_one_right_value_of_all_designs_has_no_panel() -> None:
    pairs = linear_pairs(5, noise=0.03)
    same = [(each, replace(made, latency_cycles=each.latency_cycles)) for each, made in pairs]
    found = compare(same)
    assert "latency_cycles" in [quantity.name for quantity in found.quantities]
    assert [axes.get_xlabel() for axes in panels(parity_figure(found))] == ["measured area [um2]"]


def test_bars_show_mean_and_deviation_over_seeds() -> None:
    history, objectives, baseline = next(iter(CASES.values()))
    front = Front.of(history, objectives)
    score, cost = (goal.name for goal in objectives[:2])
    own = front.evaluations[0]
    other: Any = replace(own.metrics[score], mean=own.value(score) + 0.2)
    repeated = Repeated((own, replace(own, seed=own.seed + 1, metrics={**own.metrics, score: other})))
    middle, spread = own.value(score) + 0.1, 0.2 / 2**0.5
    axes = panels(front_figure(history, front, baseline, UNITS, (), [repeated]))[0]
    (bar, *_), *_ = (container.get_children() for container in axes.containers)
    assert isinstance(bar, Line2D)
    assert bar.get_xydata() == pytest.approx(np.array([[own.value(cost), middle]]))
    data, _ = traces(front_html(history, front, baseline, UNITS, (), [repeated]))
    (drawn,) = [trace for trace in data if trace.get("legendgroup") == "seeds" and trace["showlegend"]]
    assert values(drawn["y"]) == pytest.approx([middle])
    assert values(drawn["error_y"]["array"]) == pytest.approx([spread])


# --- fronts of several studies


def fronts(objectives: tuple[Objective, ...]) -> dict[str, Front]:
    others = [evaluated(10, 0.5, 500.0, 9.0), evaluated(11, 2.5, 150.0, 9.0), evaluated(12, 1.0, 400.0, 6.0)]
    histories = {"_first": HISTORY, "second $\\frac$": others, "none": HISTORY[5:]}
    return {name: Front.of(history, objectives) for name, history in histories.items()}


def test_each_study_has_a_colour_and_is_filled_where_nobody_is_better() -> None:
    found = fronts(TWO)
    figure = fronts_figure(found, TWO, UNITS)
    (axes,) = panels(figure)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("area [um2]", "EMD [sensor cells]")
    for collection, (name, front), colour in zip(axes.collections, found.items(), STUDIES, strict=False):
        assert isinstance(collection, PathCollection)
        drawn = [tuple(point) for point in np.asarray(collection.get_offsets()).tolist()]
        assert drawn == [(each.value("area_um2"), each.value("emd")) for each in front]
        if name != "none":
            assert {to_hex(edge) for edge in np.atleast_2d(collection.get_edgecolor())} == {colour}
            filled = {"_first": [True] * 3, "second $\\frac$": [True, True, False]}[name]
            assert [to_hex(fill) == colour for fill in collection.get_facecolor()] == filled
    (legend,) = figure.legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == ["front of _first: 3", "front of second $\\frac$: 3", "front of none: 0"]
    assert len(png(figure)) > 1000


def test_with_more_costs_there_is_a_panel_each_and_no_line() -> None:
    figure = fronts_figure(fronts(THREE), THREE, UNITS)
    assert [axes.get_xlabel() for axes in panels(figure)] == ["area [um2]", "power [mW]"]
    assert all(not axes.lines for axes in panels(figure))


def test_equal_points_of_studies_are_all_seen_and_many_studies_are_told_apart() -> None:
    front = Front.of(HISTORY, TWO)
    (axes,) = panels(fronts_figure({str(index): front for index in range(9)}, TWO))
    sizes = [float(np.asarray(each.get_sizes())[0]) for each in axes.collections[-4:]]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 4
    legend = axes.figure.legends[0].get_lines()
    assert len({(line.get_color(), line.get_marker()) for line in legend}) == 9
