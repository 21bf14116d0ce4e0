"""Generic genotype tables: one to three gene columns and what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from gisearch.data.sources.files import listing
from gisearch.data.sources.named_edges import encode
from gisearch.data.sources.named_genotypes import NamedGenotypes
from gisearch.data.sources.tables import Table, open_table
from gisearch.errors import DataError

_GENES = (
    ("gene1", "gene_1", "gene", "gene_a", "systematic_name"),
    ("gene2", "gene_2", "gene_b"),
    ("gene3", "gene_3", "gene_c"),
)
_LABELS = ("fitness", "gene_interaction")
_EXTRAS = ("_std", "_p")


def read_genotype_table(
    path: str | Path,
    *,
    gene_columns: Sequence[str] | None = None,
    labels: Mapping[str, str] | None = None,
    binary: Sequence[str] | None = None,
    duplicates: Literal["error", "mean"] = "error",
) -> NamedGenotypes:
    """Read genotypes and labels from a TSV or CSV table, gzip or not.

    Args:
        path: the file. An empty gene cell means fewer deletions, an empty label cell not measured.
        gene_columns: one to three columns; by default ``gene1`` (or ``gene``), ``gene2``, ``gene3``.
        labels: label name to column; by default ``fitness`` and ``gene_interaction`` where they are. The
            column of a label followed by ``_std`` or ``_p`` is read with it.
        binary: columns that are labels of 0 or 1; by default every other column that holds nothing else.
        duplicates: what to do with genotypes that occur more than once (see ``NamedGenotypes``).

    Raises:
        DataError: missing file or column; a row without a gene; a label that is no finite number, or not 0
            or 1 where it is binary; a column ``order`` that contradicts the genes.
    """
    what = "a genotype table with a column gene1"
    table = open_table(path, what, [[gene_columns[0]] if gene_columns else _GENES[0]])
    if gene_columns:
        genes = [table.require(column) for column in gene_columns]
    else:
        others = (table.find(*accepted) for accepted in _GENES[1:])
        genes = [table.require(*_GENES[0]), *(column for column in others if column)]
    order = table.find("order")
    measured = _label_columns(table, labels)
    rest = [c for c in table.columns if c and c not in {*genes, *measured.values(), order}]
    flags = [table.require(column) for column in binary] if binary is not None else rest
    names = list(dict.fromkeys([*genes, *(flags if binary is None else [])]))
    numbers = [*measured.values(), *(flags if binary is not None else []), *([order] if order else [])]
    frame = table.read(names, list(dict.fromkeys(numbers)))
    values = {name: frame[column].to_numpy(dtype=np.float64) for name, column in measured.items()}
    lines = np.array([table.line(row) for row in frame.index.tolist()], dtype=np.int64)
    unused = []
    for column in flags:
        if binary is not None:
            values[column] = frame[column].to_numpy(dtype=np.float64)
            continue
        cells = {str(cell).strip() for cell in frame[column].cat.categories} - {""}
        if cells and cells <= {"0", "1", "0.0", "1.0"}:
            values[column] = frame[column].astype(object).replace("", "nan").to_numpy(dtype=np.float64)
        else:
            unused.append(column)
    flags = [column for column in flags if column not in unused]
    for column in flags:
        _check_binary(table, column, values[column], lines)
    if not values:
        raise DataError(
            f"{table.path}: no label; expected a column 'fitness', 'gene_interaction' or one of 0 and 1, "
            f"found {listing(table.columns)}."
        )
    vocabulary, codes = encode(*(frame[column] for column in genes))
    padding = np.full((len(codes), 3 - codes.shape[1]), -1, dtype=np.int64)
    codes = np.concatenate([codes, padding], axis=1)
    size = (codes >= 0).sum(axis=1)
    if (size == 0).any():
        line = lines[np.flatnonzero(size == 0)[0]]
        raise DataError(f"{table.path}, line {line}: expected 1 to 3 deleted genes, got none.")
    if order:
        _check_order(table, order, frame[order].to_numpy(dtype=np.float64), size, lines)
    note = f"{table.path.name}: columns not used: {', '.join(unused)}"
    return NamedGenotypes(
        path=table.path,
        vocabulary=vocabulary,
        codes=codes,
        lines=lines,
        labels=values,
        binary=frozenset(flags),
        duplicates=duplicates,
        notes=(note,) if unused else (),
    )


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
