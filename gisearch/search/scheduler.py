"""Early stopping, and its memory of earlier trials when a sweep is continued."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, Literal

from optuna.trial import FrozenTrial
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from gisearch.search.config import SearchConfig

EPOCH, OBJECTIVE = "epoch", "objective"


def build_scheduler(
    config: SearchConfig, *, mode: Literal["max", "min"], max_epochs: int, earlier: Iterable[FrozenTrial] = ()
) -> TrialScheduler:
    """Return the scheduler; its rungs already hold what ``earlier`` trials reached.

    ASHA: Li et al. 2020, arXiv 1810.05934. It compares the best value so far at the same epoch, so that
    it judges a trial by what the trial would be recorded with.
    """
    if config.scheduler == "none" or config.grace_epochs >= max_epochs:
        return FIFOScheduler()
    scheduler = ASHAScheduler(
        time_attr=EPOCH,
        metric=OBJECTIVE,
        mode=mode,
        # A trial at its last epoch ends by itself; the rungs lie below.
        max_t=max_epochs,
        grace_period=config.grace_epochs,
        reduction_factor=config.reduction_factor,
        stop_last_trials=False,
    )
    for frozen in earlier:
        # The scheduler reads nothing of a trial but its identifier.
        trial: Any = SimpleNamespace(trial_id=f"earlier_{frozen.number}")
        scheduler.on_trial_add(None, trial)
        for epoch, value in sorted(frozen.intermediate_values.items()):
            scheduler.on_trial_result(None, trial, {EPOCH: epoch, OBJECTIVE: value})
    return scheduler
