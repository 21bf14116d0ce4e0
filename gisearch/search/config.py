"""How a sweep runs: its budget, its sampler, its early stopping, its resources."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from gisearch.config import STRICT
from gisearch.data.config import DataConfig
from gisearch.data.derived.config import DerivedConfig
from gisearch.files import LocalPath
from gisearch.models.registry import ModelConfig
from gisearch.tracking.config import TrackingConfig
from gisearch.training.config import ExperimentConfig, OptimizerConfig, TrainerConfig
from gisearch.training.objective import ObjectiveConfig

_SMALLEST_SHARE = 1e-4


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SearchConfig:
    """The search itself.

    Attributes:
        trials: configurations to evaluate, the baselines included; with ``pbt`` the members of the
            population.
        seed: decides every suggestion and every trial's own seed.
        sampler: ``tpe`` learns from finished trials; ``random`` does not.
        startup_trials: random trials before ``tpe`` begins to learn.
        scheduler: ``asha`` stops trials that fall behind at the same epoch; ``hyperband`` does so with
            several first rungs, for curves that cross; ``pbt`` trains a population whose worst members go
            on from the best ones (population based training); ``none`` stops no trial.
        grace_epochs: epochs that every trial is given before it may be stopped for its score.
        reduction_factor: the best 1 / reduction_factor go on at every rung.
        perturbation_epochs: with ``pbt``, epochs after which a member is compared with the others.
        quantile: with ``pbt``, share of the population that counts as its worst, and as its best.
        concurrency: trials at a time; None takes as many as the resources allow.
        cpus_per_worker: processors reserved for each process of a trial (``trainer.workers`` of them).
        gpus_per_worker: GPUs reserved for each process of a trial; a fraction lets small trials of one
            process share one.
        duplicates: ``reuse`` takes an identical configuration's earlier result; ``replicate`` trains it
            again with another seed.
        exhaustive: evaluate every configuration of a finite space once, in random order.
        hours: wall-clock time of the whole sweep, resumed ones added up; trials that run when it is over
            stop after their epoch. None sets no limit.
        gpu_hours: GPUs times hours of the whole sweep; None sets no limit.
        trial_minutes: time of one trial, after which it stops at the end of its epoch and keeps its score;
            counted anew when it is continued after a loss.
        stall_minutes: time without the end of an epoch after which a trial is taken for hung, ended, and
            recorded as failed; None waits forever.
        grace_seconds: time that trials are given to end their epoch when the sweep is told to leave.
        max_retries: how often a trial whose process died is continued from its last checkpoint.
        max_preemptions: how often a trial whose machine was taken away is.
        keep_top: trials whose checkpoints are kept, the best ones; what predicting with a trial, and an
            ensemble, need.
        keep_checkpoints: the earlier name of ``keep_top``, which it replaces where it is given.
    """

    trials: int = Field(default=16, ge=1)
    seed: int = Field(default=0, ge=0)
    sampler: Literal["tpe", "random"] = "tpe"
    startup_trials: int = Field(default=8, ge=0)
    scheduler: Literal["asha", "hyperband", "pbt", "none"] = "asha"
    grace_epochs: int = Field(default=5, ge=1)
    reduction_factor: float = Field(default=3.0, gt=1.0)
    perturbation_epochs: int = Field(default=5, ge=1)
    quantile: float = Field(default=0.25, gt=0.0, le=0.5)
    concurrency: int | None = Field(default=None, ge=1)
    cpus_per_worker: float = Field(default=1.0, gt=0.0)
    gpus_per_worker: float = Field(default=0.0, ge=0.0)
    duplicates: Literal["reuse", "replicate"] = "reuse"
    exhaustive: bool = False
    hours: float | None = Field(default=None, gt=0.0)
    gpu_hours: float | None = Field(default=None, gt=0.0)
    trial_minutes: float | None = Field(default=None, gt=0.0)
    stall_minutes: float | None = Field(default=60.0, gt=0.0)
    grace_seconds: float = Field(default=30.0, ge=0.0)
    max_retries: int = Field(default=2, ge=0)
    max_preemptions: int = Field(default=100, ge=0)
    keep_top: int = Field(default=10, ge=1)
    keep_checkpoints: int | None = Field(default=None, ge=1)

    @property
    def num_kept(self) -> int:
        """How many trials keep their checkpoints."""
        return self.keep_checkpoints or self.keep_top

    def __post_init__(self) -> None:
        cpus, gpus = self.cpus_per_worker, self.gpus_per_worker
        if gpus > 1 and gpus != int(gpus):
            raise ValueError(
                f"gpus_per_worker: more than one GPU must be whole ones; expected {math.floor(gpus)} or "
                f"{math.ceil(gpus)}, or a fraction below 1; got {gpus:g}."
            )
        for key, number in (("cpus_per_worker", cpus), ("gpus_per_worker", gpus)):
            if abs(number / _SMALLEST_SHARE - round(number / _SMALLEST_SHARE)) > 1e-6:
                raise ValueError(
                    f"{key}: Ray divides nothing finer than into {_SMALLEST_SHARE:g}; expected a multiple of "
                    f"it, got {number:g}."
                )


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ResultsConfig:
    """Where results go.

    Attributes:
        dir: the folder that holds one folder per sweep or training run.
        report: write the report, one HTML page, when a sweep ends.
    """

    dir: LocalPath = "results"
    report: bool = True


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SweepConfig:
    """A sweep: the configuration it varies, and how it is run.

    Attributes:
        name: the sweep's name, in the results folder and in MLflow.
        data: what to learn from.
        model: the model that the search varies.
        optimizer: how its weights move.
        trainer: how long, in which batches.
        objective: which validation metric decides.
        seed: master seed of the trials' weights, batches and dropout.
        derived: what the training labels tell of genes beforehand.
        search: the search itself.
        tracking: where runs are recorded.
        results: where results go.
    """

    data: DataConfig
    model: ModelConfig
    name: str = Field(default="sweep", min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    optimizer: OptimizerConfig = Field(default_factory=OptimizerConfig)
    trainer: TrainerConfig = Field(default_factory=TrainerConfig)
    objective: ObjectiveConfig = Field(default_factory=ObjectiveConfig)
    seed: int = Field(default=0, ge=0)
    derived: DerivedConfig = Field(default_factory=DerivedConfig)
    search: SearchConfig = Field(default_factory=SearchConfig)
    tracking: TrackingConfig = Field(default_factory=TrackingConfig)
    results: ResultsConfig = Field(default_factory=ResultsConfig)

    def __post_init__(self) -> None:
        workers, gpus = self.trainer.workers, self.search.gpus_per_worker
        if workers > 1 and gpus != int(gpus):
            raise ValueError(
                f"search.gpus_per_worker: the {workers} workers of a trial (trainer.workers) need whole "
                f"GPUs, for NCCL cannot run two processes on one; expected {math.ceil(gpus)}, got {gpus:g}."
            )

    @property
    def experiment(self) -> ExperimentConfig:
        """The configuration that trials vary."""
        return ExperimentConfig(
            data=self.data,
            model=self.model,
            optimizer=self.optimizer,
            trainer=self.trainer,
            objective=self.objective,
            seed=self.seed,
            derived=self.derived,
        )
