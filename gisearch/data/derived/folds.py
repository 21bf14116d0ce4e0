"""Folds of the training genotypes: each trains on what is derived from the others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gisearch.data.derived.config import DerivedConfig
from gisearch.data.derived.evidence import Integers, is_usable
from gisearch.data.genotypes import Genotypes
from gisearch.seeding import child_generator


def assign_folds(genotypes: Genotypes, rows: Integers, label: str, config: DerivedConfig) -> Integers:
    """Return the fold of every training genotype, int64 [len(rows)]: of equal sizes up to one.

    What pairs with a label there are, and of a binary label either class, is spread evenly.

    Args:
        genotypes: all genotypes.
        rows: those that train.
        label: what is derived from.
        config: the number of folds and the seed; nothing else decides but the rows.
    """
    generator = child_generator(config.seed, "derived", "folds")
    stratum: npt.NDArray[np.int64] = is_usable(genotypes, rows, label).astype(np.int64)
    if label in genotypes.binary:
        stratum += np.nan_to_num(genotypes.labels[label][rows]).astype(np.int64) * stratum
    shuffled = generator.permutation(len(rows))
    order = shuffled[np.argsort(stratum[shuffled], kind="stable")]
    folds = np.empty(len(rows), dtype=np.int64)
    folds[order] = np.arange(len(rows)) % config.folds
    return folds
