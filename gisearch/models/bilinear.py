"""BilinearEmbedding: gene effects, and pair scores of gene vectors; no networks at all.

What a network model gains over it is what the networks know beyond the genotypes themselves.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gisearch.data.cell_graph import CellGraph
from gisearch.models.additive import GeneEffects
from gisearch.models.base import Model, Prediction
from gisearch.models.batch import GenotypeBatch
from gisearch.models.config.bilinear import BilinearEmbeddingConfig
from gisearch.models.layers.gene_inputs import embedding_of, features_of, gene_inputs

_FIRST_VECTORS = 0.02


class PairScores(nn.Module):
    """The mean over a genotype's pairs of u_i' W u_j, with W symmetric.

    A factorisation of the table of pairs, as in collaborative filtering (Koren et al. 2009, IEEE Computer
    42(8)); W lets the factors have either sign, which a plain inner product could not.
    """

    def __init__(self, cell: CellGraph, config: BilinearEmbeddingConfig) -> None:
        super().__init__()
        rank = config.rank
        # Vectors that start small take up what many pairs share first; from large ones the model learns its
        # training pairs by heart instead (Gunasekar et al. 2017, arXiv 1705.09280).
        self.vector = embedding_of(config, cell.num_genes, rank, _FIRST_VECTORS)
        # Both signs from the start: like genes may aggravate each other or mask each other.
        self.weight = nn.Parameter(torch.diag(1.0 - 2.0 * (torch.arange(rank) % 2)))
        self.dropout = nn.Dropout(config.dropout)
        self.features = features_of(config, cell, rank, _FIRST_VECTORS)

    def forward(self, batch: GenotypeBatch) -> Tensor:
        """Return one score per genotype, [B]; 0 for a single deletion, which has no pair."""
        vectors = self.dropout(gene_inputs(self.vector, self.features)[batch.deleted])
        vectors = torch.where(batch.present.unsqueeze(-1), vectors, 0.0)
        symmetric = (self.weight + self.weight.T) / 2
        # Pairs i < j: half of what the sum with itself holds beyond the genes with themselves.
        total = vectors.sum(1)
        crossed = (total @ symmetric * total).sum(-1) - (vectors @ symmetric * vectors).sum((1, 2))
        genes = batch.present.sum(1)
        mean: Tensor = crossed / (genes * (genes - 1)).clamp_min(1)
        return mean


class BilinearEmbedding(Model):
    """Scores a genotype by its genes' effects and its pairs' scores, from numbers per gene alone."""

    def __init__(self, cell: CellGraph, config: BilinearEmbeddingConfig) -> None:
        super().__init__()
        self.effects = GeneEffects(cell, config)
        self.pairs = PairScores(cell, config)

    def forward(self, batch: GenotypeBatch) -> Prediction:
        """Score B genotypes; the details hold both parts, ``additive`` and ``pairs``, [B] each."""
        additive = self.monitor.watch("effects", self.effects(batch))
        pairs = self.monitor.watch("pairs", self.pairs(batch))
        return Prediction(additive + pairs, details={"additive": additive, "pairs": pairs})
