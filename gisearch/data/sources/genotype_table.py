"""Generic genotype tables: one to three gene columns and what was measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from gisearch.data.genotypes import MAX_DELETIONS
from gisearch.data.sources.cells import in_words, truth_of
from gisearch.data.sources.files import listing
from gisearch.data.sources.gene_columns import (
    FIRST_GENE,
    columns_beyond,
    find_gene_columns,
    too_many_genes,
)
from gisearch.data.sources.named_edges import encode, gene_in_cell
from gisearch.data.sources.named_genotypes import NamedGenotypes
from gisearch.data.sources.tables import Table, open_table
from gisearch.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

_LABELS = ("fitness", "gene_interaction")
_EXTRAS = ("_std", "_p")


def read_genotype_table(
    path: str | Path,
    *,
    gene_columns: Sequence[str] | None = None,
    labels: Mapping[str, str] | None = None,
    binary: Sequence[str] | None = None,
    duplicates: Literal["error", "mean"] = "error",
    has_header: bool = True,
) -> NamedGenotypes:
    """Read genotypes and labels from a delimited table, compressed or not.

    Args:
        path: the file. An empty gene cell means fewer deletions, an empty label cell not measured; ``NA``,
            ``None`` and the like are empty.
        gene_columns: one to three columns; by default ``gene1`` (or ``gene``), ``gene2``, ``gene3``.
        labels: label name to column; by default ``fitness`` and ``gene_interaction`` where they are. The
            column of a label followed by ``_std`` or ``_p`` is read with it.
        binary: columns that are labels of 0 or 1; by default every other column that holds nothing else.
            True and False, yes and no are 1 and 0.
        duplicates: what to do with genotypes that occur more than once (see ``NamedGenotypes``).
        has_header: False for a table without a header, whose columns go by ``"1"``, ``"2"``, ...

    Raises:
        DataError: missing file or column; a row without a gene, or with four; a label that is no finite
            number, or not 0 or 1 where it is binary; a column ``order`` that contradicts the genes.
    """
    what = "a genotype table with a column gene1"
    table = open_table(path, what, [gene_columns[:1] if gene_columns else FIRST_GENE], has_header=has_header)
    if has_header:
        table.check_header()
    if gene_columns:
        genes = [table.require(column) for column in gene_columns]
    else:
        genes = [table.columns[place] for place in find_gene_columns(table.columns, str(table.path))]
    beyond = [c for c in (table.columns[i] for i in columns_beyond(table.columns)) if c not in genes]
    order = table.find("order")
    measured = _label_columns(table, labels)
    rest = [c for c in table.columns if c and c not in {*genes, *beyond, *measured.values(), order}]
    flags = [table.require(column) for column in binary] if binary is not None else list(rest)
    texts = list(dict.fromkeys([*genes, *beyond, *(f for f in flags if f not in measured.values())]))
    numbers = list(dict.fromkeys([*measured.values(), *([order] if order else [])]))
    frame = table.read(texts, numbers)
    values = {name: frame[column].to_numpy(dtype=np.float64) for name, column in measured.items()}
    lines = np.array([table.line(row) for row in frame.index.tolist()], dtype=np.int64)
    _check_beyond(table, frame, beyond, lines)
    found, notes = _flags(table, frame, flags, lines, required=binary is not None)
    values |= found
    if not values:
        raise DataError(
            f"{table.path}: no label; expected a column 'fitness', 'gene_interaction' or one of 0 and 1, "
            f"found {listing(table.columns)}."
        )
    vocabulary, codes, empty = encode_deletions([frame[column] for column in genes])
    if empty:
        said = " or ".join(map(repr, empty))
        notes.append(f"{table.path.name}: {sum(empty.values()):,} gene cells of {said} read as empty")
    size = (codes >= 0).sum(axis=1)
    if (size == 0).any():
        line = lines[np.flatnonzero(size == 0)[0]]
        raise DataError(f"{table.path}, line {line}: expected 1 to 3 deleted genes, got none.")
    if order:
        _check_order(table, order, frame[order].to_numpy(dtype=np.float64), size, lines)
    unused = [column for column in rest if column not in found]
    if unused:
        notes.append(f"{table.path.name}: columns not used: {', '.join(unused)}")
    return NamedGenotypes(
        path=table.path,
        vocabulary=vocabulary,
        codes=codes,
        lines=lines,
        labels=values,
        binary=frozenset(found),
        duplicates=duplicates,
        notes=tuple(notes),
    )


def encode_deletions(
    columns: Sequence[pd.Series[Any]],
) -> tuple[tuple[str, ...], npt.NDArray[np.int64], dict[str, int]]:
    """Return the names in some categorical columns of deleted genes, and where they stand.

    Returns:
        The distinct names; int64 [n, 3], positions in them, -1 for none; and what was read as none though
        the cell is not empty, with its count: ``NA`` and the like, and 0 unless all names are numbers.
    """
    vocabulary, codes = encode(*columns)
    empty: Counter[str] = Counter()
    for column in columns:
        counts = np.bincount(column.cat.codes + 1, minlength=len(column.cat.categories) + 1)[1:]
        for cell, count in zip(map(str, column.cat.categories), counts.tolist(), strict=True):
            if cell.strip() and not gene_in_cell(cell):
                empty[cell] += count
    if "0" in vocabulary and not all(name.isdigit() for name in vocabulary):
        zero = vocabulary.index("0")
        empty["0"] += int((codes == zero).sum())
        vocabulary = (*vocabulary[:zero], *vocabulary[zero + 1 :])
        codes = np.where(codes == zero, -1, codes - (codes > zero))
    padding = np.full((len(codes), MAX_DELETIONS - codes.shape[1]), -1, dtype=np.int64)
    return vocabulary, np.concatenate([codes, padding], axis=1), dict(empty)


def _label_columns(table: Table, labels: Mapping[str, str] | None) -> dict[str, str]:
    """Return label name to column, the columns of standard deviations and p-values included."""
    if labels is None:
        columns = {name: column for name in _LABELS if (column := table.find(name))}
    else:
        columns = {name: table.require(column) for name, column in labels.items()}
    complete = {}
    for name, column in columns.items():
        complete[name] = column
        for extra in (f"{name}{ending}" for ending in _EXTRAS):
            found = table.find(extra.replace(name, column), extra)
            if found and extra not in columns:
                complete[extra] = found
    return complete


def _flags(
    table: Table,
    frame: pd.DataFrame,
    columns: Sequence[str],
    lines: npt.NDArray[np.int64],
    *,
    required: bool,
) -> tuple[dict[str, npt.NDArray[np.float64]], list[str]]:
    """Return those of some columns that are binary labels, and what to say of them."""
    found, notes = {}, []
    for column in columns:
        cells = frame[column]
        if cells.dtype.kind == "f":  # a label is told to be binary
            found[column] = cells.to_numpy(dtype=np.float64)
            _check_binary(table, column, found[column], lines)
            continue
        flag = _flag(table, cells, column, lines, required=required)
        if flag is None:
            continue
        found[column] = flag
        if in_words(map(str, cells.cat.categories)):
            notes.append(f"{table.path.name}: column {column!r}: yes and true are 1, no and false are 0")
    return found, notes


def _flag(
    table: Table, cells: pd.Series[Any], column: str, lines: npt.NDArray[np.int64], *, required: bool
) -> npt.NDArray[np.float64] | None:
    """Return a column of yes and no as 1 and 0, NaN where missing; None for a column of anything else.

    Raises:
        DataError: the column is required to be binary, and a cell is not.
    """
    truths = [truth_of(str(cell)) for cell in cells.cat.categories]
    codes = cells.cat.codes.to_numpy()
    wrong = [i for i, truth in enumerate(truths) if truth is None]
    if wrong and required:
        row = int(np.flatnonzero(np.isin(codes, wrong))[0])
        raise DataError(
            f"{table.path}, line {lines[row]}, column {column!r}: expected 0 or 1 (or yes and no, true and "
            f"false), got {str(cells.iloc[row])!r}."
        )
    if wrong or all(truth != truth for truth in truths):
        return None
    return np.array([*truths, np.nan], dtype=np.float64)[codes]


def _check_beyond(
    table: Table, frame: pd.DataFrame, columns: Sequence[str], lines: npt.NDArray[np.int64]
) -> None:
    for column in columns:
        named = np.array([bool(gene_in_cell(str(cell))) for cell in frame[column].cat.categories] + [False])
        rows = np.flatnonzero(named[frame[column].cat.codes.to_numpy()])
        if len(rows):
            where = f"{table.path}, line {lines[rows[0]]}"
            raise too_many_genes(where, column, str(frame[column].iloc[rows[0]]))


def _check_binary(
    table: Table, column: str, values: npt.NDArray[np.float64], lines: npt.NDArray[np.int64]
) -> None:
    wrong = np.flatnonzero(~np.isin(values, (0.0, 1.0)) & ~np.isnan(values))
    if len(wrong):
        raise DataError(
            f"{table.path}, line {lines[wrong[0]]}, column {column!r}: expected 0 or 1, "
            f"got {values[wrong[0]]:g}."
        )


def _check_order(
    table: Table,
    column: str,
    order: npt.NDArray[np.float64],
    size: npt.NDArray[np.int64],
    lines: npt.NDArray[np.int64],
) -> None:
    wrong = np.flatnonzero((order != size) & ~np.isnan(order))
    if len(wrong):
        raise DataError(
            f"{table.path}, line {lines[wrong[0]]}, column {column!r}: says {order[wrong[0]]:g} deleted "
            f"genes, but the row names {size[wrong[0]]}."
        )
