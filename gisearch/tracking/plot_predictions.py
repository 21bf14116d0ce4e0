"""Predictions against what was measured."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from gisearch.tracking.plot_style import (
    BLUE,
    INK,
    ORANGE,
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
    measured_std: npt.ArrayLike | None = None,
) -> Any:
    """Draw predictions over measurements.

    Args:
        true: measured values, [B]; rows with NaN are left out.
        predicted: predicted values, [B], in the same unit.
        metric: the score in words, for example ``Pearson 0.71 on 812 held-out genotypes``.
        label: the quantity, with its unit where it has one.
        std: predicted standard deviations, [B]; drawn as upright bars of one standard deviation.
        measured_std: standard deviations of the measurements, [B]; drawn as level bars.

    Returns:
        A matplotlib figure.
    """
    x, y = np.asarray(true, float), np.asarray(predicted, float)
    kept = np.isfinite(x) & np.isfinite(y)
    s, e = (None if given is None else np.asarray(given, float)[kept] for given in (std, measured_std))
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
        if s is not None or e is not None:
            # Bars of a spread-out subset: thousands of bars are a blot.
            chosen = np.argsort(x, kind="stable")[:: max(1, -(-len(x) // _BARS_AT_MOST))]
            axes.errorbar(
                x[chosen],
                y[chosen],
                xerr=None if e is None else e[chosen],
                yerr=None if s is None else s[chosen],
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
            bars = "Upright bars" if e is not None else "Bars"
            detail += (
                f" {bars}: one predicted standard deviation; {inside:.0%} of the measurements lie within."
            )
        if e is not None:
            detail += " Level bars: one standard deviation of the measurement."
        if len(x) > _BARS_AT_MOST and (s is not None or e is not None):
            detail += f" Bars of {len(chosen)} genotypes are drawn."
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
