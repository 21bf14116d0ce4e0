"""Genotypes as the sets that they hold: their genes, pairs and triples, listed once.

Shapes: B genotypes, K deletions each at most, S genes in all, P pairs in all, T triples in all.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor


@dataclass(frozen=True)
class GenotypeSets:
    """The genes, pairs and triples of B genotypes; a gene is a row of some table.

    Attributes:
        size: B.
        genes: int64 [B, K], -1 where there is none.
        singles: int64 [2, S], genotype and gene.
        pairs: int64 [3, P], genotype and its two genes.
        triples: int64 [4, T], genotype and its three genes.
    """

    size: int
    genes: Tensor
    singles: Tensor
    pairs: Tensor
    triples: Tensor

    @classmethod
    def of(cls, genes: Tensor) -> GenotypeSets:
        """List the sets of int64 [B, K], -1 where a genotype has fewer genes."""
        return cls(len(genes), genes, *(_subsets(genes, k) for k in (1, 2, 3)))

    def __len__(self) -> int:
        return self.size

    @property
    def order(self) -> Tensor:
        """The number of genes of every genotype, int64 [B]."""
        return (self.genes >= 0).sum(1)

    def __getitem__(self, rows: Tensor | slice) -> GenotypeSets:
        """Return the genotypes at ``rows``."""
        return GenotypeSets.of(self.genes[rows])


def _subsets(genes: Tensor, size: int) -> Tensor:
    """Return genotype and genes of every subset of ``size`` genes, int64 [1 + size, sets]."""
    found = [genes.new_empty(1 + size, 0)]
    for columns in combinations(range(genes.shape[1]), size):
        chosen = genes[:, list(columns)]
        rows = (chosen >= 0).all(1).nonzero().squeeze(1)
        found.append(torch.cat([rows.unsqueeze(0), chosen[rows].T]))
    return torch.cat(found, dim=1)
