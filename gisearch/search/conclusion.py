"""The end of a sweep: best configurations, predictions, leaderboard, plots, and all of it in MLflow."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

from gisearch.data.dataset import Dataset
from gisearch.errors import DiskFullError, GisearchError, disk_full
from gisearch.search.figures import draw_figures
from gisearch.search.folders import BEST_FOLDER, MODEL_FOLDER, SPACE_FILE, SWEEP_FILE, write_runs
from gisearch.search.pareto import FRONT_FOLDER, shown_cost
from gisearch.search.results import SweepResults, load_results
from gisearch.search.trial import trial_name
from gisearch.tracking.description import BestTrial, SweepQuestion, describe, describe_model
from gisearch.tracking.mlflow_tracker import SweepTracker
from gisearch.training.checkpoint import BEST
from gisearch.training.config import CONFIG_FILE
from gisearch.yaml_text import dump

LEADERBOARD = "leaderboard.csv"
PREDICTIONS = "predictions.csv"
PLOTS = "plots"


def conclude(
    folder: Path, dataset: Dataset, tracker: SweepTracker, question: SweepQuestion, *, interrupted: bool
) -> list[str]:
    """Write the sweep's results, hand them to the tracker, and close it.

    Returns:
        Sentences for the user.

    Raises:
        DiskFullError: there is no space left; the tracker has been closed, and concluding the sweep again
            writes what is missing.
    """
    messages: list[str] = []
    results = load_results(folder)
    full: DiskFullError | None = None
    artifacts: dict[str, Path] = {}
    try:
        artifacts = _write(results, dataset, messages)
    except OSError as error:
        full = disk_full(folder / LEADERBOARD, error)
        if full is None:
            raise
        interrupted = True
    best = results.best
    counts = {status: results.count(status) for status in ("finished", "stopped_early", "failed", "reused")}
    # The prefix gives them a section of their own among MLflow's charts.
    summary = {f"trials/{status}": float(count) for status, count in counts.items()}
    page = describe(question)
    if best is not None and best.value is not None:
        summary["objective"] = best.value
        winner = BestTrial(best.facts.get("duplicate_of", best.number), best.value, dict(best.params))
        registered = full is None and _register(results, dataset, tracker, question, winner, messages)
        outcome = ", ".join(
            f"{count} {status.replace('_', ' ')}" for status, count in counts.items() if count
        )
        page = describe(
            question, winner, f"Trials: {outcome}.{_front_sentence(results)}", registered=registered
        )
    if results.noise_ceiling is not None:
        summary["noise_ceiling"] = results.noise_ceiling
    closed = tracker.finish(
        "interrupted" if interrupted else "finished", summary, artifacts, description_markdown=page
    )
    if tracker.parent_run_id is not None:
        write_runs(folder, tracker.parent_run_id, tracker.run_ids, closed.model)
    if closed.message:
        messages.append(closed.message)
    if full is not None:
        raise full
    return messages


def _register(
    results: SweepResults,
    dataset: Dataset,
    tracker: SweepTracker,
    question: SweepQuestion,
    winner: BestTrial,
    messages: list[str],
) -> bool:
    """Put the best model into the model registry, unless that is switched off; return whether it will be."""
    if tracker.parent_run_id is None or not results.tracking.register:
        return False
    # Imports MLflow.
    from gisearch.tracking.model_package import package_model
    from gisearch.tracking.registration import Winner

    source, target = results.folder / BEST_FOLDER, results.folder / BEST_FOLDER / MODEL_FOLDER
    try:
        has_std = _has_std(source / PREDICTIONS)
        weights = package_model(source, target, dataset, has_std=has_std)
    except (GisearchError, OSError) as error:
        messages.append(f"the best model could not be registered in MLflow: {error}")
        return False
    tags = {
        "gisearch.trial": trial_name(winner.number),
        "gisearch.metric": question.metric,
        "gisearch.objective": f"{winner.value:.6g}",
        "gisearch.data": question.dataset.digest,
    }
    about = describe_model(question, winner, has_std=has_std)
    tracker.register_model(winner.number, target, Winner(results.name, weights, about, winner.params, tags))
    return True


def _has_std(predictions: Path) -> bool:
    """Return whether the predictions of the best model have a standard deviation."""
    with predictions.open(encoding="utf-8", newline="") as file:
        return any(row["std"] for row in csv.DictReader(file))


def _write(results: SweepResults, dataset: Dataset, messages: list[str]) -> dict[str, Path]:
    """Write everything that a sweep leaves behind; return artifact path to file."""
    folder = results.folder
    artifacts = {LEADERBOARD: write_leaderboard(results)}
    artifacts |= {name: folder / name for name in (SPACE_FILE, SWEEP_FILE)}
    artifacts |= save_front(results)
    if results.best is None:
        return artifacts
    try:
        artifacts |= save_best(results, dataset)
    except GisearchError as error:
        messages.append(f"the best model could not be evaluated: {error}")
    return artifacts | draw(results)


def save_best(results: SweepResults, dataset: Dataset) -> dict[str, Path]:
    """Copy the best trial's configuration and model to ``best/``; predict the validation split.

    Returns:
        Artifact path to file.

    Raises:
        CheckpointError: the best trial's model is missing or cannot be read.
    """
    best = results.best
    assert best is not None
    source = results.trial_folder(best)
    target = results.folder / BEST_FOLDER
    target.mkdir(exist_ok=True)
    # Not the trial's file: a member of a population may have been replaced since its best epoch.
    text = dump(results.config_of(best))
    (target / CONFIG_FILE).write_text(text, encoding="utf-8")
    if (source / BEST).exists():
        shutil.copyfile(source / BEST, target / BEST)
    predictions = write_predictions(target, dataset)
    return {
        f"{BEST_FOLDER}/{CONFIG_FILE}": target / CONFIG_FILE,
        f"{BEST_FOLDER}/{PREDICTIONS}": predictions,
    }


def save_front(results: SweepResults) -> dict[str, Path]:
    """Copy the configurations of the Pareto front to ``front/<trial>.yaml``, for ``gisearch.train --config``.

    Returns:
        Artifact path to file; nothing for a sweep without a cost.
    """
    folder = results.folder / FRONT_FOLDER
    # A sweep that went on may have left trials behind that are beaten by now.
    for earlier in folder.glob("*.yaml"):
        earlier.unlink()
    saved = {}
    for row in results.front:
        folder.mkdir(exist_ok=True)
        path = folder / f"{row.trial_id}.yaml"
        shutil.copyfile(results.trial_folder(row) / CONFIG_FILE, path)
        saved[f"{FRONT_FOLDER}/{path.name}"] = path
    return saved


def _front_sentence(results: SweepResults) -> str:
    cost = results.cost
    if cost is None or not results.front:
        return ""
    trials = ", ".join(
        f"{row.trial_id} ({row.value:.4g} for {shown_cost(cost, row.cost or 0.0)} {cost})"
        for row in results.front
    )
    return f" Pareto front: {trials}; their configurations are under *Artifacts*, in `{FRONT_FOLDER}/`."


def write_predictions(folder: Path, dataset: Dataset, part: str = "val") -> Path:
    """Predict one part of the split with the model in ``folder`` and write it beside the measurements."""
    from gisearch.models.batch import GenotypeBatch
    from gisearch.training.experiment import load_trained

    rows = dataset.split.part(part)
    genotypes = dataset.genotypes.subset(rows)
    predicted, std = load_trained(folder, dataset).predict(GenotypeBatch.from_genotypes(genotypes))
    path = folder / PREDICTIONS
    with path.open("w", encoding="utf-8", newline="") as file:
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
    """Write all trials, best first, as CSV; with a cost, what it was and whether a trial is on the front."""
    path = results.folder / LEADERBOARD
    keys = list(dict.fromkeys(key for row in results.rows for key in row.params))
    front = {row.number for row in results.front}
    extra = ["cost", "on_front"] if results.cost else []
    replaced = ["replaced"] if any(row.replaced for row in results.rows) else []
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            [
                "rank",
                "trial_id",
                results.metric,
                "status",
                "epochs",
                "seconds",
                "parameters",
                *extra,
                *replaced,
                *keys,
            ]
        )
        for rank, row in enumerate(results.rows, 1):
            parameters = (row.facts.get("parameters") or {}).get("total", "")
            values: list[Any] = [row.params.get(key, "") for key in keys]
            if replaced:
                values = [row.replaced, *values]
            if extra:
                cost = "" if row.cost is None else f"{row.cost:.10g}"
                values = [cost, row.number in front, *values]
            value = "" if row.value is None else f"{row.value:.6g}"
            writer.writerow(
                [rank, row.trial_id, value, row.status, row.epochs, f"{row.seconds:.2f}", parameters, *values]
            )
    return path


def draw(results: SweepResults) -> dict[str, Path]:
    """Draw the sweep's figures into ``plots/``; returns artifact path to file."""
    folder = results.folder / PLOTS
    return {f"{PLOTS}/{path.name}": path for path in draw_figures(results, folder)}
