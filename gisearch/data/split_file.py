"""Splits in files: which genotypes train, validate and test, so that published numbers can be matched.

A table with the columns of deleted genes that every table has, and a column ``part``.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gisearch.data.gene_names import GeneNames
from gisearch.data.genotypes import Genotypes
from gisearch.data.queries import GENE_COLUMNS, delimiter_of, open_scores
from gisearch.data.sources.cells import is_missing, plain_cell
from gisearch.data.sources.gene_columns import FIRST_GENE, columns_beyond, find_gene_columns, too_many_genes
from gisearch.data.sources.genotype_table import encode_deletions
from gisearch.data.sources.named_edges import gene_in_cell, resolve_codes
from gisearch.data.sources.tables import Table, open_table
from gisearch.data.splits import PARTS, Rows, Split
from gisearch.errors import DataError, nearest_name

if TYPE_CHECKING:
    import pandas as pd

_PART = ("part", "split")


def read_split(
    path: str | Path, names: GeneNames, genotypes: Genotypes, rows: Rows, target: str
) -> tuple[Rows, list[str]]:
    """Read the part of every eligible genotype.

    Args:
        path: a table, compressed or not, with columns ``gene1``, ``gene2``, ``gene3`` (the last two may be
            missing) and ``part``: train, val, test, or empty for none.
        names: what the genes are looked up in.
        genotypes: all B genotypes.
        rows: int64 [n], the eligible ones.
        target: the label that makes them eligible, for messages.

    Returns:
        int64 [n]: 0 for training, 1 for validation, 2 for testing, -1 for none; and what to say of it.

    Raises:
        DataError: the file or a column is missing; a part or a gene is unknown; a row has no gene, more than
            three, or one twice; a genotype is in two parts; a part has no eligible genotype.
    """
    table = open_table(path, "a split with the columns gene1 and part", [FIRST_GENE, _PART])
    places = find_gene_columns(table.columns, f"{table.path}, line {table.lines_before}")
    columns = [table.columns[place] for place in places]
    beyond = [table.columns[place] for place in columns_beyond(table.columns)]
    column = table.require(*_PART)
    frame = table.read([*columns, *beyond, column])
    lines = table.line(0) + frame.index.to_numpy(dtype=np.int64)
    for more in beyond:
        for cell, line in zip(frame[more].astype(str), lines.tolist(), strict=True):
            if gene_in_cell(cell if cell != "nan" else ""):
                raise too_many_genes(f"{table.path}, line {line}", more, cell)
    listed = _parts_of_rows(table, frame[column], lines)
    key, first = _distinct(table, _genes_of_rows(table, frame, columns, lines, names), listed, lines, names)
    listed = listed[first]

    own = _keys(genotypes.padded()[rows], len(names))
    place = np.minimum(np.searchsorted(key, own), len(key) - 1)
    found = key[place] == own
    part = np.where(found, listed[place], -1)
    counts = np.bincount(part[part >= 0], minlength=len(PARTS))
    in_file = np.bincount(listed[listed >= 0], minlength=len(PARTS))
    for name, count, given in zip(PARTS, counts.tolist(), in_file.tolist(), strict=True):
        if not count:
            raise DataError(
                f"{table.path}: the {name} part has no genotype that measures {target!r} ({given:,} of the "
                f"file's {len(key):,} genotypes say {name}); expected at least one in each of "
                f"{', '.join(PARTS)}."
            )
    unused = [name for name in table.columns if name and name not in {*columns, *beyond, column}]
    return part, _notes(table, part, int(in_file.sum()), target, unused)


def write_split(path: Path, names: GeneNames, genotypes: Genotypes, split: Split) -> None:
    """Write a split as a table that :func:`read_split` reads; genotypes of no part are left out.

    Args:
        path: the file; its name says how it is compressed, as in ``split.csv.gz``.
        names: the genes, written by their systematic names.
        genotypes: all B genotypes.
        split: their parts.

    Raises:
        DataError: the file cannot be written.
    """
    part = np.full(len(genotypes), -1)
    for i, name in enumerate(PARTS):
        part[split.part(name)] = i
    table = genotypes.padded()
    with open_scores(path, "the split") as file:
        writer = csv.writer(file, delimiter=delimiter_of(path), lineterminator="\n")
        writer.writerow([*GENE_COLUMNS, _PART[0]])
        for row in np.flatnonzero(part >= 0).tolist():
            genes = [names.systematic[gene] if gene >= 0 else "" for gene in table[row].tolist()]
            writer.writerow([*genes, PARTS[part[row]]])


def _notes(table: Table, part: Rows, with_part: int, target: str, unused: list[str]) -> list[str]:
    name = table.path.name
    counts = ", ".join(f"{(part == i).sum():,} {one}" for i, one in enumerate(PARTS))
    notes = [f"split {name}: {counts}"]
    if absent := int((part < 0).sum()):
        notes.append(f"split {name}: {absent:,} genotypes that measure {target} have no part there")
    if elsewhere := with_part - int((part >= 0).sum()):
        notes.append(
            f"split {name}: {elsewhere:,} of its {with_part:,} genotypes are left out: not measured for "
            f"{target}, or not among data.orders"
        )
    if unused:
        notes.append(f"split {name}: columns not used: {', '.join(unused)}")
    return notes


def _parts_of_rows(table: Table, cells: pd.Series[Any], lines: Rows) -> Rows:
    """Return the part of every row as a position in ``PARTS``, -1 for none."""
    meaning = []
    for cell in map(str, cells.cat.categories):
        text = plain_cell(cell).lower()
        meaning.append(PARTS.index(text) if text in PARTS else -1 if is_missing(text) else -2)
    part = np.array([*meaning, -1], dtype=np.int64)[cells.cat.codes.to_numpy()]
    wrong = np.flatnonzero(part == -2)
    if len(wrong):
        got = plain_cell(str(cells.iloc[wrong[0]]))
        raise DataError(
            f"{table.path}, line {lines[wrong[0]]}, column {cells.name!r}: expected one of "
            f"{', '.join(PARTS)}, or nothing, got {got!r}.{nearest_name(got, PARTS)}"
        )
    return part


def _genes_of_rows(
    table: Table, frame: pd.DataFrame, columns: list[str], lines: Rows, names: GeneNames
) -> npt.NDArray[np.int64]:
    """Return the deleted genes of every row, int64 [n, 3], padded with -1."""
    if frame.empty:
        raise DataError(f"{table.path}: the split has no rows; expected a genotype and its part in each.")
    vocabulary, codes, _ = encode_deletions([frame[column] for column in columns])
    index, unknown = resolve_codes(vocabulary, codes, names)
    genes: npt.NDArray[np.int64] = index[codes]
    if unknown:
        row, place = (at[0] for at in np.nonzero((genes < 0) & (codes >= 0)))
        try:
            names.index_of(vocabulary[codes[row, place]])
        except DataError as error:
            raise DataError(f"{table.path}, line {lines[row]}: {error}") from None
    empty = np.flatnonzero((genes < 0).all(axis=1))
    if len(empty):
        raise DataError(f"{table.path}, line {lines[empty[0]]}: expected 1 to 3 deleted genes, got none.")
    ordered = np.sort(genes, axis=1)
    twice = np.flatnonzero(((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(axis=1))
    if len(twice):
        spelt: dict[int, str] = {}
        for gene, code in zip(genes[twice[0]].tolist(), codes[twice[0]].tolist(), strict=True):
            if gene >= 0 and gene in spelt:
                why = names.same_gene(spelt[gene], vocabulary[code])
                raise DataError(f"{table.path}, line {lines[twice[0]]}: {why}.")
            spelt[gene] = vocabulary[code]
    return genes


def _distinct(
    table: Table, genes: npt.NDArray[np.int64], part: Rows, lines: Rows, names: GeneNames
) -> tuple[Rows, Rows]:
    """Return the distinct keys, ascending, and the first row of each.

    Raises:
        DataError: a genotype is in two parts.
    """
    key = _keys(genes, len(names))
    order = np.argsort(key, kind="stable")
    same = key[order][1:] == key[order][:-1]
    differ = np.flatnonzero(same & (part[order][1:] != part[order][:-1]))
    if len(differ):
        a, b = order[differ[0]], order[differ[0] + 1]
        said = [PARTS[part[row]] if part[row] >= 0 else "no part" for row in (a, b)]
        spelt = ", ".join(names.systematic[gene] for gene in np.sort(genes[a]).tolist() if gene >= 0)
        raise DataError(
            f"{table.path}, lines {lines[a]} and {lines[b]}: the genotype {spelt} is in {said[0]} and in "
            f"{said[1]}; expected every genotype in one part."
        )
    return key[order][np.append(True, ~same)], order[np.append(True, ~same)]


def _keys(genes: npt.NDArray[np.int64], num_genes: int) -> Rows:
    """Return one number per gene set of a table padded with -1, whatever the order of its genes."""
    key: Rows = np.zeros(len(genes), dtype=np.int64)
    for column in np.sort(genes, axis=1).T:
        key = key * (num_genes + 1) + column + 1
    return key
