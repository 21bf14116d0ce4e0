"""The picture of ``results``: a dot per model and its interval, a panel per task."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.results_settings import Task
from benchmarks.results_table import Standing

# Told apart by people who do not see colours as most do (Okabe and Ito 2008), and by shape.
_STYLES = {"tuned": ("#0072B2", "o"), "preset": ("#56B4E9", "s"), "peer": ("#D55E00", "D")}
_WORDS = {"tuned": "model", "preset": "model, its preset", "peer": "reference"}
_LABELS = {"auroc": "test AUROC", "pearson": "test Pearson correlation"}


def draw(panels: Mapping[Task, Sequence[Standing]], file: Path) -> None:
    """Draw the first metric of every task, the best model on top; those that failed are not in it.

    Args:
        panels: the standings of every task, best first.
        file: takes the picture.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.lines import Line2D

    highest = max(sum(bool(row.scores) for row in rows) for rows in panels.values())
    size = (4.6 * len(panels), 1.5 + 0.3 * highest)
    figure, axes = pyplot.subplots(1, len(panels), figsize=size, squeeze=False)
    for panel, (task, rows) in zip(axes[0], panels.items(), strict=True):
        metric, shown = task.metrics[0], [row for row in rows if row.scores]
        for place, row in enumerate(shown):
            colour, marker = _STYLES[row.kind]
            estimate = row.scores[metric]
            for result in row.scored:
                panel.plot(result.scores[metric], place, "|", color="0.65", markersize=7, zorder=1)
            if not math.isnan(estimate.low):
                panel.plot([estimate.low, estimate.high], [place, place], color=colour, zorder=2)
            panel.plot(estimate.mean, place, marker, color=colour, markersize=6, zorder=3)
        ceilings = [r.ceiling for row in shown for r in row.scored if r.ceiling is not None]
        chance = 0.5 if metric == "auroc" else 0.0
        marks = [(chance, "chance")]
        if ceilings:
            marks.append((sum(ceilings) / len(ceilings), "noise ceiling"))
        for at, what in marks:
            panel.axvline(at, color="0.5", linewidth=0.8, linestyle=":")
            panel.annotate(what, (at, 1.015), xycoords=("data", "axes fraction"), ha="center", fontsize=7)
        panel.set_yticks(range(len(shown)), [row.name for row in shown], fontsize=8)
        panel.set_ylim(max(len(shown), 1) - 0.5, -0.5)
        panel.set_xlabel(_LABELS[metric])
        panel.set_title(task.title, fontsize=10, pad=16)
    kinds = dict.fromkeys(row.kind for rows in panels.values() for row in rows if row.scores)
    handles = [
        Line2D([], [], color=_STYLES[kind][0], marker=_STYLES[kind][1], label=_WORDS[kind]) for kind in kinds
    ]
    handles.append(Line2D([], [], color="0.65", marker="|", linestyle="", label="one seed"))
    figure.tight_layout(rect=(0.0, 0.07, 1.0, 1.0))
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), fontsize=8, frameon=False)
    figure.savefig(file, dpi=150)
    pyplot.close(figure)
