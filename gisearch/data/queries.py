"""Genotypes to score: a table in, the same table with scores out."""

from __future__ import annotations

import bz2
import csv
import gzip
import lzma
import sys
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO, TextIO, cast

import numpy as np
import numpy.typing as npt

from gisearch.data.gene_names import GeneNames
from gisearch.data.genotypes import MAX_DELETIONS
from gisearch.data.sources.gene_columns import (
    FIRST_GENE,
    columns_beyond,
    find_gene_columns,
    too_many_genes,
)
from gisearch.data.sources.named_edges import gene_in_cell
from gisearch.data.sources.tables import open_table
from gisearch.errors import DataError
from gisearch.files import whole_file

GENE_COLUMNS = tuple(f"gene{i}" for i in range(1, MAX_DELETIONS + 1))
SCORE_COLUMNS = ("score", "std")
_COMPRESSED = (".gz", ".xz", ".bz2", ".zip")
# Names that promise what is not kept.
_NOT_WRITTEN = (".zst", ".lz4", ".7z", ".tar", ".tgz", ".xlsx", ".xls", ".parquet")


@dataclass(frozen=True)
class Queries:
    """Genotypes to score, as they were asked for.

    Attributes:
        columns: the input's columns.
        rows: the input's rows, as text.
        table: deleted gene indices, int64 [n, 3], padded with -1.
        delimiter: what separated the input's columns.
        gene_columns: those of the columns that name the deleted genes.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    table: npt.NDArray[np.int64]
    delimiter: str
    gene_columns: tuple[str, ...]

    @property
    def unused(self) -> tuple[str, ...]:
        """The columns that say nothing on the deleted genes."""
        return tuple(name for name in self.columns if name and name not in self.gene_columns)


def read_queries(path: Path, names: GeneNames) -> Queries:
    """Read genotypes from a table with columns gene1, gene2 and gene3 (the last two may be missing).

    The table is read as those to train on are: compressed or not, with the same names of columns and the same
    spellings of genes and of nothing.

    Raises:
        DataError: the file or a column is missing, a gene is unknown or repeated, or a row has none.
    """
    table = open_table(path, "a genotype table with a column gene1", [FIRST_GENE])
    where = f"{table.path}, line {table.lines_before}"
    places = find_gene_columns(table.columns, where)
    beyond = columns_beyond(table.columns)
    for name in SCORE_COLUMNS:
        if name in map(str.lower, table.columns):
            raise DataError(f"{where}: the column {name!r} is what the scores are written to; rename it.")
    rows, deleted = [], []
    for line, cells in table.rows():
        where = f"{table.path}, line {line}"
        if len(cells) != len(table.columns):
            raise DataError(f"{where}: expected {len(table.columns)} columns, got {len(cells)}.")
        for place in beyond:
            if gene_in_cell(cells[place]):
                raise too_many_genes(where, table.columns[place], cells[place])
        genes = deleted_genes((cells[place] for place in places), names, where)
        deleted.append(genes + [-1] * (MAX_DELETIONS - len(genes)))
        rows.append(cells)
    if not rows:
        raise DataError(f"the genotype table {path} has no rows to score.")
    return Queries(
        columns=table.columns,
        rows=tuple(rows),
        table=np.array(deleted, dtype=np.int64),
        delimiter=table.separator,
        gene_columns=tuple(table.columns[place] for place in places),
    )


def deleted_genes(cells: Iterable[str], names: GeneNames, where: str) -> list[int]:
    """Return the genes that one row of a table names, ascending.

    Args:
        cells: names, empty (or ``NA``, ``None``, 0 and the like) for fewer deletions.
        names: what they are looked up in.
        where: the row, for messages.

    Raises:
        DataError: a gene is unknown or repeated, or there is none.
    """
    spelt: dict[int, str] = {}
    for name in filter(None, map(gene_in_cell, cells)):
        if name == "0" and not names.knows(name):
            continue
        try:
            gene = names.index_of(name)
        except DataError as error:
            raise DataError(f"{where}: {error}") from None
        if gene in spelt:
            raise DataError(f"{where}: {names.same_gene(spelt[gene], name)}.")
        spelt[gene] = name
    if not spelt:
        raise DataError(f"{where}: expected at least one deleted gene, got none.")
    return sorted(spelt)


def write_scores(
    queries: Queries,
    scores: npt.NDArray[np.float32],
    std: npt.NDArray[np.float32] | None,
    path: Path | None,
) -> None:
    """Write the input's columns with ``score`` (and ``std``); to standard output without a path.

    Raises:
        DataError: the file cannot be written.
    """
    with open_scores(path) as file:
        writer = csv.writer(file, delimiter=delimiter_of(path, queries.delimiter), lineterminator="\n")
        writer.writerow([*queries.columns, *SCORE_COLUMNS[: 1 if std is None else 2]])
        for i, row in enumerate(queries.rows):
            spread = [] if std is None else [f"{std[i]:.6g}"]
            writer.writerow([*row, f"{scores[i]:.6g}", *spread])


def delimiter_of(path: Path | None, otherwise: str = ",") -> str:
    """Return what separates the columns of a table that is written to ``path``."""
    if path is None:
        return otherwise
    suffix = Path(path.stem).suffix if path.suffix.lower() in _COMPRESSED else path.suffix
    return {".csv": ",", ".tsv": "\t"}.get(suffix.lower(), otherwise)


@contextmanager
def open_scores(path: Path | None, what: str = "the scores") -> Iterator[TextIO]:
    """Open a table to write: a file that appears when all went well, or standard output.

    A name that ends in ``.gz``, ``.xz``, ``.bz2`` or ``.zip`` is compressed so; ``what`` is for messages.

    Raises:
        DataError: the file cannot be written; before anything else is done where that is known at once.
    """
    if path is None:
        yield sys.stdout
        return
    if path.suffix.lower() in _NOT_WRITTEN:
        raise DataError(
            f"cannot write {what} to {path}: {path.suffix} is not written; expected a name that ends in "
            f".csv or .tsv, perhaps followed by {', '.join(_COMPRESSED)}."
        )
    try:
        with whole_file(path) as raw, _compressed(raw, path) as packed:
            file = TextIOWrapper(packed, encoding="utf-8", newline="", write_through=True)
            yield file
            # It is closed, and appears, where it was opened.
            file.detach()
    except OSError as error:
        raise DataError(f"cannot write {what} to {path}: {error.strerror}.") from None


@contextmanager
def _compressed(raw: BinaryIO, path: Path) -> Iterator[BinaryIO]:
    """Open a stream that packs what is written to it as the name says; equal content gives equal files."""
    suffix = path.suffix.lower()
    if suffix == ".zip":
        member = zipfile.ZipInfo(path.stem)
        member.compress_type = zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(raw, "w") as archive, archive.open(member, "w", force_zip64=True) as packed:
            yield cast(BinaryIO, packed)
    elif suffix == ".gz":
        with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed:
            yield cast(BinaryIO, packed)
    elif suffix in (".xz", ".bz2"):
        with lzma.LZMAFile(raw, "w") if suffix == ".xz" else bz2.BZ2File(raw, "w") as packed:
            yield cast(BinaryIO, packed)
    else:
        yield raw
