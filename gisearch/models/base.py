"""What every model is: genotypes in, scores out, on a cell graph that it holds once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from typing import Any

from torch import Tensor, nn

from gisearch.models.batch import GenotypeBatch
from gisearch.models.layers.stages import StageMonitor
from gisearch.models.targets import Targets
from gisearch.models.whole_batch import WholeBatch


@plain_dataclass(frozen=True)
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


@plain_dataclass(frozen=True)
class Scorer:
    """What scores very many genotypes with a model's weights as they are.

    Attributes:
        score: from deleted genes, int64 [B, K], all of them present, to scores on the model's scale, [B].
        is_estimate: whether the scores are cheap estimates of the model's, good enough to choose which
            genotypes are worth its own score; otherwise they equal it up to rounding.
    """

    score: Callable[[Tensor], Tensor]
    is_estimate: bool = False


class Model(nn.Module, ABC):
    """Base of the models.

    Attributes:
        monitor: names the stage where a value became non-finite; the training loop asks it.
        whole_batch: for losses and draws that are more than a sum over genotypes, which several processes
            may share.
    """

    def __init__(self) -> None:
        super().__init__()
        self.monitor = StageMonitor()
        self.whole_batch = WholeBatch()

    @property
    def is_recordable(self) -> bool:
        """Whether a training step is the same operations on the device for any batch and in any epoch.

        Then a GPU may record it once and replay it. Whatever reads a value back, draws on the processor,
        plans by the batch, or follows :meth:`start_epoch` is not.
        """
        return False

    @abstractmethod
    def forward(self, batch: GenotypeBatch) -> Prediction:
        """Score B genotypes."""

    def scorer(self) -> Scorer:
        """Return what scores very many genotypes, in evaluation mode and without gradients.

        What depends on no genotype, such as the genes' embeddings, is computed here and not again; weights
        that change later are not seen. A model without such a part is its own scorer.
        """
        return Scorer(lambda deleted: self(GenotypeBatch.complete(deleted)).score)

    def start_epoch(self, epoch: int) -> None:
        """Prepare for a training epoch, counted from 1; for losses that change as training proceeds.

        What it sets must follow from the epoch alone, so that a continued run repeats it.
        """

    def training_loss(self, batch: GenotypeBatch, targets: Targets) -> Tensor:
        """Return the scalar loss of one training batch of B genotypes: a mean over them.

        A loss that is anything else (of pairs, of distributions, of measured genotypes alone) reads the
        whole batch through :attr:`whole_batch`, and so does a random draw.
        """
        return targets.loss(self(batch).score)

    def num_parameters(self) -> dict[str, int]:
        """Return the number of trainable parameters by component, and their ``total``."""
        counts = {
            name: sum(p.numel() for p in child.parameters() if p.requires_grad)
            for name, child in self.named_children()
        }
        counts["total"] = sum(p.numel() for p in self.parameters() if p.requires_grad)
        return counts


class FittedModel(Model):
    """A model without gradients, which its own algorithm improves by one step per epoch."""

    def __init__(self) -> None:
        super().__init__()
        self._fold: Tensor | None = None
        # A tuple, no module list: they are no part of this model.
        self._siblings: tuple[Model, ...] = ()

    def cross_fit(self, fold: Tensor, siblings: Sequence[Model]) -> None:
        """Take what training genotypes are to be seen with, where the cell graph knows their labels.

        Args:
            fold: the fold of every training genotype, int64 [n].
            siblings: per fold a model of this class and configuration, whose cell graph was derived from
                the labels of the other folds.
        """
        self._fold, self._siblings = fold, tuple(siblings)

    def out_of_fold(self, batch: GenotypeBatch, compute: Callable[[Any, GenotypeBatch], Tensor]) -> Tensor:
        """Return one row per training genotype, computed by the model of its fold, or else by this one.

        Args:
            batch: all training genotypes, in their order.
            compute: from a model of this class and some genotypes to a row each.
        """
        if self._fold is None:
            return compute(self, batch)
        rows: Tensor | None = None
        for i, sibling in enumerate(self._siblings):
            own = self._fold == i
            part = compute(sibling, batch[own])
            rows = part.new_empty(len(batch), *part.shape[1:]) if rows is None else rows
            rows[own] = part
        assert rows is not None
        return rows

    @abstractmethod
    def fit_epoch(self, batch: GenotypeBatch, targets: Targets) -> float:
        """Take one step on the whole training split; return the loss after it.

        After ``load_state_dict`` the next step continues from the loaded state.
        """
