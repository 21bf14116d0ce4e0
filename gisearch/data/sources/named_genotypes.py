"""Genotypes as files name them, before the names are resolved to genes.

Shapes: n rows of the file, V distinct names in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from gisearch.data.gene_names import GeneNames
from gisearch.data.genotypes import MAX_DELETIONS, Genotypes
from gisearch.data.sources.named_edges import resolve_codes
from gisearch.errors import DataError

Columns = dict[str, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class NamedGenotypes:
    """The genotypes of one file.

    Attributes:
        path: the file.
        vocabulary: the distinct gene names of the file, V of them.
        codes: int64 [n, 3], deleted genes as positions in ``vocabulary``, padded with -1.
        lines: int64 [n], the line of the file that each row stands on.
        labels: float64 [n] per label, NaN where not measured; ``_std`` and ``_p`` columns included.
        binary: names of the labels whose values are 0 or 1.
        duplicates: what to do with a gene set that the file measures more than once: ``error`` where
            the values differ, or ``mean`` (the mean of a label, the root mean square of its standard
            deviation, the largest of its p-values).
        notes: what the reader left out, and why.
    """

    path: Path
    vocabulary: tuple[str, ...]
    codes: npt.NDArray[np.int64]
    lines: npt.NDArray[np.int64]
    labels: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    binary: frozenset[str] = frozenset()
    duplicates: Literal["error", "mean"] = "error"
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ResolvedGenotypes:
    """Genotypes of gene indices and what resolving their names left out.

    Attributes:
        genotypes: the genotypes of all files together.
        unresolved: per file, how often each unknown name occurred.
        summaries: one line per file for the load report.
        notes: anything else worth telling.
    """

    genotypes: Genotypes
    unresolved: Mapping[str, Counter[str]]
    summaries: tuple[str, ...]
    notes: tuple[str, ...]


def resolve_genotypes(tables: Sequence[NamedGenotypes], names: GeneNames) -> ResolvedGenotypes:
    """Turn the names of some files into one table of genotypes; rows with an unknown name are left out.

    Raises:
        DataError: the same gene twice in a row, or a gene set with different values of a label, in one file
            or in two of them; the message gives files and lines.
    """
    parts: list[_Part] = []
    summaries: list[str] = []
    notes: list[str] = []
    unresolved: dict[str, Counter[str]] = {}
    for table in tables:
        index, unknown = resolve_codes(table.vocabulary, table.codes, names)
        genes = index[table.codes]
        known: npt.NDArray[np.bool_] = np.logical_and.reduce((genes >= 0) | (table.codes < 0), axis=1)
        genes, lines = genes[known], table.lines[known]
        columns = {name: np.asarray(values)[known] for name, values in table.labels.items()}
        key = _keys(genes, len(names), table.path, lines)
        left_out = len(known) - int(known.sum())
        notes += table.notes
        if table.duplicates == "mean":
            first, columns, repeated = _average(key, columns)
            genes, lines, key = genes[first], lines[first], key[first]
            if repeated:
                notes.append(
                    f"{table.path.name}: {repeated:,} genotypes measured more than once were averaged"
                )
        order = np.bincount((genes >= 0).sum(axis=1), minlength=MAX_DELETIONS + 1)
        kinds = [
            f"{n:,} {kind}" for n, kind in zip(order[1:], ("single", "double", "triple"), strict=True) if n
        ]
        parts.append((table, genes, lines, key, columns))
        summaries.append(
            f"genotypes: {len(known):,} rows of {table.path.name}; "
            + (f"{left_out:,} with unknown genes left out; " if left_out else "")
            + (f"{', '.join(kinds)} deletions" if kinds else "none left")
        )
        if unknown:
            unresolved[table.path.name] = unknown
    genotypes = _combine(parts, len(names))
    return ResolvedGenotypes(genotypes, unresolved, tuple(summaries), tuple(notes))


_Part = tuple[NamedGenotypes, npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64], Columns]


def _keys(
    genes: npt.NDArray[np.int64], num_genes: int, path: Path, lines: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return one number per gene set, whatever the order of its genes."""
    ordered = np.sort(genes, axis=1)
    twice = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(axis=1)
    if twice.any():
        line = lines[np.flatnonzero(twice)[0]]
        raise DataError(
            f"{path}, line {line}: the same gene is deleted twice; expected 1 to 3 different genes."
        )
    base = num_genes + 1
    key: npt.NDArray[np.int64] = np.zeros(len(genes), dtype=np.int64)
    for column in range(genes.shape[1]):
        key = key * base + ordered[:, column] + 1
    return key


def _average(key: npt.NDArray[np.int64], columns: Columns) -> tuple[npt.NDArray[np.int64], Columns, int]:
    """Merge rows of equal key; return the first row of each, the merged columns and how many were merged."""
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    group = rank[inverse]
    merged = {}
    for name, values in columns.items():
        known = ~np.isnan(values)
        count = np.bincount(group[known], minlength=len(first))
        measured = count > 0
        if name.endswith("_p"):
            pooled = np.full(len(first), -np.inf)
            np.maximum.at(pooled, group[known], values[known])
        else:
            power = 2 if name.endswith("_std") else 1
            pooled = np.bincount(group[known], values[known] ** power, minlength=len(first))
            pooled = (pooled / np.maximum(count, 1)) ** (1 / power)
        merged[name] = np.where(measured, pooled, np.nan)
    return first[order], merged, int((np.bincount(group) > 1).sum())


def _combine(parts: Sequence[_Part], num_genes: int) -> Genotypes:
    names = list(dict.fromkeys(name for *_, columns in parts for name in columns))
    binary = frozenset(name for table, *_ in parts for name in table.binary)
    origin = np.repeat(np.arange(len(parts)), [len(genes) for _, genes, *_ in parts])
    if not len(origin):
        raise DataError(
            "genotypes: no row is left; expected at least one genotype whose genes are all known."
        )
    genes = np.concatenate([genes for _, genes, *_ in parts])
    lines = np.concatenate([lines for _, _, lines, *_ in parts])
    key = np.concatenate([key for *_, key, _ in parts])
    labels = {
        name: np.concatenate([columns.get(name, np.full(len(own), np.nan)) for *_, own, columns in parts])
        for name in names
    }
    order = np.argsort(key, kind="stable")
    new = np.ones(len(key), dtype=bool)
    new[1:] = key[order][1:] != key[order][:-1]
    group = np.cumsum(new) - 1
    for name, values in labels.items():
        rows = order[~np.isnan(values[order])]
        groups = group[~np.isnan(values[order])]
        same = (groups[1:] == groups[:-1]) & (
            values[rows[1:]].astype(np.float32) != values[rows[:-1]].astype(np.float32)
        )
        if same.any():
            at = int(np.flatnonzero(same)[0])
            a, b = sorted(rows[at : at + 2].tolist())
            place = [f"{parts[origin[row]][0].path}, line {lines[row]}" for row in (a, b)]
            if origin[a] == origin[b]:
                place = [f"{parts[origin[a]][0].path}, lines {lines[a]}", str(lines[b])]
            raise DataError(
                f"{place[0]} and {place[1]}: the same genotype with different values of {name!r} "
                f"({values[a]:g} and {values[b]:g}); keep one, or set duplicates to mean."
            )
    return Genotypes.build(genes, labels, binary=binary, num_genes=num_genes)
