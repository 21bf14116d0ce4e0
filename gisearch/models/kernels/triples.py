"""The third-order term of the genotypes' kernel, without the kernel.

A triple is an anchor, one of its pairs, and a third gene. Screens of triples cross few double mutants with
many single ones, so that few anchors serve them all: the sum over training triples becomes one over anchors.

Shapes: T triples, A anchors, m genes of training, r genes of the genotypes asked for.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gisearch.models.kernels.genotype_sets import GenotypeSets

# Numbers that are held at a time, which bounds the memory.
_BLOCK = 2**22


class TripleTerm:
    """Sums over training triples of the permanent of the genes' kernel."""

    def __init__(self, training: GenotypeSets, num_genes: int) -> None:
        self.num_genes = num_genes
        self.row, *genes = training.triples
        pairs = torch.stack([self._pair(genes[i], genes[j]) for i, j in ((0, 1), (0, 2), (1, 2))])
        thirds = torch.stack([genes[2], genes[1], genes[0]])
        _, which, counts = pairs.unique(return_inverse=True, return_counts=True)
        # The most frequent pair of each triple: few anchors in all.
        best = counts[which].argmax(0, keepdim=True)
        anchors, self.anchor = pairs.gather(0, best).squeeze(0).unique(return_inverse=True)
        self.third = thirds.gather(0, best).squeeze(0)
        self.one, self.other = anchors // num_genes, anchors % num_genes

    def _pair(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.minimum(a, b) * self.num_genes + torch.maximum(a, b)

    def combine(self, dual: Tensor) -> Tensor:
        """Return the coefficients by anchor and third gene, float64 [A, m], of float64 [n]."""
        place = self.anchor * self.num_genes + self.third
        flat = dual.new_zeros(len(self.one) * self.num_genes).index_add_(0, place, dual[self.row])
        return flat.view(-1, self.num_genes)

    def evaluate(self, coefficients: Tensor, table: Tensor, genotypes: GenotypeSets) -> Tensor:
        """Return the sum for every triple of some genotypes, float64 [T].

        Args:
            coefficients: of :meth:`combine`.
            table: the kernel between the genotypes' genes and those of training, float64 [r, m].
            genotypes: whose triples are asked for.
        """
        _, x, y, z = genotypes.triples
        value = table.new_zeros(len(x))
        for anchors in torch.arange(len(self.one), device=x.device).split(max(1, _BLOCK // len(table))):
            one, other = table[:, self.one[anchors]], table[:, self.other[anchors]]
            third = table @ coefficients[anchors].T
            size = max(1, _BLOCK // len(anchors))
            for part in torch.arange(len(x), device=x.device).split(size):
                for a, b, c in ((x, y, z), (x, z, y), (y, z, x)):
                    i, j, k = a[part], b[part], c[part]
                    value[part] += ((one[i] * other[j] + other[i] * one[j]) * third[k]).sum(1)
        return value
