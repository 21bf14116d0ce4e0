"""Several processes that train one model: who computes what, and how they agree."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from gisearch.errors import GisearchError, NonFiniteError
from gisearch.models.layers.stages import StageMonitor
from gisearch.models.whole_batch import WholeBatch

T = TypeVar("T")


class StopTraining(GisearchError):  # noqa: N818
    """Raised by a report to end a run between two epochs; no failure."""


class WorkerGroup:
    """The processes that train one model; this one is ``rank`` of ``size``.

    Every process holds the whole data, which is small, and computes its share of every batch. All must
    call the methods in the same order.
    """

    def __init__(self) -> None:
        """Join the process group that is set up, or stand alone."""
        joined = dist.is_available() and dist.is_initialized()
        self.rank: int = dist.get_rank() if joined else 0
        self.size: int = dist.get_world_size() if joined else 1
        # Apart from the one that averages gradients: their messages must not meet.
        self._group = dist.new_group() if self.size > 1 else None

    def share(self, rows: Tensor) -> Tensor:
        """Return this process's share of the rows, [~n / size, ...]; no two shares overlap."""
        return rows.tensor_split(self.size)[self.rank]

    def gather(self, rows: Tensor, sizes: list[int] | None = None) -> Tensor:
        """Return all processes' rows in the order of their ranks, [n, ...].

        Args:
            rows: this process's rows; the sizes of the first dimension may differ.
            sizes: rows of every process, where they are known.
        """
        if self.size == 1:
            return rows
        counts = sizes or cast(list[int], self.exchange(len(rows)))
        padded = rows.new_zeros(max(counts), *rows.shape[1:])
        padded[: len(rows)] = rows
        everyone = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(everyone, padded.contiguous(), group=self._group)
        return torch.cat([part[:count] for part, count in zip(everyone, counts, strict=True)])

    def total(self, value: Tensor) -> Tensor:
        """Return the sum over the processes."""
        if self.size > 1:
            dist.all_reduce(value, group=self._group)
        return value

    def broadcast(self, value: Tensor) -> Tensor:
        """Return the first process's values; they are written into ``value``."""
        if self.size > 1:
            dist.broadcast(value, 0, group=self._group)
        return value

    def exchange(self, value: Any) -> list[Any]:
        """Return every process's plain value, by rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value, group=self._group)
        return values

    def on_first(self, action: Callable[[], T]) -> T:
        """Call ``action`` in the first process alone; return its result, or raise its error, in all."""
        if self.size == 1:
            return action()
        outcome: list[Any] = [None, None]
        if self.rank == 0:
            try:
                outcome[0] = action()
            except GisearchError as error:
                outcome[1] = error
        dist.broadcast_object_list(outcome, 0, group=self._group)
        if outcome[1] is not None:
            raise outcome[1]
        return cast(T, outcome[0])

    def check(self, monitor: StageMonitor) -> None:
        """Raise in every process if a stage became non-finite in any.

        Raises:
            NonFiniteError: names the stage.
        """
        problem = None
        try:
            monitor.check()
        except NonFiniteError as error:
            problem = str(error)
        problem = next((text for text in self.exchange(problem) if text is not None), None)
        if problem is not None:
            raise NonFiniteError(problem)

    def parallel(self, loss: nn.Module) -> nn.Module:
        """Return the training loss; with several processes its gradients are averaged over them."""
        if self.size == 1 or not any(p.requires_grad for p in loss.parameters()):
            return loss
        # Weights are drawn from one seed and the graph is the same: there is nothing to send around. A
        # schedule may leave weights out for some epochs; they must keep having no gradient at all, not zero.
        with warnings.catch_warnings():
            # The newest PyTorch announces another name for broadcast_buffers, which older ones do not know.
            warnings.simplefilter("ignore", FutureWarning)
            return DistributedDataParallel(
                loss, broadcast_buffers=False, init_sync=False, find_unused_parameters=True
            )


class SharedBatch(WholeBatch):
    """A training batch of which every process computes some rows.

    Args:
        group: the processes.
        sizes: rows of every process.
    """

    def __init__(self, group: WorkerGroup, sizes: list[int]) -> None:
        self.group, self.sizes = group, sizes

    def gather(self, rows: Tensor) -> Tensor:
        """Return the rows of every process, in the order of the batch's shares."""
        gathered: Tensor = _Gather.apply(rows, self.group, self.sizes)  # type: ignore[no-untyped-call]
        return gathered

    def draw(self, sample: Callable[[int], Tensor], count: int) -> Tensor:
        """Return this process's rows of what the first one draws, as one process alone would have."""
        drawn = self.group.broadcast(sample(sum(self.sizes)))
        own: Tensor = drawn.split(self.sizes)[self.group.rank]
        return own


class _Gather(torch.autograd.Function):
    """All processes' rows. Every process computes a loss of all rows, so that their gradients add up."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, group: WorkerGroup, sizes: list[int]) -> Tensor:
        ctx.group, ctx.sizes = group, sizes
        return group.gather(rows, sizes)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        summed = ctx.group.total(gradient.contiguous())
        return summed.split(ctx.sizes)[ctx.group.rank], None, None
