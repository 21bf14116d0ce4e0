"""Genotypes: which genes each strain lacks, and what was measured.

Shapes: B genotypes, P deleted genes in all of them together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from gisearch.errors import DataError

MAX_DELETIONS = 3
_PADDING = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Genotypes:
    """B strains with one to three deleted genes each, as a ragged table.

    Attributes:
        genes: int64 [P], deleted gene indices, concatenated; ascending within a genotype.
        offsets: int64 [B + 1], where each genotype starts in ``genes``.
        labels: float32 [B] per label name, NaN where not measured. The standard deviation of a label
            is stored as ``<name>_std``, its p-value as ``<name>_p``.
        binary: names of the labels whose values are 0 or 1.
    """

    genes: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    labels: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    binary: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def order(self) -> npt.NDArray[np.int64]:
        """Number of deleted genes per genotype, int64 [B]."""
        return np.diff(self.offsets)

    @property
    def genotype_of_gene(self) -> npt.NDArray[np.int64]:
        """The genotype index of every entry of ``genes``, int64 [P]."""
        return np.repeat(np.arange(len(self)), self.order)

    def genes_of(self, index: int) -> npt.NDArray[np.int64]:
        """Return the deleted genes of one genotype, int64 [1..3]."""
        return self.genes[self.offsets[index] : self.offsets[index + 1]]

    def padded(self, fill: int = -1) -> npt.NDArray[np.int64]:
        """Return the deleted genes as int64 [B, 3], padded with ``fill``."""
        table = np.full((len(self), MAX_DELETIONS), fill, dtype=np.int64)
        column = np.arange(len(self.genes)) - np.repeat(self.offsets[:-1], self.order)
        table[self.genotype_of_gene, column] = self.genes
        return table

    def subset(self, indices: npt.ArrayLike) -> Genotypes:
        """Return the genotypes at ``indices``, in that order."""
        rows = np.asarray(indices, dtype=np.int64)
        order = self.order[rows]
        offsets = np.concatenate([[0], np.cumsum(order)])
        within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], order)
        return Genotypes(
            genes=self.genes[np.repeat(self.offsets[rows], order) + within],
            offsets=offsets,
            labels={name: values[rows] for name, values in self.labels.items()},
            binary=self.binary,
        )

    def digest(self) -> str:
        """Return a hash of the content."""
        hasher = hashlib.blake2b(self.genes.tobytes(), digest_size=8)
        hasher.update(self.offsets.tobytes())
        for name in sorted(self.labels):
            hasher.update(name.encode())
            hasher.update(self.labels[name].tobytes())
        return hasher.hexdigest()

    @classmethod
    def build(
        cls,
        deletions: Sequence[Sequence[int]] | npt.NDArray[np.int64],
        labels: Mapping[str, npt.ArrayLike],
        *,
        binary: frozenset[str] = frozenset(),
        num_genes: int,
    ) -> Genotypes:
        """Build and validate a table; repeated genotypes with equal labels are merged.

        Args:
            deletions: one sequence of distinct gene indices per genotype, or int64 [B, 3] padded with -1.
            labels: values per label, NaN where not measured.
            binary: labels whose values must be 0 or 1.
            num_genes: N; indices must be below it.

        Raises:
            DataError: a genotype has no gene, more than three, or one twice; an index is out of range;
                a label is infinite or has the wrong length; a binary label is neither 0 nor 1; the same
                genotype occurs twice with different labels. Rows are counted from 1.
        """
        table = _padded_table(deletions, num_genes)
        columns = {name: np.asarray(values, dtype=np.float32) for name, values in labels.items()}
        for name, values in columns.items():
            if values.shape != (len(table),):
                raise DataError(f"label {name!r}: expected {len(table)} values, got {list(values.shape)}.")
            if np.isinf(values).any():
                row = int(np.flatnonzero(np.isinf(values))[0]) + 1
                raise DataError(f"label {name!r}, row {row}: the value is infinite; expected a number.")
            if name in binary and not np.isin(values[~np.isnan(values)], (0.0, 1.0)).all():
                row = int(np.flatnonzero(~np.isin(values, (0.0, 1.0)) & ~np.isnan(values))[0]) + 1
                raise DataError(f"label {name!r}, row {row}: expected 0 or 1, got {values[row - 1]:g}.")
        table, columns = _merge_duplicates(table, columns, num_genes)
        present = table != _PADDING
        return cls(
            genes=table[present],
            offsets=np.concatenate([[0], np.cumsum(present.sum(1))]).astype(np.int64),
            labels=columns,
            binary=binary,
        )


def _padded_table(
    deletions: Sequence[Sequence[int]] | npt.NDArray[np.int64], num_genes: int
) -> npt.NDArray[np.int64]:
    """Return sorted deletions as int64 [B, 3]; padding is ``_PADDING``, which sorts last."""
    if isinstance(deletions, np.ndarray):
        table = np.where(deletions < 0, _PADDING, deletions).astype(np.int64)
        if table.ndim != 2 or table.shape[1] > MAX_DELETIONS:
            raise DataError(f"genotypes: expected a table [B, {MAX_DELETIONS}], got {list(table.shape)}.")
        pad = np.full((len(table), MAX_DELETIONS - table.shape[1]), _PADDING, dtype=np.int64)
        table = np.concatenate([table, pad], axis=1)
    else:
        table = np.full((len(deletions), MAX_DELETIONS), _PADDING, dtype=np.int64)
        for i, genes in enumerate(deletions):
            if len(genes) > MAX_DELETIONS:
                raise DataError(
                    f"genotype in row {i + 1}: expected 1 to {MAX_DELETIONS} deleted genes, got {len(genes)}."
                )
            table[i, : len(genes)] = genes
    table.sort(axis=1)
    outside = (table < 0) | ((table >= num_genes) & (table != _PADDING))
    repeated = (table[:, 1:] == table[:, :-1]) & (table[:, 1:] != _PADDING)
    problems = (
        (outside.any(1), f"gene indices must be in 0..{num_genes - 1}"),
        (table[:, 0] == _PADDING, "expected at least one deleted gene, got none"),
        (repeated.any(1), "the same gene is deleted twice"),
    )
    for wrong, what in problems:
        if wrong.any():
            raise DataError(f"genotype in row {int(np.flatnonzero(wrong)[0]) + 1}: {what}.")
    return table


def _merge_duplicates(
    table: npt.NDArray[np.int64], columns: dict[str, npt.NDArray[np.float32]], num_genes: int
) -> tuple[npt.NDArray[np.int64], dict[str, npt.NDArray[np.float32]]]:
    """Merge rows that delete the same genes: a missing label is filled, a conflicting one is an error."""
    # One number per gene set sorts many times faster than a row of three; of 2 million genes it still fits.
    key = np.zeros(len(table), dtype=np.int64)
    for column in table.T:
        key = key * (num_genes + 1) + np.minimum(column, num_genes)
    ordered = np.sort(key)
    if (ordered[1:] != ordered[:-1]).all():
        return table, columns
    unique, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    merged = {}
    for name, values in columns.items():
        known = ~np.isnan(values)
        low = np.full(len(unique), np.inf, dtype=np.float32)
        high = np.full(len(unique), -np.inf, dtype=np.float32)
        np.minimum.at(low, inverse[known], values[known])
        np.maximum.at(high, inverse[known], values[known])
        if (low < high).any():
            group = int(np.flatnonzero(low < high)[0])
            rows = np.flatnonzero((inverse == group) & known) + 1
            raise DataError(
                f"label {name!r}: rows {', '.join(map(str, rows[:3]))} are the same genotype with different "
                f"values ({low[group]:g} and {high[group]:g})."
            )
        merged[name] = np.where(np.isinf(low), np.float32(np.nan), low)
    keep = np.argsort(first)
    return table[first[keep]], {name: values[keep] for name, values in merged.items()}
