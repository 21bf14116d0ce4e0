"""Configuration of one experiment, without PyTorch, which only training needs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml
from pydantic import Field
from pydantic.dataclasses import dataclass

from gisearch.config import STRICT, build, to_plain
from gisearch.data.config import DataConfig
from gisearch.data.derived.config import DerivedConfig
from gisearch.errors import ConfigError
from gisearch.files import write_whole
from gisearch.models.registry import ModelConfig
from gisearch.training.objective import ObjectiveConfig
from gisearch.yaml_text import Loader, dump

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import AdamW
    from torch.optim.lr_scheduler import LambdaLR

CONFIG_FILE = "config.yaml"
# In the folder of an ensemble: its members' folders, which lie in there, with their weights.
MEMBERS_FILE = "members.json"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TrainerConfig:
    """How long and how a model is trained.

    Attributes:
        max_epochs: passes over the training split at most.
        batch_size: genotypes per optimiser step.
        accumulate: parts that each batch is computed in, for less memory at the same result.
        patience: epochs without a better validation score before stopping; None never stops early.
        precision: ``bf16`` computes products in bfloat16 where the device gains from it.
        device: ``auto`` takes a GPU where there is one.
        checkpoint_seconds: least time between two checkpoints to continue from; the best epoch's model
            is always written at once.
        eval_batch_size: genotypes per forward pass of an evaluation.
        record_steps: on one GPU, record a training step once and replay it, with models that allow it
            (``dango_gi`` with ``perturbation=index``, except GATv2); the numbers are the same.
        workers: processes that share every batch, each on processors or a GPU of its own; the numbers are
            those of one process.
    """

    max_epochs: int = Field(default=30, ge=1)
    batch_size: int = Field(default=256, ge=1)
    accumulate: int = Field(default=1, ge=1)
    patience: int | None = Field(default=None, ge=1)
    precision: Literal["float32", "bf16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    checkpoint_seconds: float = Field(default=0.0, ge=0.0)
    eval_batch_size: int = Field(default=65536, ge=1)
    record_steps: bool = False
    workers: int = Field(default=1, ge=1, le=1024)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class OptimizerConfig:
    """The optimiser and its learning-rate schedule.

    Attributes:
        lr: peak learning rate.
        weight_decay: decoupled weight decay, on weight matrices only.
        beta1: decay of the gradient's running mean.
        beta2: decay of the squared gradient's running mean.
        warmup: share of all steps over which the rate rises from 0 to ``lr``.
        schedule: ``cosine`` decays to ``final_lr_ratio * lr``; ``constant`` stays at ``lr``.
        cycles: cosine cycles, each restarting at ``lr``.
        final_lr_ratio: where a cosine cycle ends, relative to ``lr``.
        clip_norm: bound on the gradient's norm; None does not clip.
    """

    lr: float = Field(default=3e-3, gt=0.0, le=10.0)
    weight_decay: float = Field(default=1e-4, ge=0.0, le=10.0)
    beta1: float = Field(default=0.9, ge=0.0, lt=1.0)
    beta2: float = Field(default=0.999, ge=0.0, lt=1.0)
    warmup: float = Field(default=0.05, ge=0.0, lt=1.0)
    schedule: Literal["cosine", "constant"] = "cosine"
    cycles: int = Field(default=1, ge=1, le=100)
    final_lr_ratio: float = Field(default=0.01, ge=0.0, le=1.0)
    clip_norm: float | None = Field(default=1.0, gt=0.0)

    def build(self, model: nn.Module, total_steps: int) -> tuple[AdamW, LambdaLR]:
        """Return the optimiser and its per-step schedule.

        The schedule is a function of the step alone, so that a resumed run continues it exactly.
        """
        from gisearch.training.optimizer import adamw

        return adamw(self, model, total_steps)

    def factor(self, step: int, total_steps: int) -> float:
        """Return the learning rate at ``step`` relative to ``lr``.

        Source: SGDR, Loshchilov and Hutter 2017, arXiv 1608.03983.
        """
        warmup_steps = round(self.warmup * total_steps)
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        if self.schedule == "constant":
            return 1.0
        progress = min((step - warmup_steps) / max(total_steps - warmup_steps, 1), 1.0)
        within = 1.0 if progress == 1.0 else (progress * self.cycles) % 1.0
        return self.final_lr_ratio + (1 - self.final_lr_ratio) * 0.5 * (1 + math.cos(math.pi * within))


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ExperimentConfig:
    """Everything that decides the numbers of one training run.

    Attributes:
        data: what to learn from.
        model: which model, in which configuration.
        optimizer: how its weights move.
        trainer: how long, in which batches, on which device.
        objective: which validation metric decides.
        seed: the master seed of weights, batches and dropout.
        derived: what the training labels tell of genes beforehand.
    """

    data: DataConfig
    model: ModelConfig
    optimizer: OptimizerConfig = Field(default_factory=OptimizerConfig)
    trainer: TrainerConfig = Field(default_factory=TrainerConfig)
    objective: ObjectiveConfig = Field(default_factory=ObjectiveConfig)
    seed: int = Field(default=0, ge=0)
    derived: DerivedConfig = Field(default_factory=DerivedConfig)


def save_config(config: ExperimentConfig, folder: Path) -> Path:
    """Write ``config.yaml`` so that ``gisearch.train --config`` takes it back.

    Raises:
        DiskFullError: there is no space left.
        ConfigError: the folder cannot be written.
    """
    path = folder / CONFIG_FILE
    # A run that goes on compares itself with this file: half of one would look like another run.
    write_whole(path, config_yaml(config))
    return path


def config_yaml(config: ExperimentConfig) -> str:
    """Return the configuration as YAML."""
    return dump(to_plain(config))


def load_config(path: Path) -> ExperimentConfig:
    """Read a ``config.yaml`` that a trial or a training run wrote.

    Raises:
        ConfigError: the file is missing, no YAML mapping, or no valid configuration.
    """
    try:
        values: Any = yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)
    except FileNotFoundError:
        raise ConfigError(f"no configuration file at {path}.") from None
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"cannot read the configuration {path}: {str(error).splitlines()[0]}.") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a mapping of configuration keys.")
    try:
        return build(ExperimentConfig, values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
