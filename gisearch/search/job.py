"""The training of one trial, alike in its own process and in a group of workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from gisearch.config import build
from gisearch.data.dataset import Dataset
from gisearch.training.adoption import Adoption
from gisearch.training.config import ExperimentConfig
from gisearch.training.experiment import ExperimentResult, run_experiment
from gisearch.training.loop import EpochReport
from gisearch.training.workers import WorkerGroup


def use_reserved_processors() -> None:
    """Have PyTorch use as many threads as Ray has reserved processors for this process."""
    torch.set_num_threads(max(1, int(os.environ.get("OMP_NUM_THREADS", "1"))))


def run_job(
    job: Mapping[str, Any],
    dataset: Dataset,
    report: Callable[[EpochReport], None],
    recall: Callable[[list[EpochReport]], None],
    group: WorkerGroup | None = None,
) -> ExperimentResult:
    """Train what a trial was handed.

    Args:
        job: ``experiment`` (plain values), ``folder``, ``adopt`` and ``leg``; see ``run_trial``.
        dataset: the data.
        report: called after every epoch.
        recall: called once with the epochs of earlier attempts.
        group: the processes that train together; None is this one alone.

    Raises:
        GisearchError: as :func:`gisearch.training.experiment.run_experiment` does.
    """
    return run_experiment(
        build(ExperimentConfig, job["experiment"]),
        dataset,
        folder=Path(job["folder"]),
        report=report,
        recall=recall,
        group=group,
        adopt=Adoption.of(job),
    )
