"""The picture of ``search_quality``: the best score so far against processor seconds, by contender."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.race import Curve

# Told apart by people who do not see colours as most do (Okabe and Ito 2008).
_COLOURS = ("#0072B2", "#56B4E9", "#D55E00", "#009E73")


def best_at(
    curve: Curve, seconds: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the best score after processor seconds: NaN before the first epoch, the last one at the end."""
    times = [point.processor_seconds for point in curve.points]
    scores = np.array([np.nan, *(point.best for point in curve.points)])
    at: np.ndarray[tuple[int], np.dtype[np.float64]] = scores[np.searchsorted(times, seconds, side="right")]
    return at


def draw(
    runs: Mapping[str, Mapping[str, Sequence[Curve]]], scores: Mapping[str, Mapping[str, float]], file: Path
) -> None:
    """Draw a panel per data set: a thick line for the median of the runs, the range behind it.

    Args:
        runs: by data set and contender.
        scores: the scores that are asked for, by data set and name.
        file: takes the picture.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(runs), figsize=(5.2 * len(runs), 4.2), squeeze=False)
    for panel, (data, contenders) in zip(panels[0], runs.items(), strict=True):
        end = max(curve.processor_seconds for curves in contenders.values() for curve in curves)
        seconds = np.linspace(0.0, end, 600)
        order = range(len(contenders), 0, -1)  # the first one on top
        for above, colour, (name, curves) in zip(order, _COLOURS, contenders.items(), strict=True):
            best = np.stack([best_at(curve, seconds) for curve in curves])
            # From the last run's first epoch on; before that some have no score.
            known = ~np.isnan(best).any(axis=0)
            panel.plot(
                seconds[known], np.median(best[:, known], axis=0), color=colour, label=name, zorder=2 + above
            )
            low, high = best[:, known].min(axis=0), best[:, known].max(axis=0)
            panel.fill_between(seconds[known], low, high, color=colour, alpha=0.15, linewidth=0)
        for share, score in scores[data].items():
            panel.axhline(score, color="0.4", linewidth=0.8, linestyle=":")
            # Beside the panel, where no line runs through it.
            at = {"xycoords": ("axes fraction", "data"), "ha": "left", "va": "center"}
            panel.annotate(share, (1.01, score), fontsize=8, color="0.3", **at)
        panel.set(title=data, xlabel="processor seconds since the command", xlim=(0.0, end))
    panels[0][0].set_ylabel("best validation score so far")
    panels[0][-1].legend(loc="lower right", fontsize=8)
    figure.tight_layout()
    figure.savefig(file, dpi=150)
    pyplot.close(figure)
