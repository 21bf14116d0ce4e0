"""The figures of a sweep, from its results."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gisearch.search.effects import parameter_effects
from gisearch.search.folders import BEST_FOLDER
from gisearch.search.results import SweepResults
from gisearch.tracking import plots

PREDICTIONS = "predictions.csv"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Predictions:
    """What the best model says about the validation split, in the split's order.

    Attributes:
        measured: [n]; 0 and 1 for a binary target.
        score: predicted values, or the probability of class 1, [n].
        std: predicted standard deviations, [n]; None for a model without.
        label: the target in words.
    """

    measured: Floats
    score: Floats
    std: Floats | None
    label: str

    @property
    def binary(self) -> bool:
        """Whether the target is one of two classes."""
        return set(self.measured) <= {0.0, 1.0}


def read_predictions(results: SweepResults) -> Predictions | None:
    """Read the best model's predictions; None where the sweep has left none."""
    path = results.folder / BEST_FOLDER / PREDICTIONS
    if not path.exists():
        return None
    with path.open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    if not table:
        return None

    def column(name: str) -> Floats:
        return np.array([float(row[name]) for row in table])

    return Predictions(
        measured=column("measured"),
        score=column("score"),
        std=column("std") if table[0]["std"] else None,
        label=str(results.facts.get("target", "target")).replace("_", " "),
    )


def draw_figures(results: SweepResults, folder: Path) -> list[Path]:
    """Draw everything that the results allow; returns the files.

    Args:
        results: the sweep.
        folder: where the PNG files go.
    """
    figures = sweep_figures(results)
    if figures:
        folder.mkdir(exist_ok=True)
    return [plots.save(figure, folder / f"{name}.png") for name, figure in figures.items()]


def sweep_figures(
    results: SweepResults, *, narrow: bool = False, measured_std: Floats | None = None
) -> dict[str, Any]:
    """Return everything that the results allow as matplotlib figures, by name.

    Args:
        results: the sweep.
        narrow: whether what is wider than a phone is laid out downwards.
        measured_std: standard deviations of the measurements in the predictions' order, where known.
    """
    rows = [row for row in results.rows if row.value is not None and row.status != "reused"]
    if not rows:
        return {}
    ceiling = results.noise_ceiling if results.metric == "val/pearson" else None
    metric, mode = results.metric, results.mode
    params = [{path: _plain(value) for path, value in row.params.items()} for row in rows]
    values = [float(row.value) if row.value is not None else math.nan for row in rows]
    curves = [
        plots.Curve(
            row.trial_id,
            [epoch for epoch, _ in row.curve],
            [value for _, value in row.curve],
            row.status if row.status in ("finished", "stopped_early", "failed") else "interrupted",  # type: ignore[arg-type]
        )
        for row in rows
        if row.curve
    ]
    figures: dict[str, Any] = {}
    if curves:
        figures["learning_curves"] = plots.learning_curves(curves, metric, mode, ceiling, narrow=narrow)
    if len(rows) > 1:
        figures["parallel_coordinates"] = plots.parallel_coordinates(
            params, values, metric, mode, down=narrow
        )
        stopped = [row.status == "stopped_early" for row in rows]
        figures["choice_effects"] = plots.choice_effects(params, values, metric, mode, stopped)
        explained = {effect.path: effect.explained for effect in parameter_effects(results)}
        total = sum(explained.values())
        if total > 0:
            shares = {path: share / total for path, share in explained.items()}
            figures["parameter_importance"] = plots.parameter_importance(shares, metric)
    figures |= _pareto_figure(results, ceiling, narrow)
    figures |= _prediction_figures(results, narrow, measured_std)
    return figures


def _pareto_figure(results: SweepResults, ceiling: float | None, narrow: bool) -> Mapping[str, Any]:
    if results.cost is None:
        return {}
    front = {row.number for row in results.front}
    points = [
        plots.TrialPoint(row.trial_id, row.value, row.cost, row.number in front)
        for row in results.rows
        if row.value is not None and row.cost is not None and row.status == "finished"
    ]
    if not points:
        return {}
    size = {"size": (4.8, 4.4)} if narrow else {}
    figure = plots.score_against_cost(points, results.metric, results.mode, results.cost, ceiling, **size)
    return {"pareto_front": figure}


def _prediction_figures(
    results: SweepResults, narrow: bool, measured_std: Floats | None
) -> Mapping[str, Any]:
    found = read_predictions(results)
    if found is None:
        return {}
    measured, score, label = found.measured, found.score, found.label
    if found.binary:
        return {
            "score_by_class": plots.score_distribution_by_class(measured, score, label=label, down=narrow),
            "reliability": plots.reliability(measured, score, label=label),
        }
    best = results.best
    figures = {
        "predicted_against_true": plots.predicted_against_true(
            measured,
            score,
            "" if best is None else f"{results.metric} = {best.value:.3f}",
            label=label,
            std=found.std,
            measured_std=measured_std,
        )
    }
    if found.std is not None:
        figures["interval_coverage"] = plots.interval_coverage(measured, score, found.std)
    return figures


def _plain(value: Any) -> str | int | float | bool | None:
    return value if isinstance(value, str | int | float | bool | None) else str(value)
