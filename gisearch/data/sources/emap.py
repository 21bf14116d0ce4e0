"""Epistatic miniarray profiles (E-MAP): a matrix of S scores between genes.

Schuldiner et al., Cell 2005, 123:507; Collins et al., Nature 2007, 446:806. The first row and the first
column name the genes, perhaps as ``NAME - DELETION`` or ``NAME - DAMP``; an empty cell was not measured. Some
releases have further rows and columns of text (mutation, marker), or are a clustered ``.cdt`` with weights.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import numpy as np

from gisearch.data.sources.cells import is_missing, plain_cell
from gisearch.data.sources.named_edges import gene_in_cell
from gisearch.data.sources.named_genotypes import NamedGenotypes
from gisearch.data.sources.tables import Table, open_table, plain_column
from gisearch.errors import DataError

Row = tuple[int, list[str]]

# How a strain lacks its gene, behind its name.
_ALLELE = re.compile(r"\s+-\s+(DELETION|DEL|DAMP|TS\S*)$", re.IGNORECASE)
# The rows and the column that clustering software adds.
_ADDED_ROWS, _WEIGHT = {"eweight", "aid"}, "gweight"
# The column that names the gene, where there are several of text; else the first.
_GENE = ("yorf", "orf", "gene", "systematicname", "uniqid")


def read_emap(path: str | Path, *, duplicates: Literal["error", "mean"] = "mean") -> NamedGenotypes:
    """Read double mutants with the label ``gene_interaction``, the S score (below -3 is negative).

    Args:
        path: the matrix, compressed or not.
        duplicates: a pair stands on both sides of the diagonal, and once per allele; ``mean`` averages,
            ``error`` refuses different scores.

    Raises:
        DataError: missing file, a row of another width than the first, a score that is no number, or no
            score at all.
    """
    table = open_table(path, "a matrix of E-MAP scores", has_header=False)
    rows = _rows(table)
    head, body, text = _parts(table, rows)
    above = [plain_column(cell) for cell in head[:text]]
    own = next((above.index(name) for name in _GENE if name in above), 0)
    scored = [i for i in range(text, len(head)) if plain_column(head[i]) != _WEIGHT and _gene(head[i])]
    position: dict[str, int] = {}
    across = np.array([position.setdefault(_gene(head[i]), len(position)) for i in scored], dtype=np.int64)
    down = [position.setdefault(_gene(cells[own]), len(position)) for _, cells in body]
    scores = np.array([[_number(cells[i]) for i in scored] for _, cells in body], dtype=np.float64)
    codes = np.stack(np.broadcast_arrays(np.array(down, dtype=np.int64)[:, None], across), axis=-1)
    # On the diagonal stands nothing, or a gene against another allele of its own.
    measured = ~np.isnan(scores) & (codes[..., 0] != codes[..., 1])
    pairs = codes[measured]
    lines = np.broadcast_to(np.array([line for line, _ in body])[:, None], scores.shape)[measured]
    return NamedGenotypes(
        path=table.path,
        vocabulary=tuple(position),
        codes=np.concatenate([pairs, np.full((len(pairs), 1), -1)], axis=1),
        lines=lines,
        labels={"gene_interaction": scores[measured]},
        duplicates=duplicates,
    )


def _rows(table: Table) -> list[Row]:
    """Return the rows of the matrix, all of one width."""
    rows = [(line, [plain_cell(cell) for cell in cells]) for line, cells in table.rows(lenient=True)]
    rows = [(line, cells) for line, cells in rows if plain_column(cells[0]) not in _ADDED_ROWS]
    width = max((len(cells) for _, cells in rows), default=0)
    for line, cells in rows:
        if len(cells) != width:
            raise DataError(f"{table.path}, line {line}: expected {width} cells, got {len(cells)}.")
    return rows


def _parts(table: Table, rows: list[Row]) -> tuple[list[str], list[Row], int]:
    """Return the row of names, the rows of scores, and how many columns of text those begin with."""
    ends = [max((i + 1 for i, cell in enumerate(cells) if _is_text(cell)), default=0) for _, cells in rows]
    has_score = [
        any(not is_missing(cell) for cell in cells[end:]) for (_, cells), end in zip(rows, ends, strict=True)
    ]
    text = min((end for end, scored in zip(ends, has_score, strict=True) if scored and end), default=0)
    first = next((i for i, end in enumerate(ends) if 0 < end <= text), len(rows))
    if not text or not 0 < first < len(rows):
        raise DataError(
            f"{table.path}: no score; expected a matrix with the genes' names in its first row and column."
        )
    for line, cells in rows[first:]:
        if bad := next((cell for cell in cells[text:] if _is_text(cell)), None):
            raise DataError(f"{table.path}, line {line}: expected a number, got {bad!r}.")
        if not any(_gene(cell) for cell in cells[:text]):
            raise DataError(f"{table.path}, line {line}: expected a gene name, got nothing.")
    return rows[0][1], rows[first:], text


def _gene(cell: str) -> str:
    return gene_in_cell(_ALLELE.sub("", cell))


def _is_text(cell: str) -> bool:
    if is_missing(cell):
        return False
    try:
        return not np.isfinite(float(cell))
    except ValueError:
        return True


def _number(cell: str) -> float:
    return float("nan") if is_missing(cell) else float(cell)
