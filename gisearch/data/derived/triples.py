"""Genes that act together in triple deletions: a network of the pairs within those that stand out."""

from __future__ import annotations

import numpy as np

from gisearch.data.cell_graph import Network
from gisearch.data.dataset import Dataset
from gisearch.data.derived.evidence import Integers, is_usable
from gisearch.data.genotypes import Genotypes
from gisearch.data.splits import PARTS


def triple_network(
    name: str, genotypes: Genotypes, rows: Integers, label: str, num_genes: int, *, threshold: float
) -> Network:
    """Link the genes of every triple deletion whose label stands out, pair by pair.

    Args:
        name: the network's name.
        genotypes: all genotypes.
        rows: whose labels may be read; those that delete fewer genes do not count.
        label: the label.
        num_genes: N.
        threshold: standard deviations from the mean, either way, at which a measured label stands out; of a
            binary one 1 does.
    """
    triples = rows[is_usable(genotypes, rows, label, order=3)]
    values = genotypes.labels[label][triples].astype(np.float64)
    if label in genotypes.binary:
        chosen = triples[values == 1.0]
    else:
        deviation = np.abs(values - values.sum() / max(len(values), 1))
        spread = np.sqrt((deviation**2).sum() / max(len(values), 1))
        chosen = triples[(deviation > 0) & (deviation >= threshold * spread)]
    first = genotypes.offsets[chosen]
    genes = [genotypes.genes[first + i] for i in range(3)]
    pairs = [np.stack([genes[i], genes[j]]) for i, j in ((0, 1), (0, 2), (1, 2))]
    return Network.from_pairs(name, np.concatenate(pairs, axis=1), directed=False, num_genes=num_genes)


def spare_triples(dataset: Dataset, label: str) -> Integers:
    """Return labelled triple deletions in no part of the split, whose genes the training part all knows.

    Nobody is scored on them, such as those of an order that holds a single class. A gene that the split keeps
    from training stays unseen: its triples are left out.
    """
    genotypes, split = dataset.genotypes, dataset.split
    free = np.ones(len(genotypes), dtype=bool)
    free[np.concatenate([split.part(part) for part in PARTS])] = False
    rows = np.flatnonzero(free & (split.unseen == 0))
    return rows[is_usable(genotypes, rows, label, order=3)]
