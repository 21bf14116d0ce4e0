"""What the searched parameters did: their importance, and the effect of each choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from gisearch.tracking.plot_axis import merged_order, plain, short_names, wrapped
from gisearch.tracking.plot_style import (
    BLUE,
    CYCLE,
    GREY,
    INK,
    light_grid,
    new_figure,
    note_nothing,
    number,
    style,
    titled,
)
from gisearch.tracking.records import Scalar

Params = Sequence[Mapping[str, Scalar]]
Mode = Literal["min", "max"]
_Point = tuple[float, bool]


def parameter_importance(importances: Mapping[str, float], metric: str = "the objective") -> Any:
    """Draw the parameters' shares in the variation of the objective, largest first.

    Args:
        importances: parameter to share; they add up to 1.
        metric: the objective's name.

    Returns:
        A matplotlib figure.
    """
    with style():
        rows = sorted(importances.items(), key=lambda row: row[1])
        figure = new_figure(7.0, 1.35 + 0.36 * max(2, len(rows)))
        if not rows:
            note_nothing(figure, "Too few finished trials to tell the parameters apart.")
            titled(figure, f"What {metric} depends on")
            return figure
        axes = figure.add_subplot()
        shares = np.array([share for _, share in rows])
        colours = [BLUE if share >= 0.1 else "#9DB9CC" for share in shares]
        axes.barh(range(len(rows)), shares, color=colours, height=0.66)
        for at, share in enumerate(shares):
            axes.text(share + 0.012 * shares.max(), at, f"{share:.0%}", va="center", fontsize=8.5)
        axes.set_yticks(range(len(rows)), [name for name, _ in rows])
        axes.set_xlim(0, shares.max() * 1.12)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("share of the variation explained")
        light_grid(axes, "x")
        name, share = rows[-1]
        short = short_names(list(importances))
        titled(
            figure,
            f"{short[name]} matters most: {share:.0%} of the variation of {metric}",
            "An estimate from the trials of this sweep; small shares are within its error.",
        )
        return figure


def choice_effects(
    params: Params,
    values: Sequence[float],
    metric: str,
    mode: Mode,
    stopped_early: Sequence[bool] | None = None,
) -> Any:
    """Draw every trial's result by the choice it made, one panel per categorical parameter.

    Args:
        params: per trial its searched parameters, inactive ones absent (shown as ``off``).
        values: per trial its objective; NaN where it has none.
        metric: the objective's name.
        mode: whether a higher or a lower value is better.
        stopped_early: per trial whether it was stopped before its last epoch: drawn hollow.

    Returns:
        A matplotlib figure.
    """
    early = [False] * len(values) if stopped_early is None else list(stopped_early)
    trials = zip(params, values, early, strict=True)
    kept = [(p, float(v), hollow) for p, v, hollow in trials if np.isfinite(v)]
    names = merged_order([[name for name, value in p.items() if _is_choice(value)] for p, *_ in kept])
    groups = {name: _groups(name, kept) for name in names}
    groups = {name: group for name, group in groups.items() if len(group) > 1}
    with style():
        if not groups:
            figure = new_figure()
            note_nothing(figure, "No categorical parameter took two values in trials with a result.")
            titled(figure, f"Choices and {metric}")
            return figure
        columns = min(3, len(groups))
        rows = -(-len(groups) // columns)
        figure = new_figure(max(6.6, 3.1 * columns + 0.8), 2.9 * rows + 0.9)
        panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
        short = short_names(list(groups))
        gaps: dict[str, tuple[float, str]] = {}
        for at, (name, group) in enumerate(groups.items()):
            axes = panels[at // columns][at % columns]
            gaps[name] = _strip(axes, group, mode)
            axes.set_title(short[name], loc="left", fontsize=9.5)
            if at % columns == 0:
                axes.set_ylabel(metric)
        for spare in range(len(groups), rows * columns):
            panels[spare // columns][spare % columns].set_axis_off()
        largest = max(gaps, key=lambda name: gaps[name][0])
        gap, leader = gaps[largest]
        hollow = " Hollow: stopped early." if any(h for *_, h in kept) else ""
        titled(
            figure,
            f"{short[largest]} makes the largest difference: {leader} leads by {number(gap)} in the median"
            if gap > 0
            else f"No choice has led to a better {metric} yet",
            f"One point per trial, a bar at the median.{hollow} Trials differ in other settings too.",
        )
        return figure


def _is_choice(value: Scalar) -> bool:
    return isinstance(value, str | bool)


def _groups(name: str, kept: Sequence[tuple[Mapping[str, Scalar], float, bool]]) -> dict[str, list[_Point]]:
    groups: dict[str, list[_Point]] = {}
    for p, value, hollow in kept:
        groups.setdefault(plain(p[name]) if name in p else "off", []).append((value, hollow))
    return dict(sorted(groups.items(), key=lambda row: (row[0] == "off", row[0])))


def _strip(axes: Any, groups: Mapping[str, list[_Point]], mode: str) -> tuple[float, str]:
    generator = np.random.default_rng(0)
    medians = {}
    for x, (name, points) in enumerate(groups.items()):
        colour = GREY if name == "off" else CYCLE[x % 6]
        spread = x + generator.uniform(-0.18, 0.18, len(points))
        values = np.array([value for value, _ in points])
        hollow = np.array([early for _, early in points])
        axes.scatter(spread[~hollow], values[~hollow], s=20, color=colour, alpha=0.75, linewidth=0, zorder=3)
        axes.scatter(spread[hollow], values[hollow], s=17, facecolor="white", edgecolor=colour, zorder=3)
        medians[name] = float(np.median(values))
        axes.plot([x - 0.28, x + 0.28], [medians[name]] * 2, color=INK, linewidth=2.0, zorder=4)
    labels = [f"{wrapped(name)}\n({len(points)})" for name, points in groups.items()]
    axes.set_xticks(range(len(groups)), labels, fontsize=8)
    axes.set_xlim(-0.5, len(groups) - 0.5)
    axes.tick_params(axis="x", length=0)
    light_grid(axes)
    # A single trial is no evidence for its choice, and `off` is the effect of another parameter.
    fair = {name: medians[name] for name, points in groups.items() if len(points) >= 3 and name != "off"}
    ordered = sorted(fair, key=lambda name: fair[name], reverse=mode == "max")
    gap = abs(fair[ordered[0]] - fair[ordered[1]]) if len(ordered) > 1 else 0.0
    return gap, ordered[0] if ordered else next(iter(groups))
