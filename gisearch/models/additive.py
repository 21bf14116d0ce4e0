"""AdditiveEffects: every gene has one effect, and effects add up. What a model of interactions must beat."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gisearch.data.cell_graph import CellGraph
from gisearch.models.base import Model, Prediction
from gisearch.models.batch import GenotypeBatch
from gisearch.models.config.additive import AdditiveEffectsConfig
from gisearch.models.layers.config import GeneInputsConfig
from gisearch.models.layers.gene_inputs import embedding_of, features_of, gene_inputs

_FIRST_EFFECTS = 0.02


class GeneEffects(nn.Module):
    """A bias and the sum of one effect per deleted gene: learnt for itself, or from its features.

    Learnt effects are a matrix [N, 1], so that weight decay shrinks them: with it, this is ridge regression
    on gene identity (Hoerl and Kennard 1970).
    """

    def __init__(self, cell: CellGraph, config: GeneInputsConfig) -> None:
        super().__init__()
        self.effect = embedding_of(config, cell.num_genes, 1, _FIRST_EFFECTS)
        self.bias = nn.Parameter(torch.zeros(1))
        self.features = features_of(config, cell, 1, _FIRST_EFFECTS)

    def forward(self, batch: GenotypeBatch) -> Tensor:
        """Return one score per genotype, [B]."""
        return self.sum(batch, gene_inputs(self.effect, self.features))

    def sum(self, batch: GenotypeBatch, effect: Tensor) -> Tensor:
        """Return the bias and the sum of other effects, [N, 1], per genotype, [B]."""
        effects = effect[batch.deleted].squeeze(-1)
        # where, not a product: what padding refers to must not matter, not even a NaN.
        total: Tensor = self.bias + torch.where(batch.present, effects, 0.0).sum(1)
        return total


class AdditiveEffects(Model):
    """Scores a genotype by the sum of its genes' effects: no genes interact."""

    def __init__(self, cell: CellGraph, config: AdditiveEffectsConfig) -> None:
        super().__init__()
        self.effects = GeneEffects(cell, config)

    def forward(self, batch: GenotypeBatch) -> Prediction:
        """Score B genotypes."""
        return Prediction(self.monitor.watch("effects", self.effects(batch)))
