"""All searched parameters of all trials in one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from gisearch.tracking.plot_axis import Axis, build_axis, merged_order, plain, short_names, wrapped
from gisearch.tracking.plot_style import GREY, INK, ORANGE, new_figure, note_nothing, number, style, titled
from gisearch.tracking.records import Scalar


def parallel_coordinates(
    params: Sequence[Mapping[str, Scalar]],
    values: Sequence[float],
    metric: str,
    mode: Literal["min", "max"],
    *,
    down: bool = False,
) -> Any:
    """Draw one line per trial through its parameters to its result.

    A conditional parameter that a trial did not use stands at ``off``, below a gap in its axis; choices
    have a tick each, and axes that span more than a factor of 30 are logarithmic.

    Args:
        params: per trial its searched parameters, inactive ones absent.
        values: per trial its objective; NaN where it has none.
        metric: the objective's name.
        mode: whether a higher or a lower value is better.
        down: whether the axes lie below each other, the result's last, for a narrow page.

    Returns:
        A matplotlib figure.
    """
    kept = [(p, float(v)) for p, v in zip(params, values, strict=True) if np.isfinite(v)]
    names = merged_order([p.keys() for p, _ in kept])
    with style():
        if not kept or not names:
            figure = new_figure()
            note_nothing(figure, "No trial has a result yet.")
            titled(figure, f"Parameters and {metric}")
            return figure
        axes_list = [
            build_axis(name, [p.get(name) for p, _ in kept], [name in p for p, _ in kept]) for name in names
        ]
        results = np.array([v for _, v in kept])
        across = (max(7.2, 1.55 * (len(names) + 1) + 1.2), 5.2)
        figure = new_figure(*((4.8, 0.62 * (len(names) + 2)) if down else across))
        axes = figure.add_subplot()
        _draw_lines(axes, axes_list, results, mode, down)
        if down:
            _draw_rows(axes, axes_list, results, metric)
        else:
            _draw_axes(axes, axes_list, results, metric)
        best = int(np.argmax(results) if mode == "max" else np.argmin(results))
        short = short_names(names)
        shown = ", ".join(f"{short[name]} {plain(value)}" for name, value in kept[best][0].items())
        titled(
            figure,
            f"Best {metric} {number(results[best])}: {shown}",
            "One line per trial, darker is better, the best in orange. Off: the parameter had no part in it.",
        )
        return figure


def _draw_lines(axes: Any, columns: Sequence[Axis], results: Any, mode: str, down: bool) -> None:
    import matplotlib as mpl
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    order = np.argsort(results if mode == "max" else -results, kind="stable")
    rank = np.empty(len(results))
    rank[order] = np.linspace(0.0, 1.0, len(results)) if len(results) > 1 else 1.0
    colours = mpl.colormaps["cividis_r"]
    span = float(np.ptp(results)) or 1.0
    generator = np.random.default_rng(0)
    for trial in order:
        heights = [column.heights[trial] + column.jitter * generator.uniform(-1, 1) for column in columns]
        heights.append(0.12 + 0.88 * float(results[trial] - results.min()) / span)
        vertices, codes = [(0.0, heights[0])], [Path.MOVETO]
        for x, (left, right) in enumerate(pairwise(heights)):
            vertices += [(x + 0.45, left), (x + 0.55, right), (x + 1.0, right)]
            codes += [Path.CURVE4] * 3
        if down:
            vertices = [(height, -x) for x, height in vertices]
        is_best = trial == order[-1]
        axes.add_patch(
            PathPatch(
                Path(vertices, codes),
                fill=False,
                edgecolor=ORANGE if is_best else colours(0.25 + 0.75 * rank[trial]),
                linewidth=2.8 if is_best else 1.0 + 0.8 * rank[trial],
                alpha=1.0 if is_best else 0.35 + 0.5 * rank[trial],
                zorder=5 if is_best else 2,
            )
        )


def _draw_axes(axes: Any, columns: Sequence[Axis], results: Any, metric: str) -> None:
    result_ticks = _result_ticks(results)
    short = short_names([column.name for column in columns])
    for x, column in enumerate([*columns, None]):
        ticks = result_ticks if column is None else column.ticks
        axes.plot([x, x], [0.12, 1.0], color=INK, linewidth=1.1, zorder=6)
        for height, text in ticks:
            off = column is not None and height == 0.0
            axes.plot(
                [x - 0.02, x + 0.02], [height, height], color=GREY if off else INK, linewidth=1.0, zorder=6
            )
            axes.text(
                x + 0.035,
                height,
                text,
                fontsize=8.3,
                va="center",
                style="italic" if off else "normal",
                color=GREY if off else INK,
                zorder=7,
                bbox={"facecolor": "white", "alpha": 0.78, "edgecolor": "none", "pad": 0.8},
            )
        head = metric if column is None else short[column.name]
        axes.text(
            x, 1.06, wrapped(head), ha="center", va="bottom", fontsize=9, fontweight="bold", linespacing=1.1
        )
    axes.set_xlim(-0.38, len(columns) + 0.4)
    axes.set_ylim(-0.05, 1.2)
    axes.set_axis_off()


def _result_ticks(results: Any) -> list[tuple[float, str]]:
    low, high = float(results.min()), float(results.max())
    return [(0.12 + 0.88 * part, number(low + part * (high - low))) for part in (0, 0.25, 0.5, 0.75, 1)]


def _draw_rows(axes: Any, rows: Sequence[Axis], results: Any, metric: str) -> None:
    """Draw the axes as rows: the name above each, its ticks below."""
    short = short_names([row.name for row in rows])
    white = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 0.6}
    for y, row in enumerate([*rows, None]):
        ticks = _result_ticks(results) if row is None else _apart(row.ticks)
        axes.plot([0.12, 1.0], [-y, -y], color=INK, linewidth=1.1, zorder=6)
        for at, text in ticks:
            off = row is not None and at == 0.0
            colour = GREY if off else INK
            axes.plot([at, at], [-y - 0.06, -y + 0.06], color=colour, linewidth=1.0, zorder=6)
            axes.text(
                at,
                -y - 0.12,
                text,
                fontsize=8.5,
                ha="right" if at > 0.97 else "left" if at < 0.02 else "center",
                va="top",
                style="italic" if off else "normal",
                color=colour,
                zorder=7,
                bbox=white,
            )
        name = metric if row is None else short[row.name] + (" (log)" if row.log else "")
        axes.text(
            0.0, -y + 0.13, name, fontsize=9, fontweight="bold", ha="left", va="bottom", zorder=7, bbox=white
        )
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-len(rows) - 0.5, 0.5)
    axes.set_axis_off()


def _apart(ticks: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Return the ticks whose texts do not run into each other, both ends first."""
    kept: list[tuple[float, str]] = []
    ordered = sorted(ticks)
    for tick in (ordered[0], ordered[-1], *ordered[1:-1]):
        if all(abs(tick[0] - at) > 0.009 * (len(tick[1]) + len(text)) + 0.02 for at, text in kept):
            kept.append(tick)
    return kept
