"""Regulation: SGD's regulation tables and YEASTRACT's documented associations.

SGD (Engel et al., Genetics 2022) lists regulator and target by standard and systematic name.
YEASTRACT (Teixeira et al., Nucleic Acids Research 2023) offers a two-column table and a matrix with one
row per transcription factor and one column per gene, both separated by semicolons.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from gisearch.data.sources.cells import plain_cell
from gisearch.data.sources.named_edges import NamedEdges, check_named, encode
from gisearch.data.sources.tables import Table, open_table
from gisearch.errors import DataError

_SYSTEMATIC = (
    ("regulator_systematic_name", "regulator_systematic", "regulator_feature_name"),
    ("target_systematic_name", "target_systematic", "target_feature_name", "gene_systematic_name"),
)
_STANDARD = (
    ("regulator", "regulator_standard_name", "regulator_name", "transcription_factor", "tf"),
    ("target", "target_standard_name", "target_name", "target_gene", "gene_standard_name", "gene"),
)
_PROTEIN = re.compile(r"([A-Za-z]{3}\d+)p")


def read_regulation(path: str | Path, name: str) -> NamedEdges:
    """Read a directed network from regulator to target; the layout is found from the file.

    A protein name of a regulator (``Abf1p``) is read as its gene's (``ABF1``).

    Raises:
        DataError: missing file, or a layout that is none of the three.
    """
    what = "a regulation table of SGD or YEASTRACT"
    either = [(*a, *b) for a, b in zip(_SYSTEMATIC, _STANDARD, strict=True)]
    table = open_table(path, what, either)
    if all(table.find(*accepted) for accepted in either):
        edges = _read_pairs(table, name)
    elif len(table.columns) == 2:
        headerless = open_table(path, what, has_header=False)
        edges = _pairs_of_columns(headerless, name, ["1", "2"], ["1", "2"])
    elif table.separator == ";" or _has_flags(table):
        edges = _read_matrix(table, name)
    else:
        table.require(*_STANDARD[0])
        table.require(*_STANDARD[1])
    return edges


def _read_pairs(table: Table, name: str) -> NamedEdges:
    first, second = [], []
    for systematic, standard in zip(_SYSTEMATIC, _STANDARD, strict=True):
        columns = [c for c in (table.find(*systematic), table.find(*standard)) if c]
        first.append(columns[0])
        second.append(columns[-1])
    return _pairs_of_columns(table, name, first, second)


def _pairs_of_columns(table: Table, name: str, first: list[str], second: list[str]) -> NamedEdges:
    """Read pairs from the ``first`` columns, or the ``second`` where a cell of those is empty."""
    frame = table.read(list(dict.fromkeys([*first, *second])))
    vocabulary, codes = encode(*(frame[column] for column in (*first, *second)))
    pairs = np.where(codes[:, :2] < 0, codes[:, 2:], codes[:, :2])
    check_named(pairs, table, frame, first)
    return NamedEdges(name, table.path, _genes_of_proteins(vocabulary), pairs, directed=True)


def _has_flags(table: Table) -> bool:
    """Return whether the first row after the header holds a name and then only 0 and 1."""
    _, cells = next(table.rows(), (0, ()))
    return len(cells) > 2 and {plain_cell(cell) for cell in cells[1:]} <= {"0", "1"}


def _read_matrix(table: Table, name: str) -> NamedEdges:
    targets: tuple[str, ...] = table.columns
    regulators: list[str] = []
    present: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
    for number, row in table.rows():
        regulator, *cells = map(plain_cell, row)
        # The header may or may not have a cell above the regulators.
        if not regulators and len(cells) == len(targets) - 1:
            targets = targets[1:]
        if len(cells) != len(targets) or not set(cells) <= {"0", "1"}:
            raise DataError(
                f"{table.path}, line {number}: expected a regulator and {len(targets)} cells of 0 or 1, "
                "or a table with the columns 'regulator' and 'target'."
            )
        regulators.append(regulator)
        present.append(np.flatnonzero(np.array(cells) == "1"))
    rows = np.repeat(np.arange(len(regulators)), [len(p) for p in present])
    columns = np.concatenate(present) if present else np.empty(0, dtype=np.int64)
    pairs = np.stack([rows, columns + len(regulators)], axis=1).astype(np.int64)
    vocabulary = _genes_of_proteins((*regulators, *targets))
    return NamedEdges(name, table.path, vocabulary, pairs, directed=True)


def _genes_of_proteins(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(match[1].upper() if (match := _PROTEIN.fullmatch(name)) else name for name in names)
