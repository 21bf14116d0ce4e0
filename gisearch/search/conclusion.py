"""The end of a sweep: best configuration, predictions, leaderboard, plots, and all of it in MLflow."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

from gisearch.data.dataset import Dataset
from gisearch.errors import GisearchError
from gisearch.search.figures import draw_figures
from gisearch.search.results import (
    BEST_FOLDER,
    SPACE_FILE,
    SWEEP_FILE,
    TRIALS_FOLDER,
    SweepResults,
    load_results,
    write_runs,
)
from gisearch.search.trial import trial_name
from gisearch.tracking.description import BestTrial, SweepQuestion, describe
from gisearch.tracking.mlflow_tracker import SweepTracker
from gisearch.training.checkpoint import BEST
from gisearch.training.experiment import CONFIG_FILE

LEADERBOARD = "leaderboard.csv"
PREDICTIONS = "predictions.csv"
PLOTS = "plots"


def conclude(
    folder: Path, dataset: Dataset, tracker: SweepTracker, question: SweepQuestion, *, interrupted: bool
) -> list[str]:
    """Write the sweep's results, hand them to the tracker, and close it.

    Returns:
        Sentences for the user.
    """
    messages: list[str] = []
    results = load_results(folder)
    artifacts = {LEADERBOARD: write_leaderboard(results)}
    artifacts |= {name: folder / name for name in (SPACE_FILE, SWEEP_FILE)}
    best = results.best
    if best is not None:
        try:
            artifacts |= save_best(results, dataset)
            artifacts |= draw(results)
        except GisearchError as error:
            messages.append(f"the best model could not be evaluated: {error}")
    counts = {status: results.count(status) for status in ("finished", "stopped_early", "failed", "reused")}
    summary = {status: float(count) for status, count in counts.items()}
    page = describe(question)
    if best is not None and best.value is not None:
        summary["objective"] = best.value
        winner = BestTrial(best.facts.get("duplicate_of", best.number), best.value, dict(best.params))
        outcome = ", ".join(
            f"{count} {status.replace('_', ' ')}" for status, count in counts.items() if count
        )
        page = describe(question, winner, f"Trials: {outcome}.")
    if results.noise_ceiling is not None:
        summary["noise_ceiling"] = results.noise_ceiling
    report = tracker.finish(
        "interrupted" if interrupted else "finished", summary, artifacts, description_markdown=page
    )
    if tracker.parent_run_id is not None:
        write_runs(folder, tracker.parent_run_id, tracker.run_ids)
    if report.message:
        messages.append(report.message)
    return messages


def save_best(results: SweepResults, dataset: Dataset) -> dict[str, Path]:
    """Copy the best trial's configuration and model to ``best/``; predict the validation split.

    Returns:
        Artifact path to file.

    Raises:
        CheckpointError: the best trial's model is missing or cannot be read.
    """
    best = results.best
    assert best is not None
    source = results.folder / TRIALS_FOLDER / trial_name(best.facts.get("duplicate_of", best.number))
    target = results.folder / BEST_FOLDER
    target.mkdir(exist_ok=True)
    shutil.copyfile(source / CONFIG_FILE, target / CONFIG_FILE)
    if (source / BEST).exists():
        shutil.copyfile(source / BEST, target / BEST)
    predictions = write_predictions(target, dataset)
    return {
        f"{BEST_FOLDER}/{CONFIG_FILE}": target / CONFIG_FILE,
        f"{BEST_FOLDER}/{PREDICTIONS}": predictions,
    }


def write_predictions(folder: Path, dataset: Dataset, part: str = "val") -> Path:
    """Predict one part of the split with the model in ``folder`` and write it beside the measurements."""
    from gisearch.models.batch import GenotypeBatch
    from gisearch.training.experiment import load_trained

    rows = dataset.split.part(part)
    genotypes = dataset.genotypes.subset(rows)
    predicted, std = load_trained(folder, dataset).predict(GenotypeBatch.from_genotypes(genotypes))
    path = folder / PREDICTIONS
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["gene1", "gene2", "gene3", "measured", "score", "std", "unseen_genes"])
        names = dataset.cell.names.systematic
        for i, row in enumerate(rows):
            genes = [names[g] for g in genotypes.genes_of(i)]
            genes += [""] * (3 - len(genes))
            measured = float(dataset.genotypes.labels[dataset.target.name][row])
            spread = "" if std is None else f"{float(std[i]):.6g}"
            writer.writerow(
                [
                    *genes,
                    f"{measured:.6g}",
                    f"{float(predicted[i]):.6g}",
                    spread,
                    int(dataset.split.unseen[row]),
                ]
            )
    return path


def write_leaderboard(results: SweepResults) -> Path:
    """Write all trials, best first, as CSV."""
    path = results.folder / LEADERBOARD
    keys = list(dict.fromkeys(key for row in results.rows for key in row.params))
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["rank", "trial_id", results.metric, "status", "epochs", "seconds", "parameters", *keys]
        )
        for rank, row in enumerate(results.rows, 1):
            parameters = (row.facts.get("parameters") or {}).get("total", "")
            values: list[Any] = [row.params.get(key, "") for key in keys]
            value = "" if row.value is None else f"{row.value:.6g}"
            writer.writerow(
                [rank, row.trial_id, value, row.status, row.epochs, f"{row.seconds:.2f}", parameters, *values]
            )
    return path


def draw(results: SweepResults) -> dict[str, Path]:
    """Draw the sweep's figures into ``plots/``; returns artifact path to file."""
    folder = results.folder / PLOTS
    return {f"{PLOTS}/{path.name}": path for path in draw_figures(results, folder)}
