"""A binary target: scores by class, and whether predicted probabilities are frequencies."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from gisearch.tracking.plot_style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    PALE,
    Floats,
    light_grid,
    new_figure,
    note_nothing,
    style,
    titled,
)

_BINS = 10


def score_distribution_by_class(
    true: npt.ArrayLike, score: npt.ArrayLike, *, label: str = "positive", down: bool = False
) -> Any:
    """Draw the scores, the ROC and the precision-recall curve of a binary target.

    Args:
        true: 0 or 1, [B]; rows with NaN are left out.
        score: the predicted probability of class 1, [B].
        label: class 1 in words, for example ``strong negative interaction``.
        down: whether the three stand below each other, for a narrow page.

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
        spread, roc, pr = figure.subplots(3, 1) if down else figure.subplots(1, 3)
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
        pr.text(
            0.98,
            prevalence - 0.02,
            f"chance {prevalence:.2f}",
            ha="right",
            va="top",
            fontsize=8.5,
            color=GREY,
        )
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


def reliability(true: npt.ArrayLike, score: npt.ArrayLike, *, label: str = "positive") -> Any:
    """Draw how often the positives of up to ten equally large groups of predictions came true.

    Bars are Wilson's 95 % intervals (Wilson 1927, doi:10.1080/01621459.1927.10502953). The conclusion holds
    the expected calibration error: the groups' mean distance from the diagonal.

    Args:
        true: 0 or 1, [B]; rows with NaN are left out.
        score: the predicted probability of class 1, [B].
        label: class 1 in words.

    Returns:
        A matplotlib figure.
    """
    y, p = np.asarray(true, float), np.asarray(score, float)
    kept = np.isfinite(y) & np.isfinite(p)
    y, p = y[kept], p[kept]
    with style():
        figure = new_figure(5.6, 5.7)
        if not len(y):
            note_nothing(figure, "Nothing was both measured and predicted.")
            titled(figure, "Reliability of the predicted probabilities")
            return figure
        groups = np.array_split(np.argsort(p, kind="stable"), min(_BINS, max(1, len(y) // 10)))
        said = np.array([p[group].mean() for group in groups])
        true_share = np.array([y[group].mean() for group in groups])
        sizes = np.array([len(group) for group in groups])
        error = float(np.sum(sizes * np.abs(said - true_share)) / len(y))
        low, high = wilson_interval(true_share, sizes)
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=(0, (5, 3)), zorder=1)
        axes.vlines(said, low, high, color=BLUE, linewidth=1.4, alpha=0.5, zorder=2)
        axes.plot(said, true_share, color=BLUE, linewidth=1.6, marker="o", markersize=5, zorder=3)
        axes.vlines(p[:: max(1, len(p) // 400)], 0, 0.015, color=PALE, linewidth=0.6, zorder=0)
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.02)
        axes.set_aspect("equal")
        axes.set_xlabel(f"predicted probability of {label}")
        axes.set_ylabel("share that is so")
        light_grid(axes, "both")
        titled(
            figure,
            f"Predicted probabilities are off by {error:.3f} on average",
            f"Each point: {sizes[0]:,} of {len(y):,} genotypes with similar predictions; bars: 95 % "
            "intervals. Dashed: a probability that is the frequency.",
        )
        return figure


def wilson_interval(share: npt.NDArray[np.float64], n: npt.NDArray[np.int64]) -> tuple[Any, Any]:
    """Return both ends of Wilson's 95 % interval of a share that was counted in ``n``."""
    z = 1.959963984540054
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return middle - half, middle + half


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
