"""The figures of a sweep, from its results."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gisearch.search.effects import parameter_effects
from gisearch.search.folders import BEST_FOLDER
from gisearch.search.results import SweepResults
from gisearch.tracking import plots

PREDICTIONS = "predictions.csv"


def draw_figures(results: SweepResults, folder: Path) -> list[Path]:
    """Draw everything that the results allow; returns the files.

    Args:
        results: the sweep.
        folder: where the PNG files go.
    """
    rows = [row for row in results.rows if row.value is not None and row.status != "reused"]
    if not rows:
        return []
    folder.mkdir(exist_ok=True)
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
        figures["learning_curves"] = plots.learning_curves(curves, metric, mode, ceiling)
    if len(rows) > 1:
        figures["parallel_coordinates"] = plots.parallel_coordinates(params, values, metric, mode)
        stopped = [row.status == "stopped_early" for row in rows]
        figures["choice_effects"] = plots.choice_effects(params, values, metric, mode, stopped)
        explained = {effect.path: effect.explained for effect in parameter_effects(results)}
        total = sum(explained.values())
        if total > 0:
            shares = {path: share / total for path, share in explained.items()}
            figures["parameter_importance"] = plots.parameter_importance(shares, metric)
    figures |= _pareto_figure(results, ceiling)
    figures |= _prediction_figure(results)
    return [_save(figure, folder / f"{name}.png") for name, figure in figures.items()]


def _pareto_figure(results: SweepResults, ceiling: float | None) -> Mapping[str, Any]:
    if results.cost is None:
        return {}
    front = {row.number for row in results.front}
    points = [
        plots.TrialPoint(row.trial_id, row.value, row.cost, row.number in front)
        for row in results.rows
        if row.value is not None and row.cost is not None and row.status == "finished"
    ]
    figure = plots.score_against_cost(points, results.metric, results.mode, results.cost, ceiling)
    return {"pareto_front": figure} if points else {}


def _prediction_figure(results: SweepResults) -> Mapping[str, Any]:
    path = results.folder / BEST_FOLDER / PREDICTIONS
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        table = list(csv.DictReader(file))
    measured = [float(row["measured"]) for row in table]
    score = [float(row["score"]) for row in table]
    label = str(results.facts.get("target", "target")).replace("_", " ")
    if set(measured) <= {0.0, 1.0}:
        return {"score_by_class": plots.score_distribution_by_class(measured, score, label=label)}
    std = [float(row["std"]) for row in table] if table and table[0]["std"] else None
    best = results.best
    text = "" if best is None else f"{results.metric} = {best.value:.3f}"
    found = {
        "predicted_against_true": plots.predicted_against_true(measured, score, text, label=label, std=std)
    }
    if std is not None:
        found["interval_coverage"] = plots.interval_coverage(measured, score, std)
    return found


def _save(figure: Any, path: Path) -> Path:
    plots.save(figure, path)
    return path


def _plain(value: Any) -> str | int | float | bool | None:
    return value if isinstance(value, str | int | float | bool | None) else str(value)
