"""Genotypes to score: a table in, the same table with scores out."""

from __future__ import annotations

import csv
import gzip
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt

from gisearch.data.gene_names import GeneNames
from gisearch.data.genotypes import MAX_DELETIONS
from gisearch.errors import DataError, nearest_name
from gisearch.files import whole_file

GENE_COLUMNS = tuple(f"gene{i}" for i in range(1, MAX_DELETIONS + 1))
SCORE_COLUMNS = ("score", "std")


@dataclass(frozen=True)
class Queries:
    """Genotypes to score, as they were asked for.

    Attributes:
        columns: the input's columns.
        rows: the input's rows, as text.
        table: deleted gene indices, int64 [n, 3], padded with -1.
        delimiter: what separated the input's columns.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    table: npt.NDArray[np.int64]
    delimiter: str


def read_queries(path: Path, names: GeneNames) -> Queries:
    """Read genotypes from CSV or TSV with columns gene1, gene2 and gene3 (the last two may be missing).

    Raises:
        DataError: the file or a column is missing, a gene is unknown or repeated, or a row has none.
    """
    try:
        text = (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode(
            "utf-8-sig"
        )
    except FileNotFoundError:
        raise DataError(f"no genotype table at {path}.") from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the genotype table {path}: {error}.") from None
    lines = text.splitlines()
    if not lines:
        raise DataError(
            f"the genotype table {path} is empty; expected the columns {', '.join(GENE_COLUMNS)}."
        )
    delimiter = "\t" if "\t" in lines[0] else ","
    header, *rows = csv.reader(lines, delimiter=delimiter)
    columns = [name.strip() for name in header]
    lowered = [name.lower() for name in columns]
    if GENE_COLUMNS[0] not in lowered:
        raise DataError(
            f"{path}, line 1: the column {GENE_COLUMNS[0]!r} is missing (found: {', '.join(columns)}); "
            f"expected {', '.join(GENE_COLUMNS)}.{nearest_name(GENE_COLUMNS[0], columns)}"
        )
    for name in SCORE_COLUMNS:
        if name in lowered:
            raise DataError(
                f"{path}, line 1: the column {name!r} is what the scores are written to; rename it."
            )
    places = [lowered.index(name) for name in GENE_COLUMNS if name in lowered]
    table = np.full((len(rows), MAX_DELETIONS), -1, dtype=np.int64)
    for i, row in enumerate(rows):
        line = i + 2
        if len(row) != len(columns):
            raise DataError(f"{path}, line {line}: expected {len(columns)} columns, got {len(row)}.")
        genes = deleted_genes((row[place] for place in places), names, f"{path}, line {line}")
        table[i, : len(genes)] = genes
    if not rows:
        raise DataError(f"the genotype table {path} has no rows to score.")
    return Queries(tuple(columns), tuple(map(tuple, rows)), table, delimiter)


def deleted_genes(cells: Iterable[str], names: GeneNames, where: str) -> list[int]:
    """Return the genes that one row of a table names, ascending.

    Args:
        cells: names, empty for fewer deletions.
        names: what they are looked up in.
        where: the row, for messages.

    Raises:
        DataError: a gene is unknown or repeated, or there is none.
    """
    try:
        genes = sorted(names.index_of(cell) for cell in cells if cell.strip())
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    if not genes:
        raise DataError(f"{where}: expected at least one deleted gene, got none.")
    if len(set(genes)) < len(genes):
        raise DataError(f"{where}: the same gene is deleted twice.")
    return genes


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
    return {".csv": ",", ".tsv": "\t"}.get("" if path is None else path.suffix, otherwise)


@contextmanager
def open_scores(path: Path | None) -> Iterator[TextIO]:
    """Open a table to write: a file that appears when all went well, or standard output.

    Raises:
        DataError: the file cannot be written; before anything else is done where that is known at once.
    """
    if path is None:
        yield sys.stdout
        return
    try:
        with whole_file(path) as binary:
            file = TextIOWrapper(binary, encoding="utf-8", newline="", write_through=True)
            yield file
            # It is closed, and appears, where it was opened.
            file.detach()
    except OSError as error:
        raise DataError(f"cannot write the scores to {path}: {error.strerror}.") from None
