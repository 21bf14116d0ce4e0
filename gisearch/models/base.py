"""What every model is: genotypes in, scores out, on a cell graph that it holds once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from gisearch.models.batch import GenotypeBatch
from gisearch.models.layers.stages import StageMonitor

Criterion = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Prediction:
    """What a model says about B genotypes, on the scale it was trained on.

    Attributes:
        score: [B]; the standardised target, or the logit of a binary one.
        std: [B], the predictive standard deviation, for models that have one.
        details: anything worth plotting, by name: pathway scores, gate weights, attention.
    """

    score: Tensor
    std: Tensor | None = None
    details: Mapping[str, Tensor] = field(default_factory=dict)


class Model(nn.Module, ABC):
    """Base of the models.

    Attributes:
        monitor: names the stage where a value became non-finite; the training loop asks it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.monitor = StageMonitor()

    @abstractmethod
    def forward(self, batch: GenotypeBatch) -> Prediction:
        """Score B genotypes."""

    def training_loss(self, batch: GenotypeBatch, target: Tensor, criterion: Criterion) -> Tensor:
        """Return the scalar loss of one training batch.

        Args:
            batch: B genotypes.
            target: the standardised or binary target, [B].
            criterion: the loss of scores against the target.
        """
        return criterion(self(batch).score, target)

    def num_parameters(self) -> dict[str, int]:
        """Return the number of trainable parameters by component, and their ``total``."""
        counts = {
            name: sum(p.numel() for p in child.parameters() if p.requires_grad)
            for name, child in self.named_children()
        }
        counts["total"] = sum(p.numel() for p in self.parameters() if p.requires_grad)
        return counts
