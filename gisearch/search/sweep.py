"""A sweep from its checked plan to its results."""

from __future__ import annotations

import logging
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import TrialState
from rich.console import Console

from gisearch.config import to_plain
from gisearch.data.dataset import Dataset
from gisearch.data.load import load_dataset
from gisearch.errors import ConfigError, DataError, DiskFullError, GisearchError, disk_full
from gisearch.search.budget import Budget
from gisearch.search.cluster import WorkerNeeds, concurrency, ray_session
from gisearch.search.conclusion import conclude
from gisearch.search.disk import check_space
from gisearch.search.distributed import GroupPool
from gisearch.search.housekeeping import Housekeeper
from gisearch.search.leaving import GraceOverError, Leaving
from gisearch.search.ledger import Ledger
from gisearch.search.lock import locked
from gisearch.search.plan import SweepPlan
from gisearch.search.progress import ProgressView
from gisearch.search.recorder import Recorder, start_tracking, sweep_question
from gisearch.search.results import (
    SPACE_FILE,
    TRIALS_FOLDER,
    SweepResults,
    load_results,
    numbered_folder,
    read_facts,
    write_facts,
)
from gisearch.search.scheduler import build_judge
from gisearch.search.searcher import LedgerSearcher
from gisearch.search.study import open_study
from gisearch.search.supervision import SupervisedScheduler, Supervisor, Watchdog
from gisearch.search.trial import TrialSupplies, run_trial
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
        signal: the signal that stopped it.
        trouble: what kept it from going on, such as a full disk; the user has been told.
    """

    results: SweepResults
    interrupted: bool
    messages: tuple[str, ...]
    signal: signal.Signals | None = None
    trouble: str | None = None


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
        check_space(plan, dataset, folder)
        if importing is not None:
            importing.result()
    store = open_store(plan.config.tracking)
    leaving = Leaving(
        plan.config.search.grace_seconds, lambda text: console.print(text, highlight=False, soft_wrap=True)
    )
    with _sweep_folder(plan, folder, dataset, objective) as own, leaving:
        tracker = SweepTracker(store, own)
        question = sweep_question(own, plan, dataset, objective)
        study = open_study(own, own.name, objective)
        ledger = Ledger(
            study, plan.space, plan.config.search, baselines=plan.baselines, seed=plan.config.seed
        )
        with _search_session(plan, own, dataset) as session:
            leaving.listen()
            start_tracking(tracker, own, plan, question, resumed=folder is not None)
            _search(plan, ledger, objective, tracker, leaving, session, console)
        interrupted = not ledger.ended or bool(study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))
        shutil.rmtree(own / _RAY_FOLDER, ignore_errors=True)
        messages: list[str] = []
        try:
            messages = conclude(own, dataset, tracker, question, interrupted=interrupted)
        except DiskFullError as error:
            leaving.because(str(error))
        interrupted = interrupted or leaving.trouble is not None
        results = load_results(own)
        return SweepOutcome(results, interrupted, tuple(messages), leaving.signal, leaving.trouble)


@contextmanager
def _sweep_folder(
    plan: SweepPlan, folder: Path | None, dataset: Dataset, objective: Objective
) -> Iterator[Path]:
    """Make the sweep's folder, or check that an existing one can be continued; hold it meanwhile.

    A new folder is removed again where the sweep cannot start.
    """
    resumed = folder is not None
    if folder is None:
        folder = numbered_folder(plan.config.results.dir, plan.config.name)
        _write_facts(folder, plan, dataset, objective)
    else:
        facts = read_facts(folder)
        if facts["data"] != dataset.digest():
            raise DataError(
                f"the data has changed since {folder} was started; a sweep compares on equal data."
            )
        if facts["metric"] != objective.metric:
            raise ConfigError(
                f"objective.metric: {folder} was started with {facts['metric']!r}, got {objective.metric!r}; "
                "a resumed sweep keeps its objectives."
            )
    with locked(folder):
        if resumed:
            # What was changed when it was resumed holds the next time too.
            write_facts(folder, {**read_facts(folder), "overrides": list(plan.overrides)})
        try:
            yield folder
        except GisearchError:
            if not resumed and not (folder / TRIALS_FOLDER).exists():
                shutil.rmtree(folder)
            raise


@dataclass(frozen=True)
class _Session:
    """Ray as one sweep uses it.

    Attributes:
        needs: the processes of one trial.
        parallel: trials at a time.
        groups: the groups of workers; None for trials of one worker.
        supplies: what all trials are given.
        storage: Ray's own folder.
    """

    needs: WorkerNeeds
    parallel: int
    groups: GroupPool | None
    supplies: TrialSupplies
    storage: Path


@contextmanager
def _search_session(plan: SweepPlan, folder: Path, dataset: Dataset) -> Iterator[_Session]:
    import ray

    needs = WorkerNeeds.of(plan.config.search, plan.config.trainer.workers)
    storage = folder.resolve() / _RAY_FOLDER
    with ray_session(state_api=needs.workers > 1) as nodes:
        parallel = concurrency(plan.config.search, needs, nodes)
        shared = ray.put(dataset)
        if needs.workers == 1:
            yield _Session(needs, parallel, None, TrialSupplies(shared), storage)
            return
        groups = GroupPool(parallel, needs, shared, storage)
        try:
            yield _Session(needs, parallel, groups, TrialSupplies(shared, groups.switchboard), storage)
        finally:
            groups.close()


def _search(
    plan: SweepPlan,
    ledger: Ledger,
    objective: Objective,
    tracker: SweepTracker,
    leaving: Leaving,
    session: _Session,
    console: Console,
) -> None:
    """Run trials until the budget is used up or somebody wants to leave."""
    folder, search, study = tracker.directory, plan.config.search, ledger.study
    earlier = [t for t in study.get_trials(deepcopy=False) if "duplicate_of" not in t.user_attrs]
    judge = build_judge(
        search, mode=objective.mode, max_epochs=plan.max_epochs, earlier=earlier, ledger=ledger
    )
    budget = Budget(study, search, session.needs.total_gpus)
    # What a population hands on is the state after an epoch, not that of the best one.
    metric = objective.metric if search.scheduler == "pbt" else None
    supervisor = Supervisor(search, judge, budget, leaving, metric=metric)
    done = sum("outcome" in trial.user_attrs for trial in earlier)
    view = ProgressView(console, objective, _total(plan), done, tracker.notice)
    observers = [budget, Recorder(tracker, objective), view, Housekeeper(folder, plan, study)]
    searcher = LedgerSearcher(plan, ledger, folder, observers, supervisor, session.groups)
    with view, suppress(DiskFullError):
        _tune(searcher, session)
        budget.keep()


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


def _tune(searcher: LedgerSearcher, session: _Session) -> None:
    leaving = searcher.supervisor.leaving
    try:
        with _quiet_tune(), _memory_is_no_surprise(), suppress(GraceOverError):
            _tuner(searcher, session).fit()
    # Tune wraps whatever it meets; it keeps files of its own beside the results.
    except Exception as error:
        full = disk_full(session.storage, error)
        if full is not None:
            leaving.because(str(full))
        elif leaving.trouble is None:
            raise


def _tuner(searcher: LedgerSearcher, session: _Session) -> Any:
    from ray import tune

    return tune.Tuner(
        tune.with_resources(
            tune.with_parameters(run_trial, supplies=session.supplies), session.needs.of_tune
        ),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=SupervisedScheduler(searcher.supervisor, searcher.numbers),
            # The ledger says when it is over.
            num_samples=-1,
            max_concurrent_trials=session.parallel,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name=session.storage.name,
            storage_path=str(session.storage.parent),
            # Whether a trial is tried again is the ledger's decision, by the reason.
            failure_config=tune.FailureConfig(max_failures=0),
            callbacks=[Watchdog(searcher.supervisor, searcher.numbers)],
            verbose=0,
        ),
    )


@contextmanager
def _memory_is_no_surprise() -> Iterator[None]:
    """Have Tune take a process that Ray's memory monitor has ended for one that died.

    Ray (2.60) raises an error there that is no RayActorError, which Tune's actor manager does not expect: it
    would end the whole sweep.
    """
    from unittest.mock import patch

    from ray.air.execution._internal import actor_manager
    from ray.exceptions import OutOfMemoryError, RayActorError
    from ray.tune.execution import tune_controller

    died = (RayActorError, OutOfMemoryError)
    modules = (actor_manager, tune_controller)
    with ExitStack() as stack:
        for module in modules:
            if hasattr(module, "RayActorError"):
                stack.enter_context(patch.object(module, "RayActorError", died))
        yield


@contextmanager
def _quiet_tune() -> Iterator[None]:
    """Keep Tune's own lines out of the live view."""
    import warnings

    # Tracebacks of trials that ended, of which the user is told in a sentence, and of snapshots that nobody
    # reads.
    for name in ("tune_controller", "experiment_state"):
        logging.getLogger(f"ray.tune.execution.{name}").setLevel(logging.CRITICAL)
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
    write_facts(folder, facts)
