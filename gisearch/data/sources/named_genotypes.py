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

from gisearch.data.dataset import LeftOut
from gisearch.data.gene_names import GeneNames
from gisearch.data.genotypes import MAX_DELETIONS, Genotypes
from gisearch.data.sources.named_edges import left_out, resolve_codes
from gisearch.data.unknown_names import examples
from gisearch.errors import DataError

Columns = dict[str, npt.NDArray[np.float64]]
# The label that a single deletion cannot have.
INTERACTION = "gene_interaction"


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
        duplicates: what to do with a gene set that is measured more than once, in this file or in others
            that say the same: ``error`` where the values differ, or ``mean`` (the mean of a label, the root
            mean square of its standard deviation, the largest of its p-values).
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
        left_out: per file that lost any, how many rows were left out.
    """

    genotypes: Genotypes
    unresolved: Mapping[str, Counter[str]]
    summaries: tuple[str, ...]
    notes: tuple[str, ...]
    left_out: tuple[LeftOut, ...] = ()


def resolve_genotypes(tables: Sequence[NamedGenotypes], names: GeneNames) -> ResolvedGenotypes:
    """Turn the names of some files into one table of genotypes; rows with an unknown name are left out.

    A gene interaction of a single deletion is none, and is left out too.

    Raises:
        DataError: the same gene twice in a row, or a gene set with different values of a label, in one file
            or in two of them, unless all of them average; the message gives files and lines.
    """
    parts: list[_Part] = []
    summaries: list[str] = []
    notes: list[str] = []
    unresolved: dict[str, Counter[str]] = {}
    lost: list[LeftOut] = []
    for table in tables:
        index, unknown = resolve_codes(table.vocabulary, table.codes, names)
        genes = index[table.codes]
        known: npt.NDArray[np.bool_] = np.logical_and.reduce((genes >= 0) | (table.codes < 0), axis=1)
        genes, lines = genes[known], table.lines[known]
        columns = {name: np.asarray(values)[known] for name, values in table.labels.items()}
        key = _keys(genes, names, table, known)
        notes += table.notes
        notes += _without_single_interactions(table.path.name, genes, columns)
        parts.append(_Part(table, genes, lines, key, columns))
        missing = len(known) - int(known.sum())
        summaries.append(_summary(table, genes, key, missing))
        source = table.path.name
        lost += filter(None, [left_out(source, "rows", missing, len(known), unknown, names)])
        if unknown:
            unresolved[source] = unknown
    genotypes, more = _combine(parts, names, lost)
    return ResolvedGenotypes(genotypes, unresolved, tuple(summaries), (*notes, *more), tuple(lost))


@dataclass
class _Part:
    """The rows of one file whose genes are known."""

    table: NamedGenotypes
    genes: npt.NDArray[np.int64]
    lines: npt.NDArray[np.int64]
    key: npt.NDArray[np.int64]
    columns: Columns


def _summary(
    table: NamedGenotypes, genes: npt.NDArray[np.int64], key: npt.NDArray[np.int64], missing: int
) -> str:
    """Return what one file holds, each of its genotypes counted once where it averages."""
    if table.duplicates == "mean":
        genes = genes[np.unique(key, return_index=True)[1]]
    order = np.bincount((genes >= 0).sum(axis=1), minlength=MAX_DELETIONS + 1)
    kinds = [f"{n:,} {kind}" for n, kind in zip(order[1:], ("single", "double", "triple"), strict=True) if n]
    return (
        f"genotypes: {len(table.codes):,} rows of {table.path.name}; "
        + (f"{missing:,} with unknown genes left out; " if missing else "")
        + (f"{', '.join(kinds)} deletions" if kinds else "none left")
    )


def _keys(
    genes: npt.NDArray[np.int64], names: GeneNames, table: NamedGenotypes, known: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """Return one number per gene set, whatever the order of its genes."""
    ordered = np.sort(genes, axis=1)
    twice = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(axis=1)
    if twice.any():
        row = int(np.flatnonzero(twice)[0])
        spelt: dict[int, str] = {}
        why = ""
        for gene, code in zip(genes[row].tolist(), table.codes[known][row].tolist(), strict=True):
            if gene >= 0 and gene in spelt:
                why = names.same_gene(spelt[gene], table.vocabulary[code])
            spelt[gene] = table.vocabulary[code]
        raise DataError(
            f"{table.path}, line {table.lines[known][row]}: {why}; expected 1 to 3 different genes."
        )
    base = len(names) + 1
    key: npt.NDArray[np.int64] = np.zeros(len(genes), dtype=np.int64)
    for column in range(genes.shape[1]):
        key = key * base + ordered[:, column] + 1
    return key


def _without_single_interactions(file: str, genes: npt.NDArray[np.int64], columns: Columns) -> list[str]:
    """Take the gene interactions of single deletions away; return what to say of it."""
    single = (genes >= 0).sum(axis=1) == 1
    count = 0
    for name in (INTERACTION, f"{INTERACTION}_std", f"{INTERACTION}_p"):
        if name in columns:
            measured = single & ~np.isnan(columns[name])
            count = max(count, int(measured.sum()))
            columns[name] = np.where(single, np.nan, columns[name])
    if not count:
        return []
    return [f"{file}: {count:,} rows delete a single gene, whose {INTERACTION} is none and was left out"]


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


def _averaged(parts: Sequence[_Part]) -> tuple[list[_Part], list[str]]:
    """Merge the files that average into one, so that every row counts alike whichever file it is in."""
    averaging = [part for part in parts if part.table.duplicates == "mean"]
    if not averaging:
        return list(parts), []
    whole = averaging[0] if len(averaging) == 1 else _concatenated(averaging)
    first, columns, repeated = _average(whole.key, whole.columns)
    for name in (name for part in averaging for name in part.table.binary):
        # A mean between 0 and 1 is no class.
        columns[name] = np.where(np.isin(columns[name], (0.0, 1.0)), columns[name], np.nan)
    merged = _Part(whole.table, whole.genes[first], whole.lines[first], whole.key[first], columns)
    files = " and ".join(dict.fromkeys(part.table.path.name for part in averaging))
    notes = [f"{files}: {repeated:,} genotypes measured more than once were averaged"] if repeated else []
    others = [part for part in parts if part.table.duplicates != "mean"]
    return [merged, *others], notes


def _concatenated(parts: Sequence[_Part]) -> _Part:
    names = dict.fromkeys(name for part in parts for name in part.columns)
    return _Part(
        parts[0].table,
        np.concatenate([part.genes for part in parts]),
        np.concatenate([part.lines for part in parts]),
        np.concatenate([part.key for part in parts]),
        {
            name: np.concatenate([p.columns.get(name, np.full(len(p.key), np.nan)) for p in parts])
            for name in names
        },
    )


def _combine(
    every: Sequence[_Part], names: GeneNames, lost: Sequence[LeftOut]
) -> tuple[Genotypes, list[str]]:
    binary = frozenset(name for part in every for name in part.table.binary)
    if not sum(len(part.key) for part in every):
        files = ", ".join(str(part.table.path) for part in every)
        unknown = [name for part in lost for name in part.names]
        such_as = f", such as {examples(unknown)}" if unknown else ""
        raise DataError(
            f"genotypes: no row is left; expected at least one genotype whose genes are all known; unknown "
            f"are those of {files}{such_as}{next((part.hint for part in lost if part.hint), '')}."
        )
    parts, notes = _averaged(every)
    origin = np.repeat(np.arange(len(parts)), [len(part.key) for part in parts])
    whole = _concatenated(parts)
    _check_agreement(parts, whole, origin)
    return Genotypes.build(whole.genes, whole.columns, binary=binary, num_genes=len(names)), notes


def _check_agreement(parts: Sequence[_Part], whole: _Part, origin: npt.NDArray[np.int64]) -> None:
    """Raise DataError where one gene set has different values of a label."""
    key, lines = whole.key, whole.lines
    order = np.argsort(key, kind="stable")
    new = np.ones(len(key), dtype=bool)
    new[1:] = key[order][1:] != key[order][:-1]
    if new.all():
        return
    group = np.cumsum(new) - 1
    for name, values in whole.columns.items():
        rows = order[~np.isnan(values[order])]
        groups = group[~np.isnan(values[order])]
        same = (groups[1:] == groups[:-1]) & (
            values[rows[1:]].astype(np.float32) != values[rows[:-1]].astype(np.float32)
        )
        if same.any():
            at = int(np.flatnonzero(same)[0])
            a, b = sorted(rows[at : at + 2].tolist())
            place = [f"{parts[origin[row]].table.path}, line {lines[row]}" for row in (a, b)]
            if origin[a] == origin[b]:
                place = [f"{parts[origin[a]].table.path}, lines {lines[a]}", str(lines[b])]
            raise DataError(
                f"{place[0]} and {place[1]}: the same genotype with different values of {name!r} "
                f"({values[a]:g} and {values[b]:g}); keep one, or set duplicates: mean for every file that "
                "holds it."
            )
