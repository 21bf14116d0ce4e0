"""Hold out genes so that genotypes with the wanted number of them validate and test.

Shapes: n genotypes, padded to three deleted genes each.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Rows: TypeAlias = npt.NDArray[np.int64]

_SEARCH_ROWS = 20_000


def genes_in(table: Rows) -> Rows:
    """Return the distinct genes of a table of deletions padded with -1, ascending."""
    return np.unique(table[table >= 0])


def hold_out_genes(
    table: Rows, wanted: Rows, fractions: tuple[float, float], generator: np.random.Generator
) -> Rows:
    """Hold out the first genes of a random order for validation and the last for testing.

    Training genotypes hold no held-out gene, validation genotypes exactly the wanted number of their own
    and none of testing's, and the reverse; other genotypes fit no part. How many genes are held out is
    searched for, so that the kept genotypes divide as asked.

    Args:
        table: int64 [n, 3], deleted genes, padded with -1.
        wanted: int64 [n], how many genes of a genotype must be unseen where it validates or tests.
        fractions: of the kept genotypes, for validation and for testing.
        generator: draws the order of the genes.

    Returns:
        int64 [n]: 0 for training, 1 for validation, 2 for testing, -1 for none.
    """
    genes = genes_in(table)
    rank = np.full(int(table.max()) + 2, -1)  # the last entry serves the padding, -1
    rank[genes] = generator.permutation(len(genes))
    ranks = rank[table]

    def assign(ranks: Rows, wanted: Rows, num_val: int, num_test: int) -> Rows:
        for_val = ((ranks >= 0) & (ranks < num_val)).sum(1)
        for_test = (ranks >= len(genes) - num_test).sum(1)
        part = np.full(len(ranks), -1)
        part[(for_val == 0) & (for_test == 0)] = 0
        part[(for_val == wanted) & (for_test == 0)] = 1
        part[(for_test == wanted) & (for_val == 0)] = 2
        return part

    sample = np.arange(len(table))
    if len(table) > _SEARCH_ROWS:
        sample = generator.choice(len(table), _SEARCH_ROWS, replace=False)

    def error(num_val: int, num_test: int) -> tuple[float, int]:
        part = assign(ranks[sample], wanted[sample], num_val, num_test)
        count = np.bincount(part + 1, minlength=4)
        shares = count[1:] / max(1, count[1:].sum())
        # Among gene counts that meet the fractions about equally well, drop the fewest genotypes.
        return round(abs(shares[1] - fractions[0]) + abs(shares[2] - fractions[1]), 2), int(count[0])

    best = (1, 1)
    step = max(1, len(genes) // 2)
    while True:
        near = [
            (best[0] + i * step // 2, best[1] + j * step // 2) for i in range(-2, 3) for j in range(-2, 3)
        ]
        near = [(a, b) for a, b in near if a >= 1 and b >= 1 and a + b < len(genes)]
        best = min(near, key=lambda counts: error(*counts), default=best)
        if step == 1:
            break
        step = (step + 1) // 2
    part = assign(ranks, wanted, *best)
    # A gene that is not held out may still have lost all its training genotypes.
    missing = (~np.isin(table, genes_in(table[part == 0])) & (table >= 0)).sum(1)
    part[(part > 0) & (missing != wanted)] = -1
    return part
