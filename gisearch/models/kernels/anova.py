"""The kernel between genotypes, and its products with vectors that never build it.

    k(G, H) = w1 sum K(a, b) + w2 sum over pairs perm K(ac, bd) + w3 sum over triples perm K(ace, bdf)

over a in G and b in H, pairs ac of G and bd of H, and triples; perm is the permanent of the genes' kernel:
K(a,b) K(c,d) + K(a,d) K(c,b) for pairs. For pairs it is the pairwise kernel of Ben-Hur and Noble (2005,
Bioinformatics 21 Suppl 1: i38); summed over orders it is an ANOVA kernel of sets.

Its product with a vector v is a function of genotypes that m x m numbers describe, for m genes: with V the
symmetric matrix of v over the training pairs, pair ac gets (K V K)(a, c). That is the generalised vec trick
(Airola and Pahikkala 2018, IEEE Trans Neural Netw Learn Syst 29(8): 3374).

Shapes: n training genotypes over m genes, B genotypes over r genes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gisearch.models.kernels.genotype_sets import GenotypeSets
from gisearch.models.kernels.sparse import sparse_rows
from gisearch.models.kernels.triples import TripleTerm

# Numbers that are gathered at a time, which bounds the memory.
_BLOCK = 2**22
# Pairs for which one number of a dense product is as cheap as one of a gathered product, measured.
_DENSE = 100
# One place filled of so many is where a sparse product stops being faster than a plain one, measured.
_FILLED = 20


@dataclass(frozen=True)
class OrderWeights:
    """How much genes, pairs and triples count; each at least zero."""

    first: float
    second: float
    third: float


@dataclass(frozen=True)
class DualFunction:
    """A sum of kernels at the training genotypes, as a function of genotypes.

    Attributes:
        effects: float64 [m], from first-order terms.
        pairs: [m, m], symmetric; in sparse rows where few of its places are filled.
        triples: float64 [anchors, m], or None without triples.
    """

    effects: Tensor
    pairs: Tensor
    triples: Tensor | None


class AnovaKernel:
    """The kernel between any genotypes and n training genotypes over m genes."""

    def __init__(self, training: GenotypeSets, num_genes: int, weights: OrderWeights) -> None:
        """Prepare for training genotypes whose genes are rows 0..m - 1 of the genes' kernel."""
        self.training, self.num_genes, self.weights = training, num_genes, weights
        row, a, b = training.pairs
        flat = torch.cat([a * num_genes + b, b * num_genes + a])
        order = torch.argsort(flat, stable=True)
        counts = torch.bincount(flat // num_genes, minlength=num_genes)
        self._rows = torch.cat([row, row])[order]
        self._places = flat[order]
        self._columns = self._places % num_genes
        self._starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        self._triples = TripleTerm(training, num_genes) if training.triples.shape[1] else None

    def combine(self, dual: Tensor) -> DualFunction:
        """Return sum_j dual_j k(., j) for float64 [n]."""
        row, gene = self.training.singles
        effects = dual.new_zeros(self.num_genes).index_add_(0, gene, dual[row])
        if len(self._rows) * _FILLED > self.num_genes**2:
            flat = dual.new_zeros(self.num_genes**2).index_add_(0, self._places, dual[self._rows])
            pairs = flat.view(self.num_genes, self.num_genes)
        else:
            pairs = sparse_rows(self._starts, self._columns, dual[self._rows], self.num_genes)
        return DualFunction(effects, pairs, self._triples.combine(dual) if self._triples else None)

    def evaluate(self, function: DualFunction, table: Tensor, genotypes: GenotypeSets) -> Tensor:
        """Return a function at B genotypes, float64 [B].

        Args:
            function: of :meth:`combine`.
            table: the kernel between the genotypes' r genes and those of training, float64 [r, m].
            genotypes: B genotypes, whose genes are rows of ``table``.
        """
        weights, value = self.weights, table.new_zeros(len(genotypes))
        if weights.first:
            row, gene = genotypes.singles
            value.index_add_(0, row, weights.first * (table @ function.effects)[gene])
        row, a, b = genotypes.pairs
        if weights.second and len(row) and len(self._rows):
            value.index_add_(0, row, weights.second * entries(_half(function, table), table, a, b))
        return self._add_triples(value, function, table, genotypes)

    def tabulate(self, function: DualFunction, table: Tensor) -> Callable[[GenotypeSets], Tensor]:
        """Return a function of genotypes of r genes, whose genes' and pairs' scores are looked up.

        Args:
            function: of :meth:`combine`.
            table: as for :meth:`evaluate`; r x r numbers are held.
        """
        weights = self.weights
        effects = weights.first * (table @ function.effects)
        pairs = weights.second * (_half(function, table) @ table.T)

        def score(genotypes: GenotypeSets) -> Tensor:
            (row, gene), (pair_row, a, b) = genotypes.singles, genotypes.pairs
            value = table.new_zeros(len(genotypes)).index_add_(0, row, effects[gene])
            value.index_add_(0, pair_row, pairs[a, b])
            return self._add_triples(value, function, table, genotypes)

        return score

    def _add_triples(
        self, value: Tensor, function: DualFunction, table: Tensor, genotypes: GenotypeSets
    ) -> Tensor:
        if self._triples is None or function.triples is None or not self.weights.third:
            return value
        found = self._triples.evaluate(function.triples, table, genotypes)
        return value.index_add_(0, genotypes.triples[0], self.weights.third * found)

    def diagonal(self, square: Tensor, genotypes: GenotypeSets) -> Tensor:
        """Return k(G, G) of B genotypes, float64 [B], from their genes' kernel, float64 [r, r]."""
        size = max(1, _BLOCK // genotypes.genes.shape[1] ** 2)
        blocks = [self.at(square, genes, genes) for genes in genotypes.genes.split(size)]
        return torch.cat(blocks)

    def at(self, table: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """Return the kernel itself between genotypes, float64 [...].

        Args:
            table: the kernel between the genes of both, float64 [r, m].
            left: genes of genotypes, rows of ``table``, int64 [..., K], -1 where there is none.
            right: likewise its columns, int64 [..., L]; the shapes before are broadcast.
        """
        known = (left >= 0).unsqueeze(-1) & (right >= 0).unsqueeze(-2)
        k = table[left.clamp_min(0).unsqueeze(-1), right.clamp_min(0).unsqueeze(-2)]
        return _permanents(torch.where(known, k, 0.0), self.weights)


def _half(function: DualFunction, table: Tensor) -> Tensor:
    """Return table V, [r, m]."""
    if function.pairs.layout == torch.strided:
        return table @ function.pairs
    halfway: Tensor = torch.sparse.mm(function.pairs, table.T)
    return halfway.T


def entries(left: Tensor, right: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Return left[a] . right[b] for rows a and b, [P]; through the whole product where that is cheaper."""
    rows, columns = len(left), left.shape[1]
    if len(a) * _DENSE > rows * len(right):
        return (left @ right.T)[a, b]
    size = max(1, _BLOCK // max(1, columns))
    blocks = zip(a.split(size), b.split(size), strict=True)
    return torch.cat([torch.einsum("pm,pm->p", left[i], right[j]) for i, j in blocks])


def _permanents(k: Tensor, weights: OrderWeights) -> Tensor:
    """Return the weighted sums of the permanents of all square parts of k, [..., K, L] -> [...].

    Of size one, two and three; a permanent sums over all ways to give every row a column of its own.
    """
    total = weights.first * k.sum((-2, -1))
    rows, columns = k.shape[-2:]
    for i in range(rows):
        for j in range(i + 1, rows):
            # Sum over ordered pairs of different columns: every pair of columns, both ways.
            both = k[..., i, :].sum(-1) * k[..., j, :].sum(-1) - (k[..., i, :] * k[..., j, :]).sum(-1)
            total = total + weights.second * both
            for h in range(j + 1, rows):
                for one in range(columns):
                    rest = [c for c in range(columns) if c != one]
                    p, q = k[..., i, rest], k[..., j, rest]
                    different = p.sum(-1) * q.sum(-1) - (p * q).sum(-1)
                    total = total + weights.third * k[..., h, one] * different
    return total
