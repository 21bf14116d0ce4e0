"""What runs in a trial's worker process: one experiment, every outcome reported, none raised.

An exception would end the warm worker, although it would only happen again; it is reported as the trial's
failure instead. What remains for the driver to notice is a process that died.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gisearch.search.keys import (
    EPOCH,
    FAILURE,
    FINISHED,
    HISTORY,
    LAST_EPOCH,
    LOST,
    METRICS,
    NO_SPACE,
    OBJECTIVE,
    SUMMARY,
)

Report = Callable[[Mapping[str, Any]], None]
Recall = Callable[[list[dict[str, Any]]], None]


@dataclass(frozen=True)
class TrialSupplies:
    """What all trials of a sweep are given.

    Attributes:
        dataset: reference to the dataset in Ray's object store.
        switchboard: the actor through which trials of several workers talk to these; None for one worker.
    """

    dataset: Any
    switchboard: Any = None


def trial_name(number: int) -> str:
    """Return the name of a trial, in the results folder, in MLflow and in reports."""
    return f"t{number:04d}"


def run_trial(config: dict[str, Any], supplies: TrialSupplies) -> None:
    """Train one configuration inside a Tune function trainable.

    Args:
        config: ``job`` with ``experiment`` (plain values), ``folder`` (where checkpoints go) and ``adopt``
            (the folder of a run whose state is taken over, or None) with ``leg`` (how often that has
            happened to this trial); and ``group``, the group of workers and the run's number there, or
            None to train in this process.
        supplies: what all trials share.
    """
    from ray import tune

    last: dict[str, Any] = {}
    earlier: dict[str, str] = {}

    def recall(past: list[dict[str, Any]]) -> None:
        # With the next report: the driver keeps of it what it has not heard.
        rows = [[epoch["epoch"], epoch["best_value"], dict(epoch["metrics"])] for epoch in past]
        earlier[HISTORY] = json.dumps(rows)

    def report(epoch: Mapping[str, Any]) -> None:
        last.update(
            {
                EPOCH: epoch["epoch"],
                OBJECTIVE: epoch["best_value"],
                "best_epoch": epoch["best_epoch"],
                "train_seconds": epoch["seconds"],
                "peak_memory_mb": epoch["peak_memory_mb"],
                METRICS: json.dumps(epoch["metrics"]),
                LAST_EPOCH: epoch["finished"],
            }
        )
        tune.report({**last, **earlier, FINISHED: False})
        earlier.clear()

    if config["group"] is None:
        closing = _train_here(config["job"], supplies, report, recall)
    else:
        closing = _train_in_group(config["job"], config["group"], supplies, report, recall)
    tune.report({**last, **earlier, **closing, FINISHED: True})


def _train_here(
    job: Mapping[str, Any], supplies: TrialSupplies, report: Report, recall: Recall
) -> dict[str, Any]:
    # Imported in the worker: the driver needs no PyTorch until then.
    import ray

    from gisearch.errors import DiskFullError, GisearchError
    from gisearch.search.failures import describe_crash
    from gisearch.search.job import run_job, use_reserved_processors

    use_reserved_processors()
    try:
        result = run_job(
            job,
            ray.get(supplies.dataset),
            lambda epoch: report(vars(epoch)),
            lambda past: recall([vars(epoch) for epoch in past]),
        )
    except DiskFullError as error:
        return {NO_SPACE: str(error)}
    except GisearchError as error:
        return {FAILURE: str(error)}
    except Exception as error:
        return {FAILURE: describe_crash(error)}
    return _summary(vars(result))


def _train_in_group(
    job: Mapping[str, Any],
    group: tuple[str, int],
    supplies: TrialSupplies,
    report: Report,
    recall: Recall,
) -> dict[str, Any]:
    from gisearch.search.switchboard import FULL, GONE, RESULT, relay

    kind, value = relay(supplies.switchboard, *group, dict(job), report, recall)
    if kind == RESULT:
        return _summary(value)
    if kind == GONE:
        return {LOST: value[0], FAILURE: value[1]}
    if kind == FULL:
        return {NO_SPACE: value}
    return {FAILURE: value}


def _summary(result: Mapping[str, Any]) -> dict[str, Any]:
    facts = {"parameters": dict(result["num_parameters"]), "subgroups": dict(result["subgroups"])}
    return {
        EPOCH: result["epochs"],
        OBJECTIVE: result["value"],
        "best_epoch": result["best_epoch"],
        "train_seconds": result["seconds"],
        "peak_memory_mb": result["peak_memory_mb"],
        SUMMARY: json.dumps(facts),
    }
