"""How long a training step takes, candidates in turn: a busy minute slows all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np
import torch

from gisearch.data.dataset import Dataset
from gisearch.errors import GisearchError
from gisearch.models.base import FittedModel
from gisearch.models.batch import GenotypeBatch
from gisearch.training.config import ExperimentConfig
from gisearch.training.experiment import build_model
from gisearch.training.loop import resolve_device
from gisearch.training.target import training_targets

_WARM_UP = 2
_LEAST, _MOST = 5, 100


def step_seconds(
    configs: Mapping[str, ExperimentConfig], dataset: Dataset, seconds: float = 1.0
) -> dict[str, float]:
    """Return the median time of one training step by candidate, measured in this process.

    A round takes one step of every candidate. A step is a batch forward, backward and through the optimiser;
    of a model without gradients it is one of its own, over the whole training split.

    Args:
        configs: the candidates' experiments by name.
        dataset: the data.
        seconds: about how long each candidate is measured for; at least 5 steps are.

    Returns:
        Nothing for a candidate that cannot be trained here, such as for lack of a GPU or of memory.
    """
    steps: dict[str, Callable[[], None]] = {}
    for name, config in configs.items():
        try:
            step = _step(config, dataset)
            for _ in range(_WARM_UP):
                step()
        except (GisearchError, RuntimeError, MemoryError):
            continue
        steps[name] = step
    taken: dict[str, list[float]] = {name: [] for name in steps}
    began = time.perf_counter()
    for i in range(_MOST):
        if i >= _LEAST and time.perf_counter() - began > seconds * len(steps):
            break
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            taken[name].append(time.perf_counter() - started)
    return {name: float(np.median(values)) for name, values in taken.items()}


def _step(config: ExperimentConfig, dataset: Dataset) -> Callable[[], None]:
    device = resolve_device(config.trainer.device)
    model = build_model(config, dataset).to(device)
    model.train()
    model.start_epoch(1)
    genotypes = GenotypeBatch.from_genotypes(dataset.genotypes.subset(dataset.split.train)).to(device)
    targets = training_targets(dataset).to(device)
    if isinstance(model, FittedModel):
        fitted = model
        return lambda: _ignore(fitted.fit_epoch(genotypes, targets))
    optimizer, _ = config.optimizer.build(model, total_steps=1)
    rows = torch.arange(min(config.trainer.batch_size, len(genotypes)), device=device)
    parts = rows.tensor_split(min(config.trainer.accumulate, len(rows)))
    low = config.trainer.precision == "bf16"

    def step() -> None:
        for part in parts:
            with torch.autocast(device.type, torch.bfloat16, enabled=low):
                loss = model.training_loss(genotypes[part], targets[part])
            (loss * (len(part) / len(rows))).backward()
        if config.optimizer.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), config.optimizer.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step


def _ignore(_: float) -> None:
    """Drop a value."""
