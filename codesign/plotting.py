"""Pictures of a front: Matplotlib for paper, Plotly for the browser (one file, no network needed)."""

import io
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from codesign.comparison import Comparison, Quantity
from codesign.evaluation import Evaluation, Reference, Repeated
from codesign.objectives import Objective
from codesign.pareto import Front, non_dominated

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from plotly.graph_objects import Scatter

__all__ = ["front_figure", "front_html", "fronts_figure", "parity_figure", "png"]

OFFLINE = {"displaylogo": False, "showSendToCloud": False, "modeBarButtonsToRemove": ["sendDataToCloud"]}
MIDDLE = 0.5
FRONT, OTHER, REFERENCE, SEEDS = "#c1121f", "#8d99ae", "#003049", "#b8860b"


def front_figure(
    history: Sequence[Evaluation],
    front: Front,
    baseline: Evaluation | None = None,
    units: Mapping[str, str] | None = None,
    references: Sequence[Reference] = (),
    repeated: Sequence[Repeated] = (),
) -> "Figure":
    """One panel a cost: the first objective over each of the others.

    Parameters
    ----------
    history
        Everything evaluated; drawn in grey.
    front
        Drawn in red, labelled with the numbers of the designs.
    baseline
        Drawn as a star.
    units
        Units of the values by name.
    references
        With their names: diamonds where both values are known, lines where only the score is.
    repeated
        Mean and standard deviation over seeds, as a bar at the design's cost, joined to its own value.
    """
    from matplotlib.figure import Figure

    costs = front.objectives[1:]
    figure = Figure(figsize=(1.0 + 5.4 * len(costs), 4.6), layout="constrained")
    for axes, cost in zip(np.ravel(figure.subplots(1, len(costs), squeeze=False)), costs, strict=True):
        _panel(axes, history, front, baseline, (front.objectives[0], cost), units or {})
        _mark(axes, references, cost.name, front.objectives[0].name)
        _bars(axes, repeated, cost.name, front.objectives[0].name)
    return figure


def _bars(axes: "Axes", repeated: Sequence[Repeated], cost: str, score: str) -> None:
    """Mean and deviation over seeds, joined to the value on the front."""
    look: dict[str, Any] = {"fmt": "_", "color": SEEDS, "markersize": 12, "capsize": 4, "linewidth": 1.4}
    for each in repeated:
        at, mean = each.mean(cost), each.mean(score)
        axes.plot([at, at], [each.evaluations[0].value(score), mean], color=SEEDS, linewidth=0.8, zorder=5)
        axes.errorbar(at, mean, each.deviation(score), zorder=5, **look)
    if repeated:
        axes.errorbar([], [], [], label="mean and deviation over seeds", **look)
        axes.legend(fontsize=7, loc="best")


def _mark(axes: "Axes", references: Sequence[Reference], cost: str, score: str) -> None:
    for each in _costless(references, cost, score):
        level = each.values[score]
        axes.axhline(level, color=REFERENCE, linewidth=0.9, linestyle=":")
        axes.annotate(
            each.name,
            (0.01, level),
            (0, 2),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            fontsize=7,
            color=REFERENCE,
            parse_math=False,
        )
    for each in _placed(references, cost, score):
        point = each.values[cost], each.values[score]
        axes.scatter(*point, marker="D", s=40, color=REFERENCE, zorder=4)
        _name(axes, each.name, point)


def _name(axes: "Axes", text: str, point: tuple[float, float]) -> None:
    """A name below a point, on the side with more room; the numbers of the front stand above theirs."""
    right = axes.transAxes.inverted().transform(axes.transData.transform(point))[0] > MIDDLE
    axes.annotate(
        text,
        point,
        (-7 if right else 7, -9),
        textcoords="offset points",
        ha="right" if right else "left",
        fontsize=8,
        color=REFERENCE,
        parse_math=False,
    )


def _placed(references: Sequence[Reference], cost: str, score: str) -> list[Reference]:
    """Those of which both values are known."""
    return [each for each in references if cost in each.values and score in each.values]


def _costless(references: Sequence[Reference], cost: str, score: str) -> list[Reference]:
    """Those of which only the score is known."""
    return [each for each in references if score in each.values and cost not in each.values]


def _panel(
    axes: "Axes",
    history: Sequence[Evaluation],
    front: Front,
    baseline: Evaluation | None,
    goals: tuple[Objective, Objective],
    units: Mapping[str, str],
) -> None:
    score, cost = goals[0].name, goals[1].name
    trained = [evaluation for evaluation in history if evaluation.ok]
    axes.scatter(*_points(trained, cost, score), s=18, color=OTHER, alpha=0.7, linewidths=0)
    x, y = _points(front.evaluations, cost, score)
    if len(front.objectives) == 2:
        order = np.argsort(x)
        where: Literal["post", "pre"] = "post" if goals[1].sense == "min" else "pre"
        axes.step(x[order], y[order], where=where, color=FRONT, linewidth=1.2)
    axes.scatter(x, y, s=34, color=FRONT, zorder=3)
    for evaluation, left, up in zip(front.evaluations, x, y, strict=True):
        if baseline is None or evaluation.number != baseline.number:
            axes.annotate(
                str(evaluation.number),
                (left, up),
                (4, 4),
                textcoords="offset points",
                fontsize=7,
                color=FRONT,
            )
    if baseline is not None and baseline.ok:
        axes.scatter(*_points([baseline], cost, score), marker="*", s=170, color=REFERENCE, zorder=4)
    axes.set(xlabel=_label(cost, units), ylabel=_label(score, units))
    if _wide(trained, cost):
        axes.set_xscale("log")
    if baseline is not None and baseline.ok:
        _name(axes, "baseline", (baseline.value(cost), baseline.value(score)))
    axes.set_title(f"{len(trained)} designs trained, {len(front)} on the front (red, numbered)", fontsize=9)
    axes.grid(alpha=0.25)


STUDIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
"""Colours that are told apart also without red and green (Okabe and Ito, *Color universal design*, 2008)."""
MARKERS = "osD^vP*"


def fronts_figure(
    fronts: Mapping[str, Front], objectives: tuple[Objective, ...], units: Mapping[str, str] | None = None
) -> "Figure":
    """Fronts of several studies, a colour each; one panel a cost, as in ``front_figure``.

    Parameters
    ----------
    fronts
        By the names of the studies.
    objectives
        What all of them trade. Filled points are not dominated by any of the fronts in these, open ones are.
    units
        Units of the values by name.
    """
    from matplotlib.figure import Figure

    score, costs = objectives[0], objectives[1:]
    figure = Figure(figsize=(1.0 + 5.4 * len(costs), 5.0), layout="constrained")
    members = [each for front in fronts.values() for each in front]
    best = non_dominated(np.array([e.minimised(objectives) for e in members]).reshape(-1, len(objectives)))
    for axes, cost in zip(np.ravel(figure.subplots(1, len(costs), squeeze=False)), costs, strict=True):
        start = 0
        for index, front in enumerate(fronts.values()):
            _front_of(axes, front, best[start : start + len(front)], (score, cost), _look(index, len(fronts)))
            start += len(front)
        axes.set(xlabel=_label(cost.name, units or {}), ylabel=_label(score.name, units or {}))
        if _wide(members, cost.name):
            axes.set_xscale("log")
        axes.grid(alpha=0.25)
    _name_studies(figure, fronts)
    return figure


def _look(index: int, count: int) -> dict[str, Any]:
    """Colour, marker and size of a study among ``count``.

    Colours come again with other markers. The later is the smaller, so that of equal points all are seen.
    """
    turn, place = divmod(index, len(STUDIES))
    size = 5.5 + min(2.5 * (count - 1 - index), 12.0)
    return {"color": STUDIES[place], "marker": MARKERS[(place + turn) % len(MARKERS)], "markersize": size}


def _front_of(
    axes: "Axes",
    front: Front,
    best: Any,
    goals: tuple[Objective, Objective],
    look: Mapping[str, Any],
) -> None:
    """Points of one study, with a line where there is one cost; open where another study has better."""
    x, y = _points(front.evaluations, goals[1].name, goals[0].name)
    if len(front.objectives) == 2:
        order = np.argsort(x)
        where: Literal["post", "pre"] = "post" if goals[1].sense == "min" else "pre"
        axes.step(x[order], y[order], where=where, color=look["color"], linewidth=1.2, alpha=0.8)
    fills = [look["color"] if each else "white" for each in best]
    size, marker = look["markersize"] ** 2, look["marker"]
    axes.scatter(x, y, s=size, c=fills, marker=marker, edgecolors=look["color"], zorder=3)


def _name_studies(figure: "Figure", fronts: Mapping[str, Front]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], **_look(index, len(fronts)), linewidth=0, label=f"front of {name}: {len(front)}")
        for index, (name, front) in enumerate(fronts.items())
    ]
    figure.suptitle("Filled: on the front of all studies; open: another study has better", fontsize=9)
    legend = figure.legend(
        handles=handles, loc="outside lower center", ncols=min(len(handles), 3), fontsize=8
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def _points(evaluations: Sequence[Evaluation], cost: str, score: str) -> tuple[Any, Any]:
    return (
        np.array([evaluation.value(cost) for evaluation in evaluations]),
        np.array([evaluation.value(score) for evaluation in evaluations]),
    )


def _wide(evaluations: Sequence[Evaluation], name: str) -> bool:
    """Whether a value is drawn on a logarithmic axis."""
    values = [evaluation.value(name) for evaluation in evaluations]
    return bool(values) and min(values) > 0 and max(values) > 5 * min(values)


def _label(name: str, units: Mapping[str, str]) -> str:
    unit = units.get(name, "")
    words = {"emd": "EMD", "area_um2": "area", "power_mw": "power", "energy_nj": "energy"}.get(name, name)
    return f"{words.replace('_', ' ')} [{unit}]" if unit not in ("", "1") else words.replace("_", " ")


def png(figure: "Figure", dpi: int = 160) -> bytes:
    """A figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def front_html(
    history: Sequence[Evaluation],
    front: Front,
    baseline: Evaluation | None = None,
    units: Mapping[str, str] | None = None,
    references: Sequence[Reference] = (),
    repeated: Sequence[Repeated] = (),
) -> str:
    """A page with the same picture to zoom and hover; it holds all it needs and works offline."""
    from plotly.subplots import make_subplots

    units = units or {}
    score, costs = front.objectives[0].name, front.objectives[1:]
    figure = make_subplots(1, len(costs), horizontal_spacing=0.08)
    trained = [e for e in history if e.ok]
    base = [baseline] if baseline is not None and baseline.ok else []
    others = [e for e in trained if e not in front.evaluations and e != baseline]
    for column, goal in enumerate(costs, start=1):
        place = {"row": 1, "col": column}
        traces = [
            *_designs((others, list(front), base), front.objectives, goal, units),
            *_seeds(repeated, goal.name, score),
            *_diamonds(_placed(references, goal.name, score), goal.name, score),
        ]
        for trace in traces:
            figure.add_trace(trace.update(showlegend=column == 1), **place)
        for each in _costless(references, goal.name, score):
            line = {"color": REFERENCE, "width": 1, "dash": "dot"}
            name = {"text": escape(each.name), "font": {"size": 10, "color": REFERENCE}}
            figure.add_hline(each.values[score], **place, line=line, annotation=name)
        scale = "log" if _wide(trained, goal.name) else "linear"
        figure.update_xaxes(title=_label(goal.name, units), type=scale, **place)
        figure.update_yaxes(title=_label(score, units), **place)
    title = f"Pareto front: {len(front)} of {len(trained)} designs"
    figure.update_layout(template="plotly_white", title=title, height=640)
    return str(figure.to_html(include_plotlyjs=True, full_html=True, div_id="front", config=OFFLINE))


def _designs(
    groups: tuple[Sequence[Evaluation], Sequence[Evaluation], Sequence[Evaluation]],
    objectives: tuple[Objective, ...],
    cost: Objective,
    units: Mapping[str, str],
) -> "Iterator[Scatter]":
    """Other designs, the front and the baseline; the front is a line where there is one cost."""
    from plotly.graph_objects import Scatter

    looks = (
        ("other designs", "markers", {"color": OTHER, "size": 7, "opacity": 0.7}),
        ("front", "markers+lines" if len(objectives) == 2 else "markers", {"color": FRONT, "size": 10}),
        ("baseline", "markers", {"color": REFERENCE, "size": 16, "symbol": "star"}),
    )
    for (name, mode, marker), group in zip(looks, groups, strict=True):
        members = sorted(group, key=lambda e: e.value(cost.name))
        x, y = _points(members, cost.name, objectives[0].name)
        yield Scatter(
            x=x,
            y=y,
            name=name,
            legendgroup=name,
            mode=mode,
            marker=marker,
            line={"shape": "hv" if cost.sense == "min" else "vh", "width": 1},
            hovertext=[_hover(evaluation, objectives, units) for evaluation in members],
            hoverinfo="text",
        )


def _seeds(repeated: Sequence[Repeated], cost: str, score: str) -> "Iterator[Scatter]":
    from plotly.graph_objects import Scatter

    if repeated:
        yield Scatter(
            x=[each.mean(cost) for each in repeated],
            y=[each.mean(score) for each in repeated],
            error_y={"type": "data", "array": [each.deviation(score) for each in repeated]},
            name="mean and deviation over seeds",
            legendgroup="seeds",
            mode="markers",
            marker={"color": SEEDS, "symbol": "line-ew-open", "size": 10},
        )


def _diamonds(references: Sequence[Reference], cost: str, score: str) -> "Iterator[Scatter]":
    from plotly.graph_objects import Scatter

    if references:
        yield Scatter(
            x=[each.values[cost] for each in references],
            y=[each.values[score] for each in references],
            name="references",
            legendgroup="references",
            mode="markers",
            marker={"color": REFERENCE, "size": 10, "symbol": "diamond"},
            hovertext=[f"<b>{escape(each.name)}</b><br>{escape(each.source)}" for each in references],
            hoverinfo="text",
        )


def _hover(evaluation: Evaluation, objectives: Sequence[Objective], units: Mapping[str, str]) -> str:
    values = [
        f"{_label(goal.name, {})}: {evaluation.value(goal.name):.4g} {units.get(goal.name, '')}"
        for goal in objectives
    ]
    parameters = [f"{name} = {value}" for name, value in evaluation.candidate.values.items()]
    return "<br>".join(
        [f"<b>{evaluation.number}: {evaluation.candidate.digest}</b>", *values, "", *parameters]
    )


PANELS_A_ROW = 3
SHORT_DIGEST = 8
ROOM_FOR_A_NAME = 0.3


def parity_figure(comparison: Comparison) -> "Figure":
    """One panel a quantity: predicted over measured, with the line where they are equal.

    Axes are logarithmic where values range over more than a factor of 5. Intervals are error bars. A design
    whose interval misses the measured value is red; the one that is furthest off has its name. Errors, rank
    correlation and coverage stand above each panel. What is one right value of all designs has none.
    """
    from matplotlib.figure import Figure

    telling = [each for each in comparison.quantities if not _is_one_right_value(each)]
    quantities = telling or list(comparison.quantities)
    columns = min(len(quantities), PANELS_A_ROW)
    rows = -(-len(quantities) // columns)
    figure = Figure(figsize=(0.4 + 4.4 * columns, 0.6 + 5.0 * rows), layout="constrained")
    panels = np.ravel(figure.subplots(rows, columns, squeeze=False))
    for axes, quantity in zip(panels, quantities, strict=False):
        _parity(axes, quantity, comparison.coverage)
    for axes in panels[len(quantities) :]:
        axes.remove()
    common = comparison.common
    place = common.target.library or common.target.part or common.target.technology or ""
    maker = f"{common.target.tool} {common.target.version}"
    figure.suptitle(f"{common.model} against {maker}, {common.stage}, {place}", fontsize=11, parse_math=False)
    return figure


def _is_one_right_value(quantity: Quantity) -> bool:
    """Whether all designs have the same value and it is predicted, as an initiation interval of 1."""
    values = {value for row in quantity.rows for value in (row.measured, row.predicted)}
    return len(values) == 1


def _parity(axes: "Axes", quantity: Quantity, coverage: float | None) -> None:
    measured = np.array([row.measured for row in quantity.rows])
    predicted = np.array([row.predicted for row in quantity.rows])
    missed = np.array([row.inside is False for row in quantity.rows])
    bounds = [bound for row in quantity.rows if row.interval is not None for bound in row.interval]
    drawn = np.concatenate([measured, predicted, bounds])
    wide = drawn.min() > 0 and drawn.max() > 5 * drawn.min()
    low, high = _frame(drawn, wide)
    axes.plot([low, high], [low, high], color=OTHER, linewidth=1.0, zorder=1)
    axes.annotate(
        "equal",
        (0.97, 0.97),
        (-14, -4),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=8,
        color=OTHER,
    )
    for row, colour in zip(quantity.rows, np.where(missed, FRONT, OTHER), strict=True):
        if row.interval is not None:
            axes.vlines(row.measured, *row.interval, color=str(colour), linewidth=1.0, alpha=0.7, zorder=2)
    axes.scatter(measured[~missed], predicted[~missed], s=20, color=REFERENCE, linewidths=0, zorder=3)
    axes.scatter(measured[missed], predicted[missed], s=26, color=FRONT, linewidths=0, zorder=3)
    if wide:
        axes.set(xscale="log", yscale="log")
        _few_ticks(axes)
    axes.set(xlim=(low, high), ylim=(low, high), box_aspect=1)
    _name_furthest(axes, quantity)
    label = _with_unit(quantity)
    axes.set(xlabel=f"measured {label}", ylabel=f"predicted {label}")
    axes.set_title(_parity_words(quantity, coverage), fontsize=9)
    axes.grid(alpha=0.25)


def _few_ticks(axes: "Axes") -> None:
    """Labels at 1, 2 and 5 of each decade, and none between, which would run into each other."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=8))
        axis.set_major_formatter(
            FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1000 else f"{value:.3g}")
        )
        axis.set_minor_formatter(NullFormatter())


def _frame(values: Any, wide: bool) -> tuple[float, float]:
    """Limits of both axes, with room around the points."""
    low, high = float(values.min()), float(values.max())
    if wide:
        room = (high / low) ** 0.06
        return low / room, high * room
    room = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    return low - room, high + room


def _name_furthest(axes: "Axes", quantity: Quantity) -> None:
    known = [row for row in quantity.rows if row.error is not None]
    worst = max(known, key=lambda row: abs(row.error or 0.0), default=None)
    if worst is not None and worst.error:
        above, point = worst.error > 0, (worst.measured, worst.predicted)
        across = axes.transAxes.inverted().transform(axes.transData.transform(point))[0]
        right = across > (1 - ROOM_FOR_A_NAME, ROOM_FOR_A_NAME)[above]
        axes.annotate(
            f"{worst.design[:SHORT_DIGEST]} {worst.error:+.0%}",
            point,
            (-5 if right else 5, 5 if above else -5),
            textcoords="offset points",
            ha="right" if right else "left",
            va="bottom" if above else "top",
            fontsize=7,
            color=REFERENCE,
            parse_math=False,
        )


def _with_unit(quantity: Quantity) -> str:
    words = quantity.name.removesuffix(f"_{quantity.unit.lower()}").replace("_", " ")
    return f"{words} [{quantity.unit}]" if quantity.unit else words


def _parity_words(quantity: Quantity, coverage: float | None) -> str:
    """Name, number of designs and error figures, in two or three lines."""
    words = [f"{_with_unit(quantity)}, {len(quantity.rows)} designs"]
    if quantity.mape is not None and quantity.median_error is not None and quantity.p90_error is not None:
        rank = quantity.rank_correlation
        words.append(
            f"error: median {quantity.median_error:.1%}, 90% below {quantity.p90_error:.1%}, "
            f"mean {quantity.mape:.1%}"
        )
        words.append(
            f"bias {quantity.bias:+.1%}" + ("" if rank is None else f", rank correlation {rank:.3f}")
        )
    if quantity.interval_coverage is not None and coverage is not None:
        words.append(f"{quantity.interval_coverage:.0%} in the interval of {coverage:.0%}")
    return "\n".join(words)
