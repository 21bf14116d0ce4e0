"""Tune, which runs the trials that a searcher hands out."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from gisearch.errors import disk_full
from gisearch.search.leaving import GraceOverError
from gisearch.search.searcher import LedgerSearcher
from gisearch.search.session import Session
from gisearch.search.supervision import SupervisedScheduler, Watchdog
from gisearch.search.switchboard import LOST_SWITCHBOARD
from gisearch.search.trial import run_trial


def run_trials(searcher: LedgerSearcher, session: Session) -> None:
    """Have Tune run what the searcher hands out, until there is no more or somebody wants to leave."""
    leaving = searcher.supervisor.leaving
    try:
        with _quiet_tune(), _memory_is_no_surprise(), suppress(GraceOverError):
            _tuner(searcher, session).fit()
    # Tune wraps whatever it meets; it keeps files of its own beside the results.
    except Exception as error:
        full = disk_full(session.storage, error)
        if full is not None:
            leaving.because(str(full))
        elif session.groups is not None and session.groups.is_lost:
            leaving.because(LOST_SWITCHBOARD)
        elif leaving.trouble is None:
            raise


def _tuner(searcher: LedgerSearcher, session: Session) -> Any:
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
