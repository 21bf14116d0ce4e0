"""Folds of the training genotypes: each trains on what is derived from the others."""

from __future__ import annotations

import numpy as np

from gisearch.data.derived.config import DerivedConfig
from gisearch.data.derived.evidence import Integers, is_usable
from gisearch.data.genotypes import Genotypes
from gisearch.seeding import child_generator


def assign_folds(genotypes: Genotypes, rows: Integers, label: str, config: DerivedConfig) -> Integers:
    """Return the fold of every training genotype, int64 [len(rows)]: of equal sizes up to one.

    Every fold has its share of the pairs that something is derived from. What their labels are does not
    count: through the folds a label would reach its own genotype.

    Args:
        genotypes: all genotypes.
        rows: those that train.
        label: what is derived from.
        config: the number of folds and the seed.
    """
    shuffled = child_generator(config.seed, "derived", "folds").permutation(len(rows))
    order = shuffled[np.argsort(is_usable(genotypes, rows, label)[shuffled], kind="stable")]
    folds = np.empty(len(rows), dtype=np.int64)
    folds[order] = np.arange(len(rows)) % config.folds
    return folds
