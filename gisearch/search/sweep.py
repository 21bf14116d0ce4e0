"""A sweep from its checked plan to its results."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from optuna.trial import TrialState
from rich.console import Console

from gisearch.config import to_plain
from gisearch.data.dataset import Dataset
from gisearch.data.load import load_dataset
from gisearch.errors import ConfigError, DataError
from gisearch.search.cluster import concurrency, ray_session, trial_resources
from gisearch.search.conclusion import conclude
from gisearch.search.housekeeping import Housekeeper
from gisearch.search.ledger import Ledger, open_study
from gisearch.search.plan import SweepPlan
from gisearch.search.progress import ProgressView
from gisearch.search.recorder import Recorder, start_tracking, sweep_question
from gisearch.search.results import (
    SPACE_FILE,
    SWEEP_FILE,
    SweepResults,
    load_results,
    numbered_folder,
    read_facts,
)
from gisearch.search.scheduler import build_scheduler
from gisearch.search.searcher import LedgerSearcher, Observer
from gisearch.search.trial import run_trial
from gisearch.tracking.mlflow_tracker import SweepTracker
from gisearch.tracking.provenance import collect_provenance
from gisearch.tracking.store import open_store, preload
from gisearch.training.metrics import Objective

_RAY_FOLDER = "ray"


@dataclass(frozen=True)
class SweepOutcome:
    """How a sweep ended.

    Attributes:
        results: what it found so far.
        interrupted: whether it was stopped before its budget was used up.
        messages: sentences for the user, such as tracking that is still to be uploaded.
    """

    results: SweepResults
    interrupted: bool
    messages: tuple[str, ...]


def run_sweep(plan: SweepPlan, folder: Path | None = None, *, console: Console) -> SweepOutcome:
    """Run a sweep, or continue the one in ``folder``.

    Everything that can be checked is checked before Ray starts or a folder is made.

    Args:
        plan: the checked plan.
        folder: an existing sweep's folder to continue; None starts a new one.
        console: where progress is shown.

    Raises:
        GisearchError: data, tracking store or resources do not fit the plan.
    """
    with ThreadPoolExecutor(1) as background:
        # Importing MLflow takes seconds, as does loading the data: side by side. Opening the store may create
        # a database, and comes after the checks.
        importing = background.submit(preload) if plan.config.tracking.enabled else None
        dataset = load_dataset(plan.config.data)
        objective = Objective.resolve(plan.config.objective, dataset.target)
        _check_against(plan, dataset)
        if importing is not None:
            importing.result()
    store = open_store(plan.config.tracking)
    resumed = folder is not None
    if folder is None:
        folder = numbered_folder(plan.config.results.dir, plan.config.name)
        _write_facts(folder, plan, dataset, objective)
    elif read_facts(folder)["data"] != dataset.digest():
        raise DataError(f"the data has changed since {folder} was started; a sweep compares on equal data.")
    with ray_session() as available:
        try:
            parallel = concurrency(plan.config.search, available)
        except ConfigError:
            if not resumed:
                shutil.rmtree(folder)
            raise
        study = open_study(folder, folder.name, objective)
        earlier = [t for t in study.get_trials(deepcopy=False) if t.state.is_finished()]
        ledger = Ledger(
            study,
            plan.space,
            plan.config.search,
            baselines=plan.baselines,
            seed=plan.config.seed,
        )
        tracker = SweepTracker(store, folder)
        question = sweep_question(folder, plan, dataset, objective)
        start_tracking(tracker, folder, plan, question, resumed=resumed)
        evaluated = sum("outcome" in t.user_attrs for t in earlier)
        view = ProgressView(console, objective, _total(plan), evaluated, tracker.notice)
        observers: list[Observer] = [Recorder(tracker, objective), view, Housekeeper(folder, plan, study)]
        searcher = LedgerSearcher(plan, ledger, folder, observers)
        scheduler = build_scheduler(
            plan.config.search,
            mode=objective.mode,
            max_epochs=plan.max_epochs,
            earlier=[t for t in earlier if "duplicate_of" not in t.user_attrs],
        )
        with view:
            _tune(searcher, scheduler, plan, dataset, folder, parallel)
    interrupted = not ledger.ended or bool(study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))
    messages = conclude(folder, dataset, tracker, question, interrupted=interrupted)
    shutil.rmtree(folder / _RAY_FOLDER, ignore_errors=True)
    return SweepOutcome(load_results(folder), interrupted, tuple(messages))


def _total(plan: SweepPlan) -> int:
    size = plan.space.size(limit=100_000) if plan.config.search.exhaustive else None
    return size or plan.config.search.trials


def _check_against(plan: SweepPlan, dataset: Dataset) -> None:
    """Check every model that the space can produce: what the data lacks shows before anything starts."""
    for model in plan.models():
        try:
            model.check(dataset.cell, dataset.target)
        except DataError as error:
            which = f"model={model.name}: " if len(plan.experiments) > 1 else ""
            raise DataError(f"{which}{error}") from None


def _tune(
    searcher: LedgerSearcher,
    scheduler: Any,
    plan: SweepPlan,
    dataset: Dataset,
    folder: Path,
    parallel: int,
) -> None:
    from ray import tune

    trainable = tune.with_resources(
        tune.with_parameters(run_trial, dataset=dataset), trial_resources(plan.config.search)
    )
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=scheduler,
            # The ledger says when it is over.
            num_samples=-1,
            max_concurrent_trials=parallel,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name=_RAY_FOLDER,
            storage_path=str(folder.resolve()),
            failure_config=tune.FailureConfig(max_failures=plan.config.search.max_retries),
            verbose=0,
        ),
    )
    with _quiet_tune():
        tuner.fit()


@contextmanager
def _quiet_tune() -> Iterator[None]:
    """Keep Tune's own lines out of the live view."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _write_facts(folder: Path, plan: SweepPlan, dataset: Dataset, objective: Objective) -> None:
    """Write what a later command needs to know of the sweep, and what continuing it needs."""
    ceiling = None if dataset.noise_ceiling is None else dataset.noise_ceiling.get("val")
    facts = {
        "name": folder.name,
        "question": plan.question,
        "metric": objective.metric,
        "mode": objective.mode,
        "target": dataset.target.name,
        "noise_ceiling": None if ceiling is None else float(ceiling),
        "data": dataset.digest(),
        "overrides": list(plan.overrides),
        "max_epochs": plan.max_epochs,
        "space": [p.path for p in plan.space.parameters],
        "tracking": to_plain(plan.config.tracking),
        "provenance": collect_provenance(),
    }
    shutil.copyfile(plan.source, folder / SPACE_FILE)
    (folder / SWEEP_FILE).write_text(yaml.safe_dump(facts, sort_keys=False))
