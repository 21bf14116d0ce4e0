"""Bilinear scores of gene pairs: the plainest way in which two deletions can depend on each other."""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor, nn

from gisearch.models.layers.product import Linear


class BilinearPairs(nn.Module):
    """Scores a set of genes by its genes and its pairs: [B, K, h] to [B].

    score = sum over genes of w . x_i + mean over pairs of x_i' W x_j, with W symmetric, so that the order
    of genes does not matter. A factorisation of the table of pairs, as in collaborative filtering (Koren
    et al. 2009), on embeddings that the networks smooth.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.weight = nn.Parameter(torch.randn(width, width) * width**-0.5)
        self.score = Linear(width, 1)

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """Return one score per genotype, [B].

        Args:
            x: embeddings of the deleted genes, [B, K, h].
            present: which of them exist, bool [B, K].
        """
        x = self.dropout(x) * present.unsqueeze(-1)
        total = x.sum(1)
        symmetric = (self.weight + self.weight.T) / 2
        # Pairs i < j: half of what the sum with itself holds beyond the genes with themselves.
        crossed = (total @ symmetric * total).sum(-1) - (x @ symmetric * x).sum((1, 2))
        genes = present.sum(1)
        pairs = (genes * (genes - 1) / 2).clamp_min(1)
        single: Tensor = (self.score(x).squeeze(-1) * present).sum(1)
        return single + crossed / 2 / pairs


class BilinearTables:
    """What :class:`BilinearPairs` without dropout says of sets of the same N genes, from tables."""

    def __init__(self, module: BilinearPairs, genes: Tensor) -> None:
        """Prepare for genes [N, h]."""
        self.genes = genes
        self.crossed = genes @ ((module.weight + module.weight.T) / 2)
        self.single = module.score(genes)

    def __call__(self, deleted: Tensor) -> Tensor:
        """Return the scores, [B], of sets of K genes each, int64 [B, K]."""
        columns = list(deleted.T.contiguous())
        single: Tensor = nn.functional.embedding_bag(deleted, self.single, mode="sum").squeeze(1)
        pairs = [
            torch.linalg.vecdot(self.genes.index_select(0, a), self.crossed.index_select(0, b))
            for a, b in combinations(columns, 2)
        ]
        return single + sum(pairs) / len(pairs) if pairs else single
