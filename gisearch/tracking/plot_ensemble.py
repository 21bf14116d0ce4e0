"""How the selection of an ensemble went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gisearch.tracking.plot_style import (
    BLUE,
    INK,
    ORANGE,
    light_grid,
    new_figure,
    number,
    style,
    titled,
)


def selection_paths(
    paths: Sequence[Sequence[float]], metric: str, ensemble: float, best: tuple[str, float]
) -> Any:
    """Draw the validation score of the ensembles of every bag over the rounds of selection.

    Args:
        paths: per bag, the score after each round.
        metric: its name.
        ensemble: the score of the average of all bags' ensembles.
        best: the best single model's name and score.

    Returns:
        A matplotlib figure.
    """
    with style():
        figure = new_figure(4.8, 3.6)
        axes = figure.add_subplot()
        for path in paths:
            axes.plot(range(1, len(path) + 1), path, color="#B9BEC4", linewidth=1.0, zorder=2)
        longest = max(map(len, paths))
        if all(len(path) == longest for path in paths):
            mean = np.mean(np.asarray(paths, float), axis=0)
            axes.plot(
                range(1, longest + 1), mean, color=BLUE, linewidth=2.4, zorder=5, label="mean of the bags"
            )
        axes.axhline(ensemble, color=ORANGE, linewidth=1.8, zorder=4, label=f"ensemble {number(ensemble)}")
        name, value = best
        dashes = (0, (5, 3))
        axes.axhline(
            value, color=INK, linewidth=1, linestyle=dashes, zorder=3, label=f"{name} {number(value)}"
        )
        axes.set_xlim(1, max(longest, 2))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("models taken, with repetitions")
        axes.set_ylabel(metric)
        light_grid(axes)
        axes.legend(
            loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, columnspacing=1.2, handlelength=1.6
        )
        bags = "one line per bag of candidates" if len(paths) > 1 else "one selection from all candidates"
        titled(
            figure,
            f"{metric} goes from {number(value)}, {name} alone, to {number(ensemble)}",
            f"The score that selection climbs on, {bags}; it is optimistic for that reason.",
        )
        return figure
