"""The runs of a comparison on the validation and test splits: predictions, scores, intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gisearch.answers.comparison import Comparison
from gisearch.answers.evidence import Array, Evidence, ScoredPart
from gisearch.answers.findings import ANSWERS_FOLDER, Candidate, RunScore, findings_path
from gisearch.answers.record import ComparisonSweep
from gisearch.data.dataset import Dataset
from gisearch.data.load import load_dataset
from gisearch.errors import CheckpointError, ConfigError, NonFiniteError, disk_full
from gisearch.models.base import FittedModel
from gisearch.models.batch import GenotypeBatch
from gisearch.search.folders import trial_folder
from gisearch.search.results import TrialRow
from gisearch.training.experiment import TrainedModel, load_trained
from gisearch.training.target import TargetScale

_PARTS = ("val", "test")


@dataclass(frozen=True)
class Scores:
    """What the runs of a comparison scored.

    Attributes:
        candidates: with their results, in the record's order.
        test: the evidence for the test split.
        noise_ceiling: the best attainable test score, where the data knows it.
    """

    candidates: tuple[Candidate, ...]
    test: Evidence
    noise_ceiling: float | None


def score_runs(comparison: Comparison) -> Scores:
    """Predict the validation and test splits with every run's best model, and keep the test predictions.

    Raises:
        DataError: the data has changed.
        DiskFullError: there is no space for the predictions.
    """
    source, record = comparison.source, comparison.record
    metric = source.results.metric.partition("/")[2]
    parts: dict[str, list[ScoredPart]] = {name: [] for name in _PARTS}
    entries: list[_Run] = []
    kept: dict[str, Any] = {}
    ceilings, scale, kind = [], 1.0, "regression"
    for i, sweep in enumerate(record.sweeps):
        dataset = load_dataset(comparison.plan(sweep).config.data)
        scale, kind = TargetScale.fit(dataset).std, dataset.target.kind
        found = _predict_all(comparison, sweep, dataset, i)
        entries += found
        for name in _PARTS:
            predicted: dict[str, dict[int, Array]] = {}
            for run in found:
                if run.predicted is not None:
                    predicted.setdefault(run.candidate, {})[run.row.params["seed"]] = run.predicted[name]
            parts[name].append(ScoredPart(dataset.values(name).astype(np.float64), predicted))
        kept |= {
            f"{sweep.name}/genotypes": dataset.split.test,
            f"{sweep.name}/measured": parts["test"][-1].measured,
        }
        kept |= {
            f"{sweep.name}/{run.row.trial_id}": run.predicted["test"].astype(np.float32)
            for run in found
            if run.predicted is not None
        }
        if dataset.noise_ceiling is not None and metric == "pearson":
            ceilings.append(float(dataset.noise_ceiling["test"]))
    seed = record.seeds[0]
    evidence = {name: Evidence(parts[name], metric, kind, scale=scale, seed=seed) for name in _PARTS}
    _keep(findings_path(source.folder, record.choice).stem, source.folder / ANSWERS_FOLDER, kept)
    candidates = tuple(_with_results(one, entries, evidence) for one in record.candidates)
    return Scores(candidates, evidence["test"], float(np.mean(ceilings)) if ceilings else None)


@dataclass(frozen=True)
class _Run:
    candidate: str
    row: TrialRow
    sweep: ComparisonSweep
    index: int
    predicted: Mapping[str, Array] | None
    step_seconds: float | None
    reason: str | None


def _predict_all(comparison: Comparison, sweep: ComparisonSweep, dataset: Dataset, index: int) -> list[_Run]:
    folder, runs = comparison.folder_of(sweep), []
    batches = {
        name: GenotypeBatch.from_genotypes(dataset.genotypes.subset(dataset.split.part(name)))
        for name in _PARTS
    }
    rows, seeds = comparison.rows(sweep), comparison.record.seeds
    for (candidate, _), row in sorted(rows.items(), key=lambda item: seeds.index(item[0][1])):
        run = _Run(candidate, row, sweep, index, None, None, row.reason)
        if row.status == "stopped_early":
            run = replace(run, reason=row.reason or "it was stopped early.")
        elif row.value is not None:
            try:
                trained = load_trained(trial_folder(folder, row.number), dataset)
                predicted = {
                    name: trained.predict(batch)[0].numpy().astype(np.float64)
                    for name, batch in batches.items()
                }
                run = replace(run, predicted=predicted, step_seconds=_step_seconds(row, trained, dataset))
            except (CheckpointError, NonFiniteError) as error:
                run = replace(run, reason=str(error))
        runs.append(run)
    return runs


def _step_seconds(row: TrialRow, trained: TrainedModel, dataset: Dataset) -> float | None:
    """Return a run's mean time of a step; evaluations are spread over the steps."""
    whole = isinstance(trained.model, FittedModel)
    steps = 1 if whole else -(-len(dataset.split.train) // trained.config.trainer.batch_size)
    return row.seconds / (row.epochs * steps) if row.epochs else None


def _with_results(candidate: Candidate, runs: list[_Run], evidence: Mapping[str, Evidence]) -> Candidate:
    own = [run for run in runs if run.candidate == candidate.name]
    scored = []
    for run in own:
        seed = int(run.row.params["seed"])
        val, test = (evidence[name].scores(candidate.name, run.index).get(seed) for name in _PARTS)
        scored.append(
            RunScore(
                trial=run.row.trial_id,
                seed=seed,
                split=run.sweep.split,
                val=val,
                test=test,
                seconds=run.row.seconds,
                step_seconds=run.step_seconds,
                reason=run.reason,
            )
        )
    counts = [(run.row.facts.get("parameters") or {}).get("total") for run in own]
    return replace(
        candidate,
        parameters=int(next((count for count in counts if count is not None), 0)),
        val=evidence["val"].interval(candidate.name),
        test=evidence["test"].interval(candidate.name),
        runs=tuple(scored),
    )


def _keep(stem: str, folder: Path, arrays: Mapping[str, Any]) -> None:
    path = folder / f"{stem}_predictions.npz"
    try:
        folder.mkdir(exist_ok=True)
        np.savez_compressed(path, **arrays)
    except OSError as error:
        raise disk_full(path, error) or ConfigError(f"cannot write {path}: {error.strerror}.") from None
