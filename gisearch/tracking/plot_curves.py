"""Learning curves of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from gisearch.tracking.plot_style import (
    BLUE,
    GREY,
    ORANGE,
    PALE,
    VERMILION,
    ceiling_line,
    light_grid,
    new_figure,
    note_nothing,
    number,
    style,
    titled,
)
from gisearch.tracking.records import TrialStatus


@dataclass(frozen=True)
class Curve:
    """One trial's metric over epochs.

    Attributes:
        name: the trial.
        steps: epochs, [T].
        values: the metric, [T]; NaN where it was not measured.
        status: how the trial ended.
    """

    name: str
    steps: Sequence[int]
    values: Sequence[float]
    status: TrialStatus


def learning_curves(
    curves: Sequence[Curve],
    metric: str,
    mode: Literal["min", "max"],
    noise_ceiling: float | None = None,
    *,
    narrow: bool = False,
) -> Any:
    """Draw every trial's curve, the best one emphasised, early stops and failures marked.

    Args:
        curves: one per trial.
        metric: the metric's name.
        mode: whether a higher or a lower value is better.
        noise_ceiling: the best value that any model can reach, drawn as a line.
        narrow: whether it is for a narrow page.

    Returns:
        A matplotlib figure.
    """
    with style():
        figure = new_figure(4.8, 4.2) if narrow else new_figure(7.4, 4.4)
        drawn = [curve for curve in curves if np.isfinite(np.asarray(curve.values, float)).any()]
        if not drawn:
            note_nothing(figure, "No trial has reported this metric yet.")
            titled(figure, f"{metric} over epochs")
            return figure
        axes = figure.add_subplot()
        best = _best(drawn, mode)
        for curve in drawn:
            if curve is not best:
                _draw(axes, curve, emphasised=False)
        _draw(axes, best, emphasised=True)
        values = np.asarray(best.values, float)
        at = int(np.nanargmax(values) if mode == "max" else np.nanargmin(values))
        axes.scatter(
            [best.steps[at]], [values[at]], s=60, color=BLUE, edgecolor="white", linewidth=1.2, zorder=6
        )
        axes.annotate(
            f"{best.name}\n{number(values[at])}",
            (1.0, values[at]),
            xycoords=("axes fraction", "data"),
            xytext=(6, 0),
            textcoords="offset points",
            color=BLUE,
            fontweight="bold",
            fontsize=9,
            va="center",
            annotation_clip=False,
        )
        finite = np.concatenate([np.asarray(c.values, float)[np.isfinite(c.values)] for c in drawn])
        _limit(axes, finite, noise_ceiling, mode)
        if noise_ceiling is not None:
            ceiling_line(axes, noise_ceiling)
        first, last = min(min(c.steps) for c in drawn), max(max(c.steps) for c in drawn)
        axes.set_xlim(first, max(last, first + 1))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("epoch")
        axes.set_ylabel(metric)
        light_grid(axes)
        stopped = sum(curve.status == "stopped_early" for curve in curves)
        _legend(axes, {curve.status for curve in drawn if curve is not best}, 2 if narrow else 4)
        share = (
            ""
            if noise_ceiling is None or mode == "min"
            else f" Measurement noise lets no model pass {number(noise_ceiling)}."
        )
        epochs = sum(len(curve.steps) for curve in curves)
        saved = 1 - epochs / max(1, len(curves) * max(len(curve.steps) for curve in curves))
        were = "trial was" if stopped == 1 else "trials were"
        detail = (
            f"{stopped} {were} stopped early, which saved {saved:.0%} of the epochs.{share}"
            if stopped
            else f"One line per trial.{share}"
        )
        titled(
            figure,
            f"The best of {len(curves)} trials has {metric} {number(values[at])}, at epoch {best.steps[at]}",
            detail,
        )
        return figure


def _best(curves: Sequence[Curve], mode: str) -> Curve:
    # A failed trial has no result, however high its curve once was.
    usable = [curve for curve in curves if curve.status != "failed"] or list(curves)
    if mode == "max":
        return max(usable, key=lambda curve: float(np.nanmax(curve.values)))
    return min(usable, key=lambda curve: float(np.nanmin(curve.values)))


def _draw(axes: Any, curve: Curve, *, emphasised: bool) -> None:
    values = np.asarray(curve.values, float)
    finite = np.flatnonzero(np.isfinite(values))
    if emphasised:
        axes.plot(curve.steps, values, color=BLUE, linewidth=2.4, zorder=5)
    else:
        axes.plot(curve.steps, values, color="#B9BEC4", linewidth=1.0, zorder=2)
    end = (curve.steps[finite[-1]], values[finite[-1]])
    if curve.status == "stopped_early":
        axes.scatter(*end, s=22, marker="o", color=ORANGE, edgecolor="white", linewidth=0.6, zorder=4)
    elif curve.status in ("failed", "interrupted"):
        axes.scatter(*end, s=34, marker="X", color=VERMILION, edgecolor="white", linewidth=0.6, zorder=4)
    elif len(finite) == 1:
        axes.scatter(*end, s=14, color=GREY, zorder=3)


def _limit(axes: Any, values: Any, ceiling: float | None, mode: str) -> None:
    # One diverged trial must not flatten all the others: the worst 2 % may leave the picture.
    low, high = float(np.min(values)), float(np.max(values))
    inner = np.percentile(values, [2, 98])
    spread = float(inner[1] - inner[0]) or abs(high) or 1.0
    if mode == "max" and low < inner[0] - 1.5 * spread:
        low = float(inner[0])
    if mode == "min" and high > inner[1] + 1.5 * spread:
        high = float(inner[1])
    if ceiling is not None:
        low, high = min(low, ceiling), max(high, ceiling)
    margin = 0.07 * (high - low or 1.0)
    axes.set_ylim(low - margin, high + margin)


def _legend(axes: Any, statuses: set[TrialStatus], columns: int) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=BLUE, linewidth=2.4, label="best trial"),
        Line2D([], [], color="#B9BEC4", linewidth=1.2, label="other trials"),
    ]
    if "stopped_early" in statuses:
        handles.append(
            Line2D([], [], linestyle="", marker="o", markersize=5, color=ORANGE, label="stopped early")
        )
    if statuses & {"failed", "interrupted"}:
        handles.append(
            Line2D(
                [], [], linestyle="", marker="X", markersize=6, color=VERMILION, label="failed or interrupted"
            )
        )
    axes.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.13),
        ncols=columns,
        handlelength=1.6,
        columnspacing=1.6,
    )
    axes.tick_params(color=PALE)
