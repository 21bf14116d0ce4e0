"""What the processes of ``test_workers.py`` run; importable by a fresh interpreter."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from gisearch.errors import ConfigError, NonFiniteError
from gisearch.models.layers.stages import StageMonitor
from gisearch.models.whole_batch import WholeBatch
from gisearch.training.workers import SharedBatch, WorkerGroup

ROWS, WIDTH = 7, 3


def contrastive(batch: WholeBatch, own: Tensor, weights: Tensor) -> Tensor:
    """A loss that is no sum over rows, of rows [n, WIDTH] of this process."""
    rows = batch.gather(torch.tanh(own @ weights))
    noise = batch.draw(lambda count: torch.rand(count, WIDTH), len(own))
    shifted = batch.gather(torch.tanh((own + noise) @ weights))
    return torch.logsumexp(rows @ shifted.T, dim=1).mean()


def case() -> tuple[Tensor, Tensor]:
    """Return rows, [ROWS, WIDTH], and weights, [WIDTH, WIDTH], that are the same everywhere."""
    generator = torch.Generator().manual_seed(5)
    return torch.randn(ROWS, WIDTH, generator=generator), torch.randn(WIDTH, WIDTH, generator=generator)


def checked(group: WorkerGroup, stages: dict[str, float]) -> str | None:
    monitor = StageMonitor()
    for name, value in stages.items():
        monitor.watch(name, torch.tensor([value]))
    try:
        group.check(monitor)
    except NonFiniteError as error:
        return str(error)
    return None


def on_first(group: WorkerGroup, called: list[int]) -> tuple[str, str]:
    def succeed() -> str:
        called.append(group.rank)
        return f"by {group.rank}"

    def fail() -> None:
        called.append(group.rank)
        raise ConfigError("the first one cannot.")

    found = group.on_first(succeed)
    try:
        group.on_first(fail)
    except ConfigError as error:
        return found, str(error)
    return found, "no error"


def gradients(group: WorkerGroup) -> dict[str, Any]:
    """Return a loss of shared rows, and the average of its gradients over the processes."""
    rows, start = case()
    weights = nn.Parameter(start)
    sizes = [len(part) for part in rows.tensor_split(group.size)]
    # Other processes' generators are anywhere.
    torch.manual_seed(11 + 100 * group.rank)
    loss = contrastive(SharedBatch(group, sizes), group.share(rows), weights)
    loss.backward()
    assert weights.grad is not None
    return {"loss": loss.item(), "gradient": group.total(weights.grad) / group.size}


def worker(rank: int, size: int, folder: str) -> None:
    """Use a group as one of ``size`` processes; leaves what it saw in a file."""
    torch.set_num_threads(1)
    store = dist.FileStore(f"{folder}/rendezvous", size)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=size)
    group = WorkerGroup()
    rows, called = case()[0], list[int]()
    own = group.share(rows)
    bad, fine = float("nan"), 1.0
    seen = {
        "group": (group.rank, group.size),
        "share": own,
        "gathered": group.gather(own),
        "gathered with sizes": group.gather(own, [4, 3]),
        "gathered none of one": group.gather(own[: 2 * rank]),
        "total": group.total(torch.tensor([1.0, 10.0 * rank])),
        "broadcast": group.broadcast(torch.tensor([5.0 + rank])),
        "exchange": group.exchange({"rank": rank}),
        "on_first": on_first(group, called),
        "called": called,
        "fine": checked(group, {"encoder": fine}),
        "bad in the second": checked(group, {"encoder": fine, "loss": bad if rank else fine}),
        "bad in both": checked(group, {"encoder": fine, "pooling" if rank else "encoder": bad}),
        "after it": checked(group, {"encoder": fine}),
        "gradients": gradients(group),
    }
    Path(folder, f"seen{rank}.pickle").write_bytes(pickle.dumps(seen))
    dist.barrier()
    dist.destroy_process_group()
