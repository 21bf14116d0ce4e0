"""The labelled pairs that everything is derived from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gisearch.data.dataset import Target
from gisearch.data.derived.config import DerivedConfig
from gisearch.data.genotypes import Genotypes
from gisearch.errors import DataError, nearest_name

LEAST_PAIRS = 20

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Evidence:
    """P labelled pairs.

    Attributes:
        pairs: int64 [2, P], the two genes.
        labels: float64 [P], their labels as they are.
        binary: whether they are 0 or 1.
    """

    pairs: Integers
    labels: npt.NDArray[np.float64]
    binary: bool

    @property
    def centred(self) -> npt.NDArray[np.float64]:
        """Labels minus their mean, in standard deviations; zeros where all are equal. [P]."""
        offset = self.labels - self.labels.mean()
        std = float(np.sqrt((offset**2).mean()))
        is_flat = std <= 1e-9 * max(1.0, float(np.abs(self.labels).max()))
        return np.zeros_like(offset) if is_flat else np.asarray(offset / std)

    @property
    def genes(self) -> Integers:
        """The genes of the pairs, int64 [n], ascending."""
        return np.unique(self.pairs)

    @classmethod
    def of(cls, genotypes: Genotypes, rows: Integers, label: str) -> Evidence:
        """Take the double deletions among ``rows`` that have the label.

        A single deletion has no partner, and what a triple one shows beyond its pairs is no pair's doing:
        both are left out.
        """
        usable = rows[is_usable(genotypes, rows, label)]
        first = genotypes.offsets[usable]
        pairs = np.stack([genotypes.genes[first], genotypes.genes[first + 1]])
        values = genotypes.labels[label][usable].astype(np.float64)
        return cls(pairs, values, label in genotypes.binary)


def is_usable(genotypes: Genotypes, rows: Integers, label: str, *, order: int = 2) -> npt.NDArray[np.bool_]:
    """Return which of ``rows`` delete ``order`` genes and have the label, bool [len(rows)]."""
    result: npt.NDArray[np.bool_] = (genotypes.order[rows] == order) & ~np.isnan(
        genotypes.labels[label][rows]
    )
    return result


def derived_label(genotypes: Genotypes, rows: Integers, target: Target, config: DerivedConfig) -> str:
    """Return the label to derive from, which must be measured for enough training pairs.

    Args:
        genotypes: all genotypes.
        rows: those that train.
        target: what the model learns.
        config: what is asked for.

    Raises:
        DataError: the label is not measured, too few training pairs have it, or there are more folds than
            training genotypes.
    """
    label = target.name if config.label is None else config.label
    measured = [name for name, values in genotypes.labels.items() if not np.isnan(values).all()]
    if label not in measured:
        raise DataError(
            f"derived.label: {label!r} is not measured in this data "
            f"(it has: {', '.join(measured) or 'none'}).{nearest_name(label, measured)}"
        )
    if config.folds > len(rows):
        raise DataError(
            f"derived.folds: {config.folds} folds of {len(rows)} training genotypes; expected at most as "
            "many folds as genotypes."
        )
    count = int(is_usable(genotypes, rows, label).sum())
    if count < LEAST_PAIRS:
        raise DataError(
            f"derived: only {count} double deletions of the training part have the label {label!r}; expected "
            f"at least {LEAST_PAIRS} to derive networks or features from."
        )
    return label
