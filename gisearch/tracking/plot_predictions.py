"""Predictions against what was measured."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from gisearch.tracking.plot_style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    Floats,
    light_grid,
    new_figure,
    note_nothing,
    style,
    titled,
)

_BARS_AT_MOST = 300
_POINTS_AT_MOST = 4000


def predicted_against_true(
    true: npt.ArrayLike,
    predicted: npt.ArrayLike,
    metric: str,
    *,
    label: str = "genetic interaction",
    std: npt.ArrayLike | None = None,
) -> Any:
    """Draw predictions over measurements.

    Args:
        true: measured values, [B]; rows with NaN are left out.
        predicted: predicted values, [B], in the same unit.
        metric: the score in words, for example ``Pearson 0.71 on 812 held-out genotypes``.
        label: the quantity, with its unit where it has one.
        std: predicted standard deviations, [B]; drawn as bars of one standard deviation.

    Returns:
        A matplotlib figure.
    """
    x, y = np.asarray(true, float), np.asarray(predicted, float)
    kept = np.isfinite(x) & np.isfinite(y)
    s = None if std is None else np.asarray(std, float)[kept]
    x, y = x[kept], y[kept]
    with style():
        dense = len(x) > _POINTS_AT_MOST
        figure = new_figure(6.4 if dense else 5.6, 5.7)
        if not len(x):
            note_nothing(figure, "Nothing was both measured and predicted.")
            titled(figure, metric)
            return figure
        axes = figure.add_subplot()
        low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
        margin = 0.05 * (high - low or 1.0)
        limits = (low - margin, high + margin)
        axes.plot(limits, limits, color=INK, linewidth=1, linestyle=(0, (5, 3)), zorder=1)
        if dense:
            drawn = axes.hexbin(
                x,
                y,
                gridsize=55,
                extent=(*limits, *limits),
                bins="log",
                mincnt=1,
                cmap="cividis_r",
                linewidths=0,
            )
            figure.colorbar(drawn, ax=axes, label="genotypes", shrink=0.8, aspect=28, pad=0.02)
        else:
            size = 16 if len(x) < 1500 else 7
            axes.scatter(x, y, s=size, color=BLUE, alpha=0.45, linewidth=0, zorder=3)
        if s is not None:
            # Bars of a spread-out subset: thousands of bars are a blot.
            chosen = np.argsort(x, kind="stable")[:: max(1, -(-len(x) // _BARS_AT_MOST))]
            axes.errorbar(
                x[chosen],
                y[chosen],
                yerr=s[chosen],
                fmt="none",
                ecolor=BLUE,
                alpha=0.35,
                linewidth=0.8,
                zorder=2,
            )
        slope, offset = np.polyfit(x, y, 1) if len(x) > 1 and np.ptp(x) > 0 else (0.0, float(y.mean()))
        ends = np.array(limits)
        axes.plot(ends, slope * ends + offset, color=ORANGE, linewidth=2, zorder=4, label="linear fit")
        axes.set_xlim(limits)
        axes.set_ylim(limits)
        axes.set_aspect("equal")
        axes.set_xlabel(f"measured {label}")
        axes.set_ylabel(f"predicted {label}")
        light_grid(axes, "both")
        detail = f"Orange: linear fit, slope {slope:.2f}. Dashed: prediction equals measurement."
        if s is not None:
            inside = float(np.mean(np.abs(x - y) <= s))
            detail += f" Bars: one predicted standard deviation; {inside:.0%} of the measurements lie within."
        titled(figure, metric, detail)
        return figure


def interval_coverage(true: npt.ArrayLike, predicted: npt.ArrayLike, std: npt.ArrayLike) -> Any:
    """Draw the share of measurements within each central interval of the predicted Gaussians.

    Args:
        true: measured values, [B]; rows with NaN are left out.
        predicted: predicted means, [B], in the same unit.
        std: predicted standard deviations, [B], in the same unit.

    Returns:
        A matplotlib figure.
    """
    y, mean, spread = (np.asarray(values, float) for values in (true, predicted, std))
    kept = np.isfinite(y) & np.isfinite(mean) & (spread > 0)
    y, mean, spread = y[kept], mean[kept], spread[kept]
    with style():
        figure = new_figure(5.6, 5.7)
        if not len(y):
            note_nothing(figure, "Nothing was both measured and predicted with a spread.")
            titled(figure, "Coverage of the predicted intervals")
            return figure
        # The central interval that just reaches a measurement, as a probability.
        reached = np.sort([math.erf(z / math.sqrt(2)) for z in np.abs(y - mean) / spread])
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=(0, (5, 3)), zorder=1)
        axes.step(
            np.r_[0, reached, 1], np.r_[0, np.arange(1, len(y) + 1) / len(y), 1], color=BLUE, where="post"
        )
        axes.set_xlabel("nominal probability of the interval")
        axes.set_ylabel("share of measurements within")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_aspect("equal")
        light_grid(axes, "both")
        half, most = (float(np.mean(reached <= nominal)) for nominal in (0.5, 0.9))
        titled(
            figure,
            f"{most:.0%} of the measurements lie within their 90 % interval",
            f"{half:.0%} lie within their 50 % interval, of {len(y):,}. Dashed: nominal.",
        )
        return figure


def score_distribution_by_class(true: npt.ArrayLike, score: npt.ArrayLike, *, label: str = "positive") -> Any:
    """Draw the ROC and the precision-recall curve of a binary target.

    Args:
        true: 0 or 1, [B]; rows with NaN are left out.
        score: the predicted probability of class 1, [B].
        label: class 1 in words, for example ``strong negative interaction``.

    Returns:
        A matplotlib figure.
    """
    y, s = np.asarray(true, float), np.asarray(score, float)
    kept = np.isfinite(y) & np.isfinite(s)
    y, s = y[kept], s[kept]
    positives = int((y == 1).sum())
    with style():
        if positives in (0, len(y)):
            figure = new_figure(9.6, 4.2)
            note_nothing(figure, "Only one class was measured: no curve can be drawn.")
            titled(figure, f"Scores for {label}")
            return figure
        figure = new_figure(11.0, 4.2)
        spread, roc, pr = figure.subplots(1, 3)
        false_rate, recall, precision = _rates(y, s)
        heights = np.r_[0.0, recall]
        auroc = float(np.sum(np.diff(np.r_[0.0, false_rate]) * (heights[1:] + heights[:-1]) / 2))
        average_precision = float(np.sum(np.diff(np.r_[0.0, recall]) * precision))
        prevalence = positives / len(y)
        _scores(spread, y, s, label)
        roc.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (5, 3)))
        roc.plot(np.r_[0, false_rate], np.r_[0, recall], color=BLUE, linewidth=2.2)
        roc.fill_between(np.r_[0, false_rate], np.r_[0, recall], color=BLUE, alpha=0.08, linewidth=0)
        roc.set_xlabel("false positive rate")
        roc.set_ylabel("true positive rate")
        roc.set_title(f"ROC, area {auroc:.3f}", loc="left")
        pr.axhline(prevalence, color=GREY, linewidth=1, linestyle=(0, (5, 3)))
        pr.step(recall, precision, where="pre", color=BLUE, linewidth=2.2)
        pr.fill_between(recall, precision, step="pre", color=BLUE, alpha=0.08, linewidth=0)
        pr.text(0.02, prevalence - 0.02, f"chance {prevalence:.2f}", va="top", fontsize=8.5, color=GREY)
        pr.set_xlabel("recall")
        pr.set_ylabel("precision")
        pr.set_title(f"precision, average {average_precision:.3f}", loc="left")
        for axes in (roc, pr):
            axes.set_xlim(-0.01, 1.01)
            axes.set_ylim(0, 1.02)
            axes.set_aspect("equal")
            light_grid(axes, "both")
        titled(
            figure,
            f"Ranked by score, {label} comes before the rest in {auroc:.0%} of pairs",
            f"{positives:,} of {len(y):,} held-out genotypes are positive. Dashed: a model that guesses.",
        )
        return figure


def _scores(axes: Any, y: Floats, s: Floats, label: str) -> None:
    edges = np.linspace(min(0.0, float(s.min())), max(1.0, float(s.max())), 31)
    for value, colour, name in ((0, GREY, "other"), (1, ORANGE, label)):
        axes.hist(
            s[y == value],
            bins=edges,
            density=True,
            color=colour,
            alpha=0.35,
            histtype="stepfilled",
            linewidth=0,
        )
        axes.hist(
            s[y == value], bins=edges, density=True, color=colour, histtype="step", linewidth=1.6, label=name
        )
    axes.set_xlabel("predicted probability")
    axes.set_ylabel("density of genotypes")
    axes.set_title("scores by class", loc="left")
    axes.legend(loc="upper center", ncols=2, handlelength=1.2)
    axes.set_ylim(0, axes.get_ylim()[1] * 1.15)


def _rates(y: Floats, s: Floats) -> tuple[Floats, Floats, Floats]:
    """Return false positive rate, recall and precision at every distinct threshold, highest first."""
    order = np.argsort(-s, kind="stable")
    hits = np.cumsum(y[order] == 1)
    last_of_ties = np.r_[np.flatnonzero(np.diff(s[order])), len(s) - 1]
    taken = last_of_ties + 1.0
    true_positive = hits[last_of_ties].astype(float)
    false_positive = taken - true_positive
    return false_positive / false_positive[-1], true_positive / true_positive[-1], true_positive / taken
