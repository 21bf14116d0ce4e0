"""A sweep from its checked plan to its results."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState
from rich.console import Console

from gisearch.data.dataset import Dataset
from gisearch.data.load import load_dataset
from gisearch.errors import DataError, DiskFullError
from gisearch.search.budget import Budget
from gisearch.search.conclusion import conclude
from gisearch.search.disk import check_space
from gisearch.search.folders import check_results_dir
from gisearch.search.housekeeping import Housekeeper
from gisearch.search.leaving import Leaving
from gisearch.search.ledger import Ledger
from gisearch.search.lock import locked
from gisearch.search.plan import SweepPlan
from gisearch.search.progress import ProgressView
from gisearch.search.ray_start import check_ray
from gisearch.search.recorder import Recorder, start_tracking, sweep_question
from gisearch.search.results import (
    SweepResults,
    load_results,
)
from gisearch.search.scheduler import build_judge
from gisearch.search.session import RAY_FOLDER, Session, search_session
from gisearch.search.study import open_study
from gisearch.search.sweep_folder import sweep_folder
from gisearch.tracking.mlflow_tracker import SweepTracker
from gisearch.tracking.store import Store, check_address, is_file, open_store
from gisearch.training.cells import check_fit
from gisearch.training.objective import Objective


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

    Everything that can be checked is checked before Ray starts or a folder is made, but for a store that is
    a file: opening it takes seconds and comes beside. A sweep that fails there leaves no folder.

    Args:
        plan: the checked plan.
        folder: an existing sweep's folder to continue; None starts a new one.
        console: where progress is shown.

    Raises:
        GisearchError: data, tracking store or resources do not fit the plan.
    """
    tracking = plan.config.tracking
    if folder is None:
        check_results_dir(plan.config.results.dir)
    dataset = load_dataset(plan.config.data)
    for line in dataset.report.warnings():
        console.print(line, style="yellow", highlight=False, markup=False, soft_wrap=True)
    objective = Objective.resolve(plan.config.objective, dataset.target)
    _check_against(plan, dataset)
    check_space(plan, dataset, folder)
    check_address(tracking)
    check_ray()
    if folder is not None:
        # Said before the store is asked, which whoever runs it may be writing to.
        with locked(folder):
            pass
    store = None if is_file(tracking) else open_store(tracking)
    with ThreadPoolExecutor(1) as background:
        return _run(plan, folder, dataset, objective, store, background, console)


def _run(
    plan: SweepPlan,
    folder: Path | None,
    dataset: Dataset,
    objective: Objective,
    store: Store | None,
    background: ThreadPoolExecutor,
    console: Console,
) -> SweepOutcome:
    """Run a sweep that was checked; where its store is a file, open that beside Ray's start."""
    leaving = Leaving(
        plan.config.search.grace_seconds, lambda text: console.print(text, highlight=False, soft_wrap=True)
    )
    with sweep_folder(plan, folder, dataset, objective) as own, leaving:
        question = sweep_question(own, plan, dataset, objective)
        study = open_study(own, own.name, objective)
        ledger = Ledger(
            study, plan.space, plan.config.search, baselines=plan.baselines, seed=plan.config.seed
        )
        opened = background.submit(lambda: store or open_store(plan.config.tracking))
        with search_session(plan, own, dataset) as session:
            leaving.listen()
            # Tune takes seconds to import as well.
            from gisearch.search import tuning  # noqa: F401

            tracker = SweepTracker(opened.result(), own)
            start_tracking(tracker, own, plan, question, resumed=folder is not None)
            # The best model predicts at the end: PyTorch is imported while the first trials train.
            background.submit(import_module, "gisearch.training.experiment")
            _search(plan, ledger, objective, tracker, leaving, session, console)
        interrupted = not ledger.ended or bool(study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))
        shutil.rmtree(own / RAY_FOLDER, ignore_errors=True)
        messages: list[str] = []
        try:
            messages = conclude(own, dataset, tracker, question, interrupted=interrupted)
        except DiskFullError as error:
            leaving.because(str(error))
        interrupted = interrupted or leaving.trouble is not None
        results = load_results(own)
        return SweepOutcome(results, interrupted, tuple(messages), leaving.signal, leaving.trouble)


def _search(
    plan: SweepPlan,
    ledger: Ledger,
    objective: Objective,
    tracker: SweepTracker,
    leaving: Leaving,
    session: Session,
    console: Console,
) -> None:
    """Run trials until the budget is used up or somebody wants to leave."""
    from gisearch.search.searcher import LedgerSearcher
    from gisearch.search.supervision import Supervisor
    from gisearch.search.tuning import run_trials

    folder, search, study = tracker.directory, plan.config.search, ledger.study
    earlier = [t for t in study.get_trials(deepcopy=False) if "duplicate_of" not in t.user_attrs]
    judge = build_judge(
        search, mode=objective.mode, max_epochs=plan.max_epochs, earlier=earlier, ledger=ledger
    )
    budget = Budget(study, search, session.needs.total_gpus)
    # What a population hands on is the state after an epoch, not that of the best one.
    metric = objective.metric if search.scheduler == "pbt" else None
    supervisor = Supervisor(search, judge, budget, leaving, metric=metric)
    ended = [trial for trial in earlier if "outcome" in trial.user_attrs]
    reached = [
        trial.intermediate_values[trial.last_step]
        for trial in ended
        if trial.last_step is not None and trial.state != TrialState.FAIL
    ]
    best = (max if objective.mode == "max" else min)(reached, default=None)
    recorder = Recorder(tracker, objective, len(ended), best)
    view = ProgressView(console, objective, _total(plan), len(ended), tracker.notice)
    view.best = best_so_far(earlier, objective)
    observers = [budget, recorder, view, Housekeeper(folder, plan, study)]
    searcher = LedgerSearcher(plan, ledger, folder, observers, supervisor, session.groups)
    with view, suppress(DiskFullError):
        run_trials(searcher, session)
        budget.keep()


def best_so_far(trials: Sequence[FrozenTrial], objective: Objective) -> tuple[float, int] | None:
    """Return the best value that any trial has reached so far and its number; None where none has."""
    best: tuple[float, int] | None = None
    for trial in trials:
        if trial.state == TrialState.FAIL or trial.last_step is None:
            continue
        value = trial.intermediate_values[trial.last_step]
        if best is None or objective.better(value, best[0]):
            best = (value, trial.number)
    return best


def _total(plan: SweepPlan) -> int:
    size = plan.space.size(limit=100_000) if plan.config.search.exhaustive else None
    return size or plan.config.search.trials


def _check_against(plan: SweepPlan, dataset: Dataset) -> None:
    """Check every model that the space can produce: what the data lacks shows before anything starts."""
    for experiment in plan.variants():
        try:
            check_fit(experiment, dataset)
        except DataError as error:
            which = f"model={experiment.model.name}: " if len(plan.experiments) > 1 else ""
            raise DataError(f"{which}{error}") from None
