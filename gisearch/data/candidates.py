"""Genotypes that could be made: all pairs or triples of some genes, in blocks, never all at once.

A candidate is known by its rank, its place in the lexicographic order of gene indices. Any rank gives its
genotype directly and the other way round, so that blocks can be made anywhere and in any order.
Source: the combinatorial number system, Knuth, The Art of Computer Programming, volume 4A, section 7.2.1.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import comb
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gisearch.data.gene_names import GeneNames
from gisearch.data.genotypes import Genotypes
from gisearch.data.sources.gene_list import listed_genes
from gisearch.errors import DataError

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """A run of candidates.

    Attributes:
        ranks: int64 [B], ascending.
        genes: deleted gene indices, int64 [B, K], ascending within a genotype.
    """

    ranks: Integers
    genes: Integers


class Candidates:
    """All sets of K of n genes, but those that are left out.

    Attributes:
        genes: the n genes' indices, int64, ascending.
        order: K, 2 or 3.
    """

    def __init__(self, genes: npt.ArrayLike, order: int) -> None:
        """Prepare; takes a few numbers per gene.

        Args:
            genes: distinct gene indices, in any order.
            order: K.

        Raises:
            DataError: K is neither 2 nor 3, or there are fewer than K genes.
        """
        self.genes: Integers = np.unique(np.asarray(genes, dtype=np.int64))
        self.order = order
        n = len(self.genes)
        if order not in (2, 3):
            raise DataError(f"candidates: expected pairs (2) or triples (3), got {order}.")
        if n < order:
            what = {2: "a pair", 3: "a triple"}[order]
            raise DataError(f"candidates: {what} needs at least {order} genes, got {n}.")
        # Candidates before those whose first gene is the i-th.
        left = n - np.arange(n + 1)
        self._pairs_before = comb(n, 2) - left * (left - 1) // 2
        self._triples_before = comb(n, 3) - left * (left - 1) * (left - 2) // 6
        self._omitted: Integers = np.empty(0, dtype=np.int64)

    @property
    def total(self) -> int:
        """The number of all sets, those that are left out included."""
        return comb(len(self.genes), self.order)

    @property
    def num_omitted(self) -> int:
        """How many are left out."""
        return len(self._omitted)

    def __len__(self) -> int:
        return self.total - self.num_omitted

    def omit(self, genotypes: Genotypes) -> None:
        """Leave genotypes out from now on; others than sets of K of these genes change nothing."""
        self._omitted = np.union1d(self._omitted, self.find(genotypes)[1])

    def find(self, genotypes: Genotypes) -> tuple[Integers, Integers]:
        """Return which genotypes are sets of K of these genes, and their ranks, int64 [m] each."""
        rows = np.flatnonzero(genotypes.order == self.order)
        table = genotypes.subset(rows).padded()[:, : self.order]
        place = np.searchsorted(self.genes, table).clip(max=len(self.genes) - 1)
        known = (self.genes[place] == table).all(1)
        return rows[known], self.ranks_of(table[known])

    def ranks_of(self, genes: Integers) -> Integers:
        """Return the ranks of genotypes, int64 [B], given gene indices [B, K], ascending in every row."""
        place = np.searchsorted(self.genes, genes)
        first, second = place[:, -2], place[:, -1]
        rank: Integers = self._pairs_before[first] + second - first - 1
        if self.order == 3:
            # Pairs behind the first gene are the last ones in the order of all pairs.
            rank = self._triples_before[place[:, 0]] + rank - self._pairs_before[place[:, 0] + 1]
        return rank

    def genotypes(self, ranks: Integers) -> Integers:
        """Return the genotypes of ranks, int64 [B, K]."""
        columns, rest = [], ranks
        if self.order == 3:
            first = np.searchsorted(self._triples_before, ranks, side="right") - 1
            columns.append(first)
            rest = ranks - self._triples_before[first] + self._pairs_before[first + 1]
        second = np.searchsorted(self._pairs_before[:-1], rest, side="right") - 1
        columns += [second, rest - self._pairs_before[second] + second + 1]
        return self.genes[np.stack(columns, axis=1)]

    def block(self, start: int, stop: int) -> Block:
        """Return the candidates of ranks ``start`` to ``stop - 1`` that are not left out."""
        ranks = np.arange(start, min(stop, self.total), dtype=np.int64)
        low, high = np.searchsorted(self._omitted, (start, stop))
        if high > low:
            ranks = np.delete(ranks, self._omitted[low:high] - start)
        return Block(ranks, self.genotypes(ranks))

    def blocks(self, size: int) -> Iterator[range]:
        """Yield the ranks of blocks of ``size`` candidates, without making them."""
        for start in range(0, self.total, size):
            yield range(start, min(start + size, self.total))


def read_genes(path: Path, names: GeneNames) -> Integers:
    """Read genes from a file: a systematic or standard name per line; ``#`` begins a comment.

    A table with a column ``gene`` (or ``gene1``, ``systematic_name``) will do as well.

    Returns:
        Distinct gene indices in the file's order, int64.

    Raises:
        DataError: the file cannot be read, has no gene, or a gene is unknown or repeated.
    """
    seen: dict[int, int] = {}
    for number, name in listed_genes(path):
        try:
            gene = names.index_of(name)
        except DataError as error:
            raise DataError(f"{path}, line {number}: {error}") from None
        if gene in seen:
            raise DataError(f"{path}, line {number}: {name!r} is the gene of line {seen[gene]} again.")
        seen[gene] = number
    if not seen:
        raise DataError(
            f"the list of genes {path} is empty; expected a systematic or standard name per line."
        )
    return np.array(list(seen), dtype=np.int64)
