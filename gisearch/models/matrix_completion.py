"""MatrixCompletion: the table of interactions has a low rank, and networks tell which genes are alike.

Network-guided matrix completion (Zitnik and Zupan 2015, Journal of Computational Biology 22(6), "Data
imputation in epistatic MAPs by network-guided matrix completion").

Shapes: B genotypes, K deletions each at most, N genes, r the rank.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gisearch.data.cell_graph import CellGraph
from gisearch.models.additive import GeneEffects
from gisearch.models.base import Model, Prediction, Scorer
from gisearch.models.batch import GenotypeBatch
from gisearch.models.config.matrix_completion import MatrixCompletionConfig
from gisearch.models.layers.config import GeneInputsConfig
from gisearch.models.layers.gene_inputs import gene_inputs
from gisearch.models.layers.network_mean import NetworkMean

# As in the bilinear model: vectors that start small take up what many pairs share first.
_FIRST_VECTORS = 0.02


class LowRankPairs(nn.Module):
    """The sum over a genotype's pairs of f_i' diag(sign) f_j.

    Attributes:
        own: [N, r], what genes have beside their neighbours.
        sign: [r]; an inner product alone could not let like genes aggravate each other.
    """

    def __init__(self, num_genes: int, rank: int, dropout: float) -> None:
        super().__init__()
        self.own = nn.Parameter(torch.randn(num_genes, rank) * _FIRST_VECTORS)
        self.sign = nn.Parameter(1.0 - 2.0 * (torch.arange(rank) % 2))
        self.dropout = nn.Dropout(dropout)

    def forward(self, batch: GenotypeBatch, vectors: Tensor) -> Tensor:
        """Return one score per genotype, [B]; 0 for a single deletion, which has no pair.

        Args:
            batch: B genotypes.
            vectors: every gene's vector f, [N, r].
        """
        # where, not a product: what padding refers to must not matter, not even a NaN.
        rows = torch.where(batch.present.unsqueeze(-1), self.dropout(vectors[batch.deleted]), 0.0)
        # Pairs i < j: half of what the square of the sum holds beyond the genes' own squares.
        crossed = (rows.sum(1).square() - rows.square().sum(1)) / 2
        scores: Tensor = crossed @ self.sign
        return scores


class MatrixCompletion(Model):
    """Scores a genotype by its genes' effects and the sum of its pairs' entries in a matrix of low rank.

    A gene's latent vector f_i is expected at ``tie`` times the weighted mean of its neighbours', as in the
    paper; what it has beside that, z_i = f_i - tie (P f)_i, is what is learnt. Written so, the paper's
    penalty on distances to the neighbours' mean is a ridge on z, which is the optimiser's weight decay, and
    a gene that no training genotype holds stands where its neighbours put it.
    """

    def __init__(self, cell: CellGraph, config: MatrixCompletionConfig) -> None:
        super().__init__()
        self.config = config
        self.mean = NetworkMean(cell.require(config.networks), cell.num_genes)
        self.effects = GeneEffects(cell, GeneInputsConfig())
        self.pairs = LowRankPairs(cell.num_genes, config.rank, config.dropout)

    def genes(self) -> tuple[Tensor, Tensor]:
        """Return the vectors [N, r] and effects [N, 1] of all genes: their own and their neighbours'."""
        rank, own = self.config.rank, self.pairs.own
        effects = gene_inputs(self.effects.effect, self.effects.features)
        together = torch.cat([own, effects], dim=1) if self.config.tie_effects else own
        tied = self.mean.spread(together, self.config.tie, self.config.hops)
        vectors = self.monitor.watch("vectors", tied[:, :rank])
        effects = tied[:, rank:] if self.config.tie_effects else effects
        return vectors, self.monitor.watch("effects", effects)

    def forward(self, batch: GenotypeBatch) -> Prediction:
        """Score B genotypes; the details hold both parts, ``additive`` and ``pairs``, [B] each."""
        vectors, effects = self.genes()
        additive = self.monitor.watch("additive", self.effects.sum(batch, effects))
        pairs = self.monitor.watch("pairs", self.pairs(batch, vectors))
        return Prediction(additive + pairs, details={"additive": additive, "pairs": pairs})

    def scorer(self) -> Scorer:
        """Score very many genotypes with vectors and effects that are computed once."""
        vectors, effects = self.genes()

        def score(deleted: Tensor) -> Tensor:
            batch = GenotypeBatch.complete(deleted)
            pairs: Tensor = self.pairs(batch, vectors)
            return self.effects.sum(batch, effects) + pairs

        return Scorer(score)
