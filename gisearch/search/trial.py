"""What runs in a trial's worker process: one experiment, every outcome reported, none raised.

An exception would end the warm worker and be retried, although it would only happen again; it is
reported as the trial's failure instead. What remains for Ray to retry is a process that died.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from gisearch.config import build
from gisearch.data.dataset import Dataset
from gisearch.errors import GisearchError
from gisearch.search.scheduler import EPOCH, OBJECTIVE

# Keys of a result. Nested values travel as JSON text, because Tune flattens mappings.
SUMMARY = "summary"
FAILURE = "failure"
FINISHED = "finished"
METRICS = "metrics"


def trial_name(number: int) -> str:
    """Return the name of a trial, in the results folder, in MLflow and in reports."""
    return f"t{number:04d}"


def run_trial(config: dict[str, Any], dataset: Dataset) -> None:
    """Train one configuration inside a Tune function trainable.

    Args:
        config: ``experiment`` (plain values) and ``folder`` (where checkpoints go).
        dataset: the data, read once from Ray's object store.
    """
    from ray import tune

    try:
        summary = _train(config, dataset)
    except GisearchError as error:
        tune.report({FAILURE: str(error), FINISHED: True})
    except MemoryError:
        tune.report({FAILURE: "out of memory: the worker could not allocate more.", FINISHED: True})
    except Exception as error:
        out_of_memory = type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)
        kind = "out of memory" if out_of_memory else type(error).__name__
        tune.report({FAILURE: f"{kind}: {str(error).splitlines()[0] if str(error) else ''}", FINISHED: True})
    else:
        tune.report(summary)


def _train(config: dict[str, Any], dataset: Dataset) -> dict[str, Any]:
    # Imported in the worker: the driver needs no PyTorch until then.
    import torch
    from ray import tune

    from gisearch.training.experiment import ExperimentConfig, run_experiment
    from gisearch.training.loop import EpochReport, peak_memory_mb

    torch.set_num_threads(max(1, int(os.environ.get("OMP_NUM_THREADS", "1"))))
    last: dict[str, Any] = {}

    def report(epoch: EpochReport) -> None:
        last.update(
            {
                EPOCH: epoch.epoch,
                OBJECTIVE: epoch.best_value,
                "best_epoch": epoch.best_epoch,
                "train_seconds": epoch.seconds,
                METRICS: json.dumps(epoch.metrics),
            }
        )
        tune.report({**last, FINISHED: False, "peak_memory_mb": peak_memory_mb()})

    result = run_experiment(
        build(ExperimentConfig, config["experiment"]), dataset, folder=Path(config["folder"]), report=report
    )
    return {
        EPOCH: result.epochs,
        OBJECTIVE: result.value,
        "best_epoch": result.best_epoch,
        "train_seconds": result.seconds,
        "peak_memory_mb": peak_memory_mb(),
        METRICS: last.get(METRICS, "{}"),
        SUMMARY: json.dumps({"parameters": dict(result.num_parameters), "subgroups": dict(result.subgroups)}),
        FINISHED: True,
    }
