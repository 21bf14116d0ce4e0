"""Score against cost: which trials are worth what they take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from gisearch.tracking.plot_style import (
    BLUE,
    GREY,
    Floats,
    ceiling_line,
    light_grid,
    new_figure,
    note_nothing,
    number,
    style,
    titled,
)

# A cheaper trial is about as good as the best where it loses no more of its lead over the median trial.
_CLOSE = 0.1
_LOG_RATIO = 10.0
# Trials far off leave the picture where they would shrink the others' part of it below one in this many.
_FLATTENED = 3.0
_LABEL_SIZE = 8.5


@dataclass(frozen=True)
class TrialPoint:
    """One trial in the plane of score and cost.

    Attributes:
        name: the trial.
        score: the objective.
        cost: what it took, at least 0.
        on_front: whether no other trial beats it in both.
    """

    name: str
    score: float
    cost: float
    on_front: bool


def score_against_cost(
    points: Sequence[TrialPoint],
    metric: str,
    mode: Literal["min", "max"],
    cost: Literal["seconds", "parameters"],
    noise_ceiling: float | None = None,
    size: tuple[float, float] = (7.4, 4.8),
) -> Any:
    """Draw every trial's score over its cost, and the Pareto front as the best score within each cost.

    The cost's axis is logarithmic where it spans more than a factor of 10. Trials far worse than the rest
    may leave the picture; the text counts them.

    Args:
        points: one per trial.
        metric: the objective's name.
        mode: whether a higher or a lower score is better.
        cost: what is minimised.
        noise_ceiling: the best score that any model can reach, drawn as a line.
        size: width and height in inches, for which the labels find their places.

    Returns:
        A matplotlib figure.
    """
    with style():
        figure = new_figure(*size)
        front = sorted((point for point in points if point.on_front), key=lambda point: point.cost)
        if not front:
            note_nothing(figure, "No trial has finished yet.")
            titled(figure, f"{metric} against {cost}")
            return figure
        axes = figure.add_subplot()
        low, high = _range(points, mode, noise_ceiling)
        outside = sum(not low <= point.score <= high for point in points)
        axes.set_ylim(low, high)
        _scale_cost(axes, np.array([point.cost for point in points]), cost)
        _draw_front(axes, front, low if mode == "max" else high)
        beaten = [point for point in points if not point.on_front]
        axes.scatter(
            [p.cost for p in beaten], [p.score for p in beaten], s=24, color="#B9BEC4", linewidth=0, zorder=3
        )
        axes.scatter(
            [p.cost for p in front],
            [p.score for p in front],
            s=62,
            color=BLUE,
            edgecolor="white",
            linewidth=1.2,
            zorder=5,
        )
        if noise_ceiling is not None:
            ceiling_line(axes, noise_ceiling)
        axes.set_xlabel("trainable parameters" if cost == "parameters" else "seconds of training")
        axes.set_ylabel(metric)
        light_grid(axes, "both")
        left = f" Left out: {outside} far {'below' if mode == 'max' else 'above'}." if outside else ""
        titled(
            figure,
            _conclusion(points, front, metric, mode, cost),
            f"Blue: the Pareto front, trials that no other beats in both.{left}",
        )
        # Labels are placed in pixels, which the layout decides.
        figure.draw_without_rendering()
        _label(axes, front, beaten, mode, noise_ceiling)
        return figure


def _range(points: Sequence[TrialPoint], mode: str, ceiling: float | None) -> tuple[float, float]:
    scores = np.array([point.score for point in points])
    lower, upper = np.percentile(scores, [25, 75])
    reach = 3.0 * float(upper - lower)
    whole = [*map(float, scores), *([] if ceiling is None else [ceiling])]
    usual = [
        point.score for point in points if point.on_front or lower - reach <= point.score <= upper + reach
    ]
    usual += whole[len(points) :]
    # One diverged trial must not flatten all the others; the front always stays.
    shown = usual if np.ptp(whole) > _FLATTENED * np.ptp(usual) > 0 else whole
    low, high = min(shown), max(shown)
    margin = (high - low) or abs(high) or 1.0
    return low - 0.09 * margin, high + 0.09 * margin


def _scale_cost(axes: Any, costs: Floats, kind: str) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    low, high = float(costs.min()), float(costs.max())
    positive = costs[costs > 0]
    if len(positive) and high > _LOG_RATIO * (low or float(positive.min())):
        if low > 0:
            axes.set_xscale("log")
            decades = np.log10(high / low)
            axes.set_xlim(low / 10 ** (0.1 * decades), high * 10 ** (0.07 * decades))
            if decades < 2.5:
                axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        else:
            # A model without parameters stands at 0, which a logarithm does not know.
            axes.set_xscale("symlog", linthresh=float(positive.min()), linscale=0.5)
            axes.set_xlim(-0.15 * float(positive.min()), high * (high / float(positive.min())) ** 0.07)
    else:
        room = 0.08 * (high - low) or 0.1 * high or 1.0
        axes.set_xlim(low - room, high + room)
    linear = axes.get_xscale() == "linear"
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}" if linear else _amount(value))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _draw_front(axes: Any, front: Sequence[TrialPoint], worst: float) -> None:
    costs = [front[0].cost, *(point.cost for point in front), axes.get_xlim()[1]]
    scores = [worst, *(point.score for point in front), front[-1].score]
    axes.step(costs, scores, where="post", color=BLUE, linewidth=1.8, zorder=4)
    axes.fill_between(costs, scores, worst, step="post", color=BLUE, alpha=0.06, linewidth=0, zorder=1)


def _conclusion(
    points: Sequence[TrialPoint], front: Sequence[TrialPoint], metric: str, mode: str, cost: str
) -> str:
    best = max(front, key=lambda p: (p.score if mode == "max" else -p.score, -p.cost))
    within = "in" if cost == "seconds" else "with"
    reached = f"{metric} {number(best.score)} {within} {_amount(best.cost)} {cost}"
    cheapest = front[0]
    if len(points) == 1:
        return f"{best.name}, the only trial, reaches {reached}"
    if cheapest.cost == best.cost:
        return f"{best.name} is the best and the cheapest of {len(points)} trials: {reached}"
    lead = abs(best.score - float(np.median([point.score for point in points])))
    near = next(point for point in front if abs(point.score - best.score) <= _CLOSE * lead)
    if near is not best and near.cost > 0 and best.cost >= 1.5 * near.cost:
        loss = number(abs(best.score - near.score))
        ratio = f"{best.cost / near.cost:.2g}"
        return f"{best.name} reaches {reached}; {near.name} is {ratio} times cheaper and loses {loss}"
    return (
        f"{best.name} reaches {reached}; the cheapest, {cheapest.name}, "
        f"{number(cheapest.score)} {within} {_amount(cheapest.cost)}"
    )


def _label(
    axes: Any, front: Sequence[TrialPoint], beaten: Sequence[TrialPoint], mode: str, ceiling: float | None
) -> None:
    """Name the trials beside their points, best of the front first; without room a label is left out."""
    scale = axes.figure.dpi / 72
    frame = axes.get_window_extent()
    where = {p: axes.transData.transform((p.cost, p.score)) for p in (*reversed(front), *beaten)}
    # What labels must not cover: points, the front's line, and the ceiling.
    taken = [_box(x, y, x, y, 4 * scale) for x, y in where.values()]
    ends = [(where[front[0]][0], frame.y0 if mode == "max" else frame.y1), *(where[p] for p in front)]
    for (x0, y0), (x1, y1) in pairwise([*ends, (frame.x1, ends[-1][1])]):
        taken += [_box(x0, y0, x1, y0, scale), _box(x1, y0, x1, y1, scale)]
    if ceiling is not None:
        _, y = axes.transData.transform((0.0, ceiling))
        taken.append(_box(frame.x0, y, frame.x1, y, scale))
    for point, (x, y) in where.items():
        size = _LABEL_SIZE if point.on_front else 0.9 * _LABEL_SIZE
        width = (0.72 if point.on_front else 0.63) * size * len(point.name) * scale
        height = 1.1 * size * scale
        # The front's labels stand on its free side, the others away from it.
        outward = (-1, 1) if point.on_front else (1, -1)
        across, up = outward if mode == "max" else (outward[0], -outward[1])
        for dx, dy in _PLACES:
            dx, dy = across * dx, up * dy
            left = x + dx * scale - width * (0.5 - 0.5 * np.sign(dx))
            bottom = y + dy * scale - height * (0.5 - 0.5 * np.sign(dy))
            box = (left, bottom, left + width, bottom + height)
            inside = frame.x0 <= box[0] and box[2] <= frame.x1 and frame.y0 <= box[1] and box[3] <= frame.y1
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                axes.annotate(
                    point.name,
                    (point.cost, point.score),
                    xytext=(dx, dy),
                    textcoords="offset points",
                    ha=("right", "center", "left")[int(np.sign(dx)) + 1],
                    va=("top", "center", "bottom")[int(np.sign(dy)) + 1],
                    fontsize=size,
                    fontweight="bold" if point.on_front else "normal",
                    color=BLUE if point.on_front else GREY,
                    zorder=6,
                )
                break


# Where a label may stand, in points from its point, the best place first; the signs follow its free side.
_PLACES = ((6, 4), (0, 8), (6, -4), (7, 0), (-7, 0), (-6, 4), (-6, -4), (0, -8))


def _box(x0: float, y0: float, x1: float, y1: float, room: float) -> tuple[float, ...]:
    return min(x0, x1) - room, min(y0, y1) - room, max(x0, x1) + room, max(y0, y1) + room


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _amount(value: float) -> str:
    """Return a cost as people write it: 0.42, 17.5, 7,861, 125k, 3.2M."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= 10 * size or (unit == "M" and value >= size):
            return f"{value / size:.3g}{unit}"
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
