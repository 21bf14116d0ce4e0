"""What the processes of ``test_workers.py`` run; importable by a fresh interpreter."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from gisearch.config import assign, build, flatten, to_plain
from gisearch.data.config import compose_data
from gisearch.data.load import load_dataset
from gisearch.models.batch import GenotypeBatch
from gisearch.models.registry import MODELS
from gisearch.training.checkpoint import LAST, CheckpointStore
from gisearch.training.config import ExperimentConfig
from gisearch.training.experiment import load_trained, run_experiment
from gisearch.training.workers import WorkerGroup
from tests.contracts.case import case_of

BATCH = 40
EPOCHS = 3


def experiment_of(model: str, changes: dict[str, Any]) -> ExperimentConfig:
    """Return a short experiment without dropout, whose masks depend on who computes what."""
    values: dict[str, Any] = {
        "data": to_plain(compose_data(["data=demo_tiny"])),
        "model": to_plain(build(MODELS[model], assign({"name": model}, dict(case_of(model).base)))),
        "trainer": {"max_epochs": EPOCHS, "batch_size": BATCH},
        "optimizer": {"lr": 3e-3, "warmup": 0.0},
    }
    dropouts = {key: 0.0 for key in flatten(values) if key.endswith("dropout")}
    return build(ExperimentConfig, assign(values, {**dropouts, **changes}))


def train(case: tuple[str, dict[str, Any]], folder: Path) -> dict[str, Any]:
    """Train one model; return what every process sees of it."""
    model, changes = case
    torch.set_num_threads(1)
    config = experiment_of(model, changes)
    dataset = load_dataset(config.data)
    reported: list[int] = []
    group = WorkerGroup()
    result = run_experiment(
        config, dataset, folder=folder, report=lambda epoch: reported.append(epoch.epoch), group=group
    )
    state = CheckpointStore(folder).load(LAST)
    genotypes = dataset.genotypes.subset(dataset.split.val)
    scores, _ = load_trained(folder, dataset).predict(GenotypeBatch.from_genotypes(genotypes))
    history = [{k: v for k, v in e.items() if k != "epoch_seconds"} for e in state["progress"]["history"]]
    return {
        "value": result.value,
        "subgroups": dict(result.subgroups),
        "history": history,
        "scores": scores,
        "reported": reported,
        "group": (group.rank, group.size),
    }


def worker(rank: int, size: int, cases: list[tuple[str, dict[str, Any]]], folder: str) -> None:
    """Train every case as one of ``size`` processes; each leaves what it saw in a file."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "RANK": str(rank), "WORLD_SIZE": str(size)}
    store = dist.FileStore(f"{folder}/rendezvous", size)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=size)
    seen = [train(case, Path(folder) / f"run{i}") for i, case in enumerate(cases)]
    Path(folder, f"seen{rank}.pickle").write_bytes(pickle.dumps(seen))
    dist.barrier()
    dist.destroy_process_group()
