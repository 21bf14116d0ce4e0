"""Training steps of a GPU, recorded once and replayed.

A step is some hundred small operations, and starting them one by one takes longer than they do. A CUDA graph
holds them all, forward and backward, and starts them at once.
Source: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from gisearch.models.base import Model
from gisearch.models.batch import GenotypeBatch
from gisearch.models.layers.stages import StageMonitor
from gisearch.models.targets import Targets

# Runs before the recording, in which libraries choose their algorithms and take their memory.
_WARM_UP = 3


@dataclass(frozen=True)
class Outcome:
    """What a step leaves behind; a replay writes over it.

    Attributes:
        loss: a scalar.
        gradients: one per trained parameter; None where the loss does not depend on it.
        stages: the stages that the model's monitor was told of.
        sums: theirs, [stages].
    """

    loss: Tensor
    gradients: tuple[Tensor | None, ...]
    stages: tuple[str, ...]
    sums: Tensor


Run: TypeAlias = Callable[[], Outcome]


def cuda_graph(run: Run) -> Run:
    """Record what ``run`` does on the GPU; return what does it again, into the same memory."""
    random_state = torch.cuda.get_rng_state()
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(_WARM_UP):
            run()
    torch.cuda.current_stream().wait_stream(aside)
    torch.cuda.set_rng_state(random_state)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outcome = run()

    def replay() -> Outcome:
        graph.replay()
        return outcome

    return replay


class RecordedStep:
    """Forward and backward of one training step, on batches of one size.

    Args:
        model: a model that says it can be recorded (:attr:`Model.is_recordable`).
        loss: its training loss.
        batch: genotypes of the size that all batches will have.
        targets: their labels.
        record: from a run to its replay.
    """

    def __init__(
        self,
        model: Model,
        loss: Callable[[GenotypeBatch, Targets], Tensor],
        batch: GenotypeBatch,
        targets: Targets,
        record: Callable[[Run], Run] = cuda_graph,
    ) -> None:
        self._model, self._loss = model, loss
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        # The replay reads these; every batch is copied into them.
        self._batch = GenotypeBatch(batch.deleted.clone(), batch.present.clone())
        self._targets = targets.apply(torch.clone)
        self._replay = record(self._run)

    def __call__(self, batch: GenotypeBatch, targets: Targets) -> Tensor:
        """Leave the loss's gradients in the parameters; return the loss, a scalar without gradient."""
        self._batch.deleted.copy_(batch.deleted)
        self._batch.present.copy_(batch.present)
        for name, values in targets.values.items():
            self._targets.values[name].copy_(values)
        outcome = self._replay()
        for parameter, gradient in zip(self._parameters, outcome.gradients, strict=True):
            parameter.grad = gradient
        self._model.monitor.watch_sums(outcome.stages, outcome.sums.clone())
        return outcome.loss

    def _run(self) -> Outcome:
        monitor, self._model.monitor = self._model.monitor, StageMonitor()
        try:
            loss = self._loss(self._batch, self._targets)
            stages, sums = self._model.monitor.take()
        finally:
            self._model.monitor = monitor
        for parameter in self._parameters:
            parameter.grad = None
        # Not autograd.grad, whose gradients may lie in memory in another order than their parameters do.
        loss.backward()
        return Outcome(loss.detach(), tuple(p.grad for p in self._parameters), stages, sums)
