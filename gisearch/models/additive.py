"""AdditiveEffects: every gene has one effect, and effects add up. What a model of interactions must beat."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gisearch.models.base import Model, Prediction
from gisearch.models.batch import GenotypeBatch

_FIRST_EFFECTS = 0.02


class GeneEffects(nn.Module):
    """A bias and the sum of one learnt effect per deleted gene.

    The effects are a matrix [N, 1], so that weight decay shrinks them: with it, this is ridge regression on
    gene identity (Hoerl and Kennard 1970).
    """

    def __init__(self, num_genes: int) -> None:
        super().__init__()
        self.effect = nn.Parameter(torch.randn(num_genes, 1) * _FIRST_EFFECTS)
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, batch: GenotypeBatch) -> Tensor:
        """Return one score per genotype, [B]."""
        return self.sum(batch, self.effect)

    def sum(self, batch: GenotypeBatch, effect: Tensor) -> Tensor:
        """Return the bias and the sum of other effects, [N, 1], per genotype, [B]."""
        effects = effect[batch.deleted].squeeze(-1)
        # where, not a product: what padding refers to must not matter, not even a NaN.
        total: Tensor = self.bias + torch.where(batch.present, effects, 0.0).sum(1)
        return total


class AdditiveEffects(Model):
    """Scores a genotype by the sum of its genes' effects: no genes interact."""

    def __init__(self, num_genes: int) -> None:
        super().__init__()
        self.effects = GeneEffects(num_genes)

    def forward(self, batch: GenotypeBatch) -> Prediction:
        """Score B genotypes."""
        return Prediction(self.monitor.watch("effects", self.effects(batch)))
